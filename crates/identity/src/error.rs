//! Why a principal or a decision could not be had.

use lambent_store::StoreError;

use crate::{Denial, Kind, MalformedPolicy};

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
    Denied(Box<Denial>),
    #[error(
        "the secret of the access key `{0}` is sealed under another master key; delete the key and make another one, or \
         give the old master key at the next start"
    )]
    Sealed(String),
    /// What only who signs with a long-term key may ask for: AWS's words.
    #[error("Cannot call {0} with session credentials")]
    NeedsLongTermKey(&'static str),
    /// AWS's InvalidParameterValue.
    #[error("{0}")]
    InvalidParameter(String),
    /// Somebody without a name of ours: AWS's words.
    #[error("Not authorized to perform {0}")]
    NotAuthorized(&'static str),
    /// A token that was checked, and still says what cannot be.
    #[error("{0}")]
    RejectedClaim(String),
    /// AWS's words.
    #[error("Packed policy consumes {percent}% of allotted space, please use smaller policy.")]
    PackedPolicyTooLarge { percent: i32 },
    #[error("an account {0} exists")]
    AccountExists(String),
    #[error("expected an account {0} beside the owner's, found none")]
    NoSuchAccount(String),
    #[error("expected a role named `{0}`, found none")]
    NoSuchRole(String),
    #[error("expected at most {max} seconds, got {got}")]
    DurationTooLong { got: i64, max: i64 },
    /// Nothing of this name: AWS's words.
    #[error("{}", kind.not_found(name))]
    NoSuch { kind: Kind, name: String },
    /// Something of this name: AWS's words.
    #[error("{}", kind.exists(name))]
    Exists { kind: Kind, name: String },
    /// What has to be done before something can be deleted, as `delete policies`.
    #[error("Cannot delete entity, must {0} first.")]
    DeleteConflict(&'static str),
    /// As many as there may be; the name is AWS's.
    #[error("Cannot exceed quota for {quota}: {max}")]
    Quota { quota: &'static str, max: usize },
    #[error("The number of tags has reached the maximum limit: {max}.")]
    TooManyTags { max: usize },
    #[error("Maximum policy size of {max} bytes exceeded for {} {name}", kind.word().to_lowercase())]
    PolicyTooLarge { kind: Kind, name: String, max: usize },
    /// A request that keeps to the model, and still says what cannot be: AWS's ValidationError.
    #[error("{0}")]
    Invalid(String),
    /// AWS's InvalidInput.
    #[error("{0}")]
    InvalidInput(String),
    /// What stands in the way of a deletion: AWS's words.
    #[error("{0}")]
    Conflict(&'static str),
    #[error(
        "A managed policy can have up to {max} versions. Before you create a new version, you must delete an existing version."
    )]
    TooManyVersions { max: usize },
    /// The role of a service.
    #[error("Cannot perform the operation on the protected role '{0}' - this role is only modifiable by AWS")]
    ProtectedRole(String),
    #[error("Access denied to perform iam:{operation} on {arn}: it is a managed policy of AWS")]
    OwnedByAws { arn: String, operation: &'static str },
    #[error(transparent)]
    MalformedPolicy(#[from] MalformedPolicy),
    #[error("could not read or write principals: {0}")]
    Store(#[from] StoreError),
    #[error("a stored principal is damaged: {0}")]
    Damaged(String),
}
