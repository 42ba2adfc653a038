//! Every kind of mezzanine gives every frame exactly once at its time, in its shape and its colours, and sound that stays
//! where it was: proved by `reel verify`, and independently by ffmpeg and MediaInfo.
//!
//! The matrix is the table below: a line is a mezzanine, and a test. Those that take more than one command of ffmpeg to
//! make stand behind it.

#![allow(clippy::unwrap_used, reason = "a test fails where it is surprised")]

use std::path::{Path, PathBuf};

use reel_common::Rational;
use reel_tests::ffmpeg::{self, Frames, Sound};
use reel_tests::fixtures::{self, Fixture};
use reel_tests::reel::Reel;
use reel_tests::sources::{Colours, Scan, Source};
use reel_tests::{mediainfo, profile, scratch, signal};

/// Greatest delay of sound in samples. One audio frame of 1024 is allowed; a whole-track encode keeps it exactly.
const MOST_DELAY: i64 = 24;

/// A transcoded title with what ffmpeg decodes of its mezzanine.
struct Title {
    dir: tempfile::TempDir,
    mezzanine: Fixture,
    source: Frames,
}

impl Title {
    /// Transcodes with the test profiles and checks all that holds for any title; `renditions` are those of `quick`, whose
    /// title it gives.
    fn make(mezzanine: Fixture, renditions: &[&str]) -> Title {
        let source = decode(&mezzanine);
        Self::of(mezzanine, source, renditions)
    }

    fn of(mezzanine: Fixture, source: Frames, renditions: &[&str]) -> Title {
        let title = Self::make_with("codecs", mezzanine, source, &["hevc", "hevc-10", "av1", "av1-10"]);
        for (rendition, codec, pixels) in [
            ("hevc", "hevc", "yuv420p"),
            ("hevc-10", "hevc", "yuv420p10le"),
            ("av1", "av1", "yuv420p"),
            ("av1-10", "av1", "yuv420p10le"),
        ] {
            let mp4 = title.path(&format!("{rendition}.mp4"));
            let entry = |name: &str| ffmpeg::stream_entry(&mp4, "v:0", name);
            assert_eq!(entry("codec_name").as_deref(), Some(codec));
            let ranged = entry("pix_fmt").map(|format| format.replace("yuvj", "yuv"));
            assert_eq!(ranged.as_deref(), Some(pixels));
        }
        Self::make_with("quick", title.mezzanine, title.source, renditions)
    }

    fn make_with(name: &str, mezzanine: Fixture, source: Frames, renditions: &[&str]) -> Title {
        let dir = scratch();
        let output = dir.path().join("title");
        Reel::transcode(dir.path(), &mezzanine.path, &output, &profile(name)).args("--quiet").run().success();
        Reel::verify(dir.path(), &output, &mezzanine.path).run().success();
        let title = Title { source, dir, mezzanine };
        for rendition in renditions {
            for path in [
                title.path(&format!("{rendition}.mp4")),
                title.path(&format!("video/{rendition}/playlist.m3u8")),
            ] {
                title.assert_frames(&path);
            }
        }
        let names = std::fs::read_dir(title.path("video")).unwrap().map(|entry| entry.unwrap().file_name());
        let mut names: Vec<_> = names.map(|name| name.into_string().unwrap()).collect();
        names.sort();
        let mut expected = renditions.to_vec();
        expected.sort();
        assert_eq!(names, expected);
        title.assert_frames(&title.path("master.m3u8"));
        renditions.iter().for_each(|rendition| title.assert_tags(rendition));
        title
    }

    fn path(&self, below: &str) -> PathBuf {
        self.dir.path().join("title").join(below)
    }

