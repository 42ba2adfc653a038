//! Whether a mezzanine is taken, by the admission rules of the profile; and which source stream each track takes.

use std::ops::Range;

use reel_common::{AudioFacts, Colour, Flag, IndexSummary, Rational, Scan, Timing, language_tag};

use crate::ladder::Display;
use crate::text::decimal;
use crate::types::{
    Action, AudioTrack, BitDepth, Fields, HDR_TRANSFERS, Profile, Rendition, Rule, SourceChannel,
};

/// ColourPrimaries of BT.2020, and MatrixCoefficients that go with it in BT.2100: 9 is not constant luminance, 10 is, 14
/// is ICtCp; RGB has none.
const BT2020: u8 = 9;
const HDR_MATRICES: [u8; 4] = [0, 9, 10, 14];
/// The code point of a value that is not known.
const UNSPECIFIED: u8 = 2;

/// Something that the user should know about a job that goes on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warning(pub String);

impl std::fmt::Display for Warning {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// What admission has to say of a job that goes on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Admitted {
    /// What the user should know.
    pub warnings: Vec<Warning>,
    /// What is kept for a later look.
    pub flags: Vec<Flag>,
}

/// Why a mezzanine is not taken: every rule that it breaks.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("profile `{profile}` rejects the mezzanine: {}", .reasons.join("; "))]
pub struct Rejection {
    /// The profile's name.
    pub profile: String,
    /// One reason for each rule.
    pub reasons: Vec<String>,
}

/// Consecutive frames of a title that are all black, or all alike.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stretch {
    /// The frames.
    pub frames: Range<u64>,
    /// Seconds from the start of the title at which the first of them is shown.
    pub start: Rational,
    /// And at which the last of them is shown no more.
    pub end: Rational,
    /// For how long they are shown.
    pub seconds: Rational,
}

/// What an audio track is made from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrackSource {
    /// Number of the `[[audio]]` entry of the profile, from 0.
    pub track: u32,
    /// Where its sound comes from.
    pub input: TrackInput,
}

/// Where the sound of a track comes from. Streams are places in the index's list of audio streams (not the container's
/// stream numbers), from 0.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TrackInput {
    /// A whole stream, mixed to the channels of the track.
    Stream(u32),
    /// For each channel of the track a stream and the channel in it, from 0.
    Channels(Vec<(u32, u32)>),
}

impl Profile {
    /// Holds the facts of a mezzanine against the admission rules.
    ///
    /// # Errors
    /// [`Rejection`] with every reason, where a rule rejects or where no ladder or grid can be made.
    pub fn admit(&self, index: &IndexSummary) -> Result<Admitted, Rejection> {
        let mut verdict = Verdict::default();
        match self.ladder(&index.video) {
            Ok(_) => self.warn_of_heights(index, &mut verdict),
            Err(error) => verdict.reasons.push(error.to_string()),
        }
        if let Err(error) = self.grid(index) {
            verdict.reasons.push(error.to_string());
        }
        self.apply_rules(index, &mut verdict);
        verdict.of(self)
    }

    /// Holds the black and the frozen stretches of a title against the admission rules, the longest of each.
    ///
    /// # Errors
    /// [`Rejection`] where a rule rejects.
    pub fn admit_pictures(&self, black: &[Stretch], frozen: &[Stretch]) -> Result<Admitted, Rejection> {
        let rules = &self.admission;
        let mut verdict = Verdict::default();
        for (key, rule, stretches, what) in [
            ("max_black_s", rules.max_black_s, black, "black"),
            ("max_frozen_s", rules.max_frozen_s, frozen, "frozen"),
        ] {
            // Of several that are as long, the first.
            let longest = stretches.iter().rev().max_by_key(|stretch| stretch.seconds);
            let Some((Rule { limit, action }, longest)) = rule.zip(longest) else { continue };
            if longest.seconds > limit {
                let (seconds, start) = (plain(longest.seconds), plain(longest.start));
                let (frame, limit) = (longest.frames.start, plain(limit));
                let text = format!(
                    "it is {what} for {seconds} s, from {start} s (frame {frame}) on, and `{key}` is {limit}"
                );
                verdict.add(action, key, (seconds, Some(limit)), text);
            }
        }
        verdict.of(self)
    }

