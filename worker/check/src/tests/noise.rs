//! Whatever stands in a file, the judgement comes to an end and nothing panics.

use proptest::prelude::*;

use super::judged;
use super::made::{CBCS, Files, RIGHT, Recipe, made};

/// A right package with one file changed.
fn files() -> impl Strategy<Value = (Files, usize)> {
    let right = made(RIGHT);
    let encrypted = made(Recipe { scheme: Some(CBCS), ..RIGHT });
    let streamed = made(Recipe { ts: true, ..RIGHT });
    let count = right.len();
    (prop_oneof![Just(right), Just(encrypted), Just(streamed)], 0..count)
}

/// A package of one manifest whose Representations all have a run of so many segments of a file.
fn repeated(representations: usize, times: u64) -> Files {
    let one: String = (0..representations)
        .map(|number| {
            format!(
                "<Representation id=\"{number}\" bandwidth=\"1\"><SegmentTemplate timescale=\"1\" media=\"x.m4s\">\
                 <SegmentTimeline><S t=\"0\" d=\"1\" r=\"{}\"/></SegmentTimeline></SegmentTemplate></Representation>",
                times - 1
            )
        })
        .collect();
    let text = format!(
        "<MPD xmlns=\"urn:mpeg:dash:schema:mpd:2011\" type=\"static\" profiles=\"x\" minBufferTime=\"PT1S\" \
         mediaPresentationDuration=\"PT{times}S\"><Period><AdaptationSet mimeType=\"text/x\">{one}</AdaptationSet></Period></MPD>"
    );
    Files::from([("m.mpd".to_owned(), text.into_bytes()), ("x.m4s".to_owned(), vec![0; 8])])
}

#[test]
fn of_a_package_without_end_the_beginning_is_judged() {
    let too_many = |files: &Files| judged(files, &[]).iter().any(|one| one.rule == "package-size");
    assert!(!too_many(&repeated(3, 300_000)));
    assert!(too_many(&repeated(4, 300_000)));
    let empty = "#EXTM3U\n#EXT-X-TARGETDURATION:1\n".to_owned() + &"#EXTINF:0.0,\nx.m4s\n".repeat(1_100_000);
    assert!(too_many(&Files::from([("p.m3u8".to_owned(), empty.into_bytes())])));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn files_that_are_cut_off_are_found((mut files, number) in files(), share in 0.0..1.0f64) {
        let path = files.keys().nth(number).unwrap().clone();
        let bytes = files.get_mut(&path).unwrap();
        let keep = (bytes.len() as f64 * share) as usize;
        // A playlist without the line break at its end says the same.
        prop_assume!(bytes[keep..] != *b"\n");
        bytes.truncate(keep);
        let found = judged(&files, &[]);
        prop_assert!(!found.is_empty() || path.ends_with(".jpg") || path.ends_with(".vtt"), "{path} cut at {keep}");
    }

    #[test]
    fn changed_bytes_break_nothing((mut files, number) in files(), changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..20)) {
        let path = files.keys().nth(number).unwrap().clone();
        let bytes = files.get_mut(&path).unwrap();
        // What comes first says most.
        let most = bytes.len().min(1200);
        for (at, byte) in changes {
            let at = at.index(most);
            bytes[at] = byte;
        }
        judged(&files, &[]);
    }

    #[test]
    fn noise_is_judged(noise in prop::collection::vec(any::<u8>(), 0..400), ending in prop::sample::select(vec!["m3u8", "mpd", "mp4", "ts"])) {
        let mut files = Files::new();
        files.insert(format!("x.{ending}"), noise.clone());
        files.insert("p.m3u8".to_owned(), format!("#EXTM3U\n#EXT-X-MAP:URI=\"x.{ending}\"\n#EXTINF:1,\nx.{ending}\n").into_bytes());
        files.insert("y.m3u8".to_owned(), [b"#EXTM3U\n#EXT".as_slice(), &noise].concat());
        judged(&files, &[]);
    }
}
