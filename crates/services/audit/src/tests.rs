use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use lambent_base::{Clock, ManualClock, Random};
use lambent_identity::{Caller, Circumstances, Decision, Denial, PolicyKind, StatementRef, Witness};
use lambent_store::Db;
use serde_json::json;

use super::*;
use crate::keys::{self, Events};
use crate::sweep;

const ACCOUNT: &str = "000000000000";
const OTHER: &str = "111111111111";
const BUCKET: &str = "arn:aws:s3:::photos";

fn audit() -> (Audit, ManualClock) {
    let (clock, hand) = Clock::manual(1_795_282_400_000);
    let db = Db::memory(clock.clone(), Random::seeded(1));
    (Audit::new(db, clock, Random::seeded(2), ACCOUNT), hand)
}

fn at(request_id: &str, time_ms: i64) -> Circumstances {
    Circumstances {
        source_ip: Some(IpAddr::V4(Ipv4Addr::LOCALHOST)),
        user_agent: Some("boto3".into()),
        region: "us-east-1".into(),
        time_ms,
        request_id: request_id.into(),
        ..Circumstances::default()
    }
}

fn statement() -> StatementRef {
    StatementRef {
        kind: PolicyKind::Identity,
        policy: "keep".into(),
        sid: Some("NoDelete".into()),
        index: 1,
        is_allow: false,
    }
}

fn denial(action: &str, resource: &str) -> Denial {
    Denial {
        action: action.into(),
        resource: resource.into(),
        principal: "arn".into(),
        kind: PolicyKind::Identity,
        is_explicit: true,
        statements: vec![statement()],
        message: "no".into(),
    }
}

/// Tells a decision of root's on a resource that belongs to `owner`.
fn tell(audit: &Audit, at: &Circumstances, (action, resource): (&str, &str), owner: &str, allowed: bool) {
    let caller = Caller::root(ACCOUNT, "AKIAROOT");
    let no = denial(action, resource);
    let outcome = if allowed { Ok(&[][..]) } else { Err(&no) };
    audit.decided(&Decision { caller: &caller, at, action, resource, owner, outcome });
}

fn answered(audit: &Audit, request_id: &str, operation: &str, error: Option<(&str, &str)>) {
    let operation = Some(operation);
    audit.answered(&Answered { request_id, service: "s3", operation, error, is_answered: true });
}

async fn all(audit: &Audit, wanted: Wanted) -> Vec<Event> {
    let account = if wanted.account.is_empty() { ACCOUNT.to_owned() } else { wanted.account.clone() };
    let wanted = Wanted { account, ..wanted };
    let (mut events, mut before) = (Vec::new(), None);
    loop {
        let page = audit.events(&wanted, 1, before).await.unwrap();
        events.extend(page.events);
        let Some(next) = page.next else { return events };
        before = Some(next);
    }
}

#[tokio::test]
async fn a_request_is_one_event_with_all_that_was_decided() {
    let (audit, _) = audit();
    let request = at("r1", 1_795_282_400_000);
    tell(&audit, &request, ("s3:PutObject", "arn:aws:s3:::photos/a"), ACCOUNT, true);
    tell(&audit, &request, ("s3:GetObject", "arn:aws:s3:::other/a"), OTHER, false);
    assert!(all(&audit, Wanted::default()).await.is_empty(), "it is not answered yet");
    answered(&audit, "r1", "CopyObject", Some(("AccessDenied", "no")));
    answered(&audit, "r1", "CopyObject", None);
    answered(&audit, "nobody", "PutObject", None);

    let events = all(&audit, Wanted::default()).await;
    assert_eq!(events.len(), 1);
    let written = cloud_trail(&events[0]);
    assert_eq!(written["eventName"], "CopyObject");
    assert_eq!(written["eventSource"], "s3.amazonaws.com");
    assert_eq!(written["eventTime"], "2026-11-21T17:33:20Z");
    assert_eq!(written["errorCode"], "AccessDenied");
    assert_eq!(written["readOnly"], false);
    assert_eq!(written["sourceIPAddress"], "127.0.0.1");
    assert_eq!(written["userIdentity"]["type"], "Root");
    assert_eq!(written["userIdentity"]["accessKeyId"], "AKIAROOT");
    assert_eq!(written["resources"][1], json!({ "ARN": "arn:aws:s3:::other/a", "accountId": OTHER }));
    let no = &written["additionalEventData"]["decisions"][1];
    assert_eq!(no["denied_by"], "identity-based policy");
    assert_eq!(no["statements"][0]["sid"], "NoDelete");

    let theirs = all(&audit, Wanted { account: OTHER.into(), ..Wanted::default() }).await;
    assert_eq!(theirs[0].request_id, "r1", "whose resource it was about sees it, too");
    assert_eq!(theirs[0].decisions.len(), 1, "but not what else was decided");
    assert!(theirs[0].decisions[0].statements.is_empty(), "nor the caller's policies");
    assert_eq!(theirs[0].who.access_key_id, "");
}

