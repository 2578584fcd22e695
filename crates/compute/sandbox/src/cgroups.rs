//! Control groups: what bounds, counts and freezes an environment's memory, CPU and processes.
//!
//! Version 1 is used where it has the memory controller, else version 2; freezing is version 2's wherever that is
//! mounted. Groups are made beneath the daemon's own, in
//! a folder named after the daemon's pid and start time, so that a later daemon recognises what a killed one left.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use crate::error::SandboxError;
use crate::freezer::Freezer;
use crate::spec::{MIB_PER_VCPU, Shell};

/// A group may stay busy for a moment after its last process is reaped.
const REMOVE_ATTEMPTS: u32 = 50;
const REMOVE_PAUSE: std::time::Duration = std::time::Duration::from_millis(1);
/// More than any runtime needs before it has a function.
const START_MIB: u64 = 256;
const PREFIX: &str = "lambent-";
/// The CFS period. A full period is what a stalled environment waits at most.
const CPU_PERIOD_US: u64 = 100_000;
/// `cpu.shares` of one whole vCPU (version 1's default), and its smallest value.
const SHARES_PER_VCPU: u64 = 1_024;
const MIN_SHARES: u64 = 2;
/// `cpu.weight` of one whole vCPU (version 2's default).
const WEIGHT_PER_VCPU: u64 = 100;
/// What environments need of version 2.
const V2_CONTROLLERS: [&str; 3] = ["memory", "cpu", "pids"];

/// Where groups can be made on this host.
#[derive(Debug, Default)]
pub(crate) struct Hierarchies {
    /// Version 1 folders by controller, or one version 2 folder for all three.
    pub(crate) memory: Option<PathBuf>,
    pub(crate) cpu: Option<PathBuf>,
    pub(crate) pids: Option<PathBuf>,
    /// A folder of version 2, or of version 1's freezer.
    pub(crate) freezer: Option<PathBuf>,
    pub(crate) version: u8,
    /// Why a controller is missing, for `lambent doctor`.
    pub(crate) missing: Vec<String>,
}

impl Hierarchies {
    /// Finds the controllers and makes this daemon's folder in each, after removing those of dead daemons.
    pub(crate) fn find() -> Self {
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
        let own = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
        let serial = SERIAL.fetch_add(1, Ordering::SeqCst);
        let v1 = |name: &str| v1_folder(&mounts, &own, name);
        if v1("memory").is_some() {
            let mut missing = Vec::new();
            let mut usable = |name: &str| match v1(name).map(|folder| make_base(&folder, serial)) {
                Some(Ok(base)) => Some(base),
                Some(Err(error)) => {
                    missing.push(format!("{name} controller (version 1): {error}"));
                    None
                }
                None => {
                    missing.push(format!("{name} controller (version 1) is not mounted"));
                    None
                }
            };
            let (memory, cpu) = (usable("memory"), usable("cpu"));
            let pids = usable("pids");
            if let Some(cpu) = &cpu {
                // All environments together count as much as one busy thread of the host's on every CPU; failing that
                // they have the default, a single thread's.
                let cpus = std::thread::available_parallelism().map_or(1, std::num::NonZero::get) as u64;
                let _ = write(&cpu.join("cpu.shares"), &(SHARES_PER_VCPU * cpus).to_string());
            }
            let freezer =
                v2_freezer(&mounts, &own, serial).or_else(|| make_base(&v1("freezer")?, serial).ok());
            return Self { memory, cpu, pids, freezer, version: 1, missing };
        }
        match v2_base(&mounts, &own, serial) {
            Ok(base) => {
                let base = Some(base);
                Self {
                    memory: base.clone(),
                    cpu: base.clone(),
                    pids: base.clone(),
                    freezer: base,
                    version: 2,
                    missing: Vec::new(),
                }
            }
            Err(why) => {
                let freezer = v2_freezer(&mounts, &own, serial);
                let mut none = Self::default();
                none.freezer = freezer;
                none.missing.push(format!("control groups (version 2): {why}"));
                none
            }
        }
    }

