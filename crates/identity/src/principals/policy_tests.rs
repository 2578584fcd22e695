//! Managed policies and what they are attached to, from the store.

use lambent_base::{Clock, Random};
use lambent_store::Db;

use super::{NewPolicy, PolicyScope, PrincipalKind, PrincipalName, Role, UsageCount, User};
use crate::{Caller, CallerKind, Circumstances, Identity, IdentityError, MasterKey, RootKey, Wanted};

const ACCOUNT: &str = "000000000000";
const READ: &str =
    r#"{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"s3:GetObject","Resource":"*"}}"#;
const WRITE: &str =
    r#"{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"s3:PutObject","Resource":"*"}}"#;
const TRUST: &str = r#"{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"sts:AssumeRole",
    "Principal":{"AWS":"000000000000"}}}"#;

fn identity() -> Identity {
    let (clock, _) = Clock::manual(1_800_000_000_000);
    let db = Db::memory(clock.clone(), Random::seeded(1));
    let root =
        RootKey { account: ACCOUNT.into(), access_key_id: "AKIAROOT".into(), secret_access_key: "s".into() };
    Identity::new(db, clock, Random::seeded(2), root, MasterKey::new([1; 32]))
}

async fn policy(identity: &Identity, name: &str, document: &str) -> String {
    let new = NewPolicy { name, path: "/team/", description: None, document, tags: &[] };
    identity.own_principals(ACCOUNT).create_policy(new).await.unwrap().arn()
}

/// A user of this name, and how its requests look.
async fn user(identity: &Identity, name: &str) -> Caller {
    let user = User { account: ACCOUNT.into(), name: name.into(), path: "/".into(), ..User::default() };
    let user = identity.own_principals(ACCOUNT).create_user(user).await.unwrap();
    let (arn, kind) = (user.arn(), CallerKind::User { name: user.name });
    Caller { account: ACCOUNT.into(), arn, user_id: user.id, kind, ..Caller::anonymous() }
}

