//! What a decision costs for a principal with many policies; `cargo xtask bench --only policy` builds it, runs it and makes a
//! table.
//!
//! `policy_bench FOLDER SECONDS` measures each kind of request for so long, with the store in memory and below the folder.
//! Time is the thread's CPU time, so that others on the machine count less. It prints rows as `store_bench` does.
#![expect(clippy::unwrap_used, reason = "a measurement that fails may panic")]

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use lambent_base::{Clock, Random};
use lambent_identity::{
    Caller, CallerKind, Circumstances, Identity, MasterKey, NewPolicy, PrincipalKind, Role, RootKey, Wanted,
};
use lambent_store::{Db, FjallEngine, FjallOptions};
use rustix::time::{ClockId, clock_gettime};

const ACCOUNT: &str = "000000000000";
const POLICIES: usize = 10;
const STATEMENTS: usize = 20;
/// Decisions between two looks at the clock.
const ROUND: u32 = 1_000;
const TARGET: &str = "5 us of CPU";

/// A shape of statements, and a request that the last of them decides.
struct Shape {
    what: &'static str,
    /// Members of statement `{n}`, of two hundred.
    statement: &'static str,
    action: &'static str,
    resource: &'static str,
    is_allowed: bool,
}

const SHAPES: [Shape; 5] = [
    Shape {
        what: "each statement names the action",
        statement: r#""Effect":"Allow","Action":["s3:GetObject","s3:PutObject"],"Resource":"arn:aws:s3:::bucket-{n}/*""#,
        action: "s3:GetObject",
        resource: "arn:aws:s3:::bucket-199/photos/a.jpg",
        is_allowed: true,
    },
    Shape {
        what: "each statement has a pattern of the action and of the resource",
        statement: r#""Effect":"Allow","Action":["s3:List*","s3:Get*"],"Resource":"arn:aws:s3:::bucket-{n}*/*/a.*""#,
        action: "s3:GetObject",
        resource: "arn:aws:s3:::bucket-199/photos/a.jpg",
        is_allowed: true,
    },
    Shape {
        what: "each statement has a condition",
        statement: r#""Effect":"Allow","Action":"s3:GetObject","Resource":"arn:aws:s3:::bucket/*",
            "Condition":{"StringLike":{"s3:prefix":"home-{n}/*"}}"#,
        action: "s3:GetObject",
        resource: "arn:aws:s3:::bucket/photos/a.jpg",
        is_allowed: true,
    },
    Shape {
        what: "each statement is of another service's actions",
        statement: r#""Effect":"Allow","Action":["dynamodb:*","sqs:SendMessage","logs:Put*"],"Resource":"*""#,
        action: "s3:GetObject",
        resource: "arn:aws:s3:::bucket/photos/a.jpg",
        is_allowed: false,
    },
    Shape {
        what: "each statement denies something else",
        statement: r#""Effect":"Deny","NotAction":"s3:GetObject","Resource":"arn:aws:s3:::bucket-{n}/*""#,
        action: "s3:GetObject",
        resource: "arn:aws:s3:::bucket/photos/a.jpg",
        is_allowed: false,
    },
];

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let mut arguments = std::env::args().skip(1);
    let (Some(folder), Some(seconds)) = (arguments.next(), arguments.next()) else {
        eprintln!("usage: policy_bench FOLDER SECONDS");
        std::process::exit(2);
    };
    let time = Duration::from_secs_f64(seconds.parse().unwrap());
    let clock = Clock::system();
    let data = tempfile::tempdir_in(Path::new(&folder)).unwrap();
    let engine = FjallEngine::open(data.path(), FjallOptions::default(), clock.clone()).unwrap();
    for (name, db) in [
        ("memory", Db::memory(clock.clone(), Random::system())),
        ("fjall", Db::new(Arc::new(engine), clock.clone(), Random::system())),
    ] {
        let root = RootKey {
            account: ACCOUNT.to_owned(),
            access_key_id: "AKIABENCH".to_owned(),
            secret_access_key: "s".to_owned(),
        };
        let identity =
            Identity::new(db.clone(), clock.clone(), Random::system(), root, MasterKey::new([1; 32]));
        for (index, shape) in SHAPES.iter().enumerate() {
            let caller = prepare(&identity, &format!("role{index}"), shape).await;
            measure(&identity, &caller, shape, name, time).await;
        }
        db.close().await;
    }
}

