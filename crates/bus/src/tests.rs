//! The outbox on the memory engine, with time moved by hand.

mod checks;
mod follows;
mod lost_answers;
mod nodes;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use lambent_base::{Arn, BoxFuture, Clock, ManualClock, Random};
use lambent_store::{Db, Faults, MemoryEngine};
use parking_lot::Mutex;
use tokio::sync::mpsc;

use crate::ports::{Caller, Invocation, InvokeError, InvokeFunction, Invoked, KeepRuns, PortError};
use crate::room::{KEPT_FOR_OTHERS, MAX_IN_FLIGHT};
use crate::{
    Backlog, BusError, DESTINATION, Deliver, DeliverToFunctions, Delivery, Event, FUNCTION,
    MAX_HANDED_ON_BYTES, MAX_PAYLOAD_BYTES, NewEvent, Nodes, Outbox, RetryPolicy, Workers,
};

const NOW_MS: i64 = 1_790_000_000_000;

/// Answers each event as the test says, and tells the test about it.
struct Target {
    seen: mpsc::UnboundedSender<Event>,
    answer: Mutex<Box<Answer>>,
}

type Answer = dyn FnMut(&Event) -> Option<Delivery> + Send;

impl Deliver for Target {
    fn deliver<'a>(&'a self, event: &'a Event) -> BoxFuture<'a, Delivery> {
        Box::pin(async {
            let answer = (self.answer.lock())(event);
            let _ = self.seen.send(event.clone());
            match answer {
                Some(delivery) => delivery,
                None => std::future::pending().await,
            }
        })
    }
}

struct Fixture {
    outbox: Outbox,
    hand: ManualClock,
}

fn fixture_with(faults: Faults) -> Fixture {
    let (clock, hand) = Clock::manual(NOW_MS);
    let engine = Arc::new(MemoryEngine::with_faults(5, faults));
    let db = Db::new(engine, clock.clone(), Random::seeded(6));
    Fixture { outbox: Outbox::new(db, clock, Random::seeded(7)), hand }
}

fn fixture() -> Fixture {
    fixture_with(Faults::default())
}

impl Fixture {
    /// Starts workers with a target that answers as told; `None` never ends.
    async fn start(
        &self,
        answer: impl FnMut(&Event) -> Option<Delivery> + Send + 'static,
    ) -> (Workers, mpsc::UnboundedReceiver<Event>) {
        let (seen, events) = mpsc::unbounded_channel();
        let target: Arc<dyn Deliver> = Arc::new(Target { seen, answer: Mutex::new(Box::new(answer)) });
        (self.deliver_to(target).await, events)
    }

    /// Starts workers as a process does that has just joined.
    async fn deliver_to(&self, target: Arc<dyn Deliver>) -> Workers {
        let nodes = Nodes::join(self.outbox.db.clone(), Random::system()).await.unwrap();
        let deliverers = [FUNCTION, DESTINATION].map(|kind| (kind.to_owned(), target.clone()));
        self.outbox.start(&nodes, HashMap::from(deliverers)).await.unwrap()
    }

    async fn put(&self, event: NewEvent) -> String {
        let (outbox, event) = (&self.outbox, &event);
        outbox.db.run(|txn| async move { outbox.put(&txn, event.clone()).await }).await.unwrap()
    }

    /// Moves time and waits until the workers have looked.
    async fn advance(&self, by: Duration) {
        self.hand.advance(by);
        self.outbox.wake().await.unwrap();
    }

    /// Waits until nothing is to be delivered now.
    async fn settled(&self) -> Backlog {
        loop {
            let backlog = self.outbox.backlog().await.unwrap();
            if backlog.ready == 0 {
                return backlog;
            }
            tokio::task::yield_now().await;
        }
    }
}

fn function() -> Arn {
    "arn:aws:lambda:us-east-1:000000000000:function:thumbnail".parse().unwrap()
}

fn numbered(number: u32) -> Arn {
    format!("arn:aws:lambda:us-east-1:000000000000:function:number-{number}").parse().unwrap()
}

