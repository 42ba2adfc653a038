//! The key of a title's still pictures: the frames that they show with the packets that those are made of, and all that is
//! done to them.

use reel_common::{RecipeHasher, RecipeKey};
use reel_proto::v1;

use super::sheet::{CODER, POSTER_QUALITY, SHEET_QUALITY};
use super::stills::Title;
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
    add_decoder(&mut key, title.index())?;
    add_settings(&mut key, title, plan);
    let mut digests = PacketDigests::new(title.source(), title.index(), &title.timeline);
    for (number, frame) in (1..).zip(&plan.thumbnails) {
        add_frame(&mut key, title, &mut digests, *frame)?;
        progress(number);
    }
    if let Some(poster) = poster {
        key.number("poster width", poster.width.into()).number("poster height", poster.height.into());
        let mut digests = PacketDigests::new(title.source(), title.index(), &title.timeline);
        add_frame(&mut key, title, &mut digests, poster.frame)?;
    }
    Ok(key.finish())
}

fn add_settings(key: &mut RecipeHasher, title: &Title<'_>, plan: &Plan) {
    key.text("damage", &format!("{:?}", title.profile().admission.damage));
    let rules = title.rules;
    let fields = if rules.deinterlaces(title.facts.scan) { deinterlace::FILTER_NAME } else { "woven" };
    key.text("fields", fields).text("container's fields", title.facts.scan.name());
    for side in [rules.crop.top, rules.crop.bottom, rules.crop.left, rules.crop.right] {
        key.number("crop", side.into());
    }
    key.bytes("tones", title.tones.as_ref().map(|tones| tones.digest()).as_ref().map_or(&[], |d| &d.0[..]));
    key.number("matrix", title.matrix().into());
    key.number("full range", title.facts.colour.full_range.into());
    key.text("scaling", FILTER_NAME).text("coder", CODER);
    key.number("sheet quality", SHEET_QUALITY.into()).number("poster quality", POSTER_QUALITY.into());
    let images = plan.resolved.images;
    key.number("width", plan.resolved.width.into()).number("height", images.height.into());
    key.number("columns", images.columns.into()).number("rows", images.rows.into());
    key.number("every", images.every_ms.into());
}

fn add_frame(
    key: &mut RecipeHasher,
    title: &Title<'_>,
    digests: &mut PacketDigests<'_>,
    frame: u64,
) -> Result<(), MediaError> {
    let timeline = &title.timeline;
    key.number("still", frame as i64).number("picture", timeline.picture_of(frame) as i64);
    key.number("time", milliseconds(timeline, frame) as i64);
    digests.add(timeline.packets_for(frame, frame + 1), key)
}
