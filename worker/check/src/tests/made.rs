//! A package that breaks no rule, made by hand: two renditions, sound, texts, pictures for winding, thumbnails.

use std::collections::BTreeMap;
use std::fmt::Write;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use reel_cmaf::iframes::{self, IFrame};
use reel_cmaf::init::{AudioInit, Bitrate, Span, VideoInit, audio_init, video_init};
use reel_cmaf::protect::{
    SampleEncryption, Scheme, Subsample, SystemHeader, TrackEncryption, protected_init, protected_segment,
};
use reel_cmaf::segment::{Sample, media_segment};
use reel_cmaf::{AudioConfig, VideoConfig};
use reel_common::{Hdr10, Rational};
use reel_ts::{Muxer, Picture, SoundFrame, timestamp};

use crate::rate::{average, bits_a_second, peak};
use crate::time::seconds;

/// A package in memory.
pub(super) type Files = BTreeMap<String, Vec<u8>>;

pub(super) const KEY_ID: [u8; 16] = [7; 16];
const AVC_OF_TS: [u8; 16] = [1, 0x42, 0xc0, 0x1e, 0xff, 0xe1, 0, 3, 0x67, 0x42, 1, 1, 0, 2, 0x68, 0xce];
const AVC: [u8; 8] = [1, 0x64, 0, 0x1f, 0xff, 0xe0, 0, 0];

/// What is made.
#[derive(Clone, Copy)]
pub(super) struct Recipe {
    /// Frames in each segment of the second rendition; 25 are a second.
    pub(super) second: [u32; 3],
    /// Frames in each segment of the sound.
    pub(super) sound: [u32; 3],
    pub(super) scheme: Option<Scheme>,
    /// Whether there is a transport stream as well.
    pub(super) ts: bool,
}

pub(super) const RIGHT: Recipe =
    Recipe { second: [50, 50, 25], sound: [94, 94, 48], scheme: None, ts: false };
pub(super) const CBCS: Scheme = Scheme::Cbcs { iv: [9; 16], pattern: true };

/// A track: its segments with their durations in ticks.
struct Made {
    timescale: u32,
    segments: Vec<(u64, Vec<u8>)>,
}

impl Made {
    fn sizes(&self) -> Vec<(Rational, u64)> {
        let size =
            |(ticks, bytes): &(u64, Vec<u8>)| (seconds(*ticks as i64, self.timescale), bytes.len() as u64);
        self.segments.iter().map(size).collect()
    }

    fn ticks(&self) -> u64 {
        self.segments.iter().map(|(ticks, _)| ticks).sum()
    }
}

/// A picture in one NAL unit.
fn picture(bytes: usize, head: u8) -> Vec<u8> {
    let mut data = (bytes as u32 - 4).to_be_bytes().to_vec();
    data.push(head);
    data.resize(bytes, 0xaa);
    data
}

fn init(height: u16, span: Span, is_winding: bool) -> (Vec<u8>, VideoInit<'static>) {
    let init = VideoInit {
        timescale: 25,
        width: height / 9 * 16,
        height,
        sample_aspect: Rational::whole(1),
        codec: VideoConfig::Avc(&AVC),
        colour: None,
        hdr10: Hdr10::default(),
        bitrate: Bitrate { peak: 1, average: 1 },
    };
    (if is_winding { Vec::new() } else { video_init(&init, span) }, init)
}

/// The first rendition once more as a transport stream with its sound.
fn transport_stream(files: &mut Files) -> Made {
    let mut muxer = Muxer::new(&AVC_OF_TS, Some((&[0x11, 0x90], *b"eng"))).unwrap();
    let (mut at, mut segments) = (0, Vec::new());
    for (number, count) in (1..).zip([50u32, 50, 25]) {
        let data: Vec<Vec<u8>> =
            (0..count).map(|frame| picture(900, if frame == 0 { 0x65 } else { 0x41 })).collect();
        let time = |frame: u32| timestamp((at + frame).into(), 25);
        let pictures = (0..).zip(&data).map(|(frame, sample)| Picture {
            sample,
            dts: time(frame),
            pts: time(frame),
            sync: frame == 0,
        });
        let frame = |nth: i64| SoundFrame { data: &[5; 320], pts: time(0) + nth * 1920 };
        let sound: Vec<SoundFrame<'_>> = (0..i64::from(count) * 15 / 8).map(frame).collect();
        let bytes = muxer.segment(&pictures.collect::<Vec<_>>(), &sound, time(count)).unwrap();
        files.insert(format!("ts/{number}.ts"), bytes.clone());
        segments.push((count.into(), bytes));
        at += count;
    }
    Made { timescale: 25, segments }
}

