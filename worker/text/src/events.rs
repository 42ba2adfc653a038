//! Texts that a demuxer gives one by one: events in the markup of SubStation Alpha, and pairs of CEA-608.

use crate::cea608::{Cea608, Channel};
use crate::document::Collector;
use crate::markup::{self, Dialect};
use crate::timecode::frame_ms;
use crate::{Cue, Document, TextError};

/// Text with its times.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// When it appears, in milliseconds.
    pub start_ms: u64,
    /// When it goes, likewise.
    pub end_ms: u64,
    /// In the markup of SubStation Alpha: `\\N` breaks a line, braces hold overrides.
    pub text: String,
}

/// A document of events, in any order.
///
/// # Errors
/// Events beyond a limit, or none that can be shown.
pub fn from_events(events: impl IntoIterator<Item = Event>) -> Result<Document, TextError> {
    let mut found = Collector::default();
    for (number, Event { start_ms, end_ms, text }) in (1..).zip(events) {
        TextError::check_cue_bytes(text.len(), number)?;
        let text = text.replace("\\n", "\n");
        let (lines, place) = markup::parse(&text, Dialect::SubRip);
        found.add(Cue { start_ms, end_ms, lines, place: place.unwrap_or_default() }, number)?;
    }
    found.finish()
}

/// A document of the first channel of CEA-608: pairs in the order of sending, each run with the time of its first, in
/// milliseconds. What follows in a run is sent a frame of 1001/30 ms later each.
///
/// # Errors
/// Captions beyond a limit, or none.
pub fn from_pairs<'a>(runs: impl IntoIterator<Item = (u64, &'a [[u8; 2]])>) -> Result<Document, TextError> {
    let mut decoder = Cea608::new(Channel::Cc1);
    for (time_ms, pairs) in runs {
        for (frame, pair) in (0..).zip(pairs) {
            decoder.push(time_ms + frame_ms(frame), *pair);
        }
    }
    let mut found = Collector::default();
    (1..).zip(decoder.finish()).try_for_each(|(number, cue)| found.add(cue, number))?;
    found.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_have_their_lines_styles_and_places() {
        let event = |start_ms, text: &str| Event { start_ms, end_ms: start_ms + 500, text: text.to_owned() };
        let events = [event(900, "plain\\h&"), event(100, "{\\an8}{\\i1}one{\\i0}\\Ntwo")];
        let text = crate::webvtt(&from_events(events).unwrap().cues, None);
        let expected = "WEBVTT\n\n00:00:00.100 --> 00:00:00.600 line:0\n<i>one</i>\ntwo\n\n\
                        00:00:00.900 --> 00:00:01.400\nplain\u{a0}&amp;\n";
        assert_eq!(text, expected);
        let text = crate::webvtt(
            &from_events([event(0, "{\\i1}it{\\r} \\{is\\}{\\p1}m 0 0 l 1 1{\\p0}")]).unwrap().cues,
            None,
        );
        assert_eq!(text, "WEBVTT\n\n00:00:00.000 --> 00:00:00.500\n<i>it</i> {is}\n");
        assert_eq!(from_events([]), Err(TextError::Empty { skipped: 0 }));
    }
}
