//! Encrypting the samples of a media segment.

use aes::Aes128;
use aes::cipher::{Array, BlockModeDecrypt, BlockModeEncrypt, KeyIvInit, StreamCipher};
use reel_cmaf::VideoConfig;
use reel_cmaf::clear::{HeaderError, Headers, Span};
use reel_cmaf::protect::{
    ProtectError, SampleEncryption, Scheme, Subsample, TrackEncryption, protected_segment, sample_encryption,
    sample_ranges,
};

use super::ContentKey;

/// Bytes of a block of AES.
const BLOCK: usize = 16;
/// Blocks of which the first is encrypted, in the pattern of video in `cbcs`.
const PATTERN_BLOCKS: usize = 10;

/// Why a segment cannot be encrypted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EncryptError {
    /// Its boxes are not ours.
    #[error(transparent)]
    Boxes(#[from] ProtectError),
    /// What stays clear of a sample is unknown.
    #[error("sample {sample} of the segment: {source}")]
    Header {
        /// Its number in the segment, from 0.
        sample: usize,
        /// Why.
        source: HeaderError,
    },
    /// A key other than the one that the track's header names.
    #[error("the key is not the one that the header of the track names")]
    OtherKey,
}

/// How the segments of one track are encrypted.
pub struct SegmentCipher<'a> {
    key: &'a ContentKey,
    scheme: Scheme,
    /// What the clear bytes of pictures depend on; sound is encrypted whole.
    headers: Option<Headers>,
}

impl<'a> SegmentCipher<'a> {
    /// For a track with sound.
    pub fn audio(key: &'a ContentKey, encryption: &TrackEncryption) -> Result<Self, EncryptError> {
        if key.id() != encryption.key_id {
            return Err(EncryptError::OtherKey);
        }
        Ok(SegmentCipher { key, scheme: encryption.scheme, headers: None })
    }

    /// For a track with pictures.
    pub fn video(
        key: &'a ContentKey,
        encryption: &TrackEncryption,
        config: VideoConfig<'_>,
    ) -> Result<Self, EncryptError> {
        let headers = Headers::new(config).map_err(|source| EncryptError::Header { sample: 0, source })?;
        Ok(SegmentCipher { headers: Some(headers), ..Self::audio(key, encryption)? })
    }

    /// Encrypts the samples of a segment, which begins where decoding can begin, where they are. Gives the boxes that stand
    /// before the first of them from now on, in the place of those that did. `vector` is that of the first sample in `cenc`; it
    /// counts up by one for each sample. `cbcs` has one for the track and does not ask for it.
    pub fn encrypt(&self, segment: &mut [u8], vector: [u8; 8]) -> Result<Vec<u8>, EncryptError> {
        let mut headers = self.headers.clone();
        let mut samples = Vec::new();
        let placed = sample_ranges(segment)?;
        let media = placed.first().ok_or(ProtectError::Segment)?.start;
        for (sample, range) in placed.into_iter().enumerate() {
            let data = &mut segment[range];
            let mut subsamples = Vec::new();
            if let Some(headers) = &mut headers {
                let spans = headers.spans(data).map_err(|source| EncryptError::Header { sample, source })?;
                subsamples = self.subsamples(&spans);
            }
            let vector = u64::from_be_bytes(vector).wrapping_add(sample as u64).to_be_bytes();
            let ranges = ranges(data, &subsamples);
            let iv = match self.scheme {
                Scheme::Cenc => {
                    count(self.key, ranges, vector);
                    Some(vector)
                }
                Scheme::Cbcs { iv, pattern } => {
                    let stride = if pattern { PATTERN_BLOCKS } else { 1 };
                    ranges.into_iter().for_each(|range| self.encrypt_chained(range, iv, stride));
                    None
                }
            };
            samples.push(SampleEncryption { iv, subsamples });
        }
        Ok(protected_segment(&segment[..media], &samples)?)
    }

    /// Spans as `senc` tells them. `cenc` protects a multiple of the block from the first coded byte on; clear bytes without
    /// protected ones behind them are told together with the next.
    fn subsamples(&self, spans: &[Span]) -> Vec<Subsample> {
        let mut found = Vec::new();
        let mut clear = 0;
        for span in spans {
            let left = if self.scheme == Scheme::Cenc { span.protected % BLOCK } else { 0 };
            let protected = span.protected - left;
            clear += span.clear;
            if protected > 0 {
                push(&mut found, clear, protected);
                clear = 0;
            }
            clear += left;
        }
        if clear > 0 {
            push(&mut found, clear, 0);
        }
        found
    }

