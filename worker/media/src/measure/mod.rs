//! The proof: what was made, decoded back and held against the mezzanine, every frame and the sound.
//!
//! Parts and tracks are proved by the task that makes them (`encode/prover.rs`, `audio/mod.rs`); [`measure()`] shows that
//! an assembled tree is made of them, that they join, and that each is in its place. [`verify`] trusts nothing of that
//! and decodes the whole tree and the whole mezzanine from end to end.

mod assembled;
mod comparison;
mod iframes;
mod one_file;
mod sound;
mod thumbnail;
mod tree;
mod ts;
mod video;

use std::path::Path;
use std::sync::mpsc;
use std::thread;

use reel_common::{PartIndex, PartSpec};
use reel_profiles::{DamageRule, Profile, ResolvedRendition};
use reel_proto::v1;
use reel_store::Source;

pub use self::assembled::{MeasureJob, measure};
pub(crate) use self::comparison::{Around, Compared, Comparison};
pub use self::one_file::{MediaFile, media_file};
pub(crate) use self::sound::{Passages, check_offsets};
pub(crate) use self::thumbnail::{Luma, Reduced, Reducer, Thumbnail, difference, words};
pub(crate) use self::tree::{CodedDigest, Joined};
use self::tree::{Stream, Tree};
pub(crate) use self::video::OutputDecoder;
use crate::audio::TitleSound;
use crate::decode::Speed;
use crate::edit::Piece;
use crate::encoder::Surroundings;
use crate::facts::{self, MadeTrack};
use crate::frames::{Decoded, FrameReader, Reading};
use crate::overlay::Overlay;
use crate::recipe::Window;
use crate::timeline::Timeline;
use crate::times::TitleTimes;
use crate::{MediaError, edit, index};

/// Thumbnails of the mezzanine that wait for one rendition; 2.3 kB each.
const QUEUED_THUMBNAILS: usize = 256;

/// An output tree to prove from nothing.
pub struct VerifyJob<'a> {
    /// The mezzanine, and those that the title's edit has beside it.
    pub sources: &'a [Source],
    /// The title's index.
    pub index: &'a v1::Index,
    /// Tells what the tree must hold, and whether damage was allowed.
    pub profile: &'a Profile,
    /// The tree: a delivered output.
    pub tree: &'a Path,
}

