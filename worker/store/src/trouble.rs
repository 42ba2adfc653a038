//! What an error of an object store means, and how it is told: without URLs, and without what the server echoes of the
//! request, which may hold signatures and tokens.

use std::error::Error as StdError;

use object_store::Error;

/// What helps against an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Nothing is there.
    Absent,
    /// Other credentials.
    Denied,
    /// Credentials at all, where there were none before; waiting, where the host has a role that was not told for once.
    NoRole,
    /// Waiting: the server throttles, has failed or does not answer.
    Away,
    /// Other settings: the same request will be refused again.
    Rejected,
    /// Looking again: somebody else has written there.
    Conflict,
}

/// An error of an object store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Trouble {
    pub(crate) kind: Kind,
    pub(crate) reason: String,
}

/// What comes before the status and the body in the text of an error; `object_store` has no other access to them.
const STATUS: &str = "non-2xx status code: ";
/// Codes of S3 and Azure that come with a status of the 400s and yet pass by themselves.
const PASSING: [&str; 5] = ["RequestTimeout", "IncompleteBody", "SlowDown", "OperationAborted", "ServerBusy"];
/// Where instances get their credentials: when these do not answer there are none.
const METADATA: [&str; 3] = ["169.254.169.254", "169.254.170.2", "metadata.google.internal"];
/// The most of a server's message that is told.
const MOST_CHARS: usize = 300;

/// Judges an error that has been retried already.
pub(crate) fn trouble(error: &Error) -> Trouble {
    let text = error.to_string();
    let (answer, no_role) = (Answer::find(&text), METADATA.iter().any(|host| text.contains(host)));
    let kind = match error {
        _ if no_role => Kind::NoRole,
        Error::NotFound { .. } => Kind::Absent,
        Error::PermissionDenied { .. } | Error::Unauthenticated { .. } => Kind::Denied,
        Error::AlreadyExists { .. } | Error::Precondition { .. } => Kind::Conflict,
        Error::Generic { .. } => match &answer {
            Some(answer) => answer.kind(),
            None if text.contains("redirect without LOCATION") => Kind::Rejected,
            None => Kind::Away,
        },
        _ => Kind::Rejected,
    };
    let reason = match (kind, answer) {
        _ if no_role => "there are no credentials in the environment, and this host has no role".to_owned(),
        (_, Some(answer)) => answer.told(),
        (Kind::Away, None) => format!("the server does not answer: {}", deepest(error)),
        (_, None) => deepest(error),
    };
    Trouble { kind, reason: reason.chars().take(MOST_CHARS).collect() }
}

/// What a server has answered.
struct Answer<'a> {
    /// For example `403 Forbidden`.
    status: &'a str,
    code: &'a str,
    message: &'a str,
}

impl<'a> Answer<'a> {
    fn find(text: &'a str) -> Option<Self> {
        let (_, rest) = text.split_once(STATUS)?;
        let (status, body) = rest.split_once(':').unwrap_or((rest, ""));
        Some(Answer { status, code: element(body, "Code"), message: element(body, "Message") })
    }

    fn kind(&self) -> Kind {
        match self.status.get(..3).unwrap_or_default() {
            _ if PASSING.contains(&self.code) => Kind::Away,
            "401" | "403" => Kind::Denied,
            "404" => Kind::Absent,
            "408" | "429" => Kind::Away,
            "409" | "412" => Kind::Conflict,
            status if status.starts_with('5') => Kind::Away,
            _ => Kind::Rejected,
        }
    }

    fn told(&self) -> String {
        let mut told = format!("the server answered {}", self.status.trim());
        for (before, text) in [(" ", self.code), (": ", self.message)] {
            if !text.is_empty() {
                told.extend([before, text.lines().next().unwrap_or_default()]);
            }
        }
        told
    }
}

/// The text of the first element of that name in a short XML document; empty where there is none.
fn element<'a>(xml: &'a str, name: &str) -> &'a str {
    let after = xml.split_once(&format!("<{name}>")).map(|(_, after)| after);
    after.and_then(|after| after.split_once("</")).map_or("", |(text, _)| text)
}

/// The innermost cause, which names no URL: what encloses it does.
pub(crate) fn deepest(error: &Error) -> String {
    let mut cause: &dyn StdError = error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    cause.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn generic(text: &str) -> Error {
        Error::Generic { store: "S3", source: text.to_owned().into() }
    }

    fn answered(status: &str, body: &str) -> Trouble {
        trouble(&generic(&format!(
            "Error performing GET https://host/a?sig=hush in 1ms - Server returned {STATUS}{status}: {body}"
        )))
    }

    #[test]
    fn answers_are_sorted_by_what_helps_and_told_without_what_they_echo() {
        let echo = "<Error><Code>AuthorizationHeaderMalformed</Code><Message>the region is wrong</Message>\
                    <StringToSign>hush</StringToSign><Token-0>hush</Token-0></Error>";
        let malformed = answered("400 Bad Request", echo);
        assert_eq!(malformed.kind, Kind::Rejected);
        let told = "the server answered 400 Bad Request AuthorizationHeaderMalformed: the region is wrong";
        assert_eq!(malformed.reason, told);
        for (status, body, kind) in [
            ("503 Service Unavailable", "", Kind::Away),
            ("429 Too Many Requests", "", Kind::Away),
            ("400 Bad Request", "<Error><Code>RequestTimeout</Code></Error>", Kind::Away),
            ("301 Moved Permanently", "", Kind::Rejected),
            ("403 Forbidden", "<Error><Code>AccessDenied</Code></Error>", Kind::Denied),
            ("404 Not Found", "", Kind::Absent),
            ("405 Method Not Allowed", "", Kind::Rejected),
        ] {
            let told = answered(status, body);
            assert_eq!((told.kind, told.reason.contains("hush")), (kind, false), "{told:?}");
        }
    }

    #[test]
    fn a_metadata_service_that_does_not_answer_means_that_there_are_no_credentials() {
        let told = trouble(&generic("Error performing PUT http://169.254.169.254/latest/api/token"));
        assert_eq!(told.kind, Kind::NoRole);
        assert!(told.reason.contains("this host has no role"), "{told:?}");
    }
}
