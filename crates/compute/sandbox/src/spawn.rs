//! The daemon's side: starting environments, watching them, ending them.

use std::fs;
use std::io;
use std::net::TcpListener;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Duration;

use nix::sys::signal::SigSet;
use nix::sys::socket::{AddressFamily, SockFlag, SockType, setsockopt, socketpair, sockopt};
use nix::sys::time::TimeVal;
use nix::unistd::Pid;

use crate::cgroups::{Group, Hierarchies};
use crate::clone::spawn_init;
use crate::error::SandboxError;
use crate::filter;
use crate::link::{self, Report};
use crate::scratch::{Disk, Scratch};
use crate::spec::{Orders, Spec, Users};

/// How long an environment may take to stand before it is given up.
const START_TIMEOUT: Duration = Duration::from_secs(20);
/// User ids for environments lie from here up, far from those that systems hand out.
const FIRST_USER: u32 = 1_800_000_000;
/// Ids set aside for one daemon; two for each environment. Daemons are kept apart by their pids.
const USERS_PER_DAEMON: u32 = 16_384;
const DAEMON_SLOTS: u32 = 8_192;

/// Where a sandbox keeps its few files.
#[derive(Clone, Debug)]
pub struct SandboxConfig {
    /// A folder of the sandbox's own, on the same disk as functions' data is meant to be.
    pub state_dir: PathBuf,
}

/// Makes isolated environments, which end with it. One for each daemon.
pub struct Sandbox {
    config: SandboxConfig,
    hierarchies: Hierarchies,
    /// Found out with the first environment, since it takes some 30 ms.
    scratch: OnceLock<Result<Scratch, String>>,
    filter: Vec<(u16, u8, u8, u32)>,
    root: bool,
    cloner: Sender<CloneJob>,
}

/// A started environment. Dropping it kills everything in it.
pub struct Environment {
    init: Pid,
    control: OwnedFd,
    group: Group,
    users: Option<Users>,
    reaped: bool,
}

/// What comes with a started environment.
pub struct Started {
    pub environment: Environment,
    /// On [`Spec::runtime_api_port`] of the environment's loopback.
    pub runtime_api: TcpListener,
    /// On [`Spec::endpoint_port`] of the environment's loopback.
    pub endpoint: TcpListener,
    /// The read end, non-blocking, of the pipe that is the runtime's standard output, standard error and descriptor 3.
    pub output: OwnedFd,
    /// Non-blocking; each packet is a report (see [`Report::read`]), an empty one means that process 1 has vanished.
    pub reports: UnixDatagram,
}

struct CloneJob {
    control: OwnedFd,
    output: OwnedFd,
    user_namespace: bool,
    reply: Sender<io::Result<Pid>>,
}

/// Shared by all sandboxes of this process, so that no two environments have the same user.
static USERS: Mutex<UserSlots> = Mutex::new(UserSlots { free: Vec::new(), next: 0 });

struct UserSlots {
    free: Vec<u32>,
    next: u32,
}

impl Sandbox {
    /// A sandbox on this host; removes what killed daemons left behind.
    pub fn new(config: SandboxConfig) -> Result<Self, SandboxError> {
        let mount_point = mount_point(&config);
        fs::create_dir_all(&mount_point)
            .map_err(|source| SandboxError::State { path: mount_point.clone(), source })?;
        let root = nix::unistd::geteuid().is_root();
        let (cloner, jobs) = channel();
        std::thread::Builder::new()
            .name("sandbox-cloner".to_owned())
            .spawn(move || clone_for_ever(&jobs))
            .map_err(SandboxError::start("start a thread"))?;
        Ok(Self {
            config,
            hierarchies: Hierarchies::find(),
            scratch: OnceLock::new(),
            filter: filter::compile()?,
            root,
            cloner,
        })
    }

    /// Starts an environment. Blocks for some milliseconds, at most 20 seconds.
    pub fn spawn(&self, spec: &Spec) -> Result<Started, SandboxError> {
        self.start(spec, false)
    }

