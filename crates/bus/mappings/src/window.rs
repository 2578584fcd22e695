//! Tumbling windows: records are told from each other by when they were put, and functions keep a state for those of one
//! window. Source: Lambda Developer Guide, "Implementing stateful DynamoDB stream processing in Lambda".

use crate::rows::WindowRow;

/// A state that is longer ends its window early.
pub(crate) const STATE_BYTES_MAX: usize = 1024 * 1024;
/// What is kept of a state that is too long; of one that is longer still, what it was before is.
pub(crate) const STATE_BYTES_KEPT: usize = 2 * 1024 * 1024;
/// How long after its end a window is closed, so that a record that was being put when it ended is still one of its.
pub(crate) const GRACE_MS: i64 = 500;
/// The state that a window begins with.
const EMPTY: &str = "{}";

/// What an invocation is told of its window.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Invocation {
    pub(crate) start_ms: i64,
    pub(crate) end_ms: i64,
    /// JSON.
    pub(crate) state: String,
    pub(crate) is_final: bool,
    pub(crate) is_early: bool,
}

/// When the window of a record begins.
fn start_of(arrived_ms: i64, window_s: u32) -> i64 {
    let length = length_ms(window_s);
    arrived_ms.div_euclid(length) * length
}

fn length_ms(window_s: u32) -> i64 {
    i64::from(window_s.max(1)) * 1000
}

impl WindowRow {
    /// The window that a record belongs to.
    pub(crate) fn of(arrived_ms: i64, length_s: u32) -> Self {
        let start_ms = start_of(arrived_ms, length_s);
        Self { start_ms, length_s, state: EMPTY.to_owned(), is_early: false, attempts: 0 }
    }

    pub(crate) fn end_ms(&self) -> i64 {
        self.start_ms + length_ms(self.length_s)
    }

    /// When it is closed by the clock.
    pub(crate) fn closes_ms(&self) -> i64 {
        self.end_ms() + GRACE_MS
    }

    pub(crate) fn invocation(&self, is_final: bool) -> Invocation {
        Invocation {
            start_ms: self.start_ms,
            end_ms: self.end_ms(),
            state: self.state.clone(),
            is_final,
            is_early: self.is_early,
        }
    }

    /// Takes over what a function returned.
    pub(crate) fn keep(&mut self, state: Option<String>) {
        let Some(state) = state else { return };
        self.is_early = state.len() > STATE_BYTES_MAX;
        if state.len() <= STATE_BYTES_KEPT {
            self.state = state;
        }
    }
}