fn event(payload: &[u8]) -> NewEvent {
    let bucket = Caller::Service {
        principal: "s3.amazonaws.com".to_owned(),
        source: "arn:aws:s3:::photos".parse().unwrap(),
        source_account: "000000000000".to_owned(),
    };
    NewEvent::for_function(function(), bucket, Bytes::copy_from_slice(payload))
}

#[tokio::test]
async fn committed_events_are_delivered_once_and_removed() {
    let fixture = fixture();
    let (workers, mut events) = fixture.start(|_| Some(Delivery::Done)).await;
    let (long, longest) = (vec![7; MAX_PAYLOAD_BYTES], vec![7; MAX_HANDED_ON_BYTES]);
    for payload in [&b"{}"[..], b"", &long, &longest] {
        let kind = if payload.len() > MAX_PAYLOAD_BYTES { DESTINATION } else { FUNCTION };
        let request_id = fixture.put(NewEvent { kind: kind.to_owned(), ..event(payload) }).await;
        let delivered = events.recv().await.unwrap();
        assert_eq!(delivered.request_id, request_id);
        assert!(delivered.payload == payload);
        assert_eq!(delivered.caller, event(b"").caller);
        assert_eq!((delivered.created_ms, delivered.failures), (NOW_MS, 0));
    }
    assert_eq!(fixture.settled().await, Backlog::default());
    workers.shutdown().await;
    assert!(events.try_recv().is_err());
    // The body of the long one is gone too.
    let all = lambent_store::KeyRange::new(&b"bus/"[..], &b"\xff"[..]);
    let left = fixture.outbox.db.read(|txn| {
        let all = all.clone();
        async move { txn.scan(&all, lambent_store::ScanOptions::rows(100)).await }
    });
    let left: Vec<_> = left.await.unwrap().rows.into_iter().map(|(key, _)| key).collect();
    assert_eq!(left.len(), 2, "a node and its lease: {left:?}");
    assert!(left[0].starts_with(b"bus/lease/") && left[1].starts_with(b"bus/node/"), "{left:?}");
}

#[tokio::test]
async fn events_of_failed_transactions_do_not_exist() {
    let fixture = fixture();
    let outbox = &fixture.outbox;
    let refused = outbox.db.run(|txn| async move {
        outbox.put(&txn, event(b"{}")).await?;
        Err::<(), _>(BusError::NoSuchDeadLetter)
    });
    refused.await.unwrap_err();
    let too_large =
        outbox.db.run(|txn| async move { outbox.put(&txn, event(&vec![0; MAX_PAYLOAD_BYTES + 1])).await });
    assert!(matches!(too_large.await, Err(BusError::PayloadTooLarge { .. })));
    assert_eq!(outbox.backlog().await.unwrap(), Backlog::default());
}

#[tokio::test]
async fn failures_are_tried_again_later_and_later_and_then_dead() {
    let fixture = fixture();
    let (_workers, mut events) = fixture.start(|_| Some(Delivery::Failed("boom".to_owned()))).await;
    let request_id = fixture.put(event(b"{}")).await;
    for (failures, seconds) in [(0, 60), (1, 120)] {
        assert_eq!(events.recv().await.unwrap().failures, failures);
        assert_eq!(fixture.settled().await, Backlog { ready: 0, later: 1 });
        fixture.advance(Duration::from_millis(seconds * 1000 - 1)).await;
        assert_eq!(fixture.outbox.backlog().await.unwrap().later, 1);
        assert!(events.try_recv().is_err(), "too early");
        // The jitter is at most a quarter.
        fixture.advance(Duration::from_millis(seconds * 250 + 1)).await;
    }
    assert_eq!(events.recv().await.unwrap().failures, 2);
    while fixture.outbox.backlog().await.unwrap() != Backlog::default() {
        tokio::task::yield_now().await;
    }
    let dead = fixture.outbox.dead_letters(Some(&function()), None, 10).await.unwrap();
    assert_eq!(dead.len(), 1);
    assert_eq!((dead[0].event.failures, dead[0].event.last_error.as_deref()), (3, Some("boom")));
    assert_eq!(dead[0].event.request_id, request_id);
    assert!(dead[0].died_ms > NOW_MS + 180_000);
    assert!(fixture.outbox.dead_letters(None, Some(&dead[0].key), 10).await.unwrap().is_empty());
}

