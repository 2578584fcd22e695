"""What every attempt is made of: raw system calls, and an outcome that cannot be mistaken for another.

Lies beside the attempts in each package; the same files run on the host too, to show that they can succeed.
"""

import ctypes
import errno
import functools
import importlib
import json
import os
import platform
import signal
import socket

X86 = platform.machine() == "x86_64"
# Name: number on x86-64, number in the general table (arm64). Above 423 both are the same.
NUMBERS = {
    "acct": (163, 89),
    "add_key": (248, 217),
    "adjtimex": (159, 171),
    "bpf": (321, 280),
    "capset": (126, 91),
    "chroot": (161, 51),
    "clock_settime": (227, 112),
    "clone": (56, 220),
    "clone3": (435, 435),
    "delete_module": (176, 106),
    "fanotify_init": (300, 262),
    "finit_module": (313, 273),
    "fsmount": (432, 432),
    "fsopen": (430, 430),
    "init_module": (175, 105),
    "io_uring_setup": (425, 425),
    "ioperm": (173, None),
    "iopl": (172, None),
    "kcmp": (312, 272),
    "kexec_file_load": (320, 294),
    "kexec_load": (246, 104),
    "keyctl": (250, 219),
    "memfd_secret": (447, 447),
    "migrate_pages": (256, 238),
    "modify_ldt": (154, None),
    "mount": (165, 40),
    "mount_setattr": (442, 442),
    "mq_open": (240, 180),
    "msgget": (68, 186),
    "name_to_handle_at": (303, 264),
    "open_by_handle_at": (304, 265),
    "open_tree": (428, 428),
    "perf_event_open": (298, 241),
    "personality": (135, 92),
    "pidfd_getfd": (438, 438),
    "pidfd_open": (434, 434),
    "pivot_root": (155, 41),
    "prctl": (157, 167),
    "prlimit64": (302, 261),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "ptrace": (101, 117),
    "quotactl": (179, 60),
    "reboot": (169, 142),
    "request_key": (249, 218),
    "seccomp": (317, 277),
    "semget": (64, 190),
    "setdomainname": (171, 162),
    "setgroups": (116, 159),
    "sethostname": (170, 161),
    "setns": (308, 268),
    "settimeofday": (164, 170),
    "setxattr": (188, 5),
    "shmat": (30, 196),
    "shmget": (29, 194),
    "swapoff": (168, 225),
    "swapon": (167, 224),
    "syslog": (103, 116),
    "umount2": (166, 39),
    "unshare": (272, 97),
    "userfaultfd": (323, 282),
    "vhangup": (153, 58),
}
LIBC = ctypes.CDLL(None, use_errno=True)


class Refused(Exception):
    """A refusal that is no errno: what was looked for is not there."""


def call(name, *arguments):
    """A system call: its result, or OSError. `None` is a null pointer, bytes are a string."""
    number = NUMBERS[name][0 if X86 else 1]
    if number is None:
        raise Refused("not on this processor")
    LIBC.syscall.restype = ctypes.c_long
    ctypes.set_errno(0)
    result = LIBC.syscall(ctypes.c_long(number), *(_argument(value) for value in arguments))
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return result


def _argument(value):
    if value is None:
        return ctypes.c_void_p()
    if isinstance(value, int):
        return ctypes.c_long(value)
    if isinstance(value, bytes):
        return ctypes.c_char_p(value)
    return ctypes.byref(value)


def attempt(work):
    """Makes a handler of `work(event)`: whatever it returns is a success, an OSError or Refused tells why it failed.

    Any other exception is a mistake in the attempt itself, and goes through.
    """

    @functools.wraps(work)
    def handler(event, context=None):
        try:
            got = work(event)
        except Refused as refusal:
            return {"refused": str(refusal)}
        except OSError as error:
            return {"refused": name_of(error)}
        return {"succeeded": repr(got)[:500]}

    return handler


def dispatch(event, context=None):
    """Makes the attempt that the event names, in a child and a folder of its own: nothing of it is left for the next."""
    scratch = os.path.join(event["scratch"], context.aws_request_id)
    os.mkdir(scratch)
    return in_a_child(lambda: named(event["attempt"])({**event, "scratch": scratch}))


def in_a_child(make):
    """What an attempt that is made in a child says of itself, or `broken` with the child's end."""
    out, into = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(out)
        try:
            said = make()
        except BaseException as error:
            said = {"broken": repr(error)}
        os.write(into, json.dumps(said).encode())
        os._exit(0)
    os.close(into)
    with open(out, "rb") as pipe:
        said = pipe.read()
    status = os.waitpid(child, 0)[1]
    return json.loads(said) if said else {"broken": f"wait status {status}"}


def named(attempt):
    module, name = attempt.split(".")
    return getattr(importlib.import_module(module), name)


def name_of(error):
    if isinstance(error, socket.gaierror):
        return next(name for name in dir(socket) if name.startswith("EAI_") and getattr(socket, name) == error.errno)
    if error.errno is None:
        return type(error).__name__
    return errno.errorcode.get(error.errno, str(error.errno))


def in_child(work):
    """Runs `work` in a child and gives its wait status, so that its death is not ours."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            code = work() or 0
        finally:
            os._exit(code)
    return os.waitpid(child, 0)[1]


def died_of(status):
    """The name of the signal that ended a child; else it is no refusal that anybody expects."""
    if not os.WIFSIGNALED(status):
        raise Refused(f"exit status {os.waitstatus_to_exitcode(status)}")
    return signal.Signals(os.WTERMSIG(status)).name
