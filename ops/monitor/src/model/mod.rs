//! What the monitor knows and shows. Events change it; nothing else does.

mod alerts;
mod list;
mod panes;
mod rates;

use std::cmp::Ordering;
use std::collections::VecDeque;

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use reel_client::events::{describe, line};
use reel_common::{JobId, JobView, TaskId};
use reel_proto::v1::{self, Hold, JobControl, JobState};

use crate::act::Act;
use crate::farm::{JobDetail, JobFocus};
use crate::feed::Focus;
use crate::keys::{self, Command, Place, Step};

pub(crate) use self::alerts::{Alert, Level};
pub(crate) use self::list::{List, Row};
pub(crate) use self::panes::{JobPane, LogPane, Scroll, Tab};
pub(crate) use self::rates::Rates;

/// Events that are remembered, the newest.
const MAX_EVENTS: usize = 2000;
/// Longest filter, in characters.
const MAX_FILTER: usize = 64;

/// What happens to the monitor.
#[derive(Debug)]
pub(crate) enum Event {
    Key(KeyEvent),
    Resized,
    Overview(Box<v1::FarmOverview>),
    /// Nobody answers.
    Unreachable(String),
    Cluster(Box<v1::ClusterStatus>),
    Changes(v1::Changes),
    Job(JobId, Result<Box<JobDetail>, String>),
    Log(TaskId, Result<v1::TailResponse, String>),
    /// What came of an act.
    Answer(Act, Result<(), String>),
}

/// What the operator wants of the world.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Wish {
    Quit,
    Do(Act),
}

/// The screens, in the order of their numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Screen {
    #[default]
    Overview,
    Jobs,
    Workers,
    Cluster,
    Events,
}

impl Screen {
    pub(crate) const ALL: [Screen; 5] =
        [Screen::Overview, Screen::Jobs, Screen::Workers, Screen::Cluster, Screen::Events];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Screen::Overview => "Overview",
            Screen::Jobs => "Jobs",
            Screen::Workers => "Workers",
            Screen::Cluster => "Cluster",
            Screen::Events => "Events",
        }
    }
}

/// What stands before everything else.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Dialog {
    Confirm {
        act: Act,
        /// What it is done to, in words.
        about: String,
    },
    Help,
}

/// The job that a command is about.
struct ChosenJob<'a> {
    id: JobId,
    state: JobState,
    priority: i32,
    output: &'a str,
    project: &'a str,
}

/// Something that happened, as a line.
#[derive(Debug)]
pub(crate) struct EventLine {
    pub(crate) at_ms: u64,
    pub(crate) name: &'static str,
    pub(crate) text: String,
}

/// Everything that is known and shown.
#[derive(Debug)]
pub(crate) struct Model {
    /// Which farm it is.
    pub(crate) farm: String,
    pub(crate) screen: Screen,
    pub(crate) job: Option<JobPane>,
    pub(crate) log: Option<LogPane>,
    pub(crate) dialog: Option<Dialog>,
    /// The filter of the screen is typed.
    pub(crate) typing: bool,
    pub(crate) overview: Option<Box<v1::FarmOverview>>,
    /// Why nobody answers, while nobody does.
    pub(crate) unreachable: Option<String>,
    pub(crate) cluster: Option<Box<v1::ClusterStatus>>,
    pub(crate) rates: Rates,
    pub(crate) alerts: Vec<Alert>,
    pub(crate) jobs: List<u64>,
    pub(crate) workers: List<String>,
    pub(crate) events: VecDeque<EventLine>,
    pub(crate) events_filter: String,
    pub(crate) events_scroll: Scroll,
    /// What came of the last act: whether it was done, and what to say.
    pub(crate) notice: Option<(bool, String)>,
    /// Lines of the list that was drawn last, and cells of its strip.
    pub(crate) page: usize,
    pub(crate) cells: u32,
}

impl Row for v1::JobRow {
    type Key = u64;

