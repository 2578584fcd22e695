"""URLs, tags, logging and code signing, played as they were recorded."""

import pytest

from cloud import ACCOUNT, REGION
from replay import PACKAGE

ARN = f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:"
NODE = {"Runtime": "nodejs20.x", "Handler": "lambda_handler.handler"}


def url(r, verb, step, **request):
    return r.call(step, f"{verb}_function_url_config", **request)


def with_alias(r, alias="urlalias"):
    name = r.function(wrapped=True, **NODE)
    r.call("fn_version_result", "publish_version", FunctionName=name)
    r.call("create_alias_result", "create_alias", FunctionName=name, Name=alias, FunctionVersion="1")
    return name


def test_url_exceptions(replay):
    r = replay("TestLambdaUrl::test_url_config_exceptions")
    name = with_alias(r)
    targets = {
        "name_doesnotexist": {"FunctionName": "doesnotexist"},
        "arn_doesnotexist": {"FunctionName": f"{ARN}doesnotexist"},
        "name_doesnotexist_qualifier": {"FunctionName": "doesnotexist", "Qualifier": "1"},
        "qualifier_version": {"FunctionName": name, "Qualifier": "1"},
        "qualifier_version_doesnotexist": {"FunctionName": name, "Qualifier": "2"},
        "qualifier_alias_doesnotexist": {"FunctionName": name, "Qualifier": "v1"},
        "qualifier_alias_doesnotmatch_arn": {"FunctionName": f"{name}:urlalias-doesnotmatch", "Qualifier": "urlalias"},
        "qualifier_latest": {"FunctionName": name, "Qualifier": "$LATEST"},
    }
    for case, target in targets.items():
        url(r, "create", f"create_function_url_config_{case}", AuthType="NONE", **target)
    targets["config_doesnotexist"] = {"FunctionName": name}
    for verb, more in [("get", {}), ("delete", {}), ("update", {"AuthType": "AWS_IAM"})]:
        for case, target in targets.items():
            url(r, verb, f"{verb}_function_url_config_{case}", **target, **more)


def test_url_lists(replay):
    r = replay("TestLambdaUrl::test_url_config_list_paging")
    name = with_alias(r)

    def listed(step, function=name, **request):
        if step:
            return r.call(step, "list_function_url_configs", FunctionName=function, **request)
        return r.client.list_function_url_configs(FunctionName=function, **request)

    listed("list_function_notfound", "doesnotexist")
    listed("list_all_empty")
    url(r, "create", "url_config_fn", FunctionName=name, AuthType="NONE")
    alias = {"FunctionName": f"{name}:urlalias", "Qualifier": "urlalias"}
    url(r, "create", "url_config_alias", AuthType="NONE", **alias)
    both = listed(None)
    both["FunctionUrlConfigs"].sort(key=lambda one: one["FunctionArn"])
    r.match("list_all", both)
    first = listed(None, MaxItems=1)
    rest = listed(None, MaxItems=1, Marker=first["NextMarker"])
    urls = {page["FunctionUrlConfigs"][0]["FunctionUrl"] for page in (first, rest)}
    assert urls == {one["FunctionUrl"] for one in both["FunctionUrlConfigs"]}


def test_url_lifecycle(replay):
    r = replay("TestLambdaUrl::test_url_config_lifecycle")
    one = {"FunctionName": r.function(wrapped=True, **NODE)}
    url(r, "create", "url_creation", AuthType="NONE", **one)
    url(r, "create", "failed_duplication", AuthType="NONE", **one)
    url(r, "get", "get_url_config", **one)
    url(r, "update", "updated_url_config", AuthType="AWS_IAM", **one)
    url(r, "delete", None, **one)
    url(r, "get", "failed_getter", **one)


