"""Streams of tables are brought to functions: in order, at least once, whatever happens in between."""

import itertools
import json
import time

import pytest
from botocore.exceptions import ClientError

import conftest
import mapped
import packages
from cloud import eventually
from mapped import Mapped, gone, wait_for
from recorded import event
from test_audit import events


@pytest.fixture
def table(cloud, unique):
    name = unique("table")
    yield name
    cloud.client("dynamodb").delete_table(TableName=name)


@pytest.fixture
def joined(cloud, deploy, table):
    """Maps the stream of a new table to a new function; the mapping is deleted after the test."""
    made = []

    def join(code=mapped.NOTES, function=None, **settings):
        made.append(Mapped(cloud, table, function or deploy(code), **settings))
        return made[-1]

    yield join
    for one in made:
        if not gone(one.awslambda, one.uuid):
            one.awslambda.delete_event_source_mapping(UUID=one.uuid)
            eventually(lambda one=one: gone(one.awslambda, one.uuid))


def discarded(s3, bucket, count):
    """What a mapping put into a bucket, by its key."""

    def found():
        listed = s3.list_objects_v2(Bucket=bucket, Prefix="aws/lambda/").get("Contents", [])
        return len(listed) >= count and listed

    return {one["Key"]: json.load(s3.get_object(Bucket=bucket, Key=one["Key"])["Body"]) for one in eventually(found)}


def test_changes_come_in_order(joined):
    m = joined(BatchSize=10)
    for number in range(20):
        m.put("one", number)
    assert [number for batch in m.until(19) for number in batch] == list(range(20))
    m.dynamodb.delete_item(TableName=m.table, Key={"id": {"S": "one"}})
    last = eventually(lambda: [one for one in m.events() if one["Records"][-1]["eventName"] == "REMOVE"])
    record, sample = last[0]["Records"][-1], event("dynamoStreamEvent")["Records"][0]
    assert set(record) == set(sample)
    assert record["eventSourceARN"] == m.stream
    assert record["eventVersion"] == "1.1"
    assert m.awslambda.get_event_source_mapping(UUID=m.uuid)["LastProcessingResult"] == "OK"


def test_filters(joined):
    filters = [{"Pattern": json.dumps({"eventName": ["MODIFY"], "dynamodb": {"NewImage": {"n": {"N": ["2", "4"]}}}})}]
    m = joined(FilterCriteria={"Filters": filters})
    for number in range(6):
        m.put("one", number)
    assert [number for batch in m.until(4) for number in batch] == [2, 4]


def test_a_poisoned_item_goes_to_a_bucket(s3, bucket, joined):
    destination = {"OnFailure": {"Destination": f"arn:aws:s3:::{bucket}"}}
    m = joined(BatchSize=1, MaximumRetryAttempts=1, DestinationConfig=destination)
    m.put("one", 1)
    m.put("one", 2, poison={"BOOL": True})
    m.put("one", 3)
    assert [number for batch in m.until(3) for number in batch] == [1, 2, 2, 3]
    ((key, told),) = discarded(s3, bucket, 1).items()
    assert key.startswith(f"aws/lambda/{m.uuid}/shardId-")
    assert told["requestContext"]["condition"] == "RetryAttemptsExhausted"
    assert told["requestContext"]["approximateInvokeCount"] == 2
    assert told["responseContext"] == {"statusCode": 200, "executedVersion": "$LATEST", "functionError": "Unhandled"}
    info = told["DDBStreamBatchInfo"]
    assert (info["batchSize"], info["streamArn"]) == (1, m.stream)
    assert info["startSequenceNumber"] == info["endSequenceNumber"]
    assert told["payload"]["Records"][0]["dynamodb"]["NewImage"]["n"] == {"N": "2"}


