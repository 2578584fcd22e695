//! Tables to and from the platform's own buckets: ExportTableToPointInTime and ImportTable.
//!
//! Both are jobs that outlast their request. What they write and read is decided on each time, for who asked.

mod asker;
mod export;
pub(crate) mod export_job;
mod import;
pub(crate) mod import_job;
mod intake;
pub(crate) mod keys;
mod manifest;
mod parts;
#[cfg(test)]
mod tests;
mod tokens;

pub(crate) use export::ExportRow;
pub(crate) use export_job::{FileLine, check_delta};
pub(crate) use import::ImportRow;
pub(crate) use import_job::SourceRow;
pub use parts::{Buckets, InNameOf, ListedObject, ObjectName};
pub(crate) use tokens::Asked;

use lambent_wire::ApiError;

use crate::DynamoError;
use crate::error::validation;

/// What a request is told that the service which keeps objects refused.
fn refused(error: ApiError) -> ApiError {
    match &*error.code {
        lambent_api::ACCESS_DENIED => error,
        code if error.status < 500 => validation(format!("{code}: {}", error.message)),
        _ => error,
    }
}

/// What a job is told that the service which keeps objects refused: with codes as AWS shows them.
fn of_bucket(error: ApiError) -> DynamoError {
    ApiError { code: format!("S3{}", error.code).into(), ..error }.into()
}

/// Why a job failed: FailureCode and FailureMessage.
pub(crate) fn failure(why: &DynamoError) -> (String, String) {
    match why {
        DynamoError::Refused(refusal) => (refusal.code.clone().into_owned(), refusal.message.clone()),
        other => ("InternalServerError".to_owned(), other.to_string()),
    }
}
