//! The index of an edited title, made of those of its sources.

use reel_common::{
    Colour, Edit, EditEvent, EditOverlay, EditTime, Rational, SourceSpan, Timecode, VideoFacts,
};
use reel_profiles::{Crop, HDR_TRANSFERS, Picture, Profile};
use reel_proto::v1;

use super::{is_still, rules_of};
use crate::encoder::in_ycbcr;
use crate::overlay::Overlay;
use crate::timeline::Timeline;
use crate::{MediaError, facts};

/// Longest side of a still, in pixels.
const MAX_STILL_SIDE: u32 = 8192;

/// Longest time for which a still is shown, in seconds.
const MAX_STILL_SECONDS: i64 = 24 * 60 * 60;

/// Makes the index of an edited title of the indexes of its sources, that of the job's mezzanine first, and the files of its
/// logos.
///
/// # Errors
/// Invalid, with the event or source, where a time is none of its source, or a source does not go with the mezzanine.
pub fn edited(
    mut indexes: Vec<v1::Index>,
    logos: Vec<Vec<u8>>,
    edit: &Edit,
    profile: &Profile,
) -> Result<v1::Index, MediaError> {
    let rate = title_rate(&indexes[0], profile)?;
    let mut warnings = Vec::new();
    for (number, index) in (1..).zip(&indexes[1..]) {
        let name = edit.source_name(number);
        warnings.extend(check_alike(&indexes[0], index, name, profile)?);
        warnings.extend(silent_tracks(&indexes[0], index, name, profile)?);
    }
    let mut footage = Vec::with_capacity(indexes.len());
    for (number, index) in (0..).zip(&indexes) {
        footage.push(Footage::new(
            index,
            edit.source_name(number),
            &rules_of(profile, number as usize, rate),
            rate,
        )?);
    }
    let mut spans: Vec<SourceSpan> = Vec::new();
    for (number, event) in (1..).zip(&edit.events) {
        let (start, end) = footage[event.source as usize].span(event).map_err(|error| MediaError {
            message: format!("event {number} of the edit: {}", error.message),
            ..error
        })?;
        match spans.last_mut().filter(|last| last.source == event.source && last.end == start) {
            Some(last) => last.end = end,
            None => spans.push(SourceSpan { source: event.source, start, end }),
        }
    }
    let frames = spans.iter().map(SourceSpan::frames).sum();
    let overlays = (1..).zip(edit.overlays.iter().zip(logos));
    let overlays = overlays.map(|(number, (overlay, png))| {
        placed_logo(overlay, png, (rate, frames), &indexes[0], profile).map_err(|error| MediaError {
            message: format!("overlay {number} of the edit: {}", error.message),
            ..error
        })
    });
    let overlays = overlays.collect::<Result<_, _>>()?;
    let beside = indexes.split_off(1).into_iter().zip(&edit.sources);
    let beside = beside
        .map(|(index, source)| v1::EditedSource { location: source.location.clone(), index: Some(index) });
    let edit = v1::IndexedEdit {
        rate: Some(rate.into()),
        spans: spans.into_iter().map(Into::into).collect(),
        sources: beside.collect(),
        edit: Some(edit.clone().into()),
        warnings,
        overlays,
    };
    Ok(v1::Index { edit: Some(edit), ..indexes.remove(0) })
}

/// What an event needs to know of its source.
struct Footage<'a> {
    name: &'a str,
    still: bool,
    /// Frames of the title a second, and of the source.
    rate: Rational,
    own: Rational,
    /// Timecode of the first frame.
    first: Option<Timecode>,
    /// Frames at the title's rate.
    length: u64,
}

impl<'a> Footage<'a> {
    fn new(index: &v1::Index, name: &'a str, rules: &Picture, rate: Rational) -> Result<Self, MediaError> {
        let (facts, still) = (facts::video(index)?, is_still(index));
        if still && facts.width.max(facts.height) > MAX_STILL_SIDE {
            let (width, height) = (facts.width, facts.height);
            return Err(MediaError::invalid(format!(
                "source `{name}` of the edit has {width}x{height} pixels, at most {MAX_STILL_SIDE} a side are shown: make it smaller"
            )));
        }
        let longest = rate.checked_mul(Rational::whole(MAX_STILL_SECONDS));
        Ok(Footage {
            name,
            still,
            rate,
            own: own_rate(index)?.filter(|_| !still).unwrap_or(rate),
            first: facts.timecode.parse().ok(),
            length: match still {
                true => longest.map_or(1, |frames| frames.floor() as u64),
                false => Timeline::new(index, rules)?.frames(),
            },
        })
    }

