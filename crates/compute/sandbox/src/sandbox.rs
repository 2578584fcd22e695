//! The daemon's side: preparing environments.

use std::fs::{self, File};
use std::net::TcpListener;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use crate::cgroups::Hierarchies;
use crate::environment::{Environment, Process, Resources, pid_of};
use crate::error::SandboxError;
use crate::link::{self, Fds, Report};
use crate::orders::EnvironmentOrders;
use crate::scratch::{Backing, Disk, Scratch};
use crate::snapshots::{Grown, Seed};
use crate::sockets::{control_pair, orders_pair, output_pipe};
use crate::spec::{Boot, Shell, Users};
use crate::templates::{Template, Templates};
use crate::users::{OwnUsers, is_full_root};
use crate::watcher::Watcher;
use crate::zygote::Entrance;

/// Where a sandbox keeps its few files.
#[derive(Clone, Debug)]
pub struct SandboxConfig {
    /// A folder of the sandbox's own, on the same disk as functions' data is meant to be.
    pub state_dir: PathBuf,
}

/// Makes isolated environments, which end with it. One for each daemon.
pub struct Sandbox {
    config: SandboxConfig,
    pub(crate) hierarchies: Arc<Hierarchies>,
    /// Found out with the first environment, since it takes some 30 ms.
    scratch: Arc<OnceLock<Result<Scratch, String>>>,
    templates: Templates,
    root: bool,
    made: AtomicU64,
    /// Made with the first environment that is forked from a snapshot.
    pub(crate) watcher: OnceLock<Watcher>,
}

/// What comes with a prepared environment.
pub struct Started {
    pub environment: Environment,
    /// On [`Shell::runtime_api_port`] of the environment's loopback.
    pub runtime_api: TcpListener,
    /// On [`Shell::endpoint_port`] of the environment's loopback.
    pub endpoint: TcpListener,
    /// The read end, non-blocking, of the pipe that is the runtime's standard output, standard error and descriptor 3.
    pub output: OwnedFd,
    /// The same of all companions, where there are any.
    pub companions_output: Option<OwnedFd>,
    /// Non-blocking; each packet is a report (see [`Report::read`]), an empty one means that process 1 has vanished.
    pub reports: UnixDatagram,
    /// The environment's network device, where the shell asked for one.
    pub tun: Option<OwnedFd>,
}

/// One side of what an environment is connected to the daemon by.
struct Ends {
    control: OwnedFd,
    output: OwnedFd,
    orders: Option<OwnedFd>,
    /// The orders and the output of companions.
    companions: Option<(OwnedFd, OwnedFd)>,
}

/// What an environment reports when it stands.
struct Standing {
    runtime_api: OwnedFd,
    endpoint: OwnedFd,
    init: OwnedFd,
    tun: Option<OwnedFd>,
    /// For a zygote's child.
    user_namespace: Option<OwnedFd>,
    fence: Option<OwnedFd>,
    /// Pidfds.
    companions: Vec<OwnedFd>,
}

impl Sandbox {
    /// A sandbox on this host; removes what killed daemons left behind. Nothing runs before the first environment.
    pub fn new(config: SandboxConfig) -> Result<Self, SandboxError> {
        let mount_point = config.state_dir.join("root");
        fs::create_dir_all(&mount_point)
            .map_err(|source| SandboxError::State { path: mount_point.clone(), source })?;
        let (root, hierarchies) = (is_full_root(), Arc::new(Hierarchies::find()));
        let bounds_processes = hierarchies.pids.is_some();
        Ok(Self {
            config,
            hierarchies,
            scratch: Arc::default(),
            templates: Templates::new(mount_point, root, bounds_processes)?,
            root,
            made: AtomicU64::new(0),
            watcher: OnceLock::new(),
        })
    }

    /// Makes an environment without a function, and starts its runtime where that needs none. Blocks for some
    /// milliseconds, for longer with the first of a kind, at most 20 seconds.
    pub fn prepare(&self, shell: &Shell) -> Result<Started, SandboxError> {
        self.prepare_kind(shell, None).map(|(started, _)| started)
    }

