//! `reel cluster backup` and `restore`: the whole state of a farm in one file.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use reel_client::{Client, Servers};
use reel_proto::v1::backup_piece::Piece;
use reel_scheduler::{Beginning, Scheduler, SchedulerConfig};

use crate::exit::Stop;

/// Writes a backup, and gives its length. The file appears under its name when it is whole and on disk.
pub(super) async fn write(farm: &Client, path: &Path) -> Result<u64, Stop> {
    if path.exists() {
        return Err(Stop::refused(format!("{} exists: choose another name", path.display())));
    }
    let unfinished = path.with_added_extension("partial");
    let written = receive(farm, &unfinished).await;
    let named = written.and_then(|bytes| match fs::rename(&unfinished, path) {
        Ok(()) => Ok(bytes),
        Err(error) => Err(cannot_write(path, &error)),
    });
    if named.is_err() {
        // It may not be there, and nothing can be done where it cannot be removed.
        let _ = fs::remove_file(&unfinished);
    }
    named
}

/// Receives the whole file. Profiles and addresses are in it, so that nobody else may read it.
async fn receive(farm: &Client, path: &Path) -> Result<u64, Stop> {
    let failed = |error: &io::Error| cannot_write(path, error);
    let file = File::options().write(true).create(true).truncate(true).mode(0o600).open(path);
    let mut file = file.map_err(|error| failed(&error))?;
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
    Servers::parse(&address).map_err(|error| Stop::usage(format!("--advertise {address}: {error}")))?;
    let beginning = Beginning::Restored { address, backup };
    let config = SchedulerConfig { beginning, ..SchedulerConfig::new(data, id, "") };
    let scheduler = Scheduler::start(config).await.map_err(|error| Stop::failed(error.to_string()))?;
    scheduler.shutdown().await;
    Ok(())
}
