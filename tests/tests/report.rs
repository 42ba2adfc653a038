//! `reel job report` draws the curves of a delivered title.

#![allow(clippy::unwrap_used, reason = "a test fails where it is surprised")]

use std::fs;

use reel_tests::farm::Farm;
use reel_tests::reel::{Reel, report};
use reel_tests::{ffmpeg, scratch};

#[test]
fn the_curves_of_a_title_are_drawn_by_its_folder_and_by_its_job() {
    let dir = scratch();
    let (clip, profile) = (dir.path().join("clip.mov"), dir.path().join("profile.toml"));
    // Four seconds of noise, of which the third is black.
    let pictures =
        "testsrc2=s=320x180:r=24:d=4,noise=alls=20,drawbox=t=fill:c=black:enable='between(n,48,71)'";
    let codec = "-c:v libx264 -preset ultrafast -crf 10 -pix_fmt yuv420p";
    ffmpeg::run(
        ["-f", "lavfi", "-i", pictures].into_iter().chain(codec.split(' ')).chain([clip.to_str().unwrap()]),
    );
    let text = "name = \"p\"\nversion = 1\nsegment_seconds = 0.5\npart_seconds = 1\n[[video]]\nname = \"avc\"\n\
                codec = \"h264\"\nheight = 180\npreset = \"ultrafast\"\nrate = { crf = 30 }\n[package]\nmp4 = true\n";
    fs::write(&profile, text).unwrap();
    let farm = Farm::builder().schedulers(1).workers(1).start();
    let job = farm.submit(&clip, "a", &profile, "");
    farm.wait(job);
    let title = farm.output("a");
    let drawn = |locale: &str| {
        let locale = locale.to_owned();
        let args = ["job".into(), "report".into(), title.clone().into_os_string()];
        Reel::new(dir.path(), args).env([("LC_ALL", locale)]).run().success().stdout
    };
    let (curves, plain) = (drawn("C.UTF-8"), drawn("C"));
    assert!(plain.is_ascii() && curves.contains('█'), "{curves}{plain}");
    assert!(curves.lines().chain(plain.lines()).all(|line| line.chars().count() <= 80), "{curves}");
    for row in ["avc 320x180", "psnr ", "ssim ", "rate ", "parts ", "black ", "time "] {
        assert!(plain.lines().any(|line| line.starts_with(row)), "no {row} in {plain}");
    }
    let parts = plain.lines().find(|line| line.starts_with("parts")).unwrap();
    assert_eq!((parts.matches('|').count(), parts.ends_with("4 parts")), (3, true), "{parts}");
    let rates = plain.lines().find(|line| line.starts_with("rate")).unwrap();
    let segments = report(&title)["renditions"][0]["parts"][0]["segment_bytes"].as_array().unwrap().len();
    assert!(segments == 2 && rates.ends_with("Mbit/s"), "{rates}");
    let of_job =
        farm.reel(&format!("job report {job}")).env([("LC_ALL", "C".to_owned())]).run().success().stdout;
    assert!(of_job.ends_with(&format!("\n{plain}")), "{of_job}");
    let drawing = dir.path().join("title.svg");
    farm.reel(&format!("job report {job} --svg {}", drawing.display())).run().success();
    let svg = fs::read_to_string(&drawing).unwrap();
    assert_eq!((svg.matches("<polyline").count(), svg.matches("class=\"join\"").count()), (3, 9), "{svg}");
    let wrong = Reel::new(dir.path(), ["job", "report", "nothing-here"]).run();
    assert!(wrong.code == Some(1) && wrong.stderr.contains("cannot read nothing-here"), "{}", wrong.stderr);
}
