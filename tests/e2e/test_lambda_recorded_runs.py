"""Calls and what comes of them, played as they were recorded: runtimes, logs, URLs, destinations.

The handlers are ours; they give what the recorded ones gave. Steps that make functions are played where they were recorded
with the members that AWS has today.
"""

import base64
import json
import time
import urllib.parse
from contextlib import suppress

import pytest

import packages
from conftest import function_arn
from signing import send

LAMBDA = "lambda_/test_lambda"
COMMON = "lambda_/test_lambda_common"
RUNTIMES = "lambda_/test_lambda_runtimes"
DESTINATIONS = "lambda_/test_lambda_destinations"
# Those of the recorded runtimes that AWS, and Lambent, still let be created.
PYTHONS = ["python3.10", "python3.11", "python3.12", "python3.13", "python3.14"]
NODES = ["nodejs22.x", "nodejs24.x"]

CONTEXT = """
FACTS = ["invoked_function_arn", "function_version", "function_name", "memory_limit_in_mb", "aws_request_id",
         "log_group_name", "log_stream_name"]
def facts(context):
    return {name: getattr(context, name) for name in FACTS}
"""
INTROSPECTION = """
import os
def handler(event, context):
    remaining = {"remaining_time_in_millis": context.get_remaining_time_in_millis()}
    return {"environment": dict(os.environ), "ctx": {**facts(context), **remaining}, "packages": []}
"""
NODE_INTROSPECTION = """
exports.handler = async (event, context) => ({
  environment: process.env,
  ctx: {
    function_name: context.functionName, function_version: context.functionVersion,
    invoked_function_arn: context.invokedFunctionArn, aws_request_id: context.awsRequestId,
    log_group_name: context.logGroupName, log_stream_name: context.logStreamName,
    remaining_time_in_millis: context.getRemainingTimeInMillis(),
  },
  packages: [],
});
"""
# The recorded stack trace names line 55.
FORWARDER = (
    CONTEXT
    + "import logging\nlogging.basicConfig(level=logging.INFO)\nLOGGER = logging.getLogger()\nLOGGER.setLevel(logging.INFO)\n"
    + "\n" * 40
    + """
def handler(event, context):
    print("Lambda log message - print function", flush=True)
    LOGGER.info("Lambda log message - logging module")
    if "raise_error" in event:
        raise Exception("Test exception (this is intentional)")
    return {"event": event, "context": {**facts(context), "client_context": context.client_context}}
"""
)


def zipped(**files):
    """Of `handler_py="..."` and the like."""
    return {"ZipFile": packages.package({name.replace("_", ".", 1): code for name, code in files.items()})}


def invoke(r, step, name, payload=b"{}", **more):
    return r.call(step, "invoke", FunctionName=name, Payload=payload, **more)


def tail(answer):
    """The lines of a log as LogResult has them."""
    return base64.b64decode(answer["LogResult"]).decode().splitlines(keepends=True)


def logged(cloud, name, wanted):
    """A function's log lines, once `wanted` says that they are all there."""
    logs = cloud.client("logs")
    until = time.monotonic() + 60
    while time.monotonic() < until:
        with suppress(logs.exceptions.ResourceNotFoundException):
            events = logs.filter_log_events(logGroupName=f"/aws/lambda/{name}")["events"]
            lines = [event["message"] for event in events]
            if wanted(lines):
                return lines
        time.sleep(0.05)
    raise AssertionError(f"{name} did not log what it should")


def source(runtime, python, node):
    """Handler and code in the runtime's language."""
    if runtime.startswith("python"):
        return {"Handler": "handler.handler", "Code": zipped(handler_py=python)}
    return {"Handler": "index.handler", "Code": zipped(index_js=node)}


@pytest.mark.parametrize("runtime", PYTHONS + NODES)
def test_what_functions_see(replay, runtime):
    r = replay(f"TestLambdaRuntimesCommon::test_introspection_invoke[{runtime}]", COMMON)
    code = source(runtime, CONTEXT + INTROSPECTION, NODE_INTROSPECTION)
    more = {"MemorySize": 1024, "Environment": {"Variables": {"TEST_KEY": "TEST_VAL"}}}
    name = r.function("create_function_result", Runtime=runtime, **code, **more)
    for step, called in [("", name), ("_qualified", f"{function_arn(name)}:$LATEST")]:
        answer = invoke(r, None, called, b'{"simple": "payload"}')
        r.match(f"invocation_result_payload{step}", json.loads(answer["Payload"]))


