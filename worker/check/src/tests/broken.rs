//! One package for each way to break a rule, and the rules that are found broken.

use std::collections::BTreeSet;

use reel_cmaf::protect::Scheme;

use super::judged;
use super::made::{CBCS, Files, RIGHT, Recipe, made};

use crate::rules;

const WITH_TS: Recipe = Recipe { ts: true, ..RIGHT };

/// Rules that are broken by a change of a right package.
fn broken(recipe: Recipe, change: impl FnOnce(&mut Files)) -> Vec<String> {
    let mut files = made(recipe);
    change(&mut files);
    let found = judged(&files, &[]).into_iter().map(|finding| finding.rule).collect::<BTreeSet<_>>();
    found.into_iter().collect()
}

/// Replaces text in a file, where it stands at least once.
fn edit(files: &mut Files, path: &str, from: &str, to: &str) {
    let file = files.get_mut(path).unwrap();
    let text = String::from_utf8(file.clone()).unwrap();
    assert!(text.contains(from), "{from} is not in {path}:\n{text}");
    *file = text.replacen(from, to, 1).into_bytes();
}

/// Where the first box of a type begins.
fn find(bytes: &[u8], kind: &[u8; 4]) -> usize {
    bytes.windows(4).position(|window| window == kind).unwrap_or_else(|| panic!("no {}", kind.escape_ascii()))
        - 4
}

/// Changes bytes behind the header of the first box of a type.
fn patch(files: &mut Files, path: &str, kind: &[u8; 4], offset: usize, change: impl FnOnce(&mut [u8])) {
    let file = files.get_mut(path).unwrap();
    let at = find(file, kind) + 8 + offset;
    change(&mut file[at..]);
}

fn rename(files: &mut Files, path: &str, kind: &[u8; 4], name: &[u8; 4]) {
    let file = files.get_mut(path).unwrap();
    let at = find(file, kind) + 4;
    file[at..at + 4].copy_from_slice(name);
}

fn size(bytes: &[u8], at: usize) -> usize {
    u32::from_be_bytes(bytes[at..at + 4].try_into().unwrap()) as usize
}

fn grow(bytes: &mut [u8], at: usize, by: usize) {
    let grown = (size(bytes, at) + by) as u32;
    bytes[at..at + 4].copy_from_slice(&grown.to_be_bytes());
}

/// Doubles a box within another.
fn double(files: &mut Files, path: &str, kind: &[u8; 4], within: &[u8; 4]) {
    let file = files.get_mut(path).unwrap();
    let (at, outer) = (find(file, kind), find(file, within));
    let copy = file[at..at + size(file, at)].to_vec();
    grow(file, outer, copy.len());
    file.splice(at..at, copy);
}

fn mpd(files: &mut Files, from: &str, to: &str) {
    edit(files, "manifest.mpd", from, to);
}

fn master(files: &mut Files, from: &str, to: &str) {
    edit(files, "master.m3u8", from, to);
}

type Case = (&'static [&'static str], Recipe, fn(&mut Files));

const ENCRYPTED: Recipe = Recipe { scheme: Some(CBCS), ..RIGHT };
const COUNTED: Recipe = Recipe { scheme: Some(Scheme::Cenc), ..RIGHT };

/// A number after `name=` in a text, replaced by `change` of it.
fn scale(files: &mut Files, path: &str, name: &str, change: fn(u64) -> u64) {
    let text = String::from_utf8(files[path].clone()).unwrap();
    let at = text.find(name).unwrap() + name.len();
    let digits: String = text[at..].chars().take_while(char::is_ascii_digit).collect();
    let to = format!("{name}{}", change(digits.parse().unwrap()));
    edit(files, path, &format!("{name}{digits}"), &to);
}

