//! What admission rules flag, in the report.

use reel_common::Flag;
use serde::Serialize;
use serde_json::Value;

/// A finding of an admission rule.
#[derive(Serialize)]
pub(super) struct Flagged {
    rule: String,
    /// What was measured, in the unit of the rule: a number where the rule has a limit that is one.
    found: Value,
    limit: Option<Value>,
    /// The same as a sentence.
    what: String,
}

impl From<Flag> for Flagged {
    fn from(flag: Flag) -> Self {
        let value = |text: String| match (text.parse::<i64>(), text.parse::<f64>()) {
            (Ok(number), _) => number.into(),
            (_, Ok(number)) => number.into(),
            _ => text.into(),
        };
        Flagged { rule: flag.rule, found: value(flag.found), limit: flag.limit.map(value), what: flag.what }
    }
}
