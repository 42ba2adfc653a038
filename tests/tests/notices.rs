//! A worker whose host is taken away finishes the part in hand or hands it back in time, whoever says so.

#![allow(clippy::unwrap_used, reason = "a test fails where it is surprised")]

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use reel_tests::farm::Farm;
use reel_tests::metadata::{StandIn, event};
use reel_tests::reel::{Reel, report, runners, send, until};
use reel_tests::tree::{assert_same, digests};
use reel_tests::{fixtures, profile, scratch};
use rustix::process::Signal;
use serde_json::Value;

/// Far above what a worker needs to hear of a notice.
const PATIENCE: Duration = Duration::from_secs(40);

/// Options of `reel worker start` and variables that let a worker know of its end.
type Notices = (String, Vec<(&'static str, String)>);

/// A farm of which all workers but the last encode, and are stopped in the middle of a part, so that they can be looked at.
struct Held {
    farm: Farm,
    job: u64,
    /// Of each worker that is stopped.
    runners: Vec<Vec<u32>>,
    mezzanine: PathBuf,
}

impl Held {
    fn start(slots: u32, notices: Vec<Notices>) -> Held {
        let mezzanine = fixtures::a_minute_of_1080p().path;
        let mut builder = Farm::builder().workers(notices.len() + 1).slots(slots);
        let workers = 0..notices.len();
        for (number, (options, variables)) in notices.into_iter().enumerate() {
            builder = builder.notices(number, &options, variables);
        }
        let farm = builder.start();
        let job = farm.submit(&mezzanine, "a", &profile("quick"), "--chunk-parts 5");
        let mut held = Held { farm, job, runners: Vec::new(), mezzanine };
        until("every slot to encode", Duration::from_secs(60), || {
            held.runners = workers.clone().map(|n| runners(held.farm.worker_id(n))).collect();
            let busy = |(n, runners): (usize, &Vec<u32>)| {
                runners.len() == slots as usize && held.encoding(n) == slots as usize
            };
            held.runners.iter().enumerate().all(busy)
        });
        held.runners.iter().flatten().for_each(|runner| send(*runner, Signal::STOP).unwrap());
        held
    }

    /// How many attempts a worker holds.
    fn running(&self, number: usize) -> usize {
        self.farm.worker(&name(number)).map_or(0, |worker| worker["running"].as_array().unwrap().len())
    }

    /// How many parts a worker is known to encode.
    fn encoding(&self, number: usize) -> usize {
        let (job, name) = (self.farm.job(self.job), name(number));
        let running = job["running"].as_array().unwrap().iter();
        running.filter(|task| task["worker"] == name && task["part"].is_u64()).count()
    }

    fn go_on(&self, number: usize) {
        self.runners[number].iter().for_each(|runner| send(*runner, Signal::CONT).unwrap());
    }

    /// Waits until a worker says that it goes.
    fn until_draining(&self, number: usize) {
        until("a worker to be draining", PATIENCE, || {
            self.farm.worker(&name(number)).is_some_and(|worker| worker["state"] == "draining")
        });
    }

    /// Waits for the good end of every worker that was stopped.
    fn wait_workers(&mut self) {
        for number in 0..self.runners.len() {
            self.farm.wait_worker(number);
        }
    }

    /// How many attempts a worker has killed because they could not end in time.
    fn given_up(&self, number: usize) -> usize {
        self.farm.log(&name(number)).matches("the attempt is given up").count()
    }

    /// Waits for the good end of the job.
    fn end(&self) {
        until("the others to be gone from the list", Duration::from_secs(10), || {
            self.farm.worker_list().len() == 1
        });
        let done = self.farm.wait(self.job);
        assert_eq!((&done["state"], &done["parts_encoded_twice"]), (&"done".into(), &0.into()));
        let report = report(&self.farm.output("a"));
        let attempts = report["job"]["attempts"].as_array().unwrap();
        for number in 0..self.runners.len() {
            let own =
                |attempt: &&Value| attempt["worker"] == name(number) && attempt["outcome"] == "preempted";
            assert!(attempts.iter().any(|attempt| own(&attempt)), "{}: {attempts:?}", name(number));
        }
        let fine = |outcome: &Value| outcome == "done" || outcome == "preempted";
        assert!(attempts.iter().all(|attempt| fine(&attempt["outcome"])), "{attempts:?}");
    }
}

fn name(number: usize) -> String {
    format!("w{}", number + 1)
}

#[test]
fn workers_whose_hosts_are_taken_away_end_the_part_in_hand_and_hand_back_the_rest() {
    let (aws, gcp, azure) = (StandIn::aws(), StandIn::gcp(), StandIn::azure("west_1"));
    let dir = scratch();
    let file = dir.path().join("gone");
    let by_file = (format!("--cloud none --notice-file {}", file.display()), Vec::new());
    let mut held = Held::start(1, vec![aws.notices(), gcp.notices(), azure.notices(), by_file]);

    let noticed = Instant::now();
    aws.terminate(Duration::from_secs(120));
    gcp.preempt();
    azure.schedule(2, &[event("Preempt", "west_1", Some(Duration::from_secs(30)))]);
    fs::write(&file, "30").unwrap();
    for number in 0..4 {
        held.until_draining(number);
        assert_eq!(held.running(number), 1, "{} is stopped", name(number));
    }
    (0..4).for_each(|number| held.go_on(number));
    held.wait_workers();
    assert!(noticed.elapsed() < Duration::from_secs(30), "{:?}", noticed.elapsed());
    (0..4).for_each(|number| assert_eq!(held.given_up(number), 0, "{}", name(number)));

    held.end();
    let wanted = dir.path().join("title");
    let profile = profile("quick");
    Reel::transcode(dir.path(), &held.mezzanine, &wanted, &profile).args("--quiet").run().success();
    assert_same(&digests(&held.farm.output("a")), &digests(&wanted), "after four preemptions");
}

#[test]
fn what_has_not_ended_in_time_is_handed_back_before_the_host_goes_and_is_counted() {
    let aws = StandIn::aws();
    let mut held = Held::start(2, vec![aws.notices()]);
    let noticed = Instant::now();
    aws.terminate(Duration::from_secs(32));
    held.until_draining(0);
    // One part ends; the other never does.
    send(held.runners[0][0], Signal::CONT).unwrap();
    until("one attempt to be handed back", PATIENCE, || {
        held.farm.worker("w1").is_some_and(|worker| worker["preemptions"] == 1)
    });
    assert_eq!(held.running(0), 1, "the other is stopped");
    held.wait_workers();
    assert!(noticed.elapsed() < Duration::from_secs(32), "{:?}", noticed.elapsed());
    assert_eq!(held.given_up(0), 1);
    held.end();
}

#[test]
fn a_signal_after_a_notice_does_not_cut_the_notice_short() {
    let dir = scratch();
    let file = dir.path().join("gone");
    let options = format!("--cloud none --notice-file {}", file.display());
    let mut held = Held::start(1, vec![(options, Vec::new())]);
    fs::write(&file, "30").unwrap();
    held.until_draining(0);
    // What a host that goes down sends, to every process.
    held.farm.signal_worker(0, Signal::TERM);
    send(held.runners[0][0], Signal::TERM).unwrap();
    until("the signal to be heard", PATIENCE, || held.farm.log("w1").contains("SIGTERM"));
    held.go_on(0);
    held.wait_workers();
    assert_eq!(held.given_up(0), 0);
    held.end();
}
