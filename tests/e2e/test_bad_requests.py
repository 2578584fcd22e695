"""Requests that are signed well and mean nothing."""

import contextlib
import json
import socket
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timezone
from urllib.parse import urlsplit

import pytest

from signing import call, send, signed
from test_auth import FORM, LOGS, code_of

JSON = {"Content-Type": "application/x-amz-json-1.1"}


def test_unknown_operations(cloud, bucket):
    logs = call(cloud, "logs", "POST", "/", body=b"{}", headers={**JSON, "X-Amz-Target": "Logs_20140328.Fly"})
    assert (logs.status, code_of(logs)) == (400, "UnknownOperationException")
    iam = call(cloud, "iam", "POST", "/", body=b"Action=Fly&Version=2010-05-08", headers=FORM)
    assert (iam.status, code_of(iam)) == (400, "InvalidAction")
    aws_lambda = call(cloud, "lambda", "GET", "/2015-03-31/flights")
    assert 400 <= aws_lambda.status < 500
    s3 = call(cloud, "s3", "POST", f"/{bucket}/k")
    assert 400 <= s3.status < 500 or s3.status == 501


def test_operations_that_aws_has_and_we_do_not(cloud, bucket):
    """They are named, and said to be not there yet."""
    for service, method, path, body, headers, name in [
        ("s3", "GET", f"/{bucket}?acl", b"", {}, "GetBucketAcl"),
        ("s3", "PUT", f"/{bucket}?website", b"", {}, "PutBucketWebsite"),
        ("lambda", "GET", "/2025-11-30/capacity-providers", b"", {}, "ListCapacityProviders"),
        ("logs", "POST", "/", b"{}", {**JSON, "X-Amz-Target": "Logs_20140328.DescribeQueries"}, "DescribeQueries"),
        ("iam", "POST", "/", b"Action=ListVirtualMFADevices&Version=2010-05-08", FORM, "ListVirtualMFADevices"),
    ]:
        answer = call(cloud, service, method, path, body=body, headers=headers)
        assert answer.status == 501, (name, answer.status, answer.body)
        assert name.encode() in answer.body, (name, answer.body)


def test_an_unknown_service(cloud):
    answer = call(cloud, "teleport", "POST", "/", body=b"{}", headers={**JSON, "X-Amz-Target": "Teleport_1.Beam"})
    assert 400 <= answer.status < 600
    assert answer.status in (400, 403, 404, 501)
    assert b"teleport" in answer.body.lower()


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"null", b"not json", b'{"logGroupName": }', b"\xff\xfe"])
def test_what_is_no_json_document(cloud, body):
    headers = {**JSON, "X-Amz-Target": "Logs_20140328.CreateLogGroup"}
    answer = call(cloud, "logs", "POST", "/", body=body, headers=headers)
    assert answer.status == 400
    assert code_of(answer) in {"SerializationException", "InvalidParameterException", "ValidationException"}


@pytest.mark.parametrize("value", [7, [], {}, True])
def test_a_wrong_type(cloud, value):
    headers = {**JSON, "X-Amz-Target": "Logs_20140328.CreateLogGroup"}
    answer = call(cloud, "logs", "POST", "/", body=json.dumps({"logGroupName": value}).encode(), headers=headers)
    assert (answer.status, code_of(answer)) == (400, "SerializationException")


def test_a_missing_member(cloud):
    headers = {**JSON, "X-Amz-Target": "Logs_20140328.CreateLogStream"}
    answer = call(cloud, "logs", "POST", "/", body=b'{"logGroupName": "g"}', headers=headers)
    assert (answer.status, code_of(answer)) == (400, "InvalidParameterException")
    assert b"Value null at 'logStreamName' failed to satisfy constraint: Member must not be null" in answer.body
    query = call(cloud, "sts", "POST", "/", body=b"Action=AssumeRole&Version=2011-06-15", headers=FORM)
    assert (query.status, code_of(query)) == (400, "ValidationError")


def test_a_document_that_nests_too_deep(cloud):
    headers = {**JSON, "X-Amz-Target": "Logs_20140328.CreateLogGroup"}
    for body in [b'{"a":' * 100_000, b"[" * 100_000, b'{"x":' + b"[" * 50_000 + b"]" * 50_000 + b"}"]:
        answer = call(cloud, "logs", "POST", "/", body=body, headers=headers)
        assert answer.status == 400


def test_a_document_with_entities(cloud, bucket):
    bomb = b'<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">]>'
    bomb += b"<CreateBucketConfiguration><LocationConstraint>&b;</LocationConstraint></CreateBucketConfiguration>"
    answer = call(cloud, "s3", "PUT", f"/{bucket}-x", body=bomb)
    assert answer.status == 400
    assert b"<Code>MalformedXML</Code>" in answer.body


