//! Black and frozen stretches of a mezzanine, and the SSIM of what is made of it, are what ffmpeg's filters find, however a
//! title is made; and the profile says how long the stretches may be.

#![allow(clippy::unwrap_used, reason = "a test fails where it is surprised")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use reel_tests::ffmpeg::Score;
use reel_tests::fixtures;
use reel_tests::reel::{Ended, Reel, report, until};
use reel_tests::tree::{assert_same, assert_settings_change_no_byte, digests, stored_parts};
use reel_tests::{ffmpeg, scratch};
use serde_json::Value;

const RATE: f64 = 24.0;
/// Without loss.
const OPEN_GOP: &str = "yuv420p -c:v libx264 -qp 0 -g 70 -x264-params open-gop=1:bframes=3";

/// Ten seconds: from frame 40 to 110 as black as may be, in 8 bits with a patch of 2 % white to 80; from 120 to 140 a level brighter;
/// from 150 one picture to 200. With parts of two seconds all of them cross borders.
fn mezzanine(dir: &Path, name: &str, black: u32, coding: &str) -> PathBuf {
    let format = coding.split_whitespace().next().unwrap();
    // MOV says nothing of the range of what is not compressed by MPEG's codecs; Matroska rounds times to milliseconds.
    let (range, container) = if name.contains("full") { ("pc", "mkv") } else { ("tv", "mov") };
    let path = dir.join(format!("{name}.{container}"));
    // The filter knows 8 bits alone.
    let patch = ",drawbox=w=32:h=36:c=white:t=fill:enable='between(n,40,79)'";
    let patch = if format.contains("10") { "" } else { patch };
    let filter = format!(
        "testsrc2=s=320x180:r=24:d=10,loop=loop=49:size=1:start=151,trim=end_frame=240,setpts=N/24/TB,\
         scale=out_range={range},format={format},lutyuv=y={black}:enable='between(n,40,109)',\
         lutyuv=y={}:enable='between(n,120,139)'{patch}",
        black + 1
    );
    let coding = coding.split_whitespace().skip(1);
    let args = ["-f", "lavfi", "-i", &filter, "-color_range", range, "-pix_fmt", format];
    ffmpeg::run(args.into_iter().chain(coding).chain([path.to_str().unwrap()]));
    path
}

fn profile(dir: &Path, settings: &str) -> PathBuf {
    let text = format!(
        "name = \"looks\"\nversion = 1\nsegment_seconds = 1\npart_seconds = 2\n{settings}\n\
         [[video]]\nname = \"180p\"\ncodec = \"h264\"\nheight = 180\npreset = \"ultrafast\"\nrate = {{ crf = 30 }}\n\
         [package]\nmp4 = true\n"
    );
    let profile = dir.join("profile.toml");
    fs::write(&profile, text).unwrap();
    profile
}

fn make(dir: &Path, clip: &Path, settings: &str, options: &str) -> Ended {
    let profile = profile(dir, settings);
    Reel::transcode(dir, clip, &dir.join("title"), &profile).args(options).arg("--quiet").run()
}

/// What the report says of the pictures of a title that is made in a fresh home.
fn pictures(clip: &Path, settings: &str, options: &str) -> Value {
    let dir = scratch();
    make(dir.path(), clip, settings, options).success();
    report(&dir.path().join("title"))["picture"].clone()
}

/// Stretches of half a second and more, as first frame and frame after the last.
fn stretches(picture: &Value, kind: &str) -> Vec<(u64, u64)> {
    let listed = picture[kind].as_array().unwrap().iter().map(|stretch| {
        let (start, end) = (stretch["start_s"].as_f64().unwrap(), stretch["end_s"].as_f64().unwrap());
        let (first, frames) = (stretch["first_frame"].as_u64().unwrap(), stretch["frames"].as_u64().unwrap());
        let off = (start - first as f64 / RATE).abs().max((end - (first + frames) as f64 / RATE).abs());
        assert!(off < 0.001, "{stretch}");
        (first, first + frames)
    });
    listed.filter(|(first, end)| end - first >= RATE as u64 / 2).collect()
}

/// What ffmpeg says: the values behind two words, in turns.
fn by_ffmpeg(clip: &Path, filter: &str, start: &str, end: &str) -> Vec<(u64, u64)> {
    let output = Command::new("ffmpeg")
        .args(["-hide_banner", "-nostats", "-i"])
        .arg(clip)
        .args(["-vf", filter, "-f", "null", "-"])
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    let frames = |word: &str| -> Vec<u64> {
        let values = text.split(word).skip(1).map(|rest| rest.split_whitespace().next().unwrap());
        values.map(|value| (value.parse::<f64>().unwrap() * RATE).round() as u64).collect()
    };
    frames(start).into_iter().zip(frames(end)).collect()
}

