//! The tracks of an output tree, read back from its files.

use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use reel_cmaf::ReadAt;
use reel_cmaf::fragment::{FragmentError, Fragments};
use reel_cmaf::mov::{Movie, Sample, TrackKind};
use reel_common::{Digest, DigestWriter, Rational};
use reel_profiles::VideoCodec;
use reel_store::seek_target;

use crate::MediaError;

/// Several files, read as if they were one behind the other. One of them is open at a time.
pub(crate) struct Joined {
    /// Each file with the offset at which it ends.
    files: Vec<(PathBuf, u64)>,
    position: u64,
    open: std::sync::Mutex<Option<(usize, File)>>,
}

impl Joined {
    pub(crate) fn new(paths: Vec<PathBuf>) -> io::Result<Self> {
        let mut end = 0;
        let mut files = Vec::with_capacity(paths.len());
        for path in paths {
            end += fs::metadata(&path)?.len();
            files.push((path, end));
        }
        Ok(Joined { files, position: 0, open: std::sync::Mutex::new(None) })
    }

    fn read_piece(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let number = self.files.partition_point(|(_, end)| *end <= offset);
        let Some((path, end)) = self.files.get(number) else { return Ok(0) };
        let start = number.checked_sub(1).map_or(0, |before| self.files[before].1);
        let mut open = self.open.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let file = match open.take() {
            Some((at, file)) if at == number => file,
            _ => File::open(path)?,
        };
        let length = buffer.len().min(usize::try_from(end - offset).unwrap_or(usize::MAX));
        file.read_exact_at(&mut buffer[..length], offset - start)?;
        *open = Some((number, file));
        Ok(length)
    }
}

impl ReadAt for Joined {
    fn len(&self) -> u64 {
        self.files.last().map_or(0, |(_, end)| *end)
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        let mut filled = 0;
        while filled < buffer.len() {
            match self.read_piece(offset + filled as u64, &mut buffer[filled..])? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                length => filled += length,
            }
        }
        Ok(())
    }
}

impl Read for Joined {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.read_piece(self.position, buffer)?;
        self.position += length as u64;
        Ok(length)
    }
}

impl Seek for Joined {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.position = seek_target(to, self.position, self.len())?;
        Ok(self.position)
    }
}

/// One way in which a stream lies in the tree: its segments, or one file.
#[derive(Clone)]
pub(super) struct Carrier {
    /// The files, in order.
    pub(super) paths: Vec<PathBuf>,
    /// What it is called in messages.
    pub(super) label: String,
}

/// A stream of the tree with all the ways in which it is carried; there is at least one.
pub(super) struct Stream {
    pub(super) name: String,
    pub(super) carriers: Vec<Carrier>,
}

/// The streams of a tree.
pub(super) struct Tree {
    pub(super) video: Vec<Stream>,
    pub(super) audio: Vec<Stream>,
}

impl Tree {
    /// Finds the streams by the layout of an output tree. Single files carry the sound of `first_track`.
    pub(super) fn read(root: &Path, first_track: Option<&str>) -> Result<Self, MediaError> {
        let unreadable =
            |error: io::Error| MediaError::invalid(format!("{} cannot be read: {error}", root.display()));
        let mut tree = Tree {
            video: segmented(&root.join("video")).map_err(unreadable)?,
            audio: segmented(&root.join("audio")).map_err(unreadable)?,
        };
        for path in sorted(root).map_err(unreadable)? {
            match path.extension().and_then(|extension| extension.to_str()) {
                Some("mp4") => tree.add_single_file(path, first_track)?,
                Some("m4a") => tree.add_audio_file(path),
                _ => {}
            }
        }
        Ok(tree)
    }

    fn add_audio_file(&mut self, path: PathBuf) {
        let name = path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
        let carrier = Carrier { label: format!("{name}.m4a"), paths: vec![path] };
        add_carrier(&mut self.audio, &name, carrier);
    }

    /// All streams.
    pub(super) fn streams(&self) -> impl Iterator<Item = &Stream> {
        self.video.iter().chain(&self.audio)
    }

