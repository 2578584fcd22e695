import pytest
from botocore.exceptions import ClientError

from recorded import assert_like, snapshot

FILE = "s3/test_s3"
BODY = b'{"key": "value"}'


@pytest.fixture
def source(s3, bucket):
    s3.put_object(Bucket=bucket, Key="source", Body=BODY, ContentType="application/json", Metadata={"key": "value"})
    return bucket


def test_copies_keep_content_and_metadata(s3, source):
    recorded = snapshot(FILE, "TestS3::test_s3_copy_content_type_and_metadata")
    head = s3.head_object(Bucket=source, Key="source")
    assert_like(head, recorded["head_object"], ignore={"ETag"})
    copied = s3.copy_object(Bucket=source, Key="copy", CopySource=f"{source}/source")
    assert_like(copied, recorded["copy_object"], ignore={"ETag", "ChecksumCRC32"})
    assert copied["CopyObjectResult"]["ETag"] == head["ETag"]
    assert_like(s3.head_object(Bucket=source, Key="copy"), recorded["head_object_copy"], ignore={"ETag"})
    assert s3.get_object(Bucket=source, Key="copy")["Body"].read() == BODY


def test_metadata_can_be_replaced(s3, source):
    s3.copy_object(
        Bucket=source,
        Key="copy",
        CopySource={"Bucket": source, "Key": "source"},
        MetadataDirective="REPLACE",
        Metadata={"another-key": "value"},
        ContentType="image/jpg",
    )
    head = s3.head_object(Bucket=source, Key="copy")
    assert (head["Metadata"], head["ContentType"]) == ({"another-key": "value"}, "image/jpg")


def test_between_buckets_with_an_odd_key(s3, source, new_bucket):
    other = new_bucket()
    key = "a b/ü+%&=.txt"
    s3.put_object(Bucket=source, Key=key, Body=b"odd")
    s3.copy_object(Bucket=other, Key="copied", CopySource={"Bucket": source, "Key": key})
    s3.delete_object(Bucket=source, Key=key)
    assert s3.get_object(Bucket=other, Key="copied")["Body"].read() == b"odd"


def test_in_place_needs_a_change(s3, source):
    copy = lambda **change: s3.copy_object(Bucket=source, Key="source", CopySource=f"{source}/source", **change)
    with pytest.raises(ClientError) as excinfo:
        copy()
    error = excinfo.value.response["Error"]
    assert error["Code"] == "InvalidRequest"
    assert error["Message"].startswith("This copy request is illegal because it is trying to copy an object to itself")
    copy(MetadataDirective="REPLACE", Metadata={"changed": "yes"})
    assert s3.head_object(Bucket=source, Key="source")["Metadata"] == {"changed": "yes"}
    assert s3.get_object(Bucket=source, Key="source")["Body"].read() == BODY


def test_of_a_missing_source(s3, bucket):
    with pytest.raises(ClientError) as excinfo:
        s3.copy_object(Bucket=bucket, Key="copy", CopySource=f"{bucket}/missing")
    error = excinfo.value.response["Error"]
    assert (error["Code"], error["Key"]) == ("NoSuchKey", "missing")


def test_a_copy_can_change_the_checksum_kind(s3, source):
    copied = s3.copy_object(Bucket=source, Key="copy", CopySource=f"{source}/source", ChecksumAlgorithm="SHA256")
    head = s3.head_object(Bucket=source, Key="copy", ChecksumMode="ENABLED")
    assert head["ChecksumSHA256"] == copied["CopyObjectResult"]["ChecksumSHA256"]
