"""Requests that are not signed as they should be, in each of the protocols."""

import json
import re
from datetime import datetime, timedelta, timezone

import pytest

from cloud import ROOT_SECRET
from signing import call, send, signed, xml_error

LOGS = {"Content-Type": "application/x-amz-json-1.1", "X-Amz-Target": "Logs_20140328.DescribeLogGroups"}
FORM = {"Content-Type": "application/x-www-form-urlencoded; charset=utf-8"}
# One harmless request for each protocol: service, method, path, body, headers.
REQUESTS = {
    "s3": ("s3", "GET", "/", b"", {}),
    "lambda": ("lambda", "GET", "/2015-03-31/functions", b"", {}),
    "logs": ("logs", "POST", "/", b"{}", LOGS),
    "sts": ("sts", "POST", "/", b"Action=GetCallerIdentity&Version=2011-06-15", FORM),
}
# The codes that each protocol's services answer with.
CODES = {
    "signature": {"s3": "SignatureDoesNotMatch", "lambda": "InvalidSignatureException",
                  "logs": "InvalidSignatureException", "sts": "SignatureDoesNotMatch"},
    "key": {"s3": "InvalidAccessKeyId", "lambda": "UnrecognizedClientException",
            "logs": "UnrecognizedClientException", "sts": "InvalidClientTokenId"},
    "skew": {"s3": "RequestTimeTooSkewed", "lambda": "InvalidSignatureException",
             "logs": "InvalidSignatureException", "sts": "SignatureDoesNotMatch"},
    "none": {"s3": "AccessDenied", "lambda": "MissingAuthenticationTokenException",
             "logs": "MissingAuthenticationTokenException", "sts": "MissingAuthenticationToken"},
    "token": {"s3": "InvalidToken", "lambda": "UnrecognizedClientException",
              "logs": "UnrecognizedClientException", "sts": "InvalidClientTokenId"},
}  # fmt: skip


def code_of(answer):
    """The error code, wherever the protocol puts it."""
    if answer.headers.get("x-amzn-errortype"):
        return answer.headers["x-amzn-errortype"].split(":")[0]
    if answer.body.startswith(b"{"):
        return json.loads(answer.body)["__type"].split("#")[-1]
    return re.search(rb"<Code>(\w+)</Code>", answer.body).group(1).decode()


@pytest.fixture(params=sorted(REQUESTS))
def protocol(request):
    return request.param


@pytest.fixture
def request_with(cloud, protocol):
    """Sends the protocol's request, signed with the given peculiarity."""
    service, method, path, body, headers = REQUESTS[protocol]
    return lambda **how: call(cloud, service, method, path, body=body, headers=headers, **how)


def refused(answer, protocol, why):
    assert answer.status in (400, 403), (answer.status, answer.body)
    assert code_of(answer) == CODES[why][protocol], answer.body
    assert ROOT_SECRET.encode() not in answer.body
    assert answer.headers.get("x-amzn-requestid") or answer.headers.get("x-amz-request-id")


def test_a_good_signature(request_with):
    assert request_with().status == 200


def test_a_wrong_secret(request_with, protocol):
    refused(request_with(secret="another/secret+0123456789abcdefghijklmnop"), protocol, "signature")


def test_an_unknown_key(request_with, protocol):
    refused(request_with(key="AKIANOBODYKNOWSTHIS0"), protocol, "key")


@pytest.mark.parametrize("minutes", [-16, 16])
def test_a_clock_that_is_wrong_by_more_than_a_quarter_of_an_hour(request_with, protocol, minutes):
    refused(request_with(at=datetime.now(timezone.utc) + timedelta(minutes=minutes)), protocol, "skew")


@pytest.mark.parametrize("minutes", [-14, 14])
def test_a_clock_that_is_a_little_wrong(request_with, minutes):
    assert request_with(at=datetime.now(timezone.utc) + timedelta(minutes=minutes)).status == 200


def test_without_a_signature(cloud, protocol):
    _, method, path, body, headers = REQUESTS[protocol]
    refused(send(cloud, method, path, headers=headers, body=body), protocol, "none")


