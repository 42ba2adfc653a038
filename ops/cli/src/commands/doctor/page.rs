//! What a scheduler says over plain HTTP: its metrics, whether it is ready, and the time by its clock.

use std::error::Error;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http_body_util::{BodyExt, Empty, Limited};
use hyper::{StatusCode, header};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;

const PATIENCE: Duration = Duration::from_secs(5);
/// The metrics of the largest farm are far below.
const MAX_BYTES: usize = 4 << 20;

/// A page as it was answered.
#[derive(Clone, Debug)]
pub(super) struct Page {
    pub(super) is_ok: bool,
    pub(super) text: String,
    /// How far the clock of the answerer is ahead of ours, in seconds, as far as can be told from here.
    pub(super) ahead_s: Option<i64>,
}

/// Asks for a page, once.
pub(super) async fn get(server: &str, path: &str) -> Result<Page, String> {
    let answer = async {
        let uri = format!("{server}{path}").parse().map_err(|error| format!("{error}"))?;
        let client: Client<_, Empty<Bytes>> = Client::builder(TokioExecutor::new()).build_http();
        let asked = SystemTime::now();
        let response = client.get(uri).await.map_err(|error| innermost(&error))?;
        let answered = SystemTime::now();
        let (head, body) = response.into_parts();
        let body = Limited::new(body, MAX_BYTES).collect().await.map_err(|error| error.to_string())?;
        let text = String::from_utf8(body.to_bytes().into()).map_err(|error| error.to_string())?;
        let date = head.headers.get(header::DATE).and_then(|date| date.to_str().ok());
        let date = date.and_then(|date| httpdate::parse_http_date(date).ok());
        let ahead_s = date.map(|date| ahead(date, asked, answered));
        Ok(Page { is_ok: head.status == StatusCode::OK, text, ahead_s })
    };
    let late = |_| Err(format!("no answer in {} s", PATIENCE.as_secs()));
    tokio::time::timeout(PATIENCE, answer).await.unwrap_or_else(late)
}

fn innermost(mut error: &dyn Error) -> String {
    while let Some(inner) = error.source() {
        error = inner;
    }
    error.to_string()
}

/// How far a clock is ahead that said `date`, whose fraction of a second is not said, while ours went from `asked` to
/// `answered`: 0 where it may be right.
fn ahead(date: SystemTime, asked: SystemTime, answered: SystemTime) -> i64 {
    let seconds = |later: SystemTime, earlier: SystemTime| {
        later.duration_since(earlier).map_or(0, |span| i64::try_from(span.as_secs()).unwrap_or(i64::MAX))
    };
    // It said a time from `date` on, and before the second after it.
    match date > answered {
        true => seconds(date, answered),
        false => -seconds(asked, date + Duration::from_secs(1)),
    }
}

impl Page {
    /// The value of a metric that has one sample.
    pub(super) fn metric(&self, name: &str) -> Option<f64> {
        let mut lines = self.text.lines().filter_map(|line| line.split_once(' '));
        lines.find(|(metric, _)| *metric == name).and_then(|(_, value)| value.parse().ok())
    }

    /// The version of a scheduler, by its metrics.
    pub(super) fn version(&self) -> Option<&str> {
        let line = self.text.lines().find_map(|line| line.strip_prefix("reel_build_info{version=\""))?;
        line.split('"').next()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_is_off_only_where_it_cannot_be_right() {
        let at = |ms: u64| SystemTime::UNIX_EPOCH + Duration::from_millis(ms);
        assert_eq!(
            ahead(at(10_000), at(10_900), at(11_100)),
            0,
            "10.95 and 11.05 were both said as 10 or 11"
        );
        assert_eq!(ahead(at(10_000), at(9_000), at(10_000)), 0);
        assert_eq!(ahead(at(20_000), at(9_900), at(10_000)), 10);
        assert_eq!(ahead(at(10_000), at(71_000), at(71_100)), -60);
    }

    #[test]
    fn metrics_are_read() {
        let text = "# HELP x y\nreel_build_info{version=\"1.2.3\"} 1\nreel_data_free_bytes 1024\n".to_owned();
        let page = Page { is_ok: true, text, ahead_s: None };
        assert_eq!((page.version(), page.metric("reel_data_free_bytes")), (Some("1.2.3"), Some(1024.0)));
        assert_eq!(page.metric("reel_raft_term"), None);
    }
}
