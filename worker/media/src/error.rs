//! Why a media task ended without its result.

use reel_common::FailureClass;
use reel_proto::Malformed;
use reel_store::SourceError;

/// A failed media task: its class decides what the scheduler does, its message is shown to the user.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct MediaError {
    /// What kind of failure it is.
    pub class: FailureClass,
    /// What is wrong, where, and what to do.
    pub message: String,
}

impl MediaError {
    /// The mezzanine or the profile is at fault: trying again cannot help.
    pub fn invalid(message: impl Into<String>) -> Self {
        MediaError { class: FailureClass::Invalid, message: message.into() }
    }

    /// Something went wrong here: trying again may help.
    pub fn failed(message: impl Into<String>) -> Self {
        MediaError { class: FailureClass::Failed, message: message.into() }
    }

    /// A library call failed that does not depend on the mezzanine.
    pub(crate) fn library(what: &str, error: ffmpeg_next::Error) -> Self {
        Self::failed(format!("{what} failed: {error}"))
    }
}

impl From<&SourceError> for MediaError {
    fn from(error: &SourceError) -> Self {
        let class = match error {
            SourceError::Away { .. } => FailureClass::Shortage,
            SourceError::Read { .. } => FailureClass::Failed,
            _ => FailureClass::Invalid,
        };
        MediaError { class, message: error.to_string() }
    }
}

impl From<SourceError> for MediaError {
    fn from(error: SourceError) -> Self {
        Self::from(&error)
    }
}

impl From<Malformed> for MediaError {
    fn from(error: Malformed) -> Self {
        Self::failed(error.to_string())
    }
}

impl From<std::io::Error> for MediaError {
    fn from(error: std::io::Error) -> Self {
        let class = match error.kind() {
            std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => FailureClass::Shortage,
            _ => FailureClass::Failed,
        };
        MediaError { class, message: format!("reading or writing in the scratch folder failed: {error}") }
    }
}
