//! What `[picture]` asks for: fields, frame rate and crop, held against ffmpeg's own filters; and what a mezzanine holds
//! beside its pictures.

#![allow(clippy::unwrap_used, reason = "a test fails where it is surprised")]

use std::fs;
use std::path::{Path, PathBuf};

use reel_common::Rational;
use reel_tests::ffmpeg;
use reel_tests::fixtures::{self, Fixture};
use reel_tests::reel::{Ended, Reel, report};
use reel_tests::signal::{assert_shows, numbers};
use reel_tests::sources::{Scan, Source};
use reel_tests::tree::assert_settings_change_no_byte;
use reel_tests::{mediainfo, profile, scratch, small_profile};

/// Top field first; its first field is shown by 720 x 576 pixels that are wider than high.
const PAL: Source = Source {
    name: "pal_fields",
    shape: "720x576 64:45",
    rate: "25",
    scan: Scan::Tff,
    video: &["-c:v mpeg2video -b:v 8M -g 12 -bf 2 -flags +ildct+ilme"],
    colours: None,
    sound: None,
    container: "ts",
};
/// Bottom field first.
const NTSC: Source = Source {
    name: "ntsc_fields",
    shape: "720x480 8:9",
    rate: "30000/1001",
    scan: Scan::Bff,
    video: &["-c:v prores_ks -pix_fmt yuv422p10le -profile:v lt -flags +ildct+ilme"],
    colours: None,
    sound: None,
    container: "mov",
};

/// The profile `quick` with a `[picture]`, and with its first rendition in another height, alone.
fn edited(dir: &Path, picture: &str, height: Option<u32>) -> PathBuf {
    let text = fs::read_to_string(profile("quick")).unwrap();
    let (head, rest) = text.split_once("[[video]]").unwrap();
    let (first, second) = rest.split_once("[[video]]").unwrap();
    let (second, tail) = second.split_once("[[audio]]").unwrap();
    let ladder = match height {
        None => format!("{first}[[video]]{second}"),
        Some(height) => first.replace("height = 360", &format!("height = {height}")),
    };
    let path = dir.join("edited.toml");
    fs::write(&path, format!("{head}[picture]\n{picture}\n[[video]]{ladder}[[audio]]{tail}")).unwrap();
    path
}

struct Title {
    dir: tempfile::TempDir,
    ended: Ended,
}

impl Title {
    /// Makes and verifies a title.
    fn make(mezzanine: &Fixture, picture: &str, height: Option<u32>) -> Title {
        let dir = scratch();
        let output = dir.path().join("title");
        let profile = edited(dir.path(), picture, height);
        let ended = Reel::transcode(dir.path(), &mezzanine.path, &output, &profile).run().success();
        Reel::verify(dir.path(), &output, &mezzanine.path).run().success();
        Title { dir, ended }
    }

    fn path(&self, below: &str) -> PathBuf {
        self.dir.path().join("title").join(below)
    }
}

/// Times from the first on.
fn assert_even(times: &[Rational], (num, den): (i64, i64)) {
    for (frame, time) in (0..).zip(times) {
        assert_eq!(time.checked_sub(times[0]), Rational::new(frame * den, num), "frame {frame}");
    }
}

#[test]
fn a_variable_rate_is_conformed_as_ffmpeg_does() {
    let mezzanine = fixtures::variable_rate_mkv();
    for (rate, terms) in [("25", (25, 1)), ("30000/1001", (30_000, 1001)), ("12", (12, 1)), ("60", (60, 1))] {
        let title = Title::make(&mezzanine, &format!("frame_rate = \"{rate}\""), None);
        let expected = ffmpeg::filtered(&mezzanine.path, &format!("setpts=PTS-STARTPTS,fps={rate}"));
        for path in ["360p.mp4", "video/180p/playlist.m3u8"] {
            let made = ffmpeg::decode(&title.path(path));
            assert_eq!(numbers(&made.thumbs), numbers(&expected), "{rate}: {path}");
            assert_even(&made.times, terms);
        }
        assert_eq!(mediainfo::video(&title.path("360p.mp4"))["FrameRate_Mode"], "CFR");
    }
}

#[test]
fn a_conformed_title_has_the_same_bytes_however_it_is_cut_into_chunks() {
    let mezzanine = fixtures::variable_rate_mkv();
    assert_chunks_change_no_byte(&mezzanine, "frame_rate = \"30000/1001\"");
}

#[test]
fn deinterlaced_frames_have_the_same_bytes_however_they_are_cut_into_chunks() {
    assert_chunks_change_no_byte(&PAL.make(), "fields = \"bwdif\"");
}

#[test]
fn a_pause_that_is_conformed_has_the_same_bytes_however_it_is_cut_into_chunks() {
    let mezzanine = fixtures::pause_mp4();
    assert_chunks_change_no_byte(&mezzanine, "frame_rate = \"30\"");
    let title = Title::make(&mezzanine, "frame_rate = \"30\"", Some(180));
    let expected = ffmpeg::filtered(&mezzanine.path, "fps=30");
    assert_eq!(numbers(&ffmpeg::filtered(&title.path("360p.mp4"), "null")), numbers(&expected));
}

