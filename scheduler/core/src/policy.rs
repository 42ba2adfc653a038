//! What follows from a failure: the policy of each class, as pure arithmetic on counts.

use reel_common::{Failure, FailureClass, TaskId};

use crate::state::{Fault, StageBackoff, TaskRecord};

/// Losses in a row, without a part between them, after which a task is taken for what kills its workers. Codecs crash in a
/// child and take no worker along, so most losses are the hosts' own: on a fleet that loses a quarter of its workers in
/// the time of a part, five in a row come to one chunk of a thousand, ten to one of a million.
pub const MAX_LOSSES: u32 = 10;
/// Shortages in a row after which a stage gives up: about an hour and a quarter of waiting.
pub const MAX_SHORTAGES: u32 = 20;
/// Failures charged to a task after which it gives up.
pub const MAX_FAULTS: usize = 3;
/// Jobs that a host fails at and another does, without a success of its own between them, after which it gets no more
/// work.
pub const QUARANTINE_JOBS: usize = 3;
/// Preemptions and losses after which a task prefers a worker that stays.
pub const SPOT_PREEMPTIONS: u32 = 3;
/// How often damaged parts and tracks of a job are made again: a store that damages more is to be repaired first.
pub const MAX_REOPENINGS: u32 = 3;
/// First wait of a stage that is short of something; doubled each time.
pub const SHORTAGE_BASE_MS: u64 = 5_000;
/// Longest wait of a stage.
pub const SHORTAGE_CAP_MS: u64 = 300_000;
/// First wait of a task that failed, without jitter; four times as long after the next failure.
pub const FAULT_BASE_MS: u64 = 1_000;

/// What is to be done about a task whose attempt ended without its result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Consequence {
    /// It may be granted again; its record says from when on.
    Again,
    /// Its job fails with this.
    FailJob(Failure),
}

/// An attempt that ended without its result, and where.
#[derive(Clone, Copy, Debug)]
pub struct Ending<'a> {
    /// The task.
    pub task: TaskId,
    /// Name of the worker.
    pub host: &'a str,
    /// How many different hosts the fleet has.
    pub hosts: usize,
    /// The failure.
    pub failure: &'a Failure,
    /// Milliseconds since 1970.
    pub now_ms: u64,
}

/// Charges the ending to the task or its stage, and says what follows.
pub fn judge(ending: Ending<'_>, record: &mut TaskRecord, stage: &mut StageBackoff) -> Consequence {
    match ending.failure.class {
        FailureClass::Preempted => Consequence::Again,
        FailureClass::Lost => on_loss(ending, record),
        FailureClass::Shortage => on_shortage(ending, stage),
        FailureClass::Failed => on_fault(ending, record),
        FailureClass::Invalid | FailureClass::Poisoned => Consequence::FailJob(ending.failure.clone()),
    }
}

fn on_loss(ending: Ending<'_>, record: &mut TaskRecord) -> Consequence {
    record.losses += 1;
    if record.losses < MAX_LOSSES {
        return Consequence::Again;
    }
    let message = format!(
        "{MAX_LOSSES} workers in a row were lost while they ran task {}, the last one was {}: see their logs",
        ending.task, ending.host
    );
    Consequence::FailJob(Failure::new(FailureClass::Lost, &message, &ending.failure.evidence))
}

fn on_shortage(ending: Ending<'_>, stage: &mut StageBackoff) -> Consequence {
    stage.shortages += 1;
    if stage.shortages < MAX_SHORTAGES {
        stage.not_before_ms = ending.now_ms.saturating_add(shortage_wait_ms(stage.shortages));
        return Consequence::Again;
    }
    let message = format!("short of resources {MAX_SHORTAGES} times in a row: {}", ending.failure.message);
    Consequence::FailJob(Failure::new(FailureClass::Shortage, &message, &ending.failure.evidence))
}

fn on_fault(ending: Ending<'_>, record: &mut TaskRecord) -> Consequence {
    let fault = Fault { host: ending.host.to_owned(), message: ending.failure.message.clone() };
    record.faults.push(fault);
    if record.faults.len() < MAX_FAULTS {
        let wait = fault_wait_ms(ending.task, record.faults.len() as u32);
        record.not_before_ms = ending.now_ms.saturating_add(wait);
        return Consequence::Again;
    }
    let class =
        if is_poisoned(&record.faults, ending.hosts) { FailureClass::Poisoned } else { FailureClass::Failed };
    let message = format!("failed {MAX_FAULTS} times, the last time with: {}", ending.failure.message);
    Consequence::FailJob(Failure::new(class, &message, &ending.failure.evidence))
}

/// Whether a task failed the same way wherever it was tried: on three hosts, or on all that there are.
fn is_poisoned(faults: &[Fault], hosts: usize) -> bool {
    let same = faults.windows(2).all(|pair| pair[0].message == pair[1].message);
    let tried: std::collections::BTreeSet<_> = faults.iter().map(|fault| &fault.host).collect();
    same && tried.len() >= hosts.clamp(1, MAX_FAULTS)
}

/// `5 s * 2^(n - 1)`, at most 5 minutes, for the nth shortage in a row, from 1.
fn shortage_wait_ms(shortages: u32) -> u64 {
    let doublings = shortages.saturating_sub(1).min(16);
    (SHORTAGE_BASE_MS << doublings).min(SHORTAGE_CAP_MS)
}

