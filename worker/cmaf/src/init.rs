//! Init segments: the header of a CMAF track (ISO/IEC 23000-19, section 7.3.1), and the boxes that a single-file
//! MP4 shares with it.

use reel_common::{Colour, Hdr10, Rational};

use crate::audio::audio_entry;
use crate::writer::Writer;
use crate::{AudioConfig, VideoConfig};

/// Bit rates of a track, in bits a second.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bitrate {
    /// The largest over one segment.
    pub peak: u32,
    /// Over the whole track.
    pub average: u32,
}

/// What the header of a video track says.
#[derive(Clone, Copy, Debug)]
pub struct VideoInit<'a> {
    /// Ticks a second.
    pub timescale: u32,
    /// Coded width in samples.
    pub width: u16,
    /// Coded height in samples.
    pub height: u16,
    /// Sample aspect ratio.
    pub sample_aspect: Rational,
    /// How its decoder is set up.
    pub codec: VideoConfig<'a>,
    /// Written as `colr`; `None` leaves it to the bitstream.
    pub colour: Option<Colour>,
    /// Written as `mdcv` and `clli` (ISO/IEC 14496-12, sections 12.1.5 and 12.1.6).
    pub hdr10: Hdr10,
    /// Written as `btrt`.
    pub bitrate: Bitrate,
}

/// What the header of an audio track says.
#[derive(Clone, Copy, Debug)]
pub struct AudioInit<'a> {
    /// Samples a second, which is also the track's time scale.
    pub sample_rate: u32,
    /// Number of channels.
    pub channels: u16,
    /// How its decoder is set up.
    pub codec: AudioConfig<'a>,
    /// ISO 639-2 code or BCP 47 tag; empty where undetermined.
    pub language: &'a str,
    /// Written into the decoder's configuration.
    pub bitrate: Bitrate,
}

/// What the header of a track of IMSC 1 Text says.
#[derive(Clone, Copy, Debug)]
pub struct TextInit<'a> {
    /// Ticks a second.
    pub timescale: u32,
    /// As of sound.
    pub language: &'a str,
}

/// A track's header, by what it holds.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Config<'a> {
    Video(&'a VideoInit<'a>),
    Audio(&'a AudioInit<'a>),
    Text(&'a TextInit<'a>),
}

/// How the segments of a track lie on its timeline, in ticks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// Where presentation begins: the earliest composition time of a picture; for sound the first decode time and the
    /// encoder's priming after it. Written as an edit list where it is not 0.
    pub start: u64,
    /// All segments together.
    pub duration: u64,
}

/// The init segment of a video rendition.
pub fn video_init(init: &VideoInit<'_>, span: Span) -> Vec<u8> {
    // The second brand's tracks have no edit list (ISO/IEC 23000-19, section 7.7.3).
    let mut brands = b"iso6cmfc".to_vec();
    if span.start == 0 {
        brands.extend(b"cmf2");
    }
    // AV1 asks for it (AV1 Codec ISO Media File Format Binding, section 2.1).
    if let VideoConfig::Av1(_) = init.codec {
        brands.extend(init.codec.brand());
    }
    fragmented(Config::Video(init), &brands, span)
}

/// The init segment of an audio track.
pub fn audio_init(init: &AudioInit<'_>, span: Span) -> Vec<u8> {
    fragmented(Config::Audio(init), b"iso6cmfc", span)
}

/// The init segment of a track whose samples are documents of IMSC 1 Text (ISO/IEC 23000-19, annex L).
pub fn text_init(init: &TextInit<'_>, span: Span) -> Vec<u8> {
    fragmented(Config::Text(init), b"iso6cmfcim1t", span)
}

fn fragmented(config: Config<'_>, brands: &[u8], span: Span) -> Vec<u8> {
    let mut w = Writer::default();
    w.boxed(b"ftyp", |w| {
        w.bytes(b"cmfc");
        w.u32(0);
        w.bytes(brands);
    });
    w.boxed(b"moov", |w| {
        mvhd(w, config.timescale(), 0, 2);
        w.boxed(b"trak", |w| {
            tkhd(w, 1, 0, config);
            if let Some(start) = i64::try_from(span.start).ok().filter(|start| *start > 0) {
                // A duration of 0 means to the end (ISO/IEC 23000-19, section 7.5.13).
                edit(w, 0, start);
            }
            w.boxed(b"mdia", |w| {
                mdhd(w, config, 0);
                minf(w, config, |w| {
                    for kind in [b"stts", b"stsc"] {
                        w.full(kind, 0, 0, |w| w.u32(0));
                    }
                    w.full(b"stsz", 0, 0, |w| w.u64(0));
                    w.full(b"stco", 0, 0, |w| w.u32(0));
                });
            });
        });
        w.boxed(b"mvex", |w| {
            w.full(b"mehd", 1, 0, |w| w.u64(span.duration));
            w.full(b"trex", 0, 0, |w| [1, 1, 0, 0, 0].into_iter().for_each(|word| w.u32(word)));
        });
    });
    w.finish()
}

