"""DynamoDB through the libraries that programs use: boto3's client and resource, and PynamoDB."""

from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal

import boto3
import pytest
from boto3.dynamodb.conditions import Attr, Key
from boto3.dynamodb.types import Binary
from botocore.exceptions import ClientError

from cloud import REGION, ROOT_KEY, ROOT_SECRET

FAST = {"Delay": 0.05, "MaxAttempts": 600}


@pytest.fixture(scope="module")
def client(cloud):
    return cloud.client("dynamodb")


@pytest.fixture(scope="module")
def resource(cloud):
    return boto3.resource(
        "dynamodb",
        endpoint_url=cloud.endpoint,
        region_name=REGION,
        aws_access_key_id=ROOT_KEY,
        aws_secret_access_key=ROOT_SECRET,
    )


@pytest.fixture
def table(client, resource, unique):
    """Songs by artist and title, with an index by year of each kind."""
    name = unique("songs")
    by_year = {
        "IndexName": "by-year",
        "KeySchema": [{"AttributeName": "year", "KeyType": "HASH"}, {"AttributeName": "title", "KeyType": "RANGE"}],
        "Projection": {"ProjectionType": "INCLUDE", "NonKeyAttributes": ["price"]},
    }
    own_years = {
        "IndexName": "own-years",
        "KeySchema": [{"AttributeName": "artist", "KeyType": "HASH"}, {"AttributeName": "year", "KeyType": "RANGE"}],
        "Projection": {"ProjectionType": "ALL"},
    }
    made = resource.create_table(
        TableName=name,
        KeySchema=[{"AttributeName": "artist", "KeyType": "HASH"}, {"AttributeName": "title", "KeyType": "RANGE"}],
        AttributeDefinitions=[
            {"AttributeName": "artist", "AttributeType": "S"},
            {"AttributeName": "title", "AttributeType": "S"},
            {"AttributeName": "year", "AttributeType": "N"},
        ],
        LocalSecondaryIndexes=[own_years],
        GlobalSecondaryIndexes=[by_year],
        BillingMode="PAY_PER_REQUEST",
    )
    client.get_waiter("table_exists").wait(TableName=name, WaiterConfig=FAST)
    yield made
    made.delete()
    client.get_waiter("table_not_exists").wait(TableName=name, WaiterConfig=FAST)


def test_resource_items_keep_every_type(table):
    item = {
        "artist": "Ä",
        "title": "all types",
        "year": Decimal(1971),
        "exact": Decimal("12345678901234567890123456789012345678"),
        "tiny": Decimal("1E-130"),
        "bytes": Binary(b"\x00\xff"),
        "yes": True,
        "nothing": None,
        "list": [Decimal(1), "two", [b"3"], {}],
        "map": {"deep": {"deeper": [Decimal("-0.5")]}},
        "texts": {"a", "b"},
        "numbers": {Decimal(1), Decimal("1.5")},
        "blobs": {Binary(b"x"), Binary(b"")},
        "empty": "",
    }
    table.put_item(Item=item)
    found = table.get_item(Key={"artist": "Ä", "title": "all types"}, ConsistentRead=True)["Item"]
    assert found["list"].pop(2) == [Binary(b"3")]
    assert item["list"].pop(2) == [b"3"]
    assert found == item
    assert "Item" not in table.get_item(Key={"artist": "Ä", "title": "another"})


def test_resource_updates_and_conditions(table):
    key = {"artist": "a", "title": "t"}
    first = table.update_item(
        Key=key,
        UpdateExpression="SET plays = if_not_exists(plays, :zero) + :one, tags = list_append(:tags, :tags)",
        ExpressionAttributeValues={":zero": 0, ":one": 1, ":tags": ["new"]},
        ReturnValues="ALL_NEW",
    )
    assert first["Attributes"] == {**key, "plays": 1, "tags": ["new", "new"]}
    with pytest.raises(ClientError) as refused:
        table.put_item(Item=key, ConditionExpression=Attr("plays").not_exists() | Attr("plays").gt(5))
    assert refused.value.response["Error"]["Code"] == "ConditionalCheckFailedException"
    second = table.update_item(
        Key=key,
        UpdateExpression="REMOVE tags[0] ADD plays :two, fans :fans",
        ConditionExpression=Attr("plays").between(1, 2) & Attr("tags").contains("new") & Attr("fans").not_exists(),
        ExpressionAttributeValues={":two": 2, ":fans": {"x", "y"}},
        ReturnValues="UPDATED_NEW",
    )
    assert second["Attributes"]["plays"] == 3
    assert second["Attributes"]["fans"] == {"x", "y"}
    old = table.delete_item(Key=key, ReturnValues="ALL_OLD")["Attributes"]
    assert old == {**key, "plays": 3, "tags": ["new"], "fans": {"x", "y"}}


