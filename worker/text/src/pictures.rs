//! Captions that lie in the pictures of a title: triplets of `cc_data()` (ATSC A/53 part 4, CTA-708-E section 4.4).

use reel_common::CaptionChannel;

use crate::cea608::{Cea608, Channel};
use crate::cea708::{self, Cea708};
use crate::document::Collector;
use crate::timecode::frame_ms;
use crate::{Cue, Document, TextError};

/// The captions of a picture: when it is shown, in milliseconds, and its triplets.
pub type Captioned<'a> = (u64, &'a [[u8; 3]]);

/// What a triplet holds, where its flag says that it holds anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// A pair of line 21, of field 1 or 2.
    Field(u8),
    /// Bytes of digital television captions.
    Digital,
}

fn kind(triplet: [u8; 3]) -> Option<Kind> {
    const VALID: u8 = 4;
    match triplet[0] & 3 {
        _ if triplet[0] & VALID == 0 => None,
        field @ (0 | 1) => Some(Kind::Field(field + 1)),
        _ => Some(Kind::Digital),
    }
}

/// Takes the triplets that say anything out of those of the pictures of a title, one after the other.
#[derive(Clone, Debug)]
pub struct Sieve {
    /// For each field whether the pair before it was a control code, which a pair without data keeps apart from another;
    /// at the beginning it may have been.
    after_control: [bool; 2],
}

impl Default for Sieve {
    fn default() -> Self {
        Sieve { after_control: [true; 2] }
    }
}

impl Sieve {
    /// The triplets of the next picture that must be kept. Captions read of what is kept are the same as if nothing was left
    /// out, also where a new sieve begins at any picture.
    pub fn sift(&mut self, triplets: &[[u8; 3]]) -> Vec<[u8; 3]> {
        let says: Vec<bool> = triplets.iter().map(|triplet| self.says(*triplet)).collect();
        // What stands before a pair of its field takes the time of a frame.
        let before_another = |at: usize| {
            let kind = kind(triplets[at]);
            kind.is_some()
                && (at..triplets.len()).any(|next| says[next] && self::kind(triplets[next]) == kind)
        };
        (0..triplets.len()).filter(|at| says[*at] || before_another(*at)).map(|at| triplets[at]).collect()
    }

    /// Whether a triplet has data, or keeps a control code apart from another.
    fn says(&mut self, triplet: [u8; 3]) -> bool {
        let [_, first, second] = triplet.map(|byte| byte & 0x7f);
        match kind(triplet) {
            None => false,
            Some(Kind::Digital) => true,
            Some(Kind::Field(field)) => {
                let before = &mut self.after_control[usize::from(field - 1)];
                let after_control = std::mem::replace(before, (0x10..=0x1f).contains(&first));
                (first, second) != (0, 0) || after_control
            }
        }
    }
}

/// A document of one channel, of pictures in the order in which they are shown. Of several pairs of a field in a picture each
/// is sent a frame of 1001/30 ms after the one before.
///
/// # Errors
/// Captions beyond a limit, or none.
pub fn from_pictures<'a>(
    pictures: impl IntoIterator<Item = Captioned<'a>>,
    channel: CaptionChannel,
) -> Result<Document, TextError> {
    let mut found = Collector::default();
    (1..).zip(cues(pictures, channel)).try_for_each(|(number, cue)| found.add(cue, number))?;
    found.finish()
}

/// The channels that show anything.
pub fn channels<'a>(pictures: impl IntoIterator<Item = Captioned<'a>> + Clone) -> Vec<CaptionChannel> {
    let digital = pictures.clone().into_iter().flat_map(|(_, triplets)| triplets).copied();
    let services = cea708::services(digital.filter(|triplet| kind(*triplet) == Some(Kind::Digital)));
    let all = CaptionChannel::LINE_21.into_iter().chain(services.into_iter().map(CaptionChannel::Service));
    all.filter(|channel| from_pictures(pictures.clone(), *channel).is_ok()).collect()
}

fn cues<'a>(pictures: impl IntoIterator<Item = Captioned<'a>>, channel: CaptionChannel) -> Vec<Cue> {
    let line_21 = match channel {
        CaptionChannel::Cc1 => Channel::Cc1,
        CaptionChannel::Cc2 => Channel::Cc2,
        CaptionChannel::Cc3 => Channel::Cc3,
        CaptionChannel::Cc4 => Channel::Cc4,
        CaptionChannel::Service(number) => return digital(pictures, number),
    };
    let mut decoder = Cea608::new(line_21);
    for (time_ms, triplets) in pictures {
        let own = triplets.iter().filter(|triplet| kind(**triplet) == Some(Kind::Field(line_21.field())));
        for (frame, [_, first, second]) in (0..).zip(own) {
            decoder.push(time_ms + frame_ms(frame), [*first, *second]);
        }
    }
    decoder.finish()
}

fn digital<'a>(pictures: impl IntoIterator<Item = Captioned<'a>>, service: u8) -> Vec<Cue> {
    let mut decoder = Cea708::new(service);
    for (time_ms, triplets) in pictures {
        for triplet in triplets.iter().filter(|triplet| kind(**triplet) == Some(Kind::Digital)) {
            decoder.push(time_ms, *triplet);
        }
    }
    decoder.finish()
}
