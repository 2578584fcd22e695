//! Decisions from the store to the answer.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use lambent_base::{Clock, Random};
use lambent_store::Db;

use crate::{
    Caller, CallerKind, Circumstances, Group, Identity, IdentityError, MasterKey, NewPolicy, Policy,
    PrincipalKind, PrincipalName, ResourceFacts, Role, RootKey, User, Wanted,
};

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

const NAME: &str = "worker";
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
    identity.own_principals(ACCOUNT).create_role(role("worker")).await.unwrap();
    let session = session(&identity).await;
    let caller =
        identity.credential(&session.access_key_id, Some(&session.session_token)).await.unwrap().caller;
    assert_eq!(caller.arn, "arn:aws:sts::000000000000:assumed-role/worker/me");
    let object = || "arn:aws:s3:::photos/a.jpg".to_owned();
    let denied = identity.authorize(&caller, &at(), Wanted::new("s3:GetObject", object())).await.unwrap_err();
    assert!(denied.to_string().contains("because no identity-based policy allows the s3:GetObject action"));

    let policy =
        r#"{"Statement":{"Effect":"Allow","Action":"s3:GetObject","Resource":"arn:aws:s3:::photos/*"}}"#;
    identity.own_principals(ACCOUNT).put_role_policy(NAME, "read", policy).await.unwrap();
    let allowed = identity.authorize(&caller, &at(), Wanted::new("s3:GetObject", object())).await.unwrap();
    assert_eq!(allowed.resource(), "arn:aws:s3:::photos/a.jpg");
    assert!(identity.authorize(&caller, &at(), Wanted::new("s3:PutObject", object())).await.is_err());
}

#[tokio::test]
async fn each_wish_is_decided_on_by_itself() {
    let (identity, _) = identity();
    identity.own_principals(ACCOUNT).create_role(role("worker")).await.unwrap();
    let policy =
        r#"{"Statement":{"Effect":"Allow","Action":"s3:GetObject","Resource":"arn:aws:s3:::photos/*"}}"#;
    identity.own_principals(ACCOUNT).put_role_policy(NAME, "read", policy).await.unwrap();
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
    identity.own_principals(ACCOUNT).delete_role_policy(NAME, "read").await.unwrap();
    identity.own_principals(ACCOUNT).delete_role(NAME).await.unwrap();
    assert!(identity.authorize_each(&caller, &at(), wishes).await.is_err(), "a session without its role");
}

#[tokio::test]
async fn what_a_resource_grants_a_role_may_still_deny() {
    let (identity, _) = identity();
    identity.own_principals(ACCOUNT).create_role(role("worker")).await.unwrap();
    let narrow = r#"{"Statement":{"Effect":"Allow","Action":"s3:*","Resource":"*"}}"#;
    let policy = r#"{"Statement":{"Effect":"Deny","Action":"s3:PutObject","Resource":"*"}}"#;
    identity.own_principals(ACCOUNT).put_role_policy(NAME, "deny", policy).await.unwrap();
    let session = identity.assume_role(&identity.root_caller(), request(Some(narrow))).await.unwrap();
    let caller =
        identity.credential(&session.access_key_id, Some(&session.session_token)).await.unwrap().caller;
    for (action, granted, allowed) in [
        ("s3:GetObject", true, true),
        ("s3:GetObject", false, false),
        ("s3:PutObject", true, false),
        ("lambda:InvokeFunction", true, false),
    ] {
        const ALL: &str = r#"{"Statement":{"Effect":"Allow","Principal":"*","Action":"*"}}"#;
        let policy = granted.then(|| Arc::new(Policy::resource(ALL, "lambda").unwrap()));
        let facts = ResourceFacts { policy, ..ResourceFacts::default() };
        let decided = identity.authorize_on(&caller, &at(), Wanted::new(action, "x"), facts).await;
        assert_eq!(decided.is_ok(), allowed, "{action} {granted}");
    }
}

