//! Entries and snapshots of every released version are read as they were meant, for ever.
//!
//! `tests/golden/log-v1.txt` holds one line for each kind of command and one for a whole state: a name, and the bytes
//! in hexadecimal. `REEL_BLESS=1 cargo test -p reel-scheduler codec` writes the file anew; a line that was released is
//! never changed by that, only added.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::PathBuf;

use reel_common::{
    Artifact, AttemptNumber, AudioFacts, Colour, Digest, Epoch, Failure, FailureClass, Flag, Goal, Hdr10,
    Hold, Hook, IndexSummary, JobId, Labels, Measured, PartIndex, Pool, Price, Rational, Scan, SegmentGrid,
    Share, SourceIdentity, Stage, TaskId, TextSource, Timing, VideoFacts, WorkerFacts, WorkerId,
};
use reel_profiles::VideoCodec;
use reel_scheduler_core::plan::RateTarget;
use reel_scheduler_core::rate::RateStep;
use reel_scheduler_core::state::{
    AttemptRecord, CommittedPart, EncodeState, Fault, Job, JobFailure, JobState, JobWorker, Lease, Outcome,
    PartRange, RateLevel, RateRound, RateState, StageBackoff, TaskRecord, TaskSet, Worker,
};
use reel_scheduler_core::{Action, JobSpec, LossCause, Plan, Reserved, TaskResult};

use super::*;

mod images;
mod previews;
mod prices;
mod rates;

use self::images::{image_actions, state_with_images};
use self::previews::{preview_actions, state_with_preview};
use self::prices::{price_actions, state_with_prices};
use self::rates::{rate_actions, state_with_qualities, state_with_rates};

const TASK: TaskId = TaskId { job: JobId(42), stage: Stage::Encode, index: 7 };
const EPOCH: Epoch = Epoch(1234);

fn labels(text: &str) -> Labels {
    let pairs = text.split(' ').filter_map(|label| label.split_once('='));
    Labels::new(pairs.map(|(key, value)| (key.to_owned(), value.to_owned()))).unwrap()
}

fn spec() -> JobSpec {
    JobSpec {
        mezzanine: "s3://bucket/film.mov".into(),
        identity: Some(SourceIdentity { size: 5, modified_us: Some(-1), etag: Some("e".into()) }),
        output: "/srv/out/film".into(),
        priority: -3,
        chunk_parts: Some(2),
        idempotency_key: Some("key".into()),
        project: JobSpec::DEFAULT_PROJECT.into(),
        ..JobSpec::default()
    }
}

fn labelled_spec() -> JobSpec {
    let (labels, needs) = (labels("title=a-113"), labels("site=berlin tier=2"));
    JobSpec { deadline_ms: Some(9_000), labels, needs, ..spec() }
}

fn facts() -> WorkerFacts {
    let (name, slots, memory, scratch) = ("host".to_owned(), 8, 1 << 35, 1 << 40);
    WorkerFacts { name, incarnation: 5, slots, memory, scratch, ..WorkerFacts::default() }
}

fn spot_facts() -> WorkerFacts {
    let codecs = BTreeSet::from(["aac".to_owned(), "h264".to_owned()]);
    WorkerFacts { pool: Pool::Spot, labels: labels("site=berlin"), codecs, ..facts() }
}

fn index(timing: Timing) -> IndexSummary {
    IndexSummary {
        artifact: Artifact::of(b"index"),
        container: "mov".into(),
        video: VideoFacts {
            stream: 1,
            codec: "prores".into(),
            codec_profile: "HQ".into(),
            width: 1920,
            height: 1080,
            sample_aspect: Rational::new(4, 3).unwrap(),
            rotation: 90,
            pixel_format: "yuv422p10le".into(),
            scan: Scan::TopFieldFirst,
            telecine: false,
            timecode: String::new(),
            streams: 0,
            colour: Colour {
                primaries: 1,
                transfer: 1,
                matrix: 1,
                full_range: true,
                chroma_location: Some(0),
            },
            hdr10: Hdr10::default(),
            captions: false,
        },
        audio: vec![AudioFacts {
            stream: 2,
            codec: "pcm_s24le".into(),
            sample_rate: 48_000,
            channels: 6,
            layout: "5.1".into(),
            language: "eng".into(),
            start: Rational::new(-1, 48).unwrap(),
        }],
        frames: 1000,
        random_access_points: 999,
        duration: Rational::new(1001, 24).unwrap(),
        timing,
        texts: Vec::new(),
        bytes_read: 77,
    }
}

