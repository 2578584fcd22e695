import base64
import hashlib
import json

import pytest
from botocore.exceptions import ClientError

from cloud import ACCOUNT
from recorded import assert_like, snapshot
from signing import call


def names(*keys):
    return {"Objects": [{"Key": key} for key in keys]}


def test_deletes_many_and_answers_for_each(s3, bucket):
    recorded = snapshot("s3/test_s3_api", "TestS3ObjectCRUD::test_delete_objects")
    s3.put_object(Bucket=bucket, Key="test-delete", Body=b"test-delete")
    answer = s3.delete_objects(Bucket=bucket, Delete=names("a-wrong-key", "c-wrong-key", "test-delete"))
    answer["Deleted"].sort(key=lambda item: item["Key"])
    assert_like(answer, recorded["delete-objects"])
    assert s3.list_objects_v2(Bucket=bucket)["KeyCount"] == 0


def test_quiet_says_nothing_of_what_went_well(s3, bucket):
    s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    answer = s3.delete_objects(Bucket=bucket, Delete={**names("k", "missing"), "Quiet": True})
    assert "Deleted" not in answer and "Errors" not in answer


def test_keys_with_xml_in_them(s3, bucket):
    keys = ["<a>&amp;\"'", "ü 🦀", "tab\tkey"]
    for key in keys:
        s3.put_object(Bucket=bucket, Key=key, Body=b"x")
    answer = s3.delete_objects(Bucket=bucket, Delete=names(*keys))
    assert [item["Key"] for item in answer["Deleted"]] == keys
    assert s3.list_objects_v2(Bucket=bucket)["KeyCount"] == 0


def test_a_thousand_is_the_limit(s3, bucket):
    keys = [f"k{number}" for number in range(1001)]
    with pytest.raises(ClientError) as excinfo:
        s3.delete_objects(Bucket=bucket, Delete=names(*keys))
    assert excinfo.value.response["Error"]["Code"] == "MalformedXML"
    assert len(s3.delete_objects(Bucket=bucket, Delete=names(*keys[:1000]))["Deleted"]) == 1000


@pytest.mark.parametrize("body", [b"", b"<Delete>", b"not xml", b"<Other/>", b"<Delete></Delete>"])
def test_malformed_documents(cloud, bucket, body):
    headers = {"Content-MD5": base64.b64encode(hashlib.md5(body).digest()).decode()}
    answer = call(cloud, "s3", "POST", f"/{bucket}?delete", body=body, headers=headers)
    assert answer.status == 400
    assert b"<Code>MalformedXML</Code>" in answer.body or b"<Code>MissingRequestBodyError</Code>" in answer.body


def test_a_checksum_is_required(cloud, bucket):
    body = b"<Delete><Object><Key>k</Key></Object></Delete>"
    answer = call(cloud, "s3", "POST", f"/{bucket}?delete", body=body)
    assert answer.status == 400
    assert b"<Code>InvalidRequest</Code>" in answer.body


@pytest.fixture
def acting_as(cloud, iam, sts, unique):
    """S3 as a role that may do what the statements say."""

    def acting_as(*statements):
        name = unique("role")
        document = lambda *statements: json.dumps({"Version": "2012-10-17", "Statement": statements})
        trust = {"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"AWS": ACCOUNT}}
        iam.create_role(RoleName=name, AssumeRolePolicyDocument=document(trust))
        if statements:
            iam.put_role_policy(RoleName=name, PolicyName="inline", PolicyDocument=document(*statements))
        role = f"arn:aws:iam::{ACCOUNT}:role/{name}"
        given = sts.assume_role(RoleArn=role, RoleSessionName="session")["Credentials"]
        return cloud.client("s3", given["AccessKeyId"], given["SecretAccessKey"], given["SessionToken"])

    return acting_as


@pytest.mark.parametrize("quiet", [False, True])
def test_each_key_is_decided_on_by_itself(s3, bucket, acting_as, quiet):
    for key in ["kept", "tmp/a", "tmp/b", "zebra"]:
        s3.put_object(Bucket=bucket, Key=key, Body=b"x")
    resource = f"arn:aws:s3:::{bucket}/tmp/*"
    cleaner = acting_as({"Effect": "Allow", "Action": "s3:DeleteObject", "Resource": resource})
    wanted = {**names("kept", "tmp/a", "tmp/b", "zebra"), "Quiet": quiet}
    answer = cleaner.delete_objects(Bucket=bucket, Delete=wanted)
    assert answer["ResponseMetadata"]["HTTPStatusCode"] == 200
    assert [item["Key"] for item in answer.get("Deleted", [])] == ([] if quiet else ["tmp/a", "tmp/b"])
    refused = answer["Errors"]
    assert [(item["Key"], item["Code"]) for item in refused] == [("kept", "AccessDenied"), ("zebra", "AccessDenied")]
    assert "s3:DeleteObject" in refused[0]["Message"] and f"{bucket}/kept" in refused[0]["Message"]
    left = [item["Key"] for item in s3.list_objects_v2(Bucket=bucket)["Contents"]]
    assert left == ["kept", "zebra"]


def test_who_may_delete_nothing_deletes_nothing(s3, bucket, acting_as):
    s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    nobody = acting_as()
    answer = nobody.delete_objects(Bucket=bucket, Delete=names("k", "not there"))
    assert "Deleted" not in answer
    assert [item["Code"] for item in answer["Errors"]] == ["AccessDenied", "AccessDenied"]
    assert s3.list_objects_v2(Bucket=bucket)["KeyCount"] == 1


def test_a_version_needs_leave_for_versions(s3, bucket, acting_as):
    s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    resource = f"arn:aws:s3:::{bucket}/*"
    cleaner = acting_as({"Effect": "Allow", "Action": "s3:DeleteObject", "Resource": resource})
    wanted = {"Objects": [{"Key": "k", "VersionId": "null"}]}
    (refused,) = cleaner.delete_objects(Bucket=bucket, Delete=wanted)["Errors"]
    assert (refused["Key"], refused["VersionId"], refused["Code"]) == ("k", "null", "AccessDenied")
    assert "Errors" not in s3.delete_objects(Bucket=bucket, Delete=wanted)
    assert s3.list_objects_v2(Bucket=bucket)["KeyCount"] == 0


def test_a_missing_bucket_is_missing_as_a_whole(s3, unique):
    with pytest.raises(ClientError) as excinfo:
        s3.delete_objects(Bucket=unique("nowhere"), Delete=names("k"))
    assert excinfo.value.response["Error"]["Code"] == "NoSuchBucket"
