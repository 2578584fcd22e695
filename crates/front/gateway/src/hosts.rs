//! What host names mean: S3's virtual-hosted style (the bucket in the host name, turned into path style before anything
//! else looks), and function URLs.

use http::Uri;
use http::request::Parts;

/// The bucket that a host names, as `photos` in `photos.s3.localhost:4566`, `photos.s3.us-east-1.localhost`, or in
/// `photos.localhost`, which is what SDKs make of the endpoint `http://localhost:4566`.
pub(crate) fn bucket_of<'a>(host: &'a str, domain: &str) -> Option<&'a str> {
    let name = host.split(':').next().unwrap_or(host);
    let name = name.strip_suffix(domain)?.strip_suffix('.')?;
    if name == "s3" || name.starts_with("s3.") {
        return None;
    }
    let bucket = match name.rsplit_once(".s3.") {
        // After `s3` only a region may come.
        Some((bucket, region)) if !region.contains('.') => bucket,
        Some(_) => return None,
        None => name.strip_suffix(".s3").unwrap_or(name),
    };
    (!bucket.is_empty()).then_some(bucket)
}

/// Id and region of the function URL that a host is, as in `ID.lambda-url.us-east-1.localhost:4566`.
pub(crate) fn url_of<'a>(host: &'a str, domain: &str) -> Option<(&'a str, &'a str)> {
    let name = host.split(':').next().unwrap_or(host);
    let (id, region) = name.strip_suffix(domain)?.strip_suffix('.')?.split_once(".lambda-url.")?;
    let is_label = |text: &str| !text.is_empty() && !text.contains('.');
    (is_label(id) && is_label(region)).then_some((id, region))
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
        ] {
            assert_eq!(bucket_of(host, "localhost"), bucket, "{host}");
        }
    }

    #[test]
    fn function_urls_are_found_in_host_names() {
        for (host, url) in [
            ("abc.lambda-url.us-east-1.localhost:4566", Some(("abc", "us-east-1"))),
            ("abc.lambda-url.eu-west-1.localhost", Some(("abc", "eu-west-1"))),
            ("a.b.lambda-url.us-east-1.localhost", None),
            ("abc.lambda-url.us-east-1.example.org", None),
            ("lambda-url.us-east-1.localhost", None),
            ("abc.lambda-url.localhost", None),
            (".lambda-url.us-east-1.localhost", None),
            ("photos.localhost", None),
        ] {
            assert_eq!(url_of(host, "localhost"), url, "{host}");
        }
    }
}
