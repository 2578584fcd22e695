//! Who gets which role, and what goes with the session.

use serde_json::json;

use super::*;
use crate::testing::{ACCOUNT, identity};
use crate::{RoleUpdate, User};

/// Makes a role with this statement as its trust policy; gives its ARN.
async fn role(identity: &Identity, name: &str, mut trust: serde_json::Value) -> String {
    trust["Effect"] = "Allow".into();
    let role = Role {
        account: ACCOUNT.into(),
        name: name.into(),
        path: "/".into(),
        trust_policy: json!({ "Version": "2012-10-17", "Statement": trust }).to_string(),
        max_session_seconds: 3_600,
        ..Role::default()
    };
    identity.own_principals(ACCOUNT).create_role(role).await.unwrap().arn()
}

fn account_may(actions: &[&str]) -> serde_json::Value {
    json!({ "Action": actions, "Principal": { "AWS": ACCOUNT } })
}

fn request(role_arn: &str) -> AssumeRole<'_> {
    AssumeRole { role_arn, session_name: "me", seconds: 900, ..AssumeRole::default() }
}

async fn acting(identity: &Identity, given: &TemporaryCredentials) -> Caller {
    identity.credential(&given.access_key_id, Some(&given.session_token)).await.unwrap().caller
}

async fn user(identity: &Identity, policy: Option<&str>) -> Caller {
    let user = User { account: ACCOUNT.into(), name: "anna".into(), path: "/".into(), ..User::default() };
    identity.own_principals(ACCOUNT).create_user(user).await.unwrap();
    if let Some(policy) = policy {
        identity.own_principals(ACCOUNT).put_user_policy("anna", "p", policy).await.unwrap();
    }
    let key = identity.own_principals(ACCOUNT).create_access_key("anna").await.unwrap().key;
    identity.credential(&key.id, None).await.unwrap().caller
}

fn is_denied(result: &Result<TemporaryCredentials, IdentityError>) -> bool {
    matches!(result, Err(IdentityError::Denied(_)))
}

#[tokio::test]
async fn an_external_id_must_be_the_one() {
    let (identity, _hand) = identity();
    let mut trust = account_may(&["sts:AssumeRole"]);
    trust["Condition"] = json!({ "StringEquals": { "sts:ExternalId": "it" } });
    let arn = role(&identity, "r", trust).await;
    let root = identity.root_caller();
    for (external_id, is_right) in [(None, false), (Some("other"), false), (Some("it"), true)] {
        let given = identity.assume_role(&root, AssumeRole { external_id, ..request(&arn) }).await;
        assert_eq!(is_denied(&given), !is_right, "{external_id:?}");
    }
}

#[tokio::test]
async fn a_role_that_trusts_the_account_leaves_it_to_the_account() {
    let (identity, _hand) = identity();
    let named =
        role(&identity, "named", json!({ "Action": "sts:AssumeRole", "Principal": { "AWS": "*" } })).await;
    let whole = role(&identity, "whole", account_may(&["sts:AssumeRole"])).await;
    let anna = user(&identity, None).await;
    assert!(is_denied(&identity.assume_role(&anna, request(&whole)).await));
    assert!(identity.assume_role(&anna, request(&named)).await.is_ok());
    let policy = r#"{"Statement":{"Effect":"Allow","Action":"sts:AssumeRole","Resource":"*"}}"#;
    identity.own_principals(ACCOUNT).put_user_policy("anna", "p", policy).await.unwrap();
    assert!(identity.assume_role(&anna, request(&whole)).await.is_ok());
    let missing = format!("arn:aws:iam::{ACCOUNT}:role/missing");
    let refused = identity.assume_role(&anna, request(&missing)).await;
    assert!(is_denied(&refused), "whether there is one is not told");
}

#[tokio::test]
async fn transitive_tags_go_on_and_others_do_not() {
    let (identity, _hand) = identity();
    let actions = ["sts:AssumeRole", "sts:TagSession"];
    let first = role(&identity, "first", account_may(&actions)).await;
    let second = role(&identity, "second", account_may(&actions)).await;
    let plain = role(&identity, "plain", account_may(&["sts:AssumeRole"])).await;
    let all = r#"{"Statement":{"Effect":"Allow","Action":"sts:*","Resource":"*"}}"#;
    identity.own_principals(ACCOUNT).put_role_policy("first", "p", all).await.unwrap();
    let tag = |key: &str, value: &str| (key.to_owned(), value.to_owned());
    let tags = vec![tag("Team", "blue"), tag("Cost", "1")];
    let asked = AssumeRole { tags, transitive_tag_keys: vec!["team".to_owned()], ..request(&first) };
    let root = identity.root_caller();
    assert!(is_denied(&identity.assume_role(&root, AssumeRole { role_arn: &plain, ..asked.clone() }).await));
    let given = identity.assume_role(&root, asked).await.unwrap();
    assert_eq!(given.packed_percent, 1);
    let session = acting(&identity, &given).await;
    let given = identity.assume_role(&session, request(&second)).await.unwrap();
    let CallerKind::RoleSession { session_tags, transitive_tag_keys, .. } =
        acting(&identity, &given).await.kind
    else {
        panic!("it is a role's session");
    };
    assert_eq!((session_tags, transitive_tag_keys), (vec![tag("Team", "blue")], vec!["team".to_owned()]));
    let again = AssumeRole { tags: vec![tag("TEAM", "red")], ..request(&second) };
    let refused = identity.assume_role(&session, again).await;
    assert!(matches!(refused, Err(IdentityError::InvalidParameter(told)) if told.contains("conflicts")));
    assert!(is_denied(&identity.assume_role(&session, request(&plain)).await), "its tags go along");
}

