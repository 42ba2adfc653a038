//! `reel transcode`: the whole farm in one process, from the arguments to the delivered title.

mod farm;
mod ledger;

use std::path::{Path, PathBuf};
use std::time::Instant;

use reel_common::{Edit, EditOverlay, EditTime, RecipeHasher, SourceIdentity, TextSource};
use reel_common::{JobReason, JobState, JobView};
use reel_profiles::Profile;
use reel_scheduler::JobSpec;
use serde_json::{Value, json};

use crate::args::TranscodeArgs;
use crate::commands::profile;
use crate::destination::Destination;
use crate::edit_file;
use crate::exit::Stop;
use crate::home::{self, Home};
use crate::input::{self, Input};
use crate::once;
use crate::output::{clock, print, print_json};
use crate::reporter::{Audience, Reporter};
use crate::signals;
use farm::{Ending, Farm, Fleet};

pub(crate) fn run(args: TranscodeArgs) -> Result<(), Stop> {
    let started = Instant::now();
    let audience = Audience::of(args.json, args.quiet);
    let order = Order::from_args(args)?;
    let home = Home::enter(&order.home)?;
    let (destination, place) = (order.destination.clone(), order.home.clone());
    let (view, ending) = signals::runtime()?.block_on(work(order, &home, Reporter::new(audience)))?;
    drop(home);
    let elapsed = started.elapsed().as_secs_f64();
    if audience == Audience::Programs {
        print_json(&last_object(&view, ending, &destination, elapsed))?;
    }
    match ending {
        Ending::Stopped(signal) => Err(stopped(&view, signal)),
        Ending::Starved => Err(starved(&view, &place)),
        Ending::AlreadyDone | Ending::Over if view.state == JobState::Done => match audience {
            Audience::People => print(&summary(&view, ending, &destination, elapsed)),
            Audience::Programs | Audience::Nobody => Ok(()),
        },
        Ending::AlreadyDone | Ending::Over => Err(failed(&view)),
    }
}

/// What the arguments ask for, checked as far as it can be without working on it.
struct Order {
    spec: JobSpec,
    destination: Destination,
    home: PathBuf,
    fleet: Fleet,
}

impl Order {
    fn from_args(args: TranscodeArgs) -> Result<Self, Stop> {
        let profile = profile::load(&args.profile.name)?;
        let input = Input::open(&args.input)?;
        let home = home::locate(args.home)?;
        let destination = Destination::prepare(&args.output, input.local_path().as_deref(), &home)?;
        let runner = once::runner()?;
        let chunk_parts = args.chunk_parts.map(std::num::NonZeroU32::get);
        let texts = input::texts(args.text.texts)?;
        let edit = args.edit.edit.as_deref().map(edit_file::read).transpose()?;
        let spec = JobSpec {
            idempotency_key: Some(idempotency_key(
                &input,
                &texts,
                edit.as_ref(),
                &destination,
                &profile,
                chunk_parts,
            )),
            texts,
            edit,
            profile: profile.to_toml(),
            profile_name: profile.name,
            mezzanine: input.location,
            identity: Some(input.identity),
            output: destination.location(),
            chunk_parts,
            ..JobSpec::default()
        };
        let fleet = Fleet { workers: args.workers, slots: args.slots, runner };
        Ok(Order { spec, destination, home, fleet })
    }
}

/// The same command on the same version of the mezzanine is the same job, with any number of workers. Other chunks are
/// another plan and so another job, which finds the parts of the first in the store.
fn idempotency_key(
    input: &Input,
    texts: &[TextSource],
    edit: Option<&Edit>,
    destination: &Destination,
    profile: &Profile,
    chunk_parts: Option<u32>,
) -> String {
    let mut key = RecipeHasher::new("transcode job 1");
    key.text("mezzanine", &input.location);
    add_identity(&mut key, &input.identity);
    for text in texts {
        key.text("text", &text.name.to_string()).text("file", &text.location);
        key.number("start", text.start_ms as i64);
        text.identity.iter().for_each(|identity| add_identity(&mut key, identity));
    }
    for source in edit.iter().flat_map(|edit| &edit.sources) {
        key.text("source", &source.name).text("file", &source.location);
        source.identity.iter().for_each(|identity| add_identity(&mut key, identity));
    }
    for event in edit.iter().flat_map(|edit| &edit.events) {
        let typed = |time: Option<EditTime>| time.map_or_else(String::new, |time| time.to_string());
        key.number("event", event.source.into())
            .text("in", &typed(event.start))
            .text("out", &typed(event.end));
    }
    for overlay in edit.iter().flat_map(|edit| &edit.overlays) {
        let EditOverlay { location, identity, start, end, x_ppm, y_ppm, width_ppm, opacity_ppm } = overlay;
        let typed = |time: &Option<EditTime>| time.map_or_else(String::new, |time| time.to_string());
        key.text("overlay", location).text("in", &typed(start)).text("out", &typed(end));
        for ppm in [x_ppm, y_ppm, width_ppm, opacity_ppm] {
            key.number("ppm", i64::from(*ppm));
        }
        identity.iter().for_each(|identity| add_identity(&mut key, identity));
    }
    key.text("output", &destination.location());
    key.text("profile", &profile.to_toml());
    key.text("chunk_parts", &chunk_parts.map_or(String::new(), |parts| parts.to_string()));
    key.finish().to_string()
}

