//! H.264 by libx264: one encoder for one part, set up so that the same frames give the same bytes anywhere.

use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::mem::MaybeUninit;
use std::ptr;

use ffmpeg_next as ff;
use reel_common::{Colour, Rational};
use reel_profiles::ResolvedRendition;
use x264_sys as x264;

use crate::MediaError;

/// How many frames before a part are encoded and thrown away, so that the encoder's state at the part's start is
/// that of an encoder that has been running.
pub(crate) const PREROLL_FRAMES: u64 = 12;
/// The most frames by which x264 codes a frame before one that is shown earlier: two, with a pyramid of B-frames.
pub(crate) const REORDER_FRAMES: u64 = 2;
/// State of the VBV at the start of a part: half full, since the part before seldom leaves less. A title is not checked
/// against its buffer as a whole.
const VBV_START: f32 = 0.5;

/// All that decides how a rendition is encoded.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    /// Codec settings and picture size.
    pub(crate) rendition: ResolvedRendition,
    /// Colour description to signal.
    pub(crate) colour: Colour,
    /// Frames per second, the average where it varies.
    pub(crate) rate: Rational,
    /// Ticks per second of the times given with the frames, where the rate varies.
    pub(crate) variable_timescale: Option<u32>,
}

/// What the encoder is told about the type of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FrameType {
    /// The encoder decides.
    Auto,
    /// An IDR picture.
    Idr,
    /// A predicted picture, so that the frame after it can be an IDR without ending a GOP of one frame.
    Predicted,
}

/// One coded frame.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct AccessUnit {
    /// The time that was given with its frame.
    pub(crate) time: i64,
    /// NAL units with four-byte lengths.
    pub(crate) data: Vec<u8>,
    /// Whether it is an IDR picture.
    pub(crate) idr: bool,
    /// Luma PSNR in decibels.
    pub(crate) psnr: f64,
}

/// What an encoder says of itself before its first frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Headers {
    /// AVCDecoderConfigurationRecord, ISO/IEC 14496-15, 5.3.3.1.
    pub(crate) avcc: Vec<u8>,
    /// Version and settings, as x264 writes them into its SEI; part of the recipe, never of the output.
    pub(crate) identification: String,
}

/// How hard the encoder looks for the best way to code a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Effort {
    /// As the settings say.
    Full,
    /// For frames that are thrown away. They leave behind the same lookahead and nearly the same rate control: where VBV
    /// binds, their sizes count in its predictors. A part always has the same preroll, so its bytes are the same anywhere.
    Least,
}

/// An open x264 encoder.
pub(crate) struct Encoder {
    raw: ptr::NonNull<x264::x264_t>,
    settings: x264::x264_param_t,
}

// SAFETY: an encoder is used by one thread at a time through `&mut self`; x264 ties nothing to a thread.
unsafe impl Send for Encoder {}

impl Settings {
    /// How many frames after a part the encoder sees for its lookahead: enough that the last of its own has left the
    /// encoder before they end.
    pub(crate) fn tail_frames(&self) -> Result<u64, MediaError> {
        let parameters = self.parameters()?;
        let lookahead = parameters.rc.i_lookahead.max(parameters.i_bframe).max(0) as u64;
        Ok(lookahead + parameters.i_bframe.max(0) as u64 + 2)
    }

    fn parameters(&self) -> Result<x264::x264_param_t, MediaError> {
        let rendition = &self.rendition.rendition;
        let refuse =
            |what: &str| MediaError::invalid(format!("x264 knows no {what} of rendition {}", rendition.name));
        let preset = CString::new(rendition.preset.name()).map_err(|_| refuse("preset"))?;
        let tune =
            rendition.tune.map(|tune| CString::new(tune.name())).transpose().map_err(|_| refuse("tune"))?;
        let profile = CString::new(rendition.h264_profile.name()).map_err(|_| refuse("profile"))?;
        let mut raw = MaybeUninit::uninit();
        let tune = tune.as_ref().map_or(ptr::null(), |tune| tune.as_ptr());
        // SAFETY: the strings end in zero; x264 fills the whole structure before it looks at them.
        let mut raw = unsafe {
            match x264::x264_param_default_preset(raw.as_mut_ptr(), preset.as_ptr(), tune) {
                0 => raw.assume_init(),
                _ => return Err(refuse("preset or tune")),
            }
        };
        self.set_determinism(&mut raw);
        self.set_picture(&mut raw)?;
        self.set_rate(&mut raw);
        // SAFETY: the structure is initialised and the string ends in zero.
        match unsafe { x264::x264_param_apply_profile(&mut raw, profile.as_ptr()) } {
            0 => Ok(raw),
            _ => Err(refuse("profile that its settings fit")),
        }
    }

