//! Snapshots of a real Python function: what is forked from them is an environment of its own, and nothing else can be.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::collections::HashSet;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};

use lambent_sandbox::{
    Assignment, Bind, Boot, ExitStatus, MAX_REPORT, Report, Sandbox, SandboxConfig, SandboxError, Shell,
    Snapshot, Started,
};
use libtest_mimic::{Arguments, Trial};

fn main() {
    lambent_sandbox::run_if_forge();
    let trials = vec![
        trial("every_restore_is_unique", unique),
        trial("every_restore_has_namespaces_of_its_own", own_namespaces),
        trial("how_it_ended_is_told", ends),
        trial("a_snapshot_opens_no_namespaces_by_itself", no_other_way),
        trial("a_child_that_keeps_its_privileges_is_ended", keeps_privileges),
        trial("what_cannot_be_forked_says_so", obstacles),
    ];
    libtest_mimic::run(&Arguments::from_args(), trials).exit();
}

fn trial(name: &str, test: fn()) -> Trial {
    Trial::test(name, move || {
        test();
        Ok(())
    })
}

/// A sandbox, and a function's code in it.
struct Bench {
    dir: tempfile::TempDir,
    sandbox: Sandbox,
}

/// A function that has become a snapshot.
struct Taken {
    started: Started,
    snapshot: Snapshot,
    _api: Api,
}

/// A runtime's connection.
struct Api(BufReader<TcpStream>);

impl Api {
    fn accept(listener: &TcpListener) -> Self {
        Self(BufReader::new(listener.accept().unwrap().0))
    }

    /// (path, body)
    fn hear(&mut self) -> (String, String) {
        let (mut first, mut length) = (String::new(), 0);
        loop {
            let mut line = String::new();
            assert!(self.0.read_line(&mut line).unwrap() > 0, "the runtime has hung up");
            if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse().unwrap();
            }
            if line == "\r\n" {
                break;
            }
            if first.is_empty() {
                first = line;
            }
        }
        let mut body = vec![0; length];
        self.0.read_exact(&mut body).unwrap();
        let path = first.split(' ').nth(1).unwrap().to_owned();
        (path, String::from_utf8(body).unwrap())
    }

    fn say(&mut self, headers: &str, body: &str) {
        let length = body.len();
        let text = format!("HTTP/1.1 200 OK\r\n{headers}Content-Length: {length}\r\n\r\n{body}");
        self.0.get_mut().write_all(text.as_bytes()).unwrap();
    }

    /// Tells the runtime its variables.
    fn hand_over(&mut self, variables: &serde_json::Value) {
        assert_eq!(self.hear().0, "/2018-06-01/runtime/function");
        self.say("", &serde_json::json!({ "env": variables }).to_string());
    }

    /// One call, from the runtime's question for it to its answer.
    fn invoke(&mut self) -> serde_json::Value {
        assert_eq!(self.hear().0, "/2018-06-01/runtime/invocation/next");
        self.say("Lambda-Runtime-Aws-Request-Id: r\r\n", "{}");
        let (path, body) = self.hear();
        assert_eq!(path, "/2018-06-01/runtime/invocation/r/response", "{body}");
        self.say("", "");
        serde_json::from_str(&body).unwrap()
    }
}

impl Bench {
    fn new(code: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let sandbox = Sandbox::new(SandboxConfig { state_dir: dir.path().join("sandbox") }).unwrap();
        std::fs::create_dir(dir.path().join("code")).unwrap();
        std::fs::write(dir.path().join("code/app.py"), code).unwrap();
        open_for_all(dir.path());
        open_for_all(&dir.path().join("code"));
        // Its own: other tests of this process start theirs meanwhile.
        copy_bootstraps(&dir.path().join("bootstraps"));
        Self { dir, sandbox }
    }

    /// A runtime that has its function and is about to load it.
    fn begin(&self) -> (Started, Snapshot, Api) {
        let (started, snapshot) =
            self.sandbox.prepare_snapshot(&python(self.dir.path().join("bootstraps"))).unwrap();
        let bind = Bind::required(self.dir.path().join("code"), "/var/task");
        let assignment = Assignment {
            binds: vec![bind],
            instead: None,
            env: Vec::new(),
            memory_mib: 256,
            companions: Vec::new(),
        };
        started.environment.assign(&assignment).unwrap();
        let mut api = Api::accept(&started.runtime_api);
        api.hand_over(&serde_json::json!({ "_HANDLER": "app.handler", "WHO": "snapshot" }));
        (started, snapshot, api)
    }

