//! Exact decoding of a run of frames: begun at the random access point before it, told apart by PTS, complete or
//! refused.

use std::ffi::{CStr, CString};
use std::ptr::null;

use ffmpeg_next as ff;
use ffmpeg_next::ffi;
use reel_profiles::DamageRule;
use reel_proto::v1;
use reel_store::Source;

use crate::packets::PacketReader;
use crate::timeline::Timeline;
use crate::{MediaError, facts, log};

/// Says why a codec, by libav's name, cannot be decoded here.
pub(crate) fn check_decoder(codec: &str) -> Result<(), String> {
    decoder_id(codec).and_then(ff::decoder::find).map(|_| ()).ok_or_else(|| {
        format!("its video codec `{codec}` has no decoder here: convert it to a codec that libav decodes")
    })
}

/// The decoder that libav picks for a codec.
pub(crate) fn decoder_name(codec: &str) -> String {
    let decoder = decoder_id(codec).and_then(ff::decoder::find);
    decoder.map(|decoder| decoder.name().to_owned()).unwrap_or_default()
}

fn decoder_id(codec: &str) -> Option<ff::codec::Id> {
    let name = CString::new(codec).ok()?;
    // SAFETY: the name ends in zero; the function returns a static descriptor or null.
    unsafe {
        let descriptor = ffi::avcodec_descriptor_get_by_name(name.as_ptr());
        (!descriptor.is_null()).then(|| (*descriptor).id.into())
    }
}

/// The codecs that can be decoded here, by libav's names.
pub fn decoders() -> Vec<String> {
    let mut names = Vec::new();
    // SAFETY: the function begins at null and ends with it; descriptors and their names, which end in zero, are static.
    unsafe {
        let mut descriptor = ffi::avcodec_descriptor_next(null());
        while !descriptor.is_null() {
            if ff::decoder::find((*descriptor).id.into()).is_some() {
                names.push(CStr::from_ptr((*descriptor).name).to_string_lossy().into_owned());
            }
            descriptor = ffi::avcodec_descriptor_next(descriptor);
        }
    }
    names
}

/// How a decoder uses the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Speed {
    /// One thread, every filter on: what is encoded.
    Exact,
    /// Without the deblocking filter where no other picture depends on it: for comparing pictures at low resolution.
    Rough,
}

/// Opens a decoder that gives the same pictures on every machine.
pub(crate) fn open_decoder(
    setup: &v1::DecoderSetup,
    facts: Option<&v1::VideoFacts>,
    speed: Speed,
) -> Result<ff::decoder::Video, MediaError> {
    crate::demux::start_libav();
    let codec = decoder_id(&setup.codec).and_then(ff::decoder::find);
    let codec = codec.ok_or_else(|| MediaError::invalid(format!("no decoder for `{}`", setup.codec)))?;
    let mut context = ff::codec::Context::new_with_codec(codec);
    // SAFETY: the context was just made and is not open yet; extradata is allocated by libav with the padding that
    // it asks for and is freed with the context.
    unsafe {
        let raw = &mut *context.as_mut_ptr();
        raw.codec_tag = setup.codec_tag;
        raw.profile = setup.profile;
        raw.level = setup.level;
        raw.bits_per_coded_sample = setup.bits_per_coded_sample as i32;
        raw.has_b_frames = setup.reorder as i32;
        raw.field_order = crate::demux::field_order(setup.field_order);
        if let Some(facts) = facts {
            raw.width = facts.width as i32;
            raw.height = facts.height as i32;
        }
        raw.thread_count = 1;
        raw.flags |= ffi::AV_CODEC_FLAG_BITEXACT as i32;
        raw.idct_algo = ffi::FF_IDCT_SIMPLE;
        raw.err_recognition = ffi::AV_EF_CRCCHECK | ffi::AV_EF_BITSTREAM | ffi::AV_EF_BUFFER;
        if speed == Speed::Rough {
            raw.skip_loop_filter = ffi::AVDiscard::AVDISCARD_NONREF;
        }
        if !setup.extradata.is_empty() {
            let padded = setup.extradata.len() + ffi::AV_INPUT_BUFFER_PADDING_SIZE as usize;
            let copy = ffi::av_mallocz(padded).cast::<u8>();
            if copy.is_null() {
                return Err(MediaError::failed("no memory for a decoder"));
            }
            copy.copy_from_nonoverlapping(setup.extradata.as_ptr(), setup.extradata.len());
            raw.extradata = copy;
            raw.extradata_size = setup.extradata.len() as i32;
        }
    }
    let opened = context.decoder().open_as(codec);
    opened.and_then(|opened| opened.video()).map_err(|error| {
        MediaError::invalid(format!("the decoder for `{}` does not accept this stream: {error}", setup.codec))
    })
}

