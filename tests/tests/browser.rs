//! The page of a farm and the report of a job in headless Chromium: right numbers, no complaint of the browser, a title that plays.

#![allow(clippy::unwrap_used, reason = "a test fails where it is surprised")]

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use reel_tests::farm::Farm;
use reel_tests::reel::report;
use reel_tests::{fixtures, profile, scratch, target_dir, workspace};
use serde::Deserialize;
use serde_json::{Value, json};

/// What `tests/web/check.mjs` read.
#[derive(Debug, Deserialize)]
struct Read {
    pages: Vec<Page>,
    title: Option<Played>,
    /// What the browser complained of.
    console: Vec<String>,
}

#[derive(Debug, Deserialize)]
struct Page {
    title: String,
    headings: Vec<String>,
    figures: BTreeMap<String, String>,
    facts: BTreeMap<String, String>,
    alerts: Vec<String>,
    checks: Vec<String>,
    tables: Vec<Table>,
    curves: usize,
    bars: usize,
    images: usize,
    /// Columns of the screen that the widest view lacks.
    overflow: i64,
    text: String,
}

#[derive(Debug, Deserialize)]
struct Table {
    heads: Vec<String>,
    rows: Vec<Vec<String>>,
}

#[derive(Debug, Deserialize)]
struct Played {
    refused: String,
    renditions: Vec<(String, u32)>,
    sought: f64,
    frame: f64,
    back: f64,
    ended: bool,
    duration: f64,
    frames: u64,
    corrupted: u64,
}

impl Page {
    /// The table with a column of this name.
    fn table(&self, head: &str) -> &Table {
        let found = self.tables.iter().find(|table| table.heads.iter().any(|name| name == head));
        found.unwrap_or_else(|| panic!("no column {head}: {self:#?}"))
    }
}

impl Table {
    /// The cells of a column.
    fn column(&self, head: &str) -> Vec<&str> {
        let at = self.heads.iter().position(|name| name == head).unwrap_or_else(|| panic!("{head}: {self:?}"));
        self.rows.iter().map(|row| row[at].as_str()).collect()
    }
}

/// Reads pages, and plays the title of one where it is named.
fn read(pages: &[String], title: Option<&str>, screenshots: &Path) -> Read {
    let modules = target_dir().join("players");
    assert!(modules.join("node_modules").exists(), "{} is missing: run `make players`", modules.display());
    let plan = json!({ "pages": pages, "title": title, "screenshots": screenshots });
    let mut command = Command::new("node");
    command.arg(workspace().join("tests/web/check.mjs")).arg(modules).arg(plan.to_string());
    let ended = command.output().expect("node is there");
    assert!(ended.status.success(), "{}", String::from_utf8_lossy(&ended.stderr));
    for name in (0..pages.len()).flat_map(|page| ["light", "dark", "phone"].map(|view| format!("{page}-{view}.png"))) {
        let picture = fs::read(screenshots.join(&name)).unwrap();
        assert!(picture.starts_with(b"\x89PNG") && picture.len() > 5_000, "{name}");
    }
    let read: Read = serde_json::from_slice(&ended.stdout).unwrap();
    for page in &read.pages {
        assert_eq!((page.images, page.overflow.max(0)), (0, 0), "{}", page.title);
    }
    read
}

const HOSTILE: &str = "<img src=x onerror=alert(1)>";

#[test]
fn the_page_of_a_farm_is_right_and_its_titles_play() {
    let dir = scratch();
    let prices = vec![("REEL_PRICE", "3.6".to_owned())];
    let farm = Farm::builder().workers(1).env(prices).options("--preview").start();
    let film = fixtures::prores_mov().path;
    let vanishes = farm.shared().join("film.mov");
    fs::copy(&film, &vanishes).unwrap();
    let done = farm.submit(&film, HOSTILE, &profile("quick"), "--project films");
    farm.wait(done);
    farm.reel("worker cordon w1").run().success();
    let failed = farm.submit(&vanishes, "failed", &profile("quick"), "");
    fs::write(&vanishes, "no film any more").unwrap();
    farm.reel("worker undrain w1").run().success();
    farm.reel(&format!("job wait {failed}")).run();
    let waits = farm.submit(&film, "waits", &profile("quick"), "--need site=berlin");
    let server = farm.servers();
    let job = format!("{server}/#/jobs/{done}");
    let pages =
        [format!("{server}/"), job.clone(), format!("{server}/#/jobs/{failed}"), format!("{server}/#/jobs/{waits}"), format!("{server}/#/workers"), format!("{server}/#/events"), format!("{server}/#/jobs/99")];
    let Read { pages, title, console } = read(&pages, Some(&job), dir.path());
    let told = serde_json::to_string_pretty(&json!({ "console": console })).unwrap();
    fs::write("/tmp/lead/browser.json", format!("{pages:#?}\n{title:#?}\n{told}")).unwrap();
    let _ = report(&farm.output(HOSTILE));
    assert_eq!(console, [""; 0]);
}

#[test]
fn the_report_of_a_job_is_one_file_that_is_right() {
    let dir = scratch();
    let prices = vec![("REEL_PRICE", "3.6".to_owned())];
    let farm = Farm::builder().workers(1).env(prices).start();
    let done = farm.submit(&fixtures::prores_mov().path, HOSTILE, &profile("quick"), "");
    farm.wait(done);
    let (of_job, of_title) = (dir.path().join("job.html"), dir.path().join("title.html"));
    farm.reel(&format!("job report {done} --html {}", of_job.display())).run().success();
    farm.reel("job report").arg(farm.output(HOSTILE)).args(&format!("--html {}", of_title.display())).run().success();
    let pages = [of_job, of_title].map(|file| format!("file://{}", file.display()));
    let Read { pages, console, .. } = read(&pages, None, dir.path());
    fs::write("/tmp/lead/report.txt", format!("{pages:#?}\n{console:?}")).unwrap();
    let _: Value = report(&farm.output(HOSTILE));
    assert_eq!(console, [""; 0]);
}
