//! Edited titles: frame-exact over several mezzanines, stills and logos, made anew only where an edit touches them, the same
//! bytes whoever dies.

#![allow(clippy::unwrap_used, reason = "a test fails where it is surprised")]

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use reel_common::Rational;
use reel_tests::farm::Farm;
use reel_tests::fixtures;
use reel_tests::reel::{Ended, Reel, report, until};
use reel_tests::tree::{assert_same, digests};
use reel_tests::{ffmpeg, scratch, signal, small_profile};
use serde_json::{Value, json};

/// Writes an edit: its sources and, for each event, the source and where it begins and ends.
fn edit(dir: &Path, name: &str, sources: &[(&str, &Path)], events: &[(&str, &str, &str)]) -> PathBuf {
    let mut text = "[sources]\n".to_owned();
    for (name, path) in sources {
        text.push_str(&format!("{name} = \"{}\"\n", path.display()));
    }
    for (source, start, end) in events {
        let time =
            |key, time: &str| if time.is_empty() { String::new() } else { format!("{key} = \"{time}\"\n") };
        text.push_str(&format!(
            "[[event]]\nsource = \"{source}\"\n{}{}",
            time("in", start),
            time("out", end)
        ));
    }
    let path = dir.join(format!("{name}.toml"));
    fs::write(&path, text).unwrap();
    path
}

fn profile(dir: &Path, more: &str) -> PathBuf {
    let sound = "[[audio]]\nname = \"stereo\"\ncodec = \"aac\"\nchannels = 2\nbitrate_kbps = 128\n";
    small_profile(dir, "edits", &format!("{more}[package]\nhls = true\nmp4 = true\n{sound}"))
}

fn transcode(dir: &Path, mezzanine: &Path, output: &Path, profile: &Path, edit: &Path) -> Ended {
    Reel::transcode(dir, mezzanine, output, profile).args("--quiet --edit").arg(edit).run()
}

/// The frame numbers that a file shows.
fn numbers(path: &Path) -> Vec<Option<u32>> {
    signal::numbers(&ffmpeg::decode(path).thumbs)
}

fn shown(runs: &[std::ops::Range<u32>]) -> Vec<Option<u32>> {
    runs.iter().cloned().flatten().map(Some).collect()
}

/// Of how many parts the renditions were made and found.
fn made(title: &Path) -> (u64, u64) {
    let report = report(title);
    let count = |what: &str| report["job"][what].as_u64().unwrap();
    (count("renditions_encoded"), count("renditions_reused"))
}

#[test]
fn frames_of_several_mezzanines_come_in_the_order_of_the_edit() {
    let dir = scratch();
    // Open GOPs, whose leading pictures need the GOP before; and another codec, size and container.
    let (main, other) = (fixtures::open_gop_h264_mkv().path, fixtures::dnxhd_mxf().path);
    let [in_main, in_other] = [&main, &other].map(|path| numbers(path));
    let events = [
        ("other", "00:00:01:00", "90"),
        ("mezzanine", "57", "00:00:06.080"),
        ("mezzanine", "", "00:00:00:03"),
        ("other", "00:00:02:20", ""),
    ];
    let edit = edit(dir.path(), "edit", &[("other", &other)], &events);
    let profile = profile(dir.path(), "");
    let title = dir.path().join("title");
    transcode(dir.path(), &main, &title, &profile, &edit).success();
    let expected = [&in_other[25..90], &in_main[57..152], &in_main[..3], &in_other[70..]].concat();
    for made in ["180p.mp4", "video/180p/playlist.m3u8"] {
        assert_eq!(numbers(&title.join(made)), expected, "{made}");
    }
    // Each frame is shown for a 25th of a second.
    let times = ffmpeg::decode(&title.join("180p.mp4")).times;
    let frames = (0..).map(|frame| Rational::new(frame, 25).unwrap());
    assert!(times.iter().copied().eq(frames.take(expected.len())), "{times:?}");
    let events = report(&title)["edit"]["events"].clone();
    let event = |source: &str, start: u64, end: u64, first: u64| json!({ "source": source, "in": start, "out": end, "first_frame": first, "start_s": first as f64 / 25.0 });
    let rest = in_other.len() as u64;
    let found = [
        event("other", 25, 90, 0),
        event("mezzanine", 57, 152, 65),
        event("mezzanine", 0, 3, 160),
        event("other", 70, rest, 163),
    ];
    assert_eq!(events, Value::from(found.to_vec()));
    Reel::verify(dir.path(), &title, &main).run().success();
    // In the middle of each run that is long enough, the source's sound, as far from the pictures as there.
    let sounds = [&other, &main].map(|path| (ffmpeg::sound(path, 0).unwrap(), ffmpeg::times(path, "v:0")[0]));
    let made = title.join("180p.mp4");
    let (made, first) = (ffmpeg::sound(&made, 0).unwrap(), ffmpeg::times(&made, "v:0")[0]);
    for (source, start, end, place) in [(0, 25, 90, 0), (1, 57, 152, 65), (0, 70, rest, 163)] {
        let seconds = |frames: u64| Rational::new(frames as i64, 25).unwrap();
        let (sound, origin) = &sounds[source];
        let moved = origin.checked_add(seconds(start)).unwrap().checked_sub(seconds(place)).unwrap();
        for at in [place + 20, place + (end - start) / 2, place + (end - start) - 30] {
            let delay = signal::delay((sound, moved), (&made, first), seconds(at));
            assert!(delay.is_some_and(|samples| samples.abs() <= 1), "frame {at}: {delay:?}");
        }
    }
}

