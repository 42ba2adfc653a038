//! The process that touches media bytes: runs one attempt of one task.
//!
//! It is started by an agent, which talks to it over stdin and stdout in length-delimited protobuf. Whatever goes
//! wrong inside, including a panic, is told to the agent as a failure; a crash is told by the exit itself.

mod assemble;
mod attempt;
mod audio;
mod channel;
mod check;
mod deliver;
mod destination;
mod encode;
mod host;
mod image;
mod index;
mod keys;
mod measure;
mod preview;
mod report;
mod text;
mod tree;

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;

use reel_common::{Failure, FailureClass};
use reel_proto::v1;
use reel_proto::v1::task_spec::Work;

use crate::attempt::Attempt;
use crate::channel::Voice;

fn main() -> ExitCode {
    let arguments = match host::Asked::parse(std::env::args().skip(1)) {
        Ok(host::Asked::Run(arguments)) => arguments,
        Ok(host::Asked::Codecs) => return host::tell_codecs(),
        Ok(host::Asked::Decoders) => return host::tell_decoders(),
        Ok(host::Asked::Version) => return host::tell_version(),
        Err(reason) => return host::misused(&reason),
    };
    reel_media::run_as_batch();
    let voice = match host::settle_in(&arguments) {
        Ok(pipe) => Voice::new(pipe),
        Err(reason) => return host::misused(&reason),
    };
    host::log_to_stderr();
    let (spec, orders) = match channel::listen() {
        Ok(received) => received,
        Err(reason) => return host::misused(&reason),
    };
    let ended = catch_unwind(AssertUnwindSafe(|| {
        let attempt = Attempt::new(spec, voice.clone(), orders)?;
        run(&attempt).inspect_err(|failure| {
            if preview::is_lost(&attempt, failure) {
                preview::withdraw(&attempt);
            }
        })
    }));
    match ended.unwrap_or_else(|panic| Err(panicked(&*panic))) {
        Ok(finished) => voice.finished(finished),
        Err(failure) => voice.failed(failure),
    }
    ExitCode::SUCCESS
}

fn run(attempt: &Attempt) -> Result<v1::TaskFinished, Failure> {
    match attempt.spec.work.clone() {
        Some(Work::Index(task)) => index::run(attempt, &task),
        Some(Work::Probe(task)) => encode::probe(attempt, &task),
        Some(Work::Encode(task)) => encode::run(attempt, &task),
        Some(Work::Audio(task)) => audio::run(attempt, &task),
        Some(Work::Image(task)) => image::run(attempt, &task),
        Some(Work::Assemble(task)) => tree::make(attempt, &task),
        Some(Work::Measure(task)) => measure::run(attempt, &task),
        Some(Work::Check(task)) => check::run(attempt, &task),
        Some(Work::Preview(task)) => preview::run(attempt, &task),
        Some(Work::Deliver(task)) => deliver::run(attempt, &task),
        // Programs of the site are the agent's to run.
        Some(Work::Hook(_)) | None => {
            let message =
                "the task asks for work that this runner does not know; give all hosts the same version";
            Err(Failure::new(FailureClass::Failed, message, ""))
        }
    }
}

fn panicked(panic: &(dyn Any + Send)) -> Failure {
    let said = panic.downcast_ref::<&str>().copied();
    let said = said.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("no message");
    // The place is in the evidence: the panic hook has written it to stderr.
    Failure::new(FailureClass::Failed, &format!("the runner panicked: {said}"), "")
}
