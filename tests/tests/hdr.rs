//! HDR in, HDR out: colours, mastering display and light level are the same, in bitstream and container.

#![allow(clippy::unwrap_used, reason = "a test fails where it is surprised")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use reel_common::Rational;
use reel_tests::reel::Reel;
use reel_tests::{ffmpeg, fixtures, mediainfo, profile, scratch};
use serde_json::json;

/// The bitstream by itself, without what a container says of it.
fn bare(dir: &Path, mp4: &Path, codec: &str) -> PathBuf {
    let path = dir.join(format!("{codec}.{}", if codec == "hevc" { "hevc" } else { "obu" }));
    let args = ["-y".as_ref(), "-i".as_ref(), mp4.as_os_str(), "-map".as_ref(), "0:v".as_ref()];
    let args = args.into_iter().chain(["-c".as_ref(), "copy".as_ref(), path.as_os_str()]);
    ffmpeg::run(args);
    path
}

fn check(dir: &Path, mezzanine: &Path) -> PathBuf {
    let source = ffmpeg::hdr10(mezzanine, true);
    assert_eq!(source.len(), 12, "{source:?}");
    let probed = Reel::new(dir, ["probe".as_ref(), mezzanine.as_os_str(), "--json".as_ref()]).run().success();
    let video = probed.json()["video"].clone();
    assert_eq!(video["light_level"], json!({"max_content": 1000, "max_frame_average": 400}));
    assert_eq!(
        (&video["mastering"]["red"], &video["mastering"]["min_luminance"]),
        (&json!([34_000, 16_000]), &json!(50))
    );

    let output = dir.join("title");
    Reel::transcode(dir, mezzanine, &output, &profile("hdr")).args("--quiet").run().success();
    for codec in ["hevc", "av1"] {
        for path in [format!("{codec}.mp4"), format!("video/{codec}/playlist.m3u8")] {
            let path = output.join(path);
            let entry = |name: &str| ffmpeg::stream_entry(&path, "v:0", name);
            let tags = [
                "pix_fmt",
                "color_range",
                "color_space",
                "color_transfer",
                "color_primaries",
                "chroma_location",
            ];
            let found = tags.map(|tag| entry(tag).unwrap_or_default());
            assert_eq!(
                found,
                ["yuv420p10le", "tv", "bt2020nc", "smpte2084", "bt2020", "topleft"],
                "{}",
                path.display()
            );
            assert_eq!(ffmpeg::hdr10(&path, false), source, "the container of {}", path.display());
        }
        let coded = ffmpeg::hdr10(&bare(dir, &output.join(format!("{codec}.mp4")), codec), true);
        assert_eq!(coded.keys().collect::<Vec<_>>(), source.keys().collect::<Vec<_>>(), "{codec}");
        for (name, value) in &coded {
            // AV1 has its own steps: the coarsest is a 256th of a candela.
            let off = value.checked_sub(source[name]).unwrap().to_f64().abs();
            let most = if codec == "hevc" { 0.0 } else { 1.0 / 512.0 };
            assert!(off <= most, "{codec} {name}: {value} and not {}", source[name]);
        }
    }
    let master = std::fs::read_to_string(output.join("master.m3u8")).unwrap();
    assert_eq!(master.matches("VIDEO-RANGE=PQ").count(), 2, "{master}");
    assert!(master.contains("hvc1.2.4.L") && master.contains("M.10.0.112.09.16.09.0"), "{master}");
    output.join("hevc.mp4")
}

#[test]
fn mastering_display_and_light_level_pass_from_the_bitstream_to_bitstream_and_container() {
    let (first, second) = (scratch(), scratch());
    let made = check(first.path(), &fixtures::hdr10_ts().path);
    // What was made has them in its container.
    assert_eq!(ffmpeg::hdr10(&made, false)["max_content"], Rational::whole(1000));
    check(second.path(), &made);
}

