"""Functions are made, read, changed, listed and taken away."""

import base64
import hashlib
import urllib.request

import pytest
from botocore.exceptions import ClientError

import packages
from cloud import eventually
from conftest import function_arn
from recorded import assert_like, snapshot

API = "lambda_/test_lambda_api"
ECHO = """
    def handler(event, context):
        return event
"""
# What differs because our runtimes are other builds than AWS's.
OURS = {"Runtime", "RuntimeVersionConfig", "StateReason"}


def error(call):
    with pytest.raises(ClientError) as excinfo:
        call()
    return excinfo.value.response


def wait_updated(awslambda, name):
    awslambda.get_waiter("function_updated_v2").wait(FunctionName=name, WaiterConfig={"Delay": 0.1, "MaxAttempts": 200})


def test_states_as_recorded(awslambda, role, unique):
    recorded = snapshot("lambda_/test_lambda", "TestLambdaBaseFeatures::test_function_state")
    name = unique("function")
    package = packages.package({"handler.py": ECHO.replace("\n    ", "\n")})
    created = awslambda.create_function(
        FunctionName=name,
        Runtime="python3.12",
        Handler="handler.handler",
        Role=role,
        Code={"ZipFile": package},
    )
    assert_like(created, recorded["create-fn-response"], OURS - {"StateReason"})
    assert created["CodeSha256"] == base64.b64encode(hashlib.sha256(package).digest()).decode()
    assert created["CodeSize"] == len(package)
    awslambda.get_waiter("function_active_v2").wait(FunctionName=name, WaiterConfig={"Delay": 0.1})
    got = awslambda.get_function(FunctionName=name)
    assert_like(got, recorded["get-fn-response"], OURS)
    with urllib.request.urlopen(got["Code"]["Location"]) as code:
        assert code.read() == package
    configuration = awslambda.get_function_configuration(FunctionName=name)
    assert {**configuration, "ResponseMetadata": None} == {**got["Configuration"], "ResponseMetadata": None}
    deleted = awslambda.delete_function(FunctionName=name)
    assert deleted["ResponseMetadata"]["HTTPStatusCode"] == 204


def test_update_configuration(awslambda, deploy):
    recorded = snapshot(API, "TestLambdaFunction::test_function_lifecycle")["update_func_conf_response"]
    name = deploy(ECHO, Handler="index.handler", Environment={"Variables": {}}, MemorySize=256, Timeout=5)
    before = awslambda.get_function_configuration(FunctionName=name)
    answer = awslambda.update_function_configuration(
        FunctionName=name,
        Description="Changed-Description",
        MemorySize=512,
        Timeout=10,
        Environment={"Variables": {"ENV_A": "a"}},
    )
    ignore = OURS | {"Handler", "Timeout"}
    assert_like(answer, recorded, ignore)
    assert answer["RevisionId"] != before["RevisionId"]
    wait_updated(awslambda, name)
    after = awslambda.get_function_configuration(FunctionName=name)
    assert (after["LastUpdateStatus"], after["MemorySize"], after["Timeout"]) == ("Successful", 512, 10)
    assert after["Environment"] == {"Variables": {"ENV_A": "a"}}


def test_update_code(awslambda, deploy):
    name = deploy("def handler(event, context): return 'old'")
    assert awslambda.invoke(FunctionName=name)["Payload"].read() == b'"old"'
    package = packages.python("def handler(event, context): return 'new'")
    dry = awslambda.update_function_code(FunctionName=name, ZipFile=package, DryRun=True)
    assert dry["CodeSha256"] == base64.b64encode(hashlib.sha256(package).digest()).decode()
    assert awslambda.invoke(FunctionName=name)["Payload"].read() == b'"old"'
    answer = awslambda.update_function_code(FunctionName=name, ZipFile=package)
    assert answer["LastUpdateStatus"] in {"InProgress", "Successful"}
    wait_updated(awslambda, name)
    assert awslambda.invoke(FunctionName=name)["Payload"].read() == b'"new"'


