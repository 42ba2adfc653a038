//! A mezzanine of which packets in the middle do not decode.
#![allow(clippy::unwrap_used)]

mod common;

use std::io::{Seek, SeekFrom, Write};

use common::{CLIPS, Recorder, clip, make_tree, run, title};
use reel_common::FailureClass;
use reel_media::{MeasureJob, TitleTimes, VerifyJob, encode, measure, verify};
use reel_profiles::DamageRule;
use reel_proto::v1;

/// A copy of a clip with zeros over several packets in the middle, and its container untouched.
fn damaged(folder: &std::path::Path) -> std::path::PathBuf {
    damaged_after(folder, 5)
}

/// The same after so many tenths of the file.
fn damaged_after(folder: &std::path::Path, tenths: u64) -> std::path::PathBuf {
    let path = folder.join("damaged.mp4");
    std::fs::copy(clip(CLIPS[0]), &path).unwrap();
    let mut file = std::fs::File::options().write(true).open(&path).unwrap();
    let size = file.metadata().unwrap().len();
    file.seek(SeekFrom::Start(size * tenths / 10)).unwrap();
    file.write_all(&[0; 60_000]).unwrap();
    path
}

#[test]
fn damage_is_refused_with_its_place() {
    let folder = tempfile::tempdir().unwrap();
    let title = title(&damaged(folder.path()));
    let error = encode(&title.job(&title.parts, folder.path()), &mut Recorder::default()).unwrap_err();
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
    assert_eq!(frames, TitleTimes::new(&title.index, &title.profile.picture).unwrap().frames());
    assert_eq!(whole.records, single.records);
}

#[test]
fn mended_frames_are_named_and_counted_over_the_whole_title() {
    let folder = tempfile::tempdir().unwrap();
    let mut title = title(&damaged(folder.path()));
    title.profile.admission.damage = DamageRule::Repeat;
    // The sound among the damaged packets has no stand-in.
    title.index.audio.clear();
    let tree = tempfile::tempdir().unwrap();
    let (parts, audio) = make_tree(&title, tree.path());
    let prove = |damage| {
        let mut profile = title.profile.clone();
        profile.admission.damage = damage;
        let job = MeasureJob {
            index: &title.index,
            profile: &profile,
            tree: tree.path(),
            parts: &parts,
            audio: &audio,
        };
        measure(&job, &mut |_, _| ())
    };
    let proof = prove(DamageRule::Repeat).unwrap();
    let lacking = proof.mended.len() as u32;
    assert!(lacking > 1 && proof.mended.is_sorted(), "{:?}", proof.mended);
    assert_eq!(prove(DamageRule::Allow(lacking)).unwrap(), proof);
    let message = prove(DamageRule::Allow(lacking - 1)).unwrap_err().message;
    assert!(message.contains(&format!("{lacking} frames do not decode")), "{message}");
    let job = VerifyJob {
        sources: std::slice::from_ref(&title.source),
        index: &title.index,
        profile: &title.profile,
        tree: tree.path(),
    };
    assert_eq!(verify(&job, &mut |_, _| ()).unwrap().mended, proof.mended);
}

#[test]
fn borders_are_compared_where_nothing_was_mended() {
    let folder = tempfile::tempdir().unwrap();
    let mut title = title(&damaged_after(folder.path(), 8));
    title.profile.admission.damage = DamageRule::Repeat;
    title.index.audio.clear();
    let tree = tempfile::tempdir().unwrap();
    let (mut parts, audio) = make_tree(&title, tree.path());
    let proof = |part: &v1::PartRecord| part.renditions[0].proof.clone().unwrap();
    assert!(parts.iter().map(proof).all(|p| p.mended.is_empty() || p.border_after.is_empty()));
    let is_sure = |part: &v1::PartRecord| !proof(part).border_after.is_empty();
    let sure = parts.windows(2).position(|pair| pair.iter().all(is_sure)).unwrap();
    let border = |part: &mut v1::PartRecord| {
        part.renditions[0].proof.as_mut().unwrap().border_after[0] ^= 1;
    };
    border(&mut parts[sure]);
    let (index, profile) = (&title.index, &title.profile);
    let job = MeasureJob { index, profile, tree: tree.path(), parts: &parts, audio: &audio };
    let message = measure(&job, &mut |_, _| ()).unwrap_err().message;
    assert!(message.contains("decodes differently"), "{message}");
}
