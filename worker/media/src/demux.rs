//! Opening a mezzanine with libav: container, streams, and what their decoders have to be told.

use std::ffi::CStr;
use std::io::{Read, Seek};
use std::ptr;
use std::sync::Once;

use ffmpeg_next as ff;
use ffmpeg_next::ffi;
use reel_common::{Colour, Rational, Scan};
use reel_proto::v1;
use reel_store::Source;

use crate::MediaError;
use crate::picture::is_rgb;

/// Containers that are read; libav's short names. Playlist-like formats are left out, since they open other files.
const CONTAINERS: &str =
    "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,mxf,mpegts,mpeg,mpegvideo,avi,gxf,ivf,nut,h264,hevc,png_pipe";
/// The one of them that is a single picture.
pub(crate) const STILLS: &str = "png_pipe";
/// libav's buffer between its parser and the source.
const BUFFER_BYTES: usize = 32 * 1024;

/// An open container.
pub(crate) struct Demuxer {
    pub(crate) input: ff::format::context::Input,
    pub(crate) container: String,
    /// What is read, for messages.
    pub(crate) place: String,
    /// The mezzanine, unless it is a file of ours that is read.
    source: Option<Source>,
}

impl Demuxer {
    /// Opens a source and lets libav read as much of it as it takes to know the streams.
    pub(crate) fn open(source: &Source) -> Result<Self, MediaError> {
        let opened = Self::open_reader(source.reader(), source.location());
        // What libav makes of a failed read is its guess; the source knows.
        check(Some(source))?;
        Ok(Demuxer { source: Some(source.clone()), ..opened? })
    }

    /// The same for a file of ours; `place` is its name in messages.
    pub(crate) fn open_reader(
        reader: impl Read + Seek + Send + 'static,
        place: &str,
    ) -> Result<Self, MediaError> {
        start_libav();
        let stream = ff::format::context::StreamIo::from_read_seek_with_capacity(reader, BUFFER_BYTES)
            .map_err(|error| MediaError::library("opening the source", error))?;
        let mut options = ff::Dictionary::new();
        options.set("format_whitelist", CONTAINERS);
        let input = ff::format::input_from_stream(stream, None, Some(options)).map_err(|error| {
            let reason = match error {
                ff::Error::InvalidData => "it is no media file, or it is damaged or incomplete; look at it with ffprobe, or deliver it again"
                    .to_owned(),
                other => other.to_string(),
            };
            MediaError::invalid(format!("{place} cannot be opened: {reason}"))
        })?;
        let container = input.format().name().to_owned();
        Ok(Demuxer { input, container, place: place.to_owned(), source: None })
    }

    /// The next packet; `None` at the end.
    pub(crate) fn read(&mut self) -> Result<Option<ff::Packet>, MediaError> {
        let mut packet = ff::Packet::empty();
        let read = packet.read(&mut self.input);
        if read.is_err() {
            // libav takes some failed reads for the end of the file.
            check(self.source.as_ref())?;
        }
        let place = &self.place;
        match (read, &self.source) {
            (Ok(()), _) => Ok(Some(packet)),
            (Err(ff::Error::Eof), _) => Ok(None),
            (Err(error @ ff::Error::InvalidData), Some(_)) => Err(MediaError::invalid(format!(
                "{place} is damaged: {error} while reading through it; deliver it again"
            ))),
            // A packet as large as the number that stands in its place.
            (Err(ff::Error::Other { errno: ffi::ENOMEM }), Some(_)) => Err(MediaError::invalid(format!(
                "{place} is damaged: it claims a packet larger than the memory; deliver it again"
            ))),
            (Err(error), _) => Err(MediaError::failed(format!("reading {place} failed: {error}"))),
        }
    }

    /// Makes libav skip all streams but one.
    pub(crate) fn keep_only(&mut self, streams: &[usize]) {
        for mut other in self.input.streams_mut() {
            if !streams.contains(&other.index()) {
                // SAFETY: the stream belongs to the open input, which outlives this borrow.
                unsafe { (*other.as_mut_ptr()).discard = ffi::AVDiscard::AVDISCARD_ALL };
            }
        }
    }

