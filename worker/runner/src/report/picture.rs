//! What the report says of the pictures of a title.

use std::cmp::Reverse;

use reel_media::Stretches;
use reel_profiles::{Admitted, Profile, Stretch};
use serde::Serialize;

/// Drawings that are shown for several frames each are a stretch each: of so many only the longest are of use.
const MOST_LISTED: usize = 100;

/// Black and frozen stretches, in order of time.
#[derive(Serialize)]
pub(super) struct Picture {
    black: Vec<Listed>,
    /// Shorter ones than those that are listed.
    black_left_out: usize,
    frozen: Vec<Listed>,
    frozen_left_out: usize,
}

/// Frames `[first_frame, first_frame + frames)` of the title.
#[derive(Serialize)]
struct Listed {
    start_s: f64,
    end_s: f64,
    first_frame: u64,
    frames: u64,
}

impl Picture {
    pub(super) fn of(stretches: &Stretches) -> Self {
        let (black, black_left_out) = longest(&stretches.black);
        let (frozen, frozen_left_out) = longest(&stretches.frozen);
        Picture { black, black_left_out, frozen, frozen_left_out }
    }
}

/// The longest stretches, and how many others there are.
fn longest(stretches: &[Stretch]) -> (Vec<Listed>, usize) {
    let mut by_length: Vec<&Stretch> = stretches.iter().collect();
    by_length.sort_by_key(|stretch| Reverse(stretch.seconds));
    by_length.truncate(MOST_LISTED);
    by_length.sort_by_key(|stretch| stretch.frames.start);
    let listed: Vec<Listed> = by_length.into_iter().map(listed).collect();
    let left_out = stretches.len() - listed.len();
    (listed, left_out)
}

fn listed(stretch: &Stretch) -> Listed {
    Listed {
        start_s: stretch.start.to_f64(),
        end_s: stretch.end.to_f64(),
        first_frame: stretch.frames.start,
        frames: stretch.frames.end - stretch.frames.start,
    }
}

/// What the admission rules have to say of a title that was not rejected.
pub(super) fn admitted(stretches: &Stretches, profile: &Profile) -> Admitted {
    profile.admit_pictures(&stretches.black, &stretches.frozen).unwrap_or_default()
}
