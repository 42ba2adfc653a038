//! The proof: what was made, decoded back and held against the mezzanine, every frame and the sound.
//!
//! Parts and tracks are proved by the task that makes them (`encode/prover.rs`, `audio/mod.rs`); [`measure()`] shows that
//! an assembled tree is made of them, that they join, and that each is in its place. [`verify`] trusts nothing of that
//! and decodes the whole tree and the whole mezzanine from end to end.

mod assembled;
mod sound;
mod thumbnail;
mod tree;
mod video;

use std::path::Path;
use std::sync::mpsc;
use std::thread;

use reel_common::{PartIndex, PartSpec};
use reel_profiles::{DamageRule, Profile, ResolvedRendition};
use reel_proto::v1;
use reel_store::Source;

pub use self::assembled::{MeasureJob, measure};
pub(crate) use self::sound::{Passages, check_offsets};
pub(crate) use self::thumbnail::{Luma, Reduced, Reducer, Thumbnail, words};
pub(crate) use self::tree::{CodedDigest, Joined};
use self::tree::{Stream, Tree};
pub(crate) use self::video::{Around, Compared, Comparison, OutputDecoder};
use crate::audio::SoundReader;
use crate::decode::Speed;
use crate::encoder::Surroundings;
use crate::facts::{self, MadeTrack};
use crate::frames::{Decoded, FrameReader, Reading};
use crate::recipe::Window;
use crate::timeline::Timeline;
use crate::{MediaError, index};

/// Thumbnails of the mezzanine that wait for one rendition; 2.3 kB each.
const QUEUED_THUMBNAILS: usize = 256;

/// An output tree to prove from nothing.
pub struct VerifyJob<'a> {
    /// The mezzanine.
    pub source: &'a Source,
    /// Its index.
    pub index: &'a v1::Index,
    /// Tells what the tree must hold, and whether damage was allowed.
    pub profile: &'a Profile,
    /// The tree: a delivered output.
    pub tree: &'a Path,
}

/// Proves a tree: every rendition shows every frame of the mezzanine once, in order, at its time, and every audio
/// track sounds when the mezzanine does. The error names the first thing that does not hold.
pub fn verify(job: &VerifyJob<'_>, progress: &mut dyn FnMut(u64, u64)) -> Result<v1::Proof, MediaError> {
    let timeline = Timeline::new(job.index, &job.profile.picture)?;
    let tracks = facts::tracks(job.index, job.profile)?;
    let tree = expected_tree(job.tree, facts::ladder(job.index, job.profile)?, &tracks)?;
    let (renditions, mended) = prove_video(job, &timeline, &tree.video, progress)?;
    let prove = |stream| prove_audio(job, &timeline, stream, &tracks);
    let audio = tree.audio.iter().map(prove).collect::<Result<_, _>>()?;
    Ok(v1::Proof { renditions, audio, mended, images: None })
}

