"""Every operation of Lambda, end to end, through the official clients: boto3, the `aws` command, the SDKs for JavaScript
and Rust."""

import re
from pathlib import Path

import pytest
from botocore import xform_name

import mapped
import packages
from lambda_clients import Boto3, Cli, JavaScript, rust_calls
from lambda_story import CHAPTERS, Stage

CLIENTS = {"boto3": Boto3, "cli": Cli, "javascript": JavaScript}
# Of these nothing is there.
NOT_IMPLEMENTED = {
    "CheckpointDurableExecution", "CreateCapacityProvider", "DeleteCapacityProvider", "DeleteDurableExecution",
    "GetCapacityProvider", "GetDurableExecution", "GetDurableExecutionHistory", "GetDurableExecutionState",
    "GetFunctionScalingConfig", "ListCapacityProviders", "ListDurableExecutionsByFunction",
    "ListFunctionVersionsByCapacityProvider", "PauseDurableExecution", "PutFunctionScalingConfig",
    "ResumeDurableExecution", "SendDurableExecutionCallbackFailure", "SendDurableExecutionCallbackHeartbeat",
    "SendDurableExecutionCallbackSuccess", "StopDurableExecution", "UpdateCapacityProvider",
}  # fmt: skip

CODE = """
    import os, sys
    sys.path.append("/opt/python")
    try:
        from told import TOLD
    except ImportError:
        TOLD = None

    def handler(event, context):
        return {"event": event, "code": "CODE", "environment": os.environ.get("COLOUR"), "layer": TOLD}
"""


@pytest.fixture(scope="module")
def code_bucket(s3):
    """A bucket with what the chapters deploy."""
    name = "lambda-clients-code"
    s3.create_bucket(Bucket=name)
    for key, word in [("code.zip", "first"), ("second.zip", "second")]:
        s3.put_object(Bucket=name, Key=key, Body=packages.python(CODE.replace("CODE", word)))
    layer = packages.package({"python/told.py": "TOLD = 'from the layer'\n"})
    s3.put_object(Bucket=name, Key="layer.zip", Body=layer)
    return name


@pytest.fixture(scope="module")
def stream(cloud):
    """The stream of a table."""
    return mapped.make_table(cloud.client("dynamodb"), "lambda-clients-table")


@pytest.fixture(scope="module", params=CLIENTS)
def client(request, cloud):
    client = CLIENTS[request.param](cloud)
    yield client
    client.close()


@pytest.mark.parametrize("name", CHAPTERS)
def test_chapters(client, role, code_bucket, stream, unique, name):
    told, operations = CHAPTERS[name]
    stage = Stage(client, role, code_bucket, stream, unique)
    told(stage)
    missed = operations - stage.called - client.unable
    assert not missed, f"the chapter says that it exercises {missed}"


def test_the_rust_sdk(cloud, role, code_bucket, stream, unique):
    called = rust_calls(cloud, Stage(None, role, code_bucket, stream, unique))
    everything = set().union(*(operations for _, operations in CHAPTERS.values()))
    assert called == {xform_name(operation) for operation in everything}


def test_every_operation_has_a_chapter(awslambda):
    told = set().union(*(operations for _, operations in CHAPTERS.values()))
    model = set(awslambda.meta.service_model.operation_names)
    assert not told & NOT_IMPLEMENTED
    assert told | NOT_IMPLEMENTED == model
    # And every operation of the platform's own table is one that is exercised.
    table = Path(__file__).parents[2] / "crates/models/lambda/src/ops.rs"
    assert set(re.findall(r"operation!\((\w+)\(", table.read_text())) == told


def test_what_is_not_there_says_so_by_name(cloud):
    """A client that calls one of them is told, not left to guess."""
    client = cloud.client("lambda")
    with pytest.raises(client.exceptions.ClientError) as excinfo:
        client.list_capacity_providers()
    assert "ListCapacityProviders" in excinfo.value.response["Error"]["Message"]
