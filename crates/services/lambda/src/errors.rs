//! What goes wrong, in AWS's words where AWS has them. Source of the words: recorded answers of AWS Lambda.

use std::path::PathBuf;
use std::sync::Arc;

use lambent_blobs::BlobError;
use lambent_images::ImageError;
use lambent_model_lambda::errors as model;
use lambent_pool::InvokeError;
use lambent_store::StoreError;
use lambent_wire::ApiError;

/// Why an operation of this service failed.
#[derive(Clone, Debug, thiserror::Error)]
pub enum LambdaError {
    /// An answer for the caller.
    #[error(transparent)]
    Api(#[from] ApiError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("a row of Lambda's does not read back: {what}; restore it from a backup")]
    Row { what: String },
    #[error("cannot {step} {}: {source}", path.display())]
    Io { step: &'static str, path: PathBuf, source: Arc<std::io::Error> },
    #[error(
        "environment variables do not open under this installation's master key; restore the key, or set the \
         function's Environment anew"
    )]
    Unsealed,
    #[error("cannot {step} the deployment package: {cause}")]
    Package { step: &'static str, cause: String },
    /// Found out within the transaction that would have named it; the package is then kept anew.
    #[error("the last function with the same deployment package went away meanwhile; try again")]
    PackageGone,
    #[error("the disk of {} is full, or nearly so; free some space", path.display())]
    DiskFull { path: PathBuf },
    #[error("cannot put an event into the outbox: {0}")]
    Event(String),
    #[error("the policy of {0} does not read back: {1}; give it anew")]
    Policy(String, String),
    #[error("cannot decide whether a role may read an event source: {0}")]
    Role(String),
    #[error("a container image: {0}")]
    Image(Arc<ImageError>),
    #[error("a worker thread ended without a result: {0}")]
    Worker(String),
}

impl LambdaError {
    pub(crate) fn io(step: &'static str, path: impl Into<PathBuf>, source: std::io::Error) -> Self {
        let path = path.into();
        match source.kind() {
            std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => Self::DiskFull { path },
            _ => Self::Io { step, path, source: Arc::new(source) },
        }
    }

    pub(crate) fn row(what: impl std::fmt::Display) -> Self {
        Self::Row { what: what.to_string() }
    }

    /// Whether nothing can be kept before somebody makes room.
    pub(crate) fn is_disk_full(&self) -> bool {
        if let Self::Image(error) = self {
            return error.is_disk_full();
        }
        matches!(self, Self::DiskFull { .. } | Self::Store(StoreError::DiskFull { .. }))
    }

    pub(crate) fn blob(step: &'static str, error: BlobError) -> Self {
        match error {
            BlobError::DiskFull { path } => Self::DiskFull { path },
            BlobError::Full { place, .. } => Self::DiskFull { path: place.into() },
            other => Self::package(step, other),
        }
    }

