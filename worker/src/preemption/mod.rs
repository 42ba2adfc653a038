//! Word that this host will be taken away: a notice file, and what AWS, Google Cloud and Azure tell their machines.
//!
//! Each source is watched by a task of its own, for as long as the worker lives. A source that cannot be asked, or that
//! makes no sense, is told of in the log and asked again; only a clear notice lets the worker go.

mod aws;
mod azure;
mod cloud;
mod file;
mod gcp;
mod metadata;

use std::path::PathBuf;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

pub use cloud::Cloud;
pub use metadata::{BadEndpoint, Endpoint};

/// What the end of the host is kept away from the end of the grace: runners are killed, what they finished is published,
/// the rest is handed back, and the farm is told that this worker is gone.
const HAND_BACK: Duration = Duration::from_secs(5);
/// Notices that wait to be read. There are two sources, and a source waits while nobody reads.
const MAX_NOTICES: usize = 4;
/// A notice is news when it leaves so much less time than the one before; answers give their times in whole seconds.
const NEWS: Duration = Duration::from_secs(2);

/// Where word of a preemption may come from.
#[derive(Clone, Debug)]
pub struct Sources {
    /// A file that somebody makes when this host is to go.
    pub file: Option<PathBuf>,
    /// The cloud whose machine this is, and where it is asked.
    pub cloud: Option<(Cloud, Endpoint)>,
    /// How long parts in hand may take at most.
    pub grace: Duration,
}

/// This host will be taken away.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostNotice {
    /// Who says so, and what.
    pub reason: String,
    /// When the host is gone.
    pub goes_at: Instant,
}

impl HostNotice {
    /// How long parts in hand may take from now on, at most `grace`, so that there is time to hand back the rest.
    pub fn grace(&self, grace: Duration) -> Duration {
        within(self.goes_at.saturating_duration_since(Instant::now()), grace)
    }
}

fn within(left: Duration, grace: Duration) -> Duration {
    left.saturating_sub(HAND_BACK).min(grace)
}

/// What a source says of the time that is left.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Going {
    reason: String,
    left: Duration,
}

/// Why a source says nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
enum Trouble {
    #[error("it cannot be reached: {0}")]
    Unreachable(String),
    #[error("it did not answer within {} s", .0.as_secs())]
    Late(Duration),
    #[error("it answered {0}")]
    Refused(u16),
    #[error("{0}")]
    Senseless(&'static str),
}

/// Something that may know that this host will go.
trait Source: Send + 'static {
    /// For the log.
    fn name(&self) -> &'static str;
    /// The wait before it is asked again.
    fn pause(&self) -> Duration;
    /// What it says now. May take as long as it needs to be certain that there is no news.
    fn ask(&mut self) -> impl Future<Output = Result<Option<Going>, Trouble>> + Send;
}

/// Watches for word that this host will go. Dropping it ends that.
#[derive(Debug)]
pub struct Watch {
    heard: mpsc::Receiver<HostNotice>,
    soonest: Option<Instant>,
    _sources: JoinSet<()>,
}

impl Watch {
    /// Begins to watch. Must be called within a tokio runtime; returns at once, whatever the sources do.
    pub fn start(sources: Sources) -> Watch {
        let (sender, heard) = mpsc::channel(MAX_NOTICES);
        let mut tasks = JoinSet::new();
        if let Some(path) = sources.file {
            tasks.spawn(watch(file::NoticeFile::new(path, sources.grace), sender.clone()));
        }
        match sources.cloud {
            Some((Cloud::Aws, endpoint)) => drop(tasks.spawn(watch(aws::Aws::new(endpoint), sender))),
            Some((Cloud::Gcp, endpoint)) => drop(tasks.spawn(watch(gcp::Gcp::new(endpoint), sender))),
            Some((Cloud::Azure, endpoint)) => {
                let ahead = sources.grace + HAND_BACK;
                tasks.spawn(watch(azure::Azure::new(endpoint, ahead), sender));
            }
            None => {}
        }
        Watch { heard, soonest: None, _sources: tasks }
    }

    /// Waits for word that this host will go, and after that for word that it goes sooner. Nothing is lost when the future
    /// is dropped.
    pub async fn next(&mut self) -> HostNotice {
        while let Some(notice) = self.heard.recv().await {
            if self.soonest.is_none_or(|soonest| notice.goes_at + NEWS < soonest) {
                self.soonest = Some(notice.goes_at);
                return notice;
            }
        }
        // No source is watched.
        std::future::pending().await
    }
}

async fn watch(mut source: impl Source, sender: mpsc::Sender<HostNotice>) {
    let mut well = true;
    loop {
        let said = source.ask().await;
        match &said {
            Err(error) if well => {
                tracing::warn!(%error, "{} cannot be asked for preemption notices, and is asked again", source.name());
            }
            Ok(_) if !well => tracing::info!("{} can be asked for preemption notices again", source.name()),
            _ => {}
        }
        well = said.is_ok();
        if let Ok(Some(Going { reason, left })) = said {
            let notice = HostNotice { reason, goes_at: Instant::now() + left };
            if sender.send(notice).await.is_err() {
                return;
            }
        }
        sleep(source.pause()).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_grace_ends_before_the_host_and_is_never_longer_than_asked_for() {
        let seconds = |left, grace| within(Duration::from_secs(left), Duration::from_secs(grace)).as_secs();
        assert_eq!(seconds(120, 90), 90);
        assert_eq!(seconds(30, 90), 25);
        assert_eq!(seconds(5, 90), 0);
        assert_eq!(seconds(0, 90), 0);
    }

    #[tokio::test]
    async fn only_a_notice_that_leaves_less_time_is_news() {
        let (sender, heard) = mpsc::channel(MAX_NOTICES);
        let mut watch = Watch { heard, soonest: None, _sources: JoinSet::new() };
        for left in [120, 300, 119, 30] {
            let goes_at = Instant::now() + Duration::from_secs(left);
            sender.send(HostNotice { reason: left.to_string(), goes_at }).await.unwrap();
        }
        for news in ["120", "30"] {
            let next = tokio::time::timeout(Duration::from_secs(10), watch.next()).await;
            assert_eq!(next.unwrap().reason, news);
        }
    }
}
