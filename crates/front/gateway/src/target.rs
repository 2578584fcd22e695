//! Which service a request is for.

use http::request::Parts;
use lambent_sigv4::SignedRequest;
use lambent_wire::ProtocolKind;

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
        let name = signed.map_or_else(|| self.guess(parts), SignedRequest::service);
        let entry = self.services.iter().find(|entry| entry.service.info.signing_name == name).ok_or(name)?;
        Ok((entry, lambent_wire::choose(entry.service.info, &parts.headers)))
    }

    fn guess(&self, parts: &Parts) -> &'static str {
        if let Some(target) = parts.headers.get("x-amz-target").and_then(|target| target.to_str().ok()) {
            let prefix = target.split('.').next();
            let named = self.services.iter().find(|entry| entry.service.info.target_prefix == prefix);
            return named.map_or("s3", |entry| entry.service.info.signing_name);
        }
        let kind = parts.headers.get(http::header::CONTENT_TYPE);
        let is_form =
            kind.is_some_and(|kind| kind.as_bytes().starts_with(b"application/x-www-form-urlencoded"));
        match parts.uri.path() {
            "/" if is_form => "sts",
            path if path.starts_with("/2015-03-31/") => "lambda",
            _ => "s3",
        }
    }
}
