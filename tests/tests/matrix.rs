//! Every kind of mezzanine gives every frame exactly once at its time, and sound that stays where it was: proved by
//! `reel verify`, and independently by ffmpeg.

#![allow(clippy::unwrap_used, reason = "a test fails where it is surprised")]

use std::path::{Path, PathBuf};

use reel_common::Rational;
use reel_tests::ffmpeg::{self, Frames, Sound};
use reel_tests::fixtures::{self, Fixture};
use reel_tests::reel::Reel;
use reel_tests::{profile, scratch, signal};

/// Greatest delay of sound in samples. One audio frame of 1024 is allowed; a whole-track encode keeps it exactly.
const MOST_DELAY: i64 = 24;

/// Greatest mean difference of a frame's colours, in thousandths of a step.
const MOST_COLOUR: u64 = 4000;

/// A transcoded title with what ffmpeg decodes of its mezzanine.
struct Title {
    dir: tempfile::TempDir,
    mezzanine: Fixture,
    source: Frames,
}

impl Title {
    /// Transcodes with the test profiles and checks all that holds for any title; `renditions` are those of `quick`, whose
    /// title it gives.
    fn make(mezzanine: Fixture, renditions: &[&str]) -> Title {
        let source = ffmpeg::decode(&mezzanine.path);
        let title = Self::make_with("codecs", mezzanine, source, &["hevc", "hevc-10", "av1", "av1-10"]);
        for (rendition, codec, pixels) in [
            ("hevc", "hevc", "yuv420p"),
            ("hevc-10", "hevc", "yuv420p10le"),
            ("av1", "av1", "yuv420p"),
            ("av1-10", "av1", "yuv420p10le"),
        ] {
            let mp4 = title.path(&format!("{rendition}.mp4"));
            let entry = |name: &str| ffmpeg::stream_entry(&mp4, "v:0", name);
            assert_eq!(entry("codec_name").as_deref(), Some(codec));
            let ranged = entry("pix_fmt").map(|format| format.replace("yuvj", "yuv"));
            assert_eq!(ranged.as_deref(), Some(pixels));
        }
        Self::make_with("quick", title.mezzanine, title.source, renditions)
    }

    fn make_with(name: &str, mezzanine: Fixture, source: Frames, renditions: &[&str]) -> Title {
        let dir = scratch();
        let output = dir.path().join("title");
        Reel::transcode(dir.path(), &mezzanine.path, &output, &profile(name)).args("--quiet").run().success();
        let verify =
            ["verify".as_ref(), output.as_os_str(), "--against".as_ref(), mezzanine.path.as_os_str()];
        Reel::new(dir.path(), verify).run().success();
        let title = Title { source, dir, mezzanine };
        for rendition in renditions {
            for path in [
                title.path(&format!("{rendition}.mp4")),
                title.path(&format!("video/{rendition}/playlist.m3u8")),
            ] {
                title.assert_frames(&path);
            }
        }
        let names = std::fs::read_dir(title.path("video")).unwrap().map(|entry| entry.unwrap().file_name());
        let mut names: Vec<_> = names.map(|name| name.into_string().unwrap()).collect();
        names.sort();
        let mut expected = renditions.to_vec();
        expected.sort();
        assert_eq!(names, expected);
        title.assert_frames(&title.path("master.m3u8"));
        title
    }

    fn path(&self, below: &str) -> PathBuf {
        self.dir.path().join("title").join(below)
    }

    /// Frame for frame the same film: numbers, times, and pictures that have the colours of their own and look like no
    /// neighbour's more than like their own.
    fn assert_frames(&self, path: &Path) {
        let made = ffmpeg::decode(path);
        let place = path.display();
        if self.mezzanine.numbered {
            let numbers =
                |frames: &Frames| frames.thumbs.iter().map(|t| t.frame_number()).collect::<Vec<_>>();
            assert_eq!(numbers(&made), numbers(&self.source), "{place}");
        }
        assert_eq!(from_first(&made.times), from_first(&self.source.times), "{place}");
        assert_eq!(made.times[0], Rational::ZERO, "{place}: every track begins where the title begins");
        assert_eq!(made.thumbs.len(), self.source.thumbs.len(), "{place}");
        for (at, thumb) in made.thumbs.iter().enumerate() {
            let own = &self.source.thumbs[at];
            let distance = thumb.difference(own);
            let colours = thumb.colour_difference(own);
            assert!(colours < MOST_COLOUR, "{place}: the colours of frame {at} are off by {colours}");
            for neighbour in [at.wrapping_sub(1), at + 1] {
                let Some(other) = self.source.thumbs.get(neighbour) else { continue };
                let wrong = thumb.difference(other);
                let alike = own.difference(other) < 1000;
                assert!(
                    alike || distance < wrong,
                    "{place}: frame {at} looks like frame {neighbour}: {distance} {wrong}"
                );
            }
        }
    }