#[tokio::test]
async fn busy_targets_cost_no_attempts_but_age() {
    let fixture = fixture();
    let (_workers, mut events) = fixture.start(|_| Some(Delivery::Busy("throttled".to_owned()))).await;
    fixture.put(event(&vec![1; 100_000])).await;
    for busy in 0..12 {
        let delivered = events.recv().await.unwrap();
        assert_eq!((delivered.failures, delivered.busy), (0, busy));
        assert_eq!(fixture.settled().await.later, 1);
        fixture.advance(Duration::from_secs(6 * 60 + 16)).await;
    }
    events.recv().await.unwrap();
    fixture.settled().await;
    fixture.advance(RetryPolicy::LAMBDA.max_age).await;
    events.recv().await.unwrap();
    while fixture.outbox.backlog().await.unwrap().later > 0 {
        tokio::task::yield_now().await;
    }
    let dead = fixture.outbox.dead_letters(None, None, 10).await.unwrap();
    assert_eq!((dead[0].event.busy, dead[0].event.payload.len()), (14, 100_000));
}

#[tokio::test]
async fn refused_events_are_dead_at_once_and_can_be_sent_again() {
    let fixture = fixture();
    let mut refusals = 1;
    let (_workers, mut events) = fixture
        .start(move |_| {
            refusals -= 1;
            Some(if refusals >= 0 {
                Delivery::Refused("no such function".to_owned())
            } else {
                Delivery::Done
            })
        })
        .await;
    fixture.put(event(&vec![1; 100_000])).await;
    events.recv().await.unwrap();
    fixture.settled().await;
    let dead = fixture.outbox.dead_letters(None, None, 10).await.unwrap();
    assert_eq!(dead[0].event.last_error.as_deref(), Some("no such function"));
    fixture.outbox.redrive(&dead[0].key).await.unwrap();
    assert!(matches!(fixture.outbox.redrive(&dead[0].key).await, Err(BusError::NoSuchDeadLetter)));
    assert!(matches!(
        fixture.outbox.forget_dead_letter(b"bus/lease/").await,
        Err(BusError::NoSuchDeadLetter)
    ));
    assert_eq!(events.recv().await.unwrap().payload.len(), 100_000);
    fixture.settled().await;
    assert!(fixture.outbox.dead_letters(None, None, 10).await.unwrap().is_empty());
}

#[tokio::test]
async fn panics_and_unknown_kinds_are_attempts_too() {
    let fixture = fixture();
    let (_workers, mut events) = fixture
        .start(|event| match event.failures {
            0 => panic!("a defect in a deliverer"),
            _ => Some(Delivery::Done),
        })
        .await;
    fixture.put(event(b"{}")).await;
    fixture.put(NewEvent { kind: "pigeon".to_owned(), ..event(b"{}") }).await;
    assert_eq!(fixture.settled().await.later, 2);
    fixture.advance(Duration::from_secs(90)).await;
    let delivered = events.recv().await.unwrap();
    assert_eq!(delivered.last_error.as_deref(), Some("the delivery panicked"));
}

