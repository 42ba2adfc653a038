//! The proof that an encrypted tree is the clear one, which was proved, for whoever has its keys; and of a delivered one the clear tree.

use std::fs::{self, OpenOptions};
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use reel_cmaf::fragment::Fragments;
use reel_cmaf::mov::Movie;
use reel_cmaf::protect::{TrackEncryption, sample_ranges, track_encryption, unprotected_init};
use reel_common::Failure;
use reel_media::MediaFile;
use reel_package::layout;
use reel_package::protect::{ContentKey, decrypted};
use reel_profiles::Package;

use crate::attempt::failed;
use crate::destination;
use crate::keys::Protection;

/// A block of AES: `cbcs` leaves what is less at the end of a sample as it is (ISO/IEC 23001-7, section 9.4).
const BLOCK_BYTES: usize = 16;

/// Decrypts every segment as its own boxes say, and compares it with the clear one.
pub(super) fn prove(
    tree: &Path,
    clear: &Path,
    protection: &Protection,
    package: Package,
) -> Result<(), Failure> {
    each_track(clear, &mut |place| {
        let open = |tree| Track::open(tree, place, package);
        prove_track(&open(tree)?, &open(clear)?, protection)
    })
}

/// Decrypts the tracks of a delivered tree into a folder that has the same layout; gives the folder.
///
/// # Errors
/// A track without encryption, or with a key that is not there, and segments whose boxes contradict their profile.
pub(super) fn clear_copy(
    tree: &Path,
    folder: PathBuf,
    protection: &Protection,
    package: Package,
) -> Result<PathBuf, Failure> {
    each_track(tree, &mut |place| {
        copy_track(&Track::open(tree, place, package)?, &folder.join(place), protection)
    })?;
    Ok(folder)
}

/// Does something with each track of a tree that has some.
fn each_track(tree: &Path, work: &mut dyn FnMut(&Path) -> Result<(), String>) -> Result<(), Failure> {
    let mut tracks = 0;
    for kind in ["video", "audio"] {
        let folder = tree.join(kind);
        if !folder.exists() {
            continue;
        }
        for track in names(&folder)? {
            let place = Path::new(kind).join(&track);
            work(&place).map_err(|what| failed(&format!("{}: {what}", place.display())))?;
            tracks += 1;
        }
    }
    if tracks == 0 { Err(failed("there is no track that is encrypted")) } else { Ok(()) }
}

/// A track of a tree: segments that are files, or one file of them that is held against what names its bytes.
struct Track {
    folder: PathBuf,
    file: Option<MediaFile>,
}

impl Track {
    fn open(tree: &Path, place: &Path, package: Package) -> Result<Self, String> {
        let file = package.byte_ranges.then(|| reel_media::media_file(tree, &place.to_string_lossy()));
        Ok(Track { folder: tree.join(place), file: file.transpose().map_err(|error| error.to_string())? })
    }

    fn init(&self) -> Result<Vec<u8>, String> {
        match &self.file {
            Some(file) => read_range(&self.folder.join(layout::MEDIA), &file.init),
            None => read(&self.folder.join(layout::INIT)),
        }
    }

    /// A segment, from 0; `None` after the last.
    fn segment(&self, number: u64) -> Result<Option<Vec<u8>>, String> {
        let path = self.folder.join(layout::segment(number));
        match &self.file {
            Some(file) => {
                let range = file.segments.get(number as usize);
                range.map(|range| read_range(&self.folder.join(layout::MEDIA), range)).transpose()
            }
            None => path.exists().then(|| read(&path)).transpose(),
        }
    }
}

fn prove_track(tree: &Track, clear: &Track, protection: &Protection) -> Result<(), String> {
    let (encryption, key) = told(&tree.init()?, protection)?;
    let mut lead = Lead::new(&clear.init()?, protection)?;
    for number in 0.. {
        let name = layout::segment(number);
        let Some(plain) = clear.segment(number)? else { break };
        let stays_clear = lead.has(&plain).ok_or_else(|| format!("{name} cannot be read"))?;
        let coded = tree.segment(number)?.ok_or_else(|| format!("{name} is missing"))?;
        if !is_same(&coded, &plain, stays_clear, &encryption, key)
            .map_err(|error| format!("{name}: {error}"))?
        {
            return Err(format!("{name} is not what it is when it is decrypted"));
        }
    }
    Ok(())
}

/// How a track is encrypted, by its header, and its key.
fn told<'a>(init: &[u8], protection: &'a Protection) -> Result<(TrackEncryption, &'a ContentKey), String> {
    let encryption = track_encryption(init).ok_or("its header does not say how it is encrypted")?;
    let key = protection.keys.of_id(encryption.key_id);
    Ok((encryption, key.ok_or("it is encrypted with a key of another title")?))
}

