//! Runners: they take virtual time for each part, look into the store first, and sometimes crash, fail, hang or never
//! start.

use reel_common::{Epoch, Failure, FailureClass, PartIndex, Stage, TaskId};
use reel_proto::v1::{self, task_finished, task_spec::Work};
use reel_worker::wire::Wire;
use reel_worker_core::{Event as Input, Exit, Grant, HowEnded, Progress};

use crate::faults::Fault;
use crate::queue::Event;
use crate::title;
use crate::world::World;

/// A runner's process.
pub(crate) struct Runner {
    task: TaskId,
    mezzanine: String,
    /// The next part, and the part after the last.
    next: u32,
    pub(crate) end: u32,
    /// Its work are parts that it finishes one by one.
    has_parts: bool,
    /// It is to stop after the part in hand.
    pub(crate) stop: bool,
    pub(crate) killed: bool,
    hand: Hand,
    fate: Fate,
    /// It has finished a part and waits until that is in the store.
    waits: bool,
    /// The step that it is at; earlier ones are void.
    step: u64,
    output: Option<v1::TaskFinished>,
}

/// What a runner does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Hand {
    /// It starts, or looks for what is next.
    Nothing,
    /// It encodes a part.
    Encoding(u32),
    /// It takes a part from the store.
    Taking(u32),
    /// It does what a stage without parts does.
    Whole,
    /// It has said its last word.
    Done,
}

/// What becomes of a runner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Good,
    /// It crashes in the part after so many.
    Crash(u32),
    /// It gives up likewise.
    Fail(u32),
    /// It does not get on any more.
    Hang(u32),
}

/// What an agent holds of an attempt that was started, from its start until its folder is removed.
pub(crate) struct Attempt {
    pub(crate) task: TaskId,
    pub(crate) mezzanine: String,
}

impl World {
    pub(crate) fn runner(&mut self, host: usize, life: u32, epoch: Epoch) -> Option<&mut Runner> {
        self.on_host(host, life)?.runners.get_mut(&epoch)
    }

    pub(crate) fn start_runner(&mut self, host: usize, life: u32, grant: Grant<Wire>) {
        let (task, epoch) = (grant.task, grant.epoch);
        let spec = grant.spec.spec.unwrap();
        let attempt = Attempt { task, mezzanine: spec.mezzanine.clone() };
        if let Some(running) = self.on_host(host, life) {
            running.attempts.insert(epoch, attempt);
        }
        if self.may(Fault::Runner) && self.chance(2) {
            self.trouble(host, epoch);
            let failure = Failure::new(FailureClass::Shortage, "no processes left", "");
            return self.feed(host, life, Input::StartFailed { epoch, failure });
        }
        let fate = self.fate();
        let output = self.output_of(&spec, task);
        let runner = Runner {
            task,
            mezzanine: spec.mezzanine,
            next: grant.parts.start,
            end: grant.parts.end,
            has_parts: !grant.parts.is_empty(),
            stop: false,
            killed: false,
            hand: Hand::Nothing,
            fate,
            waits: false,
            step: 0,
            output,
        };
        let Some(running) = self.on_host(host, life) else { return };
        assert!(running.runners.insert(epoch, runner).is_none(), "epoch {epoch} is started twice");
        self.after(50..500, Event::Runner { host, life, epoch, step: 0 });
    }

    fn fate(&mut self) -> Fate {
        let in_part = self.rng.u32(0..4);
        if !self.may(Fault::Runner) {
            return Fate::Good;
        }
        match self.rng.u32(0..100) {
            0..4 => Fate::Crash(in_part),
            4..8 => Fate::Fail(in_part),
            8 => Fate::Hang(in_part),
            _ => Fate::Good,
        }
    }

