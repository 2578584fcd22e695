//! Buckets: CreateBucket, HeadBucket, ListBuckets, DeleteBucket, GetBucketLocation.

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use lambent_api::{ApiError, Call, not_implemented};
use lambent_model_s3::{
    Bucket, BucketCannedACL, BucketLocationConstraint, CreateBucketOutput, CreateBucketRequest,
    DeleteBucketRequest, GetBucketLocationOutput, GetBucketLocationRequest, HeadBucketOutput,
    HeadBucketRequest, ListBucketsOutput, ListBucketsRequest, ObjectOwnership, Owner,
};
use lambent_store::{ScanOptions, Txn, delete_large};
use lambent_wire::{Empty, Timestamp};

use crate::errors::{self, S3Error};
use crate::rows::{self, BucketRow, DeadRow};
use crate::service::S3;
use crate::{keys, limits, names};

const US_EAST_1: &str = "us-east-1";
/// Uploads that one step of a bucket's deletion gives up.
const UPLOADS_A_STEP: usize = 500;

impl S3 {
    pub(crate) async fn create_bucket(
        &self,
        call: &Call,
        input: CreateBucketRequest,
    ) -> Result<CreateBucketOutput, S3Error> {
        names::check_new_bucket(&input.bucket)?;
        refuse_features(&input)?;
        let (region, location_constraint) = placed(&input, call.region())?;
        let row = &BucketRow {
            owner: call.account().to_owned(),
            region,
            location_constraint,
            created_unix_ms: call.time_ms(),
            notifies: false,
        };
        let name = input.bucket.as_str();
        self.db(call).run(|txn| async move { insert(&txn, name, row, call.region()).await }).await?;
        let location = match &row.location_constraint {
            None => format!("/{name}"),
            Some(_) => format!("http://{name}.s3.amazonaws.com/"),
        };
        Ok(CreateBucketOutput { bucket_arn: Some(names::bucket_arn(name)), location: Some(location) })
    }

    pub(crate) async fn head_bucket(
        &self,
        call: &Call,
        input: HeadBucketRequest,
    ) -> Result<HeadBucketOutput, S3Error> {
        let row = self.read_bucket(call, &input.bucket, input.expected_bucket_owner.as_deref()).await?;
        Ok(HeadBucketOutput {
            access_point_alias: Some(false),
            bucket_arn: Some(names::bucket_arn(&input.bucket)),
            bucket_region: Some(row.region),
            ..HeadBucketOutput::default()
        })
    }

    pub(crate) async fn get_bucket_location(
        &self,
        call: &Call,
        input: GetBucketLocationRequest,
    ) -> Result<GetBucketLocationOutput, S3Error> {
        let row = self.read_bucket(call, &input.bucket, input.expected_bucket_owner.as_deref()).await?;
        let constraint = row.location_constraint.as_deref().map(BucketLocationConstraint::from);
        Ok(GetBucketLocationOutput { location_constraint: constraint })
    }

    pub(crate) async fn delete_bucket(
        &self,
        call: &Call,
        input: DeleteBucketRequest,
    ) -> Result<Empty, S3Error> {
        let (name, expected) = (input.bucket.as_str(), input.expected_bucket_owner.as_deref());
        loop {
            let done =
                self.db(call).run(|txn| async move { delete_step(&txn, call, name, expected).await }).await?;
            if done {
                return Ok(Empty {});
            }
        }
    }

    pub(crate) async fn list_buckets(
        &self,
        call: &Call,
        input: ListBucketsRequest,
    ) -> Result<ListBucketsOutput, S3Error> {
        let max = bounded_max(input.max_buckets)?;
        let region = input.bucket_region.as_deref();
        if let Some(region) = region {
            check_region(region)?;
        }
        let token = input.continuation_token.as_deref().filter(|token| !token.is_empty());
        let after = token.map(read_token).transpose()?;
        let prefix = input.prefix.as_deref().unwrap_or_default();
        let (account, after) = (call.account(), after.as_deref());
        let query = &OwnedQuery { account, prefix, after, region, max };
        let (mut buckets, more) =
            self.db(call).read(|txn| async move { list_owned(&txn, query).await }).await?;
        let last = buckets.last().and_then(|bucket| bucket.name.clone());
        let detailed = input != ListBucketsRequest::default();
        if !detailed {
            for bucket in &mut buckets {
                bucket.bucket_arn = None;
                bucket.bucket_region = None;
            }
        }
        Ok(ListBucketsOutput {
            buckets: Some(buckets),
            continuation_token: last.filter(|_| more).map(|name| BASE64_URL_SAFE_NO_PAD.encode(name)),
            owner: Some(owner(call.account())),
            prefix: input.prefix,
        })
    }

    /// A bucket that the caller may see, on a snapshot of its own.
    pub(crate) async fn read_bucket(
        &self,
        call: &Call,
        name: &str,
        expected_owner: Option<&str>,
    ) -> Result<BucketRow, S3Error> {
        self.db(call).read(|txn| async move { bucket(&txn, call, name, expected_owner).await }).await
    }
}

