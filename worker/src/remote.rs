//! The link to a farm on the network: it finds the leader, and finds the next one when the link breaks.

use std::collections::VecDeque;
use std::time::Duration;

use reel_client::Client;
use reel_proto::v1::{self, scheduler_message, worker_message::Message};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};
use tokio_stream::wrappers::ReceiverStream;

use crate::WorkerLink;

/// How long the scheduler may take to read the last messages of an agent.
const FAREWELL: Duration = Duration::from_secs(2);
/// Messages that may wait in either direction.
const LINK_MESSAGES: usize = 64;
/// The wait before the next scheduler is asked; after each that takes the link and not the agent it is doubled, up to the
/// longest.
const PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// A link that lasts as long as the agent, and the task that ends when the agent's last message is through. Must be called
/// within a tokio runtime.
pub fn connect(farm: Client) -> (WorkerLink, JoinHandle<()>) {
    let (sender, from_agent) = mpsc::channel(LINK_MESSAGES);
    let (to_agent, receiver) = mpsc::channel(LINK_MESSAGES);
    let remote = tokio::spawn(
        Remote { farm, from_agent, to_agent, register: None, waiting: VecDeque::new(), pause: PAUSE }.run(),
    );
    (WorkerLink { sender, receiver }, remote)
}

struct Remote {
    farm: Client,
    from_agent: mpsc::Receiver<v1::WorkerMessage>,
    to_agent: mpsc::Sender<v1::SchedulerMessage>,
    /// How the agent has registered last: a new leader is told first.
    register: Option<v1::WorkerMessage>,
    /// What the agent has said while there was no connection.
    waiting: VecDeque<v1::WorkerMessage>,
    pause: Duration,
}

/// Why one connection has ended.
enum End {
    /// The agent has ended.
    Agent,
    /// The scheduler, or the way to it.
    Scheduler,
}

impl Remote {
    async fn run(mut self) {
        loop {
            if let End::Agent = self.connection().await {
                return;
            }
            sleep(self.pause).await;
        }
    }

    /// One connection, from its first message to its end.
    async fn connection(&mut self) -> End {
        let (to_scheduler, messages) = mpsc::channel(LINK_MESSAGES);
        let connecting = self.farm.connect_worker(ReceiverStream::new(messages));
        let mut from_scheduler = tokio::select! {
            connected = connecting => match connected {
                Ok(stream) => stream,
                Err(error) => {
                    tracing::debug!(%error, "no scheduler takes this worker's link");
                    return if self.to_agent.is_closed() { End::Agent } else { End::Scheduler };
                }
            },
            () = self.to_agent.closed() => return End::Agent,
        };
        tracing::info!("connected to a scheduler");
        self.pause = LONGEST_PAUSE.min(self.pause * 2);
        self.catch_up();
        loop {
            tokio::select! {
                said = from_scheduler.message() => match said {
                    // An agent that has ended may still have something to say.
                    Ok(Some(message)) => {
                        if let Some(scheduler_message::Message::Registered(_)) = message.message {
                            self.pause = PAUSE;
                        }
                        drop(self.to_agent.send(message).await);
                    }
                    Ok(None) => return End::Scheduler,
                    Err(status) => {
                        tracing::info!(reason = status.message(), "the link to the scheduler is broken");
                        return End::Scheduler;
                    }
                },
                permit = to_scheduler.reserve(), if !self.waiting.is_empty() => {
                    match (permit, self.waiting.pop_front()) {
                        (Ok(permit), Some(message)) => permit.send(message),
                        _ => return End::Scheduler,
                    }
                }
                message = self.from_agent.recv(), if self.waiting.is_empty() => match message {
                    Some(message) => self.take(message),
                    None => break,
                }
            }
        }
        drop(to_scheduler);
        // The scheduler has read everything when it ends its side as well.
        let farewell = async { while let Ok(Some(_)) = from_scheduler.message().await {} };
        let _ = timeout(FAREWELL, farewell).await;
        End::Agent
    }

    /// Takes what the agent has said meanwhile, and puts its newest registration before all of it.
    fn catch_up(&mut self) {
        while let Ok(message) = self.from_agent.try_recv() {
            self.take(message);
        }
        self.waiting.retain(|message| !matches!(message.message, Some(Message::Register(_))));
        if let Some(register) = self.register.clone() {
            self.waiting.push_front(register);
        }
    }

    fn take(&mut self, message: v1::WorkerMessage) {
        if let Some(Message::Register(_)) = message.message {
            self.register = Some(message.clone());
        }
        self.waiting.push_back(message);
    }
}
