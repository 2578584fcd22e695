//! Users, groups and keys on a store in memory.

use std::time::Duration;

use lambent_base::{Clock, ManualClock, Random};
use lambent_store::Db;

use super::*;
use crate::{CallerKind, Circumstances, Identity, IdentityError, MasterKey, RootKey, Wanted, keys};

const ACCOUNT: &str = "000000000000";
const OTHER: &str = "111111111111";
const POLICY: &str = r#"{"Statement":{"Effect":"Allow","Action":"s3:*","Resource":"*"}}"#;

/// Two nodes over one store.
fn nodes() -> (Identity, Identity, ManualClock) {
    let (clock, hand) = Clock::manual(1_800_000_000_000);
    let db = Db::memory(clock.clone(), Random::seeded(1));
    let node = |seed| {
        let (access_key_id, secret_access_key) = ("AKIAROOT".to_owned(), "s".to_owned());
        let root = RootKey { account: ACCOUNT.to_owned(), access_key_id, secret_access_key };
        Identity::new(db.clone(), clock.clone(), Random::seeded(seed), root, MasterKey::new([1; 32]))
    };
    (node(2), node(3), hand)
}

fn user(account: &str, name: &str) -> User {
    User { account: account.into(), name: name.into(), path: "/".into(), ..User::default() }
}

fn group(name: &str) -> Group {
    Group { account: ACCOUNT.into(), name: name.into(), path: "/".into(), ..Group::default() }
}

async fn revision(identity: &Identity) -> Option<Vec<u8>> {
    let key = &keys::revision(ACCOUNT);
    let read = identity.db.read(|txn| async move { Ok::<_, IdentityError>(txn.get(key).await?) }).await;
    read.unwrap().map(|row| row.to_vec())
}

#[tokio::test]
async fn a_key_opens_on_every_node_until_it_is_inactive_or_gone() {
    let (here, there, _) = nodes();
    let ann = here.own_principals(ACCOUNT).create_user(user(ACCOUNT, "ann")).await.unwrap();
    let made = here.own_principals(ACCOUNT).create_access_key("ann").await.unwrap();
    let id = made.key.id.as_str();
    let credential = there.credential(id, None).await.unwrap();
    assert_eq!(credential.secret_access_key, made.secret_access_key);
    assert_eq!(credential.caller.kind, CallerKind::User { name: "ann".into() });
    assert_eq!((credential.caller.arn, credential.caller.user_id), (ann.arn(), ann.id));

    here.own_principals(ACCOUNT).set_access_key_active("ann", id, false).await.unwrap();
    let refused = there.credential(id, None).await.map(|_| ());
    assert!(matches!(refused, Err(IdentityError::UnknownAccessKey(_))), "{refused:?}");
    here.own_principals(ACCOUNT).set_access_key_active("ann", id, true).await.unwrap();
    assert!(there.credential(id, None).await.is_ok());
    here.own_principals(ACCOUNT).delete_access_key("ann", id).await.unwrap();
    let refused = there.credential(id, None).await.map(|_| ());
    assert!(matches!(refused, Err(IdentityError::UnknownAccessKey(_))), "{refused:?}");
}

#[tokio::test]
async fn a_change_on_one_node_is_decided_on_by_the_next() {
    let (here, there, _) = nodes();
    here.own_principals(ACCOUNT).create_user(user(ACCOUNT, "ann")).await.unwrap();
    here.own_principals(ACCOUNT).create_group(group("g")).await.unwrap();
    here.own_principals(ACCOUNT).put_group_policy("g", "p", POLICY).await.unwrap();
    let key = here.own_principals(ACCOUNT).create_access_key("ann").await.unwrap().key.id;
    let may = async || {
        let caller = there.credential(&key, None).await.unwrap().caller;
        let wanted = Wanted::new("s3:GetObject", "arn:aws:s3:::b/k");
        there.authorize(&caller, &Circumstances::default(), wanted).await.is_ok()
    };
    assert!(!may().await);
    here.own_principals(ACCOUNT).add_user_to_group("g", "ann").await.unwrap();
    assert!(may().await, "the group's policy");
    here.own_principals(ACCOUNT).update_group("g", Rename { name: Some("h"), path: None }).await.unwrap();
    here.own_principals(ACCOUNT).update_user("ann", Rename { name: Some("bea"), path: None }).await.unwrap();
    assert!(may().await, "names do not matter");
    let deny = POLICY.replace("Allow", "Deny");
    here.own_principals(ACCOUNT).put_user_policy("bea", "no", &deny).await.unwrap();
    assert!(!may().await, "the user's own deny");
    here.own_principals(ACCOUNT).delete_user_policy("bea", "no").await.unwrap();
    assert!(may().await);
    here.own_principals(ACCOUNT).remove_user_from_group("h", "bea").await.unwrap();
    assert!(!may().await);
}

