//! Telling companions from the runtime among the processes of an environment: the daemon's side.
//!
//! Process 1 has no right to kill, and the runtime may be a zygote's child. The control group lists what there is.

use std::collections::HashMap;
use std::fs;
use std::os::fd::{AsFd, OwnedFd};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use crate::cgroups::Group;

/// What was killed may have started something just before.
const KILL_ROUNDS: u32 = 10;
/// How long what is killed is waited for, in each round.
const ROUND_MS: u16 = 50;

/// A process's parent and the leader of its session.
type Kin = (i32, i32);

/// See [`crate::Environment::kill_runtime`].
pub(crate) fn kill_others(group: &Group, companions: &[i32]) -> bool {
    if companions.is_empty() {
        return false;
    }
    for _ in 0..KILL_ROUNDS {
        let Some(others) = others_of(group, companions) else { return false };
        let living: Vec<_> = others
            .into_iter()
            .map(|other| other.process)
            .filter(|process| !ends_within(process, 0))
            .collect();
        if living.is_empty() {
            return true;
        }
        for process in &living {
            // Fails only when it is gone already.
            let _ = pidfd_send_signal(process, Signal::KILL);
        }
        for process in &living {
            ends_within(process, ROUND_MS);
        }
    }
    false
}

/// See [`crate::Environment::terminate_runtime`].
pub(crate) fn terminate_others(group: &Group, companions: &[i32]) -> bool {
    let Some(mut others) = others_of(group, companions) else { return false };
    let listed: Vec<i32> = others.iter().map(|other| other.pid).collect();
    // What another started is that one's to end.
    others.retain(|other| !listed.contains(&other.parent));
    // Fails only when it is gone already.
    others.iter().filter(|other| pidfd_send_signal(&other.process, Signal::TERM).is_ok()).count() > 0
}

/// A process of the group that is no companion.
struct Other {
    pid: i32,
    parent: i32,
    /// A pidfd.
    process: OwnedFd,
}

/// All processes of the group but companions and theirs.
fn others_of(group: &Group, companions: &[i32]) -> Option<Vec<Other>> {
    let open = |pid: i32| Some((pid, pidfd_open(Pid::from_raw(pid)?, PidfdFlags::empty()).ok()?));
    let opened: Vec<(i32, OwnedFd)> = group.processes()?.into_iter().filter_map(open).collect();
    // A number that was another's when it was opened is not listed any more, or is a member's again.
    let listed = group.processes()?;
    let kin: HashMap<i32, Kin> = listed.iter().filter_map(|pid| Some((*pid, kin_of(*pid)?))).collect();
    let is_other = |pid: &i32| listed.contains(pid) && !is_of(*pid, companions, &kin);
    let others = opened.into_iter().filter(|(pid, _)| is_other(pid));
    let other = |(pid, process)| Other { pid, parent: kin.get(&pid).map_or(0, |kin| kin.0), process };
    Some(others.map(other).collect())
}

/// Whether a process is a companion, descends from one, or is of the session that one leads.
fn is_of(pid: i32, companions: &[i32], kin: &HashMap<i32, Kin>) -> bool {
    let mut at = pid;
    // Numbers may have changed hands between two looks, so that there could be a ring.
    for _ in 0..=kin.len() {
        if companions.contains(&at) {
            return true;
        }
        let Some((parent, session)) = kin.get(&at) else { return false };
        if companions.contains(session) {
            return true;
        }
        at = *parent;
    }
    false
}

fn kin_of(pid: i32) -> Option<Kin> {
    kin_in(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
}

/// The name in brackets may hold spaces and brackets; after it come state, parent, group, session.
fn kin_in(stat: &str) -> Option<Kin> {
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(1);
    let parent = fields.next()?.parse().ok()?;
    Some((parent, fields.nth(1)?.parse().ok()?))
}

fn ends_within(process: &OwnedFd, ms: u16) -> bool {
    let mut fds = [PollFd::new(process.as_fd(), PollFlags::POLLIN)];
    poll(&mut fds, PollTimeout::from(ms)).is_ok_and(|found| found > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_companions_started_is_theirs() {
        assert_eq!(kin_in("7 (a) b) S 3 7 5 0 -1 4194560"), Some((3, 5)));
        // 10 is process 1; 20 is the runtime, 30 a companion.
        let kin =
            [(20, (10, 20)), (21, (20, 20)), (22, (10, 22)), (30, (10, 30)), (31, (30, 31)), (32, (10, 30))];
        let kin: HashMap<i32, Kin> = kin.into_iter().collect();
        let theirs: Vec<i32> = (20..40).filter(|pid| is_of(*pid, &[30], &kin)).collect();
        assert_eq!(theirs, [30, 31, 32]);
        let ring: HashMap<i32, Kin> = [(1, (2, 1)), (2, (1, 1))].into_iter().collect();
        assert!(!is_of(1, &[30], &ring));
    }
}
