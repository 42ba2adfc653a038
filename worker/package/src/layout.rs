//! Where things lie in an output tree. Paths are relative to its root and use `/`; names of renditions and tracks
//! are plain file names, which the profile has checked.

use crate::TextFormat;

/// The master playlist.
pub const MASTER: &str = "master.m3u8";
/// The master playlist of transport streams.
pub const TS_MASTER: &str = "ts.m3u8";
/// The DASH manifest.
pub const MANIFEST: &str = "manifest.mpd";
/// The proof.
pub const REPORT: &str = "report.json";
/// The media playlist, in the folder of its rendition or track.
pub const PLAYLIST: &str = "playlist.m3u8";
/// The init segment, likewise.
pub const INIT: &str = "init.mp4";
/// The one file of all segments with their header and index, likewise; in place of them.
pub const MEDIA: &str = "media.mp4";

/// The first pictures of all segments of a rendition, in its folder.
pub const IFRAMES: &str = "iframes.mp4";
/// The media playlist of these, likewise.
pub const IFRAMES_PLAYLIST: &str = "iframes.m3u8";

/// The folder of thumbnails and poster.
pub const IMAGES: &str = "images";
/// What names the thumbnails, in that folder.
pub const THUMBNAILS: &str = "thumbnails.vtt";
/// The poster, likewise.
pub const POSTER: &str = "poster.jpg";

/// A sprite sheet, likewise; `number` counts from 0, names count from 1.
pub fn sprite(number: usize) -> String {
    format!("sprite_{:05}.jpg", number + 1)
}

/// The folder of a rendition's segments.
pub fn video_folder(rendition: &str) -> String {
    format!("video/{rendition}")
}

/// The folder of an audio track's segments.
pub fn audio_folder(track: &str) -> String {
    format!("audio/{track}")
}

/// The folder of the segments of a text.
pub fn text_folder(format: TextFormat, text: &str) -> String {
    format!("subtitles/{}/{text}", format.name())
}

/// A text as a file by itself.
pub fn text_file(text: &str) -> String {
    format!("subtitles/{text}.vtt")
}

/// The file name of a segment of WebVTT, numbered as others are.
pub fn text_segment(number: u64) -> String {
    format!("seg_{:05}.vtt", number + 1)
}

/// The file name of a segment; `number` counts from 0 over the title, names count from 1.
pub fn segment(number: u64) -> String {
    format!("seg_{:05}.m4s", number + 1)
}

/// The folder of a rendition's transport stream.
pub fn ts_folder(rendition: &str) -> String {
    format!("ts/{rendition}")
}

/// The file name of a segment of a transport stream, numbered as others are.
pub fn ts_segment(number: u64) -> String {
    format!("seg_{:05}.ts", number + 1)
}

/// The file of an audio track by itself.
pub fn audio_file(track: &str) -> String {
    format!("{track}.m4a")
}

/// The single file of a rendition.
pub fn single_file(rendition: &str) -> String {
    format!("{rendition}.mp4")
}
