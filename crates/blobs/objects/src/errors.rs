//! What an object store's failures mean to operators.

use std::error::Error as _;

use lambent_blobs::BlobError;
use object_store::Error;

/// What the bodies of errors say when there is no room: S3 itself never does, what operators run at home does.
const FULL: [&str; 4] = ["StorageFull", "InsufficientStorage", "QuotaExceeded", "No space left"];

/// What the bodies of errors say when the bucket is missing.
const NO_BUCKET: &str = "NoSuchBucket";

/// The failure of a call that was not about one object, or not about one that should be there.
pub(crate) fn failure(place: &str, error: &Error) -> BlobError {
    let (place, why) = (place.to_owned(), reasons(error));
    match error {
        Error::NotFound { .. }
        | Error::PermissionDenied { .. }
        | Error::Unauthenticated { .. }
        | Error::NotSupported { .. }
        | Error::NotImplemented { .. }
        | Error::InvalidPath { .. }
        | Error::UnknownConfigurationKey { .. } => BlobError::Refused { place, why },
        _ if FULL.iter().any(|code| why.contains(code)) => BlobError::Full { place, why },
        _ => BlobError::Unreachable { place, why },
    }
}

/// Whether it is not the object that is missing but what should hold it.
pub(crate) fn is_no_bucket(error: &Error) -> bool {
    reasons(error).contains(NO_BUCKET)
}

/// The error and what caused it, as far as its own text does not say that.
fn reasons(error: &Error) -> String {
    let mut why = error.to_string();
    let mut cause = error.source();
    while let Some(reason) = cause {
        let text = reason.to_string();
        if !why.contains(&text) {
            why = format!("{why}: {text}");
        }
        cause = reason.source();
    }
    why
}
