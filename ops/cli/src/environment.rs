//! Every environment variable that the command reads, and the log that one of them sets up.

use std::ffi::OsString;
use std::io::{self, IsTerminal};

use tracing_subscriber::EnvFilter;

use crate::args::LogFormat;
use crate::exit::Stop;
use crate::output;

/// Where state, parts and scratch files are kept.
pub(crate) const HOME: &str = "REEL_HOME";
/// The schedulers of the farm.
pub(crate) const SERVER: &str = "REEL_SERVER";
/// What a worker's host costs.
pub(crate) const PRICE: &str = "REEL_PRICE";
/// The runner program.
pub(crate) const RUNNER: &str = "REEL_RUNNER";
/// Where a worker asks AWS, named as by AWS's own tools.
pub(crate) const AWS_METADATA: &str = "AWS_EC2_METADATA_SERVICE_ENDPOINT";
/// Where a worker asks Google Cloud, named as by Google's own tools.
pub(crate) const GCE_METADATA: &str = "GCE_METADATA_HOST";
/// Where a worker asks Azure, whose tools have no name for it.
pub(crate) const AZURE_METADATA: &str = "REEL_AZURE_METADATA_ENDPOINT";
/// Log levels.
pub(crate) const LOG: &str = "REEL_LOG";
/// How a scheduler or worker writes its log.
pub(crate) const LOG_FORMAT: &str = "REEL_LOG_FORMAT";
/// Levels where nothing else is asked for. Raft warns of every change of leader, and here each start is one.
const DEFAULT_LEVELS: &str = "warn,openraft=error";
/// Levels of a scheduler or worker that runs by itself.
const SERVICE_LEVELS: &str = "info,openraft=error";
/// Base of the default home.
pub(crate) const STATE_HOME: &str = "XDG_STATE_HOME";
/// The user's home, below which the default home lies.
pub(crate) const USER_HOME: &str = "HOME";
/// Switches colour off.
pub(crate) const NO_COLOR: &str = "NO_COLOR";

/// What says which characters a terminal shows, the first that is set.
pub(crate) const LOCALE: [&str; 3] = ["LC_ALL", "LC_CTYPE", "LANG"];

/// Name and meaning of each variable, as `reel help env` prints them.
pub(crate) const ALL: &[(&str, &str)] = &[
    (HOME, "where state, finished parts and scratch files are kept (= --home)"),
    (STATE_HOME, "base of the default home: $XDG_STATE_HOME/reel, else ~/.local/state/reel"),
    (USER_HOME, "the ~ in the default home"),
    (SERVER, "the farm's schedulers, separated by commas (= --server)"),
    (PRICE, "what a worker's host costs an hour (= --price)"),
    (RUNNER, "the reel-runner program; by default the one beside reel"),
    (
        LOG,
        "log to stderr at these levels, such as info or reel_worker=debug; default warn, for scheduler and worker info",
    ),
    (LOG_FORMAT, "text or json: the log of a scheduler or worker (= --log)"),
    (NO_COLOR, "if set and not empty: no colour, also on a terminal"),
    ("LC_ALL", "curves are drawn in ASCII unless this, or else LC_CTYPE, or else LANG, names UTF-8"),
    (AWS_METADATA, "where a worker asks AWS for preemption notices; default http://169.254.169.254"),
    (GCE_METADATA, "host (and port) where a worker asks Google Cloud; default 169.254.169.254"),
    (AZURE_METADATA, "where a worker asks Azure; default http://169.254.169.254"),
    (
        "AWS_*",
        "credentials, region and endpoint of s3 URLs, as the AWS tools name them, AWS_SHARED_CREDENTIALS_FILE too",
    ),
    (
        "GOOGLE_*",
        "credentials of gs URLs: GOOGLE_APPLICATION_CREDENTIALS names their file, as for Google's tools",
    ),
    (
        "AZURE_*",
        "account and credentials of az URLs: AZURE_STORAGE_ACCOUNT_NAME, and AZURE_STORAGE_ACCOUNT_KEY or others",
    ),
    (
        "OTEL_*",
        "of a scheduler: traces go where OTEL_EXPORTER_OTLP_ENDPOINT says (gRPC); also its headers, OTEL_SERVICE_NAME, ..",
    ),
    ("REEL_KEYS*", "content keys, where a profile has `keys = \"env:REEL_KEYS..\"`; of a worker"),
    (
        "REEL_KEYS_TOKEN",
        "bearer token for the server that a profile reads its content keys from; of a worker",
    ),
];

/// The value of a variable, `None` where it is absent or empty.
pub(crate) fn value(name: &str) -> Option<OsString> {
    std::env::var_os(name).filter(|value| !value.is_empty())
}

/// Whether a terminal shows UTF-8.
pub(crate) fn is_utf8() -> bool {
    let locale = LOCALE.into_iter().find_map(value).unwrap_or_default();
    let locale = locale.to_string_lossy().to_ascii_lowercase();
    locale.contains("utf-8") || locale.contains("utf8")
}

/// Whether messages on stderr may have colour.
pub(crate) fn colour_on_stderr() -> bool {
    io::stderr().is_terminal() && value(NO_COLOR).is_none()
}

/// Sends the log to stderr at the levels that the environment asks for; a service, which has a format, says more by itself.
pub(crate) fn start_log(service: Option<LogFormat>) -> Result<(), Stop> {
    let usual = if service.is_some() { SERVICE_LEVELS } else { DEFAULT_LEVELS };
    let levels = value(LOG).unwrap_or_else(|| usual.into());
    let bad =
        |reason: &str| Stop::usage(format!("{LOG} is no list of log levels: {reason}; try `{LOG}=info`"));
    let filter = EnvFilter::try_new(levels.to_str().ok_or_else(|| bad("it is not UTF-8"))?);
    let filter = filter.map_err(|error| bad(&error.to_string()))?;
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr);
    match service {
        Some(LogFormat::Json) => {
            log.json().with_current_span(false).with_span_list(false).init();
            output::log_json();
        }
        _ => log.with_ansi(colour_on_stderr()).init(),
    }
    Ok(())
}