    /// The video streams, without cover pictures.
    pub(crate) fn video_streams(&self) -> impl Iterator<Item = usize> {
        let pictures = ff::format::stream::Disposition::ATTACHED_PIC;
        let video = |stream: &ff::Stream| stream.parameters().medium() == ff::media::Type::Video;
        let moving = move |stream: &ff::Stream| video(stream) && !stream.disposition().contains(pictures);
        self.input.streams().filter(moving).map(|stream| stream.index())
    }

    /// The video stream to transcode: libav's best one, or the first.
    pub(crate) fn video_stream(&self, source: &Source) -> Result<usize, MediaError> {
        let best = self.input.streams().best(ff::media::Type::Video).map(|stream| stream.index());
        let best = best.filter(|best| self.video_streams().any(|stream| stream == *best));
        best.or_else(|| self.video_streams().next()).ok_or_else(|| {
            let place = source.location();
            MediaError::invalid(format!("{place} has no video stream: a mezzanine must have pictures"))
        })
    }

    /// Seconds that the container's header says it lasts; `None` where libav has guessed them from the bit rate.
    pub(crate) fn told_duration(&self) -> Option<f64> {
        // SAFETY: the context is open and only read; the field is a C enum of the size of an int.
        let method =
            unsafe { ptr::addr_of!((*self.input.as_ptr()).duration_estimation_method).cast::<i32>().read() };
        let guessed = ffi::AVDurationEstimationMethod::AVFMT_DURATION_FROM_BITRATE as i32;
        (method != guessed).then(|| self.input.duration() as f64 / f64::from(ffi::AV_TIME_BASE))
    }

    /// Timecode of a video stream's first frame, or of the container's: `HH:MM:SS:FF` or `HH:MM:SS;FF`.
    pub(crate) fn timecode(&self, stream: usize) -> Option<String> {
        let of_stream = |stream: ff::Stream| stream.metadata().get("timecode").map(str::to_owned);
        let own = self.input.stream(stream).and_then(of_stream);
        let container = || self.input.metadata().get("timecode").map(str::to_owned);
        let told = own.or_else(container).or_else(|| self.input.streams().find_map(of_stream));
        let digits = |pair: &str| pair.len() == 2 && pair.bytes().all(|byte| byte.is_ascii_digit());
        told.filter(|text| {
            text.len() == 11 && text.split([':', ';', '.']).filter(|pair| digits(pair)).count() == 4
        })
    }
}

fn check(source: Option<&Source>) -> Result<(), MediaError> {
    match source.and_then(Source::failure) {
        Some(error) => Err(MediaError::from(&*error)),
        None => Ok(()),
    }
}

/// Has libav's errors named, and quiets it: what it says on stderr becomes evidence of a failure, so only errors pass.
pub(crate) fn start_libav() {
    static STARTED: Once = Once::new();
    STARTED.call_once(|| {
        ff::util::error::register_all();
        crate::log::start();
    });
}

/// The release of FFmpeg that is linked, as its builders name it.
pub(crate) fn ffmpeg_version() -> String {
    // SAFETY: a static string that ends in zero.
    unsafe { text(ffi::av_version_info()) }
}

/// The codec parameters of a stream, copied out of libav's structure.
pub(crate) struct StreamParameters {
    pub(crate) codec: String,
    pub(crate) codec_profile: String,
    pub(crate) intra_only: bool,
    pub(crate) width: u32,
    pub(crate) height: u32,
    pub(crate) sample_aspect: Rational,
    pub(crate) pixel_format: String,
    pub(crate) scan: Scan,
    pub(crate) colour: Colour,
    pub(crate) decoder: v1::DecoderSetup,
    pub(crate) sample_rate: u32,
    pub(crate) channels: u32,
    pub(crate) layout: String,
}

