//! Recipe keys: the name of a part or track under which the store holds it.

use std::collections::BTreeMap;

use reel_common::{Digest, PartSpec, RecipeHasher, RecipeKey, Scan};
use reel_profiles::{DamageRule, Picture, Rate};
use reel_proto::v1;
use reel_store::Source;

use crate::decode::decoder_name;
use crate::demux::ffmpeg_version;
use crate::encoder::{Headers, Settings, Surroundings};
use crate::overlay::Overlay;
use crate::packets::PacketReader;
use crate::picture::FILTER_NAME;
use crate::timeline::{PacketRange, Timeline};
use crate::vmaf::Model;
use crate::{MediaError, deinterlace};

/// The digests of the mezzanine's packets, each read and hashed once.
pub(crate) struct PacketDigests<'a> {
    source: &'a Source,
    index: &'a v1::Index,
    timeline: &'a Timeline,
    reader: Option<PacketReader<'a>>,
    known: BTreeMap<usize, Digest>,
}

impl<'a> PacketDigests<'a> {
    pub(crate) fn new(source: &'a Source, index: &'a v1::Index, timeline: &'a Timeline) -> Self {
        PacketDigests { source, index, timeline, reader: None, known: BTreeMap::new() }
    }

    /// Adds the packets of a range, each with the frame that it is shown as, to a key.
    pub(crate) fn add(&mut self, range: PacketRange, key: &mut RecipeHasher) -> Result<(), MediaError> {
        // Parts ascend, so nothing before this range is asked for again.
        self.known = self.known.split_off(&range.first);
        for number in range.first..range.end {
            if !self.known.contains_key(&number) {
                self.read(PacketRange { first: number, end: range.end })?;
            }
            let shown = self.timeline.picture_at(self.timeline.packets()[number].pts);
            key.number("frame", shown.map_or(-1, |frame| frame as i64));
            key.bytes("packet", &self.known[&number].0);
        }
        Ok(())
    }

    fn read(&mut self, range: PacketRange) -> Result<(), MediaError> {
        let reader = match &mut self.reader {
            Some(reader) => {
                reader.set_range(range);
                reader
            }
            none => none.insert(PacketReader::new(self.source, self.index, self.timeline, range)?),
        };
        while let Some((number, packet)) = reader.next()? {
            self.known.insert(number, Digest::of(packet.data().unwrap_or_default()));
        }
        Ok(())
    }
}

/// The frames that are decoded before those of a part: the longest preroll of all encoders. For each rendition they are the
/// same, since where damage is mended the pictures depend on where decoding began.
pub(crate) const FRAMES_BEFORE: u64 = 36;
/// The frames that are decoded behind those of a part at the least: as many as show that decoding the next part gives the
/// same pictures.
const FRAMES_BEHIND: u64 = 12;

/// The frames that are decoded for a part: `[start, end)` around the part's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Window {
    pub(crate) start: u64,
    pub(crate) end: u64,
}

impl Window {
    /// The window of a part, with what its encoder sees beside it of the frames `seen`.
    pub(crate) fn of(part: &PartSpec, surroundings: Surroundings, seen: (u64, u64)) -> Self {
        Self::around(part.start(), part.end, surroundings, seen)
    }

    /// The window around frames `[start, end)`.
    pub(crate) fn around(start: u64, end: u64, surroundings: Surroundings, seen: (u64, u64)) -> Self {
        Window {
            start: start.saturating_sub(FRAMES_BEFORE).max(seen.0),
            end: (end + surroundings.tail.max(FRAMES_BEHIND)).min(seen.1),
        }
    }

    pub(crate) fn contains(&self, frame: u64) -> bool {
        (self.start..self.end).contains(&frame)
    }
}

/// What goes into the key of a part beside its packets.
pub(crate) struct VideoRecipe<'a> {
    pub(crate) settings: &'a Settings,
    pub(crate) headers: &'a Headers,
    /// What VMAF is measured by.
    pub(crate) vmaf: Option<Model>,
    /// What is done to pictures.
    pub(crate) rules: &'a Picture,
    /// How the mezzanine's lines were taken.
    pub(crate) scan: Scan,
    /// The table by which HDR is made SDR.
    pub(crate) tones: Option<Digest>,
    pub(crate) damage: DamageRule,
    /// Logos over the frames.
    pub(crate) overlays: &'a [Overlay],
}

