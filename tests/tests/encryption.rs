//! Encrypted titles play for whoever has their keys, show nothing to others, and tell their keys to nobody.

#![allow(clippy::unwrap_used, reason = "a test fails where it is surprised")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use reel_tests::key_server::{Answer, KeyServer};
use reel_tests::reel::Reel;
use reel_tests::tree::files;
use reel_tests::{ffmpeg, scratch, target_dir, workspace};
use serde_json::{Value, json};

const VIDEO_ID: &str = "00000000000000000000000000000001";
const VIDEO_KEY: &str = "5fa3c1e07b924d68a1b2c3d4e5f60718";
const AUDIO_ID: &str = "00000000000000000000000000000002";
const AUDIO_KEY: &str = "c0ffee00112233445566778899aabbcc";
const SECONDS: usize = 24;

/// Grey pictures that grow lighter each second, with a tone.
fn mezzanine(dir: &Path) -> PathBuf {
    let path = dir.join("steps.mov");
    let pictures = format!("nullsrc=s=640x360:r=25:d={SECONDS},geq=lum='24+8*floor(T)':cb=128:cr=128");
    let tone = format!("sine=440:d={SECONDS}:r=48000,aformat=channel_layouts=stereo");
    let coding = "-c:v mpeg2video -qscale:v 2 -colorspace bt709 -color_primaries bt709 -color_trc bt709 \
                  -color_range tv -c:a pcm_s16le";
    let args = ["-f", "lavfi", "-i", &pictures, "-f", "lavfi", "-i", &tone].into_iter();
    ffmpeg::run(args.chain(coding.split_whitespace()).chain([path.to_str().unwrap()]));
    path
}

/// Two renditions and a tone, packaged and encrypted by these rules.
fn profile(dir: &Path, name: &str, package: &str, rules: &str) -> PathBuf {
    let mut text = "name = \"protected\"\nversion = 1\nsegment_seconds = 2\npart_seconds = 4\n".to_owned();
    for height in [360, 180] {
        text += &format!(
            "[[video]]\nname = \"{height}p\"\ncodec = \"h264\"\nheight = {height}\npreset = \"veryfast\"\nrate = {{ crf = 28 }}\n"
        );
    }
    text += "[[audio]]\nname = \"tone\"\ncodec = \"aac\"\nchannels = 2\nbitrate_kbps = 96\n[package]\nhls = true\ndash = true\n";
    text += &format!("{package}[encryption]\n{rules}\n");
    let path = dir.join(format!("{name}.toml"));
    fs::write(&path, text).unwrap();
    path
}

/// The keys of a title, as `keys = ".../{title}.keys"` finds them.
fn write_keys(dir: &Path, title: &str) {
    let lines = format!("# of {title}\nvideo={VIDEO_ID}:{VIDEO_KEY}\naudio={AUDIO_ID}:{AUDIO_KEY}\n");
    fs::write(dir.join(format!("{title}.keys")), lines).unwrap();
}

/// Plays a title in Chromium with keys.
fn play(player: &str, title: &Path, file: &str, keys: &Value, screenshot: &Path) -> Output {
    let modules = target_dir().join("players");
    assert!(modules.join("node_modules").exists(), "{} is missing: run `make players`", modules.display());
    let plan = json!({ "seeks": [1.5, 6.5, 11.5, 15.5, 22.5], "clear_keys": keys, "screenshot": screenshot });
    let mut command = Command::new("node");
    command.arg(workspace().join("tests/players/play.mjs")).arg(modules).arg(player).arg(title).arg(file);
    command.arg(plan.to_string()).output().expect("node is there")
}

