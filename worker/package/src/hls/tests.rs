//! HLS playlists of made-up streams, read as a whole.

use m3u8_rs::{AlternativeMediaType, MasterPlaylist, MediaPlaylistType, Playlist, parse_playlist_res};

use super::*;
use crate::{FileHead, SegmentSize, target_duration};

const AAC_LC: &str = "mp4a.40.2";

fn stream(timescale: u32, segments: &[(u64, u64)]) -> Stream {
    let segments = segments.iter().map(|(ticks, bytes)| SegmentSize { ticks: *ticks, bytes: *bytes });
    Stream { timescale, segments: segments.collect(), head: None }
}

fn video(scale: u64) -> Stream {
    stream(24_000, &[(96_096, 1_500_000 * scale), (96_096, 2_000_000 * scale), (38_038, 600_000 * scale)])
}

fn sound() -> Stream {
    stream(48_000, &[(192_512, 64_100), (192_512, 64_300), (76_800, 25_000)])
}

fn variant<'a>(rendition: &'a str, stream: &'a Stream, height: u32) -> Variant<'a> {
    Variant {
        rendition,
        stream,
        codec: "avc1.640028",
        width: height * 16 / 9,
        height,
        frame_rate: Rational::new(24_000, 1001),
        frames: 230,
        colour: Colour::default(),
        iframes: None,
        keys: None,
    }
}

fn track<'a>(track: &'a str, stream: &'a Stream, channels: u32, language: &'a str) -> AudioMedia<'a> {
    AudioMedia { track, stream, codec: AAC_LC, channels, priming: 1024, language, keys: None }
}

fn parse(text: &str) -> MasterPlaylist {
    match parse_playlist_res(text.as_bytes()).unwrap() {
        Playlist::MasterPlaylist(playlist) => playlist,
        Playlist::MediaPlaylist(_) => panic!("not a master playlist"),
    }
}

