//! Decoded sound at a wanted rate and channel count, each block with its place on the title's timeline.

use std::collections::VecDeque;
use std::io::{Read, Seek};

use ffmpeg_next as ff;
use reel_common::Rational;
use reel_profiles::Downmix;
use reel_proto::v1;
use reel_store::Source;

use super::resample::{Mix, Resampler};
use crate::MediaError;
use crate::demux::{Demuxer, parameters, rational};
use crate::facts::MadeTrack;

/// Containers round times, so a packet that is off by less than this, in seconds, follows its predecessor; one that
/// is off by more stands behind a gap or an overlap.
const JITTER: (i64, i64) = (1, 100);
/// libav's audio frames are far smaller; a larger one is damage.
const MAX_FRAME_SAMPLES: usize = 1 << 20;

/// A block of planar samples.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Sound {
    /// The first sample's number on the title's timeline.
    pub(crate) start: u64,
    /// One row for each channel, all of one length.
    pub(crate) channels: Vec<Vec<f32>>,
}

impl Sound {
    /// Samples of each channel.
    pub(crate) fn frames(&self) -> usize {
        self.channels.first().map_or(0, Vec::len)
    }

    /// No sound.
    pub(crate) fn silence(start: u64, samples: usize, channels: usize) -> Self {
        Sound { start, channels: vec![vec![0.0; samples]; channels] }
    }

    /// The number of the sample after the last.
    pub(crate) fn end(&self) -> u64 {
        self.start + self.frames() as u64
    }

    /// The piece of the block that lies in `[from, end)`.
    pub(crate) fn within(mut self, from: u64, end: u64) -> Self {
        let skip = usize::try_from(from.saturating_sub(self.start)).unwrap_or(usize::MAX).min(self.frames());
        let keep = usize::try_from(end.saturating_sub(self.start)).unwrap_or(usize::MAX).min(self.frames());
        for channel in &mut self.channels {
            channel.truncate(keep.max(skip));
            channel.drain(..skip);
        }
        self.start += skip as u64;
        self
    }
}

/// A packet of a track's streams.
pub(super) struct SoundPacket<'a> {
    /// Which of the streams.
    pub(super) stream: usize,
    /// Its time on the container's timeline in seconds.
    pub(super) time: Option<Rational>,
    pub(super) data: &'a [u8],
    /// What the container says of samples to be skipped.
    pub(super) skip: &'a [u8],
}

