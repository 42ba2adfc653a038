//! What the runner of this host can encode to. Asking shows too that it starts at all.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::StartError;

/// How long the runner may take to say it: it loads its libraries, from a slow disk perhaps.
const PATIENCE: Duration = Duration::from_secs(30);
/// How often it is looked after.
const LOOK_EVERY: Duration = Duration::from_millis(5);
/// The last bytes of its complaint that are passed on.
const MAX_COMPLAINT_BYTES: usize = 500;

/// The codecs of a runner, as profiles name them.
///
/// # Errors
/// It cannot be run, does not end, or does not know the question.
pub(crate) fn of(runner: &Path) -> Result<BTreeSet<String>, StartError> {
    let bad = |reason: String| StartError::Runner { runner: runner.display().to_string(), reason };
    let mut asked = Command::new(runner);
    asked.arg("--codecs").stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = asked.spawn().map_err(|error| bad(error.to_string()))?;
    let child = wait(child).map_err(&bad)?;
    let said = child.wait_with_output().map_err(|error| bad(error.to_string()))?;
    if !said.status.success() {
        let complaint = String::from_utf8_lossy(&said.stderr);
        let end = complaint.ceil_char_boundary(complaint.len().saturating_sub(MAX_COMPLAINT_BYTES));
        return Err(bad(format!("it ended with {}: {}", said.status, complaint[end..].trim())));
    }
    Ok(String::from_utf8_lossy(&said.stdout).lines().map(str::to_owned).collect())
}

/// Waits until it has ended; one that does not is killed. What it says fits in its pipes.
fn wait(mut child: Child) -> Result<Child, String> {
    let rounds = PATIENCE.as_millis() / LOOK_EVERY.as_millis();
    for _ in 0..rounds {
        if child.try_wait().map_err(|error| error.to_string())?.is_some() {
            return Ok(child);
        }
        std::thread::sleep(LOOK_EVERY);
    }
    let killed = child.kill().and_then(|()| child.wait());
    killed.map_err(|error| error.to_string())?;
    Err(format!("it did not end within {} s", PATIENCE.as_secs()))
}
