"""The `aws-chunked` encoding: bodies in pieces, each piece or a trailer signed, or a trailer unsigned."""

import hashlib
import hmac
import re

from cloud import ROOT_SECRET
from signing import SHA256_OF_NOTHING, signed

UNSIGNED_TRAILER = "STREAMING-UNSIGNED-PAYLOAD-TRAILER"
SIGNED = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"
SIGNED_TRAILER = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER"


def upload(cloud, path, pieces, payload, trailer=None, headers=None, secret=ROOT_SECRET):
    """The headers and the encoded body of a PUT; `trailer` is a (name, value) pair."""
    length = sum(map(len, pieces))
    wanted = {"Content-Encoding": "aws-chunked", "X-Amz-Decoded-Content-Length": str(length)}
    if trailer:
        wanted["X-Amz-Trailer"] = trailer[0]
    head = signed(cloud, "s3", "PUT", path, headers={**wanted, **(headers or {})}, payload=payload, secret=secret)
    if payload == UNSIGNED_TRAILER:
        return head, _unsigned(pieces, trailer)
    return head, _signed(head, pieces, trailer, secret)


def _unsigned(pieces, trailer):
    body = b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces)
    return body + b"0\r\n" + _line(trailer) + b"\r\n"


def _line(trailer):
    return b"%s:%s\r\n" % (trailer[0].encode(), trailer[1].encode()) if trailer else b""


def _signed(head, pieces, trailer, secret):
    """Each piece's signature covers the one before it, so that pieces can neither be swapped nor left out."""
    authorization = head["Authorization"]
    scope = re.search(r"Credential=[^/]+/([^,]+)", authorization).group(1)
    previous = re.search(r"Signature=([0-9a-f]+)", authorization).group(1)
    key = ("AWS4" + secret).encode()
    for part in scope.split("/"):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()

    def sign(kind, *lines):
        text = "\n".join([kind, head["X-Amz-Date"], scope, previous, *lines])
        return hmac.new(key, text.encode(), hashlib.sha256).hexdigest()

    body = b""
    for piece in [*pieces, b""]:
        previous = sign("AWS4-HMAC-SHA256-PAYLOAD", SHA256_OF_NOTHING, hashlib.sha256(piece).hexdigest())
        body += b"%x;chunk-signature=%s\r\n" % (len(piece), previous.encode())
        body += piece + b"\r\n" if piece else b""
    if trailer:
        line = f"{trailer[0]}:{trailer[1]}\n".encode()
        signature = sign("AWS4-HMAC-SHA256-TRAILER", hashlib.sha256(line).hexdigest())
        body += _line(trailer) + _line(("x-amz-trailer-signature", signature))
    return body + b"\r\n"
