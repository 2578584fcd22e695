//! How long the events of a killed node take to come by way of another.
//!
//! The same burst of asynchronous calls is sent to the node twice: before the fault, to see how long it takes under this
//! load on this machine, and just before the kill. What was not delivered by then lies in the victim's queue.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Context, anyhow, bail};

use crate::client::{Client, Told};
use crate::verify;
use crate::work::{Round, invoke};

/// A burst: so many clients at once, each with so many events. More than a node delivers while they are sent.
const CLIENTS: usize = 4;
const EVENTS_EACH: usize = 10;
const EVENTS: usize = CLIENTS * EVENTS_EACH;
/// Within this time what a node held is another's.
const TAKEOVER_MAX: Duration = Duration::from_secs(10);
/// The others do the victim's work besides their own, with a function that may have to be started first: so many times
/// what a burst takes at a healthy node, and so much more.
const USUAL_FACTOR: u32 = 3;
const SLACK: Duration = Duration::from_secs(2);
/// A burst at a healthy node that takes longer is an error by itself.
const USUAL_MAX: Duration = Duration::from_secs(30);
const POLL: Duration = Duration::from_millis(50);

/// The clients of a burst, all of one node.
pub(super) type Burst = [Client; CLIENTS];

/// Opens them with `open`.
pub(super) fn clients(open: impl Fn() -> anyhow::Result<Client>) -> anyhow::Result<Burst> {
    Ok([open()?, open()?, open()?, open()?])
}

/// A burst at a node that is well; gives how long it took.
pub(super) fn usual(victim: &mut Burst, other: &mut Client, round: &Round) -> anyhow::Result<Duration> {
    let began = other.now();
    let left = burst(victim, "usual", round)?;
    wait(other, round, left, began + USUAL_MAX).context("before the fault")?;
    Ok(other.now().saturating_sub(began))
}

/// The events of a burst that a node is to be killed with.
pub(super) fn last_burst(victim: &mut Burst, round: &Round) -> anyhow::Result<BTreeSet<String>> {
    burst(victim, "last", round)
}

/// Waits for the events of the last burst, after the kill at `killed` (monotonic); says when they came.
pub(super) fn watch(
    other: &mut Client,
    round: &Round,
    mut left: BTreeSet<String>,
    killed: Duration,
    usual: Duration,
) -> anyhow::Result<String> {
    let printed = verify::printed(other, round.began_unix_ms)?;
    left.retain(|key| !printed.contains(key));
    let queued = left.len();
    let end = killed + TAKEOVER_MAX + usual * USUAL_FACTOR + SLACK;
    let first = wait(other, round, left, end).context("after the kill")?;
    let since = |now: Duration| now.saturating_sub(killed).as_secs_f64();
    let first = first.map_or_else(|| "none".to_owned(), |first| format!("{:.1} s", since(first)));
    Ok(format!(
        "{queued} of {EVENTS} events were left in its queue, the first came after {first}, all after {:.1} s, a burst \
         at a healthy node after {:.1} s",
        since(other.now()),
        usual.as_secs_f64()
    ))
}

/// Sends asynchronous calls; gives what the function has to print.
fn burst(clients: &mut Burst, name: &str, round: &Round) -> anyhow::Result<BTreeSet<String>> {
    let keys = |client| (0..EVENTS_EACH).map(move |event| key(round, name, client, event));
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..)
            .zip(clients.iter_mut())
            .map(|(number, client)| scope.spawn(move || keys(number).try_for_each(|key| call(client, &key))))
            .collect();
        threads.into_iter().try_for_each(|thread| thread.join().map_err(|_| anyhow!("a burst panicked"))?)
    })?;
    Ok((0..CLIENTS).flat_map(keys).collect())
}

fn key(round: &Round, name: &str, client: usize, event: usize) -> String {
    format!("takeover.{:04}.{name}.{client}.{event}", round.number)
}

fn call(client: &mut Client, key: &str) -> anyhow::Result<()> {
    match invoke(client, key)? {
        Told::Done(_) => Ok(()),
        other => bail!("the call {key} came to {other:?}"),
    }
}

/// Waits until the function has printed all of them; gives when the first was, in monotonic time.
fn wait(
    client: &mut Client,
    round: &Round,
    mut left: BTreeSet<String>,
    end: Duration,
) -> anyhow::Result<Option<Duration>> {
    let (all, mut first) = (left.len(), None);
    while !left.is_empty() {
        if client.now() > end {
            bail!("{} of {all} events did not come in time, one of them {:?}", left.len(), left.first());
        }
        std::thread::sleep(POLL);
        let printed = verify::printed(client, round.began_unix_ms)?;
        left.retain(|key| !printed.contains(key));
        if left.len() < all {
            first.get_or_insert(client.now());
        }
    }
    Ok(first)
}
