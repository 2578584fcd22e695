"""Runtimes that end when they should not, say what they may not, or never come to the point.

Whoever calls gets AWS's error object, the log its END and REPORT lines, the environment is gone where it is of no more
use, and a neighbour notices nothing. What managed runtimes report of exceptions is in test_lambda_errors.py.
Source of what the Runtime API answers: aws/aws-lambda-runtime-interface-emulator, `internal/lambda/rapi`.
"""

import base64
import json
import re
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

import packages
from cloud import eventually

PROVIDED = {"Runtime": "provided.al2023", "Handler": "any.thing"}
NODE = {"Runtime": "nodejs20.x"}
LIMIT_BYTES = 6_291_556
EXIT, ENTRYPOINT = "Runtime.ExitError", "Runtime.InvalidEntrypoint"

# What a runtime written for the shell begins with. `next` waits for an event; `post` sends an answer and says its status.
SHELL = """#!/bin/bash
api="http://$AWS_LAMBDA_RUNTIME_API/2018-06-01/runtime"
next() {
  id=$(curl -sS -o /tmp/event -D - "$api/invocation/next" | grep -Fi Lambda-Runtime-Aws-Request-Id | tr -d '[:space:]' | cut -d: -f2)
}
post() { path=$1; shift; curl -sS -o /tmp/said -w '%{http_code}' -X POST "$api/$path" "$@" >> /tmp/codes; cat /tmp/said >> /tmp/codes; echo >> /tmp/codes; }
"""


class Answer:
    """What came of a call: the error object or the result, and the end of the log."""

    def __init__(self, answer):
        assert answer["StatusCode"] == 200
        self.failed = answer.get("FunctionError")
        self.header = answer["ResponseMetadata"]["HTTPHeaders"].get("x-amz-function-error")
        self.request = answer["ResponseMetadata"]["RequestId"]
        self.body = answer["Payload"].read()
        self.tail = base64.b64decode(answer["LogResult"]).decode(errors="replace")

    def json(self):
        return json.loads(self.body)

    def was_refused(self, kind, message, status="error"):
        """AWS's error object, its header, and END and REPORT in the log, the latter with the reason."""
        assert (self.failed, self.header) == ("Unhandled", "Unhandled"), self.body
        problem = self.json()
        assert problem["errorType"] == kind, problem
        expected = f"RequestId: {self.request} Error: {message}"
        assert problem["errorMessage"] == expected, problem
        assert f"START RequestId: {self.request} " in self.tail
        assert f"END RequestId: {self.request}\n" in self.tail
        said = "timeout" if status == "timeout" else rf"error\tError Type: {re.escape(kind)}"
        report = rf"^REPORT RequestId: {self.request}\tDuration: .*\tStatus: {said}$"
        assert re.search(report, self.tail, re.MULTILINE), self.tail


@pytest.fixture
def call(awslambda):
    def call(name, event=None):
        return Answer(awslambda.invoke(FunctionName=name, Payload=json.dumps(event), LogType="Tail"))

    return call


@pytest.fixture(autouse=True)
def neighbour(call, deploy):
    """A function whose environment must be the same before and after whatever the test does."""
    code = "import uuid\nme = str(uuid.uuid4())\ndef handler(event, context): return me"
    name = deploy(code)
    before = call(name).json()
    yield
    assert call(name).json() == before, "the neighbour's environment was not touched"


@pytest.fixture
def log_of(logs):
    """A function's log events, once so many calls have ended."""

    def log_of(name, calls):
        def all_there():
            groups = logs.describe_log_groups(logGroupNamePrefix=f"/aws/lambda/{name}")["logGroups"]
            events = logs.filter_log_events(logGroupName=groups[0]["logGroupName"])["events"] if groups else []
            return events if sum(is_report(event) for event in events) >= calls else None

        return eventually(all_there)

    return log_of


@pytest.fixture
def environments(log_of):
    """How many environments wrote the reports of a function's calls, once there are so many."""
    return lambda name, calls: len({event["logStreamName"] for event in log_of(name, calls) if is_report(event)})


def is_report(event):
    return event["message"].startswith("REPORT ")


def shell(code):
    return packages.bootstrap(SHELL + code)