def test_url_deletion_leaves_those_of_aliases(replay):
    r = replay("TestLambdaUrl::test_url_config_deletion_without_qualifier")
    one = {"FunctionName": r.function(Environment={"Variables": {"testenv": "staging"}})}
    r.call(None, "publish_version", **one)
    r.call(None, "create_alias", Name="test-alias", FunctionVersion="1", Description="custom-alias", **one)
    alias = {**one, "Qualifier": "test-alias"}
    url(r, "create", "url_creation", AuthType="NONE", **one)
    url(r, "create", "url_with_alias_creation", AuthType="NONE", **alias)
    url(r, "get", "get_url_config", **one)
    url(r, "get", "get_url_config_with_alias", **alias)
    url(r, "delete", "delete_function_url_config", **one)
    url(r, "get", "get_url_config_after_deletion", **one)
    url(r, "get", "get_url_config_with_alias_after_deletion", **alias)


def test_tags_of_a_new_function(replay):
    r = replay("TestLambdaTag::test_create_tag_on_fn_create")
    name = r.function(wrapped=True, Tags={"testtag": r.unique("tag")})
    r.call("get_function_result", "get_function", FunctionName=name)
    r.call("list_tags_result", "list_tags", Resource=ARN + name)


def test_tags_come_and_go(replay):
    r = replay("TestLambdaTag::test_tag_lifecycle[lambda_function]")
    one = {"Resource": ARN + r.function(wrapped=True)}
    for step, operation, request in [
        ("tag_single_response", "tag_resource", {"Tags": {"A": "tag-a"}}),
        ("tag_multiple_response", "tag_resource", {"Tags": {"B": "tag-b", "C": "tag-c"}}),
        ("tag_overlap_response", "tag_resource", {"Tags": {"C": "tag-c-newsuffix", "D": "tag-d"}}),
        ("untag_single_response", "untag_resource", {"TagKeys": ["A"]}),
        ("untag_multiple_response", "untag_resource", {"TagKeys": ["B", "C"]}),
        ("untag_nonexisting_response", "untag_resource", {"TagKeys": ["F"]}),
        ("untag_existing_and_nonexisting_response", "untag_resource", {"TagKeys": ["D", "F"]}),
    ]:
        r.call(step, operation, **one, **request)
        r.call(f"{step}_listtags", "list_tags", **one)


def test_tags_of_functions_that_are_gone(replay):
    r = replay("TestLambdaTag::test_tag_nonexisting_resource")
    name = r.function(wrapped=True)
    r.call("pre_delete_get_function", "get_function", FunctionName=ARN + name)
    r.call(None, "delete_function", FunctionName=name)
    one = {"Resource": ARN + name}
    r.call("not_found_exception_tag", "tag_resource", Tags={"A": "B"}, **one)
    r.call("not_found_exception_untag", "untag_resource", TagKeys=["A"], **one)
    r.call("not_found_exception_list", "list_tags", **one)


def test_tag_exceptions_by_resource(replay):
    r = replay("TestLambdaTag::test_tag_exceptions[lambda_function]")
    one = {"Resource": ARN + r.unique("absent")}
    r.call("not_found_exception_tag", "tag_resource", Tags={"A": "B"}, **one)
    r.call("not_found_exception_untag", "untag_resource", TagKeys=["A"], **one)
    r.call("not_found_exception_list", "list_tags", **one)
    r.call("aliased_arn_exception", "list_tags", Resource=f"{one['Resource']}:alias")
    r.call("invalid_arn_exception", "list_tags", Resource=one["Resource"].replace(":function:", ":foobar:"))


def test_tag_exceptions(replay):
    r = replay("TestLambdaTags::test_tag_exceptions")
    one, tags = {"Resource": ARN + r.function(wrapped=True)}, {"Tags": {"key_a": "value_a"}}
    r.call("tag_lambda_invalidarn", "tag_resource", Resource="arn:aws:something", **tags)
    r.call("tag_lambda_doesnotexist", "tag_resource", Resource=f"{ARN}doesnotexist", **tags)
    r.call("tag_lambda_qualifier_doesnotexist", "tag_resource", Resource=f"{one['Resource']}:v1", **tags)
    r.call("list_tag_lambda_empty", "list_tags", **one)
    r.call("untag_nomatch", "untag_resource", TagKeys=["somekey"], **one)
    r.call("untag_empty_keys", "untag_resource", TagKeys=[], **one)
    r.call("tag_empty_tags", "tag_resource", Tags={}, **one)


