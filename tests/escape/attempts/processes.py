"""Seeing, signalling, tracing and outranking processes that are not the function's."""

import ctypes
import ctypes.util
import mmap
import os
import resource
import shutil
import signal
import socket
import struct
import subprocess
import sys
import time

from raw import Refused, X86, attempt, call, died_of, in_child

PTRACE_TRACEME, PTRACE_ATTACH, PTRACE_SEIZE = 0, 16, 0x4206
RLIMIT_NOFILE, RLIMIT_CORE = 7, 4


def own_processes():
    """This one and its descendants, as far as /proc tells; process 1 is ours too where it is shown."""
    return {1, os.getpid(), os.getppid()}


@attempt
def see(event):
    """Any process in /proc that is not this runtime or its init."""
    child = subprocess.Popen(["sleep", "10"])
    shown = {int(name) for name in os.listdir("/proc") if name.isdigit()}
    child.kill()
    child.wait()
    assert child.pid in shown, "a process that is there would be seen"
    strangers = shown - own_processes() - {child.pid}
    if not strangers:
        raise Refused("none but its own")
    return sorted(strangers)


@attempt
def feel(event):
    """Processes that /proc hides answer to signal 0 all the same: EPERM means that there is one."""
    child = subprocess.Popen(["sleep", "10"])
    felt = {pid for pid in range(1, 70_000) if exists(pid)}
    child.kill()
    child.wait()
    assert child.pid in felt, "a process that is there would be felt"
    strangers = felt - own_processes() - {child.pid}
    if not strangers:
        raise Refused("none but its own")
    return sorted(strangers)[:20]


def exists(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


@attempt
def signal_one(event):
    return os.kill(event["pid"], event.get("signal", 0))


@attempt
def signal_group(event):
    return os.killpg(event["pid"], 0)


@attempt
def signal_by_descriptor(event):
    return call("pidfd_open", event["pid"], 0)


@attempt
def signal_everybody(event):
    """Kills all that it may; a child of its own must be among them, else nothing was tried."""
    child = os.fork()
    if child == 0:
        time.sleep(30)
        os._exit(0)
    os.kill(-1, signal.SIGKILL)
    assert died_of(os.waitpid(child, 0)[1]) == "SIGKILL"
    os.kill(-1, signal.SIGKILL)
    return "somebody is left who may be killed"


@attempt
def trace(event):
    return call("ptrace", PTRACE_SEIZE, event["pid"], 0, 0)


@attempt
def be_traced(event):
    """Even among its own: a tracer could change system calls after the filter has seen them."""
    status = in_child(lambda: 0 if call("ptrace", PTRACE_TRACEME, 0, 0, 0) == 0 else 1)
    if status != 0:
        return refusal_of(lambda: call("ptrace", PTRACE_TRACEME, 0, 0, 0))
    return "traced"


def refusal_of(work):
    """Tries again in this process, where the refusal can be told."""
    return work()


@attempt
def read_memory(event):
    return vm_call("process_vm_readv", event["pid"])


@attempt
def write_memory(event):
    return vm_call("process_vm_writev", event["pid"])


class Piece(ctypes.Structure):
    _fields_ = [("base", ctypes.c_void_p), ("length", ctypes.c_size_t)]


def vm_call(name, pid):
    """No bytes, so that it harms nobody where it is allowed."""
    buffer = ctypes.create_string_buffer(8)
    local = Piece(ctypes.addressof(buffer), 0)
    return call(name, pid, local, 1, local, 1, 0)


@attempt
def take_descriptor(event):
    """Another's open file, by number."""
    try:
        other = call("pidfd_open", event["pid"], 0)
    except OSError:
        other = os.pidfd_open(os.getpid())
    return call("pidfd_getfd", other, 1, 0)


@attempt
def compare(event):
    """Tells addresses in the kernel apart."""
    return call("kcmp", os.getpid(), event["pid"], 1, 0, 0)


@attempt
def raise_priority(event):
    return os.setpriority(os.PRIO_PROCESS, 0, -5)


@attempt
def real_time(event):
    return os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(10))


@attempt
def more_descriptors(event):
    return raise_limit(RLIMIT_NOFILE)


@attempt
def more_core(event):
    return raise_limit(RLIMIT_CORE)


def raise_limit(which):
    limit = (ctypes.c_uint64 * 2)(1 << 30, 1 << 30)
    return call("prlimit64", 0, which, limit, None)


