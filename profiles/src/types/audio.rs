//! What a profile says of sound.

words! {
    /// An audio codec.
    AudioCodec {
        /// AAC-LC, ISO/IEC 14496-3.
        Aac = "aac",
        /// AC-3 (Dolby Digital), ETSI TS 102 366.
        Ac3 = "ac3",
        /// E-AC-3 (Dolby Digital Plus), ETSI TS 102 366, annex E.
        Eac3 = "eac3",
        /// Opus, RFC 6716.
        Opus = "opus",
        /// FLAC, RFC 9639, with 24 bits.
        Flac = "flac",
        /// PCM with 24 bits, the lowest byte first, ISO/IEC 23003-5.
        Pcm = "pcm",
    }
}

impl AudioCodec {
    /// Whether its streams say how loud they are, so that a decoder brings them to one level.
    pub fn says_loudness(self) -> bool {
        matches!(self, AudioCodec::Ac3 | AudioCodec::Eac3)
    }

    /// Whether the samples come out as they went in, so that there is no bit rate to choose.
    pub fn is_lossless(self) -> bool {
        matches!(self, AudioCodec::Flac | AudioCodec::Pcm)
    }
}

words! {
    /// How channels that a track has no place for go into those that it has.
    Downmix {
        /// Plain stereo, Lo/Ro (ITU-R BS.775-4, table 2): centre and surround at -3 dB on their side, low frequencies left out.
        LoRo = "lo-ro",
        /// Matrix stereo, Lt/Rt, from which a decoder of Dolby Pro Logic II restores the surround.
        LtRt = "lt-rt",
    }
}

/// A channel of a source stream, each counted from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SourceChannel {
    /// Which of the audio streams, in the order of the container.
    pub stream: u32,
    /// Which of its channels.
    pub channel: u32,
}

impl std::fmt::Display for SourceChannel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}", self.stream, self.channel)
    }
}

/// One audio track.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AudioTrack {
    /// Its name, a plain file name that is unique in the profile.
    pub name: String,
    /// Codec.
    pub codec: AudioCodec,
    /// Channels: 1, 2, 6 (5.1) or, of Opus, FLAC and PCM, 8 (7.1).
    pub channels: u32,
    /// Bit rate of the whole track in kbit/s; `None` where and only where the codec is lossless.
    pub bitrate_kbps: Option<u32>,
    /// Samples per second.
    pub sample_rate: u32,
    /// Takes the first source stream of this language; without it, the first source stream. Of a track with `sources`, the
    /// language that it is said to have.
    pub language: Option<String>,
    /// The source channel of each channel, in the order left, right, centre, low frequencies, left and right surround, left
    /// and right rear; empty where a whole stream is taken.
    pub sources: Vec<SourceChannel>,
    /// What becomes of channels that the track has no place for.
    pub downmix: Downmix,
    /// How loud it is made; `None` leaves it as it is.
    pub loudness: Option<Loudness>,
}

/// The level to which a track is brought (EBU R 128), as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Loudness {
    /// Integrated loudness in thousandths of LUFS (ITU-R BS.1770), -40,000 to -5,000.
    pub lufs_milli: i32,
    /// The largest true peak in thousandths of dBTP, -9,000 to 0: a track whose peaks would be higher stays softer.
    pub true_peak_milli: i32,
}

impl Loudness {
    /// The largest true peak of EBU R 128, in thousandths of dBTP.
    pub const DEFAULT_TRUE_PEAK_MILLI: i32 = -1_000;
}
