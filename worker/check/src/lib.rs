//! Judges a finished package of HLS or DASH, whoever made it: playlists, manifest and boxes against the rules of their
//! specifications, all of them against each other, and the whole against what its destinations ask for.
//!
//! Nothing is shared with what writes packages. Playlists, manifest and boxes are read here, strictly, and again. Nothing is
//! decoded, and nothing is decrypted: of encrypted media, what its boxes say is judged. Nothing here knows a disk; a [`Package`]
//! is a list of files and a way to read them.

mod bmff;
mod codecs;
mod content;
mod dash;
mod destination;
mod facts;
mod finding;
mod hls;
mod media;
mod package;
mod rate;
mod rule;
mod stream;
mod time;
mod ts;

pub use finding::Finding;
pub use package::{Package, ReadAt};
pub use rule::{Rule, Severity, rules};

use reel_profiles::Destination;

use crate::finding::Findings;
use crate::media::Media;
use crate::stream::Title;

/// All that is wrong with a package: by its specifications, by its content, and by the rules of these destinations. Errors come
/// first, then by file. Of one rule in one file the first few are told.
pub fn judge(package: &Package<'_>, destinations: &[Destination]) -> Vec<Finding> {
    let mut findings = Findings::default();
    let mut media = Media::new(package);
    let mut title = Title::default();
    hls::read(package, &mut title, &mut findings);
    dash::read(package, &mut title, &mut findings);
    media.open(&mut title, &mut findings);
    hls::judge(&title, &mut findings);
    dash::judge(&title, &mut findings);
    content::judge(package, &title, &mut findings);
    let facts = facts::of(package, &title);
    destinations.iter().for_each(|destination| destination::judge(destination, &facts, &mut findings));
    findings.finish()
}

#[cfg(test)]
mod tests;