#[tokio::test]
async fn a_session_policy_only_narrows() {
    let (identity, _) = identity();
    identity.own_principals(ACCOUNT).create_role(role("worker")).await.unwrap();
    let all = r#"{"Statement":{"Effect":"Allow","Action":"s3:*","Resource":"*"}}"#;
    identity.own_principals(ACCOUNT).put_role_policy(NAME, "all", all).await.unwrap();
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
    identity.own_principals(ACCOUNT).create_role(role("worker")).await.unwrap();
    identity
        .own_principals(ACCOUNT)
        .create_role(Role { path: "/protected/".into(), ..role("boss") })
        .await
        .unwrap();
    let policy = r#"{"Statement":[{"Effect":"Allow","Action":"iam:*","Resource":"*"},
        {"Effect":"Deny","Action":"iam:*","Resource":"arn:aws:iam::000000000000:role/protected/*"}]}"#;
    identity.own_principals(ACCOUNT).put_role_policy(NAME, "p", policy).await.unwrap();
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
async fn a_new_thing_is_decided_on_where_it_will_be() {
    let (identity, _) = identity();
    identity.own_principals(ACCOUNT).create_role(role("worker")).await.unwrap();
    identity
        .own_principals(ACCOUNT)
        .create_role(Role { path: "/team/".into(), ..role("boss") })
        .await
        .unwrap();
    let policy = r#"{"Statement":{"Effect":"Allow","Action":"iam:*",
        "Resource":"arn:aws:iam::000000000000:role/team/*"}}"#;
    identity.own_principals(ACCOUNT).put_role_policy(NAME, "p", policy).await.unwrap();
    let session = session(&identity).await;
    let caller =
        identity.credential(&session.access_key_id, Some(&session.session_token)).await.unwrap().caller;
    let wanted = || Wanted::new("iam:UpdateRole", "arn:aws:iam::000000000000:role/boss");
    assert!(identity.authorize(&caller, &at(), wanted()).await.is_ok(), "it is the one in its path");
    let moved = identity.authorize(&caller, &at(), wanted().of_a_new_thing()).await;
    assert!(matches!(moved, Err(IdentityError::Denied(_))), "it leaves its path");
}

#[tokio::test]
async fn a_session_of_a_key_calls_no_iam_and_of_sts_only_assume_role() {
    let (identity, _) = identity();
    let given = identity.session_token(&crate::testing::leave(&identity.root_caller()), 900).unwrap();
    let caller = identity.credential(&given.access_key_id, Some(&given.session_token)).await.unwrap().caller;
    assert_eq!(caller.kind, CallerKind::Root);
    for (action, is_allowed) in [
        ("iam:CreateUser", false),
        ("iam:GetUser", false),
        ("iam:PassRole", true),
        ("sts:AssumeRole", true),
        ("sts:GetCallerIdentity", true),
        ("sts:DecodeAuthorizationMessage", false),
        ("sts:GetAccessKeyInfo", false),
        ("s3:ListAllMyBuckets", true),
    ] {
        let wanted = Wanted::new(action, "*").of_a_new_thing();
        let decided = identity.authorize(&caller, &Circumstances::default(), wanted).await;
        assert_eq!(decided.is_ok(), is_allowed, "{action}");
    }
}

#[tokio::test]
async fn a_federated_user_calls_neither_iam_nor_sts() {
    let (identity, _) = identity();
    let request =
        crate::FederationToken { name: "bob", seconds: 900, policy: Some(ALL), ..Default::default() };
    let given =
        identity.federation_token(&crate::testing::leave(&identity.root_caller()), request).await.unwrap();
    let caller = identity.credential(&given.access_key_id, Some(&given.session_token)).await.unwrap().caller;
    for (action, resource, is_allowed) in [
        ("iam:CreateUser", "arn:aws:iam::000000000000:user/x", false),
        ("sts:AssumeRole", ARN, false),
        ("sts:GetSessionToken", "*", false),
        ("sts:GetCallerIdentity", "*", true),
        ("iam:PassRole", ARN, true),
        ("s3:GetObject", "arn:aws:s3:::b/k", true),
    ] {
        let decided = identity.authorize(&caller, &at(), Wanted::new(action, resource)).await;
        assert_eq!(decided.is_ok(), is_allowed, "{action}");
    }
}

#[tokio::test]
async fn sessions_expire_and_die_with_their_role() {
    let (identity, hand) = identity();
    identity.own_principals(ACCOUNT).create_role(role("worker")).await.unwrap();
    let first = session(&identity).await;
    hand.advance(Duration::from_secs(901));
    let expired = identity.credential(&first.access_key_id, Some(&first.session_token)).await;
    assert!(matches!(expired, Err(IdentityError::ExpiredSession { .. })));

    let second = session(&identity).await;
    identity.own_principals(ACCOUNT).delete_role(NAME).await.unwrap();
    identity.own_principals(ACCOUNT).create_role(role("worker")).await.unwrap();
    let orphan = identity.credential(&second.access_key_id, Some(&second.session_token)).await;
    assert!(matches!(orphan, Err(IdentityError::UnknownAccessKey(_))));
}