    fn key(&self) -> u64 {
        self.id
    }

    fn text(&self) -> String {
        let state = job_state(self.state());
        format!("{} {state} {} {} {}", self.id, self.project, self.output, self.trouble).to_lowercase()
    }
}

impl Row for v1::WorkerRow {
    type Key = String;

    fn key(&self) -> String {
        self.name.clone()
    }

    fn text(&self) -> String {
        let pool = if self.pool() == v1::Pool::Spot { "spot" } else { "on-demand" };
        format!("{} {} {pool}", self.name, worker_state(self.state())).to_lowercase()
    }
}

/// What jobs are sorted by: first those that are worked on, then those that wait, then those that are over.
pub(crate) const JOB_ORDERS: [&str; 6] =
    ["activity", "number", "priority", "progress", "project", "deadline"];
/// Likewise of workers.
pub(crate) const WORKER_ORDERS: [&str; 4] = ["name", "state", "load", "preemptions"];

/// Whether a text has all words of a filter, which is in lower case.
fn passes(filter: &str, text: &str) -> bool {
    filter.is_empty() || {
        let text = text.to_lowercase();
        filter.split_whitespace().all(|word| text.contains(word))
    }
}

fn compare_jobs(order: usize) -> impl Fn(&v1::JobRow, &v1::JobRow) -> Ordering {
    let share = |job: &v1::JobRow| job.frames_done as f64 / job.frames_total.max(1) as f64;
    let activity = |job: &v1::JobRow| (job.ended_ms.is_some(), job.running == 0);
    move |a, b| match order {
        1 => b.id.cmp(&a.id),
        2 => b.priority.cmp(&a.priority),
        3 => share(b).total_cmp(&share(a)),
        4 => a.project.cmp(&b.project),
        5 => a.deadline_ms.unwrap_or(u64::MAX).cmp(&b.deadline_ms.unwrap_or(u64::MAX)),
        // As they come: the newest first.
        _ => activity(a).cmp(&activity(b)),
    }
}

fn compare_workers(order: usize) -> impl Fn(&v1::WorkerRow, &v1::WorkerRow) -> Ordering {
    let load = |worker: &v1::WorkerRow| worker.load.map_or(0, |load| load.cpu_percent);
    move |a, b| match order {
        // Those that do not work first.
        1 => (a.state() == v1::WorkerState::Ready, a.state)
            .cmp(&(b.state() == v1::WorkerState::Ready, b.state)),
        2 => load(b).cmp(&load(a)),
        3 => b.preemptions.cmp(&a.preemptions),
        _ => Ordering::Equal,
    }
}

/// The word for the state of a job.
pub(crate) fn job_state(state: JobState) -> &'static str {
    reel_common::JobState::try_from(state).map_or("unknown", reel_common::JobState::name)
}

/// The word for the state of a worker.
pub(crate) fn worker_state(state: v1::WorkerState) -> &'static str {
    reel_common::WorkerState::try_from(state).map_or("unknown", reel_common::WorkerState::name)
}

impl Model {
    pub(crate) fn new(farm: String) -> Model {
        Model {
            farm,
            screen: Screen::default(),
            job: None,
            log: None,
            dialog: None,
            typing: false,
            overview: None,
            unreachable: None,
            cluster: None,
            rates: Rates::default(),
            alerts: Vec::new(),
            jobs: List::default(),
            workers: List::default(),
            events: VecDeque::new(),
            events_filter: String::new(),
            events_scroll: Scroll::default(),
            notice: None,
            page: 10,
            cells: 256,
        }
    }

    /// Where the operator is.
    pub(crate) fn place(&self) -> Place {
        match (&self.log, &self.job, self.screen) {
            (Some(_), ..) => Place::Log,
            (None, Some(_), _) => Place::Job,
            (None, None, Screen::Overview) => Place::Overview,
            (None, None, Screen::Jobs) => Place::Jobs,
            (None, None, Screen::Workers) => Place::Workers,
            (None, None, Screen::Cluster) => Place::Cluster,
            (None, None, Screen::Events) => Place::Events,
        }
    }