/// The streams of a tree, which must be those of a ladder and of tracks.
fn expected_tree(
    root: &Path,
    ladder: Vec<ResolvedRendition>,
    tracks: &[MadeTrack<'_>],
) -> Result<Tree, MediaError> {
    let names: Vec<String> = tracks.iter().map(|made| made.track.name.clone()).collect();
    let tree = Tree::read(root, names.first().map(String::as_str))?;
    let renditions = ladder.into_iter().map(|resolved| resolved.rendition.name).collect();
    expect_streams("rendition", &tree.video, renditions)?;
    expect_streams("audio track", &tree.audio, names)?;
    Ok(tree)
}

/// Refuses a tree that lacks a stream, or holds one that nobody asked for.
fn expect_streams(kind: &str, streams: &[Stream], names: Vec<String>) -> Result<(), MediaError> {
    let found = |name: &String| streams.iter().any(|stream| stream.name == *name);
    if let Some(name) = names.iter().find(|name| !found(name)) {
        return Err(MediaError::failed(format!("the output lacks {kind} {name}")));
    }
    match streams.iter().find(|stream| !names.contains(&stream.name)) {
        None => Ok(()),
        Some(stream) => {
            let name = &stream.name;
            Err(MediaError::failed(format!(
                "the output holds {kind} {name}, which its profile does not make"
            )))
        }
    }
}

/// Decodes the mezzanine once, from end to end, beside all renditions. Gives the frames that it lacks as well.
fn prove_video(
    job: &VerifyJob<'_>,
    timeline: &Timeline,
    streams: &[Stream],
    progress: &mut dyn FnMut(u64, u64),
) -> Result<(Vec<v1::RenditionProof>, Vec<u64>), MediaError> {
    thread::scope(|scope| {
        let mut senders = Vec::new();
        let mut provers = Vec::new();
        for stream in streams {
            let (sender, receiver) = mpsc::sync_channel(QUEUED_THUMBNAILS);
            senders.push(sender);
            provers.push(scope.spawn(move || video::prove(stream, timeline, &receiver)));
        }
        let decoded = send_thumbnails(job, timeline, &senders, progress);
        drop(senders);
        let proofs: Vec<_> = provers.into_iter().map(join).collect();
        // A rendition that is short of the mezzanine's frames fails because of the mezzanine.
        let mended = decoded?;
        let reason =
            |proof: &Result<_, MediaError>| proof.as_ref().is_err_and(|e| e.message != video::STARVED);
        let proofs: Result<Vec<_>, _> = match proofs.iter().position(reason) {
            Some(failed) => proofs.into_iter().skip(failed).take(1).collect(),
            None => proofs.into_iter().collect(),
        };
        Ok((proofs?, mended))
    })
}

fn join<T>(thread: thread::ScopedJoinHandle<'_, Result<T, MediaError>>) -> Result<T, MediaError> {
    thread.join().unwrap_or_else(|_| Err(MediaError::failed("a comparison ended in a panic")))
}

fn send_thumbnails(
    job: &VerifyJob<'_>,
    timeline: &Timeline,
    senders: &[mpsc::SyncSender<Thumbnail>],
    progress: &mut dyn FnMut(u64, u64),
) -> Result<Vec<u64>, MediaError> {
    let frames = timeline.frames();
    let (source, index, rules) = (job.source, job.index, &job.profile.picture);
    // Frames that were mended in the encode are mended here alike: what stands for them depends on where decoding began.
    let (damage, spans) = match job.profile.admission.damage {
        DamageRule::Refuse => (DamageRule::Refuse, vec![(0, 0, frames)]),
        _ => (DamageRule::Repeat, decoded_spans(job, timeline)?),
    };
    let facts = facts::video(job.index)?;
    let tones = facts::tones(&facts, job.profile)?;
    let mut reducer = Reducer::new(facts.rotation);
    let mut lacking = Vec::new();
    for (begin, start, end) in spans {
        let tones = tones.clone();
        let reading = Reading { source, index, timeline, rules, tones, damage, speed: Speed::Rough };
        let mut reader = FrameReader::new(reading, (begin, end))?;
        while let Some(Decoded { frame, picture, mended }) = reader.next()? {
            if frame < start {
                continue;
            }
            lacking.extend(mended.then_some(frame));
            let thumbnail = reducer.reduce(&picture)?.thumbnail;
            let listening = senders.iter().filter(|sender| sender.send(thumbnail).is_ok()).count();
            if listening < senders.len() {
                // A rendition that has failed says so itself.
                return Ok(lacking);
            }
            progress(frame + 1, frames);
        }
    }
    Ok(lacking)
}

/// For each part the frame from which it was decoded, and its own `[start, end)`. All renditions begin to decode together.
fn decoded_spans(job: &VerifyJob<'_>, timeline: &Timeline) -> Result<Vec<(u64, u64, u64)>, MediaError> {
    let grid = index::grid(job.index, timeline, job.profile)?;
    let alone = Surroundings { preroll: 0, tail: 0 };
    let parts = (0..grid.parts()).filter_map(|part| grid.part(PartIndex(part)));
    let begin = |part: &PartSpec| Window::of(part, alone, timeline.frames()).start;
    Ok(parts.map(|part| (begin(&part), part.start(), part.end)).collect())
}

fn prove_audio(
    job: &VerifyJob<'_>,
    timeline: &Timeline,
    stream: &Stream,
    tracks: &[MadeTrack<'_>],
) -> Result<v1::AudioProof, MediaError> {
    let made = tracks.iter().find(|made| made.track.name == stream.name);
    let made =
        made.ok_or_else(|| MediaError::failed(format!("nothing is known of track {}", stream.name)))?;
    let origin = facts::origin(job.index)?;
    let rate = made.track.sample_rate;
    let samples = timeline.sample_at(timeline.frames(), rate);
    let mut mezzanine = SoundReader::open(job.source, made, origin)?;
    let passages = Passages::pick(&mut mezzanine, samples)?;
    sound::prove(stream, &passages, made.track)
}
