//! The DASH manifest (ISO/IEC 23009-1) of a finished title, over the same segments as its playlists.
//!
//! Segments have numbers and an exact timeline, in runs of equal durations; or they are byte ranges of one file, whose index says the
//! same. The timeline is that of the samples behind their
//! edit lists (section 7.3.2), as players have it that hand whole segments to a browser: it begins at 0 with the Period, and
//! there is no presentationTimeOffset. Sound is decoded a little earlier: its first segment is shorter in the manifest by what
//! is not heard. The pictures for winding are one file for each rendition with an index.
//!
//! The elements are written here: `dash-mpd-core`, which the tests read them back with, brings the clock of chrono along, and has
//! floating point where durations are.

mod bandwidth;
mod element;

use reel_common::{Colour, Rational, TextName, TextRole, language_tag};

use self::bandwidth::bandwidth;
use self::element::Element;
use crate::hls::{AudioMedia, TextGroup, Variant};
use crate::images::Sprites;
use crate::protect::{ContentProtection, Keys};
use crate::{FileHead, IFrames, Stream, TextFormat, layout};

const LIVE: &str = "urn:mpeg:dash:profile:isoff-live:2011";
const ON_DEMAND: &str = "urn:mpeg:dash:profile:isoff-on-demand:2011";
const CMAF: &str = "urn:mpeg:dash:profile:cmaf:2019";
const ROLE: &str = "urn:mpeg:dash:role:2011";
const SWITCHING: &str = "urn:mpeg:dash:adaptation-set-switching:2016";
const CHANNELS: &str = "urn:mpeg:mpegB:cicp:ChannelConfiguration";
const TRICK_MODE: &str = "http://dashif.org/guidelines/trickmode";
const THUMBNAILS: &str = "http://dashif.org/guidelines/thumbnail_tile";
/// TransferCharacteristics of PQ (ITU-T H.273, table 3).
const PQ: u8 = 16;

/// Of what is in ContentProtection.
const NAMESPACES: [(&str, &str); 3] = [
    ("xmlns:cenc", "urn:mpeg:cenc:2013"),
    ("xmlns:mspr", "urn:microsoft:playready"),
    ("xmlns:dashif", "https://dashif.org/CPS"),
];

/// What a manifest names.
#[derive(Clone, Copy, Debug)]
pub struct Manifest<'a> {
    /// The ladder. The first is as long as the title.
    pub variants: &'a [Variant<'a>],
    /// The sound.
    pub audio: &'a [AudioMedia<'a>],
    /// Texts in segments; those of WebVTT are for HLS alone.
    pub texts: &'a [TextGroup],
    /// Texts that are files of WebVTT by themselves, with their bytes.
    pub text_files: &'a [(TextName, u64)],
    /// The thumbnails.
    pub sprites: Option<&'a Sprites>,
}