    /// Frame for frame the same film: numbers, times, and pictures that have the colours of their own and look like no
    /// neighbour's more than like their own.
    fn assert_frames(&self, path: &Path) {
        let made = ffmpeg::decode(path);
        let place = path.display();
        if self.mezzanine.numbered {
            let numbers = [&made, &self.source].map(|frames| signal::numbers(&frames.thumbs));
            assert_eq!(numbers[0], numbers[1], "{place}");
        }
        assert_eq!(from_first(&made.times), from_first(&self.source.times), "{place}");
        assert_eq!(made.times[0], Rational::ZERO, "{place}: every track begins where the title begins");
        signal::assert_shows(&made.thumbs, &self.source.thumbs, &place.to_string());
    }

    /// ffprobe and MediaInfo find the colours of the mezzanine, square progressive pixels, and all frames.
    fn assert_tags(&self, rendition: &str) {
        let mp4 = self.path(&format!("{rendition}.mp4"));
        let info = mediainfo::video(&mp4);
        let field = |name: &str| info.get(name).map_or("", String::as_str);
        let place = mp4.display();
        let format = ffmpeg::stream_entry(&self.mezzanine.path, "v:0", "pix_fmt").unwrap_or_default();
        let rgb = ["rgb", "bgr", "gbr"].iter().any(|order| format.contains(order));
        let entry = |path: &Path, name: &str| {
            let value = ffmpeg::stream_entry(path, "v:0", name).filter(|value| value != "unknown");
            // RGB has become YCbCr of BT.709.
            let is_matrix = name == "color_space" && path == self.mezzanine.path && rgb;
            if is_matrix { Some("bt709".to_owned()) } else { value }
        };
        let words = [
            ("color_primaries", "colour_primaries"),
            ("color_transfer", "transfer_characteristics"),
            ("color_space", "matrix_coefficients"),
        ];
        for (of_ffprobe, of_mediainfo) in words {
            let (source, made) = (entry(&self.mezzanine.path, of_ffprobe), entry(&mp4, of_ffprobe));
            assert_eq!(made, source, "{place}: {of_ffprobe}");
            let told = source.as_deref().map_or("", mediainfo_word);
            assert!(field(of_mediainfo).starts_with(told), "{place}: {of_mediainfo} of {info:?}");
        }
        let full = |path: &Path| entry(path, "color_range").as_deref() == Some("pc");
        assert_eq!(full(&mp4), full(&self.mezzanine.path) && !rgb, "{place}");
        assert_eq!(field("colour_range") == "Full", full(&mp4), "{place}: {info:?}");
        assert_eq!(field("PixelAspectRatio"), "1.000", "{place}: {info:?}");
        assert_eq!(field("FrameCount"), self.source.times.len().to_string(), "{place}: {info:?}");
        assert!(["", "Progressive"].contains(&field("ScanType")), "{place}: {info:?}");
    }

    /// The sound lies where it lay, at the start, in the middle and at the end, in the MP4 and in the HLS rendition.
    fn assert_sound(&self, mp4: &str) {
        let sides = |path: &Path| [0, 1].map(|side| ffmpeg::sound(path, side).expect("there is sound"));
        let source = sides(&self.mezzanine.path);
        let zero = self.source.times[0];
        let length = self.source.times.last().and_then(|last| last.checked_sub(zero)).unwrap();
        let end = length.checked_sub(Rational::whole(1)).unwrap();
        let half = end.checked_mul(Rational::new(1, 2).unwrap()).unwrap();
        let mp4 = self.path(mp4);
        let tracks =
            [(mp4.clone(), ffmpeg::times(&mp4, "v:0")[0]), (self.path("master.m3u8"), self.hls_origin())];
        for (path, origin) in tracks {
            let made = sides(&path);
            for (source, made) in source.iter().zip(&made) {
                for at in [Rational::ZERO, half, end] {
                    let delay = signal::delay((source, zero), (made, origin), at);
                    let near = delay.is_some_and(|delay| delay.abs() <= MOST_DELAY);
                    assert!(near, "{}: sound at {at} s is off by {delay:?} samples", path.display());
                }
            }
            assert_covers(&made[0], origin, length, &path);
        }
    }

