//! Single frames of a title: each decoded from the random access point before it, or with others in one go where those
//! share it.

use std::collections::VecDeque;
use std::sync::Arc;

use ffmpeg_next as ff;
use reel_common::{Colour, VideoFacts};
use reel_profiles::{Fields, Picture, Profile, ToneMap};
use reel_proto::v1;
use reel_store::Source;

use crate::decode::Speed;
use crate::frames::{FrameReader, Reading};
use crate::picture::reference;
use crate::timeline::Timeline;
use crate::tone::{ToneMapper, ToneTable};
use crate::{MediaError, facts};

/// MatrixCoefficients of H.273: of BT.709, unspecified, of BT.601, of BT.2020.
const BT709: u8 = 1;
const UNSPECIFIED: u8 = 2;
const BT601: u8 = 6;
const BT2020: u8 = 9;

/// The frames of a title as stills show them: progressive, cropped, SDR.
pub(super) struct Title<'a> {
    source: &'a Source,
    index: &'a v1::Index,
    pub(super) facts: VideoFacts,
    pub(super) timeline: Timeline,
    pub(super) rules: Picture,
    profile: &'a Profile,
    pub(super) tones: Option<Arc<ToneTable>>,
}

impl<'a> Title<'a> {
    pub(super) fn new(
        source: &'a Source,
        index: &'a v1::Index,
        profile: &'a Profile,
    ) -> Result<Self, MediaError> {
        let facts = facts::video(index)?;
        let rules = rules(profile);
        // A thumbnail of HDR that is tagged amiss is better than none.
        let colour = Colour { matrix: BT2020, ..facts.colour };
        let table = || ToneTable::new(&VideoFacts { colour, ..facts.clone() }).map(Arc::new);
        let tones = rules.maps_tones(facts.colour).then(table).transpose()?;
        let timeline = Timeline::new(index, &rules)?;
        Ok(Title { source, index, facts, timeline, rules, profile, tones })
    }

    pub(super) fn index(&self) -> &'a v1::Index {
        self.index
    }

    pub(super) fn source(&self) -> &'a Source {
        self.source
    }

    pub(super) fn profile(&self) -> &'a Profile {
        self.profile
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

    /// Whether luma has full range in what [`Stills`] gives.
    pub(super) fn full_range(&self) -> bool {
        self.tones.is_none() && self.facts.colour.full_range
    }

    /// The pictures of some frames, which ascend.
    pub(super) fn stills(&self, frames: Vec<u64>) -> Stills<'_> {
        let tones = self.tones.clone().map(ToneMapper::new);
        Stills { title: self, wanted: frames.into(), run: None, tones }
    }

    /// The picture of one frame.
    pub(super) fn still(&self, frame: u64) -> Result<Arc<ff::frame::Video>, MediaError> {
        let still = self.stills(vec![frame]).next()?;
        still.map(|(_, picture)| picture).ok_or_else(|| MediaError::failed("no frame was asked for"))
    }

    /// A reader of the frames from the first wanted one on, up to the last that decoding passes on its way anyway.
    fn reader(&self, wanted: &VecDeque<u64>) -> Result<Option<FrameReader<'_>>, MediaError> {
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
            damage: self.profile.admission.damage,
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
pub(super) fn rules(profile: &Profile) -> Picture {
    let fields = if profile.picture.fields == Fields::Keep { Fields::Bwdif } else { profile.picture.fields };
    Picture { fields, tone_map: ToneMap::Bt2390, ..profile.picture }
}

/// Gives the pictures of frames of a title, in their order.
pub(super) struct Stills<'a> {
    title: &'a Title<'a>,
    wanted: VecDeque<u64>,
    run: Option<FrameReader<'a>>,
    tones: Option<ToneMapper>,
}

impl Stills<'_> {
    /// The next wanted frame with its picture.
    pub(super) fn next(&mut self) -> Result<Option<(u64, Arc<ff::frame::Video>)>, MediaError> {
        let Some(wanted) = self.wanted.front().copied() else { return Ok(None) };
        if !self.run.as_ref().is_some_and(|run| run.reaches(wanted)) {
            self.run = self.title.reader(&self.wanted)?;
        }
        let Some(run) = &mut self.run else { return Ok(None) };
        while let Some(decoded) = run.next()? {
            if decoded.frame == wanted {
                self.wanted.pop_front();
                let picture = self.title.coloured(&decoded.picture)?;
                let picture = match &mut self.tones {
                    Some(tones) => tones.map(&picture)?,
                    None => picture,
                };
                return Ok(Some((wanted, Arc::new(picture))));
            }
        }
        Err(MediaError::failed("a frame is not where the index has it"))
    }
}
