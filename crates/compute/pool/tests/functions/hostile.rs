//! Functions that misbehave, by mistake or on purpose. Whatever one does, its call ends with AWS's error, its
//! environment goes, and others do not notice.

use std::sync::Arc;

use libtest_mimic::Trial;
use serde_json::json;

use crate::support::{Bench, trial};

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        trial("hostile_never_returns", never_returns),
        trial("hostile_talks_without_end", talks),
        trial("hostile_takes_all_memory", takes_memory),
        trial("hostile_prints_100_mb", prints),
        trial("hostile_forks_without_end", forks),
        trial("hostile_fills_its_disk", fills_disk),
        trial("hostile_opens_all_files", opens_files),
        trial("hostile_answers_too_much", answers_too_much),
        trial("hostile_looks_at_the_host", looks_around),
        trial("hostile_calls_the_kernel", calls_the_kernel),
        trial("hostile_reaches_for_the_hosts_network", network),
        trial("hostile_signals_and_traces_its_init", signals_init),
        trial("hostile_speaks_out_of_turn", out_of_turn),
    ]
}

async fn never_returns() {
    let bench = Bench::new();
    let code = "
import time
def handler(event, context):
    print('waiting')
    if event: time.sleep(event)
    return 1
";
    let mut function = bench.python(code);
    function.timeout_ms = 1_000;
    let function = Arc::new(function);
    let answer = bench.again(&function, "60").await;
    let id = answer.0.record.request_id.clone();
    let message = format!("RequestId: {id} Error: Task timed out after 1.00 seconds");
    assert_eq!(answer.error(), json!({"errorType": "Sandbox.Timedout", "errorMessage": message}));
    let tail = answer.tail();
    assert!(tail.contains("waiting\n20"), "{tail}");
    assert!(
        tail.contains(&format!("Z {id} Task timed out after 1.00 seconds\n\nEND RequestId: {id}\n")),
        "{tail}"
    );
    assert!(tail.contains("\tDuration: 1000.00 ms\t") && tail.contains("\tStatus: timeout\n"), "{tail}");
    assert!(answer.0.record.timed_out);
    assert_eq!(bench.pool.stats().idle, 0);
    assert_eq!(bench.again(&function, "0").await.result(), json!(1));
}

async fn talks() {
    let bench = Bench::new();
    let code = r"
import os, socket
def handler(event, context):
    asks = f'GET {event} HTTP/1.1\r\n\r\n'.encode() * 1000
    for _ in range(4):
        talk = socket.create_connection(('127.0.0.1', 9001))
        if os.fork() == 0:
            while True: talk.sendall(asks)
        if os.fork() == 0:
            while True: talk.recv(1 << 20)
    while True: pass
";
    for path in ["/nothing", "/2018-06-01/runtime/invocation/next"] {
        let mut function = bench.python(code);
        function.timeout_ms = 1_000;
        let error = bench.once(function, &json!(path).to_string()).await.error();
        assert_eq!(error["errorType"], "Sandbox.Timedout");
    }
}

async fn takes_memory() {
    let bench = Bench::new();
    let code = "
def handler(event, context):
    return len([bytearray(1 << 20) for _ in range(event)])
";
    let mut function = bench.python(code);
    function.memory_mib = 128;
    let function = Arc::new(function);
    let answer = bench.again(&function, "4000").await;
    let id = answer.0.record.request_id.clone();
    let message = format!("RequestId: {id} Error: Runtime exited with error: signal: killed");
    assert_eq!(answer.error(), json!({"errorType": "Runtime.OutOfMemory", "errorMessage": message}));
    assert!(answer.0.record.out_of_memory);
    assert_eq!(answer.0.record.max_memory_mib, 128);
    assert!(answer.tail().contains("Status: error\tError Type: Runtime.OutOfMemory\n"), "{}", answer.tail());
    assert_eq!(bench.again(&function, "20").await.result(), json!(20));
}