    fn hls_origin(&self) -> Rational {
        ffmpeg::times(&self.path("master.m3u8"), "v:0")[0]
    }
}

/// What MediaInfo's name of a colour that ffmpeg calls `word` begins with.
fn mediainfo_word(word: &str) -> &str {
    match word {
        "bt709" => "BT.709",
        "smpte170m" => "BT.601",
        "bt470bg" => "BT.",
        "bt2020" | "bt2020nc" => "BT.2020",
        "bt2020-10" => "BT.2020 (10-bit)",
        other => panic!("`{other}` is not in the table of words"),
    }
}

/// What ffmpeg shows of a mezzanine; of an interlaced one a frame for every two fields.
fn decode(mezzanine: &Fixture) -> Frames {
    let fields = match ffmpeg::scan(&mezzanine.path) {
        Scan::Tff => "setfield=tff,bwdif=mode=send_frame",
        Scan::Bff => "setfield=bff,bwdif=mode=send_frame",
        Scan::Progressive => "null",
    };
    let times = ffmpeg::times(&mezzanine.path, "v:0");
    Frames { times, thumbs: ffmpeg::filtered(&mezzanine.path, fields) }
}

fn assert_covers(sound: &Sound, origin: Rational, length: Rational, path: &Path) {
    let start = sound.start.checked_sub(origin).unwrap().checked_mul(Rational::whole(signal::RATE)).unwrap();
    let end = start.round() + sound.samples.len() as i64;
    let wanted = length.checked_mul(Rational::whole(signal::RATE)).unwrap().round();
    assert!(
        start.round() <= 0 && end >= wanted,
        "{}: sound covers {start} to {end} of {wanted}",
        path.display()
    );
}

fn from_first(times: &[Rational]) -> Vec<Rational> {
    times.iter().map(|time| time.checked_sub(times[0]).unwrap()).collect()
}

const BOTH: [&str; 2] = ["360p", "180p"];

const UNTAGGED: Option<Colours> = None;
const HD: Option<Colours> = Some(Colours { names: ["bt709"; 3], range: "tv" });
const HD_FULL: Option<Colours> = Some(Colours { names: ["bt709"; 3], range: "pc" });
const JFIF: Option<Colours> = Some(Colours { names: ["bt709", "bt709", "bt470bg"], range: "pc" });
const PAL: Option<Colours> = Some(Colours { names: ["bt470bg", "smpte170m", "bt470bg"], range: "tv" });
const NTSC: Option<Colours> = Some(Colours { names: ["smpte170m"; 3], range: "tv" });
const WIDE: Option<Colours> = Some(Colours { names: ["bt2020", "bt2020-10", "bt2020nc"], range: "tv" });

const PCM: Option<(&str, &str)> = Some(("stereo", "-c:a pcm_s16le"));
const PCM_5_1: Option<(&str, &str)> = Some(("5.1", "-c:a pcm_s24le"));
const AAC: Option<(&str, &str)> = Some(("stereo", "-c:a aac -b:a 192k"));
const SILENT: Option<(&str, &str)> = None;

const X264: &str = "-c:v libx264 -preset veryfast -crf 18";
const X264_422_10: &str = "-c:v libx264 -preset veryfast -crf 16 -pix_fmt yuv422p10le";
const X264_FIELDS: &str = "-c:v libx264 -preset veryfast -crf 18 -bf 2 -flags +ildct+ilme -x264-params";
const X265_10: &str = "-c:v libx265 -preset ultrafast -pix_fmt yuv420p10le -x265-params log-level=error:pools=1:frame-threads=1";
const PRORES: &str = "-c:v prores_ks -pix_fmt yuv422p10le -profile:v";
const MPEG2_FIELDS: &str = "-c:v mpeg2video -b:v 8M -g 12 -bf 2 -flags +ildct+ilme";