#[tokio::test]
async fn a_chain_is_short_and_keeps_its_source_identity() {
    let (identity, _hand) = identity();
    let actions = ["sts:AssumeRole", "sts:SetSourceIdentity"];
    let first = role(&identity, "first", account_may(&actions)).await;
    let second = role(&identity, "second", account_may(&actions)).await;
    let all = r#"{"Statement":{"Effect":"Allow","Action":"sts:*","Resource":"*"}}"#;
    identity.own_principals(ACCOUNT).put_role_policy("first", "p", all).await.unwrap();
    let longer = RoleUpdate { max_session_seconds: Some(7_200), ..RoleUpdate::default() };
    identity.own_principals(ACCOUNT).update_role("second", longer).await.unwrap();
    let root = identity.root_caller();
    let asked = AssumeRole { source_identity: Some("anna"), ..request(&first) };
    let session = acting(&identity, &identity.assume_role(&root, asked).await.unwrap()).await;
    let given = identity.assume_role(&session, request(&second)).await.unwrap();
    assert_eq!(given.source_identity.as_deref(), Some("anna"));
    let other = AssumeRole { source_identity: Some("bob"), ..request(&second) };
    assert!(is_denied(&identity.assume_role(&session, other).await));
    let long = AssumeRole { seconds: 7_200, ..request(&second) };
    assert!(identity.assume_role(&root, long.clone()).await.is_ok());
    assert!(matches!(identity.assume_role(&session, long).await, Err(IdentityError::Invalid(_))));
    let longest = AssumeRole { seconds: 7_201, ..request(&second) };
    let refused = identity.assume_role(&root, longest).await;
    assert!(matches!(refused, Err(IdentityError::DurationTooLong { max: 7_200, .. })));
}

#[tokio::test]
async fn managed_session_policies_count_as_they_are_now() {
    let (identity, _hand) = identity();
    let arn = role(&identity, "r", account_may(&["sts:AssumeRole"])).await;
    let all = r#"{"Statement":{"Effect":"Allow","Action":"*","Resource":"*"}}"#;
    identity.own_principals(ACCOUNT).put_role_policy("r", "p", all).await.unwrap();
    let managed = "arn:aws:iam::aws:policy/AmazonS3ReadOnlyAccess".to_owned();
    let asked = AssumeRole { policy_arns: vec![managed], ..request(&arn) };
    let root = identity.root_caller();
    let session = acting(&identity, &identity.assume_role(&root, asked.clone()).await.unwrap()).await;
    let lambda = r#"{"Statement":{"Effect":"Allow","Action":"lambda:*","Resource":"*"}}"#;
    let both = AssumeRole { policy: Some(lambda), ..asked.clone() };
    let both = acting(&identity, &identity.assume_role(&root, both).await.unwrap()).await;
    let at = Circumstances::default();
    for (action, by_one, by_both) in
        [("s3:GetObject", true, true), ("s3:PutObject", false, false), ("lambda:InvokeFunction", false, true)]
    {
        for (caller, expected) in [(&session, by_one), (&both, by_both)] {
            let decided = identity.authorize(caller, &at, Wanted::new(action, "*")).await;
            assert_eq!(decided.is_ok(), expected, "{action}");
        }
    }
    let missing = vec![format!("arn:aws:iam::{ACCOUNT}:policy/missing")];
    let refused = identity.assume_role(&root, AssumeRole { policy_arns: missing, ..asked }).await;
    assert!(matches!(refused, Err(IdentityError::NoSuch { .. })));
}

#[tokio::test]
async fn the_policy_is_looked_at_only_where_the_role_trusts() {
    let (identity, _hand) = identity();
    let open = role(&identity, "open", account_may(&["sts:AssumeRole"])).await;
    let closed =
        role(&identity, "closed", json!({ "Action": "sts:AssumeRole", "Principal": { "Service": "a.b" } }))
            .await;
    let missing = format!("arn:aws:iam::{ACCOUNT}:role/missing");
    let root = identity.root_caller();
    let asked = |role_arn| AssumeRole { policy: Some("{"), ..request(role_arn) };
    for arn in [&closed, &missing] {
        assert!(is_denied(&identity.assume_role(&root, asked(arn)).await), "{arn}");
    }
    let refused = identity.assume_role(&root, asked(&open)).await;
    assert!(matches!(refused, Err(IdentityError::MalformedPolicy(_))));
}

