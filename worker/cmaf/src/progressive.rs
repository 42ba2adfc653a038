//! Single-file MP4 with its header first: where every byte of the file comes from, without touching media bytes.

use std::ops::Range;

use reel_common::{Rational, Rounding, rescale};

use crate::AudioConfig;
use crate::init::{AudioInit, Config, VideoInit, edit, mdhd, minf, mvhd, tkhd};
use crate::writer::Writer;

/// A track of the file.
#[derive(Clone, Debug)]
pub struct TrackInput<'a> {
    /// Its header.
    pub config: TrackConfig<'a>,
    /// Its samples in decode order, from decode time 0.
    pub samples: Vec<SampleSpec>,
    /// Where their bytes lie, in the same order; the runs hold as many samples as there are.
    pub runs: Vec<SourceRun>,
}

/// What a track holds.
#[derive(Clone, Debug)]
pub enum TrackConfig<'a> {
    /// Pictures; presented from the earliest one to the end of the last.
    Video(VideoInit<'a>),
    /// Sound.
    Audio {
        /// Its header.
        init: AudioInit<'a>,
        /// Samples a channel at the start that are decoded but not presented.
        priming: u32,
        /// Samples a channel to be presented after the priming; what is left over at the end is padding.
        presented: u64,
    },
}

/// One sample, without its bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SampleSpec {
    /// Bytes.
    pub size: u32,
    /// Ticks to the next sample in decode order.
    pub duration: u32,
    /// Presentation time minus decode time in ticks.
    pub composition_offset: i32,
    /// Whether decoding can begin here.
    pub sync: bool,
}

/// Samples whose bytes lie one after the other in a source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SourceRun {
    /// How many samples.
    pub samples: u32,
    /// The caller's number of the source.
    pub source: u32,
    /// Offset of the first byte in it.
    pub offset: u64,
}

/// Bytes to be copied from a source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Copy {
    /// The caller's number of the source.
    pub source: u32,
    /// Offset in it.
    pub offset: u64,
    /// Bytes.
    pub length: u64,
}

/// A planned file: its head, followed by the copies in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Progressive {
    /// `ftyp`, `moov`, and the header of `mdat`.
    pub head: Vec<u8>,
    /// What follows.
    pub copies: Vec<Copy>,
}

impl Progressive {
    /// Bytes of the whole file.
    pub fn len(&self) -> u64 {
        self.copies.iter().fold(self.head.len() as u64, |sum, copy| sum + copy.length)
    }

    /// Whether the file has no bytes, which no planned file has.
    pub fn is_empty(&self) -> bool {
        self.head.is_empty()
    }
}

/// Tracks that do not make a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProgressiveError {
    /// A track without samples.
    #[error("track {0} has no samples")]
    Empty(usize),
    /// The runs hold more or fewer samples than there are.
    #[error("the runs of track {0} do not hold its samples")]
    Runs(usize),
    /// More samples than a table can count.
    #[error("track {0} has more samples than a file can hold")]
    TooMany(usize),
    /// A time scale of zero.
    #[error("track {0} has a time scale of 0")]
    Timescale(usize),
    /// Composition offsets too far apart for 32 bits.
    #[error("the presentation times of track {0} are too far from its decode times")]
    Offsets(usize),
    /// The header alone is larger than a box may be.
    #[error("the header would be larger than 4 GiB")]
    Header,
}

