//! The daemon's side of the forge and its templates.

use std::collections::HashMap;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use nix::sys::signal::SigSet;
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

use crate::clone::spawn_forge;
use crate::error::SandboxError;
use crate::link::{self, Channel};
use crate::orders::{EnvironmentOrders, TemplateOrders, Work};
use crate::sockets::control_pair;
use crate::spec::{Bind, Boot, Shell};
use crate::zygote::Zygote;

/// The forge, its templates, and all that is needed to make more of them.
pub(crate) struct Templates {
    made: Mutex<Made>,
    mount_point: PathBuf,
    root: bool,
    /// Whether control groups bound the number of processes.
    bounds_processes: bool,
    cloner: Sender<CloneJob>,
}

#[derive(Default)]
struct Made {
    forge: Option<Arc<Forge>>,
    templates: HashMap<Shell, Slot>,
}

/// Held while the template of one kind is made, so that other kinds need not wait.
type Slot = Arc<Mutex<Option<Arc<Template>>>>;

/// A helper process with the daemon's privileges. It ends when this is dropped.
struct Forge {
    control: Channel,
    pid: Pid,
    /// Once it is, its number may be somebody else's.
    reaped: AtomicBool,
}

/// A process that forks environments of one kind. It ends, and all of them with it, when this is dropped.
pub(crate) struct Template {
    control: Channel,
    pub(crate) zygote: Option<Zygote>,
    forge: Arc<Forge>,
    whole_trees: bool,
}

struct CloneJob {
    control: OwnedFd,
    user_namespace: bool,
    reply: Sender<io::Result<Pid>>,
}

impl Templates {
    /// None yet; the forge is made with the first.
    pub(crate) fn new(
        mount_point: PathBuf,
        root: bool,
        bounds_processes: bool,
    ) -> Result<Self, SandboxError> {
        let (cloner, jobs) = channel();
        std::thread::Builder::new()
            .name("sandbox-cloner".to_owned())
            .spawn(move || clone_for_ever(&jobs))
            .map_err(SandboxError::start("start a thread"))?;
        Ok(Self { made: Mutex::default(), mount_point, root, bounds_processes, cloner })
    }

    /// The template of a kind.
    pub(crate) fn get(&self, shell: &Shell) -> Result<Arc<Template>, SandboxError> {
        let slot = self.made().templates.entry(shell.clone()).or_default().clone();
        let mut slot = slot.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(template) = &*slot {
            return Ok(template.clone());
        }
        let made = self.forge().and_then(|forge| self.make_template(forge, shell));
        let template = Arc::new(made.inspect_err(|_| self.forget(shell))?);
        *slot = Some(template.clone());
        Ok(template)
    }

    /// Lets a template go; it ends with its last environment, and the forge with the last template.
    pub(crate) fn forget(&self, shell: &Shell) {
        let mut made = self.made();
        let slot = made.templates.remove(shell);
        let forge = if made.templates.is_empty() { made.forge.take() } else { None };
        drop(made);
        drop((slot, forge));
    }

    /// Lets a template go that does not answer, unless somebody else has done so already.
    pub(crate) fn replace(&self, shell: &Shell, failed: &Arc<Template>) {
        let Some(slot) = self.made().templates.get(shell).cloned() else { return };
        let mut slot = slot.lock().unwrap_or_else(PoisonError::into_inner);
        let gone = slot.take_if(|template| Arc::ptr_eq(template, failed));
        drop(slot);
        drop(gone);
    }

    fn forge(&self) -> Result<Arc<Forge>, SandboxError> {
        let mut made = self.made();
        if let Some(forge) = made.forge.as_ref().filter(|forge| forge.is_alive()) {
            return Ok(forge.clone());
        }
        let forge = Arc::new(self.make_forge()?);
        made.forge = Some(forge.clone());
        Ok(forge)
    }

    fn made(&self) -> MutexGuard<'_, Made> {
        self.made.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn make_forge(&self) -> Result<Forge, SandboxError> {
        let (control, theirs) = control_pair().map_err(SandboxError::start("make a control socket"))?;
        let (reply, answer) = channel();
        let job = CloneJob { control: theirs, user_namespace: !self.root, reply };
        let gone = |_| SandboxError::Start {
            step: "reach the cloning thread",
            source: io::Error::from(io::ErrorKind::BrokenPipe),
        };
        self.cloner.send(job).map_err(|_| gone(()))?;
        let cloned = answer.recv().map_err(|_| gone(()))?;
        let pid = cloned.map_err(|source| match source.raw_os_error() {
            Some(libc::EPERM | libc::ENOSPC) => SandboxError::Unsupported(format!(
                "namespaces are refused ({source}): run as root, or allow user namespaces \
                 (sysctl user.max_user_namespaces, kernel.unprivileged_userns_clone, \
                 kernel.apparmor_restrict_unprivileged_userns)"
            )),
            _ => SandboxError::Start { step: "clone the process that builds them", source },
        })?;
        Ok(Forge { control: Channel::new(control), pid, reaped: AtomicBool::new(false) })
    }

