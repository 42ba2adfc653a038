//! Reading through a container once, where its tables do not do.

use ffmpeg_next as ff;
use reel_common::{Rational, Scan};
use reel_profiles::DamageRule;
use reel_proto::v1;
use reel_store::Source;

use super::gather::Gathered;
use super::header::{HeaderParser, Parity, PictureHeader};
use super::rap::{EXAMINED_BYTES, Syntax};
use crate::MediaError;
use crate::demux::{Demuxer, is_undelayed, rational};
use crate::timeline::Packet;

/// Decode times that are further apart are no pause but a new clock.
const MAX_STEP_SECONDS: f64 = 3600.0;
/// Containers round what they promise, and count in it what decoders throw away; a cut takes more.
const MAX_LACK_SECONDS: f64 = 0.1;
/// Bytes between two packets of a Matroska file that may be headers.
const MAX_GAP_BYTES: u64 = 4096;
/// The id of BlockAdditions (RFC 9559, 5.1.3.5.2).
const BLOCK_ADDITIONS: [u8; 2] = [0x75, 0xA1];
/// Faults that are told of.
pub(super) const MAX_FAULTS: usize = 100;

/// Reads through the container once, keeping what its video packets say of themselves.
pub(super) fn by_scan(
    source: &Source,
    demuxer: &mut Demuxer,
    stream: usize,
    syntax: Syntax,
    damage: DamageRule,
) -> Result<Gathered, MediaError> {
    let time_base = demuxer.input.stream(stream).and_then(|stream| rational(stream.time_base()));
    let time_base = time_base.filter(|base| *base > Rational::ZERO);
    let time_base =
        time_base.ok_or_else(|| MediaError::invalid(format!("{} has no time base", source.location())))?;
    // Program and transport streams carry a clock; other containers may leave decode times to be guessed.
    let mut scan = Sweep {
        has_clock: demuxer.container.starts_with("mpeg"),
        undelayed: demuxer.input.stream(stream).is_some_and(|stream| is_undelayed(&stream)),
        is_matroska: demuxer.container.contains("matroska"),
        damage,
        headers: demuxer.input.stream(stream).as_ref().and_then(HeaderParser::new),
        ..Sweep::default()
    };
    while let Some(packet) = demuxer.read()? {
        scan.see(demuxer, &packet);
        scan.check_gap(source, &packet)?;
        if packet.stream() == stream {
            scan.take(source, &packet, syntax, time_base)?;
        }
    }
    scan.time_reference(scan.next_dts);
    scan.check_end(source, demuxer, time_base)?;
    Ok(Gathered {
        packets: scan.packets,
        random_access: scan.random_access,
        time_base,
        presented: None,
        shift: Rational::ZERO,
        last_duration: scan.last.1,
        addressable: false,
        fields: scan.fields,
        faults: scan.faults,
    })
}

