//! What preparing, assigning and ending an environment costs: `cargo run --release --example prepare [COUNT]`.
#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a measurement for people")]
#![expect(clippy::disallowed_methods, reason = "it measures time")]

use std::time::{Duration, Instant};

use lambent_sandbox::{Assignment, Bind, Boot, Sandbox, SandboxConfig, Shell, Started};

fn main() {
    lambent_sandbox::run_if_forge();
    let count: usize = std::env::args().nth(1).map_or(200, |count| count.parse().unwrap());
    let dir = tempfile::tempdir().unwrap();
    let sandbox = Sandbox::new(SandboxConfig { state_dir: dir.path().join("sandbox") }).unwrap();
    let program = "/var/task/bootstrap".to_owned();
    let shell = Shell {
        binds: Vec::new(),
        links: Vec::new(),
        boot: Boot::Later { args: vec![program.clone()], program },
        scratch_mib: 512,
        max_processes: 64,
        max_open_files: 64,
        runtime_api_port: 9001,
        endpoint_port: 4566,
        egress: false,
    };
    let assignment =
        Assignment { binds: vec![Bind::required(dir.path(), "/var/task")], env: Vec::new(), memory_mib: 128 };
    let mut times: [Vec<Duration>; 3] = Default::default();
    let mut timed = |which: usize, since: Instant| times[which].push(since.elapsed());
    let mut kept: Vec<Started> = Vec::new();
    for _ in 0..count {
        let since = Instant::now();
        let started = sandbox.prepare(&shell).unwrap();
        timed(0, since);
        let since = Instant::now();
        started.environment.assign(&assignment).unwrap();
        timed(1, since);
        kept.push(started);
    }
    for started in kept {
        let since = Instant::now();
        started.environment.kill();
        timed(2, since);
    }
    for (name, mut times) in ["prepare", "assign", "kill"].into_iter().zip(times) {
        times.sort();
        let at = |percent: usize| times[(times.len() - 1) * percent / 100].as_micros();
        println!("{name}: min {} p50 {} p99 {} us", at(0), at(50), at(99));
    }
}
