//! Thumbnails in sprite sheets and a poster, held against ffmpeg's own extraction of the frames at their times.

#![allow(clippy::unwrap_used, reason = "a test fails where it is surprised")]

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use reel_common::{Digest, Rational};
use reel_tests::farm::Farm;
use reel_tests::reel::{Reel, report, until};
use reel_tests::sources::{Scan, Source};
use reel_tests::tree::{assert_same, digests, stored_parts};
use reel_tests::{ffmpeg, fixtures, profile, scratch, small_profile};
use serde_json::Value;

/// A film of 10.01 s with long groups of open pictures, in which every frame differs much from that of half a second before.
fn film(dir: &Path) -> PathBuf {
    let path = dir.join("film.mov");
    let source = "testsrc2=s=640x360:r=24000/1001:d=10,hue=h=36*t:b=sin(t)";
    let coding = "-c:v libx264 -preset veryfast -g 72 -bf 3 -x264opts open-gop=1:scenecut=0 -pix_fmt yuv420p \
                  -colorspace bt709 -color_primaries bt709 -color_trc bt709";
    make(source, coding, &path);
    path
}

fn make(source: &str, coding: &str, path: &Path) {
    let args = ["-y", "-f", "lavfi", "-i", source].into_iter().chain(coding.split_whitespace());
    ffmpeg::run(args.chain([path.to_str().unwrap()]));
}

/// The small profile with such `[images]`.
fn with_images(dir: &Path, name: &str, images: &str) -> PathBuf {
    small_profile(dir, name, &format!("[images]\n{images}\n[package]\nhls = true\nmp4 = true"))
}

/// Pictures as JPEG has them, 4:2:0 of full range by BT.601, one behind the other, behind a filter.
fn pictures(path: &Path, filter: &str) -> Vec<u8> {
    let filter = format!("{filter},format=yuvj420p");
    let map = ["-map", "0:v:0", "-vf", &filter, "-fps_mode", "passthrough", "-f", "rawvideo", "-"];
    ffmpeg::run(["-i".as_ref(), path.as_os_str()].into_iter().chain(map.map(AsRef::as_ref)))
}

/// Frames of a film, scaled, as ffmpeg gives them.
fn frames(path: &Path, before: &str, numbers: &[usize], (width, height): (u32, u32)) -> Vec<Vec<u8>> {
    let wanted: Vec<String> = numbers.iter().map(|number| format!("eq(n\\,{number})")).collect();
    let flags = "accurate_rnd+full_chroma_int";
    let filter = format!(
        "{before}select='{}',scale={width}:{height}:flags=bicubic+{flags},format=gbrp,\
         scale=out_color_matrix=bt601:out_range=pc:flags=area+{flags}",
        wanted.join("+")
    );
    pictures(path, &filter).chunks_exact((width * height * 3 / 2) as usize).map(<[u8]>::to_vec).collect()
}

fn psnr(a: &[u8], b: &[u8]) -> f64 {
    assert_eq!(a.len(), b.len());
    let square = |(a, b): (&u8, &u8)| f64::from(a.abs_diff(*b)).powi(2);
    let mean = a.iter().zip(b).map(square).sum::<f64>() / a.len() as f64;
    10.0 * (255.0 * 255.0 / mean.max(1e-9)).log10()
}

/// A cue of thumbnails: from when to when in milliseconds, the file, and x, y, width and height in it.
struct Thumbnail {
    start_ms: u64,
    end_ms: u64,
    file: String,
    place: [u32; 4],
}

fn clock(text: &str) -> u64 {
    let digits: Vec<u64> = text.split([':', '.']).map(|digits| digits.parse().unwrap()).collect();
    ((digits[0] * 60 + digits[1]) * 60 + digits[2]) * 1000 + digits[3]
}

