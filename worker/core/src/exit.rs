//! Why a runner that left no result ended, as a classified failure with evidence.

use std::fmt;

use reel_common::{Failure, FailureClass};

use crate::Progress;

/// The end of a runner's process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exit {
    /// How it ended.
    pub how: HowEnded,
    /// The end of its stderr.
    pub stderr: String,
}

/// How a child process ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HowEnded {
    /// By itself, with this exit status.
    Status(i32),
    /// By this signal.
    Signal(i32),
    /// It was killed because it did not keep to the protocol, in this way.
    Garbled(String),
}

impl fmt::Display for HowEnded {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            HowEnded::Status(status) => write!(out, "exit status {status}"),
            HowEnded::Signal(signal) => write!(out, "killed by {}", signal_name(*signal)),
            HowEnded::Garbled(reason) => write!(out, "{reason}"),
        }
    }
}

const SIGABRT: i32 = 6;
const SIGKILL: i32 = 9;

/// What Rust's allocator prints before it aborts.
const OUT_OF_MEMORY: &str = "memory allocation of";

/// The failure of a runner that ended without a result and without having been told to.
pub fn classify(exit: &Exit, progress: Progress) -> Failure {
    let (class, message) = match &exit.how {
        HowEnded::Signal(SIGKILL) => (
            FailureClass::Shortage,
            "the runner was killed by SIGKILL (9), most likely because the host ran out of memory; give the \
             worker fewer slots or more memory"
                .to_owned(),
        ),
        HowEnded::Signal(SIGABRT) if exit.stderr.contains(OUT_OF_MEMORY) => (
            FailureClass::Shortage,
            "the runner ran into its memory limit; give the worker fewer slots or more memory".to_owned(),
        ),
        HowEnded::Signal(signal) => {
            (FailureClass::Failed, format!("the runner was killed by {}", signal_name(*signal)))
        }
        HowEnded::Status(status) => {
            (FailureClass::Failed, format!("the runner ended with status {status} and without a result"))
        }
        HowEnded::Garbled(reason) => {
            (FailureClass::Failed, format!("the runner did not keep to the protocol: {reason}"))
        }
    };
    Failure::new(class, &message, &evidence(exit, progress))
}

/// What was seen of a runner whose failure is known. One that told it and ended in good order has nothing to add but its
/// stderr; one that was killed or crashed has how it ended, too.
pub(crate) fn evidence_of_known(exit: &Exit, progress: Progress) -> String {
    match exit.how {
        HowEnded::Status(0) => end_of(exit.stderr.trim(), Failure::MAX_EVIDENCE_BYTES).to_owned(),
        _ => evidence(exit, progress),
    }
}

/// What was seen, within the limit of a failure's evidence: the head is kept, then as much of stderr as fits.
fn evidence(exit: &Exit, progress: Progress) -> String {
    let part = progress.part.map_or(String::new(), |part| format!(", in part {part}"));
    let mut text = format!("{}; last progress {} of {}{part}\n", exit.how, progress.done, progress.total);
    let room = Failure::MAX_EVIDENCE_BYTES.saturating_sub(text.len());
    text.push_str(end_of(&exit.stderr, room));
    text
}

/// The end of `text`, at most `room` bytes.
fn end_of(text: &str, room: usize) -> &str {
    &text[text.ceil_char_boundary(text.len().saturating_sub(room))..]
}

/// `SIGSEGV (11)`; numbers as on Linux for x86 and ARM.
fn signal_name(signal: i32) -> String {
    let name = match signal {
        1 => "SIGHUP",
        2 => "SIGINT",
        3 => "SIGQUIT",
        4 => "SIGILL",
        5 => "SIGTRAP",
        SIGABRT => "SIGABRT",
        7 => "SIGBUS",
        8 => "SIGFPE",
        SIGKILL => "SIGKILL",
        11 => "SIGSEGV",
        13 => "SIGPIPE",
        15 => "SIGTERM",
        24 => "SIGXCPU",
        25 => "SIGXFSZ",
        31 => "SIGSYS",
        _ => return format!("signal {signal}"),
    };
    format!("{name} ({signal})")
}

#[cfg(test)]
mod tests {
    use reel_common::PartIndex;

    use super::*;

    fn failure(how: HowEnded, stderr: &str) -> Failure {
        let progress = Progress { done: 288, total: 720, part: Some(PartIndex(3)) };
        classify(&Exit { how, stderr: stderr.to_owned() }, progress)
    }

    #[test]
    fn a_crash_is_a_failure_with_its_signal_progress_and_stderr() {
        let crash = failure(HowEnded::Signal(11), "x264 [error]: ouch");
        assert_eq!(crash.class, FailureClass::Failed);
        assert_eq!(crash.message, "the runner was killed by SIGSEGV (11)");
        assert_eq!(
            crash.evidence,
            "killed by SIGSEGV (11); last progress 288 of 720, in part 3\nx264 [error]: ouch"
        );
    }

    #[test]
    fn a_runner_killed_for_memory_is_a_shortage() {
        assert_eq!(failure(HowEnded::Signal(9), "").class, FailureClass::Shortage);
        let stderr = "memory allocation of 8294400 bytes failed";
        assert_eq!(failure(HowEnded::Signal(6), stderr).class, FailureClass::Shortage);
        assert_eq!(failure(HowEnded::Signal(6), "assertion failed").class, FailureClass::Failed);
    }

    #[test]
    fn long_stderr_does_not_push_the_signal_out_of_the_evidence() {
        let crash = failure(HowEnded::Signal(11), &"é".repeat(5000));
        assert!(crash.evidence.starts_with("killed by SIGSEGV (11)"), "{}", crash.evidence);
        assert!(crash.evidence.len() <= Failure::MAX_EVIDENCE_BYTES);
    }

    #[test]
    fn a_runner_that_told_its_failure_adds_its_stderr_alone() {
        let seen = |how, stderr: &str| {
            evidence_of_known(&Exit { how, stderr: stderr.to_owned() }, Progress::default())
        };
        assert_eq!(seen(HowEnded::Status(0), " \n"), "");
        assert_eq!(seen(HowEnded::Status(0), "moov atom not found\n"), "moov atom not found");
        assert_eq!(seen(HowEnded::Status(0), &"é".repeat(5000)).len(), Failure::MAX_EVIDENCE_BYTES);
        assert_eq!(seen(HowEnded::Signal(9), ""), "killed by SIGKILL (9); last progress 0 of 0\n");
    }

    #[test]
    fn an_end_without_a_result_names_its_status() {
        let end = failure(HowEnded::Status(0), "");
        assert_eq!(end.message, "the runner ended with status 0 and without a result");
    }
}