#[tokio::test]
async fn what_the_platform_does_by_itself_is_answered_at_once() {
    let (audit, _) = audit();
    let (caller, at) = (Caller::service("s3.amazonaws.com"), Circumstances::default());
    let (action, resource) = ("lambda:InvokeFunction", "arn:aws:lambda:us-east-1:000000000000:function:f");
    let outcome = Ok(&[][..]);
    audit.decided(&Decision { caller: &caller, at: &at, action, resource, owner: ACCOUNT, outcome });
    let events = all(&audit, Wanted::default()).await;
    let written = cloud_trail(&events[0]);
    assert_eq!(written["userIdentity"], json!({ "type": "AWSService", "invokedBy": "s3.amazonaws.com" }));
    assert_eq!(written["eventType"], "AwsServiceEvent");
}

#[tokio::test]
async fn events_are_found_by_what_they_are() {
    let (audit, _) = audit();
    for number in 0..500_i64 {
        let id = format!("r{number}");
        let resource = format!("{BUCKET}/{number}");
        let action = if number % 2 == 0 { "s3:GetObject" } else { "s3:PutObject" };
        tell(&audit, &at(&id, 1_795_282_400_000 + number), (action, &resource), ACCOUNT, number % 100 != 7);
        answered(&audit, &id, "GetObject", None);
        if number % 50 == 0 {
            audit.flush().await.unwrap();
        }
    }
    let count = async |wanted| all(&audit, wanted).await.len();
    assert_eq!(count(Wanted::default()).await, 500);
    assert_eq!(count(Wanted { is_denied: true, ..Wanted::default() }).await, 5);
    assert_eq!(count(Wanted { request_id: Some("r77".into()), ..Wanted::default() }).await, 1);
    assert_eq!(count(Wanted { action: Some("s3:PutObject".into()), ..Wanted::default() }).await, 250);
    assert_eq!(count(Wanted { action: Some("s3:*".into()), ..Wanted::default() }).await, 500);
    assert_eq!(count(Wanted { action: Some("lambda:".into()), ..Wanted::default() }).await, 0);
    assert_eq!(count(Wanted { since_ms: Some(1_795_282_400_490), ..Wanted::default() }).await, 10);
    let root = Some("arn:aws:iam::000000000000:root".to_owned());
    assert_eq!(count(Wanted { principal: root, ..Wanted::default() }).await, 500);
    assert_eq!(count(Wanted { principal: Some("other".into()), ..Wanted::default() }).await, 0);
    let newest =
        &audit.events(&Wanted { account: ACCOUNT.into(), ..Wanted::default() }, 1, None).await.unwrap();
    assert_eq!(newest.events[0].request_id, "r499");
}

#[tokio::test]
async fn requests_without_an_answer_are_written_when_it_is_late_or_over() {
    let (audit, _) = audit();
    tell(&audit, &at("gone", 1_795_282_400_000), ("s3:GetObject", BUCKET), ACCOUNT, true);
    audit.close().await.unwrap();
    let events = all(&audit, Wanted::default()).await;
    assert!(!events[0].is_answered);
    assert_eq!(events[0].operation, "GetObject", "the action stands for it");
}

