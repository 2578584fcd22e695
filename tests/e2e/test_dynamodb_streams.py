"""DynamoDB Streams: records of what happens to items, in order, through crashes and ends of tables."""

import threading

import pytest
from botocore.exceptions import ClientError

from cloud import ACCOUNT, REGION, eventually

IMAGES = {"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"}


@pytest.fixture(scope="module")
def dynamodb(cloud):
    return cloud.client("dynamodb")


@pytest.fixture(scope="module")
def streams(cloud):
    return cloud.client("dynamodbstreams")


@pytest.fixture
def new_table(dynamodb, unique):
    made = []

    def make(specification=IMAGES):
        name = unique("table")
        stream = create(dynamodb, name, specification)
        made.append(name)
        return name, stream

    yield make
    for name in made:
        try:
            dynamodb.delete_table(TableName=name)
        except dynamodb.exceptions.ResourceNotFoundException:
            pass


def create(dynamodb, name, specification=IMAGES):
    """Makes an on-demand table; gives its stream's ARN."""
    more = {"StreamSpecification": specification} if specification else {}
    made = dynamodb.create_table(
        TableName=name,
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
        **more,
    )
    dynamodb.get_waiter("table_exists").wait(TableName=name, WaiterConfig={"Delay": 0.05, "MaxAttempts": 600})
    return made["TableDescription"].get("LatestStreamArn")


def shards_of(streams, stream):
    return [shard["ShardId"] for shard in streams.describe_stream(StreamArn=stream)["StreamDescription"]["Shards"]]


def read(streams, stream, kind="TRIM_HORIZON", limit=1000):
    """All records of all shards, shard after shard."""
    records = []
    for shard in shards_of(streams, stream):
        iterator = streams.get_shard_iterator(StreamArn=stream, ShardId=shard, ShardIteratorType=kind)["ShardIterator"]
        while iterator:
            page = streams.get_records(ShardIterator=iterator, Limit=limit)
            records += page["Records"]
            iterator = page.get("NextShardIterator") if page["Records"] else None
    return records


