//! Ranged reads of a mezzanine: a local file, or an object behind an http, s3, gs or az URL.
//!
//! The source is only ever read. Every read is counted, so that a task can say how much of the mezzanine it needed.

use std::collections::{BTreeMap, VecDeque};
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use bytes::{Bytes, BytesMut};
use futures::TryStreamExt;
use object_store::path::Path as ObjectPath;
use object_store::{GetOptions, GetRange, GetResult, ObjectMeta, ObjectStore, ObjectStoreExt};
use reel_common::{SourceIdentity, redacted};
use url::Url;

use crate::cloud::{self, Rounds};
use crate::credentials::Credentials;
use crate::trouble::{Kind, trouble};

/// Remote objects are fetched in blocks of this many bytes.
const BLOCK_BYTES: u64 = 1 << 20;
/// A read that follows the block before fetches this many blocks in one request.
const READ_AHEAD_BLOCKS: u64 = 4;
/// Blocks that are kept; at 1 MiB each this bounds the memory of a source.
const CACHED_BLOCKS: usize = 32;

/// A mezzanine, open for reading. Cheap to clone; clones share the cache and the count of bytes read.
#[derive(Clone)]
pub struct Source(Arc<Inner>);

struct Inner {
    location: String,
    identity: SourceIdentity,
    backend: Backend,
    bytes_read: AtomicU64,
    /// The first read through a [`SourceReader`] that failed.
    failure: OnceLock<Arc<SourceError>>,
}

enum Backend {
    Local(File),
    Remote(Box<Remote>),
}

struct Remote {
    store: Arc<dyn ObjectStore>,
    /// What the server said of the object when it was opened.
    object: ObjectMeta,
    runtime: tokio::runtime::Runtime,
    cache: Mutex<Cache>,
}

#[derive(Default)]
struct Cache {
    blocks: BTreeMap<u64, Bytes>,
    order: VecDeque<u64>,
}

/// Why a mezzanine cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// Nothing is there.
    #[error("{0} does not exist")]
    NotFound(String),
    /// It is there, but this process may not read it.
    #[error("{0} may not be read by this user: check its permissions or the credentials in the environment")]
    Denied(String),
    /// A folder, socket, pipe or device.
    #[error("{0} is not a file")]
    NotAFile(String),
    /// No bytes.
    #[error("{0} is empty")]
    Empty(String),
    /// The URL cannot be understood or its kind is not supported.
    #[error("{location} is not a path or a file, http, https, s3, gs or az URL: {reason}")]
    BadLocation {
        /// What was given.
        location: String,
        /// What is wrong with it.
        reason: String,
    },
    /// It was replaced or changed since it was indexed.
    #[error("{0} changed since it was indexed: submit it again")]
    Changed(String),
    /// The server throttles or does not answer: worth another try later.
    #[error("{location} cannot be read now: {reason}; wait for the server")]
    Away {
        /// What was read.
        location: String,
        /// What the server said.
        reason: String,
    },
    /// A read failed.
    #[error("reading {location} failed: {reason}")]
    Read {
        /// What was read.
        location: String,
        /// What the system or the server said.
        reason: String,
    },
}

impl Source {
    /// Opens a path or a URL, with the credentials in the environment.
    pub fn open(location: &str) -> Result<Self, SourceError> {
        Self::open_with(location, &Credentials::from_env())
    }

    /// Opens a path or a URL with the given credentials.
    pub fn open_with(location: &str, credentials: &Credentials) -> Result<Self, SourceError> {
        let bad = |reason: String| SourceError::BadLocation { location: redacted(location), reason };
        match Url::parse(location) {
            Ok(url) if url.scheme() == "file" => match url.to_file_path() {
                Ok(path) => Self::open_local(location, &path),
                Err(()) => Err(bad("a file URL names no remote host and has an absolute path".to_owned())),
            },
            // A single letter before a colon is more likely a strange file name than a URL scheme.
            Ok(url) if location.contains("://") => Self::open_remote(location, &url, credentials),
            Err(error) if location.contains("://") => Err(bad(error.to_string())),
            _ => Self::open_local(location, Path::new(location)),
        }
    }

    fn open_local(location: &str, path: &Path) -> Result<Self, SourceError> {
        let shown = || path.display().to_string();
        let from_io = |error: io::Error| match error.kind() {
            io::ErrorKind::NotFound => SourceError::NotFound(shown()),
            io::ErrorKind::PermissionDenied => SourceError::Denied(shown()),
            _ => SourceError::Read { location: shown(), reason: error.to_string() },
        };
        // Looked at before it is opened: opening a named pipe would wait for a writer.
        if !std::fs::metadata(path).map_err(from_io)?.is_file() {
            return Err(SourceError::NotAFile(shown()));
        }
        let file = File::open(path).map_err(from_io)?;
        let metadata = file.metadata().map_err(from_io)?;
        if metadata.len() == 0 {
            return Err(SourceError::Empty(shown()));
        }
        let modified_us = metadata.mtime() * 1_000_000 + metadata.mtime_nsec() / 1000;
        let identity = SourceIdentity { size: metadata.len(), modified_us: Some(modified_us), etag: None };
        Ok(Self::new(location, identity, Backend::Local(file)))
    }

