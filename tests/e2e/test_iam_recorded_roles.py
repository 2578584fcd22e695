"""Recorded tests of services' roles and of the policy simulator, played again."""

import json
from contextlib import suppress

import pytest
from botocore.exceptions import ClientError

import recorded
import replay as replays
from cloud import ACCOUNT

FILE = "iam/test_iam"
LIFECYCLE = "test_service_role_lifecycle"
SUFFIX = "test_service_role_lifecycle_custom_suffix"
NO_SUFFIX = "test_service_role_lifecycle_custom_suffix_not_allowed"


def services(test):
    """The services that a test was recorded with."""
    names = recorded.tests(FILE)
    return sorted(name.split("[")[1][:-1] for name in names if name.startswith(f"TestIAMServiceRoles::{test}["))


@pytest.fixture
def play(cloud, unique):
    """Begins to play a recorded test again; at the end no answer may differ without a known reason."""
    begun = []

    def play(test):
        begun.append(replays.Replay(cloud.client("iam"), None, unique, test, FILE))
        return begun[-1]

    yield play
    for played in begun:
        played.end()


@pytest.fixture
def service_role(iam):
    """Makes the role of a service, takes it away after the test."""
    made = []

    def make(**request):
        made.append(iam.create_service_linked_role(**request)["Role"]["RoleName"])
        return made[-1]

    yield make
    for name in made:
        with suppress(ClientError):
            iam.delete_service_linked_role(RoleName=name)


def describe(played, role):
    played.call("describe-response", "get_role", RoleName=role)
    played.call("inline-role-policies", "list_role_policies", RoleName=role)
    played.call("attached-role-policies", "list_attached_role_policies", RoleName=role)


@pytest.mark.parametrize("service", services(LIFECYCLE))
def test_lifecycle(play, service_role, service):
    played = play(f"TestIAMServiceRoles::{LIFECYCLE}[{service}]")
    describe(played, service_role(AWSServiceName=service))


@pytest.mark.parametrize("service", services(SUFFIX))
def test_suffix(play, service_role, service):
    played = play(f"TestIAMServiceRoles::{SUFFIX}[{service}]")
    describe(played, service_role(AWSServiceName=service, CustomSuffix="abc"))


@pytest.mark.parametrize("service", services(NO_SUFFIX))
def test_no_suffix(play, service):
    played = play(f"TestIAMServiceRoles::{NO_SUFFIX}[{service}]")
    request = {"AWSServiceName": service, "CustomSuffix": "testsuffix"}
    played.call("custom-suffix-not-allowed", "create_service_linked_role", **request)


def test_deletion(play, service_role):
    played = play("TestIAMServiceRoles::test_service_role_deletion")
    name = service_role(AWSServiceName="batch.amazonaws.com")
    answer = played.call("service-linked-role-deletion-response", "delete_service_linked_role", RoleName=name)
    played.call(
        "service-linked-role-deletion-status-response",
        "get_service_linked_role_deletion_status",
        DeletionTaskId=answer["DeletionTaskId"],
    )


def test_taken(play, service_role):
    played = play("TestIAMServiceRoles::test_service_role_already_exists")
    service_role(AWSServiceName="batch.amazonaws.com")
    played.call("role-already-exists-error", "create_service_linked_role", AWSServiceName="batch.amazonaws.com")


def test_protected(iam, service_role):
    name = service_role(AWSServiceName="ecs.amazonaws.com")
    protected = f"Cannot perform the operation on the protected role '{name}' - this role is only modifiable by AWS"
    policy = "arn:aws:iam::aws:policy/AmazonS3ReadOnlyAccess"
    for change in [
        lambda: iam.delete_role(RoleName=name),
        lambda: iam.attach_role_policy(RoleName=name, PolicyArn=policy),
        lambda: iam.put_role_permissions_boundary(RoleName=name, PermissionsBoundary=policy),
        lambda: iam.update_assume_role_policy(RoleName=name, PolicyDocument=json.dumps(trust("ecs.amazonaws.com"))),
        lambda: iam.put_role_policy(RoleName=name, PolicyName="p", PolicyDocument=json.dumps(ALLOW_PUT)),
    ]:
        with pytest.raises(iam.exceptions.UnmodifiableEntityException) as refused:
            change()
        assert refused.value.response["Error"]["Message"] == protected
    iam.update_role_description(RoleName=name, Description="ours")
    assert iam.get_role(RoleName=name)["Role"]["Description"] == "ours"


def trust(service):
    principal = {"Service": service}
    statement = {"Sid": "", "Effect": "Allow", "Principal": principal, "Action": "sts:AssumeRole"}
    return {"Version": "2012-10-17", "Statement": statement}


ALLOW_PUT = {
    "Version": "2012-10-17",
    "Statement": {"Sid": "", "Effect": "Allow", "Action": "s3:PutObject", "Resource": "*"},
}


@pytest.mark.parametrize("kind", ["role", "group", "user"])
def test_simulate(iam, play, unique, bucket, kind):
    played = play(f"TestIAMIntegrations::test_simulate_principle_policy[{kind}]")
    name = unique(kind)
    policy = iam.create_policy(PolicyName=unique("policy"), PolicyDocument=json.dumps(ALLOW_PUT))["Policy"]["Arn"]
    if kind == "role":
        document = json.dumps(trust("apigateway.amazonaws.com"))
        iam.create_role(RoleName=name, AssumeRolePolicyDocument=document)
        iam.attach_role_policy(RoleName=name, PolicyArn=policy)
    elif kind == "group":
        iam.create_group(GroupName=name)
        iam.attach_group_policy(GroupName=name, PolicyArn=policy)
    else:
        iam.create_user(UserName=name)
        iam.attach_user_policy(UserName=name, PolicyArn=policy)
    answer = iam.simulate_principal_policy(
        PolicySourceArn=f"arn:aws:iam::{ACCOUNT}:{kind}/{name}",
        ActionNames=["s3:PutObject", "s3:GetObjectVersion"],
        ResourceArns=[f"arn:aws:s3:::{bucket}"],
    )
    # The recorded bucket is called just that.
    played.match("response", json.loads(json.dumps(answer, default=str).replace(bucket, "bucket")))