fn add_identity(key: &mut RecipeHasher, SourceIdentity { size, modified_us, etag }: &SourceIdentity) {
    key.text("size", &size.to_string());
    key.text("modified", &modified_us.map_or(String::new(), |time| time.to_string()));
    key.text("etag", etag.as_deref().unwrap_or_default());
}

async fn work(order: Order, home: &Home, mut reporter: Reporter) -> Result<(JobView, Ending), Stop> {
    let mut farm = Farm::open(home).await?;
    let outcome = follow(&mut farm, order, home, &mut reporter).await;
    reporter.end();
    farm.close(matches!(outcome, Err(_) | Ok((_, Ending::Stopped(_))))).await;
    outcome
}

async fn follow(
    farm: &mut Farm,
    order: Order,
    home: &Home,
    reporter: &mut Reporter,
) -> Result<(JobView, Ending), Stop> {
    let accepted = farm.accept(order.spec, &order.destination, home).await?;
    if accepted.already_done {
        ledger::close(home);
        return Ok((accepted.view, Ending::AlreadyDone));
    }
    reporter.accepted(&accepted.view, accepted.resumed)?;
    farm.employ(&order.fleet, home).await?;
    let (mut view, ending) = farm.watch(accepted.view.id, reporter).await?;
    if view.state == JobState::Done {
        view.warnings = reported_warnings(&order.destination).unwrap_or(view.warnings);
        reporter.follow(&view)?;
    }
    if ending == Ending::Starved {
        farm.give_up(view.id).await;
    }
    if matches!(ending, Ending::Over | Ending::Starved) {
        ledger::close(home);
        order.destination.folder().into_iter().for_each(|folder| ledger::clear_staging(folder, view.id));
    }
    Ok((view, ending))
}

/// All warnings of a delivered title: those of admission, and behind them what was seen while it was made.
fn reported_warnings(destination: &Destination) -> Option<Vec<String>> {
    let report: Value = serde_json::from_slice(&destination.report()?).ok()?;
    serde_json::from_value(report["job"]["warnings"].clone()).ok()
}

fn stopped(view: &JobView, signal: &str) -> Stop {
    let (id, committed, total) = (view.id, view.parts_committed, view.parts_total);
    let parts = if total == 0 { String::new() } else { format!(" with {committed} of {total} parts made") };
    Stop::failed(format!("stopped by {signal}: job {id} is kept{parts}; the same command goes on from there"))
}

fn starved(view: &JobView, home: &Path) -> Stop {
    let Some(trouble) = &view.trouble else { return failed(view) };
    let (id, tries) = (view.id, trouble.shortages);
    let place = format!("job {id} failed in {} on {} ({})", trouble.task, trouble.worker, trouble.class);
    let home = home.display();
    let advice = format!("run the same command when that is mended: what is made is kept in the home {home}");
    Stop::job_failed(format!("{place}, {tries} times in a row: {}; {advice}", trouble.message))
}

pub(crate) fn failed(view: &JobView) -> Stop {
    let id = view.id;
    let Some(reason) = &view.reason else {
        return Stop::job_failed(format!("job {id} is {}", view.state.name()));
    };
    let place = match (&reason.task, reason.worker.as_str()) {
        (None, _) => String::new(),
        (Some(task), "") => format!(" in {task}"),
        (Some(task), worker) => format!(" in {task} on {worker}"),
    };
    let message = format!("job {id} failed{place} ({}): {}", reason.class, reason.message);
    Stop::job_failed(message).with_evidence(&reason.evidence)
}

fn summary(view: &JobView, ending: Ending, destination: &Destination, elapsed: f64) -> String {
    let output = destination.location();
    let JobView { id, frames, parts_total, .. } = view;
    if ending == Ending::AlreadyDone {
        return format!("{output} is there already: job {id} made it, and nothing has changed since\n");
    }
    let (encoded, reused) = (view.renditions_encoded, view.renditions_reused);
    let time = if elapsed < 60.0 { format!("{elapsed:.1} s") } else { clock(elapsed as u64) };
    let parts = if *parts_total == 1 { "1 part".to_owned() } else { format!("{parts_total} parts") };
    format!(
        "{output} is made and proved: {frames} frames in {parts}; \
         of the parts' renditions {encoded} were encoded and {reused} found in the store; {time}\n"
    )
}

/// Why a job failed, as JSON.
pub(crate) fn reason(reason: &JobReason) -> Value {
    json!({
        "class": reason.class.name(),
        "task": reason.task.map(|task| task.to_string()),
        "worker": reason.worker,
        "message": reason.message,
        "evidence": reason.evidence,
    })
}