#[tokio::test]
async fn no_secret_lies_open_in_the_store() {
    let (identity, _, _) = nodes();
    identity.own_principals(ACCOUNT).create_user(user(ACCOUNT, "ann")).await.unwrap();
    let key = identity.own_principals(ACCOUNT).create_access_key("ann").await.unwrap();
    let credential =
        identity.own_principals(ACCOUNT).create_service_credential("ann", "codecommit.amazonaws.com", None);
    let secrets = [key.secret_access_key, credential.await.unwrap().password];
    let all = &keys::all();
    let rows = identity
        .db
        .read(|txn| async move { Ok::<_, IdentityError>(txn.scan(all, Default::default()).await?.rows) })
        .await
        .unwrap();
    assert!(rows.len() > 4);
    for (key, row) in rows {
        let is_open = |secret: &String| row.windows(secret.len()).any(|part| part == secret.as_bytes());
        assert!(!secrets.iter().any(is_open), "{}", key.escape_ascii());
    }
}

#[tokio::test]
async fn accounts_know_nothing_of_each_other() {
    let (identity, _, _) = nodes();
    identity.own_principals(ACCOUNT).create_user(user(ACCOUNT, "ann")).await.unwrap();
    identity.own_principals(OTHER).create_user(user(OTHER, "ann")).await.unwrap();
    let key = identity.own_principals(ACCOUNT).create_access_key("ann").await.unwrap().key.id;
    let refused = identity.own_principals(OTHER).delete_access_key("ann", &key).await;
    assert!(matches!(refused, Err(IdentityError::NoSuch { kind: Kind::AccessKey, .. })), "{refused:?}");
    assert!(identity.own_principals(OTHER).access_keys("ann").await.unwrap().is_empty());
    assert_eq!(identity.own_principals(OTHER).users("/", None, 10).await.unwrap().items.len(), 1);
    identity.own_principals(ACCOUNT).create_account_alias("ours").await.unwrap();
    let taken = identity.own_principals(OTHER).create_account_alias("ours").await;
    assert!(matches!(taken, Err(IdentityError::Exists { kind: Kind::AccountAlias, .. })), "{taken:?}");
    identity.own_principals(ACCOUNT).create_account_alias("renamed").await.unwrap();
    identity.own_principals(OTHER).create_account_alias("ours").await.unwrap();
}

#[tokio::test]
async fn a_name_is_found_only_as_it_was_written() {
    let (identity, _, _) = nodes();
    identity.own_principals(ACCOUNT).create_user(user(ACCOUNT, "Ann")).await.unwrap();
    let taken = identity.own_principals(ACCOUNT).create_user(user(ACCOUNT, "ann")).await;
    assert!(matches!(taken, Err(IdentityError::Exists { .. })), "{taken:?}");
    let missing = identity.own_principals(ACCOUNT).user("ann").await;
    assert!(matches!(missing, Err(IdentityError::NoSuch { .. })), "{missing:?}");
}

#[tokio::test]
async fn who_has_another_name_keeps_the_rest() {
    let (identity, _, _) = nodes();
    let ann = identity.own_principals(ACCOUNT).create_user(user(ACCOUNT, "ann")).await.unwrap();
    for name in ["one", "two"] {
        identity.own_principals(ACCOUNT).create_group(group(name)).await.unwrap();
        identity.own_principals(ACCOUNT).add_user_to_group(name, "ann").await.unwrap();
    }
    let key = identity.own_principals(ACCOUNT).create_access_key("ann").await.unwrap().key.id;
    let new = |name| Rename { name: Some(name), path: Some("/x/") };
    identity.own_principals(ACCOUNT).update_user("ann", new("bea")).await.unwrap();
    identity.own_principals(ACCOUNT).update_group("one", new("uno")).await.unwrap();
    let groups = identity.own_principals(ACCOUNT).groups_of_user("bea").await.unwrap();
    assert_eq!(groups.iter().map(|group| group.name.as_str()).collect::<Vec<_>>(), ["two", "uno"]);
    let (uno, members) = identity.own_principals(ACCOUNT).group_with_members("uno", None, 10).await.unwrap();
    assert_eq!((uno.arn(), members.marker), ("arn:aws:iam::000000000000:group/x/uno".into(), None));
    assert_eq!(members.items.iter().map(|user| &user.id).collect::<Vec<_>>(), [&ann.id]);
    let caller = identity.credential(&key, None).await.unwrap().caller;
    assert_eq!(caller.arn, "arn:aws:iam::000000000000:user/x/bea");
    assert_eq!(identity.own_principals(ACCOUNT).users("/", None, 10).await.unwrap().items.len(), 1);
    assert_eq!(identity.own_principals(ACCOUNT).account_counts().await.unwrap().groups, 2);
}

