//! Mezzanines that were damaged on the way, at least one for each decoder: refused or repaired as the profile says, with
//! every fault in the report, and never a half title. Below is the table: a line is a mezzanine, and a test.

#![allow(clippy::unwrap_used, reason = "a test fails where it is surprised")]

use std::fs;
use std::path::PathBuf;

use reel_tests::reel::{Ended, Reel, report};
use reel_tests::sources::{Scan, Source};
use reel_tests::{profile, scratch};

use Outcome::{Noticed, Refused, Unseen};

/// What comes of damage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    /// It is refused, unless the profile allows damage: then the title tells of it.
    Noticed,
    /// It is refused whatever the profile says: nobody could tell what is missing.
    Refused,
    /// Nobody can notice it: the coding has nothing to check by.
    Unseen,
}

/// What happened to a file.
#[derive(Clone, Copy, Debug)]
enum Damage {
    /// Forty bytes in its middle are not what they were.
    Flipped,
    /// A sixteenth of it in the middle is zeros; of a transport stream it is gone.
    Missing,
    /// The last fifth is gone.
    CutOff,
}

impl Damage {
    fn happen(self, bytes: &mut Vec<u8>, is_transport_stream: bool) {
        let length = bytes.len();
        match self {
            Damage::Flipped => {
                (0..40).for_each(|nth| bytes[length * 2 / 5 + length / 5 * nth / 40] ^= 0x5A);
            }
            Damage::Missing if is_transport_stream => {
                let packet = 188;
                let (first, count) = (length / 2 / packet, length / 16 / packet);
                bytes.drain(first * packet..(first + count) * packet);
            }
            Damage::Missing => bytes[length / 2..length / 2 + length / 16].fill(0),
            Damage::CutOff => bytes.truncate(length * 4 / 5),
        }
    }
}

const X264: &str = "-c:v libx264 -preset veryfast -g 12 -bf 2";
const X265: &str =
    "-c:v libx265 -preset ultrafast -x265-params log-level=error:keyint=12:pools=1:frame-threads=1";
const MPEG2: &str = "-c:v mpeg2video -b:v 3M -g 12 -bf 2";
const DNXHR: &str = "-c:v dnxhd -profile:v dnxhr_sq -pix_fmt yuv422p";
const SVT: &str = "-c:v libsvtav1 -preset 12 -crf 30 -g 12";
const VPX: &str = "-deadline realtime -cpu-used 8 -b:v 2M -g 12";

/// Makes a test of each line. Its outcomes are those of flipped bytes, missing data and a cut.
macro_rules! damaged {
    ($($name:ident: [$($video:expr),+] $container:literal $flipped:ident $missing:ident $cut_off:ident;)+) => {
        $(
            #[test]
            fn $name() {
                let line = Source {
                    name: concat!("whole_", stringify!($name)),
                    shape: "320x192",
                    rate: "25",
                    scan: Scan::Progressive,
                    video: &[$($video),+],
                    colours: None,
                    sound: None,
                    container: $container,
                };
                check(&line, Damage::Flipped, $flipped);
                check(&line, Damage::Missing, $missing);
                check(&line, Damage::CutOff, $cut_off);
            }
        )+
    };
}