    /// A group for one environment, with what its runtime may need to start.
    pub(crate) fn create(&self, name: &str, shell: &Shell) -> Result<Group, SandboxError> {
        let mut group = Group::default();
        group.version = self.version;
        let folder = |base: &Option<PathBuf>| base.as_ref().map(|base| base.join(name));
        let (memory, cpu) = (folder(&self.memory), folder(&self.cpu));
        let (pids, freezer) = (folder(&self.pids), folder(&self.freezer));
        for path in [&memory, &cpu, &pids, &freezer].into_iter().flatten() {
            if !group.folders.contains(path) {
                make_folder(path)?;
                group.folders.push(path.clone());
            }
        }
        if let Some(memory) = &memory {
            let peak = if self.version == 1 { "memory.max_usage_in_bytes" } else { "memory.peak" };
            group.peak = File::open(memory.join(peak)).ok();
            let events = if self.version == 1 { "memory.oom_control" } else { "memory.events" };
            group.oom = Some(memory.join(events));
        }
        if let Some(pids) = pids {
            write(&pids.join("pids.max"), &shell.max_processes.to_string())?;
        }
        group.freezer = freezer.and_then(|folder| Freezer::find(&folder));
        (group.memory, group.cpu) = (memory, cpu);
        if let Some(memory) = &group.memory {
            // Without swap's bound, which could not be raised again before this one.
            let limit = if self.version == 1 { "memory.limit_in_bytes" } else { "memory.max" };
            write(&memory.join(limit), &(START_MIB << 20).to_string())?;
        }
        Ok(group)
    }

    /// Bounds a group's memory, and gives it the share of CPU that goes with it.
    pub(crate) fn limit(&self, group: &Group, memory_mib: u32) -> Result<(), SandboxError> {
        if let Some(memory) = &group.memory {
            self.limit_memory(memory, u64::from(memory_mib) << 20)?;
        }
        group.cpu.as_ref().map_or(Ok(()), |cpu| self.limit_cpu(cpu, memory_mib))
    }

    fn limit_memory(&self, folder: &Path, bytes: u64) -> Result<(), SandboxError> {
        let bytes = bytes.to_string();
        if self.version == 1 {
            write(&folder.join("memory.limit_in_bytes"), &bytes)?;
            // Absent where the kernel does not account swap.
            let with_swap = folder.join("memory.memsw.limit_in_bytes");
            return if with_swap.exists() { write(&with_swap, &bytes) } else { Ok(()) };
        }
        write(&folder.join("memory.max"), &bytes)?;
        let swap = folder.join("memory.swap.max");
        if swap.exists() { write(&swap, "0") } else { Ok(()) }
    }

    /// A share in proportion to memory when CPUs are wanted by several, and never more than the vCPUs that the memory
    /// pays for; but below one vCPU an environment may use what is idle, which AWS does not allow.
    fn limit_cpu(&self, folder: &Path, memory_mib: u32) -> Result<(), SandboxError> {
        let mib = u64::from(memory_mib);
        let per_vcpu = u64::from(MIB_PER_VCPU);
        let quota = (CPU_PERIOD_US * mib / per_vcpu).max(CPU_PERIOD_US);
        if self.version == 1 {
            let shares = (SHARES_PER_VCPU * mib / per_vcpu).max(MIN_SHARES);
            write(&folder.join("cpu.shares"), &shares.to_string())?;
            write(&folder.join("cpu.cfs_period_us"), &CPU_PERIOD_US.to_string())?;
            return write(&folder.join("cpu.cfs_quota_us"), &quota.to_string());
        }
        let weight = (WEIGHT_PER_VCPU * mib / per_vcpu).max(1);
        write(&folder.join("cpu.weight"), &weight.to_string())?;
        write(&folder.join("cpu.max"), &format!("{quota} {CPU_PERIOD_US}"))
    }
}

