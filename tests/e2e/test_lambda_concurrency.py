"""Concurrency: what a function, and all functions together, may run at once."""

import json
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from botocore.exceptions import ClientError

import conftest
import packages

# Waits in the handler until the test lets go, by deleting an object.
HOLD = """
    import boto3, time
    s3 = boto3.client("s3")
    def handler(event, context):
        bucket = event.get("bucket")
        if bucket:
            s3.put_object(Bucket=bucket, Key="in/" + context.aws_request_id)
        while bucket and "Contents" in s3.list_objects_v2(Bucket=bucket, Prefix="hold"):
            time.sleep(0.02)
        return context.function_version
"""


class Held:
    """Calls that run until the block ends."""

    def __init__(self, cloud, s3, bucket):
        self.client, self.s3, self.bucket = cloud.client("lambda"), s3, bucket
        self.threads = ThreadPoolExecutor(32)
        self.calls = []

    def __enter__(self):
        self.s3.put_object(Bucket=self.bucket, Key="hold")
        return self

    def call(self, name):
        """Returns when the call runs, or was turned away."""
        before = self._running()
        payload = json.dumps({"bucket": self.bucket})
        call = self.threads.submit(self.client.invoke, FunctionName=name, Payload=payload)
        self.calls.append(call)
        while self._running() == before and not call.done():
            threading.Event().wait(0.02)
        if call.done():
            call.result()

    def _running(self):
        return self.s3.list_objects_v2(Bucket=self.bucket, Prefix="in/")["KeyCount"]

    def __exit__(self, *_):
        self.s3.delete_object(Bucket=self.bucket, Key="hold")
        self.threads.shutdown()


def throttled(call):
    with pytest.raises(ClientError) as caught:
        call()
    answer = caught.value.response
    assert answer["ResponseMetadata"]["HTTPStatusCode"] == 429
    assert answer["Error"] == {"Code": "TooManyRequestsException", "Message": "Rate Exceeded."}
    assert answer["ResponseMetadata"]["HTTPHeaders"]["retry-after"] == "1"
    return answer["Reason"]


RESERVED = "ReservedFunctionConcurrentInvocationLimitExceeded"


def test_a_reservation_is_shared_by_versions_and_aliases(cloud, awslambda, s3, bucket, deploy):
    name = deploy(HOLD)
    awslambda.publish_version(FunctionName=name)
    awslambda.create_alias(FunctionName=name, Name="live", FunctionVersion="1")
    awslambda.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=2)
    with Held(cloud, s3, bucket) as held:
        held.call(name)
        held.call(f"{name}:live")
        for qualified in [name, f"{name}:1", f"{name}:live"]:
            assert throttled(lambda: awslambda.invoke(FunctionName=qualified)) == RESERVED
        awslambda.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=3)
        held.call(f"{name}:1")
        assert throttled(lambda: awslambda.invoke(FunctionName=name)) == RESERVED
    assert [json.load(call.result()["Payload"]) for call in held.calls] == ["$LATEST", "1", "1"]
    awslambda.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=0)
    assert throttled(lambda: awslambda.invoke(FunctionName=name)) == RESERVED
    awslambda.delete_function_concurrency(FunctionName=name)
    assert awslambda.invoke(FunctionName=name)["StatusCode"] == 200


def test_a_small_account_is_shared_out(own_cloud):
    cloud = own_cloud.start("--concurrency", "12")
    awslambda, s3 = cloud.client("lambda"), cloud.client("s3")
    limit = awslambda.get_account_settings()["AccountLimit"]
    assert (limit["ConcurrentExecutions"], limit["UnreservedConcurrentExecutions"]) == (12, 12)
    s3.create_bucket(Bucket="held")
    role = make_role(cloud)
    for name in ["one", "two"]:
        create(awslambda, name, role)
    with pytest.raises(ClientError) as caught:
        awslambda.put_function_concurrency(FunctionName="one", ReservedConcurrentExecutions=3)
    assert caught.value.response["Error"]["Message"].endswith("below its minimum value of [10].")
    awslambda.put_function_concurrency(FunctionName="one", ReservedConcurrentExecutions=2)
    limit = awslambda.get_account_settings()["AccountLimit"]
    assert limit["UnreservedConcurrentExecutions"] == 10
    with Held(cloud, s3, "held") as held:
        for _ in range(10):
            held.call("two")
        reason = throttled(lambda: awslambda.invoke(FunctionName="two"))
        assert reason == "ConcurrentInvocationLimitExceeded"
        # What is reserved is there whatever the others do.
        held.call("one")
        held.call("one")
        assert throttled(lambda: awslambda.invoke(FunctionName="one")) == RESERVED


def test_a_function_grows_no_faster_than_it_may(own_cloud):
    cloud = own_cloud.start("--scaling-rate", "2")
    awslambda, s3 = cloud.client("lambda"), cloud.client("s3")
    s3.create_bucket(Bucket="held")
    create(awslambda, "grows", make_role(cloud))
    with Held(cloud, s3, "held") as held:
        held.call("grows")
        held.call("grows")
        reason = throttled(lambda: awslambda.invoke(FunctionName="grows"))
        assert reason == "FunctionInvocationRateLimitExceeded"


def make_role(cloud):
    everything = [{"Effect": "Allow", "Action": "*", "Resource": "*"}]
    return conftest.make_role(cloud.client("iam"), "does-all", everything)


def create(awslambda, name, role):
    awslambda.create_function(
        FunctionName=name, Runtime="python3.13", Handler="index.handler", Role=role, Timeout=60,
        Code={"ZipFile": packages.python(HOLD)},
    )  # fmt: skip
    awslambda.get_waiter("function_active_v2").wait(FunctionName=name, WaiterConfig={"Delay": 0.05})
