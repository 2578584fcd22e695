//! Several nodes on one store: their beats are counted by hand.

use std::sync::atomic::AtomicBool;

use super::*;
use crate::keys;
use crate::nodes::MISSED_MAX;

/// A process among others: its own door to the store that all share.
struct Node {
    fixture: Fixture,
    nodes: Nodes,
    workers: Option<Workers>,
    events: mpsc::UnboundedReceiver<Event>,
}

impl Node {
    async fn start(
        engine: &MemoryEngine,
        answer: impl FnMut(&Event) -> Option<Delivery> + Send + 'static,
    ) -> Self {
        let (clock, hand) = Clock::manual(NOW_MS);
        let db = Db::new(Arc::new(engine.clone()), clock.clone(), Random::system());
        let fixture = Fixture { outbox: Outbox::new(db.clone(), clock, Random::system()), hand };
        let nodes = Nodes::join(db, Random::system()).await.unwrap();
        let (seen, events) = mpsc::unbounded_channel();
        let target: Arc<dyn Deliver> = Arc::new(Target { seen, answer: Mutex::new(Box::new(answer)) });
        let deliverers = HashMap::from([(FUNCTION.to_owned(), target)]);
        let workers = Some(fixture.outbox.start(&nodes, deliverers).await.unwrap());
        Self { fixture, nodes, workers, events }
    }

    fn queue(&self) -> u64 {
        self.fixture.outbox.queue.load(Ordering::Relaxed)
    }

    /// Puts an event, and gives its request id.
    async fn put(&self) -> String {
        self.fixture.put(event(b"{}")).await
    }

    async fn delivers(&mut self, request_id: &str) {
        loop {
            if self.events.recv().await.unwrap().request_id == request_id {
                return;
            }
        }
    }

    /// Beats until whoever is silent is declared dead.
    async fn outlive(&self) {
        for _ in 0..=MISSED_MAX + 1 {
            self.nodes.beat().await.unwrap();
        }
    }
}

fn engine() -> MemoryEngine {
    MemoryEngine::new().shared()
}

#[tokio::test]
async fn each_node_delivers_its_own_events_and_minds_those_of_the_dead() {
    let engine = engine();
    let mut first = Node::start(&engine, |_| Some(Delivery::Done)).await;
    let mut second = Node::start(&engine, |_| None).await;
    assert_eq!((first.queue(), second.queue()), (0, 1));
    let (own, of_second) = (first.put().await, second.put().await);
    first.delivers(&own).await;
    second.delivers(&of_second).await;
    // It dies in the middle of the delivery.
    second.workers = None;
    assert!(first.events.try_recv().is_err(), "nobody else touches the queue of a node that may live");
    first.outlive().await;
    first.delivers(&of_second).await;
    assert_eq!(first.fixture.settled().await, Backlog::default());

    // A new node takes over from the one that only minds the queue.
    let mut third = Node::start(&engine, |_| Some(Delivery::Done)).await;
    assert_eq!(third.queue(), 1);
    let of_third = third.put().await;
    third.delivers(&of_third).await;
    assert_eq!(first.fixture.settled().await, Backlog::default());
    assert!(first.events.try_recv().is_err());
    let mut fourth = Node::start(&engine, |_| Some(Delivery::Done)).await;
    assert_eq!(fourth.queue(), 2, "a node that lives keeps its queue");
    let of_fourth = fourth.put().await;
    fourth.delivers(&of_fourth).await;
}

#[tokio::test]
async fn a_node_that_leaves_is_not_waited_for() {
    let engine = engine();
    let mut first = Node::start(&engine, |_| Some(Delivery::Done)).await;
    let second = Node::start(&engine, |_| Some(Delivery::Busy("not now".to_owned()))).await;
    let left_behind = second.put().await;
    while second.fixture.outbox.backlog().await.unwrap().later == 0 {
        tokio::task::yield_now().await;
    }
    second.workers.unwrap().shutdown().await;
    second.nodes.leave().await.unwrap();
    first.fixture.hand.advance(Duration::from_secs(600));
    first.delivers(&left_behind).await;
}

#[tokio::test]
async fn a_node_that_was_taken_for_dead_changes_nothing_and_joins_anew() {
    let engine = engine();
    let answers = Arc::new(AtomicBool::new(false));
    let may_answer = answers.clone();
    let mut sleeper =
        Node::start(&engine, move |_| may_answer.load(Ordering::Relaxed).then_some(Delivery::Done)).await;
    let mut other = Node::start(&engine, |_| Some(Delivery::Done)).await;
    let (name, request) = (sleeper.nodes.id(), sleeper.put().await);
    sleeper.delivers(&request).await;
    other.outlive().await;
    other.delivers(&request).await;
    // What it still puts is delivered by whoever minds its queue.
    let late = sleeper.put().await;
    other.delivers(&late).await;
    sleeper.nodes.beat().await.unwrap();
    assert_ne!(sleeper.nodes.id(), name);
    answers.store(true, Ordering::Relaxed);
    loop {
        // Its queue is minded only: it takes that one back.
        let again = sleeper.put().await;
        tokio::select! {
            () = sleeper.delivers(&again) => break,
            () = other.delivers(&again) => {}
        }
    }
    assert_eq!(sleeper.queue(), 0);
}

