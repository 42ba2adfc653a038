//! The boxes of encrypted tracks (ISO/IEC 23001-7): protected sample entries, what each encrypted sample is decrypted with,
//! and what licence systems want to know. Nothing here knows a key.

use bytes::Bytes;

use crate::boxes::{FourCc, Header, array_at, child, full, u16_at, u32_at};
use crate::fragment::Fragments;
use crate::writer::Writer;

/// A protection scheme (section 10).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// AES in counter mode, with an initialisation vector for each sample.
    Cenc,
    /// AES in cipher block chaining, with one initialisation vector for the track.
    Cbcs {
        /// It.
        iv: [u8; 16],
        /// Whether of ten blocks only the first is encrypted, as of video.
        pattern: bool,
    },
}

impl Scheme {
    /// Its name, which is the type in `schm`.
    pub fn name(self) -> &'static str {
        match self {
            Scheme::Cenc => "cenc",
            Scheme::Cbcs { .. } => "cbcs",
        }
    }
}

/// How a track is encrypted (`tenc`, section 8.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TrackEncryption {
    /// The scheme.
    pub scheme: Scheme,
    /// The id of the key.
    pub key_id: [u8; 16],
}

/// What a licence system is to know (`pssh`, section 8.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SystemHeader {
    /// The licence system.
    pub system_id: [u8; 16],
    /// The keys; those of version 1 of the box. None: version 0.
    pub key_ids: Vec<[u8; 16]>,
    /// What the system alone understands.
    pub data: Vec<u8>,
}

impl SystemHeader {
    /// The box.
    pub fn to_box(&self) -> Vec<u8> {
        let mut w = Writer::default();
        w.full(b"pssh", (!self.key_ids.is_empty()).into(), 0, |w| {
            w.bytes(&self.system_id);
            if !self.key_ids.is_empty() {
                w.u32(self.key_ids.len() as u32);
                self.key_ids.iter().for_each(|id| w.bytes(id));
            }
            w.u32(self.data.len() as u32);
            w.bytes(&self.data);
        });
        w.finish()
    }
}

/// A range of a sample (section 7.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Subsample {
    /// Bytes in clear.
    pub clear: u16,
    /// Encrypted bytes, which follow.
    pub protected: u32,
}

/// What a sample is decrypted with (`senc`, section 7.2).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SampleEncryption {
    /// Its initialisation vector, where the track has none.
    pub iv: Option<[u8; 8]>,
    /// Its ranges; none where all of it is encrypted.
    pub subsamples: Vec<Subsample>,
}

impl SampleEncryption {
    /// Bytes in `senc`.
    fn size(&self) -> usize {
        let ranges = if self.subsamples.is_empty() { 0 } else { 2 + 6 * self.subsamples.len() };
        self.iv.map_or(0, |iv| iv.len()) + ranges
    }
}

/// Why boxes cannot be protected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProtectError {
    /// No init segment of one clear track as this crate writes them.
    #[error("this is no clear init segment of one track of video or sound")]
    Init,
    /// No media segment as this crate writes them.
    #[error("this is no clear media segment of one fragment")]
    Segment,
    /// As many descriptions of samples as samples are wanted.
    #[error("{given} samples are described, but the segment has {held}")]
    Samples {
        /// Descriptions.
        given: usize,
        /// Samples of the segment.
        held: usize,
    },
    /// `saiz` holds a sample's size in one byte.
    #[error("a picture has {0} encrypted ranges: at most 40 fit; encode it with fewer slices or tiles")]
    Ranges(usize),
}

/// Boxes on the way from the top to one of them: their offsets, outermost first.
type Path = Vec<usize>;

