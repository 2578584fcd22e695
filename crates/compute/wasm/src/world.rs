//! What `wit/function.wit` says, in Rust.

mod generated {
    wasmtime::component::bindgen!({
        path: "wit",
        world: "lambent:function/function",
        exports: { default: async },
    });
}

pub(crate) use generated::exports::lambent::function::handler::{Context, Failure};
pub(crate) use generated::{Function, FunctionPre};
