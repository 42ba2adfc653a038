//! The ladder of a profile for one source: which renditions are made, and in which size; and where the title is cut.

use reel_common::{GridError, IndexSummary, Rational, Scan, SegmentGrid, Timing, VideoFacts};

use crate::types::{Coding, Crop, Fields, HDR_TRANSFERS, Profile, Rendition, VideoCodec};

/// The longest side of a picture that the encoders take.
pub(crate) const MAX_SIDE: i64 = 16_384;

/// The smallest side of a picture that a codec's encoder takes.
fn min_side(codec: VideoCodec) -> i64 {
    match codec {
        VideoCodec::H264 => 16,
        VideoCodec::Hevc => 32,
        VideoCodec::Av1 => 64,
    }
}

/// The smallest side of a picture that VMAF is measured of: its coarsest scale has an eighth of it, over which it looks
/// with windows of 3 samples and leaves a tenth out all around.
const MIN_VMAF_SIDE: u32 = 64;

/// A rendition with the size that it has for one source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResolvedRendition {
    /// As the profile gives it.
    pub rendition: Rendition,
    /// Width in square pixels, even.
    pub width: u32,
    /// Height in square pixels, even; below the profile's height only where the source is less tall than every
    /// rendition.
    pub height: u32,
    /// The order of its fields, where it is coded as fields.
    pub scan: Scan,
}

/// A source for which the profile has no ladder.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LadderError {
    /// The facts make no picture.
    #[error(
        "a picture of {width}x{height} with sample aspect {sample_aspect} and rotation {rotation} cannot be shown"
    )]
    NoPicture {
        /// Coded width.
        width: u32,
        /// Coded height.
        height: u32,
        /// Sample aspect ratio.
        sample_aspect: Rational,
        /// Degrees.
        rotation: u16,
    },
    /// The other side of a rendition would be out of bounds.
    #[error(
        "rendition `{name}` would be {width}x{height}, and sides of {codec} go from {} to {MAX_SIDE}: use another height",
        min_side(*codec)
    )]
    Size {
        /// The rendition.
        name: String,
        /// Its width.
        width: i64,
        /// Its height.
        height: i64,
        /// Its codec.
        codec: VideoCodec,
    },
    /// Nothing would be left of it.
    #[error("`crop` leaves nothing of a picture of {width}x{height}")]
    Crop {
        /// Coded width.
        width: u32,
        /// Coded height.
        height: u32,
    },
    /// Its fields cannot be kept.
    #[error(
        "rendition `{name}` cannot keep the fields of the source: only H.264 can, in the height of an upright source, \
         which divides by 4, with a `crop` at the top that does; \
         use `fields = \"bwdif\"`"
    )]
    Fields {
        /// The rendition.
        name: String,
    },
    /// VMAF was trained on pictures that this rendition has none of.
    #[error(
        "rendition `{name}` has no VMAF, {reason}: use `ssim` or `psnr_db`, and leave `[measure] vmaf` out"
    )]
    Vmaf {
        /// The rendition.
        name: String,
        /// Why.
        reason: String,
    },
    /// The level that the profile asks for is too low.
    #[error(
        "rendition `{name}` would be {width}x{height}, more than level {level} allows: raise `level` or use \"auto\""
    )]
    Level {
        /// The rendition.
        name: String,
        /// Its width.
        width: u32,
        /// Its height.
        height: u32,
        /// The level.
        level: crate::Level,
    },
}

/// The picture as it is shown, in square pixels: height, and width / height.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Display {
    pub(crate) height: i64,
    aspect: Rational,
}

impl Display {
    /// Display aspect = (coded width * sample aspect) / coded height, swapped by a rotation of 90 or 270 degrees.
    /// The height is the coded one, or (coded width * sample aspect) rounded down where the picture lies on its side. All
    /// of them are those of what `crop` leaves.
    pub(crate) fn of(facts: &VideoFacts, crop: Crop) -> Result<Self, LadderError> {
        let VideoFacts { width, height, sample_aspect, rotation, .. } = *facts;
        let refused = LadderError::NoPicture { width, height, sample_aspect, rotation };
        let (all, (width, height)) = ((width, height), crop.rest(width, height));
        if crop != Crop::default() && (width == 0 || height == 0) {
            return Err(LadderError::Crop { width: all.0, height: all.1 });
        }
        if width == 0 || height == 0 || sample_aspect <= Rational::ZERO || !rotation.is_multiple_of(90) {
            return Err(refused);
        }
        let coded_height = Rational::whole(i64::from(height));
        let sizes = Rational::whole(i64::from(width)).checked_mul(sample_aspect);
        let sizes = sizes.and_then(|shown| Some((shown, shown.checked_div(coded_height)?)));
        let Some((shown_width, aspect)) = sizes else { return Err(refused) };
        let turned = rotation % 180 == 90;
        let (height, aspect) =
            if turned { (shown_width.floor(), aspect.recip()) } else { (i64::from(height), Some(aspect)) };
        aspect.map(|aspect| Display { height, aspect }).ok_or(refused)
    }

    /// Width for a height: the nearest even number to height * aspect; halves go up.
    pub(crate) fn width(self, height: i64) -> Option<i64> {
        let half = self.aspect.checked_mul(Rational::new(height, 2)?)?;
        half.round().checked_mul(2)
    }
}

