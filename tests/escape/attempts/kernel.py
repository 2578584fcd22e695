"""System calls that no function needs. Arguments are such that they harm nobody where they are allowed."""

import ctypes
import os
import socket
import struct

from raw import Refused, attempt, call, in_child

CLONE_NEWNS, CLONE_NEWUSER, SIGCHLD = 0x00020000, 0x10000000, 17
OPEN_TREE_CLONE, AT_EMPTY_PATH, AT_RECURSIVE = 1, 0x1000, 0x8000
SESSION_KEYRING = -3


def make(name, doc, *arguments):
    """An attempt that is nothing but one call."""

    def work(event):
        return call(name, *(value(event) if callable(value) else value for value in arguments))

    work.__name__, work.__doc__ = name, doc
    return attempt(work)


acct = make("acct", "process accounting: writes to a file as root", b"/nonexistent/file")
add_key = make("add_key", "the kernel's keyrings", b"user", b"escape", b"secret", 6, SESSION_KEYRING)
request_key = make("request_key", "starts a program of the host's", b"user", b"no such", None, 0)
adjtimex = make("adjtimex", "the clock's speed", (lambda event: ctypes.create_string_buffer(256)))
bpf = make("bpf", "programs in the kernel: a map of one element", 0, (lambda event: bpf_map()), 72)
clock_settime = make("clock_settime", "the time", 0, None)
delete_module = make("delete_module", "kernel modules", b"no_such_module_here", 0)
init_module = make("init_module", "kernel modules", None, 0, b"")
finit_module = make("finit_module", "kernel modules", -1, b"", 0)
fanotify_init = make("fanotify_init", "watches whole file systems", 0, 0)
io_uring_setup = make("io_uring_setup", "a second way into the kernel", 4, (lambda event: (ctypes.c_uint * 30)()))
iopl = make("iopl", "ports of the hardware", 3)
ioperm = make("ioperm", "ports of the hardware", 0x80, 1, 1)
kexec_load = make("kexec_load", "another kernel", 0, 0, None, 0)
kexec_file_load = make("kexec_file_load", "another kernel", -1, -1, 0, None, 0)
memfd_secret = make("memfd_secret", "memory that nobody can count", 0)
migrate_pages = make("migrate_pages", "memory of others", 0, 8, (lambda event: one()), (lambda event: one()))
modify_ldt = make("modify_ldt", "segments", 0, (lambda event: ctypes.create_string_buffer(64)), 64)
perf_event_open = make("perf_event_open", "what the processor does", (lambda event: clock_event()), 0, -1, -1, 0)
personality = make("personality", "addresses that can be guessed (ADDR_NO_RANDOMIZE)", 0x0040000)
quotactl = make("quotactl", "disk quotas: says whether they are on", 0x800001 << 8, None, 0, None)
reboot = make("reboot", "with a wrong magic number", 0, 0, 0, None)
seccomp = make("seccomp", "filters that somebody else answers: asks whether there are", 2, 0, one_action := ctypes.c_uint(0x7FC00000))
setdomainname = make("setdomainname", "the host's name", b"escape", 6)
sethostname = make("sethostname", "the host's name", b"escape", 6)
settimeofday = make("settimeofday", "the time", None, None)
swapon = make("swapon", "swap space", b"/nonexistent/file", 0)
swapoff = make("swapoff", "swap space", b"/nonexistent/file")
syslog = make("syslog", "the kernel's messages: how many", 9, None, 0)
userfaultfd = make("userfaultfd", "stops the kernel in the middle", 0)
vhangup = make("vhangup", "terminals of others")


def one():
    return ctypes.c_ulong(1)


def bpf_map():
    """union bpf_attr for BPF_MAP_CREATE: an array of one element."""
    return ctypes.create_string_buffer(struct.pack("5I", 2, 4, 4, 1, 0), 72)


def clock_event():
    """struct perf_event_attr: the software event of the processor's clock."""
    return ctypes.create_string_buffer(struct.pack("IIQ", 1, 64, 0), 64)


@attempt
def keyctl(event):
    """Joins a session keyring of its own."""
    return call("keyctl", 1, None)


@attempt
def mount(event):
    target = os.path.join(event["scratch"], "mounted")
    os.mkdir(target)
    call("mount", b"none", target.encode(), b"tmpfs", 0, None)
    return call("umount2", target.encode(), 0)


@attempt
def remount_writable(event):
    return call("mount", None, event["mounted"].encode(), None, 32 | 4096, None)


@attempt
def bind_mount(event):
    target = os.path.join(event["scratch"], "bound")
    os.mkdir(target)
    call("mount", b"/", target.encode(), None, 4096, None)
    return call("umount2", target.encode(), 0)


@attempt
def umount(event):
    """Of a folder that is no mount point, which root is told."""
    target = os.path.join(event["scratch"], "nothing")
    os.mkdir(target)
    return call("umount2", target.encode(), 2)


@attempt
def new_mount_calls(event):
    """The mount calls of newer kernels, which older filters do not know."""
    context = call("fsopen", b"tmpfs", 0)
    return context


