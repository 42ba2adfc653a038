//! AV1 by SVT-AV1.
//!
//! Each closed GOP has an encoder of its own: SVT-AV1 1.4 begins a GOP after a fixed number of frames and does not where it
//! is asked to, and GOPs that follow each other share nothing.

use std::ffi::{CStr, CString};
use std::mem::MaybeUninit;
use std::ptr;

use ffmpeg_next as ff;
use reel_cmaf::av1;
use reel_common::{FailureClass, Hdr10, LightLevel};
use reel_profiles::{BitDepth, Coding};

use super::libraries as lib;
use super::{AccessUnit, Encoder, FrameType, Headers, Settings, Surroundings, alone};
use crate::MediaError;

/// A part is encoded by itself.
pub(super) const SURROUNDINGS: Surroundings = Surroundings { preroll: 0, tail: 0 };

/// One thread decides: with a ceiling on the rate, two would differ from run to run.
const LOGICAL_PROCESSORS: &str = "1";

/// The encoders of one GOP after the other.
pub(super) struct Svt {
    settings: Settings,
    /// None only while one is closed and the next is not open: each takes hundreds of megabytes.
    gop: Option<Gop>,
}

impl Svt {
    /// Opens the encoder of the first GOP.
    pub(super) fn open(settings: &Settings) -> Result<Self, MediaError> {
        Ok(Svt { settings: settings.clone(), gop: Some(Gop::open(settings)?) })
    }

    fn gop(&mut self) -> Result<&mut Gop, MediaError> {
        self.gop.as_mut().ok_or_else(|| MediaError::failed("SVT-AV1 has no encoder open"))
    }
}

impl Encoder for Svt {
    fn headers(&mut self) -> Result<Headers, MediaError> {
        let config = self.gop()?.configuration()?;
        Ok(Headers { config, identification: format!("SVT-AV1 {} lp={LOGICAL_PROCESSORS}", version()) })
    }

    fn encode(
        &mut self,
        picture: &ff::frame::Video,
        time: i64,
        kind: FrameType,
    ) -> Result<Vec<AccessUnit>, MediaError> {
        let mut units = Vec::new();
        if kind == FrameType::Key && self.gop()?.begun {
            while let Some(unit) = self.flush()? {
                units.push(unit);
            }
            self.gop = None;
            self.gop = Some(Gop::open(&self.settings)?);
        }
        let gop = self.gop()?;
        gop.encode(picture, time)?;
        while let Some(unit) = gop.receive()? {
            units.push(unit);
        }
        Ok(units)
    }

    fn flush(&mut self) -> Result<Option<AccessUnit>, MediaError> {
        let gop = self.gop()?;
        gop.end()?;
        gop.receive()
    }
}

/// An open SVT-AV1 encoder.
struct Gop {
    handle: *mut lib::EbComponentType,
    settings: Settings,
    /// A picture was given in.
    begun: bool,
    /// All pictures were given in.
    ended: bool,
    /// All frames came out.
    drained: bool,
    /// It was not set up, or has failed: what it would do when it is closed nobody knows, so it is not.
    broken: bool,
}

// SAFETY: an encoder is used by one thread at a time through `&mut self`; SVT-AV1 ties nothing to a thread.
unsafe impl Send for Gop {}

impl Gop {
    fn open(settings: &Settings) -> Result<Self, MediaError> {
        let mut gop = Gop {
            handle: ptr::null_mut(),
            settings: settings.clone(),
            begun: false,
            ended: false,
            drained: false,
            broken: true,
        };
        match gop.set_up()? {
            lib::EbErrorType_EB_ErrorNone => {
                gop.broken = false;
                Ok(gop)
            }
            lib::EbErrorType_EB_ErrorInsufficientResources => {
                let message = "SVT-AV1 got no memory or threads for an encoder".to_owned();
                Err(MediaError { class: FailureClass::Shortage, message })
            }
            _ => Err(settings.refused()),
        }
    }

