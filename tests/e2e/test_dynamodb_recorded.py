"""DynamoDB and its streams, played as they were recorded."""

import pytest
from botocore.exceptions import ClientError

import replay as replays
from cloud import ACCOUNT, REGION, eventually

FILE = "dynamodb/test_dynamodb"
STREAMS_FILE = "dynamodbstreams/test_dynamodb_streams"
UNITS = {"ReadCapacityUnits": 5, "WriteCapacityUnits": 5}


@pytest.fixture(scope="module")
def dynamodb(cloud):
    return cloud.client("dynamodb")


@pytest.fixture(scope="module")
def streams(cloud):
    return cloud.client("dynamodbstreams")


@pytest.fixture
def play(dynamodb, unique):
    """Plays recorded tests, and holds them to their answers at the end."""
    begun = []

    def play(test, client=dynamodb, file=FILE):
        begun.append(replays.Replay(client, None, unique, f"TestDynamoDB::{test}" if file == FILE else test, file))
        return begun[-1]

    yield play
    for one in begun:
        one.end()


@pytest.fixture
def new_table(dynamodb, unique):
    """Makes tables with keys of text; gives the answer."""
    made = []

    def new_table(*keys, **settings):
        name = unique("table")
        if settings.get("BillingMode") != "PAY_PER_REQUEST":
            settings.setdefault("ProvisionedThroughput", UNITS)
        answer = dynamodb.create_table(TableName=name, **schema(*keys), **settings)
        made.append(name)
        active(dynamodb, name)
        return answer

    yield new_table
    for name in made:
        dynamodb.delete_table(TableName=name)


def schema(*keys):
    kinds = ["HASH", "RANGE"]
    return {
        "KeySchema": [{"AttributeName": key, "KeyType": kind} for key, kind in zip(keys, kinds, strict=False)],
        "AttributeDefinitions": [{"AttributeName": key, "AttributeType": "S"} for key in keys],
    }


def active(dynamodb, name):
    dynamodb.get_waiter("table_exists").wait(TableName=name, WaiterConfig={"Delay": 0.05, "MaxAttempts": 600})


def name_of(answer):
    return answer["TableDescription"]["TableName"]


def said(call, **request):
    """What boto3 says of an error."""
    with pytest.raises(ClientError) as error:
        call(**request)
    return str(error.value).replace(" (reached max retries: 0)", "")


def test_valid_local_secondary_index(play, dynamodb, unique):
    r = play("test_valid_local_secondary_index")
    table = unique("table")
    keys = schema("PK", "SK")
    keys["AttributeDefinitions"].append({"AttributeName": "LSI1SK", "AttributeType": "N"})
    index = {
        "IndexName": "LSI1",
        "KeySchema": [{"AttributeName": "PK", "KeyType": "HASH"}, {"AttributeName": "LSI1SK", "KeyType": "RANGE"}],
        "Projection": {"ProjectionType": "ALL"},
    }
    dynamodb.create_table(TableName=table, **keys, LocalSecondaryIndexes=[index], ProvisionedThroughput=UNITS)
    active(dynamodb, table)
    r.call(None, "put_item", TableName=table, Item={"SK": {"S": "hello"}, "LSI1SK": {"N": "123"}, "PK": {"S": "test one"}})
    r.call(
        "Items",
        "query",
        TableName=table,
        IndexName="LSI1",
        KeyConditionExpression="PK = :v1",
        ExpressionAttributeValues={":v1": {"S": "test one"}},
        Select="ALL_ATTRIBUTES",
    )


def test_return_values_in_put_item(play, new_table):
    r = play("test_return_values_in_put_item")
    table = name_of(new_table("id"))
    first = {"id": {"S": "id1"}, "data": {"S": "foobar"}}
    other = {"id": {"S": "id1"}, "data": {"S": "barfoo"}}
    r.call("PutFirstItem", "put_item", TableName=table, Item=first, ReturnValues="ALL_OLD")
    r.call("PutFirstItemOLD", "put_item", TableName=table, Item=first, ReturnValues="ALL_OLD")
    r.call("PutFirstItemB", "put_item", TableName=table, Item=other, ReturnValues="ALL_OLD")
    r.call("PutSecondItem", "put_item", TableName=table, Item=first)
    r.call("PutSecondItemReturnNone", "put_item", TableName=table, Item=first)


