//! Captions of digital television: the triplets of pictures (CTA-708-E) into cues of one service.
//!
//! Kept of them is what cues hold: text with its styles and colours, when it is shown, and where. Fonts, sizes, edges,
//! grounds, effects and the order of overlapping windows are not.

mod commands;
mod packets;
mod window;

use std::collections::{BTreeSet, VecDeque};

use self::commands::{Command, first};
use self::packets::{Packets, blocks};
use self::window::Window;
use crate::display::History;
use crate::model::{Cue, Style};

/// Bytes that a service may send while it is delayed: then the delay is over (CTA-708-E, section 8.10.5).
const INPUT_BYTES: usize = 128;
const WINDOWS: usize = 8;

/// A decoder of one service, which is given all triplets of the title's pictures in order.
#[derive(Clone, Debug)]
pub struct Cea708 {
    number: u8,
    packets: Packets,
    /// The beginning of a command.
    input: Vec<u8>,
    /// When the delay is over.
    delayed_until_ms: Option<u64>,
    /// Commands that wait for that, and their bytes.
    waiting: VecDeque<Command>,
    waiting_bytes: usize,
    windows: [Option<Window>; WINDOWS],
    current: usize,
    history: History,
}

impl Cea708 {
    /// A decoder of a service, 1 to 63, at the beginning of a programme.
    pub fn new(service: u8) -> Cea708 {
        Cea708 {
            number: service,
            packets: Packets::default(),
            input: Vec::new(),
            delayed_until_ms: None,
            waiting: VecDeque::new(),
            waiting_bytes: 0,
            windows: Default::default(),
            current: 0,
            history: History::default(),
        }
    }

    /// Takes a triplet that is valid. A time before the last one counts as the last one.
    pub fn push(&mut self, time_ms: u64, triplet: [u8; 3]) {
        let mut packets = std::mem::take(&mut self.packets);
        for (number, block) in packets.push(triplet).into_iter().flat_map(blocks) {
            if number == self.number {
                self.take(time_ms, block);
            }
        }
        self.packets = packets;
    }

    /// The cues, sorted by start. Beyond what a document may have, no more are kept.
    pub fn finish(mut self) -> Vec<Cue> {
        self.go_on(u64::MAX);
        let Cea708 { windows, history, .. } = self;
        history.finish(|since_ms, now_ms| cues(&windows, since_ms, now_ms))
    }

    /// Takes a block of the service.
    fn take(&mut self, time_ms: u64, block: &[u8]) {
        self.go_on(time_ms);
        self.history.go_on(time_ms);
        let mut input = std::mem::take(&mut self.input);
        input.extend(block);
        let mut rest = input.as_slice();
        while let Some((command, length)) = first(rest) {
            rest = &rest[length..];
            self.hear(command, length);
        }
        self.input = rest.to_vec();
    }

    /// Does what was to wait until a time.
    fn go_on(&mut self, time_ms: u64) {
        while let Some(until_ms) = self.delayed_until_ms.filter(|until_ms| *until_ms <= time_ms) {
            self.history.go_on(until_ms);
            self.end_delay();
        }
    }

    /// Does what has waited, up to the next delay.
    fn end_delay(&mut self) {
        self.delayed_until_ms = None;
        while self.delayed_until_ms.is_none()
            && let Some(command) = self.waiting.pop_front()
        {
            self.run(command);
        }
        // What waits on is counted anew.
        self.waiting_bytes = self.waiting.len();
    }

    fn hear(&mut self, command: Command, length: usize) {
        match command {
            Command::Reset => {
                self.waiting.clear();
                self.delayed_until_ms = None;
                self.run(Command::Reset);
            }
            Command::DelayCancel => self.end_delay(),
            command if self.delayed_until_ms.is_some() => {
                self.waiting.push_back(command);
                self.waiting_bytes += length;
                if self.waiting_bytes >= INPUT_BYTES {
                    self.end_delay();
                }
            }
            command => self.run(command),
        }
    }