    /// What the farm is to be asked for beside the overview.
    pub(crate) fn focus(&self) -> Focus {
        let job = self.job.as_ref().filter(|_| self.log.is_none()).map(|pane| JobFocus {
            job: pane.job,
            cells: self.cells,
            history: pane.tab == Tab::Timeline,
        });
        Focus { job, log: self.log.as_ref().map(|log| log.task) }
    }

    /// The filter of the screen, where it has one.
    pub(crate) fn filter(&self) -> Option<&str> {
        match self.place() {
            Place::Jobs => Some(&self.jobs.filter),
            Place::Workers => Some(&self.workers.filter),
            Place::Events => Some(&self.events_filter),
            _ => None,
        }
    }

    /// How many rows pass the filter of the screen, of how many.
    pub(crate) fn found(&self) -> Option<(usize, usize)> {
        let overview = self.overview.as_ref()?;
        match self.place() {
            Place::Jobs => Some((self.jobs.len(), overview.jobs.len())),
            Place::Workers => Some((self.workers.len(), overview.workers.len())),
            Place::Events => Some((self.filtered_events().count(), self.events.len())),
            _ => None,
        }
    }

    fn filter_mut(&mut self) -> Option<&mut String> {
        match self.place() {
            Place::Jobs => Some(&mut self.jobs.filter),
            Place::Workers => Some(&mut self.workers.filter),
            Place::Events => Some(&mut self.events_filter),
            _ => None,
        }
    }

    /// Events that pass the filter, newest first.
    pub(crate) fn filtered_events(&self) -> impl Iterator<Item = &EventLine> {
        let shown = |event: &&EventLine| passes(&self.events_filter, &event.text);
        self.events.iter().rev().filter(shown)
    }

    /// Takes in what happened.
    pub(crate) fn update(&mut self, event: Event) -> Option<Wish> {
        match event {
            Event::Key(key) => return self.on_key(key),
            Event::Resized => {}
            Event::Overview(overview) => {
                self.unreachable = None;
                self.rates.note(&overview);
                self.overview = Some(overview);
                self.arrange();
            }
            Event::Unreachable(reason) => self.unreachable = Some(reason),
            Event::Cluster(status) => self.cluster = Some(status),
            Event::Changes(changes) => self.on_changes(&changes),
            Event::Job(job, seen) => {
                if let Some(pane) = self.job.as_mut().filter(|pane| pane.job == job) {
                    pane.take(seen);
                }
            }
            Event::Log(task, seen) => {
                if let Some(log) = self.log.as_mut().filter(|log| log.task == task) {
                    log.take(seen);
                }
            }
            Event::Answer(act, answer) => {
                self.notice = Some(match answer {
                    Ok(()) => (true, format!("{}: done", act.name())),
                    Err(reason) => (false, format!("{}: {reason}", act.name())),
                });
            }
        }
        None
    }

    /// Lists jobs and workers anew.
    fn arrange(&mut self) {
        let Some(overview) = &self.overview else { return };
        self.jobs.arrange(&overview.jobs, compare_jobs(self.jobs.sort));
        self.workers.arrange(&overview.workers, compare_workers(self.workers.sort));
        self.alerts = alerts::alerts(overview, self.cluster.as_deref());
    }

    fn on_changes(&mut self, changes: &v1::Changes) {
        for event in changes.events.iter().filter_map(|event| event.event.as_ref()) {
            let (name, mut fields) = describe(event);
            // Epochs tell attempts apart for programs, and most attempts are the first.
            fields.retain(|(key, value)| *key != "epoch" && (*key != "attempt" || *value != 1));
            let text = line(name, &fields);
            // Who reads what was, goes on to read it.
            let passes = passes(&self.events_filter, &text);
            self.events.push_back(EventLine { at_ms: changes.at_ms, name, text });
            self.events_scroll.grow(usize::from(passes));
        }
        while self.events.len() > MAX_EVENTS {
            self.events.pop_front();
        }
    }

