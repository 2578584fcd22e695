//! Block Public Access of a bucket: GetPublicAccessBlock, PutPublicAccessBlock, DeletePublicAccessBlock.
//!
//! A new bucket has all four settings on. Source: Amazon S3 User Guide, "Blocking public access to your Amazon S3 storage".

use lambent_api::{ApiError, Call};
use lambent_model_s3::{
    DeletePublicAccessBlockRequest, GetPublicAccessBlockOutput, GetPublicAccessBlockRequest,
    PublicAccessBlockConfiguration, PutPublicAccessBlockRequest,
};
use lambent_wire::Empty;

use crate::buckets;
use crate::errors::{self, S3Error};
use crate::rows::{AccessRow, Block};
use crate::service::S3;

impl S3 {
    pub(crate) async fn get_public_access_block(
        &self,
        call: &Call,
        input: GetPublicAccessBlockRequest,
    ) -> Result<GetPublicAccessBlockOutput, S3Error> {
        owners_own(call)?;
        let access = self.access_of(call, &input.bucket, input.expected_bucket_owner.as_deref()).await?;
        if !access.has_block {
            let message = "The public access block configuration was not found";
            return Err(ApiError::new("NoSuchPublicAccessBlockConfiguration", 404, message)
                .with("BucketName", input.bucket)
                .into());
        }
        let Block { block_public_acls, ignore_public_acls, block_public_policy, restrict_public_buckets } =
            access.block;
        Ok(GetPublicAccessBlockOutput {
            public_access_block_configuration: Some(PublicAccessBlockConfiguration {
                block_public_acls: Some(block_public_acls),
                ignore_public_acls: Some(ignore_public_acls),
                block_public_policy: Some(block_public_policy),
                restrict_public_buckets: Some(restrict_public_buckets),
            }),
        })
    }

    pub(crate) async fn put_public_access_block(
        &self,
        call: &Call,
        input: PutPublicAccessBlockRequest,
    ) -> Result<Empty, S3Error> {
        owners_own(call)?;
        let given = input.public_access_block_configuration;
        let block = Block {
            block_public_acls: given.block_public_acls == Some(true),
            ignore_public_acls: given.ignore_public_acls == Some(true),
            block_public_policy: given.block_public_policy == Some(true),
            restrict_public_buckets: given.restrict_public_buckets == Some(true),
        };
        let expected = input.expected_bucket_owner.as_deref();
        self.change_access(call, &input.bucket, expected, |access| {
            Ok(AccessRow { has_block: true, block, ..access })
        })
        .await
    }

    pub(crate) async fn delete_public_access_block(
        &self,
        call: &Call,
        input: DeletePublicAccessBlockRequest,
    ) -> Result<Empty, S3Error> {
        owners_own(call)?;
        let expected = input.expected_bucket_owner.as_deref();
        self.change_access(call, &input.bucket, expected, |access| {
            Ok(AccessRow { has_block: false, block: Block::OFF, ..access })
        })
        .await
    }

    /// What is kept of who may use a bucket.
    pub(super) async fn access_of(
        &self,
        call: &Call,
        bucket: &str,
        expected_owner: Option<&str>,
    ) -> Result<AccessRow, S3Error> {
        let read = self.db(call).read(|txn| async move {
            buckets::bucket(&txn, call, bucket, expected_owner).await?;
            AccessRow::of(&txn, bucket).await
        });
        read.await
    }

    /// Changes it, for every decision that begins after this; an error of `change` leaves it as it is.
    pub(super) async fn change_access(
        &self,
        call: &Call,
        bucket: &str,
        expected_owner: Option<&str>,
        change: impl Fn(AccessRow) -> Result<AccessRow, ApiError>,
    ) -> Result<Empty, S3Error> {
        let change = &change;
        let committed = self.db(call).run(|txn| async move {
            let row = buckets::bucket(&txn, call, bucket, expected_owner).await?;
            change(AccessRow::of(&txn, bucket).await?)?.put(&txn, &row.owner, bucket)
        });
        committed.await?;
        Ok(Empty {})
    }
}

/// Errors: `AccessDenied` for principals of another account than the bucket's, even those that its policy allows this: else
/// who is let in could open the bucket to everybody.
fn owners_own(call: &Call) -> Result<(), ApiError> {
    if call.caller().account == call.owner() { Ok(()) } else { Err(errors::access_denied()) }
}
