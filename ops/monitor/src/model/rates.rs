//! How fast the farm is: from what it has counted now and before.

use std::collections::{BTreeMap, VecDeque};

use reel_proto::v1;

/// Readings of the past that are kept: as many as the widest line can show.
const MAX_READINGS: usize = 240;
/// Seconds after which a reading counts for a third: parts are committed, and heartbeats come, some seconds apart.
const MEMORY_S: f64 = 15.0;

/// Frames a second, of the farm and of its jobs.
#[derive(Debug, Default)]
pub(crate) struct Rates {
    before: Option<(u64, u64, u64)>,
    /// Of the farm: each second's, oldest first.
    pub(crate) readings: VecDeque<u64>,
    fps: f64,
    jobs: BTreeMap<u64, JobRate>,
}

#[derive(Clone, Copy, Debug)]
struct JobRate {
    at_ms: u64,
    frames: u64,
    fps: Option<f64>,
}

impl Rates {
    /// Takes a reading.
    pub(crate) fn note(&mut self, overview: &v1::FarmOverview) {
        let v1::FarmOverview { at_ms, term, frames, .. } = *overview;
        // Another leader counts from nothing, and has another clock.
        let same = self.before.filter(|before| before.0 == term && before.1 < at_ms);
        if let Some((_, before_ms, before)) = same {
            let passed = at_ms - before_ms;
            let fps = frames.saturating_sub(before) as f64 * 1000.0 / passed as f64;
            self.fps = smooth(self.fps, fps, passed);
            self.readings.push_back(fps.round() as u64);
            if self.readings.len() > MAX_READINGS {
                self.readings.pop_front();
            }
        }
        self.before = Some((term, at_ms, frames));
        let jobs = overview.jobs.iter().filter(|job| job.ended_ms.is_none());
        self.jobs = jobs.map(|job| (job.id, next(self.jobs.get(&job.id), job, at_ms))).collect();
    }

    /// Of the farm.
    pub(crate) fn fps(&self) -> f64 {
        self.fps
    }

    /// Of a job; `None` before it was seen twice.
    pub(crate) fn fps_of(&self, job: u64) -> Option<f64> {
        self.jobs.get(&job)?.fps
    }

    /// Milliseconds until the encode of a job is over, at its rate; `None` where that says nothing.
    pub(crate) fn left_ms(&self, job: &v1::JobRow) -> Option<u64> {
        let fps = self.fps_of(job.id).filter(|fps| *fps > 0.05)?;
        let left = job.frames_total.checked_sub(job.frames_done).filter(|left| *left > 0)?;
        Some((left as f64 * 1000.0 / fps) as u64)
    }

    /// Milliseconds until everything is encoded that is known of, at the rate of the farm.
    pub(crate) fn all_left_ms(&self, jobs: &[v1::JobRow]) -> Option<u64> {
        let open = jobs.iter().filter(|job| job.ended_ms.is_none());
        let left: u64 = open.map(|job| job.frames_total.saturating_sub(job.frames_done)).sum();
        (self.fps > 0.05 && left > 0).then(|| (left as f64 * 1000.0 / self.fps) as u64)
    }
}

/// What was before fades with the time that has passed since.
fn smooth(before: f64, now: f64, passed_ms: u64) -> f64 {
    let kept = (-(passed_ms as f64) / (1000.0 * MEMORY_S)).exp();
    now + kept * (before - now)
}

fn next(before: Option<&JobRate>, job: &v1::JobRow, at_ms: u64) -> JobRate {
    let fps = before.and_then(|before| {
        let passed = at_ms.checked_sub(before.at_ms).filter(|passed| *passed > 0)?;
        // Frames in hand are lost with their attempt.
        let fps = job.frames_done.saturating_sub(before.frames) as f64 * 1000.0 / passed as f64;
        Some(before.fps.map_or(fps, |before| smooth(before, fps, passed)))
    });
    JobRate { at_ms, frames: job.frames_done, fps: fps.or(before.and_then(|before| before.fps)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reading(term: u64, at_ms: u64, frames: u64) -> v1::FarmOverview {
        let job = v1::JobRow { id: 1, frames_done: frames, frames_total: 1000, ..v1::JobRow::default() };
        v1::FarmOverview { term, at_ms, frames, jobs: vec![job], ..v1::FarmOverview::default() }
    }

    #[test]
    fn rates_follow_what_is_counted() {
        let mut rates = Rates::default();
        rates.note(&reading(1, 10_000, 100));
        assert_eq!((rates.fps_of(1), rates.readings.len()), (None, 0));
        rates.note(&reading(1, 12_000, 200));
        assert_eq!((rates.fps_of(1), rates.readings[0]), (Some(50.0), 50));
        let job = reading(1, 12_000, 200).jobs[0].clone();
        assert_eq!(rates.left_ms(&job), Some(16_000));
    }

    #[test]
    fn another_leader_is_no_rate() {
        let mut rates = Rates::default();
        rates.note(&reading(1, 10_000, 100_000));
        rates.note(&reading(2, 11_000, 10));
        assert_eq!(rates.readings.len(), 0);
        rates.note(&reading(2, 12_000, 35));
        assert_eq!(rates.readings, [25]);
    }

    #[test]
    fn a_job_that_stands_still_has_no_end() {
        let mut rates = Rates::default();
        (0..60).for_each(|second| rates.note(&reading(1, second * 1000, 500)));
        let job = reading(1, 0, 500).jobs[0].clone();
        assert_eq!((rates.left_ms(&job), rates.all_left_ms(std::slice::from_ref(&job))), (None, None));
    }
}
