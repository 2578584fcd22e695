//! The disk behind an environment's `/tmp`.
//!
//! Files in a memory file system would count as the function's memory, which AWS keeps apart from ephemeral storage. So
//! where the host can, `/tmp` is a small file system of its own in a sparse file behind a loop device. The file has no
//! name any more when the function starts, and the kernel frees the device with the last mount: nothing is left
//! behind, however the daemon ends.
#![expect(unsafe_code, reason = "loop devices are configured with ioctl")]

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;

use nix::errno::Errno;
use nix::unistd::{Whence, lseek};
use rustix::fs::{AtFlags, Gid, Mode, Uid, chmodat, chownat, unlinkat};
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, fsconfig_create, fsconfig_set_string, fsmount, fsopen,
};

/// Another process may take the device that we were told is free; so many times in a row, with pauses, it will not.
const ATTEMPTS: usize = 500;
const PAUSE: std::time::Duration = std::time::Duration::from_millis(2);
/// Below this a file system has hardly room for its own tables.
const BYTES_PER_INODE: &str = "65536";

/// What functions have unless they ask for more.
const USUAL_MIB: u32 = 512;

const LOOP_CTL_GET_FREE: libc::c_ulong = 0x4C82;
const LOOP_CONFIGURE: libc::c_ulong = 0x4C0A;
const LO_FLAGS_AUTOCLEAR: u32 = 4;

/// Empty file systems by size, made once and copied.
#[derive(Debug)]
pub(crate) struct Scratch {
    folder: PathBuf,
    making: Mutex<()>,
}

/// A loop device that lives as long as this or a mount of it.
#[derive(Debug)]
struct Disk {
    device: PathBuf,
    _open: File,
}

impl Scratch {
    /// Finds out whether this host can give loop devices, by making one of the usual size; the error says why not.
    pub(crate) fn find(folder: &Path) -> Result<Self, String> {
        let scratch = Self { folder: folder.to_owned(), making: Mutex::new(()) };
        fs::create_dir_all(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
        scratch.disk("probe", USUAL_MIB, 0).map_err(|error| error.to_string())?;
        Ok(scratch)
    }

    /// A new, empty file system of `mib` that only `owner` may enter, mounted nowhere yet.
    pub(crate) fn disk(&self, name: &str, mib: u32, owner: u32) -> io::Result<OwnedFd> {
        let template = self.template(mib)?;
        let path = self.folder.join(name);
        let made = copy_sparse(&template, &path).and_then(|file| attach(&file));
        let _ = fs::remove_file(&path);
        mount(&made?.device, owner)
    }

    fn template(&self, mib: u32) -> io::Result<PathBuf> {
        let path = self.folder.join(format!("empty-{mib}.ext4"));
        let _one_at_a_time = self.making.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if path.exists() {
            return Ok(path);
        }
        let new = self.folder.join(format!("empty-{mib}.new"));
        File::create(&new)?.set_len(u64::from(mib) << 20)?;
        make_file_system(&new)?;
        fs::rename(&new, &path)?;
        Ok(path)
    }
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

/// Copies the parts that hold data; the rest stays a hole.
fn copy_sparse(from: &Path, to: &Path) -> io::Result<File> {
    let source = File::open(from)?;
    let length = source.metadata()?.len();
    let mut target =
        OpenOptions::new().read(true).write(true).create(true).truncate(true).mode(0o600).open(to)?;
    target.set_len(length)?;
    let mut at = 0;
    loop {
        let start = match lseek(&source, at, Whence::SeekData) {
            Ok(start) => start,
            Err(Errno::ENXIO) => break,
            Err(error) => return Err(error.into()),
        };
        let end = lseek(&source, start, Whence::SeekHole)?;
        let mut bytes = vec![0; usize::try_from(end - start).map_err(io::Error::other)?];
        let offset = u64::try_from(start).map_err(io::Error::other)?;
        source.read_exact_at(&mut bytes, offset)?;
        target.write_all_at(&bytes, offset)?;
        at = end;
    }
    target.flush()?;
    Ok(target)
}

fn mount(device: &Path, owner: u32) -> io::Result<OwnedFd> {
    let context = fsopen("ext4", FsOpenFlags::FSOPEN_CLOEXEC)?;
    fsconfig_set_string(&context, "source", device)?;
    fsconfig_create(&context)?;
    let attributes = MountAttrFlags::MOUNT_ATTR_NOSUID
        | MountAttrFlags::MOUNT_ATTR_NODEV
        | MountAttrFlags::MOUNT_ATTR_NOATIME;
    let disk = fsmount(&context, FsMountFlags::FSMOUNT_CLOEXEC, attributes)?;
    // mkfs makes it; a function has no use for it.
    let _ = unlinkat(&disk, "lost+found", AtFlags::REMOVEDIR);
    chownat(&disk, "", Some(Uid::from_raw(owner)), Some(Gid::from_raw(owner)), AtFlags::EMPTY_PATH)?;
    chmodat(&disk, ".", Mode::RWXU, AtFlags::empty())?;
    Ok(disk)
}

static ATTACHING: Mutex<()> = Mutex::new(());

fn attach(file: &File) -> io::Result<Disk> {
    let control = OpenOptions::new().read(true).write(true).open("/dev/loop-control")?;
    // Within this process one at a time, so that only other processes are in the way.
    let _one_at_a_time = ATTACHING.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    for _ in 0..ATTEMPTS {
        // SAFETY: LOOP_CTL_GET_FREE takes no argument and returns a number.
        let number = unsafe { libc::ioctl(control.as_raw_fd(), LOOP_CTL_GET_FREE as _) };
        if number < 0 {
            return Err(io::Error::last_os_error());
        }
        let device = PathBuf::from(format!("/dev/loop{number}"));
        let open = OpenOptions::new().read(true).write(true).open(&device)?;
        match configure(&open, file) {
            Ok(()) => return Ok(Disk { device, _open: open }),
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
}
