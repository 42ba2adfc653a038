//! Every command of the documents runs: a page is a script, in a folder that has what the page says is there.
//!
//! Blocks of `sh` are run in their order by one shell. Each command has to end with 0, or with what its comment says:
//! `# exit code 5`. One with `# until it shows TEXT` is run until it does. Blocks of `toml` say in their first line which
//! file they are, and some command of the page has to read it. Blocks of `console` need what a test has not, such as a screen
//! or `sudo`; `house_rules.rs` holds their commands against the program.

#![allow(clippy::unwrap_used, reason = "a test fails where it is surprised")]

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::os::unix::fs::symlink;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use reel_tests::captions::{self, Script, Syntax};
use reel_tests::command_lines::{GROUPS, known, lines_of_text, listed};
use reel_tests::farm::Farm;
use reel_tests::pages::Page;
use reel_tests::reel::{Reel, until};
use reel_tests::servers::free_address;
use reel_tests::{bin_dir, ffmpeg, fixtures, scratch, workspace};
use rustix::process::{Pid, Signal, kill_process_group};
use serde_json::Value;

/// Far above what the longest page needs on two cores.
const PATIENCE: Duration = Duration::from_secs(240);

/// The pages that are run, each by its test below.
const PAGES: [&str; 5] = [
    "README.md",
    "ops/docs/first-farm.md",
    "ops/docs/hooks.md",
    "ops/docs/operator-guide.md",
    "ops/docs/user-guide.md",
];
/// Pages whose commands change a host or a cluster, and what holds them instead.
const HELD_OTHERWISE: [(&str, &str); 1] = [("ops/docs/deployment.md", "tests/tests/deploy.rs")];

/// Commands that no page can run here; `monitor.rs` does.
const NEEDS_A_TERMINAL: [&str; 1] = ["monitor"];

/// Where the first scheduler of a page listens, and how many there are at most.
const FIRST_PORT: usize = 7101;
const MOST_SCHEDULERS: usize = 5;

/// What the commands of a page are run with, before the first of them.
const BEFORE: &str = r#"
set -euo pipefail
ends_with() {
    code=0
    eval "$2" || code=$?
    [ "$code" = "$1" ] || { echo "exit code $code, not $1: $2" >&2; exit 1; }
}
shows() {
    until eval "$2" 2>&1 | grep -F -- "$1"; do sleep 0.1; done
}
set -v
"#;

/// A page that runs. All that it has started is killed when this is dropped.
struct Run {
    shell: Child,
    dir: tempfile::TempDir,
    servers: String,
}

/// A line with what its comment says made a part of it.
fn obeyed(line: &str) -> String {
    let quoted = |text: &str| format!("'{}'", text.trim_end().replace('\'', r"'\''"));
    let Some((command, comment)) = line.rsplit_once(" # ") else { return line.to_owned() };
    match (comment.strip_prefix("exit code "), comment.strip_prefix("until it shows ")) {
        (Some(code), _) => format!("ends_with {code} {}", quoted(command)),
        (_, Some(text)) => format!("shows {} {}", quoted(text), quoted(command)),
        _ => line.to_owned(),
    }
}

/// All commands of a page, with the schedulers on other ports. Before the last block the shell says so in `folder`, and waits there
/// until it may go on.
fn script(page: &Page, ports: &[String], folder: &Path) -> String {
    let mut blocks = page.blocks("sh");
    let last = blocks.pop().unwrap_or_else(|| panic!("{} has no commands", page.name));
    let folder = folder.display();
    let wait = format!("touch {folder}/before-the-last; until [ -e {folder}/go ]; do sleep 0.1; done\n");
    let script = [blocks.concat(), wait, last].concat().replace("\\\n", "");
    let moved = |text: String, (port, other): (usize, &String)| {
        text.replace(&format!(":{port}"), &format!(":{other}"))
    };
    let script = (FIRST_PORT..).zip(ports).fold(script, moved);
    [BEFORE.to_owned()].into_iter().chain(script.lines().map(|line| obeyed(line) + "\n")).collect()
}

