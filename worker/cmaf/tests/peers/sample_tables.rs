//! Headers and sample tables of files that ffmpeg writes, read here and by ffprobe.

use reel_cmaf::VideoConfig;
use reel_cmaf::mov::{Edit, MovError, Movie, Track, TrackKind};
use reel_common::Colour;

use crate::clip::{Clip, PICTURES, Packet, packets, run};

fn ours(track: &Track) -> Vec<Packet> {
    let samples = track.samples.iter();
    samples
        .map(|sample| Packet {
            position: sample.position,
            size: sample.size,
            dts: sample.dts,
            pts: sample.pts,
            key: sample.sync || sample.partial_sync,
        })
        .collect()
}

fn video_agrees(arguments: &str, name: &str, fourcc: &[u8; 4]) -> Movie {
    let clip = Clip::make(arguments, name);
    let movie = Movie::read(&clip.bytes()).unwrap();
    let track = movie.first(TrackKind::Video).unwrap();
    assert_eq!(track.fourcc.escape_ascii().to_string(), fourcc.escape_ascii().to_string());
    let (ours, mut theirs) = (ours(track), packets(&clip.path, "v:0"));
    // ffprobe moves decode times so that none is after its presentation time.
    let moved = theirs[0].dts;
    theirs.iter_mut().for_each(|packet| packet.dts -= moved);
    assert_eq!(ours.len(), theirs.len());
    for (number, pair) in ours.iter().zip(&theirs).enumerate() {
        assert_eq!(pair.0, pair.1, "sample {number}");
    }
    assert_eq!(track.samples.len(), theirs.len() as u64);
    assert_eq!(track.coded_size(), Some((320, 180)));
    assert!(!movie.fragmented);
    movie
}

#[test]
fn prores_with_sound_and_time_code_is_read_like_ffprobe_reads_it() {
    let sound = "-f lavfi -i sine=sample_rate=48000 -t 2";
    let coding = "-map 0 -map 1 -c:v prores_ks -profile:v hq -timecode 00:59:58:00 -c:a pcm_s24le -ac 6";
    let movie = video_agrees(&format!("{PICTURES} {sound} {coding} -shortest"), "prores.mov", b"apch");
    let kinds: Vec<_> = movie.tracks.iter().map(|track| track.kind).collect();
    assert_eq!(kinds, [TrackKind::Video, TrackKind::Audio, TrackKind::Other]);
    assert!(movie.tracks[0].samples.iter().all(|sample| sample.sync));
    let audio = &movie.tracks[1];
    assert_eq!((audio.timescale, audio.samples.duration()), (48_000, audio.samples.len()));
    let bytes: u64 = audio.samples.chunks().map(|chunk| chunk.bytes).sum();
    assert_eq!(bytes, audio.samples.len() * 18);
}

#[test]
fn b_frames_and_edit_lists_are_read_like_ffprobe_reads_them() {
    for flags in ["-movflags +faststart", "", "-movflags +negative_cts_offsets"] {
        let movie = video_agrees(&format!("{PICTURES} -c:v libx264 -bf 3 -g 12 {flags}"), "b.mp4", b"avc1");
        let track = &movie.tracks[0];
        let delay = if flags.contains("negative") { 0 } else { 2002 };
        let edit = Edit { segment_duration: 2002, media_time: Some(delay), rate: Edit::NORMAL_RATE };
        assert_eq!((movie.movie_timescale, track.timescale), (1000, 24000));
        assert_eq!(track.edits, [edit]);
    }
}

#[test]
fn a_delayed_track_begins_with_an_empty_edit() {
    let sound = "-f lavfi -i sine=sample_rate=48000 -t 1";
    let arguments = format!("{PICTURES} -itsoffset 0.5 {sound} -map 0 -map 1 -c:v libx264 -bf 0 -c:a aac");
    let movie = video_agrees(&arguments, "late.mp4", b"avc1");
    let edits = &movie.first(TrackKind::Audio).unwrap().edits;
    assert_eq!((edits.len(), edits[0].media_time, edits[1].media_time), (2, None, Some(0)));
    // Half a second, less the encoder's priming, in thousandths.
    assert!((477..=479).contains(&edits[0].segment_duration), "{edits:?}");
}

#[test]
fn codings_other_than_h264_are_read_like_ffprobe_reads_them() {
    let x265 = "-c:v libx265 -x265-params log-level=none:bframes=3:keyint=12 -tag:v hvc1";
    video_agrees(&format!("{PICTURES} {x265}"), "hevc.mp4", b"hvc1");
    video_agrees(&format!("{PICTURES} -c:v mpeg2video -bf 2 -g 12"), "mpeg2.mov", b"m2v1");
    video_agrees(&format!("{PICTURES} -c:v mjpeg -pix_fmt yuvj420p"), "mjpeg.mov", b"jpeg");
}

#[test]
fn variable_frame_times_are_read_like_ffprobe_reads_them() {
    let arguments = format!("{PICTURES} -vf select='mod(n\\,7)' -fps_mode vfr -c:v libx264 -bf 2");
    let movie = video_agrees(&arguments, "vfr.mp4", b"avc1");
    assert!(movie.tracks[0].samples.time_runs().count() > 2);
}