/// The init segment of the same track, encrypted. With `clear_lead`, it has the clear sample entry as a second one, which
/// the fragments of [`clear_segment`] name.
pub fn protected_init(
    init: &[u8],
    encryption: &TrackEncryption,
    systems: &[SystemHeader],
    clear_lead: bool,
) -> Result<Vec<u8>, ProtectError> {
    let path = [b"moov", b"trak", b"mdia", b"minf", b"stbl", b"stsd"];
    let path = find(init, &path).ok_or(ProtectError::Init)?;
    // Version, flags and the count of entries, then the only one.
    let entry_at = path[path.len() - 1] + 16;
    let entry = box_at(init, entry_at).ok_or(ProtectError::Init)?;
    let kind: FourCc = entry[4..8].try_into().map_err(|_| ProtectError::Init)?;
    let protected_kind = match &kind {
        b"avc1" | b"hvc1" | b"av01" => b"encv",
        b"mp4a" | b"ac-3" | b"ec-3" | b"Opus" | b"fLaC" => b"enca",
        _ => return Err(ProtectError::Init),
    };
    if u32_at(init, entry_at - 4) != Some(1) {
        return Err(ProtectError::Init);
    }
    let mut w = Writer::default();
    w.boxed(protected_kind, |w| {
        w.bytes(&entry[8..]);
        sinf(w, &kind, encryption);
    });
    if clear_lead {
        w.bytes(entry);
    }
    let entries = w.finish();
    let grown = entries.len() - entry.len();
    let mut out = init[..entry_at].to_vec();
    out.extend(&entries);
    out.extend(&init[entry_at + entry.len()..]);
    out[entry_at - 1] = 1 + u8::from(clear_lead);
    path.iter().for_each(|at| grow(&mut out, *at, grown));
    let moov = path[0];
    let moov_end = moov + box_at(&out, moov).ok_or(ProtectError::Init)?.len();
    let headers: Vec<u8> = systems.iter().flat_map(SystemHeader::to_box).collect();
    grow(&mut out, moov, headers.len());
    out.splice(moov_end..moov_end, headers);
    Ok(out)
}

/// Section 8.2 and ISO/IEC 14496-12, section 8.12.
fn sinf(w: &mut Writer, kind: &FourCc, encryption: &TrackEncryption) {
    w.boxed(b"sinf", |w| {
        w.boxed(b"frma", |w| w.bytes(kind));
        w.full(b"schm", 0, 0, |w| {
            w.bytes(encryption.scheme.name().as_bytes());
            w.u32(0x0001_0000);
        });
        w.boxed(b"schi", |w| match encryption.scheme {
            Scheme::Cenc => w.full(b"tenc", 0, 0, |w| {
                w.bytes(&[0, 0, 1, 8]);
                w.bytes(&encryption.key_id);
            }),
            Scheme::Cbcs { iv, pattern } => w.full(b"tenc", 1, 0, |w| {
                w.bytes(&[0, if pattern { 0x19 } else { 0 }, 1, 0]);
                w.bytes(&encryption.key_id);
                w.u8(16);
                w.bytes(&iv);
            }),
        });
    });
}

/// The media segment, whose media bytes are encrypted already, with what its samples are decrypted with. Its media may be left
/// out, and stand behind what is returned: the boxes before them are all that changes.
///
/// `saiz` and `saio` are left out where no sample has anything in `senc`.
pub fn protected_segment(segment: &[u8], samples: &[SampleEncryption]) -> Result<Vec<u8>, ProtectError> {
    let held = sample_count(segment).ok_or(ProtectError::Segment)?;
    if held != samples.len() {
        return Err(ProtectError::Samples { given: samples.len(), held });
    }
    if let Some(sample) = samples.iter().find(|sample| sample.size() > 255) {
        return Err(ProtectError::Ranges(sample.subsamples.len()));
    }
    let path = find(segment, &[b"moof", b"traf"]).ok_or(ProtectError::Segment)?;
    let (moof, traf) = (path[0], path[1]);
    let traf_end = traf + box_at(segment, traf).ok_or(ProtectError::Segment)?.len();
    let mut w = Writer::default();
    auxiliary(&mut w, samples, traf_end - moof);
    insert(segment, &path, traf_end, &w.finish())
}

/// The boxes of a fragment's samples, of which the first stands at `position` in `moof`.
fn auxiliary(w: &mut Writer, samples: &[SampleEncryption], position: usize) {
    let sizes: Vec<_> = samples.iter().map(SampleEncryption::size).collect();
    if sizes.iter().any(|size| *size > 0) {
        let same = sizes.iter().all(|size| *size == sizes[0]);
        w.full(b"saiz", 0, 0, |w| {
            w.u8(if same { sizes[0] as u8 } else { 0 });
            w.u32(sizes.len() as u32);
            if !same {
                sizes.iter().for_each(|size| w.u8(*size as u8));
            }
        });
        w.full(b"saio", 0, 0, |w| {
            w.u32(1);
            // Behind this field come the header of `senc`, its flags and its count.
            let data = position + w.len() + 4 + 16;
            w.u32(data as u32);
        });
    }
    let ranges = samples.iter().any(|sample| !sample.subsamples.is_empty());
    w.full(b"senc", 0, if ranges { 2 } else { 0 }, |w| {
        w.u32(samples.len() as u32);
        for sample in samples {
            sample.iv.iter().for_each(|iv| w.bytes(iv));
            if ranges {
                w.u16(sample.subsamples.len() as u16);
            }
            for range in &sample.subsamples {
                w.u16(range.clear);
                w.u32(range.protected);
            }
        }
    });
}

