//! Media that tests read: bundled clips, and files generated once by `ffmpeg` into `target/fixtures`.
//!
//! Generated pictures are a real clip with the frame number drawn on top in black and white blocks, which
//! [`crate::ffmpeg::Thumb`] reads back; generated sound is a chirp every half second, no two neighbours and no two
//! channels alike.

use std::fs;
use std::path::{Path, PathBuf};

use reel_common::Digest;

use crate::signal::CODE_BITS;
use crate::sources::{Scan, Source, rate_terms};
use crate::{ffmpeg, paff, target_dir, telecine, workspace};

/// A mezzanine.
#[derive(Clone, Debug)]
pub struct Fixture {
    /// Where it lies. Never written to.
    pub path: PathBuf,
    /// Its pictures carry frame numbers.
    pub numbered: bool,
}

/// How a generated file comes to be: `ffmpeg` commands that run one after the other. In their arguments `{out}` is the
/// file, `{tmp}` a folder for files in between.
struct Recipe<'a> {
    name: &'a str,
    extension: &'a str,
    commands: Vec<Vec<String>>,
}

impl Recipe<'_> {
    /// Makes the file unless it is there; its name holds a digest of the recipe.
    fn make(&self) -> PathBuf {
        let digest = Digest::of(format!("{:?}", self.commands).as_bytes()).to_string();
        let dir = target_dir().join("fixtures");
        fs::create_dir_all(&dir).expect("the target folder is writable");
        let path = dir.join(format!("{}-{}.{}", self.name, &digest[..12], self.extension));
        let lock = fs::File::create(dir.join(format!("{}.lock", self.name))).expect("the folder is writable");
        lock.lock().expect("the lock is free at last");
        if !path.exists() {
            let tmp = tempfile::tempdir_in(&dir).expect("the folder is writable");
            let part = tmp.path().join(format!("part.{}", self.extension));
            for command in &self.commands {
                let fill = |argument: &String| {
                    let text = argument.replace("{tmp}", &tmp.path().to_string_lossy());
                    text.replace("{out}", &part.to_string_lossy())
                };
                ffmpeg::run(["-y".to_owned()].into_iter().chain(command.iter().map(fill)));
            }
            fs::rename(&part, &path).expect("both lie in one folder");
        }
        path
    }
}

/// What a generated picture and sound look like before they are encoded.
struct Content {
    size: (u32, u32),
    rate: &'static str,
    frames: u32,
    /// Channel layout of the sound; `None` for a silent film.
    layout: Option<&'static str>,
    /// Seconds by which the sound outlasts the picture.
    more_sound: f64,
    /// Fields are a filmed picture each; the number is that of the frame.
    scan: Scan,
    /// Filter that runs before the number is drawn.
    first: String,
    /// Filter that runs after it.
    last: String,
}

impl Content {
    fn new(size: (u32, u32), rate: &'static str, frames: u32, layout: Option<&'static str>) -> Self {
        Content {
            size,
            rate,
            frames,
            layout,
            more_sound: 0.0,
            scan: Scan::Progressive,
            first: "null".to_owned(),
            last: "null".to_owned(),
        }
    }

    fn seconds(&self) -> f64 {
        let (num, den) = rate_terms(self.rate);
        f64::from(self.frames) * f64::from(den) / f64::from(num)
    }

    /// The arguments that give the content as stream 0:v and, with sound, 1:a.
    fn input(&self) -> Vec<String> {
        let clip = bundled("big-buck-bunny-1080p.mp4").to_string_lossy().into_owned();
        let mut args = strings(&["-stream_loop", "-1", "-i", &clip]);
        if let Some(layout) = self.layout {
            let channels = match layout {
                "mono" => 1,
                "5.1" => 6,
                _ => 2,
            };
            let sound = format!(
                "aevalsrc='{}':s=48000:c={layout}:d={}",
                (0..channels).map(chirps).collect::<Vec<_>>().join("|"),
                self.seconds() + self.more_sound
            );
            args.extend(strings(&["-f", "lavfi", "-i", &sound, "-map", "0:v", "-map", "1:a"]));
        } else {
            args.extend(strings(&["-map", "0:v"]));
        }
        args.extend(strings(&["-vf", &self.filter()]));
        args
    }