impl Config<'_> {
    pub(crate) fn timescale(self) -> u32 {
        match self {
            Config::Video(init) => init.timescale,
            Config::Audio(init) => init.sample_rate,
            Config::Text(init) => init.timescale,
        }
    }
}

/// The movie header; creation and modification times are 0, since they may not reach the output.
pub(crate) fn mvhd(w: &mut Writer, timescale: u32, duration: u64, next_track: u32) {
    let version = wide(duration);
    w.full(b"mvhd", version, 0, |w| {
        times(w, version, |w| w.u32(timescale), duration);
        w.u32(0x0001_0000);
        w.u16(0x0100);
        w.zeros(10);
        identity_matrix(w);
        w.zeros(24);
        w.u32(next_track);
    });
}

/// The header of a track; `duration` in ticks of the movie.
pub(crate) fn tkhd(w: &mut Writer, id: u32, duration: u64, config: Config<'_>) {
    let version = wide(duration);
    // Enabled, in the movie, in its preview.
    w.full(b"tkhd", version, 7, |w| {
        times(
            w,
            version,
            |w| {
                w.u32(id);
                w.u32(0);
            },
            duration,
        );
        w.zeros(8);
        w.u16(0);
        // Tracks of one group stand in for each other.
        w.u16(matches!(config, Config::Audio(_)).into());
        w.u16(if matches!(config, Config::Audio(_)) { 0x0100 } else { 0 });
        w.zeros(2);
        identity_matrix(w);
        let (width, height) = match config {
            Config::Video(init) => (display_width(init), init.height),
            Config::Audio(_) | Config::Text(_) => (0, 0),
        };
        w.u32(width);
        w.u32(u32::from(height) << 16);
    });
}

/// Width in square samples as 16.16, halves rounded up.
fn display_width(init: &VideoInit<'_>) -> u32 {
    let width = Rational::whole(i64::from(init.width) << 16).checked_mul(init.sample_aspect);
    width.and_then(|width| u32::try_from(width.round()).ok()).unwrap_or(u32::from(init.width) << 16)
}

/// An edit list of one entry; `segment_duration` in ticks of the movie, `media_time` of the track.
pub(crate) fn edit(w: &mut Writer, segment_duration: u64, media_time: i64) {
    let wide = segment_duration > u64::from(u32::MAX) || i32::try_from(media_time).is_err();
    w.boxed(b"edts", |w| {
        w.full(b"elst", wide.into(), 0, |w| {
            w.u32(1);
            if wide {
                w.u64(segment_duration);
                w.i64(media_time);
            } else {
                w.u32(segment_duration as u32);
                w.i32(media_time as i32);
            }
            w.u32(0x0001_0000);
        });
    });
}

/// The media header; `duration` in ticks of the track.
pub(crate) fn mdhd(w: &mut Writer, config: Config<'_>, duration: u64) {
    let language = match config {
        Config::Video(_) => "",
        Config::Audio(init) => init.language,
        Config::Text(init) => init.language,
    };
    let version = wide(duration);
    w.full(b"mdhd", version, 0, |w| {
        times(w, version, |w| w.u32(config.timescale()), duration);
        w.u16(packed_language(language));
        w.u16(0);
    });
    w.full(b"hdlr", 0, 0, |w| {
        w.u32(0);
        let (kind, name): (&[u8], &[u8]) = match config {
            Config::Video(_) => (b"vide", b"video\0"),
            Config::Audio(_) => (b"soun", b"audio\0"),
            Config::Text(_) => (b"subt", b"text\0"),
        };
        w.bytes(kind);
        w.zeros(12);
        w.bytes(name);
    });
    if !language.is_empty() && packed_language(language) == packed_language("und") {
        w.full(b"elng", 0, 0, |w| {
            w.bytes(language.as_bytes());
            w.u8(0);
        });
    }
}