/// The media segment as one that stays clear in an encrypted track: its samples are of the second sample entry. Its media may be
/// left out as for [`protected_segment`].
pub fn clear_segment(segment: &[u8]) -> Result<Vec<u8>, ProtectError> {
    const SAMPLE_ENTRY: u8 = 0x2;
    let path = find(segment, &[b"moof", b"traf", b"tfhd"]).ok_or(ProtectError::Segment)?;
    let tfhd = path[2];
    let flags = *segment.get(tfhd + 11).ok_or(ProtectError::Segment)?;
    // No base offset, which would come first, and no sample entry.
    if flags & 0x3 != 0 || box_at(segment, tfhd).is_none_or(|tfhd| tfhd.len() < 16) {
        return Err(ProtectError::Segment);
    }
    let mut out = insert(segment, &path, tfhd + 16, &2u32.to_be_bytes())?;
    out[tfhd + 11] |= SAMPLE_ENTRY;
    Ok(out)
}

/// Puts bytes into the box at the end of the path, which begins with `moof`.
fn insert(segment: &[u8], path: &Path, at: usize, bytes: &[u8]) -> Result<Vec<u8>, ProtectError> {
    sample_count(segment).ok_or(ProtectError::Segment)?;
    let trun = find(segment, &[b"moof", b"traf", b"trun"]).ok_or(ProtectError::Segment)?[2];
    let offset = u32_at(segment, trun + 16).ok_or(ProtectError::Segment)?;
    let mut out = segment.to_vec();
    out[trun + 16..trun + 20].copy_from_slice(&offset.wrapping_add(bytes.len() as u32).to_be_bytes());
    path.iter().for_each(|outer| grow(&mut out, *outer, bytes.len()));
    out.splice(at..at, bytes.iter().copied());
    Ok(out)
}

/// Samples of the only run of a clear segment, where its data offset is told.
fn sample_count(segment: &[u8]) -> Option<usize> {
    let (count, is_clear) = run_of(segment)?;
    is_clear.then_some(count as usize)
}

/// Samples of the only run of a segment, where its data offset is told, and whether nothing says that they are encrypted.
fn run_of(segment: &[u8]) -> Option<(u32, bool)> {
    let path = find(segment, &[b"moof", b"traf"])?;
    let traf = Bytes::copy_from_slice(box_at(segment, path[1])?.get(8..)?);
    let (_, flags, run) = full(&child(&traf, b"trun")?)?;
    (flags & 1 != 0).then_some((u32_at(&run, 0)?, child(&traf, b"senc").is_none()))
}

/// How a track is encrypted, by its init segment; `None` where it is clear or another's.
pub fn track_encryption(init: &[u8]) -> Option<TrackEncryption> {
    let path = find(init, &[b"moov", b"trak", b"mdia", b"minf", b"stbl", b"stsd"])?;
    let entry = Bytes::copy_from_slice(box_at(init, path[path.len() - 1] + 16)?);
    let sinf = child(&entry.slice(entry_fields(&entry)?.min(entry.len())..), b"sinf")?;
    let (_, _, schm) = full(&child(&sinf, b"schm")?)?;
    let (_, _, tenc) = full(&child(&child(&sinf, b"schi")?, b"tenc")?)?;
    let [_, pattern, is_protected, iv_size] = array_at(&tenc, 0)?;
    let key_id = array_at(&tenc, 4)?;
    let scheme = match (schm.get(..4)?, is_protected, iv_size) {
        (b"cenc", 1, 8) => Scheme::Cenc,
        (b"cbcs", 1, 0) if tenc.get(20) == Some(&16) => {
            Scheme::Cbcs { iv: array_at(&tenc, 21)?, pattern: pattern != 0 }
        }
        _ => return None,
    };
    Some(TrackEncryption { scheme, key_id })
}