#[tokio::test]
async fn what_decisions_depend_on_raises_the_revision() {
    let (identity, _, _) = nodes();
    let mut before = revision(&identity).await;
    let mut rose = async |what| {
        let after = revision(&identity).await;
        assert_ne!(after, before, "{what}");
        before = after;
    };
    identity.own_principals(ACCOUNT).create_user(user(ACCOUNT, "ann")).await.unwrap();
    rose("create").await;
    identity.own_principals(ACCOUNT).create_group(group("g")).await.unwrap();
    identity.own_principals(ACCOUNT).put_user_policy("ann", "p", POLICY).await.unwrap();
    rose("put_user_policy").await;
    identity.own_principals(ACCOUNT).put_group_policy("g", "p", POLICY).await.unwrap();
    rose("put_group_policy").await;
    identity.own_principals(ACCOUNT).add_user_to_group("g", "ann").await.unwrap();
    rose("add_user_to_group").await;
    identity.own_principals(ACCOUNT).tag_user("ann", &[("team".into(), "a".into())]).await.unwrap();
    rose("tag_user").await;
    identity.own_principals(ACCOUNT).remove_user_from_group("g", "ann").await.unwrap();
    rose("remove_user_from_group").await;
    identity.own_principals(ACCOUNT).delete_user_policy("ann", "p").await.unwrap();
    rose("delete_user_policy").await;
    identity.own_principals(ACCOUNT).delete_user("ann").await.unwrap();
    rose("delete_user").await;
}

#[tokio::test]
async fn a_use_is_written_down_once_in_a_quarter_of_an_hour() {
    let (here, there, hand) = nodes();
    here.own_principals(ACCOUNT).create_user(user(ACCOUNT, "ann")).await.unwrap();
    let id = &here.own_principals(ACCOUNT).create_access_key("ann").await.unwrap().key.id;
    assert_eq!(here.own_principals(ACCOUNT).last_use(id).await.unwrap(), None);
    let used = here.note_use(id, "s3", "us-east-1").unwrap();
    here.write_use(id, &used).await.unwrap();
    assert_eq!(there.own_principals(ACCOUNT).last_use(id).await.unwrap(), Some(used));
    hand.advance(Duration::from_secs(14 * 60));
    assert_eq!(here.note_use(id, "sts", "us-east-1"), None);
    hand.advance(Duration::from_secs(60));
    let later = here.note_use(id, "sts", "us-east-1").unwrap();
    here.write_use(id, &later).await.unwrap();
    assert_eq!(
        here.own_principals(ACCOUNT).last_use(id).await.unwrap().map(|used| used.service),
        Some("sts".into())
    );
    here.own_principals(ACCOUNT).delete_access_key("ann", id).await.unwrap();
    here.write_use(id, &later).await.unwrap();
    assert_eq!(
        here.own_principals(ACCOUNT).last_use(id).await.unwrap(),
        None,
        "a key that is gone leaves nothing behind"
    );
}

#[tokio::test]
async fn pages_are_full_but_for_the_last() {
    let (identity, _, _) = nodes();
    for number in 0..25 {
        let path = if number % 2 == 0 { "/even/" } else { "/" };
        let user = User { path: path.into(), ..user(ACCOUNT, &format!("user{number:02}")) };
        identity.own_principals(ACCOUNT).create_user(user).await.unwrap();
    }
    let (mut marker, mut sizes, mut names) = (None::<String>, Vec::new(), Vec::new());
    loop {
        let page = identity.own_principals(ACCOUNT).users("/even/", marker.as_deref(), 5).await.unwrap();
        sizes.push(page.items.len());
        names.extend(page.items.into_iter().map(|user| user.name));
        marker = page.marker;
        if marker.is_none() {
            break;
        }
    }
    assert_eq!(sizes, [5, 5, 3]);
    assert_eq!(names, (0..25).step_by(2).map(|number| format!("user{number:02}")).collect::<Vec<_>>());
}

#[tokio::test]
async fn there_are_as_many_as_there_may_be() {
    let (identity, _, _) = nodes();
    identity.own_principals(ACCOUNT).create_user(user(ACCOUNT, "ann")).await.unwrap();
    for number in 0..limits::GROUPS_MAX {
        identity.own_principals(ACCOUNT).create_group(group(&format!("g{number}"))).await.unwrap();
    }
    let over = identity.own_principals(ACCOUNT).create_group(group("more")).await;
    assert!(matches!(over, Err(IdentityError::Quota { quota: "GroupsPerAccount", max: 300 })), "{over:?}");
    identity.own_principals(ACCOUNT).delete_group("g0").await.unwrap();
    identity.own_principals(ACCOUNT).create_group(group("more")).await.unwrap();
    for number in 1..=limits::GROUPS_OF_USER_MAX {
        identity.own_principals(ACCOUNT).add_user_to_group(&format!("g{number}"), "ann").await.unwrap();
    }
    identity.own_principals(ACCOUNT).add_user_to_group("g1", "ann").await.unwrap();
    let over = identity.own_principals(ACCOUNT).add_user_to_group("more", "ann").await;
    assert!(matches!(over, Err(IdentityError::Quota { quota: "GroupsPerUser", max: 10 })), "{over:?}");
}
