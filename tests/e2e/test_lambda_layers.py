"""Layers: published, shared, and found by functions where AWS has them."""

import io
import json
import urllib.request
import zipfile

import pytest

import packages
from cloud import ACCOUNT
from recorded import assert_like, snapshot
from test_lambda_functions import OURS, error, wait_updated

API = "lambda_/test_lambda_api"
LISTED = "1 validation error detected: Value 'runtimedoesnotexist' at 'compatibleRuntime' failed to satisfy constraint"


def arn(name):
    return f"arn:aws:lambda:us-east-1:{ACCOUNT}:layer:{name}"


def publish(awslambda, name, files, modes=None, **settings):
    content = {"ZipFile": packages.package(files, modes)}
    return awslambda.publish_layer_version(LayerName=name, Content=content, **settings)


@pytest.fixture
def layer(awslambda, unique):
    """Publishes a layer of these files, and gives the version's ARN."""

    def layer(files, modes=None, **settings):
        return publish(awslambda, unique("layer"), files, modes, **settings)["LayerVersionArn"]

    return layer


def call(awslambda, name, event=None):
    answer = awslambda.invoke(FunctionName=name, Payload=json.dumps(event or {}))
    value = json.load(answer["Payload"])
    assert "FunctionError" not in answer, value
    return value


def test_lifecycle_as_recorded(awslambda, deploy, unique):
    recorded = snapshot(API, "TestLambdaLayer::test_layer_lifecycle")
    layer, function = unique("layer"), deploy(packages.python("def handler(event, context): return 1"))

    def is_like(answer, step):
        assert_like(answer, recorded[step], OURS | {"Handler", "Timeout", "Environment"})
        return answer

    def publish_again():
        return publish(
            awslambda, layer, {"testlayer.txt": "hello"}, Description="<description>", LicenseInfo="<license-info>",
            CompatibleRuntimes=["python3.12"], CompatibleArchitectures=["x86_64"],
        )  # fmt: skip

    first = is_like(publish_again(), "publish_result")
    second = is_like(publish_again(), "publish_result_2")
    assert (first["Version"], second["Version"]) == (1, 2)
    updated = awslambda.update_function_configuration(FunctionName=function, Layers=[first["LayerVersionArn"]])
    is_like(updated, "update_fn_config")
    wait_updated(awslambda, function)
    is_like(awslambda.get_function_configuration(FunctionName=function), "get_fn_config")
    is_like(awslambda.get_layer_version(LayerName=layer, VersionNumber=1), "get_layer_ver_result")
    is_like(awslambda.get_layer_version_by_arn(Arn=first["LayerVersionArn"]), "get_layer_by_arn_version")
    is_like(awslambda.list_layer_versions(LayerName=layer), "list_layer_versions_predelete")
    is_like(awslambda.delete_layer_version(LayerName=layer, VersionNumber=1), "delete_layer_1")
    is_like(awslambda.get_function_configuration(FunctionName=function), "get_fn_config_postdelete")
    is_like(awslambda.delete_layer_version(LayerName=layer, VersionNumber=2), "delete_layer_2")
    is_like(awslambda.list_layer_versions(LayerName=layer), "list_layer_versions_postdelete")
    assert is_like(publish_again(), "publish_result_3")["Version"] == 3


