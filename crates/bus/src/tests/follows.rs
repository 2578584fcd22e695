//! Events that follow from the ends of others.

use std::collections::BTreeMap;

use super::*;
use crate::{Attempt, End};

/// Fails every event but those that follow, by a policy of its own, and says how each ended.
struct Follows {
    ends: Arc<Mutex<Vec<End>>>,
    seen: mpsc::UnboundedSender<Event>,
    retry: RetryPolicy,
}

const FOLLOWING: &[u8] = b"what follows";

impl Deliver for Follows {
    fn deliver<'a>(&'a self, event: &'a Event) -> BoxFuture<'a, Delivery> {
        Box::pin(async { self.attempt(event).await.delivery })
    }

    fn attempt<'a>(&'a self, event: &'a Event) -> BoxFuture<'a, Attempt> {
        let _ = self.seen.send(event.clone());
        let delivery = match event.payload == FOLLOWING {
            true => Delivery::Done,
            false => Delivery::Failed("boom".to_owned()),
        };
        let (ends, is_first) = (self.ends.clone(), event.payload != FOLLOWING);
        let follow = move |end| {
            ends.lock().push(end);
            let attributes = BTreeMap::from([("RequestID".to_owned(), "1".to_owned())]);
            let caller = Caller::Role { role_arn: "role".to_owned(), source: function() };
            let next = NewEvent { attributes, caller, ..event_of(9, None) };
            if is_first {
                vec![NewEvent { payload: Bytes::from_static(FOLLOWING), ..next }]
            } else {
                Vec::new()
            }
        };
        let attempt = Attempt { delivery, retry: Some(self.retry), follow: Some(Box::new(follow)) };
        Box::pin(std::future::ready(attempt))
    }
}

async fn ends_of(retry: RetryPolicy) -> (Vec<End>, Event) {
    let fixture = fixture();
    let (seen, mut events) = mpsc::unbounded_channel();
    let ends = Arc::new(Mutex::new(Vec::new()));
    let target: Arc<dyn Deliver> = Arc::new(Follows { ends: ends.clone(), seen, retry });
    let _workers = fixture.deliver_to(target).await;
    fixture.put(event(&vec![1; 100_000])).await;
    let last = loop {
        let seen = events.recv().await.unwrap();
        if seen.payload == FOLLOWING {
            break seen;
        }
        assert!(seen.failures < retry.max_attempts);
        if fixture.settled().await.later > 0 {
            fixture.advance(retry.first_delay * 2).await;
        }
    };
    fixture.settled().await;
    assert_eq!(fixture.outbox.backlog().await.unwrap(), Backlog::default());
    assert!(fixture.outbox.dead_letters(None, None, 9).await.unwrap().is_empty(), "it went somewhere");
    let ends = ends.lock().clone();
    (ends, last)
}

#[tokio::test]
async fn what_follows_takes_the_place_of_an_event_that_is_given_up() {
    let twice = RetryPolicy { max_attempts: 2, ..RetryPolicy::LAMBDA };
    let (ends, event) = ends_of(twice).await;
    assert_eq!(ends, [End::Exhausted, End::Done]);
    assert_eq!(event.caller, Caller::Role { role_arn: "role".to_owned(), source: function() });
    assert_eq!(event.attributes["RequestID"], "1");
    let young = RetryPolicy { max_age: Duration::from_secs(60), ..RetryPolicy::LAMBDA };
    assert_eq!(ends_of(young).await.0, [End::TooOld, End::Done], "the next attempt would be too late");
}

/// Refuses every event, which has something too large to follow it.
struct TooLarge;

impl Deliver for TooLarge {
    fn deliver<'a>(&'a self, event: &'a Event) -> BoxFuture<'a, Delivery> {
        Box::pin(async { self.attempt(event).await.delivery })
    }

    fn attempt<'a>(&'a self, _: &'a Event) -> BoxFuture<'a, Attempt> {
        let follow = |_| vec![event(&vec![1; MAX_PAYLOAD_BYTES + 1])];
        let delivery = Delivery::Refused("no".to_owned());
        Box::pin(std::future::ready(Attempt { delivery, retry: None, follow: Some(Box::new(follow)) }))
    }
}

#[tokio::test]
async fn what_is_too_large_to_follow_leaves_no_event_unsettled() {
    let fixture = fixture();
    let _workers = fixture.deliver_to(Arc::new(TooLarge)).await;
    fixture.put(event(b"1")).await;
    assert_eq!(fixture.settled().await, Backlog::default());
    assert_eq!(fixture.outbox.dead_letters(None, None, 9).await.unwrap().len(), 1);
}