def test_every_item_keeps_its_order(dynamodb, streams, new_table):
    name, stream = new_table()

    def count(item):
        for _ in range(25):
            dynamodb.update_item(
                TableName=name,
                Key={"id": {"S": item}},
                UpdateExpression="ADD n :one",
                ExpressionAttributeValues={":one": {"N": "1"}},
            )

    threads = [threading.Thread(target=count, args=(f"item-{number}",)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    records = read(streams, stream, limit=7)
    assert len(records) == 200
    assert len({record["eventID"] for record in records}) == 200
    for number in range(8):
        own = [record["dynamodb"] for record in records if record["dynamodb"]["Keys"]["id"]["S"] == f"item-{number}"]
        assert [int(change["NewImage"]["n"]["N"]) for change in own] == list(range(1, 26))
        assert [int(change["OldImage"]["n"]["N"]) for change in own[1:]] == list(range(1, 25))
        numbers = [int(change["SequenceNumber"]) for change in own]
        assert numbers == sorted(numbers)


def test_transactions_are_recorded_whole(dynamodb, streams, new_table):
    name, stream = new_table()
    puts = [{"Put": {"TableName": name, "Item": {"id": {"S": f"item-{number}"}}}} for number in range(10)]
    dynamodb.transact_write_items(TransactItems=puts)
    never = {"Put": {"TableName": name, "Item": {"id": {"S": "never"}}}}
    refused = {"Put": {**puts[0]["Put"], "ConditionExpression": "attribute_not_exists(id)"}}
    with pytest.raises(dynamodb.exceptions.TransactionCanceledException):
        dynamodb.transact_write_items(TransactItems=[never, refused])
    found = sorted(record["dynamodb"]["Keys"]["id"]["S"] for record in read(streams, stream))
    assert found == [f"item-{number}" for number in range(10)]


def test_shards_are_listed_in_pages(streams, new_table):
    name, stream = new_table()
    shards = shards_of(streams, stream)
    assert len(shards) == 4 and shards == sorted(shards)
    first = streams.describe_stream(StreamArn=stream, Limit=3)["StreamDescription"]
    assert [shard["ShardId"] for shard in first["Shards"]] == shards[:3]
    assert first["LastEvaluatedShardId"] == shards[2]
    rest = streams.describe_stream(StreamArn=stream, Limit=3, ExclusiveStartShardId=shards[2])["StreamDescription"]
    assert [shard["ShardId"] for shard in rest["Shards"]] == shards[3:]
    assert "LastEvaluatedShardId" not in rest
    assert rest["StreamStatus"] == "ENABLED" and rest["TableName"] == name
    assert rest["KeySchema"] == [{"AttributeName": "id", "KeyType": "HASH"}]


def test_streams_are_turned_off_and_on(dynamodb, streams, new_table):
    name, first = new_table()
    dynamodb.put_item(TableName=name, Item={"id": {"S": "a"}})
    with pytest.raises(ClientError, match="already has an enabled stream"):
        dynamodb.update_table(TableName=name, StreamSpecification=IMAGES)
    dynamodb.update_table(TableName=name, StreamSpecification={"StreamEnabled": False})
    dynamodb.put_item(TableName=name, Item={"id": {"S": "b"}})
    described = streams.describe_stream(StreamArn=first)["StreamDescription"]
    assert described["StreamStatus"] == "DISABLED"
    assert all("EndingSequenceNumber" in shard["SequenceNumberRange"] for shard in described["Shards"])
    iterator = streams.get_shard_iterator(
        StreamArn=first, ShardId=described["Shards"][0]["ShardId"], ShardIteratorType="TRIM_HORIZON"
    )["ShardIterator"]
    assert "NextShardIterator" not in streams.get_records(ShardIterator=iterator)
    assert [record["dynamodb"]["Keys"]["id"]["S"] for record in read(streams, first)] == ["a"]
    dynamodb.update_table(TableName=name, StreamSpecification={"StreamEnabled": True, "StreamViewType": "KEYS_ONLY"})
    second = dynamodb.describe_table(TableName=name)["Table"]["LatestStreamArn"]
    assert second != first
    dynamodb.delete_item(TableName=name, Key={"id": {"S": "a"}})
    (record,) = read(streams, second)
    assert record["eventName"] == "REMOVE" and "OldImage" not in record["dynamodb"]
    listed = streams.list_streams(TableName=name)["Streams"]
    assert [one["StreamArn"] for one in listed] == [first, second]
    page = streams.list_streams(TableName=name, Limit=1)
    assert page["LastEvaluatedStreamArn"] == first
    rest = streams.list_streams(TableName=name, ExclusiveStartStreamArn=first)["Streams"]
    assert [one["StreamArn"] for one in rest] == [second]


def test_records_survive_a_crash(own_cloud):
    own_cloud.start()
    stream = create(own_cloud.client("dynamodb"), "table")
    for number in range(20):
        own_cloud.client("dynamodb").put_item(TableName="table", Item={"id": {"S": str(number)}})
    own_cloud.kill()
    own_cloud.start()
    streams = own_cloud.client("dynamodbstreams")
    assert len(read(streams, stream)) == 20


def test_what_is_wrong_is_said(streams, new_table, unique):
    _, stream = new_table()
    missing = f"arn:aws:dynamodb:{REGION}:{ACCOUNT}:table/{unique()}/stream/2024-11-18T14:36:44.149"
    with pytest.raises(ClientError) as refused:
        streams.describe_stream(StreamArn=missing)
    assert refused.value.response["Error"] == {
        "Code": "ResourceNotFoundException",
        "Message": f"Requested resource not found: Stream: {missing} not found",
    }
    shard = shards_of(streams, stream)[0]
    for settings, code in [
        ({"ShardId": f"shardId-{0:020}-{0:08}", "ShardIteratorType": "LATEST"}, "ResourceNotFoundException"),
        ({"ShardId": shard, "ShardIteratorType": "AT_SEQUENCE_NUMBER"}, "ValidationException"),
        ({"ShardId": shard, "ShardIteratorType": "SOMETIMES"}, "ValidationException"),
    ]:
        with pytest.raises(ClientError) as refused:
            streams.get_shard_iterator(StreamArn=stream, **settings)
        assert refused.value.response["Error"]["Code"] == code
    with pytest.raises(ClientError) as refused:
        streams.get_records(ShardIterator="anything")
    assert refused.value.response["Error"]["Code"] == "ValidationException"


def test_latest_sees_what_comes(dynamodb, streams, new_table):
    name, stream = new_table()
    dynamodb.put_item(TableName=name, Item={"id": {"S": "before"}})
    iterators = [
        streams.get_shard_iterator(StreamArn=stream, ShardId=shard, ShardIteratorType="LATEST")["ShardIterator"]
        for shard in shards_of(streams, stream)
    ]
    dynamodb.put_item(TableName=name, Item={"id": {"S": "after"}})
    pages = [streams.get_records(ShardIterator=iterator)["Records"] for iterator in iterators]
    assert [record["dynamodb"]["Keys"]["id"]["S"] for page in pages for record in page] == ["after"]


def test_a_stream_needs_its_own_permission(cloud, iam, unique, new_table):
    _, stream = new_table()
    user = unique("user")
    iam.create_user(UserName=user)
    key = iam.create_access_key(UserName=user)["AccessKey"]
    own = cloud.client("dynamodbstreams", key["AccessKeyId"], key["SecretAccessKey"])
    with pytest.raises(ClientError) as refused:
        own.describe_stream(StreamArn=stream)
    assert refused.value.response["Error"]["Code"] == "AccessDeniedException"
    policy = (
        '{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": ["dynamodb:DescribeStream",'
        f' "dynamodb:GetShardIterator", "dynamodb:GetRecords"], "Resource": "{stream}"}}]}}'
    )
    iam.put_user_policy(UserName=user, PolicyName="own", PolicyDocument=policy)
    assert eventually(lambda: read(own, stream) == [] or None)
