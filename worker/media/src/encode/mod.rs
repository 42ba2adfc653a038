//! A chunk: its frames decoded once, and every rendition of every part encoded from that one decode, and proved.
//!
//! One thread decodes; one thread for each rendition scales and encodes; one decodes what they write and compares it
//! with what they were given. Queues between them are short, so that a slow encoder holds up the decoder instead of
//! filling memory.

mod detect;
mod judge;
mod lane;
mod overlap;
mod part;
mod prover;
mod setup;

use std::collections::VecDeque;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, mpsc};
use std::thread;

use reel_common::{FailureClass, PartIndex, PartSpec, RecipeKey, Scan};
use reel_profiles::{DamageRule, Profile};
use reel_proto::v1;
use reel_store::Source;

pub(crate) use self::detect::Detector;
use self::lane::{Assignment, Lane, Order};
use self::overlap::Overlap;
use self::part::scratch_path;
use self::prover::{Claim, Prover};
use self::setup::{RenditionSetup, renditions};
use crate::captions::PartCaptions;
use crate::decode::Speed;
use crate::edit::Piece;
use crate::encoder::Settings;
use crate::facts;
use crate::frames::{Decoded, FrameReader, Reading};
use crate::measure::Reducer;
use crate::overlay::Overlay;
use crate::recipe::{PacketDigests, VideoRecipe, Window, video_key};
use crate::timeline::Timeline;
use crate::tone::ToneTable;
use crate::{MediaError, edit};

/// Decoded frames that wait for one encoder.
const QUEUED_FRAMES: usize = 4;
/// Claims that wait for the prover: thumbnails of 2.3 kB, and now and then a segment.
const QUEUED_CLAIMS: usize = 64;

/// A chunk to encode.
pub struct EncodeJob<'a> {
    /// The mezzanine, and those that the title's edit has beside it.
    pub sources: &'a [Source],
    /// The title's index.
    pub index: &'a v1::Index,
    /// The recipe.
    pub profile: &'a Profile,
    /// Consecutive parts of the title.
    pub parts: &'a [PartSpec],
    /// Of each part the rate factors in thousandths, one for each rendition whose rate is no rate factor, in the ladder's
    /// order; of no part where there is none.
    pub qualities: &'a [Vec<u32>],
    /// What the encode is for.
    pub purpose: Purpose,
    /// Where finished files are left.
    pub scratch: &'a Path,
}

/// What an encode is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// For the title.
    Title,
    /// To see how large and how good the renditions become that have no rate factor; they are all that is encoded.
    Probe {
        /// At fast settings.
        draft: bool,
    },
}

/// What an encode attempt asks and tells while it runs.
pub trait EncodeEvents {
    /// The record of a part that is in the store already. Records count frames and ticks from the beginning of the part's
    /// source.
    fn find(&mut self, key: RecipeKey) -> Option<v1::RenditionPart>;
    /// Frames done of the chunk's total, and the part in hand.
    fn progress(&mut self, done: u64, total: u64, part: PartIndex);
    /// A part is complete; a rendition that was found in the store has no file. No frame is decoded until this returns, so
    /// that of the next part only what it shares with this one is in hand.
    fn part_finished(&mut self, record: v1::PartRecord, files: Vec<Option<PathBuf>>);
    /// Whether a part may still be begun, or, when begun early, finished.
    fn next_part_allowed(&mut self, part: PartIndex) -> bool;
}

/// Encodes the parts of a chunk that are not in the store, in order.
pub fn encode(job: &EncodeJob<'_>, events: &mut dyn EncodeEvents) -> Result<(), MediaError> {
    let pieces = edit::pieces(job.index, job.profile)?;
    let beyond = || MediaError::failed("a part lies beyond the title: the plan is not of this index");
    let mut progress = (0, job.parts.iter().map(PartSpec::frames).sum());
    let mut rest = job.parts;
    while let Some(first) = rest.first() {
        let piece = pieces.iter().find(|piece| first.start() < piece.end()).ok_or_else(beyond)?;
        let (parts, others) = rest.split_at(rest.iter().take_while(|part| part.end <= piece.end()).count());
        if parts.is_empty() {
            return Err(beyond());
        }
        let done = job.parts.len() - rest.len();
        let chunk = Chunk {
            source: job.sources.get(piece.source).ok_or_else(beyond)?,
            piece,
            parts: parts.iter().map(|part| piece.part_of_source(part, job.profile)).collect(),
            qualities: job.qualities.get(done..).unwrap_or_default(),
        };
        encode_chunk(job, &chunk, progress, events)?;
        progress.0 += parts.iter().map(PartSpec::frames).sum::<u64>();
        rest = others;
    }
    Ok(())
}

