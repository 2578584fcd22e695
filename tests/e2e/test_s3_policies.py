"""Bucket policies: whom a bucket lets in, of its own account, of others, and of nobody's."""

import json
import re
import urllib.error
import urllib.request

import pytest
from botocore.exceptions import ClientError

from cloud import ACCOUNT
from conftest import make_role


def refused(call, **arguments):
    with pytest.raises(ClientError) as excinfo:
        call(**arguments)
    return excinfo.value.response["Error"]


def statement(bucket, principal, effect="Allow", action="s3:GetObject", **more):
    resource = f"arn:aws:s3:::{bucket}/*"
    return {"Effect": effect, "Principal": principal, "Action": action, "Resource": resource, **more}


@pytest.fixture
def put_policy(s3):
    def put(bucket, *statements):
        s3.put_bucket_policy(
            Bucket=bucket, Policy=json.dumps({"Version": "2012-10-17", "Statement": list(statements)})
        )

    return put


@pytest.fixture(scope="module")
def other(cloud, tmp_path_factory):
    """Another account: its id, and its root's clients."""
    made = cloud.command("account", "create", "strangers", "--id", "444455556666")
    assert made.returncode == 0, made.stderr
    key, secret = re.match(r"export AWS_ACCESS_KEY_ID=(\S+) AWS_SECRET_ACCESS_KEY=(\S+) ", made.stdout).groups()
    return "444455556666", lambda service: cloud.client(service, key=key, secret=secret)


def get(s3, bucket, key="k"):
    """What somebody gets who does not sign."""
    url = f"{s3.meta.endpoint_url}/{bucket}/{key}"
    try:
        with urllib.request.urlopen(url, timeout=30) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()


def test_a_policy_is_kept_as_it_was_given(s3, bucket, put_policy):
    missing = refused(s3.get_bucket_policy, Bucket=bucket)
    assert (missing["Code"], missing["Message"]) == ("NoSuchBucketPolicy", "The bucket policy does not exist")
    put_policy(bucket, statement(bucket, {"AWS": f"arn:aws:iam::{ACCOUNT}:root"}))
    kept = json.loads(s3.get_bucket_policy(Bucket=bucket)["Policy"])
    assert kept["Statement"][0]["Resource"] == f"arn:aws:s3:::{bucket}/*"
    assert s3.get_bucket_policy_status(Bucket=bucket)["PolicyStatus"]["IsPublic"] is False
    s3.delete_bucket_policy(Bucket=bucket)
    assert refused(s3.get_bucket_policy, Bucket=bucket)["Code"] == "NoSuchBucketPolicy"


def test_policies_that_cannot_be_are_refused(s3, bucket, put_policy):
    for bad, message in [
        (statement("another-bucket", "*"), "Policy has invalid resource"),
        (statement(bucket, {"AWS": f"arn:aws:iam::{ACCOUNT}:role/nobody"}), "Invalid principal in policy"),
        (statement(bucket, {"AWS": ACCOUNT}, action="lambda:InvokeFunction"), "Policy has invalid action"),
    ]:
        error = refused(lambda: put_policy(bucket, bad))
        assert (error["Code"], error["Message"]) == ("MalformedPolicy", message)
    error = refused(s3.put_bucket_policy, Bucket=bucket, Policy="{")
    assert error["Code"] == "MalformedPolicy" and error["Message"].startswith("Policies must be valid JSON")


def test_nobody_reads_without_the_owners_word(s3, bucket, put_policy):
    s3.put_object(Bucket=bucket, Key="k", Body=b"hello")
    status, body = get(s3, bucket)
    assert status == 403 and b"<Code>AccessDenied</Code>" in body
    assert s3.get_public_access_block(Bucket=bucket)["PublicAccessBlockConfiguration"] == dict.fromkeys(
        ["BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets"], True
    )
    everybody = statement(bucket, "*")
    error = refused(lambda: put_policy(bucket, everybody))
    assert error["Code"] == "AccessDenied" and "BlockPublicPolicy" in error["Message"]
    s3.delete_public_access_block(Bucket=bucket)
    put_policy(bucket, everybody)
    assert get(s3, bucket) == (200, b"hello")
    assert s3.get_bucket_policy_status(Bucket=bucket)["PolicyStatus"]["IsPublic"] is True
    # What is public to be read is not to be listed, nor written.
    assert get(s3, bucket, "")[0] == 403
    request = urllib.request.Request(f"{s3.meta.endpoint_url}/{bucket}/k", data=b"x", method="PUT")
    with pytest.raises(urllib.error.HTTPError) as excinfo:
        urllib.request.urlopen(request, timeout=30)
    assert excinfo.value.code == 403
    s3.put_public_access_block(
        Bucket=bucket, PublicAccessBlockConfiguration={"RestrictPublicBuckets": True}
    )
    assert get(s3, bucket)[0] == 403


