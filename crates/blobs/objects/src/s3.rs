//! Amazon S3, and what speaks its protocol.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use lambent_blobs::{BlobError, Place};
use object_store::aws::AmazonS3Builder;
use object_store::{BackoffConfig, ClientOptions, ObjectStore, RetryConfig};

use crate::address::S3Address;
use crate::errors::failure;
use crate::objects::Objects;

/// How long connecting may take.
const CONNECT_MAX: Duration = Duration::from_secs(5);
/// How long one request may take, its body included: no body is longer than one part of a file.
const REQUEST_MAX: Duration = Duration::from_secs(30);
/// How often a request is repeated after a failure that may pass.
const RETRIES_MAX: usize = 4;
/// When no further repetition begins.
const RETRY_UNTIL: Duration = Duration::from_secs(20);
/// The pause before the first repetition; later ones are longer, up to the other.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(2));
/// How long a call may take with all its repetitions.
const PATIENCE: Duration = Duration::from_secs(60);
/// What is signed for when nobody names a region.
const DEFAULT_REGION: &str = "us-east-1";

/// Who signs the requests.
#[derive(Clone)]
pub struct S3Credentials {
    pub access_key_id: String,
    pub secret_access_key: String,
    pub session_token: Option<String>,
}

impl fmt::Debug for S3Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("S3Credentials").field("access_key_id", &self.access_key_id).finish_non_exhaustive()
    }
}

/// The place at an address. Nothing is sent yet: whether it is there shows at the first call.
///
/// Errors: `Refused` when no client can be made of this.
pub fn s3(address: &S3Address, credentials: S3Credentials) -> Result<Arc<dyn Place>, BlobError> {
    let store = s3_bucket(address, credentials)?;
    Ok(Arc::new(Objects::new(store, address.to_string(), &address.prefix, PATIENCE)))
}

/// The bucket of an address, whatever its prefix: for what is no blob. Nothing is sent yet.
///
/// Errors: `Refused` when no client can be made of this.
pub fn s3_bucket(address: &S3Address, credentials: S3Credentials) -> Result<Arc<dyn ObjectStore>, BlobError> {
    // The client takes the TLS of the process. That somebody chose one already is as well.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let (init_backoff, max_backoff) = BACKOFF;
    let backoff = BackoffConfig { init_backoff, max_backoff, ..BackoffConfig::default() };
    let endpoint = address.endpoint.as_deref();
    let is_plain = endpoint.is_some_and(|url| url.starts_with("http://"));
    let client = ClientOptions::new()
        .with_connect_timeout(CONNECT_MAX)
        .with_timeout(REQUEST_MAX)
        .with_allow_http(is_plain)
        // Else a host without certificates could not even speak plainly.
        .with_no_system_certificates(is_plain);
    let mut builder = AmazonS3Builder::new()
        .with_client_options(client)
        .with_retry(RetryConfig { backoff, max_retries: RETRIES_MAX, retry_timeout: RETRY_UNTIL })
        .with_bucket_name(&address.bucket)
        .with_region(address.region.as_deref().unwrap_or(DEFAULT_REGION))
        .with_access_key_id(credentials.access_key_id)
        .with_secret_access_key(credentials.secret_access_key)
        // Not everything that speaks S3 has it, and files go one by one.
        .with_disable_bulk_delete(true);
    if let Some(token) = credentials.session_token {
        builder = builder.with_token(token);
    }
    if let Some(endpoint) = endpoint {
        builder = builder.with_endpoint(endpoint);
    }
    Ok(Arc::new(builder.build().map_err(|e| failure(&address.to_string(), &e))?))
}
