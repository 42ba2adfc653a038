//! What browsers show: the page of a farm, the title of a job as it plays there, and its report as one file.

#![allow(clippy::unwrap_used, reason = "a test fails where it is surprised")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use reel_tests::farm::Farm;
use reel_tests::reel::report;
use reel_tests::{fixtures, profile, scratch, target_dir, workspace};
use serde::Deserialize;
use serde_json::{Value, json};

/// What a browser showed.
#[derive(Debug, Deserialize)]
struct Saw {
    pages: Vec<Page>,
    title: Option<Title>,
    /// What it complained of.
    console: Vec<String>,
}

/// A page as it was read.
#[derive(Debug, Deserialize)]
struct Page {
    title: String,
    headings: Vec<String>,
    figures: BTreeMap<String, String>,
    facts: BTreeMap<String, String>,
    alerts: Vec<String>,
    /// What was proved.
    checks: Vec<String>,
    legends: Vec<String>,
    tables: Vec<Table>,
    /// Lines of plots.
    curves: usize,
    /// Attempts of a timeline.
    bars: usize,
    /// Elements `img`, of which a page has none.
    images: usize,
    /// Pixels by which a page is wider than its window.
    overflow: i64,
    text: String,
}

#[derive(Debug, Deserialize)]
struct Table {
    heads: Vec<String>,
    rows: Vec<Vec<String>>,
}

impl Page {
    /// A table with such a column, and what it has there, row by row.
    fn column(&self, first: &str, name: &str) -> Vec<&str> {
        let table = self.tables.iter().find(|table| table.heads.first().is_some_and(|head| head == first));
        let table = table.unwrap_or_else(|| panic!("no table by {first}: {:?}", self.tables));
        let at = table.heads.iter().position(|head| head == name).unwrap_or_else(|| panic!("no {name}"));
        table.rows.iter().map(|row| row[at].as_str()).collect()
    }
}

/// A title as it was played.
#[derive(Debug, Deserialize)]
struct Title {
    /// Why it was not.
    refused: String,
    /// What was chosen, and the height of the pictures then.
    renditions: Vec<(String, u32)>,
    /// Where a click on the plot at three quarters of its width led, in seconds.
    sought: f64,
    /// A frame further, back again, and at the join before that.
    frame: f64,
    back: f64,
    join: f64,
    ended: bool,
    duration: f64,
    corrupted: u32,
}

/// Has Chromium go through pages.
fn look(plan: &Value) -> Saw {
    let modules = target_dir().join("players");
    assert!(modules.join("node_modules").exists(), "{} is missing: run `make players`", modules.display());
    let mut command = Command::new("node");
    command.arg(workspace().join("tests/web/check.mjs")).arg(modules).arg(plan.to_string());
    let ended = command.output().expect("node is there");
    assert!(ended.status.success(), "{}", String::from_utf8_lossy(&ended.stderr));
    serde_json::from_slice(&ended.stdout).unwrap()
}

/// Every page was photographed, by day, by night and as on a phone.
fn photographed(shots: &Path, pages: usize) {
    for view in ["light", "dark", "phone"] {
        for page in 0..pages {
            let picture = fs::read(shots.join(format!("{page}-{view}.png"))).unwrap();
            assert!(picture.starts_with(b"\x89PNG") && picture.len() > 4_000, "{page}-{view}");
        }
    }
}

/// The report of a title without its proof, as a page.
fn unproved(farm: &Farm) -> PathBuf {
    let (json, html) = (farm.shared().join("unproved.json"), farm.shared().join("unproved.html"));
    let mut without = report(&farm.output("a"));
    without.as_object_mut().unwrap().remove("proof");
    fs::write(&json, without.to_string()).unwrap();
    farm.reel("job report").arg(&json).args(&format!("--html {}", html.display())).run().success();
    html
}

fn assert_plays(title: &Title, frames: u64) {
    assert_eq!((title.refused.as_str(), title.ended, title.corrupted), ("", true, 0));
    assert_eq!(title.renditions, [("360p".to_owned(), 360), ("180p".to_owned(), 180)]);
    let second = 24000.0 / 1001.0;
    assert!((title.duration - frames as f64 / second).abs() < 0.1, "{title:?}");
    assert!((title.frame - title.sought - 1.0 / second).abs() < 0.002, "{title:?}");
    assert!((title.back - title.sought).abs() < 0.002, "{title:?}");
    // Parts have two seconds of frames.
    let into_part = (title.join * second).floor() % 48.0;
    assert!(title.join < title.sought && into_part == 0.0, "{title:?}");
}

