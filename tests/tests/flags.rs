//! What a profile flags is in the report and with the job, and nobody is warned of it.

#![allow(clippy::unwrap_used, reason = "a test fails where it is surprised")]

use std::fs;
use std::path::{Path, PathBuf};

use reel_tests::farm::Farm;
use reel_tests::reel::{Reel, report};
use reel_tests::{ffmpeg, scratch};
use serde_json::Value;

/// Three seconds of which the middle one is black, in 360 lines without colours that are named, with silence.
fn clip(dir: &Path) -> PathBuf {
    let clip = dir.join("clip.mov");
    let pictures = "testsrc2=s=640x360:r=24:d=3,drawbox=t=fill:c=black:enable='between(n,24,47)'";
    let inputs = ["-f", "lavfi", "-i", pictures, "-f", "lavfi", "-i", "anullsrc=r=48000:cl=stereo"];
    let codecs = "-c:v libx264 -preset ultrafast -pix_fmt yuv420p -c:a pcm_s16le -t 3";
    ffmpeg::run(inputs.into_iter().chain(codecs.split(' ')).chain([clip.to_str().unwrap()]));
    clip
}

/// A profile whose rules all do `action`.
fn profile(dir: &Path, action: &str) -> PathBuf {
    let rule = |limit: &str| format!("{{ limit = {limit}, action = \"{action}\" }}");
    let text = format!(
        "name = \"{action}\"\nversion = 1\nsegment_seconds = 1\npart_seconds = 1\n[admission]\nmin_height = {}\n\
         max_black_s = {}\nsilent_audio = \"{action}\"\nunspecified_colour = \"{action}\"\nmissing_audio = \"{action}\"\n\
         [[video]]\nname = \"avc\"\ncodec = \"h264\"\nheight = 360\npreset = \"ultrafast\"\nrate = {{ crf = 30 }}\n\
         [[audio]]\nname = \"main\"\ncodec = \"aac\"\nchannels = 2\nbitrate_kbps = 96\n\
         [[audio]]\nname = \"other\"\ncodec = \"aac\"\nchannels = 2\nbitrate_kbps = 96\nlanguage = \"de\"\n\
         [package]\nmp4 = true\naudio_files = true\n",
        rule("720"),
        rule("0.5"),
    );
    let path = dir.join(format!("{action}.toml"));
    fs::write(&path, text).unwrap();
    path
}

fn texts<'a>(list: &'a Value, key: &str) -> Vec<&'a str> {
    list.as_array().unwrap().iter().map(|flag| flag[key].as_str().unwrap()).collect()
}

#[test]
fn what_is_flagged_is_in_the_report_and_what_is_warned_of_is_printed() {
    let dir = scratch();
    let clip = clip(dir.path());
    let (flagged, warned) = (dir.path().join("flagged"), dir.path().join("warned"));
    let quiet =
        Reel::transcode(dir.path(), &clip, &flagged, &profile(dir.path(), "flag")).arg("--quiet").run();
    let quiet = quiet.success();
    let loud = Reel::transcode(dir.path(), &clip, &warned, &profile(dir.path(), "warn")).arg("--quiet").run();
    let loud = loud.success();
    let (flagged, warned) = (report(&flagged), report(&warned));
    let (flags, warnings) = (&flagged["job"]["flags"], &warned["job"]["warnings"]);
    assert_eq!(
        texts(flags, "rule"),
        ["min_height", "unspecified_colour", "missing_audio", "max_black_s", "silent_audio"]
    );
    let of = |at: usize| (flags[at]["found"].clone(), flags[at]["limit"].clone());
    assert_eq!(of(0), (360.into(), 720.into()));
    assert_eq!(of(1), ("primaries, transfer, matrix".into(), Value::Null));
    assert_eq!(of(3), (1.into(), 0.5.into()));
    assert_eq!(of(4), ("track main".into(), (-70).into()));
    let printed: Vec<&str> = warnings.as_array().unwrap().iter().map(|text| text.as_str().unwrap()).collect();
    for said in texts(flags, "what") {
        // A track that is missing is said to be left out.
        assert!(printed.contains(&said), "{said} is not among {printed:?}");
        assert!(loud.stderr.contains(said) && !quiet.stderr.contains(said), "{said}");
    }
    assert_eq!(flagged["job"]["warnings"], Value::Array(Vec::new()));
    assert_eq!(warned["job"]["flags"], Value::Array(Vec::new()));
}

#[test]
fn a_job_of_the_farm_shows_its_flags() {
    let dir = scratch();
    let farm = Farm::builder().schedulers(1).workers(1).start();
    let job = farm.submit(clip(dir.path()), "a", &profile(dir.path(), "flag"), "");
    farm.wait(job);
    let shown = farm.job(job);
    let rules = ["min_height", "unspecified_colour", "missing_audio", "max_black_s", "silent_audio"];
    assert_eq!(texts(&shown["flags"], "rule"), rules);
    let table = farm.reel(&format!("job show {job}")).run().success().stdout;
    let row = table.lines().find(|line| line.starts_with("flag")).unwrap();
    assert!(row.contains("min_height: it is 360 high, and `min_height` is 720"), "{table}");
    assert_eq!(table.lines().filter(|line| line.starts_with("flag")).count(), 5, "{table}");
}
