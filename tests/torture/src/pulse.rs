//! When to kill: after so many acknowledged requests.

use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

/// A load that has not acknowledged enough by then hangs.
pub(crate) const PULSE_MAX: Duration = Duration::from_secs(120);

/// Counts acknowledgements; wakes the killer.
pub(crate) struct Pulse {
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    /// Acknowledgements until the kill.
    left: usize,
    acknowledged: usize,
    /// Workers that still run.
    working: usize,
}

impl Pulse {
    pub(crate) fn new(until_kill: usize, working: usize) -> Self {
        let state = State { left: until_kill, acknowledged: 0, working };
        Self { state: Mutex::new(state), changed: Condvar::new() }
    }

    /// A request was acknowledged.
    pub(crate) fn beat(&self) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.acknowledged += 1;
        state.left = state.left.saturating_sub(1);
        if state.left == 0 {
            self.changed.notify_all();
        }
    }

    /// A worker has nothing more to do.
    pub(crate) fn ended(&self) {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).working -= 1;
        self.changed.notify_all();
    }

    /// Returns at the moment of the kill, or when no worker is left; `false` when that takes longer than [`PULSE_MAX`].
    pub(crate) fn wait(&self) -> bool {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let waits = |state: &mut State| state.left > 0 && state.working > 0;
        let waited = self.changed.wait_timeout_while(state, PULSE_MAX, waits);
        !waited.unwrap_or_else(PoisonError::into_inner).1.timed_out()
    }

    pub(crate) fn acknowledged(&self) -> usize {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).acknowledged
    }
}
