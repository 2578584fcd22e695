"""Event source mappings, played as they were recorded."""

import json
import uuid

import pytest

import mapped
import packages
from cloud import ACCOUNT, REGION, eventually

FILE = "lambda_/event_source_mapping/test_lambda_integration_dynamodbstreams"
CLASS = "TestDynamoDBEventSourceMapping"
API = "TestLambdaEventSourceMappings"
EVENTS = "import json\ndef handler(event, context):\n    print('EVENT ' + json.dumps(event))\n"


@pytest.fixture(scope="module")
def dynamodb(cloud):
    return cloud.client("dynamodb")


@pytest.fixture
def new_table(dynamodb, unique):
    made = []

    def new_table(key="id", view="NEW_IMAGE"):
        name = unique("table")
        dynamodb.create_table(
            TableName=name,
            KeySchema=[{"AttributeName": key, "KeyType": "HASH"}],
            AttributeDefinitions=[{"AttributeName": key, "AttributeType": "S"}],
            BillingMode="PAY_PER_REQUEST",
            StreamSpecification={"StreamEnabled": True, "StreamViewType": view},
        )
        made.append(name)
        dynamodb.get_waiter("table_exists").wait(TableName=name, WaiterConfig={"Delay": 1, "MaxAttempts": 20})
        return name, dynamodb.describe_table(TableName=name)["Table"]["LatestStreamArn"]

    yield new_table
    for name in made:
        dynamodb.delete_table(TableName=name)


def function(r, code):
    return r.function(Code={"ZipFile": packages.package({"index.py": code})})


def create(r, step, name, stream, **settings):
    request = {"StartingPosition": "TRIM_HORIZON", "MaximumBatchingWindowInSeconds": 1, **settings}
    answer = r.call(step, "create_event_source_mapping", FunctionName=name, EventSourceArn=stream, **request)
    if "UUID" in answer:
        mapped.wait_for(r.client, answer["UUID"], "Enabled")
    return answer


def delete(r, answer, step=None):
    r.call(step, "delete_event_source_mapping", UUID=answer["UUID"])
    eventually(lambda: mapped.gone(r.client, answer["UUID"]))


def test_exceptions(replay):
    r = replay(f"{API}::test_event_source_mapping_exceptions")
    r.call("get_unknown_uuid", "get_event_source_mapping", UUID=str(uuid.uuid4()))
    r.call("delete_unknown_uuid", "delete_event_source_mapping", UUID=str(uuid.uuid4()))
    r.call("update_unknown_uuid", "update_event_source_mapping", UUID=str(uuid.uuid4()), Enabled=False)
    r.call("create_no_event_source_arn", "create_event_source_mapping", FunctionName="doesnotexist")
    queue = f"arn:aws:sqs:{REGION}:{ACCOUNT}:somequeue"
    unknown = {"FunctionName": "doesnotexist", "EventSourceArn": queue}
    r.call("create_unknown_params", "create_event_source_mapping", **unknown)
    r.call(
        "destination_config_failure",
        "create_event_source_mapping",
        FunctionName=r.function(),
        EventSourceArn=queue,
        DestinationConfig={"OnSuccess": {"Destination": queue}},
    )


@pytest.mark.parametrize("deleted", [False, True], ids=["function stays", "function is deleted"])
def test_lifecycle(replay, bucket, new_table, deleted):
    r = replay(f"{API}::test_event_source_mapping_lifecycle{'_delete_function' if deleted else ''}")
    name, (_, stream) = r.function(), new_table()
    destination = {"OnFailure": {"Destination": f"arn:aws:s3:::{bucket}"}}
    made = create(
        r, "create_response", name, stream, BatchSize=1, MaximumRetryAttempts=1, DestinationConfig=destination
    )
    r.call("get_response", "get_event_source_mapping", UUID=made["UUID"])
    if deleted:
        r.call(None, "delete_function", FunctionName=name)
        r.call("get_response_post_delete", "get_event_source_mapping", UUID=made["UUID"])
    delete(r, made, "delete_response")