def test_code_from_s3(awslambda, s3, bucket, role, unique, deploy):
    package = packages.python("def handler(event, context): return 'from S3'")
    s3.put_object(Bucket=bucket, Key="code.zip", Body=package)
    name = unique("function")
    code = {"S3Bucket": bucket, "S3Key": "code.zip"}
    awslambda.create_function(FunctionName=name, Runtime="python3.13", Handler="index.handler", Role=role, Code=code)
    awslambda.get_waiter("function_active_v2").wait(FunctionName=name, WaiterConfig={"Delay": 0.1})
    # The code was copied: the object may go.
    s3.delete_object(Bucket=bucket, Key="code.zip")
    assert awslambda.invoke(FunctionName=name)["Payload"].read() == b'"from S3"'
    answer = error(lambda: awslambda.update_function_code(FunctionName=name, **code))
    assert answer["Error"]["Code"] == "InvalidParameterValueException"
    assert "S3 Error Code: NoSuchKey" in answer["Error"]["Message"]
    awslambda.delete_function(FunctionName=name)


def test_the_name_can_be_an_arn(awslambda, deploy):
    name = deploy(ECHO)
    for given in [name, function_arn(name), f"000000000000:function:{name}", f"{name}:$LATEST"]:
        assert awslambda.get_function_configuration(FunctionName=given)["FunctionName"] == name
    answer = awslambda.invoke(FunctionName=function_arn(name), Payload=b"{}")
    assert answer["ExecutedVersion"] == "$LATEST"


def test_list_pages(awslambda, deploy):
    names = {deploy(ECHO) for _ in range(3)}
    listed, marker = [], {}
    while True:
        page = awslambda.list_functions(MaxItems=1, **marker)
        assert len(page["Functions"]) <= 1
        listed += page["Functions"]
        if not page.get("NextMarker"):
            break
        marker = {"Marker": page["NextMarker"]}
    found = [function["FunctionName"] for function in listed]
    assert names <= set(found)
    assert len(found) == len(set(found))
    # A listing leaves out how the function is doing.
    assert not {"State", "LastUpdateStatus"} & set(listed[0])


@pytest.mark.parametrize("operation", ["delete_function", "get_function", "get_function_configuration"])
def test_a_function_that_is_not_there(awslambda, operation):
    recorded = snapshot(API, f"TestLambdaFunction::test_ops_on_nonexisting_fn[{operation}]")
    answer = error(lambda: getattr(awslambda, operation)(FunctionName="i-do-not-exist"))
    assert_like(answer, recorded["not_found_exception"])


def test_other_operations_on_a_function_that_is_not_there(awslambda):
    message = f"Function not found: {function_arn('missing')}"
    for call in [
        lambda: awslambda.update_function_code(FunctionName="missing", ZipFile=packages.python(ECHO)),
        lambda: awslambda.update_function_configuration(FunctionName="missing", Timeout=5),
        lambda: awslambda.invoke(FunctionName="missing"),
    ]:
        answer = error(call)
        assert answer["ResponseMetadata"]["HTTPStatusCode"] == 404
        assert answer["Error"]["Code"] == "ResourceNotFoundException"
        assert answer["Error"]["Message"].startswith(message)


def test_created_twice(awslambda, deploy):
    name = deploy(ECHO)
    answer = error(lambda: deploy(ECHO, name=name))
    assert answer["ResponseMetadata"]["HTTPStatusCode"] == 409
    assert answer["Error"] == {
        "Code": "ResourceConflictException",
        "Message": f"Function already exist: {name}",
    }


def test_a_stale_revision_is_refused(awslambda, deploy):
    name = deploy(ECHO)
    answer = error(
        lambda: awslambda.update_function_configuration(
            FunctionName=name, Timeout=7, RevisionId="00000000-0000-0000-0000-000000000000"
        )
    )
    assert answer["ResponseMetadata"]["HTTPStatusCode"] == 412
    assert answer["Error"]["Code"] == "PreconditionFailedException"


def test_a_runtime_that_the_host_lacks_runs_on_the_nearest(awslambda, deploy, logs):
    """Python 3.15 is on no host that this is built for; the function says what it runs on."""
    name = deploy("import sys\ndef handler(event, context): return list(sys.version_info[:2])", Runtime="python3.15")
    configuration = awslambda.get_function_configuration(FunctionName=name)
    assert configuration["Runtime"] == "python3.15"
    assert "3.15" in configuration["StateReason"], configuration
    version = awslambda.invoke(FunctionName=name)["Payload"].read().decode()
    assert version != "[3, 15]"

    def says_so():
        try:
            found = logs.filter_log_events(logGroupName=f"/aws/lambda/{name}")["events"]
        except logs.exceptions.ResourceNotFoundException:
            return []
        return [entry for entry in found if "3.15" in entry["message"] and "RequestId" not in entry["message"]]

    eventually(says_so)