#[test]
fn a_browser_shows_what_the_farm_knows_and_plays_its_title() {
    let prices = vec![("REEL_PRICE", "3600".to_owned())];
    let farm = Farm::builder().schedulers(1).workers(1).options("--preview").env(prices).start();
    let server = farm.servers();
    let job = farm.submit(&fixtures::prores_mov().path, "a", &profile("quick"), "");
    farm.wait(job);
    let broken = farm.shared().join("<img src=x onerror=alert(1)>.mov");
    fs::write(&broken, "no film").unwrap();
    let failed = farm.submit(&broken, "b", &profile("quick"), "");
    farm.reel(&format!("job wait {failed}")).run();
    let html = farm.shared().join("report.html");
    farm.reel(&format!("job report {job} --html {}", html.display())).run().success();
    let sad = farm.shared().join("failed.html");
    farm.reel(&format!("job report {failed} --html {}", sad.display())).run().success();

    let of = |page: &str| format!("{server}/#/{page}");
    let (done, gone) = (of(&format!("jobs/{job}")), of(&format!("jobs/{failed}")));
    let file = |path: &Path| format!("file://{}", path.display());
    let addresses = [of(""), of("workers"), of("events"), done.clone(), gone, file(&html), file(&sad)];
    let bare = unproved(&farm);
    let addresses = [&addresses[..], &[file(&bare)]].concat();
    let shots = scratch();
    let saw = look(&json!({ "pages": addresses, "title": done, "screenshots": shots.path() }));
    photographed(shots.path(), addresses.len());
    assert_eq!(saw.console, [""; 0]);
    assert!(saw.pages.iter().all(|page| page.images == 0 && page.overflow <= 0), "{:?}", saw.pages);
    let [overview, workers, events, job_page, failed_page, job_report, failed_report, unproved] =
        &saw.pages[..]
    else {
        panic!("{saw:?}")
    };

    assert_eq!(
        (overview.figures["slots in use"].as_str(), overview.figures["cost an hour"].as_str()),
        ("0/1", "3600.00")
    );
    assert_eq!(overview.column("job", "job"), [failed.to_string(), job.to_string()]);
    assert_eq!(overview.column("job", "state"), ["✖ failed", "✓ done"]);
    assert!(overview.alerts[0].starts_with(&format!("✖ job {failed} failed")), "{:?}", overview.alerts);
    assert_eq!(overview.column("scheduler", "role"), ["★ leader"]);
    assert_eq!(workers.column("name", "name"), ["w1"]);
    assert!(events.column("time", "event").contains(&"part-committed"), "{events:?}");

    let made = report(&farm.output("a"));
    let rendition = &made["renditions"][0];
    let (parts, frames) =
        (rendition["parts"].as_array().unwrap().len(), rendition["frames"].as_u64().unwrap());
    assert!(job_page.legends.contains(&format!("{parts} of {parts} parts done")), "{:?}", job_page.legends);
    assert!(failed_page.headings.contains(&"Why it failed".to_owned()), "{:?}", failed_page.headings);
    assert!(failed_page.text.contains("<img src=x onerror=alert(1)>"), "{}", failed_page.text);

    // The page and the report draw alike, by the numbers of report.json.
    for page in [job_page, job_report] {
        assert_eq!(page.column("rendition", "rendition"), ["360p", "180p"], "{}", page.title);
        assert_eq!(page.column("rendition", "frames"), [frames.to_string(), frames.to_string()]);
        assert_eq!(
            page.column("rendition", "PSNR")[0],
            format!("{:.2}", rendition["psnr_db"].as_f64().unwrap())
        );
        assert_eq!(page.column("stage", "failed").iter().filter(|count| **count != "0").count(), 0);
        assert!(
            page.checks.iter().all(|check| check.starts_with('✓')) && page.checks.len() >= 4,
            "{:?}",
            page.checks
        );
        assert_eq!((page.curves % 2, page.bars > 4, page.curves >= 6), (0, true, true), "{page:?}");
    }
    let cost = farm.reel(&format!("job report {job} --json")).run().success().stdout;
    let cost: Value = serde_json::from_str(&cost).unwrap();
    let cost = format!("{:.2}", cost["cost_micros"].as_f64().unwrap() / 1e6);
    assert_eq!((&job_report.facts["state"], &job_report.facts["cost"]), (&"done".to_owned(), &cost));
    assert_eq!(failed_report.facts["state"], "failed");
    assert!(failed_report.text.contains("✖"), "{}", failed_report.text);
    assert!(unproved.text.contains("no proof") && unproved.checks.is_empty(), "{}", unproved.text);

    assert_plays(&saw.title.unwrap(), frames);
}
