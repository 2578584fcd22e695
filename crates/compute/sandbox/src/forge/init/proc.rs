//! `/proc` of an environment: its own processes, and of the host only what programs cannot do without.

use std::os::fd::OwnedFd;
use std::path::Path;

use nix::fcntl::{OFlag, open};
use nix::mount::MsFlags;
use nix::sys::stat::Mode;

use super::super::mounts::{mount_one, set_attributes};
use super::super::root::EMPTY_FOLDER;
use super::Step;

/// What `/proc` says about the host rather than about the environment. (What only root may read needs no hiding: there
/// is no root inside.)
const HIDDEN_FILES: [&str; 10] = [
    "cmdline",
    "config.gz",
    "diskstats",
    "interrupts",
    "kallsyms",
    "key-users",
    "keys",
    "locks",
    "modules",
    "partitions",
];
const HIDDEN_FOLDERS: [&str; 7] = ["acpi", "bus", "driver", "fs", "irq", "scsi", "tty"];

/// Mounts it writable; gives the folder.
pub(super) fn mount() -> Step<OwnedFd> {
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
    mount_one(Some("proc"), Path::new("/proc"), Some("proc"), flags, Some("hidepid=2"))?;
    open("/proc", OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC, Mode::empty())
        .map_err(|error| format!("open /proc: {error}"))
}

/// Hides what is hidden, and lets nobody write any more.
pub(in crate::forge) fn close() -> Step<()> {
    for (names, cover) in [(HIDDEN_FILES.as_slice(), "/dev/null"), (HIDDEN_FOLDERS.as_slice(), EMPTY_FOLDER)]
    {
        for name in names {
            let target = Path::new("/proc").join(name);
            if target.exists() {
                mount_one(Some(cover), &target, None, MsFlags::MS_BIND, None)?;
            }
        }
    }
    set_attributes(Path::new("/proc"), libc::MOUNT_ATTR_RDONLY, false)
}
