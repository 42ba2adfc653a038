//! Projects: whose work it is, and the share of the farm that it has.

/// The share of the farm that a project has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Share {
    /// Slots are shared in proportion to this, 1 to [`Share::MAX_WEIGHT`].
    pub weight: u32,
    /// Slots that it gets before any share is counted, as long as it has work for them.
    pub guarantee: u32,
    /// Slots that it never has more of; `None` where it may have them all.
    pub burst: Option<u32>,
}

impl Share {
    /// Greatest weight.
    pub const MAX_WEIGHT: u32 = 10_000;
    /// Greatest guarantee and burst.
    pub const MAX_SLOTS: u32 = 1_000_000;
    /// Longest name of a project, in bytes.
    pub const MAX_NAME_BYTES: usize = 64;

    /// What is wrong with it, if anything.
    pub fn problem(&self) -> Option<&'static str> {
        match *self {
            Share { weight: 0, .. } => Some("has weight 0: use 1 or more"),
            Share { weight, .. } if weight > Self::MAX_WEIGHT => Some("has a weight above 10000"),
            Share { guarantee, .. } if guarantee > Self::MAX_SLOTS => {
                Some("has a guarantee above 1000000 slots")
            }
            Share { guarantee, burst: Some(burst), .. } if burst < guarantee || burst == 0 => {
                Some("has a burst that is 0 or below its guarantee: raise it, or leave it out")
            }
            _ => None,
        }
    }
}

impl Default for Share {
    /// Weight 1, nothing guaranteed, no limit.
    fn default() -> Self {
        Share { weight: 1, guarantee: 0, burst: None }
    }
}

/// A project as operators see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProjectView {
    /// Its name.
    pub name: String,
    /// Its share.
    pub share: Share,
    /// Slots that its work has now.
    pub slots: u32,
    /// Its jobs that are not over.
    pub open_jobs: u32,
}
