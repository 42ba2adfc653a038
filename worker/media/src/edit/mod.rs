//! What a title is made of: its mezzanine as it is, or spans of several.
//!
//! A piece is made in the frames of its source, as if the whole source were the title, but that nothing outside of the span
//! is looked at. Its place in the title comes in when the parts are put together. So a part keeps its bytes, and its name in
//! the store, wherever an edit moves it to.

mod make;

use reel_common::{Colour, PartSpec, Rational, SourceSpan};
use reel_profiles::{Crop, Picture, Profile};
use reel_proto::v1;
use reel_text::Run;

pub use self::make::edited;
use crate::demux::STILLS;
use crate::overlay::Overlay;
use crate::timeline::Timeline;
use crate::times::TitleTimes;
use crate::{MediaError, facts};

/// The edit of a title, as its index has it.
pub(crate) struct TitleEdit {
    /// Frames of the title per second.
    pub(crate) rate: Rational,
    /// In the title's order.
    pub(crate) spans: Vec<SourceSpan>,
}

impl TitleEdit {
    /// How many frames the title has.
    pub(crate) fn frames(&self) -> u64 {
        self.spans.iter().map(SourceSpan::frames).sum()
    }
}

/// The edit of the title that an index is of; `None` where the title is the mezzanine as it is.
pub(crate) fn of(index: &v1::Index) -> Result<Option<TitleEdit>, MediaError> {
    let Some(edit) = &index.edit else { return Ok(None) };
    let spans = edit.spans.iter().copied().map(TryInto::try_into).collect::<Result<_, _>>()?;
    Ok(Some(TitleEdit { rate: edit.rate.unwrap_or_default().try_into()?, spans }))
}

/// A run of frames of a title that are of one source.
pub(crate) struct Piece<'a> {
    /// 0 for the job's mezzanine, n for entry n - 1 of the edit's sources.
    pub(crate) source: usize,
    /// The index of the source.
    pub(crate) index: &'a v1::Index,
    /// What is done to its pictures.
    pub(crate) rules: Picture,
    /// The title's frame that its first is.
    pub(crate) start: u64,
    /// Its frames in the source; `None` where it is the whole source.
    pub(crate) span: Option<SourceSpan>,
    /// How many frames it has.
    pub(crate) frames: u64,
    /// The logos over its frames.
    pub(crate) logos: Logos<'a>,
}

/// Logos, each with the frames `[start, end)` of a source that it is over.
pub(crate) type Logos<'a> = Vec<(&'a v1::IndexedOverlay, (u64, u64))>;

/// Logos over pictures of a source that follow `rules`, in the order in which they are laid.
pub(crate) fn overlays(
    logos: &Logos<'_>,
    index: &v1::Index,
    rules: &Picture,
) -> Result<Vec<Overlay>, MediaError> {
    let facts = facts::video(index)?;
    let size = rules.crop.rest(facts.width, facts.height);
    let (colour, _) = rules.coded_colours(facts.colour, facts.hdr10);
    let overlay = |&(logo, frames): &_| Overlay::new(logo, frames, &facts, size, colour);
    logos.iter().map(overlay).collect()
}

impl Piece<'_> {
    /// The frames of the source, of which those of the piece may be looked at.
    pub(crate) fn timeline(&self) -> Result<Timeline, MediaError> {
        self.timeline_for(&self.rules)
    }

    /// The same for other rules.
    pub(crate) fn timeline_for(&self, rules: &Picture) -> Result<Timeline, MediaError> {
        let timeline = Timeline::new(self.index, rules)?;
        match (self.span, self.rules.frame_rate) {
            (Some(span), Some(rate)) if is_still(self.index) => timeline.hold(rate, span.end)?.within(span),
            (Some(span), _) => timeline.within(span),
            (None, _) => Ok(timeline),
        }
    }

    /// The logos over its frames, in the order in which they are laid.
    pub(crate) fn overlays(&self) -> Result<Vec<Overlay>, MediaError> {
        overlays(&self.logos, self.index, &self.rules)
    }

    /// The number that its first frame has in the source.
    pub(crate) fn first(&self) -> u64 {
        self.span.map_or(0, |span| span.start)
    }

    /// A part of the title that lies in it, in frames of the source. Its segments are numbered as those of the source are.
    pub(crate) fn part_of_source(&self, part: &PartSpec, profile: &Profile) -> PartSpec {
        let Some(span) = self.span else { return part.clone() };
        let moved = |frame: u64| frame - self.start + span.start;
        let segment_starts: Vec<u64> = part.segment_starts.iter().map(|start| moved(*start)).collect();
        let length = self.rules.frame_rate.map_or(1, |rate| profile.segment_frames(rate));
        PartSpec {
            index: part.index,
            first_segment: segment_starts[0] / u64::from(length),
            segment_starts,
            end: moved(part.end),
        }
    }

    /// The title's frame after its last.
    pub(crate) fn end(&self) -> u64 {
        self.start + self.frames
    }
}

/// What the title of an index is made of, in order.
pub(crate) fn pieces<'a>(index: &'a v1::Index, profile: &Profile) -> Result<Vec<Piece<'a>>, MediaError> {
    let Some(edit) = of(index)? else {
        let rules = profile.picture;
        let frames = Timeline::new(index, &rules)?.frames();
        return Ok(vec![Piece { source: 0, index, rules, start: 0, span: None, frames, logos: Vec::new() }]);
    };
    let mut start = 0;
    let mut pieces = Vec::with_capacity(edit.spans.len());
    for span in edit.spans {
        let (source, end) = (span.source as usize, start + span.frames());
        let over = |logo: &'a v1::IndexedOverlay| {
            let (first, last) = (logo.start.max(start), logo.end.min(end));
            let moved = |frame: u64| frame - start + span.start;
            (first < last).then(|| (logo, (moved(first), moved(last))))
        };
        let logos = index.edit.iter().flat_map(|edit| &edit.overlays).filter_map(over).collect();
        let (index, rules) = (index_of(index, source)?, rules_of(profile, source, edit.rate));
        pieces.push(Piece { source, index, rules, start, span: Some(span), frames: span.frames(), logos });
        start = end;
    }
    Ok(pieces)
}