@attempt
def open_tree(event):
    return call("open_tree", -100, b"/", OPEN_TREE_CLONE | AT_RECURSIVE)


@attempt
def mount_setattr(event):
    """Clears the read-only flag of the root (nothing is asked for where nothing is set)."""
    return call("mount_setattr", -100, b"/", 0, (ctypes.c_uint64 * 4)(), 32)


@attempt
def unshare(event):
    """A new namespace: in a user namespace of its own anybody is root."""
    return call("unshare", event["flags"])


@attempt
def clone(event):
    """The same with a child."""
    child = call("clone", event["flags"] | SIGCHLD, 0, 0, 0, 0)
    if child == 0:
        os._exit(0)
    os.waitpid(child, 0)
    return "cloned"


@attempt
def clone3(event):
    """The same by the call whose flags a filter cannot see."""
    arguments = (ctypes.c_uint64 * 8)(CLONE_NEWUSER, 0, 0, 0, SIGCHLD)
    child = call("clone3", arguments, 64)
    if child == 0:
        os._exit(0)
    os.waitpid(child, 0)
    return "cloned"


@attempt
def setns(event):
    """Into a namespace that is open: here its own."""
    own = os.open("/proc/self/ns/net", os.O_RDONLY)
    return call("setns", own, 0)


@attempt
def capset(event):
    """Capabilities: as many as it had."""
    header = (ctypes.c_uint32 * 2)(0x20080522, 0)
    sets = (ctypes.c_uint32 * 6)()
    call("prctl", 3, 0, 0, 0, 0)
    return call("capset", header, sets)


@attempt
def ambient_capability(event):
    """Raises CAP_NET_RAW for programs to come, after making it inheritable where it may."""
    header = (ctypes.c_uint32 * 2)(0x20080522, 0)
    bit = 1 << 13
    sets = (ctypes.c_uint32 * 6)(bit, bit, bit, 0, 0, 0)
    try:
        call("capset", header, sets)
    except OSError:
        pass
    return call("prctl", 47, 2, 13, 0, 0)


@attempt
def forget_no_new_privileges(event):
    """PR_SET_NO_NEW_PRIVS cannot be taken back: the argument must be 1."""
    status = dict(line.split(":\t", 1) for line in open("/proc/self/status"))
    if status["NoNewPrivs"].strip() != "1":
        return "it was never set"
    return call("prctl", 38, 0, 0, 0, 0)


@attempt
def forget_the_filter(event):
    """PR_SET_SECCOMP with mode 0."""
    status = dict(line.split(":\t", 1) for line in open("/proc/self/status"))
    if status["Seccomp"].strip() != "2":
        return "there is none"
    return call("prctl", 22, 0, 0, 0, 0)


@attempt
def change_own_memory_map(event):
    """PR_SET_MM tells the kernel lies about where a program lies."""
    return call("prctl", 35, 13, os.open("/usr/bin/env", os.O_RDONLY), 0, 0)


@attempt
def freeze_file_system(event):
    """FIFREEZE: whoever shares the disk stands still (thawed at once where it works)."""
    import fcntl

    folder = os.open(event["scratch"], os.O_RDONLY)
    fcntl.ioctl(folder, 0xC0045877, 0)
    return fcntl.ioctl(folder, 0xC0045878, 0)


@attempt
def immutable_file(event):
    """FS_IOC_SETFLAGS with the immutable flag: nobody could remove it again (cleared where it works)."""
    import fcntl

    file = os.open(os.path.join(event["scratch"], "stone"), os.O_CREAT | os.O_RDWR)
    fcntl.ioctl(file, 0x40086602, struct.pack("l", 0x10))
    return fcntl.ioctl(file, 0x40086602, struct.pack("l", 0))


@attempt
def shut_file_system_down(event):
    """FS_IOC_SHUTDOWN with a flag that does not exist: root is told so, others may not even ask."""
    import fcntl

    folder = os.open(event["scratch"], os.O_RDONLY)
    return fcntl.ioctl(folder, 0x8004587D, struct.pack("I", 99))


@attempt
def lock_much_memory(event):
    """64 MB that can never be given back to the host."""
    size = 64 << 20
    area = (ctypes.c_char * size)()
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.mlock(ctypes.byref(area), ctypes.c_size_t(size)) < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return libc.munlock(ctypes.byref(area), ctypes.c_size_t(size))


@attempt
def shared_memory(event):
    """System V shared memory outlives its maker, and is named by a number."""
    return call("shmget", 0x1A3BE27, 4096, 0o1600)


@attempt
def semaphores(event):
    return call("semget", 0x1A3BE27, 1, 0o1600)


@attempt
def messages(event):
    return call("msgget", 0x1A3BE27, 0o1600)


@attempt
def posix_messages(event):
    return call("mq_open", b"escape", os.O_CREAT | os.O_RDWR, 0o600, None)


@attempt
def posix_shared_memory(event):
    from multiprocessing.shared_memory import SharedMemory

    memory = SharedMemory(create=True, size=4096)
    memory.close()
    memory.unlink()
    return "made"