@pytest.mark.parametrize("runtime", PYTHONS + NODES)
def test_errors(replay, runtime):
    r = replay(f"TestLambdaRuntimesCommon::test_uncaught_exception_invoke[{runtime}]", COMMON)
    python = "def handler(event, context):\n    raise Exception(f'Failed: {event[\"error_msg\"]}')\n"
    node = "exports.handler = async (event) => { throw Error(`Error: ${event.error_msg}`); };\n"
    name = r.function("create_function_result", Runtime=runtime, MemorySize=1024, **source(runtime, python, node))
    invoke(r, "error_result", name, b'{"error_msg": "some_error_msg"}')


@pytest.mark.parametrize("runtime", PYTHONS + NODES)
def test_wrappers(replay, runtime):
    r = replay(f"TestLambdaRuntimesCommon::test_runtime_wrapper_invoke[{runtime}]", COMMON)
    wrapper = '#!/bin/bash\nexport WRAPPER_VAR=wrapped\nexec "$@"\n'
    code = source(runtime, CONTEXT + INTROSPECTION, NODE_INTROSPECTION)
    file = "handler.py" if runtime.startswith("python") else "index.js"
    text = CONTEXT + INTROSPECTION if runtime.startswith("python") else NODE_INTROSPECTION
    code["Code"] = {"ZipFile": packages.package({file: text, "environment_wrapper": wrapper}, {"environment_wrapper": 0o755})}
    variables = {"AWS_LAMBDA_EXEC_WRAPPER": "/var/task/environment_wrapper"}
    name = r.function(
        "create_function_result", Runtime=runtime, MemorySize=1024, Environment={"Variables": variables}, **code
    )
    seen = json.loads(invoke(r, None, name)["Payload"])
    assert seen["environment"]["WRAPPER_VAR"] == "wrapped"


@pytest.mark.parametrize("runtime", NODES)
def test_modules(replay, runtime):
    r = replay(f"TestNodeJSRuntimes::test_invoke_nodejs_es6_lambda[{runtime}]", RUNTIMES)
    code = (
        "export const handler = async (event) => ({ statusCode: 200, "
        "body: JSON.stringify(`response from localstack lambda: ${JSON.stringify(event)}`) });\n"
    )
    given = {"Runtime": runtime, "Handler": "lambda_handler_es6.handler", "Timeout": 30}
    package = {"ZipFile": packages.package({"lambda_handler_es6.mjs": code})}
    name = r.function("creation-result", wrapped=True, Code=package, **given)
    invoke(r, "invocation-result", name, b'{"event_type": "test_lambda"}')


@pytest.mark.parametrize("recorded, language", [("nodejs", "node"), ("python", "python")])
def test_environments_keep_what_is_in_memory(replay, recorded, language):
    r = replay(f"TestLambdaBehavior::test_lambda_cache_local[{recorded}]", LAMBDA)
    python = "seen = -1\ndef handler(event, context):\n    global seen\n    seen += 1\n    return {'counter': seen}\n"
    node = "let seen = 0;\nexports.handler = async () => ({ counter: seen++ });\n"
    runtime = "nodejs22.x" if language == "node" else "python3.12"
    name = r.function(Runtime=runtime, **source(runtime, python, node))
    invoke(r, "first_invoke_result", name)
    invoke(r, "second_invoke_result", name)


KINDS = [("request_response", "RequestResponse"), ("event", "Event"), ("dry_run", "DryRun")]


@pytest.mark.parametrize("recorded", ["python3.9", "python3.10", "nodejs16.x"])
@pytest.mark.parametrize("kind, called", KINDS)
def test_kinds_of_calls(replay, recorded, kind, called):
    r = replay(f"TestLambdaFeatures::test_invocation_type_{kind}[{recorded}]", LAMBDA)
    runtime = "nodejs22.x" if recorded.startswith("node") else "python3.12"
    echo = source(runtime, "def handler(event, context):\n    return event\n", "exports.handler = async (event) => event;\n")
    invoke(r, "invoke-result", r.function(Runtime=runtime, **echo), InvocationType=called)