    /// The first frame of an event and the one after its last, at the title's rate.
    fn span(&self, event: &EditEvent) -> Result<(u64, u64), MediaError> {
        let Footage { name, length, .. } = self;
        if event.end.is_none() && self.still {
            return Err(MediaError::invalid(format!(
                "{name} is a still picture; say how long it is shown, such as `out = \"00:00:05:00\"`"
            )));
        }
        let start = event.start.map_or(Ok(0), |time| self.frame(time))?;
        let end = event.end.map_or(Ok(*length), |time| self.frame(time))?;
        match start < end {
            true => Ok((start, end)),
            false => Err(MediaError::invalid(format!(
                "it has no frames: it begins at frame {start} of {name} and ends before frame {end}"
            ))),
        }
    }

    fn frame(&self, time: EditTime) -> Result<u64, MediaError> {
        let Footage { name, rate, own, first, length, .. } = self;
        let frame = time.frame(*rate, *own, *first).filter(|frame| frame <= length);
        frame.ok_or_else(|| {
            let dropped = match (time, first) {
                (EditTime::Timecode(time), Some(first)) if time.drop != first.drop => Some(first.drop),
                _ => None,
            };
            let hint = match dropped {
                Some(true) => "; it drops frame numbers: write `;` before the frames",
                Some(false) => "; it drops no frame numbers: write `:` before the frames",
                None => "",
            };
            let first = first.map_or_else(|| "00:00:00:00".to_owned(), |first| first.to_string());
            MediaError::invalid(format!(
                "{name} has no frame {time}; it has {length} frames at {rate} a second, the first with timecode {first}{hint}"
            ))
        })
    }
}

/// A logo over a title of so many frames at a rate.
fn placed_logo(
    overlay: &EditOverlay,
    png: Vec<u8>,
    (rate, frames): (Rational, u64),
    mezzanine: &v1::Index,
    profile: &Profile,
) -> Result<v1::IndexedOverlay, MediaError> {
    let frame = |time: EditTime| {
        time.frame(rate, rate, None).filter(|frame| *frame <= frames).ok_or_else(|| {
            MediaError::invalid(format!(
                "the title has no frame {time}; it begins at 00:00:00:00 and has {frames} frames at {rate} a second"
            ))
        })
    };
    let (start, end) = (overlay.start.map_or(Ok(0), frame)?, overlay.end.map_or(Ok(frames), frame)?);
    if start >= end {
        return Err(MediaError::invalid(format!(
            "it is over no frames: it begins at frame {start} of the title and ends before frame {end}"
        )));
    }
    let EditOverlay { x_ppm, y_ppm, width_ppm, opacity_ppm, .. } = *overlay;
    let placed = v1::IndexedOverlay { png, start, end, x_ppm, y_ppm, width_ppm, opacity_ppm };
    let facts = facts::video(mezzanine)?;
    let size = profile.picture.crop.rest(facts.width, facts.height);
    let lower = Overlay::new(&placed, (start, end), &facts, size, facts.colour)?.lower_edge();
    match lower <= 1.0 + ASPECT_TOLERANCE {
        true => Ok(placed),
        false => Err(MediaError::invalid(format!(
            "it reaches below the picture, to {lower:.2} of its height: move it up, or make it narrower"
        ))),
    }
}

/// The frame rate of an edited title: the profile's, or else that of its mezzanine.
fn title_rate(mezzanine: &v1::Index, profile: &Profile) -> Result<Rational, MediaError> {
    profile.picture.frame_rate.or(own_rate(mezzanine)?).ok_or_else(|| {
        MediaError::invalid(
            "the mezzanine has no constant frame rate, by which its edit could be told: give one in the profile, such as \
             `frame_rate = \"24000/1001\"`",
        )
    })
}

