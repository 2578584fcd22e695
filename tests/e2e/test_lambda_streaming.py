"""Responses that stream: by InvokeWithResponseStream and by function URLs, large, slow, broken, endless."""

import base64
import http.client
import json
import socket
import threading
import time
import urllib.parse

import pytest
from botocore.exceptions import ClientError

import packages
from cloud import eventually

MIB = 1 << 20
# What the server may use more than before, whatever streams through it.
MEMORY_GROWTH_MAX = 64 * MIB

STREAM = """
import { setTimeout as sleep } from 'node:timers/promises';
const piece = Buffer.alloc(65536, 'x');
const put = async (stream, bytes) => {
  if (!stream.write(bytes)) await new Promise((resolve) => stream.once('drain', resolve));
};
export const handler = awslambda.streamifyResponse(async (event, stream, context) => {
  const wish = event.rawQueryString === undefined ? event : Object.fromEntries(new URLSearchParams(event.rawQueryString));
  if (wish.do === 'throw') throw new RangeError('before');
  if (wish.status) {
    stream = awslambda.HttpResponseStream.from(stream, {
      statusCode: Number(wish.status), headers: { 'content-type': 'text/x', 'x-own': 'yes' }, cookies: ['a=1', 'b=2; Path=/'],
    });
  } else {
    stream.setContentType('text/plain');
  }
  for (let left = Number(wish.pieces ?? 0); left > 0; left--) await put(stream, piece);
  if (wish.text) await put(stream, wish.text);
  if (wish.do === 'break') throw new RangeError('in the middle');
  if (wish.do === 'forever') for (;;) await put(stream, piece);
  if (wish.do === 'drip') for (let n = 0; n < 5; n++) { await put(stream, `${n}`); await sleep(200); }
  stream.end();
});
"""


@pytest.fixture
def streaming(deploy):
    def make(**settings):
        return deploy(packages.node(STREAM), Runtime="nodejs22.x", MemorySize=256, **{"Timeout": 30, **settings})

    return make


@pytest.fixture
def url(awslambda):
    """Gives a function a public URL."""

    def make(function, mode="RESPONSE_STREAM", **more):
        made = awslambda.create_function_url_config(FunctionName=function, AuthType="NONE", InvokeMode=mode, **more)
        open_to_all(awslambda, function)
        return made["FunctionUrl"]

    return make


def open_to_all(awslambda, function, **more):
    awslambda.add_permission(
        FunctionName=function,
        StatementId="url",
        Action="lambda:InvokeFunctionUrl",
        Principal="*",
        FunctionUrlAuthType="NONE",
        **more,
    )
    awslambda.add_permission(
        FunctionName=function,
        StatementId="via-url",
        Action="lambda:InvokeFunction",
        Principal="*",
        InvokedViaFunctionUrl=True,
        **more,
    )


class Stream:
    """A request to a function URL whose answer is read as the test likes."""

    def __init__(self, cloud, url, query="", timeout_s=60, receive_buffer=None):
        target = urllib.parse.urlsplit(url)
        address = urllib.parse.urlsplit(cloud.endpoint)
        self.connection = http.client.HTTPConnection(address.hostname, address.port, timeout=timeout_s)
        if receive_buffer:
            self.connection.sock = socket.socket()
            self.connection.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
            self.connection.sock.settimeout(timeout_s)
            self.connection.sock.connect((address.hostname, address.port))
        self.connection.request("GET", f"/{query}", headers={"Host": target.netloc})
        self.answer = self.connection.getresponse()

    def read_all(self, at_once=MIB):
        total = 0
        while piece := self.answer.read(at_once):
            total += len(piece)
        return total

    def close(self):
        # The response holds the socket, too.
        self.answer.close()
        self.connection.close()


def events(awslambda, function, event, **more):
    """The whole payload and the last event."""
    answer = awslambda.invoke_with_response_stream(FunctionName=function, Payload=json.dumps(event), **more)
    assert answer["StatusCode"] == 200
    payload, last = b"", None
    for event in answer["EventStream"]:
        assert last is None, "nothing comes after the end"
        if "PayloadChunk" in event:
            payload += event["PayloadChunk"]["Payload"]
        else:
            last = event["InvokeComplete"]
    return payload, last, answer


