"""Environments that nobody calls any more."""

import json

import pytest

import packages
from cloud import eventually
from conftest import make_role
from test_lambda_isolation import descendants

CODES = {
    "python3.13": packages.python("calls = 0\ndef handler(event, context):\n    global calls\n    calls += 1\n    return calls"),
    "nodejs22.x": packages.node("let calls = 0\nexports.handler = async () => (calls += 1)", "index.js"),
}


@pytest.mark.parametrize("runtime", CODES)
def test_an_idle_cloud_has_no_processes_but_its_own(new_cloud, runtime):
    new_cloud.start("--keep-alive", "1")
    awslambda = new_cloud.client("lambda")
    role = make_role(new_cloud.client("iam"), "r", [])
    awslambda.create_function(
        FunctionName="f", Runtime=runtime, Handler="index.handler", Role=role, Code={"ZipFile": CODES[runtime]}
    )
    awslambda.get_waiter("function_active_v2").wait(FunctionName="f", WaiterConfig={"Delay": 0.1})
    for _ in range(2):
        call = lambda: json.loads(awslambda.invoke(FunctionName="f")["Payload"].read())
        assert call() == 1, "an environment of its own"
        eventually(lambda: not descendants(new_cloud.process.pid))


def test_a_keep_alive_of_nothing_is_refused(new_cloud):
    refused = new_cloud.command("up", "--keep-alive", "0")
    assert refused.returncode == 2
    assert "--keep-alive" in refused.stderr
