//! Measuring a mezzanine: its streams, and the time and place of every frame, without decoding it.

mod first_picture;
mod frames;
mod gather;
mod header;
mod rap;
mod scenes;
mod sweep;

use ffmpeg_next as ff;
use reel_common::{
    Artifact, AudioFacts, Colour, IndexSummary, Rational, Scan, SegmentGrid, Timing, VideoFacts,
};
use reel_profiles::{DamageRule, Profile, SegmentStart};
use reel_proto::v1;
use reel_store::Source;

use self::gather::Gathered;
use self::rap::Syntax;
use self::sweep::MAX_FAULTS;
use crate::MediaError;
use crate::demux::{Demuxer, STILLS, StreamParameters, parameters, rational, rotation};
use crate::subtitles;
use crate::timeline::{fold_packets, fold_runs};
use crate::times::TitleTimes;
use crate::{edit, facts};

/// Indexes a mezzanine. The summary's artifact is left for the caller, who stores the index.
pub fn index(source: &Source, profile: &Profile) -> Result<(v1::Index, v1::IndexSummary), MediaError> {
    let mut demuxer = Demuxer::open(source)?;
    let stream = demuxer.video_stream(source)?;
    let (video, claims) = describe_video(source, &demuxer, stream)?;
    let mut gathered = gather(source, &mut demuxer, stream, &video, profile.admission.damage)?;
    let frames = frames::present(source, &gathered, &claims.rates)?;
    let mut faults = std::mem::take(&mut gathered.faults);
    if profile.admission.damage != DamageRule::Refuse {
        faults.extend(frames::gaps(&frames, &gathered, &claims.rates));
        faults.truncate(MAX_FAULTS);
    }
    let origin = Rational::whole(frames.pts[0])
        .checked_mul(gathered.time_base)
        .and_then(|pts| pts.checked_add(gathered.shift))
        .ok_or_else(|| MediaError::invalid(format!("{} has times out of range", source.location())))?;
    let audio = describe_audio(&demuxer, origin);
    let decoder = v1::DecoderSetup { reorder: reorder(&gathered), ..video.decoder.clone() };
    let facts = VideoFacts {
        scan: if claims.facts.scan == Scan::Progressive { gathered.fields.scan } else { claims.facts.scan },
        telecine: gathered.fields.is_telecine(frames.pts.len()),
        ..claims.facts
    };
    let mut index = v1::Index {
        container: demuxer.container.clone(),
        identity: Some(source.identity().clone().into()),
        video: Some(v1::VideoStream {
            facts: Some(facts.into()),
            decoder: Some(decoder),
            time_base: Some(gathered.time_base.into()),
            origin: Some(origin.into()),
            first_pts: frames.pts[0],
            pts: fold_runs(&frames.pts),
            last_duration: frames.last_duration as u64,
            packets: Some(fold_packets(&gathered.packets, &gathered.random_access)),
            constant_rate: frames.rate.map(Into::into),
        }),
        audio: audio.into_iter().map(Into::into).collect(),
        addressable: gathered.addressable,
        faults,
        // Files of their own are not read here.
        texts: Vec::new(),
        edit: None,
        scenes: Vec::new(),
    };
    first_picture::complete(source, &mut index)?;
    if profile.segments_begin == SegmentStart::Scenes {
        index.scenes = scenes::find(source, &index, profile)?;
    }
    let summary = summarise(source, profile, &index, gathered.random_access.len())?;
    let texts = subtitles::describe(&demuxer);
    Ok((index, v1::IndexSummary { texts, ..summary }))
}

/// The summary of a mezzanine as that of a title that is made of it and, by the edit in its index, of others.
pub fn summary_of_edited(
    summary: v1::IndexSummary,
    index: &v1::Index,
    profile: &Profile,
) -> Result<v1::IndexSummary, MediaError> {
    let times = TitleTimes::new(index, &profile.picture)?;
    Ok(v1::IndexSummary {
        frames: times.frames(),
        duration: Some(times.duration().into()),
        timing: Some(timing(index, &times, profile)?.into()),
        ..summary
    })
}

