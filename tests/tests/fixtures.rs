//! The fixtures are what they claim to be: otherwise the tests over them would prove nothing.

use std::path::Path;

use reel_common::Rational;
use reel_tests::ffmpeg::{self, Frames};
use reel_tests::fixtures::{self, Fixture};
use reel_tests::signal;

fn numbers(frames: &Frames) -> Vec<u32> {
    frames.thumbs.iter().map(|thumb| thumb.frame_number().unwrap_or(u32::MAX)).collect()
}

#[test]
fn generated_pictures_carry_their_numbers() {
    let cases: &[(Fixture, u32, u32)] = &[
        (fixtures::prores_mov(), 0, 200),
        (fixtures::dnxhd_mxf(), 0, 130),
        (fixtures::h264_bframes_editlist_mp4(), 60, 240),
        (fixtures::open_gop_h264_mkv(), 0, 200),
        (fixtures::mpeg2_ts(), 0, 200),
        (fixtures::intra_avc(), 0, 200),
        (fixtures::hevc_cra_mp4(), 0, 200),
        (fixtures::one_frame_tail(), 0, 101),
        (fixtures::odd_anamorphic_mkv(), 0, 75),
        (fixtures::rotated_mov(), 0, 75),
        (fixtures::late_sound_mov(), 0, 150),
    ];
    for (fixture, first, end) in cases {
        let expected: Vec<u32> = (*first..*end).collect();
        assert_eq!(numbers(&ffmpeg::decode(&fixture.path)), expected, "{}", fixture.path.display());
    }
}

#[test]
fn a_variable_rate_leaves_out_frames_and_keeps_the_times_of_the_others() {
    let frames = ffmpeg::decode(&fixtures::variable_rate_mkv().path);
    let kept: Vec<u32> = (0..200).filter(|n| ![7, 8].contains(&(n % 12))).collect();
    assert_eq!(numbers(&frames), kept);
    let offset = frames.times[0];
    let times =
        kept.iter().map(|n| Rational::new(i64::from(*n), 25).and_then(|time| time.checked_add(offset)));
    assert_eq!(frames.times, times.map(Option::unwrap).collect::<Vec<_>>());
}

/// Types of the NAL units of the video in `path`, in decode order.
fn nal_units(path: &Path, format: &str, kind: fn(u8) -> u8) -> Vec<u8> {
    let stream = ["-map", "0:v", "-c", "copy", "-f", format, "-"].map(AsRef::as_ref);
    let bytes = ffmpeg::run(["-i".as_ref(), path.as_os_str()].into_iter().chain(stream));
    let starts = bytes.windows(4).filter(|window| window.starts_with(&[0, 0, 1]));
    starts.map(|window| kind(window[3])).collect()
}

#[test]
fn open_gops_are_open() {
    let h264 = nal_units(&fixtures::open_gop_h264_mkv().path, "h264", |byte| byte & 31);
    let (idr, sei) = (5, 6);
    assert_eq!(h264.iter().filter(|unit| **unit == idr).count(), 1, "one IDR at the start");
    assert!(h264.iter().filter(|unit| **unit == sei).count() > 4, "recovery points");

    let hevc = nal_units(&fixtures::hevc_cra_mp4().path, "hevc", |byte| byte >> 1 & 63);
    let (rasl, cra) = ([8, 9], 21);
    assert!(hevc.iter().filter(|unit| **unit == cra).count() > 4);
    assert!(
        hevc.iter().filter(|unit| rasl.contains(unit)).count() > 4,
        "leading pictures that need the GOP before"
    );
}

#[test]
fn two_cuts_differ_in_the_middle_alone() {
    let (first, second) = fixtures::two_cuts(10);
    let (first, second) = (ffmpeg::decode(&first.path), ffmpeg::decode(&second.path));
    assert_eq!(numbers(&first), (0..720).collect::<Vec<_>>());
    assert_eq!(first.times, second.times);
    let differs = |i: usize| first.thumbs[i] != second.thumbs[i];
    assert!((240..480).any(differs));
    assert!(!(0..240).chain(480..720).any(differs));
}

#[test]
fn a_chirp_is_found_where_it_is() {
    let path = fixtures::prores_mov().path;
    let sound = ffmpeg::sound(&path, 0).unwrap();
    let (zero, at) = (Rational::ZERO, Rational::whole(3));
    assert_eq!(signal::delay((&sound, zero), (&sound, zero), at), Some(0));
    let late = Rational::new(-480, signal::RATE).unwrap();
    assert_eq!(signal::delay((&sound, zero), (&sound, late), at), Some(480));
    let elsewhere = Rational::new(1, 5).unwrap();
    assert_eq!(signal::delay((&sound, zero), (&sound, elsewhere), at), None);
    let right = ffmpeg::sound(&path, 1).unwrap();
    let crossed = signal::delay((&sound, zero), (&right, zero), at);
    assert!(crossed.is_none_or(|delay| delay.abs() > 48), "sides are told apart: {crossed:?}");
}

#[test]
fn colours_are_told_apart() {
    let frames = ffmpeg::decode(&fixtures::prores_mov().path);
    let mut swapped = frames.thumbs[100].clone();
    swapped.chroma.reverse();
    assert!(swapped.colour_difference(&frames.thumbs[100]) > 10_000);
}