fn assert_plays(player: &str, title: &Path, file: &str) {
    let screenshot = title.with_extension("png");
    let ended = play(player, title, file, &json!({ VIDEO_ID: VIDEO_KEY, AUDIO_ID: AUDIO_KEY }), &screenshot);
    assert!(ended.status.success(), "{player} {file}: {}", String::from_utf8_lossy(&ended.stderr));
    let saw: Value = serde_json::from_slice(&ended.stdout).unwrap();
    assert_eq!((&saw["heights"], &saw["errors"]), (&json!([180, 360]), &json!([])), "{player} {file}: {saw}");
    // A page may not read protected pictures, but whoever looks at the screen sees the one that was sought last.
    let crop = ["-vf", "crop=64:64,scale=1:1", "-pix_fmt", "gray", "-f", "rawvideo", "-"];
    let shown = ffmpeg::run(["-i", screenshot.to_str().unwrap()].into_iter().chain(crop))[0];
    let wanted = (24.0 + 8.0 * 22.0 - 16.0) * 255.0 / 219.0;
    assert!((f64::from(shown) - wanted).abs() < 4.0, "{player} {file}: {shown} for {wanted} on the screen");
}

#[test]
fn encrypted_titles_play_with_their_keys_alone() {
    let dir = scratch();
    let clip = mezzanine(dir.path());
    let (many, one) = ("", "byte_ranges = true\n");
    for (scheme, lead, package) in [
        ("cenc", 0.0, many),
        ("cbcs", 0.0, many),
        ("cbcs", 4.0, many),
        ("cbcs", 0.0, one),
        ("cenc", 4.0, one),
    ] {
        let name = format!("{scheme}-{lead}-{}", package.len());
        let keys = dir.path().join("{title}.keys");
        let rules = format!(
            "scheme = \"{scheme}\"\nkeys = \"{}\"\nsystems = [\"common\", \"widevine\", \"playready\"]\nclear_lead_s = {lead:?}",
            keys.display()
        );
        let (profile, title) = (profile(dir.path(), &name, package, &rules), dir.path().join(&name));
        write_keys(dir.path(), &name);
        Reel::transcode(dir.path(), &clip, &title, &profile).args("--quiet").run().success();
        assert_plays("shaka", &title, "manifest.mpd");
        let wrong = json!({ VIDEO_ID: AUDIO_KEY, AUDIO_ID: VIDEO_KEY });
        if lead == 0.0 {
            let ended = play("shaka", &title, "manifest.mpd", &wrong, &title.with_extension("wrong.png"));
            assert!(!ended.status.success(), "{name} plays with wrong keys");
        }
        let master = fs::read_to_string(title.join("master.m3u8")).unwrap();
        assert!(master.contains("#EXT-X-SESSION-KEY:METHOD=SAMPLE-AES"), "{master}");
        let playlist = fs::read_to_string(title.join("video/180p/playlist.m3u8")).unwrap();
        let clear = playlist
            .lines()
            .take_while(|line| !line.starts_with("#EXT-X-KEY"))
            .filter(|line| line.ends_with(".m4s") || *line == "media.mp4");
        assert_eq!(clear.count(), (lead / 2.0) as usize, "{playlist}");
    }
    // No key is in anything that was written: titles, state, store, logs.
    for path in
        files(dir.path()).into_iter().filter(|path| path.extension().is_none_or(|kind| kind != "keys"))
    {
        let bytes = fs::read(dir.path().join(&path)).unwrap();
        for key in [VIDEO_KEY, AUDIO_KEY] {
            let raw: Vec<u8> =
                (0..16).map(|byte| u8::from_str_radix(&key[2 * byte..2 * byte + 2], 16).unwrap()).collect();
            for told in [key.as_bytes(), raw.as_slice()] {
                assert!(
                    !bytes.windows(told.len()).any(|window| window == told),
                    "{} tells a key",
                    path.display()
                );
            }
        }
    }
}

