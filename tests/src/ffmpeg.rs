//! The distribution's `ffmpeg` and `ffprobe` as an independent decoder and judge.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use reel_common::Rational;
use serde_json::Value;

use crate::sources::Scan;

/// Side of the square pictures of [`decode`], in pixels.
pub const THUMB: usize = 64;

/// A decoded frame, reduced to `THUMB` x `THUMB` pixels.
#[derive(Clone, PartialEq, Eq)]
pub struct Thumb {
    /// Brightness, row by row.
    pub luma: Vec<u8>,
    /// The first and then the second colour difference, row by row.
    pub chroma: [Vec<u8>; 2],
}

/// Presented frames of one video stream: times and pictures, in order.
pub struct Frames {
    /// Time of each frame in seconds, as the container gives it.
    pub times: Vec<Rational>,
    /// The picture of each frame.
    pub thumbs: Vec<Thumb>,
}

/// One side of the decoded sound of one stream, mixed to stereo at 48 kHz.
pub struct Sound {
    /// Time of the first sample, in seconds.
    pub start: Rational,
    /// The samples.
    pub samples: Vec<i16>,
}

/// Runs `ffmpeg` with `args` and gives its standard output. Panics with its messages when it fails.
pub fn run<S: AsRef<std::ffi::OsStr>>(args: impl IntoIterator<Item = S>) -> Vec<u8> {
    checked(Command::new("ffmpeg").args(["-hide_banner", "-nostdin", "-v", "error"]).args(args)).stdout
}

fn probe(path: &Path, args: &[&str]) -> Value {
    let output = checked(
        Command::new("ffprobe")
            .args(["-v", "error", "-of", "json"])
            .args(args)
            .arg(path)
            .stdin(Stdio::null()),
    );
    serde_json::from_slice(&output.stdout).expect("ffprobe writes JSON")
}

fn checked(command: &mut Command) -> Output {
    let output = command.output().unwrap_or_else(|e| panic!("cannot run {command:?}: {e}"));
    let messages = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?} failed: {}\n{messages}", output.status);
    output
}

fn rational(text: &str) -> Rational {
    let (num, den) = text.split_once('/').unwrap_or_else(|| panic!("`{text}` is not a fraction"));
    Rational::new(num.parse().expect("a number"), den.parse().expect("a number"))
        .expect("not divided by zero")
}

/// The times at which the frames of stream `selector` (for example `v:0`) are presented, in seconds.
pub fn times(path: &Path, selector: &str) -> Vec<Rational> {
    let entries = "stream=time_base:frame=pts,best_effort_timestamp";
    let json = probe(path, &["-select_streams", selector, "-show_entries", entries]);
    let stream =
        &json["streams"].as_array().and_then(|s| s.last()).expect("the stream is there")["time_base"];
    let tick = rational(stream.as_str().expect("a stream has a time base"));
    let frames = json["frames"].as_array().expect("a list of frames");
    let ticks = |frame: &Value| frame["pts"].as_i64().or(frame["best_effort_timestamp"].as_i64());
    frames
        .iter()
        .map(|frame| {
            let ticks = ticks(frame).unwrap_or_else(|| panic!("{}: a frame without time", path.display()));
            Rational::whole(ticks).checked_mul(tick).expect("a time fits")
        })
        .collect()
}

/// The times of the packets of a stream, in seconds.
pub fn packet_times(path: &Path, selector: &str) -> Vec<f64> {
    let json = probe(path, &["-select_streams", selector, "-show_entries", "packet=pts_time"]);
    let packets = json["packets"].as_array().expect("a list of packets");
    packets.iter().filter_map(|packet| packet["pts_time"].as_str()?.parse().ok()).collect()
}

/// The position and the size of each coded frame of the first video stream in its file, in decode order.
pub fn packet_places(path: &Path) -> Vec<(u64, u64)> {
    let json = probe(path, &["-select_streams", "v:0", "-show_entries", "packet=pos,size"]);
    let number = |packet: &Value, name: &str| packet[name].as_str()?.parse().ok();
    let place = |packet: &Value| number(packet, "pos").zip(number(packet, "size"));
    let packets = json["packets"].as_array().expect("a list of packets");
    packets.iter().map(|packet| place(packet).expect("a packet has a place")).collect()
}