/// Plans a file of `tracks`, which are numbered from 1. Chunks of about one second alternate between the tracks by
/// decode time, so that a player reads forward only.
pub fn plan(tracks: &[TrackInput<'_>]) -> Result<Progressive, ProgressiveError> {
    for (number, track) in (1..).zip(tracks) {
        check(number, track)?;
    }
    let movie_timescale = movie_timescale(tracks);
    let laid = (1..).zip(tracks).map(|(number, track)| Laid::new(number, track));
    let mut laid: Vec<Laid<'_>> = laid.collect::<Result<_, _>>()?;
    let (copies, payload) = interleave(&mut laid);
    let chunks: u64 = laid.iter().map(|track| track.chunks.len() as u64).sum();
    // The header is measured with narrow offsets; wide ones only add to it.
    let narrow_head = head(&laid, movie_timescale, payload, 0, false)?.len() as u64;
    let wide = narrow_head + 8 + chunks * 4 + payload > u64::from(u32::MAX);
    let first_byte = head(&laid, movie_timescale, payload, 0, wide)?.len() as u64;
    let head = head(&laid, movie_timescale, payload, first_byte, wide)?;
    Ok(Progressive { head, copies })
}

fn check(number: usize, track: &TrackInput<'_>) -> Result<(), ProgressiveError> {
    let held: u64 = track.runs.iter().map(|run| u64::from(run.samples)).sum();
    if track.samples.is_empty() {
        return Err(ProgressiveError::Empty(number));
    }
    if held != track.samples.len() as u64 {
        return Err(ProgressiveError::Runs(number));
    }
    if track.config.config().timescale() == 0 {
        return Err(ProgressiveError::Timescale(number));
    }
    // Twice eight bytes a sample at most, and other tables: the header stays below 4 GiB.
    u32::try_from(held * 64).map(|_| ()).map_err(|_| ProgressiveError::TooMany(number))
}

/// A time scale in which the durations of all tracks are whole; failing that, the finest of theirs.
fn movie_timescale(tracks: &[TrackInput<'_>]) -> u32 {
    let scales = || tracks.iter().map(|track| track.config.config().timescale());
    let common = scales().try_fold(1u32, |common, scale| {
        let factor = Rational::new(common.into(), scale.into())?.den();
        common.checked_mul(u32::try_from(factor).ok()?)
    });
    common.unwrap_or_else(|| scales().max().unwrap_or(1))
}

impl TrackConfig<'_> {
    fn config(&self) -> Config<'_> {
        match self {
            TrackConfig::Video(init) => Config::Video(init),
            TrackConfig::Audio { init, .. } => Config::Audio(init),
        }
    }
}

/// A chunk of the file.
struct Placed {
    samples: u32,
    /// Offset of its first byte after the header of `mdat`.
    offset: u64,
}

/// A track with its times summed up, and with its chunks once they are placed.
struct Laid<'a> {
    input: &'a TrackInput<'a>,
    duration: u64,
    /// What is presented, in ticks of the track.
    presented: Range<i64>,
    /// Added to all composition offsets: an edit list cannot begin before time 0.
    shift: i32,
    chunks: Vec<Placed>,
}

impl<'a> Laid<'a> {
    fn new(number: usize, input: &'a TrackInput<'a>) -> Result<Self, ProgressiveError> {
        let (mut dts, mut first, mut end) = (0i64, i64::MAX, i64::MIN);
        for sample in &input.samples {
            let pts = dts + i64::from(sample.composition_offset);
            (first, end) = (first.min(pts), end.max(pts + i64::from(sample.duration)));
            dts += i64::from(sample.duration);
        }
        let far = |_| ProgressiveError::Offsets(number);
        let shift = i32::try_from(-first.min(0)).map_err(far)?;
        let largest = input.samples.iter().map(|sample| i64::from(sample.composition_offset)).max();
        i32::try_from(largest.unwrap_or(0) + i64::from(shift)).map_err(far)?;
        let presented = match &input.config {
            TrackConfig::Video(_) => first + i64::from(shift)..end + i64::from(shift),
            TrackConfig::Audio { priming, presented, .. } => {
                let start = i64::from(*priming);
                start..start.saturating_add_unsigned(*presented).min(end.max(start))
            }
        };
        Ok(Laid { input, duration: dts as u64, presented, shift, chunks: Vec::new() })
    }

    /// The composition offsets as they are written; none where all are 0.
    fn offsets(&self) -> Option<impl Iterator<Item = i32> + Clone + '_> {
        let offsets = self.input.samples.iter().map(|sample| sample.composition_offset + self.shift);
        offsets.clone().any(|offset| offset != 0).then_some(offsets)
    }

    fn config(&self) -> Config<'_> {
        self.input.config.config()
    }

    /// Ticks of the movie that are presented.
    fn presented_for(&self, movie_timescale: u32) -> u64 {
        let ticks = self.presented.end - self.presented.start;
        let (from, to) = (tick(self.config().timescale()), tick(movie_timescale));
        rescale(ticks, from, to, Rounding::Nearest) as u64
    }
}

fn tick(timescale: u32) -> Rational {
    Rational::new(1, timescale.into()).unwrap_or(Rational::whole(1))
}

/// A chunk on its way into the file.
struct Piece {
    source: u32,
    offset: u64,
    length: u64,
    samples: u32,
    /// Decode time of its first sample in ticks of its track.
    start: u64,
}

