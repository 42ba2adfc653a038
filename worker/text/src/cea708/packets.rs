//! The transport of digital television captions: packets out of the triplets of pictures, blocks of services out of
//! packets (CTA-708-E, sections 5 and 6).

/// The kinds of triplets (CTA-708-E, table 3) that hold packets.
const DATA: u8 = 2;
const START: u8 = 3;

/// Puts packets together.
#[derive(Clone, Debug, Default)]
pub(super) struct Packets {
    /// Behind its first byte, as far as it has come.
    packet: Vec<u8>,
    /// Bytes that it has when it is whole; 0 where none has begun.
    size: usize,
}

impl Packets {
    /// Takes a triplet; gives the packet that it completes. One that is not whole when the next begins is lost. The
    /// numbers of packets are not looked at: what is lost is seen by what is missing, and the service goes on.
    pub(super) fn push(&mut self, [kind, first, second]: [u8; 3]) -> Option<&[u8]> {
        match kind & 3 {
            START => {
                self.packet.clear();
                // Of the sequence number and size code; code 0 stands for 128 bytes.
                self.size = match first & 0x3f {
                    0 => 127,
                    code => usize::from(code) * 2 - 1,
                };
                self.packet.push(second);
            }
            DATA if self.size > 0 => self.packet.extend([first, second]),
            _ => return None,
        }
        if self.packet.len() < self.size {
            return None;
        }
        self.size = 0;
        Some(&self.packet)
    }
}

/// The blocks of a packet, each with the number of its service; what is cut off or filled up is left out.
pub(super) fn blocks(packet: &[u8]) -> impl Iterator<Item = (u8, &[u8])> {
    /// Numbers from here on are in a byte of their own.
    const EXTENDED: u8 = 7;
    let mut rest = packet;
    std::iter::from_fn(move || {
        let (header, mut after) = rest.split_first()?;
        let mut service = header >> 5;
        let size = usize::from(header & 0x1f);
        if service == EXTENDED && size > 0 {
            let number;
            (number, after) = after.split_first()?;
            service = number & 0x3f;
        }
        let block;
        (block, rest) = after.split_at_checked(size)?;
        (service > 0).then_some((service, block))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packets_are_put_together_and_taken_apart() {
        let mut packets = Packets::default();
        assert_eq!(packets.push([0xfe, 1, 2]), None, "none has begun");
        // 8 bytes: a block of service 1 with two bytes, one of service 9 with one, and what fills up.
        assert_eq!(packets.push([0xff, 0x44, 0x22]), None);
        assert_eq!(packets.push([0xfe, b'a', b'b']), None);
        assert_eq!(packets.push([0xfe, 0xe1, 9]), None);
        let packet = packets.push([0xfe, b'c', 0]).unwrap().to_vec();
        let found: Vec<_> = blocks(&packet).collect();
        assert_eq!(found, [(1, &b"ab"[..]), (9, &b"c"[..])]);
        assert_eq!(packets.push([0xfe, 3, 4]), None, "it is over");
        // One begins before the last was whole.
        assert_eq!(packets.push([0xff, 0x03, 0x21]), None);
        assert_eq!(packets.push([0xff, 0xc1, 0]), Some(&[0][..]));
        assert_eq!(blocks(&[0x23, b'a', b'b']).next(), None, "cut off");
        let mut whole = Packets::default();
        whole.push([0xff, 0x00, 0]);
        let sizes: Vec<_> = (0..63).filter_map(|_| whole.push([0xfe, 0, 0]).map(<[u8]>::len)).collect();
        assert_eq!(sizes, [127]);
    }
}
