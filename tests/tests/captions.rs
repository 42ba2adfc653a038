//! Captions that lie in the pictures of a mezzanine, from what ffmpeg reads in it to what it reads in the title.

#![allow(clippy::unwrap_used, reason = "a test fails where it is surprised")]

use std::fs;
use std::path::Path;
use std::time::Duration;

use reel_tests::captions::{self, Script, Shown, Syntax, carrier, clip, inject, read};
use reel_tests::farm::Farm;
use reel_tests::reel::{Ended, Reel, report, until};
use reel_tests::tree::{assert_same, digests};
use reel_tests::{ffmpeg, mediainfo, paff, scratch, small_profile, telecine};
use serde_json::{Value, json};

const NTSC: &str = "30000/1001";
const FILM: &str = "24000/1001";
const H264: &str = "-c:v libx264 -preset veryfast -bf 3 -g 60";
const PACKAGE: &str = "[package]\nhls = true\nmp4 = true\nimsc1 = true\n";

/// Two languages, across borders of segments and of parts, at the beginning and at the end.
fn two_languages() -> Script {
    let mut script = Script::default();
    script.show(1, 20, "The first");
    script.erase(1, 50);
    script.show(1, 80, "across a segment");
    script.erase(1, 102);
    // Sent while one part is decoded, and shown in the next.
    script.show(1, 122, "and a part's border");
    script.erase(1, 170);
    script.show(3, 40, "Otro idioma");
    script.erase(3, 150);
    script.show(1, 200, "to the end");
    script
}

fn transcode(dir: &Path, clip: &Path, title: &Path, profile: &str, texts: &[&str]) -> Ended {
    let profile = small_profile(dir, "captions", profile);
    let reel = Reel::transcode(dir, clip, title, &profile).args("--quiet");
    texts.iter().fold(reel, |reel, text| reel.args("--text").arg(*text)).run()
}

/// What ffmpeg reads in a text of a title.
fn title(title: &Path, name: &str) -> Vec<Shown> {
    let file = title.join(format!("subtitles/{name}.vtt"));
    captions::cues(&ffmpeg::run(["-i", file.to_str().unwrap(), "-c:s", "srt", "-f", "srt", "-"]))
}

/// Times within `near_ms`; the end of what nothing ends is left to each reader.
fn assert_shows(found: &[Shown], wanted: &[Shown], near_ms: u64, what: &str) {
    let texts = |cues: &[Shown]| cues.iter().map(|(_, _, text)| text.clone()).collect::<Vec<_>>();
    assert!(!wanted.is_empty() && texts(found) == texts(wanted), "{what}: {found:?}, not {wanted:?}");
    for (number, ((begin, end, _), (from, to, _))) in (1..).zip(found.iter().zip(wanted)) {
        let near =
            begin.abs_diff(*from) <= near_ms && (number == found.len() || end.abs_diff(*to) <= near_ms);
        assert!(near, "{what}: {found:?}, not {wanted:?}");
    }
}

#[test]
fn captions_are_shown_as_ffmpeg_reads_them_in_the_pictures() {
    let dir = scratch();
    let [carrier, hevc] =
        [Syntax::Avc, Syntax::Hevc].map(|syntax| carrier(dir.path(), syntax, NTSC, 8, &two_languages()));
    for (carrier, coding, name) in [
        (&carrier, H264, "b.mp4"),
        (&carrier, H264, "b.ts"),
        (&carrier, "-c:v copy", "intra.mkv"),
        (&hevc, "-c:v copy", "hevc.mp4"),
        (&carrier, "-c:v mpeg2video -bf 2 -g 15 -b:v 3M", "m.mxf"),
        (&carrier, "-c:v mpeg2video -bf 2 -g 15 -b:v 3M", "m.ts"),
        (&carrier, "-vf setfield=tff -c:v mpeg2video -flags +ilme+ildct -top 1 -bf 2 -b:v 3M", "fields.ts"),
    ] {
        let clip = clip(carrier, NTSC, coding, name);
        let output = dir.path().join(format!("{name}-title"));
        let texts = ["en:captions=video:cc1", "es=video:cc3"];
        let ended = transcode(dir.path(), &clip, &output, PACKAGE, &texts).success();
        assert!(!ended.stderr.contains("captions"), "{name}: {}", ended.stderr);
        let (english, spanish) = (read(&clip, 1), read(&clip, 2));
        assert_eq!((english.len(), spanish.len()), (4, 1), "{english:?} {spanish:?}");
        assert_shows(&title(&output, "en-captions"), &english, 1, name);
        assert_shows(&title(&output, "es"), &spanish, 1, name);
    }
    // Segments of both formats.
    let output = dir.path().join("b.mp4-title");
    let segment = output.join("subtitles/webvtt/en-captions/seg_00003.vtt");
    let text = fs::read_to_string(segment).unwrap();
    assert!(text.contains("and a part’s border") && !text.contains("across"), "{text}");
    let document = fs::read(output.join("subtitles/imsc1/en-captions/seg_00003.m4s")).unwrap();
    assert!(String::from_utf8_lossy(&document).contains(">and a part’s border<"));
    let said = &report(&output)["texts"][0];
    let (file, cues) = (said["file"].as_str(), said["cues"].as_u64());
    assert_eq!((file, cues, &said["skipped"]), (Some("video:cc1"), Some(4), &0.into()));

    let probed = |name: &str| {
        let clip = dir.path().join(name);
        Reel::new(dir.path(), ["probe", "--json", clip.to_str().unwrap()]).run().success().json()
    };
    assert_eq!(
        (&probed("b.mp4")["video"]["captions"], &probed("m.mxf")["video"]["captions"]),
        (&true.into(), &true.into())
    );
    let bare = clip(&carrier, NTSC, &format!("{H264} -a53cc 0"), "bare.mp4");
    assert_eq!(probed(bare.file_name().unwrap().to_str().unwrap())["video"]["captions"], Value::Bool(false));
}

