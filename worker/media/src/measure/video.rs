//! Frames of the output against frames of the mezzanine: the same number, at the same times, each most like its own.

use std::sync::mpsc;

use ffmpeg_next as ff;
use reel_cmaf::mov::TrackKind;
use reel_common::DigestWriter;
use reel_proto::v1;

use super::thumbnail::{Reducer, Thumbnail, difference};
use super::tree::{CodedTrack, Stream};
use crate::MediaError;
use crate::decode::{Speed, open_decoder};
use crate::timeline::Timeline;

/// Two neighbours that differ by less than this many levels of 256 are told apart by their times alone: that
/// little may be lost in coding.
const TIE_LEVELS: f64 = 0.75;
/// What a comparison says that got no more frames of the mezzanine, because something else has failed and says why.
pub(super) const STARVED: &str = "the mezzanine ended early";
/// No encode that is worth delivering is further from its source, in levels of 256.
const MAX_LEVELS: f64 = 20.0;

/// Checks one rendition against the thumbnails of the mezzanine's frames, which come in order.
pub(super) fn prove(
    stream: &Stream,
    timeline: &Timeline,
    mezzanine: &mpsc::Receiver<Thumbnail>,
) -> Result<v1::RenditionProof, MediaError> {
    let track = CodedTrack::of_stream(stream, TrackKind::Video)?;
    check_times(&track, timeline)?;
    let mut comparison = Comparison::new(&track.label, timeline);
    let mut decoder = OutputDecoder::open(&track)?;
    while let Some(output) = decoder.next()? {
        comparison.push(output, mezzanine)?;
    }
    let mut proof = comparison.finish()?;
    proof.rendition = stream.name.clone();
    Ok(proof)
}

/// Every frame of the title is there once, at its time.
fn check_times(track: &CodedTrack, timeline: &Timeline) -> Result<(), MediaError> {
    let (label, frames) = (&track.label, timeline.frames());
    if track.samples.len() as u64 != frames {
        return Err(MediaError::failed(format!(
            "{label} has {} frames, the mezzanine has {frames}",
            track.samples.len()
        )));
    }
    if track.timescale != timeline.timescale() {
        return Err(MediaError::failed(format!("{label} counts {} ticks a second", track.timescale)));
    }
    let mut times: Vec<i64> = track.samples.iter().map(|sample| sample.pts).collect();
    times.sort_unstable();
    let wrong = (0..frames).zip(&times).find(|(frame, time)| timeline.title_ticks(*frame) != **time);
    match wrong {
        None => Ok(()),
        Some((frame, time)) => Err(MediaError::failed(format!(
            "{label} shows frame {frame} at tick {time} instead of {}",
            timeline.title_ticks(frame)
        ))),
    }
}

/// Decodes the output in presentation order.
struct OutputDecoder<'a> {
    track: &'a CodedTrack,
    decoder: ff::decoder::Video,
    reducer: Reducer,
    next: usize,
}

impl<'a> OutputDecoder<'a> {
    fn open(track: &'a CodedTrack) -> Result<Self, MediaError> {
        let setup = v1::DecoderSetup {
            codec: "h264".to_owned(),
            extradata: track.config.clone(),
            reorder: 16,
            profile: ff::ffi::FF_PROFILE_UNKNOWN,
            level: ff::ffi::FF_LEVEL_UNKNOWN,
            ..Default::default()
        };
        let decoder = open_decoder(&setup, None, Speed::Rough)?;
        Ok(OutputDecoder { track, decoder, reducer: Reducer::new(0), next: 0 })
    }

    fn next(&mut self) -> Result<Option<(i64, Thumbnail)>, MediaError> {
        let label = &self.track.label;
        loop {
            let mut picture = ff::frame::Video::empty();
            match self.decoder.receive_frame(&mut picture) {
                Ok(()) if picture.is_corrupt() || picture.has_decode_errors() => {
                    return Err(MediaError::failed(format!("{label} holds a frame that does not decode")));
                }
                Ok(()) => {
                    let pts = picture.pts().unwrap_or(i64::MIN);
                    return Ok(Some((pts, self.reducer.reduce(&picture)?)));
                }
                Err(ff::Error::Other { errno }) if errno == ff::ffi::EAGAIN => self.feed()?,
                Err(ff::Error::Eof) => return Ok(None),
                Err(error) => return Err(MediaError::failed(format!("{label} does not decode: {error}"))),
            }
        }
    }