/// Writes the files that stand in a page.
fn write_files(page: &Page, folder: &Path) {
    let commands = page.blocks("sh").concat();
    for text in page.blocks("toml") {
        let file = text.lines().next().and_then(|line| line.strip_prefix("# ")).unwrap_or_default();
        let named = file.ends_with(".toml") && !file.contains(' ');
        assert!(named, "{}: which file is this?\n{text}", page.name);
        assert!(commands.contains(file), "{}: no command reads {file}", page.name);
        fs::write(folder.join(file), text).unwrap();
    }
}

impl Run {
    /// Starts the commands of a page in a clone of the repository that is built, with the schedulers of a farm: its own,
    /// which listen where nobody does, or those of a farm that runs. `prepare` lays down in the folder what the page says is there.
    fn start(name: &str, farm: Option<&Farm>, prepare: impl FnOnce(&Path)) -> Run {
        let (dir, page) = (scratch(), Page::read(name));
        let clone = dir.path().join("clone");
        let media = workspace().join("tests/media");
        for (place, leads_to) in [("target/release", bin_dir()), ("tests/media", media)] {
            let place = clone.join(place);
            fs::create_dir_all(place.parent().unwrap()).unwrap();
            symlink(leads_to, place).unwrap();
        }
        prepare(&clone);
        write_files(&page, &clone);
        let theirs = farm.map(Farm::servers).unwrap_or_default();
        let theirs = theirs.split(',').filter_map(|server| Some(server.rsplit_once(':')?.1.to_owned()));
        let free = std::iter::repeat_with(|| free_address().port().to_string());
        let ports: Vec<String> = theirs.chain(free).take(MOST_SCHEDULERS).collect();
        fs::write(dir.path().join("script"), script(&page, &ports, dir.path())).unwrap();
        let log = File::create(dir.path().join("log")).unwrap();
        let mut command = Command::new("bash");
        command.arg("../script").current_dir(&clone).process_group(0).stdin(Stdio::null());
        command.stdout(log.try_clone().unwrap()).stderr(log);
        command.env("HOME", dir.path()).env_remove("REEL_LOG").env_remove("XDG_STATE_HOME");
        if let Some(farm) = farm {
            let path = format!("{}:{}", bin_dir().display(), std::env::var("PATH").unwrap());
            command.env("REEL_SERVER", farm.servers()).env("PATH", path);
        }
        let shell = command.spawn().unwrap();
        let servers: Vec<String> = ports.iter().map(|port| format!("http://127.0.0.1:{port}")).collect();
        Run { shell, dir, servers: servers.join(",") }
    }

    /// Waits until all blocks but the last have run.
    fn before_the_last_block(&mut self) {
        let there = self.dir.path().join("before-the-last");
        until("the commands of a page", PATIENCE, || {
            let ended = self.shell.try_wait().unwrap();
            assert_eq!(ended, None, "a command of the page has failed");
            there.exists()
        });
    }

    /// Runs what is left.
    fn end(mut self) -> Self {
        self.before_the_last_block();
        fs::write(self.dir.path().join("go"), "").unwrap();
        let mut ended = None;
        until("the last commands of a page", PATIENCE, || {
            ended = self.shell.try_wait().unwrap();
            ended.is_some()
        });
        assert_eq!(ended.and_then(|status| status.code()), Some(0), "a command of the page has failed");
        self
    }

    /// A file that the page has made.
    fn file(&self, name: &str) -> PathBuf {
        self.dir.path().join("clone").join(name)
    }

    /// What the page's farm answers.
    fn ask(&self, line: &str) -> Value {
        let server = [("REEL_SERVER", self.servers.clone())];
        Reel::new(self.dir.path(), line.split(' ')).env(server).run().success().json()
    }

    /// The end of what its commands have said.
    fn log(&self) -> String {
        let log = fs::read_to_string(self.dir.path().join("log")).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(40)..].join("\n")
    }
}

