//! Frames of an output against frames of the mezzanine: each at its time, each most like its own.

use std::sync::mpsc;

use ffmpeg_next as ff;
use reel_cmaf::mov::TrackKind;
use reel_profiles::VideoCodec;
use reel_proto::v1;

use super::thumbnail::{Reducer, Thumbnail, difference};
use super::tree::{CodedTrack, Stream};
use crate::MediaError;
use crate::decode::{Speed, open_decoder};
use crate::encoder::REORDER_FRAMES;
use crate::times::TitleTimes;

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
    times: &TitleTimes,
    mezzanine: &mpsc::Receiver<Thumbnail>,
) -> Result<v1::RenditionProof, MediaError> {
    let track = CodedTrack::of_stream(stream, TrackKind::Video)?;
    check_times(&track, times)?;
    let mut comparison = Comparison::new(&track.label, times, 0);
    let mut decoder = OutputDecoder::open(&track.label, track.video_codec()?, &track.config)?;
    let mut window = Sliding::default();
    let coded = track.samples.iter().map(Some).chain([None]);
    for sample in coded {
        match sample {
            Some(sample) => decoder.send(&track.data(sample)?, sample.pts, sample.dts)?,
            None => decoder.end()?,
        }
        while let Some((pts, output)) = decoder.receive()? {
            window.advance(mezzanine);
            comparison.push(pts, &output, &window.around())?;
        }
    }
    let Compared { worst_difference_ppm, ties } = comparison.finish(times.frames())?;
    Ok(v1::RenditionProof { worst_difference_ppm, ties, ..whole(&stream.name, times) })
}

/// What is said of a rendition that shows the whole title.
pub(super) fn whole(rendition: &str, times: &TitleTimes) -> v1::RenditionProof {
    let frames = times.frames();
    v1::RenditionProof {
        rendition: rendition.to_owned(),
        frames,
        first_pts: times.ticks(0),
        last_pts: times.ticks(frames - 1),
        timescale: times.timescale(),
        ..Default::default()
    }
}

/// Every frame of the title is there once, at its time.
pub(super) fn check_times(track: &CodedTrack, times: &TitleTimes) -> Result<(), MediaError> {
    let (label, frames) = (&track.label, times.frames());
    if track.samples.len() as u64 != frames {
        return Err(MediaError::failed(format!(
            "{label} has {} frames, the mezzanine has {frames}",
            track.samples.len()
        )));
    }
    if track.timescale != times.timescale() {
        return Err(MediaError::failed(format!("{label} counts {} ticks a second", track.timescale)));
    }
    let mut found: Vec<i64> = track.samples.iter().map(|sample| sample.pts).collect();
    found.sort_unstable();
    let wrong = (0..frames).zip(&found).find(|(frame, time)| times.ticks(*frame) != **time);
    match wrong {
        None => Ok(()),
        Some((frame, time)) => Err(MediaError::failed(format!(
            "{label} shows frame {frame} at tick {time} instead of {}",
            times.ticks(frame)
        ))),
    }
}

/// The mezzanine's frame that is due, with the one before and the one after.
#[derive(Default)]
struct Sliding {
    before: Option<Thumbnail>,
    own: Option<Thumbnail>,
    after: Option<Thumbnail>,
    begun: bool,
}

impl Sliding {
    fn advance(&mut self, mezzanine: &mpsc::Receiver<Thumbnail>) {
        self.before = self.own.take();
        self.own = if self.begun { self.after.take() } else { mezzanine.recv().ok() };
        self.after = mezzanine.recv().ok();
        self.begun = true;
    }

    fn around(&self) -> Around<'_> {
        Around { before: self.before.as_ref(), own: self.own.as_ref(), after: self.after.as_ref() }
    }
}

/// Decodes coded frames of ours and reduces the pictures.
pub(crate) struct OutputDecoder {
    label: String,
    decoder: ff::decoder::Video,
    reducer: Reducer,
}

impl OutputDecoder {
    /// A decoder for what a decoder configuration of a codec describes; `label` is for messages.
    pub(crate) fn open(label: &str, codec: VideoCodec, config: &[u8]) -> Result<Self, MediaError> {
        let setup = v1::DecoderSetup {
            // Profiles and libav have the same names for these.
            codec: codec.name().to_owned(),
            extradata: config.to_vec(),
            reorder: REORDER_FRAMES as u32,
            profile: ff::ffi::FF_PROFILE_UNKNOWN,
            level: ff::ffi::FF_LEVEL_UNKNOWN,
            ..Default::default()
        };
        let decoder = open_decoder(&setup, None, Speed::Rough)?;
        Ok(OutputDecoder { label: label.to_owned(), decoder, reducer: Reducer::new(0) })
    }

    /// Takes a coded frame. All pictures must have been received before.
    pub(crate) fn send(&mut self, data: &[u8], pts: i64, dts: i64) -> Result<(), MediaError> {
        let mut packet = ff::Packet::copy(data);
        packet.set_pts(Some(pts));
        packet.set_dts(Some(dts));
        self.decoder.send_packet(&packet).map_err(|error| self.refused(error))
    }

