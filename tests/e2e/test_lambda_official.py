"""One function in many languages: on our bootstraps, on AWS's own clients, and on programs that speak the Runtime API.

What the function does is said in tests/functions/README.md.
"""

import base64
import functools
import importlib.metadata
import json
import os
import re
import shutil
import subprocess
import sys
import uuid
from pathlib import Path

import pytest

import packages
from cloud import environment
from conftest import function_arn

FUNCTIONS = Path(__file__).parents[1] / "functions"
PROVIDED = {"Runtime": "provided.al2023", "Handler": "app.handler"}
JSON_BYTES_MAX = 6 * 1024**2
# A response may be a little longer than an event. Source: AWS Lambda Developer Guide, "Lambda quotas".
RESPONSE_BYTES_MAX = JSON_BYTES_MAX + 100
RUST_ERROR = "&alloc::boxed::Box<dyn core::error::Error + core::marker::Send + core::marker::Sync>"
PYTHON = "/usr/bin/python3"
RUBY = "/usr/bin/ruby"
RIC = ("awslambdaric", "simplejson", "snapshot_restore_py")
RIC_BOOTSTRAP = f"""#!/bin/sh
cd "$LAMBDA_TASK_ROOT"
export PYTHONPATH="$LAMBDA_TASK_ROOT"
exec {PYTHON} -m awslambdaric "$_HANDLER"
"""


def text(*parts):
    return FUNCTIONS.joinpath(*parts).read_bytes()


def ours_in_python():
    return packages.package({"app.py": text("python", "app.py")})


def ours_in_node():
    return packages.package({"index.mjs": text("node", "index.mjs")})


def awslambdaric(name="app.py", code=None):
    """A package with the client as it was installed beside pytest, and a module; for the system's own Python."""
    found = subprocess.run(
        [PYTHON, "-c", "import sys; print('%d.%d' % sys.version_info[:2])"], capture_output=True, text=True
    )
    ours = "%d.%d" % sys.version_info[:2]
    if found.stdout.strip() != ours:
        pytest.skip(f"awslambdaric was installed for Python {ours}, and {PYTHON} is {found.stdout.strip() or 'missing'}")
    return packages.package(
        {**client_of_python(), name: code or text("python", "app.py"), "bootstrap": RIC_BOOTSTRAP}, {"bootstrap": 0o755}
    )


@functools.cache
def client_of_python():
    files = {}
    for distribution in RIC:
        for file in importlib.metadata.files(distribution):
            if file.suffix in (".py", ".so") and ".." not in file.parts:
                files[str(file)] = file.locate().read_bytes()
    assert any(name.endswith(".so") for name in files), "the client has a compiled part"
    return files


def lambda_runtime():
    program = os.environ.get("LAMBENT_TEST_RUST_FUNCTION")
    assert program, "LAMBENT_TEST_RUST_FUNCTION must name the program of tests/functions/rust"
    return packages.package({"bootstrap": Path(program).read_bytes()}, {"bootstrap": 0o755})


def ruby():
    if not Path(RUBY).exists():
        pytest.skip(f"there is no {RUBY} (Debian: ruby)")
    return packages.package({"bootstrap": text("ruby", "bootstrap")}, {"bootstrap": 0o755})


def java(folder):
    """Java's own classes are in the package, too: what runs is what would run on AWS, where `provided` has no Java."""
    for tool in ("javac", "jlink"):
        if not shutil.which(tool):
            pytest.skip(f"there is no {tool} (Debian: openjdk-17-jdk-headless)")
    run = lambda *words: subprocess.run(words, check=True, capture_output=True, env=environment())
    classes, runtime = folder / "classes", folder / "jre"
    run("javac", "-d", classes, FUNCTIONS / "java/Function.java")
    strip = ("--strip-debug", "--no-man-pages", "--no-header-files")
    run("jlink", "--add-modules", "java.base", *strip, "--output", runtime)
    # The archive of loaded classes halves the time that Java needs to start.
    run(runtime / "bin/java", "-Xshare:dump", "-XX:+UseSerialGC")
    files = {f"jre/{path.relative_to(runtime)}": path for path in runtime.rglob("*") if path.is_file()}
    modes = {name: path.stat().st_mode & 0o755 for name, path in files.items()}
    contents = {name: path.read_bytes() for name, path in files.items() if "/legal/" not in name}
    contents |= {"Function.class": (classes / "Function.class").read_bytes(), "bootstrap": text("java", "bootstrap")}
    return packages.package(contents, {**modes, "bootstrap": 0o755}, level=1)