#[test]
fn the_same_keys_give_the_same_bytes_and_others_are_refused() {
    let dir = scratch();
    let clip = mezzanine(dir.path());
    let keys = dir.path().join("{title}.keys");
    let rules = |more: &str| format!("scheme = \"cenc\"\nkeys = \"{}\"\n{more}", keys.display());
    let profile = profile(dir.path(), "plain", "", &rules("key_uri = \"https://keys.example/1\""));
    write_keys(dir.path(), "one");
    let mut made = Vec::new();
    for workers in ["1", "2"] {
        let home = scratch();
        let title = home.path().join("one");
        let run =
            Reel::transcode(home.path(), &clip, &title, &profile).args("--quiet --workers").arg(workers);
        run.run().success();
        made.push(reel_tests::tree::digests(&title));
    }
    assert_eq!(made[0], made[1]);
    for (title, keys, says) in [
        ("none", None, "none.keys"),
        ("empty", Some("# none\n".to_owned()), "there is no key"),
        ("half", Some(format!("audio={AUDIO_ID}:{AUDIO_KEY}")), "there is no key for video/"),
        ("cut", Some(format!("{VIDEO_ID}:{}", &VIDEO_KEY[..30])), "line 1 of the keys"),
    ] {
        if let Some(keys) = keys {
            fs::write(dir.path().join(format!("{title}.keys")), keys).unwrap();
        }
        let output = dir.path().join(title);
        let refused = Reel::transcode(dir.path(), &clip, &output, &profile).args("--quiet").run();
        assert_eq!(
            (refused.code, refused.stderr.contains(says)),
            (Some(3), true),
            "{title}: {}",
            refused.stderr
        );
        assert!(
            !refused.stderr.contains(&VIDEO_KEY[..30]) && !output.exists(),
            "{title}: {}",
            refused.stderr
        );
    }
}

#[test]
fn keys_come_from_the_environment_or_from_a_server_that_wants_a_token() {
    let dir = scratch();
    let clip = mezzanine(dir.path());
    let keys = format!("video={VIDEO_ID}:{VIDEO_KEY}\naudio={AUDIO_ID}:{AUDIO_KEY}\n");
    const TOKEN: &str = "0123456789-token-of-the-farm";
    let server = KeyServer::serve_to(Some(TOKEN), [Answer::Keys(keys.clone().into())]);
    let rules =
        |location: &str| format!("scheme = \"cbcs\"\nkeys = \"{location}\"\nsystems = [\"widevine\"]");
    let of_file = profile(dir.path(), "file", "", &rules(dir.path().join("{title}.keys").to_str().unwrap()));
    let of_environment = profile(dir.path(), "environment", "", &rules("env:REEL_KEYS_TITLE"));
    let of_server = profile(dir.path(), "server", "", &rules(&server.url()));
    write_keys(dir.path(), "title");
    let transcode = |home: &Path, profile: &Path, variables: Vec<(&'static str, String)>| {
        Reel::transcode(home, &clip, &home.join("title"), profile).args("--quiet").env(variables).run()
    };
    let mut made = Vec::new();
    for (profile, variables) in [
        (&of_file, vec![]),
        (&of_environment, vec![("REEL_KEYS_TITLE", keys)]),
        (&of_server, vec![("REEL_KEYS_TOKEN", TOKEN.to_owned())]),
    ] {
        let home = scratch();
        transcode(home.path(), profile, variables).success();
        made.push(reel_tests::tree::digests(&home.path().join("title")));
        for path in files(home.path()) {
            let bytes = fs::read(home.path().join(&path)).unwrap();
            let told = [VIDEO_KEY, TOKEN]
                .iter()
                .any(|secret| bytes.windows(secret.len()).any(|at| at == secret.as_bytes()));
            assert!(!told, "{} tells a secret", path.display());
        }
    }
    assert!(made.iter().all(|title| *title == made[0]));
    for (profile, variables, says) in [
        (&of_environment, vec![], "the keys in env:REEL_KEYS_TITLE: this worker has no such variable"),
        (&of_server, vec![], "check its permissions or the credentials in the environment"),
        (&of_server, vec![("REEL_KEYS_TOKEN", "another-token".to_owned())], "may not be read"),
    ] {
        let home = scratch();
        let refused = transcode(home.path(), profile, variables);
        assert_eq!((refused.code, refused.stderr.contains(says)), (Some(3), true), "{}", refused.stderr);
        assert!(!refused.stderr.contains("another-token"), "{}", refused.stderr);
    }
}

