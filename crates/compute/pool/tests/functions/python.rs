//! Python functions: results, errors, logs, context.

use libtest_mimic::Trial;
use serde_json::json;

use crate::support::{Bench, NAME, trial};

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        trial("python_answers_with_its_context", answers),
        trial("python_handler_errors_are_awss", handler_errors),
        trial("python_load_errors_are_awss", load_errors),
        trial("python_exits_are_reported", exits),
        trial("python_logs_in_order", logs),
        trial("python_results_must_be_json", results_must_be_json),
        trial("python_handler_in_a_folder", handler_in_a_folder),
        trial("python_sees_its_variables", variables),
        trial("python_of_another_version_says_so", other_version),
        trial("python_reaches_the_platform", endpoint),
    ]
}

async fn answers() {
    let bench = Bench::new();
    let code = "
def handler(event, context):
    return {
        'got': event,
        'name': context.function_name,
        'version': context.function_version,
        'memory': context.memory_limit_in_mb,
        'arn': context.invoked_function_arn,
        'group': context.log_group_name,
        'left': 19000 < context.get_remaining_time_in_millis() <= 20000,
        'id': context.aws_request_id,
        'client': context.client_context,
        'identity': context.identity.cognito_identity_id,
    }
";
    let answer = bench.once(bench.python(code), r#"{"a": [1, "ü"]}"#).await;
    let id = &answer.0.record.request_id;
    let expected = json!({
        "got": {"a": [1, "ü"]},
        "name": format!("{NAME}-0"),
        "version": "$LATEST",
        "memory": "256",
        "arn": format!("arn:aws:lambda:us-east-1:000000000000:function:{NAME}-0"),
        "group": format!("/aws/lambda/{NAME}-0"),
        "left": true,
        "id": id,
        "client": null,
        "identity": null,
    });
    assert_eq!(answer.result(), expected);
    let record = &answer.0.record;
    assert!(record.init_ms.is_some_and(|ms| ms > 0.0) && record.duration_ms > 0.0);
    assert!(record.max_memory_mib > 0 && record.max_memory_mib <= 256);
    assert_eq!(bench.sink.records.lock().unwrap().as_slice(), std::slice::from_ref(record));
}

async fn handler_errors() {
    let bench = Bench::new();
    let code = "import os\ndef handler(event, context):\n    raise Exception(\"Handler fails\")\n";
    let answer = bench.once(bench.python(code), "{}").await;
    let expected = json!({
        "errorMessage": "Handler fails",
        "errorType": "Exception",
        "requestId": answer.0.record.request_id,
        "stackTrace": ["  File \"/var/task/app.py\", line 3, in handler\n    raise Exception(\"Handler fails\")\n"],
    });
    assert_eq!(answer.error(), expected);
    assert_eq!(answer.0.record.error_type.as_deref(), Some("Exception"));
    let expected = "[ERROR] Exception: Handler fails\nTraceback (most recent call last):\n\
        \u{a0}\u{a0}File \"/var/task/app.py\", line 3, in handler\n\
        \u{a0}\u{a0}\u{a0}\u{a0}raise Exception(\"Handler fails\")";
    let logged = bench.all_logged().await;
    assert!(logged.contains(&expected.to_owned()), "{logged:#?}");
}

async fn load_errors() {
    let bench = Bench::new();
    let cases = [
        ("import nothing_like_it\n", "app.handler", "Runtime.ImportModuleError"),
        ("", "absent.handler", "Runtime.ImportModuleError"),
        ("x = 1\n", "app.handler", "Runtime.HandlerNotFound"),
        ("def handler(:\n", "app.handler", "Runtime.UserCodeSyntaxError"),
        ("x = 1\n", "handler", "Runtime.MalformedHandlerName"),
        ("raise Exception('Runtime startup fails')\n", "app.handler", "Exception"),
    ];
    let messages = [
        "Unable to import module 'app': No module named 'nothing_like_it'",
        "Unable to import module 'absent': No module named 'absent'",
        "Handler 'handler' missing on module 'app'",
        "Syntax error in module 'app': invalid syntax (app.py, line 1)",
        "Bad handler 'handler': not enough values to unpack (expected 2, got 1)",
        "Runtime startup fails",
    ];
    for ((code, handler, kind), message) in cases.into_iter().zip(messages) {
        let function = bench.function("python3.11", handler, &[("app.py", code, 0o644)]);
        let answer = bench.once(function, "{}").await;
        let error = answer.error();
        assert_eq!((&error["errorType"], &error["errorMessage"]), (&json!(kind), &json!(message)), "{code}");
        assert_eq!(error["requestId"], json!(""));
        assert_eq!(answer.0.record.init_ms, None);
    }
    let logged = bench.all_logged().await.concat();
    assert!(
        logged.contains("\tPhase: init\tStatus: error\tError Type: Runtime.HandlerNotFound\n"),
        "{logged}"
    );
}

async fn exits() {
    let bench = Bench::new();
    for (how, message) in [
        ("sys.exit(0)", "Runtime exited without providing a reason"),
        ("sys.exit(3)", "Runtime exited with error: exit status 3"),
        ("os._exit(1)", "Runtime exited with error: exit status 1"),
        ("os.kill(os.getpid(), 9)", "Runtime exited with error: signal: killed"),
        ("os.abort()", "Runtime exited with error: signal: aborted"),
    ] {
        let code = format!("import os, sys\ndef handler(event, context):\n    print('bye')\n    {how}\n");
        let answer = bench.once(bench.python(&code), "{}").await;
        let id = answer.0.record.request_id.clone();
        let message = format!("RequestId: {id} Error: {message}");
        assert_eq!(answer.error(), json!({"errorType": "Runtime.ExitError", "errorMessage": message}));
        let tail = answer.tail();
        assert!(
            tail.contains(&format!("bye\n{message}\nRuntime.ExitError\nEND RequestId: {id}\n")),
            "{tail}"
        );
        assert!(tail.contains("Status: error\tError Type: Runtime.ExitError\n"), "{tail}");
    }
}

async fn logs() {
    let bench = Bench::new();
    let code = "
import logging, sys
print('loading')
logging.getLogger().setLevel(logging.INFO)
def handler(event, context):
    print('one\\ntwo')
    logging.info('three\\nlines')
    print('four', file=sys.stderr)
    sys.stdout.write('five')
";
    let function = std::sync::Arc::new(bench.python(code));
    let answer = bench.again(&function, "{}").await;
    let id = answer.0.record.request_id.clone();
    let tail = answer.tail();
    assert!(
        tail.starts_with(&format!("START RequestId: {id} Version: $LATEST\none\ntwo\n[INFO]\t")),
        "{tail}"
    );
    let warm = bench.again(&function, "{}").await;
    assert!(
        !warm.tail().contains("Init Duration") && warm.tail().contains("\nfive\nEND "),
        "{}",
        warm.tail()
    );
    let logged = bench.all_logged().await;
    let of_first: Vec<&str> = logged[..10].iter().map(String::as_str).collect();
    assert!(of_first[0].starts_with("INIT_START Runtime Version: python:3.11.v1\t"), "{logged:#?}");
    assert_eq!(
        of_first[1..5],
        ["loading\n", &format!("START RequestId: {id} Version: $LATEST\n"), "one\n", "two\n"]
    );
    assert!(
        of_first[5].starts_with("[INFO]\t20") && of_first[5].ends_with(&format!("Z\t{id}\tthree\nlines\n"))
    );
    assert_eq!(of_first[6..9], ["four\n", "five", &format!("END RequestId: {id}\n")]);
    assert!(of_first[9].starts_with(&format!("REPORT RequestId: {id}\tDuration: ")));
}

async fn results_must_be_json() {
    let bench = Bench::new();
    let code = "
from decimal import Decimal
def handler(event, context):
    return {'set': {1}, 'decimal': [Decimal('1.5'), Decimal(2)], 'nothing': None}[event]
";
    let function = std::sync::Arc::new(bench.python(code));
    let error = bench.again(&function, "\"set\"").await.error();
    assert_eq!(error["errorType"], "Runtime.MarshalError");
    assert_eq!(
        error["errorMessage"],
        "Unable to marshal response: Object of type set is not JSON serializable"
    );
    assert_eq!(bench.again(&function, "\"decimal\"").await.result(), json!([1.5, 2]));
    assert_eq!(bench.again(&function, "\"nothing\"").await.result(), json!(null));
    let error = bench.again(&function, "not json").await.error();
    assert_eq!(error["errorType"], "Runtime.UnmarshalError");
}

async fn handler_in_a_folder() {
    let bench = Bench::new();
    let files = [
        ("deep/er/mod.py", "from deep.er import other\ndef run(e, c): return other.value\n", 0o644),
        ("deep/er/other.py", "value = 5\n", 0o644),
    ];
    let answer = bench.once(bench.function("python3.11", "deep/er/mod.run", &files), "{}").await;
    assert_eq!(answer.result(), json!(5));
}

async fn variables() {
    let bench = Bench::new();
    let code = "
import os, sys
def handler(event, context):
    first = os.environ['_X_AMZN_TRACE_ID'].split(';')[0]
    return [dict(os.environ), first.startswith('Root=1-'), sys.path[0], os.getcwd(), os.access('/tmp', os.W_OK)]
";
    let mut function = bench.python(code);
    function.environment = vec![("COLOUR".to_owned(), "red".to_owned())];
    let result = bench.once(function, "{}").await.result();
    let variables = &result[0];
    for (name, value) in [
        ("COLOUR", "red"),
        ("AWS_REGION", "us-east-1"),
        ("AWS_ACCESS_KEY_ID", "ASIATEST"),
        ("AWS_SESSION_TOKEN", "token"),
        ("AWS_ENDPOINT_URL", "http://127.0.0.1:4566"),
        ("AWS_EXECUTION_ENV", "AWS_Lambda_python3.11"),
        ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "256"),
        ("LAMBDA_TASK_ROOT", "/var/task"),
        ("TZ", ":UTC"),
        ("_HANDLER", "app.handler"),
    ] {
        assert_eq!(variables[name], value, "{name}");
    }
    assert_eq!(
        result.as_array().unwrap()[1..],
        [json!(true), json!("/var/task"), json!("/var/task"), json!(true)]
    );
}

async fn other_version() {
    let bench = Bench::new();
    let code = "def handler(event, context): return 1\n";
    let function = bench.function("python3.99", "app.handler", &[("app.py", code, 0o644)]);
    assert_eq!(bench.once(function, "{}").await.result(), json!(1));
    let logged = bench.all_logged().await.concat();
    assert!(logged.contains("python3.99 is not installed on this host"), "{logged}");
}

async fn endpoint() {
    let bench = Bench::new();
    let code = "
import os, urllib.request
def handler(event, context):
    return urllib.request.urlopen(os.environ['AWS_ENDPOINT_URL']).read().decode()
";
    assert_eq!(bench.once(bench.python(code), "{}").await.result(), json!("hello"));
}
