//! What host names mean: S3's virtual-hosted style (the bucket in the host name, turned into path style before anything
//! else looks), and function URLs.

use std::net::{Ipv4Addr, Ipv6Addr};

use http::Uri;
use http::request::Parts;

/// The hosts that this cloud answers for.
#[derive(Clone, Debug)]
pub struct Names {
    /// The suffix under which buckets and function URLs are host names, as `localhost` in `photos.s3.localhost`.
    pub domain: String,
    /// Further names of the cloud itself, as a load balancer's.
    pub others: Vec<String>,
}

/// The bucket that a host names, as `photos` in `photos.s3.localhost:4566`, `photos.s3.us-east-1.localhost`, or in
/// `photos.localhost`, which is what SDKs make of the endpoint `http://localhost:4566`.
pub(crate) fn bucket_of(host: &str, domain: &str) -> Option<String> {
    let name = below(host, domain)?;
    if name == "s3" || name.starts_with("s3.") {
        return None;
    }
    let bucket = match name.rsplit_once(".s3.") {
        // After `s3` only a region may come.
        Some((bucket, region)) if !region.contains('.') => bucket,
        Some(_) => return None,
        None => name.strip_suffix(".s3").unwrap_or(&name),
    };
    (!bucket.is_empty()).then(|| bucket.to_owned())
}

/// Id and region of the function URL that a host is, as in `ID.lambda-url.us-east-1.localhost:4566`.
pub(crate) fn url_of(host: &str, domain: &str) -> Option<(String, String)> {
    let name = below(host, domain)?;
    let (id, region) = name.split_once(".lambda-url.")?;
    let is_label = |text: &str| !text.is_empty() && !text.contains('.');
    (is_label(id) && is_label(region)).then(|| (id.to_owned(), region.to_owned()))
}

/// Whether a host is the cloud itself, and no bucket or function of its.
pub(crate) fn is_own(host: &str, names: &Names) -> bool {
    is_ours(host, names) && url_of(host, &names.domain).is_none() && bucket_of(host, &names.domain).is_none()
}

/// Whether this cloud answers for a host: `localhost`, its domain and what is below it, a name that it was told of, or an
/// address. Another name may be anybody's who has it lead here: a page that a browser took from there would be let ask us
/// what it likes, and what stands before such a name's dots is no bucket of ours, so that a path would mean another one.
pub(crate) fn is_ours(host: &str, names: &Names) -> bool {
    let name = name_of(host);
    let is_known = |known: &str| name.eq_ignore_ascii_case(known.trim_end_matches('.'));
    host.is_empty()
        || is_address(name)
        || is_known(LOOPBACK)
        || is_known(&names.domain)
        || before(name, &names.domain).is_some()
        || names.others.iter().any(|other| is_known(other))
}

/// Nobody can have it lead elsewhere (RFC 6761, section 6.3).
const LOOPBACK: &str = "localhost";

/// An address names this cloud by the way there: no name service has a say in it.
fn is_address(name: &str) -> bool {
    let bare = name.strip_prefix('[').and_then(|name| name.strip_suffix(']'));
    bare.map_or_else(|| name.parse::<Ipv4Addr>().is_ok(), |bare| bare.parse::<Ipv6Addr>().is_ok())
}

/// What a host's name has before the domain, in lower case. Names of hosts are the same in either case and with the
/// root's dot (RFC 1034, section 3.1): one that only looks different must not be taken for another.
fn below(host: &str, domain: &str) -> Option<String> {
    before(name_of(host), domain).map(str::to_ascii_lowercase)
}

/// The same of a name, as it is written.
fn before<'a>(name: &'a str, domain: &str) -> Option<&'a str> {
    let domain = domain.trim_end_matches('.');
    let (below, end) = name.split_at_checked(name.len().checked_sub(domain.len() + 1)?)?;
    end.strip_prefix('.')?.eq_ignore_ascii_case(domain).then_some(below)
}

/// A host's name or address, without who asks, its port and the root's dot.
fn name_of(host: &str) -> &str {
    let host = host.rsplit_once('@').map_or(host, |(_, host)| host);
    let end = match host.find(']') {
        Some(bracket) => bracket + 1,
        None => host.find(':').unwrap_or(host.len()),
    };
    host[..end].trim_end_matches('.')
}

/// The path-style form of a virtual-hosted request's URI.
pub(crate) fn path_style(parts: &Parts, bucket: &str) -> Option<Uri> {
    let path_and_query = parts.uri.path_and_query().map_or("/", |both| both.as_str());
    format!("/{bucket}{path_and_query}").parse().ok()
}

