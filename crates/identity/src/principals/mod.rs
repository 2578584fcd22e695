//! Who there is in an account: users, groups, roles, their keys and policies, and what IAM keeps of the account itself.

mod access_keys;
mod account;
mod attachments;
mod aws_managed;
mod documents;
mod granting;
mod groups;
mod handle;
mod inline;
mod kinds;
mod last_used;
mod lists;
mod managed;
mod members;
mod paths;
mod pins;
#[cfg(test)]
mod policy_tests;
mod providers;
mod roles;
mod service_credentials;
mod service_linked;
mod service_names;
mod tags;
#[cfg(test)]
mod tests;
mod users;

pub use access_keys::{AccessKey, KeyOwner, NewAccessKey};
pub use account::{AccountCounts, AccountSettings, PasswordPolicy, REPORT_LIFETIME_MS};
pub use attachments::{Attachment, PrincipalKind, PrincipalName, Usage, UsageCount};
pub use documents::{PolicySource, PrincipalPolicies, SourcedPolicy};
pub use groups::Group;
pub use handle::{Names, Principals};
pub use kinds::Kind;
pub use last_used::KeyUse;
pub use lists::Listed;
pub use managed::{ManagedPolicy, NewPolicy, PolicyScope, PolicyVersion};
pub use pins::Pins;
pub use providers::{OidcProvider, SamlProvider};
pub use roles::{Role, RoleName, RoleUpdate, limits as role_limits};
pub use service_credentials::{CredentialSelection, NewServiceCredential, ServiceCredential};
pub use service_linked::service_role_name;
pub use users::{Rename, User};

pub(crate) use access_keys::{KEY_PURPOSE, KeyRow, put_key};
pub(crate) use attachments::load_tags;
pub(crate) use documents::load_policies;
pub(crate) use managed::check_version;
pub(crate) use pins::Holder;
pub(crate) use service_credentials::SERVICE_CREDENTIAL_PURPOSE;

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
    /// Roles in an account.
    pub const ROLES_MAX: usize = 5_000;
    /// Managed policies in an account.
    pub const POLICIES_MAX: usize = 5_000;
    /// Characters of a managed policy, white space apart.
    pub const MANAGED_POLICY_CHARS_MAX: usize = 6_144;
    /// Versions of a managed policy.
    pub const POLICY_VERSIONS_MAX: usize = 5;
    /// Managed policies of a principal.
    pub const ATTACHED_POLICIES_MAX: usize = 10;
    /// OpenID Connect providers in an account.
    pub const OIDC_PROVIDERS_MAX: usize = 100;
    /// Audiences of an OpenID Connect provider.
    pub const CLIENT_IDS_MAX: usize = 100;
    /// Thumbprints of an OpenID Connect provider.
    pub const THUMBPRINTS_MAX: usize = 5;
    /// SAML providers in an account.
    pub const SAML_PROVIDERS_MAX: usize = 100;
    /// Bytes of a SAML provider's metadata; AWS takes ten million.
    pub const SAML_METADATA_BYTES_MAX: usize = 3 * 1024 * 1024;
    /// Rows that a page of a list holds at most.
    pub const ITEMS_PER_PAGE_MAX: usize = 1_000;
}

/// Letters of the part of an id after its prefix.
pub(crate) const ID_ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
/// How many of them an id has.
pub(crate) const ID_LENGTH: usize = 17;
