"""Extensions: programs of layers beside the runtime, and threads within it."""

import json
import time
from pathlib import Path

import pytest

import packages
from cloud import ACCOUNT, eventually

EXTENSION = Path(__file__).with_name("extension.py").read_bytes()
HANDLER = "print('loaded')\ndef handler(event, context):\n    print('called', context.aws_request_id)\n    return event"


@pytest.fixture
def extension(awslambda, unique):
    """Publishes a layer with the extension; gives the version's ARN."""

    def extension(program=EXTENSION, mode=0o755):
        content = {"ZipFile": packages.package({"extensions/watcher": program}, {"extensions/watcher": mode})}
        return awslambda.publish_layer_version(LayerName=unique("layer"), Content=content)["LayerVersionArn"]

    return extension


@pytest.fixture
def with_extension(deploy, extension):
    def with_extension(code=HANDLER, mode="", **settings):
        return deploy(code, Layers=[extension()], Environment={"Variables": {"EXTENSION_MODE": mode}}, **settings)

    return with_extension


@pytest.fixture
def log_of(logs):
    def log_of(name, *wanted):
        """What was logged, once all that is wanted is there."""

        def found():
            try:
                events = logs.filter_log_events(logGroupName=f"/aws/lambda/{name}")["events"]
            except logs.exceptions.ResourceNotFoundException:
                return None
            text = "".join(event["message"] for event in events)
            return text if all(one in text for one in wanted) else None

        return eventually(found)

    return log_of


def call(awslambda, name, event=None):
    answer = awslambda.invoke(FunctionName=name, Payload=json.dumps(event or {}))
    return answer.get("FunctionError"), json.load(answer["Payload"])


@pytest.mark.parametrize("runtime", ["python3.13", "nodejs22.x"])
def test_an_extension_sees_calls_and_the_end(awslambda, with_extension, log_of, runtime):
    code, settings = HANDLER, {}
    if runtime.startswith("node"):
        code = packages.node("export const handler = async (event) => event;")
    name = with_extension(code, Runtime=runtime, **settings)
    for number in range(2):
        assert call(awslambda, name, {"number": number}) == (None, {"number": number})
    awslambda.update_function_configuration(FunctionName=name, Description="another")
    awslambda.get_waiter("function_updated_v2").wait(FunctionName=name, WaiterConfig={"Delay": 0.05})
    # The environments of the configuration before end.
    call(awslambda, name)
    log = log_of(name, '"eventType": "SHUTDOWN"')
    registered = {"accountId": ACCOUNT, "functionName": name, "functionVersion": "$LATEST", "handler": "index.handler"}
    assert f"extension registered {json.dumps(registered, sort_keys=True)} False\n" in log
    assert "extension unknown 403\n" in log
    assert "EXTENSION\tName: watcher\tState: Ready\tEvents: [INVOKE, SHUTDOWN]\n" in log
    events = [json.loads(line.split("extension event ")[1]) for line in log.splitlines() if "extension event" in line]
    first = events[0]
    assert first["invokedFunctionArn"].endswith(f":function:{name}")
    assert first["tracing"]["type"] == "X-Amzn-Trace-Id"
    assert first["deadlineMs"] > time.time() * 1000 - 60_000
    assert f"START RequestId: {first['requestId']} " in log
    ended = next(event for event in events if event["eventType"] == "SHUTDOWN")
    assert ended["shutdownReason"] == "spindown"


@pytest.mark.parametrize(
    "mode, kind", [("crash", "Extension.Crash"), ("init-error", "Extension.InitError")]
)
def test_an_extension_that_fails_to_start_fails_the_call(awslambda, with_extension, log_of, mode, kind):
    name = with_extension(mode=mode)
    failed, error = call(awslambda, name)
    assert failed == "Unhandled" and error["errorType"] == kind, error
    assert f"Error Type: {kind}" in log_of(name, "REPORT ")


def test_an_extension_registers_once(awslambda, with_extension, log_of):
    name = with_extension(mode="twice")
    assert call(awslambda, name, {"a": 1}) == (None, {"a": 1})
    log = log_of(name, "REPORT ")
    assert "extension again 403 " in log and "Extension.InvalidExtensionState" in log


def test_what_is_no_program_is_told(awslambda, deploy, extension, log_of):
    name = deploy(HANDLER, Layers=[extension(b"no program", 0o644)])
    failed, error = call(awslambda, name)
    assert failed == "Unhandled" and error["errorType"] == "Extension.LaunchError", error
    assert "State: LaunchError" in log_of(name, "REPORT ")


def test_internal_extensions_register_while_the_runtime_starts(awslambda, deploy, log_of):
    name = deploy(
        """
        import json, os, threading, urllib.request
        API = "http://" + os.environ["AWS_LAMBDA_RUNTIME_API"] + "/2020-01-01/extension"
        def ask(path, body=None, **headers):
            request = urllib.request.Request(API + path, body, headers)
            with urllib.request.urlopen(request) as answer:
                return answer.headers, answer.read()
        headers, _ = ask("/register", b'{"events": ["INVOKE"]}', **{"Lambda-Extension-Name": "within"})
        own = headers["Lambda-Extension-Identifier"]
        seen = []
        def watch():
            while True:
                seen.append(json.loads(ask("/event/next", **{"Lambda-Extension-Identifier": own})[1])["requestId"])
        threading.Thread(target=watch, daemon=True).start()
        def handler(event, context):
            while context.aws_request_id not in seen:
                pass
            return len(seen)
        """
    )
    assert [call(awslambda, name) for _ in range(3)] == [(None, number) for number in (1, 2, 3)]
    assert "EXTENSION\tName: within\tState: Ready\tEvents: [INVOKE]\n" in log_of(name, "REPORT ")
