"""What /proc tells of the host, and what could be set there."""

import pytest

from cases import HARMS, Case, by_name

FIXED = ("EROFS", "EACCES", "ENOENT")
SETTINGS = (
    "kernel/core_pattern",
    "kernel/hostname",
    "kernel/modprobe",
    "kernel/ns_last_pid",
    "kernel/randomize_va_space",
    "kernel/sched_rt_runtime_us",
    "kernel/yama/ptrace_scope",
    "net/ipv4/ip_forward",
    "vm/drop_caches",
    "vm/overcommit_memory",
    "fs/suid_dumpable",
)
# Some are not in every kernel, and some can only be written to.
FOUND = ("succeeds", "ENOENT", "EACCES", "EPERM", "EINVAL", "EIO")

WRITING = [
    *(
        Case("proc.open_to_write", FIXED, host=FOUND, event={"path": f"/proc/sys/{name}"}, name=f"write {name}")
        for name in SETTINGS
    ),
    Case("proc.open_to_write", FIXED, host=FOUND, event={"path": "/proc/sysrq-trigger"}, name="write sysrq-trigger"),
    Case(
        "proc.write",
        FIXED,
        host=("succeeds", "EACCES"),
        event={"path": "/proc/self/oom_score_adj", "value": "-1000"},
        name="lower its oom_score_adj",
    ),
    Case("proc.write", FIXED, host=HARMS, event={"path": "/proc/self/uid_map", "value": "0 0 1"}, name="map another user"),
    Case("proc.write", FIXED, host=HARMS, event={"path": "/proc/self/setgroups", "value": "allow"}, name="allow groups"),
    Case("proc.write", FIXED, event={"path": "/proc/self/coredump_filter", "value": "0xff"}, name="dump more"),
    Case("proc.write", FIXED, host=("succeeds", "EPERM"), event={"path": "/proc/self/loginuid", "value": "0"}, name="another login"),
    Case("proc.open_to_write", FIXED, event={"path": "/proc/1/oom_score_adj"}, name="process 1's oom_score_adj"),
    Case("proc.write", FIXED, event={"path": "/sys/fs/cgroup/memory/memory.limit_in_bytes"}, host=HARMS, name="its own limit, v1"),
    Case("proc.write", FIXED, event={"path": "/sys/fs/cgroup/memory.max"}, host=HARMS, name="its own limit, v2"),
    Case("proc.open_to_write", FIXED, host=FOUND, event={"path": "/sys/kernel/uevent_helper"}, name="a program for the kernel"),
    Case("proc.open_to_write", FIXED, host=FOUND, event={"path": "/sys/power/state"}, name="put the host to sleep"),
    Case("proc.leave_control_group", "none is mounted"),
]

HIDDEN = ("empty", "ENOENT", "EACCES", "EPERM")
READING = [
    *(
        Case("proc.read", HIDDEN, host=(*FOUND, "EAGAIN", "empty"), event={"path": f"/proc/{name}"}, name=f"read {name}")
        for name in ("kcore", "kallsyms", "kmsg", "keys", "cmdline", "config.gz", "modules", "timer_list", "vmallocinfo")
        + ("diskstats", "interrupts", "partitions", "locks", "sched_debug", "slabinfo", "1/maps", "1/cmdline", "1/stack")
    ),
    *(
        Case("proc.list_folder", HIDDEN, host=("succeeds", "ENOENT", "empty"), event={"path": f"/proc/{name}"}, name=f"list {name}")
        for name in ("acpi", "bus", "driver", "fs", "irq", "scsi", "tty")
    ),
    Case("proc.host_control_groups", "its own is the root", host=("succeeds", "its own is the root")),
]

OWN = [
    Case("proc.privileges", "none is left"),
    Case("proc.host_namespaces", "shares none"),
    Case("proc.root_in_its_namespace", "0 is nobody"),
    Case("proc.host_user", "nobody's", event={"least": 1_000_000_000}),
]


@pytest.mark.parametrize(**by_name(WRITING))
def test_writing(refuses, case):
    refuses(case)


@pytest.mark.parametrize(**by_name(READING))
def test_reading(refuses, case):
    refuses(case)


@pytest.mark.parametrize(**by_name(OWN))
def test_what_it_is(refuses, case):
    refuses(case)
