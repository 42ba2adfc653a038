//! Random access points, read from the bitstream: a container's key flag is a claim, not a fact.

/// How the pictures of a codec are examined.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Syntax {
    /// Every picture stands by itself.
    IntraOnly,
    /// AVC: ISO/IEC 14496-10.
    H264(Framing),
    /// HEVC: ISO/IEC 23008-2.
    Hevc(Framing),
    /// MPEG-1 and MPEG-2 video: ISO/IEC 13818-2.
    Mpeg2,
    /// The container's flag is all there is.
    Unexamined,
}

/// How NAL units are told apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Framing {
    /// Start codes, Annex B.
    AnnexB,
    /// A big-endian length of this many bytes before each, ISO/IEC 14496-15.
    Length(usize),
}

/// How much of a packet is looked at: parameter sets and SEI come first and are short.
pub(super) const EXAMINED_BYTES: usize = 4096;

impl Syntax {
    /// The syntax of a codec, by libav's name and its extradata.
    pub(super) fn of(codec: &str, intra_only: bool, extradata: &[u8]) -> Self {
        // avcC and hvcC begin with their version; Annex B extradata begins with a start code.
        let framing = |length_at: usize| match (extradata.first(), extradata.get(length_at)) {
            (Some(1), Some(byte)) => Framing::Length(usize::from(byte & 3) + 1),
            _ => Framing::AnnexB,
        };
        match codec {
            "h264" => Syntax::H264(framing(4)),
            "hevc" => Syntax::Hevc(framing(21)),
            "mpeg2video" | "mpeg1video" => Syntax::Mpeg2,
            _ if intra_only => Syntax::IntraOnly,
            _ => Syntax::Unexamined,
        }
    }

    /// Whether decoding can begin at the packet that starts with `head`: all pictures that follow in both decode
    /// and presentation order come out right.
    pub(super) fn begins(self, head: &[u8], key_flag: bool) -> bool {
        match self {
            Syntax::IntraOnly => true,
            Syntax::Unexamined => key_flag,
            Syntax::H264(framing) => h264_begins(head, framing),
            Syntax::Hevc(framing) => hevc_begins(head, framing),
            Syntax::Mpeg2 => mpeg2_begins(head),
        }
    }
}

/// The NAL units of a packet, the last perhaps cut short.
fn units(mut data: &[u8], framing: Framing) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || match framing {
        Framing::Length(bytes) => {
            let (length, rest) = data.split_at_checked(bytes)?;
            let length = length.iter().fold(0usize, |sum, byte| sum << 8 | usize::from(*byte));
            let (unit, rest) = rest.split_at(length.min(rest.len()));
            data = rest;
            Some(unit)
        }
        Framing::AnnexB => {
            let start = find_start_code(data)?;
            let rest = &data[start + 3..];
            let end = find_start_code(rest).unwrap_or(rest.len());
            data = &rest[end..];
            Some(&rest[..end])
        }
    })
}

fn find_start_code(data: &[u8]) -> Option<usize> {
    data.windows(3).position(|window| window == [0, 0, 1])
}

/// An IDR picture (type 5), or a picture with a recovery point SEI before the first slice that recovers at once and
/// exactly (D.2.8): pictures that are only about right would depend on where decoding began.
fn h264_begins(head: &[u8], framing: Framing) -> bool {
    for unit in units(head, framing) {
        match unit.first().map(|byte| byte & 31) {
            Some(5) => return true,
            Some(1..=4) => return false,
            Some(6) if recovers_at_once(&unit[1..]) => return true,
            _ => {}
        }
    }
    false
}

/// Whether an SEI unit holds such a recovery point (payload type 6).
fn recovers_at_once(mut sei: &[u8]) -> bool {
    fn number(sei: &mut &[u8]) -> Option<usize> {
        let mut sum = 0;
        loop {
            let (byte, rest) = sei.split_first()?;
            *sei = rest;
            sum += usize::from(*byte);
            if *byte != 255 {
                return Some(sum);
            }
        }
    }
    while let (Some(kind), Some(size)) = (number(&mut sei), number(&mut sei)) {
        let Some((payload, rest)) = sei.split_at_checked(size) else { return false };
        if kind == 6 {
            // recovery_frame_cnt 0 is one set bit; then exact_match_flag must be set and broken_link_flag not.
            return payload.first().is_some_and(|byte| byte & 0xE0 == 0xC0);
        }
        sei = rest;
    }
    false
}

