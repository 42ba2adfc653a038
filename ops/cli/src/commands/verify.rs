//! `reel verify`: the proof of a delivered title, or its first mismatch.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Component, Path, PathBuf};

use reel_common::{
    Artifact, Digest, DigestWriter, Edit, EditError, EditEvent, EditOverlay, EditSource, EditTime,
};
use reel_profiles::Profile;
use reel_proto::v1;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::args::VerifyArgs;
use crate::destination::REPORT;
use crate::exit::{Exit, Stop};
use crate::input::{self, Input};
use crate::once::Bench;
use crate::output::{bytes, print, print_json, progress_bar, row, table};

/// Longest logo, as jobs have them.
const MAX_LOGO_BYTES: u64 = 4 << 20;
/// Longest report that is read: 10,000 attempts and a million files stay below.
const MAX_REPORT_BYTES: u64 = 1 << 30;

pub(crate) fn run(args: VerifyArgs) -> Result<(), Stop> {
    let mut title = Title::open(&args.output)?;
    if let Some(keys) = args.keys {
        title.take_keys(keys)?;
    }
    let input = Input::open(&args.against)?;
    let bench = Bench::new()?;
    let total = title.check_files()?;
    let index = bench.index(&input, title.edit.clone(), &title.profile)?;
    let bar = progress_bar("verify", "frames", 0);
    let tree = title.folder.display().to_string();
    let proof = bench.verify(&input, &title.profile, index.artifact, tree, &mut |progress| {
        bar.set_length(progress.frames_total);
        bar.set_position(progress.frames_done);
    });
    bar.finish_and_clear();
    // A title that does not match is what this command is there to find: it is a failed check, whatever its class.
    let proof = proof.map_err(|stop| Stop { exit: Exit::Failed, ..stop })?;
    let verified = Verified { title, input, bytes: total, proof };
    if args.json { print_json(&verified.as_json()) } else { print(&verified.as_table()) }
}

/// What is needed of a report.
#[derive(Deserialize)]
struct Report {
    profile: ReportProfile,
    files: Vec<ReportFile>,
    edit: Option<ReportEdit>,
}

/// Of an edited title.
#[derive(Deserialize)]
struct ReportEdit {
    sources: Vec<ReportSource>,
    asked: Vec<ReportEvent>,
    overlays: Vec<ReportOverlay>,
}

#[derive(Deserialize)]
struct ReportOverlay {
    url: String,
    sha256: Digest,
    r#in: u64,
    out: u64,
    x: f64,
    y: f64,
    width: f64,
    opacity: f64,
}

#[derive(Deserialize)]
struct ReportSource {
    name: String,
    url: String,
}

#[derive(Deserialize)]
struct ReportEvent {
    source: String,
    r#in: Option<String>,
    out: Option<String>,
}

