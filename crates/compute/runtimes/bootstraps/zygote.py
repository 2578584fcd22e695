"""Forks Python runtimes: an interpreter that has loaded what most functions load, and no function's code.

Standard input is a socket of packets to the platform. The first packet tells the bounds of all children; each further one
asks for a child, and descriptors come beside it: the environment's first process, its user namespace, its report socket,
its output pipe, its landlock rules if there are any, the control group files to join, and, for one that shall become a
snapshot of its function, the socket where it will be told to fork. A child enters the environment, gives up every
privilege, and goes on as a bootstrap that waits for its function.
"""

import array
import ctypes
import gc
import json
import os
import resource
import select
import signal
import socket
import struct
import sys

import bootstrap
import snapshot

# Of the kernel's headers: linux/sched.h, linux/prctl.h, linux/seccomp.h, linux/capability.h, linux/securebits.h.
CLONE_NEWNS = 0x00020000
CLONE_NEWCGROUP = 0x02000000
CLONE_NEWUTS = 0x04000000
CLONE_NEWIPC = 0x08000000
CLONE_NEWUSER = 0x10000000
CLONE_NEWPID = 0x20000000
CLONE_NEWNET = 0x40000000
PR_SET_DUMPABLE = 4
PR_SET_SECCOMP = 22
PR_CAPBSET_DROP = 24
PR_SET_SECUREBITS = 28
PR_SET_NO_NEW_PRIVS = 38
SECCOMP_MODE_FILTER = 2
CAPABILITY_VERSION_3 = 0x20080522
# User 0 is nobody special, for good: NOROOT and NO_SETUID_FIXUP, each locked.
SECURE_BITS = 0b1111
MAX_CAPABILITIES = 64
SYS_LANDLOCK_RESTRICT_SELF = 446
SYS_CLOSE_RANGE = 436
ALL_FDS = 0xFFFFFFFF

MAX_PACKET = 128 * 1024
MAX_FDS = 16
# Standard output, standard error, and the descriptor for framed log events.
OUTPUTS = (1, 2, 3)
# What functions import most and what takes longest, in steps short enough that a request need not wait: each brings in
# what the next one is made of.
PRELOADED = (
    "random",
    "base64",
    "hashlib",
    "datetime",
    "decimal",
    "uuid",
    "urllib.parse",
    "logging.handlers",
    "http.client",
    "urllib.request",
    "ssl",
    "concurrent.futures",
    "urllib3",
    "dateutil.parser",
    "botocore.compat",
    "botocore.utils",
    "botocore.signers",
    "botocore.credentials",
    "botocore.handlers",
    "botocore.client",
    "botocore.session",
    "boto3",
)

# The size of the largest hole that is looked for: the C library maps larger blocks by themselves.
LARGEST_BLOCK = 64 * 1024
SMALLEST_BLOCK = 24

# Calls keep the interpreter's lock: a child begins with it held.
libc = ctypes.PyDLL(None, use_errno=True)


class Filter:
    """The system call filter as the kernel takes it; its memory lives as long as this."""

    def __init__(self, steps):
        self.program = b"".join(struct.pack("=HBBI", *step) for step in steps)
        self.buffer = ctypes.create_string_buffer(self.program)
        self.header = ctypes.create_string_buffer(struct.pack("@HP", len(steps), ctypes.addressof(self.buffer)))

    def apply(self):
        call("prctl", PR_SET_SECCOMP, SECCOMP_MODE_FILTER, ctypes.byref(self.header), 0, 0)


def call(name, *args):
    """A C function that returns -1 when it fails."""
    words = [ctypes.c_ulong(arg) if isinstance(arg, int) else arg for arg in args]
    if getattr(libc, name)(*words) == -1:
        number = ctypes.get_errno()
        raise OSError(number, f"{name}: {os.strerror(number)}")


def receive(control):
    """(packet, descriptors); an empty packet when the platform is gone."""
    packet, beside, _, _ = control.recvmsg(MAX_PACKET, socket.CMSG_SPACE(MAX_FDS * 4), socket.MSG_CMSG_CLOEXEC)
    fds = array.array("i")
    for level, kind, data in beside:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            fds.frombytes(data[: len(data) - len(data) % fds.itemsize])
    return packet, list(fds)


