//! Sessions: temporary credentials, whose token is the sealed session itself.

use std::collections::HashMap;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use lambent_base::Arn;
use parking_lot::RwLock;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::{Caller, CallerKind, Credential, Identity, IdentityError, Policy, SessionFacts};

/// What a session token is sealed for.
const PURPOSE: &[u8] = b"session-token/2";
/// Characters of a token: whatever is longer is none of ours.
const TOKEN_CHARS_MAX: usize = 16 * 1024;
/// Sessions whose token is not opened and parsed with each request; beyond it all are dropped.
const OPENED_MAX: usize = 4_096;
/// Characters of a policy that a session is made with. Source: AWS STS API Reference, "AssumeRole".
const POLICY_CHARS_MAX: usize = 2_048;
const KEY_ALPHABET: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
const KEY_LETTERS: usize = 16;
const SECRET_ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
const SECRET_LENGTH: usize = 40;
/// What precedes the letters of a temporary key's id.
const KEY_PREFIX: &str = "ASIA";

/// Credentials for a while.
#[derive(Clone)]
pub struct TemporaryCredentials {
    pub access_key_id: String,
    pub secret_access_key: String,
    pub session_token: String,
    pub expires_unix_s: i64,
    /// Who acts with them, as GetCallerIdentity shows it: `ROLEID:SESSION` for a role's.
    pub principal_id: String,
    pub principal_arn: String,
    /// How much of their room the session's policies and tags take.
    pub packed_percent: i32,
    pub source_identity: Option<String>,
}

/// The inside of a session token.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Session {
    access_key_id: String,
    secret_access_key: String,
    issued_unix_s: i64,
    expires_unix_s: i64,
    subject: Subject,
}

/// Whose session it is.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) enum Subject {
    Role(RoleSubject),
    /// Of GetSessionToken: whoever has this long-term key.
    Key(String),
    /// Of GetFederationToken, by whoever has this long-term key.
    Federated {
        key: String,
        account: String,
        name: String,
        narrowing: Narrowing,
    },
}

#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct RoleSubject {
    pub(crate) account: String,
    pub(crate) role_name: String,
    pub(crate) role_arn: String,
    pub(crate) role_id: String,
    pub(crate) session_name: String,
    pub(crate) narrowing: Narrowing,
    /// Keys of the tags that a session which is made with this one has, too.
    pub(crate) transitive_tag_keys: Vec<String>,
    pub(crate) source_identity: Option<String>,
    /// The ARN of the identity provider, of a web identity.
    pub(crate) federated: Option<String>,
}

/// What was said of a session when it was made.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Narrowing {
    /// A policy document: what it does not allow, the session may not do.
    pub(crate) policy: Option<String>,
    /// ARNs of managed policies, as they are when the session is used.
    pub(crate) policy_arns: Vec<String>,
    pub(crate) tags: Vec<(String, String)>,
}

/// Tokens that were opened, by access key id.
pub(crate) type OpenedSessions = RwLock<HashMap<String, Arc<Opened>>>;

pub(crate) struct Opened {
    token: String,
    session: Session,
    policies: Arc<[Policy]>,
}

impl Identity {
    /// Makes a session and seals it.
    pub(crate) fn new_session(&self, account: &str, seconds: i64, subject: Subject) -> TemporaryCredentials {
        let issued_unix_s = self.clock.unix_s();
        let session = Session {
            access_key_id: self.temporary_key_id(account),
            secret_access_key: self.random.string(SECRET_ALPHABET, SECRET_LENGTH),
            issued_unix_s,
            expires_unix_s: issued_unix_s + seconds,
            subject,
        };
        let plain =
            Zeroizing::new(serde_json::to_vec(&session).expect("a session has only texts and numbers"));
        let sealed = self.tokens.seal(&self.random, PURPOSE, &plain);
        let (principal_id, principal_arn) = session.subject.principal();
        let source_identity = match &session.subject {
            Subject::Role(role) => role.source_identity.clone(),
            _ => None,
        };
        TemporaryCredentials {
            session_token: BASE64.encode(sealed),
            expires_unix_s: session.expires_unix_s,
            access_key_id: session.access_key_id,
            secret_access_key: session.secret_access_key,
            principal_id,
            principal_arn,
            packed_percent: session.subject.narrowing().map_or(0, Narrowing::packed_percent),
            source_identity,
        }
    }

