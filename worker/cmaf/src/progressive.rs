//! Single-file MP4 with its header first.