/// A decoder for the pictures of a mezzanine.
fn open_decoder_of(index: &v1::Index, speed: Speed) -> Result<ff::decoder::Video, MediaError> {
    let lacks = |what: &str| MediaError::failed(format!("the index has no {what}"));
    let video = index.video.as_ref().ok_or_else(|| lacks("video stream"))?;
    let setup = video.decoder.as_ref().ok_or_else(|| lacks("decoder setup"))?;
    open_decoder(setup, video.facts.as_ref(), speed)
}

/// A picture of a mezzanine.
pub(crate) struct DecodedPicture {
    /// Its number, in the order in which they are shown.
    pub(crate) number: u64,
    pub(crate) picture: ff::frame::Video,
    /// Whether it did not decode, and another stands for it.
    pub(crate) mended: bool,
}

/// Decodes pictures `[next, end)` of a mezzanine, each once and in order.
pub(crate) struct PictureReader<'a> {
    source: &'a Source,
    index: &'a v1::Index,
    speed: Speed,
    timeline: &'a Timeline,
    packets: PacketReader<'a>,
    decoder: ff::decoder::Video,
    next: u64,
    end: u64,
    drained: bool,
    /// Where decoding begins, while what lies before the first picture that may be looked at was not decoded.
    lead: Option<u64>,
    /// Pictures before this one refer to damaged ones that may not be looked at.
    good_from: u64,
    damage: DamageRule,
    last_good: Option<ff::frame::Video>,
    /// A picture that came out while pictures before it were missing.
    ahead: Option<(u64, ff::frame::Video)>,
    repeated: u64,
    faults: Faults,
}

/// The packets at which a decoder has told of damage, where it does not mark the picture.
#[derive(Default)]
struct Faults {
    /// Whether signs of damage are taken for damage of the picture: of decoders that conceal it without a mark.
    counted: bool,
    /// PTS of the packet that was sent last.
    sent: i64,
    /// PTS of packets that did not decode without an error, as far as their pictures have not come out.
    packets: Vec<i64>,
}

impl Faults {
    fn of_codec(codec: &str) -> Self {
        Faults { counted: ["ffv1", "mjpeg"].contains(&codec), ..Faults::default() }
    }

    /// Lets the decoder work on the packet that was sent last, and hears what it tells meanwhile.
    fn watch<T>(&mut self, work: impl FnOnce() -> T) -> T {
        let before = log::signs_of_damage();
        let result = work();
        if self.counted && log::signs_of_damage() != before && self.packets.last() != Some(&self.sent) {
            self.packets.push(self.sent);
        }
        result
    }

    /// Whether the picture of a packet has a fault.
    fn take(&mut self, pts: i64) -> bool {
        let found = self.packets.iter().position(|packet| *packet == pts);
        found.map(|at| self.packets.swap_remove(at)).is_some()
    }
}

impl<'a> PictureReader<'a> {
    /// A reader of pictures `[start, end)`, which must not be empty.
    pub(crate) fn new(
        source: &'a Source,
        index: &'a v1::Index,
        timeline: &'a Timeline,
        (start, end): (u64, u64),
        damage: DamageRule,
        speed: Speed,
    ) -> Result<Self, MediaError> {
        let decoder = open_decoder_of(index, speed)?;
        let packets = PacketReader::new(source, index, timeline, timeline.packets_of(start, end))?;
        // What stands in for a damaged frame must not depend on where else decoding might have begun.
        let first_seen = timeline.pictures_start();
        // Nobody else would find damage in what lies before a span that was cut out.
        let begins = start == first_seen || damage != DamageRule::Refuse;
        let from = if begins { timeline.decodable_before(start) } else { start };
        let start = from.max(first_seen);
        Ok(PictureReader {
            source,
            index,
            speed,
            timeline,
            packets,
            decoder,
            next: start,
            end,
            drained: false,
            lead: (from < start).then_some(from),
            good_from: 0,
            damage,
            last_good: None,
            ahead: None,
            repeated: 0,
            faults: Faults::of_codec(&facts::video(index)?.codec),
        })
    }

    /// Lets the reader go on to picture `end`. Must be called before the last picture was asked for.
    pub(crate) fn extend(&mut self, end: u64) -> Result<(), MediaError> {
        if end <= self.end {
            return Ok(());
        }
        self.end = end;
        if self.drained {
            // Its decoder was told that no more comes: another begins at the random access point.
            self.decoder = open_decoder_of(self.index, self.speed)?;
            self.packets.set_range(self.timeline.packets_of(self.next, end));
            (self.drained, self.ahead) = (false, None);
        } else {
            self.packets.extend(self.timeline.packets_of(end - 1, end).end);
        }
        Ok(())
    }

    /// The number of the next picture.
    pub(crate) fn next_number(&self) -> u64 {
        self.next
    }

