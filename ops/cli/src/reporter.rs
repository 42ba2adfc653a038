//! Shows a running job: a bar on a terminal, plain lines elsewhere, JSON lines for machines, or nothing.

use std::io::{self, IsTerminal};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};
use reel_common::{AttemptNumber, Stage, TaskId};
use reel_common::{JobView, Trouble};
use serde_json::json;

use crate::exit::Stop;
use crate::output::{clock, print_json, remark};
use crate::progress::{Status, Tracker};

/// Plain and JSON progress comes this often, and when the stage changes.
const PACE: Duration = Duration::from_secs(2);

/// For whom a job is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Audience {
    /// People: a bar where stderr is a terminal, else lines.
    People,
    /// Programs: JSON lines on stdout.
    Programs,
    /// Nobody.
    Nobody,
}

impl Audience {
    /// As the flags say.
    pub(crate) fn of(json: bool, quiet: bool) -> Self {
        match (json, quiet) {
            (true, _) => Audience::Programs,
            (_, true) => Audience::Nobody,
            (false, false) => Audience::People,
        }
    }
}

/// Shows one job.
pub(crate) struct Reporter {
    form: Form,
    tracker: Tracker,
    /// Warnings shown so far.
    warned: usize,
    /// The failed try that was shown last, or was there before, with its message.
    trouble: Option<(TaskId, AttemptNumber, String)>,
    /// The stage that was shown last, and when.
    shown: Option<(Stage, Instant)>,
}

enum Form {
    Bar(ProgressBar),
    Lines,
    Json,
    Quiet,
}

impl Reporter {
    pub(crate) fn new(audience: Audience) -> Self {
        let form = match audience {
            Audience::People if io::stderr().is_terminal() => Form::Bar(bar()),
            Audience::People => Form::Lines,
            Audience::Programs => Form::Json,
            Audience::Nobody => Form::Quiet,
        };
        Reporter { form, tracker: Tracker::default(), warned: 0, trouble: None, shown: None }
    }

