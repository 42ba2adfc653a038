//! The runner of this host: whether it runs, of which version it is, what it encodes and decodes.

use reel_profiles::{AudioCodec, VideoCodec};
use reel_worker::RunnerProgram;

use super::Check;
use crate::once;

const AREA: &str = "codecs";
/// What mezzanines come in, by libav's names.
const MEZZANINES: [&str; 18] = [
    "h264",
    "hevc",
    "prores",
    "dnxhd",
    "mpeg2video",
    "jpeg2000",
    "ffv1",
    "dvvideo",
    "vp9",
    "av1",
    "pcm_s16le",
    "pcm_s24le",
    "aac",
    "ac3",
    "eac3",
    "mp2",
    "flac",
    "opus",
];

pub(super) async fn checks() -> Vec<Check> {
    const NAME: &str = "runner";
    let advice = "install reel and reel-runner of the same version, with the libraries that it names";
    let path = match once::runner() {
        Ok(path) => path,
        Err(stop) => return vec![Check::fail(AREA, NAME, stop.message, advice)],
    };
    let shown = path.display().to_string();
    let runner = match RunnerProgram::ask(path).await {
        Ok(runner) => runner,
        Err(error) => return vec![Check::fail(AREA, NAME, error, advice)],
    };
    let own = env!("CARGO_PKG_VERSION");
    let version = match runner.version().await {
        Ok(version) if version == own => Check::ok(AREA, NAME, format!("{shown}, version {version}")),
        Ok(version) => Check::fail(AREA, NAME, format!("{shown} has version {version}, reel {own}"), advice),
        Err(error) => Check::fail(AREA, NAME, error, advice),
    };
    let offered: Vec<&str> = runner.codecs().iter().map(String::as_str).collect();
    let decoders = runner.decoders().await.map(|decoders| {
        let known: Vec<&str> = decoders.iter().map(String::as_str).collect();
        reads(&known)
    });
    let decoders = decoders.unwrap_or_else(|error| Check::fail(AREA, "decoders", error, advice));
    vec![version, encodes(&offered), decoders]
}

/// Whether all that profiles can ask for is offered.
fn encodes(offered: &[&str]) -> Check {
    const NAME: &str = "encoders";
    let video = VideoCodec::ALL.iter().map(|codec| codec.name());
    let all: Vec<&str> = video.chain(AudioCodec::ALL.iter().map(|codec| codec.name())).collect();
    let (found, missing): (Vec<&str>, Vec<&str>) = all.iter().partition(|codec| offered.contains(codec));
    let found = found.join(" ");
    match missing.as_slice() {
        [] => Check::ok(AREA, NAME, found),
        ["hevc"] => {
            let advice = "HEVC needs a processor with AVX2: jobs with it wait for other workers";
            Check::warn(AREA, NAME, format!("{found}, without hevc"), advice)
        }
        missing => {
            let found = format!("{found}, without {}", missing.join(" "));
            Check::warn(AREA, NAME, found, "jobs with these wait for other workers: install the libraries")
        }
    }
}

fn reads(known: &[&str]) -> Check {
    const NAME: &str = "decoders";
    let missing: Vec<&str> = MEZZANINES.into_iter().filter(|codec| !known.contains(codec)).collect();
    let found = format!("{} codecs", known.len());
    match missing.is_empty() {
        true => Check::ok(AREA, NAME, format!("{found}, all that is usual among them")),
        false => {
            let advice = "mezzanines in these are refused: install a libavcodec that has them";
            Check::warn(AREA, NAME, format!("{found}, without {}", missing.join(" ")), advice)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::State;
    use super::*;

    #[test]
    fn a_host_without_avx2_is_told_from_one_without_libraries() {
        let all = ["h264", "hevc", "av1", "aac", "ac3", "eac3", "opus", "flac", "pcm"];
        assert_eq!(encodes(&all).state, State::Ok);
        let old: Vec<&str> = all.into_iter().filter(|codec| *codec != "hevc").collect();
        assert!(encodes(&old).advice.unwrap().contains("AVX2"));
        let bare = encodes(&["h264"]);
        assert!(bare.state == State::Warn && bare.found.contains("hevc av1"), "{bare:?}");
        assert_eq!(reads(&MEZZANINES).state, State::Ok);
        assert!(reads(&["h264"]).found.contains("prores"));
    }
}
