import base64
import hashlib

import pytest
from botocore.exceptions import ClientError

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
