//! What policies decide on for reads and deletions, and the leave that a list of deletions needs.

use lambent_api::ApiError;
use lambent_base::Place;
use lambent_identity::{Authorized, Wanted};
use lambent_model_s3::{
    DeleteObjectRequest, DeleteObjectsRequest, GetObjectRequest, HeadObjectRequest, ObjectIdentifier,
};

use crate::{errors, limits, names, wanted};

/// Reading an object, or a version of it: an action of its own. Source: Amazon S3 API Reference, "GetObject".
pub(crate) fn reading(bucket: &str, key: &str, version: Option<&str>) -> Wanted {
    let action = if version.is_some() { "s3:GetObjectVersion" } else { "s3:GetObject" };
    wanted::with(Wanted::new(action, names::object_arn(bucket, key)), "s3:versionid", version)
}

/// Deleting an object, or a version of it: an action of its own. Source: Amazon S3 API Reference, "DeleteObject".
fn deletion(bucket: &str, key: &str, version: Option<&str>) -> Wanted {
    let action = if version.is_some() { "s3:DeleteObjectVersion" } else { "s3:DeleteObject" };
    wanted::with(Wanted::new(action, names::object_arn(bucket, key)), "s3:versionid", version)
}

/// What GetObject wants.
pub(crate) fn wanted_get(input: &GetObjectRequest, _place: &Place) -> Wanted {
    reading(&input.bucket, &input.key, input.version_id.as_deref())
}

/// What HeadObject wants.
pub(crate) fn wanted_head(input: &HeadObjectRequest, _place: &Place) -> Wanted {
    reading(&input.bucket, &input.key, input.version_id.as_deref())
}

/// What DeleteObject wants.
pub(crate) fn wanted_deletion(input: &DeleteObjectRequest, _place: &Place) -> Wanted {
    deletion(&input.bucket, &input.key, input.version_id.as_deref())
}

/// What DeleteObjects wants: each object is decided on by itself.
///
/// Errors: `MalformedXML` for a list that is empty or too long.
pub(crate) fn wanted_deletions(
    input: &DeleteObjectsRequest,
    _place: &Place,
) -> Result<Vec<Wanted>, ApiError> {
    let objects = &input.delete.objects;
    if objects.is_empty() || objects.len() > limits::DELETE_MAX_OBJECTS {
        return Err(errors::malformed_xml());
    }
    Ok(objects.iter().map(|object| deletion_of(&input.bucket, object)).collect())
}

fn deletion_of(bucket: &str, object: &ObjectIdentifier) -> Wanted {
    deletion(bucket, &object.key, object.version_id.as_deref())
}

/// An object of a list that the caller may delete: there is none without the proof.
pub(crate) struct Permitted<'a> {
    bucket: &'a str,
    object: &'a ObjectIdentifier,
    authorized: Authorized,
}

impl<'a> Permitted<'a> {
    /// Errors: the decision's own no; `AccessDenied` when it is a yes to something else.
    pub(crate) fn new(
        bucket: &'a str,
        object: &'a ObjectIdentifier,
        decision: Result<Authorized, ApiError>,
    ) -> Result<Self, ApiError> {
        let (authorized, wanted) = (decision?, deletion_of(bucket, object));
        if authorized.action() != wanted.action || authorized.resource() != wanted.resource {
            return Err(errors::access_denied());
        }
        Ok(Self { bucket, object, authorized })
    }

    pub(crate) fn bucket(&self) -> &'a str {
        self.bucket
    }

    pub(crate) fn authorized(&self) -> &Authorized {
        &self.authorized
    }

    pub(crate) fn object(&self) -> &'a ObjectIdentifier {
        self.object
    }
}