    /// What the library says of the settings.
    fn set_up(&mut self) -> Result<lib::EbErrorType, MediaError> {
        let _alone = alone();
        let built = format!("v{}.{}.", lib::SVT_AV1_VERSION_MAJOR, lib::SVT_AV1_VERSION_MINOR);
        if !version().starts_with(&built) {
            return Err(MediaError::invalid(format!(
                "libSvtAv1Enc is {} here, and reel-runner was built for {built}x: build it again",
                version()
            )));
        }
        let mut config = MaybeUninit::<lib::EbSvtAv1EncConfiguration>::zeroed();
        // SAFETY: the function makes a handle and fills the configuration with its defaults, all of them numbers.
        let mut config = unsafe {
            let made = lib::svt_av1_enc_init_handle(&mut self.handle, ptr::null_mut(), config.as_mut_ptr());
            if made != lib::EbErrorType_EB_ErrorNone {
                return Err(MediaError::failed("SVT-AV1 cannot be set up"));
            }
            config.assume_init()
        };
        configure(&self.settings, &mut config)?;
        // SAFETY: the handle is valid; the library copies the configuration.
        Ok(unsafe {
            match lib::svt_av1_enc_set_parameter(self.handle, &mut config) {
                lib::EbErrorType_EB_ErrorNone => lib::svt_av1_enc_init(self.handle),
                refused => refused,
            }
        })
    }

    /// The next frame that is finished; where all pictures were given in, waits for it, and there is none after the last.
    fn receive(&mut self) -> Result<Option<AccessUnit>, MediaError> {
        while !self.drained {
            match self.packet()? {
                None => return Ok(None),
                Some(unit) if unit.data.is_empty() => {}
                Some(unit) => return Ok(Some(unit)),
            }
        }
        Ok(None)
    }

    fn packet(&mut self) -> Result<Option<AccessUnit>, MediaError> {
        let mut packet = ptr::null_mut();
        // SAFETY: the handle is valid.
        match unsafe { lib::svt_av1_enc_get_packet(self.handle, &mut packet, self.ended.into()) } {
            lib::EbErrorType_EB_ErrorNone => {}
            lib::EbErrorType_EB_NoErrorEmptyQueue => return Ok(None),
            _ => {
                self.broken = true;
                return Err(MediaError::failed("SVT-AV1 failed to encode a frame"));
            }
        }
        // SAFETY: the packet is valid until it is released.
        let (unit, last) = unsafe {
            let header = &*packet;
            let data = match header.n_filled_len {
                0 => &[],
                length => std::slice::from_raw_parts(header.p_buffer, length as usize),
            };
            let unit = av1::sample(data).map(|data| AccessUnit {
                time: header.pts,
                data,
                key: header.pic_type == lib::EbAv1PictureType_EB_AV1_KEY_PICTURE,
                psnr: self.psnr(header.luma_sse),
                ssim: header.luma_ssim,
            });
            let last = header.flags & lib::EB_BUFFERFLAG_EOS != 0;
            lib::svt_av1_enc_release_out_buffer(&mut packet);
            (unit, last)
        };
        self.drained |= last;
        unit.ok_or_else(|| MediaError::failed("SVT-AV1 gave a malformed frame")).map(Some)
    }

    /// Luma PSNR of a sum of squared errors; 100 dB where there is none.
    fn psnr(&self, squared_errors: u64) -> f64 {
        let rendition = &self.settings.rendition;
        let peak = f64::from((1u32 << self.settings.coding().bit_depth().bits()) - 1);
        let samples = f64::from(rendition.width) * f64::from(rendition.height);
        match squared_errors {
            0 => 100.0,
            errors => (10.0 * (peak * peak * samples / errors as f64).log10()).min(100.0),
        }
    }

