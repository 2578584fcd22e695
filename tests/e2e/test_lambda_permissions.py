import json

import pytest
from botocore.exceptions import ClientError

from conftest import function_arn
from recorded import assert_like, snapshot

API = "lambda_/test_lambda_api"
ECHO = "def handler(event, context): return event"
S3 = {"Action": "lambda:InvokeFunction", "Principal": "s3.amazonaws.com", "SourceArn": "arn:aws:s3:::some-bucket"}


def error(call):
    with pytest.raises(ClientError) as excinfo:
        call()
    return excinfo.value.response


def parsed(answer, member):
    return {**answer, member: json.loads(answer[member])}


def test_add_and_get(awslambda, deploy):
    recorded = snapshot(API, "TestLambdaPermissions::test_add_lambda_permission_aws")
    name = deploy(ECHO)
    added = awslambda.add_permission(FunctionName=name, StatementId="s3", **S3)
    assert_like(parsed(added, "Statement"), recorded["add_permission"])
    got = awslambda.get_policy(FunctionName=name)
    assert_like(parsed(got, "Policy"), recorded["get_policy"])
    assert json.loads(got["Policy"])["Statement"][0]["Resource"] == function_arn(name)


def test_remove(awslambda, deploy):
    recorded = snapshot(API, "TestLambdaPermissions::test_remove_multi_permissions")
    name = deploy(ECHO)
    plain = {"Action": "lambda:InvokeFunction"}
    first = awslambda.add_permission(FunctionName=name, StatementId="s3", Principal="s3.amazonaws.com", **plain)
    assert_like(parsed(first, "Statement"), recorded["add_permission_1"])
    awslambda.add_permission(
        FunctionName=name, StatementId="sqs", Principal="sqs.amazonaws.com", SourceArn="arn:aws:s3:::b", **plain
    )
    both = awslambda.get_policy(FunctionName=name)
    assert_like(parsed(both, "Policy"), recorded["policy_after_2_add"])
    missing = error(lambda: awslambda.remove_permission(FunctionName=name, StatementId="non-existent"))
    assert_like(missing, recorded["remove_permission_exception_nonexisting_sid"])
    awslambda.remove_permission(FunctionName=name, StatementId="sqs")
    one = awslambda.get_policy(FunctionName=name)
    assert_like(parsed(one, "Policy"), recorded["policy_after_removal"])
    awslambda.remove_permission(FunctionName=name, StatementId="s3")
    gone = error(lambda: awslambda.get_policy(FunctionName=name))
    assert_like(gone, recorded["get_policy_exception_removed_all"])


def test_refusals(awslambda, deploy, cloud):
    recorded = snapshot(API, "TestLambdaPermissions::test_permission_exceptions")
    name = deploy(ECHO)
    client = cloud.client("lambda", parameter_validation=False)
    add = lambda **settings: client.add_permission(**{"FunctionName": name, "StatementId": "s3", **S3, **settings})
    for case, settings in {
        "add_permission_invalid_statement_id": {"StatementId": "example.com"},
        "add_permission_principal_invalid": {"Principal": "invalid.nonaws.com"},
        "add_permission_fn_qualifier_latest": {"Qualifier": "$LATEST"},
        "add_permission_fn_doesnotexist": {"FunctionName": "doesnotexist"},
    }.items():
        assert_like(error(lambda: add(**settings)), recorded[case])
    assert_like(error(lambda: client.get_policy(FunctionName="doesnotexist")), recorded["get_policy_fn_doesnotexist"])
    assert_like(
        error(lambda: client.remove_permission(FunctionName=name, StatementId="s3")),
        recorded["remove_permission_policy_doesnotexist"],
    )


def test_the_same_statement_twice(awslambda, deploy):
    name = deploy(ECHO)
    add = lambda: awslambda.add_permission(FunctionName=name, StatementId="s3", **S3)
    add()
    answer = error(add)
    assert answer["ResponseMetadata"]["HTTPStatusCode"] == 409
    assert answer["Error"] == {
        "Code": "ResourceConflictException",
        "Message": "The statement id (s3) provided already exists. Please provide a new statement id, or remove the existing statement.",
    }
