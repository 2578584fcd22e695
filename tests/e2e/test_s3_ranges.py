import pytest
from botocore.exceptions import ClientError

from recorded import assert_like, snapshot

DIGITS = b"0123456789"


@pytest.fixture
def digits(s3, bucket):
    s3.put_object(Bucket=bucket, Key="digits", Body=DIGITS)
    return bucket


@pytest.mark.parametrize(
    ("name", "asked"),
    [
        ("get-0-8", "0-8"),
        ("get-1-1", "1-1"),
        ("get-1-0", "1-0"),
        ("get-1-", "1-"),
        ("get--1-", "-1-"),
        ("get--2", "-2"),
    ],
)
def test_ranges_as_recorded(s3, digits, name, asked):
    recorded = snapshot("s3/test_s3_api", "TestS3ObjectCRUD::test_get_object_range")
    got = s3.get_object(Bucket=digits, Key="digits", Range=f"bytes={asked}")
    got["Body"] = got["Body"].read().decode()
    assert_like(got, recorded[name])


@pytest.mark.parametrize(
    ("asked", "expected"),
    [("0-0", "0"), ("9-9", "9"), ("9-100", "9"), ("5-", "56789"), ("-100", "0123456789"), ("0-9", "0123456789")],
)
def test_edges(s3, digits, asked, expected):
    got = s3.get_object(Bucket=digits, Key="digits", Range=f"bytes={asked}")
    assert got["ResponseMetadata"]["HTTPStatusCode"] == 206
    assert got["Body"].read().decode() == expected
    first = DIGITS.index(expected[0].encode())
    assert got["ContentRange"] == f"bytes {first}-{first + len(expected) - 1}/10"
    head = s3.head_object(Bucket=digits, Key="digits", Range=f"bytes={asked}")
    assert head["ContentLength"] == len(expected)


@pytest.mark.parametrize("asked", ["bytes=10-", "bytes=10-20", "bytes=-0"])
def test_ranges_outside_are_refused(s3, digits, asked):
    recorded = snapshot("s3/test_s3", "TestS3::test_invalid_range_error")["exc"]
    recorded["Error"] |= {"ActualObjectSize": "10", "RangeRequested": asked}
    with pytest.raises(ClientError) as excinfo:
        s3.get_object(Bucket=digits, Key="digits", Range=asked)
    assert_like(excinfo.value.response, recorded)


@pytest.mark.parametrize("asked", ["lines=0-1", "bytes=a-b", "nonsense", "bytes=0-1,4-5"])
def test_what_is_no_single_range_is_ignored(s3, digits, asked):
    got = s3.get_object(Bucket=digits, Key="digits", Range=asked)
    assert got["ResponseMetadata"]["HTTPStatusCode"] == 200
    assert got["Body"].read() == DIGITS


def test_a_range_deep_in_a_larger_object(s3, bucket):
    body = bytes(range(256)) * 8192
    s3.put_object(Bucket=bucket, Key="large", Body=body)
    got = s3.get_object(Bucket=bucket, Key="large", Range="bytes=1000001-1500002")
    assert got["Body"].read() == body[1000001:1500003]
    assert got["ContentRange"] == f"bytes 1000001-1500002/{len(body)}"


def test_a_range_with_if_range_style_precondition(s3, digits):
    etag = s3.head_object(Bucket=digits, Key="digits")["ETag"]
    got = s3.get_object(Bucket=digits, Key="digits", Range="bytes=2-3", IfMatch=etag)
    assert got["Body"].read() == b"23"
