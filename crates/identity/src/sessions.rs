//! Credentials: the root key, and temporary ones whose token is the sealed session.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use lambent_base::Arn;
use serde::{Deserialize, Serialize};

use crate::policy::Effect;
use crate::{
    Caller, CallerKind, Denial, Identity, IdentityError, Policy, PolicyKind, Principal, Role, RoleName,
    SessionFacts,
};

/// What a session token is sealed for.
const PURPOSE: &[u8] = b"session-token/1";
const KEY_ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
const SECRET_ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
const SECRET_LENGTH: usize = 40;

/// What a signature is checked with, and who made it if it fits.
pub struct Credential {
    pub secret_access_key: String,
    pub caller: Caller,
}

/// What AssumeRole gives.
#[derive(Clone)]
pub struct TemporaryCredentials {
    pub access_key_id: String,
    pub secret_access_key: String,
    pub session_token: String,
    pub expires_unix_s: i64,
    /// `ROLEID:SESSION`.
    pub assumed_role_id: String,
    pub assumed_role_arn: String,
}

/// The inside of a session token.
#[derive(Serialize, Deserialize)]
struct Session {
    account: String,
    role_name: String,
    role_arn: String,
    role_id: String,
    session_name: String,
    access_key_id: String,
    secret_access_key: String,
    /// Tokens from before it was kept have none.
    #[serde(default)]
    issued_unix_s: i64,
    expires_unix_s: i64,
    policy: Option<String>,
}

/// A request for a role's credentials.
#[derive(Clone, Copy, Debug)]
pub struct AssumeRole<'a> {
    pub role_arn: &'a str,
    pub session_name: &'a str,
    /// How long the session lasts, at most the role's own limit.
    pub seconds: i64,
    /// A policy document that narrows what the session may do.
    pub policy: Option<&'a str>,
}

impl Identity {
    /// The secret and principal of an access key, before anything is known of the signature.
    pub async fn credential(
        &self,
        access_key_id: &str,
        session_token: Option<&str>,
    ) -> Result<Credential, IdentityError> {
        if let Some(token) = session_token {
            return self.session_credential(access_key_id, token).await;
        }
        if access_key_id != self.root.access_key_id {
            return self.stored_credential(access_key_id).await;
        }
        Ok(Credential { secret_access_key: self.root.secret_access_key.clone(), caller: self.root_caller() })
    }

    /// The account itself.
    pub fn root_caller(&self) -> Caller {
        Caller::root(&self.root.account, &self.root.access_key_id)
    }

    /// Credentials of a role for somebody whom its trust policy names.
    pub async fn assume_role(
        &self,
        caller: &Caller,
        request: AssumeRole<'_>,
    ) -> Result<TemporaryCredentials, IdentityError> {
        let AssumeRole { role_arn, session_name, seconds, policy } = request;
        policy.map(Policy::identity).transpose()?;
        let denied = || {
            let denial = Denial::silent(caller, "sts:AssumeRole", role_arn, PolicyKind::Trust);
            IdentityError::Denied(Box::new(denial.without_reason()))
        };
        let role = match self.role_by_arn(role_arn).await {
            // Whether a role exists is nobody's business who may not assume it.
            Err(IdentityError::NoSuchRole(_)) => return Err(denied()),
            other => other?,
        };
        if self.trusted(&role, |principal| names(principal, caller))? != Effect::Allow {
            return Err(denied());
        }
        if seconds > role.max_session_seconds {
            return Err(IdentityError::DurationTooLong { got: seconds, max: role.max_session_seconds });
        }
        Ok(self.session(&role, session_name, seconds, policy))
    }

