"""What functions are sent has the members of AWS's own events, no more and no fewer."""

import json

import pytest

from cloud import eventually
from conftest import function_arn
from recorded import assert_like, event, snapshot

# Prints what it gets, in one line.
RECORDER = """
    import json

    def handler(event, context):
        print("EVENT " + json.dumps(event))
"""
# As the recorded function: it answers, or fails when it is told to.
RECORDED = """
    import json

    def handler(event, context):
        if event.get("raise_error"):
            raise Exception("Test exception (this is intentional)")
        return {"event": event, "context": {
            "invoked_function_arn": context.invoked_function_arn,
            "function_version": context.function_version,
            "function_name": context.function_name,
            "memory_limit_in_mb": context.memory_limit_in_mb,
            "aws_request_id": context.aws_request_id,
            "log_group_name": context.log_group_name,
            "log_stream_name": context.log_stream_name,
            "client_context": context.client_context,
        }}
"""


@pytest.fixture
def recorder(deploy, logs):
    """A function that keeps its events, and a way to read them."""
    name = deploy(RECORDER)

    def events():
        try:
            found = logs.filter_log_events(logGroupName=f"/aws/lambda/{name}", filterPattern='"EVENT"')
        except logs.exceptions.ResourceNotFoundException:
            return []
        return [json.loads(entry["message"].removeprefix("EVENT ")) for entry in found["events"]]

    return name, events


def shape(value):
    """The members and their types."""
    if isinstance(value, dict):
        return {name: shape(member) for name, member in value.items()}
    if isinstance(value, list):
        return [shape(member) for member in value]
    return type(value).__name__


@pytest.mark.parametrize(
    ("sample", "kinds"),
    [("s3Event", ["s3:ObjectCreated:*"]), ("s3EventDeleteObject", ["s3:ObjectRemoved:*"])],
)
def test_s3_events(s3, bucket, recorder, notify, sample, kinds):
    function, events = recorder
    notify(bucket, function, events=kinds)
    s3.put_object(Bucket=bucket, Key="a b", Body=b"twelve bytes")
    s3.delete_object(Bucket=bucket, Key="a b")
    received = eventually(events)[0]
    assert shape(received) == shape(event(sample))
    for ours, theirs in zip(received["Records"], event(sample)["Records"], strict=True):
        assert (ours["eventVersion"], ours["eventSource"]) == (theirs["eventVersion"], theirs["eventSource"])
        assert ours["eventName"] == theirs["eventName"]
        assert ours["s3"]["s3SchemaVersion"] == theirs["s3"]["s3SchemaVersion"]


@pytest.mark.parametrize(("case", "payload"), [("payload0", {}), ("payload1", {"raise_error": 1})])
def test_records_of_asynchronous_calls(awslambda, deploy, recorder, case, payload):
    """As a queue gets them from AWS, so a function gets them here."""
    test = f"TestLambdaDestinationSqs::test_assess_lambda_destination_invocation[{case}]"
    recorded = snapshot("lambda_/test_lambda_destinations", test)["receive_message_result"]["Messages"][0]["Body"]
    target, events = recorder
    to = {"Destination": function_arn(target)}
    name = deploy(RECORDED)
    awslambda.put_function_event_invoke_config(
        FunctionName=name, MaximumRetryAttempts=0, DestinationConfig={"OnSuccess": to, "OnFailure": to}
    )
    awslambda.invoke(FunctionName=name, InvocationType="Event", Payload=json.dumps(payload))
    received = eventually(events)[0]
    # Another line of another file.
    ignore = {"timestamp", "stackTrace"}
    assert_like(received, recorded, ignore)
    assert set(received) == set(recorded)
    failed = "errorType" in recorded["responsePayload"]
    assert ("stackTrace" in received["responsePayload"]) == failed
