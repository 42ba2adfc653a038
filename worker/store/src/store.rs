//! The store: finds, publishes and reads artifacts, whatever lies below.

use std::ops::Range;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use reel_common::{Artifact, RecipeKey, redacted};
use url::Url;

use crate::StoreError;
use crate::cloud::Rounds;
use crate::credentials::Credentials;
use crate::hash::{difference, expect};
use crate::layout::Name;
use crate::local::{Content, Local, digest_file};
use crate::record::{MAX_RECORD_BYTES, head, seal, unseal};
use crate::remote::Remote;

/// The largest object: an index of a day of frames, or a record of a title, stays far below.
pub const MAX_OBJECT_BYTES: u64 = 256 << 20;
/// The largest part or track: 10,000 upload blocks of 8 MiB, which is what S3 takes, is above.
pub const MAX_PART_BYTES: u64 = 64 << 30;
/// The most that [`Store::read_part_range`] returns at once.
pub const MAX_READ_BYTES: u64 = 256 << 20;

/// Schemes of the object stores that can be written.
const WRITABLE: [&str; 9] = ["s3", "s3a", "gs", "az", "adl", "azure", "abfs", "abfss", "memory"];

/// An open store. Cheap to clone. Its methods need a tokio runtime; [`crate::BlockingStore`] brings its own.
#[derive(Clone, Debug)]
pub struct Store(pub(crate) Backend);

#[derive(Clone, Debug)]
pub(crate) enum Backend {
    Local(Local),
    Remote(Remote),
}

/// How a publication ended. All three leave the bytes in the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Published {
    /// It was not there before.
    New,
    /// The same bytes were there.
    AlreadyThere,
    /// What was there was damaged and has been replaced.
    Repaired,
}

/// What lies under a recipe key.
enum State {
    Absent,
    Damaged(String),
    Whole { record: Vec<u8>, artifact: Artifact },
}

impl Store {
    /// Opens the store at a folder's path or a `file:`, `s3:`, `gs:`, `az:` or `memory:` URL, with the credentials in
    /// the environment. A local folder is made where needed; nothing is asked of a server yet.
    pub fn open(location: &str) -> Result<Self, StoreError> {
        Self::open_with(location, &Credentials::from_env())
    }

    /// Opens the store with the given credentials.
    pub fn open_with(location: &str, credentials: &Credentials) -> Result<Self, StoreError> {
        let bad = |reason: &str| StoreError::BadUrl { url: redacted(location), reason: reason.to_owned() };
        match Url::parse(location) {
            Ok(url) if url.scheme() == "file" => {
                let path =
                    url.to_file_path().map_err(|()| bad("a file URL has an absolute path and no host"))?;
                Local::open(&path).map(Backend::Local).map(Store)
            }
            Ok(url) if WRITABLE.contains(&url.scheme()) => {
                Remote::open(&url, credentials).map(Backend::Remote).map(Store)
            }
            Ok(url) if location.contains("://") => {
                Err(bad(&format!("{}: URLs cannot be written", url.scheme())))
            }
            Err(error) if location.contains("://") => Err(bad(&error.to_string())),
            _ => Local::open(Path::new(location)).map(Backend::Local).map(Store),
        }
    }

    /// Asks a remote store whether it is there and may be used; a folder was made when it was opened.
    pub async fn check(&self) -> Result<(), StoreError> {
        match &self.0 {
            Backend::Local(_) => Ok(()),
            Backend::Remote(remote) => remote.check().await,
        }
    }

    /// The path of a part's bytes, where the store is a folder. The file need not exist.
    pub fn local_path(&self, key: RecipeKey) -> Option<PathBuf> {
        match &self.0 {
            Backend::Local(local) => Some(local.path(&Name::of_data(key))),
            Backend::Remote(_) => None,
        }
    }

    /// The record of a finished part or track, after its bytes were read and found to be what the record says.
    /// A damaged part is logged and counts as absent.
    pub async fn find_part(&self, key: RecipeKey) -> Result<Option<Vec<u8>>, StoreError> {
        match self.state(key).await? {
            State::Whole { record, .. } => Ok(Some(record)),
            State::Absent => Ok(None),
            State::Damaged(reason) => {
                tracing::warn!(recipe = %key, reason, "a stored part is damaged and will be made again");
                Ok(None)
            }
        }
    }