#[tokio::test]
async fn a_request_whose_client_went_away_is_written_at_once() {
    let (audit, _) = audit();
    tell(&audit, &at("gone", 1_795_282_400_000), ("s3:GetObject", BUCKET), ACCOUNT, false);
    let operation = Some("HeadObject");
    audit.answered(&Answered {
        request_id: "gone",
        service: "s3",
        operation,
        error: None,
        is_answered: false,
    });
    let events = all(&audit, Wanted::default()).await;
    assert_eq!((events.len(), events[0].is_answered), (1, false));
    assert_eq!(events[0].operation, "HeadObject");
    assert!(events[0].is_denied());
}

#[tokio::test]
async fn old_events_go() {
    let (audit, hand) = audit();
    tell(&audit, &at("old", 1_795_282_400_000), ("s3:GetObject", BUCKET), ACCOUNT, false);
    answered(&audit, "old", "GetObject", None);
    audit.flush().await.unwrap();
    hand.advance(Duration::from_secs(91 * 86_400));
    let later = 1_795_282_400_000 + 91 * 86_400_000;
    tell(&audit, &at("new", later), ("s3:GetObject", BUCKET), ACCOUNT, false);
    answered(&audit, "new", "GetObject", None);
    for is_denied in [false, true] {
        let events = all(&audit, Wanted { is_denied, ..Wanted::default() }).await;
        assert_eq!(events.iter().map(|event| event.request_id.as_str()).collect::<Vec<_>>(), ["new"]);
    }
}

#[tokio::test]
async fn the_oldest_events_go_where_there_are_too_many() {
    let (audit, hand) = audit();
    let db = &audit.0.db;
    let bytes = async |of, account| {
        let key = &keys::bytes(of, account);
        let row = db.read(|txn| async move { txn.get_snapshot(key).await }).await.unwrap();
        i64::from_le_bytes(lambent_store::engine::read_counter(row.as_deref()).unwrap())
    };
    for number in 0..100 {
        let request = format!("r{number}");
        let at = at(&request, 1_795_282_400_000 + number);
        tell(&audit, &at, ("s3:GetObject", BUCKET), ACCOUNT, number % 2 == 0);
        tell(&audit, &at, ("s3:GetObject", BUCKET), OTHER, true);
        answered(&audit, &request, "GetObject", None);
        audit.flush().await.unwrap();
    }
    let (all_bytes, others) = (bytes(Events::All, ACCOUNT).await, bytes(Events::Foreign, OTHER).await);
    sweep::down_to(db, Events::All, ACCOUNT, all_bytes).await.unwrap();
    assert_eq!(all(&audit, Wanted::default()).await.len(), 100, "they are not too many");
    sweep::down_to(db, Events::All, ACCOUNT, all_bytes / 4).await.unwrap();
    let left = all(&audit, Wanted::default()).await;
    assert!((20..=25).contains(&left.len()), "{}", left.len());
    assert_eq!(left[0].request_id, "r99", "the youngest stay");
    assert!(bytes(Events::All, ACCOUNT).await <= all_bytes / 4);
    assert_eq!(bytes(Events::Foreign, OTHER).await, others, "one account's are no other's");
    let denied = all(&audit, Wanted { is_denied: true, ..Wanted::default() }).await;
    assert_eq!(denied.len(), 50, "what was denied is counted apart");
    hand.advance(Duration::from_secs(91 * 86_400));
    sweep::old_events(db, 1_795_282_400_000 + 91 * 86_400_000).await.unwrap();
    for of in Events::EACH {
        assert_eq!((bytes(of, ACCOUNT).await, bytes(of, OTHER).await), (0, 0), "{of:?}");
    }
}

