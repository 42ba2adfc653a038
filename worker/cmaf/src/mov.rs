//! The header of a QuickTime or MP4 file: its tracks, edit lists and sample tables, read without touching media
//! bytes. Tolerant of what real files hold; never trusting a size or a count.

use std::io;

use bytes::Bytes;

use crate::ReadAt;
use crate::boxes::{FourCc, Header, child, children, full, u32_at};
use crate::sample_table::TableError;
pub use crate::sample_table::{Chunk, Sample, SampleTable, TimeRun};
pub use crate::track::{Edit, SampleEntry, Track, TrackDefaults, TrackKind};

/// The largest `moov` that is read: 100 hours of video at 60 frames a second take less.
pub const MAX_MOOV_BYTES: u64 = 512 << 20;
/// Most boxes passed over in search of `moov`; each costs a read.
const MAX_TOP_LEVEL_BOXES: u32 = 65_536;
/// Most tracks of one file.
const MAX_TRACKS: usize = 1024;
/// Most samples of a video track, which callers expand: nine days at 60 frames a second.
const MAX_VIDEO_SAMPLES: u64 = 50_000_000;

/// A file's header.
#[derive(Clone, Debug)]
pub struct Movie {
    /// Ticks a second of [`Edit::segment_duration`].
    pub movie_timescale: u32,
    /// Whether samples come in fragments (`mvex`): sample tables are empty or only a beginning.
    pub fragmented: bool,
    /// The tracks, in file order.
    pub tracks: Vec<Track>,
    /// Defaults for the fragments of each track.
    pub defaults: Vec<TrackDefaults>,
}

/// Why a file's header cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum MovError {
    /// Reading failed.
    #[error("reading the header failed: {0}")]
    Io(#[from] io::Error),
    /// The first bytes are not those of a QuickTime or MP4 file.
    #[error("this is not a QuickTime or MP4 file")]
    NotAMovie,
    /// The file ends without its header.
    #[error("no moov: the file is truncated or still being written")]
    NoMoov,
    /// The file ends inside its header.
    #[error(
        "moov is cut off: {held} of its {size} bytes are there; the file is truncated or still being written"
    )]
    MoovCut {
        /// Bytes in the file.
        held: u64,
        /// Bytes that the box claims.
        size: u64,
    },
    /// A header beyond [`MAX_MOOV_BYTES`].
    #[error("moov claims {0} bytes: at most 512 MiB are read")]
    MoovTooLarge(u64),
    /// A header in QuickTime's compressed form.
    #[error("moov is compressed (cmov): rewrite the file with an uncompressed header")]
    Compressed,
    /// The movie header itself lacks what everything needs.
    #[error("moov has no usable {0}")]
    Malformed(&'static str),
    /// A track that cannot be used.
    #[error("track {track}: {source}")]
    Track {
        /// Its number in the header.
        track: u32,
        /// What is wrong with it.
        source: TrackError,
    },
    /// The file was cut: samples should lie where it has ended.
    #[error("moov says {missing} bytes of samples lie past the end of the file: the file is truncated")]
    Cut {
        /// How far the last sample passes the end, in bytes.
        missing: u64,
        /// The offset after the last byte of any sample.
        end: u64,
    },
}

/// What is wrong with a track.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TrackError {
    /// A box that every track has is missing or too short.
    #[error("it has no usable `{}` box", .0.escape_ascii())]
    Missing(FourCc),
    /// Its time base is zero.
    #[error("its time scale is 0")]
    Timescale,
    /// Its samples cannot be placed.
    #[error(transparent)]
    Table(#[from] TableError),
    /// More samples than a title can have.
    #[error("it lists {0} samples: at most 50,000,000 are read")]
    TooMany(u64),
}

impl Movie {
    /// Finds and reads the header, and checks that all samples lie inside the file.
    ///
    /// Reads the box headers at the top level and `moov`, nothing else.
    pub fn read(source: &dyn ReadAt) -> Result<Self, MovError> {
        let movie = Self::parse(&find_moov(source)?)?;
        let inside = movie.tracks.iter().filter(|track| !track.external);
        let end = inside.map(|track| track.samples.end()).max().unwrap_or(0);
        match end.checked_sub(source.len()) {
            None | Some(0) => Ok(movie),
            Some(missing) => Err(MovError::Cut { missing, end }),
        }
    }

