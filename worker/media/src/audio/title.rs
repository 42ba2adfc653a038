//! The sound of a title: of its mezzanine from beginning to end, or of the pieces that an edit makes it of.

use std::collections::BTreeMap;

use reel_common::Rational;
use reel_profiles::{AudioTrack, Profile};
use reel_proto::v1;
use reel_store::Source;

use super::decode::{Sound, SoundReader};
use crate::facts::{self, MadeTrack};
use crate::times::TitleTimes;
use crate::{MediaError, edit};

/// Silence comes in blocks of this many samples, so that a long gap takes no memory.
const SILENCE_BLOCK: u64 = 1 << 16;

/// The sound of an audio track of a title, before it is encoded. Cuts are hard, to the sample.
pub(crate) struct TitleSound<'a> {
    track: &'a AudioTrack,
    pub(super) pieces: Vec<SoundPiece<'a>>,
}

/// A run of samples that is of one source.
pub(super) struct SoundPiece<'a> {
    /// As in [`edit::Piece::source`].
    pub(super) number: usize,
    pub(super) source: &'a Source,
    /// What the track is made from; `None` where the source has nothing for it, and is silent.
    pub(super) made: Option<MadeTrack<'a>>,
    /// The source's first frame on its container's timeline, in seconds.
    pub(super) origin: Rational,
    /// Its samples in the title, `[start, end)`.
    pub(super) start: u64,
    pub(super) end: u64,
    /// The number of the first of them, counted from the source's first frame.
    pub(super) from: u64,
}

impl<'a> TitleSound<'a> {
    /// The sound of the `[[audio]]` entry `track` of a profile, of these sources.
    pub(crate) fn new(
        sources: &'a [Source],
        index: &'a v1::Index,
        profile: &'a Profile,
        track: usize,
    ) -> Result<Self, MediaError> {
        let times = TitleTimes::new(index, &profile.picture)?;
        let entry = &profile.audio[track];
        let sample_at = |frame| times.sample_at(frame, entry.sample_rate);
        let mut pieces = Vec::new();
        for piece in edit::pieces(index, profile)? {
            let source = sources.get(piece.source);
            let made = facts::tracks(piece.index, profile)?.into_iter().find(|made| made.number == track);
            pieces.push(SoundPiece {
                number: piece.source,
                source: source.ok_or_else(|| MediaError::failed("a source of the edit is missing"))?,
                made,
                origin: facts::origin(piece.index)?,
                start: sample_at(piece.start),
                end: sample_at(piece.end()),
                from: sample_at(piece.first()),
            });
        }
        Ok(TitleSound { track: entry, pieces })
    }

    /// Decodes it: blocks without a gap, silent where there is no sound.
    pub(crate) fn each_block(
        &self,
        take: &mut dyn FnMut(Sound) -> Result<(), MediaError>,
    ) -> Result<(), MediaError> {
        let mut open: BTreeMap<usize, OpenSource> = BTreeMap::new();
        for piece in &self.pieces {
            let mut placed = piece.start;
            if let Some(made) = &piece.made {
                let known = open.remove(&piece.number).filter(|open| open.goes_on_with(piece));
                let mut reader = known.map_or_else(|| OpenSource::open(piece, made), Ok)?;
                while let Some(block) = reader.next(piece)? {
                    self.silence(placed, block.start, take)?;
                    placed = block.end();
                    take(block)?;
                }
                open.insert(piece.number, reader);
            }
            self.silence(placed, piece.end, take)?;
        }
        Ok(())
    }

    fn silence(
        &self,
        start: u64,
        end: u64,
        take: &mut dyn FnMut(Sound) -> Result<(), MediaError>,
    ) -> Result<(), MediaError> {
        let mut placed = start;
        while placed < end {
            let samples = SILENCE_BLOCK.min(end - placed);
            take(Sound::silence(placed, samples as usize, self.track.channels as usize))?;
            placed += samples;
        }
        Ok(())
    }
}

/// A source that is read on from piece to piece as long as they ascend.
struct OpenSource {
    reader: SoundReader,
    /// What was read beyond the last piece.
    held: Option<Sound>,
    /// The source's sample up to which everything was given.
    reached: u64,
}

impl OpenSource {
    fn open(piece: &SoundPiece<'_>, made: &MadeTrack<'_>) -> Result<Self, MediaError> {
        let reader = SoundReader::open(piece.source, made, piece.origin)?;
        Ok(OpenSource { reader, held: None, reached: 0 })
    }

    fn goes_on_with(&self, piece: &SoundPiece<'_>) -> bool {
        self.reached <= piece.from
    }

    /// The next block of a piece, in its place in the title; `None` after the last.
    fn next(&mut self, piece: &SoundPiece<'_>) -> Result<Option<Sound>, MediaError> {
        let end = piece.from + (piece.end - piece.start);
        loop {
            self.reached = self.reached.max(piece.from);
            let block = match self.held.take() {
                Some(held) => Some(held),
                None if self.reached >= end => None,
                None => self.reader.next()?,
            };
            let Some(block) = block else { return Ok(None) };
            if block.end() > end {
                self.held = Some(block.clone().within(end, u64::MAX));
            }
            let own = block.within(self.reached, end);
            if own.frames() > 0 {
                self.reached = own.end();
                return Ok(Some(Sound { start: own.start - piece.from + piece.start, ..own }));
            }
            if self.held.is_some() {
                self.reached = end;
                return Ok(None);
            }
        }
    }
}
