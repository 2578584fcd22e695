//! Decisions from the store to the answer.

use std::collections::BTreeMap;
use std::time::Duration;

use lambent_base::{Clock, Random};
use lambent_store::Db;

use crate::{Circumstances, Identity, IdentityError, MasterKey, Role, RoleName, RootKey, Wanted};

const ACCOUNT: &str = "000000000000";
const TRUST: &str = r#"{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"sts:AssumeRole",
    "Principal":{"AWS":"000000000000","Service":"lambda.amazonaws.com"}}}"#;

fn identity() -> (Identity, lambent_base::ManualClock) {
    let (clock, hand) = Clock::manual(1_800_000_000_000);
    let db = Db::memory(clock.clone(), Random::seeded(1));
    let root =
        RootKey { account: ACCOUNT.into(), access_key_id: "AKIAROOT".into(), secret_access_key: "s".into() };
    (Identity::new(db, clock, Random::seeded(2), root, MasterKey::new([1; 32])), hand)
}

fn at() -> Circumstances {
    Circumstances::default()
}

fn role(name: &str) -> Role {
    Role {
        account: ACCOUNT.into(),
        name: name.into(),
        path: "/".into(),
        id: String::new(),
        trust_policy: TRUST.into(),
        description: None,
        max_session_seconds: 3600,
        created_ms: 0,
        policies: BTreeMap::new(),
        tags: Vec::new(),
        ..Role::default()
    }
}

const NAME: RoleName<'static> = RoleName { account: ACCOUNT, name: "worker" };
const ARN: &str = "arn:aws:iam::000000000000:role/worker";

fn request(policy: Option<&str>) -> crate::AssumeRole<'_> {
    crate::AssumeRole {
        role_arn: ARN,
        session_name: "me",
        seconds: 900,
        policy,
        ..crate::AssumeRole::default()
    }
}

async fn session(identity: &Identity) -> crate::TemporaryCredentials {
    identity.assume_role(&identity.root_caller(), request(None)).await.unwrap()
}

#[tokio::test]
async fn a_role_session_may_do_what_its_policies_allow() {
    let (identity, _) = identity();
    identity.create_role(role("worker")).await.unwrap();
    let session = session(&identity).await;
    let caller =
        identity.credential(&session.access_key_id, Some(&session.session_token)).await.unwrap().caller;
    assert_eq!(caller.arn, "arn:aws:sts::000000000000:assumed-role/worker/me");
    let object = || "arn:aws:s3:::photos/a.jpg".to_owned();
    let denied = identity.authorize(&caller, &at(), Wanted::new("s3:GetObject", object())).await.unwrap_err();
    assert!(denied.to_string().contains("because no identity-based policy allows the s3:GetObject action"));

    let policy =
        r#"{"Statement":{"Effect":"Allow","Action":"s3:GetObject","Resource":"arn:aws:s3:::photos/*"}}"#;
    identity.put_role_policy(NAME, "read", policy).await.unwrap();
    let allowed = identity.authorize(&caller, &at(), Wanted::new("s3:GetObject", object())).await.unwrap();
    assert_eq!(allowed.resource(), "arn:aws:s3:::photos/a.jpg");
    assert!(identity.authorize(&caller, &at(), Wanted::new("s3:PutObject", object())).await.is_err());
}

#[tokio::test]
async fn each_wish_is_decided_on_by_itself() {
    let (identity, _) = identity();
    identity.create_role(role("worker")).await.unwrap();
    let policy =
        r#"{"Statement":{"Effect":"Allow","Action":"s3:GetObject","Resource":"arn:aws:s3:::photos/*"}}"#;
    identity.put_role_policy(NAME, "read", policy).await.unwrap();
    let session = session(&identity).await;
    let caller =
        identity.credential(&session.access_key_id, Some(&session.session_token)).await.unwrap().caller;
    let wish = |action, resource: &str| Wanted::new(action, resource);
    let wishes = vec![
        wish("s3:GetObject", "arn:aws:s3:::other/a"),
        wish("s3:GetObject", "arn:aws:s3:::photos/a"),
        wish("s3:PutObject", "arn:aws:s3:::photos/a"),
    ];
    let decisions = identity.authorize_each(&caller, &at(), wishes.clone()).await.unwrap();
    assert!(matches!(&decisions[0], Err(IdentityError::Denied(why)) if why.message.contains("other/a")));
    let allowed = decisions[1].as_ref().unwrap();
    assert_eq!((allowed.action(), allowed.resource()), ("s3:GetObject", "arn:aws:s3:::photos/a"));
    assert!(matches!(&decisions[2], Err(IdentityError::Denied(_))));
    identity.delete_role_policy(NAME, "read").await.unwrap();
    identity.delete_role(NAME).await.unwrap();
    assert!(identity.authorize_each(&caller, &at(), wishes).await.is_err(), "a session without its role");
}