/// Makes a test of each line: frames, times, shape and colours of all renditions of both profiles, and the sound.
macro_rules! matrix {
    ($($name:ident: $shape:literal $rate:literal $scan:ident [$($video:expr),+] $colours:ident $sound:expr, $container:literal;)+) => {
        $(
            #[test]
            fn $name() {
                check(Source {
                    name: stringify!($name),
                    shape: $shape,
                    rate: $rate,
                    scan: Scan::$scan,
                    video: &[$($video),+],
                    colours: $colours,
                    sound: $sound,
                    container: $container,
                });
            }
        )+
    };
}

#[rustfmt::skip]
matrix! {
    // Cameras and post production: every frame by itself.
    prores_proxy_of_a_film:        "640x360"       "24"         Progressive [PRORES, "proxy"]                              HD       PCM_5_1, "mov";
    prores_4444_with_alpha:        "640x360"       "25"         Progressive ["-c:v prores_ks -profile:v 4444 -pix_fmt yuva444p10le"] HD PCM, "mov";
    prores_hq_of_pal_fields:       "720x576 64:45" "25"         Tff         [PRORES, "hq -flags +ildct+ilme"]              PAL      PCM,     "mov";
    prores_lt_of_ntsc_fields:      "720x480 8:9"   "30000/1001" Bff         [PRORES, "lt -flags +ildct+ilme"]              NTSC     PCM,     "mov";
    prores_in_matroska:            "640x360"       "30"         Progressive [PRORES, "standard"]                           HD       PCM,     "mkv";
    dnxhr_hqx_in_mxf:              "640x360"       "24000/1001" Progressive ["-c:v dnxhd -profile:v dnxhr_hqx -pix_fmt yuv422p10le"] UNTAGGED PCM, "mxf -shortest";
    dnxhr_444_in_mov:              "640x360"       "24"         Progressive ["-c:v dnxhd -profile:v dnxhr_444 -pix_fmt yuv444p10le"] UNTAGGED PCM, "mov";
    cineform_in_mov:               "640x360"       "24"         Progressive ["-c:v cfhd -pix_fmt yuv422p10le"]              UNTAGGED PCM,    "mov";
    jpeg_2000_in_mxf:              "320x180"       "25"         Progressive ["-c:v jpeg2000 -pix_fmt yuv422p10le"]          UNTAGGED PCM,    "mxf -shortest";
    v210_in_mov:                   "640x360"       "25"         Progressive ["-c:v v210"]                                  HD       PCM,     "mov";
    uyvy_fields_in_mov:            "720x576 64:45" "25"         Tff         ["-c:v rawvideo -pix_fmt uyvy422"]              PAL      PCM,     "mov";
    ffv1_in_matroska:              "640x360"       "25"         Progressive ["-c:v ffv1 -level 3 -g 1 -pix_fmt yuv422p10le"] WIDE    Some(("stereo", "-c:a flac")), "mkv";
    ffv1_in_avi:                   "640x360"       "25"         Progressive ["-c:v ffv1 -level 3 -g 1 -pix_fmt yuv420p"]    UNTAGGED PCM,    "avi";
    ffv1_in_nut:                   "640x360"       "50"         Progressive ["-c:v ffv1 -g 1 -pix_fmt yuv444p"]             UNTAGGED PCM,     "nut";
    ut_video_in_avi:               "640x360"       "25"         Progressive ["-c:v utvideo -pix_fmt yuv422p"]               UNTAGGED PCM,    "avi";
    motion_jpeg_in_avi:            "640x360"       "30"         Progressive ["-c:v mjpeg -q:v 2 -pix_fmt yuvj422p"]         UNTAGGED PCM,    "avi";
    motion_jpeg_in_mov:            "640x360"       "24"         Progressive ["-c:v mjpeg -q:v 2 -pix_fmt yuvj420p"]         JFIF     PCM,     "mov";
    png_in_mov:                    "640x360"       "12"         Progressive ["-c:v png -pix_fmt rgb24"]                     UNTAGGED PCM,    "mov";
    animation_rle_in_mov:          "640x360"       "12"         Progressive ["-c:v qtrle -g 1"]                             UNTAGGED PCM,    "mov";
    intra_avc_100_in_mxf:          "640x360"       "25"         Progressive [X264_422_10, "-x264-params keyint=1:bframes=0"] HD      PCM,     "mxf -shortest";

    // Tape and broadcast.
    dv_pal_in_mov:                 "720x576 16:15" "25"         Bff         ["-c:v dvvideo -pix_fmt yuv420p"]               UNTAGGED PCM,    "mov";
    dv_ntsc_in_avi:                "720x480 8:9"   "30000/1001" Bff         ["-c:v dvvideo -pix_fmt yuv411p"]               UNTAGGED PCM,    "avi";
    xdcam_fields_in_mxf:           "720x576 64:45" "25"         Tff         [MPEG2_FIELDS, "-pix_fmt yuv422p"]              PAL      PCM,     "mxf -shortest";
    mpeg_2_fields_of_a_dvd:        "720x576 64:45" "25"         Tff         [MPEG2_FIELDS]                                  PAL      Some(("5.1", "-c:a ac3 -b:a 384k")), "mpg";
    mpeg_2_ntsc_fields_in_ts:      "720x480 32:27" "30000/1001" Tff         [MPEG2_FIELDS]                                  NTSC     Some(("stereo", "-c:a mp2 -b:a 192k")), "ts";
    avc_fields_in_ts:              "720x576 64:45" "25"         Tff         [X264_FIELDS, "tff=1:keyint=25"]                PAL      Some(("stereo", "-c:a mp2 -b:a 192k")), "ts";
    avc_fields_in_mp4:             "720x480 8:9"   "30000/1001" Bff         [X264_FIELDS, "bff=1:keyint=30"]                NTSC     AAC,     "mp4";
    mpeg_1_in_a_program_stream:    "640x360"       "25"         Progressive ["-c:v mpeg1video -b:v 4M -bf 2 -g 15"]         UNTAGGED Some(("stereo", "-c:a mp2 -b:a 192k")), "mpg";

    // Proxies, archives and what the web sends.
    avc_at_60000_1001:             "640x360"       "60000/1001" Progressive [X264, "-bf 3 -g 60"]                           HD       AAC,     "mp4";
    avc_of_full_range:             "640x360"       "25"         Progressive [X264, "-pix_fmt yuvj420p"]                     HD_FULL  AAC,     "mov";
    avc_444_in_matroska:           "640x360"       "24"         Progressive [X264, "-pix_fmt yuv444p"]                      HD       Some(("5.1", "-c:a eac3 -b:a 384k")), "mkv";
    avc_10_in_ts:                  "640x360"       "50"         Progressive [X264, "-pix_fmt yuv420p10le -bf 3"]            HD       Some(("stereo", "-c:a ac3 -b:a 192k")), "ts";
    mpeg_4_in_avi:                 "640x360"       "25"         Progressive ["-c:v mpeg4 -q:v 3 -g 50"]                     UNTAGGED PCM,     "avi";
    avc_in_fragments:              "640x360"       "25"         Progressive [X264, "-g 25"]                                 HD       AAC,     "mp4 -movflags +frag_keyframe+delay_moov";
    avc_taller_than_wide:          "360x640"       "30"         Progressive [X264]                                          HD       AAC,     "mp4";
    avc_of_anamorphic_scope:       "640x544 2:1"   "24"         Progressive [X264, "-bf 3"]                                 HD       AAC,     "mov";
    hevc_10_of_wide_colours:       "640x360"       "50"         Progressive [X265_10]                                       WIDE     AAC,     "mp4 -tag:v hvc1";
    hevc_10_in_ts:                 "640x360"       "60"         Progressive [X265_10]                                       HD       Some(("mono", "-c:a aac -b:a 96k")), "ts";
    vp8_in_webm:                   "640x360"       "25"         Progressive ["-c:v libvpx -deadline realtime -cpu-used 8 -b:v 2M -auto-alt-ref 0"] UNTAGGED Some(("stereo", "-c:a libvorbis")), "webm";
    vp9_in_webm:                   "640x360"       "24"         Progressive ["-c:v libvpx-vp9 -deadline realtime -cpu-used 8 -b:v 2M"] HD Some(("stereo", "-c:a libopus")), "webm";
    vp9_with_alpha_in_webm:        "640x360"       "24"         Progressive ["-c:v libvpx-vp9 -deadline realtime -cpu-used 8 -b:v 2M -pix_fmt yuva420p"] UNTAGGED SILENT, "webm";
    av1_in_mp4:                    "640x360"       "24"         Progressive ["-c:v libsvtav1 -preset 12 -crf 30"]           HD       AAC,     "mp4";
    av1_10_in_matroska:            "640x360"       "30"         Progressive ["-c:v libsvtav1 -preset 12 -crf 30 -pix_fmt yuv420p10le"] WIDE Some(("stereo", "-c:a libopus")), "mkv";
    av1_in_ivf:                    "640x360"       "25"         Progressive ["-c:v libsvtav1 -preset 12 -crf 30"]           UNTAGGED SILENT,  "ivf";
    mpeg_4_in_mp4:                 "640x360"       "25"         Progressive ["-c:v mpeg4 -q:v 3 -bf 2 -g 50"]               UNTAGGED AAC,    "mp4";
    alac_and_one_channel:          "640x360"       "24"         Progressive [X264]                                          HD       Some(("mono", "-c:a alac")), "mov";
    avc_with_mp3_in_matroska:      "640x360"       "25"         Progressive [X264]                                          HD       Some(("stereo", "-c:a libmp3lame -b:a 192k")), "mkv";
}

