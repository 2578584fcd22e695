//! User ids outside environments: each is somebody whom no other environment is.

use std::sync::{Mutex, PoisonError};

use crate::spec::Users;

/// Ids for environments lie from here up, far from those that systems hand out.
const FIRST_USER: u32 = 1_800_000_000;
/// Ids set aside for one daemon; two for each environment. Daemons are kept apart by their pids.
const USERS_PER_DAEMON: u32 = 16_384;
const DAEMON_SLOTS: u32 = 8_192;

/// Shared by all sandboxes of this process, so that no two environments have the same user.
static USERS: Mutex<UserSlots> = Mutex::new(UserSlots { free: Vec::new(), next: 0 });

struct UserSlots {
    free: Vec<u32>,
    next: u32,
}

/// A pair of ids that nobody else has as long as this lives.
#[derive(Debug)]
pub(crate) struct OwnUsers {
    pub(crate) users: Users,
    is_lent: bool,
}

impl OwnUsers {
    /// The next free pair, of which there are more than there may be environments.
    pub(crate) fn take() -> Self {
        let mut slots = USERS.lock().unwrap_or_else(PoisonError::into_inner);
        let runtime = slots.free.pop().unwrap_or_else(|| {
            let base = FIRST_USER + (std::process::id() % DAEMON_SLOTS) * USERS_PER_DAEMON;
            slots.next += 2;
            base + (slots.next - 2) % USERS_PER_DAEMON
        });
        Self { users: Users { runtime, init: runtime + 1 }, is_lent: true }
    }

    /// Where there is only one user, who is 0 in the daemon's user namespace.
    pub(crate) fn only_one() -> Self {
        Self { users: Users { runtime: 0, init: 0 }, is_lent: false }
    }
}

impl OwnUsers {
    /// They will be nobody else's any more.
    pub(crate) fn keep(&mut self) {
        self.is_lent = false;
    }
}

impl Drop for OwnUsers {
    fn drop(&mut self) {
        if self.is_lent {
            USERS.lock().unwrap_or_else(PoisonError::into_inner).free.push(self.users.runtime);
        }
    }
}

/// Whether this process is root over all ids, rather than in a container's user namespace with a few of them.
pub(crate) fn is_full_root() -> bool {
    let maps = std::fs::read_to_string("/proc/self/uid_map").unwrap_or_default();
    let last = FIRST_USER + DAEMON_SLOTS * USERS_PER_DAEMON;
    let covers = |line: &str| {
        let numbers: Vec<u64> = line.split_whitespace().filter_map(|one| one.parse().ok()).collect();
        matches!(numbers.as_slice(), [from, _, count]
            if *from <= u64::from(FIRST_USER) && from + count >= u64::from(last))
    };
    nix::unistd::geteuid().is_root() && maps.lines().any(covers)
}
