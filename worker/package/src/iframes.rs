//! The first pictures of all segments of a rendition, in one file that players wind through.
//!
//! Segments are closed GOPs and as long as the profile says, so that there is one picture for each of them.

use crate::hls::line;
use crate::{FileHead, Stream, layout};

/// Such a file: a header, an index, and a fragment for each picture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IFrames {
    /// The fragments; each lasts until the next, the last until the title ends.
    pub stream: Stream,
    /// What precedes them.
    pub head: FileHead,
}

impl IFrames {
    /// The media playlist (RFC 8216bis, section 4.4.3.6), which lies beside the file.
    pub fn playlist(&self, target_duration: u64) -> String {
        let mut text = format!(
            "#EXTM3U\n#EXT-X-VERSION:7\n#EXT-X-TARGETDURATION:{target_duration}\n#EXT-X-MEDIA-SEQUENCE:0\n\
             #EXT-X-PLAYLIST-TYPE:VOD\n#EXT-X-I-FRAMES-ONLY\n#EXT-X-INDEPENDENT-SEGMENTS\n\
             #EXT-X-MAP:URI=\"{}\",BYTERANGE=\"{}@0\"\n",
            layout::IFRAMES,
            self.head.init_bytes
        );
        for (range, duration) in self.stream.byte_ranges(self.head).zip(self.stream.durations_us()) {
            let (seconds, millionths) = (duration / 1_000_000, duration % 1_000_000);
            line(&mut text, format_args!("#EXTINF:{seconds}.{millionths:06},"));
            line(&mut text, format_args!("#EXT-X-BYTERANGE:{range}\n{}", layout::IFRAMES));
        }
        text.push_str("#EXT-X-ENDLIST\n");
        text
    }
}

#[cfg(test)]
mod tests {
    use m3u8_rs::{MediaPlaylistType, Playlist, parse_playlist_res};

    use super::*;
    use crate::SegmentSize;

    #[test]
    fn ranges_follow_each_other_behind_the_index() {
        let segments = [(96_096, 9_000), (96_096, 12_000), (38_038, 4_000)];
        let segments = segments.map(|(ticks, bytes)| SegmentSize { ticks, bytes });
        let stream = Stream { timescale: 24_000, segments: segments.to_vec(), head: None };
        let text = IFrames { stream, head: FileHead { init_bytes: 700, index_bytes: 68 } }.playlist(4);
        assert!(text.contains("#EXT-X-I-FRAMES-ONLY\n"));
        let Playlist::MediaPlaylist(playlist) = parse_playlist_res(text.as_bytes()).unwrap() else {
            panic!("not a media playlist");
        };
        assert!(playlist.i_frames_only && playlist.end_list && playlist.independent_segments);
        assert_eq!(playlist.playlist_type, Some(MediaPlaylistType::Vod));
        let map = playlist.segments[0].map.as_ref().unwrap();
        let range = map.byte_range.as_ref().unwrap();
        assert_eq!((map.uri.as_str(), range.length, range.offset), ("iframes.mp4", 700, Some(0)));
        let ranges = playlist.segments.iter().map(|segment| {
            let range = segment.byte_range.as_ref().unwrap();
            (segment.uri.as_str(), range.offset.unwrap(), range.length)
        });
        assert_eq!(
            ranges.collect::<Vec<_>>(),
            [("iframes.mp4", 768, 9_000), ("iframes.mp4", 9_768, 12_000), ("iframes.mp4", 21_768, 4_000)]
        );
        assert!(text.contains("#EXTINF:1.584917,\n#EXT-X-BYTERANGE:4000@21768\n"));
    }
}