const OF_PLAYLISTS: &[Case] = &[
    (&["package-empty"], RIGHT, Files::clear),
    (&["file-missing"], RIGHT, |f| drop(f.remove("a/2.m4s"))),
    (&["file-missing"], RIGHT, |f| drop(f.remove("text/2.vtt"))),
    (&["file-missing"], RIGHT, |f| drop(f.remove("images/p.m3u8"))),
    (&["file-unreferenced"], RIGHT, |f| drop(f.insert("a/9.m4s".into(), vec![0]))),
    (&["file-unreferenced"], RIGHT, |f| master(f, "#EXT-X-IMAGE-STREAM-INF", "#EXT-X-NOTHING-KNOWN")),
    (&["hls-syntax"], RIGHT, |f| edit(f, "sound/p.m3u8", "#EXTM3U\n", "\n")),
    (&["hls-syntax"], RIGHT, |f| master(f, "NAME=\"English\"", "NAME=\"English\",NAME=\"English\"")),
    (&["hls-required-tag"], RIGHT, |f| {
        edit(f, "a/p.m3u8", "#EXT-X-MAP", "#EXT-X-TARGETDURATION:2\n#EXT-X-MAP")
    }),
    (&["hls-version"], RIGHT, |f| edit(f, "a/p.m3u8", "VERSION:7", "VERSION:5")),
    (&["hls-target-duration"], RIGHT, |f| edit(f, "text/p.m3u8", "DURATION:2", "DURATION:1")),
    (&["hls-target-durations"], RIGHT, |f| edit(f, "sound/p.m3u8", "DURATION:2", "DURATION:3")),
    (&["hls-endlist"], RIGHT, |f| edit(f, "a/p.m3u8", "#EXT-X-ENDLIST", "")),
    (&["hls-playlist-type"], RIGHT, |f| edit(f, "a/p.m3u8", "#EXT-X-PLAYLIST-TYPE:VOD", "")),
    (&["hls-map"], RIGHT, |f| edit(f, "a/p.m3u8", "#EXT-X-MAP:URI=\"init.mp4\"", "")),
    (&["hls-key"], ENCRYPTED, |f| edit(f, "a/p.m3u8", "IV=0x09", "IV=09")),
    (&["hls-key-match"], RIGHT, |f| {
        edit(f, "a/p.m3u8", "#EXTINF", "#EXT-X-KEY:METHOD=SAMPLE-AES,URI=\"k\"\n#EXTINF")
    }),
    (&["hls-key-match"], ENCRYPTED, |f| edit(f, "a/p.m3u8", "#EXTINF", "#EXT-X-KEY:METHOD=NONE\n#EXTINF")),
    (&["hls-session-key"], ENCRYPTED, |f| master(f, "keys.example/1", "keys.example/2")),
    (&["hls-byte-range"], RIGHT, |f| edit(f, "a/i.m3u8", "BYTERANGE:", "BYTERANGE:9")),
    (&["hls-iframes"], RIGHT, |f| edit(f, "a/i.m3u8", "#EXT-X-I-FRAMES-ONLY", "")),
    (&["hls-stream"], RIGHT, |f| master(f, "STREAM-INF:BANDWIDTH=", "STREAM-INF:WIDTH=")),
    (&["hls-average-bandwidth", "hls-bandwidth-loose", "hls-stream"], RIGHT, |f| {
        master(f, ",AUDIO=\"aac\"", ",AUDIO=\"ac3\"")
    }),
    (&["hls-stream-lacks"], RIGHT, |f| master(f, ",FRAME-RATE=25.000", "")),
    (&["hls-media"], RIGHT, |f| master(f, "DEFAULT=YES,AUTOSELECT=YES", "DEFAULT=YES,AUTOSELECT=NO")),
    (&["hls-groups"], RIGHT, |f| {
        let media =
            "#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"more\",NAME=\"Other\",URI=\"sound/p.m3u8\"\n#EXT-X-MEDIA";
        master(f, "#EXT-X-MEDIA", media);
    }),
    (&["hls-iframe-stream"], RIGHT, |f| master(f, "URI=\"a/i", "FRAME-RATE=1.000,URI=\"a/i")),
    (&["hls-bandwidth"], RIGHT, |f| scale(f, "master.m3u8", "INF:BANDWIDTH=", |bps| bps * 99 / 100)),
    (&["hls-bandwidth-loose"], RIGHT, |f| scale(f, "master.m3u8", "INF:BANDWIDTH=", |bps| bps * 12 / 10)),
    (&["hls-average-bandwidth"], RIGHT, |f| {
        scale(f, "master.m3u8", "AVERAGE-BANDWIDTH=", |bps| bps * 8 / 10)
    }),
    (&["hls-average-bandwidth"], RIGHT, |f| {
        scale(f, "master.m3u8", "AVERAGE-BANDWIDTH=", |bps| bps * 12 / 10)
    }),
    // What lasts less has a higher rate.
    (&["hls-average-bandwidth", "hls-dash", "hls-extinf"], RIGHT, |f| {
        edit(f, "b/p.m3u8", "#EXTINF:2.000000", "#EXTINF:1.900000");
    }),
    (&["text-segment"], RIGHT, |f| f.get_mut("text/1.vtt").unwrap()[0] = b'V'),
    (&["ts-packets"], RIGHT, |f| {
        *f = Files::new();
        let text =
            "#EXTM3U\n#EXT-X-PLAYLIST-TYPE:VOD\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n1.ts\n#EXT-X-ENDLIST\n";
        f.insert("p.m3u8".into(), text.into());
        f.insert("1.ts".into(), [[0x47; 188].as_slice(), &[0x47; 187]].concat());
    }),
    // A bit of the PAT; the tables behind media; no tables.
    (&["ts-tables"], WITH_TS, |f| f.get_mut("ts/1.ts").unwrap()[10] ^= 1),
    (&["ts-start", "ts-tables"], WITH_TS, |f| {
        f.get_mut("ts/2.ts").unwrap()[..2 * 188 * 3].rotate_left(2 * 188)
    }),
    (&["ts-tables"], WITH_TS, |f| drop(f.get_mut("ts/3.ts").unwrap().drain(..2 * 188))),
    (&["ts-continuity"], WITH_TS, |f| f.get_mut("ts/1.ts").unwrap()[5 * 188 + 3] ^= 1),
    (&["ts-clock"], WITH_TS, |f| {
        let packets = f.get_mut("ts/1.ts").unwrap().chunks_mut(188);
        let clocks = packets.filter(|packet| packet[3] & 0x20 != 0 && packet[4] > 0 && packet[5] & 0x10 != 0);
        clocks.skip(3).take(5).for_each(|packet| packet[5] &= !0x10);
    }),
    (&["ts-start"], WITH_TS, |f| {
        let file = f.get_mut("ts/2.ts").unwrap();
        let at = file.windows(4).position(|bytes| bytes == [0, 0, 1, 0x65]).unwrap();
        file[at + 3] = 0x41;
    }),
    (&["ts-duration"], WITH_TS, |f| {
        // The last picture is shown 65,536 ticks later.
        let packets = f.get_mut("ts/3.ts").unwrap().chunks_mut(188);
        let begins = |packet: &&mut [u8]| packet[1..3] == [0x41, 0];
        let packet = packets.filter(begins).last().unwrap();
        let at = packet.windows(4).position(|bytes| bytes == [0, 0, 1, 0xe0]).unwrap();
        packet[at + 11] += 4;
    }),
    (&["codecs"], RIGHT, |f| master(f, "avc1.64001f,mp4a", "avc1.640020,mp4a")),
    (&["codecs"], RIGHT, |f| master(f, "avc1.64001f,mp4a.40.2", "avc1.64001f")),
    (&["picture-size"], RIGHT, |f| master(f, "RESOLUTION=320x180", "RESOLUTION=320x182")),
];