#[test]
fn no_rate_loses_captions_or_repeats_them() {
    let dir = scratch();
    let mut script = two_languages();
    // At half of the rate no frame shows the first picture.
    script.serve(1, 0, &[define(1, true, 1), b"at once".to_vec()].concat());
    script.serve(1, 60, &[0x8f]);
    let carrier = carrier(dir.path(), Syntax::Avc, NTSC, 8, &script);
    let clip = clip(&carrier, NTSC, H264, "b.mp4");
    let (english, digital) = (read(&clip, 1), [(0, 2002, "at once".to_owned())]);
    for (rate, frame_ms) in [("24000/1001", 42), ("60000/1001", 17), ("12", 84), ("25", 40)] {
        let output = dir.path().join(format!("at-{}", rate.replace('/', "-")));
        let profile = format!("[picture]\nframe_rate = \"{rate}\"\n{PACKAGE}");
        transcode(dir.path(), &clip, &output, &profile, &["en=video:cc1", "fr=video:service1"]).success();
        assert_shows(&title(&output, "en"), &english, frame_ms, rate);
        assert_shows(&title(&output, "fr"), &digital, frame_ms, rate);
    }
}

#[test]
fn captions_of_film_and_of_fields_are_read() {
    let dir = scratch();
    // Every second picture is shown for three fields.
    let mut script = Script::default();
    script.show(1, 30, "pulled down");
    script.erase(1, 60);
    script.show(1, 110, "and undone");
    script.erase(1, 150);
    let film = carrier(dir.path(), Syntax::Avc, FILM, 8, &script);
    let coding = "-vf settb=1001/60000,setpts=floor(N*5/2) -fps_mode passthrough -enc_time_base 1001:60000 \
        -c:v mpeg2video -b:v 3M -g 12 -bf 2";
    let film = clip(&film, FILM, coding, "film.mkv");
    let telecine_path = dir.path().join("telecine.mkv");
    fs::write(&telecine_path, telecine::repeat_fields(&fs::read(&film).unwrap())).unwrap();
    let wanted = read(&telecine_path, 1);
    for (name, profile) in
        [("kept", PACKAGE.to_owned()), ("undone", format!("[picture]\nframe_rate = \"{FILM}\"\n{PACKAGE}"))]
    {
        let output = dir.path().join(name);
        transcode(dir.path(), &telecine_path, &output, &profile, &["en=video:cc1"]).success();
        assert_shows(&title(&output, "en"), &wanted, 42, name);
    }

    // Each field is a picture of its own, which carries the bytes of its field.
    let size = (320, 192);
    let raw = ffmpeg::run([
        "-f",
        "lavfi",
        "-i",
        "testsrc2=s=320x192:r=25:d=8",
        "-f",
        "rawvideo",
        "-pix_fmt",
        "yuv420p",
        "-",
    ]);
    let script = two_languages();
    let per_field = |field: u64| script.of_field(field / 2, if field.is_multiple_of(2) { 1 } else { 2 });
    let stream = dir.path().join("fields.h264");
    fs::write(&stream, inject(&paff::encode(&raw, size), Syntax::Avc, per_field)).unwrap();
    let fields = clip(&stream, "25", "-c copy", "fields.ts");
    let output = dir.path().join("fields");
    let profile = format!("[picture]\nfields = \"bwdif\"\n{PACKAGE}");
    transcode(dir.path(), &fields, &output, &profile, &["en=video:cc1", "es=video:cc3"]).success();
    assert_shows(&title(&output, "en"), &read(&fields, 1), 1, "first fields");
    assert_shows(&title(&output, "es"), &read(&fields, 2), 1, "second fields");
}