    fn filter(&self) -> String {
        let Content { size: (width, height), rate, frames, first, last, .. } = self;
        let (num, den) = rate_terms(rate);
        let (pictures, weave) = match self.scan {
            Scan::Progressive => (1, ""),
            Scan::Tff => (2, "interlace=scan=tff:lowpass=off"),
            Scan::Bff => (2, "interlace=scan=bff:lowpass=off"),
        };
        let mut filters = vec![
            format!("scale={width}:{height}:flags=area,setsar=1"),
            format!("settb={den}/{}", num * pictures),
            "setpts=N".to_owned(),
            format!("fps={}/{den}", num * pictures),
            format!("trim=end_frame={}", frames * pictures),
        ];
        filters.extend((!weave.is_empty()).then(|| weave.to_owned()));
        filters.extend([first.clone(), "drawbox=x=0:y=0:w=iw:h=ih/8:color=black:t=fill".to_owned()]);
        filters.extend((0..CODE_BITS).map(|bit| {
            let place = format!("x=iw*{bit}/{CODE_BITS}:y=0:w=iw/{CODE_BITS}:h=ih/8");
            let bit_value = 1 << bit;
            format!("drawbox={place}:color=white:t=fill:enable='mod(trunc(n/{bit_value}),2)'")
        }));
        filters.push(last.clone());
        filters.join(",")
    }
}

/// A chirp of 30 ms every half second, whose pitch tells it from its neighbours and from other channels, over a faint hum.
fn chirps(channel: usize) -> String {
    let pitch = format!("(600+90*mod(ld(0)*7+{},13))", 4 * channel);
    format!(
        "st(0,floor(t*2)); st(1,t-ld(0)/2); \
        if(lt(ld(1),0.03), 0.7*sin(2*PI*({pitch}*ld(1)+20000*ld(1)*ld(1))), 0.002*sin(2*PI*333*t))"
    )
}

fn strings(args: &[&str]) -> Vec<String> {
    args.iter().map(|arg| (*arg).to_owned()).collect()
}

fn words(line: &str) -> Vec<String> {
    line.split_whitespace().map(str::to_owned).collect()
}

fn encoded(content: &Content, codecs: &[&str]) -> Vec<String> {
    let mut command = content.input();
    // One thread, no versions in the file: the same recipe gives the same bytes.
    command.extend(strings(&["-threads", "1", "-fflags", "+bitexact", "-flags:v", "+bitexact"]));
    command.extend(strings(codecs));
    command
}

fn numbered(name: &str, extension: &str, commands: Vec<Vec<String>>) -> Fixture {
    Fixture { path: Recipe { name, extension, commands }.make(), numbered: true }
}

fn simple(name: &str, extension: &str, content: &Content, codecs: &[&str]) -> Fixture {
    let mut command = encoded(content, codecs);
    command.push("{out}".to_owned());
    numbered(name, extension, vec![command])
}

/// The path of a bundled clip.
pub fn bundled(name: &str) -> PathBuf {
    workspace().join("tests/media").join(name)
}

fn real(name: &str) -> Fixture {
    Fixture { path: bundled(name), numbered: false }
}

/// Big Buck Bunny, 1920x1080, 24 fps: H.264 with B-frames and AAC 5.1 in MP4.
pub fn bbb_1080p() -> Fixture {
    real("big-buck-bunny-1080p.mp4")
}

/// Big Buck Bunny, 1280x720, 25 fps, 132 frames: H.264 and AAC 5.1 in MP4.
pub fn bbb_720p() -> Fixture {
    real("big-buck-bunny-720p-5.1.mp4")
}

/// A town, 720x405, 25 fps: an MPEG-2 program stream without sound that starts at 0.54 s.
pub fn city() -> Fixture {
    real("city.mpg")
}

/// The mezzanine of a line of the matrix.
pub fn generated(source: &Source) -> Fixture {
    let (width, height, (num, den)) = source.size();
    let layout = source.sound.map(|(layout, _)| layout);
    let mut content = Content::new((width, height), source.rate, source.frames(), layout);
    content.scan = source.scan;
    let mut marks = vec![format!("setsar={num}/{den}")];
    let (extension, container) = source.container.split_once(' ').unwrap_or((source.container, ""));
    let mut options: Vec<&str> = source.video.iter().flat_map(|options| options.split(' ')).collect();
    if let Some(colours) = &source.colours {
        let [primaries, transfer, matrix] = colours.names;
        marks.push(format!("scale=out_range={}:flags=bicubic", colours.range));
        marks.push(format!(
            "setparams=color_primaries={primaries}:color_trc={transfer}:colorspace={matrix}:range={}",
            colours.range
        ));
        let tags = ["-color_primaries", "-color_trc", "-colorspace"].into_iter().zip(colours.names);
        options.extend(tags.flat_map(|(option, name)| [option, name]));
        options.extend(["-color_range", colours.range]);
    }
    content.last = marks.join(",");
    options.extend(source.sound.iter().flat_map(|(_, options)| options.split(' ')));
    options.extend(container.split(' ').filter(|option| !option.is_empty()));
    simple(source.name, extension, &content, &options)
}

