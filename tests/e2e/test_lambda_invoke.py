import base64
import json
import re
from concurrent.futures import ThreadPoolExecutor

import pytest
from botocore.exceptions import ClientError

from cloud import eventually
from conftest import function_arn
from recorded import assert_like, snapshot

FILE = "lambda_/test_lambda"
ECHO = """
    def handler(event, context):
        return event
"""
UUID = r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"


def read(answer):
    return json.loads(answer["Payload"].read() or b"null")


@pytest.mark.parametrize("event", [{}, {"a": [1, 2.5, None, True, "ü🦀"]}, [], "text", 7, None])
def test_the_event_goes_in_and_the_answer_comes_out(awslambda, deploy, event):
    recorded = snapshot(FILE, "TestLambdaFeatures::test_invocation_type_request_response[python3.10]")
    answer = awslambda.invoke(FunctionName=deploy(ECHO), Payload=json.dumps(event))
    assert_like(answer, recorded["invoke-result"], ignore={"Payload"})
    assert read(answer) == event


def test_without_a_payload_the_event_is_empty(awslambda, deploy):
    assert read(awslambda.invoke(FunctionName=deploy(ECHO))) == {}


def test_one_environment_serves_call_after_call(awslambda, deploy):
    name = deploy("counter = 0\ndef handler(event, context):\n    global counter\n    counter += 1\n    return counter")
    assert [read(awslambda.invoke(FunctionName=name)) for _ in range(5)] == [1, 2, 3, 4, 5]


def test_log_tail(awslambda, deploy):
    name = deploy("def handler(event, context):\n    print('hello', 'tail')\n    return 1", MemorySize=256)
    tails = []
    for _ in range(2):
        answer = awslambda.invoke(FunctionName=name, LogType="Tail")
        tails.append(base64.b64decode(answer["LogResult"]).decode())
    assert "LogResult" not in awslambda.invoke(FunctionName=name)
    number = r"\d+(\.\d+)?"
    report = rf"\tDuration: {number} ms\tBilled Duration: \d+ ms\tMemory Size: 256 MB\tMax Memory Used: \d+ MB\t"
    lines = rf"START RequestId: (?P<id>{UUID}) Version: \$LATEST\nhello tail\nEND RequestId: (?P=id)\n"
    first_lines = r"(INIT_START [^\n]*\n)?([^\n]*3\.13[^\n]*\n)?"
    cold = rf"{first_lines}{lines}REPORT RequestId: (?P=id){report}Init Duration: {number} ms\t\n"
    assert re.fullmatch(cold, tails[0]), tails[0]
    assert re.fullmatch(rf"{lines}REPORT RequestId: (?P=id){report}\n", tails[1]), tails[1]


def test_a_long_log_tail_is_its_last_4_kib(awslambda, deploy):
    name = deploy("def handler(event, context):\n    for number in range(1000): print('line', number)")
    tail = base64.b64decode(awslambda.invoke(FunctionName=name, LogType="Tail")["LogResult"])
    assert len(tail) <= 4096
    assert b"line 999\nEND RequestId: " in tail
    assert b"line 1\n" not in tail


def test_billed_duration_is_the_duration_rounded_up(awslambda, deploy):
    name = deploy("import time\ndef handler(event, context): time.sleep(0.02)")
    awslambda.invoke(FunctionName=name)
    tail = base64.b64decode(awslambda.invoke(FunctionName=name, LogType="Tail")["LogResult"]).decode()
    duration = float(re.search(r"\tDuration: ([\d.]+) ms", tail).group(1))
    billed = int(re.search(r"Billed Duration: (\d+) ms", tail).group(1))
    assert duration >= 20
    assert duration <= billed < duration + 1


