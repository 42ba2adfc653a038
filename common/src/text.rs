//! Subtitles and captions that come with a mezzanine, in it or in files of their own.

use std::fmt;
use std::str::FromStr;

use crate::{SourceIdentity, is_language_tag};

/// What a text is for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum TextRole {
    /// What is spoken.
    #[default]
    Subtitles,
    /// What is spoken and heard, for those who do not hear.
    Captions,
    /// Only what nobody understands without it, shown to everybody.
    Forced,
}

impl TextRole {
    /// Every role.
    pub const ALL: [TextRole; 3] = [TextRole::Subtitles, TextRole::Captions, TextRole::Forced];

    /// The word used for it.
    pub fn name(self) -> &'static str {
        match self {
            TextRole::Subtitles => "subtitles",
            TextRole::Captions => "captions",
            TextRole::Forced => "forced",
        }
    }
}

/// A language and a role: what a text is known by in its title.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TextName {
    /// BCP 47 tag.
    pub language: String,
    /// What it is for.
    pub role: TextRole,
}

impl fmt::Display for TextName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.role {
            TextRole::Subtitles => f.write_str(&self.language),
            role => write!(f, "{}-{}", self.language, role.name()),
        }
    }
}

/// A channel of the captions that lie in pictures (ATSC A/53 part 4).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum CaptionChannel {
    /// The first of field 1 of line 21 (CTA-608), where the captions of most programmes are.
    Cc1,
    /// The second of field 1.
    Cc2,
    /// The first of field 2, where a second language is.
    Cc3,
    /// The second of field 2.
    Cc4,
    /// A caption service of digital television (CTA-708), 1 to [`CaptionChannel::MAX_SERVICE`].
    Service(u8),
}

impl CaptionChannel {
    /// The channels of line 21.
    pub const LINE_21: [CaptionChannel; 4] =
        [CaptionChannel::Cc1, CaptionChannel::Cc2, CaptionChannel::Cc3, CaptionChannel::Cc4];
    /// The last caption service.
    pub const MAX_SERVICE: u8 = 63;

    /// Whether both say the same in a programme that has captions for old and for new receivers: the first service repeats
    /// the first channel, the second service that of the second language.
    pub fn repeats(self, other: CaptionChannel) -> bool {
        use CaptionChannel::{Cc1, Cc3, Service};
        let pair = |channel| match channel {
            Service(1) => Cc1,
            Service(2) => Cc3,
            channel => channel,
        };
        pair(self) == pair(other)
    }
}

impl fmt::Display for CaptionChannel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CaptionChannel::Service(number) => write!(f, "service{number}"),
            CaptionChannel::Cc1 => f.write_str("cc1"),
            CaptionChannel::Cc2 => f.write_str("cc2"),
            CaptionChannel::Cc3 => f.write_str("cc3"),
            CaptionChannel::Cc4 => f.write_str("cc4"),
        }
    }
}

impl FromStr for CaptionChannel {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let services = (1..=Self::MAX_SERVICE).map(CaptionChannel::Service);
        Self::LINE_21.into_iter().chain(services).find(|channel| channel.to_string() == text).ok_or(())
    }
}

/// Where subtitles or captions come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TextSource {
    /// What it is known by.
    pub name: TextName,
    /// Path or URL of a file, `stream:N` for the N-th of the mezzanine's own, counted from 1, or `video:CHANNEL` for a
    /// [`CaptionChannel`] that lies in its pictures.
    pub location: String,
    /// The version of the file that the submitter has seen.
    pub identity: Option<SourceIdentity>,
    /// The time in the file at which the title begins, in milliseconds; at most [`TextSource::MAX_START_MS`].
    pub start_ms: u64,
}

/// Why something is no text of a job.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TextSourceError {
    /// Nothing that could be read as one.
    #[error(
        "it is written LANGUAGE[:ROLE][@START]=FILE, such as en=movie.srt, en:captions@01:00:00=movie.scc or \
         en:captions=video:cc1"
    )]
    Form,
    /// No number of a stream.
    #[error("`{0}` is no stream: they are counted from stream:1")]
    Stream(String),
    /// No channel of captions.
    #[error(
        "`{0}` is no channel of captions: use video:cc1 to video:cc4 or video:service1 to video:service63"
    )]
    Channel(String),
    /// Not a language.
    #[error("`{0}` is no language tag such as en, deu or pt-BR")]
    Language(String),
    /// Not a role.
    #[error("`{0}` is no role: use subtitles, captions or forced")]
    Role(String),
    /// Not a time of a file.
    #[error("`{0}` is no time such as 01:00:00 or 00:59:58.400")]
    Clock(String),
    /// Two with one name.
    #[error("there are two texts `{0}`: give one of them another role")]
    Twice(String),
    /// More than a job may have.
    #[error("a job has at most {} texts", TextSource::MAX_OF_JOB)]
    TooMany,
    /// Its place is empty or too long.
    #[error(
        "the file of a text is named in 1 to {} bytes, its version in as many at most",
        TextSource::MAX_LOCATION_BYTES
    )]
    Location,
    /// Its start is out of bounds.
    #[error("a text begins at most 24 hours after its file")]
    Start,
}