#[test]
fn fields_between_progressive_frames_are_deinterlaced_as_ffmpeg_does() {
    for stretches in [&[true, false, true][..], &[false, true, false]] {
        let mezzanine = fixtures::mixed_fields_mkv(stretches);
        assert_chunks_change_no_byte(&mezzanine, "");
        let title = Title::make(&mezzanine, "", Some(180));
        assert!(title.ended.stderr.contains("its video is interlaced"), "{}", title.ended.stderr);
        let expected = ffmpeg::filtered(&mezzanine.path, "bwdif=mode=send_frame:deint=interlaced");
        assert_shows(&ffmpeg::filtered(&title.path("360p.mp4"), "null"), &expected, "360p.mp4");
    }
}

fn assert_chunks_change_no_byte(mezzanine: &Fixture, picture: &str) {
    let dir = scratch();
    let profile = edited(dir.path(), picture, None);
    let settings = ["--workers 1 --slots 1 --chunk-parts 100", "--workers 2 --slots 1 --chunk-parts 1"];
    assert_settings_change_no_byte(&mezzanine.path, &profile, &settings);
}

#[test]
fn a_telecine_is_told_kept_or_made_film_again() {
    let mezzanine = fixtures::soft_telecine_mkv();
    let film = Title::make(&mezzanine, "frame_rate = \"24000/1001\"", None);
    let warned = &film.ended.stderr;
    assert!(warned.contains("its video repeats fields (telecine)"), "{warned}");
    let made = ffmpeg::decode(&film.path("360p.mp4"));
    assert_eq!(numbers(&made.thumbs), (0..80).map(Some).collect::<Vec<_>>());
    assert_even(&made.times, (24_000, 1001));
    let told = report(&film.path(""));
    assert_eq!(told["mezzanine"]["telecine"], true);
    assert_eq!(told["job"]["warnings"][0], "its video repeats fields (telecine)");

    let kept = Title::make(&mezzanine, "", None);
    let source = ffmpeg::times(&mezzanine.path, "v:0");
    assert_eq!(ffmpeg::times(&kept.path("360p.mp4"), "v:0"), source);
}

#[test]
fn fields_stay_fields() {
    for (source, height) in [(PAL, 576), (NTSC, 480)] {
        let mezzanine = source.make();
        let title = Title::make(&mezzanine, "fields = \"keep\"", Some(height));
        let path = title.path("360p.mp4");
        assert_eq!(ffmpeg::scan(&path), source.scan);
        let info = mediainfo::video(&path);
        let order = if source.scan == Scan::Tff { "TFF" } else { "BFF" };
        assert_eq!((info["ScanType"].as_str(), info["ScanOrder"].as_str()), ("MBAFF", order), "{info:?}");
        let (width, height) = source.rendition(height);
        assert_eq!((&info["Width"], &info["Height"]), (&width.to_string(), &height.to_string()));
        let fields = |path: &Path| ffmpeg::filtered(path, "separatefields");
        assert_shows(&fields(&path), &fields(&mezzanine.path), "the fields of 360p.mp4");
        assert_eq!(ffmpeg::times(&path, "v:0").len(), source.frames() as usize);
    }
}

/// What is said of a mezzanine that a `[picture]` does not fit.
fn refused(picture: &str) -> String {
    let dir = scratch();
    let profile = edited(dir.path(), picture, None);
    let output = dir.path().join("title");
    let ended = Reel::transcode(dir.path(), &PAL.make().path, &output, &profile).run();
    assert_eq!(ended.code, Some(3), "{}", ended.stderr);
    assert!(!output.exists(), "{}", ended.stderr);
    ended.stderr
}

#[test]
fn fields_that_cannot_stay_are_refused_with_what_to_do() {
    let said = refused("fields = \"keep\"");
    assert!(said.contains("rendition `360p` cannot keep the fields of the source"), "{said}");
    assert!(said.contains("use `fields = \"bwdif\"`"), "{said}");
}

#[test]
fn woven_fields_are_frames_as_they_are() {
    let mezzanine = PAL.make();
    let title = Title::make(&mezzanine, "fields = \"weave\"", Some(576));
    let path = title.path("360p.mp4");
    assert_eq!(ffmpeg::scan(&path), Scan::Progressive);
    assert_shows(&ffmpeg::filtered(&path, "null"), &ffmpeg::filtered(&mezzanine.path, "null"), "360p.mp4");
}

