//! Services of CTA-708 into cues, command by command, and what pictures leave out.

use proptest::prelude::*;
use reel_common::CaptionChannel;
use reel_text::cea708::Cea708;
use reel_text::{Sieve, TextError, channels, from_pictures};

use crate::shown;

/// The triplets of a packet with blocks of a service, each of bytes of at most 31.
fn packet(service: u8, bytes: &[u8]) -> Vec<[u8; 3]> {
    let mut packet = vec![0];
    for block in bytes.chunks(31) {
        match service {
            0..7 => packet.push(service << 5 | block.len() as u8),
            _ => packet.extend([7 << 5 | block.len() as u8, service]),
        }
        packet.extend(block);
    }
    packet.resize(packet.len().next_multiple_of(2), 0);
    packet[0] = (packet.len() / 2) as u8;
    let kinds = std::iter::once(0xff).chain(std::iter::repeat(0xfe));
    kinds.zip(packet.chunks(2)).map(|(kind, pair)| [kind, pair[0], pair[1]]).collect()
}

/// Feeds a script to service 1: `@ms` sets the time, two hexadecimal digits are a byte, `'` begins text in which an
/// underscore is a space, `D` defines window 0 with so many rows, seen where a `+` follows.
fn decode(script: &str) -> Vec<String> {
    let mut decoder = Cea708::new(1);
    let mut now_ms = 0;
    let mut send = |now_ms: u64, bytes: &[u8]| {
        packet(1, bytes).into_iter().for_each(|triplet| decoder.push(now_ms, triplet));
    };
    for word in script.split(' ').filter(|word| !word.is_empty()) {
        if let Some(ms) = word.strip_prefix('@') {
            now_ms = ms.parse().unwrap();
        } else if let Some(text) = word.strip_prefix('\'') {
            send(now_ms, text.replace('_', " ").as_bytes());
        } else if let Some(rows) = word.strip_prefix('D') {
            let seen = if rows.ends_with('+') { 0x20 } else { 0 };
            let rows: u8 = rows.trim_end_matches('+').parse().unwrap();
            send(now_ms, &[0x98, seen, 74, 105, 0x70 | (rows - 1), 31, 0x09]);
        } else {
            send(now_ms, &[u8::from_str_radix(word, 16).unwrap()]);
        }
    }
    shown::cues(&decoder.finish())
}

#[track_caller]
fn check(script: &str, expect: &[&str]) {
    assert_eq!(decode(script), expect, "{script}");
}

#[test]
fn windows_are_shown_hidden_and_deleted() {
    check("D1 'Hello @1000 89 01 @2000 8a 01", &["1000-2000 left at 19%: Hello"]);
    check("D1 'Hello @1000 8b 01 @2000 8c 01", &["1000-2000 left at 19%: Hello"]);
    check(
        "D1+ @1000 'Hello @2000 88 01 @3000 'again @4000 8f",
        &["1000-2000 left at 19%: Hello", "3000-4000 left at 29%: again"],
    );
    // Shown again without a change, it goes on; what nothing takes away ends by itself.
    check("D1 'A @1000 89 01 @1500 89 01 @2000 89 02", &["1000-6000 left at 19%: A"]);
    // Nothing is written where there is no window, or none any more.
    check("'lost D1 8c 01 'gone @1000 89 ff", &[]);
    // Window 1 is made in the same way, and chosen again behind window 0.
    check(
        "D1 'A 99 20 00 69 10 1f 09 'B 80 'C @1000 89 01 @2000 8f",
        &["0-2000 top left at 19%: B", "1000-2000 left at 19%: AC"],
    );
}

#[test]
fn text_is_written_erased_and_rolled() {
    check(
        "D2+ 'one 0d 'two @1000 0d 'three @2000 8f",
        &["0-1000 left at 19%: one / two", "1000-2000 left at 19%: two / three"],
    );
    check("D1+ 'abc 08 08 'x @1000 8f", &["0-1000 left at 19%: ax"]);
    check("D1+ 'abc 0e 'x @1000 8f", &["0-1000 left at 19%: x"]);
    check("D2+ 'a 0d 'b @500 0c 'c @1000 8f", &["0-500 left at 19%: a / b", "500-1000 left at 19%: c"]);
    check("D2+ 'a 92 01 02 'b @1000 8f", &["0-1000 left at 19%: a / b"]);
    // What is painted in one go is one cue; after a pause it is another.
    check(
        "D1+ 'ab @400 'cd @1200 'ef @2000 8f",
        &["0-1200 left at 19%: abcd", "1200-2000 left at 19%: abcdef"],
    );
}

