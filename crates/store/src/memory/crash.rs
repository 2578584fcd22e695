//! The moment at which a process in a test "dies".

use parking_lot::Mutex;

use crate::error::StoreError;

#[derive(Debug, Default)]
pub(super) struct Crash(Mutex<State>);

#[derive(Debug, Default)]
enum State {
    #[default]
    Never,
    /// In that many steps.
    In(u64),
    /// It is happening to the step that is under way.
    Now,
    Over,
}

impl Crash {
    pub(super) fn after(&self, steps: u64) {
        *self.0.lock() = if steps == 0 { State::Over } else { State::In(steps) };
    }

    /// One more step; an error once the process is dead, and for the step in which it dies.
    pub(super) fn step(&self) -> Result<(), StoreError> {
        let mut state = self.0.lock();
        match &mut *state {
            State::Never => return Ok(()),
            State::In(1) => *state = State::Now,
            State::In(left) => {
                *left -= 1;
                return Ok(());
            }
            State::Now | State::Over => *state = State::Over,
        }
        Err(dead())
    }

    /// An error once the process is dead.
    pub(super) fn check(&self) -> Result<(), StoreError> {
        match *self.0.lock() {
            State::Never | State::In(_) => Ok(()),
            State::Now | State::Over => Err(dead()),
        }
    }

    /// Whether it was dead before the last step.
    pub(super) fn is_over(&self) -> bool {
        matches!(*self.0.lock(), State::Over)
    }
}

fn dead() -> StoreError {
    StoreError::Unavailable("the process has crashed, as the test asked".to_owned())
}
