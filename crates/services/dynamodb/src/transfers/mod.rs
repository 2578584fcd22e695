//! Tables to and from the platform's own buckets: ExportTableToPointInTime and ImportTable.
//!
//! Both are jobs that outlast their request. What they write and read is decided on each time, for who asked.

mod asker;
mod export;
pub(crate) mod export_job;
mod import;
pub(crate) mod import_job;
mod intake;
mod keys;
mod manifest;
mod parts;
#[cfg(test)]
mod tests;
mod tokens;

pub use parts::{Buckets, InNameOf, ListedObject, ObjectName};

use lambent_wire::ApiError;

use crate::error::validation;

/// What a request is told that the service which keeps objects refused.
fn refused(error: ApiError) -> ApiError {
    match &*error.code {
        lambent_api::ACCESS_DENIED => error,
        code if error.status < 500 => validation(format!("{code}: {}", error.message)),
        _ => error,
    }
}

/// The same, of a job that failed: code and message.
fn failure(error: ApiError) -> (String, String) {
    (format!("S3{}", error.code), error.message)
}
