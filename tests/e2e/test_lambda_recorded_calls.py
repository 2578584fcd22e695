"""Concurrency, asynchronous calls and recursion, played as they were recorded."""

from cloud import ACCOUNT, REGION

ARN = f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:"


def test_event_invoke_config(replay):
    r = replay("TestLambdaEventInvokeConfig::test_lambda_eventinvokeconfig_lifecycle")
    name = r.function(wrapped=True)
    one = {"FunctionName": name}
    put, update, get, list_all = (
        f"{verb}_function_event_invoke_config{s}"
        for verb, s in [("put", ""), ("update", ""), ("get", ""), ("list", "s")]
    )
    r.call("put_invokeconfig_retries_0", put, MaximumRetryAttempts=0, **one)
    r.call("put_invokeconfig_eventage_60", put, MaximumEventAgeInSeconds=60, **one)
    r.call("update_invokeconfig_eventage_nochange", update, MaximumEventAgeInSeconds=60, **one)
    r.call("update_invokeconfig_retries", update, MaximumRetryAttempts=1, **one)
    r.call("get_invokeconfig", get, **one)
    r.call("get_invokeconfig_latest", get, Qualifier="$LATEST", **one)
    r.call("list_single_invokeconfig", list_all, **one)
    r.call("publish_version_result", "publish_version", **one)
    r.call("get_invokeconfig_postpublish", get, Qualifier="1", **one)
    r.call("put_published_invokeconfig", put, Qualifier="1", MaximumEventAgeInSeconds=120, **one)
    r.call("get_published_invokeconfig", get, Qualifier="1", **one)
    first = r.call(None, list_all, MaxItems=1, **one)
    rest = r.call(None, list_all, MaxItems=1, Marker=first["NextMarker"], **one)
    arns = {page["FunctionEventInvokeConfigs"][0]["FunctionArn"] for page in (first, rest)}
    assert len(arns) == 2
    r.call(None, "delete_function_event_invoke_config", **one)
    r.call("list_paging_nolimit_postdelete", list_all, **one)


