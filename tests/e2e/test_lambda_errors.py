"""What goes wrong in user code, as AWS reports it."""

import base64
import json
import re

import pytest

from recorded import snapshot

FILE = "lambda_/test_lambda"
UUID = r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"


@pytest.fixture
def fail(awslambda, deploy):
    """Deploys and invokes; gives the answer's error kind, its payload and the log's tail."""

    def fail(code, **settings):
        name = deploy(code, **settings)
        answer = awslambda.invoke(FunctionName=name, LogType="Tail")
        assert answer["StatusCode"] == 200
        tail = base64.b64decode(answer["LogResult"]).decode()
        return answer.get("FunctionError"), json.loads(answer["Payload"].read()), tail

    return fail


def test_an_exception_in_the_handler(fail):
    recorded = snapshot(FILE, "TestLambdaErrors::test_lambda_handler_error")["invocation_error"]["Payload"]
    kind, problem, tail = fail("def handler(event, context):\n    raise Exception('Handler fails')")
    assert kind == "Unhandled"
    assert set(problem) == set(recorded)
    assert (problem["errorMessage"], problem["errorType"]) == ("Handler fails", "Exception")
    trace = "  File \"/var/task/index.py\", line 2, in handler\n    raise Exception('Handler fails')\n"
    assert problem["stackTrace"] == [trace]
    assert re.fullmatch(UUID, problem["requestId"])
    assert "[ERROR] Exception: Handler fails\nTraceback (most recent call last):\n" in tail.replace("\r", "\n")


def test_an_exception_of_ones_own(fail):
    code = "class Refused(Exception): pass\ndef handler(event, context):\n    raise Refused({'why': 'ü'})"
    _, problem, _ = fail(code)
    assert (problem["errorType"], problem["errorMessage"]) == ("Refused", "{'why': 'ü'}")


def test_an_exception_while_loading(fail):
    recorded = snapshot(FILE, "TestLambdaErrors::test_lambda_runtime_error")["invocation_error"]["Payload"]
    kind, problem, _ = fail("raise Exception('Runtime startup fails')\ndef handler(event, context): pass")
    assert kind == "Unhandled"
    assert set(problem) == set(recorded)
    assert (problem["errorMessage"], problem["errorType"]) == ("Runtime startup fails", "Exception")
    assert problem["stackTrace"][-1].startswith('  File "/var/task/index.py", line 1, in <module>\n')


def test_a_syntax_error(fail):
    kind, problem, _ = fail("def handler(event, context)\n    return 1")
    assert (kind, problem["errorType"]) == ("Unhandled", "Runtime.UserCodeSyntaxError")
    assert problem["errorMessage"].startswith("Syntax error in module 'index': ")


def test_a_module_that_is_not_there(fail):
    kind, problem, _ = fail("def handler(event, context): pass", Handler="other.handler")
    assert (kind, problem["errorType"]) == ("Unhandled", "Runtime.ImportModuleError")
    assert problem["errorMessage"] == "Unable to import module 'other': No module named 'other'"


def test_a_handler_that_is_not_there(fail):
    kind, problem, _ = fail("def other(event, context): pass")
    assert (kind, problem["errorType"]) == ("Unhandled", "Runtime.HandlerNotFound")
    assert problem["errorMessage"] == "Handler 'handler' missing on module 'index'"


def test_a_handler_that_is_no_name(fail):
    kind, problem, _ = fail("def handler(event, context): pass", Handler="nodot")
    assert (kind, problem["errorType"]) == ("Unhandled", "Runtime.MalformedHandlerName")
    assert problem["errorMessage"].startswith("Bad handler 'nodot'")


def test_a_result_that_is_no_json(fail):
    kind, problem, _ = fail("def handler(event, context): return object()")
    assert (kind, problem["errorType"]) == ("Unhandled", "Runtime.MarshalError")
    assert problem["errorMessage"] == ("Unable to marshal response: Object of type object is not JSON serializable")


def test_the_process_ends(fail):
    kind, problem, _ = fail("import sys\ndef handler(event, context): sys.exit(0)")
    assert (kind, problem["errorType"]) == ("Unhandled", "Runtime.ExitError")
    assert re.fullmatch(f"RequestId: {UUID} Error: Runtime exited without providing a reason", problem["errorMessage"])


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("import os\ndef handler(event, context): os._exit(3)", "Runtime exited with error: exit status 3"),
        (
            "import os\ndef handler(event, context): os.kill(os.getpid(), 9)",
            "Runtime exited with error: signal: killed",
        ),
        (
            "import ctypes\ndef handler(event, context): ctypes.string_at(0)",
            "Runtime exited with error: signal: segmentation fault",
        ),
    ],
    ids=["exit", "kill", "segfault"],
)
def test_the_process_dies(fail, code, words):
    kind, problem, tail = fail(code)
    assert (kind, problem["errorType"]) == ("Unhandled", "Runtime.ExitError")
    assert re.fullmatch(f"RequestId: {UUID} Error: {words}.*", problem["errorMessage"])
    assert "END RequestId: " in tail and "REPORT RequestId: " in tail


def test_the_next_call_gets_a_new_process(awslambda, deploy):
    name = deploy("import os\ndef handler(event, context):\n    if event: os._exit(1)\n    return 'well'")
    for _ in range(2):
        assert awslambda.invoke(FunctionName=name, Payload=b"1")["FunctionError"] == "Unhandled"
        answer = awslambda.invoke(FunctionName=name, Payload=b"0")
        assert answer["Payload"].read() == b'"well"'


def test_timeout(fail):
    kind, problem, tail = fail("import time\ndef handler(event, context): time.sleep(60)", Timeout=1)
    assert (kind, problem["errorType"]) == ("Unhandled", "Sandbox.Timedout")
    assert re.fullmatch(f"RequestId: {UUID} Error: Task timed out after 1.00 seconds", problem["errorMessage"])
    assert "Task timed out after 1.00 seconds" in tail
    assert re.search(r"\tDuration: 1\d\d\d\.\d\d ms\tBilled Duration: 1\d\d\d ms", tail), tail


def test_out_of_memory(fail):
    kind, problem, tail = fail(
        "def handler(event, context):\n    kept = []\n    while True: kept.append(bytearray(1 << 20))", MemorySize=128
    )
    assert kind == "Unhandled"
    assert problem["errorType"] in {"Runtime.OutOfMemory", "Runtime.ExitError"}
    assert "signal: killed" in problem["errorMessage"]
    used = int(re.search(r"Max Memory Used: (\d+) MB", tail).group(1))
    assert 100 <= used <= 128
