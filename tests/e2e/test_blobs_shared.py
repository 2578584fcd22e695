"""Long bodies kept elsewhere than in the data directory: in S3, which another Lambent gives, or in a shared directory."""

import hashlib
import subprocess

import pytest
from botocore.exceptions import ClientError

from cloud import ROOT_KEY, ROOT_SECRET, Cloud, binary, environment

KIB, MIB = 1024, 1024**2
BUCKET = "photos"
PROVIDED = "kept-for-others"
CREDENTIALS = {"AWS_ACCESS_KEY_ID": ROOT_KEY, "AWS_SECRET_ACCESS_KEY": ROOT_SECRET}


def content(name, size):
    """Bytes that only this name has."""
    return hashlib.shake_128(name.encode()).digest(size)


class Consumer(Cloud):
    """A cloud whose blobs are in a bucket of another."""

    def __init__(self, folder, provider):
        super().__init__(folder, with_runtimes=False)
        self.place = f"s3://{PROVIDED}/of/mine?endpoint={provider.endpoint}&region=us-east-1"

    def start(self, *options, **settings):
        return super().start("--blobs", self.place, *options, **CREDENTIALS, **settings)


@pytest.fixture
def provider(tmp_path):
    provider = Cloud(tmp_path / "provider", with_runtimes=False)
    provider.folder.mkdir()
    provider.start()
    provider.client("s3").create_bucket(Bucket=PROVIDED)
    yield provider
    provider.close()


@pytest.fixture
def consumer(tmp_path, provider):
    consumer = Consumer(tmp_path / "consumer", provider)
    consumer.folder.mkdir()
    consumer.start()
    consumer.client("s3").create_bucket(Bucket=BUCKET)
    yield consumer
    consumer.close()


def provided(provider):
    """The keys that the consumer has in the provider's bucket, without its mark."""
    found = provider.client("s3").list_objects_v2(Bucket=PROVIDED).get("Contents", [])
    return [entry["Key"] for entry in found if not entry["Key"].endswith("/cloud-id")]


def read(s3, key, **more):
    return s3.get_object(Bucket=BUCKET, Key=key, **more)["Body"].read()


def multipart(s3, key, parts):
    upload = s3.create_multipart_upload(Bucket=BUCKET, Key=key)["UploadId"]
    done = []
    for number, part in enumerate(parts, 1):
        answer = s3.upload_part(Bucket=BUCKET, Key=key, UploadId=upload, PartNumber=number, Body=part)
        done.append({"PartNumber": number, "ETag": answer["ETag"]})
    s3.complete_multipart_upload(Bucket=BUCKET, Key=key, UploadId=upload, MultipartUpload={"Parts": done})


def test_objects_of_all_sizes_live_in_s3_and_outlive_a_crash(provider, consumer):
    s3 = consumer.client("s3")
    sizes = {"inline": 100, "small": 100 * KIB, "one-part": 7 * MIB, "many-parts": 20 * MIB + 5}
    for name, size in sizes.items():
        s3.put_object(Bucket=BUCKET, Key=name, Body=content(name, size))
    parts = [content("a", 5 * MIB), content("b", 9 * MIB), content("c", 1000)]
    multipart(s3, "in-spans", parts)
    s3.copy_object(Bucket=BUCKET, Key="copy", CopySource=f"{BUCKET}/many-parts")
    # All but the inline one, and the copy shares its bytes.
    assert len(provided(provider)) == 3 + 3
    assert all(key.startswith("of/mine/") for key in provided(provider))
    assert not any(path.is_file() for path in (consumer.data / "blobs").rglob("*"))

    consumer.kill()
    consumer.start()
    s3 = consumer.client("s3")
    for name, size in sizes.items():
        assert read(s3, name) == content(name, size), name
    assert read(s3, "in-spans") == b"".join(parts)
    assert read(s3, "copy") == content("many-parts", sizes["many-parts"])

    s3.delete_object(Bucket=BUCKET, Key="small")
    with pytest.raises(ClientError) as gone:
        read(s3, "small")
    assert gone.value.response["Error"]["Code"] == "NoSuchKey"
    # Who began to read before may go on for a while.
    assert len(provided(provider)) == 3 + 3
    assert consumer.stop() == 0
    assert "could not be looked for" not in consumer.tail()


