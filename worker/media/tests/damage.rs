//! A mezzanine of which packets in the middle do not decode.
#![allow(clippy::unwrap_used)]

mod common;

use std::io::{Seek, SeekFrom, Write};

use common::{CLIPS, Recorder, clip, run, title};
use reel_common::FailureClass;
use reel_media::{EncodeJob, Timeline, encode};
use reel_profiles::DamageRule;

/// A copy of a clip with zeros over several packets in the middle, and its container untouched.
fn damaged(folder: &std::path::Path) -> std::path::PathBuf {
    let path = folder.join("damaged.mp4");
    std::fs::copy(clip(CLIPS[0]), &path).unwrap();
    let mut file = std::fs::File::options().write(true).open(&path).unwrap();
    let size = file.metadata().unwrap().len();
    file.seek(SeekFrom::Start(size / 2)).unwrap();
    file.write_all(&[0; 60_000]).unwrap();
    path
}

#[test]
fn damage_is_refused_with_its_place() {
    let folder = tempfile::tempdir().unwrap();
    let title = title(&damaged(folder.path()));
    let job = EncodeJob {
        source: &title.source,
        index: &title.index,
        profile: &title.profile,
        parts: &title.parts,
        scratch: folder.path(),
    };
    let error = encode(&job, &mut Recorder::default()).unwrap_err();
    assert_eq!(error.class, FailureClass::Invalid);
    assert!(error.message.contains("damaged.mp4 is damaged: frame"), "{}", error.message);
}

#[test]
fn mended_parts_are_the_same_however_they_are_grouped() {
    let folder = tempfile::tempdir().unwrap();
    let mut title = title(&damaged(folder.path()));
    title.profile.admission.damage = DamageRule::Repeat;
    let (mut whole, mut single) = (Recorder::default(), Recorder::default());
    let scratch = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    run(&title, &title.parts, scratch[0].path(), &mut whole);
    for part in &title.parts {
        run(&title, std::slice::from_ref(part), scratch[1].path(), &mut single);
    }
    let frames: u64 = whole.records.iter().map(|record| record.renditions[0].frames).sum();
    assert_eq!(frames, Timeline::new(&title.index).unwrap().frames());
    assert_eq!(whole.records, single.records);
}