impl TextSource {
    /// What a worker that reads texts names among its codecs.
    pub const CODEC: &str = "text";
    /// What a worker that reads captions in pictures names there as well.
    pub const CAPTIONS_CODEC: &str = "captions";
    /// Most texts of a job.
    pub const MAX_OF_JOB: usize = 32;
    /// Longest path or URL.
    pub const MAX_LOCATION_BYTES: usize = 4096;
    /// A timecode goes round after a day.
    pub const MAX_START_MS: u64 = 24 * 60 * 60 * 1000;

    /// Which of the mezzanine's own texts it is, from 1; `None` for a file.
    pub fn stream(&self) -> Option<u32> {
        self.location.strip_prefix(STREAM)?.parse().ok().filter(|number| *number > 0)
    }

    /// Which captions in the mezzanine's pictures it is; `None` for anything else.
    pub fn in_pictures(&self) -> Option<CaptionChannel> {
        self.location.strip_prefix(PICTURES)?.parse().ok()
    }

    /// Whether it lies in the mezzanine, and not in a file of its own.
    pub fn is_of_mezzanine(&self) -> bool {
        self.stream().is_some() || self.in_pictures().is_some()
    }

    /// Whether these may be the texts of a job.
    ///
    /// # Errors
    /// What is wrong with them.
    pub fn check_all(texts: &[TextSource]) -> Result<(), TextSourceError> {
        if texts.len() > Self::MAX_OF_JOB {
            return Err(TextSourceError::TooMany);
        }
        for (number, text) in texts.iter().enumerate() {
            check_language(&text.name.language)?;
            if text.location.is_empty() || text.location.len() > Self::MAX_LOCATION_BYTES {
                return Err(TextSourceError::Location);
            }
            if text.start_ms > Self::MAX_START_MS {
                return Err(TextSourceError::Start);
            }
            let tag = text.identity.as_ref().and_then(|identity| identity.etag.as_ref());
            if tag.is_some_and(|tag| tag.len() > Self::MAX_LOCATION_BYTES) {
                return Err(TextSourceError::Location);
            }
            if text.location.starts_with(STREAM) && text.stream().is_none() {
                return Err(TextSourceError::Stream(text.location.clone()));
            }
            if text.location.starts_with(PICTURES) && text.in_pictures().is_none() {
                return Err(TextSourceError::Channel(text.location.clone()));
            }
            // Names become folders, for which case may not count.
            let name = text.name.to_string();
            let same = |other: &TextSource| other.name.to_string().eq_ignore_ascii_case(&name);
            if texts[..number].iter().any(same) {
                return Err(TextSourceError::Twice(name));
            }
        }
        Ok(())
    }
}

/// What stands before the number of a stream.
const STREAM: &str = "stream:";
/// What stands before a channel of captions.
const PICTURES: &str = "video:";

