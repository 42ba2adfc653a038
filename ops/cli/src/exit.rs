//! How a command ends: one mapping from what happened to exit code and message.

use std::process::ExitCode;

use reel_client::ClientError;
use reel_common::{Failure, FailureClass};
use reel_profiles::ProfileError;
use reel_store::{SourceError, StoreError};

use crate::output;

/// Exit codes, a contract with scripts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Exit {
    /// Whoever reads has seen enough.
    Unread = 0,
    /// Something went wrong on this machine, or a check did not hold.
    Failed = 1,
    /// What was typed makes no sense, or the profile is wrong.
    Usage = 2,
    /// The job failed, or the mezzanine cannot be made into a title.
    JobFailed = 3,
    /// A file or profile that was named is not there.
    NotFound = 4,
    /// The state forbids it: another process works here, or OUTPUT holds what is not ours.
    Refused = 5,
    /// No scheduler of the farm answers.
    Unreachable = 6,
}

/// Why a command stops before it is done: what is wrong, where, and what to do.
#[derive(Debug)]
pub(crate) struct Stop {
    pub(crate) exit: Exit,
    pub(crate) message: String,
    /// What was seen, line by line; shown below the message.
    pub(crate) evidence: String,
}

impl Stop {
    fn new(exit: Exit, message: impl Into<String>) -> Self {
        Stop { exit, message: message.into(), evidence: String::new() }
    }

    /// The reader of what is printed has gone away.
    pub(crate) fn unread() -> Self {
        Self::new(Exit::Unread, "")
    }

    pub(crate) fn failed(message: impl Into<String>) -> Self {
        Self::new(Exit::Failed, message)
    }

    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self::new(Exit::Usage, message)
    }

    pub(crate) fn job_failed(message: impl Into<String>) -> Self {
        Self::new(Exit::JobFailed, message)
    }

    pub(crate) fn not_found(message: impl Into<String>) -> Self {
        Self::new(Exit::NotFound, message)
    }

    pub(crate) fn refused(message: impl Into<String>) -> Self {
        Self::new(Exit::Refused, message)
    }

    pub(crate) fn with_evidence(mut self, evidence: impl Into<String>) -> Self {
        self.evidence = evidence.into();
        self
    }
}

impl From<anyhow::Error> for Stop {
    fn from(error: anyhow::Error) -> Self {
        Stop::failed(format!("{error:#}"))
    }
}

impl From<ProfileError> for Stop {
    fn from(error: ProfileError) -> Self {
        Stop::usage(error.to_string())
    }
}

impl From<SourceError> for Stop {
    fn from(error: SourceError) -> Self {
        let message = error.to_string();
        match error {
            SourceError::NotFound(_) => Stop::not_found(message),
            SourceError::NotAFile(_) | SourceError::BadLocation { .. } => Stop::usage(message),
            SourceError::Empty(_) => Stop::job_failed(message),
            SourceError::Away { .. } => Self::new(Exit::Unreachable, message),
            SourceError::Denied(_) | SourceError::Changed(_) | SourceError::Read { .. } => {
                Stop::failed(message)
            }
        }
    }
}

impl From<StoreError> for Stop {
    fn from(error: StoreError) -> Self {
        let message = error.to_string();
        match error {
            StoreError::BadUrl { .. } => Stop::usage(message),
            StoreError::Denied { .. } => Stop::refused(message),
            StoreError::Shortage { .. } => Self::new(Exit::Unreachable, message),
            _ => Stop::failed(message),
        }
    }
}

impl From<ClientError> for Stop {
    fn from(error: ClientError) -> Self {
        let message = error.to_string();
        match error {
            ClientError::Unreachable(_) => Self::new(Exit::Unreachable, message),
            ClientError::NotFound(_) => Stop::not_found(format!(
                "{message}; `reel job list`, `reel task list JOB` and `reel worker list` show what there is"
            )),
            ClientError::Wrong(_) => Stop::usage(message),
            ClientError::Refused(_) | ClientError::Forgotten(_) => Stop::refused(message),
            ClientError::Malformed(_) => Stop::failed(message),
        }
    }
}

/// A task that ran by itself for this command: a wrong mezzanine is told from trouble of this machine.
impl From<Failure> for Stop {
    fn from(failure: Failure) -> Self {
        let exit = if failure.class == FailureClass::Invalid { Exit::JobFailed } else { Exit::Failed };
        Stop::new(exit, failure.message).with_evidence(failure.evidence)
    }
}

/// Prints what went wrong, if anything, and gives the exit code.
pub(crate) fn code_of(outcome: Result<(), Stop>) -> ExitCode {
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(stop) => {
            if stop.exit != Exit::Unread {
                output::error(&stop);
            }
            ExitCode::from(stop.exit as u8)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_mezzanine_is_told_from_trouble_of_this_machine() {
        let exit = |class| Stop::from(Failure::new(class, "why", "")).exit;
        assert_eq!(exit(FailureClass::Invalid), Exit::JobFailed);
        assert_eq!(exit(FailureClass::Shortage), Exit::Failed);
        assert_eq!(exit(FailureClass::Failed), Exit::Failed);
    }

    #[test]
    fn each_trouble_with_a_source_has_its_exit_code() {
        let exit = |error: SourceError| Stop::from(error).exit;
        assert_eq!(exit(SourceError::NotFound("a".to_owned())), Exit::NotFound);
        assert_eq!(exit(SourceError::NotAFile("a".to_owned())), Exit::Usage);
        assert_eq!(exit(SourceError::Empty("a".to_owned())), Exit::JobFailed);
        assert_eq!(exit(SourceError::Denied("a".to_owned())), Exit::Failed);
    }
}
