//! Sessions of users and of an account's root: GetSessionToken and GetFederationToken.

use crate::session_tags::SessionTags;
use crate::sessions::{Narrowing, Subject, account_of_temporary};
use crate::{Authorized, Caller, CallerKind, Identity, IdentityError, Principals, TemporaryCredentials};

/// Seconds that a session of an account's root lasts at most. Source: AWS STS API Reference, "GetSessionToken".
const ROOT_SECONDS_MAX: i64 = 3_600;

/// A request for a federated user's credentials.
#[derive(Clone, Debug, Default)]
pub struct FederationToken<'a> {
    pub name: &'a str,
    pub seconds: i64,
    /// What of the caller's power the session has; without it none but what resource policies give.
    pub policy: Option<&'a str>,
    /// ARNs of managed policies, which count like `policy`.
    pub policy_arns: Vec<String>,
    pub tags: Vec<(String, String)>,
}

impl Identity {
    /// Credentials for a while that may do what the caller may.
    ///
    /// Errors: `NeedsLongTermKey`.
    pub fn session_token(
        &self,
        authorized: &Authorized,
        seconds: i64,
    ) -> Result<TemporaryCredentials, IdentityError> {
        let caller = authorized.caller();
        let seconds = expect_long_term(caller, "GetSessionToken", seconds)?;
        Ok(self.new_session(&caller.account, seconds, Subject::Key(caller.access_key_id.clone())))
    }

    /// Credentials for a while that may do what both the caller and the policy allow.
    ///
    /// Errors: `NeedsLongTermKey`, `MalformedPolicy`, `PackedPolicyTooLarge`, `InvalidParameter`.
    pub async fn federation_token(
        &self,
        authorized: &Authorized,
        request: FederationToken<'_>,
    ) -> Result<TemporaryCredentials, IdentityError> {
        let caller = authorized.caller();
        let seconds = expect_long_term(caller, "GetFederationToken", request.seconds)?;
        let SessionTags { tags, .. } = SessionTags::checked(None, &request.tags, &[])?;
        let policy = request.policy.map(str::to_owned);
        let narrowing = Narrowing { policy, policy_arns: request.policy_arns, tags };
        let narrowing = self.checked(&caller.account, narrowing).await?;
        let (key, account, name) =
            (caller.access_key_id.clone(), caller.account.clone(), request.name.to_owned());
        Ok(self.new_session(&caller.account, seconds, Subject::Federated { key, account, name, narrowing }))
    }
}

impl Principals<'_> {
    /// The account that an access key is of: a long-term one that exists, or whatever temporary one.
    pub async fn account_of_key(self, access_key_id: &str) -> Result<Option<String>, IdentityError> {
        if let Some(account) = account_of_temporary(access_key_id) {
            return Ok(Some(account));
        }
        Ok(self.any_access_key(access_key_id).await?.map(|(account, _)| account))
    }
}

/// How long a session lasts that somebody asks for who needs a long-term key to.
fn expect_long_term(caller: &Caller, operation: &'static str, seconds: i64) -> Result<i64, IdentityError> {
    match &caller.kind {
        _ if caller.session.is_some() => Err(IdentityError::NeedsLongTermKey(operation)),
        CallerKind::User { .. } => Ok(seconds),
        CallerKind::Root => Ok(seconds.min(ROOT_SECONDS_MAX)),
        _ => Err(IdentityError::NeedsLongTermKey(operation)),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::User;
    use crate::testing::{ACCOUNT, identity, leave};

    async fn who(identity: &Identity, given: &TemporaryCredentials) -> Result<Caller, IdentityError> {
        let found = identity.credential(&given.access_key_id, Some(&given.session_token)).await?;
        assert_eq!(found.secret_access_key, given.secret_access_key);
        Ok(found.caller)
    }

    #[tokio::test]
    async fn a_session_token_is_its_user_as_long_as_the_key_is_active() {
        let (identity, hand) = identity();
        let user =
            User { account: ACCOUNT.into(), name: "anna".into(), path: "/x/".into(), ..User::default() };
        let user = identity.own_principals(ACCOUNT).create_user(user).await.unwrap();
        let key = identity.own_principals(ACCOUNT).create_access_key("anna").await.unwrap().key;
        let anna = identity.credential(&key.id, None).await.unwrap().caller;
        let given = identity.session_token(&leave(&anna), 43_200).unwrap();
        let caller = who(&identity, &given).await.unwrap();
        assert_eq!((&caller.arn, &caller.user_id), (&user.arn(), &user.id));
        assert_eq!(caller.session.unwrap().expires_unix_s, given.expires_unix_s);
        let again = identity.session_token(&leave(&caller), 900);
        assert!(matches!(again, Err(IdentityError::NeedsLongTermKey(_))), "no session of a session");
        identity.own_principals(ACCOUNT).set_access_key_active("anna", &key.id, false).await.unwrap();
        assert!(matches!(who(&identity, &given).await, Err(IdentityError::UnknownAccessKey(_))));
        identity.own_principals(ACCOUNT).set_access_key_active("anna", &key.id, true).await.unwrap();
        hand.advance(Duration::from_secs(43_200));
        assert!(matches!(who(&identity, &given).await, Err(IdentityError::ExpiredSession { .. })));
    }

    #[tokio::test]
    async fn a_federated_user_dies_with_the_key_and_is_nobody_elses() {
        let (identity, _hand) = identity();
        let root = identity.root_caller();
        let request = FederationToken { name: "bob", seconds: 43_200, ..FederationToken::default() };
        let given = identity.federation_token(&leave(&root), request).await.unwrap();
        assert_eq!(given.expires_unix_s - 1_800_000_000, ROOT_SECONDS_MAX, "root's are short");
        let caller = who(&identity, &given).await.unwrap();
        assert_eq!(caller.arn, format!("arn:aws:sts::{ACCOUNT}:federated-user/bob"));
        assert_eq!(caller.user_id, format!("{ACCOUNT}:bob"));
        let crossed = identity.credential("ASIAAAAAAAAAAAAAAAAA", Some(&given.session_token)).await;
        assert!(matches!(crossed, Err(IdentityError::InvalidSessionToken)));
        assert_eq!(
            identity.own_principals(ACCOUNT).account_of_key(&given.access_key_id).await.unwrap().as_deref(),
            Some(ACCOUNT)
        );
        assert_eq!(
            identity.own_principals(ACCOUNT).account_of_key("AKIANOBODYSKEYAAAAAA").await.unwrap(),
            None
        );
    }

    #[tokio::test]
    async fn what_a_session_carries_is_bounded() {
        let (identity, _hand) = identity();
        let (root, long) = (identity.root_caller(), "x".repeat(250));
        let tags = (0..20).map(|at| (format!("k{at}"), long.clone())).collect();
        let request = FederationToken { name: "bob", seconds: 900, tags, ..FederationToken::default() };
        let refused = identity.federation_token(&leave(&root), request).await;
        assert!(matches!(refused, Err(IdentityError::PackedPolicyTooLarge { percent: 124 })));
        let request = FederationToken { policy: Some("{"), ..FederationToken::default() };
        assert!(matches!(
            identity.federation_token(&leave(&root), request).await,
            Err(IdentityError::MalformedPolicy(_))
        ));
    }
}
