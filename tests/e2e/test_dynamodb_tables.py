"""Tables of DynamoDB: what they are made of, how they change while they are in use, and what is left when they go."""

import threading
import time
import zlib

import pytest
from botocore.exceptions import ClientError


@pytest.fixture(scope="module")
def dynamodb(cloud):
    return cloud.client("dynamodb")


def schema(*names):
    kinds = ["HASH", "RANGE"]
    return [{"AttributeName": name, "KeyType": kind} for name, kind in zip(names, kinds, strict=False)]


def definitions(**kinds):
    return [{"AttributeName": name, "AttributeType": kind} for name, kind in kinds.items()]


def create(dynamodb, name, **settings):
    settings = {
        "KeySchema": schema("id"),
        "AttributeDefinitions": definitions(id="S"),
        "BillingMode": "PAY_PER_REQUEST",
        **settings,
    }
    return dynamodb.create_table(TableName=name, **settings)["TableDescription"]


def index(name, *keys, projection="ALL", **more):
    return {"IndexName": name, "KeySchema": schema(*keys), "Projection": {"ProjectionType": projection}, **more}


def add_index(dynamodb, table, index, **kinds):
    dynamodb.update_table(
        TableName=table,
        AttributeDefinitions=definitions(**kinds),
        GlobalSecondaryIndexUpdates=[{"Create": index}],
    )


def wait_for_indexes(dynamodb, table):
    """Until none is being made or dropped; gives the table."""
    for _ in range(1200):
        described = dynamodb.describe_table(TableName=table)["Table"]
        states = [index["IndexStatus"] for index in described.get("GlobalSecondaryIndexes", [])]
        if all(state == "ACTIVE" for state in states):
            return described
        time.sleep(0.05)
    raise AssertionError(states)


def scan(dynamodb, table, **more):
    pages = dynamodb.get_paginator("scan").paginate(TableName=table, **more)
    return [item for page in pages for item in page["Items"]]


def refusal(call, **arguments):
    with pytest.raises(ClientError) as raised:
        call(**arguments)
    return raised.value.response["Error"]["Code"], raised.value.response["Error"]["Message"]


def test_a_table_lives_from_its_first_answer_to_its_last(dynamodb, unique):
    name = unique("life")
    created = create(dynamodb, name, DeletionProtectionEnabled=True, Tags=[{"Key": "team", "Value": "a"}])
    assert created["TableStatus"] == "CREATING"
    begun = time.monotonic()
    dynamodb.get_waiter("table_exists").wait(TableName=name)
    assert time.monotonic() - begun < 10, "a waiter that has to look twice sleeps for 20 seconds"
    table = dynamodb.describe_table(TableName=name)["Table"]
    assert (table["TableStatus"], table["ItemCount"], table["TableSizeBytes"]) == ("ACTIVE", 0, 0)
    assert name in dynamodb.list_tables()["TableNames"]

    code, _ = refusal(dynamodb.delete_table, TableName=name)
    assert code == "ValidationException"
    dynamodb.update_table(TableName=name, DeletionProtectionEnabled=False)
    assert dynamodb.delete_table(TableName=name)["TableDescription"]["TableStatus"] == "DELETING"
    dynamodb.get_waiter("table_not_exists").wait(TableName=name)
    assert refusal(dynamodb.describe_table, TableName=name) == (
        "ResourceNotFoundException",
        f"Requested resource not found: Table: {name} not found",
    )
    # Made anew, it knows nothing of its former life.
    create(dynamodb, name)
    assert scan(dynamodb, name) == []
    dynamodb.delete_table(TableName=name)


def test_tables_are_counted_as_they_fill(dynamodb, unique):
    name = unique("counted")
    create(dynamodb, name)
    for number in range(10):
        dynamodb.put_item(TableName=name, Item={"id": {"S": f"{number}"}, "v": {"S": "abc"}})
    dynamodb.delete_item(TableName=name, Key={"id": {"S": "3"}})
    table = dynamodb.describe_table(TableName=name)["Table"]
    assert (table["ItemCount"], table["TableSizeBytes"]) == (9, 9 * 7)
    dynamodb.delete_table(TableName=name)


