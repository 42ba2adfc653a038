//! The proof of stills: a JPEG file, decoded again, shows in each place the frame that belongs there.

use ffmpeg_next as ff;
use reel_proto::v1;

use super::areas::{AREAS, difference_ppm, of_jpeg};
use super::sheet::Layout;
use crate::MediaError;
use crate::decode::{Speed, open_decoder};

/// The largest mean difference of a still to its frame: three levels of 255, several times what its coding costs.
const MAX_DIFFERENCE_PPM: u64 = 12_000;
/// By how much a still may be nearer to another frame of its sheet than to its own: what coding may do to frames that are
/// all but the same.
const TIE_PPM: u64 = 2_000;

/// Holds a file against its frames, given by their areas; gives the largest difference. `label` names it in messages.
pub(super) fn check(label: &str, jpeg: &[u8], layout: Layout, frames: &[u8]) -> Result<u64, MediaError> {
    let wrong = |what: String| MediaError::failed(format!("{label} {what}"));
    let frames: Vec<&[u8]> = frames.chunks(AREAS).collect();
    let picture = decode(jpeg).map_err(|error| wrong(format!("does not decode: {}", error.message)))?;
    if (picture.width(), picture.height()) != layout.size() {
        let (width, height) = layout.size();
        return Err(wrong(format!(
            "has {}x{} pixels, not {width}x{height}",
            picture.width(),
            picture.height()
        )));
    }
    let mut worst = 0;
    for (number, frame) in frames.iter().enumerate() {
        let shown = of_jpeg(&picture, layout.place(number)).map_err(|error| wrong(error.message))?;
        let own = difference_ppm(&shown, frame);
        let nearest = frames.iter().map(|other| difference_ppm(&shown, other)).min().unwrap_or(own);
        if own > MAX_DIFFERENCE_PPM || own > nearest + TIE_PPM {
            return Err(wrong(format!("does not show its frame in place {number}: it differs by {own} ppm")));
        }
        worst = worst.max(own);
    }
    Ok(worst)
}

fn decode(jpeg: &[u8]) -> Result<ff::frame::Video, MediaError> {
    let broken = |error: ff::Error| MediaError::failed(error.to_string());
    let setup = v1::DecoderSetup { codec: "mjpeg".to_owned(), ..v1::DecoderSetup::default() };
    let mut decoder = open_decoder(&setup, None, Speed::Exact)?;
    decoder.send_packet(&ff::Packet::copy(jpeg)).map_err(broken)?;
    decoder.send_eof().map_err(broken)?;
    let mut picture = ff::frame::Video::empty();
    decoder.receive_frame(&mut picture).map_err(broken)?;
    Ok(picture)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use ff::format::Pixel;

    use super::super::areas::of_picture;
    use super::super::sheet::{SHEET_QUALITY, Sheet};
    use super::*;

    const LAYOUT: Layout = Layout { width: 66, height: 38, columns: 2, rows: 2 };

    /// A picture that gets brighter towards one side, and one that is noise.
    fn picture(kind: u32) -> Arc<ff::frame::Video> {
        let mut picture = ff::frame::Video::new(Pixel::GBRP16LE, LAYOUT.width, LAYOUT.height);
        picture.set_color_space(ff::color::Space::RGB);
        for plane in 0..3 {
            let stride = picture.stride(plane);
            for (y, line) in picture.data_mut(plane).chunks_mut(stride).enumerate() {
                for (x, sample) in line.chunks_exact_mut(2).enumerate() {
                    let value = match kind {
                        0 => x * 900,
                        1 => y * 1600,
                        _ => (x * 7919 + y * 104_729 + plane * 31) * 2_654_435 % 65_536,
                    };
                    sample.copy_from_slice(&(value.min(65_535) as u16).to_le_bytes());
                }
            }
        }
        Arc::new(picture)
    }

    fn sheet(kinds: &[u32]) -> Vec<u8> {
        let mut sheet = Sheet::new(LAYOUT);
        kinds.iter().for_each(|kind| sheet.place(&picture(*kind)));
        sheet.jpeg(SHEET_QUALITY).unwrap()
    }

    fn frames(kinds: &[u32]) -> Vec<u8> {
        kinds.iter().flat_map(|kind| of_picture(&picture(*kind), 0).unwrap()).collect()
    }

    #[test]
    fn a_sheet_shows_its_frames_and_no_others() {
        let made = sheet(&[0, 1, 2]);
        let worst = check("a sheet", &made, LAYOUT, &frames(&[0, 1, 2])).unwrap();
        assert!(worst < 5_000, "{worst}");
        for wrong in [[0, 2, 1], [1, 0, 2], [0, 1, 0]] {
            let error = check("a sheet", &made, LAYOUT, &frames(&wrong)).unwrap_err();
            assert!(error.message.contains("does not show its frame in place"), "{}", error.message);
        }
    }

    #[test]
    fn a_file_that_is_cut_off_or_of_another_size_is_refused() {
        let made = sheet(&[0, 1, 2, 1]);
        assert!(check("a sheet", &made[..made.len() / 2], LAYOUT, &frames(&[0, 1, 2, 1])).is_err());
        assert!(check("a sheet", &[], LAYOUT, &frames(&[0])).is_err());
        let error = check("a sheet", &made, Layout { rows: 1, ..LAYOUT }, &frames(&[0])).unwrap_err();
        assert!(error.message.contains("has 132x76 pixels, not 132x38"), "{}", error.message);
    }

    #[test]
    fn the_bytes_of_a_sheet_are_these() {
        let digest = reel_common::Digest::of(&sheet(&[0, 1, 2])).to_string();
        assert_eq!(digest, "197bf4f8121dac30753ec6a83c60558251fe7c78b9c88ac863c0f0a40399296c");
    }
}
