//! The links between hosts and schedulers: in order and whole, or late, twice and out of order; broken at either end
//! first.

use std::collections::BTreeMap;

use reel_proto::v1;
use reel_scheduler::simulation;
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TryRecvError;

use crate::cluster::SCHEDULERS;
use crate::faults::Fault;
use crate::queue::Event;
use crate::world::World;

/// A connection on which nothing passes for so long is given up: two pings.
const GIVEN_UP_MS: u64 = 10_000;

/// Where a message comes from or goes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum End {
    /// A scheduler.
    Node(usize),
    /// A host of a worker.
    Host(usize),
}

/// One connection of an agent.
pub(crate) struct Link {
    host: usize,
    host_life: u32,
    node: usize,
    node_life: u32,
    link: simulation::Link,
    told: mpsc::Receiver<v1::SchedulerMessage>,
    up: Way<v1::WorkerMessage>,
    down: Way<v1::SchedulerMessage>,
    open_at_host: bool,
    open_at_node: bool,
}

/// What is on its way in one direction, by the time when it is due.
struct Way<T> {
    due: BTreeMap<(u64, u64), T>,
    last_ms: u64,
    sent: u64,
    stalled_since: Option<u64>,
}

impl<T> Way<T> {
    fn new() -> Self {
        Way { due: BTreeMap::new(), last_ms: 0, sent: 0, stalled_since: None }
    }

    fn send(&mut self, at_ms: u64, message: T) {
        self.sent += 1;
        self.due.insert((at_ms, self.sent), message);
    }
}

impl World {
    /// How long a message is on its way.
    fn latency(&mut self) -> u64 {
        match self.rng.u32(0..100) {
            0 => self.rng.u64(50..2_000),
            1..10 => self.rng.u64(5..50),
            _ => self.rng.u64(0..5),
        }
    }

    /// When the copies of a message arrive.
    fn arrivals(&mut self, last_ms: u64) -> Vec<u64> {
        let now_ms = self.queue.now_ms;
        if !self.may(Fault::Disorder) {
            return vec![(now_ms + self.latency()).max(last_ms)];
        }
        let copies = if self.chance(20) { 2 } else { 1 };
        (0..copies)
            .map(|_| now_ms + self.latency() + if self.chance(10) { self.rng.u64(0..5_000) } else { 0 })
            .collect()
    }

    /// An agent says something over its link.
    pub(crate) fn send_up(&mut self, link: u64, message: v1::WorkerMessage) {
        let last_ms = self.links.get(&link).map_or(0, |link| link.up.last_ms);
        for at_ms in self.arrivals(last_ms) {
            if let Some(way) = self.links.get_mut(&link).map(|link| &mut link.up) {
                way.last_ms = at_ms;
                way.send(at_ms, message.clone());
            }
            self.push(at_ms, Event::Pump { link, up: true });
        }
    }

    /// What a driver has told its links since its last turn goes on its way; links that it has dropped are broken.
    pub(crate) fn send_down(&mut self, node: usize) {
        let ids: Vec<_> =
            self.links.iter().filter(|(_, link)| link.node == node).map(|(id, _)| *id).collect();
        for id in ids {
            while let Some(told) =
                self.links.get_mut(&id).filter(|link| link.open_at_node).map(|link| link.told.try_recv())
            {
                match told {
                    Ok(message) => {
                        let last_ms = self.links[&id].down.last_ms;
                        for at_ms in self.arrivals(last_ms) {
                            if let Some(link) = self.links.get_mut(&id) {
                                link.down.last_ms = at_ms;
                                link.down.send(at_ms, message.clone());
                            }
                            self.push(at_ms, Event::Pump { link: id, up: false });
                        }
                    }
                    Err(TryRecvError::Empty) => break,
                    Err(TryRecvError::Disconnected) => {
                        // The host hears of it behind what was said before.
                        let Some(link) = self.links.get_mut(&id) else { break };
                        link.open_at_node = false;
                        let last_ms = link.down.last_ms;
                        self.push(
                            last_ms.max(self.queue.now_ms) + 1,
                            Event::Close { link: id, at_host: true },
                        );
                    }
                }
            }
        }
    }