/// A window at the lower edge (1) or at the upper one (0): hidden, with that many rows.
fn define(window: u8, visible: bool, rows: u8) -> Vec<u8> {
    let (anchor, vertical) = if window == 1 { (7, 74) } else { (1, 0) };
    let visible = if visible { 0x20 } else { 0 };
    vec![0x98 | window, visible, vertical, 105, anchor << 4 | (rows - 1), 31, 0x09]
}

#[test]
fn services_of_digital_television_are_shown() {
    let dir = scratch();
    let mut script = two_languages();
    let (carriage_return, note) = (0x0d, 0x7f);
    let said = |head: Vec<u8>, text: &[u8]| [head, text.to_vec()].concat();
    // Out of sight, then shown, then gone.
    script.serve(1, 20, &said(define(1, false, 2), b"Digital"));
    script.serve(1, 21, &[carriage_return, note, b' ', 0x90, 0x05, 0x80, b's', b'o', b'n', b'g', 0x03]);
    script.serve(1, 60, &[0x89, 0x02]);
    script.serve(1, 90, &[0x8c, 0x02]);
    // Rolls up as it is written.
    script.serve(1, 100, &said(define(0, true, 2), b"one"));
    script.serve(1, 130, &[carriage_return, b't', b'w', b'o']);
    script.serve(1, 160, &[carriage_return, b't', b'h', b'r', b'e', b'e']);
    script.serve(1, 190, &[0x8f]);
    // A service whose number takes a byte, with a delay of a second before it is shown.
    script.serve(9, 30, &said(define(1, false, 1), &[0x10, 0x25, 0xe9, 0x8d, 10, 0x89, 0x02]));
    script.serve(9, 120, &[0x8a, 0x02]);
    let carrier = carrier(dir.path(), Syntax::Avc, NTSC, 8, &script);
    let clip = clip(&carrier, NTSC, H264, "digital.ts");
    // An independent reader finds both.
    let known = mediainfo::all(&clip, "Text");
    let formats: Vec<_> = known.iter().map(|text| (text["Format"].as_str(), text["ID"].as_str())).collect();
    let has = |format: &str, id: &str| formats.iter().any(|(f, i)| *f == format && i.ends_with(id));
    assert!(has("EIA-708", "1") && has("EIA-708", "9") && has("EIA-608", "CC1"), "{formats:?}");

    let output = dir.path().join("title");
    let texts = ["en:captions=video:service1", "fr=video:service9", "en=video:cc1"];
    transcode(dir.path(), &clip, &output, PACKAGE, &texts).success();
    let frame = |number: u64| (number * 1001 + 15) / 30;
    let cue = |from, to, text: &str| (frame(from), frame(to), text.to_owned());
    let wanted = [
        cue(60, 90, "Digital|♪ song"),
        cue(100, 130, "one"),
        cue(130, 160, "one|two"),
        cue(160, 190, "two|three"),
    ];
    assert_shows(&title(&output, "en-captions"), &wanted, 1, "service 1");
    let [(begin, end, text)] = &title(&output, "fr")[..] else { panic!("{:?}", title(&output, "fr")) };
    assert_eq!((*begin, *end, text.as_str()), (frame(30) + 1000, frame(120), "…é"));
    assert_shows(&title(&output, "en"), &read(&clip, 1), 1, "beside line 21");
    let text = fs::read_to_string(output.join("subtitles/en-captions.vtt")).unwrap();
    assert!(text.contains("♪ <i>song</i>"), "{text}");
    // The first stands at the lower edge, where players put text; the others at the upper one.
    assert_eq!(text.matches("line:0").count(), 3, "{text}");
}