def test_empty_and_binary_values(play, new_table):
    r = play("test_empty_and_binary_values")
    table = name_of(new_table("id"))
    r.call("PutFirstItem", "put_item", TableName=table, Item={"id": {"S": "id1"}, "data": {"S": ""}})
    r.call("PutSecondItem", "put_item", TableName=table, Item={"id": {"S": "id2"}, "data": {"B": b"\x90"}})


def test_batch_write_binary(play, new_table):
    r = play("test_batch_write_binary")
    table = name_of(new_table("PK", "SK", BillingMode="PAY_PER_REQUEST"))
    r.call(None, "put_item", TableName=table, Item={"PK": {"S": "hello"}, "SK": {"S": "user"}, "data": {"B": b"test"}})
    puts = [
        {"PutRequest": {"Item": {"PK": {"S": f"hello-{n}"}, "SK": {"S": f"user-{n}"}, "data": {"B": data}}}}
        for n, data in [(1, b"test-1"), (2, b"test \xc0 \xed")]
    ]
    r.call("Response", "batch_write_item", RequestItems={table: puts})


def test_dynamodb_execute_transaction(play, dynamodb, unique):
    r = play("test_dynamodb_execute_transaction")
    table = partiql_table(dynamodb, unique("table").replace("-", "_"))
    both = [{"Statement": f"INSERT INTO {table} VALUE {{'Username': '{user}'}}"} for user in ("user01", "user02")]
    r.call("ExecutedTransaction", "execute_transaction", TransactStatements=both)
    scanned = dynamodb.scan(TableName=table)
    scanned["Items"].sort(key=lambda item: item["Username"]["S"])
    r.match("TableScan", scanned)


def partiql_table(dynamodb, name, **settings):
    """A table whose name needs no quotes."""
    dynamodb.create_table(TableName=name, **schema("Username"), ProvisionedThroughput=UNITS, **settings)
    active(dynamodb, name)
    return name


def test_dynamodb_batch_execute_statement(play, dynamodb, unique):
    r = play("test_dynamodb_batch_execute_statement")
    table = partiql_table(dynamodb, unique("table").replace("-", "_"))
    r.call(None, "put_item", TableName=table, Item={"Username": {"S": "user02"}})
    both = [
        {"Statement": f"INSERT INTO {table} VALUE {{'Username': 'user01'}}"},
        {"Statement": f"UPDATE {table} SET Age=20 WHERE Username='user02'"},
    ]
    r.call("ExecutedStatement", "batch_execute_statement", Statements=both)
    for step, user in [("ItemUser2", "user02"), ("ItemUser1", "user01")]:
        r.match(step, dynamodb.get_item(TableName=table, Key={"Username": {"S": user}})["Item"])


def test_dynamodb_execute_statement_empy_parameter(play, cloud, dynamodb, unique):
    r = play("test_dynamodb_execute_statement_empy_parameter", cloud.client("dynamodb", parameter_validation=False))
    table = partiql_table(dynamodb, unique("table").replace("-", "_"))
    r.call("invalid-param-error", "execute_statement", Statement=f"SELECT * FROM {table}", Parameters=[])


def test_dynamodb_partiql_missing(play, dynamodb, unique):
    r = play("test_dynamodb_partiql_missing")
    table = partiql_table(dynamodb, unique("table").replace("-", "_"))
    r.call(None, "execute_statement", Statement=f"INSERT INTO {table} VALUE {{'Username': 'Alice123', 'FirstName':'Alice'}}")
    found = r.call(None, "execute_statement", Statement=f"SELECT * FROM {table} WHERE FirstName IS NOT MISSING")
    r.match("FirstNameNotMissing", found["Items"])
    assert r.call(None, "execute_statement", Statement=f"SELECT * FROM {table} WHERE FirstName IS MISSING")["Items"] == []


def test_create_duplicate_table(play, new_table, dynamodb):
    r = play("test_create_duplicate_table")
    table = name_of(new_table("id"))
    r.match("Error", said(dynamodb.create_table, TableName=table, **schema("id"), ProvisionedThroughput=UNITS))


def test_dynamodb_pay_per_request(play, dynamodb, unique):
    r = play("test_dynamodb_pay_per_request")
    both = {"ProvisionedThroughput": UNITS, "BillingMode": "PAY_PER_REQUEST"}
    r.match("Error", said(dynamodb.create_table, TableName=unique("table"), **schema("id"), **both))


