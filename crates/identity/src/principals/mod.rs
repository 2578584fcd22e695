//! Who there is in an account: users, groups, roles, their keys and policies, and what IAM keeps of the account itself.

mod access_keys;
mod account;
mod groups;
mod inline;
mod kinds;
mod last_used;
mod lists;
mod members;
mod paths;
mod service_credentials;
mod tags;
mod users;

pub use access_keys::{AccessKey, KeyOwner, NewAccessKey};
pub use account::{AccountCounts, AccountSettings, PasswordPolicy, REPORT_LIFETIME_MS};
pub use groups::Group;
pub use kinds::Kind;
pub use last_used::KeyUse;
pub use lists::Listed;
pub use service_credentials::{CredentialSelection, NewServiceCredential, ServiceCredential};
pub use users::{Rename, User};

pub(crate) use access_keys::KeyRow;

/// Bounds on what an account has. Source: IAM User Guide, "IAM and AWS STS quotas".
pub mod limits {
    /// Users in an account.
    pub const USERS_MAX: usize = 5_000;
    /// Groups in an account.
    pub const GROUPS_MAX: usize = 300;
    /// Groups that a user is in.
    pub const GROUPS_OF_USER_MAX: usize = 10;
    /// Access keys of a user, or of an account's root.
    pub const ACCESS_KEYS_MAX: usize = 2;
    /// Characters of all inline policies of a user together, white space apart.
    pub const USER_POLICIES_CHARS_MAX: usize = 2_048;
    /// Characters of all inline policies of a group together, white space apart.
    pub const GROUP_POLICIES_CHARS_MAX: usize = 5_120;
    /// Bytes of all inline policies of a principal as they were given, white space included: they are one row.
    pub const INLINE_POLICIES_BYTES_MAX: usize = 40 * 1024;
    /// Tags of a principal.
    pub const TAGS_MAX: usize = 50;
    /// Credentials of a user for one service.
    pub const SERVICE_CREDENTIALS_MAX: usize = 2;
    /// Rows that a page of a list holds at most.
    pub const ITEMS_PER_PAGE_MAX: usize = 1_000;
}

/// Letters of the part of an id after its prefix.
pub(crate) const ID_ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
/// How many of them an id has.
pub(crate) const ID_LENGTH: usize = 17;
