//! The program that runs attempts, and what it can encode to. Asking shows too that it starts at all.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::process::Command;
use tokio::time::timeout;

use crate::StartError;
use crate::child::check_executable;

/// How long the runner may take to say it: it loads its libraries, from a slow disk perhaps.
const PATIENCE: Duration = Duration::from_secs(30);
/// The last bytes of its complaint that are passed on.
const MAX_COMPLAINT_BYTES: usize = 500;

/// The `reel-runner` binary of a host. Agents of one process share it.
#[derive(Clone, Debug)]
pub struct RunnerProgram {
    path: PathBuf,
    codecs: BTreeSet<String>,
}

impl RunnerProgram {
    /// Asks the program at `path` what it can do.
    ///
    /// # Errors
    /// It cannot be run, does not end, or does not know the question.
    pub async fn ask(path: PathBuf) -> Result<Self, StartError> {
        let codecs = say(&path, "--codecs").await?.lines().map(str::to_owned).collect();
        Ok(RunnerProgram { path, codecs })
    }

    /// What it can decode, as libav names it.
    ///
    /// # Errors
    /// As [`RunnerProgram::ask`].
    pub async fn decoders(&self) -> Result<BTreeSet<String>, StartError> {
        Ok(say(&self.path, "--decoders").await?.lines().map(str::to_owned).collect())
    }

    /// Its version.
    ///
    /// # Errors
    /// As [`RunnerProgram::ask`].
    pub async fn version(&self) -> Result<String, StartError> {
        Ok(say(&self.path, "--version").await?.trim().to_owned())
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// What it can encode to, as profiles name it.
    pub fn codecs(&self) -> &BTreeSet<String> {
        &self.codecs
    }
}

/// What the program says to a question.
async fn say(path: &Path, question: &str) -> Result<String, StartError> {
    let bad = |reason: String| StartError::Runner { runner: path.display().to_string(), reason };
    check_executable(path).map_err(bad)?;
    let mut asked = Command::new(path);
    asked.arg(question).stdin(Stdio::null()).kill_on_drop(true);
    let late = |_| bad(format!("it did not end within {} s", PATIENCE.as_secs()));
    let said = timeout(PATIENCE, asked.output()).await.map_err(late)?;
    let said = said.map_err(|error| bad(error.to_string()))?;
    if !said.status.success() {
        let complaint = String::from_utf8_lossy(&said.stderr);
        let end = complaint.ceil_char_boundary(complaint.len().saturating_sub(MAX_COMPLAINT_BYTES));
        return Err(bad(format!("it ended with {}: {}", said.status, complaint[end..].trim())));
    }
    Ok(String::from_utf8_lossy(&said.stdout).into_owned())
}
