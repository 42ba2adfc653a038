//! Requests that wait for their answers, and are sent again until they have them.
//!
//! They live in memory. What they speak of lies in the store already, under its recipe key or digest, so an agent that
//! dies with an unanswered commit costs the next attempt a look into the store, not an encode.

use std::collections::BTreeMap;

use reel_common::Epoch;

use crate::{Request, RequestId};

/// A request is sent again when it was not answered for so long: a few round trips and a commit to disk.
pub const RESEND_MS: u64 = 5_000;
/// While so many requests are unanswered nothing more is published: the scheduler does not keep up, or is away.
pub const MAX_UNANSWERED: usize = 256;

/// Unanswered requests, oldest first.
#[derive(Debug)]
pub(crate) struct Outbox<R> {
    next: u64,
    waiting: BTreeMap<RequestId, Waiting<R>>,
}

#[derive(Debug)]
struct Waiting<R> {
    request: Request<R>,
    /// `None` where it is to be sent again at once.
    sent_ms: Option<u64>,
}

impl<R: Clone> Outbox<R> {
    pub(crate) fn new() -> Self {
        Outbox { next: 1, waiting: BTreeMap::new() }
    }

    /// Takes a request in. It counts as sent now.
    pub(crate) fn add(&mut self, request: Request<R>, now_ms: u64) -> RequestId {
        let id = RequestId(self.next);
        self.next += 1;
        self.waiting.insert(id, Waiting { request, sent_ms: Some(now_ms) });
        id
    }

    /// The request that an answer is for; `None` when it was answered before or given up.
    pub(crate) fn answer(&mut self, id: RequestId) -> Option<Request<R>> {
        self.waiting.remove(&id).map(|waiting| waiting.request)
    }

    /// Gives up on the requests of an attempt whose lease is known to be gone: each would be answered so.
    pub(crate) fn give_up(&mut self, epoch: Epoch) {
        self.waiting.retain(|_, waiting| waiting.request.epoch() != epoch);
    }

    /// The requests that are to be sent again; they count as sent now.
    pub(crate) fn due(&mut self, now_ms: u64) -> Vec<(RequestId, Request<R>)> {
        self.waiting
            .iter_mut()
            .filter(|(_, waiting)| {
                waiting.sent_ms.is_none_or(|sent| now_ms.saturating_sub(sent) >= RESEND_MS)
            })
            .map(|(id, waiting)| {
                waiting.sent_ms = Some(now_ms);
                (*id, waiting.request.clone())
            })
            .collect()
    }

    /// Makes every request one that is to be sent again.
    pub(crate) fn make_due(&mut self) {
        self.waiting.values_mut().for_each(|waiting| waiting.sent_ms = None);
    }

    pub(crate) fn of(&self, epoch: Epoch) -> usize {
        self.waiting.values().filter(|waiting| waiting.request.epoch() == epoch).count()
    }

    pub(crate) fn len(&self) -> usize {
        self.waiting.len()
    }
}