async fn prints() {
    let bench = Bench::with(|config| config.log_buffer_bytes = 1 << 20, lambent_base::Clock::system());
    let code = "
import os
def handler(event, context):
    line = b'x' * 999 + b'\\n'
    block = line * 100
    for _ in range(1000):
        rest = block
        while rest: rest = rest[os.write(1, rest):]
    return 'printed'
";
    let before = resident_mib();
    let answer = bench.once(bench.python(code), "{}").await;
    assert_eq!(answer.result(), json!("printed"));
    assert_eq!(answer.0.log_tail.len(), 4 * 1024);
    let lines = bench.sink.lines.load(std::sync::atomic::Ordering::SeqCst);
    bench.pool.shutdown().await;
    let lines = lines.max(bench.sink.lines.load(std::sync::atomic::Ordering::SeqCst));
    assert!(lines >= 100_000, "no line is lost: {lines}");
    let grown = resident_mib().saturating_sub(before);
    assert!(grown < 64, "the platform grew by {grown} MiB");
}

/// This process's own memory; the test's sink counts lines and drops them.
fn resident_mib() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    let pages: u64 = statm.split_whitespace().nth(1).unwrap().parse().unwrap();
    (pages * 4096) >> 20
}

async fn forks() {
    let bench = Bench::new();
    let code = "
import os, time
def handler(event, context):
    children = 0
    try:
        while True:
            if os.fork() == 0: time.sleep(60)
            children += 1
    except OSError as error:
        return [children, error.errno]
";
    let mut function = bench.python(code);
    function.memory_mib = 2048;
    let result = bench.once(function, "{}").await.result();
    assert!(result[0].as_u64().unwrap() < 1024, "{result}");
    assert_eq!(result[1], json!(11), "EAGAIN");
    let bomb = "import os\ndef handler(event, context):\n    while True:\n        try: os.fork()\n        except OSError: pass\n";
    let mut function = bench.python(bomb);
    function.timeout_ms = 1_000;
    let error = bench.once(function, "{}").await.error();
    assert!(
        ["Sandbox.Timedout", "Runtime.OutOfMemory", "Runtime.ExitError"]
            .contains(&error["errorType"].as_str().unwrap())
    );
    let good = bench.python("def handler(event, context): return 'well'\n");
    assert_eq!(bench.once(good, "{}").await.result(), json!("well"));
}

async fn fills_disk() {
    let bench = Bench::new();
    let code = "
import os
def handler(event, context):
    written = 0
    try:
        for number in range(10):
            with open(f'/tmp/{number}', 'wb') as file:
                for _ in range(100):
                    written += file.write(bytes(1 << 20))
    except OSError as error:
        return [written >> 20, error.errno]
";
    let mut function = bench.python(code);
    function.memory_mib = 128;
    let result = bench.once(function, "{}").await.result();
    let written = result[0].as_u64().unwrap();
    assert!((450..=512).contains(&written), "{result}: the disk is as large as it should be");
    assert_eq!(result[1], json!(28), "ENOSPC");
}

async fn opens_files() {
    let bench = Bench::new();
    let code = "
def handler(event, context):
    files = []
    try:
        while True: files.append(open('/dev/null'))
    except OSError as error:
        return [len(files) <= 1024, error.errno]
";
    assert_eq!(bench.once(bench.python(code), "{}").await.result(), json!([true, 24]));
}

async fn answers_too_much() {
    let bench = Bench::new();
    let function = Arc::new(bench.python("def handler(event, context): return 'x' * (event - 2)\n"));
    assert_eq!(bench.again(&function, "6291556").await.result().as_str().unwrap().len(), 6_291_554);
    let expected = json!({
        "errorType": "Function.ResponseSizeTooLarge",
        "errorMessage": "Response payload size exceeded maximum allowed payload size (6291556 bytes).",
    });
    for size in ["6291557", "60000000"] {
        assert_eq!(bench.again(&function, size).await.error(), expected);
    }
    let after = bench.again(&function, "10").await;
    assert_eq!(
        (after.result(), after.0.record.init_ms),
        (json!("xxxxxxxx"), None),
        "the environment lives on"
    );
}

