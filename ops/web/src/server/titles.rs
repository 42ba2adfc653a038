//! Finished titles, for the page's own player. They are read with the credentials of this process, so this is for operators
//! and only where it was asked for.

use std::ops::Range;
use std::path::{Path as FilePath, PathBuf};
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use reel_common::{JobId, JobState, JobView};
use reel_store::{Source, SourceError};
use serde_json::{Value, json};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio_stream::wrappers::ReceiverStream;

use super::{Pages, Problem, Shared, api};

/// Files that are read at once: a scheduler has other things to do.
const MOST_READ: usize = 16;
/// Bytes that are read at a time, and how many such blocks wait for a slow browser.
const BLOCK: u64 = 1 << 20;
const BLOCKS: usize = 2;

/// What of a title is shown, by its extension.
const KINDS: [(&str, &str); 11] = [
    ("m3u8", "application/vnd.apple.mpegurl"),
    ("mpd", "application/dash+xml"),
    ("m4s", "video/iso.segment"),
    ("mp4", "video/mp4"),
    ("m4a", "audio/mp4"),
    ("ts", "video/mp2t"),
    ("vtt", "text/vtt; charset=utf-8"),
    ("jpg", "image/jpeg"),
    ("json", "application/json"),
    ("ttml", "application/ttml+xml"),
    ("xml", "application/xml"),
];

/// How many files are read now.
pub(super) struct Titles(Arc<Semaphore>);

impl Default for Titles {
    fn default() -> Self {
        Titles(Arc::new(Semaphore::new(MOST_READ)))
    }
}

fn missing(reason: impl Into<String>) -> Problem {
    Problem(StatusCode::NOT_FOUND, reason.into())
}

/// Where the page finds the title of a job, or why it is not shown.
pub(super) async fn place(pages: &Pages, job: JobId) -> Result<Value, Problem> {
    let view = pages.farm.job(job).await?;
    Ok(match hidden(pages, &view) {
        None => json!({ "url": format!("titles/{job}/") }),
        Some(reason) => json!({ "reason": reason }),
    })
}

/// Why a title is not shown, where it is not.
fn hidden(pages: &Pages, job: &JobView) -> Option<&'static str> {
    if pages.titles.is_none() {
        return Some(
            "titles are shown where schedulers are started with --preview, and can read where they lie",
        );
    }
    let is_there = job.state == JobState::Done && job.report.is_some();
    (!is_there).then_some("this job has delivered no title")
}

pub(super) async fn title(
    State(pages): State<Shared>,
    Path((job, path)): Path<(String, String)>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let kind = kind(&path).ok_or_else(|| missing(format!("{path} is no file of a title")))?;
    let view = pages.farm.job(api::number(&job)?).await?;
    if let Some(reason) = hidden(&pages, &view) {
        return Err(missing(reason));
    }
    let permits = pages.titles.as_ref().map(|titles| titles.0.clone());
    let permit = permits.and_then(|permits| permits.try_acquire_owned().ok());
    let permit = permit.ok_or_else(|| {
        Problem(StatusCode::SERVICE_UNAVAILABLE, "many titles are watched now: try again".to_owned())
    })?;
    let opened = tokio::task::spawn_blocking(move || open(&view.output, &path)).await;
    let source = opened.map_err(|error| Problem(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()))??;
    let size = source.size();
    let (status, range) = match wanted(&headers, size) {
        Wanted::All => (StatusCode::OK, 0..size),
        Wanted::Part(range) => (StatusCode::PARTIAL_CONTENT, range),
        Wanted::Nothing => {
            let headers = [(header::CONTENT_RANGE, format!("bytes */{size}"))];
            return Ok((StatusCode::RANGE_NOT_SATISFIABLE, headers).into_response());
        }
    };
    let mut response = (
        status,
        [
            (header::CONTENT_TYPE, kind.to_owned()),
            (header::CONTENT_LENGTH, (range.end - range.start).to_string()),
            (header::ACCEPT_RANGES, "bytes".to_owned()),
            (header::X_CONTENT_TYPE_OPTIONS, "nosniff".to_owned()),
            (header::CACHE_CONTROL, "no-cache".to_owned()),
        ],
    )
        .into_response();
    if status == StatusCode::PARTIAL_CONTENT
        && let Ok(value) = format!("bytes {}-{}/{size}", range.start, range.end - 1).parse()
    {
        response.headers_mut().insert(header::CONTENT_RANGE, value);
    }
    *response.body_mut() = stream(source, range, permit);
    Ok(response)
}

/// The type of a file that may be shown; `None` for others, and for paths that lead elsewhere.
fn kind(path: &str) -> Option<&'static str> {
    let is_plain = |name: &str| {
        !name.is_empty()
            && !name.starts_with('.')
            && !name.contains(['\\', '%', '?', '#', ':'])
            && !name.contains(char::is_control)
    };
    let extension = path.rsplit_once('.')?.1;
    let known = KINDS.iter().find(|(name, _)| *name == extension)?;
    path.split('/').all(is_plain).then_some(known.1)
}

