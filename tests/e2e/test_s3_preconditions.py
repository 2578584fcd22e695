"""If-Match, If-None-Match and the dates, on reads and on writes."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from botocore.exceptions import ClientError

from recorded import assert_like, snapshot

API = "s3/test_s3_api"
KEY = "test-precondition"


def error(call):
    with pytest.raises(ClientError) as excinfo:
        call()
    return excinfo.value.response


def test_reads(s3, bucket):
    s3.put_object(Bucket=bucket, Key="k", Body=b"data")
    head = s3.head_object(Bucket=bucket, Key="k")
    etag, modified = head["ETag"], head["LastModified"]
    earlier, later = modified - timedelta(hours=1), modified + timedelta(hours=1)
    get = lambda **conditions: s3.get_object(Bucket=bucket, Key="k", **conditions)
    for conditions in [
        {"IfMatch": etag},
        {"IfMatch": etag.strip('"')},
        {"IfMatch": "*"},
        {"IfNoneMatch": '"other"'},
        {"IfModifiedSince": earlier},
        {"IfUnmodifiedSince": later},
        {"IfMatch": etag, "IfUnmodifiedSince": earlier},
        {"IfNoneMatch": '"other"', "IfModifiedSince": later},
    ]:
        assert get(**conditions)["Body"].read() == b"data", conditions
    for conditions in [{"IfNoneMatch": etag}, {"IfNoneMatch": "*"}, {"IfModifiedSince": modified}]:
        answer = error(lambda: get(**conditions))
        assert answer["ResponseMetadata"]["HTTPStatusCode"] == 304, conditions
        assert answer["Error"]["Code"] == "304"
    recorded = snapshot("s3/test_s3", "TestS3::test_precondition_failed_error")
    assert_like(error(lambda: get(IfMatch='"other"')), recorded["get-object-if-match"])
    answer = error(lambda: get(IfUnmodifiedSince=earlier))
    assert answer["Error"]["Condition"] == "If-Unmodified-Since"
    head = error(lambda: s3.head_object(Bucket=bucket, Key="k", IfMatch='"other"'))
    assert head["ResponseMetadata"]["HTTPStatusCode"] == 412


def test_put_if_none_match(s3, bucket):
    recorded = snapshot(API, "TestS3ObjectWritePrecondition::test_put_object_if_none_match")
    put = lambda: s3.put_object(Bucket=bucket, Key=KEY, IfNoneMatch="*")
    assert_like(put(), recorded["put-obj"])
    assert_like(error(put), recorded["put-obj-if-none-match"])
    s3.delete_object(Bucket=bucket, Key=KEY)
    assert_like(put(), recorded["put-obj-after-del"])


def test_put_if_none_match_takes_only_a_star(s3, bucket):
    recorded = snapshot(API, "TestS3ObjectWritePrecondition::test_put_object_if_none_match_validation")
    answer = error(lambda: s3.put_object(Bucket=bucket, Key=KEY, IfNoneMatch="something"))
    assert_like(answer, recorded["put-obj-if-none-match-bad-value"])


def test_put_if_match(s3, bucket):
    recorded = snapshot(API, "TestS3ObjectWritePrecondition::test_put_object_if_match")
    first = s3.put_object(Bucket=bucket, Key=KEY, Body=b"test")
    assert_like(first, recorded["put-obj"])
    wrong = lambda: s3.put_object(Bucket=bucket, Key=KEY, IfMatch='"00000000000000000000000000000000"')
    assert_like(error(wrong), recorded["put-obj-if-match-wrong-etag"])
    right = s3.put_object(Bucket=bucket, Key=KEY, IfMatch=first["ETag"])
    assert_like(right, recorded["put-obj-overwrite"])
    s3.delete_object(Bucket=bucket, Key=KEY)
    gone = lambda: s3.put_object(Bucket=bucket, Key=KEY, IfMatch=right["ETag"])
    assert_like(error(gone), recorded["put-obj-if-match-key-not-exists"])


def test_put_with_both(s3, bucket):
    recorded = snapshot(API, "TestS3ObjectWritePrecondition::test_put_object_if_match_and_if_none_match_validation")
    answer = error(lambda: s3.put_object(Bucket=bucket, Key=KEY, IfMatch='"x"', IfNoneMatch="*"))
    assert_like(answer, recorded["put-obj-both-precondition"])


def test_complete_multipart_if_none_match(s3, bucket):
    recorded = snapshot(API, "TestS3ObjectWritePrecondition::test_multipart_if_none_match_with_put")
    upload = s3.create_multipart_upload(Bucket=bucket, Key=KEY)
    assert_like(upload, recorded["create-multipart"])
    part = s3.upload_part(Bucket=bucket, Key=KEY, UploadId=upload["UploadId"], PartNumber=1, Body=b"test")
    s3.put_object(Bucket=bucket, Key=KEY)
    complete = lambda: s3.complete_multipart_upload(
        Bucket=bucket,
        Key=KEY,
        UploadId=upload["UploadId"],
        MultipartUpload={"Parts": [{"ETag": part["ETag"], "PartNumber": 1}]},
        IfNoneMatch="*",
    )
    assert_like(error(complete), recorded["complete-multipart-if-none-match-put-during"])


def test_of_many_conditional_writers_one_wins(cloud, s3, bucket):
    def put(number):
        client = cloud.client("s3")
        try:
            client.put_object(Bucket=bucket, Key=KEY, Body=str(number).encode(), IfNoneMatch="*")
        except ClientError as failure:
            assert failure.response["Error"]["Code"] in {"PreconditionFailed", "ConditionalRequestConflict"}
            return None
        return number

    with ThreadPoolExecutor(8) as workers:
        winners = [number for number in workers.map(put, range(16)) if number is not None]
    assert len(winners) == 1
    assert s3.get_object(Bucket=bucket, Key=KEY)["Body"].read() == str(winners[0]).encode()


def test_copy_source_conditions(s3, bucket):
    recorded = snapshot("s3/test_s3_preconditions", "TestS3CopySourcePreconditions::test_s3_copy_object_preconditions")
    s3.put_object(Bucket=bucket, Key="source", Body=b"data")
    head = s3.head_object(Bucket=bucket, Key="source")
    assert_like(head, recorded["head-object"])
    etag, modified = head["ETag"], head["LastModified"]
    hour = timedelta(hours=1)
    copy = lambda **conditions: s3.copy_object(Bucket=bucket, Key="target", CopySource=f"{bucket}/source", **conditions)
    for name, conditions in {
        "copy-precondition-if-match": {"CopySourceIfMatch": '"other"'},
        "copy-precondition-if-unmodified-since": {"CopySourceIfUnmodifiedSince": modified - hour},
        "copy-precondition-if-none-match": {"CopySourceIfNoneMatch": etag},
        "copy-precondition-if-modified-since": {"CopySourceIfModifiedSince": modified},
        "copy-etag-missing-quotes": {"CopySourceIfNoneMatch": etag.strip('"')},
    }.items():
        assert_like(error(lambda: copy(**conditions)), recorded[name])
    future = copy(CopySourceIfModifiedSince=modified + hour)
    assert_like(future, recorded["copy-ignore-future-modified-since"])
    assert_like(copy(CopySourceIfMatch=etag), recorded["copy-success"])
