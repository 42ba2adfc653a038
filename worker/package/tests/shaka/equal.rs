//! With the same key and vector, the same bytes as Shaka Packager.

use std::fs;

use reel_cmaf::protect::protected_init;
use reel_package::protect::{Signal, System, system_headers};

use crate::clip::{Clip, content_key};
use crate::packager::{boxes, encrypt, fragments};

/// Encrypts a clip in both schemes as the packager cuts it, and compares each sample and each `senc`.
fn same_as_shaka(clip: &Clip) {
    for scheme in ["cenc", "cbcs"] {
        let shaka = fs::read(encrypt(clip, scheme, "")).unwrap();
        let theirs = fragments(&shaka);
        let counts: Vec<_> = theirs.iter().map(Vec::len).collect();
        let ours = clip.encrypted(scheme, &counts);
        let told = boxes(&shaka, &["moof", "traf", "senc"]);
        assert_eq!((told.len(), ours.len() >= 2), (theirs.len(), true));
        let mut first = 0;
        for ((segment, theirs), told) in ours.iter().zip(theirs).zip(told) {
            let mdat = boxes(segment, &["mdat"]).concat();
            assert_eq!(boxes(segment, &["moof", "traf", "senc"]), [told], "{scheme}: senc of {first}");
            let mut at = 0;
            for (number, sample) in theirs.iter().enumerate() {
                let ours = &mdat[at..at + sample.len()];
                assert!(ours == sample, "{scheme}: sample {}", first + number);
                at += sample.len();
            }
            assert_eq!(mdat.len(), at);
            assert_ne!(mdat, clip.samples[first..first + theirs.len()].concat());
            first += theirs.len();
        }
    }
}

#[test]
fn h264_of_every_kind_of_slice_header() {
    for settings in [
        "bframes=3:b-pyramid=strict:ref=4",
        "cabac=0:bframes=2:weightb=1:ref=3:no-8x8dct=1",
        "bframes=0:weightp=2:ref=5:slices=4",
        "interlaced=1:bframes=3:b-pyramid=normal:ref=4:weightp=0",
        "fake-interlaced=1:bframes=1:slices=3:no-deblock=1",
        "open-gop=1:bframes=5:b-adapt=2:deblock=-2,1:slice-max-size=4000",
    ] {
        same_as_shaka(&Clip::video(&format!("-c:v libx264 -preset fast -x264-params {settings}")));
    }
}

#[test]
fn hevc_of_every_kind_of_slice_header() {
    for settings in [
        "bframes=4:b-pyramid=1:weightb=1:ref=4",
        "no-wpp=1:bframes=0:no-sao=1:ref=3:weightp=0",
        "bframes=2:no-deblock=1:tskip=1:rdoq-level=0:repeat-headers=1",
        "ctu=16:max-tu-size=16:temporal-layers=2:opt-ref-list-length-pps=1:opt-qp-pps=1:bframes=3",
        "open-gop=1:bframes=6:ref=5:deblock=-1,2",
    ] {
        let log = "log-level=none";
        same_as_shaka(&Clip::video(&format!(
            "-c:v libx265 -preset fast -tag:v hvc1 -x265-params {log}:{settings}"
        )));
    }
}

#[test]
fn sound_of_every_codec() {
    for coding in ["aac", "ac3", "eac3", "libopus", "flac"] {
        same_as_shaka(&Clip::audio(&format!("-c:a {coding}")));
    }
}

#[test]
fn av1_of_svt_with_tiles_and_grain() {
    for coding in [
        "-preset 8 -svtav1-params keyint=24",
        "-preset 7 -svtav1-params keyint=24:tile-columns=1:tile-rows=1:film-grain=10",
    ] {
        same_as_shaka(&Clip::video(&format!("-c:v libsvtav1 {coding}")));
    }
}

#[test]
fn av1_of_libaom_with_tiles_and_segments() {
    for coding in [
        "-tiles 2x2 -row-mt 1",
        "-lag-in-frames 19 -crf 60 -tiles 1x2 -aq-mode 1",
        "-usage realtime -crf 20 -error-resilience 1",
    ] {
        same_as_shaka(&Clip::video(&format!("-c:v libaom-av1 -cpu-used 8 {coding}")));
    }
}

#[test]
fn headers_of_licence_systems_and_sample_entries() {
    let systems = [System::Common, System::Widevine, System::PlayReady];
    let named = "--protection_systems Common,Widevine,PlayReady";
    for (clip, fields) in [(Clip::video("-c:v libx264"), 78), (Clip::audio("-c:a aac"), 28)] {
        for scheme in ["cenc", "cbcs"] {
            let shaka = fs::read(encrypt(&clip, scheme, named)).unwrap();
            let encryption = clip.encryption(scheme);
            let headers = system_headers(&systems, &content_key(), encryption.scheme);
            let init = protected_init(&clip.init(), &encryption, &headers, false).unwrap();
            let pssh = |bytes| {
                let mut found: Vec<_> =
                    boxes(bytes, &["moov", "pssh"]).into_iter().map(<[u8]>::to_vec).collect();
                found.sort();
                found
            };
            assert_eq!((pssh(&init), pssh(&init).len()), (pssh(&shaka), 3), "{scheme}");
            let scheme_info = |bytes| {
                let stsd = boxes(bytes, &["moov", "trak", "mdia", "minf", "stbl", "stsd"])[0];
                let entry = &stsd[8..];
                let kind = entry[4..8].to_vec();
                (kind, boxes(&entry[8 + fields..], &["sinf"])[0].to_vec())
            };
            assert_eq!(scheme_info(&init), scheme_info(&shaka), "{scheme}");
        }
    }
}

#[test]
fn what_playlists_and_manifests_say_of_keys() {
    let clip = Clip::video("-c:v libx264");
    let (key, systems) = (content_key(), [System::Widevine, System::PlayReady]);
    for scheme in ["cenc", "cbcs"] {
        let (master, manifest) = (clip.beside("master.m3u8"), clip.beside("manifest.mpd"));
        let outputs =
            format!("--hls_master_playlist_output {} --mpd_output {}", master.display(), manifest.display());
        encrypt(&clip, scheme, &format!("--protection_systems Widevine,PlayReady {outputs}"));
        let signal = Signal {
            key: &key,
            scheme: clip.encryption(scheme).scheme,
            systems: &systems,
            key_uri: None,
            clear_key_licence: None,
            fair_play: None,
        };
        let playlist = fs::read_to_string(clip.beside("stream_0.m3u8")).unwrap();
        for line in signal.hls_keys().unwrap() {
            assert!(playlist.lines().any(|theirs| theirs == line), "{line} is not in {playlist}");
        }
        let manifest = fs::read_to_string(manifest).unwrap();
        assert_eq!(signal.content_protection().len(), 3);
        for descriptor in signal.content_protection() {
            let told =
                [Some(descriptor.scheme_id_uri), descriptor.default_key_id, descriptor.pssh, descriptor.pro];
            for told in told.into_iter().flatten() {
                assert!(manifest.contains(&told), "{told} is not in {manifest}");
            }
        }
    }
}
