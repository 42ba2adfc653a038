//! How a title's quality and rate go over time, by its report: for a terminal, or as a drawing.

pub(crate) mod svg;
pub(crate) mod terminal;

use serde_json::Value;

/// What is drawn of a title. Times are in seconds from its first frame.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Plot {
    /// How long it is.
    seconds: f64,
    /// When it is black.
    black: Vec<(f64, f64)>,
    /// When it stands still.
    frozen: Vec<(f64, f64)>,
    renditions: Vec<Curves>,
}

/// The curves of a rendition.
#[derive(Clone, Debug, Default, PartialEq)]
struct Curves {
    /// Its name and the size of its pictures.
    name: String,
    /// When its parts begin, but for the first.
    joins: Vec<f64>,
    /// PSNR in decibels, by part.
    psnr: Vec<Step>,
    /// SSIM, by part; none in a report that lacks it.
    ssim: Vec<Step>,
    /// VMAF, by part; none where the profile does not ask for it.
    vmaf: Vec<Step>,
    /// Megabits a second, by segment; by part in a report that does not list segments.
    rate: Vec<Step>,
}

/// A value that holds for a while.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Step {
    start: f64,
    end: f64,
    value: f64,
}

/// Which of several values stands for them.
type Pick = fn(f64, f64) -> f64;

impl Curves {
    /// The curves that are there: name, unit, digits behind the point, which of many values is shown.
    fn all(&self) -> impl Iterator<Item = (&'static str, &'static str, usize, Pick, &[Step])> {
        let all: [(_, _, _, Pick, &[Step]); 4] = [
            ("psnr", "dB", 1, f64::min, &self.psnr),
            ("ssim", "", 4, f64::min, &self.ssim),
            ("vmaf", "", 1, f64::min, &self.vmaf),
            ("rate", "Mbit/s", 2, f64::max, &self.rate),
        ];
        all.into_iter().filter(|(.., steps)| !steps.is_empty())
    }
}

impl Plot {
    /// By the report of a title; what it lacks is not drawn.
    pub(crate) fn of(report: &Value) -> Self {
        let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
        let renditions: Vec<(Curves, f64)> = list(&report["renditions"]).iter().map(curves).collect();
        let stretches = |name: &str| -> Vec<(f64, f64)> {
            let stretch = |stretch: &Value| (number(&stretch["start_s"]), number(&stretch["end_s"]));
            list(&report["picture"][name]).iter().map(stretch).collect()
        };
        Plot {
            seconds: renditions.iter().map(|(_, seconds)| *seconds).fold(0.0, f64::max),
            black: stretches("black"),
            frozen: stretches("frozen"),
            renditions: renditions.into_iter().map(|(curves, _)| curves).collect(),
        }
    }
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or(0.0)
}

/// The curves of a rendition, and how long it is.
fn curves(rendition: &Value) -> (Curves, f64) {
    let parts = rendition["parts"].as_array().map_or(&[][..], Vec::as_slice);
    let spans = spans(parts, number(&rendition["timescale"]).max(1.0));
    let of_parts = |key: &str| -> Vec<Step> {
        let parts = parts.iter().zip(&spans);
        parts
            .filter_map(|(part, (start, end))| {
                Some(Step { start: *start, end: *end, value: part[key].as_f64()? })
            })
            .collect()
    };
    let text = |key: &str| rendition[key].as_str().unwrap_or_default();
    let curves = Curves {
        name: format!("{} {}x{}", text("name"), number(&rendition["width"]), number(&rendition["height"])),
        joins: spans.iter().skip(1).map(|(start, _)| *start).collect(),
        psnr: of_parts("psnr_db"),
        ssim: of_parts("ssim"),
        vmaf: of_parts("vmaf"),
        rate: rates(parts, &spans),
    };
    (curves, spans.last().map_or(0.0, |(_, end)| *end))
}

/// When each part begins and ends.
fn spans(parts: &[Value], timescale: f64) -> Vec<(f64, f64)> {
    let pts = |part: &Value, key: &str| number(&part[key]);
    let Some(first) = parts.first().map(|part| pts(part, "first_pts")) else { return Vec::new() };
    let span = |(at, part): (usize, &Value)| {
        let (start, last) = (pts(part, "first_pts"), pts(part, "last_pts"));
        // Of the last part, the last frame is shown as long as the others.
        let frame = (last - start) / (number(&part["frames"]) - 1.0).max(1.0);
        let end = parts.get(at + 1).map_or(last + frame, |next| pts(next, "first_pts"));
        ((start - first) / timescale, (end.max(start) - first) / timescale)
    };
    parts.iter().enumerate().map(span).collect()
}

