//! Node.js functions, and programs that are their own runtime.

use std::sync::Arc;

use libtest_mimic::Trial;
use serde_json::json;

use crate::support::{Bench, NAME, trial};

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        trial("node_answers_with_its_context", answers),
        trial("node_takes_callbacks_and_modules", callbacks_and_modules),
        trial("node_errors_are_awss", errors),
        trial("node_load_errors_are_awss", load_errors),
        trial("node_logs_in_order", logs),
        trial("node_uncaught_errors_end_the_environment", uncaught),
        trial("custom_runtime_answers", custom_runtime),
        trial("custom_runtime_must_be_executable", custom_runtime_missing),
    ]
}

async fn answers() {
    let bench = Bench::new();
    let code = "
exports.handler = async (event, context) => ({
  got: event,
  name: context.functionName,
  memory: context.memoryLimitInMB,
  arn: context.invokedFunctionArn,
  id: context.awsRequestId,
  left: context.getRemainingTimeInMillis() > 19000,
  trace: process.env._X_AMZN_TRACE_ID.startsWith('Root=1-'),
  region: process.env.AWS_REGION,
});
";
    let function = Arc::new(bench.node(code));
    for _ in 0..2 {
        let answer = bench.again(&function, r#"{"a": "ü"}"#).await;
        let expected = json!({
            "got": {"a": "ü"},
            "name": format!("{NAME}-0"),
            "memory": "256",
            "arn": format!("arn:aws:lambda:us-east-1:000000000000:function:{NAME}-0"),
            "id": answer.0.record.request_id,
            "left": true,
            "trace": true,
            "region": "us-east-1",
        });
        assert_eq!(answer.result(), expected);
    }
    assert_eq!(bench.pool.stats().idle, 1);
}

async fn callbacks_and_modules() {
    let bench = Bench::new();
    let later =
        "exports.handler = (event, context, callback) => { setTimeout(() => callback(null, 7), 20); };";
    assert_eq!(bench.once(bench.node(later), "{}").await.result(), json!(7));
    let at_once = "exports.handler = (event, context, callback) => {
        context.callbackWaitsForEmptyEventLoop = false;
        setInterval(() => {}, 1000);
        callback(null, 8);
    };";
    assert_eq!(bench.once(bench.node(at_once), "{}").await.result(), json!(8));
    let silent = "exports.handler = () => {};";
    assert_eq!(bench.once(bench.node(silent), "{}").await.result(), json!(null));
    let module = "import os from 'node:os';\nexport const handler = async () => typeof os.cpus;\n";
    let function = bench.function("nodejs20.x", "index.handler", &[("index.mjs", module, 0o644)]);
    assert_eq!(bench.once(function, "{}").await.result(), json!("function"));
    let typed = [("src/index.js", module, 0o644), ("package.json", "{\"type\": \"module\"}", 0o644)];
    let function = bench.function("nodejs20.x", "src/index.handler", &typed);
    assert_eq!(bench.once(function, "{}").await.result(), json!("function"));
}

async fn errors() {
    let bench = Bench::new();
    let code = "
exports.handler = async (event) => {
  if (event === 1) throw new TypeError('no good');
  if (event === 2) throw 'a string';
  if (event === 3) return { big: 1n };
};
";
    let function = Arc::new(bench.node(code));
    let error = bench.again(&function, "1").await.error();
    assert_eq!((&error["errorType"], &error["errorMessage"]), (&json!("TypeError"), &json!("no good")));
    assert_eq!(error["trace"][0], "TypeError: no good");
    assert!(error["trace"][1].as_str().unwrap().contains("/var/task/index.js:3:"), "{error}");
    let error = bench.again(&function, "2").await.error();
    assert_eq!(error, json!({"errorType": "string", "errorMessage": "a string", "trace": []}));
    let error = bench.again(&function, "3").await.error();
    assert_eq!(error["errorType"], "Runtime.MarshalError");
    let logged = bench.all_logged().await.concat();
    let line =
        "\tERROR\tInvoke Error \t{\"errorType\":\"TypeError\",\"errorMessage\":\"no good\",\"stack\":[";
    assert!(logged.contains(line), "{logged}");
}

