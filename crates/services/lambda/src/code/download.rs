//! Where GetFunction says that the code can be had: a URL of this server, signed and soon over.
//!
//! `ENDPOINT/_lambent/code/SHA256?Expires=UNIX_SECONDS&Signature=HEX`. Whoever has the URL may download, as with AWS's
//! own presigned ones; the signature is HMAC-SHA256 by a key that comes from the master key.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use hmac::{Hmac, KeyInit, Mac};
use lambent_api::{Body, ByteStream};
use lambent_base::{BoxFuture, text};
use lambent_blobs::{BlobError, BlobId, BlobReader};
use lambent_wire::ApiError;
use sha2::Sha256;

use crate::engine::Engine;
use crate::errors::LambdaError;
use crate::keys;
use crate::lambda::Lambda;
use crate::limits::DOWNLOAD_URL_TTL;
use crate::rows::{self, CodeRef, CodeRow};

/// The path under which the gateway hands requests to [`Engine::code_download`].
pub const CODE_PATH: &str = "/_lambent/code/";

/// What the key of these URLs is derived for.
const URL_KEY_PURPOSE: &str = "lambda code URLs";

impl Engine {
    /// The zip behind a URL of Code.Location, with its length. `sha256` is the path's last part, `query` what follows
    /// the question mark.
    ///
    /// Errors: AccessDenied (403) for a URL that was changed or is over, NoSuchKey (404) for code that is gone.
    pub async fn code_download(&self, sha256: &str, query: &str) -> Result<(Body, u64), ApiError> {
        let parameter = |name: &str| {
            query
                .split('&')
                .find_map(|pair| pair.split_once('=').filter(|(key, _)| *key == name))
                .map(|pair| pair.1)
        };
        let denied = |message| ApiError::new("AccessDenied", 403, message);
        let signed = parameter("Expires").zip(parameter("Signature").and_then(text::unhex));
        let (expires, signature) = signed.ok_or_else(|| denied("The URL has no signature."))?;
        let expected = self.sign(sha256, expires);
        if !text::equal_in_constant_time(&expected, &signature) {
            return Err(denied("The URL's signature does not match."));
        }
        if expires.parse::<i64>().is_ok_and(|expires_s| self.parts.clock.unix_s() >= expires_s) {
            return Err(denied("Request has expired"));
        }
        let key = keys::code(sha256);
        let key = &key;
        let row = self.db.read(|txn| async move { rows::get::<CodeRow>(&txn, key).await }).await?;
        let row = row.ok_or_else(|| ApiError::new("NoSuchKey", 404, "The specified key does not exist."))?;
        let blob = self.blobs.open_range(BlobId::from_bytes(row.blob), 0..row.size).await;
        let blob = blob.map_err(|error| LambdaError::package("read", error))?;
        Ok((blob_body(blob, row.size), row.size))
    }
}

impl Lambda {
    /// The URL from which a package can be downloaded for a while.
    pub(crate) fn code_url(&self, endpoint: &str, code: &CodeRef) -> String {
        let ttl_s = i64::try_from(DOWNLOAD_URL_TTL.as_secs()).expect("minutes are few seconds");
        let expires = (self.parts.clock.unix_s() + ttl_s).to_string();
        let signature = text::hex(&self.sign(&code.sha256, &expires));
        format!("{endpoint}{CODE_PATH}{}?Expires={expires}&Signature={signature}", code.sha256)
    }

    fn sign(&self, sha256: &str, expires: &str) -> Vec<u8> {
        let key = self.parts.identity.derive(URL_KEY_PURPOSE);
        let mut mac = Hmac::<Sha256>::new_from_slice(&key).expect("HMAC takes keys of any length");
        for part in [sha256, "\n", expires] {
            mac.update(part.as_bytes());
        }
        mac.finalize().into_bytes().to_vec()
    }
}

/// A blob as a body.
fn blob_body(blob: BlobReader, length: u64) -> Body {
    Body::stream(BlobBody::Idle(blob), Some(length))
}

/// A blob that is read as its pieces are asked for.
enum BlobBody {
    Idle(BlobReader),
    Reading(BoxFuture<'static, (BlobReader, Result<Option<Bytes>, BlobError>)>),
    Ended,
}

impl ByteStream for BlobBody {
    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, ApiError>>> {
        let mut reading = match std::mem::replace(&mut *self, Self::Ended) {
            Self::Idle(mut blob) => Box::pin(async move {
                let piece = blob.next().await;
                (blob, piece)
            }),
            Self::Reading(reading) => reading,
            Self::Ended => return Poll::Ready(None),
        };
        match reading.as_mut().poll(cx) {
            Poll::Pending => {
                *self = Self::Reading(reading);
                Poll::Pending
            }
            Poll::Ready((_, Err(error))) => {
                Poll::Ready(Some(Err(LambdaError::package("read", error).into())))
            }
            Poll::Ready((_, Ok(None))) => Poll::Ready(None),
            Poll::Ready((blob, Ok(Some(piece)))) => {
                *self = Self::Idle(blob);
                Poll::Ready(Some(Ok(piece)))
            }
        }
    }
}
