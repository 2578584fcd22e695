"""Compiled code of large Node.js functions."""

import json

import packages
from cloud import eventually
from conftest import make_role

# Well over what is compiled for nothing.
FUNCTIONS = 3_000
HANDLER = """
const big = require('./big.js')
exports.handler = async (event) => ({
    value: big.f7(event.a), compiled: require('module').prototype._compile.toString().includes('find('),
})
"""


def package(add):
    text = "".join(f"exports.f{i} = (a) => {{ let r = {i}; for (let k = 0; k < a; k++) r += {add}; return r }}\n" for i in range(FUNCTIONS))
    return packages.package({"index.js": HANDLER, "big.js": text})


def test_large_code_is_compiled_for_its_cold_starts(own_cloud):
    own_cloud.start()
    awslambda = own_cloud.client("lambda")
    role = make_role(own_cloud.client("iam"), "r", [])

    def compiled():
        return {str(path) for path in (own_cloud.data / "code").glob("*.compiled/*/code") if path.stat().st_size > 100_000}

    def cold():
        """The answer of an environment that has compiled code: each new revision has environments of its own."""
        awslambda.update_function_configuration(FunctionName="f", Description=str(next(revisions)))
        awslambda.get_waiter("function_updated_v2").wait(FunctionName="f", WaiterConfig={"Delay": 0.1})
        answer = awslambda.invoke(FunctionName="f", Payload=json.dumps({"a": 3}))
        assert "FunctionError" not in answer
        return json.loads(answer["Payload"].read())

    revisions = iter(range(1_000))
    settings = {"Runtime": "nodejs22.x", "Handler": "index.handler", "Role": role}
    awslambda.create_function(FunctionName="f", Code={"ZipFile": package(1)}, **settings)
    awslambda.get_waiter("function_active_v2").wait(FunctionName="f", WaiterConfig={"Delay": 0.1})
    first = eventually(compiled)
    assert cold() == {"value": 10, "compiled": True}
    assert compiled() == first, "a description changes nothing of it"

    awslambda.update_function_code(FunctionName="f", ZipFile=package(2))
    awslambda.get_waiter("function_updated_v2").wait(FunctionName="f", WaiterConfig={"Delay": 0.1})
    eventually(lambda: compiled() - first)
    assert cold() == {"value": 13, "compiled": True}

    # After a start it is still there.
    own_cloud.stop()
    own_cloud.start()
    awslambda = own_cloud.client("lambda")
    answer = awslambda.invoke(FunctionName="f", Payload=json.dumps({"a": 0}))
    assert json.loads(answer["Payload"].read()) == {"value": 7, "compiled": True}
    awslambda.delete_function(FunctionName="f")
    eventually(lambda: not list((own_cloud.data / "code").iterdir()), timeout_s=60)