impl Drop for Hierarchies {
    fn drop(&mut self) {
        let bases = [&self.memory, &self.cpu, &self.pids, &self.freezer];
        for base in bases.into_iter().flatten() {
            // In version 2 the same folder comes up four times.
            let _ = fs::remove_dir(base);
        }
    }
}

/// The groups of one environment.
#[derive(Debug, Default)]
pub(crate) struct Group {
    folders: Vec<PathBuf>,
    version: u8,
    memory: Option<PathBuf>,
    cpu: Option<PathBuf>,
    pub(crate) freezer: Option<Freezer>,
    peak: Option<File>,
    oom: Option<PathBuf>,
}

impl Group {
    /// The files into which a process writes `0` to join.
    pub(crate) fn joins(&self) -> Result<Vec<File>, SandboxError> {
        let open = |folder: &PathBuf| {
            let path = folder.join("cgroup.procs");
            OpenOptions::new().write(true).open(&path).map_err(|source| SandboxError::Cgroup { path, source })
        };
        self.folders.iter().map(open).collect()
    }

    /// The processes in it, as the daemon numbers them; `None` where there is no group.
    pub(crate) fn processes(&self) -> Option<Vec<i32>> {
        let listed = fs::read_to_string(self.folders.first()?.join("cgroup.procs")).ok()?;
        Some(listed.lines().filter_map(|line| line.parse().ok()).collect())
    }

    /// The most memory ever used, in bytes; `None` where it is not counted.
    pub(crate) fn peak_bytes(&self) -> Option<u64> {
        // A decimal number of 64 bits and a line end.
        let mut text = [0; 24];
        let length = self.peak.as_ref()?.read_at(&mut text, 0).ok()?;
        std::str::from_utf8(&text[..length]).ok()?.trim().parse().ok()
    }

    /// How many processes the kernel killed for want of memory.
    pub(crate) fn oom_kills(&self) -> u64 {
        let text = self.oom.as_ref().and_then(|path| fs::read_to_string(path).ok()).unwrap_or_default();
        let number = text.lines().find_map(|line| line.strip_prefix("oom_kill "));
        number.and_then(|number| number.trim().parse().ok()).unwrap_or(0)
    }

    /// Removes the folders; every process in them must be gone, but the kernel may need a moment to notice.
    pub(crate) fn remove(&mut self) {
        for folder in self.folders.drain(..) {
            if let Err(error) = remove_folder(&folder) {
                tracing::warn!(group = %folder.display(), %error, "a control group could not be removed");
            }
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.remove();
    }
}

/// This process's own group in a version 1 hierarchy.
fn v1_folder(mounts: &str, own: &str, controller: &str) -> Option<PathBuf> {
    let path = own.lines().find_map(|line| {
        let mut parts = line.splitn(3, ':').skip(1);
        let names = parts.next()?;
        names.split(',').any(|name| name == controller).then(|| parts.next()).flatten()
    })?;
    mounts.lines().find_map(|line| {
        let (root, point, kind, options) = mount_fields(line)?;
        let holds = kind == "cgroup" && options.split(',').any(|option| option == controller);
        holds.then(|| beneath(point, root, path))
    })
}

/// A folder of the version 2 hierarchy for freezing alone, which needs no controller.
fn v2_freezer(mounts: &str, own: &str, serial: u32) -> Option<PathBuf> {
    let (_, folder) = v2_place(mounts, own).ok()?;
    let base = make_base(&folder, serial).ok()?;
    base.join("cgroup.freeze").exists().then_some(base)
}

/// (mount point, this process's own folder) of version 2.
fn v2_place<'a>(mounts: &'a str, own: &str) -> Result<(&'a Path, PathBuf), String> {
    let path = own.lines().find_map(|line| line.strip_prefix("0::")).ok_or("not mounted")?;
    let found = mounts.lines().find_map(|line| {
        let (root, point, kind, _) = mount_fields(line)?;
        (kind == "cgroup2").then(|| (Path::new(point), beneath(point, root, path)))
    });
    found.ok_or_else(|| "not mounted".to_owned())
}