/// Consecutive parts that are made of one piece of the title, in frames of its source.
struct Chunk<'a> {
    source: &'a Source,
    piece: &'a Piece<'a>,
    parts: Vec<PartSpec>,
    qualities: &'a [Vec<u32>],
}

/// `progress` is how many frames are done, and in total.
fn encode_chunk(
    job: &EncodeJob<'_>,
    chunk: &Chunk<'_>,
    progress: (u64, u64),
    events: &mut dyn EncodeEvents,
) -> Result<(), MediaError> {
    let timeline = chunk.piece.timeline()?;
    let facts = facts::video(chunk.piece.index)?;
    let renditions = renditions(job, facts.rotation, &timeline)?;
    let tones = facts::tones(&facts, job.profile)?;
    let overlays = chunk.piece.overlays()?;
    let given = renditions.iter().filter(|rendition| rendition.given.is_some()).count();
    let known =
        chunk.qualities.iter().take(chunk.parts.len()).filter(|quality| quality.len() == given).count();
    if given > 0 && known != chunk.parts.len() {
        let message = "the task lacks the rate factor of a part: give all hosts the same version";
        return Err(MediaError::failed(message));
    }
    thread::scope(|scope| {
        let (results, finished) = mpsc::channel();
        let (claims, inbox) = mpsc::sync_channel(QUEUED_CLAIMS);
        let (renditions, timeline) = (renditions.as_slice(), &timeline);
        let proved = results.clone();
        let prover = move || Prover::new(renditions, timeline.times(), proved).run_guarded(&inbox);
        thread::Builder::new().name("prove".to_owned()).spawn_scoped(scope, prover).map_err(no_thread)?;
        let lanes = renditions.iter().enumerate().map(|(number, rendition)| {
            let (orders, inbox) = mpsc::sync_channel(QUEUED_FRAMES);
            let (prover, results) = (claims.clone(), results.clone());
            let lane = Lane { number, rendition, timeline, prover, results };
            let name = rendition.settings.rendition.rendition.name.clone();
            let lane = move || lane.run_guarded(&inbox);
            thread::Builder::new().name(name).spawn_scoped(scope, lane).map_err(no_thread)?;
            Ok(orders)
        });
        let lanes = lanes.collect::<Result<_, MediaError>>()?;
        drop(results);
        let digests = PacketDigests::new(chunk.source, chunk.piece.index, timeline);
        let qualities = chunk.qualities.iter().map(Vec::as_slice).chain(std::iter::repeat(&[][..]));
        let queue = chunk.parts.iter().cloned().zip(qualities).collect();
        let (done, total) = progress;
        let director = Director {
            job,
            chunk,
            timeline,
            renditions,
            lanes,
            prover: claims,
            finished,
            reducer: Reducer::new(facts.rotation),
            detector: Detector::new(
                renditions.first().is_some_and(|first| first.settings.coded_colour().full_range),
            ),
            scan: facts.scan,
            tones,
            overlays,
            digests,
            queue,
            prepared: None,
            open: VecDeque::new(),
            lacking: false,
            done,
            total,
        };
        director.run(events)
    })
}

/// A part with its keys, and what of it is in the store.
struct Prepared {
    spec: PartSpec,
    renditions: Vec<PreparedRendition>,
}

struct PreparedRendition {
    key: RecipeKey,
    settings: Settings,
    window: Window,
    found: Option<v1::RenditionPart>,
}

impl Prepared {
    /// The frames that the missing renditions need, if any is missing.
    fn frames(&self) -> Option<Window> {
        let missing = self.renditions.iter().filter(|rendition| rendition.found.is_none());
        missing
            .map(|rendition| rendition.window)
            .reduce(|a, b| Window { start: a.start.min(b.start), end: a.end.max(b.end) })
    }
}

/// A part in hand.
struct OpenPart {
    spec: PartSpec,
    keys: Vec<RecipeKey>,
    /// The window of each rendition that is being encoded, until its lane was told that it is over.
    feeding: Vec<Option<Window>>,
    /// For each rendition, what it shares with the parts before and after.
    overlaps: Vec<Overlap>,
    /// Frames of the part for which another stands.
    mended: Vec<u64>,
    /// Frames of the part that are black or frozen.
    pictures: v1::PictureRuns,
    captions: PartCaptions,
    records: Vec<Option<v1::RenditionPart>>,
    files: Vec<Option<PathBuf>>,
}