    /// Publishes the bytes of a part or track under its recipe key, and then its record, an encoded
    /// `RenditionPart` or `AudioRecord`.
    ///
    /// Write-once: what is there and whole stays. Other bytes under the same key are
    /// [`StoreError::Determinism`].
    pub async fn publish_part(
        &self,
        key: RecipeKey,
        file: &Path,
        record: &[u8],
    ) -> Result<Published, StoreError> {
        let name = || Name::of_record(key).path();
        let malformed = |reason: String| StoreError::NotAsRecorded { name: name(), reason };
        let (recorded_key, artifact) = head(record).map_err(malformed)?;
        if recorded_key != key {
            return Err(malformed(format!("it is the record of {recorded_key}")));
        }
        limit(name(), artifact.size, MAX_PART_BYTES)?;
        limit(name(), record.len() as u64, MAX_RECORD_BYTES)?;
        let part = NewPart { key, file: file.to_owned(), record: record.to_owned(), artifact };
        match self.0.clone() {
            Backend::Local(local) => blocking(move || publish_locally(&local, &part)).await,
            Backend::Remote(remote) => publish_remotely(&remote, &part).await,
        }
    }

    /// Publishes bytes under their own digest.
    pub async fn publish_object(&self, bytes: Bytes) -> Result<Artifact, StoreError> {
        let artifact = Artifact::of(&bytes);
        let name = Name::of_object(artifact.sha256);
        limit(name.path(), artifact.size, MAX_OBJECT_BYTES)?;
        match self.object(artifact).await {
            Ok(_) => return Ok(artifact),
            Err(
                error @ (StoreError::Shortage { .. }
                | StoreError::Denied { .. }
                | StoreError::Rejected { .. }),
            ) => return Err(error),
            Err(_) => {}
        }
        match self.0.clone() {
            Backend::Local(local) => {
                blocking(move || local.lock(&name)?.write(&name, Content::Bytes(&bytes), true)).await?;
            }
            Backend::Remote(remote) => {
                remote.replace(&name.path(), &bytes).await?;
            }
        }
        Ok(artifact)
    }

    /// The bytes of an object, checked against its digest.
    pub async fn object(&self, artifact: Artifact) -> Result<Bytes, StoreError> {
        let name = Name::of_object(artifact.sha256);
        limit(name.path(), artifact.size, MAX_OBJECT_BYTES)?;
        let path = name.path();
        let bytes = match self.0.clone() {
            Backend::Local(local) => blocking(move || local.read(&name, MAX_OBJECT_BYTES)).await?,
            Backend::Remote(remote) => remote.read(&name.path(), MAX_OBJECT_BYTES).await?,
        };
        let bytes = bytes.ok_or_else(|| StoreError::NotFound { name: path.clone() })?;
        match difference(Artifact::of(&bytes), artifact) {
            None => Ok(bytes.into()),
            Some(reason) => Err(StoreError::Damaged { name: path, reason }),
        }
    }

    /// The bytes `[start, end)` of a part or track, at most [`MAX_READ_BYTES`], unchecked.
    pub async fn read_part_range(&self, key: RecipeKey, range: Range<u64>) -> Result<Bytes, StoreError> {
        let name = Name::of_data(key);
        limit(name.path(), range.end.saturating_sub(range.start), MAX_READ_BYTES)?;
        match self.0.clone() {
            _ if range.start >= range.end => Ok(Bytes::new()),
            Backend::Local(local) => {
                blocking(move || local.read_range(&name, range.start, range.end)).await.map(Bytes::from)
            }
            Backend::Remote(remote) => remote.read_range(&name.path(), range).await,
        }
    }

    async fn state(&self, key: RecipeKey) -> Result<State, StoreError> {
        match self.0.clone() {
            Backend::Local(local) => blocking(move || local_state(&local, key)).await,
            Backend::Remote(remote) => remote_state(&remote, key).await,
        }
    }
}

/// A part on its way into the store.
struct NewPart {
    key: RecipeKey,
    file: PathBuf,
    record: Vec<u8>,
    artifact: Artifact,
}

fn limit(name: String, size: u64, limit: u64) -> Result<(), StoreError> {
    match size <= limit {
        true => Ok(()),
        false => Err(StoreError::TooLarge { name, size, limit }),
    }
}

pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
) -> Result<T, StoreError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) => Err(StoreError::Io { name: "the store".to_owned(), reason: error.to_string() }),
    }
}

/// The artifact that a stored record claims, or what is wrong with it.
fn claim(key: RecipeKey, stored: &[u8]) -> Result<(Vec<u8>, Artifact), String> {
    let record = unseal(stored).ok_or("its record is damaged")?;
    match head(record)? {
        (recorded, artifact) if recorded == key => Ok((record.to_owned(), artifact)),
        (recorded, _) => Err(format!("its record is that of {recorded}")),
    }
}

