//! The two pipes to the agent: orders come in, events go out.

use std::fs::File;
use std::io::{self, BufReader, Read, Write};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use prost::Message;
use reel_common::{Failure, PartIndex};
use reel_proto::v1;
use reel_proto::v1::runner_command::Command;
use reel_proto::v1::runner_event::Event;

use crate::host::vanish;

/// The longest message, either way; the agent has the same limit.
const MAX_MESSAGE_BYTES: u64 = 4 << 20;
/// Progress is told at most five times a second.
const PROGRESS_EVERY: Duration = Duration::from_millis(200);

/// What the agent may order while the task runs.
#[derive(Debug)]
pub(crate) struct Orders {
    stop_after_part: AtomicBool,
    first_given_away: AtomicU32,
    /// Parts that the agent has said are in the store, and that nobody has waited for yet.
    stored: Mutex<u32>,
    went_on: Condvar,
}

impl Orders {
    pub(crate) fn new() -> Self {
        Orders {
            stop_after_part: AtomicBool::new(false),
            first_given_away: AtomicU32::new(u32::MAX),
            stored: Mutex::new(0),
            went_on: Condvar::new(),
        }
    }

    /// Whether a part may still be begun.
    pub(crate) fn allow(&self, part: PartIndex) -> bool {
        !self.stop_after_part.load(Ordering::Relaxed)
            && part.0 < self.first_given_away.load(Ordering::Relaxed)
    }

    /// Waits until the agent has stored the part that was finished last. An agent that goes ends the process meanwhile.
    pub(crate) fn wait_until_stored(&self) {
        let stored = self.stored.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.went_on.wait_while(stored, |stored| *stored == 0);
        *waited.unwrap_or_else(PoisonError::into_inner) -= 1;
    }

    fn go_on(&self) {
        *self.stored.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        self.went_on.notify_all();
    }
}

/// Reads the task, and then orders for as long as the process lives, on a thread of its own.
pub(crate) fn listen() -> Result<(v1::TaskSpec, Arc<Orders>), String> {
    let mut stdin = BufReader::new(io::stdin());
    let spec = match read(&mut stdin)?.and_then(|command| command.command) {
        Some(Command::Start(spec)) => spec,
        Some(_) => return Err("the first message is not a task".to_owned()),
        None => return Err("no task came".to_owned()),
    };
    let orders = Arc::new(Orders::new());
    let heard = Arc::clone(&orders);
    std::thread::Builder::new()
        .name("orders".to_owned())
        .spawn(move || obey(&mut stdin, &heard))
        .map_err(|error| format!("no thread to listen on: {error}"))?;
    Ok((spec, orders))
}

fn obey(stdin: &mut impl Read, orders: &Orders) {
    loop {
        match read(stdin) {
            Ok(Some(v1::RunnerCommand { command: Some(Command::StopAfterPart(_)) })) => {
                orders.stop_after_part.store(true, Ordering::Relaxed);
            }
            Ok(Some(v1::RunnerCommand { command: Some(Command::CutTail(cut)) })) => {
                orders.first_given_away.fetch_min(cut.first_part_given_away, Ordering::Relaxed);
            }
            Ok(Some(v1::RunnerCommand { command: Some(Command::GoOn(_)) })) => orders.go_on(),
            Ok(Some(other)) => tracing::warn!(?other, "an order that makes no sense here"),
            Ok(None) => vanish(),
            Err(reason) => {
                tracing::error!(reason, "the agent cannot be understood");
                vanish();
            }
        }
    }
}

/// The next message; `None` when the pipe is closed between messages.
fn read(from: &mut impl Read) -> Result<Option<v1::RunnerCommand>, String> {
    let mut length = 0;
    for shift in (0..64).step_by(7) {
        let mut byte = [0];
        match from.read_exact(&mut byte) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof && shift == 0 => return Ok(None),
            result => result.map_err(|error| error.to_string())?,
        }
        length |= u64::from(byte[0] & 0x7f) << shift;
        if byte[0] & 0x80 == 0 {
            break;
        }
    }
    if length > MAX_MESSAGE_BYTES {
        return Err(format!("a message of {length} bytes"));
    }
    let mut bytes = vec![0; length as usize];
    from.read_exact(&mut bytes).map_err(|error| error.to_string())?;
    v1::RunnerCommand::decode(bytes.as_slice()).map(Some).map_err(|error| error.to_string())
}

/// Tells the agent. Cheap to clone; whole messages from any thread.
#[derive(Clone)]
pub(crate) struct Voice(Arc<Mutex<Pipe>>);

struct Pipe {
    file: File,
    told: Option<Instant>,
}

impl Voice {
    pub(crate) fn new(file: File) -> Self {
        Voice(Arc::new(Mutex::new(Pipe { file, told: None })))
    }

    /// How far the attempt is; passed on a few times a second, and when it is complete.
    pub(crate) fn progress(&self, done: u64, total: u64, part: Option<PartIndex>) {
        let mut pipe = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if pipe.told.is_none_or(|told| told.elapsed() >= PROGRESS_EVERY) || done == total {
            pipe.told = Some(Instant::now());
            let part = part.map(|part| part.0);
            pipe.send(Event::Progress(v1::Progress { frames_done: done, frames_total: total, part }));
        }
    }

    pub(crate) fn part_finished(&self, part: v1::PartFinished) {
        if let Some(record) = &part.record {
            let found = part.scratch_files.iter().filter(|file| file.is_empty()).count();
            tracing::info!(part = record.part, renditions = record.renditions.len(), found, "part finished");
        }
        self.send(Event::PartFinished(part));
    }

    pub(crate) fn finished(&self, finished: v1::TaskFinished) {
        tracing::info!(source_bytes_read = finished.source_bytes_read, "task finished");
        self.send(Event::Finished(finished));
    }

    pub(crate) fn failed(&self, failure: Failure) {
        tracing::error!(class = %failure.class, failure.message, "task failed");
        self.send(Event::Failed(failure.into()));
    }

    fn send(&self, event: Event) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).send(event);
    }
}

impl Pipe {
    fn send(&mut self, event: Event) {
        let bytes = v1::RunnerEvent { event: Some(event) }.encode_length_delimited_to_vec();
        if let Err(error) = self.file.write_all(&bytes) {
            tracing::error!(%error, "the agent does not listen");
            vanish();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orders_only_ever_take_parts_away() {
        let orders = Orders::new();
        assert!(orders.allow(PartIndex(7)));
        let commands = [7, 9].map(|part| Command::CutTail(v1::CutTail { first_part_given_away: part }));
        let mut pipe = Vec::new();
        for command in commands {
            pipe.extend(v1::RunnerCommand { command: Some(command) }.encode_length_delimited_to_vec());
        }
        let mut pipe = pipe.as_slice();
        while let Some(command) = read(&mut pipe).unwrap() {
            let Some(Command::CutTail(cut)) = command.command else { panic!("{command:?}") };
            orders.first_given_away.fetch_min(cut.first_part_given_away, Ordering::Relaxed);
        }
        assert!(orders.allow(PartIndex(6)) && !orders.allow(PartIndex(7)) && !orders.allow(PartIndex(8)));
    }

    #[test]
    fn what_is_no_message_is_refused() {
        assert_eq!(read(&mut [].as_slice()), Ok(None));
        assert!(read(&mut [0x80].as_slice()).is_err());
        assert!(read(&mut [9, 1].as_slice()).is_err());
        assert!(read(&mut [0xff, 0xff, 0xff, 0xff, 0x7f].as_slice()).unwrap_err().contains("bytes"));
    }
}