/// An intra random access point picture: BLA, IDR or CRA, types 16 to 21 (table 7-1).
fn hevc_begins(head: &[u8], framing: Framing) -> bool {
    let slices = units(head, framing).filter_map(|unit| unit.first().map(|byte| byte >> 1 & 63));
    slices.into_iter().find(|kind| *kind < 32).is_some_and(|kind| (16..=21).contains(&kind))
}

/// An I picture (6.3.9: picture_coding_type 1) after a sequence or group header.
fn mpeg2_begins(head: &[u8]) -> bool {
    let mut headed = false;
    for unit in units(head, Framing::AnnexB) {
        match unit.first() {
            Some(0xB3 | 0xB8) => headed = true,
            Some(0x00) => return headed && unit.get(2).is_some_and(|byte| byte >> 3 & 7 == 1),
            _ => {}
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    const LENGTH: Framing = Framing::Length(4);

    fn lengths(units: &[&[u8]]) -> Vec<u8> {
        units.iter().flat_map(|unit| [&(unit.len() as u32).to_be_bytes()[..], unit].concat()).collect()
    }

    fn starts(units: &[&[u8]]) -> Vec<u8> {
        units.iter().flat_map(|unit| [&[0, 0, 0, 1][..], unit].concat()).collect()
    }

    #[test]
    fn an_avc_packet_begins_at_an_idr_or_an_instant_recovery_point() {
        let recovery = [0x06, 0x06, 0x01, 0xC4, 0x80];
        let slow_recovery = [0x06, 0x06, 0x01, 0x24, 0x80];
        let inexact_recovery = [0x06, 0x06, 0x01, 0x84, 0x80];
        let cases: [(&[&[u8]], bool); 7] = [
            (&[&inexact_recovery, &[0x41, 0x9A]], false),
            (&[&[0x67, 1], &[0x68, 1], &[0x65, 0x88]], true),
            (&[&[0x09, 0xF0], &recovery, &[0x41, 0x9A]], true),
            (&[&[0x06, 0x05, 0x02, 9, 9, 0x06, 0x01, 0xC4, 0x80], &[0x41, 0x9A]], true),
            (&[&slow_recovery, &[0x41, 0x9A]], false),
            (&[&[0x41, 0x9A]], false),
            (&[], false),
        ];
        for (units, expected) in cases {
            assert_eq!(Syntax::H264(LENGTH).begins(&lengths(units), true), expected, "{units:?}");
            assert_eq!(Syntax::H264(Framing::AnnexB).begins(&starts(units), true), expected, "{units:?}");
        }
    }

    #[test]
    fn an_hevc_packet_begins_at_idr_bla_and_cra() {
        let cases = [(1, false), (16, true), (19, true), (21, true), (22, false), (9, false)];
        for (kind, expected) in cases {
            let packet = lengths(&[&[32 << 1, 1], &[39 << 1, 1], &[kind << 1, 1]]);
            assert_eq!(Syntax::Hevc(LENGTH).begins(&packet, true), expected, "type {kind}");
        }
    }

    #[test]
    fn an_mpeg2_packet_begins_at_an_i_picture_with_a_header() {
        let picture = |kind: u8| [0x00, 0x00, kind << 3, 0xFF];
        let sequence: &[u8] = &[0xB3, 0x2D];
        assert!(Syntax::Mpeg2.begins(&starts(&[sequence, &[0xB8, 0], &picture(1)]), false));
        assert!(!Syntax::Mpeg2.begins(&starts(&[sequence, &picture(2)]), true));
        assert!(!Syntax::Mpeg2.begins(&starts(&[&picture(1)]), true));
    }

    #[test]
    fn damaged_heads_are_no_access_points_and_no_panic() {
        let packet = lengths(&[&[0x06, 0xFF, 0xFF], &[0x65]]);
        for length in 0..packet.len() {
            Syntax::H264(LENGTH).begins(&packet[..length], true);
            Syntax::H264(Framing::AnnexB).begins(&packet[..length], true);
            Syntax::Hevc(LENGTH).begins(&packet[..length], true);
        }
        assert!(!Syntax::H264(LENGTH).begins(&[0xFF; 40], true));
    }
}
