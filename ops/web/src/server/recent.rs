//! What has happened in the farm of late.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use reel_client::events;
use reel_client::{Client, ClientError};
use reel_proto::v1;
use serde_json::Value;
use tokio::task::AbortHandle;

/// Events that are kept.
const MOST: usize = 500;
/// The wait before a watch that broke is begun again.
const PAUSE: Duration = Duration::from_secs(1);

/// The newest events since this scheduler began, oldest first.
pub(super) struct Recent {
    kept: Arc<Mutex<VecDeque<Value>>>,
    following: AbortHandle,
}

impl Recent {
    /// Follows a farm from now on, whatever becomes of its schedulers.
    pub(super) fn follow(farm: Client) -> Recent {
        let kept = Arc::<Mutex<VecDeque<Value>>>::default();
        let seen = kept.clone();
        let following = tokio::spawn(async move {
            loop {
                let note = |changes| {
                    note(&mut seen.lock().unwrap_or_else(PoisonError::into_inner), &changes);
                    Ok::<(), ClientError>(())
                };
                // It ends where nobody answers for long, or what it was to go on with is forgotten.
                let _ = farm.follow(None, None, note).await;
                tokio::time::sleep(PAUSE).await;
            }
        });
        Recent { kept, following: following.abort_handle() }
    }

    pub(super) fn all(&self) -> Vec<Value> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }
}

impl Drop for Recent {
    fn drop(&mut self) {
        self.following.abort();
    }
}

fn note(kept: &mut VecDeque<Value>, changes: &v1::Changes) {
    for event in changes.events.iter().filter_map(|event| event.event.as_ref()) {
        kept.push_back(events::json(changes, event));
        if kept.len() > MOST {
            kept.pop_front();
        }
    }
}
