//! A farm whose store and mezzanines lie behind servers: faults of the network change nothing but the time, a store that
//! cannot be used is told at once, and secrets stay where they are.

#![allow(clippy::unwrap_used, reason = "a test fails where it is surprised")]

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use reel_client::{Client, Servers};
use reel_common::Digest;
use reel_proto::v1::SubmitRequest;
use reel_store::{Credentials, Store};
use reel_tests::clouds::{Azure, Gcs, S3, Variables};
use reel_tests::farm::{Farm, FarmBuilder};
use reel_tests::reel::{Ended, Reel, until};
use reel_tests::tree::{assert_same, digests, files};
use reel_tests::weather::{Fault, Weather};
use reel_tests::{Dice, fixtures, profile, scratch};
use tempfile::TempDir;

const STORE: &str = "s3://media/farm";

/// What `reel transcode` makes of a mezzanine.
fn by_one_process(mezzanine: &Path) -> BTreeMap<PathBuf, Digest> {
    let dir = scratch();
    let output = dir.path().join("title");
    Reel::transcode(dir.path(), mezzanine, &output, &profile("quick")).args("--quiet").run().success();
    digests(&output)
}

fn buckets() -> TempDir {
    let buckets = scratch();
    fs::create_dir(buckets.path().join("media")).unwrap();
    buckets
}

fn farm(server: &S3) -> FarmBuilder {
    Farm::builder().workers(2).store(STORE).env(server.environment(S3::SECRET))
}

fn assert_done(farm: &Farm, job: u64, wanted: &BTreeMap<PathBuf, Digest>, what: &str) {
    let done = farm.wait(job);
    assert_eq!((&done["state"], &done["parts_encoded_twice"]), (&"done".into(), &0.into()), "{done}");
    assert_same(&digests(&farm.output("a")), wanted, what);
}

#[test]
fn a_store_in_s3_in_a_storm_gives_the_same_title() {
    let dice = Dice::from_env();
    println!("replay with REEL_TEST_SEED={}", dice.seed);
    let (buckets, mezzanine) = (buckets(), fixtures::prores_mov().path);
    let server = S3::serve_in(buckets.path(), Weather::storm(dice, 120, &Fault::ALL));
    let farm = farm(&server).start();
    let job = farm.submit(&mezzanine, "a", &profile("quick"), "--chunk-parts 1");
    assert_done(&farm, job, &by_one_process(&mezzanine), "stored in a storm");
    let (requests, met) = server.weather().met();
    println!("{requests} requests, {met:?}");
    assert!(requests > 100 && met.values().sum::<u64>() * 20 > requests, "{requests}: {met:?}");
    let left = fs::read_dir(buckets.path()).unwrap().map(|entry| entry.unwrap().file_name());
    let left = left.filter(|name| name.to_string_lossy().starts_with(".upload"));
    assert_eq!(left.collect::<Vec<_>>(), Vec::<OsString>::new(), "no upload without an end");
}

#[test]
fn a_job_waits_for_a_store_that_is_away() {
    let (buckets, mezzanine) = (buckets(), fixtures::prores_mov().path);
    let mut server = S3::serve(buckets.path());
    let farm = farm(&server).start();
    let job = farm.submit(&mezzanine, "a", &profile("quick"), "--chunk-parts 1");
    until("a committed part", Duration::from_secs(60), || {
        farm.job(job)["parts_committed"].as_u64() > Some(0)
    });
    server.go_away();
    // Longer than requests are patient: an attempt ends as a shortage.
    until("an attempt to give up", Duration::from_secs(120), || {
        ["w1", "w2"].iter().any(|worker| farm.log(worker).contains("attempt=2"))
    });
    assert_eq!(farm.job(job)["state"], "running");
    server.come_back();
    assert_done(&farm, job, &by_one_process(&mezzanine), "the store was away");
}

#[test]
fn a_worker_whose_store_cannot_be_used_says_so_when_it_starts() {
    let (buckets, dir) = (buckets(), scratch());
    let mut server = S3::serve(buckets.path());
    let start = |store: &str, secret: &str| -> Ended {
        let words =
            ["worker", "start", "--name", "w1", "--server", "http://127.0.0.1:1", "--data", "w1", "--store"];
        let words = words
            .map(|word| if word == "w1" { dir.path().join("w1").display().to_string() } else { word.into() });
        Reel::new(dir.path(), words).arg(store).env(server.environment(secret)).run()
    };
    for (store, secret, code, says) in [
        (
            STORE,
            "not-the-secret-at-all",
            5,
            "check the permissions of the folder or the credentials in the environment",
        ),
        ("s3://elsewhere/farm", S3::SECRET, 2, "its bucket or container does not exist; make it first"),
        (
            "s3://studio:not-the-secret-at-all@media/farm",
            S3::SECRET,
            2,
            "give credentials in the environment",
        ),
        ("https://host/farm?sig=not-the-secret-at-all", S3::SECRET, 2, "https: URLs cannot be written"),
    ] {
        let refused = start(store, secret);
        assert_eq!((refused.code, refused.stderr.contains(says)), (Some(code), true), "{}", refused.stderr);
        assert!(!refused.stderr.contains("not-the-secret-at-all"), "{}", refused.stderr);
    }
    let environment = server.environment(S3::SECRET);
    server.go_away();
    let words = ["worker", "start", "--server", "http://127.0.0.1:1", "--data"];
    let away =
        Reel::new(dir.path(), words).arg(dir.path().join("w2")).arg("--store").arg(STORE).env(environment);
    let away = away.run();
    let says = "the server does not answer";
    assert_eq!((away.code, away.stderr.contains(says)), (Some(6), true), "{}", away.stderr);
}

