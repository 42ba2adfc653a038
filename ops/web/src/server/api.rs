//! What the page asks: messages of `proto/reel/v1` in protobuf's own JSON.

use std::time::{Duration, Instant};

use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::Response;
use bytes::Bytes;
use reel_common::JobId;
use reel_proto::v1;
use serde::Deserialize;
use serde_json::json;

use super::{Problem, Shared};
use crate::message::json as in_json;

/// Rows and cells where the page does not say how many, and at most.
const USUAL: u32 = 200;
const MOST: u32 = 1000;
const MOST_CELLS: u32 = 4096;
/// How long an overview is shown to whoever asks: it is the same for all, and not free for the leader.
const FRESH: Duration = Duration::from_millis(500);

/// An overview that was shown.
pub(super) struct Shown {
    at: Instant,
    jobs: u32,
    body: Bytes,
}

/// How much is asked for.
#[derive(Deserialize)]
pub(super) struct Asked {
    jobs: Option<u32>,
    limit: Option<u32>,
    cells: Option<u32>,
}

type Answer = Result<Response, Problem>;

pub(super) async fn overview(State(pages): State<Shared>, Query(asked): Query<Asked>) -> Answer {
    let jobs = asked.jobs.unwrap_or(USUAL).clamp(1, MOST);
    // Whoever comes meanwhile waits for the same answer.
    let mut shown = pages.overview.lock().await;
    if let Some(shown) = shown.as_ref().filter(|shown| shown.jobs == jobs && shown.at.elapsed() < FRESH) {
        return Ok(super::json(shown.body.clone()));
    }
    let overview = pages.farm.overview(jobs).await?;
    let body = Bytes::from(in_json(&overview, "FarmOverview").to_string());
    *shown = Some(Shown { at: Instant::now(), jobs, body: body.clone() });
    Ok(super::json(body))
}

pub(super) async fn cluster(State(pages): State<Shared>) -> Answer {
    let status = pages.farm.cluster().await?;
    Ok(super::json(in_json(&status, "ClusterStatus").to_string()))
}

pub(super) async fn events(State(pages): State<Shared>) -> Response {
    super::json(json!({ "events": pages.recent.all() }).to_string())
}

pub(super) async fn job(State(pages): State<Shared>, Path(job): Path<String>) -> Answer {
    let job = v1::Job::from(pages.farm.job(number(&job)?).await?);
    Ok(super::json(in_json(&job, "Job").to_string()))
}

pub(super) async fn of_job(
    State(pages): State<Shared>,
    Path((job, what)): Path<(String, String)>,
    Query(asked): Query<Asked>,
) -> Answer {
    let job = number(&job)?;
    let farm = &pages.farm;
    let answer = match what.as_str() {
        "strip" => {
            let cells = asked.cells.unwrap_or(USUAL).clamp(1, MOST_CELLS);
            in_json(&farm.strip(job, cells).await?, "PartStrip")
        }
        "tasks" => {
            let limit = asked.limit.unwrap_or(USUAL).clamp(1, MOST);
            let tasks = farm.tasks(job, None, limit, true).await?.into_iter().map(Into::into).collect();
            in_json(&v1::ListTasksResponse { tasks }, "ListTasksResponse")
        }
        "explain" => in_json(&farm.explain(job).await?, "Explanation"),
        "history" => in_json(&farm.history(job).await?, "JobHistory"),
        "title" => super::titles::place(&pages, job).await?,
        _ => return Err(Problem(StatusCode::NOT_FOUND, format!("there is no {what} of a job"))),
    };
    Ok(super::json(answer.to_string()))
}

pub(super) fn number(job: &str) -> Result<JobId, Problem> {
    let wrong = |_| Problem(StatusCode::NOT_FOUND, "jobs have numbers, such as 42".to_owned());
    job.parse().map(JobId).map_err(wrong)
}
