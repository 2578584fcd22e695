"""What CreateFunction refuses, with AWS's words."""

import io
import os
import stat
import struct
import zipfile
from pathlib import Path

import pytest
from botocore.exceptions import ClientError

import packages
from recorded import assert_like, snapshot

API = "lambda_/test_lambda_api"
ECHO = packages.python("def handler(event, context): return event")


@pytest.fixture
def create(cloud, role, unique):
    """Tries to create a function; gives AWS's error. No client-side validation stands in the way."""
    client = cloud.client("lambda", parameter_validation=False)

    def create(**settings):
        defaults = {
            "FunctionName": unique("function"),
            "Runtime": "python3.13",
            "Handler": "index.handler",
            "Role": role,
            "Code": {"ZipFile": ECHO},
        }
        wanted = {name: value for name, value in {**defaults, **settings}.items() if value is not None}
        with pytest.raises(ClientError) as excinfo:
            client.create_function(**wanted)
        return excinfo.value.response

    return create


def test_role(create):
    recorded = snapshot(API, "TestLambdaFunction::test_create_lambda_exceptions")
    assert_like(create(Role="r1"), recorded["invalid_role_arn_exc"])


@pytest.mark.parametrize("runtime", ["non-existent-runtime", "PYTHON3.9"])
def test_runtime(create, runtime):
    answer = create(Runtime=runtime)
    assert answer["ResponseMetadata"]["HTTPStatusCode"] == 400
    assert answer["Error"]["Code"] == "InvalidParameterValueException"
    start = f"Value {runtime} at 'runtime' failed to satisfy constraint: Member must satisfy enum value set: ["
    assert answer["Error"]["Message"].startswith(start)
    assert answer["Error"]["Message"].endswith("] or be a valid ARN")


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (
            {"Timeout": 901},
            "Value '901' at 'timeout' failed to satisfy constraint: Member must have value less than or equal to 900",
        ),
        (
            {"Timeout": 0},
            "Value '0' at 'timeout' failed to satisfy constraint: Member must have value greater than or equal to 1",
        ),
        (
            {"MemorySize": 127},
            "Value '127' at 'memorySize' failed to satisfy constraint: Member must have value greater than or equal to 128",
        ),
        (
            {"FunctionName": "no spaces"},
            "at 'functionName' failed to satisfy constraint: Member must satisfy regular expression pattern:",
        ),
        (
            {"Handler": "with space"},
            "at 'handler' failed to satisfy constraint: Member must satisfy regular expression pattern:",
        ),
        (
            {"Description": "x" * 257},
            "at 'description' failed to satisfy constraint: Member must have length less than or equal to 256",
        ),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, dict) else "",
)
def test_constraints_of_the_model(create, settings, words):
    answer = create(**settings)
    assert answer["Error"]["Code"] == "ValidationException"
    assert answer["Error"]["Message"].startswith("1 validation error detected: Value '")
    assert words in answer["Error"]["Message"]


def test_missing_members(create):
    answer = create(Role=None)
    assert answer["Error"]["Code"] == "ValidationException"
    assert "Value null at 'role' failed to satisfy constraint: Member must not be null" in answer["Error"]["Message"]
    no_handler = create(Handler=None)["Error"]
    assert no_handler["Code"] == "InvalidParameterValueException"


def test_a_role_that_is_not_there(create):
    answer = create(Role="arn:aws:iam::000000000000:role/missing")
    assert answer["Error"]["Code"] == "InvalidParameterValueException"
    assert answer["Error"]["Message"] == "The role defined for the function cannot be assumed by Lambda."


def test_environment(create):
    answer = create(Environment={"Variables": {"LARGE_VAR": "x" * 4096}})
    assert answer["Error"]["Code"] == "InvalidParameterValueException"
    start = (
        "Lambda was unable to configure your environment variables because the environment variables "
        'you have provided exceeded the 4KB limit. String measured: {"LARGE_VAR":"xxx'
    )
    assert answer["Error"]["Message"].startswith(start)
    reserved = create(Environment={"Variables": {"AWS_REGION": "elsewhere"}})["Error"]
    assert reserved["Code"] == "InvalidParameterValueException"
    assert "AWS_REGION" in reserved["Message"] and "Reserved keys" in reserved["Message"]