    fn take(&self) -> Taken {
        let (started, snapshot, mut api) = self.begin();
        let (path, body) = api.hear();
        assert_eq!(path, "/2018-06-01/runtime/restore/next", "{body}");
        Taken { started, snapshot, _api: api }
    }

    fn restore(&self, taken: &Taken) -> (Started, Api) {
        let started = self.sandbox.restore(&taken.snapshot, 256).unwrap();
        let mut api = Api::accept(&started.runtime_api);
        api.hand_over(&serde_json::json!({ "WHO": "restored" }));
        (started, api)
    }
}

fn open_for_all(path: &Path) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
}

fn copy_bootstraps(to: &Path) {
    let from = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../runtimes/bootstraps");
    std::fs::create_dir_all(to.join("packages")).unwrap();
    for file in ["zygote.py", "bootstrap.py", "snapshot.py", "packages/snapshot_restore_py.py"] {
        std::fs::copy(from.join(file.trim_start_matches("packages/")), to.join(file)).unwrap();
    }
    open_for_all(to);
}

/// A kind of environments that are forked from a Python with these bootstraps.
fn python(bootstraps: PathBuf) -> Shell {
    let found = std::process::Command::new("python3")
        .args(["-c", "import sys; print(sys.base_prefix); print(sys.executable.rsplit('/')[-1])"])
        .output()
        .unwrap();
    let text = String::from_utf8(found.stdout).unwrap();
    let (prefix, name) = text.trim().split_once('\n').unwrap();
    let mut binds = vec![Bind::required(bootstraps, "/var/rapid")];
    let mut links = Vec::new();
    if prefix == "/usr" {
        for folder in ["bin", "lib", "lib64"] {
            links.push((format!("/var/lang/{folder}"), format!("/usr/{folder}")));
        }
    } else {
        binds.push(Bind::required(prefix, "/var/lang"));
    }
    let program = format!("/var/lang/bin/{name}");
    let args = vec![program.clone(), "-S".to_owned(), "/var/rapid/zygote.py".to_owned()];
    let env = vec![("LD_LIBRARY_PATH".to_owned(), "/var/lang/lib".to_owned())];
    Shell {
        binds,
        links,
        boot: Boot::Fork { program, args, env },
        scratch_mib: 16,
        max_processes: 64,
        max_open_files: 256,
        runtime_api_port: 9001,
        endpoint_port: 4566,
        egress: false,
        image: None,
        companions: 0,
    }
}

/// What it printed. Its snapshot, if it is one, must be kept alive by nothing else.
fn output(started: Started) -> String {
    let Started { environment, output, .. } = started;
    environment.kill();
    let mut text = Vec::new();
    // A pipe whose other end lives on has no end, but nothing more to read.
    let read = std::fs::File::from(output).read_to_end(&mut text);
    assert!(read.is_ok() || read.is_err_and(|error| error.kind() == std::io::ErrorKind::WouldBlock));
    String::from_utf8(text).unwrap()
}

fn report_of(started: &Started) -> Report {
    started.reports.set_nonblocking(false).unwrap();
    let mut packet = [0; MAX_REPORT];
    let length = started.reports.recv(&mut packet).unwrap();
    Report::read(&packet[..length])
}

fn unique() {
    let bench = Bench::new(
        "import os, random, secrets, ssl, tempfile, uuid\n\
         from snapshot_restore_py import register_before_snapshot, register_after_restore\n\
         said = []\n\
         register_before_snapshot(said.append, 'before 1')\n\
         register_before_snapshot(said.append, 'before 2')\n\
         @register_after_restore\n\
         def first(): said.append('after 1 ' + os.environ['WHO'])\n\
         register_after_restore(said.append, 'after 2')\n\
         random.random(), uuid.uuid4(), ssl.RAND_bytes(16)\n\
         file = open('/var/task/app.py')\n\
         file.readline()\n\
         def handler(event, context):\n\
         \x20   return {'values': [random.random(), str(uuid.uuid4()), os.urandom(16).hex(),\n\
         \x20       secrets.token_hex(16), ssl.RAND_bytes(16).hex(), next(tempfile._get_candidate_names())],\n\
         \x20       'said': said, 'line': file.readline()}\n",
    );
    let taken = bench.take();
    let mut seen = HashSet::new();
    for _ in 0..20 {
        let (_environment, mut api) = bench.restore(&taken);
        let got = api.invoke();
        assert_eq!(got["said"], serde_json::json!(["before 2", "before 1", "after 1 restored", "after 2"]));
        let line = got["line"].as_str().unwrap();
        assert!(line.starts_with("from snapshot_restore_py"), "files are where they were: {line}");
        for value in got["values"].as_array().unwrap() {
            assert!(seen.insert(value.to_string()), "{value} came twice");
        }
    }
    assert_eq!(seen.len(), 20 * 6);
}