/// The init segment of an encrypted track as that of the clear one, byte for byte as long: the sample entry has the type that it had,
/// and what says how it is encrypted is free space.
pub fn unprotected_init(init: &[u8]) -> Result<Vec<u8>, ProtectError> {
    let path = [b"moov", b"trak", b"mdia", b"minf", b"stbl", b"stsd"];
    let entry_at = find(init, &path).ok_or(ProtectError::Init)?[5] + 16;
    let entry = box_at(init, entry_at).ok_or(ProtectError::Init)?;
    let boxes = entry_fields(entry).and_then(|fields| entry.get(fields..)).ok_or(ProtectError::Init)?;
    let sinf = find(boxes, &[b"sinf"]).ok_or(ProtectError::Init)?[0];
    let frma = find(boxes, &[b"sinf", b"frma"]).ok_or(ProtectError::Init)?[1];
    let kind: FourCc = array_at(&Bytes::copy_from_slice(boxes), frma + 8).ok_or(ProtectError::Init)?;
    let sinf_at = entry_at + (entry.len() - boxes.len()) + sinf;
    let mut out = init.to_vec();
    out[entry_at + 4..entry_at + 8].copy_from_slice(&kind);
    out[sinf_at + 4..sinf_at + 8].copy_from_slice(b"free");
    Ok(out)
}

/// Bytes of a protected sample entry before its boxes: header and fields (ISO/IEC 14496-12, sections 12.1.3 and 12.2.3).
fn entry_fields(entry: &[u8]) -> Option<usize> {
    match entry.get(4..8)? {
        b"encv" => Some(8 + 78),
        b"enca" => Some(8 + 28),
        _ => None,
    }
}

/// What the samples of an encrypted segment are decrypted with, as its `senc` says it.
pub fn sample_encryption(
    segment: &[u8],
    encryption: &TrackEncryption,
) -> Result<Vec<SampleEncryption>, ProtectError> {
    read_senc(segment, encryption.scheme).ok_or(ProtectError::Segment)
}

fn read_senc(segment: &[u8], scheme: Scheme) -> Option<Vec<SampleEncryption>> {
    let path = find(segment, &[b"moof", b"traf", b"senc"])?;
    let body = Bytes::copy_from_slice(box_at(segment, path[2])?.get(8..)?);
    let (_, flags, rest) = full(&body)?;
    let (count, mut at) = (u32_at(&rest, 0)?, 4);
    let mut samples = Vec::new();
    for _ in 0..count {
        let iv = match scheme {
            Scheme::Cenc => Some(array_at::<8>(&rest, at)?),
            Scheme::Cbcs { .. } => None,
        };
        at += iv.map_or(0, |iv| iv.len());
        let mut subsamples = Vec::new();
        if flags & 2 != 0 {
            let ranges = u16_at(&rest, at)?;
            at += 2;
            for _ in 0..ranges {
                subsamples.push(Subsample { clear: u16_at(&rest, at)?, protected: u32_at(&rest, at + 2)? });
                at += 6;
            }
        }
        samples.push(SampleEncryption { iv, subsamples });
        if samples.len() > MAX_SAMPLES {
            return None;
        }
    }
    (at == rest.len() && samples.len() == run_of(segment)?.0 as usize).then_some(samples)
}

/// Most samples of a fragment that are read; more than ten minutes of the finest sound in use.
const MAX_SAMPLES: usize = 1 << 20;

/// The samples of a media segment of one fragment as ranges of its bytes, in decode order.
pub fn sample_ranges(segment: &[u8]) -> Result<Vec<std::ops::Range<usize>>, ProtectError> {
    let source = &segment;
    let mut fragments = Fragments::of_ours(source);
    let Some(Ok(fragment)) = fragments.next() else { return Err(ProtectError::Segment) };
    let counted = run_of(segment).map(|(count, _)| count as usize);
    if fragments.next().is_some() || counted != Some(fragment.samples.len()) {
        return Err(ProtectError::Segment);
    }
    let range = |start: u64, size: u32| start as usize..start as usize + size as usize;
    Ok(fragment.samples.iter().map(|sample| range(sample.position, sample.size)).collect())
}

