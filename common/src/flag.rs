//! What an admission rule finds and keeps for a later look.

/// A finding that the profile says to flag: the job goes on without a word, and whoever checks the title finds it in the
/// report and with the job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Flag {
    /// The rule, as profiles name it.
    pub rule: String,
    /// What was measured, in the unit of the rule.
    pub found: String,
    /// The limit of a rule that has one, in the same unit.
    pub limit: Option<String>,
    /// The whole as a sentence, as a warning would say it.
    pub what: String,
}
