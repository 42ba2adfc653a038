//! One rendition of one part: frames in, a file of CMAF segments and its record out.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use ffmpeg_next as ff;
use reel_cmaf::segment::{Sample, media_segment};
use reel_common::{Artifact, DigestWriter, PartSpec, RecipeKey};
use reel_proto::v1;

use super::RenditionSetup;
use super::judge::Judge;
use super::lane::Assignment;
use crate::MediaError;
use crate::encoder::{AccessUnit, Effort, Encoder, FrameType, Surroundings};
use crate::recipe::Window;
use crate::timeline::Timeline;
use crate::times::TitleTimes;

/// Encodes the frames of a part's window and keeps exactly the part's own.
pub(super) struct PartEncoder<'a> {
    times: &'a TitleTimes,
    /// The frame before which what may be looked at ends.
    seen_end: u64,
    spec: PartSpec,
    /// The frames that the encoder sees.
    window: Window,
    surroundings: Surroundings,
    composition_delay: i64,
    variable: bool,
    /// What messages call the encoder.
    name: &'static str,
    encoder: Box<dyn Encoder>,
    /// Frames by the time that the encoder was given with them.
    pending: BTreeMap<i64, u64>,
    output: SegmentFile,
    segment: Vec<(u64, AccessUnit)>,
    segments_done: usize,
    /// Segments that were written and not asked for yet.
    written: Vec<Vec<u8>>,
    /// Frames before the part that were coded and thrown away.
    preroll: u64,
    kept: u64,
    /// Whether the part's frames are over: the one after them has come, or none comes any more.
    over: bool,
    /// Sum of what the encoder says of its frames, in thousandths of a decibel.
    psnr_mdb: i64,
    /// Likewise of their SSIM in millionths, and the lowest of any frame.
    ssim_ppm: i64,
    worst_ssim_ppm: i32,
    /// Where VMAF is measured.
    judge: Option<Judge>,
    /// Bytes of the coded frames.
    sample_bytes: u64,
}

impl<'a> PartEncoder<'a> {
    /// Opens the encoder and the file that it writes.
    pub(super) fn open(
        timeline: &'a Timeline,
        setup: &RenditionSetup,
        part: Assignment,
    ) -> Result<Self, MediaError> {
        let surroundings = setup.surroundings;
        let window = part.seen(surroundings);
        let judge = setup.vmaf.map(|model| Judge::open(setup, model, &part.spec, part.window)).transpose()?;
        let Assignment { spec, settings, path, .. } = part;
        let mut encoder = settings.open()?;
        if window.start < spec.start() {
            encoder.set_effort(Effort::Least)?;
        }
        Ok(PartEncoder {
            times: timeline.times(),
            seen_end: timeline.seen().1,
            spec,
            window,
            surroundings,
            composition_delay: timeline.times().composition_delay(),
            variable: settings.variable_timescale.is_some(),
            name: settings.encoder_name(),
            encoder,
            pending: BTreeMap::new(),
            output: SegmentFile::create(path)?,
            segment: Vec::new(),
            segments_done: 0,
            written: Vec::new(),
            preroll: 0,
            kept: 0,
            over: false,
            psnr_mdb: 0,
            ssim_ppm: 0,
            worst_ssim_ppm: i32::MAX,
            judge,
            sample_bytes: 0,
        })
    }

    /// The part's number.
    pub(super) fn index(&self) -> reel_common::PartIndex {
        self.spec.index
    }

    /// Takes the next frame; frames outside the window are passed over.
    pub(super) fn push(&mut self, frame: u64, picture: &ff::frame::Video) -> Result<(), MediaError> {
        if let Some(judge) = &mut self.judge {
            judge.take_given(frame, picture)?;
        }
        if frame >= self.spec.end && self.surroundings.tail == 0 {
            return self.drain();
        }
        self.over |= frame >= self.spec.end;
        if self.is_coded() || !self.window.contains(frame) {
            return Ok(());
        }
        let time = if self.variable { self.times.ticks(frame) } else { frame as i64 };
        self.pending.insert(time, frame);
        let units = self.encoder.encode(picture, time, self.frame_type(frame))?;
        units.into_iter().try_for_each(|unit| self.take(unit))
    }

