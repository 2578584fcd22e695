"""Functions that misbehave hurt nobody but themselves."""

import json
import os
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest

from cloud import eventually

MIB = 1024**2


def read(answer):
    return json.loads(answer["Payload"].read() or b"null")


@pytest.fixture
def bystander(awslambda, deploy):
    """Another function, called while the first one misbehaves."""
    name = deploy("def handler(event, context): return 'fine'")
    awslambda.invoke(FunctionName=name)

    def is_fine():
        assert awslambda.invoke(FunctionName=name)["Payload"].read() == b'"fine"'

    return is_fine


def while_it_runs(cloud, name, check):
    """Invokes the function and repeats the check until it has answered."""
    client = cloud.client("lambda")
    with ThreadPoolExecutor(1) as worker:
        running = worker.submit(lambda: client.invoke(FunctionName=name))
        checks = 0
        while not running.done():
            check()
            checks += 1
            time.sleep(0.05)
        assert checks > 0
        return running.result()


def test_one_that_never_returns(cloud, deploy, bystander):
    name = deploy("def handler(event, context):\n    while True: pass", Timeout=2)
    answer = while_it_runs(cloud, name, bystander)
    assert read(answer)["errorType"] == "Sandbox.Timedout"


def test_one_that_ignores_signals(cloud, deploy, bystander):
    code = """
        import signal, time
        def handler(event, context):
            for number in set(signal.Signals) - {signal.SIGKILL, signal.SIGSTOP}:
                signal.signal(number, signal.SIG_IGN)
            while True: time.sleep(1)
    """
    answer = while_it_runs(cloud, deploy(code, Timeout=1), bystander)
    assert read(answer)["errorType"] == "Sandbox.Timedout"


def test_one_that_prints_100_mb(cloud, deploy, bystander, logs):
    code = """
        def handler(event, context):
            line = "x" * 999
            for _ in range(100_000): print(line)
            return "printed"
    """
    name = deploy(code, Timeout=60)
    peaks = []
    for _ in range(2):
        cloud.forget_memory_peak()
        answer = while_it_runs(cloud, name, bystander)
        assert "FunctionError" in answer or read(answer) == "printed"
        peaks.append(cloud.memory_peak_bytes())
    # Lines that wait and tables that are written out take some 150 MiB; what is printed then takes no more.
    assert peaks[0] < 256 * MIB
    assert peaks[1] - peaks[0] < 64 * MIB
    # It is still possible to read what was kept.
    group = f"/aws/lambda/{name}"
    eventually(lambda: logs.describe_log_groups(logGroupNamePrefix=group)["logGroups"])
    stream = logs.describe_log_streams(logGroupName=group)["logStreams"][0]["logStreamName"]
    first = logs.get_log_events(logGroupName=group, logStreamName=stream, startFromHead=True)["events"]
    assert any(event["message"].startswith("START ") for event in first)
    assert "x" * 999 + "\n" in [event["message"] for event in first]


def test_one_that_prints_a_line_without_end(cloud, deploy, bystander):
    code = """
        import sys
        def handler(event, context):
            for _ in range(40): sys.stdout.write("y" * (1 << 20))
            return "printed"
    """
    cloud.forget_memory_peak()
    before = cloud.memory_peak_bytes()
    answer = while_it_runs(cloud, deploy(code, Timeout=30), bystander)
    assert read(answer) == "printed"
    assert cloud.memory_peak_bytes() - before < 100 * MIB


def test_one_that_forks_without_end(cloud, deploy, bystander):
    code = """
        import os, time
        def handler(event, context):
            forked = 0
            try:
                while True:
                    if os.fork() == 0:
                        time.sleep(1000)
                        os._exit(0)
                    forked += 1
            except OSError as error:
                return {"forked": forked, "errno": error.errno}
    """
    answer = while_it_runs(cloud, deploy(code, Timeout=20, MemorySize=512), bystander)
    problem = read(answer)
    assert "FunctionError" in answer or problem["forked"] <= 1024, problem


def test_a_fork_bomb(cloud, deploy, bystander):
    code = """
        import os
        def handler(event, context):
            while True:
                try: os.fork()
                except OSError: pass
    """
    name = deploy(code, Timeout=2)
    before = len(descendants(cloud.process.pid))
    answer = while_it_runs(cloud, name, bystander)
    assert answer["FunctionError"] == "Unhandled"
    # Nothing of it is left behind, though some more environments may wait for functions.
    eventually(lambda: len(descendants(cloud.process.pid)) < before + 50)


