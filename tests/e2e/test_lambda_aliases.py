"""Aliases lead to versions: at once, by weight, with what hangs on them."""

import json
from collections import Counter

import pytest

import packages
from cloud import eventually
from conftest import function_arn
from test_lambda_functions import error, wait_updated

LAMBDA = "lambda_/test_lambda"
TELL = """
    def handler(event, context):
        result = {
            "version_id": "%s",
            "invoked_arn": context.invoked_function_arn,
            "version_from_ctx": context.function_version,
        }
        print(result)
        return result
"""
HANDLERS = """
    def handler(event, context): return {"handler": "handler"}
    def handler_two(event, context): return {"handler": "handler_two"}
"""


def package(words):
    code = packages.textwrap.dedent(TELL % words)
    return packages.package({"handler.py": code, "index.py": code})


def update(awslambda, name, words):
    awslambda.update_function_code(FunctionName=name, ZipFile=package(words))
    wait_updated(awslambda, name)
    return awslambda.publish_version(FunctionName=name)["Version"]


@pytest.fixture
def function(awslambda, deploy):
    """A function with versions 1 and 2."""
    name = deploy(package("version1"))
    assert awslambda.publish_version(FunctionName=name)["Version"] == "1"
    assert update(awslambda, name, "version2") == "2"
    return name


def alias(awslambda, function, name="live", version="1", weights=None):
    routing = {"RoutingConfig": {"AdditionalVersionWeights": weights}} if weights else {}
    made = awslambda.create_alias(FunctionName=function, Name=name, FunctionVersion=version, **routing)
    return made["AliasArn"]


def test_moving_as_recorded(replay):
    r = replay("TestLambdaAliases::test_lambda_alias_moving", LAMBDA)
    settings = {"Handler": "handler.handler", "Code": {"ZipFile": package("version1")}}
    name = r.function("create_response", Description="No version :(", **settings)
    r.call(None, "publish_version", FunctionName=name, Description="First version description :)")
    one = {"FunctionName": name, "Name": "alias1"}
    arn = r.call("create_alias_response", "create_alias", FunctionVersion="1", **one)["AliasArn"]
    call = lambda step, **more: r.call(
        step, "invoke", **{"FunctionName": name, "Qualifier": "alias1", "Payload": b"{}", **more}
    )
    call("invocation_result_qualifier_v1")
    r.call("invocation_result_qualifier_v1_arn", "invoke", FunctionName=arn, Payload=b"{}")
    r.call("update_lambda_response", "update_function_code", FunctionName=name, ZipFile=package("version2"))
    r.updated(name)
    call("invocation_result_qualifier_v1_after_update")
    words = "Second version description :)"
    r.call("second_publish_response", "publish_version", FunctionName=name, Description=words)
    call("invocation_result_qualifier_v1_after_publish")
    r.call("update_alias_response", "update_alias", FunctionVersion="2", **one)
    call("invocation_result_qualifier_v2")
    call("invocation_exc_not_existent", Qualifier="non-existent-alias")


def test_versions_as_recorded(replay):
    r = replay("TestLambdaVersions::test_lambda_versions_with_code_changes", LAMBDA)
    settings = {"Handler": "handler.handler", "Code": {"ZipFile": package("version1")}}
    name = r.function("create_response", Description="No version :(", **settings)
    one = {"FunctionName": name}
    call = lambda step, **more: r.call(f"invocation_result_{step}", "invoke", Payload=b"{}", **one, **more)
    publish = lambda step, words: r.call(step, "publish_version", Description=words, **one)
    publish("first_publish_response", "First version description :)")
    r.call("update_lambda_response", "update_function_code", ZipFile=package("version2"), **one)
    r.updated(name)
    call("latest")
    call("v1", Qualifier="1")
    publish("second_publish_response", "Second version description :)")
    call("v2", Qualifier="2")
    step = "update_lambda_response_with_publish"
    r.call(step, "update_function_code", ZipFile=package("version3"), Publish=True, **one)
    r.updated(name)
    call("v3", Qualifier="3")
    call("latest_end")
    call("v2_end", Qualifier="2")
    call("v1_end", Qualifier="1")


def test_handlers_as_recorded(replay):
    r = replay("TestLambdaVersions::test_lambda_handler_update", LAMBDA)
    code = {"ZipFile": packages.package({"handler.py": packages.textwrap.dedent(HANDLERS)})}
    one = {"FunctionName": r.function(wrapped=True, Code=code)}
    r.call("invoke_result_handler_one", "invoke", **one)
    step = "update_function_configuration_result"
    r.call(step, "update_function_configuration", Handler="handler.handler_two", **one)
    r.updated(one["FunctionName"])
    r.call("get_function_result", "get_function", **one)
    r.call("invoke_result_handler_two", "invoke", **one)
    r.call(None, "publish_version", **one)
    r.call("invoke_result_handler_two_postpublish", "invoke", **one)


def test_routing_as_recorded(replay):
    r = replay("TestLambdaAliases::test_alias_routingconfig", LAMBDA)
    settings = {"Handler": "handler.handler", "Code": {"ZipFile": package("version1")}}
    name = r.function(Description="First version :)", Publish=True, **settings)
    assert update(r.client, name, "version2") == "2"
    weights = {"AdditionalVersionWeights": {"2": 0.5}}
    one = {"FunctionName": name, "FunctionVersion": "1", "Name": "alias1"}
    arn = r.call("create_alias_response", "create_alias", RoutingConfig=weights, **one)["AliasArn"]
    ran = Counter(r.client.invoke(FunctionName=arn, Payload=b"{}")["ExecutedVersion"] for _ in range(60))
    assert set(ran) == {"1", "2"}, ran