    /// What the task ends in. Whoever reads parts finds them in the store.
    fn output_of(&self, spec: &v1::TaskSpec, task: TaskId) -> Option<v1::TaskFinished> {
        let parts =
            self.users.iter().find(|user| user.mezzanine == spec.mezzanine).map_or(1, |user| user.parts);
        let result = match spec.work.as_ref().unwrap() {
            Work::Encode(_) | Work::Hook(_) => None,
            Work::Probe(probe) => {
                let (part, quality) = (probe.part.as_ref().unwrap(), probe.quality.as_ref().unwrap());
                let measured = title::measured(part.index, quality.crf_milli[0]);
                Some(task_finished::Result::Sizes(measured.as_slice().into()))
            }
            Work::Index(_) => Some(task_finished::Result::Index(title::index(&spec.mezzanine, parts).into())),
            Work::Assemble(work) => {
                assert_eq!(work.parts.len() as u32, parts, "{task} is to join another number of parts");
                for (number, record) in work.parts.iter().enumerate() {
                    let record = record.try_into().unwrap();
                    assert_eq!(title::part_artifact(&spec.mezzanine, number as u32), record, "{task}");
                    assert!(self.store.has(&record), "{task} joins what is not in the store");
                }
                Some(task_finished::Result::ScratchFile(title::object(&spec.mezzanine, "assembly")))
            }
            _ => Some(task_finished::Result::ScratchFile(title::object(&spec.mezzanine, task.stage.name()))),
        };
        Some(v1::TaskFinished { result, source_bytes_read: Some(1), ..v1::TaskFinished::default() })
    }

    /// A runner is done with what it had in hand.
    pub(crate) fn on_runner(&mut self, host: usize, life: u32, epoch: Epoch, step: u64) {
        let Some(runner) = self.runner(host, life, epoch).filter(|runner| runner.step == step) else {
            return;
        };
        if runner.killed {
            return self.exit(host, life, epoch, HowEnded::Signal(9));
        }
        match runner.hand {
            Hand::Encoding(part) | Hand::Taking(part) => {
                let encoded = matches!(runner.hand, Hand::Encoding(_));
                let record = title::part_record(&runner.mezzanine, part);
                let name = if encoded { format!("{part}.m4s") } else { String::new() };
                let files = v1::PartFinished { record: Some(record), scratch_files: vec![name] };
                (runner.hand, runner.waits) = (Hand::Nothing, true);
                self.feed(host, life, Input::PartFinished { epoch, part: PartIndex(part), files });
            }
            Hand::Done => self.exit(host, life, epoch, HowEnded::Status(0)),
            Hand::Nothing | Hand::Whole => self.begin_next(host, life, epoch),
        }
    }

    /// A runner takes what is next.
    fn begin_next(&mut self, host: usize, life: u32, epoch: Epoch) {
        let Some(runner) = self.runner(host, life, epoch) else { return };
        let was_whole = runner.hand == Hand::Whole;
        runner.hand = Hand::Nothing;
        if runner.waits || runner.killed {
            return;
        }
        let ill = matches!(runner.fate, Fate::Crash(0) | Fate::Fail(0) | Fate::Hang(0));
        let has_parts = runner.has_parts;
        let more = if has_parts { runner.next < runner.end && !runner.stop } else { !was_whole };
        if !more {
            return self.finish(host, life, epoch);
        }
        if ill && self.fall_ill(host, life, epoch) {
            return;
        }
        let Some(runner) = self.runner(host, life, epoch) else { return };
        runner.fate = match runner.fate {
            Fate::Crash(parts) => Fate::Crash(parts - 1),
            Fate::Fail(parts) => Fate::Fail(parts - 1),
            Fate::Hang(parts) => Fate::Hang(parts - 1),
            Fate::Good => Fate::Good,
        };
        let (task, part) = (runner.task, runner.next);
        let key = (runner.mezzanine.clone(), part);
        if !has_parts {
            runner.hand = Hand::Whole;
            return self.work(host, life, epoch, 200..8_000);
        }
        runner.next += 1;
        if self.store.parts.contains(&key) {
            self.set_hand(host, life, epoch, Hand::Taking(part));
            self.work(host, life, epoch, 20..200);
        } else {
            self.set_hand(host, life, epoch, Hand::Encoding(part));
            self.work(host, life, epoch, 3_000..15_000);
            if task.stage == Stage::Encode {
                self.on_encode(task, part, epoch);
            }
            let progress = Progress { done: u64::from(part) + 1, total: 0, part: Some(PartIndex(part)) };
            self.feed(host, life, Input::Progressed { epoch, progress });
        }
    }