/// A bucket that the caller may see; a commit of `txn` depends on its row.
///
/// Errors: `NoSuchBucket`, `AccessDenied` for another account's.
pub(crate) async fn bucket(
    txn: &Txn,
    call: &Call,
    name: &str,
    expected_owner: Option<&str>,
) -> Result<BucketRow, S3Error> {
    names::check_bucket(name)?;
    let key = keys::bucket(name);
    let Some(row) = txn.get(&key).await? else { return Err(errors::no_such_bucket(name).into()) };
    let row: BucketRow = rows::decode(&key, &row)?;
    check_owner(call, &row.owner, expected_owner)?;
    Ok(row)
}

/// Whether the bucket of `owner` is the one that was decided on, and that the caller means: between the decision and this
/// somebody else may have got its name.
pub(crate) fn check_owner(call: &Call, owner: &str, expected: Option<&str>) -> Result<(), ApiError> {
    if let Some(expected) = expected {
        if expected.len() != 12 || !expected.bytes().all(|byte| byte.is_ascii_digit()) {
            let message = format!(
                "The value of the expected bucket owner parameter must be an AWS Account ID... [{expected}]"
            );
            return Err(ApiError::client("InvalidBucketOwnerAWSAccountID", message));
        }
        if expected != owner {
            return Err(errors::access_denied());
        }
    }
    if owner == call.owner() { Ok(()) } else { Err(errors::access_denied()) }
}

/// An account as listings show it.
pub(crate) fn owner(account: &str) -> Owner {
    Owner { display_name: None, id: Some(names::canonical_id(account)) }
}

async fn insert(txn: &Txn, name: &str, row: &BucketRow, called_region: &str) -> Result<(), S3Error> {
    let key = keys::bucket(name);
    if let Some(found) = txn.get(&key).await? {
        let found: BucketRow = rows::decode(&key, &found)?;
        if found.owner != row.owner {
            return Err(errors::bucket_already_exists(name).into());
        }
        // The oldest region alone takes a repeated creation for a success.
        if found.region == US_EAST_1 && row.region == US_EAST_1 && called_region == US_EAST_1 {
            return Ok(());
        }
        return Err(errors::bucket_already_owned_by_you(name).into());
    }
    let all = keys::owned_buckets(&row.owner, "");
    let options = ScanOptions::rows(limits::BUCKETS_MAX).keys_only();
    if txn.scan_snapshot(&all, options).await?.rows.len() >= limits::BUCKETS_MAX {
        return Err(errors::too_many_buckets().into());
    }
    let bytes = rows::encode(row)?;
    txn.put(&key, &bytes);
    txn.put(&keys::owned_bucket(&row.owner, name), &bytes);
    txn.add(&keys::revision(&row.owner), 1);
    Ok(())
}

/// Deletes an empty bucket, or some of its uploads; says whether the bucket is gone.
async fn delete_step(txn: &Txn, call: &Call, name: &str, expected: Option<&str>) -> Result<bool, S3Error> {
    let row = bucket(txn, call, name, expected).await?;
    let one = ScanOptions::rows(1).keys_only();
    if !txn.scan(&keys::objects(name).range(), one).await?.rows.is_empty() {
        return Err(errors::bucket_not_empty(name).into());
    }
    let options = ScanOptions::rows(UPLOADS_A_STEP).keys_only();
    let uploads = txn.scan(&keys::uploads(name).range(), options).await?;
    txn.frees_space();
    for (key, _) in &uploads.rows {
        let (_, id) = keys::object_and_upload(key)?;
        txn.delete(key);
        crate::gc::bury(txn, call.time_ms(), &id, &DeadRow::Parts(id.clone()))?;
    }
    if uploads.more.is_some() {
        return Ok(false);
    }
    delete_large(txn, &keys::notify(name)).await?;
    txn.delete(&keys::access(name));
    txn.add(&keys::revision(&row.owner), 1);
    txn.delete(&keys::owned_bucket(&row.owner, name));
    txn.delete(&keys::bucket(name));
    Ok(true)
}

fn refuse_features(input: &CreateBucketRequest) -> Result<(), ApiError> {
    let grants = input.grant_full_control.is_some()
        || input.grant_read.is_some()
        || input.grant_read_acp.is_some()
        || input.grant_write.is_some()
        || input.grant_write_acp.is_some();
    if grants || !matches!(input.acl, None | Some(BucketCannedACL::Private)) {
        let message = "Bucket cannot have ACLs set with ObjectOwnership's BucketOwnerEnforced setting";
        return Err(ApiError::client("InvalidBucketAclWithObjectOwnership", message));
    }
    if input.object_lock_enabled_for_bucket == Some(true) {
        return Err(errors::header_not_implemented("x-amz-bucket-object-lock-enabled"));
    }
    if !matches!(input.object_ownership, None | Some(ObjectOwnership::BucketOwnerEnforced)) {
        return Err(errors::header_not_implemented("x-amz-object-ownership"));
    }
    if !matches!(input.bucket_namespace, None | Some(lambent_model_s3::BucketNamespace::Global)) {
        return Err(errors::header_not_implemented("x-amz-bucket-namespace"));
    }
    let Some(configuration) = &input.create_bucket_configuration else { return Ok(()) };
    if configuration.bucket.is_some() || configuration.location.is_some() {
        return Err(not_implemented("directory buckets"));
    }
    if configuration.tags.as_ref().is_some_and(|tags| !tags.is_empty()) {
        return Err(not_implemented("the tagging of buckets"));
    }
    Ok(())
}