#[test]
fn hlg_stays_hlg_and_is_refused_where_eight_bits_would_show_it() {
    let (dir, mezzanine) = (scratch(), fixtures::hlg_ts().path);
    let output = dir.path().join("title");
    Reel::transcode(dir.path(), &mezzanine, &output, &profile("hdr")).args("--quiet").run().success();
    for codec in ["hevc", "av1"] {
        let path = output.join(format!("{codec}.mp4"));
        let entry = |name: &str| ffmpeg::stream_entry(&path, "v:0", name).unwrap_or_default();
        let found = ["pix_fmt", "color_space", "color_transfer", "color_primaries"].map(entry);
        assert_eq!(found, ["yuv420p10le", "bt2020nc", "arib-std-b67", "bt2020"], "{codec}");
        assert!(ffmpeg::hdr10(&path, false).is_empty(), "{codec}");
    }
    let master = std::fs::read_to_string(output.join("master.m3u8")).unwrap();
    assert_eq!(master.matches("VIDEO-RANGE=HLG").count(), 2, "{master}");

    let refused =
        Reel::transcode(dir.path(), &mezzanine, &dir.path().join("other"), &profile("codecs")).run();
    assert_eq!(refused.code, Some(3), "{}", refused.stderr);
    assert!(refused.stderr.contains("its video is HDR, and renditions of 8 bit"), "{}", refused.stderr);
}

#[test]
fn hdr_becomes_sdr_where_the_profile_says_so() {
    let text = fs::read_to_string(profile("quick")).unwrap();
    for mezzanine in [fixtures::hdr10_ts(), fixtures::hlg_ts()] {
        let dir = scratch();
        let output = dir.path().join("title");
        let refused = Reel::transcode(dir.path(), &mezzanine.path, &output, &profile("quick")).run();
        assert!(
            refused.stderr.contains("renditions of 8 bit would show it with banding"),
            "{}",
            refused.stderr
        );

        let mapped = dir.path().join("mapped.toml");
        fs::write(&mapped, text.replacen("[[video]]", "[picture]\ntone_map = \"bt2390\"\n\n[[video]]", 1))
            .unwrap();
        Reel::transcode(dir.path(), &mezzanine.path, &output, &mapped).args("--quiet").run().success();
        Reel::verify(dir.path(), &output, &mezzanine.path).run().success();
        for path in ["360p.mp4", "180p.mp4"].map(|name| output.join(name)) {
            let entry = |name: &str| ffmpeg::stream_entry(&path, "v:0", name).unwrap_or_default();
            let tags =
                ["pix_fmt", "color_range", "color_space", "color_transfer", "color_primaries"].map(entry);
            assert_eq!(tags, ["yuv420p", "tv", "bt709", "bt709", "bt709"]);
            assert_eq!(ffmpeg::hdr10(&path, false), BTreeMap::new());
            assert_eq!(ffmpeg::hdr10(&path, true), BTreeMap::new());
            let info = mediainfo::video(&path);
            assert_eq!((info.get("HDR_Format"), info["transfer_characteristics"].as_str()), (None, "BT.709"));
            // Brighter areas stay brighter: the order is that of the source's signal.
            let (source, made) = (ffmpeg::filtered(&mezzanine.path, "null"), ffmpeg::filtered(&path, "null"));
            assert_eq!(source.len(), made.len());
            for (source, made) in source.iter().zip(&made) {
                assert_eq!(made.frame_number(), source.frame_number());
                let mut areas: Vec<_> = source.luma.iter().zip(&made.luma).collect();
                areas.sort();
                let (dark, bright) = (&areas[..areas.len() / 4], &areas[areas.len() * 3 / 4..]);
                let mean = |areas: &[(&u8, &u8)]| {
                    areas.iter().map(|(_, made)| f64::from(**made)).sum::<f64>() / areas.len() as f64
                };
                assert!(mean(dark) + 30.0 < mean(bright), "{} {}", mean(dark), mean(bright));
            }
        }
    }
}
