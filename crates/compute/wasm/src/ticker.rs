//! The clock by which running code is interrupted: a thread that ticks while calls run, and stands still otherwise.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::Thread;

use wasmtime::EngineWeak;

use crate::error::WasmError;
use crate::limits::{TICK, TICKS_IDLE_MAX};

/// The clock of one engine. It ends with the engine.
pub(crate) struct Ticker {
    state: Arc<State>,
    thread: Thread,
}

struct State {
    running: AtomicUsize,
    parked: AtomicBool,
}

/// A call that runs.
pub(crate) struct Ticking(Arc<State>);

impl Ticker {
    pub(crate) fn start(engine: EngineWeak) -> Result<Self, WasmError> {
        let state = Arc::new(State { running: AtomicUsize::new(0), parked: AtomicBool::new(false) });
        let own = state.clone();
        let spawned =
            std::thread::Builder::new().name("wasm-ticker".to_owned()).spawn(move || tick(&own, &engine));
        let thread = spawned.map_err(|error| WasmError::io("start the thread", "wasm-ticker", error))?;
        Ok(Self { state, thread: thread.thread().clone() })
    }

    /// Has the clock tick until the value is dropped.
    pub(crate) fn run(&self) -> Ticking {
        self.state.running.fetch_add(1, Ordering::SeqCst);
        if self.state.parked.load(Ordering::SeqCst) {
            self.thread.unpark();
        }
        Ticking(self.state.clone())
    }
}

impl Drop for Ticking {
    fn drop(&mut self) {
        self.0.running.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Drop for Ticker {
    fn drop(&mut self) {
        // It looks whether its engine is there, and ends.
        self.thread.unpark();
    }
}

fn tick(state: &State, engine: &EngineWeak) {
    let mut idle = 0;
    loop {
        let Some(alive) = engine.upgrade() else { return };
        alive.increment_epoch();
        drop(alive);
        if state.running.load(Ordering::SeqCst) > 0 {
            idle = 0;
        } else if idle < TICKS_IDLE_MAX {
            // Who waits a moment between calls does not pay for waking a thread.
            idle += 1;
        } else {
            // Whoever begins to run after this wakes it.
            state.parked.store(true, Ordering::SeqCst);
            if state.running.load(Ordering::SeqCst) == 0 {
                std::thread::park();
            }
            state.parked.store(false, Ordering::SeqCst);
            idle = 0;
        }
        std::thread::sleep(TICK);
    }
}