fn thumbnails(title: &Path) -> Vec<Thumbnail> {
    let text = fs::read_to_string(title.join("images/thumbnails.vtt")).unwrap();
    let mut blocks = text.split("\n\n");
    assert_eq!(blocks.next(), Some("WEBVTT"));
    let thumbnail = |block: &str| {
        let (times, target) = block.trim_end().split_once('\n').unwrap();
        let (start, end) = times.split_once(" --> ").unwrap();
        let (file, place) = target.split_once("#xywh=").unwrap();
        let place: Vec<u32> = place.split(',').map(|number| number.parse().unwrap()).collect();
        Thumbnail {
            start_ms: clock(start),
            end_ms: clock(end),
            file: file.to_owned(),
            place: place.try_into().unwrap(),
        }
    };
    blocks.map(thumbnail).collect()
}

/// The pictures that the thumbnails show, as ffmpeg cuts them out.
fn shown(title: &Path, thumbnails: &[Thumbnail]) -> Vec<Vec<u8>> {
    let cut = |thumbnail: &Thumbnail| {
        let [x, y, width, height] = thumbnail.place;
        let sheet = title.join("images").join(&thumbnail.file);
        pictures(&sheet, &format!("crop={width}:{height}:{x}:{y}:exact=1"))
    };
    thumbnails.iter().map(cut).collect()
}

/// The frame that is on screen at each thumbnail's time, by the times that ffprobe gives.
fn on_screen(times: &[Rational], thumbnails: &[Thumbnail]) -> Vec<usize> {
    let at = |thumbnail: &Thumbnail| {
        let time = times[0].checked_add(Rational::from_millis(thumbnail.start_ms as i64)).unwrap();
        times.partition_point(|begun| *begun <= time) - 1
    };
    thumbnails.iter().map(at).collect()
}

/// Each thumbnail shows its frame, and no other thumbnail's as well as its own.
fn assert_shows(what: &str, shown: &[Vec<u8>], wanted: &[Vec<u8>], least: f64) {
    assert_eq!(shown.len(), wanted.len(), "{what}");
    for (number, picture) in shown.iter().enumerate() {
        let own = psnr(picture, &wanted[number]);
        assert!(own > least, "{what}: thumbnail {number} is {own:.1} dB from its frame");
        for (other, frame) in wanted.iter().enumerate().filter(|(other, _)| *other != number) {
            let off = psnr(picture, frame);
            assert!(off < own, "{what}: thumbnail {number} shows {other}: {own:.1} and {off:.1} dB");
        }
    }
}

fn size(path: &Path) -> (u32, u32) {
    let entry = |name| ffmpeg::stream_entry(path, "v:0", name).unwrap().parse().unwrap();
    (entry("width"), entry("height"))
}

#[test]
fn sheets_and_cues_show_the_frames_of_their_times() {
    let dir = scratch();
    let clip = film(dir.path());
    let images = "every_s = 0.7\nheight = 90\ncolumns = 4\nrows = 3";
    let (title, profile) = (dir.path().join("title"), with_images(dir.path(), "sheets", images));
    Reel::transcode(dir.path(), &clip, &title, &profile).args("--quiet").run().success();

    let found = thumbnails(&title);
    // 240 frames of 24000/1001: 10.01 s.
    assert_eq!((found.len(), found[0].start_ms, found.last().unwrap().end_ms), (15, 0, 10_010));
    assert!(found.windows(2).all(|pair| pair[0].end_ms == pair[1].start_ms), "the cues leave no gap");
    assert!(found[..14].iter().all(|thumbnail| thumbnail.end_ms - thumbnail.start_ms == 700));
    for (number, thumbnail) in (0..).zip(&found) {
        let (sheet, place) = (number / 12 + 1, number % 12);
        assert_eq!(thumbnail.file, format!("sprite_{sheet:05}.jpg"));
        assert_eq!(thumbnail.place, [place % 4 * 160, place / 4 * 90, 160, 90]);
    }
    for sheet in ["sprite_00001.jpg", "sprite_00002.jpg"].map(|name| title.join("images").join(name)) {
        assert_eq!(size(&sheet), (640, 270));
        let tags = ["codec_name", "pix_fmt", "color_range", "color_space"];
        let tags = tags.map(|name| ffmpeg::stream_entry(&sheet, "v:0", name).unwrap());
        assert_eq!(tags, ["mjpeg", "yuvj420p", "pc", "bt470bg"]);
    }
    let numbers = on_screen(&ffmpeg::times(&clip, "v:0"), &found);
    assert_shows("film", &shown(&title, &found), &frames(&clip, "", &numbers, (160, 90)), 28.0);

    let poster = title.join("images/poster.jpg");
    let wanted = frames(&clip, "", &[24], (640, 360));
    assert!(psnr(&pictures(&poster, "null"), &wanted[0]) > 30.0, "the frame at a tenth");
    Reel::verify(dir.path(), &title, &clip).run().success();
    let told = &report(&title)["images"];
    let listed: Vec<u64> = told["sheets"].as_array().unwrap().iter().flat_map(numbers_of).collect();
    assert_eq!(listed, numbers.iter().map(|number| *number as u64).collect::<Vec<_>>());
    assert_eq!((&told["poster"]["frame"], &told["poster"]["width"]), (&24.into(), &640.into()));
    let proof = &report(&title)["proof"]["images"];
    assert_eq!((&proof["thumbnails"], &proof["sheets"]), (&15.into(), &2.into()));
}

