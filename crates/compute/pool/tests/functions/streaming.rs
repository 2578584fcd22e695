//! Results that are given on while they are made.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use base64::Engine;
use lambent_pool::{Answer, Invocation, Outcome, ResultStream};
use libtest_mimic::Trial;
use serde_json::{Value, json};

use crate::support::{Bench, trial};

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        trial("streams_come_while_they_are_made", while_made),
        trial("streams_may_describe_an_http_response", http),
        trial("streams_that_break_off_say_why", broken),
        trial("streams_of_crashed_runtimes_end", crashed),
        trial("streams_are_gathered_for_who_wants_them_whole", gathered),
        trial("streams_wait_for_who_takes_slowly", slow),
        trial("streams_that_nobody_takes_run_to_their_end", abandoned),
        trial("streams_of_custom_runtimes_end_with_trailers", custom_runtime),
    ]
}

fn stream(answer: Answer) -> ResultStream {
    match answer {
        Answer::Streamed(stream) => stream,
        Answer::Whole(invocation) => panic!("nothing streamed: {:?}", invocation.outcome),
    }
}

/// All that still comes, and the end.
async fn rest(mut stream: ResultStream) -> (Vec<u8>, Invocation) {
    let mut bytes = Vec::new();
    while let Some(piece) = stream.next().await {
        bytes.extend_from_slice(&piece);
    }
    (bytes, stream.end().await.unwrap())
}

fn error(invocation: &Invocation) -> Value {
    match &invocation.outcome {
        Outcome::FunctionError { payload, .. } => serde_json::from_slice(payload).unwrap(),
        Outcome::Success(_) => panic!("the function did not fail"),
    }
}

/// The second half is written when the file is there.
async fn while_made() {
    let (bench, meeting) = Bench::meeting(2);
    let code = "
const http = require('http');
const wait = () => new Promise((resolve) => http.get(process.env.AWS_ENDPOINT_URL, (answer) => {
  answer.resume();
  answer.on('end', resolve);
}));
exports.handler = awslambda.streamifyResponse(async (event, stream, context) => {
  stream.setContentType('text/plain');
  stream.write(`first ${event.n} ${context.awsRequestId.length} `);
  await wait();
  stream.write({ second: true });
  stream.end();
});
";
    let function = Arc::new(bench.node(code));
    for number in 0..3 {
        meeting.want(meeting.present() + 2);
        let mut stream = stream(bench.streamed(&function, &format!("{{\"n\":{number}}}")).await);
        assert_eq!(stream.content_type.as_deref(), Some("text/plain"));
        assert_eq!(stream.next().await.unwrap(), format!("first {number} 36 "));
        // Only now can it go on.
        meeting.join();
        let (bytes, end) = rest(stream).await;
        assert_eq!(String::from_utf8(bytes).unwrap(), "{\"second\":true}");
        assert!(matches!(end.outcome, Outcome::Success(payload) if payload.is_empty()));
        assert_eq!(end.record.error_type, None);
    }
    assert_eq!(bench.pool.stats().idle, 1, "the environment serves them all");
}

async fn http() {
    let bench = Bench::new();
    let code = "
const { Readable } = require('stream');
const { pipeline } = require('stream/promises');
exports.handler = awslambda.streamifyResponse(async (event, stream) => {
  stream = awslambda.HttpResponseStream.from(stream, { statusCode: 201, headers: { a: 'b' } });
  if (event.empty) return stream.end();
  await pipeline(Readable.from(['x', 'y']), stream);
});
";
    let function = Arc::new(bench.node(code));
    for (event, body) in [("{}", "xy"), ("{\"empty\":1}", "")] {
        let stream = stream(bench.streamed(&function, event).await);
        assert_eq!(
            stream.content_type.as_deref(),
            Some("application/vnd.awslambda.http-integration-response")
        );
        let (bytes, _) = rest(stream).await;
        let expected = format!("{{\"statusCode\":201,\"headers\":{{\"a\":\"b\"}}}}\0\0\0\0\0\0\0\0{body}");
        assert_eq!(String::from_utf8(bytes).unwrap(), expected);
    }
}

