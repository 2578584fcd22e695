"""Bodies in the `aws-chunked` encoding that today's SDKs send by default."""

import socket
from urllib.parse import urlsplit

import pytest

from chunks import SIGNED, SIGNED_TRAILER, UNSIGNED_TRAILER, upload
from signing import send
from test_s3_checksums import KINDS

PIECES = [b"a" * 65536, b"b" * 65536, b"the end"]
WHOLE = b"".join(PIECES)


def stored(s3, bucket):
    listing = s3.list_objects_v2(Bucket=bucket)
    return [item["Key"] for item in listing.get("Contents", [])]


def trailer(kind, body=WHOLE):
    return (f"x-amz-checksum-{kind.lower()}", KINDS[kind](body))


@pytest.mark.parametrize("kind", sorted(KINDS))
@pytest.mark.parametrize("payload", [UNSIGNED_TRAILER, SIGNED_TRAILER])
def test_trailing_checksums(cloud, s3, bucket, payload, kind):
    head, body = upload(cloud, f"/{bucket}/k", PIECES, payload, trailer(kind))
    answer = send(cloud, "PUT", f"/{bucket}/k", headers=head, body=body)
    assert answer.status == 200, answer.body
    got = s3.get_object(Bucket=bucket, Key="k", ChecksumMode="ENABLED")
    assert got["Body"].read() == WHOLE
    assert got[f"Checksum{kind}"] == KINDS[kind](WHOLE)
    assert "ContentEncoding" not in got, "aws-chunked is how it travelled, not what it is"


@pytest.mark.parametrize("kind", sorted(KINDS))
@pytest.mark.parametrize("payload", [UNSIGNED_TRAILER, SIGNED_TRAILER])
def test_wrong_trailing_checksums(cloud, s3, bucket, payload, kind):
    head, body = upload(cloud, f"/{bucket}/k", PIECES, payload, trailer(kind, b"other"))
    answer = send(cloud, "PUT", f"/{bucket}/k", headers=head, body=body)
    assert answer.status == 400
    assert b"<Code>BadDigest</Code>" in answer.body
    assert stored(s3, bucket) == []


def test_signed_chunks(cloud, s3, bucket):
    head, body = upload(cloud, f"/{bucket}/k", PIECES, SIGNED, headers={"Content-Encoding": "aws-chunked,gzip"})
    answer = send(cloud, "PUT", f"/{bucket}/k", headers=head, body=body)
    assert answer.status == 200, answer.body
    got = s3.get_object(Bucket=bucket, Key="k")
    assert (got["Body"].read(), got["ContentEncoding"]) == (WHOLE, "gzip")


@pytest.mark.parametrize("spoil", ["a byte", "a signature", "the trailer", "the order"])
def test_a_spoilt_signed_body_stores_nothing(cloud, s3, bucket, spoil):
    head, body = upload(cloud, f"/{bucket}/k", PIECES, SIGNED_TRAILER, trailer("CRC32"))
    if spoil == "a byte":
        at = body.index(b"bbbb") + 1000
        body = body[:at] + b"X" + body[at + 1 :]
    elif spoil == "a signature":
        at = body.index(b"chunk-signature=", 70000) + len(b"chunk-signature=")
        body = body[:at] + (b"0" if body[at : at + 1] != b"0" else b"1") + body[at + 1 :]
    elif spoil == "the trailer":
        at = body.index(b"x-amz-trailer-signature:") + len(b"x-amz-trailer-signature:")
        body = body[:at] + (b"0" if body[at : at + 1] != b"0" else b"1") + body[at + 1 :]
    else:
        first, second = body.index(b"10000;"), body.index(b"10000;", 10)
        third = body.index(b"\r\n7;", second) + 2
        body = body[:first] + body[second:third] + body[first:second] + body[third:]
    answer = send(cloud, "PUT", f"/{bucket}/k", headers=head, body=body)
    assert answer.status == 403
    assert b"<Code>SignatureDoesNotMatch</Code>" in answer.body
    assert stored(s3, bucket) == []


@pytest.mark.parametrize("payload", [UNSIGNED_TRAILER, SIGNED, SIGNED_TRAILER])
def test_a_truncated_body_stores_nothing(cloud, s3, bucket, payload):
    """The encoding ends before its last chunk, though HTTP got all the bytes that it was promised."""
    checksum = trailer("CRC32") if payload != SIGNED else None
    head, body = upload(cloud, f"/{bucket}/k", PIECES, payload, checksum)
    answer = send(cloud, "PUT", f"/{bucket}/k", headers=head, body=body[:70000])
    assert answer.status == 400
    assert b"<Code>IncompleteBody</Code>" in answer.body
    assert stored(s3, bucket) == []


@pytest.mark.parametrize(
    "body", [b"zz\r\nabc\r\n0\r\n\r\n", b"5\r\nabc\r\n0\r\n\r\n", b"-1\r\n\r\n", b"f" * 40 + b"\r\n", b"3\nabc\n0\n\n"]
)
def test_malformed_chunks(cloud, s3, bucket, body):
    head, _ = upload(cloud, f"/{bucket}/k", [b"abc"], UNSIGNED_TRAILER, trailer("CRC32", b"abc"))
    answer = send(cloud, "PUT", f"/{bucket}/k", headers=head, body=body)
    assert 400 <= answer.status < 500, answer.body
    assert stored(s3, bucket) == []


def test_a_decoded_length_that_is_not_true(cloud, s3, bucket):
    spoilt = {"X-Amz-Decoded-Content-Length": "5"}
    head, body = upload(
        cloud,
        f"/{bucket}/k",
        [b"longer than five"],
        UNSIGNED_TRAILER,
        trailer("CRC32", b"longer than five"),
        headers=spoilt,
    )
    answer = send(cloud, "PUT", f"/{bucket}/k", headers=head, body=body)
    assert 400 <= answer.status < 500, answer.body
    assert stored(s3, bucket) == []


def test_a_connection_that_breaks_in_the_middle(cloud, s3, bucket):
    head, body = upload(cloud, f"/{bucket}/k", PIECES, UNSIGNED_TRAILER, trailer("CRC32"))
    address = urlsplit(cloud.endpoint)
    lines = [f"PUT /{bucket}/k HTTP/1.1", f"Host: {address.netloc}", f"Content-Length: {len(body)}"]
    lines += [f"{name}: {value}" for name, value in head.items()]
    with socket.create_connection((address.hostname, address.port)) as connection:
        connection.sendall("\r\n".join(lines).encode() + b"\r\n\r\n" + body[:50000])
    assert stored(s3, bucket) == []
