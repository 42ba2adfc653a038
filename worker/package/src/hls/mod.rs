//! HLS playlists (RFC 8216bis) of a finished title.

use std::fmt::Write;

use reel_common::{Colour, Rational, TextName, TextRole, language_tag};

use crate::protect::Keys;
use crate::{IFrames, Stream, TextFormat, layout};

/// Fragmented MP4 with EXT-X-MAP and rounded durations takes version 7.
const VERSION: u32 = 7;

/// A video rendition in a master playlist or manifest.
#[derive(Clone, Debug)]
pub struct Variant<'a> {
    /// Name of the rendition.
    pub rendition: &'a str,
    /// Its segments.
    pub stream: &'a Stream,
    /// What RFC 6381 calls its codec.
    pub codec: &'a str,
    /// Coded width in samples.
    pub width: u32,
    /// Coded height in samples.
    pub height: u32,
    /// Frames a second; the highest where it varies, or `None` where that is unknown.
    pub frame_rate: Option<Rational>,
    /// How many frames it has.
    pub frames: u64,
    /// The colours that its bitstream says it has.
    pub colour: Colour,
    /// The first pictures of its segments, where there is a file of them.
    pub iframes: Option<&'a IFrames>,
    /// Its keys, where it is encrypted.
    pub keys: Option<&'a Keys>,
}

/// An audio track in a master playlist or manifest.
#[derive(Clone, Debug)]
pub struct AudioMedia<'a> {
    /// Name of the track.
    pub track: &'a str,
    /// Its segments.
    pub stream: &'a Stream,
    /// What RFC 6381 calls its codec.
    pub codec: &'a str,
    /// Number of channels.
    pub channels: u32,
    /// Ticks at the beginning of the first segment that are decoded and not heard.
    pub priming: u64,
    /// ISO 639-2 code or BCP 47 tag; empty where undetermined.
    pub language: &'a str,
    /// Its keys, where it is encrypted.
    pub keys: Option<&'a Keys>,
}

/// The texts of a title in one format.
#[derive(Clone, Debug)]
pub struct TextGroup {
    /// The format.
    pub format: TextFormat,
    /// What each is known by, and its segments.
    pub texts: Vec<(TextName, Stream)>,
}

/// The media playlist of a rendition or track, whose segments are files or byte ranges of one (RFC 8216bis, sections 4.4.4.2 and
/// 4.4.4.5). Its keys are told before the first segment that they are for.
pub fn media_playlist(stream: &Stream, target_duration: u64, keys: Option<&Keys>) -> String {
    let Some(head) = stream.head else {
        let map = format!("#EXT-X-MAP:URI=\"{}\"\n", layout::INIT);
        return playlist(stream, target_duration, &map, (0..).map(layout::segment), keys);
    };
    let map = format!("#EXT-X-MAP:URI=\"{}\",BYTERANGE=\"{}@0\"\n", layout::MEDIA, head.init_bytes);
    let ranges = stream.byte_ranges(head).map(|range| format!("#EXT-X-BYTERANGE:{range}\n{}", layout::MEDIA));
    playlist(stream, target_duration, &map, ranges, keys)
}

/// The media playlist of a text whose segments are files of WebVTT.
pub fn webvtt_playlist(stream: &Stream, target_duration: u64) -> String {
    playlist(stream, target_duration, "", (0..).map(layout::text_segment), None)
}

