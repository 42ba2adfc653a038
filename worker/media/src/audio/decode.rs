//! Decoded sound at a wanted rate and channel count, each block with its place on the title's timeline.

use std::collections::VecDeque;
use std::io::{Read, Seek};

use ffmpeg_next as ff;
use reel_common::{AudioFacts, Rational};
use reel_proto::v1;
use reel_store::Source;

use super::resample::Resampler;
use crate::MediaError;
use crate::demux::{Demuxer, parameters, rational};

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

/// Calls back for each packet of an audio stream, with its time on the container's timeline in seconds and what the
/// container says of skipped samples. Gives what the decoder has to be told.
pub(super) fn each_packet(
    source: &Source,
    facts: &AudioFacts,
    mut take: impl FnMut(Option<Rational>, &[u8], &[u8]),
) -> Result<v1::DecoderSetup, MediaError> {
    let mut packets = Packets::open(source, facts)?;
    let stream = packets.demuxer.input.stream(packets.stream);
    let setup = stream.map(|stream| parameters(&stream).decoder).unwrap_or_default();
    while let Some(packet) = packets.next()? {
        let time = packet.pts().and_then(|pts| Rational::whole(pts).checked_mul(packets.time_base));
        let skip = packet.side_data().find(|data| data.kind() == ff::packet::side_data::Type::SkipSamples);
        take(time, packet.data().unwrap_or_default(), skip.as_ref().map_or(&[], |skip| skip.data()));
    }
    Ok(setup)
}

struct Packets {
    demuxer: Demuxer,
    stream: usize,
    time_base: Rational,
}

impl Packets {
    fn open(source: &Source, facts: &AudioFacts) -> Result<Self, MediaError> {
        Self::of(Demuxer::open(source)?, facts.stream as usize)
    }

    fn of(mut demuxer: Demuxer, stream: usize) -> Result<Self, MediaError> {
        demuxer.keep_only(stream);
        let place = &demuxer.place;
        let time_base = demuxer.input.stream(stream).and_then(|stream| rational(stream.time_base()));
        let time_base = time_base
            .ok_or_else(|| MediaError::failed(format!("{place} has no audio stream {stream} any more")))?;
        Ok(Packets { demuxer, stream, time_base })
    }

    fn next(&mut self) -> Result<Option<ff::Packet>, MediaError> {
        while let Some(packet) = self.demuxer.read()? {
            if packet.stream() == self.stream {
                return Ok(Some(packet));
            }
        }
        Ok(None)
    }
}

/// Decodes and resamples one audio stream.
pub(crate) struct SoundReader {
    packets: Packets,
    decoder: ff::decoder::Audio,
    origin: Rational,
    rate: u32,
    channels: u32,
    resampler: Option<Resampler>,
    /// The number of the next sample that the resampler gives, which may lie before the title.
    position: i64,
    /// When the next decoded sample is due on the container's timeline, in seconds.
    due: Option<Rational>,
    ready: VecDeque<Sound>,
    drained: bool,
    bad_packets: u64,
}

impl SoundReader {
    /// Opens the stream of a mezzanine that `facts` tell of; title time 0 is at `origin`, in seconds.
    pub(crate) fn open(
        source: &Source,
        facts: &AudioFacts,
        origin: Rational,
        rate: u32,
        channels: u32,
    ) -> Result<Self, MediaError> {
        Self::new(Packets::open(source, facts)?, origin, rate, channels)
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
        Self::new(Packets::of(demuxer, best)?, Rational::ZERO, rate, channels)
    }

    fn new(packets: Packets, origin: Rational, rate: u32, channels: u32) -> Result<Self, MediaError> {
        let refuse = |error: ff::Error| {
            MediaError::invalid(format!("the sound of {} cannot be decoded: {error}", packets.demuxer.place))
        };
        let stream = packets.demuxer.input.stream(packets.stream).ok_or(ff::Error::StreamNotFound);
        let stream = stream.map_err(refuse)?;
        let mut context = ff::codec::Context::from_parameters(stream.parameters()).map_err(refuse)?;
        // SAFETY: the context was just made. Without its time base the decoder could not skip priming samples.
        unsafe {
            (*context.as_mut_ptr()).pkt_timebase = stream.time_base().into();
            (*context.as_mut_ptr()).flags |= ff::ffi::AV_CODEC_FLAG_BITEXACT as i32;
        }
        let decoder = context.decoder().audio().map_err(refuse)?;
        Ok(SoundReader {
            packets,
            decoder,
            origin,
            rate,
            channels,
            resampler: None,
            position: 0,
            due: None,
            ready: VecDeque::new(),
            drained: false,
            bad_packets: 0,
        })
    }