fn own_namespaces() {
    let bench = Bench::new(
        "import os, socket\n\
         sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\n\
         sock.connect(('127.0.0.1', 9))\n\
         def status(): return dict(line.split(':\\t', 1) for line in open('/proc/self/status').read().splitlines())\n\
         def handler(event, context):\n\
         \x20   before = os.listdir('/tmp')\n\
         \x20   open('/tmp/mine', 'w').write('x')\n\
         \x20   try: open('/var/task/x', 'w'); wrote = True\n\
         \x20   except OSError as error: wrote = False\n\
         \x20   try: sock.send(b'x'); connected = True\n\
         \x20   except OSError: connected = False\n\
         \x20   return {'pid': os.getpid(), 'uid': os.getuid(), 'gid': os.getgid(),\n\
         \x20     'processes': [one for one in os.listdir('/proc') if one.isdigit()], 'tmp': before, 'wrote': wrote,\n\
         \x20     'connected': connected, 'caps': [status()[name] for name in ('CapEff', 'CapPrm', 'CapInh', 'CapAmb')],\n\
         \x20     'fds': len(os.listdir('/proc/self/fd')), 'uid_map': open('/proc/self/uid_map').read().split()}\n",
    );
    let taken = bench.take();
    let mut live = Vec::new();
    let mut seen = HashSet::new();
    for pid in processes_below(taken.started.environment.pid().unwrap()) {
        let links = std::fs::read_dir(format!("/proc/{pid}/ns")).unwrap().flatten();
        seen.extend(links.filter_map(|link| std::fs::read_link(link.path()).ok()));
    }
    let mut owners = HashSet::new();
    for _ in 0..3 {
        let (started, mut api) = bench.restore(&taken);
        let got = api.invoke();
        assert_eq!(got["caps"], serde_json::json!(vec!["0000000000000000"; 4]), "{got}");
        assert_eq!((&got["uid"], &got["gid"]), (&993.into(), &990.into()));
        assert_eq!(
            (&got["tmp"], &got["wrote"], &got["connected"]),
            (&serde_json::json!([]), &false.into(), &false.into())
        );
        assert_eq!(got["processes"], serde_json::json!([got["pid"].to_string()]), "it sees itself alone");
        assert_eq!(got["uid_map"][0], "993");
        for name in ["user", "pid", "net", "mnt", "ipc", "uts", "cgroup"] {
            let pid = started.environment.pid().unwrap();
            let own = std::fs::read_link(format!("/proc/{pid}/ns/{name}")).unwrap();
            assert!(seen.insert(own), "{name} is another's");
        }
        let status =
            std::fs::read_to_string(format!("/proc/{}/status", started.environment.pid().unwrap())).unwrap();
        let uid = status.lines().find_map(|line| line.strip_prefix("Uid:")).unwrap().to_owned();
        assert!(owners.insert(uid), "a user of its own outside: {owners:?}");
        live.push((started, api));
    }
    // What was forked outlives its snapshot's process.
    drop(taken);
    let last = live.last_mut().unwrap();
    assert_eq!(last.1.invoke()["tmp"], serde_json::json!(["mine"]));
}

fn ends() {
    let bench = Bench::new(
        "import os\n\
         def handler(event, context):\n\
         \x20   print('last words', flush=True)\n\
         \x20   os._exit(7)\n",
    );
    let taken = bench.take();
    let (started, mut api) = bench.restore(&taken);
    assert_eq!(api.hear().0, "/2018-06-01/runtime/invocation/next");
    api.say("Lambda-Runtime-Aws-Request-Id: r\r\n", "{}");
    assert_eq!(report_of(&started), Report::Exited(ExitStatus::Code(7)));
    assert_eq!(output(started), "last words\n");
    let (started, _api) = bench.restore(&taken);
    let pid = started.environment.pid().unwrap();
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), nix::sys::signal::Signal::SIGKILL).unwrap();
    assert_eq!(report_of(&started), Report::Exited(ExitStatus::Signal(9)));
}