/// One entry of the first stream that `selector` names, as ffprobe writes it.
pub fn stream_entry(path: &Path, selector: &str, entry: &str) -> Option<String> {
    let json = probe(path, &["-select_streams", selector, "-show_entries", &format!("stream={entry}")]);
    match &json["streams"].as_array()?.last()?[entry] {
        Value::String(text) => Some(text.clone()),
        Value::Null => None,
        other => Some(other.to_string()),
    }
}

/// How the lines of the first video stream lie in time, by its first picture or else by its container.
pub fn scan(path: &Path) -> Scan {
    let entries = "stream=field_order:frame=interlaced_frame,top_field_first";
    let json = probe(path, &["-select_streams", "v:0", "-read_intervals", "%+#1", "-show_entries", entries]);
    let flag = |name: &str| json["frames"][0][name].as_i64() == Some(1);
    match json["streams"][0]["field_order"].as_str() {
        _ if flag("interlaced_frame") => {
            if flag("top_field_first") {
                Scan::Tff
            } else {
                Scan::Bff
            }
        }
        Some("tt" | "tb") => Scan::Tff,
        Some("bb" | "bt") => Scan::Bff,
        _ => Scan::Progressive,
    }
}

/// Bytes of each coded frame of the first video stream, in decode order.
pub fn packet_sizes(path: &Path) -> Vec<u64> {
    let json = probe(path, &["-select_streams", "v:0", "-show_entries", "packet=size"]);
    let packets = json["packets"].as_array().expect("a list of packets");
    let size = |packet: &Value| packet["size"].as_str().and_then(|size| size.parse().ok());
    packets.iter().map(|packet| size(packet).expect("a packet has a size")).collect()
}

/// Mastering display and light level, each number by its name: of the first video stream's container, or of its first
/// picture.
pub fn hdr10(path: &Path, of_picture: bool) -> BTreeMap<String, Rational> {
    let (args, section): (&[&str], _) = match of_picture {
        true => (&["-select_streams", "v:0", "-read_intervals", "%+#1", "-show_frames"], "frames"),
        false => (&["-select_streams", "v:0", "-show_streams"], "streams"),
    };
    let json = probe(path, args);
    let data = json[section][0]["side_data_list"].as_array().cloned().unwrap_or_default();
    let numbers =
        data.iter().flat_map(|entry| entry.as_object().expect("an object")).filter_map(|(name, value)| {
            let whole = || Some(Rational::whole(value.as_i64()?));
            let fraction = || value.as_str().filter(|text| text.contains('/')).map(rational);
            let known = ["_x", "_y", "_luminance", "max_"].iter().any(|part| name.contains(part));
            Some((name.clone(), fraction().or_else(whole).filter(|_| known)?))
        });
    numbers.collect()
}

/// Decodes the first video stream: every presented frame once, with its time.
pub fn decode(path: &Path) -> Frames {
    Frames { times: times(path, "v:0"), thumbs: filtered(path, "null") }
}

/// The pictures of the first video stream behind a filter of ffmpeg.
pub fn filtered(path: &Path, filter: &str) -> Vec<Thumb> {
    let filter = format!("{filter},scale={THUMB}:{THUMB}:flags=area,format=yuv444p");
    let map = ["-map", "0:v:0", "-vf", &filter, "-fps_mode", "passthrough", "-f", "rawvideo", "-"];
    let bytes = run(["-i".as_ref(), path.as_os_str()].into_iter().chain(map.map(AsRef::as_ref)));
    let thumb = |frame: &[u8]| {
        let mut planes = frame.chunks_exact(THUMB * THUMB).map(<[u8]>::to_vec);
        let mut plane = || planes.next().expect("three planes");
        Thumb { luma: plane(), chroma: [plane(), plane()] }
    };
    bytes.chunks_exact(3 * THUMB * THUMB).map(thumb).collect()
}

