//! Asks the farm for what the screen shows, again and again, and does what the operator wants.

use std::time::Duration;

use reel_client::ClientError;
use reel_common::TaskId;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, MissedTickBehavior, interval};

use crate::act::Act;
use crate::farm::{Farm, JobFocus};
use crate::model::Event;

/// How often the farm is asked.
const PERIOD: Duration = Duration::from_secs(1);
/// Schedulers change less often.
const CLUSTER_PERIOD: Duration = Duration::from_secs(2);

/// What the operator looks at beside the whole farm.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Focus {
    pub(crate) job: Option<JobFocus>,
    pub(crate) log: Option<TaskId>,
}

/// Runs until nobody listens.
pub(crate) async fn feed(
    mut farm: impl Farm,
    mut focus: watch::Receiver<Focus>,
    mut to_do: mpsc::Receiver<Act>,
    screen: mpsc::Sender<Event>,
) {
    let mut ticks = interval(PERIOD);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut cluster_due = Instant::now();
    loop {
        let mut events = Vec::new();
        tokio::select! {
            Some(act) = to_do.recv() => {
                let answer = farm.act(&act).await;
                events.push(Event::Answer(act, answer.map_err(|error| error.to_string())));
                // What it has changed is seen at once.
                events.push(overview(&mut farm).await);
            }
            _ = ticks.tick() => {
                events.push(overview(&mut farm).await);
                if Instant::now() >= cluster_due {
                    cluster_due = Instant::now() + CLUSTER_PERIOD;
                    events.extend(farm.cluster().await.ok().map(|status| Event::Cluster(Box::new(status))));
                }
            }
            changed = focus.changed() => if changed.is_err() { return },
            () = screen.closed() => return,
        }
        let now = focus.borrow_and_update().clone();
        if let Some(wanted) = now.job {
            let seen = farm.job(wanted).await;
            events.extend(detail(seen, |detail| Event::Job(wanted.job, detail.map(Box::new))));
        }
        if let Some(task) = now.log {
            let seen = farm.log(task).await;
            events.extend(detail(seen, |tail| Event::Log(task, tail)));
        }
        events.extend(farm.changes().into_iter().map(Event::Changes));
        for event in events {
            if screen.send(event).await.is_err() {
                return;
            }
        }
    }
}

async fn overview(farm: &mut impl Farm) -> Event {
    match farm.overview().await {
        Ok(overview) => Event::Overview(Box::new(overview)),
        Err(error) => Event::Unreachable(error.to_string()),
    }
}

/// What was heard of one thing. Where nobody answers, the overview says so, and what is shown stays.
fn detail<T>(seen: Result<T, ClientError>, event: impl FnOnce(Result<T, String>) -> Event) -> Option<Event> {
    match seen {
        Err(ClientError::Unreachable(_)) => None,
        seen => Some(event(seen.map_err(|error| error.to_string()))),
    }
}
