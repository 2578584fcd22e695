"""examples/wasm: JavaScript and Python as components. They take minutes to build, so they are built only when asked for."""

import json
import os
import subprocess
from pathlib import Path

import pytest

import packages
from cloud import eventually

EXAMPLE = Path(__file__).resolve().parents[2] / "examples/wasm"
# A folder with `javascript.wasm` and `python.wasm` may be given in place of 1.
ASKED = os.environ.get("LAMBENT_TEST_WASM_EXAMPLES")

pytestmark = pytest.mark.skipif(
    not ASKED, reason="LAMBENT_TEST_WASM_EXAMPLES is not set: building the examples takes minutes"
)


@pytest.fixture(scope="module", params=["javascript", "python"])
def component(request, tmp_path_factory):
    if Path(ASKED).is_dir():
        return (Path(ASKED) / f"{request.param}.wasm").read_bytes()
    folder = tmp_path_factory.mktemp(request.param)
    subprocess.run([EXAMPLE / f"build-{request.param}.sh", folder], check=True)
    return (folder / "app.wasm").read_bytes()


@pytest.mark.timeout(900)
@pytest.mark.parametrize("reuse, counts", [("true", [1, 2, 3]), ("false", [1, 1, 1])])
def test_a_language_with_an_interpreter(awslambda, role, unique, component, reuse, counts):
    name = unique("function")
    awslambda.create_function(
        FunctionName=name,
        Runtime="wasi-lambda",
        Handler="app.wasm",
        Role=role,
        MemorySize=256,
        Timeout=10,
        Code={"ZipFile": packages.package({"app.wasm": component})},
        Environment={"Variables": {"LAMBENT_WASM_REUSE": reuse}},
    )

    def settled():
        found = awslambda.get_function_configuration(FunctionName=name)
        return found if found["State"] != "Pending" else None

    state = eventually(settled, timeout_s=600)
    assert state["State"] == "Active", state.get("StateReason")
    invoke = lambda event: awslambda.invoke(FunctionName=name, Payload=json.dumps(event))
    for count in counts:
        answer = invoke({"name": "Ada"})
        result = json.loads(answer["Payload"].read())
        assert result == {"greeting": "Hello, Ada!", "calls": count}
    answer = invoke({})
    assert answer["FunctionError"] == "Unhandled"
    assert json.loads(answer["Payload"].read()) == {"errorType": "BadEvent", "errorMessage": "expected a name"}
    awslambda.delete_function(FunctionName=name)
