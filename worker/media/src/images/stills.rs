//! Single frames of a title: each decoded from the random access point before it, or with others in one go where those
//! share it.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::Arc;

use ffmpeg_next as ff;
use reel_common::{Colour, VideoFacts};
use reel_profiles::{Fields, Picture, Profile, ToneMap};
use reel_proto::v1;
use reel_store::Source;

use crate::decode::Speed;
use crate::edit::{self, Piece};
use crate::frames::{FrameReader, Reading};
use crate::overlay::Overlay;
use crate::picture::reference;
use crate::timeline::Timeline;
use crate::times::TitleTimes;
use crate::tone::{ToneMapper, ToneTable};
use crate::{MediaError, facts};

/// MatrixCoefficients of H.273: of BT.709, unspecified, of BT.601, of BT.2020.
const BT709: u8 = 1;
const UNSPECIFIED: u8 = 2;
const BT601: u8 = 6;
const BT2020: u8 = 9;

/// Takes frames of one piece of a title, by their numbers in its source.
type TakeRun<'a, 't> = dyn FnMut(&Footage<'a>, VecDeque<u64>) -> Result<(), MediaError> + 't;

/// The frames of a title as stills show them: progressive, cropped, SDR.
pub(super) struct Title<'a> {
    sources: &'a [Source],
    pieces: Vec<Piece<'a>>,
    pub(super) times: TitleTimes,
    profile: &'a Profile,
    /// What was unfolded last, by the number of its piece.
    open: RefCell<Option<(usize, Rc<Footage<'a>>)>>,
}

/// One frame of a title.
pub(super) struct Still {
    pub(super) picture: Arc<ff::frame::Video>,
    /// Degrees by which it is to be turned clockwise.
    pub(super) turn: u16,
    /// Whether its luma has full range.
    pub(super) full_range: bool,
}

impl<'a> Title<'a> {
    pub(super) fn new(
        sources: &'a [Source],
        index: &'a v1::Index,
        profile: &'a Profile,
    ) -> Result<Self, MediaError> {
        let times = TitleTimes::new(index, &profile.picture)?;
        let pieces = edit::pieces(index, profile)?;
        Ok(Title { sources, pieces, times, profile, open: RefCell::new(None) })
    }

    pub(super) fn profile(&self) -> &'a Profile {
        self.profile
    }

    /// Runs of frames, which ascend, each with the footage that it is of and their numbers in that.
    pub(super) fn runs(&self, frames: &[u64], take: &mut TakeRun<'a, '_>) -> Result<(), MediaError> {
        let mut rest = frames;
        while let Some(first) = rest.first() {
            let found = self.pieces.iter().position(|piece| *first < piece.end());
            let number = found.ok_or_else(|| MediaError::failed("a still lies beyond the title"))?;
            let piece = &self.pieces[number];
            let (own, others) = rest.split_at(rest.partition_point(|frame| *frame < piece.end()));
            let moved = own.iter().map(|frame| frame - piece.start + piece.first()).collect();
            take(&*self.footage(number)?, moved)?;
            rest = others;
        }
        Ok(())
    }

    fn footage(&self, number: usize) -> Result<Rc<Footage<'a>>, MediaError> {
        if let Some((_, open)) = self.open.borrow().as_ref().filter(|(open, _)| *open == number) {
            return Ok(Rc::clone(open));
        }
        let footage = Rc::new(Footage::new(self.sources, &self.pieces[number], self.profile)?);
        *self.open.borrow_mut() = Some((number, Rc::clone(&footage)));
        Ok(footage)
    }

    /// Calls back for each of some frames, which ascend.
    pub(super) fn each_still(
        &self,
        frames: &[u64],
        take: &mut dyn FnMut(Still) -> Result<(), MediaError>,
    ) -> Result<(), MediaError> {
        self.runs(frames, &mut |footage, mut wanted| {
            let mut tones = footage.tones.clone().map(ToneMapper::new);
            while let Some(mut reader) = footage.reader(&wanted, self.profile)? {
                while wanted.front().is_some_and(|frame| reader.reaches(*frame)) {
                    let astray = || MediaError::failed("a frame is not where the index has it");
                    let decoded = reader.next()?.ok_or_else(astray)?;
                    if wanted.front() != Some(&decoded.frame) {
                        continue;
                    }
                    wanted.pop_front();
                    let picture = footage.coloured(&decoded.picture)?;
                    let picture = match &mut tones {
                        Some(tones) => tones.map(&picture)?,
                        None => picture,
                    };
                    let (turn, full_range) = (footage.facts.rotation, footage.full_range());
                    take(Still { picture: Arc::new(picture), turn, full_range })?;
                }
            }
            Ok(())
        })
    }

    /// One frame.
    pub(super) fn still(&self, frame: u64) -> Result<Still, MediaError> {
        let mut found = None;
        self.each_still(&[frame], &mut |still| {
            found = Some(still);
            Ok(())
        })?;
        found.ok_or_else(|| MediaError::failed("no frame was asked for"))
    }
}

