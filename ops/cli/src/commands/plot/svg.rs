//! A plot as one file of SVG 1.1 that needs nothing else.

use super::{Plot, Step, range};
use crate::output::clock;

const WIDTH: f64 = 960.0;
/// Where curves begin and end.
const LEFT: f64 = 90.0;
const RIGHT: f64 = 940.0;
/// Height of a curve, and of what is between two.
const CURVE: f64 = 80.0;
const GAP: f64 = 14.0;
/// Height of a rendition's name.
const NAME: f64 = 30.0;

const STYLE: &str = "text{font:12px sans-serif;fill:#333}.name{font-weight:bold;font-size:14px}\
    .frame{fill:#fafafa;stroke:#ddd}.join{stroke:#bbb;stroke-dasharray:2 3}.psnr,.ssim,.vmaf,.rate{fill:none;stroke-width:1.5}\
    .psnr{stroke:#1f6fb4}.ssim{stroke:#2b8a3e}.vmaf{stroke:#7a3fa0}.rate{stroke:#c9541b}.black{fill:#000;opacity:.3}.frozen{fill:#39c;opacity:.3}";

/// The curves of all renditions below each other, with joins as dotted lines; black and frozen stretches are shaded.
pub(crate) fn draw(plot: &Plot) -> String {
    let mut body = String::new();
    let mut y = 10.0;
    for curves in &plot.renditions {
        let name = escaped(&curves.name);
        body.push_str(&format!("<text class=\"name\" x=\"{LEFT}\" y=\"{:.0}\">{name}</text>\n", y + 18.0));
        y += NAME;
        for (name, unit, digits, _, steps) in curves.all() {
            let (low, high) = range(steps);
            body.push_str(&format!(
                "<rect class=\"frame\" x=\"{LEFT}\" y=\"{y:.0}\" width=\"{}\" height=\"{CURVE}\"/>\n",
                RIGHT - LEFT
            ));
            body.push_str(&shades(plot, y));
            for join in &curves.joins {
                let x = place(plot, *join);
                body.push_str(&format!(
                    "<line class=\"join\" x1=\"{x:.1}\" y1=\"{y:.0}\" x2=\"{x:.1}\" y2=\"{:.0}\"/>\n",
                    y + CURVE
                ));
            }
            let points = points(plot, steps, (low, high), y);
            body.push_str(&format!("<polyline class=\"{name}\" points=\"{points}\"/>\n"));
            let label = |y: f64, text: String| format!("<text x=\"8\" y=\"{y:.0}\">{text}</text>\n");
            body.push_str(&label(y + 10.0, format!("{high:.digits$} {unit}").trim_end().to_owned()));
            body.push_str(&label(y + CURVE / 2.0 + 4.0, name.to_uppercase()));
            body.push_str(&label(y + CURVE, format!("{low:.digits$} {unit}").trim_end().to_owned()));
            y += CURVE + GAP;
        }
    }
    let end = clock(plot.seconds as u64);
    body.push_str(&format!("<text x=\"{LEFT}\" y=\"{:.0}\">0:00:00</text>\n", y + 6.0));
    body.push_str(&format!("<text x=\"{RIGHT}\" y=\"{:.0}\" text-anchor=\"end\">{end}</text>\n", y + 6.0));
    let height = y + 20.0;
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" version=\"1.1\" width=\"{WIDTH}\" height=\"{height:.0}\" \
         viewBox=\"0 0 {WIDTH} {height:.0}\">\n<style>{STYLE}</style>\n\
         <rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n{body}</svg>\n"
    )
}

/// Where a time is.
fn place(plot: &Plot, time: f64) -> f64 {
    LEFT + (time / plot.seconds.max(f64::MIN_POSITIVE)).clamp(0.0, 1.0) * (RIGHT - LEFT)
}

fn points(plot: &Plot, steps: &[Step], (low, high): (f64, f64), y: f64) -> String {
    let height = |value: f64| {
        let part = if high > low { (value - low) / (high - low) } else { 0.5 };
        y + CURVE - 4.0 - part * (CURVE - 8.0)
    };
    let ends = |step: &Step| {
        let (start, end, height) = (place(plot, step.start), place(plot, step.end), height(step.value));
        format!("{start:.1},{height:.1} {end:.1},{height:.1}")
    };
    steps.iter().map(ends).collect::<Vec<_>>().join(" ")
}

fn shades(plot: &Plot, y: f64) -> String {
    let stretches = [("black", &plot.black), ("frozen", &plot.frozen)];
    let all = stretches.into_iter().flat_map(|(name, list)| list.iter().map(move |stretch| (name, stretch)));
    let shade = |(name, (start, end)): (&str, &(f64, f64))| {
        let (x, width) = (place(plot, *start), place(plot, *end) - place(plot, *start));
        let width = width.max(1.0);
        format!(
            "<rect class=\"{name}\" x=\"{x:.1}\" y=\"{y:.0}\" width=\"{width:.1}\" height=\"{CURVE}\"/>\n"
        )
    };
    all.map(shade).collect()
}

/// Text as XML 1.0 takes it between tags (section 2.4).
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::super::tests::report;
    use super::*;

    #[test]
    fn a_title_is_drawn_as_svg() {
        insta::assert_snapshot!(draw(&Plot::of(&report())));
    }
}