    /// Reads the body of a `moov` box.
    pub(crate) fn parse(moov: &Bytes) -> Result<Self, MovError> {
        if child(moov, b"cmov").is_some() {
            return Err(MovError::Compressed);
        }
        let mvhd = child(moov, b"mvhd");
        let (version, _, header) = mvhd.as_ref().and_then(full).ok_or(MovError::Malformed("mvhd"))?;
        let wide = usize::from(version == 1);
        let movie_timescale = u32_at(&header, 8 + 8 * wide).filter(|scale| *scale > 0);
        let mut movie = Movie {
            movie_timescale: movie_timescale.ok_or(MovError::Malformed("time scale"))?,
            fragmented: false,
            tracks: Vec::new(),
            defaults: Vec::new(),
        };
        let matrix = header.slice((32 + 12 * wide).min(header.len())..);
        for (kind, body) in children(moov) {
            match &kind {
                b"trak" if movie.tracks.len() < MAX_TRACKS => movie.add(&body, &matrix)?,
                b"mvex" => {
                    movie.fragmented = true;
                    movie.defaults = TrackDefaults::read_all(&body);
                }
                _ => {}
            }
        }
        Ok(movie)
    }

    fn add(&mut self, trak: &Bytes, matrix: &[u8]) -> Result<(), MovError> {
        let (track, result) = Track::read(trak, matrix);
        match result {
            Ok(track) if track.kind == TrackKind::Video && track.samples.len() > MAX_VIDEO_SAMPLES => {
                let source = TrackError::TooMany(track.samples.len());
                Err(MovError::Track { track: track.id, source })
            }
            Ok(track) => {
                self.tracks.push(track);
                Ok(())
            }
            // Nobody reads hint, time code or metadata tracks here: a broken one harms nothing.
            Err((TrackKind::Other, _)) => Ok(()),
            Err((_, source)) => Err(MovError::Track { track, source }),
        }
    }

    /// The first track of a kind.
    pub fn first(&self, kind: TrackKind) -> Option<&Track> {
        self.tracks.iter().find(|track| track.kind == kind)
    }
}

/// The body of `moov`.
fn find_moov(source: &dyn ReadAt) -> Result<Bytes, MovError> {
    let len = source.len();
    let mut offset = 0;
    for number in 0..MAX_TOP_LEVEL_BOXES {
        let held = len.saturating_sub(offset);
        let mut bytes = [0; Header::MAX];
        let head = &mut bytes[..held.min(Header::MAX as u64) as usize];
        if held < 8 {
            break;
        }
        source.read_at(offset, head)?;
        let header = Header::parse(head).filter(|header| number > 0 || opens_a_movie(&header.kind));
        let header = match header {
            Some(header) => header,
            None if number == 0 => return Err(MovError::NotAMovie),
            None => break,
        };
        let size = header.size.unwrap_or(held);
        if &header.kind == b"moov" {
            return read_moov(source, offset, header.header, size);
        }
        offset = match offset.checked_add(size) {
            Some(next) if next < len => next,
            _ => break,
        };
    }
    Err(if offset == 0 && len < 8 { MovError::NotAMovie } else { MovError::NoMoov })
}

fn read_moov(source: &dyn ReadAt, offset: u64, header: u64, size: u64) -> Result<Bytes, MovError> {
    let held = source.len() - offset;
    if size > held {
        return Err(MovError::MoovCut { held, size });
    }
    if size > MAX_MOOV_BYTES {
        return Err(MovError::MoovTooLarge(size));
    }
    let mut body = vec![0; (size - header) as usize];
    source.read_at(offset + header, &mut body)?;
    Ok(body.into())
}

