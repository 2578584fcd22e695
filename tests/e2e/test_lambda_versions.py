"""Functions are published as versions, which stay what they were."""

import json

import pytest

import packages
from cloud import ACCOUNT, eventually
from conftest import function_arn
from recorded import assert_like, snapshot
from signing import send, signed
from test_lambda_functions import OURS, error, wait_updated

API = "lambda_/test_lambda_api"
HANDLER = {"Handler", "Timeout", "MemorySize"}
TELL = """
    import os
    def handler(event, context):
        return {
            "code": "%s", "version": context.function_version, "arn": context.invoked_function_arn,
            "variable": os.environ["AWS_LAMBDA_FUNCTION_VERSION"], "stream": context.log_stream_name,
        }
"""


def update_code(awslambda, name, text, **settings):
    answer = awslambda.update_function_code(FunctionName=name, ZipFile=packages.python(TELL % text), **settings)
    wait_updated(awslambda, name)
    return answer


def call(awslambda, name, **settings):
    answer = awslambda.invoke(FunctionName=name, Payload=b"{}", **settings)
    assert "FunctionError" not in answer, answer["Payload"].read()
    return answer["ExecutedVersion"], json.load(answer["Payload"])


def test_lifecycle_as_recorded(awslambda, role, unique):
    recorded = snapshot(API, "TestLambdaVersions::test_version_lifecycle")
    name = unique("function")
    created = awslambda.create_function(
        FunctionName=name, Runtime="python3.12", Handler="index.handler", Role=role, Timeout=3,
        Description="No version :(", Code={"ZipFile": packages.python(TELL % "1")},
    )  # fmt: skip
    assert_like(created, recorded["create_response"], OURS - {"StateReason"})
    awslambda.get_waiter("function_active_v2").wait(FunctionName=name, WaiterConfig={"Delay": 0.1})

    def is_like(answer, step):
        assert_like(answer, recorded[step], OURS)
        return answer

    is_like(awslambda.list_versions_by_function(FunctionName=name), "list_versions_result")
    awslambda.update_function_configuration(FunctionName=name, Description="First version :)")
    wait_updated(awslambda, name)
    is_like(awslambda.get_function(FunctionName=name), "first_update_get_function")
    first = is_like(
        awslambda.publish_version(FunctionName=name, Description="First version description :)"),
        "first_publish_response",
    )
    got = is_like(awslambda.get_function(FunctionName=name, Qualifier="1"), "first_publish_get_function")
    assert got["Configuration"]["RevisionId"] == first["RevisionId"]
    is_like(
        awslambda.get_function_configuration(FunctionName=f"{name}:1"), "first_publish_get_function_config"
    )
    awslambda.update_function_configuration(FunctionName=name, Description="Second version :))")
    wait_updated(awslambda, name)
    second = is_like(awslambda.publish_version(FunctionName=name), "second_publish_response")
    third = is_like(awslambda.publish_version(FunctionName=name), "third_publish_response")
    assert third["RevisionId"] == second["RevisionId"]
    is_like(awslambda.list_versions_by_function(FunctionName=name), "list_versions_result_after_third_publish")
    awslambda.delete_function(FunctionName=name, Qualifier="1")
    left = awslambda.list_versions_by_function(FunctionName=name)
    is_like(left, "list_versions_result_after_deletion_of_first_version")
    awslambda.delete_function(FunctionName=name)
    assert error(lambda: awslambda.list_versions_by_function(FunctionName=name))["Error"]["Code"] == (
        "ResourceNotFoundException"
    )


def test_publishing_with_a_change_as_recorded(awslambda, role, unique):
    recorded = snapshot(API, "TestLambdaVersions::test_publish_version_on_create")
    name = unique("function")
    created = awslambda.create_function(
        FunctionName=name, Runtime="python3.12", Handler="index.handler", Role=role, Timeout=3, Publish=True,
        Code={"ZipFile": packages.python(TELL % "1")},
    )  # fmt: skip
    assert_like(created, recorded["create_response"], OURS - {"StateReason"})
    awslambda.get_waiter("published_version_active").wait(
        FunctionName=name, Qualifier="1", WaiterConfig={"Delay": 1}
    )
    for step, qualifier in [
        ("get_function_result", {}),
        ("get_function_version_result", {"Qualifier": "1"}),
        ("get_function_latest_result", {"Qualifier": "$LATEST"}),
    ]:
        assert_like(awslambda.get_function(FunctionName=name, **qualifier), recorded[step], OURS)
    assert_like(awslambda.publish_version(FunctionName=name), recorded["repeated_publish_response"], OURS)
    listed = awslambda.list_versions_by_function(FunctionName=name)
    assert_like(listed, recorded["list_versions_result_after_publish"], OURS)

    updated = update_code(awslambda, name, "2", Publish=True)
    recorded = snapshot(API, "TestLambdaVersions::test_publish_with_update")["update_function_code_result"]
    expected = {**recorded, "Version": "2", "FunctionArn": f"{function_arn(name)}:2"}
    assert_like(updated, expected, OURS - {"StateReason"})
    assert call(awslambda, name, Qualifier="1")[1]["code"] == "1"
    assert call(awslambda, name, Qualifier="2")[1]["code"] == "2"
    awslambda.delete_function(FunctionName=name)


