//! The destinations that come with the program: what is asked of packages there.

use crate::Destination;
use crate::read::ProfileError;

const CATALOG: &[(&str, &str)] = &[
    ("apple-hls", include_str!("../catalog/destinations/apple-hls.toml")),
    ("dash-if", include_str!("../catalog/destinations/dash-if.toml")),
    ("roku", include_str!("../catalog/destinations/roku.toml")),
];

/// The names of all, in alphabetical order.
pub fn names() -> impl Iterator<Item = &'static str> {
    CATALOG.iter().map(|(name, _)| *name)
}

/// The text of one.
pub fn text(name: &str) -> Option<&'static str> {
    CATALOG.iter().find(|(known, _)| *known == name).map(|(_, text)| *text)
}

/// One of them; `None` for another name.
pub fn named(name: &str) -> Option<Result<Destination, ProfileError>> {
    Some(Destination::parse(text(name)?, &format!("{name}.toml")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_destination_parses_under_its_own_name() {
        for name in names() {
            let destination = named(name).unwrap().unwrap();
            assert_eq!(destination.name, name);
            assert!(
                destination.rules.iter().all(|rule| rule.id.starts_with(name.split('-').next().unwrap()))
            );
        }
        assert!(names().is_sorted());
    }
}
