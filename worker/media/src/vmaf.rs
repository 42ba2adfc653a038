//! VMAF by libvmaf: coded pictures held against those that the encoder was given.
//!
//! One thread, and nothing but C: what libvmaf has for AVX2 is twice as fast, and gives other scores of small pictures.
//! Features are whole numbers, so that the same pictures give the same scores on every processor.

use std::ffi::CStr;
use std::ptr;
use std::sync::{Mutex, PoisonError};

use ffmpeg_next as ff;
use libvmaf_sys as lib;

use crate::MediaError;
use crate::measure::words;

/// The most that a frame can have, in thousandths.
const MOST_MILLI: f64 = 100_000.0;

/// The instruction sets that are left out.
const ALL_SETS: u64 = u64::MAX;
/// The longest side of pictures that are measured as those of HD.
const MOST_HD_SIDE: u32 = 2560;

/// What VMAF was trained on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Model {
    /// A screen of 1080 lines seen from three times its height.
    Hd,
    /// A screen of 2160 lines seen from one and a half times its height.
    Uhd,
}

impl Model {
    /// The model for pictures of a size: by the longer side, since films in UHD have fewer lines than their screens.
    pub(crate) fn of(width: u32, height: u32) -> Self {
        if width.max(height) > MOST_HD_SIDE { Model::Uhd } else { Model::Hd }
    }

    /// What libvmaf calls it.
    fn version(self) -> &'static CStr {
        match self {
            Model::Hd => c"vmaf_v0.6.1",
            Model::Uhd => c"vmaf_4k_v0.6.1",
        }
    }

    /// Library and model, which decide a score: part of recipe keys.
    pub(crate) fn identification(self) -> String {
        format!("libvmaf {} {}", version(), self.version().to_string_lossy())
    }
}

/// The model by which pictures of a size are measured.
pub fn model_name(width: u32, height: u32) -> &'static str {
    Model::of(width, height).version().to_str().unwrap_or_default()
}

/// The version of libvmaf.
pub fn version() -> String {
    // SAFETY: the text is static and ends in zero.
    unsafe { CStr::from_ptr(lib::vmaf_version()) }.to_string_lossy().into_owned()
}

/// The luma of a picture.
pub(crate) struct Luma {
    raw: lib::VmafPicture,
    /// As it was taken: rows without padding.
    bytes: usize,
}

// SAFETY: a picture owns its samples, and libvmaf counts its references with atomics.
unsafe impl Send for Luma {}

impl Luma {
    /// Copies that of a planar picture of 8 bits, or of more in 16-bit words of little endian.
    pub(crate) fn of(picture: &ff::frame::Video, bits: u32) -> Result<Self, MediaError> {
        let bytes = bits.div_ceil(8) as usize;
        let lines = picture.data(0).chunks(picture.stride(0)).take(picture.height() as usize);
        let luma = Luma::empty(picture.width(), picture.height(), bits)?;
        for (number, line) in lines.enumerate() {
            luma.write(number, &line[..picture.width() as usize * bytes]);
        }
        Ok(luma)
    }

    fn empty(width: u32, height: u32, bits: u32) -> Result<Self, MediaError> {
        let mut raw = lib::VmafPicture {
            pix_fmt: lib::VmafPixelFormat::VMAF_PIX_FMT_UNKNOWN,
            bpc: 0,
            w: [0; 3],
            h: [0; 3],
            stride: [0; 3],
            data: [ptr::null_mut(); 3],
            ref_: ptr::null_mut(),
        };
        let format = lib::VmafPixelFormat::VMAF_PIX_FMT_YUV400P;
        // SAFETY: the picture is ours; the library fills it in.
        let made = unsafe { lib::vmaf_picture_alloc(&raw mut raw, format, bits, width, height) };
        check(made, "has no memory for a picture")?;
        Ok(Luma { raw, bytes: bits.div_ceil(8) as usize })
    }

    fn write(&self, line: usize, samples: &[u8]) {
        debug_assert!(line < self.raw.h[0] as usize && samples.len() <= self.raw.stride[0] as usize);
        // SAFETY: the picture has so many lines of so many bytes, which nobody else knows of yet.
        unsafe {
            let start = self.raw.data[0].cast::<u8>().offset(line as isize * self.raw.stride[0]);
            if self.bytes == 1 || cfg!(target_endian = "little") {
                ptr::copy_nonoverlapping(samples.as_ptr(), start, samples.len());
            } else {
                for (at, sample) in words(samples).enumerate() {
                    start.cast::<u16>().add(at).write(sample);
                }
            }
        }
    }

