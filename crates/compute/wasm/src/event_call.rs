//! Calls of components that take events.

use lambent_pool::{End, InvokeRequest};
use wasmtime::{Store, WasmBacktrace};

use crate::host::Host;
use crate::world::{Context, Failure, Function};

/// What the engine says when more is handed over than [`crate::limits::TRANSFER_BYTES_MAX`].
const FUEL: &str = "fuel allocated for hostcalls has been exhausted";

/// Hands the event over, and gives what comes of it.
pub(crate) async fn call(
    store: &mut Store<Host>,
    function: &Function,
    request: &InvokeRequest,
    (log_stream, deadline_ms): (&str, u64),
) -> wasmtime::Result<End> {
    let Ok(event) = std::str::from_utf8(&request.payload) else {
        return Ok(End::error("Runtime.MalformedEvent", "expected an event in UTF-8, got other bytes"));
    };
    let context = context(request, log_stream, deadline_ms);
    let called = match function.lambent_function_handler().call_handle(store, event, &context).await {
        Err(error) if is_too_large(&error) => return Ok(End::too_large()),
        called => called?,
    };
    Ok(match called {
        Ok(result) => End::success(result.into()),
        Err(Failure { error_type, error_message }) => End::error(&error_type, &error_message),
    })
}

/// Whether a result was not copied because of its size. The engine's error for that has no type to ask for, and is the same
/// for what a component hands over in its own calls; those have a trace of the component.
fn is_too_large(error: &wasmtime::Error) -> bool {
    error.downcast_ref::<WasmBacktrace>().is_none() && error.root_cause().to_string().contains(FUEL)
}

fn context(request: &InvokeRequest, log_stream: &str, deadline_ms: u64) -> Context {
    let function = &request.function;
    Context {
        request_id: request.request_id.clone(),
        function_name: function.key.name.clone(),
        function_version: function.key.version.clone(),
        invoked_function_arn: request.invoked_arn.clone(),
        memory_limit_mib: function.memory_mib,
        deadline_ms,
        log_group_name: function.log_group.clone(),
        log_stream_name: log_stream.to_owned(),
        trace_id: request.trace_id.clone(),
        client_context: request.client_context.clone(),
    }
}