#[tokio::test]
async fn a_large_request_keeps_its_denials() {
    let (audit, _) = audit();
    let request = at("large", 1_795_282_400_000);
    for number in 0..1_000 {
        let resource = format!("{BUCKET}/{number}/{}", "x".repeat(200));
        tell(&audit, &request, ("s3:DeleteObject", &resource), ACCOUNT, number != 999);
    }
    answered(&audit, "large", "DeleteObjects", None);
    let events = all(&audit, Wanted::default()).await;
    assert!(!events[0].decisions.is_empty());
    assert_eq!(events[0].decisions.len() + events[0].omitted as usize, 1_000);
    assert!(events[0].is_denied(), "there is room for a no");
}

#[tokio::test]
async fn a_long_request_hides_no_younger_one() {
    let (audit, _) = audit();
    let (start, minute) = (1_795_282_400_000, 60_000);
    tell(&audit, &at("long", start), ("lambda:InvokeFunction", "f"), ACCOUNT, true);
    tell(&audit, &at("old", start + minute), ("s3:GetObject", BUCKET), ACCOUNT, true);
    answered(&audit, "old", "GetObject", None);
    audit.flush().await.unwrap();
    tell(&audit, &at("young", start + 9 * minute), ("s3:GetObject", BUCKET), ACCOUNT, true);
    answered(&audit, "long", "Invoke", None);
    answered(&audit, "young", "GetObject", None);
    let found = all(&audit, Wanted { since_ms: Some(start + 5 * minute), ..Wanted::default() }).await;
    assert_eq!(found.iter().map(|event| event.request_id.as_str()).collect::<Vec<_>>(), ["young"]);
}

#[tokio::test]
async fn strangers_do_not_fill_the_log() {
    let (audit, _) = audit();
    let (caller, no) = (Caller::anonymous(), denial("s3:GetObject", BUCKET));
    for number in 0..1_000 {
        let id = format!("r{number}");
        let at = at(&id, 1_795_282_400_000);
        let (action, resource, owner) = ("s3:GetObject", BUCKET, ACCOUNT);
        audit.decided(&Decision { caller: &caller, at: &at, action, resource, owner, outcome: Err(&no) });
        answered(&audit, &id, "GetObject", Some(("AccessDenied", "no")));
    }
    assert_eq!(all(&audit, Wanted::default()).await.len(), 100);
}

#[tokio::test]
async fn what_strangers_are_allowed_does_not_fill_the_log_either() {
    let (audit, _) = audit();
    let caller = Caller::anonymous();
    for number in 0..1_000 {
        let id = format!("r{number}");
        let at = at(&id, 1_795_282_400_000);
        let (action, resource, owner) = ("s3:GetObject", BUCKET, ACCOUNT);
        audit.decided(&Decision { caller: &caller, at: &at, action, resource, owner, outcome: Ok(&[]) });
        answered(&audit, &id, "GetObject", None);
    }
    assert_eq!(all(&audit, Wanted::default()).await.len(), 100);
}

#[tokio::test]
async fn what_others_do_pushes_out_nothing_of_an_accounts_own() {
    let (audit, _) = audit();
    for number in 0..40 {
        let request = format!("r{number}");
        let at = at(&request, 1_795_282_400_000 + number);
        let caller = Caller::root(if number < 10 { OTHER } else { ACCOUNT }, "AKIAROOT");
        let (action, resource, owner) = ("s3:GetObject", BUCKET, OTHER);
        audit.decided(&Decision { caller: &caller, at: &at, action, resource, owner, outcome: Ok(&[]) });
        answered(&audit, &request, "GetObject", None);
        audit.flush().await.unwrap();
    }
    let theirs = || Wanted { account: OTHER.into(), ..Wanted::default() };
    let ids = async || -> Vec<String> {
        all(&audit, theirs()).await.into_iter().map(|event| event.request_id).collect()
    };
    let expected: Vec<String> = (0..40).rev().map(|number| format!("r{number}")).collect();
    assert_eq!(ids().await, expected, "they are read together, the newest first");
    sweep::down_to(&audit.0.db, Events::Foreign, OTHER, 0).await.unwrap();
    assert_eq!(ids().await, expected[30..], "the oldest of all, which are the account's own, stay");
}

