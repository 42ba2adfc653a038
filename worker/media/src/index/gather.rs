//! Collecting the video packets of a mezzanine: from the sample tables of a MOV or MP4, or by reading through the
//! container once.

use std::ops::Range;

use ffmpeg_next as ff;
use reel_cmaf::ReadAt;
use reel_cmaf::mov::{Edit, Movie, Track, TrackKind};
use reel_common::{Rational, Rounding, Scan, rescale};
use reel_store::Source;

use super::header::{HeaderParser, Parity, PictureHeader};
use super::rap::{EXAMINED_BYTES, Syntax};
use crate::MediaError;
use crate::demux::{Demuxer, rational};
use crate::timeline::Packet;

/// Up to this many key packets of a sample table are examined one by one; of more, this many spread evenly, and all
/// where one of them is not what its flag says.
const EXAMINED_KEYS: usize = 1000;
/// Decode times that are further apart are no pause but a new clock.
const MAX_STEP_SECONDS: f64 = 3600.0;
/// Codecs whose packets are stored as they are decoded, so that a sample table is enough to read them.
const PLAIN_CODECS: [&str; 12] = [
    "prores",
    "h264",
    "hevc",
    "dnxhd",
    "mjpeg",
    "jpeg2000",
    "cfhd",
    "png",
    "qtrle",
    "mpeg2video",
    "av1",
    "vp9",
];

/// The video packets of a mezzanine.
pub(super) struct Gathered {
    /// All packets in decode order.
    pub(super) packets: Vec<Packet>,
    /// Numbers of the packets at which decoding can begin.
    pub(super) random_access: Vec<usize>,
    /// Length of a tick of the packets' times, in seconds.
    pub(super) time_base: Rational,
    /// The PTS that are presented, where an edit list says so.
    pub(super) presented: Option<Range<i64>>,
    /// When PTS 0 is shown on the container's timeline, in seconds.
    pub(super) shift: Rational,
    /// How long the packet with the largest PTS lasts, in ticks; 0 where the container does not say.
    pub(super) last_duration: i64,
    /// Whether packets can be read by position and size alone.
    pub(super) addressable: bool,
    /// What the headers of pictures say of fields, where they were read.
    pub(super) fields: Fields,
}

/// What the headers of pictures say of fields.
#[derive(Debug, Default)]
pub(super) struct Fields {
    /// Numbers of the packets that hold the second field of the frame in the packet before, ascending.
    pub(super) seconds: Vec<usize>,
    /// The order of the fields of the first picture.
    pub(super) scan: Scan,
    /// Pictures that are shown for three fields.
    repeating: usize,
    /// The field at the end of the packets that waits for its other half.
    open: Option<Parity>,
}

impl Fields {
    /// One picture in so many that is shown for three fields makes a telecine; every second is usual.
    const TELECINE: usize = 8;

    /// Takes the header of packet `number`; whether it is the second field of a frame.
    fn take(&mut self, number: usize, header: PictureHeader) -> bool {
        if number == 0 {
            self.scan = header.scan;
        }
        self.repeating += usize::from(header.repeats);
        let second = self.open.is_some_and(|open| header.field.is_some_and(|field| field != open));
        if second {
            self.seconds.push(number);
        }
        self.open = header.field.filter(|_| !second);
        second
    }

    /// Whether so many pictures are those of a telecine.
    pub(super) fn is_telecine(&self, pictures: usize) -> bool {
        self.repeating > 0 && self.repeating * Self::TELECINE >= pictures
    }
}

struct SourceBytes<'a>(&'a Source);

impl ReadAt for SourceBytes<'_> {
    fn len(&self) -> u64 {
        self.0.size()
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> std::io::Result<()> {
        self.0.read_at(offset, buf).map_err(std::io::Error::other)
    }
}

/// Reads the sample tables where the container has them in a form that is enough; `None` where a scan is needed.
pub(super) fn from_tables(
    source: &Source,
    track_id: u32,
    codec: &str,
    syntax: Syntax,
) -> Result<Option<Gathered>, MediaError> {
    let movie = Movie::read(&SourceBytes(source))
        .map_err(|error| MediaError::invalid(format!("{} cannot be read: {error}", source.location())))?;
    let track = movie.tracks.iter().find(|track| track.id == track_id && track.kind == TrackKind::Video);
    let Some(track) = track else { return Ok(None) };
    if movie.fragmented || track.external || track.entries.len() != 1 || !PLAIN_CODECS.contains(&codec) {
        return Ok(None);
    }
    // Sound that was cut off is as much a loss as pictures: every track must lie in the file.
    for track in movie.tracks.iter().filter(|track| !track.external) {
        check_end(source, track)?;
    }
    gather_track(source, &movie, track, syntax).map(Some)
}

fn check_end(source: &Source, track: &Track) -> Result<(), MediaError> {
    let (end, size) = (track.samples.end(), source.size());
    if end <= size {
        return Ok(());
    }
    Err(MediaError::invalid(format!(
        "{} is cut off: its tables name bytes up to {end}, but the file ends at {size}; copy it again",
        source.location()
    )))
}

