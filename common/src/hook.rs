//! Hooks: programs of the site that a job runs by their names.

use std::fmt;
use std::str::FromStr;

use crate::labels::is_plain;

/// A run of a site's program, once or as an array of tasks. What the name stands for is each worker's to say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hook {
    /// Its name.
    pub name: String,
    /// How many tasks run it; at least 1.
    pub tasks: u32,
}

/// Why something is no hook.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HookError {
    /// The name is too long, empty or has other characters.
    #[error("names of hooks have 1 to {} letters, digits or ._-/", Hook::MAX_NAME_BYTES)]
    Name,
    /// The number behind the colon is none, or out of bounds.
    #[error("a hook has 1 to {} tasks, written name:tasks", Hook::MAX_TASKS)]
    Tasks,
    /// A job has more hooks than it may, or they have more tasks.
    #[error("the hooks of a job are at most {}, with {} tasks together", Hook::MAX_OF_JOB, Hook::MAX_TASKS)]
    TooMany,
    /// A worker offers more than it may.
    #[error("a worker has at most {} hooks", Hook::MAX_OF_WORKER)]
    TooManyOfWorker,
}

impl Hook {
    /// Longest name, in bytes.
    pub const MAX_NAME_BYTES: usize = 63;
    /// Most tasks of the hooks of a job together.
    pub const MAX_TASKS: u32 = 1_000_000;
    /// Most hooks of a job.
    pub const MAX_OF_JOB: usize = 16;
    /// Most hooks that a worker offers.
    pub const MAX_OF_WORKER: usize = 64;

    /// Whether a text may name a hook.
    ///
    /// # Errors
    /// [`HookError::Name`].
    pub fn check_name(name: &str) -> Result<(), HookError> {
        is_plain(name, Self::MAX_NAME_BYTES).then_some(()).ok_or(HookError::Name)
    }

    /// Whether a worker may offer hooks of these names.
    ///
    /// # Errors
    /// [`HookError::Name`] or [`HookError::TooManyOfWorker`].
    pub fn check_offered<'a>(mut names: impl ExactSizeIterator<Item = &'a String>) -> Result<(), HookError> {
        if names.len() > Self::MAX_OF_WORKER {
            return Err(HookError::TooManyOfWorker);
        }
        names.try_for_each(|name| Self::check_name(name))
    }

    /// Whether a job may have these hooks.
    ///
    /// # Errors
    /// What is wrong with one of them, or with all together.
    pub fn check_all(hooks: &[Hook]) -> Result<(), HookError> {
        for hook in hooks {
            Self::check_name(&hook.name)?;
            if hook.tasks == 0 {
                return Err(HookError::Tasks);
            }
        }
        let tasks: u64 = hooks.iter().map(|hook| u64::from(hook.tasks)).sum();
        let few = hooks.len() <= Self::MAX_OF_JOB && tasks <= u64::from(Self::MAX_TASKS);
        few.then_some(()).ok_or(HookError::TooMany)
    }
}

impl FromStr for Hook {
    type Err = HookError;

    /// `name`, or `name:tasks`.
    fn from_str(text: &str) -> Result<Self, HookError> {
        let (name, tasks) = match text.split_once(':') {
            None => (text, 1),
            Some((name, tasks)) => (name, tasks.parse().map_err(|_| HookError::Tasks)?),
        };
        Self::check_name(name)?;
        match (1..=Self::MAX_TASKS).contains(&tasks) {
            true => Ok(Hook { name: name.to_owned(), tasks }),
            false => Err(HookError::Tasks),
        }
    }
}

impl fmt::Display for Hook {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.tasks {
            1 => write!(out, "{}", self.name),
            tasks => write!(out, "{}:{tasks}", self.name),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hook_is_written_and_read_the_way_people_type_it() {
        for (text, name, tasks) in [("notify", "notify", 1), ("cdn/purge:8", "cdn/purge", 8)] {
            let hook: Hook = text.parse().unwrap();
            assert_eq!((hook.name.as_str(), hook.tasks), (name, tasks));
            assert_eq!(hook.to_string(), text);
        }
    }

    #[test]
    fn what_is_no_hook_is_refused() {
        for (text, error) in [
            ("", HookError::Name),
            (":3", HookError::Name),
            ("rm -rf", HookError::Name),
            ("purge:", HookError::Tasks),
            ("purge:0", HookError::Tasks),
            ("purge:-1", HookError::Tasks),
            ("purge:1000001", HookError::Tasks),
        ] {
            assert_eq!(text.parse::<Hook>(), Err(error), "{text}");
        }
        let purge = Hook { name: "purge".to_owned(), tasks: Hook::MAX_TASKS };
        assert_eq!(Hook::check_all(std::slice::from_ref(&purge)), Ok(()));
        assert_eq!(Hook::check_all(&[purge.clone(), purge.clone()]), Err(HookError::TooMany));
        assert_eq!(Hook::check_all(&vec![Hook { tasks: 1, ..purge }; 17]), Err(HookError::TooMany));
    }
}
