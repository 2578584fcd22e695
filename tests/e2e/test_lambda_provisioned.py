"""Provisioned concurrency: environments that wait before anybody calls."""

import json

import pytest
from botocore.exceptions import ClientError

import conftest
import packages
from cloud import eventually

TELL = """
    import os, uuid
    id = str(uuid.uuid4())
    def handler(event, context):
        if event.get("die"):
            os._exit(1)
        return [os.environ["AWS_LAMBDA_INITIALIZATION_TYPE"], id, context.function_version]
"""
ON_DEMAND, PROVISIONED = "on-demand", "provisioned-concurrency"


def call(awslambda, name, event=None):
    answer = awslambda.invoke(FunctionName=name, Payload=json.dumps(event or {}), LogType="Tail")
    return json.load(answer["Payload"])


def standing(awslambda, name, qualifier):
    answer = awslambda.get_provisioned_concurrency_config(FunctionName=name, Qualifier=qualifier)
    numbers = [f"{word}ProvisionedConcurrentExecutions" for word in ["Requested", "Allocated", "Available"]]
    return answer["Status"], *(answer[number] for number in numbers)


def wait_ready(awslambda, name, qualifier, count):
    def ready():
        return standing(awslambda, name, qualifier) == ("READY", count, count, count)

    eventually(ready, timeout_s=60)


def test_they_wait_for_their_version_and_no_other(awslambda, deploy):
    name = deploy(TELL)
    awslambda.publish_version(FunctionName=name)
    put = awslambda.put_provisioned_concurrency_config(
        FunctionName=name, Qualifier="1", ProvisionedConcurrentExecutions=2
    )
    assert (put["Status"], put["AllocatedProvisionedConcurrentExecutions"]) == ("IN_PROGRESS", 0)
    wait_ready(awslambda, name, "1", 2)
    assert call(awslambda, f"{name}:1")[::2] == [PROVISIONED, "1"]
    assert call(awslambda, name)[::2] == [ON_DEMAND, "$LATEST"]
    # One that ends is replaced.
    call(awslambda, f"{name}:1", {"die": True})
    wait_ready(awslambda, name, "1", 2)
    assert call(awslambda, f"{name}:1")[0] == PROVISIONED
    awslambda.delete_provisioned_concurrency_config(FunctionName=name, Qualifier="1")
    assert eventually(lambda: call(awslambda, f"{name}:1")[0] == ON_DEMAND)


def test_they_move_with_their_alias(awslambda, deploy):
    name = deploy(TELL)
    awslambda.publish_version(FunctionName=name)
    awslambda.create_alias(FunctionName=name, Name="live", FunctionVersion="1")
    awslambda.put_provisioned_concurrency_config(
        FunctionName=name, Qualifier="live", ProvisionedConcurrentExecutions=1
    )
    wait_ready(awslambda, name, "live", 1)
    assert call(awslambda, f"{name}:live")[::2] == [PROVISIONED, "1"]
    awslambda.update_function_configuration(FunctionName=name, Description="second")
    awslambda.get_waiter("function_updated_v2").wait(FunctionName=name, WaiterConfig={"Delay": 0.05})
    awslambda.publish_version(FunctionName=name)
    awslambda.update_alias(FunctionName=name, Name="live", FunctionVersion="2")
    eventually(lambda: call(awslambda, f"{name}:live")[::2] == [PROVISIONED, "2"])
    wait_ready(awslambda, name, "live", 1)
    listed = awslambda.list_provisioned_concurrency_configs(FunctionName=name)
    arns = [config["FunctionArn"] for config in listed["ProvisionedConcurrencyConfigs"]]
    assert arns == [f"{conftest.function_arn(name)}:live"]


def test_a_function_that_cannot_start_is_told(awslambda, deploy):
    name = deploy("raise Exception('never')")
    awslambda.publish_version(FunctionName=name)
    awslambda.put_provisioned_concurrency_config(
        FunctionName=name, Qualifier="1", ProvisionedConcurrentExecutions=1
    )

    def failed():
        answer = awslambda.get_provisioned_concurrency_config(FunctionName=name, Qualifier="1")
        return answer["Status"] == "FAILED" and answer["StatusReason"]

    assert eventually(failed, timeout_s=60) == "FUNCTION_ERROR_INIT_FAILURE"


def test_they_take_their_part_of_the_reservation(awslambda, deploy):
    name = deploy(TELL)
    awslambda.publish_version(FunctionName=name)
    awslambda.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=1)
    assert call(awslambda, name)[0] == ON_DEMAND
    awslambda.put_provisioned_concurrency_config(
        FunctionName=name, Qualifier="1", ProvisionedConcurrentExecutions=1
    )
    wait_ready(awslambda, name, "1", 1)
    with pytest.raises(ClientError) as caught:
        awslambda.invoke(FunctionName=name)
    assert caught.value.response["Reason"] == "ReservedFunctionConcurrentInvocationLimitExceeded"
    assert call(awslambda, f"{name}:1")[0] == PROVISIONED


def test_they_are_there_again_after_a_restart(own_cloud):
    own_cloud.start()
    role = conftest.make_role(own_cloud.client("iam"), "does-nothing", [])
    awslambda = own_cloud.client("lambda")
    awslambda.create_function(
        FunctionName="waits", Runtime="python3.13", Handler="index.handler", Role=role, Publish=True,
        Code={"ZipFile": packages.python(TELL)},
    )  # fmt: skip
    awslambda.get_waiter("function_active_v2").wait(FunctionName="waits", WaiterConfig={"Delay": 0.05})
    awslambda.put_provisioned_concurrency_config(
        FunctionName="waits", Qualifier="1", ProvisionedConcurrentExecutions=2
    )
    wait_ready(awslambda, "waits", "1", 2)
    before = call(awslambda, "waits:1")
    own_cloud.kill()
    own_cloud.start()
    awslambda = own_cloud.client("lambda")
    wait_ready(awslambda, "waits", "1", 2)
    after = call(awslambda, "waits:1")
    assert (after[0], before[1] == after[1]) == (PROVISIONED, False)