/// Files below a folder that hold a text.
fn that_tell(folder: &Path, secret: &str) -> Vec<PathBuf> {
    let mut found = files(folder);
    let secret = secret.as_bytes();
    found.retain(|path| {
        // What is removed meanwhile tells nothing.
        let bytes = fs::read(folder.join(path)).unwrap_or_default();
        bytes.windows(secret.len()).any(|found| found == secret)
    });
    found
}

#[test]
fn a_farm_keeps_its_secrets_out_of_all_that_it_writes() {
    let (buckets, mezzanine) = (buckets(), fixtures::prores_mov().path);
    fs::copy(&mezzanine, buckets.path().join("media/master.mov")).unwrap();
    let server = S3::serve_in(buckets.path(), Weather::storm(Dice::new(7), 50, &Fault::ALL));
    let farm = farm(&server).env(vec![("REEL_LOG", "debug".to_owned())]).start();
    let job = farm.submit("s3://media/master.mov", "a", &profile("quick"), "");
    assert_done(&farm, job, &by_one_process(&mezzanine), "from S3 to S3");
    let shown = farm.job(job).to_string();
    assert!(!shown.contains(S3::SECRET), "{shown}");

    let secret = S3::SECRET;
    for url in [
        format!("s3://studio:{secret}@media/master.mov"),
        format!("https://host/master.mov?X-Amz-Signature={secret}"),
    ] {
        let submit =
            farm.reel("submit").arg(&url).arg(farm.output("b")).arg("--profile").arg(profile("quick"));
        let refused = submit.run();
        let says = "credentials in the environment";
        assert_eq!((refused.code, refused.stderr.contains(says)), (Some(2), true), "{}", refused.stderr);
    }
    // Programs of others are told so by the scheduler, before its log has it.
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let client = runtime.block_on(async { Client::new(Servers::parse(&farm.servers()).unwrap()) });
    let request = SubmitRequest {
        mezzanine: format!("https://studio:{secret}@host/master.mov"),
        profile: fs::read_to_string(profile("quick")).unwrap(),
        output: farm.output("c").display().to_string(),
        ..SubmitRequest::default()
    };
    let refused = runtime.block_on(client.submit(request)).unwrap_err().to_string();
    assert!(refused.contains("the mezzanine holds a user name or password"), "{refused}");
    for log in ["s1", "w1", "w2"] {
        assert!(farm.log(log).contains("DEBUG"), "{log} says little");
    }
    assert_eq!(that_tell(farm.shared(), secret), Vec::<PathBuf>::new());
    assert_eq!(that_tell(buckets.path(), secret), Vec::<PathBuf>::new());
}

/// Puts a mezzanine into a store, looks at it with `reel probe` at the finest log level, and gives what that said.
fn probe(store: &str, mezzanine: &Path, right: Variables, given: Variables) -> Ended {
    let dir = scratch();
    let named = right.into_iter().map(|(name, value)| (name.to_owned(), value));
    let opened = Store::open_with(store, &Credentials::new(named)).unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let bytes = fs::read(mezzanine).unwrap();
    let artifact = runtime.block_on(opened.publish_object(bytes.into())).unwrap();
    let hex = artifact.sha256.to_string();
    let url = format!("{store}/objects/{}/{hex}", &hex[..2]);
    let probe = Reel::new(dir.path(), ["probe", &url, "--json"]).env(given);
    let ended = probe.env([("REEL_LOG", "trace".to_owned())]).run();
    for secret in [Azure::SECRET, Gcs::SECRET, SIGNATURE] {
        assert_eq!(that_tell(dir.path(), secret), Vec::<PathBuf>::new());
        assert!(!ended.stderr.contains(secret) && !ended.stdout.contains(secret), "{secret} was told");
    }
    assert!(ended.stderr.contains("TRACE"), "it says little");
    ended
}

const SIGNATURE: &str = "c2lnbmF0dXJlLXRoYXQtbm9ib2R5LWVsc2UtaGFz";

#[test]
fn mezzanines_at_azure_and_google_are_read_and_their_secrets_are_kept() {
    let (buckets, mezzanine) = (buckets(), fixtures::prores_mov().path);
    let google = Gcs::serve(buckets.path());
    let right = google.environment(Gcs::SECRET);
    let probed = probe("gs://media/farm", &mezzanine, right.clone(), right).success().json();
    let azure = Azure::serve("media");
    let right = azure.environment(Azure::SECRET);
    let same = probe("az://media/farm", &mezzanine, right.clone(), right.clone()).success().json();
    assert_eq!(probed["video"], same["video"]);
    // A shared access signature goes into the URL of each request.
    let mut shared = right.clone();
    shared.retain(|(name, _)| *name != "AZURE_STORAGE_ACCOUNT_KEY");
    shared.push(("AZURE_STORAGE_SAS_KEY", format!("sv=2021-08-06&sp=r&sr=c&sig={SIGNATURE}")));
    let refused = probe("az://media/farm", &mezzanine, right, shared);
    assert!(refused.stderr.contains("may not be read"), "{}", refused.stderr);
}
