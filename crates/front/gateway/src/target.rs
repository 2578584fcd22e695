//! Which service a request is for.

use http::request::Parts;
use lambent_sigv4::SignedRequest;
use lambent_wire::{ProtocolKind, Routed};

use crate::{Entry, Inner};

impl Inner {
    /// The service and the protocol that a request speaks; the error is the name of a service that we do not have.
    ///
    /// The credential scope names the service. A request without one is judged by what else it shows, so that even its
    /// refusal is in the words of the service that was meant.
    pub(crate) fn target(
        &self,
        parts: &Parts,
        signed: Option<&SignedRequest<'_>>,
    ) -> Result<(&Entry, ProtocolKind), String> {
        let name = match signed {
            Some(signed) => signed.service(),
            None => self.guess(parts)?,
        };
        // DynamoDB and its streams sign by one name; the target says which is meant.
        let prefix = target_prefix(parts);
        let mut entries = self.services.iter().filter(|entry| entry.service.info.signing_name == name);
        let named =
            entries.clone().find(|entry| prefix.is_some() && entry.service.info.target_prefix == prefix);
        let entry = named.or_else(|| entries.next()).ok_or(name)?;
        Ok((entry, lambent_wire::choose(entry.service.info, &parts.headers)))
    }

    /// The name of the service that a request without a signature is for: S3 where nothing speaks against it, as the others
    /// answer nobody. The error is what the request calls a service that is not here.
    fn guess(&self, parts: &Parts) -> Result<&'static str, String> {
        if let Some(prefix) = target_prefix(parts) {
            let is_meant = |entry: &&Entry| entry.service.info.target_prefix == Some(prefix);
            return self.named(is_meant).ok_or_else(|| prefix.to_owned());
        }
        let kind = parts.headers.get(http::header::CONTENT_TYPE);
        let is_form =
            kind.is_some_and(|kind| kind.as_bytes().starts_with(b"application/x-www-form-urlencoded"));
        let (path, query) = (parts.uri.path(), parts.uri.query().unwrap_or_default());
        if path == "/" && (is_form || parameter(query, "Action").is_some()) {
            // A form says so in its body, which is not read for nobody: but STS's, which may need no signature.
            let version = parameter(query, "Version");
            let is_meant = |entry: &&Entry| {
                entry.service.info.protocols.contains(&ProtocolKind::Query)
                    && Some(entry.service.info.api_version) == version
            };
            return Ok(self.named(is_meant).unwrap_or("sts"));
        }
        if path.split('/').nth(1).is_some_and(is_version) {
            let is_meant = |entry: &&Entry| {
                entry.service.info.protocols.contains(&ProtocolKind::RestJson)
                    && matches!(
                        entry.router.route(&parts.method, path, query, &parts.headers),
                        Routed::Operation(..) | Routed::Unimplemented(_)
                    )
            };
            return Ok(self.named(is_meant).unwrap_or("s3"));
        }
        Ok("s3")
    }

    fn named(&self, is_meant: impl Fn(&&Entry) -> bool) -> Option<&'static str> {
        self.services.iter().find(is_meant).map(|entry| entry.service.info.signing_name)
    }
}

/// Whether a part of a path is a version of a REST API, as `2015-03-31`.
fn is_version(part: &str) -> bool {
    part.len() == 10
        && part.bytes().enumerate().all(|(at, byte)| match at {
            4 | 7 => byte == b'-',
            _ => byte.is_ascii_digit(),
        })
}

fn parameter<'a>(query: &'a str, name: &str) -> Option<&'a str> {
    query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='))
}

/// What `X-Amz-Target`, or the path of RPC v2, says before the operation's name.
fn target_prefix(parts: &Parts) -> Option<&str> {
    if parts.headers.contains_key("smithy-protocol") {
        return parts.uri.path().strip_prefix("/service/")?.split('/').next();
    }
    let target = parts.headers.get("x-amz-target")?.to_str().ok()?;
    target.split('.').next()
}
