//! Subtitles and captions in every format, and the bytes of those in pictures.

#![no_main]

use libfuzzer_sys::fuzz_target;
use reel_text::cea608::{Cea608, Channel};
use reel_text::cea708::Cea708;
use reel_text::{Format, Sieve, channels, imsc1, read, segments, webvtt};

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
    let (triplets, _) = bytes.as_chunks();
    let mut digital = Cea708::new(1);
    for (frame, triplet) in (0..).zip(triplets) {
        digital.push(frame * 33, *triplet);
    }
    digital.finish();
    let mut sieve = Sieve::default();
    let kept: Vec<_> = triplets.chunks(20).map(|picture| sieve.sift(picture)).collect();
    channels((0..).step_by(33).zip(&kept).map(|(time_ms, triplets)| (time_ms, triplets.as_slice())));
});