#[tokio::test]
async fn a_crash_in_the_middle_of_deliveries_loses_none() {
    let slow_reads = Faults { slow_reads: 300, ..Faults::default() };
    let fixture = fixture_with(slow_reads);
    for number in 0..50_u8 {
        fixture.put(event(&[number])).await;
    }
    let delivered = Arc::new(Mutex::new(HashMap::<u8, u32>::new()));
    let mut backlogs = Vec::new();
    for life in 0..12 {
        // Every third delivery of this life never ends; the others are at all stages when the life does.
        let counts = delivered.clone();
        let (workers, _events) = fixture
            .start(move |event| {
                let number = event.payload[0];
                let ends = (number + life) % 3 > 0;
                *counts.lock().entry(number).or_default() += u32::from(ends);
                ends.then_some(Delivery::Done)
            })
            .await;
        for _ in 0..life * 3 {
            tokio::task::yield_now().await;
        }
        drop(workers);
        backlogs.push(fixture.outbox.backlog().await.unwrap().ready);
    }
    assert!(backlogs.windows(2).any(|pair| pair[0] > pair[1] && pair[1] > 0), "{backlogs:?}");
    let counts = delivered.clone();
    let (workers, _events) = fixture
        .start(move |event| {
            *counts.lock().entry(event.payload[0]).or_default() += 1;
            Some(Delivery::Done)
        })
        .await;
    assert_eq!(fixture.settled().await, Backlog::default());
    workers.shutdown().await;
    let delivered = delivered.lock().clone();
    assert_eq!(delivered.values().filter(|&&count| count > 0).count(), 50);
    assert!(delivered.values().any(|&count| count > 1), "no life ended between a delivery and its record");
    assert!(fixture.outbox.dead_letters(None, None, 10).await.unwrap().is_empty());
}

#[tokio::test]
async fn put_off_events_survive_a_restart_and_a_long_pause() {
    let fixture = fixture();
    let due_ms = NOW_MS + 3_600_000;
    fixture.put(NewEvent { not_before_ms: Some(due_ms), ..event(b"later") }).await;
    let (workers, mut events) = fixture.start(|_| Some(Delivery::Done)).await;
    fixture.advance(Duration::from_secs(3_599)).await;
    workers.shutdown().await;
    assert!(events.try_recv().is_err());
    fixture.hand.advance(Duration::from_secs(1_000_000));
    let (_workers, mut events) = fixture.start(|_| Some(Delivery::Done)).await;
    assert_eq!(&events.recv().await.unwrap().payload[..], b"later");
}

/// Tells that a delivery has begun, and ends it when it is told to.
struct Slow(tokio::sync::watch::Receiver<bool>, mpsc::UnboundedSender<Event>);

impl Deliver for Slow {
    fn deliver<'a>(&'a self, event: &'a Event) -> BoxFuture<'a, Delivery> {
        Box::pin(async {
            let _ = self.1.send(event.clone());
            let _ = self.0.clone().wait_for(|go| *go).await;
            Delivery::Done
        })
    }
}

#[tokio::test]
async fn a_stop_waits_for_deliveries_under_way_and_starts_no_other() {
    let fixture = fixture();
    fixture.put(event(b"first")).await;
    let (go, gone) = tokio::sync::watch::channel(false);
    let (begun, mut has_begun) = mpsc::unbounded_channel();
    let slow: Arc<dyn Deliver> = Arc::new(Slow(gone, begun));
    let workers = fixture.deliver_to(slow).await;
    has_begun.recv().await.unwrap();
    let stopping = tokio::spawn(workers.shutdown());
    tokio::task::yield_now().await;
    fixture.put(event(b"second")).await;
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    assert!(!stopping.is_finished());
    go.send_replace(true);
    stopping.await.unwrap();
    assert_eq!(fixture.outbox.backlog().await.unwrap(), Backlog { ready: 1, later: 0 });
    assert!(has_begun.try_recv().is_err());
}

#[tokio::test]
async fn a_deposed_process_settles_nothing() {
    let fixture = fixture();
    fixture.put(event(b"{}")).await;
    let (go, gone) = tokio::sync::watch::channel(false);
    let (begun, mut has_begun) = mpsc::unbounded_channel();
    let slow: Arc<dyn Deliver> = Arc::new(Slow(gone, begun));
    let old = fixture.deliver_to(slow).await;
    has_begun.recv().await.unwrap();
    let (_new, mut events) = fixture.start(|_| None).await;
    events.recv().await.unwrap();
    go.send_replace(true);
    old.shutdown().await;
    assert_eq!(fixture.outbox.backlog().await.unwrap().ready, 1);
}