impl Manifest<'_> {
    /// Its text.
    pub fn text(&self) -> String {
        let duration = self.duration();
        let longest_ms = self.longest_segment_ms();
        let mut sets = Sets { made: Vec::new(), buffer_ms: longest_ms };
        sets.video(self.variants);
        self.audio.iter().enumerate().for_each(|(number, track)| sets.audio(track, &self.audio[..number]));
        for group in self.texts.iter().filter(|group| group.format == TextFormat::Imsc1) {
            group.texts.iter().for_each(|(name, stream)| sets.text(name, stream));
        }
        self.text_files.iter().for_each(|(name, bytes)| sets.text_file(name, *bytes, duration));
        self.sprites.into_iter().for_each(|sprites| sets.thumbnails(sprites));
        let period = Element::new("Period")
            .with("id", 1)
            .with("start", "PT0S")
            .with("duration", seconds(duration))
            .holding(sets.made);
        let longest = milliseconds(longest_ms.max(self.sheet_ms()));
        // A segment is the whole file in the other profile.
        let (profile, longest_segment) = match self.variants.first().and_then(|first| first.stream.head) {
            Some(_) => (ON_DEMAND, None),
            None => (LIVE, Some(("maxSegmentDuration", &longest))),
        };
        Element::new("MPD")
            .with("xmlns", "urn:mpeg:dash:schema:mpd:2011")
            .with_all(self.is_protected().then_some(NAMESPACES).into_iter().flatten())
            .with("profiles", format_args!("{profile},{CMAF}"))
            .with("type", "static")
            .with("mediaPresentationDuration", seconds(duration))
            .with_all(longest_segment)
            .with("minBufferTime", milliseconds(longest_ms))
            .holding([period])
            .document()
    }

    fn is_protected(&self) -> bool {
        let keys = self.variants.iter().map(|variant| variant.keys);
        keys.chain(self.audio.iter().map(|track| track.keys)).any(|keys| keys.is_some())
    }

    /// Seconds of the title.
    fn duration(&self) -> Rational {
        let first = self.variants.first().map(|variant| variant.stream);
        let of =
            |stream: &Stream| Rational::new(i64::try_from(stream.duration()).ok()?, stream.timescale.into());
        first.and_then(of).unwrap_or(Rational::ZERO)
    }

    /// Milliseconds of a sheet of thumbnails, which is a segment too.
    fn sheet_ms(&self) -> u64 {
        self.sprites.map_or(0, sheet_ms)
    }

    /// The longest segment of pictures or sound in milliseconds, rounded up, which a client buffers before it begins.
    fn longest_segment_ms(&self) -> u64 {
        let video = self.variants.iter().map(|variant| variant.stream);
        let streams = video.chain(self.audio.iter().map(|track| track.stream));
        let longest = |stream: &Stream| {
            let ticks = stream.segments.iter().map(|segment| segment.ticks).max().unwrap_or(0);
            (ticks * 1000).div_ceil(stream.timescale.into())
        };
        streams.map(longest).max().unwrap_or(0).max(1)
    }
}

fn sheet_ms(sprites: &Sprites) -> u64 {
    u64::from(sprites.every_ms) * u64::from(sprites.columns) * u64::from(sprites.rows)
}

fn milliseconds(ms: u64) -> String {
    seconds(Rational::from_millis(ms as i64))
}

/// An xs:duration, exact where ten to the ninth parts of a second are, and else rounded up, so that no segment lasts longer.
fn seconds(duration: Rational) -> String {
    let billionths = i128::from(duration.num()) * 1_000_000_000;
    let billionths = (billionths + i128::from(duration.den()) - 1).div_euclid(duration.den().into());
    let (whole, rest) = (billionths / 1_000_000_000, billionths % 1_000_000_000);
    match rest {
        0 => format!("PT{whole}S"),
        _ => format!("PT{whole}.{}S", format!("{rest:09}").trim_end_matches('0')),
    }
}

/// The AdaptationSets on their way. Their ids count from 1.
struct Sets {
    made: Vec<Element>,
    buffer_ms: u64,
}

impl Sets {
    fn next(&self, content: &str, mime: &str) -> Element {
        let id = self.made.len() + 1;
        Element::new("AdaptationSet").with("id", id).with("contentType", content).with("mimeType", mime)
    }