    fn add_single_file(&mut self, path: PathBuf, first_track: Option<&str>) -> Result<(), MediaError> {
        let name = path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
        let carrier = Carrier { label: format!("{name}.mp4"), paths: vec![path] };
        let (_, movie) = carrier.movie()?;
        if let (Some(_), Some(track)) = (movie.first(TrackKind::Audio), first_track) {
            add_carrier(&mut self.audio, track, carrier.clone());
        }
        add_carrier(&mut self.video, &name, carrier);
        Ok(())
    }
}

fn add_carrier(streams: &mut Vec<Stream>, name: &str, carrier: Carrier) {
    match streams.iter_mut().find(|stream| stream.name == name) {
        Some(stream) => stream.carriers.push(carrier),
        None => streams.push(Stream { name: name.to_owned(), carriers: vec![carrier] }),
    }
}

fn sorted(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut paths = match fs::read_dir(folder) {
        Ok(entries) => {
            entries.map(|entry| entry.map(|entry| entry.path())).collect::<io::Result<Vec<_>>>()?
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
        Err(error) => return Err(error),
    };
    paths.sort();
    Ok(paths)
}

/// The streams in the sub-folders of `folder`: `init.mp4` and numbered segments, or `media.mp4` with all of them.
fn segmented(folder: &Path) -> io::Result<Vec<Stream>> {
    let mut streams = Vec::new();
    for path in sorted(folder)?.into_iter().filter(|path| path.is_dir()) {
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let is_segment = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "m4s");
        let mut segments: Vec<PathBuf> = sorted(&path)?.into_iter().filter(is_segment).collect();
        // Numbers are padded to five digits and may outgrow that.
        segments.sort_by_key(|path| (path.as_os_str().len(), path.clone()));
        let whole = path.join("media.mp4");
        let paths = match whole.exists() {
            true => vec![whole],
            false => std::iter::once(path.join("init.mp4")).chain(segments).collect(),
        };
        let label = format!("{}/{name}", folder.file_name().unwrap_or_default().to_string_lossy());
        streams.push(Stream { name, carriers: vec![Carrier { paths, label }] });
    }
    Ok(streams)
}

impl Carrier {
    fn movie(&self) -> Result<(Joined, Movie), MediaError> {
        let bytes = Joined::new(self.paths.clone()).map_err(|error| self.unreadable(&error))?;
        let movie = Movie::read(&bytes).map_err(|error| self.unreadable(&error))?;
        Ok((bytes, movie))
    }

    fn unreadable(&self, reason: &dyn std::fmt::Display) -> MediaError {
        MediaError::failed(format!("{} of the output cannot be read: {reason}", self.label))
    }
}

/// What tells the coded samples of one part or track from those of another: SHA-256 over each, behind its time and length.
#[derive(Default)]
pub(crate) struct CodedDigest(DigestWriter);

impl CodedDigest {
    /// Adds a sample that is presented at `pts`, in ticks from the title's beginning.
    pub(crate) fn add(&mut self, pts: i64, sample: &[u8]) {
        self.0.add(&pts.to_le_bytes());
        self.0.add(&(sample.len() as u64).to_le_bytes());
        self.0.add(sample);
    }

    pub(crate) fn finish(self) -> Digest {
        self.0.finish()
    }
}

/// The coded samples of a carrier.
pub(super) struct CodedTrack {
    bytes: Joined,
    pub(super) label: String,
    pub(super) timescale: u32,
    /// The decoder's configuration, as the sample entry has it.
    pub(super) config: Vec<u8>,
    /// Type of its sample entry.
    fourcc: [u8; 4],
    /// In decode order; times are relative to the presented beginning.
    pub(super) samples: Vec<Sample>,
    /// Of what comes in fragments.
    pub(super) fragments: Vec<Place>,
}

/// Where a fragment lies in its carrier.
pub(super) struct Place {
    /// Offset after its last byte.
    pub(super) end: u64,
    /// Number of its first sample.
    pub(super) first: usize,
}

