//! The video packets of a mezzanine, collected from the sample tables of a MOV or MP4.

use std::ops::Range;

use reel_cmaf::ReadAt;
use reel_cmaf::mov::{Edit, Movie, Track, TrackKind};
use reel_common::{Rational, Rounding, rescale};
use reel_proto::v1;
use reel_store::Source;

use super::rap::{EXAMINED_BYTES, Syntax};
use super::sweep::Fields;
use crate::MediaError;
use crate::timeline::Packet;

/// Up to this many key packets of a sample table are examined one by one; of more, this many spread evenly, and all
/// where one of them is not what its flag says.
const EXAMINED_KEYS: usize = 1000;
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
    /// What the container lacks, where damage is allowed.
    pub(super) faults: Vec<v1::Fault>,
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
    movie.tracks.iter().try_for_each(|track| check_pcm(source, track))?;
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

/// Refuses PCM of ISO/IEC 23003-5 that would be decoded to noise: libav before 6.1 takes the bits of a sample from the entry,
/// where the standard does not say them.
fn check_pcm(source: &Source, track: &Track) -> Result<(), MediaError> {
    let misread = track.entries.iter().any(|entry| &entry.fourcc == b"ipcm" && !entry.says_pcm_bits());
    if track.kind != TrackKind::Audio || !misread {
        return Ok(());
    }
    Err(MediaError::invalid(format!(
        "{} has sound that is misread here: PCM in MP4 whose sample entry does not say how many bits a sample has; wrap it \
         in MOV, such as by `ffmpeg -i IN -map 0 -c copy OUT.mov` with FFmpeg 6.1 or later",
        source.location()
    )))
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
        faults: Vec::new(),
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