#[tokio::test]
async fn what_a_resource_grants_a_role_may_still_deny() {
    let (identity, _) = identity();
    identity.create_role(role("worker")).await.unwrap();
    let narrow = r#"{"Statement":{"Effect":"Allow","Action":"s3:*","Resource":"*"}}"#;
    let policy = r#"{"Statement":{"Effect":"Deny","Action":"s3:PutObject","Resource":"*"}}"#;
    identity.put_role_policy(NAME, "deny", policy).await.unwrap();
    let session = identity.assume_role(&identity.root_caller(), request(Some(narrow))).await.unwrap();
    let caller =
        identity.credential(&session.access_key_id, Some(&session.session_token)).await.unwrap().caller;
    for (action, granted, allowed) in [
        ("s3:GetObject", true, true),
        ("s3:GetObject", false, false),
        ("s3:PutObject", true, false),
        ("lambda:InvokeFunction", true, false),
    ] {
        let decided = identity.authorize_beside(&caller, &at(), Wanted::new(action, "x"), granted).await;
        assert_eq!(decided.is_ok(), allowed, "{action} {granted}");
    }
}

#[tokio::test]
async fn a_session_policy_only_narrows() {
    let (identity, _) = identity();
    identity.create_role(role("worker")).await.unwrap();
    let all = r#"{"Statement":{"Effect":"Allow","Action":"s3:*","Resource":"*"}}"#;
    identity.put_role_policy(NAME, "all", all).await.unwrap();
    let narrow = r#"{"Statement":{"Effect":"Allow","Action":["s3:GetObject","iam:*"],"Resource":"*"}}"#;
    let session = identity.assume_role(&identity.root_caller(), request(Some(narrow))).await.unwrap();
    let caller =
        identity.credential(&session.access_key_id, Some(&session.session_token)).await.unwrap().caller;
    for (action, allowed) in [("s3:GetObject", true), ("s3:PutObject", false), ("iam:CreateRole", false)] {
        assert_eq!(
            identity.authorize(&caller, &at(), Wanted::new(action, "x")).await.is_ok(),
            allowed,
            "{action}"
        );
    }
}

#[tokio::test]
async fn a_role_is_decided_on_with_its_path() {
    let (identity, _) = identity();
    identity.create_role(role("worker")).await.unwrap();
    identity.create_role(Role { path: "/protected/".into(), ..role("boss") }).await.unwrap();
    let policy = r#"{"Statement":[{"Effect":"Allow","Action":"iam:*","Resource":"*"},
        {"Effect":"Deny","Action":"iam:*","Resource":"arn:aws:iam::000000000000:role/protected/*"}]}"#;
    identity.put_role_policy(NAME, "p", policy).await.unwrap();
    let session = session(&identity).await;
    let caller =
        identity.credential(&session.access_key_id, Some(&session.session_token)).await.unwrap().caller;
    for (name, allowed) in [("worker", true), ("boss", false), ("nobody", true)] {
        let resource = format!("arn:aws:iam::000000000000:role/{name}");
        let decided = identity.authorize(&caller, &at(), Wanted::new("iam:PutRolePolicy", resource)).await;
        assert_eq!(decided.is_ok(), allowed, "{name}");
    }
}

#[tokio::test]
async fn sessions_expire_and_die_with_their_role() {
    let (identity, hand) = identity();
    identity.create_role(role("worker")).await.unwrap();
    let first = session(&identity).await;
    hand.advance(Duration::from_secs(901));
    let expired = identity.credential(&first.access_key_id, Some(&first.session_token)).await;
    assert!(matches!(expired, Err(IdentityError::ExpiredSession { .. })));

    let second = session(&identity).await;
    identity.delete_role(NAME).await.unwrap();
    identity.create_role(role("worker")).await.unwrap();
    let orphan = identity.credential(&second.access_key_id, Some(&second.session_token)).await;
    assert!(matches!(orphan, Err(IdentityError::UnknownAccessKey(_))));
}

#[tokio::test]
async fn tokens_and_keys_of_others_are_refused() {
    let (identity, _) = identity();
    identity.create_role(role("worker")).await.unwrap();
    let session = session(&identity).await;
    for (key, token) in
        [("AKIAROOT", Some(session.session_token.as_str())), (&session.access_key_id, Some("AAAA"))]
    {
        let result = identity.credential(key, token).await;
        assert!(matches!(result, Err(IdentityError::InvalidSessionToken)), "{key}");
    }
    assert!(matches!(identity.credential("AKIAOTHER", None).await, Err(IdentityError::UnknownAccessKey(_))));
}

#[tokio::test]
async fn only_trusted_services_may_assume() {
    let (identity, _) = identity();
    identity.create_role(role("worker")).await.unwrap();
    assert!(identity.service_may_assume("lambda.amazonaws.com", ARN).await.unwrap());
    assert!(!identity.service_may_assume("ec2.amazonaws.com", ARN).await.unwrap());
    assert!(
        !identity
            .service_may_assume("lambda.amazonaws.com", "arn:aws:iam::000000000000:role/none")
            .await
            .unwrap()
    );
}