    /// A copy of it.
    fn again(&self) -> Result<Self, MediaError> {
        let (width, height) = (self.raw.w[0], self.raw.h[0]);
        let luma = Luma::empty(width, height, self.raw.bpc)?;
        let bytes = self.raw.stride[0] as usize * height as usize;
        // SAFETY: both have the same size, and with it the same strides.
        unsafe { ptr::copy_nonoverlapping(self.raw.data[0].cast::<u8>(), luma.raw.data[0].cast(), bytes) };
        Ok(luma)
    }

    /// The picture, which is whoever's who takes it.
    fn into_raw(self) -> lib::VmafPicture {
        let raw = self.raw;
        std::mem::forget(self);
        raw
    }
}

impl Drop for Luma {
    fn drop(&mut self) {
        // SAFETY: the picture was made by the library, and its reference is this one's own.
        unsafe { lib::vmaf_picture_unref(&raw mut self.raw) };
    }
}

/// Scores consecutive frames.
pub(crate) struct Meter {
    raw: *mut lib::VmafContext,
    model: *mut lib::VmafModel,
    /// Frames taken, those included that lend their motion alone.
    taken: u32,
    /// The places of those that count.
    scored: Vec<u32>,
}

// SAFETY: without threads of its own, a context is used by one thread at a time.
unsafe impl Send for Meter {}

impl Meter {
    /// A meter of one model.
    pub(crate) fn open(model: Model) -> Result<Self, MediaError> {
        // What the processor has is kept in one place for all contexts.
        static LIBRARY: Mutex<()> = Mutex::new(());
        let _alone = LIBRARY.lock().unwrap_or_else(PoisonError::into_inner);
        let mut meter = Meter { raw: ptr::null_mut(), model: ptr::null_mut(), taken: 0, scored: Vec::new() };
        let log_level = lib::VmafLogLevel::VMAF_LOG_LEVEL_NONE;
        let configuration =
            lib::VmafConfiguration { log_level, n_threads: 0, n_subsample: 1, cpumask: ALL_SETS };
        let mut named = lib::VmafModelConfig { name: c"vmaf".as_ptr(), flags: 0 };
        // SAFETY: names are static; the library gives a context and a model that are ours to close.
        unsafe {
            check(lib::vmaf_init(&raw mut meter.raw, configuration), "does not begin")?;
            let version = model.version();
            let loaded = lib::vmaf_model_load(&raw mut meter.model, &raw mut named, version.as_ptr());
            check(loaded, "was built without its models: install xxd, and build again")?;
            check(lib::vmaf_use_features_from_model(meter.raw, meter.model), "lacks a feature")?;
        }
        Ok(meter)
    }

    /// Takes the next frame: as it was given to the encoder, and as it was coded.
    pub(crate) fn push(&mut self, given: Luma, coded: Luma) -> Result<(), MediaError> {
        self.scored.push(self.taken);
        self.read(given, coded)
    }

    /// Takes a frame beside those that are scored: how much moves between it and its neighbour counts for that one.
    pub(crate) fn lend(&mut self, given: Luma) -> Result<(), MediaError> {
        let coded = given.again()?;
        self.read(given, coded)
    }

    fn read(&mut self, given: Luma, coded: Luma) -> Result<(), MediaError> {
        let (mut given, mut coded) = (given.into_raw(), coded.into_raw());
        // SAFETY: the context is open, and takes both pictures.
        let read = unsafe { lib::vmaf_read_pictures(self.raw, &raw mut given, &raw mut coded, self.taken) };
        self.taken += 1;
        check(read, "refuses a frame")
    }

    /// The score of each frame that was pushed, in thousandths.
    pub(crate) fn finish(self) -> Result<Vec<u32>, MediaError> {
        // SAFETY: the context is open; no pictures say that there are no more.
        let flushed = unsafe { lib::vmaf_read_pictures(self.raw, ptr::null_mut(), ptr::null_mut(), 0) };
        check(flushed, "does not come to an end")?;
        self.scored.iter().map(|index| self.score(*index)).collect()
    }

    fn score(&self, index: u32) -> Result<u32, MediaError> {
        let mut score = f64::NAN;
        // SAFETY: context and model are open.
        let scored = unsafe { lib::vmaf_score_at_index(self.raw, self.model, &raw mut score, index) };
        check(scored, "has no score of a frame")?;
        if score.is_nan() {
            return Err(MediaError::failed("libvmaf gave a score that is no number"));
        }
        Ok((score * 1e3).round().clamp(0.0, MOST_MILLI) as u32)
    }
}

impl Drop for Meter {
    fn drop(&mut self) {
        // SAFETY: both are closed once, where they were opened.
        unsafe {
            if !self.raw.is_null() {
                lib::vmaf_close(self.raw);
            }
            if !self.model.is_null() {
                lib::vmaf_model_destroy(self.model);
            }
        }
    }
}

fn check(result: i32, how: &str) -> Result<(), MediaError> {
    if result == 0 { Ok(()) } else { Err(MediaError::failed(format!("libvmaf {how} ({result})"))) }
}