#[tokio::test]
async fn an_idle_dispatcher_sleeps() {
    let fixture = fixture();
    fixture.put(NewEvent { not_before_ms: Some(NOW_MS + 3_600_000), ..event(b"later") }).await;
    let (workers, mut events) = fixture.start(|_| Some(Delivery::Done)).await;
    fixture.put(event(b"{}")).await;
    events.recv().await.unwrap();
    fixture.settled().await;
    let mut last = *workers.rounds.borrow();
    // Whatever the delivery still has to say, it says within these.
    for _ in 0..100 {
        tokio::task::yield_now().await;
        last = *workers.rounds.borrow();
    }
    for _ in 0..10_000 {
        tokio::task::yield_now().await;
    }
    assert_eq!(*workers.rounds.borrow(), last);
    assert!(last < 10, "{last} rounds for one event");
}

/// Holds every delivery until it is told to let go, and then for a while; counts how many it holds.
struct Crowd {
    go: tokio::sync::watch::Receiver<bool>,
    now: AtomicUsize,
    most: AtomicUsize,
    ended: AtomicUsize,
}

impl Deliver for Crowd {
    fn deliver<'a>(&'a self, _: &'a Event) -> BoxFuture<'a, Delivery> {
        Box::pin(async {
            let now = self.now.fetch_add(1, Ordering::SeqCst) + 1;
            self.most.fetch_max(now, Ordering::SeqCst);
            let _ = self.go.clone().wait_for(|go| *go).await;
            for _ in 0..50 {
                tokio::task::yield_now().await;
            }
            self.now.fetch_sub(1, Ordering::SeqCst);
            self.ended.fetch_add(1, Ordering::SeqCst);
            Delivery::Done
        })
    }
}

#[tokio::test]
async fn a_crowd_of_events_is_delivered_in_bounded_parallel() {
    const TARGETS: u32 = 8;
    let shared = MAX_IN_FLIGHT - KEPT_FOR_OTHERS;
    // Targets that take turns stop when each has as many as are left to share.
    let targets = usize::try_from(TARGETS).unwrap();
    let at_rest = (targets * shared).div_ceil(targets + 1);
    for some_put_off in [false, true] {
        let fixture = fixture();
        for number in 0..1_000_u32 {
            let not_before_ms = (some_put_off && number % 3 == 0).then_some(NOW_MS + 1);
            let target = numbered(number % TARGETS);
            fixture.put(NewEvent { not_before_ms, target, ..event(&number.to_be_bytes()) }).await;
        }
        fixture.hand.advance(Duration::from_millis(1));
        let (go, gone) = tokio::sync::watch::channel(false);
        let [now, most, ended] = [(); 3].map(|()| AtomicUsize::new(0));
        let crowd = Arc::new(Crowd { go: gone, now, most, ended });
        let deliverer: Arc<dyn Deliver> = crowd.clone();
        let workers = fixture.deliver_to(deliverer).await;
        // Whatever begins before one of them ends, begins within these.
        for _ in 0..10_000 {
            tokio::task::yield_now().await;
        }
        let held = crowd.now.load(Ordering::SeqCst);
        if some_put_off {
            // Where they take no turns, some have more than others, and all together have more.
            assert!((at_rest..shared).contains(&held), "{held}");
        } else {
            assert_eq!(held, at_rest);
        }
        go.send_replace(true);
        while fixture.outbox.backlog().await.unwrap() != Backlog::default() {
            tokio::task::yield_now().await;
        }
        workers.shutdown().await;
        assert_eq!(crowd.ended.load(Ordering::SeqCst), 1_000);
        let most = crowd.most.load(Ordering::SeqCst);
        assert!((at_rest..shared).contains(&most), "{most}");
    }
}

/// An event of `target` that is ready, or was put off and is due.
fn event_of(target: u32, not_before_ms: Option<i64>) -> NewEvent {
    NewEvent { target: numbered(target), not_before_ms, ..event(b"{}") }
}

