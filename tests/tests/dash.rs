//! DASH manifests and pictures for winding, read by ffmpeg and held against the segments that they name.

#![allow(clippy::unwrap_used, reason = "a test fails where it is surprised")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use reel_common::{Digest, Rational};
use reel_tests::fixtures::{self, Fixture};
use reel_tests::reel::{Reel, report};
use reel_tests::tree::{assert_same, assert_settings_change_no_byte, digests};
use reel_tests::{ffmpeg, profile, scratch};
use serde_json::Value;

/// A test profile with other things below `[package]`.
fn packaged(dir: &Path, name: &str, package: &str) -> PathBuf {
    let text = fs::read_to_string(profile(name)).unwrap();
    let path = dir.join(format!("{name}.toml"));
    fs::write(&path, text.replace("hls = true\nmp4 = true", package)).unwrap();
    path
}

fn make(dir: &Path, mezzanine: &Fixture, profile: &Path, more: &str) -> PathBuf {
    let title = dir.join("title");
    Reel::transcode(dir, &mezzanine.path, &title, profile).args("--quiet").args(more).run().success();
    title
}

/// The streams that ffprobe finds in a manifest, by kind, with their entries. Files of WebVTT are not on its list.
fn streams(manifest: &Path, kind: &str) -> Vec<Value> {
    let entries =
        ["-of", "json", "-show_entries", "stream=index,codec_name,width,start_time", "-select_streams", kind];
    let options = ["-v", "error", "-allowed_extensions", "ALL"];
    let output = Command::new("ffprobe").args(options).args(entries).arg(manifest).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    serde_json::from_slice::<Value>(&output.stdout).unwrap()["streams"].as_array().unwrap().clone()
}

/// Presentation times of the packets of one stream of a manifest, in order.
fn times(manifest: &Path, stream: &str) -> Vec<Rational> {
    let mut times = ffmpeg::times(manifest, stream);
    times.sort();
    times
}

#[test]
fn ffmpeg_finds_every_frame_of_every_representation() {
    let (dir, mezzanine) = (scratch(), fixtures::open_gop_h264_mkv());
    let package = "hls = true\ndash = true\ntrick_play = true\nmp4 = true";
    let title = make(dir.path(), &mezzanine, &packaged(dir.path(), "codecs", package), "");
    let manifest = title.join("manifest.mpd");
    let found = streams(&manifest, "v");
    let codecs: Vec<_> = found.iter().map(|stream| stream["codec_name"].as_str().unwrap()).collect();
    // Two sets of two renditions each, and behind each set its pictures for winding.
    assert_eq!(codecs, ["hevc", "hevc", "av1", "av1", "hevc", "hevc", "av1", "av1"]);
    let names = ["hevc", "hevc-10", "av1", "av1-10"];
    for (number, name) in names.iter().enumerate() {
        let segments = times(&title.join(format!("video/{name}/playlist.m3u8")), "v:0");
        assert_eq!(times(&manifest, &format!("v:{number}")), segments, "{name}");
        // The first of each segment, and no other.
        let shown = times(&manifest, &format!("v:{}", number + 4));
        let seconds: Vec<_> = shown.iter().map(|time| time.to_f64()).collect();
        assert_eq!(shown[0], segments[0]);
        assert!(seconds.windows(2).all(|pair| (pair[1] - pair[0] - 1.0).abs() < 0.1), "{seconds:?}");
        assert!(shown.iter().all(|time| segments.contains(time)), "{seconds:?}");
        let count = fs::read_dir(title.join("video").join(name)).unwrap();
        let count =
            count.filter(|entry| entry.as_ref().unwrap().path().extension().is_some_and(|ext| ext == "m4s"));
        assert_eq!(shown.len(), count.count());
        // Each decodes by itself, from the ranges of the playlist.
        let playlist = title.join(format!("video/{name}/iframes.m3u8"));
        assert_eq!(ffmpeg::decode(&playlist).thumbs.len(), shown.len());
        assert_eq!(times(&playlist, "v:0"), shown);
    }
    let sound = |path: &Path| ffmpeg::packet_times(path, "a:0");
    assert_eq!(sound(&manifest), sound(&title.join("audio/stereo/playlist.m3u8")));

    let master = fs::read_to_string(title.join("master.m3u8")).unwrap();
    let lines: Vec<_> = master.lines().filter(|line| line.starts_with("#EXT-X-I-FRAME-STREAM-INF")).collect();
    assert_eq!(lines.len(), 4);
    for line in lines {
        assert!(line.contains("CODECS=") && line.contains("RESOLUTION=") && line.contains("VIDEO-RANGE=SDR"));
        assert!(
            !["AUDIO", "SUBTITLES", "CLOSED-CAPTIONS", "FRAME-RATE"].iter().any(|word| line.contains(word))
        );
    }
    let listed = report(&title)["files"]
        .as_array()
        .unwrap()
        .iter()
        .map(|file| file["path"].clone())
        .collect::<Vec<_>>();
    assert!(listed.contains(&"manifest.mpd".into()) && listed.contains(&"video/av1/iframes.mp4".into()));
    Reel::verify(dir.path(), &title, &mezzanine.path).run().success();
}