/// One reading through a container.
#[derive(Default)]
struct Sweep {
    packets: Vec<Packet>,
    random_access: Vec<usize>,
    last: (i64, i64),
    /// When a picture after the last would be decoded.
    next_dts: i64,
    /// A picture whose time is not known yet, with its duration.
    untimed: Option<(usize, i64)>,
    has_clock: bool,
    /// Whether pictures are shown in the order in which they are decoded, so that decode times do for a container that has
    /// no others (AVI).
    undelayed: bool,
    headers: Option<HeaderParser>,
    fields: Fields,
    damage: DamageRule,
    faults: Vec<v1::Fault>,
    is_matroska: bool,
    /// Where the last packet of any stream begins, and where those until then end, in bytes.
    covered: Option<(u64, u64)>,
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
        let seconds = packet.pts().or(packet.dts()).unwrap_or(0) as f64 * time_base.to_f64();
        if packet.is_corrupt() {
            self.fault(source, seconds, "the container lost data")?;
        }
        let number = self.packets.len();
        let header = self.headers.as_mut().map(|headers| headers.read(packet));
        // Other containers than streams have both fields in one packet.
        let header =
            header.map(|header| PictureHeader { field: header.field.filter(|_| self.has_clock), ..header });
        let second = header.is_some_and(|header| self.fields.take(number, header));
        let first_field = self.packets.last().filter(|_| second).map(|first| first.pts);
        let undelayed = packet.dts().filter(|_| self.undelayed);
        let is_reference = header.is_none_or(|header| header.is_reference);
        if let Some(dts) = packet.dts().filter(|_| is_reference) {
            self.time_reference(dts);
        }
        let pts = match (first_field.or(packet.pts()).or(undelayed), packet.dts()) {
            (Some(pts), _) => pts,
            (None, Some(dts)) if syntax == Syntax::Mpeg2 => {
                self.untimed = Some((number, packet.duration())).filter(|_| is_reference);
                dts
            }
            _ => {
                let place = source.location();
                return Err(MediaError::invalid(format!(
                    "{place} gives no presentation time for packet {number}: rewrap it, for example as MOV or MKV"
                )));
            }
        };
        // Where there is no exact one, all is decoded from the first key picture.
        let begins = syntax.begins(&data[..data.len().min(EXAMINED_BYTES)], packet.is_key());
        if !second && (begins || (packet.is_key() && self.random_access.is_empty())) {
            self.random_access.push(number);
        }
        self.last = self.last.max((pts, packet.duration()));
        let before = self.packets.last().filter(|_| second).map(|first| first.dts);
        let dts = packet.dts().or(before).unwrap_or(pts);
        self.next_dts = dts + packet.duration();
        if self.has_clock {
            self.check_clock(source, dts, time_base)?;
        }
        // Further pictures of one PES packet have no position of their own.
        let before = self.packets.last().map_or(-1, |packet| packet.position);
        let position = Some(packet.position() as i64).filter(|position| *position >= 0).unwrap_or(before);
        self.packets.push(Packet { position, size: data.len() as u64, pts, dts });
        Ok(())
    }

    /// Gives the last picture without a time its own. A picture of MPEG-2 that others refer to is shown when the next of
    /// them is decoded, and one that none refers to at once (ISO/IEC 13818-2, 6.1.1.11): several pictures of a program
    /// stream may share a packet and its only time.
    fn time_reference(&mut self, next_reference: i64) {
        if let Some((number, duration)) = self.untimed.take() {
            self.packets[number].pts = next_reference;
            self.last = self.last.max((next_reference, duration));
        }
    }

    /// Takes note of what the container lacks, or refuses it.
    fn fault(&mut self, source: &Source, seconds: f64, what: &str) -> Result<(), MediaError> {
        if self.damage == DamageRule::Refuse {
            let place = source.location();
            return Err(MediaError::invalid(format!(
                "{place} is damaged near {seconds:.3} s: {what}; deliver it again, or allow damage in the profile"
            )));
        }
        if self.faults.len() < MAX_FAULTS {
            self.faults.push(v1::Fault { at_ms: (seconds * 1000.0) as i64, what: what.to_owned() });
        }
        Ok(())
    }

    /// Looks for bytes between the packets of a Matroska file that belong to none: data that was lost. Headers of blocks
    /// and clusters are much shorter; what is added to a block, as transparency is, says so.
    fn check_gap(&mut self, source: &Source, packet: &ff::Packet) -> Result<(), MediaError> {
        let Some(begin) = u64::try_from(packet.position()).ok().filter(|_| self.is_matroska) else {
            return Ok(());
        };
        let size = packet.size() as u64;
        let (last, covered) = self.covered.unwrap_or((begin, begin));
        // The frames of a lace share the position of their block.
        let end = if begin == last { covered + size } else { covered.max(begin + size) };
        self.covered = Some((begin, end));
        let gap = begin.saturating_sub(covered);
        if gap <= MAX_GAP_BYTES {
            return Ok(());
        }
        let mut head = [0; 64];
        source.read_at(covered, &mut head)?;
        match head.windows(2).any(|id| id == BLOCK_ADDITIONS) {
            true => Ok(()),
            false => self.fault(source, self.end, &format!("{gap} bytes before it belong to no stream")),
        }
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

    /// Refuses a container whose header promises more than there is. Matroska and MXF write the duration in their header;
    /// transport streams have none of their own.
    fn check_end(
        &mut self,
        source: &Source,
        demuxer: &Demuxer,
        time_base: Rational,
    ) -> Result<(), MediaError> {
        let promises = demuxer.container.contains("matroska") || demuxer.container == "mxf";
        let Some(promised) = demuxer.told_duration().filter(|_| promises) else { return Ok(()) };
        // The last picture may be shown for as long as any other.
        let mut times: Vec<i64> = self.packets.iter().map(|packet| packet.pts).collect();
        times.sort_unstable();
        let longest = times.windows(2).map(|pair| pair[1] - pair[0]).max().unwrap_or(0);
        let lack = MAX_LACK_SECONDS + longest as f64 * time_base.to_f64();
        let length = self.end;
        if promised <= length + lack {
            return Ok(());
        }
        let what = format!("it is cut off: its header says {promised:.3} s, but it ends after {length:.3} s");
        self.fault(source, length, &what)
    }
}

/// What the headers of pictures say of fields.
#[derive(Debug, Default)]
pub(super) struct Fields {
    /// Numbers of the packets that hold the second field of the frame in the packet before, ascending.
    pub(super) seconds: Vec<usize>,
    /// The order of the fields of the first picture that has any.
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
        if self.scan == Scan::Progressive {
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