def test_errors_as_recorded(awslambda, unique):
    recorded = snapshot(API, "TestLambdaLayer::test_layer_exceptions")
    name = unique("layer")

    def is_like(ask, step):
        assert_like(error(ask), recorded[step], OURS)

    settings = {"CompatibleRuntimes": ["python3.12"], "CompatibleArchitectures": ["x86_64"]}
    assert_like(publish(awslambda, name, {"f": "1"}, **settings), recorded["publish_result"], OURS)
    asked = error(lambda: awslambda.list_layers(CompatibleRuntime="runtimedoesnotexist"))
    assert asked["Error"]["Message"].startswith(LISTED)
    is_like(
        lambda: awslambda.list_layers(CompatibleArchitecture="archdoesnotexist"),
        "list_layers_exc_compatiblearchitecture_invalid",
    )
    nowhere = f"{name}-doesnotexist"
    assert_like(awslambda.list_layer_versions(LayerName=nowhere), recorded["list_nonexistent_layer"])
    for number, step in ((-1, "negative"), (0, "zero"), (2, "2")):
        is_like(
            lambda number=number: awslambda.get_layer_version(LayerName=name, VersionNumber=number),
            f"get_layer_version_exc_layer_version_doesnotexist_{step}",
        )
    is_like(
        lambda: awslambda.get_layer_version(LayerName=nowhere, VersionNumber=1),
        "get_layer_version_exc_layer_doesnotexist",
    )
    is_like(
        lambda: awslambda.get_layer_version_by_arn(Arn=f"{arn(name)}:2"),
        "get_layer_version_by_arn_exc_nonexistentversion",
    )
    deleted = awslambda.delete_layer_version(LayerName=nowhere, VersionNumber=1)
    assert_like(deleted, recorded["delete_nonexistent_response"])
    is_like(
        lambda: awslambda.delete_layer_version(LayerName=name, VersionNumber=-1),
        "delete_layer_version_exc_layerversion_invalid_version",
    )
    empty = publish(awslambda, unique("layer"), {"f": "1"}, CompatibleRuntimes=[], CompatibleArchitectures=[])
    assert_like(empty, recorded["publish_empty_result"], OURS)


def test_layers_of_functions_as_recorded(awslambda, role, unique, deploy):
    recorded = snapshot(API, "TestLambdaLayer::test_layer_function_exceptions")
    name, function = unique("layer"), deploy(packages.python("def handler(event, context): return 1"))
    for _ in range(3):
        publish(awslambda, name, {"f": "1"}, CompatibleRuntimes=[], CompatibleArchitectures=["x86_64"])

    def refused(versions, step):
        asked = error(lambda: awslambda.update_function_configuration(FunctionName=function, Layers=versions))
        assert_like(asked, recorded[step], OURS)

    version = [f"{arn(name)}:{number}" for number in (1, 2, 3)]
    refused(version[:2], "two_layer_versions_single_function_exc")
    refused(version, "three_layer_versions_single_function_exc")
    refused([version[0], version[0]], "two_identical_layer_versions_single_function_exc")
    refused([f"{arn('doesnotexist')}:1"], "add_nonexistent_layer_exc")
    refused([f"{arn(name)}:9"], "add_nonexistent_layer_version_exc")
    code = {"ZipFile": packages.python("def handler(event, context): return 1")}

    def create(layers):
        return error(
            lambda: awslambda.create_function(
                FunctionName=unique("function"), Runtime="python3.12", Handler="index.handler", Role=role,
                Code=code, Layers=layers,
            )
        )  # fmt: skip

    elsewhere = create([version[0].replace("us-east-1", "eu-west-1")])
    expected = recorded["create_function_with_layer_in_different_region"]["Error"]["Message"]
    assert elsewhere["Error"]["Message"] == expected.replace("<region>", "us-east-1")
    six = [f"{arn(name)}{number}:1" for number in range(6)]
    quota = snapshot(API, "TestLambdaLayer::test_layer_function_quota_exception")
    assert_like(create(six), quota["create_function_with_six_layers"])


