//! Codec configurations inside sample entries (ISO/IEC 14496-14 and -15, QuickTime File Format).

use bytes::Bytes;

use crate::boxes::{array_at, child, full, u16_at};
use crate::mov::SampleEntry;

/// Bytes of a visual sample entry before its boxes (ISO/IEC 14496-12, section 12.1.3).
const VISUAL_FIELDS: usize = 78;
/// Bytes of an audio sample entry before its boxes (ISO/IEC 14496-12, section 12.2.3).
const AUDIO_FIELDS: usize = 28;

/// The decoder configuration of an entry.
pub(crate) fn codec_config(entry: &SampleEntry) -> Option<Bytes> {
    match &entry.fourcc {
        b"avc1" | b"avc2" | b"avc3" | b"avc4" => visual_box(entry, b"avcC"),
        b"hvc1" | b"hev1" => visual_box(entry, b"hvcC"),
        b"av01" => visual_box(entry, b"av1C"),
        b"mp4a" => audio_specific_config(&entry.body),
        b"ac-3" => audio_box(entry, b"dac3"),
        b"ec-3" => audio_box(entry, b"dec3"),
        b"Opus" => audio_box(entry, b"dOps"),
        b"fLaC" => audio_box(entry, b"dfLa").and_then(|body| Some(full(&body)?.2)),
        b"ipcm" | b"fpcm" => audio_box(entry, b"pcmC").and_then(|body| Some(full(&body)?.2)),
        _ => None,
    }
}

impl SampleEntry {
    /// Whether an entry of PCM (`ipcm`) says itself the bits of a sample that its configuration says.
    pub fn says_pcm_bits(&self) -> bool {
        let configured = codec_config(self).and_then(|config| array_at::<2>(&config, 0));
        configured.is_some_and(|[_, bits]| u16_at(&self.body, PCM_BITS_AT) == Some(bits.into()))
    }
}

/// Where an audio sample entry has the bits of a sample.
const PCM_BITS_AT: usize = 18;

fn visual_box(entry: &SampleEntry, kind: &[u8; 4]) -> Option<Bytes> {
    child(&entry.body.slice(VISUAL_FIELDS.min(entry.body.len())..), kind)
}

fn audio_box(entry: &SampleEntry, kind: &[u8; 4]) -> Option<Bytes> {
    child(&entry.body.slice(AUDIO_FIELDS.min(entry.body.len())..), kind)
}

fn audio_specific_config(body: &Bytes) -> Option<Bytes> {
    // QuickTime's versions 1 and 2 of the sound description add fields before the boxes.
    let added = match u16_at(body, 8)? {
        1 => 16,
        2 => 36,
        _ => 0,
    };
    let boxes = body.slice((AUDIO_FIELDS + added).min(body.len())..);
    let esds = child(&boxes, b"esds").or_else(|| child(&child(&boxes, b"wave")?, b"esds"))?;
    let (_, _, es) = full(&esds)?;
    let es = descriptor(&es, 3)?;
    let [flags] = array_at(&es, 2)?;
    let mut skip = 3;
    skip += if flags & 0x80 != 0 { 2 } else { 0 };
    if flags & 0x40 != 0 {
        skip += 1 + usize::from(array_at::<1>(&es, skip)?[0]);
    }
    skip += if flags & 0x20 != 0 { 2 } else { 0 };
    let config = descriptor(&es.slice(skip.min(es.len())..), 4)?;
    descriptor(&config.slice(13.min(config.len())..), 5)
}

/// The body of the descriptor that `bytes` begin with, if it has the tag (ISO/IEC 14496-1, section 8.3.3).
fn descriptor(bytes: &Bytes, tag: u8) -> Option<Bytes> {
    if bytes.first() != Some(&tag) {
        return None;
    }
    let mut size = 0usize;
    for (index, byte) in bytes.iter().enumerate().skip(1).take(4) {
        size = size << 7 | usize::from(byte & 0x7f);
        if byte & 0x80 == 0 {
            let start = index + 1;
            return (size <= bytes.len() - start).then(|| bytes.slice(start..start + size));
        }
    }
    None
}
