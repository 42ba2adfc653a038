//! What destinations ask about, measured.

use std::collections::{BTreeMap, BTreeSet};

use reel_common::Rational;
use reel_profiles::{PackageFeature, PackageMeasure, PackageTrait};

use crate::Package;
use crate::bmff::Track;
use crate::hls::{MediaPlaylist, find};
use crate::rate::{average, peak};
use crate::stream::{Kind, Segment, Stream, Title};
use crate::time::{seconds, sub};

/// What is known of a package, each with the file in which it was found.
pub(crate) struct Facts {
    /// How long it is.
    pub(crate) seconds: Rational,
    pub(crate) numbers: BTreeMap<PackageMeasure, Vec<(String, Rational)>>,
    pub(crate) words: BTreeMap<PackageTrait, Vec<(String, String)>>,
    pub(crate) features: BTreeSet<PackageFeature>,
}

/// Measures a package.
pub(crate) fn of(package: &Package<'_>, title: &Title) -> Facts {
    let mut facts = Facts {
        seconds: Rational::ZERO,
        numbers: BTreeMap::new(),
        words: BTreeMap::new(),
        features: BTreeSet::new(),
    };
    let mut seen = BTreeSet::new();
    for (file, stream, target, winding) in streams(title) {
        let first = stream.segments.first().and_then(|segment| segment.place.clone());
        // What playlists and manifest both name is measured once.
        if first.is_some() && !seen.insert(first) {
            continue;
        }
        facts.stream(&file, stream, target, winding);
    }
    let kbps = |facts: &Facts| facts.numbers.get(&PackageMeasure::LowestKbps).cloned().unwrap_or_default();
    let mut rates = kbps(&facts);
    rates.sort_by_key(|(_, rate)| *rate);
    facts.numbers.insert(PackageMeasure::LowestKbps, rates.first().cloned().into_iter().collect());
    facts.numbers.insert(PackageMeasure::HighestKbps, rates.last().cloned().into_iter().collect());
    let count = i64::try_from(rates.len()).unwrap_or(i64::MAX);
    facts.number(PackageMeasure::Renditions, "", Rational::whole(count));
    // Transport streams beside fragmented MP4 are for devices that no destination is.
    if let Some(found) = facts.words.get_mut(&PackageTrait::Container)
        && found.iter().any(|(_, word)| word == "fmp4")
    {
        found.retain(|(_, word)| word == "fmp4");
    }
    facts.texts(package, title);
    facts.hls(title);
    facts.dash(title);
    facts
}

/// Every stream with its file, the target duration of its playlist, and whether it is for winding.
fn streams(title: &Title) -> Vec<(String, &Stream, Option<u64>, bool)> {
    let playlists = title.playlists.iter().map(|one| {
        (one.file.clone(), &one.stream, Some(one.target).filter(|_| !one.iframes_only), one.iframes_only)
    });
    let sets = title.manifests.iter().flat_map(|manifest| {
        manifest.sets.iter().flat_map(move |set| {
            let winding = set.trick_mode.is_some();
            set.representations.iter().map(move |one| (manifest.file.clone(), &one.stream, None, winding))
        })
    });
    playlists.chain(sets).collect()
}

impl Facts {
    fn number(&mut self, measure: PackageMeasure, file: &str, value: Rational) {
        self.numbers.entry(measure).or_default().push((file.to_owned(), value));
    }

    fn word(&mut self, kind: PackageTrait, file: &str, word: &str) {
        self.words.entry(kind).or_default().push((file.to_owned(), word.to_owned()));
    }