def test_table_crud(play, dynamodb, unique):
    r = play("test_table_crud")
    table = unique("table")
    r.call("create-table", "create_table", TableName=table, **schema("id"), ProvisionedThroughput=UNITS)
    active(dynamodb, table)
    pages = dynamodb.get_paginator("list_tables").paginate()
    assert table in [name for page in pages for name in page["TableNames"]]
    r.call("describe-table", "describe_table", TableName=table)
    r.call("delete-table", "delete_table", TableName=table)
    dynamodb.get_waiter("table_not_exists").wait(TableName=table, WaiterConfig={"Delay": 0.05, "MaxAttempts": 600})
    r.call("delete-non-existent-table", "delete_table", TableName="non-existent")


def test_table_warm_throughput(play, dynamodb, unique):
    r = play("test_table_warm_throughput")
    table = unique("table")
    warm = {"ReadUnitsPerSecond": 1000, "WriteUnitsPerSecond": 1200}
    r.call(
        "create-table",
        "create_table",
        TableName=table,
        **schema("id"),
        ProvisionedThroughput=UNITS,
        WarmThroughput=warm,
    )
    active(dynamodb, table)
    r.call("describe-table", "describe_table", TableName=table)


@pytest.mark.parametrize("mode", ["PAY_PER_REQUEST", "PROVISIONED"])
def test_gsi_with_billing_mode(play, dynamodb, unique, mode):
    r = play(f"test_gsi_with_billing_mode[{mode}]")
    table = unique("table")
    index = {
        "IndexName": "TransactionRecordID",
        "KeySchema": [{"AttributeName": "TRID", "KeyType": "HASH"}],
        "Projection": {"ProjectionType": "ALL"},
    }
    settings = {"BillingMode": mode}
    if mode == "PROVISIONED":
        settings["ProvisionedThroughput"] = UNITS
        index["ProvisionedThroughput"] = {"ReadCapacityUnits": 1, "WriteCapacityUnits": 1}
    keys = schema("TID")
    keys["AttributeDefinitions"].append({"AttributeName": "TRID", "AttributeType": "S"})
    r.call(
        "create-table-with-gsi", "create_table", TableName=table, **keys, GlobalSecondaryIndexes=[index], **settings
    )
    active(dynamodb, table)
    r.call("describe-table", "describe_table", TableName=table)


def test_dynamodb_describe_contributor_insights(play, new_table):
    r = play("test_dynamodb_describe_contributor_insights")
    table = name_of(new_table("id"))
    r.call("describe-contributor-insights-disabled", "describe_contributor_insights", TableName=table)


def encrypted(new_table):
    return new_table("id", SSESpecification={"Enabled": True})["TableDescription"]


def test_dynamodb_create_table_with_partial_sse_specification(play, new_table, dynamodb):
    r = play("test_dynamodb_create_table_with_partial_sse_specification")
    made = encrypted(new_table)
    r.match("SSEDescription", made["SSEDescription"])
    updated = dynamodb.update_table(TableName=made["TableName"], SSESpecification={"Enabled": False})
    r.match("update-table-disable-sse-spec", updated["TableDescription"].get("SSEDescription", {}))


def test_dynamodb_update_table_without_sse_specification_change(play, new_table, dynamodb):
    r = play("test_dynamodb_update_table_without_sse_specification_change")
    made = encrypted(new_table)
    r.match("create_table_sse_description", made["SSEDescription"])
    updated = dynamodb.update_table(TableName=made["TableName"], BillingMode="PAY_PER_REQUEST")
    r.match("update_table_sse_description", updated["TableDescription"]["SSEDescription"])


def test_transaction_write_items(play, new_table):
    r = play("test_transaction_write_items")
    described = new_table("id")["TableDescription"], new_table("id")["TableDescription"]
    for step, table in [
        ("Response", described[0]["TableName"]),
        ("Response_using_table_arn", described[1]["TableArn"]),
    ]:
        update = {
            "UpdateExpression": "SET attr1 = :v1, attr2 = :v2",
            "ExpressionAttributeValues": {":v1": {"S": "value1"}, ":v2": {"S": "value2"}},
        }
        parts = [
            {"ConditionCheck": {**key("test1"), "ConditionExpression": "attribute_not_exists(id)"}},
            {"Put": {"Item": {"id": {"S": "test2"}}}},
            {"Update": {**key("test3"), **update}},
            {"Delete": key("test4")},
        ]
        for part in parts:
            next(iter(part.values()))["TableName"] = table
        r.call(step, "transact_write_items", TransactItems=parts)


def key(text):
    return {"Key": {"id": {"S": text}}}