#[cfg(test)]
mod tests {
    use ff::format::Pixel;

    use super::*;

    /// A moving texture; of the coded one some is lost.
    fn picture(format: Pixel, (width, height): (u32, u32), frame: u32, lost: u32) -> ff::frame::Video {
        let mut picture = ff::frame::Video::new(format, width, height);
        let stride = picture.stride(0);
        let deep = format == Pixel::YUV420P10LE;
        for (y, line) in picture.data_mut(0).chunks_mut(stride).enumerate() {
            for x in 0..width as usize {
                let (at, y) = (x as u32 + frame * 3, y as u32);
                let value = (at * at / 7 + y * y / 5 + (at ^ y) * 3) % 220 + 16;
                let value = value.checked_div(lost).map_or(value, |steps| steps * lost);
                match deep {
                    true => line[x * 2..][..2]
                        .copy_from_slice(&(value as u16 * 4 + (at % 3) as u16).to_le_bytes()),
                    false => line[x] = value as u8,
                }
            }
        }
        picture
    }

    const SIZE: (u32, u32) = (322, 182);

    fn scores(model: Model, format: Pixel, size: (u32, u32), losses: &[u32]) -> Vec<u32> {
        let bits = if format == Pixel::YUV420P10LE { 10 } else { 8 };
        let mut meter = Meter::open(model).unwrap();
        for (frame, lost) in (0..).zip(losses) {
            let luma = |lost| Luma::of(&picture(format, size, frame, lost), bits).unwrap();
            meter.push(luma(0), luma(*lost)).unwrap();
        }
        meter.finish().unwrap()
    }

    #[test]
    fn scores_are_those_of_every_processor() {
        let of = |model, format, size| scores(model, format, size, &[0, 5, 16, 40, 80, 3]);
        // By AVX2 the fifth would be higher by two.
        let small = of(Model::Hd, Pixel::YUV420P, (64, 64));
        assert_eq!(small, [97_429, 100_000, 100_000, 100_000, 92_489, 100_000]);
        let deep = of(Model::Hd, Pixel::YUV420P10LE, (640, 358));
        assert_eq!(deep, [97_429, 100_000, 100_000, 88_574, 57_445, 100_000]);
        let large = of(Model::Uhd, Pixel::YUV420P, (1918, 66));
        assert_eq!(large, [100_000, 100_000, 100_000, 100_000, 99_828, 100_000]);
    }

    #[test]
    fn what_is_lost_lowers_the_score() {
        let of = scores(Model::Hd, Pixel::YUV420P, SIZE, &[0, 60, 80, 100]);
        assert!(of.is_sorted_by(|better, worse| *better > worse + 2_000), "{of:?}");
        let screens = [Model::Hd, Model::Uhd].map(|model| scores(model, Pixel::YUV420P, SIZE, &[0, 90])[1]);
        assert_ne!(screens[0], screens[1]);
    }

    #[test]
    fn a_part_of_a_title_scores_as_it_does_in_the_whole() {
        let losses = [4, 9, 16, 25, 36, 49, 64, 30, 20];
        let whole = scores(Model::Hd, Pixel::YUV420P, SIZE, &losses);
        let luma =
            |frame: usize, lost| Luma::of(&picture(Pixel::YUV420P, SIZE, frame as u32, lost), 8).unwrap();
        let part = |lends: bool| {
            let mut meter = Meter::open(Model::Hd).unwrap();
            if lends {
                meter.lend(luma(2, 0)).unwrap();
            }
            for (frame, lost) in losses.iter().enumerate().take(6).skip(3) {
                meter.push(luma(frame, 0), luma(frame, *lost)).unwrap();
            }
            if lends {
                meter.lend(luma(6, 0)).unwrap();
            }
            meter.finish().unwrap()
        };
        assert_eq!(part(true), whole[3..6]);
        assert_ne!(part(false), whole[3..6]);
    }

    #[test]
    fn pictures_without_anything_in_them_have_a_score() {
        let mut meter = Meter::open(Model::Hd).unwrap();
        for _ in 0..2 {
            let mut black = ff::frame::Video::new(Pixel::YUV420P, 160, 90);
            black.data_mut(0).fill(16);
            let luma = || Luma::of(&black, 8).unwrap();
            meter.push(luma(), luma()).unwrap();
        }
        assert!(meter.finish().unwrap().iter().all(|score| *score > 95_000));
    }

    #[test]
    fn library_and_model_have_names() {
        assert_eq!(Model::of(1920, 1080), Model::Hd);
        assert_eq!(Model::of(1080, 1920), Model::Hd);
        assert_eq!(Model::of(3840, 1606), Model::Uhd);
        assert_eq!(Model::Uhd.identification(), "libvmaf 2.3.1 vmaf_4k_v0.6.1");
    }
}
