//! A sandbox in the pool's hands: moved between stillness and life, and ended.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::task::{Context, Poll};

use lambent_sandbox::{ExitStatus, MAX_REPORT, Report};
use parking_lot::Mutex;
use tokio::net::UnixDatagram;

use crate::extensions::ExtensionEnd;

/// A sandbox, frozen or not. Dropping it kills what is in it, which blocks for some milliseconds.
pub(crate) struct Enclosure {
    pub(crate) sandbox: Arc<lambent_sandbox::Environment>,
    state: Arc<Mutex<State>>,
}

/// Locked by whoever freezes or thaws, for as long as the kernel takes, and by nobody else for longer than a moment.
#[derive(Default)]
struct State {
    frozen: bool,
    /// Counts how often it was thawed, or would have been.
    turn: u64,
}

/// To freeze an enclosure by, without holding it: the kernel may take milliseconds, while it makes or removes others. It
/// is without effect once the enclosure was thawed again.
pub(crate) struct Stillness {
    // Weak, so that the enclosure's end is its end.
    sandbox: Weak<lambent_sandbox::Environment>,
    state: Arc<Mutex<State>>,
    turn: u64,
}

impl Enclosure {
    pub(crate) fn new(sandbox: lambent_sandbox::Environment) -> Self {
        Self { sandbox: Arc::new(sandbox), state: Arc::default() }
    }

    /// A way to stop everything in it where it stands, until it is thawed.
    pub(crate) fn stillness(&self) -> Stillness {
        let turn = self.state.lock().turn;
        Stillness { sandbox: Arc::downgrade(&self.sandbox), state: self.state.clone(), turn }
    }

    /// Lets everything in it go on. What is not frozen costs nothing; for the rest a thread waits that may.
    pub(crate) async fn wake(&mut self) -> io::Result<()> {
        if let Some(mut state) = self.state.try_lock()
            && !state.frozen
        {
            state.turn += 1;
            return Ok(());
        }
        let (sandbox, state) = (Arc::downgrade(&self.sandbox), self.state.clone());
        let thawed = tokio::task::spawn_blocking(move || thaw(&sandbox, &state)).await;
        thawed.unwrap_or_else(|_| Err(io::Error::other("the platform is shutting down")))
    }
}

impl Enclosure {
    /// Ends the runtime, and leaves extensions; false when that cannot be done.
    pub(crate) async fn kill_runtime(&self) -> bool {
        self.with_sandbox(lambent_sandbox::Environment::kill_runtime).await
    }

    /// Asks the runtime to end; false when it cannot be asked.
    pub(crate) async fn terminate_runtime(&self) -> bool {
        self.with_sandbox(lambent_sandbox::Environment::terminate_runtime).await
    }

    /// Has a thread do what may block.
    async fn with_sandbox(&self, work: fn(&lambent_sandbox::Environment) -> bool) -> bool {
        let sandbox = Arc::downgrade(&self.sandbox);
        let done = move || sandbox.upgrade().is_some_and(|sandbox| work(&sandbox));
        tokio::task::spawn_blocking(done).await.unwrap_or(false)
    }
}

impl Stillness {
    /// Stops everything in it; what cannot be stopped on this host goes on. Blocks.
    pub(crate) fn begin(self) {
        let mut state = self.state.lock();
        if state.turn != self.turn {
            return;
        }
        let Some(sandbox) = self.sandbox.upgrade() else { return };
        match sandbox.freeze() {
            Ok(()) => state.frozen = true,
            Err(error) => warn_once(&error),
        }
    }
}

/// Holds the sandbox only as long as the state, so that an enclosure that waits for the one also outlives the other.
fn thaw(sandbox: &Weak<lambent_sandbox::Environment>, state: &Mutex<State>) -> io::Result<()> {
    let mut state = state.lock();
    state.turn += 1;
    if state.frozen
        && let Some(sandbox) = sandbox.upgrade()
    {
        sandbox.thaw()?;
        state.frozen = false;
    }
    Ok(())
}

