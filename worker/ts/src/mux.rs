//! Writing: pictures and sound become packets, in the order in which they are decoded.

use crate::packet::{
    Adaptation, PAT_PID, PMT_PID, Packets, SOUND_PID, SOUND_STREAM, VIDEO_PID, VIDEO_STREAM, end_pes, pat,
    pes_header, pmt,
};
use crate::{Adts, LEAD, PCR_PERIOD, ParameterSets, TsError};

/// A picture, with timestamps.
#[derive(Clone, Copy, Debug)]
pub struct Picture<'a> {
    /// Its sample, with lengths of four bytes.
    pub sample: &'a [u8],
    /// When it is decoded.
    pub dts: i64,
    /// When it is shown, not earlier.
    pub pts: i64,
    /// Whether it depends on no other.
    pub sync: bool,
}

/// A frame of AAC.
#[derive(Clone, Copy, Debug)]
pub struct SoundFrame<'a> {
    /// Its bytes, without a header.
    pub data: &'a [u8],
    /// When it sounds.
    pub pts: i64,
}

/// Writes the segments of a title one after the other: counters go on from one to the next, so that segments in a row are one stream.
#[derive(Clone, Debug)]
pub struct Muxer {
    sets: ParameterSets,
    sound: Option<(Adts, [u8; 3])>,
    pat: Packets,
    pmt: Packets,
    video: Packets,
    audio: Packets,
    /// The decode time that the last program clock reference was made for.
    clock: Option<i64>,
}

impl Muxer {
    /// Of pictures with an AVCDecoderConfigurationRecord, and sound, where there is some, with an AudioSpecificConfig and a language of
    /// three letters (ISO 639-2).
    pub fn new(avcc: &[u8], sound: Option<(&[u8], [u8; 3])>) -> Result<Self, TsError> {
        let adts = |(config, language)| Adts::new(config).map(|adts| (adts, language));
        Ok(Muxer {
            sets: ParameterSets::new(avcc)?,
            sound: sound.map(adts).transpose()?,
            pat: Packets::new(PAT_PID),
            pmt: Packets::new(PMT_PID),
            video: Packets::new(VIDEO_PID),
            audio: Packets::new(SOUND_PID),
            clock: None,
        })
    }

    /// The next segment. `pictures` are in decode order and `sound` is in order; `end` is the decode time after the last picture.
    ///
    /// # Errors
    /// What does not go into a stream, as [`TsError`] says.
    pub fn segment(
        &mut self,
        pictures: &[Picture<'_>],
        sound: &[SoundFrame<'_>],
        end: i64,
    ) -> Result<Vec<u8>, TsError> {
        let first = pictures.first().filter(|picture| picture.sync).ok_or(TsError::Start)?;
        let bytes = pictures.iter().map(|picture| picture.sample.len()).sum::<usize>()
            + sound.iter().map(|frame| frame.data.len()).sum::<usize>();
        let mut out = Vec::with_capacity(bytes + bytes / 8);
        self.pat.section(pat(), &mut out);
        self.pmt.section(pmt(self.sound.map(|(_, language)| language)), &mut out);
        // What is longer than the pictures sounds when they have ended, but is not waited for.
        let mut runs = runs(sound).peekable();
        for picture in pictures {
            while let Some(run) = runs.next_if(|run| run[0].pts < picture.dts && picture.dts > first.dts) {
                self.run(run, end, &mut out)?;
            }
            self.picture(picture, &mut out)?;
        }
        for run in runs {
            self.run(run, end, &mut out)?;
        }
        self.wait_until(end, &mut out);
        Ok(out)
    }

    fn picture(&mut self, picture: &Picture<'_>, out: &mut Vec<u8>) -> Result<(), TsError> {
        let Picture { sample, dts, pts, sync } = *picture;
        self.wait_until(dts, out);
        let mut pes = pes_header(VIDEO_STREAM, pts, dts);
        self.sets.write(sample, sync, &mut pes)?;
        let adaptation = Adaptation { random_access: sync, pcr: Some(dts - LEAD) };
        self.video.pes(&pes, adaptation, out);
        self.clock = Some(dts);
        Ok(())
    }

    fn run(&mut self, run: &[SoundFrame<'_>], end: i64, out: &mut Vec<u8>) -> Result<(), TsError> {
        let Some((adts, _)) = self.sound else { return Err(TsError::SoundConfig) };
        let pts = run[0].pts;
        self.wait_until(pts.min(end), out);
        let mut pes = pes_header(SOUND_STREAM, pts, pts);
        for frame in run {
            adts.write(frame.data, &mut pes)?;
        }
        end_pes(&mut pes)?;
        self.audio.pes(&pes, Adaptation { random_access: true, pcr: None }, out);
        Ok(())
    }

    /// Writes program clock references up to a decode time, so that none is further from the next than it may be.
    fn wait_until(&mut self, time: i64, out: &mut Vec<u8>) {
        let Some(clock) = &mut self.clock else { return };
        while *clock + PCR_PERIOD < time {
            *clock += PCR_PERIOD;
            self.video.pcr(*clock - LEAD, out);
        }
    }
}

/// Frames that go into one packet: what begins within 100 ms.
fn runs<'a, 'b>(sound: &'a [SoundFrame<'b>]) -> impl Iterator<Item = &'a [SoundFrame<'b>]> {
    let mut rest = sound;
    std::iter::from_fn(move || {
        let first = rest.first()?;
        let count = rest.partition_point(|frame| frame.pts < first.pts + PCR_PERIOD).max(1);
        let (run, after) = rest.split_at(count);
        rest = after;
        Some(run)
    })
}
