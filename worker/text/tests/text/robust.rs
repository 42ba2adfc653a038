//! Random bytes and damaged files: an error or a document that keeps its promises, never a panic.

use proptest::prelude::*;
use reel_text::cea608::{Cea608, Channel};
use reel_text::{Format, clip, imsc1, read, segments, webvtt};

const FORMATS: [Format; 4] = [Format::Srt, Format::WebVtt, Format::Ttml, Format::Scc];

/// Files that use much of their format.
const FILES: [&str; 4] = [
    "1\n00:00:01,000 --> 00:00:02,000\n{\\an8}<i>a</i> <font color=\"red\">b</font> &amp; &#65;\n\n2\n00:00:03,000 --> 00:00:04,000\nc\n",
    "WEBVTT\n\nSTYLE\nx\n\nid\n00:01.000 --> 00:02.000 line:10%,end position:20%,line-left align:left\n<v A>a <c.red>b</c> &lt;\n",
    "<tt xmlns='http://www.w3.org/ns/ttml' xml:lang='en' ttp:frameRate='24' ttp:frameRateMultiplier='1000 1001' ttp:tickRate='100'>\
     <head><style xml:id='s' tts:color='red'/><region xml:id='r' tts:origin='10% 8c' tts:extent='80% 10%' tts:displayAlign='after'/></head>\
     <body begin='1h'><p region='r' style='s' begin='00:00:01:12' dur='150t'>a<br/><span begin='0.5s' tts:fontStyle='italic'>b &amp; &#65;</span></p></body></tt>",
    "Scenarist_SCC V1.0\n\n00:00:01;00\t9420 9420 9470 9470 97a2 c8e9 91b0 9221 9421 9424 942f 942f\n\n00:00:03:00\t942c 9425 94ad c1c2 94d0\n",
];

/// Reads, and uses all that was read.
fn survive(format: Format, bytes: &[u8]) {
    let _ = Format::detect(bytes, Some("srt"));
    let Ok(document) = read(format, bytes) else {
        return;
    };
    assert!(!document.cues.is_empty() && document.cues.is_sorted_by_key(|cue| (cue.start_ms, cue.end_ms)));
    assert!(document.cues.iter().all(|cue| cue.start_ms < cue.end_ms && !cue.lines.is_empty()));
    let last_ms = document.cues[0].end_ms;
    assert!(segments(&document, &[last_ms / 2, last_ms]).any(|segment| !segment.cues.is_empty()));
    for (format, text) in
        [(Format::WebVtt, webvtt(&document.cues, None)), (Format::Ttml, imsc1(&document.cues, "en"))]
    {
        assert_eq!(
            read(format, text.as_bytes()).map(|again| again.cues),
            Ok(document.cues.clone()),
            "{text}"
        );
    }
    let _ = clip(document, i64::MIN, u64::MAX);
}

/// A piece of a file is cut out, written twice, or overwritten.
fn damaged(file: &str, edits: &[(usize, usize, u8, Vec<u8>)]) -> Vec<u8> {
    let mut bytes = file.as_bytes().to_vec();
    for (at, len, kind, new) in edits {
        let from = at % (bytes.len() + 1);
        let to = (from + len).min(bytes.len());
        let piece = bytes[from..to].to_vec();
        match kind % 3 {
            0 => drop(bytes.drain(from..to)),
            1 => drop(bytes.splice(from..from, piece)),
            _ => drop(bytes.splice(from..to, new.iter().copied())),
        }
    }
    bytes
}

proptest! {
    #[test]
    fn random_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400), tail in "[0-9:,.\\->< \na-z&;{}/=\"%]{0,200}") {
        for (format, head) in FORMATS.into_iter().zip(["", "WEBVTT\n\n", "<tt><p begin='1s' ", "Scenarist_SCC V1.0\n"]) {
            survive(format, &bytes);
            survive(format, &[head.as_bytes(), &bytes].concat());
            survive(format, &[head.as_bytes(), tail.as_bytes()].concat());
        }
    }

    #[test]
    fn damaged_files_never_panic(edits in proptest::collection::vec((any::<usize>(), 0..20usize, any::<u8>(), proptest::collection::vec(any::<u8>(), 0..4)), 1..6)) {
        for (format, file) in FORMATS.into_iter().zip(FILES) {
            survive(format, &damaged(file, &edits));
        }
    }

    #[test]
    fn any_pairs_of_captions_give_ordered_cues(pairs in proptest::collection::vec((0u64..5000, prop_oneof![Just(0x94u8), Just(0x13), any::<u8>()], any::<u8>()), 0..300)) {
        for channel in [Channel::Cc1, Channel::Cc2, Channel::Cc3, Channel::Cc4] {
            let mut decoder = Cea608::new(channel);
            let mut now_ms = 0;
            for (step_ms, first, second) in &pairs {
                now_ms += step_ms;
                decoder.push(now_ms, [*first, *second]);
            }
            let cues = decoder.finish();
            prop_assert!(cues.is_sorted_by_key(|cue| cue.start_ms) && cues.iter().all(|cue| cue.start_ms < cue.end_ms));
        }
    }
}

#[test]
fn whole_files_are_read() {
    for (format, file) in FORMATS.into_iter().zip(FILES) {
        assert!(read(format, file.as_bytes()).is_ok(), "{format:?}");
        survive(format, file.as_bytes());
    }
}