impl Drop for Run {
    #[expect(clippy::print_stderr, reason = "a failed test shows what the page has said")]
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{}", self.log());
        }
        let group = i32::try_from(self.shell.id()).ok().and_then(Pid::from_raw);
        // All of it may have ended.
        let _ = group.map(|group| kill_process_group(group, Signal::KILL));
        let _ = self.shell.wait();
    }
}

/// `movie.mov`: three seconds of a real film that begins at 01:00:00:00, with a text of its own; and subtitles for it.
fn movie(folder: &Path) {
    let cue = "Who is there?";
    let srt = format!("1\n00:00:00,500 --> 00:00:02,000\n{cue}\n");
    let ttml = format!(
        "<?xml version=\"1.0\"?><tt xmlns=\"http://www.w3.org/ns/ttml\"><body><div>\
         <p begin=\"1s\" end=\"2s\">{cue}</p></div></body></tt>"
    );
    let scc = "Scenarist_SCC V1.0\n\n01:00:01;00\t9420 9420 9470 9470 c8e5 ecec ef80 942f 942f\n\n01:00:02;00\t942c 942c\n";
    for (name, text) in [("movie.srt", srt.as_str()), ("signs.ttml", &ttml), ("movie.scc", scc)] {
        fs::write(folder.join(name), text).unwrap();
    }
    let film = fixtures::bundled("big-buck-bunny-720p-5.1.mp4");
    let (film, folder) = (film.display(), folder.display());
    ffmpeg_line(&format!(
        "-i {film} -i {folder}/movie.srt -map 0:v -map 0:a -map 1 -t 3 -vf scale=640:360 -c:v libx264 -preset veryfast \
         -timecode 01:00:00:00 -c:a pcm_s16le -c:s mov_text {folder}/movie.mov"
    ));
}

/// What the user guide says lies beside the movie: a second source, a logo, and a clip with captions in its pictures.
fn material(folder: &Path) {
    movie(folder);
    let here = folder.display();
    ffmpeg_line(&format!("-i {here}/movie.mov -map 0:v -map 0:a -t 1 -c copy {here}/bumper.mov"));
    ffmpeg_line(&format!("-f lavfi -i color=white@0.5:s=64x36,format=rgba -frames:v 1 {here}/logo.png"));
    let mut script = Script::default();
    script.show(1, 20, "Who is there?");
    script.erase(1, 60);
    let rate = "30000/1001";
    let carrier = captions::carrier(folder, Syntax::Avc, rate, 3, &script);
    captions::clip(&carrier, rate, "-c:v copy", "captioned.mov");
}

fn ffmpeg_line(line: &str) {
    ffmpeg::run(line.split_whitespace());
}

#[test]
fn what_comments_say_is_obeyed() {
    assert_eq!(obeyed("reel job show 9   # exit code 4"), "ends_with 4 'reel job show 9'");
    assert_eq!(obeyed("echo 'a' # until it shows a"), r"shows 'a' 'echo '\''a'\'''");
    for plain in ["reel job show 9", "reel job show 9   # a job"] {
        assert_eq!(obeyed(plain), plain);
    }
}

#[test]
fn every_page_with_commands_is_run() {
    let with_commands = Page::all().into_iter().filter(|page| !page.blocks("sh").is_empty());
    let found: BTreeSet<String> = with_commands.map(|page| page.name).collect();
    let known = PAGES.into_iter().chain(HELD_OTHERWISE.map(|(page, _)| page));
    assert_eq!(found, known.map(str::to_owned).collect());
    assert!(HELD_OTHERWISE.iter().all(|(_, test)| workspace().join(test).exists()));
}

#[test]
fn every_command_of_the_program_is_run_by_a_page() {
    let dir = scratch();
    let known = known(dir.path());
    let grouped = |command: &String| GROUPS.contains(&command.as_str());
    let mut left = BTreeSet::new();
    for command in &known {
        match grouped(command) {
            true => {
                let group = listed(dir.path(), std::slice::from_ref(command));
                left.extend(group.iter().map(|it| format!("{command} {it}")));
            }
            false => left.extend([command.clone()]),
        }
    }
    for page in PAGES {
        for line in lines_of_text(&Page::read(page).blocks("sh").concat(), &known) {
            left.remove(&line[..if grouped(&line[0]) { 2 } else { 1 }].join(" "));
        }
    }
    assert_eq!(left, BTreeSet::from(NEEDS_A_TERMINAL.map(str::to_owned)));
}