def test_transaction_write_canceled(play, new_table, dynamodb):
    r = play("test_transaction_write_canceled")
    table = name_of(new_table("Username"))
    r.call(None, "put_item", TableName=table, Item={"Username": {"S": "Fred"}})
    check = {"ConditionExpression": "attribute_not_exists(Username)", "Key": {"Username": {"S": "Fred"}}}
    parts = [
        {"ConditionCheck": {"TableName": table, **check}},
        {"Delete": {"TableName": table, "Key": {"Username": {"S": "Bert"}}}},
    ]
    r.match("Error", said(dynamodb.transact_write_items, TransactItems=parts))


def test_transaction_write_binary_data(play, new_table, dynamodb):
    r = play("test_transaction_write_binary_data")
    table = name_of(new_table("id"))
    put = {"TableName": table, "Item": {"id": {"S": "someUser"}, "binaryData": {"B": b"foobar"}}}
    r.call("WriteResponse", "transact_write_items", TransactItems=[{"Put": put}])
    r.match("GetItem", as_recorded(dynamodb.get_item(TableName=table, **key("someUser"))["Item"]))


def as_recorded(item):
    """Bytes as they stand in the snapshots: as Python prints them."""
    return {
        name: {"B": str(value["B"])} if "B" in value else value for name, value in item.items()
    }


def test_transact_get_items(play, new_table, dynamodb):
    r = play("test_transact_get_items")
    described = new_table("id")["TableDescription"], new_table("id")["TableDescription"]
    for step, who, table in [
        ("TransactGetItems", "John", described[0]["TableName"]),
        ("TransactGetItems-with-TableArn", "Sarah", described[1]["TableArn"]),
    ]:
        dynamodb.put_item(TableName=table, Item={"id": {"S": who}})
        r.call(step, "transact_get_items", TransactItems=[{"Get": {**key(who), "TableName": table}}])


def test_batch_write_items(play, new_table):
    r = play("test_batch_write_items")
    table = name_of(new_table("id"))
    r.call(None, "put_item", TableName=table, Item={"id": {"S": "Fred"}})
    both = [{"DeleteRequest": key("Fred")}, {"PutRequest": {"Item": {"id": {"S": "Bob"}}}}]
    r.call("BatchWriteResponse", "batch_write_item", RequestItems={table: both})


def test_dynamodb_get_batch_items(play, new_table):
    r = play("test_dynamodb_get_batch_items")
    table = name_of(new_table("PK"))
    answer = r.call(None, "batch_get_item", RequestItems={table: {"Keys": [{"PK": {"S": "test-key"}}]}})
    r.match("Response", {**answer, "Responses": {"<test-table>": answer["Responses"].pop(table)}})


def test_dynamodb_idempotent_writing(play, new_table):
    r = play("test_dynamodb_idempotent_writing")
    table = name_of(new_table("id", "name"))
    for step, item in [
        ("Response1", {"id": {"S": "id1"}, "name": {"S": "name1"}}),
        ("Response2", {"name": {"S": "name1"}, "id": {"S": "id1"}}),
    ]:
        parts = [{"Put": {"TableName": table, "Item": item}}]
        r.call(step, "transact_write_items", ClientRequestToken="dedupe_token", TransactItems=parts)


def test_batch_write_not_matching_schema(play, new_table, dynamodb):
    r = play("test_batch_write_not_matching_schema")
    table = name_of(new_table("id", "sortKey"))
    put = {"PutRequest": {"Item": {"nonKey": {"S": "hello"}}}}
    r.match("ValidationException", said(dynamodb.batch_write_item, RequestItems={table: [put]}))


def test_batch_write_not_existing_table(play):
    r = play("test_batch_write_not_existing_table")
    parts = [{"Put": {"TableName": "non-existing-table", "Item": {}}}]
    r.call("exc-not-found-transact-write-items", "transact_write_items", TransactItems=parts)


def test_continuous_backup_update(play, new_table):
    r = play("test_continuous_backup_update")
    table = name_of(new_table("id"))
    enabled = {"PointInTimeRecoverySpecification": {"PointInTimeRecoveryEnabled": True}}
    r.call(None, "update_continuous_backups", TableName=table, **enabled)
    r.call("update-continuous-backup", "update_continuous_backups", TableName=table, **enabled)
    r.call("describe-continuous-backup", "describe_continuous_backups", TableName=table)


