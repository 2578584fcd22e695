"""What must cost the server neither memory nor disk."""

import base64
import contextlib
import hashlib
import os
import socket
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

import chunks
from cloud import eventually
from signing import call, send, signed
from test_s3_checksums import KINDS

MIB = 1024**2
INLINE_BYTES = 32 * 1024
KEYS = 3000
PAGE_KEYS = 1000
LISTERS = 8


def test_listings_do_not_hold_what_the_objects_hold(own_cloud):
    """Bodies of up to 32 KiB lie beside the names: a page of a thousand would be 32 MiB for each who lists."""
    own_cloud.start()
    s3 = own_cloud.client("s3")
    s3.create_bucket(Bucket="many")
    body = os.urandom(INLINE_BYTES)
    with ThreadPoolExecutor(LISTERS) as workers:
        list(workers.map(lambda key: s3.put_object(Bucket="many", Key=f"{key:04}", Body=body), range(KEYS)))
        # What was just written is in memory anyway; after a start it is not.
        own_cloud.stop()
        own_cloud.start()
        paths = [f"/many?list-type=2&start-after={start:04}" for start in range(0, KEYS - PAGE_KEYS, 250)]
        heads = {path: signed(own_cloud, "s3", "GET", path) for path in paths}
        own_cloud.forget_memory_peak()
        before = own_cloud.memory_peak_bytes()
        answers = list(workers.map(lambda path: send(own_cloud, "GET", path, headers=heads[path]), paths))
    assert all(f"<KeyCount>{PAGE_KEYS}</KeyCount>".encode() in answer.body for answer in answers)
    grown = own_cloud.memory_peak_bytes() - before
    # Most of it is the store's cache, which has its own bound; whole pages of bodies came to 67 MiB.
    assert grown < 48 * MIB, f"{LISTERS} listings at once took {grown // MIB} MiB"


def test_refused_and_broken_uploads_leave_nothing(own_cloud):
    """Neither files nor memory: a hundred that break off, and each way to be refused after the body was taken in."""
    own_cloud.start()
    s3 = own_cloud.client("s3")
    s3.create_bucket(Bucket="many")
    upload_id = s3.create_multipart_upload(Bucket="many", Key="k")["UploadId"]
    part = f"/many/k?partNumber=1&uploadId={upload_id}"
    body = os.urandom(3 * MIB)
    wrong = ("x-amz-checksum-crc32", KINDS["CRC32"](b"other"))
    own_cloud.forget_memory_peak()
    before = own_cloud.memory_peak_bytes()
    for path in ["/many/k", part]:
        with ThreadPoolExecutor(LISTERS) as workers:
            list(workers.map(lambda _: break_off(own_cloud, path, body), range(50)))
        for payload in [chunks.UNSIGNED_TRAILER, chunks.SIGNED_TRAILER]:
            head, sent = chunks.upload(own_cloud, path, [body], payload, wrong)
            assert send(own_cloud, "PUT", path, headers=head, body=sent).status == 400
            head, sent = chunks.upload(own_cloud, path, [body], payload, ("x-amz-checksum-crc32", KINDS["CRC32"](body)))
            assert send(own_cloud, "PUT", path, headers=head, body=sent[: 2 * MIB]).status == 400
        headers = {"Content-MD5": base64.b64encode(hashlib.md5(b"other").digest()).decode()}
        assert call(own_cloud, "s3", "PUT", path, body=body, headers=headers).status == 400
        assert call(own_cloud, "s3", "PUT", path, body=body, payload=hashlib.sha256(b"other").hexdigest()).status == 400
    blobs = own_cloud.data / "blobs"
    eventually(lambda: not [path for path in blobs.rglob("*") if path.is_file() and path.name != "cloud-id"])
    assert s3.list_objects_v2(Bucket="many")["KeyCount"] == 0
    assert "Parts" not in s3.list_parts(Bucket="many", Key="k", UploadId=upload_id)
    grown = own_cloud.memory_peak_bytes() - before
    assert grown < 64 * MIB, f"the server grew by {grown // MIB} MiB"


def break_off(cloud, path, body):
    """Sends most of a body and hangs up."""
    address = urlsplit(cloud.endpoint)
    head = signed(cloud, "s3", "PUT", path, payload="UNSIGNED-PAYLOAD")
    lines = [f"PUT {path} HTTP/1.1", f"Host: {address.netloc}", f"Content-Length: {len(body)}"]
    lines += [f"{name}: {value}" for name, value in head.items()]
    with socket.create_connection((address.hostname, address.port), timeout=60) as connection:
        connection.sendall("\r\n".join(lines).encode() + b"\r\n\r\n" + body[: -MIB // 2])
        connection.shutdown(socket.SHUT_WR)
        # Until the server has let go of it too: so that no more are under way than there are workers.
        with contextlib.suppress(ConnectionResetError):
            while connection.recv(65536):
                pass
