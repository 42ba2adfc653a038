//! Sprite sheets in HLS: the image media playlist of Roku, Disney and WarnerMedia (Image Media Playlist, version 0.4), which
//! players that do not know it leave alone.

use std::fmt::Write;

use crate::{Stream, layout, target_duration};

/// The sheets of a title.
#[derive(Clone, Debug)]
pub struct Sprites {
    /// Width of a thumbnail in pixels.
    pub width: u32,
    /// Height of a thumbnail in pixels.
    pub height: u32,
    /// Thumbnails side by side.
    pub columns: u32,
    /// Rows of a sheet.
    pub rows: u32,
    /// From the beginning of one thumbnail to that of the next, in milliseconds.
    pub every_ms: u32,
    /// The sheets, in milliseconds; the last ends with the title.
    pub stream: Stream,
}

impl Sprites {
    /// The playlist of the sheets, which lie beside it.
    pub fn playlist(&self) -> String {
        let Sprites { width, height, columns, rows, every_ms, stream } = self;
        let target = target_duration([stream]);
        let mut text = format!(
            "#EXTM3U\n#EXT-X-VERSION:7\n#EXT-X-TARGETDURATION:{target}\n#EXT-X-MEDIA-SEQUENCE:0\n\
             #EXT-X-PLAYLIST-TYPE:VOD\n#EXT-X-IMAGES-ONLY\n"
        );
        for (number, sheet) in stream.segments.iter().enumerate() {
            // Writing to a string cannot fail.
            let _ = write!(
                text,
                "#EXTINF:{},\n#EXT-X-TILES:RESOLUTION={width}x{height},LAYOUT={columns}x{rows},DURATION={}\n{}\n",
                seconds(sheet.ticks),
                seconds((*every_ms).into()),
                layout::sprite(number)
            );
        }
        text.push_str("#EXT-X-ENDLIST\n");
        text
    }

    /// The line of the master playlist that names it. The resolution is that of a thumbnail.
    pub fn stream_inf(&self) -> String {
        let Sprites { width, height, stream, .. } = self;
        let (peak, average) = (stream.peak_bps(target_duration([stream])), stream.average_bps());
        format!(
            "#EXT-X-IMAGE-STREAM-INF:BANDWIDTH={peak},AVERAGE-BANDWIDTH={average},RESOLUTION={width}x{height},\
             CODECS=\"jpeg\",URI=\"{}/{}\"\n",
            layout::IMAGES,
            layout::PLAYLIST
        )
    }
}

fn seconds(ms: u64) -> String {
    format!("{}.{:03}", ms / 1000, ms % 1000)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SegmentSize;

    fn sprites() -> Sprites {
        let segments = [(250_000, 300_000), (250_000, 310_000), (7_041, 30_000)];
        let segments = segments.map(|(ticks, bytes)| SegmentSize { ticks, bytes });
        let stream = Stream { timescale: 1000, segments: segments.to_vec(), head: None };
        Sprites { width: 320, height: 180, columns: 5, rows: 5, every_ms: 10_000, stream }
    }

    #[test]
    fn an_image_playlist_reads_as_it_should() {
        insta::assert_snapshot!(sprites().playlist(), @r"
        #EXTM3U
        #EXT-X-VERSION:7
        #EXT-X-TARGETDURATION:250
        #EXT-X-MEDIA-SEQUENCE:0
        #EXT-X-PLAYLIST-TYPE:VOD
        #EXT-X-IMAGES-ONLY
        #EXTINF:250.000,
        #EXT-X-TILES:RESOLUTION=320x180,LAYOUT=5x5,DURATION=10.000
        sprite_00001.jpg
        #EXTINF:250.000,
        #EXT-X-TILES:RESOLUTION=320x180,LAYOUT=5x5,DURATION=10.000
        sprite_00002.jpg
        #EXTINF:7.041,
        #EXT-X-TILES:RESOLUTION=320x180,LAYOUT=5x5,DURATION=10.000
        sprite_00003.jpg
        #EXT-X-ENDLIST
        ");
    }

    #[test]
    fn the_master_playlist_names_it() {
        insta::assert_snapshot!(sprites().stream_inf(), @r#"#EXT-X-IMAGE-STREAM-INF:BANDWIDTH=10582,AVERAGE-BANDWIDTH=10098,RESOLUTION=320x180,CODECS="jpeg",URI="images/playlist.m3u8""#);
    }
}