    pub(crate) fn package(step: &'static str, cause: impl std::fmt::Display) -> Self {
        Self::Package { step, cause: cause.to_string() }
    }
}

impl From<LambdaError> for ApiError {
    fn from(error: LambdaError) -> Self {
        match error {
            LambdaError::Api(error) => error,
            unsealed @ LambdaError::Unsealed => {
                tracing::error!(cause = %unsealed, "a function has no environment");
                model::kms_access_denied_exception(NOT_DECRYPTED)
            }
            full if full.is_disk_full() => {
                tracing::error!(cause = %full, "lambda takes no code");
                model::service_exception(DISK_FULL)
            }
            other => {
                tracing::error!(cause = %other, "lambda could not do what it was asked");
                model::service_exception("The service encountered an internal error. Please try again.")
            }
        }
    }
}

/// What callers read when the disk is at its reserve.
pub(crate) const DISK_FULL: &str =
    "The platform's disk is full, or nearly so: free some space on it, and try again.";

/// What callers read of variables that cannot be opened.
pub(crate) const NOT_DECRYPTED: &str = "Lambda was unable to decrypt the environment variables because KMS access was \
                                        denied. Please check the function's KMS key settings.";

/// What AWS says of a function that set itself off too often.
pub(crate) const RECURSIVE: &str = "Lambda has detected your function being invoked in a recursive loop with other \
                                    Amazon Web Services resources and stopped your function's invocation.";

/// InvalidParameterValueException with these words.
pub(crate) fn invalid(message: impl Into<String>) -> ApiError {
    model::invalid_parameter_value_exception(message)
}

/// For what AWS has and Lambent does not act on.
pub(crate) fn unsupported(member: &str, instead: &str) -> ApiError {
    invalid(format!("Lambent does not support {member} yet: {instead}."))
}

/// One broken constraint, as the wire reports those of the model.
pub(crate) fn violation(value: impl std::fmt::Display, path: &str, constraint: &str) -> ApiError {
    ApiError::client("ValidationException", violation_text(value, path, constraint))
}

fn violation_text(value: impl std::fmt::Display, path: &str, constraint: &str) -> String {
    format!(
        "1 validation error detected: Value '{value}' at '{path}' failed to satisfy constraint: {constraint}"
    )
}

pub(crate) fn malformed_name(text: &str) -> ApiError {
    violation(text, "functionName", "Member must be a function's name, partial ARN or ARN")
}

pub(crate) fn name_too_long(name: &str, max: usize) -> ApiError {
    let constraint = format!("Member must have length less than or equal to {max}");
    invalid(violation_text(name, "functionName", &constraint))
}

pub(crate) fn functions_only() -> ApiError {
    invalid(
        "This operation is permitted on Lambda functions only. Aliases and versions do not support this \
         operation. Please specify either a function name or an unqualified function ARN.",
    )
}

pub(crate) fn qualifier_mismatch() -> ApiError {
    invalid("The derived qualifier from the function name does not match the specified qualifier.")
}

pub(crate) fn other_region(named: &str, own: &str) -> ApiError {
    model::resource_not_found_exception(format!(
        "Functions from '{named}' are not reachable in this region ('{own}')"
    ))
}

pub(crate) fn other_account(arn: &str) -> ApiError {
    ApiError::new(
        "AccessDeniedException",
        403,
        format!("No policy allows access to {arn} from this account."),
    )
    .message_in("Message")
}

pub(crate) fn function_not_found(arn: &str) -> ApiError {
    model::resource_not_found_exception(format!("Function not found: {arn}"))
}

pub(crate) fn alias_not_found(arn: &str) -> ApiError {
    model::resource_not_found_exception(format!("Cannot find alias arn: {arn}"))
}

/// A version that one of these aliases leads to cannot go.
pub(crate) fn version_has_aliases(aliases: &[String]) -> ApiError {
    model::resource_conflict_exception(format!(
        "Unable to delete version because the following aliases reference it: [{}]",
        aliases.join(", ")
    ))
}

pub(crate) fn bad_marker() -> ApiError {
    invalid("The Marker is not one that an earlier page of this list gave.")
}

pub(crate) fn function_exists(name: &str) -> ApiError {
    model::resource_conflict_exception(format!("Function already exist: {name}"))
}

pub(crate) fn update_in_progress(arn: &str) -> ApiError {
    model::resource_conflict_exception(format!(
        "The operation cannot be performed at this time. An update is in progress for resource: {arn}"
    ))
}

pub(crate) fn not_active(state: &str) -> ApiError {
    model::resource_conflict_exception(format!(
        "The operation cannot be performed at this time. The function is currently in the following state: {state}"
    ))
}

pub(crate) fn function_revision_mismatch() -> ApiError {
    revision_mismatch("GetFunction/GetAlias")
}

pub(crate) fn policy_revision_mismatch() -> ApiError {
    revision_mismatch("GetPolicy")
}

pub(crate) fn layer_policy_revision_mismatch() -> ApiError {
    revision_mismatch("GetLayerPolicy")
}

pub(crate) fn statement_not_found(sid: &str) -> ApiError {
    model::resource_not_found_exception(format!("Statement {sid} is not found in resource policy."))
}

fn revision_mismatch(operation: &str) -> ApiError {
    model::precondition_failed_exception(format!(
        "The Revision Id provided does not match the latest Revision Id. Call the {operation} API to retrieve \
         the latest Revision Id"
    ))
}

pub(crate) fn no_snap_start(runtime: &str) -> ApiError {
    invalid(format!("{runtime} is not supported for SnapStart enabled functions."))
}

/// `given` and `current` are base64, as CodeSha256.
pub(crate) fn code_changed(given: &str, current: &str) -> ApiError {
    invalid(format!(
        "CodeSHA256 ({given}) is different from current CodeSHA256 in $LATEST ({current}). Please try again with \
         the CodeSHA256 in $LATEST."
    ))
}

/// `doing` is `creating` or `updating`.
pub(crate) fn image_for_zip(doing: &str) -> ApiError {
    invalid(format!("Please don't provide ImageUri when {doing} a function with packageType Zip."))
}

pub(crate) fn no_image_uri(doing: &str) -> ApiError {
    invalid(format!("Please provide ImageUri when {doing} a function with packageType Image."))
}

pub(crate) fn not_for_images(what: &str) -> ApiError {
    invalid(format!("{what} not supported for functions created with container images."))
}

pub(crate) fn role_not_assumable() -> ApiError {
    invalid("The role defined for the function cannot be assumed by Lambda.")
}

pub(crate) fn bad_zip() -> ApiError {
    invalid("Could not unzip uploaded file. Please check your file, then try to upload again.")
}

pub(crate) fn empty_zip() -> ApiError {
    invalid("Uploaded file must be a non-empty zip")
}

pub(crate) fn zip_too_large(limit: usize) -> ApiError {
    ApiError::new(
        "RequestEntityTooLargeException",
        413,
        format!("Zipped size must be smaller than {limit} bytes"),
    )
}

pub(crate) fn unzipped_too_large(limit: u64) -> ApiError {
    invalid(format!("Unzipped size must be smaller than {limit} bytes"))
}

pub(crate) fn layers_too_large(limit: u64) -> ApiError {
    invalid(format!("Layers consume more than the available size of {limit} bytes"))
}

pub(crate) fn code_with_layers_too_large(bytes: u64, limit: u64) -> ApiError {
    invalid(format!(
        "Function code combined with layers exceeds the maximum allowed size of {limit} bytes. The actual size is \
         {bytes} bytes."
    ))
}

pub(crate) fn payload_too_large(length: usize, kind: &str, limit: usize) -> ApiError {
    model::request_too_large_exception(format!(
        "{length} byte payload is too large for the {kind} invocation type (limit {limit} bytes)"
    ))
}

/// What a caller sees when the pool could not run a call.
pub(crate) fn not_run(error: InvokeError) -> ApiError {
    match error {
        InvokeError::Throttled(reason) => model::too_many_requests_exception("Rate Exceeded.")
            .with("Reason", reason.as_str())
            .with_header("Retry-After", "1"),
        InvokeError::RuntimeUnavailable(text) => model::invalid_runtime_exception(text),
        InvokeError::Credentials(cause) => {
            tracing::warn!(%cause, "a function's role gave no credentials");
            ApiError::new(
                "AccessDeniedException",
                403,
                "The role defined for the function cannot be assumed by Lambda.",
            )
            .message_in("Message")
        }
        other => {
            tracing::error!(cause = %other, "the pool could not run a function");
            model::service_exception(other.to_string())
        }
    }
}
