//! Encoders: one for one part, set up so that the same frames give the same bytes anywhere.

mod libraries;
mod quality;
mod svt;
mod x264;
mod x265;

use std::sync::{Mutex, MutexGuard, PoisonError};

use ff::format::Pixel;
use ffmpeg_next as ff;
use reel_common::{Colour, Hdr10, Rational};
use reel_profiles::{BitDepth, Coding, ResolvedRendition, VideoCodec};

use crate::MediaError;

pub use self::svt::version as svt_av1_version;
pub use self::x264::version as x264_version;
pub use self::x265::version as x265_version;

/// The most frames by which an encoder codes a frame before one that is shown earlier: two, with a pyramid of B-frames.
/// AV1 codes such frames together with the one that is shown before them.
pub(crate) const REORDER_FRAMES: u64 = 2;

/// All that decides how a rendition is encoded.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    /// Codec settings and picture size.
    pub(crate) rendition: ResolvedRendition,
    /// The rate factor in thousandths.
    pub(crate) crf_milli: u32,
    /// Colour description to signal.
    pub(crate) colour: Colour,
    /// What HDR10 adds to it. H.264 of 8 bits has it in its container alone.
    pub(crate) hdr10: Hdr10,
    /// Frames per second, the average where it varies.
    pub(crate) rate: Rational,
    /// Ticks per second of the times given with the frames, where the rate varies.
    pub(crate) variable_timescale: Option<u32>,
}

/// The frames around a part that its encoder sees, so that its state at the part's start is that of an encoder that has
/// been running, and that it looks beyond the part's end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Surroundings {
    /// Frames before the part, which are encoded and thrown away.
    pub(crate) preroll: u64,
    /// Frames after it: as many as it takes for the part's last frame to come out. Without any the encoder is told that the
    /// stream ends with the part.
    pub(crate) tail: u64,
}

/// What the encoder is told about the type of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FrameType {
    /// The encoder decides.
    Auto,
    /// A frame at which decoding can begin: an IDR picture, or a key frame.
    Key,
    /// No IDR picture, where the next frame is one: two in a row could bear the same idr_pic_id (ISO/IEC 14496-10, 7.4.3).
    /// Of use to x264 alone.
    Predicted,
}

/// One coded frame.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct AccessUnit {
    /// The time that was given with its frame.
    pub(crate) time: i64,
    /// A sample as MP4 has it: NAL units with four-byte lengths, or OBUs.
    pub(crate) data: Vec<u8>,
    /// Whether decoding can begin here.
    pub(crate) key: bool,
    /// Luma PSNR in decibels.
    pub(crate) psnr: f64,
    /// Luma SSIM (Wang et al. 2004) over windows of 8x8 samples, 4 apart.
    pub(crate) ssim: f64,
}

/// What an encoder says of itself before its first frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Headers {
    /// The decoder's configuration: AVCDecoderConfigurationRecord, HEVCDecoderConfigurationRecord or
    /// AV1CodecConfigurationRecord.
    pub(crate) config: Vec<u8>,
    /// The library's version and the settings that it works with; part of the recipe, never of the output.
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

/// An open encoder.
pub(crate) trait Encoder: Send {
    /// The parameter sets and settings of this encoder.
    fn headers(&mut self) -> Result<Headers, MediaError>;

    /// Takes a picture of the encoder's size and format, and gives the frames that are finished, in decode order.
    fn encode(
        &mut self,
        picture: &ff::frame::Video,
        time: i64,
        kind: FrameType,
    ) -> Result<Vec<AccessUnit>, MediaError>;

    /// A frame that was held back, after the last picture; `None` when there are no more.
    fn flush(&mut self) -> Result<Option<AccessUnit>, MediaError>;

    /// Changes the effort from the next frame on that is coded; frames that are held back are coded with it too.
    fn set_effort(&mut self, _effort: Effort) -> Result<(), MediaError> {
        Ok(())
    }
}