    /// Key frames where segments begin and after the part's end; before that end none of the encoder's own.
    fn frame_type(&self, frame: u64) -> FrameType {
        let begins = self.spec.segment_starts.binary_search(&frame).is_ok() || frame == self.spec.end;
        match begins {
            true => FrameType::Key,
            false if frame + 1 == self.spec.end && frame + 1 < self.seen_end => FrameType::Predicted,
            false => FrameType::Auto,
        }
    }

    /// Whether all frames of the part have come out. What the encoder still holds is not waited for.
    fn is_coded(&self) -> bool {
        self.kept == self.spec.frames()
    }

    /// Whether the part can be handed over. An encoder without delay gives the last frame before the one after it has
    /// come, which the proof compares with as well.
    pub(super) fn is_complete(&self) -> bool {
        self.is_coded() && self.over
    }

    /// The segments that were written since this was last asked, as they lie in the file; the last when the part is
    /// complete.
    pub(super) fn written(&mut self) -> Vec<Vec<u8>> {
        let held_back = usize::from(self.is_coded() && !self.over).min(self.written.len());
        let kept = self.written.split_off(self.written.len() - held_back);
        std::mem::replace(&mut self.written, kept)
    }

    fn take(&mut self, unit: AccessUnit) -> Result<(), MediaError> {
        let name = self.name;
        let unknown = || MediaError::failed(format!("{name} gave a frame that it was not given"));
        let frame = self.pending.remove(&unit.time).ok_or_else(unknown)?;
        if !(self.spec.start()..self.spec.end).contains(&frame) {
            self.preroll += 1;
            // All frames before the part are coded before its first, which is a key frame.
            let over = self.window.start + self.preroll == self.spec.start();
            return if over { self.encoder.set_effort(Effort::Full) } else { Ok(()) };
        }
        let next = self.spec.segment_starts.get(self.segments_done + 1).copied();
        if next == Some(frame) {
            self.end_segment(frame)?;
        }
        if self.segment.is_empty() && !unit.key {
            return Err(MediaError::failed(format!(
                "{name} made no key frame of frame {frame}, where a segment begins"
            )));
        }
        self.sample_bytes += unit.data.len() as u64;
        self.psnr_mdb += (unit.psnr * 1000.0).round() as i64;
        let ssim_ppm = (unit.ssim * 1e6).round() as i32;
        self.ssim_ppm += i64::from(ssim_ppm);
        self.worst_ssim_ppm = self.worst_ssim_ppm.min(ssim_ppm);
        self.kept += 1;
        if let Some(judge) = &mut self.judge {
            judge.take_coded(&unit.data, frame, self.kept)?;
        }
        self.segment.push((frame, unit));
        if self.is_coded() { self.end_segment(self.spec.end) } else { Ok(()) }
    }

    /// Writes the segment in hand, which ends before frame `end`.
    fn end_segment(&mut self, end: u64) -> Result<(), MediaError> {
        let units = std::mem::take(&mut self.segment);
        let start = self.spec.segment_starts[self.segments_done];
        if units.len() as u64 != end - start || units.iter().any(|(frame, _)| !(start..end).contains(frame)) {
            let name = self.name;
            return Err(MediaError::failed(format!(
                "{name} mixed up the frames of segment {start} to {end}"
            )));
        }
        // Decode times are the presentation times in ascending order, so that one segment follows the other without
        // a gap. Composition times are later by a delay that is the same for the whole rendition and that the edit
        // list in its header takes away: ISO/IEC 23000-19 (7.5.13) would have negative offsets as well, but libav
        // shows fragments with those late, and by how much changes along the way.
        let too_long = |frame| {
            MediaError::invalid(format!("frame {frame} is shown for longer than MP4 can say: cut the pause"))
        };
        let mut samples = Vec::with_capacity(units.len());
        for ((frame, unit), nth) in units.iter().zip(start..) {
            let decode = self.times.ticks(nth);
            let offset = self.times.ticks(*frame) + self.composition_delay - decode;
            if offset < 0 {
                let name = self.name;
                return Err(MediaError::failed(format!("{name} decodes frame {frame} after it is shown")));
            }
            samples.push(Sample {
                data: &unit.data,
                duration: u32::try_from(self.times.ticks(nth + 1) - decode).map_err(|_| too_long(nth))?,
                composition_offset: i32::try_from(offset).map_err(|_| too_long(nth))?,
                sync: unit.key,
            });
        }
        let sequence = self.spec.first_segment + self.segments_done as u64 + 1;
        let base = self.times.ticks(start);
        let segment = media_segment(sequence as u32, base as u64, &samples);
        self.output.write(&segment)?;
        self.written.push(segment);
        self.segments_done += 1;
        Ok(())
    }

