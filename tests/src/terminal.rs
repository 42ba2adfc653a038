//! A program in a real terminal: tmux, which draws what the program writes and types what the test says.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::bin_dir;
use crate::reel::until;

/// How long a screen may take to show what it is to show.
const PATIENCE: Duration = Duration::from_secs(60);

/// A terminal with one program. It ends when this is dropped.
pub struct Terminal {
    socket: PathBuf,
}

impl Terminal {
    /// Runs `reel` with the words of `line` in a terminal of this size.
    pub fn start(dir: &Path, (width, height): (u16, u16), line: &str) -> Terminal {
        let terminal = Terminal { socket: dir.join(format!("tmux-{width}x{height}")) };
        let program = bin_dir().join("reel");
        let [id, status] = ["pid", "status"].map(|name| terminal.socket.with_extension(name));
        let [id, status] = [id.display(), status.display()];
        // tmux itself does not always learn how a program ended.
        let run = format!(
            "sh -c 'echo $$ > {id}; exec {} {line}'; echo $? > {status}.part; mv {status}.part {status}",
            program.display()
        );
        let size = format!("new-session -d -x {width} -y {height}");
        let mut command = terminal.tmux(size.split(' '));
        command.env("LANG", "C.UTF-8").env("TERM", "xterm-256color").env_remove("TMUX").arg(run);
        // What it ended with can be read when it has.
        command.args([";", "set-option", "-g", "remain-on-exit", "on"]);
        let ended = command.status().expect("tmux is there");
        assert!(ended.success(), "{command:?}: {ended}");
        terminal
    }

    fn tmux<'a>(&self, words: impl IntoIterator<Item = &'a str>) -> Command {
        let mut command = Command::new("tmux");
        command.args(["-u", "-f", "/dev/null", "-S"]).arg(&self.socket).args(words);
        command
    }

    fn run<'a>(&self, words: impl IntoIterator<Item = &'a str>) -> String {
        let ended = self.tmux(words).output().expect("tmux is there");
        assert!(ended.status.success(), "{}", String::from_utf8_lossy(&ended.stderr));
        String::from_utf8(ended.stdout).expect("a screen is text")
    }

    /// Types letters.
    pub fn letters(&self, text: &str) {
        self.run(["send-keys", "-l", text]);
    }

    /// Presses a key that tmux names, such as `Enter` or `Escape`.
    pub fn key(&self, name: &str) {
        self.run(["send-keys", name]);
    }

    /// What is on the screen.
    pub fn screen(&self) -> String {
        self.run(["capture-pane", "-p"])
    }

    /// Waits until the screen shows all of these.
    pub fn shows(&self, wanted: &[&str]) -> String {
        let mut screen = String::new();
        let found = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            until(&format!("{wanted:?} on the screen"), PATIENCE, || {
                screen = self.screen();
                wanted.iter().all(|text| screen.contains(text))
            });
        }));
        assert!(found.is_ok(), "{wanted:?} is not on the screen:\n{screen}");
        screen
    }

    /// Waits until the screen does not show this any more. A key that comes right after Escape is another key.
    pub fn gone(&self, unwanted: &str) {
        until(&format!("no {unwanted:?} on the screen"), PATIENCE, || !self.screen().contains(unwanted));
    }

    /// Sends a signal to the program.
    pub fn signal(&self, name: &str) {
        let id = fs::read_to_string(self.socket.with_extension("pid")).expect("it has begun");
        let ended = Command::new("kill").args(["-s", name, id.trim()]).status().expect("kill is there");
        assert!(ended.success());
    }

    /// Waits until the program has ended, and gives its exit code.
    pub fn wait(&self) -> i32 {
        let mut status = None;
        until("the end of the program", PATIENCE, || {
            status = fs::read_to_string(self.socket.with_extension("status")).ok();
            status.is_some()
        });
        let status = status.and_then(|status| status.trim().parse().ok());
        status.expect("a shell writes a number")
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // It may be gone.
        let _ = self.tmux(["kill-server"]).output();
    }
}
