//! Bad input gets one clear message and the right exit code: no panic, no hang, nothing half made.

#![allow(clippy::unwrap_used, reason = "a test fails where it is surprised")]

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use reel_tests::reel::{Ended, Reel};
use reel_tests::{ffmpeg, fixtures, profile, scratch};

/// What a command ends with: its exit code, and what its message says about the reason and the place.
struct Expect {
    code: i32,
    says: &'static [&'static str],
}

fn expect(code: i32, says: &'static [&'static str]) -> Expect {
    Expect { code, says }
}

/// A folder for one bad job: `out` is where the title would appear.
struct Place {
    dir: tempfile::TempDir,
}

impl Place {
    fn new() -> Place {
        let place = Place { dir: scratch() };
        // Open to the ordinary user that some tests run as.
        fs::set_permissions(place.dir.path(), Permissions::from_mode(0o777)).unwrap();
        for folder in ["out", "home"] {
            fs::create_dir(place.path(folder)).unwrap();
            fs::set_permissions(place.path(folder), Permissions::from_mode(0o777)).unwrap();
        }
        place
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn file(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, bytes).unwrap();
        path
    }

    fn words(&self, mezzanine: &Path, profile: &Path) -> Vec<std::ffi::OsString> {
        let output = self.path("out/title");
        let words =
            ["transcode".as_ref(), mezzanine, &output, "--profile".as_ref(), profile, "--quiet".as_ref()];
        words.map(|word: &Path| word.as_os_str().to_owned()).to_vec()
    }

    /// Transcodes and checks everything that holds for any bad input.
    fn refuses(&self, mezzanine: &Path, profile: &Path, expected: &Expect) {
        self.check(&Reel::new(self.dir.path(), self.words(mezzanine, profile)).run(), expected);
    }