#[test]
fn an_edit_encodes_only_what_it_touches() {
    let dir = scratch();
    let (film, _) = fixtures::two_cuts(10);
    let bumper = fixtures::prores_mov().path;
    let profile = profile(dir.path(), "[picture]\nframe_rate = \"24\"\n");
    let run = |name: &str, events: &[(&str, &str, &str)]| {
        let bumper: &[(&str, &Path)] =
            if events.iter().any(|event| event.0 == "bumper") { &[("bumper", &bumper)] } else { &[] };
        let edit = edit(dir.path(), name, bumper, events);
        let title = dir.path().join(name);
        transcode(dir.path(), &film.path, &title, &profile, &edit).success();
        title
    };
    // 720 frames in parts of 96.
    let whole = dir.path().join("whole");
    Reel::transcode(dir.path(), &film.path, &whole, &profile).arg("--quiet").run().success();
    assert_eq!(made(&whole), (8, 0));
    // A cut touches the part that it begins in and the one that it ends in.
    let cut = run("cut", &[("mezzanine", "", "250"), ("mezzanine", "400", "")]);
    assert_eq!(made(&cut), (2, 5));
    assert_eq!(numbers(&cut.join("180p.mp4")), shown(&[0..250, 400..720]));
    // Moving things about touches nothing but what is new; that the title begins elsewhere neither.
    let longer = run(
        "longer",
        &[("bumper", "", "48"), ("mezzanine", "", "250"), ("bumper", "48", "60"), ("mezzanine", "400", "")],
    );
    assert_eq!(made(&longer), (2, 7));
    assert_eq!(numbers(&longer.join("180p.mp4")), shown(&[0..48, 0..250, 48..60, 400..720]));
    // An edit that leaves all as it is makes the same bytes, and none anew.
    let same = run("same", &[("mezzanine", "0", "300"), ("mezzanine", "300", "720")]);
    assert_eq!(made(&same), (0, 8));
    assert_same(&digests(&same), &digests(&whole), "an edit that changes nothing");
}

#[test]
fn nothing_is_looked_at_that_was_cut_out() {
    let dir = scratch();
    // Two films that differ in their frames 240 to 479 alone.
    let (first, second) = fixtures::two_cuts(10);
    let ladder = "[[video]]\nname = \"hevc\"\ncodec = \"hevc\"\nheight = 90\npreset = \"fast\"\nrate = { crf = 30 }\n\
                  [[video]]\nname = \"av1\"\ncodec = \"av1\"\nheight = 90\npreset = 10\nrate = { crf = 40 }\n";
    let profile = small_profile(dir.path(), "ladder", &format!("{ladder}[package]\nmp4 = true\n"));
    let edit = edit(dir.path(), "cut", &[], &[("mezzanine", "", "240"), ("mezzanine", "480", "")]);
    let title = |name: &str, film: &Path| {
        let (home, title) = (scratch(), dir.path().join(name));
        transcode(home.path(), film, &title, &profile, &edit).success();
        digests(&title)
    };
    assert_same(&title("one", &first.path), &title("other", &second.path), "the same cut of two films");
}

