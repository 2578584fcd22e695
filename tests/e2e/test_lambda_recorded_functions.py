"""Functions made, shown, changed and deleted, and what is refused, played as it was recorded."""

import re
import urllib.request

import pytest
from botocore.exceptions import ClientError

from cloud import ACCOUNT, REGION
from replay import OTHER_PACKAGE, PACKAGE

ARN = f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:"
OTHER_REGION = "eu-central-1"


def test_lifecycle(replay):
    r = replay("TestLambdaFunction::test_function_lifecycle")
    name = r.function("create_response", wrapped=True, MemorySize=256, Timeout=5)
    get = lambda step: r.call(step, "get_function", FunctionName=name)
    get("get_function_response")
    changes = {"Description": "Changed-Description", "MemorySize": 512, "Timeout": 10, "Runtime": "python3.11"}
    changes["Environment"] = {"Variables": {"ENV_A": "a"}}
    r.call("update_func_conf_response", "update_function_configuration", FunctionName=name, **changes)
    r.updated(name)
    get("get_function_response_postupdate")
    r.call("update_code_response", "update_function_code", FunctionName=name, ZipFile=OTHER_PACKAGE)
    r.updated(name)
    get("get_function_response_postcodeupdate")
    r.call("delete_response", "delete_function", FunctionName=name)
    r.call("delete_postdelete", "delete_function", FunctionName=name)


def test_redundant_updates(replay):
    r = replay("TestLambdaFunction::test_redundant_updates")
    name = r.function("create_response", wrapped=True, Description="Initial description")
    change = {"FunctionName": name, "Description": "1st update description"}
    r.call("first_update_result", "update_function_configuration", **change)
    r.updated(name)
    r.call("get_fn_config_result", "get_function_configuration", FunctionName=name)
    r.call("get_fn_result", "get_function", FunctionName=name)
    r.call("redundant_update_result", "update_function_configuration", **change)
    r.updated(name)
    r.call("get_fn_result_after_redundant_update", "get_function", FunctionName=name)


@pytest.mark.parametrize("operation", ["delete_function", "get_function", "get_function_configuration"])
def test_qualifiers_that_do_not_match(replay, operation):
    r = replay(f"TestLambdaFunction::test_ops_with_arn_qualifier_mismatch[{operation}]")
    for step, qualifier in [("not_match_exception", "1"), ("match_exception", "$LATEST")]:
        r.call(step, operation, FunctionName=f"{ARN}some-function:{qualifier}", Qualifier="$LATEST")


@pytest.mark.parametrize(
    "operation", ["get_function", "get_function_configuration", "get_function_event_invoke_config"]
)
def test_versions_that_are_not_there(replay, operation):
    r = replay(f"TestLambdaFunction::test_ops_on_nonexisting_version[{operation}]")
    r.call("version_not_found_exception", operation, FunctionName=r.function(wrapped=True), Qualifier="1221")


def test_deletion_of_what_is_not_there(replay):
    r = replay("TestLambdaFunction::test_delete_on_nonexisting_version")
    name = r.function(wrapped=True)
    for _ in range(2):
        r.call(None, "delete_function", FunctionName=name, Qualifier="1233")
    r.call(None, "delete_function", FunctionName=name)
    r.call("delete_function_response_non_existent", "delete_function", FunctionName=name)
    step = "delete_function_response_non_existent_with_qualifier"
    r.call(step, "delete_function", FunctionName=name, Qualifier="1233")


OF_FUNCTIONS = [
    "delete_function",
    "get_function",
    "get_function_configuration",
    "get_function_url_config",
    "get_function_code_signing_config",
    "get_function_event_invoke_config",
    "get_function_concurrency",
]


@pytest.mark.parametrize("operation", OF_FUNCTIONS)
def test_functions_that_are_not_there(replay, operation):
    r = replay(f"TestLambdaFunction::test_ops_on_nonexisting_fn[{operation}]")
    r.call("not_found_exception", operation, FunctionName=r.unique("i-dont-exist"))


@pytest.mark.parametrize("operation", [*OF_FUNCTIONS, "invoke"])
def test_functions_of_another_region(replay, operation):
    r = replay(f"TestLambdaFunction::test_get_function_wrong_region[{operation}]")
    name = r.function(wrapped=True)
    r.call("wrong_region_exception", operation, FunctionName=f"{ARN}{name}".replace(REGION, OTHER_REGION))


def code_changes(r, name, **code):
    """As both tests of code's location go on."""
    got = r.call("get-function-response", "get_function", FunctionName=name)
    assert urllib.request.urlopen(got["Code"]["Location"]).read() == PACKAGE
    r.call("update-function-response", "update_function_code", FunctionName=name, **code)
    r.call("get-function-response-updated", "get_function", FunctionName=name)