struct Claims {
    facts: VideoFacts,
    rates: Vec<Rational>,
}

fn describe_video(
    source: &Source,
    demuxer: &Demuxer,
    stream: usize,
) -> Result<(StreamParameters, Claims), MediaError> {
    let place = source.location();
    let missing = || MediaError::invalid(format!("{place} lost its video stream"));
    let stream = demuxer.input.stream(stream).ok_or_else(missing)?;
    let video = parameters(&stream);
    if video.width == 0 || video.height == 0 {
        return Err(MediaError::invalid(format!(
            "{place} holds {} pictures of unknown size: it is damaged, or its codec is not supported",
            video.codec
        )));
    }
    crate::decode::check_decoder(&video.codec)
        .map_err(|reason| MediaError::invalid(format!("{place}: {reason}")))?;
    let facts = VideoFacts {
        stream: stream.index() as u32,
        codec: video.codec.clone(),
        codec_profile: video.codec_profile.clone(),
        width: video.width,
        height: video.height,
        sample_aspect: video.sample_aspect,
        rotation: rotation(&stream),
        pixel_format: video.pixel_format.clone(),
        scan: video.scan,
        telecine: false,
        timecode: demuxer.timecode(stream.index()).unwrap_or_default(),
        streams: demuxer.video_streams().count() as u32,
        // Grey stills become RGB as well.
        colour: match demuxer.container == STILLS {
            true => Colour { matrix: 0, ..video.colour },
            false => video.colour,
        },
        hdr10: first_picture::hdr10_of_stream(&stream),
        captions: false,
    };
    let rates = [stream.avg_frame_rate(), stream.rate()].into_iter().filter_map(rational).collect();
    Ok((video, Claims { facts, rates }))
}

fn gather(
    source: &Source,
    demuxer: &mut Demuxer,
    stream: usize,
    video: &StreamParameters,
    damage: DamageRule,
) -> Result<Gathered, MediaError> {
    let syntax = Syntax::of(&video.codec, video.intra_only, &video.decoder.extradata);
    if demuxer.container.starts_with("mov,") {
        let track = demuxer.input.stream(stream).map_or(0, |stream| stream.id() as u32);
        if let Some(gathered) = gather::from_tables(source, track, &video.codec, syntax)? {
            return Ok(gathered);
        }
    }
    sweep::by_scan(source, demuxer, stream, syntax, damage)
}

fn describe_audio(demuxer: &Demuxer, origin: Rational) -> Vec<AudioFacts> {
    let streams = demuxer.input.streams().filter(|s| s.parameters().medium() == ff::media::Type::Audio);
    streams.map(|stream| audio_facts(&stream, origin)).collect()
}

fn audio_facts(stream: &ff::Stream, origin: Rational) -> AudioFacts {
    let audio = parameters(stream);
    let start = rational(stream.time_base())
        .filter(|_| stream.start_time() != ff::ffi::AV_NOPTS_VALUE)
        .and_then(|base| Rational::whole(stream.start_time()).checked_mul(base)?.checked_sub(origin));
    AudioFacts {
        stream: stream.index() as u32,
        codec: audio.codec,
        sample_rate: audio.sample_rate,
        channels: audio.channels,
        layout: audio.layout,
        language: stream.metadata().get("language").unwrap_or_default().to_owned(),
        start: start.unwrap_or(Rational::ZERO),
    }
}

/// The largest number of frames that a decoder must hold back to give them out in presentation order: for each
/// packet, how many of the packets before it in decode order are shown after it.
fn reorder(gathered: &Gathered) -> u32 {
    let depth = |number: usize| {
        let earlier = &gathered.packets[number.saturating_sub(2 * MAX_REORDER)..number];
        earlier.iter().filter(|packet| packet.pts > gathered.packets[number].pts).count()
    };
    (0..gathered.packets.len()).map(depth).max().unwrap_or(0).min(MAX_REORDER) as u32
}

/// No codec reorders by more: H.264 and HEVC hold at most 16 pictures.
const MAX_REORDER: usize = 16;