/// The host that a request is for: HTTP/2 has it in the URI, HTTP/1.1 in a header.
pub(crate) fn host_of(parts: &Parts) -> &str {
    let header = || parts.headers.get(http::header::HOST).and_then(|host| host.to_str().ok());
    parts.uri.authority().map(|authority| authority.as_str()).or_else(header).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(domain: &str) -> Names {
        Names { domain: domain.to_owned(), others: vec!["cloud.internal".to_owned()] }
    }

    #[test]
    fn buckets_are_found_in_host_names() {
        for (host, bucket) in [
            ("photos.s3.localhost:4566", Some("photos")),
            ("photos.s3.us-east-1.localhost", Some("photos")),
            ("my.photos.s3.localhost", Some("my.photos")),
            ("photos.localhost:4566", Some("photos")),
            ("s3.localhost:4566", None),
            ("s3.us-east-1.localhost", None),
            ("localhost:4566", None),
            ("127.0.0.1:4566", None),
            ("photos.s3.example.org", None),
            ("photos.s3.LOCALHOST", Some("photos")),
            ("Photos.S3.localhost:4566", Some("photos")),
            ("photos.s3.localhost.", Some("photos")),
            ("photos.localhost.:4566", Some("photos")),
            ("who:ever@photos.s3.localhost", Some("photos")),
            ("LOCALHOST.", None),
        ] {
            assert_eq!(bucket_of(host, "localhost").as_deref(), bucket, "{host}");
            assert_eq!(bucket_of(host, "LocalHost.").as_deref(), bucket, "{host}");
        }
    }

    #[test]
    fn the_clouds_own_hosts_are_no_buckets_and_no_functions() {
        for (host, is_expected) in [
            ("localhost:4566", true),
            ("s3.localhost:4566", true),
            ("127.0.0.1:4566", true),
            ("10.0.0.7:4566", true),
            ("[::1]:4566", true),
            ("[fe80::1]", true),
            ("::1", false),
            ("", true),
            ("cloud.internal:4566", true),
            ("Cloud.Internal.", true),
            ("photos.cloud.internal", false),
            ("cloud.example.org", false),
            ("127.0.0.1.example.org", false),
            ("localhost.example.org", false),
            ("notlocalhost", false),
            ("[localhost]", false),
            ("[10.0.0.7]", false),
            ("localhost@evil.example.org", false),
            ("photos.s3.localhost:4566", false),
            ("LOCALHOST.:4566", true),
            ("photos.localhost", false),
            ("photos.s3.LOCALHOST", false),
            ("photos.s3.localhost.", false),
            ("photos.localhost.:4566", false),
            ("abc.lambda-url.us-east-1.Localhost.:4566", false),
            ("abc.lambda-url.us-east-1.localhost:4566", false),
        ] {
            assert_eq!(is_own(host, &names("localhost")), is_expected, "{host}");
        }
        assert!(is_own("localhost", &names("example.org")), "loopback is ours under any domain");
        assert!(!is_own("photos.localhost", &names("example.org")));
    }

    #[test]
    fn a_host_is_ours_or_somebody_elses() {
        for (host, is_expected) in [
            ("photos.s3.localhost:4566", true),
            ("abc.lambda-url.us-east-1.localhost", true),
            ("photos.s3.example.org", false),
            ("photos.s3.cloud.internal", false),
        ] {
            assert_eq!(is_ours(host, &names("localhost")), is_expected, "{host}");
        }
    }

    #[test]
    fn function_urls_are_found_in_host_names() {
        for (host, url) in [
            ("abc.lambda-url.us-east-1.localhost:4566", Some(("abc", "us-east-1"))),
            ("abc.lambda-url.eu-west-1.localhost", Some(("abc", "eu-west-1"))),
            ("ABC.Lambda-URL.eu-west-1.LOCALHOST.", Some(("abc", "eu-west-1"))),
            ("a.b.lambda-url.us-east-1.localhost", None),
            ("abc.lambda-url.us-east-1.example.org", None),
            ("lambda-url.us-east-1.localhost", None),
            ("abc.lambda-url.localhost", None),
            (".lambda-url.us-east-1.localhost", None),
            ("photos.localhost", None),
        ] {
            let url = url.map(|(id, region): (&str, &str)| (id.to_owned(), region.to_owned()));
            assert_eq!(url_of(host, "localhost"), url, "{host}");
        }
    }
}
