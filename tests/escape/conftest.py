"""The escape suite stands on the end-to-end suite's cloud; see README.md."""

import functools
import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent / "e2e"))


def end_to_end_fixtures():
    """The end-to-end suite's conftest under a name of its own, as this file is `conftest` here."""
    spec = importlib.util.spec_from_file_location("end_to_end", HERE.parent / "e2e" / "conftest.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules["end_to_end"] = module
    spec.loader.exec_module(module)
    return module


_shared = end_to_end_fixtures()
awslambda, deploy, iam, logs, role, s3, unique, nobody_is_disturbed = (
    getattr(_shared, name)
    for name in ("awslambda", "deploy", "iam", "logs", "role", "s3", "unique", "nobody_is_disturbed")
)

import packages  # noqa: E402
from cloud import Cloud  # noqa: E402

from cases import DAEMON, HARMS, INSIDE  # noqa: E402

# One whole processor: whatever is attempted shall not be slow besides.
SETTINGS = {"MemorySize": 1769, "Timeout": 20}
SECRET_OF_THE_HOST = "secret-of-the-host"
NAMESPACES = ("user", "pid", "mnt", "net", "ipc", "uts", "cgroup")
# What root is told by a kernel that lacks the call, or by a host that has taken this power from it.
LACKING = ("ENOSYS", "EPERM", "ENOTSUP")
# Attempts whose control found that this host does not let its own root do it either.
inconclusive = []
# Rows of the table of latencies: what ran, calls, p50, p99, longest.
latencies = []


@pytest.fixture(scope="session")
def cloud(tmp_path_factory):
    """The one cloud of this suite. It logs why it refused a package, which callers are not told."""
    cloud = Cloud(tmp_path_factory.mktemp("cloud"))
    cloud.start(LAMBENT_LOG="warn,lambent_lambda=info")
    yield cloud
    alive = cloud.process.poll() is None
    cloud.close()
    assert alive, f"lambent ended by itself\n{cloud.tail()}"


@functools.cache
def attempts_package():
    files = {path.name: path.read_bytes() for path in sorted((HERE / "attempts").iterdir()) if path.is_file()}
    return packages.package(files)


@pytest.fixture
def attempt(awslambda, deploy):
    """Deploys one attempt as a function of its own, calls it, gives what it says of itself."""

    def attempt(name, event, **settings):
        function = deploy(attempts_package(), Handler=name, **{**SETTINGS, **settings})
        return answer_of(awslambda.invoke(FunctionName=function, Payload=json.dumps(event)))

    return attempt


@pytest.fixture(scope="session")
def attempt_in_turn(awslambda, role):
    """Makes attempts one after the other in one function, each in a process of its own there: that is much faster."""
    name = "attempts-in-turn"
    awslambda.create_function(
        FunctionName=name,
        Code={"ZipFile": attempts_package()},
        Runtime="python3.13",
        Handler="raw.dispatch",
        Role=role,
        **SETTINGS,
    )
    awslambda.get_waiter("function_active_v2").wait(FunctionName=name, WaiterConfig={"Delay": 0.02})

    def attempt(which, event):
        said = answer_of(awslambda.invoke(FunctionName=name, Payload=json.dumps({**event, "attempt": which})))
        assert "broken" not in said, f"{which} itself is broken: {said}"
        return said

    yield attempt
    awslambda.delete_function(FunctionName=name)


def answer_of(answer):
    value = json.loads(answer["Payload"].read() or b"null")
    assert "FunctionError" not in answer, f"the attempt itself is broken: {value}"
    return value


@pytest.fixture(scope="session")
def host(cloud, tmp_path_factory):
    """What attempts are told about the host: all that an intruder could wish to know."""
    folder = tmp_path_factory.mktemp("host")
    os.chmod(folder, 0o755)
    secret = folder / "secret"
    secret.write_text(SECRET_OF_THE_HOST)
    os.chmod(secret, 0o644)
    return {
        "secret": str(secret),
        "data": str(cloud.data),
        "key": str(cloud.data / "master-key"),
        "pid": cloud.process.pid,
        "uid": 0,
        "scratch": "/tmp",
        "namespaces": {name: os.readlink(f"/proc/{cloud.process.pid}/ns/{name}") for name in NAMESPACES},
    }


@pytest.fixture
def refuses(attempt, attempt_in_turn, host, control, tmp_path):
    """Makes an attempt inside, where it must be refused for the expected reason, and on the host, where it must not."""

    def refuses(case):
        event = {**host, **fill(case.event, host)}
        got = (attempt if case.alone else attempt_in_turn)(case.attempt, event)
        if got.get("refused") not in case.reasons:
            pytest.fail(f"{case} inside: expected {case.reasons}, got {got}", pytrace=False)
        if case.host in (HARMS, INSIDE) or os.geteuid() != 0:
            return
        event |= {"scratch": str(tmp_path), **fill(case.host_event, {**host, "scratch": str(tmp_path)})}
        came = control(case.attempt, event)
        outcome = "succeeds" if "succeeded" in came else came["refused"]
        if outcome in LACKING and outcome not in case.host_reasons:
            inconclusive.append((str(case), outcome))
            return
        if outcome not in case.host_reasons:
            pytest.fail(f"{case} on the host: expected {case.host_reasons}, got {came}", pytrace=False)

    return refuses


def fill(event, facts):
    """Replaces `{name}` in texts, and the daemon's name where a process is asked for, by what is known of the host."""
    known = {key: value.format(**facts) if isinstance(value, str) else value for key, value in event.items()}
    if known.get("pid") == DAEMON:
        known["pid"] = facts["pid"]
    return known


@pytest.fixture(scope="session")
def control():
    """Makes the same attempt as the host's own root."""
    server = subprocess.Popen(
        [sys.executable, str(HERE / "control.py")], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
    )

    def control(attempt, event):
        server.stdin.write(json.dumps({"attempt": attempt, "event": event}) + "\n")
        came = json.loads(server.stdout.readline())
        assert "broken" not in came, f"{attempt} on the host: {came}"
        return came

    yield control
    server.stdin.close()
    server.wait(10)


def pytest_terminal_summary(terminalreporter):
    write = terminalreporter.write_line
    if latencies:
        write("calls of a neighbour meanwhile (ms)")
        write(f"  {'':<28}{'calls':>7}{'p50':>9}{'p99':>9}{'longest':>9}")
        for what, count, p50, p99, longest in latencies:
            write(f"  {what:<28}{count:>7}{p50:>9.2f}{p99:>9.2f}{longest:>9.2f}")
    if inconclusive:
        write("refused to this host's own root, too: " + ", ".join(f"{name} ({why})" for name, why in inconclusive))
    if os.geteuid() != 0:
        write("without root, attempts were not made on the host for comparison")