@pytest.mark.parametrize(
    "bytes_", [b"this is no zip", b"PK\x03\x04 cut off", b"\x00" * 1000], ids=["text", "cut", "zeros"]
)
def test_what_is_no_zip(create, bytes_):
    recorded = snapshot(API, "TestLambdaFunction::test_create_lambda_exceptions")
    assert_like(create(Code={"ZipFile": bytes_}), recorded["invalid_zip_exc"])


def test_truncated_zip(create):
    assert create(Code={"ZipFile": ECHO[:-30]})["Error"]["Code"] == "InvalidParameterValueException"


def test_a_zip_that_unpacks_to_too_much(create):
    recorded = snapshot(API, "TestLambdaSizeLimits::test_oversized_unzipped_lambda")
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for number in range(11):
            archive.writestr(f"zeros-{number}", bytes(25 * 1024**2))
    assert_like(create(Code={"ZipFile": buffer.getvalue()}), recorded["invalid_param_exc"])


def test_a_zip_bomb_that_lies_about_its_size(create, cloud):
    """The directory says that the file has 10 bytes; it unpacks to 300 MB."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("index.py", bytes(300 * 10**6))
    size = struct.pack("<I", 300 * 10**6)
    lie = buffer.getvalue().replace(size, struct.pack("<I", 10))
    cloud.forget_memory_peak()
    before = cloud.memory_peak_bytes()
    assert create(Code={"ZipFile": lie})["Error"]["Code"] == "InvalidParameterValueException"
    assert cloud.memory_peak_bytes() - before < 64 * 1024**2


@pytest.mark.parametrize("name", ["../escaped", "/absolute", "a/../../escaped", "..\\escaped"])
def test_paths_that_lead_out_of_the_package(cloud, role, unique, name):
    """AWS unpacks such a package without the file, or refuses it; nothing may be written outside either way."""
    client = cloud.client("lambda")
    package = packages.package({"index.py": "def handler(event, context): return 1", name: "escaped"})
    function = unique("function")
    try:
        client.create_function(
            FunctionName=function, Runtime="python3.13", Handler="index.handler", Role=role, Code={"ZipFile": package}
        )
    except ClientError as refusal:
        assert refusal.response["Error"]["Code"] == "InvalidParameterValueException"
    else:
        client.get_waiter("function_active_v2").wait(FunctionName=function, WaiterConfig={"Delay": 0.1})
        assert client.invoke(FunctionName=function)["Payload"].read() == b"1"
    written = [path for path in cloud.folder.rglob("*escaped") if path.is_file()]
    outside = [path for path in written if not (path.parent / "index.py").exists()]
    assert not outside, "beside the package, not in it"
    assert not Path("/escaped").exists() and not Path("/absolute").exists()


def test_links_in_a_package_do_not_lead_out(cloud, deploy):
    link = {"index.py": "def handler(event, context): return open('/var/task/link').read()", "link": "/etc/hostname"}
    package = packages.package(link, {"link": stat.S_IFLNK | 0o777})
    client = cloud.client("lambda")
    try:
        name = deploy(package)
    except ClientError as refusal:
        assert refusal.response["Error"]["Code"] == "InvalidParameterValueException"
        return
    answer = client.invoke(FunctionName=name)
    host = Path("/etc/hostname").read_text().strip()
    assert host not in answer["Payload"].read().decode()


def test_too_large_a_request(create):
    recorded = snapshot(API, "TestLambdaSizeLimits::test_oversized_request_create_lambda")
    answer = create(Code={"ZipFile": os.urandom(55 * 1024**2)})
    assert answer["ResponseMetadata"]["HTTPStatusCode"] == 413
    assert answer["Error"]["Code"] == recorded["invalid_param_exc"]["Error"]["Code"]
