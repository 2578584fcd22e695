"""Configurations, played as they were recorded."""


def test_vpc(replay):
    r = replay("TestLambdaFunction::test_vpc_config")
    vpc = lambda number: {"SubnetIds": [f"subnet-{number}"], "SecurityGroupIds": [f"sg-{number}"]}
    name = r.function("create_response", wrapped=True, MemorySize=256, Timeout=5, VpcConfig=vpc(1))

    def change(step, config):
        r.call(f"{step}_update_response", "update_function_configuration", FunctionName=name, VpcConfig=config)
        r.updated(name)
        r.call(f"{step}_get_function_response", "get_function", FunctionName=name)

    r.call("get_function_response", "get_function", FunctionName=name)
    change("update_vpcconfig", vpc(2))
    change("delete_vpcconfig", {"SubnetIds": [], "SecurityGroupIds": []})


def test_variables_over_the_limit(replay):
    r = replay("TestLambdaSizeLimits::test_large_environment_variables_fails")
    create(r, "failed_create_fn_result", {"LARGE_VAR": "x" * (4_096 - len('{"LARGE_VAR":""}') + 1)})


def test_variables_near_the_limit(replay):
    r = replay("TestLambdaSizeLimits::test_lambda_envvars_near_limit_succeeds")
    recorded = r.steps["successful_create_fn_result"]["CreateFunctionResponse"]["Environment"]["Variables"]
    r.function("successful_create_fn_result", wrapped=True, Environment={"Variables": recorded})


def create(r, step, variables):
    request = {"FunctionName": r.unique("function"), "Runtime": "python3.12", "Handler": "handler.handler"}
    code = {"ZipFile": b"it is not looked at"}
    r.call(step, "create_function", Role=r.role, Code=code, Environment={"Variables": variables}, **request)