/// Opens a file of a title.
fn open(output: &str, path: &str) -> Result<Source, Problem> {
    let location = match local(output) {
        Some(folder) => {
            let gone =
                |_| missing("the title is not there any more, or not where this scheduler can read it");
            let folder = folder.canonicalize().map_err(gone)?;
            let file =
                folder.join(path).canonicalize().map_err(|_| missing(format!("the title has no {path}")))?;
            if !file.starts_with(&folder) {
                return Err(missing(format!("{path} leads out of the title")));
            }
            file.to_string_lossy().into_owned()
        }
        None => format!("{}/{path}", output.trim_end_matches('/')),
    };
    Source::open(&location).map_err(|error| match error {
        SourceError::NotFound(_) | SourceError::Empty(_) | SourceError::NotAFile(_) => {
            missing(error.to_string())
        }
        _ => Problem(StatusCode::BAD_GATEWAY, error.to_string()),
    })
}

/// The folder of a title that lies on this machine.
fn local(output: &str) -> Option<PathBuf> {
    match output.strip_prefix("file://") {
        Some(_) => url::Url::parse(output).ok()?.to_file_path().ok(),
        None => FilePath::new(output).is_absolute().then(|| PathBuf::from(output)),
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Wanted {
    All,
    Part(Range<u64>),
    Nothing,
}

/// The bytes that are asked for (RFC 9110, section 14.1.2); several ranges at once are answered with everything.
fn wanted(headers: &HeaderMap, size: u64) -> Wanted {
    let range = headers.get(header::RANGE).and_then(|range| range.to_str().ok()?.strip_prefix("bytes="));
    let Some((first, last)) = range.and_then(|range| range.split_once('-')) else { return Wanted::All };
    let range = match (first.parse::<u64>(), last.parse::<u64>()) {
        (Ok(first), Ok(last)) if first <= last => first..last.saturating_add(1).min(size),
        (Ok(first), Err(_)) if last.is_empty() => first..size,
        (Err(_), Ok(last)) if first.is_empty() && last > 0 => size.saturating_sub(last)..size,
        _ => return Wanted::All,
    };
    if range.start < range.end { Wanted::Part(range) } else { Wanted::Nothing }
}

/// Reads as fast as the browser takes it.
fn stream(source: Source, range: Range<u64>, permit: OwnedSemaphorePermit) -> Body {
    let (blocks, body) = mpsc::channel::<std::io::Result<Vec<u8>>>(BLOCKS);
    tokio::task::spawn_blocking(move || {
        let _permit = permit;
        let mut at = range.start;
        while at < range.end {
            let mut block = vec![0; (range.end - at).min(BLOCK) as usize];
            let read = source.read_at(at, &mut block).map_err(std::io::Error::other);
            at += block.len() as u64;
            let failed = read.is_err();
            // Whoever watched may be gone.
            if blocks.blocking_send(read.map(|()| block)).is_err() || failed {
                return;
            }
        }
    });
    Body::from_stream(ReceiverStream::new(body))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_files_of_a_title_are_shown() {
        for path in
            ["master.m3u8", "video/540p/seg_00001.m4s", "subtitles/webvtt/en/seg_00001.vtt", "report.json"]
        {
            assert!(kind(path).is_some(), "{path}");
        }
        for path in [
            "",
            "m3u8",
            "../x.mp4",
            "a/../b.mp4",
            "a//b.mp4",
            ".x.mp4",
            "a/.mp4",
            "/etc/passwd",
            "/x.mp4",
            "x.sh",
            "a\\b.mp4",
            "a%2f.mp4",
            "a:b.mp4",
            "a\n.mp4",
        ] {
            assert_eq!(kind(path), None, "{path:?}");
        }
    }

    #[test]
    fn ranges_are_answered_as_http_says() {
        let of = |range: &str| {
            let headers = HeaderMap::from_iter([(header::RANGE, range.parse().unwrap())]);
            wanted(&headers, 100)
        };
        assert_eq!(wanted(&HeaderMap::new(), 100), Wanted::All);
        assert_eq!(of("bytes=0-9"), Wanted::Part(0..10));
        assert_eq!(of("bytes=90-"), Wanted::Part(90..100));
        assert_eq!(of("bytes=90-1000"), Wanted::Part(90..100));
        assert_eq!(of("bytes=-10"), Wanted::Part(90..100));
        assert_eq!(of("bytes=-1000"), Wanted::Part(0..100));
        for all in ["bytes=9-0", "bytes=-0", "bytes=-", "lines=0-1", "bytes=a-b", "bytes=0-1,5-6"] {
            assert_eq!(of(all), Wanted::All, "{all}");
        }
        assert_eq!(of("bytes=100-"), Wanted::Nothing);
    }
}