#[test]
fn silence_is_proved_although_its_samples_are_too_short_to_be_encrypted() {
    let dir = scratch();
    let (clip, title) = (dir.path().join("silent.mov"), dir.path().join("silent"));
    let inputs = ["-f", "lavfi", "-i", "testsrc2=s=640x360:r=25:d=4", "-f", "lavfi", "-i"];
    let coding = "anullsrc=r=48000:cl=stereo -t 4 -c:v mpeg2video -qscale:v 2 -c:a pcm_s16le";
    ffmpeg::run(inputs.into_iter().chain(coding.split_whitespace()).chain([clip.to_str().unwrap()]));
    let keys = dir.path().join("{title}.keys");
    let rules = format!("scheme = \"cbcs\"\nkeys = \"{}\"\nsystems = [\"widevine\"]", keys.display());
    write_keys(dir.path(), "silent");
    let profile = profile(dir.path(), "silent", "", &rules);
    Reel::transcode(dir.path(), &clip, &title, &profile).args("--quiet").run().success();
}

/// A delivered title is proved again by whoever has its keys, and what is wrong with it is found below the encryption.
#[test]
fn encrypted_titles_are_verified_with_their_keys() {
    for (scheme, package) in [("cbcs", "byte_ranges = true\n"), ("cenc", "")] {
        let dir = scratch();
        let clip = mezzanine(dir.path());
        let keys = dir.path().join("{title}.keys");
        let rules = format!(
            "scheme = \"{scheme}\"\nkeys = \"{}\"\nsystems = [\"widevine\"]\nclear_lead_s = 3.0",
            keys.display()
        );
        let profile = profile(dir.path(), "protected", package, &rules);
        // What a title would be is told without them.
        let plan = Reel::new(dir.path(), ["plan"]).arg(&clip).arg("--profile").arg(&profile);
        plan.run().success();
        write_keys(dir.path(), "one");
        let title = dir.path().join("one");
        Reel::transcode(dir.path(), &clip, &title, &profile).arg("--quiet").run().success();
        let report = Reel::verify(dir.path(), &title, &clip).arg("--json").run().success().json();
        assert_eq!(report["renditions"][1]["frames"], 600, "{report}");
        // Elsewhere, under another name.
        let moved = dir.path().join("moved");
        fs::rename(&title, &moved).unwrap();
        let verify = |more: &[&str]| Reel::verify(dir.path(), &moved, &clip).args(&more.join(" ")).run();
        let refused = verify(&[]);
        assert!(refused.code == Some(1) && refused.stderr.contains("moved.keys"), "{}", refused.stderr);
        let kept = dir.path().join("one.keys");
        verify(&["--keys", kept.to_str().unwrap()]).success();
        let text = fs::read_to_string(&kept).unwrap();
        let wrong = dir.path().join("wrong.keys");
        fs::write(&wrong, text.replace(&VIDEO_KEY[..8], "00000000")).unwrap();
        let refused = verify(&["--keys", wrong.to_str().unwrap()]);
        assert!(refused.code == Some(1) && refused.stderr.contains("video/"), "{}", refused.stderr);
        assert!(!refused.stderr.contains(&VIDEO_KEY[8..]), "{}", refused.stderr);
        fs::write(&wrong, text.replace(VIDEO_ID, AUDIO_ID)).unwrap();
        let refused = verify(&["--keys", wrong.to_str().unwrap()]);
        assert!(refused.code == Some(1), "{}", refused.stderr);
    }
}
