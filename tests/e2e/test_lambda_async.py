"""Asynchronous calls: retries, records, dead letters, loops."""

import json
import urllib.parse

import pytest
from botocore.exceptions import ClientError

import conftest
import packages
from cloud import eventually

WORK = """
    import boto3, json
    def handler(event, context):
        if event.get("fail"):
            raise Exception("as it was asked to")
        return {"got": event}
"""
# Keeps what it is given in a bucket.
KEEP = """
    import boto3, json, os
    def handler(event, context):
        custom = context.client_context.custom if context.client_context else None
        body = json.dumps({"event": event, "custom": custom})
        boto3.client("s3").put_object(Bucket=os.environ["BUCKET"], Key="kept/" + context.aws_request_id, Body=body)
"""


@pytest.fixture
def keeper(deploy, bucket):
    return deploy(KEEP, Environment={"Variables": {"BUCKET": bucket}})


def objects(s3, bucket, prefix):
    found = s3.list_objects_v2(Bucket=bucket, Prefix=prefix).get("Contents", [])
    return {one["Key"]: json.load(s3.get_object(Bucket=bucket, Key=one["Key"])["Body"]) for one in found}


def kept(s3, bucket, count=1):
    def all_there():
        found = objects(s3, bucket, "kept/")
        return len(found) >= count and found

    found = eventually(all_there, timeout_s=60)
    assert len(found) == count
    return list(found.values())


def send(awslambda, name, event):
    answer = awslambda.invoke(FunctionName=name, InvocationType="Event", Payload=json.dumps(event))
    assert answer["StatusCode"] == 202
    return answer["ResponseMetadata"]["RequestId"]


def test_successes_and_failures_reach_functions(awslambda, s3, bucket, deploy, keeper):
    name = deploy(WORK)
    arn = conftest.function_arn(name)
    to_keeper = {"Destination": conftest.function_arn(keeper)}
    awslambda.put_function_event_invoke_config(
        FunctionName=name, MaximumRetryAttempts=0,
        DestinationConfig={"OnSuccess": to_keeper, "OnFailure": to_keeper},
    )  # fmt: skip
    request_id = send(awslambda, name, {"n": 1})
    [success] = kept(s3, bucket)
    timestamp = success["event"].pop("timestamp")
    assert timestamp.endswith("Z") and "T" in timestamp
    assert success["event"] == {
        "version": "1.0",
        "requestContext": {
            "requestId": request_id, "functionArn": f"{arn}:$LATEST", "condition": "Success",
            "approximateInvokeCount": 1,
        },
        "requestPayload": {"n": 1},
        "responseContext": {"statusCode": 200, "executedVersion": "$LATEST"},
        "responsePayload": {"got": {"n": 1}},
    }  # fmt: skip
    send(awslambda, name, {"fail": True})
    failure = [one for one in kept(s3, bucket, 2) if one["event"]["requestPayload"] == {"fail": True}][0]["event"]
    assert failure["requestContext"]["condition"] == "RetriesExhausted"
    assert failure["responseContext"]["functionError"] == "Unhandled"
    assert failure["responsePayload"]["errorMessage"] == "as it was asked to"


def test_failures_and_dead_letters_lie_in_buckets(awslambda, s3, bucket, new_bucket, deploy):
    letters = new_bucket()
    name = deploy(WORK, DeadLetterConfig={"TargetArn": f"arn:aws:s3:::{letters}"})
    shown = awslambda.get_function_configuration(FunctionName=name)["DeadLetterConfig"]
    assert shown == {"TargetArn": f"arn:aws:s3:::{letters}"}
    awslambda.put_function_event_invoke_config(
        FunctionName=name, MaximumRetryAttempts=0,
        DestinationConfig={"OnFailure": {"Destination": f"arn:aws:s3:::{bucket}"}},
    )  # fmt: skip
    request_id = send(awslambda, name, {"fail": True})
    prefix = f"aws/lambda/async/{name}/"
    records = eventually(lambda: objects(s3, bucket, prefix))
    [(key, record)] = records.items()
    year, month, day, last = key.removeprefix(prefix).split("/")
    assert last.startswith(f"{year}-{month}-{day}T") and len(last) == len("2026-11-21T16.00.00-") + 36
    assert record["requestContext"]["requestId"] == request_id
    [key] = eventually(lambda: objects(s3, letters, prefix))
    letter = s3.get_object(Bucket=letters, Key=key)
    assert json.load(letter["Body"]) == {"fail": True}
    assert letter["Metadata"] == {
        "requestid": request_id, "errorcode": "200", "errormessage": "as it was asked to",
    }  # fmt: skip