fn gather_track(
    source: &Source,
    movie: &Movie,
    track: &Track,
    syntax: Syntax,
) -> Result<Gathered, MediaError> {
    let mut packets = Vec::with_capacity(track.samples.len() as usize);
    let mut keys = Vec::new();
    let mut last = (i64::MIN, 0);
    for sample in track.samples.iter() {
        if sample.size == 0 {
            continue;
        }
        if sample.sync || sample.partial_sync {
            keys.push(packets.len());
        }
        last = last.max((sample.pts, i64::from(sample.duration)));
        packets.push(Packet {
            position: sample.position as i64,
            size: sample.size.into(),
            pts: sample.pts,
            dts: sample.dts,
        });
    }
    let no_time = || MediaError::invalid(format!("{} has a track without a timescale", source.location()));
    let time_base = Rational::new(1, track.timescale.into()).ok_or_else(no_time)?;
    let (presented, shift) = presentation(source, movie, track, time_base)?;
    let random_access = examine_keys(source, &packets, keys, syntax)?;
    Ok(Gathered {
        packets,
        random_access,
        time_base,
        presented,
        shift,
        last_duration: last.1,
        addressable: true,
        fields: Fields::default(),
    })
}

/// The presented PTS and the place of PTS 0, from an edit list (ISO/IEC 14496-12, 8.6.6).
fn presentation(
    source: &Source,
    movie: &Movie,
    track: &Track,
    time_base: Rational,
) -> Result<(Option<Range<i64>>, Rational), MediaError> {
    let refuse = |what: &str| {
        MediaError::invalid(format!(
            "{} has an edit list that {what}: flatten it, for example by rewrapping it without edits",
            source.location()
        ))
    };
    let movie_tick =
        Rational::new(1, movie.movie_timescale.into()).ok_or_else(|| refuse("has no timescale"))?;
    let empty: u64 =
        track.edits.iter().take_while(|edit| edit.media_time.is_none()).map(|e| e.segment_duration).sum();
    let delay =
        Rational::whole(empty as i64).checked_mul(movie_tick).ok_or_else(|| refuse("is out of range"))?;
    let edits: Vec<&Edit> = track.edits.iter().filter(|edit| edit.media_time.is_some()).collect();
    let Some(edit) = edits.first() else { return Ok((None, delay)) };
    if edits.len() > 1 {
        return Err(refuse("cuts its video into several pieces"));
    }
    if edit.rate != Edit::NORMAL_RATE {
        return Err(refuse("changes the speed of its video"));
    }
    let start = edit.media_time.unwrap_or(0);
    let length = rescale(edit.segment_duration as i64, movie_tick, time_base, Rounding::Ceil);
    // A duration of 0 means the rest of the media.
    let end = if length == 0 { i64::MAX } else { start.saturating_add(length) };
    let start_seconds =
        Rational::whole(start).checked_mul(time_base).ok_or_else(|| refuse("is out of range"))?;
    let shift = delay.checked_sub(start_seconds).ok_or_else(|| refuse("is out of range"))?;
    Ok((Some(start..end), shift))
}

fn examine_keys(
    source: &Source,
    packets: &[Packet],
    keys: Vec<usize>,
    syntax: Syntax,
) -> Result<Vec<usize>, MediaError> {
    if matches!(syntax, Syntax::IntraOnly | Syntax::Unexamined) {
        return Ok(keys);
    }
    let begins = |key: usize| -> Result<bool, MediaError> {
        let packet = &packets[key];
        let mut head = vec![0; (packet.size as usize).min(EXAMINED_BYTES)];
        source.read_at(packet.position as u64, &mut head)?;
        Ok(syntax.begins(&head, true))
    };
    if keys.len() > EXAMINED_KEYS {
        let sampled = (0..EXAMINED_KEYS).map(|n| keys[n * keys.len() / EXAMINED_KEYS]);
        if sampled.map(begins).collect::<Result<Vec<_>, _>>()?.into_iter().all(|begins| begins) {
            return Ok(keys);
        }
    }
    let mut real = Vec::with_capacity(keys.len());
    for key in keys {
        // Where there is no exact one, all is decoded from the first key picture.
        if real.is_empty() || begins(key)? {
            real.push(key);
        }
    }
    Ok(real)
}

/// Reads through the container once, keeping what its video packets say of themselves.
pub(super) fn by_scan(
    source: &Source,
    demuxer: &mut Demuxer,
    stream: usize,
    syntax: Syntax,
) -> Result<Gathered, MediaError> {
    let time_base = demuxer.input.stream(stream).and_then(|stream| rational(stream.time_base()));
    let time_base = time_base.filter(|base| *base > Rational::ZERO);
    let time_base =
        time_base.ok_or_else(|| MediaError::invalid(format!("{} has no time base", source.location())))?;
    // Program and transport streams carry a clock; other containers may leave decode times to be guessed.
    let mut scan = Sweep {
        has_clock: demuxer.container.starts_with("mpeg"),
        undelayed: demuxer.input.stream(stream).is_some_and(|stream| crate::demux::is_undelayed(&stream)),
        headers: demuxer.input.stream(stream).as_ref().and_then(HeaderParser::new),
        ..Sweep::default()
    };
    while let Some(packet) = demuxer.read()? {
        scan.see(demuxer, &packet);
        if packet.stream() == stream {
            scan.take(source, &packet, syntax, time_base)?;
        }
    }
    scan.check_end(source, demuxer)?;
    Ok(Gathered {
        packets: scan.packets,
        random_access: scan.random_access,
        time_base,
        presented: None,
        shift: Rational::ZERO,
        last_duration: scan.last.1,
        addressable: false,
        fields: scan.fields,
    })
}