/// The key of one rendition of one part.
pub(crate) fn video_key(
    digests: &mut PacketDigests<'_>,
    recipe: &VideoRecipe<'_>,
    part: &PartSpec,
    window: Window,
) -> Result<RecipeKey, MediaError> {
    let mut key = RecipeHasher::new("video part 13");
    add_decoder(&mut key, digests.index)?;
    key.text("damage", &format!("{:?}", recipe.damage));
    let rules = recipe.rules;
    let fields = if rules.deinterlaces(recipe.scan) { deinterlace::FILTER_NAME } else { "woven" };
    key.text("fields", fields).text("coded fields", recipe.settings.rendition.scan.name());
    key.text("container's fields", recipe.scan.name());
    for side in [rules.crop.top, rules.crop.bottom, rules.crop.left, rules.crop.right] {
        key.number("crop", side.into());
    }
    key.bytes("tones", recipe.tones.as_ref().map_or(&[], |tones| &tones.0[..]));
    for overlay in recipe.overlays {
        if let Some((start, end)) = overlay.within(window.start, window.end) {
            key.bytes("overlay", &overlay.digest().0);
            key.number("overlay start", start as i64).number("overlay end", end as i64);
        }
    }
    key.text("scaling", FILTER_NAME);
    let size = &recipe.settings.rendition;
    key.number("width", size.width.into()).number("height", size.height.into());
    key.text("colour", &format!("{:?} {:?}", recipe.settings.colour, recipe.settings.hdr10));
    key.text("encoder", &recipe.headers.identification);
    // A rendition's name changes nothing, and what encoders say of their settings is rounded.
    key.text("profile settings", &format!("{:?}", size.rendition.coding));
    key.number("rate factor", recipe.settings.crf_milli.into());
    let Rate { quality: _, maxrate_kbps, bufsize_kbps } = size.rendition.rate;
    for ceiling in [maxrate_kbps, bufsize_kbps] {
        key.number("ceiling", ceiling.map_or(-1, i64::from));
    }
    key.bytes("headers", &recipe.headers.config);
    // It changes no byte of the part, but what its record says.
    if let Some(model) = recipe.vmaf {
        key.text("measured", &model.identification());
    }
    key.text("rate", &recipe.settings.rate.to_string());
    key.number("composition delay", digests.timeline.times().composition_delay());
    add_place(&mut key, digests.timeline, part, window);
    digests.add(digests.timeline.packets_for(window.start, window.end), &mut key)?;
    Ok(key.finish())
}

/// The decoder and the libraries that make pictures of packets.
pub(crate) fn add_decoder(key: &mut RecipeHasher, index: &v1::Index) -> Result<(), MediaError> {
    let video = index.video.as_ref().ok_or_else(|| MediaError::failed("the index has no video stream"))?;
    let setup = video.decoder.clone().unwrap_or_default();
    key.text("codec", &setup.codec).bytes("extradata", &setup.extradata);
    key.text("decoder", &decoder_name(&setup.codec));
    key.number("codec tag", setup.codec_tag.into()).number("reorder", setup.reorder.into());
    key.number("profile", setup.profile.into()).number("level", setup.level.into());
    key.number("bits", setup.bits_per_coded_sample.into()).number("field order", setup.field_order.into());
    let facts = video.facts.clone().unwrap_or_default();
    key.text("pixel format", &facts.pixel_format);
    key.number("coded width", facts.width.into()).number("coded height", facts.height.into());
    key.number("rotation", facts.rotation.into());
    add_libraries(key);
    Ok(())
}

/// The builds of the libraries: fixes between releases change no version number of their own.
pub(crate) fn add_libraries(key: &mut RecipeHasher) {
    for (name, version) in library_versions() {
        key.number(name, version.into());
    }
    key.text("ffmpeg", &ffmpeg_version());
}

/// The versions of the libraries that may change a pixel or a sample, as their own numbers.
pub fn library_versions() -> [(&'static str, u32); 6] {
    // SAFETY: these functions return constants.
    unsafe {
        use ffmpeg_next::ffi;
        [
            ("libavcodec", ffi::avcodec_version()),
            ("libavfilter", ffi::avfilter_version()),
            ("libavformat", ffi::avformat_version()),
            ("libavutil", ffi::avutil_version()),
            ("libswscale", ffi::swscale_version()),
            ("libswresample", ffi::swresample_version()),
        ]
    }
}

/// Where the part lies: its segments, its window, and the times of its frames.
fn add_place(key: &mut RecipeHasher, timeline: &Timeline, part: &PartSpec, window: Window) {
    let times = timeline.times();
    key.number("timescale", times.timescale().into());
    key.number("first segment", part.first_segment as i64);
    for frame in window.start..window.end {
        // Where the rate is conformed, frames and pictures have numbers of their own.
        let picture = timeline.picture_of(frame);
        if picture != frame {
            key.number("frame", frame as i64).number("picture", picture as i64);
        }
    }
    for start in &part.segment_starts {
        key.number("segment", *start as i64);
    }
    key.number("end", part.end as i64);
    key.number("window start", window.start as i64).number("window end", window.end as i64);
    // A filter sees fewer pictures at the edge of a span.
    let (first, last) = timeline.pictures_for(window.start, window.end);
    key.number("first picture", first as i64).number("last picture", last as i64);
    // With a constant rate, the rate and the frame numbers say it all.
    if times.constant_rate().is_none() {
        for frame in window.start..=window.end {
            key.number("time", times.ticks(frame));
        }
    }
}