#[test]
fn the_memory_of_a_slot_is_what_plans_say() {
    let dir = scratch();
    let sources = ["1920x1080", "3840x2160"].map(|size| {
        let path = dir.path().join(format!("{size}.mp4"));
        let pictures = format!("testsrc2=s={size}:r=24:d=1");
        let coding = "-c:v libx264 -preset ultrafast -pix_fmt yuv420p -colorspace bt709 -color_primaries bt709 -color_trc bt709";
        let words = ["-f", "lavfi", "-i", &pictures].into_iter().chain(coding.split_whitespace());
        ffmpeg::run(words.chain([path.to_str().unwrap()]));
        path
    });
    let guide = Page::read("ops/docs/operator-guide.md").text;
    for profile in ["proxy", "vod-abr", "vod-multicodec"] {
        let memory = |source: &PathBuf| {
            let plan = Reel::new(dir.path(), ["plan"]).arg(source).args(&format!("--profile {profile}"));
            let said = plan.run().success().stdout;
            let line = said.lines().find_map(|line| line.strip_prefix("memory")).unwrap().trim().to_owned();
            line.strip_suffix(" to encode a chunk").unwrap().to_owned()
        };
        let [small, large] = sources.each_ref().map(memory);
        let row = format!("| `{profile}` | {small} | {large} |");
        assert!(guide.lines().any(|line| line == row), "{row}");
    }
}

#[test]
fn the_first_farm_stands_and_loses_nothing() {
    let mut run = Run::start("ops/docs/first-farm.md", None, |_| {});
    run.before_the_last_block();
    until("three schedulers without lag", PATIENCE, || {
        let status = run.ask("cluster status --json");
        let members = status["members"].as_array().unwrap();
        assert_eq!(members.len(), 3, "{status}");
        members.iter().all(|member| member["voter"] == true && member["lag"] == 0)
    });
    let drained = run.ask("worker show w2 --json");
    assert_eq!((&drained["state"], &drained["running"]), (&"draining".into(), &serde_json::json!([])));
    let workers = |job: u64| {
        let report = run.ask(&format!("job report {job} --json"));
        let workers = report["workers"].as_array().unwrap().iter();
        workers.map(|worker| worker["worker"].as_str().unwrap().to_owned()).collect::<BTreeSet<_>>()
    };
    let all = ["w1", "w2", "w3"].map(str::to_owned);
    assert!(workers(1).is_superset(&BTreeSet::from(all)), "{:?}", workers(1));
    assert!(!workers(2).contains("w2"), "{:?}", workers(2));
    for job in [1, 2] {
        let job = run.ask(&format!("job show {job} --json"));
        assert_eq!((&job["state"], &job["parts_encoded_twice"]), (&"done".into(), &0.into()), "{job}");
    }
    run.end();
}

#[test]
fn the_first_commands_make_a_title_and_a_farm() {
    let run = Run::start("README.md", None, movie).end();
    for title in ["movie", "farm"] {
        assert!(run.file("titles").join(title).join("report.json").exists(), "{title}");
    }
}

#[test]
fn all_of_the_user_guide_is_done() {
    let farm = Farm::builder().workers(1).start();
    Run::start("ops/docs/user-guide.md", Some(&farm), material).end();
}

#[test]
fn all_of_the_operator_guide_is_done() {
    let farm = Farm::builder().schedulers(3).workers(2).start();
    Run::start("ops/docs/operator-guide.md", Some(&farm), movie).end();
}

#[test]
fn hooks_run_as_their_page_says() {
    let farm = Farm::builder().workers(0).start();
    Run::start("ops/docs/hooks.md", Some(&farm), movie).end();
}