#[tokio::test]
async fn a_policy_that_is_too_long_is_not_read() {
    let (identity, _hand) = identity();
    let arn = role(&identity, "r", account_may(&["sts:AssumeRole"])).await;
    let root = identity.root_caller();
    let all = r#"{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"*","Resource":"*"}}"#;
    for (length, is_short) in [(2_048, true), (2_049, false)] {
        let policy = format!("{all:<length$}");
        let given = identity.assume_role(&root, AssumeRole { policy: Some(&policy), ..request(&arn) }).await;
        assert_eq!(given.is_ok(), is_short, "{length}");
    }
    let unreadable = "{".repeat(4_096);
    let given = identity.assume_role(&root, AssumeRole { policy: Some(&unreadable), ..request(&arn) }).await;
    assert!(matches!(given, Err(IdentityError::PackedPolicyTooLarge { percent: 200 })));
}

#[tokio::test]
async fn session_policies_may_share_a_sid() {
    let (identity, _hand) = identity();
    let arn = role(&identity, "r", account_may(&["sts:AssumeRole"])).await;
    let all = r#"{"Statement":{"Effect":"Allow","Action":"*","Resource":"*"}}"#;
    identity.own_principals(ACCOUNT).put_role_policy("r", "p", all).await.unwrap();
    let document = r#"{"Version":"2012-10-17","Statement":{"Sid":"one","Effect":"Allow","Action":"s3:GetObject","Resource":"*"}}"#;
    let (path, tags) = ("/", &[][..]);
    let new = crate::NewPolicy { name: "m", path, description: None, document, tags };
    let managed = identity.own_principals(ACCOUNT).create_policy(new).await.unwrap().arn();
    // Without a version there are no variables.
    let inline = r#"{"Statement":[{"Sid":"one","Effect":"Allow","Action":"lambda:*","Resource":"*"},
        {"Effect":"Allow","Action":"s3:PutObject","Resource":"arn:aws:s3:::b/${aws:PrincipalType}"}]}"#;
    let asked = AssumeRole { policy: Some(inline), policy_arns: vec![managed], ..request(&arn) };
    let given = identity.assume_role(&identity.root_caller(), asked).await.unwrap();
    let session = acting(&identity, &given).await;
    for (action, resource, expected) in [
        ("s3:GetObject", "arn:aws:s3:::b/k", true),
        ("lambda:InvokeFunction", "*", true),
        ("s3:DeleteObject", "arn:aws:s3:::b/k", false),
        ("s3:PutObject", "arn:aws:s3:::b/${aws:PrincipalType}", true),
        ("s3:PutObject", "arn:aws:s3:::b/AssumedRole", false),
    ] {
        let decided =
            identity.authorize(&session, &Circumstances::default(), Wanted::new(action, resource)).await;
        assert_eq!(decided.is_ok(), expected, "{action} {resource}");
    }
}

/// Anna is deleted, and somebody else gets her name.
async fn another_anna(identity: &Identity, key: &str) -> Caller {
    let principals = identity.own_principals(ACCOUNT);
    principals.delete_access_key("anna", key).await.unwrap();
    principals.delete_user("anna").await.unwrap();
    user(identity, None).await
}

