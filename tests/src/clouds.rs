//! Object stores on loopback: S3 and the XML interface of Google over `s3s-fs`, and Azurite.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use hyper::header::{AUTHORIZATION, HeaderValue, IF_NONE_MATCH};
use hyper::service::service_fn;
use hyper::{Response, StatusCode};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use s3s::auth::SimpleAuth;
use s3s::service::{S3Service, S3ServiceBuilder};
use s3s::{Body, HttpRequest, HttpResponse};
use s3s_fs::FileSystem;
use tokio::runtime::Runtime;
use tokio::task::JoinSet;

use crate::reel::until;
use crate::servers::free_address;
use crate::target_dir;
use crate::weather::Weather;

/// Far above what the slowest of them needs to start.
const PATIENCE: Duration = Duration::from_secs(60);

/// Variables of a client's environment.
pub type Variables = Vec<(&'static str, String)>;

/// What answers requests.
#[derive(Clone)]
enum Front {
    Amazon(S3Service),
    Google(S3Service),
}

/// A server that can go away and come back at the same address.
struct Server {
    address: SocketAddr,
    front: Front,
    weather: Arc<Weather>,
    /// While it listens. Not waited for at the end, which may come within another runtime.
    runtime: Option<Runtime>,
}

impl Server {
    fn start(front: Front, weather: Weather) -> Self {
        let (address, weather) = (free_address(), Arc::new(weather));
        let mut server = Server { address, front, weather, runtime: None };
        server.listen();
        server
    }

    fn listen(&mut self) {
        let listener = TcpListener::bind(self.address).expect("nobody took the address meanwhile");
        listener.set_nonblocking(true).expect("a socket can be told so");
        let runtime = Runtime::new().expect("threads can be started");
        runtime.spawn(accept(listener, self.front.clone(), Arc::clone(&self.weather)));
        self.runtime = Some(runtime);
    }

    /// Connections are refused, and those that are open end.
    fn go_away(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
        until("connections to be refused", PATIENCE, || TcpStream::connect(self.address).is_err());
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

async fn accept(listener: TcpListener, front: Front, weather: Arc<Weather>) {
    let listener = tokio::net::TcpListener::from_std(listener).expect("a socket of this system");
    // They end with this set.
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        let (front, weather) = (front.clone(), Arc::clone(&weather));
        connections.spawn(async move {
            let serve = service_fn(|request: hyper::Request<hyper::body::Incoming>| {
                let (front, weather) = (front.clone(), Arc::clone(&weather));
                async move { weather.pass(request.map(Body::from), |request| front.answer(request)).await }
            });
            // A client that hangs up is no matter here.
            let _ =
                auto::Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(stream), serve).await;
        });
    }
}

impl Front {
    async fn answer(self, request: HttpRequest) -> HttpResponse {
        match self {
            Front::Amazon(service) => call(&service, request).await,
            Front::Google(service) => google(&service, request).await,
        }
    }
}

async fn call(service: &S3Service, request: HttpRequest) -> HttpResponse {
    match service.call(request).await {
        Ok(answer) => answer,
        Err(error) => {
            let mut answer = Response::new(Body::from(format!("{error:?}")));
            *answer.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
            answer
        }
    }
}

/// Google's XML interface is S3's but for its headers: bearer tokens, and generations for conditions.
async fn google(service: &S3Service, mut request: HttpRequest) -> HttpResponse {
    let token = format!("Bearer {}", Gcs::SECRET);
    let headers = request.headers_mut();
    if headers.remove(AUTHORIZATION).is_none_or(|given| given != token.as_str()) {
        let mut answer = Response::new(Body::empty());
        *answer.status_mut() = StatusCode::UNAUTHORIZED;
        return answer;
    }
    if headers.remove("x-goog-if-generation-match").is_some_and(|generation| generation == "0") {
        headers.insert(IF_NONE_MATCH, HeaderValue::from_static("*"));
    }
    let mut answer = call(service, request).await;
    answer.headers_mut().insert("x-goog-generation", HeaderValue::from_static("1"));
    answer
}

fn service(folder: &Path, secret: Option<&str>) -> S3Service {
    let mut service = S3ServiceBuilder::new(FileSystem::new(folder).expect("a folder"));
    if let Some(secret) = secret {
        service.set_auth(SimpleAuth::from_single("studio", secret));
    }
    service.build()
}

/// The folders in a folder as buckets of an S3 server. It ends when this is dropped.
pub struct S3(Server);

impl S3 {
    /// The secret that every request must be signed with.
    pub const SECRET: &str = "kept-out-of-logs-and-state";

    /// Serves the buckets in `folder`.
    pub fn serve(folder: &Path) -> Self {
        Self::serve_in(folder, Weather::fair())
    }

    /// Serves them while faults befall the requests.
    pub fn serve_in(folder: &Path, weather: Weather) -> Self {
        S3(Server::start(Front::Amazon(service(folder, Some(Self::SECRET))), weather))
    }

    /// What befalls the requests.
    pub fn weather(&self) -> &Weather {
        &self.0.weather
    }

    /// Connections are refused from now on, and those that are open end.
    pub fn go_away(&mut self) {
        self.0.go_away();
    }

    /// Is there again.
    pub fn come_back(&mut self) {
        self.0.listen();
    }

    /// What a client's environment must say.
    pub fn environment(&self, secret: &str) -> Variables {
        vec![
            ("AWS_ENDPOINT", format!("http://{}", self.0.address)),
            ("AWS_ALLOW_HTTP", "true".to_owned()),
            ("AWS_REGION", "us-east-1".to_owned()),
            ("AWS_ACCESS_KEY_ID", "studio".to_owned()),
            ("AWS_SECRET_ACCESS_KEY", secret.to_owned()),
        ]
    }
}

/// The folders in a folder as buckets behind Google's XML interface. It ends when this is dropped.
pub struct Gcs(Server);

impl Gcs {
    /// The token that every request must bear.
    pub const SECRET: &str = "a-token-that-nobody-else-has";

    /// Serves the buckets in `folder`.
    pub fn serve(folder: &Path) -> Self {
        Gcs(Server::start(Front::Google(service(folder, None)), Weather::fair()))
    }

    /// What a client's environment must say.
    pub fn environment(&self, token: &str) -> Variables {
        vec![
            ("GOOGLE_BASE_URL", format!("http://{}", self.0.address)),
            ("GOOGLE_BEARER_TOKEN", token.to_owned()),
        ]
    }
}

/// Azurite, Microsoft's emulator of Azure's blobs, with one container. It ends when this is dropped.
pub struct Azure {
    server: Child,
    address: SocketAddr,
}

/// Makes a container by a request that is signed with the account's key, as the manual of Azure's Shared Key says.
const MAKE_CONTAINER: &str = r#"
const [account, key, port, container] = process.argv.slice(1);
const headers = { "x-ms-date": new Date().toUTCString(), "x-ms-version": "2021-08-06", "content-length": "0" };
const signed = "PUT" + "\n".repeat(12) + `x-ms-date:${headers["x-ms-date"]}\nx-ms-version:2021-08-06\n`
    + `/${account}/${account}/${container}\nrestype:container`;
const hmac = require("crypto").createHmac("sha256", Buffer.from(key, "base64")).update(signed, "utf8");
headers.authorization = `SharedKey ${account}:${hmac.digest("base64")}`;
const path = `/${account}/${container}?restype=container`;
const request = require("http").request({ host: "127.0.0.1", port, path, method: "PUT", headers }, answer => {
    answer.on("data", data => console.error(String(data)));
    process.exitCode = answer.statusCode === 201 ? 0 : 1;
});
request.end();
"#;

impl Azure {
    /// The account that Azurite knows.
    const ACCOUNT: &str = "devstoreaccount1";
    /// The key that every Azurite has; it is printed in its manual.
    pub const SECRET: &str =
        "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==";

    /// Serves an empty container from memory.
    pub fn serve(container: &str) -> Self {
        let address = free_address();
        let program = target_dir().join("azurite/node_modules/azurite/dist/src/blob/main.js");
        assert!(program.exists(), "{} is missing: run `make azurite`", program.display());
        let mut command = Command::new("node");
        command.arg(program).args(["--inMemoryPersistence", "--silent", "--skipApiVersionCheck"]);
        command.args(["--disableTelemetry", "--blobHost", "127.0.0.1", "--blobPort"]);
        command.arg(address.port().to_string()).stdin(Stdio::null()).stdout(Stdio::null());
        let server = command.spawn().unwrap_or_else(|e| panic!("cannot run {command:?}: {e}"));
        let mut azure = Azure { server, address };
        until("Azurite", PATIENCE, || {
            assert!(azure.server.try_wait().expect("a child can be waited for").is_none(), "Azurite ended");
            TcpStream::connect(address).is_ok()
        });
        azure.make(container);
        azure
    }

    fn url(&self) -> String {
        format!("http://{}/{}", self.address, Self::ACCOUNT)
    }

    fn make(&self, container: &str) {
        let (port, key) = (self.address.port().to_string(), Self::SECRET);
        let mut command = Command::new("node");
        command.args(["-e", MAKE_CONTAINER, Self::ACCOUNT, key, &port, container]);
        let ended = command.output().expect("node is there");
        assert!(ended.status.success(), "{}", String::from_utf8_lossy(&ended.stderr));
    }

    /// What a client's environment must say.
    pub fn environment(&self, key: &str) -> Variables {
        vec![
            ("AZURE_STORAGE_ENDPOINT", self.url()),
            ("AZURE_STORAGE_ACCOUNT_NAME", Self::ACCOUNT.to_owned()),
            ("AZURE_STORAGE_ACCOUNT_KEY", key.to_owned()),
        ]
    }
}

impl Drop for Azure {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}