/// The region of a new bucket, and the location constraint to remember.
///
/// Errors: `InvalidLocationConstraint`, `IllegalLocationConstraintException`.
fn placed(input: &CreateBucketRequest, called_region: &str) -> Result<(String, Option<String>), ApiError> {
    let configuration = input.create_bucket_configuration.as_ref();
    let constraint = configuration.and_then(|configuration| configuration.location_constraint.as_ref());
    let constraint = constraint.filter(|constraint| !constraint.as_str().is_empty());
    let region_of = |constraint: &BucketLocationConstraint| match constraint {
        BucketLocationConstraint::Eu => "eu-west-1".to_owned(),
        other => other.as_str().to_owned(),
    };
    match constraint {
        None if called_region == US_EAST_1 => Ok((US_EAST_1.to_owned(), None)),
        Some(BucketLocationConstraint::Unknown(name)) if called_region == US_EAST_1 => {
            let message = "The specified location-constraint is not valid";
            Err(ApiError::client("InvalidLocationConstraint", message).with("LocationConstraint", name))
        }
        Some(known) if called_region == US_EAST_1 || region_of(known) == called_region => {
            Ok((region_of(known), Some(known.as_str().to_owned())))
        }
        other => {
            let named = other.map_or("unspecified", BucketLocationConstraint::as_str);
            let message = format!(
                "The {named} location constraint is incompatible for the region specific endpoint this request was \
                 sent to."
            );
            Err(ApiError::client("IllegalLocationConstraintException", message))
        }
    }
}

struct OwnedQuery<'a> {
    account: &'a str,
    prefix: &'a str,
    after: Option<&'a str>,
    region: Option<&'a str>,
    max: usize,
}

/// A page of an account's buckets, and whether there are more.
async fn list_owned(txn: &Txn, query: &OwnedQuery<'_>) -> Result<(Vec<Bucket>, bool), S3Error> {
    let mut range = keys::owned_buckets(query.account, query.prefix);
    if let Some(after) = query.after {
        range = range.after(&keys::owned_bucket(query.account, after));
    }
    let mut buckets = Vec::new();
    loop {
        let page = txn.scan(&range, ScanOptions::rows(limits::LIST_PAGE_ROWS)).await?;
        for (key, row) in &page.rows {
            let row: BucketRow = rows::decode(key, row)?;
            if query.region.is_some_and(|region| region != row.region) {
                continue;
            }
            if buckets.len() == query.max {
                return Ok((buckets, true));
            }
            let name = keys::name_of_owned(key)?;
            buckets.push(Bucket {
                bucket_arn: Some(names::bucket_arn(&name)),
                bucket_region: Some(row.region),
                creation_date: Some(Timestamp::from_s(row.created_unix_ms.div_euclid(1000))),
                name: Some(name),
            });
        }
        match range.rest(&page, false) {
            Some(rest) => range = rest,
            None => return Ok((buckets, false)),
        }
    }
}

fn bounded_max(given: Option<i32>) -> Result<usize, ApiError> {
    let Some(given) = given else { return Ok(limits::LIST_MAX_BUCKETS) };
    match usize::try_from(given) {
        Ok(max) if (1..=limits::LIST_MAX_BUCKETS).contains(&max) => Ok(max),
        _ => {
            let message =
                format!("Argument max-buckets must be an integer between 1 and {}", limits::LIST_MAX_BUCKETS);
            Err(errors::invalid_argument(message, "max-buckets", given.to_string()))
        }
    }
}

fn check_region(region: &str) -> Result<(), ApiError> {
    let known = region == US_EAST_1
        || !matches!(
            BucketLocationConstraint::from(region),
            BucketLocationConstraint::Unknown(_) | BucketLocationConstraint::Eu
        );
    if known {
        return Ok(());
    }
    let message = format!("Argument value {region} is not a valid AWS Region");
    Err(ApiError::client("InvalidArgument", message).with("ArgumentName", "bucket-region"))
}

fn read_token(token: &str) -> Result<String, ApiError> {
    let name = BASE64_URL_SAFE_NO_PAD.decode(token).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    name.ok_or_else(|| {
        ApiError::client("InvalidArgument", "The continuation token provided is incorrect")
            .with("ArgumentName", "continuation-token")
    })
}