def test_ranges_are_read_from_s3(provider, consumer):
    s3 = consumer.client("s3")
    size = 20 * MIB + 5
    body = content("k", size)
    s3.put_object(Bucket=BUCKET, Key="k", Body=body)
    edges = [0, 1, 256 * KIB - 1, 256 * KIB, 2 * MIB, 8 * MIB - 1, 8 * MIB, size - 1]
    for start in edges:
        for end in (start, min(start + 3 * MIB, size - 1), size - 1):
            assert read(s3, "k", Range=f"bytes={start}-{end}") == body[start : end + 1], (start, end)
    assert read(s3, "k", Range="bytes=-7") == body[-7:]


def test_what_is_cut_off_leaves_nothing_in_s3(provider, consumer):
    s3 = consumer.client("s3")
    with pytest.raises(ClientError) as refused:
        s3.put_object(Bucket=BUCKET, Key="k", Body=content("k", 20 * MIB), ContentMD5="AAAAAAAAAAAAAAAAAAAAAA==")
    assert refused.value.response["Error"]["Code"] == "BadDigest"
    assert provided(provider) == []
    assert "Uploads" not in provider.client("s3").list_multipart_uploads(Bucket=PROVIDED)


def test_a_store_that_is_away_is_named(provider, consumer):
    s3 = consumer.client("s3")
    s3.put_object(Bucket=BUCKET, Key="inline", Body=b"short")
    s3.put_object(Bucket=BUCKET, Key="long", Body=content("long", 100 * KIB))
    provider.kill()
    with pytest.raises(ClientError) as refused:
        s3.put_object(Bucket=BUCKET, Key="other", Body=content("other", 100 * KIB))
    assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] == 503
    with pytest.raises(ClientError) as refused:
        read(s3, "long")
    assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] == 503
    # Rows are elsewhere.
    assert read(s3, "inline") == b"short"
    assert f"cannot reach the blob store at s3://{PROVIDED}/of/mine at {provider.endpoint}" in consumer.tail()


def test_a_bucket_that_is_not_there_is_named(tmp_path, provider):
    consumer = Consumer(tmp_path / "consumer", provider)
    consumer.folder.mkdir()
    consumer.place = consumer.place.replace(PROVIDED, "later")
    with pytest.raises(AssertionError):
        consumer.start()
    assert consumer.process.wait(30) == 1
    assert f"the blob store at s3://later/of/mine at {provider.endpoint} refuses" in consumer.tail()
    assert "NoSuchBucket" in consumer.tail()
    # Nothing was begun that would stand in the way.
    provider.client("s3").create_bucket(Bucket="later")
    consumer.start()
    consumer.client("s3").create_bucket(Bucket=BUCKET)
    consumer.client("s3").put_object(Bucket=BUCKET, Key="k", Body=content("k", 100 * KIB))
    assert read(consumer.client("s3"), "k") == content("k", 100 * KIB)
    consumer.close()


def test_a_shared_directory_holds_the_blobs(tmp_path, new_cloud):
    place = tmp_path / "shared"
    new_cloud.start("--blobs", f"file://{place}")
    s3 = new_cloud.client("s3")
    s3.create_bucket(Bucket=BUCKET)
    body = content("k", 3 * MIB)
    s3.put_object(Bucket=BUCKET, Key="k", Body=body)
    files = [path for path in place.rglob("*") if path.is_file() and path.name != "cloud-id"]
    assert len(files) == 1 and files[0].stat().st_size > len(body)
    assert new_cloud.stop() == 0
    new_cloud.start("--blobs", str(place))
    assert read(new_cloud.client("s3"), "k") == body


@pytest.mark.parametrize(
    "place, code, said",
    [
        ("gs://photos", 2, "expected a directory, file:///DIRECTORY or s3://BUCKET"),
        ("s3://photos?acl=public", 2, "`acl` is neither endpoint nor region"),
        ("s3://photos", 1, "expected AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"),
    ],
)
def test_a_place_that_is_none_is_refused(tmp_path, place, code, said):
    ended = subprocess.run(
        [binary(), "up", "--listen", "127.0.0.1:0", "--data", str(tmp_path / "data"), "--blobs", place],
        env=environment(),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert ended.returncode == code
    assert said in ended.stderr
