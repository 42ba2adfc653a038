//! `reel probe`: the index of a mezzanine, as a table or JSON.

use reel_common::{
    AudioFacts, Colour, IndexSummary, Mastering, Rational, Scan, TextFacts, Timing, VideoFacts,
};
use reel_profiles::Profile;
use serde_json::{Value, json};

use crate::args::ProbeArgs;
use crate::commands::profile;
use crate::exit::Stop;
use crate::input::Input;
use crate::once::Bench;
use crate::output::{bytes, clock, print, print_json, row, table};

/// The segments of an index depend on a profile; none of them is shown, so any profile will do.
const ANY_PROFILE: &str = "vod-abr";

pub(crate) fn run(args: ProbeArgs) -> Result<(), Stop> {
    let profile: Profile = profile::load(ANY_PROFILE)?;
    let input = Input::open(&args.input)?;
    let index = Bench::new()?.index(&input, None, &profile)?;
    if args.json { print_json(&as_json(&input, &index)) } else { print(&as_table(&input, &index)) }
}

/// Seconds in decimal, for people.
pub(crate) fn seconds(time: Rational) -> String {
    format!("{:.3}", time.to_f64())
}

/// How frames lie in time, for people.
pub(crate) fn timing(timing: &Timing) -> String {
    match timing {
        Timing::Constant { rate } | Timing::Scenes { rate, .. } | Timing::Edited { rate, .. }
            if rate.den() == 1 =>
        {
            format!("{rate} fps")
        }
        Timing::Constant { rate } | Timing::Scenes { rate, .. } | Timing::Edited { rate, .. } => {
            format!("{rate} fps ({:.3})", rate.to_f64())
        }
        Timing::Variable { average_rate, .. } => {
            format!("variable, {:.3} fps on average", average_rate.to_f64())
        }
    }
}

fn as_table(input: &Input, index: &IndexSummary) -> String {
    let size = input.identity.size;
    let share = 100.0 * index.bytes_read as f64 / size.max(1) as f64;
    let duration = seconds(index.duration);
    let whole = clock(u64::try_from(index.duration.floor()).unwrap_or(0));
    let raps = match index.random_access_points == index.frames {
        true => "every frame".to_owned(),
        false => format!("{} of {} frames", index.random_access_points, index.frames),
    };
    let mut rows = vec![
        row(["mezzanine", &input.location]),
        row(["container", &format!("{}, {}", index.container, bytes(size))]),
        row(["duration", &format!("{duration} s ({whole}), {} frames", index.frames)]),
        row(["timing", &timing(&index.timing)]),
        row(["random access", &raps]),
        row(["video", &video_line(&index.video)]),
    ];
    // Counted as profiles and `--text` do.
    for (number, stream) in (1..).zip(&index.audio) {
        rows.push(row([&format!("audio {number}"), &audio_line(stream)]));
    }
    if index.audio.is_empty() {
        rows.push(row(["audio", "none"]));
    }
    for (number, text) in (1..).zip(&index.texts) {
        let language = if text.language.is_empty() { "LANGUAGE" } else { &text.language };
        let (codec, label) = (&text.codec, format!("text {number}"));
        rows.push(row([&label, &format!("{codec}, taken by --text {language}=stream:{number}")]));
    }
    if index.video.captions {
        let taken = "in the pictures, such as those taken by --text LANGUAGE:captions=video:cc1";
        rows.push(row(["captions", taken]));
    }
    rows.push(row(["bytes read", &format!("{} ({share:.2} %)", bytes(index.bytes_read))]));
    table(&rows)
}

fn video_line(video: &VideoFacts) -> String {
    let mut words = vec![format!("stream {}: {}", video.stream, video.codec)];
    if !video.codec_profile.is_empty() {
        words.push(video.codec_profile.clone());
    }
    words.push(format!("{}x{} {}", video.width, video.height, video.pixel_format));
    if video.sample_aspect != Rational::whole(1) {
        words.push(format!("sample aspect {}:{}", video.sample_aspect.num(), video.sample_aspect.den()));
    }
    if video.rotation != 0 {
        words.push(format!("turned {} degrees", video.rotation));
    }
    if video.scan != Scan::Progressive {
        words.push(video.scan.name().to_owned());
    }
    if video.telecine {
        words.push("telecine".to_owned());
    }
    if !video.timecode.is_empty() {
        words.push(format!("timecode {}", video.timecode));
    }
    let Colour { primaries, transfer, matrix, full_range, .. } = video.colour;
    if (primaries, transfer, matrix, full_range) != (2, 2, 2, false) {
        let range = if full_range { "full" } else { "limited" };
        words.push(format!("colour {primaries}/{transfer}/{matrix} {range} range"));
    }
    if let Some(mastering) = video.hdr10.mastering {
        words.push(format!("mastered up to {} cd/m2", mastering.max_luminance / 10_000));
    }
    if let Some(level) = video.hdr10.light_level {
        words.push(format!("MaxCLL {}, MaxFALL {}", level.max_content, level.max_frame_average));
    }
    if video.streams > 1 {
        words.push(format!("one of {} video streams", video.streams));
    }
    words.join(", ")
}

fn audio_line(stream: &AudioFacts) -> String {
    let mut words = vec![format!("stream {}: {}", stream.stream, stream.codec)];
    words.push(format!("{} Hz", stream.sample_rate));
    words.push(match stream.layout.as_str() {
        "" => format!("{} channels", stream.channels),
        layout => layout.to_owned(),
    });
    if !stream.language.is_empty() {
        words.push(stream.language.clone());
    }
    if stream.start != Rational::ZERO {
        words.push(format!("begins at {} s", seconds(stream.start)));
    }
    words.join(", ")
}

