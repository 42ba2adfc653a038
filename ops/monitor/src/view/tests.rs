//! Every screen on a small and on a large terminal, of a farm that is made up.

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use reel_common::{JobId, TaskId};
use reel_proto::v1::{Hold, JobControl};

use super::draw;
use crate::act::Act;
use crate::demo::{Demo, DemoSize};
use crate::farm::Farm;
use crate::model::{Dialog, Event, Model, Wish};

/// The job that is worked on in the smallest farm.
const CHOSEN: u64 = 2;
/// 2026-11-21 09:00 UTC.
const BEGIN_MS: u64 = 1_795_251_600_000;

/// Somebody who looks at a farm.
struct Seat {
    model: Model,
    demo: Demo,
}

impl Seat {
    async fn at(workers: u32, chunks: u32) -> Seat {
        let demo = Demo::at(DemoSize { workers, chunks }, BEGIN_MS);
        let mut seat = Seat { model: Model::new("http://10.0.0.1:7101".to_owned()), demo };
        seat.pass(100).await;
        seat
    }

    /// Seconds pass, and all that is looked at is told.
    async fn pass(&mut self, seconds: usize) {
        for _ in 0..seconds {
            let overview = self.demo.overview().await.unwrap();
            self.model.update(Event::Overview(Box::new(overview)));
            for changes in self.demo.changes() {
                self.model.update(Event::Changes(changes));
            }
        }
        let cluster = self.demo.cluster().await.unwrap();
        self.model.update(Event::Cluster(Box::new(cluster)));
        let focus = self.model.focus();
        if let Some(wanted) = focus.job {
            let seen = self.demo.job(wanted).await.map(Box::new).map_err(|error| error.to_string());
            self.model.update(Event::Job(wanted.job, seen));
        }
        if let Some(task) = focus.log {
            let seen = self.demo.log(task).await.map_err(|error| error.to_string());
            self.model.update(Event::Log(task, seen));
        }
    }

    fn press(&mut self, code: KeyCode) -> Option<Wish> {
        self.model.update(Event::Key(KeyEvent::new(code, KeyModifiers::NONE)))
    }

    fn type_in(&mut self, text: &str) -> Option<Wish> {
        text.chars().map(|letter| self.press(KeyCode::Char(letter))).last().flatten()
    }

    fn shown(&mut self, width: u16, height: u16) -> String {
        let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
        terminal.draw(|frame| draw(frame, &mut self.model)).unwrap();
        terminal.backend().to_string()
    }

    /// The screen of both sizes.
    fn assert(&mut self, name: &str) {
        for (width, height) in [(80, 24), (200, 60)] {
            let shown = self.shown(width, height);
            insta::assert_snapshot!(format!("{name}_{width}x{height}"), shown);
        }
    }
}

#[tokio::test]
async fn every_screen_fits_small_and_large_terminals() {
    let mut seat = Seat::at(48, 6000).await;
    for (key, name) in [('1', "overview"), ('2', "jobs"), ('3', "workers"), ('4', "cluster"), ('5', "events")]
    {
        seat.press(KeyCode::Char(key));
        seat.assert(name);
    }
}

#[tokio::test]
async fn a_job_is_shown_with_its_tasks_timeline_obstacles_and_logs() {
    let mut seat = Seat::at(48, 60_000).await;
    seat.type_in("2g");
    seat.type_in("/cascade-s01e01");
    seat.press(KeyCode::Enter);
    seat.press(KeyCode::Enter);
    seat.shown(80, 24);
    seat.pass(1).await;
    assert_is_in_the_readme(&seat.shown(80, 24));
    seat.assert("job_tasks");
    seat.press(KeyCode::Char('t'));
    seat.pass(1).await;
    seat.assert("job_timeline");
    // What was told of the job is newer than what was told of the farm.
    let at_ms = seat.model.overview.as_mut().map(|overview| std::mem::take(&mut overview.at_ms));
    seat.shown(80, 24);
    seat.model.overview.as_mut().unwrap().at_ms = at_ms.unwrap();
    seat.press(KeyCode::Char('t'));
    seat.assert("job_why");
    seat.press(KeyCode::Char('t'));
    seat.press(KeyCode::Char('l'));
    seat.pass(1).await;
    seat.assert("log");
    seat.press(KeyCode::Esc);
    assert!(seat.model.log.is_none() && seat.model.job.is_some());
    seat.press(KeyCode::Esc);
    assert!(seat.model.job.is_none());
}

