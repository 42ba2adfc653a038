//! A trial of a store, whether it keeps what the farm relies on.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::time::{Duration, Instant};

use crate::StoreError;
use crate::layout::Name;
use crate::local::{Content, Local};
use crate::remote::Remote;
use crate::store::{Backend, Store, blocking};

/// Where the object of a trial lies for a moment: in an object store by itself, and in a folder in a shard that every
/// store has.
const REMOTE_FOLDER: &str = "trial";
const LOCAL_FOLDER: &str = "objects/00";
const TEXT: &[u8] = b"trial of reelfarm\n";
const OTHER_TEXT: &[u8] = b"what no store may put there\n";
/// The most names that are listed.
const MOST_NAMES: usize = 1000;

/// How long the steps of a trial took.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trial {
    /// To put a small object.
    pub put: Duration,
    /// To read it back.
    pub get: Duration,
}

impl Store {
    /// Puts a small object, tries to put another one over it, reads it back, lists it and removes it.
    ///
    /// # Errors
    /// Whatever does not work, or a store that lets an object be written twice, or does not give back or list what
    /// was put.
    pub async fn trial(&self) -> Result<Trial, StoreError> {
        self.check().await?;
        let name = format!("trial-{:016x}", RandomState::new().build_hasher().finish());
        match &self.0 {
            Backend::Local(local) => {
                let (local, name) = (local.clone(), Name { shard: LOCAL_FOLDER.to_owned(), file: name });
                blocking(move || try_local(&local, &name)).await
            }
            Backend::Remote(remote) => {
                let name = format!("{REMOTE_FOLDER}/{name}");
                let tried = try_remote(remote, &name).await;
                let removed = remote.remove(&name).await;
                tried.and_then(|trial| removed.map(|()| trial))
            }
        }
    }
}

fn broken(name: &str, reason: &str) -> StoreError {
    StoreError::Io { name: name.to_owned(), reason: reason.to_owned() }
}

fn try_local(local: &Local, name: &Name) -> Result<Trial, StoreError> {
    let start = Instant::now();
    let shard = local.lock(name)?;
    shard.write(name, Content::Bytes(TEXT), false)?;
    let put = start.elapsed();
    let again = shard.write(name, Content::Bytes(OTHER_TEXT), false).is_ok();
    let start = Instant::now();
    let read = local.read(name, TEXT.len() as u64);
    let get = start.elapsed();
    shard.remove(name)?;
    let shown = local.path(name).display().to_string();
    match read?.as_deref() {
        _ if again => Err(broken(&shown, "the file system lets a file be written twice under one name")),
        Some(TEXT) => Ok(Trial { put, get }),
        _ => Err(broken(&shown, "what was written is not what is read back")),
    }
}

async fn try_remote(remote: &Remote, name: &str) -> Result<Trial, StoreError> {
    let start = Instant::now();
    remote.create(name, TEXT.into()).await?;
    let put = start.elapsed();
    if remote.create(name, OTHER_TEXT.into()).await? {
        return Err(broken(
            name,
            "the store lets an object be written twice: it knows no conditional requests",
        ));
    }
    let start = Instant::now();
    let read = remote.read(name, TEXT.len() as u64).await?;
    let get = start.elapsed();
    if read.as_deref() != Some(TEXT) {
        return Err(broken(name, "what was put is not what is read back"));
    }
    if !remote.list_below(REMOTE_FOLDER, MOST_NAMES).await?.iter().any(|listed| listed == name) {
        return Err(broken(name, "what was put is not listed"));
    }
    Ok(Trial { put, get })
}
