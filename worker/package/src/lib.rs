//! HLS playlists, DASH manifests and the layout of an output tree. Pure text: nothing is read or written here.

pub mod dash;
pub mod hls;
mod iframes;
pub mod images;
pub mod layout;
pub mod protect;
mod stream;
mod text;
pub mod ts;

pub use iframes::IFrames;
pub use stream::{FileHead, SegmentSize, Stream, target_duration};
pub use text::TextFormat;
