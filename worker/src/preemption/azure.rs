//! Scheduled events of Azure's virtual machines, from its instance metadata service.
//!
//! Azure documentation, "Scheduled Events for Linux VMs": a list of events, to be asked for once a second, some of which
//! are of other machines of the same scale or availability set. An event begins after its `NotBefore` (30 s ahead for
//! `Preempt`, 5 minutes to days for others), or sooner where somebody approves it. This worker approves nothing: that
//! would count for every machine of the event.

use std::time::Duration;

use hyper::Method;
use hyper::header::HeaderName;
use serde::Deserialize;

use super::metadata::{Answer, Metadata, PATIENCE};
use super::{Endpoint, Going, Source, Trouble};

const EVERY: Duration = Duration::from_secs(1);
/// The first answer may take two minutes, as it switches the events on.
const FIRST_PATIENCE: Duration = Duration::from_secs(150);
const ASKING: (HeaderName, &str) = (HeaderName::from_static("metadata"), "true");
const EVENTS_PATH: &str = "/metadata/scheduledevents?api-version=2020-07-01";
const NAME_PATH: &str = "/metadata/instance/compute/name?api-version=2021-02-01&format=text";

pub(super) struct Azure {
    metadata: Metadata,
    /// Events that leave more time than this are waited for: a repair may be announced days before.
    ahead: Duration,
    /// What this machine is called in events.
    name: Option<String>,
    answered: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Document {
    events: Vec<Event>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Event {
    event_type: String,
    resources: Vec<String>,
    event_status: String,
    /// Empty once it has started.
    not_before: String,
}

impl Azure {
    pub(super) fn new(endpoint: Endpoint, ahead: Duration) -> Azure {
        Azure { metadata: Metadata::new(endpoint), ahead, name: None, answered: false }
    }

    async fn own_name(&self) -> Result<String, Trouble> {
        let answer = self.metadata.ask(Method::GET, NAME_PATH, ASKING, PATIENCE).await?.ok()?;
        match answer.text.trim() {
            "" => Err(Trouble::Senseless("it does not know this machine's name")),
            name => Ok(name.to_owned()),
        }
    }
}

impl Source for Azure {
    fn name(&self) -> &'static str {
        "the metadata service of Azure"
    }

    fn pause(&self) -> Duration {
        EVERY
    }

    async fn ask(&mut self) -> Result<Option<Going>, Trouble> {
        let name = match &self.name {
            Some(name) => name.clone(),
            None => self.name.insert(self.own_name().await?).clone(),
        };
        let patience = if self.answered { PATIENCE } else { FIRST_PATIENCE };
        let answer = self.metadata.ask(Method::GET, EVENTS_PATH, ASKING, patience).await?.ok()?;
        let next = next(&answer, &name)?;
        self.answered = true;
        Ok(next.filter(|going| going.left <= self.ahead))
    }
}

/// The event that ends this machine first.
fn next(answer: &Answer, name: &str) -> Result<Option<Going>, Trouble> {
    let document: Document = serde_json::from_str(&answer.text)
        .map_err(|_| Trouble::Senseless("its answer is no list of events"))?;
    let own = |event: &&Event| event.resources.iter().any(|resource| resource.eq_ignore_ascii_case(name));
    let going: Result<Vec<Option<Going>>, Trouble> =
        document.events.iter().filter(own).map(|event| going(event, answer)).collect();
    Ok(going?.into_iter().flatten().min_by_key(|going| going.left))
}

/// What an event means for this machine; `None` where its processes go on.
fn going(event: &Event, answer: &Answer) -> Result<Option<Going>, Trouble> {
    let what = match event.event_type.as_str() {
        "Preempt" => "evicts this machine",
        "Terminate" => "deletes this machine",
        "Reboot" => "restarts this machine",
        "Redeploy" => "moves this machine to another host",
        // A freeze lasts for seconds, and leases for longer.
        _ => return Ok(None),
    };
    let left = match (event.event_status.as_str(), event.not_before.as_str()) {
        ("Started", _) | (_, "") => Duration::ZERO,
        (_, time) => {
            let time = httpdate::parse_http_date(time)
                .map_err(|_| Trouble::Senseless("one of its events has no time"))?;
            answer.until(time)
        }
    };
    Ok(Some(Going { reason: format!("Azure {what} in {} s", left.as_secs()), left }))
}

#[cfg(test)]
mod tests {
    use super::super::metadata::said;
    use super::*;

    fn event(kind: &str, resources: &str, status: &str, not_before: &str) -> String {
        format!(
            r#"{{"EventId":"C7061BAC","EventType":"{kind}","ResourceType":"VirtualMachine","Resources":{resources},
            "EventStatus":"{status}","NotBefore":"{not_before}","Description":"","EventSource":"Platform",
            "DurationInSeconds":-1}}"#
        )
    }

    fn first(events: &[String]) -> Result<Option<(String, u64)>, Trouble> {
        let text = format!(r#"{{"DocumentIncarnation":2,"Events":[{}]}}"#, events.join(","));
        let next = next(&said(&text, "Mon, 11 Apr 2022 22:26:28 GMT"), "west_1")?;
        Ok(next.map(|going| (going.reason, going.left.as_secs())))
    }

    #[test]
    fn the_first_event_that_ends_this_machine_counts() {
        let told = |reason: &str, left| Ok(Some((reason.to_owned(), left)));
        assert_eq!(first(&[]), Ok(None));
        let preempt =
            event("Preempt", r#"["west_0","WEST_1"]"#, "Scheduled", "Mon, 11 Apr 2022 22:26:58 GMT");
        let redeploy = event("Redeploy", r#"["west_1"]"#, "Scheduled", "Mon, 18 Apr 2022 22:26:58 GMT");
        assert_eq!(
            first(std::slice::from_ref(&redeploy)),
            told("Azure moves this machine to another host in 604830 s", 604_830)
        );
        assert_eq!(first(&[redeploy, preempt]), told("Azure evicts this machine in 30 s", 30));
        // After a failure of its hardware: without notice.
        let reboot = event("Reboot", r#"["west_1"]"#, "Started", "");
        assert_eq!(first(&[reboot]), told("Azure restarts this machine in 0 s", 0));
    }

    #[test]
    fn events_of_others_and_freezes_take_no_worker_away() {
        let time = "Mon, 11 Apr 2022 22:26:58 GMT";
        assert_eq!(first(&[event("Preempt", r#"["west_0","west_10"]"#, "Scheduled", time)]), Ok(None));
        assert_eq!(first(&[event("Freeze", r#"["west_1"]"#, "Scheduled", time)]), Ok(None));
    }

    #[test]
    fn what_makes_no_sense_takes_no_worker_away() {
        let soon = event("Preempt", r#"["west_1"]"#, "Scheduled", "soon");
        assert!(matches!(first(&[soon]), Err(Trouble::Senseless(_))));
        for text in ["", "[]", "<html>", r#"{"Events":[{"EventType":"Preempt"}]}"#] {
            assert!(next(&said(text, "Mon, 11 Apr 2022 22:26:28 GMT"), "west_1").is_err(), "{text}");
        }
    }
}