/// The folder for environments in the version 2 hierarchy, with the three controllers handed down to it: beneath this
/// process's own group, else beneath the nearest group above it that lets us. (A shell's own group holds the shell, so
/// that it cannot hand anything down.)
fn v2_base(mounts: &str, own: &str, serial: u32) -> Result<PathBuf, String> {
    let (point, folder) = v2_place(mounts, own)?;
    let mut refusals = Vec::new();
    for folder in folder.ancestors().take_while(|folder| folder.starts_with(point)) {
        match v2_base_in(folder, serial) {
            Ok(base) => return Ok(base),
            Err(why) => refusals.push(format!("{}: {why}", folder.display())),
        }
    }
    Err(format!(
        "no group may be made for functions ({}); start as root, or in a group of its own: `systemd-run --user --scope \
         --property=Delegate=yes lambent up`",
        refusals.join("; ")
    ))
}

fn v2_base_in(folder: &Path, serial: u32) -> io::Result<PathBuf> {
    let there = fs::read_to_string(folder.join("cgroup.controllers"))?;
    for wanted in V2_CONTROLLERS {
        if !there.split_whitespace().any(|name| name == wanted) {
            return Err(io::Error::other(format!("the {wanted} controller is not handed down to it")));
        }
    }
    let base = make_base(folder, serial)?;
    let handed = hand_down(folder).and_then(|()| hand_down(&base));
    if let Err(error) = handed {
        // Empty, as nobody was told of it.
        let _ = fs::remove_dir(&base);
        return Err(error);
    }
    Ok(base)
}

fn hand_down(folder: &Path) -> io::Result<()> {
    let control = folder.join("cgroup.subtree_control");
    let everything = V2_CONTROLLERS.map(|name| format!("+{name}")).join(" ");
    if fs::write(&control, &everything).is_ok() {
        return Ok(());
    }
    // A group with processes of its own may not hand controllers down: if it is ours alone, move into a leaf first.
    let members = fs::read_to_string(folder.join("cgroup.procs"))?;
    if members.trim() == std::process::id().to_string() {
        let leaf = folder.join("lambent");
        fs::create_dir_all(&leaf)?;
        fs::write(leaf.join("cgroup.procs"), "0")?;
    }
    fs::write(&control, everything)
}

/// (root of the mount within its file system, mount point, type, super block options)
fn mount_fields(line: &str) -> Option<(&str, &str, &str, &str)> {
    let (left, right) = line.split_once(" - ")?;
    let mut left = left.split(' ').skip(3);
    let (root, point) = (left.next()?, left.next()?);
    let mut right = right.split(' ');
    let kind = right.next()?;
    Some((root, point, kind, right.nth(1)?))
}

fn beneath(point: &str, root: &str, path: &str) -> PathBuf {
    let relative = path.strip_prefix(root.trim_end_matches('/')).unwrap_or(path);
    Path::new(point).join(relative.trim_start_matches('/'))
}

/// Makes this daemon's folder beneath `folder` and removes those of daemons that are gone.
fn make_base(folder: &Path, serial: u32) -> io::Result<PathBuf> {
    for entry in fs::read_dir(folder)?.flatten() {
        let name = entry.file_name();
        if let Some(owner) = name.to_str().and_then(|name| name.strip_prefix(PREFIX))
            && !is_alive(owner)
        {
            remove_abandoned(&entry.path());
        }
    }
    let base = folder.join(format!("{PREFIX}{}-{serial}", process_tag(std::process::id())));
    match fs::create_dir(&base) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => Ok(base),
    }
}

/// Tells apart the sandboxes of one process.
static SERIAL: AtomicU32 = AtomicU32::new(0);

/// `PID-STARTTIME`, which no other process of this boot has.
fn process_tag(pid: u32) -> String {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    // The name in brackets may hold spaces; the start time is the 20th field after it.
    let start = stat.rsplit_once(')').and_then(|(_, rest)| rest.split_whitespace().nth(19)).unwrap_or("0");
    format!("{pid}-{start}")
}