    /// The tracks that are made of a source, in profile order: a track with `sources` takes those channels, one with a
    /// language the first stream of that language, any other the first stream. A track whose source is not there is left
    /// out.
    pub fn tracks(&self, streams: &[AudioFacts]) -> Vec<TrackSource> {
        let tracks = (0..).zip(&self.audio);
        tracks
            .filter_map(|(track, entry)| Some(TrackSource { track, input: input(entry, streams).ok()? }))
            .collect()
    }

    fn apply_rules(&self, index: &IndexSummary, verdict: &mut Verdict) {
        self.apply_limits(index, verdict);
        self.apply_to_fields(index, verdict);
        self.apply_to_colours(index, verdict);
        self.apply_to_sound(index, verdict);
    }

    /// Duration, height and frame rate.
    fn apply_limits(&self, index: &IndexSummary, verdict: &mut Verdict) {
        let rules = &self.admission;
        let (duration, rate) = (index.duration, index.timing.rate());
        let height = Display::of(&index.video, self.picture.crop).map_or(0, |display| display.height);
        let tall = |rule: Option<Rule<u32>>| {
            rule.map(|Rule { limit, action }| Rule { limit: Rational::whole(limit.into()), action })
        };
        for (key, rule, found, too_small, unit) in [
            ("min_duration_s", rules.min_duration_s, duration, true, " s long"),
            ("max_duration_s", rules.max_duration_s, duration, false, " s long"),
            ("min_height", tall(rules.min_height), Rational::whole(height), true, " high"),
            ("max_height", tall(rules.max_height), Rational::whole(height), false, " high"),
            ("min_frame_rate", rules.min_frame_rate, rate, true, " frames a second"),
            ("max_frame_rate", rules.max_frame_rate, rate, false, " frames a second"),
        ] {
            let broken = |limit| if too_small { found < limit } else { found > limit };
            if let Some(Rule { limit, action }) = rule.filter(|rule| broken(rule.limit)) {
                let (found, limit) = (plain(found), plain(limit));
                let text = format!("it is {found}{unit}, and `{key}` is {limit}");
                verdict.add(action, key, (found, Some(limit)), text);
            }
        }
        if let Timing::Variable { average_rate, .. } = &index.timing {
            let rate = plain(*average_rate);
            let text = format!("its frame rate varies, around {rate} a second");
            verdict.add(rules.variable_frame_rate, "variable_frame_rate", (rate, None), text);
        }
    }

    fn apply_to_fields(&self, index: &IndexSummary, verdict: &mut Verdict) {
        if index.video.scan != Scan::Progressive {
            let fields = match self.picture.fields {
                Fields::Bwdif => "one frame is made of every two fields",
                Fields::Keep => "its fields are kept",
                Fields::Weave => "its fields are taken for halves of progressive frames",
            };
            let text = format!("its video is interlaced: {fields}");
            let found = if index.video.scan == Scan::TopFieldFirst {
                "top field first"
            } else {
                "bottom field first"
            };
            verdict.add(self.admission.interlaced, "interlaced", (found.to_owned(), None), text);
        }
        if index.video.telecine {
            verdict.warn(match self.picture.frame_rate {
                Some(_) => "its video repeats fields (telecine)".to_owned(),
                None => "its video repeats fields (telecine), so that its frames last unequally long; \
                         `frame_rate = \"24000/1001\"` in [picture] makes them even"
                    .to_owned(),
            });
        }
        if index.video.streams > 1 {
            let (streams, taken) = (index.video.streams, index.video.stream);
            verdict.warn(format!("it has {streams} video streams: number {taken} of its streams is taken"));
        }
    }

