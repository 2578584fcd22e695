//! Environments without any runtime: shells and coreutils in them show what they can reach and what is left of them.
//!
//! What functions can do is tested with the pool; here it is the sandbox's own life: starts, ends, daemons that die.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::io::Read;
use std::os::fd::AsRawFd;
use std::path::Path;
use std::process::{Command, Stdio};

use lambent_sandbox::{
    Assignment, Bind, Boot, ExitStatus, MAX_REPORT, Report, Sandbox, SandboxConfig, SandboxError, Shell,
    Started,
};
use libtest_mimic::{Arguments, Trial};

/// As first argument it makes this program a daemon with one environment, for a test to kill.
const DAEMON: &str = "be-a-daemon";

fn main() {
    lambent_sandbox::run_if_forge();
    let args: Vec<String> = std::env::args().collect();
    if args.get(1).is_some_and(|first| first == DAEMON) {
        return be_a_daemon(Path::new(&args[2]));
    }
    let trials = vec![
        trial("this_host_isolates", this_host_isolates),
        trial("output_and_exit_come_back", output_and_exit),
        trial("a_missing_program_is_named", missing_program),
        trial("a_missing_folder_is_named", missing_folder),
        trial("kill_ends_the_whole_tree", kill_ends_the_tree),
        trial("a_daemon_that_is_killed_leaves_nothing", killed_daemon),
        trial("environments_have_different_users", different_users),
        trial("memory_is_counted", memory_is_counted),
        trial("a_disk_that_was_used_is_empty_again", used_disk),
        trial("a_disk_that_is_still_held_is_nobody_elses", held_disk),
        trial("what_is_frozen_stands_still", frozen),
        trial("a_way_out_is_there_when_asked_for", way_out),
        trial("an_ordinary_user_isolates_what_it_can", ordinary_user),
    ];
    libtest_mimic::run(&Arguments::from_args(), trials).exit();
}

fn trial(name: &str, test: fn()) -> Trial {
    Trial::test(name, move || {
        test();
        Ok(())
    })
}

fn sandbox(dir: &Path) -> Sandbox {
    Sandbox::new(SandboxConfig { state_dir: dir.join("sandbox") }).unwrap()
}

/// A kind of environments that runs a script at once.
fn shell(script: &str) -> Shell {
    let args = ["sh", "-c", script].map(str::to_owned).to_vec();
    let env = vec![("PATH".to_owned(), "/usr/bin:/bin".to_owned())];
    of(Boot::Now { program: "/bin/sh".to_owned(), args, env })
}

fn of(boot: Boot) -> Shell {
    Shell {
        binds: Vec::new(),
        links: Vec::new(),
        boot,
        scratch_mib: 16,
        max_processes: 32,
        max_open_files: 64,
        runtime_api_port: 9001,
        endpoint_port: 4566,
        egress: false,
        image: None,
        companions: 0,
    }
}

/// Code for a kind that waits for it.
fn code(dir: &Path) -> Assignment {
    let binds = vec![Bind::required(dir, "/var/task")];
    Assignment { binds, instead: None, env: Vec::new(), memory_mib: 128, companions: Vec::new() }
}

/// Runs to its end: what it printed, how it ended.
fn run(sandbox: &Sandbox, shell: &Shell) -> (String, Report) {
    let started = sandbox.prepare(shell).unwrap();
    let report = wait(&started);
    (output(started), report)
}

fn wait(started: &Started) -> Report {
    started.reports.set_nonblocking(false).unwrap();
    let mut packet = [0; MAX_REPORT];
    let length = started.reports.recv(&mut packet).unwrap();
    Report::read(&packet[..length])
}

fn output(started: Started) -> String {
    let Started { environment, output, .. } = started;
    environment.kill();
    let mut text = String::new();
    std::fs::File::from(output).read_to_string(&mut text).unwrap();
    text
}

fn this_host_isolates() {
    let dir = tempfile::tempdir().unwrap();
    let found = Sandbox::detect(SandboxConfig { state_dir: dir.path().into() }).unwrap();
    assert_eq!(found.missing(), None, "tests need a host that isolates: {:#?}", found.rows);
}