    pub(crate) async fn session_credential(
        &self,
        access_key_id: &str,
        token: &str,
    ) -> Result<Credential, IdentityError> {
        let opened = self.opened(access_key_id, token)?;
        let session = &opened.session;
        if session.expires_unix_s <= self.clock.unix_s() {
            return Err(IdentityError::ExpiredSession { expired_unix_s: session.expires_unix_s });
        }
        let unknown = || IdentityError::UnknownAccessKey(access_key_id.to_owned());
        let policies = self.session_policies(&opened).await?;
        let caller = match &session.subject {
            Subject::Role(role) => {
                match self.own_principals(&role.account).role(&role.role_name).await {
                    Ok(found) if found.id == role.role_id => {}
                    Ok(_) | Err(IdentityError::NoSuchRole(_)) => return Err(unknown()),
                    Err(error) => return Err(error),
                }
                role.caller(policies)
            }
            Subject::Key(key) => self.long_term(key).await?.ok_or_else(unknown)?,
            Subject::Federated { key, name, narrowing, .. } => {
                let by = self.long_term(key).await?.ok_or_else(unknown)?;
                federated(by, name, policies, narrowing.tags.clone())
            }
        };
        let (issued_unix_s, expires_unix_s) = (session.issued_unix_s, session.expires_unix_s);
        let caller = Caller {
            access_key_id: access_key_id.to_owned(),
            session: Some(SessionFacts { issued_unix_s, expires_unix_s }),
            ..caller
        };
        Ok(Credential { secret_access_key: session.secret_access_key.clone(), caller })
    }

    /// The policies that narrow a session. One that is gone, or cannot be read any more, must not widen it: it allows nothing.
    async fn session_policies(&self, opened: &Opened) -> Result<Arc<[Policy]>, IdentityError> {
        let subject = &opened.session.subject;
        let Some(narrowing) = subject.narrowing().filter(|narrowing| !narrowing.policy_arns.is_empty())
        else {
            return Ok(Arc::clone(&opened.policies));
        };
        // One of several must allow, in AWS: together they are one policy, to which each may bring what it denies.
        let mut texts: Vec<String> = narrowing.policy.iter().cloned().collect();
        for arn in &narrowing.policy_arns {
            match self.managed_document(subject.account(), arn).await {
                Ok(text) => texts.push(text),
                Err(IdentityError::NoSuch { .. }) => return Ok([Policy::nothing()].into()),
                Err(error) => return Err(error),
            }
        }
        let policy = Policy::union(&texts);
        Ok([policy.unwrap_or_else(|_| Policy::nothing())].into())
    }

    /// The text of a managed policy's default version.
    async fn managed_document(&self, account: &str, arn: &str) -> Result<String, IdentityError> {
        let principals = self.own_principals(account);
        let policy = principals.managed_policy(arn).await?;
        Ok(principals.policy_version(arn, policy.default_version).await?.document)
    }

    /// What narrows a new session, if it may be so.
    ///
    /// Errors: `PackedPolicyTooLarge`, `MalformedPolicy`; `NoSuch` for a managed policy that is not there.
    pub(crate) async fn checked(
        &self,
        account: &str,
        narrowing: Narrowing,
    ) -> Result<Narrowing, IdentityError> {
        if let Some(text) = &narrowing.policy {
            // Before it is read: reading costs.
            let percent = percent_of(text.chars().count(), POLICY_CHARS_MAX);
            if percent > 100 {
                return Err(IdentityError::PackedPolicyTooLarge { percent });
            }
            Policy::session(text)?;
        }
        for arn in &narrowing.policy_arns {
            self.own_principals(account).managed_policy(arn).await?;
        }
        match narrowing.packed_percent() {
            percent if percent > 100 => Err(IdentityError::PackedPolicyTooLarge { percent }),
            _ => Ok(narrowing),
        }
    }

    /// Who has a long-term key, if it is there and active.
    async fn long_term(&self, key: &str) -> Result<Option<Caller>, IdentityError> {
        if key == self.root.access_key_id {
            return Ok(Some(self.root_caller()));
        }
        let row = self.key_row(key).await?.filter(|row| row.is_active);
        Ok(row.map(|row| row.caller(key)))
    }

    /// The session in a token, if it is of this key.
    fn opened(&self, access_key_id: &str, token: &str) -> Result<Arc<Opened>, IdentityError> {
        if let Some(known) = self.opened.read().get(access_key_id).filter(|known| known.token == token) {
            return Ok(Arc::clone(known));
        }
        let session = self.open_session(token).filter(|session| session.access_key_id == access_key_id);
        let session = session.ok_or(IdentityError::InvalidSessionToken)?;
        // A document that no longer parses must not widen the session: an empty one allows nothing.
        let parse = |text: &String| Policy::session(text).unwrap_or_else(|_| Policy::nothing());
        let policy = session.subject.narrowing().and_then(|narrowing| narrowing.policy.as_ref());
        let policies = policy.map(parse).into_iter().collect();
        let opened = Arc::new(Opened { token: token.to_owned(), session, policies });
        let mut all = self.opened.write();
        if all.len() >= OPENED_MAX {
            all.clear();
        }
        all.insert(access_key_id.to_owned(), Arc::clone(&opened));
        Ok(opened)
    }

    fn open_session(&self, token: &str) -> Option<Session> {
        if token.len() > TOKEN_CHARS_MAX {
            return None;
        }
        let sealed = BASE64.decode(token).ok()?;
        serde_json::from_slice(&Zeroizing::new(self.tokens.open(PURPOSE, &sealed)?)).ok()
    }

