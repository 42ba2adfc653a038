//! The reader of MOV, MP4 and CMAF: whatever the bytes are, it ends with tracks or with an error, in memory that their
//! number bounds.

#![no_main]

use libfuzzer_sys::fuzz_target;
use reel_cmaf::VideoConfig;
use reel_cmaf::fragment::Fragments;
use reel_cmaf::mov::Movie;

/// Samples that are walked: a table of a few bytes may name four thousand million.
const MOST_SAMPLES: usize = 100_000;

fuzz_target!(|bytes: &[u8]| {
    let file = bytes.to_vec();
    if let Ok(movie) = Movie::read(&file) {
        for track in &movie.tracks {
            let walked = track.samples.iter().take(MOST_SAMPLES).map(|sample| u64::from(sample.size));
            let _ = walked.fold(0u64, u64::wrapping_add);
            let _ = (track.samples.end(), track.samples.duration());
            let _ = (track.samples.chunks().take(MOST_SAMPLES).count(), track.samples.time_runs().count());
            let _ = (track.codec_config(), track.coded_size());
        }
    }
    for fragment in Fragments::of_ours(&file).take(MOST_SAMPLES) {
        let Ok(fragment) = fragment else { break };
        let _ = (fragment.base_decode_time(), fragment.duration());
    }
    for config in [VideoConfig::Avc(bytes), VideoConfig::Hevc(bytes), VideoConfig::Av1(bytes)] {
        let _ = (config.colour(), config.codec_string());
    }
});
