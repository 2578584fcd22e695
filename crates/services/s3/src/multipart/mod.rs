//! Multipart uploads: a part is a blob with a row; completion turns the rows into spans of the object, moving no byte.

mod abort;
mod complete;
mod copy;
mod create;
mod list;
mod upload;

use lambent_api::{ApiError, Call};
use lambent_checksums::{Algorithm, ChecksumType};
use lambent_store::Txn;
use sha2::{Digest, Sha256};

use crate::checksums::{DEFAULT, Plan};
use crate::errors::{self, S3Error};
use crate::rows::{self, UploadRow};
use crate::{buckets, keys, limits, names};

/// Hexadecimal digits of an upload id that tell its time: ids of one key sort by it.
const TIME_DIGITS: usize = 12;
/// Hexadecimal digits of an upload id that tell its bucket and key.
const PLACE_DIGITS: usize = 8;
const RANDOM_CHARS: usize = 44;
const RANDOM_ALPHABET: &[u8] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// What a request on an upload names.
#[derive(Clone, Copy, Debug)]
struct Named<'a> {
    bucket: &'a str,
    key: &'a str,
    id: &'a str,
    expected_owner: Option<&'a str>,
}

/// The [`Named`] of an input.
macro_rules! named {
    ($input:expr) => {
        $crate::multipart::Named {
            bucket: &$input.bucket,
            key: &$input.key,
            id: &$input.upload_id,
            expected_owner: $input.expected_bucket_owner.as_deref(),
        }
    };
}

use named;

impl UploadRow {
    /// What parts and the whole are checked by when the client named nothing.
    fn plan(&self) -> Plan {
        self.checksum.unwrap_or(Plan { algorithm: DEFAULT, checksum_type: ChecksumType::FullObject })
    }

    /// The algorithm of the parts' stored checksums.
    fn algorithm(&self) -> Algorithm {
        self.plan().algorithm
    }
}

/// An upload that the caller may work on; a commit of `txn` depends on its row.
///
/// Errors: `NoSuchUpload`, `NoSuchBucket`, `AccessDenied`.
async fn upload(txn: &Txn, call: &Call, named: Named<'_>) -> Result<UploadRow, S3Error> {
    names::check_bucket(named.bucket)?;
    names::check_key(named.key)?;
    // Ids are much shorter; longer texts would only break the store's bound of a key.
    if named.id.len() > limits::UPLOAD_ID_MAX_BYTES {
        return Err(errors::no_such_upload(named.id).into());
    }
    let key = keys::upload(named.bucket, named.key, named.id);
    let Some(row) = txn.get(&key).await? else {
        buckets::bucket(txn, call, named.bucket, named.expected_owner).await?;
        return Err(errors::no_such_upload(named.id).into());
    };
    let row: UploadRow = rows::decode(&key, &row)?;
    buckets::check_owner(call, &row.owner, named.expected_owner)?;
    Ok(row)
}

fn check_part_number(number: i32) -> Result<(), ApiError> {
    if (1..=limits::PART_NUMBER_MAX).contains(&number) {
        Ok(())
    } else {
        Err(errors::part_number_out_of_bounds(number))
    }
}

/// The part of an upload id that tells its bucket and key.
fn place_digits(bucket: &str, key: &str) -> String {
    let mut hash = Sha256::new();
    hash.update(bucket.as_bytes());
    hash.update(b"/");
    hash.update(key.as_bytes());
    let mut digits = lambent_base::text::hex(&hash.finalize()[..PLACE_DIGITS / 2]);
    digits.truncate(PLACE_DIGITS);
    digits
}

/// Whether an upload of this key can have this id.
fn is_id_of(id: &str, bucket: &str, key: &str) -> bool {
    id.get(TIME_DIGITS..TIME_DIGITS + PLACE_DIGITS) == Some(place_digits(bucket, key).as_str())
}