/// Media information; `tables` writes the sample table after the sample description.
pub(crate) fn minf(w: &mut Writer, config: Config<'_>, tables: impl FnOnce(&mut Writer)) {
    w.boxed(b"minf", |w| {
        match config {
            Config::Video(_) => w.full(b"vmhd", 0, 1, |w| w.zeros(8)),
            Config::Audio(_) => w.full(b"smhd", 0, 0, |w| w.zeros(4)),
            Config::Text(_) => w.full(b"sthd", 0, 0, |_| {}),
        }
        w.boxed(b"dinf", |w| {
            w.full(b"dref", 0, 0, |w| {
                w.u32(1);
                w.full(b"url ", 0, 1, |_| {});
            });
        });
        w.boxed(b"stbl", |w| {
            w.full(b"stsd", 0, 0, |w| {
                w.u32(1);
                match config {
                    Config::Video(init) => visual_entry(w, init),
                    Config::Audio(init) => audio_entry(w, init),
                    Config::Text(_) => stpp(w),
                }
            });
            tables(w);
        });
    });
}

fn visual_entry(w: &mut Writer, init: &VideoInit<'_>) {
    let (entry, record) = init.codec.boxes();
    w.boxed(entry, |w| {
        w.zeros(6);
        w.u16(1);
        w.zeros(16);
        w.u16(init.width);
        w.u16(init.height);
        w.u32(0x0048_0000);
        w.u32(0x0048_0000);
        w.zeros(4);
        w.u16(1);
        w.zeros(32);
        w.u16(24);
        w.u16(0xffff);
        w.boxed(record, |w| w.bytes(init.codec.record()));
        let terms = (u32::try_from(init.sample_aspect.num()), u32::try_from(init.sample_aspect.den()));
        if let (Ok(horizontal @ 1..), Ok(vertical)) = terms {
            w.boxed(b"pasp", |w| {
                w.u32(horizontal);
                w.u32(vertical);
            });
        }
        if let Some(colour) = init.colour {
            w.boxed(b"colr", |w| {
                w.bytes(b"nclx");
                w.u16(colour.primaries.into());
                w.u16(colour.transfer.into());
                w.u16(colour.matrix.into());
                w.u8(u8::from(colour.full_range) << 7);
            });
        }
        if let Some(mastering) = init.hdr10.mastering {
            w.boxed(b"mdcv", |w| {
                let points = [mastering.green, mastering.blue, mastering.red, mastering.white];
                points.into_iter().flatten().for_each(|coordinate| w.u16(coordinate));
                w.u32(mastering.max_luminance);
                w.u32(mastering.min_luminance);
            });
        }
        if let Some(level) = init.hdr10.light_level {
            w.boxed(b"clli", |w| {
                w.u16(level.max_content);
                w.u16(level.max_frame_average);
            });
        }
        w.boxed(b"btrt", |w| {
            w.u32(0);
            w.u32(init.bitrate.peak);
            w.u32(init.bitrate.average);
        });
    });
}

/// XMLSubtitleSampleEntry (ISO/IEC 14496-12, section 12.6.3), without schema and pictures beside the documents.
fn stpp(w: &mut Writer) {
    w.boxed(b"stpp", |w| {
        w.zeros(6);
        w.u16(1);
        w.bytes(b"http://www.w3.org/ns/ttml\0\0\0");
    });
}

/// Version 1 of a header where a duration needs 64 bits.
fn wide(duration: u64) -> u8 {
    (duration > u64::from(u32::MAX)).into()
}

/// Creation and modification time, what stands between, and the duration.
fn times(w: &mut Writer, version: u8, between: impl FnOnce(&mut Writer), duration: u64) {
    w.zeros(if version == 1 { 16 } else { 8 });
    between(w);
    match version {
        1 => w.u64(duration),
        _ => w.u32(duration as u32),
    }
}

fn identity_matrix(w: &mut Writer) {
    [0x0001_0000, 0, 0, 0, 0x0001_0000, 0, 0, 0, 0x4000_0000].into_iter().for_each(|cell| w.u32(cell));
}

/// Three letters in five bits each; anything else is `und` and goes into `elng`.
fn packed_language(language: &str) -> u16 {
    let letters = match language.as_bytes() {
        letters @ [_, _, _] if letters.iter().all(u8::is_ascii_lowercase) => letters,
        _ => b"und",
    };
    letters.iter().fold(0, |code, letter| code << 5 | u16::from(letter - 0x60))
}