#[test]
fn every_word_of_a_manifest_is_true_of_the_files() {
    let (dir, mezzanine) = (scratch(), fixtures::open_gop_h264_mkv());
    let title =
        make(dir.path(), &mezzanine, &packaged(dir.path(), "quick", "dash = true\ntrick_play = true"), "");
    // Nothing of HLS is there, and no single files.
    let names: Vec<_> = digests(&title).into_keys().collect();
    assert!(!names.iter().any(|name| name.extension().is_some_and(|ext| ext == "m3u8")), "{names:?}");
    assert!(!title.join("360p.mp4").exists());
    let mpd = dash_mpd_core::parse(&fs::read_to_string(title.join("manifest.mpd")).unwrap()).unwrap();
    let pictures = ffmpeg::times(&title.join("manifest.mpd"), "v:0");
    let rate = &mpd.periods[0].adaptations[0].representations[0].frameRate;
    let mut named = vec!["manifest.mpd".to_owned()];
    for set in &mpd.periods[0].adaptations {
        for representation in &set.representations {
            let id = representation.id.clone().unwrap();
            if let Some(template) = &set.SegmentTemplate {
                let init = template.initialization.as_ref().unwrap().replace("$RepresentationID$", &id);
                let runs = &template.SegmentTimeline.as_ref().unwrap().segments;
                let count: i64 = runs.iter().map(|run| 1 + run.r.unwrap_or(0)).sum();
                let media = template.media.as_ref().unwrap().replace("$RepresentationID$", &id);
                named
                    .extend((1..=count).map(|number| media.replace("$Number%05d$", &format!("{number:05}"))));
                named.push(init);
                // Times and sizes: of every segment, whoever begins where.
                let bits = |number: i64| {
                    let path = media.replace("$Number%05d$", &format!("{number:05}"));
                    fs::metadata(title.join(path)).unwrap().len() * 8
                };
                let buffer = mpd.minBufferTime.unwrap().as_secs_f64();
                let largest = (1..=count).map(bits).max().unwrap() as f64;
                assert!(representation.bandwidth.unwrap() as f64 >= (largest / buffer).floor(), "{id}");
            } else {
                let file = representation.BaseURL[0].base.clone();
                let base = representation.SegmentBase.as_ref().unwrap();
                let bytes = fs::read(title.join(&file)).unwrap();
                let (from, to) = base.indexRange.as_ref().unwrap().split_once('-').unwrap();
                let (from, to): (usize, usize) = (from.parse().unwrap(), to.parse().unwrap());
                assert_eq!(
                    (&bytes[from + 4..from + 8], &bytes[to + 5..to + 9]),
                    (&b"sidx"[..], &b"moof"[..])
                );
                let range = base.Initialization.as_ref().unwrap().range.clone();
                assert_eq!(range, Some(format!("0-{}", from - 1)));
                named.push(file);
            }
        }
    }
    let mut files: Vec<_> = names.iter().map(|name| name.to_str().unwrap().to_owned()).collect();
    named.sort();
    files.sort();
    assert_eq!(named, files);
    // The title lasts from the first picture to the end of the last.
    let frames = i64::try_from(pictures.len()).unwrap();
    let (num, den) =
        rate.as_ref().unwrap().split_once('/').map_or((rate.as_deref().unwrap(), "1"), |pair| pair);
    let rate = Rational::new(num.parse().unwrap(), den.parse().unwrap()).unwrap();
    let lasts = Rational::whole(frames).checked_div(rate).unwrap();
    let off = mpd.mediaPresentationDuration.unwrap().as_secs_f64() - lasts.to_f64();
    assert!((0.0..2e-9).contains(&off), "{off}");
    Reel::verify(dir.path(), &title, &mezzanine.path).run().success();
}

