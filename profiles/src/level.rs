//! H.264 levels and their limits (ISO/IEC 14496-10, table A-1).

use crate::H264Profile;

/// An H.264 level, as `level_idc`: 41 is level 4.1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Level(u8);

/// level_idc, MaxFS in macroblocks, MaxBR in units of 1000 or 1200 bit/s.
const TABLE: [(u8, u32, u32); 19] = [
    (10, 99, 64),
    (11, 396, 192),
    (12, 396, 384),
    (13, 396, 768),
    (20, 396, 2_000),
    (21, 792, 4_000),
    (22, 1_620, 4_000),
    (30, 1_620, 10_000),
    (31, 3_600, 14_000),
    (32, 5_120, 20_000),
    (40, 8_192, 20_000),
    (41, 8_192, 50_000),
    (42, 8_704, 50_000),
    (50, 22_080, 135_000),
    (51, 36_864, 240_000),
    (52, 36_864, 240_000),
    (60, 139_264, 240_000),
    (61, 139_264, 480_000),
    (62, 139_264, 800_000),
];

impl Level {
    /// Reads `4.1` or `4`.
    pub fn parse(text: &str) -> Option<Self> {
        let (whole, tenth) = text.split_once('.').unwrap_or((text, "0"));
        if !matches!((whole.as_bytes(), tenth.as_bytes()), ([b'1'..=b'6'], [b'0'..=b'9'])) {
            return None;
        }
        let idc = format!("{whole}{tenth}").parse().ok()?;
        TABLE.iter().any(|row| row.0 == idc).then_some(Level(idc))
    }

    /// `level_idc`.
    pub fn idc(self) -> u8 {
        self.0
    }

    /// Whether a picture of this size fits: its macroblocks within MaxFS and neither side beyond sqrt(8 * MaxFS).
    pub fn fits_picture(self, width: u32, height: u32) -> bool {
        let (across, down) = (u64::from(width.div_ceil(16)), u64::from(height.div_ceil(16)));
        let most = u64::from(self.row().1);
        across * down <= most && across * across <= most * 8 && down * down <= most * 8
    }

    /// The largest VBV rate in kbit/s: MaxBR with the VCL factor of table A-2 (1250 for High, else 1000).
    pub fn max_kbps(self, profile: H264Profile) -> u32 {
        match profile {
            H264Profile::High => self.row().2 / 4 * 5,
            H264Profile::Baseline | H264Profile::Main => self.row().2,
        }
    }

    fn row(self) -> (u8, u32, u32) {
        TABLE.into_iter().find(|row| row.0 == self.0).unwrap_or(TABLE[TABLE.len() - 1])
    }
}

impl std::fmt::Display for Level {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}", self.0 / 10, self.0 % 10)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_are_read_the_way_people_write_them() {
        assert_eq!(Level::parse("4.1").map(Level::idc), Some(41));
        assert_eq!(Level::parse("4").map(|level| level.to_string()), Some("4.0".to_owned()));
        for text in ["", "4.5", "4.10", "7", "-1", "4.1.0", "0.40", "auto"] {
            assert_eq!(Level::parse(text), None, "{text}");
        }
    }

    #[test]
    fn a_level_bounds_the_picture_and_the_rate() {
        let level = Level::parse("4.0").unwrap();
        assert!(level.fits_picture(1920, 1080));
        assert!(!level.fits_picture(2560, 1440));
        assert!(!level.fits_picture(4112, 16), "one side too long");
        assert_eq!(level.max_kbps(H264Profile::High), 25_000);
        assert_eq!(level.max_kbps(H264Profile::Main), 20_000);
    }
}
