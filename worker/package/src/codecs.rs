//! Codec strings of RFC 6381, out of decoder configurations.

/// `avc1.PPCCLL` of an AVCDecoderConfigurationRecord (ISO/IEC 14496-15, section 5.3.3.1 and annex E).
pub(crate) fn avc(avcc: &[u8]) -> Option<String> {
    let [_, profile, constraints, level, ..] = avcc else { return None };
    Some(format!("avc1.{profile:02x}{constraints:02x}{level:02x}"))
}

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
        assert_eq!(avc(&[1, 0x64, 0, 0x28, 0xff]).as_deref(), Some("avc1.640028"));
        assert_eq!(avc(&[1, 0x42, 0xc0, 0x1e]).as_deref(), Some("avc1.42c01e"));
        assert_eq!(aac(&[0x11, 0x90]).as_deref(), Some("mp4a.40.2"));
        assert_eq!(aac(&[0xf9, 0x46, 0x40]).as_deref(), Some("mp4a.40.42"));
        assert_eq!((avc(&[1, 2]), aac(&[])), (None, None));
    }
}