fn last_object(view: &JobView, ending: Ending, destination: &Destination, elapsed: f64) -> Value {
    let starved = view.trouble.as_ref().filter(|_| ending == Ending::Starved).map(|trouble| {
        json!({
            "class": trouble.class.name(),
            "task": trouble.task.to_string(),
            "worker": trouble.worker,
            "message": trouble.message,
            "evidence": "",
        })
    });
    let reason = view.reason.as_ref().map(reason);
    json!({
        "job": view.id,
        "state": if ending == Ending::Starved { JobState::Failed.name() } else { view.state.name() },
        "output": destination.location(),
        "already_done": ending == Ending::AlreadyDone,
        "frames": view.frames,
        "parts_total": view.parts_total,
        "parts_committed": view.parts_committed,
        "renditions_encoded": view.renditions_encoded,
        "renditions_reused": view.renditions_reused,
        "parts_encoded_twice": view.parts_encoded_twice,
        "attempts": view.attempts,
        "warnings": view.warnings,
        "reason": reason.or(starved),
        "elapsed_s": (elapsed * 1000.0).round() / 1000.0,
    })
}

#[cfg(test)]
mod tests {
    use reel_common::Trouble;
    use reel_common::{AttemptNumber, EditEvent, FailureClass, JobId, Stage, TaskId};

    use super::*;
    use crate::exit::Exit;
    use crate::progress::tests::view;

    fn destination() -> Destination {
        Destination::Folder("/titles/movie".into())
    }

    #[test]
    fn the_key_follows_everything_that_makes_another_job() {
        let identity = SourceIdentity { size: 5, modified_us: Some(7), etag: None };
        let input = Input { location: "/m.mov".to_owned(), identity };
        let [proxy, vod] = ["proxy", "vod-abr"].map(|name| profile::load(name).unwrap());
        let touched_identity = SourceIdentity { modified_us: Some(8), ..input.identity.clone() };
        let touched = Input { identity: touched_identity, ..input.clone() };
        let elsewhere = Destination::Folder("/x".into());
        let event = |start| EditEvent { start: Some(EditTime::Frame(start)), ..EditEvent::default() };
        let [cut, later] = [8, 9].map(|start| Edit { events: vec![event(start)], ..Edit::default() });
        let keys = [
            idempotency_key(&input, &[], None, &destination(), &proxy, None),
            idempotency_key(&touched, &[], None, &destination(), &proxy, None),
            idempotency_key(&input, &[], None, &elsewhere, &proxy, None),
            idempotency_key(&input, &[], None, &destination(), &vod, None),
            idempotency_key(&input, &[], None, &destination(), &proxy, Some(1)),
            idempotency_key(&input, &[], Some(&cut), &destination(), &proxy, None),
            idempotency_key(&input, &[], Some(&later), &destination(), &proxy, None),
            idempotency_key(&input, &["en=a.srt".parse().unwrap()], None, &destination(), &proxy, None),
            idempotency_key(&input, &["de=a.srt".parse().unwrap()], None, &destination(), &proxy, None),
        ];
        assert_eq!(std::collections::BTreeSet::from(keys.clone()).len(), keys.len());
        assert_eq!(idempotency_key(&input.clone(), &[], None, &destination(), &proxy, None), keys[0]);
    }

    #[test]
    fn the_last_object_is_stable() {
        let mut view = view();
        view.state = JobState::Failed;
        view.reason = Some(JobReason {
            task: Some(TaskId { job: JobId(1), stage: Stage::Index, index: 0 }),
            worker: "worker-1".to_owned(),
            class: FailureClass::Invalid,
            message: "no video stream".to_owned(),
            evidence: "line one\nline two".to_owned(),
        });
        let object = last_object(&view, Ending::Over, &destination(), 1.5);
        insta::assert_snapshot!(serde_json::to_string_pretty(&object).unwrap());
        let stop = failed(&view);
        assert_eq!((stop.exit, stop.evidence.as_str()), (Exit::JobFailed, "line one\nline two"));
        assert_eq!(stop.message, "job 1 failed in 1/index/0 on worker-1 (invalid): no video stream");
    }

    #[test]
    fn a_starved_job_is_told_with_what_it_lacks() {
        let trouble = Trouble {
            task: TaskId { job: JobId(1), stage: Stage::Assemble, index: 0 },
            attempt: AttemptNumber(4),
            worker: "worker-1".to_owned(),
            class: FailureClass::Shortage,
            message: "no space left for /titles".to_owned(),
            shortages: 4,
        };
        let view = JobView { trouble: Some(trouble), ..view() };
        let stop = starved(&view, Path::new("/state/reel"));
        assert_eq!(stop.exit, Exit::JobFailed);
        insta::assert_snapshot!(stop.message);
        let object = last_object(&view, Ending::Starved, &destination(), 1.5);
        assert_eq!(
            (object["state"].as_str(), object["reason"]["class"].as_str()),
            (Some("failed"), Some("shortage"))
        );
    }

    #[test]
    fn summaries_are_sentences() {
        let (view, there) = (view(), destination());
        let stop = stopped(&view, "SIGINT").message;
        let texts = [
            summary(&view, Ending::Over, &there, 61.0),
            summary(&view, Ending::AlreadyDone, &there, 0.2),
            stop,
        ];
        insta::assert_snapshot!(texts.join(""));
    }
}
