//! How many environments of each kind are kept ready. Times and counts in, counts out: nothing here acts.
//!
//! A kind is wanted as often as its environments were started in the busiest ten seconds of late, or as often as
//! functions of it were made that nobody has called yet. What was long ago counts half after each half minute.

use std::time::Duration;

/// Starts are counted in slots of a second, for so many seconds.
const SLOTS: usize = 10;
const SLOT: Duration = Duration::from_secs(1);
/// After so long a peak counts half.
const HALF_LIFE: Duration = Duration::from_secs(30);
/// Of every kind that was used of late.
const MIN_READY: usize = 2;
/// Of every kind. Many more starts at once than this are a matter of cores, and no longer of what was prepared.
const MAX_READY: usize = 64;

/// What happened to one kind of environment of late.
#[derive(Clone, Debug)]
pub(crate) struct Demand {
    starts: Recent,
    expected: Recent,
    used: Duration,
}

/// One kind's wish, and what it costs.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wish {
    pub(crate) wanted: usize,
    /// What one ready environment takes of the host's memory.
    pub(crate) bytes: u64,
    /// When the kind was used last.
    pub(crate) used: Duration,
}

impl Demand {
    /// A kind that was never used, on a monotonic clock.
    pub(crate) fn new(now: Duration) -> Self {
        Self { starts: Recent::default(), expected: Recent::default(), used: now }
    }

    /// An environment is being started.
    pub(crate) fn note_start(&mut self, now: Duration) {
        self.used = now;
        self.starts.note(now);
    }

    /// A function was made or changed: its first call is to be expected.
    pub(crate) fn expect(&mut self, now: Duration) {
        self.used = now;
        self.expected.note(now);
    }

    /// How many to keep ready, if they may be; none once the kind was unused for `keep_alive`.
    pub(crate) fn wanted(&self, now: Duration, keep_alive: Duration) -> usize {
        if self.is_over(now, keep_alive) {
            return 0;
        }
        self.starts.level(now).max(self.expected.level(now)).clamp(MIN_READY, MAX_READY)
    }

    /// Whether the kind was unused for `keep_alive`.
    pub(crate) fn is_over(&self, now: Duration, keep_alive: Duration) -> bool {
        now >= self.over_at(keep_alive)
    }

    /// When that will be, if nothing happens.
    pub(crate) fn over_at(&self, keep_alive: Duration) -> Duration {
        self.used + keep_alive
    }

    pub(crate) fn used(&self) -> Duration {
        self.used
    }
}

/// How many of each kind may be kept: one for each in turn, beginning with what was used last, until nobody wants more,
/// there is no `room` for more, or the next would not fit into `bytes`.
pub(crate) fn share_out(wishes: &[Wish], bytes: u64, room: usize) -> Vec<usize> {
    let mut order: Vec<usize> = (0..wishes.len()).collect();
    order.sort_by_key(|at| std::cmp::Reverse(wishes[*at].used));
    let mut granted = vec![0; wishes.len()];
    let (mut bytes, mut room) = (bytes, room);
    loop {
        let before = room;
        for at in &order {
            let wish = &wishes[*at];
            if room > 0 && granted[*at] < wish.wanted && wish.bytes <= bytes {
                granted[*at] += 1;
                bytes -= wish.bytes;
                room -= 1;
            }
        }
        if room == before {
            return granted;
        }
    }
}

/// Counts of the last seconds, and the highest count before, which fades.
#[derive(Clone, Debug, Default)]
struct Recent {
    counts: [u32; SLOTS],
    /// The number of the newest slot since the clock began.
    newest: u64,
    peak: f64,
    peak_at: Duration,
}

impl Recent {
    fn note(&mut self, now: Duration) {
        self.turn_to(now);
        self.counts[index(self.newest)] += 1;
        let sum = f64::from(self.sum());
        if sum >= self.faded(now) {
            (self.peak, self.peak_at) = (sum, now);
        }
    }

