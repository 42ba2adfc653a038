//! Stage image: thumbnails and poster.

pub(crate) mod proof;

use prost::Message;
use reel_common::Failure;
use reel_media::{ImageJob, TitleTimes};
use reel_package::layout;
use reel_profiles::title_ms;
use reel_proto::v1;
use reel_text::{Cue, Line, Place, Span, Style};

use crate::attempt::{Attempt, bytes_read, finished_with, media};
use crate::encode::find;

pub(crate) fn run(attempt: &Attempt, task: &v1::ImageTask) -> Result<v1::TaskFinished, Failure> {
    let index = attempt.index(task.index.as_ref())?;
    let sources = attempt.sources(&index)?;
    let job =
        ImageJob { sources: &sources, index: &index, profile: &attempt.profile, scratch: &attempt.scratch };
    let (record, file) = reel_media::images(&job, &mut |key| find(attempt, key), &mut |done, total| {
        attempt.voice.progress(done, total, None);
    })
    .map_err(media)?;
    let mut finished = finished_with(attempt.leave("images.pb", &record.encode_to_vec())?);
    finished.source_bytes_read = Some(bytes_read(&sources));
    if let Some(file) = file {
        let scratch_file = attempt.name_of(&file)?;
        finished.recipe_files.push(v1::RecipeFile { recipe_key: record.recipe_key, scratch_file });
    }
    Ok(finished)
}

/// For each sheet its length in milliseconds; the last ends with the title.
pub(crate) fn lengths_ms(record: &v1::ImageRecord, times: &TitleTimes) -> Vec<u64> {
    let begins = record.sheets.iter().map(|sheet| sheet.start_ms);
    let ends = begins.clone().skip(1).chain([title_ms(times.duration())]);
    begins.zip(ends).map(|(begin, end)| end.saturating_sub(begin)).collect()
}

/// What players read of the thumbnails: for the time of each the file and, where a sheet has several, the rectangle in it
/// (Media Fragments URI 1.0, section 4.2.2).
pub(crate) fn cues(record: &v1::ImageRecord, times: &TitleTimes) -> Vec<Cue> {
    let v1::ImageRecord { width, height, columns, rows, every_ms, .. } = *record;
    let end_ms = title_ms(times.duration());
    let thumbnails = record.sheets.iter().enumerate().flat_map(|(sheet, listed)| {
        (0..).zip(&listed.frames).map(move |(place, _): (u32, _)| (sheet, listed.start_ms, place))
    });
    let cue = |(sheet, sheet_ms, place): (usize, u64, u32)| {
        let start_ms = sheet_ms + u64::from(place) * u64::from(every_ms);
        let (x, y) = (place % columns.max(1) * width, place / columns.max(1) * height);
        let file = layout::sprite(sheet);
        let text = match columns * rows {
            1 => file,
            _ => format!("{file}#xywh={x},{y},{width},{height}"),
        };
        let span = Span { text, style: Style::default() };
        Cue {
            start_ms,
            end_ms: (start_ms + u64::from(every_ms)).min(end_ms),
            lines: vec![Line { spans: vec![span] }],
            place: Place::default(),
        }
    };
    thumbnails.map(cue).collect()
}