def test_policies_as_recorded(awslambda, unique):
    recorded = snapshot(API, "TestLambdaLayer::test_layer_policy_lifecycle")
    broken = snapshot(API, "TestLambdaLayer::test_layer_policy_exceptions")
    name = unique("layer")
    publish(awslambda, name, {"f": "1"})
    version = {"LayerName": name, "VersionNumber": 1}
    everyone = {**version, "Action": "lambda:GetLayerVersion", "Principal": "*"}
    none = error(lambda: awslambda.get_layer_version_policy(**version))
    assert_like(none, broken["layer_permission_nopolicy_get"])

    def is_like(answer, step):
        for member in ("Statement", "Policy"):
            if member in answer:
                answer[member] = json.loads(answer[member])
        assert_like(answer, recorded[step])

    is_like(awslambda.add_layer_version_permission(StatementId="s1", **everyone), "add_policy_s1")
    is_like(awslambda.get_layer_version_policy(**version), "get_layer_version_policy")
    twice = error(lambda: awslambda.add_layer_version_permission(StatementId="s1", **everyone))
    assert_like(twice, broken["layer_permission_duplicate_statement"])
    wrong = {"RevisionId": "wrong"}
    stale = error(lambda: awslambda.add_layer_version_permission(StatementId="s2", **everyone, **wrong))
    assert_like(stale, broken["layer_permission_wrong_revision"])
    is_like(awslambda.add_layer_version_permission(StatementId="s2", **everyone), "add_policy_s2")
    is_like(awslambda.get_layer_version_policy(**version), "get_layer_version_policy_postadd2")
    is_like(awslambda.remove_layer_version_permission(StatementId="s2", **version), "remove_s2")
    is_like(awslambda.get_layer_version_policy(**version), "get_layer_version_policy_postdeletes2")
    absent = error(lambda: awslambda.remove_layer_version_permission(StatementId="doesnotexist", **version))
    assert_like(absent, broken["layer_permission_statementid_doesnotexist_remove"])
    stale = error(lambda: awslambda.remove_layer_version_permission(StatementId="s1", **version, **wrong))
    assert_like(stale, broken["layer_permission_wrong_revision_remove"])
    nowhere = {**version, "VersionNumber": 2}
    missing = error(lambda: awslambda.get_layer_version_policy(**nowhere))
    assert_like(missing, broken["layer_permission_layerversion_doesnotexist_get"])


def test_what_was_published_can_be_downloaded(awslambda, s3, bucket, unique):
    zipped = packages.package({"python/tool.py": "x = 1"})
    s3.put_object(Bucket=bucket, Key="layer.zip", Body=zipped)
    name = unique("layer")
    made = awslambda.publish_layer_version(LayerName=name, Content={"S3Bucket": bucket, "S3Key": "layer.zip"})
    recorded = snapshot(API, "TestLambdaLayer::test_layer_s3_content")
    assert_like(made, recorded["publish_layer_result"], OURS)
    location = awslambda.get_layer_version(LayerName=name, VersionNumber=1)["Content"]["Location"]
    with urllib.request.urlopen(location) as answer:
        assert answer.read() == zipped
    with zipfile.ZipFile(io.BytesIO(zipped)) as archive:
        assert archive.namelist() == ["python/tool.py"]


def test_lists_have_pages_and_filters(awslambda, unique):
    names = sorted(unique("paged") for _ in range(3))
    for name in names:
        for runtime in ("python3.12", "nodejs22.x"):
            publish(awslambda, name, {"f": runtime}, CompatibleRuntimes=[runtime])
    pages = awslambda.get_paginator("list_layers").paginate(
        CompatibleRuntime="python3.12", PaginationConfig={"PageSize": 1}
    )
    found = {one["LayerName"]: one["LatestMatchingVersion"] for page in pages for one in page["Layers"]}
    assert [found[name]["Version"] for name in names] == [1, 1, 1]
    pages = awslambda.get_paginator("list_layer_versions").paginate(
        LayerName=names[0], PaginationConfig={"PageSize": 1}
    )
    assert [one["Version"] for page in pages for one in page["LayerVersions"]] == [2, 1]


def test_python_finds_modules_and_later_layers_lie_over_earlier(awslambda, deploy, layer):
    base = layer({
        "python/shared.py": "where = 'base'",
        "python/only_base.py": "where = 'base'",
        "python/lib/python3.12/site-packages/pure.py": "where = 'site-packages'",
        "data/text": "base",
    })  # fmt: skip
    over = layer({"python/shared.py": "where = 'over'", "data/more": "over"})
    code = packages.python("""
        import os, shared, only_base, pure
        def handler(event, context):
            return [shared.where, only_base.where, pure.where, sorted(os.listdir("/opt/data")),
                    os.access("/opt/data/text", os.W_OK)]
    """)
    name = deploy(code, Runtime="python3.12", Layers=[base, over])
    assert call(awslambda, name) == ["over", "base", "site-packages", ["more", "text"], False]
    # In the other order the other one lies above.
    awslambda.update_function_configuration(FunctionName=name, Layers=[over, base])
    wait_updated(awslambda, name)
    assert call(awslambda, name)[0] == "base"