impl CodedTrack {
    /// Reads where the samples of the first track of a kind lie.
    pub(super) fn read(carrier: &Carrier, kind: TrackKind) -> Result<Self, MediaError> {
        let (bytes, movie) = carrier.movie()?;
        let track = movie.first(kind).ok_or_else(|| carrier.unreadable(&"it lacks a track"))?;
        let config =
            track.codec_config().ok_or_else(|| carrier.unreadable(&"its codec is not set up"))?.to_vec();
        let (mut samples, fragments) = match movie.fragmented {
            true => fragment_samples(&bytes).map_err(|error| carrier.unreadable(&error))?,
            false => (track.samples.iter().collect(), Vec::new()),
        };
        // The edit list says where presentation begins; ours has one edit.
        let start = match track.edits.as_slice() {
            [] => 0,
            [edit] => edit.media_time.ok_or_else(|| carrier.unreadable(&"its edit is empty"))?,
            _ => return Err(carrier.unreadable(&"it has more than one edit")),
        };
        for sample in &mut samples {
            sample.pts -= start;
            sample.dts -= start;
        }
        let (label, timescale, fourcc) = (carrier.label.clone(), track.timescale, track.fourcc);
        Ok(CodedTrack { bytes, label, timescale, config, fourcc, samples, fragments })
    }

    /// The codec of a video track.
    pub(super) fn video_codec(&self) -> Result<VideoCodec, MediaError> {
        match &self.fourcc {
            b"avc1" => Ok(VideoCodec::H264),
            b"hvc1" => Ok(VideoCodec::Hevc),
            b"av01" => Ok(VideoCodec::Av1),
            other => {
                let (label, name) = (&self.label, other.escape_ascii());
                Err(MediaError::failed(format!("{label} has pictures of a codec that is not ours: {name}")))
            }
        }
    }

    /// Refuses a stream whose carriers do not hold the same samples; gives the first of them.
    pub(super) fn of_stream(stream: &Stream, kind: TrackKind) -> Result<Self, MediaError> {
        let mut tracks = Vec::with_capacity(stream.carriers.len());
        for carrier in &stream.carriers {
            tracks.push(CodedTrack::read(carrier, kind)?);
        }
        if let [first, others @ ..] = tracks.as_slice()
            && !others.is_empty()
        {
            let digest = first.timed_digest()?;
            for other in others {
                if other.timed_digest()? != digest {
                    let (first, other) = (&first.label, &other.label);
                    return Err(MediaError::failed(format!("{other} does not hold the samples of {first}")));
                }
            }
        }
        Ok(tracks.swap_remove(0))
    }

    /// Reads a sample's bytes.
    pub(super) fn data(&self, sample: &Sample) -> Result<Vec<u8>, MediaError> {
        let mut data = vec![0; sample.size as usize];
        let read = self.bytes.read_at(sample.position, &mut data);
        read.map_err(|error| {
            MediaError::failed(format!("{} of the output is cut off: {error}", self.label))
        })?;
        Ok(data)
    }

    /// A digest over samples, as a [`CodedDigest`] gives it of what was made to be shown `moved` ticks earlier.
    pub(super) fn coded_digest(&self, samples: &[Sample], moved: i64) -> Result<Digest, MediaError> {
        let mut digest = CodedDigest::default();
        for sample in samples {
            digest.add(sample.pts - moved, &self.data(sample)?);
        }
        Ok(digest.finish())
    }

    /// A digest over all samples and their times in seconds, whatever carries them.
    fn timed_digest(&self) -> Result<Digest, MediaError> {
        let mut digest = DigestWriter::default();
        for sample in &self.samples {
            let time = Rational::new(sample.pts, self.timescale.into());
            digest.add(time.map(|time| time.to_string()).unwrap_or_default().as_bytes());
            digest.add(&self.data(sample)?);
        }
        Ok(digest.finish())
    }
}

fn fragment_samples(bytes: &Joined) -> Result<(Vec<Sample>, Vec<Place>), FragmentError> {
    let (mut samples, mut places) = (Vec::new(), Vec::new());
    for fragment in Fragments::of_ours(bytes) {
        let fragment = fragment?;
        places.push(Place { end: fragment.end, first: samples.len() });
        samples.extend(fragment.samples);
    }
    Ok((samples, places))
}
