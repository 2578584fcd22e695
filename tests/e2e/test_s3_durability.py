"""What S3 acknowledged is whole after `kill -9`: objects in files of their own, objects of parts, copies, deletes."""

import hashlib
import threading

import pytest
from botocore.exceptions import BotoCoreError, ClientError

from cloud import eventually

MIB = 1024**2
PART_BYTES = 5 * MIB
ROUNDS = 3
BUCKET = "kept"


def content(name, size):
    """Bytes that only this name has."""
    return hashlib.shake_128(name.encode()).digest(size)


def md5(body):
    return hashlib.md5(body).hexdigest()


class Writers:
    """Threads that write until the server is gone; what they were told is done is on their list."""

    def __init__(self, cloud, works, name):
        self.done = {}
        self.lock = threading.Lock()
        self.counts = [0] * len(works)
        self.threads = [
            threading.Thread(target=self._run, args=(cloud, work, f"{name}/{work.__name__}", index))
            for index, work in enumerate(works)
        ]
        for thread in self.threads:
            thread.start()

    def _run(self, cloud, work, name, index):
        s3 = cloud.client("s3")
        for number in range(100_000):
            try:
                work(s3, f"{name}/{number}", self.acknowledged)
            except (BotoCoreError, ClientError):
                return
            self.counts[index] += 1

    def acknowledged(self, key, size):
        """The object under the key is this long; `None` when it is gone."""
        with self.lock:
            self.done[key] = size

    def join(self):
        for thread in self.threads:
            thread.join()


def whole(s3, key, acknowledged):
    size = 64 * 1024 + len(key) * 1000
    s3.put_object(Bucket=BUCKET, Key=key, Body=content(key, size))
    acknowledged(key, size)


def large(s3, key, acknowledged):
    size = 3 * MIB + 17
    s3.put_object(Bucket=BUCKET, Key=key, Body=content(key, size))
    acknowledged(key, size)


def parts(s3, key, acknowledged):
    size = PART_BYTES + 70_000
    body = content(key, size)
    which = {"Bucket": BUCKET, "Key": key}
    which["UploadId"] = s3.create_multipart_upload(**which)["UploadId"]
    listed = []
    for number, piece in [(1, body[:PART_BYTES]), (2, body[PART_BYTES:])]:
        tag = s3.upload_part(**which, PartNumber=number, Body=piece)["ETag"]
        listed.append({"PartNumber": number, "ETag": tag})
    s3.complete_multipart_upload(**which, MultipartUpload={"Parts": listed})
    acknowledged(key, size)


def copies(s3, key, acknowledged):
    """A copy shares the file of its source, which is deleted after it."""
    size = 100_000
    s3.put_object(Bucket=BUCKET, Key=f"{key}.source", Body=content(key, size))
    s3.copy_object(Bucket=BUCKET, Key=key, CopySource=f"{BUCKET}/{key}.source")
    acknowledged(key, size)
    s3.delete_object(Bucket=BUCKET, Key=f"{key}.source")
    acknowledged(f"{key}.source", None)


def all_keys(s3):
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=BUCKET)
    return {item["Key"]: item["Size"] for page in pages for item in page.get("Contents", [])}


@pytest.mark.timeout(180)
def test_every_acknowledged_object_is_whole(own_cloud):
    own_cloud.start()
    own_cloud.client("s3").create_bucket(Bucket=BUCKET)
    expected = {}
    for number in range(ROUNDS):
        writers = Writers(own_cloud, [whole, whole, large, parts, copies], f"round {number}")
        eventually(lambda: min(writers.counts) >= 2 + number, timeout_s=60, every_s=0.003)
        own_cloud.kill()
        writers.join()
        expected.update(writers.done)
        own_cloud.start()
        s3 = own_cloud.client("s3")
        stored = all_keys(s3)
        gone = {key for key, size in expected.items() if size is None}
        assert not gone & stored.keys(), "deleted objects came back"
        there = {key: size for key, size in expected.items() if size is not None}
        assert there.items() <= stored.items(), "acknowledged objects are lost"
        # Those whose answer was cut off may be there or not; if they are, they are whole.
        for key, size in stored.items():
            body = s3.get_object(Bucket=BUCKET, Key=key)["Body"].read()
            assert md5(body) == md5(content(key.removesuffix(".source"), size)), key


@pytest.mark.timeout(120)
def test_an_upload_goes_on_where_it_was(own_cloud):
    """Parts that were acknowledged need not be sent again, and what was completed needs not be completed again."""
    own_cloud.start()
    s3 = own_cloud.client("s3")
    s3.create_bucket(Bucket=BUCKET)
    pieces = [content(f"piece {number}", PART_BYTES + number) for number in range(4)]
    uploads = {}
    for key in ["interrupted", "completed"]:
        uploads[key] = {"Bucket": BUCKET, "Key": key}
        uploads[key]["UploadId"] = s3.create_multipart_upload(**uploads[key])["UploadId"]
    tags = {key: [] for key in uploads}
    for number, piece in enumerate(pieces, 1):
        for key, which in uploads.items():
            client = own_cloud.client("s3")
            tag = client.upload_part(**which, PartNumber=number, Body=piece)["ETag"]
            tags[key].append({"PartNumber": number, "ETag": tag})
        own_cloud.kill()
        own_cloud.start()
    s3 = own_cloud.client("s3")
    listed = s3.list_parts(**uploads["interrupted"])["Parts"]
    assert [{"PartNumber": part["PartNumber"], "ETag": part["ETag"]} for part in listed] == tags["interrupted"]
    whole = b"".join(pieces)
    for key, which in uploads.items():
        done = own_cloud.client("s3").complete_multipart_upload(**which, MultipartUpload={"Parts": tags[key]})
        own_cloud.kill()
        own_cloud.start()
        s3 = own_cloud.client("s3")
        # A client that did not hear the answer asks again and is told the same.
        again = s3.complete_multipart_upload(**which, MultipartUpload={"Parts": tags[key]})
        assert again["ETag"] == done["ETag"]
        assert md5(s3.get_object(Bucket=BUCKET, Key=key)["Body"].read()) == md5(whole)
    assert "Uploads" not in s3.list_multipart_uploads(Bucket=BUCKET)


@pytest.mark.timeout(120)
def test_an_overwritten_object_is_one_of_its_versions_and_no_older_one(own_cloud):
    """The key always has a whole version, at least as new as the last that was acknowledged."""
    own_cloud.start()
    own_cloud.client("s3").create_bucket(Bucket=BUCKET)
    sizes = [100, 40_000, 200_000, 1_500_000]

    def version(number):
        return number.to_bytes(8, "big") + content(f"version {number}", sizes[number % len(sizes)])

    first = 0
    for _ in range(ROUNDS):
        newest = [first]

        def overwrite(newest=newest):
            s3 = own_cloud.client("s3")
            for number in range(newest[0] + 1, 100_000):
                try:
                    s3.put_object(Bucket=BUCKET, Key="k", Body=version(number))
                except (BotoCoreError, ClientError):
                    return
                newest[0] = number

        writer = threading.Thread(target=overwrite)
        writer.start()
        eventually(lambda start=first: newest[0] >= start + 23, timeout_s=60, every_s=0.001)
        own_cloud.kill()
        writer.join()
        own_cloud.start()
        body = own_cloud.client("s3").get_object(Bucket=BUCKET, Key="k")["Body"].read()
        first = int.from_bytes(body[:8], "big")
        assert newest[0] <= first <= newest[0] + 1
        assert md5(body) == md5(version(first))
