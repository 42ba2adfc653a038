//! Stand-ins for the metadata services of clouds: they answer as the providers document, and go wrong when they are told to.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::{ETAG, HeaderName, HeaderValue};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use tokio::runtime::Runtime;
use tokio::sync::watch;
use tokio::time::timeout;

/// What a stand-in does to every question while it is out of order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It takes the question and never answers.
    Hangs,
    /// It answers with this status.
    Status(u16),
    /// It answers with a page that is not its own, as where somebody else has its address.
    Stranger,
    /// It answers with far more than it should.
    Floods,
}

/// Whose service is stood in for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Provider {
    Aws,
    Gcp,
    Azure,
}

/// A metadata service on loopback. It ends when this is dropped.
pub struct StandIn {
    provider: Provider,
    address: SocketAddr,
    state: Arc<State>,
    /// Runs the server.
    _runtime: Runtime,
}

struct State {
    provider: Provider,
    inner: Mutex<Inner>,
    /// Counts the changes of items.
    changes: watch::Sender<u64>,
}

#[derive(Default)]
struct Inner {
    items: BTreeMap<&'static str, String>,
    fault: Option<Fault>,
    /// Session tokens of AWS that count.
    tokens: Vec<String>,
    answers: Vec<u16>,
}

type Reply = Response<Full<Bytes>>;

impl StandIn {
    /// The service of AWS, before any notice.
    pub fn aws() -> StandIn {
        StandIn::start(Provider::Aws)
    }

    /// The server of Google Cloud, before any notice.
    pub fn gcp() -> StandIn {
        let server = StandIn::start(Provider::Gcp);
        server.say("/computeMetadata/v1/instance/preempted", "FALSE");
        server
    }

    /// The service of Azure on the machine `name`, before any event.
    pub fn azure(name: &str) -> StandIn {
        let service = StandIn::start(Provider::Azure);
        service.say("/metadata/instance/compute/name", name);
        service.schedule(1, &[]);
        service
    }

    fn start(provider: Provider) -> StandIn {
        let (changes, _) = watch::channel(1);
        let state = Arc::new(State { provider, inner: Mutex::default(), changes });
        let runtime = Runtime::new().expect("threads can be started");
        let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0"));
        let listener = listener.expect("loopback has a free port");
        let address = listener.local_addr().expect("it is bound");
        runtime.spawn(accept(listener, Arc::clone(&state)));
        StandIn { provider, address, state, _runtime: runtime }
    }