@pytest.mark.parametrize("language", ["python", "nodejs"])
@pytest.mark.parametrize("called", ["RequestResponse", "Event"])
def test_calls_that_give_nothing(replay, language, called):
    r = replay(f"TestLambdaFeatures::test_invocation_type_no_return_payload[{language}-{called}]", LAMBDA)
    runtime = "nodejs22.x" if language == "nodejs" else "python3.12"
    nothing = source(runtime, "def handler(event, context):\n    pass\n", "exports.handler = async () => {};\n")
    invoke(r, "invoke-result", r.function(Runtime=runtime, **nothing), InvocationType=called)


@pytest.mark.parametrize("recorded", ["python3.10", "nodejs16.x"])
def test_the_end_of_the_log(replay, recorded):
    r = replay(f"TestLambdaFeatures::test_invocation_with_logs[{recorded}]", LAMBDA)
    runtime = "nodejs22.x" if recorded.startswith("node") else "python3.12"
    python = "import json\ndef handler(event, context):\n    print(json.dumps(event))\n    return event\n"
    node = "exports.handler = async (event) => { console.log(JSON.stringify(event)); return event; };\n"
    name = r.function(Runtime=runtime, **source(runtime, python, node))
    answer = invoke(r, "invoke", name, LogType="Tail")
    r.match("logs", {"logs": tail(answer)})


def test_calls_end_in_time_or_do_not(replay):
    wait = "import time\ndef handler(event, context):\n    time.sleep(event['wait'])\n"
    r = replay("TestLambdaBehavior::test_lambda_invoke_no_timeout", LAMBDA)
    invoke(r, "invoke-result", r.function(Code=zipped(index_py=wait)), b'{"wait": 0}')
    r = replay("TestLambdaBehavior::test_lambda_invoke_with_timeout", LAMBDA)
    invoke(r, "invoke-result", r.function(Code=zipped(index_py=wait), Timeout=1), b'{"wait": 4}')


def test_exits(replay):
    for test in ("runtime_exit", "handler_exit"):
        r = replay(f"TestLambdaErrors::test_lambda_{test}", LAMBDA)
        code = "import os\ndef handler(event, context):\n    os._exit(0)\n"
        invoke(r, "invocation_error", r.function(Code=zipped(index_py=code)))


def test_too_large_responses(replay):
    r = replay("TestLambdaBaseFeatures::test_lambda_too_large_response", LAMBDA)
    code = "def handler(event, context):\n    return 'x' * (7 * 1024 * 1024)\n"
    name = r.function(Code=zipped(index_py=code), Timeout=30)
    invoke(r, "invoke_result", name)
    invoke(r, "invoke_result_2", name)


def test_variables(replay):
    r = replay("TestLambdaFeatures::test_lambda_environment", LAMBDA)
    code = "import os\ndef handler(event, context):\n    return {'Hello': os.environ['Hello']}\n"
    name = r.function(Code=zipped(index_py=code), Environment={"Variables": {"Hello": "World"}})
    invoke(r, "invocation-result", name)


def test_contexts(replay):
    payload = json.dumps({"foo": "bar with 'quotes\""}).encode()
    r = replay("TestLambdaFeatures::test_upload_lambda_from_s3", LAMBDA)
    invoke(r, "invocation-response", r.function(Code=zipped(index_py=FORWARDER)), payload)

    r = replay("TestLambdaFeatures::test_invocation_with_qualifier", LAMBDA)
    name = r.function(Code=zipped(index_py=FORWARDER), Publish=True)
    answer = invoke(r, "invocation-response", name, payload, Qualifier="1", LogType="Tail")
    lines = [line.rstrip("\n") for line in tail(answer) if not line.startswith("REPORT")]
    r.match("log_result", {"log_result": lines})

    r = replay("TestLambdaFeatures::test_lambda_with_context", LAMBDA)
    node = "exports.handler = async (event, context) => ({ context });\n"
    name = r.function(Runtime="nodejs22.x", Code=zipped(index_js=node))
    given = {"custom": {"foo": "bar"}, "client": {"snap": ["crackle", "pop"]}, "env": {"fizz": "buzz"}}
    invoke(r, "invocation", name, ClientContext=base64.b64encode(json.dumps(given).encode()).decode())


