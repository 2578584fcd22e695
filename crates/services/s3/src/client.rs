//! Objects for other services that write and read them in the name of who asked them to, as exports and imports of tables.

use std::sync::Arc;

use lambent_api::{ApiError, Body, Call, CallContext};
use lambent_identity::{Caller, Identity, Wanted};
use lambent_model_s3::{GetObjectRequest, ListObjectsV2Request, PutObjectRequest};

use crate::names::object_arn;
use crate::service::{S3, S3Parts};
use crate::wanted;

/// Does what S3's own operations do, for a caller that is decided on each time.
pub struct ObjectClient {
    s3: S3,
    identity: Arc<Identity>,
}

/// An object of a listing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedObject {
    pub key: String,
    pub bytes: i64,
    /// Without quotes.
    pub etag: String,
}

/// An object, or the beginning of the keys of several.
#[derive(Clone, Copy, Debug)]
pub struct ObjectAt<'a> {
    pub bucket: &'a str,
    pub key: &'a str,
    /// The account that the bucket must be of, as `x-amz-expected-bucket-owner`.
    pub expected_owner: Option<&'a str>,
}

impl ObjectClient {
    pub fn new(parts: S3Parts) -> Self {
        Self { identity: parts.identity.clone(), s3: S3::new(parts) }
    }

    /// Writes a whole object, and gives its ETag.
    ///
    /// Errors: those of PutObject.
    pub async fn put(
        &self,
        (context, caller): (CallContext, &Caller),
        object: ObjectAt<'_>,
        content_type: &str,
        body: Body,
    ) -> Result<String, ApiError> {
        let wanted = Wanted::new("s3:PutObject", object_arn(object.bucket, object.key));
        let call = self.decide(context, caller, wanted).await?;
        let input = PutObjectRequest {
            bucket: object.bucket.to_owned(),
            key: object.key.to_owned(),
            expected_bucket_owner: object.expected_owner.map(str::to_owned),
            content_type: Some(content_type.to_owned()),
            ..PutObjectRequest::default()
        };
        let output = self.s3.put_object(&call, input, body).await?;
        Ok(output.e_tag.unwrap_or_default().trim_matches('"').to_owned())
    }

    /// The bytes of a whole object, streamed; where an ETag is given, only if the object still has that.
    ///
    /// Errors: those of GetObject.
    pub async fn get(
        &self,
        (context, caller): (CallContext, &Caller),
        object: ObjectAt<'_>,
        etag: Option<&str>,
    ) -> Result<Body, ApiError> {
        let wanted = Wanted::new("s3:GetObject", object_arn(object.bucket, object.key));
        let call = self.decide(context, caller, wanted).await?;
        let input = GetObjectRequest {
            bucket: object.bucket.to_owned(),
            key: object.key.to_owned(),
            expected_bucket_owner: object.expected_owner.map(str::to_owned),
            if_match: etag.map(|etag| format!("\"{etag}\"")),
            ..GetObjectRequest::default()
        };
        Ok(self.s3.get_object(&call, input).await?.1)
    }

    /// Some objects whose keys begin with that of `prefix` and come after `after`, in their order; none when there are no more.
    ///
    /// Errors: those of ListObjectsV2.
    pub async fn list(
        &self,
        (context, caller): (CallContext, &Caller),
        prefix: ObjectAt<'_>,
        after: Option<&str>,
    ) -> Result<Vec<ListedObject>, ApiError> {
        let input = ListObjectsV2Request {
            bucket: prefix.bucket.to_owned(),
            prefix: Some(prefix.key.to_owned()),
            expected_bucket_owner: prefix.expected_owner.map(str::to_owned),
            start_after: after.map(str::to_owned),
            ..ListObjectsV2Request::default()
        };
        let wanted = wanted::list_objects_v2(&input, &context.place);
        let call = self.decide(context, caller, wanted).await?;
        let listed = self.s3.list_objects_v2(&call, input).await?.contents.unwrap_or_default();
        let objects = listed.into_iter().filter_map(|object| {
            Some(ListedObject {
                key: object.key?,
                bytes: object.size.unwrap_or_default(),
                etag: object.e_tag.unwrap_or_default().trim_matches('"').to_owned(),
            })
        });
        Ok(objects.collect())
    }

    async fn decide(&self, context: CallContext, caller: &Caller, wanted: Wanted) -> Result<Call, ApiError> {
        Call::decide(context, self.identity.clone(), caller, wanted).await
    }
}
