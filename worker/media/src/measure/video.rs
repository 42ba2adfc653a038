//! Frames of an output against frames of the mezzanine: each at its time, each most like its own.

use std::sync::mpsc;

use ffmpeg_next as ff;
use reel_cmaf::mov::TrackKind;
use reel_profiles::VideoCodec;
use reel_proto::v1;

use super::comparison::{Around, Compared, Comparison};
use super::thumbnail::{Reducer, Thumbnail};
use super::tree::{CodedTrack, Stream};
use crate::MediaError;
use crate::decode::{Speed, open_decoder};
use crate::encoder::REORDER_FRAMES;
use crate::times::TitleTimes;

/// What a comparison says that got no more frames of the mezzanine, because something else has failed and says why.
pub(super) const STARVED: &str = "the mezzanine ended early";

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
