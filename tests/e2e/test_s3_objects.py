"""What is put comes back: bodies, metadata, headers, names."""

import hashlib
from datetime import datetime, timezone

import pytest
from botocore.exceptions import ClientError

from recorded import assert_like, snapshot

FILE = "s3/test_s3"


def test_put_get_head_delete(s3, bucket):
    recorded = snapshot("s3/test_s3_api", "TestS3ObjectCRUD::test_delete_object")
    assert_like(s3.put_object(Bucket=bucket, Key="test-delete", Body=b"test-delete"), recorded["put-object"])
    got = s3.get_object(Bucket=bucket, Key="test-delete")
    assert got["Body"].read() == b"test-delete"
    assert got["ETag"] == f'"{hashlib.md5(b"test-delete").hexdigest()}"'
    assert got["ContentType"] == "binary/octet-stream"
    assert got["AcceptRanges"] == "bytes"
    age = datetime.now(timezone.utc) - got["LastModified"]
    assert abs(age.total_seconds()) < 60
    head = s3.head_object(Bucket=bucket, Key="test-delete")
    assert (head["ContentLength"], head["ETag"]) == (11, got["ETag"])
    assert_like(s3.delete_object(Bucket=bucket, Key="test-delete"), recorded["delete-object"])
    assert_like(s3.delete_object(Bucket=bucket, Key="test-delete"), recorded["delete-nonexistent-object"])


def test_missing_keys(s3, bucket):
    recorded = snapshot(FILE, "TestS3::test_range_key_not_exists")
    with pytest.raises(ClientError) as excinfo:
        s3.get_object(Bucket=bucket, Key="my-key")
    assert_like(excinfo.value.response, recorded["exc"])
    with pytest.raises(ClientError) as excinfo:
        s3.head_object(Bucket=bucket, Key="my-key")
    assert excinfo.value.response["Error"] == {"Code": "404", "Message": "Not Found"}


def test_an_empty_body(s3, bucket):
    s3.put_object(Bucket=bucket, Key="empty", Body=b"")
    got = s3.get_object(Bucket=bucket, Key="empty")
    assert (got["Body"].read(), got["ContentLength"]) == (b"", 0)


def test_the_last_write_wins(s3, bucket):
    for body in [b"first", b"second, longer"]:
        s3.put_object(Bucket=bucket, Key="k", Body=body)
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == b"second, longer"


@pytest.mark.parametrize(
    "key",
    [
        "simple",
        "with space and + plus",
        "a/b/c//d/",
        "Ünïcödé/日本語/🦀",
        "#key-with-hash-prefix",
        "quote'\"<>&amp;",
        "percent%2Fencoded%zz",
        "../up/./here",
        "/leading",
        "?query=no&x",
        "x" * 1024,
    ],
)
def test_keys_come_back_as_given(s3, bucket, key):
    s3.put_object(Bucket=bucket, Key=key, Body=key.encode())
    assert s3.get_object(Bucket=bucket, Key=key)["Body"].read() == key.encode()
    assert [found["Key"] for found in s3.list_objects_v2(Bucket=bucket)["Contents"]] == [key]
    s3.delete_object(Bucket=bucket, Key=key)
    assert s3.list_objects_v2(Bucket=bucket)["KeyCount"] == 0


def test_a_key_of_1025_bytes_is_too_long(s3, bucket):
    with pytest.raises(ClientError) as excinfo:
        s3.put_object(Bucket=bucket, Key="x" * 1025, Body=b"")
    error = excinfo.value.response["Error"]
    assert (error["Code"], error["Message"]) == ("KeyTooLongError", "Your key is too long")


def test_user_metadata(s3, bucket):
    metadata = {"plain": "value", "mixed-case": "Some Value", "test_meta_1": "foo", "empty": ""}
    s3.put_object(Bucket=bucket, Key="k", Body=b"x", Metadata=metadata)
    assert s3.get_object(Bucket=bucket, Key="k")["Metadata"] == metadata
    assert s3.head_object(Bucket=bucket, Key="k")["Metadata"] == metadata


def test_too_much_metadata(s3, bucket):
    with pytest.raises(ClientError) as excinfo:
        s3.put_object(Bucket=bucket, Key="k", Body=b"x", Metadata={"big": "x" * 2100})
    error = excinfo.value.response["Error"]
    assert error["Code"] == "MetadataTooLarge"
    assert error["Message"] == "Your metadata headers exceed the maximum allowed metadata size"


def test_content_headers(s3, bucket):
    headers = {
        "CacheControl": "max-age=3600",
        "ContentDisposition": 'attachment; filename="a.txt"',
        "ContentEncoding": "gzip",
        "ContentLanguage": "de",
        "ContentType": "text/plain; charset=utf-8",
    }
    expires = datetime(2031, 5, 6, 7, 8, 9, tzinfo=timezone.utc)
    s3.put_object(Bucket=bucket, Key="k", Body=b"x", Expires=expires, **headers)
    for answer in [s3.get_object(Bucket=bucket, Key="k"), s3.head_object(Bucket=bucket, Key="k")]:
        assert {name: answer[name] for name in headers} == headers
        assert answer["ExpiresString"] == "Tue, 06 May 2031 07:08:09 GMT"


def test_response_header_overrides(s3, bucket):
    recorded = snapshot(FILE, "TestS3::test_s3_get_object_header_overrides")
    s3.put_object(Bucket=bucket, Key="k", Body=b"something")
    got = s3.get_object(
        Bucket=bucket,
        Key="k",
        ResponseCacheControl="max-age=74",
        ResponseContentDisposition='attachment; filename="foo.jpg"',
        ResponseContentEncoding="identity",
        ResponseContentLanguage="de-DE",
        ResponseContentType="image/jpeg",
        ResponseExpires=datetime(2015, 10, 21, 7, 28, tzinfo=timezone.utc),
    )
    got["Body"] = got["Body"].read().decode()
    assert_like(got, recorded["get-object"], ignore={"Expires", "ChecksumCRC32", "ChecksumType"})


def test_content_md5(s3, bucket):
    recorded = snapshot(FILE, "TestS3::test_s3_invalid_content_md5")
    for index, wrong in enumerate(["__invalid__", "000", "not base64 encoded checksum", "MTIz"]):
        with pytest.raises(ClientError) as excinfo:
            s3.put_object(Bucket=bucket, Key="k", Body=b"something", ContentMD5=wrong)
        assert_like(excinfo.value.response, recorded[f"md5-error-{index}"])
    with pytest.raises(ClientError) as excinfo:
        s3.put_object(Bucket=bucket, Key="k", Body=b"something", ContentMD5="CYketZBSTjX8czcs3cXVlg==")
    assert_like(excinfo.value.response, recorded["md5-error-bad-digest"])
    right = s3.put_object(Bucket=bucket, Key="k", Body=b"something", ContentMD5="Q3uTDbhLgHnC3YBKcZNrXw==")
    assert_like(right, recorded["success-put-object-md5"])
