//! The key of a title's still pictures: the frames that they show with the packets that those are made of, and all that is
//! done to them.

use reel_common::{RecipeHasher, RecipeKey};
use reel_proto::v1;

use super::sheet::{CODER, POSTER_QUALITY, SHEET_QUALITY};
use super::stills::{Footage, Title};
use super::{Plan, milliseconds};
use crate::picture::FILTER_NAME;
use crate::recipe::{PacketDigests, add_decoder};
use crate::{MediaError, deinterlace};

/// Reads what the stills are made of; `progress` is told thumbnails.
pub(super) fn key(
    title: &Title<'_>,
    plan: &Plan,
    poster: Option<&v1::ImagePoster>,
    progress: &mut dyn FnMut(u64),
) -> Result<RecipeKey, MediaError> {
    let mut key = RecipeHasher::new("images 1");
    let mut number = 0;
    add_frames(&mut key, title, plan, &plan.thumbnails, &mut || {
        number += 1;
        progress(number);
    })?;
    if let Some(poster) = poster {
        key.number("poster width", poster.width.into()).number("poster height", poster.height.into());
        key.number("poster time", poster.at_ms as i64);
        add_frames(&mut key, title, plan, &[poster.frame], &mut || {})?;
    }
    Ok(key.finish())
}

fn add_frames(
    key: &mut RecipeHasher,
    title: &Title<'_>,
    plan: &Plan,
    frames: &[u64],
    done: &mut dyn FnMut(),
) -> Result<(), MediaError> {
    for frame in frames {
        key.number("time", milliseconds(&title.times, *frame) as i64);
    }
    title.runs(frames, &mut |footage, own| {
        add_decoder(key, footage.index)?;
        add_settings(key, title, footage, plan);
        let overlays = footage.overlays()?;
        let mut digests = PacketDigests::new(footage.source, footage.index, &footage.timeline);
        for frame in own {
            for overlay in overlays.iter().filter(|overlay| overlay.within(frame, frame + 1).is_some()) {
                key.bytes("overlay", &overlay.digest().0);
            }
            let timeline = &footage.timeline;
            key.number("still", frame as i64).number("picture", timeline.picture_of(frame) as i64);
            let (first, last) = timeline.pictures_for(frame, frame + 1);
            key.number("first picture", first as i64).number("last picture", last as i64);
            digests.add(timeline.packets_for(frame, frame + 1), key)?;
            done();
        }
        Ok(())
    })
}

fn add_settings(key: &mut RecipeHasher, title: &Title<'_>, footage: &Footage<'_>, plan: &Plan) {
    key.text("damage", &format!("{:?}", title.profile().admission.damage));
    let rules = footage.rules;
    let fields = if rules.deinterlaces(footage.facts.scan) { deinterlace::FILTER_NAME } else { "woven" };
    key.text("fields", fields).text("container's fields", footage.facts.scan.name());
    for side in [rules.crop.top, rules.crop.bottom, rules.crop.left, rules.crop.right] {
        key.number("crop", side.into());
    }
    key.bytes("tones", footage.tones.as_ref().map(|tones| tones.digest()).as_ref().map_or(&[], |d| &d.0[..]));
    key.number("matrix", footage.matrix().into());
    key.number("full range", footage.facts.colour.full_range.into());
    key.text("scaling", FILTER_NAME).text("coder", CODER);
    key.number("sheet quality", SHEET_QUALITY.into()).number("poster quality", POSTER_QUALITY.into());
    let images = plan.resolved.images;
    key.number("width", plan.resolved.width.into()).number("height", images.height.into());
    key.number("columns", images.columns.into()).number("rows", images.rows.into());
    key.number("every", images.every_ms.into());
}