fn playlist(
    stream: &Stream,
    target_duration: u64,
    map: &str,
    segments: impl Iterator<Item = String>,
    keys: Option<&Keys>,
) -> String {
    let mut text = format!(
        "#EXTM3U\n#EXT-X-VERSION:{VERSION}\n#EXT-X-TARGETDURATION:{target_duration}\n\
         #EXT-X-MEDIA-SEQUENCE:0\n#EXT-X-PLAYLIST-TYPE:VOD\n#EXT-X-INDEPENDENT-SEGMENTS\n{map}"
    );
    for ((number, duration), segment) in (0..).zip(stream.durations_us()).zip(segments) {
        let (seconds, millionths) = (duration / 1_000_000, duration % 1_000_000);
        let told_here = keys.filter(|keys| keys.clear_segments == number);
        for key in told_here.iter().flat_map(|keys| &keys.lines) {
            line(&mut text, format_args!("{key}"));
        }
        line(&mut text, format_args!("#EXTINF:{seconds}.{millionths:06},"));
        line(&mut text, format_args!("{segment}"));
    }
    text.push_str("#EXT-X-ENDLIST\n");
    text
}

/// The same media playlist while its title is made: segments are added to it, and a player begins with the first one
/// (RFC 8216bis, sections 4.4.3.5 and 4.4.2.2).
pub fn growing(playlist: &str) -> String {
    let event = "#EXT-X-PLAYLIST-TYPE:EVENT\n#EXT-X-START:TIME-OFFSET=0,PRECISE=YES\n";
    playlist.replace("#EXT-X-PLAYLIST-TYPE:VOD\n", event).replace("#EXT-X-ENDLIST\n", "")
}

/// The master playlist. Each rendition is listed with each group of sound and each format of text, in the order of ladder,
/// tracks and formats; a player begins with the first.
pub fn master_playlist(
    variants: &[Variant<'_>],
    audio: &[AudioMedia<'_>],
    texts: &[TextGroup],
    target_duration: u64,
) -> String {
    let mut text = format!("#EXTM3U\n#EXT-X-VERSION:{VERSION}\n#EXT-X-INDEPENDENT-SEGMENTS\n");
    let keys =
        variants.iter().filter_map(|variant| variant.keys).chain(audio.iter().filter_map(|track| track.keys));
    let told: Vec<&String> = keys.flat_map(|keys| &keys.session_lines).collect();
    for (_, key) in told.iter().enumerate().filter(|(number, key)| !told[..*number].contains(key)) {
        line(&mut text, format_args!("{key}"));
    }
    let groups = groups(audio);
    for group in &groups {
        for (number, member) in group.members.iter().enumerate() {
            line(&mut text, format_args!("{}", media(&group.id, member, number == 0)));
        }
    }
    for group in texts {
        for (number, (name, _)) in group.texts.iter().enumerate() {
            line(&mut text, format_args!("{}", text_media(group.format, name, &group.texts[..number])));
        }
    }
    let sounds = or_none(groups.iter());
    let shown = or_none(texts.iter());
    for (sound, text_group) in sounds.iter().flat_map(|sound| shown.iter().map(move |text| (*sound, *text))) {
        for variant in variants {
            line(&mut text, format_args!("{}", stream_inf(variant, sound, text_group, target_duration)));
            line(&mut text, format_args!("{}/{}", layout::video_folder(variant.rendition), layout::PLAYLIST));
        }
    }
    for variant in variants {
        if let Some(iframes) = variant.iframes {
            line(&mut text, format_args!("{}", i_frame_stream_inf(variant, iframes, target_duration)));
        }
    }
    text
}

/// Each of some, or nothing once.
fn or_none<'a, T>(some: impl Iterator<Item = &'a T>) -> Vec<Option<&'a T>> {
    let all: Vec<_> = some.map(Some).collect();
    if all.is_empty() { vec![None] } else { all }
}

