//! Whole-farm tests over real processes and real media.
