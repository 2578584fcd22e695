//! What every function did and holds, as `lambent top` shows it.

/// Durations that are remembered for each function.
const REMEMBERED_DURATIONS: usize = 256;

/// One function's environments and calls since the pool was made. A function that was deleted, or that did nothing for
/// so long that more than ten thousand others did something since, is forgotten.
#[derive(Clone, Debug, PartialEq)]
pub struct FunctionStats {
    /// Twelve digits.
    pub account: String,
    pub region: String,
    pub name: String,
    /// Environments that wait for a call.
    pub idle: usize,
    /// Environments that run one, or start for one.
    pub busy: usize,
    /// Environments that were started, or tried.
    pub cold_starts: u64,
    /// Calls that were turned away.
    pub throttles: u64,
    /// The most memory that the live environments used, together. Those that run a call count as much as the last one
    /// that ended its own.
    pub memory_bytes: u64,
    /// Durations of the last 256 calls; `None` before the first.
    pub p50_ms: Option<f64>,
    pub p99_ms: Option<f64>,
}

/// What is counted for one function.
#[derive(Default)]
pub(crate) struct Tally {
    pub(crate) cold_starts: u64,
    pub(crate) throttles: u64,
    /// Of the environment that ended its call last.
    pub(crate) memory_bytes: u64,
    pub(crate) recent: Recent,
}

impl Tally {
    /// Whether nothing would be lost with it.
    pub(crate) fn is_empty(&self) -> bool {
        self.cold_starts == 0 && self.throttles == 0
    }
}

/// The last durations of a function, in milliseconds; the oldest makes room for the newest.
#[derive(Clone, Default)]
pub(crate) struct Recent {
    durations_ms: Vec<f32>,
    next: usize,
}

impl Recent {
    #[expect(clippy::cast_possible_truncation, reason = "a duration needs no more than seven digits")]
    pub(crate) fn note(&mut self, duration_ms: f64) {
        let duration_ms = duration_ms as f32;
        if self.durations_ms.len() < REMEMBERED_DURATIONS {
            self.durations_ms.push(duration_ms);
        } else {
            self.durations_ms[self.next] = duration_ms;
            self.next = (self.next + 1) % REMEMBERED_DURATIONS;
        }
    }

    /// The durations that 50 and 99 of a hundred calls did not exceed.
    pub(crate) fn p50_p99_ms(mut self) -> (Option<f64>, Option<f64>) {
        self.durations_ms.sort_by(f32::total_cmp);
        let at = |percent: usize| {
            let rank = (self.durations_ms.len() * percent).div_ceil(100);
            self.durations_ms.get(rank.saturating_sub(1)).map(|ms| f64::from(*ms))
        };
        (at(50), at(99))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_of_the_last_calls() {
        assert_eq!(Recent::default().p50_p99_ms(), (None, None));
        let mut recent = Recent::default();
        recent.note(7.0);
        assert_eq!(recent.clone().p50_p99_ms(), (Some(7.0), Some(7.0)));
        (0..10_000).for_each(|_| recent.note(1_000.0));
        (1..=200).for_each(|ms| recent.note(f64::from(ms)));
        // 200 short ones and the 56 long ones before them.
        assert_eq!(recent.durations_ms.len(), REMEMBERED_DURATIONS);
        assert_eq!(recent.p50_p99_ms(), (Some(128.0), Some(1_000.0)));
    }
}
