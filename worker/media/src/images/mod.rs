//! Still pictures of a title: thumbnails in sheets, and a poster; made of single frames, and proved.

mod areas;
mod key;
mod proof;
mod sheet;
mod stills;

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ffmpeg_next as ff;
use reel_common::{Artifact, DigestWriter, RecipeKey};
use reel_profiles::{Images, Profile, ResolvedImages, title_ms};
use reel_proto::v1;
use reel_store::Source;

use self::sheet::{Layout, POSTER_QUALITY, SHEET_QUALITY, Sheet};
use self::stills::{Still, Title};
use crate::encode::Detector;
use crate::picture::Scaler;
use crate::times::TitleTimes;
use crate::{MediaError, facts};

/// A poster is looked for from this hundredth of the title on, and in each that follows.
const FIRST_HUNDREDTH: u64 = 10;

/// The still pictures of a title to make.
pub struct ImageJob<'a> {
    /// The mezzanine, and those that the title's edit has beside it.
    pub sources: &'a [Source],
    /// The title's index.
    pub index: &'a v1::Index,
    /// Says what is made.
    pub profile: &'a Profile,
    /// Where the finished file is left.
    pub scratch: &'a Path,
}

/// A file of an output tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ImageFile {
    /// A sheet, by its number from 0.
    Sheet(usize),
    /// The poster.
    Poster,
}

/// Reads a file of an output tree: what it is called in messages, and its bytes.
pub type ReadImage<'a> = dyn Fn(ImageFile) -> Result<(String, Vec<u8>), MediaError> + 'a;

/// What is made of a title.
struct Plan {
    resolved: ResolvedImages,
    /// The frame that each thumbnail shows: the one that is on screen when its time begins.
    thumbnails: Vec<u64>,
}

impl Plan {
    fn new(index: &v1::Index, profile: &Profile, times: &TitleTimes) -> Result<Self, MediaError> {
        let duration = times.duration();
        let resolved = profile.images(&facts::video(index)?, duration);
        let resolved = resolved.map_err(|error| MediaError::invalid(error.to_string()))?;
        let resolved = resolved.ok_or_else(|| MediaError::failed("the profile has no `[images]`"))?;
        let Images { every_ms, .. } = resolved.images;
        let begins = (0..resolved.images.thumbnails(title_ms(duration))).map(|n| n * u64::from(every_ms));
        Ok(Plan { resolved, thumbnails: begins.map(|ms| frame_at(times, ms)).collect() })
    }

    fn layout(&self) -> Layout {
        let Images { height, columns, rows, .. } = self.resolved.images;
        Layout { width: self.resolved.width, height, columns, rows }
    }

    /// The sheets, of which nothing is known but what they are to show.
    fn sheets(&self) -> Vec<v1::ImageSheet> {
        let per_sheet = self.resolved.images.per_sheet();
        let length_ms = per_sheet * u64::from(self.resolved.images.every_ms);
        let sheets = (0..).zip(self.thumbnails.chunks(per_sheet as usize));
        sheets
            .map(|(number, frames): (u64, _)| v1::ImageSheet {
                start_ms: number * length_ms,
                frames: frames.to_vec(),
                ..v1::ImageSheet::default()
            })
            .collect()
    }

    fn record(&self) -> v1::ImageRecord {
        let Images { every_ms, height, columns, rows, .. } = self.resolved.images;
        let sheets = self.sheets();
        v1::ImageRecord {
            width: self.resolved.width,
            height,
            columns,
            rows,
            every_ms,
            sheets,
            ..Default::default()
        }
    }

    /// The poster, of which its frame alone is known.
    fn poster(&self, title: &Title<'_>) -> Result<Option<v1::ImagePoster>, MediaError> {
        let Some((width, height)) = self.resolved.poster else { return Ok(None) };
        let at_ms = self.resolved.images.poster.and_then(|poster| poster.at_ms);
        let frame = match at_ms {
            Some(at_ms) => frame_at(&title.times, at_ms.into()),
            None => first_lit(title)?,
        };
        let at_ms = milliseconds(&title.times, frame);
        Ok(Some(v1::ImagePoster { width, height, frame, at_ms, ..v1::ImagePoster::default() }))
    }
}

/// The frame that is on screen at a time of the title.
fn frame_at(times: &TitleTimes, ms: u64) -> u64 {
    let begun =
        |frame: u64| i128::from(times.ticks(frame)) * 1000 <= i128::from(ms) * i128::from(times.timescale());
    // The first frame has begun always; of `[begun, after)` the answer is one.
    let (mut at, mut after) = (0, times.frames());
    while after - at > 1 {
        let middle = at + (after - at) / 2;
        if begun(middle) { at = middle } else { after = middle }
    }
    at
}

/// When a frame is shown, rounded down.
fn milliseconds(times: &TitleTimes, frame: u64) -> u64 {
    let ms = i128::from(times.ticks(frame)) * 1000 / i128::from(times.timescale());
    ms.max(0) as u64
}

