//! Preemption of Spot and preemptible machines of Google Compute Engine, from its metadata server.
//!
//! Compute Engine documentation, "Spot VMs" and "View and query VM metadata": `instance/preempted` changes from `FALSE` to
//! `TRUE`, and the machine has up to 30 s from then on. A question with the ETag of the last answer waits until
//! there is another. Every answer says `Metadata-Flavor: Google`: what does not is of somebody else.

use std::time::Duration;

use hyper::Method;
use hyper::header::{self, HeaderName};

use super::metadata::{Answer, Metadata, PATIENCE};
use super::{Endpoint, Going, Source, Trouble};

/// A server that answers at once, though it is to wait for a change, is not asked in a loop.
const EVERY: Duration = Duration::from_secs(1);
/// The server is to answer after so long where nothing changes; a connection that died unseen is known soon after.
const WAIT: Duration = Duration::from_secs(10);
const FLAVOR: HeaderName = HeaderName::from_static("metadata-flavor");
const GOOGLE: &str = "Google";
const PREEMPTED_PATH: &str = "/computeMetadata/v1/instance/preempted";
const NOTICE: Duration = Duration::from_secs(30);

pub(super) struct Gcp {
    metadata: Metadata,
    /// Of the last answer.
    etag: Option<String>,
}

impl Gcp {
    pub(super) fn new(endpoint: Endpoint) -> Gcp {
        Gcp { metadata: Metadata::new(endpoint), etag: None }
    }
}

impl Source for Gcp {
    fn name(&self) -> &'static str {
        "the metadata server of Google Cloud"
    }

    fn pause(&self) -> Duration {
        EVERY
    }

    async fn ask(&mut self) -> Result<Option<Going>, Trouble> {
        // After trouble the next answer is to come at once.
        let (path, patience) = match self.etag.take() {
            Some(etag) => (
                format!(
                    "{PREEMPTED_PATH}?wait_for_change=true&timeout_sec={}&last_etag={etag}",
                    WAIT.as_secs()
                ),
                WAIT + PATIENCE,
            ),
            None => (PREEMPTED_PATH.to_owned(), PATIENCE),
        };
        let answer = self.metadata.ask(Method::GET, &path, (FLAVOR, GOOGLE), patience).await?;
        let preempted = preempted(&answer)?;
        self.etag = etag(&answer.ok()?);
        let reason = || format!("Google Cloud preempts this machine within {} s", NOTICE.as_secs());
        Ok(preempted.then(|| Going { reason: reason(), left: NOTICE }))
    }
}

/// What the answer says, if it is of Google and makes sense.
fn preempted(answer: &Answer) -> Result<bool, Trouble> {
    if answer.headers.get(FLAVOR).is_none_or(|flavor| flavor != GOOGLE) {
        return Err(Trouble::Senseless("its answer is not of Google"));
    }
    match (answer.status.as_u16(), answer.text.trim()) {
        (200, "TRUE") => Ok(true),
        (200, "FALSE") => Ok(false),
        (200, _) => Err(Trouble::Senseless("its answer is neither TRUE nor FALSE")),
        (status, _) => Err(Trouble::Refused(status)),
    }
}

fn etag(answer: &Answer) -> Option<String> {
    let etag = answer.headers.get(header::ETAG)?.to_str().ok()?;
    etag.bytes().all(|byte| byte.is_ascii_alphanumeric()).then(|| etag.to_owned())
}

#[cfg(test)]
mod tests {
    use hyper::StatusCode;
    use hyper::header::HeaderValue;

    use super::super::metadata::said;
    use super::*;

    fn answer(text: &str, flavor: Option<&'static str>) -> Answer {
        let mut answer = said(text, "Mon, 18 Sep 2017 08:20:00 GMT");
        answer.headers.extend(flavor.map(|flavor| (FLAVOR, HeaderValue::from_static(flavor))));
        answer
    }

    #[test]
    fn a_machine_is_preempted_when_google_says_so() {
        assert_eq!(preempted(&answer("FALSE", Some(GOOGLE))), Ok(false));
        assert_eq!(preempted(&answer("TRUE\n", Some(GOOGLE))), Ok(true));
    }

    #[test]
    fn what_others_say_and_what_makes_no_sense_takes_no_worker_away() {
        assert_eq!(preempted(&answer("TRUE", None)), Err(Trouble::Senseless("its answer is not of Google")));
        assert!(preempted(&answer("TRUE", Some("Other"))).is_err());
        assert!(preempted(&answer("", Some(GOOGLE))).is_err());
        let mut refused = answer("TRUE", Some(GOOGLE));
        refused.status = StatusCode::SERVICE_UNAVAILABLE;
        assert_eq!(preempted(&refused), Err(Trouble::Refused(503)));
    }

    #[test]
    fn an_etag_that_is_no_word_is_not_sent_back() {
        let with = |text| {
            let mut answer = answer("FALSE", Some(GOOGLE));
            answer.headers.insert(header::ETAG, HeaderValue::from_static(text));
            etag(&answer)
        };
        assert_eq!(with("411261ca6c9e4ff4"), Some("411261ca6c9e4ff4".to_owned()));
        assert_eq!(with("a&b"), None);
    }
}