#[test]
fn a_media_playlist_reads_as_it_should() {
    insta::assert_snapshot!(media_playlist(&video(1), 4, None), @r#"
    #EXTM3U
    #EXT-X-VERSION:7
    #EXT-X-TARGETDURATION:4
    #EXT-X-MEDIA-SEQUENCE:0
    #EXT-X-PLAYLIST-TYPE:VOD
    #EXT-X-INDEPENDENT-SEGMENTS
    #EXT-X-MAP:URI="init.mp4"
    #EXTINF:4.004000,
    seg_00001.m4s
    #EXTINF:4.004000,
    seg_00002.m4s
    #EXTINF:1.584917,
    seg_00003.m4s
    #EXT-X-ENDLIST
    "#);
}

#[test]
fn a_playlist_that_grows_has_no_end_and_keeps_what_it_had() {
    let (whole, target) = (video(1), 4);
    let first = growing(&media_playlist(&whole.first(1), target, None));
    let more = growing(&media_playlist(&whole.first(2), target, None));
    assert!(more.starts_with(&first), "{more}");
    let Playlist::MediaPlaylist(playlist) = parse_playlist_res(more.as_bytes()).unwrap() else {
        panic!("not a media playlist");
    };
    assert_eq!((playlist.playlist_type, playlist.end_list), (Some(MediaPlaylistType::Event), false));
    assert_eq!((playlist.segments.len(), playlist.target_duration), (2, 4));
    assert!(media_playlist(&whole, target, None).contains("#EXTINF:4.004000,\nseg_00002.m4s\n"));
}

#[test]
fn a_media_playlist_means_what_the_stream_says() {
    let stream = stream(30_000, &vec![(120_120, 9); 10_001]);
    let text = media_playlist(&stream, 4, None);
    let Playlist::MediaPlaylist(playlist) = parse_playlist_res(text.as_bytes()).unwrap() else {
        panic!("not a media playlist");
    };
    assert_eq!((playlist.version, playlist.target_duration, playlist.media_sequence), (Some(7), 4, 0));
    assert_eq!(playlist.playlist_type, Some(MediaPlaylistType::Vod));
    assert!(playlist.end_list && playlist.independent_segments);
    assert_eq!(playlist.segments.len(), 10_001);
    assert_eq!(playlist.segments[0].map.as_ref().map(|map| map.uri.as_str()), Some("init.mp4"));
    assert_eq!(playlist.segments[0].uri, "seg_00001.m4s");
    assert_eq!(playlist.segments[10_000].uri, "seg_10001.m4s");
    assert!(playlist.segments.iter().all(|segment| segment.duration.round() <= 4.0));
}

#[test]
fn byte_ranges_follow_each_other_behind_header_and_index() {
    let head = FileHead { init_bytes: 700, index_bytes: 68 };
    let stream = Stream { head: Some(head), ..video(1) };
    let text = media_playlist(&stream, 4, None);
    let Playlist::MediaPlaylist(playlist) = parse_playlist_res(text.as_bytes()).unwrap() else {
        panic!("not a media playlist");
    };
    let map = playlist.segments[0].map.as_ref().unwrap();
    let range = map.byte_range.as_ref().unwrap();
    assert_eq!((map.uri.as_str(), range.length, range.offset), ("media.mp4", 700, Some(0)));
    let ranges = playlist.segments.iter().map(|segment| {
        let range = segment.byte_range.as_ref().unwrap();
        (segment.uri.as_str(), range.offset.unwrap(), range.length)
    });
    assert_eq!(
        ranges.collect::<Vec<_>>(),
        [
            ("media.mp4", 768, 1_500_000),
            ("media.mp4", 1_500_768, 2_000_000),
            ("media.mp4", 3_500_768, 600_000)
        ]
    );
    // Everything else is as with files.
    let files = media_playlist(&video(1), 4, None);
    let told = |text: &str| -> Vec<String> {
        let names = ["#EXT-X-MAP", "#EXT-X-BYTERANGE", "media.mp4", "seg_"];
        text.lines()
            .filter(|line| !names.iter().any(|name| line.starts_with(name)))
            .map(str::to_owned)
            .collect()
    };
    assert_eq!(told(&text), told(&files));
}

#[test]
fn a_master_playlist_reads_as_it_should() {
    let (large, small, sound) = (video(3), video(1), sound());
    let variants = [variant("1080p", &large, 1080), variant("360p", &small, 360)];
    let audio = [track("aac-stereo", &sound, 2, "eng"), track("aac-5.1", &sound, 6, "eng")];
    let target = target_duration([&large, &sound]);
    insta::assert_snapshot!(master_playlist(&variants, &audio, &[], target));
}

#[test]
fn a_master_playlist_means_what_it_was_given() {
    let (large, small, sound) = (video(3), video(1), sound());
    let variants = [variant("1080p", &large, 1080), variant("360p", &small, 360)];
    let audio = [track("first", &sound, 2, "deu"), track("second", &sound, 2, "")];
    let playlist = parse(&master_playlist(&variants, &audio, &[], 4));
    assert!(playlist.independent_segments);
    let [first, second] = &playlist.variants[..] else { panic!("two variants") };
    assert_eq!(
        (first.uri.as_str(), second.uri.as_str()),
        ("video/1080p/playlist.m3u8", "video/360p/playlist.m3u8")
    );
    let worst = sound.peak_bps(4);
    assert_eq!(first.bandwidth, large.peak_bps(4) + worst);
    assert_eq!(first.average_bandwidth, Some(large.average_bps() + sound.average_bps()));
    assert_eq!(first.codecs.as_deref(), Some("avc1.640028,mp4a.40.2"));
    assert_eq!(first.resolution.map(|size| (size.width, size.height)), Some((1920, 1080)));
    assert_eq!(first.frame_rate, Some(23.976));
    assert_eq!(first.audio.as_deref(), Some("aac-stereo"));
    let media = &playlist.alternatives;
    assert!(media.iter().all(|media| media.media_type == AlternativeMediaType::Audio));
    assert_eq!(
        media.iter().map(|media| (media.default, media.autoselect)).collect::<Vec<_>>(),
        [(true, true), (false, true)]
    );
    assert_eq!(media.iter().map(|media| media.language.as_deref()).collect::<Vec<_>>(), [Some("de"), None]);
    assert_eq!(media[1].uri.as_deref(), Some("audio/second/playlist.m3u8"));
}

#[test]
fn pictures_for_winding_are_listed_once_for_each_rendition() {
    let (large, small, sound) = (video(3), video(1), sound());
    let files = [&large, &small]
        .map(|stream| IFrames { stream: stream.clone(), head: FileHead { init_bytes: 7, index_bytes: 8 } });
    let variants = [
        Variant { iframes: Some(&files[0]), ..variant("1080p", &large, 1080) },
        Variant { iframes: Some(&files[1]), ..variant("360p", &small, 360) },
    ];
    let audio =
        [track("first", &sound, 2, "deu"), AudioMedia { codec: "ec-3", ..track("second", &sound, 6, "deu") }];
    let playlist = parse(&master_playlist(&variants, &audio, &[], 4));
    let (wound, played): (Vec<_>, Vec<_>) = playlist.variants.iter().partition(|variant| variant.is_i_frame);
    assert_eq!((wound.len(), played.len()), (2, 4));
    assert_eq!(wound[1].uri, "video/360p/iframes.m3u8");
    assert_eq!(
        (wound[1].bandwidth, wound[1].average_bandwidth),
        (small.peak_bps(4), Some(small.average_bps()))
    );
    assert_eq!(wound[1].codecs.as_deref(), Some("avc1.640028"));
    assert_eq!(wound[1].resolution.map(|size| size.height), Some(360));
    assert!(wound[1].audio.is_none() && wound[1].frame_rate.is_none() && wound[1].closed_captions.is_none());
}

#[test]
fn groups_of_sound_have_the_same_members() {
    let (large, small, sound) = (video(3), video(1), sound());
    let variants = [variant("1080p", &large, 1080), variant("360p", &small, 360)];
    let dolby = |name, language| AudioMedia { codec: "ec-3", ..track(name, &sound, 6, language) };
    let audio = [
        track("stereo", &sound, 2, "eng"),
        track("stereo-de", &sound, 2, "ger"),
        track("commentary", &sound, 2, "en"),
        dolby("surround", "en"),
    ];
    insta::assert_snapshot!(master_playlist(&variants, &audio, &[], 4));
}

#[test]
fn texts_are_listed_in_each_format() {
    let (large, sound) = (video(3), sound());
    let named = |language: &str, role| {
        (TextName { language: language.to_owned(), role }, stream(24_000, &[(96_096, 600)]))
    };
    let texts = vec![
        named("en", TextRole::Subtitles),
        named("en", TextRole::Captions),
        named("deu", TextRole::Forced),
        named("eng", TextRole::Subtitles),
    ];
    let groups =
        [TextFormat::WebVtt, TextFormat::Imsc1].map(|format| TextGroup { format, texts: texts.clone() });
    let audio = [track("stereo", &sound, 2, "en")];
    let text = master_playlist(&[variant("1080p", &large, 1080)], &audio, &groups, 4);
    insta::assert_snapshot!(text);
    let playlist = parse(&text);
    let named = playlist.variants.iter().map(|variant| variant.subtitles.as_deref()).collect::<Vec<_>>();
    assert_eq!(named, [Some("webvtt"), Some("imsc1")]);
    // Texts take their share.
    let alone = parse(&master_playlist(&[variant("1080p", &large, 1080)], &audio, &[], 4));
    assert_eq!(playlist.variants[0].bandwidth - alone.variants[0].bandwidth, 1_199);
}

#[test]
fn a_silent_title_has_no_audio_group() {
    let stream = video(1);
    let playlist = parse(&master_playlist(&[variant("only", &stream, 360)], &[], &[], 4));
    assert_eq!(playlist.variants[0].audio, None);
    assert_eq!(playlist.variants[0].codecs.as_deref(), Some("avc1.640028"));
    assert_eq!(playlist.variants[0].bandwidth, stream.peak_bps(4));
    assert!(playlist.alternatives.is_empty());
}

#[test]
fn names_never_break_a_line() {
    let (stream, sound) = (video(1), sound());
    let text =
        master_playlist(&[variant("x", &stream, 360)], &[track("a\"b\n#c", &sound, 2, "en\"")], &[], 4);
    assert_eq!(text.lines().count(), 6);
    assert!(text.contains("NAME=\"a_b_#c\""));
    assert!(!text.contains("LANGUAGE"));
}
