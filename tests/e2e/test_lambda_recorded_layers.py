"""Layers, sizes and SnapStart, played as they were recorded."""

import os

import pytest

import packages
from replay import PACKAGE

LAYER = packages.package({"file.txt": "dummy"})
X86 = {"CompatibleArchitectures": ["x86_64"]}
PYTHON = {"CompatibleRuntimes": ["python3.12"], **X86}


def publish(r, step, name, **more):
    request = {"LayerName": name, "Content": {"ZipFile": LAYER}, **more}
    return r.call(step, "publish_layer_version", **request)


def test_exceptions(replay):
    r = replay("TestLambdaLayer::test_layer_exceptions")
    name, absent = r.unique("testlayer"), {"LayerName": "layerdoesnotexist"}
    arn = publish(r, "publish_result", name, **PYTHON)["LayerArn"]
    r.call("list_layers_exc_compatibleruntime_invalid", "list_layers", CompatibleRuntime="runtimedoesnotexist")
    r.call("list_layers_exc_compatiblearchitecture_invalid", "list_layers", CompatibleArchitecture="archdoesnotexist")
    r.call("list_nonexistent_layer", "list_layer_versions", **absent)
    r.call("get_layer_version_exc_layer_doesnotexist", "get_layer_version", VersionNumber=1, **absent)
    for case, number in [("negative", -1), ("zero", 0), ("2", 2)]:
        step = f"get_layer_version_exc_layer_version_doesnotexist_{case}"
        r.call(step, "get_layer_version", LayerName=name, VersionNumber=number)
    r.call("get_layer_version_by_arn_exc_invalidarn", "get_layer_version_by_arn", Arn=arn)
    r.call("get_layer_version_by_arn_exc_nonexistentversion", "get_layer_version_by_arn", Arn=f"{arn}:2")
    delete = lambda step, layer, number: r.call(
        step, "delete_layer_version", LayerName=layer, VersionNumber=number
    )
    delete("delete_nonexistent_response", "layerdoesnotexist", 1)
    delete("delete_nonexistent_version_response", name, 2)
    delete("delete_layer_response", name, 1)
    delete("delete_layer_again_response", name, 1)
    delete("delete_layer_version_exc_layerversion_invalid_version", name, -1)
    none = {"CompatibleRuntimes": [], "CompatibleArchitectures": []}
    publish(r, "publish_empty_result", r.unique("testlayer-empty"), **none)
    wrong = {"CompatibleRuntimes": ["invalidruntime"], "CompatibleArchitectures": ["invalidarch"]}
    publish(r, "publish_layer_version_exc_invalid_runtime_arch", r.unique("testlayer-2"), **wrong)
    wrong["CompatibleRuntimes"] += ["invalidruntime2", "nodejs20.x"]
    wrong["CompatibleArchitectures"].append("x86_64")
    publish(r, "publish_layer_version_exc_partially_invalid_values", r.unique("testlayer-2"), **wrong)


def test_functions_with_layers(replay, cloud):
    r = replay("TestLambdaLayer::test_layer_function_exceptions")
    layer = r.unique("testlayer")
    steps = ["publish_result", "publish_result_2", "publish_result_3"]
    arns = [publish(r, step, layer, CompatibleRuntimes=[], **X86)["LayerVersionArn"] for step in steps]
    whole = arns[0].rsplit(":", 1)[0]
    name = r.function(wrapped=True)
    r.call("get_fn_result", "get_function", FunctionName=name)
    for step, layers in {
        "two_layer_versions_single_function_exc": arns[:2],
        "three_layer_versions_single_function_exc": arns,
        "two_identical_layer_versions_single_function_exc": [arns[0], arns[0]],
        "add_nonexistent_layer_exc": [f"{whole.replace(layer, 'doesnotexist')}:1"],
        "add_nonexistent_layer_version_exc": [f"{whole}:9"],
        "add_layer_arn_without_version_exc": [whole],
    }.items():
        r.call(step, "update_function_configuration", FunctionName=name, Layers=layers)