@pytest.mark.parametrize(
    ("method", "path", "headers", "code"),
    [
        ("POST", "/", {**LOGS, "X-Amz-Target": "DynamoDB_20120810.ListTables"}, "MissingAuthenticationTokenException"),
        ("GET", "/2018-10-31/layers", {}, "MissingAuthenticationTokenException"),
        ("GET", "/2021-10-31/functions/none/url", {}, "MissingAuthenticationTokenException"),
        ("GET", "/?Action=ListUsers&Version=2010-05-08", {}, "MissingAuthenticationToken"),
    ],
)
def test_the_service_that_was_meant_refuses_who_does_not_sign(cloud, method, path, headers, code):
    answer = send(cloud, method, path, headers=headers, body=b"{}" if method == "POST" else b"")
    assert answer.status in (400, 403), (answer.status, answer.body)
    assert code_of(answer) == code, answer.body


def test_a_token_that_is_none(request_with, protocol):
    refused(request_with(token="bm90IGEgdG9rZW4="), protocol, "token")


def test_another_region_is_another_place(cloud, deploy, awslambda):
    name = deploy("def handler(event, context): return event")
    path = f"/2015-03-31/functions/{name}"
    assert call(cloud, "lambda", "GET", path).status == 200
    elsewhere = call(cloud, "lambda", "GET", path, region="eu-west-1")
    assert (elsewhere.status, code_of(elsewhere)) == (404, "ResourceNotFoundException")
    assert b":lambda:eu-west-1:" in elsewhere.body


def test_a_changed_body(cloud):
    service, method, path, body, headers = REQUESTS["sts"]
    head = signed(cloud, service, method, path, body=body, headers=headers)
    other = body.replace(b"GetCallerIdentity", b"GetSessionToken")
    refused(send(cloud, method, path, headers=head, body=other), "sts", "signature")


def test_a_changed_body_in_s3(cloud, s3, bucket):
    head = signed(cloud, "s3", "PUT", f"/{bucket}/k", body=b"signed")
    answer = send(cloud, "PUT", f"/{bucket}/k", headers=head, body=b"not it")
    assert answer.status == 400
    assert xml_error(answer)["Code"] == "XAmzContentSHA256Mismatch"
    assert s3.list_objects_v2(Bucket=bucket)["KeyCount"] == 0


def test_a_changed_path_query_and_header(cloud, bucket):
    for path, sent in [(f"/{bucket}/a", f"/{bucket}/b"), (f"/{bucket}?list-type=2", f"/{bucket}?list-type=2&prefix=x")]:
        head = signed(cloud, "s3", "GET", path)
        refused(send(cloud, "GET", sent, headers=head), "s3", "signature")
    head = signed(cloud, "s3", "GET", f"/{bucket}", headers={"X-Amz-Meta-A": "1"})
    refused(send(cloud, "GET", f"/{bucket}", headers={**head, "X-Amz-Meta-A": "2"}), "s3", "signature")


def test_the_method_is_signed_too(cloud, bucket):
    head = signed(cloud, "s3", "GET", f"/{bucket}")
    refused(send(cloud, "DELETE", f"/{bucket}", headers=head), "s3", "signature")


@pytest.mark.parametrize(
    "authorization",
    [
        "AWS4-HMAC-SHA256",
        "AWS4-HMAC-SHA256 Credential=",
        "AWS4-HMAC-SHA256 Credential=a/b/c, SignedHeaders=host, Signature=x",
        "AWS4-HMAC-SHA512 Credential=AKIA/20240101/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=00",
        "AWS4-ECDSA-P256-SHA256 Credential=AKIA/20240101/s3/aws4_request, SignedHeaders=host, Signature=00",
        "Bearer token",
        "Basic dXNlcjpwYXNz",
        "\x80\xff",
        "AWS AKIA:signature",
        "x" * 8000,
    ],
)
def test_headers_that_are_no_authorization(cloud, authorization):
    head = {"Authorization": authorization.encode("latin-1"), "X-Amz-Date": "20240101T000000Z"}
    answer = send(cloud, "GET", "/", headers=head)
    assert answer.status in (400, 403, 431), (answer.status, answer.body)


def test_a_header_that_must_be_signed_and_is_not(cloud, bucket):
    head = signed(cloud, "s3", "GET", f"/{bucket}")
    answer = send(cloud, "GET", f"/{bucket}", headers={**head, "X-Amz-Copy-Source": "elsewhere/k"})
    assert answer.status == 403
    error = xml_error(answer)
    assert error["Code"] == "AccessDenied"
    assert error["Message"] == "There were headers present in the request which were not signed"