    /// A set for each codec, between which players may switch, and after them one of pictures for winding for each.
    fn video(&mut self, variants: &[Variant<'_>]) {
        let mut groups: Vec<Vec<&Variant<'_>>> = Vec::new();
        for variant in variants {
            match groups.iter_mut().find(|group| is_switchable(group[0], variant)) {
                Some(group) => group.push(variant),
                None => groups.push(vec![variant]),
            }
        }
        for number in 1..=groups.len() {
            let group = &groups[number - 1];
            let others: Vec<_> =
                (1..=groups.len()).filter(|other| *other != number).map(|id| id.to_string()).collect();
            let switching =
                (!others.is_empty()).then(|| descriptor("SupplementalProperty", SWITCHING, others.join(",")));
            let set = aligned(self.next("video", "video/mp4"), group[0].stream)
                .holding(protection(group[0].keys))
                .holding(colours(group[0].colour))
                .holding(switching)
                .holding([role("main")])
                .holding(template(group[0].stream, 0))
                .holding(group.iter().map(|variant| self.rendition(variant)));
            self.made.push(set);
        }
        for (number, group) in (1..).zip(&groups) {
            self.winding(number, group);
        }
    }

    fn rendition(&self, variant: &Variant<'_>) -> Element {
        let id = layout::video_folder(variant.rendition);
        let Variant { stream, codec, frames, .. } = variant;
        let representation = self.representation(&id, stream).with("codecs", codec);
        picture(representation, variant, *frames, stream).holding(media_file(&id, stream))
    }

    /// The pictures for winding through the set with this id.
    fn winding(&mut self, main: usize, group: &[&Variant<'_>]) {
        let files: Vec<_> = group.iter().filter_map(|variant| Some((*variant, variant.iframes?))).collect();
        if files.is_empty() {
            return;
        }
        let set = self
            .next("video", "video/mp4")
            .with("subsegmentAlignment", true)
            .with("subsegmentStartsWithSAP", 1)
            .holding([descriptor("EssentialProperty", TRICK_MODE, main)])
            .holding(colours(group[0].colour))
            .holding([role("main")])
            .holding(files.iter().map(|(variant, iframes)| self.file_of_pictures(variant, iframes)));
        self.made.push(set);
    }

    fn file_of_pictures(&self, variant: &Variant<'_>, iframes: &IFrames) -> Element {
        let folder = layout::video_folder(variant.rendition);
        let IFrames { stream, head } = iframes;
        let pictures = stream.segments.len() as u64;
        // As many pictures a second as the rendition itself shows.
        let fastest = (variant.frames / pictures.max(1)).max(1);
        let representation =
            self.representation(&format!("{folder}/iframes"), stream).with("codecs", variant.codec);
        picture(representation, variant, pictures, stream)
            .with("codingDependency", false)
            .with("maxPlayoutRate", fastest)
            .holding(indexed(format_args!("{folder}/{}", layout::IFRAMES), stream.timescale, *head))
    }

    fn audio(&mut self, track: &AudioMedia<'_>, earlier: &[AudioMedia<'_>]) {
        let AudioMedia { stream, codec, channels, priming, language, keys, .. } = track;
        // Of what is in one language and form, the first is what is meant; players choose by that.
        let same = |other: &AudioMedia<'_>| {
            (other.codec, other.channels) == (*codec, *channels)
                && language_tag(other.language) == language_tag(language)
        };
        let value = if earlier.iter().any(same) { "alternate" } else { "main" };
        // Each has the same number in ChannelConfiguration (ISO/IEC 23091-3), but 7.1.
        let configuration = match channels {
            1..=6 => Some(*channels),
            8 => Some(12),
            _ => None,
        };
        let id = layout::audio_folder(track.track);
        let set = aligned(with_language(self.next("audio", "audio/mp4"), language), stream)
            .holding(configuration.map(|value| descriptor("AudioChannelConfiguration", CHANNELS, value)))
            .holding(protection(*keys))
            .holding([Element::new("Label").saying(track.track), role(value)])
            .holding(template(stream, *priming))
            .holding([self
                .representation(&id, stream)
                .with("codecs", codec)
                .with("audioSamplingRate", stream.timescale)
                .holding(media_file(&id, stream))]);
        self.made.push(set);
    }

    /// Documents of IMSC 1 Text in segments.
    fn text(&mut self, name: &TextName, stream: &Stream) {
        let id = layout::text_folder(TextFormat::Imsc1, &name.to_string());
        let codec = TextFormat::Imsc1.codec().unwrap_or_default();
        let representation =
            self.representation(&id, stream).with("codecs", codec).holding(media_file(&id, stream));
        let set = aligned(with_language(self.next("text", "application/mp4"), &name.language), stream)
            .holding(purpose(name))
            .holding(template(stream, 0))
            .holding([representation]);
        self.made.push(set);
    }

    /// WebVTT as one file, which has no segments in DASH.
    fn text_file(&mut self, name: &TextName, bytes: u64, duration: Rational) {
        let path = layout::text_file(&name.to_string());
        let rate = i64::try_from(bytes * 8).ok().and_then(|bits| Rational::whole(bits).checked_div(duration));
        let representation = Element::new("Representation")
            .with("id", format_args!("subtitles/{name}"))
            .with("bandwidth", rate.map_or(1, |rate| rate.ceil().max(1)))
            .holding([Element::new("BaseURL").saying(path)]);
        let set = with_language(self.next("text", "text/vtt"), &name.language);
        self.made.push(set.holding(purpose(name)).holding([representation]));
    }

