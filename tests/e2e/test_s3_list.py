import pytest
from botocore.exceptions import ClientError

from recorded import assert_like, snapshot

FILE = "s3/test_s3_list_operations"
# The recorded objects all have this body.
BODY = b"content key"


def fill(s3, bucket, keys):
    for key in keys:
        s3.put_object(Bucket=bucket, Key=key, Body=BODY)


def keys_of(page):
    return [item["Key"] for item in page.get("Contents", [])]


def prefixes_of(page):
    return [item["Prefix"] for item in page.get("CommonPrefixes", [])]


@pytest.mark.parametrize("delimiter", ["", "/", "%2F"])
def test_v1_prefix_and_delimiter(s3, bucket, delimiter):
    recorded = snapshot(FILE, f"TestS3ListObjects::test_list_objects_with_prefix[{delimiter}]")
    fill(s3, bucket, ["test/foo/bar/123"])
    page = s3.list_objects(Bucket=bucket, Prefix="test/", MaxKeys=1, Delimiter=delimiter)
    # An older client gave the delimiter back as it came over the wire.
    assert_like(page, recorded["list-objects"], ignore={"ETag", "Delimiter"})


def test_v1_markers(s3, bucket):
    recorded = snapshot(FILE, "TestS3ListObjects::test_list_objects_next_marker")
    fill(s3, bucket, ["a", "b", "c"])
    ignore = {"ETag"}
    assert_like(s3.list_objects(Bucket=bucket), recorded["list-objects-all"], ignore)
    first = s3.list_objects(Bucket=bucket, MaxKeys=1, Delimiter="/")
    assert_like(first, recorded["list-objects-max-1"], ignore)
    rest = s3.list_objects(Bucket=bucket, MaxKeys=1, Marker=first["NextMarker"])
    assert_like(rest, recorded["list-objects-rest"], ignore)
    assert keys_of(first) + keys_of(rest) == ["a", "b"]


def test_v2_prefixes(s3, bucket):
    recorded = snapshot(FILE, "TestS3ListObjectsV2::test_list_objects_v2_with_prefix")
    fill(s3, bucket, ["test/foo/bar/123", "test/foo/bar/456", "test/bar/foo/123"])
    for name, prefix in [("1", "test/"), ("2", "test/foo"), ("3", "test/foo/bar")]:
        page = s3.list_objects_v2(Bucket=bucket, Prefix=prefix)
        assert_like(page, recorded[f"list-objects-v2-{name}"], ignore={"ETag"})


def test_v2_delimiters(s3, bucket):
    recorded = snapshot(FILE, "TestS3ListObjectsV2::test_list_objects_v2_with_prefix_and_delimiter")
    fill(s3, bucket, ["test/foo/bar/123", "test/foo/bar/456", "test/bar/foo/123"])
    listing = lambda prefix, **more: s3.list_objects_v2(Bucket=bucket, Prefix=prefix, Delimiter="/", **more)
    assert_like(listing("test/"), recorded["list-objects-v2-1"])
    assert_like(listing("test/", MaxKeys=1), recorded["list-objects-v2-1-with-max-keys"])
    assert_like(listing("test/foo"), recorded["list-objects-v2-2"])
    assert_like(listing("test/foo/bar"), recorded["list-objects-v2-3"])


def test_v2_pages_over_keys_and_common_prefixes(s3, bucket):
    recorded = snapshot(FILE, "TestS3ListObjectsV2::test_list_objects_v2_continuation_common_prefixes")
    fill(s3, bucket, ["folder/aSubfolder/subFile1", "folder/aSubfolder/subFile2", "folder/file1", "folder/file2"])
    how = {"Bucket": bucket, "Prefix": "folder/", "Delimiter": "/", "MaxKeys": 1}
    ignore = {"ETag"}
    page = s3.list_objects_v2(**how)
    assert_like(page, recorded["list-objects-v2-start"], ignore)
    for name in ["list-objects-v2-next-1", "list-objects-v2-end"]:
        page = s3.list_objects_v2(**how, ContinuationToken=page["NextContinuationToken"])
        assert_like(page, recorded[name], ignore)


