//! What a profile says of encryption.

words! {
    /// A scheme of Common Encryption (ISO/IEC 23001-7, section 10).
    EncryptionScheme {
        /// AES-CTR; browsers and older devices, not Apple's.
        Cenc = "cenc",
        /// AES-CBC with a pattern; Apple's devices and those of the last years.
        Cbcs = "cbcs",
    }
}

words! {
    /// A licence system, the headers of which go into playlists and manifest.
    LicenceSystem {
        /// The common system of W3C, for Clear Key.
        Common = "common",
        /// Google's.
        Widevine = "widevine",
        /// Microsoft's.
        PlayReady = "playready",
    }
}

/// How segments are encrypted. Texts and still pictures stay clear.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Encryption {
    /// The scheme.
    pub scheme: EncryptionScheme,
    /// Where whoever assembles the title reads its keys: a path or a file, http, https, s3, gs or az URL, in which `{title}`
    /// stands for the last part of OUTPUT; or `env:` and the name of a variable of its environment, which begins with
    /// `REEL_KEYS`. Keys themselves are in no profile.
    pub keys: String,
    /// Licence systems, in the order in which a player chooses.
    pub systems: Vec<LicenceSystem>,
    /// Segments that begin before this time stay clear; milliseconds.
    pub clear_lead_ms: u32,
    /// Where a player of HLS gets the key itself, over a connection that keeps it secret; `{title}` likewise.
    pub key_uri: Option<String>,
    /// Where a player of DASH asks for a Clear Key licence, likewise.
    pub clear_key_licence: Option<String>,
    /// What FairPlay asks for, likewise; of `cbcs` alone.
    pub fair_play: Option<String>,
}

impl Encryption {
    /// What stands for the last part of OUTPUT.
    pub const TITLE: &str = "{title}";
    /// What stands before the name of a variable of the environment that holds the keys.
    pub const ENVIRONMENT: &str = "env:";
    /// The variable that holds the token which a key server is shown.
    pub const TOKEN: &str = "REEL_KEYS_TOKEN";
    /// The longest clear lead: a minute, in milliseconds.
    pub const MAX_CLEAR_LEAD_MS: i64 = 60_000;
}
