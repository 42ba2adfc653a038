//! What each reader makes of real-world forms, and what it says of broken ones.

use reel_common::Rational;
use reel_text::{Clock, Format, MAX_BYTES, read};

use crate::shown;

#[track_caller]
fn check(format: Format, input: &str, expect: &[&str]) {
    assert_eq!(shown::file(format, input.as_bytes()), expect, "{input}");
}

#[test]
fn subrip_is_read_as_players_read_it() {
    let check = |input: &str, expect: &[&str]| check(Format::Srt, input, expect);
    check("1\n00:00:01,000 --> 00:00:02,500\nHello\n", &["1000-2500: Hello"]);
    check(
        "\u{feff}1\r\n00:00:01,000 --> 00:00:02,000\r\nA\r\nB\r\n\r\n2\r\n00:00:03.000-->00:00:04.000\r\nC",
        &["1000-2000: A / B", "3000-4000: C"],
    );
    check(
        "00:01,5 --> 0:0:2\nno counter\n\n\n00:00:03,000 --> 00:00:04,000\nnext",
        &["1500-2000: no counter", "3000-4000: next"],
    );
    check(
        "1\n00:00:01,000 --> 00:00:02,000 X1:100 X2:200\n<i>a <b>b</b></i> <U>c</U>",
        &["1000-2000: {i}a {}{b i}b{} {u}c{}"],
    );
    check(
        "1\n00:00:01,000 --> 00:00:02,000\n<font color=\"#FFFF00\">y</font> <font face='x' color=red>r</font> <font color=white>w",
        &["1000-2000: {yellow}y{} {red}r{} w"],
    );
    check(
        "1\n00:00:01,000 --> 00:00:02,000\n{\\an8}Top {\\i1}x{\\i0} {brace}",
        &["1000-2000 top: Top {i}x{} {brace}"],
    );
    check("1\n00:00:01,000 --> 00:00:02,000\n{\\an4}x", &["1000-2000 middle left: x"]);
    check(
        "1\n00:00:01,000 --> 00:00:02,000\nI <3 you & me &lt;i&gt; <unknown> A --> B",
        &["1000-2000: I <3 you & me <i> <unknown> A --> B"],
    );
    check(
        "1\n00:00:01,000 --> 00:00:02,000\nx\n\n1984\n\n2\n00:00:03,000 --> 00:00:04,000\ny",
        &["1000-2000: x / 1984", "3000-4000: y"],
    );
    check(
        "1\n00:00:05,000 --> 00:00:06,000\nlate\n2\n00:00:01,000 --> 00:00:02,000\n<i>two\nlines</i>\n",
        &["1000-2000: {i}two{} / {i}lines{}", "5000-6000: late"],
    );
    check(
        "1\n00:00:02,000 --> 00:00:01,000\nback\n\n2\n00:00:01,000 --> 00:00:02,000\n \n\n3\n00:00:01,000 --> 00:00:02,000\nx",
        &["1000-2000: x", "skipped 2"],
    );
    check(
        "1\n00:00:02,000 --> 00:00:99,000\nx",
        &["line 2: `00:00:02,000 --> 00:00:99,000` is no time that this format knows: correct it"],
    );
    check("", &["it has no cue that can be used, and 0 that cannot"]);
}

#[test]
fn webvtt_is_read_with_its_settings_and_tags() {
    let check = |input: &str, expect: &[&str]| check(Format::WebVtt, &format!("WEBVTT{input}"), expect);
    check(
        " - title\nX-TIMESTAMP-MAP=MPEGTS:900000,LOCAL:00:00:00.000\n\n00:01.000 --> 00:02.000\nHello",
        &["1000-2000: Hello"],
    );
    check(
        "\r\n\r\nNOTE\r\n00\r\n\r\nSTYLE\r\n::cue{}\r\n\r\nREGION\r\nid:x\r\n\r\nid - 1\r\n100:00:01.000 --> 100:00:02.000\r\nx\r\n",
        &["360001000-360002000: x"],
    );
    check("\n\n00:01.000 --> 00:02.000 line:0 align:left position:20%\nx", &["1000-2000 top left at 20%: x"]);
    check(
        "\n\n00:01.000 --> 00:02.000 line:63.5% align:middle position:50%,center size:80%\nx",
        &["1000-2000 64%: x"],
    );
    check("\n\n00:01.000 --> 00:02.000\tline:-1 align:end region:r vertical:rl\nx", &["1000-2000 end: x"]);
    check(
        "\n\n00:01.000 --> 00:02.000 line:50%,center align:right position:80%,line-left\nx",
        &["1000-2000 middle right: x"],
    );
    check("\n\n00:01.000 --> 00:02.000 line:90%,end\nx", &["1000-2000: x"]);
    check(
        "\n\n00:01.000 --> 00:02.000\n<v.loud Ann><c.yellow.bg_blue>a</c> <i.x>b</i> &amp;&lt;&nbsp;&#65;&bogus; <00:01.500>c <lang en>d",
        &["1000-2000: {yellow}a{} {i}b{} &<\u{a0}A&bogus; c d"],
    );
    check("\n\n00:01.000 --> 00:02.000\n<b>x</u> y</b> z <i", &["1000-2000: {b}x y{} z"]);
    check(
        "\n\n00:01.000 --> 00:02.000\nfirst\n00:03.000 --> 00:04.000\nsecond\n",
        &["1000-2000: first", "3000-4000: second"],
    );
    check("\n\n00:01.000 --> 00:01.000\nx\n\n00:03.000 --> 00:04.000\ny", &["3000-4000: y", "skipped 1"]);
    check(
        "\n\nNOTE a --> b\n\n00:01.000 --> 00:02.000\n<ruby>base<rt>note</rt></ruby>!",
        &["1000-2000: base!"],
    );
    check("\n\n1:00 -> 2\nx", &["it has no cue that can be used, and 0 that cannot"]);
    check(
        "\n\n\n00:01.000 --> soon\nx",
        &["line 4: `00:01.000 --> soon` is no time that this format knows: correct it"],
    );
    check("X\n", &["this is not WebVTT: its first line is not the one that the format begins with"]);
}