async fn looks_around() {
    let bench = Bench::new();
    let code = "
import os
def attempt(act):
    try: return act()
    except OSError as error: return error.strerror
def handler(event, context):
    return {
        'root': sorted(os.listdir('/')),
        'home': [attempt(lambda: os.listdir(path)) for path in ('/root', '/home', event)],
        'var': sorted(os.listdir('/var')),
        'etc': sorted(os.listdir('/etc')),
        'passwd': open('/etc/passwd').read().count('\\n'),
        'pids': sorted(int(name) for name in os.listdir('/proc') if name.isdigit()),
        'own': os.getpid(),
        'mounts': sum(event in line for line in open('/proc/self/mounts')),
        'write': [attempt(lambda: open(path + '/x', 'w')) for path in ('/', '/var/task', '/opt', '/etc', '/usr/bin', '/dev')],
        'sys': attempt(lambda: os.listdir('/sys')),
        'proc': attempt(lambda: open('/proc/sys/kernel/hostname', 'w')),
        'user': [os.getuid(), os.geteuid(), os.getgroups()],
        'dev': sorted(os.listdir('/dev')),
        'capabilities': [line.split()[1] for line in open('/proc/self/status') if line.startswith('Cap')],
        'secure': [line.split()[1] for line in open('/proc/self/status') if line.startswith(('NoNewPrivs', 'Seccomp:'))],
    }
";
    let data = bench.dir.path().to_str().unwrap().to_owned();
    let result = bench.once(bench.python(code), &json!(data).to_string()).await.result();
    let allowed = ["bin", "dev", "etc", "lib", "lib32", "lib64", "opt", "proc", "tmp", "usr", "var"];
    let root: Vec<&str> =
        result["root"].as_array().unwrap().iter().map(|name| name.as_str().unwrap()).collect();
    assert!(root.iter().all(|name| allowed.contains(name)), "{root:?}");
    let absent = "No such file or directory";
    assert_eq!(result["home"], json!([absent, absent, absent]));
    assert_eq!(result["var"], json!(["cache", "empty", "lang", "rapid", "runtime", "task"]));
    assert!(!result["etc"].as_array().unwrap().contains(&json!("shadow")));
    assert_eq!(result["passwd"], 1);
    assert_eq!(result["pids"], json!([result["own"]]), "process 1 is hidden, and there is no other");
    for refusal in result["write"].as_array().unwrap() {
        assert!(
            ["Read-only file system", "Permission denied"].contains(&refusal.as_str().unwrap()),
            "{result:#}"
        );
    }
    assert_eq!(result["sys"], absent);
    assert!(
        ["Read-only file system", "Permission denied"].contains(&result["proc"].as_str().unwrap()),
        "{result:#}"
    );
    assert_eq!(result["user"], json!([993, 993, []]), "which is another one outside");
    let devices = json!(["fd", "full", "null", "random", "stderr", "stdin", "stdout", "urandom", "zero"]);
    assert_eq!(result["dev"], devices);
    assert_eq!(result["capabilities"], json!(vec!["0000000000000000"; 5]));
    assert_eq!(result["secure"], json!(["1", "2"]));
}

async fn calls_the_kernel() {
    let bench = Bench::new();
    // Numbers of the x86-64 and of the general table.
    let code = "
import ctypes, os, platform
x86 = platform.machine() == 'x86_64'
calls = {
    'ptrace': (101, 117), 'mount': (165, 40), 'umount2': (166, 39), 'unshare': (272, 97), 'setns': (308, 268),
    'bpf': (321, 280), 'perf_event_open': (298, 241), 'userfaultfd': (323, 282), 'io_uring_setup': (425, 425),
    'keyctl': (250, 219), 'add_key': (248, 217), 'kexec_load': (246, 104), 'init_module': (175, 105),
    'reboot': (169, 142), 'swapon': (167, 224), 'chroot': (161, 51), 'pivot_root': (155, 41),
    'process_vm_readv': (310, 270), 'open_by_handle_at': (304, 265), 'quotactl': (179, 60), 'acct': (163, 89),
    'settimeofday': (164, 170), 'sethostname': (170, 161), 'clone3': (435, 435), 'move_mount': (429, 429),
}
def handler(event, context):
    libc = ctypes.CDLL(None, use_errno=True)
    answers = {}
    for name, numbers in calls.items():
        ctypes.set_errno(0)
        result = libc.syscall(numbers[0 if x86 else 1], 0, 0, 0, 0, 0)
        answers[name] = [result, os.strerror(ctypes.get_errno())]
    ctypes.set_errno(0)
    answers['clone with a user namespace'] = [
        libc.syscall(56 if x86 else 220, 0x10000000 | 17, 0, 0, 0, 0), os.strerror(ctypes.get_errno())]
    ctypes.set_errno(0)
    answers['packet socket'] = [libc.socket(17, 3, 0), os.strerror(ctypes.get_errno())]
    ctypes.set_errno(0)
    answers['kernel crypto socket'] = [libc.socket(38, 5, 0), os.strerror(ctypes.get_errno())]
    return answers
";
    let result = bench.once(bench.python(code), "{}").await.result();
    for (name, answer) in result.as_object().unwrap() {
        assert_eq!(answer, &json!([-1, "Function not implemented"]), "{name}");
    }
}

