//! Traces of jobs as a collector of OpenTelemetry receives them, over the services that its own project defines.

#![allow(clippy::unwrap_used, reason = "a test fails where it is surprised")]

use std::collections::BTreeSet;
use std::fs;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{
    TraceService, TraceServiceServer,
};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use opentelemetry_proto::tonic::common::v1::{KeyValue, any_value::Value};
use opentelemetry_proto::tonic::trace::v1::Span;
use reel_tests::farm::Farm;
use reel_tests::reel::until;
use reel_tests::servers::free_address;
use reel_tests::{fixtures, profile};
use rustix::process::Signal;
use tonic::{Request, Response, Status};

const PATIENCE: Duration = Duration::from_secs(60);
const SECRET: &str = "do-not-log-me";

/// What was received: of which service, with which headers, which spans.
#[derive(Clone, Default)]
struct Received {
    services: Arc<Mutex<BTreeSet<String>>>,
    tokens: Arc<Mutex<BTreeSet<String>>>,
    spans: Arc<Mutex<Vec<Span>>>,
}

#[tonic::async_trait]
impl TraceService for Received {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        let token = request.metadata().get("x-token").map(|token| token.to_str().unwrap().to_owned());
        self.tokens.lock().unwrap().extend(token);
        for of_resource in request.into_inner().resource_spans {
            let resource = of_resource.resource.unwrap_or_default();
            self.services.lock().unwrap().insert(text(&resource.attributes, "service.name"));
            let spans = of_resource.scope_spans.into_iter().flat_map(|scope| scope.spans);
            self.spans.lock().unwrap().extend(spans);
        }
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

impl Received {
    /// Listens as long as the process lives.
    fn listen() -> (Received, String) {
        let (received, address) = (Received::default(), free_address());
        let service = TraceServiceServer::new(received.clone());
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime
                .block_on(tonic::transport::Server::builder().add_service(service).serve(address))
                .unwrap();
        });
        (received, format!("http://{address}"))
    }

    /// The spans of a name.
    fn named(&self, name: &str) -> Vec<Span> {
        self.spans.lock().unwrap().iter().filter(|span| span.name == name).cloned().collect()
    }
}

fn text(attributes: &[KeyValue], key: &str) -> String {
    let found = attributes.iter().find(|attribute| attribute.key == key);
    match found.and_then(|attribute| attribute.value.clone()?.value) {
        Some(Value::StringValue(text)) => text,
        Some(Value::IntValue(number)) => number.to_string(),
        other => panic!("{key}: {other:?} among {attributes:?}"),
    }
}

#[test]
fn a_job_is_one_trace_with_a_span_for_each_attempt() {
    let (received, endpoint) = Received::listen();
    let variables = vec![
        ("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint),
        ("OTEL_EXPORTER_OTLP_HEADERS", format!("x-token={SECRET}")),
    ];
    let mut farm = Farm::builder().schedulers(3).workers(0).env(variables).start();
    let film = farm.shared().join("film.mov");
    fs::copy(fixtures::prores_mov().path, &film).unwrap();
    let done = farm.submit(fixtures::prores_mov().path, "done", &profile("quick"), "--project films");
    let failed = farm.submit(&film, "failed", &profile("quick"), "");
    fs::write(&film, "no film any more").unwrap();
    farm.add_worker("w1", "");
    farm.wait(done);
    until("both jobs to be told", PATIENCE, || received.named("job").len() == 2);
    let of = |job: u64, spans: Vec<Span>| -> Vec<Span> {
        spans.into_iter().filter(|span| text(&span.attributes, "reel.job") == job.to_string()).collect()
    };
    let [job] = &of(done, received.named("job"))[..] else { panic!("{:?}", received.named("job")) };
    assert_eq!((job.trace_id.len(), job.span_id.len(), job.parent_span_id.len()), (16, 8, 0));
    assert_eq!(text(&job.attributes, "reel.state"), "done");
    assert_eq!(text(&job.attributes, "reel.project"), "films");
    for stage in ["index", "encode", "audio", "assemble", "measure", "check", "deliver"] {
        let attempts = of(done, received.named(stage));
        assert!(!attempts.is_empty(), "{stage}");
        for attempt in attempts {
            assert_eq!(
                (&attempt.trace_id, &attempt.parent_span_id),
                (&job.trace_id, &job.span_id),
                "{stage}"
            );
            assert_eq!(text(&attempt.attributes, "reel.worker"), "w1");
            assert_eq!(text(&attempt.attributes, "reel.outcome"), "done");
            let (began, ended) = (attempt.start_time_unix_nano, attempt.end_time_unix_nano);
            assert!(job.start_time_unix_nano <= began && began <= ended && ended <= job.end_time_unix_nano);
        }
    }
    let [job] = &of(failed, received.named("job"))[..] else { panic!("{:?}", received.named("job")) };
    assert_eq!(job.status.clone().unwrap().code, 2, "an error: {job:?}");
    let [index] = &of(failed, received.named("index"))[..] else { panic!("{:?}", received.named("index")) };
    assert_eq!(
        (&index.trace_id, text(&index.attributes, "reel.outcome").as_str()),
        (&job.trace_id, "invalid")
    );
    let ids: BTreeSet<_> = received.spans.lock().unwrap().iter().map(|span| span.span_id.clone()).collect();
    assert_eq!(ids.len(), received.spans.lock().unwrap().len(), "each is told once, by the leader alone");
    assert_eq!(*received.services.lock().unwrap(), BTreeSet::from(["reel-scheduler".to_owned()]));
    assert_eq!(*received.tokens.lock().unwrap(), BTreeSet::from([SECRET.to_owned()]));
    assert!((1..=3).all(|number| !farm.log(&format!("s{number}")).contains(SECRET)));
}

#[test]
fn a_farm_without_its_collector_works_and_ends_all_the_same() {
    let variables = vec![("OTEL_EXPORTER_OTLP_ENDPOINT", format!("http://{}", free_address()))];
    let mut farm = Farm::builder().workers(1).env(variables).start();
    let job = farm.submit(fixtures::prores_mov().path, "a", &profile("quick"), "");
    assert_eq!(farm.wait(job)["state"], "done");
    until("its log to say so", PATIENCE, || farm.log("s1").contains("traces cannot be sent"));
    farm.signal_scheduler(0, Signal::TERM);
    until("its end", PATIENCE, || farm.has_ended(0));
}
