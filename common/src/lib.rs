//! Ids, units, exact time, digests and value types that every room shares. No I/O, no clock.

mod artifact;
mod digest;
mod failure;
mod grid;
mod ids;
mod source;
mod time;

pub use artifact::Artifact;
pub use digest::{Digest, DigestError, DigestWriter, RecipeHasher, RecipeKey};
pub use failure::{Failure, FailureClass};
pub use grid::{GridError, PartSpec, SegmentGrid};
pub use ids::{AttemptNumber, Epoch, IdError, JobId, PartIndex, Stage, TaskId, WorkerId};
pub use source::{AudioFacts, Colour, IndexSummary, SourceIdentity, Timing, VideoFacts};
pub use time::{Rational, Rounding, rescale};
