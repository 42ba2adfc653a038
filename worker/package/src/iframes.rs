//! The first pictures of all segments of a rendition, in one file that players wind through.
//!
//! Segments are closed GOPs and as long as the profile says, so that there is one picture for each of them.

use crate::hls::line;
use crate::{Stream, layout};

/// Such a file: a header, an index, and a fragment for each picture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IFrames {
    /// The fragments; each lasts until the next, the last until the title ends.
    pub stream: Stream,
    /// Bytes of the header.
    pub init_bytes: u64,
    /// Bytes of the index, which follows it.
    pub index_bytes: u64,
}

impl IFrames {
    /// The media playlist (RFC 8216bis, section 4.4.3.6), which lies beside the file.
    pub fn playlist(&self, target_duration: u64) -> String {
        let mut text = format!(
            "#EXTM3U\n#EXT-X-VERSION:7\n#EXT-X-TARGETDURATION:{target_duration}\n#EXT-X-MEDIA-SEQUENCE:0\n\
             #EXT-X-PLAYLIST-TYPE:VOD\n#EXT-X-I-FRAMES-ONLY\n#EXT-X-INDEPENDENT-SEGMENTS\n\
             #EXT-X-MAP:URI=\"{}\",BYTERANGE=\"{}@0\"\n",
            layout::IFRAMES,
            self.init_bytes
        );
        let mut offset = self.init_bytes + self.index_bytes;
        for (segment, duration) in self.stream.segments.iter().zip(self.stream.durations_us()) {
            let (seconds, millionths) = (duration / 1_000_000, duration % 1_000_000);
            line(&mut text, format_args!("#EXTINF:{seconds}.{millionths:06},"));
            line(&mut text, format_args!("#EXT-X-BYTERANGE:{}@{offset}\n{}", segment.bytes, layout::IFRAMES));
            offset += segment.bytes;
        }
        text.push_str("#EXT-X-ENDLIST\n");
        text
    }
}