/// A role with the policies of a shape.
async fn prepare(identity: &Identity, name: &str, shape: &Shape) -> Caller {
    let role = Role {
        account: ACCOUNT.to_owned(),
        name: name.to_owned(),
        path: "/".to_owned(),
        trust_policy: r#"{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"sts:AssumeRole","Principal":{"AWS":"000000000000"}}}"#.to_owned(),
        max_session_seconds: 3600,
        ..Role::default()
    };
    let root = identity.root_caller();
    let wanted = Wanted::new("iam:CreateRole", role.arn()).of_a_new_thing();
    let leave = identity.authorize(&root, &Circumstances::default(), wanted).await.unwrap();
    let principals = identity.principals(&leave);
    let role_arn = principals.create_role(role).await.unwrap().arn();
    for policy in 0..POLICIES {
        let statement = |at: usize| {
            let number = policy * STATEMENTS + at;
            format!("{{{}}}", shape.statement.replace("{n}", &number.to_string()))
        };
        let statements: Vec<String> = (0..STATEMENTS).map(statement).collect();
        let document = format!(r#"{{"Version":"2012-10-17","Statement":[{}]}}"#, statements.join(","));
        let policy_name = format!("{name}-{policy}");
        let new =
            NewPolicy { name: &policy_name, path: "/", description: None, document: &document, tags: &[] };
        let arn = principals.create_policy(new).await.unwrap().arn();
        principals.attach_policy(principals.named(PrincipalKind::Role, name), &arn).await.unwrap();
    }
    Caller {
        account: ACCOUNT.to_owned(),
        arn: format!("arn:aws:sts::{ACCOUNT}:assumed-role/{name}/me"),
        user_id: "AROABENCH:me".to_owned(),
        access_key_id: "ASIABENCH".to_owned(),
        kind: CallerKind::RoleSession {
            role_name: name.to_owned(),
            role_arn,
            session_policies: Arc::new([]),
            session_tags: Vec::new(),
            transitive_tag_keys: Vec::new(),
            source_identity: None,
            federated: None,
        },
        session: None,
    }
}

/// Decides again and again, and prints what one decision took.
async fn measure(identity: &Identity, caller: &Caller, shape: &Shape, engine: &str, time: Duration) {
    let at = Circumstances { region: "us-east-1".to_owned(), ..Circumstances::default() };
    let decide = || {
        let wanted = Wanted::new(shape.action, shape.resource).with("s3:prefix", "home-199/x");
        identity.authorize(caller, &at, wanted)
    };
    // The first decision reads and compiles the policies.
    assert_eq!(decide().await.is_ok(), shape.is_allowed, "{}", shape.what);
    let (mut rounds, start) = (0, cpu());
    while cpu() - start < time {
        for _ in 0..ROUND {
            assert_eq!(decide().await.is_ok(), shape.is_allowed);
        }
        rounds += 1;
    }
    let us = (cpu() - start).as_secs_f64() * 1e6 / f64::from(rounds * ROUND);
    println!(
        "{{\"what\":\"decision, {POLICIES} policies of {STATEMENTS} statements ({engine}): {}\",\"clients\":1,\
         \"p50_us\":null,\"p99_us\":null,\"per_second\":{:.0},\"cpu_us\":{us:.2},\"figure\":\"\",\
         \"target\":\"{TARGET}\"}}",
        shape.what,
        1e6 / us,
    );
}

/// CPU time of this thread.
fn cpu() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap())
}