/// The frame at a tenth of the title, or at the first hundredth after it where it is not black; where all of them are, the
/// one at the tenth.
fn first_lit(title: &Title<'_>) -> Result<u64, MediaError> {
    let frames = title.times.frames();
    let mut candidates: Vec<u64> = (FIRST_HUNDREDTH..100).map(|part| frames * part / 100).collect();
    candidates.dedup();
    for frame in &candidates {
        let still = title.still(*frame)?;
        if !Detector::new(still.full_range).look(*frame, &still.picture)?.is_black() {
            return Ok(*frame);
        }
    }
    Ok(candidates[0])
}

/// Makes the still pictures of a title, or finds them in the store. `progress` is told thumbnails done and in total, each
/// of which counts twice: what it is made of is read for the key first.
pub fn images(
    job: &ImageJob<'_>,
    find: &mut dyn FnMut(RecipeKey) -> Option<v1::ImageRecord>,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<(v1::ImageRecord, Option<PathBuf>), MediaError> {
    let title = Title::new(job.sources, job.index, job.profile)?;
    let plan = Plan::new(job.index, job.profile, &title.times)?;
    let poster = plan.poster(&title)?;
    let total = 2 * plan.thumbnails.len() as u64;
    let key = key::key(&title, &plan, poster.as_ref(), &mut |done| progress(done, total))?;
    if let Some(record) = find(key) {
        return Ok((record, None));
    }
    let path = job.scratch.join(format!("{key}.jpgs"));
    let mut making = Making::new(&title, File::create(&path)?);
    let half = total / 2;
    let mut record = making.sheets(&plan, &mut |done| progress(half + done, total))?;
    if let Some(poster) = poster {
        record.poster = Some(making.poster(poster)?);
    }
    record.recipe_key = key.0.0.to_vec();
    record.worst_difference_ppm = making.worst_ppm;
    record.artifact = Some(Artifact { sha256: making.digest.finish(), size: making.size }.into());
    Ok((record, Some(path)))
}

/// Files on their way.
struct Making<'a> {
    title: &'a Title<'a>,
    file: File,
    digest: DigestWriter,
    size: u64,
    worst_ppm: u64,
}

impl<'a> Making<'a> {
    fn new(title: &'a Title<'a>, file: File) -> Self {
        Making { title, file, digest: DigestWriter::default(), size: 0, worst_ppm: 0 }
    }

    fn sheets(&mut self, plan: &Plan, progress: &mut dyn FnMut(u64)) -> Result<v1::ImageRecord, MediaError> {
        let layout = plan.layout();
        let mut record = plan.record();
        let mut scaler = Upright::new(layout);
        let (mut number, mut done, mut placed) = (0, 0, 0);
        let mut sheet = Sheet::new(layout);
        let title = self.title;
        title.each_still(&plan.thumbnails, &mut |still| {
            let listed = &mut record.sheets[number];
            listed.areas.extend(areas::of_picture(&still.picture, still.turn)?);
            sheet.place(&scaler.scaled(&still)?);
            (done, placed) = (done + 1, placed + 1);
            progress(done);
            if placed == listed.frames.len() {
                let whole = std::mem::replace(&mut sheet, Sheet::new(layout));
                let label = format!("sheet {number}");
                listed.artifact =
                    Some(self.finish(&label, &whole, SHEET_QUALITY, layout, &listed.areas)?.into());
                (number, placed) = (number + 1, 0);
            }
            Ok(())
        })?;
        Ok(record)
    }

    fn poster(&mut self, poster: v1::ImagePoster) -> Result<v1::ImagePoster, MediaError> {
        let layout = Layout::single((poster.width, poster.height));
        let still = self.title.still(poster.frame)?;
        let areas = areas::of_picture(&still.picture, still.turn)?.to_vec();
        let mut sheet = Sheet::new(layout);
        sheet.place(&Upright::new(layout).scaled(&still)?);
        let artifact = self.finish("the poster", &sheet, POSTER_QUALITY, layout, &areas)?;
        Ok(v1::ImagePoster { artifact: Some(artifact.into()), areas, ..poster })
    }

    /// Codes a sheet, proves it and appends it to the file.
    fn finish(
        &mut self,
        label: &str,
        sheet: &Sheet,
        quality: u8,
        layout: Layout,
        areas: &[u8],
    ) -> Result<Artifact, MediaError> {
        let jpeg = sheet.jpeg(quality)?;
        self.worst_ppm = self.worst_ppm.max(proof::check(label, &jpeg, layout, areas)?);
        self.file.write_all(&jpeg)?;
        self.digest.add(&jpeg);
        self.size += jpeg.len() as u64;
        Ok(Artifact::of(&jpeg))
    }
}

/// Scales stills of sources that are turned in different ways.
struct Upright {
    layout: Layout,
    scaler: Option<(u16, Scaler)>,
}

impl Upright {
    fn new(layout: Layout) -> Self {
        Upright { layout, scaler: None }
    }

    fn scaled(&mut self, still: &Still) -> Result<Arc<ff::frame::Video>, MediaError> {
        let Layout { width, height, .. } = self.layout;
        let known = self.scaler.take().filter(|(turn, _)| *turn == still.turn);
        let known = known.unwrap_or_else(|| (still.turn, Scaler::to_upright_rgb(width, height, still.turn)));
        let (_, scaler) = self.scaler.insert(known);
        Ok(scaler.scale(&still.picture)?.unwrap_or_else(|| Arc::clone(&still.picture)))
    }
}

