//! Who makes a request.

use std::sync::Arc;

use lambent_base::Arn;

use crate::Policy;

/// The principal behind a verified signature, or behind none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    /// Twelve digits; empty for [`CallerKind::Anonymous`] and [`CallerKind::Service`].
    pub account: String,
    /// As STS's GetCallerIdentity shows it; the name of a service.
    pub arn: String,
    /// As STS's GetCallerIdentity shows it: the account for root, `AIDA...` for a user, `ROLEID:SESSION` for a role session.
    pub user_id: String,
    pub access_key_id: String,
    pub kind: CallerKind,
    /// `None` with a long-term key.
    pub session: Option<SessionFacts>,
}

/// When temporary credentials were made, and end; seconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionFacts {
    pub issued_unix_s: i64,
    pub expires_unix_s: i64,
}

/// What kind of principal a caller is; decides which policies speak for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CallerKind {
    /// The account itself: allowed everything in its account.
    Root,
    /// A user of IAM, by a long-term key or by a session of GetSessionToken.
    User { name: String },
    /// A session of a role: allowed what the role's policies and the session's own policies all allow.
    RoleSession {
        role_name: String,
        role_arn: String,
        /// None of them: the role's policies alone count.
        session_policies: Arc<[Policy]>,
        session_tags: Vec<(String, String)>,
        /// Keys of the tags that sessions have, too, which are made with this one.
        transitive_tag_keys: Vec<String>,
        source_identity: Option<String>,
        /// The identity provider that a web identity came from, as `aws:FederatedProvider` has it.
        federated: Option<String>,
    },
    /// A session of GetFederationToken.
    FederatedUser {
        name: String,
        /// The user or root whose policies count.
        by: Box<Caller>,
        session_policies: Arc<[Policy]>,
        session_tags: Vec<(String, String)>,
    },
    /// Nobody signed the request: only resource policies that let in everybody speak for it.
    Anonymous,
    /// A service, as `s3.amazonaws.com`: only the platform makes one, only resource and trust policies speak for it.
    Service { name: String },
}

impl Caller {
    /// The account itself.
    pub fn root(account: &str, access_key_id: &str) -> Self {
        Self {
            arn: Arn::new("iam", "", account, "root").to_string(),
            user_id: account.to_owned(),
            access_key_id: access_key_id.to_owned(),
            kind: CallerKind::Root,
            account: account.to_owned(),
            session: None,
        }
    }

    /// Who did not sign.
    pub fn anonymous() -> Self {
        Self::without_account("anonymous", CallerKind::Anonymous)
    }

    /// A service that acts for itself, as `s3.amazonaws.com`.
    pub fn service(name: &str) -> Self {
        Self::without_account(name, CallerKind::Service { name: name.to_owned() })
    }

    /// The tags that the session was made with.
    pub(crate) fn session_tags(&self) -> &[(String, String)] {
        match &self.kind {
            CallerKind::RoleSession { session_tags, .. } | CallerKind::FederatedUser { session_tags, .. } => {
                session_tags
            }
            _ => &[],
        }
    }

    fn without_account(arn: &str, kind: CallerKind) -> Self {
        Self {
            account: String::new(),
            arn: arn.to_owned(),
            user_id: arn.to_owned(),
            access_key_id: String::new(),
            kind,
            session: None,
        }
    }
}