def test_an_alias_is_followed_at_once(awslambda, function):
    arn = alias(awslambda, function)
    for version in ["2", "1", "$LATEST"] * 3:
        awslambda.update_alias(FunctionName=function, Name="live", FunctionVersion=version)
        answer = awslambda.invoke(FunctionName=arn, Payload=b"{}")
        told = json.load(answer["Payload"])
        assert (answer["ExecutedVersion"], told["version_from_ctx"], told["invoked_arn"]) == (version, version, arn)
    awslambda.delete_alias(FunctionName=function, Name="live")
    assert error(lambda: awslambda.invoke(FunctionName=arn))["Error"]["Code"] == "ResourceNotFoundException"


def test_a_version_stays_as_long_as_an_alias_leads_to_it(awslambda, function):
    alias(awslambda, function, weights={"2": 0.1})
    for version in ("1", "2"):
        refused = error(lambda: awslambda.delete_function(FunctionName=function, Qualifier=version))
        assert refused["Error"] == {
            "Code": "ResourceConflictException",
            "Message": "Unable to delete version because the following aliases reference it: [live]",
        }
    awslambda.delete_alias(FunctionName=function, Name="live")
    awslambda.delete_function(FunctionName=function, Qualifier="2")
    left = [one["Version"] for one in awslambda.list_versions_by_function(FunctionName=function)["Versions"]]
    assert left == ["$LATEST", "1"]


def test_events_follow_the_alias_when_they_run(cloud, awslambda, function):
    alias(awslambda, function)
    answer = awslambda.invoke(FunctionName=f"{function}:live", InvocationType="Event", Payload=b"{}")
    assert answer["StatusCode"] == 202

    def lines():
        told = cloud.command("logs", function).stdout
        return told if "REPORT" in told else None

    told = eventually(lines)
    assert "version1" in told and f"{function_arn(function)}:live" in told


def test_a_bucket_may_call_the_alias_that_says_so(s3, awslambda, function, bucket):
    arn = alias(awslambda, function)
    target = {"Id": "to-alias", "LambdaFunctionArn": arn, "Events": ["s3:ObjectCreated:*"]}
    configuration = {"LambdaFunctionConfigurations": [target]}
    configure = lambda: s3.put_bucket_notification_configuration(
        Bucket=bucket, NotificationConfiguration=configuration
    )
    wanted = {"StatementId": "s3", "Action": "lambda:InvokeFunction", "Principal": "s3.amazonaws.com"}
    # The function's own policy does not speak for its alias.
    awslambda.add_permission(FunctionName=function, **wanted)
    assert error(configure)["Error"]["Code"] == "InvalidArgument"
    awslambda.add_permission(FunctionName=function, Qualifier="live", **wanted)
    configure()


def test_whole_policies(awslambda, function):
    arn = function_arn(function)
    service = {"Effect": "Allow", "Principal": {"Service": "s3.amazonaws.com"}, "Action": "lambda:InvokeFunction"}
    document = json.dumps({"Version": "2012-10-17", "Statement": [{"Sid": "s3", "Resource": arn, **service}]})
    put = awslambda.put_resource_policy(ResourceArn=arn, Policy=document)
    got = awslambda.get_resource_policy(ResourceArn=arn)
    assert (got["Policy"], got["RevisionId"]) == (put["Policy"], put["RevisionId"])
    assert json.loads(got["Policy"])["Statement"] == [{"Sid": "s3", "Resource": arn, **service}]
    stale = "00000000-0000-0000-0000-000000000000"
    change = lambda: awslambda.put_resource_policy(ResourceArn=arn, Policy=document, RevisionId=stale)
    assert error(change)["Error"]["Code"] == "PreconditionFailedException"
    awslambda.delete_resource_policy(ResourceArn=arn, RevisionId=got["RevisionId"])
    gone = error(lambda: awslambda.get_resource_policy(ResourceArn=arn))
    assert gone["Error"]["Code"] == "ResourceNotFoundException"


@pytest.mark.parametrize("how", ["kill", "stop"])
def test_aliases_survive(own_cloud, how):
    own_cloud.start()
    trust = {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}
    document = json.dumps({"Version": "2012-10-17", "Statement": [trust]})
    role = own_cloud.client("iam").create_role(RoleName="r", AssumeRolePolicyDocument=document)["Role"]["Arn"]
    awslambda = own_cloud.client("lambda")
    settings = {"Runtime": "python3.13", "Handler": "index.handler", "Role": role, "Publish": True}
    awslambda.create_function(FunctionName="f", Code={"ZipFile": package("version1")}, **settings)
    awslambda.get_waiter("function_active_v2").wait(FunctionName="f", WaiterConfig={"Delay": 0.1})
    made = awslambda.create_alias(FunctionName="f", Name="live", FunctionVersion="1")
    getattr(own_cloud, how)()
    own_cloud.start()
    awslambda = own_cloud.client("lambda")
    assert awslambda.get_alias(FunctionName="f", Name="live")["RevisionId"] == made["RevisionId"]
    assert awslambda.invoke(FunctionName="f", Qualifier="live")["ExecutedVersion"] == "1"