/// Milliseconds of `hh:mm:ss` with or without a fraction of up to three digits.
fn clock_ms(text: &str) -> Option<u64> {
    let (clock, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    let parts = clock.split(':').map(|part| part.parse().ok().filter(|_| part.len() == 2 && digits(part)));
    let parts: Vec<u64> = parts.collect::<Option<_>>()?;
    let [hours, minutes @ 0..60, seconds @ 0..60] = parts[..] else { return None };
    let thousandths = (1..=3).contains(&fraction.len()) && digits(fraction);
    let millis: u64 = format!("{fraction:0<3}").parse().ok().filter(|_| thousandths)?;
    Some(((hours * 60 + minutes) * 60 + seconds) * 1000 + millis)
}

fn check_language(tag: &str) -> Result<(), TextSourceError> {
    // Else the language of one text could be the name of another.
    let is_role = |part: &str| TextRole::ALL.iter().any(|role| part.eq_ignore_ascii_case(role.name()));
    match is_language_tag(tag) && !tag.split('-').any(is_role) {
        true => Ok(()),
        false => Err(TextSourceError::Language(tag.to_owned())),
    }
}

impl FromStr for TextSource {
    type Err = TextSourceError;

    /// Reads `LANGUAGE[:ROLE][@START]=FILE`.
    fn from_str(text: &str) -> Result<Self, TextSourceError> {
        let (name, location) = text.split_once('=').ok_or(TextSourceError::Form)?;
        let (name, start) = name.split_once('@').unwrap_or((name, "00:00:00"));
        let start_ms = clock_ms(start).ok_or_else(|| TextSourceError::Clock(start.to_owned()))?;
        let (language, role) = name.split_once(':').unwrap_or((name, TextRole::Subtitles.name()));
        let found = TextRole::ALL.into_iter().find(|known| known.name() == role);
        let role = found.ok_or_else(|| TextSourceError::Role(role.to_owned()))?;
        check_language(language)?;
        let name = TextName { language: language.to_owned(), role };
        let source = TextSource { name, location: location.to_owned(), identity: None, start_ms };
        Self::check_all(std::slice::from_ref(&source)).map(|()| source)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_read_as_they_are_typed() {
        for (text, name, location) in [
            ("en=movie.srt", "en", "movie.srt"),
            ("pt-BR:forced=s3://bucket/a=b.vtt", "pt-BR-forced", "s3://bucket/a=b.vtt"),
            ("deu:captions=/srv/a.scc", "deu-captions", "/srv/a.scc"),
            ("en:subtitles=x", "en", "x"),
            ("en=stream:12", "en", "stream:12"),
            ("en:captions=video:cc1", "en-captions", "video:cc1"),
        ] {
            let source: TextSource = text.parse().unwrap();
            assert_eq!((source.name.to_string().as_str(), source.location.as_str()), (name, location));
        }
        let start = |text: &str| text.parse::<TextSource>().map(|source| source.start_ms);
        assert_eq!(
            [start("en=a@b"), start("en:captions@01:00:00=a"), start("en@00:59:58.4=a")],
            [0, 3_600_000, 3_598_400].map(Ok)
        );
        for wrong in ["1:00:00", "01:60:00", "01:00", "01:00:00.", "01:00:00.1234", "+1:00:00", ""] {
            assert_eq!(start(&format!("en@{wrong}=a")), Err(TextSourceError::Clock(wrong.to_owned())));
        }
        for (text, error) in [
            ("movie.srt", TextSourceError::Form),
            ("=movie.srt", TextSourceError::Language(String::new())),
            ("../x=movie.srt", TextSourceError::Language("../x".to_owned())),
            ("en-forced=movie.srt", TextSourceError::Language("en-forced".to_owned())),
            ("en:cc=movie.srt", TextSourceError::Role("cc".to_owned())),
            ("en=", TextSourceError::Location),
            ("en=stream:0", TextSourceError::Stream("stream:0".to_owned())),
            ("en=video:cc5", TextSourceError::Channel("video:cc5".to_owned())),
            ("en=video:service0", TextSourceError::Channel("video:service0".to_owned())),
            ("en=video:service01", TextSourceError::Channel("video:service01".to_owned())),
        ] {
            assert_eq!(text.parse::<TextSource>(), Err(error), "{text}");
        }
    }

    #[test]
    fn captions_in_pictures_are_known_by_their_channel() {
        let channel = |location: &str| {
            let source: Result<TextSource, _> = format!("en={location}").parse();
            source.unwrap().in_pictures()
        };
        assert_eq!(channel("video:cc3"), Some(CaptionChannel::Cc3));
        assert_eq!(channel("video:service63"), Some(CaptionChannel::Service(63)));
        assert_eq!([channel("stream:1"), channel("video.scc")], [None, None]);
        let repeats = |a: CaptionChannel, b| a.repeats(b) && b.repeats(a);
        assert!(repeats(CaptionChannel::Cc1, CaptionChannel::Service(1)));
        assert!(repeats(CaptionChannel::Cc3, CaptionChannel::Service(2)));
        assert!(!repeats(CaptionChannel::Cc1, CaptionChannel::Cc3));
        assert!(!repeats(CaptionChannel::Cc2, CaptionChannel::Service(2)));
    }

    #[test]
    fn a_job_has_each_text_once() {
        let texts =
            |list: &[&str]| list.iter().map(|text| text.parse().unwrap()).collect::<Vec<TextSource>>();
        assert_eq!(TextSource::check_all(&texts(&["en=a", "en:forced=b", "de=a"])), Ok(()));
        let twice = TextSource::check_all(&texts(&["pt-br=a", "pt-BR=b"]));
        assert_eq!(twice, Err(TextSourceError::Twice("pt-BR".to_owned())));
        let many: Vec<String> = (0..33).map(|number| format!("a{number}=f")).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        assert_eq!(TextSource::check_all(&texts(&many)), Err(TextSourceError::TooMany));
        let late = TextSource { start_ms: TextSource::MAX_START_MS + 1, ..texts(&["en=a"]).remove(0) };
        assert_eq!(TextSource::check_all(&[late]), Err(TextSourceError::Start));
    }
}
