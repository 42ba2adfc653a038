//! What every stage works with: the task, its profile, the store, the way to the agent.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use prost::Message;
use reel_common::{Artifact, Failure, FailureClass, TaskId};
use reel_media::MediaError;
use reel_profiles::Profile;
use reel_proto::{Malformed, v1};
use reel_store::{BlockingStore, Source, StoreError};

use crate::channel::{Orders, Voice};
use crate::destination;

/// One attempt.
pub(crate) struct Attempt {
    pub(crate) spec: v1::TaskSpec,
    pub(crate) task: TaskId,
    pub(crate) profile: Profile,
    pub(crate) store: BlockingStore,
    /// The attempt's own folder, where results are left for the agent.
    pub(crate) scratch: PathBuf,
    /// Tells the agent how far the attempt is.
    pub(crate) voice: Voice,
    pub(crate) orders: Arc<Orders>,
}

impl Attempt {
    pub(crate) fn new(spec: v1::TaskSpec, voice: Voice, orders: Arc<Orders>) -> Result<Self, Failure> {
        let task = spec.task.ok_or(Malformed("task")).and_then(TaskId::try_from).map_err(malformed)?;
        tracing::info!(%task, attempt = spec.attempt, epoch = spec.epoch, "attempt begins");
        let profile = Profile::parse(&spec.profile, "profile")
            .map_err(|error| Failure::new(FailureClass::Invalid, &error.to_string(), ""))?;
        let store = BlockingStore::open(&spec.store).map_err(stored)?;
        let scratch =
            std::env::current_dir().map_err(|error| destination::failure(Path::new("."), &error))?;
        Ok(Attempt { spec, task, profile, store, scratch, voice, orders })
    }

    /// The mezzanine, which must be the one that was submitted.
    pub(crate) fn source(&self) -> Result<Source, Failure> {
        open(&self.spec.mezzanine, self.spec.identity.clone())
    }

    /// The mezzanine, and those that the title's edit has beside it, which must be the ones that were indexed.
    pub(crate) fn sources(&self, index: &v1::Index) -> Result<Vec<Source>, Failure> {
        let mut sources = vec![self.source()?];
        for beside in index.edit.iter().flat_map(|edit| &edit.sources) {
            let identity = beside.index.as_ref().and_then(|index| index.identity.clone());
            sources.push(open(&beside.location, identity)?);
        }
        Ok(sources)
    }

    /// The index that an earlier task stored.
    pub(crate) fn index(&self, artifact: Option<&v1::Artifact>) -> Result<v1::Index, Failure> {
        self.object(artifact, "index")
    }

    /// A message that an earlier task stored.
    pub(crate) fn object<M: Message + Default>(
        &self,
        artifact: Option<&v1::Artifact>,
        what: &'static str,
    ) -> Result<M, Failure> {
        let artifact = artifact.ok_or(Malformed(what)).and_then(Artifact::try_from).map_err(malformed)?;
        let bytes = self.store.object(artifact).map_err(stored)?;
        M::decode(bytes).map_err(|error| failed(&format!("the stored {what} cannot be read: {error}")))
    }

    /// Leaves a file in the scratch folder; returns its name.
    pub(crate) fn leave(&self, name: &str, bytes: &[u8]) -> Result<String, Failure> {
        let path = self.scratch.join(name);
        std::fs::write(&path, bytes).map_err(|error| destination::failure(&self.scratch, &error))?;
        Ok(name.to_owned())
    }

    /// The name by which the agent finds a file that was left in the scratch folder.
    pub(crate) fn name_of(&self, path: &Path) -> Result<String, Failure> {
        let name = path.strip_prefix(&self.scratch).unwrap_or(path);
        name.to_str()
            .map(str::to_owned)
            .ok_or_else(|| failed(&format!("{} is not a file of the scratch folder", path.display())))
    }
}

/// A mezzanine, which must be the one with this identity.
pub(crate) fn open(location: &str, identity: Option<v1::SourceIdentity>) -> Result<Source, Failure> {
    let source = Source::open(location).map_err(|error| media(error.into()))?;
    if let Some(identity) = identity {
        source.expect(&identity.into()).map_err(|error| media(error.into()))?;
    }
    Ok(source)
}

/// Bytes that were read of them together.
pub(crate) fn bytes_read(sources: &[Source]) -> u64 {
    sources.iter().map(Source::bytes_read).sum()
}

/// What a task that ends in one object ends in.
pub(crate) fn finished_with(scratch_file: String) -> v1::TaskFinished {
    v1::TaskFinished {
        result: Some(v1::task_finished::Result::ScratchFile(scratch_file)),
        ..v1::TaskFinished::default()
    }
}

/// An error of the media room as the failure of this attempt.
pub(crate) fn media(error: MediaError) -> Failure {
    Failure::new(error.class, &error.message, "")
}

/// An error of the store as the failure of this attempt.
pub(crate) fn stored(error: StoreError) -> Failure {
    Failure::new(error.class(), &error.to_string(), "")
}

/// A message that an older or newer scheduler wrote, or a bug.
pub(crate) fn malformed(error: Malformed) -> Failure {
    failed(&error.to_string())
}

/// A failure that another try may not have.
pub(crate) fn failed(message: &str) -> Failure {
    Failure::new(FailureClass::Failed, message, "")
}
