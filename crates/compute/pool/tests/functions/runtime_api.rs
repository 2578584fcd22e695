//! What the Runtime API answers, request by request, as AWS's own server of it does.

use std::sync::Arc;

use libtest_mimic::Trial;
use serde_json::{Value, json};

use crate::support::{Bench, trial};

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        trial("the_runtime_api_answers_as_awss_does", answers),
        trial("the_runtime_api_names_what_is_wrong_with_a_response", responses),
    ]
}

/// Asks what it should not, and answers its second event with all that it was told.
const ASKER: &str = r#"#!/usr/bin/python3
import http.client, json, os
OTHER = "00000000-0000-0000-0000-000000000000"
def ask(method, path, body=None, **headers):
    connection = http.client.HTTPConnection(os.environ["AWS_LAMBDA_RUNTIME_API"])
    connection.request(method, path, body, {name.replace("_", "-"): value for name, value in headers.items()})
    answer = connection.getresponse()
    text = answer.read().decode()
    told.append([answer.status, json.loads(text) if text.startswith("{") else text])
    return answer, text
runtime = "/2018-06-01/runtime/"
told = []
def next_id():
    answer, _ = ask("GET", runtime + "invocation/next")
    told.pop()
    return answer.headers["Lambda-Runtime-Aws-Request-Id"]
ask("POST", f"{runtime}invocation/{OTHER}/response", "1")
ask("GET", "/2018-06-01/ping")
ask("GET", runtime + "restore/next")
ask("POST", runtime + "restore/error", "{}")
ask("GET", runtime + "nothing")
ask("POST", runtime + "invocation/next")
ask("GET", "/2020-01-01/extension/event/next")
ask("GET", "/2020-01-01/extension/event/next", Lambda_Extension_Identifier="nobody")
ask("GET", "/2020-01-01/extension/event/next", Lambda_Extension_Identifier=OTHER)
id = next_id()
ask("GET", runtime + "invocation/next")
ask("POST", f"{runtime}invocation/{OTHER}/response", "1")
ask("POST", f"{runtime}invocation/{OTHER}/error", "{}")
ask("GET", f"{runtime}invocation/{id}/response")
ask("POST", runtime + "init/error", "{}")
ask("POST", runtime + "code", "1")
ask("POST", f"{runtime}invocation/{id}/response", '"first"')
ask("POST", f"{runtime}invocation/{id}/response", '"second"')
ask("POST", f"{runtime}invocation/{id}/error", "{}")
last, id = id, next_id()
ask("POST", f"{runtime}invocation/{last}/response", '"late"')
ask("POST", f"{runtime}invocation/{id}/response", json.dumps(told))
while True:
    id = next_id()
    ask("POST", f"{runtime}invocation/{id}/response", "x" * 6_291_557)
    id = next_id()
    ask("POST", f"{runtime}invocation/{id}/response", "1", Lambda_Runtime_Function_Response_Mode="odd")
    print(told[-2:], flush=True)
    id = next_id()
    ask("POST", f"{runtime}invocation/{id}/error", '{"errorType": "Own"}', Lambda_Runtime_Function_Error_Type="Own.Kind")
"#;

fn refusal(kind: &str, message: &str) -> Value {
    json!({ "errorType": kind, "errorMessage": message })
}

fn transition(from: &str, to: &str) -> Value {
    let why = "State transition is not allowed";
    let message = format!("State transition from {from} to {to} failed for runtime. Error: {why}");
    json!([403, refusal("InvalidStateTransition", &message)])
}

async fn answers() {
    let bench = Bench::new();
    let function = bench.function("provided.al2023", "h", &[("bootstrap", ASKER, 0o755)]);
    let function = Arc::new(function);
    assert_eq!(bench.again(&function, "{\"n\": 1}").await.result(), json!("first"));
    let told = bench.again(&function, "{}").await.result();
    let nothing = json!([404, "404 page not found\n"]);
    let wrong_id = json!([400, refusal("InvalidRequestID", "Invalid request ID")]);
    let extension = |kind: &str, message: &str| json!([403, refusal(&format!("Extension.{kind}"), message)]);
    let expected = json!([
        wrong_id,
        [200, "pong"],
        nothing,
        nothing,
        nothing,
        [405, ""],
        extension("MissingExtensionIdentifier", "Missing Lambda-Extension-Identifier header"),
        extension("InvalidExtensionIdentifier", "Invalid Lambda-Extension-Identifier"),
        extension(
            "UnknownExtensionIdentifier",
            "Unknown extension 00000000-0000-0000-0000-000000000000"
        ),
        // Who asks again without having answered gets the same event again.
        [200, { "n": 1 }],
        wrong_id,
        wrong_id,
        [405, ""],
        transition("Running", "InitError"),
        nothing,
        [202, { "status": "OK" }],
        transition("RuntimeResponseSentState", "InvocationResponse"),
        transition("RuntimeResponseSentState", "InvocationErrorResponse"),
        wrong_id,
    ]);
    for (number, (told, expected)) in
        told.as_array().unwrap().iter().zip(expected.as_array().unwrap()).enumerate()
    {
        assert_eq!(told, expected, "answer {number}");
    }
    assert_eq!(told.as_array().unwrap().len(), expected.as_array().unwrap().len());
}

async fn responses() {
    let bench = Bench::new();
    let function = bench.function("provided.al2023", "h", &[("bootstrap", ASKER, 0o755)]);
    let function = Arc::new(function);
    for _ in 0..2 {
        bench.again(&function, "{}").await.result();
    }
    assert_eq!(bench.again(&function, "{}").await.error()["errorType"], "Function.ResponseSizeTooLarge");
    let odd = bench.again(&function, "{}").await.error();
    assert_eq!(odd, refusal("Runtime.InvalidResponseModeHeader", "Invalid function response mode"));
    let own = bench.again(&function, "{}").await;
    assert_eq!(own.error(), json!({ "errorType": "Own" }));
    assert_eq!(own.0.record.error_type.as_deref(), Some("Own.Kind"));
    let log = bench.all_logged().await.concat();
    assert!(
        log.contains("[[413, {'errorMessage': 'Exceeded maximum allowed payload size (6291556 bytes)."),
        "{log}"
    );
    assert!(log.contains("'errorType': 'RequestEntityTooLarge'}], [400, {"), "{log}");
    assert!(log.contains("'errorType': 'InvalidFunctionResponseMode'}]]"), "{log}");
}