    /// Thumbnails as DASH-IF has them (Guidelines for Implementation, section 6.2.6): a sheet is a segment, and all are of one
    /// length, past the end of the title too.
    fn thumbnails(&mut self, sprites: &Sprites) {
        let Sprites { width, height, columns, rows, stream, .. } = sprites;
        let sheet_ms = sheet_ms(sprites);
        let largest = stream.segments.iter().map(|sheet| sheet.bytes).max().unwrap_or(0);
        let template = Element::new("SegmentTemplate")
            .with("media", format_args!("{}/sprite_$Number%05d$.jpg", layout::IMAGES))
            .with("timescale", 1000)
            .with("duration", sheet_ms)
            .with("startNumber", 1);
        let representation = Element::new("Representation")
            .with("id", layout::IMAGES)
            .with("bandwidth", (largest * 8 * 1000).div_ceil(sheet_ms.max(1)).max(1))
            .with("width", width * columns)
            .with("height", height * rows)
            .holding([descriptor("EssentialProperty", THUMBNAILS, format_args!("{columns}x{rows}"))]);
        self.made.push(self.next("image", "image/jpeg").holding([template, representation]));
    }

    fn representation(&self, id: &str, stream: &Stream) -> Element {
        Element::new("Representation").with("id", id).with("bandwidth", bandwidth(stream, self.buffer_ms))
    }
}

/// Whether a player may go from one to the other within a set: one codec, colours and timeline.
fn is_switchable(one: &Variant<'_>, other: &Variant<'_>) -> bool {
    let entry = |variant: &Variant<'_>| variant.codec.split('.').next().map(str::to_owned);
    let ticks =
        |stream: &Stream| -> Vec<u64> { stream.segments.iter().map(|segment| segment.ticks).collect() };
    entry(one) == entry(other)
        && one.keys.map(|keys| &keys.descriptors) == other.keys.map(|keys| &keys.descriptors)
        && one.colour == other.colour
        && one.stream.timescale == other.stream.timescale
        && ticks(one.stream) == ticks(other.stream)
}

/// What is said of pictures, of which there are so many in a stream; all have square samples.
fn picture(representation: Element, variant: &Variant<'_>, pictures: u64, stream: &Stream) -> Element {
    // Where the rate varies its mean is meant.
    let mean = || {
        let pictures = i64::try_from(pictures).ok()?.checked_mul(stream.timescale.into())?;
        Rational::new(pictures, i64::try_from(stream.duration()).ok()?)
    };
    let representation =
        representation.with("width", variant.width).with("height", variant.height).with("sar", "1:1");
    match mean() {
        Some(rate) if rate.den() == 1 => representation.with("frameRate", rate.num()),
        Some(rate) => representation.with("frameRate", format_args!("{}/{}", rate.num(), rate.den())),
        None => representation,
    }
}

/// Segments, or subsegments of a file, that begin together in all of a set, and with a picture that is shown first.
fn aligned(set: Element, stream: &Stream) -> Element {
    let (alignment, start) = match stream.head {
        Some(_) => ("subsegmentAlignment", "subsegmentStartsWithSAP"),
        None => ("segmentAlignment", "startWithSAP"),
    };
    set.with(alignment, true).with(start, 1)
}

/// The file of a stream, where there is one, in the folder that is the id of its Representation.
fn media_file(id: &str, stream: &Stream) -> Vec<Element> {
    let file =
        stream.head.map(|head| indexed(format_args!("{id}/{}", layout::MEDIA), stream.timescale, head));
    file.into_iter().flatten().collect()
}

/// A file of subsegments with an index.
fn indexed(path: std::fmt::Arguments<'_>, timescale: u32, head: FileHead) -> [Element; 2] {
    let FileHead { init_bytes, .. } = head;
    let base = Element::new("SegmentBase")
        .with("timescale", timescale)
        .with("indexRange", format_args!("{init_bytes}-{}", head.bytes() - 1))
        .with("indexRangeExact", true)
        .holding([Element::new("Initialization").with("range", format_args!("0-{}", init_bytes - 1))]);
    [Element::new("BaseURL").saying(path), base]
}