/// One reading through a container.
#[derive(Default)]
struct Sweep {
    packets: Vec<Packet>,
    random_access: Vec<usize>,
    last: (i64, i64),
    has_clock: bool,
    /// Whether pictures are shown in the order in which they are decoded, so that decode times do for a container that has
    /// no others (AVI).
    undelayed: bool,
    headers: Option<HeaderParser>,
    fields: Fields,
    /// When the last packet of any stream ends on the container's timeline, in seconds.
    end: f64,
}

impl Sweep {
    fn see(&mut self, demuxer: &Demuxer, packet: &ff::Packet) {
        let stream = demuxer.input.stream(packet.stream());
        let base = stream.and_then(|stream| rational(stream.time_base())).map_or(0.0, Rational::to_f64);
        let end =
            packet.pts().or(packet.dts()).map_or(0.0, |start| (start + packet.duration()) as f64 * base);
        self.end = self.end.max(end);
    }

    fn take(
        &mut self,
        source: &Source,
        packet: &ff::Packet,
        syntax: Syntax,
        time_base: Rational,
    ) -> Result<(), MediaError> {
        let Some(data) = packet.data().filter(|data| !data.is_empty()) else { return Ok(()) };
        if packet.is_corrupt() {
            let seconds = packet.pts().or(packet.dts()).unwrap_or(0) as f64 * time_base.to_f64();
            let place = source.location();
            return Err(MediaError::invalid(format!(
                "{place} is damaged near {seconds:.3} s: the container lost data; deliver it again"
            )));
        }
        let number = self.packets.len();
        let header = self.headers.as_mut().map(|headers| headers.read(packet));
        let second = header.is_some_and(|header| self.fields.take(number, header));
        let first_field = self.packets.last().filter(|_| second).map(|first| first.pts);
        let undelayed = packet.dts().filter(|_| self.undelayed);
        let Some(pts) = first_field.or(packet.pts()).or(undelayed) else {
            let place = source.location();
            return Err(MediaError::invalid(format!(
                "{place} gives no presentation time for packet {number}: rewrap it, for example as MOV or MKV"
            )));
        };
        // Where there is no exact one, all is decoded from the first key picture.
        let begins = syntax.begins(&data[..data.len().min(EXAMINED_BYTES)], packet.is_key());
        if !second && (begins || (packet.is_key() && self.random_access.is_empty())) {
            self.random_access.push(number);
        }
        self.last = self.last.max((pts, packet.duration()));
        let before = self.packets.last().filter(|_| second).map(|first| first.dts);
        let dts = packet.dts().or(before).unwrap_or(pts);
        if self.has_clock {
            self.check_clock(source, dts, time_base)?;
        }
        // Further pictures of one PES packet have no position of their own.
        let before = self.packets.last().map_or(-1, |packet| packet.position);
        let position = Some(packet.position() as i64).filter(|position| *position >= 0).unwrap_or(before);
        self.packets.push(Packet { position, size: data.len() as u64, pts, dts });
        Ok(())
    }

    /// Refuses decode times that go back or leap: the clock of a transport stream may start anew in the middle.
    fn check_clock(&self, source: &Source, dts: i64, time_base: Rational) -> Result<(), MediaError> {
        let Some(before) = self.packets.last().map(|packet| packet.dts) else { return Ok(()) };
        let step = (dts - before) as f64 * time_base.to_f64();
        if (0.0..=MAX_STEP_SECONDS).contains(&step) {
            return Ok(());
        }
        let (place, seconds) = (source.location(), before as f64 * time_base.to_f64());
        Err(MediaError::invalid(format!(
            "the clock of {place} jumps by {step:.3} s at {seconds:.3} s: rewrap it with one clock, for example as MKV"
        )))
    }

    /// Refuses a container whose header promises a second more than there is.
    fn check_end(&self, source: &Source, demuxer: &Demuxer) -> Result<(), MediaError> {
        // Matroska and MXF write the duration in their header; transport streams have none of their own.
        let promises = demuxer.container.contains("matroska") || demuxer.container == "mxf";
        if !promises {
            return Ok(());
        }
        let length = self.end;
        let promised = demuxer.input.duration() as f64 / f64::from(ff::ffi::AV_TIME_BASE);
        if promised <= length + 1.0 {
            return Ok(());
        }
        Err(MediaError::invalid(format!(
            "{} is cut off: its header says {promised:.3} s, but it ends after {length:.3} s; copy it again",
            source.location()
        )))
    }
}
