"""Time to live: items go when their time has come, and streams tell of it."""

import time

import pytest
from botocore.exceptions import ClientError

from cloud import eventually
from test_dynamodb_streams import create, read


@pytest.fixture(scope="module")
def dynamodb(cloud):
    return cloud.client("dynamodb")


@pytest.fixture
def table(dynamodb, unique):
    name = unique("table")
    stream = create(dynamodb, name)
    yield name, stream
    dynamodb.delete_table(TableName=name)


def turn_on(dynamodb, name, attribute="at"):
    wanted = {"Enabled": True, "AttributeName": attribute}
    answer = dynamodb.update_time_to_live(TableName=name, TimeToLiveSpecification=wanted)
    assert answer["TimeToLiveSpecification"] == wanted


def status(dynamodb, name):
    return dynamodb.describe_time_to_live(TableName=name)["TimeToLiveDescription"]


def put(dynamodb, name, item, at):
    dynamodb.put_item(TableName=name, Item={"id": {"S": item}, "at": at})


def ids(dynamodb, name):
    return sorted(item["id"]["S"] for item in dynamodb.scan(TableName=name)["Items"])


def test_items_expire_with_the_right_record(cloud, dynamodb, table):
    name, stream = table
    now = int(time.time())
    put(dynamodb, name, "there before", {"N": str(now - 5)})
    assert status(dynamodb, name) == {"TimeToLiveStatus": "DISABLED"}
    turn_on(dynamodb, name)
    put(dynamodb, name, "past", {"N": str(now - 60)})
    put(dynamodb, name, "soon", {"N": str(now + 2)})
    put(dynamodb, name, "later", {"N": str(now + 3600)})
    put(dynamodb, name, "text", {"S": str(now - 60)})
    put(dynamodb, name, "too old", {"N": str(now - 6 * 365 * 86400)})
    put(dynamodb, name, "saved", {"N": str(now + 3)})
    put(dynamodb, name, "saved", {"N": str(now + 3600)})
    left = ["later", "saved", "text", "too old"]
    assert eventually(lambda: ids(dynamodb, name) == left or None, timeout_s=30)
    eventually(lambda: status(dynamodb, name) == {"TimeToLiveStatus": "ENABLED", "AttributeName": "at"} or None)
    removed = [record for record in read(cloud.client("dynamodbstreams"), stream) if record["eventName"] == "REMOVE"]
    assert sorted(record["dynamodb"]["OldImage"]["id"]["S"] for record in removed) == ["past", "soon", "there before"]
    service = {"PrincipalId": "dynamodb.amazonaws.com", "Type": "Service"}
    assert all(record["userIdentity"] == service for record in removed)
    dynamodb.delete_item(TableName=name, Key={"id": {"S": "later"}})
    (by_hand,) = [
        record
        for record in read(cloud.client("dynamodbstreams"), stream)
        if record["eventName"] == "REMOVE" and record["dynamodb"]["Keys"]["id"]["S"] == "later"
    ]
    assert "userIdentity" not in by_hand


def test_changes_are_refused_within_the_hour(dynamodb, table):
    name, _ = table

    def refusal(**wanted):
        with pytest.raises(ClientError) as refused:
            dynamodb.update_time_to_live(TableName=name, TimeToLiveSpecification=wanted)
        assert refused.value.response["Error"]["Code"] == "ValidationException"
        return refused.value.response["Error"]["Message"]

    assert refusal(Enabled=False, AttributeName="at") == "TimeToLive is already disabled"
    turn_on(dynamodb, name)
    assert refusal(Enabled=True, AttributeName="at") == "TimeToLive is already enabled"
    assert refusal(Enabled=False, AttributeName="at") == (
        "Time to live has been modified multiple times within a fixed interval"
    )
    with pytest.raises(dynamodb.exceptions.ResourceNotFoundException):
        dynamodb.describe_time_to_live(TableName=f"{name}-not")


def test_items_that_expire_leave_their_indexes(dynamodb, unique):
    name = unique("table")
    dynamodb.create_table(
        TableName=name,
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": one, "AttributeType": "S"} for one in ("id", "kind")],
        GlobalSecondaryIndexes=[
            {
                "IndexName": "kinds",
                "KeySchema": [{"AttributeName": "kind", "KeyType": "HASH"}],
                "Projection": {"ProjectionType": "ALL"},
            }
        ],
        BillingMode="PAY_PER_REQUEST",
    )
    turn_on(dynamodb, name)
    item = {"id": {"S": "a"}, "kind": {"S": "k"}, "at": {"N": str(int(time.time()) - 1)}}
    dynamodb.put_item(TableName=name, Item=item)
    assert eventually(lambda: ids(dynamodb, name) == [] or None, timeout_s=30)
    assert dynamodb.scan(TableName=name, IndexName="kinds")["Items"] == []
    dynamodb.delete_table(TableName=name)


def test_what_expired_while_nothing_ran_goes_at_the_start(own_cloud):
    own_cloud.start()
    dynamodb = own_cloud.client("dynamodb")
    create(dynamodb, "table")
    turn_on(dynamodb, "table")
    put(dynamodb, "table", "a", {"N": str(int(time.time()) + 2)})
    own_cloud.kill()
    own_cloud.start()
    dynamodb = own_cloud.client("dynamodb")
    assert eventually(lambda: ids(dynamodb, "table") == [] or None, timeout_s=30)
