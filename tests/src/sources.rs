//! Lines of the matrix: what a mezzanine is like, and the file that is made like it.

use crate::fixtures::{self, Fixture};

/// How the lines of the pictures lie in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scan {
    /// All at once.
    Progressive,
    /// Fields, the upper lines first.
    Tff,
    /// Fields, the lower lines first.
    Bff,
}

/// Colour tags of a mezzanine, in ffmpeg's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Colours {
    /// Of primaries, transfer and matrix.
    pub names: [&'static str; 3],
    /// `tv` or `pc`.
    pub range: &'static str,
}

/// A mezzanine that ffmpeg makes with one command.
#[derive(Clone, Copy, Debug)]
pub struct Source {
    /// Unique.
    pub name: &'static str,
    /// Width and height, and, unless it is 1:1, the sample aspect ratio: `720x576 64:45`.
    pub shape: &'static str,
    /// Frames per second.
    pub rate: &'static str,
    /// How lines lie in time.
    pub scan: Scan,
    /// ffmpeg's options for the pictures, each piece one or more.
    pub video: &'static [&'static str],
    /// Colour tags; `None` where the codec and the container have none.
    pub colours: Option<Colours>,
    /// The layout of the sound and ffmpeg's options for it; `None` for a silent film.
    pub sound: Option<(&'static str, &'static str)>,
    /// The container by the usual ending of its files, with options of its muxer.
    pub container: &'static str,
}

/// How long a mezzanine is: two parts of the test profiles.
const SECONDS: f64 = 3.2;

/// Numerator and denominator of a frame rate.
pub fn rate_terms(rate: &str) -> (u32, u32) {
    let (num, den) = rate.split_once('/').unwrap_or((rate, "1"));
    (num.parse().expect("a number"), den.parse().expect("a number"))
}

impl Source {
    /// Width, height, and the sample aspect ratio.
    pub fn size(&self) -> (u32, u32, (u32, u32)) {
        let (size, aspect) = self.shape.split_once(' ').unwrap_or((self.shape, "1:1"));
        let pair = |text: &str, mark| {
            let (a, b) = text.split_once(mark).expect("two numbers");
            (a.parse().expect("a number"), b.parse().expect("a number"))
        };
        let (width, height) = pair(size, 'x');
        (width, height, pair(aspect, ':'))
    }

    /// Frames per second as numerator and denominator.
    pub fn rate_terms(&self) -> (u32, u32) {
        rate_terms(self.rate)
    }

    /// How many frames it has.
    pub fn frames(&self) -> u32 {
        let (num, den) = self.rate_terms();
        (SECONDS * f64::from(num) / f64::from(den)).round() as u32
    }

    /// The size of a rendition of a height: square pixels, both sides even.
    pub fn rendition(&self, height: u32) -> (u32, u32) {
        let (width, source_height, (num, den)) = self.size();
        let wide = f64::from(height * width) * f64::from(num) / f64::from(source_height * den);
        ((wide / 2.0).round() as u32 * 2, height)
    }

    /// The file.
    pub fn make(&self) -> Fixture {
        fixtures::generated(self)
    }
}
