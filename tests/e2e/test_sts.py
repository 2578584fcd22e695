import json
from datetime import datetime, timedelta, timezone

import pytest
from botocore.exceptions import ClientError

from cloud import ACCOUNT
from recorded import assert_like, snapshot

FILE = "sts/test_sts"


def error(call):
    with pytest.raises(ClientError) as excinfo:
        call()
    return excinfo.value.response


@pytest.fixture
def new_role(iam, unique):
    """A role that the account may assume, with the given permissions."""

    def make(*statements, principal=ACCOUNT):
        name = unique("role")
        trust = [{"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"AWS": principal}}]
        document = lambda statements: json.dumps({"Version": "2012-10-17", "Statement": statements})
        iam.create_role(RoleName=name, AssumeRolePolicyDocument=document(trust))
        if statements:
            iam.put_role_policy(RoleName=name, PolicyName="inline", PolicyDocument=document(list(statements)))
        return f"arn:aws:iam::{ACCOUNT}:role/{name}"

    return make


@pytest.fixture
def acting_as(cloud, sts):
    """Clients with the credentials of a role."""

    def acting_as(role, service, **settings):
        given = sts.assume_role(RoleArn=role, RoleSessionName="session", **settings)["Credentials"]
        keys = {"key": given["AccessKeyId"], "secret": given["SecretAccessKey"], "token": given["SessionToken"]}
        return cloud.client(service, **keys)

    return acting_as


def test_who_root_is(sts):
    who = sts.get_caller_identity()
    assert (who["Account"], who["Arn"], who["UserId"]) == (ACCOUNT, f"arn:aws:iam::{ACCOUNT}:root", ACCOUNT)


def test_assume_role(sts, new_role, acting_as):
    recorded = snapshot(FILE, "TestSTSIntegrations::test_assume_role")["assume-role"]
    role = new_role()
    answer = sts.assume_role(RoleArn=role, RoleSessionName="a-session")
    assert_like(answer, recorded)
    name = role.split("/")[1]
    assert answer["AssumedRoleUser"]["Arn"] == f"arn:aws:sts::{ACCOUNT}:assumed-role/{name}/a-session"
    assert answer["Credentials"]["AccessKeyId"].startswith("ASIA")
    left = answer["Credentials"]["Expiration"] - datetime.now(timezone.utc)
    assert timedelta(minutes=59) < left <= timedelta(hours=1)
    who = acting_as(role, "sts").get_caller_identity()
    assert who["Arn"] == f"arn:aws:sts::{ACCOUNT}:assumed-role/{name}/session"
    assert who["UserId"].split(":")[1] == "session"


def test_a_role_may_do_what_its_policy_allows_and_no_more(s3, bucket, new_role, acting_as):
    allowed = {"Effect": "Allow", "Action": ["s3:PutObject"], "Resource": f"arn:aws:s3:::{bucket}/mine/*"}
    client = acting_as(new_role(allowed), "s3")
    client.put_object(Bucket=bucket, Key="mine/k", Body=b"x")
    for call in [
        lambda: client.put_object(Bucket=bucket, Key="other/k", Body=b"x"),
        lambda: client.get_object(Bucket=bucket, Key="mine/k"),
        lambda: client.delete_object(Bucket=bucket, Key="mine/k"),
        lambda: client.list_objects_v2(Bucket=bucket),
        lambda: client.create_bucket(Bucket=f"{bucket}-2"),
    ]:
        answer = error(call)
        assert answer["ResponseMetadata"]["HTTPStatusCode"] == 403
        assert answer["Error"]["Code"] == "AccessDenied"
    assert s3.get_object(Bucket=bucket, Key="mine/k")["Body"].read() == b"x"


def test_a_denial_outweighs_an_allowance(s3, bucket, new_role, acting_as):
    client = acting_as(
        new_role(
            {"Effect": "Allow", "Action": "s3:*", "Resource": "*"},
            {"Effect": "Deny", "Action": "s3:DeleteObject", "Resource": "*"},
        ),
        "s3",
    )
    client.put_object(Bucket=bucket, Key="k", Body=b"x")
    assert error(lambda: client.delete_object(Bucket=bucket, Key="k"))["Error"]["Code"] == "AccessDenied"


def test_a_role_without_policies_may_do_nothing(cloud, new_role, acting_as):
    role = new_role()
    refused = error(lambda: acting_as(role, "lambda").list_functions())
    assert refused["Error"]["Code"] == "AccessDeniedException"
    name = role.split("/")[1]
    assert refused["Error"]["Message"].startswith(
        f"User: arn:aws:sts::{ACCOUNT}:assumed-role/{name}/session is not authorized to perform: lambda:ListFunctions"
    )
    assert error(lambda: acting_as(role, "logs").describe_log_groups())["Error"]["Code"] == "AccessDeniedException"
    assert error(lambda: acting_as(role, "iam").get_role(RoleName="x"))["Error"]["Code"] == "AccessDenied"


def test_who_may_not_assume(sts, new_role):
    missing = error(lambda: sts.assume_role(RoleArn=f"arn:aws:iam::{ACCOUNT}:role/missing", RoleSessionName="session"))
    assert missing["ResponseMetadata"]["HTTPStatusCode"] == 403
    assert missing["Error"]["Code"] == "AccessDenied"
    assert "is not authorized to perform: sts:AssumeRole on resource: " in missing["Error"]["Message"]
    other = error(lambda: sts.assume_role(RoleArn=new_role(principal="111122223333"), RoleSessionName="session"))
    assert other["Error"]["Code"] == "AccessDenied"


@pytest.mark.parametrize(
    ("name", "arn"),
    [
        ("malformed-arn", "nothing-valid-in-here"),
        ("no-partition", "arn::b:::something/test-role"),
        ("no-service", "arn:a::::something/test-role"),
        ("not-enough-colons", "arn:a:::something/test-role"),
        ("no-resource", "arn:a:a::aaaaaaaaaa:"),
    ],
)
def test_wrong_arns(sts, name, arn):
    recorded = snapshot(FILE, "TestSTSIntegrations::test_sts_invalid_parameters")
    answer = error(lambda: sts.assume_role(RoleArn=arn, RoleSessionName="Session1"))
    assert_like(answer, recorded[name])


def test_a_wrong_session_name(sts):
    recorded = snapshot(FILE, "TestSTSIntegrations::test_sts_invalid_parameters")
    role = f"arn:aws:iam::{ACCOUNT}:role/test-role"
    answer = error(lambda: sts.assume_role(RoleArn=role, RoleSessionName="Session1:2"))
    assert_like(answer, recorded["invalid-session-name"])


def test_durations(sts, new_role):
    role = new_role()
    short = sts.assume_role(RoleArn=role, RoleSessionName="session", DurationSeconds=900)["Credentials"]["Expiration"]
    assert short - datetime.now(timezone.utc) <= timedelta(minutes=15)
    long = error(lambda: sts.assume_role(RoleArn=role, RoleSessionName="session", DurationSeconds=7200))
    assert long["Error"]["Code"] == "ValidationError"
    assert "MaxSessionDuration" in long["Error"]["Message"]