    /// The next picture, or `None` after the last.
    pub(crate) fn next(&mut self) -> Result<Option<DecodedPicture>, MediaError> {
        if self.next >= self.end {
            return Ok(None);
        }
        if let Some(from) = self.lead.take() {
            self.decode_lead(from)?;
        }
        let wanted = self.next;
        if self.ahead.is_none() {
            self.ahead = self.receive()?;
        }
        let (picture, mended) = match self.ahead.take() {
            Some((number, picture)) if number == wanted => (picture, false),
            other => {
                self.ahead = other;
                if self.last_good.is_none() && self.timeline.pictures_start() > 0 && self.good_from <= wanted
                {
                    // What is concealed at the beginning of a span is made of what was cut out before it.
                    self.good_from = self.timeline.access_after(wanted);
                    self.ahead.take_if(|(number, _)| *number < self.good_from);
                    if self.ahead.is_none() && self.damage != DamageRule::Refuse {
                        self.ahead = self.receive()?;
                    }
                }
                (self.mend(wanted)?, true)
            }
        };
        if self.damage != DamageRule::Refuse {
            self.last_good = Some(picture.clone());
        }
        self.next += 1;
        Ok(Some(DecodedPicture { number: wanted, picture, mended }))
    }

    /// Decodes the pictures from `from` up to the first that may be looked at, which refers to them. Where one of them is
    /// damaged, what follows is no better, up to the next random access point.
    fn decode_lead(&mut self, from: u64) -> Result<(), MediaError> {
        let first = std::mem::replace(&mut self.next, from);
        let mut lost = None;
        while self.next < first {
            match self.receive()? {
                Some((number, _)) if number == self.next => self.next += 1,
                other => {
                    lost = lost.or(Some(self.next));
                    self.next = other.as_ref().map_or(first, |(number, _)| (number + 1).min(first));
                    self.ahead = other.filter(|(number, _)| *number >= first);
                }
            }
        }
        self.next = first;
        match lost {
            None => Ok(()),
            Some(number) if self.damage == DamageRule::Refuse => Err(self.is_damaged_at(number)),
            Some(_) => {
                self.good_from = self.timeline.access_after(first);
                self.ahead.take_if(|(number, _)| *number < self.good_from);
                Ok(())
            }
        }
    }

    /// The next good picture of the range that the decoder gives, at or after `self.next`.
    fn receive(&mut self) -> Result<Option<(u64, ff::frame::Video)>, MediaError> {
        loop {
            let mut picture = ff::frame::Video::empty();
            let received = self.faults.watch(|| self.decoder.receive_frame(&mut picture));
            match received {
                Ok(()) => {
                    // Never libav's best guess, which may turn to decode times.
                    let pts = picture.pts();
                    let faulty = pts.is_some_and(|pts| self.faults.take(pts));
                    let number = pts.and_then(|pts| self.timeline.picture_at(pts));
                    let range = self.next.max(self.good_from)..self.end;
                    let wanted = number.filter(|number| range.contains(number));
                    if let Some(number) = wanted.filter(|_| !faulty && !is_damaged(&picture)) {
                        return Ok(Some((number, picture)));
                    }
                }
                Err(ff::Error::Other { errno }) if errno == ff::ffi::EAGAIN => self.feed()?,
                Err(ff::Error::Eof) => return Ok(None),
                // The picture is lost; which one is seen by what does not come out.
                Err(_) if !self.drained => self.feed()?,
                Err(_) => {}
            }
        }
    }

    fn feed(&mut self) -> Result<(), MediaError> {
        // A packet that the decoder refuses leaves a gap, which is found when its picture is due.
        match self.packets.next()? {
            Some((_, packet)) => {
                self.faults.sent = packet.pts().unwrap_or_default();
                self.faults.watch(|| self.decoder.send_packet(&packet)).unwrap_or(());
            }
            None => {
                self.drained = true;
                self.faults.watch(|| self.decoder.send_eof()).unwrap_or(());
            }
        }
        Ok(())
    }

    /// Stands in for a picture that did not decode, as far as the profile allows.
    fn mend(&mut self, number: u64) -> Result<ff::frame::Video, MediaError> {
        let allowed = match self.damage {
            DamageRule::Refuse => 0,
            DamageRule::Allow(frames) => u64::from(frames),
            DamageRule::Repeat => u64::MAX,
        };
        self.repeated += 1;
        let good = self.last_good.clone().or_else(|| self.ahead.as_ref().map(|(_, picture)| picture.clone()));
        match good.filter(|_| self.repeated <= allowed) {
            Some(picture) => Ok(picture),
            None => Err(self.is_damaged_at(number)),
        }
    }

    fn is_damaged_at(&self, number: u64) -> MediaError {
        MediaError::invalid(format!(
            "{} is damaged: frame {number} at {:.3} s does not decode; deliver it again, or allow damage in the profile",
            self.source.location(),
            self.timeline.picture_seconds(number)
        ))
    }
}

/// Whether libav concealed an error in a picture.
fn is_damaged(picture: &ff::frame::Video) -> bool {
    picture.is_corrupt() || picture.has_decode_errors()
}