/// Where the sources of a title lie in it.
pub(crate) struct Places(Vec<Place>);

struct Place {
    /// The title's frame at which it begins.
    start: u64,
    /// The number of that frame in its source.
    first: u64,
}

impl Places {
    /// Those of the title that an index is of.
    pub(crate) fn of(index: &v1::Index) -> Result<Self, MediaError> {
        let spans = of(index)?.map_or_else(Vec::new, |edit| edit.spans);
        let mut start = 0;
        let place = |span: SourceSpan| {
            let place = Place { start, first: span.start };
            start += span.frames();
            place
        };
        Ok(Places(spans.into_iter().map(place).collect()))
    }

    /// By how many frames what is in the title from frame `frame` is later there than in its source.
    pub(crate) fn moved(&self, frame: u64) -> i64 {
        let place = self.0.partition_point(|place| place.start <= frame).checked_sub(1);
        place.map_or(0, |place| self.0[place].start as i64 - self.0[place].first as i64)
    }

    /// Whether another source, or another run of it, begins with a frame.
    pub(crate) fn begins_at(&self, frame: u64) -> bool {
        self.0.iter().any(|place| place.start == frame)
    }
}

/// The runs of the mezzanine that an edited title shows; `None` where the title is the mezzanine as it is.
pub fn runs_of_mezzanine(index: &v1::Index, profile: &Profile) -> Result<Option<Vec<Run>>, MediaError> {
    if index.edit.is_none() {
        return Ok(None);
    }
    let times = TitleTimes::new(index, &profile.picture)?;
    // A sample of sound of that rate is a millisecond.
    let ms = |frame| times.sample_at(frame, 1000);
    let run = |piece: Piece<'_>| {
        let (first, end) = (piece.first(), piece.first() + piece.frames);
        (piece.source == 0).then(|| Run { start_ms: ms(first), end_ms: ms(end), new_ms: ms(piece.start) })
    };
    Ok(Some(pieces(index, profile)?.into_iter().filter_map(run).collect()))
}

/// Puts the records of all parts, which count from the beginnings of their sources, in their places in the title.
pub fn placed(
    mut parts: Vec<v1::PartRecord>,
    index: &v1::Index,
    profile: &Profile,
) -> Result<Vec<v1::PartRecord>, MediaError> {
    let (places, times) = (Places::of(index)?, TitleTimes::new(index, &profile.picture)?);
    let mut start = 0;
    for part in &mut parts {
        let moved = places.moved(start);
        for record in &mut part.renditions {
            let ticks = times.ticks(moved.unsigned_abs()) * moved.signum();
            record.first_pts += ticks;
            record.last_pts += ticks;
            let place = |frame: &mut u64| *frame = frame.saturating_add_signed(moved);
            if let Some(proof) = &mut record.proof {
                proof.mended.iter_mut().for_each(place);
            }
            let runs =
                record.pictures.iter_mut().flat_map(|runs| runs.black.iter_mut().chain(&mut runs.frozen));
            runs.for_each(|run| [&mut run.start, &mut run.end].into_iter().for_each(place));
            // The first is the number of a frame.
            record.captions.iter_mut().flat_map(|captions| captions.frame_deltas.first_mut()).for_each(place);
        }
        start += part.renditions.first().map_or(0, |record| record.frames);
    }
    Ok(parts)
}

/// Whether a source is one picture without a time, in a file of its own.
pub(crate) fn is_still(index: &v1::Index) -> bool {
    index.container == STILLS
}

/// The index of a source of the title that an index is of.
pub(crate) fn index_of(index: &v1::Index, source: usize) -> Result<&v1::Index, MediaError> {
    let Some(beside) = source.checked_sub(1) else { return Ok(index) };
    let sources = index.edit.as_ref().map_or(&[][..], |edit| &edit.sources);
    let found = sources.get(beside).and_then(|source| source.index.as_ref());
    found.ok_or_else(|| MediaError::failed("the index lacks a source of its edit"))
}

/// What decoding the sources of the title that an index is of takes: coded samples of the largest picture of all of them, and
/// bytes of memory for logos.
pub(crate) fn memory(index: &v1::Index) -> Result<(u64, u64), MediaError> {
    let edit = index.edit.as_ref();
    let mut most = 0;
    for source in 0..=edit.map_or(0, |edit| edit.sources.len()) {
        let facts = facts::video(index_of(index, source)?)?;
        most = most.max(u64::from(facts.width) * u64::from(facts.height));
    }
    let facts = facts::video(index)?;
    let (size, mut bytes) = ((facts.width, facts.height), 0);
    for logo in edit.iter().flat_map(|edit| &edit.overlays) {
        bytes += Overlay::new(logo, (logo.start, logo.end), &facts, size, Colour::default())?.memory(most);
    }
    Ok((most, bytes))
}

/// What is done to the pictures of a source of an edited title. The profile's crop is for the mezzanine.
fn rules_of(profile: &Profile, source: usize, rate: Rational) -> Picture {
    let crop = if source == 0 { profile.picture.crop } else { Crop::default() };
    Picture { crop, frame_rate: Some(rate), ..profile.picture }
}
