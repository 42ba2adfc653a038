//! A write-once store: parts under their recipe, objects under their digest. Writes may fail, or be slow, or leave a part
//! without its record.

use std::collections::BTreeSet;

use reel_common::Artifact;

/// What is in the store.
#[derive(Debug, Default)]
pub(crate) struct Store {
    /// Parts by mezzanine and number. The recipe decides the bytes, so there is nothing to compare.
    pub(crate) parts: BTreeSet<(String, u32)>,
    objects: BTreeSet<Artifact>,
    /// How it is at the moment.
    pub(crate) mood: Mood,
}

/// How a store is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Mood {
    /// Writes take a moment.
    #[default]
    Well,
    /// Writes take longer than parts to encode.
    Slow,
    /// Writes fail: it is full.
    Full,
}

impl Store {
    pub(crate) fn put(&mut self, object: Artifact) {
        self.objects.insert(object);
    }

    pub(crate) fn has(&self, object: &Artifact) -> bool {
        self.objects.contains(object)
    }
}