def test_tag_limits(replay):
    r = replay("TestLambdaTags::test_tag_limits")
    name = r.function(wrapped=True)
    one, tags = {"Resource": ARN + name}, {f"{number}_key": f"{number}_value" for number in range(51)}
    r.call("tag_lambda_too_many_tags", "tag_resource", Tags=tags, **one)
    r.call("tag_response", "tag_resource", Tags=dict(list(tags.items())[:50]), **one)
    r.call("list_tags_response", "list_tags", **one)
    r.call("get_fn_response", "get_function", FunctionName=name)
    r.call("tag_lambda_too_many_tags_additional", "tag_resource", Tags={"a_key": "a_value"}, **one)
    settings = {"Handler": "index.handler", "Role": r.role, "Runtime": "python3.12", "Code": {"ZipFile": PACKAGE}}
    step = "create_function_invalid_tags"
    r.call(step, "create_function", FunctionName=r.unique("f"), Tags=tags, **settings)


def test_tags_of_versions(replay):
    r = replay("TestLambdaTags::test_tag_versions")
    name = r.function(wrapped=True, Tags={"key_a": "value_a"})
    r.call(None, "publish_version", FunctionName=name)
    tags = {"Tags": {f"key_{letter}": f"value_{letter}" for letter in "bcde"}}
    r.call("tag_resource_exception", "tag_resource", Resource=f"{ARN}{name}:1", **tags)
    r.call("tag_resource_latest_exception", "tag_resource", Resource=f"{ARN}{name}:$LATEST", **tags)


def test_tags_are_shown_with_the_function(replay):
    r = replay("TestLambdaTags::test_tag_lifecycle")
    name = r.function(wrapped=True, Tags={"key_a": "value_a"})
    one = {"Resource": ARN + name}

    def shown(step):
        r.call(f"list_tags_response_{step}", "list_tags", **one)
        r.call(f"get_fn_response_{step}", "get_function", FunctionName=one["Resource"])

    shown("postfncreate")
    tags = {f"key_{letter}": f"value_{letter}" for letter in "bcde"}
    r.call("tag_resource_response", "tag_resource", Tags=tags, **one)
    shown("postaddtags")
    r.call("tag_resource_overwrite", "tag_resource", Tags={"key_b": "value_b", "key_c": "value_x"}, **one)
    shown("overwrite")
    r.call(None, "untag_resource", TagKeys=["key_c", "key_d"], **one)
    shown("postuntag")
    r.call(None, "untag_resource", TagKeys=["key_a", "key_b", "key_e"], **one)
    shown("postuntagall")
    r.call(None, "delete_function", FunctionName=name)
    r.call("list_tags_postdelete", "list_tags", **one)


def logging(r, **created):
    """As all tests of logging begin."""
    name = r.function("create_response", wrapped=True, MemorySize=256, Timeout=5, **created)
    r.call("get_function_response", "get_function", FunctionName=name)
    r.call("function_config", "get_function_configuration", FunctionName=name)

    def update(suffix="", **config):
        r.call(f"updated_config{suffix}", "update_function_configuration", FunctionName=name, LoggingConfig=config)
        r.updated(name)
        r.call(f"received_config{suffix}", "get_function_configuration", FunctionName=name)

    return update


def test_logging(replay):
    r = replay("TestLoggingConfig::test_function_advanced_logging_configuration")
    update = logging(r, LoggingConfig={"LogFormat": "JSON"})
    update(LogFormat="JSON", ApplicationLogLevel="INFO", SystemLogLevel="INFO", LogGroup="cool_lambda")


def test_logging_format_is_switched(replay):
    update = logging(replay("TestLoggingConfig::test_advanced_logging_configuration_format_switch"))
    update(LogFormat="JSON")
    update("_v2", LogFormat="Text")


