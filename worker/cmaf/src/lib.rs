//! CMAF and MP4 boxes, fragments, exact timelines, and their reader. No I/O: readers work over [`ReadAt`].
//!
//! All boxes are written and read by this crate. `mp4-atom` decodes a `moov` into structures that drop unknown
//! children, refuses what real QuickTime files hold, and grows its tables entry by entry; sample tables of
//! millions of entries and codec configurations that must pass through byte for byte need the boxes themselves.
//! The tests use `mp4-atom` as a second, independent reader of what is written here.

pub mod audio;
pub mod av1;
pub mod avc;
mod bits;
mod boxes;
pub mod clear;
pub mod fragment;
pub mod hevc;
pub mod iframes;
pub mod index;
pub mod init;
pub mod mov;
pub mod progressive;
pub mod protect;
mod read_at;
mod sample_entry;
pub mod sample_table;
pub mod segment;
mod track;
mod video;
mod writer;

pub use audio::AudioConfig;
pub use read_at::ReadAt;
pub use video::VideoConfig;
