//! Runtime identifiers of our own: functions that are WebAssembly components.

/// Components that answer HTTP requests: they export `wasi:http/incoming-handler`.
pub const WASI_HTTP: &str = "wasi-http";
/// Components that take events as they are: they export `lambent:function/handler`.
pub const WASI_LAMBDA: &str = "wasi-lambda";

/// Whether functions of this runtime are WebAssembly, which needs no interpreter and no environment.
pub fn is_webassembly(identifier: &str) -> bool {
    identifier == WASI_HTTP || identifier == WASI_LAMBDA
}
