//! Principals, credentials, policy decisions; the only maker of [`Authorized`].
//!
//! Temporary credentials are stateless: the session token is the sealed session itself (who, whose secret, until when), so
//! any node with the master key can check it, and it dies with its role.
#![forbid(unsafe_code)]

mod accounts;
mod assume;
mod authorization_message;
mod authorize;
mod caller;
mod check;
mod credentials;
mod decide;
mod denial;
mod error;
mod federation;
mod jwt;
mod keys;
mod plan;
mod policy;
mod policy_set;
mod principals;
mod request;
mod reseal;
mod resource;
mod seal;
mod session_tags;
mod sessions;
mod simulate;
#[cfg(test)]
mod testing;
mod web_identity;

pub use accounts::{ACCOUNT_NAME_CHARS_MAX, ACCOUNTS_MAX, Account, Owner};
pub use assume::AssumeRole;
pub use caller::{Caller, CallerKind, SessionFacts};
pub use check::check;
pub use credentials::Credential;
pub use denial::{Decision, Denial, PolicyKind, StatementRef, Witness};
pub use error::IdentityError;
pub use federation::FederationToken;
pub use jwt::{Claims, KeySet, TokenError, Unverified, limits as jwt_limits};
pub use policy::{MalformedPolicy, Policy};
pub use principals::{
    AccessKey, AccountCounts, AccountSettings, Attachment, CredentialSelection, Group, KeyOwner, KeyUse,
    Kind, Listed, ManagedPolicy, Names, NewAccessKey, NewPolicy, NewServiceCredential, OidcProvider,
    PasswordPolicy, Pins, PolicyScope, PolicySource, PolicyVersion, PrincipalKind, PrincipalName,
    PrincipalPolicies, Principals, REPORT_LIFETIME_MS, Rename, Role, RoleName, RoleUpdate, SamlProvider,
    ServiceCredential, SourcedPolicy, Usage, UsageCount, User, limits as quotas, role_limits as limits,
    service_role_name,
};
pub use request::{Authorized, Circumstances, Keys, Wanted};
pub use resource::{ResourceFacts, ResourcePolicies};
pub use seal::MasterKey;
pub use sessions::TemporaryCredentials;
pub use simulate::{Simulated, SimulatedDecision, Simulation, simulate};
pub use web_identity::AssumeRoleWithWebIdentity;

use std::collections::HashMap;
use std::sync::Arc;

use lambent_base::{Clock, Random};
use lambent_store::Db;
use parking_lot::RwLock;

/// The account's own key, taken from the environment or made at first start.
#[derive(Clone)]
pub struct RootKey {
    pub account: String,
    pub access_key_id: String,
    pub secret_access_key: String,
}

/// Everything that decides who may do what.
pub struct Identity {
    db: Db,
    clock: Clock,
    random: Random,
    root: RootKey,
    root_caller: Caller,
    master: MasterKey,
    /// What is sealed with each request has keys of its own: how often one key may seal is bounded.
    tokens: MasterKey,
    messages: MasterKey,
    sets: policy_set::PolicySets,
    /// When the last use of an access key was written down, by its id; milliseconds since 1970.
    uses: RwLock<HashMap<String, i64>>,
    opened: sessions::OpenedSessions,
    guards: resource::Guards,
    witnesses: RwLock<Vec<Arc<dyn Witness>>>,
}

impl Identity {
    pub fn new(db: Db, clock: Clock, random: Random, root: RootKey, master: MasterKey) -> Self {
        let of = |purpose| MasterKey::new(*master.derive(purpose));
        Self {
            tokens: of("session tokens"),
            messages: of("authorization messages"),
            db,
            clock,
            random,
            root_caller: Caller::root(&root.account, &root.access_key_id),
            root,
            master,
            sets: RwLock::default(),
            uses: RwLock::default(),
            opened: RwLock::default(),
            guards: RwLock::default(),
            witnesses: RwLock::default(),
        }
    }

    /// Encrypts a service's secret under the master key; `purpose` must be the same when it is opened.
    pub fn seal(&self, purpose: &str, plain: &[u8]) -> Vec<u8> {
        self.master.seal(&self.random, purpose.as_bytes(), plain)
    }

    /// A key for a purpose, the same on all nodes and at each start, until the master key is replaced.
    pub fn derive(&self, purpose: &str) -> [u8; 32] {
        *self.master.derive(purpose)
    }

    /// Decrypts what [`Identity::seal`] gave; `None` under another master key, or for another purpose.
    pub fn open(&self, purpose: &str, sealed: &[u8]) -> Option<Vec<u8>> {
        self.master.open(purpose.as_bytes(), sealed)
    }
}

impl std::fmt::Debug for Identity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Identity").field("account", &self.root.account).finish_non_exhaustive()
    }
}
