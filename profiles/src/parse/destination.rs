//! Destinations: their files, and the names of those that a profile is for.

use toml::de::DeTable;

use super::words;
use crate::read::{ProfileError, Section, Source};
use crate::types::{
    Demand, Destination, DestinationRule, Package, PackageFeature, PackageMeasure, PackageTrait, Strictness,
};

const KEYS: &[&str] = &["name", "title", "rule"];
const RULE_KEYS: &[&str] = &[
    "id",
    "severity",
    "source",
    "message",
    "longer_than_s",
    "measure",
    "least",
    "most",
    "trait",
    "one_of",
    "feature",
    "present",
];

impl Destination {
    /// Reads the file of a destination. `file_name` is what messages call it.
    ///
    /// # Errors
    /// The first thing that is wrong, with its line.
    pub fn parse(text: &str, file_name: &str) -> Result<Destination, ProfileError> {
        let source = Source::new(text, file_name);
        if text.len() > Destination::MAX_TEXT_BYTES {
            let most = Destination::MAX_TEXT_BYTES / 1024;
            return Err(
                source.error(0, format!("the destination has {} bytes, more than {most} KiB", text.len()))
            );
        }
        let document = DeTable::parse(text).map_err(|error| {
            let position = error.span().map_or(0, |span| span.start);
            source.error(position, format!("not valid TOML: {}", error.message().replace('\n', ", ")))
        })?;
        let root = Section::new(source, "the destination", 0, document.get_ref(), KEYS)?;
        let name = root.need("name", root.text("name")?, "give the destination a name")?;
        let title = root.need("title", root.text("title")?, "say what it is in a line")?;
        let sections = root.tables("rule", "[[rule]]", RULE_KEYS)?;
        if sections.is_empty() || sections.len() > Destination::MAX_RULES {
            return Err(root.error(
                0,
                format!("a destination has 1 to {} rules, each `[[rule]]`", Destination::MAX_RULES),
            ));
        }
        let mut rules: Vec<DestinationRule> = Vec::new();
        for section in &sections {
            let rule = rule(section)?;
            if rules.iter().any(|known| known.id == rule.id) {
                return Err(
                    section.error(section.position_of("id"), format!("two rules are called `{}`", rule.id))
                );
            }
            rules.push(rule);
        }
        Ok(Destination { name: name.value.to_owned(), title: title.value.to_owned(), rules })
    }
}

fn rule(section: &Section<'_>) -> Result<DestinationRule, ProfileError> {
    let text =
        |key: &str, takes: &str| section.need(key, section.text(key)?, takes).map(|at| at.value.to_owned());
    let id = text("id", "words with hyphens")?;
    if id.is_empty()
        || !id.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
    {
        return Err(
            section.error(section.position_of("id"), "`id` is made of small letters, digits and hyphens")
        );
    }
    let severity = section.word("severity", &words(Strictness::ALL, Strictness::name))?;
    Ok(DestinationRule {
        id,
        severity: section.need("severity", severity, "`error` or `warning`")?.value,
        source: text("source", "the document and its section")?,
        message: text("message", "what is wanted, in a line")?,
        longer_than: section.seconds("longer_than_s")?.map(|at| at.value),
        demand: demand(section)?,
    })
}

fn demand(section: &Section<'_>) -> Result<Demand, ProfileError> {
    let kinds: Vec<_> =
        ["measure", "trait", "feature"].into_iter().filter(|key| section.get(key).is_some()).collect();
    let [kind] = kinds.as_slice() else {
        return Err(section.error(section.position, "a rule has one of `measure`, `trait` and `feature`"));
    };
    let own: &[&str] = match *kind {
        "measure" => &["least", "most"],
        "trait" => &["one_of"],
        _ => &["present"],
    };
    let foreign = ["least", "most", "one_of", "present"]
        .into_iter()
        .find(|key| !own.contains(key) && section.get(key).is_some());
    if let Some(key) = foreign {
        return Err(section.error(section.position_of(key), format!("`{key}` does not go with `{kind}`")));
    }
    if let Some(measure) = section.word("measure", &words(PackageMeasure::ALL, PackageMeasure::name))? {
        let (least, most) = (section.seconds("least")?, section.seconds("most")?);
        if least.is_none() && most.is_none() {
            return Err(section.error(section.position, "`measure` takes `least` or `most`"));
        }
        return Ok(Demand::Within {
            measure: measure.value,
            least: least.map(|at| at.value),
            most: most.map(|at| at.value),
        });
    }
    if let Some(trait_of) = section.word("trait", &words(PackageTrait::ALL, PackageTrait::name))? {
        let words = section.texts("one_of", "a list of words", |word| Some(word.to_owned()))?;
        if words.is_empty() {
            return Err(section.error(section.position, "`trait` takes `one_of`, a list of words"));
        }
        return Ok(Demand::OneOf { trait_of: trait_of.value, words });
    }
    let feature = section.word("feature", &words(PackageFeature::ALL, PackageFeature::name))?;
    let feature = section.need("feature", feature, "what has to be there")?.value;
    Ok(Demand::Has { feature, present: section.flag("present")?.is_none_or(|at| at.value) })
}

/// The destinations that the titles of a profile are for.
pub(super) fn names(root: &Section<'_>, package: Package) -> Result<Vec<String>, ProfileError> {
    // What else stands in that table is known by now.
    let Some(section) = root.table("package", "[package]", super::PACKAGE_KEYS)? else {
        return Ok(Vec::new());
    };
    let known: Vec<&str> = crate::destination::names().collect();
    let takes = format!("a list of destinations, of {}", known.join(", "));
    let read = |name: &str| known.contains(&name).then(|| name.to_owned());
    let names = section.texts("destinations", &takes, read)?;
    let wrong = |reason: &str| Err(section.error(section.position_of("destinations"), reason));
    if (1..names.len()).any(|at| names[..at].contains(&names[at])) {
        return wrong("`destinations` names one twice");
    }
    if !names.is_empty() && !package.segments() {
        return wrong("destinations take segments: set `hls = true` or `dash = true` as well");
    }
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = "name = \"x\"\ntitle = \"X\"\n";
    const RULE: &str = "[[rule]]\nid = \"a\"\nseverity = \"error\"\nsource = \"s\"\nmessage = \"m\"\n";

    #[test]
    fn what_is_wrong_is_told_with_its_line() {
        let cases = [
            ("feature = \"hls\"\nmost = 3", "x.toml:9: `most` does not go with `feature`"),
            (
                "feature = \"stereo_aca\"",
                "x.toml:8: `feature` cannot be `stereo_aca`, did you mean `stereo_aac`?",
            ),
            ("measure = \"height\"", "x.toml:3: `measure` takes `least` or `most`"),
            ("trait = \"video_codec\"", "x.toml:3: `trait` takes `one_of`, a list of words"),
            ("colour = 1", "x.toml:8: unknown key `colour` in [[rule]]"),
            ("", "x.toml:3: a rule has one of `measure`, `trait` and `feature`"),
        ];
        for (text, expected) in cases {
            let error = Destination::parse(&format!("{HEAD}{RULE}{text}\n"), "x.toml").unwrap_err();
            assert_eq!(error.to_string(), expected);
        }
        let twice = format!("{HEAD}{RULE}feature = \"hls\"\n{RULE}feature = \"dash\"\n");
        assert!(
            Destination::parse(&twice, "x.toml")
                .unwrap_err()
                .to_string()
                .contains("two rules are called `a`")
        );
    }
}
