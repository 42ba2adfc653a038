//! The frames of a title: the pictures of its mezzanine as its profile wants them, deinterlaced, cropped, and repeated or
//! left out where the rate is conformed.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;

use ffmpeg_next as ff;
use ffmpeg_next::ffi;
use reel_profiles::{Crop, DamageRule, Picture};
use reel_proto::v1;
use reel_store::Source;

use crate::captions::{self, Triplet};
use crate::decode::{DecodedPicture, PictureReader, Speed};
use crate::deinterlace::Deinterlacer;
use crate::edit::is_still;
use crate::overlay::Overlay;
use crate::picture::{Scaler, copy, is_rgb};
use crate::timeline::Timeline;
use crate::tone::{ToneMapper, ToneTable};
use crate::{MediaError, facts};

/// What frames are read from, and how.
pub(crate) struct Reading<'a> {
    pub(crate) source: &'a Source,
    pub(crate) index: &'a v1::Index,
    /// Made for the same index and rules.
    pub(crate) timeline: &'a Timeline,
    pub(crate) rules: &'a Picture,
    /// How HDR is made SDR; of the same index and rules.
    pub(crate) tones: Option<Arc<ToneTable>>,
    /// Logos, in the order in which they are laid over the pictures.
    pub(crate) overlays: Vec<Overlay>,
    pub(crate) damage: DamageRule,
    pub(crate) speed: Speed,
}

/// A frame of a title.
pub(crate) struct Decoded {
    /// Its number in the title.
    pub(crate) frame: u64,
    pub(crate) picture: Arc<ff::frame::Video>,
    /// Whether its picture did not decode, and another stands for it.
    pub(crate) mended: bool,
    /// Captions of the pictures that belong to it.
    pub(crate) captions: Vec<Triplet>,
}

/// Gives frames `[next, end)` of a title, each once and in order.
pub(crate) struct FrameReader<'a> {
    timeline: &'a Timeline,
    pictures: Pictures<'a>,
    deinterlacer: Option<Deinterlacer>,
    crop: Crop,
    tones: Option<ToneMapper>,
    /// Whether the source is a still, which becomes RGB whatever it is.
    still: bool,
    overlays: Vec<Overlay>,
    next: u64,
    end: u64,
    /// The picture that was finished last, with its number.
    finished: Option<(u64, Arc<ff::frame::Video>)>,
    /// The number of the picture that is finished next.
    due: u64,
}

/// Decoded pictures, and which of them are not their own.
struct Pictures<'a> {
    reader: PictureReader<'a>,
    /// Those for which others stand, as far as their frames have not been given.
    mended: Vec<u64>,
    lacking: bool,
    /// Captions of each, as far as its frame has not been given.
    captions: VecDeque<(u64, Vec<Triplet>)>,
}

impl Pictures<'_> {
    fn next(&mut self) -> Result<Option<DecodedPicture>, MediaError> {
        let decoded = self.reader.next()?;
        if let Some(decoded) = decoded.as_ref().filter(|decoded| decoded.mended) {
            self.lacking = true;
            self.mended.push(decoded.number);
        }
        // What stands for another picture has its captions once already.
        if let Some(decoded) = decoded.as_ref().filter(|decoded| !decoded.mended)
            && let Some(captions) = captions::of_picture(&decoded.picture)
        {
            self.captions.push_back((decoded.number, captions));
        }
        Ok(decoded)
    }

    /// The captions of these pictures; those before them are forgotten.
    fn captions_of(&mut self, numbers: &Range<u64>) -> Vec<Triplet> {
        let mut found = Vec::new();
        while let Some((number, captions)) = self.captions.pop_front_if(|(number, _)| *number < numbers.end) {
            if numbers.contains(&number) {
                found.extend(captions);
            }
        }
        found
    }
}

impl<'a> FrameReader<'a> {
    /// A reader of frames `[start, end)`, which must not be empty.
    pub(crate) fn new(reading: Reading<'a>, (start, end): (u64, u64)) -> Result<Self, MediaError> {
        let Reading { source, index, timeline, rules, tones, overlays, damage, speed } = reading;
        let facts = facts::video(index)?;
        let deinterlacer =
            rules.deinterlaces(facts.scan).then(|| Deinterlacer::new(&facts.codec, facts.scan));
        let range = Self::pictures_for(timeline, start, end);
        let reader = PictureReader::new(source, index, timeline, range, damage, speed)?;
        Ok(FrameReader {
            timeline,
            due: reader.next_number(),
            pictures: Pictures { reader, mended: Vec::new(), lacking: false, captions: VecDeque::new() },
            deinterlacer,
            crop: rules.crop,
            tones: tones.map(ToneMapper::new),
            still: is_still(index),
            overlays,
            next: start,
            end,
            finished: None,
        })
    }

    /// One picture more than frames `[start, end)` need, so that the last but one frame never takes the last of them.
    fn pictures_for(timeline: &Timeline, start: u64, end: u64) -> (u64, u64) {
        let (first, last) = timeline.pictures_for(start, end);
        // Captions of pictures that the first frame does not show belong to it.
        let first = if start == 0 { 0 } else { first };
        (first, (last + 1).min(timeline.pictures_end()))
    }