    fn stream(&mut self, file: &str, stream: &Stream, target: Option<u64>, winding: bool) {
        let container =
            stream.segments.first().and_then(|segment| segment.place.as_ref()).map(|place| &place.file);
        let ending = container
            .and_then(|file| file.rsplit_once('.'))
            .map_or("", |(_, ending)| ending)
            .to_ascii_lowercase();
        let Some(track) = stream.track() else {
            if ending == "ts" {
                self.word(PackageTrait::Container, file, "ts");
            }
            return;
        };
        if winding {
            self.features.insert(PackageFeature::TrickPlay);
            let longest = stream.segments.iter().map(|segment| segment.duration).max();
            longest
                .into_iter()
                .for_each(|longest| self.number(PackageMeasure::WindingSeconds, file, longest));
            return;
        }
        match track.kind {
            Kind::Video => self.video(file, stream, track, target),
            Kind::Audio => self.audio(file, stream, track),
            _ => {}
        }
        if [Kind::Video, Kind::Audio].contains(&track.kind) {
            let scheme =
                track.protection().map(|protection| String::from_utf8_lossy(&protection.scheme).into_owned());
            self.word(PackageTrait::Encryption, file, scheme.as_deref().unwrap_or("clear"));
            if let Some(target) = target.and_then(|target| i64::try_from(target).ok()) {
                self.number(PackageMeasure::TargetSeconds, file, Rational::whole(target));
            }
        }
    }

    fn video(&mut self, file: &str, stream: &Stream, track: &Track, target: Option<u64>) {
        self.seconds = self.seconds.max(stream.duration());
        self.word(PackageTrait::Container, file, "fmp4");
        if let Some(entry) = track.entry() {
            self.word(PackageTrait::VideoEntry, file, &String::from_utf8_lossy(&entry.format));
            self.word(PackageTrait::VideoCodec, file, &codec_name(entry.codec.as_deref()));
            self.number(PackageMeasure::Width, file, Rational::whole(entry.size.0.into()));
            self.number(PackageMeasure::Height, file, Rational::whole(entry.size.1.into()));
        }
        let but_last = stream.segments.len().saturating_sub(1);
        let lengths = stream.segments.iter().take(but_last).map(|segment| segment.duration);
        for bound in [lengths.clone().min(), lengths.max()].into_iter().flatten() {
            self.number(PackageMeasure::SegmentSeconds, file, bound);
        }
        if let Some(longest) = longest_gop(stream, track) {
            self.number(PackageMeasure::KeyframeSeconds, file, longest);
        }
        if let Some(rate) = stream.segments.iter().filter_map(frames_a_second).max() {
            self.number(PackageMeasure::FrameRate, file, rate);
        }
        if stream.is_whole() {
            let sizes = stream.sizes();
            let longest = sizes.iter().map(|(seconds, _)| seconds.round()).max().unwrap_or(1).max(1);
            let target = target.and_then(|target| i64::try_from(target).ok()).unwrap_or(longest);
            let rate = |bps: u64| i64::try_from(bps).unwrap_or(i64::MAX);
            let (mean, most) = (rate(average(&sizes)), rate(peak(&sizes, Rational::whole(target), 1)));
            self.number(
                PackageMeasure::LowestKbps,
                file,
                Rational::new(mean, 1000).unwrap_or(Rational::ZERO),
            );
            Rational::new(most, mean)
                .into_iter()
                .for_each(|ratio| self.number(PackageMeasure::PeakToAverage, file, ratio));
        }
    }

    fn audio(&mut self, file: &str, stream: &Stream, track: &Track) {
        self.seconds = self.seconds.max(stream.duration());
        let Some(entry) = track.entry() else { return };
        let codec = codec_name(entry.codec.as_deref());
        self.word(PackageTrait::AudioCodec, file, &codec);
        self.number(PackageMeasure::SampleRate, file, Rational::whole(track.timescale.into()));
        self.number(PackageMeasure::Channels, file, Rational::whole(entry.channels.into()));
        if codec == "aac" && entry.channels == 2 {
            self.features.insert(PackageFeature::StereoAac);
        }
    }

    fn texts(&mut self, package: &Package<'_>, title: &Title) {
        for (file, stream, ..) in streams(title) {
            let first = stream.segments.first().and_then(|segment| segment.place.as_ref());
            let is_webvtt =
                first.is_some_and(|place| place.file.ends_with("vtt") && package.size(&place.file).is_some());
            let entry =
                stream.track().filter(|track| track.kind == Kind::Text).and_then(|track| track.entry());
            let format = entry.map(|entry| String::from_utf8_lossy(&entry.format).into_owned());
            if let Some(format) = format.or(is_webvtt.then(|| "webvtt".to_owned())) {
                self.features.insert(PackageFeature::Texts);
                self.word(PackageTrait::TextFormat, &file, &format);
            }
        }
    }

