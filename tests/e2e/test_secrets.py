"""Secrets at rest: what is sealed, where it must not be found, and how the key under it is replaced."""

import json
from pathlib import Path

import pytest
from botocore.exceptions import ClientError

import packages
from cloud import ACCOUNT, ROOT_SECRET
from conftest import make_role

VARIABLE = "a-variable-that-nobody-may-read-7c1f"
CODE = "import os\ndef handler(event, context): return os.environ['SECRET'] == event"
NEW_KEY = "5a" * 32


@pytest.fixture
def secretive(own_cloud):
    """A cloud of its own with a user and a function; gives it, and the user's key."""
    own_cloud.start(LAMBENT_LOG="trace")
    return own_cloud, fill(own_cloud)


def fill(cloud):
    iam, functions = cloud.client("iam"), cloud.client("lambda")
    iam.create_user(UserName="anna")
    allow = {"Effect": "Allow", "Action": ["lambda:*", "sts:*"], "Resource": "*"}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [allow]})
    iam.put_user_policy(UserName="anna", PolicyName="p", PolicyDocument=policy)
    key = iam.create_access_key(UserName="anna")["AccessKey"]
    role = make_role(iam, "function", [])
    functions.create_function(
        FunctionName="keeper",
        Runtime="python3.13",
        Handler="index.handler",
        Role=role,
        Code={"ZipFile": packages.python(CODE)},
        Environment={"Variables": {"SECRET": VARIABLE}},
    )
    functions.get_waiter("function_active_v2").wait(FunctionName="keeper", WaiterConfig={"Delay": 0.05})
    keys = {"key": key["AccessKeyId"], "secret": key["SecretAccessKey"]}
    assert knows(cloud, keys)
    return keys


def knows(cloud, keys):
    """Whether the user's key and the function's variable are still what they were."""
    payload = json.dumps(VARIABLE).encode()
    return cloud.client("lambda", **keys).invoke(FunctionName="keeper", Payload=payload)["Payload"].read() == b"true"


def files_with(folder, text):
    """Files below the folder that hold the text, those apart that the runtimes brought."""
    found = []
    for path in folder.rglob("*"):
        if path.is_file() and not path.is_symlink() and "runtimes" not in path.relative_to(folder).parts:
            if text.encode() in path.read_bytes():
                found.append(path.relative_to(folder).as_posix())
    return found


def test_secrets_are_in_no_file_log_export_or_backup(secretive, tmp_path):
    cloud, keys = secretive
    session = cloud.client("sts", **keys).get_session_token()["Credentials"]
    account = cloud.command("account", "create", "second", "--key-file", str(tmp_path / "key.json"))
    assert account.returncode == 0, account.stderr
    second = json.loads((tmp_path / "key.json").read_text())["secret_access_key"]
    with pytest.raises(ClientError):
        cloud.client("lambda", **keys).invoke(FunctionName="missing")
    dump, backup = tmp_path / "dump", tmp_path / "backup"
    for command in (("export", str(dump)), ("backup", str(backup))):
        done = cloud.command(*command)
        assert done.returncode == 0, done.stderr
    master = (cloud.data / "master-key").read_text()
    assert cloud.stop() == 0
    for secret in [keys["secret"], session["SecretAccessKey"], session["SessionToken"], second, VARIABLE, ROOT_SECRET, master]:
        places = set(files_with(cloud.data, secret))
        kept = {ROOT_SECRET: {"root-key.json"}, master: {"master-key"}}.get(secret, set())
        assert places == kept, secret[:4]
        assert secret not in cloud.log.read_text(errors="replace")
        assert secret.encode() not in dump.read_bytes()
        assert files_with(backup, secret) == []
    for name in ("root-key.json", "master-key"):
        assert (cloud.data / name).stat().st_mode & 0o077 == 0


def test_no_core_dump_can_hold_a_key(secretive):
    cloud, _ = secretive
    limits = Path(f"/proc/{cloud.process.pid}/limits").read_text()
    line = next(line for line in limits.splitlines() if line.startswith("Max core file size"))
    assert line.split()[4:6] == ["1", "1"]


def test_the_master_key_is_replaced_and_nothing_is_lost(secretive):
    cloud, keys = secretive
    session = cloud.client("sts", **keys).get_session_token()["Credentials"]
    running = cloud.command("keys", "rotate")
    assert running.returncode == 1 and "stop it first" in running.stderr
    cloud.stop()
    old = (cloud.data / "master-key").read_text()
    done = cloud.command("keys", "rotate")
    assert done.returncode == 0, done.stderr
    assert (cloud.data / "master-key").read_text() != old
    assert not (cloud.data / "master-keys-retired").exists()
    cloud.start()
    assert knows(cloud, keys)
    assert cloud.client("sts").get_caller_identity()["Account"] == ACCOUNT
    given = {"key": session["AccessKeyId"], "secret": session["SecretAccessKey"], "token": session["SessionToken"]}
    with pytest.raises(ClientError):
        cloud.client("sts", **given).get_caller_identity()


def test_a_key_of_the_environment_takes_over(secretive):
    cloud, keys = secretive
    cloud.stop()
    old = (cloud.data / "master-key").read_text()
    # From the file to the environment.
    cloud.start(LAMBENT_MASTER_KEY=NEW_KEY)
    assert knows(cloud, keys)
    cloud.stop()
    (cloud.data / "master-key").unlink()
    # What the environment gives cannot be replaced by this program, only by another value.
    up = ("up", "--listen", "127.0.0.1:0", "--data", str(cloud.data))
    refused = cloud.command(*up, "--new-keys", LAMBENT_MASTER_KEY=NEW_KEY)
    assert refused.returncode == 1 and "LAMBENT_MASTER_KEY_OLD" in refused.stderr
    refused = cloud.command("keys", "rotate", LAMBENT_MASTER_KEY=NEW_KEY)
    assert refused.returncode == 1 and "LAMBENT_MASTER_KEY_OLD" in refused.stderr
    # Nor is anything lost where the old one is not at hand, unless that is said.
    refused = cloud.command(*up, LAMBENT_MASTER_KEY="6b" * 32)
    assert refused.returncode == 1 and "another one" in refused.stderr
    refused = cloud.command(*up, "--new-keys", LAMBENT_MASTER_KEY="6b" * 32)
    assert refused.returncode == 1 and "--keys-lost" in refused.stderr
    cloud.start(LAMBENT_MASTER_KEY="6b" * 32, LAMBENT_MASTER_KEY_OLD=NEW_KEY)
    assert knows(cloud, keys)
    cloud.stop()
    cloud.start(LAMBENT_MASTER_KEY="6b" * 32)
    assert knows(cloud, keys)
    assert old not in cloud.log.read_text(errors="replace")


def test_new_keys_keep_what_the_old_master_key_sealed(secretive):
    cloud, keys = secretive
    cloud.stop()
    cloud.start("--new-keys", LAMBENT_ROOT_ACCESS_KEY_ID="AKIAANOTHERKEY000000")
    assert knows(cloud, keys)
    with pytest.raises(ClientError):
        cloud.client("sts").get_caller_identity()
