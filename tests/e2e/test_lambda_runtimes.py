"""Runtimes by name: which are taken, what stands in for one that this host lacks, and how one is brought."""

import json
import shutil
import sys
from pathlib import Path

import pytest

import images
import packages
from cloud import eventually
from recorded import assert_like, snapshot
from test_lambda_functions import error

API = "lambda_/test_lambda_api"
RETIRED = ["dotnetcore3.1", "go1.x", "java8", "nodejs12.x", "nodejs14.x", "provided", "python3.7", "ruby2.7"]
CODE = packages.python("import sys\ndef handler(event, context): return list(sys.version_info[:2])")
TRUST = {
    "Version": "2012-10-17",
    "Statement": [{
        "Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole",
    }],
}  # fmt: skip


@pytest.mark.parametrize("runtime", RETIRED)
def test_retired_runtimes_are_refused_as_recorded(awslambda, role, unique, runtime, deploy):
    test = f"TestRuntimeValidation::test_create_deprecated_function_runtime_with_validation_enabled[{runtime}]"
    recorded = snapshot(API, test)["deprecation_error"]

    def create():
        awslambda.create_function(
            FunctionName=unique("function"), Runtime=runtime, Handler="index.handler", Role=role, Code={"ZipFile": CODE}
        )

    assert_like(error(create), recorded)
    name = deploy(CODE)
    update = error(lambda: awslambda.update_function_configuration(FunctionName=name, Runtime=runtime))
    assert_like(update, recorded)


@pytest.mark.parametrize("runtime", ["java21", "dotnet8", "ruby3.3"])
def test_runtimes_that_nobody_runs_here_are_taken_and_say_so(awslambda, deploy, runtime):
    name = deploy(packages.package({"any": "thing"}), Runtime=runtime)
    shown = awslambda.get_function_configuration(FunctionName=name)
    assert shown["Runtime"] == runtime and shown["State"] == "Active"
    assert "container image" in shown["StateReason"]
    refused = error(lambda: awslambda.invoke(FunctionName=name))
    assert refused["Error"]["Code"] == "InvalidRuntimeException"
    assert runtime in refused["Error"]["Message"]


def test_another_version_stands_in_aloud(awslambda, logs, deploy):
    name = deploy(CODE, Runtime="python3.15")
    shown = awslambda.get_function_configuration(FunctionName=name)
    assert shown["Runtime"] == "python3.15"
    assert shown["StateReason"].startswith("python3.15 is not installed on this host: the function runs on python3.")
    answer = awslambda.invoke(FunctionName=name)
    assert json.load(answer["Payload"]) == [3, int(shown["StateReason"].split("runs on python3.")[1].split(",")[0])]

    def warned():
        try:
            found = logs.filter_log_events(logGroupName=f"/aws/lambda/{name}")["events"]
        except logs.exceptions.ResourceNotFoundException:
            return []
        return [event for event in found if event["message"].startswith("[WARN]\tpython3.15 is not installed")]

    assert eventually(warned)


def test_the_list_of_runtimes(own_cloud):
    listed = own_cloud.command("runtime", "list")
    rows = {line.split()[0]: line for line in listed.stdout.splitlines()[1:]}
    assert "the function's own bootstrap" in rows["provided.al2023"]
    assert "deprecated" in rows["go1.x"] and "missing" in rows["java21"]
    assert "exact" in rows["python3.12"] and "nearest version" in rows["python3.15"]
    refused = own_cloud.command("runtime", "install", "java21")
    assert refused.returncode != 0 and "container image" in refused.stderr
    refused = own_cloud.command("runtime", "install", "cobol")
    assert refused.returncode != 0 and "`cobol`" in refused.stderr


def test_an_interpreter_is_installed_by_name(own_cloud):
    """Needs npm and a registry."""
    if shutil.which("npm") is None:
        pytest.skip("there is no npm")
    installed = own_cloud.command("runtime", "install", "nodejs20.x", timeout_s=300)
    assert "nodejs20.x" in installed.stderr
    own_cloud.start()
    awslambda, iam = own_cloud.client("lambda"), own_cloud.client("iam")
    role = iam.create_role(RoleName="r", AssumeRolePolicyDocument=json.dumps(TRUST))["Role"]["Arn"]
    code = packages.node("export const handler = async () => process.version")
    awslambda.create_function(
        FunctionName="f", Runtime="nodejs20.x", Handler="index.handler", Role=role, Code={"ZipFile": code}
    )
    awslambda.get_waiter("function_active_v2").wait(FunctionName="f", WaiterConfig={"Delay": 0.1})
    assert "StateReason" not in awslambda.get_function_configuration(FunctionName="f")
    answer = awslambda.invoke(FunctionName="f")
    assert json.load(answer["Payload"]).startswith("v20.")


def python_image():
    """An image with the Python that runs this, where its makers' images have it, and a module that no host has."""
    version = "python%d.%d" % sys.version_info[:2]
    base = Path(sys.base_prefix)
    library = base / "lib" / version
    files = [path for path in library.rglob("*.py") if not {"test", "site-packages", "dist-packages"} & set(path.parts)]
    files += (library / "lib-dynload").glob("*.so")
    files += [path for path in (base / "lib").glob(f"lib{version}.so*") if not path.is_symlink()]
    layer = [images.entry(f"usr/local/{path.relative_to(base)}", path.read_bytes()) for path in files]
    program = Path(sys._base_executable).resolve()
    layer.append(images.entry(f"usr/local/bin/{version}", program.read_bytes(), 0o755))
    layer.append(images.entry(f"usr/local/lib/{version}/of_the_image.py", "WORD = 'taken'"))
    return version, images.Image([layer])


def test_an_interpreter_is_taken_out_of_an_image(own_cloud, tmp_path):
    version, image = python_image()
    layout = tmp_path / "base"
    images.write_layout(layout, image)
    refused = own_cloud.command("runtime", "install", "nodejs22.x", "--from", layout)
    assert refused.returncode != 0 and "not in the image" in refused.stderr
    refused = own_cloud.command("runtime", "install", version, "--from", tmp_path / "nothing")
    assert refused.returncode != 0 and "OCI layout" in refused.stderr
    taken = own_cloud.command("runtime", "install", version, "--from", layout, timeout_s=300)
    assert f"{version} is taken from {layout}" in taken.stderr, taken.stderr
    own_cloud.start()
    awslambda, iam = own_cloud.client("lambda"), own_cloud.client("iam")
    role = iam.create_role(RoleName="r", AssumeRolePolicyDocument=json.dumps(TRUST))["Role"]["Arn"]
    code = packages.python("import json, of_the_image\ndef handler(event, context): return of_the_image.WORD")
    awslambda.create_function(
        FunctionName="f", Runtime=version, Handler="index.handler", Role=role, Code={"ZipFile": code}
    )
    awslambda.get_waiter("function_active_v2").wait(FunctionName="f", WaiterConfig={"Delay": 0.1})
    assert "StateReason" not in awslambda.get_function_configuration(FunctionName="f")
    assert json.load(awslambda.invoke(FunctionName="f")["Payload"]) == "taken"