def fork():
    """As os.fork, without setting up anew what threads may have left halfway. Here are none, and all that would cost a child
    some 70 pages of memory of its own. `renew` does what is left to do."""
    child = libc.fork()
    if child == -1:
        number = ctypes.get_errno()
        raise OSError(number, f"fork: {os.strerror(number)}")
    return child


def renew():
    """In a child: what must not be its siblings'."""
    if "random" in sys.modules:
        sys.modules["random"].seed()
    if "threading" in sys.modules:
        sys.modules["threading"].main_thread()._set_native_id()


class Statistics(ctypes.Structure):
    """The C library's struct mallinfo2."""

    _fields_ = [
        (name, ctypes.c_size_t)
        for name in (
            "arena",
            "ordblks",
            "smblks",
            "hblks",
            "hblkhd",
            "usmblks",
            "fsmblks",
            "uordblks",
            "fordblks",
            "keepcost",
        )
    ]


def fill_holes():
    """Takes all free memory between what is there, for good. A child would put its objects there, each on a page that it
    shares until then and has to copy; so they lie together, on new ones."""
    try:
        statistics, at_end = libc.mallinfo2, libc.sbrk
    except AttributeError:
        # Another C library.
        return
    statistics.restype = Statistics
    for function in (libc.malloc, at_end):
        function.restype = ctypes.c_void_p
    end = at_end(0) - statistics().keepcost
    size = LARGEST_BLOCK
    while size >= SMALLEST_BLOCK:
        while (place := libc.malloc(ctypes.c_size_t(size)) or end) < end:
            pass
        if place != end:
            libc.free(ctypes.c_void_p(place))
        size = size * 3 // 4


class Entrance:
    """What a child enters, taken from a request and the descriptors beside it."""

    def __init__(self, request, fds):
        self.fds = fds
        rest = iter(fds)
        self.init, self.user_namespace, self.report, self.output = (next(rest) for _ in range(4))
        self.fence = next(rest) if request["fence"] else None
        self.joins = [next(rest) for _ in range(request["joins"])]
        self.orders = next(rest) if request["snapshot"] else None


def enter(entrance, bounds, filter):
    """In the child: from root among the platform's own to a user with nothing but its environment."""
    os.setsid()
    for target in OUTPUTS:
        os.dup2(entrance.output, target)
    for group in entrance.joins:
        os.write(group, b"0")
    call("setns", entrance.init, CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWUTS | CLONE_NEWIPC)
    # After joining, so that the namespace's root is the environment's own group.
    call("unshare", CLONE_NEWCGROUP)
    for what, most in bounds["limits"]:
        resource.setrlimit(what, (most, most))
    if bounds["root"]:
        os.setgroups([])
    call("setns", entrance.user_namespace, CLONE_NEWUSER)
    call("prctl", PR_SET_SECUREBITS, SECURE_BITS, 0, 0, 0)
    os.setresgid(*[bounds["gid"]] * 3)
    os.setresuid(*[bounds["uid"]] * 3)
    give_up()
    # Nothing here is anybody's but the function's, who may look at itself in /proc as if it had been executed.
    call("prctl", PR_SET_DUMPABLE, 1, 0, 0, 0)
    os.umask(0o022)
    if entrance.fence is not None:
        call("syscall", SYS_LANDLOCK_RESTRICT_SELF, entrance.fence, 0)
    # Nothing of the zygote's goes along.
    first = OUTPUTS[-1] + 1
    if entrance.orders is not None:
        os.dup2(entrance.orders, first, inheritable=False)
        entrance.orders = first
        first += 1
    call("syscall", SYS_CLOSE_RANGE, first, ALL_FDS, 0)
    filter.apply()


def give_up():
    for capability in range(MAX_CAPABILITIES):
        if libc.prctl(PR_CAPBSET_DROP, ctypes.c_ulong(capability), 0, 0, 0) != 0:
            break
    header = ctypes.create_string_buffer(struct.pack("=Ii", CAPABILITY_VERSION_3, 0))
    # Effective, permitted and inheritable, each in two words.
    none = ctypes.create_string_buffer(struct.pack("=6I", *[0] * 6))
    call("capset", header, none)
    call("prctl", PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)


