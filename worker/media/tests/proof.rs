//! The proof holds for what was made of a clip, and for nothing else.
#![allow(clippy::unwrap_used)]

mod common;

use std::path::{Path, PathBuf};

use common::{CLIPS, Title, clip, make_tree, title};
use reel_media::{MediaError, VerifyJob, verify};
use reel_proto::v1;

fn prove(title: &Title, tree: &Path) -> Result<v1::Proof, MediaError> {
    let job = VerifyJob { source: &title.source, index: &title.index, profile: &title.profile, tree };
    verify(&job, &mut |_, _| ())
}

fn segment(tree: &Path, number: u32) -> PathBuf {
    tree.join(format!("video/180p/seg_{number:05}.m4s"))
}

#[test]
fn what_was_made_of_a_clip_is_proved() {
    for name in CLIPS {
        let title = title(&clip(name));
        let tree = tempfile::tempdir().unwrap();
        make_tree(&title, tree.path());
        let proof = prove(&title, tree.path()).unwrap();
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
    make_tree(&title, whole.path());
    let refused = |change: &dyn Fn(&Path), reason: &str| {
        let tree = tempfile::tempdir().unwrap();
        let copied =
            std::process::Command::new("cp").arg("-r").arg(whole.path().join(".")).arg(tree.path()).status();
        assert!(copied.unwrap().success());
        change(tree.path());
        let message = prove(&title, tree.path()).unwrap_err().message;
        assert!(message.contains(reason), "{message}");
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
