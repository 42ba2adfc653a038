//! What a worker makes of metadata services that answer as the providers document, and of those that answer nonsense.

#![allow(clippy::unwrap_used, reason = "a test fails where it is surprised")]

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use reel_tests::metadata::{Fault, StandIn, event};
use reel_tests::reel::{Reel, until};
use reel_tests::{scratch, workspace};
use reel_worker::preemption::{Cloud, HostNotice, Sources, Watch};
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
    until("the questions after it", PATIENCE, || aws.answers().len() >= 8);
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
                    until_asked(service, 1);
                }
                until_asked(service, 1);
                watched.assert_silent();
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
}

#[test]
fn the_page_on_preemption_names_options_that_there_are() {
    let page = fs::read_to_string(workspace().join("ops/docs/preemption.md")).unwrap();
    let dir = scratch();
    let help = Reel::new(dir.path(), ["worker", "start", "--help"]).run().success().stdout;
    let words = page.split(|c: char| !(c.is_ascii_lowercase() || c == '-'));
    let options: Vec<&str> =
        words.filter(|word| word.starts_with("--")).filter(|word| word.len() > 3).collect();
    assert!(options.len() > 5, "{options:?}");
    for option in options {
        assert!(help.contains(option), "{option}");
    }
}