def test_environments_after_a_timeout(replay):
    r = replay("TestLambdaBehavior::test_lambda_invoke_timed_out_environment_reuse", LAMBDA)
    code = """
import time
number = 0
def handler(event, context):
    global number
    if "sleep" in event:
        time.sleep(event["sleep"])
    elif "write" in event:
        open("/tmp/file", "w").write(event["write"])
    elif "read" in event:
        return {"content": open("/tmp/file").read()}
    elif "set" in event:
        number = event["set"]
    else:
        return {"number": number}
"""
    name = r.function(Code=zipped(index_py=code), Timeout=1)
    for step, event in [
        ("file-write", {"write": "some-content"}),
        ("file-read", {"read": True}),
        ("set-number", {"set": 42}),
        ("read-number", {}),
    ]:
        invoke(r, f"invoke-result-{step}", name, json.dumps(event).encode())


def test_ids_of_requests(replay, cloud):
    code = "def handler(event, context):\n    return context.aws_request_id\n"
    r = replay("TestRequestIdHandling::test_request_id_invoke", LAMBDA)
    invoke(r, "invoke_result", r.function(Code=zipped(index_py=code)))
    r = replay("TestRequestIdHandling::test_request_id_async_invoke_with_retry", LAMBDA)
    invoke(r, "invoke_result", r.function(Code=zipped(index_py=code)), InvocationType="Event")


def test_events_that_are_no_json(replay):
    r = replay(r"TestLambdaErrors::test_lambda_invoke_payload_encoding_error[body-n\x87r\x9e\xe9\xb5\xd7I\xee\x9bmt]", LAMBDA)
    name = r.function()
    invoke(r, "invoke_function_invalid_payload_body", name, b"n\x87r\x9e\xe9\xb5\xd7I\xee\x9bmt")
    r = replay(r"TestLambdaErrors::test_lambda_invoke_payload_encoding_error[message-\x99\xeb,j\x07\xa1zYh]", LAMBDA)
    invoke(r, "invoke_function_invalid_payload_message", name, b"\x99\xeb,j\x07\xa1zYh")


def test_reservations(replay):
    r = replay("TestLambdaConcurrency::test_lambda_concurrency_crud", LAMBDA)
    one = {"FunctionName": r.function()}
    r.call("get_function_concurrency_default", "get_function_concurrency", **one)
    r.call("put_function_concurrency", "put_function_concurrency", ReservedConcurrentExecutions=0, **one)
    r.call("get_function_concurrency_updated", "get_function_concurrency", **one)
    r.call(None, "delete_function_concurrency", **one)
    r.call("get_function_concurrency_deleted", "get_function_concurrency", **one)
    r = replay("TestLambdaConcurrency::test_lambda_concurrency_update", LAMBDA)
    one = {"FunctionName": r.function()}
    r.call("put_function_concurrency", "put_function_concurrency", ReservedConcurrentExecutions=3, **one)
    r.call("get_function_concurrency_updated", "get_function_concurrency", **one)
    r.call(None, "delete_function_concurrency", **one)
    r.call("get_function_concurrency_deleted", "get_function_concurrency", **one)


def provisioned(r, status, name, qualifier):
    """Waits until provisioned concurrency has this status; gives the answer."""
    until = time.monotonic() + 60
    while time.monotonic() < until:
        answer = r.call(None, "get_provisioned_concurrency_config", FunctionName=name, Qualifier=qualifier)
        if answer["Status"] == status:
            return answer
        time.sleep(0.05)
    raise AssertionError(f"{name} never was {status}")


@pytest.mark.parametrize("test, alias", [("test_provisioned_concurrency", None), ("test_provisioned_concurrency_on_alias", "live")])
def test_provisioned_environments(replay, test, alias):
    r = replay(f"TestLambdaConcurrency::{test}", LAMBDA)
    name = r.function(Publish=True)
    if alias:
        r.call(None, "create_alias", FunctionName=name, Name=alias, FunctionVersion="1")
    one = {"FunctionName": name, "Qualifier": alias or "1"}
    r.call("put_provisioned_5", "put_provisioned_concurrency_config", ProvisionedConcurrentExecutions=5, **one)
    r.match("get_provisioned_postwait", provisioned(r, "READY", name, one["Qualifier"]))


def test_provisioned_environments_that_do_not_start(replay):
    r = replay("TestLambdaConcurrency::test_provisioned_concurrency_init_failure", LAMBDA)
    name = r.function(Publish=True, Code=zipped(index_py="raise Exception('no')\n"))
    one = {"FunctionName": name, "Qualifier": "1"}
    r.call("put_provisioned", "put_provisioned_concurrency_config", ProvisionedConcurrentExecutions=1, **one)
    r.match("get_provisioned_postwait", provisioned(r, "FAILED", name, "1"))


