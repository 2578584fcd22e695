//! A component that is ready to be instantiated.

use lambent_runtimes::WASI_HTTP;
use wasmtime::component::{Component, InstancePre, Linker};
use wasmtime_wasi_http::p2::bindings::ProxyPre;

use crate::error::WasmError;
use crate::host::Host;
use crate::world::FunctionPre;

/// How a component is called.
#[derive(Clone)]
pub(crate) enum Program {
    Http(ProxyPre<Host>),
    Event(FunctionPre<Host>),
}

impl Program {
    /// Joins a component to what it imports; fails where that is not there, or where it has nothing to call.
    pub(crate) fn link(
        linker: &Linker<Host>,
        component: &Component,
        runtime: &str,
    ) -> Result<Self, WasmError> {
        let linked = |error: wasmtime::Error| WasmError::Link(format!("{error:#}"));
        let pre: InstancePre<Host> = linker.instantiate_pre(component).map_err(linked)?;
        Ok(match runtime {
            WASI_HTTP => Self::Http(ProxyPre::new(pre).map_err(linked)?),
            _ => Self::Event(FunctionPre::new(pre).map_err(linked)?),
        })
    }
}