fn output_and_exit() {
    let dir = tempfile::tempdir().unwrap();
    let sandbox = sandbox(dir.path());
    let script =
        "echo out; echo err >&2; echo log >&3; cat; pwd; hostname -s 2>/dev/null || uname -n; exit 7";
    let (text, report) = run(&sandbox, &shell(script));
    assert_eq!(text, "out\nerr\nlog\n/\nlambda\n");
    assert_eq!(report, Report::Exited(ExitStatus::Code(7)));
    let (_, report) = run(&sandbox, &shell("kill -KILL $$"));
    assert_eq!(report, Report::Exited(ExitStatus::Signal(9)));
}

fn missing_program() {
    let dir = tempfile::tempdir().unwrap();
    let program = "/var/task/bootstrap".to_owned();
    let shell = of(Boot::Later { args: vec![program.clone()], program });
    let sandbox = sandbox(dir.path());
    let started = sandbox.prepare(&shell).unwrap();
    assert_eq!(wait(&started), Report::Waiting);
    started.environment.assign(&code(dir.path())).unwrap();
    assert_eq!(wait(&started), Report::NotExecuted { errno: 2 });
}

fn missing_folder() {
    let dir = tempfile::tempdir().unwrap();
    let mut shell = shell("");
    shell.binds.push(Bind::required("/nowhere/at/all", "/srv"));
    let sandbox = sandbox(dir.path());
    let Err(error) = sandbox.prepare(&shell) else { panic!("it cannot start") };
    assert!(matches!(error, SandboxError::Init { .. }));
    assert!(error.to_string().contains("could not find /nowhere/at/all"), "{error}");
    // Nobody is hurt by it, and what is missing in an assignment is named likewise.
    shell.binds.clear();
    let started = sandbox.prepare(&shell).unwrap();
    let error = started.environment.assign(&code(Path::new("/nowhere/else"))).unwrap_err();
    assert!(error.to_string().contains("could not find /nowhere/else"), "{error}");
}

fn kill_ends_the_tree() {
    let dir = tempfile::tempdir().unwrap();
    let sandbox = sandbox(dir.path());
    let script = "for n in 1 2 3 4 5; do setsid sleep 1000 & done; trap '' TERM HUP INT; echo ready; wait";
    let started = sandbox.prepare(&shell(script)).unwrap();
    let pid = started.environment.pid().unwrap();
    wait_for_line(&started, "ready\n");
    let members = descendants(pid);
    assert_eq!(members.len(), 6);
    let groups = std::fs::read_to_string(format!("/proc/{}/cgroup", members[0])).unwrap();
    let group = groups.lines().find(|line| line.contains("lambent-")).unwrap();
    let name = group.rsplit('/').next().unwrap();
    let daemon = group.rsplit('/').nth(1).unwrap();
    assert!(groups_of(daemon).1.iter().any(|one| one == name));
    started.environment.kill();
    assert!(descendants(pid).is_empty());
    assert!(!Path::new(&format!("/proc/{pid}")).exists());
    assert!(!groups_of(daemon).1.iter().any(|one| one == name), "its control groups are gone");
}

/// A daemon starts an environment and is killed without warning: the kernel ends the environment, and the next daemon
/// removes what is left of it.
fn killed_daemon() {
    let dir = tempfile::tempdir().unwrap();
    let mut daemon = Command::new(std::env::current_exe().unwrap())
        .args([DAEMON.as_ref(), dir.path().as_os_str()])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    let mut stdout = std::io::BufReader::new(daemon.stdout.take().unwrap());
    std::io::BufRead::read_line(&mut stdout, &mut line).unwrap();
    let pid: i32 = line.trim().parse().unwrap();
    assert!(Path::new(&format!("/proc/{pid}")).exists());
    daemon.kill().unwrap();
    daemon.wait().unwrap();
    while std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.contains(") Z")) {
        std::thread::yield_now();
    }
    assert!(descendants(pid).is_empty());
    let groups = format!("lambent-{}-", daemon.id());
    assert!(groups_of(&groups).0 > 0, "empty groups are left");
    drop(sandbox(dir.path()));
    assert_eq!(groups_of(&groups).0, 0, "and the next daemon removes them");
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
    assert!(!mounts.contains(dir.path().to_str().unwrap()), "{mounts}");
}

fn be_a_daemon(dir: &Path) {
    let sandbox = sandbox(dir);
    let started = sandbox.prepare(&shell("sleep 1000 & echo ready; wait")).unwrap();
    wait_for_line(&started, "ready\n");
    println!("{}", started.environment.pid().unwrap());
    wait(&started);
}