    /// One thread, the same arithmetic on every processor, nothing of the host in the stream.
    fn set_determinism(&self, raw: &mut x264::x264_param_t) {
        raw.i_threads = 1;
        raw.i_lookahead_threads = 1;
        raw.b_sliced_threads = 0;
        raw.i_sync_lookahead = 0;
        raw.b_deterministic = 1;
        raw.b_cpu_independent = 1;
        raw.b_stitchable = 1;
        raw.b_annexb = 0;
        raw.b_repeat_headers = 0;
        raw.b_aud = 0;
        // Below this level x264 would not measure; what it says goes nowhere.
        raw.i_log_level = x264::X264_LOG_INFO as i32;
        raw.pf_log = Some(say_nothing);
        raw.analyse.b_psnr = 1;
    }

    fn set_picture(&self, raw: &mut x264::x264_param_t) -> Result<(), MediaError> {
        raw.i_csp = x264::X264_CSP_I420 as i32;
        raw.i_bitdepth = 8;
        raw.i_width = self.rendition.width as i32;
        raw.i_height = self.rendition.height as i32;
        raw.vui.i_sar_width = 1;
        raw.vui.i_sar_height = 1;
        raw.vui.i_colorprim = self.colour.primaries.into();
        raw.vui.i_transfer = self.colour.transfer.into();
        // RGB has become YCbCr of BT.709 by the time it gets here.
        raw.vui.i_colmatrix = if self.colour.matrix == 0 { 1 } else { self.colour.matrix.into() };
        raw.vui.b_fullrange = (self.colour.full_range && self.colour.matrix != 0).into();
        raw.vui.i_chroma_loc = self.colour.chroma_location.unwrap_or(0).into();
        let out_of_range = |_| MediaError::invalid(format!("a frame rate of {} is out of range", self.rate));
        raw.i_fps_num = u32::try_from(self.rate.num()).map_err(out_of_range)?;
        raw.i_fps_den = u32::try_from(self.rate.den()).map_err(out_of_range)?;
        raw.b_vfr_input = self.variable_timescale.is_some().into();
        raw.i_timebase_num = if self.variable_timescale.is_some() { 1 } else { raw.i_fps_den };
        raw.i_timebase_den = self.variable_timescale.unwrap_or(raw.i_fps_num);
        Ok(())
    }

    /// GOPs end where they are told to; inside, a cut may get an IDR of its own.
    fn set_rate(&self, raw: &mut x264::x264_param_t) {
        let rendition = &self.rendition.rendition;
        raw.i_keyint_max = x264::X264_KEYINT_MAX_INFINITE as i32;
        raw.i_keyint_min = 1;
        raw.b_open_gop = 0;
        raw.i_level_idc = rendition.level.map_or(-1, |level| level.idc().into());
        raw.rc.i_rc_method = x264::X264_RC_CRF as i32;
        raw.rc.f_rf_constant = rendition.rate.crf_milli as f32 / 1000.0;
        if let (Some(rate), Some(size)) = (rendition.rate.maxrate_kbps, rendition.rate.bufsize_kbps) {
            raw.rc.i_vbv_max_bitrate = rate as i32;
            raw.rc.i_vbv_buffer_size = size as i32;
            raw.rc.f_vbv_buffer_init = VBV_START;
        }
    }
}

/// Takes what x264 would log. Its errors come back as results as well.
unsafe extern "C" fn say_nothing(_: *mut c_void, _: c_int, _: *const c_char, _: *mut x264::__va_list_tag) {}

impl Encoder {
    /// Opens an encoder.
    pub(crate) fn open(settings: &Settings) -> Result<Self, MediaError> {
        let mut parameters = settings.parameters()?;
        // SAFETY: the parameters are complete; x264 copies what it keeps.
        let raw = unsafe { x264::x264_encoder_open(&mut parameters) };
        let name = &settings.rendition.rendition.name;
        let refused = || MediaError::invalid(format!("x264 refuses the settings of rendition {name}"));
        ptr::NonNull::new(raw).map(|raw| Encoder { raw, settings: parameters }).ok_or_else(refused)
    }