def test_a_bucket_gets_the_whole_of_a_long_batch(s3, bucket, awslambda, joined):
    destination = {"OnFailure": {"Destination": f"arn:aws:s3:::{bucket}"}}
    m = joined(Enabled=False, BatchSize=8, MaximumRetryAttempts=0, DestinationConfig=destination)
    for number in range(8):
        m.put("one", number, poison={"S": "x" * 390_000})
    awslambda.update_event_source_mapping(UUID=m.uuid, Enabled=True)
    (told,) = discarded(s3, bucket, 1).values()
    records = told["payload"]["Records"]
    assert told["DDBStreamBatchInfo"]["batchSize"] == len(records) == 8
    assert all(len(record["dynamodb"]["NewImage"]["poison"]["S"]) == 390_000 for record in records)


def test_a_batch_that_fails_is_bisected(awslambda, logs, deploy, joined):
    # A function is told of what is given up, too.
    listener = deploy(mapped.NOTES.replace('event["Records"]', "[]"))
    destination = {"OnFailure": {"Destination": conftest.function_arn(listener)}}
    m = joined(
        Enabled=False,
        BatchSize=8,
        BisectBatchOnFunctionError=True,
        MaximumRetryAttempts=0,
        DestinationConfig=destination,
    )
    for number in range(8):
        m.put("one", number, **({"poison": {"BOOL": True}} if number == 5 else {}))
    awslambda.update_event_source_mapping(UUID=m.uuid, Enabled=True)
    batches = eventually(lambda: len(got := m.numbers()) >= 7 and got)
    assert batches == [[0, 1, 2, 3, 4, 5, 6, 7], [0, 1, 2, 3], [4, 5, 6, 7], [4, 5], [4], [5], [6, 7]]
    told = eventually(lambda: mapped.noted(logs, listener))
    assert told[0]["DDBStreamBatchInfo"]["batchSize"] == 1
    assert "payload" not in told[0]


def test_partial_failures(awslambda, joined):
    m = joined(
        mapped.PARTIAL,
        Enabled=False,
        BatchSize=10,
        MaximumRetryAttempts=1,
        FunctionResponseTypes=["ReportBatchItemFailures"],
    )
    for number in range(5):
        m.put("one", number, **({"poison": {"BOOL": True}} if number == 2 else {}))
    awslambda.update_event_source_mapping(UUID=m.uuid, Enabled=True)
    # From the failure on, once more, and then without what could not be handled.
    eventually(lambda: len(m.numbers()) >= 2)
    m.put("one", 5)
    assert eventually(lambda: len(got := m.numbers()) >= 3 and got) == [[0, 1, 2, 3, 4], [2, 3, 4], [5]]


def test_lanes_run_at_once_and_keep_keys_in_order(awslambda, joined):
    m = joined(
        "import json, time\ndef handler(event, context):\n    print('EVENT ' + json.dumps(event))\n    time.sleep(0.05)\n",
        Enabled=False,
        BatchSize=5,
        ParallelizationFactor=10,
    )
    for number in range(60):
        m.put(f"key-{number % 12}", number)
    awslambda.update_event_source_mapping(UUID=m.uuid, Enabled=True)
    batches = m.until(*range(60))
    for key in range(12):
        # Log streams of several environments are not in order; batches are.
        of_key = [[number for number in batch if number % 12 == key] for batch in batches]
        assert all(batch == sorted(batch) for batch in of_key)
        assert sorted(number for batch in of_key for number in batch) == list(range(key, 60, 12))


def test_tumbling_windows_have_a_state(joined):
    m = joined(mapped.COUNTS, TumblingWindowInSeconds=2)
    for number in range(4):
        m.put("one", number)

    def finals():
        return [one for one in m.events() if one["isFinalInvokeForWindow"]]

    eventually(lambda: sum(one["state"]["count"] for one in finals()) == 4)
    last = finals()[-1]
    assert set(last) == {
        "Records", "window", "state", "shardId", "eventSourceARN", "isFinalInvokeForWindow", "isWindowTerminatedEarly",
    }
    assert set(last["window"]) == {"start", "end"}
    assert last["Records"] == []


def test_a_batching_window_gathers(joined):
    m = joined(MaximumBatchingWindowInSeconds=2, BatchSize=100)
    for number in range(5):
        m.put("one", number)
    assert m.until(4) == [[0, 1, 2, 3, 4]]


