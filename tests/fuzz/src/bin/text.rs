//! Subtitles and captions in every format, and bytes of CEA-608.

#![no_main]

use libfuzzer_sys::fuzz_target;
use reel_text::cea608::{Cea608, Channel};
use reel_text::{Format, imsc1, read, segments, webvtt};

fuzz_target!(|bytes: &[u8]| {
    for format in [Format::Srt, Format::WebVtt, Format::Ttml, Format::Scc] {
        let Ok(document) = read(format, bytes) else { continue };
        for segment in segments(&document, &[1_000, 60_000]) {
            webvtt(&segment.cues, Some(0));
            imsc1(&segment.clipped(), "en");
        }
    }
    Format::detect(bytes, None);
    let mut captions = Cea608::new(Channel::Cc1);
    for (frame, pair) in (0..).zip(bytes.as_chunks().0) {
        captions.push(frame * 33, *pair);
    }
    captions.finish();
});
