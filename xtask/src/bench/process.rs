//! What a process and its descendants have used, as the kernel counts it (`man proc_pid_stat`).

use std::collections::HashMap;
use std::fs;
use std::time::Duration;

use anyhow::Context;

/// The kernel reports CPU time in hundredths of a second on every architecture that Lambent runs on.
const TICKS_PER_SECOND: u64 = 100;

/// CPU time, user and system.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Cpu {
    /// Of the process itself.
    pub(super) own_ticks: u64,
    /// Of those it started, alive or waited for.
    pub(super) children_ticks: u64,
}

impl Cpu {
    /// What was used since `earlier`.
    pub(super) fn since(self, earlier: Self) -> Self {
        Self {
            own_ticks: self.own_ticks.saturating_sub(earlier.own_ticks),
            children_ticks: self.children_ticks.saturating_sub(earlier.children_ticks),
        }
    }

    pub(super) fn own(self) -> Duration {
        ticks(self.own_ticks)
    }

    pub(super) fn children(self) -> Duration {
        ticks(self.children_ticks)
    }
}

fn ticks(count: u64) -> Duration {
    Duration::from_millis(count * 1000 / TICKS_PER_SECOND)
}

/// One line of a process's `stat`.
#[derive(Debug, PartialEq, Eq)]
struct Stat {
    parent: u32,
    /// Its own time.
    own: u64,
    /// The time of children that ended and were waited for.
    reaped: u64,
}

/// The CPU time of a process and of all that descend from it.
pub(super) fn cpu(pid: u32) -> anyhow::Result<Cpu> {
    let all = processes()?;
    let root = all.get(&pid).with_context(|| format!("process {pid} is gone"))?;
    let mut cpu = Cpu { own_ticks: root.own, children_ticks: root.reaped };
    for one in descendants(&all, pid) {
        cpu.children_ticks += all[&one].own + all[&one].reaped;
    }
    Ok(cpu)
}

/// How many processes descend from this one.
pub(super) fn children(pid: u32) -> anyhow::Result<usize> {
    Ok(descendants(&processes()?, pid).len())
}

/// A field of `/proc/PID/status` that is in kB, as `VmRSS`; in bytes.
pub(super) fn memory_bytes(pid: u32, field: &str) -> anyhow::Result<u64> {
    let path = format!("/proc/{pid}/status");
    let text = fs::read_to_string(&path).with_context(|| format!("could not read {path}"))?;
    let line = text.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
    let kib = line.and_then(|line| line.trim().strip_suffix(" kB")?.parse::<u64>().ok());
    Ok(kib.with_context(|| format!("{path} has no {field} in kB"))? * 1024)
}

/// How often the threads of a process went to sleep or were put aside: an idle one hardly does.
pub(super) fn switches(pid: u32) -> anyhow::Result<u64> {
    let mut sum = 0;
    for task in fs::read_dir(format!("/proc/{pid}/task")).context("could not list the threads")? {
        let status = fs::read_to_string(task?.path().join("status")).unwrap_or_default();
        let counts = status.lines().filter(|line| line.contains("voluntary_ctxt_switches"));
        sum += counts.filter_map(|line| line.rsplit('\t').next()?.parse::<u64>().ok()).sum::<u64>();
    }
    Ok(sum)
}

fn processes() -> anyhow::Result<HashMap<u32, Stat>> {
    let mut all = HashMap::new();
    for entry in fs::read_dir("/proc").context("could not list the processes")? {
        let entry = entry?;
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
        // A process may end between the listing and the reading.
        let Ok(text) = fs::read_to_string(entry.path().join("stat")) else { continue };
        if let Some(stat) = parse(&text) {
            all.insert(pid, stat);
        }
    }
    Ok(all)
}

fn descendants(all: &HashMap<u32, Stat>, pid: u32) -> Vec<u32> {
    let mut found = vec![pid];
    let mut next = 0;
    while let Some(&parent) = found.get(next) {
        found.extend(all.iter().filter(|(_, stat)| stat.parent == parent).map(|(pid, _)| *pid));
        next += 1;
    }
    found.remove(0);
    found
}

/// The name of the program, in brackets, may hold anything; what follows the last bracket is numbers.
fn parse(text: &str) -> Option<Stat> {
    let fields: Vec<&str> = text.rsplit_once(')')?.1.split_ascii_whitespace().collect();
    let number = |index: usize| fields.get(index)?.parse::<u64>().ok();
    Some(Stat {
        parent: u32::try_from(number(1)?).ok()?,
        own: number(11)? + number(12)?,
        reaped: number(13)? + number(14)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stat_line_is_read_whatever_the_name_is() {
        let line = "77 (a) b (c)) S 5 77 77 0 -1 4194560 1 2 3 4 10 20 300 400 20 0 9 0 12 1 2";
        assert_eq!(parse(line), Some(Stat { parent: 5, own: 30, reaped: 700 }));
    }

    #[test]
    fn descendants_are_found_over_generations() {
        let stat = |parent| Stat { parent, own: 0, reaped: 0 };
        let all = HashMap::from([(1, stat(0)), (2, stat(1)), (3, stat(2)), (4, stat(0))]);
        let mut found = descendants(&all, 1);
        found.sort_unstable();
        assert_eq!(found, [2, 3]);
    }
}
