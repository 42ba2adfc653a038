//! The rules by which packages are judged: what they are called, how grave they are, and where they stand.
//!
//! ISO/IEC 23000-19 is CMAF, 14496-12 the file format, 23001-7 common encryption and 23009-1 DASH. What CMAF asks for beyond the
//! file format is asked of files alone that claim one of its brands.

use std::fmt;

/// How grave a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// The package is wrong: some player stalls, skips or refuses it.
    Error,
    /// It plays, and it should be better.
    Warning,
}

impl Severity {
    /// The word for it.
    pub fn name(self) -> &'static str {
        match self {
            Severity::Error => "error",
            Severity::Warning => "warning",
        }
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// A rule of every package.
#[derive(Debug, PartialEq, Eq)]
pub struct Rule {
    /// What it is called.
    pub id: &'static str,
    /// How grave it is.
    pub severity: Severity,
    /// Specification and section.
    pub source: &'static str,
    /// What it wants.
    pub wants: &'static str,
}

/// Every rule, in the order of the documentation.
pub fn rules() -> &'static [&'static Rule] {
    ALL
}

macro_rules! rules {
    ($($name:ident = $id:literal, $severity:ident, $source:literal, $wants:literal;)+) => {
        $(pub(crate) static $name: Rule =
            Rule { id: $id, severity: Severity::$severity, source: $source, wants: $wants };)+
        static ALL: &[&Rule] = &[$(&$name),+];
    };
}