/// Encoders of x265 and SVT-AV1 are set up, and closed, one at a time: the libraries fill tables that all share.
fn alone() -> MutexGuard<'static, ()> {
    static LIBRARIES: Mutex<()> = Mutex::new(());
    LIBRARIES.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Settings {
    /// Opens an encoder.
    pub(crate) fn open(&self) -> Result<Box<dyn Encoder>, MediaError> {
        Ok(match self.coding().codec() {
            VideoCodec::H264 => Box::new(x264::X264::open(self)?),
            VideoCodec::Hevc => Box::new(x265::X265::open(self)?),
            VideoCodec::Av1 => Box::new(svt::Svt::open(self)?),
        })
    }

    /// What the encoder sees beside the part.
    pub(crate) fn surroundings(&self) -> Result<Surroundings, MediaError> {
        match self.coding().codec() {
            VideoCodec::H264 => x264::surroundings(self),
            VideoCodec::Hevc => Ok(x265::SURROUNDINGS),
            VideoCodec::Av1 => Ok(svt::SURROUNDINGS),
        }
    }

    /// What messages call the encoder.
    pub(crate) fn encoder_name(&self) -> &'static str {
        match self.coding().codec() {
            VideoCodec::H264 => "x264",
            VideoCodec::Hevc => "x265",
            VideoCodec::Av1 => "SVT-AV1",
        }
    }

    /// Codec and settings as the profile gives them.
    pub(crate) fn coding(&self) -> Coding {
        self.rendition.rendition.coding
    }

    /// The pictures that the encoder takes.
    pub(crate) fn pixel_format(&self) -> Pixel {
        match self.coding().bit_depth() {
            BitDepth::Eight => Pixel::YUV420P,
            BitDepth::Ten => Pixel::YUV420P10LE,
        }
    }

    /// The colours of the pictures that the encoder is given: RGB has become YCbCr of BT.709 by then.
    pub(crate) fn coded_colour(&self) -> Colour {
        in_ycbcr(self.colour)
    }

    /// Frames per second as numerator and denominator.
    fn rate_terms(&self) -> Result<(u32, u32), MediaError> {
        let terms = (u32::try_from(self.rate.num()), u32::try_from(self.rate.den()));
        match terms {
            (Ok(num), Ok(den)) => Ok((num, den)),
            _ => Err(MediaError::invalid(format!("a frame rate of {} is out of range", self.rate))),
        }
    }

    fn refused(&self) -> MediaError {
        let (encoder, name) = (self.encoder_name(), &self.rendition.rendition.name);
        MediaError::invalid(format!("{encoder} refuses the settings of rendition {name}"))
    }
}

