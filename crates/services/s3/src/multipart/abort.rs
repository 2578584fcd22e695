//! AbortMultipartUpload.

use lambent_api::Call;
use lambent_model_s3::{AbortMultipartUploadOutput, AbortMultipartUploadRequest};

use super::{named, upload};
use crate::errors::{self, S3Error};
use crate::rows::DeadRow;
use crate::service::S3;
use crate::{gc, keys};

impl S3 {
    pub(crate) async fn abort_multipart_upload(
        &self,
        call: &Call,
        input: AbortMultipartUploadRequest,
    ) -> Result<AbortMultipartUploadOutput, S3Error> {
        if input.if_match_initiated_time.is_some() {
            return Err(errors::header_not_implemented("x-amz-if-match-initiated-time").into());
        }
        let named = named!(input);
        self.db(call)
            .run(|txn| async move {
                upload(&txn, call, named).await?;
                txn.frees_space();
                txn.delete(&keys::upload(named.bucket, named.key, named.id));
                gc::bury(&txn, call.time_ms(), named.id, &DeadRow::Parts(named.id.to_owned()))
            })
            .await?;
        Ok(AbortMultipartUploadOutput::default())
    }
}