const SIZE: (u32, u32) = (640, 360);
const PRORES: [&str; 8] =
    ["-c:v", "prores_ks", "-profile:v", "hq", "-pix_fmt", "yuv422p10le", "-c:a", "pcm_s24le"];

/// ProRes 422 HQ in MOV at 24000/1001 with 5.1 PCM of 24 bits.
pub fn prores_mov() -> Fixture {
    simple("prores", "mov", &Content::new(SIZE, "24000/1001", 200, Some("5.1")), &PRORES)
}

/// DNxHD at 60 Mbit/s, 1280x720, 25 fps, with PCM in MXF.
pub fn dnxhd_mxf() -> Fixture {
    let codecs = ["-c:v", "dnxhd", "-b:v", "60M", "-pix_fmt", "yuv422p", "-c:a", "pcm_s16le"];
    let mut content = Content::new((1280, 720), "25", 130, Some("stereo"));
    // The MXF muxer leaves out the last frames when the sound ends first.
    content.more_sound = 1.0;
    simple("dnxhd", "mxf", &content, &codecs)
}

/// H.264 with B-frames and AAC in MP4 whose edit list hides the pictures and sound of the first 2.5 s; the first shown
/// frame is in the middle of a GOP.
pub fn h264_bframes_editlist_mp4() -> Fixture {
    let content = Content::new(SIZE, "24", 240, Some("stereo"));
    let mut whole = encoded(
        &content,
        &["-c:v", "libx264", "-preset", "veryfast", "-bf", "3", "-g", "48", "-c:a", "aac", "-b:a", "160k"],
    );
    whole.push("{tmp}/whole.mp4".to_owned());
    let cut = ["-ss", "2.5", "-i", "{tmp}/whole.mp4", "-map", "0", "-c", "copy", "{out}"];
    numbered("editlist", "mp4", vec![whole, strings(&cut)])
}

/// H.264 with open GOPs (recovery points without IDR) and AC-3 in Matroska, 25 fps.
pub fn open_gop_h264_mkv() -> Fixture {
    let x264 = "open-gop=1:keyint=30:min-keyint=30:scenecut=0:bframes=3:b-adapt=0";
    let codecs =
        ["-c:v", "libx264", "-preset", "veryfast", "-x264-params", x264, "-c:a", "ac3", "-b:a", "192k"];
    simple("open-gop", "mkv", &Content::new(SIZE, "25", 200, Some("stereo")), &codecs)
}

/// MPEG-2 with open GOPs and MPEG audio in a transport stream, 30000/1001; it starts at 1.4 s.
pub fn mpeg2_ts() -> Fixture {
    let codecs = ["-c:v", "mpeg2video", "-b:v", "4M", "-g", "15", "-bf", "2", "-c:a", "mp2", "-b:a", "192k"];
    simple("mpeg2", "ts", &Content::new(SIZE, "30000/1001", 200, Some("stereo")), &codecs)
}

/// Intra-only AVC, 4:2:2 of 10 bits, with PCM at 44.1 kHz in MOV, 25 fps.
pub fn intra_avc() -> Fixture {
    let codecs = [
        "-c:v",
        "libx264",
        "-preset",
        "veryfast",
        "-x264-params",
        "keyint=1:bframes=0",
        "-crf",
        "16",
        "-pix_fmt",
        "yuv422p10le",
        "-c:a",
        "pcm_s16le",
        "-ar",
        "44100",
    ];
    simple("intra-avc", "mov", &Content::new(SIZE, "25", 200, Some("stereo")), &codecs)
}

/// HEVC with CRA pictures and leading B-frames (RASL), and AAC in MP4, 24 fps.
pub fn hevc_cra_mp4() -> Fixture {
    let x265 = "open-gop=1:keyint=30:min-keyint=30:scenecut=0:bframes=3:b-adapt=0:log-level=error:pools=1:frame-threads=1";
    let codecs =
        ["-c:v", "libx265", "-preset", "ultrafast", "-x265-params", x265, "-tag:v", "hvc1", "-c:a", "aac"];
    simple("hevc-cra", "mp4", &Content::new(SIZE, "24", 200, Some("stereo")), &codecs)
}