#[test]
fn what_cannot_be_edited_is_refused_with_what_to_do() {
    let dir = scratch();
    let main = fixtures::two_cuts(10).0.path;
    let profile = profile(dir.path(), "");
    let refused = |sources: &[(&str, &Path)], events: &[(&str, &str, &str)], fragments: &[&str]| {
        let edit = edit(dir.path(), "refused", sources, events);
        let ended = transcode(dir.path(), &main, &dir.path().join("none"), &profile, &edit);
        assert_ne!(ended.code, Some(0), "{fragments:?}");
        for fragment in fragments {
            assert!(ended.stderr.contains(fragment), "`{fragment}` is not in {}", ended.stderr);
        }
        assert!(!dir.path().join("none").exists());
    };
    refused(&[], &[("mezzanine", "10", "721")], &["event 1", "no frame 721", "720 frames at 24"]);
    refused(&[], &[("mezzanine", "", ""), ("mezzanine", "00:00:10:24", "")], &["event 2", "00:00:10:24"]);
    refused(&[], &[("mezzanine", "9", "9")], &["event 1", "no frames"]);
    let tall = fixtures::rotated_mov().path;
    refused(
        &[("tall", &tall)],
        &[("mezzanine", "", ""), ("tall", "", "")],
        &["source `tall`", "display aspect"],
    );
    let hdr = fixtures::hdr10_ts().path;
    refused(&[("hdr", &hdr)], &[("mezzanine", "", ""), ("hdr", "", "")], &["source `hdr`", "colour"]);
    let nowhere = dir.path().join("nowhere.mov");
    refused(&[("a", &nowhere)], &[("a", "", "")], &["nowhere.mov"]);
    let varying = fixtures::variable_rate_mkv().path;
    let edit = edit(dir.path(), "varying", &[], &[("mezzanine", "", "20")]);
    let ended = transcode(dir.path(), &varying, &dir.path().join("none"), &profile, &edit);
    assert_eq!(ended.code, Some(3));
    assert!(ended.stderr.contains("frame_rate = "), "{}", ended.stderr);
}

#[test]
fn a_farm_edits_to_the_same_bytes_whoever_dies() {
    let dir = scratch();
    let (film, _) = fixtures::two_cuts(10);
    let bumper = fixtures::prores_mov().path;
    let profile = profile(dir.path(), "[picture]\nframe_rate = \"24\"\n");
    let events =
        [("bumper", "12", "60"), ("mezzanine", "10", "301"), ("bumper", "100", ""), ("mezzanine", "350", "")];
    let edit = edit(dir.path(), "edit", &[("bumper", &bumper)], &events);
    let alone = dir.path().join("alone");
    Reel::transcode(dir.path(), &film.path, &alone, &profile)
        .args("--quiet --slots 1 --edit")
        .arg(&edit)
        .run()
        .success();
    let mut farm = Farm::builder().schedulers(3).workers(2).start();
    let job = farm.submit(&film.path, "a", &profile, &format!("--chunk-parts 1 --edit {}", edit.display()));
    for least in [1, 3, 5] {
        until("its turn", Duration::from_secs(120), || {
            farm.job(job)["parts_committed"].as_u64() >= Some(least)
        });
        let leader = farm.leader();
        farm.kill_scheduler(leader);
        farm.kill_worker(0);
        farm.start_worker(0);
        farm.start_scheduler(leader);
    }
    let done = farm.wait(job);
    assert_eq!(done["state"], "done");
    assert_eq!(done["edit"]["events"][1], json!({ "source": "mezzanine", "in": "10", "out": "301" }));
    assert_same(&digests(&farm.output("a")), &digests(&alone), "after three rounds of killing");
}