fn check(line: Source) {
    let (_, height, _) = line.size();
    let renditions: &[&str] = if height < 360 { &["180p"] } else { &BOTH };
    let mezzanine = line.make();
    let entry = |path: &Path, name: &str| ffmpeg::stream_entry(path, "v:0", name).unwrap_or_default();
    if let Some(Colours { names, range }) = line.colours {
        let tags = ["color_primaries", "color_transfer", "color_space", "color_range"];
        let told = tags.map(|tag| entry(&mezzanine.path, tag));
        assert_eq!(told[..3], names, "the mezzanine is not as the table says");
        // Some containers have no room for the range.
        assert!(told[3] == range || (told[3].is_empty() && range == "tv"), "{told:?}");
    }
    let scan = ffmpeg::scan(&mezzanine.path);
    let mut source = decode(&mezzanine);
    let asked = (line.scan, line.frames() as usize);
    assert_eq!((scan, source.times.len()), asked, "the mezzanine is not as the table says");
    // Matroska rounds times to milliseconds; frames are shown when they were filmed.
    let (num, den) = line.rate_terms();
    let zero = source.times[0];
    for (number, time) in (0..).zip(&mut source.times) {
        let exact = Rational::new(number * i64::from(den), num.into()).unwrap().checked_add(zero).unwrap();
        assert!(time.checked_sub(exact).unwrap().to_f64().abs() < 0.001, "{number}: {time} {exact}");
        *time = exact;
    }
    let title = Title::of(mezzanine, source, renditions);
    for rendition in renditions {
        let mp4 = title.path(&format!("{rendition}.mp4"));
        let (width, height) = line.rendition(rendition.trim_end_matches('p').parse().unwrap());
        assert_eq!((entry(&mp4, "width"), entry(&mp4, "height")), (width.to_string(), height.to_string()));
        assert_eq!(entry(&mp4, "avg_frame_rate"), format!("{num}/{den}"));
    }
    if line.sound.is_some() {
        title.assert_sound(&format!("{}.mp4", renditions[0]));
    }
}