const FAILING: &str = "
const { Readable } = require('stream');
const { pipeline } = require('stream/promises');
exports.handler = awslambda.streamifyResponse(async (event, stream) => {
  if (event.first) stream.write(event.first);
  if (event.how === 'throw') throw new RangeError('too far');
  if (event.how === 'source') {
    await pipeline(new Readable({ read() { this.destroy(new RangeError('too far')); } }), stream);
  }
  if (event.how === 'late') setTimeout(() => { throw new RangeError('too far'); }, 5);
  if (event.how === 'exit') setTimeout(() => process.exit(3), 5);
  if (event.how !== 'open') await new Promise((resolve) => setTimeout(resolve, 5000));
});
";

async fn broken() {
    let bench = Bench::new();
    let function = Arc::new(bench.node(FAILING));
    for how in ["throw", "source", "late"] {
        let event = json!({ "first": "begun", "how": how }).to_string();
        let (bytes, end) = rest(stream(bench.streamed(&function, &event).await)).await;
        assert_eq!(bytes, b"begun", "{how}");
        let error = error(&end);
        assert_eq!((&error["errorType"], &error["errorMessage"]), (&json!("RangeError"), &json!("too far")));
        assert_eq!(end.record.error_type.as_deref(), Some("RangeError"));
        assert!(String::from_utf8_lossy(&end.log_tail).contains("RangeError"), "{how}");
    }
    let event = r#"{"first": "begun", "how": "open"}"#;
    let (_, end) = rest(stream(bench.streamed(&function, event).await)).await;
    assert_eq!(error(&end)["errorMessage"], "Response stream is not finished.");
    // What fails before it begins has no stream.
    match bench.streamed(&function, r#"{"how": "throw"}"#).await {
        Answer::Whole(invocation) => assert_eq!(error(&invocation)["errorType"], "RangeError"),
        Answer::Streamed(_) => panic!("it began"),
    }
}

async fn crashed() {
    let bench = Bench::new();
    let function = Arc::new(bench.node(FAILING));
    let event = r#"{"first": "begun", "how": "exit"}"#;
    let (bytes, end) = rest(stream(bench.streamed(&function, event).await)).await;
    assert_eq!(bytes, b"begun");
    let kind = end.record.error_type.unwrap();
    assert!(["Runtime.ExitError", "Runtime.TruncatedResponse"].contains(&kind.as_str()), "{kind}");
    assert_eq!(bench.pool.stats().idle, 0);
    let event = r#"{"first": "begun", "how": "throw"}"#;
    assert_eq!(rest(stream(bench.streamed(&function, event).await)).await.0, b"begun");
}