fn numbers_of(sheet: &Value) -> Vec<u64> {
    sheet["frames"].as_array().unwrap().iter().map(|frame| frame.as_u64().unwrap()).collect()
}

#[test]
fn players_find_the_sheets_and_others_play_on() {
    let dir = scratch();
    let clip = film(dir.path());
    let images = "every_s = 1\nheight = 90\ncolumns = 2\nrows = 2\nposter = false";
    let (title, profile) = (dir.path().join("title"), with_images(dir.path(), "hls", images));
    Reel::transcode(dir.path(), &clip, &title, &profile).args("--quiet").run().success();
    assert!(!title.join("images/poster.jpg").exists());
    let master = fs::read_to_string(title.join("master.m3u8")).unwrap();
    let line = master.lines().find(|line| line.starts_with("#EXT-X-IMAGE-STREAM-INF:")).unwrap();
    assert!(line.ends_with("RESOLUTION=160x90,CODECS=\"jpeg\",URI=\"images/playlist.m3u8\""), "{line}");
    let playlist = fs::read_to_string(title.join("images/playlist.m3u8")).unwrap();
    let tiles = "#EXT-X-TILES:RESOLUTION=160x90,LAYOUT=2x2,DURATION=1.000";
    let sheet = |seconds: &str, number: u32| format!("#EXTINF:{seconds},\n{tiles}\nsprite_{number:05}.jpg\n");
    let sheets = [sheet("4.000", 1), sheet("4.000", 2), sheet("2.010", 3)].concat();
    assert!(playlist.ends_with(&format!("#EXT-X-IMAGES-ONLY\n{sheets}#EXT-X-ENDLIST\n")), "{playlist}");
    assert_eq!(ffmpeg::decode(&title.join("master.m3u8")).times.len(), 240);
}