    fn run(&mut self, command: Command) {
        match command {
            Command::Current(window) if self.windows[window].is_some() => self.current = window,
            Command::Delay(ms) if ms > 0 => {
                self.delayed_until_ms = Some(self.history.now_ms().saturating_add(ms));
            }
            Command::Reset => {
                self.show();
                (self.windows, self.current) = Default::default();
            }
            Command::Clear(mask) => self.each(mask, |window| {
                if let Some(window) = window {
                    window.clear();
                }
            }),
            Command::Display(mask) => self.see(mask, |_| true),
            Command::Hide(mask) => self.see(mask, |_| false),
            Command::Toggle(mask) => self.see(mask, |visible| !visible),
            Command::Delete(mask) => self.each(mask, |window| *window = None),
            Command::Define(number, definition) => {
                self.show();
                self.current = number;
                match &mut self.windows[number] {
                    Some(window) => window.define(definition),
                    none => *none = Some(Window::new(definition)),
                }
            }
            command => self.write(&command),
        }
    }

    /// Does what is said to the current window.
    fn write(&mut self, command: &Command) {
        self.prepare(command);
        let Some(window) = &mut self.windows[self.current] else { return };
        match *command {
            Command::Write(c) => c.into_iter().for_each(|c| window.write(c)),
            Command::Backspace => window.backspace(),
            Command::FormFeed => {
                window.clear();
                window.go_to(0, 0);
            }
            Command::CarriageReturn => window.carriage_return(),
            Command::EmptyRow => window.empty_row(),
            Command::PenAttributes { style, silent } => {
                window.pen = Style { colour: window.pen.colour, ..style };
                window.silent = silent;
            }
            Command::PenColour(colour) => window.pen.colour = colour,
            Command::PenLocation { row, column } => window.go_to(row, column),
            Command::WindowAttributes { justify, wraps } => window.arrange(justify, wraps),
            _ => {}
        }
    }

    /// Makes cues of what is shown, where a command to the current window begins a new one.
    fn prepare(&mut self, command: &Command) {
        let Some(window) = self.windows[self.current].as_ref().filter(|window| window.visible) else {
            return;
        };
        let begins = match command {
            Command::Write(_) => {
                let empty = window.is_empty();
                self.history.write() || empty
            }
            Command::CarriageReturn if window.scrolls() => {
                self.history.write();
                true
            }
            Command::FormFeed | Command::EmptyRow | Command::WindowAttributes { .. } => true,
            _ => false,
        };
        if begins {
            self.show();
        }
    }

    /// Changes which windows are seen.
    fn see(&mut self, mask: u8, seen: impl Fn(bool) -> bool) {
        self.each(mask, |window| {
            if let Some(window) = window {
                window.visible = seen(window.visible);
            }
        });
    }

    /// Changes the windows of a mask.
    fn each(&mut self, mask: u8, mut change: impl FnMut(&mut Option<Window>)) {
        self.show();
        let named = |number: &usize| mask >> number & 1 == 1;
        (0..WINDOWS).filter(named).for_each(|number| change(&mut self.windows[number]));
    }

    /// Makes cues of what was shown until now.
    fn show(&mut self) {
        self.history.change(|since_ms, now_ms| cues(&self.windows, since_ms, now_ms));
    }
}

/// The cues of all windows that are seen, from top to bottom.
fn cues(windows: &[Option<Window>], since_ms: u64, now_ms: u64) -> Vec<Cue> {
    let mut seen: Vec<&Window> = windows.iter().flatten().filter(|window| window.visible).collect();
    seen.sort_by_key(|window| window.top());
    seen.into_iter().flat_map(|window| window.cues(since_ms, now_ms)).collect()
}

/// The services that pictures hold anything for.
pub(crate) fn services(triplets: impl IntoIterator<Item = [u8; 3]>) -> BTreeSet<u8> {
    let mut packets = Packets::default();
    let mut found = BTreeSet::new();
    for triplet in triplets {
        found.extend(packets.push(triplet).into_iter().flat_map(blocks).map(|(service, _)| service));
    }
    found
}