ENDS_WHILE_LOADING = {
    "shell, at once": (packages.bootstrap("#!/bin/sh\nexit 0\n"), PROVIDED, "Runtime exited without providing a reason"),
    "shell, by a signal": (packages.bootstrap("#!/bin/sh\nkill -9 $$\n"), PROVIDED, "Runtime exited with error: signal: killed"),
    "python": (packages.python("import os\nos._exit(5)"), {}, "Runtime exited with error: exit status 5"),
    "python, politely": (packages.python("import sys\nsys.exit(6)"), {}, "Runtime exited with error: exit status 6"),
    "python, by a signal": (
        packages.python("import os\nos.kill(os.getpid(), 11)"),
        {},
        "Runtime exited with error: signal: segmentation fault",
    ),
    "node": (packages.node("process.exit(7)"), NODE, "Runtime exited with error: exit status 7"),
}


@pytest.mark.parametrize(("code", "settings", "why"), ENDS_WHILE_LOADING.values(), ids=ENDS_WHILE_LOADING)
def test_one_that_ends_while_it_loads(call, deploy, environments, code, settings, why):
    name = deploy(code, **settings)
    for _ in range(2):
        answer = call(name)
        answer.was_refused(EXIT, why)
        assert f"{EXIT}\n" in answer.tail
    assert environments(name, 2) == 2


# By kind: one that answers with a name of its environment, or ends when it is told to.
ENDS_MID_CALL = {
    "python": (
        packages.python("import os, uuid\nme = str(uuid.uuid4())\ndef handler(event, _):\n    if event: os._exit(4)\n    return me"),
        {},
    ),
    "node": (
        packages.node("const me = crypto.randomUUID();\nexport const handler = async (event) => event ? process.exit(4) : me;"),
        NODE,
    ),
    "shell": (
        shell('me=$(cat /proc/sys/kernel/random/uuid)\nwhile next; do [ "$(cat /tmp/event)" = 1 ] && exit 4; post "invocation/$id/response" -d "\\"$me\\""; done'),
        PROVIDED,
    ),
}


@pytest.mark.parametrize(("code", "settings"), ENDS_MID_CALL.values(), ids=ENDS_MID_CALL)
def test_one_that_ends_in_the_middle_of_a_call(call, deploy, code, settings):
    name = deploy(code, **settings)
    first = call(name, 0).json()
    assert call(name, 0).json() == first
    call(name, 1).was_refused(EXIT, "Runtime exited with error: exit status 4")
    assert call(name, 0).json() != first, "the next call has a new environment"


def test_one_that_ends_between_calls(call, deploy):
    """Nobody's call fails for it: the next has a new environment."""
    code = shell('next; post "invocation/$id/response" -d "\\"$(cat /proc/sys/kernel/random/uuid)\\""; exit 3')
    name = deploy(code, **PROVIDED)
    answers = [call(name) for _ in range(3)]
    assert [answer.failed for answer in answers] == [None] * 3
    assert len({answer.body for answer in answers}) == 3


UNUSABLE = {
    "not executable": ({"bootstrap": "#!/bin/sh\nexit 0\n"}, {}, "fork/exec /var/task/bootstrap: permission denied"),
    "a folder": ({"bootstrap/file": ""}, {}, "fork/exec /var/task/bootstrap: permission denied"),
    "no program": ({"bootstrap": b"\x00\x01\x02"}, {"bootstrap": 0o755}, "fork/exec /var/task/bootstrap: exec format error"),
    "an interpreter that is not there": (
        {"bootstrap": "#!/no/such/shell\n"},
        {"bootstrap": 0o755},
        "fork/exec /var/task/bootstrap: no such file or directory",
    ),
    "not there": ({"other": ""}, {}, "Couldn't find valid bootstrap(s): [/var/task/bootstrap /opt/bootstrap]"),
}


@pytest.mark.parametrize(("files", "modes", "why"), UNUSABLE.values(), ids=UNUSABLE)
def test_a_bootstrap_that_cannot_be_started(call, deploy, environments, files, modes, why):
    name = deploy(packages.package(files, modes), **PROVIDED)
    for _ in range(2):
        answer = call(name)
        answer.was_refused(ENTRYPOINT, why)
        assert f"{ENTRYPOINT}\n" in answer.tail
    assert environments(name, 2) == 2


def test_one_that_says_why_it_cannot_load(call, deploy, environments):
    """What a runtime posts to `init/error` is what the caller gets, and its environment is gone."""
    error = '{"errorType": "My.Reason", "errorMessage": "no luck", "stackTrace": ["a", "b"]}'
    name = deploy(shell(f"post init/error -H 'Lambda-Runtime-Function-Error-Type: My.Reason' -d '{error}'\nsleep 60"), **PROVIDED)
    for _ in range(2):
        answer = call(name)
        assert (answer.failed, answer.json()) == ("Unhandled", json.loads(error))
        assert "\tStatus: error\tError Type: My.Reason\n" in answer.tail
    assert environments(name, 2) == 2