    /// Whether a service, as `lambda.amazonaws.com`, may act as a role. A role that does not exist trusts nobody.
    pub async fn service_may_assume(&self, service: &str, role_arn: &str) -> Result<bool, IdentityError> {
        match self.role_by_arn(role_arn).await {
            Ok(role) => Ok(self.trusted_by_service(&role, service)? == Effect::Allow),
            Err(IdentityError::NoSuchRole(_)) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Credentials of a role for a service that its trust policy names.
    pub async fn assume_role_as_service(
        &self,
        service: &str,
        role_arn: &str,
        session_name: &str,
        seconds: i64,
    ) -> Result<TemporaryCredentials, IdentityError> {
        let role = self.role_by_arn(role_arn).await?;
        if self.trusted_by_service(&role, service)? != Effect::Allow {
            let (caller, kind) = (Caller::service(service), PolicyKind::Trust);
            let denial = Denial::silent(&caller, "sts:AssumeRole", role_arn, kind);
            return Err(IdentityError::Denied(Box::new(denial)));
        }
        Ok(self.session(&role, session_name, seconds, None))
    }

    /// A role as a service acts in its name that its trust policy names: for decisions.
    pub async fn role_as_service(
        &self,
        service: &str,
        role_arn: &str,
        session_name: &str,
    ) -> Result<Caller, IdentityError> {
        /// It is asked anew for each decision.
        const SECONDS: i64 = 900;
        let session = self.assume_role_as_service(service, role_arn, session_name, SECONDS).await?;
        Ok(self.credential(&session.access_key_id, Some(&session.session_token)).await?.caller)
    }

    fn trusted_by_service(&self, role: &Role, service: &str) -> Result<Effect, IdentityError> {
        self.trusted(role, |principal| matches!(principal, Principal::Service(name) if name == service))
    }

    fn trusted(&self, role: &Role, is_meant: impl Fn(&Principal) -> bool) -> Result<Effect, IdentityError> {
        Ok(Policy::trust(&role.trust_policy)?.effect_for("sts:AssumeRole", is_meant))
    }

    fn session(
        &self,
        role: &Role,
        session_name: &str,
        seconds: i64,
        policy: Option<&str>,
    ) -> TemporaryCredentials {
        let session = Session {
            account: role.account.clone(),
            role_name: role.name.clone(),
            role_arn: role.arn(),
            role_id: role.id.clone(),
            session_name: session_name.to_owned(),
            access_key_id: format!("ASIA{}", self.random.string(KEY_ALPHABET, 16)),
            secret_access_key: self.random.string(SECRET_ALPHABET, SECRET_LENGTH),
            issued_unix_s: self.clock.unix_s(),
            expires_unix_s: self.clock.unix_s() + seconds,
            policy: policy.map(str::to_owned),
        };
        let plain = serde_json::to_vec(&session).expect("a session has only strings and numbers");
        let sealed = self.master.seal(&self.random, PURPOSE, &plain);
        let caller = session.caller();
        TemporaryCredentials {
            session_token: BASE64.encode(sealed),
            expires_unix_s: session.expires_unix_s,
            access_key_id: session.access_key_id,
            secret_access_key: session.secret_access_key,
            assumed_role_id: caller.user_id,
            assumed_role_arn: caller.arn,
        }
    }

    async fn session_credential(
        &self,
        access_key_id: &str,
        token: &str,
    ) -> Result<Credential, IdentityError> {
        let session = self.open_session(token).ok_or(IdentityError::InvalidSessionToken)?;
        if session.access_key_id != access_key_id {
            return Err(IdentityError::InvalidSessionToken);
        }
        if session.expires_unix_s <= self.clock.unix_s() {
            return Err(IdentityError::ExpiredSession { expired_unix_s: session.expires_unix_s });
        }
        let role = self.role(RoleName { account: &session.account, name: &session.role_name }).await;
        match role {
            Ok(role) if role.id == session.role_id => {}
            Ok(_) | Err(IdentityError::NoSuchRole(_)) => {
                return Err(IdentityError::UnknownAccessKey(session.access_key_id));
            }
            Err(error) => return Err(error),
        }
        Ok(Credential { caller: session.caller(), secret_access_key: session.secret_access_key })
    }

    fn open_session(&self, token: &str) -> Option<Session> {
        let sealed = BASE64.decode(token).ok()?;
        serde_json::from_slice(&self.master.open(PURPOSE, &sealed)?).ok()
    }
}

impl Session {
    fn caller(&self) -> Caller {
        // A document that no longer parses must not widen the session: an empty one allows nothing.
        let parse = |text: &String| Policy::identity(text).unwrap_or_else(|_| Policy::nothing());
        let session_policies = self.policy.iter().map(parse).collect();
        let resource = format!("assumed-role/{}/{}", self.role_name, self.session_name);
        Caller {
            account: self.account.clone(),
            arn: Arn::new("sts", "", &self.account, resource).to_string(),
            user_id: format!("{}:{}", self.role_id, self.session_name),
            access_key_id: self.access_key_id.clone(),
            kind: CallerKind::RoleSession {
                role_name: self.role_name.clone(),
                role_arn: self.role_arn.clone(),
                session_policies,
                session_tags: Vec::new(),
                source_identity: None,
                federated: None,
            },
            session: Some(SessionFacts {
                issued_unix_s: self.issued_unix_s,
                expires_unix_s: self.expires_unix_s,
            }),
        }
    }
}

/// Whether a trust policy's principal means this caller.
fn names(principal: &Principal, caller: &Caller) -> bool {
    match principal {
        Principal::Anyone => true,
        Principal::Aws(name) => {
            let root = Arn::new("iam", "", &caller.account, "root").to_string();
            let is_role =
                matches!(&caller.kind, CallerKind::RoleSession { role_arn, .. } if name == role_arn);
            *name == caller.account || *name == root || *name == caller.arn || is_role
        }
        Principal::Service(_) | Principal::Federated(_) => false,
    }
}
