//! A file that somebody makes when this host is to go: a hook of a cloud's own agent, a batch system, an operator.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::fs::File;
use tokio::io::AsyncReadExt;

use super::{Going, HAND_BACK, Source, Trouble};

const EVERY: Duration = Duration::from_secs(1);
/// A number of seconds is shorter.
const MAX_BYTES: u64 = 64;

pub(super) struct NoticeFile {
    path: PathBuf,
    /// Where the file does not say how long there is.
    grace: Duration,
}

impl NoticeFile {
    pub(super) fn new(path: PathBuf, grace: Duration) -> NoticeFile {
        NoticeFile { path, grace }
    }
}

impl Source for NoticeFile {
    fn name(&self) -> &'static str {
        "the notice file"
    }

    fn pause(&self) -> Duration {
        EVERY
    }

    async fn ask(&mut self) -> Result<Option<Going>, Trouble> {
        match read(&self.path).await {
            Ok(text) => Ok(Some(going(&self.path, &text, self.grace))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(Trouble::Unreachable(format!("{}: {error}", self.path.display()))),
        }
    }
}

async fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    File::open(path).await?.take(MAX_BYTES).read_to_end(&mut text).await?;
    Ok(text)
}

/// A whole number says in how many seconds the host goes. Anything else, such as the empty file of `touch`, says only
/// that it goes.
fn going(path: &Path, text: &[u8], grace: Duration) -> Going {
    let seconds: Option<u32> = std::str::from_utf8(text).ok().and_then(|text| text.trim().parse().ok());
    let path = path.display();
    match seconds {
        Some(seconds) => Going {
            reason: format!("the notice file {path} says that this host goes in {seconds} s"),
            left: Duration::from_secs(seconds.into()),
        },
        None => Going { reason: format!("the notice file {path} is there"), left: grace + HAND_BACK },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_notice_file_may_say_how_long_there_is() {
        let grace = Duration::from_secs(90);
        let left = |text: &str| going(Path::new("gone"), text.as_bytes(), grace).left.as_secs();
        assert_eq!(left("30\n"), 30);
        assert_eq!(left("0"), 0);
        for text in ["", "soon", "-5", "99999999999999999999"] {
            assert_eq!(left(text), 95, "{text}");
        }
    }

    #[tokio::test]
    async fn a_file_that_is_not_there_is_no_notice_and_one_that_cannot_be_read_is_trouble() {
        let folder = tempfile::tempdir().unwrap();
        let ask = |path: PathBuf| async move { NoticeFile::new(path, Duration::ZERO).ask().await };
        assert_eq!(ask(folder.path().join("gone")).await, Ok(None));
        assert!(matches!(ask(folder.path().to_owned()).await, Err(Trouble::Unreachable(_))));
        let huge = folder.path().join("huge");
        std::fs::write(&huge, "1".repeat(1 << 20)).unwrap();
        assert!(matches!(ask(huge).await, Ok(Some(_))));
    }
}