PARTIAL = [
    {"LogFormat": "JSON"},
    {"LogFormat": "JSON", "ApplicationLogLevel": "DEBUG"},
    {"LogFormat": "JSON", "SystemLogLevel": "DEBUG"},
    {"LogGroup": "cool_lambda"},
]


@pytest.mark.parametrize("number", range(len(PARTIAL)))
def test_parts_of_logging(replay, number):
    test = "test_function_partial_advanced_logging_configuration_update"
    logging(replay(f"TestLoggingConfig::{test}[partial_config{number}]"))(**PARTIAL[number])


def signing_config(r):
    arns = [f"arn:aws:signer:{REGION}:{ACCOUNT}:/signing-profiles/test"]
    answer = r.call(
        "create_code_signing_config",
        "create_code_signing_config",
        Description="Testing CodeSigning Config",
        AllowedPublishers={"SigningProfileVersionArns": arns},
        CodeSigningPolicies={"UntrustedArtifactOnDeployment": "Enforce"},
    )
    return answer["CodeSigningConfig"]["CodeSigningConfigArn"]


def test_code_signing(replay):
    r = replay("TestCodeSigningConfig::test_function_code_signing_config")
    one = {"FunctionName": r.function(wrapped=True)}
    arn = {"CodeSigningConfigArn": signing_config(r)}
    warn = {"CodeSigningPolicies": {"UntrustedArtifactOnDeployment": "Warn"}}
    for operation, request in {
        "update_code_signing_config": {**arn, **warn},
        "get_code_signing_config": arn,
        "put_function_code_signing_config": {**arn, **one},
        "get_function_code_signing_config": one,
    }.items():
        r.call(operation, operation, **request)
    r.match("list_code_signing_configs", r.client.list_code_signing_configs()["CodeSigningConfigs"][-1])
    for operation, request in {
        "list_functions_by_code_signing_config": arn,
        "delete_function_code_signing_config": one,
        "delete_code_signing_config": arn,
    }.items():
        r.call(operation, operation, **request)


def test_code_signing_exceptions(replay):
    r = replay("TestCodeSigningConfig::test_code_signing_not_found_excs")
    name = r.function(wrapped=True)
    arn = signing_config(r)
    wrong, absent = f"{arn[:-1]}x", "csc-test-doesnotexist"
    config = "CodeSigningConfigArn"
    for step, operation, request in [
        ("delete_csc_notfound", "delete_code_signing_config", {config: wrong}),
        ("nothing_to_delete_response", "delete_function_code_signing_config", {"FunctionName": name}),
        ("delete_function_csc_fnnotfound", "delete_function_code_signing_config", {"FunctionName": absent}),
        ("put_function_csc_invalid_fnname", "put_function_code_signing_config", {"FunctionName": absent, config: arn}),
        ("put_function_csc_invalid_csc_arn", "put_function_code_signing_config", {"FunctionName": name, config: wrong}),
        ("put_function_csc_invalid_both", "put_function_code_signing_config", {"FunctionName": absent, config: wrong}),
        ("update_csc_invalid_csc_arn", "update_code_signing_config", {config: wrong, "Description": "new-description"}),
        ("update_csc_noupdates", "update_code_signing_config", {config: wrong}),
        ("update_csc_noupdate_response", "update_code_signing_config", {config: arn}),
        ("get_csc_invalid", "get_code_signing_config", {config: wrong}),
        ("get_function_csc_fnwithoutcsc", "get_function_code_signing_config", {"FunctionName": name}),
        ("get_function_csc_nonexistingfn", "get_function_code_signing_config", {"FunctionName": absent}),
        ("list_functions_by_csc_fnwithoutcsc", "list_functions_by_code_signing_config", {config: arn}),
        ("list_functions_by_csc_invalid_cscarn", "list_functions_by_code_signing_config", {config: wrong}),
    ]:
        r.call(step, operation, **request)
