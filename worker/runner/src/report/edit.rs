//! What the report says of an edit.

use reel_common::{Digest, Edit, Rational};
use reel_proto::v1;
use serde::Serialize;

/// What an edited title is made of.
#[derive(Serialize)]
pub(super) struct Edited<'a> {
    /// Frames a second of the title as a fraction.
    frame_rate: String,
    /// The mezzanines beside the job's own.
    sources: Vec<Beside<'a>>,
    /// As the job asks for them.
    asked: Vec<Asked<'a>>,
    /// In the order of the title; events that go on from one another are one.
    events: Vec<Event<'a>>,
    /// Logos.
    overlays: Vec<Logo<'a>>,
}

/// Over frames `[in, out)` of the title; the rest are shares of the picture.
#[derive(Serialize)]
struct Logo<'a> {
    url: &'a str,
    /// Of its file.
    sha256: Digest,
    r#in: u64,
    out: u64,
    x: f64,
    y: f64,
    width: f64,
    opacity: f64,
}

#[derive(Serialize)]
struct Beside<'a> {
    name: &'a str,
    url: &'a str,
    bytes: Option<u64>,
    modified_us: Option<i64>,
    etag: Option<&'a str>,
    container: &'a str,
    codec: &'a str,
    width: u32,
    height: u32,
}

/// Times as they were typed; `null` is the beginning or the end of the source.
#[derive(Serialize)]
struct Asked<'a> {
    source: &'a str,
    r#in: Option<&'a str>,
    out: Option<&'a str>,
}

/// Frames `[in, out)` of a source, at the title's frame rate.
#[derive(Serialize)]
struct Event<'a> {
    source: &'a str,
    r#in: u64,
    out: u64,
    /// The title's frame that is its first.
    first_frame: u64,
    start_s: f64,
}

impl<'a> Edited<'a> {
    /// Of the index of a title; `None` where the title is its mezzanine as it is.
    pub(super) fn of(index: &'a v1::Index) -> Option<Self> {
        let edit = index.edit.as_ref()?;
        let asked = edit.edit.as_ref();
        let names: Vec<&str> =
            asked.iter().flat_map(|edit| &edit.sources).map(|source| source.name.as_str()).collect();
        let name = |source: u32| {
            (source as usize)
                .checked_sub(1)
                .map_or(Edit::MEZZANINE, |at| names.get(at).copied().unwrap_or(""))
        };
        let typed = |time: &'a String| Some(time.as_str()).filter(|time| !time.is_empty());
        let ask = |event: &'a v1::EditEvent| Asked {
            source: name(event.source),
            r#in: typed(&event.start),
            out: typed(&event.end),
        };
        let rate = edit.rate.and_then(|rate| Rational::try_from(rate).ok()).unwrap_or(Rational::ZERO);
        let mut first_frame = 0;
        let event = |span: &v1::SourceSpan| {
            let event = Event {
                source: name(span.source),
                r#in: span.start,
                out: span.end,
                first_frame,
                start_s: first_frame as f64 / rate.to_f64(),
            };
            first_frame += span.end.saturating_sub(span.start);
            event
        };
        let events = edit.spans.iter().map(event).collect();
        let sources = edit.sources.iter().zip(&names).map(|(source, name)| beside(source, name)).collect();
        let events_asked = asked.iter().flat_map(|edit| &edit.events).map(ask).collect();
        let asked = asked.map_or(&[][..], |edit| &edit.overlays);
        let overlays =
            edit.overlays.iter().zip(asked).map(|(logo, asked)| overlay(logo, &asked.location)).collect();
        Some(Edited { frame_rate: rate.to_string(), sources, asked: events_asked, events, overlays })
    }
}

fn overlay<'a>(logo: &v1::IndexedOverlay, url: &'a str) -> Logo<'a> {
    let share = |ppm: u32| f64::from(ppm) / 1e6;
    Logo {
        url,
        sha256: Digest::of(&logo.png),
        r#in: logo.start,
        out: logo.end,
        x: share(logo.x_ppm),
        y: share(logo.y_ppm),
        width: share(logo.width_ppm),
        opacity: share(logo.opacity_ppm),
    }
}

fn beside<'a>(source: &'a v1::EditedSource, name: &'a str) -> Beside<'a> {
    let index = source.index.as_ref();
    let identity = index.and_then(|index| index.identity.as_ref());
    let facts = index.and_then(|index| index.video.as_ref()?.facts.as_ref());
    Beside {
        name,
        url: &source.location,
        bytes: identity.map(|identity| identity.size),
        modified_us: identity.and_then(|identity| identity.modified_us),
        etag: identity.and_then(|identity| identity.etag.as_deref()),
        container: index.map_or("", |index| &index.container),
        codec: facts.map_or("", |facts| &facts.codec),
        width: facts.map_or(0, |facts| facts.width),
        height: facts.map_or(0, |facts| facts.height),
    }
}
