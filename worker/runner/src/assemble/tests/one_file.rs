//! Segments in one file of a track, and the sound of a track as a file by itself.

use reel_cmaf::index::{Reference, SegmentIndex};
use reel_profiles::Package;

use super::*;

/// The files of a title with other things below `[package]`.
fn packaged(package: Package) -> BTreeMap<String, Vec<u8>> {
    let mut farm = Farm::new(3);
    farm.profile.package = package;
    tree(Path::new(&farm.assemble().unwrap().staging))
}

#[test]
fn one_file_holds_the_segments_behind_header_and_index() {
    let package = Package { hls: true, dash: true, trick_play: true, ..Package::default() };
    let (files, whole) = (packaged(package), packaged(Package { byte_ranges: true, ..package }));
    assert!(!whole.keys().any(|path| path.ends_with("init.mp4") || path.ends_with(".m4s")));
    for (folder, unheard) in [("video/1080p", 0), ("video/360p", 0), ("audio/stereo", 1024)] {
        let file = &whole[&format!("{folder}/media.mp4")];
        let index = SegmentIndex::read(file).unwrap().unwrap();
        let (init, own) = (&file[..index.position as usize], &files[&format!("{folder}/init.mp4")]);
        // The header has a brand more.
        assert_eq!((&init[24..28], init.len()), (&b"dash"[..], own.len() + 4), "{folder}");
        assert_eq!((&init[4..24], &init[28..]), (&own[4..24], &own[24..]), "{folder}");
        let segments: Vec<_> =
            (1..=6).map(|n| files[&format!("{folder}/seg_{n:05}.m4s")].as_slice()).collect();
        assert_eq!(file[index.end as usize..], segments.concat(), "{folder}");
        let mut wanted: Vec<_> = segments
            .iter()
            .map(|segment| {
                let fragment = Fragments::of_ours(segment).next().unwrap().unwrap();
                Reference { bytes: segment.len() as u64, ticks: fragment.duration() }
            })
            .collect();
        wanted[0].ticks -= unheard;
        assert_eq!((index.start, index.references), (0, wanted), "{folder}");
    }
    for path in ["master.m3u8", "video/360p/iframes.mp4", "video/360p/iframes.m3u8"] {
        assert_eq!(whole[path], files[path], "{path}");
    }
    let manifest = String::from_utf8(whole["manifest.mpd"].clone()).unwrap();
    assert!(manifest.contains("isoff-on-demand") && !manifest.contains("SegmentTemplate"), "{manifest}");
}

#[test]
fn a_track_is_a_file_by_itself() {
    let files = packaged(Package { mp4: true, audio_files: true, ..Package::default() });
    let (movie, with_pictures) =
        ["stereo.m4a", "360p.mp4"].map(|path| Movie::read(&files[path]).unwrap()).into();
    let [sound] = movie.tracks.as_slice() else { panic!("one track") };
    let beside = with_pictures.first(TrackKind::Audio).unwrap();
    assert_eq!((sound.timescale, &sound.edits), (beside.timescale, &beside.edits));
    assert_eq!((sound.edits[0].media_time, sound.codec_config()), (Some(1024), beside.codec_config()));
    let coded = |path: &str, samples: Vec<reel_cmaf::mov::Sample>| -> Vec<u8> {
        let data = |sample: &reel_cmaf::mov::Sample| {
            files[path][sample.position as usize..][..sample.size as usize].to_vec()
        };
        samples.iter().flat_map(data).collect()
    };
    let own = coded("stereo.m4a", sound.samples.iter().collect());
    assert!(!own.is_empty() && own == coded("360p.mp4", beside.samples.iter().collect()));
    assert_eq!(&files["stereo.m4a"][4..12], b"ftypM4A ");
}

#[test]
fn what_is_damaged_from_its_first_byte_on_is_named_as_ever() {
    for name in ["1080p 0", "360p 0", "stereo"] {
        let mut farm = Farm::new(2);
        farm.profile.package = Package { hls: true, byte_ranges: true, ..Package::default() };
        let path = farm.stored(name);
        let mut bytes = fs::read(&path).unwrap();
        bytes[..60].fill(7);
        fs::write(path, bytes).unwrap();
        let failure = farm.assemble().unwrap_err();
        let damaged = (failure.damaged_parts.as_slice(), failure.damaged_tracks.as_slice());
        match name {
            "stereo" => assert_eq!(damaged, (&[][..], &[0][..])),
            _ => assert_eq!(damaged, (&[PartIndex(0)][..], &[][..])),
        }
        farm.assert_nothing_left();
    }
}