def test_event_invoke_config_exceptions(replay):
    r = replay("TestLambdaEventInvokeConfig::test_lambda_eventinvokeconfig_exceptions")
    name, other = r.function(wrapped=True), r.function(wrapped=True)
    arn, alias = ARN + name, "eventinvokealias"
    one, retry = {"FunctionName": name}, {"MaximumRetryAttempts": 1}
    r.call("fn_version_result", "publish_version", **one)
    r.call("fn_alias_result", "create_alias", Name=alias, FunctionVersion="1", **one)

    def config(verb, step, **request):
        return r.call(step, f"{verb}_function_event_invoke_config", **{**one, **request})

    def destination(step, which, **where):
        config("put", f"put_destination_{step}", DestinationConfig={which: where})

    config("put", "put_functionname_name_notfound", FunctionName="doesnotexist", **retry)
    config("put", "put_functionname_arn_notfound", FunctionName=f"{ARN}doesnotexist", **retry)
    config("put", "put_functionname_nootherargs", FunctionName="doesnotexist")
    destination("lambda_doesntexist", "OnSuccess", Destination=f"{ARN}doesnotexist")
    destination("recursive", "OnSuccess", Destination=arn)
    destination("other_lambda", "OnSuccess", Destination=ARN + other)
    destination("invalid_service_arn", "OnSuccess", Destination=arn.replace(":lambda:", ":iam:"))
    destination("success_no_destination_arn", "OnSuccess")
    destination("failure_no_destination_arn", "OnFailure")
    destination("invalid_arn_pattern", "OnFailure", Destination=arn.replace(":lambda:", ":_-/!lambda:"))
    for step, request in {
        "destination_latest": {},
        "destination_latest_explicit_qualifier": {"Qualifier": "$LATEST"},
        "destination_version": {"Qualifier": "1"},
        "alias_functionname_qualifier": {"Qualifier": alias},
        "alias_doesnotexist": {"Qualifier": f"{alias}doesnotexist"},
        "alias_qualifiedarn": {"FunctionName": f"{arn}:{alias}"},
        "alias_qualifiedarn_qualifier": {"FunctionName": f"{arn}:{alias}", "Qualifier": alias},
        "alias_qualifiedarn_qualifierconflict": {
            "FunctionName": f"{arn}:{alias}",
            "Qualifier": f"{alias}doesnotexist",
        },
        "alias_shorthand": {"FunctionName": f"{name}:{alias}"},
        "alias_shorthand_qualifier": {"FunctionName": f"{name}:{alias}", "Qualifier": alias},
        "alias_shorthand_qualifierconflict": {
            "FunctionName": f"{name}:{alias}",
            "Qualifier": f"{alias}doesnotexist",
        },
        "version_shorthand": {"FunctionName": f"{name}:1"},
        "shorthand_qualifier_match": {"FunctionName": f"{name}:$LATEST", "Qualifier": "$LATEST"},
        "shorthand_qualifier_mismatch_1": {"FunctionName": f"{name}:1", "Qualifier": "$LATEST"},
        "shorthand_qualifier_mismatch_2": {"FunctionName": f"{name}:$LATEST", "Qualifier": "1"},
        "shorthand_qualifier_mismatch_3": {"FunctionName": f"{name}:1", "Qualifier": alias},
    }.items():
        config("put", f"put_{step}", **retry, **request)
    both = {"MaximumRetryAttempts": 2, "MaximumEventAgeInSeconds": 60}
    config("put", "put_maxevent_maxvalue_result", **{**both, "MaximumEventAgeInSeconds": 21600})
    config("put", "put_pre_overwrite", **both)
    config("put", "put_post_overwrite", MaximumRetryAttempts=0)
    config("put", "second_overwrite_existing_response", MaximumRetryAttempts=0)
    config("get", "get_post_overwrite")
    config("put", "pre_update_response", **both)
    config("update", "update_response", MaximumRetryAttempts=0)
    config("update", "update_response_existing", MaximumRetryAttempts=0)

    def listed(step, **request):
        answer = r.client.list_function_event_invoke_configs(**{**one, **request})
        answer["FunctionEventInvokeConfigs"].sort(key=lambda config: config["FunctionArn"])
        r.match(step, answer)

    listed("list_configs")
    assert len(r.call(None, "list_function_event_invoke_configs", MaxItems=2, **one)["NextMarker"]) > 0
    for step, qualifier in [("latest", "$LATEST"), ("version", "1"), ("alias", alias)]:
        config("delete", f"delete_{step}", Qualifier=qualifier)
    listed("list_configs_postdelete")
    config("delete", "delete_function_not_found")
    config("delete", "delete_function_doesnotexist", FunctionName="doesnotexist")
    r.call("list_function_doesnotexist", "list_function_event_invoke_configs", FunctionName="doesnotexist")
    config("get", "get_function_doesnotexist", FunctionName="doesnotexist")
    config("get", "get_qualifier_doesnotexist", Qualifier="doesnotexist")
    step = "update_eventinvokeconfig_function_doesnotexist"
    config("update", step, FunctionName="doesnotexist", MaximumRetryAttempts=0)
    config("get", "get_eventinvokeconfig_doesnotexist", FunctionName=f"{arn}:{alias}")
    step = "update_eventinvokeconfig_config_doesnotexist"
    config("update", f"{step}_with_qualifier", FunctionName=f"{arn}:{alias}", MaximumRetryAttempts=0)
    config("update", f"{step}_without_qualifier", FunctionName=arn, MaximumRetryAttempts=0)


def test_reserved_concurrency(replay):
    r = replay("TestLambdaReservedConcurrency::test_function_concurrency")
    one = {"FunctionName": r.function(wrapped=True)}
    for count in (0, 1):
        step = f"put_function_concurrency_with_reserved_{count}"
        r.call(step, "put_function_concurrency", ReservedConcurrentExecutions=count, **one)
    r.call("get_function_concurrency", "get_function_concurrency", **one)
    r.call("delete_response", "delete_function_concurrency", **one)
    r.call("get_function_concurrency_after_delete", "get_function_concurrency", **one)


def test_reserved_concurrency_exceptions(replay):
    r = replay("TestLambdaReservedConcurrency::test_function_concurrency_exceptions")
    put = lambda step, name, count: r.call(
        f"put_function_concurrency_with_{step}",
        "put_function_concurrency",
        FunctionName=name,
        ReservedConcurrentExecutions=count,
    )
    put("function_name_doesnotexist", "doesnotexist", 1)
    put("function_name_doesnotexist_and_invalid_concurrency", "doesnotexist", 0)
    put("qualified_arn", f"{ARN}{r.function(wrapped=True)}:$LATEST", 0)


def test_reserved_concurrency_limits(replay):
    r = replay("TestLambdaReservedConcurrency::test_function_concurrency_limits")
    name = r.function(wrapped=True)
    limit = r.client.get_account_settings()["AccountLimit"]["ConcurrentExecutions"]
    for step, count in [("account_limit_exceeded", limit + 1), ("below_unreserved_min_value", limit)]:
        wanted = {"FunctionName": name, "ReservedConcurrentExecutions": count}
        r.call(f"put_function_concurrency_{step}", "put_function_concurrency", **wanted)