#[test]
fn thumbnails_are_upright_square_whole_and_cropped() {
    /// Fields, wider than high by 64:45.
    const FIELDS: Source = Source {
        name: "image_fields",
        shape: "720x576 64:45",
        rate: "25",
        scan: Scan::Tff,
        video: &["-c:v mpeg2video -b:v 8M -g 12 -bf 2 -flags +ildct+ilme"],
        colours: None,
        sound: None,
        container: "ts",
    };
    let anamorphic = fixtures::odd_anamorphic_mkv().path;
    let turned = fixtures::rotated_mov().path;
    let fields = FIELDS.make().path;
    // What comes before scaling, `[picture]`, and the aspect of what is shown.
    let crop = "[picture]\ncrop = { top = 20, bottom = 40, left = 16, right = 32 }";
    for (clip, before, picture) in [
        (&anamorphic, "", ""),
        (&turned, "", ""),
        (&fields, "bwdif=mode=send_frame:parity=tff:deint=all,", ""),
        (&fields, "bwdif=mode=send_frame:parity=tff:deint=all,", "[picture]\nfields = \"weave\""),
        (&fields, "bwdif=mode=send_frame:parity=tff:deint=all,crop=672:516:16:20,", crop),
    ] {
        let before = if picture.contains("weave") { "" } else { before };
        let dir = scratch();
        let what = format!("{} {before}", clip.display());
        let images = "every_s = 0.5\nheight = 128\ncolumns = 3\nrows = 2\nposter = { at_s = 1.0 }";
        let text = fs::read_to_string(with_images(dir.path(), "shape", images)).unwrap();
        let profile = dir.path().join("shaped.toml");
        fs::write(&profile, text.replacen("[images]", &format!("{picture}\n[images]"), 1)).unwrap();
        let title = dir.path().join("title");
        Reel::transcode(dir.path(), clip, &title, &profile).args("--quiet").run().success();
        Reel::verify(dir.path(), &title, clip).run().success();
        let found = thumbnails(&title);
        let [_, _, width, height] = found[0].place;
        let numbers = on_screen(&ffmpeg::times(clip, "v:0"), &found);
        assert_shows(&what, &shown(&title, &found), &frames(clip, before, &numbers, (width, height)), 26.0);
        // A thumbnail has the shape of the rendition, whose pixels are square too.
        let (wide, tall) = size(&title.join("180p.mp4"));
        let off = f64::from(width) / f64::from(height) - f64::from(wide) / f64::from(tall);
        assert!(off.abs() < 0.02, "{what}: {width}x{height} and {wide}x{tall}");
        let (wide, tall) = size(&title.join("images/poster.jpg"));
        let told = &report(&title)["images"]["poster"];
        assert_eq!((told["width"].as_u64(), told["height"].as_u64()), (Some(wide.into()), Some(tall.into())));
        assert!(f64::from(wide).mul_add(-f64::from(height), f64::from(tall * width)).abs() < 600.0, "{what}");
    }
}

#[test]
fn thumbnails_of_hdr_are_sdr_whatever_the_ladder_is() {
    let images = "[images]\nevery_s = 0.4\nheight = 90\ncolumns = 4\nrows = 2\n[package]";
    for clip in [fixtures::hdr10_ts().path, fixtures::hlg_ts().path] {
        let dir = scratch();
        let edit = |name: &str, from: &str, to: &str| {
            let text = fs::read_to_string(profile(name)).unwrap().replacen("[package]", images, 1);
            let path = dir.path().join(format!("{name}.toml"));
            fs::write(&path, text.replacen(from, to, 1)).unwrap();
            path
        };
        let kept = edit("hdr", "", "");
        let mapped = edit("quick", "[[video]]", "[picture]\ntone_map = \"bt2390\"\n\n[[video]]");
        let titles = [(kept, "kept"), (mapped, "mapped")].map(|(profile, name)| {
            let title = dir.path().join(name);
            Reel::transcode(dir.path(), &clip, &title, &profile).args("--quiet").run().success();
            title
        });
        let images = titles.clone().map(|title| digests(&title.join("images")));
        let sprites = images.map(|files| {
            files.into_iter().filter(|(path, _)| path.to_string_lossy().ends_with("jpg")).collect()
        });
        assert_same(&sprites[0], &sprites[1], "HDR that is kept and that is mapped");
        // They look as the rendition that was made SDR, its coding apart.
        let found = thumbnails(&titles[1]);
        let made = titles[1].join("360p.mp4");
        let numbers = on_screen(&ffmpeg::times(&made, "v:0"), &found);
        let [_, _, width, height] = found[0].place;
        let wanted = frames(&made, "", &numbers, (width, height));
        assert_shows("HDR", &shown(&titles[1], &found), &wanted, 26.0);
    }
}