/// Reads the parameters of a stream.
pub(crate) fn parameters(stream: &ff::Stream) -> StreamParameters {
    let parameters = stream.parameters();
    // SAFETY: the parameters and the stream live as long as their owners above and are only read; extradata points
    // to extradata_size bytes or is null; libav's name functions return static strings or null.
    unsafe {
        let raw = &*parameters.as_ptr();
        let extradata = match raw.extradata.is_null() {
            true => Vec::new(),
            false => std::slice::from_raw_parts(raw.extradata, raw.extradata_size.max(0) as usize).to_vec(),
        };
        let descriptor = ffi::avcodec_descriptor_get(raw.codec_id);
        let props = if descriptor.is_null() { 0 } else { (*descriptor).props };
        let codec = text(ffi::avcodec_get_name(raw.codec_id));
        let stream_aspect = (*stream.as_ptr()).sample_aspect_ratio;
        StreamParameters {
            codec_profile: text(ffi::avcodec_profile_name(raw.codec_id, raw.profile)),
            intra_only: props & ffi::AV_CODEC_PROP_INTRA_ONLY != 0,
            width: raw.width.max(0) as u32,
            height: raw.height.max(0) as u32,
            sample_aspect: aspect(stream_aspect)
                .or(aspect(raw.sample_aspect_ratio))
                .unwrap_or(Rational::whole(1)),
            pixel_format: text(ffi::av_get_pix_fmt_name(pixel_format(raw))),
            scan: scan(ptr::addr_of!(raw.field_order).cast::<i32>().read()),
            colour: colour(raw),
            decoder: v1::DecoderSetup {
                codec: codec.clone(),
                extradata,
                codec_tag: raw.codec_tag,
                profile: raw.profile,
                level: raw.level,
                bits_per_coded_sample: raw.bits_per_coded_sample.max(0) as u32,
                field_order: ptr::addr_of!(raw.field_order).cast::<i32>().read(),
                reorder: 0,
            },
            codec,
            sample_rate: raw.sample_rate.max(0) as u32,
            channels: raw.ch_layout.nb_channels.max(0) as u32,
            layout: layout(&raw.ch_layout),
        }
    }
}

/// The pixel format of a stream, or none where this build of libav does not know its number: an enum may not hold another
/// value.
fn pixel_format(raw: &ffi::AVCodecParameters) -> ffi::AVPixelFormat {
    match (0..ffi::AVPixelFormat::AV_PIX_FMT_NB as i32).contains(&raw.format) {
        // SAFETY: libav's enum has a value for each number below that of its last.
        true => unsafe { std::mem::transmute::<i32, ffi::AVPixelFormat>(raw.format) },
        false => ffi::AVPixelFormat::AV_PIX_FMT_NONE,
    }
}

fn aspect(ratio: ffi::AVRational) -> Option<Rational> {
    let ratio = Rational::new(ratio.num.into(), ratio.den.into())?;
    (ratio > Rational::ZERO).then_some(ratio)
}

/// Whether libav found that pictures are shown in the order in which they are decoded.
pub(crate) fn is_undelayed(stream: &ff::Stream) -> bool {
    let parameters = stream.parameters();
    // SAFETY: the parameters live as long as their owner above and are only read.
    unsafe { (*parameters.as_ptr()).video_delay == 0 }
}

/// How lines were taken: whether the field that is stored first is that of the upper lines. libav and what writes MOV files
/// agree that the field of that name comes first in time, whatever else has been written about the second letter.
pub(crate) fn scan(order: i32) -> Scan {
    use ffi::AVFieldOrder::{AV_FIELD_BB, AV_FIELD_BT, AV_FIELD_TB, AV_FIELD_TT};
    match field_order(order) {
        AV_FIELD_TT | AV_FIELD_TB => Scan::TopFieldFirst,
        AV_FIELD_BB | AV_FIELD_BT => Scan::BottomFieldFirst,
        _ => Scan::Progressive,
    }
}

