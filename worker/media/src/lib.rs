//! libav, x264, pixels and samples: index, exact range decode, encode, proof. The only room with `unsafe`.

mod decode;
mod demux;
mod error;
mod index;
mod packets;
mod timeline;

pub use error::MediaError;
pub use index::index;
pub use timeline::Timeline;
