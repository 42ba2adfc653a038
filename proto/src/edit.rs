//! Conversions of edit decision lists.

use reel_common as common;

use crate::convert::Malformed;
use crate::v1;

impl From<common::Edit> for v1::Edit {
    fn from(value: common::Edit) -> Self {
        let source = |source: common::EditSource| v1::EditSource {
            name: source.name,
            location: source.location,
            identity: source.identity.map(Into::into),
        };
        let typed = |time: Option<common::EditTime>| time.map_or_else(String::new, |time| time.to_string());
        let event = |event: common::EditEvent| v1::EditEvent {
            source: event.source,
            start: typed(event.start),
            end: typed(event.end),
        };
        let overlay = |overlay: common::EditOverlay| v1::EditOverlay {
            location: overlay.location,
            identity: overlay.identity.map(Into::into),
            start: typed(overlay.start),
            end: typed(overlay.end),
            x_ppm: overlay.x_ppm,
            y_ppm: overlay.y_ppm,
            width_ppm: overlay.width_ppm,
            opacity_ppm: overlay.opacity_ppm,
        };
        v1::Edit {
            sources: value.sources.into_iter().map(source).collect(),
            events: value.events.into_iter().map(event).collect(),
            overlays: value.overlays.into_iter().map(overlay).collect(),
        }
    }
}

impl TryFrom<v1::Edit> for common::Edit {
    type Error = Malformed;

    fn try_from(value: v1::Edit) -> Result<Self, Malformed> {
        let source = |source: v1::EditSource| common::EditSource {
            name: source.name,
            location: source.location,
            identity: source.identity.map(Into::into),
        };
        let time = |typed: String| match typed.as_str() {
            "" => Ok(None),
            typed => typed.parse().map(Some).map_err(|_| Malformed("time of an edit")),
        };
        let event = |event: v1::EditEvent| {
            let (start, end) = (time(event.start)?, time(event.end)?);
            Ok(common::EditEvent { source: event.source, start, end })
        };
        let overlay = |overlay: v1::EditOverlay| {
            let (start, end) = (time(overlay.start)?, time(overlay.end)?);
            Ok(common::EditOverlay {
                location: overlay.location,
                identity: overlay.identity.map(Into::into),
                start,
                end,
                x_ppm: overlay.x_ppm,
                y_ppm: overlay.y_ppm,
                width_ppm: overlay.width_ppm,
                opacity_ppm: overlay.opacity_ppm,
            })
        };
        Ok(common::Edit {
            sources: value.sources.into_iter().map(source).collect(),
            events: value.events.into_iter().map(event).collect::<Result<_, _>>()?,
            overlays: value.overlays.into_iter().map(overlay).collect::<Result<_, _>>()?,
        })
    }
}

impl From<common::SourceSpan> for v1::SourceSpan {
    fn from(value: common::SourceSpan) -> Self {
        v1::SourceSpan { source: value.source, start: value.start, end: value.end }
    }
}

impl TryFrom<v1::SourceSpan> for common::SourceSpan {
    type Error = Malformed;

    fn try_from(value: v1::SourceSpan) -> Result<Self, Malformed> {
        let v1::SourceSpan { source, start, end } = value;
        match start < end {
            true => Ok(common::SourceSpan { source, start, end }),
            false => Err(Malformed("span of a source")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_edit_survives_the_wire() {
        let edit = common::Edit {
            sources: vec![common::EditSource {
                name: "slate".to_owned(),
                location: "s3://bucket/slate.mov".to_owned(),
                identity: Some(common::SourceIdentity { size: 9, ..Default::default() }),
            }],
            events: vec![
                common::EditEvent { source: 1, start: None, end: Some("00:00:05:00".parse().unwrap()) },
                common::EditEvent { source: 0, start: Some("01:00:00;02".parse().unwrap()), end: None },
                common::EditEvent { source: 0, start: Some("17".parse().unwrap()), end: None },
            ],
            overlays: vec![common::EditOverlay {
                location: "/srv/logo.png".to_owned(),
                identity: None,
                start: Some("48".parse().unwrap()),
                end: None,
                x_ppm: 1,
                y_ppm: 2,
                width_ppm: 3,
                opacity_ppm: 4,
            }],
        };
        assert_eq!(common::Edit::try_from(v1::Edit::from(edit.clone())), Ok(edit));
        let unreadable = v1::EditEvent { start: "soon".to_owned(), ..Default::default() };
        let unreadable = v1::Edit { events: vec![unreadable], ..Default::default() };
        assert_eq!(common::Edit::try_from(unreadable), Err(Malformed("time of an edit")));
        let nothing = v1::SourceSpan { source: 0, start: 4, end: 4 };
        assert_eq!(common::SourceSpan::try_from(nothing), Err(Malformed("span of a source")));
    }
}