@attempt
def limit_another(event):
    """Taking another's limits away would stop it; here they are only read."""
    limit = (ctypes.c_uint64 * 2)()
    return call("prlimit64", event["pid"], RLIMIT_NOFILE, None, limit)


@attempt
def become(event):
    """Another user: root, or whoever."""
    return os.setresuid(event["uid"], event["uid"], event["uid"])


@attempt
def become_group(event):
    return os.setresgid(event["uid"], event["uid"], event["uid"])


@attempt
def join_groups(event):
    return os.setgroups([event["uid"]])


@attempt
def claim_to_be_root(event):
    """In a message that tells the receiver who sent it."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    theirs.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
    who = struct.pack("3i", 1, 0, 0)
    return ours.sendmsg([b"I am root"], [(socket.SOL_SOCKET, socket.SCM_CREDENTIALS, who)])


@attempt
def run_setuid_copy(event):
    """A copy of `id` that says set-uid, run by who is not its owner (in a function: its own)."""
    copy = os.path.join(event["scratch"], "id")
    shutil.copy("/usr/bin/id", copy)
    os.chmod(copy, 0o4755)
    if event.get("as_nobody"):
        os.chmod(event["scratch"], 0o755)
    prefix = ["setpriv", "--reuid=65534", "--clear-groups"] if event.get("as_nobody") else []
    told = subprocess.run([*prefix, copy, "-u"], capture_output=True, text=True, check=True).stdout.strip()
    if told == "0" or told != str(os.getuid()) and not event.get("as_nobody"):
        return told
    raise Refused("still itself")


@attempt
def run_setuid_of_the_host(event):
    """The host's own set-uid programs are in sight; they must not make anybody root."""
    found = [entry.path for entry in os.scandir("/usr/bin") if is_setuid(entry)]
    if not found:
        raise Refused("none is there")
    program = "/usr/bin/passwd" if "/usr/bin/passwd" in found else found[0]
    process = subprocess.Popen([program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    with open(f"/proc/{process.pid}/status") as status:
        users = next(line.split()[1:] for line in status if line.startswith("Uid:"))
    process.kill()
    process.communicate()
    if users == [str(os.getuid())] * 4:
        raise Refused("still itself")
    return users


def is_setuid(entry):
    return entry.is_file() and entry.stat().st_mode & 0o4000


@attempt
def file_capability(event):
    """A program in /tmp that brings capabilities of its own."""
    path = os.path.join(event["scratch"], "capable")
    with open(path, "w"):
        pass
    all_of_them = struct.pack("<IIIII", 0x02000001, 0xFFFFFFFF, 0, 0xFFFFFFFF, 0)
    return os.setxattr(path, "security.capability", all_of_them)


@attempt
def dump_core(event):
    """A crash must leave nothing behind, and start no program of the host's."""
    os.chdir(event["scratch"])
    try:
        resource.setrlimit(resource.RLIMIT_CORE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    except (ValueError, OSError):
        pass
    status = in_child(lambda: os.kill(os.getpid(), signal.SIGSEGV))
    assert died_of(status) == "SIGSEGV"
    left = [name for name in os.listdir(event["scratch"]) if "core" in name]
    if os.WCOREDUMP(status) or left:
        return left or "dumped"
    raise Refused("nothing was dumped")


@attempt
def old_system_calls(event):
    """A 64-bit program can make system calls of the 32-bit table, whose numbers mean others: `int 0x80`."""
    if not X86:
        raise Refused("not on this processor")
    # mov eax, 20 (getpid); int 0x80; ret
    code = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
    code.write(b"\xb8\x14\x00\x00\x00\xcd\x80\xc3")
    run = ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(code)))
    status = in_child(lambda: 0 if run() == os.getpid() else 1)
    if os.WIFSIGNALED(status):
        raise Refused(died_of(status))
    if status:
        raise Refused("no answer")
    return "answered"


@attempt
def x32_system_calls(event):
    """The x32 table has the 64-bit numbers plus a bit; a filter may forget it. This is `unshare`."""
    if not X86:
        raise Refused("not on this processor")
    from raw import LIBC

    ctypes.set_errno(0)
    if LIBC.syscall(ctypes.c_long(0x40000000 + 272), ctypes.c_long(0x10000000)) < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return "made"


@attempt
def push_input(event):
    """Types into a terminal that is shared with the host (TIOCSTI)."""
    import fcntl

    return fcntl.ioctl(0, 0x5412, b"x")


@attempt
def controlling_terminal(event):
    return os.open("/dev/tty", os.O_RDWR)
