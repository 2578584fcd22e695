"""Exports to the platform's own buckets and imports from them."""

import base64
import gzip
import hashlib
import json

import pytest
from botocore.exceptions import ClientError

from cloud import ACCOUNT, REGION, eventually
from test_dynamodb_backups import active, delete, items, recover
from test_dynamodb_streams import create


@pytest.fixture(scope="module")
def dynamodb(cloud):
    return cloud.client("dynamodb")


@pytest.fixture
def table(dynamodb, unique):
    name = unique("table")
    create(dynamodb, name, None)
    recover(dynamodb, name)
    for number in range(50):
        item = {"id": {"S": f"item-{number}"}, "n": {"N": str(number)}, "b": {"B": b"\0\1"}, "s": {"SS": ["a", "b"]}}
        dynamodb.put_item(TableName=name, Item=item)
    yield name
    eventually(lambda: delete(dynamodb, name))


def arn_of(table):
    return f"arn:aws:dynamodb:{REGION}:{ACCOUNT}:table/{table}"


def export(dynamodb, table, bucket, **more):
    begun = dynamodb.export_table_to_point_in_time(TableArn=arn_of(table), S3Bucket=bucket, **more)
    arn = begun["ExportDescription"]["ExportArn"]

    def ended():
        description = dynamodb.describe_export(ExportArn=arn)["ExportDescription"]
        return description["ExportStatus"] != "IN_PROGRESS" and description

    return eventually(ended, timeout_s=60)


def import_table(dynamodb, table, bucket=None, prefix=None, format="DYNAMODB_JSON", source=None, **more):
    return dynamodb.import_table(
        S3BucketSource=source or {"S3Bucket": bucket, "S3KeyPrefix": prefix},
        InputFormat=format,
        TableCreationParameters={
            "TableName": table,
            "AttributeDefinitions": [{"AttributeName": "id", "AttributeType": "S"}],
            "KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}],
            "BillingMode": "PAY_PER_REQUEST",
        },
        **more,
    )["ImportTableDescription"]


def imported(dynamodb, table, *arguments, **more):
    begun = import_table(dynamodb, table, *arguments, **more)
    assert begun["ImportStatus"] == "IN_PROGRESS"

    def ended():
        description = dynamodb.describe_import(ImportArn=begun["ImportArn"])["ImportTableDescription"]
        return description["ImportStatus"] != "IN_PROGRESS" and description

    return eventually(ended, timeout_s=60)


def test_an_export_lies_as_on_aws(dynamodb, s3, bucket, table):
    done = export(dynamodb, table, bucket, S3Prefix="out")
    assert done["ExportStatus"] == "COMPLETED" and done["ItemCount"] == 50, done
    read = lambda key: s3.get_object(Bucket=bucket, Key=key)["Body"].read()
    folder = done["ExportManifest"].removesuffix("/manifest-summary.json")
    assert folder.startswith("out/AWSDynamoDB/") and folder.rsplit("/", 1)[1] == done["ExportArn"].rsplit("/", 1)[1]
    summary = json.loads(read(done["ExportManifest"]))
    assert summary["itemCount"] == 50 and summary["tableArn"] == arn_of(table)
    assert summary["manifestFilesS3Key"] == f"{folder}/manifest-files.json"
    for name in ("summary", "files"):
        digest = hashlib.md5(read(f"{folder}/manifest-{name}.json")).digest()
        assert read(f"{folder}/manifest-{name}.md5") == base64.b64encode(digest)
    found = []
    for line in read(summary["manifestFilesS3Key"]).splitlines():
        file = json.loads(line)
        data = read(file["dataFileS3Key"])
        assert base64.b64encode(hashlib.md5(data).digest()).decode() == file["md5Checksum"]
        assert s3.head_object(Bucket=bucket, Key=file["dataFileS3Key"])["ETag"].strip('"') == file["etag"]
        found += [json.loads(item)["Item"] for item in gzip.decompress(data).splitlines()]
    assert len(found) == 50
    assert {"id": {"S": "item-7"}, "n": {"N": "7"}, "b": {"B": "AAE="}, "s": {"SS": ["a", "b"]}} in found
    listed = dynamodb.list_exports(TableArn=arn_of(table))["ExportSummaries"]
    assert [(one["ExportArn"], one["ExportStatus"]) for one in listed] == [(done["ExportArn"], "COMPLETED")]


