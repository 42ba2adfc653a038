//! The stages of a job, one after the other.

use std::fs;

use prost::Message;
use reel_common::{Artifact, Digest};
use reel_proto::v1;
use reel_proto::v1::task_spec::Work;

use crate::farm::{End, Farm, Plan, media};

/// Encodes, assembles and measures; what is left is to deliver.
async fn up_to_delivery(farm: &mut Farm) -> v1::DeliverTask {
    let mezzanine = media("big-buck-bunny-720p-5.1.mp4");
    let plan = farm.plan(&mezzanine).await;
    // Two chunks at once: the agent has two slots.
    farm.grant(&mezzanine, plan.encode(0..1)).await;
    farm.grant(&mezzanine, plan.encode(1..plan.parts.len())).await;
    for _ in 0..2 {
        assert!(matches!(farm.end().await, End::Committed(None)));
    }
    let index = Some(plan.index.clone());
    let track = v1::AudioTask { index: index.clone(), track: 0 };
    let audio = farm.object(&mezzanine, Work::Audio(track)).await;
    let assemble = v1::AssembleTask {
        index: index.clone(),
        parts: farm.parts.values().map(|part| part.record.clone().unwrap()).collect(),
        audio: vec![audio],
        ..v1::AssembleTask::default()
    };
    let assembly = farm.object(&mezzanine, Work::Assemble(assemble)).await;
    let tree = farm.dir.path().join(".title.reel-42.partial").to_str().unwrap().to_owned();
    let measure = v1::MeasureTask { index: index.clone(), tree, assembly: Some(assembly.clone()) };
    let proof = farm.object(&mezzanine, Work::Measure(measure)).await;
    let history = Some(v1::JobHistory {
        job: 42,
        submitted_ms: 1_000,
        parts: plan.parts.iter().map(|_| v1::PartHistory::default()).collect(),
        renditions_encoded: 6,
        source_bytes_read: 7_000,
        attempts: vec![v1::AttemptRecord { source_bytes_read: Some(4_000), ..v1::AttemptRecord::default() }],
        ..v1::JobHistory::default()
    });
    v1::DeliverTask { index, assembly: Some(assembly), proof: Some(proof), history, check: None }
}

#[tokio::test]
async fn a_job_goes_through_all_stages_and_a_repeated_delivery_changes_nothing() {
    let mut farm = Farm::new().await;
    let mezzanine = media("big-buck-bunny-720p-5.1.mp4");
    let deliver = up_to_delivery(&mut farm).await;
    assert!(!farm.output().exists());
    for stage in [v1::Stage::Index, v1::Stage::Encode, v1::Stage::Audio] {
        assert!(farm.read[&stage].is_some_and(|bytes| bytes > 0), "{stage:?} says {:?}", farm.read[&stage]);
    }
    for stage in [v1::Stage::Assemble, v1::Stage::Measure] {
        assert_eq!(farm.read[&stage], None, "{stage:?} does not open the mezzanine");
    }
    let first = farm.object(&mezzanine, Work::Deliver(deliver.clone())).await;

    let text = fs::read(farm.output().join("report.json")).unwrap();
    assert_eq!(Artifact::try_from(first.clone()).unwrap(), Artifact::of(&text));
    let report: serde_json::Value = serde_json::from_slice(&text).unwrap();
    assert_eq!(report["job"]["renditions_encoded"], 6);
    assert_eq!(report["job"]["source_bytes_read"], 7_000);
    assert_eq!(report["job"]["attempts"][0]["source_bytes_read"], 4_000);
    assert_eq!(report["renditions"][0]["frames"], 132);
    assert_eq!(report["renditions"][1]["parts"].as_array().unwrap().len(), farm.parts.len());
    assert_eq!(report["proof"]["renditions"][0]["frames"], 132);
    for file in report["files"].as_array().unwrap() {
        let bytes = fs::read(farm.output().join(file["path"].as_str().unwrap())).unwrap();
        assert_eq!(file["sha256"], Digest::of(&bytes).to_string(), "{file}");
    }

    // As after a kill between the rename and the commit.
    assert_eq!(farm.object(&mezzanine, Work::Deliver(deliver)).await, first);
    let beside = fs::read_dir(farm.dir.path()).unwrap().map(|entry| entry.unwrap().file_name());
    let mut beside: Vec<_> = beside.collect();
    beside.sort();
    assert_eq!(beside, ["hooks", "scratch", "store", "title"]);
    farm.no_scratch_left().await;
}

#[tokio::test]
async fn what_is_in_the_store_is_not_encoded_again() {
    let mut farm = Farm::new().await;
    let mezzanine = media("big-buck-bunny-720p-5.1.mp4");
    let plan = farm.plan(&mezzanine).await;
    farm.grant(&mezzanine, plan.encode(0..1)).await;
    farm.end().await;
    let first = farm.parts.remove(&0).unwrap();
    assert_eq!((first.renditions_encoded, first.renditions_reused), (2, 0));
    farm.grant(&mezzanine, plan.encode(0..1)).await;
    farm.end().await;
    let second = farm.parts.remove(&0).unwrap();
    assert_eq!((second.renditions_encoded, second.renditions_reused), (0, 2));
    assert_eq!(second.record, first.record);

    // A flipped bit in one stored rendition: that one is encoded again, to the same bytes.
    let store = farm.store();
    let artifact = Artifact::try_from(first.record.clone().unwrap()).unwrap();
    let record = v1::PartRecord::decode(store.object(artifact).await.unwrap()).unwrap();
    let key = reel_common::RecipeKey(Digest::try_from(record.renditions[0].recipe_key.as_slice()).unwrap());
    let path = store.local_path(key).unwrap();
    let mut bytes = fs::read(&path).unwrap();
    bytes[1000] ^= 1;
    fs::write(&path, &bytes).unwrap();
    farm.grant(&mezzanine, plan.encode(0..1)).await;
    farm.end().await;
    let third = farm.parts.remove(&0).unwrap();
    assert_eq!((third.renditions_encoded, third.renditions_reused), (1, 1));
    assert_eq!(third.record, first.record);
    bytes[1000] ^= 1;
    assert_eq!(fs::read(&path).unwrap(), bytes);
}

#[tokio::test]
async fn a_wrong_mezzanine_fails_its_attempt_as_invalid_with_the_reason() {
    let mut farm = Farm::new().await;
    let text = farm.dir.path().join("text.mov");
    fs::write(&text, "not a film").unwrap();
    for (mezzanine, reason) in [(text, "text.mov"), (media("nothing.mov"), "does not exist")] {
        farm.grant(&mezzanine, Work::Index(v1::IndexTask::default())).await;
        let End::Failed(failure) = farm.end().await else { panic!("it was taken") };
        assert_eq!(failure.class, reel_common::FailureClass::Invalid, "{failure:?}");
        assert!(failure.message.contains(reason), "{failure:?}");
        assert!(!failure.evidence.contains("last progress"), "{failure:?}");
    }
}

#[tokio::test]
async fn an_index_that_is_committed_lies_in_the_store() {
    let mut farm = Farm::new().await;
    let Plan { index, parts } = farm.plan(&media("city.mpg")).await;
    let artifact = Artifact::try_from(index).unwrap();
    let index = v1::Index::decode(farm.store().object(artifact).await.unwrap()).unwrap();
    assert!(index.video.is_some() && !parts.is_empty());
}