async fn network() {
    let bench = Bench::new();
    let host = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = host.local_addr().unwrap().port();
    let code = "
import socket
def handler(event, context):
    found = []
    for address in (('127.0.0.1', event), ('169.254.169.254', 80), ('10.0.0.1', 80), ('8.8.8.8', 53)):
        try: socket.create_connection(address, 2); found.append('connected')
        except OSError as error: found.append(error.strerror)
    return [found, socket.if_nameindex()]
";
    let result = bench.once(bench.python(code), &port.to_string()).await.result();
    let away = "Network is unreachable";
    assert_eq!(result, json!([["Connection refused", away, away, away], [[1, "lo"]]]));
    drop(host);
}

async fn signals_init() {
    let bench = Bench::new();
    let code = "
import os, signal
def attempt(act):
    try: return act()
    except OSError as error: return error.strerror
def handler(event, context):
    return [
        attempt(lambda: os.kill(1, signal.SIGKILL)),
        attempt(lambda: os.kill(1, signal.SIGTERM)),
        attempt(lambda: open('/proc/1/environ').read()),
        attempt(lambda: os.listdir('/proc/1/root')),
        attempt(lambda: os.listdir('/proc/self/fd') and sorted(map(int, os.listdir('/proc/self/fd')))[:4]),
    ]
";
    let function = Arc::new(bench.python(code));
    let result = bench.again(&function, "{}").await.result();
    assert_eq!(
        result.as_array().unwrap()[..2],
        [json!("Operation not permitted"), json!("Operation not permitted")]
    );
    assert_eq!(
        result.as_array().unwrap()[2..4],
        [json!("No such file or directory"), json!("No such file or directory")]
    );
    assert_eq!(result[4], json!([0, 1, 2, 3]));
    assert_eq!(bench.again(&function, "{}").await.0.record.init_ms, None);
}

/// A runtime that answers twice, for others, and in no known form, and in the end properly.
const RUDE_RUNTIME: &str = r#"#!/bin/bash
api="http://$AWS_LAMBDA_RUNTIME_API/2018-06-01/runtime"
while true; do
  id=$(curl -sS -o /tmp/event -D - "$api/invocation/next" | grep -Fi Lambda-Runtime-Aws-Request-Id | tr -d '[:space:]' | cut -d: -f2)
  code() { curl -sS -o /dev/null -w '%{http_code} ' "$@"; }
  code "$api/invocation/00000000-0000-0000-0000-000000000000/response" -d '"for another"'
  code "$api/init/error" -d '{}'
  code "$api/nothing"
  printf 'nonsense\r\n\r\n' > /dev/tcp/127.0.0.1/9001
  echo
  code "$api/invocation/$id/response" -H 'Transfer-Encoding: chunked' -d '"first"'
  code "$api/invocation/$id/response" -d '"second"'
done
"#;

async fn out_of_turn() {
    let bench = Bench::new();
    let function = bench.function("provided.al2023", "h", &[("bootstrap", RUDE_RUNTIME, 0o755)]);
    let function = Arc::new(function);
    for _ in 0..2 {
        let answer = bench.again(&function, "{}").await;
        assert_eq!(answer.result(), json!("first"));
        assert!(answer.tail().contains("400 403 404 \n"), "{}", answer.tail());
    }
}
