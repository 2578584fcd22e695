use std::sync::Arc;

use lambent_base::BoxFuture;

use super::*;
use crate::function::{Credentials, CredentialsSource};

struct Nobody;

impl CredentialsSource for Nobody {
    fn credentials(&self) -> BoxFuture<'_, Result<Credentials, String>> {
        Box::pin(async { Err("there are none".to_owned()) })
    }
}

pub(crate) fn function() -> FunctionSpec {
    FunctionSpec {
        key: FunctionKey {
            account: "000000000000".to_owned(),
            region: "us-east-1".to_owned(),
            name: "one".to_owned(),
            version: "$LATEST".to_owned(),
            revision: "1".to_owned(),
        },
        runtime: "python3.11".to_owned(),
        handler: "app.handler".to_owned(),
        memory_mib: 128,
        timeout_ms: 3_000,
        ephemeral_mib: 512,
        environment: Vec::new(),
        code_dir: "/nowhere".into(),
        opt_dir: None,
        image: None,
        log_group: "/aws/lambda/one".to_owned(),
        logging: crate::function::Logging::default(),
        tracing_active: false,
        extensions: Vec::new(),
        code_cache: None,
        snap_start: false,
        reserved_concurrency: None,
        credentials: Arc::new(Nobody),
    }
}

fn bounded(environments: usize, starting: usize, waiting: usize) -> Leases {
    Leases::new(Bounds { environments, scaling: 1_000, starting, parallel: 1, waiting })
}

#[test]
fn who_gave_up_waiting_leaves_the_queue() {
    let (mut leases, function) = (bounded(1, 2, 1), function());
    let (first, held, _) = leases.acquire(&function, None, true, Duration::ZERO);
    assert!(matches!(first, Answer::Granted(Grant::Room)));
    for _ in 0..3 {
        let (Answer::Wait(wait), ..) = leases.acquire(&function, None, true, Duration::ZERO) else {
            panic!("the only place in the queue is free");
        };
        assert_eq!(leases.stats().waiting, 1);
        assert_eq!(leases.load().starting, 2, "one starts, one waits until it may");
        drop(wait);
        assert_eq!((leases.stats().waiting, leases.load().starting), (0, 1));
    }
    let (Answer::Wait(mut wait), ..) = leases.acquire(&function, None, true, Duration::ZERO) else {
        panic!("it is still free")
    };
    assert!(
        matches!(leases.acquire(&function, None, true, Duration::ZERO).0, Answer::Throttled(_)),
        "now it is not"
    );
    assert!(leases.end_start().is_empty());
    assert!(leases.release(&held, Left::Nothing, None).is_empty());
    assert!(matches!(wait.try_recv(), Ok(Grant::Room)));
}

#[test]
fn no_more_start_at_once_than_may() {
    let (mut leases, function) = (bounded(10, 2, 10), function());
    let first: Vec<_> = (0..2).map(|_| leases.acquire(&function, None, true, Duration::ZERO)).collect();
    assert!(first.iter().all(|(answer, ..)| matches!(answer, Answer::Granted(Grant::Room))));
    let mut wait = || match leases.acquire(&function, None, true, Duration::ZERO).0 {
        Answer::Wait(wait) => wait,
        _ => panic!("two start already"),
    };
    let (mut third, mut fourth) = (wait(), wait());
    assert!(leases.end_start().is_empty());
    assert!(matches!(third.try_recv(), Ok(Grant::Room)));
    assert!(fourth.try_recv().is_err(), "two start again");
    // One that failed gives back its turn as well as its room.
    assert!(leases.end_start().is_empty());
    assert!(leases.release(&first[0].1, Left::Nothing, None).is_empty());
    assert!(matches!(fourth.try_recv(), Ok(Grant::Room)));
    assert_eq!(leases.stats(), PoolStats { idle: 0, busy: 3, waiting: 0 });
}

fn with(version: &str, reserved: Option<u32>) -> FunctionSpec {
    let mut spec = function();
    version.clone_into(&mut spec.key.version);
    spec.reserved_concurrency = reserved;
    spec
}

fn throttle(answer: Answer) -> Option<ThrottleReason> {
    match answer {
        Answer::Throttled(reason) => Some(reason),
        _ => None,
    }
}

