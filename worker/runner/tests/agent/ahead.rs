//! A runner does not get ahead of the store: what it would make meanwhile would be lost with it.

use std::fs;
use std::io::{Read, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use prost::Message;
use reel_common::{JobId, Stage, TaskId};
use reel_proto::v1::{self, runner_command, runner_event};

use crate::farm::{DEADLINE, Farm, RUNNER, media, until};

/// A runner without an agent. Dropping it kills it.
struct Runner {
    process: Child,
    stdin: ChildStdin,
    events: mpsc::Receiver<runner_event::Event>,
}

impl Runner {
    fn start(spec: v1::TaskSpec, folder: &std::path::Path) -> Self {
        fs::create_dir_all(folder).unwrap();
        let mut command = Command::new(RUNNER);
        command.args(["--parent", &std::process::id().to_string(), "--memory-bytes", "0"]);
        command.current_dir(folder).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut process = command.spawn().unwrap();
        let (sender, events) = mpsc::channel();
        let stdout = process.stdout.take().unwrap();
        std::thread::spawn(move || read(stdout, &sender));
        let stdin = process.stdin.take().unwrap();
        let mut runner = Runner { process, stdin, events };
        runner.tell(runner_command::Command::Start(spec));
        runner
    }

    fn tell(&mut self, command: runner_command::Command) {
        let command = v1::RunnerCommand { command: Some(command) };
        self.stdin.write_all(&command.encode_length_delimited_to_vec()).unwrap();
    }

    /// The frames that were done last, and the next finished part.
    fn part(&self) -> (u64, u32) {
        let mut done = 0;
        loop {
            match self.events.recv_timeout(DEADLINE).unwrap() {
                runner_event::Event::Progress(progress) => done = progress.frames_done,
                runner_event::Event::PartFinished(part) => return (done, part.record.unwrap().part),
                other => panic!("{other:?}"),
            }
        }
    }

    /// Processor time so far, in ticks.
    fn ticks(&self) -> u64 {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.process.id())).unwrap();
        let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
        fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
    }
}

impl Drop for Runner {
    fn drop(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}

fn read(mut stdout: ChildStdout, events: &mpsc::Sender<runner_event::Event>) {
    let mut bytes = Vec::new();
    let mut block = [0; 4096];
    while let Ok(length @ 1..) = stdout.read(&mut block) {
        bytes.extend(&block[..length]);
        let mut rest = bytes.as_slice();
        while let Ok(event) = v1::RunnerEvent::decode_length_delimited(&mut rest) {
            bytes.drain(..bytes.len() - rest.len());
            if events.send(event.event.unwrap()).is_err() {
                return;
            }
            rest = bytes.as_slice();
        }
    }
}

#[tokio::test]
async fn a_runner_rests_until_its_part_is_in_the_store() {
    let mut farm = Farm::new().await;
    let mezzanine = media("big-buck-bunny-1080p.mp4");
    let plan = farm.plan(&mezzanine).await;
    let frames: Vec<u64> = plan.parts.iter().map(|part| part.end - part.segment_starts[0]).collect();
    let spec = v1::TaskSpec {
        task: Some(TaskId { job: JobId(1), stage: Stage::Encode, index: 0 }.into()),
        attempt: 1,
        epoch: 1,
        mezzanine: mezzanine.to_str().unwrap().to_owned(),
        profile: farm.profile.clone(),
        store: farm.store_path(),
        work: Some(plan.encode(0..3)),
        ..v1::TaskSpec::default()
    };
    let mut runner = Runner::start(spec, &farm.hooks().join("runner"));
    let (done, part) = runner.part();
    assert_eq!(part, 0);
    // It comes to rest by itself.
    let mut before = runner.ticks();
    until("a runner at rest", || {
        std::thread::sleep(Duration::from_secs(1));
        (std::mem::replace(&mut before, runner.ticks()) == before).then_some(())
    })
    .await;
    assert!(runner.events.try_recv().is_err(), "it went on");
    assert!(done < frames[0] + frames[1] / 2, "{done} of {frames:?}");
    for next in 1..3 {
        runner.tell(runner_command::Command::GoOn(v1::GoOn {}));
        assert_eq!(runner.part().1, next);
    }
}