#[test]
fn prores_422_hq_at_24000_1001_with_surround_pcm() {
    Title::make(fixtures::prores_mov(), &BOTH).assert_sound("360p.mp4");
}

#[test]
fn dnxhd_in_mxf() {
    Title::make(fixtures::dnxhd_mxf(), &BOTH).assert_sound("360p.mp4");
}

#[test]
fn h264_with_b_frames_and_an_edit_list() {
    let title = Title::make(fixtures::h264_bframes_editlist_mp4(), &BOTH);
    assert_eq!(title.source.thumbs[0].frame_number(), Some(60));
    title.assert_sound("360p.mp4");
}

#[test]
fn open_gop_h264_in_matroska() {
    Title::make(fixtures::open_gop_h264_mkv(), &BOTH).assert_sound("360p.mp4");
}

#[test]
fn mpeg2_in_a_transport_stream() {
    Title::make(fixtures::mpeg2_ts(), &BOTH).assert_sound("360p.mp4");
}

#[test]
fn mpeg2_in_a_program_stream_without_sound() {
    let title = Title::make(fixtures::city(), &BOTH);
    assert!(ffmpeg::stream_entry(&title.path("360p.mp4"), "a:0", "codec_name").is_none());
}

#[test]
fn intra_only_avc() {
    Title::make(fixtures::intra_avc(), &BOTH).assert_sound("360p.mp4");
}

