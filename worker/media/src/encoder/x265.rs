//! HEVC by libx265.
//!
//! The library itself and not libav's wrapper of it: that one keeps the pictures to itself that a decoder will see.

use std::collections::BTreeMap;
use std::ffi::{CStr, CString, c_int};
use std::ptr;

use ffmpeg_next as ff;
use reel_cmaf::hevc;
use reel_common::{LightLevel, Mastering};
use reel_profiles::{BitDepth, Coding};

use super::libraries as lib;
use super::{AccessUnit, Encoder, FrameType, Headers, Settings, Surroundings, alone, quality};
use crate::MediaError;

/// With fewer frames before a part its first picture is visibly coarser than that of an encoder that has been running.
/// With constant quality, what comes after its end changes nothing: the lookahead of x265 stops at a key frame.
pub(super) const SURROUNDINGS: Surroundings = Surroundings { preroll: 12, tail: 0 };

/// The same arithmetic on every host: other levels of SIMD give other bits. Hosts without it do not offer HEVC.
const SIMD: &str = "avx2";

/// Bytes of the length before a NAL unit.
const LENGTH_BYTES: usize = 4;
/// Type of a unit with supplemental information that goes before a picture (ITU-T H.265, table 7-1).
const PREFIX_SEI: u8 = 39;

/// What is the same for all renditions: one thread, nothing of the host in the stream, key frames where they are asked
/// for and at cuts.
const SETTINGS: [(&CStr, &CStr); 16] = [
    (c"pools", c"1"),
    (c"frame-threads", c"1"),
    (c"wpp", c"1"),
    (c"pmode", c"0"),
    (c"pme", c"0"),
    (c"log-level", c"none"),
    (c"info", c"0"),
    (c"hash", c"0"),
    (c"aud", c"0"),
    (c"annexb", c"0"),
    (c"repeat-headers", c"0"),
    (c"open-gop", c"0"),
    // Without a bound; by -1 x265 would look for no cuts either.
    (c"keyint", c"2147483647"),
    (c"min-keyint", c"1"),
    (c"sar", c"1:1"),
    // Half full: the part before seldom leaves less.
    (c"vbv-init", c"0.5"),
];

/// An open x265 encoder.
pub(super) struct X265 {
    api: &'static lib::x265_api,
    raw: *mut lib::x265_encoder,
    parameters: Parameters,
    /// What goes before each key frame: metadata of the whole title.
    messages: Vec<u8>,
    input: Picture,
    output: Picture,
    /// Luma of the pictures that are not coded yet, by their times. x265 measures only where it logs, to stderr.
    luma: BTreeMap<i64, Vec<u8>>,
}

// SAFETY: an encoder is used by one thread at a time through `&mut self`; x265 ties nothing to a thread.
unsafe impl Send for X265 {}

/// The library's functions for a bit depth.
fn api(bit_depth: BitDepth) -> Result<&'static lib::x265_api, MediaError> {
    let mut error = 0;
    // SAFETY: the function gives a static table of the build that the bindings are of, or null.
    let api = unsafe {
        lib::x265_api_query(bit_depth.bits() as c_int, lib::X265_BUILD as c_int, &mut error).as_ref()
    };
    let bits = bit_depth.bits();
    let fits = |api: &&lib::x265_api| {
        api.sizeof_param as usize == size_of::<lib::x265_param>()
            && api.sizeof_picture as usize == size_of::<lib::x265_picture>()
    };
    api.filter(fits).ok_or_else(|| {
        MediaError::invalid(format!(
            "libx265 has no {bits}-bit encoder here: install one that is built with it"
        ))
    })
}

/// Calls a function of the table. x265 fills all of it.
macro_rules! call {
    ($api:expr, $function:ident($($argument:expr),*)) => {
        match $api.$function {
            Some(function) => Ok(function($($argument),*)),
            None => Err(MediaError::failed(concat!("libx265 lacks ", stringify!($function)))),
        }
    };
}

/// Parameters that the library has allocated.
struct Parameters {
    api: &'static lib::x265_api,
    raw: ptr::NonNull<lib::x265_param>,
}

