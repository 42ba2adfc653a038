//! Encrypted segments, byte for byte against Shaka Packager, and decrypted by it and by its ffmpeg.
#![allow(clippy::unwrap_used)]

mod clip;
mod decrypted;
mod equal;
mod packager;
