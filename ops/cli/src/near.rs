//! Names that look like one that was mistyped.

/// How alike two names are at least, from 0 to 1.
const ALIKE: f64 = 0.75;

/// The name that was probably meant, to be put behind the one that was typed; empty where none is like it.
pub(crate) fn hint<'a>(typed: &str, known: impl Iterator<Item = &'a str>) -> String {
    let rated = known.map(|name| (strsim::jaro_winkler(typed, name), name));
    let best = rated.max_by(|(left, _), (right, _)| left.total_cmp(right));
    best.filter(|(alike, _)| *alike >= ALIKE)
        .map_or_else(String::new, |(_, name)| format!(" (did you mean `{name}`?)"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_is_told_from_another_name() {
        let hint = |typed| hint(typed, ["proxy", "vod-abr", "cbcs"].into_iter());
        assert_eq!(hint("prxoy"), " (did you mean `proxy`?)");
        assert_eq!(hint("vod_abr"), " (did you mean `vod-abr`?)");
        assert_eq!(hint("archive"), "");
    }
}
