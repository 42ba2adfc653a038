//! The index of a mezzanine: whatever a file holds, it ends with frames or with an error for its owner.

#![no_main]

use std::io::Write;

use libfuzzer_sys::fuzz_target;
use reel_media::{TitleTimes, index};
use reel_profiles::{Profile, catalog};
use reel_store::Source;

thread_local! {
    static PROFILE: Profile = {
        let text = catalog::text("vod-abr").unwrap_or_default();
        Profile::parse(text, "vod-abr.toml").expect("the catalog is right")
    };
}

fuzz_target!(|bytes: &[u8]| {
    PROFILE.with(|profile| {
        let mut file = tempfile::NamedTempFile::new().expect("there is room");
        file.write_all(bytes).expect("there is room");
        let Ok(source) = Source::open(&file.path().to_string_lossy()) else { return };
        if let Ok((made, _)) = index(&source, profile) {
            TitleTimes::new(&made, &profile.picture).expect("what was indexed unfolds");
        }
    });
});
