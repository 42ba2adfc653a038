//! What the container, or else the first picture, says of the title's pictures: static metadata of HDR10, fields, and
//! whether they carry captions.

use ff::frame::side_data::Type as OfFrame;
use ff::packet::side_data::Type as OfStream;
use ffmpeg_next as ff;
use reel_common::{FailureClass, Hdr10, LightLevel, Mastering, Scan};
use reel_profiles::{DamageRule, Picture};
use reel_proto::v1;
use reel_store::Source;

use crate::MediaError;
use crate::decode::{PictureReader, Speed};
use crate::timeline::Timeline;
use crate::{captions, facts};

/// TransferCharacteristics of PQ (ITU-T H.273, table 3), which these metadata belong to.
const PQ: u8 = 16;
/// Steps of chromaticity to 1, and of luminance to 1 cd/m2.
const CHROMATICITY: f64 = 50_000.0;
const LUMINANCE: f64 = 10_000.0;

/// What the container says of HDR10.
pub(super) fn hdr10_of_stream(stream: &ff::Stream) -> Hdr10 {
    let mut found = Hdr10::default();
    for data in stream.side_data() {
        match data.kind() {
            OfStream::MasteringDisplayMetadata => found.mastering = mastering(data.data()),
            OfStream::ContentLightLevel => found.light_level = light_level(data.data()),
            _ => {}
        }
    }
    found
}

/// Adds what the first picture says where the container says less: HDR10's metadata in a title of PQ, the order of its
/// fields in a container that was read through anyway, and whether it carries captions. A picture that does not decode says nothing here: the encode will
/// tell.
pub(super) fn complete(source: &Source, index: &mut v1::Index) -> Result<(), MediaError> {
    let known = facts::video(index)?;
    let Hdr10 { mastering: told, light_level: level } = known.hdr10;
    let lacks_hdr10 = known.colour.transfer == PQ && (told.is_none() || level.is_none());
    let lacks_scan = known.scan == Scan::Progressive && !index.addressable;
    let lacks_captions = captions::can_carry_captions(&known.codec);
    if !lacks_hdr10 && !lacks_scan && !lacks_captions {
        return Ok(());
    }
    let timeline = Timeline::new(index, &Picture::default())?;
    let mut reader = PictureReader::new(source, index, &timeline, (0, 1), DamageRule::Refuse, Speed::Exact)?;
    let first = match reader.next() {
        Ok(Some(first)) => first,
        Ok(None) => return Ok(()),
        Err(error) if error.class == FailureClass::Invalid => return Ok(()),
        Err(error) => return Err(error),
    };
    let data = |kind| first.picture.side_data(kind);
    let found = Hdr10 {
        mastering: told.or_else(|| mastering(data(OfFrame::MasteringDisplayMetadata)?.data())),
        light_level: level.or_else(|| light_level(data(OfFrame::ContentLightLevel)?.data())),
    };
    let scan = match (first.picture.is_interlaced(), first.picture.is_top_first()) {
        (false, _) => known.scan,
        (true, true) => Scan::TopFieldFirst,
        (true, false) => Scan::BottomFieldFirst,
    };
    let hdr10 = if lacks_hdr10 { found } else { known.hdr10 };
    let scan = if lacks_scan { scan } else { known.scan };
    let captions = captions::of_picture(&first.picture).is_some();
    if let Some(video) = &mut index.video {
        video.facts = Some(reel_common::VideoFacts { hdr10, scan, captions, ..known }.into());
    }
    Ok(())
}

/// libav's `AVMasteringDisplayMetadata`: fractions for x and y of red, green, blue and white, for the smallest and the
/// largest luminance, and whether there are chromaticities and luminances.
fn mastering(bytes: &[u8]) -> Option<Mastering> {
    let numbers = numbers(bytes);
    let (fractions, [true, true]) = (numbers.get(..20)?, [*numbers.get(20)? != 0, *numbers.get(21)? != 0])
    else {
        return None;
    };
    let steps = |at: usize, steps: f64| -> Option<f64> {
        let value = f64::from(fractions[2 * at]) * steps / f64::from(fractions[2 * at + 1]);
        (value.is_finite() && value >= 0.0).then(|| value.round())
    };
    let chromaticity = |at| {
        let coordinate = |at| steps(at, CHROMATICITY).filter(|value| *value <= CHROMATICITY);
        Some([coordinate(at)? as u16, coordinate(at + 1)? as u16])
    };
    let luminance = |at| steps(at, LUMINANCE).filter(|value| *value <= f64::from(u32::MAX)).map(|v| v as u32);
    Some(Mastering {
        red: chromaticity(0)?,
        green: chromaticity(2)?,
        blue: chromaticity(4)?,
        white: chromaticity(6)?,
        min_luminance: luminance(8)?,
        max_luminance: luminance(9)?,
    })
}

/// libav's `AVContentLightMetadata`.
fn light_level(bytes: &[u8]) -> Option<LightLevel> {
    let numbers = numbers(bytes);
    let narrow = |at: usize| u16::try_from(*numbers.get(at)?).ok();
    Some(LightLevel { max_content: narrow(0)?, max_frame_average: narrow(1)? })
}

/// The C integers of a structure.
fn numbers(bytes: &[u8]) -> Vec<i32> {
    bytes.chunks_exact(4).map(|four| i32::from_ne_bytes([four[0], four[1], four[2], four[3]])).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(numbers: &[i32]) -> Vec<u8> {
        numbers.iter().flat_map(|number| number.to_ne_bytes()).collect()
    }

    #[test]
    fn metadata_are_read_in_steps_whatever_their_fractions() {
        let coordinates =
            [34_000, 50_000, 8, 25, 13_250, 50_000, 69, 100, 3, 20, 3, 50, 15_635, 50_000, 329, 1000];
        let whole: Vec<i32> = coordinates.into_iter().chain([5, 1000, 1000, 1, 1, 1]).collect();
        let read = mastering(&bytes(&whole)).unwrap();
        assert_eq!((read.red, read.green), ([34_000, 16_000], [13_250, 34_500]));
        assert_eq!((read.blue, read.white), ([7_500, 3_000], [15_635, 16_450]));
        assert_eq!((read.min_luminance, read.max_luminance), (50, 10_000_000));
        let no_luminance: Vec<i32> = whole[..21].iter().copied().chain([0]).collect();
        assert_eq!(mastering(&bytes(&no_luminance)), None);
        let divided_by_zero: Vec<i32> = [1, 0].into_iter().chain(whole[2..].iter().copied()).collect();
        assert_eq!(mastering(&bytes(&divided_by_zero)), None);
        assert_eq!(mastering(&[1, 2, 3]), None);
        let level = LightLevel { max_content: 1000, max_frame_average: 400 };
        assert_eq!(light_level(&bytes(&[1000, 400])), Some(level));
        assert_eq!(light_level(&bytes(&[-1, 400])), None);
    }
}