def reports(logs, function):
    """The REPORT lines that the function has by now."""
    try:
        found = logs.filter_log_events(logGroupName=f"/aws/lambda/{function}", filterPattern="REPORT")["events"]
    except logs.exceptions.ResourceNotFoundException:
        return []
    return [event["message"] for event in found]


def test_a_stream_comes_as_events(awslambda, streaming):
    function = streaming()
    payload, last, answer = events(awslambda, function, {"text": "hällo", "pieces": 3}, LogType="Tail")
    assert payload == b"x" * 3 * 65536 + "hällo".encode()
    assert answer["ExecutedVersion"] == "$LATEST"
    assert answer["ResponseStreamContentType"] == "application/vnd.amazon.eventstream"
    assert set(last) == {"LogResult"}
    assert "REPORT RequestId:" in base64.b64decode(last["LogResult"]).decode()
    payload, last, _ = events(awslambda, function, {})
    assert (payload, last) == (b"", {})


def test_what_does_not_stream_comes_as_one_event(awslambda, deploy):
    function = deploy("def handler(event, context):\n    return event['give'] * 'y' if 'give' in event else 1 / 0\n")
    payload, last, _ = events(awslambda, function, {"give": 700_000})
    assert payload == b'"' + b"y" * 700_000 + b'"' and last == {}
    payload, last, _ = events(awslambda, function, {})
    assert payload == b""
    assert last["ErrorCode"] == "Unhandled"
    assert json.loads(last["ErrorDetails"])["errorType"] == "ZeroDivisionError"


def test_a_stream_that_breaks_off_says_why(awslambda, streaming):
    function = streaming()
    payload, last, _ = events(awslambda, function, {"text": "begun", "do": "break"})
    assert payload == b"begun"
    assert json.loads(last["ErrorDetails"])["errorMessage"] == "in the middle"
    payload, last, _ = events(awslambda, function, {"do": "throw"})
    assert payload == b""
    assert json.loads(last["ErrorDetails"])["errorMessage"] == "before"


def test_dry_runs_and_absent_functions(awslambda, streaming):
    function = streaming()
    answer = awslambda.invoke_with_response_stream(FunctionName=function, InvocationType="DryRun")
    assert answer["ResponseMetadata"]["HTTPStatusCode"] == 204
    with pytest.raises(ClientError) as refused:
        awslambda.invoke_with_response_stream(FunctionName="nobody-made-this")
    assert refused.value.response["Error"]["Code"] == "ResourceNotFoundException"
    with pytest.raises(ClientError) as refused:
        awslambda.invoke_with_response_stream(FunctionName=function, Payload="no json")
    assert refused.value.response["Error"]["Code"] == "InvalidRequestContentException"


def test_invoke_gives_a_stream_whole(awslambda, streaming):
    function = streaming()
    answer = awslambda.invoke(FunctionName=function, Payload=json.dumps({"text": '"as json"'}))
    assert json.loads(answer["Payload"].read()) == "as json"
    answer = awslambda.invoke(FunctionName=function, Payload=json.dumps({"pieces": 100}))
    assert json.loads(answer["Payload"].read())["errorType"] == "Function.ResponseSizeTooLarge"


def test_a_url_streams_what_is_written_when_it_is_written(cloud, streaming, url):
    stream = Stream(cloud, url(streaming()), "?do=drip")
    assert stream.answer.status == 200
    assert stream.answer.getheader("transfer-encoding") == "chunked"
    assert stream.answer.getheader("content-type") == "text/plain"
    seen = []
    while piece := stream.answer.read1(100):
        seen.append(piece)
    assert b"".join(seen) == b"01234"
    assert len(seen) == 5, "each piece came by itself"


def test_a_streamed_response_describes_itself(cloud, streaming, url):
    stream = Stream(cloud, url(streaming()), "?status=418&text=body")
    headers = stream.answer.getheaders()
    assert stream.answer.status == 418
    assert stream.answer.read() == b"body"
    assert ("x-own", "yes") in headers and ("content-type", "text/x") in headers
    assert [value for name, value in headers if name == "set-cookie"] == ["a=1", "b=2; Path=/"]


