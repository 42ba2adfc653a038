//! A worker whose host is taken away finishes or hands back in time, whoever says so; nonsense takes no worker away.

#![allow(clippy::unwrap_used, reason = "a test fails where it is surprised")]

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use reel_tests::farm::Farm;
use reel_tests::metadata::{Fault, StandIn, event};
use reel_tests::reel::{Reel, descendants, report, send, until};
use reel_tests::tree::{assert_same, digests};
use reel_tests::{fixtures, profile, scratch};
use reel_worker::preemption::{Cloud, HostNotice, Sources, Watch};
use rustix::process::Signal;
use serde_json::Value;
use tokio::runtime::Runtime;

/// Far above the longest time between two questions.
const PATIENCE: Duration = Duration::from_secs(40);

/// A watch, as a worker has it.
struct Watched {
    runtime: Runtime,
    watch: Watch,
}

impl Watched {
    fn start(sources: Sources) -> Watched {
        let runtime = Runtime::new().unwrap();
        let watch = runtime.block_on(async { Watch::start(sources) });
        Watched { runtime, watch }
    }

    fn cloud(cloud: Cloud, service: &StandIn) -> Watched {
        let (_, variables) = service.notices();
        let endpoint = cloud.endpoint(Some(&variables[0].1)).unwrap();
        Watched::start(Sources { file: None, cloud: Some((cloud, endpoint)), grace: Duration::from_secs(90) })
    }

    /// The next notice, and the seconds that it leaves.
    fn notice(&mut self) -> (String, u64) {
        let next = self.runtime.block_on(async { tokio::time::timeout(PATIENCE, self.watch.next()).await });
        let HostNotice { reason, goes_at } = next.expect("a notice");
        let left = goes_at.saturating_duration_since(tokio::time::Instant::now());
        (reason, left.as_secs_f64().round() as u64)
    }

    fn assert_silent(&mut self) {
        let next = self.watch.next();
        let next = self.runtime.block_on(async { tokio::time::timeout(Duration::ZERO, next).await });
        assert!(next.is_err(), "{next:?}");
    }
}

/// Waits until a service has answered so many more questions. Each is asked when the answer before was read.
fn until_asked(service: &StandIn, more: usize) {
    let before = service.answers().len();
    until("more questions", PATIENCE, || service.answers().len() >= before + more);
}