    /// Where it answers.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What the options and the environment of a worker must say.
    pub fn notices(&self) -> (String, Vec<(&'static str, String)>) {
        let (url, host) = (format!("http://{}", self.address), self.address.to_string());
        let (cloud, endpoint) = match self.provider {
            Provider::Aws => ("aws", ("AWS_EC2_METADATA_SERVICE_ENDPOINT", url)),
            Provider::Gcp => ("gcp", ("GCE_METADATA_HOST", host)),
            Provider::Azure => ("azure", ("REEL_AZURE_METADATA_ENDPOINT", url)),
        };
        // Whoever asks a proxy does not hear of a notice: nobody is there.
        let proxy = ("http_proxy", "http://127.0.0.1:9".to_owned());
        (format!("--cloud {cloud}"), vec![endpoint, proxy])
    }

    /// AWS: the instance is terminated after `left`.
    pub fn terminate(&self, left: Duration) {
        let time = humantime::format_rfc3339_seconds(SystemTime::now() + left);
        let action = format!(r#"{{"action": "terminate", "time": "{time}"}}"#);
        self.say("/latest/meta-data/spot/instance-action", &action);
    }

    /// AWS: an interruption is likelier than usual.
    pub fn recommend_rebalance(&self) {
        let time = humantime::format_rfc3339_seconds(SystemTime::now());
        let notice = format!(r#"{{"noticeTime": "{time}"}}"#);
        self.say("/latest/meta-data/events/recommendations/rebalance", &notice);
    }

    /// AWS: no token that was given counts any more.
    pub fn forget_tokens(&self) {
        self.state.inner().tokens.clear();
    }

    /// Google Cloud: the machine is preempted.
    pub fn preempt(&self) {
        self.say("/computeMetadata/v1/instance/preempted", "TRUE");
    }

    /// Azure: the list of events, as [`event`] makes them.
    pub fn schedule(&self, incarnation: u32, events: &[String]) {
        let events = events.join(",");
        let document = format!(r#"{{"DocumentIncarnation":{incarnation},"Events":[{events}]}}"#);
        self.say("/metadata/scheduledevents", &document);
    }

    fn say(&self, item: &'static str, text: &str) {
        self.state.inner().items.insert(item, text.to_owned());
        self.state.changes.send_modify(|changes| *changes += 1);
    }

    /// From now on it is out of order, or in order again.
    pub fn fail(&self, fault: Option<Fault>) {
        self.state.inner().fault = fault;
    }

    /// The status of each answer so far; 0 for a question that it has let hang.
    pub fn answers(&self) -> Vec<u16> {
        self.state.inner().answers.clone()
    }
}

/// An event of Azure: `Preempt`, of the machine `name`, in `left`; started already where that is `None`.
pub fn event(kind: &str, name: &str, left: Option<Duration>) -> String {
    let time = left.map(|left| httpdate::fmt_http_date(SystemTime::now() + left));
    let (status, not_before) = match &time {
        Some(time) => ("Scheduled", time.as_str()),
        None => ("Started", ""),
    };
    format!(
        r#"{{"EventId":"{kind}-{name}","EventStatus":"{status}","EventType":"{kind}","ResourceType":"VirtualMachine",
        "Resources":["{name}"],"NotBefore":"{not_before}","Description":"","EventSource":"Platform",
        "DurationInSeconds":-1}}"#
    )
}

async fn accept(listener: tokio::net::TcpListener, state: Arc<State>) {
    while let Ok((stream, _)) = listener.accept().await {
        let state = Arc::clone(&state);
        tokio::spawn(async move {
            let service = service_fn(move |request| {
                let state = Arc::clone(&state);
                async move { Ok::<_, Infallible>(state.serve(request).await) }
            });
            let server = auto::Builder::new(TokioExecutor::new());
            // A client that hangs up is no matter here.
            let _ = server.serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

impl State {
    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn serve(&self, request: Request<Incoming>) -> Reply {
        let fault = self.inner().fault;
        if fault == Some(Fault::Hangs) {
            self.inner().answers.push(0);
            return std::future::pending().await;
        }
        let reply = match fault {
            Some(Fault::Status(status)) => plain(status, "out of order"),
            Some(Fault::Stranger) => plain(200, "<html>Please log in. TRUE terminate Preempt</html>"),
            Some(Fault::Floods) => plain(200, &"TRUE ".repeat(1 << 20)),
            _ => match self.provider {
                // All three refuse what came through a proxy.
                _ if request.headers().contains_key("x-forwarded-for") => plain(403, "forwarded"),
                Provider::Aws => self.aws(&request),
                Provider::Gcp => self.gcp(&request).await,
                Provider::Azure => self.azure(&request),
            },
        };
        self.inner().answers.push(reply.status().as_u16());
        reply
    }

    fn item(&self, path: &str) -> Reply {
        match self.inner().items.get(path) {
            Some(text) => plain(200, text),
            None => plain(404, "not found"),
        }
    }

    /// Amazon EC2 User Guide, "Use the Instance Metadata Service to access instance metadata".
    fn aws(&self, request: &Request<Incoming>) -> Reply {
        let path = request.uri().path();
        if request.method() == Method::PUT && path == "/latest/api/token" {
            let life =
                header(request, "x-aws-ec2-metadata-token-ttl-seconds").and_then(|life| life.parse().ok());
            return match life {
                Some(1..=21_600_u32) => {
                    let mut inner = self.inner();
                    let token = format!("AQAEA-token-{}==", inner.answers.len());
                    inner.tokens.push(token.clone());
                    plain(200, &token)
                }
                _ => plain(400, "no time to live"),
            };
        }
        let token = header(request, "x-aws-ec2-metadata-token");
        let known = token.is_some_and(|token| self.inner().tokens.iter().any(|known| known == token));
        match (known, request.method()) {
            (false, _) => plain(401, "unauthorized"),
            (true, &Method::GET) => self.item(path),
            (true, _) => plain(405, "not allowed"),
        }
    }

    /// Compute Engine documentation, "View and query VM metadata".
    async fn gcp(&self, request: &Request<Incoming>) -> Reply {
        if header(request, "metadata-flavor") != Some("Google") {
            return plain(403, "missing Metadata-Flavor:Google header");
        }
        let mut changes = self.changes.subscribe();
        if query(request, "wait_for_change") == Some("true") {
            let seen = query(request, "last_etag").and_then(|etag| u64::from_str_radix(etag, 16).ok());
            let seen = seen.unwrap_or(*changes.borrow());
            let most = query(request, "timeout_sec").and_then(|seconds| seconds.parse().ok());
            let changed = changes.wait_for(|now| *now != seen);
            // At the end of its patience it answers with what has not changed.
            let _ = timeout(Duration::from_secs(most.unwrap_or(3600)), changed).await;
        }
        let etag = format!("{:016x}", *self.changes.borrow());
        let mut reply = self.item(request.uri().path());
        reply
            .headers_mut()
            .insert(HeaderName::from_static("metadata-flavor"), HeaderValue::from_static("Google"));
        reply.headers_mut().insert(ETAG, etag.parse().expect("it is a word"));
        reply
    }

    /// Azure documentation, "Azure Instance Metadata Service" and "Scheduled Events for Linux VMs".
    fn azure(&self, request: &Request<Incoming>) -> Reply {
        let known = ["2020-07-01", "2021-02-01"].map(Some).contains(&query(request, "api-version"));
        match (header(request, "metadata"), known) {
            (Some("true"), true) => self.item(request.uri().path()),
            _ => plain(400, "bad request"),
        }
    }
}

fn header<'a>(request: &'a Request<Incoming>, name: &str) -> Option<&'a str> {
    request.headers().get(name)?.to_str().ok()
}

fn query<'a>(request: &'a Request<Incoming>, name: &str) -> Option<&'a str> {
    let pairs = request.uri().query()?.split('&').filter_map(|pair| pair.split_once('='));
    pairs.filter(|(key, _)| *key == name).map(|(_, value)| value).next()
}

fn plain(status: u16, text: &str) -> Reply {
    let mut reply = Response::new(Full::new(Bytes::copy_from_slice(text.as_bytes())));
    *reply.status_mut() = StatusCode::from_u16(status).expect("a status");
    reply
}