#[rustfmt::skip]
damaged! {
    //                                                                                         flipped missing cut off
    avc_in_mp4:        [X264] "mp4 -movflags +faststart"                                       Noticed Noticed Refused;
    avc_in_ts:         [X264] "ts"                                                             Noticed Noticed Noticed;
    avc_in_matroska:   [X264] "mkv"                                                            Noticed Noticed Noticed;
    hevc_in_mp4:       [X265] "mp4 -movflags +faststart -tag:v hvc1"                           Refused Noticed Refused;
    mpeg_2_in_ts:      [MPEG2] "ts"                                                            Noticed Noticed Noticed;
    mpeg_2_in_ps:      [MPEG2] "mpg"                                                           Noticed Noticed Noticed;
    mpeg_4_in_mp4:     ["-c:v mpeg4 -q:v 3 -g 12 -bf 2"] "mp4 -movflags +faststart"            Noticed Noticed Refused;
    prores_in_mov:     ["-c:v prores_ks -pix_fmt yuv422p10le"] "mov -movflags +faststart"      Noticed Noticed Refused;
    dnxhr_in_mxf:      [DNXHR] "mxf"                                                           Noticed Noticed Noticed;
    dnxhr_in_mov:      [DNXHR] "mov -movflags +faststart"                                      Noticed Noticed Refused;
    cineform_in_mov:   ["-c:v cfhd -pix_fmt yuv422p10le"] "mov -movflags +faststart"           Noticed Noticed Refused;
    jpeg_2000_in_mxf:  ["-c:v jpeg2000 -pix_fmt yuv422p10le"] "mxf"                            Unseen  Noticed Noticed;
    ffv1_in_matroska:  ["-c:v ffv1 -level 3 -g 1 -slicecrc 1"] "mkv"                           Noticed Noticed Noticed;
    jpeg_in_mov:       ["-c:v mjpeg -q:v 2 -pix_fmt yuvj420p"] "mov -movflags +faststart"      Noticed Noticed Refused;
    ut_video_in_avi:   ["-c:v utvideo -pix_fmt yuv422p"] "avi"                                 Noticed Noticed Noticed;
    png_in_mov:        ["-c:v png -pix_fmt rgb24"] "mov -movflags +faststart"                  Noticed Noticed Refused;
    v210_in_mov:       ["-c:v v210"] "mov -movflags +faststart"                                Unseen  Unseen  Refused;
    vp8_in_webm:       ["-c:v libvpx -auto-alt-ref 0", VPX] "webm"                             Unseen  Noticed Noticed;
    vp9_in_webm:       ["-c:v libvpx-vp9", VPX] "webm"                                         Unseen  Noticed Noticed;
    av1_in_mp4:        [SVT] "mp4 -movflags +faststart"                                        Noticed Noticed Refused;
    av1_in_ivf:        [SVT] "ivf"                                                             Noticed Refused Noticed;
}

/// A job over one damaged file.
struct Job {
    dir: tempfile::TempDir,
    mezzanine: PathBuf,
}

impl Job {
    fn output(&self) -> PathBuf {
        self.dir.path().join("title")
    }

    fn run(&self, rule: &str) -> Ended {
        let text = fs::read_to_string(profile("quick")).unwrap();
        let edited = self.dir.path().join(format!("{rule}.toml"));
        let admission = format!("[admission]\ndamage = \"{rule}\"\n\n[[audio]]");
        fs::write(&edited, text.replace("[[audio]]", &admission)).unwrap();
        Reel::transcode(self.dir.path(), &self.mezzanine, &self.output(), &edited).arg("--quiet").run()
    }

    fn assert_refused(&self, rule: &str, what: &str) {
        let ended = self.run(rule);
        assert_eq!(ended.code, Some(3), "{what}, {rule}: {}", ended.stderr);
        // Not that something went wrong: that the mezzanine is.
        assert!(ended.stderr.contains("(invalid)"), "{what}, {rule}: {}", ended.stderr);
        assert!(!self.output().exists(), "{what}, {rule}");
    }

    /// A whole title that its mezzanine proves; how many faults it tells of.
    fn assert_made(&self, rule: &str, what: &str) -> usize {
        let ended = self.run(rule);
        assert_eq!(ended.code, Some(0), "{what}, {rule}: {}", ended.stderr);
        let output = self.output();
        Reel::verify(self.dir.path(), &output, &self.mezzanine).run().success();
        let report = report(&output);
        let count = |list: &serde_json::Value| list.as_array().unwrap().len();
        count(&report["mezzanine"]["faults"]) + count(&report["proof"]["mended_frames"])
    }
}

fn check(line: &Source, damage: Damage, outcome: Outcome) {
    let whole = line.make().path;
    let dir = scratch();
    let extension = whole.extension().unwrap();
    let mezzanine = dir.path().join("damaged").with_extension(extension);
    let mut bytes = fs::read(&whole).unwrap();
    damage.happen(&mut bytes, extension == "ts");
    fs::write(&mezzanine, bytes).unwrap();
    let job = Job { dir, mezzanine };
    let what = format!("{damage:?}");
    match outcome {
        Noticed => {
            job.assert_refused("refuse", &what);
            assert!(job.assert_made("repeat", &what) > 0, "{what}: nothing is told of it");
        }
        Refused => {
            job.assert_refused("refuse", &what);
            job.assert_refused("repeat", &what);
        }
        Unseen => assert_eq!(job.assert_made("refuse", &what), 0, "{what}"),
    }
}

#[test]
fn what_harms_no_picture_is_no_damage() {
    let dir = scratch();
    let job = Job { mezzanine: reel_tests::fixtures::broken_exif_mov().path, dir };
    assert_eq!(job.assert_made("refuse", "EXIF"), 0);
}
