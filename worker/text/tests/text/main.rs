//! Files of every format into cues and back, damaged ones, and byte pairs of captions.
#![allow(clippy::unwrap_used)]

mod captions;
mod digital;
mod readers;
mod robust;
mod shown;
mod written;