#[test]
fn stretches_are_those_that_ffmpeg_finds() {
    let dir = scratch();
    for (name, black, coding) in [
        ("limited-8", 37, "yuv420p -c:v ffv1"),
        ("full-8", 25, "yuvj420p -c:v libx264 -qp 0"),
        ("limited-10", 151, "yuv422p10le -c:v ffv1"),
        ("full-10", 102, "yuv420p10le -c:v ffv1"),
        ("limited-open-gop", 37, OPEN_GOP),
    ] {
        let clip = mezzanine(dir.path(), name, black, coding);
        let found = pictures(&clip, "", "");
        // FFmpeg 5.1 takes 10 bits for limited range.
        let threshold = if name == "full-10" { 0.0438 } else { 0.1 };
        let filter = format!("blackdetect=pix_th={threshold}:d=0.5");
        let black = by_ffmpeg(&clip, &filter, "black_start:", "black_end:");
        let frozen = by_ffmpeg(&clip, "freezedetect=d=0.5", "freeze_start:", "freeze_end:");
        assert_eq!(
            (stretches(&found, "black"), stretches(&found, "frozen")),
            (black.clone(), frozen),
            "{name}"
        );
        assert!(black.contains(&(40, 110)), "{name}: {black:?}");
        assert_eq!(black.len(), 1, "{name}: {black:?}");
    }
}

#[test]
fn chunks_workers_deaths_and_the_store_change_nothing() {
    let dir = scratch();
    let clip = mezzanine(dir.path(), "open-gop", 37, OPEN_GOP);
    let settings =
        ["--workers 1 --chunk-parts 100", "--workers 2 --chunk-parts 1", "--workers 1 --chunk-parts 2"];
    assert_settings_change_no_byte(&clip, &profile(dir.path(), ""), &settings);
    let first = pictures(&clip, "", settings[0]);
    assert_eq!(stretches(&first, "black"), [(40, 110)]);
    assert_eq!(stretches(&first, "frozen"), [(150, 200)]);
    settings[1..].iter().for_each(|options| assert_eq!(pictures(&clip, "", options), first, "{options}"));

    let (title, profile) = (dir.path().join("title"), profile(dir.path(), ""));
    let job =
        || Reel::transcode(dir.path(), &clip, &title, &profile).args("--quiet --workers 1 --chunk-parts 2");
    let mut running = job().start();
    until("a part in the store", Duration::from_secs(60), || {
        running.has_ended() || stored_parts(&dir.path().join("home")).len() >= 2
    });
    running.kill_group();
    job().run().success();
    assert_eq!(report(&title)["picture"], first);
    let made = digests(&title);
    // All of it is in the store.
    fs::remove_dir_all(&title).unwrap();
    job().run().success();
    let again = report(&title);
    assert_eq!((&again["job"]["renditions_encoded"], &again["picture"]), (&0.into(), &first));
    assert_same(&digests(&title), &made, "from the store");
}

#[test]
fn what_repeats_all_the_time_is_counted_and_its_longest_are_listed() {
    let dir = scratch();
    let clip = mezzanine(dir.path(), "limited", 37, "yuv420p -c:v ffv1");
    let found = pictures(&clip, "[picture]\nframe_rate = \"48\"", "");
    let listed = found["frozen"].as_array().unwrap();
    // 190 pictures are shown twice, and 50 that are one a hundred times.
    assert_eq!((listed.len(), &found["frozen_left_out"]), (100, &91.into()), "{found:#}");
    let longest = listed.iter().max_by_key(|stretch| stretch["frames"].as_u64()).unwrap();
    assert_eq!((&longest["first_frame"], &longest["frames"]), (&300.into(), &100.into()));
    assert_eq!(found["black"][0]["end_s"], 110.0 / RATE);
}

#[test]
fn a_profile_says_how_long_a_title_may_be_black_or_frozen() {
    let dir = scratch();
    let clip = mezzanine(dir.path(), "limited", 37, "yuv420p -c:v ffv1");
    let rules = "[admission]\nmax_black_s = { limit = 2.5, action = \"warn\" }\n\
                 max_frozen_s = { limit = 2, action = \"allow\" }";
    make(dir.path(), &clip, rules, "").success();
    let warnings = report(&dir.path().join("title"))["job"]["warnings"].clone();
    let wanted = "it is black for 2.917 s, from 1.667 s (frame 40) on, and `max_black_s` is 2.5";
    assert_eq!(warnings, serde_json::json!([wanted]));
    fs::remove_dir_all(dir.path().join("title")).unwrap();

    let rules = "[admission]\nmax_black_s = { limit = 3, action = \"reject\" }\nmax_frozen_s = 2";
    let ended = make(dir.path(), &clip, rules, "");
    assert_eq!(ended.code, Some(3), "{}", ended.stderr);
    let wanted = "profile `looks` rejects the mezzanine: it is frozen for 2.083 s, from 6.25 s (frame 150) on, and \
                  `max_frozen_s` is 2";
    assert!(ended.stderr.contains(wanted), "{}", ended.stderr);
    let left: Vec<_> = fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(!left.iter().any(|name| name.to_string_lossy().contains("title")), "{left:?}");
}