def test_node_finds_modules(awslambda, deploy, layer):
    with_modules = layer({
        "nodejs/node_modules/plain/index.js": "module.exports = 'plain'",
        "nodejs/node22/node_modules/versioned/index.js": "module.exports = 'versioned'",
        "nodejs/node_modules/plain/package.json": '{"name": "plain", "version": "1.0.0"}',
    })  # fmt: skip
    code = packages.node("exports.handler = async () => [require('plain'), require('versioned')]", "index.js")
    name = deploy(code, Runtime="nodejs22.x", Layers=[with_modules])
    assert call(awslambda, name) == ["plain", "versioned"]


def test_programs_and_libraries_are_on_their_paths(awslambda, deploy, layer):
    tools = layer({"bin/greet": "#!/bin/sh\necho hello $1\n", "lib/libnothing.so": "x"}, {"bin/greet": 0o755})
    code = packages.python("""
        import os, subprocess
        def handler(event, context):
            said = subprocess.run(["greet", "you"], capture_output=True, text=True, check=True).stdout
            return [said, "/opt/lib" in os.environ["LD_LIBRARY_PATH"].split(":"), os.listdir("/opt/lib")]
    """)
    assert call(awslambda, deploy(code, Layers=[tools])) == ["hello you\n", True, ["libnothing.so"]]


RUNTIME = """#!/bin/sh
while true; do
    /opt/bin/serve
done
"""
SERVE = """#!/usr/bin/python3 -S
import os, urllib.request
api = f"http://{os.environ['AWS_LAMBDA_RUNTIME_API']}/2018-06-01/runtime/invocation"
with urllib.request.urlopen(f"{api}/next") as event:
    request, body = event.headers["Lambda-Runtime-Aws-Request-Id"], event.read()
word = open("/var/task/word").read()
urllib.request.urlopen(f"{api}/{request}/response", data=b'"%s"' % word.encode())
"""


def test_a_layer_may_bring_a_runtime(awslambda, deploy, layer):
    runtime = layer({"bootstrap": RUNTIME, "bin/serve": SERVE}, {"bootstrap": 0o755, "bin/serve": 0o755})
    name = deploy(packages.package({"word": "layered"}), Runtime="provided.al2023", Handler="x", Layers=[runtime])
    assert call(awslambda, name) == "layered"
    assert call(awslambda, name) == "layered"


def test_a_function_goes_on_without_its_layers_version(awslambda, deploy, unique):
    name = unique("layer")
    version = publish(awslambda, name, {"python/kept.py": "value = 7"})["LayerVersionArn"]
    function = deploy(
        packages.python("import kept\ndef handler(event, context): return kept.value"), Layers=[version]
    )
    awslambda.delete_layer_version(LayerName=name, VersionNumber=1)
    assert call(awslambda, function) == 7
    published = awslambda.publish_version(FunctionName=function)["Version"]
    awslambda.update_function_configuration(FunctionName=function, Layers=[])
    wait_updated(awslambda, function)
    broken = awslambda.invoke(FunctionName=function)
    assert json.load(broken["Payload"])["errorType"] == "Runtime.ImportModuleError"
    assert call(awslambda, f"{function}:{published}") == 7


def test_layers_outlive_a_crash(own_cloud):
    own_cloud.start()
    awslambda, iam = own_cloud.client("lambda"), own_cloud.client("iam")
    trust = {"Version": "2012-10-17", "Statement": [{
        "Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole",
    }]}  # fmt: skip
    role = iam.create_role(RoleName="r", AssumeRolePolicyDocument=json.dumps(trust))["Role"]["Arn"]
    layers = [
        publish(awslambda, name, {f"python/{name}.py": f"value = '{name}'"})["LayerVersionArn"]
        for name in ("one", "two")
    ]
    code = packages.python("import one, two\ndef handler(event, context): return one.value + two.value")
    awslambda.create_function(
        FunctionName="f", Runtime="python3.12", Handler="index.handler", Role=role, Code={"ZipFile": code},
        Layers=layers,
    )  # fmt: skip
    awslambda.get_waiter("function_active_v2").wait(FunctionName="f", WaiterConfig={"Delay": 0.1})
    assert call(awslambda, "f") == "onetwo"
    own_cloud.kill()
    own_cloud.start()
    assert call(own_cloud.client("lambda"), "f") == "onetwo"


