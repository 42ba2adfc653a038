//! HLS playlists and the layout of an output tree. Pure text: nothing is read or written here.

pub mod hls;
pub mod images;
pub mod layout;
pub mod protect;
mod stream;
mod text;

pub use stream::{SegmentSize, Stream, target_duration};
pub use text::TextFormat;