/// Which segments of a track stay clear.
struct Lead {
    /// How long it lasts, in thousandths of ticks.
    ticks_milli: u64,
    /// When the first segment is decoded.
    first: Option<i64>,
}

impl Lead {
    fn new(init: &[u8], protection: &Protection) -> Result<Self, String> {
        let movie = Movie::read(&init).map_err(|error| error.to_string())?;
        let timescale = movie.tracks.first().map_or(1, |track| track.timescale);
        Ok(Lead {
            ticks_milli: u64::from(protection.rules.clear_lead_ms) * u64::from(timescale),
            first: None,
        })
    }

    /// Whether the next segment belongs to it; `None` where it cannot be read.
    fn has(&mut self, segment: &[u8]) -> Option<bool> {
        let begins = Fragments::of_ours(&segment).next()?.ok()?.base_decode_time()?;
        let start = begins - *self.first.get_or_insert(begins);
        Some(start.unsigned_abs() * 1000 < self.ticks_milli)
    }
}

fn copy_track(track: &Track, folder: &Path, protection: &Protection) -> Result<(), String> {
    let unwritten = |error: io::Error| format!("{} cannot be written: {error}", folder.display());
    fs::create_dir_all(folder).map_err(unwritten)?;
    for name in names(&track.folder).map_err(|failure| failure.message)? {
        fs::copy(track.folder.join(&name), folder.join(&name)).map_err(unwritten)?;
    }
    let init = track.init()?;
    let (encryption, key) = told(&init, protection)?;
    let mut lead = Lead::new(&init, protection)?;
    let write = |name: &str, range: Option<&Range<u64>>, bytes: &[u8]| match range {
        Some(range) => OpenOptions::new()
            .write(true)
            .open(folder.join(layout::MEDIA))
            .and_then(|file| file.write_all_at(bytes, range.start))
            .map_err(unwritten),
        None => fs::write(folder.join(name), bytes).map_err(unwritten),
    };
    let clear = unprotected_init(&init).map_err(|error| error.to_string())?;
    write(layout::INIT, track.file.as_ref().map(|file| &file.init), &clear)?;
    for number in 0.. {
        let name = layout::segment(number);
        let Some(mut segment) = track.segment(number)? else { break };
        if lead.has(&segment).ok_or_else(|| format!("{name} cannot be read"))? {
            continue;
        }
        let clear = decrypted(&segment, &encryption, key).map_err(|error| format!("{name}: {error}"))?;
        let mut clear = clear.as_slice();
        for range in sample_ranges(&segment).map_err(|error| format!("{name}: {error}"))? {
            let (sample, rest) = clear.split_at(range.len());
            segment[range].copy_from_slice(sample);
            clear = rest;
        }
        let range = track.file.as_ref().and_then(|file| file.segments.get(number as usize));
        write(&name, range, &segment)?;
    }
    Ok(())
}

/// Whether the samples of a segment are those of the clear one, once it is decrypted where it has to be.
fn is_same(
    coded: &[u8],
    plain: &[u8],
    stays_clear: bool,
    encryption: &TrackEncryption,
    key: &ContentKey,
) -> Result<bool, String> {
    let samples = |segment: &[u8]| -> Result<Vec<u8>, String> {
        let ranges = sample_ranges(segment).map_err(|error| error.to_string())?;
        Ok(ranges.into_iter().flat_map(|range| &segment[range]).copied().collect())
    };
    let wanted = samples(plain)?;
    if stays_clear {
        return Ok(samples(coded)? == wanted);
    }
    let found = decrypted(coded, encryption, key).map_err(|error| error.to_string())?;
    // What came out as it went in was not encrypted at all; samples of silence may be shorter than what can be.
    let whole = sample_ranges(plain).map_err(|error| error.to_string())?;
    let short = whole.iter().all(|range| range.len() < BLOCK_BYTES);
    Ok(found == wanted && (short || samples(coded)? != wanted))
}

fn names(folder: &Path) -> Result<Vec<PathBuf>, Failure> {
    let read = fs::read_dir(folder).and_then(|entries| {
        let names: Result<Vec<PathBuf>, _> =
            entries.map(|entry| Ok(PathBuf::from(entry?.file_name()))).collect();
        names
    });
    read.map_err(|error| destination::failure(folder, &error))
}

fn read_range(path: &Path, range: &Range<u64>) -> Result<Vec<u8>, String> {
    let mut bytes = vec![0; (range.end - range.start) as usize];
    let read = fs::File::open(path).and_then(|file| file.read_exact_at(&mut bytes, range.start));
    read.map(|()| bytes).map_err(|error| format!("{}: {error}", path.display()))
}

fn read(path: &Path) -> Result<Vec<u8>, String> {
    fs::read(path).map_err(|error| format!("{}: {error}", path.display()))
}
