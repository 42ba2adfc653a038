//! Real servers on loopback that mezzanines are read from.

use std::fs::{self, File};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::reel::until;
use crate::target_dir;

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

/// Ports that are given out: below those that Linux takes for clients by default.
const PORTS: std::ops::Range<u32> = 18_000..32_000;

/// An address that nobody listens on, and that no other test is given while this process lives.
pub fn free_address() -> SocketAddr {
    static HELD: Mutex<Vec<File>> = Mutex::new(Vec::new());
    let folder = target_dir().join("test-ports");
    fs::create_dir_all(&folder).expect("target is writable");
    let count = PORTS.len() as u32;
    let ports = (0..count).map(|step| PORTS.start + (std::process::id().wrapping_mul(64) + step) % count);
    for port in ports {
        let file = File::create(folder.join(port.to_string())).expect("target is writable");
        let address = SocketAddr::from(([127, 0, 0, 1], port as u16));
        if file.try_lock().is_ok() && TcpListener::bind(address).is_ok() {
            HELD.lock().unwrap_or_else(PoisonError::into_inner).push(file);
            return address;
        }
    }
    panic!("loopback has no free port");
}