/// The colours of pictures when RGB has become YCbCr.
pub(crate) fn in_ycbcr(colour: Colour) -> Colour {
    match colour.matrix {
        0 => Colour { matrix: 1, full_range: false, ..colour },
        _ => colour,
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use reel_cmaf::VideoConfig;
    use reel_common::Scan;
    use reel_profiles::{H264Profile, Preset, Profile, Quality, Rate, catalog};

    use super::*;
    use crate::recipe::FRAMES_BEFORE;

    /// The three codecs, and 10 bit where there is.
    pub(crate) fn codings() -> [Coding; 5] {
        let hevc = |bit_depth| Coding::Hevc { preset: Preset::Veryfast, tune: None, bit_depth };
        let av1 = |bit_depth| Coding::Av1 { preset: 10, bit_depth };
        let h264 = Coding::H264 { preset: Preset::Fast, tune: None, profile: H264Profile::High, level: None };
        [h264, hevc(BitDepth::Eight), hevc(BitDepth::Ten), av1(BitDepth::Eight), av1(BitDepth::Ten)]
    }

    pub(crate) fn settings_of(coding: Coding) -> Settings {
        let profile = Profile::parse(catalog::text("proxy").unwrap(), "proxy.toml").unwrap();
        let mut rendition = profile.video[0].clone();
        rendition.coding = coding;
        let rendition = ResolvedRendition { rendition, width: 320, height: 180, scan: Scan::Progressive };
        let (colour, hdr10, rate) = (Colour::default(), Hdr10::default(), Rational::whole(24));
        Settings { rendition, crf_milli: 30_000, colour, hdr10, rate, variable_timescale: None }
    }

    /// 8 bit of a codec.
    pub(crate) fn settings(codec: VideoCodec) -> Settings {
        settings_of(codings().into_iter().find(|coding| coding.codec() == codec).unwrap())
    }

    fn moving_picture(settings: &Settings, frame: i64) -> ff::frame::Video {
        let mut picture = ff::frame::Video::new(settings.pixel_format(), 320, 180);
        let bytes = settings.coding().bit_depth().bits().div_ceil(8) as usize;
        for plane in 0..3 {
            let stride = picture.stride(plane);
            for (at, sample) in picture.data_mut(plane).chunks_exact_mut(bytes).enumerate() {
                let (x, y) = ((at * bytes % stride / bytes) as i64, (at * bytes / stride) as i64);
                let value = ((x + frame * 3) ^ (y * 2 + frame)) as u8;
                match sample {
                    [only] => *only = value,
                    _ => sample.copy_from_slice(&(u16::from(value) << 2).to_le_bytes()),
                }
            }
        }
        picture
    }

    fn encode(settings: &Settings, frames: i64, key_at: i64) -> Vec<AccessUnit> {
        let mut encoder = settings.open().unwrap();
        let mut units = Vec::new();
        for frame in 0..frames {
            let kind = match frame {
                frame if frame == 0 || frame == key_at => FrameType::Key,
                frame if frame + 1 == key_at => FrameType::Predicted,
                _ => FrameType::Auto,
            };
            units.extend(encoder.encode(&moving_picture(settings, frame), frame, kind).unwrap());
        }
        while let Some(unit) = encoder.flush().unwrap() {
            units.push(unit);
        }
        units
    }

    #[test]
    fn every_frame_comes_out_once_and_a_key_frame_where_it_is_asked_for() {
        for coding in codings() {
            let units = encode(&settings_of(coding), 60, 37);
            let mut times: Vec<i64> = units.iter().map(|unit| unit.time).collect();
            let key = units.iter().position(|unit| unit.time == 37).unwrap();
            assert!(units.iter().all(|unit| unit.psnr > 20.0 && unit.psnr < 90.0), "{coding:?}: {units:?}");
            assert!(units.iter().all(|unit| unit.ssim > 0.5 && unit.ssim <= 1.0), "{coding:?}: {units:?}");
            assert!(
                units[key].key && units[..key].iter().all(|unit| unit.time < 37),
                "{coding:?}: {times:?}"
            );
            for (decoded, time) in times.iter().enumerate() {
                assert!(time + REORDER_FRAMES as i64 >= decoded as i64, "{coding:?}: {times:?}");
            }
            times.sort_unstable();
            assert_eq!(times, (0..60).collect::<Vec<_>>(), "{coding:?}");
        }
    }

    #[test]
    fn a_cut_inside_a_segment_gets_a_key_frame() {
        for codec in [VideoCodec::H264, VideoCodec::Hevc] {
            let settings = settings(codec);
            let mut encoder = settings.open().unwrap();
            let mut keys = Vec::new();
            let mut note = |units: Vec<AccessUnit>| {
                keys.extend(units.into_iter().filter(|unit| unit.key).map(|unit| unit.time));
            };
            for frame in 0..40 {
                let mut picture = ff::frame::Video::new(Pixel::YUV420P, 320, 180);
                (1..3).for_each(|plane| picture.data_mut(plane).fill(128));
                let stride = picture.stride(0);
                for (at, sample) in picture.data_mut(0).iter_mut().enumerate() {
                    let (x, y) = (at % stride, at / stride);
                    let tiles = (x / 40 + y / 30) % 2 * 150 + x / 8;
                    *sample = if frame < 20 { x / 2 + y / 4 } else { 40 + tiles } as u8;
                }
                note(encoder.encode(&picture, frame, FrameType::Auto).unwrap());
            }
            while let Some(unit) = encoder.flush().unwrap() {
                note(vec![unit]);
            }
            assert_eq!(keys, [0, 20], "{codec}");
        }
    }

    #[test]
    fn no_encoder_sees_more_before_a_part_than_is_decoded() {
        let bounded =
            Rate { quality: Quality::Crf(30_000), maxrate_kbps: Some(900), bufsize_kbps: Some(1800) };
        for rate in [bounded, Rate { maxrate_kbps: None, bufsize_kbps: None, ..bounded }] {
            for coding in codings() {
                let mut settings = settings_of(coding);
                settings.rendition.rendition.rate = rate;
                assert!(settings.surroundings().unwrap().preroll <= FRAMES_BEFORE, "{coding:?}");
            }
        }
    }

    #[test]
    fn configurations_do_not_depend_on_the_rate_factor() {
        for coding in codings() {
            let config = |crf_milli| {
                let settings = Settings { crf_milli, ..settings_of(coding) };
                settings.open().unwrap().headers().unwrap().config
            };
            assert_eq!(config(5_000), config(51_000), "{coding:?}");
        }
    }

    #[test]
    fn the_same_frames_give_the_same_bytes() {
        for coding in codings() {
            let settings = settings_of(coding);
            assert_eq!(encode(&settings, 40, 20), encode(&settings, 40, 20), "{coding:?}");
        }
    }

    #[test]
    fn headers_are_those_of_every_encoder_and_name_the_library() {
        for coding in codings() {
            let settings = settings_of(coding);
            let headers = || settings.open().unwrap().headers().unwrap();
            assert_eq!(headers(), headers());
            let identification = headers().identification;
            assert!(identification.starts_with(settings.encoder_name()), "{identification}");
            let config = headers().config;
            let (config, string) = match coding.codec() {
                VideoCodec::H264 => (VideoConfig::Avc(&config), "avc1.640015"),
                VideoCodec::Hevc if coding.bit_depth() == BitDepth::Ten => {
                    (VideoConfig::Hevc(&config), "hvc1.2.4.L63.90")
                }
                VideoCodec::Hevc => (VideoConfig::Hevc(&config), "hvc1.1.6.L63.90"),
                VideoCodec::Av1 if coding.bit_depth() == BitDepth::Ten => {
                    (VideoConfig::Av1(&config), "av01.0.00M.10")
                }
                VideoCodec::Av1 => (VideoConfig::Av1(&config), "av01.0.00M.08"),
            };
            assert_eq!(config.codec_string().as_deref(), Some(string), "{coding:?}");
        }
    }

    #[test]
    fn colours_are_written_into_the_headers() {
        let colour =
            Colour { primaries: 9, transfer: 16, matrix: 9, full_range: false, chroma_location: Some(2) };
        for coding in codings() {
            let settings = Settings { colour, ..settings_of(coding) };
            let config = settings.open().unwrap().headers().unwrap().config;
            let config = match coding.codec() {
                VideoCodec::H264 => VideoConfig::Avc(&config),
                VideoCodec::Hevc => VideoConfig::Hevc(&config),
                VideoCodec::Av1 => VideoConfig::Av1(&config),
            };
            assert_eq!(config.colour(), Some(colour), "{coding:?}");
        }
    }
}