impl Parameters {
    fn of(settings: &Settings) -> Result<Self, MediaError> {
        let Coding::Hevc { preset, tune, bit_depth } = settings.coding() else {
            return Err(settings.refused());
        };
        let api = api(bit_depth)?;
        // SAFETY: the function takes nothing and gives an allocation or null.
        let raw = unsafe { call!(api, param_alloc())? };
        let raw = ptr::NonNull::new(raw).ok_or_else(|| MediaError::failed("no memory for an encoder"))?;
        let parameters = Parameters { api, raw };
        let text = |text: &str| CString::new(text).map_err(|_| settings.refused());
        let (preset, tune) = (text(preset.name())?, tune.map(|tune| text(tune.name())).transpose()?);
        let tune = tune.as_ref().map_or(ptr::null(), |tune| tune.as_ptr());
        // SAFETY: the parameters are allocated and the strings end in zero.
        if unsafe { call!(api, param_default_preset(raw.as_ptr(), preset.as_ptr(), tune))? } < 0 {
            return Err(settings.refused());
        }
        let set = |name: &CStr, value: &CStr| {
            // SAFETY: as above.
            let parsed = unsafe { call!(api, param_parse(raw.as_ptr(), name.as_ptr(), value.as_ptr()))? };
            if parsed == 0 { Ok(()) } else { Err(settings.refused()) }
        };
        SETTINGS.into_iter().try_for_each(|(name, value)| set(name, value))?;
        for (name, value) in own(settings)? {
            set(&text(name)?, &text(&value)?)?;
        }
        let profile = if bit_depth == BitDepth::Ten { c"main10" } else { c"main" };
        // SAFETY: as above.
        match unsafe { call!(api, param_apply_profile(raw.as_ptr(), profile.as_ptr()))? } {
            0 => Ok(parameters),
            _ => Err(settings.refused()),
        }
    }
}

impl Drop for Parameters {
    fn drop(&mut self) {
        // SAFETY: they were allocated by the library and are not used afterwards.
        let _ = unsafe { call!(self.api, param_free(self.raw.as_ptr())) };
    }
}

/// What follows from the rendition and the source.
fn own(settings: &Settings) -> Result<Vec<(&'static str, String)>, MediaError> {
    let (rate, colour) = (settings.rendition.rendition.rate, settings.coded_colour());
    let (num, den) = settings.rate_terms()?;
    let mut own = vec![
        ("asm", SIMD.to_owned()),
        ("input-res", format!("{}x{}", settings.rendition.width, settings.rendition.height)),
        ("fps", format!("{num}/{den}")),
        ("crf", format!("{}.{:03}", settings.crf_milli / 1000, settings.crf_milli % 1000)),
        ("colorprim", colour.primaries.to_string()),
        ("transfer", colour.transfer.to_string()),
        ("colormatrix", colour.matrix.to_string()),
        ("range", if colour.full_range { "full" } else { "limited" }.to_owned()),
    ];
    if let Some(location) = colour.chroma_location {
        own.push(("chromaloc", location.to_string()));
    }
    if let Some(mastering) = settings.hdr10.mastering {
        let Mastering { red, green, blue, white, max_luminance, min_luminance } = mastering;
        let point = |[x, y]: [u16; 2]| format!("({x},{y})");
        let (red, green, blue, white) = (point(red), point(green), point(blue), point(white));
        let display = format!("G{green}B{blue}R{red}WP{white}L({max_luminance},{min_luminance})");
        own.push(("master-display", display));
    }
    if let Some(LightLevel { max_content, max_frame_average }) = settings.hdr10.light_level {
        own.push(("max-cll", format!("{max_content},{max_frame_average}")));
    }
    if let (Some(maxrate), Some(bufsize)) = (rate.maxrate_kbps, rate.bufsize_kbps) {
        own.extend([("vbv-maxrate", maxrate.to_string()), ("vbv-bufsize", bufsize.to_string())]);
    }
    Ok(own)
}

/// A picture that the library has allocated, without planes.
struct Picture {
    api: &'static lib::x265_api,
    raw: ptr::NonNull<lib::x265_picture>,
}

impl Picture {
    fn new(parameters: &Parameters) -> Result<Self, MediaError> {
        let api = parameters.api;
        // SAFETY: the function gives an allocation or null, and the parameters are complete.
        unsafe {
            let raw = ptr::NonNull::new(call!(api, picture_alloc())?);
            let raw = raw.ok_or_else(|| MediaError::failed("no memory for an encoder"))?;
            call!(api, picture_init(parameters.raw.as_ptr(), raw.as_ptr()))?;
            Ok(Picture { api, raw })
        }
    }
}