def test_refusals_as_recorded(awslambda, deploy):
    name = deploy(TELL % "1")
    wrong = error(lambda: awslambda.publish_version(FunctionName=name, RevisionId="wrong"))
    recorded = snapshot(API, "TestLambdaVersions::test_publish_with_wrong_revisionid")
    assert_like(wrong, recorded["publish_wrong_revisionid_exc"])
    wrong = error(lambda: awslambda.publish_version(FunctionName=name, CodeSha256="somenonexistentsha256"))
    recorded = snapshot(API, "TestLambdaVersions::test_publish_with_wrong_sha256")
    assert_like(wrong, recorded["publish_wrong_sha256_exc"])
    missing = error(lambda: awslambda.get_function(FunctionName=name, Qualifier="1221"))
    recorded = snapshot(API, "TestLambdaFunction::test_ops_on_nonexisting_version[get_function]")
    assert_like(missing, recorded["version_not_found_exception"])
    recorded = snapshot(API, "TestLambdaFunction::test_ops_with_arn_qualifier_mismatch[delete_function]")
    arn = f"{function_arn(name)}:$LATEST"
    mismatch = error(lambda: awslambda.delete_function(FunctionName=arn, Qualifier="1"))
    assert_like(mismatch, recorded["not_match_exception"])
    latest = error(lambda: awslambda.delete_function(FunctionName=arn, Qualifier="$LATEST"))
    assert_like(latest, recorded["match_exception"])


def test_each_version_runs_its_own_code(awslambda, deploy):
    """As recorded in test_lambda_versions_with_code_changes: also one after the other, in warm environments."""
    name = deploy(TELL % "1")
    arn = function_arn(name)
    assert awslambda.publish_version(FunctionName=name)["Version"] == "1"
    update_code(awslambda, name, "2")
    assert awslambda.publish_version(FunctionName=name)["Version"] == "2"
    assert update_code(awslambda, name, "3", Publish=True)["Version"] == "3"
    awslambda.update_function_configuration(FunctionName=name, MemorySize=256)
    wait_updated(awslambda, name)
    for _ in range(2):
        for function, settings, version, code, told in [
            (name, {}, "$LATEST", "3", arn),
            (name, {"Qualifier": "1"}, "1", "1", f"{arn}:1"),
            (f"{name}:2", {}, "2", "2", f"{arn}:2"),
            (f"{arn}:3", {}, "3", "3", f"{arn}:3"),
            (f"{ACCOUNT}:function:{name}", {"Qualifier": "2"}, "2", "2", f"{arn}:2"),
        ]:
            executed, answer = call(awslambda, function, **settings)
            assert (executed, answer["version"], answer["variable"]) == (version, version, version)
            assert (answer["code"], answer["arn"]) == (code, told)
            assert f"[{version}]" in answer["stream"]
    awslambda.delete_function(FunctionName=f"{name}:2")
    missing = error(lambda: awslambda.invoke(FunctionName=f"{name}:2"))
    assert missing["Error"]["Code"] == "ResourceNotFoundException"
    assert call(awslambda, f"{name}:1")[1]["code"] == "1"


def test_events_run_on_the_version_that_they_name(cloud, awslambda, logs, deploy):
    name = deploy("def handler(event, context): print('ran', context.function_version)")
    awslambda.publish_version(FunctionName=name)
    awslambda.update_function_code(
        FunctionName=name, ZipFile=packages.python("def handler(event, context): print('newer')")
    )
    wait_updated(awslambda, name)
    awslambda.invoke(FunctionName=name, Qualifier="1", InvocationType="Event")

    def lines():
        told = cloud.command("logs", name).stdout
        return told if "REPORT" in told else None

    told = eventually(lines)
    assert "ran 1" in told and "newer" not in told


