"""Tags, runtime management and code signing configurations, compared with what AWS answered."""

import packages
from cloud import ACCOUNT
from conftest import function_arn
from recorded import assert_like, snapshot
from test_lambda_functions import OURS, error

API = "lambda_/test_lambda_api"
CODE = "def handler(event, context): return 1"
PROFILE = f"arn:aws:signer:us-east-1:{ACCOUNT}:/signing-profiles/test"


def test_tag_lifecycle_as_recorded(awslambda, role, unique):
    recorded = snapshot(API, "TestLambdaTags::test_tag_lifecycle")
    name = unique("function")
    awslambda.create_function(
        FunctionName=name, Runtime="python3.12", Handler="index.handler", Role=role, Tags={"key_a": "value_a"},
        Code={"ZipFile": packages.python(CODE)},
    )  # fmt: skip
    awslambda.get_waiter("function_active_v2").wait(FunctionName=name, WaiterConfig={"Delay": 0.1})
    arn = function_arn(name)

    def listed(step):
        assert_like(awslambda.list_tags(Resource=arn), recorded[f"list_tags_response_{step}"])
        shown = awslambda.get_function(FunctionName=name)
        assert shown.get("Tags") == recorded[f"get_fn_response_{step}"].get("Tags")
        return shown["Configuration"]["RevisionId"]

    revisions = [listed("postfncreate")]
    added = {f"key_{letter}": f"value_{letter}" for letter in "bcde"}
    assert_like(awslambda.tag_resource(Resource=arn, Tags=added), recorded["tag_resource_response"])
    revisions.append(listed("postaddtags"))
    awslambda.tag_resource(Resource=arn, Tags={"key_c": "value_x"})
    revisions.append(listed("overwrite"))
    awslambda.untag_resource(Resource=arn, TagKeys=["key_c", "key_d"])
    revisions.append(listed("postuntag"))
    awslambda.untag_resource(Resource=arn, TagKeys=["key_a", "key_b", "key_e"])
    revisions.append(listed("postuntagall"))
    assert len(set(revisions)) == len(revisions)
    awslambda.delete_function(FunctionName=name)
    assert_like(error(lambda: awslambda.list_tags(Resource=arn)), recorded["list_tags_postdelete"])


def test_tag_errors_as_recorded(awslambda, deploy):
    recorded = snapshot(API, "TestLambdaTags::test_tag_exceptions")
    limits = snapshot(API, "TestLambdaTags::test_tag_limits")
    arn = function_arn(deploy(packages.python(CODE)))

    def refused(resource, tags, expected):
        assert_like(error(lambda: awslambda.tag_resource(Resource=resource, Tags=tags)), expected)

    refused(function_arn("doesnotexist"), {"A": "B"}, recorded["tag_lambda_doesnotexist"])
    refused(f"{arn}:v1", {"A": "B"}, recorded["tag_lambda_qualifier_doesnotexist"])
    refused(arn, {}, recorded["tag_empty_tags"])
    assert_like(awslambda.list_tags(Resource=arn), recorded["list_tag_lambda_empty"])
    assert_like(awslambda.untag_resource(Resource=arn, TagKeys=["somekey"]), recorded["untag_nomatch"])
    asked = error(lambda: awslambda.untag_resource(Resource=arn, TagKeys=[]))
    assert_like(asked, recorded["untag_empty_keys"])
    strange = error(lambda: awslambda.tag_resource(Resource="arn:aws:something", Tags={"A": "B"}))
    assert strange["Error"]["Code"] == recorded["tag_lambda_invalidarn"]["Error"]["Code"]
    tags = {f"{number}_key": f"{number}_value" for number in range(51)}
    refused(arn, tags, limits["tag_lambda_too_many_tags"])
    tags.popitem()
    assert_like(awslambda.tag_resource(Resource=arn, Tags=tags), limits["tag_response"])
    assert awslambda.list_tags(Resource=arn)["Tags"] == tags
    refused(arn, {"a_key": "a_value"}, limits["tag_lambda_too_many_tags_additional"])


