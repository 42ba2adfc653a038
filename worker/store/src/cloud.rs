//! Object stores behind URLs: which kinds there are, and how patient their requests are.
//!
//! One request is bounded in time and is sent again by `object_store` when the server answers 5xx or 429, cannot be
//! reached, or cuts the connection. What it does not send again, because it may have been carried out, is done anew as a
//! whole operation, in [`Rounds`], after a look at what is there.

use std::sync::Arc;
use std::time::Duration;

use http::header::{AUTHORIZATION, HeaderMap, HeaderValue};
use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey};
use object_store::azure::{AzureConfigKey, MicrosoftAzureBuilder};
use object_store::gcp::{GoogleCloudStorageBuilder, GoogleConfigKey};
use object_store::http::HttpBuilder;
use object_store::memory::InMemory;
use object_store::path::Path as ObjectPath;
use object_store::{BackoffConfig, ClientOptions, ObjectStore, ObjectStoreScheme, RetryConfig};
use rand::RngExt;
use reel_common::secret_problem;
use url::{Position, Url};

use crate::credentials::Credentials;
use crate::trouble::deepest;

/// The most bytes of one request or answer.
pub(crate) const BLOCK_BYTES: u64 = 8 << 20;
/// A connection on the same continent takes a tenth of a second; one lost packet adds one second, two add three.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// One request with its answer: a block in a minute is 1.1 Mbit/s, too slow for any farm.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(60);
/// The first wait; a server that is restarted or sheds load answers again after a few of them.
const FIRST_WAIT: Duration = Duration::from_millis(100);
/// No wait is longer, so that whoever comes back is found soon.
const LONGEST_WAIT: Duration = Duration::from_secs(5);
/// The next wait is chosen between the first and this many times the last: half as long again on average.
const GROWTH: f64 = 3.0;
/// With the waits above about ten seconds of patience, and three times that in [`Rounds`]. A longer outage is a
/// shortage, which the scheduler waits for.
const RETRIES: usize = 8;
/// No request is sent again after that long, however slow the answers were.
const RETRY_TIMEOUT: Duration = Duration::from_secs(120);
/// Whole operations that are done again.
const ROUNDS: u32 = 3;
/// Before a whole operation is done again, a chance wait up to this.
const ROUND_WAIT: Duration = Duration::from_secs(1);

/// How often a whole operation may still be done again.
pub(crate) struct Rounds(u32);

impl Rounds {
    pub(crate) fn new() -> Self {
        Rounds(ROUNDS)
    }

    /// Waits a little; false when it was enough.
    pub(crate) async fn again(&mut self) -> bool {
        self.0 = self.0.saturating_sub(1);
        if self.0 > 0 {
            let wait = rand::rng().random_range(FIRST_WAIT.as_secs_f64()..ROUND_WAIT.as_secs_f64());
            tokio::time::sleep(Duration::from_secs_f64(wait)).await;
        }
        self.0 > 0
    }
}

/// The object store that a URL lies in, and the path there. Nothing is asked of it yet.
///
/// # Errors
/// Why the URL or the environment cannot be used, without secrets.
pub(crate) fn open(
    url: &Url,
    credentials: &Credentials,
) -> Result<(Arc<dyn ObjectStore>, ObjectPath), String> {
    if let Some(problem) = secret_problem(url.as_str()) {
        return Err(format!("it {problem}"));
    }
    let said = |error: &dyn std::fmt::Display| credentials.scrub(error.to_string());
    let (scheme, path) = ObjectStoreScheme::parse(url).map_err(|error| said(&error))?;
    let store = build(&scheme, url, credentials).map_err(|error| credentials.scrub(error))?;
    Ok((store, path))
}

