//! libswresample: from what a decoder gives to planar floats at the wanted rate and channel count.

use std::ptr::{self, NonNull};

use ffmpeg_next as ff;
use ffmpeg_next::ffi;
use reel_profiles::Downmix;

use crate::MediaError;

/// What becomes of the channels of the input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mix {
    /// They stay as they are.
    Keep,
    /// They are mixed to so many, in libav's usual layout.
    To(u32, Downmix),
}

/// A converter for one input format.
pub(super) struct Resampler {
    raw: NonNull<ffi::SwrContext>,
    input: InputFormat,
    channels: usize,
}

// SAFETY: a converter is used by one thread at a time through `&mut self`; libswresample ties nothing to a thread.
unsafe impl Send for Resampler {}

/// What a decoded frame looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct InputFormat {
    format: i32,
    rate: i32,
    channels: i32,
    /// The channels that it has, as a mask; 0 where libav does not know.
    mask: u64,
}

impl InputFormat {
    fn of(frame: &ff::frame::Audio) -> Self {
        // SAFETY: the frame is valid; the mask is the active field of the union in the native order only.
        unsafe {
            let raw = &*frame.as_ptr();
            let native = raw.ch_layout.order == ffi::AVChannelOrder::AV_CHANNEL_ORDER_NATIVE;
            let mask = if native { raw.ch_layout.u.mask } else { 0 };
            InputFormat {
                format: raw.format,
                rate: raw.sample_rate,
                channels: raw.ch_layout.nb_channels,
                mask,
            }
        }
    }

    fn layout(&self) -> ffi::AVChannelLayout {
        let mut layout = std::mem::MaybeUninit::<ffi::AVChannelLayout>::zeroed();
        // SAFETY: zero is libav's own initial value of a layout, which the functions fill.
        unsafe {
            if self.mask == 0 || ffi::av_channel_layout_from_mask(layout.as_mut_ptr(), self.mask) < 0 {
                ffi::av_channel_layout_default(layout.as_mut_ptr(), self.channels);
            }
            layout.assume_init()
        }
    }
}

impl Resampler {
    /// A converter for frames like `frame`.
    pub(super) fn open(frame: &ff::frame::Audio, rate: u32, mix: Mix) -> Result<Self, MediaError> {
        let input = InputFormat::of(frame);
        let (channels, mask, downmix) = match mix {
            Mix::Keep => (input.channels, input.mask, Downmix::LoRo),
            Mix::To(channels, downmix) => (channels as i32, 0, downmix),
        };
        let wanted = InputFormat { format: 0, rate: rate as i32, channels, mask };
        let raw = allocate(input, wanted)?;
        let resampler = Resampler { raw, input, channels: channels as usize };
        let encoding = match downmix {
            Downmix::LoRo => ffi::AVMatrixEncoding::AV_MATRIX_ENCODING_NONE,
            Downmix::LtRt => ffi::AVMatrixEncoding::AV_MATRIX_ENCODING_DPLII,
        };
        // SAFETY: the context is allocated and not yet initialised; the option's name ends with a zero.
        let result = unsafe {
            match ffi::av_opt_set_int(raw.as_ptr().cast(), c"matrix_encoding".as_ptr(), encoding as i64, 0) {
                0 => ffi::swr_init(raw.as_ptr()),
                error => error,
            }
        };
        match result {
            0 => Ok(resampler),
            error => Err(converting(error)),
        }
    }

    /// Whether it takes frames like `frame`.
    pub(super) fn fits(&self, frame: &ff::frame::Audio) -> bool {
        self.input == InputFormat::of(frame)
    }

    /// Converts a frame that fits, or, without one, gives what was held back. One row for each channel.
    pub(super) fn convert(&mut self, frame: Option<&ff::frame::Audio>) -> Result<Vec<Vec<f32>>, MediaError> {
        let samples = frame.map_or(0, ff::frame::Audio::samples) as i32;
        // SAFETY: the context is open; the frame's planes hold `samples` samples of the format that it was opened
        // for; each output row has room for as many samples as the call is told.
        unsafe {
            let room = ffi::swr_get_out_samples(self.raw.as_ptr(), samples).max(0);
            let mut rows = vec![vec![0f32; room as usize]; self.channels];
            let mut outputs: Vec<*mut u8> = rows.iter_mut().map(|row| row.as_mut_ptr().cast()).collect();
            let input = frame.map_or(ptr::null_mut(), |frame| (*frame.as_ptr()).extended_data.cast());
            let written = ffi::swr_convert(self.raw.as_ptr(), outputs.as_mut_ptr(), room, input, samples);
            match usize::try_from(written) {
                Ok(written) => {
                    rows.iter_mut().for_each(|row| row.truncate(written));
                    Ok(rows)
                }
                Err(_) => Err(converting(written)),
            }
        }
    }
}

fn allocate(input: InputFormat, wanted: InputFormat) -> Result<NonNull<ffi::SwrContext>, MediaError> {
    let mut raw = ptr::null_mut();
    // SAFETY: the layouts live through the call; the sample format comes from a decoder of this libav.
    let result = unsafe {
        let (mut from, mut to) = (input.layout(), wanted.layout());
        let format = std::mem::transmute::<i32, ffi::AVSampleFormat>(input.format);
        let planar = ffi::AVSampleFormat::AV_SAMPLE_FMT_FLTP;
        let (no_offset, no_log) = (0, ptr::null_mut());
        ffi::swr_alloc_set_opts2(
            &mut raw,
            &mut to,
            planar,
            wanted.rate,
            &mut from,
            format,
            input.rate,
            no_offset,
            no_log,
        )
    };
    match NonNull::new(raw) {
        Some(raw) if result == 0 => Ok(raw),
        Some(_) => Err(converting(result)),
        None => Err(MediaError::failed("no memory for converting the sound")),
    }
}

fn converting(error: i32) -> MediaError {
    MediaError::library("converting the sound", ff::Error::from(error))
}

impl Drop for Resampler {
    fn drop(&mut self) {
        let mut raw = self.raw.as_ptr();
        // SAFETY: the context is open and not used afterwards.
        unsafe { ffi::swr_free(&mut raw) }
    }
}
