//! Faults of a server, chosen by a seed: what networks and busy services do to requests and answers.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures::stream;
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Frame;
use hyper::header::{CONTENT_TYPE, RETRY_AFTER};
use hyper::{Method, Response, StatusCode};
use s3s::{Body, HttpRequest, HttpResponse};

use crate::Dice;

/// What may happen to one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// 500, and nothing is done.
    Broken,
    /// 503, and nothing is done.
    Busy,
    /// 503 with the wish to be left alone for a second.
    BusyForLong,
    /// It is done, and the answer is 500.
    BrokenAfter,
    /// The connection is cut before anything is read.
    CutBefore,
    /// The connection is cut in the middle of what is sent.
    CutRequest,
    /// It is done, and the connection is cut instead of an answer.
    LostAnswer,
    /// The connection is cut in the middle of the answer.
    CutAnswer,
    /// It is done, a second later.
    Slow,
    /// The end of an upload is answered with 200 and an error inside, as S3 may do. Nothing is done.
    ErrorInside,
    /// It is done, and no answer ever comes.
    Stuck,
}

impl Fault {
    /// All of them but [`Fault::Stuck`], which takes a minute to be found out by default.
    pub const ALL: [Fault; 10] = [
        Fault::Broken,
        Fault::Busy,
        Fault::BusyForLong,
        Fault::BrokenAfter,
        Fault::CutBefore,
        Fault::CutRequest,
        Fault::LostAnswer,
        Fault::CutAnswer,
        Fault::Slow,
        Fault::ErrorInside,
    ];
}

/// The connection ends here.
#[derive(Debug)]
pub struct Cut;

impl std::fmt::Display for Cut {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the connection was cut on purpose")
    }
}

impl std::error::Error for Cut {}

/// How the requests to one server fare.
pub struct Weather {
    state: Mutex<State>,
}

struct State {
    dice: Dice,
    /// Requests of a thousand that meet a fault.
    per_mille: u64,
    faults: Vec<Fault>,
    requests: u64,
    met: BTreeMap<Fault, u64>,
}

impl Weather {
    /// Every request is answered.
    pub fn fair() -> Self {
        Self::storm(Dice::new(0), 0, &Fault::ALL)
    }

    /// Of a thousand requests about `per_mille` meet one of `faults`.
    pub fn storm(dice: Dice, per_mille: u64, faults: &[Fault]) -> Self {
        let state = State { dice, per_mille, faults: faults.to_vec(), requests: 0, met: BTreeMap::new() };
        Weather { state: Mutex::new(state) }
    }

    fn with<T>(&self, act: impl FnOnce(&mut State) -> T) -> T {
        act(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// From now on nothing happens to any request.
    pub fn clear(&self) {
        self.with(|state| state.per_mille = 0);
    }

    /// Requests so far, and how many met each fault.
    pub fn met(&self) -> (u64, BTreeMap<Fault, u64>) {
        self.with(|state| (state.requests, state.met.clone()))
    }

    /// An upload whose beginning was done, and not answered, has a name that nobody knows: a rule of the bucket ends it,
    /// and no fault here makes one.
    fn next(&self, begins_upload: bool, ends_upload: bool) -> Option<Fault> {
        use Fault::{BrokenAfter, CutAnswer, CutRequest, LostAnswer, Stuck};
        let loses_name = [BrokenAfter, CutRequest, LostAnswer, CutAnswer, Stuck];
        self.with(|state| {
            state.requests += 1;
            if state.dice.below(1000) >= state.per_mille {
                return None;
            }
            let fault = state.faults[state.dice.below(state.faults.len() as u64) as usize];
            if fault == Fault::ErrorInside && !ends_upload || begins_upload && loses_name.contains(&fault) {
                return None;
            }
            *state.met.entry(fault).or_default() += 1;
            Some(fault)
        })
    }

    /// Passes a request to the server, or does to it what the weather brings.
    pub async fn pass<F: Future<Output = HttpResponse>>(
        &self,
        request: HttpRequest,
        serve: impl FnOnce(HttpRequest) -> F,
    ) -> Result<HttpResponse, Cut> {
        let query = request.uri().query().unwrap_or_default();
        let ends_upload = request.method() == Method::POST && query.contains("uploadId=");
        let begins_upload = request.method() == Method::POST && query.starts_with("uploads");
        match self.next(begins_upload, ends_upload) {
            None => Ok(serve(request).await),
            Some(Fault::Broken) => Ok(answer(StatusCode::INTERNAL_SERVER_ERROR, "InternalError")),
            Some(Fault::Busy) => Ok(answer(StatusCode::SERVICE_UNAVAILABLE, "SlowDown")),
            Some(Fault::BusyForLong) => {
                let mut busy = answer(StatusCode::SERVICE_UNAVAILABLE, "SlowDown");
                busy.headers_mut().insert(RETRY_AFTER, 1.into());
                Ok(busy)
            }
            Some(Fault::BrokenAfter) => {
                serve(request).await;
                Ok(answer(StatusCode::INTERNAL_SERVER_ERROR, "InternalError"))
            }
            Some(Fault::CutBefore) => Err(Cut),
            Some(Fault::CutRequest) => {
                let (head, body) = request.into_parts();
                let body = body.collect().await.map_err(|_| Cut)?.to_bytes();
                serve(HttpRequest::from_parts(head, half(&body))).await;
                Err(Cut)
            }
            Some(Fault::LostAnswer) => {
                serve(request).await;
                Err(Cut)
            }
            Some(Fault::CutAnswer) => {
                let (head, body) = serve(request).await.into_parts();
                let body = body.collect().await.map_err(|_| Cut)?.to_bytes();
                match body.len() {
                    0 | 1 => Err(Cut),
                    _ => Ok(Response::from_parts(head, half(&body))),
                }
            }
            Some(Fault::Slow) => {
                tokio::time::sleep(Duration::from_secs(1)).await;
                Ok(serve(request).await)
            }
            Some(Fault::ErrorInside) => Ok(answer(StatusCode::OK, "InternalError")),
            Some(Fault::Stuck) => {
                serve(request).await;
                std::future::pending().await
            }
        }
    }
}

fn answer(status: StatusCode, code: &str) -> HttpResponse {
    let xml = format!("<Error><Code>{code}</Code><Message>on purpose</Message></Error>");
    let mut answer = Response::new(Body::from(xml));
    *answer.status_mut() = status;
    answer.headers_mut().insert(CONTENT_TYPE, hyper::header::HeaderValue::from_static("application/xml"));
    answer
}

/// The first half of the bytes, and then the end of the connection.
fn half(bytes: &Bytes) -> Body {
    let frames = [Ok(Frame::data(bytes.slice(..bytes.len() / 2))), Err(Cut)];
    Body::http_body_unsync(StreamBody::new(stream::iter(frames)))
}