def test_the_context(awslambda, deploy):
    name = deploy(
        """
        def handler(event, context):
            return {
                "arn": context.invoked_function_arn, "version": context.function_version, "name": context.function_name,
                "memory": context.memory_limit_in_mb, "id": context.aws_request_id, "group": context.log_group_name,
                "stream": context.log_stream_name, "remaining": context.get_remaining_time_in_millis(),
                "client": context.client_context.custom if context.client_context else None,
            }
        """,
        MemorySize=192,
        Timeout=7,
    )
    client_context = base64.b64encode(json.dumps({"custom": {"foo": "Größe 🌍"}}, ensure_ascii=False).encode()).decode()
    answer = awslambda.invoke(FunctionName=name, ClientContext=client_context)
    context = read(answer)
    assert context["arn"] == function_arn(name)
    assert (context["version"], context["name"], context["memory"]) == ("$LATEST", name, "192")
    assert context["id"] == answer["ResponseMetadata"]["RequestId"]
    assert context["group"] == f"/aws/lambda/{name}"
    assert re.fullmatch(r"\d{4}/\d\d/\d\d/\[\$LATEST\][0-9a-f]{32}", context["stream"])
    assert 5000 < context["remaining"] <= 7000
    assert context["client"] == {"foo": "Größe 🌍"}


def test_the_environment(awslambda, deploy):
    name = deploy(
        "import os\ndef handler(event, context): return dict(os.environ)",
        Environment={"Variables": {"Hello": "World", "EMPTY": ""}},
    )
    variables = read(awslambda.invoke(FunctionName=name))
    expected = {
        "Hello": "World",
        "EMPTY": "",
        "AWS_REGION": "us-east-1",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_LAMBDA_FUNCTION_NAME": name,
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "128",
        "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
        "AWS_LAMBDA_LOG_GROUP_NAME": f"/aws/lambda/{name}",
        "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
        "_HANDLER": "index.handler",
        "LAMBDA_TASK_ROOT": "/var/task",
        "TZ": ":UTC",
    }
    assert {key: variables.get(key) for key in expected} == expected
    assert re.match(r"Root=1-[0-9a-f]{8}-[0-9a-f]{24}", variables["_X_AMZN_TRACE_ID"])
    for secret in ("LAMBENT_ROOT_ACCESS_KEY_ID", "LAMBENT_ROOT_SECRET_ACCESS_KEY"):
        assert secret not in variables


TRACE = "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1"


def traced(client, trace):
    """Lets a client send a tracing header with what it asks of Lambda."""
    add = lambda request, **_: request.headers.__setitem__("X-Amzn-Trace-Id", trace)
    client.meta.events.register("before-sign.lambda.Invoke", add)
    return client


def test_the_callers_trace_goes_on(cloud, deploy):
    """From a caller to a function, and from that one to another, whose event waits in between."""
    inner = deploy("import os\ndef handler(event, context): print('inner', os.environ['_X_AMZN_TRACE_ID'])")
    outer = deploy(
        """
        import os, boto3
        def handler(event, context):
            boto3.client("lambda").invoke(FunctionName=event["inner"], InvocationType="Event")
            return os.environ["_X_AMZN_TRACE_ID"]
        """
    )
    client = traced(cloud.client("lambda"), TRACE)
    assert read(client.invoke(FunctionName=outer, Payload=json.dumps({"inner": inner}))).startswith(f"{TRACE};Lineage=1:")
    logs = cloud.client("logs")
    group = f"/aws/lambda/{inner}"
    eventually(lambda: logs.describe_log_groups(logGroupNamePrefix=group)["logGroups"])
    told = lambda: logs.filter_log_events(logGroupName=group, filterPattern="inner")["events"]
    # One function more in the line, for which recursion is looked for.
    assert eventually(told)[0]["message"].startswith(f"inner {TRACE};Lineage=2:")


def test_event_invocations_run_later(awslambda, deploy, s3, bucket):
    recorded = snapshot(FILE, "TestLambdaFeatures::test_invocation_type_event[python3.10]")
    name = deploy(
        """
        import json, boto3
        def handler(event, context):
            boto3.client("s3").put_object(Bucket=event["bucket"], Key="came", Body=json.dumps(event).encode())
        """
    )
    event = {"bucket": bucket, "number": 7}
    answer = awslambda.invoke(FunctionName=name, InvocationType="Event", Payload=json.dumps(event))
    answer["Payload"] = answer["Payload"].read().decode()
    assert_like(answer, recorded["invoke-result"])
    eventually(lambda: s3.list_objects_v2(Bucket=bucket)["KeyCount"])
    assert json.loads(s3.get_object(Bucket=bucket, Key="came")["Body"].read()) == event


