//! A client of HTTP that does what the test says and nothing more.

use std::io::{Read, Write};
use std::net::TcpStream;

use serde_json::Value;

/// What a server answered.
#[derive(Debug)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The head, in lower case.
    pub head: String,
    /// What followed.
    pub body: Vec<u8>,
}

impl Answer {
    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.text()))
    }
}

/// Asks a server (`http://host:port` or `host:port`) for a page, with more lines of the head, each ended by CR LF.
pub fn get(server: &str, page: &str, more: &str) -> std::io::Result<Answer> {
    ask(server, "GET", page, more)
}

/// The same with any method.
pub fn ask(server: &str, method: &str, page: &str, more: &str) -> std::io::Result<Answer> {
    let mut server = TcpStream::connect(server.trim_start_matches("http://"))?;
    write!(server, "{method} {page} HTTP/1.1\r\nHost: reel\r\nConnection: close\r\n{more}\r\n")?;
    let mut said = Vec::new();
    server.read_to_end(&mut said)?;
    let end =
        said.windows(4).position(|bytes| bytes == b"\r\n\r\n").unwrap_or_else(|| panic!("{page}: no answer"));
    let head = String::from_utf8_lossy(&said[..end]).to_ascii_lowercase();
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
    let status = status.unwrap_or_else(|| panic!("{head}"));
    Ok(Answer { status, body: said[end + 4..].to_vec(), head })
}