/// The order of fields of a number, which may be any: an enum may not hold another than its own.
pub(crate) fn field_order(number: i32) -> ffi::AVFieldOrder {
    use ffi::AVFieldOrder::{
        AV_FIELD_BB, AV_FIELD_BT, AV_FIELD_PROGRESSIVE, AV_FIELD_TB, AV_FIELD_TT, AV_FIELD_UNKNOWN,
    };
    let known = [AV_FIELD_PROGRESSIVE, AV_FIELD_TT, AV_FIELD_BB, AV_FIELD_TB, AV_FIELD_BT];
    known.into_iter().find(|order| *order as i32 == number).unwrap_or(AV_FIELD_UNKNOWN)
}

/// H.273 code points; libav uses the standard's own numbers, and passes on whatever number a stream holds.
fn colour(raw: &ffi::AVCodecParameters) -> Colour {
    let byte = |number: i32| u8::try_from(number).unwrap_or(2);
    // SAFETY: the fields are C enums of the size of an int, read as such because a stream may hold a value that the
    // Rust enum does not know.
    let number = |field: *const i32| unsafe { field.read() };
    Colour {
        primaries: byte(number(ptr::addr_of!(raw.color_primaries).cast())),
        transfer: byte(number(ptr::addr_of!(raw.color_trc).cast())),
        // RGB has none, tagged or not.
        matrix: match is_rgb(pixel_format(raw).into()) {
            true => 0,
            false => byte(number(ptr::addr_of!(raw.color_space).cast())),
        },
        full_range: number(ptr::addr_of!(raw.color_range).cast())
            == ffi::AVColorRange::AVCOL_RANGE_JPEG as i32,
        // libav counts from 1, with 0 for unspecified.
        chroma_location: u8::try_from(number(ptr::addr_of!(raw.chroma_location).cast()) - 1).ok(),
    }
}

fn layout(layout: &ffi::AVChannelLayout) -> String {
    let mut buffer = [0u8; 64];
    // SAFETY: libav writes at most the given number of bytes, with a terminating zero.
    let length = unsafe { ffi::av_channel_layout_describe(layout, buffer.as_mut_ptr().cast(), buffer.len()) };
    match CStr::from_bytes_until_nul(&buffer) {
        Ok(text) if length > 0 => text.to_string_lossy().into_owned(),
        _ => String::new(),
    }
}

/// A string of libav's, or nothing.
///
/// # Safety
/// `pointer` is null or points to a string with a terminating zero that outlives the call.
unsafe fn text(pointer: *const std::ffi::c_char) -> String {
    match pointer.is_null() {
        true => String::new(),
        // SAFETY: not null, and the caller vouches for the rest.
        false => unsafe { CStr::from_ptr(pointer) }.to_string_lossy().into_owned(),
    }
}

/// Degrees by which the picture is to be turned clockwise.
pub(crate) fn rotation(stream: &ff::Stream) -> u16 {
    let matrix = stream.side_data().find(|data| data.kind() == ff::packet::side_data::Type::DisplayMatrix);
    let Some(matrix) = matrix.filter(|matrix| matrix.data().len() >= 36) else { return 0 };
    let mut values = [0i32; 9];
    for (value, bytes) in values.iter_mut().zip(matrix.data().chunks_exact(4)) {
        *value = i32::from_ne_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
    }
    // SAFETY: the function reads nine values.
    let anticlockwise = unsafe { ffi::av_display_rotation_get(values.as_ptr()) };
    if anticlockwise.is_nan() {
        return 0;
    }
    let quarter_turns = (-anticlockwise / 90.0).round() as i64;
    (quarter_turns.rem_euclid(4) * 90) as u16
}

/// libav's rational as ours; `None` for a zero denominator.
pub(crate) fn rational(value: ff::Rational) -> Option<Rational> {
    Rational::new(value.numerator().into(), value.denominator().into())
}
