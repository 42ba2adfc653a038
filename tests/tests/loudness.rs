//! Tracks are as loud as the profile says, by ffmpeg's own measure of EBU R 128, and the report says how they came to it.

#![allow(clippy::unwrap_used, reason = "a test fails where it is surprised")]

use std::path::{Path, PathBuf};
use std::process::Command;

use reel_tests::reel::{Reel, report};
use reel_tests::{ffmpeg, scratch, small_profile};
use serde_json::Value;

/// Noise that swells between two levels, and a tone in the last channel: ten seconds at 48 kHz.
const NOISE: &str = "anoisesrc=d=10:c=pink:r=48000:seed=5:a=0.05,volume='0.5+0.5*sin(t)':eval=frame";
/// Clicks: soft as a whole, with peaks near full scale.
const CLICKS: &str = "aevalsrc='0.9*gt(mod(t,1),0.9995)':d=10:s=48000";

/// A mezzanine with pictures of ten seconds and this sound.
fn mezzanine(dir: &Path, name: &str, sound: &str, layout: &str) -> PathBuf {
    let path = dir.join(format!("{name}.mov"));
    let pictures = "testsrc2=s=320x180:r=24:d=10";
    let mixed = format!("{sound},aformat=sample_fmts=s32:channel_layouts={layout}");
    ffmpeg::run([
        "-f",
        "lavfi",
        "-i",
        pictures,
        "-f",
        "lavfi",
        "-i",
        &mixed,
        "-c:v",
        "mpeg4",
        "-c:a",
        "pcm_s24le",
        path.to_str().unwrap(),
    ]);
    path
}

/// Writes a profile with one audio track, which is what its last lines say of it and more.
fn profile(dir: &Path, name: &str, channels: u32, settings: &str) -> PathBuf {
    let track = format!(
        "[package]\nmp4 = true\n[[audio]]\nname = \"sound\"\ncodec = \"aac\"\nchannels = {channels}\nbitrate_kbps = {}\n{settings}",
        128 * channels
    );
    small_profile(dir, name, &track)
}

/// Makes the first audio track of a title with such settings; its file, and what the report says.
fn make(dir: &Path, clip: &Path, channels: u32, settings: &str) -> (PathBuf, Value) {
    let name = clip.file_stem().unwrap().to_str().unwrap();
    let profile = profile(dir, name, channels, settings);
    let title = dir.join(format!("{name}-title"));
    Reel::transcode(dir, clip, &title, &profile).args("--quiet").run().success();
    (title.join("180p.mp4"), report(&title))
}

/// Integrated loudness in LUFS and true peak in dBTP by ffmpeg; a true peak of silence is -inf.
fn measured(path: &Path) -> (f64, f64) {
    let output = Command::new("ffmpeg")
        .args(["-hide_banner", "-nostats", "-i"])
        .arg(path)
        .args(["-vn", "-af", "ebur128=peak=true", "-f", "null", "-"])
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    let summary = text.rsplit_once("Summary:").unwrap().1;
    let value = |name: &str| -> f64 {
        let rest = summary.split_once(name).unwrap().1;
        rest.split_whitespace().next().unwrap().parse().unwrap()
    };
    (value("I:"), value("Peak:"))
}

fn number(report: &Value, what: &str) -> f64 {
    report["audio"][0][what].as_f64().unwrap_or_else(|| panic!("no {what} in {:#}", report["audio"]))
}

#[test]
fn a_track_is_as_loud_as_the_profile_says() {
    let dir = scratch();
    for (name, layout, channels, wanted) in
        [("mono", "mono", 1, -23.0), ("stereo", "stereo", 2, -16.0), ("surround", "5.1", 6, -27.0)]
    {
        let clip = mezzanine(dir.path(), name, NOISE, layout);
        let (made, report) = make(dir.path(), &clip, channels, &format!("loudness_lufs = {wanted:?}"));
        let (source, (loudness, peak)) = (measured(&clip), measured(&made));
        // EBU R 128 takes half a unit for met; AAC leaves out what is highest.
        assert!((loudness - wanted).abs() <= 0.5, "{name}: {loudness} LUFS");
        assert!(peak <= -0.5, "{name}: {peak} dBTP");
        let said = (number(&report, "loudness_lufs"), number(&report, "true_peak_dbtp"));
        assert!((said.0 - source.0).abs() <= 0.2 && (said.1 - source.1).abs() <= 0.3, "{said:?} {source:?}");
        assert!((number(&report, "gain_db") - (wanted - said.0)).abs() < 0.011, "{:#}", report["audio"]);
        assert!(report["job"]["warnings"].as_array().unwrap().is_empty());
    }
}

