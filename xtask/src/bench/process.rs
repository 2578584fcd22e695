//! What a process and its descendants have used, as the kernel counts it (`man proc_pid_stat`).

use std::collections::{BTreeMap, HashMap};
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

/// The names of the programs that descend from this process, in any order.
pub(super) fn names(pid: u32) -> anyhow::Result<Vec<String>> {
    let name = |pid: u32| fs::read_to_string(format!("/proc/{pid}/comm")).ok();
    let found = descendants(&processes()?, pid).into_iter().filter_map(name);
    Ok(found.map(|name| name.trim().to_owned()).collect())
}

/// The same as a text, `2 lambent, 1 python3`.
pub(super) fn summary(pid: u32) -> anyhow::Result<String> {
    let mut counts = BTreeMap::<String, usize>::new();
    for name in names(pid)? {
        *counts.entry(name).or_default() += 1;
    }
    let counts: Vec<_> = counts.iter().map(|(name, count)| format!("{count} {name}")).collect();
    Ok(counts.join(", "))
}

/// Memory of some processes, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Memory {
    /// Pages that one process alone has.
    pub(super) private: u64,
    /// The same, and of each shared page the share of one of those that have it.
    pub(super) pss: u64,
}

/// Of all that descend from a process.
pub(super) fn memory_below(pid: u32) -> anyhow::Result<Memory> {
    let mut sum = Memory::default();
    for pid in descendants(&processes()?, pid) {
        // Those that end meanwhile, and the kernel's own, have none.
        let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap_or_default();
        let field = |name| kib_of(&text, name).unwrap_or(0) * 1024;
        sum.private += field("Private_Clean") + field("Private_Dirty");
        sum.pss += field("Pss");
    }
    Ok(sum)
}

/// What programs could still take without others having to give.
pub(super) fn available_bytes() -> anyhow::Result<u64> {
    let text = fs::read_to_string("/proc/meminfo").context("could not read /proc/meminfo")?;
    Ok(kib_of(&text, "MemAvailable").context("/proc/meminfo has no MemAvailable")? * 1024)
}

/// A field of `/proc/PID/status` that is in kB, as `VmRSS`; in bytes.
pub(super) fn memory_bytes(pid: u32, field: &str) -> anyhow::Result<u64> {
    let path = format!("/proc/{pid}/status");
    let text = fs::read_to_string(&path).with_context(|| format!("could not read {path}"))?;
    Ok(kib_of(&text, field).with_context(|| format!("{path} has no {field} in kB"))? * 1024)
}

/// The value of `NAME:   123 kB`.
fn kib_of(text: &str, name: &str) -> Option<u64> {
    let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
    value.trim().strip_suffix(" kB")?.parse().ok()
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
    fn a_field_in_kib_is_the_one_of_that_name() {
        let text = "Pss_Dirty:   7 kB\nPss:     1234 kB\nThreads: 1\n";
        assert_eq!((kib_of(text, "Pss"), kib_of(text, "Threads")), (Some(1234), None));
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