    /// Builds an environment up to where the runtime would be executed, and takes it down again.
    pub(crate) fn probe(&self, spec: &Spec) -> Result<(), SandboxError> {
        let started = self.start(spec, true)?;
        started.reports.set_nonblocking(false).map_err(SandboxError::start("wait for its first process"))?;
        match started.environment.wait_report()? {
            Report::Failed { detail } => Err(SandboxError::Init { detail }),
            _ => Ok(()),
        }
    }

    pub(crate) fn hierarchies(&self) -> &Hierarchies {
        &self.hierarchies
    }

    pub(crate) fn scratch_problem(&self) -> Option<&str> {
        self.scratch().as_ref().err().map(String::as_str)
    }

    fn scratch(&self) -> &Result<Scratch, String> {
        self.scratch.get_or_init(|| {
            if self.root {
                Scratch::find(&self.config.state_dir.join("scratch"))
            } else {
                Err("loop devices need root".to_owned())
            }
        })
    }

    pub(crate) fn is_root(&self) -> bool {
        self.root
    }

    fn start(&self, spec: &Spec, probe: bool) -> Result<Started, SandboxError> {
        let disk = self.disk(spec)?;
        let group = self.hierarchies.create(spec)?;
        let (control, theirs) = control_pair().map_err(SandboxError::start("make a control socket"))?;
        let (output, their_output) = output_pipe().map_err(SandboxError::start("make an output pipe"))?;
        let init = self.clone_child(theirs, their_output)?;
        let users = self.root.then(take_users);
        let environment = Environment { init, control, group, users, reaped: false };
        let orders = Orders {
            spec: spec.clone(),
            users: environment.users,
            mount_point: mount_point(&self.config),
            join: environment.group.join_files(),
            scratch_device: disk.as_ref().map(|disk| disk.device.clone()),
            filter: self.filter.clone(),
            probe,
        };
        link::send_json(environment.control.as_fd(), &orders, &[])
            .map_err(SandboxError::start("give its first process orders"))?;
        let (runtime_api, endpoint) = environment.wait_ready()?;
        let reports = environment.reports().map_err(SandboxError::start("share its control socket"))?;
        Ok(Started { environment, runtime_api, endpoint, output, reports })
    }

    fn disk(&self, spec: &Spec) -> Result<Option<Disk>, SandboxError> {
        let Ok(scratch) = self.scratch() else { return Ok(None) };
        scratch
            .disk(&spec.name, spec.scratch_mib)
            .map(Some)
            .map_err(SandboxError::start("make a disk for /tmp"))
    }

    fn clone_child(&self, control: OwnedFd, output: OwnedFd) -> Result<Pid, SandboxError> {
        let (reply, answer) = channel();
        let job = CloneJob { control, output, user_namespace: !self.root, reply };
        let gone = |_| SandboxError::Start {
            step: "reach the cloning thread",
            source: io::Error::from(io::ErrorKind::BrokenPipe),
        };
        self.cloner.send(job).map_err(|_| gone(()))?;
        let cloned = answer.recv().map_err(|_| gone(()))?;
        cloned.map_err(|source| match source.raw_os_error() {
            Some(libc::EPERM | libc::ENOSPC) => SandboxError::Unsupported(format!(
                "namespaces are refused ({source}): run as root, or allow user namespaces \
                 (sysctl user.max_user_namespaces, kernel.unprivileged_userns_clone)"
            )),
            _ => SandboxError::Start { step: "clone its first process", source },
        })
    }
}

impl Environment {
    /// Process 1 of the environment, as the host numbers it.
    pub fn pid(&self) -> i32 {
        self.init.as_raw()
    }

    /// The most memory the environment ever used, in bytes; `None` where the host does not count it.
    pub fn peak_memory_bytes(&self) -> Option<u64> {
        self.group.peak_bytes()
    }

    /// Whether the kernel killed a process of the environment for want of memory.
    pub fn oom_killed(&self) -> bool {
        self.group.oom_kills() > 0
    }

