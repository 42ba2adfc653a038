//! The shares of projects.

use reel_common::Share;

use crate::command::{Accepted, Refusal, Reply};
use crate::state::FarmState;

/// Most projects with a share of their own.
const MAX_PROJECTS: usize = 10_000;

pub(super) fn on_set_project(state: &mut FarmState, name: String, share: Share) -> Reply {
    let problem = name_problem(&name).map(|problem| ("the name of the project", problem));
    if let Some((field, problem)) = problem.or(share.problem().map(|problem| ("the project", problem))) {
        return Reply::Refused(Refusal::BadField { field, problem });
    }
    match state.projects.get(&name) {
        Some(known) if *known == share => return Reply::Duplicate(Accepted::Done),
        None if state.projects.len() >= MAX_PROJECTS => {
            return Reply::Refused(Refusal::TooManyProjects(MAX_PROJECTS));
        }
        _ => {}
    }
    state.projects.insert(name, share);
    Reply::DONE
}

/// What is wrong with the name of a project, if anything.
pub(super) fn name_problem(name: &str) -> Option<&'static str> {
    let usable = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    match name {
        "" => Some("is empty"),
        name if name.len() > Share::MAX_NAME_BYTES => Some("is too long"),
        name if !name.chars().all(usable) => Some("may have letters, digits and -_. only"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::Action;
    use crate::testing::FarmBuilder;

    #[test]
    fn a_share_is_kept_and_a_wrong_one_refused() {
        let mut farm = FarmBuilder::new().build();
        let share = Share { weight: 3, guarantee: 2, burst: Some(5) };
        let set = |name: &str, share| Action::SetProject { name: name.to_owned(), share };
        farm.ok(set("show", share));
        assert_eq!(farm.apply(set("show", share)), Reply::Duplicate(Accepted::Done));
        assert_eq!(farm.state.projects["show"], share);
        let wrong = [
            ("a b", Share::default()),
            ("", Share::default()),
            ("show", Share { weight: 0, ..share }),
            ("show", Share { burst: Some(1), ..share }),
        ];
        for (name, share) in wrong {
            assert!(
                matches!(farm.apply(set(name, share)), Reply::Refused(Refusal::BadField { .. })),
                "{name:?}"
            );
        }
    }
}
