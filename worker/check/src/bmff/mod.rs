//! Boxes of headers, segments and indexes, read strictly.

mod boxes;
mod codec;
mod fragment;
mod index;
mod nal;
mod protection;
mod samples;
mod track;

pub(crate) use boxes::top_boxes;
pub(crate) use codec::is_same;
pub(crate) use fragment::{Fragments, read as read_segment, read_iframe};
pub(crate) use index::read as read_index;
pub(crate) use protection::system_header;
pub(crate) use track::{Header, Track, read as read_track};
