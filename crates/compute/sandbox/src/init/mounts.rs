//! The environment's root: a small tree of read-only binds, never the host's own.
#![expect(unsafe_code, reason = "mount_setattr has no safe interface")]

use std::ffi::CString;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use nix::mount::{MntFlags, MsFlags, mount, umount2};

use super::Step;
use crate::spec::{BASE_SYSTEM, Bind, MERGED, Orders};

/// The root itself holds folders, links and a few small files.
const ROOT_OPTIONS: &str = "mode=755,size=1m,nr_inodes=4k";
const DEVICES: [&str; 5] = ["null", "zero", "full", "random", "urandom"];
const DEVICE_LINKS: [(&str, &str); 4] = [
    ("dev/fd", "/proc/self/fd"),
    ("dev/stdin", "/proc/self/fd/0"),
    ("dev/stdout", "/proc/self/fd/1"),
    ("dev/stderr", "/proc/self/fd/2"),
];
/// What `/proc` says about the host rather than about the environment.
const HIDDEN_FILES: [&str; 15] = [
    "cmdline",
    "config.gz",
    "diskstats",
    "interrupts",
    "kallsyms",
    "kcore",
    "key-users",
    "keys",
    "kmsg",
    "locks",
    "modules",
    "partitions",
    "sysrq-trigger",
    "timer_list",
    "vmallocinfo",
];
const HIDDEN_FOLDERS: [&str; 7] = ["acpi", "bus", "driver", "fs", "irq", "scsi", "tty"];

/// Builds the root on the orders' mount point and makes it this process's root.
pub(super) fn build_root(orders: &Orders) -> Step<()> {
    mount_one(None, Path::new("/"), None, MsFlags::MS_REC | MsFlags::MS_PRIVATE, None)?;
    let root = &orders.mount_point;
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV;
    mount_one(Some("tmpfs"), root, Some("tmpfs"), flags, Some(ROOT_OPTIONS))?;
    for folder in ["dev", "proc", "tmp", "opt", "etc", "var/task", "var/runtime"] {
        make_folder(&root.join(folder))?;
    }
    write_etc(orders)?;
    bind_all(orders)?;
    for (path, to) in &orders.spec.links {
        make_link(to, &inside(root, path))?;
    }
    mount_devices(root)?;
    mount_proc(root)?;
    mount_scratch(orders)?;
    enter(root)
}

fn bind_all(orders: &Orders) -> Step<()> {
    let root = &orders.mount_point;
    let whole_tree = orders.users.is_none();
    for path in MERGED {
        match fs::symlink_metadata(path) {
            Ok(found) if found.is_symlink() => {
                let to = fs::read_link(path).map_err(|error| format!("read link {path}: {error}"))?;
                make_link(&to, &inside(root, path))?;
            }
            Ok(_) => bind(&Bind::same_if_there(path), root, whole_tree)?,
            Err(_) => {}
        }
    }
    for path in BASE_SYSTEM {
        bind(&Bind::same_if_there(path), root, whole_tree)?;
    }
    orders.spec.binds.iter().try_for_each(|one| bind(one, root, whole_tree))
}

/// Binds one host path, read-only. In a user namespace mounts beneath it must come along (`whole_tree`).
fn bind(bind: &Bind, root: &Path, whole_tree: bool) -> Step<()> {
    let target = inside(root, &bind.target);
    let source = &bind.source;
    match fs::metadata(source) {
        Ok(found) if found.is_dir() => make_folder(&target)?,
        Ok(_) => make_file(&target)?,
        Err(_) if bind.optional => return Ok(()),
        Err(error) => return Err(format!("find {}: {error}", source.display())),
    }
    let depth = if whole_tree { MsFlags::MS_REC } else { MsFlags::empty() };
    mount_one(source.to_str(), &target, None, MsFlags::MS_BIND | depth, None)?;
    let attributes = libc::MOUNT_ATTR_RDONLY | libc::MOUNT_ATTR_NOSUID | libc::MOUNT_ATTR_NODEV;
    set_attributes(&target, attributes, whole_tree)
}

fn mount_devices(root: &Path) -> Step<()> {
    for name in DEVICES {
        let target = root.join("dev").join(name);
        make_file(&target)?;
        mount_one(Some(&format!("/dev/{name}")), &target, None, MsFlags::MS_BIND, None)?;
        set_attributes(&target, libc::MOUNT_ATTR_NOSUID | libc::MOUNT_ATTR_NOEXEC, false)?;
    }
    DEVICE_LINKS.iter().try_for_each(|(path, to)| make_link(to, &root.join(path)))
}

