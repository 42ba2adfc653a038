//! `reel profile`: the catalog, one profile resolved, a file checked.

use std::path::Path;

use reel_profiles::{Profile, catalog};
use serde_json::json;

use crate::args::{ProfileArgs, ProfileCheckArgs, ProfileCommand, ProfileListArgs, ProfileShowArgs};
use crate::exit::Stop;
use crate::near;
use crate::output::{self, Column, print, print_json};

pub(crate) fn run(args: ProfileArgs) -> Result<(), Stop> {
    match args.command {
        ProfileCommand::List(args) => list(&args),
        ProfileCommand::Show(args) => show(&args),
        ProfileCommand::Check(args) => check(&args),
    }
}

/// The profile that was named: of the catalog, or else of a file.
pub(crate) fn load(name: &str) -> Result<Profile, Stop> {
    if let Some(text) = catalog::text(name) {
        return Ok(Profile::parse(text, &format!("{name}.toml"))?);
    }
    let path = Path::new(name);
    if !path.exists() {
        let near = near::hint(name, catalog::names());
        let reason = format!("profile `{name}` is neither in the catalog nor a file{near}");
        return Err(Stop::not_found(format!("{reason}: `reel profile list` lists the catalog")));
    }
    read(path)
}

fn read(path: &Path) -> Result<Profile, Stop> {
    let shown = path.display();
    let metadata = std::fs::metadata(path).map_err(|error| unreadable(path, &error))?;
    if !metadata.is_file() {
        return Err(Stop::usage(format!("{shown} is not a file: give a profile in TOML")));
    }
    // A wrong file may be of any size, and its length is enough to refuse it.
    if metadata.len() > Profile::MAX_TEXT_BYTES as u64 {
        let most = Profile::MAX_TEXT_BYTES / 1024;
        return Err(Stop::usage(format!(
            "{shown} has {} bytes, more than {most} KiB: no profile",
            metadata.len()
        )));
    }
    let bytes = std::fs::read(path).map_err(|error| unreadable(path, &error))?;
    let text = String::from_utf8(bytes)
        .map_err(|_| Stop::usage(format!("{shown} is not UTF-8 text: give a profile in TOML")))?;
    Ok(Profile::parse(&text, &shown.to_string())?)
}

fn unreadable(path: &Path, error: &std::io::Error) -> Stop {
    let message = format!("cannot read profile {}: {error}", path.display());
    if error.kind() == std::io::ErrorKind::NotFound {
        Stop::not_found(message)
    } else {
        Stop::failed(message)
    }
}

fn list(args: &ProfileListArgs) -> Result<(), Stop> {
    let profiles = catalog::names().map(load).collect::<Result<Vec<_>, _>>()?;
    if args.json {
        let entry = |profile: &Profile| {
            let video: Vec<&str> = profile.video.iter().map(|entry| entry.name.as_str()).collect();
            let audio: Vec<&str> = profile.audio.iter().map(|entry| entry.name.as_str()).collect();
            json!({ "name": profile.name, "version": profile.version, "video": video, "audio": audio })
        };
        let profiles: Vec<_> = profiles.iter().map(entry).collect();
        return print_json(&json!({ "profiles": profiles }));
    }
    let columns = [
        Column::Words("profile"),
        Column::Numbers("version"),
        Column::Words("video"),
        Column::Words("audio"),
    ];
    let cells = |profile: &Profile| {
        let video: Vec<&str> = profile.video.iter().map(|entry| entry.name.as_str()).collect();
        let audio: Vec<&str> = profile.audio.iter().map(|entry| entry.name.as_str()).collect();
        [profile.name.clone(), profile.version.to_string(), video.join(" "), audio.join(" ")]
    };
    print(&output::list(columns, profiles.iter().map(cells)))
}

fn show(args: &ProfileShowArgs) -> Result<(), Stop> {
    let profile = load(&args.profile)?;
    let text = profile.to_toml();
    if !args.json {
        return print(&text);
    }
    let table: toml::Table = toml::from_str(&text).map_err(anyhow::Error::from)?;
    print_json(&table)
}

fn check(args: &ProfileCheckArgs) -> Result<(), Stop> {
    let profile = read(&args.file)?;
    let file = args.file.display();
    if args.json {
        let Profile { name, version, .. } = &profile;
        return print_json(
            &json!({ "file": file.to_string(), "name": name, "version": version, "ok": true }),
        );
    }
    print(&format!("{file}: profile `{}` version {} is fine\n", profile.name, profile.version))
}
