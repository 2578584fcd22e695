import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from cloud import REGION, ROOT_KEY, ROOT_SECRET
from recorded import assert_like, snapshot
from signing import call, send

FILE = "s3/test_s3"


def error_of(excinfo):
    return excinfo.value.response


def test_create_and_head(s3, unique):
    recorded = snapshot(FILE, "TestS3::test_create_bucket_head_bucket")
    name = unique("bucket")
    assert_like(s3.create_bucket(Bucket=name), recorded["create_bucket"])
    assert_like(s3.head_bucket(Bucket=name), recorded["head_bucket"])
    with pytest.raises(ClientError) as excinfo:
        s3.head_bucket(Bucket=unique("missing"))
    assert_like(error_of(excinfo), recorded["head_bucket_not_exist"])


def test_create_again_in_us_east_1_succeeds(s3, bucket):
    s3.put_object(Bucket=bucket, Key="kept", Body=b"x")
    assert s3.create_bucket(Bucket=bucket)["Location"] == f"/{bucket}"
    assert s3.get_object(Bucket=bucket, Key="kept")["Body"].read() == b"x"


@pytest.mark.parametrize("name", ["Uppercase-Bucket", "ab", "a..b-bucket", "192.168.5.4", "under_score"])
def test_invalid_names_are_refused(cloud, name):
    answer = call(cloud, "s3", "PUT", f"/{name}")
    assert answer.status == 400
    assert b"<Code>InvalidBucketName</Code>" in answer.body
    assert b"<Message>The specified bucket is not valid.</Message>" in answer.body


def test_location_constraint_of_another_region_is_refused(s3, unique):
    with pytest.raises(ClientError) as excinfo:
        s3.create_bucket(Bucket=unique("bucket"), CreateBucketConfiguration={"LocationConstraint": "foo"})
    recorded = snapshot(FILE, "TestS3::test_create_bucket_with_invalid_location_constraint[us-east-1-foo]")
    assert_like(error_of(excinfo), recorded["us-east-1-location-constraint-foo-error"])


def test_location_of_us_east_1_is_null(s3, bucket):
    assert s3.get_bucket_location(Bucket=bucket)["LocationConstraint"] is None


def test_list_buckets_pages_and_prefixes(s3, unique):
    prefix = unique("listed")
    names = [f"{prefix}-{index}" for index in range(3)]
    for name in names:
        s3.create_bucket(Bucket=name)
    assert set(names) <= {bucket["Name"] for bucket in s3.list_buckets()["Buckets"]}
    first = s3.list_buckets(Prefix=prefix, MaxBuckets=2)
    rest = s3.list_buckets(Prefix=prefix, ContinuationToken=first["ContinuationToken"])
    assert [bucket["Name"] for bucket in first["Buckets"] + rest["Buckets"]] == names
    assert "ContinuationToken" not in rest
    recorded = snapshot("s3/test_s3_list_operations", "TestS3ListBuckets::test_list_buckets_with_max_buckets")
    one = s3.list_buckets(MaxBuckets=1)
    assert_like(one, recorded["list-objects-with-max-buckets"])


def test_delete(s3, bucket):
    recorded = snapshot("s3/test_s3_api", "TestS3BucketCRUD::test_delete_bucket_with_objects")
    s3.put_object(Bucket=bucket, Key="in-the-way", Body=b"")
    with pytest.raises(ClientError) as excinfo:
        s3.delete_bucket(Bucket=bucket)
    assert_like(error_of(excinfo), recorded["delete-with-obj"])
    s3.delete_object(Bucket=bucket, Key="in-the-way")
    assert_like(s3.delete_bucket(Bucket=bucket), recorded["delete-bucket"])
    with pytest.raises(ClientError) as excinfo:
        s3.delete_bucket(Bucket=bucket)
    assert error_of(excinfo)["Error"]["Code"] == "NoSuchBucket"
    assert error_of(excinfo)["Error"]["BucketName"] == bucket


@pytest.mark.parametrize(
    "operation",
    [
        lambda s3, name: s3.list_objects_v2(Bucket=name),
        lambda s3, name: s3.list_objects(Bucket=name),
        lambda s3, name: s3.get_object(Bucket=name, Key="k"),
        lambda s3, name: s3.put_object(Bucket=name, Key="k", Body=b"x"),
        lambda s3, name: s3.delete_objects(Bucket=name, Delete={"Objects": [{"Key": "k"}]}),
        lambda s3, name: s3.get_bucket_location(Bucket=name),
        lambda s3, name: s3.get_bucket_notification_configuration(Bucket=name),
        lambda s3, name: s3.create_multipart_upload(Bucket=name, Key="k"),
        lambda s3, name: s3.list_multipart_uploads(Bucket=name),
    ],
)
def test_every_operation_names_the_missing_bucket(s3, unique, operation):
    recorded = snapshot(FILE, "TestS3::test_get_object_no_such_bucket")
    with pytest.raises(ClientError) as excinfo:
        operation(s3, unique("missing"))
    # An error of GetBucketLocation has a member of its answer too: boto3's doing.
    assert_like(error_of(excinfo), recorded["expected_error"], ignore={"LocationConstraint"})


def test_virtual_hosts(cloud, s3, bucket):
    s3.put_object(Bucket=bucket, Key="a/b c", Body=b"by its own name")
    port = cloud.endpoint.rsplit(":", 1)[1]
    virtual = boto3.client(
        "s3",
        endpoint_url=f"http://s3.localhost:{port}",
        region_name=REGION,
        aws_access_key_id=ROOT_KEY,
        aws_secret_access_key=ROOT_SECRET,
        config=Config(s3={"addressing_style": "virtual"}),
    )
    url = virtual.generate_presigned_url("get_object", Params={"Bucket": bucket, "Key": "a/b c"})
    host, _, path = url.removeprefix("http://").partition("/")
    assert host == f"{bucket}.s3.localhost:{port}"
    answer = send(cloud, "GET", f"/{path}", host=host)
    assert (answer.status, answer.body) == (200, b"by its own name")