def test_code_in_the_request(replay):
    r = replay("TestLambdaFunction::test_lambda_code_location_zipfile")
    code_changes(r, r.function("create-response-zip-file"), ZipFile=OTHER_PACKAGE)


def test_code_in_a_bucket(replay, s3, bucket):
    r = replay("TestLambdaFunction::test_lambda_code_location_s3")
    at = {"S3Bucket": bucket, "S3Key": "code/code-function.zip"}
    put = lambda package: s3.put_object(Bucket=bucket, Key=at["S3Key"], Body=package)
    put(PACKAGE)
    name = r.function("create_response_s3", Code=at)
    put(OTHER_PACKAGE)
    code_changes(r, name, **at)


def test_code_that_is_in_no_bucket(replay, s3, bucket):
    r = replay("TestLambdaFunction::test_lambda_code_location_s3_errors")
    at = {"S3Bucket": bucket, "S3Key": "code/code-function.zip"}
    s3.put_object(Bucket=bucket, Key=at["S3Key"], Body=PACKAGE)
    wrong = {"wrong-bucket": {**at, "S3Bucket": r.unique("no-bucket")}, "wrong-key": {**at, "S3Key": "non/existent.zip"}}
    settings = {"Handler": "index.handler", "Role": r.role, "Runtime": "python3.12"}
    for case, code in wrong.items():
        r.call(f"create-error-{case}", "create_function", FunctionName=r.unique("f"), Code=code, **settings)
    name = r.function(Code=at)
    for case, code in wrong.items():
        r.call(f"update-error-{case}", "update_function_code", FunctionName=name, **code)


def test_names_as_arns(replay):
    r = replay("TestLambdaFunction::test_function_arns")
    r.function("create-function-arn-response", wrapped=True, FunctionName=ARN + r.unique("test-function-arn"))
    partial = f"{ACCOUNT}:function:{r.unique('test-partial-arn')}"
    r.function("create-function-partial-arn-response", wrapped=True, FunctionName=partial)
    settings = {"Handler": "index.handler", "Role": r.role, "Runtime": "python3.12", "Code": {"ZipFile": PACKAGE}}
    for step, name in [
        ("invalid_function_name_exc", "invalid:function:name"),
        ("long_function_name_exc", "a" * 65),
        ("long_function_arn_exc", ARN + "a" * (141 - len(ARN))),
        ("function_arn_other_region_exc", ARN.replace(REGION, "ap-southeast-1") + "f"),
        ("function_arn_other_account_exc", ARN.replace(ACCOUNT, "123456789012") + "f"),
    ]:
        r.call(step, "create_function", FunctionName=name, **settings)


NAMES = {
    "invalid_characters_in_function_name": {"FunctionName": "my-function!"},
    "function_name_is_single_invalid": {"FunctionName": "*"},
    "invalid_characters_in_qualifier": {"FunctionName": "my-function", "Qualifier": "invalid!"},
    "qualifier_too_long": {"FunctionName": "my-function", "Qualifier": "a" * 129},
    "invalid_account_id_in_partial_arn": {"FunctionName": "invalid-account:function:my-function"},
    "invalid_region_in_arn": {"FunctionName": f"arn:aws:lambda:invalid-region:{ACCOUNT}:function:my-function"},
    "non_lambda_arn": {"FunctionName": f"arn:aws:ec2:{REGION}:{ACCOUNT}:instance:i-1234567890abcdef0"},
    "function_name_too_long": {"FunctionName": "a" * 65},
    "function_name_too_long_and_invalid_region": {
        "FunctionName": f"arn:aws:lambda:invalid-region:{ACCOUNT}:function:my-function{'a' * 170}"
    },
    "full_arn_and_qualifier_too_long_and_invalid_region": {
        "FunctionName": f"arn:aws:lambda:invalid-region:{ACCOUNT}:function:my-function-{'a' * 170}",
        "Qualifier": "a" * 129,
    },
    "full_arn_with_multiple_qualifiers": {"FunctionName": f"{ARN}my-function:1:2"},
    "incomplete_arn": {"FunctionName": ARN.removesuffix(":")},
    "partial_arn_with_extra_qualifier": {"FunctionName": "function:my-function:$LATEST:extra"},
    "latest_version_with_additional_qualifier": {"FunctionName": f"{ARN}my-function:$LATEST", "Qualifier": "1"},
    "lowercase_latest_qualifier": {"FunctionName": f"{ARN}my-function", "Qualifier": "$latest"},
    "missing_region_in_arn": {"FunctionName": f"arn:aws:lambda::{ACCOUNT}:function:my-function"},
    "missing_account_id_in_arn": {"FunctionName": f"arn:aws:lambda:{REGION}::function:my-function"},
    "misspelled_latest_in_arn": {"FunctionName": f"{ARN}my-function:$LATES"},
}
VIOLATION = re.compile(r"(Value '.*?' at '.*?' failed to satisfy constraint: .+?(?=;|$))")