class Zygote:
    """Takes requests, forks, and tells how the children ended."""

    def __init__(self, control):
        self.control = control
        packet, _ = receive(control)
        self.bounds = json.loads(packet)
        self.filter = Filter(self.bounds["filter"])
        self.snapshot_filter = Filter(self.bounds["snapshot_filter"])
        # Each child costs a descriptor here.
        _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
        # Report sockets by the children's numbers.
        self.children = {}
        self.ended, wake = os.pipe()
        for end in (self.ended, wake):
            os.set_blocking(end, False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(wake, warn_on_full_buffer=False)

    def serve(self):
        # Whoever asks before everything is loaded does without the rest.
        for name in PRELOADED:
            while self.serve_one(timeout=0):
                pass
            preload(name)
            bootstrap.note_modules_ahead()
        # What is here is here for good: children need not look at it, and so share its memory.
        gc.collect()
        fill_holes()
        gc.freeze()
        while True:
            self.serve_one(timeout=None)

    def serve_one(self, timeout):
        """Whether there was something to do."""
        readable, _, _ = select.select([self.control, self.ended], [], [], timeout)
        if self.ended in readable:
            os.read(self.ended, 4096)
            self.reap()
        if self.control in readable:
            packet, fds = receive(self.control)
            if not packet:
                os._exit(0)
            self.answer(json.loads(packet), fds)
        return bool(readable)

    def answer(self, request, fds):
        report, child = None, None
        try:
            entrance = Entrance(request, fds)
            report = os.dup(entrance.report)
            call("setns", entrance.init, CLONE_NEWPID)
            child = fork()
        except Exception as error:
            reply, beside = {"Err": f"fork the runtime: {error!r}"}, []
            if report is not None:
                os.close(report)
        else:
            if child == 0:
                self.become_runtime(entrance)
            self.children[child] = report
            reply, beside = {"Ok": None}, [] if entrance.orders is None else [os.pidfd_open(child)]
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", beside))] if beside else []
        self.control.sendmsg([json.dumps(reply).encode()], rights)
        for fd in (*fds, *beside):
            os.close(fd)

    def become_runtime(self, entrance):
        try:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            renew()
            filter = self.filter if entrance.orders is None else self.snapshot_filter
            enter(entrance, self.bounds, filter)
        except BaseException as error:
            report = {"Failed": {"detail": f"enter its environment: {error}"}}
            socket.socket(fileno=entrance.report).send(json.dumps(report).encode())
            os._exit(1)
        try:
            own = entrance.orders and snapshot.Snapshot(entrance.orders, self.bounds["uid"], self.bounds["gid"])
            bootstrap.main(own)
        except SystemExit as end:
            code = end.code
            end_with(code if isinstance(code, int) else 0 if code is None else 1)
        except BaseException:
            sys.excepthook(*sys.exc_info())
            end_with(1)
        end_with(0)

    def reap(self):
        while self.children:
            try:
                child, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if child == 0:
                return
            report = self.children.pop(child, None)
            if report is None:
                continue
            killed = os.WIFSIGNALED(status)
            ended = {"Signal": os.WTERMSIG(status)} if killed else {"Code": os.WEXITSTATUS(status)}
            with socket.socket(fileno=report) as report:
                try:
                    report.send(json.dumps({"Exited": ended}).encode())
                except OSError:
                    # The platform has given the environment up.
                    pass


def end_with(code):
    """What the interpreter does at its end, in a child that must not run the rest of this file."""
    import atexit
    import threading

    try:
        threading._shutdown()
        atexit._run_exitfuncs()
        sys.stdout.flush()
        sys.stderr.flush()
    finally:
        os._exit(code & 0xFF)


def preload(name):
    from importlib import import_module

    try:
        import_module(name)
    except ImportError:
        # Installed or not is the operator's choice.
        pass


def main():
    zygote = Zygote(socket.socket(fileno=os.dup(0)))
    null = os.open("/dev/null", os.O_RDWR)
    os.dup2(null, 0)
    os.close(null)
    bootstrap.set_up()
    zygote.serve()


main()