UNJSON = {
    "python, a set": (packages.python("def handler(event, _): return {1, 2}"), {}, "Unable to marshal response: "),
    "python, half a character": (packages.python("def handler(event, _): return chr(0xd800)"), {}, "Unable to marshal response: "),
    "python, a circle": (packages.python("def handler(event, _):\n    a = []\n    a.append(a)\n    return a"), {}, "Unable to marshal response: "),
    "node, a circle": (
        packages.node("export const handler = async () => { const a = {}; a.a = a; return a; }"),
        NODE,
        "Unable to stringify response body",
    ),
    "node, a large number": (packages.node("export const handler = async () => 1n"), NODE, "Unable to stringify response body"),
}


@pytest.mark.parametrize(("code", "settings", "why"), UNJSON.values(), ids=UNJSON)
def test_a_result_that_cannot_be_told(call, deploy, environments, code, settings, why):
    """A mistake of the handler's: its environment serves on."""
    name = deploy(code, **settings)
    for _ in range(2):
        answer = call(name)
        problem = answer.json()
        assert (answer.failed, problem["errorType"]) == ("Unhandled", "Runtime.MarshalError")
        assert problem["errorMessage"].startswith(why)
        assert f"\nREPORT RequestId: {answer.request}\t" in answer.tail
    assert environments(name, 2) == 1


@pytest.mark.parametrize("body", [b"not json", b"\xff\xfe\x00 no text", b'{"half": ', b""], ids=["words", "bytes", "half", "nothing"])
def test_a_runtime_may_answer_with_anything(call, deploy, body):
    """Lambda hands on what a runtime posts as it is: JSON is an agreement between runtimes and callers."""
    files = {"bootstrap": SHELL + 'while next; do post "invocation/$id/response" --data-binary @/var/task/body; done', "body": body}
    name = deploy(packages.package(files, {"bootstrap": 0o755}), **PROVIDED)
    for _ in range(2):
        answer = call(name)
        assert (answer.failed, answer.body) == (None, body)


def test_a_runtime_may_report_anything(call, deploy):
    name = deploy(shell('while next; do post "invocation/$id/error" -d "no object"; done'), **PROVIDED)
    for _ in range(2):
        answer = call(name)
        assert (answer.failed, answer.header, answer.body) == ("Unhandled", "Unhandled", b"no object")
        assert f"END RequestId: {answer.request}\n" in answer.tail


OF_A_SIZE = {
    "python": (packages.python("def handler(event, _): return 'x' * (event - 2)"), {}),
    "node": (packages.node("export const handler = async (event) => 'x'.repeat(event - 2)"), NODE),
    "shell": (
        shell(
            'while next; do { printf \\"; head -c $(($(cat /tmp/event) - 2)) /dev/zero | tr "\\0" x; printf \\"; } > /tmp/body;'
            ' post "invocation/$id/response" --data-binary @/tmp/body; done'
        ),
        PROVIDED,
    ),
}


@pytest.mark.parametrize(("code", "settings"), OF_A_SIZE.values(), ids=OF_A_SIZE)
def test_the_largest_response_and_one_byte_more(call, deploy, code, settings):
    name = deploy(code, **settings, MemorySize=512)
    assert len(call(name, LIMIT_BYTES).body) == LIMIT_BYTES
    answer = call(name, LIMIT_BYTES + 1)
    assert (answer.failed, answer.header) == ("Unhandled", "Unhandled")
    assert answer.json() == {
        "errorType": "Function.ResponseSizeTooLarge",
        "errorMessage": f"Response payload size exceeded maximum allowed payload size ({LIMIT_BYTES} bytes).",
    }
    assert f"\nREPORT RequestId: {answer.request}\t" in answer.tail
    assert call(name, 10).json() == "x" * 8, "the next call is served"