/// Bytes of a picture as `senc` tells them.
fn ranges(bytes: usize, scheme: Scheme) -> Vec<Subsample> {
    let clear = 11 + (bytes - 11) % 16;
    let clear = if scheme == Scheme::Cenc { clear } else { 11 };
    vec![Subsample { clear: clear as u16, protected: (bytes - clear) as u32 }]
}

fn encrypted(segment: Vec<u8>, sizes: &[usize], is_video: bool, scheme: Option<Scheme>) -> Vec<u8> {
    let Some(scheme) = scheme else { return segment };
    let sample = |bytes: &usize| SampleEncryption {
        iv: (scheme == Scheme::Cenc).then_some([1; 8]),
        subsamples: if is_video { ranges(*bytes, scheme) } else { Vec::new() },
    };
    protected_segment(&segment, &sizes.iter().map(sample).collect::<Vec<_>>()).unwrap()
}

fn headed(init: Vec<u8>, scheme: Option<Scheme>) -> Vec<u8> {
    let Some(scheme) = scheme else { return init };
    let system = SystemHeader { system_id: [3; 16], key_ids: vec![KEY_ID], data: vec![1, 2, 3] };
    protected_init(&init, &TrackEncryption { scheme, key_id: KEY_ID }, &[system], false).unwrap()
}

fn video(files: &mut Files, name: &str, height: u16, scale: usize, frames: [u32; 3], recipe: Recipe) -> Made {
    let total: u32 = frames.iter().sum();
    let span = Span { start: 1, duration: total.into() };
    files.insert(format!("{name}/init.mp4"), headed(init(height, span, false).0, recipe.scheme));
    let (mut at, mut segments) = (0u64, Vec::new());
    for (number, count) in (1u32..).zip(frames) {
        let data: Vec<Vec<u8>> = (0..count)
            .map(|frame| {
                if frame == 0 {
                    picture(8_000 * scale, 0x65)
                } else {
                    picture(1_000 * scale + frame as usize, 0x41)
                }
            })
            .collect();
        let sample = |(frame, data): (usize, &Vec<u8>)| Sample {
            data: data.clone().leak(),
            duration: 1,
            composition_offset: 1,
            sync: frame == 0,
        };
        let samples: Vec<Sample<'_>> = data.iter().enumerate().map(sample).collect();
        let sizes: Vec<usize> = data.iter().map(Vec::len).collect();
        let bytes = encrypted(media_segment(number, at, &samples), &sizes, true, recipe.scheme);
        files.insert(format!("{name}/{number}.m4s"), bytes.clone());
        segments.push((u64::from(count), bytes));
        at += u64::from(count);
    }
    Made { timescale: 25, segments }
}

fn sound(files: &mut Files, recipe: Recipe) -> Made {
    let total = u64::from(recipe.sound.iter().sum::<u32>()) * 1024;
    let header = AudioInit {
        sample_rate: 48_000,
        channels: 2,
        codec: AudioConfig::Aac(&[0x11, 0x90]),
        language: "eng",
        bitrate: Bitrate { peak: 1, average: 1 },
    };
    let header = audio_init(&header, Span { start: 1024, duration: total });
    files.insert("sound/init.mp4".to_owned(), headed(header, recipe.scheme));
    let (mut at, mut segments) = (0u64, Vec::new());
    for (number, count) in (1u32..).zip(recipe.sound) {
        let sample = Sample { data: &[5; 320], duration: 1024, composition_offset: 0, sync: true };
        let segment = media_segment(number, at, &vec![sample; count as usize]);
        let bytes = encrypted(segment, &vec![320; count as usize], false, recipe.scheme);
        files.insert(format!("sound/{number}.m4s"), bytes.clone());
        segments.push((u64::from(count) * 1024, bytes));
        at += u64::from(count) * 1024;
    }
    Made { timescale: 48_000, segments }
}

