"""Taking more than one's share ends at a known bound, and a neighbour always gets its own."""

import json
import statistics
import threading
import time

import pytest

from conftest import SETTINGS, attempts_package, latencies

MIB = 1 << 20
KILLED = "killed"
PROCESSES_MAX = FILES_MAX = 1024

# By attempt: what may stop it, and the most steps that it may come to.
BOUNDED = {
    "processes": ({"EAGAIN"}, PROCESSES_MAX),
    "threads": ({"can't start new thread"}, PROCESSES_MAX),
    "memory": ({KILLED, "MemoryError"}, 32),
    "memory_file": ({KILLED, "EFBIG", "ENOMEM"}, 32),
    "shared_mapping": ({KILLED, "ENOMEM"}, 32),
    "pipes": ({"EMFILE", KILLED}, FILES_MAX),
    "sockets": ({"EMFILE", KILLED}, FILES_MAX),
    "descriptors": ({"EMFILE"}, FILES_MAX),
    "descriptors_in_flight": ({"ETOOMANYREFS", "EMFILE", KILLED}, FILES_MAX * 300),
    "storage": ({"ENOSPC", "EFBIG"}, 64),
    "sparse_file": ({"EFBIG"}, 0),
    "small_files": ({"ENOSPC"}, 100_000),
    "deep_folders": ({"ENOSPC", "ENAMETOOLONG"}, 100_000),
    "watches": ({"EMFILE"}, FILES_MAX),
    "timers": ({"EAGAIN"}, 1_000_000),
    "names_that_are_not_there": ({"by time"}, 10**9),
}
# Long enough for any of them to come to its bound.
PATIENCE_S = 15


class Neighbour:
    """Calls a function again and again while something else happens; every call must succeed."""

    def __init__(self, client, function):
        self.client, self.function = client, function
        self.took_ms, self.failed = [], []
        self.enough = threading.Event()

    def __enter__(self):
        self.thread = threading.Thread(target=self.call_again_and_again)
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.enough.set()
        self.thread.join()

    def call_again_and_again(self):
        while not self.enough.is_set():
            started = time.perf_counter()
            answer = self.client.invoke(FunctionName=self.function)
            got = answer["Payload"].read()
            self.took_ms.append((time.perf_counter() - started) * 1000)
            if got != b'"fine"':
                self.failed.append(got)
            time.sleep(0.005)

    def was_fine(self, beside):
        latencies.append((beside, len(self.took_ms), *percentiles(self.took_ms), max(self.took_ms)))
        assert self.took_ms and not self.failed, self.failed[:3]


def percentiles(values):
    cuts = statistics.quantiles(values, n=100, method="inclusive") if len(values) > 1 else values * 99
    return cuts[49], cuts[98]


@pytest.fixture(scope="module")
def client(cloud):
    """The neighbour's callers have connections of their own."""
    return cloud.client("lambda")


@pytest.fixture(scope="module")
def neighbour(client, role):
    name = "neighbour-of-bombs"
    code = {"Code": {"ZipFile": attempts_package()}, "Runtime": "python3.13", "Handler": "bombs.neighbour"}
    client.create_function(FunctionName=name, Role=role, **code, **SETTINGS)
    client.get_waiter("function_active_v2").wait(FunctionName=name, WaiterConfig={"Delay": 0.02})
    client.invoke(FunctionName=name)
    yield name
    client.delete_function(FunctionName=name)


@pytest.fixture
def beside_a_neighbour(client, neighbour, awslambda, deploy):
    """Calls a function of the attempts beside a neighbour that is called all the while; gives what came of it."""

    def beside_a_neighbour(handler, event, **settings):
        name = deploy(attempts_package(), Handler=handler, **{**SETTINGS, **settings})
        with Neighbour(client, neighbour) as watched:
            answer = awslambda.invoke(FunctionName=name, Payload=json.dumps(event))
            value = json.loads(answer["Payload"].read())
        watched.was_fine(handler)
        return value, answer.get("FunctionError")

    return beside_a_neighbour


def test_without_a_bomb(client, neighbour):
    """What the latencies beside the bombs are to be compared with."""
    with Neighbour(client, neighbour) as watched:
        time.sleep(1)
    watched.was_fine("nothing")


