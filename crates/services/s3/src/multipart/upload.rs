//! UploadPart.

use lambent_api::{ApiError, Body, Call};
use lambent_model_s3::{UploadPartOutput, UploadPartRequest};
use lambent_store::Txn;

use super::{Named, check_part_number, named, upload};
use crate::checksums::{self, Claims, StoredChecksum, lower_name};
use crate::conditions::quoted;
use crate::errors::{self, S3Error};
use crate::ingest::{Intake, Place, Taken};
use crate::metadata::refuse_customer_key;
use crate::rows::{self, DeadRow, PartRow, UploadRow};
use crate::service::S3;
use crate::{gc, keys};

/// A part on its way into its upload.
pub(super) struct NewPart<'a> {
    pub named: Named<'a>,
    pub number: i32,
    pub row: &'a PartRow,
}

impl S3 {
    pub(crate) async fn upload_part(
        &self,
        call: &Call,
        input: UploadPartRequest,
        mut body: Body,
    ) -> Result<UploadPartOutput, S3Error> {
        check_part_number(input.part_number)?;
        refuse_customer_key!(input)?;
        let given = checksums::given!(input);
        let claims = &Claims::read(input.content_md5.as_deref(), &given, input.checksum_algorithm.as_ref())?;
        let named = named!(input);
        let row = self.db(call).read(|txn| async move { upload(&txn, call, named).await }).await?;
        check_claims(claims, &row)?;
        let also = Some(row.algorithm());
        let taken = self.take(call, &mut body, Intake { claims, also, whole_object: false }).await?;
        if let Err(error) = check_claimed(&taken, &row) {
            self.forget(call, &taken.place).await;
            return Err(error.into());
        }
        let part = self.store_taken_part(call, named, input.part_number, &row, &taken).await?;
        let mut output = UploadPartOutput { e_tag: Some(quoted(&part.etag)), ..UploadPartOutput::default() };
        let shown = taken.claimed.as_ref().map(StoredChecksum::full).unwrap_or(part.checksum);
        checksums::show!(output, &shown);
        Ok(output)
    }

    /// Publishes a part that was taken in; its blob is removed when that surely fails.
    pub(super) async fn store_taken_part(
        &self,
        call: &Call,
        named: Named<'_>,
        number: i32,
        upload_row: &UploadRow,
        taken: &Taken,
    ) -> Result<PartRow, S3Error> {
        let Place::Blob(blob) = &taken.place else {
            unreachable!("parts are taken in with `whole_object: false`");
        };
        let row = PartRow {
            size: taken.size,
            etag: taken.computed.etag(),
            modified_unix_s: call.time_ms().div_euclid(1000),
            checksum: StoredChecksum::full(&taken.checksum(upload_row.algorithm())),
            blob: blob.to_string(),
        };
        let part = &NewPart { named, number, row: &row };
        let stored = self.db(call).run(|txn| async move { store_part(&txn, call, part).await }).await;
        if let Err(S3Error::Api(_)) = &stored {
            self.forget(call, &taken.place).await;
        }
        stored.map(|()| row)
    }
}

async fn store_part(txn: &Txn, call: &Call, part: &NewPart<'_>) -> Result<(), S3Error> {
    upload(txn, call, part.named).await?;
    let key = keys::part(part.named.id, part.number);
    if let Some(old) = txn.get(&key).await? {
        let old: PartRow = rows::decode(&key, &old)?;
        gc::bury(txn, call.time_ms(), &old.blob, &DeadRow::Blob(old.blob.clone()))?;
    }
    txn.add(&keys::blob_references(&part.row.blob), 1);
    txn.put(&key, &rows::encode(part.row)?);
    Ok(())
}

/// An upload with an algorithm takes no parts with another; what the headers say can be known before the body.
fn check_claims(claims: &Claims, upload: &UploadRow) -> Result<(), ApiError> {
    let claimed = claims.checksum.map(|checksum| checksum.algorithm());
    claimed.map_or(Ok(()), |claimed| check_algorithm(claimed, upload))
}

fn check_claimed(taken: &Taken, upload: &UploadRow) -> Result<(), ApiError> {
    taken.claimed.map_or(Ok(()), |claimed| check_algorithm(claimed.algorithm(), upload))
}

fn check_algorithm(claimed: lambent_checksums::Algorithm, upload: &UploadRow) -> Result<(), ApiError> {
    match upload.checksum {
        Some(plan) if plan.algorithm != claimed => Err(errors::invalid_request(format!(
            "Checksum Type mismatch occurred, expected checksum Type: {}, actual checksum Type: {}",
            lower_name(plan.algorithm),
            lower_name(claimed)
        ))),
        _ => Ok(()),
    }
}
