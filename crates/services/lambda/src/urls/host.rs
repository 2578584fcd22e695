//! Where a function URL is reached.

/// The URL of an id, by the scheme and at the port at which the client reached the platform.
pub(super) fn url(id: &str, region: &str, domain: &str, endpoint: &str) -> String {
    let (scheme, authority) = endpoint.split_once("://").unwrap_or(("http", endpoint));
    let port = authority.rsplit_once(':').map(|(_, port)| port);
    let port = port.filter(|port| !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit()));
    let port = port.map_or_else(String::new, |port| format!(":{port}"));
    format!("{scheme}://{}{port}/", name(id, region, domain))
}

/// Its host, without port.
pub(super) fn name(id: &str, region: &str, domain: &str) -> String {
    format!("{id}.lambda-url.{region}.{domain}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_port_is_the_one_that_the_client_uses() {
        for (endpoint, expected) in [
            ("http://127.0.0.1:4566", "http://abc.lambda-url.us-east-1.localhost:4566/"),
            ("http://[::1]:80", "http://abc.lambda-url.us-east-1.localhost:80/"),
            ("http://[::1]", "http://abc.lambda-url.us-east-1.localhost/"),
            ("https://cloud.example", "https://abc.lambda-url.us-east-1.localhost/"),
        ] {
            assert_eq!(url("abc", "us-east-1", "localhost", endpoint), expected);
        }
    }
}