def test_tables_are_listed_page_by_page(dynamodb, unique):
    prefix = unique("listed")
    names = [f"{prefix}-{number}" for number in range(5)]
    for name in names:
        create(dynamodb, name)
    pages = dynamodb.get_paginator("list_tables").paginate(PaginationConfig={"PageSize": 2})
    listed = [name for page in pages for name in page["TableNames"]]
    assert listed == sorted(listed)
    assert [name for name in listed if name.startswith(prefix)] == names
    for name in names:
        dynamodb.delete_table(TableName=name)


def test_schemas_are_held_to_their_rules(dynamodb, unique):
    name = unique("refused")

    def message(**settings):
        return refusal(lambda: create(dynamodb, name, **settings))[1]

    assert "Some index key attributes are not defined" in message(KeySchema=schema("other"))
    assert "Number of attributes in KeySchema does not exactly match" in message(
        AttributeDefinitions=definitions(id="S", more="S")
    )
    five = [index(f"local{number}", "id", "s") for number in range(6)]
    assert "exceeds per-table limit of 5" in message(
        KeySchema=schema("id", "r"), AttributeDefinitions=definitions(id="S", r="S", s="S"), LocalSecondaryIndexes=five
    )
    twenty = [index(f"global{number}", "g") for number in range(21)]
    assert "exceeds the per-table limit of 20" in message(
        AttributeDefinitions=definitions(id="S", g="S"), GlobalSecondaryIndexes=twenty
    )
    assert "Duplicate index name: twice" in message(
        AttributeDefinitions=definitions(id="S", g="S"),
        GlobalSecondaryIndexes=[index("twice", "g"), index("twice", "g")],
    )
    code, said = refusal(lambda: create(dynamodb, "ab"))
    assert code == "ValidationException"
    assert said.endswith("Member must have length greater than or equal to 3")


def test_an_index_of_a_live_table_misses_nothing(dynamodb, unique):
    """Writers go on while an index is made: what was there before and what comes meanwhile are both in it."""
    name = unique("live")
    create(dynamodb, name)
    for number in range(300):
        dynamodb.put_item(
            TableName=name, Item={"id": {"S": f"old-{number}"}, "g": {"S": f"{number % 7}"}, "v": {"S": "x" * 200}}
        )
    # No member of an index that wants a text.
    dynamodb.put_item(TableName=name, Item={"id": {"S": "odd"}, "g": {"N": "1"}})
    stop = threading.Event()
    written = []

    def write(writer):
        count = 0
        while not stop.is_set():
            key = f"new-{writer}-{count % 20}"
            dynamodb.put_item(TableName=name, Item={"id": {"S": key}, "g": {"S": f"{count % 5}"}, "n": {"N": f"{count}"}})
            if count % 3 == 0:
                dynamodb.delete_item(TableName=name, Key={"id": {"S": key}})
            count += 1
        written.append(count)

    writers = [threading.Thread(target=write, args=(writer,)) for writer in range(4)]
    for writer in writers:
        writer.start()
    add_index(dynamodb, name, index("by-g", "g"), g="S")
    described = wait_for_indexes(dynamodb, name)
    stop.set()
    for writer in writers:
        writer.join()
    assert len(written) == 4 and min(written) > 0
    items = [item for item in scan(dynamodb, name) if "S" in item["g"]]
    by_id = lambda item: item["id"]["S"]
    assert sorted(scan(dynamodb, name, IndexName="by-g"), key=by_id) == sorted(items, key=by_id)
    described = dynamodb.describe_table(TableName=name)["Table"]
    assert described["GlobalSecondaryIndexes"][0]["ItemCount"] == len(items)
    assert described["ItemCount"] == len(items) + 1

    dynamodb.update_table(TableName=name, GlobalSecondaryIndexUpdates=[{"Delete": {"IndexName": "by-g"}}])
    described = wait_for_indexes(dynamodb, name)
    assert "GlobalSecondaryIndexes" not in described
    assert [one["AttributeName"] for one in described["AttributeDefinitions"]] == ["id"]
    dynamodb.delete_table(TableName=name)


