//! The engine's settings: every compiled component depends on them.

use wasmtime::{Config, Enabled, Engine, InstanceAllocationStrategy, PoolingAllocationConfig};

use crate::error::WasmError;
use crate::limits::{
    CORE_INSTANCES_EACH, INSTANCE_BYTES_MAX, INSTANCES_MAX, KEEP_RESIDENT_BYTES, MEMORIES_EACH,
    MEMORY_BYTES_MAX, TABLE_ELEMENTS_MAX, TABLES_EACH, WARM_PLACES_MAX,
};

/// One engine for all functions, whose instances have places that are there before them.
pub(crate) fn engine() -> Result<Engine, WasmError> {
    Engine::new(&config(Enabled::Auto)).map_err(WasmError::Engine)
}

fn config(pagemap_scan: Enabled) -> Config {
    let mut places = PoolingAllocationConfig::new();
    places
        .total_component_instances(INSTANCES_MAX)
        .total_core_instances(4 * INSTANCES_MAX)
        .total_memories(INSTANCES_MAX)
        .total_tables(2 * INSTANCES_MAX)
        .total_stacks(INSTANCES_MAX)
        .max_core_instances_per_component(CORE_INSTANCES_EACH)
        .max_memories_per_component(MEMORIES_EACH)
        .max_tables_per_component(TABLES_EACH)
        .table_elements(TABLE_ELEMENTS_MAX)
        .max_component_instance_size(INSTANCE_BYTES_MAX)
        .max_core_instance_size(INSTANCE_BYTES_MAX)
        .max_memory_size(MEMORY_BYTES_MAX)
        .linear_memory_keep_resident(KEEP_RESIDENT_BYTES)
        .table_keep_resident(KEEP_RESIDENT_BYTES)
        .async_stack_keep_resident(KEEP_RESIDENT_BYTES)
        .max_unused_warm_slots(WARM_PLACES_MAX)
        .pagemap_scan(pagemap_scan);
    let mut config = Config::new();
    config
        .epoch_interruption(true)
        .wasm_component_model(true)
        // A stack trace of a trap tells names, which the component has, and no lines, which take long to find.
        .wasm_backtrace_details(wasmtime::WasmBacktraceDetails::Disable)
        .allocation_strategy(InstanceAllocationStrategy::Pooling(places));
    config
}
