//! Subtitles and captions, from files of every format to what ffmpeg and MediaInfo read in the title.

#![allow(clippy::unwrap_used, reason = "a test fails where it is surprised")]

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use reel_tests::captions::{self, Shown};
use reel_tests::farm::Farm;
use reel_tests::reel::{Ended, Reel, report, until};
use reel_tests::tree::{assert_same, digests};
use reel_tests::{ffmpeg, scratch, small_profile};
use serde_json::json;

const SRT: &str = "1\n00:00:00,500 --> 00:00:01,500\nThe first <i>line</i>\nand the second & third\n\n\
    2\n00:00:01,750 --> 00:00:04,250\n{\\an8}Über two boundaries\n\n3\n00:00:05,000 --> 00:00:09,000\nbeyond the end\n\n\
    4\n00:00:03,000 --> 00:00:02,000\nbackwards\n";
/// Two captions of 29.97 frames a second, drop frame, that begin an hour late.
const SCC: &str = "Scenarist_SCC V1.0\n\n01:00:01;00\t9420 9420 9470 9470 c8e5 ecec ef80 942f 942f\n\n\
    01:00:03;00\t942c 942c\n";
const TTML: &str = "<?xml version=\"1.0\"?><tt xmlns=\"http://www.w3.org/ns/ttml\" \
    xmlns:ttp=\"http://www.w3.org/ns/ttml#parameter\" ttp:frameRate=\"25\"><body><div>\
    <p begin=\"00:00:02:00\" end=\"00:00:03:05\">Guten Tag<br/>Welt</p></div></body></tt>";
const VTT: &str = "WEBVTT\n\n00:01.000 --> 00:02.000 line:0\nonly what must be\n";

/// A mezzanine of six seconds.
fn mezzanine(dir: &Path) -> PathBuf {
    let path = dir.join("movie.mov");
    let pictures = "testsrc2=s=320x180:r=25:d=6";
    if !path.exists() {
        ffmpeg::run(["-f", "lavfi", "-i", pictures, "-c:v", "mpeg4", path.to_str().unwrap()]);
    }
    path
}

fn file(dir: &Path, name: &str, content: &str) -> PathBuf {
    let path = dir.join(name);
    fs::write(&path, content).unwrap();
    path
}

fn transcode(dir: &Path, title: &Path, package: &str, texts: &[(&str, &Path)], more: &str) -> Ended {
    let mut reel = Reel::transcode(
        dir,
        mezzanine(dir),
        title,
        &small_profile(dir, "text", &format!("[package]\n{package}")),
    )
    .args("--quiet");
    for (name, path) in texts {
        reel = reel.args("--text").arg(format!("{name}={}", path.display()));
    }
    reel.args(more).run()
}

/// The cues that ffmpeg reads: begin and end in milliseconds, and the text without tags.
fn cues(path: &Path) -> Vec<Shown> {
    captions::cues(&ffmpeg::run([
        "-i",
        path.to_str().unwrap(),
        "-map",
        "0:s:0",
        "-c:s",
        "srt",
        "-f",
        "srt",
        "-",
    ]))
}

