//! The crate against its peers: what ffmpeg writes is read as ffprobe reads it, and what is written here is
//! decoded by ffmpeg and parsed by `mp4-atom`.
#![allow(clippy::unwrap_used)]

mod clip;
mod fragments;
mod sample_tables;
mod written;
