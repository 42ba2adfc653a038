//! Why an attempt ended without its result. Each class has its own policy in the scheduler.

use serde::{Deserialize, Serialize};

use crate::PartIndex;

/// The class of a failure decides what the scheduler does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FailureClass {
    /// The worker was told to go and handed the work back: free, resumed at once.
    Preempted,
    /// The worker vanished: bounded, since the task itself may be what kills workers.
    Lost,
    /// Disk, memory or the store is short: the stage backs off.
    Shortage,
    /// The attempt failed or its runner crashed: charged, retried with backoff, bounded.
    Failed,
    /// The mezzanine, profile or destination is wrong: the job fails at once with the reason.
    Invalid,
    /// The same failure on several hosts: the task stops and its evidence is kept.
    Poisoned,
}

impl FailureClass {
    /// All of them.
    pub const ALL: [FailureClass; 6] = [
        FailureClass::Preempted,
        FailureClass::Lost,
        FailureClass::Shortage,
        FailureClass::Failed,
        FailureClass::Invalid,
        FailureClass::Poisoned,
    ];

    /// The word used in output and logs.
    pub fn name(self) -> &'static str {
        match self {
            FailureClass::Preempted => "preempted",
            FailureClass::Lost => "lost",
            FailureClass::Shortage => "shortage",
            FailureClass::Failed => "failed",
            FailureClass::Invalid => "invalid",
            FailureClass::Poisoned => "poisoned",
        }
    }
}

impl std::fmt::Display for FailureClass {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.name())
    }
}

/// A failed attempt, as it is stored and shown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// What kind of failure it is.
    pub class: FailureClass,
    /// What is wrong, where, and what to do; at most [`Failure::MAX_MESSAGE_BYTES`].
    pub message: String,
    /// What was seen: exit status or signal and the end of the runner's stderr; at most
    /// [`Failure::MAX_EVIDENCE_BYTES`].
    pub evidence: String,
    /// Parts whose stored bytes are not what was committed: they are to be encoded again.
    pub damaged_parts: Vec<PartIndex>,
    /// Audio tracks likewise, by their number in the profile.
    pub damaged_tracks: Vec<u32>,
    /// Whether the still pictures are damaged likewise.
    #[serde(default)]
    pub damaged_images: bool,
}

impl Failure {
    /// Longest message kept, so that a failure fits in a Raft entry many times over.
    pub const MAX_MESSAGE_BYTES: usize = 1024;
    /// Longest evidence kept: the last screenful of a runner's stderr.
    pub const MAX_EVIDENCE_BYTES: usize = 4096;

    /// A failure with its texts cut to their limits (the message keeps its head, the evidence its tail).
    pub fn new(class: FailureClass, message: &str, evidence: &str) -> Self {
        let head = message.floor_char_boundary(Self::MAX_MESSAGE_BYTES);
        let tail = evidence.ceil_char_boundary(evidence.len().saturating_sub(Self::MAX_EVIDENCE_BYTES));
        Failure {
            class,
            message: message[..head].to_owned(),
            evidence: evidence[tail..].to_owned(),
            damaged_parts: Vec::new(),
            damaged_tracks: Vec::new(),
            damaged_images: false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_keeps_the_head_of_its_message_and_the_tail_of_its_evidence() {
        let failure =
            Failure::new(FailureClass::Failed, &"é".repeat(2000), &format!("{}end", "x".repeat(9000)));
        assert!(failure.message.len() <= Failure::MAX_MESSAGE_BYTES);
        assert_eq!(failure.evidence.len(), Failure::MAX_EVIDENCE_BYTES);
        assert!(failure.evidence.ends_with("end"));
    }
}
