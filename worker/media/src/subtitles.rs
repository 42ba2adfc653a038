//! Subtitles and captions that lie in a mezzanine, as its packets hold them.

use ffmpeg_next as ff;
use ffmpeg_next::ffi;
use reel_common::Rational;
use reel_proto::v1;
use reel_store::Source;

use crate::demux::{Demuxer, rational};
use crate::{MediaError, facts};

/// Text that no packet ends is shown so long, in milliseconds, or until the next comes.
const UNENDED_MS: i64 = 10_000;
/// Packets beyond this are no subtitles: more than one for each frame of a day.
const MAX_PACKETS: usize = 5_200_000;
/// Nor are so many bytes of them.
const MAX_BYTES: usize = 64 << 20;

/// What a stream of text holds, with the title's times in milliseconds; what is over before the title begins is left out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Subtitles {
    /// Text from one time to another, in the markup of SubStation Alpha.
    Events(Vec<(u64, u64, String)>),
    /// Pairs of CEA-608 of the first field, each run with the time of its first.
    Captions(Vec<(u64, Vec<[u8; 2]>)>),
}

/// The streams of text of a mezzanine, in the order in which they are counted.
pub(crate) fn describe(demuxer: &Demuxer) -> Vec<v1::TextFacts> {
    let facts = |stream: ff::Stream<'_>| v1::TextFacts {
        stream: stream.index() as u32,
        codec: stream.parameters().id().name().to_owned(),
        language: stream.metadata().get("language").unwrap_or_default().to_owned(),
    };
    streams(demuxer).map(facts).collect()
}

fn streams(demuxer: &Demuxer) -> impl Iterator<Item = ff::Stream<'_>> {
    demuxer.input.streams().filter(|stream| stream.parameters().medium() == ff::media::Type::Subtitle)
}

/// Reads the `number`-th stream of text of a mezzanine, counted from 1.
///
/// # Errors
/// Invalid where there is no such stream, or it holds pictures.
pub fn subtitles(source: &Source, index: &v1::Index, number: u32) -> Result<Subtitles, MediaError> {
    let mut demuxer = Demuxer::open(source)?;
    let place = demuxer.place.clone();
    let texts: Vec<usize> = streams(&demuxer).map(|stream| stream.index()).collect();
    let wanted = texts.get(number as usize - 1).copied().ok_or_else(|| {
        let known = texts.len();
        MediaError::invalid(format!("{place} has no text `stream:{number}`: it has {known} streams of text"))
    })?;
    demuxer.keep_only(&[wanted]);
    let stream =
        demuxer.input.stream(wanted).ok_or_else(|| MediaError::failed(format!("{place} has changed")))?;
    let (parameters, time_base) =
        (stream.parameters(), rational(stream.time_base()).unwrap_or(Rational::ZERO));
    let times = Times { origin: facts::origin(index)?, time_base };
    match parameters.id() {
        ff::codec::Id::EIA_608 => captions(&mut demuxer, wanted, times),
        _ => {
            let decoder = open(parameters, stream.time_base()).map_err(|error| {
                MediaError::invalid(format!("text `stream:{number}` of {place} cannot be decoded: {error}"))
            })?;
            let undrawn =
                || MediaError::invalid(format!("text `stream:{number}` of {place} holds pictures, not text"));
            let events = events(&mut demuxer, wanted, times, decoder)?;
            events.ok_or_else(undrawn)
        }
    }
}

fn open(
    parameters: ff::codec::Parameters,
    time_base: ff::Rational,
) -> Result<ff::codec::decoder::Subtitle, ff::Error> {
    let mut context = ff::codec::Context::from_parameters(parameters)?;
    // SAFETY: the context was just made and is not open yet.
    unsafe { (*context.as_mut_ptr()).pkt_timebase = time_base.into() };
    context.decoder().subtitle()
}

/// From a packet's time to the title's.
#[derive(Clone, Copy)]
struct Times {
    /// Title time 0 on the container's timeline, in seconds.
    origin: Rational,
    time_base: Rational,
}

impl Times {
    /// Milliseconds since the title's beginning.
    fn ms(self, ticks: i64) -> i64 {
        let time =
            Rational::whole(ticks).checked_mul(self.time_base).and_then(|time| time.checked_sub(self.origin));
        time.and_then(|time| time.checked_mul(Rational::whole(1000))).map_or(0, Rational::round)
    }
}

