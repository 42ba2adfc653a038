//! How a rendition comes to the bit rate or the quality that its profile asks for.

/// What a rendition is to come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Goal {
    /// Bytes of its coded frames.
    Bytes(u64),
    /// Mean luma PSNR of its frames in thousandths of a decibel.
    Psnr(u32),
    /// Mean luma SSIM of its frames in millionths.
    Ssim(u32),
    /// Mean VMAF of its frames in thousandths.
    Vmaf(u32),
}

/// What was tried for a rendition, and what came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RateView {
    /// Its place in the ladder.
    pub rendition: u32,
    /// What it was to come to.
    pub goal: Goal,
    /// Encodes of the whole title for its size and quality.
    pub probes: Vec<RateOutcome>,
    /// The waves of its encode.
    pub waves: Vec<RateOutcome>,
}

/// What came of a rate factor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RateOutcome {
    /// The rate factor in thousandths; of AV1 the mean of its parts, whose rate factors are whole.
    pub crf_milli: u32,
    /// Bytes of the coded frames so far.
    pub bytes: u64,
    /// Mean of the frames in the unit of the goal; 0 where that is a size, and before all are there.
    pub quality: u32,
    /// Whether it was a draft, at fast settings.
    pub draft: bool,
}