const OF_BOXES: &[Case] = &[
    (&["cmaf-boxes"], RIGHT, |f| {
        f.get_mut("a/2.m4s").unwrap().pop();
    }),
    (&["cmaf-boxes"], RIGHT, |f| rename(f, "a/2.m4s", b"moof", b"moov")),
    (&["cmaf-header"], RIGHT, |f| rename(f, "sound/init.mp4", b"smhd", b"free")),
    (&["cmaf-brand"], RIGHT, |f| {
        rename(f, "sound/init.mp4", b"cmfc", b"isom");
        rename(f, "sound/init.mp4", b"cmfc", b"isom");
    }),
    (&["cmaf-one-track"], RIGHT, |f| double(f, "sound/init.mp4", b"trak", b"moov")),
    // The rate of the edit.
    (&["cmaf-edit-list"], RIGHT, |f| patch(f, "sound/init.mp4", b"elst", 16, |rate| rate[1] = 2)),
    (&["cmaf-tfdt"], RIGHT, |f| rename(f, "a/1.m4s", b"tfdt", b"free")),
    (&["cmaf-base"], RIGHT, |f| patch(f, "a/2.m4s", b"tfhd", 0, |flags| flags[1] = 0)),
    (&["cmaf-data"], RIGHT, |f| patch(f, "sound/2.m4s", b"trun", 11, |offset| offset[0] += 1)),
    // The flags of the first sample.
    (&["cmaf-sync"], RIGHT, |f| {
        for path in ["a/2.m4s", "b/2.m4s"] {
            patch(f, path, b"trun", 12, |flags| flags[..4].copy_from_slice(&[1, 1, 0, 0]));
        }
    }),
    (&["cmaf-sample"], RIGHT, |f| patch(f, "a/2.m4s", b"mdat", 4, |head| head[0] = 0x41)),
    (&["cmaf-sample"], RIGHT, |f| patch(f, "a/2.m4s", b"mdat", 0, |length| length[3] += 1)),
    (&["cmaf-sidx"], RIGHT, |f| patch(f, "a/iframes.mp4", b"sidx", 39, |ticks| ticks[0] += 10)),
    (&["mpd-times", "timeline"], RIGHT, |f| patch(f, "sound/2.m4s", b"tfdt", 10, |time| time[0] += 40)),
    (&["cenc-boxes"], ENCRYPTED, |f| rename(f, "a/init.mp4", b"tenc", b"free")),
    (&["cenc-key-id", "cenc-scheme"], ENCRYPTED, |f| {
        patch(f, "a/init.mp4", b"schm", 4, |scheme| scheme[3] = b'1')
    }),
    (&["cenc-vector"], ENCRYPTED, |f| patch(f, "a/init.mp4", b"tenc", 5, |pattern| pattern[0] = 0)),
    (&["cenc-samples"], ENCRYPTED, |f| patch(f, "a/2.m4s", b"senc", 11, |clear| clear[0] += 1)),
    (&["cenc-samples"], COUNTED, |f| rename(f, "sound/2.m4s", b"senc", b"free")),
    (&["cenc-auxiliary"], ENCRYPTED, |f| patch(f, "a/2.m4s", b"saiz", 4, |size| size[0] += 1)),
    (&["cenc-auxiliary"], COUNTED, |f| patch(f, "sound/2.m4s", b"saio", 11, |offset| offset[0] += 1)),
    // A byte more in clear, and one less protected.
    (&["cenc-blocks"], COUNTED, |f| {
        patch(f, "a/2.m4s", b"senc", 19, |range| {
            range[0] += 1;
            range[4] -= 1;
        });
    }),
    (&["cenc-pssh"], ENCRYPTED, |f| patch(f, "a/init.mp4", b"pssh", 43, |bytes| bytes[0] += 1)),
    (&["cenc-pssh"], ENCRYPTED, |f| mpd(f, "<cenc:pssh>", "<cenc:pssh>AAAA")),
    (&["cenc-key-id"], ENCRYPTED, |f| mpd(f, "07070707-0707", "08080808-0808")),
    (&["cenc-signalled"], ENCRYPTED, |f| mpd(f, "mp4protection", "mp3protection")),
    (&["cenc-signalled"], RIGHT, |f| mpd(f, "<Role", "<ContentProtection schemeIdUri=\"x\"/><Role")),
];

