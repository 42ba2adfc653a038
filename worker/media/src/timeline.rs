//! The index, unfolded: when each frame is shown, and which packets it takes to decode a run of frames.

use std::ops::Range;

use reel_common::{Rational, Rounding, Scan, rescale};
use reel_profiles::Picture;
use reel_proto::v1;

use crate::encoder::REORDER_FRAMES;
use crate::{MediaError, deinterlace};

/// Ticks per second of a title with a variable frame rate, where the source's own do not fit.
const VARIABLE_TIMESCALE: i64 = 90_000;
/// Title timescales lie between these bounds, so that neither rounding nor a 32-bit duration is a concern.
const MIN_TIMESCALE: i64 = 1000;
const MAX_TIMESCALE: i64 = 10_000_000;

/// One packet of the video stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Packet {
    pub(crate) position: i64,
    pub(crate) size: u64,
    pub(crate) pts: i64,
    pub(crate) dts: i64,
}

/// Packets `[first, end)` in decode order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PacketRange {
    pub(crate) first: usize,
    pub(crate) end: usize,
}

/// The packets and pictures of a mezzanine's video stream, and the frames of the title that is made of them. Frame n shows
/// picture n unless the rate is conformed.
pub struct Timeline {
    /// PTS of each presented picture in ticks of `time_base`, ascending.
    pictures: Vec<i64>,
    end_pts: i64,
    time_base: Rational,
    /// Frames of the title per second.
    rate: Option<Rational>,
    /// The picture that each frame shows, where the rate is conformed.
    conformed: Option<Vec<u64>>,
    /// Pictures before and after those that frames show which their filter looks at.
    context: u64,
    packets: Vec<Packet>,
    random_access: Vec<usize>,
    /// `needed[n]`: the largest packet number among the packets of pictures 0..=n.
    needed: Vec<usize>,
    composition_delay: i64,
}

impl Timeline {
    /// Unfolds an index, for a title whose pictures follow `rules`.
    pub fn new(index: &v1::Index, rules: &Picture) -> Result<Self, MediaError> {
        let damaged =
            || MediaError::failed("the index artifact is malformed: remove it from the store and run again");
        let video = index.video.as_ref().ok_or_else(damaged)?;
        let folded = video.packets.as_ref().ok_or_else(damaged)?;
        let time_base = Rational::try_from(video.time_base.ok_or_else(damaged)?).map_err(|_| damaged())?;
        let rate = video.constant_rate.map(Rational::try_from).transpose().map_err(|_| damaged())?;
        let packets = unfold_packets(folded).ok_or_else(damaged)?;
        let random_access: Vec<usize> = sums(folded.random_access_deltas.iter().map(|delta| *delta as i64))
            .map(|packet| packet as usize)
            .collect();
        let pictures = unfold_runs(video.first_pts, &video.pts).ok_or_else(damaged)?;
        let needed = needed_packets(&pictures, &packets).ok_or_else(damaged)?;
        if random_access.iter().any(|packet| *packet >= packets.len()) {
            return Err(damaged());
        }
        let end_pts = pictures[pictures.len() - 1].saturating_add_unsigned(video.last_duration);
        let scan = video.facts.as_ref().map_or(Scan::Progressive, Scan::from);
        let timeline = Timeline {
            pictures,
            end_pts,
            time_base,
            rate,
            conformed: None,
            context: if rules.deinterlaces(scan) { deinterlace::CONTEXT } else { 0 },
            packets,
            random_access,
            needed,
            composition_delay: 0,
        };
        let timeline = match rules.frame_rate.filter(|wanted| rate != Some(*wanted)) {
            Some(wanted) => timeline.conform(wanted)?,
            None => timeline,
        };
        Ok(Timeline { composition_delay: timeline.longest_reorder(), ..timeline })
    }

