//! What each key does where: the bottom line, the help and the model read the same table.

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

/// What a key stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Command {
    Quit,
    Help,
    Back,
    Screen(u8),
    NextScreen,
    Open,
    Filter,
    Sort,
    Reverse,
    NextTab,
    Log,
    Pause,
    Cancel,
    Retry,
    Skip,
    Raise,
    Lower,
    Drain,
    Undrain,
    Cordon,
    Quarantine,
    Move(Step),
}

/// Where a selection goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    Up,
    Down,
    PageUp,
    PageDown,
    First,
    Last,
}

/// Where keys mean something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    Overview,
    Jobs,
    Workers,
    Cluster,
    Events,
    Job,
    Log,
}

/// A key: how it is shown, what it does in a word, and in a sentence.
pub(crate) struct Key {
    pub(crate) code: KeyCode,
    pub(crate) shown: &'static str,
    pub(crate) word: &'static str,
    pub(crate) help: &'static str,
    pub(crate) command: Command,
    /// Where it works; everywhere where there are none.
    pub(crate) places: &'static [Place],
}

const fn key(
    code: KeyCode,
    shown: &'static str,
    command: Command,
    places: &'static [Place],
    (word, help): (&'static str, &'static str),
) -> Key {
    Key { code, shown, word, help, command, places }
}

const fn letter(letter: char) -> KeyCode {
    KeyCode::Char(letter)
}

const LISTS: &[Place] = &[Place::Jobs, Place::Workers, Place::Events];
const JOBS: &[Place] = &[Place::Jobs, Place::Job];

/// Every key, those that are typed most first.
pub(crate) const KEYS: &[Key] = &[
    key(
        KeyCode::Enter,
        "Enter",
        Command::Open,
        &[Place::Jobs, Place::Job, Place::Overview],
        ("open", "opens the job, or the log of the task"),
    ),
    key(
        KeyCode::Esc,
        "Esc",
        Command::Back,
        &[Place::Job, Place::Log],
        ("back", "goes back, and ends a filter"),
    ),
    key(
        letter('t'),
        "t",
        Command::NextTab,
        &[Place::Job],
        ("tasks/timeline", "shows tasks, timeline, or what is in the way"),
    ),
    key(letter('l'), "l", Command::Log, &[Place::Job], ("log", "shows the log of what runs")),
    key(letter('p'), "p", Command::Pause, JOBS, ("pause", "pauses the job, or resumes it")),
    key(letter('c'), "c", Command::Cancel, JOBS, ("cancel", "cancels the job")),
    key(letter('r'), "r", Command::Retry, JOBS, ("retry", "retries the task, or the whole job")),
    key(letter('x'), "x", Command::Skip, &[Place::Job], ("skip", "skips the task of a hook")),
    key(letter('+'), "+", Command::Raise, JOBS, ("raise", "raises the priority of the job")),
    key(letter('-'), "-", Command::Lower, JOBS, ("lower", "lowers the priority of the job")),
    key(
        letter('d'),
        "d",
        Command::Drain,
        &[Place::Workers],
        ("drain", "drains the worker: it finishes the part in hand"),
    ),
    key(
        letter('u'),
        "u",
        Command::Undrain,
        &[Place::Workers],
        ("undrain", "lets the worker take work again"),
    ),
    key(
        letter('o'),
        "o",
        Command::Cordon,
        &[Place::Workers],
        ("cordon", "cordons the worker: what runs goes on"),
    ),
    key(letter('z'), "z", Command::Quarantine, &[Place::Workers], ("quarantine", "quarantines the worker")),
    key(letter('/'), "/", Command::Filter, LISTS, ("filter", "shows only what has all of the words")),
    key(
        letter('s'),
        "s",
        Command::Sort,
        &[Place::Jobs, Place::Workers],
        ("sort", "sorts by the next column"),
    ),
    key(
        letter('S'),
        "S",
        Command::Reverse,
        &[Place::Jobs, Place::Workers],
        ("reverse", "turns the order round"),
    ),
    key(KeyCode::Up, "↑ k", Command::Move(Step::Up), &[], ("up", "goes up")),
    key(KeyCode::Down, "↓ j", Command::Move(Step::Down), &[], ("down", "goes down")),
    key(KeyCode::PageUp, "PgUp", Command::Move(Step::PageUp), &[], ("page up", "goes up a page")),
    key(KeyCode::PageDown, "PgDn", Command::Move(Step::PageDown), &[], ("page down", "goes down a page")),
    key(KeyCode::Home, "Home g", Command::Move(Step::First), &[], ("first", "goes to the first")),
    key(KeyCode::End, "End G", Command::Move(Step::Last), &[], ("last", "goes to the last, and stays there")),
    key(letter('1'), "1-5", Command::Screen(0), &[], ("screens", "goes to a screen")),
    key(KeyCode::Tab, "Tab", Command::NextScreen, &[], ("next", "goes to the next screen")),
    key(letter('?'), "?", Command::Help, &[], ("help", "shows this help")),
    key(letter('q'), "q", Command::Quit, &[], ("quit", "leaves; the farm goes on")),
];

/// Keys of the bottom line.
pub(crate) fn hints(place: Place) -> impl Iterator<Item = &'static Key> {
    let moves = |key: &&Key| !matches!(key.command, Command::Move(_) | Command::NextScreen);
    KEYS.iter().filter(moves).filter(move |key| key.works_at(place))
}

impl Key {
    pub(crate) fn works_at(&self, place: Place) -> bool {
        self.places.is_empty() || self.places.contains(&place)
    }
}

/// What was typed, where it means something.
pub(crate) fn command(typed: KeyEvent, place: Place) -> Option<Command> {
    if typed.modifiers.contains(KeyModifiers::CONTROL) {
        return (typed.code == KeyCode::Char('c')).then_some(Command::Quit);
    }
    if typed.modifiers.contains(KeyModifiers::ALT) {
        return None;
    }
    match typed.code {
        KeyCode::Char('k') => Some(Command::Move(Step::Up)),
        KeyCode::Char('j') => Some(Command::Move(Step::Down)),
        KeyCode::Char('g') => Some(Command::Move(Step::First)),
        KeyCode::Char('G') => Some(Command::Move(Step::Last)),
        KeyCode::Char(number @ '1'..='5') => Some(Command::Screen(number as u8 - b'1')),
        // A filter is ended everywhere.
        KeyCode::Esc => Some(Command::Back),
        code => KEYS.iter().find(|key| key.code == code && key.works_at(place)).map(|key| key.command),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_key_does_two_things_in_one_place() {
        for (at, key) in KEYS.iter().enumerate() {
            let places =
                [Place::Overview, Place::Jobs, Place::Workers, Place::Cluster, Place::Events, Place::Job];
            for place in places.into_iter().filter(|place| key.works_at(*place)) {
                let twice =
                    KEYS[at + 1..].iter().any(|other| other.code == key.code && other.works_at(place));
                assert!(!twice, "{} at {place:?}", key.shown);
            }
        }
    }

    #[test]
    fn keys_mean_what_the_table_says() {
        let typed = |code| KeyEvent::new(code, KeyModifiers::NONE);
        assert_eq!(command(typed(letter('d')), Place::Workers), Some(Command::Drain));
        assert_eq!(command(typed(letter('d')), Place::Jobs), None);
        assert_eq!(command(typed(letter('3')), Place::Log), Some(Command::Screen(2)));
        let control = KeyEvent::new(letter('c'), KeyModifiers::CONTROL);
        assert_eq!(command(control, Place::Jobs), Some(Command::Quit), "and not a job's cancel");
    }
}