const OF_MANIFESTS: &[Case] = &[
    (&["mpd-xml"], RIGHT, |f| mpd(f, "</MPD>", "")),
    (&["mpd-xml"], RIGHT, |f| mpd(f, "schema:mpd:2011", "schema:mpd:2012")),
    (&["mpd-elements"], RIGHT, |f| mpd(f, "<Role", "<SegmentTemplate timescale=\"1\"/><Role")),
    (&["mpd-elements"], ENCRYPTED, |f| mpd(f, "<ContentProtection", "<Label>x</Label><ContentProtection")),
    (&["mpd-attributes"], RIGHT, |f| mpd(f, "frameRate=\"25\"", "frameRate=\"25.0\"")),
    (&["mpd-attributes"], RIGHT, |f| mpd(f, " profiles=\"urn:mpeg:dash:profile:isoff-live:2011\"", "")),
    (&["mpd-ids"], RIGHT, |f| mpd(f, "<Representation id=\"i\"", "<Representation id=\"a\"")),
    (&["mpd-duration"], RIGHT, |f| mpd(f, "Duration=\"PT5S\"", "Duration=\"PT5.1S\"")),
    (&["mpd-duration"], RIGHT, |f| mpd(f, "\"static\"", "\"dynamic\"")),
    (&["mpd-addressing"], RIGHT, |f| mpd(f, "<SegmentTemplate t", "<SegmentBase/><SegmentTemplate t")),
    (&["mpd-timeline"], RIGHT, |f| mpd(f, "<S d=\"50\"/>", "<S t=\"51\" d=\"50\"/>")),
    (&["hls-dash", "mpd-times"], RIGHT, |f| {
        mpd(f, "<S t=\"0\" d=\"50\"/>\n<S d=\"50\"/>", "<S t=\"0\" d=\"52\"/>\n<S d=\"48\"/>")
    }),
    (&["alignment", "durations", "ends", "hls-dash", "mpd-timeline"], RIGHT, |f| mpd(f, "<S d=\"25\"/>", "")),
    (&["mpd-longest"], RIGHT, |f| mpd(f, "maxSegmentDuration=\"PT5S\"", "maxSegmentDuration=\"PT4S\"")),
    (&["mpd-bandwidth"], RIGHT, |f| scale(f, "manifest.mpd", "\"a\" bandwidth=\"", |bps| bps / 2)),
    (&["mpd-bandwidth-loose"], RIGHT, |f| {
        scale(f, "manifest.mpd", "\"a\" bandwidth=\"", |bps| bps * 13 / 10)
    }),
    (&["mpd-trick-mode"], RIGHT, |f| mpd(f, "trickmode\" value=\"1\"", "trickmode\" value=\"9\"")),
    (&["mpd-tiles"], RIGHT, |f| mpd(f, "\"5x5\"", "\"5\"")),
];