def open_url(r, name, **config):
    """Makes a function's URL, and opens it to all as it was recorded; gives the URL."""
    made = r.call("create_lambda_url_config", "create_function_url_config", FunctionName=name, AuthType="NONE", **config)
    opened = {"StatementId": "urlPermission", "Principal": "*", "FunctionUrlAuthType": "NONE"}
    answer = r.client.add_permission(FunctionName=name, Action="lambda:InvokeFunctionUrl", **opened)
    if "add_permission" in r.steps:
        r.match("add_permission", {**answer, "Statement": json.loads(answer["Statement"])})
    # Recorded before this one was asked for, too.
    r.call(
        None, "add_permission", FunctionName=name, StatementId="since", Action="lambda:InvokeFunction", Principal="*",
        InvokedViaFunctionUrl=True,
    )
    return made["FunctionUrl"]


def fetch(cloud, url, method="GET", path="/", headers=None, body=None):
    return send(cloud, method, path, headers=headers, body=body, host=urllib.parse.urlsplit(url).netloc)


RESULTS = {
    "dict": {"hello": "world"},
    "http-response": {"statusCode": 200, "body": "body123"},
    "http-response-json": {"statusCode": 200, "body": '{"hello": "world"}'},
    "list-mixed": ["hello", 3, True],
    "string": "hello",
    "integer": 3,
    "float": 3.1,
    "boolean": True,
}


@pytest.mark.parametrize("kind", RESULTS)
def test_urls(replay, cloud, kind):
    r = replay(f"TestLambdaURL::test_lambda_url_invocation[{kind}]", LAMBDA)
    code = f"def handler(event, context):\n    return {RESULTS[kind]!r}\n"
    url = open_url(r, r.function(Code=zipped(index_py=code)))
    status, headers, body = answered(fetch(cloud, url))
    told = {name: headers[name.lower()] for name in ("Content-Length", "Content-Type")}
    r.match("lambda_url_invocation", {"statuscode": status, "headers": told, "content": body.decode()})


def answered(response):
    """Status, headers and body of what `send` gives."""
    return response.status, {name.lower(): value for name, value in response.headers.items()}, response.body


@pytest.mark.parametrize("mode", ["RESPONSE_STREAM", "BUFFERED", None])
def test_modes_of_urls(replay, mode):
    r = replay(f"TestLambdaURL::test_lambda_url_echo_invoke[{mode}]", LAMBDA)
    open_url(r, r.function(), **({"InvokeMode": mode} if mode else {}))


def test_urls_change(replay):
    r = replay("TestLambdaURL::test_lambda_update_function_url_config", LAMBDA)
    one = {"FunctionName": r.function()}
    r.call("create_lambda_url_config", "create_function_url_config", AuthType="NONE", InvokeMode="BUFFERED", **one)
    r.call("get_url_config", "get_function_url_config", **one)
    r.call("modify_lambda_url_config", "update_function_url_config", AuthType="NONE", InvokeMode="RESPONSE_STREAM", **one)
    r.call("get_url_config_2", "get_function_url_config", **one)
    r.call("modify_lambda_url_config_none", "update_function_url_config", AuthType="NONE", **one)
    r.call("get_url_config_3", "get_function_url_config", **one)


def test_closed_urls(replay, cloud):
    r = replay("TestLambdaPermissions::test_lambda_permission_url_invocation", LAMBDA)
    made = r.call(None, "create_function_url_config", FunctionName=r.function(), AuthType="NONE")
    status, _, body = answered(fetch(cloud, made["FunctionUrl"]))
    assert status == 403
    r.match("lambda_url_invocation_missing_permission", json.loads(body))


def test_urls_and_their_requests_ids(replay, cloud):
    r = replay("TestRequestIdHandling::test_request_id_invoke_url", LAMBDA)
    name = r.function(Code=zipped(index_py="def handler(event, context):\n    return 'hi'\n"))
    status, headers, body = answered(fetch(cloud, open_url(r, name)))
    told = {"x-amzn-RequestId": headers["x-amzn-requestid"]}
    r.match("lambda_url_invocation", {"statuscode": status, "headers": told, "content": body.decode()})
    lines = logged(cloud, name, lambda lines: any(line.startswith("END") for line in lines))
    r.match("end_log_entries", [line.strip() for line in lines if line.startswith("END")])


