//! Reading a run of video packets as the index lists them: by position where that is enough, else through the
//! demuxer, whose seek is never trusted.

use ffmpeg_next as ff;
use ffmpeg_next::ffi;
use reel_proto::v1;
use reel_store::Source;

use crate::MediaError;
use crate::demux::Demuxer;
use crate::timeline::{Packet, PacketRange, Timeline};

/// A packet larger than this is a damaged table: 8K intra frames stay well below.
const MAX_PACKET_BYTES: u64 = 512 << 20;
/// Packets that a demuxer may give after a seek before one of them must be known from the index.
const MAX_STRANGERS: usize = 5000;

/// Gives the packets of one range after another.
pub(crate) struct PacketReader<'a> {
    source: &'a Source,
    timeline: &'a Timeline,
    stream: usize,
    demuxer: Option<Demuxer>,
    /// The next packet that the demuxer will give.
    at: Option<usize>,
    /// The last position that it told.
    position: i64,
    range: PacketRange,
}

impl<'a> PacketReader<'a> {
    /// A reader of `index`'s packets in `source`.
    pub(crate) fn new(
        source: &'a Source,
        index: &v1::Index,
        timeline: &'a Timeline,
        range: PacketRange,
    ) -> Result<Self, MediaError> {
        let facts = index.video.as_ref().and_then(|video| video.facts.as_ref());
        let stream = facts.map_or(0, |facts| facts.stream as usize);
        let demuxer = match index.addressable {
            true => None,
            false => {
                let mut demuxer = Demuxer::open(source)?;
                demuxer.keep_only(&[stream]);
                Some(demuxer)
            }
        };
        Ok(PacketReader { source, timeline, stream, demuxer, at: None, position: -1, range })
    }

    /// Goes on with another range.
    pub(crate) fn set_range(&mut self, range: PacketRange) {
        self.range = range;
    }

    /// Lets the range end later.
    pub(crate) fn extend(&mut self, end: usize) {
        self.range.end = self.range.end.max(end);
    }

    /// The next packet with its number, or `None` at the end of the range. Its times are those of the index.
    pub(crate) fn next(&mut self) -> Result<Option<(usize, ff::Packet)>, MediaError> {
        let number = self.range.first;
        if number >= self.range.end {
            return Ok(None);
        }
        let listed = self.timeline.packets()[number];
        let mut packet = match &self.demuxer {
            None => self.read_at_position(&listed)?,
            Some(_) => self.read_from_demuxer(number)?,
        };
        // Some decoders take a packet without it for one that depends on the picture before (libavcodec's PNG does).
        if self.timeline.random_access_before(number) == number {
            packet.set_flags(packet.flags() | ff::packet::Flags::KEY);
        }
        packet.set_pts(Some(listed.pts));
        packet.set_dts(Some(listed.dts));
        self.range.first += 1;
        Ok(Some((number, packet)))
    }

    fn read_at_position(&self, listed: &Packet) -> Result<ff::Packet, MediaError> {
        if listed.size > MAX_PACKET_BYTES {
            return Err(MediaError::invalid(format!(
                "{} lists an absurdly large packet",
                self.source.location()
            )));
        }
        let mut packet = ff::Packet::new(listed.size as usize);
        let data = packet.data_mut().ok_or_else(|| MediaError::failed("no memory for a packet"))?;
        self.source.read_at(listed.position as u64, data)?;
        Ok(packet)
    }

    fn read_from_demuxer(&mut self, number: usize) -> Result<ff::Packet, MediaError> {
        if self.at != Some(number) {
            return self.seek(number);
        }
        let packet = self.demux()?.ok_or_else(|| self.differs(number))?;
        match self.is_listed(&packet, number) {
            true => {
                self.at = Some(number + 1);
                Ok(packet)
            }
            false => Err(self.differs(number)),
        }
    }