/// Shows that the files of a tree are those of a record, decode, and show the frames of the title that belong to their
/// times.
pub fn measure_images(
    index: &v1::Index,
    profile: &Profile,
    record: &v1::ImageRecord,
    read: &ReadImage<'_>,
) -> Result<v1::ImageProof, MediaError> {
    let plan = Plan::new(index, profile, &TitleTimes::new(index, &profile.picture)?)?;
    let told = |sheets: &[v1::ImageSheet]| -> Vec<_> {
        sheets.iter().map(|sheet| (sheet.start_ms, sheet.frames.clone())).collect()
    };
    let expected = plan.record();
    let layout = |record: &v1::ImageRecord| {
        (record.width, record.height, record.columns, record.rows, record.every_ms)
    };
    if layout(record) != layout(&expected) || told(&record.sheets) != told(&expected.sheets) {
        return Err(MediaError::failed("the thumbnails are not those of this title: run the job again"));
    }
    let whole = |artifact: Option<&v1::Artifact>, label: &str, bytes: &[u8]| {
        let artifact = artifact.and_then(|artifact| Artifact::try_from(artifact).ok());
        match artifact == Some(Artifact::of(bytes)) {
            true => Ok(()),
            false => Err(MediaError::failed(format!("{label} is not the file that was proved"))),
        }
    };
    check(record, &|file| {
        let (label, bytes) = read(file)?;
        let artifact = match file {
            ImageFile::Sheet(number) => record.sheets[number].artifact.as_ref(),
            ImageFile::Poster => record.poster.as_ref().and_then(|poster| poster.artifact.as_ref()),
        };
        whole(artifact, &label, &bytes)?;
        Ok((label, bytes))
    })
}

/// Shows the same of a delivered tree, from the mezzanine itself; gives what its files show as well.
pub fn verify_images(
    sources: &[Source],
    index: &v1::Index,
    profile: &Profile,
    read: &ReadImage<'_>,
) -> Result<(v1::ImageRecord, v1::ImageProof), MediaError> {
    let title = Title::new(sources, index, profile)?;
    let plan = Plan::new(index, profile, &title.times)?;
    let mut record = plan.record();
    let mut areas_of_all = Vec::with_capacity(plan.thumbnails.len());
    title.each_still(&plan.thumbnails, &mut |still| {
        areas_of_all.push(areas::of_picture(&still.picture, still.turn)?);
        Ok(())
    })?;
    let mut areas_of_all = areas_of_all.into_iter();
    for sheet in &mut record.sheets {
        sheet.areas.extend(areas_of_all.by_ref().take(sheet.frames.len()).flatten());
    }
    if let Some(poster) = plan.poster(&title)? {
        let still = title.still(poster.frame)?;
        let areas = areas::of_picture(&still.picture, still.turn)?.to_vec();
        record.poster = Some(v1::ImagePoster { areas, ..poster });
    }
    let proof = check(&record, read)?;
    Ok((record, proof))
}

/// Decodes the files of a record and compares them with the areas of their frames.
fn check(record: &v1::ImageRecord, read: &ReadImage<'_>) -> Result<v1::ImageProof, MediaError> {
    let v1::ImageRecord { width, height, columns, rows, .. } = *record;
    let layout = Layout { width, height, columns, rows };
    let mut proof = v1::ImageProof::default();
    let mut one = |file, layout, areas: &[u8]| {
        let (label, bytes) = read(file)?;
        let found = proof::check(&label, &bytes, layout, areas)?;
        proof.worst_difference_ppm = proof.worst_difference_ppm.max(found);
        Ok::<_, MediaError>(())
    };
    for (number, sheet) in record.sheets.iter().enumerate() {
        if sheet.areas.len() != sheet.frames.len() * areas::AREAS {
            return Err(MediaError::failed(format!("sheet {number} was never proved: run the job again")));
        }
        one(ImageFile::Sheet(number), layout, &sheet.areas)?;
    }
    if let Some(poster) = &record.poster {
        one(ImageFile::Poster, Layout::single((poster.width, poster.height)), &poster.areas)?;
    }
    proof.sheets = record.sheets.len() as u32;
    proof.thumbnails = record.sheets.iter().map(|sheet| sheet.frames.len() as u64).sum();
    proof.poster = record.poster.is_some();
    Ok(proof)
}

#[cfg(test)]
mod tests {
    use reel_common::Rational;

    use super::*;

    #[test]
    fn a_thumbnail_shows_the_frame_that_is_on_screen() {
        let film = TitleTimes::constant(Rational::new(24_000, 1001).unwrap(), 100).unwrap();
        for (ms, frame) in [(0, 0), (41, 0), (42, 1), (1000, 23), (1001, 24), (4170, 99), (60_000, 99)] {
            assert_eq!(frame_at(&film, ms), frame, "{ms}");
        }
        assert_eq!((milliseconds(&film, 24), milliseconds(&film, 1)), (1001, 41));
    }
}
