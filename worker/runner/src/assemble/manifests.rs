//! Playlists and manifest of the tree, with the segments of texts, which are as long as those of the pictures.

use reel_common::{Failure, TextName};
use reel_package::dash::Manifest;
use reel_package::hls::{AudioMedia, Variant, master_playlist, media_playlist};
use reel_package::{layout, target_duration};
use reel_proto::v1;

use super::collect::Collected;
use super::records::Records;
use super::texts::TextSegments;
use super::{Tree, Written, images};
use crate::text;

impl Tree<'_> {
    /// Writes what players read first. `text_files` are the texts that are files by themselves, with their bytes.
    pub(super) fn manifests(
        &mut self,
        video: &[Written],
        audio: &[Collected],
        text_files: &[(TextName, u64)],
    ) -> Result<(), Failure> {
        let package = self.work.profile.package;
        let streams =
            || video.iter().map(|written| &written.stream).chain(audio.iter().map(|track| &track.stream));
        let target = target_duration(streams());
        let mut texts = Vec::new();
        if let Some(first) = video.first().filter(|_| !self.texts.is_empty()) {
            let segments = TextSegments::like(&first.stream, self.ends_ms.clone(), target, package);
            for format in text::formats(package) {
                texts.push(segments.write(&mut self.staging, *format, &self.texts)?);
            }
        }
        let records = self.records;
        let variants: Vec<_> =
            video.iter().enumerate().map(|(number, written)| variant(records, number, written)).collect();
        let codecs =
            (0..audio.len()).map(|number| self.audio_string(number)).collect::<Result<Vec<_>, _>>()?;
        let tracks = records.audio.iter().zip(&codecs).zip(audio);
        let media: Vec<_> =
            tracks.map(|((record, codec), samples)| audio_media(record, codec, samples)).collect();
        let sprites = records.images.as_ref().map(|record| images::sprites(record, self.times));
        if package.hls {
            let mut master = master_playlist(&variants, &media, &texts, target);
            if let Some(sprites) = &sprites {
                let path = format!("{}/{}", layout::IMAGES, layout::PLAYLIST);
                self.staging.write(&path, sprites.playlist().as_bytes())?;
                master += &sprites.stream_inf();
            }
            self.playlists(&variants, &media, target)?;
            self.staging.write(layout::MASTER, master.as_bytes())?;
        }
        if package.dash {
            let (audio, sprites) = (media.as_slice(), sprites.as_ref());
            let manifest = Manifest { variants: &variants, audio, texts: &texts, text_files, sprites };
            self.staging.write(layout::MANIFEST, manifest.text().as_bytes())?;
        }
        Ok(())
    }

    /// The media playlists of pictures and sound.
    fn playlists(
        &mut self,
        variants: &[Variant<'_>],
        audio: &[AudioMedia<'_>],
        target: u64,
    ) -> Result<(), Failure> {
        for Variant { rendition, stream, iframes, keys, .. } in variants {
            let folder = layout::video_folder(rendition);
            let text = media_playlist(stream, target, *keys);
            self.staging.write(&format!("{folder}/{}", layout::PLAYLIST), text.as_bytes())?;
            if let Some(iframes) = iframes {
                let text = iframes.playlist(target);
                self.staging.write(&format!("{folder}/{}", layout::IFRAMES_PLAYLIST), text.as_bytes())?;
            }
        }
        for AudioMedia { track, stream, keys, .. } in audio {
            let text = media_playlist(stream, target, *keys);
            let path = format!("{}/{}", layout::audio_folder(track), layout::PLAYLIST);
            self.staging.write(&path, text.as_bytes())?;
        }
        Ok(())
    }
}

pub(super) fn variant<'a>(records: &'a Records, number: usize, written: &'a Written) -> Variant<'a> {
    let record = records.rendition(0, number);
    Variant {
        rendition: &record.rendition,
        stream: &written.stream,
        codec: &written.codec,
        width: record.width,
        height: record.height,
        frame_rate: written.frame_rate,
        frames: written.frames,
        colour: written.colour,
        iframes: written.iframes.as_ref(),
        keys: written.keys.as_ref(),
    }
}

pub(super) fn audio_media<'a>(
    record: &'a v1::AudioRecord,
    codec: &'a str,
    samples: &'a Collected,
) -> AudioMedia<'a> {
    AudioMedia {
        track: &record.name,
        stream: &samples.stream,
        keys: samples.keys.as_ref(),
        codec,
        channels: record.channels,
        priming: record.priming.into(),
        language: &record.language,
    }
}