/// The offsets of boxes inside each other, each the first of its type.
fn find(bytes: &[u8], kinds: &[&FourCc]) -> Option<Path> {
    let (mut at, mut end) = (0, bytes.len());
    let mut path = Vec::new();
    for kind in kinds {
        let found = loop {
            let size = box_at(&bytes[..end], at)?.len();
            if &bytes[at + 4..at + 8] == *kind {
                break size;
            }
            at += size;
        };
        path.push(at);
        end = at + found;
        at += 8;
    }
    Some(path)
}

/// The box at an offset, where its size is of 32 bits.
fn box_at(bytes: &[u8], at: usize) -> Option<&[u8]> {
    let header = Header::parse(bytes.get(at..)?).filter(|header| header.header == 8)?;
    bytes.get(at..at.checked_add(usize::try_from(header.size?).ok()?)?)
}

fn grow(out: &mut [u8], at: usize, bytes: usize) {
    let size = u32_at(out, at).unwrap_or_default() + bytes as u32;
    out[at..at + 4].copy_from_slice(&size.to_be_bytes());
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::segment::{Sample, media_segment};

    fn segment(sizes: &[usize]) -> Vec<u8> {
        let data = [7; 100];
        let sample =
            |size: &usize| Sample { data: &data[..*size], duration: 5, composition_offset: 0, sync: true };
        media_segment(1, 0, &sizes.iter().map(sample).collect::<Vec<_>>())
    }

    fn ranges(count: usize) -> SampleEncryption {
        SampleEncryption { iv: Some([1; 8]), subsamples: vec![Subsample { clear: 1, protected: 16 }; count] }
    }

    #[test]
    fn samples_stay_where_the_fragment_says() {
        let clear = segment(&[40, 20]);
        let data = |bytes: &Vec<u8>| {
            let fragment = Fragments::of_ours(bytes).next().unwrap().unwrap();
            fragment
                .samples
                .iter()
                .map(|sample| bytes[sample.position as usize..][..sample.size as usize].to_vec())
                .collect::<Vec<_>>()
        };
        let protected = protected_segment(&clear, &[ranges(2), ranges(1)]).unwrap();
        assert_eq!((data(&protected), data(&clear_segment(&clear).unwrap())), (data(&clear), data(&clear)));
        // saio names the first vector.
        let moof = find(&protected, &[b"moof"]).unwrap()[0];
        let saio = find(&protected, &[b"moof", b"traf", b"saio"]).unwrap()[2];
        let first = moof + u32_at(&protected, saio + 16).unwrap() as usize;
        assert_eq!(protected[first..first + 10], [1, 1, 1, 1, 1, 1, 1, 1, 0, 2]);
        // The boxes alone become what they become with the media.
        let media = sample_ranges(&clear).unwrap()[0].start;
        let (head, rest) = clear.split_at(media);
        let behind = |head: Vec<u8>| [&head, rest].concat();
        assert_eq!(behind(protected_segment(head, &[ranges(2), ranges(1)]).unwrap()), protected);
        assert_eq!(behind(clear_segment(head).unwrap()), clear_segment(&clear).unwrap());
    }

    #[test]
    fn what_does_not_fit_is_told() {
        let clear = segment(&[40]);
        assert_eq!(protected_segment(&clear, &[]), Err(ProtectError::Samples { given: 0, held: 1 }));
        assert_eq!(protected_segment(&clear, &[ranges(41)]), Err(ProtectError::Ranges(41)));
        let protected = protected_segment(&clear, &[ranges(40)]).unwrap();
        assert_eq!(protected_segment(&protected, &[ranges(1)]), Err(ProtectError::Segment));
        assert_eq!(clear_segment(&clear_segment(&clear).unwrap()), Err(ProtectError::Segment));
    }

    proptest! {
        #[test]
        fn no_damage_makes_it_fail(at in 0usize..260, byte in any::<u8>(), cut in 0usize..300) {
            let mut bytes = segment(&[30, 20, 10]);
            if let Some(damaged) = bytes.get_mut(at) {
                *damaged = byte;
            }
            bytes.truncate(cut);
            let _ = (sample_ranges(&bytes), clear_segment(&bytes), protected_segment(&bytes, &[ranges(1)]));
            let encryption = TrackEncryption { scheme: Scheme::Cenc, key_id: [1; 16] };
            let _ = protected_init(&bytes, &encryption, &[], true);
        }
    }
}
