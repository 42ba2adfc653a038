//! Brings what a runner left in its scratch folder into the store.

use std::path::Path;

use bytes::Bytes;
use prost::Message;
use reel_common::{Artifact, Digest, Failure, FailureClass, Measured, RecipeKey};
use reel_proto::v1;
use reel_proto::v1::task_finished;
use reel_store::{MAX_OBJECT_BYTES, Published, Store, StoreError};
use reel_worker_core::PartReceipt;

use crate::scratch;

/// What the commit of a task carries.
#[derive(Clone, Debug, PartialEq)]
pub struct Receipt {
    /// What it ended in.
    pub made: Made,
    /// What the runner read of the mezzanine, where it opened it.
    pub source_bytes_read: Option<u64>,
}

/// What a task ended in.
#[derive(Clone, Debug, PartialEq)]
pub enum Made {
    /// An index, whose object is published.
    Index(Box<v1::IndexSummary>),
    /// An object.
    Object(Artifact),
    /// Sizes of a part that was encoded for them.
    Sizes(v1::ProbeSizes),
    /// Parts, which were committed one by one.
    Nothing,
}

/// Publishes the renditions of a part that were encoded, and then the part's record.
pub(crate) async fn publish_part(
    store: &Store,
    folder: &Path,
    part: &v1::PartFinished,
) -> Result<PartReceipt, Failure> {
    let record = part.record.as_ref().ok_or_else(|| broken("a finished part has no record"))?;
    if record.renditions.len() != part.scratch_files.len() {
        return Err(broken("a finished part does not say where each rendition is"));
    }
    let mut encoded = 0;
    for (rendition, name) in record.renditions.iter().zip(&part.scratch_files) {
        if !name.is_empty() {
            let file = scratch::file(folder, name)?;
            publish_recipe(store, &rendition.recipe_key, &file, &rendition.encode_to_vec()).await?;
            encoded += 1;
        }
    }
    let artifact = store.publish_object(record.encode_to_vec().into()).await.map_err(failure)?;
    let measured = record.renditions.iter().map(Measured::from).collect();
    let reused = record.renditions.len() as u32 - encoded;
    Ok(PartReceipt { record: artifact, encoded, reused, measured })
}

/// Publishes what a task ended in, data first.
pub(crate) async fn publish_output(
    store: &Store,
    folder: &Path,
    output: &v1::TaskFinished,
) -> Result<Receipt, Failure> {
    let made = publish_made(store, folder, output).await?;
    Ok(Receipt { made, source_bytes_read: output.source_bytes_read })
}

async fn publish_made(store: &Store, folder: &Path, output: &v1::TaskFinished) -> Result<Made, Failure> {
    let mut objects = Vec::new();
    for name in &output.object_files {
        objects.push(publish_file(store, folder, name).await?);
    }
    match &output.result {
        None => Ok(Made::Nothing),
        Some(task_finished::Result::Sizes(sizes)) => Ok(Made::Sizes(sizes.clone())),
        Some(task_finished::Result::Index(summary)) => {
            let named = summary.artifact.as_ref().and_then(|artifact| Artifact::try_from(artifact).ok());
            match objects.iter().any(|artifact| Some(*artifact) == named) {
                true => Ok(Made::Index(Box::new(summary.clone()))),
                false => Err(broken("the index is not the one that its summary names")),
            }
        }
        Some(task_finished::Result::ScratchFile(name)) => {
            for recipe in &output.recipe_files {
                let record = read(folder, name).await?;
                let file = scratch::file(folder, &recipe.scratch_file)?;
                publish_recipe(store, &recipe.recipe_key, &file, &record).await?;
            }
            publish_file(store, folder, name).await.map(Made::Object)
        }
    }
}

async fn publish_recipe(store: &Store, key: &[u8], file: &Path, record: &[u8]) -> Result<(), Failure> {
    let key = RecipeKey(Digest::try_from(key).map_err(|error| broken(&error.to_string()))?);
    match store.publish_part(key, file, record).await.map_err(failure)? {
        Published::Repaired => tracing::warn!(recipe = %key, "a damaged part in the store was replaced"),
        Published::New | Published::AlreadyThere => {}
    }
    Ok(())
}

async fn publish_file(store: &Store, folder: &Path, name: &str) -> Result<Artifact, Failure> {
    store.publish_object(read(folder, name).await?).await.map_err(failure)
}

async fn read(folder: &Path, name: &str) -> Result<Bytes, Failure> {
    let path = scratch::file(folder, name)?;
    let unreadable = |error: std::io::Error| broken(&format!("{}: {error}", path.display()));
    let size = tokio::fs::metadata(&path).await.map_err(unreadable)?.len();
    if size > MAX_OBJECT_BYTES {
        return Err(failure(StoreError::TooLarge { name: name.to_owned(), size, limit: MAX_OBJECT_BYTES }));
    }
    tokio::fs::read(&path).await.map(Bytes::from).map_err(unreadable)
}

/// A store error as the failure of an attempt.
pub(crate) fn failure(error: StoreError) -> Failure {
    if let StoreError::Determinism { .. } = error {
        tracing::error!(%error, "the same recipe gave other bytes");
    }
    Failure::new(error.class(), &error.to_string(), "")
}

fn broken(message: &str) -> Failure {
    Failure::new(FailureClass::Failed, message, "")
}