def descendants(pid):
    children = {}
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = status.read_text().rsplit(")", 1)[1].split()
        except OSError:
            continue
        children.setdefault(int(fields[1]), []).append(int(status.parent.name))
    found, queue = [], [pid]
    while queue:
        for child in children.get(queue.pop(), []):
            found.append(child)
            queue.append(child)
    return found


def test_one_that_fills_its_disk(cloud, deploy, bystander):
    code = """
        def handler(event, context):
            written = 0
            try:
                with open("/tmp/full", "wb", buffering=0) as file:
                    while True: written += file.write(bytes(1 << 20))
            except OSError as error:
                return {"mib": written >> 20, "errno": error.errno}
    """
    answer = while_it_runs(cloud, deploy(code, Timeout=60, MemorySize=1024), bystander)
    full = read(answer)
    assert "FunctionError" not in answer, full
    assert 400 <= full["mib"] <= 520
    assert full["errno"] == 28


def test_what_tmp_holds_stays_for_the_next_call_only_in_one_environment(awslambda, deploy):
    code = """
        import os
        def handler(event, context):
            seen = sorted(os.listdir("/tmp"))
            open("/tmp/" + event, "w").close()
            return seen
    """
    first, second = deploy(code), deploy(code)
    call = lambda name, word: read(awslambda.invoke(FunctionName=name, Payload=json.dumps(word)))
    assert call(first, "a") == []
    assert call(first, "b") == ["a"]
    assert call(second, "c") == []


LOOK = """
    import os, socket, subprocess
    def attempt(work):
        try: return str(work())
        except Exception as error: return f"refused: {type(error).__name__} {error}"

    def handler(event, context):
        return {
            "files": {path: attempt(lambda: os.listdir(path)) for path in event["folders"]},
            "secrets": {path: attempt(lambda: open(path).read()) for path in event["files"]},
            "processes": [name for name in os.listdir("/proc") if name.isdigit()],
            "write": {path: attempt(lambda: open(path + "/x", "w").close()) for path in ["/var/task", "/usr", "/etc", "/"]},
            "tmp": attempt(lambda: open("/tmp/x", "w").close()),
            "kill": attempt(lambda: os.kill(event["pid"], 0)),
            "uid": os.getuid(),
            "mount": attempt(lambda: subprocess.check_output(["mount", "-t", "tmpfs", "none", "/mnt"], stderr=-2)),
        }
"""


def test_what_a_function_sees_of_the_host(cloud, awslambda, deploy):
    secret = cloud.folder / "secret"
    secret.write_text("the host's secret")
    event = {
        "folders": [str(cloud.data), str(cloud.folder), "/root", "/home", str(Path.home())],
        "files": [str(secret), "/etc/shadow", f"/proc/{cloud.process.pid}/environ", "/proc/1/environ"],
        "pid": cloud.process.pid,
    }
    seen = read(awslambda.invoke(FunctionName=deploy(LOOK), Payload=json.dumps(event)))
    for path in (str(cloud.data), str(cloud.folder)):
        assert seen["files"][path].startswith("refused"), (path, seen["files"][path])
    for path in ("/root", "/home", str(Path.home())):
        assert seen["files"][path].startswith("refused") or seen["files"][path] == "[]", (path, seen["files"][path])
    for path in (str(secret), "/etc/shadow"):
        assert seen["secrets"][path].startswith("refused"), path
    for content in seen["secrets"].values():
        assert "LAMBENT_ROOT" not in content
    assert len(seen["processes"]) < 10, seen["processes"]
    assert seen["uid"] != 0
    assert all(answer.startswith("refused") for answer in seen["write"].values()), seen["write"]
    assert seen["tmp"] == "None"
    assert seen["mount"].startswith("refused")
    assert seen["kill"].startswith("refused")


def test_functions_do_not_see_each_other(awslambda, deploy):
    code = """
        import os, uuid
        me = str(uuid.uuid4())
        open("/tmp/" + me, "w").close()
        def handler(event, context):
            return {"tmp": os.listdir("/tmp"), "me": me, "processes": len([n for n in os.listdir("/proc") if n.isdigit()])}
    """
    seen = [read(awslambda.invoke(FunctionName=deploy(code))) for _ in range(3)]
    for one in seen:
        assert one["tmp"] == [one["me"]]
        assert one["processes"] < 10