#[tokio::test]
async fn chunks_that_were_never_counted_or_cannot_be_read_stop_nothing() {
    let (audit, _) = audit();
    let db = &audit.0.db;
    let (counter, strange) = (&keys::bytes(Events::All, ACCOUNT), keys::chunks(Events::All, ACCOUNT));
    let strange = &strange.i64(i64::MIN).into_bytes();
    let write = db.run(|txn| async move {
        for number in 0..60 {
            txn.put(&[strange, &[number][..]].concat(), b"?");
            let key = keys::chunk(Events::All, ACCOUNT, 1_795_282_000_000 + i64::from(number), 1);
            txn.put(&key.into_bytes(), b"[]");
        }
        Ok::<_, lambent_store::StoreError>(())
    });
    write.await.unwrap();
    let bytes = async || {
        let row = db.read(|txn| async move { txn.get_snapshot(counter).await }).await.unwrap();
        i64::from_le_bytes(lambent_store::engine::read_counter(row.as_deref()).unwrap())
    };
    sweep::count_first(db, Events::All, ACCOUNT).await.unwrap();
    sweep::count_first(db, Events::All, ACCOUNT).await.unwrap();
    assert_eq!(bytes().await, 120, "once");
    sweep::down_to(db, Events::All, ACCOUNT, 20).await.unwrap();
    assert_eq!(bytes().await, 20);
    sweep::old_events(db, i64::MAX).await.unwrap();
    assert_eq!(bytes().await, 0);
}

#[test]
fn whoever_floods_the_queue_loses_events_and_nobody_else() {
    let mut queue = crate::queue::Queue::default();
    let (at, outcome) = (at("r", 1), Ok(&[][..]));
    for account in [OTHER, ACCOUNT, ACCOUNT, ACCOUNT] {
        let caller = Caller::root(account, "AKIAROOT");
        let (action, resource) = ("s3:GetObject", BUCKET);
        let decision = Decision { caller: &caller, at: &at, action, resource, owner: OTHER, outcome };
        queue.push(Event::begin("id".into(), 1, &decision));
    }
    queue.drop_of_fullest();
    queue.drop_of_fullest();
    assert_eq!(queue.count, 2);
    let bytes = queue.bytes;
    let left = queue.into_events();
    assert_eq!(left.iter().map(Event::bytes).sum::<usize>(), bytes);
    assert!(left.iter().any(|event| event.who.account == OTHER));
}

#[tokio::test]
async fn the_least_policy_names_what_was_used() {
    let (audit, _) = audit();
    for number in 0..7 {
        let id = format!("r{number}");
        let request = at(&id, 1_795_282_400_000);
        tell(&audit, &request, ("s3:GetObject", &format!("{BUCKET}/in/{number}")), ACCOUNT, true);
        answered(&audit, &id, "GetObject", None);
    }
    for (id, action, resource) in [
        ("a", "s3:ListBucket", BUCKET),
        ("b", "s3:ListAllMyBuckets", "*"),
        ("c", "s3:PutObject", "arn:aws:s3:::photos/what?*"),
    ] {
        tell(&audit, &at(id, 1_795_282_400_000), (action, resource), ACCOUNT, false);
        answered(&audit, id, "X", None);
    }
    let suggestion = suggest(&all(&audit, Wanted::default()).await);
    assert_eq!(suggestion.events, 10);
    let statement = |actions: &[&str], resources: &[&str]| json!({ "Effect": "Allow", "Action": actions, "Resource": resources });
    let expected = json!([
        statement(&["s3:ListAllMyBuckets"], &["*"]),
        statement(&["s3:ListBucket"], &[BUCKET]),
        statement(&["s3:GetObject"], &["arn:aws:s3:::photos/in/*"]),
        statement(&["s3:PutObject"], &["arn:aws:s3:::photos/what${?}${*}"]),
    ]);
    assert_eq!(suggestion.policy()["Statement"], expected);
}
