//! How playlists and manifests tell players of the keys of a track: lines of HLS (RFC 8216bis, sections 4.4.4.4 and 4.4.6.5)
//! and descriptors of DASH (ISO/IEC 23009-1, section 5.8.4.1; DASH-IF Guidelines, Security).

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use reel_cmaf::protect::Scheme;

use super::{ContentKey, System, system_headers};

/// What players are told of a track's key.
#[derive(Clone, Debug)]
pub struct Signal<'a> {
    /// The key; only its id is told, and a check sum of PlayReady.
    pub key: &'a ContentKey,
    /// The scheme.
    pub scheme: Scheme,
    /// Licence systems, in the order in which a player chooses.
    pub systems: &'a [System],
    /// Where a player of HLS gets the key itself (`KEYFORMAT="identity"`), over a connection that keeps it secret.
    pub key_uri: Option<&'a str>,
    /// Where a player of DASH asks for a Clear Key licence.
    pub clear_key_licence: Option<&'a str>,
    /// What FairPlay asks for, `skd://` and so on; in `cbcs` alone, since it knows no other scheme.
    pub fair_play: Option<&'a str>,
}

/// A URI that would end its attribute.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the URI of a key holds a quotation mark or a line break")]
pub struct UriError;

/// A ContentProtection descriptor.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ContentProtection {
    /// `schemeIdUri`.
    pub scheme_id_uri: String,
    /// `value`.
    pub value: Option<&'static str>,
    /// `cenc:default_KID`, of the first descriptor.
    pub default_key_id: Option<String>,
    /// Content of `cenc:pssh`, in Base64.
    pub pssh: Option<String>,
    /// Content of `mspr:pro`, in Base64.
    pub pro: Option<String>,
    /// Content of `dashif:Laurl`.
    pub licence_url: Option<String>,
}

/// The keys of a track, as playlists and manifest tell them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Keys {
    /// Lines of its media playlist.
    pub lines: Vec<String>,
    /// Lines of the master playlist.
    pub session_lines: Vec<String>,
    /// Descriptors of its AdaptationSet.
    pub descriptors: Vec<ContentProtection>,
    /// Segments that stay clear at the beginning.
    pub clear_segments: u64,
}