fn plan(grid: SegmentGrid) -> Box<Plan> {
    Box::new(Plan {
        grid,
        chunk_parts: 4,
        tracks: vec![0, 2],
        renditions: 4,
        encode_memory: 1 << 31,
        encode_scratch: 0,
        video_codecs: BTreeSet::new(),
        audio_codecs: BTreeSet::new(),
        warnings: vec!["its video is interlaced".into()],
        flags: Vec::new(),
        targets: Vec::new(),
        image_memory: None,
        preview: false,
        check: false,
    })
}

fn plan_with_flags() -> Box<Plan> {
    let flag = |rule: &str, limit: Option<&str>| Flag {
        rule: rule.to_owned(),
        found: "480".to_owned(),
        limit: limit.map(str::to_owned),
        what: "it is 480 high".to_owned(),
    };
    let flags = vec![flag("min_height", Some("720")), flag("interlaced", None)];
    Box::new(Plan { flags, ..*plan(SegmentGrid::regular(1000, 96, 3).unwrap()) })
}

fn plan_with_codecs() -> Box<Plan> {
    let codecs = |name: &str| BTreeSet::from([name.to_owned()]);
    let (video_codecs, audio_codecs) = (codecs("h264"), codecs("aac"));
    let plan = *plan(SegmentGrid::regular(1000, 96, 3).unwrap());
    Box::new(Plan { encode_scratch: 1 << 30, video_codecs, audio_codecs, ..plan })
}

fn failure() -> Failure {
    let mut failure = Failure::new(FailureClass::Shortage, "disk full", "ENOSPC");
    failure.damaged_parts = vec![PartIndex(3)];
    failure.damaged_tracks = vec![1];
    failure
}

fn actions() -> Vec<(&'static str, Action)> {
    let regular = SegmentGrid::regular(1000, 96, 3).unwrap();
    let listed = SegmentGrid::listed(1000, vec![0, 90, 200], 3).unwrap();
    let varying = Timing::Variable { average_rate: Rational::whole(24), segment_starts: vec![0, 90, 200] };
    let constant = Timing::Constant { rate: Rational::new(24_000, 1001).unwrap() };
    let (task, epoch) = (TASK, EPOCH);
    let (job, worker) = (JobId(42), WorkerId(9));
    let commit = |result| Action::CommitTask { task, epoch, result, source_bytes_read: None };
    let register = |facts| Action::RegisterWorker { facts: Box::new(facts) };
    let grant = |parts, memory, scratch| Action::Grant {
        task,
        worker,
        parts,
        reserved: Reserved { memory, scratch },
    };
    let (record, part) = (Artifact::of(b"record"), PartIndex(5));
    vec![
        ("submit_job", Action::SubmitJob { spec: Box::new(spec()), profile: "name = \"p\"".into() }),
        ("commit_plan_regular", Action::CommitPlan { job, plan: plan(regular) }),
        ("commit_plan_listed", Action::CommitPlan { job, plan: plan(listed) }),
        ("reject_plan", Action::RejectPlan { job, reason: "too short".into() }),
        ("register_worker", register(facts())),
        ("register_spot_worker", register(spot_facts())),
        ("submit_labelled_job", Action::SubmitJob { spec: Box::new(labelled_spec()), profile: "p".into() }),
        ("commit_plan_with_codecs", Action::CommitPlan { job, plan: plan_with_codecs() }),
        ("retry_job", Action::RetryJob { job }),
        ("grant_parts", grant(Some(PartRange::new(4, 8)), 1 << 31, 0)),
        ("grant_with_scratch", grant(Some(PartRange::new(4, 8)), 1 << 31, 1 << 30)),
        ("grant", grant(None, 0, 0)),
        (
            "commit_part",
            Action::CommitPart { task, epoch, part, record, encoded: 3, reused: 1, measured: Vec::new() },
        ),
        ("commit_index_constant", commit(TaskResult::Index(Box::new(index(constant))))),
        ("commit_index_variable", commit(TaskResult::Index(Box::new(index(varying))))),
        ("commit_object", commit(TaskResult::Object(record))),
        ("commit_parts", commit(TaskResult::Nothing)),
        (
            "commit_parts_of_bytes",
            Action::CommitTask { task, epoch, result: TaskResult::Nothing, source_bytes_read: Some(1 << 33) },
        ),
        ("fail_attempt", Action::FailAttempt { task, epoch, failure: failure() }),
        ("hand_back", Action::HandBack { task, epoch }),
        ("expire_lease", Action::ExpireLease { task, epoch }),
        ("lose_worker_silent", Action::LoseWorker { worker, cause: LossCause::Silent }),
        ("lose_worker_restarted", Action::LoseWorker { worker, cause: LossCause::FarmRestarted }),
        ("cut_chunk", Action::CutChunk { task, epoch, at_part: PartIndex(6) }),
        ("retry_task", Action::RetryTask { task }),
        ("skip_task", Action::SkipTask { task: TaskId { stage: Stage::Hook, ..task } }),
        ("submit_job_with_hooks", submit_with_hooks()),
        ("submit_hooks_alone", submit_hooks_alone()),
        ("submit_job_with_texts", submit_with_texts()),
        ("register_worker_with_hooks", register(facts_with_hooks())),
        ("cancel_job", Action::CancelJob { job }),
        ("pause_job", Action::PauseJob { job }),
        ("resume_job", Action::ResumeJob { job }),
        ("set_priority", Action::SetPriority { job, priority: -3 }),
        ("prune_jobs", Action::PruneJobs),
        ("note_leaving", Action::NoteLeaving { worker }),
        ("hold_worker", Action::HoldWorker { name: "host".into(), hold: Some(Hold::Drain) }),
        ("release_worker", Action::HoldWorker { name: "host".into(), hold: None }),
        ("set_project", Action::SetProject { name: "show".into(), share: share() }),
        ("submit_job_of_a_project", submit_of_a_project()),
    ]
}