fn summarise(
    source: &Source,
    profile: &Profile,
    index: &v1::Index,
    random_access_points: usize,
) -> Result<v1::IndexSummary, MediaError> {
    let times = TitleTimes::new(index, &profile.picture)?;
    Ok(v1::IndexSummary {
        artifact: None,
        container: index.container.clone(),
        video: index.video.as_ref().and_then(|video| video.facts.clone()),
        audio: index.audio.clone(),
        frames: times.frames(),
        random_access_points: random_access_points as u64,
        duration: Some(times.duration().into()),
        timing: Some(timing(index, &times, profile)?.into()),
        texts: Vec::new(),
        bytes_read: source.bytes_read(),
    })
}

fn timing(index: &v1::Index, times: &TitleTimes, profile: &Profile) -> Result<Timing, MediaError> {
    Ok(match (edit::of(index)?, times.constant_rate()) {
        (Some(edit), _) => {
            let (most_pixels, overlay_bytes) = edit::memory(index)?;
            Timing::Edited { rate: edit.rate, spans: edit.spans, most_pixels, overlay_bytes }
        }
        (None, Some(rate)) if profile.segments_begin == SegmentStart::Scenes => {
            let regular = SegmentGrid::regular(times.frames(), profile.segment_frames(rate), 1);
            let regular = regular.map_err(|error| MediaError::invalid(error.to_string()))?;
            let starts: Vec<u64> =
                (0..regular.segments()).map(|number| regular.segment_start(number)).collect();
            let segment_starts = scenes::move_to_scenes(&starts, times.frames(), &index.scenes);
            Timing::Scenes { rate, segment_starts }
        }
        (None, Some(rate)) => Timing::Constant { rate },
        (None, None) => {
            let starts = segment_starts(times, profile.segment_seconds);
            let segment_starts = scenes::move_to_scenes(&starts, times.frames(), &index.scenes);
            Timing::Variable { average_rate: times.average_rate(), segment_starts }
        }
    })
}

/// When each segment of a title ends, in milliseconds.
pub fn segment_ends_ms(index: &v1::Index, profile: &Profile) -> Result<Vec<u64>, MediaError> {
    let times = TitleTimes::new(index, &profile.picture)?;
    let grid = grid(index, &times, profile)?;
    // A sample of a track of that rate is a millisecond.
    Ok((1..=grid.segments()).map(|segment| times.sample_at(grid.segment_start(segment), 1000)).collect())
}

/// Segments and parts of a title, as the plan has them.
pub fn title_grid(index: &v1::Index, profile: &Profile) -> Result<SegmentGrid, MediaError> {
    grid(index, &TitleTimes::new(index, &profile.picture)?, profile)
}

/// Where the segments of a title begin, as the plan cuts it.
pub(crate) fn grid(
    index: &v1::Index,
    times: &TitleTimes,
    profile: &Profile,
) -> Result<SegmentGrid, MediaError> {
    let summary = IndexSummary {
        artifact: Artifact::of(&[]),
        container: index.container.clone(),
        video: facts::video(index)?,
        audio: Vec::new(),
        frames: times.frames(),
        random_access_points: 0,
        duration: times.duration(),
        timing: timing(index, times, profile)?,
        texts: Vec::new(),
        bytes_read: 0,
    };
    profile.grid(&summary).map_err(|error| MediaError::invalid(error.to_string()))
}

/// With a variable frame rate, segment k begins at the first frame shown at or after k segment lengths; a tail
/// shorter than half a segment joins the segment before.
fn segment_starts(times: &TitleTimes, segment_seconds: Rational) -> Vec<u64> {
    let timescale = Rational::whole(times.timescale().into());
    let length = segment_seconds.checked_mul(timescale).map_or(1, Rational::round).max(1);
    let end = times.ticks(times.frames());
    let mut starts = vec![0];
    let mut next = length;
    for frame in 1..times.frames() {
        let ticks = times.ticks(frame);
        if ticks >= next && (end - ticks) * 2 >= length {
            starts.push(frame);
            next = (ticks / length + 1) * length;
        }
    }
    starts
}
