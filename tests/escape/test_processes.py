"""Processes that are not the function's, and the powers of its own."""

import pytest

from cases import DAEMON, HARMS, INSIDE, Case, by_name

NO_CALL = "ENOSYS"
ABSENT = "ESRCH"

CASES = [
    Case("processes.see", "none but its own"),
    Case("processes.feel", "none but its own"),
    Case("processes.signal_one", "EPERM", host="succeeds", event={"pid": 1}, name="signal process 1"),
    Case("processes.signal_one", "EPERM", host=HARMS, event={"pid": 1, "signal": 9}, name="kill process 1"),
    Case("processes.signal_one", ABSENT, event={"pid": DAEMON}, name="signal the daemon"),
    Case("processes.signal_group", ABSENT, host=("succeeds", ABSENT), event={"pid": DAEMON}, name="signal the daemon's group"),
    Case("processes.signal_by_descriptor", ABSENT, event={"pid": DAEMON}, name="a descriptor of the daemon"),
    Case("processes.signal_everybody", (ABSENT, "EPERM"), host=INSIDE, alone=True),
    Case("processes.trace", NO_CALL, event={"pid": 1}, host_event={"pid": DAEMON}, name="trace process 1"),
    Case("processes.trace", NO_CALL, event={"pid": DAEMON}, name="trace the daemon"),
    Case("processes.be_traced", NO_CALL),
    Case("processes.read_memory", NO_CALL, event={"pid": 1}, name="read memory of process 1"),
    Case("processes.write_memory", NO_CALL, event={"pid": 1}, name="write memory of process 1"),
    Case("processes.take_descriptor", NO_CALL, event={"pid": 1}, name="take a descriptor of process 1"),
    Case("processes.compare", NO_CALL, event={"pid": 1}, name="compare with process 1"),
    Case("processes.limit_another", "EPERM", event={"pid": 1}, name="limits of process 1"),
    Case("processes.limit_another", ABSENT, event={"pid": DAEMON}, name="limits of the daemon"),
    Case("processes.raise_priority", "EACCES"),
    Case("processes.real_time", "EPERM"),
    Case("processes.more_descriptors", "EPERM"),
    Case("processes.more_core", "EPERM"),
    Case("processes.become", ("EPERM", "EINVAL"), event={"uid": 0}, name="become root"),
    Case("processes.become", ("EPERM", "EINVAL"), event={"uid": 1_800_000_003}, name="become a neighbour"),
    Case("processes.become", ("EPERM", "EINVAL"), event={"uid": 65534}, name="become nobody"),
    Case("processes.become_group", ("EPERM", "EINVAL"), event={"uid": 0}, name="become root's group"),
    Case("processes.join_groups", (NO_CALL, "EPERM"), event={"uid": 0}, name="join root's group"),
    Case("processes.claim_to_be_root", ("EPERM", "EINVAL")),
    Case("processes.run_setuid_copy", "still itself", host_event={"as_nobody": True}),
    Case("processes.run_setuid_of_the_host", ("still itself", "none is there"), host=INSIDE),
    Case("processes.file_capability", (NO_CALL, "EPERM")),
    Case("processes.dump_core", "nothing was dumped", host=("succeeds", "nothing was dumped")),
    Case("processes.old_system_calls", ("SIGSYS", "not on this processor"), host=("succeeds", "SIGSEGV")),
    Case("processes.x32_system_calls", (NO_CALL, "not on this processor")),
    Case("processes.push_input", ("ENOTTY", NO_CALL), host=("ENOTTY", "EIO", "ENXIO")),
    Case("processes.controlling_terminal", "ENOENT", host="ENXIO"),
]


@pytest.mark.parametrize(**by_name(CASES))
def test_processes(refuses, case):
    refuses(case)