    /// Changes the effort from the next frame on that is coded; frames that are held back are coded with it too.
    pub(crate) fn set_effort(&mut self, effort: Effort) -> Result<(), MediaError> {
        let mut changed = self.settings;
        if effort == Effort::Least {
            changed.i_frame_reference = 1;
            changed.analyse.b_mixed_references = 0;
            changed.analyse.i_trellis = 0;
            changed.analyse.inter &= x264::X264_ANALYSE_I4x4 | x264::X264_ANALYSE_I8x8;
            // Below 2, and with another search, the lookahead would see less as well.
            changed.analyse.i_subpel_refine = changed.analyse.i_subpel_refine.min(2);
        }
        // SAFETY: the encoder is open; x264 copies what it takes over.
        match unsafe { x264::x264_encoder_reconfig(self.raw.as_ptr(), &mut changed) } {
            0 => Ok(()),
            _ => Err(MediaError::failed("x264 refuses a change of effort")),
        }
    }

    /// The parameter sets and settings of this encoder.
    pub(crate) fn headers(&mut self) -> Result<Headers, MediaError> {
        let (mut nals, mut count) = (ptr::null_mut(), 0);
        // SAFETY: x264 points `nals` at `count` units of its own, valid until the next call.
        let units: Vec<Vec<u8>> = unsafe {
            if x264::x264_encoder_headers(self.raw.as_ptr(), &mut nals, &mut count) < 0 {
                return Err(MediaError::failed("x264 gave no headers"));
            }
            let nals = std::slice::from_raw_parts(nals, count.max(0) as usize);
            let payload =
                |nal: &x264::x264_nal_t| std::slice::from_raw_parts(nal.p_payload, nal.i_payload as usize);
            // Each unit begins with its length in four bytes.
            nals.iter().filter_map(|nal| payload(nal).get(4..)).map(<[u8]>::to_vec).collect()
        };
        let unit = |kind: u8| units.iter().find(|unit| unit.first().is_some_and(|byte| byte & 31 == kind));
        let (Some(sps), Some(pps)) = (unit(7), unit(8)) else {
            return Err(MediaError::failed("x264 gave no parameter sets"));
        };
        let sei = unit(6).map(|sei| sei.iter().filter(|byte| byte.is_ascii_graphic() || **byte == b' '));
        let identification = sei.map(|text| text.map(|byte| char::from(*byte)).collect()).unwrap_or_default();
        Ok(Headers { avcc: avcc(sps, pps), identification })
    }

    /// Takes a picture of the encoder's size in 4:2:0 and gives a finished frame, if there is one.
    pub(crate) fn encode(
        &mut self,
        picture: &ff::frame::Video,
        time: i64,
        kind: FrameType,
    ) -> Result<Option<AccessUnit>, MediaError> {
        let mut input = MaybeUninit::<x264::x264_picture_t>::uninit();
        // SAFETY: x264 initialises the structure; the planes stay valid during the call, and x264 only reads them.
        unsafe {
            x264::x264_picture_init(input.as_mut_ptr());
            let input = input.assume_init_mut();
            input.img.i_csp = x264::X264_CSP_I420 as i32;
            input.img.i_plane = 3;
            for plane in 0..3 {
                input.img.plane[plane] = picture.data(plane).as_ptr().cast_mut();
                input.img.i_stride[plane] = picture.stride(plane) as i32;
            }
            input.i_pts = time;
            input.i_type = match kind {
                FrameType::Auto => x264::X264_TYPE_AUTO,
                FrameType::Idr => x264::X264_TYPE_IDR,
                FrameType::Predicted => x264::X264_TYPE_P,
            } as i32;
            self.run(input)
        }
    }

    /// A frame that was held back, after the last picture; `None` when there are no more.
    pub(crate) fn flush(&mut self) -> Result<Option<AccessUnit>, MediaError> {
        // SAFETY: the encoder is open.
        while unsafe { x264::x264_encoder_delayed_frames(self.raw.as_ptr()) } > 0 {
            // SAFETY: a null picture asks for delayed frames.
            if let Some(unit) = unsafe { self.run(ptr::null_mut()) }? {
                return Ok(Some(unit));
            }
        }
        Ok(None)
    }

    /// # Safety
    /// `input` is null or points to a picture whose planes are valid during the call.
    unsafe fn run(&mut self, input: *mut x264::x264_picture_t) -> Result<Option<AccessUnit>, MediaError> {
        let (mut nals, mut count) = (ptr::null_mut(), 0);
        let mut output = MaybeUninit::<x264::x264_picture_t>::uninit();
        // SAFETY: the caller vouches for the input; x264 fills the output when it gives a frame, whose units lie
        // one behind the other in memory that is valid until the next call.
        unsafe {
            x264::x264_picture_init(output.as_mut_ptr());
            let output = output.assume_init_mut();
            let size = x264::x264_encoder_encode(self.raw.as_ptr(), &mut nals, &mut count, input, output);
            match usize::try_from(size) {
                Err(_) => Err(MediaError::failed("x264 failed to encode a frame")),
                Ok(0) => Ok(None),
                Ok(size) => Ok(Some(AccessUnit {
                    time: output.i_pts,
                    data: std::slice::from_raw_parts((*nals).p_payload, size).to_vec(),
                    idr: output.i_type == x264::X264_TYPE_IDR as i32,
                    psnr: output.prop.f_psnr[0],
                })),
            }
        }
    }
}

