//! The destination: what may be replaced there, and what its errors mean.

use std::fs;
use std::io;
use std::path::Path;

use reel_common::{Failure, FailureClass};
use rustix::fs::{CWD, RenameFlags, renameat_with};
use rustix::io::Errno;

use crate::preview::Claim;
use crate::report::Identity;

/// An I/O error on a file or folder as the failure of this attempt. No space is a shortage; a place that may not be
/// written is the user's to change, and so invalid.
pub(crate) fn failure(path: &Path, error: &io::Error) -> Failure {
    let shown = path.display();
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            let message = format!("no space left for {shown}: {error}; free some space there");
            Failure::new(FailureClass::Shortage, &message, "")
        }
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
            let message =
                format!("{shown} may not be written: {error}; change its permissions or the destination");
            Failure::new(FailureClass::Invalid, &message, "")
        }
        io::ErrorKind::ResourceBusy => {
            let message = format!("{shown} is where a file system is mounted: give a folder in it as OUTPUT");
            Failure::new(FailureClass::Invalid, &message, "")
        }
        _ => Failure::new(FailureClass::Failed, &format!("{shown}: {error}"), ""),
    }
}

/// What lies at OUTPUT.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Occupant {
    Nothing,
    EmptyFolder,
    /// A title that reel delivered.
    Title(Identity),
    /// The beginning of a title that is still made, or was given up.
    Preview(Claim),
}

/// Looks at OUTPUT.
///
/// # Errors
/// Invalid when something lies there that is not ours to replace.
pub(crate) fn occupant(output: &Path) -> Result<Occupant, Failure> {
    let refused = |what: &str| {
        let message = format!("{} {what}; move it away or choose another destination", output.display());
        Failure::new(FailureClass::Invalid, &message, "")
    };
    let kind = match fs::symlink_metadata(output) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Occupant::Nothing),
        result => result.map_err(|error| failure(output, &error))?.file_type(),
    };
    if !kind.is_dir() {
        return Err(refused("exists and is not a folder"));
    }
    let mut entries = fs::read_dir(output).map_err(|error| failure(output, &error))?;
    if entries.next().is_none() {
        return Ok(Occupant::EmptyFolder);
    }
    match Identity::read(output) {
        Some(identity) => Ok(Occupant::Title(identity)),
        None => match Claim::read(output) {
            Some(claim) => Ok(Occupant::Preview(claim)),
            None => Err(refused("exists and was not delivered by reel")),
        },
    }
}

/// Puts the staging folder in OUTPUT's place. An earlier title is exchanged for it in one step, and then lies at the
/// staging folder's name.
pub(crate) fn put_in_place(staging: &Path, output: &Path, occupant: &Occupant) -> io::Result<()> {
    let rename = |flags| renameat_with(CWD, staging, CWD, output, flags);
    match occupant {
        // A folder may replace an empty one.
        Occupant::EmptyFolder => fs::rename(staging, output),
        Occupant::Nothing => match rename(RenameFlags::NOREPLACE) {
            Err(Errno::INVAL | Errno::NOSYS) => fs::rename(staging, output),
            result => Ok(result?),
        },
        Occupant::Title(_) | Occupant::Preview(_) => match rename(RenameFlags::EXCHANGE) {
            // NFS and some FUSE file systems cannot exchange: for a moment there is no title.
            Err(Errno::INVAL | Errno::NOSYS) => step_aside(staging, output),
            result => Ok(result?),
        },
    }
}

fn step_aside(staging: &Path, output: &Path) -> io::Result<()> {
    let mut aside = staging.to_owned().into_os_string();
    aside.push(".old");
    fs::rename(output, &aside)?;
    if let Err(error) = fs::rename(staging, output) {
        fs::rename(&aside, output)?;
        return Err(error);
    }
    fs::rename(&aside, staging)
}

/// Makes everything on the folder's file system durable; one call, however many files a title has.
pub(crate) fn sync_file_system(folder: &Path) -> io::Result<()> {
    Ok(rustix::fs::syncfs(fs::File::open(folder)?)?)
}

/// Makes the names in a folder durable.
pub(crate) fn sync_folder(folder: &Path) -> io::Result<()> {
    fs::File::open(folder)?.sync_all()
}