fn as_json(input: &Input, index: &IndexSummary) -> Value {
    let (kind, rate) = match index.timing {
        Timing::Constant { rate } | Timing::Scenes { rate, .. } | Timing::Edited { rate, .. } => {
            ("constant", rate)
        }
        Timing::Variable { average_rate, .. } => ("variable", average_rate),
    };
    json!({
        "input": input.location,
        "container": index.container,
        "size_bytes": input.identity.size,
        "duration": index.duration.to_string(),
        "duration_s": index.duration.to_f64(),
        "frames": index.frames,
        "random_access_points": index.random_access_points,
        "timing": kind,
        "rate": rate.to_string(),
        "video": video_json(&index.video),
        "audio": index.audio.iter().map(audio_json).collect::<Vec<_>>(),
        "texts": index.texts.iter().map(text_json).collect::<Vec<_>>(),
        "bytes_read": index.bytes_read,
    })
}

fn text_json(text: &TextFacts) -> Value {
    json!({ "stream": text.stream, "codec": text.codec, "language": text.language })
}

fn video_json(video: &VideoFacts) -> Value {
    json!({
        "stream": video.stream,
        "codec": video.codec,
        "codec_profile": video.codec_profile,
        "width": video.width,
        "height": video.height,
        "sample_aspect": video.sample_aspect.to_string(),
        "rotation": video.rotation,
        "pixel_format": video.pixel_format,
        "scan": video.scan,
        "telecine": video.telecine,
        "timecode": video.timecode,
        "video_streams": video.streams,
        "captions": video.captions,
        "colour": {
            "primaries": video.colour.primaries,
            "transfer": video.colour.transfer,
            "matrix": video.colour.matrix,
            "full_range": video.colour.full_range,
            "chroma_location": video.colour.chroma_location,
        },
        "mastering": video.hdr10.mastering.map(mastering_json),
        "light_level": video.hdr10.light_level.map(|level| {
            json!({"max_content": level.max_content, "max_frame_average": level.max_frame_average})
        }),
    })
}

/// Chromaticities in steps of 0.00002, luminances of 0.0001 cd/m2.
fn mastering_json(mastering: Mastering) -> Value {
    json!({
        "red": mastering.red,
        "green": mastering.green,
        "blue": mastering.blue,
        "white": mastering.white,
        "max_luminance": mastering.max_luminance,
        "min_luminance": mastering.min_luminance,
    })
}

fn audio_json(stream: &AudioFacts) -> Value {
    json!({
        "stream": stream.stream,
        "codec": stream.codec,
        "sample_rate": stream.sample_rate,
        "channels": stream.channels,
        "layout": stream.layout,
        "language": stream.language,
        "start": stream.start.to_string(),
        "start_s": stream.start.to_f64(),
    })
}

#[cfg(test)]
pub(crate) mod tests {
    use reel_common::{Artifact, SourceIdentity};

    use reel_common::Hdr10;

    use super::*;

    /// A broadcast mezzanine with one stereo and one late 5.1 stream.
    pub(crate) fn sample() -> (Input, IndexSummary) {
        let identity = SourceIdentity { size: 52_428_800, modified_us: None, etag: None };
        let input = Input { location: "/media/movie.mov".to_owned(), identity };
        let rate = Rational::new(24_000, 1001).unwrap();
        let stereo = AudioFacts {
            stream: 1,
            codec: "pcm_s24le".to_owned(),
            sample_rate: 48_000,
            channels: 2,
            layout: "stereo".to_owned(),
            language: "eng".to_owned(),
            start: Rational::ZERO,
        };
        let surround = AudioFacts {
            stream: 2,
            channels: 6,
            layout: String::new(),
            language: String::new(),
            start: Rational::new(1, 100).unwrap(),
            ..stereo.clone()
        };
        let video = VideoFacts {
            stream: 0,
            codec: "prores".to_owned(),
            codec_profile: "HQ".to_owned(),
            width: 1440,
            height: 1080,
            sample_aspect: Rational::new(4, 3).unwrap(),
            rotation: 0,
            pixel_format: "yuv422p10le".to_owned(),
            scan: Scan::Progressive,
            telecine: false,
            timecode: "01:00:00:00".to_owned(),
            streams: 1,
            colour: Colour { primaries: 1, transfer: 1, matrix: 1, ..Colour::default() },
            hdr10: Hdr10::default(),
            captions: false,
        };
        let index = IndexSummary {
            artifact: Artifact::of(b""),
            container: "mov".to_owned(),
            video,
            audio: vec![stereo, surround],
            frames: 1440,
            random_access_points: 1440,
            duration: Rational::new(1440 * 1001, 24_000).unwrap(),
            timing: Timing::Constant { rate },
            texts: vec![TextFacts { stream: 3, codec: "mov_text".to_owned(), language: "eng".to_owned() }],
            bytes_read: 24_117,
        };
        (input, index)
    }

    #[test]
    fn an_index_is_shown_as_a_table() {
        let (input, index) = sample();
        insta::assert_snapshot!(as_table(&input, &index));
    }

    #[test]
    fn an_index_with_gaps_is_shown_as_a_table() {
        let (input, mut index) = sample();
        let average_rate = Rational::new(19_900, 1001).unwrap();
        index.timing = Timing::Variable { average_rate, segment_starts: vec![0, 70] };
        index.video =
            VideoFacts { rotation: 90, scan: Scan::TopFieldFirst, telecine: true, streams: 2, ..index.video };
        index.random_access_points = 12;
        index.audio.clear();
        insta::assert_snapshot!(as_table(&input, &index));
    }

    #[test]
    fn an_index_is_one_json_object() {
        let (input, index) = sample();
        insta::assert_snapshot!(serde_json::to_string_pretty(&as_json(&input, &index)).unwrap());
    }
}
