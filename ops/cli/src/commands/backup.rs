//! `reel cluster backup` and `restore`: the whole state of a farm in one file.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use reel_client::{Client, Servers};
use reel_proto::v1::backup_piece::Piece;
use reel_scheduler::{Beginning, Scheduler, SchedulerConfig};

use crate::commands::scheduler::is_new;
use crate::exit::Stop;

/// Writes a backup, and gives its length. The file appears under its name when it is whole and on disk, and replaces none.
/// Nobody else may read it: profiles and addresses are in it.
pub(super) async fn write(farm: &Client, path: &Path) -> Result<u64, Stop> {
    let exists = || Stop::refused(format!("{} exists: choose another name", path.display()));
    if path.exists() {
        return Err(exists());
    }
    let failed = |error: &io::Error| cannot_write(path, error);
    let folder = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let unfinished = tempfile::Builder::new().prefix(".reel-backup-").tempfile_in(folder);
    let mut unfinished = unfinished.map_err(|error| failed(&error))?;
    let bytes = receive(farm, unfinished.as_file_mut(), &failed).await?;
    unfinished.persist_noclobber(path).map_err(|error| match error.error.kind() {
        io::ErrorKind::AlreadyExists => exists(),
        _ => failed(&error.error),
    })?;
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(|error| failed(&error))?;
    Ok(bytes)
}

/// Receives the whole file, and gives its length.
async fn receive(farm: &Client, file: &mut File, failed: &impl Fn(&io::Error) -> Stop) -> Result<u64, Stop> {
    let cut_off = || Stop::failed("the backup was cut off: ask for it again");
    let mut pieces = farm.backup().await?;
    let (mut announced, mut received) = (None, 0);
    while let Some(piece) = pieces.message().await.map_err(|_| cut_off())? {
        match piece.piece {
            Some(Piece::Head(head)) => announced = Some(head.bytes),
            Some(Piece::Content(content)) => {
                received += content.len() as u64;
                file.write_all(&content).map_err(|error| failed(&error))?;
            }
            None => return Err(cut_off()),
        }
    }
    if announced != Some(received) {
        return Err(cut_off());
    }
    file.sync_all().map_err(|error| failed(&error))?;
    Ok(received)
}

fn cannot_write(path: &Path, error: &io::Error) -> Stop {
    Stop::failed(format!("cannot write {}: {error}", path.display()))
}

/// Makes the folder of a scheduler that is a cluster of its own with the state of a backup.
pub(super) async fn restore(backup: PathBuf, id: u64, data: &Path, address: String) -> Result<(), Stop> {
    let wrong = |reason: &str| Stop::usage(format!("--advertise {address}: {reason}"));
    Servers::parse(&address).map_err(|error| wrong(&error.to_string()))?;
    if address.contains(',') {
        return Err(wrong("give the one address of this scheduler"));
    }
    if !is_new(data) {
        let used = data.display();
        return Err(Stop::refused(format!("{used} is not empty: restore into a new folder")));
    }
    let beginning = Beginning::Restored { address, backup };
    let config = SchedulerConfig { beginning, ..SchedulerConfig::new(data, id, "") };
    let scheduler = Scheduler::start(config).await.map_err(|error| Stop::failed(error.to_string()))?;
    scheduler.shutdown().await;
    Ok(())
}
