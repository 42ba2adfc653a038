//! A job as it is asked for: by a file, by flags, or by both.

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};

use reel_common::{Hook, Labels, TextSource};
use serde::Deserialize;

use crate::args::{Deadline, SubmitArgs};
use crate::exit::Stop;

/// Longest file: labels and paths at their limits are far shorter.
const MAX_FILE_BYTES: u64 = 256 << 10;

/// A job; what is empty was not said.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct JobFile {
    pub(crate) input: String,
    pub(crate) output: String,
    pub(crate) profile: String,
    pub(crate) project: Option<String>,
    pub(crate) priority: Option<i32>,
    deadline: Option<String>,
    labels: BTreeMap<String, String>,
    needs: BTreeMap<String, String>,
    pub(crate) idempotency_key: Option<String>,
    pub(crate) chunk_parts: Option<NonZeroU32>,
    hooks: Vec<String>,
    texts: Vec<String>,
    pub(crate) edit: Option<PathBuf>,
}

impl JobFile {
    /// What the file says, where one is named, and over it what the flags say.
    pub(crate) fn of(args: &SubmitArgs) -> Result<JobFile, Stop> {
        let said = args.file.as_deref().map(Self::read).transpose()?.unwrap_or_default();
        let asked = |typed: &Option<String>, said: String| typed.clone().unwrap_or(said);
        let job = JobFile {
            input: asked(&args.input, said.input),
            output: asked(&args.output, said.output),
            profile: asked(&args.profile, said.profile),
            project: args.project.clone().or(said.project),
            priority: args.priority.or(said.priority),
            deadline: args.deadline.clone().or(said.deadline),
            idempotency_key: args.idempotency_key.clone().or(said.idempotency_key),
            chunk_parts: args.chunk_parts.or(said.chunk_parts),
            hooks: match args.hooks.is_empty() {
                true => said.hooks,
                false => args.hooks.iter().map(Hook::to_string).collect(),
            },
            texts: said.texts,
            edit: args.edit.edit.clone().or(said.edit),
            labels: with(said.labels, &args.labels),
            needs: with(said.needs, &args.needs),
        };
        let title = [("input", &job.input), ("output", &job.output), ("profile", &job.profile)];
        let bare = !job.hooks.is_empty() && title.iter().all(|(_, value)| value.is_empty());
        for (name, value) in title {
            if value.is_empty() && !bare {
                return Err(Stop::usage(format!("the job has no {name}: give it in the file or by hand")));
            }
        }
        Ok(job)
    }

    fn read(path: &Path) -> Result<JobFile, Stop> {
        let shown = path.display();
        let unreadable = |error: std::io::Error| Stop::usage(format!("cannot read {shown}: {error}"));
        let length = std::fs::metadata(path).map_err(unreadable)?.len();
        if length > MAX_FILE_BYTES {
            return Err(Stop::usage(format!(
                "{shown} has {length} bytes, at most {MAX_FILE_BYTES} are read"
            )));
        }
        let text = std::fs::read_to_string(path).map_err(unreadable)?;
        toml::from_str(&text).map_err(|error| Stop::usage(format!("{shown}: {error}").trim_end().to_owned()))
    }

    /// Whether it makes no title, and only runs hooks.
    pub(crate) fn is_bare(&self) -> bool {
        self.input.is_empty()
    }

    /// The programs of the site that it runs.
    pub(crate) fn hooks(&self) -> Result<Vec<Hook>, Stop> {
        let read =
            |text: &String| text.parse().map_err(|error| Stop::usage(format!("hook {text:?}: {error}")));
        let hooks = self.hooks.iter().map(read).collect::<Result<Vec<Hook>, Stop>>()?;
        Hook::check_all(&hooks).map_err(|error| Stop::usage(error.to_string()))?;
        Ok(hooks)
    }

    /// Its subtitles and captions; those that were typed go before those of the file.
    pub(crate) fn texts(&self, typed: &[TextSource]) -> Result<Vec<TextSource>, Stop> {
        if !typed.is_empty() {
            return Ok(typed.to_vec());
        }
        let read =
            |text: &String| text.parse().map_err(|error| Stop::usage(format!("text {text:?}: {error}")));
        self.texts.iter().map(read).collect()
    }

    /// When it is wanted, in milliseconds since 1970.
    pub(crate) fn deadline_ms(&self) -> Result<Option<u64>, Stop> {
        let read = |text: &String| {
            let deadline: Result<Deadline, String> = text.parse();
            deadline.map_err(|reason| Stop::usage(format!("deadline {text}: {reason}")))
        };
        Ok(self.deadline.as_ref().map(read).transpose()?.map(|deadline| deadline.0))
    }

    /// What it is to be known by, and the labels that a worker must have.
    pub(crate) fn labels(&self) -> Result<(Labels, Labels), Stop> {
        let read = |labels: &BTreeMap<String, String>| {
            Labels::new(labels.clone()).map_err(|error| Stop::usage(error.to_string()))
        };
        Ok((read(&self.labels)?, read(&self.needs)?))
    }
}

fn with(mut said: BTreeMap<String, String>, typed: &[reel_common::Label]) -> BTreeMap<String, String> {
    said.extend(typed.iter().map(|label| (label.key.clone(), label.value.clone())));
    said
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAMPLE: &str = include_str!("../../samples/job.toml");

    #[test]
    fn the_sample_says_all_that_the_schema_knows_and_is_read() {
        let sample: toml::Table = SAMPLE.parse().unwrap();
        let schema = crate::schema::document("job").unwrap();
        let known: Vec<&String> = schema["properties"].as_object().unwrap().keys().collect();
        let mut said: Vec<&String> = sample.keys().collect();
        said.sort();
        assert_eq!(said, known);
        let job: JobFile = toml::from_str(SAMPLE).unwrap();
        assert!(job.deadline_ms().unwrap() > Some(1_800_000_000_000));
        assert_eq!(job.labels().unwrap().1.to_string(), "site=berlin");
    }

    #[test]
    fn what_no_job_has_is_refused_with_its_line() {
        let error = toml::from_str::<JobFile>("input = \"a\"\nprioritty = 3\n").unwrap_err().to_string();
        assert!(error.contains("line 2") && error.contains("prioritty"), "{error}");
    }
}
