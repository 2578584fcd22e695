//! What exports and imports ask of the service that keeps objects.

use bytes::Bytes;
use lambent_api::{ApiError, Body, CallContext};
use lambent_base::BoxFuture;
use lambent_identity::Caller;

/// Writes and reads objects in the name of who asked for an export or an import: given by the binary.
pub trait Buckets: Send + Sync {
    /// Writes an object, and gives its ETag without quotes.
    ///
    /// Errors: the service's own, as AccessDenied and NoSuchBucket.
    fn put<'a>(
        &'a self,
        who: &'a InNameOf,
        object: &'a ObjectName,
        content_type: &'a str,
        bytes: Bytes,
    ) -> BoxFuture<'a, Result<String, ApiError>>;

    /// The bytes of an object; where an ETag is given, only if it still has that.
    ///
    /// Errors: the service's own, PreconditionFailed among them.
    fn get<'a>(
        &'a self,
        who: &'a InNameOf,
        object: &'a ObjectName,
        etag: Option<&'a str>,
    ) -> BoxFuture<'a, Result<Body, ApiError>>;

    /// Some objects whose keys begin with that of `prefix` and come after `after`, in their order; none when there are no
    /// more.
    fn list<'a>(
        &'a self,
        who: &'a InNameOf,
        prefix: &'a ObjectName,
        after: Option<&'a str>,
    ) -> BoxFuture<'a, Result<Vec<ListedObject>, ApiError>>;
}

/// For whom something is done.
#[derive(Clone, Debug)]
pub struct InNameOf {
    pub caller: Caller,
    pub context: CallContext,
}

/// An object, or the beginning of the keys of several.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObjectName {
    pub bucket: String,
    pub key: String,
    /// The account that the bucket must be of, where the request says one.
    pub expected_owner: Option<String>,
}

/// An object of a listing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedObject {
    pub key: String,
    pub bytes: i64,
    /// Without quotes.
    pub etag: String,
}