#[test]
fn a_still_is_shown_for_as_long_as_the_edit_says() {
    let dir = scratch();
    let path = |name: &str| dir.path().join(name);
    let make = |input: &str, options: &str, to: &Path| {
        let options = options.split_whitespace();
        ffmpeg::run(["-f", "lavfi", "-i", input].into_iter().chain(options).chain([to.to_str().unwrap()]));
    };
    let (clip, slate) = (path("clip.mov"), path("slate.png"));
    let tags = "setparams=color_primaries=bt709:color_trc=bt709:colorspace=bt709:range=tv";
    make(
        &format!(
            "testsrc2=s=320x180:r=25:d=4,scale=out_color_matrix=bt709:out_range=tv,format=yuv422p,{tags}"
        ),
        "-c:v prores_ks -color_primaries bt709 -color_trc bt709 -colorspace bt709",
        &clip,
    );
    make("smptehdbars=s=640x360:r=25", "-frames:v 1 -pix_fmt rgb24", &slate);
    let profile = profile(dir.path(), "");
    let events =
        [("slate", "", "00:00:02:10"), ("mezzanine", "", "30"), ("slate", "", "1"), ("mezzanine", "60", "")];
    let edit_file = edit(dir.path(), "slated", &[("slate", &slate)], &events);
    let title = path("title");
    transcode(dir.path(), &clip, &title, &profile, &edit_file).success();
    let made = ffmpeg::decode(&title.join("180p.mp4")).thumbs;
    // RGB as YCbCr of BT.709 in limited range, which the header says.
    let still = ffmpeg::filtered(&slate, "scale=out_color_matrix=bt709:out_range=tv,format=yuv444p");
    let clip_shows = ffmpeg::decode(&clip).thumbs;
    let expected = |frame: usize| match frame {
        0..60 | 90 => &still[0],
        60..90 => &clip_shows[frame - 60],
        _ => &clip_shows[frame - 91 + 60],
    };
    assert_eq!(made.len(), 60 + 30 + 1 + 40);
    for (frame, picture) in made.iter().enumerate() {
        let (light, colour) =
            (picture.difference(expected(frame)), picture.colour_difference(expected(frame)));
        assert!(light < 2500 && colour < 2500, "frame {frame} is off by {light} and {colour}");
    }
    Reel::verify(dir.path(), &title, &clip).run().success();
    let endless =
        edit(dir.path(), "endless", &[("slate", &slate)], &[("slate", "", ""), ("mezzanine", "", "")]);
    let refused = transcode(dir.path(), &clip, &path("none"), &profile, &endless);
    assert_eq!(refused.code, Some(3));
    assert!(refused.stderr.contains("event 1 of the edit: slate is a still picture"), "{}", refused.stderr);
}

