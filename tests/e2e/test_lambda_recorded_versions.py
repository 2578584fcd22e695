"""Versions, aliases, revisions and permissions, played as they were recorded."""

from replay import OTHER_PACKAGE, PACKAGE

S3 = {
    "Action": "lambda:InvokeFunction",
    "StatementId": "s3",
    "Principal": "s3.amazonaws.com",
    "SourceArn": "arn:aws:s3:::test-bucket",
}
STAGING, PROD = ({"Variables": {"testenv": word}} for word in ("staging", "prod"))


def test_publish_version_on_create(replay):
    r = replay("TestLambdaVersions::test_publish_version_on_create")
    name = r.function("create_response", Publish=True)
    r.call("get_function_result", "get_function", FunctionName=name)
    r.call("get_function_version_result", "get_function", FunctionName=name, Qualifier="1")
    r.call("get_function_latest_result", "get_function", FunctionName=name, Qualifier="$LATEST")
    r.call("list_versions_result", "list_versions_by_function", FunctionName=name)
    r.call("repeated_publish_response", "publish_version", FunctionName=name, Description="Repeated version")
    r.call("list_versions_result_after_publish", "list_versions_by_function", FunctionName=name)


def test_version_lifecycle(replay):
    r = replay("TestLambdaVersions::test_version_lifecycle")
    name = r.function("create_response", Description="No version :(")
    r.call("get_function_result", "get_function", FunctionName=name)
    r.call("list_versions_result", "list_versions_by_function", FunctionName=name)
    update = lambda step, words: r.call(
        step, "update_function_configuration", FunctionName=name, Description=words
    )
    update("first_update_response", "First version :)")
    r.updated(name)
    r.call("first_update_get_function", "get_function", FunctionName=name)
    words = "First version description :)"
    first = r.call("first_publish_response", "publish_version", FunctionName=name, Description=words)
    one = {"FunctionName": name, "Qualifier": first["Version"]}
    r.call("first_publish_get_function", "get_function", **one)
    r.call("first_publish_get_function_config", "get_function_configuration", **one)
    update("second_update_response", "Second version :))")
    r.updated(name)
    r.call("first_publish_get_function_after_update", "get_function", **one)
    r.call("second_publish_response", "publish_version", FunctionName=name)
    r.call("third_publish_response", "publish_version", FunctionName=name, Description="Third version")
    r.call("list_versions_result_after_third_publish", "list_versions_by_function", FunctionName=name)
    r.call(None, "delete_function", FunctionName=f"{name}:1")
    r.call("list_versions_result_after_deletion_of_first_version", "list_versions_by_function", FunctionName=name)


def test_publish_with_wrong_sha256(replay):
    r = replay("TestLambdaVersions::test_publish_with_wrong_sha256")
    name = r.function("create_response")
    got = r.call("get_fn_response", "get_function", FunctionName=name)
    publish = lambda step, sha256: r.call(step, "publish_version", FunctionName=name, CodeSha256=sha256)
    publish("publish_wrong_sha256_exc", "somenonexistentsha256")
    publish("publish_result", got["Configuration"]["CodeSha256"])


def test_publish_with_wrong_revision_id(replay):
    r = replay("TestLambdaVersions::test_publish_with_wrong_revisionid")
    name = r.function("create_response")
    got = r.call("get_fn_response", "get_function", FunctionName=name)
    publish = lambda step, revision: r.call(step, "publish_version", FunctionName=name, RevisionId=revision)
    publish("publish_wrong_revisionid_exc", "doesntexist")
    publish("publish_result", got["Configuration"]["RevisionId"])


def test_publish_with_update(replay):
    r = replay("TestLambdaVersions::test_publish_with_update")
    name = r.function("create_response")
    r.call("get_function_result", "get_function", FunctionName=name)
    r.call("update_function_code_result", "update_function_code", FunctionName=name, ZipFile=OTHER_PACKAGE, Publish=True)
    r.call("get_function_version_result", "get_function", FunctionName=name, Qualifier="1")
    r.call("get_function_latest_result", "get_function", FunctionName=name, Qualifier="$LATEST")


def with_two_versions(r, **settings):
    name = r.function("create_response", Environment=STAGING, **settings)
    r.call("publish_v1", "publish_version", FunctionName=name)
    r.call(None, "update_function_configuration", FunctionName=name, Environment=PROD)
    r.updated(name)
    r.call("publish_v2", "publish_version", FunctionName=name)
    return name