    fn open_remote(location: &str, url: &Url, credentials: &Credentials) -> Result<Self, SourceError> {
        let bad = |reason: String| SourceError::BadLocation { location: redacted(location), reason };
        let (store, path) = cloud::open(url, credentials).map_err(bad)?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| bad(error.to_string()))?;
        let head = runtime.block_on(head(&*store, &path, location))?;
        if head.size == 0 {
            return Err(SourceError::Empty(location.to_owned()));
        }
        let identity = SourceIdentity {
            size: head.size,
            modified_us: Some(head.last_modified.timestamp_micros()),
            etag: head.e_tag.clone(),
        };
        let remote = Remote { store, object: head, runtime, cache: Mutex::default() };
        Ok(Self::new(location, identity, Backend::Remote(Box::new(remote))))
    }

    fn new(location: &str, identity: SourceIdentity, backend: Backend) -> Self {
        let location = location.to_owned();
        Source(Arc::new(Inner {
            location,
            identity,
            backend,
            bytes_read: AtomicU64::new(0),
            failure: OnceLock::new(),
        }))
    }

    /// What was given to [`Source::open`].
    pub fn location(&self) -> &str {
        &self.0.location
    }

    /// Length in bytes; never 0.
    pub fn size(&self) -> u64 {
        self.0.identity.size
    }

    /// What tells this version of the source from another.
    pub fn identity(&self) -> &SourceIdentity {
        &self.0.identity
    }

    /// Refuses a source that is not the one that was indexed.
    pub fn expect(&self, identity: &SourceIdentity) -> Result<(), SourceError> {
        match identity == self.identity() {
            true => Ok(()),
            false => Err(SourceError::Changed(self.location().to_owned())),
        }
    }

    /// Bytes read from the file or fetched from the server so far.
    pub fn bytes_read(&self) -> u64 {
        self.0.bytes_read.load(Ordering::Relaxed)
    }

    /// Fills `buffer` from `offset`; a source that ends before is an error.
    pub fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<(), SourceError> {
        match &self.0.backend {
            Backend::Local(file) => {
                file.read_exact_at(buffer, offset).map_err(|error| self.read_error(&error.to_string()))?;
                self.0.bytes_read.fetch_add(buffer.len() as u64, Ordering::Relaxed);
                Ok(())
            }
            Backend::Remote(remote) => self.read_remote(remote, offset, buffer),
        }
    }

    fn read_remote(&self, remote: &Remote, offset: u64, buffer: &mut [u8]) -> Result<(), SourceError> {
        let mut filled = 0;
        while filled < buffer.len() {
            let at = offset + filled as u64;
            let block = self.block(remote, at / BLOCK_BYTES)?;
            let from = (at % BLOCK_BYTES) as usize;
            let Some(bytes) = block.get(from..).filter(|bytes| !bytes.is_empty()) else {
                return Err(self.read_error("the object ends early"));
            };
            let length = bytes.len().min(buffer.len() - filled);
            buffer[filled..filled + length].copy_from_slice(&bytes[..length]);
            filled += length;
        }
        Ok(())
    }

    fn block(&self, remote: &Remote, number: u64) -> Result<Bytes, SourceError> {
        let mut cache = remote.cache.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(block) = cache.blocks.get(&number) {
            return Ok(block.clone());
        }
        let sequential = number > 0 && cache.blocks.contains_key(&(number - 1));
        let count = if sequential { READ_AHEAD_BLOCKS } else { 1 };
        let start = number * BLOCK_BYTES;
        let end = (start + count * BLOCK_BYTES).min(self.size());
        if start >= end {
            return Err(self.read_error("the object ends early"));
        }
        let bytes = self.fetch(remote, start, end)?;
        for (index, from) in (0..bytes.len()).step_by(BLOCK_BYTES as usize).enumerate() {
            let to = bytes.len().min(from + BLOCK_BYTES as usize);
            cache.insert(number + index as u64, bytes.slice(from..to));
        }
        Ok(bytes.slice(..bytes.len().min(BLOCK_BYTES as usize)))
    }

    fn fetch(&self, remote: &Remote, start: u64, end: u64) -> Result<Bytes, SourceError> {
        let ObjectMeta { location: path, e_tag, last_modified, .. } = &remote.object;
        // No condition holds on a weak tag (RFC 9110, section 13.1.1), and some servers have none.
        let tag = e_tag.clone().filter(|tag| !tag.starts_with("W/"));
        let options = GetOptions {
            range: Some(GetRange::Bounded(start..end)),
            if_unmodified_since: tag.is_none().then_some(*last_modified),
            if_match: tag,
            ..GetOptions::default()
        };
        let get = async || collect(remote.store.get_opts(path, options.clone()).await?, end - start).await;
        let bytes = remote.runtime.block_on(patiently(self.location(), get))?;
        self.0.bytes_read.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        match bytes.len() as u64 == end - start {
            true => Ok(bytes),
            false => Err(self.read_error("the server sent other bytes than it was asked for")),
        }
    }

    fn read_error(&self, reason: &str) -> SourceError {
        SourceError::Read { location: self.location().to_owned(), reason: reason.to_owned() }
    }

    /// Why a read of a [`SourceReader`] failed, if one has: whoever reads through it may take that for the end.
    pub fn failure(&self) -> Option<Arc<SourceError>> {
        self.0.failure.get().cloned()
    }

    /// A cursor over the source, for readers of containers.
    pub fn reader(&self) -> SourceReader {
        SourceReader { source: self.clone(), position: 0 }
    }
}