def test_six_layers(replay):
    r = replay("TestLambdaLayer::test_layer_function_quota_exception")
    arns = [publish(r, None, r.unique("testlayer"), **PYTHON)["LayerVersionArn"] for _ in range(6)]
    settings = {"Handler": "handler.handler", "Role": r.role, "Runtime": "python3.12", "Code": {"ZipFile": PACKAGE}}
    step = "create_function_with_six_layers"
    r.call(step, "create_function", FunctionName=r.unique("f"), Layers=arns, **settings)


def test_lifecycle(replay):
    r = replay("TestLambdaLayer::test_layer_lifecycle")
    one, layer = {"FunctionName": r.function(wrapped=True)}, {"LayerName": r.unique("testlayer")}
    r.call("get_fn_result", "get_function", **one)
    r.call("get_fn_config_result", "get_function_configuration", **one)
    told = {"LicenseInfo": r.unique("licenseinfo"), "Description": r.unique("description"), **PYTHON}
    arn = publish(r, "publish_result", layer["LayerName"], **told)["LayerVersionArn"]
    publish(r, "publish_result_2", layer["LayerName"], **told)
    r.call("update_fn_config", "update_function_configuration", Layers=[arn], **one)
    r.updated(one["FunctionName"])
    r.call("get_fn_config", "get_function_configuration", **one)
    r.call("get_layer_ver_result", "get_layer_version", VersionNumber=1, **layer)
    r.call("get_layer_by_arn_version", "get_layer_version_by_arn", Arn=arn)
    r.call("list_layer_versions_predelete", "list_layer_versions", **layer)
    r.call("delete_layer_1", "delete_layer_version", VersionNumber=1, **layer)
    r.call("get_fn_config_postdelete", "get_function_configuration", **one)
    r.call("delete_layer_2", "delete_layer_version", VersionNumber=2, **layer)
    r.call("list_layer_versions_postdelete", "list_layer_versions", **layer)
    publish(r, "publish_result_3", layer["LayerName"], **told)


def test_layer_in_a_bucket(replay, s3, bucket):
    r = replay("TestLambdaLayer::test_layer_s3_content")
    at = {"S3Bucket": bucket, "S3Key": "/layercontent.zip"}
    s3.put_object(Bucket=bucket, Key=at["S3Key"], Body=LAYER)
    publish(r, "publish_layer_result", r.unique("bucket-layer"), Content=at)


def test_policy_exceptions(replay):
    r = replay("TestLambdaLayer::test_layer_policy_exceptions")
    name = r.unique("layer4policy")
    publish(r, "publish_result", name, **PYTHON)
    absent = f"{name}-doesnotexist"

    def permission(verb, step, layer=name, number=1, **more):
        wanted = {"LayerName": layer, "VersionNumber": number}
        if verb == "add":
            wanted |= {"Action": "lambda:GetLayerVersion", "Principal": "*", "StatementId": "s9"}
        operation = "get_layer_version_policy" if verb == "get" else f"{verb}_layer_version_permission"
        r.call(step, operation, **{**wanted, **more})

    permission("get", "layer_permission_nopolicy_get")
    permission("add", "add_layer_permission_result", StatementId="s1")
    permission("add", "layer_permission_action_invalid", Action="*")
    permission("add", "layer_permission_duplicate_statement", StatementId="s1")
    permission("add", "layer_permission_wrong_revision", StatementId="s2", RevisionId="wrong")
    for case, layer, number in [("layername", absent, 1), ("layerversion", name, 2)]:
        permission("add", f"layer_permission_{case}_doesnotexist_add", layer, number)
        permission("get", f"layer_permission_{case}_doesnotexist_get", layer, number)
        permission("remove", f"layer_permission_{case}_doesnotexist_remove", layer, number, StatementId="s1")
    permission("remove", "layer_permission_statementid_doesnotexist_remove", StatementId="doesnotexist")
    permission("remove", "layer_permission_wrong_revision_remove", StatementId="s1", RevisionId="wrong")


