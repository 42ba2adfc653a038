//! What a scheduler answers to plain HTTP, on the port of its gRPC services: probes and metrics.

mod metrics;

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;

pub(crate) use self::metrics::Reading;
use crate::scheduler::Scheduler;

/// The pages of a scheduler.
pub(crate) fn routes(scheduler: Scheduler) -> Router {
    Router::new()
        .route("/healthz", get(healthz))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics))
        .with_state(scheduler)
}

/// What is answered where there is no such page or method.
pub(crate) async fn unknown(headers: HeaderMap) -> Response {
    let kind = headers.get(header::CONTENT_TYPE).map(HeaderValue::as_bytes).unwrap_or_default();
    match kind.starts_with(b"application/grpc") {
        true => tonic::Status::unimplemented("").into_http(),
        false => (StatusCode::NOT_FOUND, "there is no such page\n").into_response(),
    }
}

/// Whether the process does its work at all: restart it where it does not.
async fn healthz(State(scheduler): State<Scheduler>) -> impl IntoResponse {
    match scheduler.failure() {
        None => (StatusCode::OK, "ok\n".to_owned()),
        Some(reason) => (StatusCode::SERVICE_UNAVAILABLE, format!("{reason}\n")),
    }
}

/// Whether it takes part in the cluster: the next one is upgraded when it does.
async fn readyz(State(scheduler): State<Scheduler>) -> impl IntoResponse {
    match scheduler.not_ready() {
        None => (StatusCode::OK, "ok\n".to_owned()),
        Some(reason) => (StatusCode::SERVICE_UNAVAILABLE, format!("{reason}\n")),
    }
}

async fn metrics(State(scheduler): State<Scheduler>) -> impl IntoResponse {
    let text = metrics::text(&scheduler.reading().await);
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text)
}