fn different_users() {
    let dir = tempfile::tempdir().unwrap();
    let sandbox = sandbox(dir.path());
    let script = "id -u; stat -c %u /tmp; cat /proc/self/uid_map; echo ready; sleep 1000";
    let first = sandbox.prepare(&shell(script)).unwrap();
    let second = sandbox.prepare(&shell(script)).unwrap();
    let users: Vec<String> =
        [first, second].into_iter().map(|started| wait_for_line(&started, "ready\n")).collect();
    assert_ne!(users[0], users[1]);
    for text in users {
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!((lines[0], lines[1]), ("993", "993"), "it owns its /tmp");
        let outside = lines[2].split_whitespace().nth(1).unwrap();
        assert!(outside.parse::<u32>().unwrap() >= 1_800_000_000, "{text}");
    }
}

fn memory_is_counted() {
    let dir = tempfile::tempdir().unwrap();
    let sandbox = sandbox(dir.path());
    let started =
        sandbox.prepare(&shell("head -c 20000000 /dev/zero | tail -c 20000000 >/dev/null")).unwrap();
    assert_eq!(wait(&started), Report::Exited(ExitStatus::Code(0)));
    let peak = started.environment.peak_memory_bytes().unwrap();
    assert!((20_000_000..128 << 20).contains(&peak), "{peak}");
    assert!(!started.environment.oom_killed());
}

/// Disks are used again, by other environments.
fn used_disk() {
    let dir = tempfile::tempdir().unwrap();
    let sandbox = sandbox(dir.path());
    let script = "ls -A /tmp; grep -c secret /dev/null; head -c 6000000 /dev/zero | tr '\\0' s >/tmp/secret; \
                  mkdir -p /tmp/a/b; ls /tmp | wc -w; df -m /tmp | tail -1 | awk '{print $3}'";
    let first = run(&sandbox, &shell(script));
    let (text, report) = run(&sandbox, &shell(script));
    assert_eq!(report, Report::Exited(ExitStatus::Code(0)));
    assert_eq!(text.lines().collect::<Vec<_>>()[..2], ["0", "2"], "{text}");
    assert_eq!(first.0, text, "the second finds what the first found");
}

/// Files on their way through a socket outlive the function that sent them, and hold the file system that they are on.
fn held_disk() {
    let dir = tempfile::tempdir().unwrap();
    let sandbox = sandbox(dir.path());
    let plant = "import os, socket, array\n\
                 print(os.listdir('/tmp'))\n\
                 os.mkdir('/tmp/planted'); f = os.open('/tmp/planted/evil', os.O_CREAT | os.O_RDWR)\n\
                 for _ in range(20):\n \
                 a, b = socket.socketpair()\n \
                 fds = array.array('i', [f, a.fileno(), b.fileno()])\n \
                 a.sendmsg([b'x'], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, fds)])\n";
    let args = ["python3", "-c", plant].map(str::to_owned).to_vec();
    let shell = of(Boot::Now { program: "/usr/bin/python3".to_owned(), args, env: Vec::new() });
    for _ in 0..5 {
        let (text, report) = run(&sandbox, &shell);
        assert_eq!((text.as_str(), report), ("[]\n", Report::Exited(ExitStatus::Code(0))));
    }
}

fn way_out() {
    let dir = tempfile::tempdir().unwrap();
    let sandbox = sandbox(dir.path());
    let mut shell = shell("cat /proc/net/dev /etc/resolv.conf; ls /dev");
    let (text, _) = run(&sandbox, &shell);
    assert!(text.contains("lo:") && !text.contains("eth0:") && !text.contains("nameserver"), "{text}");
    shell.egress = true;
    let started = sandbox.prepare(&shell).unwrap();
    assert!(started.tun.is_some());
    wait(&started);
    let text = output(started);
    assert!(text.contains("eth0:") && text.contains("nameserver 10.200.0.1"), "{text}");
    assert!(!text.contains("tun"), "only the device itself is inside: {text}");
}