    fn apply_to_colours(&self, index: &IndexSummary, verdict: &mut Verdict) {
        let rules = &self.admission;
        let eight = |rendition: &Rendition| rendition.coding.bit_depth() == BitDepth::Eight;
        let (coded, _) = self.picture.coded_colours(index.video.colour, index.video.hdr10);
        if HDR_TRANSFERS.contains(&coded.transfer) && self.video.iter().any(eight) {
            let text = "its video is HDR, and renditions of 8 bit would show it with banding".to_owned();
            verdict.add(rules.hdr, "hdr", (format!("transfer {}", coded.transfer), None), text);
        }
        let Colour { primaries, transfer, matrix, .. } = index.video.colour;
        if HDR_TRANSFERS.contains(&transfer) && !(primaries == BT2020 && HDR_MATRICES.contains(&matrix)) {
            let found = format!("primaries {primaries}, matrix {matrix}");
            let text = format!("its video is HDR with colours that are not BT.2020's: {found}");
            verdict.add(rules.hdr_colour, "hdr_colour", (found, None), text);
        }
        let named = [("primaries", primaries), ("transfer", transfer), ("matrix", matrix)];
        let unspecified: Vec<&str> =
            named.iter().filter(|(_, code)| *code == UNSPECIFIED).map(|(name, _)| *name).collect();
        if !unspecified.is_empty() {
            let found = unspecified.join(", ");
            let text = format!("its video does not say its colour {found}");
            verdict.add(rules.unspecified_colour, "unspecified_colour", (found, None), text);
        }
    }

    fn apply_to_sound(&self, index: &IndexSummary, verdict: &mut Verdict) {
        for track in &self.audio {
            if let Err(lacks) = input(track, &index.audio) {
                let action = self.admission.missing_audio;
                let left_out = if action == Action::Reject { "" } else { ", which is left out" };
                let text = format!("it has {lacks} for track `{}`{left_out}", track.name);
                verdict.add(action, "missing_audio", (lacks, None), text);
            }
        }
        self.warn_of_mono(index, verdict);
        self.warn_of_languages(index, verdict);
    }

    /// A group of HLS has all languages: one that is made in a single codec makes every group need that codec.
    fn warn_of_languages(&self, index: &IndexSummary, verdict: &mut Verdict) {
        let language = |track: &AudioTrack| match (&track.language, input(track, &index.audio).ok()?) {
            (Some(named), _) => Some(named.clone()),
            (None, TrackInput::Stream(stream)) => Some(index.audio[stream as usize].language.clone()),
            (None, TrackInput::Channels(channels)) => {
                Some(index.audio[channels.first()?.0 as usize].language.clone())
            }
        };
        let made: Vec<_> = self.audio.iter().filter_map(|track| Some((track, language(track)?))).collect();
        let Some((first, _)) = made.first() else { return };
        for (track, language) in &made {
            let spoken = |(other, spoken): &(&AudioTrack, String)| {
                other.codec == first.codec && same_language(spoken, language)
            };
            if self.package.segments() && !made.iter().any(spoken) {
                let (name, codec, first) = (&track.name, track.codec, first.codec);
                verdict.warn(format!(
                    "its sound in `{language}`, track `{name}`, is in {codec} alone: what cannot play that cannot play the \
                     title; make it in {first} as well"
                ));
            }
        }
    }

    /// Channels that lie in streams of their own are easily taken for one of them.
    fn warn_of_mono(&self, index: &IndexSummary, verdict: &mut Verdict) {
        let mono = index.audio.len() > 1 && index.audio.iter().all(|stream| stream.channels == 1);
        let taken = self.audio.iter().filter(|track| track.sources.is_empty() && track.channels > 1);
        let names: Vec<&str> = taken.map(|track| track.name.as_str()).collect();
        if mono && !names.is_empty() {
            verdict.warn(format!(
                "it has {} audio streams of one channel, and {} is made of one of them: name the channels by `sources`",
                index.audio.len(),
                names.join(", ")
            ));
        }
    }

