"""The outside world, for functions of a cloud whose operator lets them out, and for others.

The outside is this host under its own address, which has to be named for that. What else is never reached, how
connections end and what they cost is tested in crates/compute/egress, between network namespaces.
"""

import errno
import json
import socket
import subprocess
import threading

import pytest

import packages
from cloud import ACCOUNT, binary
from conftest import make_role

PROBE = """
import errno, os, socket

def talk(address, port, words):
    with socket.create_connection((address, port), timeout=5) as stream:
        stream.sendall(words)
        stream.shutdown(socket.SHUT_WR)
        return b"".join(iter(lambda: stream.recv(65536), b"")) == words

def handler(event, context):
    result = {}
    for address, port in event["to"]:
        try:
            result[f"{address}:{port}"] = talk(address, port, os.urandom(1 << 20))
        except OSError as error:
            result[f"{address}:{port}"] = error.errno and errno.errorcode[error.errno] or str(error)
    with open("/etc/resolv.conf") as file:
        result["resolver"] = file.read().split()
    endpoint = os.environ["AWS_ENDPOINT_URL"].rsplit(":", 1)
    with socket.create_connection(("127.0.0.1", int(endpoint[1].strip("/"))), timeout=5):
        result["endpoint"] = True
    return result
"""


@pytest.fixture
def host():
    """This host's own address, and the port of a server that says everything again at all of its addresses."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("198.51.100.1", 9))
        except OSError:
            pytest.skip("this host has no address but its loopback's")
        address = probe.getsockname()[0]
    server = socket.create_server(("0.0.0.0", 0))

    def echo(stream):
        with stream:
            while words := stream.recv(65536):
                stream.sendall(words)

    def serve():
        while True:
            try:
                stream, _ = server.accept()
            except OSError:
                return
            threading.Thread(target=echo, args=(stream,), daemon=True).start()

    threading.Thread(target=serve, daemon=True).start()
    yield address, server.getsockname()[1]
    server.shutdown(socket.SHUT_RDWR)
    server.close()


def probe(cloud, to):
    """What a function of the cloud says of these addresses."""
    make_role(cloud.client("iam"), "probe", [])
    awslambda = cloud.client("lambda")
    awslambda.create_function(
        FunctionName="probe",
        Role=f"arn:aws:iam::{ACCOUNT}:role/probe",
        Runtime="python3.13",
        Handler="index.handler",
        Timeout=60,
        Code={"ZipFile": packages.python(PROBE)},
    )
    awslambda.get_waiter("function_active_v2").wait(FunctionName="probe")
    answer = awslambda.invoke(FunctionName="probe", Payload=json.dumps({"to": to}))
    result = json.loads(answer["Payload"].read())
    assert "FunctionError" not in answer, result
    return result


def test_functions_reach_what_is_named(own_cloud, host):
    address, port = host
    own_cloud.start("--egress", f"{address},10.77.0.0/16")
    own_port = int(own_cloud.endpoint.rsplit(":", 1)[1].strip("/"))
    refused = [(address, own_port), ("169.254.169.254", 80), ("127.0.0.1", port), ("93.184.216.34", 80)]
    result = probe(own_cloud, [host, *refused])
    assert result.pop("resolver") == ["nameserver", "10.200.0.1"]
    assert result.pop("endpoint")
    assert result.pop(f"{address}:{port}") is True
    assert result == {f"{a}:{p}": errno.errorcode[errno.ECONNREFUSED] for a, p in refused}


@pytest.mark.parametrize("policy", [None, "none", "public"])
def test_others_do_not(own_cloud, host, policy):
    address, port = host
    own_cloud.start(*(["--egress", policy] if policy else []))
    result = probe(own_cloud, [host])
    expected = errno.ECONNREFUSED if policy == "public" else errno.ENETUNREACH
    assert result[f"{address}:{port}"] == errno.errorcode[expected]
    assert result["endpoint"]


@pytest.mark.parametrize(
    ("policy", "word"),
    [("127.0.0.0/8", "loopback"), ("10.1.2.3/16", "10.1.0.0/16"), ("none,public", "alone"), ("internet", "no address")],
)
def test_wrong_policies_are_explained(tmp_path, policy, word):
    done = subprocess.run(
        [binary(), "up", "--data", str(tmp_path / "data"), "--egress", policy], capture_output=True, text=True, timeout=30
    )
    assert done.returncode == 2
    assert word in done.stderr