    /// The job is on disk.
    pub(crate) fn accepted(&mut self, view: &JobView, resumed: bool) -> Result<(), Stop> {
        self.trouble = view.trouble.as_ref().map(key);
        match self.form {
            Form::Json => print_json(&json!({ "event": "accepted", "job": view.id, "resumed": resumed })),
            Form::Bar(_) | Form::Lines if resumed => {
                let (committed, total) = (view.parts_committed, view.parts_total);
                self.say(&format!("job {} goes on: {committed} of {total} parts are made", view.id));
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// The job has changed.
    pub(crate) fn follow(&mut self, view: &JobView) -> Result<(), Stop> {
        for warning in view.warnings.iter().skip(self.warned) {
            match self.form {
                Form::Json => print_json(&json!({ "event": "warning", "text": warning }))?,
                _ => self.say(&format!("warning: {warning}")),
            }
        }
        self.warned = view.warnings.len();
        self.tell_trouble(view)?;
        let now = Instant::now();
        let status = self.tracker.status(view, now);
        if let Form::Bar(bar) = &self.form {
            draw(bar, &status);
            return Ok(());
        }
        let due = self
            .shown
            .is_none_or(|(stage, at)| stage != status.stage || now.saturating_duration_since(at) >= PACE);
        if !due || view.is_over() {
            return Ok(());
        }
        self.shown = Some((status.stage, now));
        match self.form {
            Form::Json => print_json(&Event { event: "progress", status }),
            Form::Lines => {
                remark(&line(&status));
                Ok(())
            }
            Form::Bar(_) | Form::Quiet => Ok(()),
        }
    }

    /// Tells of each try that failed and is repeated; people hear of one that fails the same way again only once.
    fn tell_trouble(&mut self, view: &JobView) -> Result<(), Stop> {
        // What a job has failed by is not tried again, and is said at its end.
        let Some(trouble) = view.trouble.as_ref().filter(|_| view.reason.is_none()) else { return Ok(()) };
        let newest = key(trouble);
        let machine = matches!(self.form, Form::Json);
        let known = self.trouble.as_ref().is_some_and(|(task, attempt, message)| {
            (task, message) == (&newest.0, &newest.2) && (*attempt == newest.1 || !machine)
        });
        self.trouble = Some(newest);
        if known {
            return Ok(());
        }
        let Trouble { task, attempt, worker, class, message, .. } = trouble;
        if let Form::Json = self.form {
            let (task, class) = (task.to_string(), class.name());
            return print_json(&json!({
                "event": "trouble", "task": task, "attempt": attempt, "worker": worker, "class": class,
                "message": message,
            }));
        }
        self.say(&format!(
            "try {attempt} of {task} on {worker} ended ({class}): {message}; it is tried again"
        ));
        Ok(())
    }

    /// Takes the bar away, so that what follows stands by itself.
    pub(crate) fn end(&self) {
        if let Form::Bar(bar) = &self.form {
            bar.finish_and_clear();
        }
    }

    fn say(&self, text: &str) {
        match &self.form {
            Form::Bar(bar) => bar.suspend(|| remark(text)),
            Form::Lines | Form::Quiet => remark(text),
            Form::Json => {}
        }
    }
}

fn key(trouble: &Trouble) -> (TaskId, AttemptNumber, String) {
    (trouble.task, trouble.attempt, trouble.message.clone())
}

#[derive(serde::Serialize)]
struct Event {
    event: &'static str,
    #[serde(flatten)]
    status: Status,
}

fn bar() -> ProgressBar {
    let style = ProgressStyle::with_template("{prefix:9} [{bar:32}] {wide_msg}");
    let style = style.unwrap_or_else(|_| ProgressStyle::default_bar());
    let bar = ProgressBar::new(0).with_style(style.progress_chars("=> "));
    bar.enable_steady_tick(Duration::from_millis(250));
    bar
}

fn draw(bar: &ProgressBar, status: &Status) {
    bar.set_prefix(status.stage.name());
    bar.set_length(status.frames_total.max(1));
    bar.set_position(status.frames_done.min(status.frames_total));
    bar.set_message(numbers(status));
}

fn line(status: &Status) -> String {
    format!("{}: {}", status.stage, numbers(status))
}

/// `300/720 frames, 24.1 fps, 0:00:18 left, 1/3 parts`, as far as it is known. Other stages than those that handle
/// pictures may count bytes, so only their share is shown.
fn numbers(status: &Status) -> String {
    let mut words = Vec::new();
    let pictures = matches!(status.stage, Stage::Probe | Stage::Encode | Stage::Measure);
    if status.frames_total > 0 {
        let (done, total) = (status.frames_done, status.frames_total);
        let percent = done.min(total).saturating_mul(100) / total;
        words.push(if pictures {
            format!("{done}/{total} frames, {percent} %")
        } else {
            format!("{percent} %")
        });
    }
    if let Some(fps) = status.fps.filter(|_| pictures) {
        words.push(format!("{fps:.1} fps"));
    }
    if let Some(left) = status.eta_s {
        words.push(format!("{} left", clock(left)));
    }
    // None is committed before the rates are found.
    if status.parts_total > 0 && status.stage != Stage::Probe {
        words.push(format!("{}/{} parts", status.parts_committed, status.parts_total));
    }
    if words.is_empty() { "..".to_owned() } else { words.join(", ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(stage: Stage) -> Status {
        Status {
            stage,
            frames_done: 300,
            frames_total: 720,
            fps: Some(24.06),
            eta_s: Some(18),
            parts_committed: 1,
            parts_total: 3,
            running: 2,
        }
    }

    #[test]
    fn a_line_says_as_much_as_is_known() {
        assert_eq!(
            line(&status(Stage::Encode)),
            "encode: 300/720 frames, 41 %, 24.1 fps, 0:00:18 left, 1/3 parts"
        );
        assert_eq!(line(&status(Stage::Assemble)), "assemble: 41 %, 0:00:18 left, 1/3 parts");
        let unknown =
            Status { frames_total: 0, fps: None, eta_s: None, parts_total: 0, ..status(Stage::Index) };
        assert_eq!(line(&unknown), "index: ..");
    }

    #[test]
    fn a_progress_event_is_one_flat_object() {
        let event = Event { event: "progress", status: status(Stage::Encode) };
        insta::assert_snapshot!(serde_json::to_string_pretty(&event).unwrap());
    }
}