impl Cache {
    fn insert(&mut self, number: u64, block: Bytes) {
        if self.blocks.insert(number, block).is_none() {
            self.order.push_back(number);
        }
        while self.order.len() > CACHED_BLOCKS {
            if let Some(oldest) = self.order.pop_front() {
                self.blocks.remove(&oldest);
            }
        }
    }
}

/// The bytes of an answer. Of one that is longer than it was to be no more is kept than shows it.
async fn collect(answer: GetResult, length: u64) -> object_store::Result<Bytes> {
    let (mut blocks, mut bytes) = (answer.into_stream(), BytesMut::with_capacity(length as usize));
    while let Some(block) = blocks.try_next().await? {
        bytes.extend_from_slice(&block);
        if bytes.len() as u64 > length {
            break;
        }
    }
    Ok(bytes.freeze())
}

async fn head(store: &dyn ObjectStore, path: &ObjectPath, location: &str) -> Result<ObjectMeta, SourceError> {
    patiently(location, async || store.head(path).await).await
}

/// Reads again where the server may answer later: what is cut is resumed only where objects have tags.
async fn patiently<T>(
    location: &str,
    read: impl AsyncFn() -> object_store::Result<T>,
) -> Result<T, SourceError> {
    let mut rounds = Rounds::new();
    loop {
        let error = match read().await {
            Ok(read) => return Ok(read),
            Err(error) => remote_error(location, &error),
        };
        match error {
            SourceError::Away { .. } if rounds.again().await => {}
            error => return Err(error),
        }
    }
}

fn remote_error(location: &str, error: &object_store::Error) -> SourceError {
    let (location, trouble) = (location.to_owned(), trouble(error));
    match trouble.kind {
        Kind::Absent => SourceError::NotFound(location),
        Kind::Denied => SourceError::Denied(location),
        Kind::Conflict => SourceError::Changed(location),
        Kind::Away | Kind::NoRole => SourceError::Away { location, reason: trouble.reason },
        Kind::Rejected => SourceError::Read { location, reason: trouble.reason },
    }
}

/// A cursor over a [`Source`].
pub struct SourceReader {
    source: Source,
    position: u64,
}

impl Read for SourceReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = self.source.size().saturating_sub(self.position);
        let length = usize::try_from(left).unwrap_or(usize::MAX).min(buffer.len());
        if let Err(error) = self.source.read_at(self.position, &mut buffer[..length]) {
            let error = self.source.0.failure.get_or_init(|| Arc::new(error));
            return Err(io::Error::other(error.clone()));
        }
        self.position += length as u64;
        Ok(length)
    }
}

impl Seek for SourceReader {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.position = seek_target(to, self.position, self.source.size())?;
        Ok(self.position)
    }
}