    /// A part is encoded: who had it before is over, or has it in hand still.
    fn on_encode(&mut self, task: TaskId, part: u32, epoch: Epoch) {
        self.note(4, u64::from(part));
        let before = self.judge.encoded_by(task.job, part);
        let holds = |host: &crate::host::Host| {
            let running = host.up.as_ref()?;
            let attempt = running.attempts.get(&before?)?;
            let killed = running.runners.get(&before?).is_some_and(|runner| runner.killed);
            (!killed).then_some(attempt.task)
        };
        let holder = self.hosts.iter().find_map(holds);
        self.judge.on_encode(task.job, part, epoch, holder);
    }

    fn set_hand(&mut self, host: usize, life: u32, epoch: Epoch, hand: Hand) {
        if let Some(runner) = self.runner(host, life, epoch) {
            runner.hand = hand;
        }
    }

    fn work(&mut self, host: usize, life: u32, epoch: Epoch, takes_ms: std::ops::Range<u64>) {
        let Some(runner) = self.runner(host, life, epoch) else { return };
        runner.step += 1;
        let step = runner.step;
        self.after(takes_ms, Event::Runner { host, life, epoch, step });
    }

    /// All that was to do is done.
    fn finish(&mut self, host: usize, life: u32, epoch: Epoch) {
        let Some(runner) = self.runner(host, life, epoch) else { return };
        runner.hand = Hand::Done;
        let output = Box::new(runner.output.take().unwrap());
        self.work(host, life, epoch, 1..50);
        self.feed(host, life, Input::TaskFinished { epoch, output });
    }

    /// The runner crashes, gives up or hangs, as is its fate.
    fn fall_ill(&mut self, host: usize, life: u32, epoch: Epoch) -> bool {
        let Some(runner) = self.runner(host, life, epoch) else { return true };
        let fate = runner.fate;
        self.trouble(host, epoch);
        match fate {
            Fate::Crash(_) => self.exit(host, life, epoch, HowEnded::Signal(11)),
            Fate::Fail(_) => {
                self.set_hand(host, life, epoch, Hand::Done);
                let failure = Failure::new(FailureClass::Failed, "the encoder gave up", "");
                self.work(host, life, epoch, 1..50);
                self.feed(host, life, Input::TaskFailed { epoch, failure });
            }
            // Until it is killed.
            Fate::Hang(_) | Fate::Good => {}
        }
        true
    }

    /// The part that it has finished is in the store.
    pub(crate) fn let_go_on(&mut self, host: usize, life: u32, epoch: Epoch) {
        let Some(runner) = self.runner(host, life, epoch) else { return };
        runner.waits = false;
        if !runner.killed {
            self.work(host, life, epoch, 0..10);
        }
    }

    pub(crate) fn kill_runner(&mut self, host: usize, life: u32, epoch: Epoch) {
        // It may be gone, and its agent not know yet.
        let Some(runner) = self.runner(host, life, epoch) else { return };
        runner.killed = true;
        self.judge.counts.killed_slots += 1;
        self.trouble(host, epoch);
        self.work(host, life, epoch, 1..200);
    }

    fn exit(&mut self, host: usize, life: u32, epoch: Epoch, how: HowEnded) {
        let gone = self.on_host(host, life).and_then(|running| running.runners.remove(&epoch));
        assert!(gone.is_some(), "epoch {epoch} exits twice");
        self.feed(host, life, Input::RunnerExited { epoch, exit: Exit { how, stderr: String::new() } });
    }
}