def test_alias_lifecycle(replay):
    r = replay("TestLambdaAlias::test_alias_lifecycle")
    name = with_two_versions(r)
    words = {"Description": "custom-alias"}

    def create(number, alias, version, **more):
        one = {"FunctionName": name, "Name": alias}
        made = r.call(f"create_alias_{number}", "create_alias", **one, FunctionVersion=version, **more)
        r.call(f"get_alias_{number}", "get_alias", **one)
        return made["AliasArn"]

    arn = create("1_1", "aliasname1_1", "1", RoutingConfig={"AdditionalVersionWeights": {"2": 0.2}}, **words)
    r.call("get_function_alias_1_1", "get_function", FunctionName=name, Qualifier="aliasname1_1")
    r.call("get_function_byarn_alias_1_1", "get_function", FunctionName=arn)
    absent = arn.replace("aliasname1_1", "aliasdoesnotexist")
    r.call("get_function_alias_notfound_exc", "get_function", FunctionName=name, Qualifier="aliasdoesnotexist")
    r.call("get_function_alias_byarn_notfound_exc", "get_function", FunctionName=absent)
    create("1_2", "aliasname1_2", "1", **words)
    create("1_3", "aliasname1_3", "1")
    create("2", "aliasname2", "2", **words)
    pages = r.client.get_paginator("list_aliases").paginate(FunctionName=name, PaginationConfig={"PageSize": 1})
    r.match("list_aliases_for_fnname", pages.build_full_result())

    def changed(alias, after, **more):
        one = {"FunctionName": name, "Name": f"aliasname{alias}"}
        r.call(f"update_alias_{alias}", "update_alias", **one, **more)
        r.call(f"get_alias_{alias}_after_update", "get_alias", **one)
        r.call(f"list_aliases_for_fnname_after_update{after}", "list_aliases", FunctionName=name)

    changed("1_1", "", RoutingConfig={"AdditionalVersionWeights": {}})
    changed("1_2", "_2")
    r.call("list_aliases_for_version", "list_aliases", FunctionName=name, FunctionVersion="1")
    r.call("delete_alias_response", "delete_alias", FunctionName=name, Name="aliasname1_1")
    r.call("list_aliases_for_fnname_afterdelete", "list_aliases", FunctionName=name)


def test_aliases_that_are_not_there(replay):
    r = replay("TestLambdaAlias::test_non_existent_alias_deletion")
    name = r.function("create_response", Environment=STAGING)
    r.call("delete_alias_response", "delete_alias", FunctionName=name, Name="non-existent")
    r = replay("TestLambdaAlias::test_non_existent_alias_update")
    name = r.function("create_response", Environment=STAGING)
    r.call("update_alias_response", "update_alias", FunctionName=name, Name="non-existent")


def test_not_found_and_invalid_routing(replay):
    r = replay("TestLambdaAlias::test_notfound_and_invalid_routingconfigs")
    name = with_two_versions(r, Publish=True)

    def create(step, weights=None, version="1", alias="custom", function=name):
        more = {} if weights is None else {"RoutingConfig": {"AdditionalVersionWeights": weights}}
        r.call(step, "create_alias", FunctionName=function, Name=alias, FunctionVersion=version, **more)

    create("routing_config_exc_toomany", {"1": 0.8, "2": 0.2})
    create("routing_config_exc_toohigh", {"2": 2})
    create("routing_config_exc_subzero", {"2": -1})
    create("routing_config_exc_sameversion", {"1": 0.5})
    create("target_version_doesnotexist", {"2": 0.5}, version="10")
    create("routing_config_exc_version_doesnotexist", {"10": 0.5})
    create("target_version_exc_version_latest", {"1": 0.5}, version="$LATEST")
    create("routing_config_exc_version_latest", {"$LATEST": 0.5})
    create("create-alias-latest", version="$LATEST", alias="custom-latest")
    create("routing_config_exc_fn_doesnotexist", {"2": 0.5}, function=f"{name}-unknown")
    create("create_alias_empty_routingconfig", {}, alias="custom-empty-routingconfig")
    create("create_alias_response", {"2": 0.5})
    create("routing_config_exc_already_exist", {"2": 0.5})
    r.call("alias_does_not_exist_esc", "get_alias", FunctionName=name, Name="non-existent")


def test_alias_naming(replay):
    r = replay("TestLambdaAlias::test_alias_naming")
    name = r.function("create_response", Environment=STAGING)
    r.call("publish_v1", "publish_version", FunctionName=name)
    one = {"FunctionName": name, "FunctionVersion": "1", "Description": "custom-alias"}
    r.call("create_alias_date", "create_alias", Name="2024-01-02", **one)
    r.call("get_alias_date", "get_alias", FunctionName=name, Name="2024-01-02")
    r.call(None, "invoke", FunctionName=f"{name}:2024-01-02")
    r.call("create_alias_number_exception", "create_alias", Name="2024", **one)