/// Calls back for each packet of the stream that has a time.
fn each_packet(
    demuxer: &mut Demuxer,
    stream: usize,
    mut take: impl FnMut(&ff::Packet, i64) -> Result<(), MediaError>,
) -> Result<(), MediaError> {
    let (mut packets, mut bytes) = (0, 0);
    while let Some(packet) = demuxer.read()? {
        let Some(pts) = packet.pts().filter(|_| packet.stream() == stream) else { continue };
        packets += 1;
        bytes += packet.size();
        if packets > MAX_PACKETS || bytes > MAX_BYTES {
            let (place, most) = (&demuxer.place, MAX_BYTES >> 20);
            let limits = format!("more than {MAX_PACKETS} packets or {most} MiB of one text");
            return Err(MediaError::invalid(format!("{place} has {limits}")));
        }
        take(&packet, pts)?;
    }
    Ok(())
}

/// Packets of CEA-608 in QuickTime: libav gives them as triplets, a marker with the field and the pair (CTA-708-E, table 3).
fn captions(demuxer: &mut Demuxer, stream: usize, times: Times) -> Result<Subtitles, MediaError> {
    const FIRST_FIELD: u8 = 0xfc;
    let mut runs = Vec::new();
    each_packet(demuxer, stream, |packet, pts| {
        let (triplets, _) = packet.data().unwrap_or_default().as_chunks::<3>();
        let first = triplets.iter().filter(|triplet| triplet[0] == FIRST_FIELD);
        let pairs: Vec<[u8; 2]> = first.map(|[_, a, b]| [*a, *b]).collect();
        // What is sent before the title may be shown in it.
        runs.push((times.ms(pts).max(0) as u64, pairs));
        Ok(())
    })?;
    Ok(Subtitles::Captions(runs))
}

/// The events of a stream; `None` where it holds pictures.
fn events(
    demuxer: &mut Demuxer,
    stream: usize,
    times: Times,
    mut decoder: ff::codec::decoder::Subtitle,
) -> Result<Option<Subtitles>, MediaError> {
    let mut events: Vec<(i64, Option<i64>, String)> = Vec::new();
    let mut pictures = false;
    each_packet(demuxer, stream, |packet, pts| {
        let start = times.ms(pts);
        let end = (packet.duration() > 0).then(|| times.ms(pts.saturating_add(packet.duration())));
        // What is shown without an end goes when the next packet comes, even an empty one.
        for (_, open, _) in events.iter_mut().rev().take_while(|(_, end, _)| end.is_none()) {
            *open = Some(start);
        }
        let mut decoded = Decoded(ff::Subtitle::new());
        // A packet that does not decode is one text less, and there is no telling which.
        if !decoder.decode(packet, &mut decoded.0).unwrap_or(false) {
            return Ok(());
        }
        for rect in decoded.0.rects() {
            match rect {
                ff::codec::subtitle::Rect::Ass(text) => events.push((start, end, dialogue(text.get()))),
                ff::codec::subtitle::Rect::Text(text) => events.push((start, end, text.get().to_owned())),
                ff::codec::subtitle::Rect::Bitmap(_) => pictures = true,
                ff::codec::subtitle::Rect::None(_) => {}
            }
        }
        Ok(())
    })?;
    let shown = events.into_iter().filter_map(|(start, end, text)| {
        let end = u64::try_from(end.unwrap_or(start + UNENDED_MS)).ok().filter(|end| *end > 0)?;
        Some((start.max(0) as u64, end, text))
    });
    Ok((!pictures).then(|| Subtitles::Events(shown.collect())))
}

/// A decoded subtitle, which libav allocates.
struct Decoded(ff::Subtitle);

impl Drop for Decoded {
    fn drop(&mut self) {
        // SAFETY: the structure is libav's own, filled by its decoder or still empty, and not used afterwards.
        unsafe { ffi::avsubtitle_free(self.0.as_mut_ptr()) }
    }
}

/// The text of an event of SubStation Alpha as libav writes it, behind eight fields.
fn dialogue(event: &str) -> String {
    event.splitn(9, ',').nth(8).unwrap_or_default().to_owned()
}
