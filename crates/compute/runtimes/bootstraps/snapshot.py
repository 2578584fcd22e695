"""Forks environments of one function from a process that has loaded it (SnapStart).

The process may fork into new namespaces only while the platform traces it and has told it to. The child is traced until it
has given up every privilege, and may make no other system calls than `give_up` needs until then. Nothing here protects
anyone: by now the function's code has run in this process.
"""

import array
import ctypes
import gc
import os
import signal
import socket
import struct
import sys

# Of the kernel's headers: linux/sched.h, linux/prctl.h, linux/capability.h, linux/securebits.h.
FORK_FLAGS = (
    0x00020000  # CLONE_NEWNS
    | 0x02000000  # CLONE_NEWCGROUP
    | 0x04000000  # CLONE_NEWUTS
    | 0x08000000  # CLONE_NEWIPC
    | 0x10000000  # CLONE_NEWUSER
    | 0x20000000  # CLONE_NEWPID
    | 0x40000000  # CLONE_NEWNET
    | 0x00200000  # CLONE_CHILD_CLEARTID
    | 0x01000000  # CLONE_CHILD_SETTID
    | signal.SIGCHLD
)
PR_SET_SECUREBITS = 28
PR_GET_TID_ADDRESS = 40
SECURE_BITS = 0b1111
CAPABILITY_VERSION_3 = 0x20080522
SYS_LANDLOCK_RESTRICT_SELF = 446
# By machine: the numbers of clone and capset, and where clone takes the address of the thread's number.
SYS_CLONE, SYS_CAPSET, TID_AT = (220, 91, 4) if os.uname().machine == "aarch64" else (56, 126, 3)

OUTPUTS = (1, 2, 3)
MAX_FDS = 2
HOOKS = "snapshot_restore_py"

# Calls keep the interpreter's lock: a child begins with it held, as after os.fork.
libc = ctypes.PyDLL(None, use_errno=True)
python = ctypes.pythonapi


class Snapshot:
    def __init__(self, orders, uid, gid):
        self.orders = socket.socket(fileno=orders)
        # The platform's sockets wait for seconds only; this one waits for orders as long as it takes.
        self.orders.settimeout(None)
        self.uid = uid
        self.gid = gid
        # Descriptors that each child needs anew: (number, path, flags, position), and sockets.
        self.files = []
        self.sockets = []

    def run_before_hooks(self):
        hooks = sys.modules.get(HOOKS)
        if hooks is not None:
            registered = hooks.get_before_snapshot()
            while registered:
                function, args, kwargs = registered.pop()
                function(*args, **kwargs)

    def run_after_hooks(self):
        hooks = sys.modules.get(HOOKS)
        if hooks is not None:
            for function, args, kwargs in hooks.get_after_restore():
                function(*args, **kwargs)

    def find_obstacle(self, connection):
        """Why this process cannot be forked, if it cannot. Notes what its children must renew."""
        if len(os.listdir("/proc/self/task")) > 1:
            return "the function has started threads"
        if os.listdir("/tmp"):
            return "the function has left files in /tmp"
        known = {0, *OUTPUTS, self.orders.fileno(), connection}
        for fd in sorted(int(name) for name in os.listdir("/proc/self/fd")):
            if fd in known:
                continue
            try:
                path = os.readlink(f"/proc/self/fd/{fd}")
            except FileNotFoundError:
                # The one by which the folder was read.
                continue
            if path.startswith("socket:"):
                if not is_of_network(fd):
                    return "the function holds a local socket"
                self.sockets.append(fd)
            elif path.startswith("/") and os.path.exists(path):
                self.files.append((fd, path))
            else:
                return f"the function holds {path}"
        return None

    def fork_for_ever(self, connection):
        """Forks when it is told to; comes back in the children."""
        gc.collect()
        # What is here is here for good: children need not look at it, and so share its memory.
        gc.freeze()
        tid = ctypes.c_void_p()
        libc.prctl(PR_GET_TID_ADDRESS, ctypes.byref(tid), 0, 0, 0)
        usual = signal.signal(signal.SIGCHLD, signal.SIG_IGN)
        while True:
            if self.orders.recv(64) != b"fork":
                os._exit(0)
            if fork(tid.value or 0, self.give_up) == 0:
                break
        signal.signal(signal.SIGCHLD, usual)
        self.orders.close()
        os.close(connection)
        self.renew()

    def give_up(self):
        """In a child: from whom the kernel takes for its user namespace's owner to a user without any privilege. Every
        call here must be one that the tracer lets through."""
        fds = array.array("i")
        _, beside, _, _ = self.orders.recvmsg(64, socket.CMSG_SPACE(MAX_FDS * 4), socket.MSG_CMSG_CLOEXEC)
        for _, _, data in beside:
            fds.frombytes(data)
        self.received = fds
        check(libc.prctl(PR_SET_SECUREBITS, SECURE_BITS, 0, 0, 0))
        os.setresgid(self.gid, self.gid, self.gid)
        os.setresuid(self.uid, self.uid, self.uid)
        if len(fds) > 1:
            check(libc.syscall(SYS_LANDLOCK_RESTRICT_SELF, fds[1], 0))
        header = ctypes.create_string_buffer(struct.pack("=Ii", CAPABILITY_VERSION_3, 0))
        # Effective, permitted and inheritable, each in two words.
        none = ctypes.create_string_buffer(struct.pack("=6I", *[0] * 6))
        check(libc.syscall(SYS_CAPSET, header, none))

    def renew(self):
        """In a child without privileges: what it shares with the snapshot and its other children becomes its own."""
        for target in OUTPUTS:
            os.dup2(self.received[0], target)
        for fd in self.received:
            os.close(fd)
        for fd, path in self.files:
            reopen(fd, path)
        if self.sockets:
            # Whoever uses them finds that the other side has gone.
            dead, other = socket.socketpair()
            other.close()
            for fd in self.sockets:
                os.dup2(dead.fileno(), fd, inheritable=False)
            dead.close()
        numpy = sys.modules.get("numpy")
        if "numpy.random" in sys.modules:
            numpy.random.seed()


def fork(tid, in_child):
    """As os.fork, but with namespaces; `in_child` is called before anything else is."""
    collects = gc.isenabled()
    gc.disable()
    python.PyOS_BeforeFork()
    args = [FORK_FLAGS, 0, 0, 0, 0]
    args[TID_AT] = tid
    child = libc.syscall(*map(ctypes.c_long, (SYS_CLONE, *args)))
    if child == 0:
        try:
            in_child()
        except BaseException:
            os._exit(70)
        python.PyOS_AfterFork_Child()
    else:
        python.PyOS_AfterFork_Parent()
    if collects:
        gc.enable()
    return child


def check(result):
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def is_of_network(fd):
    with socket.socket(fileno=os.dup(fd)) as one:
        return one.family in (socket.AF_INET, socket.AF_INET6)


def reopen(fd, path):
    import fcntl

    flags = fcntl.fcntl(fd, fcntl.F_GETFL) & ~(os.O_CREAT | os.O_TRUNC | os.O_EXCL)
    inheritable = os.get_inheritable(fd)
    try:
        position = os.lseek(fd, 0, os.SEEK_CUR)
    except OSError:
        position = None
    new = os.open(path, flags | os.O_CLOEXEC)
    if position:
        os.lseek(new, position, os.SEEK_SET)
    os.dup2(new, fd, inheritable=inheritable)
    os.close(new)
