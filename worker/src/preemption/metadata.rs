//! A cloud's metadata service, asked over plain HTTP: no proxy, no redirect, no patience, bounded answers.

use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http_body_util::{BodyExt, Empty, Limited};
use hyper::header::{self, HeaderMap, HeaderName};
use hyper::{Method, Request, StatusCode, Uri};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use tokio::time::timeout;

use super::Trouble;

/// The service is on the same host: it answers in milliseconds.
pub(super) const PATIENCE: Duration = Duration::from_secs(5);
/// A host that is in no cloud drops packets to the link-local address.
const CONNECT_PATIENCE: Duration = Duration::from_secs(2);
/// Far above the events of the largest scale set.
const MAX_ANSWER_BYTES: usize = 1 << 20;

/// Where a metadata service is asked: an `http` URL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint(String);

/// Text that is no endpoint.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no http URL of a metadata service, such as http://169.254.169.254")]
pub struct BadEndpoint(String);

impl Endpoint {
    /// Reads the URL of a service.
    pub fn parse(url: &str) -> Result<Endpoint, BadEndpoint> {
        let bad = || BadEndpoint(url.to_owned());
        let uri: Uri = url.parse().map_err(|_| bad())?;
        let host = uri.authority().is_some_and(|authority| !authority.as_str().ends_with(':'));
        match uri.scheme_str() == Some("http") && host && uri.query().is_none() {
            true => Ok(Endpoint(url.trim_end_matches('/').to_owned())),
            false => Err(bad()),
        }
    }
}

/// A metadata service.
pub(super) struct Metadata {
    endpoint: Endpoint,
    client: Client<HttpConnector, Empty<Bytes>>,
}

/// What it said.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) text: String,
    /// When, by the service's own clock where it tells.
    at: SystemTime,
}

impl Metadata {
    pub(super) fn new(endpoint: Endpoint) -> Metadata {
        let mut connector = HttpConnector::new();
        connector.set_connect_timeout(Some(CONNECT_PATIENCE));
        // Each question has a connection of its own: a service that was restarted is not asked over a dead one.
        let client = Client::builder(TokioExecutor::new()).pool_max_idle_per_host(0).build(connector);
        Metadata { endpoint, client }
    }

    /// Asks, with one header.
    pub(super) async fn ask(
        &self,
        method: Method,
        path: &str,
        (name, value): (HeaderName, &str),
        patience: Duration,
    ) -> Result<Answer, Trouble> {
        let request = Request::builder().method(method).uri(format!("{}{path}", self.endpoint.0));
        let request = request.header(name, value).body(Empty::new());
        let request = request.map_err(|_| Trouble::Senseless("what it said before cannot be sent back"))?;
        timeout(patience, self.answer(request)).await.map_err(|_| Trouble::Late(patience))?
    }

    async fn answer(&self, request: Request<Empty<Bytes>>) -> Result<Answer, Trouble> {
        let unreachable = |error: &dyn std::error::Error| Trouble::Unreachable(root(error).to_string());
        let response = self.client.request(request).await.map_err(|error| unreachable(&error))?;
        let (head, body) = response.into_parts();
        let body = Limited::new(body, MAX_ANSWER_BYTES).collect().await;
        let body = body.map_err(|error| unreachable(&*error))?.to_bytes();
        let text = String::from_utf8(body.into()).map_err(|_| Trouble::Senseless("its answer is no text"))?;
        let date = head.headers.get(header::DATE).and_then(|date| date.to_str().ok());
        let date = date.and_then(|date| httpdate::parse_http_date(date).ok());
        let at = date.unwrap_or_else(SystemTime::now);
        Ok(Answer { status: head.status, headers: head.headers, text, at })
    }
}

/// The innermost reason, which says most in one line.
fn root(mut error: &dyn std::error::Error) -> &dyn std::error::Error {
    while let Some(source) = error.source() {
        error = source;
    }
    error
}

impl Answer {
    /// The answer, if it is one.
    pub(super) fn ok(self) -> Result<Answer, Trouble> {
        match self.status {
            StatusCode::OK => Ok(self),
            status => Err(Trouble::Refused(status.as_u16())),
        }
    }

    /// How long it was until `time` when the service answered, by its own clock: that of this host may be wrong.
    pub(super) fn until(&self, time: SystemTime) -> Duration {
        time.duration_since(self.at).unwrap_or_default()
    }

    /// How long ago `time` was.
    pub(super) fn since(&self, time: SystemTime) -> Duration {
        self.at.duration_since(time).unwrap_or_default()
    }
}

#[cfg(test)]
pub(super) fn said(text: &str, at: &str) -> Answer {
    let at = httpdate::parse_http_date(at).expect("a date");
    Answer { status: StatusCode::OK, headers: HeaderMap::new(), text: text.to_owned(), at }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints_are_http_urls() {
        assert_eq!(Endpoint::parse("http://169.254.169.254/").unwrap().0, "http://169.254.169.254");
        assert_eq!(Endpoint::parse("http://[fd00:ec2::254]").unwrap().0, "http://[fd00:ec2::254]");
        assert_eq!(Endpoint::parse("http://127.0.0.1:1338/a").unwrap().0, "http://127.0.0.1:1338/a");
        for bad in ["", "169.254.169.254", "https://169.254.169.254", "http://", "http://a/?b", "http://a b"]
        {
            let message = Endpoint::parse(bad).unwrap_err().to_string();
            assert!(message.contains("no http URL"), "{message}");
        }
    }
}
