//! A function on AWS's own Rust runtime (`lambda_runtime`), deployed as `provided.al2023`.
//!
//! It does what the event's `do` says, as its fellows in other languages beside it do; see `README.md` there. Any other
//! event is returned as it came.

use std::sync::atomic::{AtomicU64, Ordering};

use lambda_runtime::streaming::{Body, channel};
use lambda_runtime::{
    Context, Error, FunctionResponse, LambdaEvent, MetadataPrelude, StreamResponse, run, service_fn,
};
use lambent_base::Clock;
use serde_json::{Value, json};

/// Calls that this environment has taken.
static CALLS: AtomicU64 = AtomicU64::new(0);

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    run(service_fn(handle)).await
}

async fn handle(event: LambdaEvent<Value>) -> Result<FunctionResponse<Value, Body>, Error> {
    let asked = event.payload.pointer("/queryStringParameters/do").unwrap_or(&event.payload["do"]);
    if asked == "stream" {
        return stream(event.payload).map(FunctionResponse::StreamingResponse);
    }
    answer(event).await.map(FunctionResponse::BufferedResponse)
}

/// Pieces of so many bytes, and perhaps an error after them.
fn stream(event: Value) -> Result<StreamResponse<Body>, Error> {
    let number = |name: &str| usize::try_from(event[name].as_u64().unwrap_or(3));
    let (pieces, bytes) = (number("pieces")?, number("bytes")?);
    let breaks = event["breaks"] == true;
    let (mut sender, stream) = channel();
    tokio::spawn(async move {
        for _ in 0..pieces {
            // Whoever took it has gone.
            if sender.send_data(vec![b'x'; bytes].into()).await.is_err() {
                return;
            }
        }
        if breaks {
            sender.abort();
        }
    });
    let mut metadata_prelude =
        MetadataPrelude { cookies: vec!["a=1".to_owned()], ..MetadataPrelude::default() };
    metadata_prelude.headers.insert("x-own", "yes".parse()?);
    Ok(StreamResponse { metadata_prelude, stream })
}

async fn answer(event: LambdaEvent<Value>) -> Result<Value, Error> {
    let LambdaEvent { payload, context } = event;
    let calls = CALLS.fetch_add(1, Ordering::Relaxed) + 1;
    match payload["do"].as_str() {
        Some("echo") => Ok(payload["value"].clone()),
        Some("big") => {
            let bytes = payload["bytes"].as_u64().unwrap_or_default();
            Ok(Value::String("x".repeat(usize::try_from(bytes)?)))
        }
        Some("context") => Ok(about(&context)),
        Some("count") => Ok(json!(calls)),
        Some("log") => {
            for line in payload["lines"].as_array().into_iter().flatten().filter_map(Value::as_str) {
                println!("{line}");
            }
            Ok(Value::Null)
        }
        Some("fail") => Err(text(&payload, "message").into()),
        Some("panic") => panic!("{}", text(&payload, "message")),
        Some("exit") => std::process::exit(i32::try_from(payload["status"].as_i64().unwrap_or(1))?),
        _ => Ok(payload),
    }
}

fn text<'a>(payload: &'a Value, name: &str) -> &'a str {
    payload[name].as_str().unwrap_or_default()
}

fn about(context: &Context) -> Value {
    let deadline_ms = i64::try_from(context.deadline).unwrap_or(i64::MAX);
    json!({
        "request": context.request_id,
        "arn": context.invoked_function_arn,
        "trace": context.xray_trace_id,
        "name": context.env_config.function_name,
        "version": context.env_config.version,
        "memory": context.env_config.memory.to_string(),
        "log_group": context.env_config.log_group,
        "log_stream": context.env_config.log_stream,
        "remaining_ms": deadline_ms - Clock::system().unix_ms(),
        "custom": context.client_context.as_ref().map(|client| &client.custom),
    })
}
