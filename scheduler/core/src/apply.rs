//! Applies commands to the state. Total: a command that cannot be done is answered, never a panic.

use crate::command::{Command, Refusal, Reply};
use crate::state::FarmState;

impl FarmState {
    /// Applies one command of the log. `log_index` ascends; it is the epoch of what is granted.
    pub fn apply(&mut self, log_index: u64, command: Command) -> Reply {
        self.applied = self.applied.max(log_index);
        self.clock_ms = self.clock_ms.max(command.now_ms);
        Reply::Refused(Refusal::TooManyJobs(0))
    }
}
