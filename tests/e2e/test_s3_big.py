"""Bodies stream: a gigabyte goes in and comes out, and the server stays small."""

import hashlib
import io

import pytest
from boto3.s3.transfer import TransferConfig

MIB = 1024**2
GIB = 1024**3
MEMORY_BYTES_MAX = 150 * 1024**2
BLOCK = hashlib.shake_128(b"lambent").digest(1024**2)


class Blocks(io.RawIOBase):
    """A seekable file of `size` bytes that exists nowhere: one block again and again, each one numbered."""

    def __init__(self, size):
        self.size = size
        self.at = 0

    def readable(self):
        return True

    def seekable(self):
        return True

    def tell(self):
        return self.at

    def seek(self, offset, whence=io.SEEK_SET):
        self.at = {io.SEEK_SET: 0, io.SEEK_CUR: self.at, io.SEEK_END: self.size}[whence] + offset
        return self.at

    def readinto(self, buffer):
        number, within = divmod(self.at, len(BLOCK))
        piece = (number.to_bytes(8, "big") + BLOCK[8:])[within:]
        piece = piece[: min(len(buffer), self.size - self.at)]
        buffer[: len(piece)] = piece
        self.at += len(piece)
        return len(piece)


def digest_of(pieces):
    digest = hashlib.sha256()
    for piece in pieces:
        digest.update(piece)
    return digest.hexdigest()


@pytest.mark.timeout(300)
def test_a_gigabyte_in_and_out(own_cloud):
    own_cloud.start()
    s3 = own_cloud.client("s3")
    s3.create_bucket(Bucket="big")
    source = io.BufferedReader(Blocks(GIB), len(BLOCK))
    s3.put_object(Bucket="big", Key="gigabyte", Body=source)
    head = s3.head_object(Bucket="big", Key="gigabyte")
    assert head["ContentLength"] == GIB
    got = s3.get_object(Bucket="big", Key="gigabyte")["Body"]
    source.seek(0)
    expected = digest_of(iter(lambda: source.read(len(BLOCK)), b""))
    assert digest_of(got.iter_chunks(len(BLOCK))) == expected
    peak = own_cloud.memory_peak_bytes()
    assert peak < MEMORY_BYTES_MAX, f"the server grew to {peak // 1024**2} MiB"


@pytest.mark.timeout(300)
def test_parts_and_copies_stream(own_cloud):
    """An object of parts goes in by four at once, is copied whole and in parts, and comes out again."""
    own_cloud.start()
    s3 = own_cloud.client("s3")
    s3.create_bucket(Bucket="big")
    size, part = 384 * MIB, 96 * MIB
    config = TransferConfig(multipart_threshold=part, multipart_chunksize=part, max_concurrency=4)
    s3.upload_fileobj(io.BufferedReader(Blocks(size), len(BLOCK)), "big", "parts", Config=config)
    assert s3.head_object(Bucket="big", Key="parts")["ETag"].endswith('-4"')
    s3.copy_object(Bucket="big", Key="copy", CopySource="big/parts")
    which = {"Bucket": "big", "Key": "copied in parts"}
    which["UploadId"] = s3.create_multipart_upload(**which)["UploadId"]
    asked = {1: f"bytes=0-{size // 2}", 2: f"bytes={size // 2 + 1}-{size - 1}"}
    parts = []
    for number, wanted in asked.items():
        result = s3.upload_part_copy(**which, PartNumber=number, CopySource="big/parts", CopySourceRange=wanted)
        parts.append({"PartNumber": number, "ETag": result["CopyPartResult"]["ETag"]})
    s3.complete_multipart_upload(**which, MultipartUpload={"Parts": parts})
    source = io.BufferedReader(Blocks(size), len(BLOCK))
    expected = digest_of(iter(lambda: source.read(len(BLOCK)), b""))
    for key in ["parts", "copy", "copied in parts"]:
        assert digest_of(s3.get_object(Bucket="big", Key=key)["Body"].iter_chunks(len(BLOCK))) == expected, key
    peak = own_cloud.memory_peak_bytes()
    assert peak < MEMORY_BYTES_MAX, f"the server grew to {peak // MIB} MiB"


def test_what_is_read_outlives_its_name(own_cloud):
    """Deleted and replaced while they are read, objects come whole to those who read them."""
    own_cloud.start()
    s3 = own_cloud.client("s3")
    s3.create_bucket(Bucket="big")
    size = 24 * MIB
    fill = lambda key, config: s3.upload_fileobj(
        io.BufferedReader(Blocks(size), len(BLOCK)), "big", key, Config=config
    )
    fill("parts", TransferConfig(multipart_threshold=5 * MIB, multipart_chunksize=5 * MIB))
    fill("whole", TransferConfig(multipart_threshold=GIB))
    source = io.BufferedReader(Blocks(size), len(BLOCK))
    expected = digest_of(iter(lambda: source.read(len(BLOCK)), b""))
    reading = {key: [s3.get_object(Bucket="big", Key=key)["Body"] for _ in range(2)] for key in ["parts", "whole"]}
    s3.delete_object(Bucket="big", Key="parts")
    s3.put_object(Bucket="big", Key="whole", Body=b"something else")
    for key, bodies in reading.items():
        for body in bodies:
            assert digest_of(body.iter_chunks(len(BLOCK))) == expected, key
    assert s3.get_object(Bucket="big", Key="whole")["Body"].read() == b"something else"


def test_slow_readers_cost_no_memory(own_cloud):
    """Answers that nobody takes wait on disk, not in memory."""
    own_cloud.start()
    s3 = own_cloud.client("s3")
    s3.create_bucket(Bucket="big")
    size = 64 * 1024**2
    s3.put_object(Bucket="big", Key="k", Body=io.BufferedReader(Blocks(size), len(BLOCK)))
    bodies = [s3.get_object(Bucket="big", Key="k")["Body"] for _ in range(24)]
    assert all(len(body.read(1024)) == 1024 for body in bodies)
    assert own_cloud.memory_peak_bytes() < MEMORY_BYTES_MAX
    for body in bodies:
        body.close()
