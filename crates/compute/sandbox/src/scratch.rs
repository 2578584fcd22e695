//! The disk behind an environment's `/tmp`.
//!
//! Files in a memory file system would count as the function's memory, which AWS keeps apart from ephemeral storage. So
//! where the host can, `/tmp` is a small file system of its own in a sparse file behind a loop device. The file has no
//! name, and the kernel frees the device with the last mount and descriptor: nothing is left behind, however the
//! daemon ends.
#![expect(unsafe_code, reason = "loop devices are configured with ioctl")]

use std::collections::VecDeque;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use nix::errno::Errno;
use nix::unistd::{Whence, lseek};
use rustix::fs::{
    AtFlags, FallocateFlags, FlockOperation, Gid, Mode, OFlags, Uid, chmodat, chownat, fallocate, flock,
    unlinkat,
};
use rustix::io::retry_on_intr;
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, fsconfig_create, fsconfig_create_exclusive, fsconfig_set_flag,
    fsconfig_set_string, fsmount, fsopen,
};

/// Another process may take the device that we were told is free; so many times in a row, with pauses, it will not.
const ATTEMPTS: usize = 500;
const PAUSE: std::time::Duration = std::time::Duration::from_millis(2);
/// The host's device manager may look at a device that is new or was written to, and keep what it saw in the cache; it
/// does so once, and not while we hold the device's lock. A process that another thread forked a moment ago has our mount
/// open, too, until it closes what it was born with: for that it gets as many pauses.
const UNDISTURBED_ATTEMPTS: usize = 250;
/// Below this a file system has hardly room for its own tables.
const BYTES_PER_INODE: &str = "65536";

/// What functions have unless they ask for more.
const USUAL_MIB: u32 = 512;

const LOOP_CTL_GET_FREE: libc::c_ulong = 0x4C82;
const LOOP_CONFIGURE: libc::c_ulong = 0x4C0A;
/// `BLKFLSBUF` of the kernel's `linux/fs.h`: forgets what is cached of a device.
const BLKFLSBUF: libc::c_ulong = 0x1261;
const LO_FLAGS_AUTOCLEAR: u32 = 4;

/// Empty file systems by size, made once and copied; and disks that environments have left behind.
#[derive(Debug)]
pub(crate) struct Scratch {
    folder: PathBuf,
    making: Mutex<()>,
    /// The longest left first.
    left: Mutex<VecDeque<Backing>>,
}

/// Disks kept for the next environments. Attaching a new one takes longer than emptying a used one.
const MAX_LEFT: usize = 64;

/// The disk of one environment.
#[derive(Debug)]
pub(crate) struct Disk {
    /// A mount that is nowhere yet.
    pub(crate) mount: OwnedFd,
    pub(crate) backing: Backing,
}

/// A file without a name and the loop device that shows it as a disk, for as long as this or a mount of it lives.
#[derive(Debug)]
pub(crate) struct Backing {
    file: File,
    device: File,
    path: PathBuf,
    mib: u32,
}

impl Scratch {
    /// Finds out whether this host can give loop devices, by making one of the usual size; the error says why not.
    pub(crate) fn find(folder: &Path) -> Result<Self, String> {
        let scratch = Self { folder: folder.to_owned(), making: Mutex::default(), left: Mutex::default() };
        fs::create_dir_all(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
        if let Err(error) = remove_old_templates(folder) {
            tracing::warn!(folder = %folder.display(), %error, "empty disks of older releases are still there");
        }
        let disk = scratch.disk(USUAL_MIB, 0).map_err(|error| error.to_string())?;
        drop(disk.mount);
        scratch.take_back(disk.backing);
        Ok(scratch)
    }

    /// An empty file system of `mib` that only `owner` may enter.
    pub(crate) fn disk(&self, mib: u32, owner: u32) -> io::Result<Disk> {
        let template = File::open(self.template(mib)?)?;
        while let Some(backing) = self.take_left(mib) {
            // One that something still holds, or that fails otherwise, is let go.
            if let Ok(mount) = backing.fill(&template).and_then(|()| mount(&backing.path, owner)) {
                return Ok(Disk { mount, backing });
            }
        }
        // Attached while it is empty, since the kernel syncs what it attaches.
        let file = self.unnamed()?;
        file.set_len(u64::from(mib) << 20)?;
        let backing = attach(file, mib)?;
        let mount = backing.undisturbed(|| {
            backing.fill(&template)?;
            mount(&backing.path, owner)
        })?;
        Ok(Disk { mount, backing })
    }

    /// Keeps the disk of an environment that has ended for another one, without what was on it; unless something still
    /// holds it, as files do that were on their way through a socket when their function died.
    pub(crate) fn take_back(&self, backing: Backing) {
        if backing.empty().is_err() {
            return;
        }
        let mut left = self.left();
        left.push_back(backing);
        if left.len() > MAX_LEFT {
            // Also of a size that nobody wants any more.
            left.pop_front();
        }
    }

    fn take_left(&self, mib: u32) -> Option<Backing> {
        let mut left = self.left();
        let at = left.iter().position(|one| one.mib == mib)?;
        left.remove(at)
    }

    fn left(&self) -> MutexGuard<'_, VecDeque<Backing>> {
        self.left.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A new file that goes with its last descriptor.
    fn unnamed(&self) -> io::Result<File> {
        let flags = OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC;
        match rustix::fs::open(&self.folder, flags, Mode::RUSR | Mode::WUSR) {
            Ok(file) => Ok(file.into()),
            // Not every file system can make a file without a name.
            Err(rustix::io::Errno::OPNOTSUPP | rustix::io::Errno::ISDIR) => {
                let path = self.folder.join(format!("disk-{}", NAMES.fetch_add(1, Ordering::SeqCst)));
                let file =
                    OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(&path)?;
                fs::remove_file(path)?;
                Ok(file)
            }
            Err(error) => Err(error.into()),
        }
    }

    fn template(&self, mib: u32) -> io::Result<PathBuf> {
        let path = self.folder.join(format!("bare-{mib}.ext4"));
        let _one_at_a_time = self.making.lock().unwrap_or_else(PoisonError::into_inner);
        if path.exists() {
            return Ok(path);
        }
        let new = self.folder.join(format!("bare-{mib}.new"));
        let file = File::create_new(&new).or_else(|_| {
            fs::remove_file(&new)?;
            File::create_new(&new)
        })?;
        file.set_len(u64::from(mib) << 20)?;
        make_file_system(&new)?;
        strip(&new, mib)?;
        // What has its name is whole, also after a power cut.
        file.sync_all()?;
        fs::rename(&new, &path)?;
        Ok(path)
    }
}

impl Backing {
    /// Removes what was on a used disk, and what the device remembers of it; fails where it is still mounted.
    fn empty(&self) -> io::Result<()> {
        let _alone = self.hold_alone()?;
        let length = u64::from(self.mib) << 20;
        fallocate(&self.file, FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE, 0, length)?;
        self.forget_cached()
    }

