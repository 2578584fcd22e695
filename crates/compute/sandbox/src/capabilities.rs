//! What this host can isolate, and why not: the table behind `lambent doctor`.

use std::os::fd::AsFd;

use crate::error::SandboxError;
use crate::link::{self, Report};
use crate::sandbox::{Sandbox, SandboxConfig};
use crate::spec::{Boot, Shell};

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
        let probe = self.probe();
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
            built("user, mount, pid, ipc, uts, cgroup and net namespaces"),
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
        row("standstill between calls", false, self.freezer_row());
        row("a way out (--egress)", false, egress_row());
        Capabilities { rows }
    }

    /// Builds an environment up to where the runtime would be executed, and takes it down again.
    fn probe(&self) -> Result<(), SandboxError> {
        let shell = probe_shell();
        let probed = self.prepare(&shell).and_then(|started| {
            let wrong = SandboxError::start("wait for its runtime");
            started.reports.set_nonblocking(false).map_err(&wrong)?;
            let (packet, _) = link::receive(started.reports.as_fd(), link::MAX_REPORT).map_err(&wrong)?;
            match Report::read(&packet) {
                Report::Waiting => Ok(()),
                Report::Failed { detail } => Err(SandboxError::Init { detail }),
                other => Err(SandboxError::Init { detail: format!("stay alive: {other:?}") }),
            }
        });
        self.retire(&shell);
        probed
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

    fn freezer_row(&self) -> (bool, String) {
        match &self.hierarchies().freezer {
            Some(folder) if folder.join("cgroup.freeze").exists() => {
                (true, "control groups, version 2: cgroup.freeze".to_owned())
            }
            Some(_) => (true, "control groups, version 1: freezer".to_owned()),
            None => (false, "no control group can be frozen: an idle function may go on running".to_owned()),
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

/// Whether network devices whose other end is a program can be made.
fn egress_row() -> (bool, String) {
    match std::fs::OpenOptions::new().read(true).write(true).open("/dev/net/tun") {
        Ok(_) => (
            true,
            "/dev/net/tun, judged by the daemon; closed unless `lambent up --egress` opens it".to_owned(),
        ),
        Err(error) => {
            (false, format!("/dev/net/tun: {error} (modprobe tun; readable and writable for the daemon)"))
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

fn probe_shell() -> Shell {
    let program = "/var/task/bootstrap".to_owned();
    Shell {
        binds: Vec::new(),
        links: Vec::new(),
        boot: Boot::Later { args: vec![program.clone()], program },
        scratch_mib: 512,
        max_processes: 16,
        max_open_files: 64,
        runtime_api_port: 9001,
        endpoint_port: 4566,
        egress: false,
        image: None,
        companions: 0,
    }
}
