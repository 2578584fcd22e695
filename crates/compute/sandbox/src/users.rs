//! User ids outside environments: each is somebody whom no other environment is.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::spec::Users;

/// Ids for environments lie from here up, far from those that systems hand out.
const FIRST_USER: u32 = 1_800_000_000;
/// Ids set aside for one daemon: the first half for environments, two for each, the second for what is forked from
/// snapshots, in blocks. Daemons are kept apart by their pids.
const USERS_PER_DAEMON: u32 = 262_144;
const PAIRS_END: u32 = USERS_PER_DAEMON / 2;
/// Ids of one snapshot's environments; as many of them may live.
pub(crate) const BLOCK: u32 = 1_024;
const BLOCKS: u32 = (USERS_PER_DAEMON - PAIRS_END) / BLOCK;
const DAEMON_SLOTS: u32 = 8_192;

/// Shared by all sandboxes of this process, so that no two environments have the same user.
static USERS: Mutex<UserSlots> =
    Mutex::new(UserSlots { free: VecDeque::new(), next: 0, free_blocks: Vec::new(), next_block: 0 });

struct UserSlots {
    /// The longest free first: whatever outlives its environment for a moment meets nobody with its number.
    free: VecDeque<u32>,
    next: u32,
    free_blocks: Vec<u32>,
    next_block: u32,
}

fn base() -> u32 {
    FIRST_USER + (std::process::id() % DAEMON_SLOTS) * USERS_PER_DAEMON
}

fn slots() -> MutexGuard<'static, UserSlots> {
    USERS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// [`BLOCK`] ids in a row that nobody else has as long as this lives.
#[derive(Debug)]
pub(crate) struct UserBlock {
    pub(crate) first: u32,
    /// Those that came back, and how many were ever given.
    given: Mutex<(Vec<u32>, u32)>,
}

impl UserBlock {
    /// The next free block; `None` when there are as many snapshots as there may be.
    pub(crate) fn take() -> Option<Self> {
        let mut slots = slots();
        let number = slots.free_blocks.pop().or_else(|| {
            let next = (slots.next_block < BLOCKS).then_some(slots.next_block)?;
            slots.next_block += 1;
            Some(next)
        })?;
        Some(Self { first: base() + PAIRS_END + number * BLOCK, given: Mutex::default() })
    }

    /// One of the block, and its place in it; `None` when all are lent.
    pub(crate) fn lend(self: &Arc<Self>) -> Option<(u32, OwnUsers)> {
        let mut given = self.given.lock().unwrap_or_else(PoisonError::into_inner);
        let place = given.0.pop().or_else(|| {
            let next = (given.1 < BLOCK).then_some(given.1)?;
            given.1 += 1;
            Some(next)
        })?;
        drop(given);
        let id = self.first + place;
        let users = Users { runtime: id, init: id };
        Some((place, OwnUsers { users, lender: Lender::Block(self.clone(), place) }))
    }
}

impl Drop for UserBlock {
    fn drop(&mut self) {
        slots().free_blocks.push((self.first - base() - PAIRS_END) / BLOCK);
    }
}

/// A pair of ids that nobody else has as long as this lives.
#[derive(Debug)]
pub(crate) struct OwnUsers {
    pub(crate) users: Users,
    lender: Lender,
}

#[derive(Debug)]
enum Lender {
    Nobody,
    Pairs,
    /// With the place in it.
    Block(Arc<UserBlock>, u32),
}

impl OwnUsers {
    /// The next free pair, of which there are more than there may be environments.
    pub(crate) fn take() -> Self {
        let mut slots = slots();
        let runtime = slots.free.pop_front().unwrap_or_else(|| {
            slots.next += 2;
            base() + (slots.next - 2) % PAIRS_END
        });
        Self { users: Users { runtime, init: runtime + 1 }, lender: Lender::Pairs }
    }

    /// Where there is only one user, who is 0 in the daemon's user namespace.
    pub(crate) fn only_one() -> Self {
        Self { users: Users { runtime: 0, init: 0 }, lender: Lender::Nobody }
    }
}

impl OwnUsers {
    /// They will be nobody else's any more.
    pub(crate) fn keep(&mut self) {
        self.lender = Lender::Nobody;
    }
}

impl Drop for OwnUsers {
    fn drop(&mut self) {
        match &self.lender {
            Lender::Nobody => {}
            Lender::Pairs => slots().free.push_back(self.users.runtime),
            Lender::Block(block, place) => {
                block.given.lock().unwrap_or_else(PoisonError::into_inner).0.push(*place);
            }
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
