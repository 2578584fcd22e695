//! When an event is tried again.

use std::time::Duration;

use lambent_base::Random;

/// The pause after a busy target's first refusal; it doubles up to [`MAX_BUSY_DELAY`].
/// Source: AWS Lambda Developer Guide, "How Lambda handles errors and retries with asynchronous invocation".
const FIRST_BUSY_DELAY: Duration = Duration::from_secs(1);
const MAX_BUSY_DELAY: Duration = Duration::from_secs(5 * 60);
/// A pause is lengthened by up to this part of itself, so that events that failed together do not return together.
const JITTER_DIVISOR: u64 = 4;

/// The pause after the `failures`-th failure (from 1 on).
pub(crate) fn after_failure(failures: u32, first: Duration, max: Duration, random: &Random) -> Duration {
    doubled(failures, first, max, random)
}

/// The pause after the `busy`-th time that the target was busy (from 1 on).
pub(crate) fn after_busy(busy: u32, random: &Random) -> Duration {
    doubled(busy, FIRST_BUSY_DELAY, MAX_BUSY_DELAY, random)
}

fn doubled(nth: u32, first: Duration, max: Duration, random: &Random) -> Duration {
    let factor = 1_u32 << nth.saturating_sub(1).min(20);
    let pause = first.saturating_mul(factor).min(max);
    let spread_ms = u64::try_from(pause.as_millis()).unwrap_or(u64::MAX) / JITTER_DIVISOR;
    pause + Duration::from_millis(random.u64() % (spread_ms + 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_their_bound_with_jitter() {
        let random = Random::seeded(3);
        let (first, max) = (Duration::from_secs(60), Duration::from_secs(200));
        for (failures, seconds) in [(1, 60), (2, 120), (3, 200), (40, 200)] {
            let pauses: Vec<_> = (0..50).map(|_| after_failure(failures, first, max, &random)).collect();
            let least = Duration::from_secs(seconds);
            assert!(pauses.iter().all(|pause| (least..=least + least / 4).contains(pause)), "{failures}");
            assert!(pauses.iter().any(|pause| *pause != pauses[0]));
        }
        assert!(after_busy(30, &random) >= MAX_BUSY_DELAY);
    }
}
