"""Objects that come and go are told to functions."""

import json

import pytest
from botocore.exceptions import ClientError

from cloud import eventually
from conftest import function_arn
from recorded import assert_like, event, snapshot

RECORDER = """
    import json

    def handler(event, context):
        print("EVENT " + json.dumps(event))
"""


@pytest.fixture
def recorder(deploy, logs):
    """A function that logs its events, and what it has logged so far."""
    name = deploy(RECORDER)

    def events():
        try:
            found = logs.filter_log_events(logGroupName=f"/aws/lambda/{name}", filterPattern='"EVENT"')
        except logs.exceptions.ResourceNotFoundException:
            return []
        messages = [entry["message"] for entry in found["events"]]
        return [json.loads(message.removeprefix("EVENT ")) for message in messages]

    return name, events


def test_the_event_is_as_aws_sends_it(s3, bucket, recorder, notify):
    function, events = recorder
    notify(bucket, function)
    put = s3.put_object(Bucket=bucket, Key="folder/a b+ü.txt", Body=b"twelve bytes")
    received = eventually(events)[0]
    sample = event("s3Event")
    shape = lambda value: (
        {name: shape(member) for name, member in value.items()}
        if isinstance(value, dict)
        else [shape(member) for member in value]
        if isinstance(value, list)
        else type(value).__name__
    )
    assert shape(received) == shape(sample)
    record = received["Records"][0]
    assert record["eventName"] == "ObjectCreated:Put"
    assert record["awsRegion"] == "us-east-1"
    assert record["s3"]["configurationId"] == "to-function"
    assert record["s3"]["bucket"]["name"] == bucket
    assert record["s3"]["bucket"]["arn"] == f"arn:aws:s3:::{bucket}"
    stored = record["s3"]["object"]
    assert stored["key"] == "folder/a+b%2B%C3%BC.txt"
    assert (stored["size"], stored["eTag"]) == (12, put["ETag"].strip('"'))
    assert record["requestParameters"]["sourceIPAddress"] == "127.0.0.1"


def test_prefix_and_suffix_filters(s3, bucket, recorder, notify):
    function, events = recorder
    notify(bucket, function, rules={"prefix": "in/", "suffix": ".jpg"})
    for key in ["in/a.png", "out/a.jpg", "in/a.jpg", "in/jpg", "in/b.jpg"]:
        s3.put_object(Bucket=bucket, Key=key, Body=b"x")
    eventually(lambda: len(events()) >= 2)
    keys = [received["Records"][0]["s3"]["object"]["key"] for received in events()]
    assert sorted(keys) == ["in/a.jpg", "in/b.jpg"]


def test_every_kind_of_change(s3, bucket, recorder, notify):
    function, events = recorder
    notify(bucket, function, events=["s3:ObjectCreated:*", "s3:ObjectRemoved:*"])
    s3.put_object(Bucket=bucket, Key="put", Body=b"x")
    s3.copy_object(Bucket=bucket, Key="copied", CopySource=f"{bucket}/put")
    upload = s3.create_multipart_upload(Bucket=bucket, Key="parts")
    which = {"Bucket": bucket, "Key": "parts", "UploadId": upload["UploadId"]}
    part = s3.upload_part(**which, PartNumber=1, Body=b"x")
    s3.complete_multipart_upload(**which, MultipartUpload={"Parts": [{"ETag": part["ETag"], "PartNumber": 1}]})
    s3.delete_object(Bucket=bucket, Key="put")
    s3.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": "copied"}]})
    eventually(lambda: len(events()) >= 5)
    records = [received["Records"][0] for received in events()]
    seen = sorted((record["eventName"], record["s3"]["object"]["key"]) for record in records)
    assert seen == [
        ("ObjectCreated:CompleteMultipartUpload", "parts"),
        ("ObjectCreated:Copy", "copied"),
        ("ObjectCreated:Put", "put"),
        ("ObjectRemoved:Delete", "copied"),
        ("ObjectRemoved:Delete", "put"),
    ]
    removed = next(record for record in records if record["eventName"] == "ObjectRemoved:Delete")
    assert set(removed["s3"]["object"]) == {"key", "sequencer"}


def test_sequencers_of_one_key_grow(s3, bucket, recorder, notify):
    function, events = recorder
    notify(bucket, function)
    etags = [s3.put_object(Bucket=bucket, Key="k", Body=str(number).encode())["ETag"] for number in range(5)]
    eventually(lambda: len(events()) >= 5)
    objects = [received["Records"][0]["s3"]["object"] for received in events()]
    objects.sort(key=lambda stored: stored["sequencer"].rjust(32, "0"))
    assert [stored["eTag"] for stored in objects] == [etag.strip('"') for etag in etags]


