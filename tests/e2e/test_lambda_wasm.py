"""WebAssembly functions: components of WASI 0.2, deployed and called as any other function."""

import base64
import json
import os
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import packages
from cloud import eventually
from conftest import make_role

HTTP = {"Runtime": "wasi-http", "Handler": "app.wasm"}
EVENT = {"Runtime": "wasi-lambda", "Handler": "app.wasm"}
WITHOUT = "built without WebAssembly"


@pytest.fixture(scope="module")
def component(awslambda, role):
    """Makes packages of the components that the tests are given by name."""
    folder = os.environ.get("LAMBENT_TEST_COMPONENTS")
    if not folder:
        pytest.skip("LAMBENT_TEST_COMPONENTS names no folder with components: `cargo xtask e2e` makes them")

    def component(name):
        return packages.package({"app.wasm": (Path(folder) / f"{name}.wasm").read_bytes()})

    code = {"ZipFile": component("event-echo")}
    awslambda.create_function(FunctionName="has-wasm", Code=code, Role=role, **EVENT)
    state = settled(awslambda, "has-wasm")
    awslambda.delete_function(FunctionName="has-wasm")
    if WITHOUT in state.get("StateReason", ""):
        pytest.skip("this lambent was built without the feature `wasm`")
    return component


def settled(awslambda, name):
    """The configuration of a function that is made, or came to nothing."""

    def look():
        found = awslambda.get_function_configuration(FunctionName=name)
        return found if found["State"] != "Pending" else None

    return eventually(look)


def read(answer):
    return json.loads(answer["Payload"].read())


def tail(answer):
    return base64.b64decode(answer["LogResult"]).decode()


def test_events_reach_a_component_and_come_back(awslambda, logs, deploy, component):
    name = deploy(component("event-echo"), **EVENT)
    for event in ({"a": [1, "ü"]}, None, 7):
        answer = awslambda.invoke(FunctionName=name, Payload=json.dumps(event), LogType="Tail")
        assert "FunctionError" not in answer
        assert read(answer) == event
        lines = tail(answer).splitlines()
        assert lines[0].startswith("START RequestId: ") and lines[-1].startswith("REPORT RequestId: ")
    found = eventually(
        lambda: [
            event["message"]
            for event in logs.filter_log_events(logGroupName=f"/aws/lambda/{name}")["events"]
            if event["message"].startswith("REPORT")
        ]
        if logs.describe_log_groups(logGroupNamePrefix=f"/aws/lambda/{name}")["logGroups"]
        else None
    )
    assert "Memory Size: 128 MB" in found[0]
    shown = awslambda.get_function_configuration(FunctionName=name)
    assert (shown["Runtime"], shown["State"]) == ("wasi-lambda", "Active")


def test_a_request_of_payload_format_2_is_answered(awslambda, deploy, component):
    name = deploy(component("http-echo"), **HTTP)
    event = {
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": "/a",
        "rawQueryString": "x=1",
        "headers": {"host": "example.com", "content-type": "text/plain"},
        "requestContext": {"http": {"method": "POST", "path": "/a", "protocol": "HTTP/1.1"}},
        "body": base64.b64encode(b"hello").decode(),
        "isBase64Encoded": True,
    }
    result = read(awslambda.invoke(FunctionName=name, Payload=json.dumps(event)))
    assert (result["statusCode"], result["body"]) == (200, "hello")
    assert result["headers"]["content-type"] == "text/plain"
    # Any other event is posted as it is.
    assert read(awslambda.invoke(FunctionName=name, Payload=b'{"plain": true}')) == {"plain": True}


def test_each_call_has_a_fresh_instance_unless_the_function_says_otherwise(awslambda, deploy, component):
    code = component("event-count")
    fresh = deploy(code, **EVENT)
    assert [read(awslambda.invoke(FunctionName=fresh)) for _ in range(3)] == [1, 1, 1]
    reused = deploy(code, Environment={"Variables": {"LAMBENT_WASM_REUSE": "true"}}, **EVENT)
    assert [read(awslambda.invoke(FunctionName=reused)) for _ in range(3)] == [1, 2, 3]


def test_versions_keep_their_components(awslambda, deploy, component):
    name = deploy(component("event-echo"), Publish=True, **EVENT)
    awslambda.update_function_code(FunctionName=name, ZipFile=component("event-count"))
    awslambda.get_waiter("function_updated_v2").wait(FunctionName=name, WaiterConfig={"Delay": 0.1})
    assert read(awslambda.invoke(FunctionName=name, Payload=b'"same"')) == 1
    assert read(awslambda.invoke(FunctionName=name, Qualifier="1", Payload=b'"same"')) == "same"


@pytest.mark.parametrize("guest", ["event-loop", "event-sleep"])
def test_a_call_that_does_not_end_is_ended_and_disturbs_nobody(awslambda, deploy, component, guest):
    echo = deploy(component("event-echo"), **EVENT)
    loop = deploy(component(guest), Timeout=1, **EVENT)
    with ThreadPoolExecutor() as threads:
        ends = [threads.submit(awslambda.invoke, FunctionName=loop, LogType="Tail") for _ in range(4)]
        others = 0
        while not all(end.done() for end in ends):
            assert read(awslambda.invoke(FunctionName=echo, Payload=b"1")) == 1
            others += 1
    assert others > 3
    for end in ends:
        answer = end.result()
        assert answer["FunctionError"] == "Unhandled"
        problem = read(answer)
        assert problem["errorType"] == "Sandbox.Timedout"
        assert problem["errorMessage"].endswith("Task timed out after 1.00 seconds")
        assert "Status: timeout" in tail(answer).splitlines()[-1]