def test_one_index_at_a_time_is_made(dynamodb, unique):
    name = unique("one")
    create(dynamodb, name)
    both = [{"Create": index("a-index", "g")}, {"Create": index("b-index", "g")}]
    code, message = refusal(
        dynamodb.update_table,
        TableName=name,
        AttributeDefinitions=definitions(g="S"),
        GlobalSecondaryIndexUpdates=both,
    )
    assert (code, "Only 1 online index" in message) == ("LimitExceededException", True)
    add_index(dynamodb, name, index("a-index", "g"), g="S")
    wait_for_indexes(dynamodb, name)
    code, _ = refusal(add_index, dynamodb=dynamodb, table=name, index=index("a-index", "g"), g="S")
    assert code == "ValidationException"
    code, _ = refusal(
        dynamodb.update_table,
        TableName=name,
        GlobalSecondaryIndexUpdates=[{"Delete": {"IndexName": "nowhere"}}],
    )
    assert code == "ResourceNotFoundException"
    dynamodb.delete_table(TableName=name)


def test_throughput_changes_within_limits(dynamodb, unique):
    name = unique("units")
    units = lambda read, write: {"ReadCapacityUnits": read, "WriteCapacityUnits": write}
    create(dynamodb, name, BillingMode="PROVISIONED", ProvisionedThroughput=units(10, 10))
    code, message = refusal(dynamodb.update_table, TableName=name, ProvisionedThroughput=units(10, 10))
    assert (code, "will not change" in message) == ("ValidationException", True)
    answer = dynamodb.update_table(TableName=name, ProvisionedThroughput=units(20, 10))["TableDescription"]
    assert (answer["TableStatus"], answer["ProvisionedThroughput"]["ReadCapacityUnits"]) == ("UPDATING", 10)
    for read in (9, 8, 7, 6):
        dynamodb.update_table(TableName=name, ProvisionedThroughput=units(read, 10))
    code, message = refusal(dynamodb.update_table, TableName=name, ProvisionedThroughput=units(5, 10))
    assert code == "LimitExceededException"
    assert "Number of decreases today: 4" in message
    table = dynamodb.describe_table(TableName=name)["Table"]
    assert table["ProvisionedThroughput"]["NumberOfDecreasesToday"] == 4
    assert table["ProvisionedThroughput"]["ReadCapacityUnits"] == 6

    dynamodb.update_table(TableName=name, BillingMode="PAY_PER_REQUEST")
    table = dynamodb.describe_table(TableName=name)["Table"]
    assert table["BillingModeSummary"]["BillingMode"] == "PAY_PER_REQUEST"
    assert table["ProvisionedThroughput"]["ReadCapacityUnits"] == 0
    dynamodb.update_table(
        TableName=name,
        OnDemandThroughput={"MaxReadRequestUnits": 100, "MaxWriteRequestUnits": -1},
        TableClass="STANDARD_INFREQUENT_ACCESS",
    )
    table = dynamodb.describe_table(TableName=name)["Table"]
    assert table["OnDemandThroughput"] == {"MaxReadRequestUnits": 100, "MaxWriteRequestUnits": -1}
    assert table["TableClassSummary"]["TableClass"] == "STANDARD_INFREQUENT_ACCESS"
    dynamodb.delete_table(TableName=name)