    /// Makes an emptied disk as good as new.
    fn fill(&self, template: &File) -> io::Result<()> {
        let _alone = self.hold_alone()?;
        copy_sparse(template, &self.file)?;
        self.forget_cached()
    }

    /// Does what fails where others have the device open, a few times if need be.
    fn undisturbed<T>(&self, work: impl Fn() -> io::Result<T>) -> io::Result<T> {
        let mut result = work();
        for _ in 1..UNDISTURBED_ATTEMPTS {
            if result.is_ok() {
                break;
            }
            std::thread::sleep(PAUSE);
            // Waits for whoever probes the device (systemd, "Locking Block Device Access"), and keeps others away.
            retry_on_intr(|| flock(&self.device, FlockOperation::LockExclusive))?;
            result = work();
            flock(&self.device, FlockOperation::Unlock)?;
        }
        result
    }

    /// As long as a file system on it lives, wherever it is mounted, this fails with "busy".
    fn hold_alone(&self) -> io::Result<File> {
        OpenOptions::new().read(true).write(true).custom_flags(libc::O_EXCL).open(&self.path)
    }

    fn forget_cached(&self) -> io::Result<()> {
        // SAFETY: BLKFLSBUF takes no argument.
        let result = unsafe { libc::ioctl(self.device.as_raw_fd(), BLKFLSBUF as _, 0) };
        if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
    }
}

/// Tells apart files that need a name for a moment.
static NAMES: AtomicU64 = AtomicU64::new(0);

/// Removes what older releases kept under names that nothing has any more.
fn remove_old_templates(folder: &Path) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name();
        let size = name.to_str().and_then(|name| name.strip_prefix("empty-")?.strip_suffix(".ext4"));
        if size.is_some_and(|size| size.parse::<u32>().is_ok()) {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

/// No journal: what a function leaves in `/tmp` need not outlive it.
fn make_file_system(path: &Path) -> io::Result<()> {
    let program =
        ["/usr/sbin/mkfs.ext4", "/sbin/mkfs.ext4"].into_iter().find(|path| Path::new(path).exists());
    let program =
        program.ok_or_else(|| io::Error::other("expected mkfs.ext4 (package e2fsprogs), found none"))?;
    let options = ["-q", "-F", "-O", "^has_journal,^resize_inode", "-m", "0", "-i", BYTES_PER_INODE];
    let lazily = ["-E", "lazy_itable_init=1,nodiscard"];
    let output = Command::new(program).env_clear().args(options).args(lazily).arg(path).output()?;
    if output.status.success() {
        return Ok(());
    }
    Err(io::Error::other(format!("mkfs.ext4 said: {}", String::from_utf8_lossy(&output.stderr).trim())))
}

/// Takes away what mkfs makes and a function has no use for, and lets only the owner in.
fn strip(path: &Path, mib: u32) -> io::Result<()> {
    let file = OpenOptions::new().read(true).write(true).open(path)?;
    let backing = attach(file, mib)?;
    let disk = mount(&backing.path, 0)?;
    unlinkat(&disk, "lost+found", AtFlags::REMOVEDIR)?;
    chmodat(&disk, ".", Mode::RWXU, AtFlags::empty())?;
    drop(disk);
    // Fails while it is mounted: what was changed would not be in the file yet.
    backing.undisturbed(|| backing.hold_alone())?.sync_all()
}

/// Copies the parts that hold data; the rest is a hole, or was made one.
fn copy_sparse(source: &File, target: &File) -> io::Result<()> {
    target.set_len(source.metadata()?.len())?;
    let mut at = 0;
    loop {
        let start = match lseek(source, at, Whence::SeekData) {
            Ok(start) => start,
            Err(Errno::ENXIO) => break,
            Err(error) => return Err(error.into()),
        };
        let end = lseek(source, start, Whence::SeekHole)?;
        let mut bytes = vec![0; usize::try_from(end - start).map_err(io::Error::other)?];
        let offset = u64::try_from(start).map_err(io::Error::other)?;
        source.read_exact_at(&mut bytes, offset)?;
        target.write_all_at(&bytes, offset)?;
        at = end;
    }
    Ok(())
}

fn mount(device: &Path, owner: u32) -> io::Result<OwnedFd> {
    let context = fsopen("ext4", FsOpenFlags::FSOPEN_CLOEXEC)?;
    fsconfig_set_string(&context, "source", device)?;
    // The kernel would write all tables of inodes, 2 MiB of a usual disk, which next to nobody uses.
    fsconfig_set_flag(&context, "noinit_itable")?;
    // Never a file system that is already there; kernels before 6.6 do not know the difference, see `hold_alone`.
    match fsconfig_create_exclusive(&context) {
        Err(rustix::io::Errno::OPNOTSUPP | rustix::io::Errno::INVAL) => fsconfig_create(&context)?,
        made => made?,
    }
    let attributes = MountAttrFlags::MOUNT_ATTR_NOSUID
        | MountAttrFlags::MOUNT_ATTR_NODEV
        | MountAttrFlags::MOUNT_ATTR_NOATIME;
    let disk = fsmount(&context, FsMountFlags::FSMOUNT_CLOEXEC, attributes)?;
    chownat(&disk, "", Some(Uid::from_raw(owner)), Some(Gid::from_raw(owner)), AtFlags::EMPTY_PATH)?;
    Ok(disk)
}

static ATTACHING: Mutex<()> = Mutex::new(());

fn attach(file: File, mib: u32) -> io::Result<Backing> {
    let control = OpenOptions::new().read(true).write(true).open("/dev/loop-control")?;
    // Within this process one at a time, so that only other processes are in the way.
    let _one_at_a_time = ATTACHING.lock().unwrap_or_else(PoisonError::into_inner);
    for _ in 0..ATTEMPTS {
        // SAFETY: LOOP_CTL_GET_FREE takes no argument and returns a number.
        let number = unsafe { libc::ioctl(control.as_raw_fd(), LOOP_CTL_GET_FREE as _) };
        if number < 0 {
            return Err(io::Error::last_os_error());
        }
        let path = PathBuf::from(format!("/dev/loop{number}"));
        let device = OpenOptions::new().read(true).write(true).open(&path)?;
        match configure(&device, &file) {
            Ok(()) => return Ok(Backing { file, device, path, mib }),
            Err(error) if error.raw_os_error() == Some(libc::EBUSY) => std::thread::sleep(PAUSE),
            Err(error) => return Err(error),
        }
    }
    Err(io::Error::other("every loop device that was free was taken by others"))
}

/// `struct loop_config` with its `struct loop_info64`, as in the kernel's `linux/loop.h`.
#[repr(C)]
struct LoopConfig {
    fd: u32,
    block_size: u32,
    /// `lo_device` up to `lo_number`.
    info_head: [u64; 5],
    info_number: u32,
    info_encrypt_type: u32,
    info_encrypt_key_size: u32,
    info_flags: u32,
    info_names: [u8; 64 + 64 + 32],
    info_init: [u64; 2],
    reserved: [u64; 8],
}

fn configure(device: &File, file: &File) -> io::Result<()> {
    let config = LoopConfig {
        fd: file.as_raw_fd().unsigned_abs(),
        block_size: 0,
        info_head: [0; 5],
        info_number: 0,
        info_encrypt_type: 0,
        info_encrypt_key_size: 0,
        info_flags: LO_FLAGS_AUTOCLEAR,
        info_names: [0; 160],
        info_init: [0; 2],
        reserved: [0; 8],
    };
    // SAFETY: LOOP_CONFIGURE reads one `loop_config`, which lives across the call.
    let result = unsafe { libc::ioctl(device.as_raw_fd(), LOOP_CONFIGURE as _, &raw const config) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_loop_configuration_has_the_kernels_size() {
        // 8 + sizeof(loop_info64) 232 + 64
        assert_eq!(size_of::<LoopConfig>(), 304);
    }

    #[test]
    fn templates_of_older_releases_go() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["empty-512.ext4", "bare-512.ext4", "empty-of-ours.ext4"] {
            fs::write(folder.path().join(name), "").unwrap();
        }
        remove_old_templates(folder.path()).unwrap();
        let names = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name());
        let names: std::collections::BTreeSet<_> = names.collect();
        assert_eq!(names, ["bare-512.ext4".into(), "empty-of-ours.ext4".into()].into());
    }
}