impl Profile {
    /// The renditions that are made of a source, tallest first, with their sizes.
    ///
    /// Pixels are square and the display aspect is kept: width is the nearest even number to
    /// `height * (coded width * sample aspect) / coded height`, with the fraction turned over where the rotation is 90
    /// or 270 degrees. Renditions taller than the source are left out unless they ask for `upscale`; where none of a
    /// codec is left, its smallest is made at the source's own height, rounded down to even.
    ///
    /// # Errors
    /// [`LadderError`] where the source is no picture, or a size is beyond the encoder or the level asked for.
    pub fn ladder(&self, facts: &VideoFacts) -> Result<Vec<ResolvedRendition>, LadderError> {
        let display = Display::of(facts, self.picture.crop)?;
        let scan = if self.picture.fields == Fields::Keep { facts.scan } else { Scan::Progressive };
        let fits = |rendition: &Rendition| rendition.upscale || i64::from(rendition.height) <= display.height;
        let of_codec = |codec| self.video.iter().filter(move |other| other.coding.codec() == codec);
        let height = |rendition: &Rendition| {
            let codec = rendition.coding.codec();
            // Of each codec the last is the smallest.
            let alone = of_codec(codec).next_back() == Some(rendition) && !of_codec(codec).any(fits);
            match fits(rendition) {
                true => Some(i64::from(rendition.height)),
                false => alone.then_some(display.height & !1),
            }
        };
        let made = self.video.iter().filter_map(|rendition| Some((rendition, height(rendition)?)));
        let made = made.map(|(rendition, height)| resolve(rendition, display, height));
        let keeps = facts.rotation == 0 && self.picture.crop.top.is_multiple_of(4);
        let with_fields = |made: ResolvedRendition| match scan {
            Scan::Progressive => Ok(made),
            _ => keep_fields(made, scan, display, keeps),
        };
        let with_vmaf = |made: ResolvedRendition| {
            let measured = self.measures_vmaf(&made.rendition);
            if measured { self.has_vmaf(&made, facts) } else { Ok(()) }.map(|()| made)
        };
        made.map(|made| made.and_then(with_fields).and_then(with_vmaf)).collect()
    }

    /// Whether VMAF says something of a rendition.
    fn has_vmaf(&self, made: &ResolvedRendition, facts: &VideoFacts) -> Result<(), LadderError> {
        let (colour, _) = self.picture.coded_colours(facts.colour, facts.hdr10);
        let refused = |reason| Err(LadderError::Vmaf { name: made.rendition.name.clone(), reason });
        if HDR_TRANSFERS.contains(&colour.transfer) {
            return refused("which is for SDR alone, and the title is HDR".to_owned());
        }
        if made.width.min(made.height) < MIN_VMAF_SIDE {
            let (width, height) = (made.width, made.height);
            return refused(format!("which takes sides from {MIN_VMAF_SIDE} on, and it is {width}x{height}"));
        }
        Ok(())
    }

    /// Width over height of a source's pictures as they are shown, of what a crop leaves of them.
    ///
    /// # Errors
    /// [`LadderError`] where the source is no picture.
    pub fn display_aspect(&self, facts: &VideoFacts, crop: Crop) -> Result<Rational, LadderError> {
        Display::of(facts, crop).map(|display| display.aspect)
    }

    /// How many frames a segment has at a constant rate: `segment_seconds * rate`, rounded to the nearest and at least one.
    pub fn segment_frames(&self, rate: Rational) -> u32 {
        let frames = self.segment_seconds.checked_mul(rate).map_or(1, Rational::round);
        u32::try_from(frames.max(1)).unwrap_or(u32::MAX)
    }

    /// Where the title is cut into segments and parts.
    ///
    /// With a constant rate all segments have [`Profile::segment_frames`], but for those where an edit begins and ends; with
    /// a variable rate segments begin at the frames that the index lists. A part has `part_seconds / segment_seconds`
    /// segments.
    ///
    /// # Errors
    /// [`GridError`] where the title has no frames, or the listed starts are out of order.
    pub fn grid(&self, index: &IndexSummary) -> Result<SegmentGrid, GridError> {
        let per_part = self.part_seconds.checked_div(self.segment_seconds).map_or(1, Rational::round);
        let per_part = u32::try_from(per_part).unwrap_or(1).max(1);
        match &index.timing {
            Timing::Constant { rate } => {
                SegmentGrid::regular(index.frames, self.segment_frames(*rate), per_part)
            }
            Timing::Edited { rate, spans, .. } => {
                SegmentGrid::of_spans(spans, self.segment_frames(*rate), per_part)
            }
            Timing::Variable { segment_starts, .. } | Timing::Scenes { segment_starts, .. } => {
                SegmentGrid::listed(index.frames, segment_starts.clone(), per_part)
            }
        }
    }
}

fn resolve(rendition: &Rendition, display: Display, height: i64) -> Result<ResolvedRendition, LadderError> {
    let name = || rendition.name.clone();
    let width = display.width(height).unwrap_or(i64::MAX);
    let codec = rendition.coding.codec();
    let sides = min_side(codec)..=MAX_SIDE;
    if !sides.contains(&width) || !sides.contains(&height) {
        return Err(LadderError::Size { name: name(), width, height, codec });
    }
    let (width, height) = (width as u32, height as u32);
    match rendition.coding {
        Coding::H264 { level: Some(level), .. } if !level.fits_picture(width, height) => {
            Err(LadderError::Level { name: name(), width, height, level })
        }
        _ => Ok(ResolvedRendition { rendition: rendition.clone(), width, height, scan: Scan::Progressive }),
    }
}

/// A rendition that keeps the fields of the source. Those of 4:2:0 take four lines of the frame.
fn keep_fields(
    made: ResolvedRendition,
    scan: Scan,
    display: Display,
    in_place: bool,
) -> Result<ResolvedRendition, LadderError> {
    let codec = made.rendition.coding.codec();
    let fits = i64::from(made.height) == display.height && made.height.is_multiple_of(4);
    match codec == VideoCodec::H264 && fits && in_place {
        true => Ok(ResolvedRendition { scan, ..made }),
        false => Err(LadderError::Fields { name: made.rendition.name }),
    }
}
