"""Programs that speak the Runtime API themselves."""

import base64
import json
import subprocess
from pathlib import Path

import pytest

import packages

PROVIDED = {"Runtime": "provided.al2023", "Handler": "any.thing"}


def read(answer):
    return json.loads(answer["Payload"].read())


@pytest.fixture(scope="module")
def package(tmp_path_factory):
    """The runtime in bootstrap.rs, linked statically: it needs nothing of the machine that it runs on."""
    program = tmp_path_factory.mktemp("provided") / "bootstrap"
    source = Path(__file__).with_name("bootstrap.rs")
    static = ["-C", "target-feature=+crt-static", "-C", "strip=symbols", "-O", "--edition", "2021"]
    subprocess.run(["rustc", *static, "-o", program, source], check=True)
    return packages.package({"bootstrap": program.read_bytes()}, {"bootstrap": 0o755})


def test_events_go_through_the_runtime_api(awslambda, deploy, package):
    name = deploy(package, **PROVIDED)
    for word in ("hello", "again"):
        answer = awslambda.invoke(FunctionName=name, Payload=json.dumps({"say": word}), LogType="Tail")
        reply = read(answer)
        assert reply["said"] == word.upper()
        assert reply["arn"].endswith(f":function:{name}")
        assert reply["trace"].startswith("Root=1-")
        tail = base64.b64decode(answer["LogResult"]).decode()
        assert f"handling {answer['ResponseMetadata']['RequestId']}\n" in tail


def test_errors_are_as_the_program_reports_them(awslambda, deploy, package):
    name = deploy(package, **PROVIDED)
    answer = awslambda.invoke(FunctionName=name, Payload=b'{"fail": true}')
    assert answer["FunctionError"] == "Unhandled"
    assert read(answer) == {"errorMessage": "asked to", "errorType": "Asked", "stackTrace": []}
    assert read(awslambda.invoke(FunctionName=name, Payload=b'{"say": "well"}'))["said"] == "WELL"


def test_a_package_without_bootstrap(awslambda, deploy):
    name = deploy(packages.package({"other": "x"}), **PROVIDED)
    answer = awslambda.invoke(FunctionName=name)
    problem = read(answer)
    assert answer["FunctionError"] == "Unhandled"
    assert problem["errorType"] == "Runtime.InvalidEntrypoint"
    assert "Couldn't find valid bootstrap(s)" in problem["errorMessage"]


def test_a_bootstrap_that_ends_at_once(awslambda, deploy):
    name = deploy(packages.bootstrap("#!/bin/sh\nexit 7\n"), **PROVIDED)
    answer = awslambda.invoke(FunctionName=name)
    problem = read(answer)
    assert (answer["FunctionError"], problem["errorType"]) == ("Unhandled", "Runtime.ExitError")
    assert problem["errorMessage"].endswith("Error: Runtime exited with error: exit status 7")


def test_a_bootstrap_that_never_asks(awslambda, deploy):
    name = deploy(packages.bootstrap("#!/bin/sh\nsleep 1000\n"), Timeout=1, **PROVIDED)
    answer = awslambda.invoke(FunctionName=name)
    problem = read(answer)
    assert (answer["FunctionError"], problem["errorType"]) == ("Unhandled", "Sandbox.Timedout")
