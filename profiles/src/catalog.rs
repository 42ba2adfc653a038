//! The profiles that come with the program.

const CATALOG: &[(&str, &str)] = &[
    ("proxy", include_str!("../catalog/proxy.toml")),
    ("vod-abr", include_str!("../catalog/vod-abr.toml")),
    ("vod-multicodec", include_str!("../catalog/vod-multicodec.toml")),
];

/// The names of the catalog, in alphabetical order.
pub fn names() -> impl Iterator<Item = &'static str> {
    CATALOG.iter().map(|(name, _)| *name)
}

/// The text of a profile of the catalog.
pub fn text(name: &str) -> Option<&'static str> {
    CATALOG.iter().find(|(known, _)| *known == name).map(|(_, text)| *text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Profile;

    #[test]
    fn every_catalog_profile_parses_under_its_own_name() {
        for name in names() {
            let profile = Profile::parse(text(name).unwrap(), &format!("{name}.toml")).unwrap();
            assert_eq!(profile.name, name);
        }
        assert!(names().is_sorted());
    }
}