fn attempts() -> VecDeque<AttemptRecord> {
    let outcomes = [Outcome::Done, Outcome::Failed(FailureClass::Lost), Outcome::Revoked];
    let records = outcomes.into_iter().zip(1..).map(|(outcome, number)| AttemptRecord {
        stage: Stage::Audio,
        index: 1,
        attempt: AttemptNumber(number),
        epoch: Epoch(50 + u64::from(number)),
        worker: WorkerId(9),
        started_ms: 10,
        ended_ms: 20,
        outcome,
        message: "m".into(),
        source_bytes_read: None,
    });
    records.collect()
}

fn parts() -> EncodeState {
    let committed = CommittedPart {
        record: Artifact::of(b"part"),
        worker: WorkerId(9),
        epoch: EPOCH,
        encoded: 3,
        reused: 1,
    };
    EncodeState {
        committed: BTreeMap::from([(PartIndex(2), committed)]),
        fresh: 1,
        chunks: BTreeMap::from([(0, PartRange::new(0, 2))]),
        next_chunk: 5,
    }
}

/// A job in which no field has its default value, but for what a later version added.
fn job(state: JobState, profile: &str) -> Job {
    let timing = Timing::Constant { rate: Rational::whole(25) };
    let fault = Fault { host: "host".into(), message: "signal 11".into() };
    let record = TaskRecord {
        attempts: 3,
        last_epoch: EPOCH,
        losses: 1,
        preemptions: 0,
        faults: vec![fault],
        not_before_ms: 99,
    };
    Job {
        spec: spec(),
        profile: Digest::of(profile.as_bytes()),
        state,
        submitted_ms: 5,
        ended_ms: Some(0),
        failure: Some(Box::new(JobFailure { task: Some(TASK), worker: "host".into(), failure: failure() })),
        index: Some(Box::new(index(timing))),
        plan: Some(plan(SegmentGrid::regular(1000, 96, 3).unwrap())),
        encode: parts(),
        audio: BTreeMap::from([(2, Artifact::of(b"audio"))]),
        images: None,
        previewed: 0,
        preview_over: false,
        check: None,
        assembly: Some(Artifact::of(b"assembly")),
        proof: Some(Artifact::of(b"proof")),
        report: Some(Artifact::of(b"report")),
        tasks: BTreeMap::from([((Stage::Encode, 0), record)]),
        backoffs: BTreeMap::from([(Stage::Audio, StageBackoff { shortages: 2, not_before_ms: 77 })]),
        workers: BTreeMap::from([(
            WorkerId(9),
            JobWorker::from(&WorkerFacts { name: "host".into(), ..facts() }),
        )]),
        attempts: attempts(),
        attempts_total: 30,
        parts_encoded_twice: 1,
        renditions_encoded: 12,
        renditions_reused: 4,
        reopenings: 2,
        source_bytes_read: 0,
        cost_micros: 0,
        hooks: TaskSet::default(),
        rate: RateState::default(),
    }
}

fn share() -> Share {
    Share { weight: 3, guarantee: 2, burst: Some(9) }
}