#[test]
fn every_format_is_shown_at_its_times() {
    let dir = scratch();
    let title = dir.path().join("title");
    let path = |name: &str, content: &str| file(dir.path(), name, content);
    let (srt, ttml, vtt) = (path("en.srt", SRT), path("de.xml", TTML), path("fr.vtt", VTT));
    let texts = [("en", srt.as_path()), ("deu", &ttml), ("fr-CA:forced", &vtt)];
    transcode(dir.path(), &title, "hls = true\nmp4 = true\nimsc1 = true", &texts, "").success();

    let english = [
        (500, 1500, "The first line|and the second & third".to_owned()),
        (1750, 4250, "Über two boundaries".to_owned()),
        (5000, 6000, "beyond the end".to_owned()),
    ];
    assert_eq!(cues(&title.join("subtitles/en.vtt")), english);
    assert_eq!(cues(&title.join("subtitles/deu.vtt")), [(2000, 3200, "Guten Tag|Welt".to_owned())]);
    assert_eq!(
        cues(&title.join("subtitles/fr-CA-forced.vtt")),
        [(1000, 2000, "only what must be".to_owned())]
    );
    // A cue is in each segment that it touches, with its own times.
    let segment = |number: u32| title.join(format!("subtitles/webvtt/en/seg_{number:05}.vtt"));
    assert_eq!(cues(&segment(1)), english[..2]);
    assert_eq!(cues(&segment(2)), english[1..2]);
    assert_eq!(cues(&segment(3)), english[1..]);
    assert!(!segment(4).exists());

    // Time zero of the texts is where the first picture is presented.
    let pictures = ffmpeg::times(&title.join("video/180p/playlist.m3u8"), "v:0")[0];
    assert_eq!(pictures.to_f64(), 0.0);
    assert!(fs::read_to_string(segment(2)).unwrap().contains("X-TIMESTAMP-MAP=MPEGTS:0,LOCAL:00:00:00.000"));

    let documents = title.join("subtitles/imsc1/en/playlist.m3u8");
    // ffmpeg 5.1 reads the track, and knows its documents as data.
    assert_eq!(ffmpeg::stream_entry(&documents, "0", "codec_tag_string").as_deref(), Some("stpp"));
    let starts = ffmpeg::packet_times(&documents, "0");
    assert_eq!(starts, [0.0, 2.0, 4.0]);
    let text =
        ffmpeg::run(["-i", documents.to_str().unwrap(), "-map", "0:0", "-c", "copy", "-f", "data", "-"]);
    let text = String::from_utf8(text).unwrap();
    assert_eq!(text.matches("</tt>").count(), 3);
    for wanted in [
        "begin=\"00:00:00.500\" end=\"00:00:01.500\"",
        "begin=\"00:00:01.750\" end=\"00:00:02.000\"",
        "begin=\"00:00:02.000\" end=\"00:00:04.000\"",
        "begin=\"00:00:04.000\" end=\"00:00:04.250\"",
        "tts:fontStyle=\"italic\">line<",
        "second &amp; third",
    ] {
        assert!(text.contains(wanted), "{wanted} lacks: {text}");
    }

    let master = fs::read_to_string(title.join("master.m3u8")).unwrap();
    assert_eq!(master.matches("TYPE=SUBTITLES").count(), 6, "{master}");
    assert!(
        master.contains("NAME=\"fr-CA-forced\",LANGUAGE=\"fr-CA\",DEFAULT=NO,AUTOSELECT=YES,FORCED=YES"),
        "{master}"
    );
    assert_eq!(master.matches("#EXT-X-STREAM-INF").count(), 2);
    assert!(master.contains("CODECS=\"avc1.") && master.contains(",stpp.ttml.im1t\""), "{master}");

    let report = report(&title);
    let said = json!({
        "name": "en", "language": "en", "role": "subtitles", "file": srt, "start_ms": 0, "cues": 3, "skipped": 1,
        "outside": 0
    });
    assert_eq!(report["texts"][0], said);
    assert!(
        report["job"]["warnings"]
            .to_string()
            .contains("text en: of the cues of its file, 1 have no text or end"),
        "{report:#}"
    );
}

#[test]
fn captions_that_begin_at_an_hour_are_moved() {
    let dir = scratch();
    let title = dir.path().join("title");
    let scc = file(dir.path(), "en.scc", SCC);
    let texts = [("en:captions", scc.as_path())];
    let ended = transcode(dir.path(), &title, "hls = true", &texts, "");
    assert_eq!(ended.code, Some(3));
    let place = format!("text `en-captions`, {}: no cue lies within the 6.0 s of the title", scc.display());
    assert!(ended.stderr.contains(&place), "{}", ended.stderr);
    assert!(
        ended.stderr.contains("its first is at 01:00:01")
            && ended.stderr.contains("such as en@01:00:00=FILE"),
        "{}",
        ended.stderr
    );
    assert!(!title.exists());
    let texts = [("en:captions@01:00:00", scc.as_path())];
    transcode(dir.path(), &title, "hls = true", &texts, "").success();
    let found = cues(&title.join("subtitles/webvtt/en-captions/seg_00001.vtt"));
    let [(begin, end, text)] = found.as_slice() else { panic!("{found:?}") };
    assert_eq!(text, "Hello");
    // Timecodes name frames. The caption is sent from there on, two bytes with each frame.
    assert!((1000..1500).contains(begin) && *end == 3003, "{begin} {end}");
    let master = fs::read_to_string(title.join("master.m3u8")).unwrap();
    assert!(master.contains("public.accessibility.transcribes-spoken-dialog"), "{master}");
}

#[test]
fn what_two_say_at_once_is_shown_in_every_segment() {
    let dir = scratch();
    // Alike for a segment that both fill, and for one in which both end.
    let both = "1\n00:00:00,500 --> 00:00:06,000\none\n\n2\n00:00:01,000 --> 00:00:05,500\ntwo\n\n\
                3\n00:00:01,500 --> 00:00:05,500\nthree\n\n4\n00:01:00,000 --> 00:01:01,000\nlater\n";
    let title = dir.path().join("title");
    let path = file(dir.path(), "both.srt", both);
    let texts = [("en", path.as_path())];
    let ended = transcode(dir.path(), &title, "hls = true\nmp4 = true\nimsc1 = true", &texts, "").success();
    assert!(
        ended.stderr.contains("warning: text en: of the cues of its file, 1 lie outside"),
        "{}",
        ended.stderr
    );
    let segment = title.join("subtitles/imsc1/en/seg_00002.m4s");
    let text = String::from_utf8_lossy(&fs::read(segment).unwrap()).into_owned();
    assert!(["one", "two", "three"].iter().all(|word| text.contains(&format!(">{word}<"))), "{text}");
    let report = report(&title);
    assert_eq!(report["texts"][0]["outside"], 1);
    let warnings = report["job"]["warnings"].to_string();
    assert!(warnings.contains("of the cues of its file, 1 lie outside the title"), "{warnings}");
}

