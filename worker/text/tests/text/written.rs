//! What is written, as text and read again, and how documents are cut.

use proptest::prelude::*;
use reel_text::{
    Align, Colour, Cue, Document, Format, Line, Place, Span, Style, Vertical, clip, imsc1, read, segments,
    webvtt,
};

use crate::shown;

fn cue(start_ms: u64, end_ms: u64, text: &str) -> Cue {
    let span = Span { text: text.to_owned(), style: Style::default() };
    Cue { start_ms, end_ms, lines: vec![Line { spans: vec![span] }], place: Place::default() }
}

/// Two cues that use all of the model.
fn rich() -> Vec<Cue> {
    let style = Style { italic: true, bold: true, underline: true, colour: Some(Colour::Yellow) };
    let spans = vec![
        Span { text: "<Q> & \"A\" --> ".to_owned(), style: Style::default() },
        Span { text: "loud".to_owned(), style },
    ];
    let place = Place { vertical: Vertical::Percent(25), align: Align::Left, anchor_percent: Some(30) };
    let first = Cue { start_ms: 3_661_001, end_ms: 3_662_500, lines: vec![Line { spans }], place };
    let mut second = cue(3_663_000, 3_664_000, "NOTE");
    second.lines.push(cue(0, 0, "second line").lines.remove(0));
    vec![first, second]
}

