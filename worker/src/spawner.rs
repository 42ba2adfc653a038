//! The thread that starts runners.
//!
//! A runner asks the kernel to be killed when its parent dies, and the kernel takes the parent to be the thread that
//! forked it. So one thread forks them all and lives as long as the agent; when it ends, its runners do.

use std::io;
use std::sync::mpsc as blocking;

use tokio::process::{Child, Command};
use tokio::runtime::Handle;
use tokio::sync::oneshot;

type Order = (Command, oneshot::Sender<io::Result<Child>>);

/// Starts processes from one long-lived thread. Dropping it ends the thread, and with it every runner.
#[derive(Debug)]
pub(crate) struct Spawner(blocking::Sender<Order>);

impl Spawner {
    /// A spawner whose children are awaited on the current tokio runtime.
    pub(crate) fn new() -> io::Result<Self> {
        let runtime = Handle::current();
        let (orders, queue) = blocking::channel::<Order>();
        std::thread::Builder::new().name("reel-spawner".to_owned()).spawn(move || {
            let _entered = runtime.enter();
            for (mut command, reply) in queue {
                // Nobody waits for the reply any more when the agent was just ended; the child dies with it.
                drop(reply.send(command.spawn()));
            }
        })?;
        Ok(Spawner(orders))
    }

    /// Starts a process.
    pub(crate) async fn spawn(&self, command: Command) -> io::Result<Child> {
        let gone = || io::Error::other("the spawning thread has ended");
        let (reply, answer) = oneshot::channel();
        self.0.send((command, reply)).map_err(|_| gone())?;
        answer.await.map_err(|_| gone())?
    }
}
