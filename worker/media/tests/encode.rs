//! Chunks of real clips, encoded and decoded back by ffmpeg.
#![allow(clippy::unwrap_used)]

mod common;

use std::path::Path;
use std::process::Command;

use common::{CLIPS, Recorder, clip, join, run, title};

fn frame_times(path: &Path) -> Vec<i64> {
    let output = Command::new("ffprobe")
        .args(["-v", "error", "-select_streams", "v:0", "-show_entries", "frame=pts", "-of", "csv=p=0"])
        .arg(path)
        .output()
        .unwrap();
    assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().map(|line| line.trim_matches(',').parse().unwrap()).collect()
}

fn check_clip(name: &str) {
    let title = title(&clip(name));
    let scratch = tempfile::tempdir().unwrap();
    let mut recorder = Recorder::default();
    run(&title, &title.parts, scratch.path(), &mut recorder);
    assert_eq!(recorder.records.len(), title.parts.len());
    for lane in 0..recorder.records[0].renditions.len() {
        let path = scratch.path().join(format!("{lane}.mp4"));
        std::fs::write(&path, join(&recorder, lane)).unwrap();
        let step = title.rate.den() * if title.rate.num() < 1000 { 1000 } else { 1 };
        let expected: Vec<i64> = (0..title.frames as i64).map(|frame| frame * step).collect();
        assert_eq!(frame_times(&path), expected, "{name}, rendition {lane}");
    }
}

#[test]
fn joined_parts_play_every_frame_once_at_its_time() {
    for name in CLIPS {
        check_clip(name);
    }
}

#[test]
fn grouping_into_chunks_does_not_change_a_byte() {
    let title = title(&clip(CLIPS[0]));
    let scratch = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let (mut whole, mut single) = (Recorder::default(), Recorder::default());
    run(&title, &title.parts, scratch[0].path(), &mut whole);
    for part in title.parts.iter().rev() {
        run(&title, std::slice::from_ref(part), scratch[1].path(), &mut single);
    }
    single.records.reverse();
    assert_eq!(whole.records, single.records);
}

#[test]
fn a_part_that_is_in_the_store_is_not_encoded_again() {
    let title = title(&clip(CLIPS[0]));
    let scratch = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let mut first = Recorder { stop_before: Some(1), ..Recorder::default() };
    run(&title, &title.parts, scratch[0].path(), &mut first);
    assert_eq!(first.records.len(), 1);
    let mut second = Recorder { store: first.store.clone(), ..Recorder::default() };
    run(&title, &title.parts, scratch[1].path(), &mut second);
    assert_eq!(second.records.len(), title.parts.len());
    assert!(second.files[0].iter().all(Option::is_none));
    assert!(second.files[1].iter().all(Option::is_some));
    assert_eq!(second.records[0], first.records[0]);
}