    /// The same for a runtime that shall become a [`Snapshot`] of its function; gives its process as a pidfd, and its user
    /// namespace.
    pub(crate) fn prepare_kind(
        &self,
        shell: &Shell,
        seed: Option<&Seed>,
    ) -> Result<(Started, Option<Grown>), SandboxError> {
        let template = self.templates.get(shell)?;
        match self.prepare_from(template.clone(), shell, seed) {
            Err(error) if error.is_gone() => {
                // Whatever ended the template or the zygote, or keeps it from answering, the next ones may live.
                self.templates.replace(shell, &template);
                self.prepare_from(self.templates.get(shell)?, shell, seed)
            }
            done => done,
        }
    }

    /// Lets go of what was made for environments of a kind; what lives of them lives on.
    pub fn retire(&self, shell: &Shell) {
        self.templates.forget(shell);
    }

    pub(crate) fn hierarchies(&self) -> &Hierarchies {
        &self.hierarchies
    }

    pub(crate) fn scratch_problem(&self) -> Option<&str> {
        self.scratch().as_ref().err().map(String::as_str)
    }

    pub(crate) fn is_root(&self) -> bool {
        self.root
    }

    fn scratch(&self) -> &Result<Scratch, String> {
        self.scratch.get_or_init(|| {
            if !self.root {
                return Err("loop devices need root".to_owned());
            }
            Scratch::find(&self.config.state_dir.join("scratch")).inspect_err(|why| {
                tracing::warn!(%why, "no disks for /tmp: it is in memory until the next start of the platform");
            })
        })
    }

    /// A name for the control groups of one more environment.
    pub(crate) fn next_name(&self) -> String {
        format!("e{}", self.made.fetch_add(1, Ordering::SeqCst))
    }

    fn prepare_from(
        &self,
        template: Arc<Template>,
        shell: &Shell,
        seed: Option<&Seed>,
    ) -> Result<(Started, Option<Grown>), SandboxError> {
        let users = if self.root { OwnUsers::take() } else { OwnUsers::only_one() };
        let disk = self.disk(shell, users.users.runtime)?;
        let group = self.hierarchies.create(&self.next_name(), shell)?;
        let joins = group.joins()?;
        let (ours, theirs) = ends(shell)?;
        let (disk, backing) = disk.map(|disk| (disk.mount, disk.backing)).unzip();
        let hierarchies = self.hierarchies.clone();
        let mut has = Resources { group, hierarchies, users, disk: self.disk_back(backing) };
        make(&template, shell, &theirs, (has.users.users, seed), disk.as_ref(), &joins)?;
        drop(disk);
        // What it does not hold cannot keep it from being heard to die.
        let theirs = matches!(shell.boot, Boot::Fork { .. }).then_some(theirs);
        // One that never said who it is may still live, and cannot be killed.
        let standing = wait_ready(&ours.control, shell).inspect_err(|_| has.keep_from_others())?;
        let reports = reports(&ours.control);
        let (companions, companions_output) = ours.companions.unzip();
        let (init, orders) = (standing.init, ours.orders);
        let companion_pids = standing.companions.iter().filter_map(pid_of).collect();
        let process = Process { init, _control: Some(ours.control), orders, companions, companion_pids };
        // From here on whatever fails ends it.
        let environment = Environment::new(process, template, has);
        let reports = reports.map_err(SandboxError::start("share its control socket"))?;
        let mut forked = None;
        if let (Some(theirs), Some(user_namespace)) = (&theirs, &standing.user_namespace) {
            forked = environment.fork_runtime(&Entrance {
                init: environment.init(),
                user_namespace,
                report: &theirs.control,
                output: &theirs.output,
                fence: standing.fence.as_ref(),
                joins: &joins,
                orders: seed.map(|seed| &seed.orders),
            })?;
        }
        let grown = forked.zip(standing.user_namespace);
        let grown = grown.map(|(process, user_namespace)| Grown { process, user_namespace });
        drop(theirs);
        let started = Started {
            environment,
            runtime_api: standing.runtime_api.into(),
            endpoint: standing.endpoint.into(),
            output: ours.output,
            companions_output,
            reports,
            tun: standing.tun,
        };
        Ok((started, grown))
    }

    pub(crate) fn disk_back(&self, backing: Option<Backing>) -> DiskBack {
        DiskBack { scratch: self.scratch.clone(), backing }
    }

    /// A disk for `/tmp`, where the host can give one.
    pub(crate) fn disk(&self, shell: &Shell, owner: u32) -> Result<Option<Disk>, SandboxError> {
        let Ok(scratch) = self.scratch() else { return Ok(None) };
        let disk = scratch.disk(shell.scratch_mib, owner);
        disk.map(Some).map_err(SandboxError::start("make a disk for /tmp"))
    }
}