def test_tags_insights_and_scaling_are_kept(dynamodb, unique):
    name = unique("settings")
    arn = create(dynamodb, name, Tags=[{"Key": "a", "Value": "1"}])["TableArn"]
    dynamodb.tag_resource(ResourceArn=arn, Tags=[{"Key": "b", "Value": "2"}, {"Key": "a", "Value": "3"}])
    dynamodb.untag_resource(ResourceArn=arn, TagKeys=["b", "never"])
    assert dynamodb.list_tags_of_resource(ResourceArn=arn)["Tags"] == [{"Key": "a", "Value": "3"}]

    dynamodb.update_contributor_insights(TableName=name, ContributorInsightsAction="ENABLE")
    assert dynamodb.describe_contributor_insights(TableName=name)["ContributorInsightsStatus"] == "ENABLED"
    listed = dynamodb.list_contributor_insights()["ContributorInsightsSummaries"]
    assert (name, "ENABLED") in {(one["TableName"], one["ContributorInsightsStatus"]) for one in listed}

    dynamodb.update_table_replica_auto_scaling(
        TableName=name, ProvisionedWriteCapacityAutoScalingUpdate={"MinimumUnits": 5, "MaximumUnits": 50}
    )
    described = dynamodb.describe_table_replica_auto_scaling(TableName=name)["TableAutoScalingDescription"]
    settings = described["Replicas"][0]["ReplicaProvisionedWriteCapacityAutoScalingSettings"]
    assert (settings["MinimumUnits"], settings["MaximumUnits"]) == (5, 50)

    assert dynamodb.describe_limits()["TableMaxReadCapacityUnits"] == 40_000
    address = dynamodb.describe_endpoints()["Endpoints"][0]["Address"]
    assert dynamodb.meta.endpoint_url.endswith(address)
    dynamodb.delete_table(TableName=name)


def test_answers_carry_their_checksum(dynamodb, unique):
    seen = []
    dynamodb.meta.events.register(
        "response-received", lambda response_dict, **_: seen.append(response_dict), unique_id="crc"
    )
    dynamodb.list_tables()
    refusal(dynamodb.describe_table, TableName=unique("nowhere"))
    dynamodb.meta.events.unregister("response-received", unique_id="crc")
    assert len(seen) == 2
    for answer in seen:
        assert int(answer["headers"]["x-amz-crc32"]) == zlib.crc32(answer["body"])


def test_sixty_four_clients_raise_one_counter(dynamodb, unique):
    name = unique("counter")
    create(dynamodb, name)

    def raise_it(times):
        for _ in range(times):
            dynamodb.update_item(
                TableName=name,
                Key={"id": {"S": "one"}},
                UpdateExpression="ADD #n :one",
                ExpressionAttributeNames={"#n": "n"},
                ExpressionAttributeValues={":one": {"N": "1"}},
            )

    clients = [threading.Thread(target=raise_it, args=(20,)) for _ in range(64)]
    for client in clients:
        client.start()
    for client in clients:
        client.join()
    counted = dynamodb.get_item(TableName=name, Key={"id": {"S": "one"}}, ConsistentRead=True)["Item"]["n"]["N"]
    assert counted == str(64 * 20)
    dynamodb.delete_table(TableName=name)


def test_an_index_is_finished_after_a_kill(own_cloud):
    own_cloud.start()
    dynamodb = own_cloud.client("dynamodb")
    create(dynamodb, "killed")
    for first in range(0, 3_000, 25):
        puts = [{"id": {"S": f"{n}"}, "g": {"S": f"{n % 3}"}, "v": {"S": "x" * 500}} for n in range(first, first + 25)]
        requests = [{"PutRequest": {"Item": item}} for item in puts]
        assert not dynamodb.batch_write_item(RequestItems={"killed": requests})["UnprocessedItems"]
    add_index(dynamodb, "killed", index("by-g", "g", "id", projection="KEYS_ONLY"), g="S", id="S")
    own_cloud.kill()
    own_cloud.start()
    dynamodb = own_cloud.client("dynamodb")
    described = wait_for_indexes(dynamodb, "killed")
    assert described["GlobalSecondaryIndexes"][0]["ItemCount"] == 3_000
    assert len(scan(dynamodb, "killed", IndexName="by-g")) == 3_000
    dynamodb.delete_table(TableName="killed")
    own_cloud.kill()
    own_cloud.start()
    dynamodb = own_cloud.client("dynamodb")
    create(dynamodb, "killed")
    assert scan(dynamodb, "killed") == []
