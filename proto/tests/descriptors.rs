//! Services, messages and fields of every released version are there for ever, under the same numbers and types.
//!
//! `tests/golden/descriptors.txt` has a line for each. `REEL_BLESS=1 cargo test -p reel-proto` adds new ones; a line that
//! was released is never changed or removed.

#![allow(clippy::unwrap_used, reason = "a test fails where it is surprised")]

use std::collections::BTreeSet;
use std::path::PathBuf;

use prost_types::{DescriptorProto, EnumDescriptorProto, FileDescriptorSet, ServiceDescriptorProto};

fn message(package: &str, message: &DescriptorProto, lines: &mut BTreeSet<String>) {
    let name = format!("{package}.{}", message.name());
    for field in &message.field {
        let kind = if field.type_name().is_empty() {
            format!("{:?}", field.r#type())
        } else {
            field.type_name().to_owned()
        };
        let label = field.label();
        lines.insert(format!("{name} {} = {} {label:?} {kind}", field.number(), field.name()));
    }
    message.nested_type.iter().for_each(|nested| self::message(&name, nested, lines));
    message.enum_type.iter().for_each(|nested| values(&name, nested, lines));
}

fn values(package: &str, values: &EnumDescriptorProto, lines: &mut BTreeSet<String>) {
    for value in &values.value {
        lines.insert(format!("{package}.{} {} = {}", values.name(), value.number(), value.name()));
    }
}

fn methods(package: &str, service: &ServiceDescriptorProto, lines: &mut BTreeSet<String>) {
    for method in &service.method {
        let stream = |streams| if streams { "stream " } else { "" };
        let (input, output) = (stream(method.client_streaming()), stream(method.server_streaming()));
        lines.insert(format!(
            "{package}.{}/{} {input}{} -> {output}{}",
            service.name(),
            method.name(),
            method.input_type(),
            method.output_type()
        ));
    }
}

#[test]
fn nothing_that_was_released_is_gone_or_has_another_meaning() {
    let set = <FileDescriptorSet as prost::Message>::decode(reel_proto::DESCRIPTORS).unwrap();
    let mut now = BTreeSet::new();
    for file in set.file.iter().filter(|file| file.package().starts_with("reel.")) {
        file.message_type.iter().for_each(|found| message(file.package(), found, &mut now));
        file.enum_type.iter().for_each(|found| values(file.package(), found, &mut now));
        file.service.iter().for_each(|found| methods(file.package(), found, &mut now));
    }
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden/descriptors.txt");
    let text = std::fs::read_to_string(&path).unwrap_or_default();
    let released: BTreeSet<String> = text.lines().map(str::to_owned).collect();
    if std::env::var_os("REEL_BLESS").is_some() {
        let all: Vec<&str> = released.union(&now).map(String::as_str).collect();
        std::fs::write(&path, format!("{}\n", all.join("\n"))).unwrap();
        return;
    }
    let gone: Vec<_> = released.difference(&now).collect();
    assert!(gone.is_empty(), "these were released and are gone or changed: {gone:#?}");
    let new: Vec<_> = now.difference(&released).collect();
    assert!(new.is_empty(), "these are new: bless them ({new:#?})");
}