def test_batch_writer_queries_and_paginators(table, client):
    with table.batch_writer(overwrite_by_pkeys=["artist", "title"]) as batch:
        for n in range(120):
            batch.put_item(Item={"artist": f"a{n % 2}", "title": f"{n:03}", "year": 1970 + n % 5, "price": n, "rest": "r"})
        batch.delete_item(Key={"artist": "a0", "title": "000"})
    mine = table.query(KeyConditionExpression=Key("artist").eq("a0") & Key("title").between("010", "019"))["Items"]
    assert [item["title"] for item in mine] == ["010", "012", "014", "016", "018"]
    back = table.query(KeyConditionExpression=Key("artist").eq("a1"), ScanIndexForward=False, Limit=3)
    assert [item["title"] for item in back["Items"]] == ["119", "117", "115"]
    assert back["LastEvaluatedKey"] == {"artist": "a1", "title": "115"}
    by_year = table.query(
        IndexName="by-year", KeyConditionExpression=Key("year").eq(1972), FilterExpression=Attr("price").gte(100)
    )
    assert [item["title"] for item in by_year["Items"]] == ["102", "107", "112", "117"]
    assert set(by_year["Items"][0]) == {"artist", "title", "year", "price"}
    assert by_year["ScannedCount"] == 24
    own = table.query(
        IndexName="own-years",
        KeyConditionExpression=Key("artist").eq("a1") & Key("year").lt(1971),
        Select="ALL_ATTRIBUTES",
        ConsistentRead=True,
    )
    assert {item["year"] for item in own["Items"]} == {1970}
    assert {item["rest"] for item in own["Items"]} == {"r"}

    pages = client.get_paginator("scan").paginate(TableName=table.name, PaginationConfig={"PageSize": 17})
    titles = [item["title"]["S"] for page in pages for item in page["Items"]]
    assert sorted(titles) == [f"{n:03}" for n in range(1, 120)]
    pages = client.get_paginator("query").paginate(
        TableName=table.name,
        KeyConditionExpression="artist = :a",
        ExpressionAttributeValues={":a": {"S": "a1"}},
        Limit=7,
    )
    assert sum(page["Count"] for page in pages) == 60
    segments = [table.scan(Segment=n, TotalSegments=4)["Items"] for n in range(4)]
    assert sum(len(part) for part in segments) == 119
    assert len({(item["artist"], item["title"]) for part in segments for item in part}) == 119


def test_a_batch_gets_from_several_tables(table, resource, client, unique):
    other = resource.create_table(
        TableName=unique("other"),
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "N"}],
        BillingMode="PAY_PER_REQUEST",
    )
    client.get_waiter("table_exists").wait(TableName=other.name, WaiterConfig=FAST)
    table.put_item(Item={"artist": "a", "title": "t", "year": 1})
    other.put_item(Item={"id": 1, "name": "one", "more": "m"})
    found = resource.batch_get_item(
        RequestItems={
            table.name: {"Keys": [{"artist": "a", "title": "t"}, {"artist": "a", "title": "none"}]},
            other.name: {"Keys": [{"id": 1}], "ProjectionExpression": "#n", "ExpressionAttributeNames": {"#n": "name"}},
        }
    )
    assert found["Responses"] == {
        table.name: [{"artist": "a", "title": "t", "year": 1}],
        other.name: [{"name": "one"}],
    }
    assert found["UnprocessedKeys"] == {}
    other.delete()


def test_many_writers_of_one_counter(table):
    key = {"artist": "counter", "title": "one"}

    def add(_):
        table.meta.client.update_item(
            TableName=table.name, Key=key, UpdateExpression="ADD n :one", ExpressionAttributeValues={":one": 1}
        )

    with ThreadPoolExecutor(10) as pool:
        list(pool.map(add, range(400)))
    assert table.get_item(Key=key, ConsistentRead=True)["Item"]["n"] == 400


