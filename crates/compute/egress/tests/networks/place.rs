//! Network namespaces, each held by a thread that does in it what it is told.

use std::os::fd::OwnedFd;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::process::Command;
use std::sync::mpsc;

use crate::forge::init::open_tun;

type Job = Box<dyn FnOnce() + Send>;

/// A network namespace of its own; gone with its last thread and descriptor.
pub(crate) struct Place {
    jobs: mpsc::Sender<Job>,
    thread: i32,
}

impl Place {
    pub(crate) fn new() -> Self {
        let (jobs, to_do) = mpsc::channel::<Job>();
        std::thread::spawn(move || {
            nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWNET).unwrap();
            for job in to_do {
                job();
            }
        });
        let mut place = Self { jobs, thread: 0 };
        place.thread = place.run(|| nix::unistd::gettid().as_raw());
        place.ip("link set lo up");
        place
    }

    /// Does something there; a panic comes back to the caller. Threads that it starts are there too.
    pub(crate) fn run<R: Send + 'static>(&self, job: impl FnOnce() -> R + Send + 'static) -> R {
        let (result, done) = mpsc::channel();
        let job = move || {
            let _ = result.send(catch_unwind(AssertUnwindSafe(job)));
        };
        self.jobs.send(Box::new(job)).unwrap();
        done.recv().unwrap().unwrap_or_else(|panic| resume_unwind(panic))
    }

    /// Runs `ip` there.
    pub(crate) fn ip(&self, arguments: &str) {
        let shown = arguments.to_owned();
        let done = self.run(move || Command::new("ip").args(shown.split(' ')).output().unwrap());
        assert!(done.status.success(), "ip {arguments}: {}", String::from_utf8_lossy(&done.stderr));
    }

    pub(crate) fn thread(&self) -> i32 {
        self.thread
    }

    /// Makes the device as environments have it; gives its other end.
    pub(crate) fn open_tun(&self) -> OwnedFd {
        self.run(|| open_tun().unwrap())
    }
}