/// Python that tries every way to new namespaces and to rights, and notes what was not refused.
const ATTEMPTS: &str = "import ctypes, os, threading, time\n\
     libc = ctypes.CDLL(None, use_errno=True)\n\
     ALL = 0x7e020000\n\
     EXACT = ALL | 0x01200000 | 17\n\
     opened = []\n\
     def attempt():\n\
     \x20   header = ctypes.create_string_buffer(8)\n\
     \x20   for name, args in (('clone', (56, EXACT, 0, 0, 0, 0)), ('clone', (56, ALL | 17, 0, 0, 0, 0)),\n\
     \x20       ('clone', (56, 0x10000011, 0, 0, 0, 0)), ('unshare', (272, ALL)), ('setns', (308, -1, 0)),\n\
     \x20       ('capset', (126, header, header)), ('landlock', (446, -1, 0)), ('ptrace', (101, 0, 0, 0, 0))):\n\
     \x20       result = libc.syscall(*args)\n\
     \x20       if result == 0 and name == 'clone': os._exit(0)\n\
     \x20       if result != -1 or ctypes.get_errno() != 38: opened.append(name); os.write(2, b'opened ' + name.encode())\n\
     attempt()\n";

fn no_other_way() {
    let by_machine = cfg!(target_arch = "x86_64");
    assert!(by_machine, "the numbers in the attempts are those of x86-64");
    // While it loads, and in what is forked from it.
    let bench =
        Bench::new(&format!("{ATTEMPTS}def handler(event, context):\n    attempt()\n    return opened\n"));
    let taken = bench.take();
    let (_environment, mut api) = bench.restore(&taken);
    assert_eq!(api.invoke(), serde_json::json!([]));
    // In a thread that begins when it was looked for threads already, all the while it forks.
    let bench = Bench::new(&format!(
        "{ATTEMPTS}def attempt_for_ever():\n    while True: attempt()\n\
         import sys\n\
         def begin(*args): threading.Thread(target=attempt_for_ever, daemon=True).start()\n\
         import bootstrap, snapshot\n\
         loop = snapshot.Snapshot.fork_for_ever\n\
         def late(self, connection):\n    begin()\n    loop(self, connection)\n\
         snapshot.Snapshot.fork_for_ever = late\n\
         def handler(event, context): return opened\n"
    ));
    let taken = bench.take();
    // Python may not survive a fork beside a thread; then nothing comes of it but the snapshot's end.
    let restored: Vec<_> = (0..5).map_while(|_| bench.sandbox.restore(&taken.snapshot, 256).ok()).collect();
    let inside = processes_below(taken.started.environment.pid().unwrap());
    assert!(inside.len() <= 2, "process 1 and the snapshot: {inside:?}");
    drop(restored);
    assert_eq!(output(taken.started), "");
}

/// All processes in the process namespace of an environment's process 1.
fn processes_below(first: i32) -> Vec<i32> {
    let namespace = |pid: i32| std::fs::read_link(format!("/proc/{pid}/ns/pid")).ok();
    let all = std::fs::read_dir("/proc").unwrap().flatten();
    let pids = all.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.filter(|pid| namespace(*pid) == namespace(first)).collect()
}

fn keeps_privileges() {
    // The first keeps its capabilities, the second makes another call before it has given them up.
    let cases = [
        (
            "libc.syscall = lambda *args: syscall(*args) if args[0] != snapshot.SYS_CAPSET else 0",
            "with privileges",
        ),
        ("snapshot.os.setresuid = lambda *args: snapshot.os.listdir('/')", "with privileges"),
        ("snapshot.os.setresuid = lambda *args: None", "its own user"),
    ];
    for (trick, why) in cases {
        let bench = Bench::new(&format!(
            "import os, snapshot\n\
             libc = snapshot.libc\n\
             syscall = libc.syscall\n\
             {trick}\n\
             def handler(event, context): return 0\n"
        ));
        let taken = bench.take();
        let error = bench.sandbox.restore(&taken.snapshot, 128).err().unwrap();
        assert!(matches!(&error, SandboxError::Init { detail } if detail.contains(why)), "{error}");
        assert_eq!(report_of(&taken.started), Report::Exited(ExitStatus::Signal(9)), "the snapshot is ended");
    }
}

fn obstacles() {
    let cases = [
        (
            "import threading, time\nthreading.Thread(target=time.sleep, args=(99,), daemon=True).start()",
            "threads",
        ),
        ("import os\nends = os.pipe()", "pipe:"),
        ("open('/tmp/x', 'w').close()", "/tmp"),
    ];
    for (code, why) in cases {
        let bench = Bench::new(&format!("{code}\ndef handler(event, context): return 0\n"));
        let (_started, _snapshot, mut api) = bench.begin();
        let (path, body) = api.hear();
        assert_eq!(path, "/2018-06-01/runtime/init/error");
        assert!(body.contains("Lambent.NoSnapshot") && body.contains(why), "{body}");
    }
}
