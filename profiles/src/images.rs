//! Still pictures of a title: thumbnails in sprite sheets, and a poster; and what comes of them for one source.

use reel_common::{Rational, VideoFacts};

use crate::LadderError;
use crate::ladder::{Display, MAX_SIDE};
use crate::types::Profile;

/// Still pictures that a title has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Images {
    /// Milliseconds from one thumbnail to the next, 100 to 600,000.
    pub every_ms: u32,
    /// Height of a thumbnail in pixels, even, 32 to 1080; the width follows from the display aspect.
    pub height: u32,
    /// Thumbnails side by side in a sheet, 1 to 20.
    pub columns: u32,
    /// Rows of a sheet, 1 to 20.
    pub rows: u32,
    /// The poster.
    pub poster: Option<Poster>,
}

/// One picture that stands for the title.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Poster {
    /// When it is shown, from the beginning of the title; without it a frame is chosen that is not black.
    pub at_ms: Option<u32>,
    /// Its height in pixels, even; without it that of the source.
    pub height: Option<u32>,
}

impl Default for Images {
    fn default() -> Self {
        Images { every_ms: 10_000, height: 180, columns: 5, rows: 5, poster: Some(Poster::default()) }
    }
}

impl Images {
    /// The longest side of a sheet in pixels: what the graphics of small devices take as one picture.
    pub const MAX_SHEET_SIDE: u32 = 4096;
    /// Most thumbnails of a title: 44 hours at one for ten seconds. Their record has 150 bytes for each.
    pub const MAX_THUMBNAILS: u64 = 16_000;

    /// Thumbnails of a full sheet.
    pub fn per_sheet(&self) -> u64 {
        u64::from(self.columns * self.rows)
    }

    /// Thumbnails of a title of so many milliseconds.
    pub fn thumbnails(&self, title_ms: u64) -> u64 {
        title_ms.div_ceil(u64::from(self.every_ms)).max(1)
    }
}

/// The sizes of a title's still pictures, in square pixels, upright.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ResolvedImages {
    /// As the profile gives them.
    pub images: Images,
    /// Width of a thumbnail, even.
    pub width: u32,
    /// Width and height of the poster, both even, where there is one.
    pub poster: Option<(u32, u32)>,
}

impl ResolvedImages {
    /// Width and height of a sheet.
    pub fn sheet(&self) -> (u32, u32) {
        (self.width * self.images.columns, self.images.height * self.images.rows)
    }

    /// Pixels of the larger of sheet and poster.
    pub fn most_pixels(&self) -> u64 {
        let pixels = |(width, height)| u64::from(width) * u64::from(height);
        pixels(self.sheet()).max(self.poster.map_or(0, pixels))
    }
}

/// A source of which the still pictures cannot be made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ImagesError {
    /// It is no picture.
    #[error(transparent)]
    Picture(LadderError),
    /// A thumbnail has no pixels, or a sheet too many.
    #[error(
        "a sheet of `[images]` would be {width}x{height}, and its sides go up to {most}: use a smaller `height`, or fewer \
         `columns` or `rows`",
        most = Images::MAX_SHEET_SIDE
    )]
    Sheet {
        /// Its width.
        width: i64,
        /// Its height.
        height: i64,
    },
    /// The poster is out of bounds.
    #[error(
        "the poster would be {width}x{height}, and its sides go up to {MAX_SIDE}: give `poster` another `height`"
    )]
    Poster {
        /// Its width.
        width: i64,
        /// Its height.
        height: i64,
    },
    /// It is taken from beyond the title.
    #[error(
        "`poster` is taken at {at} s, and the title ends at {end} s: take it earlier",
        at = f64::from(*at_ms) / 1e3,
        end = *title_ms as f64 / 1e3
    )]
    Late {
        /// When it is taken.
        at_ms: u32,
        /// When the title ends.
        title_ms: u64,
    },
    /// More than a title may have.
    #[error(
        "the title would have {0} thumbnails, more than {most}: make `every_s` of `[images]` longer",
        most = Images::MAX_THUMBNAILS
    )]
    Many(u64),
}

/// When a title ends, in milliseconds, rounded up: the last thumbnail is shown until then.
pub fn title_ms(duration: Rational) -> u64 {
    let ms = duration.checked_mul(Rational::whole(1000));
    ms.map_or(0, |ms| u64::try_from(ms.ceil()).unwrap_or(0)).max(1)
}