#[test]
fn words_wrap_where_the_window_does() {
    // The style of windows that roll wraps; eight columns.
    let script =
        |style: &str| format!("98 20 4a 69 71 07 {style} 't 'h 'i 's '_ 'f 'i 't 's '_ 'n 'o 't @1000 8f");
    assert_eq!(decode(&script("21")), ["0-1000 left at 42%: this / fits not"]);
    assert_eq!(decode(&script("09")), ["0-1000 left at 42%: this fits not"]);
}

#[test]
fn pens_and_windows_have_styles_and_places() {
    check(
        "D1+ 90 05 80 'it 90 05 40 'un 91 30 00 00 'red 91 2a 00 00 'w @1000 8f",
        &["0-1000 left at 19%: {i}it{}{u}un{}{u red}red{}{u}w{}"],
    );
    // Text that is not for display.
    check("D1+ 'a 90 f5 00 'b 90 05 00 'c @1000 8f", &["0-1000 left at 19%: ac"]);
    // Centred by its style, by its attributes, and to the right.
    check("98 20 4a 69 70 1f 19 'mid @1000 8f", &["0-1000: mid"]);
    check("D1+ 97 00 00 02 00 'mid @1000 8f", &["0-1000: mid"]);
    check("D1+ 97 00 00 01 00 'end @1000 8f", &["0-1000 right at 80%: end"]);
    // In percent, from its upper left corner; and in the middle of the picture.
    check("98 20 a8 0a 00 09 09 'pc @1000 8f", &["0-1000 42% left at 17%: pc"]);
    check("98 20 26 69 40 09 19 'c @1000 8f", &["0-1000 52%: c"]);
    // Left as it is where its text stands in the middle.
    check("98 20 4a 69 70 05 09 'middle @1000 8f", &["0-1000: middle"]);
}

#[test]
fn delays_hold_commands_back_until_they_are_over() {
    check("D1 'A @1000 8d 0a 89 01 @5000 8f", &["2000-5000 left at 19%: A"]);
    check("D1 'A @1000 8d 0a 89 01 @1500 8e @5000 8f", &["1500-5000 left at 19%: A"]);
    check("D1 'A @1000 8d ff 89 01 @1500 8f @5000 'B", &[]);
    // A delay behind a delay, and nothing more comes.
    check("D1 'A @1000 8d 0a 89 01 8d 05 8a 01", &["2000-2500 left at 19%: A"]);
    // Too much to hold back.
    let much = "D1 'A @1000 8d ff 89 01 ".to_owned() + &"00 ".repeat(126) + "@5000 8f";
    check(&much, &["1000-5000 left at 19%: A"]);
}

#[test]
fn commands_go_on_in_the_next_block() {
    let mut decoder = Cea708::new(5);
    let define = [0x98, 0x20, 74, 105, 0x70, 31, 0x19];
    for (now_ms, bytes) in
        [(0, &define[..3]), (100, &define[3..]), (200, b"\x10"), (300, b"\x25"), (400, b"\x8f")]
    {
        packet(5, bytes).into_iter().for_each(|triplet| decoder.push(now_ms, triplet));
        // What others are told.
        packet(6, b"\x8fno").into_iter().for_each(|triplet| decoder.push(now_ms, triplet));
    }
    assert_eq!(shown::cues(&decoder.finish()), ["300-400: …"]);
}

#[test]
fn channels_that_show_something_are_found() {
    let pairs = [[0x94, 0x20], [0x94, 0x70], [0xc8, 0xe9], [0x94, 0x2f]].map(|[a, b]| [0xfdu8, a, b]);
    let digital = packet(12, &[0x98, 0x20, 74, 105, 0x70, 31, 0x19, b'x']);
    // Nothing is written to it.
    let empty = packet(2, &[0x98, 0x20, 74, 105, 0x70, 31, 0x19]);
    let pictures = [(0, pairs.to_vec()), (500, digital), (600, empty)];
    let pictures = pictures.iter().map(|(time_ms, triplets)| (*time_ms, triplets.as_slice()));
    assert_eq!(channels(pictures.clone()), [CaptionChannel::Cc3, CaptionChannel::Service(12)]);
    let document = from_pictures(pictures, CaptionChannel::Cc3).unwrap();
    // The pairs of one picture are sent one after the other.
    assert_eq!(shown::cues(&document.cues), ["100-4100 left: Hi"]);
}