/// The picture of the README is what is drawn.
fn assert_is_in_the_readme(shown: &str) {
    let readme = include_str!("../../../../README.md");
    let block = readme.split("<!-- monitor -->\n```text\n").nth(1).and_then(|rest| rest.split("```").next());
    let drawn: Vec<&str> = shown.lines().map(|line| line.trim_matches('"').trim_end()).collect();
    assert_eq!(block.unwrap_or_default().trim_end(), drawn.join("\n").trim_end());
}

#[tokio::test]
async fn what_changes_something_is_confirmed_first() {
    let mut seat = Seat::at(8, 600).await;
    seat.type_in("2g");
    assert_eq!(seat.press(KeyCode::Char('c')), None);
    seat.assert("question");
    // Enter is typed too easily.
    assert_eq!(seat.press(KeyCode::Enter), None);
    let control = |letter| Event::Key(KeyEvent::new(KeyCode::Char(letter), KeyModifiers::CONTROL));
    assert_eq!(seat.model.update(control('y')), None);
    assert_eq!(seat.model.update(control('c')), Some(Wish::Quit));
    let cancel = Act::Control(JobId(CHOSEN), JobControl::Cancel);
    let Some(Dialog::Confirm { act, about }) = &seat.model.dialog else { panic!("no question") };
    assert_eq!((act, about.as_str()), (&cancel, "/srv/titles/borderlines-s01e01 (project films)"));
    assert_eq!(seat.press(KeyCode::Char('y')), Some(Wish::Do(cancel.clone())));
    seat.model.update(Event::Answer(cancel.clone(), Ok(())));
    assert!(seat.shown(80, 24).contains("cancel job 2: done"));
    seat.model.update(Event::Answer(cancel, Err("job 2 is done".to_owned())));
    assert!(seat.shown(80, 24).contains("cancel job 2: job 2 is done"));
    seat.press(KeyCode::Char('c'));
    assert_eq!(seat.press(KeyCode::Char('n')), None);
    assert_eq!(seat.model.dialog, None);
}

#[tokio::test]
async fn each_key_is_the_act_that_it_says() {
    let mut seat = Seat::at(8, 600).await;
    seat.type_in("2g");
    let job = JobId(CHOSEN);
    for (key, act) in [
        ('p', Act::Control(job, JobControl::Pause)),
        ('c', Act::Control(job, JobControl::Cancel)),
        ('r', Act::Control(job, JobControl::Retry)),
        ('+', Act::Priority(job, 1)),
        ('-', Act::Priority(job, -1)),
    ] {
        seat.press(KeyCode::Char(key));
        assert_eq!(seat.press(KeyCode::Char('y')), Some(Wish::Do(act)), "{key}");
    }
    seat.demo.act(&Act::Control(job, JobControl::Pause)).await.unwrap();
    seat.pass(1).await;
    seat.press(KeyCode::Char('p'));
    assert_eq!(seat.press(KeyCode::Char('y')), Some(Wish::Do(Act::Control(job, JobControl::Resume))));
    seat.type_in("3g");
    let worker = seat.model.workers.chosen().unwrap().clone();
    for (key, hold) in [('d', Hold::Drain), ('u', Hold::None), ('o', Hold::Cordon), ('z', Hold::Quarantine)] {
        seat.press(KeyCode::Char(key));
        assert_eq!(seat.press(KeyCode::Char('y')), Some(Wish::Do(Act::Hold(worker.clone(), hold))), "{key}");
    }
    assert_eq!(seat.press(KeyCode::Char('q')), Some(Wish::Quit));
}

