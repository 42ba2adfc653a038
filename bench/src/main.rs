//! Whole-job benchmarks against one ffmpeg command.

fn main() {}