    fn on_key(&mut self, key: KeyEvent) -> Option<Wish> {
        // With Ctrl or Alt a letter is another key: one leaves from everywhere, the others are no answer.
        if key.modifiers.intersects(KeyModifiers::CONTROL | KeyModifiers::ALT) {
            let leaves = keys::command(key, self.place()) == Some(Command::Quit);
            return leaves.then_some(Wish::Quit);
        }
        match &self.dialog {
            Some(Dialog::Help) => {
                self.dialog = None;
                return None;
            }
            Some(Dialog::Confirm { .. }) => return self.answer(key.code),
            None if self.typing => {
                self.on_typed(key.code);
                return None;
            }
            None => {}
        }
        self.notice = None;
        let command = keys::command(key, self.place())?;
        self.on_command(command)
    }

    /// Only a clear yes is one.
    fn answer(&mut self, code: KeyCode) -> Option<Wish> {
        let yes = matches!(code, KeyCode::Char('y' | 'Y'));
        let no = matches!(code, KeyCode::Char('n' | 'N' | 'q') | KeyCode::Esc);
        if !yes && !no {
            return None;
        }
        match self.dialog.take() {
            Some(Dialog::Confirm { act, .. }) if yes => Some(Wish::Do(act)),
            _ => None,
        }
    }

    fn on_typed(&mut self, code: KeyCode) {
        let Some(filter) = self.filter_mut() else {
            self.typing = false;
            return;
        };
        match code {
            KeyCode::Char(letter) if filter.chars().count() < MAX_FILTER => {
                filter.extend(letter.to_lowercase())
            }
            KeyCode::Backspace => drop(filter.pop()),
            KeyCode::Enter => self.typing = false,
            KeyCode::Esc => {
                filter.clear();
                self.typing = false;
            }
            _ => {}
        }
        self.events_scroll = Scroll::default();
        self.arrange();
    }

    fn on_command(&mut self, command: Command) -> Option<Wish> {
        match command {
            Command::Quit => return Some(Wish::Quit),
            Command::Help => self.dialog = Some(Dialog::Help),
            Command::Back => self.go_back(),
            Command::Screen(number) => self.go_to(Screen::ALL[usize::from(number) % Screen::ALL.len()]),
            Command::NextScreen => {
                let at = Screen::ALL.iter().position(|screen| *screen == self.screen).unwrap_or(0);
                self.go_to(Screen::ALL[(at + 1) % Screen::ALL.len()]);
            }
            Command::Open => self.open(),
            Command::Log => self.open_log(),
            Command::Filter => self.typing = self.filter().is_some(),
            Command::Sort | Command::Reverse => self.sort(command),
            Command::NextTab => self.job.iter_mut().for_each(JobPane::turn),
            Command::Move(step) => self.step(step),
            act => {
                let confirm = |act| Dialog::Confirm { about: self.about(&act), act };
                self.dialog = self.act(act).map(confirm);
            }
        }
        None
    }

    fn go_to(&mut self, screen: Screen) {
        self.screen = screen;
        (self.job, self.log) = (None, None);
    }

    fn go_back(&mut self) {
        if self.log.take().is_some() || self.job.take().is_some() {
            return;
        }
        if let Some(filter) = self.filter_mut() {
            filter.clear();
            self.arrange();
        }
    }

    fn open(&mut self) {
        match self.place() {
            Place::Overview | Place::Jobs => {
                self.job = self.jobs.chosen().map(|job| JobPane::new(JobId(*job)));
            }
            Place::Job => self.open_log(),
            _ => {}
        }
    }

    fn open_log(&mut self) {
        let task = self.job.as_ref().and_then(JobPane::task_with_log);
        self.log = task.map(LogPane::new);
        if self.log.is_none() {
            self.notice = Some((false, "there is no log: nothing of it has run".to_owned()));
        }
    }