/// Calls back for each packet of a track's streams. Gives what the decoder of each has to be told.
pub(super) fn each_packet(
    source: &Source,
    made: &MadeTrack<'_>,
    mut take: impl FnMut(SoundPacket<'_>),
) -> Result<Vec<v1::DecoderSetup>, MediaError> {
    let mut packets = Packets::open(source, made)?;
    let stream = |(index, _): &(usize, Rational)| packets.demuxer.input.stream(*index);
    let setup = |stream: ff::Stream<'_>| parameters(&stream).decoder;
    let setups = packets.streams.iter().filter_map(stream).map(setup).collect();
    while let Some((stream, packet)) = packets.next()? {
        let time_base = packets.streams[stream].1;
        let time = packet.pts().and_then(|pts| Rational::whole(pts).checked_mul(time_base));
        let skip = packet.side_data().find(|data| data.kind() == ff::packet::side_data::Type::SkipSamples);
        let skip = skip.as_ref().map_or(&[][..], |skip| skip.data());
        take(SoundPacket { stream, time, data: packet.data().unwrap_or_default(), skip });
    }
    Ok(setups)
}

/// The packets of some streams.
struct Packets {
    demuxer: Demuxer,
    /// Index in the container and time base of each.
    streams: Vec<(usize, Rational)>,
}

impl Packets {
    fn open(source: &Source, made: &MadeTrack<'_>) -> Result<Self, MediaError> {
        let streams: Vec<usize> = made.streams.iter().map(|facts| facts.stream as usize).collect();
        Self::of(Demuxer::open(source)?, &streams)
    }

    fn of(mut demuxer: Demuxer, indexes: &[usize]) -> Result<Self, MediaError> {
        demuxer.keep_only(indexes);
        let time_base = |index: usize| {
            let found = demuxer.input.stream(index).and_then(|stream| rational(stream.time_base()));
            let place = &demuxer.place;
            let found = found
                .ok_or_else(|| MediaError::failed(format!("{place} has no audio stream {index} any more")));
            found.map(|time_base| (index, time_base))
        };
        let streams = indexes.iter().map(|index| time_base(*index)).collect::<Result<_, _>>()?;
        Ok(Packets { demuxer, streams })
    }

    /// The next packet with the place of its stream.
    fn next(&mut self) -> Result<Option<(usize, ff::Packet)>, MediaError> {
        while let Some(packet) = self.demuxer.read()? {
            let place = self.streams.iter().position(|(index, _)| *index == packet.stream());
            if let Some(place) = place {
                return Ok(Some((place, packet)));
            }
        }
        Ok(None)
    }
}

/// Streams of one file that lie further apart than this are no longer waited for, in seconds: sound is held in memory
/// meanwhile.
const MAX_SKEW_SECONDS: u64 = 20;
/// Most samples of a block that is put together of several streams.
const MAX_BLOCK_SAMPLES: u64 = 1 << 16;

/// Decodes the sound of a track: one stream, or channels of several side by side.
pub(crate) struct SoundReader {
    packets: Packets,
    voices: Vec<Voice>,
    /// For each channel the voice and the row in it; empty where the one voice is the sound.
    picks: Vec<(usize, usize)>,
    /// Where the next block that is put together begins.
    position: u64,
    max_skew: u64,
}

impl SoundReader {
    /// Opens the sound of a mezzanine for a track; title time 0 is at `origin`, in seconds.
    pub(crate) fn open(source: &Source, made: &MadeTrack<'_>, origin: Rational) -> Result<Self, MediaError> {
        let (track, packets) = (made.track, Packets::open(source, made)?);
        let mut rows = vec![Vec::new(); packets.streams.len()];
        let mut picks = Vec::with_capacity(made.picks.len());
        for (stream, channel) in &made.picks {
            let rows: &mut Vec<usize> = &mut rows[*stream];
            let row = rows.iter().position(|known| known == channel).unwrap_or_else(|| {
                rows.push(*channel);
                rows.len() - 1
            });
            picks.push((*stream, row));
        }
        let mixing =
            Mixing { rate: track.sample_rate, mix: Mix::To(track.channels, track.downmix), rows: Vec::new() };
        let mixing = |rows: Vec<usize>| match rows.is_empty() {
            true => mixing.clone(),
            false => Mixing { mix: Mix::Keep, rows, ..mixing },
        };
        let mixings = rows.into_iter().map(mixing).collect();
        Self::new(packets, mixings, picks, origin)
    }

    /// Opens the sound of a file of ours.
    pub(crate) fn of_track(
        reader: impl Read + Seek + Send + 'static,
        place: &str,
        rate: u32,
        channels: u32,
    ) -> Result<Self, MediaError> {
        let demuxer = Demuxer::open_reader(reader, place)?;
        let best = demuxer.input.streams().best(ff::media::Type::Audio).map_or(0, |stream| stream.index());
        let mixing = Mixing { rate, mix: Mix::To(channels, Downmix::LoRo), rows: Vec::new() };
        Self::new(Packets::of(demuxer, &[best])?, vec![mixing], Vec::new(), Rational::ZERO)
    }

    fn new(
        packets: Packets,
        mixings: Vec<Mixing>,
        picks: Vec<(usize, usize)>,
        origin: Rational,
    ) -> Result<Self, MediaError> {
        let max_skew = mixings.first().map_or(0, |mixing| u64::from(mixing.rate)) * MAX_SKEW_SECONDS;
        let voice = |((index, time_base), mixing): (&(usize, Rational), Mixing)| {
            Voice::open(&packets.demuxer, *index, *time_base, mixing, origin)
        };
        let voices = packets.streams.iter().zip(mixings).map(voice).collect::<Result<_, _>>()?;
        Ok(SoundReader { packets, voices, picks, position: 0, max_skew })
    }

    /// The next block, in ascending order; blocks before the title's beginning are left out.
    pub(crate) fn next(&mut self) -> Result<Option<Sound>, MediaError> {
        loop {
            let ready = match self.picks.is_empty() {
                true => self.voices[0].ready.pop_front(),
                false => self.put_together()?,
            };
            if ready.is_some() || self.voices.iter().all(|voice| voice.drained) {
                return Ok(ready);
            }
            match self.packets.next()? {
                Some((voice, packet)) => self.voices[voice].push(&packet)?,
                None => self.voices.iter_mut().try_for_each(Voice::drain)?,
            }
        }
    }

    /// What all voices have from where the last block ended. A voice that is far behind the others is silent.
    fn put_together(&mut self) -> Result<Option<Sound>, MediaError> {
        let known = |voice: &Voice| if voice.drained { u64::MAX } else { voice.known_until() };
        let furthest = self.voices.iter().map(Voice::known_until).max().unwrap_or(0);
        let common = self.voices.iter().map(known).min().unwrap_or(0).min(furthest);
        let end = common.max(furthest.saturating_sub(self.max_skew)).min(self.position + MAX_BLOCK_SAMPLES);
        if end <= self.position {
            return Ok(None);
        }
        let start = std::mem::replace(&mut self.position, end);
        let taken = self.voices.iter_mut().map(|voice| voice.take_rows(start, end));
        let taken: Vec<Vec<Vec<f32>>> = taken.collect::<Result<_, _>>()?;
        let channels = self.picks.iter().map(|(voice, row)| taken[*voice][*row].clone()).collect();
        Ok(Some(Sound { start, channels }))
    }
}

/// What is made of a stream.
#[derive(Clone)]
struct Mixing {
    rate: u32,
    mix: Mix,
    /// The channels that are wanted; all, where it is empty.
    rows: Vec<usize>,
}

/// One stream, decoded and resampled.
struct Voice {
    /// What its file is called in messages.
    place: String,
    decoder: ff::decoder::Audio,
    time_base: Rational,
    origin: Rational,
    mixing: Mixing,
    resampler: Option<Resampler>,
    /// The number of the next sample that the resampler gives, which may lie before the title.
    position: i64,
    /// When the next decoded sample is due on the container's timeline, in seconds.
    due: Option<Rational>,
    ready: VecDeque<Sound>,
    /// Up to where blocks were given without it.
    given: u64,
    drained: bool,
}

impl Voice {
    fn open(
        demuxer: &Demuxer,
        index: usize,
        time_base: Rational,
        mixing: Mixing,
        origin: Rational,
    ) -> Result<Self, MediaError> {
        let place = demuxer.place.clone();
        let refuse = |error: ff::Error| {
            MediaError::invalid(format!("the sound of {place} cannot be decoded: {error}"))
        };
        let stream = demuxer.input.stream(index).ok_or(ff::Error::StreamNotFound);
        let stream = stream.map_err(refuse)?;
        let mut context = ff::codec::Context::from_parameters(stream.parameters()).map_err(refuse)?;
        // SAFETY: the context was just made. Without its time base the decoder could not skip priming samples.
        unsafe {
            (*context.as_mut_ptr()).pkt_timebase = stream.time_base().into();
            (*context.as_mut_ptr()).flags |= ff::ffi::AV_CODEC_FLAG_BITEXACT as i32;
        }
        let decoder = context.decoder().audio().map_err(refuse)?;
        Ok(Voice {
            place,
            decoder,
            time_base,
            origin,
            mixing,
            resampler: None,
            position: 0,
            due: None,
            ready: VecDeque::new(),
            given: 0,
            drained: false,
        })
    }

    /// Decodes a packet.
    fn push(&mut self, packet: &ff::Packet) -> Result<(), MediaError> {
        let sent = match packet.is_corrupt() {
            true => Err(ff::Error::InvalidData),
            false => self.decoder.send_packet(packet),
        };
        // A stream may begin in the middle of a frame; after the first sound, whatever is refused is lost sound.
        if sent.is_err() && self.due.is_some() {
            return Err(self.damaged());
        }
        self.receive()
    }

    /// Decodes what was held back; no packet follows.
    fn drain(&mut self) -> Result<(), MediaError> {
        // A decoder that has nothing to give says so when it is asked.
        let _ = self.decoder.send_eof();
        self.receive()?;
        self.flush_resampler()?;
        self.drained = true;
        // A stream of which nothing decodes is no silence.
        if self.due.is_none() { Err(self.damaged()) } else { Ok(()) }
    }

    fn receive(&mut self) -> Result<(), MediaError> {
        loop {
            let mut frame = ff::frame::Audio::empty();
            match self.decoder.receive_frame(&mut frame) {
                Ok(()) => self.take(&frame)?,
                Err(ff::Error::Other { errno }) if errno == ff::ffi::EAGAIN => return Ok(()),
                Err(ff::Error::Eof) => return Ok(()),
                Err(_) if self.due.is_some() => return Err(self.damaged()),
                Err(_) => return Ok(()),
            }
        }
    }

    fn damaged(&self) -> MediaError {
        let (place, seconds) = (&self.place, self.seconds());
        MediaError::invalid(format!(
            "{place} is damaged: its sound does not decode near {seconds:.3} s; deliver it again"
        ))
    }

    /// Where it is on the title's timeline.
    fn seconds(&self) -> f64 {
        self.due.and_then(|due| due.checked_sub(self.origin)).map_or(0.0, Rational::to_f64)
    }

    fn take(&mut self, frame: &ff::frame::Audio) -> Result<(), MediaError> {
        let (rate, samples) = (frame.rate(), frame.samples());
        if samples == 0 || samples > MAX_FRAME_SAMPLES || rate == 0 {
            return Ok(());
        }
        let time = frame
            .timestamp()
            .or(frame.pts())
            .and_then(|pts| Rational::whole(pts).checked_mul(self.time_base));
        let follows = match (self.due, time) {
            (Some(due), Some(time)) => time.checked_sub(due).is_some_and(is_jitter),
            (Some(_), None) => true,
            (None, _) => false,
        };
        if !follows {
            self.flush_resampler()?;
            let place = time.unwrap_or(self.origin).checked_sub(self.origin).unwrap_or(Rational::ZERO);
            self.position =
                place.checked_mul(Rational::whole(self.mixing.rate.into())).map_or(0, Rational::round);
            self.due = Some(time.unwrap_or(self.origin));
        }
        let length = Rational::new(samples as i64, rate.into()).unwrap_or(Rational::ZERO);
        self.due = self.due.and_then(|due| due.checked_add(length));
        self.resample(frame)
    }

    fn resample(&mut self, frame: &ff::frame::Audio) -> Result<(), MediaError> {
        if !self.resampler.as_ref().is_some_and(|resampler| resampler.fits(frame)) {
            self.flush_resampler()?;
            self.resampler = Some(Resampler::open(frame, self.mixing.rate, self.mixing.mix)?);
        }
        match &mut self.resampler {
            Some(resampler) => {
                let rows = resampler.convert(Some(frame))?;
                self.place(rows)
            }
            None => Ok(()),
        }
    }

    /// Takes the last samples out of the resampler before something new begins.
    fn flush_resampler(&mut self) -> Result<(), MediaError> {
        match self.resampler.take() {
            Some(mut resampler) => self.place(resampler.convert(None)?),
            None => Ok(()),
        }
    }

    fn place(&mut self, rows: Vec<Vec<f32>>) -> Result<(), MediaError> {
        let mut channels = self.wanted(rows)?;
        let samples = channels.first().map_or(0, Vec::len);
        let before = usize::try_from(-self.position).unwrap_or(0).min(samples);
        channels.iter_mut().for_each(|channel| drop(channel.drain(..before)));
        let block = Sound { start: self.position.max(0) as u64, channels };
        self.position += samples as i64;
        if block.frames() == 0 {
            return Ok(());
        }
        if block.start < self.given {
            let (place, seconds) = (&self.place, self.seconds());
            return Err(MediaError::invalid(format!(
                "the audio streams of {place} lie more than {MAX_SKEW_SECONDS} s apart in the file near {seconds:.3} s, \
                 too far to be put together; interleave them"
            )));
        }
        self.ready.push_back(block);
        Ok(())
    }

    /// The channels that are wanted.
    fn wanted(&self, mut rows: Vec<Vec<f32>>) -> Result<Vec<Vec<f32>>, MediaError> {
        if self.mixing.rows.is_empty() {
            return Ok(rows);
        }
        let wanted = self.mixing.rows.iter().map(|row| rows.get_mut(*row).map(std::mem::take));
        wanted.collect::<Option<_>>().ok_or_else(|| {
            let (place, seconds) = (&self.place, self.seconds());
            MediaError::invalid(format!(
                "the sound of {place} has fewer channels near {seconds:.3} s than at its beginning; deliver it again"
            ))
        })
    }

    /// The sample before which everything is known that will come, as far as nothing goes back.
    fn known_until(&self) -> u64 {
        self.position.max(0) as u64
    }

    /// The wanted channels of `[start, end)`, silent where there is no sound; what lies before `end` is gone then.
    fn take_rows(&mut self, start: u64, end: u64) -> Result<Vec<Vec<f32>>, MediaError> {
        if self.known_until() < end && !self.drained {
            // It is left behind: what its resampler still holds belongs to where it stopped.
            self.flush_resampler()?;
            self.given = end;
        }
        let mut rows = vec![vec![0.0; (end - start) as usize]; self.mixing.rows.len()];
        let mut from = start;
        for block in &self.ready {
            let until = block.end().min(end);
            let begin = block.start.max(from);
            if begin < until {
                for (row, channel) in rows.iter_mut().zip(&block.channels) {
                    let source = &channel[(begin - block.start) as usize..(until - block.start) as usize];
                    row[(begin - start) as usize..(until - start) as usize].copy_from_slice(source);
                }
                from = until;
            }
        }
        self.ready.retain(|block| block.end() > end);
        Ok(rows)
    }
}

fn is_jitter(difference: Rational) -> bool {
    Rational::new(JITTER.0, JITTER.1).is_some_and(|limit| {
        difference <= limit && difference.checked_add(limit).is_some_and(|sum| sum >= Rational::ZERO)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sound(start: u64, samples: std::ops::Range<i32>) -> Sound {
        Sound { start, channels: vec![samples.map(|sample| sample as f32).collect()] }
    }

    #[test]
    fn a_block_is_cut_to_what_is_wanted() {
        assert_eq!(sound(10, 0..5).within(0, 100), sound(10, 0..5));
        assert_eq!(sound(10, 0..5).within(12, 100), sound(12, 2..5));
        assert_eq!(sound(10, 0..5).within(0, 12), sound(10, 0..2));
        assert_eq!(sound(10, 0..5).within(20, 100).frames(), 0);
        assert_eq!(sound(10, 0..5).within(0, 3).frames(), 0);
    }

    #[test]
    fn jitter_is_told_from_a_gap() {
        let milliseconds = |ms| Rational::new(ms, 1000).unwrap();
        assert!(is_jitter(milliseconds(9)) && is_jitter(milliseconds(-9)) && is_jitter(Rational::ZERO));
        assert!(!is_jitter(milliseconds(11)) && !is_jitter(milliseconds(-11)));
    }
}