#[test]
fn what_is_not_there_or_not_taken_is_said() {
    let dir = scratch();
    let carrier = carrier(dir.path(), Syntax::Avc, NTSC, 8, &two_languages());
    let with = clip(&carrier, NTSC, H264, "with.mp4");
    let without = clip(&carrier, NTSC, &format!("{H264} -a53cc 0"), "without.mp4");
    let prores = clip(&carrier, NTSC, "-c:v prores_ks", "prores.mov");
    let output = dir.path().join("title");
    for (clip, channel, code, wanted) in [
        (&with, "cc2", 3, "text `en`, video:cc2: the pictures carry no such captions, but cc1, cc3"),
        (&with, "service1", 3, "video:service1: the pictures carry no such captions, but cc1, cc3"),
        (&without, "cc1", 3, "text `en`, video:cc1: the pictures carry no captions"),
        (&prores, "cc1", 3, "text `en`, video:cc1: pictures of prores carry no captions"),
        (&with, "cc5", 2, "`video:cc5` is no channel of captions"),
    ] {
        let ended = transcode(dir.path(), clip, &output, PACKAGE, &[&format!("en=video:{channel}")]);
        assert_eq!(ended.code, Some(code), "{channel}: {}", ended.stderr);
        assert!(ended.stderr.contains(wanted), "{channel}: {}", ended.stderr);
        assert!(!output.exists());
    }
    // What was encoded for a text that is not there is encoded for good, with its captions.
    transcode(dir.path(), &with, &output, PACKAGE, &["es=video:cc3"]).success();
    let said = report(&output)["job"].clone();
    assert_eq!((&said["renditions_encoded"], &said["renditions_reused"]), (&0.into(), &2.into()), "{said:#}");
    assert_shows(&title(&output, "es"), &read(&with, 2), 1, "from the store");
    let warnings = said["warnings"].to_string();
    let lacks = "captions that the title lacks, cc1: take them with --text LANGUAGE:captions=video:cc1";
    assert!(warnings.contains(lacks), "{warnings}");
    let none = dir.path().join("none");
    let ended = transcode(dir.path(), &with, &none, PACKAGE, &[]).success();
    assert!(ended.stderr.contains("captions that the title lacks, cc1, cc3"), "{}", ended.stderr);
    let silent = dir.path().join("silent");
    assert_eq!(transcode(dir.path(), &without, &silent, PACKAGE, &[]).success().stderr, "");
}

#[test]
fn a_picture_that_stands_for_another_says_nothing_twice() {
    let dir = scratch();
    let script = two_languages();
    let carrier = carrier(dir.path(), Syntax::Avc, NTSC, 8, &script);
    let clip = clip(&carrier, NTSC, "-c copy -movflags +faststart", "damaged.mp4");
    // The third pair of letters of `and a part's border` is lost; `an` and `d ` are sent before it.
    let lost = 122 - 10 + 2;
    let packets = ffmpeg::packet_places(&clip);
    let (position, size) = packets[lost];
    let mut bytes = fs::read(&clip).unwrap();
    let slice = position as usize + 200..(position + size) as usize - 20;
    bytes[slice].fill(0xa5);
    fs::write(&clip, bytes).unwrap();
    let output = dir.path().join("title");
    let profile = format!("[admission]\ndamage = \"repeat\"\n{PACKAGE}");
    transcode(dir.path(), &clip, &output, &profile, &["en=video:cc1"]).success();
    let texts: Vec<String> = title(&output, "en").into_iter().map(|(_, _, text)| text).collect();
    assert_eq!(texts, ["The first", "across a segment", "and part’s border", "to the end"]);
    assert_eq!(report(&output)["proof"]["mended_frames"], json!([lost]));
}

#[test]
fn a_farm_gives_the_same_captions_whoever_dies() {
    let dir = scratch();
    let mut script = Script::default();
    for number in 1..20 {
        script.show(1, number * 45, &format!("caption {number}"));
        script.show(3, number * 45 + 7, &format!("texto {number}"));
    }
    let carrier = carrier(dir.path(), Syntax::Avc, NTSC, 30, &script);
    let clip = clip(&carrier, NTSC, H264, "clip.ts");
    let alone = dir.path().join("alone");
    transcode(dir.path(), &clip, &alone, PACKAGE, &["en:captions=video:cc1", "es=video:cc3"]).success();
    assert_eq!(title(&alone, "en-captions").len(), 19);

    let profile = small_profile(dir.path(), "captions", PACKAGE);
    let mut farm = Farm::builder().schedulers(1).workers(2).start();
    let texts = "--chunk-parts 1 --text en:captions=video:cc1 --text es=video:cc3";
    let job = farm.submit(&clip, "a", &profile, texts);
    for least in [1, 3] {
        until("its turn", Duration::from_secs(120), || {
            farm.job(job)["parts_committed"].as_u64() >= Some(least)
        });
        farm.kill_worker(0);
        farm.start_worker(0);
    }
    let done = farm.wait(job);
    assert_eq!((&done["state"], &done["parts_encoded_twice"]), (&"done".into(), &0.into()));
    assert_eq!(done["texts"][0]["file"], "video:cc1");
    assert_same(&digests(&farm.output("a")), &digests(&alone), "after two deaths");
}