def test_snap_start(awslambda, role, unique):
    """A published version starts from what its function has loaded."""
    name = unique("function")
    settings = {"Runtime": "python3.13", "Handler": "index.handler", "Role": role, "Timeout": 5}
    package = packages.python(
        """
        import os
        loaded = {"token": os.urandom(4).hex()}
        def handler(event, context):
            return {"token": loaded["token"], "random": os.urandom(4).hex(), "version": context.function_version}
        """
    )
    on = {"ApplyOn": "PublishedVersions"}
    old = error(
        lambda: awslambda.create_function(
            FunctionName=name, Code={"ZipFile": package}, SnapStart=on, **{**settings, "Runtime": "python3.11"}
        )
    )
    assert old["Error"] == {
        "Code": "InvalidParameterValueException",
        "Message": "python3.11 is not supported for SnapStart enabled functions.",
    }
    awslambda.create_function(FunctionName=name, Code={"ZipFile": package}, **settings)
    awslambda.get_waiter("function_active_v2").wait(FunctionName=name, WaiterConfig={"Delay": 0.1})
    recorded = snapshot(API, "TestLambdaSnapStart::test_snapstart_update_function_configuration[python3.13]")
    updated = awslambda.update_function_configuration(FunctionName=name, SnapStart=on)
    assert_like(updated, recorded["update_function_response"], OURS | HANDLER)
    wait_updated(awslambda, name)
    version = awslambda.publish_version(FunctionName=name)
    assert version["SnapStart"] == {"ApplyOn": "PublishedVersions", "OptimizationStatus": "On"}
    for _ in range(3):
        executed, answer = call(awslambda, name, Qualifier="1")
        assert (executed, answer["version"]) == ("1", "1")
    latest = awslambda.get_function_configuration(FunctionName=name)["SnapStart"]
    assert latest == {"ApplyOn": "PublishedVersions", "OptimizationStatus": "Off"}
    awslambda.delete_function(FunctionName=name)


def test_a_role_may_invoke_one_version_only(cloud, awslambda, iam, sts, deploy, unique):
    name = deploy(TELL % "1")
    awslambda.publish_version(FunctionName=name)
    trust = {"Effect": "Allow", "Principal": {"AWS": f"arn:aws:iam::{ACCOUNT}:root"}, "Action": "sts:AssumeRole"}
    allowed = {"Effect": "Allow", "Action": "lambda:InvokeFunction", "Resource": f"{function_arn(name)}:1"}
    role = unique("role")
    documents = [json.dumps({"Version": "2012-10-17", "Statement": [one]}) for one in (trust, allowed)]
    iam.create_role(RoleName=role, AssumeRolePolicyDocument=documents[0])
    iam.put_role_policy(RoleName=role, PolicyName="one", PolicyDocument=documents[1])
    lent = sts.assume_role(RoleArn=f"arn:aws:iam::{ACCOUNT}:role/{role}", RoleSessionName="session")["Credentials"]
    theirs = cloud.client("lambda", lent["AccessKeyId"], lent["SecretAccessKey"], lent["SessionToken"])
    assert call(theirs, name, Qualifier="1")[0] == "1"
    for settings in ({}, {"Qualifier": "$LATEST"}):
        assert error(lambda: theirs.invoke(FunctionName=name, **settings))["Error"]["Code"] == "AccessDeniedException"


@pytest.mark.parametrize("how", ["kill", "stop"])
def test_versions_survive(own_cloud, how):
    own_cloud.start()
    awslambda = own_cloud.client("lambda")
    own_cloud.client("iam").create_role(
        RoleName="r",
        AssumeRolePolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [
            {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}
        ]}),
    )  # fmt: skip
    awslambda.create_function(
        FunctionName="f", Runtime="python3.13", Handler="index.handler", Role=f"arn:aws:iam::{ACCOUNT}:role/r",
        Publish=True, Code={"ZipFile": packages.python(TELL % "1")},
    )  # fmt: skip
    awslambda.get_waiter("function_active_v2").wait(FunctionName="f", WaiterConfig={"Delay": 0.1})
    update_code(awslambda, "f", "2")
    getattr(own_cloud, how)()
    own_cloud.start()
    awslambda = own_cloud.client("lambda")
    assert call(awslambda, "f", Qualifier="1")[1]["code"] == "1"
    assert call(awslambda, "f")[1]["code"] == "2"
    awslambda.delete_function(FunctionName="f", Qualifier="1")
    assert awslambda.publish_version(FunctionName="f")["Version"] == "2"
    assert call(awslambda, "f", Qualifier="2")[1]["code"] == "2"


@pytest.mark.parametrize("body", [b"[]", b"{", b'{"Description": 7}', b'{"Description": "' + b"x" * 257 + b'"}'])
def test_wrong_requests_publish_nothing(cloud, awslambda, deploy, body):
    name = deploy(TELL % "1")
    path = f"/2015-03-31/functions/{name}/versions"
    headers = {"content-type": "application/json"}
    answer = send(
        cloud, "POST", path, body=body, headers=signed(cloud, "lambda", "POST", path, body=body, headers=headers)
    )
    assert answer.status == 400
    assert len(awslambda.list_versions_by_function(FunctionName=name)["Versions"]) == 1
