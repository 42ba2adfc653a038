//! The agent: joins the pure core to the link, the runners, the store and the clock.

use std::time::Duration;

use crate::{AgentConfig, AgentEnd, StartError, WorkerLink};

/// A worker agent.
pub struct Agent;

impl Agent {
    /// Starts an agent on the current tokio runtime. It registers by itself.
    pub fn start(config: AgentConfig, link: WorkerLink) -> Result<AgentHandle, StartError> {
        let _ = (config, link);
        Err(StartError::System("not built yet".to_owned()))
    }
}

/// A running agent. Dropping it kills its runners and ends it.
pub struct AgentHandle {}

impl AgentHandle {
    /// Takes no more work; encode attempts finish the part in hand; what still runs after `grace` is killed and
    /// handed back.
    pub fn drain(&self, grace: Duration) {
        let _ = grace;
    }

    /// Waits until the agent has ended.
    pub async fn join(self) -> AgentEnd {
        AgentEnd::Drained
    }
}
