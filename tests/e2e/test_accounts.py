"""Accounts are namespaces: each with a root of its own, who sees nothing of the others' without a policy."""

import json
import re

import pytest
from botocore.exceptions import ClientError

import packages
import signing
from cloud import ACCOUNT, REGION, eventually


def code(call):
    with pytest.raises(ClientError) as excinfo:
        call()
    return excinfo.value.response["Error"]["Code"]


@pytest.fixture(scope="module")
def other(cloud, tmp_path_factory):
    """Another account: its id, and what makes clients of its root."""
    made = cloud.command("account", "create", "other", "--id", "111122223333")
    assert made.returncode == 0, made.stderr
    key, secret = re.match(r"export AWS_ACCESS_KEY_ID=(\S+) AWS_SECRET_ACCESS_KEY=(\S+) ", made.stdout).groups()
    return "111122223333", lambda service: cloud.client(service, key=key, secret=secret)


def test_each_root_is_known_by_its_account(other, sts):
    account, client = other
    who = client("sts").get_caller_identity()
    assert (who["Account"], who["Arn"], who["UserId"]) == (account, f"arn:aws:iam::{account}:root", account)
    assert sts.get_caller_identity()["Account"] == ACCOUNT


def test_accounts_are_listed_and_each_id_is_given_once(cloud, other):
    listed = cloud.command("account", "list")
    assert listed.returncode == 0, listed.stderr
    assert [line.split()[0] for line in listed.stdout.splitlines()[1:]][:2] == [ACCOUNT, "111122223333"]
    for taken in (ACCOUNT, "111122223333"):
        again = cloud.command("account", "create", "again", "--id", taken)
        assert again.returncode == 1 and f"an account {taken} exists" in again.stderr
    assert cloud.command("account", "create", "x", "--id", "12").returncode == 2


def test_a_key_goes_into_a_file_of_its_owner(cloud, tmp_path):
    file = tmp_path / "key.json"
    made = cloud.command("account", "create", "filed", "--key-file", str(file))
    assert made.returncode == 0, made.stderr
    assert file.stat().st_mode & 0o777 == 0o600
    key = json.loads(file.read_text())
    assert key["secret_access_key"] not in made.stdout + made.stderr
    given = {"key": key["access_key_id"], "secret": key["secret_access_key"]}
    assert cloud.client("sts", **given).get_caller_identity()["Account"] == key["account"]
    refused = cloud.command("account", "create", "filed", "--key-file", str(file))
    assert refused.returncode == 1 and json.loads(file.read_text()) == key
    # Of two keys the older one ends.
    first = cloud.command("account", "new-key", key["account"])
    assert first.returncode == 0, first.stderr
    cloud.client("sts", **given).get_caller_identity()
    cloud.command("account", "new-key", key["account"])
    assert code(cloud.client("sts", **given).get_caller_identity) == "InvalidClientTokenId"


def test_what_is_of_one_account_is_hidden_from_the_other(cloud, other, s3, logs, iam, awslambda, deploy, bucket, unique):
    account, client = other
    s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    theirs = client("s3")
    assert bucket not in [one["Name"] for one in theirs.list_buckets()["Buckets"]]
    for call in [
        lambda: theirs.get_object(Bucket=bucket, Key="k"),
        lambda: theirs.put_object(Bucket=bucket, Key="k", Body=b"y"),
        lambda: theirs.list_objects_v2(Bucket=bucket),
        lambda: theirs.delete_object(Bucket=bucket, Key="k"),
        lambda: theirs.delete_bucket(Bucket=bucket),
        lambda: theirs.get_bucket_location(Bucket=bucket),
    ]:
        assert code(call) in ("AccessDenied", "NoSuchBucket")
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == b"x"
    assert code(lambda: theirs.create_bucket(Bucket=bucket)) == "BucketAlreadyExists"

    name = deploy("def handler(event, context): return 1")
    awslambda.invoke(FunctionName=name)
    assert client("lambda").list_functions()["Functions"] == []
    arn = f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:{name}"
    assert code(lambda: client("lambda").get_function(FunctionName=name)) == "ResourceNotFoundException"
    refused = code(lambda: client("lambda").invoke(FunctionName=arn))
    assert refused in ("AccessDeniedException", "ResourceNotFoundException")
    group = unique("/group")
    logs.create_log_group(logGroupName=group)
    assert client("logs").describe_log_groups()["logGroups"] == []
    client("logs").create_log_group(logGroupName=group)
    client("logs").delete_log_group(logGroupName=group)
    assert [one["logGroupName"] for one in logs.describe_log_groups(logGroupNamePrefix=group)["logGroups"]] == [group]
    user = unique("user")
    iam.create_user(UserName=user)
    assert client("iam").list_users()["Users"] == []
    assert code(lambda: client("iam").get_user(UserName=user)) == "NoSuchEntity"
    iam.delete_user(UserName=user)