    /// The decoder's configuration.
    fn configuration(&self) -> Result<Vec<u8>, MediaError> {
        let mut header = ptr::null_mut();
        let malformed = || MediaError::failed("SVT-AV1 gave no sequence header");
        // SAFETY: the handle is valid; the header is valid until it is released.
        let config = unsafe {
            if lib::svt_av1_enc_stream_header(self.handle, &mut header) != lib::EbErrorType_EB_ErrorNone {
                return Err(malformed());
            }
            let bytes = std::slice::from_raw_parts((*header).p_buffer, (*header).n_filled_len as usize);
            let config = av1::configuration(bytes);
            lib::svt_av1_enc_stream_header_release(header);
            config
        };
        config.ok_or_else(malformed)
    }

    fn encode(&mut self, picture: &ff::frame::Video, time: i64) -> Result<(), MediaError> {
        self.begun = true;
        let ten = self.settings.coding().bit_depth() == BitDepth::Ten;
        // SAFETY: numbers and pointers, for all of which zero is a value.
        let (mut input, mut header): (lib::EbSvtIOFormat, lib::EbBufferHeaderType) =
            unsafe { (MaybeUninit::zeroed().assume_init(), MaybeUninit::zeroed().assume_init()) };
        let plane = |plane: usize| picture.data(plane).as_ptr().cast_mut();
        (input.luma, input.cb, input.cr) = (plane(0), plane(1), plane(2));
        // In samples.
        let stride = |plane: usize| (picture.stride(plane) >> u32::from(ten)) as u32;
        (input.y_stride, input.cb_stride, input.cr_stride) = (stride(0), stride(1), stride(2));
        (input.width, input.height) = (picture.width(), picture.height());
        input.color_fmt = lib::EbColorFormat_EB_YUV420;
        input.bit_depth = if ten { lib::EbBitDepth_EB_TEN_BIT } else { lib::EbBitDepth_EB_EIGHT_BIT };
        header.p_buffer = ptr::addr_of_mut!(input).cast();
        header.n_filled_len = (0..3).map(|plane| picture.data(plane).len() as u32).sum();
        header.n_alloc_len = header.n_filled_len;
        header.pts = time;
        header.pic_type = lib::EbAv1PictureType_EB_AV1_INVALID_PICTURE;
        self.send(&mut header)
    }

    /// Takes all that it holds, after a picture if it has seen none.
    fn empty(&mut self) -> Result<(), MediaError> {
        if !self.begun {
            let rendition = &self.settings.rendition;
            let format = self.settings.pixel_format();
            let mut picture = ff::frame::Video::new(format, rendition.width, rendition.height);
            (0..3).for_each(|plane| picture.data_mut(plane).fill(0));
            self.encode(&picture, 0)?;
        }
        self.end()?;
        while self.receive()?.is_some() {}
        Ok(())
    }

    /// Says that no more pictures come.
    fn end(&mut self) -> Result<(), MediaError> {
        if std::mem::replace(&mut self.ended, true) {
            return Ok(());
        }
        // SAFETY: numbers and pointers, for all of which zero is a value.
        let mut last: lib::EbBufferHeaderType = unsafe { MaybeUninit::zeroed().assume_init() };
        last.flags = lib::EB_BUFFERFLAG_EOS;
        last.pic_type = lib::EbAv1PictureType_EB_AV1_INVALID_PICTURE;
        self.send(&mut last)
    }

    fn send(&mut self, header: &mut lib::EbBufferHeaderType) -> Result<(), MediaError> {
        header.size = size_of::<lib::EbBufferHeaderType>() as u32;
        // SAFETY: the handle is valid; the library copies what the header points to.
        match unsafe { lib::svt_av1_enc_send_picture(self.handle, header) } {
            lib::EbErrorType_EB_ErrorNone => Ok(()),
            _ => {
                self.broken = true;
                Err(MediaError::failed("SVT-AV1 takes no picture"))
            }
        }
    }
}