#[test]
fn peaks_hold_the_gain_back_and_the_report_says_so() {
    let dir = scratch();
    let clip = mezzanine(dir.path(), "clicks", CLICKS, "mono");
    let (made, report) = make(dir.path(), &clip, 1, "loudness_lufs = -14.0\ntrue_peak_dbtp = -3.0");
    let warning = report["job"]["warnings"][0].as_str().unwrap();
    assert!(warning.contains("audio track sound stays at") && warning.contains("no room"), "{warning}");
    let made_peak = number(&report, "true_peak_dbtp") + number(&report, "gain_db");
    assert!((made_peak - -3.0).abs() < 0.011, "{made_peak}");
    assert!(measured(&made).0 < -14.5);
}

#[test]
fn what_is_cut_off_at_full_scale_is_counted() {
    let dir = scratch();
    for (name, amplitude) in [("loud", 1.4), ("full", 0.999)] {
        let tones = format!("aevalsrc='{amplitude}*sin(2*PI*997*t)|0.5*sin(2*PI*440*t)':d=10:s=48000");
        let clip = mezzanine(dir.path(), name, &tones, "stereo");
        let (_, report) = make(dir.path(), &clip, 2, "");
        let decoded = ffmpeg::run(["-i", clip.to_str().unwrap(), "-map", "0:a", "-f", "s24le", "-"]);
        let at_full_scale = |bytes: &[u8]| {
            let sample = i32::from_le_bytes([0, bytes[0], bytes[1], bytes[2]]) >> 8;
            sample.abs() >= 32_767 << 8
        };
        let left: Vec<bool> = decoded.chunks_exact(6).map(at_full_scale).collect();
        let runs = left.chunk_by(|one, next| one == next).filter(|run| run[0] && run.len() >= 3);
        let expected: usize = runs.map(<[bool]>::len).sum();
        assert_eq!(expected > 0, amplitude > 1.0);
        assert_eq!(number(&report, "clipped_samples"), expected as f64, "{name}");
        let warnings = report["job"]["warnings"].to_string();
        assert_eq!(warnings.contains("sound is cut off at full scale"), expected > 0, "{name}: {warnings}");
    }
}

#[test]
fn without_a_wish_a_track_stays_as_it_is_and_silence_has_no_level() {
    let dir = scratch();
    let clip = mezzanine(dir.path(), "plain", NOISE, "stereo");
    let (made, report) = make(dir.path(), &clip, 2, "");
    assert!((measured(&made).0 - measured(&clip).0).abs() <= 0.5);
    assert_eq!(number(&report, "gain_db"), 0.0);
    let silent = mezzanine(dir.path(), "silent", "anullsrc=r=48000:d=10", "stereo");
    let (_, report) = make(dir.path(), &silent, 2, "loudness_lufs = -23.0");
    assert_eq!((&report["audio"][0]["loudness_lufs"], number(&report, "gain_db")), (&Value::Null, 0.0));
    let warning = report["job"]["warnings"][0].as_str().unwrap();
    assert!(warning.contains("audio track sound is silent"), "{warning}");
}

#[test]
fn silent_sound_is_refused_where_the_profile_says_so() {
    let dir = scratch();
    let silent = mezzanine(dir.path(), "silent", "anullsrc=r=48000:d=10", "stereo");
    let profile = profile(dir.path(), "strict", 2, "[admission]\nsilent_audio = \"reject\"");
    let ended =
        Reel::transcode(dir.path(), &silent, &dir.path().join("title"), &profile).args("--quiet").run();
    assert_eq!(ended.code, Some(3), "{}", ended.stderr);
    assert!(
        ended.stderr.contains("its audio stream 1 is silent, nowhere louder than -70 LUFS"),
        "{}",
        ended.stderr
    );
    assert!(!dir.path().join("title").exists());
}
