//! Captions in pictures: from the records of parts into the tree, and their proof.

use super::*;

/// Pairs of the first channel, each with its frame: a caption that the parts of a title send, show and erase.
const PAIRS: [(u64, [u8; 2]); 5] =
    [(2, [0x94, 0x20]), (3, [0x94, 0x70]), (4, [0xc8, 0xe9]), (10, [0x94, 0x2f]), (20, [0x94, 0x2c])];

/// A title of three parts with texts, of which part n has frames 8n to 8n + 7.
fn farm(texts: &[&str]) -> Farm {
    let mut farm = Farm::new(3);
    farm.profile.segment_seconds = Rational::new(1, 6).unwrap();
    for part in &mut farm.parts {
        let own = |(frame, _): &&(u64, [u8; 2])| frame / 8 == u64::from(part.part);
        let mut captions = v1::PictureCaptions::default();
        for (frame, [first, second]) in PAIRS.iter().filter(own) {
            captions.frame_deltas.push(frame - captions.frame_deltas.iter().sum::<u64>());
            captions.triplets.push(1);
            captions.data.extend([0xfc, *first, *second]);
        }
        for rendition in &mut part.renditions {
            rendition.captions = Some(captions.clone());
        }
    }
    farm.commit();
    farm.task.index = Some(farm.publish(&announced(texts)));
    farm
}

/// An index of such a title.
fn announced(texts: &[&str]) -> v1::Index {
    let text = |text: &&str| {
        let source = text.parse::<reel_common::TextSource>().unwrap();
        v1::Text { source: Some(source.into()), ..Default::default() }
    };
    let mut index = index(24);
    index.texts = texts.iter().map(text).collect();
    let square = Some(v1::Rational { num: 1, den: 1 });
    let facts = v1::VideoFacts {
        codec: "h264".to_owned(),
        width: 1920,
        height: 1080,
        sample_aspect: square,
        colour: Some(v1::Colour::default()),
        ..Default::default()
    };
    index.video.as_mut().unwrap().facts = Some(facts);
    index
}

#[test]
fn captions_of_parts_become_a_text_that_is_proved() {
    let farm = farm(&["en:captions=video:cc1"]);
    let assembly = farm.assemble().unwrap();
    let staging = Path::new(&assembly.staging);
    let whole = fs::read_to_string(staging.join("subtitles/en-captions.vtt")).unwrap();
    assert!(whole.contains("00:00:00.417 --> 00:00:00.834 position:10% align:left\nHi\n"), "{whole}");
    let index = announced(&["en:captions=video:cc1"]);
    let prove = |parts: &[v1::PartRecord]| text::proof::prove(staging, &index, &farm.profile, parts);
    prove(&assembly.parts).unwrap();
    // Other captions in a part than those that the tree shows.
    let mut other = assembly.parts.clone();
    for rendition in &mut other[0].renditions {
        rendition.captions.as_mut().unwrap().data[7] = 0xc1;
    }
    assert!(prove(&other).unwrap_err().message.contains("does not show what it should at 417 ms"));
    // A segment that says something else, and one that says nothing.
    let segment = staging.join("subtitles/webvtt/en-captions/seg_00003.vtt");
    let text = fs::read_to_string(&segment).unwrap();
    for altered in [text.replace("Hi", "Ho"), text.replace("417", "418"), text.replace("Hi\n", "")] {
        fs::write(&segment, altered).unwrap();
        let message = prove(&assembly.parts).unwrap_err().message;
        assert!(message.starts_with("subtitles/webvtt/en-captions/seg_00003.vtt of the output"), "{message}");
    }
}

#[test]
fn captions_that_are_not_there_end_the_job() {
    let refused = |farm: &Farm, what: &str| {
        let failure = farm.assemble().unwrap_err();
        assert!(failure.message.contains(what), "{}", failure.message);
        farm.assert_nothing_left();
        failure.class
    };
    let farm_of = farm;
    let class =
        refused(&farm_of(&["en=video:cc3"]), "`en`, video:cc3: the pictures carry no such captions, but cc1");
    assert_eq!(class, FailureClass::Invalid);
    // The title begins later than the captions end.
    let late = refused(&farm_of(&["en@00:00:30=video:cc1"]), "no cue lies within the 1.0 s of the title");
    assert_eq!(late, FailureClass::Invalid);
    let mut farm = farm_of(&["en=video:cc1"]);
    farm.parts[1].renditions[0].captions = None;
    farm.commit();
    let class = refused(&farm, "a part was encoded by a version that does not look for captions");
    assert_eq!(class, FailureClass::Failed);
    farm.parts[1].renditions[0].captions = Some(v1::PictureCaptions { data: vec![1], ..Default::default() });
    farm.commit();
    refused(&farm, "the captions in the record of part 1");
}
