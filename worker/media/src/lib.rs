//! libav, encoders, pixels and samples: index, exact range decode, encode, proof. The only room with `unsafe`.

mod audio;
mod batch;
mod decode;
mod deinterlace;
mod demux;
mod encode;
mod encoder;
mod error;
mod facts;
mod frames;
mod images;
mod index;
mod log;
mod measure;
mod packets;
mod picture;
mod recipe;
mod stretches;
mod subtitles;
mod timeline;
mod tone;

pub use audio::{AudioJob, audio, audio_config, audio_init, encodes, opus_version};
pub use batch::run_as_batch;
pub use encode::{EncodeEvents, EncodeJob, Purpose, encode};
pub use encoder::{svt_av1_version, x264_version, x265_version};
pub use error::MediaError;
pub use images::{ImageFile, ImageJob, ReadImage, images, measure_images, verify_images};
pub use index::{index, segment_ends_ms};
pub use measure::{MeasureJob, VerifyJob, measure, verify};
pub use recipe::library_versions;
pub use stretches::Stretches;
pub use subtitles::{Subtitles, subtitles};
pub use timeline::Timeline;
