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
use export_job::is_final;

/// What is told of failures that are not the caller's.
const FAILED_WITHIN: &str = "The service could not complete the request because of an internal error.";

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

/// Why a job failed: FailureCode and FailureMessage. What went wrong within is for the log alone.
pub(crate) fn failure(why: &DynamoError) -> (String, String) {
    let code = match why {
        DynamoError::Refused(refusal) if is_final(why) => {
            return (refusal.code.clone().into_owned(), refusal.message.clone());
        }
        DynamoError::Refused(failed) => failed.code.clone().into_owned(),
        _ => "InternalServerError".to_owned(),
    };
    tracing::error!(error = %why, code, "an export, import or copy ends as failed");
    (code, FAILED_WITHIN.to_owned())
}
