//! Byte pairs of CEA-608 into cues, mode by mode.

use reel_text::cea608::{Cea608, Channel};

use crate::shown;

/// Odd parity.
fn parity(byte: u8) -> u8 {
    if byte.count_ones().is_multiple_of(2) { byte | 0x80 } else { byte }
}

/// Feeds a script, a pair every 100 ms: `=hhhh` is a control code, sent twice at once; `-hhhh` a pair with its
/// parity as it is; `@ms` sets the time; anything else is text, an underscore a space.
fn decode(channel: Channel, script: &str) -> Vec<String> {
    let mut decoder = Cea608::new(channel);
    let mut now_ms = 0;
    let pair = |hex: &str| u16::from_str_radix(hex, 16).unwrap().to_be_bytes();
    for word in script.split(' ').filter(|word| !word.is_empty()) {
        if let Some(ms) = word.strip_prefix('@') {
            now_ms = ms.parse().unwrap();
        } else if let Some(hex) = word.strip_prefix('=') {
            decoder.push(now_ms, pair(hex).map(parity));
            decoder.push(now_ms, pair(hex).map(parity));
        } else if let Some(hex) = word.strip_prefix('-') {
            decoder.push(now_ms, pair(hex));
        } else {
            for two in word.replace('_', " ").as_bytes().chunks(2) {
                decoder.push(now_ms, [two[0], two.get(1).copied().unwrap_or(0)].map(parity));
                now_ms += 10;
            }
        }
    }
    shown::cues(&decoder.finish())
}

#[track_caller]
fn check(script: &str, expect: &[&str]) {
    assert_eq!(decode(Channel::Cc1, script), expect, "{script}");
}

#[test]
fn pop_on_captions_appear_at_once_and_go_when_erased() {
    check("=1420 =142e =1470 Hello @1000 =142f @2000 =142c", &["1000-2000 left: Hello"]);
    check(
        "=1420 =1470 A @1000 =142f =1420 =142e =1470 B @2000 =142f @3000 =142c",
        &["1000-2000 left: A", "2000-3000 left: B"],
    );
    check("=1420 =1470 A @1000 =142f", &["1000-5000 left: A"]);
    check("=1420 =1470 A =142e =1470 B @1000 =142f @2000 =142c", &["1000-2000 left: B"]);
}

#[test]
fn rows_and_indents_give_places() {
    check("=1420 =1150 top @1000 =142f @2000 =142c", &["1000-2000 top left: top"]);
    check("=1420 =1654 mid @1000 =142f @2000 =142c", &["1000-2000 42% left at 30%: mid"]);
    check("=1420 =1652 x =1722 ab @1000 =142f @2000 =142c", &["1000-2000 42% left at 20%: x  ab"]);
    check("=1420 =1456 =1722 Centre @1000 =142f @2000 =142c", &["1000-2000: Centre"]);
    check(
        "=1420 =1150 up =1470 down @1000 =142f @2000 =142c",
        &["1000-2000 top left: up", "1000-2000 left: down"],
    );
    check("=1420 =1450 one =1470 two @1000 =142f @2000 =142c", &["1000-2000 left: one / two"]);
}

#[test]
fn preambles_and_mid_row_codes_give_styles() {
    check("=1420 =146a yel =1121 u @1000 =142f @2000 =142c", &["1000-2000 left: {yellow}yel{} {u}u{}"]);
    check(
        "=1420 =146e it =1128 red =112e ri @1000 =142f @2000 =142c",
        &["1000-2000 left: {i}it{} {red}red{} {i red}ri{}"],
    );
}

#[test]
fn extended_characters_replace_the_one_before_and_special_ones_do_not() {
    check("=1420 =1470 caE =1221 =1137 n~ @1000 =142f @2000 =142c", &["1000-2000 left: caÉ♪nñ"]);
    check("=1420 =1470 o =1327 '*|{ @1000 =142f @2000 =142c", &["1000-2000 left: Õ’á÷ç"]);
    check("=1420 =1470 abc =1421 d =1421 =1421 e @1000 =142f @2000 =142c", &["1000-2000 left: ae"]);
}