/// The rate of each segment. All are as long as those of the first part, but for the last of a part, which ends with it.
fn rates(parts: &[Value], spans: &[(f64, f64)]) -> Vec<Step> {
    let listed = |part: &Value| -> Vec<f64> {
        let bytes = part["segment_bytes"].as_array().map(|list| list.iter().map(number).collect());
        bytes.filter(|list: &Vec<f64>| !list.is_empty()).unwrap_or_else(|| vec![number(&part["bytes"])])
    };
    let mut steps = Vec::new();
    let mut usual = None;
    for (part, (start, end)) in parts.iter().zip(spans) {
        let bytes = listed(part);
        let usual = *usual.get_or_insert((end - start) / bytes.len() as f64);
        let last = bytes.len() - 1;
        for (at, bytes) in bytes.into_iter().enumerate() {
            let from = (start + usual * at as f64).min(*end);
            let until = if at == last { *end } else { (from + usual).min(*end) };
            if until > from {
                steps.push(Step { start: from, end: until, value: bytes * 8.0 / 1e6 / (until - from) });
            }
        }
    }
    steps
}

/// The lowest and the highest value.
fn range(steps: &[Step]) -> (f64, f64) {
    let values = steps.iter().map(|step| step.value);
    values.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| (low.min(value), high.max(value)))
}

#[cfg(test)]
pub(super) mod tests {
    use serde_json::json;

    use super::*;

    /// A title of 25 seconds in parts of 10, with segments of 2, 24 frames a second.
    pub(super) fn report() -> Value {
        let part = |(at, psnr): (usize, f64)| {
            let frames = if at == 2 { 120 } else { 240 };
            let bytes = |segment: usize| 250_000 + 40_000 * ((at * 5 + segment) % 7);
            let segments = if at == 2 { 3 } else { 5 };
            json!({
                "part": at, "frames": frames, "first_pts": 2 + at * 240, "last_pts": 1 + at * 240 + frames,
                "psnr_db": psnr, "ssim": 0.9 + psnr / 500.0, "bytes": 1_500_000,
                "segment_bytes": (0..segments).map(bytes).collect::<Vec<_>>(),
            })
        };
        let parts: Vec<Value> = [41.5, 38.25, 44.0].into_iter().enumerate().map(part).collect();
        json!({
            "job": { "id": 1 },
            "picture": {
                "black": [{ "start_s": 0.0, "end_s": 1.5 }],
                "frozen": [{ "start_s": 12.0, "end_s": 14.0 }, { "start_s": 20.0, "end_s": 20.2 }],
            },
            "renditions": [
                { "name": "360p", "width": 640, "height": 360, "timescale": 24, "parts": parts },
                { "name": "<old>", "width": 2, "height": 2, "timescale": 24, "parts": [
                    { "frames": 600, "first_pts": 0, "last_pts": 599, "psnr_db": 40.0, "bytes": 3_000_000 },
                ] },
            ],
        })
    }

    #[test]
    fn parts_and_segments_have_their_times() {
        let plot = Plot::of(&report());
        assert_eq!(plot.seconds, 25.0);
        let [curves, old] = &plot.renditions[..] else { panic!("{plot:?}") };
        assert_eq!(curves.joins, [10.0, 20.0]);
        assert_eq!(curves.psnr[1], Step { start: 10.0, end: 20.0, value: 38.25 });
        let times: Vec<(f64, f64)> = curves.rate.iter().map(|step| (step.start, step.end)).collect();
        assert_eq!((times.len(), times[5], times[12]), (13, (10.0, 12.0), (24.0, 25.0)));
        assert_eq!(curves.rate[0].value, 1.0);
        assert_eq!((old.rate.len(), old.rate[0].value, old.ssim.len()), (1, 0.96, 0));
    }

    #[test]
    fn a_report_of_nonsense_is_drawn_without_harm() {
        let part =
            json!({ "frames": -3, "first_pts": 9e300, "last_pts": -9e300, "segment_bytes": [0, "x", 1e300] });
        let odd = json!({ "renditions": [{ "timescale": 0, "parts": [part, {}, 7] }, 3], "picture": { "black": [1] } });
        for report in [json!({}), json!([]), odd] {
            let plot = Plot::of(&report);
            terminal::draw(&plot, true);
            svg::draw(&plot);
        }
    }
}
