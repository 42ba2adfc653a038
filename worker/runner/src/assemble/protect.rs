//! Encryption of a track on its way into the tree.

use reel_cmaf::VideoConfig;
use reel_cmaf::protect::{Scheme, TrackEncryption, clear_segment, protected_init};
use reel_common::{Digest, Failure, FailureClass};
use reel_package::Stream;
use reel_package::protect::{ContentKey, Keys, SegmentCipher, Signal, System, segment_vector, track_vector};
use reel_profiles::{Encryption, EncryptionScheme, LicenceSystem};

use super::fault;
use crate::keys::Protection;

/// How a track is encrypted.
pub(super) struct ProtectedTrack<'a> {
    /// Its folder, by which it is told from others with the same key.
    name: String,
    rules: &'a Encryption,
    key: &'a ContentKey,
    encryption: TrackEncryption,
    cipher: SegmentCipher<'a>,
    /// Segments that begin before this stay clear, in ticks.
    clear_until: u64,
}

impl<'a> ProtectedTrack<'a> {
    /// A rendition of a size in samples.
    pub(super) fn video(
        protection: &'a Protection,
        name: String,
        (width, height): (u32, u32),
        timescale: u32,
        config: VideoConfig<'_>,
    ) -> Result<Self, Failure> {
        let key = protection.keys.video(width, height).ok_or_else(|| no_key(&name))?;
        let encryption = encryption(&protection.rules, key, &name, true);
        let cipher = SegmentCipher::video(key, &encryption, config);
        let cipher = cipher.map_err(|error| fault(&format!("{name} cannot be encrypted: {error}")))?;
        Ok(Self::new(protection, name, key, encryption, cipher, timescale))
    }

    /// A track with sound.
    pub(super) fn audio(protection: &'a Protection, name: String, timescale: u32) -> Result<Self, Failure> {
        let key = protection.keys.audio().ok_or_else(|| no_key(&name))?;
        let encryption = encryption(&protection.rules, key, &name, false);
        let cipher = SegmentCipher::audio(key, &encryption);
        let cipher = cipher.map_err(|error| fault(&format!("{name} cannot be encrypted: {error}")))?;
        Ok(Self::new(protection, name, key, encryption, cipher, timescale))
    }

    fn new(
        protection: &'a Protection,
        name: String,
        key: &'a ContentKey,
        encryption: TrackEncryption,
        cipher: SegmentCipher<'a>,
        timescale: u32,
    ) -> Self {
        let rules = &protection.rules;
        let clear_until = (u64::from(rules.clear_lead_ms) * u64::from(timescale)).div_ceil(1000);
        ProtectedTrack { name, rules, key, encryption, cipher, clear_until }
    }

    /// The header of the track, encrypted.
    pub(super) fn init(&self, clear: &[u8]) -> Result<Vec<u8>, Failure> {
        // Licence systems are told in playlists and manifest, where they can change (DASH-IF Guidelines, Security).
        let made = protected_init(clear, &self.encryption, &[], self.clear_until > 0);
        made.map_err(|error| fault(&format!("{}: {error}", self.name)))
    }

    /// Encrypts the samples of a segment, of which the first lies at `media`, where they are, and gives what stands before it
    /// from now on. The segment begins at `start` and was segment `number` of the stored `part`.
    pub(super) fn segment(
        &self,
        segment: &mut [u8],
        media: usize,
        start: u64,
        part: &Digest,
        number: u64,
    ) -> Result<Vec<u8>, Failure> {
        let failed =
            |error: &dyn std::fmt::Display| fault(&format!("{} cannot be encrypted: {error}", self.name));
        if start < self.clear_until {
            return clear_segment(&segment[..media]).map_err(|error| failed(&error));
        }
        let vector = segment_vector(self.key, &self.name, &part.0, number);
        self.cipher.encrypt(segment, vector).map_err(|error| failed(&error))
    }

    /// What playlists and manifest tell of its keys.
    pub(super) fn keys(&self, stream: &Stream) -> Result<Keys, Failure> {
        let systems: Vec<System> = self.rules.systems.iter().map(|system| self::system(*system)).collect();
        let signal = Signal {
            key: self.key,
            scheme: self.encryption.scheme,
            systems: &systems,
            key_uri: self.rules.key_uri.as_deref(),
            clear_key_licence: self.rules.clear_key_licence.as_deref(),
            fair_play: self.rules.fair_play.as_deref(),
        };
        let begins = stream.segments.iter().scan(0, |next, segment| {
            let start = *next;
            *next += segment.ticks;
            Some(start)
        });
        let clear = begins.take_while(|start| *start < self.clear_until).count();
        signal.keys(clear as u64).map_err(|error| fault(&error.to_string()))
    }
}

fn encryption(rules: &Encryption, key: &ContentKey, name: &str, pattern: bool) -> TrackEncryption {
    let scheme = match rules.scheme {
        EncryptionScheme::Cenc => Scheme::Cenc,
        EncryptionScheme::Cbcs => Scheme::Cbcs { iv: track_vector(key, name), pattern },
    };
    TrackEncryption { scheme, key_id: key.id() }
}

fn system(system: LicenceSystem) -> System {
    match system {
        LicenceSystem::Common => System::Common,
        LicenceSystem::Widevine => System::Widevine,
        LicenceSystem::PlayReady => System::PlayReady,
    }
}

fn no_key(name: &str) -> Failure {
    let message =
        format!("there is no key for {name}: give one for all tracks, or one for tracks of its kind");
    Failure::new(FailureClass::Invalid, &message, "")
}