def test_a_failed_function_gets_its_event_again(s3, bucket, deploy, notify, new_bucket):
    results = new_bucket()
    function = deploy(
        """
        import os, uuid, boto3
        s3 = boto3.client("s3")

        def handler(event, context):
            results = os.environ["RESULTS"]
            s3.put_object(Bucket=results, Key=f"{context.aws_request_id}/{uuid.uuid4()}")
            tries = s3.list_objects_v2(Bucket=results)["KeyCount"]
            if tries < 2:
                raise ValueError("not yet")
        """,
        Environment={"Variables": {"RESULTS": results}},
    )
    notify(bucket, function)
    s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    tries = lambda: s3.list_objects_v2(Bucket=results)
    # AWS waits one minute before it tries an asynchronous invocation again.
    eventually(lambda: tries()["KeyCount"] >= 2, timeout_s=100, every_s=0.5)
    requests = {item["Key"].split("/")[0] for item in tries()["Contents"]}
    assert len(requests) == 1, "each try has the same request id"


def test_the_configuration_comes_back(s3, bucket, deploy, notify):
    function = deploy(RECORDER)
    assert "LambdaFunctionConfigurations" not in s3.get_bucket_notification_configuration(Bucket=bucket)
    notify(bucket, function, rules={"prefix": "a/", "suffix": ".b"})
    got = s3.get_bucket_notification_configuration(Bucket=bucket)["LambdaFunctionConfigurations"]
    assert len(got) == 1
    assert (got[0]["Id"], got[0]["LambdaFunctionArn"]) == ("to-function", function_arn(function))
    assert got[0]["Events"] == ["s3:ObjectCreated:*"]
    rules = {rule["Name"].lower(): rule["Value"] for rule in got[0]["Filter"]["Key"]["FilterRules"]}
    assert rules == {"prefix": "a/", "suffix": ".b"}
    s3.put_bucket_notification_configuration(Bucket=bucket, NotificationConfiguration={})
    assert "LambdaFunctionConfigurations" not in s3.get_bucket_notification_configuration(Bucket=bucket)


def test_no_notification_after_it_was_taken_away(s3, bucket, recorder, notify):
    function, events = recorder
    notify(bucket, function)
    s3.put_object(Bucket=bucket, Key="first", Body=b"x")
    eventually(events)
    s3.put_bucket_notification_configuration(Bucket=bucket, NotificationConfiguration={})
    s3.put_object(Bucket=bucket, Key="second", Body=b"x")
    notify_again = {"Id": "again", "LambdaFunctionArn": function_arn(function), "Events": ["s3:ObjectCreated:*"]}
    s3.put_bucket_notification_configuration(
        Bucket=bucket, NotificationConfiguration={"LambdaFunctionConfigurations": [notify_again]}
    )
    s3.put_object(Bucket=bucket, Key="third", Body=b"x")
    eventually(lambda: len(events()) >= 2)
    assert sorted(got["Records"][0]["s3"]["object"]["key"] for got in events()) == ["first", "third"]


@pytest.mark.parametrize("skip", [False, True])
def test_a_wrong_arn(s3, bucket, skip):
    recorded = snapshot("s3/test_s3_notifications_lambda", "TestS3NotificationsToLambda::test_invalid_lambda_arn")
    target = {"Id": "id123", "LambdaFunctionArn": "invalid-queue", "Events": ["s3:ObjectCreated:*"]}
    with pytest.raises(ClientError) as excinfo:
        s3.put_bucket_notification_configuration(
            Bucket=bucket,
            NotificationConfiguration={"LambdaFunctionConfigurations": [target]},
            SkipDestinationValidation=skip,
        )
    assert_like(excinfo.value.response, recorded["invalid_skip" if skip else "invalid_not_skip"])


def test_a_function_that_is_not_there(s3, bucket):
    recorded = snapshot("s3/test_s3_notifications_lambda", "TestS3NotificationsToLambda::test_invalid_lambda_arn")
    arn = function_arn("my-lambda")
    target = {"Id": "id123", "LambdaFunctionArn": arn, "Events": ["s3:ObjectCreated:*"]}
    with pytest.raises(ClientError) as excinfo:
        s3.put_bucket_notification_configuration(
            Bucket=bucket, NotificationConfiguration={"LambdaFunctionConfigurations": [target]}
        )
    assert_like(excinfo.value.response, recorded["lambda-does-not-exist"])


def test_a_function_that_does_not_allow_it(s3, bucket, deploy):
    target = {"Id": "i", "LambdaFunctionArn": function_arn(deploy(RECORDER)), "Events": ["s3:ObjectCreated:*"]}
    with pytest.raises(ClientError) as excinfo:
        s3.put_bucket_notification_configuration(
            Bucket=bucket, NotificationConfiguration={"LambdaFunctionConfigurations": [target]}
        )
    error = excinfo.value.response["Error"]
    assert error["Code"] == "InvalidArgument"
    assert error["Message"] == "Unable to validate the following destination configurations"


def test_an_event_that_nobody_may_deliver_is_a_dead_letter(cloud, s3, awslambda, bucket, deploy, notify):
    """The function's owner takes the permission back: no attempt can succeed, and the event is kept."""
    function = deploy(RECORDER)
    notify(bucket, function)
    awslambda.remove_permission(FunctionName=function, StatementId=f"s3-{bucket}")
    s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    letters = lambda: [line for line in cloud.command("dead-letters").stdout.splitlines() if function in line]
    assert "does not allow this caller" in eventually(letters)[0]
    assert len(letters()) == 1