#[test]
fn texts_are_files_and_documents_in_a_manifest() {
    let (dir, mezzanine) = (scratch(), fixtures::prores_mov());
    let text = dir.path().join("en.srt");
    fs::write(&text, "1\n00:00:00,500 --> 00:00:01,500\nHello\n").unwrap();
    let profile = packaged(dir.path(), "quick", "dash = true\nimsc1 = true");
    let texts = format!("--text en={0} --text de:captions={0} --text fr:forced={0}", text.display());
    let title = make(dir.path(), &mezzanine, &profile, &texts);
    assert!(title.join("subtitles/imsc1/en/seg_00001.m4s").exists());
    assert!(
        !title.join("subtitles/webvtt").exists() && !title.join("subtitles/imsc1/en/playlist.m3u8").exists()
    );
    let manifest = title.join("manifest.mpd");
    let found = streams(&manifest, "s");
    let starts: Vec<_> = found.iter().map(|stream| stream["codec_name"].as_str().unwrap()).collect();
    assert_eq!(starts, ["webvtt"; 3]);
    let mpd = dash_mpd_core::parse(&fs::read_to_string(&manifest).unwrap()).unwrap();
    let sets = mpd.periods[0].adaptations.iter().filter(|set| set.contentType.as_deref() == Some("text"));
    let said: Vec<_> = sets
        .map(|set| {
            let role = set.Role[0].value.clone().unwrap();
            (set.lang.clone().unwrap(), role, set.mimeType.clone().unwrap(), set.Accessibility.len())
        })
        .collect();
    let said: Vec<_> = said
        .iter()
        .map(|(lang, role, mime, more)| (lang.as_str(), role.as_str(), mime.as_str(), *more))
        .collect();
    let (documents, file) = ("application/mp4", "text/vtt");
    assert_eq!(
        said,
        [
            ("en", "subtitle", documents, 0),
            ("de", "caption", documents, 1),
            ("fr", "forced-subtitle", documents, 0),
            ("en", "subtitle", file, 0),
            ("de", "caption", file, 1),
            ("fr", "forced-subtitle", file, 0),
        ]
    );
    Reel::verify(dir.path(), &title, &mezzanine.path).run().success();
}

#[test]
fn verify_finds_a_picture_for_winding_that_is_not_of_its_segment() {
    let (dir, mezzanine) = (scratch(), fixtures::prores_mov());
    let profile = packaged(dir.path(), "quick", "hls = true\ntrick_play = true");
    let title = make(dir.path(), &mezzanine, &profile, "");
    let refused = |path: &str, bytes: &[u8], message: &str| {
        let own = fs::read(title.join(path)).unwrap();
        let told = fs::read(title.join("report.json")).unwrap();
        fs::write(title.join(path), bytes).unwrap();
        let mut report = report(&title);
        for file in report["files"].as_array_mut().unwrap().iter_mut().filter(|file| file["path"] == path) {
            file["sha256"] = Digest::of(bytes).to_string().into();
            file["bytes"] = bytes.len().into();
        }
        fs::write(title.join("report.json"), report.to_string()).unwrap();
        let ended = Reel::verify(dir.path(), &title, &mezzanine.path).run();
        let said = format!("{}{}", ended.stdout, ended.stderr);
        assert!(ended.code == Some(1) && said.contains(message), "`{message}` is not in:\n{said}");
        fs::write(title.join(path), own).unwrap();
        fs::write(title.join("report.json"), told).unwrap();
    };
    let path = "video/180p/iframes.mp4";
    let mut bytes = fs::read(title.join(path)).unwrap();
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    refused(path, &bytes, "video/180p/iframes.mp4 does not have the first picture of a segment at");
    let other = fs::read(title.join("video/360p/iframes.mp4")).unwrap();
    refused(path, &other, "video/180p/iframes.mp4 has not the header of video/180p");
    let playlist = "video/180p/iframes.m3u8";
    let text = fs::read_to_string(title.join(playlist)).unwrap();
    let moved = text.replacen("@", "@1", 2);
    refused(playlist, moved.as_bytes(), "the playlist of video/180p/iframes.mp4 does not name its fragments");
    Reel::verify(dir.path(), &title, &mezzanine.path).run().success();
}

#[test]
fn workers_and_chunks_change_no_byte_of_it() {
    let (dir, mezzanine) = (scratch(), fixtures::open_gop_h264_mkv());
    let profile = packaged(dir.path(), "quick", "hls = true\ndash = true\ntrick_play = true");
    let settings = ["--workers 1 --slots 1 --chunk-parts 100", "--workers 3 --slots 1 --chunk-parts 1"];
    assert_settings_change_no_byte(&mezzanine.path, &profile, &settings);
}

#[test]
fn a_manifest_encodes_nothing_again() {
    let (dir, mezzanine) = (scratch(), fixtures::prores_mov());
    let before = make(dir.path(), &mezzanine, &profile("quick"), "");
    let plain = digests(&before);
    let title = make(
        dir.path(),
        &mezzanine,
        &packaged(dir.path(), "quick", "hls = true\ndash = true\ntrick_play = true\nmp4 = true"),
        "",
    );
    assert_eq!(report(&title)["job"]["renditions_encoded"], 0);
    // Of what was there, only the master playlist says more.
    let mut made = digests(&title);
    made.retain(|path, _| plain.contains_key(path) && !path.ends_with("master.m3u8"));
    let mut plain = plain;
    plain.retain(|path, _| !path.ends_with("master.m3u8"));
    assert_same(&made, &plain, "with a manifest");
}
