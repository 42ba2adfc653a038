//! What every provider's store promises.

use bytes::Bytes;
use reel_common::Artifact;
use reel_store::{Credentials, Published, Source, Store, StoreError};
use reel_tests::clouds::{Azure, Gcs, S3, Variables};
use reel_tests::scratch;

use crate::{Part, credentials};

/// A server, and how its stores are named.
struct Cloud<'a> {
    /// A store in a bucket that is there.
    url: &'a str,
    /// A store in one that is not.
    nowhere: &'a str,
    /// The environment with the given secret.
    environment: &'a dyn Fn(&str) -> Variables,
    secret: &'a str,
    /// Another secret of the same form.
    wrong: &'a str,
}

impl Cloud<'_> {
    fn credentials(&self, secret: &str) -> Credentials {
        credentials((self.environment)(secret))
    }

    async fn keeps_the_promises(&self) {
        let (dir, right) = (scratch(), self.credentials(self.secret));
        let store = Store::open_with(self.url, &right).unwrap();
        store.check().await.unwrap();
        store.check().await.unwrap();
        for (number, size) in [(1, 1 << 20), (2, (20 << 20) + 1), (3, 8 << 20)] {
            let mut part = Part::new(dir.path(), number, size);
            assert_eq!(store.find_part(part.key).await.unwrap(), None);
            assert_eq!(part.publish(&store).await.unwrap(), Published::New);
            assert_eq!(part.publish(&store).await.unwrap(), Published::AlreadyThere);
            assert_eq!(store.find_part(part.key).await.unwrap(), Some(part.record()));
            let range = store.read_part_range(part.key, 1000..70_000).await.unwrap();
            assert_eq!(range, part.bytes[1000..70_000]);
            part.bytes[0] ^= 1;
            std::fs::write(&part.file, &part.bytes).unwrap();
            let other = part.publish(&store).await;
            assert!(matches!(other, Err(StoreError::Determinism { .. })), "{other:?}");
        }
        for bytes in [Bytes::from_static(b"an index"), Bytes::new(), vec![7; 9 << 20].into()] {
            let artifact = store.publish_object(bytes.clone()).await.unwrap();
            assert_eq!((artifact, store.object(artifact).await.unwrap()), (Artifact::of(&bytes), bytes));
        }
    }

    async fn says_what_is_wrong(&self) {
        let refused = |url: &str, secret: &str| {
            let store = Store::open_with(url, &self.credentials(secret)).unwrap();
            async move { store.check().await.unwrap_err() }
        };
        let denied = refused(self.url, self.wrong).await;
        assert!(matches!(denied, StoreError::Denied { .. }), "{denied:?}");
        let said = denied.to_string();
        assert!(said.contains("credentials in the environment") && !said.contains(self.wrong), "{said}");
        let missing = refused(self.nowhere, self.secret).await;
        assert!(missing.to_string().contains("does not exist; make it first"), "{missing}");
    }

    fn gives_mezzanines(&self) {
        let dir = scratch();
        let part = Part::new(dir.path(), 9, 5 << 20);
        let right = self.credentials(self.secret);
        let store = Store::open_with(self.url, &right).unwrap();
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.block_on(part.publish(&store)).unwrap();
        let mezzanine = Source::open_with(&format!("{}/{}", self.url, part.name()), &right).unwrap();
        let mut bytes = vec![0; 100_000];
        mezzanine.read_at(3 << 20, &mut bytes).unwrap();
        assert_eq!(bytes, part.bytes[3 << 20..][..100_000]);
        assert_eq!(mezzanine.size(), part.bytes.len() as u64);
    }

    fn proves_itself(&self) {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.block_on(self.keeps_the_promises());
        runtime.block_on(self.says_what_is_wrong());
        self.gives_mezzanines();
    }
}

#[test]
fn a_store_in_s3_keeps_the_promises() {
    let buckets = scratch();
    std::fs::create_dir(buckets.path().join("media")).unwrap();
    let server = S3::serve(buckets.path());
    let cloud = Cloud {
        url: "s3://media/farm",
        nowhere: "s3://elsewhere/farm",
        environment: &|secret| server.environment(secret),
        secret: S3::SECRET,
        wrong: "not-the-secret-at-all",
    };
    cloud.proves_itself();
}

#[test]
fn a_store_at_google_keeps_the_promises() {
    let buckets = scratch();
    std::fs::create_dir(buckets.path().join("media")).unwrap();
    let server = Gcs::serve(buckets.path());
    let cloud = Cloud {
        url: "gs://media/farm",
        nowhere: "gs://elsewhere/farm",
        environment: &|secret| server.environment(secret),
        secret: Gcs::SECRET,
        wrong: "not-the-token-at-all",
    };
    cloud.proves_itself();
}

#[test]
fn a_store_at_azure_keeps_the_promises() {
    let server = Azure::serve("media");
    let cloud = Cloud {
        url: "az://media/farm",
        nowhere: "az://elsewhere/farm",
        environment: &|secret| server.environment(secret),
        secret: Azure::SECRET,
        wrong: "bm90LXRoZS1rZXktYXQtYWxs",
    };
    cloud.proves_itself();
    let cloud = Cloud { url: "abfss://media/other", ..cloud };
    cloud.gives_mezzanines();
}

#[test]
fn secrets_in_urls_are_refused_and_not_repeated() {
    for url in ["s3://studio:hush@media/farm", "gs://media/farm?token=hush", "az://media/farm?sv=1&sig=hush"]
    {
        for said in [
            Store::open_with(url, &Credentials::default()).unwrap_err().to_string(),
            Source::open_with(url, &Credentials::default()).err().unwrap().to_string(),
        ] {
            assert!(said.contains("environment") && !said.contains("hush"), "{said}");
        }
    }
}
