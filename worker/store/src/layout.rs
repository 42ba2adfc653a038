//! Where things lie in the store: names relative to its root.

use reel_common::{Digest, RecipeKey};

/// The folder of parts; its subfolders are the first two digits of the recipe key.
pub(crate) const PARTS: &str = "parts";
/// The folder of objects that are named by their own digest.
pub(crate) const OBJECTS: &str = "objects";

/// An object that shows that a prefix of an object store is a store, and that it can be written and read.
pub(crate) const MARK: &str = "reelfarm-store";
/// What it holds.
pub(crate) const MARK_TEXT: &[u8] = b"store of reelfarm, format 1\n";

/// The folder, name and path of one thing in the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Name {
    /// Folder below the root, for example `parts/3f`.
    pub(crate) shard: String,
    /// File name in that folder.
    pub(crate) file: String,
}

impl Name {
    fn new(folder: &str, digest: Digest, extension: &str) -> Self {
        let hex = digest.to_string();
        Name { shard: format!("{folder}/{}", &hex[..2]), file: format!("{hex}{extension}") }
    }

    /// The bytes of a part or a track.
    pub(crate) fn of_data(key: RecipeKey) -> Self {
        Self::new(PARTS, key.0, ".m4s")
    }

    /// The record of a part or a track.
    pub(crate) fn of_record(key: RecipeKey) -> Self {
        Self::new(PARTS, key.0, ".pb")
    }

    /// An object that is named by its own digest.
    pub(crate) fn of_object(digest: Digest) -> Self {
        Self::new(OBJECTS, digest, "")
    }

    /// The path below the root.
    pub(crate) fn path(&self) -> String {
        format!("{}/{}", self.shard, self.file)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_follow_the_written_layout() {
        let digest = Digest([0xab; 32]);
        let hex = "ab".repeat(32);
        assert_eq!(Name::of_data(RecipeKey(digest)).path(), format!("parts/ab/{hex}.m4s"));
        assert_eq!(Name::of_record(RecipeKey(digest)).path(), format!("parts/ab/{hex}.pb"));
        assert_eq!(Name::of_object(digest).path(), format!("objects/ab/{hex}"));
    }
}
