//! The process that touches media bytes: runs one attempt of one task.

mod assemble;

fn main() {}