impl Drop for Encoder {
    fn drop(&mut self) {
        // SAFETY: the encoder is open and not used afterwards.
        unsafe { x264::x264_encoder_close(self.raw.as_ptr()) }
    }
}

/// The version of x264 that the settings were compiled for.
pub fn version() -> &'static str {
    CStr::from_bytes_until_nul(x264::X264_POINTVER)
        .ok()
        .and_then(|text| text.to_str().ok())
        .unwrap_or_default()
}

/// AVCDecoderConfigurationRecord of one SPS and one PPS: 8-bit 4:2:0, four-byte lengths.
fn avcc(sps: &[u8], pps: &[u8]) -> Vec<u8> {
    let mut record = vec![1];
    record.extend_from_slice(&sps[1..4]);
    record.extend_from_slice(&[0xFF, 0xE1]);
    record.extend_from_slice(&(sps.len() as u16).to_be_bytes());
    record.extend_from_slice(sps);
    record.push(1);
    record.extend_from_slice(&(pps.len() as u16).to_be_bytes());
    record.extend_from_slice(pps);
    if matches!(sps[1], 100 | 110 | 122 | 144) {
        record.extend_from_slice(&[0xFD, 0xF8, 0xF8, 0]);
    }
    record
}

#[cfg(test)]
pub(crate) mod tests {
    use ff::format::Pixel;
    use reel_profiles::{Profile, catalog};

    use super::*;

    pub(crate) fn settings() -> Settings {
        let profile = Profile::parse(catalog::text("proxy").unwrap(), "proxy.toml").unwrap();
        let rendition = ResolvedRendition { rendition: profile.video[0].clone(), width: 320, height: 180 };
        Settings { rendition, colour: Colour::default(), rate: Rational::whole(24), variable_timescale: None }
    }

    fn moving_picture(frame: i64) -> ff::frame::Video {
        let mut picture = ff::frame::Video::new(Pixel::YUV420P, 320, 180);
        for plane in 0..3 {
            let stride = picture.stride(plane);
            for (at, sample) in picture.data_mut(plane).iter_mut().enumerate() {
                let (x, y) = ((at % stride) as i64, (at / stride) as i64);
                *sample = ((x + frame * 3) ^ (y * 2 + frame)) as u8;
            }
        }
        picture
    }

    fn encode(frames: i64, idr_at: i64) -> Vec<AccessUnit> {
        let mut encoder = Encoder::open(&settings()).unwrap();
        let mut units = Vec::new();
        for frame in 0..frames {
            let kind = match frame {
                frame if frame == idr_at => FrameType::Idr,
                frame if frame + 1 == idr_at => FrameType::Predicted,
                _ => FrameType::Auto,
            };
            units.extend(encoder.encode(&moving_picture(frame), frame, kind).unwrap());
        }
        while let Some(unit) = encoder.flush().unwrap() {
            units.push(unit);
        }
        units
    }

    #[test]
    fn every_frame_comes_out_once_and_an_idr_where_it_is_asked_for() {
        let units = encode(60, 37);
        let mut times: Vec<i64> = units.iter().map(|unit| unit.time).collect();
        let idr = units.iter().position(|unit| unit.time == 37).unwrap();
        assert!(units.iter().all(|unit| unit.psnr > 20.0), "{units:?}");
        assert!(units[idr].idr && units[..idr].iter().all(|unit| unit.time < 37));
        times.sort_unstable();
        assert_eq!(times, (0..60).collect::<Vec<_>>());
    }

    #[test]
    fn the_same_frames_give_the_same_bytes() {
        assert_eq!(encode(40, 20), encode(40, 20));
    }

    #[test]
    fn headers_are_those_of_every_encoder_and_name_the_settings() {
        let headers = || Encoder::open(&settings()).unwrap().headers().unwrap();
        assert_eq!(headers(), headers());
        assert!(headers().identification.contains("threads=1"), "{}", headers().identification);
        assert_eq!(headers().avcc[0], 1);
    }
}
