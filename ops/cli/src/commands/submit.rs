//! `reel submit`: a job for a farm.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::path::Path;

use reel_common::JobId;
use reel_proto::{v1, wire_labels};
use serde_json::json;

use crate::args::SubmitArgs;
use crate::commands::{job, profile};
use crate::exit::Stop;
use crate::input::{self, Input};
use crate::job_file::JobFile;
use crate::output::{print, print_json};
use crate::reporter::Audience;
use crate::{destination, edit_file, server, signals};

pub(crate) fn run(args: SubmitArgs) -> Result<(), Stop> {
    let client = server::client(&args.server)?;
    let job = JobFile::of(&args)?;
    let title = if job.is_bare() { v1::SubmitRequest::default() } else { title(&job)? };
    let (labels, needs) = job.labels()?;
    let texts = input::texts(job.texts(&args.text.texts)?)?;
    let edit = job.edit.as_deref().map(edit_file::read).transpose()?;
    let request = v1::SubmitRequest {
        edit: edit.map(Into::into),
        hooks: job.hooks()?.into_iter().map(Into::into).collect(),
        deadline_ms: job.deadline_ms()?,
        texts: texts.into_iter().map(Into::into).collect(),
        labels: wire_labels(&labels),
        needs: wire_labels(&needs),
        project: job.project.unwrap_or_default(),
        priority: job.priority.unwrap_or_default(),
        chunk_parts: job.chunk_parts.map(std::num::NonZeroU32::get),
        // A submit whose answer is lost is sent again, and must not become a second job.
        idempotency_key: Some(job.idempotency_key.unwrap_or_else(new_key)),
        ..title
    };
    let runtime = signals::runtime()?;
    let v1::SubmitResponse { job, duplicate } = runtime.block_on(client.submit(request))?;
    let id = JobId(job);
    if args.wait {
        return job::wait(&runtime, &client, id, Audience::of(args.json, args.quiet));
    }
    if args.json {
        let view = runtime.block_on(client.job(id))?;
        return print_json(&json!({ "job": id, "state": view.state.name(), "duplicate": duplicate }));
    }
    let said = if duplicate { "was accepted before" } else { "is accepted" };
    print(&format!("job {id} {said}; follow it with `reel job wait {id}`\n"))
}

/// What is to be made, of what and where.
fn title(job: &JobFile) -> Result<v1::SubmitRequest, Stop> {
    let profile = profile::load(&job.profile)?;
    let input = Input::open(&job.input)?;
    Ok(v1::SubmitRequest {
        mezzanine: input.location,
        identity: Some(input.identity.into()),
        profile: profile.to_toml(),
        profile_name: profile.name,
        output: output(&job.output)?,
        ..v1::SubmitRequest::default()
    })
}

/// OUTPUT as workers are told it: a path, or the URL of a prefix of an object store.
fn output(typed: &str) -> Result<String, Stop> {
    if let Some(prefix) = destination::prefix(typed) {
        return prefix;
    }
    let path = input::local_path(typed)
        .ok_or_else(|| Stop::usage(format!("{typed}: give OUTPUT as a folder, or as file:///folder")))?;
    let path = std::path::absolute(&path).map_err(|error| Stop::usage(format!("OUTPUT {typed}: {error}")))?;
    let usable =
        |path: &Path| path.file_name().is_some() && !path.components().any(|part| part.as_os_str() == "..");
    match path.to_str() {
        Some(text) if usable(&path) && !text.chars().any(char::is_control) => Ok(text.to_owned()),
        _ => Err(Stop::usage(format!("{typed:?} is no name for a folder: use another OUTPUT"))),
    }
}

/// A key that no other submit has.
fn new_key() -> String {
    let number = || RandomState::new().build_hasher().finish();
    format!("submit {:016x}{:016x}", number(), number())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_output_is_an_absolute_path() {
        assert_eq!(output("file:///srv/out").unwrap(), "/srv/out");
        assert_eq!(output("/srv/out/").unwrap(), "/srv/out/");
        assert_eq!(output("s3://bucket/out/").unwrap(), "s3://bucket/out");
        for wrong in ["s3://bucket", "https://host/out", "/", "/srv/..", "file://host/srv", "a\nb"] {
            assert!(output(wrong).is_err(), "{wrong}");
        }
    }
}