#[test]
fn a_poster_is_not_black() {
    let dir = scratch();
    let clip = dir.path().join("late.mov");
    let source = "testsrc2=s=320x180:r=25:d=8,drawbox=t=fill:c=black:enable='lt(t,2.9)'";
    make(source, "-c:v prores_ks -profile:v proxy", &clip);
    let images = "every_s = 2\nheight = 90\ncolumns = 4\nrows = 1\nposter = { height = 90 }";
    let (title, profile) = (dir.path().join("title"), with_images(dir.path(), "late", images));
    Reel::transcode(dir.path(), &clip, &title, &profile).args("--quiet").run().success();
    // The first hundredth of 200 frames, from frame 20 on, that is not black: those up to 72 are.
    let told = &report(&title)["images"]["poster"];
    assert_eq!((&told["frame"], &told["at_s"]), (&74.into(), &2.96.into()));
    let poster = title.join("images/poster.jpg");
    assert_eq!(size(&poster), (160, 90));
    assert!(psnr(&pictures(&poster, "null"), &frames(&clip, "", &[74], (160, 90))[0]) > 28.0);
    Reel::verify(dir.path(), &title, &clip).run().success();
}

#[test]
fn a_thumbnail_by_itself_is_named_without_a_place() {
    let dir = scratch();
    let clip = film(dir.path());
    let images = "every_s = 4\nheight = 180\ncolumns = 1\nrows = 1";
    let (title, profile) = (dir.path().join("title"), with_images(dir.path(), "single", images));
    Reel::transcode(dir.path(), &clip, &title, &profile).args("--quiet").run().success();
    let text = fs::read_to_string(title.join("images/thumbnails.vtt")).unwrap();
    assert!(text.ends_with("00:00:08.000 --> 00:00:10.010\nsprite_00003.jpg\n"), "{text}");
    assert_eq!(size(&title.join("images/sprite_00003.jpg")), (320, 180));
}

#[test]
fn stored_stills_are_used_again_and_damaged_ones_are_made_again() {
    let dir = scratch();
    let clip = film(dir.path());
    let profile = with_images(dir.path(), "again", "every_s = 1\nheight = 90");
    let home = dir.path().join("home");
    let run = |name: &str| {
        let title = dir.path().join(name);
        Reel::transcode(dir.path(), &clip, &title, &profile).args("--quiet").run().success();
        digests(&title)
    };
    let first = run("first");
    let stored = stored_parts(&home);
    assert_same(&run("second"), &first, "the second job");
    assert_eq!(stored_parts(&home), stored, "nothing was written again");
    let is_stills = |path: &PathBuf| fs::read(path).is_ok_and(|bytes| bytes.starts_with(&[0xFF, 0xD8]));
    let parts = home.join("store/parts");
    let stills: Vec<_> = stored.keys().map(|path| parts.join(path)).filter(is_stills).collect();
    let [stills] = stills.as_slice() else { panic!("{stills:?}") };
    let mut bytes = fs::read(stills).unwrap();
    bytes.truncate(bytes.len() - 100);
    fs::write(stills, bytes).unwrap();
    assert_same(&run("third"), &first, "after damage in the store");
    // Other thumbnails have another key, and leave those alone.
    let other = with_images(dir.path(), "other", "every_s = 1\nheight = 96");
    Reel::transcode(dir.path(), &clip, &dir.path().join("fourth"), &other).args("--quiet").run().success();
    assert_eq!(stored_parts(&home).len(), stored.len() + 2, "a file and its record");
}

#[test]
fn a_sheet_in_the_wrong_place_is_found() {
    let dir = scratch();
    let clip = film(dir.path());
    let images = "every_s = 1\nheight = 90\ncolumns = 2\nrows = 2";
    let (title, profile) = (dir.path().join("title"), with_images(dir.path(), "wrong", images));
    Reel::transcode(dir.path(), &clip, &title, &profile).args("--quiet").run().success();
    let sheets = [1, 2].map(|number| title.join(format!("images/sprite_{number:05}.jpg")));
    let bytes = sheets.clone().map(|path| fs::read(path).unwrap());
    // Whoever does this to a title also mends its report.
    let mut text = fs::read_to_string(title.join("report.json")).unwrap();
    let mark = bytes.clone().map(|bytes| (bytes.len(), Digest::of(&bytes).to_string()));
    text = text.replace(&mark[0].1, "ONE").replace(&mark[1].1, &mark[0].1).replace("ONE", &mark[1].1);
    let mut told: Value = serde_json::from_str(&text).unwrap();
    for file in told["files"].as_array_mut().unwrap() {
        for (path, (length, _)) in
            ["images/sprite_00001.jpg", "images/sprite_00002.jpg"].iter().zip([&mark[1], &mark[0]])
        {
            if file["path"] == *path {
                file["bytes"] = (*length).into();
            }
        }
    }
    fs::write(title.join("report.json"), told.to_string()).unwrap();
    fs::write(&sheets[0], &bytes[1]).unwrap();
    fs::write(&sheets[1], &bytes[0]).unwrap();
    let ended = Reel::verify(dir.path(), &title, &clip).run();
    assert_eq!(ended.code, Some(1));
    let wanted = "images/sprite_00001.jpg of the output does not show its frame in place 0";
    assert!(ended.stderr.contains(wanted) || ended.stdout.contains(wanted), "{ended:?}");
}