KINDS = {
    "our Python": (ours_in_python, {"Runtime": "python3.13", "Handler": "app.handler"}, "ValueError"),
    "our Node": (ours_in_node, {"Runtime": "nodejs22.x", "Handler": "index.handler"}, "RangeError"),
    "awslambdaric": (awslambdaric, PROVIDED, "ValueError"),
    "lambda_runtime": (lambda_runtime, PROVIDED, RUST_ERROR),
    "Java": (java, PROVIDED, "java.lang.IllegalStateException"),
    "Ruby": (ruby, PROVIDED, "ArgumentError"),
}


class Function:
    """A deployed function; `error_type` is what its language calls its usual error."""

    def __init__(self, client, name, error_type):
        self.client, self.name, self.error_type = client, name, error_type

    def invoke(self, event, **more):
        """The result of a call that must not fail; a string is sent as it is."""
        answer = self.answer(event, **more)
        value = json.loads(answer["Payload"].read())
        assert "FunctionError" not in answer, value
        return value

    def fail(self, event):
        """What the function's error says, of a call that must fail."""
        answer = self.answer(event)
        problem = json.loads(answer["Payload"].read())
        assert answer["FunctionError"] == "Unhandled", problem
        return problem

    def answer(self, event, **more):
        payload = event if isinstance(event, str) else json.dumps(event, ensure_ascii=False)
        return self.client.invoke(FunctionName=self.name, Payload=payload.encode(), **more)


@pytest.fixture(scope="module", params=KINDS)
def function(request, awslambda, role, tmp_path_factory):
    make, settings, error_type = KINDS[request.param]
    package = make(tmp_path_factory.mktemp("java")) if make is java else make()
    name = f"official-{uuid.uuid4().hex[:12]}"
    limits = {"MemorySize": 512, "Timeout": 30, "Role": role}
    awslambda.create_function(FunctionName=name, Code={"ZipFile": package}, **limits, **settings)
    awslambda.get_waiter("function_active_v2").wait(FunctionName=name, WaiterConfig={"Delay": 0.1, "MaxAttempts": 300})
    yield Function(awslambda, name, error_type)
    awslambda.delete_function(FunctionName=name)


def test_events_come_back_as_they_were(function):
    values = [None, True, 0, -1.5, "", "ü🦀 \u2028 \u007f", [], {}, {"a": [1, {"b": None}], "ключ": "値"}, "x" * 100_000]
    assert [function.invoke({"do": "echo", "value": value}) for value in values] == values
    assert function.invoke({"any": "other"}) == {"any": "other"}


def test_the_context(function):
    client = {"custom": {"name": "Größe 🌍"}}
    encoded = base64.b64encode(json.dumps(client, ensure_ascii=False).encode()).decode()
    answer = function.answer({"do": "context"}, ClientContext=encoded)
    context = json.loads(answer["Payload"].read())
    expected = {
        "request": answer["ResponseMetadata"]["RequestId"],
        "arn": function_arn(function.name),
        "name": function.name,
        "version": "$LATEST",
        "memory": "512",
        "log_group": f"/aws/lambda/{function.name}",
        "custom": {"name": "Größe 🌍"},
    }
    assert {key: context.get(key) for key in expected} == expected
    assert 20_000 < context["remaining_ms"] <= 30_000
    assert re.fullmatch(r"Root=1-[0-9a-f]{8}-[0-9a-f]{24}(;\w+=[\w:]+)*", context["trace"])
    assert re.fullmatch(r"\d{4}/\d\d/\d\d/\[\$LATEST\][0-9a-f]{32}", context["log_stream"])


def test_errors_leave_the_environment_as_it_was(function):
    before = function.invoke({"do": "count"})
    problem = function.fail({"do": "fail", "message": "asked to, ü"})
    assert (problem["errorType"], problem["errorMessage"]) == (function.error_type, "asked to, ü")
    assert function.invoke({"do": "count"}) == before + 2


def test_the_largest_event_and_the_largest_response(function):
    frame = len('{"do": "echo", "value": ""}')
    text = "y" * (JSON_BYTES_MAX - frame)
    assert function.invoke({"do": "echo", "value": text}) == text
    assert len(function.invoke({"do": "big", "bytes": RESPONSE_BYTES_MAX - 2})) == RESPONSE_BYTES_MAX - 2


def test_a_response_that_is_a_byte_too_long(function):
    problem = function.fail({"do": "big", "bytes": RESPONSE_BYTES_MAX - 1})
    assert problem["errorType"] == "Function.ResponseSizeTooLarge"
    assert function.invoke({"do": "echo", "value": "well"}) == "well"


