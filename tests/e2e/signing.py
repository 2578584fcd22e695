"""Requests made by hand and signed with botocore, so that a test can spoil exactly one thing."""

import contextlib
import http.client
import xml.etree.ElementTree as tree
from datetime import datetime, timezone
from types import SimpleNamespace
from unittest import mock
from urllib.parse import urlsplit

import botocore.auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from cloud import REGION, ROOT_KEY, ROOT_SECRET

SHA256_OF_NOTHING = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


def signed(
    cloud,
    service,
    method,
    path,
    *,
    body=b"",
    headers=None,
    key=ROOT_KEY,
    secret=ROOT_SECRET,
    token=None,
    region=REGION,
    at=None,
    payload=None,
):
    """The headers of a signed request, as a plain dict.

    `at` is the clock of the one who signs; `payload` is said to be the body's hash instead of the true one.
    """
    request = AWSRequest(method=method, url=cloud.endpoint + path, data=body, headers=dict(headers or {}))
    kind = botocore.auth.S3SigV4Auth if service == "s3" else botocore.auth.SigV4Auth
    signer = kind(Credentials(key, secret, token), service, region)
    if payload:
        signer.payload = lambda request: payload
    now = at or datetime.now(timezone.utc)
    with _clock_at(now):
        signer.add_auth(request)
    return dict(request.headers.items())


def presigned(cloud, method, path, *, expires_s=60, at=None, key=ROOT_KEY, secret=ROOT_SECRET, region=REGION):
    """A presigned S3 URL, made by a clock that shows `at`."""
    request = AWSRequest(method=method, url=cloud.endpoint + path)
    signer = botocore.auth.S3SigV4QueryAuth(Credentials(key, secret), "s3", region, expires=expires_s)
    with _clock_at(at or datetime.now(timezone.utc)):
        signer.add_auth(request)
    return request.url


def _clock_at(now):
    """Botocore's own clock, for the time of one signature."""
    return mock.patch.object(botocore.auth, "get_current_datetime", lambda: now.replace(tzinfo=None))


def send(cloud, method, path, *, headers=None, body=None, host=None, timeout_s=30):
    """One request as given; the answer's status, headers (lower case) and body."""
    address = urlsplit(cloud.endpoint)
    connection = http.client.HTTPConnection(address.hostname, address.port, timeout=timeout_s)
    try:
        headers = dict(headers or {})
        if host:
            headers["Host"] = host
        # A server that has heard enough answers before it has been told everything.
        with contextlib.suppress(BrokenPipeError):
            connection.request(method, path, body=body, headers=headers)
        response = connection.getresponse()
        return SimpleNamespace(
            status=response.status,
            headers={name.lower(): value for name, value in response.getheaders()},
            body=response.read(),
        )
    finally:
        connection.close()


def call(cloud, service, method, path, *, body=b"", headers=None, **how):
    """Signs and sends."""
    headers = signed(cloud, service, method, path, body=body, headers=headers, **how)
    return send(cloud, method, path, headers=headers, body=body)


def xml_error(answer):
    """The members of an S3 error document."""
    root = tree.fromstring(answer.body)
    assert root.tag.split("}")[-1] == "Error", answer.body
    return {member.tag: member.text for member in root}