impl OpenPart {
    /// Whether all renditions are there, and all frames were seen that the part shares with its neighbours.
    fn is_complete(&self) -> bool {
        self.records.iter().all(Option::is_some) && self.feeding.iter().all(Option::is_none)
    }

    /// Adds to the records of what was encoded here what decoding has shown of it. Where a frame was `lacking`, another
    /// decode of the same frames may lack others.
    fn complete_records(&mut self, lacking: bool) {
        let encoded = self.records.iter_mut().zip(&self.overlaps).zip(&self.files);
        for ((record, overlap), _) in encoded.filter(|(_, file)| file.is_some()) {
            let Some(record) = record else { continue };
            record.pictures = Some(self.pictures.clone());
            record.captions = Some(self.captions.record());
            if let Some(proof) = record.proof.as_mut() {
                if !lacking {
                    overlap.tell(proof);
                }
                proof.mended.clone_from(&self.mended);
            }
        }
    }
}

/// A rendition of a part that was encoded and proved.
struct Proved {
    lane: usize,
    part: PartIndex,
    record: v1::RenditionPart,
    path: PathBuf,
}

/// What lanes and prover tell the director; after an error they tell nothing more.
type Outcome = Result<Proved, MediaError>;

/// Decodes, and tells lanes and prover what to do with the frames.
struct Director<'a> {
    job: &'a EncodeJob<'a>,
    chunk: &'a Chunk<'a>,
    timeline: &'a Timeline,
    renditions: &'a [RenditionSetup],
    lanes: Vec<mpsc::SyncSender<Order>>,
    prover: mpsc::SyncSender<Claim>,
    finished: mpsc::Receiver<Outcome>,
    reducer: Reducer,
    detector: Detector,
    /// How the mezzanine's lines were taken.
    scan: Scan,
    tones: Option<Arc<ToneTable>>,
    /// Logos over the frames of the chunk.
    overlays: Vec<Overlay>,
    digests: PacketDigests<'a>,
    queue: VecDeque<(PartSpec, &'a [u32])>,
    /// The part after the last open one, looked up early so that the decoder knows how far to go.
    prepared: Option<Prepared>,
    open: VecDeque<OpenPart>,
    /// Whether a frame was mended since the decoder in hand was opened.
    lacking: bool,
    done: u64,
    total: u64,
}

