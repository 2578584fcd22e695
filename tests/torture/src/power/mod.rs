//! Power cuts: a file system of our own beneath the data directory, which loses what was not synced.

mod cut;
mod disk;
mod mount;
mod pages;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Context;
use fuser::{BackgroundSession, Config, MountOption};
use lambent_base::Random;
use rustix::mount::UnmountFlags;

pub(crate) use cut::Losses;
use disk::Disk;
pub(crate) use disk::Lies;
use mount::Mount;

/// How often, and how many times, it is looked whether a disk is in use no more.
const BUSY_POLL: Duration = Duration::from_millis(2);
const BUSY_POLLS_MAX: usize = 5000;
const DEVICE: &str = "/dev/fuse";
/// What the list of mounts says of a disk.
const NAME: &str = "lambent-torture";

/// Whether this host lets us put a file system beneath the server.
pub(crate) fn is_possible() -> bool {
    std::fs::File::options().read(true).write(true).open(DEVICE).is_ok()
        && rustix::process::geteuid().is_root()
}

/// Takes away the disks of runs that were killed. (The kernel would do it with `auto_unmount`, but that needs a helper
/// program that not every host has.)
pub(crate) fn unmount_leftovers() -> anyhow::Result<()> {
    let mounts = std::fs::read_to_string("/proc/self/mounts").context("could not list what is mounted")?;
    for line in mounts.lines() {
        let mut words = line.split(' ');
        let (Some(NAME), Some(mountpoint)) = (words.next(), words.next()) else { continue };
        // A disk whose process lives answers this; that of a dead one is not connected any more.
        let is_dead = matches!(rustix::fs::statfs(mountpoint), Err(rustix::io::Errno::NOTCONN));
        if is_dead {
            rustix::mount::unmount(mountpoint, UnmountFlags::DETACH)
                .with_context(|| format!("could not unmount {mountpoint}"))?;
            println!("unmounted what a killed run left: {mountpoint}");
        }
    }
    Ok(())
}

/// A mounted disk. Dropping it unmounts it.
pub(crate) struct Layer {
    disk: Arc<Mutex<Disk>>,
    mountpoint: PathBuf,
    session: Option<BackgroundSession>,
}

impl Layer {
    /// Mounts an empty disk.
    pub(crate) fn mount(mountpoint: &Path, lies: Lies) -> anyhow::Result<Self> {
        std::fs::create_dir_all(mountpoint)
            .with_context(|| format!("could not make {}", mountpoint.display()))?;
        let disk = Arc::new(Mutex::new(Disk::new(lies)));
        let mut layer = Self { disk, mountpoint: mountpoint.to_owned(), session: None };
        layer.attach()?;
        Ok(layer)
    }

    /// Makes all that is there durable.
    pub(crate) fn settle(&self) {
        self.disk.lock().unwrap_or_else(PoisonError::into_inner).sync_all();
    }

    /// Cuts the power, after the processes that used the disk are gone; the disk is there again when this returns.
    pub(crate) fn cut(&mut self, random: &Random) -> anyhow::Result<Losses> {
        self.detach()?;
        let losses = {
            let mut disk = self.disk.lock().unwrap_or_else(PoisonError::into_inner);
            let (survivor, losses) = std::mem::replace(&mut *disk, Disk::new(Lies::Never)).cut(random);
            *disk = survivor;
            losses
        };
        self.attach()?;
        Ok(losses)
    }

    fn attach(&mut self) -> anyhow::Result<()> {
        let mut config = Config::default();
        config.mount_options = vec![MountOption::FSName(NAME.to_owned()), MountOption::DefaultPermissions];
        let session = fuser::spawn_mount(Mount(self.disk.clone()), &self.mountpoint, &config);
        self.session =
            Some(session.with_context(|| format!("could not mount {}", self.mountpoint.display()))?);
        Ok(())
    }

    fn detach(&mut self) -> anyhow::Result<()> {
        let Some(session) = self.session.take() else { return Ok(()) };
        let failed = || format!("could not unmount {}", self.mountpoint.display());
        // What the killed server had just started holds its files for a moment longer.
        for _ in 0..BUSY_POLLS_MAX {
            match rustix::mount::unmount(&self.mountpoint, UnmountFlags::empty()) {
                Err(rustix::io::Errno::BUSY) => std::thread::sleep(BUSY_POLL),
                other => {
                    other.with_context(failed)?;
                    return session.join().with_context(failed);
                }
            }
        }
        session.umount_and_join().with_context(failed)
    }
}

impl Drop for Layer {
    fn drop(&mut self) {
        if let Err(error) = self.detach() {
            eprintln!("{error:#}");
        }
    }
}
