"""Configuration that acts: variables that nobody finds at rest, tenants that do not meet."""

import json

import pytest
from botocore.exceptions import ClientError

import packages
from conftest import make_role

SECRET = "correct-horse-battery-staple"
TELLS = f"""
    import os

    def handler(event, context):
        return os.environ["DB_PASSWORD"] == "{SECRET[::-1]}"[::-1]
"""
SEEN = """
    seen = []

    def handler(event, context):
        seen.append(context.tenant_id)
        return seen
"""


def test_variables_are_nowhere_in_the_clear(own_cloud, tmp_path):
    """Neither in the data directory, of a cloud that runs or was stopped, nor in an export, nor in a backup."""
    cloud = own_cloud.start()
    functions, role = cloud.client("lambda"), make_role(cloud.client("iam"), "keeper", [])
    variables = {"Variables": {"DB_PASSWORD": SECRET}}
    functions.create_function(
        FunctionName="keeper",
        Runtime="python3.13",
        Handler="index.handler",
        Role=role,
        Code={"ZipFile": packages.python(TELLS)},
        Environment=variables,
        Publish=True,
    )
    functions.get_waiter("function_active_v2").wait(FunctionName="keeper", WaiterConfig={"Delay": 0.1})
    assert functions.invoke(FunctionName="keeper")["Payload"].read() == b"true"
    assert functions.get_function_configuration(FunctionName="keeper", Qualifier="1")["Environment"] == variables
    assert found_in(cloud.data) == []
    for words in [("export", "all.dump"), ("backup", "kept")]:
        told = cloud.command(*words)
        assert told.returncode == 0, told.stderr
    cloud.stop()
    assert found_in(cloud.folder) == []

    functions = cloud.start().client("lambda")
    assert functions.invoke(FunctionName="keeper", Qualifier="1")["Payload"].read() == b"true"
    assert functions.get_function_configuration(FunctionName="keeper")["Environment"] == variables
    # A new master key: what the old one had sealed goes over to it.
    cloud.stop()
    old = (cloud.data / "master-key").read_text()
    functions = cloud.start("--new-keys").client("lambda")
    assert (cloud.data / "master-key").read_text() != old
    assert not (cloud.data / "master-keys-retired").exists()
    assert functions.invoke(FunctionName="keeper", Qualifier="1")["Payload"].read() == b"true"
    assert functions.get_function_configuration(FunctionName="keeper")["Environment"] == variables


def found_in(folder):
    files = [path for path in folder.rglob("*") if path.is_file() and not path.is_symlink()]
    # The runtimes' packages were linked, and are thousands of files.
    ours = [path for path in files if "runtimes" not in path.relative_to(folder).parts]
    assert len(ours) > 1
    return [path for path in ours if SECRET.encode() in path.read_bytes()]


def test_tenants_do_not_meet(awslambda, deploy):
    name = deploy(SEEN, TenancyConfig={"TenantIsolationMode": "PER_TENANT"})
    shown = awslambda.get_function_configuration(FunctionName=name)
    assert shown["TenancyConfig"] == {"TenantIsolationMode": "PER_TENANT"}

    def call(tenant):
        return json.loads(awslambda.invoke(FunctionName=name, TenantId=tenant)["Payload"].read())

    assert [call("blue"), call("green"), call("blue")] == [["blue"], ["green"], ["blue", "blue"]]
    with pytest.raises(ClientError) as excinfo:
        awslambda.invoke(FunctionName=name)
    assert excinfo.value.response["Error"] == {
        "Code": "InvalidParameterValueException",
        "Message": "The invoked function is enabled with tenancy configuration. Add a valid tenant ID in your request "
        "and try again.",
    }