    /// Shows the pictures at a constant rate. A picture belongs to the frame that is nearest to its time; each frame shows
    /// the last picture that belongs to it or to a frame before it. This follows from the whole title's times alone, so
    /// that no part can show a picture twice or leave one out where another part would not.
    fn conform(self, rate: Rational) -> Result<Self, MediaError> {
        let too_many = || MediaError::invalid(format!("the title is too long for {rate} frames a second"));
        let frame = rate.recip().ok_or_else(too_many)?;
        let first = self.pictures[0];
        let nearest = |pts: i64| rescale(pts - first, self.time_base, frame, Rounding::Nearest);
        // The end is no earlier than the mezzanine's, but for what its container rounds.
        let rounded = self.end_pts
            - (Rational::from_millis(2).checked_div(self.time_base)).map_or(1, |ticks| ticks.round().max(1));
        let frames =
            rescale(rounded - first, self.time_base, frame, Rounding::Ceil).max(nearest(self.end_pts)).max(1);
        if frames as u64 > MAX_FRAMES {
            return Err(too_many());
        }
        let mut shown = Vec::with_capacity(frames as usize);
        let mut next = 1;
        for frame in 0..frames {
            while self.pictures.get(next).is_some_and(|pts| nearest(*pts) <= frame) {
                next += 1;
            }
            shown.push(next as u64 - 1);
        }
        Ok(Timeline { rate: Some(rate), conformed: Some(shown), ..self })
    }

    /// How many frames the title has.
    pub fn frames(&self) -> u64 {
        self.conformed.as_ref().map_or(self.pictures(), |shown| shown.len() as u64)
    }

    /// How many pictures the mezzanine presents.
    pub(crate) fn pictures(&self) -> u64 {
        self.pictures.len() as u64
    }

    /// The picture that a frame shows.
    pub(crate) fn picture_of(&self, frame: u64) -> u64 {
        self.conformed.as_ref().map_or(frame, |shown| shown[frame as usize])
    }

    /// The pictures that belong to a frame: the one that it shows, and those before it that no frame shows.
    pub(crate) fn pictures_at(&self, frame: u64) -> Range<u64> {
        let first = frame.checked_sub(1).map_or(0, |before| self.picture_of(before) + 1);
        first..self.picture_of(frame) + 1
    }

    /// The pictures `[first, last)` that frames `[start, end)` are made of.
    pub(crate) fn pictures_for(&self, start: u64, end: u64) -> (u64, u64) {
        let first = self.picture_of(start).saturating_sub(self.context);
        (first, (self.picture_of(end - 1) + 1 + self.context).min(self.pictures()))
    }

    /// Frames per second, where it is constant.
    pub fn constant_rate(&self) -> Option<Rational> {
        self.rate
    }

    /// Frames per second over the whole title; where it varies, in thousandths.
    pub fn average_rate(&self) -> Rational {
        let ticks = Rational::whole((self.end_pts - self.pictures[0]).max(1));
        let frames = Rational::whole(self.pictures.len() as i64);
        let seconds = ticks.checked_mul(self.time_base);
        let thousandths = |rate: Rational| Some(rate.checked_mul(Rational::whole(1000))?.round().max(1));
        let average = || Some(Rational::from_millis(thousandths(frames.checked_div(seconds?)?)?));
        self.rate.or_else(average).unwrap_or(Rational::whole(25))
    }

    /// From the first frame to the end of the last, in seconds.
    pub fn duration(&self) -> Rational {
        let timescale = Rational::whole(i64::from(self.timescale()));
        Rational::whole(self.title_ticks(self.frames())).checked_div(timescale).unwrap_or(Rational::ZERO)
    }

    /// Ticks per second of the title's own timeline.
    ///
    /// With a constant rate n/d a frame lasts a whole number of ticks: the timescale is n, times 1000 where n is
    /// below 1000. With a variable rate it is that of the source, or 90,000.
    pub fn timescale(&self) -> u32 {
        let ticks = match self.rate {
            Some(rate) => rate.num() * rate_factor(rate),
            None if self.time_base.num() == 1
                && (MIN_TIMESCALE..=MAX_TIMESCALE).contains(&self.time_base.den()) =>
            {
                self.time_base.den()
            }
            None => VARIABLE_TIMESCALE,
        };
        u32::try_from(ticks).unwrap_or(VARIABLE_TIMESCALE as u32)
    }

    /// When frame `frame` is shown on the title's timeline, in ticks of [`Timeline::timescale`]; the end of the
    /// title for the number after the last.
    pub fn title_ticks(&self, frame: u64) -> i64 {
        if let Some(rate) = self.rate {
            return frame as i64 * rate.den() * rate_factor(rate);
        }
        let pts = self.pictures.get(frame as usize).copied().unwrap_or(self.end_pts);
        let tick = Rational::new(1, i64::from(self.timescale())).unwrap_or(Rational::whole(1));
        rescale(pts - self.pictures[0], self.time_base, tick, Rounding::Nearest)
    }