@pytest.mark.parametrize("name", BOUNDED)
def test_what_is_bounded(beside_a_neighbour, name):
    stops, most = BOUNDED[name]
    more = {"MemorySize": 256} if KILLED in stops else {}
    seconds = 1 if "by time" in stops else PATIENCE_S
    value, failed = beside_a_neighbour(f"bombs.{name}", {"seconds": seconds, "hold": 0.3}, **more)
    if failed:
        assert "signal: killed" in value["errorMessage"], value
        assert KILLED in stops, value
    else:
        assert value["stopped"] in stops and value["count"] <= most, value


def test_a_fork_bomb(beside_a_neighbour):
    value, failed = beside_a_neighbour("bombs.fork_bomb", {}, Timeout=1)
    assert failed and value["errorType"] in {"Sandbox.Timedout", "Runtime.OutOfMemory", "Runtime.ExitError"}, value


def test_more_threads_than_processors(beside_a_neighbour):
    value, failed = beside_a_neighbour("bombs.spin", {"seconds": 1.5})
    assert not failed and value == "spun"


# AWS gives 10 GB of log no bound but its price; what is bounded here is the daemon's memory.
LOG_MEMORY_BYTES = 256 * MIB


@pytest.mark.parametrize("name", ["log_lines", "log_frames"])
def test_a_flood_of_logs(cloud, beside_a_neighbour, name):
    """As fast as it goes, for a while."""
    cloud.forget_memory_peak()
    before = cloud.memory_peak_bytes()
    value, failed = beside_a_neighbour(f"bombs.{name}", {"seconds": 3, "hold": 0})
    assert not failed and value["stopped"] == "by time" and value["count"] > 20, value
    assert cloud.memory_peak_bytes() - before < LOG_MEMORY_BYTES


@pytest.fixture
def bounded_memory(cloud):
    """The daemon's memory does not grow by what it is sent."""
    cloud.forget_memory_peak()
    before = cloud.memory_peak_bytes()
    yield
    assert cloud.memory_peak_bytes() - before < 64 * MIB


# The platform itself reads 32 KiB; the rest lies in the buffers of two sockets.
SENT_BYTES_MAX = 8 * MIB
# Connections that the platform serves, and those that wait for that in the kernel.
CONNECTIONS_MAX = 48 + 129


def is_refused(answer):
    """Closed, with or without a word; a connection that stays open or serves is no refusal."""
    return answer in ("", " (reset)") or answer.startswith("HTTP/1.1 4") and "(open)" not in answer


@pytest.mark.parametrize("name", ["huge_header", "many_headers", "huge_path"])
def test_heads_without_end(beside_a_neighbour, bounded_memory, name):
    value, failed = beside_a_neighbour(f"runtime_api.{name}", {})
    assert not failed and value["sent"] <= SENT_BYTES_MAX, value
    assert is_refused(value["answer"]), value


def test_a_body_without_end(beside_a_neighbour, bounded_memory):
    """Much more is sent than is kept."""
    value, failed = beside_a_neighbour("runtime_api.huge_body", {"seconds": 1.5})
    assert not failed and value["sent"] > 256 * MIB, value


def test_lengths_that_are_none(beside_a_neighbour):
    value, failed = beside_a_neighbour("runtime_api.wrong_length", {})
    assert not failed and len(value) == 4
    assert all(is_refused(answer) for answer in value), value


def test_two_lengths_in_one_request(beside_a_neighbour):
    """By the chunks the request ends early, and the rest is a request of its own: nobody is behind the platform who
    could read it otherwise, and what it asks for does not exist."""
    value, failed = beside_a_neighbour("runtime_api.smuggled", {})
    assert not failed and " 200 " not in value and " 202 " not in value, value
    assert value.startswith("HTTP/1.1 4") or is_refused(value), value


def test_a_response_that_drips(beside_a_neighbour):
    value, failed = beside_a_neighbour("runtime_api.drip", {}, Timeout=1)
    assert failed and value["errorType"] == "Sandbox.Timedout", value


def test_heads_that_drip(beside_a_neighbour, bounded_memory):
    """On as many connections as there can be; the function's own is still served."""
    value, failed = beside_a_neighbour("runtime_api.drip_head", {"seconds": 0.5})
    assert not failed and 0 < value["opened"] <= CONNECTIONS_MAX, value


def test_noise(beside_a_neighbour, bounded_memory):
    value, failed = beside_a_neighbour("runtime_api.flood", {"seconds": 1})
    assert not failed and value["connections"] > 10, value