#[test]
fn what_cannot_be_made_of_a_title_is_refused_before_it_is_encoded() {
    let dir = scratch();
    let clip = film(dir.path());
    for (images, reason) in [
        (
            "poster = { at_s = 11 }",
            "`poster` is taken at 11 s, and the title ends at 10.01 s: take it earlier",
        ),
        (
            "height = 720\ncolumns = 4",
            "a sheet of `[images]` would be 5120x3600, and its sides go up to 4096",
        ),
        ("every_s = 0.05", "`every_s` goes from 0.1 to 600"),
        ("rows = 30", "`rows` takes a whole number from 1 to 20, not 30"),
    ] {
        let profile = with_images(dir.path(), "refused", images);
        let ended = Reel::transcode(dir.path(), &clip, &dir.path().join("title"), &profile).run();
        assert!(ended.code != Some(0) && ended.stderr.contains(reason), "{images}: {}", ended.stderr);
        assert!(!dir.path().join("title").exists());
    }
    let home = dir.path().join("home");
    assert!(stored_parts(&home).is_empty(), "nothing was encoded");
}

#[test]
fn a_farm_makes_the_same_stills_whoever_dies() {
    let dir = scratch();
    let clip = dir.path().join("long.mov");
    make("testsrc2=s=1280x720:r=25:d=40", "-c:v mpeg4 -g 50 -q:v 5", &clip);
    let images = "every_s = 0.1\nheight = 90\ncolumns = 10\nrows = 10";
    let profile = with_images(dir.path(), "farm", images);
    let alone = dir.path().join("alone");
    Reel::transcode(dir.path(), &clip, &alone, &profile).args("--quiet --slots 1").run().success();

    let mut farm = Farm::builder().schedulers(1).workers(2).start();
    let job = farm.submit(&clip, "a", &profile, "");
    let task = format!("{job}/image/0");
    // Half of what is done is reading for the key.
    let under_way = |farm: &Farm, after: u64| {
        let seen = farm.job(job);
        let running = seen["running"].as_array().cloned().unwrap_or_default();
        let newer = |attempt: &Value| {
            attempt["task"] == task.as_str()
                && attempt["epoch"].as_u64() > Some(after)
                && attempt["frames_done"].as_u64() > Some(420)
        };
        running.into_iter().find(newer)
    };
    let mut killed = 0;
    for _ in 0..2 {
        let mut found = None;
        until("the image task to be under way", Duration::from_secs(120), || {
            found = under_way(&farm, killed);
            found.is_some()
        });
        let attempt = found.unwrap();
        killed = attempt["epoch"].as_u64().unwrap();
        let number = (0..2).find(|number| attempt["worker"] == format!("w{}", number + 1).as_str()).unwrap();
        farm.kill_worker(number);
        farm.start_worker(number);
    }
    let done = farm.wait(job);
    assert_eq!(done["state"], "done", "{done}");
    let attempts = report(&farm.output("a"))["job"]["attempts"].as_array().unwrap().clone();
    let of_images = attempts.iter().filter(|attempt| attempt["task"] == task.as_str()).count();
    assert!(of_images >= 3, "it was killed twice: {of_images}");
    assert_same(&digests(&farm.output("a")), &digests(&alone), "after two killings");
}