/// Where a seek from `position` in something of `size` bytes leads. Places after the end are allowed, places before the
/// beginning are not.
pub fn seek_target(to: SeekFrom, position: u64, size: u64) -> io::Result<u64> {
    let target = match to {
        SeekFrom::Start(offset) => i128::from(offset),
        SeekFrom::Current(offset) => i128::from(position) + i128::from(offset),
        SeekFrom::End(offset) => i128::from(size) + i128::from(offset),
    };
    u64::try_from(target).map_err(|_| io::ErrorKind::InvalidInput.into())
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::net::TcpListener;
    use std::sync::atomic::AtomicBool;

    use super::*;

    const TAG: &str = "etag: \"v1\"\r\n";

    #[test]
    fn a_file_is_read_by_range_and_counted() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(b"0123456789").unwrap();
        let source = Source::open(file.path().to_str().unwrap()).unwrap();
        let mut four = [0; 4];
        source.read_at(3, &mut four).unwrap();
        assert_eq!((&four, source.bytes_read(), source.size()), (b"3456", 4, 10));
        assert!(matches!(source.read_at(8, &mut four), Err(SourceError::Read { .. })));
        let url = Url::from_file_path(file.path()).unwrap();
        assert_eq!(Source::open(url.as_str()).unwrap().identity(), source.identity());
    }

    #[test]
    fn what_is_not_a_readable_file_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name).display().to_string();
        File::create(path("empty")).unwrap();
        assert!(matches!(Source::open(&path("nothing")), Err(SourceError::NotFound(_))));
        assert!(matches!(Source::open(&path("empty")), Err(SourceError::Empty(_))));
        assert!(matches!(Source::open(&path(".")), Err(SourceError::NotAFile(_))));
        assert!(matches!(Source::open("gopher://a/b"), Err(SourceError::BadLocation { .. })));
    }

    #[test]
    fn a_reader_seeks_like_a_file() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(b"0123456789").unwrap();
        let mut reader = Source::open(file.path().to_str().unwrap()).unwrap().reader();
        let mut rest = String::new();
        assert_eq!(reader.seek(SeekFrom::End(-3)).unwrap(), 7);
        reader.read_to_string(&mut rest).unwrap();
        assert_eq!(rest, "789");
        assert!(reader.seek(SeekFrom::Current(-11)).is_err());
    }

    /// A web server with one object, enough of HTTP/1.1 for ranged reads. `tag` is a line of its answers' headers; once
    /// the object is `replaced`, conditions on the old one do not hold.
    fn serve(object: Vec<u8>, tag: &'static str, replaced: Arc<AtomicBool>) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                answer(stream, &object, tag, replaced.load(Ordering::SeqCst));
            }
        });
        format!("http://{address}/mezzanine.mov")
    }

    fn answer(mut stream: std::net::TcpStream, object: &[u8], tag: &str, replaced: bool) {
        let mut request = Vec::new();
        let mut byte = [0];
        while !request.ends_with(b"\r\n\r\n") && stream.read(&mut byte).unwrap_or(0) == 1 {
            request.push(byte[0]);
        }
        let request = String::from_utf8(request).unwrap().to_ascii_lowercase();
        if replaced && (request.contains("if-match:") || request.contains("if-unmodified-since: sat")) {
            return write!(stream, "HTTP/1.1 412 Precondition Failed\r\ncontent-length: 0\r\n\r\n").unwrap();
        }
        let date = "last-modified: Sat, 21 Nov 2026 00:00:00 GMT\r\nconnection: close\r\n";
        let total = object.len();
        let range = request.split("range: bytes=").nth(1).and_then(|rest| {
            let (from, to) = rest.split("\r\n").next()?.split_once('-')?;
            Some((from.parse::<usize>().ok()?, to.parse::<usize>().ok()?))
        });
        let body = range.map_or(object, |(from, to)| &object[from..=to]);
        let head = match range {
            Some((from, to)) => {
                format!("HTTP/1.1 206 Partial Content\r\ncontent-range: bytes {from}-{to}/{total}\r\n")
            }
            None => "HTTP/1.1 200 OK\r\n".to_owned(),
        };
        write!(stream, "{head}{date}{tag}content-length: {}\r\n\r\n", body.len()).unwrap();
        if request.starts_with("get") {
            stream.write_all(body).unwrap();
        }
    }

    #[test]
    fn an_object_behind_http_is_read_by_range_and_not_whole() {
        let object: Vec<u8> = (0..8 << 20).map(|n: u32| (n / 7) as u8).collect();
        let source = Source::open(&serve(object.clone(), TAG, Arc::default())).unwrap();
        assert_eq!(source.size(), object.len() as u64);
        let mut bytes = vec![0; 3 << 10];
        let offset = (5 << 20) - 1000;
        source.read_at(offset as u64, &mut bytes).unwrap();
        assert_eq!(bytes, object[offset..offset + bytes.len()]);
        assert!(source.bytes_read() <= 5 * BLOCK_BYTES, "{} bytes", source.bytes_read());
    }

    #[test]
    fn an_object_that_is_replaced_while_it_is_read_is_refused() {
        for tag in [TAG, "etag: W/\"v1\"\r\n", ""] {
            let replaced = Arc::new(AtomicBool::new(false));
            let source = Source::open(&serve(vec![7; 4 << 20], tag, Arc::clone(&replaced))).unwrap();
            let mut byte = [0];
            source.read_at(0, &mut byte).unwrap();
            replaced.store(true, Ordering::SeqCst);
            let refused = source.read_at(3 << 20, &mut byte);
            assert!(matches!(refused, Err(SourceError::Changed(_))), "{tag:?}: {refused:?}");
        }
    }
}
