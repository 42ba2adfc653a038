//! What is opened over a screen: a job, and the log of a task.

use reel_common::{JobId, TaskId, TaskState, TaskView};
use reel_proto::v1;

use super::{List, Row};
use crate::farm::JobDetail;
use crate::keys::Step;

impl Row for TaskView {
    type Key = TaskId;

    fn key(&self) -> TaskId {
        self.task
    }

    fn text(&self) -> String {
        self.task.to_string()
    }
}

/// What is shown of a job below its parts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Tab {
    /// Tasks that are not done.
    #[default]
    Tasks,
    /// Who worked on it when.
    Timeline,
    /// Why tasks wait, and what admission had to say.
    Why,
}

impl Tab {
    pub(crate) const ALL: [Tab; 3] = [Tab::Tasks, Tab::Timeline, Tab::Why];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Tab::Tasks => "tasks",
            Tab::Timeline => "timeline",
            Tab::Why => "why it waits",
        }
    }
}

/// A job that is looked at.
#[derive(Debug)]
pub(crate) struct JobPane {
    pub(crate) job: JobId,
    pub(crate) tab: Tab,
    pub(crate) detail: Option<Box<JobDetail>>,
    /// Why there is nothing to see.
    pub(crate) problem: Option<String>,
    pub(crate) tasks: List<TaskId>,
    /// Of the timeline.
    pub(crate) scroll: usize,
}

impl JobPane {
    pub(crate) fn new(job: JobId) -> JobPane {
        JobPane { job, tab: Tab::default(), detail: None, problem: None, tasks: List::default(), scroll: 0 }
    }

    pub(crate) fn take(&mut self, seen: Result<Box<JobDetail>, String>) {
        match seen {
            Ok(detail) => {
                // Those that run come first, then those in trouble: the others only wait.
                let rank = |task: &TaskView| match task.state {
                    TaskState::Failed => 0,
                    TaskState::Running => 1,
                    TaskState::BackingOff => 2,
                    TaskState::Waiting => 3,
                    _ => 4,
                };
                self.tasks.arrange(&detail.tasks, |a, b| (rank(a), a.task).cmp(&(rank(b), b.task)));
                let before = self.detail.take().and_then(|before| before.history);
                let mut detail = detail;
                detail.history = detail.history.take().or(before);
                self.detail = Some(detail);
                self.problem = None;
            }
            Err(problem) => self.problem = Some(problem),
        }
    }

    pub(crate) fn turn(&mut self) {
        let at = Tab::ALL.iter().position(|tab| *tab == self.tab).unwrap_or(0);
        (self.tab, self.scroll) = (Tab::ALL[(at + 1) % Tab::ALL.len()], 0);
    }

    pub(crate) fn step(&mut self, step: Step, page: usize) {
        let Some(detail) = &self.detail else { return };
        match self.tab {
            Tab::Tasks => self.tasks.step(step, page, &detail.tasks),
            Tab::Timeline | Tab::Why => {
                self.scroll = match step {
                    Step::Up => self.scroll.saturating_sub(1),
                    Step::Down => self.scroll.saturating_add(1),
                    Step::PageUp => self.scroll.saturating_sub(page),
                    Step::PageDown => self.scroll.saturating_add(page),
                    Step::First => 0,
                    Step::Last => usize::MAX,
                }
            }
        }
    }

    pub(crate) fn chosen_task(&self) -> Option<TaskId> {
        self.tasks.chosen().copied().filter(|_| self.tab == Tab::Tasks)
    }

    fn task(&self) -> Option<&TaskView> {
        let chosen = self.chosen_task()?;
        self.detail.as_ref()?.tasks.iter().find(|task| task.task == chosen)
    }

    /// The chosen task, where its failures may be forgiven.
    pub(crate) fn task_in_trouble(&self) -> Option<TaskId> {
        let task = self.task()?;
        matches!(task.state, TaskState::BackingOff | TaskState::Failed).then_some(task.task)
    }

    /// The chosen task, or where none is chosen the first that runs.
    pub(crate) fn task_with_log(&self) -> Option<TaskId> {
        match self.task() {
            Some(task) => (task.attempts > 0).then_some(task.task),
            None => Some(self.detail.as_ref()?.view.running.first()?.task),
        }
    }
}

/// How far a reader is from the end of what grows.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Scroll {
    /// Lines below the screen; 0 follows.
    pub(crate) back: usize,
}

impl Scroll {
    /// So many lines came.
    pub(crate) fn grow(&mut self, lines: usize) {
        if self.back > 0 {
            self.back += lines;
        }
    }

    pub(crate) fn step(&mut self, step: Step, page: usize, total: usize) {
        let most = total.saturating_sub(page);
        self.back = match step {
            Step::Up => self.back + 1,
            Step::Down => self.back.saturating_sub(1),
            Step::PageUp => self.back + page,
            Step::PageDown => self.back.saturating_sub(page),
            Step::First => most,
            Step::Last => 0,
        }
        .min(most);
    }
}

/// The log of a task that is looked at.
#[derive(Debug)]
pub(crate) struct LogPane {
    pub(crate) task: TaskId,
    pub(crate) tail: Option<v1::TailResponse>,
    pub(crate) problem: Option<String>,
    pub(crate) scroll: Scroll,
}

impl LogPane {
    pub(crate) fn new(task: TaskId) -> LogPane {
        LogPane { task, tail: None, problem: None, scroll: Scroll::default() }
    }

    /// Takes what was read; what was read before stays where that was nothing.
    pub(crate) fn take(&mut self, seen: Result<v1::TailResponse, String>) {
        match seen {
            Ok(tail) => {
                let lines = |tail: &v1::TailResponse| tail.text.lines().count();
                let before = self.tail.as_ref().map_or(0, lines);
                self.scroll.grow(lines(&tail).saturating_sub(before));
                (self.tail, self.problem) = (Some(tail), None);
            }
            Err(problem) => self.problem = Some(problem),
        }
    }

    pub(crate) fn step(&mut self, step: Step, page: usize) {
        let total = self.tail.as_ref().map_or(0, |tail| tail.text.lines().count());
        self.scroll.step(step, page, total);
    }
}