#[tokio::test]
async fn a_user_made_anew_is_not_the_one_that_a_role_trusts() {
    let (identity, _hand) = identity();
    let anna = user(&identity, None).await;
    let arn =
        role(&identity, "r", json!({ "Action": "sts:AssumeRole", "Principal": { "AWS": anna.arn } })).await;
    assert!(identity.assume_role(&anna, request(&arn)).await.is_ok());
    let principals = identity.own_principals(ACCOUNT);
    let shown = async || {
        let role = principals.role("r").await.unwrap();
        principals.names().shown(&role.trust_policy, &role.trust_pins).await.unwrap()
    };
    assert!(shown().await.contains(&anna.arn));
    let new = another_anna(&identity, &anna.access_key_id).await;
    assert_eq!(new.arn, anna.arn);
    assert!(is_denied(&identity.assume_role(&new, request(&arn)).await), "she has only the name");
    let now = shown().await;
    assert!(now.contains(&format!(r#"{{"AWS":"{}"}}"#, anna.user_id)) && !now.contains(&anna.arn), "{now}");
    let name = "r";
    let again = principals.update_trust_policy(name, &now).await;
    assert!(matches!(again, Err(IdentityError::MalformedPolicy(_))), "nobody has that id: {again:?}");
}

#[tokio::test]
async fn a_role_made_anew_is_not_the_one_that_another_trusts() {
    let (identity, _hand) = identity();
    let first = role(&identity, "first", account_may(&["sts:AssumeRole"])).await;
    let trust = json!({ "Action": "sts:AssumeRole", "Principal": { "AWS": first } });
    let second = role(&identity, "second", trust).await;
    let session = async || {
        let given = identity.assume_role(&identity.root_caller(), request(&first)).await.unwrap();
        acting(&identity, &given).await
    };
    let all = r#"{"Statement":{"Effect":"Allow","Action":"sts:*","Resource":"*"}}"#;
    let name = "first";
    let principals = identity.own_principals(ACCOUNT);
    principals.put_role_policy(name, "p", all).await.unwrap();
    assert!(identity.assume_role(&session().await, request(&second)).await.is_ok());
    principals.delete_role_policy(name, "p").await.unwrap();
    principals.delete_role(name).await.unwrap();
    role(&identity, "first", account_may(&["sts:AssumeRole"])).await;
    principals.put_role_policy(name, "p", all).await.unwrap();
    assert!(is_denied(&identity.assume_role(&session().await, request(&second)).await));
}

#[tokio::test]
async fn a_user_with_another_name_is_still_trusted() {
    let (identity, _hand) = identity();
    let anna = user(&identity, None).await;
    let trust = json!({
        "Action": "sts:AssumeRole",
        "Principal": { "AWS": [anna.arn, ACCOUNT] },
        "Condition": { "StringNotEquals": { "aws:PrincipalArn": anna.arn } },
    });
    let arn = role(&identity, "r", trust).await;
    let principals = identity.own_principals(ACCOUNT);
    let rename = crate::Rename { name: Some("bea"), path: None };
    principals.update_user("anna", rename).await.unwrap();
    let bea = identity.credential(&anna.access_key_id, None).await.unwrap().caller;
    assert!(identity.assume_role(&bea, request(&arn)).await.is_ok());
    let role = principals.role("r").await.unwrap();
    let shown = principals.names().shown(&role.trust_policy, &role.trust_pins).await.unwrap();
    assert!(shown.contains(&bea.arn), "{shown}");
    assert_eq!(shown.matches(&anna.arn).count(), 1, "conditions stay as they are: {shown}");
}

#[tokio::test]
async fn a_policy_may_deny_all_but_one_who_is_known_by_id() {
    let (identity, _hand) = identity();
    let anna = user(&identity, None).await;
    let statements = json!([
        { "Effect": "Allow", "Action": "sts:AssumeRole", "Principal": "*" },
        { "Effect": "Deny", "Action": "sts:AssumeRole", "NotPrincipal": { "AWS": [ACCOUNT, anna.arn] } },
    ]);
    let role = Role {
        account: ACCOUNT.into(),
        name: "r".into(),
        path: "/".into(),
        trust_policy: json!({ "Version": "2012-10-17", "Statement": statements }).to_string(),
        max_session_seconds: 3_600,
        ..Role::default()
    };
    let arn = identity.own_principals(ACCOUNT).create_role(role).await.unwrap().arn();
    assert!(identity.assume_role(&anna, request(&arn)).await.is_ok());
    let new = another_anna(&identity, &anna.access_key_id).await;
    assert!(is_denied(&identity.assume_role(&new, request(&arn)).await), "the spared one is gone");
}

#[tokio::test]
async fn nobody_unknown_is_trusted() {
    let (identity, _hand) = identity();
    let anna = user(&identity, None).await;
    for (name, is_known) in [
        (anna.arn.as_str(), true),
        (anna.user_id.as_str(), true),
        ("arn:aws:iam::000000000000:user/Anna", false),
        ("arn:aws:iam::000000000000:user/x/anna", false),
        ("arn:aws:iam::111111111111:user/anna", false),
        ("arn:aws:iam::000000000000:role/anna", false),
        ("AIDAAAAAAAAAAAAAAAAAA", false),
        ("arn:aws:sts::000000000000:assumed-role/r/me", true),
    ] {
        let trust = json!({ "Effect": "Allow", "Action": "sts:AssumeRole", "Principal": { "AWS": name } });
        let role = Role {
            account: ACCOUNT.into(),
            name: format!("r{}", identity.random.u64()),
            path: "/".into(),
            trust_policy: json!({ "Version": "2012-10-17", "Statement": trust }).to_string(),
            ..Role::default()
        };
        let made = identity.own_principals(ACCOUNT).create_role(role).await;
        let told = made.map(drop).map_err(|error| error.to_string());
        let refused = Err(format!("Invalid principal in policy: \"AWS\":\"{name}\""));
        assert_eq!(told, if is_known { Ok(()) } else { refused }, "{name}");
    }
}