#[test]
fn thumbnails_and_texts_are_those_of_the_edited_title() {
    let dir = scratch();
    let film = fixtures::open_gop_h264_mkv().path;
    let [first, second] = [(0, "first"), (3000, "second")].map(|(ms, name)| {
        let clock = |ms: u32| format!("00:00:{:02},{:03}", ms / 1000, ms % 1000);
        format!("1\n{} --> {}\n{name}\n\n", clock(ms + 500), clock(ms + 1500))
    });
    // Subtitles that lie in the mezzanine, and some that are written for the title.
    let (inside, outside) = (dir.path().join("inside.srt"), dir.path().join("outside.srt"));
    fs::write(&inside, format!("{first}{second}")).unwrap();
    fs::write(&outside, &first).unwrap();
    let clip = dir.path().join("clip.mkv");
    let inputs = ["-i", film.to_str().unwrap(), "-i", inside.to_str().unwrap(), "-map", "0", "-map", "1"];
    ffmpeg::run(inputs.into_iter().chain(["-c", "copy", "-c:s", "srt", clip.to_str().unwrap()]));
    let profile = profile(dir.path(), "[images]\nevery_s = 1.0\nheight = 90\ncolumns = 2\nrows = 2\n");
    let edit = edit(dir.path(), "edit", &[], &[("mezzanine", "65", "115"), ("mezzanine", "0", "50")]);
    let title = dir.path().join("title");
    let run = Reel::transcode(dir.path(), &clip, &title, &profile).args("--quiet --text en=stream:1 --edit");
    run.arg(&edit).args("--text").arg(format!("de={}", outside.display())).run().success();
    let text = |name: &str| fs::read_to_string(title.join(format!("subtitles/{name}.vtt"))).unwrap();
    // 3.5 s of the container is 0.9 s of the title, and 0.5 s is 2.5 s, but for when its first frame is shown.
    let late = ffmpeg::times(&clip, "v:0")[0].checked_mul(Rational::whole(1000)).unwrap().round();
    let cue = |ms: i64| {
        let clock = |ms: i64| format!("00:00:{:02}.{:03}", ms / 1000, ms % 1000);
        format!("{} --> {}", clock(ms - late), clock(ms - late + 1000))
    };
    let english = text("en");
    let order = [&cue(900), "second", &cue(2500), "first"].map(|what| english.find(what));
    assert!(order.iter().all(Option::is_some) && order.is_sorted(), "{order:?} {english}");
    assert!(text("de").contains("00:00:00.500 --> 00:00:01.500"));
    // Thumbnails of the title's frames 0, 25, 50 and 75.
    let sheet = ffmpeg::run([
        "-i",
        title.join("images/sprite_00001.jpg").to_str().unwrap(),
        "-f",
        "rawvideo",
        "-pix_fmt",
        "gray",
        "-",
    ]);
    let (width, source) = (320, ffmpeg::filtered(&film, "null"));
    let mean = |tile: usize| {
        let (left, top) = (tile % 2 * 160, tile / 2 * 90);
        let rows = (top..top + 90).map(|y| &sheet[y * width + left..][..160]);
        rows.flatten().map(|sample| u64::from(*sample)).sum::<u64>() as f64 / (160.0 * 90.0)
    };
    for (tile, frame) in [65, 90, 0, 25].into_iter().enumerate() {
        let luma = &source[frame].luma;
        let expected = luma.iter().map(|sample| u64::from(*sample)).sum::<u64>() as f64 / luma.len() as f64;
        // Full range in the picture, limited in the source.
        let expected = (expected - 16.0) * 255.0 / 219.0;
        assert!((mean(tile) - expected).abs() < 4.0, "tile {tile}: {} instead of {expected}", mean(tile));
    }
    Reel::verify(dir.path(), &title, &clip).run().success();
}

#[test]
fn sources_of_other_rates_are_told_in_their_own_frames_and_lack_sound_with_a_warning() {
    let dir = scratch();
    // 24 frames a second, and 25 without sound.
    let (film, silent) = (fixtures::hevc_cra_mp4().path, dir.path().join("silent.mkv"));
    let dnxhd = fixtures::open_gop_h264_mkv().path;
    ffmpeg::run(["-i", dnxhd.to_str().unwrap(), "-an", "-c", "copy", silent.to_str().unwrap()]);
    let profile = profile(dir.path(), "");
    let events = [("silent", "25", "00:00:02:24"), ("mezzanine", "", "24"), ("silent", "00:00:04.000", "")];
    let edit = edit(dir.path(), "edit", &[("silent", &silent)], &events);
    let title = dir.path().join("title");
    let ended = Reel::transcode(dir.path(), &film, &title, &profile).arg("--edit").arg(&edit).run().success();
    // 200 frames at 25 a second are 192 at 24; frame 74 of the source begins at 2.96 s.
    let report = report(&title);
    let spans: Vec<_> = report["edit"]["events"]
        .as_array()
        .unwrap()
        .iter()
        .map(|event| (&event["in"], &event["out"]))
        .collect();
    assert_eq!(spans, [(&json!(24), &json!(71)), (&json!(0), &json!(24)), (&json!(96), &json!(192))]);
    let shown = numbers(&title.join("180p.mp4"));
    assert_eq!((shown[0], shown[46], shown[47], shown.len()), (Some(25), Some(73), Some(0), 47 + 24 + 96));
    let warning = "audio track `stereo` is silent where source `silent` of the edit is shown";
    assert!(ended.stderr.contains(warning), "{}", ended.stderr);
    assert!(
        report["job"]["warnings"].to_string().contains("is silent where source"),
        "{}",
        report["job"]["warnings"]
    );
    let sound = ffmpeg::sound(&title.join("180p.mp4"), 0).unwrap();
    let loudest = |from: usize, to: usize| {
        sound.samples[from * 2000..to * 2000].iter().map(|s| s.unsigned_abs()).max().unwrap()
    };
    assert!(loudest(3, 44) < 40 && loudest(50, 70) > 5000, "{} {}", loudest(3, 44), loudest(50, 70));
    Reel::verify(dir.path(), &title, &film).run().success();
}

