//! What an operator is to look at.

use reel_proto::v1::{self, JobState, WorkerState};

use crate::format;

/// How long the failure of a job is news.
const NEWS_MS: u64 = 60 * 60 * 1000;
/// Log entries that a scheduler may be behind its leader while it is well.
const MAX_LAG: u64 = 1000;
/// Space left for runners below which a worker is about to fail.
const MIN_SCRATCH: u64 = 2 << 30;
/// Names in one alert.
const MAX_NAMES: usize = 3;

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Level {
    /// Nothing is lost yet.
    Warning,
    /// Work stands still or was lost.
    Critical,
}

/// One thing to look at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Alert {
    pub(crate) level: Level,
    pub(crate) text: String,
}

/// Everything that is wrong, the worst first.
pub(crate) fn alerts(overview: &v1::FarmOverview, cluster: Option<&v1::ClusterStatus>) -> Vec<Alert> {
    let mut found: Vec<Alert> = cluster.into_iter().flat_map(of_cluster).collect();
    found.extend(of_workers(overview));
    found.extend(of_jobs(overview));
    found.sort_by_key(|alert| std::cmp::Reverse(alert.level));
    found
}

fn alert(level: Level, text: String) -> Option<Alert> {
    Some(Alert { level, text })
}

/// `w1, w2, w3 and 4 more`.
fn names<'a>(all: impl Iterator<Item = &'a str>) -> Option<String> {
    let all: Vec<_> = all.collect();
    let more = all.len().saturating_sub(MAX_NAMES);
    let shown = all[..all.len() - more].join(", ");
    match (all.len(), more) {
        (0, _) => None,
        (_, 0) => Some(shown),
        _ => Some(format!("{shown} and {more} more")),
    }
}

fn of_cluster(status: &v1::ClusterStatus) -> Vec<Alert> {
    let mut found = Vec::new();
    if status.leader.is_none() {
        found.extend(alert(Level::Critical, "no scheduler leads: nothing is begun".to_owned()));
    }
    // Only the leader knows how far the others are.
    let leads = status.leader == Some(status.node);
    let behind = |member: &&v1::ClusterMember| {
        let matched = member.matched.unwrap_or(0);
        leads && member.id != status.node && status.last_log.saturating_sub(matched) > MAX_LAG
    };
    let behind: Vec<String> =
        status.members.iter().filter(behind).map(|member| member.id.to_string()).collect();
    if let Some(names) = names(behind.iter().map(String::as_str)) {
        found.extend(alert(
            Level::Warning,
            format!("scheduler {names} is behind or away: one less may be lost"),
        ));
    }
    found
}

fn of_workers(overview: &v1::FarmOverview) -> Vec<Alert> {
    let of = |state: WorkerState| {
        names(
            overview
                .workers
                .iter()
                .filter(|worker| worker.state() == state)
                .map(|worker| worker.name.as_str()),
        )
    };
    let short = overview
        .workers
        .iter()
        .filter(|worker| worker.load.is_some_and(|load| load.scratch_free < MIN_SCRATCH));
    let open = overview.jobs_queued + overview.jobs_running;
    let idle = (overview.slots == 0 && open > 0).then(|| Alert {
        level: Level::Critical,
        text: format!("no worker takes work, and {open} jobs wait"),
    });
    let quarantined = of(WorkerState::Quarantined).map(|names| Alert {
        level: Level::Warning,
        text: format!("quarantined, since jobs fail there: {names}"),
    });
    let silent = of(WorkerState::Silent)
        .map(|names| Alert { level: Level::Warning, text: format!("not heard of: {names}") });
    let scratch = names(short.map(|worker| worker.name.as_str())).map(|names| Alert {
        level: Level::Warning,
        text: format!("little scratch space is left on {names}"),
    });
    [idle, quarantined, silent, scratch].into_iter().flatten().collect()
}

fn of_jobs(overview: &v1::FarmOverview) -> Vec<Alert> {
    let now = overview.at_ms;
    let one = |job: &v1::JobRow| {
        let late = job.deadline_ms.filter(|deadline| *deadline < now && job.ended_ms.is_none());
        match (job.state(), job.ended_ms, late) {
            (JobState::Failed, Some(ended), _) if ended + NEWS_MS > now => {
                let ago = format::span(now.saturating_sub(ended));
                alert(Level::Critical, format!("job {} failed {ago} ago: {}", job.id, job.trouble))
            }
            (_, _, Some(deadline)) => {
                let late = format::span(now - deadline);
                alert(Level::Warning, format!("job {} is {late} over its deadline", job.id))
            }
            (JobState::Running, None, None) if !job.trouble.is_empty() => {
                alert(Level::Warning, format!("job {} tries again: {}", job.id, job.trouble))
            }
            _ => None,
        }
    };
    overview.jobs.iter().filter_map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(overview: &v1::FarmOverview, cluster: Option<&v1::ClusterStatus>) -> Vec<String> {
        alerts(overview, cluster).into_iter().map(|alert| alert.text).collect()
    }

    fn worker(name: &str, state: WorkerState) -> v1::WorkerRow {
        v1::WorkerRow { name: name.to_owned(), state: state.into(), ..v1::WorkerRow::default() }
    }

    #[test]
    fn a_farm_that_is_well_says_nothing() {
        let overview = v1::FarmOverview { slots: 1, jobs_running: 1, ..v1::FarmOverview::default() };
        assert_eq!(texts(&overview, None), [""; 0]);
    }

    #[test]
    fn the_worst_comes_first() {
        let failed = v1::JobRow {
            id: 7,
            state: JobState::Failed.into(),
            ended_ms: Some(4_000_000),
            trouble: "no moov".to_owned(),
            ..v1::JobRow::default()
        };
        let old = v1::JobRow { id: 6, ended_ms: Some(0), ..failed.clone() };
        let late = v1::JobRow {
            id: 8,
            state: JobState::Running.into(),
            deadline_ms: Some(4_000_000),
            ..v1::JobRow::default()
        };
        let workers = ["a", "b", "c", "d", "e"].map(|name| worker(name, WorkerState::Silent));
        let overview = v1::FarmOverview {
            at_ms: 4_060_000,
            jobs_queued: 2,
            jobs: vec![failed, old, late],
            workers: workers.to_vec(),
            ..v1::FarmOverview::default()
        };
        let wanted = [
            "no worker takes work, and 2 jobs wait",
            "job 7 failed 1m00s ago: no moov",
            "not heard of: a, b, c and 2 more",
            "job 8 is 1m00s over its deadline",
        ];
        assert_eq!(texts(&overview, None), wanted);
    }

    #[test]
    fn schedulers_that_are_away_are_named() {
        let member =
            |id, matched| v1::ClusterMember { id, matched, voter: true, ..v1::ClusterMember::default() };
        let members = vec![member(1, Some(5_000)), member(2, Some(4_999)), member(3, None)];
        let status = v1::ClusterStatus {
            node: 1,
            leader: Some(1),
            last_log: 5_000,
            members,
            ..v1::ClusterStatus::default()
        };
        let overview = v1::FarmOverview::default();
        assert_eq!(texts(&overview, Some(&status)), ["scheduler 3 is behind or away: one less may be lost"]);
        let status = v1::ClusterStatus { leader: None, ..status };
        assert_eq!(texts(&overview, Some(&status)), ["no scheduler leads: nothing is begun"]);
    }
}
