//! What the benches share.

pub mod cluster;

use std::io::Write as _;
use std::process::ExitCode;

use anyhow::Result;

/// How a bench ends: one that failed says why.
pub fn end(outcome: Result<ExitCode>) -> ExitCode {
    outcome.unwrap_or_else(|error| {
        // Nobody is left to be told when stderr cannot be written.
        let _ = writeln!(std::io::stderr(), "error: {error:#}");
        ExitCode::FAILURE
    })
}

/// Names the limits that were broken, if any.
///
/// # Errors
/// stderr cannot be written.
pub fn judge(broken: &[String]) -> Result<ExitCode> {
    for limit in broken {
        writeln!(std::io::stderr(), "error: {limit}")?;
    }
    Ok(if broken.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