def test_v2_start_after(s3, bucket):
    fill(s3, bucket, [f"k{number}" for number in range(5)])
    page = s3.list_objects_v2(Bucket=bucket, StartAfter="k2")
    assert (keys_of(page), page["StartAfter"]) == (["k3", "k4"], "k2")
    assert keys_of(s3.list_objects_v2(Bucket=bucket, StartAfter="k22")) == ["k3", "k4"]


def test_order_is_by_utf8_bytes(s3, bucket):
    keys = ["Z", "a", "a/", "a/b", "aa", "é", "漢", "🦀", "~"]
    fill(s3, bucket, keys)
    assert keys_of(s3.list_objects_v2(Bucket=bucket)) == sorted(keys, key=str.encode)


def test_every_page_size_gives_every_key_once(s3, bucket):
    keys = sorted(f"{folder}/{number}" for folder in "abc" for number in range(4)) + ["d", "e"]
    fill(s3, bucket, keys)
    for size in (1, 2, 3, 5, 13, 1000):
        pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, PaginationConfig={"PageSize": size})
        assert [key for page in pages for key in keys_of(page)] == keys
        folded = list(
            s3.get_paginator("list_objects_v2").paginate(
                Bucket=bucket, Delimiter="/", PaginationConfig={"PageSize": size}
            )
        )
        assert [prefix for page in folded for prefix in prefixes_of(page)] == ["a/", "b/", "c/"]
        assert [key for page in folded for key in keys_of(page)] == ["d", "e"]


def test_an_empty_bucket_and_a_maximum_of_zero(s3, bucket):
    assert s3.list_objects_v2(Bucket=bucket)["KeyCount"] == 0
    fill(s3, bucket, ["a"])
    page = s3.list_objects_v2(Bucket=bucket, MaxKeys=0)
    assert (page["KeyCount"], page["IsTruncated"], page["MaxKeys"]) == (0, False, 0)


@pytest.mark.parametrize("operation", ["list_objects", "list_objects_v2", "list_multipart_uploads"])
def test_a_wrong_encoding_type(s3, bucket, operation):
    recorded = snapshot(FILE, f"TestS3ListObjectsV2::test_list_ops_encoding_type_validation[{operation}]")
    with pytest.raises(ClientError) as excinfo:
        getattr(s3, operation)(Bucket=bucket, EncodingType="value")
    assert_like(excinfo.value.response, recorded[f"{operation}-error-wrong-value"])


def test_a_wrong_continuation_token(s3, bucket):
    with pytest.raises(ClientError) as excinfo:
        s3.list_objects_v2(Bucket=bucket, ContinuationToken="not-a-token")
    error = excinfo.value.response["Error"]
    assert error["Code"] == "InvalidArgument"
    assert error["Message"] == "The continuation token provided is incorrect"


def test_uploads_with_prefix_and_delimiter(s3, bucket):
    for key in ["folder/aSubfolder/subFile1", "folder/aSubfolder/subFile2", "folder/file1", "other"]:
        s3.create_multipart_upload(Bucket=bucket, Key=key)
    page = s3.list_multipart_uploads(Bucket=bucket, Prefix="folder/", Delimiter="/")
    assert prefixes_of(page) == ["folder/aSubfolder/"]
    assert [upload["Key"] for upload in page["Uploads"]] == ["folder/file1"]
    keys, marker = [], {}
    while True:
        page = s3.list_multipart_uploads(Bucket=bucket, MaxUploads=1, **marker)
        keys += [upload["Key"] for upload in page["Uploads"]]
        if not page["IsTruncated"]:
            break
        marker = {"KeyMarker": page["NextKeyMarker"], "UploadIdMarker": page["NextUploadIdMarker"]}
    assert keys == ["folder/aSubfolder/subFile1", "folder/aSubfolder/subFile2", "folder/file1", "other"]