/// HDR10 in a transport stream: HEVC Main 10 in PQ, BT.2020, its mastering display and light level in the bitstream alone.
pub fn hdr10_ts() -> Fixture {
    let metadata = "transfer=16:hdr10=1:max-cll=1000,400:\
                    master-display=G(13250,34500)B(7500,3000)R(34000,16000)WP(15635,16450)L(10000000,50)";
    wide_colours("hdr10", metadata)
}

/// HLG likewise, which has no metadata.
pub fn hlg_ts() -> Fixture {
    wide_colours("hlg", "transfer=18")
}

fn wide_colours(name: &'static str, metadata: &str) -> Fixture {
    let x265 = format!(
        "keyint=24:log-level=error:pools=1:frame-threads=1:repeat-headers=1:colorprim=9:colormatrix=9:range=limited:\
         chromaloc=2:{metadata}"
    );
    let codecs =
        ["-c:v", "libx265", "-pix_fmt", "yuv420p10le", "-preset", "ultrafast", "-x265-params", &x265];
    simple(name, "ts", &Content::new(SIZE, "24", 72, None), &codecs)
}

/// H.264 in Matroska with frames of uneven length (every seventh and eighth of each dozen is left out).
pub fn variable_rate_mkv() -> Fixture {
    let mut content = Content::new(SIZE, "25", 200, Some("stereo"));
    content.last = "select='not(eq(mod(n,12),7)+eq(mod(n,12),8))'".to_owned();
    let codecs = [
        "-fps_mode",
        "vfr",
        "-c:v",
        "libx264",
        "-preset",
        "veryfast",
        "-bf",
        "2",
        "-g",
        "50",
        "-c:a",
        "flac",
    ];
    simple("variable-rate", "mkv", &content, &codecs)
}

/// ProRes whose last frame stands alone behind whole seconds of 25 frames.
pub fn one_frame_tail() -> Fixture {
    simple("one-frame-tail", "mov", &Content::new(SIZE, "25", 101, Some("stereo")), &PRORES)
}

/// H.264 of a size that is no multiple of anything handy, with anamorphic pixels, without sound.
pub fn odd_anamorphic_mkv() -> Fixture {
    let mut content = Content::new((430, 322), "25", 75, None);
    content.last = "setsar=16/11".to_owned();
    simple("odd-anamorphic", "mkv", &content, &["-c:v", "libx264", "-preset", "veryfast"])
}

/// H.264 in MOV to be shown turned by a quarter.
pub fn rotated_mov() -> Fixture {
    let mut content = Content::new((360, 640), "25", 75, Some("stereo"));
    content.last = "transpose=clock".to_owned();
    let mut upright = encoded(&content, &["-c:v", "libx264", "-preset", "veryfast", "-c:a", "aac"]);
    upright.push("{tmp}/turned.mov".to_owned());
    let turn = ["-i", "{tmp}/turned.mov", "-map", "0", "-c", "copy", "-metadata:s:v", "rotate=90", "{out}"];
    numbered("rotated", "mov", vec![upright, strings(&turn)])
}

/// ProRes whose sound starts 0.4 s after the picture.
pub fn late_sound_mov() -> Fixture {
    let mut whole = encoded(&Content::new(SIZE, "25", 150, Some("stereo")), &PRORES);
    whole.push("{tmp}/whole.mov".to_owned());
    let shift = [
        "-i",
        "{tmp}/whole.mov",
        "-itsoffset",
        "0.4",
        "-i",
        "{tmp}/whole.mov",
        "-map",
        "0:v",
        "-map",
        "1:a",
        "-c",
        "copy",
        "{out}",
    ];
    numbered("late-sound", "mov", vec![whole, strings(&shift)])
}

/// H.264 field pictures in a transport stream, whose two fields of a frame are packets of their own.
pub fn avc_field_pictures_ts() -> Fixture {
    let size = (320, 192);
    let mut content = Content::new(size, "25", 80, None);
    content.scan = Scan::Tff;
    let mut raw = content.input();
    raw.extend(strings(&["-f", "rawvideo", "-pix_fmt", "yuv420p", "{out}"]));
    let raw = Recipe { name: "field-pictures", extension: "yuv", commands: vec![raw] }.make();
    let stream = derived(&raw, "h264", |frames| paff::encode(frames, (size.0 as usize, size.1 as usize)));
    let stream = stream.to_string_lossy();
    let wrap = strings(&["-f", "h264", "-i", &stream, "-map", "0:v", "-c", "copy", "{out}"]);
    numbered("field-pictures", "ts", vec![wrap])
}