def test_an_oversized_document(cloud, bucket):
    cloud.forget_memory_peak()
    before = cloud.memory_peak_bytes()
    body = b'{"logGroupName": "' + b"x" * (32 * 1024**2) + b'"}'
    headers = {**JSON, "X-Amz-Target": "Logs_20140328.CreateLogGroup"}
    answer = call(cloud, "logs", "POST", "/", body=body, headers=headers)
    assert answer.status in (400, 413)
    xml = b"<NotificationConfiguration>" + b" " * (32 * 1024**2) + b"</NotificationConfiguration>"
    answer = call(cloud, "s3", "PUT", f"/{bucket}?notification", body=xml)
    assert answer.status in (400, 413)
    assert cloud.memory_peak_bytes() - before < 64 * 1024**2


def test_more_than_5_gib_is_refused_before_it_is_sent(cloud, bucket):
    length = 5 * 1024**3 + 1
    head = signed(cloud, "s3", "PUT", f"/{bucket}/k", payload="UNSIGNED-PAYLOAD")
    address = urlsplit(cloud.endpoint)
    lines = [f"PUT /{bucket}/k HTTP/1.1", f"Host: {address.netloc}", f"Content-Length: {length}"]
    lines += [f"{name}: {value}" for name, value in head.items()]
    with socket.create_connection((address.hostname, address.port), timeout=20) as connection:
        connection.sendall("\r\n".join(lines).encode() + b"\r\n\r\n" + b"x" * 1000)
        answer = connection.recv(65536)
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert b"<Code>EntityTooLarge</Code>" in answer or b"EntityTooLarge" in connection_rest(answer)


def connection_rest(answer):
    return answer.split(b"\r\n\r\n", 1)[-1]


def test_a_put_without_a_length(cloud, bucket):
    head = signed(cloud, "s3", "PUT", f"/{bucket}/k", payload="UNSIGNED-PAYLOAD")
    answer = send(cloud, "PUT", f"/{bucket}/k", headers={**head, "Transfer-Encoding": "chunked"}, body=iter([b"abc"]))
    assert answer.status == 411
    assert b"<Code>MissingContentLength</Code>" in answer.body


@pytest.mark.parametrize(
    "text",
    [
        b"GET / HTTP/1.1\r\n\r\n",
        b"GARBAGE\r\n\r\n",
        b"GET /\x00 HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET / HTTP/9.9\r\nHost: x\r\n\r\n",
        b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\n" + b"A: b\r\n" * 5000 + b"\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: -5\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nabcde",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    ],
    ids=["no host", "garbage", "nul", "version", "long path", "many headers", "negative", "two lengths", "tls"],
)
def test_what_is_no_http(cloud, text):
    address = urlsplit(cloud.endpoint)
    with socket.create_connection((address.hostname, address.port), timeout=10) as connection:
        answer = b""
        # It may have hung up before it has heard everything.
        with contextlib.suppress(OSError):
            connection.sendall(text)
            connection.shutdown(socket.SHUT_WR)
        with contextlib.suppress(ConnectionResetError):
            answer = connection.recv(65536)
    assert not answer or answer.split()[1].startswith(b"4"), answer[:200]


def test_many_idle_connections_keep_nobody_out(cloud, sts):
    address = urlsplit(cloud.endpoint)
    idle = [socket.create_connection((address.hostname, address.port)) for _ in range(200)]
    try:
        for connection in idle[:100]:
            connection.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nX-Slow: ")
        assert sts.get_caller_identity()["Account"]
    finally:
        for connection in idle:
            connection.close()


def test_bad_requests_in_the_crowd_disturb_nobody(cloud, s3, bucket):
    """Good and bad requests at the same time; each gets the answer it deserves."""

    def good(number):
        client = s3
        client.put_object(Bucket=bucket, Key=f"k{number}", Body=str(number).encode())
        return client.get_object(Bucket=bucket, Key=f"k{number}")["Body"].read() == str(number).encode()

    def bad(number):
        how = [
            {"secret": "wrong"},
            {"key": "AKIANOBODYKNOWSTHIS0"},
            {"token": "bm9uZQ=="},
            {"at": datetime(2020, 1, 1, tzinfo=timezone.utc)},
        ][number // 2 % 4]
        return call(cloud, "logs", "POST", "/", body=b"{" * 1000, headers=LOGS, **how).status in (400, 403)

    with ThreadPoolExecutor(16) as workers:
        results = [workers.submit(good if number % 2 else bad, number) for number in range(200)]
        assert all(result.result() for result in results)