#[tokio::test]
async fn tokens_and_keys_of_others_are_refused() {
    let (identity, _) = identity();
    identity.own_principals(ACCOUNT).create_role(role("worker")).await.unwrap();
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
    identity.own_principals(ACCOUNT).create_role(role("worker")).await.unwrap();
    assert!(identity.service_may_assume("lambda.amazonaws.com", ARN).await.unwrap());
    assert!(!identity.service_may_assume("ec2.amazonaws.com", ARN).await.unwrap());
    assert!(
        !identity
            .service_may_assume("lambda.amazonaws.com", "arn:aws:iam::000000000000:role/none")
            .await
            .unwrap()
    );
}

const OTHER: &str = "222222222222";

/// A user of the owner's account with this inline policy and, if any, this boundary.
async fn user(identity: &Identity, policy: Option<&str>, boundary: Option<&str>) -> Caller {
    let mut user = User { account: ACCOUNT.into(), name: "ann".into(), path: "/".into(), ..User::default() };
    if let Some(document) = boundary {
        let new = NewPolicy { name: "bound", path: "/", description: None, document, tags: &[] };
        user.boundary = Some(identity.own_principals(ACCOUNT).create_policy(new).await.unwrap().arn());
    }
    let user = identity.own_principals(ACCOUNT).create_user(user).await.unwrap();
    if let Some(policy) = policy {
        identity.own_principals(ACCOUNT).put_user_policy("ann", "inline", policy).await.unwrap();
    }
    Caller {
        arn: user.arn(),
        user_id: user.id,
        kind: CallerKind::User { name: "ann".into() },
        ..Caller::root(ACCOUNT, "AKIAANN")
    }
}

/// The policy of a bucket, in which this principal may or may not do anything.
fn bucket(owner: &str, effect: &str, principal: &str) -> ResourceFacts {
    let text = format!(
        r#"{{"Version":"2012-10-17","Statement":{{"Effect":"{effect}","Principal":{principal},"Action":"s3:*",
            "Resource":"arn:aws:s3:::b/*"}}}}"#
    );
    let policy = Some(Arc::new(Policy::resource(&text, "s3").unwrap()));
    ResourceFacts { owner: Some(owner.to_owned()), policy, ..ResourceFacts::default() }
}

/// What comes after the resource in the message of a no.
async fn decided(identity: &Identity, caller: &Caller, facts: ResourceFacts) -> Result<(), String> {
    let wanted = Wanted::new("s3:GetObject", "arn:aws:s3:::b/k");
    match identity.authorize_on(caller, &at(), wanted, facts).await {
        Ok(_) => Ok(()),
        Err(IdentityError::Denied(denial)) => {
            let told = format!(
                "User: {} is not authorized to perform: s3:GetObject on resource: arn:aws:s3:::b/k ",
                caller.arn
            );
            Err(denial.message.strip_prefix(&told).expect("AWS's words").to_owned())
        }
        Err(other) => panic!("{other}"),
    }
}

const ALL: &str = r#"{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"*","Resource":"*"}}"#;
const LOGS: &str =
    r#"{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"logs:*","Resource":"*"}}"#;
const ANN: &str = r#"{"AWS":"arn:aws:iam::000000000000:user/ann"}"#;
const OWN_ACCOUNT: &str = r#"{"AWS":"arn:aws:iam::000000000000:root"}"#;