#[test]
fn texts_that_cannot_be_used_are_refused_before_anything_is_encoded() {
    let dir = scratch();
    let title = dir.path().join("title");
    for (name, content, code, wanted) in [
        ("broken.srt", "1\n00:00:01,000 --> 00:0x:02,000\nhello\n", 3, "line 2: "),
        ("empty.vtt", "WEBVTT\n", 3, "it has no cue that can be used"),
        ("notes.txt", "x", 3, "it is none of SRT, WebVTT, TTML and SCC"),
        // As WebVTT it would be larger than what is read.
        (
            "large.srt",
            &format!(
                "1\n00:00:01,000 --> 00:00:02,000\n{}",
                format!("{}\n\n2\n00:00:01,000 --> 00:00:02,000\n", "&".repeat(4000)).repeat(1100)
            ),
            3,
            "at most 16 MiB are read",
        ),
    ] {
        let path = file(dir.path(), name, content);
        let ended = transcode(dir.path(), &title, "hls = true", &[("en", path.as_path())], "");
        assert_eq!(ended.code, Some(code), "{name}: {}", ended.stderr);
        assert!(ended.stderr.contains(wanted) && ended.stderr.contains(name), "{name}: {}", ended.stderr);
    }
    let vtt = file(dir.path(), "a.vtt", VTT);
    let twice = [("en", vtt.as_path()), ("EN:subtitles", &vtt)];
    for (texts, wanted) in [
        (&twice[..], "there are two texts"),
        (&[("en:cc", vtt.as_path())], "`cc` is no role"),
        (&[("../up", vtt.as_path())], "`../up` is no language tag"),
    ] {
        let ended = transcode(dir.path(), &title, "hls = true", texts, "");
        assert_eq!(ended.code, Some(2), "{}", ended.stderr);
        assert!(ended.stderr.contains(wanted), "{}", ended.stderr);
    }
    let ended = transcode(dir.path(), &title, "hls = true", &[("en", &dir.path().join("gone.srt"))], "");
    assert_eq!(ended.code, Some(4), "{}", ended.stderr);
    assert!(!title.exists());
}

/// Adds texts to the mezzanine; its last arguments are codecs and the file.
fn embed(dir: &Path, texts: &[&Path], codecs: &str, name: &str) -> PathBuf {
    let pictures = mezzanine(dir);
    let path = dir.join(name);
    let mut args = vec!["-i".to_owned(), pictures.display().to_string()];
    args.extend(texts.iter().flat_map(|text| ["-i".to_owned(), text.display().to_string()]));
    args.extend((0..=texts.len()).flat_map(|input| ["-map".to_owned(), input.to_string()]));
    args.extend(format!("-c:v copy {codecs}").split(' ').map(str::to_owned));
    args.push(path.display().to_string());
    ffmpeg::run(args);
    path
}

#[test]
fn texts_of_the_mezzanine_are_read_from_it() {
    let dir = scratch();
    let (srt, scc) = (
        file(dir.path(), "a.srt", SRT.split("4\n").next().unwrap()),
        file(dir.path(), "a.scc", &SCC.replace("01:00:0", "00:00:0")),
    );
    let both = file(dir.path(), "b.srt", "1\n00:00:02,000 --> 00:00:03,000\nsecond stream\n");
    let profile = small_profile(dir.path(), "text", "[package]\nhls = true\nmp4 = true");
    let english = [
        (500, 1500, "The first line|and the second & third".to_owned()),
        (1750, 4250, "Über two boundaries".to_owned()),
        (5000, 6000, "beyond the end".to_owned()),
    ];
    for (codecs, name) in [
        ("-c:s mov_text", "tx3g.mov"),
        ("-c:s srt", "srt.mkv"),
        ("-c:s webvtt", "vtt.mkv"),
        ("-c:s ass", "ass.mkv"),
    ] {
        let clip = embed(dir.path(), &[&srt, &both], codecs, name);
        let title = dir.path().join(format!("{name}-title"));
        let run = Reel::transcode(dir.path(), &clip, &title, &profile)
            .args("--quiet --text en=stream:1 --text de=stream:2");
        run.run().success();
        assert_eq!(cues(&title.join("subtitles/en.vtt")), english, "{name}");
        assert_eq!(
            cues(&title.join("subtitles/de.vtt")),
            [(2000, 3000, "second stream".to_owned())],
            "{name}"
        );
        // A style that ffmpeg carries over is kept.
        let text = fs::read_to_string(title.join("subtitles/en.vtt")).unwrap();
        assert!(text.contains("<i>line</i>"), "{name}: {text}");
    }
    let clip = embed(dir.path(), &[&scc], "-c:s copy", "captions.mov");
    let probed = Reel::new(dir.path(), ["probe", "--json", clip.to_str().unwrap()]).run().success().json();
    assert_eq!(probed["texts"], json!([{ "stream": 1, "codec": "eia_608", "language": "" }]));
    let title = dir.path().join("captions");
    let start =
        |texts: &str| Reel::transcode(dir.path(), &clip, &title, &profile).args("--quiet").args(texts).run();
    start("--text en:captions=stream:1").success();
    let found = cues(&title.join("subtitles/en-captions.vtt"));
    let [(begin, end, text)] = found.as_slice() else { panic!("{found:?}") };
    assert!((1000..1500).contains(begin) && end - begin == 4000 && text == "Hello", "{found:?}");
    let ended = start("--text en=stream:2");
    assert_eq!(ended.code, Some(3));
    assert!(ended.stderr.contains("has no text `stream:2`: it has 1 streams of text"), "{}", ended.stderr);
}