    fn hls(&mut self, title: &Title) {
        if title.masters.is_empty() {
            return;
        }
        self.features.insert(PackageFeature::Hls);
        let masters = || title.masters.iter();
        let variants = || masters().flat_map(|master| &master.variants);
        let iframes = || masters().flat_map(|master| &master.iframes);
        let pictures = |one: &&crate::hls::Variant| {
            find(title, one.playlist.as_ref()).is_some_and(|playlist| playlist.stream.kind() == Kind::Video)
        };
        if iframes().next().is_some() {
            self.features.insert(PackageFeature::IframePlaylists);
        }
        let is_independent =
            |playlist: &MediaPlaylist| playlist.independent || playlist.stream.kind() != Kind::Video;
        let renditions = || masters().flat_map(|master| &master.renditions);
        let told = [
            (
                PackageFeature::IndependentSegments,
                masters().all(|master| master.independent) || title.playlists.iter().all(is_independent),
            ),
            (PackageFeature::Codecs, variants().chain(iframes()).all(|one| one.attributes.has("CODECS"))),
            (
                PackageFeature::Resolution,
                variants().filter(pictures).chain(iframes()).all(|one| one.attributes.has("RESOLUTION")),
            ),
            (
                PackageFeature::FrameRates,
                variants().filter(pictures).all(|one| one.attributes.has("FRAME-RATE")),
            ),
            (PackageFeature::AverageBandwidth, variants().all(|one| one.attributes.has("AVERAGE-BANDWIDTH"))),
            (
                PackageFeature::Languages,
                renditions().all(|one| {
                    one.attributes.word("TYPE") == Some("VIDEO") || one.attributes.has("LANGUAGE")
                }),
            ),
        ];
        self.features.extend(told.into_iter().filter(|(_, told)| *told).map(|(feature, _)| feature));
    }

    fn dash(&mut self, title: &Title) {
        if title.manifests.is_empty() {
            return;
        }
        self.features.insert(PackageFeature::Dash);
        let sets = || title.manifests.iter().flat_map(|manifest| &manifest.sets);
        let all = || sets().flat_map(|set| &set.representations);
        if all().any(|one| !one.tiles.is_empty()) {
            self.features.extend([PackageFeature::ThumbnailTiles, PackageFeature::TrickPlay]);
        }
        if sets().all(|set| set.id.is_some()) {
            self.features.insert(PackageFeature::SetIds);
        }
        let encrypted =
            all().filter(|one| one.stream.track().is_some_and(|track| track.protection().is_some()));
        if encrypted.into_iter().all(|one| one.protections.iter().any(|told| !told.boxes.is_empty())) {
            self.features.insert(PackageFeature::LicenceHeaders);
        }
    }
}

/// Pictures of a segment by its time, since single ones may be short where they vary.
fn frames_a_second(segment: &Segment) -> Option<Rational> {
    let samples = i64::try_from(segment.media.as_ref()?.samples).ok()?;
    Rational::whole(samples).checked_div(segment.decoded().filter(|seconds| *seconds > Rational::ZERO)?)
}

/// The longest time from keyframe to keyframe, and from the last to the end.
fn longest_gop(stream: &Stream, track: &Track) -> Option<Rational> {
    let times = stream.segments.iter().filter_map(|segment| segment.media.as_ref());
    let end = times.clone().map(|media| media.latest).max()?;
    let mut times: Vec<i64> = times.flat_map(|media| media.sync_times.iter().copied()).collect();
    times.push(end);
    times.sort_unstable();
    let at = |ticks: i64| seconds(ticks, track.timescale);
    times.windows(2).map(|pair| sub(at(pair[1]), at(pair[0]))).max()
}

/// What a codec is called in the files of destinations.
fn codec_name(codec: Option<&str>) -> String {
    let head = codec.and_then(|codec| codec.split('.').next()).unwrap_or("unknown");
    match head {
        "avc1" | "avc3" => "h264",
        "hvc1" | "hev1" => "hevc",
        "av01" => "av1",
        "mp4a" => "aac",
        "ac-3" => "ac3",
        "ec-3" => "eac3",
        "Opus" => "opus",
        "fLaC" => "flac",
        other => other,
    }
    .to_owned()
}