    fn make_template(&self, forge: Arc<Forge>, shell: &Shell) -> Result<Template, SandboxError> {
        let pair = || control_pair().map_err(SandboxError::start("make a control socket"));
        let (control, theirs) = pair()?;
        let zygote = if matches!(shell.boot, Boot::Fork { .. }) { Some(pair()?) } else { None };
        let orders = TemplateOrders {
            shell: shell.clone(),
            mount_point: self.mount_point.clone(),
            bounds_processes: self.bounds_processes,
            root: self.root,
        };
        let mut fds = vec![theirs.as_raw_fd()];
        fds.extend(zygote.iter().map(|(_, theirs)| theirs.as_raw_fd()));
        forge.ask(&Work::Template(Box::new(orders)), &fds)?;
        drop(theirs);
        let ready = link::receive(control.as_fd(), link::MAX_REPORT);
        let (packet, _) = ready.map_err(SandboxError::start("hear from their template"))?;
        let ready: link::Reply = serde_json::from_slice(&packet)
            .unwrap_or_else(|_| Err("stay alive while it built their root".to_owned()));
        ready.map_err(|detail| SandboxError::Init { detail })?;
        let zygote = zygote.map(|(ours, _)| Zygote::new(ours, shell, self.root, self.bounds_processes));
        let zygote = zygote.transpose()?;
        Ok(Template { control: Channel::new(control), zygote, forge, whole_trees: !self.root })
    }
}

impl Template {
    /// Has the template fork an environment, which then speaks for itself. A template that is gone says so by an error
    /// of the kind "broken pipe".
    pub(crate) fn make_environment(
        &self,
        order: &EnvironmentOrders,
        fds: &[i32],
    ) -> Result<(), SandboxError> {
        let reply = self.control.ask(order, fds).map_err(SandboxError::start("reach their template"))?;
        reply.map_err(|detail| SandboxError::Init { detail })
    }

    pub(crate) fn ask_forge(&self, work: &Work, fds: &[i32]) -> Result<(), SandboxError> {
        self.forge.ask(work, fds)
    }

    /// Mounts host folders in one of its environments.
    pub(crate) fn mount(&self, init: &OwnedFd, binds: &[Bind]) -> Result<(), SandboxError> {
        let work = Work::Mount { binds: binds.to_vec(), whole_trees: self.whole_trees };
        self.forge.ask(&work, &[init.as_raw_fd()])
    }
}

impl Forge {
    fn ask(&self, work: &Work, fds: &[i32]) -> Result<(), SandboxError> {
        let reply =
            self.control.ask(work, fds).map_err(SandboxError::start("reach the process that builds them"))?;
        reply.map_err(|detail| SandboxError::Init { detail })
    }

    fn is_alive(&self) -> bool {
        let found = waitpid(self.pid, Some(WaitPidFlag::WNOHANG));
        let alive = found.is_ok_and(|found| found == WaitStatus::StillAlive);
        if !alive {
            self.reaped.store(true, Ordering::SeqCst);
        }
        alive && !self.control.is_broken()
    }
}

impl Drop for Forge {
    fn drop(&mut self) {
        if *self.reaped.get_mut() {
            return;
        }
        // Nothing that it made is left, so that it has nothing to lose.
        let _ = nix::sys::signal::kill(self.pid, nix::sys::signal::Signal::SIGKILL);
        while let Err(nix::errno::Errno::EINTR) = waitpid(self.pid, None) {}
    }
}

/// Clones on one thread that never ends: the kernel ties a child's life to the thread that made it.
fn clone_for_ever(jobs: &Receiver<CloneJob>) {
    // A signal handler of the daemon must not run in a child that shares its memory.
    let _ = SigSet::all().thread_block();
    while let Ok(job) = jobs.recv() {
        let child = spawn_forge(job.control.as_fd(), job.user_namespace);
        drop(job.control);
        let _ = job.reply.send(child);
    }
}