def test_starting_positions(replay, new_table):
    r = replay(f"{API}::test_create_event_source_validation")
    given = {"FunctionName": r.function(), "EventSourceArn": new_table()[1]}
    r.call("no_starting_position", "create_event_source_mapping", **given)
    r.call("invalid_starting_position", "create_event_source_mapping", StartingPosition="invalid", **given)
    r.call("incompatible_starting_position", "create_event_source_mapping", StartingPosition="AT_TIMESTAMP", **given)
    r = replay(f"{API}::test_create_event_source_validation_kinesis")
    given["EventSourceArn"] = f"arn:aws:kinesis:{REGION}:{ACCOUNT}:stream/s"
    r.call("no_starting_position", "create_event_source_mapping", **given)
    r.call("invalid_starting_position", "create_event_source_mapping", StartingPosition="invalid", **given)


def test_no_filters(replay, new_table):
    r = replay(f"{API}::test_create_event_filter_criteria_validation")
    settings = {"FilterCriteria": {"Filters": []}, "StartingPosition": "LATEST", "MaximumBatchingWindowInSeconds": 0}
    delete(r, create(r, "response-with-empty-filters", r.function(), new_table()[1], **settings))


def test_a_servers_own_source_wants_access(replay):
    r = replay(f"{API}::test_create_event_source_self_managed")
    source = {"Endpoints": {"KAFKA_BOOTSTRAP_SERVERS": ["kafka:1000"]}}
    r.call(
        "missing-source-access-configuration",
        "create_event_source_mapping",
        FunctionName=r.function(),
        SelfManagedEventSource=source,
        Topics=["topic"],
    )


def test_a_change_reaches_its_function(replay, dynamodb, logs, new_table):
    r = replay(f"{CLASS}::test_dynamodb_event_source_mapping", FILE)
    name, (table, stream) = function(r, EVENTS), new_table("my_partition_key")
    made = create(
        r, "create_event_source_mapping_response", name, stream, BatchSize=1, MaximumRetryAttempts=1
    )
    item = {"my_partition_key": {"S": "hello world"}, "binary_key": {"B": b"foobar"}}
    dynamodb.put_item(TableName=table, Item=item)
    r.match("event_logs", eventually(lambda: mapped.noted(logs, name)))
    delete(r, made)


def test_a_mapping_is_disabled(replay, dynamodb, logs, new_table):
    r = replay(f"{CLASS}::test_disabled_dynamodb_event_source_mapping", FILE)
    name, (table, stream) = function(r, EVENTS), new_table()
    made = create(r, "create_event_source_mapping_result", name, stream)
    dynamodb.put_item(TableName=table, Item={"id": {"S": "1"}})
    eventually(lambda: r.client.get_event_source_mapping(UUID=made["UUID"])["LastProcessingResult"] == "OK")
    r.call("update_event_source_mapping_result", "update_event_source_mapping", UUID=made["UUID"], Enabled=False)
    mapped.wait_for(r.client, made["UUID"], "Disabled")
    delete(r, made)


def test_a_mapping_outlives_its_table(replay, dynamodb, new_table):
    r = replay(f"{CLASS}::test_deletion_event_source_mapping_with_dynamodb", FILE)
    name, (_, stream) = r.function(), new_table()
    settings = {"MaximumBatchingWindowInSeconds": 0}
    made = create(r, "create_event_source_mapping_result", name, stream, **settings)
    r.call("list_event_source_mapping_result", "list_event_source_mappings", EventSourceArn=stream)
    delete(r, made)


def test_a_source_is_mapped_once(replay, new_table):
    r = replay(f"{CLASS}::test_duplicate_event_source_mappings", FILE)
    name, (_, stream) = r.function(), new_table("my_partition_key")
    made = create(r, "create", name, stream, MaximumRetryAttempts=1)
    create(r, "error", name, stream)
    delete(r, made)


