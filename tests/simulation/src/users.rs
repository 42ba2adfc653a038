//! Users: each submits one job with a key of its own until it is told its number, and may submit it again, or cancel it.

use fastrand::Rng;
use reel_common::{Hook, JobId};
use reel_scheduler::simulation::Answer;
use reel_scheduler::{JobSpec, Refused, Submitted};
use tokio::sync::oneshot::error::TryRecvError;

use crate::cluster::SCHEDULERS;
use crate::faults::Fault;
use crate::queue::Event;
use crate::title;
use crate::world::World;

/// A user who is not answered asks another scheduler after so long.
const PATIENCE_MS: u64 = 5_000;

/// One user.
pub(crate) struct User {
    key: String,
    pub(crate) mezzanine: String,
    pub(crate) parts: u32,
    chunk_parts: u32,
    hook_tasks: u32,
    priority: i32,
    project: String,
    wish: Wish,
    job: Option<JobId>,
    /// Submits that are still to be sent although the job is accepted.
    again: u32,
    /// What is asked now; answers to what was asked before are not heard.
    turn: u64,
    asked: Option<Asked>,
}

/// What a user does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wish {
    Submit,
    Cancel,
    Nothing,
}

/// A request that a scheduler has not answered yet.
struct Asked {
    node: usize,
    life: u32,
    answer: Waiting,
}

enum Waiting {
    Submit(Answer<Submitted>),
    Cancel(Answer<()>),
}

/// An answer.
#[derive(Debug)]
pub(crate) enum Heard {
    Submitted(Result<Submitted, Refused>),
    Canceled(Result<(), Refused>),
}

impl User {
    pub(crate) fn new(number: usize, rng: &mut Rng) -> User {
        User {
            key: format!("key-{number}"),
            mezzanine: format!("/m/{number}.mov"),
            parts: if rng.u32(0..12) == 0 { rng.u32(65..=72) } else { rng.u32(1..=24) },
            chunk_parts: rng.u32(1..=8),
            hook_tasks: rng.u32(0..4),
            priority: rng.i32(0..=1),
            project: if rng.bool() { "feature" } else { "" }.to_owned(),
            wish: Wish::Submit,
            job: None,
            again: rng.u32(0..3),
            turn: 0,
            asked: None,
        }
    }

    /// Whether it wants nothing more.
    pub(crate) fn is_done(&self) -> bool {
        self.wish == Wish::Nothing
    }

    fn spec(&self) -> JobSpec {
        JobSpec {
            mezzanine: self.mezzanine.clone(),
            profile: title::profile(self.parts),
            profile_name: "proxy".to_owned(),
            output: format!("/out/{}", self.key),
            project: self.project.clone(),
            priority: self.priority,
            chunk_parts: Some(self.chunk_parts),
            hooks: match self.hook_tasks {
                0 => Vec::new(),
                tasks => vec![Hook { name: title::HOOK.to_owned(), tasks }],
            },
            idempotency_key: Some(self.key.clone()),
            ..JobSpec::default()
        }
    }
}

impl World {
    /// A user asks a scheduler, any one; its question may be lost.
    pub(crate) fn on_user(&mut self, number: usize, turn: u64) {
        let user = &mut self.users[number];
        if user.turn != turn || user.wish == Wish::Nothing {
            return;
        }
        user.turn += 1;
        user.asked = None;
        let (turn, wish, job) = (user.turn, user.wish, user.job);
        self.push(self.queue.now_ms + PATIENCE_MS, Event::User { user: number, turn });
        let node = self.rng.usize(0..SCHEDULERS);
        if self.loses_words() {
            return;
        }
        let (clocks, life, spec) =
            (self.clocks(node), self.cluster.members[node].life, self.users[number].spec());
        let Some(running) = self.running(node, life) else { return };
        let answer = match (wish, job) {
            (Wish::Cancel, Some(job)) => Waiting::Cancel(running.node.cancel(clocks, job)),
            _ => Waiting::Submit(running.node.submit(clocks, spec)),
        };
        self.users[number].asked = Some(Asked { node, life, answer });
        self.after_turn(node);
    }

    fn loses_words(&mut self) -> bool {
        (self.may(Fault::Partition) || self.may(Fault::Reset)) && self.chance(15)
    }

    /// Takes the answers that a scheduler has given since its last turn.
    pub(crate) fn look_for_answers(&mut self, node: usize) {
        let life = self.cluster.members[node].life;
        for number in 0..self.users.len() {
            let user = &mut self.users[number];
            let Some(asked) = user.asked.as_mut().filter(|asked| asked.node == node) else { continue };
            let heard = match &mut asked.answer {
                Waiting::Submit(answer) => match answer.try_recv() {
                    Ok(result) => Heard::Submitted(result),
                    Err(TryRecvError::Empty) if asked.life == life => continue,
                    Err(_) => Heard::Submitted(Err(gone())),
                },
                Waiting::Cancel(answer) => match answer.try_recv() {
                    Ok(result) => Heard::Canceled(result),
                    Err(TryRecvError::Empty) if asked.life == life => continue,
                    Err(_) => Heard::Canceled(Err(gone())),
                },
            };
            user.asked = None;
            let turn = user.turn;
            if !self.loses_words() {
                self.after(0..20, Event::Answer { user: number, turn, heard });
            }
        }
    }

    pub(crate) fn on_answer(&mut self, number: usize, turn: u64, heard: Heard) {
        if self.users[number].turn != turn {
            return;
        }
        match heard {
            Heard::Submitted(Ok(Submitted { job, .. })) => self.on_accepted(number, job),
            Heard::Canceled(Ok(())) => {
                let job = self.users[number].job.unwrap();
                self.judge.on_cancel_acknowledged(job);
                self.users[number].wish = Wish::Nothing;
            }
            // It had ended before it was canceled.
            Heard::Canceled(Err(Refused::WrongState { .. })) => self.users[number].wish = Wish::Nothing,
            Heard::Submitted(Err(refused)) | Heard::Canceled(Err(refused)) => {
                let elsewhere = matches!(refused, Refused::NotLeader { .. } | Refused::Unavailable(_));
                assert!(elsewhere, "{} was refused: {refused}", self.users[number].key);
                self.after(100..1_000, Event::User { user: number, turn });
            }
        }
    }

    fn on_accepted(&mut self, number: usize, job: JobId) {
        let cancels = self.may(Fault::Cancel) && self.chance(40);
        let user = &mut self.users[number];
        user.job = Some(job);
        self.judge.on_acknowledged(&user.key, job);
        user.wish = match user.again {
            0 if cancels => Wish::Cancel,
            0 => Wish::Nothing,
            _ => Wish::Submit,
        };
        user.again = user.again.saturating_sub(1);
        // The wait for an answer is over.
        user.turn += 1;
        let turn = user.turn;
        self.after(0..60_000, Event::User { user: number, turn });
    }
}

fn gone() -> Refused {
    Refused::Unavailable("the scheduler is gone".to_owned())
}