fn ttml(attributes: &str, head: &str, body: &str) -> String {
    format!(
        "<?xml version=\"1.0\"?>\n<tt:tt xmlns:tt=\"http://www.w3.org/ns/ttml\" xmlns:tts=\"http://www.w3.org/ns/ttml#styling\" \
         xmlns:ttp=\"http://www.w3.org/ns/ttml#parameter\" {attributes}>\n<tt:head>{head}</tt:head>\n{body}\n</tt:tt>"
    )
}

#[test]
fn ttml_times_are_those_of_all_elements_around() {
    let check =
        |attributes, body: &str, expect: &[&str]| check(Format::Ttml, &ttml(attributes, "", body), expect);
    check(
        "",
        "<tt:body begin='10s'><tt:div begin='1s' end='5s'><tt:p begin='1s' end='2s'>a</tt:p><tt:p begin='3s' dur='9s'>b</tt:p></tt:div></tt:body>",
        &["12000-13000: a", "14000-15000: b"],
    );
    check(
        "ttp:frameRate='24' ttp:frameRateMultiplier='1000 1001'",
        "<body><p begin='00:00:01:12' end='00:00:02:00'>a</p></body>",
        &["1501-2000: a"],
    );
    check(
        "",
        "<body><div><p begin='0s' end='3s'>a <span begin='1s'>b</span> <span begin='2s' end='3s'>c</span></p></div></body>",
        &["0-1000: a", "1000-2000: a b", "2000-3000: a b c"],
    );
    check(
        "",
        "<body><p><span begin='1s' end='2s'>a</span><br/><span begin='1s' end='2s'>b</span></p></body>",
        &["1000-2000: a / b"],
    );
    check(
        "",
        "<body><p begin='1s' end='2s'>\n  a\n  b <br/>\n c<span>  d</span></p><p begin='2s'>no end</p><p begin='5s' end='4s'>x</p></body>",
        &["1000-2000: a b / c d", "skipped 2"],
    );
    check(
        "",
        "<body><p xml:space='preserve' begin='1s' end='2s'>a  b\nc &amp; &#x41;<metadata>no</metadata><span tts:ruby='text'>no</span><![CDATA[<]]></p></body>",
        &["1000-2000: a  b / c & A<"],
    );
    check(
        "",
        "<body><p begin='1s' end='2s'>a<span tts:display='none'>b</span></p><p begin='3s' end='4s' tts:visibility='hidden'>c</p></body>",
        &["1000-2000: a"],
    );
}

#[test]
fn a_document_knows_how_its_times_are_written() {
    let clock = |format, text: &str| read(format, text.as_bytes()).unwrap().clock;
    let film =
        "ttp:timeBase='smpte' ttp:frameRate='24' ttp:frameRateMultiplier='1000 1001' ttp:dropMode='nonDrop'";
    let body = "<body><p begin='01:00:05:00' end='01:00:06:00'>a</p></body>";
    let rate = |frames| Rational::new(frames, 1001).unwrap();
    assert_eq!(
        clock(Format::Ttml, &ttml(film, "", body)),
        Clock::Timecode { nominal: 24, rate: rate(24_000), drop: false }
    );
    assert_eq!(clock(Format::Ttml, &ttml("", "", body)), Clock::Real);
    let scc = "Scenarist_SCC V1.0\n\n01:00:01;00\t9420 9420 c8e5 942f 942f\n";
    assert_eq!(clock(Format::Scc, scc), Clock::Timecode { nominal: 30, rate: rate(30_000), drop: true });
}