impl Signal<'_> {
    /// All of what is told, of a track of which so many segments stay clear at the beginning.
    pub fn keys(&self, clear_segments: u64) -> Result<Keys, UriError> {
        let (lines, session_lines) = (self.hls_keys()?, self.hls_session_keys()?);
        Ok(Keys { lines, session_lines, descriptors: self.content_protection(), clear_segments })
    }

    /// The lines `EXT-X-KEY` of a media playlist, before the first segment that is encrypted.
    pub fn hls_keys(&self) -> Result<Vec<String>, UriError> {
        Ok(self.hls_attributes()?.into_iter().map(|key| format!("#EXT-X-KEY:{key}")).collect())
    }

    /// The lines `EXT-X-SESSION-KEY` of a master playlist, by which a player asks for licences early.
    pub fn hls_session_keys(&self) -> Result<Vec<String>, UriError> {
        Ok(self.hls_attributes()?.into_iter().map(|key| format!("#EXT-X-SESSION-KEY:{key}")).collect())
    }

    fn hls_attributes(&self) -> Result<Vec<String>, UriError> {
        let (method, iv) = match self.scheme {
            Scheme::Cenc => ("SAMPLE-AES-CTR", String::new()),
            Scheme::Cbcs { iv, .. } => ("SAMPLE-AES", format!(",IV=0x{}", hex::encode(iv))),
        };
        let uris = [self.key_uri, self.fair_play];
        if uris.into_iter().flatten().any(|uri| uri.contains(['"', '\r', '\n'])) {
            return Err(UriError);
        }
        let mut lines = Vec::new();
        if let Some(uri) = self.key_uri {
            lines.push(format!("METHOD={method},URI=\"{uri}\"{iv},KEYFORMAT=\"identity\""));
        }
        // FairPlay's licence holds the vector.
        if let (Some(uri), Scheme::Cbcs { .. }) = (self.fair_play, self.scheme) {
            let format = "KEYFORMATVERSIONS=\"1\",KEYFORMAT=\"com.apple.streamingkeydelivery\"";
            lines.push(format!("METHOD={method},URI=\"{uri}\",{format}"));
        }
        for (system, header) in self.systems.iter().zip(system_headers(self.systems, self.key, self.scheme)) {
            let (media, data, id, format) = match system {
                // Players of HLS take Clear Key by its URI.
                System::Common => continue,
                System::Widevine => {
                    let id = format!(",KEYID=0x{}", hex::encode(self.key.id()));
                    ("text/plain", header.to_box(), id, format!("urn:uuid:{}", uuid(system.id())))
                }
                System::PlayReady => {
                    let format = "com.microsoft.playready".to_owned();
                    ("text/plain;charset=UTF-16", header.data, String::new(), format)
                }
            };
            let uri = format!("data:{media};base64,{}", STANDARD.encode(data));
            let format = format!("KEYFORMATVERSIONS=\"1\",KEYFORMAT=\"{format}\"");
            lines.push(format!("METHOD={method},URI=\"{uri}\"{id}{iv},{format}"));
        }
        Ok(lines)
    }

    /// The descriptors of an AdaptationSet, whose representations all have this key; that of the scheme comes first.
    pub fn content_protection(&self) -> Vec<ContentProtection> {
        let mut descriptors = vec![ContentProtection {
            scheme_id_uri: "urn:mpeg:dash:mp4protection:2011".to_owned(),
            value: Some(self.scheme.name()),
            default_key_id: Some(uuid(self.key.id())),
            ..ContentProtection::default()
        }];
        if let Some(url) = self.clear_key_licence {
            descriptors.push(ContentProtection {
                scheme_id_uri: "urn:uuid:e2719d58-a985-b3c9-781a-b030af78d30e".to_owned(),
                value: Some("ClearKey1.0"),
                licence_url: Some(url.to_owned()),
                ..ContentProtection::default()
            });
        }
        for (system, header) in self.systems.iter().zip(system_headers(self.systems, self.key, self.scheme)) {
            let pro = (*system == System::PlayReady).then(|| STANDARD.encode(&header.data));
            descriptors.push(ContentProtection {
                scheme_id_uri: format!("urn:uuid:{}", uuid(system.id())),
                value: (*system == System::PlayReady).then_some("MSPR 2.0"),
                pssh: Some(STANDARD.encode(header.to_box())),
                pro,
                ..ContentProtection::default()
            });
        }
        descriptors
    }
}

/// An id as UUIDs are written.
fn uuid(id: [u8; 16]) -> String {
    let digits = hex::encode(id);
    let groups = [&digits[..8], &digits[8..12], &digits[12..16], &digits[16..20], &digits[20..]];
    groups.join("-")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn signal(key: &ContentKey, scheme: Scheme) -> Signal<'_> {
        Signal {
            key,
            scheme,
            systems: &[System::Widevine],
            key_uri: Some("https://keys.example/1"),
            clear_key_licence: Some("https://keys.example/licence"),
            fair_play: Some("skd://1"),
        }
    }

    #[test]
    fn only_fairplay_has_no_vector_and_only_cbcs_has_fairplay() {
        let key = ContentKey::new([1; 16], [0xab; 16]);
        let lines = signal(&key, Scheme::Cbcs { iv: [2; 16], pattern: true }).hls_keys().unwrap();
        let told = |line: &String| (line.contains("IV=0x0202"), line.contains("streamingkeydelivery"));
        assert_eq!(lines.iter().map(told).collect::<Vec<_>>(), [(true, false), (false, true), (true, false)]);
        let lines = signal(&key, Scheme::Cenc).hls_session_keys().unwrap();
        assert!(lines.iter().all(|line| line.starts_with("#EXT-X-SESSION-KEY:METHOD=SAMPLE-AES-CTR,")));
        assert!(lines.iter().all(|line| !line.contains("IV=") && !line.contains("skd")) && lines.len() == 2);
        assert!(!lines.concat().contains("abab"));
    }

    #[test]
    fn a_uri_cannot_end_its_attribute() {
        let key = ContentKey::new([1; 16], [2; 16]);
        let bad = Signal { key_uri: Some("x\",METHOD=NONE"), ..signal(&key, Scheme::Cenc) };
        assert_eq!(bad.hls_keys(), Err(UriError));
    }
}
