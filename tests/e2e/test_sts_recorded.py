"""STS, played as it was recorded."""

import json

import pytest

import replay as replays
from cloud import ACCOUNT

FILE = "sts/test_sts"


@pytest.fixture
def play(cloud, unique):
    """Plays recorded tests, and holds them to their answers at the end."""
    begun = []

    def play(test):
        begun.append(replays.Replay(cloud.client("sts"), None, unique, test, FILE))
        return begun[-1]

    yield play
    for one in begun:
        one.end()


@pytest.fixture
def make_role(iam, unique):
    """Makes a role that the account may assume, as the recorded tests do; gives the whole answer."""

    def make(action):
        statement = {"Effect": "Allow", "Principal": {"AWS": ACCOUNT}, "Action": action}
        document = {"Version": "2012-10-17", "Statement": [statement]}
        return iam.create_role(RoleName=unique("role"), AssumeRolePolicyDocument=json.dumps(document))

    return make


def test_get_federation_token(play, unique):
    r = play("TestSTSIntegrations::test_get_federation_token")
    r.call("get-federation-token", "get_federation_token", Name=unique("name")[:32], DurationSeconds=900)


def test_assume_role(play, make_role):
    r = play("TestSTSIntegrations::test_assume_role")
    session = "test-session"
    r.match("role-session-name", {"RoleSessionName": session})
    role = make_role("sts:AssumeRole")
    r.match("create-role", role)
    r.call("assume-role", "assume_role", RoleArn=role["Role"]["Arn"], RoleSessionName=session)


def test_sts_invalid_parameters(play):
    r = play("TestSTSIntegrations::test_sts_invalid_parameters")
    for step, arn in [
        ("malformed-arn", "nothing-valid-in-here"),
        ("no-partition", "arn::b:::something/test-role"),
        ("no-service", "arn:a::::something/test-role"),
        ("not-enough-colons", "arn:a:::something/test-role"),
        ("no-resource", "arn:a:a::aaaaaaaaaa:"),
    ]:
        r.call(step, "assume_role", RoleArn=arn, RoleSessionName="Session1")
    role = f"arn:aws:iam::{ACCOUNT}:role/test-role"
    r.call("invalid-session-name", "assume_role", RoleArn=role, RoleSessionName="Session1:2")


def test_assume_role_tag_validation(play, make_role):
    r = play("TestSTSAssumeRoleTagging::test_assume_role_tag_validation")
    role = make_role(["sts:AssumeRole", "sts:TagSession"])
    r.match("role-1", role)
    asked = {"RoleArn": role["Role"]["Arn"], "RoleSessionName": "Session1"}
    tag = {"Key": "SessionTag1", "Value": "SessionValue1"}
    r.call("invalid-transitive-tag-keys", "assume_role", **asked, Tags=[tag], TransitiveTagKeys=["InvalidKey"])
    other = {"Key": "sessiontag1", "Value": "SessionValue2"}
    r.call("duplicate-tag-keys-different-casing", "assume_role", **asked, Tags=[tag, other])


def test_iam_role_chaining_override_transitive_tags(play, make_role, iam, sts, cloud):
    r = play("TestSTSAssumeRoleTagging::test_iam_role_chaining_override_transitive_tags")
    actions = ["sts:AssumeRole", "sts:TagSession"]
    one, two = make_role(actions), make_role(actions)
    r.match("role-1", one)
    r.match("role-2", two)
    allow = {"Effect": "Allow", "Action": ["sts:AssumeRole", "sts:TagSession"], "Resource": two["Role"]["Arn"]}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [allow]})
    iam.put_role_policy(RoleName=one["Role"]["RoleName"], PolicyName="p", PolicyDocument=policy)
    tag = {"Key": "SessionTag1", "Value": "SessionValue1"}
    given = sts.assume_role(
        RoleArn=one["Role"]["Arn"], RoleSessionName="Session1", Tags=[tag], TransitiveTagKeys=["SessionTag1"]
    )["Credentials"]
    keys = {"key": given["AccessKeyId"], "secret": given["SecretAccessKey"], "token": given["SessionToken"]}
    r.client = cloud.client("sts", **keys)
    for step, key in [
        ("override-transitive-tag-error", "SessionTag1"),
        ("override-transitive-tag-case-ignore-error", "sessiontag1"),
    ]:
        tags = [{"Key": key, "Value": "SessionValue2"}]
        r.call(step, "assume_role", RoleArn=two["Role"]["Arn"], RoleSessionName="Session2", Tags=tags)