#[test]
fn timecodes_go_round_at_midnight() {
    let show = |timecode: &str| format!("{timecode}\t94ae 94ae 9420 9420 c8e5 942f 942f\n\n");
    let text = format!("Scenarist_SCC V1.0\n\n{}{}", show("23:59:58:00"), show("00:00:01:00"));
    let document = read(Format::Scc, text.as_bytes()).unwrap();
    let [first, second] = document.cues.as_slice() else { panic!("{:?}", document.cues) };
    assert!(second.start_ms - first.start_ms == 3003, "{first:?} {second:?}");
}

#[test]
fn ttml_styles_and_regions_are_inherited() {
    let head = "<styling><style xml:id='y' tts:color='yellow'/><style xml:id='s' style='y' tts:fontStyle='italic'/></styling>\
        <layout><region xml:id='t' tts:origin='10% 10%' tts:extent='80% 20%' tts:textAlign='center'/>\
        <region xml:id='b' tts:origin='10% 80%' tts:extent='80% 10%'><style tts:displayAlign='after' tts:textAlign='center'/></region>\
        <region xml:id='l' tts:origin='384px 540px' tts:extent='960px 300px' tts:fontWeight='bold'/>\
        <region xml:id='c' tts:origin='8c 3c' tts:extent='16c 9c' tts:displayAlign='center' tts:textAlign='right'/></layout>";
    let check = |body: &str, expect: &[&str]| {
        let body = format!("<body><div>{body}</div></body>");
        check(
            Format::Ttml,
            &ttml("tts:extent='1920px 1080px' ttp:cellResolution='32 15'", head, &body),
            expect,
        );
    };
    check(
        "<p region='t' style='s' begin='1s' end='2s'>a<span tts:fontStyle='normal' tts:textDecoration='underline'>b</span></p>",
        &["1000-2000 top: {i yellow}a{}{u yellow}b{}"],
    );
    check(
        "<p region='b' tts:textAlign='left' tts:color='#ffffff' begin='1s' end='2s'>a</p>",
        &["1000-2000 left: a"],
    );
    check(
        "<p region='l' begin='1s' end='2s'>a<span tts:fontWeight='normal'>b</span></p>",
        &["1000-2000 50% start at 20%: {b}a{}b"],
    );
    check("<p region='c' begin='1s' end='2s'>a</p>", &["1000-2000 middle right at 75%: a"]);
    check("<p region='none' begin='1s' end='2s'>a</p>", &["1000-2000: a"]);
}

#[test]
fn ttml_that_cannot_be_used_is_refused_with_its_line() {
    let check = |input: &str, expect: &str| check(Format::Ttml, input, &[expect]);
    let convert = "cannot be used here: convert the file to text with plain times first";
    let p = "<body><p begin='1s' end='2s'>a</p></body>";
    check("<html/>", "this is not TTML: its first line is not the one that the format begins with");
    check(
        &ttml("ttp:profile='http://www.w3.org/ns/ttml/profile/imsc1/image'", "", p),
        &format!("line 2: subtitles as images (an image profile) {convert}"),
    );
    check(
        &ttml("", "", "<body><div smpte:backgroundImage='#x'/></body>"),
        &format!("line 4: subtitles as images (smpte:backgroundImage) {convert}"),
    );
    check(
        &ttml("", "", "<body timeContainer='seq'/>"),
        &format!("line 4: elements shown one after the other (timeContainer seq) {convert}"),
    );
    check(
        &ttml("ttp:timeBase='clock'", "", p),
        &format!("line 2: times of a wall clock (ttp:timeBase) {convert}"),
    );
    check(
        &ttml("", "", "<body>\n<p begin='soon'/></body>"),
        "line 5: `soon` is no time that this format knows: correct it",
    );
    check(
        &ttml("", "", "<body><p begin='1s' end='2s'>&x;</p></body>"),
        "line 4: broken XML: &x; is none of the five entities of XML: write the character",
    );
    check("<tt>\n<body>", "line 2: broken XML: the file ends within an element: it is cut off");
    check(
        &format!("<tt>{}", "<div>".repeat(70)),
        "line 1: more than 64 elements within one another: split the file",
    );
    let runs = "<span>a</span><b/><span tts:color='red'>b</span>".repeat(200);
    check(
        &ttml("", "", &format!("<body><p begin='1s' end='2s'>{runs}</p></body>")),
        "line 4: more than 256 changes of style or time in a paragraph: split the file",
    );
}