/// It is tried again after the environment's next call; to say it each time would be said very often.
fn warn_once(error: &io::Error) {
    static SAID: AtomicBool = AtomicBool::new(false);
    if !SAID.swap(true, Ordering::Relaxed) {
        tracing::warn!("expected to freeze an idle environment: {error}; what it left running goes on");
    }
}

impl Drop for Enclosure {
    fn drop(&mut self) {
        // Some kernels let nothing die that is frozen. Nothing else can be done about one that will not thaw.
        let _ = thaw(&Arc::downgrade(&self.sandbox), &self.state);
    }
}

/// What an environment's first process says of what ran in it.
#[derive(Debug)]
pub(crate) enum Reported {
    /// The runtime's program ended.
    Exited(ExitStatus),
    /// It could not even be executed: the errno.
    NotExecuted(i32),
    /// Nor could the folder be entered in which it should start: the errno.
    NotEntered(i32),
    /// It could not be finished, by no fault of the function's.
    Broken(String),
    /// A program beside the runtime ended.
    Companion(String, ExtensionEnd),
}

/// Listens to an environment's first process.
pub(crate) struct Reports {
    reports: UnixDatagram,
    /// Whether its program waits to be executed.
    waiting: bool,
    /// What the programs beside it are called, by their number.
    companions: Vec<(usize, String)>,
}

impl Reports {
    /// Must run within the tokio runtime.
    pub(crate) fn new(reports: std::os::unix::net::UnixDatagram) -> io::Result<Self> {
        Ok(Self { reports: UnixDatagram::from_std(reports)?, waiting: false, companions: Vec::new() })
    }

    /// Whether anything in it is known to have ended.
    pub(crate) fn has_ended(&mut self) -> bool {
        let mut context = Context::from_waker(std::task::Waker::noop());
        self.poll_end(&mut context).is_ready()
    }

    /// Whether its program waits to be executed, as far as is known from polls.
    pub(crate) fn is_waiting(&self) -> bool {
        self.waiting
    }

    /// The name of one that ended; none when that is known already, or it never was anything.
    fn take_companion(&mut self, index: usize) -> Option<String> {
        let at = self.companions.iter().position(|(one, _)| *one == index)?;
        Some(self.companions.swap_remove(at).1)
    }

    /// Ready with how the runtime's program ended, or one beside it.
    pub(crate) fn poll_end(&mut self, context: &mut Context<'_>) -> Poll<Reported> {
        let vanished = Poll::Ready(Reported::Exited(ExitStatus::Signal(0)));
        let mut packet = [0; MAX_REPORT];
        loop {
            match self.reports.poll_recv_ready(context) {
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(_)) => return vanished,
                Poll::Pending => return Poll::Pending,
            }
            let length = match self.reports.try_recv(&mut packet) {
                Ok(length) => length,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => continue,
                Err(_) => return vanished,
            };
            match Report::read(&packet[..length]) {
                Report::Exited(status) => return Poll::Ready(Reported::Exited(status)),
                Report::NotExecuted { errno } => return Poll::Ready(Reported::NotExecuted(errno)),
                Report::NotEntered { errno } => return Poll::Ready(Reported::NotEntered(errno)),
                Report::Failed { detail } => return Poll::Ready(Reported::Broken(detail)),
                Report::Companion { index, name } => self.companions.push((index, name)),
                Report::CompanionNotExecuted { index, errno } => {
                    if let Some(name) = self.take_companion(index) {
                        return Poll::Ready(Reported::Companion(name, ExtensionEnd::NotExecuted(errno)));
                    }
                }
                Report::CompanionExited { index, status } => {
                    if let Some(name) = self.take_companion(index) {
                        return Poll::Ready(Reported::Companion(name, ExtensionEnd::Exited(status)));
                    }
                }
                Report::Waiting => self.waiting = true,
                Report::Ready { .. } => {}
            }
        }
    }
}