#[test]
fn rows_hold_32_characters_and_the_rest_of_a_row_can_be_deleted() {
    let long = "abcdefghijklmnopqrstuvwxyzABCDEFGH";
    check(
        &format!("=1420 =1470 {long} @1000 =142f @2000 =142c"),
        &["1000-2000: abcdefghijklmnopqrstuvwxyzABCDEH"],
    );
    check("=1420 =1470 abcdefgh =1472 =1424 Z @1000 =142f @2000 =142c", &["1000-2000 left: abcdZ"]);
}

#[test]
fn rolled_up_captions_make_a_cue_a_line() {
    check(
        "@1000 =1425 =142d =1470 one @2000 =142d =1470 two @3000 =142d =1470 three @4000 =142c",
        &["1000-2000 left: one", "2000-3000 left: one / two", "3000-4000 left: two / three"],
    );
    check(
        "@1000 =1427 =142d =1470 a @2000 =142d b @3000 =1425 @4000 =142d c @5000 =142c",
        &["1000-2000 left: a", "2000-4000 left: a / b", "4000-5000 left: b / c"],
    );
    check(
        "@1000 =1425 =142d =1470 a @2000 =142d b @3000 =1150 @4000 =142c",
        &["1000-2000 left: a", "2000-3000 left: a / b", "3000-4000 top left: a / b"],
    );
}

#[test]
fn what_stays_as_it_was_is_one_cue() {
    check(
        "@1000 =1425 =142d =1470 a @2000 =1425 =142d @3000 b @4000 =142c",
        &["1000-3000 left: a", "3000-4000 left: a / b"],
    );
    check(
        "=1420 =1150 t =1470 a @1000 =142f =142e =1150 t =1470 b @2000 =142f @3000 =142c",
        &["1000-3000 top left: t", "1000-2000 left: a", "2000-3000 left: b"],
    );
}

#[test]
fn text_after_a_pause_begins_a_cue() {
    check(
        "@1000 =1429 =1470 ab @1300 cd @3000 ef @4000 =142c",
        &["1000-3000 left: abcd", "3000-4000 left: abcdef"],
    );
}

#[test]
fn channels_are_told_apart_and_other_services_are_not_shown() {
    let both = "=1420 =1470 one =1c20 =1c70 two @1000 =142f =1c2f @2000 =142c =1c2c";
    assert_eq!(decode(Channel::Cc1, both), ["1000-2000 left: one"]);
    assert_eq!(decode(Channel::Cc2, both), ["1000-2000 left: two"]);
    assert_eq!(
        decode(Channel::Cc3, "=1520 =1470 three =0105 xds =0f1d =1520 ! @1000 =152f @2000 =152c"),
        ["1000-2000 left: three!"]
    );
    assert_eq!(Channel::Cc4.field(), 2);
    check("=142a text =1420 =1470 x @1000 =142f @2000 =142c", &["1000-2000 left: x"]);
    check("lost =1470 words", &[]);
}

#[test]
fn damage_is_shown_as_a_block_and_never_doubles_a_code() {
    // e without its parity bit, and a backspace whose repetition is damaged in its first byte.
    check("=1420 =1470 ab -e580 -6580 @1000 =142f @2000 =142c", &["1000-2000 left: abe█"]);
    check("=1420 =1470 abc -94a1 -14a1 @1000 =142f @2000 =142c", &["1000-2000 left: ab"]);
    check("=1420 =1470 abc -9421 -94a1 @1000 =142f @2000 =142c", &["1000-2000 left: ab"]);
    check("=1420 =1470 abc =1421 =1421 -8080 -9421 -0000 @1000 =142f @2000 =142c", &["1000-2000 left: a"]);
}