def test_urls_of_failing_functions(replay):
    r = replay("TestLambdaURL::test_lambda_url_invocation_exception", LAMBDA)
    open_url(r, r.function(Code=zipped(index_py="def handler(event, context):\n    raise Exception('no')\n")))


def test_urls_of_aliases(replay, cloud):
    r = replay("TestLambdaURL::test_lambda_url_persists_after_alias_delete", LAMBDA)
    name = r.function(Publish=True, Code=zipped(index_py="def handler(event, context):\n    return 'hi'\n"))
    r.call(None, "create_alias", FunctionName=name, Name="live", FunctionVersion="1")
    one = {"FunctionName": name, "Qualifier": "live"}
    made = r.client.create_function_url_config(AuthType="NONE", InvokeMode="BUFFERED", **one)
    for sid, action, more in [
        ("url", "lambda:InvokeFunctionUrl", {"FunctionUrlAuthType": "NONE"}),
        ("call", "lambda:InvokeFunction", {"InvokedViaFunctionUrl": True}),
    ]:
        r.call(None, "add_permission", StatementId=sid, Action=action, Principal="*", **more, **one)
    status, _, _ = answered(fetch(cloud, made["FunctionUrl"]))
    r.match("invoke_aliased_url_response", {"status_code": status})
    r.call("delete_alias_resp", "delete_alias", FunctionName=name, Name="live")
    status, headers, body = answered(fetch(cloud, made["FunctionUrl"]))
    told = {"x-amzn-ErrorType": headers["x-amzn-errortype"]}
    step = "invoke_deleted_alias_url_response_delayed"
    r.match(step, {"status_code": status, "headers": told, "content": json.loads(body)})


def test_records_of_successes_go_to_functions(replay, cloud, iam, role):
    for case in ("Success-payload0", "payload0"):
        r = replay(f"TestLambdaDestinationSqs::test_assess_lambda_destination_invocation[{case}]", DESTINATIONS)
        sink = r.function(Code=zipped(index_py="import json\ndef handler(event, context):\n    print(json.dumps(event))\n"))
        allow(iam, role, "lambda:InvokeFunction", function_arn(sink))
        name = r.function(Code=zipped(index_py=FORWARDER))
        to = {"OnSuccess": {"Destination": function_arn(sink)}}
        r.call(None, "put_function_event_invoke_config", FunctionName=name, DestinationConfig=to)
        r.call(None, "invoke", FunctionName=name, InvocationType="Event", Payload=b"{}")
        lines = logged(cloud, sink, lambda lines: any(line.startswith("{") for line in lines))
        taken(r, "receive_message_result", next(line for line in lines if line.startswith("{")))


def test_records_of_failures_go_to_buckets(replay, cloud, s3, bucket, iam, role):
    r = replay("TestLambdaDestinationSqs::test_assess_lambda_destination_invocation[payload1]", DESTINATIONS)
    allow(iam, role, "s3:PutObject", f"arn:aws:s3:::{bucket}/*")
    name = r.function(Handler="handler.handler", Code=zipped(handler_py=FORWARDER))
    to = {"OnFailure": {"Destination": f"arn:aws:s3:::{bucket}"}}
    r.call(None, "put_function_event_invoke_config", FunctionName=name, DestinationConfig=to, MaximumRetryAttempts=0)
    r.call(None, "invoke", FunctionName=name, InvocationType="Event", Payload=b'{"raise_error": 1}')
    until = time.monotonic() + 60
    while not (found := s3.list_objects_v2(Bucket=bucket).get("Contents")) and time.monotonic() < until:
        time.sleep(0.05)
    taken(r, "receive_message_result", s3.get_object(Bucket=bucket, Key=found[0]["Key"])["Body"].read())


def taken(r, step, record):
    """Compares a record; of the recorded answer, what is the queue's own is left as it is."""
    message = r.steps[step]["Messages"][0]
    r.match(step, {**r.steps[step], "Messages": [{**message, "Body": json.loads(record)}]})


def allow(iam, role, action, resource):
    document = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": action, "Resource": resource}]}
    name = role.rpartition("/")[2]
    iam.put_role_policy(RoleName=name, PolicyName=f"recorded-{action.replace(':', '-')}", PolicyDocument=json.dumps(document))