impl Drop for Picture {
    fn drop(&mut self) {
        // SAFETY: it was allocated by the library and is not used afterwards.
        let _ = unsafe { call!(self.api, picture_free(self.raw.as_ptr())) };
    }
}

impl X265 {
    /// Opens an encoder.
    pub(super) fn open(settings: &Settings) -> Result<Self, MediaError> {
        let parameters = Parameters::of(settings)?;
        let api = parameters.api;
        let (input, output) = (Picture::new(&parameters)?, Picture::new(&parameters)?);
        let _alone = alone();
        // SAFETY: the parameters are complete; x265 copies what it keeps.
        let raw = unsafe { call!(api, encoder_open(parameters.raw.as_ptr()))? };
        if raw.is_null() {
            // Its settings were taken one by one: it may have got no memory.
            return Err(MediaError::failed(settings.refused().message));
        }
        let mut encoder =
            X265 { api, raw, parameters, messages: Vec::new(), input, output, luma: BTreeMap::new() };
        let units = encoder.header_units()?;
        encoder.messages =
            units.into_iter().filter(|unit| unit_type(unit) == Some(PREFIX_SEI)).flatten().collect();
        Ok(encoder)
    }

    /// The parameter sets and messages that begin the stream, each with its length in four bytes.
    fn header_units(&mut self) -> Result<Vec<Vec<u8>>, MediaError> {
        let (mut nals, mut count) = (ptr::null_mut(), 0);
        // SAFETY: x265 points `nals` at `count` units of its own, valid until the next call.
        unsafe {
            match call!(self.api, encoder_headers(self.raw, &mut nals, &mut count))? {
                0.. => Ok(units(nals, count).into_iter().map(<[u8]>::to_vec).collect()),
                _ => Err(MediaError::failed("x265 gave no headers")),
            }
        }
    }

    /// Bytes of a sample in pictures of the encoder.
    fn sample_bytes(&self) -> usize {
        if self.api.bit_depth > 8 { 2 } else { 1 }
    }

    /// Luma PSNR and SSIM of a coded frame.
    ///
    /// # Safety
    /// `output` was filled by the last call that gave a frame.
    unsafe fn quality(&mut self, output: &lib::x265_picture) -> Result<(f64, f64), MediaError> {
        let unknown = || MediaError::failed("x265 gave a frame that it was not given");
        let source = self.luma.remove(&output.pts).ok_or_else(unknown)?;
        let bytes = self.sample_bytes();
        // SAFETY: the parameters are allocated.
        let width = unsafe { (*self.parameters.raw.as_ptr()).sourceWidth } as usize;
        let coded = (0..).map(|number| {
            // SAFETY: the frame has as many lines as its source, as long or longer, in memory of the encoder that is valid
            // until the next call.
            unsafe {
                let start = output.planes[0].cast::<u8>().add(number * output.stride[0] as usize);
                std::slice::from_raw_parts(start, width * bytes)
            }
        });
        let lines = source.chunks_exact(width * bytes).zip(coded);
        Ok(quality::compare(lines, bytes, width, self.api.bit_depth as u32))
    }

    /// Gives the next picture in, or null where there are no more, and takes a coded frame.
    ///
    /// # Safety
    /// The planes of `input` are valid during the call.
    unsafe fn run(&mut self, input: *mut lib::x265_picture) -> Result<Option<AccessUnit>, MediaError> {
        let (mut nals, mut count) = (ptr::null_mut(), 0);
        let output = self.output.raw.as_ptr();
        // SAFETY: the caller vouches for the input; x265 points `nals` at `count` units of its own, valid until the next
        // call, and fills the output where it gives a frame.
        unsafe {
            let given = call!(self.api, encoder_encode(self.raw, &mut nals, &mut count, input, output))?;
            match given {
                0 => Ok(None),
                1.. => {
                    let coded = units(nals, count).concat();
                    let output = &*output;
                    let time = output.pts;
                    let (psnr, ssim) = self.quality(output)?;
                    let key = output.sliceType == lib::X265_TYPE_IDR as c_int;
                    let data = if key { [self.messages.as_slice(), &coded].concat() } else { coded };
                    Ok(Some(AccessUnit { time, data, key, psnr, ssim }))
                }
                _ => Err(MediaError::failed("x265 failed to encode a frame")),
            }
        }
    }
}

