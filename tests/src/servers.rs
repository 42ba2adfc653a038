//! Real servers on loopback that mezzanines are read from.

use std::fs::File;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

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