#[tokio::test]
async fn a_target_that_never_answers_delays_no_other() {
    for not_before_ms in [None, Some(NOW_MS + 1)] {
        let fixture = fixture();
        for _ in 0..300 {
            fixture.put(event_of(1, not_before_ms)).await;
        }
        fixture.put(event_of(2, not_before_ms)).await;
        fixture.hand.advance(Duration::from_millis(1));
        let slow = numbered(1);
        let answer = move |event: &Event| (event.target != slow).then_some(Delivery::Done);
        let (_workers, mut events) = fixture.start(answer).await;
        let mut to_the_slow = 0;
        while events.recv().await.unwrap().target != numbered(2) {
            to_the_slow += 1;
        }
        assert!(to_the_slow <= 64, "{to_the_slow}");
        fixture.put(event_of(3, None)).await;
        while events.recv().await.unwrap().target != numbered(3) {
            to_the_slow += 1;
        }
        assert_eq!(to_the_slow, 64);
        let waiting = async || {
            let backlog = fixture.outbox.backlog().await.unwrap();
            backlog.ready + backlog.later
        };
        while waiting().await > 300 {
            tokio::task::yield_now().await;
        }
        assert_eq!(waiting().await, 300);
    }
}

#[tokio::test]
async fn many_targets_that_never_answer_delay_no_other() {
    let silent = 60;
    for not_before_ms in [None, Some(NOW_MS + 1)] {
        let fixture = fixture();
        // One after the other, so that the first ones are the greediest.
        for target in 0..silent {
            for _ in 0..if target < 8 { 70 } else { 4 } {
                fixture.put(event_of(target, not_before_ms)).await;
            }
        }
        fixture.hand.advance(Duration::from_millis(1));
        let answers = move |event: &Event| (0..silent).all(|target| event.target != numbered(target));
        let (_workers, mut events) =
            fixture.start(move |event| answers(event).then_some(Delivery::Done)).await;
        let healthy = numbered(silent);
        let mut under_way = HashMap::<Arn, usize>::new();
        for round in 0..20 {
            let not_before_ms = (round % 2 == 1).then_some(NOW_MS + 2 + round);
            fixture.put(event_of(silent, not_before_ms)).await;
            fixture.advance(Duration::from_millis(1)).await;
            loop {
                let delivered = events.recv().await.unwrap();
                if delivered.target == healthy {
                    break;
                }
                *under_way.entry(delivered.target).or_default() += 1;
            }
        }
        while under_way.len() < 60 {
            *under_way.entry(events.recv().await.unwrap().target).or_default() += 1;
        }
        let (all, most) = (under_way.values().sum::<usize>(), under_way.values().max().unwrap());
        assert!(all < 256 && *most <= 64, "{under_way:?}");
    }
}

#[tokio::test]
async fn a_target_that_fell_behind_catches_up_in_order_without_an_attempt_lost() {
    let fixture = fixture();
    let numbers = 0..500_u32;
    for number in numbers.clone() {
        let payload = Bytes::copy_from_slice(&number.to_be_bytes());
        fixture.put(NewEvent { payload, ..event_of(number % 2, None) }).await;
    }
    let (go, gone) = tokio::sync::watch::channel(false);
    let (begun, mut has_begun) = mpsc::unbounded_channel();
    let slow: Arc<dyn Deliver> = Arc::new(Slow(gone, begun));
    let workers = fixture.deliver_to(slow).await;
    let mut delivered = Vec::new();
    while delivered.len() < 128 {
        delivered.push(has_begun.recv().await.unwrap());
    }
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    assert!(has_begun.try_recv().is_err(), "each of the two targets gets 64 at once");
    go.send_replace(true);
    while delivered.len() < numbers.len() {
        delivered.push(has_begun.recv().await.unwrap());
    }
    assert_eq!(fixture.settled().await, Backlog::default());
    workers.shutdown().await;
    assert!(has_begun.try_recv().is_err());
    assert!(delivered.iter().all(|event| (event.failures, event.busy) == (0, 0)));
    for target in 0..2 {
        let of_target = delivered.iter().filter(|event| event.target == numbered(target));
        let order: Vec<_> = of_target.map(|event| event.payload.clone()).collect();
        let sent: Vec<_> = numbers.clone().filter(|number| number % 2 == target).collect();
        assert_eq!(order, sent.iter().map(|number| number.to_be_bytes().to_vec()).collect::<Vec<_>>());
    }
}