def test_answers_carry_their_checksum(table, client):
    """The SDKs compare it; a wrong one is an error of theirs."""
    client.put_item(TableName=table.name, Item={"artist": {"S": "a"}, "title": {"S": "t"}})
    answer = client.get_item(TableName=table.name, Key={"artist": {"S": "a"}, "title": {"S": "t"}})
    headers = answer["ResponseMetadata"]["HTTPHeaders"]
    assert headers["content-type"] == "application/x-amz-json-1.0"
    assert headers["x-amz-crc32"].isdigit()


def test_pynamodb(cloud, unique):
    from pynamodb.attributes import (  # noqa: PLC0415
        JSONAttribute,
        ListAttribute,
        MapAttribute,
        NumberAttribute,
        NumberSetAttribute,
        UnicodeAttribute,
        UTCDateTimeAttribute,
        VersionAttribute,
    )
    from pynamodb.connection import Connection  # noqa: PLC0415
    from pynamodb.exceptions import DoesNotExist, PutError, TransactWriteError  # noqa: PLC0415
    from pynamodb.indexes import AllProjection, GlobalSecondaryIndex  # noqa: PLC0415
    from pynamodb.models import Model  # noqa: PLC0415
    from pynamodb.transactions import TransactGet, TransactWrite  # noqa: PLC0415

    settings = {
        "host": cloud.endpoint,
        "region": REGION,
        "aws_access_key_id": ROOT_KEY,
        "aws_secret_access_key": ROOT_SECRET,
    }

    class ByOwner(GlobalSecondaryIndex):
        class Meta:
            index_name = "by-owner"
            projection = AllProjection()

        owner = UnicodeAttribute(hash_key=True)
        balance = NumberAttribute(range_key=True)

    class Address(MapAttribute):
        city = UnicodeAttribute()

    class Account(Model):
        class Meta:
            table_name = unique("pynamo")
            billing_mode = "PAY_PER_REQUEST"

        number = NumberAttribute(hash_key=True)
        owner = UnicodeAttribute()
        balance = NumberAttribute(default=0)
        addresses = ListAttribute(of=Address, default=list)
        codes = NumberSetAttribute(null=True)
        extra = JSONAttribute(null=True)
        opened = UTCDateTimeAttribute(null=True)
        version = VersionAttribute()
        by_owner = ByOwner()

    for name, value in settings.items():
        setattr(Account.Meta, name, value)
    Account.create_table(wait=True)
    assert Account.exists()
    with Account.batch_write() as batch:
        for number in range(30):
            batch.save(Account(number, owner=f"o{number % 3}", balance=number, addresses=[Address(city="Bern")]))
    first = Account.get(3, consistent_read=True)
    assert (first.owner, first.balance, first.addresses[0].city) == ("o0", 3, "Bern")
    with pytest.raises(DoesNotExist):
        Account.get(99)
    most = Account.by_owner.query("o1", Account.balance >= 20, scan_index_forward=False)
    assert [account.number for account in most] == [28, 25, 22]
    assert sum(1 for _ in Account.scan(Account.owner == "o2", page_size=4)) == 10

    # Its version tells that somebody else has written meanwhile.
    stale = Account.get(3)
    first.update(actions=[Account.balance.add(7), Account.codes.set({1, 2})])
    assert (first.balance, first.codes) == (10, {1, 2})
    stale.balance = 1000
    with pytest.raises(PutError) as refused:
        stale.save()
    assert refused.value.cause_response_code == "ConditionalCheckFailedException"

    connection = Connection(**settings)
    with TransactWrite(connection=connection, client_request_token=unique("token")) as moved:
        moved.update(Account(4, owner="o1"), actions=[Account.balance.add(-4)], condition=Account.balance >= 4)
        moved.update(Account(5, owner="o2"), actions=[Account.balance.add(4)])
    with TransactGet(connection=connection) as got:
        both = got.get(Account, 4), got.get(Account, 5)
    poor, rich = [future.get() for future in both]
    assert (poor.balance, rich.balance) == (0, 9)
    with pytest.raises(TransactWriteError) as cancelled, TransactWrite(connection=connection) as moved:
        moved.update(poor, actions=[Account.balance.add(-4)], condition=Account.balance >= 4)
        moved.update(rich, actions=[Account.balance.add(4)])
    reasons = [reason and reason.code for reason in cancelled.value.cancellation_reasons]
    assert reasons == ["ConditionalCheckFailed", None]
    assert Account.count() == 30
    Account.delete_table()
