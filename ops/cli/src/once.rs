//! Single tasks that commands run by themselves in a runner child: the index of a mezzanine, the proof of a title.

use std::path::PathBuf;

use reel_common::{Artifact, Edit, IndexSummary, SourceIdentity};
use reel_profiles::Profile;
use reel_proto::v1;
use reel_proto::v1::task_spec::Work;
use reel_worker::{OneRun, RunnerResult, run_once};
use tempfile::TempDir;

use crate::environment;
use crate::exit::Stop;
use crate::input::Input;
use crate::signals;

/// The runner program: as the environment says, or else beside this program.
pub(crate) fn runner() -> Result<PathBuf, Stop> {
    let path = match environment::value(environment::RUNNER) {
        Some(path) => PathBuf::from(path),
        None => {
            let own = std::env::current_exe()
                .map_err(|error| Stop::failed(format!("cannot find reel's own program: {error}")))?;
            own.with_file_name("reel-runner")
        }
    };
    if path.is_file() {
        return Ok(path);
    }
    let shown = path.display();
    let variable = environment::RUNNER;
    Err(Stop::failed(format!(
        "there is no runner at {shown}: put reel-runner beside reel, or set {variable}"
    )))
}

/// A store and scratch space that last as long as the command.
pub(crate) struct Bench {
    runner: PathBuf,
    folder: TempDir,
}

impl Bench {
    pub(crate) fn new() -> Result<Self, Stop> {
        let runner = runner()?;
        let folder = tempfile::Builder::new().prefix("reel-").tempdir();
        let folder =
            folder.map_err(|error| Stop::failed(format!("cannot make a temporary folder: {error}")))?;
        Ok(Bench { runner, folder })
    }

    /// Indexes a mezzanine, with the segments of `profile`. Keys are not asked for.
    pub(crate) fn index(
        &self,
        input: &Input,
        edit: Option<Edit>,
        profile: &Profile,
    ) -> Result<IndexSummary, Stop> {
        let task = v1::IndexTask { edit: edit.map(Into::into), ..v1::IndexTask::default() };
        let profile = Profile { encryption: None, ..profile.clone() };
        let result = self.run(input, &profile, String::new(), Work::Index(task), &mut |_| {})?;
        let RunnerResult::Index(summary) = result else { return Err(unexpected("index")) };
        let summary = IndexSummary::try_from(*summary);
        summary.map_err(|error| Stop::failed(format!("the runner's index makes no sense: {error}")))
    }

    /// Decodes a delivered title and its mezzanine and matches every frame.
    pub(crate) fn verify(
        &self,
        input: &Input,
        profile: &Profile,
        index: Artifact,
        tree: String,
        progress: &mut (dyn FnMut(v1::Progress) + Send),
    ) -> Result<v1::Proof, Stop> {
        let task = v1::MeasureTask { index: Some(index.into()), tree: tree.clone(), assembly: None };
        let result = self.run(input, profile, tree, Work::Measure(task), progress)?;
        let RunnerResult::Object { bytes, .. } = result else { return Err(unexpected("verify")) };
        let proof = prost::Message::decode(bytes);
        proof.map_err(|error| Stop::failed(format!("the runner's proof makes no sense: {error}")))
    }

    fn run(
        &self,
        input: &Input,
        profile: &Profile,
        output: String,
        work: Work,
        progress: &mut (dyn FnMut(v1::Progress) + Send),
    ) -> Result<RunnerResult, Stop> {
        let SourceIdentity { size, modified_us, etag } = input.identity.clone();
        let spec = v1::TaskSpec {
            attempt: 1,
            task: Some(v1::TaskId { stage: stage_of(&work).into(), ..Default::default() }),
            mezzanine: input.location.clone(),
            identity: Some(v1::SourceIdentity { size, modified_us, etag }),
            profile: profile.to_toml(),
            output,
            store: self.folder.path().join("store").display().to_string(),
            work: Some(work),
            ..Default::default()
        };
        let run = OneRun {
            runner: self.runner.clone(),
            spec,
            scratch: self.folder.path().join("scratch"),
            memory_bytes: 0,
        };
        let runtime = signals::runtime()?;
        runtime.block_on(async {
            tokio::select! {
                result = run_once(run, progress) => Ok(result?),
                signal = signals::asked_to_end() => Err(Stop::failed(format!("stopped by {}", signal?))),
            }
        })
    }
}

fn stage_of(work: &Work) -> v1::Stage {
    match work {
        Work::Index(_) => v1::Stage::Index,
        Work::Probe(_) => v1::Stage::Probe,
        Work::Encode(_) => v1::Stage::Encode,
        Work::Audio(_) => v1::Stage::Audio,
        Work::Image(_) => v1::Stage::Image,
        Work::Assemble(_) => v1::Stage::Assemble,
        Work::Preview(_) => v1::Stage::Preview,
        Work::Measure(_) => v1::Stage::Measure,
        Work::Check(_) => v1::Stage::Check,
        Work::Deliver(_) => v1::Stage::Deliver,
        Work::Hook(_) => v1::Stage::Hook,
    }
}

fn unexpected(stage: &str) -> Stop {
    Stop::failed(format!(
        "the runner ended {stage} without its result: reel and reel-runner differ in version"
    ))
}