/// Writes an edit of the mezzanine alone with a logo: the times at which it is there, and where.
fn logo(dir: &Path, image: &Path, times: (u32, u32), place: &str) -> PathBuf {
    let (image, (start, end)) = (image.display(), times);
    let text = format!("[[overlay]]\nimage = \"{image}\"\nin = {start}\nout = {end}\n{place}\n");
    let path = dir.join("logo.toml");
    fs::write(&path, text).unwrap();
    path
}

/// A logo of 200x100 pixels, of which the left half is opaque red and the right half is white at half of its alpha.
fn red_and_white(dir: &Path) -> PathBuf {
    let path = dir.join("logo.png");
    let (red, white) = ("color=red:s=100x100,format=rgba", "color=white@0.5:s=100x100,format=rgba");
    let graph = format!("{red}[a];{white}[b];[a][b]hstack");
    ffmpeg::run(["-f", "lavfi", "-i", &graph, "-frames:v", "1", path.to_str().unwrap()]);
    path
}

#[test]
fn a_logo_is_over_its_frames_and_encodes_only_them_anew() {
    let (dir, home) = (scratch(), scratch());
    let film = fixtures::two_cuts(10).0.path;
    let image = red_and_white(dir.path());
    let profile = profile(dir.path(), "");
    let [plain, marked] = ["plain", "marked"].map(|name| dir.path().join(name));
    Reel::transcode(home.path(), &film, &plain, &profile).arg("--quiet").run().success();
    // A fifth of the picture's width, in the lower right corner. Parts have 96 frames.
    let edit = logo(dir.path(), &image, (120, 150), "x = 0.75\ny = 0.7\nwidth = 0.2\nopacity = 0.8");
    transcode(home.path(), &film, &marked, &profile, &edit).success();
    assert_eq!(made(&marked), (1, 7));
    let (plain, shown) = (ffmpeg::decode(&plain.join("180p.mp4")), ffmpeg::decode(&marked.join("180p.mp4")));
    // ffmpeg's own, in RGB: 64x32 pixels at 240,126.
    let graph = "[1]scale=64:32:flags=area,format=rgba,colorchannelmixer=aa=0.8[logo];[0]format=rgb24[film];\
                 [film][logo]overlay=240:126:format=rgb:enable='between(n,120,149)',scale=64:64:flags=area,format=rgb24";
    let film_arg = film.to_str().unwrap();
    let rgb = |args: &[&str]| {
        let out = ["-fps_mode", "passthrough", "-f", "rawvideo", "-"];
        ffmpeg::run(args.iter().copied().chain(out))
    };
    let expected = rgb(&["-i", film_arg, "-i", image.to_str().unwrap(), "-filter_complex", graph]);
    let small = "scale=64:64:flags=area,format=rgb24";
    let found = rgb(&["-i", marked.join("180p.mp4").to_str().unwrap(), "-vf", small]);
    assert_eq!((expected.len(), found.len()), (720 * 64 * 64 * 3, 720 * 64 * 64 * 3));
    // In the middle of each half of the logo: 272 and 304 of 320, 142 of 180.
    for frame in [119, 120, 135, 149, 150] {
        for (x, y) in [(51, 50), (57, 50)] {
            let at = ((frame * 64 + y) * 64 + x) * 3;
            for channel in 0..3 {
                let (wanted, got) = (expected[at + channel], found[at + channel]);
                assert!(
                    wanted.abs_diff(got) < 14,
                    "frame {frame}, {x},{y}, channel {channel}: {got} instead of {wanted}"
                );
            }
        }
    }
    // Where it is not, nothing changes.
    for frame in (0..96).chain(192..720) {
        assert_eq!(plain.thumbs[frame].difference(&shown.thumbs[frame]), 0, "frame {frame}");
    }
    Reel::verify(home.path(), &marked, &film).run().success();
    let report = report(&marked);
    assert_eq!(report["edit"]["overlays"][0]["out"], 150);
}

