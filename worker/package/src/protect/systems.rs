//! What licence systems are told of the keys of a track: the Common header of the W3C, Widevine's and PlayReady's.

use std::fmt::Write;

use aes::Aes128;
use aes::cipher::{BlockCipherEncrypt, KeyInit};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use reel_cmaf::protect::{Scheme, SystemHeader};

use super::ContentKey;

/// A licence system.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum System {
    /// The header that every Clear Key player takes (W3C, "cenc" Initialization Data Format, section 4).
    Common,
    /// Google's.
    Widevine,
    /// Microsoft's.
    PlayReady,
}

impl System {
    /// The id under which it is registered (dashif.org/identifiers/content_protection).
    pub fn id(self) -> [u8; 16] {
        let id: u128 = match self {
            System::Common => 0x1077efec_c0b2_4d02_ace3_3c1e52e2fb4b,
            System::Widevine => 0xedef8ba9_79d6_4ace_a3c8_27dcd51d21ed,
            System::PlayReady => 0x9a04f079_9840_4286_ab92_e65be0885f95,
        };
        id.to_be_bytes()
    }
}

/// The headers of some systems for a track with one key.
pub fn system_headers(systems: &[System], key: &ContentKey, scheme: Scheme) -> Vec<SystemHeader> {
    systems.iter().map(|system| header(*system, key, scheme)).collect()
}

fn header(system: System, key: &ContentKey, scheme: Scheme) -> SystemHeader {
    let (key_ids, data) = match system {
        System::Common => (vec![key.id()], Vec::new()),
        System::Widevine => (Vec::new(), widevine(key, scheme)),
        System::PlayReady => (Vec::new(), play_ready(key, scheme)),
    };
    SystemHeader { system_id: system.id(), key_ids, data }
}

/// WidevinePsshData: field 2, the key's id; field 9, the scheme as a number of four characters.
fn widevine(key: &ContentKey, scheme: Scheme) -> Vec<u8> {
    let mut data = vec![2 << 3 | 2, 16];
    data.extend(key.id());
    data.push(9 << 3);
    let mut number = scheme.name().bytes().fold(0u32, |number, byte| number << 8 | u32::from(byte));
    while number >= 0x80 {
        data.push(number as u8 | 0x80);
        number >>= 7;
    }
    data.push(number as u8);
    data
}

/// A PlayReady Object with one record, the header (PlayReady Header Specification, sections 3 and 4): version 4.0 where
/// blocks are counted, which every client reads, version 4.3 where they are chained.
fn play_ready(key: &ContentKey, scheme: Scheme) -> Vec<u8> {
    let id = STANDARD.encode(little_endian(key.id()));
    let (version, body) = match scheme {
        Scheme::Cenc => {
            let algorithm = "<PROTECTINFO><KEYLEN>16</KEYLEN><ALGID>AESCTR</ALGID></PROTECTINFO>";
            let sum = STANDARD.encode(checksum(key));
            ("4.0.0.0", format!("{algorithm}<KID>{id}</KID><CHECKSUM>{sum}</CHECKSUM>"))
        }
        Scheme::Cbcs { .. } => {
            let ids = format!("<KIDS><KID ALGID=\"AESCBC\" VALUE=\"{id}\"></KID></KIDS>");
            ("4.3.0.0", format!("<PROTECTINFO>{ids}</PROTECTINFO>"))
        }
    };
    let mut text =
        String::from("<WRMHEADER xmlns=\"http://schemas.microsoft.com/DRM/2007/03/PlayReadyHeader\"");
    let _ = write!(text, " version=\"{version}\"><DATA>{body}</DATA></WRMHEADER>");
    let text: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let mut object = (text.len() as u32 + 10).to_le_bytes().to_vec();
    for word in [1, 1, text.len() as u16] {
        object.extend(word.to_le_bytes());
    }
    object.extend(text);
    object
}

/// The key encrypts its own id; a client knows by the first eight bytes whether it has the right one.
fn checksum(key: &ContentKey) -> [u8; 8] {
    let mut block = little_endian(key.id()).into();
    Aes128::new(key.secret().into()).encrypt_block(&mut block);
    std::array::from_fn(|byte| block[byte])
}

/// A UUID as Microsoft lays out its first three fields.
fn little_endian(id: [u8; 16]) -> [u8; 16] {
    let mut guid = id;
    guid[..4].reverse();
    guid[4..6].reverse();
    guid[6..8].reverse();
    guid
}
