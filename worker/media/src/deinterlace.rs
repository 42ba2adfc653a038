//! One progressive frame of every two fields, by libavfilter's bwdif.

use std::collections::VecDeque;
use std::ffi::CString;

use ff::format::Pixel;
use ffmpeg_next as ff;
use ffmpeg_next::ffi;
use reel_common::Scan;

use crate::MediaError;
use crate::picture::reference;

/// What is said of it in a recipe key.
pub(crate) const FILTER_NAME: &str = "bwdif send_frame, interlaced pictures";
/// Pictures on either side that a frame depends on.
pub(crate) const CONTEXT: u64 = 1;
/// Codecs whose decoders say of each picture whether it is interlaced. Pictures of others are what their container says.
const FLAGGED: [&str; 9] =
    ["h264", "hevc", "mpeg1video", "mpeg2video", "mpeg4", "vc1", "prores", "dnxhd", "dvvideo"];
/// Should libavfilter have to reorder samples in memory, this is how, on every machine alike.
const CONVERSION: &std::ffi::CStr = c"flags=bicubic+accurate_rnd+full_chroma_int+bitexact";

/// Takes pictures in order and gives as many frames, each after the picture that follows its own.
pub(crate) struct Deinterlacer {
    /// The order of fields that pictures have without saying so.
    assumed: Option<Scan>,
    graph: Option<OpenGraph>,
    /// Of the pictures whose frames are still to come, in order: those that are progressive, which stay as they are. The
    /// filter takes them all the same: its state would else depend on where it was opened.
    untouched: VecDeque<Option<ff::frame::Video>>,
}

struct OpenGraph {
    graph: ff::filter::Graph,
    /// Width, height and format of its pictures.
    definition: (u32, u32, Pixel),
}

impl Deinterlacer {
    /// For pictures of a codec, by libav's name, in a container that says that they are interlaced so.
    pub(crate) fn new(codec: &str, scan: Scan) -> Self {
        Deinterlacer {
            assumed: (!FLAGGED.contains(&codec)).then_some(scan),
            graph: None,
            untouched: VecDeque::new(),
        }
    }

    /// Takes the next picture, which is number `number`.
    pub(crate) fn push(&mut self, number: u64, picture: &ff::frame::Video) -> Result<(), MediaError> {
        let definition = (picture.width(), picture.height(), picture.format());
        let open = match &mut self.graph {
            Some(open) if open.definition == definition => open,
            Some(_) => {
                return Err(MediaError::invalid(format!(
                    "picture {number} has another size or format than those before it, across which fields are not \
                     deinterlaced: cut the mezzanine there, or use `fields = \"weave\"`"
                )));
            }
            None => self.graph.insert(OpenGraph::open(definition)?),
        };
        let mut input = reference(picture)?;
        if let Some(scan) = self.assumed {
            // SAFETY: the frame is valid and ours alone.
            let raw = unsafe { &mut *input.as_mut_ptr() };
            raw.interlaced_frame = 1;
            raw.top_field_first = i32::from(scan == Scan::TopFieldFirst);
        }
        input.set_pts(Some(number as i64));
        let untouched = (!input.is_interlaced()).then(|| reference(picture)).transpose()?;
        self.untouched.push_back(untouched);
        open.source()?.source().add(&input).map_err(failed)
    }

    /// Says that no picture follows.
    pub(crate) fn end(&mut self) -> Result<(), MediaError> {
        match &mut self.graph {
            Some(open) => open.source()?.source().flush().map_err(failed),
            None => Ok(()),
        }
    }

    /// The next frame; `None` until more is pushed.
    pub(crate) fn pull(&mut self) -> Result<Option<ff::frame::Video>, MediaError> {
        let Some(open) = &mut self.graph else { return Ok(None) };
        let mut frame = ff::frame::Video::empty();
        let mut sink = open.graph.get("out").ok_or_else(no_filter)?;
        match sink.sink().frame(&mut frame) {
            Ok(()) => Ok(Some(self.untouched.pop_front().flatten().unwrap_or(frame))),
            Err(ff::Error::Eof) => Ok(None),
            Err(ff::Error::Other { errno }) if errno == ffi::EAGAIN => Ok(None),
            Err(error) => Err(failed(error)),
        }
    }
}

