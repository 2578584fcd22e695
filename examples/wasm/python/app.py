"""A function of the runtime `wasi-lambda`: what it exports is said in crates/compute/wasm/wit/function.wit."""

import json

from componentize_py_types import Err
from wit_world import exports
from wit_world.exports.handler import Context, Failure

calls = 0


class Handler(exports.Handler):
    def handle(self, event: str, context: Context) -> str:
        global calls
        name = json.loads(event).get("name")
        if not isinstance(name, str):
            # The function's own error; what else is raised ends its instance.
            raise Err(Failure("BadEvent", "expected a name"))
        calls += 1
        print(f"greeting {name} for {context.request_id}")
        return json.dumps({"greeting": f"Hello, {name}!", "calls": calls})