@pytest.mark.parametrize("operation", ["get_function", "delete_function", "invoke", "create_function"])
@pytest.mark.parametrize("case", NAMES)
def test_names_and_qualifiers(replay, case, operation):
    if (case, operation) == ("incomplete_arn", "create_function"):
        pytest.skip("the name is `function`, and AWS makes it")
    r = replay(f"TestLambdaFunction::test_function_name_and_qualifier_validation[{case}-{operation}]")
    request = NAMES[case]
    if operation == "create_function":
        name = ":".join(request.values())
        settings = {"Handler": "index.handler", "Role": r.role, "Runtime": "python3.12"}
        request = {"FunctionName": name, "Code": {"ZipFile": PACKAGE}, **settings}
    with pytest.raises(ClientError) as refused:
        getattr(r.client, operation)(**request)
    # As recorded: the parts of a message in their alphabet's order.
    error = refused.value.response["Error"]
    told = {"Code": error["Code"], "Message": error["Message"]}
    if found := VIOLATION.findall(error["Message"]):
        told = {"Code": error["Code"], "Count": len(found), "Errors": sorted(found)}
    r.match(f"{operation}_exception", told)


def test_creations_that_are_refused(replay):
    r = replay("TestLambdaFunction::test_create_lambda_exceptions")
    settings = {"Handler": "index.handler", "Role": r.role, "Runtime": "python3.12", "Code": {"ZipFile": PACKAGE}}
    for step, wrong in {
        "invalid_role_arn_exc": {"Role": "r1"},
        "invalid_runtime_exc": {"Runtime": "non-existent-runtime"},
        "uppercase_runtime_exc": {"Runtime": "PYTHON3.9"},
        "multiple_architectures": {"Architectures": ["x86_64", "arm64"]},
        "uppercase_architecture": {"Architectures": ["X86_64"]},
        "invalid_zip_exc": {"Code": {"ZipFile": b"this is not a zipfile, just a random string"}, "Runtime": "python3.9"},
    }.items():
        r.call(step, "create_function", FunctionName=r.unique("f"), **{**settings, **wrong})


def test_updates_that_are_refused(replay):
    r = replay("TestLambdaFunction::test_update_lambda_exceptions")
    name = r.function()
    for step, wrong in {
        "invalid_role_arn_exc": {"Role": "r1"},
        "invalid_runtime_exc": {"Runtime": "non-existent-runtime"},
        "uppercase_runtime_exc": {"Runtime": "PYTHON3.9"},
    }.items():
        r.call(step, "update_function_configuration", FunctionName=name, **wrong)


def test_lists(replay):
    r = replay("TestLambdaFunction::test_list_functions")
    names = [r.unique("list-fn-1"), r.unique("list-fn-2")]
    r.function("create_response_1", wrapped=True, FunctionName=names[0], Publish=True)
    r.function("create_response_2", wrapped=True, FunctionName=names[1])
    r.call("list_functions_invalid_functionversion", "list_functions", FunctionVersion="invalid")
    for step, version in [("list_all", {"FunctionVersion": "ALL"}), ("list_default", {})]:
        pages = r.client.get_paginator("list_functions").paginate(**version, PaginationConfig={"PageSize": 1})
        listed = [one for one in pages.build_full_result()["Functions"] if one["FunctionName"] in names]
        r.match(step, {"Functions": sorted(listed, key=lambda one: one["FunctionArn"])})


def test_a_pattern(replay):
    r = replay("TestLambdaFunction::test_invalid_invoke")
    name = f"arn:aws:lambda:{REGION}:123400000000@function:myfn"
    r.call("invoke_function_name_pattern_exc", "invoke", FunctionName=name, Payload=b"{}")


def test_changes_at_once(replay):
    r = replay("TestLambdaFunction::test_lambda_concurrent_code_updates")
    r.function("create-function-response", Handler="handler.handler")
    r = replay("TestLambdaFunction::test_lambda_concurrent_config_updates")
    r.function("create-function-response", wrapped=True)


DEPRECATED = [
    "dotnetcore3.1",
    "go1.x",
    "java8",
    "nodejs12.x",
    "nodejs14.x",
    "provided",
    "python3.7",
    "ruby2.7",
]


@pytest.mark.parametrize("runtime", DEPRECATED)
def test_deprecated_runtimes(replay, runtime):
    r = replay(f"TestRuntimeValidation::test_create_deprecated_function_runtime_with_validation_enabled[{runtime}]")
    settings = {"Handler": "handler.handler", "Role": r.role, "Timeout": 30, "Code": {"ZipFile": PACKAGE}}
    r.call("deprecation_error", "create_function", FunctionName=r.unique("f"), Runtime=runtime, **settings)
