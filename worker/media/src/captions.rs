//! Captions that lie in pictures: kept part by part as they are decoded, and put together for the title.

use ff::frame::side_data::Type;
use ffmpeg_next as ff;
use reel_profiles::Profile;
use reel_proto::v1;
use reel_text::{Captioned, Sieve};

use crate::times::TitleTimes;
use crate::{MediaError, edit};

/// A triplet of `cc_data()` (CTA-708-E, section 4.4).
pub(crate) type Triplet = [u8; 3];

/// Most triplets of a picture: the captions of DVDs come with the first picture of half a second, and no others are as many.
const MAX_OF_PICTURE: usize = 128;
/// Most bytes of a part: what television has room for in 100 s, and little enough that the record of a part with all
/// renditions can be sent.
const MAX_OF_PART: usize = 192 << 10;

/// Whether pictures of a codec, by libav's name, can carry captions.
pub fn can_carry_captions(codec: &str) -> bool {
    ["h264", "hevc", "mpeg2video", "av1"].contains(&codec)
}

/// The captions of a picture as they were decoded with it.
pub(crate) fn of_picture(picture: &ff::frame::Video) -> Option<Vec<Triplet>> {
    let data = picture.side_data(Type::A53CC)?;
    Some(data.data().as_chunks().0.iter().take(MAX_OF_PICTURE).copied().collect())
}

/// Collects the captions of the frames of a part, in order.
#[derive(Default)]
pub(crate) struct PartCaptions {
    sieve: Sieve,
    last_frame: u64,
    kept: v1::PictureCaptions,
}

impl PartCaptions {
    /// Adds those of a frame.
    pub(crate) fn add(&mut self, frame: u64, triplets: &[Triplet]) {
        let room = MAX_OF_PART.saturating_sub(self.kept.data.len()) / 3;
        let mut kept = self.sieve.sift(triplets);
        self.kept.left_out += kept.len().saturating_sub(room) as u64;
        kept.truncate(room);
        if !kept.is_empty() {
            self.kept.frame_deltas.push(frame - std::mem::replace(&mut self.last_frame, frame));
            self.kept.triplets.push(kept.len() as u32);
            self.kept.data.extend(kept.as_flattened());
        }
    }

    /// What the record of the part says of them.
    pub(crate) fn record(&self) -> v1::PictureCaptions {
        self.kept.clone()
    }
}

/// The captions of a title.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TitleCaptions {
    /// Time in milliseconds, and triplets.
    pictures: Vec<(u64, Vec<Triplet>)>,
    /// Where each run of one source ends, in milliseconds; the last with the title.
    ends_ms: Vec<u64>,
    /// Triplets that there was no room for.
    pub left_out: u64,
}

impl TitleCaptions {
    /// Puts together what the parts of a title say; `None` where one of them says nothing of it.
    ///
    /// # Errors
    /// Where a record cannot be read.
    pub fn of(
        parts: &[v1::PartRecord],
        index: &v1::Index,
        profile: &Profile,
    ) -> Result<Option<Self>, MediaError> {
        // All renditions are made of the same pictures.
        let first = |part: &v1::PartRecord| part.renditions.first()?.captions.clone();
        let records: Option<Vec<v1::PictureCaptions>> = parts.iter().map(first).collect();
        let Some(records) = records.filter(|records| !records.is_empty()) else { return Ok(None) };
        let times = TitleTimes::new(index, &profile.picture)?;
        let pieces = edit::pieces(index, profile)?;
        let ends_ms = pieces.iter().map(|piece| times.sample_at(piece.end(), 1000)).collect();
        let mut all = TitleCaptions { ends_ms, ..TitleCaptions::default() };
        for (part, captions) in (0u32..).zip(&records) {
            let pictures = unfold(captions, &times);
            let malformed =
                || MediaError::failed(format!("the captions in the record of part {part} are malformed"));
            all.pictures.extend(pictures.ok_or_else(malformed)?);
            all.left_out += captions.left_out;
        }
        Ok(Some(all))
    }