def test_lines_that_are_printed_are_in_the_log(function):
    lines = ["plain", "ü🦀", "x" * 300]
    answer = function.answer({"do": "log", "lines": lines}, LogType="Tail")
    assert answer["Payload"].read() == b"null"
    tail = base64.b64decode(answer["LogResult"]).decode().splitlines()
    request = answer["ResponseMetadata"]["RequestId"]
    assert tail[:4] == [f"START RequestId: {request} Version: $LATEST", *lines]
    assert tail[4] == f"END RequestId: {request}"
    assert tail[5].startswith(f"REPORT RequestId: {request}\tDuration: ")


def test_a_process_that_ends_in_the_middle_of_a_call(function):
    problem = function.fail({"do": "exit", "status": 3})
    assert problem["errorType"] == "Runtime.ExitError"
    assert problem["errorMessage"].endswith("Error: Runtime exited with error: exit status 3")
    assert function.invoke({"do": "count"}) == 1, "the next call has a new environment"


def test_a_hundred_calls_in_one_environment(function):
    first = function.invoke({"do": "count"})
    for number in range(100):
        assert function.invoke({"do": "echo", "value": number}) == number
    assert function.invoke({"do": "count"}) == first + 101


@pytest.mark.parametrize("function", ["lambda_runtime"], indirect=True)
def test_a_panic_in_rust(function):
    before = function.invoke({"do": "count"})
    problem = function.fail({"do": "panic", "message": "on purpose"})
    assert problem["errorType"].startswith("&alloc::boxed::Box<dyn core::any::Any")
    assert "on purpose" in problem["errorMessage"]
    assert function.invoke({"do": "count"}) == before + 2, "AWS's runtime catches it"


# Modules whose handler, or whose loading, goes wrong.
FAULTS = {
    "raises": "def handler(event, context): raise KeyError('missing', 1)",
    "raises its own": "class Refused(Exception): pass\ndef handler(event, context): raise Refused({'why': 'ü'})",
    "fails deep inside": "def handler(event, context): return int(event['none'])",
    "chains": "def handler(e, c):\n    try: 1 / 0\n    except ZeroDivisionError as error: raise ValueError('b') from error",
    "returns a set": "def handler(event, context): return {1, 2}",
    "returns bytes": "def handler(event, context): return b'x'",
    "ends": "import sys\ndef handler(event, context): sys.exit(4)",
    "has no handler": "def other(event, context): pass",
    "is no Python": "def handler(event, context)\n    pass",
    "imports what is not there": "import nothing_of_the_kind\ndef handler(event, context): pass",
    "raises when loaded": "raise RuntimeError('while loading')",
    "raises when loaded, with a cause": "try: {}['a']\nexcept KeyError as error: raise OSError(5, 'no') from error",
}


@pytest.mark.parametrize("fault", FAULTS)
def test_our_python_fails_as_the_official_client_does(awslambda, deploy, fault):
    code = FAULTS[fault]
    theirs = deploy(awslambdaric("index.py", code), **{**PROVIDED, "Handler": "index.handler"}, Timeout=10)
    ours = deploy(packages.package({"index.py": code}), Runtime="python3.13")
    problems = [complaint(awslambda.invoke(FunctionName=name)) for name in (theirs, ours)]
    assert problems[1] == problems[0]


def test_our_python_takes_handlers_names_as_the_official_client_does(awslambda, deploy):
    code = "def handler(event, context): return 'here'"
    for handler in ("index.handler", "./index.handler", "nowhere.handler", "index", "index.", "index.a.b", "sys.exit", "json.dumps"):
        theirs = deploy(awslambdaric("index.py", code), **{**PROVIDED, "Handler": handler})
        ours = deploy(packages.package({"index.py": code}), Runtime="python3.13", Handler=handler)
        problems = [complaint(awslambda.invoke(FunctionName=name)) for name in (theirs, ours)]
        assert problems[1] == problems[0], handler


def complaint(answer):
    """An answer without what differs from call to call, and without the client's own lines of a trace."""
    payload = answer["Payload"].read()
    if "FunctionError" not in answer:
        return payload
    problem = json.loads(payload)
    problem.pop("requestId", None)
    problem["errorMessage"] = re.sub(r"RequestId: \S+", "RequestId: ID", problem["errorMessage"])
    problem["stackTrace"] = [line for line in problem.get("stackTrace", []) if "/var/task/index.py" in line]
    return problem