    fn warn_of_heights(&self, index: &IndexSummary, verdict: &mut Verdict) {
        let height = Display::of(&index.video, self.picture.crop).map_or(0, |display| display.height);
        // A ladder that cannot be made is refused elsewhere.
        let Ok(ladder) = self.ladder(&index.video) else { return };
        let shrunk = ladder.iter().filter(|made| made.height < made.rendition.height);
        let shrunk: Vec<_> = shrunk.map(|made| (made.rendition.coding.codec(), made)).collect();
        for (codec, made) in &shrunk {
            let (name, even) = (&made.rendition.name, made.height);
            verdict.warn(format!(
                "it is {height} high, less than every rendition of {codec}: `{name}` is made {even} high"
            ));
        }
        let left_out = self.video.iter().filter(|entry| {
            let codec = entry.coding.codec();
            let made = ladder.iter().any(|made| made.rendition.name == entry.name);
            !made && shrunk.iter().all(|(other, _)| *other != codec)
        });
        let names: Vec<&str> = left_out.map(|entry| entry.name.as_str()).collect();
        if !names.is_empty() {
            verdict.warn(format!(
                "it is {height} high: {} left out, since nothing is scaled up",
                names.join(", ")
            ));
        }
    }
}

/// What a track is made from; failing that, what the mezzanine does not have.
fn input(track: &AudioTrack, streams: &[AudioFacts]) -> Result<TrackInput, String> {
    if !track.sources.is_empty() {
        let channel = |source: &SourceChannel| {
            let (stream, channel) = (source.stream - 1, source.channel - 1);
            let there = streams.get(stream as usize).is_some_and(|stream| channel < stream.channels);
            if there { Ok((stream, channel)) } else { Err(format!("no audio channel `{source}`")) }
        };
        return track.sources.iter().map(channel).collect::<Result<_, _>>().map(TrackInput::Channels);
    }
    let (found, lacks) = match &track.language {
        Some(language) => (
            streams.iter().position(|stream| same_language(&stream.language, language)),
            format!("no audio in `{language}`"),
        ),
        None => ((!streams.is_empty()).then_some(0), "no audio".to_owned()),
    };
    found.map(|stream| TrackInput::Stream(stream as u32)).ok_or(lacks)
}

/// Languages match by their primary subtag where one of them has no more than that; `de`, `deu` and `ger` are one.
fn same_language(found: &str, wanted: &str) -> bool {
    let shortest = |tag: &str| language_tag(tag).unwrap_or_else(|| tag.to_owned()).to_ascii_lowercase();
    let (found, wanted) = (shortest(found), shortest(wanted));
    let primary = |tag: &str| tag.split('-').next().map(str::to_owned);
    found == wanted
        || ((!found.contains('-') || !wanted.contains('-')) && primary(&found) == primary(&wanted))
}

/// A whole number as such, another with up to three digits after the point.
fn plain(value: Rational) -> String {
    if value.den() == 1 { value.num().to_string() } else { decimal(value) }
}

#[derive(Default)]
struct Verdict {
    admitted: Admitted,
    reasons: Vec<String>,
}

impl Verdict {
    /// What a profile says in the end.
    fn of(self, profile: &Profile) -> Result<Admitted, Rejection> {
        if self.reasons.is_empty() {
            return Ok(self.admitted);
        }
        Err(Rejection { profile: profile.name.clone(), reasons: self.reasons })
    }

    /// Does what the profile says about a rule that is broken: what was found, the limit, and both as a sentence.
    fn add(&mut self, action: Action, rule: &str, (found, limit): (String, Option<String>), what: String) {
        match action {
            Action::Reject => self.reasons.push(what),
            Action::Warn => self.warn(what),
            Action::Flag => {
                self.admitted.flags.push(Flag { rule: rule.to_owned(), found, limit, what });
            }
            Action::Allow => {}
        }
    }

    fn warn(&mut self, text: String) {
        self.admitted.warnings.push(Warning(text));
    }
}