def test_policy_lifecycle(replay):
    r = replay("TestLambdaLayer::test_layer_policy_lifecycle")
    one = {"LayerName": r.unique("testlayer"), "VersionNumber": 1}
    publish(r, "publish_result", one["LayerName"], **PYTHON)
    everybody = {"Action": "lambda:GetLayerVersion", "Principal": "*", **one}
    get = lambda step: r.call(step, "get_layer_version_policy", **one)["RevisionId"]
    r.call("add_policy_s1", "add_layer_version_permission", StatementId="s1", **everybody)
    current = get("get_layer_version_policy")
    r.call("add_policy_s2", "add_layer_version_permission", StatementId="s2", RevisionId=current, **everybody)
    current = get("get_layer_version_policy_postadd2")
    r.call("remove_s2", "remove_layer_version_permission", StatementId="s2", RevisionId=current, **one)
    get("get_layer_version_policy_postdeletes2")


def test_too_much_environment(replay):
    settings = lambda r: {"Handler": "handler.handler", "Role": r.role, "Runtime": "python3.12", "Timeout": 30}
    for test, step, variables in [
        ("test_large_environment_variables_fails", "failed_create_fn_result", {"LARGE_VAR": "x" * 4081}),
        (
            "test_large_environment_fails_multiple_keys",
            "failured_create_fn_result_multi_key",
            {"SMALL_VAR": "ok", "LARGE_VAR": "x" * 4064},
        ),
    ]:
        r = replay(f"TestLambdaSizeLimits::{test}")
        wanted = {"Code": {"ZipFile": PACKAGE}, "Environment": {"Variables": variables}, **settings(r)}
        r.call(step, "create_function", FunctionName=r.unique("f"), **wanted)


def test_as_much_environment_as_there_may_be(replay):
    r = replay("TestLambdaSizeLimits::test_lambda_envvars_near_limit_succeeds")
    large = {"Variables": {"LARGE_VAR": "x" * 4080}}
    r.function("successful_create_fn_result", wrapped=True, Environment=large)


def test_too_large_a_package(replay):
    r = replay("TestLambdaSizeLimits::test_oversized_zipped_create_lambda")
    # What cannot be compressed: the zip is a little larger than this.
    code = {"ZipFile": packages.package({"handler.py": os.urandom(52_428_800)})}
    settings = {"Handler": "handler.handler", "Role": r.role, "Runtime": "python3.12", "Timeout": 10}
    r.call("invalid_param_exc", "create_function", FunctionName=r.unique("f"), Code=code, **settings)


SNAP = ["python3.12", "python3.13"]


def snap_function(r, runtime):
    return r.function("create_function_response", Handler="handler.handler", Runtime=runtime, MemorySize=1024, Timeout=5)


@pytest.mark.parametrize("runtime", SNAP)
def test_snap_start(replay, runtime):
    r = replay(f"TestLambdaSnapStart::test_snapstart_lifecycle[{runtime}]")
    name = snap_function(r, runtime)
    r.call(None, "publish_version", FunctionName=name, Description="version1")
    r.call("get_function_response_latest", "get_function", FunctionName=name)
    r.call("get_function_response_version_1", "get_function", FunctionName=f"{name}:1")


@pytest.mark.parametrize("runtime", SNAP)
def test_snap_start_is_switched_on(replay, runtime):
    r = replay(f"TestLambdaSnapStart::test_snapstart_update_function_configuration[{runtime}]")
    change = {"FunctionName": snap_function(r, runtime), "SnapStart": {"ApplyOn": "PublishedVersions"}}
    r.call("update_function_response", "update_function_configuration", **change)


def test_snap_start_exceptions(replay):
    r = replay("TestLambdaSnapStart::test_snapstart_exceptions")
    settings = {"Handler": "Handler", "Role": r.role, "Runtime": "java21", "Code": {"ZipFile": PACKAGE}}
    wrong = {"SnapStart": {"ApplyOn": "invalidOption"}}
    step = "create_function_invalid_snapstart_apply"
    r.call(step, "create_function", FunctionName=r.unique("f"), **settings, **wrong)