    /// The next block, in ascending order; blocks before the title's beginning are left out.
    pub(crate) fn next(&mut self) -> Result<Option<Sound>, MediaError> {
        while self.ready.is_empty() && !self.drained {
            let mut frame = ff::frame::Audio::empty();
            match self.decoder.receive_frame(&mut frame) {
                Ok(()) => self.take(&frame)?,
                Err(ff::Error::Other { errno }) if errno == ff::ffi::EAGAIN => self.feed()?,
                Err(ff::Error::Eof) => {
                    self.flush_resampler()?;
                    self.drained = true;
                    // A stream of which nothing decodes is no silence.
                    self.bad_packets += u64::from(self.due.is_none());
                }
                Err(_) => self.bad_packets += u64::from(self.due.is_some()),
            }
            if self.bad_packets > 0 {
                let place = &self.packets.demuxer.place;
                let seconds =
                    self.due.and_then(|due| due.checked_sub(self.origin)).map_or(0.0, Rational::to_f64);
                return Err(MediaError::invalid(format!(
                    "{place} is damaged: its sound does not decode near {seconds:.3} s; deliver it again"
                )));
            }
        }
        Ok(self.ready.pop_front())
    }

    fn feed(&mut self) -> Result<(), MediaError> {
        let sent = match self.packets.next()? {
            Some(packet) if packet.is_corrupt() => Err(ff::Error::InvalidData),
            Some(packet) => self.decoder.send_packet(&packet),
            None => self.decoder.send_eof(),
        };
        // A stream may begin in the middle of a frame; after the first sound, whatever is refused is lost sound.
        self.bad_packets += u64::from(sent.is_err() && self.due.is_some());
        Ok(())
    }

    fn take(&mut self, frame: &ff::frame::Audio) -> Result<(), MediaError> {
        let (rate, samples) = (frame.rate(), frame.samples());
        if samples == 0 || samples > MAX_FRAME_SAMPLES || rate == 0 {
            return Ok(());
        }
        let time = frame
            .timestamp()
            .or(frame.pts())
            .and_then(|pts| Rational::whole(pts).checked_mul(self.packets.time_base));
        let follows = match (self.due, time) {
            (Some(due), Some(time)) => time.checked_sub(due).is_some_and(is_jitter),
            (Some(_), None) => true,
            (None, _) => false,
        };
        if !follows {
            self.flush_resampler()?;
            let place = time.unwrap_or(self.origin).checked_sub(self.origin).unwrap_or(Rational::ZERO);
            self.position = place.checked_mul(Rational::whole(self.rate.into())).map_or(0, Rational::round);
            self.due = Some(time.unwrap_or(self.origin));
        }
        let length = Rational::new(samples as i64, rate.into()).unwrap_or(Rational::ZERO);
        self.due = self.due.and_then(|due| due.checked_add(length));
        self.resample(frame)
    }

    fn resample(&mut self, frame: &ff::frame::Audio) -> Result<(), MediaError> {
        if !self.resampler.as_ref().is_some_and(|resampler| resampler.fits(frame)) {
            self.flush_resampler()?;
            self.resampler = Some(Resampler::open(frame, self.rate, self.channels)?);
        }
        if let Some(resampler) = &mut self.resampler {
            let rows = resampler.convert(Some(frame))?;
            self.place(rows);
        }
        Ok(())
    }

    /// Takes the last samples out of the resampler before something new begins.
    fn flush_resampler(&mut self) -> Result<(), MediaError> {
        if let Some(mut resampler) = self.resampler.take() {
            self.place(resampler.convert(None)?);
        }
        Ok(())
    }

    fn place(&mut self, mut channels: Vec<Vec<f32>>) {
        let samples = channels.first().map_or(0, Vec::len);
        let before = usize::try_from(-self.position).unwrap_or(0).min(samples);
        channels.iter_mut().for_each(|channel| drop(channel.drain(..before)));
        let block = Sound { start: self.position.max(0) as u64, channels };
        self.position += samples as i64;
        if block.frames() > 0 {
            self.ready.push_back(block);
        }
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