fn text_media(format: TextFormat, name: &TextName, earlier: &[(TextName, Stream)]) -> String {
    let uri = format!("{}/{}", layout::text_folder(format, &name.to_string()), layout::PLAYLIST);
    let language = language_tag(&name.language).map(|tag| format!("LANGUAGE=\"{tag}\",")).unwrap_or_default();
    // Members that a player may choose by itself have to differ in language or kind.
    let same = |(other, _): &(TextName, Stream)| {
        other.role == name.role && language_tag(&other.language) == language_tag(&name.language)
    };
    let autoselect = if earlier.iter().any(same) { "NO" } else { "YES" };
    let role = match name.role {
        TextRole::Subtitles => "",
        TextRole::Forced => "FORCED=YES,",
        TextRole::Captions => {
            "CHARACTERISTICS=\"public.accessibility.transcribes-spoken-dialog,\
             public.accessibility.describes-music-and-sound\","
        }
    };
    format!(
        "#EXT-X-MEDIA:TYPE=SUBTITLES,GROUP-ID=\"{}\",NAME=\"{name}\",{language}DEFAULT=NO,AUTOSELECT={autoselect},{role}\
         URI=\"{uri}\"",
        format.name()
    )
}

/// Tracks between which a player chooses by language: all of one codec and number of channels.
struct Group<'a> {
    id: String,
    members: Vec<Member<'a>>,
}

/// A track in a group.
struct Member<'a> {
    track: &'a AudioMedia<'a>,
    /// What it is called there.
    name: &'a str,
    /// How many tracks of its language stand before it in its own group.
    among_language: usize,
}

impl Member<'_> {
    /// Whether two say the same, each in its codec.
    fn corresponds(&self, other: &Member<'_>) -> bool {
        let tags = [self, other].map(|member| language_tag(member.track.language));
        tags[0] == tags[1] && self.among_language == other.among_language
    }
}