fn build(
    scheme: &ObjectStoreScheme,
    url: &Url,
    credentials: &Credentials,
) -> Result<Arc<dyn ObjectStore>, String> {
    match scheme {
        ObjectStoreScheme::AmazonS3 => amazon(url, credentials),
        ObjectStoreScheme::GoogleCloudStorage => {
            let builder = GoogleCloudStorageBuilder::new().with_url(url.as_str());
            let builder = builder.with_retry(retries()).with_client_options(limits());
            let settings =
                credentials.of("GOOGLE_").filter_map(|(name, value)| Some((name.parse().ok()?, value)));
            let builder = settings
                .fold(builder, |builder, (key, value): (GoogleConfigKey, _)| builder.with_config(key, value));
            built(builder.build())
        }
        ObjectStoreScheme::MicrosoftAzure => {
            let builder = MicrosoftAzureBuilder::new().with_url(url.as_str());
            let builder = builder.with_retry(retries()).with_client_options(limits());
            let settings =
                credentials.of("AZURE_").filter_map(|(name, value)| Some((name.parse().ok()?, value)));
            let builder = settings
                .fold(builder, |builder, (key, value): (AzureConfigKey, _)| builder.with_config(key, value));
            built(builder.build())
        }
        ObjectStoreScheme::Http => {
            let builder = HttpBuilder::new().with_url(&url[..Position::BeforePath]);
            let options = match credentials.bearer() {
                Some(token) => limits().with_default_headers(authorization(url, token)?),
                None => limits(),
            };
            built(builder.with_retry(retries()).with_client_options(options).build())
        }
        ObjectStoreScheme::Memory => Ok(Arc::new(InMemory::new())),
        _ => Err(format!("there is no store behind {}: URLs", url.scheme())),
    }
}

fn amazon(url: &Url, credentials: &Credentials) -> Result<Arc<dyn ObjectStore>, String> {
    let builder = AmazonS3Builder::new().with_url(url.as_str());
    // One object at a time is removed, and not every server knows the request for many.
    let builder = builder.with_retry(retries()).with_client_options(limits()).with_disable_bulk_delete(true);
    let file = credentials.aws_file()?;
    let file = file.iter().map(|(name, value)| (name.clone(), value.as_str()));
    let settings = file.chain(credentials.of("AWS_"));
    let settings = settings.filter_map(|(name, value)| Some((name.parse().ok()?, value)));
    built(
        settings
            .fold(builder, |builder, (key, value): (AmazonS3ConfigKey, _)| builder.with_config(key, value))
            .build(),
    )
}

/// The header that shows a token, which goes over no network in clear.
fn authorization(url: &Url, token: &str) -> Result<HeaderMap, String> {
    let own = ["localhost", "127.0.0.1", "[::1]"];
    if url.scheme() != "https" && !url.host_str().is_some_and(|host| own.contains(&host)) {
        return Err("a token is sent by https alone: give an https URL".to_owned());
    }
    let mut value = HeaderValue::try_from(format!("Bearer {token}"))
        .map_err(|_| "the token holds letters that no header may".to_owned())?;
    value.set_sensitive(true);
    Ok(HeaderMap::from_iter([(AUTHORIZATION, value)]))
}

fn built<S: ObjectStore>(store: object_store::Result<S>) -> Result<Arc<dyn ObjectStore>, String> {
    store.map(|store| Arc::new(store) as _).map_err(|error| deepest(&error))
}

/// What a server is told of a file of a title, by its ending, so that browsers take it as what it is (RFC 8216bis, section
/// 4; ISO/IEC 23009-1, annex C).
const CONTENT_TYPES: [(&str, &str); 9] = [
    ("m3u8", "application/vnd.apple.mpegurl"),
    ("mpd", "application/dash+xml"),
    ("m4s", "video/iso.segment"),
    ("mp4", "video/mp4"),
    ("ts", "video/mp2t"),
    ("m4a", "audio/mp4"),
    ("vtt", "text/vtt"),
    ("jpg", "image/jpeg"),
    ("json", "application/json"),
];

/// Plain HTTP is used only where an endpoint says so.
fn limits() -> ClientOptions {
    let named = |options: ClientOptions, (ending, kind)| options.with_content_type_for_suffix(ending, kind);
    CONTENT_TYPES
        .into_iter()
        .fold(ClientOptions::new(), named)
        .with_allow_http(true)
        .with_connect_timeout(CONNECT_TIMEOUT)
        .with_timeout(REQUEST_TIMEOUT)
}

fn retries() -> RetryConfig {
    let backoff = BackoffConfig { init_backoff: FIRST_WAIT, max_backoff: LONGEST_WAIT, base: GROWTH };
    RetryConfig { backoff, max_retries: RETRIES, retry_timeout: RETRY_TIMEOUT }
}