async fn load_errors() {
    let bench = Bench::new();
    let cases = [
        (
            "require('nothing-like-it');",
            "index.handler",
            "Runtime.ImportModuleError",
            "Cannot find module 'nothing-like-it'",
        ),
        ("", "absent.handler", "Runtime.ImportModuleError", "Error: Cannot find module 'absent'"),
        (
            "exports.other = 1;",
            "index.handler",
            "Runtime.HandlerNotFound",
            "index.handler is undefined or not exported",
        ),
        (
            "exports.handler = (;",
            "index.handler",
            "Runtime.UserCodeSyntaxError",
            "SyntaxError: Unexpected token ';'",
        ),
        ("", "index", "Runtime.MalformedHandlerName", "Bad handler"),
        ("throw new RangeError('at load');", "index.handler", "RangeError", "at load"),
    ];
    for (code, handler, kind, message) in cases {
        let function = bench.function("nodejs20.x", handler, &[("index.js", code, 0o644)]);
        let error = bench.once(function, "{}").await.error();
        assert_eq!(error["errorType"], kind, "{error}");
        assert!(error["errorMessage"].as_str().unwrap().contains(message), "{error}");
        assert!(error["trace"].is_array());
    }
}

async fn logs() {
    let bench = Bench::new();
    let code = "
exports.handler = async () => {
  console.log('one\\ntwo');
  console.error('three %s', { a: 1 });
  process.stdout.write('four\\n');
  console.debug('five');
};
";
    let answer = bench.once(bench.node(code), "{}").await;
    let id = answer.0.record.request_id.clone();
    let logged = bench.all_logged().await;
    assert_eq!(logged.len(), 8, "{logged:#?}");
    assert!(logged[2].starts_with("20") && logged[2].ends_with(&format!("Z\t{id}\tINFO\tone\ntwo\n")));
    assert!(logged[3].ends_with(&format!("\t{id}\tERROR\tthree {{ a: 1 }}\n")), "{logged:#?}");
    assert_eq!(logged[4], "four\n");
    assert!(logged[5].ends_with(&format!("\t{id}\tDEBUG\tfive\n")));
}

async fn uncaught() {
    let bench = Bench::new();
    let thrown =
        "exports.handler = () => new Promise(() => { setTimeout(() => { throw new Error('late'); }, 5); });";
    let error = bench.once(bench.node(thrown), "{}").await.error();
    assert_eq!((&error["errorType"], &error["errorMessage"]), (&json!("Error"), &json!("late")));
    let rejected = "exports.handler = () => { Promise.reject(new Error('lost')); return new Promise(() => setTimeout(() => {}, 9000)); };";
    let error = bench.once(bench.node(rejected), "{}").await.error();
    assert_eq!(error["errorType"], "Runtime.UnhandledPromiseRejection");
    assert_eq!(error["errorMessage"], "Error: lost");
    let exited = "exports.handler = async () => { process.exit(4); };";
    let error = bench.once(bench.node(exited), "{}").await.error();
    assert!(error["errorMessage"].as_str().unwrap().ends_with("Runtime exited with error: exit status 4"));
}

/// A shell script with curl, as in AWS's own tutorial: other connections, other habits than our bootstraps.
const SHELL_RUNTIME: &str = r#"#!/bin/bash
api="http://$AWS_LAMBDA_RUNTIME_API/2018-06-01/runtime"
while true; do
  headers=$(mktemp)
  event=$(curl -sS -D "$headers" "$api/invocation/next")
  id=$(grep -Fi Lambda-Runtime-Aws-Request-Id "$headers" | tr -d '[:space:]' | cut -d: -f2)
  echo "handling for $_HANDLER"
  curl -sS -o /dev/null -X POST "$api/invocation/$id/response" -d "{\"got\":$event}"
done
"#;

async fn custom_runtime() {
    let bench = Bench::new();
    let function = bench.function("provided.al2023", "my.handler", &[("bootstrap", SHELL_RUNTIME, 0o755)]);
    let function = Arc::new(function);
    for number in 0..3 {
        let answer = bench.again(&function, &number.to_string()).await;
        assert_eq!(answer.result(), json!({"got": number}));
        assert!(answer.tail().contains("\nhandling for my.handler\n"), "{}", answer.tail());
    }
    assert_eq!(bench.pool.stats().idle, 1);
}

async fn custom_runtime_missing() {
    let bench = Bench::new();
    let cases = [
        (&[][..], "Couldn't find valid bootstrap(s): [/var/task/bootstrap /opt/bootstrap]"),
        (&[("bootstrap", SHELL_RUNTIME, 0o644)][..], "fork/exec /var/task/bootstrap: permission denied"),
        (&[("bootstrap", "no program", 0o755)][..], "fork/exec /var/task/bootstrap: exec format error"),
        (
            &[("bootstrap", "#!/opt/nothing\n", 0o755)][..],
            "fork/exec /var/task/bootstrap: no such file or directory",
        ),
    ];
    for (files, message) in cases {
        let answer = bench.once(bench.function("provided.al2023", "h", files), "{}").await;
        let error = answer.error();
        assert_eq!(error["errorType"], "Runtime.InvalidEntrypoint", "{error}");
        assert!(error["errorMessage"].as_str().unwrap().ends_with(message), "{error}");
    }
}