    fn feed(&mut self) -> Result<(), MediaError> {
        let sent = match self.track.samples.get(self.next) {
            Some(sample) => {
                let mut packet = ff::Packet::copy(&self.track.data(sample)?);
                packet.set_pts(Some(sample.pts));
                packet.set_dts(Some(sample.dts));
                self.decoder.send_packet(&packet)
            }
            None => self.decoder.send_eof(),
        };
        self.next += 1;
        sent.map_err(|error| MediaError::failed(format!("{} does not decode: {error}", self.track.label)))
    }
}

/// Compares frame by frame, with the neighbours before and after at hand.
struct Comparison<'a> {
    label: &'a str,
    timeline: &'a Timeline,
    /// The mezzanine's frames `compared - 1`, `compared` and `compared + 1`, as far as they are known.
    before: Option<Thumbnail>,
    own: Option<Thumbnail>,
    after: Option<Thumbnail>,
    compared: u64,
    digest: DigestWriter,
    worst: f64,
    ties: u64,
}

impl<'a> Comparison<'a> {
    fn new(label: &'a str, timeline: &'a Timeline) -> Self {
        Comparison {
            label,
            timeline,
            before: None,
            own: None,
            after: None,
            compared: 0,
            digest: DigestWriter::default(),
            worst: 0.0,
            ties: 0,
        }
    }

    fn push(
        &mut self,
        (pts, output): (i64, Thumbnail),
        mezzanine: &mpsc::Receiver<Thumbnail>,
    ) -> Result<(), MediaError> {
        let frame = self.compared;
        let due = self.timeline.title_ticks(frame);
        if frame >= self.timeline.frames() || pts != due {
            return Err(MediaError::failed(format!(
                "{} decodes to tick {pts} where {due} is due",
                self.label
            )));
        }
        self.advance(mezzanine)?;
        self.judge(frame, &output)?;
        self.digest.add(&output);
        self.compared += 1;
        Ok(())
    }

    fn advance(&mut self, mezzanine: &mpsc::Receiver<Thumbnail>) -> Result<(), MediaError> {
        if self.compared == 0 {
            self.own = mezzanine.recv().ok();
        } else {
            self.before = self.own.take();
            self.own = self.after.take();
        }
        if self.own.is_none() {
            return Err(MediaError::failed(STARVED));
        }
        self.after = mezzanine.recv().ok();
        Ok(())
    }

    fn judge(&mut self, frame: u64, output: &Thumbnail) -> Result<(), MediaError> {
        let Some(own) = &self.own else { return Ok(()) };
        let here = difference(output, own);
        self.worst = self.worst.max(here);
        if here > MAX_LEVELS {
            let seconds = self.timeline.seconds(frame);
            return Err(MediaError::failed(format!(
                "{} shows something else at frame {frame}, {seconds:.3} s: it differs by {here:.1} levels of 256",
                self.label
            )));
        }
        let mut tie = false;
        for (offset, neighbour) in [(-1, &self.before), (1, &self.after)] {
            let Some(neighbour) = neighbour else { continue };
            let motion = difference(own, neighbour);
            tie |= motion < TIE_LEVELS;
            // A frame in the neighbour's place would be nearer to the neighbour by nearly all of the motion;
            // coding loss alone never takes it half of the way.
            if here - difference(output, neighbour) > (motion / 2.0).max(TIE_LEVELS) {
                let seconds = self.timeline.seconds(frame);
                return Err(MediaError::failed(format!(
                    "{} shows frame {} of the mezzanine in the place of frame {frame}, at {seconds:.3} s",
                    self.label,
                    frame as i64 + offset
                )));
            }
        }
        self.ties += u64::from(tie);
        Ok(())
    }

    fn finish(self) -> Result<v1::RenditionProof, MediaError> {
        let frames = self.timeline.frames();
        if self.compared != frames {
            let compared = self.compared;
            return Err(MediaError::failed(format!(
                "{} decodes to {compared} of {frames} frames",
                self.label
            )));
        }
        Ok(v1::RenditionProof {
            frames,
            first_pts: self.timeline.title_ticks(0),
            last_pts: self.timeline.title_ticks(frames - 1),
            timescale: self.timeline.timescale(),
            frame_digest: self.digest.finish().0.to_vec(),
            worst_difference_ppm: (self.worst / 255.0 * 1e6).round() as u64,
            ties: self.ties,
            ..Default::default()
        })
    }
}
