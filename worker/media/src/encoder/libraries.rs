//! What the headers of x265 and SVT-AV1 declare.

#![allow(
    dead_code,
    missing_docs,
    non_camel_case_types,
    non_snake_case,
    non_upper_case_globals,
    unreachable_pub,
    unsafe_op_in_unsafe_fn,
    clippy::all,
    clippy::undocumented_unsafe_blocks,
    reason = "generated, and whole"
)]

include!(concat!(env!("OUT_DIR"), "/encoders.rs"));