#[test]
fn scenarist_files_go_through_the_decoder_at_the_time_of_each_pair() {
    let check =
        |input: &str, expect: &[&str]| check(Format::Scc, &format!("Scenarist_SCC V1.0\n\n{input}"), expect);
    let hi = "9420 9420 94ae 94ae 9470 9470 c8e9 942f 942f";
    check(&format!("00:00:01:00\t{hi}\n\n00:00:03:00\t942c 942c\n"), &["1235-3003 left: Hi"]);
    check(&format!("00:01:00;02 {hi}\r\n00:01:03;02 942c 942c\r\n"), &["60294-63063 left: Hi"]);
    check(&format!("01:00:00:00 {hi}"), &["3603834-3607834 left: Hi"]);
    check("00:00:01:00 1420 1470 4869 142f\n00:00:02:00 142c", &["1101-2002 left: Hi"]);
    check("00:00:01:00 1c20 1c70 4869 1c2f\n00:00:02:00 1c2c", &["1101-2002 left: Hi"]);
    check("00:00:01 9420", &["line 3: `00:00:01` is no time that this format knows: correct it"]);
    check("00:00:01:00 9420 94z0", &["line 3: `94z0` is no pair of bytes in four hexadecimal digits"]);
    check("00:00:01:00 9420 9420", &["it has no cue that can be used, and 0 that cannot"]);
}

#[test]
fn encodings_are_known_by_their_marks_and_others_are_refused() {
    let text = "1\n00:00:01,000 --> 00:00:02,000\nčeš 𝄞\n";
    let units: Vec<u16> = text.encode_utf16().collect();
    let little: Vec<u8> =
        [0xff, 0xfe].into_iter().chain(units.iter().flat_map(|unit| unit.to_le_bytes())).collect();
    let big: Vec<u8> =
        [0xfe, 0xff].into_iter().chain(units.iter().flat_map(|unit| unit.to_be_bytes())).collect();
    for bytes in [text.as_bytes(), &little, &big] {
        assert_eq!(shown::file(Format::Srt, bytes), ["1000-2000: češ 𝄞"]);
        assert_eq!(Format::detect(bytes, None), Some(Format::Srt));
    }
    let utf8 = "is not UTF-8: save the file as UTF-8, or as UTF-16 with a byte order mark";
    assert_eq!(shown::file(Format::Srt, b"1\n\xe8e\n"), [format!("line 2 {utf8}")]);
    assert_eq!(shown::file(Format::Srt, &little[..little.len() - 1]), [format!("line 3 {utf8}")]);
    assert_eq!(shown::file(Format::Srt, &[0xff, 0xfe, 0x00, 0xd8, 0x41, 0x00]), [format!("line 1 {utf8}")]);
}

#[test]
fn formats_are_known_by_content_before_the_extension() {
    let check = |text: &str, extension, expect| {
        assert_eq!(Format::detect(text.as_bytes(), extension), expect, "{text}")
    };
    check("\u{feff}WEBVTT\n", Some("srt"), Some(Format::WebVtt));
    check("Scenarist_SCC V1.0\n", None, Some(Format::Scc));
    check("<?xml version='1.0'?><tt:tt/>", None, Some(Format::Ttml));
    check("00:00:01,000 --> 00:00:02,000\nx", Some("vtt"), Some(Format::Srt));
    check("", Some("DFXP"), Some(Format::Ttml));
    check("<html/>", Some("txt"), None);
}

#[test]
fn cues_of_the_same_times_and_place_are_one() {
    let time = "00:01.000 --> 00:02.000";
    check(
        Format::WebVtt,
        &format!("WEBVTT\n\n{time}\na\n\n{time} line:0\nb\n\n{time} line:0\nc\n"),
        &["1000-2000: a", "1000-2000 top: b / c"],
    );
    let many = format!("{time}\n{}\n", "x\n".repeat(20)).repeat(2);
    assert_eq!(read(Format::Srt, many.as_bytes()).unwrap().cues.len(), 2);
}

#[test]
fn limits_hold_and_say_where() {
    assert_eq!(
        read(Format::Srt, &vec![b'x'; MAX_BYTES + 1]).unwrap_err().to_string(),
        "the file has 16777217 bytes: at most 16 MiB are read; is it a file of subtitles?"
    );
    let cue = "00:00:01,000 --> 00:00:02,000\n";
    check(
        Format::Srt,
        &format!("{cue}{}", "x\n".repeat(33)),
        &["line 1: more than 32 lines in a cue: split the file"],
    );
    check(
        Format::Srt,
        &format!("{cue}{}", "x".repeat(4097)),
        &["line 1: more than 4096 characters in a cue: split the file"],
    );
    check(
        Format::Srt,
        &format!("{cue}x\n").repeat(100_001),
        &["line 200001: more than 100000 cues: split the file"],
    );
}
