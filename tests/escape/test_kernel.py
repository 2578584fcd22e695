"""System calls that no function needs: the filter does not know them, and so the kernel seems not to have them."""

import pytest

from cases import INSIDE, Case, by_name

NEW = {
    "a user namespace": 0x10000000,
    "a mount namespace": 0x00020000,
    "a network namespace": 0x40000000,
    "a process namespace": 0x20000000,
    "an ipc namespace": 0x08000000,
    "a cgroup namespace": 0x02000000,
}

# By name: what root is told on the host, where it is not success.
CALLS = {
    "acct": "ENOENT",
    "add_key": "succeeds",
    "adjtimex": "succeeds",
    "bind_mount": "succeeds",
    "bpf": "succeeds",
    "capset": "succeeds",
    "clock_settime": "EFAULT",
    "clone3": "succeeds",
    "delete_module": "ENOENT",
    "fanotify_init": "succeeds",
    "finit_module": "EBADF",
    "init_module": ("ENOEXEC", "EFAULT"),
    "io_uring_setup": "succeeds",
    "ioperm": "succeeds",
    "iopl": "succeeds",
    "kexec_file_load": "EBADF",
    "kexec_load": "succeeds",
    "keyctl": "succeeds",
    "memfd_secret": "succeeds",
    "messages": "succeeds",
    "migrate_pages": "succeeds",
    "modify_ldt": "succeeds",
    "mount": "succeeds",
    "mount_setattr": "succeeds",
    "new_mount_calls": "succeeds",
    "open_tree": "succeeds",
    "perf_event_open": "succeeds",
    "personality": "succeeds",
    "posix_messages": "succeeds",
    "quotactl": "succeeds",
    "reboot": "EINVAL",
    "remount_writable": "succeeds",
    "request_key": "ENOKEY",
    "seccomp": "succeeds",
    "semaphores": "succeeds",
    "setdomainname": "succeeds",
    "sethostname": "succeeds",
    "setns": "succeeds",
    "settimeofday": "succeeds",
    "shared_memory": "succeeds",
    "swapoff": "ENOENT",
    "swapon": "ENOENT",
    "syslog": "succeeds",
    "umount": "EINVAL",
    "userfaultfd": "succeeds",
    "vhangup": "succeeds",
}

UNKNOWN = [
    Case(f"kernel.{name}", ("ENOSYS", "not on this processor"), host=host, event={"mounted": "/"}, name=name)
    for name, host in CALLS.items()
]
NAMESPACES = [
    Case(f"kernel.{call}", "ENOSYS", event={"flags": flags}, name=f"{call} {what}")
    for what, flags in NEW.items()
    for call in ("unshare", "clone")
]
# Calls that functions need, with arguments that they do not.
KNOWN = [
    Case("kernel.ambient_capability", "EPERM"),
    Case("kernel.forget_no_new_privileges", "EINVAL", host=INSIDE),
    Case("kernel.forget_the_filter", "EINVAL", host=INSIDE),
    Case("kernel.change_own_memory_map", "ENOSYS", host=("succeeds", "EBUSY")),
    Case("kernel.freeze_file_system", "EPERM", host=("succeeds", "ENOTSUP")),
    Case("kernel.immutable_file", ("EPERM", "ENOTSUP", "ENOTTY")),
    Case("kernel.shut_file_system_down", ("EPERM", "ENOTTY"), host=("EINVAL", "ENOTTY")),
    Case("kernel.lock_much_memory", ("ENOMEM", "EPERM")),
    Case("kernel.posix_shared_memory", "ENOENT"),
]


@pytest.mark.parametrize(**by_name(UNKNOWN))
def test_calls_that_are_unknown(refuses, case):
    refuses(case)


@pytest.mark.parametrize(**by_name(NAMESPACES))
def test_namespaces(refuses, case):
    refuses(case)


@pytest.mark.parametrize(**by_name(KNOWN))
def test_calls_that_are_known(refuses, case):
    refuses(case)