def test_names_are_free_in_each_account(other, deploy, iam, unique):
    account, client = other
    role = unique("role")
    trust = {"Statement": {"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"Service": "lambda.amazonaws.com"}}}
    arns = {
        one.create_role(RoleName=role, AssumeRolePolicyDocument=json.dumps({"Version": "2012-10-17", **trust}))["Role"]["Arn"]
        for one in (iam, client("iam"))
    }
    assert arns == {f"arn:aws:iam::{one}:role/{role}" for one in (ACCOUNT, account)}
    name = deploy("def handler(event, context): return 'ours'")
    functions = client("lambda")
    code = packages.python("def handler(event, context): return context.invoked_function_arn")
    functions.create_function(
        FunctionName=name,
        Runtime="python3.13",
        Handler="index.handler",
        Role=f"arn:aws:iam::{account}:role/{role}",
        Code={"ZipFile": code},
    )
    functions.get_waiter("function_active_v2").wait(FunctionName=name, WaiterConfig={"Delay": 0.05})
    answer = json.loads(functions.invoke(FunctionName=name)["Payload"].read())
    assert answer == f"arn:aws:lambda:{REGION}:{account}:function:{name}"
    functions.delete_function(FunctionName=name)


def test_a_page_of_dead_letters_goes_on_for_its_account_alone(cloud, other, s3, awslambda, bucket, deploy, notify):
    """All accounts' letters lie together, so that where a page ends says nothing to others, nor can they go on there."""
    function = deploy("def handler(event, context): return 1")
    notify(bucket, function)
    awslambda.remove_permission(FunctionName=function, StatementId=f"s3-{bucket}")
    s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    path = "/_lambent/dead-letters"
    eventually(lambda: function in signing.call(cloud, "lambent", "GET", path).body.decode())
    key = other[1]("sts")._request_signer._credentials
    theirs = {"key": key.access_key, "secret": key.secret_key}

    def page(after="", **who):
        answer = signing.call(cloud, "lambent", "GET", f"{path}?after={after}" if after else path, **who)
        return answer.status, json.loads(answer.body)

    (_, ours), (_, others) = page(), page(**theirs)
    assert others["deadLetters"] == []
    assert page(ours["next"])[0] == page(others["next"], **theirs)[0] == 200
    for after, who in ((ours["next"], theirs), (others["next"], {}), ("00" * 40, {})):
        status, refused = page(after, **who)
        assert (status, refused["__type"]) == (400, "ValidationException")


def test_what_concerns_the_whole_cloud_is_for_its_owner(cloud, other):
    """The root of another account may not export rows, nor make accounts."""
    account, client = other
    key = client("sts")._request_signer._credentials
    for path in ("/_lambent/export", "/_lambent/accounts", "/_lambent/accounts/create?name=x"):
        headers = signing.signed(cloud, "lambent", "GET", path, key=key.access_key, secret=key.secret_key)
        answer = signing.send(cloud, "GET", path, headers=headers)
        assert answer.status == 403, (path, answer.status)
