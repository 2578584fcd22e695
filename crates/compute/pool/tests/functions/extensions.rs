//! Extensions: programs of layers beside a runtime, what they are told, and what their failures mean.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use lambent_pool::{FunctionSpec, Outcome};

use libtest_mimic::Trial;

use crate::support::{Bench, trial};

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        trial("extensions_run_beside_every_kind_of_runtime", they_run_beside_every_kind_of_runtime),
        trial("an_extension_that_fails_fails_the_call", one_that_fails_fails_the_call),
        trial(
            "an_extension_that_hangs_ends_with_the_functions_time",
            one_that_hangs_ends_with_the_functions_time,
        ),
        trial("callers_do_not_wait_for_extensions", callers_do_not_wait_for_extensions),
        trial("takers_of_streams_do_not_wait_for_extensions", takers_do_not_wait_for_extensions),
        trial("an_answer_stands_when_extensions_take_too_long", an_answer_stands),
        trial("runtimes_with_extensions_are_asked_to_end", runtimes_are_asked_to_end),
        trial("runtimes_that_do_not_end_are_killed", runtimes_that_do_not_end_are_killed),
        trial("a_runtime_ends_before_its_extensions_are_told", a_runtime_ends_before_its_extensions_are_told),
        trial("telemetry_reaches_a_listener_inside", telemetry_reaches_a_listener_inside),
    ]
}

/// Registers, says what it is told, and subscribes to telemetry where it is told to.
const WATCHER: &str = r#"#!/usr/bin/python3
import http.server, json, os, sys, threading, urllib.request
api = "http://" + os.environ["AWS_LAMBDA_RUNTIME_API"]
def call(path, method="GET", body=None, **headers):
    data = None if body is None else json.dumps(body).encode()
    headers = {name.replace("_", "-"): value for name, value in headers.items()}
    request = urllib.request.Request(api + path, data, headers, method=method)
    with urllib.request.urlopen(request) as answer:
        return answer.headers, answer.read()
def register(name, events):
    headers, body = call("/2020-01-01/extension/register", "POST", {"events": events}, Lambda_Extension_Name=name,
                         Lambda_Extension_Accept_Feature="accountId")
    print("registered", json.dumps(json.loads(body), sort_keys=True), flush=True)
    return headers["Lambda-Extension-Identifier"]
def next(own):
    return json.loads(call("/2020-01-01/extension/event/next", Lambda_Extension_Identifier=own)[1])
mode = os.environ.get("MODE", "")
if mode == "hangs": threading.Event().wait()
if mode == "dies at once": sys.exit(3)
own = register(os.path.basename(sys.argv[0]), ["INVOKE", "SHUTDOWN"])
if mode == "registers twice": register(os.path.basename(sys.argv[0]), ["INVOKE"])
if mode == "cannot start":
    call("/2020-01-01/extension/init/error", "POST", {"errorMessage": "no", "errorType": "Own.Problem"},
         Lambda_Extension_Identifier=own, Lambda_Extension_Function_Error_Type="Own.Problem")
    sys.exit(1)
