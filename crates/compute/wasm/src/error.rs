//! What goes wrong apart from calls.

use std::path::PathBuf;

/// Why a component cannot be run. The texts go to who deployed it.
#[derive(Debug, thiserror::Error)]
pub enum WasmError {
    #[error("the WebAssembly engine could not start: {0:#}")]
    Engine(wasmtime::Error),
    #[error(
        "expected the deployment package to hold `{handler}` or `{handler}.wasm` (the Handler), or one .wasm file: found {found}"
    )]
    NoComponent { handler: String, found: usize },
    #[error(
        "expected a component of at most {max} bytes, got {bytes}: leave debug information out (`wasm-tools strip`)"
    )]
    TooLarge { bytes: u64, max: u64 },
    #[error("expected a component, got a core module: make one of it with `wasm-tools component new`")]
    CoreModule,
    #[error("expected a WebAssembly component, got a file that does not begin like one")]
    NotWasm,
    #[error("the component could not be compiled: {0}")]
    Compile(String),
    #[error(
        "the component imports what this platform does not have, or does not export what its runtime calls: {0}"
    )]
    Link(String),
    #[error("too many components wait to be compiled: try again")]
    Busy,
    #[error("cannot {step} {}: {source}", path.display())]
    Io { step: &'static str, path: PathBuf, source: std::io::Error },
    #[error("requests to the outside could not be prepared: {0}")]
    Outside(String),
    #[error("the platform is shutting down")]
    ShuttingDown,
}

impl WasmError {
    pub(crate) fn io(step: &'static str, path: impl Into<PathBuf>, source: std::io::Error) -> Self {
        Self::Io { step, path: path.into(), source }
    }
}