def test_latest_begins_with_the_mapping(cloud, deploy, table):
    dynamodb, awslambda = cloud.client("dynamodb"), cloud.client("lambda")
    stream = mapped.make_table(dynamodb, table)
    put = lambda number: dynamodb.put_item(TableName=table, Item={"id": {"S": "one"}, "n": {"N": str(number)}})
    put(1)
    name = deploy(mapped.NOTES)
    made = awslambda.create_event_source_mapping(EventSourceArn=stream, FunctionName=name, StartingPosition="LATEST")
    put(2)
    events = eventually(lambda: mapped.noted(cloud.client("logs"), name))
    assert [mapped.number_of(record) for one in events for record in one["Records"]] == [2]
    awslambda.delete_event_source_mapping(UUID=made["UUID"])
    eventually(lambda: gone(awslambda, made["UUID"]))


def test_the_functions_role_decides(iam, awslambda, deploy, joined, unique):
    role = conftest.make_role(iam, unique("role"), [])
    name = deploy(mapped.NOTES, Role=role)
    with pytest.raises(ClientError) as caught:
        joined(function=name)
    told = caught.value.response["Error"]
    assert told["Code"] == "InvalidParameterValueException"
    assert told["Message"].startswith("Cannot access stream arn:aws:dynamodb:")
    assert told["Message"].endswith(
        "Please ensure the role can perform the GetRecords, GetShardIterator, DescribeStream, and ListStreams Actions on "
        "your stream in IAM."
    )


def test_a_role_that_lost_its_policy_is_asked_now_and_then(cloud, iam, awslambda, deploy, joined, unique):
    everything = [{"Effect": "Allow", "Action": ["dynamodb:*", "logs:*"], "Resource": "*"}]
    name = unique("role")
    m = joined(function=deploy(mapped.NOTES, Role=conftest.make_role(iam, name, everything)), ParallelizationFactor=10)
    m.put("one", 0)
    m.until(0)
    iam.delete_role_policy(RoleName=name, PolicyName="inline")

    changes = itertools.count(1000)

    def is_refused():
        m.put("one", next(changes))
        result = awslambda.get_event_source_mapping(UUID=m.uuid)["LastProcessingResult"]
        return result.startswith("PROBLEM: The function's execution role may not call dynamodb:GetRecords on")

    eventually(is_refused)
    for number in range(1, 40):
        m.put(f"key-{number}", number)
    # Forty lanes, of which each has something to do.
    denied = [one for one in events(cloud, "--denied", "--principal", name) if one["eventName"] == "GetRecords"]
    assert 1 <= len(denied) <= 3, denied
    iam.put_role_policy(
        RoleName=name, PolicyName="inline", PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": everything})
    )
    m.until(*range(40))


def test_nothing_is_lost_when_the_cloud_is_killed(own_cloud):
    cloud = own_cloud.start()
    role = conftest.make_role(cloud.client("iam"), "function-role", [{"Effect": "Allow", "Action": "*", "Resource": "*"}])
    awslambda = cloud.client("lambda")
    code = "import json, time\ndef handler(event, context):\n    print('EVENT ' + json.dumps(event))\n    time.sleep(0.02)\n"
    awslambda.create_function(
        FunctionName="f",
        Code={"ZipFile": packages.python(code)},
        Runtime="python3.13",
        Handler="index.handler",
        Role=role,
    )
    awslambda.get_waiter("function_active_v2").wait(FunctionName="f")
    m = Mapped(cloud, "table", "f", BatchSize=3, ParallelizationFactor=2)
    put = 0
    for _ in range(3):
        for _ in range(30):
            m.put(f"key-{put % 5}", put)
            put += 1
        seen = len(m.numbers())
        eventually(lambda seen=seen, m=m: len(m.numbers()) > seen)
        cloud.kill()
        cloud.start()
        uuid = m.uuid
        m.dynamodb, m.awslambda, m.logs = (cloud.client(name) for name in ("dynamodb", "lambda", "logs"))
    # Lines that a killed cloud had not written are missing; what ran without its checkpoint came again.
    eventually(lambda: m.awslambda.get_event_source_mapping(UUID=uuid)["LastProcessingResult"] == "OK")
    for number in range(put, put + 10):
        m.put(f"key-{number % 5}", number)
    m.until(*range(put, put + 10))