    /// Every `stride`th block of a range is encrypted; an incomplete one stays clear (sections 9.6 and 10.4).
    fn encrypt_chained(&self, range: &mut [u8], iv: [u8; 16], stride: usize) {
        let mut cipher = cbc::Encryptor::<Aes128>::new(self.key.secret().into(), &iv.into());
        for stride in range.chunks_mut(stride * BLOCK) {
            if let Some(block) = stride.first_chunk_mut::<BLOCK>() {
                let block: &mut Array<u8, _> = block.into();
                cipher.encrypt_block(block);
            }
        }
    }
}

/// The samples of an encrypted segment, one behind the other, in clear: what its own boxes and those of the track's header say is
/// encrypted of them is decrypted.
///
/// # Errors
/// Boxes that are missing, or that contradict each other.
pub fn decrypted(
    segment: &[u8],
    encryption: &TrackEncryption,
    key: &ContentKey,
) -> Result<Vec<u8>, ProtectError> {
    let told = sample_encryption(segment, encryption)?;
    let mut clear = Vec::with_capacity(segment.len());
    for (range, told) in sample_ranges(segment)?.into_iter().zip(told) {
        let start = clear.len();
        clear.extend_from_slice(&segment[range]);
        let data = &mut clear[start..];
        let told_bytes: usize =
            told.subsamples.iter().map(|range| usize::from(range.clear) + range.protected as usize).sum();
        if !told.subsamples.is_empty() && told_bytes != data.len() {
            return Err(ProtectError::Segment);
        }
        match (encryption.scheme, told.iv) {
            (Scheme::Cenc, Some(vector)) => count(key, ranges(data, &told.subsamples), vector),
            (Scheme::Cbcs { iv, pattern }, None) => {
                let stride = if pattern { PATTERN_BLOCKS } else { 1 };
                for range in ranges(data, &told.subsamples) {
                    unchain(key, range, iv, stride);
                }
            }
            _ => return Err(ProtectError::Segment),
        }
    }
    Ok(clear)
}

fn unchain(key: &ContentKey, range: &mut [u8], iv: [u8; 16], stride: usize) {
    let mut cipher = cbc::Decryptor::<Aes128>::new(key.secret().into(), &iv.into());
    for stride in range.chunks_mut(stride * BLOCK) {
        if let Some(block) = stride.first_chunk_mut::<BLOCK>() {
            let block: &mut Array<u8, _> = block.into();
            cipher.decrypt_block(block);
        }
    }
}

/// All ranges of a sample are one stream (ISO/IEC 23001-7, section 9.3); to encrypt and to decrypt is the same.
fn count(key: &ContentKey, ranges: Vec<&mut [u8]>, vector: [u8; 8]) {
    let mut counter = [0; BLOCK];
    counter[..8].copy_from_slice(&vector);
    let mut cipher = ctr::Ctr64BE::<Aes128>::new(key.secret().into(), &counter.into());
    ranges.into_iter().for_each(|range| cipher.apply_keystream(range));
}

/// Adds a range; the clear bytes of one are counted in 16 bits.
fn push(found: &mut Vec<Subsample>, mut clear: usize, protected: usize) {
    while let Some(left) = clear.checked_sub(u16::MAX.into()).filter(|left| *left > 0) {
        found.push(Subsample { clear: u16::MAX, protected: 0 });
        clear = left;
    }
    found.push(Subsample { clear: clear as u16, protected: protected as u32 });
}

/// The encrypted ranges of a sample; all of it where none are told.
fn ranges<'a>(mut data: &'a mut [u8], subsamples: &[Subsample]) -> Vec<&'a mut [u8]> {
    if subsamples.is_empty() {
        return vec![data];
    }
    let mut found = Vec::new();
    for range in subsamples {
        let (_, rest) = data.split_at_mut(range.clear.into());
        let (protected, rest) = rest.split_at_mut(range.protected as usize);
        found.push(protected);
        data = rest;
    }
    found
}