#[tokio::test]
async fn both_accounts_must_allow_what_crosses_them() {
    const NO_IDENTITY: &str = "because no identity-based policy allows the s3:GetObject action";
    const NO_RESOURCE: &str = "because no resource-based policy allows the s3:GetObject action";
    for (policy, facts, expected) in [
        (Some(ALL), bucket(OTHER, "Allow", ANN), Ok(())),
        (Some(ALL), bucket(OTHER, "Allow", OWN_ACCOUNT), Ok(())),
        (Some(ALL), bucket(OTHER, "Allow", r#"{"AWS":"222222222222"}"#), Err(NO_RESOURCE)),
        (Some(LOGS), bucket(OTHER, "Allow", ANN), Err(NO_IDENTITY)),
        (
            Some(ALL),
            ResourceFacts { owner: Some(OTHER.into()), ..ResourceFacts::default() },
            Err(NO_RESOURCE),
        ),
        (None, bucket(ACCOUNT, "Allow", ANN), Ok(())),
        (None, bucket(ACCOUNT, "Allow", "\"*\""), Ok(())),
        (None, bucket(ACCOUNT, "Allow", OWN_ACCOUNT), Err(NO_IDENTITY)),
        (Some(ALL), bucket(ACCOUNT, "Allow", OWN_ACCOUNT), Ok(())),
        (
            Some(ALL),
            bucket(ACCOUNT, "Deny", OWN_ACCOUNT),
            Err("with an explicit deny in a resource-based policy"),
        ),
        (
            Some(ALL),
            ResourceFacts { is_blocked_public: true, ..bucket(OTHER, "Allow", "\"*\"") },
            Err(NO_RESOURCE),
        ),
        // What is blocked is the whole policy, for other accounts; the own one's is not.
        (
            Some(ALL),
            ResourceFacts { is_blocked_public: true, ..bucket(OTHER, "Allow", ANN) },
            Err(NO_RESOURCE),
        ),
        (None, ResourceFacts { is_blocked_public: true, ..bucket(ACCOUNT, "Allow", "\"*\"") }, Ok(())),
    ] {
        let (identity, _) = identity();
        let ann = user(&identity, policy, None).await;
        let what = format!("{policy:?} {facts:?}");
        let got = decided(&identity, &ann, facts).await;
        assert_eq!(got, expected.map_err(str::to_owned), "{what}");
    }
}

#[tokio::test]
async fn a_boundary_bounds_but_does_not_allow() {
    let none = || ResourceFacts { owner: Some(ACCOUNT.into()), ..ResourceFacts::default() };
    const NO_BOUNDARY: &str = "because no permissions boundary allows the s3:GetObject action";
    const DENY: &str =
        r#"{"Version":"2012-10-17","Statement":{"Effect":"Deny","Action":"*","Resource":"*"}}"#;
    for (policy, boundary, facts, expected) in [
        (Some(ALL), ALL, none(), Ok(())),
        (Some(ALL), LOGS, none(), Err(NO_BOUNDARY)),
        (None, ALL, none(), Err("because no identity-based policy allows the s3:GetObject action")),
        (Some(ALL), DENY, none(), Err("with an explicit deny in a permissions boundary")),
        // What names the user itself is not bounded, but denied by a deny.
        (None, LOGS, bucket(ACCOUNT, "Allow", ANN), Ok(())),
        (None, LOGS, bucket(ACCOUNT, "Allow", "\"*\""), Err(NO_BOUNDARY)),
        (None, DENY, bucket(ACCOUNT, "Allow", ANN), Err("with an explicit deny in a permissions boundary")),
        (Some(ALL), LOGS, bucket(OTHER, "Allow", ANN), Err(NO_BOUNDARY)),
    ] {
        let (identity, _) = identity();
        let ann = user(&identity, policy, Some(boundary)).await;
        let got = decided(&identity, &ann, facts).await;
        assert_eq!(got, expected.map_err(str::to_owned), "{policy:?} {boundary}");
    }
}

#[tokio::test]
async fn root_strangers_and_services_are_decided_on_by_resources() {
    let (identity, _) = identity();
    let root = identity.root_caller();
    let none = |owner: &str| ResourceFacts { owner: Some(owner.to_owned()), ..ResourceFacts::default() };
    let service = Caller::service("s3.amazonaws.com");
    let for_service = r#"{"Service":"s3.amazonaws.com"}"#;
    for (caller, facts, is_allowed) in [
        (&root, none(ACCOUNT), true),
        (&root, bucket(ACCOUNT, "Deny", "\"*\""), false),
        (&root, none(OTHER), false),
        (&root, bucket(OTHER, "Allow", OWN_ACCOUNT), true),
        (&Caller::anonymous(), none(ACCOUNT), false),
        (&Caller::anonymous(), bucket(ACCOUNT, "Allow", OWN_ACCOUNT), false),
        (&Caller::anonymous(), bucket(ACCOUNT, "Allow", "\"*\""), true),
        (&service, bucket(ACCOUNT, "Allow", for_service), true),
        (&service, ResourceFacts { is_blocked_public: true, ..bucket(ACCOUNT, "Allow", for_service) }, true),
        (&service, bucket(ACCOUNT, "Allow", r#"{"Service":"sns.amazonaws.com"}"#), false),
        (&service, none(ACCOUNT), false),
    ] {
        let what = format!("{} {facts:?}", caller.arn);
        assert_eq!(decided(&identity, caller, facts).await.is_ok(), is_allowed, "{what}");
    }
}

#[tokio::test]
async fn a_buckets_policy_does_not_lock_the_owners_root_out_of_itself() {
    let (identity, _) = identity();
    let root = identity.root_caller();
    let admin = user(&identity, Some(ALL), None).await;
    let stranger = Caller::root(OTHER, "AKIAOTHER");
    let facts = || {
        let text = r#"{"Version":"2012-10-17","Statement":{"Effect":"Deny","Principal":"*","Action":"s3:*",
            "Resource":"*"}}"#;
        let policy = Some(Arc::new(Policy::resource(text, "s3").unwrap()));
        ResourceFacts { owner: Some(ACCOUNT.to_owned()), policy, ..ResourceFacts::default() }
    };
    let is_allowed = async |caller: &Caller, action| {
        let wanted = Wanted::new(action, "arn:aws:s3:::b");
        identity.authorize_on(caller, &at(), wanted, facts()).await.is_ok()
    };
    for action in ["s3:GetBucketPolicy", "s3:PutBucketPolicy", "s3:DeleteBucketPolicy"] {
        assert!(is_allowed(&root, action).await, "{action}");
        assert!(!is_allowed(&admin, action).await, "{action}: only the root");
        assert!(!is_allowed(&stranger, action).await, "{action}: only the owner's root");
    }
    assert!(!is_allowed(&root, "s3:PutBucketPublicAccessBlock").await);
}

#[tokio::test]
async fn a_session_that_a_resource_names_needs_no_other_policy() {
    let (identity, _) = identity();
    identity.own_principals(ACCOUNT).create_role(role("worker")).await.unwrap();
    let logs = LOGS;
    let session = identity.assume_role(&identity.root_caller(), request(Some(logs))).await.unwrap();
    let caller =
        identity.credential(&session.access_key_id, Some(&session.session_token)).await.unwrap().caller;
    let by_session = r#"{"AWS":"arn:aws:sts::000000000000:assumed-role/worker/me"}"#;
    let by_role = r#"{"AWS":"arn:aws:iam::000000000000:role/worker"}"#;
    assert_eq!(decided(&identity, &caller, bucket(ACCOUNT, "Allow", by_session)).await, Ok(()));
    let narrowed = decided(&identity, &caller, bucket(ACCOUNT, "Allow", by_role)).await;
    assert_eq!(narrowed.unwrap_err(), "because no session policy allows the s3:GetObject action");
}

#[tokio::test]
async fn groups_and_attached_policies_speak_for_a_user_at_once() {
    let (identity, _) = identity();
    let ann = user(&identity, None, None).await;
    let facts = || ResourceFacts { owner: Some(ACCOUNT.into()), ..ResourceFacts::default() };
    assert!(decided(&identity, &ann, facts()).await.is_err());
    let group = Group { account: ACCOUNT.into(), name: "all".into(), path: "/".into(), ..Group::default() };
    identity.own_principals(ACCOUNT).create_group(group).await.unwrap();
    identity.own_principals(ACCOUNT).put_group_policy("all", "all", ALL).await.unwrap();
    identity.own_principals(ACCOUNT).add_user_to_group("all", "ann").await.unwrap();
    assert_eq!(decided(&identity, &ann, facts()).await, Ok(()));
    identity.own_principals(ACCOUNT).delete_group_policy("all", "all").await.unwrap();
    assert!(decided(&identity, &ann, facts()).await.is_err());
    let name = PrincipalName { account: ACCOUNT, kind: PrincipalKind::User, name: "ann" };
    identity
        .own_principals(ACCOUNT)
        .attach_policy(name, "arn:aws:iam::aws:policy/AmazonS3ReadOnlyAccess")
        .await
        .unwrap();
    assert_eq!(decided(&identity, &ann, facts()).await, Ok(()));
}
