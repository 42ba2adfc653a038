//! How far a job is, in the few numbers that people and programs follow. Time comes in as an argument.

use std::time::{Duration, Instant};

use reel_common::Stage;
use reel_common::{JobView, StageView};
use serde::Serialize;

/// The rate is taken over about this long, so that a stall or a restart shows soon.
const WINDOW: Duration = Duration::from_secs(20);
/// Samples kept in the window, a few a second.
const MAX_SAMPLES: usize = 64;

/// How far a job is.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Status {
    /// The earliest stage that is not complete; the last one at the end.
    pub(crate) stage: Stage,
    /// Frames of the stage that are done, or bytes where it counts bytes.
    pub(crate) frames_done: u64,
    /// Of so many; 0 where it is not known.
    pub(crate) frames_total: u64,
    /// Frames a second of late.
    pub(crate) fps: Option<f64>,
    /// Seconds until the stage is complete, at this rate.
    pub(crate) eta_s: Option<u64>,
    /// Parts whose renditions are all in the store.
    pub(crate) parts_committed: u32,
    /// Parts of the plan; 0 before it.
    pub(crate) parts_total: u32,
    /// Attempts that run.
    pub(crate) running: usize,
}

/// Turns views into statuses.
#[derive(Debug, Default)]
pub(crate) struct Tracker {
    stage: Option<Stage>,
    samples: std::collections::VecDeque<(Instant, u64)>,
}

impl Tracker {
    /// The status of `view`, seen at `now`.
    pub(crate) fn status(&mut self, view: &JobView, now: Instant) -> Status {
        let current = current_stage(view);
        let stage = current.map_or(Stage::Index, |stage| stage.stage);
        let (done, total) = current.map_or((0, 0), |stage| (stage.frames_done, stage.frames_total));
        if self.stage != Some(stage) || self.samples.back().is_some_and(|(_, before)| *before > done) {
            // Another stage counts anew, and a lost attempt takes its frames with it.
            self.stage = Some(stage);
            self.samples.clear();
        }
        self.samples.push_back((now, done));
        let outdated = |(time, _): &(Instant, u64)| now.saturating_duration_since(*time) > WINDOW;
        while self.samples.len() > MAX_SAMPLES
            || (self.samples.len() > 2 && self.samples.front().is_some_and(outdated))
        {
            self.samples.pop_front();
        }
        let fps = self.rate();
        let left = total.saturating_sub(done);
        let eta_s = fps.filter(|_| total > 0).map(|fps| (left as f64 / fps).ceil() as u64);
        Status {
            stage,
            frames_done: done,
            frames_total: total,
            fps,
            eta_s,
            parts_committed: view.parts_committed,
            parts_total: view.parts_total,
            running: view.running.len(),
        }
    }

    fn rate(&self) -> Option<f64> {
        let (first, last) = (self.samples.front()?, self.samples.back()?);
        let seconds = last.0.saturating_duration_since(first.0).as_secs_f64();
        let frames = last.1.saturating_sub(first.1);
        (seconds >= 0.5 && frames > 0).then(|| frames as f64 / seconds)
    }
}

fn current_stage(view: &JobView) -> Option<&StageView> {
    view.stages.iter().find(|stage| stage.done < stage.total).or(view.stages.last())
}

#[cfg(test)]
pub(crate) mod tests {
    use reel_common::JobState;
    use reel_common::{JobId, Labels};

    use super::*;

    /// Job 1 with 720 frames in 3 parts, one of which is committed.
    pub(crate) fn view() -> JobView {
        let stage = |stage, total, done, frames_done, frames_total| StageView {
            stage,
            total,
            done,
            running: 0,
            frames_done,
            frames_total,
        };
        JobView {
            mezzanine: "movie.mov".to_owned(),
            output: "title".to_owned(),
            project: "default".to_owned(),
            priority: 0,
            deadline_ms: None,
            labels: Labels::default(),
            needs: Labels::default(),
            hooks: Vec::new(),
            texts: Vec::new(),
            edit: None,
            id: JobId(1),
            state: JobState::Running,
            reason: None,
            trouble: None,
            warnings: vec!["it is 720 high: 1080p left out, since nothing is scaled up".to_owned()],
            flags: Vec::new(),
            rates: Vec::new(),
            stages: vec![
                stage(Stage::Index, 1, 1, 0, 0),
                stage(Stage::Encode, 3, 1, 300, 720),
                stage(Stage::Audio, 1, 0, 0, 0),
                stage(Stage::Assemble, 1, 0, 0, 0),
            ],
            running: Vec::new(),
            frames: 720,
            parts_total: 3,
            parts_committed: 1,
            attempts: 4,
            parts_encoded_twice: 0,
            renditions_encoded: 3,
            renditions_reused: 0,
            report: None,
            submitted_ms: 0,
            ended_ms: None,
            cost_micros: 0,
        }
    }

    #[test]
    fn rate_and_time_left_come_from_the_last_seconds() {
        let mut tracker = Tracker::default();
        let (mut view, start) = (view(), Instant::now());
        assert_eq!(tracker.status(&view, start).fps, None, "one look gives no rate");
        let mut status = None;
        for second in 1..=60 {
            // 10 frames a second at first, 5 later.
            view.stages[1].frames_done += if second <= 30 { 10 } else { 5 };
            status = Some(tracker.status(&view, start + Duration::from_secs(second)));
        }
        let status = status.unwrap();
        assert_eq!((status.stage, status.frames_done, status.fps), (Stage::Encode, 750, Some(5.0)));
        assert_eq!(status.eta_s, Some(0), "more frames than expected is no underflow");
    }

    #[test]
    fn a_new_stage_or_a_lost_attempt_starts_the_rate_anew() {
        let mut tracker = Tracker::default();
        let (mut view, start) = (view(), Instant::now());
        tracker.status(&view, start);
        view.stages[1].frames_done = 400;
        assert!(tracker.status(&view, start + Duration::from_secs(1)).fps.is_some());
        view.stages[1].frames_done = 240;
        assert_eq!(tracker.status(&view, start + Duration::from_secs(2)).fps, None);
        view.stages[1].done = 3;
        let status = tracker.status(&view, start + Duration::from_secs(3));
        assert_eq!((status.stage, status.fps, status.eta_s), (Stage::Audio, None, None));
    }

    #[test]
    fn a_job_before_its_index_has_a_status() {
        let view = JobView { stages: Vec::new(), parts_total: 0, ..view() };
        assert_eq!(Tracker::default().status(&view, Instant::now()).stage, Stage::Index);
    }
}