def test_what_was_exported_is_imported(dynamodb, bucket, table, unique):
    done = export(dynamodb, table, bucket)
    data = done["ExportManifest"].removesuffix("manifest-summary.json") + "data/"
    target = unique("target")
    result = imported(dynamodb, target, bucket, data, InputCompressionType="GZIP")
    assert result["ImportStatus"] == "COMPLETED" and result["ImportedItemCount"] == 50, result
    assert result["ErrorCount"] == 0 and result["ProcessedSizeBytes"] > 0
    active(dynamodb, target)
    assert items(dynamodb, target) == items(dynamodb, table)
    listed = dynamodb.list_imports(TableArn=arn_of(target))["ImportSummaryList"]
    assert [one["ImportArn"] for one in listed] == [result["ImportArn"]]
    dynamodb.delete_table(TableName=target)


def test_csv_is_imported(dynamodb, s3, bucket, unique):
    s3.put_object(Bucket=bucket, Key="in/1.csv", Body=b'id;name\na;"one; ""two"""\n;nobody\n')
    s3.put_object(Bucket=bucket, Key="in/2.csv", Body=b"id;name\r\nb;\r\n")
    s3.put_object(Bucket=bucket, Key="other.csv", Body=b"id;name\nc;no\n")
    target = unique("target")
    result = imported(dynamodb, target, bucket, "in/", "CSV", InputFormatOptions={"Csv": {"Delimiter": ";"}})
    assert (result["ProcessedItemCount"], result["ImportedItemCount"], result["ErrorCount"]) == (3, 2, 1)
    assert result["FailureCode"] == "ItemValidationError"
    found = items(dynamodb, target)
    assert found == {"a": {"id": {"S": "a"}, "name": {"S": 'one; "two"'}}, "b": {"id": {"S": "b"}, "name": {"S": ""}}}
    dynamodb.delete_table(TableName=target)


def test_callers_need_their_own_permissions(cloud, dynamodb, iam, bucket, table, unique):
    user = unique("user")
    iam.create_user(UserName=user)
    key = iam.create_access_key(UserName=user)["AccessKey"]

    def allow(*statements):
        document = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", **one} for one in statements]}
        iam.put_user_policy(UserName=user, PolicyName="own", PolicyDocument=json.dumps(document))

    own = cloud.client("dynamodb", key["AccessKeyId"], key["SecretAccessKey"])
    tables = {"Action": "dynamodb:*", "Resource": "*"}
    allow(tables)

    def refused():
        try:
            own.export_table_to_point_in_time(TableArn=arn_of(table), S3Bucket=bucket)
        except ClientError as error:
            return "s3:PutObject" in str(error) and error.response["Error"]["Code"]
        return None

    assert eventually(refused) == "AccessDeniedException"
    allow(tables, {"Action": "s3:PutObject", "Resource": f"arn:aws:s3:::{bucket}/*"})
    eventually(lambda: not refused())
    done = export(own, table, bucket)
    assert done["ExportStatus"] == "COMPLETED"
    with pytest.raises(ClientError) as denied:
        imported(own, unique("target"), bucket, "AWSDynamoDB/")
    assert denied.value.response["Error"]["Code"] == "AccessDeniedException"