/// Gives an environment's disk back when it is dropped.
pub(crate) struct DiskBack {
    scratch: Arc<OnceLock<Result<Scratch, String>>>,
    backing: Option<Backing>,
}

impl DiskBack {
    /// It will be nobody else's any more.
    pub(crate) fn keep(&mut self) {
        self.backing = None;
    }
}

impl Drop for DiskBack {
    fn drop(&mut self) {
        if let (Some(Ok(scratch)), Some(backing)) = (self.scratch.get(), self.backing.take()) {
            scratch.take_back(backing);
        }
    }
}

/// (ours, theirs)
fn ends(shell: &Shell) -> Result<(Ends, Ends), SandboxError> {
    let (control, their_control) = control_pair().map_err(SandboxError::start("make a control socket"))?;
    let (output, their_output) = output_pipe().map_err(SandboxError::start("make an output pipe"))?;
    let waits = matches!(shell.boot, Boot::Later { .. });
    let pair =
        waits.then(orders_pair).transpose().map_err(SandboxError::start("make a socket for its orders"))?;
    let (orders, their_orders) = pair.unzip();
    let (companions, their_companions) = if shell.companions > 0 {
        let (tell, told) = orders_pair().map_err(SandboxError::start("make a socket for companions"))?;
        let (read, write) = output_pipe().map_err(SandboxError::start("make an output pipe"))?;
        (Some((tell, read)), Some((told, write)))
    } else {
        (None, None)
    };
    let theirs = Ends {
        control: their_control,
        output: their_output,
        orders: their_orders,
        companions: their_companions,
    };
    Ok((Ends { control, output, orders, companions }, theirs))
}

fn make(
    template: &Template,
    shell: &Shell,
    theirs: &Ends,
    (users, seed): (Users, Option<&Seed>),
    disk: Option<&OwnedFd>,
    joins: &[File],
) -> Result<(), SandboxError> {
    // A zygote's child joins by itself.
    let alone = matches!(shell.boot, Boot::Fork { .. }) && shell.companions == 0;
    let joins = if alone { &[] } else { joins };
    let order = EnvironmentOrders {
        users,
        block: seed.and_then(|seed| seed.block.as_ref()).map(|block| block.first),
        is_snapshot: seed.is_some(),
        has_orders: theirs.orders.is_some(),
        has_disk: disk.is_some(),
        joins: joins.len(),
    };
    let mut fds = vec![theirs.control.as_raw_fd(), theirs.output.as_raw_fd()];
    fds.extend(theirs.orders.as_ref().map(AsRawFd::as_raw_fd));
    fds.extend(theirs.companions.iter().flat_map(|(told, write)| [told.as_raw_fd(), write.as_raw_fd()]));
    fds.extend(disk.map(AsRawFd::as_raw_fd));
    fds.extend(joins.iter().map(AsRawFd::as_raw_fd));
    template.make_environment(&order, &fds)
}

fn wait_ready(control: &OwnedFd, shell: &Shell) -> Result<Standing, SandboxError> {
    let heard = link::receive(control.as_fd(), link::MAX_REPORT);
    let (packet, fds) = heard.map_err(SandboxError::start("hear from its first process"))?;
    let failed = |detail| SandboxError::Init { detail };
    let (tun, fence) = match Report::read(&packet) {
        Report::Ready { tun, fence } => (tun, fence),
        Report::Failed { detail } => return Err(failed(detail)),
        other => return Err(failed(format!("stay alive: {other:?}"))),
    };
    let mut fds = Fds::new(fds);
    let mut standing = || -> Result<Standing, String> {
        Ok(Standing {
            runtime_api: fds.next()?,
            endpoint: fds.next()?,
            init: fds.next()?,
            tun: fds.next_if(tun)?,
            user_namespace: fds.next_if(matches!(shell.boot, Boot::Fork { .. }))?,
            fence: fds.next_if(fence)?,
            companions: fds.take(fds.numbers().len())?,
        })
    };
    standing().map_err(failed)
}

/// A second descriptor of the control socket, on which from now on only the caller waits.
fn reports(control: &OwnedFd) -> std::io::Result<UnixDatagram> {
    let reports = UnixDatagram::from(control.try_clone()?);
    reports.set_nonblocking(true)?;
    Ok(reports)
}