/// A film of 24000/1001 as MPEG-2 of which every second picture is shown for three fields of 60000/1001, in Matroska.
pub fn soft_telecine_mkv() -> Fixture {
    let mut content = Content::new((640, 480), "24000/1001", 80, None);
    content.last = "settb=1001/60000,setpts=floor(N*5/2)".to_owned();
    let codecs =
        "-fps_mode passthrough -enc_time_base 1001:60000 -c:v mpeg2video -b:v 6M -g 12 -bf 2 -write_crc32 0";
    let film = simple("film", "mkv", &content, &codecs.split(' ').collect::<Vec<_>>());
    Fixture { path: derived(&film.path, "telecine.mkv", telecine::repeat_fields), numbered: true }
}

/// MPEG-2 in Matroska of which some stretches are fields, and others not: each `true` is 1.4 s of fields.
pub fn mixed_fields_mkv(stretches: &[bool]) -> Fixture {
    let mut commands = Vec::new();
    let mut pieces = Vec::new();
    for (number, fields) in stretches.iter().enumerate() {
        let mut content = Content::new((320, 180), "25", 35, None);
        content.scan = if *fields { Scan::Tff } else { Scan::Progressive };
        let flags = if *fields { "+ildct+ilme+bitexact" } else { "+bitexact" };
        let codec = ["-c:v", "mpeg2video", "-b:v", "4M", "-g", "12", "-bf", "0", "-flags", flags];
        let mut command = encoded(&content, &codec);
        let piece = format!("{{tmp}}/{number}.m2v");
        command.push(piece.clone());
        commands.push(command);
        pieces.push(piece);
    }
    let joined = format!("concat:{}", pieces.join("|"));
    let join =
        ["-fflags", "+genpts", "-f", "mpegvideo", "-framerate", "25", "-i", &joined, "-c", "copy", "{out}"];
    commands.push(strings(&join));
    numbered("mixed-fields", "mkv", commands)
}

/// H.264 with B-frames in MP4 that pauses for nearly four seconds.
pub fn pause_mp4() -> Fixture {
    let mut content = Content::new((320, 180), "25", 200, None);
    content.last = "select='lt(n,60)+gt(n,155)'".to_owned();
    let codec = ["-fps_mode", "vfr", "-c:v", "libx264", "-preset", "veryfast", "-bf", "3", "-g", "50"];
    simple("pause", "mp4", &content, &codec)
}

/// Motion JPEG in MOV of which every picture has EXIF data that cannot be read.
pub fn broken_exif_mov() -> Fixture {
    let content = Content::new((320, 180), "25", 60, None);
    let whole = simple("jpeg", "mov", &content, &["-c:v", "mjpeg", "-q:v", "2", "-pix_fmt", "yuvj420p"]);
    let broken = |movie: &[u8]| {
        let (jfif, exif) = (b"\xFF\xE0\x00\x10JFIF\0", b"\xFF\xE1\x00\x10Exif\0\0II*\0\xF0\xFF\xFF\xFF");
        let mut movie = movie.to_vec();
        let places: Vec<usize> = movie
            .windows(jfif.len())
            .enumerate()
            .filter(|(_, bytes)| bytes == jfif)
            .map(|(at, _)| at)
            .collect();
        assert_eq!(places.len(), 60, "each picture begins with JFIF");
        places.into_iter().for_each(|at| movie[at..at + exif.len()].copy_from_slice(exif));
        movie
    };
    Fixture { path: derived(&whole.path, "exif.mov", broken), numbered: true }
}

/// H.264 in MOV with a smaller second picture beside it, and a timecode.
pub fn two_video_streams_mov() -> Fixture {
    let content = Content::new(SIZE, "25", 80, Some("stereo"));
    let mut command = encoded(&content, &["-c:v", "libx264", "-preset", "veryfast", "-c:a", "pcm_s16le"]);
    command.push("{tmp}/one.mov".to_owned());
    let both = "-i {tmp}/one.mov -f lavfi -i testsrc2=size=320x180:rate=25:duration=3.2 -map 0 -map 1 -c copy -c:v:1 libx264 \
                -preset veryfast -threads 1 -timecode 01:02:03:04 {out}";
    numbered("two-video-streams", "mov", vec![command, words(both)])
}