    /// When frame `frame` is shown, in samples of sound at `rate` a second.
    pub(crate) fn sample_at(&self, frame: u64, rate: u32) -> u64 {
        self.samples(self.title_ticks(frame), rate)
    }

    /// So many ticks in samples of sound at `rate` a second.
    pub(crate) fn samples(&self, ticks: i64, rate: u32) -> u64 {
        let seconds = Rational::whole(ticks).checked_div(Rational::whole(self.timescale().into()));
        let samples = seconds.and_then(|seconds| seconds.checked_mul(Rational::whole(rate.into())));
        samples.map_or(0, Rational::round).max(0) as u64
    }

    /// By how much composition times of all renditions are later than their place on the title's timeline, in
    /// ticks: the longest time that the reordering of frames takes anywhere, so that no frame is shown before it is
    /// decoded. It is the same for the whole ladder, and sound follows it: who ignores edit lists still hears and
    /// sees in step, and sees no jump when the rendition changes.
    pub(crate) fn composition_delay(&self) -> i64 {
        self.composition_delay
    }

    fn longest_reorder(&self) -> i64 {
        let distance = |frame| self.title_ticks(frame + REORDER_FRAMES) - self.title_ticks(frame);
        match self.rate {
            Some(_) => distance(0),
            None => (0..self.frames().saturating_sub(REORDER_FRAMES)).map(distance).max().unwrap_or(0),
        }
    }

    /// The number of the picture that is shown at `pts`, in ticks of the source.
    pub(crate) fn picture_at(&self, pts: i64) -> Option<u64> {
        self.pictures.binary_search(&pts).ok().map(|picture| picture as u64)
    }

    /// The packets that frames `[start, end)` are made of.
    pub(crate) fn packets_for(&self, start: u64, end: u64) -> PacketRange {
        let (first, last) = self.pictures_for(start, end);
        self.packets_of(first, last)
    }

    /// The packets that decode pictures `[start, end)`: from the last random access point at or before `start` to the
    /// last packet that one of the pictures consists of.
    pub(crate) fn packets_of(&self, start: u64, end: u64) -> PacketRange {
        let pts = self.pictures[start as usize];
        // Random access points ascend in decode order, and each restarts presentation, so the last one that is not
        // past `start` is the nearest.
        let mut points = self.random_access.iter().rev().copied();
        let first = points.find(|packet| self.packets[*packet].pts <= pts).unwrap_or(0);
        PacketRange { first, end: self.needed[end as usize - 1] + 1 }
    }

    /// The first picture that comes right when `picture` is decoded from the random access point before it.
    pub(crate) fn decodable_before(&self, picture: u64) -> u64 {
        let access = self.packets[self.packets_of(picture, picture + 1).first].pts;
        self.pictures.partition_point(|pts| *pts < access) as u64
    }

    /// All packets, in decode order.
    pub(crate) fn packets(&self) -> &[Packet] {
        &self.packets
    }

    /// The random access point at or before packet `packet`.
    pub(crate) fn random_access_before(&self, packet: usize) -> usize {
        let next = self.random_access.partition_point(|access| *access <= packet);
        next.checked_sub(1).map_or(0, |at| self.random_access[at])
    }

    /// Seconds from the start of the title at which frame `frame` is shown, for messages.
    pub(crate) fn seconds(&self, frame: u64) -> f64 {
        self.title_ticks(frame) as f64 / f64::from(self.timescale())
    }

    /// Seconds from the start of the title at which the mezzanine shows a picture, for messages.
    pub(crate) fn picture_seconds(&self, picture: u64) -> f64 {
        (self.pictures[picture as usize] - self.pictures[0]) as f64 * self.time_base.to_f64()
    }
}

fn rate_factor(rate: Rational) -> i64 {
    if rate.num() < MIN_TIMESCALE { 1000 } else { 1 }
}

fn sums(deltas: impl Iterator<Item = i64>) -> impl Iterator<Item = i64> {
    deltas.scan(0i64, |sum, delta| {
        *sum = sum.wrapping_add(delta);
        Some(*sum)
    })
}