#[test]
fn a_logo_stands_upright_and_in_its_own_shape_whatever_is_below() {
    let dir = scratch();
    let image = red_and_white(dir.path());
    for clip in
        [fixtures::rotated_mov(), fixtures::odd_anamorphic_mkv(), fixtures::hdr10_ts(), fixtures::hlg_ts()]
    {
        let ladder = "[[video]]\nname = \"tall\"\ncodec = \"hevc\"\nheight = 320\npreset = \"ultrafast\"\nbit_depth = 10\nrate = { crf = 20 }\nupscale = true\n";
        let text = format!(
            "name = \"logos\"\nversion = 1\nsegment_seconds = 2\npart_seconds = 4\n{ladder}[package]\nmp4 = true\n"
        );
        let profile = dir.path().join("logos.toml");
        fs::write(&profile, text).unwrap();
        let edit = logo(dir.path(), &image, (0, 5), "x = 0.5\ny = 0.25\nwidth = 0.4");
        let name = clip.path.file_stem().unwrap().to_str().unwrap().to_owned();
        let title = dir.path().join(format!("{name}-title"));
        transcode(dir.path(), &clip.path, &title, &profile, &edit).success();
        let file = title.join("tall.mp4");
        let entry =
            |entry: &str| ffmpeg::stream_entry(&file, "v:0", entry).unwrap().parse::<usize>().unwrap();
        let (width, height) = (entry("width"), entry("height"));
        let planes = ffmpeg::run(
            ["-i", file.to_str().unwrap(), "-frames:v", "1", "-pix_fmt", "yuv444p", "-f", "rawvideo", "-"]
                .map(str::to_owned),
        );
        let colour = |x: usize, y: usize| [1, 2].map(|plane| planes[(plane * height + y) * width + x]);
        // Red is in the left half alone: from half to seven tenths of the width, as high as it is wide.
        let side = width / 5;
        let (left, top) = (width / 2, height / 4);
        let red = colour(left + side / 2, top + side / 2);
        assert!(red[1] > 140, "{name}: {red:?}");
        let is_red = |x: usize, y: usize| colour(x, y).iter().zip(red).all(|(a, b)| a.abs_diff(b) < 8);
        let inset = side / 8;
        for (x, y) in
            [(inset, inset), (side - inset, inset), (inset, side - inset), (side - inset, side - inset)]
        {
            assert!(is_red(left + x, top + y), "{name}: no red at {x},{y} of {side}");
        }
        for (x, y) in [(side + inset, side / 2), (side / 2, side + inset)] {
            assert!(!is_red(left + x, top + y), "{name}: red at {x},{y} of {side}");
        }
        assert!(!is_red(left - inset, top + side / 2) && !is_red(left + side / 2, top - inset), "{name}");
        Reel::verify(dir.path(), &title, &clip.path).run().success();
    }
}

#[test]
fn what_is_no_logo_is_refused() {
    let dir = scratch();
    let film = fixtures::two_cuts(10).0.path;
    let (image, profile) = (red_and_white(dir.path()), profile(dir.path(), ""));
    let refused = |image: &Path, times: (u32, u32), place: &str, fragment: &str| {
        let edit = logo(dir.path(), image, times, place);
        let ended = transcode(dir.path(), &film, &dir.path().join("none"), &profile, &edit);
        assert_ne!(ended.code, Some(0), "{fragment}");
        assert!(ended.stderr.contains(fragment), "`{fragment}` is not in {}", ended.stderr);
    };
    refused(&profile, (0, 9), "x = 0\ny = 0\nwidth = 0.1", "overlay 1 of the edit: it is no PNG");
    refused(&film, (0, 9), "x = 0\ny = 0\nwidth = 0.1", "at most 4 MiB");
    refused(
        &image,
        (0, 721),
        "x = 0\ny = 0\nwidth = 0.1",
        "overlay 1 of the edit: the title has no frame 721",
    );
    refused(&image, (9, 9), "x = 0\ny = 0\nwidth = 0.1", "overlay 1 of the edit: it is over no frames");
    refused(&image, (0, 9), "x = 0\ny = 0.95\nwidth = 0.5", "reaches below the picture");
    refused(&image, (0, 9), "x = 0.6\ny = 0\nwidth = 0.5", "overlay 1 lies outside of the picture");
    refused(&dir.path().join("gone.png"), (0, 9), "x = 0\ny = 0\nwidth = 0.5", "gone.png");
}