@pytest.mark.parametrize("name", ["../escape", "/etc/cron.d/x"])
def test_zips_that_leave_their_place_are_refused(awslambda, unique, name):
    asked = error(lambda: publish(awslambda, unique("layer"), {name: "x"}))
    assert asked["Error"]["Code"] == "InvalidParameterValueException"
    assert asked["Error"]["Message"].startswith("Could not unzip uploaded file.")


def test_a_zip_bomb_is_refused(awslambda, unique):
    bomb = packages.package({"zeros": bytes(262_144_000)}, level=9)
    assert len(bomb) < 1 << 20
    asked = error(
        lambda: awslambda.publish_layer_version(LayerName=unique("layer"), Content={"ZipFile": bomb})
    )
    assert asked["Error"]["Message"] == "Unzipped size must be smaller than 262144000 bytes"


def test_code_and_layers_have_one_limit(awslambda, deploy, unique):
    half = {"zeros": bytes(140_000_000)}
    layers = [
        awslambda.publish_layer_version(
            LayerName=unique("big"), Content={"ZipFile": packages.package({**half, "n": str(n)}, level=1)}
        )["LayerVersionArn"]
        for n in (1, 2)
    ]
    function = deploy(packages.python("def handler(event, context): return 1"))
    asked = error(lambda: awslambda.update_function_configuration(FunctionName=function, Layers=layers))
    assert asked["Error"]["Message"] == "Layers consume more than the available size of 262144000 bytes"


def test_layers_of_another_account_are_nobodys_here(awslambda, deploy):
    theirs = "arn:aws:lambda:us-east-1:999999999999:layer:theirs:1"
    function = deploy(packages.python("def handler(event, context): return 1"))
    asked = error(lambda: awslambda.update_function_configuration(FunctionName=function, Layers=[theirs]))
    assert asked["Error"]["Code"] == "AccessDeniedException"
    expected = f"is not authorized to perform: lambda:GetLayerVersion on resource: {theirs} because no resource-based"
    assert expected in asked["Error"]["Message"]
    asked = error(lambda: awslambda.get_layer_version_by_arn(Arn=theirs))
    assert asked["Error"]["Code"] == "AccessDeniedException"


WRAPPER = '#!/bin/sh\nexport WRAPPED="by $0"\nexec "$@"\n'


@pytest.mark.parametrize("runtime", ["python3.12", "nodejs22.x"])
def test_a_layers_wrapper_starts_the_interpreter(awslambda, deploy, layer, runtime):
    tools = layer({"wrap": WRAPPER}, {"wrap": 0o755})
    code = {
        "python3.12": packages.python("""
            import os
            def handler(event, context): return [os.environ["WRAPPED"], os.environ["OWN"], os.environ["_HANDLER"]]
        """),
        "nodejs22.x": packages.node("""
            export const handler = async () => [process.env.WRAPPED, process.env.OWN, process.env._HANDLER]
        """),
    }[runtime]
    variables = {"AWS_LAMBDA_EXEC_WRAPPER": "/opt/wrap", "OWN": "x"}
    name = deploy(code, Runtime=runtime, Layers=[tools], Environment={"Variables": variables})
    assert call(awslambda, name) == ["by /opt/wrap", "x", "index.handler"]
    assert call(awslambda, name) == ["by /opt/wrap", "x", "index.handler"]


def test_a_wrapper_that_is_not_there_as_recorded(awslambda, deploy):
    recorded = snapshot("lambda_/test_lambda", "TestLambdaErrors::test_lambda_runtime_wrapper_not_found")
    variables = {"AWS_LAMBDA_EXEC_WRAPPER": "/idontexist"}
    name = deploy("def handler(event, context): return 1", Environment={"Variables": variables})
    answer = awslambda.invoke(FunctionName=name)
    expected = recorded["invocation_error"]
    problem = json.load(answer["Payload"])
    assert answer["FunctionError"] == expected["FunctionError"]
    assert problem["errorType"] == expected["Payload"]["errorType"]
    assert problem["errorMessage"].endswith(expected["Payload"]["errorMessage"].split("<uuid>")[1])
