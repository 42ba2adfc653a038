//! The index, unfolded: which picture each frame shows, and which packets it takes to decode a run of frames.

use std::ops::Range;

use reel_common::{Rational, Rounding, Scan, SourceSpan, rescale};
use reel_profiles::Picture;
use reel_proto::v1;

use crate::times::TitleTimes;
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

/// The packets and pictures of a mezzanine's video stream, and the frames that a title has of it. Frame n shows picture n
/// unless the rate is conformed.
pub(crate) struct Timeline {
    /// PTS of each presented picture in ticks of `time_base`, ascending.
    pictures: Vec<i64>,
    end_pts: i64,
    time_base: Rational,
    /// The picture that each frame shows, where the rate is conformed.
    conformed: Option<Vec<u64>>,
    /// Pictures before and after those that frames show which their filter looks at.
    context: u64,
    packets: Vec<Packet>,
    random_access: Vec<usize>,
    /// `needed[n]`: the largest packet number among the packets of pictures 0..=n.
    needed: Vec<usize>,
    times: TitleTimes,
    /// The frames that may be looked at, `[start, end)`: all, unless only a span of the source is in the title.
    seen: (u64, u64),
}

impl Timeline {
    /// Unfolds an index, for a title whose pictures follow `rules`.
    pub(crate) fn new(index: &v1::Index, rules: &Picture) -> Result<Self, MediaError> {
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
        let frames = pictures.len() as u64;
        let times = match rate {
            Some(rate) => TitleTimes::constant(rate, frames)?,
            None => variable_times(&pictures, end_pts, time_base),
        };
        let timeline = Timeline {
            pictures,
            end_pts,
            time_base,
            conformed: None,
            context: if rules.deinterlaces(scan) { deinterlace::CONTEXT } else { 0 },
            packets,
            random_access,
            needed,
            times,
            seen: (0, frames),
        };
        match rules.frame_rate.filter(|wanted| rate != Some(*wanted)) {
            Some(wanted) => timeline.conform(wanted),
            None => Ok(timeline),
        }
    }

    /// Shows the one picture of a still for so many frames.
    pub(crate) fn hold(self, rate: Rational, frames: u64) -> Result<Self, MediaError> {
        if frames > MAX_FRAMES {
            return Err(MediaError::invalid(format!("a still cannot be shown for {frames} frames")));
        }
        let times = TitleTimes::constant(rate, frames)?;
        Ok(Timeline { conformed: Some(vec![0; frames as usize]), times, seen: (0, frames), ..self })
    }

    /// Looks at the frames of a span alone.
    pub(crate) fn within(self, span: SourceSpan) -> Result<Self, MediaError> {
        match span.start < span.end && span.end <= self.frames() {
            true => Ok(Timeline { seen: (span.start, span.end), ..self }),
            false => {
                Err(MediaError::failed("the edit goes beyond its source: the plan is not of this index"))
            }
        }
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
        let times = TitleTimes::constant(rate, frames as u64)?;
        Ok(Timeline { conformed: Some(shown), times, seen: (0, frames as u64), ..self })
    }

    /// When the frames are shown, counted from the source's first.
    pub(crate) fn times(&self) -> &TitleTimes {
        &self.times
    }

    pub(crate) fn into_times(self) -> TitleTimes {
        self.times
    }

    /// How many frames the source has.
    pub(crate) fn frames(&self) -> u64 {
        self.times.frames()
    }

    /// The frames that may be looked at, `[start, end)`.
    pub(crate) fn seen(&self) -> (u64, u64) {
        self.seen
    }

    /// The number after that of the last picture that may be looked at.
    pub(crate) fn pictures_end(&self) -> u64 {
        let all = self.pictures.len() as u64;
        // The last frames may show less than all pictures.
        if self.seen.1 == self.frames() { all } else { (self.picture_of(self.seen.1 - 1) + 1).min(all) }
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
        let first = self.picture_of(start).saturating_sub(self.context).max(self.pictures_start());
        (first, (self.picture_of(end - 1) + 1 + self.context).min(self.pictures_end()))
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

    /// The first picture that may be looked at.
    pub(crate) fn pictures_start(&self) -> u64 {
        if self.seen.0 == 0 { 0 } else { self.picture_of(self.seen.0) }
    }

    /// The first picture behind `picture` at which decoding can begin; the number after the last where there is none.
    pub(crate) fn access_after(&self, picture: u64) -> u64 {
        let pts = self.pictures[picture as usize];
        let accesses = self.random_access.iter().map(|packet| self.packets[*packet].pts);
        let next = accesses.filter(|access| *access > pts).min().unwrap_or(i64::MAX);
        self.pictures.partition_point(|pts| *pts < next) as u64
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

    /// Seconds from the start of the title at which the mezzanine shows a picture, for messages.
    pub(crate) fn picture_seconds(&self, picture: u64) -> f64 {
        (self.pictures[picture as usize] - self.pictures[0]) as f64 * self.time_base.to_f64()
    }
}

/// The times of pictures that are shown as they are: with the timescale of the source, or 90,000.
fn variable_times(pictures: &[i64], end_pts: i64, time_base: Rational) -> TitleTimes {
    let own = time_base.num() == 1 && (MIN_TIMESCALE..=MAX_TIMESCALE).contains(&time_base.den());
    let timescale = if own { time_base.den() } else { VARIABLE_TIMESCALE };
    let tick = Rational::new(1, timescale).unwrap_or(Rational::whole(1));
    let first = pictures[0];
    let ticks = pictures.iter().chain([&end_pts]);
    let ticks = ticks.map(|pts| rescale(pts - first, time_base, tick, Rounding::Nearest)).collect();
    let thousandths = |rate: Rational| Some(rate.checked_mul(Rational::whole(1000))?.round().max(1));
    let average = || {
        let seconds = Rational::whole((end_pts - first).max(1)).checked_mul(time_base)?;
        let rate = Rational::whole(pictures.len() as i64).checked_div(seconds)?;
        Some(Rational::from_millis(thousandths(rate)?))
    };
    TitleTimes::listed(ticks, timescale as u32, average().unwrap_or(Rational::whole(25)))
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
        assert_eq!((at.times.timescale(), at.times.ticks(0), at.times.ticks(7)), (24_000, 0, 7007));
        let film = timeline(&frames, &packets, &access, Some(Rational::whole(24)));
        assert_eq!((film.times.timescale(), film.times.ticks(7)), (24_000, 7000));
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
        assert_eq!((film.frames(), film.times.timescale(), film.times.ticks(3)), (28, 30_000, 3000));
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
