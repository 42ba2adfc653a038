//! Ids, units, exact time, digests and value types that every room shares. No I/O, no clock.

mod artifact;
mod digest;
mod edit;
mod failure;
#[cfg(feature = "fixture")]
pub mod fixture;
mod flag;
mod grid;
mod hook;
mod ids;
mod job;
mod labels;
mod language;
mod location;
mod measured;
mod price;
mod project;
mod rate;
mod source;
mod task;
mod text;
mod time;
mod worker;

pub use artifact::Artifact;
pub use digest::{Digest, DigestError, DigestWriter, RecipeHasher, RecipeKey};
pub use edit::{Edit, EditError, EditEvent, EditOverlay, EditSource, EditTime, SourceSpan, Timecode};
pub use failure::{Failure, FailureClass};
pub use flag::Flag;
pub use grid::{GridError, PartSpec, SegmentGrid};
pub use hook::{Hook, HookError};
pub use ids::{AttemptNumber, Epoch, IdError, JobId, PartIndex, Stage, TaskId, WorkerId};
pub use job::{JobReason, JobState, JobView, RunningView, StageView, Trouble};
pub use labels::{Label, LabelError, Labels};
pub use language::{is_language_tag, language_tag};
pub use location::{is_remote, redacted, secret_problem};
pub use measured::Measured;
pub use price::{Price, PriceError};
pub use project::{ProjectView, Share};
pub use rate::{Goal, RateOutcome, RateView};
pub use source::{
    AudioFacts, Colour, Hdr10, IndexSummary, LightLevel, Mastering, Scan, SourceIdentity, TextFacts, Timing,
    VideoFacts,
};
pub use task::{TaskState, TaskView};
pub use text::{CaptionChannel, TextName, TextRole, TextSource, TextSourceError};
pub use time::{LAST_TIME_MS, Rational, Rounding, rescale};
pub use worker::{Hold, Pool, WorkerFacts, WorkerState, WorkerView};
