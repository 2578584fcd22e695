"""Starting, stopping, and starting again."""

import json
import os
import signal
import subprocess
import urllib.request
from pathlib import Path

import pytest

import packages
from cloud import ACCOUNT, ROOT_KEY, Cloud, binary, environment, eventually
from conftest import make_role
from test_lambda_isolation import descendants


def test_what_was_there_is_there_after_a_restart(own_cloud):
    own_cloud.start()
    s3, logs, awslambda = (own_cloud.client(service) for service in ("s3", "logs", "lambda"))
    s3.create_bucket(Bucket="kept")
    s3.put_object(Bucket="kept", Key="k", Body=b"body", Metadata={"a": "b"})
    upload = s3.create_multipart_upload(Bucket="kept", Key="parts")["UploadId"]
    part = s3.upload_part(Bucket="kept", Key="parts", UploadId=upload, PartNumber=1, Body=b"part")
    role = make_role(own_cloud.client("iam"), "kept", [{"Effect": "Allow", "Action": "*", "Resource": "*"}])
    code = packages.python("def handler(event, context):\n    print('line')\n    return event")
    awslambda.create_function(
        FunctionName="kept", Runtime="python3.13", Handler="index.handler", Role=role, Code={"ZipFile": code}
    )
    awslambda.get_waiter("function_active_v2").wait(FunctionName="kept", WaiterConfig={"Delay": 0.1})
    assert awslambda.invoke(FunctionName="kept", Payload=b"1")["Payload"].read() == b"1"
    has_group = lambda: logs.describe_log_groups(logGroupNamePrefix="/aws/lambda/kept")["logGroups"]
    eventually(has_group)
    lines = lambda logs: logs.filter_log_events(logGroupName="/aws/lambda/kept", filterPattern="line")["events"]
    eventually(lambda: lines(logs))
    assert own_cloud.stop() == 0
    own_cloud.start()
    s3, logs, awslambda = (own_cloud.client(service) for service in ("s3", "logs", "lambda"))
    got = s3.get_object(Bucket="kept", Key="k")
    assert (got["Body"].read(), got["Metadata"]) == (b"body", {"a": "b"})
    parts = {"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]}
    s3.complete_multipart_upload(Bucket="kept", Key="parts", UploadId=upload, MultipartUpload=parts)
    assert s3.get_object(Bucket="kept", Key="parts")["Body"].read() == b"part"
    assert awslambda.get_function_configuration(FunctionName="kept")["State"] == "Active"
    assert awslambda.invoke(FunctionName="kept", Payload=b"2")["Payload"].read() == b"2"
    assert len(lines(logs)) >= 1


@pytest.mark.parametrize("signal_name", ["SIGTERM", "SIGINT"])
def test_it_ends_well_when_it_is_asked_to(own_cloud, signal_name):
    own_cloud.start()
    own_cloud.process.send_signal(getattr(signal, signal_name))
    assert own_cloud.process.wait(15) == 0


def test_it_takes_its_functions_with_it(own_cloud):
    own_cloud.start()
    role = make_role(own_cloud.client("iam"), "r", [])
    awslambda = own_cloud.client("lambda")
    code = packages.python("def handler(event, context): return 1")
    awslambda.create_function(
        FunctionName="f", Runtime="python3.13", Handler="index.handler", Role=role, Code={"ZipFile": code}
    )
    awslambda.get_waiter("function_active_v2").wait(FunctionName="f", WaiterConfig={"Delay": 0.1})
    awslambda.invoke(FunctionName="f")
    running = set(descendants(own_cloud.process.pid))
    assert running, "a warm environment waits for the next call"
    own_cloud.kill()
    alive = lambda: [pid for pid in running if is_alive(pid)]
    eventually(lambda: not alive(), timeout_s=10)


def is_alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def test_a_second_one_on_the_same_data_is_refused_in_words(own_cloud):
    own_cloud.start()
    second = own_cloud.command("up", "--listen", "127.0.0.1:0", "--data", str(own_cloud.data), timeout_s=20)
    assert second.returncode not in (0, 101)
    assert str(own_cloud.data) in second.stderr
    assert f"process {own_cloud.process.pid} " in second.stderr
    assert "stop it first" in second.stderr
    assert "panicked" not in second.stderr
    assert own_cloud.client("sts").get_caller_identity()["Account"] == ACCOUNT


def test_a_port_that_is_taken_is_named(own_cloud, tmp_path_factory):
    own_cloud.start()
    address = own_cloud.endpoint.removeprefix("http://")
    other = Cloud(tmp_path_factory.mktemp("other"), with_runtimes=False)
    second = other.command("up", "--listen", address, "--data", str(other.data), timeout_s=20)
    assert second.returncode not in (0, 101)
    assert address in second.stderr
    assert "panicked" not in second.stderr


def test_data_that_is_no_folder_is_refused_in_words(new_cloud):
    new_cloud.data.write_text("a file")
    refused = new_cloud.command("up", "--listen", "127.0.0.1:0", "--data", str(new_cloud.data), timeout_s=20)
    assert refused.returncode not in (0, 101)
    assert "lambent-data" in refused.stderr
    assert "panicked" not in refused.stderr


def test_without_a_root_key_one_is_made_and_kept(tmp_path):
    bare = {name: value for name, value in environment().items() if not name.startswith("LAMBENT_ROOT")}
    keys = set()
    for _ in range(2):
        process = subprocess.Popen(
            [binary(), "up", "--listen", "127.0.0.1:0", "--data", "lambent-data"],
            cwd=tmp_path, env=bare, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
        )  # fmt: skip
        try:
            process.stdout.readline()
            shown = subprocess.run(
                [binary(), "env"], cwd=tmp_path, env=bare, capture_output=True, text=True, timeout=20
            )
            assert shown.returncode == 0, shown.stderr
            keys.add(next(word for word in shown.stdout.split() if word.startswith("AWS_ACCESS_KEY_ID=")))
        finally:
            process.terminate()
            process.wait(15)
    assert len(keys) == 1 and ROOT_KEY not in keys.pop()
    readable = [
        path for path in (tmp_path / "lambent-data").rglob("*") if path.is_file() and b"AKIA" in path.read_bytes()
    ]
    assert all(path.stat().st_mode & 0o077 == 0 for path in readable), readable


def test_the_data_folder_is_for_its_owner_only(new_cloud):
    new_cloud.start()
    assert new_cloud.data.stat().st_mode & 0o077 == 0
    assert new_cloud.data.stat().st_uid == os.getuid()


def test_health(cloud):
    with urllib.request.urlopen(f"{cloud.endpoint}/_lambent/health") as answer:
        assert answer.status == 200
        assert isinstance(json.loads(answer.read()), dict)