/// The type of a NAL unit behind its length (ITU-T H.265, section 7.3.1.2).
fn unit_type(unit: &[u8]) -> Option<u8> {
    unit.get(LENGTH_BYTES).map(|header| header >> 1 & 0x3f)
}

/// # Safety
/// `nals` points at `count` units.
unsafe fn units<'a>(nals: *const lib::x265_nal, count: u32) -> Vec<&'a [u8]> {
    if count == 0 {
        return Vec::new();
    }
    // SAFETY: the caller vouches for it.
    unsafe {
        let nals = std::slice::from_raw_parts(nals, count as usize);
        nals.iter().map(|nal| std::slice::from_raw_parts(nal.payload, nal.sizeBytes as usize)).collect()
    }
}

impl Encoder for X265 {
    fn headers(&mut self) -> Result<Headers, MediaError> {
        let malformed = || MediaError::failed("x265 gave malformed parameter sets");
        let units = self.header_units()?;
        let units: Vec<&[u8]> = units.iter().filter_map(|unit| unit.get(LENGTH_BYTES..)).collect();
        let [video, sequence, picture, ..] = *units else { return Err(malformed()) };
        let config = hevc::configuration(&[video, sequence, picture]).ok_or_else(malformed)?;
        // SAFETY: the text is static and ends in zero.
        let version = unsafe { CStr::from_ptr(self.api.version_str) };
        let identification = format!("x265 {} {SIMD} {SETTINGS:?}", version.to_string_lossy());
        Ok(Headers { config, identification })
    }

    fn encode(
        &mut self,
        picture: &ff::frame::Video,
        time: i64,
        kind: FrameType,
    ) -> Result<Vec<AccessUnit>, MediaError> {
        let width = picture.width() as usize * self.sample_bytes();
        let lines = picture.data(0).chunks(picture.stride(0)).take(picture.height() as usize);
        self.luma.insert(time, lines.map(|line| &line[..width]).collect::<Vec<_>>().concat());
        let input = self.input.raw.as_ptr();
        // SAFETY: the picture was initialised; the planes stay valid during the call, and x265 copies them.
        let unit = unsafe {
            call!(self.api, picture_init(self.parameters.raw.as_ptr(), input))?;
            for plane in 0..3 {
                (*input).planes[plane] = picture.data(plane).as_ptr().cast_mut().cast();
                (*input).stride[plane] = picture.stride(plane) as c_int;
            }
            (*input).bitDepth = self.api.bit_depth;
            (*input).pts = time;
            (*input).sliceType = match kind {
                FrameType::Auto | FrameType::Predicted => lib::X265_TYPE_AUTO,
                FrameType::Key => lib::X265_TYPE_IDR,
            } as c_int;
            self.run(input)?
        };
        Ok(unit.into_iter().collect())
    }

    fn flush(&mut self) -> Result<Option<AccessUnit>, MediaError> {
        // SAFETY: a null picture asks for frames that are held back.
        unsafe { self.run(ptr::null_mut()) }
    }
}

impl Drop for X265 {
    fn drop(&mut self) {
        // SAFETY: the encoder is open and not used afterwards.
        let _ = unsafe { call!(self.api, encoder_close(self.raw)) };
    }
}

/// The version of x265 that is installed; `None` where it does not give the bytes here that it gives elsewhere, or has not
/// both bit depths.
pub fn version() -> Option<String> {
    let api = has_simd().then(|| api(BitDepth::Ten).and_then(|_| api(BitDepth::Eight)))?.ok()?;
    // SAFETY: the text is static and ends in zero.
    Some(unsafe { CStr::from_ptr(api.version_str) }.to_string_lossy().into_owned())
}

#[cfg(target_arch = "x86_64")]
fn has_simd() -> bool {
    std::arch::is_x86_feature_detected!("avx2")
}

#[cfg(not(target_arch = "x86_64"))]
fn has_simd() -> bool {
    false
}