/// H.264 in MP4 with a cover picture that is larger than its frames, and listed first.
pub fn covered_mp4() -> Fixture {
    let content = Content::new(SIZE, "25", 80, Some("stereo"));
    let mut command = encoded(&content, &["-c:v", "libx264", "-preset", "veryfast", "-c:a", "aac"]);
    command.push("{tmp}/one.mp4".to_owned());
    let cover = "-f lavfi -i testsrc2=size=1280x720:duration=0.04 -frames:v 1 {tmp}/cover.png";
    let both =
        "-i {tmp}/cover.png -i {tmp}/one.mp4 -map 0 -map 1 -c copy -disposition:v:0 attached_pic {out}";
    numbered("covered", "mp4", vec![command, words(cover), words(both)])
}

/// The file that `make` makes of the bytes of a file, beside it.
fn derived(from: &Path, extension: &str, make: impl FnOnce(&[u8]) -> Vec<u8>) -> PathBuf {
    let path = from.with_extension(extension);
    let made = make(&fs::read(from).expect("the file is there"));
    // Tests side by side may make it at the same time; each leaves the whole of it.
    let own = tempfile::NamedTempFile::new_in(from.parent().expect("it lies in a folder")).expect("writable");
    fs::write(own.path(), made).expect("the folder is writable");
    own.persist(&path).expect("both lie in one folder");
    path
}

/// Two ProRes masters of `3 * seconds` at 24 fps without sound that differ in their middle third alone.
pub fn two_cuts(seconds: u32) -> (Fixture, Fixture) {
    let frames = seconds * 24;
    let cut = |name: &str, picture: String| {
        let mut content = Content::new((320, 180), "24", 3 * frames, None);
        content.first = picture;
        simple(name, "mov", &content, &PRORES[..6])
    };
    let middle = format!("negate=enable='between(n,{frames},{})'", 2 * frames - 1);
    (cut("first-cut", "null".to_owned()), cut("second-cut", middle))
}

/// A minute of Big Buck Bunny, 1920x1080, 24 fps: the bundled clip again and again, without sound.
pub fn a_minute_of_1080p() -> Fixture {
    let clip = bundled("big-buck-bunny-1080p.mp4").to_string_lossy().into_owned();
    let looped =
        strings(&["-stream_loop", "-1", "-i", &clip, "-map", "0:v", "-c", "copy", "-t", "60", "{out}"]);
    let path = Recipe { name: "a-minute", extension: "mp4", commands: vec![looped] }.make();
    Fixture { path, numbered: false }
}

/// The same as small pictures, which cost nothing to decode.
pub fn a_minute_of_180p() -> Fixture {
    let long = a_minute_of_1080p().path.to_string_lossy().into_owned();
    let codec = ["-c:v", "libx264", "-preset", "ultrafast", "-crf", "12", "-g", "12", "{out}"];
    let scaled = strings(&[&["-i", &long, "-vf", "scale=320:180"][..], &codec[..]].concat());
    let path = Recipe { name: "a-small-minute", extension: "mp4", commands: vec![scaled] }.make();
    Fixture { path, numbered: false }
}

/// A ProRes file of `minutes` made by repeating two encoded seconds into `path`: as large as a real one, cheap to make.
pub fn long_prores(minutes: u32, path: &Path) {
    let content = Content::new(SIZE, "24", 48, Some("stereo"));
    let seconds = simple("two-seconds", "mov", &content, &PRORES);
    let loops = (minutes * 30 - 1).to_string();
    ffmpeg::run([
        "-stream_loop".as_ref(),
        loops.as_ref(),
        "-i".as_ref(),
        seconds.path.as_os_str(),
        "-c".as_ref(),
        "copy".as_ref(),
        "-map".as_ref(),
        "0".as_ref(),
        path.as_os_str(),
    ]);
}

/// Makes five seconds of a real film without loss in a folder, 640x360.
pub fn five_seconds(dir: &Path) -> PathBuf {
    let (clip, real) = (dir.join("clip.mov"), bundled("big-buck-bunny-720p-5.1.mp4"));
    let args = "-vf scale=640:360,format=yuv420p -r 24 -frames:v 120 -an -c:v ffv1";
    ffmpeg::run(
        ["-i", real.to_str().expect("a plain path")]
            .into_iter()
            .chain(args.split(' '))
            .chain([clip.to_str().expect("a plain path")]),
    );
    clip
}