impl OpenGraph {
    fn open(definition: (u32, u32, Pixel)) -> Result<Self, MediaError> {
        let (width, height, format) = definition;
        let mut graph = ff::filter::Graph::new();
        let conversion = CString::from(CONVERSION);
        // SAFETY: the graph is valid and has no filters yet; it frees the string, which libav copies.
        unsafe {
            let raw = &mut *graph.as_mut_ptr();
            raw.nb_threads = 1;
            raw.scale_sws_opts = ffi::av_strdup(conversion.as_ptr());
        }
        let find = |name| ff::filter::find(name).ok_or_else(no_filter);
        let format = ffi::AVPixelFormat::from(format) as i32;
        let input = format!("video_size={width}x{height}:pix_fmt={format}:time_base=1/1:pixel_aspect=1/1");
        graph.add(&find("buffer")?, "in", &input).map_err(failed)?;
        graph.add(&find("buffersink")?, "out", "").map_err(failed)?;
        let parser = graph.output("in", 0).and_then(|parser| parser.input("out", 0)).map_err(failed)?;
        parser.parse("bwdif=mode=send_frame:parity=auto:deint=all").map_err(failed)?;
        graph.validate().map_err(failed)?;
        Ok(OpenGraph { graph, definition })
    }

    fn source(&mut self) -> Result<ff::filter::Context, MediaError> {
        self.graph.get("in").ok_or_else(no_filter)
    }
}

fn no_filter() -> MediaError {
    MediaError::failed("libavfilter lacks a filter for fields")
}

fn failed(error: ff::Error) -> MediaError {
    MediaError::library("deinterlacing a picture", error)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A bright bar that moves to the right, each field of a frame at its own time.
    fn woven(frame: u64) -> ff::frame::Video {
        let mut picture = ff::frame::Video::new(Pixel::YUV420P, 128, 64);
        (1..3).for_each(|plane| picture.data_mut(plane).fill(128));
        let stride = picture.stride(0);
        for (y, line) in picture.data_mut(0).chunks_mut(stride).enumerate() {
            let field = 2 * frame as usize + y % 2;
            line.fill(40);
            line[field * 4..][..16].fill(200);
        }
        picture
    }

    fn frames(range: std::ops::Range<u64>) -> Vec<Vec<u8>> {
        let mut deinterlacer = Deinterlacer::new("v210", Scan::TopFieldFirst);
        let mut made = Vec::new();
        for number in range {
            deinterlacer.push(number, &woven(number)).unwrap();
            made.extend(deinterlacer.pull().unwrap());
        }
        deinterlacer.end().unwrap();
        while let Some(frame) = deinterlacer.pull().unwrap() {
            made.push(frame);
        }
        made.iter().map(|frame| frame.data(0).to_vec()).collect()
    }

    #[test]
    fn the_first_field_stays_and_the_second_is_not_seen_any_more() {
        let made = frames(0..10);
        assert_eq!(made.len(), 10);
        for (number, frame) in made.iter().enumerate() {
            let picture = woven(number as u64);
            let stride = picture.stride(0);
            for (y, line) in frame.chunks(stride).enumerate().take(63).skip(1) {
                // Where the second field's bar has gone on alone, the first field shows none.
                let tail = line[(2 * number + 1) * 4 + 14];
                assert!(tail < 80, "frame {number}, line {y}: {tail}");
                if y % 2 == 0 {
                    assert_eq!(line, &picture.data(0)[y * stride..][..stride], "frame {number}, line {y}");
                }
            }
        }
    }

    #[test]
    fn a_frame_depends_on_the_pictures_beside_it_alone() {
        let whole = frames(0..10);
        let context = CONTEXT as usize;
        let piece = frames(3..8);
        assert_eq!(piece[context..piece.len() - context], whole[3 + context..8 - context]);
    }

    #[test]
    fn a_piece_that_begins_with_progressive_pictures_is_that_of_the_whole() {
        let frames = |range: std::ops::Range<u64>| {
            let mut deinterlacer = Deinterlacer::new("h264", Scan::TopFieldFirst);
            let mut made = Vec::new();
            for number in range {
                let mut picture = woven(number);
                // SAFETY: the frame is valid and ours alone.
                unsafe { (*picture.as_mut_ptr()).interlaced_frame = i32::from(!(3..6).contains(&number)) };
                deinterlacer.push(number, &picture).unwrap();
                made.extend(deinterlacer.pull().unwrap());
            }
            made.iter().map(|frame| frame.data(0).to_vec()).collect::<Vec<_>>()
        };
        let whole = frames(0..12);
        let piece = frames(4..12);
        assert_eq!(whole[4], woven(4).data(0));
        assert_eq!(piece[1..], whole[5..]);
    }

    #[test]
    fn a_change_of_size_is_refused() {
        let mut deinterlacer = Deinterlacer::new("h264", Scan::TopFieldFirst);
        deinterlacer.push(0, &woven(0)).unwrap();
        let other = ff::frame::Video::new(Pixel::YUV420P, 64, 64);
        assert!(deinterlacer.push(1, &other).unwrap_err().message.contains("another size"));
    }
}
