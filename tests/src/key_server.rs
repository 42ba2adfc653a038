//! A key server on loopback that answers as it is told: with keys, with errors, with what are none, or not at all.

use std::collections::VecDeque;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crate::reel::until;

/// Nobody waits longer for a request to end.
const PATIENCE: Duration = Duration::from_secs(60);

/// What comes of one opening of the keys: a question for their size, and what is asked next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// These bytes.
    Keys(Vec<u8>),
    /// A status line without a body.
    Status(&'static str),
    /// The size of these bytes, and 500 in their place.
    Withheld(Vec<u8>),
    /// The size of these bytes, and then bytes without an end.
    Endless(Vec<u8>),
    /// Nobody listens any more.
    Away,
}

/// The server. It ends when this is dropped.
pub struct KeyServer {
    address: SocketAddr,
    script: Arc<Mutex<Script>>,
    listening: Option<JoinHandle<()>>,
}

struct Script {
    /// Of the next openings; the last stays.
    answers: VecDeque<Answer>,
    opened: u64,
    ended: bool,
    /// What it wants to be shown.
    token: Option<&'static str>,
}

impl KeyServer {
    /// Answers the openings in order, and all that come later as the last.
    pub fn serve(answers: impl IntoIterator<Item = Answer>) -> Self {
        Self::serve_to(None, answers)
    }

    /// The same for who shows a token.
    pub fn serve_to(token: Option<&'static str>, answers: impl IntoIterator<Item = Answer>) -> Self {
        let address = crate::servers::free_address();
        let answers = answers.into_iter().collect();
        let script = Arc::new(Mutex::new(Script { answers, opened: 0, ended: false, token }));
        let mut server = KeyServer { address, script, listening: None };
        server.listen();
        server
    }

    /// Where the keys are.
    pub fn url(&self) -> String {
        format!("http://{}/title.keys", self.address)
    }

    /// How often the keys were opened.
    pub fn opened(&self) -> u64 {
        lock(&self.script).opened
    }

    /// Answers otherwise from now on, and listens again if it was away.
    pub fn answer(&mut self, answer: Answer) {
        lock(&self.script).answers = [answer].into();
        let is_away = self.listening.as_ref().is_none_or(JoinHandle::is_finished);
        if is_away {
            self.listen();
        }
    }

    fn listen(&mut self) {
        let listener = TcpListener::bind(self.address).expect("nobody took the address meanwhile");
        let script = Arc::clone(&self.script);
        self.listening = Some(thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                // A client that hangs up is no matter here.
                let _ = serve(stream, &script);
                let script = lock(&script);
                if script.ended || script.answers.front() == Some(&Answer::Away) {
                    return;
                }
            }
        }));
    }
}

impl Drop for KeyServer {
    fn drop(&mut self) {
        lock(&self.script).ended = true;
        let listening = self.listening.take();
        until("the key server to end", PATIENCE, || {
            let ended = listening.as_ref().is_none_or(JoinHandle::is_finished);
            // It looks up when somebody calls.
            ended || TcpStream::connect(self.address).is_err()
        });
    }
}

fn lock(script: &Mutex<Script>) -> std::sync::MutexGuard<'_, Script> {
    script.lock().unwrap_or_else(PoisonError::into_inner)
}

/// One request of a client that reads an object in ranges (RFC 9110, section 14).
fn serve(mut stream: TcpStream, script: &Mutex<Script>) -> std::io::Result<()> {
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut request = Vec::new();
    let mut byte = [0];
    while !request.ends_with(b"\r\n\r\n") && stream.read(&mut byte)? == 1 {
        request.push(byte[0]);
    }
    let request = String::from_utf8_lossy(&request).to_ascii_lowercase();
    let is_get = request.starts_with("get");
    let answer = {
        let mut script = lock(script);
        let shown = |token| request.contains(&format!("authorization: bearer {token}\r\n"));
        if !script.token.is_none_or(shown) {
            return write!(
                stream,
                "HTTP/1.1 401 Unauthorized\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"
            );
        }
        script.opened += u64::from(request.starts_with("head"));
        let answer = script.answers.front().cloned().unwrap_or(Answer::Away);
        let over = is_get || matches!(answer, Answer::Status(_));
        if over && script.answers.len() > 1 {
            script.answers.pop_front();
        }
        answer
    };
    let common = "last-modified: Sat, 21 Nov 2026 00:00:00 GMT\r\nconnection: close\r\n";
    match answer {
        Answer::Keys(bytes) if is_get => {
            let (last, length) = (bytes.len().saturating_sub(1), bytes.len());
            let range = format!("content-range: bytes 0-{last}/{length}\r\ncontent-length: {length}\r\n");
            write!(stream, "HTTP/1.1 206 Partial Content\r\n{common}{range}\r\n")?;
            stream.write_all(&bytes)
        }
        Answer::Endless(bytes) if is_get => {
            let (last, length) = (bytes.len().saturating_sub(1), bytes.len());
            let range = format!("content-range: bytes 0-{last}/{length}\r\ncontent-length: {}\r\n", u32::MAX);
            write!(stream, "HTTP/1.1 206 Partial Content\r\n{common}{range}\r\n")?;
            loop {
                stream.write_all(&bytes)?;
            }
        }
        Answer::Withheld(_) if is_get => {
            write!(stream, "HTTP/1.1 500 Internal Server Error\r\n{common}content-length: 0\r\n\r\n")
        }
        Answer::Keys(bytes) | Answer::Endless(bytes) | Answer::Withheld(bytes) => {
            write!(stream, "HTTP/1.1 200 OK\r\n{common}content-length: {}\r\n\r\n", bytes.len())
        }
        Answer::Status(status) => write!(stream, "HTTP/1.1 {status}\r\n{common}content-length: 0\r\n\r\n"),
        Answer::Away => Ok(()),
    }
}
