//! The proof that an encrypted tree is the clear one, which was proved, for whoever has its keys.

use std::fs;
use std::path::{Path, PathBuf};

use reel_cmaf::fragment::Fragments;
use reel_cmaf::mov::Movie;
use reel_cmaf::protect::{TrackEncryption, sample_ranges, track_encryption};
use reel_common::Failure;
use reel_package::layout;
use reel_package::protect::{ContentKey, decrypted};

use crate::attempt::failed;
use crate::destination;
use crate::keys::Protection;

/// Decrypts every segment as its own boxes say, and compares it with the clear one.
pub(super) fn prove(tree: &Path, clear: &Path, protection: &Protection) -> Result<(), Failure> {
    let mut tracks = 0;
    for kind in ["video", "audio"] {
        let folder = clear.join(kind);
        if !folder.exists() {
            continue;
        }
        for track in names(&folder)? {
            let place = Path::new(kind).join(&track);
            prove_track(&tree.join(&place), &clear.join(&place), protection)
                .map_err(|what| failed(&format!("{}: {what}", place.display())))?;
            tracks += 1;
        }
    }
    if tracks == 0 { Err(failed("there is no track that is encrypted")) } else { Ok(()) }
}

fn prove_track(tree: &Path, clear: &Path, protection: &Protection) -> Result<(), String> {
    let init = read(&tree.join(layout::INIT))?;
    let encryption = track_encryption(&init).ok_or("its header does not say how it is encrypted")?;
    let key =
        protection.keys.of_id(encryption.key_id).ok_or("it is encrypted with a key of another title")?;
    let movie =
        Movie::read(&read(&clear.join(layout::INIT))?.as_slice()).map_err(|error| error.to_string())?;
    let timescale = movie.tracks.first().map_or(1, |track| track.timescale);
    let lead = u64::from(protection.rules.clear_lead_ms) * u64::from(timescale);
    let mut first = None;
    for number in 0.. {
        let name = layout::segment(number);
        if !clear.join(&name).exists() {
            break;
        }
        let plain = read(&clear.join(&name))?;
        let begins = begins(&plain).ok_or_else(|| format!("{name} cannot be read"))?;
        let start = begins - *first.get_or_insert(begins);
        let stays_clear = start.unsigned_abs() * 1000 < lead;
        let coded = read(&tree.join(&name))?;
        if !is_same(&coded, &plain, stays_clear, &encryption, key)
            .map_err(|error| format!("{name}: {error}"))?
        {
            return Err(format!("{name} is not what it is when it is decrypted"));
        }
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
    // What came out as it went in was not encrypted at all.
    Ok(found == wanted && samples(coded)? != wanted)
}

/// The decode time at which a clear segment begins.
fn begins(segment: &[u8]) -> Option<i64> {
    Fragments::of_ours(&segment).next()?.ok()?.base_decode_time()
}

fn names(folder: &Path) -> Result<Vec<PathBuf>, Failure> {
    let read = fs::read_dir(folder).and_then(|entries| {
        let names: Result<Vec<PathBuf>, _> =
            entries.map(|entry| Ok(PathBuf::from(entry?.file_name()))).collect();
        names
    });
    read.map_err(|error| destination::failure(folder, &error))
}

fn read(path: &Path) -> Result<Vec<u8>, String> {
    fs::read(path).map_err(|error| format!("{}: {error}", path.display()))
}
