//! Pictures for winding: the first sample of every segment of every part, at its time.

use reel_profiles::Package;

use super::*;

#[test]
fn each_is_the_first_sample_of_its_segment_at_its_time() {
    let mut farm = Farm::new(3);
    farm.profile.package = Package { hls: true, dash: true, trick_play: true, ..Default::default() };
    let files = tree(Path::new(&farm.assemble().unwrap().staging));
    for rendition in RENDITIONS {
        let file = &files[&format!("video/{rendition}/iframes.mp4")];
        let movie = Movie::read(file).unwrap();
        let track = movie.first(TrackKind::Video).unwrap();
        assert!(track.edits.is_empty(), "{rendition}: it begins at 0 by itself");
        assert_eq!(track.codec_config().unwrap(), avcc(rendition));
        let pictures: Vec<_> = Fragments::of_ours(file).map(Result::unwrap).collect();
        assert_eq!(pictures.len(), 6);
        for (number, picture) in (0..).zip(&pictures) {
            let [sample] = picture.samples.as_slice() else { panic!("one picture in each fragment") };
            let data = &file[sample.position as usize..][..sample.size as usize];
            assert_eq!(data, noise(rendition.len() * 100, (number * 16) as u8));
            // Shown from where its segment begins until the next does; no delay is left.
            let ticks = FRAMES_PER_SEGMENT * 1001;
            assert_eq!((sample.pts as u64, u64::from(sample.duration)), (number * ticks, ticks));
            assert_eq!(picture.sequence, number as u32 + 1);
        }
        let playlist = String::from_utf8(files[&format!("video/{rendition}/iframes.m3u8")].clone()).unwrap();
        let last = playlist.lines().rfind(|line| line.starts_with("#EXT-X-BYTERANGE:")).unwrap();
        let (length, start) = last["#EXT-X-BYTERANGE:".len()..].split_once('@').unwrap();
        let ends = length.parse::<usize>().unwrap() + start.parse::<usize>().unwrap();
        assert_eq!(ends, file.len(), "{playlist}");
    }
    let master = String::from_utf8(files["master.m3u8"].clone()).unwrap();
    assert_eq!(master.matches("#EXT-X-I-FRAME-STREAM-INF").count(), 2, "{master}");
}