def test_provisioned_concurrency_exceptions(replay):
    r = replay("TestLambdaProvisionedConcurrency::test_provisioned_concurrency_exceptions")
    name = r.function(wrapped=True)
    r.call("publish_version_result", "publish_version", FunctionName=name)

    def config(verb, step, qualifier="1", function=name, **more):
        operation = f"{verb}_provisioned_concurrency_config"
        r.call(f"{verb}_provisioned_{step}", operation, FunctionName=function, Qualifier=qualifier, **more)

    listed = lambda step, function: r.call(
        f"list_provisioned_{step}", "list_provisioned_concurrency_configs", FunctionName=function
    )
    config("get", "config_doesnotexist")
    config("get", "functionname_doesnotexist", "noalias", "doesnotexist")
    config("get", "qualifier_doesnotexist", "noalias")
    config("get", "version_doesnotexist", "10")
    config("get", "latest", "$LATEST")
    listed("noconfigs", name)
    listed("functionname_doesnotexist", "doesnotexist")
    config("delete", "functionname_doesnotexist", "1", "doesnotexist")
    config("delete", "qualifier_doesnotexist", "noalias")
    config("delete", "version_doesnotexist", "10")
    config("delete", "latest", "$LATEST")
    config("delete", "config_doesnotexist")
    config("put", "invalid_param_0", ProvisionedConcurrentExecutions=0)
    for step, *target in [
        ("functionname_doesnotexist_alias", "noalias", "doesnotexist"),
        ("functionname_doesnotexist_version", "1", "doesnotexist"),
        ("qualifier_doesnotexist", "doesnotexist"),
        ("version_doesnotexist", "10"),
        ("latest", "$LATEST"),
    ]:
        config("put", step, *target, ProvisionedConcurrentExecutions=1)


def test_provisioned_concurrency_limits(replay):
    r = replay("TestLambdaProvisionedConcurrency::test_provisioned_concurrency_limits")
    name = r.function(wrapped=True)
    r.call(None, "publish_version", FunctionName=name)
    limit = r.client.get_account_settings()["AccountLimit"]["ConcurrentExecutions"]
    for step, count in [("account_limit_exceeded", limit + 1), ("below_unreserved_min_value", limit)]:
        wanted = {"FunctionName": name, "Qualifier": "1", "ProvisionedConcurrentExecutions": count}
        r.call(f"put_provisioned_concurrency_{step}", "put_provisioned_concurrency_config", **wanted)


def test_provisioned_concurrency(replay):
    r = replay("TestLambdaProvisionedConcurrency::test_lambda_provisioned_lifecycle")
    one = {"FunctionName": r.function(wrapped=True)}
    r.call("publish_version_result", "publish_version", **one)
    alias = r.unique("alias")
    r.call("create_alias_result", "create_alias", Name=alias, FunctionVersion="1", **one)

    def config(verb, step, qualifier, **more):
        return r.call(step, f"{verb}_provisioned_concurrency_config", Qualifier=qualifier, **one, **more)

    wanted = {"ProvisionedConcurrentExecutions": 1}
    config("put", "put_provisioned_on_version", "1", **wanted)
    config("put", "put_provisioned_on_alias_versionconflict", alias, **wanted)
    config("delete", "delete_provisioned_version", "1")
    config("get", "get_provisioned_version_postdelete", "1")
    config("put", "put_provisioned_on_alias", alias, **wanted)
    config("put", "put_provisioned_on_version_conflict", "1", **wanted)
    r.call("delete_alias_result", "delete_alias", Name=alias, **one)
    config("get", "get_provisioned_alias_postaliasdelete", alias)
    r.call("list_response_postdeletes", "list_provisioned_concurrency_configs", **one)


def test_recursion(replay):
    r = replay("TestLambdaRecursion::test_put_function_recursion_config_allow")
    one = {"FunctionName": r.function(wrapped=True)}
    r.call("put_recursion_config_response", "put_function_recursion_config", RecursiveLoop="Allow", **one)
    r.call("get_recursion_config_response", "get_function_recursion_config", **one)
    r = replay("TestLambdaRecursion::test_put_function_recursion_config_default_terminate")
    one = {"FunctionName": r.function(wrapped=True)}
    r.call("get_recursion_default_terminate_response", "get_function_recursion_config", **one)
    r = replay("TestLambdaRecursion::test_put_function_recursion_config_invalid_value")
    one = {"FunctionName": r.function(wrapped=True)}
    step = "put_recursion_invalid_value_error"
    r.call(step, "put_function_recursion_config", RecursiveLoop="InvalidValue", **one)


def test_account_settings(replay):
    r = replay("TestLambdaAccountSettings::test_account_settings")
    answer = r.client.get_account_settings()
    told = {name: sorted(value) if name.startswith("Account") else value for name, value in answer.items()}
    r.match("acc_settings_modded", told)