def test_another_account_needs_both_sides(s3, bucket, put_policy, other):
    account, client = other
    s3.put_object(Bucket=bucket, Key="k", Body=b"hello")
    theirs = client("s3")
    assert refused(theirs.get_object, Bucket=bucket, Key="k")["Code"] == "AccessDenied"
    put_policy(bucket, statement(bucket, {"AWS": f"arn:aws:iam::{account}:root"}))
    assert theirs.get_object(Bucket=bucket, Key="k")["Body"].read() == b"hello"
    # The bucket lets in their account; whom of its own that one lets in is its own to say.
    iam = client("iam")
    trust = {"Effect": "Allow", "Principal": {"AWS": account}, "Action": "sts:AssumeRole"}
    role = iam.create_role(
        RoleName="reader", AssumeRolePolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": trust})
    )["Role"]["Arn"]
    session = client("sts").assume_role(RoleArn=role, RoleSessionName="me")["Credentials"]
    as_role = s3_of(session, s3)
    assert refused(as_role.get_object, Bucket=bucket, Key="k")["Code"] == "AccessDenied"
    iam.put_role_policy(
        RoleName="reader",
        PolicyName="read",
        PolicyDocument=json.dumps(
            {"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "s3:GetObject", "Resource": "*"}}
        ),
    )
    assert as_role.get_object(Bucket=bucket, Key="k")["Body"].read() == b"hello"
    put_policy(bucket, statement(bucket, {"AWS": role}, action="s3:PutObject"))
    assert refused(as_role.get_object, Bucket=bucket, Key="k")["Code"] == "AccessDenied"


def s3_of(session, like):
    import boto3

    return boto3.client(
        "s3",
        endpoint_url=like.meta.endpoint_url,
        region_name=like.meta.region_name,
        aws_access_key_id=session["AccessKeyId"],
        aws_secret_access_key=session["SecretAccessKey"],
        aws_session_token=session["SessionToken"],
    )


def test_a_role_without_policies_is_let_in_by_its_own_bucket(cloud, s3, iam, sts, bucket, put_policy, unique):
    s3.put_object(Bucket=bucket, Key="a/k", Body=b"hello")
    name = unique("guest")
    make_role(iam, name, [])
    trust = {"Effect": "Allow", "Principal": {"AWS": ACCOUNT}, "Action": "sts:AssumeRole"}
    iam.update_assume_role_policy(
        RoleName=name, PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": trust})
    )
    arn = f"arn:aws:iam::{ACCOUNT}:role/{name}"
    guest = s3_of(sts.assume_role(RoleArn=arn, RoleSessionName="me")["Credentials"], s3)
    assert refused(guest.get_object, Bucket=bucket, Key="a/k")["Code"] == "AccessDenied"
    listing = {
        "Effect": "Allow",
        "Principal": {"AWS": arn},
        "Action": "s3:ListBucket",
        "Resource": f"arn:aws:s3:::{bucket}",
        "Condition": {"StringLike": {"s3:prefix": "a/*"}, "NumericLessThanEquals": {"s3:max-keys": "10"}},
    }
    put_policy(bucket, statement(bucket, {"AWS": arn}), listing)
    assert guest.get_object(Bucket=bucket, Key="a/k")["Body"].read() == b"hello"
    assert guest.list_objects_v2(Bucket=bucket, Prefix="a/", MaxKeys=5)["KeyCount"] == 1
    assert refused(guest.list_objects_v2, Bucket=bucket, Prefix="b/", MaxKeys=5)["Code"] == "AccessDenied"
    assert refused(guest.list_objects_v2, Bucket=bucket, Prefix="a/", MaxKeys=50)["Code"] == "AccessDenied"
    # Presigned requests are told from others.
    put_policy(
        bucket,
        statement(bucket, {"AWS": arn}),
        statement(
            bucket, "*", effect="Deny", Condition={"StringEquals": {"s3:authType": "REST-QUERY-STRING"}}
        ),
    )
    assert guest.get_object(Bucket=bucket, Key="a/k")["Body"].read() == b"hello"
    url = guest.generate_presigned_url("get_object", Params={"Bucket": bucket, "Key": "a/k"})
    with pytest.raises(urllib.error.HTTPError) as excinfo:
        urllib.request.urlopen(url, timeout=30)
    assert excinfo.value.code == 403