def test_what_must_not_run_is_handed_on_at_once(awslambda, s3, bucket, deploy, keeper):
    name = deploy(WORK)
    awslambda.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=0)
    awslambda.put_function_event_invoke_config(
        FunctionName=name, DestinationConfig={"OnFailure": {"Destination": conftest.function_arn(keeper)}}
    )
    send(awslambda, name, {"n": 2})
    record = kept(s3, bucket)[0]["event"]
    assert record["requestContext"]["condition"] == "ZeroReservedConcurrency"
    assert record["requestContext"]["approximateInvokeCount"] == 0
    assert record["requestPayload"] == {"n": 2} and "responseContext" not in record


def test_the_functions_role_decides_where_records_go(awslambda, iam, unique, deploy, keeper):
    role = unique("role")
    role_arn = conftest.make_role(iam, role, [])
    name = deploy(WORK, Role=role_arn)
    config = {"OnSuccess": {"Destination": conftest.function_arn(keeper)}}
    with pytest.raises(ClientError) as caught:
        awslambda.put_function_event_invoke_config(FunctionName=name, DestinationConfig=config)
    assert "does not have permissions to call InvokeFunction" in str(caught.value)
    allow = {"Statement": {"Effect": "Allow", "Action": "lambda:InvokeFunction", "Resource": "*"}}
    iam.put_role_policy(RoleName=role, PolicyName="p", PolicyDocument=json.dumps(allow))
    awslambda.put_function_event_invoke_config(FunctionName=name, DestinationConfig=config)
    with pytest.raises(ClientError) as caught:
        awslambda.update_function_configuration(
            FunctionName=name, DeadLetterConfig={"TargetArn": "arn:aws:s3:::no-such-bucket-anywhere"}
        )
    assert caught.value.response["Error"]["Code"] == "InvalidParameterValueException"


# Calls itself through S3: each object that it writes sets it off again.
LOOP = """
    import boto3
    def handler(event, context):
        record = event["Records"][0]["s3"]
        number = int(record["object"]["key"].split("/")[1]) + 1
        boto3.client("s3").put_object(Bucket=record["bucket"]["name"], Key=f"round/{number}")
"""


def test_a_loop_through_a_bucket_is_stopped(awslambda, s3, new_bucket, bucket, deploy, keeper, notify):
    name = deploy(LOOP)
    loop = new_bucket()
    awslambda.put_function_event_invoke_config(
        FunctionName=name, DestinationConfig={"OnFailure": {"Destination": conftest.function_arn(keeper)}}
    )
    notify(loop, name)
    s3.put_object(Bucket=loop, Key="round/0")
    record = kept(s3, bucket)[0]["event"]
    assert record["requestContext"]["condition"] == "RecursiveInvocation"
    key = record["requestPayload"]["Records"][0]["s3"]["object"]["key"]
    assert urllib.parse.unquote(key) == "round/16", "sixteen ran, and the next was stopped"
    assert s3.list_objects_v2(Bucket=loop)["KeyCount"] == 17


def test_a_kill_between_failure_and_destination_loses_nothing(own_cloud):
    own_cloud.start()
    s3, awslambda = own_cloud.client("s3"), own_cloud.client("lambda")
    s3.create_bucket(Bucket="records")
    everything = [{"Effect": "Allow", "Action": "*", "Resource": "*"}]
    role = conftest.make_role(own_cloud.client("iam"), "does-all", everything)
    awslambda.create_function(
        FunctionName="fails", Runtime="python3.13", Handler="index.handler", Role=role,
        Code={"ZipFile": packages.python(WORK)},
    )  # fmt: skip
    awslambda.get_waiter("function_active_v2").wait(FunctionName="fails", WaiterConfig={"Delay": 0.05})
    awslambda.put_function_event_invoke_config(
        FunctionName="fails", MaximumRetryAttempts=0,
        DestinationConfig={"OnFailure": {"Destination": "arn:aws:s3:::records"}},
    )  # fmt: skip
    sent = {send(awslambda, "fails", {"fail": True, "n": number}) for number in range(40)}
    # Somewhere between the first failure and the last record.
    eventually(lambda: objects(s3, "records", "aws/lambda/async/fails/"), every_s=0.002)
    own_cloud.kill()
    own_cloud.start()
    s3 = own_cloud.client("s3")

    def recorded():
        records = objects(s3, "records", "aws/lambda/async/fails/").values()
        found = {record["requestContext"]["requestId"] for record in records}
        return found == sent and found

    assert eventually(recorded, timeout_s=60) == sent
    assert "fails" not in own_cloud.command("dead-letters").stdout