#[test]
fn what_is_cropped_is_what_ffmpeg_crops() {
    let mezzanine = fixtures::rotated_mov();
    // The picture lies on its side; the crop is that of the coded one.
    let title = Title::make(&mezzanine, "crop = { top = 16, bottom = 20, left = 80, right = 40 }", Some(360));
    let path = title.path("360p.mp4");
    let entry = |name| ffmpeg::stream_entry(&path, "v:0", name).unwrap();
    assert_eq!((entry("width"), entry("height")), ("224".to_owned(), "360".to_owned()));
    // ffmpeg turns the picture before its filter: right becomes top, and top becomes left.
    let expected = ffmpeg::filtered(&mezzanine.path, "crop=324:520:16:40");
    assert_shows(&ffmpeg::filtered(&path, "null"), &expected, "360p.mp4");
}

#[test]
fn a_crop_that_leaves_nothing_is_refused() {
    let said = refused("crop = { top = 400, bottom = 400 }");
    assert!(said.contains("`crop` leaves nothing of a picture of 720x576"), "{said}");
}

#[test]
fn of_several_video_streams_one_is_taken_and_told_and_the_timecode_comes_along() {
    let mezzanine = fixtures::two_video_streams_mov();
    let title = Title::make(&mezzanine, "", None);
    let warned = &title.ended.stderr;
    assert!(warned.contains("it has 2 video streams: number 0 of its streams is taken"), "{warned}");
    let made = ffmpeg::decode(&title.path("360p.mp4"));
    assert_eq!(numbers(&made.thumbs), (0..80).map(Some).collect::<Vec<_>>());
    let report = report(&title.path(""));
    assert_eq!(report["mezzanine"]["timecode"], "01:02:03:04");
    assert_eq!(report["mezzanine"]["scan"], "progressive");
}

#[test]
fn a_cover_picture_is_no_video() {
    let mezzanine = fixtures::covered_mp4();
    let title = Title::make(&mezzanine, "", None);
    assert!(!title.ended.stderr.contains("video streams"), "{}", title.ended.stderr);
    let made = ffmpeg::decode(&title.path("360p.mp4"));
    assert_eq!(numbers(&made.thumbs), (0..80).map(Some).collect::<Vec<_>>());
}

#[test]
fn segments_begin_with_scenes_where_the_profile_wants_it() {
    let dir = scratch();
    let clip = dir.path().join("scenes.mov");
    // Scenes begin at frames 41, 65 (too far from a border), 107 and 150 of 200; there is motion in them, and a flash at frame 90.
    let scene = |picture: &str, frames: u32| {
        format!("{picture}=s=320x180:r=25,trim=end_frame={frames},format=yuv420p")
    };
    let scenes = [("testsrc", 41), ("smptebars", 24), ("mandelbrot", 42), ("testsrc2", 43), ("testsrc", 50)];
    let graph: Vec<String> =
        scenes.iter().zip('a'..).map(|((p, n), at)| format!("{}[{at}]", scene(p, *n))).collect();
    let graph = format!("{};[a][b][c][d][e]concat=n=5,eq=brightness=0.6:enable='eq(n,90)'", graph.join(";"));
    ffmpeg::run(["-f", "lavfi", "-i", &graph, "-c:v", "mpeg4", "-q:v", "2", clip.to_str().unwrap()]);
    let title = |word: &str| {
        let track =
            "[[video]]\nname = \"90p\"\ncodec = \"av1\"\nheight = 90\npreset = 12\nrate = { crf = 40 }\n";
        let path = small_profile(dir.path(), word, &format!("{track}[package]\nhls = true\nmp4 = true\n"));
        // Keys of the profile itself stand before its tables.
        let text = fs::read_to_string(&path).unwrap();
        fs::write(&path, format!("segments_begin = \"{word}\"\n{text}")).unwrap();
        let title = dir.path().join(format!("{word}-title"));
        Reel::transcode(dir.path(), &clip, &title, &path).arg("--quiet").run().success();
        Reel::verify(dir.path(), &title, &clip).run().success();
        title
    };
    let starts = |title: &Path, rendition: &str| -> Vec<u64> {
        let playlist = fs::read_to_string(title.join(format!("video/{rendition}/playlist.m3u8"))).unwrap();
        let lengths = playlist.lines().filter_map(|line| line.strip_prefix("#EXTINF:"));
        let frames = lengths
            .map(|length| (length.trim_end_matches(',').parse::<f64>().unwrap() * 25.0).round() as u64);
        frames.scan(0, |end, length| Some(std::mem::replace(end, *end + length))).collect()
    };
    let [grid, scenes] = ["grid", "scenes"].map(title);
    assert_eq!(starts(&grid, "180p"), [0, 50, 100, 150]);
    for rendition in ["180p", "90p"] {
        assert_eq!(starts(&scenes, rendition), [0, 41, 107, 150], "{rendition}");
    }
    // Every frame is there as before.
    let shown = |title: &Path| ffmpeg::decode(&title.join("180p.mp4"));
    let (grid, scenes) = (shown(&grid), shown(&scenes));
    assert_eq!(grid.times, scenes.times);
    let far = grid.thumbs.iter().zip(&scenes.thumbs).filter(|(a, b)| a.difference(b) > 4000).count();
    assert_eq!(far, 0);
}
