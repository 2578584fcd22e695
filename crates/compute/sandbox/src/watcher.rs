//! How restored environments ended: they have no parent of ours that could tell, so their processes are watched.

use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use crate::link::{self, ExitStatus, Report};

/// A parent that ignores its children's ends has them reaped at once, but not in the same instant.
const ATTEMPTS: usize = 50;
const PAUSE: Duration = Duration::from_millis(1);
/// Where the kernel does not tell (before Linux 6.15).
const UNKNOWN: ExitStatus = ExitStatus::Code(1);

/// Watches processes on a thread of its own, which ends with it.
pub(crate) struct Watcher {
    more: Sender<Watched>,
    /// Wakes the thread.
    wake: OwnedFd,
}

struct Watched {
    /// A pidfd.
    process: OwnedFd,
    /// Where its end is reported.
    report: OwnedFd,
}

impl Watcher {
    pub(crate) fn new() -> io::Result<Self> {
        let (woken, wake) = nix::unistd::pipe2(nix::fcntl::OFlag::O_CLOEXEC)?;
        let (more, given) = channel();
        let watch = move || watch_for_ever(&woken, &given);
        std::thread::Builder::new().name("sandbox-ends".to_owned()).spawn(watch)?;
        Ok(Self { more, wake })
    }

    /// Sends [`Report::Exited`] on the socket when the process has ended, then closes it.
    pub(crate) fn watch(&self, process: OwnedFd, report: OwnedFd) -> io::Result<()> {
        self.more.send(Watched { process, report }).map_err(|_| io::ErrorKind::BrokenPipe)?;
        nix::unistd::write(&self.wake, &[0])?;
        Ok(())
    }
}

fn watch_for_ever(woken: &OwnedFd, given: &Receiver<Watched>) {
    let mut watched: Vec<Watched> = Vec::new();
    loop {
        let mut fds = vec![PollFd::new(woken.as_fd(), PollFlags::POLLIN)];
        fds.extend(watched.iter().map(|one| PollFd::new(one.process.as_fd(), PollFlags::POLLIN)));
        if poll(&mut fds, PollTimeout::NONE).is_err_and(|error| error != nix::errno::Errno::EINTR) {
            return;
        }
        let happened = |fd: &PollFd<'_>| fd.revents().is_some_and(|events| !events.is_empty());
        let ended: Vec<bool> = fds.iter().map(happened).collect();
        drop(fds);
        let mut at = ended.iter().skip(1);
        watched.retain(|one| {
            let ended = at.next().copied().unwrap_or(false);
            if ended {
                // Nobody listens any more when the daemon has given the environment up.
                let exited = Report::Exited(status_of(&one.process));
                let _ = link::send_json(one.report.as_fd(), &exited, &[]);
            }
            !ended
        });
        if ended.first() == Some(&true) {
            // One byte for each; nothing when nobody needs this thread any more.
            if nix::unistd::read(woken, &mut [0]) != Ok(1) {
                return;
            }
            watched.extend(given.try_recv());
        }
    }
}

/// `struct pidfd_info` of the kernel's `linux/pidfd.h`.
#[repr(C)]
#[derive(Default)]
struct Info {
    mask: u64,
    _cgroup: u64,
    _ids: [u32; 11],
    exit_code: i32,
}

const PIDFD_GET_INFO: libc::c_ulong = 0xC040_FF0B;
const INFO_EXIT: u64 = 1 << 3;

fn status_of(process: &OwnedFd) -> ExitStatus {
    for _ in 0..ATTEMPTS {
        let mut info = Info { mask: INFO_EXIT, ..Info::default() };
        // SAFETY: the kernel reads and writes one structure of the size that is in the request's number.
        #[expect(unsafe_code, reason = "the request has no safe interface")]
        let result = unsafe { libc::ioctl(process.as_raw_fd(), PIDFD_GET_INFO as _, &raw mut info) };
        match result {
            0 if info.mask & INFO_EXIT != 0 && libc::WIFSIGNALED(info.exit_code) => {
                return ExitStatus::Signal(libc::WTERMSIG(info.exit_code));
            }
            0 if info.mask & INFO_EXIT != 0 => return ExitStatus::Code(libc::WEXITSTATUS(info.exit_code)),
            0 => std::thread::sleep(PAUSE),
            _ => return UNKNOWN,
        }
    }
    UNKNOWN
}