def test_revisions_of_functions(replay):
    r = replay("TestLambdaRevisions::test_function_revisions_basic")
    name = r.function("create_function_response_rev1", wrapped=True, Handler="index.handler")
    get = lambda step: r.call(step, "get_function", FunctionName=name)["Configuration"]["RevisionId"]
    second = get("get_function_response_rev2")
    code = {"FunctionName": name, "ZipFile": PACKAGE}
    r.call("update_function_revision_exception", "update_function_code", RevisionId="wrong", **code)
    r.call("update_function_code_response_rev3", "update_function_code", RevisionId=second, **code)
    r.updated(name)
    fourth = get("get_function_response_rev4")
    runtime = {"FunctionName": name, "Runtime": "python3.8"}
    step = "update_function_configuration_revision_exception"
    r.call(step, "update_function_configuration", RevisionId="wrong", **runtime)
    step = "update_function_configuration_response_rev5"
    r.call(step, "update_function_configuration", RevisionId=fourth, **runtime)
    r.updated(name)
    get("get_function_response_rev6")


def test_revisions_of_versions_and_aliases(replay):
    r = replay("TestLambdaRevisions::test_function_revisions_version_and_alias")
    name = r.function("create_function_response_rev1", wrapped=True)
    second = r.call("get_function_active_rev2", "get_function", FunctionName=name)["Configuration"]["RevisionId"]
    publish = lambda step, revision: r.call(step, "publish_version", FunctionName=name, RevisionId=revision)
    publish("publish_version_revision_exception", "wrong")
    publish("publish_version_response_rev_v1", second)
    r.call("get_function_published_version_rev_v2", "get_function", FunctionName=name, Qualifier="1")
    r.call("get_function_latest_rev3", "get_function", FunctionName=name)
    alias = {"FunctionName": name, "Name": "revision_alias"}
    made = r.call("create_alias_response_rev_a1", "create_alias", FunctionVersion="1", **alias)
    r.call("get_function_latest_rev4", "get_function", FunctionName=name)
    r.call("get_function_published_version_rev_v3", "get_function", FunctionName=name, Qualifier="1")
    r.call("update_alias_revision_exception", "update_alias", RevisionId="wrong", **alias)
    changed = {"RevisionId": made["RevisionId"], "Description": "something changed"}
    r.call("update_alias_response_rev_a2", "update_alias", **changed, **alias)


def test_revisions_of_permissions(replay):
    r = replay("TestLambdaRevisions::test_function_revisions_permissions")
    name = r.function(wrapped=True)
    wanted = {"StatementId": "s3", "Action": "lambda:InvokeFunction", "Principal": "s3.amazonaws.com"}
    r.call("add_permission_revision_exception", "add_permission", FunctionName=name, RevisionId="wrong", **wanted)


def test_permission_exceptions(replay):
    r = replay("TestLambdaPermissions::test_permission_exceptions")
    name = r.function(wrapped=True)
    add = lambda step, **more: r.call(step, "add_permission", **{"FunctionName": name, **S3, **more})
    add("add_permission_invalid_statement_id", StatementId="example.com")
    add("add_permission_fn_qualifier_mismatch", FunctionName=f"{name}:alias-not-42", Qualifier="42")
    add("add_permission_fn_qualifier_latest", FunctionName=f"{name}:$LATEST", Qualifier="$LATEST")
    add("add_permission_principal_invalid", StatementId="lambda", Principal="invalid.nonaws.com")
    r.call("get_policy_fn_doesnotexist", "get_policy", FunctionName="doesnotexist")
    r.call("get_policy_fn_version_doesnotexist", "get_policy", FunctionName=name, Qualifier="77")
    add("add_permission_fn_doesnotexist", FunctionName="doesnotexist")
    remove = lambda step, **more: r.call(
        step, "remove_permission", **{"FunctionName": name, "StatementId": "s3", **more}
    )
    remove("remove_permission_policy_doesnotexist")
    add("add_permission_fn_alias_doesnotexist", FunctionName=f"{name}:alias-doesnotexist")
    add("add_permission_fn_version_doesnotexist", Qualifier="42")
    add("add_permission_fn_qualifier_invalid", Qualifier="invalid-qualifier-with-?-char")
    add("add_permission_fn_qualifier_valid_doesnotexist", Qualifier="valid-with-$-but-doesnotexist")
    add(None)
    add("add_permission_conflicting_statement_id")
    remove("remove_permission_fn_doesnotexist", FunctionName="doesnotexist")
    remove("remove_permission_fn_alias_doesnotexist", Qualifier="alias-doesnotexist")


