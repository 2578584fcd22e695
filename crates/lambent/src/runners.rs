//! What runs functions: the pool, and WebAssembly where this binary has it.

use std::sync::Arc;

use lambent_api::BoxFuture;
use lambent_base::Place;
use lambent_lambda::Runner;
use lambent_pool::{Answer, FunctionSpec, Invocation, InvokeError, InvokeRequest, Needs, Pool, Provisioned};
use lambent_runtimes::is_webassembly;
#[cfg(feature = "wasm")]
use lambent_wasm::Wasm;

#[cfg(not(feature = "wasm"))]
const WITHOUT: &str = "This lambent was built without WebAssembly: build it with `--features wasm`.";

/// Each call goes to the one that runs its runtime.
#[derive(Clone)]
pub(crate) struct Runners {
    pub(crate) pool: Pool,
    #[cfg(feature = "wasm")]
    pub(crate) wasm: Wasm,
}

impl Runners {
    /// Takes no more calls, and ends those that run too long for a shutdown.
    pub(crate) async fn shutdown(&self) {
        #[cfg(feature = "wasm")]
        tokio::join!(self.pool.shutdown(), self.wasm.shutdown());
        #[cfg(not(feature = "wasm"))]
        self.pool.shutdown().await;
    }
}

#[cfg(feature = "wasm")]
impl Runners {
    fn run_webassembly(&self, request: InvokeRequest) -> BoxFuture<'_, Result<Invocation, InvokeError>> {
        Box::pin(self.wasm.invoke(request))
    }

    async fn prepare_webassembly(&self, function: &FunctionSpec) -> Result<(), String> {
        self.wasm.prepare(function).await.map_err(|error| format!("WebAssembly: {error}"))
    }

    fn retire_webassembly(&self, place: &Place, name: &str, version: Option<&str>) {
        match version {
            None => self.wasm.retire(&place.account, &place.region, name),
            Some(version) => self.wasm.retire_version(&place.account, &place.region, name, version),
        }
    }
}

#[cfg(not(feature = "wasm"))]
impl Runners {
    fn run_webassembly(&self, _request: InvokeRequest) -> BoxFuture<'_, Result<Invocation, InvokeError>> {
        Box::pin(std::future::ready(Err(InvokeError::RuntimeUnavailable(WITHOUT.to_owned()))))
    }

    async fn prepare_webassembly(&self, _function: &FunctionSpec) -> Result<(), String> {
        Err(WITHOUT.to_owned())
    }

    fn retire_webassembly(&self, _place: &Place, _name: &str, _version: Option<&str>) {}
}

impl Runner for Runners {
    fn run(&self, request: InvokeRequest) -> BoxFuture<'_, Result<Invocation, InvokeError>> {
        match is_webassembly(&request.function.runtime) {
            true => self.run_webassembly(request),
            false => Runner::run(&self.pool, request),
        }
    }

    fn run_streaming(&self, request: InvokeRequest) -> BoxFuture<'_, Result<Answer, InvokeError>> {
        match is_webassembly(&request.function.runtime) {
            true => {
                Box::pin(async move { Ok(Answer::Whole(Box::new(self.run_webassembly(request).await?))) })
            }
            false => Runner::run_streaming(&self.pool, request),
        }
    }

    fn expect(&self, function: Needs) {
        if !is_webassembly(&function.runtime) {
            self.pool.expect(function);
        }
    }

    fn prepare<'a>(&'a self, function: &'a FunctionSpec) -> BoxFuture<'a, Result<(), String>> {
        match is_webassembly(&function.runtime) {
            true => Box::pin(self.prepare_webassembly(function)),
            false => Runner::prepare(&self.pool, function),
        }
    }

    fn compile<'a>(
        &'a self,
        function: &'a FunctionSpec,
        into: std::fs::File,
    ) -> BoxFuture<'a, Result<u64, InvokeError>> {
        Runner::compile(&self.pool, function, into)
    }

    fn limit_unreserved(&self, place: &Place, limit: usize) {
        // It counts the calls of both.
        Runner::limit_unreserved(&self.pool, place, limit);
    }

    fn provision(&self, place: &Place, name: &str, wanted: Vec<(Arc<FunctionSpec>, usize)>) {
        Runner::provision(&self.pool, place, name, wanted);
    }

    fn provisioned(&self, place: &Place, name: &str, version: &str) -> Option<Provisioned> {
        Runner::provisioned(&self.pool, place, name, version)
    }

    fn retire<'a>(&'a self, place: &'a Place, name: &'a str) -> BoxFuture<'a, ()> {
        self.retire_webassembly(place, name, None);
        Runner::retire(&self.pool, place, name)
    }

    fn retire_version<'a>(&'a self, place: &'a Place, name: &'a str, version: &'a str) -> BoxFuture<'a, ()> {
        self.retire_webassembly(place, name, Some(version));
        Runner::retire_version(&self.pool, place, name, version)
    }
}
