//! HLS playlists of transport streams, as devices of protocol version 3 read them (RFC 8216, section 7): sound and pictures come in
//! one file, and nothing that such a device need not know changes what it plays.

use reel_common::Rational;

use crate::hls::{frame_rate, line};
use crate::{Stream, layout};

/// Rounded durations take version 3.
const VERSION: u32 = 3;

/// A rendition with its sound.
#[derive(Clone, Debug)]
pub struct TsVariant<'a> {
    /// Name of the rendition.
    pub rendition: &'a str,
    /// Its segments, as large as they are with packets and sound.
    pub stream: &'a Stream,
    /// What RFC 6381 calls the codecs in them.
    pub codecs: Vec<&'a str>,
    /// Coded width in samples.
    pub width: u32,
    /// Coded height in samples.
    pub height: u32,
    /// Frames a second; the highest where it varies, or `None` where that is unknown.
    pub frame_rate: Option<Rational>,
}

/// The media playlist of a rendition.
pub fn media_playlist(stream: &Stream, target_duration: u64) -> String {
    let mut text = format!(
        "#EXTM3U\n#EXT-X-VERSION:{VERSION}\n#EXT-X-TARGETDURATION:{target_duration}\n\
         #EXT-X-MEDIA-SEQUENCE:0\n#EXT-X-PLAYLIST-TYPE:VOD\n"
    );
    for (number, duration) in (0..).zip(stream.durations_us()) {
        let (seconds, millionths) = (duration / 1_000_000, duration % 1_000_000);
        line(&mut text, format_args!("#EXTINF:{seconds}.{millionths:06},\n{}", layout::ts_segment(number)));
    }
    text.push_str("#EXT-X-ENDLIST\n");
    text
}

/// The master playlist, in the order of the ladder; a player begins with the first.
pub fn master_playlist(variants: &[TsVariant<'_>], target_duration: u64) -> String {
    let mut text = format!("#EXTM3U\n#EXT-X-VERSION:{VERSION}\n#EXT-X-INDEPENDENT-SEGMENTS\n");
    for variant in variants {
        let TsVariant { rendition, stream, codecs, width, height, .. } = variant;
        let (peak, average) = (stream.peak_bps(target_duration), stream.average_bps());
        let rate = variant.frame_rate.map(frame_rate).unwrap_or_default();
        let codecs = codecs.join(",");
        line(
            &mut text,
            format_args!(
                "#EXT-X-STREAM-INF:BANDWIDTH={peak},AVERAGE-BANDWIDTH={average},CODECS=\"{codecs}\",\
                 RESOLUTION={width}x{height}{rate},CLOSED-CAPTIONS=NONE"
            ),
        );
        line(&mut text, format_args!("{}/{}", layout::ts_folder(rendition), layout::PLAYLIST));
    }
    text
}

#[cfg(test)]
mod tests {
    use m3u8_rs::{Playlist, parse_playlist_res};

    use super::*;
    use crate::SegmentSize;

    #[test]
    fn playlists_read_as_they_should() {
        let segments = [(96_096, 1_500_000), (96_096, 2_000_000), (38_038, 600_000)];
        let segments = segments.map(|(ticks, bytes)| SegmentSize { ticks, bytes });
        let stream = Stream { timescale: 24_000, segments: segments.to_vec(), head: None };
        let codecs = vec!["avc1.640028", "mp4a.40.2"];
        let variant = TsVariant {
            rendition: "1080p",
            stream: &stream,
            codecs,
            width: 1920,
            height: 1080,
            frame_rate: Rational::new(24_000, 1001),
        };
        let (master, media) = (master_playlist(&[variant], 4), media_playlist(&stream, 4));
        assert!(parse_playlist_res(master.as_bytes()).is_ok());
        let Playlist::MediaPlaylist(playlist) = parse_playlist_res(media.as_bytes()).unwrap() else {
            panic!("not a media playlist");
        };
        assert_eq!((playlist.version, playlist.segments.len(), playlist.end_list), (Some(3), 3, true));
        insta::assert_snapshot!(format!("{master}\n{media}"));
    }
}
