//! Where calls run: first in the task of whoever called, which costs no hand-over; once they have used the processor for some
//! milliseconds, among threads of low priority.
//!
//! A call runs on when its caller goes away, as on AWS.

use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};

use lambent_base::BoxFuture;
use tokio::runtime::{Handle, Runtime};
use tokio::task::JoinHandle;

use crate::error::WasmError;
use crate::limits::NICE;
use crate::memory::Vitals;

/// The threads of low priority, made when they are first needed.
#[derive(Default)]
pub(crate) struct Gears {
    low: OnceLock<Option<Runtime>>,
}

/// One call on its way.
pub(crate) struct Ride<T: Send + 'static> {
    gears: Arc<Gears>,
    vitals: Arc<Vitals>,
    state: State<T>,
}

enum State<T> {
    Here(BoxFuture<'static, T>),
    There(JoinHandle<T>),
    Over,
}

impl Gears {
    /// Runs a call, which notes in `vitals` that it takes long.
    pub(crate) fn run<T: Send + 'static>(
        self: &Arc<Self>,
        vitals: Arc<Vitals>,
        call: BoxFuture<'static, T>,
    ) -> Ride<T> {
        Ride { gears: self.clone(), vitals, state: State::Here(call) }
    }

    /// Where long calls run; where the caller is, if there are no threads to be had.
    fn low(&self) -> Option<Handle> {
        let made = self.low.get_or_init(|| {
            let built = build();
            built
                .inspect_err(
                    |error| tracing::warn!(%error, "long WebAssembly calls share the platform's threads"),
                )
                .ok()
        });
        made.as_ref().map(|runtime| runtime.handle().clone()).or_else(|| Handle::try_current().ok())
    }
}

impl Drop for Gears {
    fn drop(&mut self) {
        if let Some(Some(runtime)) = self.low.take() {
            runtime.shutdown_background();
        }
    }
}

impl<T: Send + 'static> Future for Ride<T> {
    /// `None` when the platform ends.
    type Output = Option<T>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let ride = &mut *self;
        loop {
            match &mut ride.state {
                State::Here(call) => match call.as_mut().poll(context) {
                    Poll::Ready(done) => {
                        ride.state = State::Over;
                        return Poll::Ready(Some(done));
                    }
                    Poll::Pending if ride.vitals.is_busy() => ride.shift(),
                    Poll::Pending => return Poll::Pending,
                },
                State::There(call) => return Pin::new(call).poll(context).map(Result::ok),
                State::Over => return Poll::Ready(None),
            }
        }
    }
}

impl<T: Send + 'static> Ride<T> {
    fn shift(&mut self) {
        match std::mem::replace(&mut self.state, State::Over) {
            State::Here(call) => {
                if let Some(low) = self.gears.low() {
                    self.state = State::There(low.spawn(call));
                }
            }
            other => self.state = other,
        }
    }
}

impl<T: Send + 'static> Drop for Ride<T> {
    fn drop(&mut self) {
        // Nobody waits for it any more.
        self.shift();
    }
}

fn build() -> Result<Runtime, WasmError> {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    builder.worker_threads(cores).thread_name("wasm-low").enable_all().on_thread_start(lower);
    builder.build().map_err(|error| WasmError::io("start threads", "wasm-low", error))
}

/// Lowers the priority of the calling thread.
pub(crate) fn lower() {
    // Without it, it runs all the same.
    let _ = rustix::process::nice(NICE);
}
