"""AWS's own Rust crates: an extension on `lambda-extension`, and results streamed by `lambda_runtime`."""

import json
import os
from pathlib import Path

import pytest

import packages
from test_lambda_extensions import call, log_of  # noqa: F401
from test_lambda_official import PROVIDED, lambda_runtime
from test_lambda_streaming import Stream, events, url  # noqa: F401

HANDLER = "print('loaded')\ndef handler(event, context):\n    print('called')\n    return event"
PRELUDE_END = bytes(8)


@pytest.fixture
def extension(awslambda, unique):
    """Publishes a layer with the extension under a name; gives the version's ARN."""

    def extension(name):
        program = Path(os.environ["LAMBENT_TEST_RUST_FUNCTION"]).with_name("lambent-test-extension")
        path = f"extensions/{name}"
        content = {"ZipFile": packages.package({path: program.read_bytes()}, {path: 0o755})}
        return awslambda.publish_layer_version(LayerName=unique("layer"), Content=content)["LayerVersionArn"]

    return extension


@pytest.fixture
def function(deploy):
    return deploy(lambda_runtime(), **PROVIDED, MemorySize=512, Timeout=30)


@pytest.fixture
def watched(awslambda, deploy, extension, log_of):  # noqa: F811
    def watched(api):
        """What an extension says of two calls, and the calls' ids."""
        name = deploy(HANDLER, Layers=[extension(api)])
        requests = []
        for number in range(2):
            answer = awslambda.invoke(FunctionName=name, Payload=json.dumps(number))
            assert json.load(answer["Payload"]) == number
            requests.append(answer["ResponseMetadata"]["RequestId"])
        awslambda.update_function_configuration(FunctionName=name, Description="another")
        awslambda.get_waiter("function_updated_v2").wait(FunctionName=name, WaiterConfig={"Delay": 0.05})
        # The environment of the configuration before ends.
        call(awslambda, name)
        log = log_of(name, "rust SHUTDOWN spindown", *(f"rust INVOKE {request}\n" for request in requests))
        return log, requests

    return watched


def test_an_extension_on_the_official_crate_takes_telemetry(watched):
    log, requests = watched("telemetry")
    told = [json.loads(line.split("rust telemetry ")[1]) for line in log.splitlines() if "rust telemetry " in line]
    kinds = {event["type"] for event in told}
    assert {"platform.initStart", "platform.initReport", "platform.start", "platform.runtimeDone", "function"} <= kinds
    done = next(event["record"] for event in told if event["type"] == "platform.runtimeDone")
    assert done["metrics"]["producedBytes"] == 1 and done["requestId"] == requests[0]


def test_an_extension_on_the_official_crate_takes_logs(watched):
    log, requests = watched("logs")
    assert 'rust log Function("called")' in log
    assert f'rust log PlatformEnd {{ request_id: "{requests[0]}" }}\n' in log


def streamed(awslambda, name, event):
    """The prelude, the rest, and how the stream ended."""
    payload, last, _ = events(awslambda, name, event)
    prelude, rest = payload.split(PRELUDE_END, 1)
    return json.loads(prelude), rest, last


def test_a_result_streams_to_who_invokes(awslambda, function):
    prelude, rest, end = streamed(awslambda, function, {"do": "stream", "pieces": 100, "bytes": 100_000})
    assert (prelude["statusCode"], prelude["headers"]["x-own"], prelude["cookies"]) == (200, "yes", ["a=1"])
    assert (rest, end) == (b"x" * 10_000_000, {})
    answer = awslambda.invoke(FunctionName=function, Payload=json.dumps({"do": "echo", "value": [1]}))
    assert json.load(answer["Payload"]) == [1], "the same environment takes the next call"


def test_a_result_that_breaks_off(awslambda, function):
    _, rest, end = streamed(awslambda, function, {"do": "stream", "pieces": 2, "bytes": 10, "breaks": True})
    # What the crate says of the error it puts behind the pieces, as one more: no trailer, so the call has not failed.
    assert rest.startswith(b"x" * 20 + b"Lambda-Runtime-Function-Error-Type: Runtime.StreamError\r\n") and end == {}
    answer = awslambda.invoke(FunctionName=function, Payload=json.dumps({"do": "echo", "value": [1]}))
    assert json.load(answer["Payload"]) == [1]


def test_a_url_streams(cloud, function, url):  # noqa: F811
    stream = Stream(cloud, url(function), "?do=stream")
    headers = stream.answer.headers
    assert (stream.answer.status, headers["x-own"], headers["set-cookie"]) == (200, "yes", "a=1")
    assert stream.answer.read() == b"x" * 9
    stream.close()