    /// Delivers what is due.
    pub(crate) fn on_pump(&mut self, id: u64, up: bool) {
        let now_ms = self.queue.now_ms;
        let Some(link) = self.links.get(&id) else { return };
        let (host, node) = (End::Host(link.host), End::Node(link.node));
        let passes = if up { self.passes(host, node) } else { self.passes(node, host) };
        let Some(link) = self.links.get_mut(&id) else { return };
        let stalled = if up { &mut link.up.stalled_since } else { &mut link.down.stalled_since };
        if !passes {
            let since = *stalled.get_or_insert(now_ms);
            if now_ms - since > GIVEN_UP_MS {
                return self.reset(id);
            }
            return self.after(100..400, Event::Pump { link: id, up });
        }
        *stalled = None;
        if up {
            let mut later = link.up.due.split_off(&(now_ms + 1, 0));
            std::mem::swap(&mut later, &mut link.up.due);
            for (_, message) in later {
                self.hear(id, message);
            }
        } else {
            let mut later = link.down.due.split_off(&(now_ms + 1, 0));
            std::mem::swap(&mut later, &mut link.down.due);
            for (_, message) in later {
                let Some(link) = self.links.get(&id).filter(|link| link.open_at_host) else { return };
                let (host, life) = (link.host, link.host_life);
                self.on_told(host, life, message);
            }
        }
    }

    fn hear(&mut self, id: u64, message: v1::WorkerMessage) {
        let Some(link) = self.links.get(&id).filter(|link| link.open_at_node) else { return };
        let (node, life, name) = (link.node, link.node_life, link.link);
        let clocks = self.clocks(node);
        let Some(running) = self.running(node, life) else { return };
        running.node.hear(clocks, name, message);
        self.after_turn(node);
    }

    pub(crate) fn on_close(&mut self, id: u64, at_host: bool) {
        let Some(link) = self.links.get_mut(&id) else { return };
        if at_host {
            let was_open = std::mem::replace(&mut link.open_at_host, false);
            let (host, life) = (link.host, link.host_life);
            if was_open {
                self.on_unlinked(host, life, id);
            }
        } else if std::mem::replace(&mut link.open_at_node, false) {
            let (node, life, name) = (link.node, link.node_life, link.link);
            let clocks = self.clocks(node);
            if let Some(running) = self.running(node, life) {
                running.node.unlink(clocks, name);
                self.after_turn(node);
            }
        }
        if self.links.get(&id).is_some_and(|link| !link.open_at_host && !link.open_at_node) {
            self.links.remove(&id);
        }
    }

    /// Breaks a link: each end finds out by itself, and until then may still get what is on its way.
    pub(crate) fn reset(&mut self, id: u64) {
        for at_host in [true, false] {
            self.after(0..2_000, Event::Close { link: id, at_host });
        }
    }

    /// Breaks any link.
    pub(crate) fn reset_one(&mut self) {
        if self.links.is_empty() {
            return;
        }
        let place = self.rng.usize(0..self.links.len());
        if let Some(id) = self.links.keys().nth(place).copied() {
            self.reset(id);
        }
    }

    /// A scheduler is dead: its hosts find out at once, or by their pings.
    pub(crate) fn drop_links_of_node(&mut self, node: usize) {
        let ids: Vec<_> =
            self.links.iter().filter(|(_, link)| link.node == node).map(|(id, _)| *id).collect();
        for link in ids {
            let at_once = self.chance(80);
            self.after(0..1, Event::Close { link, at_host: false });
            self.after(
                if at_once { 0..50 } else { 5_000..GIVEN_UP_MS },
                Event::Close { link, at_host: true },
            );
        }
    }

    /// An agent looks for the leader, and has a link when it has found it.
    pub(crate) fn on_dial(&mut self, host: usize, life: u32) {
        if !self.wants_link(host, life) {
            return;
        }
        let node = self.rng.usize(0..SCHEDULERS);
        let (here, there) = (End::Host(host), End::Node(node));
        if !self.passes(here, there) || !self.passes(there, here) {
            return self.after(500..5_000, Event::Dial { host, life });
        }
        let node_life = self.cluster.members[node].life;
        let Some((link, told)) = self.running(node, node_life).and_then(|running| running.node.connect())
        else {
            return self.after(50..400, Event::Dial { host, life });
        };
        self.last_link += 1;
        let (up, down) = (Way::new(), Way::new());
        let (open_at_host, open_at_node, host_life) = (true, true, life);
        let link =
            Link { host, host_life, node, node_life, link, told, up, down, open_at_host, open_at_node };
        self.links.insert(self.last_link, link);
        self.on_linked(host, self.last_link);
    }
}
