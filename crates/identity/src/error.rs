//! Why a principal or a decision could not be had.

use lambent_store::StoreError;

use crate::MalformedPolicy;

/// Failures of identity, each with what it asks of the caller.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// No such access key, or a session whose role is gone.
    #[error("the access key `{0}` is not known")]
    UnknownAccessKey(String),
    /// A session token that we did not seal, or that belongs to another key.
    #[error("the session token does not belong to the access key")]
    InvalidSessionToken,
    #[error("the session ended at {expired_unix_s} s since 1970")]
    ExpiredSession { expired_unix_s: i64 },
    /// The message is AWS's, for the client.
    #[error("{0}")]
    Denied(String),
    #[error("expected a role named `{0}`, found none")]
    NoSuchRole(String),
    #[error("a role named `{0}` exists")]
    RoleExists(String),
    #[error("role `{0}` still has policies")]
    RoleHasPolicies(String),
    #[error("role `{role}` has no policy named `{policy}`")]
    NoSuchPolicy { role: String, policy: String },
    #[error("the inline policies of role `{role}` may have {max} characters together")]
    PoliciesTooLarge { role: String, max: usize },
    #[error("expected at most {max} seconds, got {got}")]
    DurationTooLong { got: i64, max: i64 },
    #[error(transparent)]
    MalformedPolicy(#[from] MalformedPolicy),
    #[error("could not read or write principals: {0}")]
    Store(#[from] StoreError),
    #[error("a stored principal is damaged: {0}")]
    Damaged(String),
}