const OF_CONTENT: &[Case] = &[
    (&["alignment"], Recipe { second: [48, 52, 25], ..RIGHT }, |_| {}),
    (&["durations", "mpd-timeline"], Recipe { second: [50, 50, 23], ..RIGHT }, |_| {}),
    (&["ends", "mpd-timeline"], Recipe { sound: [94, 94, 40], ..RIGHT }, |_| {}),
    (&["ends"], Recipe { sound: [94, 94, 54], ..RIGHT }, |_| {}),
];

#[test]
fn each_way_to_break_a_rule_is_found_under_it() {
    let cases = [OF_PLAYLISTS, OF_BOXES, OF_MANIFESTS, OF_CONTENT].into_iter().flatten();
    let mut wrong = Vec::new();
    for (number, (expected, recipe, change)) in cases.enumerate() {
        let found = broken(*recipe, change);
        if found != *expected {
            wrong.push(format!("case {number}: {found:?} in place of {expected:?}"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn every_rule_can_be_broken() {
    let cases = [OF_PLAYLISTS, OF_BOXES, OF_MANIFESTS, OF_CONTENT].into_iter().flatten();
    let found: BTreeSet<&str> = cases.flat_map(|(rules, ..)| rules.iter().copied()).collect();
    let never: Vec<_> = rules().iter().map(|rule| rule.id).filter(|id| !found.contains(id)).collect();
    // Packages without end are made elsewhere; a second traf takes a moof that is made for it.
    assert_eq!(never, ["package-size", "cmaf-traf"]);
    assert_eq!(broken(RIGHT, second_traf), ["cmaf-traf"]);
}

/// Adds a traf of another track in front of the one that is there, whose data lie so much further behind.
fn second_traf(files: &mut Files) {
    let file = files.get_mut("sound/2.m4s").unwrap();
    let (moof, at) = (find(file, b"moof"), find(file, b"traf"));
    let traf =
        [0, 0, 0, 24, b't', b'r', b'a', b'f', 0, 0, 0, 16, b't', b'f', b'h', b'd', 0, 2, 0, 0, 0, 0, 0, 2];
    grow(file, moof, traf.len());
    file.splice(at..at, traf);
    let trun = find(file, b"trun") + 8 + 8;
    grow(file, trun, traf.len());
}