#[tokio::test]
async fn many_events_through_a_faulty_store_all_arrive() {
    let faults = Faults { conflicts: 100, unknown_applied: 100, unknown_lost: 100, slow_reads: 200 };
    let fixture = fixture_with(faults);
    let (workers, mut events) = fixture.start(|_| Some(Delivery::Done)).await;
    let mut sent = std::collections::BTreeSet::new();
    for number in 0..600_u32 {
        sent.insert(fixture.put(event(&number.to_be_bytes())).await);
    }
    let mut delivered = std::collections::BTreeSet::new();
    while delivered.len() < sent.len() {
        delivered.insert(events.recv().await.unwrap().request_id);
    }
    // Not one more than was committed, also where the outcome was unknown.
    assert_eq!(delivered, sent);
    fixture.settled().await;
    workers.shutdown().await;
    assert!(events.try_recv().is_err());
}

/// A function that answers by its payload.
struct Functions;

impl InvokeFunction for Functions {
    fn invoke(&self, invocation: Invocation) -> BoxFuture<'_, Result<Invoked, InvokeError>> {
        let arn = invocation.function.clone();
        let invoked = |function_error: Option<&str>| Invoked {
            payload: Bytes::from_static(b"{\"errorMessage\":\"boom\"}"),
            function_error: function_error.map(str::to_owned),
            executed_version: "$LATEST".to_owned(),
            log_tail: Bytes::new(),
        };
        let answer = match &invocation.payload[..] {
            b"ok" => Ok(invoked(None)),
            b"error" => Ok(invoked(Some("Unhandled"))),
            b"throttled" => Err(InvokeError::Throttled(arn)),
            _ => Err(InvokeError::NoSuchFunction(arn)),
        };
        assert_eq!(invocation.earlier_attempts, 2);
        Box::pin(std::future::ready(answer))
    }
}

/// Records that can be kept at the second try.
#[derive(Default)]
struct Runs(AtomicUsize);

impl KeepRuns for Runs {
    fn keep_runs(&self) -> BoxFuture<'_, Result<(), PortError>> {
        let tries = self.0.fetch_add(1, Ordering::SeqCst) + 1;
        Box::pin(std::future::ready(if tries == 1 { Err(PortError("not now".to_owned())) } else { Ok(()) }))
    }
}

#[tokio::test]
async fn answers_of_functions_decide_what_becomes_of_events() {
    let runs = Arc::new(Runs::default());
    let deliverer = DeliverToFunctions { functions: Arc::new(Functions), runs: runs.clone() };
    let outcome = async |payload: &[u8]| {
        let NewEvent { kind, target, caller, payload, retry, .. } = event(payload);
        let event = Event {
            kind,
            target,
            caller,
            payload,
            request_id: "id".to_owned(),
            trace: None,
            attributes: Default::default(),
            created_ms: NOW_MS,
            failures: 2,
            busy: 0,
            last_error: None,
            retry,
        };
        deliverer.deliver(&event).await
    };
    assert_eq!(outcome(b"ok").await, Delivery::Done);
    assert_eq!(runs.0.load(Ordering::SeqCst), 2, "delivered only once its run is on record");
    let failed = "Unhandled: {\"errorMessage\":\"boom\"}".to_owned();
    assert_eq!(outcome(b"error").await, Delivery::Failed(failed));
    assert_eq!(runs.0.load(Ordering::SeqCst), 3, "a run that failed is a run");
    assert!(matches!(outcome(b"throttled").await, Delivery::Busy(_)));
    assert!(matches!(outcome(b"missing").await, Delivery::Refused(_)));
}
