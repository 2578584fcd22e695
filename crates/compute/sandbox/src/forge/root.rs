//! The root that all environments of a kind have copies of: a small tree of read-only binds, never the host's own.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use nix::mount::{MntFlags, MsFlags, umount2};

use super::init::tun::RESOLVER;
use super::mounts::{FOREIGN, mount_one, set_attributes};
use super::{Step, image_root};
use crate::orders::TemplateOrders;
use crate::spec::{BASE_SYSTEM, Bind, INSIDE_GID, INSIDE_UID, MERGED, TASK_DIR};

/// The root itself holds folders, links and a few small files.
const ROOT_OPTIONS: &str = "mode=755,size=1m,nr_inodes=4k";
/// The loader of an interpreter that is booted ahead asks for the last two once, and remembers for good if they are absent.
const FOLDERS: [&str; 10] = [
    "dev",
    "proc",
    "tmp",
    "etc",
    "/var/runtime",
    "/var/cache/node",
    EMPTY_FOLDER,
    TASK_DIR,
    "/var/task/lib",
    "/opt/lib",
];
const DEVICES: [&str; 5] = ["null", "zero", "full", "random", "urandom"];
const DEVICE_LINKS: [(&str, &str); 4] = [
    ("dev/fd", "/proc/self/fd"),
    ("dev/stdin", "/proc/self/fd/0"),
    ("dev/stdout", "/proc/self/fd/1"),
    ("dev/stderr", "/proc/self/fd/2"),
];
/// Of `/etc/hosts`.
pub(super) const HOSTS: &str = "127.0.0.1 localhost lambda sandbox sandbox.localdomain\n::1 localhost\n";
/// Shown in place of folders that are hidden.
pub(super) const EMPTY_FOLDER: &str = "/var/empty";

/// Builds the root on the orders' mount point and makes it this process's root.
pub(super) fn build(orders: &TemplateOrders) -> Step<()> {
    mount_one(None, Path::new("/"), None, MsFlags::MS_REC | MsFlags::MS_PRIVATE, None)?;
    if let Some(image) = &orders.shell.image {
        image_root::lay_out(image, orders)?;
        return enter(&orders.mount_point);
    }
    let root = &orders.mount_point;
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV;
    mount_one(Some("tmpfs"), root, Some("tmpfs"), flags, Some(ROOT_OPTIONS))?;
    for folder in FOLDERS {
        make_folder(&inside(root, folder))?;
    }
    write_etc(root, orders.shell.egress)?;
    bind_all(orders)?;
    for (path, to) in &orders.shell.links {
        make_link(to, &inside(root, path))?;
    }
    mount_devices(root)?;
    if !orders.root {
        mount_first_proc(root)?;
    }
    enter(root)
}

fn bind_all(orders: &TemplateOrders) -> Step<()> {
    let root = &orders.mount_point;
    let whole_tree = !orders.root;
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
    orders.shell.binds.iter().try_for_each(|one| bind(one, root, whole_tree))
}

/// What a user namespace needs: in one a process may mount a new `/proc` only where it sees one already.
pub(super) fn mount_first_proc(root: &Path) -> Step<()> {
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV;
    mount_one(Some("proc"), &root.join("proc"), Some("proc"), flags, None)
}

/// Binds one host path, read-only. In a user namespace mounts beneath it must come along (`whole_tree`).
pub(super) fn bind(bind: &Bind, root: &Path, whole_tree: bool) -> Step<()> {
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
    set_attributes(&target, FOREIGN, whole_tree)
}

pub(super) fn mount_devices(root: &Path) -> Step<()> {
    for name in DEVICES {
        let target = root.join("dev").join(name);
        make_file(&target)?;
        mount_one(Some(&format!("/dev/{name}")), &target, None, MsFlags::MS_BIND, None)?;
        set_attributes(&target, libc::MOUNT_ATTR_NOSUID | libc::MOUNT_ATTR_NOEXEC, false)?;
    }
    DEVICE_LINKS.iter().try_for_each(|(path, to)| make_link(to, &root.join(path)))
}

fn enter(root: &Path) -> Step<()> {
    std::env::set_current_dir(root).map_err(|error| format!("enter its root: {error}"))?;
    // With both names the same the old root ends up stacked on the new one, from where it is unmounted.
    nix::unistd::pivot_root(".", ".").map_err(|error| format!("change its root: {error}"))?;
    umount2(".", MntFlags::MNT_DETACH).map_err(|error| format!("leave the host's root: {error}"))?;
    std::env::set_current_dir("/").map_err(|error| format!("enter its root: {error}"))?;
    set_attributes(Path::new("/"), libc::MOUNT_ATTR_RDONLY, false)
}

fn write_etc(root: &Path, egress: bool) -> Step<()> {
    let etc = root.join("etc");
    let files = [
        ("passwd", format!("sbx_user1051:x:{INSIDE_UID}:{INSIDE_GID}::/tmp:/usr/sbin/nologin\n")),
        ("group", format!("sbx_user1051:x:{INSIDE_GID}:\n")),
        ("hosts", HOSTS.to_owned()),
        ("nsswitch.conf", "passwd: files\ngroup: files\nhosts: files dns\n".to_owned()),
        ("resolv.conf", resolver(egress)),
    ];
    for (name, text) in files {
        fs::write(etc.join(name), text).map_err(|error| format!("write /etc/{name}: {error}"))?;
    }
    Ok(())
}

/// Of `/etc/resolv.conf`.
pub(super) fn resolver(egress: bool) -> String {
    if egress { format!("nameserver {RESOLVER}\n") } else { String::new() }
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
