"""Reading and changing files that are not the function's."""

import ctypes
import os
import socket
import stat

from raw import Refused, attempt, call

AT_FDCWD = -100
# null, random, urandom
HARMLESS_DEVICES = {os.makedev(1, 3), os.makedev(1, 8), os.makedev(1, 9)}


@attempt
def read(event):
    """Any file by its path: `/etc/shadow`, the master key, a file for everybody in the host's `/tmp`."""
    with open(event["path"], "rb") as file:
        return file.read(100) or b"(empty)"


@attempt
def list_folder(event):
    return os.listdir(event["path"]) or "(empty)"


@attempt
def climb_out(event):
    """More `..` than there are folders."""
    with open("../" * 60 + event["secret"].lstrip("/")) as file:
        return file.read()


@attempt
def climb_out_of_the_code(event):
    code = os.path.dirname(os.path.abspath(__file__))
    with open(code + "/.." * 60 + event["secret"]) as file:
        return file.read()


@attempt
def through_proc(event):
    """`/proc/PID/root` is a door into another root."""
    with open(f"/proc/{event['pid']}/root{event['secret']}") as file:
        return file.read()


@attempt
def through_working_folder(event):
    return os.listdir(f"/proc/{event['pid']}/cwd")


@attempt
def through_descriptors_of(event):
    return os.listdir(f"/proc/{event['pid']}/fd")


@attempt
def memory_of(event):
    with open(f"/proc/{event['pid']}/mem", "rb") as file:
        return file.fileno()


@attempt
def through_a_symbolic_link(event):
    link = os.path.join(event["scratch"], "link")
    os.symlink(event["secret"], link)
    with open(link) as file:
        return file.read()


@attempt
def through_a_hard_link(event):
    """A second name for somebody else's file, where it can be changed."""
    link = os.path.join(event["scratch"], "hard")
    os.link(event["path"], link)
    return os.stat(link).st_nlink


def open_handle(event, handle):
    folder = os.open(event["scratch"], os.O_RDONLY)
    try:
        return call("open_by_handle_at", folder, handle, os.O_RDONLY)
    finally:
        os.close(folder)


@attempt
def by_handle(event):
    """A file handle needs no path; it reaches whatever lies on the same disk. Inode 2 is the root of ext4."""
    handle = (ctypes.c_ubyte * 128)()
    ctypes.c_uint.from_buffer(handle).value = 120
    mount = ctypes.c_int()
    call("name_to_handle_at", AT_FDCWD, event["scratch"].encode(), handle, mount, 0)
    return open_handle(event, handle)


@attempt
def by_guessed_handle(event):
    """The same without asking for a handle: type 1 is inode and generation."""
    handle = (ctypes.c_uint * 4)(8, 1, 2, 0)
    return open_handle(event, handle)


@attempt
def chroot(event):
    """The old way out of a changed root begins with one more."""
    return call("chroot", event["scratch"].encode())


@attempt
def pivot_root(event):
    return call("pivot_root", b".", b".")


@attempt
def inherited_folders(event):
    """A folder that somebody left open is a way around every path."""
    own = os.open("/", os.O_RDONLY | os.O_DIRECTORY)
    folders = [number for number in descriptors() if stat.S_ISDIR(os.fstat(number).st_mode)]
    assert own in folders, "an open folder would be found"
    os.close(own)
    folders.remove(own)
    if not folders:
        raise Refused("no folder is open")
    return [os.readlink(f"/proc/self/fd/{number}") for number in folders]


@attempt
def inherited_descriptors(event):
    """Every open descriptor, judged: the null device, the log's pipe, the Runtime API, and what Python itself opens."""
    own = os.memfd_create("own") if hasattr(os, "memfd_create") else os.open("/etc/passwd", os.O_RDONLY)
    strange = {number: problem for number in descriptors() if (problem := judge(number))}
    os.close(own)
    assert strange.pop(own, None), "a strange descriptor would be found"
    if not strange:
        raise Refused("none is strange")
    return strange