    /// The count that is to be ready for.
    fn level(&self, now: Duration) -> usize {
        let bounded = self.faded(now).round().min(MAX_READY as f64);
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "it is small, and never negative"
        )]
        {
            bounded as usize
        }
    }

    fn faded(&self, now: Duration) -> f64 {
        let age = now.saturating_sub(self.peak_at).as_secs_f64();
        self.peak * 0.5_f64.powf(age / HALF_LIFE.as_secs_f64())
    }

    fn turn_to(&mut self, now: Duration) {
        let slot = now.as_secs() / SLOT.as_secs();
        let passed = slot.saturating_sub(self.newest).min(SLOTS as u64);
        for back in 0..passed {
            self.counts[index(slot - back)] = 0;
        }
        self.newest = self.newest.max(slot);
    }

    fn sum(&self) -> u32 {
        self.counts.iter().sum()
    }
}

fn index(slot: u64) -> usize {
    usize::try_from(slot % SLOTS as u64).expect("a remainder of ten")
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEEP_ALIVE: Duration = Duration::from_secs(300);
    const MIB: u64 = 1 << 20;

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn started(times: impl IntoIterator<Item = u64>) -> Demand {
        let mut demand = Demand::new(at(0));
        times.into_iter().for_each(|second| demand.note_start(at(second)));
        demand
    }

    #[test]
    fn as_many_are_wanted_as_were_started_in_ten_seconds() {
        assert_eq!(started([100]).wanted(at(100), KEEP_ALIVE), MIN_READY);
        assert_eq!(started([100; 20]).wanted(at(100), KEEP_ALIVE), 20);
        let slow = started((0..200).map(|start| start * 2));
        assert_eq!(slow.wanted(at(398), KEEP_ALIVE), 5, "one every other second");
        assert_eq!(started([100; 1_000]).wanted(at(100), KEEP_ALIVE), MAX_READY);
    }

    #[test]
    fn a_burst_fades_and_what_nobody_uses_goes() {
        let burst = started([100; 40]);
        assert_eq!(burst.wanted(at(130), KEEP_ALIVE), 20);
        assert_eq!(burst.wanted(at(160), KEEP_ALIVE), 10);
        assert_eq!(burst.wanted(at(399), KEEP_ALIVE), MIN_READY);
        assert_eq!(burst.wanted(at(400), KEEP_ALIVE), 0);
        assert_eq!(burst.over_at(KEEP_ALIVE), at(400));
    }

    #[test]
    fn a_smaller_peak_takes_over_once_the_greater_has_faded() {
        let mut demand = started([100; 40]);
        (0..12).for_each(|_| demand.note_start(at(190)));
        assert_eq!(demand.wanted(at(190), KEEP_ALIVE), 12, "and not 5, a quarter of a quarter");
    }

    #[test]
    fn functions_that_were_made_are_expected_to_be_called() {
        let mut demand = Demand::new(at(7));
        (0..9).for_each(|_| demand.expect(at(7)));
        assert_eq!(demand.wanted(at(7), KEEP_ALIVE), 9);
        // Their calls come: they are the same ones.
        (0..9).for_each(|_| demand.note_start(at(8)));
        assert_eq!(demand.wanted(at(8), KEEP_ALIVE), 9);
    }

    #[test]
    fn memory_and_room_are_shared_beginning_with_what_was_used_last() {
        let wish = |wanted, mib, used| Wish { wanted, bytes: mib * MIB, used: at(used) };
        let wishes = [wish(10, 48, 1), wish(10, 6, 3), wish(2, 2, 2)];
        assert_eq!(share_out(&wishes, 10_000 * MIB, 100), [10, 10, 2]);
        assert_eq!(share_out(&wishes, 110 * MIB, 100), [1, 9, 2]);
        assert_eq!(share_out(&wishes, 40 * MIB, 100), [0, 6, 2]);
        assert_eq!(share_out(&wishes, 10_000 * MIB, 1), [0, 1, 0]);
        assert_eq!(share_out(&wishes, 10_000 * MIB, 0), [0, 0, 0]);
        assert_eq!(share_out(&[], 1, 1), Vec::<usize>::new());
    }
}
