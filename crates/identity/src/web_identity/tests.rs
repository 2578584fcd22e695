//! What a token opens.

use serde_json::json;

use super::*;
use crate::jwt::tests::Provider;
use crate::testing::{ACCOUNT, identity};
use crate::{KeySet, Role, Unverified};

const NOW: i64 = 1_800_000_000;

fn provider() -> OidcProvider {
    OidcProvider {
        account: ACCOUNT.into(),
        url: "https://id.example".into(),
        client_ids: vec!["app".into()],
        ..OidcProvider::default()
    }
}

fn claims(more: Value) -> Claims {
    let mut all =
        json!({ "iss": "https://id.example", "sub": "anna", "aud": "app", "exp": NOW + 60, "iat": NOW });
    for (name, value) in more.as_object().unwrap() {
        all[name] = value.clone();
    }
    let signer = Provider::new();
    let token = signer.token(&json!({ "alg": "ES256", "kid": "one" }), &all);
    let keys = KeySet::read(&signer.keys()).unwrap();
    Unverified::read(&token).unwrap().verify(&keys, NOW).unwrap().clone()
}

async fn role(identity: &Identity, actions: &[&str], condition: Value) -> String {
    let principal = json!({ "Federated": provider().arn() });
    let statement =
        json!({ "Effect": "Allow", "Action": actions, "Principal": principal, "Condition": condition });
    let role = Role {
        account: ACCOUNT.into(),
        name: format!("r{}", identity.random.u64()),
        path: "/".into(),
        trust_policy: json!({ "Version": "2012-10-17", "Statement": statement }).to_string(),
        max_session_seconds: 3_600,
        ..Role::default()
    };
    identity.own_principals(ACCOUNT).create_role(role).await.unwrap().arn()
}

async fn assume(
    identity: &Identity,
    role_arn: &str,
    claims: &Claims,
) -> Result<TemporaryCredentials, IdentityError> {
    let request = AssumeRoleWithWebIdentity {
        role_arn,
        session_name: "anna",
        seconds: 900,
        policy: None,
        policy_arns: Vec::new(),
        provider: &provider(),
        claims,
        at: Circumstances::default(),
    };
    identity.assume_role_with_web_identity(request).await
}

#[tokio::test]
async fn conditions_ask_the_claims() {
    let (identity, _hand) = identity();
    let condition = json!({
        "StringEquals": { "id.example:sub": "anna", "id.example:aud": "app" },
        "ForAnyValue:StringEquals": { "id.example:amr": "mfa" },
    });
    let arn = role(&identity, &[ACTION], condition).await;
    let strong = claims(json!({ "amr": ["pwd", "mfa"] }));
    let given = assume(&identity, &arn, &strong).await.unwrap();
    let found = identity.credential(&given.access_key_id, Some(&given.session_token)).await.unwrap();
    let crate::CallerKind::RoleSession { federated, .. } = found.caller.kind else {
        panic!("it is a role's")
    };
    assert_eq!(federated, Some(provider().arn()));
    for weak in [json!({}), json!({ "amr": "mfa", "sub": "bob" }), json!({ "amr": "mfa", "azp": "another" })]
    {
        let refused = assume(&identity, &arn, &claims(weak.clone())).await;
        assert!(matches!(refused, Err(IdentityError::NotAuthorized(_))), "{weak}");
    }
}

#[tokio::test]
async fn other_roles_stay_closed() {
    let (identity, _hand) = identity();
    let other = role(&identity, &["sts:AssumeRole"], json!({})).await;
    let missing = format!("arn:aws:iam::{ACCOUNT}:role/missing");
    for arn in [other, missing] {
        let refused = assume(&identity, &arn, &claims(json!({}))).await;
        assert!(matches!(refused, Err(IdentityError::NotAuthorized(_))), "{arn}");
    }
}

#[tokio::test]
async fn tags_of_the_token_need_the_trust_policys_word() {
    let (identity, _hand) = identity();
    let tagged = claims(json!({
        TAGS_CLAIM: { "principal_tags": { "Team": ["blue"] }, "transitive_tag_keys": ["Team"] },
        SOURCE_IDENTITY_CLAIM: "anna",
    }));
    let plain = role(&identity, &[ACTION], json!({})).await;
    assert!(matches!(assume(&identity, &plain, &tagged).await, Err(IdentityError::NotAuthorized(_))));
    let open = role(&identity, &[ACTION, "sts:TagSession", "sts:SetSourceIdentity"], json!({})).await;
    let given = assume(&identity, &open, &tagged).await.unwrap();
    assert_eq!(given.source_identity.as_deref(), Some("anna"));
    for odd in [
        json!({ TAGS_CLAIM: "x" }),
        json!({ TAGS_CLAIM: { "principal_tags": { "a": ["1", "2"] } } }),
        json!({ TAGS_CLAIM: { "principal_tags": { "": "x" } } }),
        json!({ TAGS_CLAIM: { "principal_tags": {}, "transitive_tag_keys": [1] } }),
        json!({ SOURCE_IDENTITY_CLAIM: "a b" }),
        json!({ SOURCE_IDENTITY_CLAIM: 7 }),
    ] {
        let refused = assume(&identity, &open, &claims(odd.clone())).await;
        assert!(matches!(refused, Err(IdentityError::RejectedClaim(_))), "{odd}");
    }
}

#[tokio::test]
async fn a_deny_for_everybody_is_meant_for_web_identities_too() {
    let (identity, _hand) = identity();
    let allow =
        json!({ "Effect": "Allow", "Action": ACTION, "Principal": { "Federated": provider().arn() } });
    let mut deny = json!({ "Effect": "Deny", "Action": ACTION,
        "Condition": { "StringNotEquals": { "id.example:sub": "anna" } } });
    for (at, principal) in [json!("*"), json!({ "AWS": "*" })].into_iter().enumerate() {
        deny["Principal"] = principal;
        let role = Role {
            account: ACCOUNT.into(),
            name: format!("r{at}"),
            path: "/".into(),
            trust_policy: json!({ "Version": "2012-10-17", "Statement": [allow, deny] }).to_string(),
            max_session_seconds: 3_600,
            ..Role::default()
        };
        let arn = identity.own_principals(ACCOUNT).create_role(role).await.unwrap().arn();
        assert!(assume(&identity, &arn, &claims(json!({}))).await.is_ok(), "{deny}");
        let refused = assume(&identity, &arn, &claims(json!({ "sub": "bob" }))).await;
        assert!(matches!(refused, Err(IdentityError::NotAuthorized(_))), "{deny}");
    }
}