/// Proves a tree: every rendition shows every frame of the mezzanine once, in order, at its time, and every audio
/// track sounds when the mezzanine does. The error names the first thing that does not hold.
pub fn verify(job: &VerifyJob<'_>, progress: &mut dyn FnMut(u64, u64)) -> Result<v1::Proof, MediaError> {
    let times = TitleTimes::new(job.index, &job.profile.picture)?;
    let tracks = facts::tracks(job.index, job.profile)?;
    let tree = expected_tree(job.tree, facts::ladder(job.index, job.profile)?, &tracks)?;
    if job.profile.package.trick_play {
        tree.video.iter().try_for_each(iframes::check)?;
    }
    if job.profile.package.byte_ranges {
        tree.streams().try_for_each(|stream| one_file::check(job.tree, stream))?;
    }
    if job.profile.package.ts {
        ts::check(job.tree, &tree, job.profile)?;
    }
    let (renditions, mended) = prove_video(job, &times, &tree.video, progress)?;
    let prove = |stream| prove_audio(job, &times, stream);
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
    times: &TitleTimes,
    streams: &[Stream],
    progress: &mut dyn FnMut(u64, u64),
) -> Result<(Vec<v1::RenditionProof>, Vec<u64>), MediaError> {
    thread::scope(|scope| {
        let mut senders = Vec::new();
        let mut provers = Vec::new();
        for stream in streams {
            let (sender, receiver) = mpsc::sync_channel(QUEUED_THUMBNAILS);
            senders.push(sender);
            provers.push(scope.spawn(move || video::prove(stream, times, &receiver)));
        }
        let decoded = send_thumbnails(job, times.frames(), &senders, progress);
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
    frames: u64,
    senders: &[mpsc::SyncSender<Thumbnail>],
    progress: &mut dyn FnMut(u64, u64),
) -> Result<Vec<u64>, MediaError> {
    let mut lacking = Vec::new();
    for piece in edit::pieces(job.index, job.profile)? {
        let mut take = |frame: u64, mended: bool, thumbnail: Thumbnail| {
            lacking.extend(mended.then_some(frame));
            progress(frame + 1, frames);
            // A rendition that has failed says so itself.
            senders.iter().filter(|sender| sender.send(thumbnail).is_ok()).count() == senders.len()
        };
        if !each_thumbnail(job, &piece, &mut take)? {
            break;
        }
    }
    Ok(lacking)
}

/// Calls back for each frame of a piece, with its number in the title, until it is told that this is enough.
fn each_thumbnail(
    job: &VerifyJob<'_>,
    piece: &Piece<'_>,
    take: &mut dyn FnMut(u64, bool, Thumbnail) -> bool,
) -> Result<bool, MediaError> {
    let source = job.sources.get(piece.source).ok_or_else(|| MediaError::failed("a source is missing"))?;
    let timeline = &piece.timeline()?;
    let (index, rules) = (piece.index, &piece.rules);
    // Frames that were mended in the encode are mended here alike: what stands for them depends on where decoding began.
    let (damage, spans) = match job.profile.admission.damage {
        DamageRule::Refuse => {
            (DamageRule::Refuse, vec![(piece.first(), piece.first(), piece.first() + piece.frames)])
        }
        _ => (DamageRule::Repeat, decoded_spans(job, piece, timeline)?),
    };
    let facts = facts::video(index)?;
    let tones = facts::tones(&facts, job.profile)?;
    let mut reducer = Reducer::new(facts.rotation);
    let logos = piece.overlays()?;
    for (begin, start, end) in spans {
        let (tones, overlays) = (tones.clone(), logos.iter().map(Overlay::again).collect());
        let reading =
            Reading { source, index, timeline, rules, tones, overlays, damage, speed: Speed::Rough };
        let mut reader = FrameReader::new(reading, (begin, end))?;
        while let Some(Decoded { frame, picture, mended, .. }) = reader.next()? {
            let in_title = piece.start + frame.saturating_sub(piece.first());
            if frame >= start && !take(in_title, mended, reducer.reduce(&picture)?.thumbnail) {
                return Ok(false);
            }
        }
    }
    Ok(true)
}

/// For each part of a piece the frame from which it was decoded, and its own `[start, end)`, in frames of its source. All
/// renditions begin to decode together.
fn decoded_spans(
    job: &VerifyJob<'_>,
    piece: &Piece<'_>,
    timeline: &Timeline,
) -> Result<Vec<(u64, u64, u64)>, MediaError> {
    let times = TitleTimes::new(job.index, &job.profile.picture)?;
    let grid = index::grid(job.index, &times, job.profile)?;
    let alone = Surroundings { preroll: 0, tail: 0 };
    let parts = (0..grid.parts()).filter_map(|part| grid.part(PartIndex(part)));
    let parts = parts.filter(|part| (piece.start..piece.end()).contains(&part.start()));
    let parts = parts.map(|part| piece.part_of_source(&part, job.profile));
    let begin = |part: &PartSpec| Window::of(part, alone, timeline.seen()).start;
    Ok(parts.map(|part| (begin(&part), part.start(), part.end)).collect())
}

fn prove_audio(
    job: &VerifyJob<'_>,
    times: &TitleTimes,
    stream: &Stream,
) -> Result<v1::AudioProof, MediaError> {
    let track = job.profile.audio.iter().position(|track| track.name == stream.name);
    let track =
        track.ok_or_else(|| MediaError::failed(format!("nothing is known of track {}", stream.name)))?;
    let made = &job.profile.audio[track];
    let samples = times.sample_at(times.frames(), made.sample_rate);
    let mut passages = Passages::new(samples);
    TitleSound::new(job.sources, job.index, job.profile, track)?.each_block(&mut |block| {
        passages.add(&block);
        Ok(())
    })?;
    passages.end();
    sound::prove(stream, &passages, made)
}