fn unfold_packets(folded: &v1::Packets) -> Option<Vec<Packet>> {
    let count = folded.sizes.len();
    let lengths = [folded.position_deltas.len(), folded.pts_deltas.len(), folded.dts_deltas.len()];
    if count == 0 || lengths.iter().any(|length| *length != count) {
        return None;
    }
    let positions = sums(folded.position_deltas.iter().copied());
    let pts = sums(folded.pts_deltas.iter().copied());
    let dts = sums(folded.dts_deltas.iter().copied());
    let times = pts.zip(dts).zip(positions).zip(&folded.sizes);
    Some(times.map(|(((pts, dts), position), size)| Packet { position, size: *size, pts, dts }).collect())
}

/// More frames than this in an index are a lie: a day at 300 frames per second.
const MAX_FRAMES: u64 = 86_400 * 300;

fn unfold_runs(first: i64, runs: &[v1::Run]) -> Option<Vec<i64>> {
    let count =
        runs.iter().try_fold(1u64, |sum, run| sum.checked_add(run.count)).filter(|n| *n <= MAX_FRAMES)?;
    let mut frames = Vec::with_capacity(count as usize);
    frames.push(first);
    let mut last = first;
    for run in runs {
        for _ in 0..run.count {
            last = last.checked_add(run.delta).filter(|next| *next > last)?;
            frames.push(last);
        }
    }
    Some(frames)
}

/// For each frame the largest number of a packet among it and the frames before it.
fn needed_packets(frames: &[i64], packets: &[Packet]) -> Option<Vec<usize>> {
    let mut needed = vec![usize::MAX; frames.len()];
    for (number, packet) in packets.iter().enumerate() {
        if let Ok(frame) = frames.binary_search(&packet.pts) {
            needed[frame] = number;
        }
    }
    let mut largest = 0;
    for packet in &mut needed {
        if *packet == usize::MAX {
            return None;
        }
        largest = largest.max(*packet);
        *packet = largest;
    }
    Some(needed)
}

/// Folds ascending times into runs of equal differences.
pub(crate) fn fold_runs(frames: &[i64]) -> Vec<v1::Run> {
    let mut runs: Vec<v1::Run> = Vec::new();
    for pair in frames.windows(2) {
        let delta = pair[1] - pair[0];
        match runs.last_mut() {
            Some(run) if run.delta == delta => run.count += 1,
            _ => runs.push(v1::Run { delta, count: 1 }),
        }
    }
    runs
}

