//! H.264 with start codes (ITU-T H.264, annex B), from samples with lengths (ISO/IEC 14496-15) and back.

use crate::TsError;

const START_CODE: [u8; 4] = [0, 0, 0, 1];
/// Access unit delimiter before pictures of any type (section 7.3.2.4).
const DELIMITER: [u8; 2] = [0x09, 0xf0];
/// Types of units.
const SEQUENCE_SET: u8 = 7;
const PICTURE_SET: u8 = 8;
const ACCESS_UNIT_DELIMITER: u8 = 9;

/// The parameter sets of a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParameterSets {
    sets: Vec<Vec<u8>>,
}

impl ParameterSets {
    /// Those of an AVCDecoderConfigurationRecord.
    pub fn new(avcc: &[u8]) -> Result<Self, TsError> {
        Self::parse(avcc).ok_or(TsError::VideoConfig)
    }

    fn parse(avcc: &[u8]) -> Option<Self> {
        let (head, mut rest) = avcc.split_at_checked(5)?;
        if head[0] != 1 || head[4] & 3 != 3 {
            return None;
        }
        let mut sets = Vec::new();
        for (mask, kind) in [(0x1f, SEQUENCE_SET), (0xff, PICTURE_SET)] {
            let (count, after) = rest.split_first()?;
            rest = after;
            for _ in 0..count & mask {
                let (length, after) = rest.split_first_chunk::<2>()?;
                let (set, after) = after.split_at_checked(u16::from_be_bytes(*length).into())?;
                if set.first()? & 0x1f != kind {
                    return None;
                }
                sets.push(set.to_vec());
                rest = after;
            }
        }
        (!sets.is_empty()).then_some(ParameterSets { sets })
    }

    /// Writes a sample as an access unit: a delimiter, the parameter sets where it is a random access point, and its units. Each start
    /// code is as long as the length that it stands for.
    pub(crate) fn write(&self, sample: &[u8], sync: bool, out: &mut Vec<u8>) -> Result<(), TsError> {
        let sets = self.sets.iter().filter(|_| sync).map(Vec::as_slice);
        for unit in std::iter::once(DELIMITER.as_slice()).chain(sets) {
            out.extend(START_CODE);
            out.extend(unit);
        }
        let mut rest = sample;
        while !rest.is_empty() {
            let (length, after) = rest.split_first_chunk::<4>().ok_or(TsError::Picture)?;
            let length = u32::from_be_bytes(*length) as usize;
            let (unit, after) = after.split_at_checked(length).ok_or(TsError::Picture)?;
            match unit.first().map(|first| first & 0x1f) {
                None | Some(SEQUENCE_SET | PICTURE_SET | ACCESS_UNIT_DELIMITER) => {
                    return Err(TsError::Picture);
                }
                Some(_) => {}
            }
            out.extend(START_CODE);
            out.extend(unit);
            rest = after;
        }
        Ok(())
    }
}

/// An access unit that was taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccessUnit {
    /// Its units as a sample, with lengths of four bytes; without delimiter and parameter sets.
    pub sample: Vec<u8>,
    /// The parameter sets in it, none where there are none.
    pub sets: Option<ParameterSets>,
}

impl AccessUnit {
    /// Undoes start codes. `None` for what does not begin with a delimiter, or has parameter sets or another delimiter behind the
    /// first other unit.
    pub fn read(bytes: &[u8]) -> Option<Self> {
        let mut units = units(bytes)?.into_iter().peekable();
        units.next().filter(|unit| *unit == DELIMITER)?;
        let is_set = |unit: &&[u8]| matches!(unit[0] & 0x1f, SEQUENCE_SET | PICTURE_SET);
        let sets: Vec<Vec<u8>> = std::iter::from_fn(|| units.next_if(is_set)).map(<[u8]>::to_vec).collect();
        let mut sample = Vec::with_capacity(bytes.len());
        for unit in units {
            if is_set(&unit) || unit[0] & 0x1f == ACCESS_UNIT_DELIMITER {
                return None;
            }
            sample.extend(u32::try_from(unit.len()).ok()?.to_be_bytes());
            sample.extend(unit);
        }
        Some(AccessUnit { sample, sets: (!sets.is_empty()).then_some(ParameterSets { sets }) })
    }
}

/// The units between start codes, of which none is empty. A unit does not end in a zero.
fn units(bytes: &[u8]) -> Option<Vec<&[u8]>> {
    let mut starts = Vec::new();
    let mut at = 0;
    while at + 3 <= bytes.len() {
        // Two steps of three are enough to find three bytes of which the last is one.
        match bytes[at + 2] {
            0 => at += 1,
            1 if bytes[at] == 0 && bytes[at + 1] == 0 => {
                starts.push(at);
                at += 3;
            }
            _ => at += 3,
        }
    }
    let first = *starts.first()?;
    if bytes[..first].iter().any(|byte| *byte != 0) {
        return None;
    }
    let ends = starts.iter().skip(1).copied().chain([bytes.len()]);
    let units = starts.iter().zip(ends).map(|(start, end)| {
        let unit = &bytes[start + 3..end];
        let zeros = unit.iter().rev().take_while(|byte| **byte == 0).count();
        Some(&unit[..unit.len() - zeros]).filter(|unit| !unit.is_empty())
    });
    units.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A configuration with one set of each kind.
    pub(crate) fn avcc() -> Vec<u8> {
        vec![1, 0x42, 0xc0, 0x1e, 0xff, 0xe1, 0, 3, 0x67, 0x42, 1, 1, 0, 2, 0x68, 0xce]
    }

    #[test]
    fn start_codes_are_undone() {
        let sets = ParameterSets::new(&avcc()).unwrap();
        // Units that hold what looks most like a start code, and end in an emulation prevention byte.
        let sample = [0, 0, 0, 6, 0x65, 0, 0, 3, 1, 1, 0, 0, 0, 5, 0x41, 1, 0, 0, 3];
        for sync in [true, false] {
            let mut bytes = Vec::new();
            sets.write(&sample, sync, &mut bytes).unwrap();
            let read = AccessUnit::read(&bytes).unwrap();
            assert_eq!((read.sample.as_slice(), read.sets), (&sample[..], sync.then(|| sets.clone())));
        }
    }

    #[test]
    fn what_is_no_run_of_units_is_refused() {
        let sets = ParameterSets::new(&avcc()).unwrap();
        for wrong in [&[0, 0, 0, 2, 0x65][..], &[0, 0, 0, 0], &[0, 0, 1], &[0, 0, 0, 2, 0x67, 1]] {
            assert_eq!(sets.write(wrong, false, &mut Vec::new()), Err(TsError::Picture), "{wrong:?}");
        }
        for length in 0..avcc().len() {
            assert_eq!(ParameterSets::new(&avcc()[..length]), Err(TsError::VideoConfig), "{length}");
        }
        let mut short = avcc();
        short[4] = 0xfd;
        assert_eq!(ParameterSets::new(&short), Err(TsError::VideoConfig));
        for wrong in [&[0, 0, 1, 0x65][..], b"", &[0, 0, 1, 9, 0xf0, 0, 0, 1], &[7, 0, 0, 1, 9, 0xf0]] {
            assert_eq!(AccessUnit::read(wrong), None, "{wrong:?}");
        }
    }
}