def test_states_and_changes(awslambda, joined):
    m = joined()
    shown = awslambda.update_event_source_mapping(UUID=m.uuid, Enabled=False, BatchSize=7)
    assert (shown["State"], shown["BatchSize"]) == ("Disabling", 7)
    wait_for(awslambda, m.uuid, "Disabled")
    m.put("one", 1)
    assert awslambda.update_event_source_mapping(UUID=m.uuid, Enabled=True)["State"] == "Enabling"
    m.until(1)
    listed = awslambda.list_event_source_mappings(FunctionName=m.function)["EventSourceMappings"]
    assert [one["UUID"] for one in listed] == [m.uuid]
    assert awslambda.list_event_source_mappings(EventSourceArn=m.stream)["EventSourceMappings"] == listed
    arn = listed[0]["EventSourceMappingArn"]
    awslambda.tag_resource(Resource=arn, Tags={"a": "b"})
    assert awslambda.list_tags(Resource=arn)["Tags"] == {"a": "b"}
    assert awslambda.delete_event_source_mapping(UUID=m.uuid)["State"] == "Deleting"
    eventually(lambda: gone(awslambda, m.uuid))
    m.put("one", 2)
    assert m.numbers() == [[1]]


def test_from_commit_to_handler_it_takes_milliseconds(joined, capsys):
    code = (
        "import json, time\n"
        "def handler(event, context):\n"
        "    now = time.time()\n"
        "    for record in event['Records']:\n"
        "        image = record['dynamodb']['NewImage']\n"
        "        print('EVENT ' + json.dumps({'Records': [], 'took': now - float(image['at']['N'])}))\n"
    )
    m = joined(code)
    for number in range(40):
        m.dynamodb.put_item(
            TableName=m.table, Item={"id": {"S": str(number)}, "at": {"N": repr(time.time())}}
        )
    events = eventually(lambda: len(m.events()) >= 40 and m.events())
    took = sorted(one["took"] for one in events[5:])
    with capsys.disabled():
        print(f"\nfrom the call's begin to the handler: p50 {took[len(took) // 2] * 1000:.1f} ms, worst {took[-1] * 1000:.1f}")
    assert len(took) == 35


def test_policies_may_ask_for_the_function(cloud, iam, deploy, joined, unique):
    m, other = joined(), deploy(mapped.NOTES)
    name = unique("user")
    iam.create_user(UserName=name)
    statement = {
        "Effect": "Allow",
        "Action": ["lambda:GetEventSourceMapping", "lambda:UpdateEventSourceMapping"],
        "Resource": "*",
        "Condition": {"StringEquals": {"lambda:FunctionArn": conftest.function_arn(m.function)}},
    }
    policy = {"Version": "2012-10-17", "Statement": statement}
    iam.put_user_policy(UserName=name, PolicyName="p", PolicyDocument=json.dumps(policy))
    key = iam.create_access_key(UserName=name)["AccessKey"]
    client = cloud.client("lambda", key["AccessKeyId"], key["SecretAccessKey"])
    assert client.get_event_source_mapping(UUID=m.uuid)["UUID"] == m.uuid
    assert client.update_event_source_mapping(UUID=m.uuid, BatchSize=3)["BatchSize"] == 3

    def denied(call, **request):
        with pytest.raises(ClientError) as caught:
            call(**request)
        return caught.value.response["Error"]["Code"] == "AccessDeniedException"

    # Neither to a function that the policy does not name, nor away from the one that it does.
    assert denied(client.update_event_source_mapping, UUID=m.uuid, FunctionName=other)
    m.awslambda.update_event_source_mapping(UUID=m.uuid, FunctionName=other)
    assert denied(client.get_event_source_mapping, UUID=m.uuid)
    assert denied(client.update_event_source_mapping, UUID=m.uuid, FunctionName=m.function)
    assert denied(client.delete_event_source_mapping, UUID=m.uuid)