#[tokio::test]
async fn one_node_at_a_time_does_what_a_lease_is_for() {
    let engine = engine();
    let (mut nodes, at_work) = (Vec::new(), Arc::new(AtomicUsize::new(0)));
    let (began, mut who) = mpsc::unbounded_channel();
    for number in 0..3 {
        let node = Node::start(&engine, |_| Some(Delivery::Done)).await;
        let (began, members, at_work) = (began.clone(), node.nodes.clone(), at_work.clone());
        let task = tokio::spawn(async move {
            let work = || {
                let (began, at_work) = (began.clone(), at_work.clone());
                async move {
                    assert_eq!(at_work.fetch_add(1, Ordering::SeqCst), 0, "two at once");
                    began.send(number).unwrap();
                    std::future::pending::<()>().await;
                }
            };
            members.hold("sweep", work).await;
        });
        nodes.push((node, Some(task)));
    }
    let mut left: Vec<usize> = (0..3).collect();
    while !left.is_empty() {
        let holder: usize = who.recv().await.unwrap();
        left.retain(|number| *number != holder);
        let (node, task) = &mut nodes[holder];
        let task = task.take().unwrap();
        task.abort();
        task.await.unwrap_err();
        at_work.store(0, Ordering::SeqCst);
        node.nodes.leave().await.unwrap();
    }
    assert!(who.try_recv().is_err());
}

#[tokio::test]
async fn a_start_does_not_walk_over_what_was_settled() {
    let engine = engine();
    let db = Db::new(Arc::new(engine.clone()), Clock::system(), Random::system());
    {
        let mut node = Node::start(&engine, |_| Some(Delivery::Done)).await;
        for _ in 0..600 {
            let request = node.put().await;
            node.delivers(&request).await;
        }
        node.workers.take().unwrap().shutdown().await;
        node.nodes.leave().await.unwrap();
    }
    let planted = keys::ready_from(0, 1);
    db.run(|txn| {
        let planted = planted.clone();
        async move {
            txn.put(&planted, b"before the head");
            Ok::<_, BusError>(())
        }
    })
    .await
    .unwrap();
    let mut node = Node::start(&engine, |_| Some(Delivery::Done)).await;
    assert_eq!(node.queue(), 0);
    let request = node.put().await;
    node.delivers(&request).await;
    node.workers.take().unwrap().shutdown().await;
    let untouched = db.read(|txn| {
        let planted = planted.clone();
        async move { Ok::<_, BusError>(txn.get(&planted).await?) }
    });
    assert_eq!(untouched.await.unwrap().as_deref(), Some(&b"before the head"[..]));
}

/// Nodes that die at any moment, on a store that misbehaves: every event arrives.
#[tokio::test]
async fn no_event_is_lost_by_nodes_that_come_and_go() {
    let faults = Faults { conflicts: 20, unknown_applied: 10, unknown_lost: 10, slow_reads: 20 };
    for seed in 0..8 {
        let engine = MemoryEngine::with_faults(seed, faults).shared();
        let random = Random::seeded(seed);
        let arrived = Arc::new(Mutex::new(std::collections::HashSet::new()));
        let start = async || {
            let arrived = arrived.clone();
            let answer = move |event: &Event| {
                arrived.lock().insert(event.request_id.clone());
                Some(Delivery::Done)
            };
            Node::start(&engine, answer).await
        };
        let mut nodes = vec![start().await, start().await, start().await];
        let mut requests = Vec::new();
        for _ in 0..30 {
            // Sometimes more than one target may have under way: the rest has to wait for it alone.
            let most = if random.u64().is_multiple_of(6) { 200 } else { 6 };
            for _ in 0..random.u64() % most {
                let at = usize::try_from(random.u64() % nodes.len() as u64).unwrap();
                requests.push(nodes[at].put().await);
            }
            if random.u64().is_multiple_of(3) {
                let at = usize::try_from(random.u64() % nodes.len() as u64).unwrap();
                let dead = nodes.swap_remove(at);
                drop(dead);
                nodes.push(start().await);
            }
            for node in &nodes {
                node.nodes.beat().await.unwrap();
            }
        }
        while requests.iter().any(|request| !arrived.lock().contains(request)) {
            for node in &nodes {
                node.nodes.beat().await.unwrap();
            }
            tokio::task::yield_now().await;
        }
    }
}

#[tokio::test]
async fn what_waits_for_a_busy_target_survives_its_node() {
    const EVENTS: usize = 200;
    let engine = engine();
    let mut first = Node::start(&engine, |_| None).await;
    let mut requests = std::collections::HashSet::new();
    for _ in 0..EVENTS {
        // Each is moved out of the way before the next is put.
        requests.insert(first.put().await);
        for _ in 0..20 {
            tokio::task::yield_now().await;
        }
    }
    first.workers = None;
    first.nodes.leave().await.unwrap();
    let mut second = Node::start(&engine, |_| Some(Delivery::Done)).await;
    while !requests.is_empty() {
        requests.remove(&second.events.recv().await.unwrap().request_id);
    }
    assert_eq!(second.fixture.settled().await, Backlog::default());
    drop(second.workers.take());
    let heads = lambent_store::ScanOptions::rows(9);
    let left =
        second.fixture.outbox.db.read(|txn| async move { txn.scan(&keys::heads_of_wait(0), heads).await });
    assert!(left.await.unwrap().rows.is_empty(), "nothing waits, so nothing says so");
}

#[tokio::test]
async fn a_node_that_may_live_is_at_work_and_one_that_is_dead_is_not() {
    let node = Node::start(&engine(), |_| None).await;
    let db = node.nodes.db();
    let heard_after = async |silent: u32| {
        let mut left = silent;
        let beat = async || match left {
            0 => node.nodes.beat().await.unwrap(),
            _ => left -= 1,
        };
        crate::at_work::is_any_heard(db, beat).await.unwrap()
    };
    // As long as another node would not declare it dead.
    for silent in [0, 2, MISSED_MAX + 1] {
        assert!(heard_after(silent).await, "{silent}");
    }
    assert!(!heard_after(MISSED_MAX + 2).await);
    node.nodes.leave().await.unwrap();
    assert!(!heard_after(0).await, "it has left");
}