    /// The sound lies where it lay, at the start, in the middle and at the end, in the MP4 and in the HLS rendition.
    fn assert_sound(&self, mp4: &str) {
        let sides = |path: &Path| [0, 1].map(|side| ffmpeg::sound(path, side).expect("there is sound"));
        let source = sides(&self.mezzanine.path);
        let zero = self.source.times[0];
        let length = self.source.times.last().and_then(|last| last.checked_sub(zero)).unwrap();
        let end = length.checked_sub(Rational::whole(1)).unwrap();
        let half = end.checked_mul(Rational::new(1, 2).unwrap()).unwrap();
        let mp4 = self.path(mp4);
        let tracks =
            [(mp4.clone(), ffmpeg::times(&mp4, "v:0")[0]), (self.path("master.m3u8"), self.hls_origin())];
        for (path, origin) in tracks {
            let made = sides(&path);
            for (source, made) in source.iter().zip(&made) {
                for at in [Rational::ZERO, half, end] {
                    let delay = signal::delay((source, zero), (made, origin), at);
                    let near = delay.is_some_and(|delay| delay.abs() <= MOST_DELAY);
                    assert!(near, "{}: sound at {at} s is off by {delay:?} samples", path.display());
                }
            }
            assert_covers(&made[0], origin, length, &path);
        }
    }

    fn hls_origin(&self) -> Rational {
        ffmpeg::times(&self.path("master.m3u8"), "v:0")[0]
    }
}

fn assert_covers(sound: &Sound, origin: Rational, length: Rational, path: &Path) {
    let start = sound.start.checked_sub(origin).unwrap().checked_mul(Rational::whole(signal::RATE)).unwrap();
    let end = start.round() + sound.samples.len() as i64;
    let wanted = length.checked_mul(Rational::whole(signal::RATE)).unwrap().round();
    assert!(
        start.round() <= 0 && end >= wanted,
        "{}: sound covers {start} to {end} of {wanted}",
        path.display()
    );
}

fn from_first(times: &[Rational]) -> Vec<Rational> {
    times.iter().map(|time| time.checked_sub(times[0]).unwrap()).collect()
}

const BOTH: [&str; 2] = ["360p", "180p"];

#[test]
fn prores_422_hq_at_24000_1001_with_surround_pcm() {
    Title::make(fixtures::prores_mov(), &BOTH).assert_sound("360p.mp4");
}

#[test]
fn dnxhd_in_mxf() {
    Title::make(fixtures::dnxhd_mxf(), &BOTH).assert_sound("360p.mp4");
}

#[test]
fn h264_with_b_frames_and_an_edit_list() {
    let title = Title::make(fixtures::h264_bframes_editlist_mp4(), &BOTH);
    assert_eq!(title.source.thumbs[0].frame_number(), Some(60));
    title.assert_sound("360p.mp4");
}

#[test]
fn open_gop_h264_in_matroska() {
    Title::make(fixtures::open_gop_h264_mkv(), &BOTH).assert_sound("360p.mp4");
}

#[test]
fn mpeg2_in_a_transport_stream() {
    Title::make(fixtures::mpeg2_ts(), &BOTH).assert_sound("360p.mp4");
}

#[test]
fn mpeg2_in_a_program_stream_without_sound() {
    let title = Title::make(fixtures::city(), &BOTH);
    assert!(ffmpeg::stream_entry(&title.path("360p.mp4"), "a:0", "codec_name").is_none());
}

#[test]
fn intra_only_avc() {
    Title::make(fixtures::intra_avc(), &BOTH).assert_sound("360p.mp4");
}

#[test]
fn hevc_with_cra_points() {
    Title::make(fixtures::hevc_cra_mp4(), &BOTH).assert_sound("360p.mp4");
}

#[test]
fn big_buck_bunny_1080p() {
    Title::make(fixtures::bbb_1080p(), &BOTH).assert_sound("360p.mp4");
}

#[test]
fn big_buck_bunny_720p_with_surround_aac() {
    Title::make(fixtures::bbb_720p(), &BOTH).assert_sound("360p.mp4");
}

#[test]
fn a_variable_frame_rate_stays_one() {
    let title = Title::make(fixtures::variable_rate_mkv(), &BOTH);
    title.assert_sound("360p.mp4");
    let steps = title.source.times.windows(2).map(|pair| pair[1].checked_sub(pair[0]).unwrap());
    assert!(steps.collect::<std::collections::BTreeSet<_>>().len() > 1);
}

#[test]
fn a_last_frame_behind_whole_segments() {
    Title::make(fixtures::one_frame_tail(), &BOTH).assert_sound("360p.mp4");
}

#[test]
fn odd_sizes_and_anamorphic_pixels_keep_their_shape() {
    let title = Title::make(fixtures::odd_anamorphic_mkv(), &["180p"]);
    let entry = |name| ffmpeg::stream_entry(&title.path("180p.mp4"), "v:0", name).unwrap();
    // 430 * 16 / 11 to 322, at a height of 180.
    assert_eq!((entry("width"), entry("height")), ("350".to_owned(), "180".to_owned()));
    assert_eq!(entry("sample_aspect_ratio"), "1:1");
}

#[test]
fn a_turned_picture_is_delivered_upright() {
    let title = Title::make(fixtures::rotated_mov(), &BOTH);
    let entry = |name| ffmpeg::stream_entry(&title.path("360p.mp4"), "v:0", name).unwrap();
    assert_eq!((entry("width"), entry("height")), ("202".to_owned(), "360".to_owned()));
    title.assert_sound("360p.mp4");
}

#[test]
fn sound_that_starts_late_stays_late() {
    Title::make(fixtures::late_sound_mov(), &BOTH).assert_sound("360p.mp4");
}