/// Numbered segments beside their header, in the folder that is the id of the Representation; nothing where the Representation names
/// its file. Of the first, `unheard` ticks are not presented.
fn template(stream: &Stream, unheard: u64) -> Option<Element> {
    if stream.head.is_some() {
        return None;
    }
    let mut runs: Vec<(u64, u64)> = Vec::new();
    for (number, segment) in stream.segments.iter().enumerate() {
        let ticks = if number == 0 { segment.ticks.saturating_sub(unheard).max(1) } else { segment.ticks };
        match runs.last_mut() {
            Some((run, more)) if *run == ticks => *more += 1,
            _ => runs.push((ticks, 0)),
        }
    }
    let runs = runs.iter().enumerate().map(|(number, (ticks, more))| {
        let run = Element::new("S");
        let run = if number == 0 { run.with("t", 0) } else { run };
        let run = run.with("d", ticks);
        if *more > 0 { run.with("r", more) } else { run }
    });
    let template = Element::new("SegmentTemplate")
        .with("timescale", stream.timescale)
        .with("initialization", format_args!("$RepresentationID$/{}", layout::INIT))
        .with("media", "$RepresentationID$/seg_$Number%05d$.m4s")
        .with("startNumber", 1)
        .holding([Element::new("SegmentTimeline").holding(runs)]);
    Some(template)
}

/// The colours that are known (ITU-T H.273). PQ shown as anything else is wrong, so that a player has to know it; HLG is made to be
/// shown by those who do not.
fn colours(colour: Colour) -> Vec<Element> {
    let name = if colour.transfer == PQ { "EssentialProperty" } else { "SupplementalProperty" };
    let all = [
        ("urn:mpeg:mpegB:cicp:ColourPrimaries", colour.primaries),
        ("urn:mpeg:mpegB:cicp:TransferCharacteristics", colour.transfer),
        ("urn:mpeg:mpegB:cicp:MatrixCoefficients", colour.matrix),
    ];
    // 2 is unspecified in all three.
    all.into_iter()
        .filter(|(_, code)| *code != 2)
        .map(|(scheme, code)| descriptor(name, scheme, code))
        .collect()
}

/// The keys of a set (DASH-IF Guidelines, Security).
fn protection(keys: Option<&Keys>) -> Vec<Element> {
    let one = |told: &ContentProtection| {
        let element = Element::new("ContentProtection").with("schemeIdUri", &told.scheme_id_uri);
        let value = told.value.map(|value| ("value", value.to_owned()));
        let key_id = told.default_key_id.clone().map(|id| ("cenc:default_KID", id));
        let inside =
            [("cenc:pssh", &told.pssh), ("mspr:pro", &told.pro), ("dashif:Laurl", &told.licence_url)];
        let inside =
            inside.into_iter().filter_map(|(name, text)| Some(Element::new(name).saying(text.as_ref()?)));
        element.with_all(value.into_iter().chain(key_id)).holding(inside)
    };
    keys.iter().flat_map(|keys| &keys.descriptors).map(one).collect()
}

/// What a text is called, and whom it is for.
fn purpose(name: &TextName) -> Vec<Element> {
    let value = match name.role {
        TextRole::Subtitles => "subtitle",
        TextRole::Captions => "caption",
        TextRole::Forced => "forced-subtitle",
    };
    let heard = (name.role == TextRole::Captions).then(|| descriptor("Accessibility", ROLE, value));
    let label = Element::new("Label").saying(name);
    [label].into_iter().chain(heard).chain([role(value)]).collect()
}

fn with_language(set: Element, language: &str) -> Element {
    match language_tag(language) {
        Some(tag) => set.with("lang", tag),
        None => set,
    }
}

fn role(value: &str) -> Element {
    descriptor("Role", ROLE, value)
}

fn descriptor(name: &'static str, scheme: &str, value: impl std::fmt::Display) -> Element {
    Element::new(name).with("schemeIdUri", scheme).with("value", value)
}

#[cfg(test)]
mod tests;