    /// Says that no more frames come.
    pub(crate) fn end(&mut self) -> Result<(), MediaError> {
        self.decoder.send_eof().map_err(|error| self.refused(error))
    }

    /// The next picture in presentation order, with its time; `None` until more is sent.
    pub(crate) fn receive(&mut self) -> Result<Option<(i64, Thumbnail)>, MediaError> {
        let Some((pts, picture)) = self.receive_picture()? else { return Ok(None) };
        Ok(Some((pts, self.reducer.reduce(&picture)?.thumbnail)))
    }

    /// The same as it was decoded.
    pub(crate) fn receive_picture(&mut self) -> Result<Option<(i64, ff::frame::Video)>, MediaError> {
        let mut picture = ff::frame::Video::empty();
        match self.decoder.receive_frame(&mut picture) {
            Ok(()) if picture.is_corrupt() || picture.has_decode_errors() => {
                let label = &self.label;
                Err(MediaError::failed(format!("{label} holds a frame that does not decode")))
            }
            Ok(()) => {
                let pts = picture.pts().unwrap_or(i64::MIN);
                Ok(Some((pts, picture)))
            }
            Err(ff::Error::Other { errno }) if errno == ff::ffi::EAGAIN => Ok(None),
            Err(ff::Error::Eof) => Ok(None),
            Err(error) => Err(self.refused(error)),
        }
    }

    fn refused(&self, error: ff::Error) -> MediaError {
        MediaError::failed(format!("{} does not decode: {error}", self.label))
    }
}

/// A frame of the mezzanine and its neighbours, as far as there are any.
pub(crate) struct Around<'a> {
    pub(crate) before: Option<&'a Thumbnail>,
    pub(crate) own: Option<&'a Thumbnail>,
    pub(crate) after: Option<&'a Thumbnail>,
}

/// What came of a comparison.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Compared {
    /// Largest mean difference of a frame to its source, in millionths of full scale.
    pub(crate) worst_difference_ppm: u64,
    /// Frames that look like their neighbour, where order shows in time alone.
    pub(crate) ties: u64,
}

/// Compares consecutive frames of one rendition.
pub(crate) struct Comparison<'a> {
    label: String,
    times: &'a TitleTimes,
    /// The frame that is due.
    next: u64,
    /// Largest mean difference, in levels of 256.
    worst: f64,
    ties: u64,
}

impl<'a> Comparison<'a> {
    /// A comparison that begins with frame `first`; `label` is for messages.
    pub(crate) fn new(label: &str, times: &'a TitleTimes, first: u64) -> Self {
        Comparison { label: label.to_owned(), times, next: first, worst: 0.0, ties: 0 }
    }

    /// The frame that is due.
    pub(crate) fn next(&self) -> u64 {
        self.next
    }

    /// Takes the next frame of the output, shown at tick `pts` of the title.
    pub(crate) fn push(
        &mut self,
        pts: i64,
        output: &Thumbnail,
        around: &Around<'_>,
    ) -> Result<(), MediaError> {
        let frame = self.next;
        let due = self.times.ticks(frame);
        if frame >= self.times.frames() || pts != due {
            return Err(MediaError::failed(format!(
                "{} decodes to tick {pts} where {due} is due",
                self.label
            )));
        }
        let own = around.own.ok_or_else(|| MediaError::failed(STARVED))?;
        let here = difference(output, own);
        self.worst = self.worst.max(here);
        if here > MAX_LEVELS {
            let seconds = self.times.seconds(frame);
            return Err(MediaError::failed(format!(
                "{} shows something else at frame {frame}, {seconds:.3} s: it differs by {here:.1} levels of 256",
                self.label
            )));
        }
        let mut tie = false;
        for (offset, neighbour) in [(-1, around.before), (1, around.after)] {
            let Some(neighbour) = neighbour else { continue };
            let motion = difference(own, neighbour);
            tie |= motion < TIE_LEVELS;
            // A frame in the neighbour's place would be nearer to the neighbour by nearly all of the motion;
            // coding loss alone never takes it half of the way.
            if here - difference(output, neighbour) > (motion / 2.0).max(TIE_LEVELS) {
                let seconds = self.times.seconds(frame);
                return Err(MediaError::failed(format!(
                    "{} shows frame {} of the mezzanine in the place of frame {frame}, at {seconds:.3} s",
                    self.label,
                    frame as i64 + offset
                )));
            }
        }
        self.ties += u64::from(tie);
        self.next += 1;
        Ok(())
    }

    /// Ends the comparison, which must have come to frame `end`.
    pub(crate) fn finish(self, end: u64) -> Result<Compared, MediaError> {
        if self.next != end {
            let next = self.next;
            return Err(MediaError::failed(format!(
                "{} decodes to frame {next} and no further, and not to {end}",
                self.label
            )));
        }
        let worst_difference_ppm = (self.worst / 255.0 * 1e6).round() as u64;
        Ok(Compared { worst_difference_ppm, ties: self.ties })
    }
}
