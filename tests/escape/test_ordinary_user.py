"""A cloud that an ordinary user runs: no attempt comes further there than under root.

What such a host cannot bound (memory) is not attempted here; docs/isolation.md says so.
"""

import json
import os
import shutil
import tempfile
from pathlib import Path

import pytest

import test_files
import test_kernel
import test_network
import test_proc
import test_processes
from cloud import Cloud, binary
from conftest import NAMESPACES, SECRET_OF_THE_HOST, SETTINGS, answer_of, attempts_package, fill
from end_to_end import make_role

USER = 65534
TABLES = {
    "reading files": test_files.READING,
    "writing files": test_files.WRITING,
    "devices": test_files.DEVICES,
    "processes": test_processes.CASES,
    "unknown calls": test_kernel.UNKNOWN,
    "namespaces": test_kernel.NAMESPACES,
    "known calls": test_kernel.KNOWN,
    "writing to proc": test_proc.WRITING,
    "reading proc": test_proc.READING,
    "the network": [*test_network.OUTSIDE, *test_network.OTHER],
    "sockets": [*test_network.FAMILIES, *test_network.OPTIONS],
}


# Process 1 is the same user's. The kernel keeps it from signals of its own namespace, as the attempts show that are made
# in the same environment afterwards; and its limits are nobody else's.
HARMLESS = {"signal process 1", "kill process 1", "limits of process 1"}


@pytest.fixture(scope="module")
def users_cloud():
    """A cloud whose process, data and program are the user's."""
    if os.geteuid() != 0:
        pytest.skip("the suite's own cloud is an ordinary user's already")
    folder = Path(tempfile.mkdtemp(prefix="lambent-escape-"))
    shutil.copy(binary(), folder / "lambent.program")
    program = folder / "lambent"
    program.write_text(f'#!/bin/sh\nexec setpriv --reuid={USER} --regid={USER} --clear-groups "$0.program" "$@"\n')
    program.chmod(0o755)
    os.chown(folder, USER, USER)
    cloud = Cloud(folder, with_runtimes=False)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LAMBENT_BIN", str(program))
        patch.setenv("HOME", str(folder))
        cloud.start("--allow-weak-isolation")
    yield cloud
    cloud.close()
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def users_host(users_cloud):
    secret = users_cloud.folder / "secret"
    secret.write_text(SECRET_OF_THE_HOST)
    secret.chmod(0o644)
    return {
        "secret": str(secret),
        "data": str(users_cloud.data),
        "key": str(users_cloud.data / "master-key"),
        "pid": users_cloud.process.pid,
        "uid": USER,
        "scratch": "/tmp",
        "namespaces": {name: os.readlink(f"/proc/{users_cloud.process.pid}/ns/{name}") for name in NAMESPACES},
    }


@pytest.fixture(scope="module")
def ask(users_cloud):
    client = users_cloud.client("lambda")
    role = make_role(users_cloud.client("iam"), "function-role", [{"Effect": "Allow", "Action": "*", "Resource": "*"}])
    settings = {"Runtime": "python3.13", "Handler": "raw.dispatch", "Role": role, **SETTINGS}
    client.create_function(FunctionName="attempts", Code={"ZipFile": attempts_package()}, **settings)
    client.get_waiter("function_active_v2").wait(FunctionName="attempts", WaiterConfig={"Delay": 0.02})
    return lambda event: answer_of(client.invoke(FunctionName="attempts", Payload=json.dumps(event)))


def test_its_user_is_the_daemons(users_cloud):
    """The control: the cloud does not run as root."""
    status = Path(f"/proc/{users_cloud.process.pid}/status").read_text()
    assert f"Uid:\t{USER}\t{USER}\t{USER}\t{USER}\n" in status


@pytest.mark.parametrize("table", TABLES)
def test_attempts(ask, users_host, table):
    further = {}
    for case in TABLES[table]:
        if case.alone:
            continue
        got = ask({**users_host, **fill(case.event, users_host), "attempt": case.attempt})
        if got.get("refused") not in case.reasons and str(case) not in HARMLESS:
            further[str(case)] = got
    assert not further


@pytest.mark.parametrize("what", [case for case in test_proc.OWN if case.attempt != "proc.host_user"], ids=str)
def test_what_it_is(ask, users_host, what):
    """Namespaces, privileges and filters as under root."""
    got = ask({**users_host, **what.event, "attempt": what.attempt})
    assert got.get("refused") in what.reasons, got


def test_whose_it_is(ask, users_cloud, users_host):
    """Only the user outside is the daemon's, for every process that it started."""
    ask({**users_host, "attempt": "files.list_folder", "path": "/"})
    users = [users_of(pid) for pid in descendants(users_cloud.process.pid)]
    assert len(users) >= 2 and set(users) == {f"{USER} {USER} {USER} {USER}"}, users


def users_of(pid):
    status = Path(f"/proc/{pid}/status").read_text()
    return next(" ".join(line.split()[1:]) for line in status.splitlines() if line.startswith("Uid:"))


def descendants(pid):
    children = Path(f"/proc/{pid}/task").glob("*/children")
    direct = [int(child) for task in children for child in task.read_text().split()]
    return [*direct, *(found for child in direct for found in descendants(child))]
