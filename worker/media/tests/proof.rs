//! The proof holds for what was made of a clip, and for nothing else.
#![allow(clippy::unwrap_used)]

mod common;

use std::path::{Path, PathBuf};

use common::{CLIPS, Title, clip, make_tree, title};
use reel_media::{MeasureJob, MediaError, VerifyJob, measure, verify};
use reel_proto::v1;

fn prove(title: &Title, tree: &Path) -> Result<v1::Proof, MediaError> {
    let job = VerifyJob {
        sources: std::slice::from_ref(&title.source),
        index: &title.index,
        profile: &title.profile,
        tree,
    };
    verify(&job, &mut |_, _| ())
}

/// The records of a tree, and the proof that it is made of them.
type Records = (Vec<v1::PartRecord>, Vec<v1::AudioRecord>);

fn prove_assembled(title: &Title, tree: &Path, (parts, audio): &Records) -> Result<v1::Proof, MediaError> {
    measure(
        &MeasureJob { index: &title.index, profile: &title.profile, tree, parts, audio },
        &mut |done, total| assert!(done <= total, "{done} of {total}"),
    )
}

fn segment(tree: &Path, number: u32) -> PathBuf {
    tree.join(format!("video/180p/seg_{number:05}.m4s"))
}

#[test]
fn what_was_made_of_a_clip_is_proved() {
    for name in CLIPS {
        let title = title(&clip(name));
        let tree = tempfile::tempdir().unwrap();
        let records = make_tree(&title, tree.path());
        let proof = prove(&title, tree.path()).unwrap();
        // What was proved part by part is what is found when all is decoded again.
        assert_eq!(prove_assembled(&title, tree.path(), &records).unwrap(), proof, "{name}");
        assert_eq!(proof.renditions.len(), 2, "{name}");
        for rendition in &proof.renditions {
            assert_eq!(rendition.frames, title.frames, "{name}");
            assert!(rendition.worst_difference_ppm < 30_000, "{name}: {}", rendition.worst_difference_ppm);
        }
        assert_eq!(proof.audio.len(), title.index.audio.len(), "{name}");
        let offsets: Vec<i32> = proof.audio.iter().flat_map(|track| track.offsets.clone()).collect();
        assert!(
            offsets.is_empty() == proof.audio.is_empty() && offsets.iter().all(|offset| offset.abs() <= 1),
            "{name}: {offsets:?}"
        );
    }
}

#[test]
fn a_tree_that_is_not_whole_is_refused_with_what_is_wrong() {
    let title = title(&clip(CLIPS[0]));
    let whole = tempfile::tempdir().unwrap();
    let records = make_tree(&title, whole.path());
    let refused = |change: &dyn Fn(&Path), reason: &str| {
        let tree = tempfile::tempdir().unwrap();
        let copied =
            std::process::Command::new("cp").arg("-r").arg(whole.path().join(".")).arg(tree.path()).status();
        assert!(copied.unwrap().success());
        change(tree.path());
        for outcome in [prove(&title, tree.path()), prove_assembled(&title, tree.path(), &records)] {
            let message = outcome.unwrap_err().message;
            assert!(message.contains(reason), "{message}");
        }
    };
    refused(&|tree| std::fs::remove_file(segment(tree, 2)).unwrap(), "frames, the mezzanine has");
    refused(&|tree| assert!(std::fs::copy(segment(tree, 1), segment(tree, 2)).unwrap() > 0), "shows frame");
    refused(&|tree| std::fs::write(segment(tree, 2), b"<html>404</html>").unwrap(), "cannot be read");
    refused(&|tree| std::fs::remove_dir_all(tree.join("video")).unwrap(), "lacks rendition");
    refused(&|tree| std::fs::remove_file(tree.join("audio/stereo/seg_00003.m4s")).unwrap(), "audio/stereo");
    refused(&|tree| std::fs::remove_dir_all(tree.join("audio")).unwrap(), "lacks audio track");
    refused(&|tree| std::fs::rename(tree.join("video/180p"), tree.join("video/90p")).unwrap(), "180p");
}

#[test]
fn a_title_of_another_mezzanine_is_refused() {
    let (bunny, city) = (title(&clip(CLIPS[1])), title(&clip(CLIPS[2])));
    let tree = tempfile::tempdir().unwrap();
    make_tree(&bunny, tree.path());
    assert!(prove(&city, tree.path()).is_err());
}

#[test]
fn a_tree_that_is_not_made_of_the_proved_parts_is_refused() {
    let title = title(&clip(CLIPS[0]));
    let tree = tempfile::tempdir().unwrap();
    let records = make_tree(&title, tree.path());
    let refused = |change: &dyn Fn(&mut Records), reason: &str| {
        let mut changed = records.clone();
        change(&mut changed);
        let message = prove_assembled(&title, tree.path(), &changed).unwrap_err().message;
        assert!(message.contains(reason), "{message}");
    };
    fn proof((parts, _): &mut Records, part: usize) -> &mut v1::PartProof {
        parts[part].renditions[1].proof.as_mut().unwrap()
    }
    refused(
        &|records| proof(records, 1).border_before[0] ^= 1,
        "decodes differently around frame 48, 2.000 s",
    );
    refused(
        &|records| proof(records, 1).border_before.clear(),
        "the beginning of part 1 of rendition 180p was never proved",
    );
    refused(&|records| proof(records, 0).coded_digest[0] ^= 1, "180p does not hold part 0 as it was proved");
    refused(&|(parts, _)| parts[1].renditions[0].proof = None, "part 1 of rendition 360p was never proved");
    refused(&|(parts, _)| parts[0].renditions[0].codec_config[5] ^= 1, "does not hold part 0");
    refused(&|(parts, _)| drop(parts.pop()), "holds more frames than its parts");
    refused(&|(_, audio)| audio[0].coded_digest[0] ^= 1, "does not hold its track as it was proved");
    refused(&|(_, audio)| audio.clear(), "audio track stereo was never proved");
    refused(&|(_, audio)| audio[0].samples += 4096, "ends at sample");
    // A frame of which a bit was lost on the way.
    let path = segment(tree.path(), 2);
    let mut bytes = std::fs::read(&path).unwrap();
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    let message = prove_assembled(&title, tree.path(), &records).unwrap_err().message;
    assert!(message.contains("180p does not hold part 0 as it was proved"), "{message}");
}