/// The frame rate of a source, where it is constant.
fn own_rate(index: &v1::Index) -> Result<Option<Rational>, MediaError> {
    let rate = index.video.as_ref().and_then(|video| video.constant_rate);
    Ok(rate.map(Rational::try_from).transpose()?)
}

/// Says which tracks are silent while a source is shown.
fn silent_tracks(
    mezzanine: &v1::Index,
    source: &v1::Index,
    name: &str,
    profile: &Profile,
) -> Result<Vec<String>, MediaError> {
    if is_still(source) {
        return Ok(Vec::new());
    }
    let made = facts::tracks(source, profile)?;
    let lacking = facts::tracks(mezzanine, profile)?;
    let lacking = lacking.iter().filter(|track| !made.iter().any(|made| made.number == track.number));
    Ok(lacking
        .map(|lacking| {
            let track = &lacking.track.name;
            format!("audio track `{track}` is silent where source `{name}` of the edit is shown, which has no sound for it")
        })
        .collect())
}

/// Widest difference of display aspects that are taken for the same: what rounding to whole samples makes.
const ASPECT_TOLERANCE: f64 = 0.01;

/// The code point of ITU-T H.273 that says nothing.
const UNSPECIFIED: u8 = 2;

/// Code points of ITU-T H.273.
fn described(colour: Colour) -> String {
    let Colour { primaries, transfer, matrix, full_range, .. } = colour;
    let range = if full_range { "full" } else { "limited" };
    format!("primaries {primaries}, transfer {transfer}, matrix {matrix} in {range} range")
}

/// Refuses a source that does not go with the mezzanine: its pictures could only be shown with another shape, or with
/// other colours. Gives a warning where that cannot be told.
fn check_alike(
    mezzanine: &v1::Index,
    source: &v1::Index,
    name: &str,
    profile: &Profile,
) -> Result<Option<String>, MediaError> {
    let (own, other) = (facts::video(mezzanine)?, facts::video(source)?);
    let refuse = |what: &str, ours: String, theirs: String| {
        Err(MediaError::invalid(format!(
            "source `{name}` of the edit does not go with the mezzanine: its {what} is {theirs}, that of the mezzanine {ours}; \
             convert it first"
        )))
    };
    let aspects =
        (profile.display_aspect(&own, profile.picture.crop), profile.display_aspect(&other, Crop::default()));
    let (Ok(ours), Ok(theirs)) = aspects else {
        return refuse(
            "picture",
            format!("{}x{}", own.width, own.height),
            format!("{}x{}", other.width, other.height),
        );
    };
    if (ours.to_f64() / theirs.to_f64() - 1.0).abs() > ASPECT_TOLERANCE {
        return refuse("display aspect", format!("{:.3}", ours.to_f64()), format!("{:.3}", theirs.to_f64()));
    }
    let coded = |facts: &VideoFacts| in_ycbcr(profile.picture.coded_colours(facts.colour, facts.hdr10).0);
    let (ours, theirs) = (coded(&own), coded(&other));
    let points = |colour: Colour| [colour.primaries, colour.transfer, colour.matrix];
    let pairs = || points(ours).into_iter().zip(points(theirs));
    // Who says nothing is taken for SDR alone.
    let hdr = [ours, theirs].iter().any(|colour| HDR_TRANSFERS.contains(&colour.transfer));
    let told = |(a, b): (u8, u8)| hdr || (a != UNSPECIFIED && b != UNSPECIFIED);
    if ours.full_range != theirs.full_range || pairs().any(|pair| told(pair) && pair.0 != pair.1) {
        return refuse("colour", described(ours), described(theirs));
    }
    // A picture without tags is in sRGB, which has the colours of BT.709.
    let untold = pairs().any(|(a, b)| a != b) && !is_still(source);
    let warning = untold.then(|| {
        let (ours, theirs) = (described(ours), described(theirs));
        format!(
            "source `{name}` of the edit is shown in the colours of the mezzanine, {ours}, and says {theirs}"
        )
    });
    if !profile.picture.deinterlaces(own.scan)
        && !profile.picture.deinterlaces(other.scan)
        && own.scan != other.scan
    {
        return refuse("scan", own.scan.name().to_owned(), other.scan.name().to_owned());
    }
    Ok(warning)
}
