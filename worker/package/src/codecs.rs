//! Codec strings of RFC 6381 for sound, out of decoder configurations.

/// `mp4a.40.N` of an AudioSpecificConfig, where N is its audio object type (ISO/IEC 14496-3, section 1.6.2.1).
pub(crate) fn aac(config: &[u8]) -> Option<String> {
    let [first, second, ..] = config else { return None };
    let object_type = match first >> 3 {
        31 => 32 + ((first & 7) << 3 | second >> 5),
        small => small,
    };
    Some(format!("mp4a.40.{object_type}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codec_strings_follow_the_configurations() {
        assert_eq!(aac(&[0x11, 0x90]).as_deref(), Some("mp4a.40.2"));
        assert_eq!(aac(&[0xf9, 0x46, 0x40]).as_deref(), Some("mp4a.40.42"));
        assert_eq!(aac(&[]), None);
    }
}
