//! A right package breaks no rule, and each way to break it is found under the rule that it breaks.

mod broken;
mod made;
mod noise;

use std::io;

use reel_profiles::Destination;

use self::made::{CBCS, Files, RIGHT, Recipe, made};
use crate::{Finding, Package, judge};
use reel_cmaf::protect::Scheme;

/// Judges files in memory.
fn judged(files: &Files, destinations: &[Destination]) -> Vec<Finding> {
    let sizes = files.iter().map(|(path, bytes)| (path.clone(), bytes.len() as u64)).collect();
    let read = |file: &str, offset: u64, buf: &mut [u8]| {
        let bytes = files.get(file).ok_or(io::ErrorKind::NotFound)?;
        let range =
            bytes.get(offset as usize..offset as usize + buf.len()).ok_or(io::ErrorKind::UnexpectedEof)?;
        buf.copy_from_slice(range);
        Ok(())
    };
    judge(&Package { files: &sizes, read: &read }, destinations)
}

#[test]
fn right_packages_break_no_rule() {
    for scheme in [None, Some(Scheme::Cenc), Some(CBCS)] {
        assert_eq!(judged(&made(Recipe { scheme, ..RIGHT }), &[]), [], "{scheme:?}");
    }
    assert_eq!(judged(&made(Recipe { ts: true, ..RIGHT }), &[]), []);
}

#[test]
fn destinations_find_what_is_not_for_them() {
    let files = made(RIGHT);
    let found = |name: &str, files: &Files| {
        let destination = reel_profiles::destination::named(name).unwrap().unwrap();
        let found = judged(files, &[destination]);
        found.into_iter().map(|one| format!("{} {}: {}", one.rule, one.file, one.found)).collect::<Vec<_>>()
    };
    let apple = found("apple-hls", &files);
    assert!(apple.contains(&"apple-target a/p.m3u8: target_seconds 2".to_owned()), "{apple:?}");
    assert!(apple.contains(&"apple-segments b/p.m3u8: segment_seconds 2".to_owned()), "{apple:?}");
    assert!(!apple.iter().any(|one| one.starts_with("apple-iframes")), "{apple:?}");
    assert_eq!(found("dash-if", &files), [""; 0]);
    assert_eq!(found("dash-if", &made(Recipe { ts: true, ..RIGHT })), [""; 0]);
    let mut lesser = files.clone();
    lesser.remove("manifest.mpd");
    assert!(found("dash-if", &lesser).contains(&"dash-manifest : no dash".to_owned()));
    let roku = found("roku", &files);
    assert!(roku.contains(&"roku-segments a/p.m3u8: segment_seconds 2".to_owned()), "{roku:?}");
    // Titles of five seconds need no pictures for winding.
    assert!(!roku.iter().any(|one| one.starts_with("roku-trick-play")), "{roku:?}");
    let encrypted = made(Recipe { scheme: Some(CBCS), ..RIGHT });
    let text = "name = \"x\"\ntitle = \"x\"\n[[rule]]\nid = \"clear\"\nseverity = \"error\"\nsource = \"s\"\nmessage = \"m\"\n\
                trait = \"encryption\"\none_of = [\"clear\"]\n";
    let clear = Destination::parse(text, "x.toml").unwrap();
    let found = judged(&encrypted, &[clear]);
    assert_eq!((found.len(), found[0].found.as_str()), (3, "encryption cbcs"));
}
