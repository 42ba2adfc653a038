//! What is measured of coded pictures.

/// What came of a rendition of a part, or of what was probed of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Measured {
    /// Bytes of its coded frames.
    pub bytes: u64,
    /// Mean luma PSNR of its frames in thousandths of a decibel, at most [`Measured::MOST_PSNR_MDB`].
    pub psnr_mdb: u32,
    /// Mean luma SSIM of its frames in millionths, at most [`Measured::MOST_SSIM_PPM`].
    pub ssim_ppm: u32,
    /// Mean VMAF of its frames in thousandths, at most [`Measured::MOST_VMAF_MILLI`]; 0 where it was not measured.
    pub vmaf_milli: u32,
}

impl Measured {
    /// The PSNR of frames that are equal to their source.
    pub const MOST_PSNR_MDB: u32 = 100_000;
    /// Their SSIM.
    pub const MOST_SSIM_PPM: u32 = 1_000_000;
    /// The most that VMAF can be.
    pub const MOST_VMAF_MILLI: u32 = 100_000;

    /// By what a worker says, which may be any numbers.
    pub fn new(bytes: u64, psnr_mdb: i64, ssim_ppm: i64) -> Self {
        let within = |value: i64, most: u32| value.clamp(0, most.into()) as u32;
        let (psnr_mdb, ssim_ppm) =
            (within(psnr_mdb, Self::MOST_PSNR_MDB), within(ssim_ppm, Self::MOST_SSIM_PPM));
        Measured { bytes, psnr_mdb, ssim_ppm, vmaf_milli: 0 }
    }

    /// With the VMAF that a worker says.
    pub fn with_vmaf(self, vmaf_milli: u32) -> Self {
        Measured { vmaf_milli: vmaf_milli.min(Self::MOST_VMAF_MILLI), ..self }
    }

    /// What a rendition came to of which nothing but the size is known.
    pub fn sized(bytes: u64) -> Self {
        Measured { bytes, ..Measured::default() }
    }
}