def test_a_streaming_handler_behind_a_buffered_url(cloud, streaming, url):
    address = url(streaming(), mode="BUFFERED")
    stream = Stream(cloud, address, "?status=201&text=body")
    assert (stream.answer.status, stream.answer.read()) == (201, b"body")
    assert stream.answer.getheader("content-length") == "4"
    broken = Stream(cloud, address, "?status=201&text=body&do=break")
    assert (broken.answer.status, broken.answer.read()) == (502, b"Internal Server Error")


def test_a_plain_result_goes_through_a_streaming_url_as_it_is(cloud, deploy, url):
    function = deploy("def handler(event, context):\n    return {'statusCode': 201, 'body': 'x'}\n")
    stream = Stream(cloud, url(function))
    assert stream.answer.status == 200
    assert json.loads(stream.answer.read()) == {"statusCode": 201, "body": "x"}


def test_200_megabytes_go_through_a_few(cloud, streaming, url):
    function = streaming()
    address = url(function)
    Stream(cloud, address, "?text=warm").read_all()
    cloud.forget_memory_peak()
    before = cloud.memory_peak_bytes()
    assert Stream(cloud, address, "?pieces=3200").read_all() == 3200 * 65536
    grown = cloud.memory_peak_bytes() - before
    assert grown < MEMORY_GROWTH_MAX, f"{grown / MIB:.0f} MiB more than before"


def test_more_than_200_megabytes_are_cut_off(cloud, logs, streaming, url):
    function = streaming()
    stream = Stream(cloud, url(function), "?pieces=3300")
    with pytest.raises(http.client.IncompleteRead):
        stream.read_all()
    eventually(lambda: reports(logs, function))


def test_a_slow_reader_costs_no_memory(cloud, streaming, url):
    address = url(streaming(Timeout=60))
    Stream(cloud, address, "?text=warm").read_all()
    cloud.forget_memory_peak()
    before = cloud.memory_peak_bytes()
    slow = [Stream(cloud, address, "?pieces=800", receive_buffer=65536) for _ in range(4)]
    for stream in slow:
        assert len(stream.answer.read(4 * 65536)) == 4 * 65536
    # Others are served meanwhile.
    assert Stream(cloud, address, "?text=meanwhile").answer.read() == b"meanwhile"
    time.sleep(1)
    grown = cloud.memory_peak_bytes() - before
    assert grown < MEMORY_GROWTH_MAX, f"{grown / MIB:.0f} MiB more than before"
    for stream in slow:
        assert stream.read_all() == (800 - 4) * 65536


def test_a_stream_whose_client_is_gone_runs_to_its_end(cloud, logs, streaming, url):
    function = streaming()
    stream = Stream(cloud, url(function), "?pieces=1600&text=done")
    stream.answer.read(1000)
    stream.close()
    [report] = eventually(lambda: reports(logs, function))
    assert "Status:" not in report


def test_a_stream_that_breaks_off_closes_the_connection(cloud, streaming, url):
    address = url(streaming())
    stream = Stream(cloud, address, "?text=begun&do=break")
    assert stream.answer.status == 200
    with pytest.raises(http.client.IncompleteRead) as cut:
        stream.answer.read()
    assert cut.value.partial == b"begun"
    # What fails before it begins is an error like any other.
    failed = Stream(cloud, address, "?do=throw")
    assert (failed.answer.status, failed.answer.read()) == (502, b"Internal Server Error")


def test_a_stream_without_end_is_ended_by_the_timeout(cloud, awslambda, logs, streaming, url):
    function = streaming(Timeout=2)
    address = url(function)
    neighbour = Stream(cloud, address, "?text=neighbour")
    assert neighbour.answer.read() == b"neighbour"
    # One reader reads, which ends at 200 MB if that comes first; one does not, and the function waits until its time is over.
    idle = Stream(cloud, address, "?do=forever")
    reader = Stream(cloud, address, "?do=forever")
    with pytest.raises(http.client.IncompleteRead):
        reader.read_all()
    eventually(lambda: len(reports(logs, function)) == 3)
    assert any("Status: timeout" in line for line in reports(logs, function))
    idle.close()
    payload, last, _ = events(awslambda, function, {"do": "drip", "text": "z" * 10})
    assert payload == b"z" * 10 + b"01234" and last == {}


def test_many_streams_at_once(cloud, streaming, url):
    address = url(streaming())
    sums = []

    def read():
        sums.append(Stream(cloud, address, "?pieces=64").read_all())

    threads = [threading.Thread(target=read) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sums == [64 * 65536] * 12