def test_code_signing_as_recorded(awslambda, deploy):
    recorded = snapshot(API, "TestCodeSigningConfig::test_function_code_signing_config")
    name = deploy(packages.python(CODE))

    def is_like(answer, step):
        assert_like(answer, recorded[step], OURS)
        return answer

    made = awslambda.create_code_signing_config(
        Description="Testing CodeSigning Config",
        AllowedPublishers={"SigningProfileVersionArns": [PROFILE]},
        CodeSigningPolicies={"UntrustedArtifactOnDeployment": "Enforce"},
    )
    arn = is_like(made, "create_code_signing_config")["CodeSigningConfig"]["CodeSigningConfigArn"]
    policies = {"UntrustedArtifactOnDeployment": "Warn"}
    updated = awslambda.update_code_signing_config(CodeSigningConfigArn=arn, CodeSigningPolicies=policies)
    is_like(updated, "update_code_signing_config")
    is_like(awslambda.get_code_signing_config(CodeSigningConfigArn=arn), "get_code_signing_config")
    put = awslambda.put_function_code_signing_config(FunctionName=name, CodeSigningConfigArn=arn)
    is_like(put, "put_function_code_signing_config")
    is_like(awslambda.get_function_code_signing_config(FunctionName=name), "get_function_code_signing_config")
    configs = awslambda.list_code_signing_configs()["CodeSigningConfigs"]
    [config] = [one for one in configs if one["CodeSigningConfigArn"] == arn]
    assert_like(config, recorded["list_code_signing_configs"])
    users = awslambda.list_functions_by_code_signing_config(CodeSigningConfigArn=arn)
    is_like(users, "list_functions_by_code_signing_config")
    gone = awslambda.delete_function_code_signing_config(FunctionName=name)
    is_like(gone, "delete_function_code_signing_config")
    is_like(awslambda.delete_code_signing_config(CodeSigningConfigArn=arn), "delete_code_signing_config")


def test_code_signing_that_is_not_there_as_recorded(awslambda, deploy):
    recorded = snapshot(API, "TestCodeSigningConfig::test_code_signing_not_found_excs")
    name, nobody = deploy(packages.python(CODE)), "csc-test-doesnotexist"
    nowhere = f"arn:aws:lambda:us-east-1:{ACCOUNT}:code-signing-config:csc-0123456789abcdefg"

    def is_like(ask, step):
        asked = error(ask)
        asked["Error"]["Message"] = asked["Error"]["Message"].replace(nowhere, "<csc_arn_invalid>")
        assert asked["Error"] == recorded[step]["Error"] | {"Message": message(recorded[step])}

    def message(answer):
        replaced = answer["Error"]["Message"].replace("<partition>", "aws").replace("<region>", "us-east-1")
        return replaced.replace("111111111111", ACCOUNT)

    config = {"CodeSigningConfigArn": nowhere}
    is_like(lambda: awslambda.delete_code_signing_config(**config), "delete_csc_notfound")
    nothing = awslambda.delete_function_code_signing_config(FunctionName=name)
    assert_like(nothing, recorded["nothing_to_delete_response"])
    is_like(
        lambda: awslambda.delete_function_code_signing_config(FunctionName=nobody),
        "delete_function_csc_fnnotfound",
    )
    is_like(
        lambda: awslambda.put_function_code_signing_config(FunctionName=name, **config),
        "put_function_csc_invalid_csc_arn",
    )
    is_like(
        lambda: awslambda.put_function_code_signing_config(FunctionName=nobody, **config),
        "put_function_csc_invalid_both",
    )
    is_like(lambda: awslambda.update_code_signing_config(**config), "update_csc_noupdates")
    is_like(lambda: awslambda.get_code_signing_config(**config), "get_csc_invalid")
    is_like(lambda: awslambda.get_function_code_signing_config(FunctionName=nobody), "get_function_csc_nonexistingfn")
    is_like(
        lambda: awslambda.list_functions_by_code_signing_config(**config),
        "list_functions_by_csc_invalid_cscarn",
    )


def test_runtime_management(awslambda, deploy):
    name = deploy(packages.python(CODE))
    config = awslambda.get_runtime_management_config(FunctionName=name)
    assert config["UpdateRuntimeOn"] == "Auto"
    assert config["FunctionArn"] == f"{function_arn(name)}:$LATEST"
    assert "RuntimeVersionArn" not in config
    version = awslambda.get_function_configuration(FunctionName=name)["RuntimeVersionConfig"]["RuntimeVersionArn"]
    put = awslambda.put_runtime_management_config(
        FunctionName=name, UpdateRuntimeOn="Manual", RuntimeVersionArn=version
    )
    assert (put["UpdateRuntimeOn"], put["RuntimeVersionArn"]) == ("Manual", version)
    published = awslambda.publish_version(FunctionName=name)["Version"]
    config = awslambda.get_runtime_management_config(FunctionName=name, Qualifier=published)
    assert (config["UpdateRuntimeOn"], config["RuntimeVersionArn"]) == ("Manual", version)
    asked = error(lambda: awslambda.put_runtime_management_config(FunctionName=name, UpdateRuntimeOn="Manual"))
    assert asked["Error"]["Code"] == "InvalidParameterValueException"