fn frozen() {
    let dir = tempfile::tempdir().unwrap();
    let sandbox = sandbox(dir.path());
    let started = sandbox.prepare(&shell("while :; do echo tick; done")).unwrap();
    let environment = &started.environment;
    wait_for_line(&started, "tick\n");
    environment.freeze().unwrap();
    // What was printed before it stopped is read; then it counts no further.
    while drain(&started) > 0 {}
    (0..1_000).for_each(|_| std::thread::yield_now());
    while drain(&started) > 0 {}
    (0..10_000).for_each(|_| std::thread::yield_now());
    assert_eq!(drain(&started), 0);
    environment.thaw().unwrap();
    wait_for_line(&started, "tick\n");
    environment.freeze().unwrap();
    started.environment.kill();
}

/// Reads what is there.
fn drain(started: &Started) -> usize {
    let mut buffer = [0; 65536];
    nix::unistd::read(&started.output, &mut buffer).unwrap_or(0)
}

/// Runs a test of this file again as an ordinary user: without root the sandbox isolates by a user namespace, and says
/// what it cannot bound.
fn ordinary_user() {
    let dir = tempfile::tempdir().unwrap();
    if !nix::unistd::geteuid().is_root() {
        return report_capabilities(dir.path());
    }
    let copy = dir.path().join("isolation");
    std::fs::copy(std::env::current_exe().unwrap(), &copy).unwrap();
    for path in [dir.path(), &copy] {
        std::fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o777)).unwrap();
    }
    let output = Command::new("setpriv")
        .args(["--reuid=65534", "--regid=65534", "--clear-groups", "--"])
        .arg(&copy)
        .args(["--exact", "an_ordinary_user_isolates_what_it_can", "--nocapture"])
        .env("TMPDIR", dir.path())
        .output()
        .unwrap();
    let text =
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{text}");
}

fn report_capabilities(dir: &Path) {
    let found = Sandbox::detect(SandboxConfig { state_dir: dir.join("probe") }).unwrap();
    println!("{:#?}", found.rows);
    let row = |what: &str| found.rows.iter().find(|row| row.what == what).unwrap();
    assert!(row("own files, processes, network, names").holds);
    assert!(!row("own user").holds && row("own user").detail.contains("not root"));
    let sandbox = sandbox(dir);
    let (text, report) = run(&sandbox, &shell("ls /; ls /root; touch /tmp/x && echo written; touch /x"));
    assert_eq!(report, Report::Exited(ExitStatus::Code(1)));
    assert!(text.contains("written") && !text.contains("home") && text.contains("/root"), "{text}");
}

fn wait_for_line(started: &Started, line: &str) -> String {
    let mut text = String::new();
    let mut buffer = [0; 4096];
    while !text.ends_with(line) {
        use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
        let fd = std::os::fd::AsFd::as_fd(&started.output);
        poll(&mut [PollFd::new(fd, PollFlags::POLLIN)], PollTimeout::NONE).unwrap();
        let length = nix::unistd::read(fd, &mut buffer).unwrap();
        assert!(length > 0, "descriptor {} ended after {text:?}", fd.as_raw_fd());
        text.push_str(std::str::from_utf8(&buffer[..length]).unwrap());
    }
    text
}

/// Live processes that have `pid` among their ancestors.
fn descendants(pid: i32) -> Vec<i32> {
    let all = std::fs::read_dir("/proc").unwrap().flatten();
    let pids: Vec<i32> = all.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect();
    let parent = |pid: i32| -> Option<i32> {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse().ok()
    };
    let descends = |mut of: i32| {
        while let Some(up) = parent(of) {
            if up == pid {
                return true;
            }
            of = up;
        }
        false
    };
    pids.into_iter().filter(|one| descends(*one)).collect()
}

/// Control groups of daemons whose folders begin so: how many, and the names of environments in them.
fn groups_of(daemon: &str) -> (usize, Vec<String>) {
    let (mut own, mut inner) = (0, Vec::new());
    let mut folders = vec![std::path::PathBuf::from("/sys/fs/cgroup")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            if entry.file_name().to_string_lossy().starts_with(daemon) {
                own += 1;
                let environments = std::fs::read_dir(entry.path()).into_iter().flatten().flatten();
                let folders = environments.filter(|one| one.path().is_dir());
                inner.extend(folders.map(|one| one.file_name().to_string_lossy().into_owned()));
            } else if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                folders.push(entry.path());
            }
        }
    }
    (own, inner)
}