fn submit_of_a_project() -> Action {
    Action::SubmitJob { spec: Box::new(JobSpec { project: "show".into(), ..spec() }), profile: "p".into() }
}

fn hooks() -> Vec<Hook> {
    vec![Hook { name: "notify".into(), tasks: 1 }, Hook { name: "cdn/purge".into(), tasks: 8 }]
}

fn facts_with_hooks() -> WorkerFacts {
    WorkerFacts { hooks: hooks().into_iter().map(|hook| hook.name).collect(), ..facts() }
}

fn submit_with_hooks() -> Action {
    let spec = Box::new(JobSpec { hooks: hooks(), ..spec() });
    Action::SubmitJob { spec, profile: "p".into() }
}

fn submit_with_texts() -> Action {
    let texts = ["en=/srv/a.srt", "en:captions=s3://bucket/a.scc", "pt-BR:forced=/srv/b.vtt"];
    let identity = Some(SourceIdentity { size: 7, modified_us: Some(9), etag: Some("e".into()) });
    let text =
        |text: &str| TextSource { identity: identity.clone(), start_ms: 3_600_000, ..text.parse().unwrap() };
    let spec = Box::new(JobSpec { texts: texts.map(text).into(), ..spec() });
    Action::SubmitJob { spec, profile: "p".into() }
}

fn submit_hooks_alone() -> Action {
    let spec = Box::new(JobSpec { hooks: hooks(), ..JobSpec::default() });
    Action::SubmitJob { spec, profile: String::new() }
}

fn state_with_holds() -> FarmState {
    let holds = BTreeMap::from([("a".to_owned(), Hold::Cordon), ("b".to_owned(), Hold::Drain)]);
    FarmState { holds, ..FarmState::default() }
}

fn state_with_projects() -> FarmState {
    let projects = BTreeMap::from([("all".to_owned(), Share::default()), ("show".to_owned(), share())]);
    FarmState { projects, ..FarmState::default() }
}

fn state() -> FarmState {
    use JobState::{Canceled, Done, Failed, Paused, Queued, Running};
    let profile = "name = \"p\"";
    let states = [Queued, Running, Done, Failed, Canceled, Paused].into_iter().zip(1..);
    let mut jobs: BTreeMap<_, _> = states.map(|(state, id)| (JobId(id), job(state, profile))).collect();
    for (id, job) in &mut jobs {
        job.spec.output = format!("/out/{id}");
        job.spec.idempotency_key = Some(id.to_string());
    }
    let lease = Lease {
        epoch: EPOCH,
        worker: WorkerId(9),
        attempt: AttemptNumber(3),
        granted: Some(PartRange::new(0, 4)),
        reserved: Reserved { memory: 1 << 31, scratch: 0 },
        granted_ms: 44,
        repeated: vec![PartIndex(1)],
    };
    let mut worker = Worker::new(facts());
    (worker.draining, worker.registered_ms, worker.preemptions) = (true, 33, 2);
    let mut state = FarmState {
        applied: 1234,
        clock_ms: 99,
        last_job: JobId(6),
        last_worker: WorkerId(9),
        jobs,
        profiles: BTreeMap::from([(Digest::of(profile.as_bytes()), profile.to_owned())]),
        workers: BTreeMap::from([(WorkerId(9), worker)]),
        leases: BTreeMap::from([(TaskId { job: JobId(2), ..TASK }, lease)]),
        ..FarmState::default()
    };
    state.reindex();
    state
}

/// What placement came to know later: labels, pools, scratch space, preemptions, strikes.
fn state_with_placement() -> FarmState {
    let mut state = state();
    for job in state.jobs.values_mut() {
        job.spec = JobSpec { output: job.spec.output.clone(), idempotency_key: None, ..labelled_spec() };
        job.plan = Some(plan_with_codecs());
        job.tasks.values_mut().for_each(|record| record.preemptions = 4);
    }
    state.leases.values_mut().for_each(|lease| lease.reserved.scratch = 1 << 30);
    state.workers.values_mut().for_each(|worker| worker.facts = spot_facts());
    state.strikes.insert("host".to_owned(), BTreeSet::from([JobId(2), JobId(5)]));
    state.holds.insert("bad".to_owned(), Hold::Quarantine);
    state.reindex();
    state
}

/// The same with hooks, which were added later; of some jobs they have not begun.
fn state_with_hooks() -> FarmState {
    let mut state = state();
    for (id, job) in &mut state.jobs {
        job.spec.hooks = hooks();
        if id.0 % 2 == 0 {
            job.hooks = TaskSet { fresh: 6, open: BTreeSet::from([2, 4]), skipped: BTreeSet::from([3, 5]) };
        }
    }
    state.workers.values_mut().for_each(|worker| worker.facts = facts_with_hooks());
    state
}