    fn check(&self, ended: &Ended, expected: &Expect) {
        assert_message(ended, expected);
        let left: Vec<_> =
            fs::read_dir(self.path("out")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert!(left.is_empty(), "left behind: {left:?}");
    }
}

fn assert_message(ended: &Ended, expected: &Expect) {
    let said = &ended.stderr;
    assert_eq!(ended.code, Some(expected.code), "{said}");
    assert!(!said.contains("panicked") && !ended.stdout.contains("panicked"), "{said}");
    let errors: Vec<_> = said.lines().filter(|line| line.starts_with("error: ")).collect();
    assert_eq!(errors.len(), 1, "one message, not:\n{said}");
    let message = errors[0].to_lowercase();
    for fragment in expected.says {
        assert!(message.contains(&fragment.to_lowercase()), "`{fragment}` is not in: {}", errors[0]);
    }
}

fn quick() -> PathBuf {
    profile("quick")
}

#[test]
fn an_empty_file_is_refused() {
    let place = Place::new();
    place.refuses(&place.file("empty.mov", b""), &quick(), &expect(3, &["empty.mov", "is empty"]));
}

#[test]
fn text_with_the_name_of_a_film_is_refused() {
    let place = Place::new();
    let text = "INT. A ROOM - DAY\nNobody is here.\n".repeat(500);
    place.refuses(&place.file("text.mov", text.as_bytes()), &quick(), &expect(3, &["text.mov"]));
}

#[test]
fn a_film_without_its_tables_is_refused() {
    let place = Place::new();
    let whole = fs::read(fixtures::prores_mov().path).unwrap();
    let cut = place.file("cut.mov", &whole[..whole.len() / 2]);
    place.refuses(&cut, &quick(), &expect(3, &["cut.mov", "incomplete"]));
}

#[test]
fn a_film_that_ends_early_is_refused() {
    let place = Place::new();
    let whole = fs::read(fixtures::bbb_1080p().path).unwrap();
    let cut = place.file("cut.mp4", &whole[..whole.len() * 6 / 10]);
    place.refuses(&cut, &quick(), &expect(3, &["cut.mp4", "end"]));
}

#[test]
fn a_film_of_no_length_is_refused() {
    let place = Place::new();
    let path = place.path("none.mov");
    let source = ["-f", "lavfi", "-i", "testsrc", "-t", "0", "-c:v", "mpeg4"].map(AsRef::as_ref);
    ffmpeg::run(source.into_iter().chain([path.as_os_str()]));
    place.refuses(&path, &quick(), &expect(3, &["none.mov"]));
}

#[test]
fn sound_without_a_picture_is_refused() {
    let place = Place::new();
    let path = place.path("song.m4a");
    let source = ["-f", "lavfi", "-i", "sine=d=2", "-c:a", "aac"].map(AsRef::as_ref);
    ffmpeg::run(source.into_iter().chain([path.as_os_str()]));
    place.refuses(&path, &quick(), &expect(3, &["song.m4a", "video"]));
}

#[test]
fn a_missing_file_is_not_found() {
    let place = Place::new();
    place.refuses(&place.path("gone.mov"), &quick(), &expect(4, &["gone.mov", "does not exist"]));
}

#[test]
fn a_folder_is_no_mezzanine() {
    let place = Place::new();
    place.refuses(&place.path("home"), &quick(), &expect(2, &["home", "is not a file"]));
}

#[test]
fn a_file_that_may_not_be_read_is_refused() {
    let place = Place::new();
    let path = place.file("secret.mov", b"x");
    fs::set_permissions(&path, Permissions::from_mode(0o000)).unwrap();
    let ended = Reel::unprivileged(place.dir.path(), place.words(&path, &quick())).run();
    place.check(&ended, &expect(1, &["secret.mov", "permissions"]));
}

#[test]
fn an_output_that_may_not_be_written_is_refused() {
    let place = Place::new();
    fs::set_permissions(place.path("out"), Permissions::from_mode(0o555)).unwrap();
    let ended = Reel::unprivileged(place.dir.path(), place.words(&fixtures::city().path, &quick())).run();
    place.check(&ended, &expect(1, &["out", "cannot write"]));
}

#[test]
fn an_output_that_is_not_ours_is_left_alone() {
    let place = Place::new();
    fs::create_dir(place.path("out/title")).unwrap();
    let photo = place.file("out/title/photo.jpg", b"holiday");
    let ended = Reel::new(place.dir.path(), place.words(&fixtures::city().path, &quick())).run();
    assert_message(&ended, &expect(5, &["title"]));
    assert_eq!(fs::read(photo).unwrap(), b"holiday");
}

/// Runs a job with a small file system mounted at `mount`, which the job is to fill. The mount is in a mount namespace
/// of its own and goes with it; what it held at `out` in the end is listed in `left`.
fn on_a_small_disk(place: &Place, mount: &str, mezzanine: &Path) -> Ended {
    let script = "mount -t tmpfs -o size=1m,mode=777 tmpfs \"$1\" || exit 99; left=$2; out=$3; shift 3; \
        \"$@\"; code=$?; ls -A \"$out\" > \"$left\"; exit $code";
    let mut words = vec!["unshare".into(), "--mount".into()];
    if !rustix::process::geteuid().is_root() {
        words.push("--map-root-user".into());
    }
    words.extend(["sh", "-c", script, "sh"].map(Into::into));
    words.extend([mount, "left", "out"].map(|name| place.path(name).into_os_string()));
    let ended = Reel::behind(words, place.dir.path(), place.words(mezzanine, &quick())).run();
    assert_eq!(fs::read_to_string(place.path("left")).unwrap(), "", "left behind at OUTPUT");
    ended
}

#[test]
fn a_disk_that_fills_under_the_output_fails_the_job() {
    let place = Place::new();
    let ended = on_a_small_disk(&place, "out", &fixtures::prores_mov().path);
    place.check(&ended, &expect(3, &["space", "out", "same command"]));
}

#[test]
fn a_disk_that_fills_under_the_home_fails_the_job() {
    let place = Place::new();
    let ended = on_a_small_disk(&place, "home", &fixtures::prores_mov().path);
    place.check(&ended, &expect(3, &["no space left", "home", "same command"]));
}

#[test]
fn a_profile_with_an_unknown_key_is_refused_with_its_line() {
    let place = Place::new();
    let text = fs::read_to_string(quick()).unwrap().replace("height = 180", "height = 180\ncolour = \"red\"");
    let line = text.lines().position(|line| line.starts_with("colour")).unwrap() + 1;
    let path = place.file("red.toml", text.as_bytes());
    let ended = Reel::new(place.dir.path(), place.words(&fixtures::city().path, &path)).run();
    place.check(&ended, &expect(2, &["red.toml", "colour"]));
    assert!(ended.stderr.contains(&format!("red.toml:{line}: ")), "{}", ended.stderr);
}

#[test]
fn an_impossible_ladder_is_refused_with_its_line() {
    let place = Place::new();
    let text = fs::read_to_string(quick()).unwrap().replace("height = 180", "height = 181");
    let path = place.file("odd.toml", text.as_bytes());
    place.refuses(&fixtures::city().path, &path, &expect(2, &["odd.toml:17", "height", "even", "182"]));
}

#[test]
fn a_profile_that_does_not_exist_is_not_found() {
    let place = Place::new();
    place.refuses(&fixtures::city().path, Path::new("no-such"), &expect(4, &["no-such", "profile"]));
}

/// Writes noise over the middle of the bytes of a film.
fn damaged(place: &Place, source: &Path, name: &str) -> PathBuf {
    let mut bytes = fs::read(source).unwrap();
    let middle = bytes.len() / 2;
    for (at, byte) in bytes[middle..middle + 40_000].iter_mut().enumerate() {
        *byte = ((at * 7919) >> 3) as u8;
    }
    place.file(name, &bytes)
}

#[test]
fn damaged_pictures_are_refused_with_their_place() {
    for (source, name) in [(fixtures::prores_mov(), "noise.mov"), (fixtures::bbb_1080p(), "noise.mp4")] {
        let place = Place::new();
        let path = damaged(&place, &source.path, name);
        place.refuses(&path, &quick(), &expect(3, &["noise.m", "is damaged", "does not decode"]));
    }
}
