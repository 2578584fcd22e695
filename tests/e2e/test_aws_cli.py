"""The main paths with the `aws` command."""

import base64
import json
import time

import pytest

import packages
from cloud import eventually


@pytest.fixture
def aws(cloud):
    """Runs an `aws` command that must succeed; its output, read as JSON where it is."""

    def aws(*words):
        told = cloud.aws(*words)
        assert told.returncode == 0, told.stderr
        try:
            return json.loads(told.stdout)
        except ValueError:
            return told.stdout

    return aws


def test_s3_files_go_and_come(aws, unique, tmp_path):
    name = unique("cli")
    (tmp_path / "folder").mkdir()
    for number in range(3):
        (tmp_path / f"folder/file {number}.txt").write_text(f"content {number}")
    large = bytes(range(256)) * (40 * 1024 * 1024 // 256)
    (tmp_path / "large").write_bytes(large)
    aws("s3", "mb", f"s3://{name}")
    aws("s3", "cp", "--quiet", str(tmp_path / "large"), f"s3://{name}/large")
    assert aws("s3api", "head-object", "--bucket", name, "--key", "large")["ContentLength"] == len(large)
    aws("s3", "cp", "--quiet", f"s3://{name}/large", str(tmp_path / "back"))
    assert (tmp_path / "back").read_bytes() == large
    aws("s3", "sync", "--quiet", str(tmp_path / "folder"), f"s3://{name}/synced")
    listed = aws("s3", "ls", "--recursive", f"s3://{name}/synced/")
    assert [line.split(maxsplit=3)[3] for line in listed.splitlines()] == [
        f"synced/file {number}.txt" for number in range(3)
    ]
    assert aws("s3", "sync", str(tmp_path / "folder"), f"s3://{name}/synced") == ""
    aws("s3", "mv", "--quiet", f"s3://{name}/synced/file 0.txt", f"s3://{name}/moved")
    assert aws("s3", "cp", "--quiet", f"s3://{name}/moved", "-") == "content 0"
    aws("s3", "rb", "--force", f"s3://{name}")
    assert name not in aws("s3", "ls")


def test_a_function_from_start_to_end(aws, cloud, role, unique, tmp_path):
    name = unique("cli")
    package = tmp_path / "code.zip"
    package.write_bytes(
        packages.python("def handler(event, context):\n    print('cli', event)\n    return event['n'] + 1")
    )
    created = aws(
        "lambda", "create-function", "--function-name", name, "--runtime", "python3.13", "--handler", "index.handler",
        "--role", role, "--zip-file", f"fileb://{package}",
    )  # fmt: skip
    assert created["State"] == "Pending"
    aws("lambda", "wait", "function-active-v2", "--function-name", name)
    out = tmp_path / "out"
    answer = aws("lambda", "invoke", "--function-name", name, "--payload", '{"n": 41}', "--log-type", "Tail", str(out))
    assert (answer["StatusCode"], out.read_text()) == (200, "42")
    assert "cli {'n': 41}" in base64.b64decode(answer["LogResult"]).decode()
    tail = eventually(lambda: logged(cloud, name))
    assert "cli {'n': 41}" in tail
    assert name in [function["FunctionName"] for function in aws("lambda", "list-functions")["Functions"]]
    aws("lambda", "delete-function", "--function-name", name)
    gone = cloud.aws("lambda", "get-function", "--function-name", name)
    assert gone.returncode == 254 or gone.returncode == 255
    assert "ResourceNotFoundException" in gone.stderr


def logged(cloud, name):
    told = cloud.aws("logs", "filter-log-events", "--log-group-name", f"/aws/lambda/{name}", "--output", "text")
    return told.stdout if "REPORT" in told.stdout else None


def test_identities(aws, unique):
    assert aws("sts", "get-caller-identity")["Arn"].endswith(":root")
    name = unique("cli")
    trust = json.dumps({
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Allow", "Principal": {"AWS": "000000000000"}, "Action": "sts:AssumeRole"}],
    })  # fmt: skip
    arn = aws("iam", "create-role", "--role-name", name, "--assume-role-policy-document", trust)["Role"]["Arn"]
    given = aws("sts", "assume-role", "--role-arn", arn, "--role-session-name", "cli")
    assert given["AssumedRoleUser"]["Arn"].endswith(f":assumed-role/{name}/cli")
    aws("iam", "delete-role", "--role-name", name)


def test_logs(aws, unique):
    group = unique("cli")
    aws("logs", "create-log-group", "--log-group-name", group)
    aws("logs", "create-log-stream", "--log-group-name", group, "--log-stream-name", "s")
    events = json.dumps([{"timestamp": int(time.time() * 1000), "message": "from the cli"}])
    which = ["--log-group-name", group, "--log-stream-name", "s"]
    aws("logs", "put-log-events", *which, "--log-events", events)
    got = aws("logs", "get-log-events", *which)
    assert [event["message"] for event in got["events"]] == ["from the cli"]
    aws("logs", "delete-log-group", "--log-group-name", group)
