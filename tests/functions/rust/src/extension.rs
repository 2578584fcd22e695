//! An extension on AWS's own Rust crate (`lambda-extension`): prints every event that it is given, each as a line that begins
//! with `rust`; by the name `logs` also what it gets of the Logs API, by any other what it gets of the Telemetry API.

use lambda_extension::{
    Error, Extension, LambdaEvent, LambdaLog, LambdaTelemetry, LogBuffering, NextEvent, SharedService,
    service_fn,
};

/// Lines of its own are not what it wants to hear of: each would cause the next.
const TYPES: &[&str] = &["platform", "function"];

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let buffering = LogBuffering { timeout_ms: 25, ..LogBuffering::default() };
    let extension =
        Extension::new().with_events(&["INVOKE", "SHUTDOWN"]).with_events_processor(service_fn(told));
    // AWS lets an extension subscribe with one of the two only.
    if std::env::args().next().is_some_and(|program| program.ends_with("/logs")) {
        let extension = extension.with_log_types(TYPES).with_log_buffering(buffering);
        return extension.with_logs_processor(SharedService::new(service_fn(logged))).run().await;
    }
    let extension = extension.with_telemetry_types(TYPES).with_telemetry_buffering(buffering);
    extension.with_telemetry_processor(SharedService::new(service_fn(measured))).run().await
}

async fn told(event: LambdaEvent) -> Result<(), Error> {
    match event.next {
        NextEvent::Invoke(invoke) => println!("rust INVOKE {}", invoke.request_id),
        NextEvent::Shutdown(shutdown) => println!("rust SHUTDOWN {}", shutdown.shutdown_reason),
    }
    Ok(())
}

async fn logged(records: Vec<LambdaLog>) -> Result<(), Error> {
    records.iter().for_each(|log| println!("rust log {:?}", log.record));
    Ok(())
}

async fn measured(events: Vec<LambdaTelemetry>) -> Result<(), Error> {
    for event in events {
        println!("rust telemetry {}", serde_json::to_string(&event)?);
    }
    Ok(())
}
