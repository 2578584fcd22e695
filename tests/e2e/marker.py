"""Lambda code: writes an empty object under each key that S3 tells of, with the standard library alone."""

import hashlib
import hmac
import http.client
import os
import time
from urllib.parse import quote, unquote_plus, urlsplit

SIGNED_HEADERS = "host;x-amz-content-sha256;x-amz-date;x-amz-security-token"


def handler(event, context):
    for record in event["Records"]:
        key = unquote_plus(record["s3"]["object"]["key"])
        put_empty(f"/{os.environ['SEEN']}/{quote(key)}")


def put_empty(path):
    host = urlsplit(os.environ["AWS_ENDPOINT_URL"]).netloc
    headers = signed(host, path, time.strftime("%Y%m%dT%H%M%SZ", time.gmtime()))
    connection = http.client.HTTPConnection(host, timeout=20)
    connection.request("PUT", path, b"", headers)
    answer = connection.getresponse()
    assert answer.status == 200, answer.read()


def signed(host, path, now):
    headers = {
        "host": host,
        "x-amz-content-sha256": "UNSIGNED-PAYLOAD",
        "x-amz-date": now,
        "x-amz-security-token": os.environ["AWS_SESSION_TOKEN"],
    }
    lines = "".join(f"{name}:{value}\n" for name, value in headers.items())
    request = f"PUT\n{path}\n\n{lines}\n{SIGNED_HEADERS}\nUNSIGNED-PAYLOAD"
    scope = f"{now[:8]}/{os.environ['AWS_REGION']}/s3/aws4_request"
    text = f"AWS4-HMAC-SHA256\n{now}\n{scope}\n{hashlib.sha256(request.encode()).hexdigest()}"
    key = ("AWS4" + os.environ["AWS_SECRET_ACCESS_KEY"]).encode()
    for part in [*scope.split("/"), text]:
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    credential = f"Credential={os.environ['AWS_ACCESS_KEY_ID']}/{scope}"
    headers["authorization"] = f"AWS4-HMAC-SHA256 {credential}, SignedHeaders={SIGNED_HEADERS}, Signature={key.hex()}"
    return headers