def judge(number):
    """What is wrong with a descriptor; `None` when nothing is."""
    kind = os.fstat(number).st_mode
    if stat.S_ISCHR(kind):
        # Opened before the root was built, a device has lost its folder's name.
        return None if os.fstat(number).st_rdev in HARMLESS_DEVICES else os.readlink(f"/proc/self/fd/{number}")
    if stat.S_ISFIFO(kind):
        return None if number in (1, 2, 3) else "a pipe"
    if stat.S_ISSOCK(kind):
        with socket.socket(fileno=os.dup(number)) as one:
            if one.family != socket.AF_INET:
                return f"a socket of family {one.family}"
            peer = one.getpeername()
            return None if peer == ("127.0.0.1", 9001) else f"a connection to {peer}"
    shown = os.readlink(f"/proc/self/fd/{number}")
    return None if shown.startswith("anon_inode:[eventpoll]") else shown


def descriptors():
    found = []
    for number in range(1024):
        try:
            os.fstat(number)
        except OSError:
            continue
        found.append(number)
    return found


@attempt
def write(event):
    """A new file where only the platform may write."""
    path = os.path.join(event["path"], "planted")
    with open(path, "w") as file:
        return file.write("planted")


@attempt
def overwrite(event):
    with open(event["path"], "r+b") as file:
        return file.fileno()


@attempt
def remove(event):
    return os.unlink(event["path"])


@attempt
def replace(event):
    """Moving a file of one's own over another."""
    own = os.path.join(event["scratch"], "own")
    with open(own, "w"):
        pass
    return os.rename(own, event["path"])


@attempt
def change_mode(event):
    """Of a shared device, to the mode that it has: owners may, others may not even do that."""
    return os.chmod(event["path"], stat.S_IMODE(os.stat(event["path"]).st_mode))


@attempt
def change_owner(event):
    path = os.path.join(event["scratch"], "mine")
    with open(path, "w"):
        pass
    return os.chown(path, event["uid"], -1)


@attempt
def make_device(event):
    """Memory as a character device, or the host's disk as a block device, under a name of one's own."""
    kind = stat.S_IFBLK if event["kind"] == "block" else stat.S_IFCHR
    return os.mknod(os.path.join(event["scratch"], event["kind"]), kind | 0o600, os.makedev(*event["number"]))


@attempt
def open_device(event):
    return os.open(event["path"], os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY)


@attempt
def more_than_the_usual_root(event):
    """Names in the root, in /var, /etc and /dev beyond those that a runtime needs."""
    usual = {
        "/": {"bin", "dev", "etc", "lib", "lib32", "lib64", "node_modules", "opt", "proc", "tmp", "usr", "var"},
        "/var": {"cache", "empty", "lang", "rapid", "runtime", "task"},
        "/dev": {"fd", "full", "null", "random", "stderr", "stdin", "stdout", "urandom", "zero"},
    }
    more = {folder: sorted(set(os.listdir(folder)) - names) for folder, names in usual.items()}
    if not any(more.values()):
        raise Refused("nothing more")
    return more


@attempt
def a_mount_that_honours_setuid(event):
    """Where a set-uid program or a device file would work."""
    found = []
    for line in open("/proc/self/mounts"):
        _, where, _, options, *_ = line.split()
        options = options.split(",")
        # The devices themselves, and the empty device laid over files of /proc, must be devices.
        is_device = where.startswith(("/dev/", "/proc/"))
        if "nosuid" not in options or ("nodev" not in options and not is_device):
            found.append(where)
    if not found:
        raise Refused("none")
    return found


@attempt
def a_mount_that_can_be_written(event):
    """Besides /tmp and the devices. Of mounts on the same folder the last covers the others."""
    options_of = {}
    for line in open("/proc/self/mounts"):
        _, where, _, options, *_ = line.split()
        options_of[where] = options.split(",")
    found = [where for where, options in options_of.items() if "rw" in options]
    found = [where for where in found if where != "/tmp" and not where.startswith(("/dev/", "/proc/"))]
    if not found:
        raise Refused("none")
    return found
