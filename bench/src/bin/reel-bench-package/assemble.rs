//! `reel-runner` alone, told to assemble: what an agent would tell it, over the same pipes.

use std::fs;
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::Instant;

use anyhow::{Context as _, Result, bail};
use prost::Message as _;
use reel_common::{JobId, Stage, TaskId};
use reel_proto::v1;
use reel_proto::v1::runner_command::Command as Order;
use reel_proto::v1::runner_event::Event;
use reel_proto::v1::task_spec::Work;

use crate::process::{self, Usage};
use crate::title::{Package, Title};

/// An attempt of the stage.
pub(crate) struct Assemble {
    spec: v1::TaskSpec,
    scratch: PathBuf,
    /// Where the tree is to be.
    output: PathBuf,
}

impl Assemble {
    /// Makes a package of the title's parts in a folder, which must not be there.
    pub(crate) fn of(title: &Title, package: Package, output: &Path) -> Result<Assemble> {
        let output = std::path::absolute(output)?;
        let spec = v1::TaskSpec {
            task: Some(TaskId { job: JobId(1), stage: Stage::Assemble, index: 0 }.into()),
            attempt: 1,
            epoch: 1,
            profile: title.profile(package),
            output: output.to_string_lossy().into_owned(),
            store: title.store().to_string_lossy().into_owned(),
            work: Some(Work::Assemble(title.task.clone())),
            ..v1::TaskSpec::default()
        };
        Ok(Assemble { spec, scratch: title.folder.join("scratch"), output })
    }

    /// Runs it.
    pub(crate) fn run(&self) -> Result<Usage> {
        fs::create_dir_all(&self.scratch)?;
        let start = Instant::now();
        let mut command = Command::new(crate::program("reel-runner")?);
        command.args(["--memory-bytes", "0", "--parent", &std::process::id().to_string()]);
        command.current_dir(&self.scratch).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().context("starting reel-runner")?;
        // Its end of the pipe stays open: a runner ends with whoever started it.
        let mut orders = child.stdin.take().context("it has a pipe")?;
        let order = v1::RunnerCommand { command: Some(Order::Start(self.spec.clone())) };
        orders.write_all(&order.encode_length_delimited_to_vec())?;
        let mut events = child.stdout.take().context("it has a pipe")?;
        let said = thread::spawn(move || {
            let mut bytes = Vec::new();
            events.read_to_end(&mut bytes).map(|_| bytes)
        });
        let usage = process::watch(child, start, &self.scratch)?;
        let said = said.join().ok().context("nobody heard what it said")??;
        let staging = finished(&said, &self.scratch)?;
        fs::rename(staging, &self.output)?;
        Ok(usage)
    }
}

/// The tree that it says it has made.
fn finished(said: &[u8], scratch: &Path) -> Result<PathBuf> {
    let mut rest = said;
    while !rest.is_empty() {
        match v1::RunnerEvent::decode_length_delimited(&mut rest)?.event {
            Some(Event::Failed(failure)) => bail!("reel-runner failed: {}", failure.message),
            Some(Event::Finished(v1::TaskFinished {
                result: Some(v1::task_finished::Result::ScratchFile(name)),
                ..
            })) => {
                let assembly = v1::Assembly::decode(fs::read(scratch.join(name))?.as_slice())?;
                return Ok(assembly.staging.into());
            }
            _ => {}
        }
    }
    bail!("reel-runner ended without a result")
}