/// Folds packets into differences.
pub(crate) fn fold_packets(packets: &[Packet], random_access: &[usize]) -> v1::Packets {
    fn deltas(values: impl Iterator<Item = i64>) -> Vec<i64> {
        let mut last = 0i64;
        values.map(|value| value.wrapping_sub(std::mem::replace(&mut last, value))).collect()
    }
    v1::Packets {
        position_deltas: deltas(packets.iter().map(|packet| packet.position)),
        sizes: packets.iter().map(|packet| packet.size).collect(),
        pts_deltas: deltas(packets.iter().map(|packet| packet.pts)),
        dts_deltas: deltas(packets.iter().map(|packet| packet.dts)),
        random_access_deltas: deltas(random_access.iter().map(|packet| *packet as i64))
            .into_iter()
            .map(|delta| delta as u64)
            .collect(),
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// Packets `I P B B` over and over with an open GOP every `gop` packets: times in frame numbers.
    fn open_gops(gops: i64) -> (Vec<i64>, Vec<Packet>, Vec<usize>) {
        let mut packets = Vec::new();
        let mut access = Vec::new();
        for gop in 0..gops {
            let base = gop * 6;
            access.push(packets.len());
            // The I picture is followed by two B pictures that are shown before it, except in the first GOP.
            let order: &[i64] = if gop == 0 { &[0, 3, 1, 2] } else { &[0, -2, -1, 3, 1, 2] };
            for offset in order {
                let dts = packets.len() as i64;
                packets.push(Packet { position: dts * 10, size: 10, pts: base + offset, dts });
            }
        }
        let mut frames: Vec<i64> = packets.iter().map(|packet| packet.pts).collect();
        frames.sort_unstable();
        (frames, packets, access)
    }

    pub(crate) fn timeline(
        frames: &[i64],
        packets: &[Packet],
        access: &[usize],
        rate: Option<Rational>,
    ) -> Timeline {
        let index = v1::Index {
            video: Some(v1::VideoStream {
                time_base: Some(v1::Rational { num: 1, den: 24 }),
                first_pts: frames[0],
                pts: fold_runs(frames),
                last_duration: 1,
                packets: Some(fold_packets(packets, access)),
                constant_rate: rate.map(Into::into),
                ..Default::default()
            }),
            ..Default::default()
        };
        Timeline::new(&index, &Picture::default()).unwrap()
    }

    #[test]
    fn leading_pictures_are_decoded_from_the_gop_before() {
        let (frames, packets, access) = open_gops(3);
        let timeline = timeline(&frames, &packets, &access, Some(Rational::whole(24)));
        // Frame 12 is the I picture of the third GOP; frames 10 and 11 lead it and need the second GOP.
        assert_eq!(timeline.packets_for(12, 13), PacketRange { first: 10, end: 13 });
        assert_eq!(timeline.packets_for(10, 13), PacketRange { first: 4, end: 13 });
        assert_eq!(timeline.packets_for(0, 1), PacketRange { first: 0, end: 1 });
        assert_eq!(timeline.packets_for(0, 2).end, 3);
    }

    #[test]
    fn an_index_survives_folding() {
        let (frames, packets, access) = open_gops(5);
        let timeline = timeline(&frames, &packets, &access, None);
        assert_eq!(timeline.packets, packets);
        assert_eq!(timeline.random_access, access);
        assert_eq!(timeline.pictures, frames);
    }

    #[test]
    fn frames_of_a_constant_rate_last_whole_ticks() {
        let (frames, packets, access) = open_gops(2);
        let ntsc = Rational::new(24_000, 1001).unwrap();
        let at = timeline(&frames, &packets, &access, Some(ntsc));
        assert_eq!((at.timescale(), at.title_ticks(0), at.title_ticks(7)), (24_000, 0, 7007));
        let film = timeline(&frames, &packets, &access, Some(Rational::whole(24)));
        assert_eq!((film.timescale(), film.title_ticks(7)), (24_000, 7000));
    }

    #[test]
    fn a_conformed_title_shows_the_picture_that_is_nearest() {
        let (frames, packets, access) = open_gops(4);
        let conformed = |rate| timeline(&frames, &packets, &access, None).conform(rate).unwrap();
        let shown = |timeline: &Timeline| -> Vec<u64> {
            (0..timeline.frames()).map(|frame| timeline.picture_of(frame)).collect()
        };
        // 22 pictures at 24 a second.
        let same = conformed(Rational::whole(24));
        assert_eq!(shown(&same), (0..22).collect::<Vec<_>>());
        let twice = conformed(Rational::whole(48));
        assert_eq!(shown(&twice), (0..44).map(|frame| frame / 2).collect::<Vec<_>>());
        let half = conformed(Rational::whole(12));
        assert_eq!(shown(&half), (0..11).map(|frame| frame * 2).collect::<Vec<_>>());
        let film = conformed(Rational::whole(30));
        assert_eq!((film.frames(), film.timescale(), film.title_ticks(3)), (28, 30_000, 3000));
        assert_eq!(shown(&film)[..11], [0, 1, 1, 2, 3, 4, 5, 5, 6, 7, 8]);
        // The end is not cut off: 6.4 frames.
        assert_eq!(conformed(Rational::whole(7)).frames(), 7);
        assert_eq!(film.pictures_for(1, 3), (1, 2));
        // Each picture belongs to one frame, whether it is shown, shown again or left out.
        for timeline in [&same, &twice, &half, &film, &conformed(Rational::whole(7))] {
            let belonging: Vec<u64> =
                (0..timeline.frames()).flat_map(|frame| timeline.pictures_at(frame)).collect();
            assert_eq!(belonging, (0..=timeline.picture_of(timeline.frames() - 1)).collect::<Vec<_>>());
        }
        assert_eq!((film.pictures_at(1), film.pictures_at(2)), (1..2, 2..2));
        assert_eq!(half.pictures_at(4), 7..9);
        assert_eq!(film.packets_for(0, 6), film.packets_of(0, 5));
    }

    #[test]
    fn a_malformed_index_is_refused() {
        assert!(Timeline::new(&v1::Index::default(), &Picture::default()).is_err());
        assert_eq!(unfold_runs(0, &[v1::Run { delta: 0, count: 3 }]), None);
        assert_eq!(unfold_runs(0, &[v1::Run { delta: 1, count: u64::MAX }]), None);
        assert_eq!(unfold_packets(&v1::Packets { sizes: vec![1], ..Default::default() }), None);
    }
}