/// The status of the answer to a question in plain HTTP.
fn ask(address: SocketAddr, question: &str, header: &str) -> u16 {
    let mut stream = TcpStream::connect(address).unwrap();
    let header = if header.is_empty() { String::new() } else { format!("{header}\r\n") };
    write!(stream, "{question} HTTP/1.1\r\nHost: metadata\r\n{header}Connection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer.split(' ').nth(1).unwrap().parse().unwrap()
}

#[test]
fn the_stand_ins_refuse_what_the_services_refuse() {
    let aws = StandIn::aws();
    let action = "GET /latest/meta-data/spot/instance-action";
    assert_eq!(ask(aws.address(), action, ""), 401);
    assert_eq!(ask(aws.address(), action, "X-aws-ec2-metadata-token: mine"), 401);
    let token = "PUT /latest/api/token";
    assert_eq!(ask(aws.address(), token, ""), 400);
    assert_eq!(ask(aws.address(), token, "X-aws-ec2-metadata-token-ttl-seconds: 21601"), 400);
    assert_eq!(ask(aws.address(), token, "X-aws-ec2-metadata-token-ttl-seconds: 60"), 200);
    assert_eq!(ask(aws.address(), token, "X-Forwarded-For: 10.0.0.1"), 403);

    let gcp = StandIn::gcp();
    let preempted = "GET /computeMetadata/v1/instance/preempted";
    assert_eq!(ask(gcp.address(), preempted, ""), 403);
    assert_eq!(ask(gcp.address(), preempted, "Metadata-Flavor: Google"), 200);
    assert_eq!(ask(gcp.address(), "GET /computeMetadata/v1/instance/x", "Metadata-Flavor: Google"), 404);

    let azure = StandIn::azure("west_1");
    let events = "GET /metadata/scheduledevents?api-version=2020-07-01";
    assert_eq!(ask(azure.address(), events, ""), 400);
    assert_eq!(ask(azure.address(), "GET /metadata/scheduledevents", "Metadata: true"), 400);
    assert_eq!(ask(azure.address(), events, "Metadata: true"), 200);
}

#[test]
fn aws_is_asked_with_a_token_that_is_renewed_when_it_is_not_taken_any_more() {
    let aws = StandIn::aws();
    let mut watched = Watched::cloud(Cloud::Aws, &aws);
    until("the first questions", PATIENCE, || aws.answers().len() >= 3);
    assert_eq!(aws.answers()[..3], [200, 404, 404], "a token, no action, no recommendation");
    aws.recommend_rebalance();
    aws.forget_tokens();
    until_asked(&aws, 1);
    // Refused; then at once a token, no action, the recommendation; from then on only the action is asked for.
    until("a new token", Duration::from_secs(3), || aws.answers().len() >= 6);
    until_asked(&aws, 1);
    assert_eq!(aws.answers()[3..8], [401, 200, 404, 200, 404]);
    watched.assert_silent();
    aws.terminate(Duration::from_secs(100));
    let (reason, left) = watched.notice();
    assert!(reason.starts_with("AWS terminates this instance in "), "{reason}");
    assert!((94..=101).contains(&left), "{left} s");
    assert!(aws.answers()[8..].iter().all(|status| [200, 404].contains(status)), "{:?}", aws.answers());
}

#[test]
fn google_cloud_is_asked_once_until_there_is_news() {
    let gcp = StandIn::gcp();
    let begun = Instant::now();
    let mut watched = Watched::cloud(Cloud::Gcp, &gcp);
    // The second answer comes when nothing has changed for a while.
    until_asked(&gcp, 2);
    assert!(begun.elapsed() > Duration::from_secs(8), "{:?}", begun.elapsed());
    watched.assert_silent();
    // In the pause between two questions.
    gcp.preempt();
    let noticed = Instant::now();
    let (reason, left) = watched.notice();
    assert_eq!((reason.as_str(), left), ("Google Cloud preempts this machine within 30 s", 30));
    assert!(noticed.elapsed() < Duration::from_secs(5), "no change is missed: {:?}", noticed.elapsed());
    assert!(gcp.answers().iter().all(|status| *status == 200));
}

#[test]
fn events_of_azure_count_when_they_are_near_and_of_this_machine() {
    let azure = StandIn::azure("west_1");
    let mut watched = Watched::cloud(Cloud::Azure, &azure);
    let in_seconds = |seconds| Some(Duration::from_secs(seconds));
    let other = event("Preempt", "west_0", in_seconds(30));
    let freeze = event("Freeze", "west_1", in_seconds(30));
    let far = event("Redeploy", "west_1", in_seconds(86_400));
    azure.schedule(2, &[other.clone(), freeze, far.clone()]);
    until_asked(&azure, 3);
    watched.assert_silent();
    azure.schedule(3, &[other, far, event("Preempt", "west_1", in_seconds(60))]);
    let (reason, left) = watched.notice();
    assert!(reason.starts_with("Azure evicts this machine in "), "{reason}");
    assert!((56..=61).contains(&left), "{left} s");
    azure.schedule(4, &[event("Reboot", "west_1", None)]);
    assert_eq!(watched.notice(), ("Azure restarts this machine in 0 s".to_owned(), 0));
    assert!(azure.answers().iter().all(|status| *status == 200));
}

#[test]
fn a_service_that_is_out_of_order_takes_no_worker_away_and_is_heard_again() {
    let services = [
        (Cloud::Aws, StandIn::aws()),
        (Cloud::Gcp, StandIn::gcp()),
        (Cloud::Azure, StandIn::azure("west_1")),
    ];
    thread::scope(|scope| {
        for (cloud, service) in &services {
            scope.spawn(move || {
                let mut watched = Watched::cloud(*cloud, service);
                until_asked(service, 2);
                for fault in [Fault::Status(503), Fault::Stranger, Fault::Floods, Fault::Hangs] {
                    service.fail(Some(fault));
                    until_asked(service, 2);
                    watched.assert_silent();
                }
                service.fail(None);
                match cloud {
                    Cloud::Aws => service.terminate(Duration::from_secs(60)),
                    Cloud::Gcp => service.preempt(),
                    Cloud::Azure => {
                        service.schedule(2, &[event("Preempt", "west_1", Some(Duration::from_secs(30)))]);
                    }
                }
                watched.notice();
            });
        }
    });
}

#[test]
fn a_notice_file_counts_when_it_appears_and_may_shorten_the_time() {
    let dir = scratch();
    let path = dir.path().join("gone");
    let sources = Sources { file: Some(path.clone()), cloud: None, grace: Duration::from_secs(90) };
    let mut watched = Watched::start(sources);
    watched.assert_silent();
    fs::write(&path, "").unwrap();
    let (reason, left) = watched.notice();
    assert_eq!((reason, left), (format!("the notice file {} is there", path.display()), 95));
    fs::write(&path, "20\n").unwrap();
    assert_eq!(watched.notice().1, 20);
}

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
            held.runners =
                workers.clone().map(|n| descendants(held.farm.worker_id(n), "reel-runner")).collect();
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
    aws.terminate(Duration::from_secs(25));
    held.until_draining(0);
    // One part ends; the other never does.
    send(held.runners[0][0], Signal::CONT).unwrap();
    until("one attempt to be handed back", PATIENCE, || {
        held.farm.worker("w1").is_some_and(|worker| worker["preemptions"] == 1)
    });
    assert_eq!(held.running(0), 1, "the other is stopped");
    held.wait_workers();
    assert!(noticed.elapsed() < Duration::from_secs(25), "{:?}", noticed.elapsed());
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

#[test]
fn a_metadata_service_that_cannot_be_one_is_refused_at_the_start() {
    let dir = scratch();
    let start = |cloud: &str, variable: &'static str, value: &str| {
        let line = format!("worker start --data w --store s --cloud {cloud}");
        Reel::new(dir.path(), line.split_whitespace()).env([(variable, value.to_owned())]).run()
    };
    for (cloud, variable, value) in [
        ("aws", "AWS_EC2_METADATA_SERVICE_ENDPOINT", "169.254.169.254"),
        ("gcp", "GCE_METADATA_HOST", "http://metadata"),
        ("azure", "REEL_AZURE_METADATA_ENDPOINT", "https://metadata"),
    ] {
        let refused = start(cloud, variable, value);
        assert_eq!(refused.code, Some(2), "{}", refused.stderr);
        assert!(
            refused.stderr.contains(variable) && refused.stderr.contains("no http URL"),
            "{}",
            refused.stderr
        );
    }
    assert!(!Path::new("w").exists());
}
