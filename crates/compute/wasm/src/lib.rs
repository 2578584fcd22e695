//! WebAssembly functions: components of WASI 0.2, compiled when they are deployed, mapped at their first use, and run in an
//! instance of their own for each call.
//!
//! Two runtimes: `wasi-http` serves components that export `wasi:http/incoming-handler` (an event of payload format 2.0
//! becomes a request, the response its result), `wasi-lambda` those that export `lambent:function/handler`, which is
//! `wit/function.wit`. What is not a component's to have, it is not given: no sockets, no files but those of a `/tmp`
//! of its own, and requests to the outside only where
//! the operator lets functions out.
//!
//! A call runs where its caller waits, in the same task, until it has used the processor for some milliseconds; then it goes
//! on among threads of low priority, so that no loop delays the platform (see [`gears`]).

mod artifact;
mod counts;
mod depth;
mod engine;
mod error;
mod event_call;
mod folders;
mod functions;
mod gears;
mod host;
mod http_call;
mod http_event;
mod limits;
mod lookups;
mod memory;
mod outgoing;
mod output;
mod program;
mod requests;
mod run;
mod runner;
mod ticker;
mod tmp;
mod world;

pub use error::WasmError;
pub use runner::{Wasm, WasmConfig};

/// The environment variable of a function that has its instances reused, where it is `true`.
pub const REUSE_VARIABLE: &str = "LAMBENT_WASM_REUSE";
