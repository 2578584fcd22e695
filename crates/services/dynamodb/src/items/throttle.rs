//! Throughput that a table's or an index's owner set, provisioned or as an on-demand maximum, is what it gives, with what was
//! left of the last five minutes on top. In the memory of each node.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use lambent_base::Clock;
use parking_lot::Mutex;

use super::capacity::Direction;

/// How long unused capacity is kept. Source: Developer Guide, Burst and adaptive capacity.
const BURST: Duration = Duration::from_secs(300);
/// How many buckets there are before those that are full are let go: a full one is as good as none.
const BUCKETS_MAX: usize = 10_000;

/// The buckets of every table and index that has such bounds. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Throttle {
    clock: Clock,
    buckets: Arc<Mutex<HashMap<(u64, Direction), Bucket>>>,
}

/// Units that are there to be taken. Below 0 is what an operation took more than there was: nobody knows what a query costs
/// before it is done.
#[derive(Clone, Copy, Debug)]
struct Bucket {
    units: f64,
    /// Units a second that flowed in until `at`, monotonic.
    rate: f64,
    at: Duration,
}

impl Throttle {
    pub(crate) fn new(clock: Clock) -> Self {
        Self { clock, buckets: Arc::default() }
    }

    /// Whether there is capacity left of `rate` units a second for the table or index `id`.
    pub(crate) fn has_room(&self, id: u64, direction: Direction, rate: u64) -> bool {
        self.has_room_after(id, direction, rate, 0.0)
    }

    /// The same when so many units have yet to be taken.
    pub(crate) fn has_room_after(&self, id: u64, direction: Direction, rate: u64, taken: f64) -> bool {
        let now = self.clock.monotonic();
        let mut buckets = self.buckets.lock();
        match buckets.get_mut(&(id, direction)) {
            Some(bucket) => {
                bucket.fill(now, rate);
                bucket.units > taken
            }
            None => taken == 0.0 || Bucket::full(now, rate).units > taken,
        }
    }

    /// Takes what an operation consumed.
    pub(crate) fn take(&self, id: u64, direction: Direction, rate: u64, units: f64) {
        let now = self.clock.monotonic();
        let mut buckets = self.buckets.lock();
        if buckets.len() >= BUCKETS_MAX {
            buckets.retain(|_, bucket| {
                bucket.flow(now);
                bucket.units < bucket.room()
            });
        }
        let bucket = buckets.entry((id, direction)).or_insert_with(|| Bucket::full(now, rate));
        bucket.fill(now, rate);
        bucket.units -= units;
    }
}

impl Bucket {
    fn full(at: Duration, rate: u64) -> Self {
        let mut bucket = Self { units: 0.0, rate: as_units(rate), at };
        bucket.units = bucket.room();
        bucket
    }

    /// Lets in what flowed since, at the old rate, and goes on with the one that is set now.
    fn fill(&mut self, now: Duration, rate: u64) {
        self.flow(now);
        self.rate = as_units(rate);
        self.units = self.units.min(self.room());
    }

    fn flow(&mut self, now: Duration) {
        let passed = now.saturating_sub(self.at);
        self.units = (self.units + passed.as_secs_f64() * self.rate).min(self.room());
        self.at = now;
    }

    fn room(&self) -> f64 {
        self.rate * BURST.as_secs_f64()
    }
}

fn as_units(rate: u64) -> f64 {
    f64::from(u32::try_from(rate).unwrap_or(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_not_used_for_five_minutes_is_there_at_once() {
        let (clock, hand) = Clock::manual(0);
        let throttle = Throttle::new(clock);
        assert!(throttle.has_room(1, Direction::Write, 5));
        throttle.take(1, Direction::Write, 5, 1_499.0);
        assert!(throttle.has_room(1, Direction::Write, 5), "one unit is left");
        throttle.take(1, Direction::Write, 5, 10.0);
        assert!(!throttle.has_room(1, Direction::Write, 5), "more was taken than there was");
        assert!(throttle.has_room(1, Direction::Read, 5), "reading has its own");
        assert!(throttle.has_room(2, Direction::Write, 5), "and so has another table");
        hand.advance(Duration::from_secs(1));
        assert!(!throttle.has_room(1, Direction::Write, 5), "the debt is not paid yet");
        hand.advance(Duration::from_secs(1));
        assert!(throttle.has_room(1, Direction::Write, 5));
        hand.advance(Duration::from_secs(3_600));
        throttle.take(1, Direction::Write, 5, 1_500.0);
        assert!(!throttle.has_room(1, Direction::Write, 5), "five minutes are kept, not an hour");
    }

    #[test]
    fn a_new_rate_counts_from_now_on() {
        let (clock, hand) = Clock::manual(0);
        let throttle = Throttle::new(clock);
        throttle.take(1, Direction::Read, 1, 400.0);
        assert!(!throttle.has_room(1, Direction::Read, 1_000), "the debt stays");
        hand.advance(Duration::from_secs(1));
        assert!(throttle.has_room(1, Direction::Read, 1_000));
    }
}