/// The pictures of the first rendition for winding, in a file with an index; where its index lies.
fn winding(files: &mut Files) -> (Made, u64, u64) {
    let frames: Vec<IFrame> = [(0, 50), (50, 50), (100, 25)]
        .map(|(start, duration)| IFrame { start, duration, size: 8_000 })
        .to_vec();
    let head = iframes::head(&init(360, Span { start: 0, duration: 0 }, true).1, &frames).unwrap();
    let mut file = head.bytes.clone();
    let mut segments = Vec::new();
    for (number, frame) in (1..).zip(&frames) {
        let bytes = frame.fragment(number, &picture(8_000, 0x65));
        file.extend(&bytes);
        segments.push((frame.duration.into(), bytes));
    }
    files.insert("a/iframes.mp4".to_owned(), file);
    (Made { timescale: 25, segments }, head.init_bytes, head.bytes.len() as u64)
}

const HEAD: &str = "#EXTM3U\n#EXT-X-VERSION:7\n#EXT-X-TARGETDURATION:2\n#EXT-X-PLAYLIST-TYPE:VOD\n";

fn key(scheme: Scheme) -> String {
    let method = if scheme == Scheme::Cenc { "SAMPLE-AES-CTR" } else { "SAMPLE-AES" };
    let iv = if scheme == Scheme::Cenc { String::new() } else { format!(",IV=0x{}", "09".repeat(16)) };
    format!("METHOD={method},URI=\"https://keys.example/1\"{iv},KEYFORMAT=\"identity\"")
}

fn playlist(made: &Made, scheme: Option<Scheme>) -> String {
    let mut text = format!("{HEAD}#EXT-X-MAP:URI=\"init.mp4\"\n");
    scheme.iter().for_each(|scheme| writeln!(text, "#EXT-X-KEY:{}", key(*scheme)).unwrap());
    for (number, (seconds, _)) in (1..).zip(made.sizes()) {
        write!(text, "#EXTINF:{:.6},\n{number}.m4s\n", seconds.to_f64()).unwrap();
    }
    text + "#EXT-X-ENDLIST\n"
}

fn iframe_playlist(made: &Made, init: u64, head: u64) -> String {
    let mut text =
        format!("{HEAD}#EXT-X-I-FRAMES-ONLY\n#EXT-X-MAP:URI=\"iframes.mp4\",BYTERANGE=\"{init}@0\"\n");
    let mut at = head;
    for (seconds, bytes) in made.sizes() {
        let seconds = seconds.to_f64();
        write!(text, "#EXTINF:{seconds:.6},\n#EXT-X-BYTERANGE:{bytes}@{at}\niframes.mp4\n").unwrap();
        at += bytes;
    }
    text + "#EXT-X-ENDLIST\n"
}

fn rates(streams: &[&Made]) -> String {
    let sum = |rate: &dyn Fn(&Made) -> u64| streams.iter().map(|made| rate(made)).sum::<u64>();
    let most = sum(&|made| peak(&made.sizes(), Rational::whole(2), 0));
    format!("BANDWIDTH={most},AVERAGE-BANDWIDTH={}", sum(&|made| average(&made.sizes())))
}

/// A Representation with its segments.
fn representation(id: &str, made: &Made, more: &str, unheard: u64) -> String {
    let bits = made.segments.iter().map(|(_, bytes)| bytes.len() as u64).max().unwrap();
    let bandwidth = bits_a_second(bits, Rational::whole(2));
    let mut text = format!(
        "<Representation id=\"{id}\" bandwidth=\"{bandwidth}\" {more}>\n<SegmentTemplate timescale=\"{}\" \
         initialization=\"$RepresentationID$/init.mp4\" media=\"$RepresentationID$/$Number$.m4s\" startNumber=\"1\">\n\
         <SegmentTimeline>\n",
        made.timescale
    );
    for (number, (ticks, _)) in made.segments.iter().enumerate() {
        let ticks = if number == 0 { ticks - unheard } else { *ticks };
        let time = if number == 0 { " t=\"0\"" } else { "" };
        writeln!(text, "<S{time} d=\"{ticks}\"/>").unwrap();
    }
    text + "</SegmentTimeline>\n</SegmentTemplate>\n</Representation>\n"
}

