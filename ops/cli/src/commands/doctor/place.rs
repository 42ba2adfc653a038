//! The places that jobs use: the store of finished parts, and where titles are delivered.

use std::io::Write;
use std::path::Path;
use std::time::Duration;

use reel_store::{Destination, Store, StoreError, Trial};

use super::Check;
use crate::{destination, input};

/// A store that takes longer for a small object holds up every part.
const SLOW: Duration = Duration::from_secs(1);

/// Whether a store keeps what the farm relies on.
pub(super) async fn store(url: String) -> Vec<Check> {
    const AREA: &str = "store";
    const NAME: &str = "trial";
    let folder = input::local_path(&url);
    if let Some(folder) = folder.filter(|folder| !folder.is_dir()) {
        let found = format!("{} is no folder that is there", folder.display());
        return vec![Check::fail(AREA, NAME, found, "make it, or mount what is to be there, on all hosts")];
    }
    let tried = match Store::open(&url) {
        Ok(store) => store.trial().await,
        Err(error) => Err(error),
    };
    let shown = reel_common::redacted(&url);
    vec![match tried {
        Ok(Trial { put, get }) => {
            let ms = |span: Duration| format!("{:.1} ms", span.as_secs_f64() * 1e3);
            let found = format!("{shown} keeps what is written once: put {}, get {}", ms(put), ms(get));
            match put.max(get) > SLOW {
                true => {
                    Check::warn(AREA, NAME, found, "every part waits so long: use a store that is nearer")
                }
                false => Check::ok(AREA, NAME, found),
            }
        }
        Err(error) => Check::fail(AREA, NAME, &error, advice(&error)),
    }]
}

fn advice(error: &StoreError) -> &'static str {
    match error {
        StoreError::BadUrl { .. } => "give the URL of a store that is there",
        StoreError::Shortage { .. } => "see that the server is there and has room, and try again",
        StoreError::Denied { .. } | StoreError::Rejected { .. } => {
            "see `reel help env` for the variables that credentials, region and endpoint come from"
        }
        _ => "use a store that keeps what it is given: a folder, S3, Google Cloud Storage or Azure",
    }
}

/// Whether titles can be delivered somewhere.
pub(super) fn output(typed: &str) -> Check {
    const AREA: &str = "output";
    const NAME: &str = "trial";
    match destination::prefix(typed) {
        Some(Err(stop)) => Check::fail(AREA, NAME, stop.message, "give a folder, or an s3, gs or az URL"),
        Some(Ok(url)) => match Destination::open(&url).and_then(|place| place.check()) {
            Ok(()) => Check::ok(AREA, NAME, format!("{url} can be written")),
            Err(error) => Check::fail(AREA, NAME, &error, advice(&error)),
        },
        None => match input::local_path(typed) {
            Some(folder) => beside(&folder),
            None => Check::fail(
                AREA,
                NAME,
                format!("{typed} is no folder"),
                "give a folder, or an s3, gs or az URL",
            ),
        },
    }
}

/// A title is staged beside its folder, which need not be there.
fn beside(folder: &Path) -> Check {
    const AREA: &str = "output";
    const NAME: &str = "trial";
    let absolute = std::path::absolute(folder).unwrap_or_else(|_| folder.to_owned());
    let parents = absolute.ancestors().skip(1);
    let Some(parent) = parents.into_iter().find(|parent| parent.is_dir()) else {
        return Check::fail(
            AREA,
            NAME,
            format!("nothing is above {}", folder.display()),
            "give another OUTPUT",
        );
    };
    let tried = tempfile::Builder::new().prefix(".reel-doctor-").tempfile_in(parent);
    let tried = tried.and_then(|mut file| file.write_all(b"trial").and_then(|()| file.as_file().sync_all()));
    let shown = parent.display();
    match tried {
        Ok(()) => Check::ok(AREA, NAME, format!("{shown} can be written")),
        Err(error) => {
            let advice = "give this user the right to write there, or make room, or give another OUTPUT";
            Check::fail(AREA, NAME, format!("{shown} cannot be written: {error}"), advice)
        }
    }
}