#[tokio::test]
async fn tasks_are_retried_and_skipped_one_by_one() {
    let mut seat = Seat::at(8, 600).await;
    seat.type_in("2g");
    seat.press(KeyCode::Enter);
    seat.shown(80, 24);
    seat.pass(1).await;
    let task: TaskId = seat.model.job.as_ref().unwrap().chosen_task().unwrap();
    seat.press(KeyCode::Char('x'));
    assert_eq!(seat.press(KeyCode::Char('y')), Some(Wish::Do(Act::SkipTask(task))));
    seat.press(KeyCode::Char('r'));
    let all = Act::Control(JobId(CHOSEN), JobControl::Retry);
    assert_eq!(seat.press(KeyCode::Char('y')), Some(Wish::Do(all)), "the task is not in trouble");
}

#[tokio::test]
async fn a_filter_is_typed_kept_and_ended() {
    let mut seat = Seat::at(48, 6000).await;
    seat.type_in("3/rack");
    assert!(seat.shown(80, 24).contains("filter: rack"));
    seat.press(KeyCode::Enter);
    assert_eq!(seat.model.workers.len(), 12);
    seat.press(KeyCode::Char('d'));
    seat.press(KeyCode::Esc);
    assert_eq!(seat.model.workers.len(), 12, "it ended the question");
    seat.press(KeyCode::Esc);
    assert_eq!(seat.model.workers.len(), 48);
    // Keys are letters while a filter is typed.
    assert_eq!(seat.type_in("/q"), None);
    assert_eq!(seat.model.filter(), Some("q"));
}

#[tokio::test]
async fn help_lists_the_keys_of_its_place() {
    let mut seat = Seat::at(8, 600).await;
    seat.type_in("3?");
    seat.assert("help");
    seat.press(KeyCode::Char('x'));
    assert_eq!(seat.model.dialog, None);
}

#[tokio::test]
async fn a_farm_that_does_not_answer_is_shown_as_it_was() {
    let mut seat = Seat::at(8, 600).await;
    seat.model.update(Event::Unreachable("no scheduler of the farm answers: refused".to_owned()));
    let shown = seat.shown(80, 24);
    assert!(shown.contains("not up to date: no scheduler") && shown.contains("harbour"), "{shown}");
    seat.pass(1).await;
    assert!(!seat.shown(80, 24).contains("not up to date"));
}

#[tokio::test]
async fn no_size_of_a_terminal_is_too_small_to_say_so() {
    let mut seat = Seat::at(8, 600).await;
    seat.type_in("2");
    seat.press(KeyCode::Enter);
    seat.pass(1).await;
    for (width, height) in [(1, 1), (20, 5), (40, 12), (41, 13), (500, 3), (60, 200)] {
        for key in ['1', '2', '3', '4', '5'] {
            seat.press(KeyCode::Char(key));
            seat.shown(width, height);
        }
        seat.type_in("2");
        seat.press(KeyCode::Enter);
        seat.pass(1).await;
        for _ in 0..3 {
            seat.press(KeyCode::Char('t'));
            seat.pass(1).await;
            seat.shown(width, height);
        }
    }
}

/// Ten thousand workers and a million chunks are taken in and drawn in the time that is between two frames, or nearly so
/// where nothing is optimised.
#[tokio::test]
async fn the_largest_farm_is_shown_without_lag() {
    let mut seat = Seat::at(10_000, 1_000_000).await;
    let mut small = Seat::at(100, 10_000).await;
    let overview = Box::new(seat.demo.overview().await.unwrap());
    let few = Box::new(small.demo.overview().await.unwrap());
    let time = |seat: &mut Seat, overview: &reel_proto::v1::FarmOverview| {
        let began = std::time::Instant::now();
        for key in ['1', '2', '3'] {
            seat.press(KeyCode::Char(key));
            seat.model.update(Event::Overview(Box::new(overview.clone())));
            seat.shown(200, 60);
        }
        began.elapsed()
    };
    let quick = time(&mut small, &few);
    let large = time(&mut seat, &overview);

    assert!(
        large < quick * 20,
        "100 workers {quick:?}, 10,000 workers {large:?}: it grows no faster than the farm"
    );
}
