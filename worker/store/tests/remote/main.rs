//! Stores and mezzanines behind servers: the same promises with every provider, and in every weather.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod clouds;
mod storm;

use std::path::{Path, PathBuf};

use prost::Message;
use reel_common::{Artifact, Digest, RecipeKey};
use reel_proto::v1;
use reel_store::{Credentials, Published, Store, StoreError};
use reel_tests::clouds::Variables;

/// What a server's environment says.
fn credentials(variables: Variables) -> Credentials {
    Credentials::new(variables.into_iter().map(|(name, value)| (name.to_owned(), value)))
}

/// A part of so many bytes, and the recipe that it is kept under.
struct Part {
    key: RecipeKey,
    bytes: Vec<u8>,
    file: PathBuf,
}

impl Part {
    fn new(folder: &Path, number: u8, size: usize) -> Self {
        let bytes: Vec<u8> = (0..size).map(|n| (n / 7) as u8 ^ number).collect();
        let file = folder.join(format!("part-{number}"));
        std::fs::write(&file, &bytes).unwrap();
        Part { key: RecipeKey(Digest([number; 32])), bytes, file }
    }

    fn record(&self) -> Vec<u8> {
        let record = v1::RenditionPart {
            rendition: "720p".to_owned(),
            recipe_key: self.key.0.0.to_vec(),
            artifact: Some(Artifact::of(&self.bytes).into()),
            frames: 288,
            ..v1::RenditionPart::default()
        };
        record.encode_to_vec()
    }

    async fn publish(&self, store: &Store) -> Result<Published, StoreError> {
        store.publish_part(self.key, &self.file, &self.record()).await
    }

    /// Its name in the store.
    fn name(&self) -> String {
        let hex = self.key.0.to_string();
        format!("parts/{}/{hex}.m4s", &hex[..2])
    }

    /// What the folder of a bucket holds of it.
    fn stored(&self, bucket: &Path) -> Vec<u8> {
        std::fs::read(bucket.join("farm").join(self.name())).unwrap()
    }
}