#[test]
fn hevc_with_cra_points() {
    Title::make(fixtures::hevc_cra_mp4(), &BOTH).assert_sound("360p.mp4");
}

#[test]
fn big_buck_bunny_1080p() {
    Title::make(fixtures::bbb_1080p(), &BOTH).assert_sound("360p.mp4");
}

#[test]
fn big_buck_bunny_720p_with_surround_aac() {
    Title::make(fixtures::bbb_720p(), &BOTH).assert_sound("360p.mp4");
}

#[test]
fn a_variable_frame_rate_stays_one() {
    let title = Title::make(fixtures::variable_rate_mkv(), &BOTH);
    title.assert_sound("360p.mp4");
    let steps = title.source.times.windows(2).map(|pair| pair[1].checked_sub(pair[0]).unwrap());
    assert!(steps.collect::<std::collections::BTreeSet<_>>().len() > 1);
}

#[test]
fn avc_field_pictures_in_a_transport_stream() {
    Title::make(fixtures::avc_field_pictures_ts(), &["180p"]);
}

#[test]
fn a_last_frame_behind_whole_segments() {
    Title::make(fixtures::one_frame_tail(), &BOTH).assert_sound("360p.mp4");
}

#[test]
fn odd_sizes_and_anamorphic_pixels_keep_their_shape() {
    let title = Title::make(fixtures::odd_anamorphic_mkv(), &["180p"]);
    let entry = |name| ffmpeg::stream_entry(&title.path("180p.mp4"), "v:0", name).unwrap();
    // 430 * 16 / 11 to 322, at a height of 180.
    assert_eq!((entry("width"), entry("height")), ("350".to_owned(), "180".to_owned()));
    assert_eq!(entry("sample_aspect_ratio"), "1:1");
}

#[test]
fn a_turned_picture_is_delivered_upright() {
    let title = Title::make(fixtures::rotated_mov(), &BOTH);
    let entry = |name| ffmpeg::stream_entry(&title.path("360p.mp4"), "v:0", name).unwrap();
    assert_eq!((entry("width"), entry("height")), ("202".to_owned(), "360".to_owned()));
    title.assert_sound("360p.mp4");
}

#[test]
fn sound_that_starts_late_stays_late() {
    Title::make(fixtures::late_sound_mov(), &BOTH).assert_sound("360p.mp4");
}
