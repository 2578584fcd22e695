"""The audit log: `lambent audit`, `lambent iam explain`, `lambent iam suggest`."""

import json
import subprocess

import pytest
from botocore.exceptions import ClientError

from cloud import binary

ROLE = "arn:aws:iam::000000000000:role/clerk"
TRUST = {
    "Version": "2012-10-17",
    "Statement": {"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"AWS": "000000000000"}},
}
POLICY = {
    "Version": "2012-10-17",
    "Statement": [
        {"Sid": "Read", "Effect": "Allow", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::ledger/*"},
        {"Sid": "Never", "Effect": "Deny", "Action": "s3:DeleteObject", "Resource": "*"},
    ],
}


def lambent(cloud, *arguments):
    command = [binary(), *arguments, "--data", str(cloud.data)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


@pytest.fixture(scope="module")
def clerk(cloud):
    """A client of a role that may read, and is denied to delete."""
    iam = cloud.client("iam")
    iam.create_role(RoleName="clerk", AssumeRolePolicyDocument=json.dumps(TRUST))
    iam.put_role_policy(RoleName="clerk", PolicyName="books", PolicyDocument=json.dumps(POLICY))
    s3 = cloud.client("s3")
    s3.create_bucket(Bucket="ledger")
    s3.put_object(Bucket="ledger", Key="2026", Body=b"42")
    given = cloud.client("sts").assume_role(RoleArn=ROLE, RoleSessionName="ann")["Credentials"]
    return cloud.client("s3", given["AccessKeyId"], given["SecretAccessKey"], given["SessionToken"])


def refused(call, **arguments):
    with pytest.raises(ClientError) as caught:
        call(**arguments)
    assert caught.value.response["Error"]["Code"] == "AccessDenied"
    return caught.value.response["ResponseMetadata"]["RequestId"]


def events(cloud, *arguments):
    told = lambent(cloud, "audit", "--json", *arguments)
    assert told.returncode == 0, told.stderr
    return json.loads(told.stdout)


def test_every_request_is_an_event_in_cloud_trails_shape(cloud, clerk):
    answer = clerk.get_object(Bucket="ledger", Key="2026")
    request_id = answer["ResponseMetadata"]["RequestId"]
    found = [event for event in events(cloud, "--principal", "clerk") if event["requestID"] == request_id]
    assert len(found) == 1
    event = found[0]
    assert (event["eventSource"], event["eventName"]) == ("s3.amazonaws.com", "GetObject")
    assert event["readOnly"] is True and "errorCode" not in event
    assert event["userIdentity"]["type"] == "AssumedRole"
    assert event["userIdentity"]["arn"] == "arn:aws:sts::000000000000:assumed-role/clerk/ann"
    assert event["userIdentity"]["sessionContext"]["sessionIssuer"]["arn"] == ROLE
    assert event["resources"] == [{"ARN": "arn:aws:s3:::ledger/2026", "accountId": "000000000000"}]
    assert event["sourceIPAddress"] == "127.0.0.1"
    decided = event["additionalEventData"]["decisions"][0]
    assert decided["is_allowed"] and decided["statements"][0]["sid"] == "Read"


def test_what_was_denied_is_found_and_explained(cloud, clerk):
    explicit = refused(clerk.delete_object, Bucket="ledger", Key="2026")
    silent = refused(clerk.put_object, Bucket="ledger", Key="2027", Body=b"")
    denied = {event["requestID"]: event for event in events(cloud, "--denied", "--since", "10m")}
    assert explicit in denied and silent in denied
    assert all(event["errorCode"] == "AccessDenied" for event in (denied[explicit], denied[silent]))
    told = lambent(cloud, "iam", "explain", explicit)
    assert told.returncode == 0, told.stderr
    assert "Deny: statement 2 (Never) of the identity-based policy books" in told.stdout
    told = lambent(cloud, "iam", "explain", silent)
    assert "no identity-based policy allows it" in told.stdout
    unknown = lambent(cloud, "iam", "explain", "no-such-request")
    assert unknown.returncode == 1 and "no decision" in unknown.stderr


def test_the_least_policy_is_suggested(cloud, clerk):
    clerk.get_object(Bucket="ledger", Key="2026")
    refused(clerk.put_object, Bucket="ledger", Key="2027", Body=b"")
    told = lambent(cloud, "iam", "suggest", "clerk")
    assert told.returncode == 0, told.stderr
    policy = json.loads(told.stdout)
    allowed = {
        (action, resource)
        for statement in policy["Statement"]
        for action in statement["Action"]
        for resource in statement["Resource"]
    }
    assert ("s3:GetObject", "arn:aws:s3:::ledger/2026") in allowed
    assert ("s3:PutObject", "arn:aws:s3:::ledger/2027") in allowed
    # It is a policy that IAM takes.
    cloud.client("iam").put_role_policy(RoleName="clerk", PolicyName="least", PolicyDocument=told.stdout)
    clerk.put_object(Bucket="ledger", Key="2027", Body=b"")


def test_the_log_outlives_the_server(cloud, clerk):
    request_id = clerk.get_object(Bucket="ledger", Key="2026")["ResponseMetadata"]["RequestId"]
    # Reading makes it durable; a crash takes nothing that was read.
    assert any(event["requestID"] == request_id for event in events(cloud, "--limit", "500"))
