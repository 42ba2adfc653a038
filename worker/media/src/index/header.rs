//! What the headers of coded pictures say of their fields, by libav's parsers.

use std::ptr;

use ffmpeg_next as ff;
use ffmpeg_next::ffi;
use reel_common::Scan;

/// `repeat_pict` of a picture that is shown for three fields.
const THREE_FIELDS: i32 = 2;
const TOP_FIELD: i32 = ffi::AVPictureStructure::AV_PICTURE_STRUCTURE_TOP_FIELD as i32;
const BOTTOM_FIELD: i32 = ffi::AVPictureStructure::AV_PICTURE_STRUCTURE_BOTTOM_FIELD as i32;

/// What a packet holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct PictureHeader {
    /// The order of its fields, where it has any.
    pub(super) scan: Scan,
    /// Which field it begins with; `None` for a frame.
    pub(super) field: Option<Parity>,
    /// Whether other pictures may refer to it: it is no B picture.
    pub(super) is_reference: bool,
    /// Whether its first field is shown again after the second.
    pub(super) repeats: bool,
}

/// Which lines of a frame a field has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Parity {
    Top,
    Bottom,
}

/// Reads packet after packet of one stream.
pub(super) struct HeaderParser {
    parser: ptr::NonNull<ffi::AVCodecParserContext>,
    codec: ff::codec::Context,
}

impl HeaderParser {
    /// A parser for a stream; `None` for codecs of which no fields are known here. Those of HEVC are pictures of their own
    /// for libav.
    pub(super) fn new(stream: &ff::Stream) -> Option<Self> {
        use ff::codec::Id::{H264, MPEG1VIDEO, MPEG2VIDEO};
        if ![H264, MPEG1VIDEO, MPEG2VIDEO].contains(&stream.parameters().id()) {
            return None;
        }
        let codec = ff::codec::Context::from_parameters(stream.parameters()).ok()?;
        // SAFETY: the function returns a parser of its own, or null.
        let parser = unsafe { ffi::av_parser_init(ffi::AVCodecID::from(stream.parameters().id()) as i32) };
        let parser = ptr::NonNull::new(parser)?;
        // SAFETY: the parser was just made.
        unsafe { (*parser.as_ptr()).flags |= ffi::PARSER_FLAG_COMPLETE_FRAMES };
        Some(HeaderParser { parser, codec })
    }

    /// Reads the header of the next packet.
    pub(super) fn read(&mut self, packet: &ff::Packet) -> PictureHeader {
        let data = packet.data().unwrap_or_default();
        let (mut out, mut size) = (ptr::null_mut(), 0);
        // SAFETY: parser and context are open; libav reads at most the bytes of the packet and the padding that every
        // packet has, and the pointer that it gives is not used.
        unsafe {
            let (parser, none) = (self.parser.as_ptr(), ffi::AV_NOPTS_VALUE);
            ffi::av_parser_parse2(
                parser,
                self.codec.as_mut_ptr(),
                &mut out,
                &mut size,
                data.as_ptr(),
                data.len() as i32,
                none,
                none,
                -1,
            );
            // C enums of the size of an int, read as such because a parser may hold a value that Rust's do not know.
            let number = |field: *const i32| field.read();
            let structure = number(ptr::addr_of!((*parser).picture_structure).cast());
            PictureHeader {
                scan: crate::demux::scan(number(ptr::addr_of!((*parser).field_order).cast())),
                field: match structure {
                    TOP_FIELD => Some(Parity::Top),
                    BOTTOM_FIELD => Some(Parity::Bottom),
                    _ => None,
                },
                is_reference: (*parser).pict_type != ffi::AVPictureType::AV_PICTURE_TYPE_B as i32,
                repeats: (*parser).repeat_pict == THREE_FIELDS,
            }
        }
    }
}

impl Drop for HeaderParser {
    fn drop(&mut self) {
        // SAFETY: the parser is ours and is not used any more.
        unsafe { ffi::av_parser_close(self.parser.as_ptr()) };
    }
}