# Posts what it may not, then its answer, with what it was told.
RUDE = """
others=00000000-0000-0000-0000-000000000000
last=
while next; do
  : > /tmp/codes
  post "invocation/$others/response" -d '"for another"'
  post "invocation/$others/error" -d '{}'
  [ -n "$last" ] && post "invocation/$last/response" -d '"for the last one"'
  post "init/error" -d '{}'
  post "nothing"
  curl -sS -o /tmp/said -w '%{http_code}' "$api/invocation/next" >> /tmp/codes; cat /tmp/said >> /tmp/codes; echo >> /tmp/codes
  if [ "$(cat /tmp/event)" = 1 ]; then
    post "invocation/$id/response" -d '"first"'
    post "invocation/$id/response" -d '"second"'
    post "invocation/$id/error" -d '{"errorType": "Late"}'
  else
    base64 -w0 /tmp/codes | sed 's/.*/"&"/' > /tmp/body
    post "invocation/$id/response" --data-binary @/tmp/body
  fi
  cat /tmp/codes
  last=$id
done
"""
WRONG_ID = '400{"errorMessage":"Invalid request ID","errorType":"InvalidRequestID"}'


def told(answer):
    return base64.b64decode(answer.json()).decode().replace("found\n\n", "found\n").splitlines()


def is_wrong_id(line):
    return line.startswith("400") and json.loads(line[3:]) == json.loads(WRONG_ID[3:])


def is_wrong_state(line):
    return line.startswith("403") and json.loads(line[3:])["errorType"] == "InvalidStateTransition"


def test_posts_out_of_turn(call, deploy):
    """For ids that are not running: 400. Against the order of things: 403. None of it reaches a caller."""
    name = deploy(shell(RUDE), **PROVIDED)
    first = told(call(name, 0))
    assert len(first) == 5
    assert all(map(is_wrong_id, first[:2])), first
    assert is_wrong_state(first[2]), first
    assert first[3].startswith("404"), first
    assert first[4] == "2000", "who asks again without having answered gets the same event again"
    second = told(call(name, 0))
    assert is_wrong_id(second[2]), "the last call's id is not running any more"


def test_a_response_posted_twice(call, deploy):
    """The first one counts, and the runtime goes on."""
    name = deploy(shell(RUDE), **PROVIDED)
    for _ in range(3):
        answer = call(name, 1)
        assert (answer.failed, answer.json()) == (None, "first")


LATE = """
    import os, time, urllib.request, uuid
    me = str(uuid.uuid4())
    def post(request):
        url = f"http://{os.environ['AWS_LAMBDA_RUNTIME_API']}/2018-06-01/runtime/invocation/{request}/response"
        urllib.request.urlopen(urllib.request.Request(url, data=b'"late"'), timeout=5)
    def handler(event, context):
        if event and os.fork() == 0:
            os.setsid()
            time.sleep(1.3)
            post(context.aws_request_id)
            os._exit(0)
        if event: time.sleep(30)
        return me
"""


def test_a_response_after_the_timeout(call, deploy):
    """Everything of the environment ends with the call, also what would have answered later."""
    name = deploy(LATE, Timeout=1)
    before = call(name, 0).json()
    answer = call(name, 1)
    answer.was_refused("Sandbox.Timedout", "Task timed out after 1.00 seconds", status="timeout")
    until = time.monotonic() + 0.7
    while time.monotonic() < until:
        after = call(name, 0)
        assert after.failed is None and after.json() not in (before, "late")


NEVER_LOADED = {
    "python": (packages.python("import time\nprint('loading', flush=True)\ntime.sleep(100)"), {}),
    "node": (packages.node("console.log('loading');\nawait new Promise((resolve) => setTimeout(resolve, 100_000));"), NODE),
    "shell": (packages.bootstrap("#!/bin/sh\necho loading\nsleep 100\n"), PROVIDED),
}


def test_loading_for_more_than_ten_seconds(cloud, deploy, log_of):
    """The time to load is its own: ten seconds, which the log shows as INIT_REPORT; after that the function's begins."""
    names = [deploy(code, **settings, Timeout=1) for code, settings in NEVER_LOADED.values()]
    with ThreadPoolExecutor(len(names)) as pool:
        client = cloud.client("lambda")
        answers = list(pool.map(lambda name: Answer(client.invoke(FunctionName=name, LogType="Tail")), names))
    for name, answer in zip(names, answers, strict=True):
        answer.was_refused("Sandbox.Timedout", "Task timed out after 1.00 seconds", status="timeout")
        messages = [event["message"] for event in log_of(name, 1)]
        init = [message for message in messages if message.startswith("INIT_REPORT ")]
        assert len(init) == 1 and re.fullmatch(
            r"INIT_REPORT Init Duration: 1\d{4}\.\d\d ms\tPhase: init\tStatus: timeout\n", init[0]
        ), init
        assert any("loading" in message for message in messages)
