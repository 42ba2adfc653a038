//! Spot interruption notices of Amazon EC2, from its instance metadata service, version 2.
//!
//! Amazon EC2 User Guide, "Spot Instance interruption notices": `spot/instance-action` is there (else 404) about two
//! minutes before the instance is stopped or terminated, and is to be asked for every five seconds. Every question carries
//! a session token; one that is too old is answered with 401.

use std::time::{Duration, SystemTime};

use hyper::header::HeaderName;
use hyper::{Method, StatusCode};
use serde::Deserialize;

use super::metadata::{Answer, Metadata, PATIENCE};
use super::{Endpoint, Going, Source, Trouble};

const EVERY: Duration = Duration::from_secs(5);
const TOKEN_PATH: &str = "/latest/api/token";
const TOKEN_LIFE: HeaderName = HeaderName::from_static("x-aws-ec2-metadata-token-ttl-seconds");
/// The longest that there is, six hours.
const TOKEN_LIFE_SECONDS: &str = "21600";
const TOKEN: HeaderName = HeaderName::from_static("x-aws-ec2-metadata-token");
const ACTION_PATH: &str = "/latest/meta-data/spot/instance-action";
const REBALANCE_PATH: &str = "/latest/meta-data/events/recommendations/rebalance";
/// Where EC2 could not terminate an instance, the notice stays, with its time in the past.
const STALE: Duration = Duration::from_secs(600);

pub(super) struct Aws {
    metadata: Metadata,
    token: Option<String>,
    /// Whether the log has the recommendation.
    rebalance: bool,
}

/// `{"action": "terminate", "time": "2017-09-18T08:22:00Z"}`
#[derive(Deserialize)]
struct InstanceAction {
    action: String,
    time: String,
}

impl Aws {
    pub(super) fn new(endpoint: Endpoint) -> Aws {
        Aws { metadata: Metadata::new(endpoint), token: None, rebalance: false }
    }

    /// An item of the metadata; `None` where it is not there.
    async fn item(&mut self, path: &str) -> Result<Option<Answer>, Trouble> {
        // A token that is not taken any more is replaced once.
        for _ in 0..2 {
            let token = match self.token.take() {
                Some(token) => token,
                None => self.new_token().await?,
            };
            let answer = self.metadata.ask(Method::GET, path, (TOKEN, &token), PATIENCE).await?;
            if answer.status == StatusCode::UNAUTHORIZED {
                continue;
            }
            self.token = Some(token);
            return match answer.status {
                StatusCode::NOT_FOUND => Ok(None),
                _ => answer.ok().map(Some),
            };
        }
        Err(Trouble::Refused(StatusCode::UNAUTHORIZED.as_u16()))
    }

    async fn new_token(&self) -> Result<String, Trouble> {
        let life = (TOKEN_LIFE, TOKEN_LIFE_SECONDS);
        Ok(self.metadata.ask(Method::PUT, TOKEN_PATH, life, PATIENCE).await?.ok()?.text)
    }
}

impl Source for Aws {
    fn name(&self) -> &'static str {
        "the metadata service of AWS"
    }

    fn pause(&self) -> Duration {
        EVERY
    }

    async fn ask(&mut self) -> Result<Option<Going>, Trouble> {
        if let Some(answer) = self.item(ACTION_PATH).await? {
            return going(&answer).map(Some);
        }
        if !self.rebalance && self.item(REBALANCE_PATH).await?.is_some() {
            self.rebalance = true;
            tracing::info!(
                "AWS finds an interruption of this instance likelier than usual; the worker goes on"
            );
        }
        Ok(None)
    }
}

fn going(answer: &Answer) -> Result<Going, Trouble> {
    let InstanceAction { action, time } = serde_json::from_str(&answer.text)
        .map_err(|_| Trouble::Senseless("its answer is no instance action"))?;
    let time: SystemTime =
        humantime::parse_rfc3339(&time).map_err(|_| Trouble::Senseless("its instance action has no time"))?;
    if answer.since(time) > STALE {
        return Err(Trouble::Senseless("its instance action is long past and was not carried out"));
    }
    let left = answer.until(time);
    let seconds = left.as_secs();
    let (reason, left) = match action.as_str() {
        "terminate" => (format!("AWS terminates this instance in {seconds} s"), left),
        "stop" => (format!("AWS stops this instance in {seconds} s"), left),
        // Begins with the notice.
        "hibernate" => ("AWS hibernates this instance".to_owned(), Duration::ZERO),
        _ => (format!("AWS takes this instance away in {seconds} s"), left),
    };
    Ok(Going { reason, left })
}

#[cfg(test)]
mod tests {
    use super::super::metadata::said;
    use super::*;

    fn at_eight(text: &str) -> Result<Going, Trouble> {
        going(&said(text, "Mon, 18 Sep 2017 08:20:00 GMT"))
    }

    fn left(text: &str) -> Option<(String, u64)> {
        at_eight(text).ok().map(|going| (going.reason, going.left.as_secs()))
    }

    #[test]
    fn an_instance_action_says_what_happens_and_when() {
        let told = |reason: &str, left| Some((reason.to_owned(), left));
        let terminate = r#"{"action": "terminate", "time": "2017-09-18T08:22:00Z"}"#;
        assert_eq!(left(terminate), told("AWS terminates this instance in 120 s", 120));
        let stop = r#"{"action": "stop", "time": "2017-09-18T08:20:07Z"}"#;
        assert_eq!(left(stop), told("AWS stops this instance in 7 s", 7));
        let hibernate = r#"{"action": "hibernate", "time": "2017-09-18T08:22:00Z"}"#;
        assert_eq!(left(hibernate), told("AWS hibernates this instance", 0));
        let late = r#"{"action": "terminate", "time": "2017-09-18T08:19:00Z"}"#;
        assert_eq!(left(late), told("AWS terminates this instance in 0 s", 0));
    }

    #[test]
    fn what_is_no_instance_action_or_long_past_takes_no_worker_away() {
        for text in [
            "",
            "<html>please log in</html>",
            r#"{"action": "terminate"}"#,
            r#"{"action": "terminate", "time": "soon"}"#,
            r#"{"action": "terminate", "time": "2017-09-18T07:22:00Z"}"#,
        ] {
            assert!(matches!(at_eight(text), Err(Trouble::Senseless(_))), "{text}");
        }
    }
}