#[test]
fn damage_that_was_cut_out_neither_passes_nor_shows() {
    let dir = scratch();
    let (clean, damaged) = (dir.path().join("clean.mp4"), dir.path().join("damaged.mp4"));
    // A red scene of 30 frames, and another that refers to it; the first packet of that is destroyed.
    let graph = "color=red:s=320x180:r=25,trim=end_frame=30,format=yuv420p[a];testsrc2=s=320x180:r=25,trim=end_frame=70,format=yuv420p[b];[a][b]concat";
    let codec =
        "-c:v libx264 -preset veryfast -bf 0 -x264-params keyint=60:min-keyint=60:scenecut=0:slices=1";
    let clean_name = clean.to_str().unwrap();
    ffmpeg::run(["-f", "lavfi", "-i", graph].into_iter().chain(codec.split(' ')).chain([clean_name]));
    let noise = "noise=amount='if(eq(n,30),1,0)'";
    ffmpeg::run(["-i", clean_name, "-c", "copy", "-bsf:v", noise, damaged.to_str().unwrap()]);
    let title = |name: &str, clip: &Path, start: &str, damage: &str| {
        let profile = profile(dir.path(), &format!("[admission]\ndamage = {damage}\n"));
        let edit = edit(dir.path(), "cut", &[], &[("mezzanine", start, "")]);
        let title = dir.path().join(name);
        (transcode(dir.path(), clip, &title, &profile, &edit), title)
    };
    title("whole", &clean, "31", "\"refuse\"").0.success();
    // Pictures from the random access point up to the in point are no part of the title, but what it refers to.
    for start in ["30", "31"] {
        let refused = title("none", &damaged, start, "\"refuse\"").0;
        assert_eq!(refused.code, Some(3));
        assert!(refused.stderr.contains("frame 30 at 1.200 s does not decode"), "{}", refused.stderr);
    }
    let red = &ffmpeg::decode(&clean).thumbs[0];
    for (name, start) in [("at", "30"), ("behind", "31")] {
        let (made, title) = title(name, &damaged, start, "\"repeat\"");
        made.success();
        let mended = report(&title)["proof"]["mended_frames"].as_array().unwrap().len();
        assert!(mended >= 29, "{name}: {mended}");
        let shown = ffmpeg::decode(&title.join("180p.mp4")).thumbs;
        assert!(
            shown.iter().all(|picture| picture.colour_difference(red) > 20_000),
            "{name} shows what was cut out"
        );
        Reel::verify(dir.path(), &title, &damaged).run().success();
    }
}

#[test]
fn grey_stills_are_shown_and_another_logo_is_noticed() {
    let dir = scratch();
    let film = fixtures::two_cuts(10).0.path;
    let (profile, image) = (profile(dir.path(), ""), red_and_white(dir.path()));
    let grey = dir.path().join("grey.png");
    let make = [
        "-f",
        "lavfi",
        "-i",
        "color=gray:s=320x180",
        "-frames:v",
        "1",
        "-pix_fmt",
        "gray",
        grey.to_str().unwrap(),
    ];
    ffmpeg::run(make);
    let cards = edit(dir.path(), "cards", &[("grey", &grey)], &[("grey", "", "24"), ("mezzanine", "", "48")]);
    let title = dir.path().join("cards-title");
    transcode(dir.path(), &film, &title, &profile, &cards).success();
    let luma = &ffmpeg::decode(&title.join("180p.mp4")).thumbs[5].luma;
    // Half of full range is 126 of 16 to 235.
    assert!(luma.iter().all(|sample| sample.abs_diff(126) < 4), "{}", luma[0]);
    Reel::verify(dir.path(), &title, &film).run().success();

    let marked = dir.path().join("marked");
    let edit = logo(dir.path(), &image, (0, 24), "x = 0.1\ny = 0.1\nwidth = 0.05");
    transcode(dir.path(), &film, &marked, &profile, &edit).success();
    fs::copy(&grey, &image).unwrap();
    let noticed = Reel::verify(dir.path(), &marked, &film).run();
    assert_eq!(noticed.code, Some(1));
    assert!(noticed.stderr.contains("is not the one that the title was made with"), "{}", noticed.stderr);
}
