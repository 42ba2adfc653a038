//! The first pictures of all segments of a rendition, once more in a file by themselves.

use reel_cmaf::iframes::{self, IFrame};
use reel_cmaf::index::Head;
use reel_cmaf::init::VideoInit;
use reel_cmaf::progressive::SourceRun;
use reel_common::Failure;
use reel_package::{IFrames, SegmentSize, Stream};

use super::bitrate;
use super::collect::Collected;
use super::one_file::file_head;
use super::single::Sources;
use super::staging::Staging;

/// What the file will hold.
pub(super) struct Plan {
    frames: Vec<IFrame>,
    head: Head,
    stream: Stream,
}

/// Plans the file of a rendition; refuses one of which a segment does not begin with a picture that is shown after those of the
/// segments before.
pub(super) fn plan(init: VideoInit<'_>, samples: &Collected) -> Result<Plan, String> {
    let frames = frames(samples).ok_or("its pictures are not in order")?;
    let segments = frames
        .iter()
        .map(|frame| SegmentSize { ticks: frame.duration.into(), bytes: frame.fragment_bytes() });
    let stream = Stream { timescale: init.timescale, segments: segments.collect(), head: None };
    let init = VideoInit { bitrate: bitrate(&stream), ..init };
    let head = iframes::head(&init, &frames).map_err(|error| error.to_string())?;
    Ok(Plan { frames, head, stream })
}

impl Plan {
    /// Writes the file. `runs` are the segments where they are stored; coded bytes are read one picture at a time.
    pub(super) fn write(
        self,
        path: &str,
        runs: &[SourceRun],
        sources: &mut Sources<'_>,
        staging: &mut Staging,
    ) -> Result<IFrames, Failure> {
        let Plan { frames, head, stream } = self;
        let mut file = staging.open(path)?;
        staging.append(&mut file, &head.bytes)?;
        for ((number, frame), run) in (1..).zip(&frames).zip(runs) {
            let data = sources.read(run.source, run.offset, frame.size.into())?;
            staging.append(&mut file, &frame.fragment(number, &data))?;
        }
        staging.close(file);
        Ok(IFrames { stream, head: file_head(&head) })
    }
}

/// The first sample of each segment, on the title's timeline; each is shown until the next. `None` where one is not shown after
/// the one before.
fn frames(samples: &Collected) -> Option<Vec<IFrame>> {
    let (mut sample, mut begins) = (0, samples.first_dts as i64 - samples.first_pts() as i64);
    let mut shown = Vec::with_capacity(samples.runs.len());
    for (run, segment) in samples.runs.iter().zip(&samples.stream.segments) {
        let first = samples.specs.get(sample)?;
        let start = begins + i64::from(first.composition_offset);
        shown.push((u64::try_from(start).ok()?, first.size));
        sample += run.samples as usize;
        begins += segment.ticks as i64;
    }
    let ends = shown.iter().skip(1).map(|(start, _)| *start).chain([samples.stream.duration()]);
    let frames = shown.iter().zip(ends).map(|((start, size), end)| {
        let duration = u32::try_from(end.checked_sub(*start)?).ok()?;
        Some(IFrame { start: *start, duration, size: *size })
    });
    frames.collect()
}