    /// Takes what the encoder still holds of the part, after the last frame of its window.
    pub(super) fn drain(&mut self) -> Result<(), MediaError> {
        self.over = true;
        while !self.is_coded() {
            match self.encoder.flush()? {
                Some(unit) => self.take(unit)?,
                None => {
                    let (kept, frames) = (self.kept, self.spec.frames());
                    return Err(MediaError::failed(format!(
                        "{} gave {kept} of the {frames} frames of part {}",
                        self.name, self.spec.index
                    )));
                }
            }
        }
        Ok(())
    }

    /// Closes the file of a part that was drained: its record, but for the fields that are the rendition's.
    pub(super) fn finish(self) -> Result<(v1::RenditionPart, PathBuf), MediaError> {
        let frames = self.kept as i64;
        let seconds = |(start, end): (u64, u64)| {
            let ticks = self.times.ticks(end) - self.times.ticks(start);
            ticks.max(1) as u64
        };
        let rates = self.spec.segments().zip(&self.output.segments);
        let peak = rates.map(|(range, bytes)| bytes * 8 * u64::from(self.times.timescale()) / seconds(range));
        let record = v1::RenditionPart {
            frames: self.kept,
            first_pts: self.times.ticks(self.spec.start()),
            last_pts: self.times.ticks(self.spec.end - 1),
            timescale: self.times.timescale(),
            psnr_mdb: self.psnr_mdb / frames,
            ssim_ppm: Some((self.ssim_ppm / frames) as i32),
            worst_frame_ssim_ppm: Some(self.worst_ssim_ppm),
            sample_bytes: self.sample_bytes,
            peak_segment_bps: peak.max().unwrap_or(0),
            ..Default::default()
        };
        let record = match self.judge {
            Some(judge) => judge.judge(record)?,
            None => record,
        };
        self.output.finish(record)
    }
}

/// The file of a part: segments one behind the other, hashed as they are written.
struct SegmentFile {
    path: PathBuf,
    file: BufWriter<File>,
    hasher: DigestWriter,
    segments: Vec<u64>,
}

impl SegmentFile {
    fn create(path: PathBuf) -> Result<Self, MediaError> {
        let file = BufWriter::new(File::create(&path)?);
        Ok(SegmentFile { path, file, hasher: DigestWriter::default(), segments: Vec::new() })
    }

    fn write(&mut self, segment: &[u8]) -> Result<(), MediaError> {
        self.file.write_all(segment)?;
        self.hasher.add(segment);
        self.segments.push(segment.len() as u64);
        Ok(())
    }

    fn finish(mut self, record: v1::RenditionPart) -> Result<(v1::RenditionPart, PathBuf), MediaError> {
        self.file.flush()?;
        let artifact = Artifact { sha256: self.hasher.finish(), size: self.segments.iter().sum() };
        let record =
            v1::RenditionPart { artifact: Some(artifact.into()), segment_bytes: self.segments, ..record };
        Ok((record, self.path))
    }
}

/// The scratch file of one rendition of one part.
pub(super) fn scratch_path(scratch: &Path, key: &RecipeKey) -> PathBuf {
    scratch.join(format!("{key}.m4s"))
}