/// `1 s * 4^(n - 1)` for the nth failure, from 1, plus up to half of it, so that tasks which failed together do not come
/// back together. The same task and failure always wait the same.
fn fault_wait_ms(task: TaskId, faults: u32) -> u64 {
    let wait = FAULT_BASE_MS << (2 * faults.saturating_sub(1).min(8));
    let seed = task.job.0 ^ (u64::from(task.index) << 24) ^ (task.stage.number() << 56) ^ u64::from(faults);
    wait + scramble(seed) % (wait / 2)
}

/// One step of SplitMix64 (Steele, Lea, Flood 2014): spreads neighbouring seeds over all values.
fn scramble(seed: u64) -> u64 {
    let mut mixed = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

#[cfg(test)]
mod tests {
    use reel_common::{JobId, Stage};

    use super::*;

    const TASK: TaskId = TaskId { job: JobId(7), stage: Stage::Encode, index: 3 };

    #[test]
    fn waits_are_those_that_version_1_reckoned() {
        let waits = Stage::ALL.map(|stage| fault_wait_ms(TaskId { stage, ..TASK }, 2));
        assert_eq!(waits, [4574, 5865, 5581, 5720, 5434, 4098, 4615, 5624, 4803, 5882, 5864]);
    }

    struct Trial {
        record: TaskRecord,
        stage: StageBackoff,
    }

    impl Trial {
        fn new() -> Self {
            Trial { record: TaskRecord::default(), stage: StageBackoff::default() }
        }

        fn end(&mut self, class: FailureClass, host: &str, message: &str, hosts: usize) -> Consequence {
            let failure = Failure::new(class, message, "the end of stderr");
            let ending = Ending { task: TASK, host, hosts, failure: &failure, now_ms: 1000 };
            judge(ending, &mut self.record, &mut self.stage)
        }
    }

    fn class_of(consequence: Consequence) -> Option<FailureClass> {
        match consequence {
            Consequence::Again => None,
            Consequence::FailJob(failure) => Some(failure.class),
        }
    }

    #[test]
    fn preemption_is_free_however_often_it_comes() {
        let mut trial = Trial::new();
        for _ in 0..1000 {
            assert_eq!(trial.end(FailureClass::Preempted, "a", "going", 1), Consequence::Again);
        }
        assert_eq!(trial.record, TaskRecord::default());
        assert_eq!(trial.stage, StageBackoff::default());
    }

    #[test]
    fn the_fifth_loss_in_a_row_ends_the_job() {
        let mut trial = Trial::new();
        for _ in 1..MAX_LOSSES {
            assert_eq!(trial.end(FailureClass::Lost, "a", "silent", 3), Consequence::Again);
            assert_eq!(trial.record.not_before_ms, 0, "a lost task resumes at once");
        }
        assert_eq!(class_of(trial.end(FailureClass::Lost, "a", "silent", 3)), Some(FailureClass::Lost));
    }

    #[test]
    fn shortages_back_off_the_stage_to_five_minutes_and_end() {
        let mut trial = Trial::new();
        let mut waits = Vec::new();
        while class_of(trial.end(FailureClass::Shortage, "a", "disk full", 1)).is_none() {
            waits.push(trial.stage.not_before_ms - 1000);
        }
        assert_eq!(waits[..8], [5_000, 10_000, 20_000, 40_000, 80_000, 160_000, 300_000, 300_000]);
        assert_eq!(waits.len() as u32, MAX_SHORTAGES - 1);
        assert_eq!(trial.record, TaskRecord::default(), "nothing is charged to the task");
    }

    #[test]
    fn the_same_failure_on_every_host_is_poison() {
        for (hosts, names) in [(1, ["a", "a", "a"]), (2, ["a", "b", "a"]), (9, ["a", "b", "c"])] {
            let mut trial = Trial::new();
            for name in &names[..2] {
                assert_eq!(trial.end(FailureClass::Failed, name, "signal 11", hosts), Consequence::Again);
            }
            let last = trial.end(FailureClass::Failed, names[2], "signal 11", hosts);
            let Consequence::FailJob(failure) = last else { panic!("{hosts} hosts: tried again") };
            assert_eq!(failure.class, FailureClass::Poisoned, "{hosts} hosts");
            assert_eq!(failure.evidence, "the end of stderr");
        }
    }

    #[test]
    fn different_failures_or_too_few_hosts_are_not_poison() {
        for (hosts, messages) in [(1, ["x", "y", "x"]), (3, ["x", "x", "x"])] {
            let mut trial = Trial::new();
            let ends = messages.map(|message| class_of(trial.end(FailureClass::Failed, "a", message, hosts)));
            assert_eq!(ends, [None, None, Some(FailureClass::Failed)], "{hosts} hosts");
        }
    }

    #[test]
    fn failed_tasks_wait_longer_each_time_and_not_all_alike() {
        let waits: std::collections::BTreeSet<_> =
            (0..50).map(|index| fault_wait_ms(TaskId { index, ..TASK }, 1)).collect();
        assert!(waits.len() > 40, "{waits:?}");
        assert!(waits.iter().all(|wait| (1_000..1_500).contains(wait)), "{waits:?}");
        assert!((4_000..6_000).contains(&fault_wait_ms(TASK, 2)));
    }

    #[test]
    fn bad_input_ends_the_job_at_once() {
        let end = Trial::new().end(FailureClass::Invalid, "a", "no moov", 1);
        assert_eq!(
            end,
            Consequence::FailJob(Failure::new(FailureClass::Invalid, "no moov", "the end of stderr"))
        );
    }
}
