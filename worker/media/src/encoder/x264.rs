//! H.264 by libx264.

use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::mem::MaybeUninit;
use std::ptr;

use ffmpeg_next as ff;
use reel_cmaf::avc;
use reel_common::Scan;
use reel_profiles::Coding;
use x264_sys as x264;

use super::{AccessUnit, Effort, Encoder, FrameType, Headers, Settings, Surroundings};
use crate::MediaError;

/// How many frames before a part are encoded and thrown away. With 12 the five frames after a join are worse by 0.09 dB than
/// those of an encoder that has been running, with 24 by 0.02, with 36 by less than 0.01.
const PREROLL_FRAMES: u64 = 36;
/// Likewise where there is a VBV, whose state at the part's start would drift from [`VBV_START`] with more of them.
const VBV_PREROLL_FRAMES: u64 = 12;
/// State of the VBV at the start of a part: half full, since the part before seldom leaves less. A title is not checked
/// against its buffer as a whole.
const VBV_START: f32 = 0.5;

/// An open x264 encoder.
pub(super) struct X264 {
    raw: ptr::NonNull<x264::x264_t>,
    settings: x264::x264_param_t,
}

// SAFETY: an encoder is used by one thread at a time through `&mut self`; x264 ties nothing to a thread.
unsafe impl Send for X264 {}

/// What the encoder sees beside a part: enough after it for its lookahead, and for the part's last frame to come out.
pub(super) fn surroundings(settings: &Settings) -> Result<Surroundings, MediaError> {
    let parameters = settings.x264_parameters()?;
    let lookahead = parameters.rc.i_lookahead.max(parameters.i_bframe).max(0) as u64;
    let tail = lookahead + parameters.i_bframe.max(0) as u64 + 2;
    let preroll = if parameters.rc.i_vbv_buffer_size > 0 { VBV_PREROLL_FRAMES } else { PREROLL_FRAMES };
    Ok(Surroundings { preroll, tail })
}

impl Settings {
    fn x264_parameters(&self) -> Result<x264::x264_param_t, MediaError> {
        let rendition = &self.rendition.rendition;
        let refuse =
            |what: &str| MediaError::invalid(format!("x264 knows no {what} of rendition {}", rendition.name));
        let Coding::H264 { preset, tune, profile, level } = rendition.coding else {
            return Err(refuse("codec"));
        };
        let preset = CString::new(preset.name()).map_err(|_| refuse("preset"))?;
        let tune = tune.map(|tune| CString::new(tune.name())).transpose().map_err(|_| refuse("tune"))?;
        let profile = CString::new(profile.name()).map_err(|_| refuse("profile"))?;
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
        raw.i_level_idc = level.map_or(-1, |level| level.idc().into());
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
        raw.analyse.b_ssim = 1;
    }

    fn set_picture(&self, raw: &mut x264::x264_param_t) -> Result<(), MediaError> {
        raw.i_csp = x264::X264_CSP_I420 as i32;
        raw.i_bitdepth = 8;
        raw.i_width = self.rendition.width as i32;
        raw.i_height = self.rendition.height as i32;
        raw.vui.i_sar_width = 1;
        raw.vui.i_sar_height = 1;
        let colour = self.coded_colour();
        raw.vui.i_colorprim = colour.primaries.into();
        raw.vui.i_transfer = colour.transfer.into();
        raw.vui.i_colmatrix = colour.matrix.into();
        raw.vui.b_fullrange = colour.full_range.into();
        raw.vui.i_chroma_loc = colour.chroma_location.unwrap_or(0).into();
        if self.rendition.scan != Scan::Progressive {
            raw.b_interlaced = 1;
            raw.b_tff = i32::from(self.rendition.scan == Scan::TopFieldFirst);
            raw.b_pic_struct = 1;
        }
        (raw.i_fps_num, raw.i_fps_den) = self.rate_terms()?;
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
        raw.rc.i_rc_method = x264::X264_RC_CRF as i32;
        raw.rc.f_rf_constant = self.crf_milli as f32 / 1000.0;
        if let (Some(rate), Some(size)) = (rendition.rate.maxrate_kbps, rendition.rate.bufsize_kbps) {
            raw.rc.i_vbv_max_bitrate = rate as i32;
            raw.rc.i_vbv_buffer_size = size as i32;
            raw.rc.f_vbv_buffer_init = VBV_START;
        }
    }
}

/// Takes what x264 would log. Its errors come back as results as well.
unsafe extern "C" fn say_nothing(_: *mut c_void, _: c_int, _: *const c_char, _: *mut x264::__va_list_tag) {}

impl X264 {
    /// Opens an encoder.
    pub(super) fn open(settings: &Settings) -> Result<Self, MediaError> {
        let mut parameters = settings.x264_parameters()?;
        // SAFETY: the parameters are complete; x264 copies what it keeps.
        let raw = unsafe { x264::x264_encoder_open(&mut parameters) };
        let opened = ptr::NonNull::new(raw).map(|raw| X264 { raw, settings: parameters });
        opened.ok_or_else(|| settings.refused())
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
                    key: output.i_type == x264::X264_TYPE_IDR as i32,
                    psnr: output.prop.f_psnr[0],
                    ssim: output.prop.f_ssim,
                })),
            }
        }
    }
}

impl Encoder for X264 {
    fn set_effort(&mut self, effort: Effort) -> Result<(), MediaError> {
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

    fn headers(&mut self) -> Result<Headers, MediaError> {
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
        let settings: Option<String> = sei.map(|text| text.map(|byte| char::from(*byte)).collect());
        let identification = format!("x264 {} {}", version(), settings.unwrap_or_default());
        let config = avc::configuration(sps, pps);
        let config = config.ok_or_else(|| MediaError::failed("x264 gave malformed parameter sets"))?;
        Ok(Headers { config, identification })
    }

    fn encode(
        &mut self,
        picture: &ff::frame::Video,
        time: i64,
        kind: FrameType,
    ) -> Result<Vec<AccessUnit>, MediaError> {
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
                FrameType::Key => x264::X264_TYPE_IDR,
                FrameType::Predicted => x264::X264_TYPE_P,
            } as i32;
            self.run(input).map(|unit| unit.into_iter().collect())
        }
    }

    fn flush(&mut self) -> Result<Option<AccessUnit>, MediaError> {
        // SAFETY: the encoder is open.
        while unsafe { x264::x264_encoder_delayed_frames(self.raw.as_ptr()) } > 0 {
            // SAFETY: a null picture asks for delayed frames.
            if let Some(unit) = unsafe { self.run(ptr::null_mut()) }? {
                return Ok(Some(unit));
            }
        }
        Ok(None)
    }
}

impl Drop for X264 {
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