@pytest.mark.parametrize(
    "guest, kind, words",
    [
        ("event-grow", "Runtime.OutOfMemory", "signal: killed"),
        ("event-large", "Runtime.OutOfMemory", "signal: killed"),
        ("event-trap", "Runtime.ExitError", "unreachable"),
        ("event-recursion", "Runtime.ExitError", "call stack exhausted"),
        ("event-exit", "Runtime.ExitError", "exit status 1"),
    ],
)
def test_calls_that_break_are_told_as_aws_tells_them(awslambda, deploy, component, guest, kind, words):
    name = deploy(component(guest), **EVENT)
    answer = awslambda.invoke(FunctionName=name, LogType="Tail")
    problem = read(answer)
    assert (answer["FunctionError"], problem["errorType"]) == ("Unhandled", kind)
    assert words in problem["errorMessage"]
    assert f"Status: error\tError Type: {kind}" in tail(answer).splitlines()[-1]


def test_the_functions_own_error_is_its_own(awslambda, deploy, component):
    name = deploy(component("event-fail"), **EVENT)
    answer = awslambda.invoke(FunctionName=name)
    assert answer["FunctionError"] == "Unhandled"
    assert read(answer) == {"errorType": "CustomError", "errorMessage": "it failed"}


def test_there_is_no_way_out(awslambda, deploy, component):
    denied = 115
    assert read(awslambda.invoke(FunctionName=deploy(component("event-fetch"), **EVENT))) == denied
    assert read(awslambda.invoke(FunctionName=deploy(component("event-socket"), **EVENT))) >= 100


@pytest.mark.parametrize(
    "content, words",
    [
        (None, "foreign:house/door"),
        (b"\0asm\x01\0\0\0", "wasm-tools component new"),
        (b"\0asm\x0d\0\x01\0\x07", "could not be compiled"),
        (b"print('hello')", "expected a WebAssembly component"),
    ],
)
def test_what_cannot_run_fails_when_it_is_deployed(awslambda, role, unique, component, content, words):
    name = unique("function")
    code = component("event-foreign") if content is None else packages.package({"app.wasm": content})
    awslambda.create_function(FunctionName=name, Code={"ZipFile": code}, Role=role, **EVENT)
    state = settled(awslambda, name)
    assert state["State"] == "Failed"
    assert words in state["StateReason"]
    with pytest.raises(awslambda.exceptions.ResourceConflictException):
        awslambda.invoke(FunctionName=name)
    awslambda.delete_function(FunctionName=name)


def test_compiled_components_survive_a_restart_and_foreign_ones_do_not_run(own_cloud, component):
    own_cloud.start()
    awslambda = own_cloud.client("lambda")
    role = make_role(own_cloud.client("iam"), "r", [])
    for name in ("event-echo", "event-count"):
        code = {"ZipFile": component(name)}
        awslambda.create_function(FunctionName=name, Code=code, Role=role, **EVENT)
        assert settled(awslambda, name)["State"] == "Active"
    found = list((own_cloud.data / "code").glob("*.compiled/wasm-*/component.cwasm"))
    assert len(found) == 2
    before = {path: path.stat().st_ino for path in found}
    own_cloud.stop()
    own_cloud.start()
    awslambda = own_cloud.client("lambda")
    assert read(awslambda.invoke(FunctionName="event-echo", Payload=b"5")) == 5
    assert {path: path.stat().st_ino for path in found} == before
    own_cloud.stop()
    # The other one in its place, as if somebody had written it there.
    contents = [path.read_bytes() for path in found]
    for path, other in zip(found, reversed(contents), strict=True):
        path.write_bytes(other)
    own_cloud.start()
    awslambda = own_cloud.client("lambda")
    assert read(awslambda.invoke(FunctionName="event-echo", Payload=b"5")) == 5
    assert read(awslambda.invoke(FunctionName="event-count", Payload=b"5")) == 1
    awslambda.delete_function(FunctionName="event-echo")
    awslambda.delete_function(FunctionName="event-count")
    eventually(lambda: not any(path.exists() for path in found), timeout_s=60)


def test_asynchronous_calls_and_the_bill_are_as_of_any_function(own_cloud, component):
    own_cloud.start()
    awslambda = own_cloud.client("lambda")
    role = make_role(own_cloud.client("iam"), "r", [])
    awslambda.create_function(FunctionName="echo", Code={"ZipFile": component("event-print")}, Role=role, **EVENT)
    assert settled(awslambda, "echo")["State"] == "Active"
    assert awslambda.invoke(FunctionName="echo", InvocationType="Event")["StatusCode"] == 202
    logs = own_cloud.client("logs")

    def printed():
        groups = logs.describe_log_groups()["logGroups"]
        events = logs.filter_log_events(logGroupName="/aws/lambda/echo")["events"] if groups else []
        return any(event["message"].startswith("second line") for event in events)

    eventually(printed)
    began = time.monotonic()
    while "echo" not in own_cloud.command("bill").stdout:
        assert time.monotonic() - began < 30, "the bill names the function"