    /// CPU time the environment used, in microseconds; `None` where the host does not count it.
    pub fn cpu_us(&self) -> Option<u64> {
        self.group.cpu_us()
    }

    /// Kills everything in the environment at once and waits until it is gone: some milliseconds, blocking.
    pub fn kill(mut self) {
        self.end();
    }

    fn end(&mut self) {
        if self.reaped {
            return;
        }
        self.reaped = true;
        let pid = self.init;
        // The kernel kills every process of the namespace with its process 1, and lets it be reaped after them.
        let _ = nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGKILL);
        while let Err(nix::errno::Errno::EINTR) = nix::sys::wait::waitpid(pid, None) {}
        self.group.remove();
        if let Some(users) = self.users.take() {
            USERS.lock().unwrap_or_else(PoisonError::into_inner).free.push(users.runtime);
        }
    }

    fn wait_ready(&self) -> Result<(TcpListener, TcpListener), SandboxError> {
        let (report, fds) = self.report().map_err(SandboxError::start("hear from its first process"))?;
        match report {
            Report::Failed { detail } => return Err(SandboxError::Init { detail }),
            Report::Ready => {}
            other => return Err(SandboxError::Init { detail: format!("stay alive: {other:?}") }),
        }
        link::listeners(fds).ok_or_else(|| SandboxError::Init { detail: "pass two listeners".to_owned() })
    }

    /// A second descriptor of the control socket, which from now on nobody waits on.
    fn reports(&self) -> io::Result<UnixDatagram> {
        let reports = UnixDatagram::from(self.control.try_clone()?);
        reports.set_nonblocking(true)?;
        Ok(reports)
    }

    fn wait_report(&self) -> Result<Report, SandboxError> {
        let report = self.report();
        report.map(|(report, _)| report).map_err(SandboxError::start("hear from its first process"))
    }

    fn report(&self) -> io::Result<(Report, Vec<OwnedFd>)> {
        let (packet, fds) = link::receive(self.control.as_fd(), link::MAX_REPORT)?;
        Ok((Report::read(&packet), fds))
    }
}

impl Drop for Environment {
    fn drop(&mut self) {
        self.end();
    }
}

/// Clones on one thread that never ends: the kernel ties a child's life to the thread that made it.
fn clone_for_ever(jobs: &Receiver<CloneJob>) {
    // A signal handler of the daemon must not run in a child that shares its memory.
    let _ = SigSet::all().thread_block();
    while let Ok(job) = jobs.recv() {
        let child = spawn_init(job.control.as_fd(), job.output.as_fd(), job.user_namespace);
        drop((job.control, job.output));
        let _ = job.reply.send(child);
    }
}

fn mount_point(config: &SandboxConfig) -> PathBuf {
    config.state_dir.join("root")
}

fn control_pair() -> io::Result<(OwnedFd, OwnedFd)> {
    let flags = SockFlag::SOCK_CLOEXEC;
    let (ours, theirs) = socketpair(AddressFamily::Unix, SockType::SeqPacket, None, flags)?;
    let timeout = TimeVal::new(i64::try_from(START_TIMEOUT.as_secs()).expect("a few seconds"), 0);
    setsockopt(&ours, sockopt::ReceiveTimeout, &timeout)?;
    Ok((ours, theirs))
}

/// (read end, non-blocking; write end, blocking)
fn output_pipe() -> io::Result<(OwnedFd, OwnedFd)> {
    use nix::fcntl::{FcntlArg, OFlag, fcntl};
    let (read, write) = nix::unistd::pipe2(OFlag::O_CLOEXEC)?;
    fcntl(&read, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
    Ok((read, write))
}

fn take_users() -> Users {
    let mut slots = USERS.lock().unwrap_or_else(PoisonError::into_inner);
    let runtime = slots.free.pop().unwrap_or_else(|| {
        let base = FIRST_USER + (std::process::id() % DAEMON_SLOTS) * USERS_PER_DAEMON;
        slots.next += 2;
        base + (slots.next - 2) % USERS_PER_DAEMON
    });
    Users { runtime, init: runtime + 1 }
}
