//! The mezzanine as it was typed, turned into what tasks are told: an absolute location and its identity.

use std::io::Read;
use std::path::PathBuf;

use reel_common::{Label, Labels, SourceIdentity, TextSource};
use reel_store::Source;
use url::Url;

use crate::exit::Stop;

/// A mezzanine that was there and readable when the command began.
#[derive(Clone, Debug)]
pub(crate) struct Input {
    /// Absolute path or URL.
    pub(crate) location: String,
    /// The version that was seen.
    pub(crate) identity: SourceIdentity,
}

impl Input {
    /// Looks at the mezzanine. Must not be called on a tokio runtime, since a remote source brings its own.
    ///
    /// # Errors
    /// Whatever keeps it from being read: absent, empty, a folder, not permitted, no such kind of URL.
    pub(crate) fn open(typed: &str) -> Result<Self, Stop> {
        let identity = Source::open(typed)?.identity().clone();
        Ok(Input { location: absolute(typed)?, identity })
    }

    /// The path of a local mezzanine.
    pub(crate) fn local_path(&self) -> Option<PathBuf> {
        local_path(&self.location)
    }
}

/// The bytes of a small file or object.
///
/// # Errors
/// Whatever keeps it from being read, or that it is longer than `most`.
pub(crate) fn read_small(location: &str, most: u64) -> Result<Vec<u8>, Stop> {
    let source = Source::open(location)?;
    if source.size() > most {
        return Err(Stop::failed(format!("{location} has {} bytes, at most {most} are read", source.size())));
    }
    let mut bytes = Vec::new();
    let read = source.reader().read_to_end(&mut bytes);
    read.map(|_| bytes).map_err(|error| Stop::failed(format!("cannot read {location}: {error}")))
}

/// The path that was typed, as it is or as a file URL; `None` for any other URL.
pub(crate) fn local_path(typed: &str) -> Option<PathBuf> {
    match Url::parse(typed) {
        Ok(url) if url.scheme() == "file" => url.to_file_path().ok(),
        Ok(_) if typed.contains("://") => None,
        _ => Some(typed.into()),
    }
}

/// The same for every way to type it: links and relative parts of a local path are resolved.
pub(crate) fn absolute(typed: &str) -> Result<String, Stop> {
    let Some(path) = local_path(typed) else {
        return Ok(Url::parse(typed).map_or_else(|_| typed.to_owned(), String::from));
    };
    let path = path
        .canonicalize()
        .map_err(|error| Stop::failed(format!("cannot resolve {}: {error}", path.display())))?;
    match path.to_str() {
        Some(text) => Ok(text.to_owned()),
        None => Url::from_file_path(&path)
            .map(String::from)
            .map_err(|()| Stop::usage(format!("{} has no URL: rename it", path.display()))),
    }
}

/// Subtitles and captions, each looked at as the mezzanine is.
pub(crate) fn texts(typed: Vec<TextSource>) -> Result<Vec<TextSource>, Stop> {
    TextSource::check_all(&typed).map_err(|error| Stop::usage(error.to_string()))?;
    let look = |text: TextSource| {
        if text.is_of_mezzanine() {
            return Ok(text);
        }
        let Input { location, identity } = Input::open(&text.location)?;
        Ok(TextSource { location, identity: Some(identity), ..text })
    };
    typed.into_iter().map(look).collect()
}

/// The labels that were typed.
pub(crate) fn labels(typed: Vec<Label>) -> Result<Labels, Stop> {
    let pairs = typed.into_iter().map(|label| (label.key, label.value));
    Labels::new(pairs).map_err(|error| Stop::usage(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exit::Exit;

    #[test]
    fn every_way_to_type_a_path_is_one_location() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a movie.mov");
        std::fs::write(&file, b"x").unwrap();
        std::os::unix::fs::symlink(&file, folder.path().join("link")).unwrap();
        let plain = Input::open(file.to_str().unwrap()).unwrap();
        assert_eq!(plain.local_path(), Some(file.canonicalize().unwrap()));
        let dotted = folder.path().join("./../").join(folder.path().file_name().unwrap()).join("link");
        for typed in [dotted.to_str().unwrap().to_owned(), Url::from_file_path(&file).unwrap().into()] {
            assert_eq!(Input::open(&typed).unwrap().location, plain.location, "{typed}");
        }
    }

    #[test]
    fn what_is_no_mezzanine_is_refused_with_its_exit_code() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
        std::fs::write(path("empty.mov"), b"").unwrap();
        let exit = |typed: &str| Input::open(typed).unwrap_err().exit;
        assert_eq!(exit(&path("missing.mov")), Exit::NotFound);
        assert_eq!(exit(&path("empty.mov")), Exit::JobFailed);
        assert_eq!(exit(&path("")), Exit::Usage);
        assert_eq!(exit("gopher://host/movie.mov"), Exit::Usage);
    }
}