#[test]
fn ssim_and_psnr_are_what_ffmpeg_measures() {
    let dir = scratch();
    let clip = dir.path().join("clip.mov");
    let real = fixtures::bundled("big-buck-bunny-720p-5.1.mp4");
    let args =
        ["-i", real.to_str().unwrap(), "-vf", "scale=640:360,format=yuv420p", "-r", "24", "-frames:v", "120"];
    ffmpeg::run(args.into_iter().chain(["-an", "-c:v", "ffv1", clip.to_str().unwrap()]));
    for bits in [8, 10] {
        let depth =
            |codec: &str| if codec == "h264" { String::new() } else { format!("bit_depth = {bits}\n") };
        let rendition = |(codec, preset, crf): (&str, &str, u32)| {
            let depth = depth(codec);
            format!(
                "[[video]]\nname = \"{codec}\"\ncodec = \"{codec}\"\nheight = 360\npreset = {preset}\n{depth}\
                 rate = {{ crf = {crf} }}\n"
            )
        };
        let ladder = [("h264", "\"veryfast\"", 33), ("hevc", "\"ultrafast\"", 33), ("av1", "12", 50)];
        let text = format!(
            "name = \"ssim\"\nversion = 1\nsegment_seconds = 1\npart_seconds = 2\n{}[package]\nmp4 = true\n",
            ladder.map(rendition).concat()
        );
        let profile = dir.path().join("ssim.toml");
        fs::write(&profile, text).unwrap();
        let title = dir.path().join(format!("title-{bits}"));
        Reel::transcode(dir.path(), &clip, &title, &profile).arg("--quiet").run().success();
        for rendition in report(&title)["renditions"].as_array().unwrap() {
            let name = rendition["name"].as_str().unwrap();
            let bits = if name == "h264" { 8 } else { bits };
            let made = title.join(format!("{name}.mp4"));
            let psnr = ffmpeg::scores(&made, &clip, bits, Score::Psnr).iter().sum::<f64>() / 120.0;
            assert!((psnr - rendition["psnr_db"].as_f64().unwrap()).abs() < 0.05, "{psnr}: {rendition:#}");
            let frames = ffmpeg::scores(&made, &clip, bits, Score::Ssim);
            assert_eq!(frames.len(), 120);
            assert_near(rendition, &frames);
            let parts = rendition["parts"].as_array().unwrap();
            parts.iter().zip(frames.chunks(48)).for_each(|(part, frames)| assert_near(part, frames));
        }
    }
}

/// Whether a rendition or part has the mean and the lowest SSIM of its frames.
fn assert_near(said: &Value, frames: &[f64]) {
    let mean = frames.iter().sum::<f64>() / frames.len() as f64;
    let lowest = frames.iter().copied().fold(1.0, f64::min);
    for (key, wanted) in [("ssim", mean), ("worst_frame_ssim", lowest)] {
        let found = said[key].as_f64().unwrap();
        assert!(
            (found - wanted).abs() < 0.002 && wanted < 0.98,
            "{key} {found}, {wanted} by ffmpeg: {said:#}"
        );
    }
}

/// Encoders with few bits are some frames late, or early, where a title fades.
#[test]
fn titles_with_few_bits_may_fade() {
    let dir = scratch();
    let clip = dir.path().join("fade.mov");
    let filter = "testsrc2=s=640x360:r=25,fade=t=in:st=0.5:d=2.5,fade=t=out:st=4:d=2,format=yuv420p";
    let args = ["-f", "lavfi", "-i", filter, "-frames:v", "150", "-c:v", "mpeg2video", "-qscale:v", "2"];
    ffmpeg::run(args.into_iter().chain([clip.to_str().unwrap()]));
    let ladder = [
        ("h264", "\"ultrafast\"", 36),
        ("h264", "\"medium\"", 42),
        ("hevc", "\"ultrafast\"", 44),
        ("av1", "10", 45),
        ("av1", "12", 60),
    ];
    let rendition = |(number, (codec, preset, crf)): (usize, (&str, &str, u32))| {
        format!(
            "[[video]]\nname = \"{number}\"\ncodec = \"{codec}\"\nheight = 360\npreset = {preset}\nrate = {{ crf = {crf} }}\n"
        )
    };
    for (number, entry) in ladder.into_iter().enumerate() {
        let text = rendition((number, entry));
        let text = format!(
            "name = \"fade\"\nversion = 1\nsegment_seconds = 2\npart_seconds = 4\n{text}[package]\nmp4 = true\n"
        );
        let profile = dir.path().join(format!("{number}.toml"));
        fs::write(&profile, text).unwrap();
        let title = dir.path().join(format!("title-{number}"));
        Reel::transcode(dir.path(), &clip, &title, &profile).arg("--quiet").run().success();
        assert_eq!(report(&title)["renditions"][0]["frames"], 150, "{entry:?}");
        Reel::verify(dir.path(), &title, &clip).run().success();
    }
}