def test_a_stream_has_to_be_there(replay):
    r = replay(f"{CLASS}::test_esm_with_not_existing_dynamodb_stream", FILE)
    create(r, "error", r.function(), f"arn:aws:dynamodb:{REGION}:{ACCOUNT}:table/test-table-4a53f4e8/stream/2025-02-22T03:03:25.490")


@pytest.mark.parametrize("pattern", ["single-string", '[{"eventName": ["INSERT"=123}]'])
def test_filters_are_checked(replay, new_table, pattern):
    r = replay(f"{CLASS}::test_dynamodb_invalid_event_filter[{pattern}]", FILE)
    filters = {"Filters": [{"Pattern": json.dumps(pattern) if pattern == "single-string" else pattern}]}
    create(r, "exception_event_source_creation", r.function(), new_table()[1], FilterCriteria=filters)


# Items in the order of their writes; those before the mark come before the first look.
FILTERED = {
    "insert_same_entry_twice": ({"eventName": ["INSERT"]}, [{"id2": "id2_value"}], [{"id2": "id2_value"}], ["id_value"]),
    "content_or_filter": ({"eventName": ["INSERT", "MODIFY"]}, [{}], [{"id2": "id2_new_value"}], ["id_value"]),
    "content_multiple_filters": (
        {"eventName": ["INSERT"], "eventSource": ["aws:dynamodb"]},
        [{}],
        [{"id2": "id2_new_value"}],
        ["id_value"],
    ),
    "content_filter_type": (
        {"dynamodb": {"NewImage": {"presentKey": {"S": ["presentValue"]}}}},
        [{"presentKey": "presentValue"}],
        [{"presentKey": "notPresentValue"}],
        ["id_value_1", "id_value_2"],
    ),
    "exists_filter_type": (
        {"dynamodb": {"NewImage": {"presentKey": {"S": [{"exists": True}]}}}},
        [{"presentKey": "presentValue"}],
        [{}],
        ["id_value_1", "id_value_2"],
    ),
    # Exists looks at values only: an object is none.
    "exists_false_filter": (
        {"dynamodb": {"NewImage": {"presentKey": [{"exists": False}]}}},
        [{}],
        [{"presentKey": "presentValue"}],
        ["id_value_1", "id_value_2"],
    ),
    "numeric_filter": (
        {"dynamodb": {"NewImage": {"numericFilter": {"N": [{"numeric": [">", 100]}, {"anything-but": "101"}]}}}},
        [{"numericFilter": 42}],
        [{"numericFilter": 101}],
        ["id_value_1", "id_value_2"],
    ),
    "prefix_filter": (
        {"dynamodb": {"NewImage": {"prefix": {"S": [{"prefix": "us-1"}]}}}},
        [{"prefix": "us-1-other-suffix"}],
        [{"prefix": "other-suffix"}],
        ["id_value_1", "id_value_2"],
    ),
}


@pytest.mark.parametrize("case", FILTERED)
def test_filters(replay, dynamodb, logs, new_table, case):
    pattern, first, second, ids = FILTERED[case]
    r = replay(f"{CLASS}::test_dynamodb_event_filter[{case}]", FILE)
    name, (table, stream) = function(r, EVENTS), new_table(view="NEW_AND_OLD_IMAGES")
    made = create(
        r,
        "create_event_source_mapping_response",
        name,
        stream,
        BatchSize=1,
        MaximumRetryAttempts=1,
        FilterCriteria={"Filters": [{"Pattern": json.dumps(pattern)}]},
    )

    def put(key, values):
        image = {name: {"N": str(one)} if isinstance(one, int) else {"S": one} for name, one in values.items()}
        dynamodb.put_item(TableName=table, Item={"id": {"S": key}, **image})

    put(ids[0], first[0])
    r.match("lambda-log-events", eventually(lambda: mapped.noted(logs, name)))
    put(ids[-1], second[0])
    wanted = len(r.steps["lambda-multiple-log-events"])
    r.match("lambda-multiple-log-events", eventually(lambda: len(got := mapped.noted(logs, name)) >= wanted and got))
    delete(r, made)