impl ReportEdit {
    /// The edit that makes the same title.
    fn edit(self) -> Result<Edit, Stop> {
        // A copy of the same will do: what it shows is what is compared.
        let source = |ReportSource { name, url }| EditSource { name, location: url, identity: None };
        let sources: Vec<EditSource> = self.sources.into_iter().map(source).collect();
        let broken = |error: EditError| Stop::failed(format!("the edit in the report: {error}"));
        let time = |typed: Option<String>| typed.map(|typed| typed.parse()).transpose().map_err(broken);
        let mut events = Vec::with_capacity(self.asked.len());
        for ReportEvent { source, r#in, out } in self.asked {
            let at = sources.iter().position(|known| known.name == source);
            let source = at.map_or(0, |at| at as u32 + 1);
            events.push(EditEvent { source, start: time(r#in)?, end: time(out)? });
        }
        for overlay in &self.overlays {
            let bytes = input::read_small(&overlay.url, MAX_LOGO_BYTES)?;
            if Digest::of(&bytes) != overlay.sha256 {
                return Err(Stop::failed(format!(
                    "the logo {} is not the one that the title was made with",
                    overlay.url
                )));
            }
        }
        let ppm = |share: f64| (share * 1e6).round() as u32;
        let overlay = |overlay: ReportOverlay| EditOverlay {
            location: overlay.url,
            identity: None,
            start: Some(EditTime::Frame(overlay.r#in)),
            end: Some(EditTime::Frame(overlay.out)),
            x_ppm: ppm(overlay.x),
            y_ppm: ppm(overlay.y),
            width_ppm: ppm(overlay.width),
            opacity_ppm: ppm(overlay.opacity),
        };
        let overlays = self.overlays.into_iter().map(overlay).collect();
        let edit = Edit { sources, events, overlays };
        edit.check().map(|()| edit).map_err(broken)
    }
}

#[derive(Deserialize)]
struct ReportProfile {
    text: String,
}

#[derive(Deserialize)]
struct ReportFile {
    path: String,
    sha256: Digest,
    bytes: u64,
}

/// A delivered title.
struct Title {
    folder: PathBuf,
    profile: Profile,
    files: Vec<ReportFile>,
    edit: Option<Edit>,
}

impl Title {
    fn open(typed: &Path) -> Result<Self, Stop> {
        let shown = typed.display();
        let folder = typed.canonicalize().map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => Stop::not_found(format!("{shown} does not exist")),
            _ => Stop::failed(format!("cannot open {shown}: {error}")),
        })?;
        if folder.to_str().is_none() {
            return Err(Stop::usage(format!("{shown} is not UTF-8: rename it")));
        }
        let path = folder.join(REPORT);
        let damaged = |reason: String| Stop::failed(format!("{}: {reason}", path.display()));
        let size = match std::fs::metadata(&path) {
            Ok(metadata) => metadata.len(),
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
                return Err(Stop::not_found(format!("{shown} is no delivered title: it has no {REPORT}")));
            }
            Err(error) => return Err(damaged(error.to_string())),
        };
        if size > MAX_REPORT_BYTES {
            return Err(damaged(format!("it has {}, too much for a report", bytes(size))));
        }
        let text = std::fs::read(&path).map_err(|error| damaged(error.to_string()))?;
        let report: Report = serde_json::from_slice(&text)
            .map_err(|error| damaged(format!("not the report of a title: {error}")))?;
        let profile = Profile::parse(&report.profile.text, "profile").map_err(|e| damaged(e.to_string()))?;
        let edit = report.edit.map(ReportEdit::edit).transpose()?;
        Ok(Title { folder, profile, files: report.files, edit })
    }

    /// Has the keys come from another place than the profile names.
    fn take_keys(&mut self, keys: String) -> Result<(), Stop> {
        let Some(encryption) = &mut self.profile.encryption else {
            return Err(Stop::usage("the title is not encrypted: leave out --keys"));
        };
        encryption.keys = keys;
        // What a profile may not say is refused as it is there.
        self.profile = Profile::parse(&self.profile.to_toml(), "--keys")?;
        Ok(())
    }

    /// Compares every file with the report; gives the bytes that were read.
    fn check_files(&self) -> Result<u64, Stop> {
        let mut total = 0;
        for file in &self.files {
            let mismatch = |reason: String| Stop::failed(format!("mismatch in {}: {reason}", file.path));
            let below = Path::new(&file.path).components().all(|part| matches!(part, Component::Normal(_)));
            if !below {
                return Err(mismatch("the report names a file outside of the title".to_owned()));
            }
            let found = digest(&self.folder.join(&file.path)).map_err(|error| mismatch(error.to_string()))?;
            let expected = Artifact { sha256: file.sha256, size: file.bytes };
            if found.size != expected.size {
                return Err(mismatch(format!("{} bytes, and the report says {}", found.size, expected.size)));
            }
            if found != expected {
                let (is, was) = (found.sha256, expected.sha256);
                return Err(mismatch(format!("its SHA-256 is {is}, and the report says {was}")));
            }
            total += found.size;
        }
        Ok(total)
    }
}

fn digest(path: &Path) -> io::Result<Artifact> {
    let mut file = File::open(path)?;
    let mut digest = DigestWriter::default();
    let (mut size, mut block) = (0, vec![0; 1 << 20]);
    loop {
        match file.read(&mut block)? {
            0 => return Ok(Artifact { sha256: digest.finish(), size }),
            length => {
                digest.add(&block[..length]);
                size += length as u64;
            }
        }
    }
}

/// A title that matches.
struct Verified {
    title: Title,
    input: Input,
    bytes: u64,
    proof: v1::Proof,
}

impl Verified {
    fn as_table(&self) -> String {
        let mut rows = vec![
            row(["title", &self.title.folder.display().to_string()]),
            row(["mezzanine", &self.input.location]),
            row(["files", &format!("{} as reported, {}", self.title.files.len(), bytes(self.bytes))]),
        ];
        for entry in &self.proof.renditions {
            let (first, last) =
                (ticks(entry.first_pts, entry.timescale), ticks(entry.last_pts, entry.timescale));
            let worst = entry.worst_difference_ppm as f64 / 10_000.0;
            let text = format!(
                "{}: {} frames, each once, in order, at its time ({first} to {last} s); worst difference {worst:.2} %",
                entry.rendition, entry.frames
            );
            rows.push(row(["rendition", &text]));
        }
        for entry in &self.proof.audio {
            let place = match entry.offsets.iter().map(|offset| offset.unsigned_abs()).max() {
                None => "no shape to compare".to_owned(),
                Some(most) => format!("at most {most} samples off"),
            };
            let text =
                format!("{}: {} samples at {} Hz, {place}", entry.name, entry.samples, entry.sample_rate);
            rows.push(row(["audio", &text]));
        }
        if let Some(images) = self.proof.images {
            let worst = images.worst_difference_ppm as f64 / 10_000.0;
            let poster = if images.poster { " and a poster" } else { "" };
            let text = format!(
                "{} thumbnails{poster}, each of the frame of its time; worst difference {worst:.2} %",
                images.thumbnails
            );
            rows.push(row(["images", &text]));
        }
        if let Some(first) = self.proof.mended.first() {
            let count = self.proof.mended.len();
            let text = format!(
                "{count} frames of the mezzanine do not decode, from frame {first} on: others stand there"
            );
            rows.push(row(["mended", &text]));
        }
        rows.push(row(["verdict", "proved"]));
        table(&rows)
    }

    fn as_json(&self) -> Value {
        let rendition = |entry: &v1::RenditionProof| {
            json!({
                "name": entry.rendition,
                "frames": entry.frames,
                "first_pts": entry.first_pts,
                "last_pts": entry.last_pts,
                "timescale": entry.timescale,
                "worst_difference_ppm": entry.worst_difference_ppm,
                "ties": entry.ties,
            })
        };
        let audio = |entry: &v1::AudioProof| {
            json!({
                "name": entry.name,
                "samples": entry.samples,
                "sample_rate": entry.sample_rate,
                "offsets": entry.offsets,
            })
        };
        json!({
            "output": self.title.folder.display().to_string(),
            "mezzanine": self.input.location,
            "verdict": "proved",
            "files": self.title.files.len(),
            "bytes": self.bytes,
            "renditions": self.proof.renditions.iter().map(rendition).collect::<Vec<_>>(),
            "audio": self.proof.audio.iter().map(audio).collect::<Vec<_>>(),
            "images": self.proof.images.map(|images| json!({
                "sheets": images.sheets,
                "thumbnails": images.thumbnails,
                "poster": images.poster,
                "worst_difference_ppm": images.worst_difference_ppm,
            })),
            "mended_frames": self.proof.mended,
        })
    }
}

/// A time in ticks as seconds in decimal, for people.
fn ticks(pts: i64, timescale: u32) -> String {
    format!("{:.3}", pts as f64 / f64::from(timescale.max(1)))
}

#[cfg(test)]
mod tests {
    use reel_common::SourceIdentity;

    use super::*;
    use crate::commands::profile;

    /// A title of two files.
    struct Place {
        root: tempfile::TempDir,
    }

    impl Place {
        fn new() -> Self {
            let place = Place { root: tempfile::tempdir().unwrap() };
            std::fs::create_dir(place.root.path().join("video")).unwrap();
            std::fs::write(place.root.path().join("master.m3u8"), b"#EXTM3U").unwrap();
            std::fs::write(place.root.path().join("video/seg.m4s"), b"bytes").unwrap();
            place.report(&[("master.m3u8", b"#EXTM3U"), ("video/seg.m4s", b"bytes")]);
            place
        }

        fn report(&self, files: &[(&str, &[u8])]) {
            let entry = |(path, bytes): &(&str, &[u8])| {
                let Artifact { sha256, size } = Artifact::of(bytes);
                json!({ "path": path, "sha256": sha256, "bytes": size })
            };
            let files: Vec<Value> = files.iter().map(entry).collect();
            let text = profile::load("proxy").unwrap().to_toml();
            let report = json!({ "profile": { "text": text }, "files": files, "job": {} });
            std::fs::write(self.root.path().join(REPORT), report.to_string()).unwrap();
        }

        fn check(&self) -> Result<u64, String> {
            Title::open(self.root.path()).unwrap().check_files().map_err(|stop| stop.message)
        }
    }

    #[test]
    fn files_that_are_as_reported_pass() {
        assert_eq!(Place::new().check(), Ok(12));
    }

    #[test]
    fn the_first_file_that_differs_is_named() {
        let place = Place::new();
        let write = |bytes: &[u8]| std::fs::write(place.root.path().join("video/seg.m4s"), bytes).unwrap();
        write(b"bytez");
        assert!(place.check().unwrap_err().starts_with("mismatch in video/seg.m4s: its SHA-256 is "));
        write(b"byte");
        let expected = "mismatch in video/seg.m4s: 4 bytes, and the report says 5";
        assert_eq!(place.check(), Err(expected.to_owned()));
        std::fs::remove_file(place.root.path().join("video/seg.m4s")).unwrap();
        assert!(place.check().unwrap_err().contains("No such file"));
    }

    #[test]
    fn a_report_cannot_lead_out_of_the_title() {
        let place = Place::new();
        for path in ["../secret", "/etc/passwd", "video/../../x"] {
            place.report(&[(path, b"")]);
            let message = place.check().unwrap_err();
            assert_eq!(message, format!("mismatch in {path}: the report names a file outside of the title"));
        }
    }

    #[test]
    fn a_foreign_report_is_a_failure_and_no_panic() {
        let place = Place::new();
        for text in ["", "{}", "[]", "{\"profile\": {\"text\": \"x\"}, \"files\": []}"] {
            std::fs::write(place.root.path().join(REPORT), text).unwrap();
            assert_eq!(
                Title::open(place.root.path()).err().map(|stop| stop.exit),
                Some(Exit::Failed),
                "{text}"
            );
        }
    }

    fn verified(place: &Place) -> Verified {
        let rendition = v1::RenditionProof {
            rendition: "540p".to_owned(),
            frames: 720,
            first_pts: 0,
            last_pts: 719_000,
            timescale: 24_000,
            worst_difference_ppm: 12_345,
            ties: 3,
        };
        let audio = v1::AudioProof {
            name: "aac-stereo".to_owned(),
            samples: 1_440_000,
            sample_rate: 48_000,
            offsets: vec![0, -3, 2],
        };
        let silent = v1::AudioProof { name: "silent".to_owned(), offsets: Vec::new(), ..audio.clone() };
        let identity = SourceIdentity::default();
        Verified {
            title: Title { folder: "/titles/movie".into(), ..Title::open(place.root.path()).unwrap() },
            input: Input { location: "/media/movie.mov".to_owned(), identity },
            bytes: 12,
            proof: v1::Proof {
                renditions: vec![rendition],
                audio: vec![audio, silent],
                mended: vec![7, 8],
                images: Some(v1::ImageProof {
                    sheets: 2,
                    thumbnails: 30,
                    poster: true,
                    worst_difference_ppm: 4_100,
                }),
            },
        }
    }

    #[test]
    fn a_proof_is_shown_as_a_table() {
        insta::assert_snapshot!(verified(&Place::new()).as_table());
    }

    #[test]
    fn a_proof_is_one_json_object() {
        let object = verified(&Place::new()).as_json();
        insta::assert_snapshot!(serde_json::to_string_pretty(&object).unwrap());
    }
}