def test_a_burst_of_cold_events_makes_none_too_late(awslambda, logs, deploy, s3, bucket):
    """Each environment loads boto3, which takes a core for a good part of a second; all at once would take all their time."""
    name = deploy(
        """
        import boto3
        s3 = boto3.client("s3")
        def handler(event, context):
            s3.put_object(Bucket=event["bucket"], Key=event["key"])
        """
    )
    keys = {f"event-{number}" for number in range(60)}
    for key in keys:
        event = json.dumps({"bucket": bucket, "key": key})
        awslambda.invoke(FunctionName=name, InvocationType="Event", Payload=event)
    count = lambda: s3.list_objects_v2(Bucket=bucket)["KeyCount"] == len(keys)
    eventually(count, timeout_s=90)
    group = f"/aws/lambda/{name}"
    reports = lambda: logs.filter_log_events(logGroupName=group, filterPattern="REPORT")["events"]
    messages = [event["message"] for event in eventually(lambda: len(reports()) >= len(keys) and reports())]
    assert len(messages) == len(keys), "each ran once"
    assert not [message for message in messages if "Status:" in message], "and none was too late"


def test_dry_run_runs_nothing(awslambda, deploy):
    recorded = snapshot(FILE, "TestLambdaFeatures::test_invocation_type_dry_run[python3.10]")
    name = deploy("count = 0\ndef handler(event, context):\n    global count\n    count += 1\n    return count")
    answer = awslambda.invoke(FunctionName=name, InvocationType="DryRun")
    answer["Payload"] = answer["Payload"].read().decode()
    assert_like(answer, recorded["invoke-result"])
    assert read(awslambda.invoke(FunctionName=name)) == 1


def test_calls_at_the_same_time_run_at_the_same_time(cloud, deploy):
    name = deploy(
        """
        import time, uuid
        me = str(uuid.uuid4())
        def handler(event, context):
            start = time.time()
            time.sleep(5)
            return {"me": me, "start": start, "end": time.time()}
        """,
        Timeout=20,
    )
    call = lambda _: read(cloud.client("lambda").invoke(FunctionName=name))
    with ThreadPoolExecutor(4) as workers:
        runs = list(workers.map(call, range(4)))
    assert len({run["me"] for run in runs}) == 4, "one environment serves one call at a time"
    assert max(run["start"] for run in runs) < min(run["end"] for run in runs)


def test_large_payloads(awslambda, deploy):
    name = deploy(ECHO)
    event = {"text": "x" * (6 * 1024**2 - 100)}
    assert read(awslambda.invoke(FunctionName=name, Payload=json.dumps(event))) == event
    with pytest.raises(ClientError) as excinfo:
        awslambda.invoke(FunctionName=name, Payload=json.dumps({"text": "x" * (6 * 1024**2 + 1000)}))
    answer = excinfo.value.response
    assert answer["ResponseMetadata"]["HTTPStatusCode"] == 413
    assert answer["Error"]["Code"] == "RequestTooLargeException"


def test_a_response_that_is_too_large(awslambda, deploy):
    name = deploy("def handler(event, context): return 'x' * (6 * 1024 * 1024 + 2000)", MemorySize=512)
    answer = awslambda.invoke(FunctionName=name)
    assert answer["FunctionError"] == "Unhandled"
    problem = read(answer)
    assert problem["errorType"] == "Function.ResponseSizeTooLarge"
    assert "payload size exceeded maximum allowed payload size (6291556 bytes)" in problem["errorMessage"]


@pytest.mark.parametrize("payload", [b"not json", b"{", b'{"a": }', b"\x99\xeb,j\x07\xa1zYh"])
def test_a_payload_that_is_no_json(awslambda, deploy, payload):
    with pytest.raises(ClientError) as excinfo:
        awslambda.invoke(FunctionName=deploy(ECHO), Payload=payload)
    answer = excinfo.value.response
    assert answer["ResponseMetadata"]["HTTPStatusCode"] == 400
    assert answer["Error"]["Code"] == "InvalidRequestContentException"
    assert answer["Error"]["Message"].startswith("Could not parse request body into json:")


def test_many_calls_keep_their_answers_apart(cloud, deploy):
    name = deploy(ECHO)
    client = cloud.client("lambda")
    call = lambda number: read(client.invoke(FunctionName=name, Payload=str(number)))
    with ThreadPoolExecutor(4) as workers:
        assert list(workers.map(call, range(200))) == list(range(200))