    /// Lets the reader go on to frame `end`. Must be called before the last frame was asked for.
    pub(crate) fn extend(&mut self, end: u64) -> Result<(), MediaError> {
        if end > self.end {
            self.pictures.reader.extend(Self::pictures_for(self.timeline, end - 1, end).1)?;
            self.end = end;
        }
        Ok(())
    }

    /// Whether frame `frame` is among those that this reader gives.
    pub(crate) fn reaches(&self, frame: u64) -> bool {
        frame < self.end
    }

    /// Whether a picture that was decoded so far had to be mended.
    pub(crate) fn is_lacking(&self) -> bool {
        self.pictures.lacking
    }

    /// The next frame, or `None` after the last.
    pub(crate) fn next(&mut self) -> Result<Option<Decoded>, MediaError> {
        if self.next >= self.end {
            return Ok(None);
        }
        let (frame, wanted) = (self.next, self.timeline.picture_of(self.next));
        let picture = loop {
            match &self.finished {
                Some((number, picture)) if *number >= wanted => break Arc::clone(picture),
                _ => self.finish_picture()?,
            }
        };
        self.next += 1;
        let mended = &mut self.pictures.mended;
        mended.retain(|number| *number >= wanted);
        let mended = mended.first() == Some(&wanted);
        let captions = self.pictures.captions_of(&self.timeline.pictures_at(frame));
        Ok(Some(Decoded { frame, picture: self.with_logos(frame, picture)?, mended, captions }))
    }

    /// What is shown by several frames may have a logo in one of them.
    fn with_logos(
        &mut self,
        frame: u64,
        picture: Arc<ff::frame::Video>,
    ) -> Result<Arc<ff::frame::Video>, MediaError> {
        let mut over = self.overlays.iter_mut().filter(|overlay| overlay.within(frame, frame + 1).is_some());
        let Some(first) = over.next() else { return Ok(picture) };
        let mut drawn = copy(&picture)?;
        first.draw(&mut drawn)?;
        over.try_for_each(|overlay| overlay.draw(&mut drawn))?;
        Ok(Arc::new(drawn))
    }

    /// Finishes picture `due`.
    fn finish_picture(&mut self) -> Result<(), MediaError> {
        let mut picture = match &mut self.deinterlacer {
            Some(deinterlacer) => deinterlace(deinterlacer, &mut self.pictures)?,
            None => self.pictures.next()?.ok_or_else(too_few)?.picture,
        };
        cut_off(&mut picture, self.crop)?;
        if self.still && !is_rgb(picture.format()) {
            let mut scaler = Scaler::to_rgb(picture.width(), picture.height());
            picture = scaler.scale(&picture)?.map_or(Ok(picture), |rgb| copy(&rgb))?;
        }
        if let Some(tones) = &mut self.tones {
            picture = tones.map(&picture)?;
        }
        self.finished = Some((self.due, Arc::new(picture)));
        self.due += 1;
        Ok(())
    }
}

fn deinterlace(
    deinterlacer: &mut Deinterlacer,
    pictures: &mut Pictures<'_>,
) -> Result<ff::frame::Video, MediaError> {
    let mut over = false;
    loop {
        if let Some(frame) = deinterlacer.pull()? {
            return Ok(frame);
        }
        match pictures.next()? {
            Some(decoded) => deinterlacer.push(decoded.number, &decoded.picture)?,
            None if over => return Err(too_few()),
            None => {
                deinterlacer.end()?;
                over = true;
            }
        }
    }
}

fn too_few() -> MediaError {
    MediaError::failed("a title needs more pictures than its mezzanine was asked for")
}

/// Cuts off the sides of a picture, whose samples stay where they are.
fn cut_off(picture: &mut ff::frame::Video, crop: Crop) -> Result<(), MediaError> {
    if crop == Crop::default() {
        return Ok(());
    }
    let (width, height) = (picture.width(), picture.height());
    // SAFETY: the frame is valid and ours alone; the function checks that something is left, and changes where its lines
    // begin and how many samples they have.
    let result = unsafe {
        let raw = &mut *picture.as_mut_ptr();
        (raw.crop_top, raw.crop_bottom) = (crop.top as usize, crop.bottom as usize);
        (raw.crop_left, raw.crop_right) = (crop.left as usize, crop.right as usize);
        ffi::av_frame_apply_cropping(raw, ffi::AV_FRAME_CROP_UNALIGNED as i32)
    };
    if result < 0 {
        return Err(MediaError::invalid(format!("`crop` leaves nothing of a picture of {width}x{height}")));
    }
    // SAFETY: the frame is valid; the function has set to 0 what it has cut off.
    let rest = unsafe { ((*picture.as_ptr()).crop_top, (*picture.as_ptr()).crop_left) };
    match rest {
        (0, 0) => Ok(()),
        _ => Err(MediaError::invalid(format!(
            "pictures of {:?} can be cropped at the bottom and on the right alone",
            picture.format()
        ))),
    }
}
