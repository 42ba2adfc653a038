//! PSNR and SSIM of luma, for an encoder that does not tell them.

use crate::measure::words;

/// Samples of an edge of the blocks that SSIM is summed over; a window is two by two of them.
const BLOCK: usize = 4;
/// Samples of a window.
const WINDOW: i64 = 64;

/// What SSIM is made of: the sums of both pictures, of both their squares, and of their products.
type Sums<T> = [T; 4];

/// PSNR in decibels and SSIM of two pictures, which give their samples line by line. SSIM is that of Wang et al. (2004)
/// over windows of 8x8 samples, 4 apart, as ffmpeg's filter has it.
pub(super) fn compare<'a>(
    lines: impl Iterator<Item = (&'a [u8], &'a [u8])>,
    bytes: usize,
    width: usize,
    bits: u32,
) -> (f64, f64) {
    let peak = f64::from((1u32 << bits) - 1);
    let (mut squared_errors, mut samples) = (0, 0);
    // Sums of the samples above each other first, one kind beside the other: many are added at once.
    let mut columns: Sums<Vec<u32>> = std::array::from_fn(|_| vec![0; width]);
    let (mut above, mut ssim, mut windows) = (Vec::new(), 0.0, 0usize);
    for (number, (a, b)) in (1..).zip(lines) {
        match bytes {
            1 => {
                add(&mut columns, a.iter().map(|sample| u32::from(*sample)), b.iter().map(|b| u32::from(*b)))
            }
            _ => add(&mut columns, words(a).map(u32::from), words(b).map(u32::from)),
        }
        samples += width;
        if number % BLOCK == 0 {
            let blocks: Vec<Sums<u32>> = (0..width / BLOCK).map(|block| sum(&columns, block)).collect();
            for (above, below) in above.windows(2).zip(blocks.windows(2)) {
                ssim += of_window([above[0], above[1], below[0], below[1]], peak);
                windows += 1;
            }
            above = blocks;
            squared_errors += errors(&columns);
            columns.iter_mut().for_each(|sums| sums.fill(0));
        }
    }
    let psnr = match squared_errors + errors(&columns) {
        0 => 100.0,
        errors => (10.0 * (peak * peak * samples as f64 / errors as f64).log10()).min(100.0),
    };
    (psnr, ssim / windows.max(1) as f64)
}

/// Adds a line of each picture.
fn add(columns: &mut Sums<Vec<u32>>, a: impl Iterator<Item = u32>, b: impl Iterator<Item = u32>) {
    let [of_a, of_b, squares, products] = columns;
    let sums = of_a.iter_mut().zip(of_b).zip(squares.iter_mut().zip(products));
    for (((of_a, of_b), (squares, products)), (a, b)) in sums.zip(a.zip(b)) {
        *of_a += a;
        *of_b += b;
        *squares += a * a + b * b;
        *products += a * b;
    }
}

/// The sums over a block.
fn sum(columns: &Sums<Vec<u32>>, block: usize) -> Sums<u32> {
    columns.each_ref().map(|sums| sums[block * BLOCK..][..BLOCK].iter().sum())
}

/// Sum of the squared differences.
fn errors([_, _, squares, products]: &Sums<Vec<u32>>) -> u64 {
    squares.iter().zip(products).map(|(squares, products)| u64::from(squares - 2 * products)).sum()
}

/// SSIM of a window, of which the blocks are given.
fn of_window(blocks: [Sums<u32>; 4], peak: f64) -> f64 {
    let [a, b, squares, products]: Sums<i64> =
        std::array::from_fn(|kind| blocks.iter().map(|sums| i64::from(sums[kind])).sum());
    // The constants of the paper, K1 = 0.01 and K2 = 0.03, for sums instead of means.
    let c1 = (0.01 * peak).powi(2) * WINDOW as f64;
    let c2 = (0.03 * peak).powi(2) * (WINDOW * (WINDOW - 1)) as f64;
    let variances = squares * WINDOW - a * a - b * b;
    let covariance = products * WINDOW - a * b;
    let likeness = ((2 * a * b) as f64 + c1) * ((2 * covariance) as f64 + c2);
    likeness / (((a * a + b * b) as f64 + c1) * (variances as f64 + c2))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// PSNR and SSIM of 16x16 samples against those that have become others.
    fn changed(change: impl Fn(u8, usize) -> u8) -> (f64, f64) {
        let original: Vec<u8> = (0..=255u8).map(|at| at.wrapping_mul(37)).collect();
        let other: Vec<u8> = original.iter().zip(0..).map(|(sample, at)| change(*sample, at)).collect();
        compare(original.chunks(16).zip(other.chunks(16)), 1, 16, 8)
    }

    #[test]
    fn equal_pictures_are_as_like_as_can_be() {
        assert_eq!(changed(|sample, _| sample), (100.0, 1.0));
    }

    #[test]
    fn what_is_unlike_lowers_both() {
        let (psnr, ssim) = changed(|sample, at| sample ^ u8::from(at == 0));
        // One of 256 samples is off by one.
        assert!((psnr - (20.0 * 255f64.log10() + 10.0 * 256f64.log10())).abs() < 1e-9 && ssim < 1.0);
        let (psnr, ssim) = changed(|sample, _| 255 - sample);
        assert!(psnr < 8.0 && ssim < -0.9, "{psnr} {ssim}");
    }

    #[test]
    fn ten_bits_are_compared_as_eight_are() {
        let words = |picture: &[u8]| -> Vec<u8> {
            picture.iter().flat_map(|sample| (u16::from(*sample) * 4).to_le_bytes()).collect()
        };
        let original: Vec<u8> = (0..=255u8).map(|at| at.wrapping_mul(37)).collect();
        let other: Vec<u8> = original.iter().map(|sample| sample / 8 * 8).collect();
        let eight = compare(original.chunks(16).zip(other.chunks(16)), 1, 16, 8);
        let (original, other) = (words(&original), words(&other));
        let ten = compare(original.chunks(32).zip(other.chunks(32)), 2, 16, 10);
        // Four times 255 is a little less than 1023.
        assert!((eight.0 - ten.0).abs() < 0.03 && (eight.1 - ten.1).abs() < 1e-4, "{eight:?} {ten:?}");
    }
}