RETURNED = {
    "success_scenarios": {
        "empty_list_success": [],
        "null_success": None,
        "empty_dict_success": {},
        "empty_batch_item_failure_success": {"batchItemFailures": []},
        "null_batch_item_failure_success": {"batchItemFailures": None},
    },
    "failure_scenarios": {
        "empty_string_item_identifier_failure": {"batchItemFailures": [{"itemIdentifier": ""}]},
        "null_item_identifier_failure": {"batchItemFailures": [{"itemIdentifier": None}]},
        "invalid_key_foo_failure": {"batchItemFailures": [{"foo": "some-id"}]},
        "invalid_key_foo_null_value_failure": {"batchItemFailures": [{"foo": None}]},
        "item_identifier_not_present_failure": {"batchItemFailures": [{"itemIdentifier": "some-id"}]},
        "unhandled_exception_in_function": ...,
    },
}


@pytest.mark.parametrize(("kind", "case"), [(kind, case) for kind, cases in RETURNED.items() for case in cases])
def test_what_functions_return(replay, s3, bucket, dynamodb, logs, new_table, kind, case):
    r = replay(f"{CLASS}::test_dynamodb_report_batch_item_{'success' if kind.startswith('success') else 'failure'}_scenarios[{case}]", FILE)
    returned = RETURNED[kind][case]
    end = "    raise Exception('as it is wanted')\n" if returned is ... else f"    return {returned!r}\n"
    name, (table, stream) = function(r, EVENTS + end), new_table("my_partition_key")
    made = create(
        r,
        None,
        name,
        stream,
        BatchSize=1,
        MaximumRetryAttempts=3,
        MaximumBatchingWindowInSeconds=0,
        FunctionResponseTypes=["ReportBatchItemFailures"],
        DestinationConfig={"OnFailure": {"Destination": f"arn:aws:s3:::{bucket}"}},
    )
    item = {"my_partition_key": {"S": "hello world"}, "binary_key": {"B": b"foobar"}}
    dynamodb.put_item(TableName=table, Item=item)
    wanted = len(r.steps["dynamodb_events"])
    r.match("dynamodb_events", eventually(lambda: len(got := mapped.noted(logs, name)) >= wanted and got))
    if kind == "failure_scenarios":
        listed = eventually(lambda: s3.list_objects_v2(Bucket=bucket).get("Contents"))
        body = json.load(s3.get_object(Bucket=bucket, Key=listed[0]["Key"])["Body"])
        del body["payload"]
        message = r.steps["destination_queue_messages"]["Messages"][0]
        # Told to a bucket, and not in a message.
        found = list(r._differences(body, message["Body"], ""))
        assert not found
    delete(r, made)


def test_what_is_given_up_lies_in_a_bucket(replay, s3, bucket, dynamodb, new_table):
    r = replay(f"{CLASS}::test_dynamodb_event_source_mapping_with_s3_on_failure_destination", FILE)
    name, (table, stream) = function(r, "def handler(event, context):\n    raise Exception('no')\n"), new_table("my_partition_key")
    made = create(
        r,
        "create_event_source_mapping_response",
        name,
        stream,
        BatchSize=1,
        MaximumRetryAttempts=1,
        DestinationConfig={"OnFailure": {"Destination": f"arn:aws:s3:::{bucket}"}},
    )
    dynamodb.put_item(TableName=table, Item={"my_partition_key": {"S": "hello world"}})
    listed = eventually(lambda: s3.list_objects_v2(Bucket=bucket).get("Contents"))
    r.match("record_body", json.load(s3.get_object(Bucket=bucket, Key=listed[0]["Key"])["Body"]))
    delete(r, made)
