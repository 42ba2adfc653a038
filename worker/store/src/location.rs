//! URLs as they are typed: secrets in them are refused, and no message repeats them.

use url::Url;

/// Schemes whose user name is the container: `abfss://container@account.dfs.core.windows.net/path`.
const CONTAINER_AS_USER: [&str; 5] = ["az", "adl", "azure", "abfs", "abfss"];
/// Stands for what is not shown.
const HIDDEN: &str = "***";

/// Refuses what must not be in a URL that is kept in jobs, logs and reports.
pub(crate) fn refuse_secrets(url: &Url) -> Result<(), String> {
    let user = !url.username().is_empty() && !CONTAINER_AS_USER.contains(&url.scheme());
    if user || url.password().is_some() {
        return Err("it holds a user name or password, and URLs are kept in jobs and reports; \
                    give credentials in the environment"
            .to_owned());
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err("it has a query or a fragment, which may hold a signature; give the plain URL with \
                    credentials in the environment, and write ? and # in a name as %3F and %23"
            .to_owned());
    }
    Ok(())
}

/// A location as it may be shown: a URL without user name, password, query and fragment, whether it can be parsed or
/// not; a path as it is.
pub(crate) fn redacted(location: &str) -> String {
    let Some((scheme, rest)) = location.split_once("://") else { return location.to_owned() };
    let shown = rest.split(['?', '#']).next().unwrap_or_default();
    let cut = if shown.len() < rest.len() { "?***" } else { "" };
    // A password may hold any character, so everything before the last @ goes where there may be one.
    let (user, host) = shown.rsplit_once('@').unwrap_or(("", shown));
    let plain = user.is_empty() || CONTAINER_AS_USER.contains(&scheme) && !user.contains(':');
    match plain || user.contains('/') && !user.contains(':') {
        true => format!("{scheme}://{shown}{cut}"),
        false => format!("{scheme}://{HIDDEN}@{host}{cut}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_secret_of_a_url_is_accepted_or_shown() {
        for (typed, shown) in [
            ("https://host/a?X-Amz-Signature=hush", "https://host/a?***"),
            ("https://me:hush@host/a", "https://***@host/a"),
            ("https://me:hu/sh@host/a", "https://***@host/a"),
            ("https://me:hush@host:port/a", "https://***@host:port/a"),
            ("https://hush@host/a", "https://***@host/a"),
            ("s3://key:hush@bucket/a", "s3://***@bucket/a"),
            ("abfss://container:hush@account/a", "abfss://***@account/a"),
            ("az://container/a?sv=1&sig=hush", "az://container/a?***"),
            ("gs://bucket/a#hush", "gs://bucket/a?***"),
        ] {
            assert_eq!(redacted(typed), shown);
            if let Ok(url) = Url::parse(typed) {
                let reason = refuse_secrets(&url).unwrap_err();
                assert!(!reason.contains("hush") && reason.contains("environment"), "{reason}");
            }
        }
    }

    #[test]
    fn plain_locations_are_shown_as_they_are() {
        for plain in
            ["s3://bucket/a b@home/c.mov", "abfss://container@account/a", "/a/b?c.mov", "gs://bucket/a"]
        {
            assert_eq!(redacted(plain), plain);
            if let Ok(url) = Url::parse(plain) {
                assert_eq!(refuse_secrets(&url), Ok(()));
            }
        }
    }
}