fn configure(settings: &Settings, config: &mut lib::EbSvtAv1EncConfiguration) -> Result<(), MediaError> {
    let Coding::Av1 { preset, bit_depth } = settings.coding() else { return Err(settings.refused()) };
    let colour = settings.coded_colour();
    (config.source_width, config.source_height) = (settings.rendition.width, settings.rendition.height);
    (config.frame_rate_numerator, config.frame_rate_denominator) = settings.rate_terms()?;
    config.encoder_bit_depth = bit_depth.bits();
    config.enc_mode = preset as i8;
    // No key frame but the first.
    config.intra_period_length = -1;
    config.intra_refresh_type = lib::SvtAv1IntraRefreshType_SVT_AV1_KF_REFRESH;
    config.stat_report = 1;
    config.color_primaries = colour.primaries.into();
    config.transfer_characteristics = colour.transfer.into();
    config.matrix_coefficients = colour.matrix.into();
    config.color_range = colour.full_range.into();
    config.chroma_sample_position = match colour.chroma_location {
        Some(0) => lib::EbChromaSamplePosition_EB_CSP_VERTICAL,
        Some(2) => lib::EbChromaSamplePosition_EB_CSP_COLOCATED,
        _ => lib::EbChromaSamplePosition_EB_CSP_UNKNOWN,
    };
    set_hdr10(settings.hdr10, config);
    let rate = settings.rendition.rendition.rate;
    if let Some(maxrate) = rate.maxrate_kbps {
        config.max_bit_rate = maxrate.saturating_mul(1000);
    }
    for (name, value) in
        [("crf", (settings.crf_milli / 1000).to_string()), ("lp", LOGICAL_PROCESSORS.to_owned())]
    {
        let text = |text: &str| CString::new(text).map_err(|_| settings.refused());
        let (name, value) = (text(name)?, text(&value)?);
        // SAFETY: the configuration is complete and the strings end in zero.
        let set = unsafe { lib::svt_av1_enc_parse_parameter(config, name.as_ptr(), value.as_ptr()) };
        if set != lib::EbErrorType_EB_ErrorNone {
            return Err(settings.refused());
        }
    }
    Ok(())
}

/// Chromaticities in steps of 1 / 65536, luminances of 1 / 256 and 1 / 16384 cd/m2 (AV1 specification, section 6.7.4); the
/// library copies them into the stream as they lie in memory, so they are big-endian.
fn set_hdr10(hdr10: Hdr10, config: &mut lib::EbSvtAv1EncConfiguration) {
    config.high_dynamic_range_input = (hdr10 != Hdr10::default()).into();
    if let Some(mastering) = hdr10.mastering {
        let nearest =
            |value: u32, one: u64, steps: u64| ((u64::from(value) * one + steps / 2) / steps) as u32;
        let point = |[x, y]: [u16; 2]| {
            let coordinate = |value: u16| nearest(value.into(), 1 << 16, 50_000).min(u16::MAX.into()) as u16;
            lib::EbSvtAv1ChromaPoints { x: coordinate(x).to_be(), y: coordinate(y).to_be() }
        };
        config.mastering_display = lib::EbSvtAv1MasteringDisplayInfo {
            r: point(mastering.red),
            g: point(mastering.green),
            b: point(mastering.blue),
            white_point: point(mastering.white),
            max_luma: nearest(mastering.max_luminance, 1 << 8, 10_000).to_be(),
            min_luma: nearest(mastering.min_luminance, 1 << 14, 10_000).to_be(),
        };
    }
    if let Some(LightLevel { max_content, max_frame_average }) = hdr10.light_level {
        let (max_cll, max_fall) = (max_content.to_be(), max_frame_average.to_be());
        config.content_light_level = lib::EbContentLightLevel { max_cll, max_fall };
    }
}

impl Drop for Gop {
    fn drop(&mut self) {
        // It would wait for its threads for ever if it had not seen a picture, or not given all that it holds.
        if self.broken || self.empty().is_err() {
            return;
        }
        let _alone = alone();
        // SAFETY: the handle is valid and not used afterwards.
        unsafe {
            lib::svt_av1_enc_deinit(self.handle);
            lib::svt_av1_enc_deinit_handle(self.handle);
        }
    }
}

/// The version of SVT-AV1 that is installed.
pub fn version() -> String {
    // SAFETY: the text is static and ends in zero.
    unsafe { CStr::from_ptr(lib::svt_av1_get_version()) }.to_string_lossy().into_owned()
}