def test_return_values_on_conditions_check_failure(play, new_table):
    r = play("test_return_values_on_conditions_check_failure")
    table = name_of(new_table("id"))
    item = {"id": {"S": "456"}, "price": {"N": "650"}, "product": {"S": "sporting goods"}}
    r.call(None, "put_item", TableName=table, Item=item)
    r.call(
        "items",
        "delete_item",
        TableName=table,
        **key("456"),
        ConditionExpression="price between :lo and :hi",
        ExpressionAttributeValues={":lo": {"N": "500"}, ":hi": {"N": "600"}},
        ReturnValuesOnConditionCheckFailure="ALL_OLD",
    )


@pytest.fixture
def streaming(dynamodb, new_table):
    """Makes a table with a stream; gives its name, its answer and its stream."""

    def streaming(attribute, view):
        made = new_table(attribute, StreamSpecification={"StreamEnabled": True, "StreamViewType": view})
        return name_of(made), made, made["TableDescription"]["LatestStreamArn"]

    return streaming


class Reader:
    """Reads the first shard of a stream."""

    def __init__(self, streams, arn, **where):
        self.streams = streams
        self.described = streams.describe_stream(StreamArn=arn)
        shard = self.described["StreamDescription"]["Shards"][0]
        if where.get("ShardIteratorType") == "AT_SEQUENCE_NUMBER":
            where["SequenceNumber"] = shard["SequenceNumberRange"]["StartingSequenceNumber"]
        self.given = streams.get_shard_iterator(StreamArn=arn, ShardId=shard["ShardId"], **where)
        self.iterator = self.given["ShardIterator"]

    def records(self, count):
        """The next records, at least so many."""
        found = []

        def enough():
            answer = self.streams.get_records(ShardIterator=self.iterator)
            self.iterator = answer["NextShardIterator"]
            found.extend(answer["Records"])
            return len(found) >= count

        eventually(enough)
        return found


def test_dynamodb_stream_stream_view_type(play, dynamodb, streams, unique):
    r = play("test_dynamodb_stream_stream_view_type")
    table = unique("table").replace("-", "_")
    made = dynamodb.create_table(
        TableName=table,
        **schema("Username"),
        ProvisionedThroughput=UNITS,
        StreamSpecification={"StreamEnabled": True, "StreamViewType": "KEYS_ONLY"},
    )
    r.match("create-table", made)
    active(dynamodb, table)
    fred = {"Username": {"S": "Fred"}}
    for _twice in range(2):
        dynamodb.put_item(TableName=table, Item=fred)
    dynamodb.update_item(
        TableName=table,
        Key=fred,
        UpdateExpression="set S=:r",
        ExpressionAttributeValues={":r": {"S": "Fred_Modified"}},
    )
    dynamodb.delete_item(TableName=table, Key=fred)
    for statement in [
        f"INSERT INTO {table} VALUE {{'Username': 'Alice'}}",
        f"UPDATE {table} SET partiql=1 WHERE Username='Alice'",
        f"DELETE FROM {table} WHERE Username='Alice'",
    ]:
        dynamodb.execute_statement(Statement=statement)
    arn = made["TableDescription"]["LatestStreamArn"]
    reader = Reader(streams, arn, ShardIteratorType="AT_SEQUENCE_NUMBER")
    r.match("describe-stream", reader.described)
    r.match("get-shard-iterator", reader.given)
    r.match("get-records", {"Records": reader.records(6)})


def test_batch_write_items_streaming(play, streaming, streams):
    r = play("test_batch_write_items_streaming")
    table, made, arn = streaming("id", "NEW_AND_OLD_IMAGES")
    r.match("create-table", made)
    reader = Reader(streams, arn, ShardIteratorType="TRIM_HORIZON")
    r.match("describe-stream", reader.described)
    fred, new = {"id": {"S": "Fred"}}, {"id": {"S": "NewKey"}}
    r.call("put-item-1", "put_item", TableName=table, Item=fred)
    puts = [{"PutRequest": {"Item": item}} for item in (fred, new)]
    r.call("batch-write-response-overwrite-item-1", "batch_write_item", RequestItems={table: puts})
    both = [{"DeleteRequest": {"Key": new}}, {"PutRequest": {"Item": {**fred, "name": {"S": "Fred"}}}}]
    r.call("batch-write-response-delete", "batch_write_item", RequestItems={table: both})
    r.match("get-records", {"Records": reader.records(4)})