if mode == "telemetry":
    reported = threading.Event()
    class Taker(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            for event in json.loads(self.rfile.read(int(self.headers["Content-Length"]))):
                print("telemetry", event["type"], json.dumps(event["record"]), flush=True)
                if event["type"] == "platform.report": reported.set()
            self.send_response(200)
            self.end_headers()
        def log_message(self, *_): pass
    server = http.server.HTTPServer(("sandbox.localdomain", 4243), Taker)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    _, said = call("/2022-07-01/telemetry", "PUT", {"schemaVersion": "2022-12-13", "types": ["platform", "function"],
        "buffering": {"timeoutMs": 25}, "destination": {"protocol": "HTTP", "URI": "http://sandbox.localdomain:4243/"}},
        Lambda_Extension_Identifier=own)
    print("subscribed", said.decode(), flush=True)
while True:
    event = next(own)
    print("event", event["eventType"], event.get("shutdownReason", event.get("requestId")), flush=True)
    if event["eventType"] == "SHUTDOWN":
        if mode == "looks":
            others = []
            for pid in filter(str.isdigit, os.listdir("/proc")):
                try: words = open(f"/proc/{pid}/cmdline").read()
                except OSError: continue
                if words and "extensions/watcher" not in words: others.append(pid + " " + words)
            print("beside", [one for one in others if not one.startswith("1 ")], flush=True)
        if mode == "telemetry": reported.wait(1.5)
        os._exit(0)
    if mode == "dies in a call": os._exit(4)
    if mode == "busy": urllib.request.urlopen(os.environ["AWS_ENDPOINT_URL"]).read()
    if mode == "endless": threading.Event().wait()
"#;

const HANDLER: &str =
    "print('loaded')\ndef handler(event, context):\n    print('called')\n    return event\n";

fn with_extension(bench: &Bench, function: FunctionSpec, mode: &str) -> FunctionSpec {
    let opt_dir = layer(bench.dir.path(), WATCHER);
    FunctionSpec {
        opt_dir: Some(opt_dir),
        extensions: vec!["watcher".to_owned()],
        environment: vec![("MODE".to_owned(), mode.to_owned())],
        ..function
    }
}

fn layer(dir: &Path, program: &str) -> PathBuf {
    use std::os::unix::fs::PermissionsExt;
    let opt_dir = dir.join("opt");
    let file = opt_dir.join("extensions/watcher");
    std::fs::create_dir_all(file.parent().unwrap()).unwrap();
    std::fs::write(&file, program).unwrap();
    for path in [&opt_dir, &opt_dir.join("extensions"), &file] {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
    }
    opt_dir
}

/// Whatever was logged, once the environment has ended.
async fn logged(bench: &Bench) -> String {
    bench.all_logged().await.concat()
}

async fn they_run_beside_every_kind_of_runtime() {
    let shell = "#!/bin/sh\nwhile true; do\n\
        curl -s -D /tmp/head -o /tmp/event http://$AWS_LAMBDA_RUNTIME_API/2018-06-01/runtime/invocation/next\n\
        id=$(grep -i aws-request-id /tmp/head | tr -d '\\r' | cut -d' ' -f2)\n\
        curl -s --data-binary @/tmp/event http://$AWS_LAMBDA_RUNTIME_API/2018-06-01/runtime/invocation/$id/response\n\
        done\n";
    let bench = Bench::new();
    let functions = [
        bench.python(HANDLER),
        bench.node("exports.handler = async (event) => event;"),
        bench.function("provided.al2023", "x", &[("bootstrap", shell, 0o755)]),
    ];
    let count = functions.len();
    for function in functions {
        let function = Arc::new(with_extension(&bench, function, ""));
        for _ in 0..2 {
            assert_eq!(bench.again(&function, "{\"a\": 1}").await.result()["a"], 1);
        }
    }
    let log = logged(&bench).await;
    assert_eq!(log.matches("event INVOKE").count(), 2 * count, "{log}");
    assert_eq!(log.matches("event SHUTDOWN spindown").count(), count, "{log}");
    assert!(log.contains("registered {\"accountId\": \"000000000000\", \"functionName\": "), "{log}");
    assert!(log.contains("EXTENSION\tName: watcher\tState: Ready\tEvents: [INVOKE, SHUTDOWN]\n"), "{log}");
}

async fn one_that_fails_fails_the_call() {
    for (mode, kind) in [
        ("dies at once", "Extension.Crash"),
        ("registers twice", "Extension.Crash"),
        ("cannot start", "Extension.InitError"),
        ("dies in a call", "Extension.Crash"),
    ] {
        let bench = Bench::new();
        let answer = bench.once(with_extension(&bench, bench.python(HANDLER), mode), "{}").await;
        let failed = match &answer.0.outcome {
            Outcome::Success(_) => mode == "dies in a call",
            Outcome::FunctionError { .. } => answer.error()["errorType"] == kind,
        };
        assert!(failed, "{mode}: {:?}\n{}", answer.0.outcome, answer.tail());
        let log = logged(&bench).await;
        assert!(log.contains(&format!("Error Type: {kind}")), "{mode}: {log}");
    }
}

async fn one_that_hangs_ends_with_the_functions_time() {
    let bench = Bench::new();
    let function = with_extension(&bench, bench.python(HANDLER), "hangs");
    let answer = bench.once(FunctionSpec { timeout_ms: 1_000, ..function }, "{}").await;
    assert_eq!(answer.error()["errorType"], "Sandbox.Timedout");
    assert!(!logged(&bench).await.contains("loaded"), "the runtime waits for its extensions");
}

async fn a_runtime_ends_before_its_extensions_are_told() {
    let endless = "import subprocess\nsubprocess.Popen(['sleep', '1000'], start_new_session=True)\n\
        def handler(event, context):\n    while True: pass\n";
    let bench = Bench::new();
    let function = with_extension(&bench, bench.python(endless), "looks");
    let answer = bench.once(FunctionSpec { timeout_ms: 1_000, ..function }, "{}").await;
    assert_eq!(answer.error()["errorType"], "Sandbox.Timedout");
    let log = logged(&bench).await;
    assert!(log.contains("event SHUTDOWN timeout"), "{log}");
    assert!(log.contains("beside []"), "{log}");
}

/// How long its extensions took after its answer, as the only record says that is there in the end.
fn extensions_ms(bench: &Bench) -> Option<f64> {
    let records = bench.sink.records.lock().unwrap();
    assert_eq!(records.len(), 1);
    records[0].extensions_ms
}

async fn callers_do_not_wait_for_extensions() {
    let (bench, meeting) = Bench::meeting(2);
    let function = Arc::new(with_extension(&bench, bench.python(HANDLER), "busy"));
    let answer = bench.answered(&function, "{\"a\": 1}").await;
    assert_eq!(answer.result()["a"], 1);
    assert_eq!((bench.pool.stats().busy, answer.tail()), (1, String::new()));
    assert!(bench.sink.records.lock().unwrap().is_empty(), "the call is not over");
    meeting.wait_for(1).await;
    meeting.join();
    let log = logged(&bench).await;
    let ms = extensions_ms(&bench).expect("the extension was at work");
    assert!(ms > 0.0 && ms <= bench.sink.records.lock().unwrap()[0].duration_ms, "{log}");
    assert!(log.contains("REPORT RequestId: "), "{log}");
}

async fn takers_do_not_wait_for_extensions() {
    let (bench, meeting) = Bench::meeting(2);
    let code = "exports.handler = awslambda.streamifyResponse(async (event, stream) => { stream.write('all'); stream.end(); });";
    let function = Arc::new(with_extension(&bench, bench.node(code), "busy"));
    let lambent_pool::Answer::Streamed(mut stream) = bench.streamed(&function, "{}").await else {
        panic!("nothing streamed");
    };
    assert_eq!(stream.next().await.unwrap(), "all");
    assert_eq!(stream.next().await, None);
    assert!(matches!(stream.end().await.unwrap().outcome, Outcome::Success(_)));
    assert_eq!(bench.pool.stats().busy, 1);
    meeting.wait_for(1).await;
    meeting.join();
    logged(&bench).await;
    assert!(extensions_ms(&bench).is_some());
}

async fn an_answer_stands() {
    let bench = Bench::new();
    let function = with_extension(&bench, bench.python(HANDLER), "endless");
    let answer = bench.once(FunctionSpec { timeout_ms: 1_000, ..function }, "{\"a\": 1}").await;
    assert_eq!(answer.result()["a"], 1);
    assert_eq!(answer.0.record.error_type.as_deref(), Some("Sandbox.Timedout"));
    assert!(logged(&bench).await.contains("Task timed out after 1.00 seconds"));
}

/// Says that it was asked to end.
const ENDS: &str = "
import os, signal, sys
def end(*_):
    print('asked to end', flush=True)
    sys.exit(0)
signal.signal(signal.SIGTERM, end)
def handler(event, context):
    return event
";
/// The same, with an extension of its own.
const WITHIN: &str = "
import os, urllib.request
request = urllib.request.Request('http://' + os.environ['AWS_LAMBDA_RUNTIME_API'] + '/2020-01-01/extension/register',
                                 b'{\"events\": []}', {'Lambda-Extension-Name': 'within'})
own = urllib.request.urlopen(request).headers['Lambda-Extension-Identifier']
import threading
def wait():
    request = urllib.request.Request('http://' + os.environ['AWS_LAMBDA_RUNTIME_API'] + '/2020-01-01/extension/event/next',
                                     headers={'Lambda-Extension-Identifier': own})
    urllib.request.urlopen(request).read()
threading.Thread(target=wait, daemon=True).start()
";

async fn runtimes_are_asked_to_end() {
    for (name, external, within) in [("none", false, ""), ("external", true, ""), ("internal", false, WITHIN)]
    {
        let bench = Bench::new();
        let function = bench.python(&format!("{within}{ENDS}"));
        let function = if external { with_extension(&bench, function, "") } else { function };
        bench.once(function, "{}").await.result();
        let log = logged(&bench).await;
        assert_eq!(log.contains("asked to end"), name != "none", "{name}: {log}");
        let told = log.find("event SHUTDOWN spindown");
        assert_eq!(told.is_some(), external, "{name}: {log}");
        assert!(told.is_none() || told > log.find("asked to end"), "{name}: {log}");
    }
}

async fn runtimes_that_do_not_end_are_killed() {
    let code = "import signal\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\n".to_owned() + HANDLER;
    let bench = Bench::new();
    bench.once(with_extension(&bench, bench.python(&code), "looks"), "{}").await.result();
    let log = logged(&bench).await;
    assert!(log.contains("event SHUTDOWN spindown") && log.contains("beside []"), "{log}");
}

async fn telemetry_reaches_a_listener_inside() {
    let bench = Bench::new();
    let function = Arc::new(with_extension(&bench, bench.python(HANDLER), "telemetry"));
    for _ in 0..2 {
        bench.again(&function, "{}").await.result();
    }
    let log = logged(&bench).await;
    for said in [
        "subscribed OK",
        "TELEMETRY\tName: watcher\tState: Subscribed\tTypes: [Platform, Function]\n",
        "telemetry platform.initStart ",
        "telemetry function \"loaded\"",
        "telemetry platform.initRuntimeDone ",
        "telemetry platform.start ",
        "telemetry function \"called\"",
        "telemetry platform.runtimeDone ",
        "telemetry platform.report ",
    ] {
        assert!(log.contains(said), "expected {said:?} in\n{log}");
    }
}
