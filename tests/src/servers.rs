//! Real servers on loopback that mezzanines are read from.

use std::fs::File;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use s3s::auth::SimpleAuth;
use s3s::service::{S3Service, S3ServiceBuilder};
use s3s_fs::FileSystem;
use tokio::runtime::Runtime;

use crate::reel::until;

/// The files of a folder behind HTTP: `rclone serve http`. It ends when this is dropped.
pub struct Http {
    server: Child,
    address: SocketAddr,
}

impl Http {
    /// Serves `folder`; what the server says is written to `log`.
    pub fn serve(folder: &Path, log: &Path) -> Self {
        let address = free_address();
        let said = File::create(log).expect("a writable folder");
        let mut command = Command::new("rclone");
        command.args(["serve", "http", "--read-only", "--dir-cache-time", "0s", "--addr"]);
        command.arg(address.to_string()).arg(folder).stdin(Stdio::null()).stdout(Stdio::null()).stderr(said);
        let server = command.spawn().unwrap_or_else(|e| panic!("cannot run {command:?}: {e}"));
        let mut http = Http { server, address };
        until("the HTTP server", Duration::from_secs(30), || {
            assert!(http.server.try_wait().expect("a child can be waited for").is_none(), "see {log:?}");
            TcpStream::connect(address).is_ok()
        });
        http
    }

    /// The URL of a file.
    pub fn url(&self, name: &str) -> String {
        format!("http://{}/{name}", self.address)
    }
}

impl Drop for Http {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

/// An address that nobody listened on a moment ago.
pub fn free_address() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
    listener.local_addr().expect("it is bound")
}

/// The folders in a folder as buckets of an S3 server. It ends when this is dropped.
pub struct S3 {
    address: SocketAddr,
    /// Runs the server.
    _runtime: Runtime,
}

impl S3 {
    /// The secret that every request must be signed with.
    pub const SECRET: &str = "kept-out-of-logs-and-state";

    /// Serves the buckets in `folder`.
    pub fn serve(folder: &Path) -> Self {
        let mut service = S3ServiceBuilder::new(FileSystem::new(folder).expect("a folder"));
        service.set_auth(SimpleAuth::from_single("studio", Self::SECRET));
        let service = service.build();
        let runtime = Runtime::new().expect("threads can be started");
        let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0"));
        let listener = listener.expect("loopback has a free port");
        let address = listener.local_addr().expect("it is bound");
        runtime.spawn(accept(listener, service));
        S3 { address, _runtime: runtime }
    }

    /// What a client's environment must say.
    pub fn environment(&self, secret: &str) -> [(&'static str, String); 5] {
        [
            ("AWS_ENDPOINT", format!("http://{}", self.address)),
            ("AWS_ALLOW_HTTP", "true".to_owned()),
            ("AWS_REGION", "us-east-1".to_owned()),
            ("AWS_ACCESS_KEY_ID", "studio".to_owned()),
            ("AWS_SECRET_ACCESS_KEY", secret.to_owned()),
        ]
    }
}

async fn accept(listener: tokio::net::TcpListener, service: S3Service) {
    while let Ok((stream, _)) = listener.accept().await {
        let service = service.clone();
        tokio::spawn(async move {
            let server = auto::Builder::new(TokioExecutor::new());
            // A client that hangs up is no matter here.
            let _ = server.serve_connection(TokioIo::new(stream), service).await;
        });
    }
}