def update(table, text, **values):
    sets = ", ".join(f"{name} = :{name}" for name in values)
    return {
        "Update": {
            "TableName": table,
            **key(text),
            "UpdateExpression": f"SET {sets}",
            "ExpressionAttributeValues": {f":{name}": {"S": value} for name, value in values.items()},
        }
    }


def test_transact_write_items_streaming(play, streaming, streams):
    r = play("test_transact_write_items_streaming")
    table, made, arn = streaming("id", "NEW_AND_OLD_IMAGES")
    r.match("create-table", made)
    reader = Reader(streams, arn, ShardIteratorType="TRIM_HORIZON")
    r.match("describe-stream", reader.described)

    def put(**item):
        return {"Put": {"TableName": table, "Item": {name: {"S": value} for name, value in item.items()}}}

    r.call("put-item-1", "put_item", TableName=table, Item={"id": {"S": "Fred"}})
    r.call("transact-write-response-overwrite", "transact_write_items", TransactItems=[put(id="Fred"), put(id="NewKey")])
    changed = [update(table, "NewKey", attr1="value1", attr2="value2")]
    r.call("transact-write-response-update", "transact_write_items", TransactItems=changed)
    inserted = [update(table, "NonExistentKey", attr1="value1")]
    r.call("transact-write-update-insert", "transact_write_items", TransactItems=inserted)
    parts = [{"Delete": {"TableName": table, **key("NewKey")}}, put(id="Fred", name="Fred"), *inserted]
    r.call("transact-write-response-delete", "transact_write_items", TransactItems=parts)
    r.match("get-records", {"Records": reader.records(6)})


def test_transact_write_items_streaming_for_different_tables(play, streaming, new_table, streams):
    r = play("test_transact_write_items_streaming_for_different_tables")
    table, made, arn = streaming("id", "NEW_AND_OLD_IMAGES")
    r.match("create-table-stream", made)
    other = new_table("id")
    r.match("create-table-no-stream", other)
    reader = Reader(streams, arn, ShardIteratorType="TRIM_HORIZON")
    r.match("describe-stream", reader.described)
    puts = [{"Put": {"TableName": name, "Item": {"id": {"S": "Fred"}}}} for name in (name_of(other), table)]
    r.call("transact-write-two-tables", "transact_write_items", TransactItems=puts)
    r.match("get-records", {"Records": reader.records(1)})


def test_dynamodb_stream_records_with_update_item(play, streaming, streams, dynamodb):
    r = play("test_dynamodb_stream_records_with_update_item")
    table, made, arn = streaming("id", "NEW_AND_OLD_IMAGES")
    r.match("create-table", made)
    reader = Reader(streams, arn, ShardIteratorType="TRIM_HORIZON")
    r.match("describe-stream", reader.described)
    r.match("get-shard-iterator", reader.given)
    for first, second in [("value1", "value2"), ("value1", "value2"), ("value2", "value3")]:
        dynamodb.update_item(**update(table, "my-item-id", attr1=first, attr2=second)["Update"])
    records = reader.records(2)
    r.match("get-records", {"Records": records})
    assert [record["dynamodb"]["ApproximateCreationDateTime"].microsecond for record in records] == [0, 0]


def test_data_encoding_consistency(play, streaming, streams, dynamodb):
    r = play("test_data_encoding_consistency")
    table, _, arn = streaming("id", "NEW_AND_OLD_IMAGES")
    reader = Reader(streams, arn, ShardIteratorType="AT_SEQUENCE_NUMBER")
    item = {"id": {"S": "id1"}, "version": {"N": "1"}, "data": {"B": b"\x90"}}

    def compare(of_item, of_records):
        r.match(of_item, as_recorded(dynamodb.get_item(TableName=table, **key("id1"))["Item"]))
        r.match(of_records, as_recorded(reader.records(1)[0]["dynamodb"]["NewImage"]))

    dynamodb.put_item(TableName=table, Item=item)
    compare("GetItem", "GetRecords")
    dynamodb.update_item(
        TableName=table,
        **key("id1"),
        UpdateExpression="SET version=:v",
        ExpressionAttributeValues={":v": {"N": "2"}},
    )
    compare("GetItemAfterUpdate", "GetRecordsAfterUpdate")


def test_non_existent_stream(play, streams, unique):
    r = play("TestDynamoDBStreams::test_non_existent_stream", streams, STREAMS_FILE)
    arn = f"arn:aws:dynamodb:{REGION}:{ACCOUNT}:table/{unique('table')}/stream/2024-11-18T14:36:44.149"
    r.call("non-existent-stream", "describe_stream", StreamArn=arn)