impl Profile {
    /// The sizes of the still pictures that are made of a source of a title that lasts so many seconds, where the profile has
    /// any.
    ///
    /// # Errors
    /// [`ImagesError`] where they cannot be made of it.
    pub fn images(
        &self,
        video: &VideoFacts,
        duration: Rational,
    ) -> Result<Option<ResolvedImages>, ImagesError> {
        let Some(images) = self.images else { return Ok(None) };
        let title_ms = title_ms(duration);
        let thumbnails = images.thumbnails(title_ms);
        if thumbnails > Images::MAX_THUMBNAILS {
            return Err(ImagesError::Many(thumbnails));
        }
        let display = Display::of(video, self.picture.crop).map_err(ImagesError::Picture)?;
        let width = display.width(images.height.into()).unwrap_or(i64::MAX);
        let sheet = (width.saturating_mul(images.columns.into()), i64::from(images.height * images.rows));
        let sides = 2..=i64::from(Images::MAX_SHEET_SIDE);
        if width < 2 || !sides.contains(&sheet.0) || !sides.contains(&sheet.1) {
            return Err(ImagesError::Sheet { width: sheet.0, height: sheet.1 });
        }
        let poster = images.poster.map(|poster| poster.size(display, title_ms)).transpose()?;
        Ok(Some(ResolvedImages { images, width: width as u32, poster }))
    }
}

impl Poster {
    fn size(self, display: Display, title_ms: u64) -> Result<(u32, u32), ImagesError> {
        if let Some(at_ms) = self.at_ms.filter(|at_ms| u64::from(*at_ms) >= title_ms) {
            return Err(ImagesError::Late { at_ms, title_ms });
        }
        let height = self.height.map_or(display.height & !1, i64::from);
        let width = display.width(height).unwrap_or(i64::MAX);
        let sides = 2..=MAX_SIDE;
        match sides.contains(&width) && sides.contains(&height) {
            true => Ok((width as u32, height as u32)),
            false => Err(ImagesError::Poster { width, height }),
        }
    }
}

#[cfg(test)]
mod tests {
    use reel_common::fixture::film;

    use super::*;
    use crate::catalog;

    /// What comes of `[images]` for a film of a size that lasts so many seconds.
    fn resolved(images: &str, size: (u32, u32), seconds: i64) -> Result<ResolvedImages, String> {
        let text = format!("{}\n[images]\n{images}\n", catalog::text("proxy").unwrap());
        let profile = Profile::parse(&text, "proxy").unwrap();
        let found = profile.images(&film(24, size).video, Rational::whole(seconds));
        found.map(Option::unwrap).map_err(|error| error.to_string())
    }

    #[test]
    fn sizes_follow_from_the_display_aspect() {
        let wide = resolved("", (3840, 1600), 60).unwrap();
        assert_eq!((wide.width, wide.sheet(), wide.poster), (432, (2160, 900), Some((3840, 1600))));
        let odd = resolved("height = 90\ncolumns = 1\nposter = { height = 64 }", (431, 323), 60).unwrap();
        assert_eq!((odd.width, odd.sheet(), odd.poster), (120, (120, 450), Some((86, 64))));
        assert_eq!(resolved("poster = false", (1920, 1080), 60).unwrap().poster, None);
    }

    #[test]
    fn what_a_title_cannot_have_is_refused() {
        let refused = |images, size, seconds| resolved(images, size, seconds).unwrap_err();
        assert_eq!(
            refused("columns = 20", (1920, 1080), 60),
            "a sheet of `[images]` would be 6400x900, and its sides go up to 4096: use a smaller `height`, or fewer `columns` or `rows`"
        );
        assert_eq!(
            refused("every_s = 0.1", (1920, 1080), 1601),
            "the title would have 16010 thumbnails, more than 16000: make `every_s` of `[images]` longer"
        );
        assert!(resolved("every_s = 0.1", (1920, 1080), 1600).is_ok());
        assert_eq!(
            refused("poster = { at_s = 60 }", (1920, 1080), 60),
            "`poster` is taken at 60 s, and the title ends at 60 s: take it earlier"
        );
        assert!(
            refused("columns = 1\nposter = { height = 4320 }", (8000, 800), 60)
                .starts_with("the poster would be 43200x4320")
        );
    }

    #[test]
    fn the_last_thumbnail_is_shown_until_the_end() {
        let images = Images { every_ms: 1000, ..Images::default() };
        let count = |num, den| images.thumbnails(title_ms(Rational::new(num, den).unwrap()));
        assert_eq!(
            [count(10, 1), count(10_001, 1000), count(100_001, 10_000), count(1, 25)],
            [10, 11, 11, 1]
        );
    }
}
