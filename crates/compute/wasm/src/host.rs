//! What an instance is given, and what it is not.

use std::sync::Arc;

use lambent_pool::FunctionSpec;
use wasmtime::component::{Linker, ResourceTable};
use wasmtime::{Engine, Store, UpdateDeadline};
use wasmtime_wasi::filesystem::FsPerms;
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};
use wasmtime_wasi_http::p2::add_only_http_to_linker_async;
use wasmtime_wasi_http::{WasiHttpCtx, WasiHttpCtxView, WasiHttpView};

use crate::error::WasmError;
use crate::limits::{
    FIELDS_BYTES_MAX, HANDLES_MAX, RANDOM_BYTES_MAX, RESOURCES_MAX, TICKS_BEFORE_SHIFT, TRANSFER_BYTES_MAX,
};
use crate::memory::{Budget, Meter, Vitals};
use crate::outgoing::{Outside, WayOut};
use crate::output::Output;
use crate::requests;
use crate::tmp::{self, Tmp};

/// The state of one instance.
pub(crate) struct Host {
    wasi: WasiCtx,
    http: WasiHttpCtx,
    hooks: WayOut,
    table: ResourceTable,
    meter: Meter,
    tmp: Arc<Tmp>,
}

/// What instances that follow one another in one place have in common.
#[derive(Clone)]
pub(crate) struct Surroundings {
    pub(crate) variables: Arc<Vec<(String, String)>>,
    pub(crate) output: Output,
    pub(crate) vitals: Arc<Vitals>,
    pub(crate) tmp: Arc<Tmp>,
}

/// Everything that any component may import. What is not in it makes a component fail before its first call.
pub(crate) fn linker(engine: &Engine) -> Result<Linker<Host>, WasmError> {
    let mut linker = Linker::new(engine);
    wasmtime_wasi::p2::add_to_linker_async(&mut linker).map_err(WasmError::Engine)?;
    add_only_http_to_linker_async(&mut linker).map_err(WasmError::Engine)?;
    requests::bound(&mut linker).map_err(WasmError::Engine)?;
    tmp::bound(&mut linker).map_err(WasmError::Engine)?;
    Ok(linker)
}

/// A store for one instance. Fails where there is no memory left for what the host keeps for it.
pub(crate) fn store(
    engine: &Engine,
    function: &FunctionSpec,
    budget: &Arc<Budget>,
    surroundings: &Surroundings,
    outside: Option<&Outside>,
) -> wasmtime::Result<Store<Host>> {
    let mut wasi = WasiCtx::builder();
    wasi.stdout(surroundings.output.clone()).stderr(surroundings.output.clone());
    wasi.envs(&surroundings.variables);
    wasi.arg(&function.handler);
    wasi.preopened_dir(surroundings.tmp.path(), "/tmp", FsPerms::ReadWrite)?;
    // They could be made otherwise, and fail only when they are used.
    wasi.allow_tcp(false).allow_udp(false).allow_ip_name_lookup(false);
    wasi.max_random_size(RANDOM_BYTES_MAX);
    let vitals = surroundings.vitals.clone();
    let Some(meter) = Meter::new(budget.clone(), vitals.clone(), function.memory_mib) else {
        return Err(wasmtime::Error::msg("no memory is left for another instance"));
    };
    let mut http = WasiHttpCtx::new();
    http.set_field_size_limit(FIELDS_BYTES_MAX);
    let mut table = ResourceTable::new();
    table.set_max_capacity(RESOURCES_MAX);
    let hooks = WayOut::new(outside, &function.key);
    let tmp = surroundings.tmp.clone();
    let host = Host { wasi: wasi.build(), http, hooks, table, meter, tmp };
    let mut store = Store::new(engine, host);
    store.set_hostcall_fuel(TRANSFER_BYTES_MAX);
    store.set_max_component_handles(HANDLES_MAX);
    store.limiter(|host| &mut host.meter);
    store.epoch_deadline_callback(move |_| {
        vitals.note_busy();
        Ok(UpdateDeadline::Yield(1))
    });
    begin(&mut store);
    Ok(store)
}

/// A call begins in this store.
pub(crate) fn begin(store: &mut Store<Host>) {
    store.set_epoch_deadline(TICKS_BEFORE_SHIFT);
}

impl Host {
    pub(crate) fn tmp(&self) -> &Arc<Tmp> {
        &self.tmp
    }
}

impl WasiView for Host {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.wasi, table: &mut self.table }
    }
}

impl WasiHttpView for Host {
    fn http(&mut self) -> WasiHttpCtxView<'_> {
        WasiHttpCtxView { hooks: &mut self.hooks, table: &mut self.table, ctx: &mut self.http }
    }
}
