import json

import pytest
from botocore.exceptions import ClientError

from cloud import ACCOUNT
from conftest import TRUST
from recorded import assert_like, snapshot


def error(call):
    with pytest.raises(ClientError) as excinfo:
        call()
    return excinfo.value.response


def test_roles(iam, unique):
    name = unique("role")
    created = iam.create_role(
        RoleName=name, AssumeRolePolicyDocument=json.dumps(TRUST), Description="a role", MaxSessionDuration=7200
    )["Role"]
    assert created["Arn"] == f"arn:aws:iam::{ACCOUNT}:role/{name}"
    assert created["RoleId"].startswith("AROA")
    assert (created["Path"], created["AssumeRolePolicyDocument"]) == ("/", TRUST)
    got = iam.get_role(RoleName=name)["Role"]
    assert got["Arn"] == created["Arn"]
    assert (got["Description"], got["MaxSessionDuration"]) == ("a role", 7200)
    assert got["AssumeRolePolicyDocument"] == TRUST
    policy = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:*", "Resource": "*"}]}
    iam.put_role_policy(RoleName=name, PolicyName="inline", PolicyDocument=json.dumps(policy))
    in_use = error(lambda: iam.delete_role(RoleName=name))
    assert in_use["Error"]["Code"] == "DeleteConflict"
    assert in_use["Error"]["Message"] == "Cannot delete entity, must delete policies first."


def test_delete(iam, unique):
    name = unique("role")
    iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(TRUST))
    iam.delete_role(RoleName=name)
    gone = error(lambda: iam.get_role(RoleName=name))
    assert gone["ResponseMetadata"]["HTTPStatusCode"] == 404
    assert gone["Error"]["Code"] == "NoSuchEntity"
    assert gone["Error"]["Message"] == f"The role with name {name} cannot be found."
    assert error(lambda: iam.delete_role(RoleName=name))["Error"]["Code"] == "NoSuchEntity"


def test_created_twice(iam, unique):
    name = unique("role")
    create = lambda: iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(TRUST))
    create()
    answer = error(create)
    assert answer["ResponseMetadata"]["HTTPStatusCode"] == 409
    assert answer["Error"]["Code"] == "EntityAlreadyExists"
    assert answer["Error"]["Message"] == f"Role with name {name} already exists."


@pytest.mark.parametrize("document", ["not json", "{}", '{"Version": "2012-10-17"}', "[]"])
def test_malformed_documents(iam, unique, document):
    answer = error(lambda: iam.create_role(RoleName=unique("role"), AssumeRolePolicyDocument=document))
    assert answer["ResponseMetadata"]["HTTPStatusCode"] == 400
    assert answer["Error"]["Code"] == "MalformedPolicyDocument"


def test_a_recorded_role(iam, unique):
    recorded = snapshot("sts/test_sts", "TestSTSIntegrations::test_assume_role")["create-role"]
    trust = {
        "Version": "2012-10-17",
        "Statement": [{"Action": "sts:AssumeRole", "Principal": {"AWS": ACCOUNT}, "Effect": "Allow"}],
    }
    created = iam.create_role(RoleName=unique("role"), AssumeRolePolicyDocument=json.dumps(trust))
    assert_like(created, recorded)
