//! Locations as users type them: a URL with a secret is refused, since URLs are kept in jobs, logs and reports.

/// Schemes whose user name is the container: `abfss://container@account.dfs.core.windows.net/path`.
const CONTAINER_AS_USER: [&str; 5] = ["az", "adl", "azure", "abfs", "abfss"];
/// Stands for what is not shown.
const HIDDEN: &str = "***";

/// Scheme and rest of what looks like a URL that is not of a local file.
fn url(location: &str) -> Option<(&str, &str)> {
    let (scheme, rest) = location.split_once("://")?;
    let plain = scheme.chars().all(|letter| letter.is_ascii_alphanumeric() || "+-.".contains(letter));
    (plain && !scheme.is_empty() && !scheme.eq_ignore_ascii_case("file")).then_some((scheme, rest))
}

/// Whether a location is a URL of something else than a local file.
pub fn is_remote(location: &str) -> bool {
    url(location).is_some()
}

/// What holds a secret in a location, or may hold one, and what to do; `None` for a path, and for a plain URL.
pub fn secret_problem(location: &str) -> Option<&'static str> {
    let (scheme, rest) = url(location)?;
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    if let Some((user, _)) = authority.rsplit_once('@')
        && (user.contains(':') || !CONTAINER_AS_USER.contains(&scheme))
    {
        return Some("holds a user name or password: give credentials in the environment");
    }
    rest.contains(['?', '#']).then_some(
        "has a query or a fragment, which may hold a signature: give the plain URL with credentials in the environment, \
         and write ? and # in a name as %3F and %23",
    )
}

/// A location as it may be shown: a URL without user name, password, query and fragment, whether it makes sense or not; a
/// path as it is.
pub fn redacted(location: &str) -> String {
    let Some((scheme, rest)) = url(location) else { return location.to_owned() };
    let shown = rest.split(['?', '#']).next().unwrap_or_default();
    let cut = if shown.len() < rest.len() { "?***" } else { "" };
    // A password may hold a slash, so that its URL makes no sense.
    let (user, host) = shown.rsplit_once('@').unwrap_or(("", shown));
    let named = user.is_empty() || user.contains('/') || CONTAINER_AS_USER.contains(&scheme);
    match named && !user.contains(':') {
        true => format!("{scheme}://{shown}{cut}"),
        false => format!("{scheme}://{HIDDEN}@{host}{cut}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_secret_in_a_url_is_accepted_or_shown() {
        for (typed, shown) in [
            ("https://host/a?X-Amz-Signature=hush", "https://host/a?***"),
            ("https://me:hush@host/a", "https://***@host/a"),
            ("https://me:hush@host:port/a", "https://***@host:port/a"),
            ("https://hush@host/a", "https://***@host/a"),
            ("s3://key:hush@bucket/a", "s3://***@bucket/a"),
            ("abfss://container:hush@account/a", "abfss://***@account/a"),
            ("az://container/a?sv=1&sig=hush", "az://container/a?***"),
            ("gs://bucket/a#hush", "gs://bucket/a?***"),
        ] {
            assert_eq!(redacted(typed), shown);
            assert!(secret_problem(typed).is_some_and(|problem| problem.contains("environment")), "{typed}");
        }
        assert_eq!(redacted("https://me:hu/sh@host/a"), "https://***@host/a");
    }

    #[test]
    fn plain_locations_are_accepted_and_shown_as_they_are() {
        for plain in [
            "s3://bucket/a b@home/c.mov",
            "abfss://container@account/a",
            "/a/b?c.mov",
            "file:///a/b?c#d.mov",
            "/odd/c://d?e",
            "gs://bucket/a",
        ] {
            assert_eq!((redacted(plain).as_str(), secret_problem(plain)), (plain, None));
        }
    }
}