fn protection(scheme: Option<Scheme>) -> String {
    let Some(scheme) = scheme else { return String::new() };
    let system = SystemHeader { system_id: [3; 16], key_ids: Vec::new(), data: vec![1, 2, 3] };
    format!(
        "<ContentProtection schemeIdUri=\"urn:mpeg:dash:mp4protection:2011\" value=\"{}\" \
         cenc:default_KID=\"07070707-0707-0707-0707-070707070707\"/>\n<ContentProtection \
         schemeIdUri=\"urn:uuid:03030303-0303-0303-0303-030303030303\"><cenc:pssh>{}</cenc:pssh></ContentProtection>\n",
        scheme.name(),
        STANDARD.encode(system.to_box())
    )
}

/// The transport stream with its playlists.
fn old_devices(files: &mut Files) {
    let stream = transport_stream(files);
    let text = playlist(&stream, None).replace("#EXT-X-MAP:URI=\"init.mp4\"\n", "").replace(".m4s", ".ts");
    files.insert("ts/p.m3u8".to_owned(), text.into_bytes());
    let rates = rates(&[&stream]);
    let master = format!(
        "#EXTM3U\n#EXT-X-VERSION:7\n#EXT-X-INDEPENDENT-SEGMENTS\n#EXT-X-STREAM-INF:{rates},\
         CODECS=\"avc1.42c01e,mp4a.40.2\",RESOLUTION=640x360,FRAME-RATE=25.000\nts/p.m3u8\n"
    );
    files.insert("ts.m3u8".to_owned(), master.into_bytes());
}

/// Still pictures for winding, in an image media playlist.
fn images(files: &mut Files, master: &mut String) {
    master.push_str(
        "#EXT-X-IMAGE-STREAM-INF:BANDWIDTH=20000,RESOLUTION=160x90,CODECS=\"jpeg\",URI=\"images/p.m3u8\"\n",
    );
    let playlist = "#EXTM3U\n#EXT-X-VERSION:7\n#EXT-X-TARGETDURATION:2\n#EXT-X-PLAYLIST-TYPE:VOD\n#EXT-X-IMAGES-ONLY\n#EXTINF:2,\n1.jpg\n#EXT-X-ENDLIST\n";
    files.insert("images/p.m3u8".to_owned(), playlist.as_bytes().to_vec());
    files.insert("images/1.jpg".to_owned(), vec![0xff; 5_000]);
}