    /// An id that says which account it is of, as those of AWS do: bits 1 to 40 are the account's number.
    fn temporary_key_id(&self, account: &str) -> String {
        let number: u128 = account.parse().unwrap_or(0);
        let random = u128::from(self.random.u64());
        let bits = (number << 39) | (random & ((1 << 39) - 1));
        let letter =
            |at: usize| char::from(KEY_ALPHABET[(bits >> (5 * (KEY_LETTERS - 1 - at)) & 31) as usize]);
        std::iter::once(KEY_PREFIX.to_owned())
            .chain((0..KEY_LETTERS).map(|at| letter(at).to_string()))
            .collect()
    }
}

/// The account that the id of a temporary key names; `None` where it is none of ours.
pub(crate) fn account_of_temporary(access_key_id: &str) -> Option<String> {
    let letters = access_key_id.strip_prefix(KEY_PREFIX)?.as_bytes();
    if letters.len() != KEY_LETTERS {
        return None;
    }
    let value = |letter: &u8| KEY_ALPHABET.iter().position(|known| known == letter);
    let bits = letters.iter().try_fold(0_u128, |bits, letter| Some(bits << 5 | value(letter)? as u128))?;
    Some(format!("{:012}", (bits >> 39) & ((1 << 40) - 1))).filter(|account| account.len() == 12)
}

impl Narrowing {
    /// Bytes that policies and tags of a session may take together. Source: AWS STS API Reference, "AssumeRole", which says
    /// that there is such a bound, not which.
    const PACKED_BYTES_MAX: usize = 4_096;

    fn packed_percent(&self) -> i32 {
        let tags: usize = self.tags.iter().map(|(key, value)| key.len() + value.len()).sum();
        // White space is nothing that has to be kept.
        let policy = self.policy.iter().chain(&self.policy_arns).flat_map(|text| text.bytes());
        let bytes = tags + policy.filter(|byte| !byte.is_ascii_whitespace()).count();
        percent_of(bytes, Self::PACKED_BYTES_MAX)
    }
}

/// Rounded up.
fn percent_of(used: usize, max: usize) -> i32 {
    i32::try_from((used * 100).div_ceil(max)).unwrap_or(i32::MAX)
}

impl Subject {
    fn account(&self) -> &str {
        match self {
            Self::Role(RoleSubject { account, .. }) | Self::Federated { account, .. } => account,
            Self::Key(_) => "",
        }
    }

    fn narrowing(&self) -> Option<&Narrowing> {
        match self {
            Self::Role(role) => Some(&role.narrowing),
            Self::Federated { narrowing, .. } => Some(narrowing),
            Self::Key(_) => None,
        }
    }

    /// Id and ARN, of those that have one of their own.
    fn principal(&self) -> (String, String) {
        match self {
            Self::Role(role) => (role.id(), role.arn()),
            Self::Federated { account, name, .. } => {
                (format!("{account}:{name}"), federated_arn(account, name))
            }
            Self::Key(_) => (String::new(), String::new()),
        }
    }
}

impl RoleSubject {
    fn id(&self) -> String {
        format!("{}:{}", self.role_id, self.session_name)
    }

    fn arn(&self) -> String {
        let resource = format!("assumed-role/{}/{}", self.role_name, self.session_name);
        Arn::new("sts", "", &self.account, resource).to_string()
    }

    pub(crate) fn caller(&self, session_policies: Arc<[Policy]>) -> Caller {
        Caller {
            account: self.account.clone(),
            arn: self.arn(),
            user_id: self.id(),
            access_key_id: String::new(),
            kind: CallerKind::RoleSession {
                role_name: self.role_name.clone(),
                role_arn: self.role_arn.clone(),
                session_policies,
                session_tags: self.narrowing.tags.clone(),
                transitive_tag_keys: self.transitive_tag_keys.clone(),
                source_identity: self.source_identity.clone(),
                federated: self.federated.clone(),
            },
            session: None,
        }
    }
}

fn federated(
    by: Caller,
    name: &str,
    session_policies: Arc<[Policy]>,
    session_tags: Vec<(String, String)>,
) -> Caller {
    Caller {
        account: by.account.clone(),
        arn: federated_arn(&by.account, name),
        user_id: format!("{}:{name}", by.account),
        access_key_id: String::new(),
        kind: CallerKind::FederatedUser {
            name: name.to_owned(),
            by: Box::new(by),
            session_policies,
            session_tags,
        },
        session: None,
    }
}

/// The ARN of a session of GetFederationToken.
pub(crate) fn federated_arn(account: &str, name: &str) -> String {
    Arn::new("sts", "", account, format!("federated-user/{name}")).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_id_of_a_temporary_key_names_its_account() {
        let identity = crate::testing::identity().0;
        for account in ["000000000000", "999999999999", "123456789012"] {
            let id = identity.temporary_key_id(account);
            assert_eq!(account_of_temporary(&id).as_deref(), Some(account), "{id}");
            assert_eq!(id.len(), 20);
        }
        for other in ["AKIAIOSFODNN7EXAMPLE", "ASIA", "ASIAIOSFODNN7EXAMPL1"] {
            assert_eq!(account_of_temporary(other), None, "{other}");
        }
    }
}
