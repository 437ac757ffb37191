//! Where a redirect leads (RFC 9110 section 10.2.2, RFC 3986 section 5.2). The text comes from the application.

use http::Uri;

use crate::config::Scheme;

/// An absolute http or https URL, as far as a probe needs it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Location {
    /// http or https.
    pub scheme: Scheme,
    /// A name or an address; a v6 address without brackets.
    pub host: String,
    /// The port, also where the text leaves it out.
    pub port: u16,
    /// Path and query; begins with a slash.
    pub path: String,
}

impl Scheme {
    /// The port that a URL of this scheme means when it names none.
    pub fn port(self) -> u16 {
        match self {
            Self::Http => 80,
            Self::Https => 443,
        }
    }
}

/// The URL that `reference`, a Location header's value found at `base`, stands for. None if it is no http(s) URL.
pub fn follow(base: &Location, reference: &str) -> Option<Location> {
    let reference = reference.split('#').next().unwrap_or_default();
    if let Some(rest) = reference.strip_prefix("//") {
        return absolute(&format!("{}://{rest}", base.scheme.name()));
    }
    if has_scheme(reference) {
        return absolute(reference);
    }
    let (path, query) = split_query(reference);
    let (base_path, base_query) = split_query(&base.path);
    let path = match path {
        "" => base_path.to_owned(),
        _ if path.starts_with('/') => without_dots(path),
        _ => without_dots(&format!("{}/{path}", base_path.rsplit_once('/').map_or("", |(directory, _)| directory))),
    };
    let query = query.or(if reference.is_empty() { base_query } else { None });
    let path = query.map_or(path.clone(), |query| format!("{path}?{query}"));
    Some(Location { path, ..base.clone() })
}

impl Scheme {
    /// As a URL has it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }
}

fn absolute(text: &str) -> Option<Location> {
    let uri: Uri = text.parse().ok()?;
    let scheme = match uri.scheme_str()?.to_ascii_lowercase().as_str() {
        "http" => Scheme::Http,
        "https" => Scheme::Https,
        _ => return None,
    };
    let host = uri.host()?.trim_start_matches('[').trim_end_matches(']').to_owned();
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    let path = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
    let port = uri.port_u16().unwrap_or(scheme.port());
    if host.is_empty() { None } else { Some(Location { scheme, host, port, path }) }
}

/// RFC 3986 section 3.1: a letter, then letters, digits, "+", "-", "."; then a colon.
pub(super) fn has_scheme(reference: &str) -> bool {
    reference.split_once(':').is_some_and(|(scheme, _)| {
        scheme.starts_with(|first: char| first.is_ascii_alphabetic())
            && scheme.chars().all(|each| each.is_ascii_alphanumeric() || "+-.".contains(each))
    })
}

fn split_query(text: &str) -> (&str, Option<&str>) {
    text.split_once('?').map_or((text, None), |(path, query)| (path, Some(query)))
}

/// RFC 3986 section 5.2.4, for a path that begins with a slash.
fn without_dots(path: &str) -> String {
    let mut kept: Vec<&str> = Vec::new();
    let mut segments = path.split('/').skip(1).peekable();
    while let Some(segment) = segments.next() {
        let last = segments.peek().is_none();
        match segment {
            "." | ".." => {
                if segment == ".." {
                    kept.pop();
                }
                if last {
                    kept.push("");
                }
            }
            _ => kept.push(segment),
        }
    }
    format!("/{}", kept.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn base() -> Location {
        Location { scheme: Scheme::Http, host: "10.0.0.2".to_owned(), port: 8080, path: "/a/b?q=1".to_owned() }
    }

    fn path(reference: &str) -> String {
        let Location { path, .. } = follow(&base(), reference).unwrap();
        path
    }

    #[test]
    fn relative_references() {
        for (reference, expected) in [
            ("/x", "/x"),
            ("c", "/a/c"),
            ("./c", "/a/c"),
            ("../c", "/c"),
            ("../../../c", "/c"),
            ("?r=2", "/a/b?r=2"),
            ("", "/a/b?q=1"),
            ("c/..", "/a/"),
            ("/x?y#z", "/x?y"),
            ("/x:y", "/x:y"),
        ] {
            assert_eq!(path(reference), expected, "{reference:?}");
        }
    }

    #[test]
    fn absolute_references() {
        let location = |scheme, host: &str, port, path: &str| {
            Some(Location { scheme, host: host.to_owned(), port, path: path.to_owned() })
        };
        assert_eq!(follow(&base(), "https://other/x"), location(Scheme::Https, "other", 443, "/x"));
        assert_eq!(follow(&base(), "http://10.0.0.2:9"), location(Scheme::Http, "10.0.0.2", 9, "/"));
        assert_eq!(follow(&base(), "//[fd00::2]:81/y"), location(Scheme::Http, "fd00::2", 81, "/y"));
        for reference in ["ftp://a/", "http://", "mailto:a@b", "http://a b/", "http:///x"] {
            assert_eq!(follow(&base(), reference), None, "{reference:?}");
        }
    }

    proptest! {
        #[test]
        fn whatever_the_application_says(reference in ".{0,60}") {
            if let Some(location) = follow(&base(), &reference) {
                prop_assert!(location.path.starts_with('/'));
                prop_assert!(!location.host.is_empty());
            }
        }
    }
}