async fn gathered() {
    let bench = Bench::new();
    let code = "
exports.handler = awslambda.streamifyResponse(async (event, stream) => {
  for (let at = 0; at < event.count; at++) stream.write('\"' + 'x'.repeat(65534) + '\"');
  if (event.fail) throw new Error('no more');
  stream.end();
});
";
    let function = Arc::new(bench.node(code));
    let whole = bench.call(&function, r#"{"count": 2}"#).await.unwrap();
    assert!(matches!(whole.outcome, Outcome::Success(payload) if payload.len() == 2 * 65_536));
    let failed = bench.again(&function, r#"{"count": 2, "fail": true}"#).await;
    assert_eq!(failed.error()["errorMessage"], "no more");
    let large = bench.again(&function, r#"{"count": 97}"#).await;
    assert_eq!(large.error()["errorType"], "Function.ResponseSizeTooLarge");
    assert_eq!(bench.again(&function, r#"{"count": 1}"#).await.result().as_str().unwrap().len(), 65_534);
}

/// Writes as long as it is let.
const ENDLESS: &str = "
const piece = Buffer.alloc(65536, 'x');
exports.handler = awslambda.streamifyResponse(async (event, stream) => {
  for (;;) {
    if (!stream.write(piece)) await new Promise((resolve) => stream.once('drain', resolve));
  }
});
";
/// More than sockets and buffers between the function and the taker hold.
const HELD_BYTES_MAX: usize = 32 << 20;

async fn slow() {
    let bench = Bench::new();
    let mut function = bench.node(ENDLESS);
    function.timeout_ms = 1_500;
    let function = Arc::new(function);
    let mut stream = stream(bench.streamed(&function, "{}").await);
    assert!(stream.next().await.is_some());
    // It is taken up again when the function's time is over.
    while bench.sink.records.lock().unwrap().is_empty() {
        tokio::task::yield_now().await;
    }
    let (bytes, end) = rest(stream).await;
    assert!(bytes.len() < HELD_BYTES_MAX, "{} bytes came although nobody took them", bytes.len());
    assert!(end.record.timed_out);
    assert_eq!(error(&end)["errorType"], "Sandbox.Timedout");
}

async fn abandoned() {
    let bench = Bench::new();
    let code = "
const piece = Buffer.alloc(65536, 'x');
exports.handler = awslambda.streamifyResponse(async (event, stream) => {
  for (let at = 0; at < 800; at++) {
    if (!stream.write(piece)) await new Promise((resolve) => stream.once('drain', resolve));
  }
  console.log('all written');
  stream.end();
});
";
    let function = Arc::new(bench.node(code));
    drop(stream(bench.streamed(&function, "{}").await));
    while bench.sink.records.lock().unwrap().is_empty() {
        tokio::task::yield_now().await;
    }
    assert_eq!(bench.sink.records.lock().unwrap()[0].error_type, None);
    let logged = bench.all_logged().await;
    assert!(logged.iter().any(|line| line.contains("all written")), "{logged:#?}");
    assert!(bench.sink.lines.load(Ordering::SeqCst) > 0);
}

/// As AWS's page on custom runtimes says it, over a connection of its own.
const RAW_RUNTIME: &str = r#"#!/bin/bash
api="http://$AWS_LAMBDA_RUNTIME_API/2018-06-01/runtime"
while true; do
  headers=$(mktemp)
  curl -sS -o /dev/null -D "$headers" "$api/invocation/next"
  id=$(grep -Fi Lambda-Runtime-Aws-Request-Id "$headers" | tr -d '[:space:]' | cut -d: -f2)
  exec 5<>/dev/tcp/127.0.0.1/9001
  printf 'POST /2018-06-01/runtime/invocation/%s/response HTTP/1.1\r\nHost: x\r\n' "$id" >&5
  printf 'Content-Type: text/x\r\nLambda-Runtime-Function-Response-Mode: streaming\r\n' >&5
  printf 'Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n' >&5
  printf 'Lambda-Runtime-Function-Error-Type: Own.Error\r\n' >&5
  printf 'Lambda-Runtime-Function-Error-Body: BODY\r\n\r\n' >&5
  read -r status <&5
  echo "answered $status"
  exec 5>&-
done
"#;

async fn custom_runtime() {
    let bench = Bench::new();
    let body = r#"{"errorMessage":"own words","errorType":"Own.Error"}"#;
    let runtime = RAW_RUNTIME.replace("BODY", &base64::engine::general_purpose::STANDARD.encode(body));
    let function = Arc::new(bench.function("provided.al2023", "h", &[("bootstrap", &runtime, 0o755)]));
    for _ in 0..2 {
        let stream = stream(bench.streamed(&function, "{}").await);
        assert_eq!(stream.content_type.as_deref(), Some("text/x"));
        let (bytes, end) = rest(stream).await;
        assert_eq!(bytes, b"abc");
        assert_eq!(error(&end)["errorMessage"], "own words");
        assert_eq!(end.record.error_type.as_deref(), Some("Own.Error"));
    }
    assert_eq!(bench.pool.stats().idle, 1);
}