    /// The runs of one source that the title is made of: when each ends, in milliseconds, and what its pictures carry. What one
    /// leaves on the screen is not shown in the next.
    pub fn runs(&self) -> impl Iterator<Item = (u64, impl Iterator<Item = Captioned<'_>> + Clone)> {
        let mut begin = 0;
        self.ends_ms.iter().map(move |end| {
            let own = std::mem::replace(&mut begin, *end)..*end;
            (*end, self.pictures().filter(move |(time_ms, _)| own.contains(time_ms)))
        })
    }

    /// Those of each picture that has some, in order.
    pub fn pictures(&self) -> impl Iterator<Item = Captioned<'_>> + Clone {
        self.pictures.iter().map(|(time_ms, triplets)| (*time_ms, triplets.as_slice()))
    }
}

fn unfold(captions: &v1::PictureCaptions, times: &TitleTimes) -> Option<Vec<(u64, Vec<Triplet>)>> {
    let (mut data, rest) = captions.data.as_chunks();
    if captions.frame_deltas.len() != captions.triplets.len() || !rest.is_empty() {
        return None;
    }
    let mut frame = 0u64;
    let counts = captions.frame_deltas.iter().zip(&captions.triplets);
    let pictures = counts.map(|(delta, count)| {
        frame = frame.checked_add(*delta).filter(|frame| *frame < times.frames())?;
        let own;
        (own, data) = data.split_at_checked(*count as usize)?;
        // A sample of a track of that rate is a millisecond.
        Some((times.sample_at(frame, 1000), own.to_vec()))
    });
    let pictures = pictures.collect::<Option<_>>()?;
    data.is_empty().then_some(pictures)
}

#[cfg(test)]
mod tests {
    use reel_common::Rational;

    use super::*;
    use crate::timeline::tests::timeline;

    #[test]
    fn what_is_collected_comes_back_at_the_times_of_its_frames() {
        let frames: Vec<i64> = (0..12).collect();
        let packet = |pts| crate::timeline::Packet { position: pts * 10, size: 10, pts, dts: pts };
        let packets: Vec<_> = frames.iter().map(|pts| packet(*pts)).collect();
        let timeline = timeline(&frames, &packets, &[0], Some(Rational::whole(24)));
        let mut part = PartCaptions::default();
        let (pair, none, digital) = ([0xfc, 0x94, 0x20], [0xfc, 0x80, 0x80], [0xff, 0x02, 0x21]);
        part.add(3, &[none, [0xfa, 0, 0]]);
        part.add(4, &[none, none]);
        part.add(6, &[pair, digital]);
        part.add(7, &[none]);
        part.add(8, &[none]);
        let record = part.record();
        // The first pair without data may follow a control code of the part before.
        let expected = [(125, vec![none]), (250, vec![pair, digital]), (292, vec![none])];
        assert_eq!(unfold(&record, timeline.times()), Some(expected.to_vec()));
        let broken = |change: fn(&mut v1::PictureCaptions)| {
            let mut record = record.clone();
            change(&mut record);
            unfold(&record, timeline.times())
        };
        assert_eq!(broken(|record| record.triplets[0] = 9), None);
        assert_eq!(broken(|record| record.triplets[0] = 0), None);
        assert_eq!(broken(|record| record.frame_deltas[1] = u64::MAX), None);
        assert_eq!(broken(|record| record.frame_deltas.truncate(1)), None);
        assert_eq!(broken(|record| record.data.push(0)), None);
    }

    #[test]
    fn a_part_keeps_as_many_as_its_record_has_room_for() {
        let mut part = PartCaptions::default();
        for frame in 0..1000 {
            part.add(frame, &[[0xfe, 1, 2]; MAX_OF_PICTURE]);
        }
        let record = part.record();
        assert_eq!(record.data.len(), MAX_OF_PART);
        assert_eq!(record.left_out as usize, 1000 * MAX_OF_PICTURE - MAX_OF_PART / 3);
    }
}