/// All its files.
pub(super) fn made(recipe: Recipe) -> Files {
    let mut files = Files::new();
    let scheme = recipe.scheme;
    let large = video(&mut files, "a", 360, 2, [50, 50, 25], recipe);
    let small = video(&mut files, "b", 180, 1, recipe.second, recipe);
    let sound = sound(&mut files, recipe);
    let (wound, init_bytes, head_bytes) = winding(&mut files);
    let texts = Made {
        timescale: 1,
        segments: (1..=3).map(|number| (if number < 3 { 2 } else { 1 }, b"WEBVTT\n\n".to_vec())).collect(),
    };
    for number in 1..=3 {
        files.insert(format!("text/{number}.vtt"), b"WEBVTT\n\n".to_vec());
    }
    let mut master = "#EXTM3U\n#EXT-X-VERSION:7\n#EXT-X-INDEPENDENT-SEGMENTS\n".to_owned();
    scheme.iter().for_each(|scheme| writeln!(master, "#EXT-X-SESSION-KEY:{}", key(*scheme)).unwrap());
    master.push_str("#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"aac\",NAME=\"English\",LANGUAGE=\"en\",DEFAULT=YES,AUTOSELECT=YES,CHANNELS=\"2\",URI=\"sound/p.m3u8\"\n");
    master.push_str("#EXT-X-MEDIA:TYPE=SUBTITLES,GROUP-ID=\"text\",NAME=\"English\",LANGUAGE=\"en\",DEFAULT=NO,AUTOSELECT=YES,URI=\"text/p.m3u8\"\n");
    for (name, made, size) in [("a", &large, "640x360"), ("b", &small, "320x180")] {
        let rates = rates(&[made, &sound, &texts]);
        write!(master, "#EXT-X-STREAM-INF:{rates},CODECS=\"avc1.64001f,mp4a.40.2\",RESOLUTION={size},FRAME-RATE=25.000,AUDIO=\"aac\",SUBTITLES=\"text\"\n{name}/p.m3u8\n").unwrap();
        files.insert(format!("{name}/p.m3u8"), playlist(made, scheme).into_bytes());
    }
    writeln!(
        master,
        "#EXT-X-I-FRAME-STREAM-INF:{},CODECS=\"avc1.64001f\",RESOLUTION=640x360,URI=\"a/i.m3u8\"",
        rates(&[&wound])
    )
    .unwrap();
    images(&mut files, &mut master);
    files.insert("master.m3u8".to_owned(), master.into_bytes());
    files.insert("sound/p.m3u8".to_owned(), playlist(&sound, scheme).into_bytes());
    files.insert("a/i.m3u8".to_owned(), iframe_playlist(&wound, init_bytes, head_bytes).into_bytes());
    let text = playlist(&texts, None).replace("#EXT-X-MAP:URI=\"init.mp4\"\n", "").replace(".m4s", ".vtt");
    files.insert("text/p.m3u8".to_owned(), text.into_bytes());
    if recipe.ts {
        old_devices(&mut files);
    }
    let of_video = |name: &str, made: &Made, size: &str| {
        representation(name, made, &format!("codecs=\"avc1.64001f\" {size} frameRate=\"25\""), 0)
    };
    let (a, b) = (
        of_video("a", &large, "width=\"640\" height=\"360\""),
        of_video("b", &small, "width=\"320\" height=\"180\""),
    );
    let s = representation("sound", &sound, "codecs=\"mp4a.40.2\"", 1024);
    let protection = protection(scheme);
    let most = wound.segments.iter().map(|(_, bytes)| bytes.len() as u64).max().unwrap();
    let wound_bandwidth = bits_a_second(most, Rational::whole(2));
    let last = head_bytes - 1;
    let init_end = init_bytes - 1;
    let seconds = large.ticks() / 25;
    let manifest = format!(
        "<?xml version=\"1.0\"?>\n<MPD xmlns=\"urn:mpeg:dash:schema:mpd:2011\" xmlns:cenc=\"urn:mpeg:cenc:2013\" \
         profiles=\"urn:mpeg:dash:profile:isoff-live:2011\" type=\"static\" mediaPresentationDuration=\"PT{seconds}S\" \
         maxSegmentDuration=\"PT5S\" minBufferTime=\"PT2S\">\n<Period id=\"1\" start=\"PT0S\" duration=\"PT{seconds}S\">\n\
         <AdaptationSet id=\"1\" contentType=\"video\" mimeType=\"video/mp4\" segmentAlignment=\"true\">\n{protection}\
         <Role schemeIdUri=\"urn:mpeg:dash:role:2011\" value=\"main\"/>\n{a}{b}</AdaptationSet>\n\
         <AdaptationSet id=\"2\" contentType=\"video\" mimeType=\"video/mp4\">\n<EssentialProperty \
         schemeIdUri=\"http://dashif.org/guidelines/trickmode\" value=\"1\"/>\n<Representation id=\"i\" \
         bandwidth=\"{wound_bandwidth}\" codecs=\"avc1.64001f\" width=\"640\" height=\"360\">\n<BaseURL>a/iframes.mp4</BaseURL>\n\
         <SegmentBase timescale=\"25\" indexRange=\"{init_bytes}-{last}\"><Initialization range=\"0-{init_end}\"/></SegmentBase>\n\
         </Representation>\n</AdaptationSet>\n\
         <AdaptationSet id=\"3\" contentType=\"audio\" mimeType=\"audio/mp4\" lang=\"en\">\n{protection}{s}</AdaptationSet>\n\
         <AdaptationSet id=\"4\" contentType=\"image\" mimeType=\"image/jpeg\">\n<SegmentTemplate media=\"images/$Number$.jpg\" \
         duration=\"5\" startNumber=\"1\"/>\n<Representation id=\"images\" bandwidth=\"20000\">\n<EssentialProperty \
         schemeIdUri=\"http://dashif.org/guidelines/thumbnail_tile\" value=\"5x5\"/>\n</Representation>\n</AdaptationSet>\n\
         </Period>\n</MPD>\n"
    );
    files.insert("manifest.mpd".to_owned(), manifest.into_bytes());
    files
}