def test_the_network(cloud, awslambda, deploy):
    """A function reaches the cloud's own API, and nothing else that listens on the host's loopback."""
    listener = socket.create_server(("127.0.0.1", 0))
    listener.listen()
    code = """
        import os, socket, urllib.request
        def handler(event, context):
            try:
                socket.create_connection(("127.0.0.1", event["port"]), 2).close()
                host = "reached"
            except OSError as error:
                host = f"refused: {error}"
            with urllib.request.urlopen(os.environ["AWS_ENDPOINT_URL"] + "/_lambent/health", timeout=5) as answer:
                return {"host": host, "api": answer.status}
    """
    with listener:
        event = json.dumps({"port": listener.getsockname()[1]})
        answer = awslambda.invoke(FunctionName=deploy(code), Payload=event)
        seen = read(answer)
    assert seen["api"] == 200
    assert seen["host"].startswith("refused"), seen


REACH = """
    import socket
    def attempt(work):
        try: return f"reached: {work()}"
        except OSError as error: return f"refused: {error}"

    def say(family, kind, address):
        with socket.socket(family, kind) as one:
            one.settimeout(3)
            one.connect(address)
            one.send(b"hello")
            return one.recv(100)

    def handler(event, context):
        tried = {}
        for family, host, port in event["addresses"]:
            for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
                tried[f"{kind.name} {host} {port}"] = attempt(lambda: say(socket.AddressFamily[family], kind, (host, port)))
        tried["unix"] = attempt(lambda: say(socket.AF_UNIX, socket.SOCK_STREAM, chr(0) + event["unix"]))
        for name in event["names"]:
            tried[name] = attempt(lambda: socket.getaddrinfo(name, 443))
        return {"tried": tried, "interfaces": [name for _, name in socket.if_nameindex()]}
"""


def own_addresses():
    """Addresses by which this host may be reached from outside."""
    found = {address[4][0] for address in socket.getaddrinfo(socket.gethostname(), 0, socket.AF_INET)}
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            # Sends nothing, but asks which address would be ours.
            probe.connect(("192.0.2.1", 9))
            found.add(probe.getsockname()[0])
        except OSError:
            pass
    return sorted(found)


def answering(family, kind, address):
    """A socket of the host's that answers whoever speaks to it."""
    listener = socket.socket(family, kind)
    listener.bind(address)

    def serve():
        try:
            while kind == socket.SOCK_DGRAM:
                listener.sendto(b"host", listener.recvfrom(100)[1])
            while True:
                connection, _ = listener.accept()
                connection.sendall(b"host")
                connection.close()
        except OSError:
            return

    if kind == socket.SOCK_STREAM:
        listener.listen()
    threading.Thread(target=serve, daemon=True).start()
    return listener


def test_a_function_reaches_nobody_else(cloud, awslambda, deploy):
    """Neither the host, on any of its addresses, nor anybody outside, nor a name server."""
    unix = f"lambent-test-{os.getpid()}"
    with ExitStack() as listeners:
        listen = lambda *of: listeners.enter_context(answering(*of))
        port = listen(socket.AF_INET, socket.SOCK_STREAM, ("0.0.0.0", 0)).getsockname()[1]
        listen(socket.AF_INET, socket.SOCK_DGRAM, ("0.0.0.0", port))
        listen(socket.AF_UNIX, socket.SOCK_STREAM, "\0" + unix)
        own = [["AF_INET", host, port] for host in sorted({"127.0.0.1", "127.0.0.53", *own_addresses()})]
        own.append(["AF_INET", "127.0.0.1", int(cloud.endpoint.rsplit(":", 1)[1])])
        outside = [["AF_INET", "1.1.1.1", 53], ["AF_INET", "169.254.169.254", 80], ["AF_INET6", "2606:4700:4700::1111", 53]]
        names = ["example.com", "amazonaws.com", socket.gethostname() + ".localdomain"]
        # The host itself reaches what the function must not: else nothing would be shown.
        for _, host, number in own[:2]:
            with socket.create_connection((host, number), 3) as connection:
                assert connection.recv(100) == b"host"
        event = {"addresses": own + outside, "unix": unix, "names": names}
        name = deploy(REACH, Timeout=120, MemorySize=256)
        seen = read(awslambda.invoke(FunctionName=name, Payload=json.dumps(event)))
    assert seen["interfaces"] == ["lo"]
    assert len(seen["tried"]) == 2 * len(event["addresses"]) + 1 + len(names)
    reached = {what: answer for what, answer in seen["tried"].items() if not answer.startswith("refused")}
    assert not reached
