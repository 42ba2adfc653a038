//! Fragments that ffmpeg writes, read here and by ffprobe.

use reel_cmaf::fragment::Fragments;
use reel_cmaf::mov::Movie;

use crate::clip::{Clip, PICTURES, Packet, packets};

fn fragments_agree(flags: &str) {
    let coding = "-c:v libx264 -bf 2 -g 12 -c:a aac -shortest";
    let sound = "-f lavfi -i sine=sample_rate=48000 -t 2";
    let clip = Clip::make(&format!("{PICTURES} {sound} -map 0 -map 1 {coding} -movflags {flags}"), "f.mp4");
    let bytes = clip.bytes();
    let movie = Movie::read(&bytes).unwrap();
    assert_eq!(movie.tracks.len(), 2);
    for (track, stream) in movie.defaults.iter().zip(["v:0", "a:0"]) {
        let fragments: Vec<_> = Fragments::new(&bytes, *track).map(Result::unwrap).collect();
        assert!(fragments.len() > 1, "{flags}");
        assert!(fragments.windows(2).all(|pair| pair[0].sequence < pair[1].sequence));
        let samples = fragments.iter().flat_map(|fragment| &fragment.samples);
        let ours: Vec<_> = samples
            .map(|sample| Packet {
                position: sample.position,
                size: sample.size,
                dts: sample.dts,
                pts: sample.pts,
                key: sample.sync,
            })
            .collect();
        assert_eq!(ours, packets(&clip.path, stream), "{flags} {stream}");
    }
}

#[test]
fn foreign_fragments_are_read_like_ffprobe_reads_them() {
    fragments_agree("frag_keyframe+empty_moov");
    fragments_agree("frag_keyframe+empty_moov+default_base_moof");
    fragments_agree("frag_keyframe+empty_moov+omit_tfhd_offset+separate_moof");
}