#[test]
fn open_gops_of_quicktime_files_are_partial_sync_samples() {
    let arguments = format!("{PICTURES} -c:v mpeg2video -bf 2 -g 12 -flags -cgop");
    let movie = video_agrees(&arguments, "open.mov", b"m2v1");
    let samples: Vec<_> = movie.tracks[0].samples.iter().collect();
    assert!(samples.iter().any(|sample| sample.partial_sync && !sample.sync));
}

#[test]
fn rotation_and_language_are_read() {
    let upright = Clip::make(&format!("{PICTURES} -c:v libx264"), "upright.mp4");
    let mut bytes = upright.bytes();
    let tkhd = bytes.windows(4).position(|kind| kind == b"tkhd").unwrap();
    for (cells, degrees, display) in
        [([0i32, 1, -1, 0], 90, -90), ([-1, 0, 0, -1], 180, -180), ([0, -1, 1, 0], 270, 90)]
    {
        for (cell, value) in [0, 1, 3, 4].into_iter().zip(cells) {
            bytes[tkhd + 44 + 4 * cell..][..4].copy_from_slice(&(value << 16).to_be_bytes());
        }
        assert_eq!(Movie::read(&bytes).unwrap().tracks[0].matrix_rotation, Some(degrees));
        let turned = upright.beside("turned.mp4", &bytes);
        let entries = "-v error -select_streams v:0 -show_entries stream_side_data=rotation -of csv=p=0";
        let theirs = run("ffprobe", &format!("{entries} {}", turned.display()));
        assert_eq!(theirs.trim(), display.to_string());
    }
    let arguments = "-f lavfi -i sine -t 1 -c:a aac -metadata:s:a:0 language=fra";
    let sound = Clip::make(arguments, "french.mp4");
    let movie = Movie::read(&sound.bytes()).unwrap();
    assert_eq!(movie.tracks[0].language, "fra");
    assert_eq!(movie.tracks[0].codec_config().map(|config| config.len()), Some(5));
    assert_eq!(movie.first(TrackKind::Video).map(|track| track.id), None);
}

#[test]
fn a_cut_file_is_refused_with_what_is_missing() {
    let clip = Clip::make(&format!("{PICTURES} -c:v libx264 -movflags +faststart"), "cut.mp4");
    let whole = clip.bytes();
    let size = |at: usize| u32::from_be_bytes(whole[at..at + 4].try_into().unwrap()) as usize;
    let moov_end = size(0) + size(size(0));
    for len in (0..moov_end).step_by(37).chain([moov_end - 1]) {
        let error = Movie::read(&whole[..len].to_vec()).unwrap_err();
        let expected = match &error {
            MovError::NotAMovie => len < 8,
            MovError::NoMoov | MovError::MoovCut { .. } => len >= 8,
            _ => false,
        };
        assert!(expected, "{len} bytes: {error}");
    }
    let error = Movie::read(&whole[..whole.len() - 1000].to_vec()).unwrap_err().to_string();
    let missing = "moov says 1000 bytes of samples lie past the end of the file: the file is truncated";
    assert_eq!(error, missing);
    let tail = Clip::make(&format!("{PICTURES} -c:v libx264"), "tail.mp4").bytes();
    let error = Movie::read(&tail[..tail.len() / 2].to_vec()).unwrap_err().to_string();
    assert_eq!(error, "no moov: the file is truncated or still being written");
}

#[test]
fn what_is_no_movie_is_refused() {
    for bytes in
        [&b""[..], b"hello", b"this is not a movie, though it is called one", b"\x1a\x45\xdf\xa3 matroska.."]
    {
        let error = Movie::read(&bytes.to_vec()).unwrap_err();
        assert!(matches!(error, MovError::NotAMovie), "{error}");
    }
    let matroska = Clip::make(&format!("{PICTURES} -c:v libx264"), "x.mkv");
    assert!(matches!(Movie::read(&matroska.bytes()), Err(MovError::NotAMovie)));
}

#[test]
fn a_fragmented_file_says_so() {
    let clip = Clip::make(&format!("{PICTURES} -c:v libx264 -movflags frag_keyframe+empty_moov"), "f.mp4");
    let movie = Movie::read(&clip.bytes()).unwrap();
    assert!(movie.fragmented);
    assert!(movie.tracks[0].samples.is_empty());
    assert_eq!(movie.defaults[0].track_id, 1);
}

#[test]
fn colours_are_read_from_the_bitstream() {
    let colour = |arguments: &str| {
        let clip = Clip::make(&format!("{PICTURES} -c:v libx264 {arguments}"), "colour.mp4");
        let movie = Movie::read(&clip.bytes()).unwrap();
        VideoConfig::Avc(&movie.tracks[0].codec_config().unwrap()).colour()
    };
    assert_eq!(colour("-pix_fmt yuv420p"), None);
    let described =
        "-color_primaries bt2020 -color_trc smpte2084 -colorspace bt2020nc -chroma_sample_location topleft";
    let expected =
        Colour { primaries: 9, transfer: 16, matrix: 9, full_range: false, chroma_location: Some(2) };
    assert_eq!(colour(&format!("{described} -pix_fmt yuv420p10le")), Some(expected));
    assert_eq!(colour(&format!("{described} -pix_fmt yuv420p -vf setsar=4/3")), Some(expected));
    let full = "-pix_fmt yuv444p -color_range pc -x264-params cqm=jvt -profile:v high444";
    assert_eq!(colour(full), Some(Colour { full_range: true, ..Colour::default() }));
}
