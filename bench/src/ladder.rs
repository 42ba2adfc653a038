//! The ladder of a profile, and the one ffmpeg command that makes it with the same settings.

use std::ffi::OsString;
use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, bail};
use reel_common::{Colour, Hdr10, Rational, Scan, VideoFacts};
use reel_profiles::{Coding, Profile, Quality, ResolvedRendition, catalog};

/// Scaler settings of `worker/media`: what its recipe key names.
const SCALER: &str = "bicubic+accurate_rnd+full_chroma_int+bitexact";

/// What both programs make of a clip.
pub(crate) struct Ladder {
    profile: Profile,
    pub(crate) renditions: Vec<ResolvedRendition>,
}

impl Ladder {
    /// The ladder of profile `name` (of the catalog, or a path) for `clip`.
    pub(crate) fn of(name: &str, clip: &Path) -> Result<Ladder> {
        let text = match catalog::text(name) {
            Some(text) => text.to_owned(),
            None => fs::read_to_string(name).with_context(|| format!("reading profile {name}"))?,
        };
        let profile = Profile::parse(&text, name)?;
        let renditions = profile.ladder(&video_facts(clip)?)?;
        Ok(Ladder { profile, renditions })
    }

    /// One decode, one filter graph, one HLS muxer; rate factors `coarser_milli` thousandths higher.
    pub(crate) fn ffmpeg(&self, clip: &Path, output: &Path, coarser_milli: u32) -> Result<Command> {
        let mut command = Command::new("ffmpeg");
        command.args(["-v", "error", "-nostdin", "-y", "-i"]).arg(clip);
        command.arg("-filter_complex").arg(self.filter());
        for (at, rendition) in self.renditions.iter().enumerate() {
            command.args(["-map", &format!("[v{at}]")]).args(encoder(at, rendition, coarser_milli)?);
        }
        let segment = self.profile.segment_seconds.to_f64();
        // Segments begin with an IDR; inside, a cut may get one of its own, as in `worker/media`.
        command.args(["-force_key_frames:v", &format!("expr:gte(t,n_forced*{segment})")]);
        let mut streams: Vec<String> =
            (0..self.renditions.len()).map(|at| format!("v:{at},agroup:sound,name:v{at}")).collect();
        if let Some(track) = self.profile.audio.first() {
            command.args(["-map", "0:a:0?", "-c:a", track.codec.name()]);
            if let Some(kbps) = track.bitrate_kbps {
                command.args(["-b:a", &format!("{kbps}k")]);
            }
            command.args(["-ac", &track.channels.to_string(), "-ar", &track.sample_rate.to_string()]);
            streams.push("a:0,agroup:sound,name:sound".to_owned());
        }
        command.args(["-f", "hls", "-hls_time", &segment.to_string(), "-hls_playlist_type", "vod"]);
        command.args(["-hls_segment_type", "fmp4", "-master_pl_name", "master.m3u8"]);
        command.args(["-var_stream_map", &streams.join(" ")]);
        command.arg("-hls_segment_filename").arg(below(output, "%v/seg_%05d.m4s"));
        command.arg(below(output, "%v/playlist.m3u8"));
        Ok(command)
    }

    fn filter(&self) -> String {
        let count = self.renditions.len();
        let outputs: String = (0..count).map(|at| format!("[s{at}]")).collect();
        let scales = self.renditions.iter().enumerate().map(|(at, rendition)| {
            let ResolvedRendition { width, height, .. } = rendition;
            format!("[s{at}]scale={width}:{height}:flags={SCALER},format=yuv420p,setsar=1[v{at}]")
        });
        format!("[0:v]split={count}{outputs};{}", scales.collect::<Vec<_>>().join(";"))
    }
}

fn encoder(at: usize, resolved: &ResolvedRendition, coarser_milli: u32) -> Result<Vec<String>> {
    let rendition = &resolved.rendition;
    let Quality::Crf(crf_milli) = rendition.rate.quality else {
        bail!("rendition {} has a bit rate, and this bench compares rate factors", rendition.name)
    };
    let crf = f64::from(crf_milli + coarser_milli) / 1000.0;
    let mut args = vec![format!("-c:v:{at}"), "libx264".to_owned()];
    let mut set = |name: &str, value: String| args.extend([format!("-{name}:v:{at}"), value]);
    let Coding::H264 { preset, tune, profile, .. } = rendition.coding else {
        bail!("rendition {} is not of H.264, which this bench compares", rendition.name)
    };
    set("preset", preset.name().to_owned());
    set("profile", profile.name().to_owned());
    set("crf", crf.to_string());
    // All of the settings of `worker/media/src/encoder/x264.rs`, but for one thread: ffmpeg's encoders take turns otherwise.
    let settings = "keyint=infinite:min-keyint=1:open-gop=0:stitchable=1:cpu-independent=1";
    set("x264-params", settings.to_owned());
    if let Some(tune) = tune {
        set("tune", tune.name().to_owned());
    }
    if let (Some(rate), Some(size)) = (rendition.rate.maxrate_kbps, rendition.rate.bufsize_kbps) {
        set("maxrate", format!("{rate}k"));
        set("bufsize", format!("{size}k"));
    }
    Ok(args)
}

fn below(folder: &Path, name: &str) -> OsString {
    folder.join(name).into_os_string()
}

/// Size and shape of the picture, as ffprobe sees it.
fn video_facts(clip: &Path) -> Result<VideoFacts> {
    let mut command = Command::new("ffprobe");
    command.args(["-v", "error", "-of", "json", "-select_streams", "v:0", "-show_entries"]);
    let output = command.arg("stream=width,height,sample_aspect_ratio").arg(clip).output()?;
    let json: serde_json::Value = serde_json::from_slice(&output.stdout)?;
    let stream = &json["streams"][0];
    let size = |name: &str| stream[name].as_u64().and_then(|size| u32::try_from(size).ok());
    let none = || format!("no video in {}", clip.display());
    let aspect = stream["sample_aspect_ratio"].as_str().and_then(|text| text.split_once(':'));
    let aspect = aspect.and_then(|(num, den)| Rational::new(num.parse().ok()?, den.parse().ok()?));
    Ok(VideoFacts {
        stream: 0,
        codec: String::new(),
        codec_profile: String::new(),
        width: size("width").with_context(none)?,
        height: size("height").with_context(none)?,
        sample_aspect: aspect.unwrap_or(Rational::whole(1)),
        rotation: 0,
        pixel_format: "yuv420p".to_owned(),
        scan: Scan::Progressive,
        telecine: false,
        timecode: String::new(),
        streams: 1,
        colour: Colour::default(),
        hdr10: Hdr10::default(),
        captions: false,
    })
}