/// Whether a file may begin with such a box.
fn opens_a_movie(kind: &FourCc) -> bool {
    let openers: [&FourCc; 11] =
        [b"ftyp", b"styp", b"moov", b"mdat", b"wide", b"free", b"skip", b"pnot", b"uuid", b"PICT", b"junk"];
    openers.contains(&kind)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::writer::Writer;

    fn boxed(kind: &FourCc, body: &[u8]) -> Vec<u8> {
        let mut w = Writer::default();
        w.boxed(kind, |w| w.bytes(body));
        w.finish()
    }

    /// A header without tracks.
    fn moov() -> Vec<u8> {
        let mut mvhd = vec![0; 100];
        mvhd[12..16].copy_from_slice(&600u32.to_be_bytes());
        boxed(b"moov", &boxed(b"mvhd", &mvhd))
    }

    fn read(boxes: &[&[u8]]) -> Result<Movie, MovError> {
        Movie::read(&boxes.concat())
    }

    #[test]
    fn moov_is_found_behind_boxes_of_every_form() {
        let ftyp = boxed(b"ftyp", b"qt  \0\0\0\0qt  ");
        let wide = [&[0, 0, 0, 1][..], b"mdat", &20u64.to_be_bytes(), b"data"].concat();
        let classic = [boxed(b"wide", b""), boxed(b"mdat", b"xyz"), boxed(b"free", b"")].concat();
        for before in [Vec::new(), ftyp.clone(), [ftyp.clone(), wide].concat(), classic] {
            let movie = read(&[&before, &moov(), b"garbage after the header"]).unwrap();
            assert_eq!((movie.movie_timescale, movie.tracks.len(), movie.fragmented), (600, 0, false));
        }
        let mut open_ended = moov();
        open_ended[..4].copy_from_slice(&[0; 4]);
        assert!(read(&[&ftyp, &open_ended]).is_ok());
    }

    #[test]
    fn a_file_without_its_header_is_unfinished() {
        let ftyp = boxed(b"ftyp", b"qt  \0\0\0\0qt  ");
        let open_ended = [&[0, 0, 0, 0][..], b"mdat", b"to the end of the file"].concat();
        let claims_more = [&[0, 0, 9, 0][..], b"mdat", b"cut"].concat();
        for rest in [&[][..], &open_ended, &claims_more, &[0; 16], &[0, 0, 0, 3, 1, 1, 1, 1]] {
            let error = read(&[&ftyp, rest]).unwrap_err();
            assert!(matches!(error, MovError::NoMoov), "{error}");
        }
    }

    #[test]
    fn headers_that_cannot_be_used_say_why() {
        let compressed = read(&[&boxed(b"moov", &boxed(b"cmov", b"zlib"))]).unwrap_err();
        assert!(matches!(compressed, MovError::Compressed));
        let empty = read(&[&boxed(b"moov", b"")]).unwrap_err();
        assert_eq!(empty.to_string(), "moov has no usable mvhd");
        let cut = read(&[&moov()[..50]]).unwrap_err().to_string();
        assert_eq!(
            cut,
            "moov is cut off: 50 of its 116 bytes are there; the file is truncated or still being written"
        );
    }

    /// A file that claims to be larger than any memory.
    struct Huge;

    impl ReadAt for Huge {
        fn len(&self) -> u64 {
            1 << 50
        }

        fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
            let head = [&[0, 0, 0, 1][..], b"moov", &(1u64 << 40).to_be_bytes()].concat();
            assert_eq!((offset, buf.len()), (0, head.len()));
            buf.copy_from_slice(&head);
            Ok(())
        }
    }

    #[test]
    fn a_header_beyond_all_bounds_is_not_read() {
        assert!(matches!(Movie::read(&Huge), Err(MovError::MoovTooLarge(size)) if size == 1 << 40));
    }

    #[test]
    fn a_broken_track_that_nobody_needs_is_passed_over() {
        let hdlr = |kind: &[u8]| boxed(b"mdia", &boxed(b"hdlr", &[&[0; 8], kind, &[0; 13]].concat()));
        let with_track = |kind: &[u8]| {
            let mvhd = moov()[8..].to_vec();
            Movie::read(&boxed(b"moov", &[mvhd, boxed(b"trak", &hdlr(kind))].concat()))
        };
        assert!(with_track(b"tmcd").unwrap().tracks.is_empty());
        let error = with_track(b"vide").unwrap_err().to_string();
        assert_eq!(error, "track 0: it has no usable `tkhd` box");
    }
}
