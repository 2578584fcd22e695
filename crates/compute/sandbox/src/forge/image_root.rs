//! The root of environments that run a container image: the image's own tree, and on it what every environment has.

use std::fs;
use std::path::Path;

use nix::mount::MsFlags;

use super::Step;
use super::mounts::{FOREIGN, mount_one, set_attributes};
use super::root::{EMPTY_FOLDER, HOSTS, bind, mount_devices, mount_first_proc, resolver};
use crate::orders::TemplateOrders;
use crate::spec::ImageRoot;

/// `/dev` holds mount points for a handful of devices, some links, and for a moment two small files.
const DEV_OPTIONS: &str = "mode=755,size=64k,nr_inodes=64";

/// Lays the root out on the orders' mount point. Nothing of the image is executed, and no link of it is followed.
pub(super) fn lay_out(image: &ImageRoot, orders: &TemplateOrders) -> Step<()> {
    let (root, whole_tree) = (&orders.mount_point, !orders.root);
    let depth = if whole_tree { MsFlags::MS_REC } else { MsFlags::empty() };
    mount_one(image.tree.to_str(), root, None, MsFlags::MS_BIND | depth, None)?;
    set_attributes(root, FOREIGN, whole_tree)?;
    for place in ["/dev", "/proc", "/tmp", EMPTY_FOLDER] {
        check_folder(root, place)?;
    }
    let dev = root.join("dev");
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
    mount_one(Some("tmpfs"), &dev, Some("tmpfs"), flags, Some(DEV_OPTIONS))?;
    mount_devices(root)?;
    show_text(root, "hosts", HOSTS)?;
    show_text(root, "resolv.conf", &resolver(orders.shell.egress))?;
    set_attributes(&dev, libc::MOUNT_ATTR_RDONLY, false)?;
    for one in &orders.shell.binds {
        check_folder(root, &one.target)?;
        bind(one, root, whole_tree)?;
    }
    if whole_tree { mount_first_proc(root) } else { Ok(()) }
}

/// Shows a text as a file of `/etc`. It is kept in the memory of `/dev`, where it has no name.
fn show_text(root: &Path, name: &str, text: &str) -> Step<()> {
    let (source, target) = (root.join("dev").join(name), root.join("etc").join(name));
    check_folder(root, "/etc")?;
    if !fs::symlink_metadata(&target).is_ok_and(|found| found.is_file()) {
        return Err(format!("find /etc/{name} in the image"));
    }
    fs::write(&source, text).map_err(|error| format!("write /etc/{name}: {error}"))?;
    mount_one(source.to_str(), &target, None, MsFlags::MS_BIND, None)?;
    set_attributes(&target, FOREIGN | libc::MOUNT_ATTR_NOEXEC, false)?;
    fs::remove_file(&source).map_err(|error| format!("write /etc/{name}: {error}"))
}

/// Fails where a place to mount on is not there, or a link is on the way to it, which here would lead into the host.
fn check_folder(root: &Path, place: &str) -> Step<()> {
    let mut path = root.to_owned();
    for name in place.split('/').filter(|name| !name.is_empty()) {
        path.push(name);
        if !fs::symlink_metadata(&path).is_ok_and(|found| found.is_dir()) {
            return Err(format!("find the folder {place} in the image"));
        }
    }
    Ok(())
}
