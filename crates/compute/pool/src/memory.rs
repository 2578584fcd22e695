//! How much memory this process may use.

use std::fs;
use std::path::Path;

const GROUPS_DIR: &str = "/sys/fs/cgroup";
const OWN_GROUPS: &str = "/proc/self/cgroup";

/// The least of the host's memory and of the bounds of this process's control group and of those above it.
pub fn usable_bytes() -> u64 {
    let host = rustix::system::sysinfo();
    let host_bytes = host.totalram * u64::from(host.mem_unit);
    let own = fs::read_to_string(OWN_GROUPS).unwrap_or_default();
    bound(&own, Path::new(GROUPS_DIR)).map_or(host_bytes, |bound| bound.min(host_bytes))
}

/// The least bound of the groups that `own` names, lines as `0::/a/b` (version 2) or `4:memory:/a/b` (version 1).
fn bound(own: &str, groups: &Path) -> Option<u64> {
    let bounds = own.lines().filter_map(|line| {
        let mut parts = line.splitn(3, ':').skip(1);
        let (controllers, path) = (parts.next()?, parts.next()?);
        if controllers.is_empty() {
            least(groups, path, "memory.max")
        } else if controllers.split(',').any(|one| one == "memory") {
            least(&groups.join("memory"), path, "memory.limit_in_bytes")
        } else {
            None
        }
    });
    bounds.min()
}

/// From a group up to the topmost that can be seen; in a container the lower ones may be missing.
fn least(top: &Path, path: &str, file: &str) -> Option<u64> {
    let group = top.join(path.trim_start_matches('/'));
    let groups = group.ancestors().take_while(|folder| folder.starts_with(top));
    // "max" is no number, and no bound.
    groups.filter_map(|folder| fs::read_to_string(folder.join(file)).ok()?.trim().parse().ok()).min()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(path: &Path, text: &str) {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    #[test]
    fn the_least_bound_on_the_way_up_counts() {
        let dir = tempfile::tempdir().unwrap();
        let top = dir.path();
        write(&top.join("a/b/memory.max"), "max\n");
        assert_eq!(bound("0::/a/b\n", top), None);
        write(&top.join("a/memory.max"), "1000\n");
        write(&top.join("memory.max"), "2000\n");
        assert_eq!(bound("0::/a/b\n", top), Some(1_000));
        assert_eq!(bound("0::/elsewhere\n", top), Some(2_000), "what a container sees of it");
        write(&top.join("memory/c/memory.limit_in_bytes"), "500\n");
        assert_eq!(bound("4:cpu,memory:/c\n0::/a/b\n", top), Some(500));
        assert_eq!(bound("", top), None);
        assert!(usable_bytes() > 0);
    }
}