def test_add_permission(replay):
    r = replay("TestLambdaPermissions::test_add_lambda_permission_aws")
    name = r.function("create_lambda", wrapped=True)
    r.call("add_permission", "add_permission", FunctionName=name, **S3)
    r.call("get_policy", "get_policy", FunctionName=name)


def test_permissions_of_versions_and_aliases(replay):
    r = replay("TestLambdaPermissions::test_lambda_permission_fn_versioning")
    name = r.function(wrapped=True)
    get = lambda step, **more: r.call(step, "get_policy", FunctionName=name, **more)
    r.call("add_permission", "add_permission", FunctionName=name, **S3)
    get("get_policy")
    r.call("publish_version_result", "publish_version", FunctionName=name)
    r.call("get_function_result_after_publishing", "get_function", FunctionName=name)
    get("get_policy_after_publishing_latest")
    get("get_policy_after_publishing_new_version", Qualifier="1")
    r.call(None, "add_permission", **{**S3, "FunctionName": f"{name}:1", "Qualifier": "1"})
    get("get_policy_version", Qualifier="1")
    alias = "permission-alias"
    made = r.call("create_alias_response", "create_alias", FunctionName=name, Name=alias, FunctionVersion="1")
    r.call("get_alias", "get_alias", FunctionName=name, Name=alias)
    wrong = {**S3, "FunctionName": name, "Qualifier": alias, "RevisionId": "wrong"}
    r.call("add_permission_alias_revision_exception", "add_permission", **wrong)
    r.call(None, "add_permission", **{**wrong, "FunctionName": f"{name}:{alias}", "RevisionId": made["RevisionId"]})
    get("get_policy_alias", Qualifier=alias)
    current = get("get_policy_after_adding_to_new_version")["RevisionId"]
    r.call(None, "add_permission", **{**S3, "FunctionName": name, "StatementId": "s3_2", "RevisionId": current})
    get("get_policy_after_adding_2")


def test_fields_of_permissions(replay, sts):
    r = replay("TestLambdaPermissions::test_add_lambda_permission_fields")
    name = r.function(wrapped=True)
    caller = sts.get_caller_identity()
    account = caller["Account"]

    def add(step, sid, principal, action="lambda:InvokeFunction", **more):
        wanted = {"StatementId": sid, "Principal": principal, "Action": action}
        r.call(f"add_permission_{step}", "add_permission", FunctionName=name, **wanted, **more)

    add("principal_wildcard", "wilcard", "*", SourceAccount=account)
    add("principal_service", "lambda", "lambda.amazonaws.com", SourceAccount=account)
    add("principal_account", "account-id", account)
    add("principal_arn", "user-arn", caller["Arn"], SourceAccount=account)
    url = {"SourceArn": S3["SourceArn"], "PrincipalOrgID": "o-1234567890", "FunctionUrlAuthType": "NONE"}
    add("optional_fields", "urlPermission", "*", "lambda:InvokeFunctionUrl", SourceAccount=account, **url)
    token = "amzn1.ask.skill.xxxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx"
    add("alexa_skill", "alexaSkill", "*", EventSourceToken=token)


def test_remove_several_permissions(replay):
    r = replay("TestLambdaPermissions::test_remove_multi_permissions")
    name = r.function(wrapped=True)
    plain = {"FunctionName": name, "Action": "lambda:InvokeFunction"}
    r.call("add_permission_1", "add_permission", StatementId="s3", Principal="s3.amazonaws.com", **plain)
    sqs = {"StatementId": "sqs", "Principal": "sqs.amazonaws.com", "SourceArn": S3["SourceArn"]}
    r.call("add_permission_2", "add_permission", **sqs, **plain)
    get = lambda step: r.call(step, "get_policy", FunctionName=name)
    get("policy_after_2_add")
    remove = lambda step, sid, **more: r.call(
        step, "remove_permission", FunctionName=name, StatementId=sid, **more
    )
    remove("remove_permission_exception_nonexisting_sid", "non-existent")
    remove(None, "sqs")
    get("policy_after_removal")
    current = get("policy_after_removal_attempt")["RevisionId"]
    remove(None, "s3", RevisionId=current)
    get("get_policy_exception_removed_all")


def test_several_permissions(replay):
    r = replay("TestLambdaPermissions::test_create_multiple_lambda_permissions")
    name = r.function(wrapped=True)
    for number, service in [(1, "logs"), (2, "kinesis")]:
        wanted = {"StatementId": service, "Principal": f"{service}.amazonaws.com", "Action": "lambda:InvokeFunction"}
        r.call(f"add_permission_response_{number}", "add_permission", FunctionName=name, **wanted)
    r.call("policy_after_2_add", "get_policy", FunctionName=name)