/// Cuts the runs of a track into pieces of at most about a second.
fn pieces(input: &TrackInput<'_>) -> Vec<Piece> {
    let second = u64::from(input.config.config().timescale());
    let mut samples = input.samples.iter();
    let mut pieces: Vec<Piece> = Vec::new();
    let mut now = 0;
    for run in &input.runs {
        let mut offset = run.offset;
        let mut open: Option<Piece> = None;
        for sample in samples.by_ref().take(run.samples as usize) {
            let full = |piece: &Piece| now - piece.start >= second;
            if open.as_ref().is_some_and(full) {
                pieces.extend(open.take());
            }
            let piece =
                open.get_or_insert(Piece { source: run.source, offset, length: 0, samples: 0, start: now });
            piece.length += u64::from(sample.size);
            piece.samples += 1;
            offset += u64::from(sample.size);
            now += u64::from(sample.duration);
        }
        pieces.extend(open);
    }
    pieces
}

/// Orders the pieces of all tracks by decode time; the track that comes first goes first at equal times. Fills in
/// the tracks' chunks; the copies, and their bytes.
fn interleave(tracks: &mut [Laid<'_>]) -> (Vec<Copy>, u64) {
    let mut queues: Vec<_> = tracks.iter().map(|track| pieces(track.input).into_iter().peekable()).collect();
    let mut copies: Vec<Copy> = Vec::new();
    let mut payload = 0;
    loop {
        let mut next: Option<(usize, Rational)> = None;
        for (number, queue) in queues.iter_mut().enumerate() {
            let scale = i64::from(tracks[number].config().timescale());
            let start = queue.peek().and_then(|piece| Rational::new(piece.start as i64, scale));
            if let Some(start) = start
                && next.is_none_or(|(_, earliest)| start < earliest)
            {
                next = Some((number, start));
            }
        }
        let Some((number, piece)) = next.and_then(|(number, _)| Some((number, queues[number].next()?)))
        else {
            return (copies, payload);
        };
        tracks[number].chunks.push(Placed { samples: piece.samples, offset: payload });
        payload += piece.length;
        match copies.last_mut() {
            Some(last) if last.source == piece.source && last.offset + last.length == piece.offset => {
                last.length += piece.length;
            }
            _ => copies.push(Copy { source: piece.source, offset: piece.offset, length: piece.length }),
        }
    }
}

fn head(
    tracks: &[Laid<'_>],
    movie_timescale: u32,
    payload: u64,
    first_byte: u64,
    wide: bool,
) -> Result<Vec<u8>, ProgressiveError> {
    let mut w = Writer::default();
    w.boxed(b"ftyp", |w| {
        // Players of sound look for the brand of AAC alone in MP4.
        let is_aac = |track: &Laid<'_>| {
            matches!(&track.input.config, TrackConfig::Audio { init, .. } if matches!(init.codec, AudioConfig::Aac(_)))
        };
        let (major, brands): (_, &[u8]) = match tracks.iter().all(is_aac) {
            true => (b"M4A ", b"M4A iso4isom"),
            false => (b"iso4", b"iso4isom"),
        };
        w.bytes(major);
        w.u32(0);
        w.bytes(brands);
        for track in tracks {
            if let TrackConfig::Video(init) = &track.input.config {
                w.bytes(init.codec.brand());
            }
        }
        w.bytes(b"mp41");
    });
    w.boxed(b"moov", |w| {
        let presented = tracks.iter().map(|track| track.presented_for(movie_timescale));
        mvhd(w, movie_timescale, presented.max().unwrap_or(0), tracks.len() as u32 + 1);
        for (id, track) in (1..).zip(tracks) {
            trak(w, id, track, movie_timescale, |w| chunk_offsets(w, &track.chunks, first_byte, wide));
        }
    });
    if w.len() as u64 > u64::from(u32::MAX) {
        return Err(ProgressiveError::Header);
    }
    match u32::try_from(payload + 8) {
        Ok(size) => {
            w.u32(size);
            w.bytes(b"mdat");
        }
        Err(_) => {
            w.u32(1);
            w.bytes(b"mdat");
            w.u64(payload + 16);
        }
    }
    Ok(w.finish())
}

fn trak(w: &mut Writer, id: u32, track: &Laid<'_>, movie_timescale: u32, offsets: impl FnOnce(&mut Writer)) {
    let presented = track.presented_for(movie_timescale);
    w.boxed(b"trak", |w| {
        tkhd(w, id, presented, track.config());
        edit(w, presented, track.presented.start);
        w.boxed(b"mdia", |w| {
            mdhd(w, track.config(), track.duration);
            minf(w, track.config(), |w| {
                sample_tables(w, track);
                offsets(w);
            });
        });
    });
}

fn sample_tables(w: &mut Writer, track: &Laid<'_>) {
    let samples = &track.input.samples;
    run_lengths(w, b"stts", 0, samples.iter().map(|sample| sample.duration));
    if let Some(offsets) = track.offsets() {
        let version = offsets.clone().any(|offset| offset < 0).into();
        run_lengths(w, b"ctts", version, offsets.map(|offset| offset as u32));
    }
    if samples.iter().any(|sample| !sample.sync) {
        let numbered = (1..).zip(samples).filter(|(_, sample)| sample.sync).map(|(number, _)| number);
        counted(w, b"stss", numbered, |w, number| w.u32(number));
    }
    sizes(w, samples);
    sample_to_chunk(w, &track.chunks);
    if let TrackConfig::Audio { init, .. } = &track.input.config
        && let Some(distance) = init.codec.roll_distance()
    {
        roll(w, distance, samples.len() as u32);
    }
}

fn sizes(w: &mut Writer, samples: &[SampleSpec]) {
    w.full(b"stsz", 0, 0, |w| {
        let first = samples.first().map_or(0, |sample| sample.size);
        let equal = first > 0 && samples.iter().all(|sample| sample.size == first);
        w.u32(if equal { first } else { 0 });
        w.u32(samples.len() as u32);
        if !equal {
            w.reserve(4 * samples.len());
            samples.iter().for_each(|sample| w.u32(sample.size));
        }
    });
}

fn sample_to_chunk(w: &mut Writer, chunks: &[Placed]) {
    let mut previous = None;
    let changes =
        (1..).zip(chunks).filter(|(_, chunk)| previous.replace(chunk.samples) != Some(chunk.samples));
    counted(w, b"stsc", changes, |w, (number, chunk)| {
        w.u32(number);
        w.u32(chunk.samples);
        w.u32(1);
    });
}

fn chunk_offsets(w: &mut Writer, chunks: &[Placed], first_byte: u64, wide: bool) {
    let offsets = chunks.iter().map(|chunk| first_byte + chunk.offset);
    match wide {
        true => counted(w, b"co64", offsets, |w, offset| w.u64(offset)),
        false => counted(w, b"stco", offsets, |w, offset| w.u32(offset as u32)),
    }
}

/// How many samples before one decoding begins, of all alike (AudioPreRollEntry, ISO/IEC 14496-12, section 10.1).
fn roll(w: &mut Writer, distance: i16, samples: u32) {
    w.full(b"sgpd", 1, 0, |w| {
        w.bytes(b"roll");
        w.u32(2);
        w.u32(1);
        w.u16(distance as u16);
    });
    w.full(b"sbgp", 0, 0, |w| {
        w.bytes(b"roll");
        w.u32(1);
        w.u32(samples);
        w.u32(1);
    });
}

/// A table of (count, value) with equal neighbours put together.
fn run_lengths(w: &mut Writer, kind: &[u8; 4], version: u8, values: impl Iterator<Item = u32>) {
    w.full(kind, version, 0, |w| {
        let count_at = w.len();
        w.u32(0);
        let mut entries = 0;
        let mut run: Option<(u32, u32)> = None;
        let mut close = |w: &mut Writer, run: Option<(u32, u32)>| {
            if let Some((count, value)) = run {
                w.u32(count);
                w.u32(value);
                entries += 1;
                w.patch_u32(count_at, entries);
            }
        };
        for value in values {
            run = match run {
                Some((count, same)) if same == value => Some((count + 1, value)),
                ended => {
                    close(w, ended);
                    Some((1, value))
                }
            };
        }
        close(w, run);
    });
}

/// A full box of a count and entries.
fn counted<T>(
    w: &mut Writer,
    kind: &[u8; 4],
    entries: impl Iterator<Item = T>,
    mut write: impl FnMut(&mut Writer, T),
) {
    w.full(kind, 0, 0, |w| {
        let count_at = w.len();
        w.u32(0);
        let mut count = 0;
        for entry in entries {
            write(w, entry);
            count += 1;
        }
        w.patch_u32(count_at, count);
    });
}
