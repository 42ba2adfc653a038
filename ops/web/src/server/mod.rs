//! The pages that a scheduler serves to browsers: what the farm does, and finished titles where that is allowed.
//!
//! They only read, and ask the farm as every client does, so that any scheduler serves them, whoever leads.

mod api;
mod recent;
mod titles;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::Path;
use axum::http::{HeaderName, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use reel_client::{Client, ClientError};
use tokio::sync::Mutex;

use self::recent::Recent;
use self::titles::Titles;
use crate::{Asset, asset};

/// How long nobody may answer before the page is told.
const PATIENCE: Duration = Duration::from_secs(3);

/// What browsers may do with a page: nothing comes from elsewhere, and nobody frames it.
const POLICY: &str = "default-src 'self'; img-src 'self' data:; media-src 'self' blob:; frame-ancestors 'none'; base-uri 'none'";

/// What the pages are made of.
struct Pages {
    farm: Client,
    overview: Mutex<Option<api::Shown>>,
    recent: Recent,
    titles: Option<Titles>,
}

type Shared = Arc<Pages>;

/// The pages of a farm; with `preview`, browsers may play finished titles, which this process then reads for them.
///
/// Needs a tokio runtime.
pub fn routes(farm: Client, preview: bool) -> Router {
    let pages = Pages {
        recent: Recent::follow(farm.clone()),
        farm: farm.with_patience(PATIENCE),
        overview: Mutex::default(),
        titles: preview.then(Titles::default),
    };
    Router::new()
        .route("/", get(|| async { file("index.html") }))
        .route("/assets/{name}", get(|Path(name): Path<String>| async move { file(&name) }))
        .route("/api/v1/overview", get(api::overview))
        .route("/api/v1/cluster", get(api::cluster))
        .route("/api/v1/events", get(api::events))
        .route("/api/v1/jobs/{job}", get(api::job))
        .route("/api/v1/jobs/{job}/{what}", get(api::of_job))
        .route("/titles/{job}/{*path}", get(titles::title))
        .with_state(Arc::new(pages))
}

/// A file of the page itself.
fn file(name: &str) -> Response {
    let Some(Asset { mime, body }) = asset(name) else {
        return Problem(StatusCode::NOT_FOUND, format!("there is no {name}")).into_response();
    };
    let headers: [(HeaderName, &str); 5] = [
        (header::CONTENT_TYPE, mime),
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        // Another version may be there after an upgrade.
        (header::CACHE_CONTROL, "no-cache"),
    ];
    (headers, body).into_response()
}

/// Why there is no answer, as the page is told.
struct Problem(StatusCode, String);

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let Problem(status, error) = self;
        (status, json(serde_json::json!({ "error": error }).to_string())).into_response()
    }
}

impl From<ClientError> for Problem {
    fn from(error: ClientError) -> Self {
        let status = match error {
            ClientError::NotFound(_) => StatusCode::NOT_FOUND,
            ClientError::Wrong(_) | ClientError::Forgotten(_) => StatusCode::BAD_REQUEST,
            ClientError::Refused(_) => StatusCode::CONFLICT,
            ClientError::Unreachable(_) => StatusCode::SERVICE_UNAVAILABLE,
            ClientError::Malformed(_) => StatusCode::BAD_GATEWAY,
        };
        Problem(status, error.to_string())
    }
}

/// An answer of JSON that is true for now only.
fn json(body: impl Into<Body>) -> Response {
    let headers = [
        (header::CONTENT_TYPE, "application/json"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::CACHE_CONTROL, "no-store"),
    ];
    (headers, body.into()).into_response()
}
