//! Who signed the request, and does the signature hold?

use bytes::Bytes;
use http::request::Parts;
use hyper::body::Body as _;
use lambent_api::ApiError;
use lambent_base::Alarm;
use lambent_identity::Caller;
use lambent_sigv4::{
    AuthError, ErrorStyle, PayloadKind, PayloadReader, PresignedV2, ServiceRules, SignedRequest, SigningKey,
    VerifyOptions,
};
use tokio::sync::OwnedSemaphorePermit;

use crate::body_in::Arriving;
use crate::door::Arrival;
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
    /// Checked while it streams (S3).
    Streaming(Arriving, Box<PayloadReader>),
    /// Read whole, and part of what was signed. The permit counts its memory.
    Whole(Bytes, Option<OwnedSemaphorePermit>),
}

/// What a request is for, as far as it is known before the body is read.
#[derive(Clone, Copy)]
pub(crate) struct Meant {
    /// The signing name.
    pub(crate) service: &'static str,
    /// Empty where only the body tells.
    pub(crate) operation: &'static str,
    pub(crate) style: ErrorStyle,
    /// Bytes of the body, where it is read before the operation runs.
    pub(crate) max: usize,
}

/// A signature as the request claims it.
pub(crate) enum Claim<'a> {
    V4(SignedRequest<'a>),
    /// S3 only.
    PresignedV2(PresignedV2<'a>),
}

impl<'a> Claim<'a> {
    /// The claim of a request; one that is not signed at all is refused here.
    pub(crate) fn of(parts: &'a Parts, service: &str) -> Result<Self, AuthError> {
        Self::from_parsed(lambent_sigv4::parse(parts), parts, service)
    }

    /// The same, for a request whose signature was read before.
    pub(crate) fn from_parsed(
        parsed: Result<Option<SignedRequest<'a>>, AuthError>,
        parts: &'a Parts,
        service: &str,
    ) -> Result<Self, AuthError> {
        match parsed {
            Ok(Some(signed)) => Ok(Self::V4(signed)),
            Ok(None) => Err(AuthError::NotSigned),
            Err(AuthError::SigV2) if service == "s3" => {
                PresignedV2::parse(parts)?.map(Self::PresignedV2).ok_or(AuthError::SigV2)
            }
            Err(error) => Err(error),
        }
    }

    fn key_and_token(&self) -> (&str, Option<&str>) {
        match self {
            Self::V4(signed) => (signed.access_key_id(), signed.session_token()),
            Self::PresignedV2(signed) => (signed.access_key_id(), signed.session_token()),
        }
    }
}

/// Why a signed request is not what its signature says.
enum Failure {
    Signature(AuthError),
    /// The body could not be read, or is not what chunks say.
    Body(ApiError),
}

impl From<AuthError> for Failure {
    fn from(error: AuthError) -> Self {
        Self::Signature(error)
    }
}

impl Inner {
    /// Who did not sign: policies decide whether that matters.
    pub(crate) fn nobody(&self, parts: &Parts, body: Arriving) -> Result<Authenticated, ApiError> {
        let body = unsigned(parts, body)?;
        Ok(Authenticated { caller: Caller::anonymous(), region: self.config.region.clone(), body })
    }

    /// Checks a claim. Services other than S3 sign the body's bytes, which are therefore read here, but not before the access
    /// key is known to exist.
    pub(crate) async fn authenticate(
        &self,
        parts: &Parts,
        claim: &Claim<'_>,
        meant: Meant,
        body: Arriving,
    ) -> Result<Authenticated, ApiError> {
        let (Meant { service, style, .. }, arrival) = (meant, body.arrival);
        let (access_key_id, session_token) = claim.key_and_token();
        let credential = match self.identity.credential(access_key_id, session_token).await {
            Ok(credential) => credential,
            Err(error) => return Err(self.refusal(errors::auth_error(error)?, style, arrival).await),
        };
        let signed = match claim {
            Claim::V4(signed) => signed,
            Claim::PresignedV2(signed) => {
                let bucket = self.virtual_bucket(parts, service);
                let secret = &credential.secret_access_key;
                if let Err(error) = signed.verify(parts, bucket.as_deref(), secret, self.clock.unix_s()) {
                    return Err(self.refusal(error, style, arrival).await);
                }
                let body = unsigned(parts, body)?;
                return Ok(Authenticated {
                    caller: credential.caller,
                    region: self.config.region.clone(),
                    body,
                });
            }
        };
        let body = match self.verify(parts, signed, &credential.secret_access_key, meant, body).await {
            Ok(body) => body,
            Err(Failure::Signature(error)) => return Err(self.refusal(error, style, arrival).await),
            Err(Failure::Body(error)) => return Err(error),
        };
        Ok(Authenticated { caller: credential.caller, region: signed.region().to_owned(), body })
    }

    /// Holds a request to its signature: what costs least first, and what needs the body last.
    async fn verify(
        &self,
        parts: &Parts,
        signed: &SignedRequest<'_>,
        secret: &str,
        meant: Meant,
        body: Arriving,
    ) -> Result<SignedBody, Failure> {
        let (service, now_s) = (meant.service, self.clock.unix_s());
        let rules = ServiceRules::of(service);
        let options = |body_sha256| VerifyOptions { rules, service, region: None, body_sha256 };
        signed.check(parts, now_s, &options(None))?;
        let known = self.signing_keys.find(signed, secret);
        let is_new = known.is_none();
        let key = known.unwrap_or_else(|| SigningKey::of(signed, secret));
        let body = if rules.declared_payload {
            let verified = signed.verify(parts, &key, now_s, &options(None))?;
            let reader = PayloadReader::new(&verified, &parts.headers);
            let reader = reader.map_err(|error| Failure::Body(body_in::chunk_error(&error)))?;
            SignedBody::Streaming(body, Box::new(reader))
        } else {
            let declared = signed.payload().and_then(|kind| match kind {
                PayloadKind::Sha256(digest) => Some(digest),
                _ => None,
            });
            if declared.is_some() {
                // Many clients say what the body will be, so that a wrong signature shows before it is read.
                signed.verify(parts, &key, now_s, &options(declared))?;
            }
            let (bytes, permit) = self.buffer(body, meant).await.map_err(Failure::Body)?;
            let digest = Some(lambent_sigv4::sha256(&bytes));
            if digest != declared {
                signed.verify(parts, &key, now_s, &options(digest))?;
            }
            SignedBody::Whole(bytes, permit)
        };
        if is_new {
            self.signing_keys.remember(signed, secret, &key);
        }
        Ok(body)
    }

    /// The answer to a signature that does not hold, after the time that its peer has to wait for it.
    pub(crate) async fn refusal(&self, error: AuthError, style: ErrorStyle, arrival: Arrival) -> ApiError {
        let wait = self.refusals.wait(arrival.peer.ip());
        if !wait.is_zero() {
            tokio::time::sleep(wait).await;
        }
        errors::from_aws(error.aws_error(style))
    }

    /// Reads a body into memory, within the service's bound and the gateway's.
    pub(crate) async fn buffer(
        &self,
        body: Arriving,
        Meant { service, operation, style, max }: Meant,
    ) -> Result<(Bytes, Option<OwnedSemaphorePermit>), ApiError> {
        let expected = body.incoming.size_hint().exact().unwrap_or(max as u64).min(max as u64);
        let permit = self.memory_for(expected, style).await?;
        let too_large = errors::too_large(service, operation, max);
        let alarm = body.alarm.clone();
        let reading = body_in::buffered(body, max, too_large, self.config.patience.idle);
        Ok((self.in_time(&alarm, expected, reading).await?, permit))
    }

    /// Waits until there is room for so many bytes, but not for ever. Small bodies go through uncounted.
    pub(crate) async fn memory_for(
        &self,
        bytes: u64,
        style: ErrorStyle,
    ) -> Result<Option<OwnedSemaphorePermit>, ApiError> {
        if bytes <= limits::BUFFERED_UNCOUNTED_BYTES {
            return Ok(None);
        }
        let kib = u32::try_from(bytes.div_ceil(1024)).unwrap_or(u32::MAX);
        let room = self.buffers.clone().acquire_many_owned(kib);
        match tokio::time::timeout(self.config.patience.room, room).await {
            Ok(permit) => Ok(Some(permit.expect("the semaphore is never closed"))),
            Err(_) => Err(errors::no_memory(style)),
        }
    }

    /// Holds the reading of a body of so many bytes to the time that it may take: what has a share of the memory for
    /// all gives it back some day, however slowly its client sends.
    pub(crate) async fn in_time(
        &self,
        alarm: &Alarm,
        bytes: u64,
        reading: impl Future<Output = Result<Bytes, ApiError>>,
    ) -> Result<Bytes, ApiError> {
        let patience = self.config.patience.for_whole(bytes);
        alarm.within(patience, reading).await.unwrap_or_else(|_| Err(errors::too_slow()))
    }
}

/// A body of which no signature speaks.
fn unsigned(parts: &Parts, body: Arriving) -> Result<SignedBody, ApiError> {
    let reader = PayloadReader::unsigned(&parts.headers).map_err(|error| body_in::chunk_error(&error))?;
    Ok(SignedBody::Streaming(body, Box::new(reader)))
}
