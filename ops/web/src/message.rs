//! Messages of the farm in the JSON that protobuf defines for them.

use std::sync::LazyLock;

use prost_reflect::prost::Message;
use prost_reflect::{DescriptorPool, DynamicMessage};
use serde_json::Value;

static POOL: LazyLock<DescriptorPool> =
    LazyLock::new(|| DescriptorPool::decode(reel_proto::DESCRIPTORS).expect("the program's own descriptors"));

/// A message of `reel.v1`, by its name there: names in lowerCamelCase, 64-bit numbers as strings, and no fields that have their
/// defaults (ProtoJSON).
pub fn json(message: &impl Message, name: &str) -> Value {
    let known = POOL.get_message_by_name(&format!("reel.v1.{name}"));
    let descriptor = known.expect("a message of the farm");
    let mut dynamic = DynamicMessage::new(descriptor);
    dynamic.transcode_from(message).expect("its own bytes");
    serde_json::to_value(dynamic).expect("messages have no other keys than texts")
}
