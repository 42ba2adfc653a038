//! The files of the page, and the report of a job made of some of them.

/// A file of the page.
#[derive(Clone, Copy, Debug)]
pub struct Asset {
    /// Its media type.
    pub mime: &'static str,
    /// What is in it.
    pub body: &'static str,
}

const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";

macro_rules! files {
    ($($name:literal: $mime:expr,)*) => {
        [$(($name, Asset { mime: $mime, body: include_str!(concat!("../assets/", $name)) })),*]
    };
}

/// What a browser may ask for.
const FILES: [(&str, Asset); 19] = files! {
    "index.html": HTML,
    "style.css": CSS,
    "page.css": CSS,
    "dom.js": SCRIPT,
    "format.js": SCRIPT,
    "curves.js": SCRIPT,
    "draw.js": SCRIPT,
    "ladder.js": SCRIPT,
    "report.js": SCRIPT,
    "player.js": SCRIPT,
    "rates.js": SCRIPT,
    "alerts.js": SCRIPT,
    "list.js": SCRIPT,
    "workers.js": SCRIPT,
    "overview.js": SCRIPT,
    "events.js": SCRIPT,
    "title.js": SCRIPT,
    "job.js": SCRIPT,
    "app.js": SCRIPT,
};

/// The scripts of a report, in their order.
const REPORT: [&str; 7] = [
    include_str!("../assets/dom.js"),
    include_str!("../assets/format.js"),
    include_str!("../assets/curves.js"),
    include_str!("../assets/draw.js"),
    include_str!("../assets/ladder.js"),
    include_str!("../assets/report.js"),
    include_str!("../assets/show.js"),
];

/// A file of the page, by its name.
pub fn asset(name: &str) -> Option<Asset> {
    FILES.iter().find(|(known, _)| *known == name).map(|(_, asset)| *asset)
}

/// The report of a job as one file of HTML that needs nothing else: `data` is JSON.
pub fn report(data: &str) -> String {
    // In JSON, `<` is in strings alone; without it no text ends the element that the data lie in.
    let data = data.replace('<', "\\u003c");
    // What is put in last is not looked into.
    include_str!("../assets/report.html")
        .replace("{{style}}", include_str!("../assets/style.css"))
        .replace("{{scripts}}", &REPORT.concat())
        .replace("{{data}}", &data)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_asks_for_nothing_that_is_not_there() {
        let page = asset("index.html").expect("the page").body;
        let asked: Vec<&str> =
            page.split("assets/").skip(1).filter_map(|rest| rest.split('"').next()).collect();
        assert_eq!(asked.iter().filter(|name| asset(name).is_none()).count(), 0, "{asked:?}");
        assert_eq!(asked.len(), FILES.len() - 1, "{asked:?}");
    }

    #[test]
    fn nothing_that_a_report_says_is_markup() {
        let name = "</script><script>alert(1)</script><!--{{scripts}}";
        let page = report(&serde_json::json!({ "name": name }).to_string());
        assert!(!page.contains("alert(1)</"), "{page}");
        assert_eq!(page.matches("<script").count(), 2);
        let data = page.split("id=\"data\">").nth(1).and_then(|rest| rest.split("</script>").next());
        let data: serde_json::Value = serde_json::from_str(data.expect("data")).expect("JSON");
        assert_eq!(data["name"], name);
    }
}
