//! Time, handed to whoever needs it, so that tests can move it.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

/// A cheap, cloneable source of wall-clock and monotonic time.
#[derive(Clone, Debug)]
pub struct Clock(Source);

#[derive(Clone, Debug)]
enum Source {
    System { started: std::time::Instant },
    Manual(Arc<AtomicI64>),
}

/// The hand that moves a [`Clock`] made by [`Clock::manual`].
#[derive(Clone, Debug)]
pub struct ManualClock(Arc<AtomicI64>);

impl Clock {
    /// The host's clock.
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the host's clock")]
    pub fn system() -> Self {
        Self(Source::System { started: std::time::Instant::now() })
    }

    /// A clock that stands at `unix_ms` (milliseconds since 1970) until its hand moves it.
    pub fn manual(unix_ms: i64) -> (Self, ManualClock) {
        let micros = Arc::new(AtomicI64::new(unix_ms * 1000));
        (Self(Source::Manual(micros.clone())), ManualClock(micros))
    }

    /// Microseconds since 1970-01-01T00:00:00Z.
    pub fn unix_us(&self) -> i64 {
        match &self.0 {
            Source::System { .. } => system_unix_us(),
            Source::Manual(us) => us.load(Ordering::SeqCst),
        }
    }

    /// Milliseconds since 1970-01-01T00:00:00Z.
    pub fn unix_ms(&self) -> i64 {
        self.unix_us().div_euclid(1000)
    }

    /// Seconds since 1970-01-01T00:00:00Z.
    pub fn unix_s(&self) -> i64 {
        self.unix_us().div_euclid(1_000_000)
    }

    /// Time that only goes forward, for durations; its zero means nothing.
    pub fn monotonic(&self) -> Duration {
        match &self.0 {
            Source::System { started } => started.elapsed(),
            Source::Manual(us) => Duration::from_micros(us.load(Ordering::SeqCst).unsigned_abs()),
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "the one place that reads the host's clock")]
fn system_unix_us() -> i64 {
    let now = std::time::SystemTime::now();
    match now.duration_since(std::time::UNIX_EPOCH) {
        Ok(after) => i64::try_from(after.as_micros()).unwrap_or(i64::MAX),
        Err(before) => -i64::try_from(before.duration().as_micros()).unwrap_or(i64::MAX),
    }
}

impl ManualClock {
    /// Moves the clock forward.
    pub fn advance(&self, by: Duration) {
        let us = i64::try_from(by.as_micros()).unwrap_or(i64::MAX);
        self.0.fetch_add(us, Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn manual_time_moves_only_by_hand() {
        let (clock, hand) = Clock::manual(1_000);
        assert_eq!(clock.unix_ms(), 1_000);
        hand.advance(Duration::from_millis(250));
        assert_eq!(clock.unix_us(), 1_250_000);
        assert_eq!(clock.unix_s(), 1);
    }

    #[test]
    fn system_time_is_after_2026() {
        assert!(Clock::system().unix_s() > 1_767_000_000);
    }
}
