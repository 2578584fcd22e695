//! Who signed the request, and does the signature hold?

use bytes::Bytes;
use http::request::Parts;
use hyper::body::{Body as _, Incoming as HttpBody};
use lambent_api::ApiError;
use lambent_identity::Caller;
use lambent_sigv4::{ErrorStyle, ServiceRules, SignedRequest, Verified, VerifyOptions};
use tokio::sync::OwnedSemaphorePermit;

use crate::{Inner, body_in, errors, limits};

/// A request whose signature holds.
pub(crate) struct Authenticated {
    pub(crate) caller: Caller,
    /// The region of the credential scope.
    pub(crate) region: String,
    pub(crate) body: SignedBody,
}

/// The body, as far as the signature speaks for it by now.
pub(crate) enum SignedBody {
    /// Hashed or chunked: checked while it streams (S3).
    Streaming(HttpBody, Box<Verified>),
    /// Read whole, and part of what was signed. The permit counts its memory.
    Whole(Bytes, Option<OwnedSemaphorePermit>),
}

impl Inner {
    /// Checks a parsed signature. Services other than S3 sign the body's bytes, which are therefore read here, but not before
    /// the access key is known to exist.
    pub(crate) async fn authenticate(
        &self,
        parts: &Parts,
        signed: &SignedRequest<'_>,
        service: &'static str,
        style: ErrorStyle,
        body: HttpBody,
    ) -> Result<Authenticated, ApiError> {
        let found = self.identity.credential(signed.access_key_id(), signed.session_token()).await;
        let credential = match found {
            Ok(credential) => credential,
            Err(error) => return Err(errors::from_aws(errors::auth_error(error)?.aws_error(style))),
        };
        let key = self.signing_keys.key(signed, &credential.secret_access_key);
        let rules = ServiceRules::of(service);
        let verify = |body_sha256: Option<[u8; 32]>| {
            let options = VerifyOptions { rules, service, region: None, body_sha256 };
            let verified = signed.verify(parts, &key, self.clock.unix_s(), &options);
            verified.map_err(|error| errors::from_aws(error.aws_error(style)))
        };
        let body = if rules.declared_payload {
            SignedBody::Streaming(body, Box::new(verify(None)?))
        } else {
            let (bytes, permit) = self.buffer(body, service).await?;
            verify(Some(lambent_sigv4::sha256(&bytes)))?;
            SignedBody::Whole(bytes, permit)
        };
        Ok(Authenticated { caller: credential.caller, region: signed.region().to_owned(), body })
    }

    /// Reads a body into memory, within the service's bound and the gateway's.
    async fn buffer(
        &self,
        body: HttpBody,
        service: &'static str,
    ) -> Result<(Bytes, Option<OwnedSemaphorePermit>), ApiError> {
        let max = limits::buffered_body_max(service);
        let hint = body.size_hint();
        let expected = hint.exact().unwrap_or(max as u64).min(max as u64);
        let permit = self.memory_for(expected).await;
        Ok((body_in::buffered(body, max, errors::too_large(service, max)).await?, permit))
    }

    /// Waits until there is room for so many bytes. Small bodies go through uncounted.
    pub(crate) async fn memory_for(&self, bytes: u64) -> Option<OwnedSemaphorePermit> {
        if bytes <= limits::BUFFERED_UNCOUNTED_BYTES {
            return None;
        }
        let kib = u32::try_from(bytes.div_ceil(1024)).unwrap_or(u32::MAX);
        self.buffers.clone().acquire_many_owned(kib).await.ok()
    }
}