fn is_alive(tag: &str) -> bool {
    let parts =
        tag.rsplit_once('-').and_then(|(tag, _serial)| Some((tag, tag.split_once('-')?.0.parse().ok()?)));
    // A folder of another naming scheme is not ours to remove.
    parts.is_none_or(|(tag, pid)| process_tag(pid) == tag)
}

/// The processes of a dead daemon's environments die with it; what remains are empty folders.
fn remove_abandoned(base: &Path) {
    let groups = fs::read_dir(base).into_iter().flatten().flatten().map(|entry| entry.path());
    for group in groups.filter(|path| path.is_dir()) {
        // What the kernel kills ends only when it is not frozen (version 1).
        if let Some(freezer) = Freezer::find(&group).filter(|freezer| freezer.must_thaw_to_kill) {
            let _ = freezer.thaw();
        }
        let _ = remove_folder(&group);
    }
    if let Err(error) = remove_folder(base) {
        tracing::warn!(group = %base.display(), %error, "an earlier daemon's control group could not be removed");
    }
}

/// Removes a group whose processes are dead or dying: the kernel may need a moment to notice.
fn remove_folder(folder: &Path) -> io::Result<()> {
    let mut removed = fs::remove_dir(folder);
    for _ in 1..REMOVE_ATTEMPTS {
        if removed.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::ResourceBusy) {
            std::thread::sleep(REMOVE_PAUSE);
            removed = fs::remove_dir(folder);
        }
    }
    removed
}

fn make_folder(path: &Path) -> Result<(), SandboxError> {
    fs::create_dir(path).map_err(|source| SandboxError::Cgroup { path: path.to_owned(), source })
}

fn write(path: &Path, text: &str) -> Result<(), SandboxError> {
    let written =
        OpenOptions::new().write(true).open(path).and_then(|mut file| file.write_all(text.as_bytes()));
    written.map_err(|source| SandboxError::Cgroup { path: path.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOUNTS: &str = "34 31 0:30 / /sys/fs/cgroup/memory rw,relatime shared:1 - cgroup cgroup rw,memory\n\
        35 31 0:31 /docker/abc /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu,cpuacct\n";
    const OWN: &str = "4:memory:/app/x\n3:cpu,cpuacct:/docker/abc/y\n0::/\n";

    #[test]
    fn own_groups_are_found_through_mount_roots() {
        assert_eq!(v1_folder(MOUNTS, OWN, "memory"), Some("/sys/fs/cgroup/memory/app/x".into()));
        assert_eq!(v1_folder(MOUNTS, OWN, "cpuacct"), Some("/sys/fs/cgroup/cpu/y".into()));
        assert_eq!(v1_folder(MOUNTS, OWN, "pids"), None);
    }

    #[test]
    fn a_host_without_controllers_says_where_it_was_looked_for_and_what_to_do() {
        let point = tempfile::tempdir().unwrap();
        let session = point.path().join("user.slice/session.scope");
        fs::create_dir_all(&session).unwrap();
        fs::write(session.join("cgroup.controllers"), "memory pids\n").unwrap();
        let mounts = format!("34 31 0:30 / {} rw shared:1 - cgroup2 cgroup2 rw\n", point.path().display());
        let why = v2_base(&mounts, "0::/user.slice/session.scope\n", 0).unwrap_err();
        assert!(why.contains("session.scope: the cpu controller is not handed down to it; "), "{why}");
        assert!(why.contains(&format!("; {}: ", point.path().display())), "{why}");
        assert!(why.ends_with("Delegate=yes lambent up`"), "{why}");
        assert_eq!(fs::read_dir(&session).unwrap().count(), 1, "nothing is left behind");
    }

    #[test]
    fn only_dead_daemons_are_recognised_as_dead() {
        assert!(is_alive(&format!("{}-0", process_tag(std::process::id()))));
        assert!(!is_alive("4194305-1-0"));
        assert!(is_alive("something-else"));
    }
}
