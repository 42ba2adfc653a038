//! An edit decision list as it is typed into a TOML file.

use std::collections::BTreeMap;
use std::path::Path;

use reel_common::{Edit, EditEvent, EditOverlay, EditSource, EditTime};
use serde::Deserialize;

use crate::exit::Stop;
use crate::input::{Input, local_path};

/// Longest file: a thousand events are far shorter.
const MAX_FILE_BYTES: u64 = 1 << 20;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct EditFile {
    /// Mezzanines beside the job's own, by name.
    #[serde(default)]
    sources: BTreeMap<String, String>,
    /// Without one the mezzanine is shown as it is.
    #[serde(default)]
    event: Vec<Event>,
    /// Logos.
    #[serde(default)]
    overlay: Vec<Overlay>,
}

/// Places and sizes are shares of the picture, from 0 to 1.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Overlay {
    image: String,
    r#in: Option<Time>,
    out: Option<Time>,
    x: f64,
    y: f64,
    width: f64,
    #[serde(default = "whole")]
    opacity: f64,
}

fn whole() -> f64 {
    1.0
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Event {
    source: Option<String>,
    r#in: Option<Time>,
    out: Option<Time>,
}

/// A frame's number may be written without quotes.
#[derive(Deserialize)]
#[serde(untagged, expecting = "give a frame's number from 0, or a time in quotes such as \"01:00:10:00\"")]
enum Time {
    Frame(u64),
    Text(String),
}

impl Time {
    fn read(self) -> Result<EditTime, String> {
        match self {
            Time::Frame(frame) => Ok(EditTime::Frame(frame)),
            Time::Text(text) => text.parse().map_err(|error: reel_common::EditError| error.to_string()),
        }
    }
}

/// Reads an edit decision list, and looks at its sources. Their paths are relative to the folder of the file.
pub(crate) fn read(path: &Path) -> Result<Edit, Stop> {
    let shown = path.display();
    let unreadable = |error: std::io::Error| Stop::usage(format!("cannot read {shown}: {error}"));
    let length = std::fs::metadata(path).map_err(unreadable)?.len();
    if length > MAX_FILE_BYTES {
        return Err(Stop::usage(format!("{shown} has {length} bytes, at most {MAX_FILE_BYTES} are read")));
    }
    let text = std::fs::read_to_string(path).map_err(unreadable)?;
    let mut edit = parse(&text).map_err(|reason| Stop::usage(format!("{shown}: {reason}")))?;
    let folder = path.parent().unwrap_or(Path::new(""));
    let look = |typed: &str| {
        let location = match local_path(typed) {
            Some(place) => folder.join(place).to_string_lossy().into_owned(),
            None => typed.to_owned(),
        };
        Input::open(&location).map(|input| (input.location, Some(input.identity)))
    };
    for source in &mut edit.sources {
        (source.location, source.identity) = look(&source.location)?;
    }
    for overlay in &mut edit.overlays {
        (overlay.location, overlay.identity) = look(&overlay.location)?;
    }
    Ok(edit)
}

fn parse(text: &str) -> Result<Edit, String> {
    let file: EditFile = toml::from_str(text).map_err(|error| error.to_string().trim_end().to_owned())?;
    let sources: Vec<EditSource> = file
        .sources
        .into_iter()
        .map(|(name, location)| EditSource { name, location, identity: None })
        .collect();
    let mut events = Vec::with_capacity(file.event.len());
    for (number, event) in (1..).zip(file.event) {
        let wrong = |reason: String| format!("event {number}: {reason}");
        let name = event.source.as_deref().unwrap_or(Edit::MEZZANINE);
        let at = sources.iter().position(|source| source.name == name).map(|at| at as u32 + 1);
        let source = at.or((name == Edit::MEZZANINE).then_some(0));
        let read = |time: Option<Time>| time.map(Time::read).transpose().map_err(wrong);
        events.push(EditEvent {
            source: source
                .ok_or_else(|| wrong(format!("no source is called `{name}`: list it in [sources]")))?,
            start: read(event.r#in)?,
            end: read(event.out)?,
        });
    }
    if events.is_empty() && !file.overlay.is_empty() {
        events.push(EditEvent::default());
    }
    let mut overlays = Vec::with_capacity(file.overlay.len());
    for (number, overlay) in (1..).zip(file.overlay) {
        let wrong = |reason: String| format!("overlay {number}: {reason}");
        let read = |time: Option<Time>| time.map(Time::read).transpose().map_err(wrong);
        let ppm = |share: f64| (share * 1e6).round();
        let [x_ppm, y_ppm, width_ppm, opacity_ppm] = [overlay.x, overlay.y, overlay.width, overlay.opacity]
            .map(|share| match ppm(share) {
                ppm @ 0.0..=1e6 => ppm as u32,
                // What is refused below.
                _ => u32::MAX,
            });
        let (location, identity) = (overlay.image, None);
        let (start, end) = (read(overlay.r#in)?, read(overlay.out)?);
        overlays.push(EditOverlay { location, identity, start, end, x_ppm, y_ppm, width_ppm, opacity_ppm });
    }
    let edit = Edit { sources, events, overlays };
    edit.check().map(|()| edit).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_edit_is_read_as_it_is_typed() {
        let edit = parse(
            "[sources]\nslate = \"slate.mov\"\nbumper = \"s3://a/b.mov\"\n[[event]]\nsource = \"slate\"\nout = 48\n[[event]]\n\
             in = \"01:00:10:00\"\n[[event]]\nsource = \"bumper\"\n",
        );
        let edit = edit.unwrap();
        let names: Vec<&str> = edit.events.iter().map(|event| edit.source_name(event.source)).collect();
        assert_eq!(names, ["slate", "mezzanine", "bumper"]);
        assert_eq!(edit.events[0].end, Some(EditTime::Frame(48)));
        assert_eq!(edit.events[1].start.unwrap().to_string(), "01:00:10:00");
    }

    #[test]
    fn what_is_no_edit_is_refused_with_its_event() {
        let refused = |text: &str| parse(text).unwrap_err();
        insta::assert_snapshot!(
            [
                refused(""),
                refused("[[event]]\nsource = \"slate\""),
                refused("[[event]]\nin = \"10:00\""),
                refused("[sources]\na = \"x.mov\"\n[[event]]"),
                refused("[[event]]\nfrom = 1"),
                refused("[[overlay]]\nimage = \"a.png\"\nx = 0.9\ny = 0\nwidth = 0.2"),
                refused("[[overlay]]\nimage = \"a.png\"\nx = 0\ny = -1\nwidth = 0.2"),
            ]
            .join("\n")
        );
    }
}