/// The frames of a piece of a title.
pub(super) struct Footage<'a> {
    pub(super) source: &'a Source,
    pub(super) index: &'a v1::Index,
    pub(super) facts: VideoFacts,
    pub(super) timeline: Timeline,
    pub(super) rules: Picture,
    pub(super) tones: Option<Arc<ToneTable>>,
    logos: edit::Logos<'a>,
}

impl<'a> Footage<'a> {
    fn new(sources: &'a [Source], piece: &Piece<'a>, profile: &Profile) -> Result<Self, MediaError> {
        let source = sources.get(piece.source);
        let facts = facts::video(piece.index)?;
        let rules = Picture { crop: piece.rules.crop, ..rules(profile) };
        // A thumbnail of HDR that is tagged amiss is better than none.
        let colour = Colour { matrix: BT2020, ..facts.colour };
        let table = || ToneTable::new(&VideoFacts { colour, ..facts.clone() }).map(Arc::new);
        let tones = rules.maps_tones(facts.colour).then(table).transpose()?;
        Ok(Footage {
            source: source.ok_or_else(|| MediaError::failed("a source of the edit is missing"))?,
            index: piece.index,
            timeline: piece.timeline_for(&Picture { frame_rate: piece.rules.frame_rate, ..rules })?,
            facts,
            rules,
            tones,
            logos: piece.logos.clone(),
        })
    }

    /// The logos over its frames, as they are before HDR becomes SDR.
    pub(super) fn overlays(&self) -> Result<Vec<Overlay>, MediaError> {
        edit::overlays(&self.logos, self.index, &Picture { tone_map: ToneMap::None, ..self.rules })
    }

    /// The matrix by which pictures are turned into RGB. Where nobody says, players take that of BT.709 from 720 lines up.
    pub(super) fn matrix(&self) -> u8 {
        let VideoFacts { width, height, colour, .. } = &self.facts;
        match colour.matrix {
            UNSPECIFIED if self.tones.is_some() => BT2020,
            UNSPECIFIED if *width >= 1280 || *height >= 720 => BT709,
            UNSPECIFIED => BT601,
            told => told,
        }
    }

    /// Whether luma has full range in what is shown.
    fn full_range(&self) -> bool {
        self.tones.is_none() && self.facts.colour.full_range
    }

    /// A reader of the frames from the first wanted one on, up to the last that decoding passes on its way anyway.
    fn reader(
        &self,
        wanted: &VecDeque<u64>,
        profile: &Profile,
    ) -> Result<Option<FrameReader<'_>>, MediaError> {
        let Some(first) = wanted.front().copied() else { return Ok(None) };
        let packets = |frame| self.timeline.packets_for(frame, frame + 1);
        let mut last = first;
        for next in wanted.iter().copied().skip(1) {
            if packets(next).first >= packets(last).end {
                break;
            }
            last = next;
        }
        let reading = Reading {
            source: self.source,
            index: self.index,
            timeline: &self.timeline,
            rules: &self.rules,
            // Only what is asked for goes through the table.
            tones: None,
            overlays: self.overlays()?,
            damage: profile.admission.damage,
            speed: Speed::Exact,
        };
        FrameReader::new(reading, (first, last + 1)).map(Some)
    }

    /// A picture with the colours that the container or the stream says.
    fn coloured(&self, picture: &ff::frame::Video) -> Result<ff::frame::Video, MediaError> {
        let mut coloured = reference(picture)?;
        let range =
            if self.facts.colour.full_range { ff::color::Range::JPEG } else { ff::color::Range::MPEG };
        coloured.set_color_range(range);
        let space = match self.matrix() {
            BT709 => ff::color::Space::BT709,
            4 => ff::color::Space::FCC,
            5 | BT601 => ff::color::Space::SMPTE170M,
            7 => ff::color::Space::SMPTE240M,
            BT2020 | 10 => ff::color::Space::BT2020NCL,
            // Of RGB, and of what swscale does not know, the picture itself says what there is to say.
            _ => return Ok(coloured),
        };
        coloured.set_color_space(space);
        Ok(coloured)
    }
}

/// What is done to pictures: what the profile says, but that no fields are kept and HDR always becomes SDR.
fn rules(profile: &Profile) -> Picture {
    let fields = if profile.picture.fields == Fields::Keep { Fields::Bwdif } else { profile.picture.fields };
    Picture { fields, tone_map: ToneMap::Bt2390, ..profile.picture }
}