#[test]
fn webvtt_is_a_file_or_a_segment() {
    insta::assert_snapshot!(webvtt(&rich(), None), @r#"
    WEBVTT

    01:01:01.001 --> 01:01:02.500 line:25% position:30% align:left
    &lt;Q&gt; &amp; "A" --&gt; <c.yellow><b><i><u>loud</u></i></b></c>

    01:01:03.000 --> 01:01:04.000
    NOTE
    second line
    "#);
    insta::assert_snapshot!(webvtt(&rich()[1..], Some((1 << 33) + 900_000)), @r"
    WEBVTT
    X-TIMESTAMP-MAP=MPEGTS:900000,LOCAL:00:00:00.000

    01:01:03.000 --> 01:01:04.000
    NOTE
    second line
    ");
    assert_eq!(webvtt(&[], Some(0)), "WEBVTT\nX-TIMESTAMP-MAP=MPEGTS:0,LOCAL:00:00:00.000\n");
    assert_eq!(webvtt(&[cue(5, 5, "x"), cue(5, 6, " ")], None), "WEBVTT\n");
}

#[test]
fn imsc1_is_a_document_with_a_region_for_each_place() {
    insta::assert_snapshot!(imsc1(&rich(), "pt-BR"), @r##"
    <?xml version="1.0" encoding="UTF-8"?>
    <tt xmlns="http://www.w3.org/ns/ttml" xmlns:ttp="http://www.w3.org/ns/ttml#parameter" xmlns:tts="http://www.w3.org/ns/ttml#styling" ttp:profile="http://www.w3.org/ns/ttml/profile/imsc1/text" ttp:contentProfiles="http://www.w3.org/ns/ttml/profile/imsc1.1/text" ttp:timeBase="media" ttp:cellResolution="32 15" xml:space="preserve" xml:lang="pt-BR">
     <head>
      <styling>
       <style xml:id="p" tts:fontFamily="proportionalSansSerif" tts:fontSize="80%" tts:lineHeight="125%"/>
       <style xml:id="s" tts:color="#ffffff" tts:backgroundColor="#000000cc"/>
      </styling>
      <layout>
       <region xml:id="r0" tts:origin="30% 25%" tts:extent="70% 75%" tts:displayAlign="before" tts:textAlign="left" tts:overflow="visible"/>
       <region xml:id="r1" tts:origin="10% 10%" tts:extent="80% 80%" tts:displayAlign="after" tts:textAlign="center" tts:overflow="visible"/>
      </layout>
     </head>
     <body>
      <div>
       <p region="r0" style="p" begin="01:01:01.001" end="01:01:02.500"><span style="s">&lt;Q&gt; &amp; &quot;A&quot; --&gt; </span><span style="s" tts:color="yellow" tts:fontWeight="bold" tts:fontStyle="italic" tts:textDecoration="underline">loud</span></p>
       <p region="r1" style="p" begin="01:01:03.000" end="01:01:04.000"><span style="s">NOTE</span><br/><span style="s">second line</span></p>
      </div>
     </body>
    </tt>
    "##);
    let empty = imsc1(&[cue(5, 5, "x")], "en\"");
    assert!(empty.contains("xml:lang=\"en&quot;\"") && empty.contains("<div>\n  </div>"), "{empty}");
}

#[test]
fn a_cue_is_in_every_segment_that_it_touches() {
    let cues = vec![cue(0, 5000, "a"), cue(1500, 2000, "b"), cue(2000, 3000, "c"), cue(9000, 9500, "past")];
    let document = Document { cues, ..Document::default() };
    let all: Vec<_> = segments(&document, &[2000, 4000, 6000, 8000]).collect();
    let own: Vec<Vec<String>> = all.iter().map(|segment| shown::cues(&segment.cues)).collect();
    let empty: [&str; 0] = [];
    assert_eq!(own[0], ["0-5000: a", "1500-2000: b"]);
    assert_eq!(own[1], ["0-5000: a", "2000-3000: c"]);
    assert_eq!(own[2], ["0-5000: a"]);
    assert_eq!(own[3], empty);
    let clipped: Vec<Vec<String>> = all.iter().map(|segment| shown::cues(&segment.clipped())).collect();
    assert_eq!(clipped[1], ["2000-3000: c", "2000-4000: a"]);
    assert_eq!(clipped[2], ["4000-5000: a"]);
}

#[test]
fn a_document_is_cut_to_the_part_of_the_title() {
    let cues = vec![cue(1000, 2000, "a"), cue(1500, 4000, "b"), cue(3500, 9000, "c"), cue(9000, 9500, "d")];
    let document = Document { cues, language: Some("en".to_owned()), skipped: 3, ..Document::default() };
    let check = |origin_ms, duration_ms, expect: &[&str]| {
        let cut = clip(document.clone(), origin_ms, duration_ms);
        assert_eq!(
            (shown::cues(&cut.cues), cut.skipped),
            (expect.iter().map(|s| (*s).to_owned()).collect(), 3)
        );
    };
    check(2000, 4000, &["0-2000: b", "1500-4000: c"]);
    check(-500, 2500, &["1500-2500: a", "2000-2500: b"]);
    check(3600, 10_000, &["0-400: b", "0-5400: c", "5400-5900: d"]);
    check(i64::MAX, 1000, &[]);
}

fn style() -> impl Strategy<Value = Style> {
    let colour = proptest::option::of(proptest::sample::select(Colour::ALL.to_vec()));
    (any::<[bool; 3]>(), colour).prop_map(|([italic, bold, underline], colour)| Style {
        italic,
        bold,
        underline,
        colour,
    })
}

fn line() -> impl Strategy<Value = Line> {
    let span = (".{0,12}|[<>&\"'; a-z/-]{1,8}", style()).prop_map(|(text, style)| Span { text, style });
    proptest::collection::vec(span, 0..4).prop_map(|spans| Line { spans })
}

fn place() -> impl Strategy<Value = Place> {
    let vertical = prop_oneof![
        Just(Vertical::Top),
        Just(Vertical::Middle),
        Just(Vertical::Bottom),
        any::<u8>().prop_map(Vertical::Percent)
    ];
    let aligns = vec![Align::Start, Align::Centre, Align::End, Align::Left, Align::Right];
    (vertical, proptest::sample::select(aligns), any::<Option<u8>>())
        .prop_map(|(vertical, align, anchor_percent)| Place { vertical, align, anchor_percent })
}

fn document() -> impl Strategy<Value = Vec<Cue>> {
    let cue = (0u64..400_000_000, 1u64..100_000, proptest::collection::vec(line(), 0..4), place());
    let cues = proptest::collection::vec(cue, 0..6);
    cues.prop_map(|cues| {
        let cue = |(start_ms, len, lines, place)| Cue { start_ms, end_ms: start_ms + len, lines, place };
        cues.into_iter().map(cue).collect()
    })
}

/// The plain lines of a cue, as any format can hold them.
fn plain(cue: &Cue) -> (u64, u64, Vec<String>) {
    let allowed = |c: &char| !c.is_control() && !"\u{fffe}\u{ffff}\u{2028}\u{2029}".contains(*c);
    let text =
        |line: &Line| -> String { line.spans.iter().map(|span| span.text.replace('\t', " ")).collect() };
    let lines =
        cue.lines.iter().map(|line| text(line).chars().filter(allowed).collect::<String>().trim().to_owned());
    (cue.start_ms, cue.end_ms, lines.filter(|line| !line.is_empty()).collect())
}

proptest! {
    #[test]
    fn what_is_written_means_the_same_when_it_is_read(cues in document()) {
        let mut expected: Vec<_> = cues.iter().map(plain).filter(|(_, _, lines)| !lines.is_empty()).collect();
        expected.sort_by_key(|(start_ms, end_ms, _)| (*start_ms, *end_ms));
        let vtt = read(Format::WebVtt, webvtt(&cues, Some(7)).as_bytes()).map(|read| read.cues).unwrap_or_default();
        let imsc = read(Format::Ttml, imsc1(&cues, "en").as_bytes()).map(|read| read.cues).unwrap_or_default();
        prop_assert_eq!(vtt.iter().map(plain).collect::<Vec<_>>(), expected);
        // Styles and places are told in two languages, and mean one thing.
        prop_assert_eq!(&vtt, &imsc);
    }
}