fn judge(record: Vec<u8>, artifact: Artifact, found: Option<Artifact>) -> State {
    match found.map(|found| difference(found, artifact)) {
        Some(None) => State::Whole { record, artifact },
        Some(Some(reason)) => State::Damaged(reason),
        None => State::Damaged("its bytes are gone".to_owned()),
    }
}

/// The record that was read for a key and what it says of the data, or the state that a bad or absent one means.
fn recorded(
    key: RecipeKey,
    read: Result<Option<Vec<u8>>, StoreError>,
) -> Result<Result<(Vec<u8>, Artifact), State>, StoreError> {
    match read {
        Ok(Some(stored)) => Ok(claim(key, &stored).map_err(State::Damaged)),
        Ok(None) => Ok(Err(State::Absent)),
        Err(StoreError::TooLarge { .. }) => Ok(Err(State::Damaged("its record is too large".to_owned()))),
        Err(error) => Err(error),
    }
}

fn local_state(local: &Local, key: RecipeKey) -> Result<State, StoreError> {
    match recorded(key, local.read(&Name::of_record(key), MAX_RECORD_BYTES))? {
        Err(state) => Ok(state),
        Ok((record, artifact)) => match local.digest(&Name::of_data(key)) {
            // A disk that cannot give the bytes back has lost them.
            Err(StoreError::Io { reason, .. }) => Ok(State::Damaged(reason)),
            found => Ok(judge(record, artifact, found?)),
        },
    }
}

async fn remote_state(remote: &Remote, key: RecipeKey) -> Result<State, StoreError> {
    match recorded(key, remote.read(&Name::of_record(key).path(), MAX_RECORD_BYTES).await)? {
        Err(state) => Ok(state),
        Ok((record, artifact)) => {
            Ok(judge(record, artifact, remote.digest(&Name::of_data(key).path()).await?))
        }
    }
}

/// `Some` when what is stored settles the publication: the same bytes, or others that are whole.
fn settled(state: &State, part: &NewPart) -> Option<Result<Published, StoreError>> {
    match state {
        State::Whole { artifact, .. } if *artifact == part.artifact => Some(Ok(Published::AlreadyThere)),
        State::Whole { artifact, .. } => {
            Some(Err(StoreError::Determinism { key: part.key, stored: *artifact, made: part.artifact }))
        }
        State::Absent | State::Damaged(_) => None,
    }
}

fn publish_locally(local: &Local, part: &NewPart) -> Result<Published, StoreError> {
    expect(part.file.display(), digest_file(&part.file)?, part.artifact)?;
    let (data, record) = (Name::of_data(part.key), Name::of_record(part.key));
    let shard = local.lock(&data)?;
    let state = local_state(local, part.key)?;
    if let Some(settled) = settled(&state, part) {
        return settled;
    }
    let damaged = matches!(state, State::Damaged(_));
    if damaged {
        // First, so that a writer killed from here on leaves data without a record, never a wrong pair.
        shard.remove(&record)?;
    }
    match local.digest(&data) {
        Ok(Some(found)) if found == part.artifact => {}
        // Anything else that is there is what a killed writer left, or damage.
        found => {
            let replace = !matches!(found, Ok(None));
            shard.write(&data, Content::File(&part.file, part.artifact), replace)?;
        }
    }
    shard.write(&record, Content::Bytes(&seal(&part.record)), false)?;
    Ok(if damaged { Published::Repaired } else { Published::New })
}

async fn publish_remotely(remote: &Remote, part: &NewPart) -> Result<Published, StoreError> {
    let (data, record) = (Name::of_data(part.key).path(), Name::of_record(part.key).path());
    let (mut repaired, mut rounds) = (false, Rounds::new());
    loop {
        let state = remote_state(remote, part.key).await?;
        match settled(&state, part) {
            Some(Ok(_)) if repaired => return Ok(Published::Repaired),
            Some(settled) => return settled,
            None => {}
        }
        if matches!(state, State::Damaged(_)) {
            repaired = true;
            remote.remove(&record).await?;
        }
        if remote.digest(&data).await? != Some(part.artifact) {
            remote.upload(&data, &part.file, part.artifact, None).await?;
        }
        if remote.create(&record, seal(&part.record).into()).await? {
            return Ok(if repaired { Published::Repaired } else { Published::New });
        }
        // Another writer came between: there is no lock.
        if !rounds.again().await {
            let reason = "other writers kept coming between".to_owned();
            return Err(StoreError::Shortage { name: record, reason });
        }
    }
}
