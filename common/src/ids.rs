//! Names of the things that the farm keeps: jobs, tasks, attempts, workers, parts.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

macro_rules! number {
    ($(#[$doc:meta])* $name:ident($inner:ty)) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub $inner);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

number! {
    /// A job, numbered from 1 in the order of acceptance.
    JobId(u64)
}
number! {
    /// One registration of a worker. A worker that restarts registers anew and gets a new id.
    WorkerId(u64)
}
number! {
    /// The fencing token of a lease: the Raft index of its grant. Later grants have larger epochs.
    Epoch(u64)
}
number! {
    /// The number of a try of a task, from 1.
    AttemptNumber(u32)
}
number! {
    /// A part of a title, from 0 in presentation order.
    PartIndex(u32)
}

/// What a task does. The order is the order in which the stages of a job begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Stage {
    /// Measures the mezzanine.
    Index,
    /// Encodes one part to see how large it becomes, where a rendition has a bit rate.
    Probe,
    /// Encodes one chunk for the whole ladder.
    Encode,
    /// Encodes one audio track as a whole.
    Audio,
    /// Makes thumbnails and poster.
    Image,
    /// Shows committed parts at OUTPUT while others are still encoded.
    Preview,
    /// Joins committed parts into the output tree.
    Assemble,
    /// Proves every frame of the assembled tree against the mezzanine.
    Measure,
    /// Holds the proved tree against the rules of its formats and of its destinations.
    Check,
    /// Publishes the proved tree at its final name.
    Deliver,
    /// Runs a program of the site.
    Hook,
}

impl Stage {
    /// What workers that make still pictures offer among their codecs.
    pub const IMAGE_CODEC: &str = "image";
    /// What workers offer that show parts of titles before these are whole.
    pub const PREVIEW_CODEC: &str = "preview";
    /// What workers offer that check titles.
    pub const CHECK_CODEC: &str = "check";

    /// Every stage, in order.
    pub const ALL: [Stage; 11] = [
        Stage::Index,
        Stage::Probe,
        Stage::Encode,
        Stage::Audio,
        Stage::Image,
        Stage::Preview,
        Stage::Assemble,
        Stage::Measure,
        Stage::Check,
        Stage::Deliver,
        Stage::Hook,
    ];

    /// A number that is the same in every version: what schedulers reckon with must not change with the order.
    pub fn number(self) -> u64 {
        match self {
            Stage::Index => 0,
            Stage::Encode => 1,
            Stage::Audio => 2,
            Stage::Assemble => 3,
            Stage::Measure => 4,
            Stage::Deliver => 5,
            Stage::Hook => 6,
            Stage::Probe => 7,
            Stage::Image => 8,
            Stage::Preview => 9,
            Stage::Check => 10,
        }
    }

    /// The word used in task names, output and logs.
    pub fn name(self) -> &'static str {
        match self {
            Stage::Index => "index",
            Stage::Probe => "probe",
            Stage::Encode => "encode",
            Stage::Audio => "audio",
            Stage::Image => "image",
            Stage::Preview => "preview",
            Stage::Assemble => "assemble",
            Stage::Measure => "measure",
            Stage::Check => "check",
            Stage::Deliver => "deliver",
            Stage::Hook => "hook",
        }
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Stage {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        Stage::ALL
            .into_iter()
            .find(|stage| stage.name() == text)
            .ok_or_else(|| IdError { text: text.to_owned(), expected: "a stage such as encode" })
    }
}

/// One task of a job, written `42/encode/7`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TaskId {
    /// The job it belongs to.
    pub job: JobId,
    /// What it does.
    pub stage: Stage,
    /// Its number in the stage, from 0.
    pub index: u32,
}

impl fmt::Display for TaskId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.job, self.stage, self.index)
    }
}

impl FromStr for TaskId {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        let bad = || IdError { text: text.to_owned(), expected: "a task such as 42/encode/7" };
        let mut fields = text.split('/');
        let (Some(job), Some(stage), Some(index), None) =
            (fields.next(), fields.next(), fields.next(), fields.next())
        else {
            return Err(bad());
        };
        Ok(TaskId {
            job: JobId(job.parse().map_err(|_| bad())?),
            stage: stage.parse().map_err(|_| bad())?,
            index: index.parse().map_err(|_| bad())?,
        })
    }
}

/// A name that does not parse.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not {expected}")]
pub struct IdError {
    text: String,
    expected: &'static str,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_task_is_written_and_read_the_way_people_type_it() {
        let task = TaskId { job: JobId(42), stage: Stage::Encode, index: 7 };
        assert_eq!(task.to_string(), "42/encode/7");
        assert_eq!("42/encode/7".parse(), Ok(task));
    }

    #[test]
    fn a_malformed_task_is_refused_with_an_example() {
        for text in ["", "42", "42/encode", "42/cook/7", "x/encode/7", "42/encode/7/1", "42/encode/-1"] {
            assert!(text.parse::<TaskId>().is_err(), "{text}");
        }
    }
}