#[test]
fn captions_without_end_take_no_memory_without_end() {
    // A window full of characters that each have a style of their own.
    let mut write = vec![0x98, 0x00, 74, 105, 0x7f, 63, 0x09];
    for row in 0..15 {
        write.extend([0x92, row, 0]);
        (0..64)
            .for_each(|column| write.extend([0x90, 0x05, if column % 2 == 0 { 0x80 } else { 0x40 }, b'x']));
    }
    let toggle = packet(1, &[0x8b, 0x01]);
    let fill = write.chunks(60).flat_map(|bytes| packet(1, bytes));
    let mut pictures = vec![(0, fill.collect::<Vec<_>>())];
    pictures
        .extend((1..4000).flat_map(|at| [at * 66, at * 66 + 33].map(|time_ms| (time_ms, toggle.clone()))));
    let mut decoder = Cea708::new(1);
    for (time_ms, triplets) in &pictures {
        triplets.iter().for_each(|triplet| decoder.push(*time_ms, *triplet));
    }
    // Each has 960 spans of a few dozen bytes; of 4000 that are shown 64 MiB are kept.
    let kept = decoder.finish().len();
    assert!((1000..3000).contains(&kept), "{kept}");
    let pictures = pictures.iter().map(|(time_ms, triplets)| (*time_ms, triplets.as_slice()));
    let refused = from_pictures(pictures, CaptionChannel::Service(1)).unwrap_err();
    assert!(
        matches!(refused, TextError::Limit { what: "bytes of styled text in all cues", .. }),
        "{refused}"
    );
}

/// Triplets of every kind, with codes that do something more often than not.
fn any_triplet() -> impl Strategy<Value = [u8; 3]> {
    let first = prop_oneof![Just(0xfcu8), Just(0xfd), Just(0xfe), Just(0xff), any::<u8>()];
    let code = prop_oneof![Just(0x80u8), Just(0x94), 0x20..0x30u8, 0x80..0xa0u8, any::<u8>()];
    (first, code.clone(), code).prop_map(|(first, second, third)| [first, second, third])
}

/// Bytes of a service.
fn any_bytes() -> impl Strategy<Value = Vec<u8>> {
    let code = prop_oneof![Just(0x98u8), Just(0x20), Just(0x8d), 0x20..0x7fu8, 0x80..0xa0u8, any::<u8>()];
    proptest::collection::vec(code, 0..60)
}

proptest! {
    #[test]
    fn any_bytes_of_a_service_give_ordered_cues(pictures in proptest::collection::vec((0u64..2000, any_bytes()), 0..40)) {
        let mut decoder = Cea708::new(1);
        let mut now_ms = 0;
        for (step_ms, bytes) in &pictures {
            now_ms += step_ms;
            packet(1, bytes).into_iter().for_each(|triplet| decoder.push(now_ms, triplet));
        }
        let cues = decoder.finish();
        prop_assert!(cues.is_sorted_by_key(|cue| cue.start_ms) && cues.iter().all(|cue| cue.start_ms < cue.end_ms));
    }

    #[test]
    fn what_the_sieve_leaves_out_changes_nothing(
        pictures in proptest::collection::vec(proptest::collection::vec(any_triplet(), 0..6), 0..80),
        borders in proptest::collection::btree_set(0..80usize, 0..6),
    ) {
        let timed = |pictures: &[Vec<[u8; 3]>]| (0..).step_by(330).zip(pictures.to_vec()).collect::<Vec<_>>();
        let all = timed(&pictures);
        let mut sieve = Sieve::default();
        let kept = pictures.iter().enumerate().map(|(number, triplets)| {
            if borders.contains(&number) {
                sieve = Sieve::default();
            }
            sieve.sift(triplets)
        });
        let kept = timed(&kept.collect::<Vec<_>>());
        for channel in CaptionChannel::LINE_21.into_iter().chain([CaptionChannel::Service(1)]) {
            let read = |pictures: &[(u64, Vec<[u8; 3]>)]| {
                from_pictures(pictures.iter().map(|(time_ms, triplets)| (*time_ms, triplets.as_slice())), channel)
            };
            prop_assert_eq!(read(&kept), read(&all));
        }
    }
}
