//! What a farm has done as traces of OpenTelemetry: one for each job, with a span for the job and one for each attempt.
//!
//! The leader tells what is over, so a span is written once and whole. The numbers of traces and spans follow from those of the
//! farm: whoever leads, and whoever else writes of the same job, means the same trace.

mod span;

use std::time::Duration;

use opentelemetry::KeyValue;
use opentelemetry_otlp::SpanExporter as OtlpExporter;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::SpanExporter as _;
use reel_scheduler::Ended;
use tokio::sync::mpsc;

/// Variables of which one says where traces go; others are those of the OTLP exporter (headers, timeout, ..).
pub const ENDPOINTS: [&str; 2] = ["OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"];
/// What the service is called where nobody has said.
const SERVICE_NAME: &str = "OTEL_SERVICE_NAME";
const SERVICE: &str = "reel-scheduler";
/// What is over and waits to be sent; beyond that it is lost.
const MOST_WAITING: usize = 8192;
/// Spans of one request, and how long the first of them waits for others.
const BATCH: usize = 512;
const GATHER: Duration = Duration::from_secs(2);

/// Why traces cannot be sent.
#[derive(Debug, thiserror::Error)]
#[error("traces cannot be sent: {0}; see OTEL_EXPORTER_OTLP_ENDPOINT, such as http://127.0.0.1:4317 (gRPC)")]
pub struct TraceError(String);

/// Sends what is over to a collector.
#[derive(Debug)]
pub struct Traces {
    exporter: OtlpExporter,
    ended: mpsc::Receiver<Ended>,
}

/// Traces where the environment names a collector, and the way on which they are told what is over.
///
/// Needs a tokio runtime.
///
/// # Errors
/// What the environment says makes no sense.
pub fn from_environment(scheduler: u64) -> Result<Option<(Traces, mpsc::Sender<Ended>)>, TraceError> {
    let is_set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    if !ENDPOINTS.into_iter().any(is_set) {
        return Ok(None);
    }
    let built = OtlpExporter::builder().with_tonic().build();
    let mut exporter = built.map_err(|error| TraceError(error.to_string()))?;
    let resource = Resource::builder()
        .with_attribute(KeyValue::new("service.instance.id", scheduler.to_string()))
        .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")));
    let resource = if is_set(SERVICE_NAME) { resource } else { resource.with_service_name(SERVICE) };
    exporter.set_resource(&resource.build());
    let (teller, ended) = mpsc::channel(MOST_WAITING);
    Ok(Some((Traces { exporter, ended }, teller)))
}

impl Traces {
    /// Sends until nobody tells any more; a collector that is away loses what it was sent meanwhile.
    pub async fn run(mut self, cluster: u64) {
        let mut is_well = true;
        while let Some(first) = self.ended.recv().await {
            tokio::time::sleep(GATHER).await;
            let mut batch = vec![first];
            while batch.len() < BATCH
                && let Ok(more) = self.ended.try_recv()
            {
                batch.push(more);
            }
            let spans = batch.iter().map(|ended| span::of(cluster, ended)).collect();
            let sent = self.exporter.export(spans).await;
            match &sent {
                Err(error) if is_well => {
                    tracing::warn!(%error, "traces cannot be sent to their collector, and are lost");
                }
                Ok(()) if !is_well => tracing::info!("traces can be sent again"),
                _ => {}
            }
            is_well = sent.is_ok();
        }
        // The collector may be gone already.
        let _ = self.exporter.shutdown();
    }
}
