//! Who makes a request, and the proof that it was allowed.

use std::sync::Arc;

use crate::Document;

/// The principal behind a verified signature.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    /// Twelve digits.
    pub account: String,
    /// As STS's GetCallerIdentity shows it.
    pub arn: String,
    /// As STS's GetCallerIdentity shows it: the account for root, `ROLEID:SESSION` for a role session.
    pub user_id: String,
    pub access_key_id: String,
    pub kind: CallerKind,
}

/// What kind of principal a caller is; decides which policies speak for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CallerKind {
    /// The account itself: allowed everything in its account.
    Root,
    /// A session of a role: allowed what the role's policies and the session's own policy both allow.
    RoleSession { role_name: String, role_arn: String, session_policy: Option<Document> },
}

/// The proof that a policy decision allowed this caller this action. Only this crate makes one.
#[derive(Clone, Debug)]
pub struct Authorized {
    caller: Arc<Caller>,
    action: &'static str,
    resource: String,
}

/// What a caller wants to do, for a decision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// As `s3:PutObject`.
    pub action: &'static str,
    /// The ARN that it is done to.
    pub resource: String,
}

impl Authorized {
    pub(crate) fn new(caller: Arc<Caller>, action: &'static str, resource: String) -> Self {
        Self { caller, action, resource }
    }

    pub fn caller(&self) -> &Arc<Caller> {
        &self.caller
    }

    /// As `s3:PutObject`.
    pub fn action(&self) -> &'static str {
        self.action
    }

    /// The ARN that was decided on.
    pub fn resource(&self) -> &str {
        &self.resource
    }
}
