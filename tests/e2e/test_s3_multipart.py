import hashlib

import pytest
from boto3.s3.transfer import TransferConfig
from botocore.exceptions import ClientError

import chunks
from recorded import assert_like, snapshot
from signing import send, xml_error
from test_s3_checksums import KINDS

MIB = 1024 * 1024
PART = bytes(range(256)) * (5 * MIB // 256)


def begin(s3, bucket, key="k", **settings):
    return s3.create_multipart_upload(Bucket=bucket, Key=key, **settings)["UploadId"]


def upload(s3, bucket, upload_id, number, body, key="k", **settings):
    part = s3.upload_part(Bucket=bucket, Key=key, UploadId=upload_id, PartNumber=number, Body=body, **settings)
    sums = {f"Checksum{kind}": part[f"Checksum{kind}"] for kind in [settings.get("ChecksumAlgorithm")] if kind}
    return {"PartNumber": number, "ETag": part["ETag"], **sums}


def complete(s3, bucket, upload_id, parts, key="k", **settings):
    return s3.complete_multipart_upload(
        Bucket=bucket, Key=key, UploadId=upload_id, MultipartUpload={"Parts": parts}, **settings
    )


def error(call):
    with pytest.raises(ClientError) as excinfo:
        call()
    return excinfo.value.response


def test_parts_become_one_object(s3, bucket):
    upload_id = begin(s3, bucket, ContentType="video/mp4", Metadata={"a": "b"})
    bodies = [PART, PART[::-1], b"the end"]
    # Out of order and with gaps, as parallel uploaders do.
    parts = [
        upload(s3, bucket, upload_id, number, body) for number, body in [(7, bodies[2]), (2, bodies[0]), (5, bodies[1])]
    ]
    parts.sort(key=lambda part: part["PartNumber"])
    done = complete(s3, bucket, upload_id, parts)
    digests = b"".join(hashlib.md5(body).digest() for body in bodies)
    assert done["ETag"] == f'"{hashlib.md5(digests).hexdigest()}-3"'
    assert done["Location"].endswith(f"/{bucket}/k")
    got = s3.get_object(Bucket=bucket, Key="k")
    assert got["Body"].read() == b"".join(bodies)
    assert (got["ContentType"], got["Metadata"], got["ETag"]) == ("video/mp4", {"a": "b"}, done["ETag"])
    across = s3.get_object(Bucket=bucket, Key="k", Range=f"bytes={5 * MIB - 2}-{5 * MIB + 1}")
    assert across["Body"].read() == bodies[0][-2:] + bodies[1][:2]
    assert "Uploads" not in s3.list_multipart_uploads(Bucket=bucket)


def test_one_part_can_be_read_alone(s3, bucket):
    upload_id = begin(s3, bucket)
    parts = [upload(s3, bucket, upload_id, 1, PART), upload(s3, bucket, upload_id, 2, b"tail")]
    complete(s3, bucket, upload_id, parts)
    second = s3.get_object(Bucket=bucket, Key="k", PartNumber=2)
    assert second["Body"].read() == b"tail"
    assert (second["PartsCount"], second["ResponseMetadata"]["HTTPStatusCode"]) == (2, 206)
    assert s3.head_object(Bucket=bucket, Key="k", PartNumber=1)["ContentLength"] == len(PART)


def test_lists_as_recorded(s3, bucket):
    recorded = snapshot("s3/test_s3", "TestS3::test_multipart_and_list_parts")
    created = s3.create_multipart_upload(Bucket=bucket, Key="test-list-parts")
    assert_like(created, recorded["create-multipart"])
    which = {"Bucket": bucket, "Key": "test-list-parts", "UploadId": created["UploadId"]}
    assert_like(s3.list_parts(**which), recorded["list-part-after-created"])
    assert_like(s3.list_multipart_uploads(Bucket=bucket), recorded["list-all-uploads"])
    s3.upload_part(**which, PartNumber=1, Body=b"x" * 11)
    listed = s3.list_parts(**which)
    assert_like(listed, recorded["list-part-after-upload"], ignore={"ETag", "Size"})
    assert listed["Parts"][0]["Size"] == 11


def test_list_parts_pages(s3, bucket):
    upload_id = begin(s3, bucket)
    for number in range(1, 6):
        upload(s3, bucket, upload_id, number, b"x")
    seen, marker = [], 0
    while True:
        page = s3.list_parts(Bucket=bucket, Key="k", UploadId=upload_id, MaxParts=2, PartNumberMarker=marker)
        seen += [part["PartNumber"] for part in page["Parts"]]
        if not page["IsTruncated"]:
            break
        marker = page["NextPartNumberMarker"]
    assert seen == [1, 2, 3, 4, 5]


def test_a_part_sent_again_replaces_the_first(s3, bucket):
    upload_id = begin(s3, bucket)
    first = upload(s3, bucket, upload_id, 1, b"first")
    second = upload(s3, bucket, upload_id, 1, b"second")
    answer = error(lambda: complete(s3, bucket, upload_id, [first]))
    assert answer["Error"]["Code"] == "InvalidPart"
    complete(s3, bucket, upload_id, [second])
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == b"second"


def test_abort(s3, bucket):
    upload_id = begin(s3, bucket)
    upload(s3, bucket, upload_id, 1, b"x")
    answer = s3.abort_multipart_upload(Bucket=bucket, Key="k", UploadId=upload_id)
    assert answer["ResponseMetadata"]["HTTPStatusCode"] == 204
    for call in [
        lambda: upload(s3, bucket, upload_id, 2, b"x"),
        lambda: s3.list_parts(Bucket=bucket, Key="k", UploadId=upload_id),
        lambda: s3.abort_multipart_upload(Bucket=bucket, Key="k", UploadId=upload_id),
    ]:
        gone = error(call)["Error"]
        assert gone["Code"] == "NoSuchUpload"
        assert gone["Message"] == (
            "The specified upload does not exist. The upload ID may be invalid, "
            "or the upload may have been aborted or completed."
        )


def test_what_cannot_be_completed(s3, bucket):
    recorded = snapshot("s3/test_s3", "TestS3::test_complete_multipart_parts_order")
    upload_id = begin(s3, bucket)
    parts = [upload(s3, bucket, upload_id, number, b"small") for number in (1, 2)]
    unordered = error(lambda: complete(s3, bucket, upload_id, parts[::-1]))
    assert_like(unordered, recorded["complete-multipart-unordered"])
    too_small = error(lambda: complete(s3, bucket, upload_id, parts))["Error"]
    assert too_small["Code"] == "EntityTooSmall"
    assert too_small["Message"] == "Your proposed upload is smaller than the minimum allowed size"
    missing = error(lambda: complete(s3, bucket, upload_id, [{"PartNumber": 9, "ETag": '"x"'}]))["Error"]
    assert missing["Code"] == "InvalidPart"
    nothing = error(lambda: complete(s3, bucket, upload_id, []))["Error"]
    assert nothing["Code"] in {"MalformedXML", "InvalidRequest"}
    negative = error(lambda: upload(s3, bucket, upload_id, -1, b"x"))
    assert_like(negative, recorded["upload-part-negative-part-number"])
    assert error(lambda: upload(s3, bucket, upload_id, 10001, b"x"))["Error"]["Code"] == "InvalidArgument"


@pytest.mark.parametrize("kind", ["CRC32", "CRC32C", "SHA1", "SHA256"])
def test_composite_checksums(s3, bucket, kind):
    upload_id = begin(s3, bucket, ChecksumAlgorithm=kind)
    parts = [
        upload(s3, bucket, upload_id, number, body, ChecksumAlgorithm=kind)
        for number, body in [(1, PART), (2, b"tail")]
    ]
    done = complete(s3, bucket, upload_id, parts)
    assert done["ChecksumType"] == "COMPOSITE"
    assert done[f"Checksum{kind}"].endswith("-2")
    head = s3.head_object(Bucket=bucket, Key="k", ChecksumMode="ENABLED")
    assert head[f"Checksum{kind}"] == done[f"Checksum{kind}"]


def test_a_full_object_checksum_is_verified(s3, bucket):
    body = PART + b"tail"
    for wrong in (True, False):
        upload_id = begin(s3, bucket, ChecksumAlgorithm="CRC64NVME", ChecksumType="FULL_OBJECT")
        parts = [
            upload(s3, bucket, upload_id, number, piece, ChecksumAlgorithm="CRC64NVME")
            for number, piece in [(1, PART), (2, b"tail")]
        ]
        claimed = KINDS["CRC64NVME"](b"other" if wrong else body)
        finish = lambda: complete(s3, bucket, upload_id, parts, ChecksumCRC64NVME=claimed, ChecksumType="FULL_OBJECT")
        if wrong:
            assert error(finish)["Error"]["Code"] == "BadDigest"
        else:
            assert finish()["ChecksumCRC64NVME"] == claimed


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_a_wrong_part_checksum_is_refused(s3, bucket, kind):
    upload_id = begin(s3, bucket, ChecksumAlgorithm=kind)
    for body in [b"x", PART]:
        wrong = {f"Checksum{kind}": KINDS[kind](b"other")}
        answer = error(lambda body=body, wrong=wrong: upload(s3, bucket, upload_id, 1, body, **wrong))
        assert answer["Error"]["Code"] == "BadDigest"
    assert "Parts" not in s3.list_parts(Bucket=bucket, Key="k", UploadId=upload_id)


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_a_wrong_checksum_behind_a_part_is_refused(cloud, s3, bucket, kind):
    """As the SDKs send it: in the trailer of an `aws-chunked` body."""
    upload_id = begin(s3, bucket, ChecksumAlgorithm=kind)
    path = f"/{bucket}/k?partNumber=1&uploadId={upload_id}"
    for claimed, status in [(b"other", 400), (PART, 200)]:
        trailer = (f"x-amz-checksum-{kind.lower()}", KINDS[kind](claimed))
        head, body = chunks.upload(cloud, path, [PART], chunks.UNSIGNED_TRAILER, trailer)
        answer = send(cloud, "PUT", path, headers=head, body=body)
        assert answer.status == status, answer.body
        assert status == 200 or xml_error(answer)["Code"] == "BadDigest"
        parts = s3.list_parts(Bucket=bucket, Key="k", UploadId=upload_id).get("Parts", [])
        assert [part["Size"] for part in parts] == ([] if status == 400 else [len(PART)])


def test_upload_part_copy(s3, bucket):
    recorded = snapshot("s3/test_s3_api", "TestS3Multipart::test_upload_part_copy_range")
    s3.put_object(Bucket=bucket, Key="source", Body=b"0123456789")
    key = "test-upload-part-copy"
    upload_id = begin(s3, bucket, key)
    copy = lambda number, asked: s3.upload_part_copy(
        Bucket=bucket,
        Key=key,
        UploadId=upload_id,
        PartNumber=number,
        CopySource=f"{bucket}/source",
        CopySourceRange=asked,
    )
    for number, asked in [(1, "bytes=0-8"), (2, "bytes=1-1"), (3, "bytes=0-0")]:
        assert_like(copy(number, asked), recorded[f"upload-part-copy-{number}"])
    listed = s3.list_parts(Bucket=bucket, Key=key, UploadId=upload_id)
    assert_like(listed, recorded["list-parts"])
    assert_like(error(lambda: copy(4, "0-8")), recorded["upload-part-copy-wrong-format"])
    complete(s3, bucket, upload_id, [{"PartNumber": 1, "ETag": listed["Parts"][0]["ETag"]}], key)
    assert s3.get_object(Bucket=bucket, Key=key)["Body"].read() == b"012345678"


def test_the_transfer_manager(s3, bucket, tmp_path):
    source, target = tmp_path / "source", tmp_path / "target"
    source.write_bytes(PART * 4 + b"tail")
    config = TransferConfig(multipart_threshold=5 * MIB, multipart_chunksize=5 * MIB, max_concurrency=4)
    s3.upload_file(str(source), bucket, "managed", Config=config)
    assert s3.head_object(Bucket=bucket, Key="managed")["ETag"].endswith('-5"')
    s3.download_file(bucket, "managed", str(target), Config=config)
    assert target.read_bytes() == source.read_bytes()