/// Decodes the left (0) or right (1) side of the first audio stream; `None` when there is none.
pub fn sound(path: &Path, side: usize) -> Option<Sound> {
    stream_entry(path, "a:0", "codec_name")?;
    let start = *times(path, "a:0").first().unwrap_or_else(|| panic!("{}: silent stream", path.display()));
    let map = ["-map", "0:a:0", "-ac", "2", "-ar", "48000", "-f", "s16le", "-"];
    let bytes = run(["-i".as_ref(), path.as_os_str()].into_iter().chain(map.map(AsRef::as_ref)));
    let sides = bytes.chunks_exact(4).map(|both| &both[2 * side..]);
    let samples = sides.map(|b| i16::from_le_bytes([b[0], b[1]])).collect();
    Some(Sound { start, samples })
}

/// A filter that compares two streams.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Score {
    /// Peak signal-to-noise ratio, in decibels.
    Psnr,
    /// Structural similarity, up to 1.
    Ssim,
}

/// What ffmpeg's filter says of the luma of each frame of a file against those of its mezzanine, which has the same size and
/// constant rate. Of equal frames the PSNR is 100 dB.
pub fn scores(made: &Path, clip: &Path, bits: u32, score: Score) -> Vec<f64> {
    let (filter, word) = match score {
        Score::Psnr => ("psnr", "psnr_y:"),
        Score::Ssim => ("ssim", "Y:"),
    };
    let (stats, format) = (made.with_extension("log"), if bits == 10 { "yuv420p10le" } else { "yuv420p" });
    let same = format!("settb=1/24,setpts=N,format={format}");
    let filter =
        format!("[0:v]{same}[made];[1:v]{same}[clip];[made][clip]{filter}=stats_file={}", stats.display());
    let inputs = [made, clip].map(|path| path.to_str().expect("a path of UTF-8"));
    run(["-i", inputs[0], "-i", inputs[1], "-lavfi", &filter, "-f", "null", "-"]);
    let text = std::fs::read_to_string(&stats).expect("the filter's table");
    std::fs::remove_file(stats).expect("the filter's table can be removed");
    let value = |line: &str| {
        let value = line.split_once(word).and_then(|(_, rest)| rest.split_whitespace().next());
        value.and_then(|value| value.parse::<f64>().ok()).expect("a number").min(100.0)
    };
    text.lines().map(value).collect()
}

/// What libvmaf, in an ffmpeg that has it, says of each frame of a file against those of its mezzanine, which has the same
/// size and constant rate.
pub fn vmaf(made: &Path, clip: &Path, bits: u32) -> Vec<f64> {
    let folder = crate::target_dir().join("ffmpeg-vmaf/imageio_ffmpeg/binaries");
    let entries = std::fs::read_dir(&folder).into_iter().flatten().flatten().map(|entry| entry.path());
    let is_ffmpeg = |path: &std::path::PathBuf| {
        path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("ffmpeg-"))
    };
    let program = entries.into_iter().find(is_ffmpeg);
    let program =
        program.unwrap_or_else(|| panic!("{} is missing: run `make ffmpeg-vmaf`", folder.display()));
    let (log, format) = (made.with_extension("json"), if bits == 10 { "yuv420p10le" } else { "yuv420p" });
    let same = format!("settb=1/24,setpts=N,format={format}");
    let judge =
        format!("libvmaf=model=version=vmaf_v0.6.1:n_threads=2:log_fmt=json:log_path={}", log.display());
    let filter = format!("[0:v]{same}[made];[1:v]{same}[clip];[made][clip]{judge}");
    let inputs = [made, clip].map(|path| path.to_str().expect("a path of UTF-8"));
    let args = ["-i", inputs[0], "-i", inputs[1], "-lavfi", &filter, "-f", "null", "-"];
    checked(Command::new(program).args(["-hide_banner", "-nostdin", "-v", "error"]).args(args));
    let text = std::fs::read(&log).expect("the filter's table");
    std::fs::remove_file(log).expect("the filter's table can be removed");
    let json: Value = serde_json::from_slice(&text).expect("the filter writes JSON");
    let frames = json["frames"].as_array().expect("a list of frames");
    frames.iter().map(|frame| frame["metrics"]["vmaf"].as_f64().expect("a number")).collect()
}