impl Director<'_> {
    fn run(mut self, events: &mut dyn EncodeEvents) -> Result<(), MediaError> {
        while self.prepare(events)? {
            match self.prepared.as_ref().and_then(Prepared::frames) {
                Some(window) => self.decode_from(window, events)?,
                None => self.begin(events)?,
            }
        }
        Ok(())
    }

    /// Looks up the next part; `false` when there is none.
    fn prepare(&mut self, events: &mut dyn EncodeEvents) -> Result<bool, MediaError> {
        if self.prepared.is_some() {
            return Ok(true);
        }
        let next = self.queue.pop_front();
        let Some((spec, quality)) = next.filter(|(spec, _)| events.next_part_allowed(spec.index)) else {
            self.queue.clear();
            return Ok(false);
        };
        let mut renditions = Vec::with_capacity(self.renditions.len());
        for setup in self.renditions {
            let window = Window::of(&spec, setup.surroundings, self.timeline.seen());
            let settings = setup.settings_of(quality);
            let recipe = VideoRecipe {
                settings: &settings,
                headers: &setup.headers,
                vmaf: setup.vmaf,
                rules: &self.chunk.piece.rules,
                scan: self.scan,
                tones: self.tones.as_ref().map(|tones| tones.digest()),
                damage: self.job.profile.admission.damage,
                overlays: &self.overlays,
            };
            let key = video_key(&mut self.digests, &recipe, &spec, window)?;
            renditions.push(PreparedRendition { key, settings, window, found: events.find(key) });
        }
        self.prepared = Some(Prepared { spec, renditions });
        Ok(true)
    }

    /// Opens the prepared part.
    fn begin(&mut self, events: &mut dyn EncodeEvents) -> Result<(), MediaError> {
        let Some(prepared) = self.prepared.take() else { return Ok(()) };
        let spec = prepared.spec;
        let mut part = OpenPart {
            spec: spec.clone(),
            keys: prepared.renditions.iter().map(|rendition| rendition.key).collect(),
            feeding: Vec::new(),
            overlaps: Vec::new(),
            mended: Vec::new(),
            pictures: v1::PictureRuns::default(),
            captions: PartCaptions::default(),
            records: Vec::new(),
            files: vec![None; self.lanes.len()],
        };
        for (lane, rendition) in prepared.renditions.into_iter().enumerate() {
            let window = rendition.window;
            part.feeding.push(rendition.found.is_none().then_some(window));
            let around = self.renditions[lane].surroundings;
            part.overlaps.push(Overlap::new(&spec, around, self.timeline.seen()));
            if rendition.found.is_none() {
                self.claim(Claim::Begin { lane, spec: spec.clone() })?;
                let path = scratch_path(self.job.scratch, &rendition.key);
                let PreparedRendition { settings, window, .. } = rendition;
                let assignment = Assignment { spec: spec.clone(), settings, window, path };
                self.order(lane, Order::Begin(Box::new(assignment)))?;
            }
            // Another profile may have stored it under another name.
            let name = &self.renditions[lane].settings.rendition.rendition.name;
            let found = rendition.found.map(|found| v1::RenditionPart { rendition: name.clone(), ..found });
            part.records.push(found);
        }
        self.open.push_back(part);
        events.progress(self.done, self.total, spec.index);
        self.deliver_complete(events)
    }

    /// Decodes on from the start of the prepared part for as long as one part's window runs into the next's.
    fn decode_from(&mut self, window: Window, events: &mut dyn EncodeEvents) -> Result<(), MediaError> {
        let reading = Reading {
            source: self.chunk.source,
            index: self.chunk.piece.index,
            timeline: self.timeline,
            rules: &self.chunk.piece.rules,
            tones: self.tones.clone(),
            overlays: self.overlays.iter().map(Overlay::again).collect(),
            damage: self.job.profile.admission.damage,
            speed: Speed::Exact,
        };
        let mut reader = FrameReader::new(reading, (window.start, window.end))?;
        while let Some(decoded) = reader.next()? {
            let frame = decoded.frame;
            self.lacking = reader.is_lacking();
            self.join_in(frame, &mut reader, events)?;
            self.feed(decoded, events)?;
            if self.open.is_empty() && frame >= window.start {
                break;
            }
        }
        while !self.open.is_empty() {
            let proved = self.finished.recv().map_err(|_| thread_gone())??;
            self.take_proved(proved, events)?;
        }
        Ok(())
    }

    /// Opens the prepared part when its window begins, and looks up the one after it.
    fn join_in(
        &mut self,
        frame: u64,
        reader: &mut FrameReader<'_>,
        events: &mut dyn EncodeEvents,
    ) -> Result<(), MediaError> {
        while let Some(window) = self.prepared.as_ref().and_then(Prepared::frames) {
            let index = self.prepared.as_ref().map_or(PartIndex(0), |prepared| prepared.spec.index);
            let may_begin = self.open.is_empty() || self.shares_decoder();
            if frame < window.start || !reader.reaches(window.end - 1) || !may_begin {
                break;
            }
            if !self.open.is_empty() && !events.next_part_allowed(index) {
                self.prepared = None;
                self.queue.clear();
                break;
            }
            self.begin(events)?;
            if self.prepare(events)? {
                let next = self.prepared.as_ref().and_then(Prepared::frames);
                // Only a part that follows without a gap shares the decoder.
                if let Some(next) = next.filter(|next| self.shares_decoder() && reader.reaches(next.start)) {
                    reader.extend(next.end)?;
                }
            }
        }
        Ok(())
    }

    /// A part that mends damage has a decoder of its own, so that it does not depend on the parts before it.
    fn shares_decoder(&self) -> bool {
        self.job.profile.admission.damage == DamageRule::Refuse
    }

    fn feed(&mut self, decoded: Decoded, events: &mut dyn EncodeEvents) -> Result<(), MediaError> {
        let Decoded { frame, picture, mended, captions } = decoded;
        let own = self.open.iter_mut().find(|part| (part.spec.start()..part.spec.end).contains(&frame));
        if let Some(part) = own {
            part.captions.add(frame, &captions);
            if mended {
                part.mended.push(frame);
            }
        }
        let wanted: Vec<usize> = (0..self.lanes.len()).filter(|lane| self.is_wanted(*lane, frame)).collect();
        if !wanted.is_empty() {
            let seen = self.detector.look(frame, &picture)?;
            let reduced = self.reducer.reduce(&picture)?;
            for part in &mut self.open {
                part.overlaps.iter_mut().for_each(|overlap| overlap.add(frame, &reduced));
                if (part.spec.start()..part.spec.end).contains(&frame) {
                    seen.add_to(frame, &mut part.pictures);
                }
            }
            self.claim(Claim::Frame(frame, Box::new(reduced.thumbnail)))?;
        }
        for lane in wanted {
            self.order(lane, Order::Frame(frame, Arc::clone(&picture)))?;
        }
        for lane in 0..self.lanes.len() {
            let mut over = Vec::new();
            for part in &mut self.open {
                if part.feeding[lane].is_some_and(|window| frame + 1 >= window.end) {
                    part.feeding[lane] = None;
                    over.push(part.spec.index);
                }
            }
            for part in over {
                self.order(lane, Order::End(part))?;
            }
        }
        self.deliver_complete(events)?;
        if let Some(part) = self.open.iter().find(|part| (part.spec.start()..part.spec.end).contains(&frame))
        {
            events.progress(self.done + frame - self.first_open(), self.total, part.spec.index);
        }
        while let Ok(outcome) = self.finished.try_recv() {
            self.take_proved(outcome?, events)?;
        }
        Ok(())
    }

    fn is_wanted(&self, lane: usize, frame: u64) -> bool {
        self.open.iter().any(|part| part.feeding[lane].is_some_and(|window| window.contains(frame)))
    }

    fn first_open(&self) -> u64 {
        self.open.front().map_or(0, |part| part.spec.start())
    }

    fn order(&self, lane: usize, order: Order) -> Result<(), MediaError> {
        self.lanes[lane].send(order).map_err(|_| self.why_gone())
    }

    fn claim(&self, claim: Claim) -> Result<(), MediaError> {
        self.prover.send(claim).map_err(|_| self.why_gone())
    }

    /// What a thread has said that has ended before its time.
    fn why_gone(&self) -> MediaError {
        self.finished.iter().find_map(Result::err).unwrap_or_else(thread_gone)
    }

    fn take_proved(&mut self, proved: Proved, events: &mut dyn EncodeEvents) -> Result<(), MediaError> {
        let Proved { lane, part, mut record, path } = proved;
        let setup = &self.renditions[lane];
        record.rendition = setup.settings.rendition.rendition.name.clone();
        record.width = setup.settings.rendition.width;
        record.height = setup.settings.rendition.height;
        record.codec_config = setup.headers.config.clone();
        if let Some(part) = self.open.iter_mut().find(|open| open.spec.index == part) {
            record.recipe_key = part.keys[lane].0.0.to_vec();
            part.files[lane] = Some(path);
            part.records[lane] = Some(record);
        }
        self.deliver_complete(events)
    }

    /// Hands over the parts that are complete, in order, and drops those that were given away meanwhile.
    fn deliver_complete(&mut self, events: &mut dyn EncodeEvents) -> Result<(), MediaError> {
        let mut delivered = false;
        while self.open.front().is_some_and(OpenPart::is_complete) {
            let Some(mut part) = self.open.pop_front() else { break };
            part.complete_records(self.lacking);
            self.done += part.spec.frames();
            events.progress(self.done, self.total, part.spec.index);
            let renditions = part.records.into_iter().flatten().collect();
            events.part_finished(v1::PartRecord { part: part.spec.index.0, renditions }, part.files);
            delivered = true;
        }
        if !delivered {
            return Ok(());
        }
        if let Some(at) = self.open.iter().position(|part| !events.next_part_allowed(part.spec.index)) {
            // The last first, so that a lane does not begin one of them for want of the one before.
            for part in self.open.split_off(at).into_iter().rev() {
                for lane in 0..self.lanes.len() {
                    self.order(lane, Order::Abandon(part.spec.index))?;
                }
                self.claim(Claim::Abandon(part.spec.index))?;
            }
            self.prepared = None;
            self.queue.clear();
        }
        Ok(())
    }
}

fn no_thread(error: io::Error) -> MediaError {
    let message = format!("a thread of the encode cannot be started: {error}");
    MediaError { class: FailureClass::Shortage, message }
}

fn thread_gone() -> MediaError {
    MediaError::failed("a thread of the encode ended without saying why")
}
