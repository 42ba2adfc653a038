//! A list of rows that come anew every second: which of them are shown, in what order, and which one is chosen.

use crate::keys::Step;

/// A row that can be listed.
pub(crate) trait Row {
    /// By what it is known again.
    type Key: Clone + PartialEq;
    fn key(&self) -> Self::Key;
    /// What a filter looks at, in lower case.
    fn text(&self) -> String;
}

/// The state of one list.
#[derive(Debug)]
pub(crate) struct List<K> {
    /// Words that rows must have, in lower case.
    pub(crate) filter: String,
    /// The column that it is sorted by.
    pub(crate) sort: usize,
    pub(crate) reverse: bool,
    chosen: Option<K>,
    /// The operator has chosen it. Before, it is the first, whichever that is.
    sticks: bool,
    /// Where the chosen row was, for when it goes.
    at: usize,
    /// The first row on the screen.
    top: usize,
    /// Places of the shown rows in what came, in order.
    order: Vec<usize>,
}

impl<K> Default for List<K> {
    fn default() -> Self {
        List {
            filter: String::new(),
            sort: 0,
            reverse: false,
            chosen: None,
            sticks: false,
            at: 0,
            top: 0,
            order: Vec::new(),
        }
    }
}

impl<K: Clone + PartialEq> List<K> {
    /// Takes new rows: `compare` is the order of the column.
    pub(crate) fn arrange<R: Row<Key = K>>(
        &mut self,
        rows: &[R],
        compare: impl Fn(&R, &R) -> std::cmp::Ordering,
    ) {
        let words: Vec<&str> = self.filter.split_whitespace().collect();
        let wanted = |row: &R| {
            let text = if words.is_empty() { String::new() } else { row.text() };
            words.iter().all(|word| text.contains(word))
        };
        self.order = (0..rows.len()).filter(|at| wanted(&rows[*at])).collect();
        self.order.sort_by(|a, b| compare(&rows[*a], &rows[*b]));
        if self.reverse {
            self.order.reverse();
        }
        let chosen = self.chosen.as_ref().filter(|_| self.sticks);
        let found = chosen.and_then(|key| self.order.iter().position(|at| rows[*at].key() == *key));
        let at = if self.sticks { self.at } else { 0 };
        self.choose(found.unwrap_or(at), rows);
    }

    fn choose<R: Row<Key = K>>(&mut self, at: usize, rows: &[R]) {
        self.at = at.min(self.order.len().saturating_sub(1));
        self.chosen = self.order.get(self.at).map(|at| rows[*at].key());
    }

    /// Goes to another row.
    pub(crate) fn step<R: Row<Key = K>>(&mut self, step: Step, page: usize, rows: &[R]) {
        let at = match step {
            Step::Up => self.at.saturating_sub(1),
            Step::Down => self.at + 1,
            Step::PageUp => self.at.saturating_sub(page),
            Step::PageDown => self.at + page,
            Step::First => 0,
            Step::Last => usize::MAX,
        };
        self.choose(at, rows);
        self.sticks = step != Step::First;
    }

    /// The chosen row.
    pub(crate) fn chosen(&self) -> Option<&K> {
        self.chosen.as_ref()
    }

    /// How many rows pass the filter.
    pub(crate) fn len(&self) -> usize {
        self.order.len()
    }

    /// The rows on a screen of so many lines, the chosen one among them: their places in what came, and which is chosen.
    pub(crate) fn visible(&mut self, lines: usize) -> impl Iterator<Item = (usize, bool)> {
        let lines = lines.max(1);
        let last_top = self.order.len().saturating_sub(lines);
        self.top = self.top.clamp((self.at + 1).saturating_sub(lines), self.at).min(last_top);
        let (top, at) = (self.top, self.at);
        let shown = self.order[top..].iter().take(lines).enumerate();
        shown.map(move |(line, place)| (*place, top + line == at))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Row for &str {
        type Key = String;

        fn key(&self) -> String {
            (*self).to_owned()
        }

        fn text(&self) -> String {
            (*self).to_owned()
        }
    }

    fn shown(list: &mut List<String>, rows: &[&'static str], lines: usize) -> Vec<(&'static str, bool)> {
        list.visible(lines).map(|(at, chosen)| (rows[at], chosen)).collect()
    }

    #[test]
    fn the_chosen_row_stays_chosen_while_others_come_and_go() {
        let mut list = List::default();
        let rows = ["b", "d", "f"];
        list.arrange(&rows, Ord::cmp);
        list.step(Step::Down, 10, &rows);
        assert_eq!(list.chosen(), Some(&"d".to_owned()));
        let rows = ["a", "b", "c", "d"];
        list.arrange(&rows, Ord::cmp);
        assert_eq!(shown(&mut list, &rows, 2), [("c", false), ("d", true)]);
        // It goes: the one in its place is chosen.
        let rows = ["a", "b", "c"];
        list.arrange(&rows, Ord::cmp);
        assert_eq!(list.chosen(), Some(&"c".to_owned()));
        list.arrange(&[] as &[&str], Ord::cmp);
        assert_eq!((list.chosen(), list.len()), (None, 0));
        assert_eq!(list.visible(5).count(), 0);
    }

    #[test]
    fn the_first_row_is_chosen_until_another_is() {
        let mut list = List::default();
        list.arrange(&["b"], Ord::cmp);
        list.arrange(&["a", "b"], Ord::cmp);
        assert_eq!(list.chosen(), Some(&"a".to_owned()));
        list.step(Step::Down, 10, &["a", "b"]);
        list.step(Step::First, 10, &["a", "b"]);
        list.arrange(&["0", "a", "b"], Ord::cmp);
        assert_eq!(list.chosen(), Some(&"0".to_owned()));
    }

    #[test]
    fn rows_are_filtered_by_every_word_and_turned_round() {
        let rows = ["film one", "film two", "trailer one"];
        let mut list = List { filter: "one film".to_owned(), ..List::default() };
        list.arrange(&rows, Ord::cmp);
        assert_eq!(shown(&mut list, &rows, 9), [("film one", true)]);
        list.filter.clear();
        list.reverse = true;
        list.arrange(&rows, Ord::cmp);
        assert_eq!(shown(&mut list, &rows, 2), [("trailer one", true), ("film two", false)]);
    }

    #[test]
    fn no_step_leaves_the_list() {
        let rows = ["a", "b", "c", "d", "e"];
        let mut list = List::default();
        list.arrange(&rows, Ord::cmp);
        for (step, wanted) in [
            (Step::Last, "e"),
            (Step::Down, "e"),
            (Step::PageUp, "b"),
            (Step::PageUp, "a"),
            (Step::Up, "a"),
            (Step::PageDown, "d"),
            (Step::First, "a"),
        ] {
            list.step(step, 3, &rows);
            assert_eq!(list.chosen().map(String::as_str), Some(wanted), "{step:?}");
        }
    }
}