/// A profile with sound of every codec, texts in both formats and small parts.
fn everything(dir: &Path) -> PathBuf {
    let track = |name: &str, codec: &str, more: &str| {
        format!("[[audio]]\nname = \"{name}\"\ncodec = \"{codec}\"\nchannels = 2\n{more}\n")
    };
    let rate = "bitrate_kbps = 192";
    let tracks = [
        track("aac", "aac", rate),
        track("dolby", "ac3", rate),
        track("plus", "eac3", &format!("{rate}\nloudness_lufs = -24")),
        track("opus", "opus", rate),
        track("flac", "flac", "sources = [\"1.2\", \"1.1\"]"),
    ];
    small_profile(
        dir,
        "everything",
        &format!("[package]\nhls = true\nmp4 = true\nimsc1 = true\n{}", tracks.concat()),
    )
}

#[test]
fn a_farm_makes_the_same_sound_and_texts_whoever_dies() {
    let dir = scratch();
    let (srt, scc) = (file(dir.path(), "en.srt", SRT), file(dir.path(), "en.scc", SCC));
    let clip = dir.path().join("clip.mov");
    let (pictures, sound) = (
        "testsrc2=s=320x180:r=25:d=30",
        "anoisesrc=d=30:c=pink:r=48000:seed=3,aformat=channel_layouts=stereo",
    );
    let inputs =
        ["-f", "lavfi", "-i", pictures, "-f", "lavfi", "-i", sound, "-c:v", "mpeg4", "-c:a", "pcm_s24le"];
    ffmpeg::run(inputs.into_iter().chain([clip.to_str().unwrap()]));
    let profile = everything(dir.path());
    let texts = [format!("en={}", srt.display()), format!("en:captions@01:00:00={}", scc.display())];
    let alone = dir.path().join("alone");
    let single = Reel::transcode(dir.path(), &clip, &alone, &profile).args("--quiet --slots 1 --text");
    single.arg(&texts[0]).run().success();

    let mut farm = Farm::builder().schedulers(3).workers(2).start();
    let job_file = dir.path().join("job.toml");
    let job = |name: &str, texts: &[String]| {
        let (input, output) = (clip.display(), farm.output(name));
        let output = output.display();
        let text = format!(
            "input = \"{input}\"\noutput = \"{output}\"\nprofile = \"{}\"\ntexts = {texts:?}\nchunk_parts = 1\n",
            profile.display()
        );
        fs::write(&job_file, text).unwrap();
        let accepted = farm.reel("submit --json -f").arg(&job_file).run().success().json();
        accepted["job"].as_u64().unwrap()
    };
    let moved = job("moved", &texts[1..]);
    let first = job("a", &texts[..1]);
    for least in [1, 3, 6] {
        until("its turn", Duration::from_secs(120), || {
            farm.job(first)["parts_committed"].as_u64() >= Some(least)
        });
        let leader = farm.leader();
        farm.kill_scheduler(leader);
        farm.kill_worker(0);
        farm.start_worker(0);
        farm.start_scheduler(leader);
    }
    assert_eq!(farm.wait(first)["state"], "done");
    assert_same(&digests(&farm.output("a")), &digests(&alone), "after three rounds of killing");
    let done = farm.wait(moved);
    assert_eq!(done["state"], "done");
    let said = json!([{ "language": "en", "role": "captions", "file": scc, "start_ms": 3_600_000 }]);
    assert_eq!(done["texts"], said);
    let found = cues(&farm.output("moved").join("subtitles/en-captions.vtt"));
    assert_eq!(found.len(), 1, "{found:?}");
}