/// The same with what was read of the mezzanine, which was added later.
fn state_with_bytes() -> FarmState {
    let mut state = state();
    for job in state.jobs.values_mut() {
        job.source_bytes_read = 1 << 34;
        for (attempt, read) in job.attempts.iter_mut().zip([None, Some(0), Some(1 << 33)]) {
            attempt.source_bytes_read = read;
        }
    }
    state
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(text: &str) -> Vec<u8> {
    let digits = text.as_bytes().chunks(2);
    digits.map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
}

/// The golden lines; a name that has none gets one when the file is blessed.
fn golden(samples: &[(&str, Vec<u8>)]) -> BTreeMap<String, Vec<u8>> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden/log-v1.txt");
    let text = std::fs::read_to_string(&path).unwrap_or_default();
    let lines = text.lines().map(|line| line.split_once(' ').unwrap());
    let mut known: BTreeMap<_, _> = lines.map(|(name, bytes)| (name.to_owned(), unhex(bytes))).collect();
    if std::env::var_os("REEL_BLESS").is_some() {
        for (name, bytes) in samples {
            known.entry((*name).to_owned()).or_insert_with(|| bytes.clone());
        }
        let lines = known.iter().map(|(name, bytes)| format!("{name} {}\n", hex(bytes)));
        std::fs::write(&path, lines.collect::<String>()).unwrap();
    }
    known
}

#[test]
fn every_command_is_read_as_version_1_wrote_it() {
    let samples: Vec<_> = actions()
        .into_iter()
        .chain(rate_actions())
        .chain(image_actions())
        .chain(preview_actions())
        .chain(price_actions())
        .map(|(name, action)| (name, Command::at(1_700_000_000_000, action)))
        .collect();
    let encoded: Vec<_> =
        samples.iter().map(|(name, command)| (*name, encode_entry(std::slice::from_ref(command)))).collect();
    let golden = golden(&encoded);
    for ((name, command), (_, bytes)) in samples.iter().zip(&encoded) {
        let stored = golden.get(*name).unwrap_or_else(|| panic!("{name} has no golden line: bless it"));
        assert_eq!(decode_entry(stored).unwrap(), std::slice::from_ref(command), "{name}");
        assert_eq!(hex(bytes), hex(stored), "{name} is written in another way than before");
        assert!(encoded_len(command) >= bytes.len(), "{name}");
    }
}

#[test]
fn a_state_is_read_as_version_1_wrote_it() {
    let states = [
        ("state", state()),
        ("state_with_bytes", state_with_bytes()),
        ("state_with_hooks", state_with_hooks()),
        ("state_with_images", state_with_images()),
        ("state_with_preview", state_with_preview()),
        ("state_with_prices", state_with_prices()),
        ("state_with_projects", state_with_projects()),
        ("state_with_rates", state_with_rates()),
        ("state_with_qualities", state_with_qualities()),
        ("state_with_holds", state_with_holds()),
        ("state_with_placement", state_with_placement()),
    ];
    for (name, state) in states {
        let bytes = encode_state(&state);
        let golden = golden(&[(name, bytes.clone())]);
        let stored = golden.get(name).unwrap_or_else(|| panic!("{name} has no golden line: bless it"));
        assert_eq!(decode_state(stored).unwrap(), state, "{name}");
        assert_eq!(hex(&bytes), hex(stored), "{name} is written in another way than before");
    }
}

#[test]
fn a_task_that_was_skipped_before_any_was_done_stays_skipped() {
    let mut state = state_with_hooks();
    let skipped = TaskSet { skipped: BTreeSet::from([8]), ..TaskSet::default() };
    state.jobs.values_mut().for_each(|job| job.hooks = skipped.clone());
    assert_eq!(decode_state(&encode_state(&state)).unwrap(), state);
}

#[test]
fn what_no_version_wrote_is_refused_by_name() {
    let error = |bytes: &[u8]| decode_entry(bytes).unwrap_err().to_string();
    let empty = log::v1::Entry { commands: vec![log::v1::Command { now_ms: 1, action: None }] };
    assert!(error(&empty.encode_to_vec()).contains("action of a command"));
    assert!(!error(b"\xff\xff").is_empty());
    let mut commands = encode_entry(&[Command::at(1, Action::RetryTask { task: TASK })]);
    commands.truncate(commands.len() - 1);
    assert!(!error(&commands).is_empty());
}
