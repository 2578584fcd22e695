//! Calls: Invoke, InvokeAsync and InvokeWithResponseStream, their events, and what follows a call.

pub(crate) mod invoke;
mod invoke_async;
mod payload;
mod streams;
pub(crate) mod trace;