rules! {
    PACKAGE_EMPTY = "package-empty", Error, "RFC 8216bis, 4; ISO/IEC 23009-1, 5",
        "a playlist or a manifest that names media";
    PACKAGE_SIZE = "package-size", Error, "ops/docs/decisions/check.md",
        "at most 1048576 segments in all playlists and manifests together: what comes behind them is not judged";
    FILE_MISSING = "file-missing", Error, "RFC 8216bis, 4.1; ISO/IEC 23009-1, 5.6",
        "every file that is named is in the package";
    FILE_UNREFERENCED = "file-unreferenced", Warning, "RFC 8216bis, 4; ISO/IEC 23009-1, 5",
        "every media segment is named by a playlist or a manifest";
    HLS_SYNTAX = "hls-syntax", Error, "RFC 8216bis, 4.1 and 4.2",
        "UTF-8 text that begins with #EXTM3U, well-formed tags, and each attribute once";
    HLS_REQUIRED_TAG = "hls-required-tag", Error, "RFC 8216bis, 4.4.3.1 and 4.4.4.1",
        "EXT-X-TARGETDURATION once, and EXTINF before every segment";
    HLS_VERSION = "hls-version", Error, "RFC 8216bis, 8",
        "an EXT-X-VERSION that has all that is used";
    HLS_TARGET_DURATION = "hls-target-duration", Error, "RFC 8216bis, 4.4.3.1",
        "no segment that, rounded, is longer than the target duration";
    HLS_TARGET_DURATIONS = "hls-target-durations", Error, "RFC 8216bis, 6.2.4",
        "one target duration for all playlists of pictures and sound";
    HLS_ENDLIST = "hls-endlist", Error, "RFC 8216bis, 4.4.3.4",
        "EXT-X-ENDLIST at the end of a finished title";
    HLS_PLAYLIST_TYPE = "hls-playlist-type", Warning, "RFC 8216bis, 4.4.3.5; HLS Authoring Specification, 8.6",
        "EXT-X-PLAYLIST-TYPE:VOD";
    HLS_MAP = "hls-map", Error, "RFC 8216bis, 3.1.2 and 4.4.4.5",
        "an EXT-X-MAP before segments of fragmented MP4";
    HLS_KEY = "hls-key", Error, "RFC 8216bis, 4.4.4.4",
        "EXT-X-KEY with a METHOD that is known, a URI, and an IV in hexadecimal if any";
    HLS_KEY_MATCH = "hls-key-match", Error, "RFC 8216bis, 4.4.4.4; ISO/IEC 23001-7, 10",
        "keys for what is encrypted and for nothing else: SAMPLE-AES for cbcs, SAMPLE-AES-CTR for cenc";
    HLS_SESSION_KEY = "hls-session-key", Error, "RFC 8216bis, 4.4.6.5",
        "session keys that are keys of a media playlist";
    HLS_BYTE_RANGE = "hls-byte-range", Error, "RFC 8216bis, 4.4.4.2",
        "byte ranges within their files";
    HLS_IFRAMES = "hls-iframes", Error, "RFC 8216bis, 4.4.3.6",
        "one picture that decodes by itself in each segment of an I-frame playlist";
    HLS_STREAM = "hls-stream", Error, "RFC 8216bis, 4.4.6.2",
        "EXT-X-STREAM-INF with BANDWIDTH, well-formed attributes, groups that exist, and a URI in the next line";
    HLS_STREAM_LACKS = "hls-stream-lacks", Warning, "RFC 8216bis, 4.4.6.2; HLS Authoring Specification, 9.1, 9.2, 9.14 and 9.15",
        "CODECS and AVERAGE-BANDWIDTH, and for pictures RESOLUTION and FRAME-RATE";
    HLS_MEDIA = "hls-media", Error, "RFC 8216bis, 4.4.6.1",
        "EXT-X-MEDIA with TYPE, GROUP-ID and NAME, one NAME and one DEFAULT in a group, and AUTOSELECT with DEFAULT";
    HLS_GROUPS = "hls-groups", Error, "RFC 8216bis, 4.4.6.1.1",
        "the same renditions in all groups of a type";
    HLS_IFRAME_STREAM = "hls-iframe-stream", Error, "RFC 8216bis, 4.4.6.3",
        "EXT-X-I-FRAME-STREAM-INF with BANDWIDTH and URI, and without FRAME-RATE, AUDIO, SUBTITLES and CLOSED-CAPTIONS";
    HLS_BANDWIDTH = "hls-bandwidth", Error, "RFC 8216bis, 4.4.6.2",
        "a BANDWIDTH that no playable combination exceeds";
    HLS_AVERAGE_BANDWIDTH = "hls-average-bandwidth", Error, "RFC 8216bis, 4.4.6.2; HLS Authoring Specification, 1.26",
        "an AVERAGE-BANDWIDTH within 10 % of what was measured, and not below it";
    HLS_BANDWIDTH_LOOSE = "hls-bandwidth-loose", Warning, "HLS Authoring Specification, 1.27",
        "a BANDWIDTH within 10 % of the measured peak";
    HLS_EXTINF = "hls-extinf", Error, "RFC 8216bis, 4.4.4.1; HLS Authoring Specification, 8.1",
        "EXTINF durations that are those of the media, their sums within a frame";
    CMAF_BOXES = "cmaf-boxes", Error, "ISO/IEC 14496-12, 4.2; ISO/IEC 23000-19, 7.3",
        "whole boxes, in order: ftyp and moov of a header; styp, prft, emsg, sidx, then moof and mdat of a segment";
    CMAF_HEADER = "cmaf-header", Error, "ISO/IEC 23000-19, 7.3.1",
        "the boxes that a header needs, each where it belongs";
    CMAF_BRAND = "cmaf-brand", Warning, "ISO/IEC 23000-19, 7.2",
        "the brand cmfc or cmf2 in the header of a track";
    CMAF_ONE_TRACK = "cmaf-one-track", Error, "ISO/IEC 23000-19, 7.3.1",
        "one track in a file";
    CMAF_EDIT_LIST = "cmaf-edit-list", Error, "ISO/IEC 23000-19, 7.5.13 and 7.7.3",
        "at most one edit, at normal speed, and none in a file of brand cmf2";
    CMAF_TRAF = "cmaf-traf", Error, "ISO/IEC 23000-19, 7.3.2.3",
        "one traf in a moof, with one trun";
    CMAF_TFDT = "cmaf-tfdt", Error, "ISO/IEC 14496-12, 8.8.12",
        "a tfdt in every traf";
    CMAF_BASE = "cmaf-base", Error, "ISO/IEC 23000-19, 7.5.16; ISO/IEC 14496-12, 8.8.7",
        "default-base-is-moof, and no base data offset";
    CMAF_DATA = "cmaf-data", Error, "ISO/IEC 14496-12, 8.8.8; ISO/IEC 23000-19, 7.3.2.3",
        "samples that lie within the mdat behind their moof, one behind the other, and fill it";
    CMAF_SYNC = "cmaf-sync", Error, "ISO/IEC 23000-19, 7.3.2.3; RFC 8216bis, 4.4.2.1; HLS Authoring Specification, 7.4",
        "segments of pictures that begin with a sync sample";
    CMAF_SIDX = "cmaf-sidx", Error, "ISO/IEC 14496-12, 8.16.3",
        "an index whose references have the bytes and durations of what they name";
    CMAF_SAMPLE = "cmaf-sample", Error, "ISO/IEC 14496-15, 5.3.3 and 8.3.3",
        "NAL units that fill the first sample of a segment, and an IDR or CRA picture in it";
    TS_PACKETS = "ts-packets", Error, "ISO/IEC 13818-1, 2.4.3.2; RFC 8216bis, 3.1.1",
        "whole packets of a transport stream";
    TS_TABLES = "ts-tables", Error, "RFC 8216bis, 3.1.1; ISO/IEC 13818-1, 2.4.4",
        "one program, whose PAT and PMT stand before its media in each segment";
    TS_CONTINUITY = "ts-continuity", Error, "ISO/IEC 13818-1, 2.4.3.3",
        "packets of an identifier that are counted without a gap within a segment";
    TS_CLOCK = "ts-clock", Warning, "ISO/IEC 13818-1, 2.7.2",
        "program clock references that are at most 100 ms apart";
    TS_START = "ts-start", Warning, "RFC 8216bis, 3 and 4.4.2.1",
        "segments whose pictures begin with an IDR or CRA picture";
    TS_DURATION = "ts-duration", Warning, "RFC 8216bis, 4.4.4.1",
        "segments that last as long as their playlists say, within half a second";
    TEXT_SEGMENT = "text-segment", Error, "RFC 8216bis, 3.1.4",
        "segments of WebVTT that begin as files of WebVTT do";
    TIMELINE = "timeline", Error, "ISO/IEC 14496-12, 8.8.12; HLS Authoring Specification, 7.3",
        "segments whose decode times go on where the one before ended";
    ALIGNMENT = "alignment", Error, "ISO/IEC 23009-1, 5.3.3.2; HLS Authoring Specification, 8.22",
        "the same segment edges in all renditions between which a player switches";
    DURATIONS = "durations", Error, "HLS Authoring Specification, 8.3; ISO/IEC 23009-1, 5.3.2",
        "renditions of pictures that end together, within a frame";
    ENDS = "ends", Warning, "HLS Authoring Specification, 8.3 and 8.7",
        "sound and pictures that end together, within a frame of either";
    HLS_DASH = "hls-dash", Error, "RFC 8216bis, 4.4.4; ISO/IEC 23009-1, 5.3.9",
        "the same segments, with the same durations, in playlists and manifest";
    CODECS = "codecs", Error, "RFC 6381, 3.3; ISO/IEC 14496-15, annex E; RFC 8216bis, 4.4.6.2",
        "the codecs of the sample entries";
    PICTURE_SIZE = "picture-size", Error, "RFC 8216bis, 4.4.6.2; ISO/IEC 23009-1, 5.3.7",
        "width and height of the sample entry";
    CENC_BOXES = "cenc-boxes", Error, "ISO/IEC 23001-7, 4 and 8.2",
        "sinf with frma, schm and schi with tenc in an encrypted sample entry";
    CENC_SCHEME = "cenc-scheme", Error, "ISO/IEC 23001-7, 10",
        "one of the schemes cenc and cbcs, and one in all tracks";
    CENC_VECTOR = "cenc-vector", Error, "ISO/IEC 23001-7, 8.2 and 10",
        "a vector of 8 or 16 bytes for each sample in cenc; in cbcs a constant one, and a pattern for pictures";
    CENC_SAMPLES = "cenc-samples", Error, "ISO/IEC 23001-7, 7.2",
        "a senc for all samples of an encrypted fragment, whose subsamples are as long as their samples";
    CENC_AUXILIARY = "cenc-auxiliary", Error, "ISO/IEC 23001-7, 7.1; ISO/IEC 14496-12, 8.7.8 and 8.7.9",
        "saiz and saio that describe senc";
    CENC_BLOCKS = "cenc-blocks", Error, "ISO/IEC 23001-7, 9.5",
        "pictures in NAL units with subsamples, in cenc of whole blocks";
    CENC_PSSH = "cenc-pssh", Error, "ISO/IEC 23001-7, 8.1",
        "pssh boxes whose sizes and counts agree";
    CENC_KEY_ID = "cenc-key-id", Error, "ISO/IEC 23009-1, 5.8.4.1; ISO/IEC 23001-7, 11.2",
        "the cenc:default_KID and the scheme of tenc and schm";
    CENC_SIGNALLED = "cenc-signalled", Error, "DASH-IF IOP v5, part 6; ISO/IEC 23009-1, 5.8.4.1",
        "ContentProtection of mp4protection for sets that are encrypted, and for no others";
    MPD_XML = "mpd-xml", Error, "ISO/IEC 23009-1, 5.2.3; XML 1.0",
        "well-formed XML whose root is MPD";
    MPD_ELEMENTS = "mpd-elements", Error, "ISO/IEC 23009-1, annex B",
        "elements in the order of the schema, and as many of each";
    MPD_ATTRIBUTES = "mpd-attributes", Error, "ISO/IEC 23009-1, annex B",
        "the attributes that are required, with values of their types";
    MPD_IDS = "mpd-ids", Error, "ISO/IEC 23009-1, 5.3.3.2 and 5.3.5.2",
        "ids that occur once in a Period";
    MPD_DURATION = "mpd-duration", Error, "ISO/IEC 23009-1, 5.3.1.2 and 5.3.2.1",
        "a static manifest that lasts as long as its pictures";
    MPD_ADDRESSING = "mpd-addressing", Error, "ISO/IEC 23009-1, 5.3.9.1",
        "one way in which a Representation's segments are named";
    MPD_TIMELINE = "mpd-timeline", Error, "ISO/IEC 23009-1, 5.3.9.6; DASH-IF IOP v5, part 4",
        "a timeline without gaps and overlaps that covers the Period";
    MPD_TIMES = "mpd-times", Error, "ISO/IEC 23009-1, 7.2.1; DASH-IF IOP v5, part 4",
        "segments that are presented when the manifest says so";
    MPD_LONGEST = "mpd-longest", Error, "ISO/IEC 23009-1, 5.3.1.2",
        "no segment longer than maxSegmentDuration";
    MPD_BANDWIDTH = "mpd-bandwidth", Error, "ISO/IEC 23009-1, 5.3.5.2",
        "a bandwidth at which nobody waits who buffered for minBufferTime";
    MPD_BANDWIDTH_LOOSE = "mpd-bandwidth-loose", Warning, "ISO/IEC 23009-1, 5.3.5.2",
        "a bandwidth within 10 % of what suffices";
    MPD_TRICK_MODE = "mpd-trick-mode", Error, "DASH-IF IOP v5, part 5; ISO/IEC 23009-1, 5.3.3",
        "trick mode of a set that is there, of pictures that decode by themselves";
    MPD_TILES = "mpd-tiles", Error, "DASH-IF IOP v5, part 5",
        "thumbnail_tile as columns x rows";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_unique_words() {
        let mut ids: Vec<_> = rules().iter().map(|rule| rule.id).collect();
        assert!(ids.iter().all(|id| id.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-')));
        ids.sort_unstable();
        assert!(ids.windows(2).all(|pair| pair[0] != pair[1]));
        assert!(rules().iter().all(|rule| !rule.source.is_empty() && !rule.wants.ends_with('.')));
    }
}
