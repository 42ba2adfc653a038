//! Film of 24 pictures a second for 60 fields: MPEG-2 that asks decoders to show every second picture for three fields
//! (soft telecine), which the distribution's encoder does not write. ISO/IEC 13818-2, 6.2.2.3 and 6.2.3.1.

/// The start code of an extension.
const EXTENSION: [u8; 4] = [0, 0, 1, 0xB5];
const SEQUENCE: u8 = 1;
const PICTURE: u8 = 8;

/// Marks the pictures of a progressive stream, which are shown in the order of their temporal references: two fields,
/// three, two, three.
pub fn repeat_fields(stream: &[u8]) -> Vec<u8> {
    let mut marked = stream.to_vec();
    // The picture header tells a picture's place in its group; the extension after it takes the marks.
    let (mut shown_before, mut shown_next, mut place) = (0, 0, 0);
    let starts = |at: usize, code: &[u8]| stream[at..].starts_with(code);
    // Nothing else in the file has to change: no sizes do.
    for at in 0..stream.len().saturating_sub(10) {
        if starts(at, &[0, 0, 1, 0xB8]) {
            shown_before = shown_next;
        } else if starts(at, &[0, 0, 1, 0]) {
            place = shown_before + (usize::from(stream[at + 4]) << 2 | usize::from(stream[at + 5]) >> 6);
            shown_next = shown_next.max(place + 1);
        } else if starts(at, &[0, 0, 1, 0xB3]) {
            // frame_rate_code: 60000/1001 becomes 30000/1001.
            marked[at + 7] = marked[at + 7] & 0xF0 | 4;
        } else if starts(at, &EXTENSION) && stream[at + 4] >> 4 == SEQUENCE {
            // progressive_sequence is the 17th bit behind the start code.
            marked[at + 5] &= !0x08;
        } else if starts(at, &EXTENSION) && stream[at + 4] >> 4 == PICTURE {
            let (top_first, repeat) = (0x80, 0x02);
            // A picture of three fields ends with the field that it begins with: the next begins with the other.
            let fields_before = place * 2 + place / 2;
            marked[at + 7] &= !(top_first | repeat);
            marked[at + 7] |= if fields_before % 2 == 0 { top_first } else { 0 };
            marked[at + 7] |= if place % 2 == 1 { repeat } else { 0 };
        }
    }
    marked
}