const fn named(name: &'static str) -> PrincipalName<'static> {
    PrincipalName { account: ACCOUNT, kind: PrincipalKind::User, name }
}

async fn may(identity: &Identity, caller: &Caller) -> (bool, bool) {
    let mut answers = [false; 2];
    for (answer, action) in answers.iter_mut().zip(["s3:GetObject", "s3:PutObject"]) {
        let wanted = Wanted::new(action, "arn:aws:s3:::b/k");
        *answer = identity.authorize(caller, &Circumstances::default(), wanted).await.is_ok();
    }
    answers.into()
}

#[tokio::test]
async fn changes_count_with_the_next_decision() {
    let identity = identity();
    let ann = user(&identity, "ann").await;
    let arn = policy(&identity, "p", READ).await;
    assert_eq!(may(&identity, &ann).await, (false, false));
    identity.own_principals(ACCOUNT).attach_policy(named("ann"), &arn).await.unwrap();
    assert_eq!(may(&identity, &ann).await, (true, false));
    identity.own_principals(ACCOUNT).create_policy_version(&arn, WRITE, false).await.unwrap();
    assert_eq!(may(&identity, &ann).await, (true, false));
    identity.own_principals(ACCOUNT).set_default_version(&arn, 2).await.unwrap();
    assert_eq!(may(&identity, &ann).await, (false, true));
    let boundary = policy(&identity, "boundary", READ).await;
    identity.own_principals(ACCOUNT).set_boundary(named("ann"), Some(&boundary)).await.unwrap();
    assert_eq!(may(&identity, &ann).await, (false, false));
    identity.own_principals(ACCOUNT).set_boundary(named("ann"), None).await.unwrap();
    identity.own_principals(ACCOUNT).detach_policy(named("ann"), &arn).await.unwrap();
    assert_eq!(may(&identity, &ann).await, (false, false));
    identity
        .own_principals(ACCOUNT)
        .attach_policy(named("ann"), "arn:aws:iam::aws:policy/AmazonS3FullAccess")
        .await
        .unwrap();
    assert_eq!(may(&identity, &ann).await, (true, true));
}

#[tokio::test]
async fn what_is_used_stays() {
    let identity = identity();
    user(&identity, "ann").await;
    let arn = policy(&identity, "p", READ).await;
    for _ in 0..2 {
        identity.own_principals(ACCOUNT).attach_policy(named("ann"), &arn).await.unwrap();
    }
    identity.own_principals(ACCOUNT).set_boundary(named("ann"), Some(&arn)).await.unwrap();
    let usage = identity.own_principals(ACCOUNT).policy_usage(&arn).await.unwrap();
    assert_eq!(usage, UsageCount { attached: 1, boundaries: 1 });
    let new = crate::Rename { name: Some("eve"), path: Some("/staff/") };
    identity.own_principals(ACCOUNT).update_user("ann", new).await.unwrap();
    let users = identity.own_principals(ACCOUNT).attachments_of(&arn).await.unwrap();
    let users: Vec<_> = users.iter().map(|found| (found.name.as_str(), found.path.as_str())).collect();
    assert_eq!(users, [("eve", "/staff/"); 2]);
    let refused = identity.own_principals(ACCOUNT).delete_policy(&arn).await;
    assert!(matches!(refused, Err(IdentityError::Conflict(_))));
    identity.own_principals(ACCOUNT).detach_policy(named("eve"), &arn).await.unwrap();
    assert!(identity.own_principals(ACCOUNT).delete_policy(&arn).await.is_err(), "it is a boundary");
    identity.own_principals(ACCOUNT).delete_user("eve").await.unwrap();
    identity.own_principals(ACCOUNT).delete_policy(&arn).await.unwrap();
    assert!(identity.own_principals(ACCOUNT).policy_usages().await.unwrap().is_empty());
}

#[tokio::test]
async fn versions_are_numbered_on_and_bounded() {
    let identity = identity();
    let arn = policy(&identity, "p", READ).await;
    for number in 2..=5 {
        let version =
            identity.own_principals(ACCOUNT).create_policy_version(&arn, WRITE, number == 3).await.unwrap();
        assert_eq!(version.number, number);
    }
    let sixth = identity.own_principals(ACCOUNT).create_policy_version(&arn, WRITE, false).await;
    assert!(matches!(sixth, Err(IdentityError::TooManyVersions { max: 5 })));
    let default = identity.own_principals(ACCOUNT).delete_policy_version(&arn, 3).await;
    assert!(matches!(default, Err(IdentityError::Conflict(_))));
    identity.own_principals(ACCOUNT).delete_policy_version(&arn, 5).await.unwrap();
    let next = identity.own_principals(ACCOUNT).create_policy_version(&arn, READ, false).await.unwrap();
    let versions = identity.own_principals(ACCOUNT).policy_versions(&arn).await.unwrap();
    let told: Vec<_> = versions.iter().map(|version| (version.number, version.is_default)).collect();
    assert_eq!((next.number, told), (6, vec![(6, false), (4, false), (3, true), (2, false), (1, false)]));
}

#[tokio::test]
async fn lists_of_policies_page_through_all() {
    let identity = identity();
    let arn = policy(&identity, "mine", READ).await;
    let (mut names, mut marker) = (Vec::new(), None::<String>);
    loop {
        let page = identity
            .own_principals(ACCOUNT)
            .managed_policies(PolicyScope::All, |_, _| true, marker.as_deref(), 7)
            .await
            .unwrap();
        names.extend(page.items.into_iter().map(|(policy, _)| policy.name));
        marker = page.marker;
        if marker.is_none() {
            break;
        }
    }
    assert_eq!((names[0].as_str(), names.len()), ("mine", super::aws_managed::all().len() + 1));
    let theirs = identity.own_principals("111111111111").managed_policy(&arn).await;
    assert!(
        matches!(theirs, Err(IdentityError::NoSuch { .. })),
        "policies of other accounts are not to be had"
    );
}

#[tokio::test]
async fn names_of_roles_are_the_same_in_any_case() {
    let identity = identity();
    let role = |name: &str| Role {
        account: ACCOUNT.into(),
        name: name.into(),
        path: "/".into(),
        trust_policy: TRUST.into(),
        ..Role::default()
    };
    identity.own_principals(ACCOUNT).create_role(role("Worker")).await.unwrap();
    assert!(matches!(
        identity.own_principals(ACCOUNT).create_role(role("worker")).await,
        Err(IdentityError::Exists { .. })
    ));
    identity.own_principals(ACCOUNT).delete_role("Worker").await.unwrap();
    identity.own_principals(ACCOUNT).create_role(role("worker")).await.unwrap();
}

#[tokio::test]
async fn roles_of_services_are_theirs_alone() {
    let identity = identity();
    let role = identity
        .own_principals(ACCOUNT)
        .create_service_linked_role("ecs.amazonaws.com", None, None)
        .await
        .unwrap();
    let name = "AWSServiceRoleForECS";
    let who = PrincipalName { account: ACCOUNT, kind: PrincipalKind::Role, name };
    let admin = "arn:aws:iam::aws:policy/AdministratorAccess";
    for refused in [
        identity.own_principals(ACCOUNT).delete_role(name).await,
        identity.own_principals(ACCOUNT).put_role_policy(name, "p", READ).await,
        identity.own_principals(ACCOUNT).attach_policy(who, admin).await,
        identity.own_principals(ACCOUNT).detach_policy(who, &role.attached[0]).await,
        identity.own_principals(ACCOUNT).set_boundary(who, Some(admin)).await,
        identity.own_principals(ACCOUNT).update_trust_policy(name, TRUST).await,
    ] {
        assert!(matches!(refused, Err(IdentityError::ProtectedRole(_))), "{refused:?}");
    }
    let disguised = Role { path: "/aws-service-role/x/".into(), name: "x".into(), ..role };
    assert!(matches!(
        identity.own_principals(ACCOUNT).create_role(disguised).await,
        Err(IdentityError::InvalidInput(_))
    ));
    let task = identity.own_principals(ACCOUNT).delete_service_linked_role(name).await.unwrap();
    identity.own_principals(ACCOUNT).deletion_task(&task).await.unwrap();
    assert!(identity.own_principals(ACCOUNT).deletion_task(&task.replace("ECS", "EKS")).await.is_err());
    assert!(identity.own_principals(ACCOUNT).policy_usages().await.unwrap().is_empty());
}

#[tokio::test]
async fn decisions_know_tags_and_boundaries_of_principals() {
    let identity = identity();
    let boss = user(&identity, "boss").await;
    let boundary = policy(&identity, "boundary", READ).await;
    let delegate = format!(
        r#"{{"Version":"2012-10-17","Statement":[
            {{"Effect":"Allow","Action":"iam:AttachRolePolicy","Resource":"*",
              "Condition":{{"StringEquals":{{"iam:PermissionsBoundary":"{boundary}"}}}}}},
            {{"Effect":"Allow","Action":"iam:DeleteRole","Resource":"arn:aws:iam::*:role/ours/*",
              "Condition":{{"StringEquals":{{"aws:ResourceTag/Team":"a"}}}}}}]}}"#
    );
    identity.own_principals(ACCOUNT).put_user_policy("boss", "delegate", &delegate).await.unwrap();
    let role = |name: &str, boundary: Option<&str>, team: &str| Role {
        account: ACCOUNT.into(),
        name: name.into(),
        path: "/ours/".into(),
        trust_policy: TRUST.into(),
        boundary: boundary.map(str::to_owned),
        tags: vec![("team".into(), team.into())],
        ..Role::default()
    };
    identity.own_principals(ACCOUNT).create_role(role("bounded", Some(&boundary), "a")).await.unwrap();
    identity.own_principals(ACCOUNT).create_role(role("free", None, "b")).await.unwrap();
    for (name, expected) in [("bounded", true), ("free", false), ("missing", false)] {
        for action in ["iam:AttachRolePolicy", "iam:DeleteRole"] {
            let wanted = Wanted::new(action, format!("arn:aws:iam::{ACCOUNT}:role/{name}"));
            let decided = identity.authorize(&boss, &Circumstances::default(), wanted).await;
            assert_eq!(decided.is_ok(), expected, "{action} {name}");
        }
    }
}