/// The groups, in the order of their first tracks. All have corresponding members under the same names, as RFC 8216bis,
/// section 4.4.6.1.1, wants it: what a group lacks is taken from the first that has it.
fn groups<'a>(audio: &'a [AudioMedia<'a>]) -> Vec<Group<'a>> {
    let mut groups: Vec<Group<'_>> = Vec::new();
    for track in audio {
        let id = group_id(track);
        let at = groups.iter().position(|group| group.id == id).unwrap_or_else(|| {
            groups.push(Group { id, members: Vec::new() });
            groups.len() - 1
        });
        let tag = language_tag(track.language);
        let same = groups[at].members.iter().filter(|member| language_tag(member.track.language) == tag);
        let member = Member { track, name: track.track, among_language: same.count() };
        groups[at].members.push(member);
    }
    let mut all: Vec<Member<'_>> = Vec::new();
    for Member { track, name, among_language } in groups.iter().flat_map(|group| &group.members) {
        let member = Member { track, name, among_language: *among_language };
        if !all.iter().any(|known| known.corresponds(&member)) {
            all.push(member);
        }
    }
    for group in &mut groups {
        let members = all.iter().map(|known| {
            let own = group.members.iter().find(|member| member.corresponds(known)).unwrap_or(known);
            Member { track: own.track, name: known.name, among_language: known.among_language }
        });
        group.members = members.collect();
    }
    groups
}

/// Codec and layout, as the names of profiles say them.
fn group_id(track: &AudioMedia<'_>) -> String {
    let codec = track.codec.split('.').next().unwrap_or_default();
    let codec = if codec == "mp4a" { "aac" } else { codec };
    let layout = match track.channels {
        1 => "mono".to_owned(),
        2 => "stereo".to_owned(),
        6 => "5.1".to_owned(),
        8 => "7.1".to_owned(),
        other => other.to_string(),
    };
    format!("{}-{layout}", codec.to_ascii_lowercase())
}

fn media(group: &str, member: &Member<'_>, is_default: bool) -> String {
    let name = quoted(member.name);
    let uri = format!("{}/{}", layout::audio_folder(member.track.track), layout::PLAYLIST);
    let default = if is_default { "YES" } else { "NO" };
    // Members that a player may choose by itself have to differ in language.
    let autoselect = if member.among_language == 0 { "YES" } else { "NO" };
    let language = language_tag(member.track.language);
    let language = language.map(|tag| format!("LANGUAGE=\"{tag}\",")).unwrap_or_default();
    format!(
        "#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"{group}\",NAME=\"{name}\",{language}DEFAULT={default},\
         AUTOSELECT={autoselect},CHANNELS=\"{}\",URI=\"{}\"",
        member.track.channels,
        quoted(&uri)
    )
}

fn stream_inf(
    variant: &Variant<'_>,
    group: Option<&Group<'_>>,
    texts: Option<&TextGroup>,
    target_duration: u64,
) -> String {
    let members = || group.into_iter().flat_map(|group| &group.members).map(|member| member.track);
    let mut codecs = vec![variant.codec];
    for track in members() {
        if !codecs.contains(&track.codec) {
            codecs.push(track.codec);
        }
    }
    codecs.extend(texts.and_then(|texts| texts.format.codec()));
    let rates = |stream: &Stream| (stream.peak_bps(target_duration), stream.average_bps());
    let (mut peak, mut average) = rates(variant.stream);
    peak += members().map(|track| rates(track.stream).0).max().unwrap_or(0);
    average += members().map(|track| rates(track.stream).1).max().unwrap_or(0);
    let shown = || texts.into_iter().flat_map(|group| &group.texts).map(|(_, stream)| rates(stream));
    peak += shown().map(|(peak, _)| peak).max().unwrap_or(0);
    average += shown().map(|(_, average)| average).max().unwrap_or(0);
    let range = video_range(variant.colour);
    let frame_rate = variant.frame_rate.map(frame_rate).unwrap_or_default();
    let group = group.map(|group| format!(",AUDIO=\"{}\"", group.id)).unwrap_or_default();
    let subtitles = texts.map(|texts| format!(",SUBTITLES=\"{}\"", texts.format.name())).unwrap_or_default();
    format!(
        "#EXT-X-STREAM-INF:BANDWIDTH={peak},AVERAGE-BANDWIDTH={average},CODECS=\"{}\",RESOLUTION={}x{}{frame_rate},\
         VIDEO-RANGE={range}{group}{subtitles},CLOSED-CAPTIONS=NONE",
        codecs.join(","),
        variant.width,
        variant.height
    )
}

/// The line that names the pictures for winding: of what other lines say, nothing about sound, texts and frame rate (RFC 8216bis,
/// section 4.4.6.3).
fn i_frame_stream_inf(variant: &Variant<'_>, iframes: &IFrames, target_duration: u64) -> String {
    let Variant { rendition, codec, width, height, colour, .. } = variant;
    let (peak, average) = (iframes.stream.peak_bps(target_duration), iframes.stream.average_bps());
    format!(
        "#EXT-X-I-FRAME-STREAM-INF:BANDWIDTH={peak},AVERAGE-BANDWIDTH={average},CODECS=\"{codec}\",\
         RESOLUTION={width}x{height},VIDEO-RANGE={},URI=\"{}/{}\"",
        video_range(*colour),
        layout::video_folder(rendition),
        layout::IFRAMES_PLAYLIST
    )
}

fn video_range(colour: Colour) -> &'static str {
    match colour.transfer {
        16 => "PQ",
        18 => "HLG",
        _ => "SDR",
    }
}

/// The attribute with three decimals, rounded to the nearest.
pub(crate) fn frame_rate(rate: Rational) -> String {
    let thousandths = rate.checked_mul(Rational::whole(1000)).map_or(0, Rational::round);
    format!(",FRAME-RATE={}.{:03}", thousandths / 1000, thousandths % 1000)
}

/// A quoted-string holds no quotes and no line breaks (RFC 8216bis, section 4.2), and knows no escape.
fn quoted(text: &str) -> String {
    text.chars().map(|c| if c == '"' || c.is_control() { '_' } else { c }).collect()
}

pub(crate) fn line(text: &mut String, line: std::fmt::Arguments<'_>) {
    // Writing to a string cannot fail.
    let _ = writeln!(text, "{line}");
}

#[cfg(test)]
mod tests;