    fn sort(&mut self, command: Command) {
        let (sort, reverse, orders) = match self.place() {
            Place::Jobs => (&mut self.jobs.sort, &mut self.jobs.reverse, JOB_ORDERS.len()),
            _ => (&mut self.workers.sort, &mut self.workers.reverse, WORKER_ORDERS.len()),
        };
        match command {
            Command::Sort => *sort = (*sort + 1) % orders,
            _ => *reverse = !*reverse,
        }
        self.arrange();
    }

    fn step(&mut self, step: Step) {
        let page = self.page;
        match self.place() {
            Place::Log => self.log.iter_mut().for_each(|log| log.step(step, page)),
            Place::Job => self.job.iter_mut().for_each(|job| job.step(step, page)),
            Place::Events => {
                let total = self.filtered_events().count();
                self.events_scroll.step(step, page, total);
            }
            Place::Workers => {
                let Some(overview) = &self.overview else { return };
                self.workers.step(step, page, &overview.workers);
            }
            Place::Overview | Place::Jobs => {
                let Some(overview) = &self.overview else { return };
                self.jobs.step(step, page, &overview.jobs);
            }
            Place::Cluster => {}
        }
    }

    /// The job that commands are about. Of a great many, one that is looked at may be among those without a row.
    fn job_chosen(&self) -> Option<ChosenJob<'_>> {
        let id = self.job.as_ref().map(|pane| pane.job.0).or(self.jobs.chosen().copied())?;
        if let Some(row) = self.overview.as_ref().and_then(|seen| seen.jobs.iter().find(|job| job.id == id)) {
            let v1::JobRow { priority, output, project, .. } = row;
            return Some(ChosenJob {
                id: JobId(id),
                state: row.state(),
                priority: *priority,
                output,
                project,
            });
        }
        let JobView { id, state, priority, output, project, .. } = &self.job.as_ref()?.detail.as_ref()?.view;
        Some(ChosenJob { id: *id, state: (*state).into(), priority: *priority, output, project })
    }

    /// What an act is done to, in words.
    fn about(&self, act: &Act) -> String {
        match act {
            Act::Control(..) | Act::Priority(..) => self
                .job_chosen()
                .map_or(String::new(), |job| format!("{} (project {})", job.output, job.project)),
            Act::Hold(name, _) => {
                let mut workers = self.overview.iter().flat_map(|seen| &seen.workers);
                let worker = workers.find(|worker| worker.name == *name);
                worker.map_or(String::new(), |worker| format!("{} attempts run there", worker.running))
            }
            Act::RetryTask(_) | Act::SkipTask(_) => String::new(),
        }
    }

    /// What a command would do, for the operator to confirm.
    fn act(&self, command: Command) -> Option<Act> {
        let control = |control| Some(Act::Control(self.job_chosen()?.id, control));
        let hold = |hold| Some(Act::Hold(self.workers.chosen()?.clone(), hold));
        let priority = |step: i32| {
            let job = self.job_chosen()?;
            Some(Act::Priority(job.id, job.priority.saturating_add(step)))
        };
        match command {
            Command::Pause if self.job_chosen()?.state == JobState::Paused => control(JobControl::Resume),
            Command::Pause => control(JobControl::Pause),
            Command::Cancel => control(JobControl::Cancel),
            Command::Retry => {
                let task = self.job.as_ref().and_then(JobPane::task_in_trouble);
                task.map(Act::RetryTask).or_else(|| control(JobControl::Retry))
            }
            Command::Skip => self.job.as_ref()?.chosen_task().map(Act::SkipTask),
            Command::Raise => priority(1),
            Command::Lower => priority(-1),
            Command::Drain => hold(Hold::Drain),
            Command::Undrain => hold(Hold::None),
            Command::Cordon => hold(Hold::Cordon),
            Command::Quarantine => hold(Hold::Quarantine),
            _ => None,
        }
    }
}