def test_a_bucket_must_be_of_the_owner_that_is_expected(dynamodb, s3, bucket, table, unique):
    stranger = "111111111111"
    with pytest.raises(ClientError) as refused:
        export(dynamodb, table, bucket, S3BucketOwner=stranger)
    assert refused.value.response["Error"]["Code"] == "AccessDeniedException"
    assert "Contents" not in s3.list_objects_v2(Bucket=bucket), "nothing is written to a bucket of somebody else"
    done = export(dynamodb, table, bucket, S3BucketOwner=ACCOUNT)
    assert done["ExportStatus"] == "COMPLETED" and done["S3BucketOwner"] == ACCOUNT
    data = done["ExportManifest"].removesuffix("manifest-summary.json") + "data/"
    target = unique("target")
    source = {"S3Bucket": bucket, "S3KeyPrefix": data}
    more = {"InputCompressionType": "GZIP"}
    with pytest.raises(ClientError) as refused:
        imported(dynamodb, target, source={**source, "S3BucketOwner": stranger}, **more)
    assert refused.value.response["Error"]["Code"] == "AccessDeniedException"
    with pytest.raises(dynamodb.exceptions.ResourceNotFoundException):
        dynamodb.describe_table(TableName=target)
    result = imported(dynamodb, target, source={**source, "S3BucketOwner": ACCOUNT}, **more)
    assert result["ImportStatus"] == "COMPLETED" and result["S3BucketSource"]["S3BucketOwner"] == ACCOUNT
    dynamodb.delete_table(TableName=target)


def test_a_client_token_is_for_one_export_and_one_import(dynamodb, s3, bucket, table, unique):
    token, target = unique("token"), unique("target")
    first = export(dynamodb, table, bucket, ClientToken=token)
    objects = lambda: [one["Key"] for one in s3.list_objects_v2(Bucket=bucket)["Contents"]]
    before = objects()
    assert export(dynamodb, table, bucket, ClientToken=token)["ExportArn"] == first["ExportArn"]
    assert objects() == before and sum(key.endswith("/_started") for key in before) == 1
    with pytest.raises(dynamodb.exceptions.ExportConflictException):
        export(dynamodb, table, bucket, ClientToken=token, S3Prefix="elsewhere")
    data = first["ExportManifest"].removesuffix("manifest-summary.json") + "data/"
    wanted = {"InputCompressionType": "GZIP", "ClientToken": token}
    result = imported(dynamodb, target, bucket, data, **wanted)
    again = import_table(dynamodb, target, bucket, data, **wanted)
    assert again["ImportArn"] == result["ImportArn"] and again["ImportStatus"] == "COMPLETED"
    with pytest.raises(dynamodb.exceptions.ImportConflictException):
        import_table(dynamodb, target, bucket, "elsewhere", **wanted)
    dynamodb.delete_table(TableName=target)


def test_what_is_wrong_is_said(dynamodb, bucket, table, unique):
    def refusal(call, **arguments):
        with pytest.raises(ClientError) as refused:
            call(**arguments)
        return refused.value.response["Error"]["Code"]

    wanted = {"TableArn": arn_of(table), "S3Bucket": bucket}
    export = dynamodb.export_table_to_point_in_time
    assert refusal(export, **{**wanted, "S3Bucket": unique("none")}) == "ValidationException"
    assert refusal(export, **wanted, ExportFormat="ION") == "NotImplemented"
    recover(dynamodb, table, on=False)
    assert refusal(export, **wanted) == "PointInTimeRecoveryUnavailableException"
    missing = f"{arn_of(table)}/export/01234567890123-a1b2c3d4"
    assert refusal(dynamodb.describe_export, ExportArn=missing) == "ExportNotFoundException"


def test_imports_go_on_after_a_crash(own_cloud):
    own_cloud.start()
    s3, dynamodb = own_cloud.client("s3"), own_cloud.client("dynamodb")
    s3.create_bucket(Bucket="bucket")
    for file in range(3):
        lines = [
            json.dumps({"Item": {"id": {"S": f"{file}-{number}"}, "pad": {"S": "x" * 500}}}) for number in range(3000)
        ]
        s3.put_object(Bucket="bucket", Key=f"in/{file}.json", Body="\n".join(lines).encode())
    begun = import_table(dynamodb, "target", "bucket", "in/")
    seen = lambda: own_cloud.client("dynamodb").describe_import(ImportArn=begun["ImportArn"])["ImportTableDescription"]
    eventually(lambda: seen()["ImportedItemCount"] > 0)
    own_cloud.kill()
    own_cloud.start()
    eventually(lambda: seen()["ImportStatus"] == "COMPLETED", timeout_s=60)
    assert seen()["ImportedItemCount"] == 9000
    assert len(items(own_cloud.client("dynamodb"), "target")) == 9000
