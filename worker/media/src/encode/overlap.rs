//! What two neighbouring parts share: the frames around their border, which both decode.
//!
//! Parts may be decoded in different processes, each from a random access point of its own. When both find the same
//! pictures around the border, the second decode goes on as the first would have: part by part, the whole title is
//! shown to have been decoded as if from its beginning. `measure` compares the two digests of each border.

use reel_common::{DigestWriter, PartSpec};
use reel_proto::v1;

use crate::encoder::Surroundings;
use crate::measure::Reduced;
use crate::recipe::Window;

/// The frames that a part shares with the one before and the one after.
pub(super) struct Overlap {
    before: Border,
    after: Border,
}

struct Border {
    window: Window,
    digest: DigestWriter,
}

impl Overlap {
    /// The borders of a part whose encoder sees `surroundings`, of the frames `seen`.
    pub(super) fn new(part: &PartSpec, surroundings: Surroundings, seen: (u64, u64)) -> Self {
        let around = |at: u64| Border {
            window: Window::around(at, at, surroundings, seen),
            digest: DigestWriter::default(),
        };
        Overlap { before: around(part.start()), after: around(part.end) }
    }

    /// Takes the next frame that was decoded.
    pub(super) fn add(&mut self, frame: u64, reduced: &Reduced) {
        for border in [&mut self.before, &mut self.after] {
            if border.window.contains(frame) {
                reduced.add_to(&mut border.digest);
            }
        }
    }

    /// Adds the digests of the borders to a proof: after all frames of the part's window.
    pub(super) fn tell(&self, proof: &mut v1::PartProof) {
        let digest = |border: &Border| border.digest.clone().finish().0.to_vec();
        proof.border_before = digest(&self.before);
        proof.border_after = digest(&self.after);
    }
}
