//! What is encrypted here, decrypted by others.

use std::fs;
use std::path::{Path, PathBuf};

use reel_cmaf::protect::{Scheme, clear_segment, protected_init};
use reel_package::protect::{System, system_headers};

use crate::clip::{Clip, KEY, content_key, run};
use crate::packager::{decrypt, program};

/// Init segment and media segments in one file; the first `clear` segments stay clear.
fn track(clip: &Clip, scheme: &str, clear: usize) -> PathBuf {
    let encryption = clip.encryption(scheme);
    let systems = [System::Common, System::Widevine, System::PlayReady];
    let headers = system_headers(&systems, &content_key(), Scheme::Cenc);
    let mut bytes = protected_init(&clip.init(), &encryption, &headers, clear > 0).unwrap();
    let counts = clip.seconds();
    let segments = clip.segments(&counts).into_iter().zip(clip.encrypted(scheme, &counts));
    for (number, (plain, encrypted)) in segments.enumerate() {
        bytes.extend(if number < clear { clear_segment(&plain).unwrap() } else { encrypted });
    }
    let path = clip.beside(&format!("ours-{scheme}-{clear}.mp4"));
    fs::write(&path, bytes).unwrap();
    path
}

/// Digests of the packets as Shaka's ffmpeg reads them.
fn packets(path: &Path, key: Option<[u8; 16]>) -> Vec<String> {
    let key = key.map(|key| format!("-decryption_key {}", hex::encode(key))).unwrap_or_default();
    let how = format!("-v error {key} -i {} -map 0 -c copy -f framemd5 -", path.display());
    let text = run(&program("ffmpeg"), &how);
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines.map(|line| line.rsplit(',').next().unwrap().trim().to_owned()).collect()
}

fn clips() -> [Clip; 4] {
    [
        Clip::video("-c:v libx264 -preset fast"),
        Clip::video("-c:v libx265 -preset ultrafast -tag:v hvc1 -x265-params log-level=none"),
        Clip::audio("-c:a aac"),
        Clip::audio("-c:a eac3"),
    ]
}

#[test]
fn two_programs_find_the_clear_bytes_again_with_the_right_key_alone() {
    for clip in clips() {
        let clear = clip.beside("clear.mp4");
        fs::write(&clear, [clip.init(), clip.segments(&clip.seconds()).concat()].concat()).unwrap();
        let expected = packets(&clear, None);
        let mut wrong = KEY;
        wrong[15] ^= 1;
        for (scheme, lead) in [("cenc", 0), ("cbcs", 0), ("cenc", 1), ("cbcs", 1)] {
            let path = track(&clip, scheme, lead);
            assert!(decrypt(&clip, &path, &KEY) == clip.samples, "{scheme} with {lead} clear");
            let found = decrypt(&clip, &path, &wrong);
            let same = found.iter().zip(&clip.samples).filter(|(found, clear)| found == clear).count();
            let in_clear = clip.seconds()[..lead].iter().sum::<usize>();
            assert!(same >= in_clear && same * 2 < clip.samples.len() + in_clear * 2, "{scheme}: {same}");
            assert_eq!(packets(&path, Some(KEY)), expected, "{scheme} with {lead} clear");
            assert_ne!(packets(&path, Some(wrong)), expected);
        }
    }
}