#[test]
fn a_reservation_is_of_all_versions_and_provisioned_environments_take_their_part() {
    const RESERVED: ThrottleReason = ThrottleReason::ReservedFunctionConcurrentInvocationLimitExceeded;
    let mut leases = bounded(10, 10, 10);
    let call = |leases: &mut Leases, version: &str| {
        throttle(leases.acquire(&with(version, Some(3)), None, true, Duration::ZERO).0)
    };
    assert_eq!(call(&mut leases, "1"), None);
    let provisioned = vec![(Arc::new(with("1", Some(3))), 1)];
    assert!(leases.provision("000000000000", "us-east-1", "one", provisioned).is_empty());
    assert_eq!(call(&mut leases, "$LATEST"), None);
    assert_eq!(call(&mut leases, "1"), Some(RESERVED), "the third is kept for what is provisioned");
    assert!(leases.provision("000000000000", "us-east-1", "one", Vec::new()).is_empty());
    assert_eq!(call(&mut leases, "2"), None);
    assert_eq!(call(&mut leases, "2"), Some(RESERVED));
    let zero = leases.acquire(&with("3", Some(0)), None, true, Duration::ZERO).0;
    assert_eq!(throttle(zero), Some(RESERVED));
}

#[test]
fn functions_without_a_reservation_share_what_is_left() {
    let mut leases = bounded(10, 10, 10);
    leases.limit_unreserved("000000000000", "us-east-1", 2);
    let named = |name: &str, reserved| {
        let mut spec = with("$LATEST", reserved);
        name.clone_into(&mut spec.key.name);
        spec
    };
    let mut call =
        |name, reserved| throttle(leases.acquire(&named(name, reserved), None, true, Duration::ZERO).0);
    assert_eq!(call("reserved", Some(5)), None);
    assert_eq!((call("a", None), call("b", None)), (None, None));
    for name in ["a", "b", "c"] {
        assert_eq!(call(name, None), Some(ThrottleReason::ConcurrentInvocationLimitExceeded));
    }
    assert_eq!(call("reserved", Some(5)), None);
}

#[test]
fn calls_that_run_elsewhere_have_their_part_of_what_is_shared() {
    let (account, region) = ("000000000000", "us-east-1");
    let mut leases = bounded(10, 10, 10);
    assert!(leases.begin_elsewhere(account, region), "nobody said how much that is");
    leases.limit_unreserved(account, region, 2);
    let call = |leases: &mut Leases| throttle(leases.acquire(&with("1", None), None, true, Duration::ZERO).0);
    assert_eq!(call(&mut leases), None);
    assert_eq!(call(&mut leases), Some(ThrottleReason::ConcurrentInvocationLimitExceeded));
    assert!(!leases.begin_elsewhere(account, region));
    assert!(leases.begin_elsewhere(account, "eu-west-1"));
    leases.end_elsewhere(account, region);
    assert_eq!(call(&mut leases), None);
    assert!(!leases.begin_elsewhere(account, region));
}

#[test]
fn a_call_that_waits_while_its_version_is_retired_keeps_nothing() {
    let mut leases = bounded(1, 2, 1);
    let mut other = function();
    "other".clone_into(&mut other.key.name);
    let first = leases.acquire(&other, None, true, Duration::ZERO).0;
    assert!(matches!(first, Answer::Granted(Grant::Room)));
    let spec = with("1", None);
    let (Answer::Wait(_wait), held, _) = leases.acquire(&spec, None, true, Duration::ZERO) else {
        panic!("the only room is taken");
    };
    leases.retire_version("000000000000", "us-east-1", "one", "1");
    let fleet = leases.functions.get(&held.name).unwrap();
    assert_ne!(fleet.generation("1"), held.generation);
}

#[test]
fn what_is_to_be_provisioned_is_started_once_and_again_when_it_failed() {
    let mut leases = bounded(10, 10, 10);
    let spec = Arc::new(with("1", None));
    leases.provision("000000000000", "us-east-1", "one", vec![(spec.clone(), 2)]);
    let age = Duration::from_secs(100);
    assert_eq!(leases.plan_provisioned(Duration::ZERO, age).start.len(), 2);
    assert!(leases.plan_provisioned(Duration::ZERO, age).start.is_empty());
    let told = |leases: &Leases| leases.provisioned("000000000000", "us-east-1", "one", "1").unwrap();
    assert_eq!((told(&leases).wanted, told(&leases).allocated), (2, 0));
    for _ in 0..2 {
        let failed = Err(ProvisionFailure::Function);
        assert!(leases.put_provisioned(&spec.key, failed, Duration::ZERO).is_empty());
    }
    assert_eq!(told(&leases).failure, Some(ProvisionFailure::Function));
    assert!(leases.plan_provisioned(Duration::from_secs(1), age).start.is_empty());
    assert_eq!(leases.plan_provisioned(Duration::from_secs(9), age).start.len(), 1);
    // The turns to start are given back apart from the room.
    assert_eq!(leases.load().living, 1);
}