    /// Finds packet `number`: first near it by the container's own seek, further back if that comes out behind it,
    /// at last from the beginning.
    fn seek(&mut self, number: usize) -> Result<ff::Packet, MediaError> {
        let mut from = Some(number);
        loop {
            match from {
                Some(target) => self.seek_container(target)?,
                None => self.reopen()?,
            }
            if let Some(packet) = self.read_up_to(number)? {
                self.at = Some(number + 1);
                return Ok(packet);
            }
            from = match from {
                Some(target) if target > 0 => {
                    Some(self.timeline.random_access_before(target - 1).min(target.saturating_sub(200)))
                }
                Some(_) => None,
                None => return Err(self.differs(number)),
            };
        }
    }

    fn seek_container(&mut self, number: usize) -> Result<(), MediaError> {
        let listed = self.timeline.packets()[number];
        let Some(demuxer) = &mut self.demuxer else { return Ok(()) };
        // Program and transport streams have no index, so libav would search them by time; the position is known.
        let by_byte = demuxer.container.starts_with("mpeg") && listed.position >= 0;
        let (target, flags) = match by_byte {
            true => (listed.position, ffi::AVSEEK_FLAG_BYTE),
            false => (listed.dts.min(listed.pts), ffi::AVSEEK_FLAG_BACKWARD),
        };
        // SAFETY: the context is open and the stream index is one of its streams, as the index says.
        let result =
            unsafe { ffi::av_seek_frame(demuxer.input.as_mut_ptr(), self.stream as i32, target, flags) };
        match result >= 0 {
            true => Ok(()),
            // A container that cannot seek is read from its beginning.
            false => self.reopen(),
        }
    }

    fn reopen(&mut self) -> Result<(), MediaError> {
        let mut demuxer = Demuxer::open(self.source)?;
        demuxer.keep_only(&[self.stream]);
        self.demuxer = Some(demuxer);
        Ok(())
    }

    /// Reads on until packet `number`; `None` when the demuxer came out behind it.
    fn read_up_to(&mut self, number: usize) -> Result<Option<ff::Packet>, MediaError> {
        let mut strangers = 0;
        let mut next: Option<usize> = None;
        while let Some(packet) = self.demux()? {
            let found = match next {
                Some(expected) if self.is_listed(&packet, expected) => Some(expected),
                _ => self.find(&packet),
            };
            match found {
                Some(found) if found == number => return Ok(Some(packet)),
                Some(found) if found > number => return Ok(None),
                Some(found) => next = Some(found + 1),
                // The first packets after a seek may be cut or be of no use; none of them is decoded.
                None => strangers += 1,
            }
            if strangers > MAX_STRANGERS {
                return Ok(None);
            }
        }
        Ok(None)
    }

    fn demux(&mut self) -> Result<Option<ff::Packet>, MediaError> {
        let Some(demuxer) = &mut self.demuxer else { return Ok(None) };
        while let Some(mut packet) = demuxer.read()? {
            if packet.stream() == self.stream && packet.size() > 0 {
                // Further pictures of one PES packet have no position of their own.
                match packet.position() {
                    position if position >= 0 => self.position = position as i64,
                    _ => packet.set_position(self.position as isize),
                }
                return Ok(Some(packet));
            }
        }
        Ok(None)
    }

    fn is_listed(&self, packet: &ff::Packet, number: usize) -> bool {
        let listed = self.timeline.packets().get(number);
        listed.is_some_and(|listed| {
            listed.size == packet.size() as u64 && listed.position == packet.position() as i64
        })
    }

    /// The number of the packet at this position and of this size. Several packets may share a position (pictures in
    /// one PES packet); then the size must tell, and where it does not, the packet is passed over.
    fn find(&self, packet: &ff::Packet) -> Option<usize> {
        let packets = self.timeline.packets();
        let position = packet.position() as i64;
        let same = |listed: &&Packet| listed.position == position && listed.size == packet.size() as u64;
        let first = packets.partition_point(|listed| listed.position < position);
        let nearby =
            packets[first.min(packets.len())..].iter().take_while(|listed| listed.position == position);
        let matches = nearby.filter(same).count();
        (matches == 1)
            .then(|| packets[first..].iter().position(|listed| same(&listed)).map(|at| first + at))?
    }

    fn differs(&self, number: usize) -> MediaError {
        MediaError::failed(format!(
            "{} does not give video packet {number} as it was indexed: it changed, or its container cannot be read twice alike",
            self.source.location()
        ))
    }
}
