//! Conversions between generated messages and the value types of `common`. Whatever comes off a wire or a disk
//! may be malformed, so the way in is fallible.

use reel_common as common;
use reel_common::{AttemptNumber, JobId};

use crate::v1;

/// A message that lacks a field or holds a value out of range.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("malformed message: {0} is missing or out of range")]
pub struct Malformed(pub &'static str);

pub(crate) fn required<T, U>(field: Option<T>, name: &'static str) -> Result<U, Malformed>
where
    U: TryFrom<T, Error = Malformed>,
{
    field.ok_or(Malformed(name))?.try_into()
}

/// Labels as they go over the wire.
pub fn wire_labels(labels: &common::Labels) -> Vec<v1::Label> {
    labels.iter().map(|(key, value)| v1::Label { key: key.to_owned(), value: value.to_owned() }).collect()
}

/// Labels as they came over the wire.
///
/// # Errors
/// Keys or values are wrong, or there are too many.
pub fn labels(wire: Vec<v1::Label>) -> Result<common::Labels, common::LabelError> {
    common::Labels::new(wire.into_iter().map(|label| (label.key, label.value)))
}

impl From<common::WorkerFacts> for v1::Register {
    fn from(facts: common::WorkerFacts) -> Self {
        v1::Register {
            labels: wire_labels(&facts.labels),
            pool: v1::Pool::from(facts.pool).into(),
            name: facts.name,
            incarnation: facts.incarnation,
            slots: facts.slots,
            memory_bytes: facts.memory,
            scratch_bytes: facts.scratch,
            codecs: facts.codecs.into_iter().collect(),
            hooks: facts.hooks.into_iter().collect(),
            price_micros: facts.price.micros,
        }
    }
}

impl TryFrom<v1::Register> for common::WorkerFacts {
    type Error = Malformed;

    fn try_from(register: v1::Register) -> Result<Self, Malformed> {
        Ok(common::WorkerFacts {
            pool: register.pool().into(),
            labels: labels(register.labels).map_err(|_| Malformed("label of a worker"))?,
            name: register.name,
            incarnation: register.incarnation,
            slots: register.slots,
            memory: register.memory_bytes,
            price: common::Price { micros: register.price_micros },
            scratch: register.scratch_bytes,
            codecs: register.codecs.into_iter().collect(),
            hooks: register.hooks.into_iter().collect(),
        })
    }
}

impl From<common::Pool> for v1::Pool {
    fn from(pool: common::Pool) -> Self {
        match pool {
            common::Pool::OnDemand => v1::Pool::OnDemand,
            common::Pool::Spot => v1::Pool::Spot,
        }
    }
}

impl From<v1::Pool> for common::Pool {
    fn from(pool: v1::Pool) -> Self {
        match pool {
            v1::Pool::OnDemand => common::Pool::OnDemand,
            v1::Pool::Spot => common::Pool::Spot,
        }
    }
}

impl From<common::Rational> for v1::Rational {
    fn from(value: common::Rational) -> Self {
        v1::Rational { num: value.num(), den: value.den() }
    }
}

impl TryFrom<v1::Rational> for common::Rational {
    type Error = Malformed;

    fn try_from(value: v1::Rational) -> Result<Self, Malformed> {
        common::Rational::new(value.num, value.den).ok_or(Malformed("rational"))
    }
}

impl From<common::Artifact> for v1::Artifact {
    fn from(value: common::Artifact) -> Self {
        v1::Artifact { sha256: value.sha256.0.to_vec(), size: value.size }
    }
}

impl TryFrom<v1::Artifact> for common::Artifact {
    type Error = Malformed;

    fn try_from(value: v1::Artifact) -> Result<Self, Malformed> {
        (&value).try_into()
    }
}

impl TryFrom<&v1::Artifact> for common::Artifact {
    type Error = Malformed;

    fn try_from(value: &v1::Artifact) -> Result<Self, Malformed> {
        let sha256 = value.sha256.as_slice().try_into().map_err(|_| Malformed("artifact digest"))?;
        Ok(common::Artifact { sha256, size: value.size })
    }
}

impl From<common::Stage> for v1::Stage {
    fn from(value: common::Stage) -> Self {
        match value {
            common::Stage::Index => v1::Stage::Index,
            common::Stage::Probe => v1::Stage::Probe,
            common::Stage::Encode => v1::Stage::Encode,
            common::Stage::Audio => v1::Stage::Audio,
            common::Stage::Image => v1::Stage::Image,
            common::Stage::Assemble => v1::Stage::Assemble,
            common::Stage::Measure => v1::Stage::Measure,
            common::Stage::Preview => v1::Stage::Preview,
            common::Stage::Check => v1::Stage::Check,
            common::Stage::Deliver => v1::Stage::Deliver,
            common::Stage::Hook => v1::Stage::Hook,
        }
    }
}

impl TryFrom<v1::Stage> for common::Stage {
    type Error = Malformed;

    fn try_from(value: v1::Stage) -> Result<Self, Malformed> {
        match value {
            v1::Stage::Unspecified => Err(Malformed("stage")),
            v1::Stage::Index => Ok(common::Stage::Index),
            v1::Stage::Probe => Ok(common::Stage::Probe),
            v1::Stage::Encode => Ok(common::Stage::Encode),
            v1::Stage::Audio => Ok(common::Stage::Audio),
            v1::Stage::Image => Ok(common::Stage::Image),
            v1::Stage::Assemble => Ok(common::Stage::Assemble),
            v1::Stage::Measure => Ok(common::Stage::Measure),
            v1::Stage::Preview => Ok(common::Stage::Preview),
            v1::Stage::Check => Ok(common::Stage::Check),
            v1::Stage::Deliver => Ok(common::Stage::Deliver),
            v1::Stage::Hook => Ok(common::Stage::Hook),
        }
    }
}

impl From<common::TextSource> for v1::TextSource {
    fn from(value: common::TextSource) -> Self {
        let role = match value.name.role {
            common::TextRole::Subtitles => v1::TextRole::Subtitles,
            common::TextRole::Captions => v1::TextRole::Captions,
            common::TextRole::Forced => v1::TextRole::Forced,
        };
        v1::TextSource {
            language: value.name.language,
            role: role.into(),
            location: value.location,
            identity: value.identity.map(Into::into),
            start_ms: value.start_ms,
        }
    }
}

impl From<v1::TextSource> for common::TextSource {
    fn from(value: v1::TextSource) -> Self {
        let role = match value.role() {
            v1::TextRole::Subtitles => common::TextRole::Subtitles,
            v1::TextRole::Captions => common::TextRole::Captions,
            v1::TextRole::Forced => common::TextRole::Forced,
        };
        common::TextSource {
            name: common::TextName { language: value.language, role },
            location: value.location,
            identity: value.identity.map(Into::into),
            start_ms: value.start_ms,
        }
    }
}

impl From<common::Hook> for v1::Hook {
    fn from(value: common::Hook) -> Self {
        v1::Hook { name: value.name, tasks: value.tasks }
    }
}

impl From<v1::Hook> for common::Hook {
    fn from(value: v1::Hook) -> Self {
        common::Hook { name: value.name, tasks: value.tasks }
    }
}

impl From<common::TaskId> for v1::TaskId {
    fn from(value: common::TaskId) -> Self {
        v1::TaskId { job: value.job.0, stage: v1::Stage::from(value.stage).into(), index: value.index }
    }
}

impl TryFrom<v1::TaskId> for common::TaskId {
    type Error = Malformed;

    fn try_from(value: v1::TaskId) -> Result<Self, Malformed> {
        Ok(common::TaskId { job: JobId(value.job), stage: value.stage().try_into()?, index: value.index })
    }
}

impl From<common::FailureClass> for v1::FailureClass {
    fn from(value: common::FailureClass) -> Self {
        match value {
            common::FailureClass::Preempted => v1::FailureClass::Preempted,
            common::FailureClass::Lost => v1::FailureClass::Lost,
            common::FailureClass::Shortage => v1::FailureClass::Shortage,
            common::FailureClass::Failed => v1::FailureClass::Failed,
            common::FailureClass::Invalid => v1::FailureClass::Invalid,
            common::FailureClass::Poisoned => v1::FailureClass::Poisoned,
        }
    }
}

impl TryFrom<v1::FailureClass> for common::FailureClass {
    type Error = Malformed;

    fn try_from(value: v1::FailureClass) -> Result<Self, Malformed> {
        match value {
            v1::FailureClass::Unspecified => Err(Malformed("failure class")),
            v1::FailureClass::Preempted => Ok(common::FailureClass::Preempted),
            v1::FailureClass::Lost => Ok(common::FailureClass::Lost),
            v1::FailureClass::Shortage => Ok(common::FailureClass::Shortage),
            v1::FailureClass::Failed => Ok(common::FailureClass::Failed),
            v1::FailureClass::Invalid => Ok(common::FailureClass::Invalid),
            v1::FailureClass::Poisoned => Ok(common::FailureClass::Poisoned),
        }
    }
}

impl From<common::Failure> for v1::Failure {
    fn from(value: common::Failure) -> Self {
        let class = v1::FailureClass::from(value.class).into();
        v1::Failure {
            class,
            message: value.message,
            evidence: value.evidence,
            damaged_parts: value.damaged_parts.into_iter().map(|part| part.0).collect(),
            damaged_tracks: value.damaged_tracks,
            damaged_images: value.damaged_images,
        }
    }
}

impl TryFrom<v1::Failure> for common::Failure {
    type Error = Malformed;

    fn try_from(value: v1::Failure) -> Result<Self, Malformed> {
        let mut failure = common::Failure::new(value.class().try_into()?, &value.message, &value.evidence);
        failure.damaged_parts = value.damaged_parts.into_iter().map(common::PartIndex).collect();
        failure.damaged_tracks = value.damaged_tracks;
        failure.damaged_images = value.damaged_images;
        Ok(failure)
    }
}

impl From<common::SourceIdentity> for v1::SourceIdentity {
    fn from(value: common::SourceIdentity) -> Self {
        v1::SourceIdentity { size: value.size, modified_us: value.modified_us, etag: value.etag }
    }
}

impl From<v1::SourceIdentity> for common::SourceIdentity {
    fn from(value: v1::SourceIdentity) -> Self {
        common::SourceIdentity { size: value.size, modified_us: value.modified_us, etag: value.etag }
    }
}

impl From<common::PartSpec> for v1::PartSpec {
    fn from(value: common::PartSpec) -> Self {
        v1::PartSpec {
            index: value.index.0,
            segment_starts: value.segment_starts,
            end: value.end,
            first_segment: value.first_segment,
        }
    }
}

impl TryFrom<v1::PartSpec> for common::PartSpec {
    type Error = Malformed;

    fn try_from(value: v1::PartSpec) -> Result<Self, Malformed> {
        let ascending = value.segment_starts.windows(2).all(|pair| pair[0] < pair[1]);
        if !ascending || value.segment_starts.last().is_none_or(|last| *last >= value.end) {
            return Err(Malformed("segment starts of a part"));
        }
        Ok(common::PartSpec {
            index: common::PartIndex(value.index),
            segment_starts: value.segment_starts,
            end: value.end,
            first_segment: value.first_segment,
        })
    }
}

impl From<common::Colour> for v1::Colour {
    fn from(value: common::Colour) -> Self {
        v1::Colour {
            primaries: value.primaries.into(),
            transfer: value.transfer.into(),
            matrix: value.matrix.into(),
            full_range: value.full_range,
            chroma_location: value.chroma_location.map(u32::from),
        }
    }
}

impl TryFrom<v1::Colour> for common::Colour {
    type Error = Malformed;

    fn try_from(value: v1::Colour) -> Result<Self, Malformed> {
        let byte = |number: u32| u8::try_from(number).map_err(|_| Malformed("colour code point"));
        Ok(common::Colour {
            primaries: byte(value.primaries)?,
            transfer: byte(value.transfer)?,
            matrix: byte(value.matrix)?,
            full_range: value.full_range,
            chroma_location: value.chroma_location.map(byte).transpose()?,
        })
    }
}

impl From<&v1::VideoFacts> for common::Scan {
    fn from(value: &v1::VideoFacts) -> Self {
        match (value.interlaced, value.bottom_field_first) {
            (false, _) => common::Scan::Progressive,
            (true, false) => common::Scan::TopFieldFirst,
            (true, true) => common::Scan::BottomFieldFirst,
        }
    }
}

impl From<common::VideoFacts> for v1::VideoFacts {
    fn from(value: common::VideoFacts) -> Self {
        v1::VideoFacts {
            stream: value.stream,
            codec: value.codec,
            codec_profile: value.codec_profile,
            width: value.width,
            height: value.height,
            sample_aspect: Some(value.sample_aspect.into()),
            rotation: value.rotation.into(),
            pixel_format: value.pixel_format,
            interlaced: value.scan != common::Scan::Progressive,
            bottom_field_first: value.scan == common::Scan::BottomFieldFirst,
            telecine: value.telecine,
            timecode: value.timecode,
            streams: value.streams,
            colour: Some(value.colour.into()),
            mastering: value.hdr10.mastering.map(Into::into),
            light_level: value.hdr10.light_level.map(Into::into),
            captions: value.captions,
        }
    }
}

impl TryFrom<&v1::VideoFacts> for common::Hdr10 {
    type Error = Malformed;

    fn try_from(value: &v1::VideoFacts) -> Result<Self, Malformed> {
        Ok(common::Hdr10 {
            mastering: value.mastering.clone().map(TryInto::try_into).transpose()?,
            light_level: value.light_level.map(TryInto::try_into).transpose()?,
        })
    }
}

impl From<common::Mastering> for v1::Mastering {
    fn from(value: common::Mastering) -> Self {
        let common::Mastering { red, green, blue, white, max_luminance, min_luminance } = value;
        let chromaticities = [red, green, blue, white].concat().into_iter().map(u32::from).collect();
        v1::Mastering { chromaticities, max_luminance, min_luminance }
    }
}

impl TryFrom<v1::Mastering> for common::Mastering {
    type Error = Malformed;

    fn try_from(value: v1::Mastering) -> Result<Self, Malformed> {
        let v1::Mastering { chromaticities, max_luminance, min_luminance } = value;
        let narrow = |number: u32| u16::try_from(number).map_err(|_| Malformed("chromaticity"));
        let values = chromaticities.into_iter().map(narrow).collect::<Result<Vec<_>, _>>()?;
        let [rx, ry, gx, gy, bx, by, wx, wy] = *values else { return Err(Malformed("chromaticities")) };
        let (red, green, blue, white) = ([rx, ry], [gx, gy], [bx, by], [wx, wy]);
        Ok(common::Mastering { red, green, blue, white, max_luminance, min_luminance })
    }
}

impl From<common::LightLevel> for v1::LightLevel {
    fn from(value: common::LightLevel) -> Self {
        v1::LightLevel {
            max_content: value.max_content.into(),
            max_frame_average: value.max_frame_average.into(),
        }
    }
}

impl TryFrom<v1::LightLevel> for common::LightLevel {
    type Error = Malformed;

    fn try_from(value: v1::LightLevel) -> Result<Self, Malformed> {
        let narrow = |number: u32| u16::try_from(number).map_err(|_| Malformed("light level"));
        Ok(common::LightLevel {
            max_content: narrow(value.max_content)?,
            max_frame_average: narrow(value.max_frame_average)?,
        })
    }
}

impl TryFrom<v1::VideoFacts> for common::VideoFacts {
    type Error = Malformed;

    fn try_from(value: v1::VideoFacts) -> Result<Self, Malformed> {
        let hdr10 = (&value).try_into()?;
        let scan = (&value).into();
        Ok(common::VideoFacts {
            stream: value.stream,
            codec: value.codec,
            codec_profile: value.codec_profile,
            width: value.width,
            height: value.height,
            sample_aspect: required(value.sample_aspect, "sample aspect ratio")?,
            rotation: u16::try_from(value.rotation).map_err(|_| Malformed("rotation"))?,
            pixel_format: value.pixel_format,
            scan,
            telecine: value.telecine,
            timecode: value.timecode,
            streams: value.streams,
            colour: required(value.colour, "colour")?,
            hdr10,
            captions: value.captions,
        })
    }
}

impl From<common::AudioFacts> for v1::AudioFacts {
    fn from(value: common::AudioFacts) -> Self {
        v1::AudioFacts {
            stream: value.stream,
            codec: value.codec,
            sample_rate: value.sample_rate,
            channels: value.channels,
            layout: value.layout,
            language: value.language,
            start: Some(value.start.into()),
        }
    }
}

impl TryFrom<v1::AudioFacts> for common::AudioFacts {
    type Error = Malformed;

    fn try_from(value: v1::AudioFacts) -> Result<Self, Malformed> {
        Ok(common::AudioFacts {
            stream: value.stream,
            codec: value.codec,
            sample_rate: value.sample_rate,
            channels: value.channels,
            layout: value.layout,
            language: value.language,
            start: required(value.start, "audio start")?,
        })
    }
}

impl From<common::IndexSummary> for v1::IndexSummary {
    fn from(value: common::IndexSummary) -> Self {
        v1::IndexSummary {
            artifact: Some(value.artifact.into()),
            container: value.container,
            video: Some(value.video.into()),
            audio: value.audio.into_iter().map(Into::into).collect(),
            frames: value.frames,
            random_access_points: value.random_access_points,
            duration: Some(value.duration.into()),
            timing: Some(value.timing.into()),
            bytes_read: value.bytes_read,
            texts: value.texts.into_iter().map(Into::into).collect(),
        }
    }
}

impl From<common::TextFacts> for v1::TextFacts {
    fn from(value: common::TextFacts) -> Self {
        v1::TextFacts { stream: value.stream, codec: value.codec, language: value.language }
    }
}

impl From<v1::TextFacts> for common::TextFacts {
    fn from(value: v1::TextFacts) -> Self {
        common::TextFacts { stream: value.stream, codec: value.codec, language: value.language }
    }
}

impl TryFrom<v1::IndexSummary> for common::IndexSummary {
    type Error = Malformed;

    fn try_from(value: v1::IndexSummary) -> Result<Self, Malformed> {
        Ok(common::IndexSummary {
            artifact: required(value.artifact, "index artifact")?,
            container: value.container,
            video: required(value.video, "video stream")?,
            audio: value.audio.into_iter().map(TryInto::try_into).collect::<Result<_, _>>()?,
            frames: value.frames,
            random_access_points: value.random_access_points,
            duration: required(value.duration, "duration")?,
            timing: required(value.timing, "timing")?,
            bytes_read: value.bytes_read,
            texts: value.texts.into_iter().map(Into::into).collect(),
        })
    }
}

/// The attempt a spec belongs to, with its task and epoch.
impl TryFrom<&v1::TaskSpec> for (common::TaskId, AttemptNumber, common::Epoch) {
    type Error = Malformed;

    fn try_from(spec: &v1::TaskSpec) -> Result<Self, Malformed> {
        Ok((required(spec.task, "task")?, AttemptNumber(spec.attempt), common::Epoch(spec.epoch)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_without_its_fields_is_refused_by_name() {
        let empty = v1::IndexSummary::default();
        assert_eq!(common::IndexSummary::try_from(empty), Err(Malformed("index artifact")));
        let zero = v1::Rational { num: 1, den: 0 };
        assert_eq!(common::Rational::try_from(zero), Err(Malformed("rational")));
        let disorder = v1::PartSpec { segment_starts: vec![4, 4], end: 9, ..Default::default() };
        assert_eq!(common::PartSpec::try_from(disorder), Err(Malformed("segment starts of a part")));
    }
}
