//! What this host can isolate, and why not: the table behind `lambent doctor`.

use std::sync::atomic::{AtomicU32, Ordering};

use crate::error::SandboxError;
use crate::spawn::{Sandbox, SandboxConfig};
use crate::spec::Spec;

/// One row of the table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Capability {
    /// What is kept apart or bounded.
    pub what: &'static str,
    pub holds: bool,
    /// How, or why not and what to do.
    pub detail: String,
    /// Whether functions are refused without it, unless the operator allows weak isolation.
    pub required: bool,
}

/// What this host can isolate.
#[derive(Clone, Debug, Default)]
pub struct Capabilities {
    pub rows: Vec<Capability>,
}

impl Capabilities {
    /// The rows without which functions are refused, as one sentence; `None` when all hold.
    pub fn missing(&self) -> Option<String> {
        let missing = self.rows.iter().filter(|row| row.required && !row.holds);
        let texts: Vec<String> = missing.map(|row| format!("{} ({})", row.what, row.detail)).collect();
        (!texts.is_empty()).then(|| texts.join("; "))
    }
}

impl Sandbox {
    /// Finds out what this host can isolate, by building a small environment and taking it down: some 20 ms, blocking.
    pub fn detect(config: SandboxConfig) -> Result<Capabilities, SandboxError> {
        Ok(Self::new(config)?.capabilities())
    }

    /// What [`Sandbox::detect`] finds, for a sandbox that is there.
    pub fn capabilities(&self) -> Capabilities {
        let probe = self.probe(&probe_spec());
        let built = |detail: &str| match &probe {
            Ok(()) => (true, detail.to_owned()),
            Err(error) => (false, error.to_string()),
        };
        let mut rows = Vec::new();
        let mut row =
            |what, required, (holds, detail)| rows.push(Capability { what, holds, detail, required });
        row(
            "own files, processes, network, names",
            true,
            built("mount, pid, ipc, uts, cgroup and net namespaces"),
        );
        row("read-only root of the runtime's own files", true, built("binds, pivot_root"));
        row("system calls", true, built("seccomp allow-list"));
        row("own user", false, self.user_row());
        row("files, a second time", false, landlock_row());
        let groups = self.hierarchies();
        let group = |found: bool, detail: &str| {
            let why = if groups.missing.is_empty() {
                "no control group".to_owned()
            } else {
                groups.missing.join("; ")
            };
            if found {
                (true, format!("control groups, version {}: {detail}", groups.version))
            } else {
                (false, why)
            }
        };
        row("memory", true, group(groups.memory.is_some(), "limit and peak"));
        row("CPU", false, group(groups.cpu.is_some(), "share by memory, one vCPU at 1,769 MiB"));
        row("processes", true, self.processes_row());
        row("storage of /tmp", false, self.scratch_row());
        Capabilities { rows }
    }

    fn user_row(&self) -> (bool, String) {
        if self.is_root() {
            return (true, "a user id that no other environment has".to_owned());
        }
        let detail = "not root: functions run as the daemon's user in a user namespace, without capabilities";
        (false, detail.to_owned())
    }

    fn processes_row(&self) -> (bool, String) {
        match (&self.hierarchies().pids, self.is_root()) {
            (Some(_), _) => (true, "control group pids.max".to_owned()),
            (None, true) => {
                (true, "no pids controller: bounded by RLIMIT_NPROC of the environment's user".to_owned())
            }
            (None, false) => {
                (true, "no pids controller: bounded by RLIMIT_NPROC in the user namespace".to_owned())
            }
        }
    }

    fn scratch_row(&self) -> (bool, String) {
        match self.scratch_problem() {
            None => (true, "a disk of its own, apart from memory".to_owned()),
            Some(why) => {
                (false, format!("bounded, but in memory and counted as the function's memory: {why}"))
            }
        }
    }
}

fn landlock_row() -> (bool, String) {
    // SAFETY: with this flag the call takes no attributes and returns a version number.
    #[expect(unsafe_code, reason = "the landlock crate does not tell the kernel's version")]
    let version = unsafe { libc::syscall(libc::SYS_landlock_create_ruleset, std::ptr::null::<u8>(), 0, 1) };
    if version > 0 {
        (true, format!("landlock, version {version}"))
    } else {
        (false, "landlock is not in this kernel or not enabled (boot parameter lsm=)".to_owned())
    }
}

/// Names probes apart.
static PROBES: AtomicU32 = AtomicU32::new(0);

fn probe_spec() -> Spec {
    Spec {
        name: format!("probe-{}", PROBES.fetch_add(1, Ordering::SeqCst)),
        binds: Vec::new(),
        links: Vec::new(),
        program: "/bin/true".to_owned(),
        args: vec!["true".to_owned()],
        env: Vec::new(),
        working_dir: "/".to_owned(),
        memory_mib: 128,
        scratch_mib: 512,
        max_processes: 16,
        max_open_files: 64,
        runtime_api_port: 9001,
        endpoint_port: 4566,
    }
}