fn mount_proc(root: &Path) -> Step<()> {
    let proc = root.join("proc");
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC | MsFlags::MS_RDONLY;
    mount_one(Some("proc"), &proc, Some("proc"), flags, Some("hidepid=2"))?;
    let null = root.join("dev/null");
    for name in HIDDEN_FILES {
        let target = proc.join(name);
        if target.exists() {
            mount_one(null.to_str(), &target, None, MsFlags::MS_BIND, None)?;
        }
    }
    for name in HIDDEN_FOLDERS {
        let target = proc.join(name);
        if target.exists() {
            mount_one(Some("tmpfs"), &target, Some("tmpfs"), flags, Some("mode=555,size=4k,nr_inodes=2"))?;
        }
    }
    Ok(())
}

fn mount_scratch(orders: &Orders) -> Step<()> {
    let target = orders.mount_point.join("tmp");
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOATIME;
    let owner = orders.users.map_or(0, |users| users.runtime);
    let Some(device) = &orders.scratch_device else {
        let options = format!("mode=700,size={}m,uid={owner},gid={owner}", orders.spec.scratch_mib);
        return mount_one(Some("tmpfs"), &target, Some("tmpfs"), flags, Some(&options));
    };
    mount_one(device.to_str(), &target, Some("ext4"), flags, None)?;
    let _ = fs::remove_dir(target.join("lost+found"));
    std::os::unix::fs::chown(&target, Some(owner), Some(owner))
        .and_then(|()| fs::set_permissions(&target, std::os::unix::fs::PermissionsExt::from_mode(0o700)))
        .map_err(|error| format!("hand /tmp over: {error}"))
}

fn enter(root: &Path) -> Step<()> {
    std::env::set_current_dir(root).map_err(|error| format!("enter its root: {error}"))?;
    // With both names the same the old root ends up stacked on the new one, from where it is unmounted.
    nix::unistd::pivot_root(".", ".").map_err(|error| format!("change its root: {error}"))?;
    umount2(".", MntFlags::MNT_DETACH).map_err(|error| format!("leave the host's root: {error}"))?;
    std::env::set_current_dir("/").map_err(|error| format!("enter its root: {error}"))?;
    set_attributes(Path::new("/"), libc::MOUNT_ATTR_RDONLY, false)
}

fn write_etc(orders: &Orders) -> Step<()> {
    let id = orders.users.map_or(0, |users| users.runtime);
    let etc = orders.mount_point.join("etc");
    let files = [
        ("passwd", format!("sbx_user1051:x:{id}:{id}::/tmp:/usr/sbin/nologin\n")),
        ("group", format!("sbx_user1051:x:{id}:\n")),
        ("hosts", "127.0.0.1 localhost lambda\n::1 localhost\n".to_owned()),
        ("nsswitch.conf", "passwd: files\ngroup: files\nhosts: files dns\n".to_owned()),
        ("resolv.conf", String::new()),
    ];
    for (name, text) in files {
        fs::write(etc.join(name), text).map_err(|error| format!("write /etc/{name}: {error}"))?;
    }
    Ok(())
}

fn mount_one(
    source: Option<&str>,
    target: &Path,
    kind: Option<&str>,
    flags: MsFlags,
    options: Option<&str>,
) -> Step<()> {
    mount(source, target, kind, flags, options)
        .map_err(|error| format!("mount {} on {}: {error}", source.unwrap_or("nothing"), target.display()))
}

fn set_attributes(target: &Path, attributes: u64, whole_tree: bool) -> Step<()> {
    let wrong = |error: std::io::Error| {
        let shown = target.display();
        format!("protect mount {shown} (mount_setattr, in Linux since 5.12): {error}")
    };
    let path = CString::new(target.as_os_str().as_bytes()).map_err(|error| wrong(error.into()))?;
    let set = libc::mount_attr { attr_set: attributes, attr_clr: 0, propagation: 0, userns_fd: 0 };
    let depth = if whole_tree { libc::AT_RECURSIVE } else { 0 };
    // SAFETY: the path ends in zero and the attributes are passed with their size; both live across the call.
    let result = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            libc::AT_FDCWD,
            path.as_ptr(),
            depth,
            &raw const set,
            size_of::<libc::mount_attr>(),
        )
    };
    if result == 0 { Ok(()) } else { Err(wrong(std::io::Error::last_os_error())) }
}

fn inside(root: &Path, path: &str) -> PathBuf {
    root.join(path.trim_start_matches('/'))
}

fn make_folder(path: &Path) -> Step<()> {
    fs::create_dir_all(path).map_err(|error| format!("make {}: {error}", path.display()))
}

fn make_file(path: &Path) -> Step<()> {
    path.parent().map_or(Ok(()), make_folder)?;
    fs::File::create(path).map(|_| ()).map_err(|error| format!("make {}: {error}", path.display()))
}

fn make_link(to: impl AsRef<Path>, path: &Path) -> Step<()> {
    path.parent().map_or(Ok(()), make_folder)?;
    symlink(&to, path).map_err(|error| format!("link {}: {error}", path.display()))
}
