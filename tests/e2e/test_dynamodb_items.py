"""Items of DynamoDB: what requests are refused for, what they cost, what indexes hold, and transactions."""

import time
import uuid
from concurrent.futures import ThreadPoolExecutor

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from cloud import REGION, ROOT_KEY, ROOT_SECRET

KB = 1024


@pytest.fixture(scope="module")
def dynamodb(cloud):
    """A client that tries once, and sends what the caller said."""
    return boto3.client(
        "dynamodb",
        endpoint_url=cloud.endpoint,
        region_name=REGION,
        aws_access_key_id=ROOT_KEY,
        aws_secret_access_key=ROOT_SECRET,
        config=Config(retries={"total_max_attempts": 1}, parameter_validation=False),
    )


@pytest.fixture
def new_table(dynamodb, unique):
    made = []

    def new_table(sort=None, locals=(), globals=(), attributes=(), **settings):
        name = unique("items")
        keys = [{"AttributeName": "pk", "KeyType": "HASH"}]
        kinds = {"pk": "S", **dict(attributes)}
        if sort:
            keys.append({"AttributeName": "sk", "KeyType": "RANGE"})
            kinds["sk"] = sort
        settings.setdefault("BillingMode", "PAY_PER_REQUEST")
        if locals:
            settings["LocalSecondaryIndexes"] = list(locals)
        if globals:
            settings["GlobalSecondaryIndexes"] = list(globals)
        dynamodb.create_table(
            TableName=name,
            KeySchema=keys,
            AttributeDefinitions=[{"AttributeName": key, "AttributeType": kind} for key, kind in kinds.items()],
            **settings,
        )
        dynamodb.get_waiter("table_exists").wait(TableName=name, WaiterConfig={"Delay": 0.05, "MaxAttempts": 600})
        made.append(name)
        return name

    yield new_table
    for name in made:
        dynamodb.delete_table(TableName=name)


def index(name, hash, range=None, projection="ALL", include=None, **more):
    keys = [{"AttributeName": hash, "KeyType": "HASH"}]
    if range:
        keys.append({"AttributeName": range, "KeyType": "RANGE"})
    projected = {"ProjectionType": projection}
    if include:
        projected["NonKeyAttributes"] = include
    return {"IndexName": name, "KeySchema": keys, "Projection": projected, **more}


def refused(call, code="ValidationException", **arguments):
    with pytest.raises(ClientError) as caught:
        call(**arguments)
    assert caught.value.response["Error"]["Code"] == code, caught.value
    return caught.value.response


def message(call, code="ValidationException", **arguments):
    return refused(call, code, **arguments)["Error"]["Message"]


def s(text):
    return {"S": text}


def n(number):
    return {"N": str(number)}


def test_an_item_comes_back_as_it_was_put(dynamodb, new_table):
    table = new_table("N")
    item = {
        "pk": s("a"),
        "sk": n(1),
        "list": {"L": [s("x"), {"NULL": True}, {"M": {"deep": {"BOOL": False}}}]},
        "sets": {"NS": ["1", "2.5"]},
        "bytes": {"B": b"\0\xff"},
        "empty": s(""),
    }
    assert "Attributes" not in dynamodb.put_item(TableName=table, Item=item, ReturnValues="ALL_OLD")
    assert dynamodb.get_item(TableName=table, Key={"pk": s("a"), "sk": n("1.0")})["Item"] == item
    answer = dynamodb.get_item(TableName=table, Key={"pk": s("a"), "sk": n(2)})
    assert "Item" not in answer
    old = dynamodb.delete_item(TableName=table, Key={"pk": s("a"), "sk": n(1)}, ReturnValues="ALL_OLD")
    assert old["Attributes"] == item


def test_large_items_up_to_400_kilobytes(dynamodb, new_table):
    table = new_table()
    room = 400 * KB - len("pk") - len("big") - len("data")
    item = {"pk": s("big"), "data": s("x" * room)}
    dynamodb.put_item(TableName=table, Item=item)
    assert dynamodb.get_item(TableName=table, Key={"pk": s("big")})["Item"] == item
    over = {"pk": s("big"), "data": s("x" * (room + 1))}
    assert message(dynamodb.put_item, TableName=table, Item=over) == "Item size has exceeded the maximum allowed size"
    update = {"UpdateExpression": "SET more = :m", "ExpressionAttributeValues": {":m": s("")}}
    assert message(dynamodb.update_item, TableName=table, Key={"pk": s("big")}, **update) == (
        "Item size to update has exceeded the maximum allowed size"
    )
    dynamodb.put_item(TableName=table, Item={"pk": s("big"), "data": s("small")})
    assert dynamodb.get_item(TableName=table, Key={"pk": s("big")})["Item"]["data"] == s("small")


def test_keys_are_held_to_the_schema(dynamodb, new_table):
    table = new_table("S", globals=[index("by-kind", "kind")], attributes={"kind": "S"})
    key = {"pk": s("a"), "sk": s("b")}
    put = lambda item: message(dynamodb.put_item, TableName=table, Item=item)
    get = lambda key: message(dynamodb.get_item, TableName=table, Key=key)
    invalid = "One or more parameter values were invalid: "
    assert put({"pk": s("a")}) == invalid + "Missing the key sk in the item"
    assert put({**key, "sk": n(1)}) == invalid + "Type mismatch for key sk expected: S actual: N"
    assert put({**key, "kind": n(1)}) == (
        invalid + "Type mismatch for Index Key kind Expected: S Actual: N IndexName: by-kind"
    )
    assert put({**key, "kind": s("")}) == (
        "One or more parameter values are not valid. A value specified for a secondary index key is not supported. The "
        "AttributeValue for a key attribute cannot contain an empty string value. IndexName: by-kind, IndexKey: kind"
    )
    assert put({**key, "pk": s("x" * 2049)}) == (
        invalid + "Size of hashkey has exceeded the maximum size limit of2048 bytes"
    )
    assert put({**key, "sk": s("x" * 1025)}) == (
        invalid + "Aggregated size of all range keys has exceeded the size limit of 1024 bytes"
    )
    mismatch = "The provided key element does not match the schema"
    assert [get({"pk": s("a")}), get({**key, "pk": n(1)}), get({**key, "more": s("x")})] == [mismatch] * 3
    longest = {"pk": s("é" * 1024), "sk": s("x" * 1024), "kind": s("k" * 2048)}
    dynamodb.put_item(TableName=table, Item=longest)
    found = dynamodb.query(
        TableName=table,
        IndexName="by-kind",
        KeyConditionExpression="kind = :k",
        ExpressionAttributeValues={":k": longest["kind"]},
    )
    assert found["Items"] == [longest]


def test_updates_return_what_was_asked_for(dynamodb, new_table):
    table = new_table()

    def update(returns, expression, values=None, **more):
        values = {"ExpressionAttributeValues": values} if values else {}
        arguments = {"TableName": table, "Key": {"pk": s("a")}, "UpdateExpression": expression, **values, **more}
        return dynamodb.update_item(**arguments, ReturnValues=returns).get("Attributes")

    assert update("ALL_OLD", "SET a = :a, m = :m", {":a": n(1), ":m": {"M": {"x": n(1), "y": n(2)}}}) is None
    assert update("UPDATED_NEW", "SET a = a + :a, m.x = :a", {":a": n(4)}) == {"a": n(5), "m": {"M": {"x": n(4)}}}
    assert update("UPDATED_OLD", "ADD a :a REMOVE m.y", {":a": n(1)}) == {"a": n(5), "m": {"M": {"y": n(2)}}}
    assert update("ALL_NEW", "REMOVE m") == {"pk": s("a"), "a": n(6)}
    assert update("NONE", "SET b = :b", {":b": s("x")}) is None
    cannot = "One or more parameter values were invalid: Cannot update attribute pk. This attribute is part of the key"
    assert message(lambda: update("NONE", "SET pk = :b", {":b": s("x")})) == cannot


def test_conditions_that_are_not_met_tell_the_item(dynamodb, new_table):
    table = new_table()
    dynamodb.put_item(TableName=table, Item={"pk": s("a"), "price": n(7)})
    arguments = {
        "TableName": table,
        "Item": {"pk": s("a")},
        "ConditionExpression": "price < :p",
        "ExpressionAttributeValues": {":p": n(5)},
    }
    failed = "ConditionalCheckFailedException"
    answer = refused(dynamodb.put_item, failed, **arguments)
    assert answer["Error"]["Message"] == "The conditional request failed" and "Item" not in answer
    answer = refused(dynamodb.put_item, failed, **arguments, ReturnValuesOnConditionCheckFailure="ALL_OLD")
    assert answer["Item"] == {"pk": s("a"), "price": n(7)}
    delete = {"TableName": table, "Key": {"pk": s("a")}, "ConditionExpression": "attribute_not_exists(pk)"}
    refused(dynamodb.delete_item, failed, **delete)
    assert "Item" in dynamodb.get_item(TableName=table, Key={"pk": s("a")})


def test_indexes_hold_what_items_have(dynamodb, new_table):
    table = new_table(
        "S",
        locals=[index("own", "pk", "at", "KEYS_ONLY")],
        globals=[index("all", "kind", "at", "INCLUDE", ["note"])],
        attributes={"at": "N", "kind": "S"},
    )
    for at in range(6):
        item = {"pk": s("p"), "sk": s(f"s{at}"), "at": n(10 - at), "kind": s("even" if at % 2 == 0 else "odd")}
        dynamodb.put_item(TableName=table, Item={**item, "note": s(f"n{at}"), "rest": s("r")})
    dynamodb.put_item(TableName=table, Item={"pk": s("p"), "sk": s("none"), "kind": s("even")})

    def query(name, hash, value, **more):
        return dynamodb.query(
            TableName=table,
            IndexName=name,
            KeyConditionExpression=f"{hash} = :h",
            ExpressionAttributeValues={":h": s(value)},
            **more,
        )

    evens = query("all", "kind", "even")["Items"]
    assert [item["sk"]["S"] for item in evens] == ["s4", "s2", "s0"]
    assert set(evens[0]) == {"pk", "sk", "at", "kind", "note"}
    own = query("own", "pk", "p", ScanIndexForward=False, ConsistentRead=True)["Items"]
    assert [item["at"]["N"] for item in own] == ["10", "9", "8", "7", "6", "5"]
    assert set(own[0]) == {"pk", "sk", "at"}
    whole = query("own", "pk", "p", Select="ALL_ATTRIBUTES", Limit=1)["Items"]
    assert whole[0]["rest"] == s("r")
    fetched = query("own", "pk", "p", ProjectionExpression="rest", Limit=1)["Items"]
    assert fetched == [{"rest": s("r")}]
    dynamodb.update_item(
        TableName=table,
        Key={"pk": s("p"), "sk": s("s0")},
        UpdateExpression="SET kind = :k REMOVE #at",
        ExpressionAttributeNames={"#at": "at"},
        ExpressionAttributeValues={":k": s("odd")},
    )
    assert [item["sk"]["S"] for item in query("all", "kind", "even")["Items"]] == ["s4", "s2"]
    assert "s0" not in [item["sk"]["S"] for item in query("own", "pk", "p")["Items"]]
    refusal = lambda **more: message(lambda: query("all", "kind", "even", **more))
    assert refusal(ConsistentRead=True) == "Consistent reads are not supported on global secondary indexes"
    assert refusal(Select="ALL_ATTRIBUTES") == (
        "One or more parameter values were invalid: Select type ALL_ATTRIBUTES is not supported for global secondary index "
        "all because its projection type is not ALL"
    )
    assert "does not project [rest]" in refusal(ProjectionExpression="rest")
    assert message(lambda: query("none", "kind", "even")) == "The table does not have the specified index: none"
    assert dynamodb.scan(TableName=table, IndexName="all")["Count"] == 5


def pages(call, **arguments):
    answer = call(**arguments)
    yield answer
    while "LastEvaluatedKey" in answer:
        answer = call(**arguments, ExclusiveStartKey=answer["LastEvaluatedKey"])
        yield answer


def test_queries_page_in_both_directions(dynamodb, new_table):
    table = new_table("N", globals=[index("all", "kind")], attributes={"kind": "S"})
    for at in range(25):
        dynamodb.put_item(TableName=table, Item={"pk": s("p"), "sk": n(at - 12), "kind": s("k")})
    query = {"TableName": table, "KeyConditionExpression": "pk = :p", "ExpressionAttributeValues": {":p": s("p")}}
    forward = [item["sk"]["N"] for page in pages(dynamodb.query, **query, Limit=7) for item in page["Items"]]
    assert forward == [str(at - 12) for at in range(25)]
    back = pages(dynamodb.query, **query, Limit=7, ScanIndexForward=False)
    assert [item["sk"]["N"] for page in back for item in page["Items"]] == forward[::-1]
    by_kind = {"KeyConditionExpression": "kind = :p", "ExpressionAttributeValues": {":p": s("k")}}
    found = pages(dynamodb.query, TableName=table, IndexName="all", **by_kind, Limit=4)
    assert len({item["sk"]["N"] for page in found for item in page["Items"]}) == 25
    tests = {"sk < :a": 12, "sk <= :a": 13, "sk > :a": 12, "sk >= :a": 13, "sk = :a": 1, "sk BETWEEN :a AND :b": 6}
    for test, count in tests.items():
        values = {":p": s("p"), ":a": n(0), **({":b": n(5)} if ":b" in test else {})}
        answer = dynamodb.query(
            TableName=table,
            KeyConditionExpression=f"pk = :p AND {test}",
            ExpressionAttributeValues=values,
            Select="COUNT",
        )
        assert (answer["Count"], "Items" in answer) == (count, False), test
    filtered = dynamodb.query(
        TableName=table,
        KeyConditionExpression="pk = :p",
        FilterExpression="kind = :none",
        ExpressionAttributeValues={":p": s("p"), ":none": s("none")},
        Limit=10,
    )
    assert (filtered["Count"], filtered["ScannedCount"]) == (0, 10) and "LastEvaluatedKey" in filtered


def test_prefixes_of_sort_keys(dynamodb, new_table):
    table = new_table("S")
    for sk in ["a", "ab", "ab\0c", "abc", "ac", "b"]:
        dynamodb.put_item(TableName=table, Item={"pk": s("p"), "sk": s(sk)})
    answer = dynamodb.query(
        TableName=table,
        KeyConditionExpression="pk = :p AND begins_with(sk, :s)",
        ExpressionAttributeValues={":p": s("p"), ":s": s("ab")},
    )
    assert [item["sk"]["S"] for item in answer["Items"]] == ["ab", "ab\0c", "abc"]


def test_pages_end_at_a_megabyte(dynamodb, new_table):
    table = new_table("N")
    for at in range(30):
        dynamodb.put_item(TableName=table, Item={"pk": s("p"), "sk": n(at), "data": s("x" * 50_000)})
    query = {"TableName": table, "KeyConditionExpression": "pk = :p", "ExpressionAttributeValues": {":p": s("p")}}
    found = list(pages(dynamodb.query, **query, ReturnConsumedCapacity="TOTAL", ConsistentRead=True))
    assert [page["Count"] for page in found] == [21, 9]
    assert found[0]["ConsumedCapacity"]["CapacityUnits"] == -(-21 * (50_000 + 4 + 1 + 2 + 3) // 4096)
    assert sum(page["Count"] for page in pages(dynamodb.scan, TableName=table)) == 30


def test_segments_divide_a_scan(dynamodb, new_table):
    table = new_table()
    names = {f"item-{at}" for at in range(60)}
    for name in names:
        dynamodb.put_item(TableName=table, Item={"pk": s(name)})
    segments = 7
    scan = lambda segment: [
        item["pk"]["S"]
        for page in pages(dynamodb.scan, TableName=table, Segment=segment, TotalSegments=segments, Limit=5)
        for item in page["Items"]
    ]
    parts = [scan(segment) for segment in range(segments)]
    assert sorted(sum(parts, [])) == sorted(names)
    everything = [item["pk"]["S"] for page in pages(dynamodb.scan, TableName=table) for item in page["Items"]]
    assert everything == sum(parts, [])
    assert message(dynamodb.scan, TableName=table, Segment=1) == (
        "The TotalSegments parameter is required but was not present in the request when Segment parameter is present"
    )


def test_capacity_is_told_as_it_is_billed(dynamodb, new_table):
    table = new_table(
        "S", globals=[index("all", "kind"), index("keys", "kind", projection="KEYS_ONLY")], attributes={"kind": "S"}
    )
    item = {"pk": s("p"), "sk": s("s"), "kind": s("k"), "data": s("x" * 1500)}
    units = lambda answer: answer["ConsumedCapacity"]["CapacityUnits"]
    put = dynamodb.put_item(TableName=table, Item=item, ReturnConsumedCapacity="INDEXES")["ConsumedCapacity"]
    assert (put["CapacityUnits"], put["Table"]["CapacityUnits"]) == (5, 2)
    assert {name: part["CapacityUnits"] for name, part in put["GlobalSecondaryIndexes"].items()} == {"all": 2, "keys": 1}
    key = {"TableName": table, "Key": {"pk": s("p"), "sk": s("s")}, "ReturnConsumedCapacity": "TOTAL"}
    assert units(dynamodb.get_item(**key)) == 0.5
    assert units(dynamodb.get_item(**key, ConsistentRead=True)) == 1
    change = {"ExpressionAttributeValues": {":d": s("y" * 1500)}, "UpdateExpression": "SET #d = :d"}
    assert units(dynamodb.update_item(**key, **change, ExpressionAttributeNames={"#d": "data"})) == 4
    move = {"ExpressionAttributeValues": {":k": s("other")}, "UpdateExpression": "SET kind = :k"}
    assert units(dynamodb.update_item(**key, **move)) == 2 + 2 * (2 + 1)
    assert "ConsumedCapacity" not in dynamodb.get_item(**{**key, "ReturnConsumedCapacity": "NONE"})
    gets = [{"Get": {"TableName": table, "Key": key["Key"]}}]
    read = dynamodb.transact_get_items(TransactItems=gets, ReturnConsumedCapacity="TOTAL")["ConsumedCapacity"]
    assert read == [{"TableName": table, "CapacityUnits": 2, "ReadCapacityUnits": 2}]
    assert units(dynamodb.delete_item(**key)) == 2 + 2 + 1


def test_item_collections_are_told_where_there_are_local_indexes(dynamodb, new_table):
    table = new_table("S", locals=[index("own", "pk", "at")], attributes={"at": "N"})
    item = {"pk": s("p"), "sk": s("s"), "at": n(1)}
    answer = dynamodb.put_item(TableName=table, Item=item, ReturnItemCollectionMetrics="SIZE")
    assert answer["ItemCollectionMetrics"] == {"ItemCollectionKey": {"pk": s("p")}, "SizeEstimateRangeGB": [0, 1]}
    writes = {table: [{"PutRequest": {"Item": item}}]}
    answer = dynamodb.batch_write_item(RequestItems=writes, ReturnItemCollectionMetrics="SIZE")
    assert [metrics["ItemCollectionKey"] for metrics in answer["ItemCollectionMetrics"][table]] == [{"pk": s("p")}]
    plain = new_table()
    answer = dynamodb.put_item(TableName=plain, Item={"pk": s("p")}, ReturnItemCollectionMetrics="SIZE")
    assert "ItemCollectionMetrics" not in answer


def test_batches(dynamodb, new_table):
    table = new_table()
    puts = [{"PutRequest": {"Item": {"pk": s(f"i{at}"), "data": s("x" * 300 * KB)}}} for at in range(25)]
    assert dynamodb.batch_write_item(RequestItems={table: puts})["UnprocessedItems"] == {}
    for at in range(25, 60):
        dynamodb.put_item(TableName=table, Item={"pk": s(f"i{at}"), "data": s("x" * 300 * KB)})
    asked, found = {table: {"Keys": [{"pk": s(f"i{at}")} for at in range(61)], "ProjectionExpression": "pk"}}, []
    rounds = 0
    while asked:
        answer = dynamodb.batch_get_item(RequestItems=asked)
        found += [item["pk"]["S"] for item in answer["Responses"][table]]
        asked = answer["UnprocessedKeys"]
        rounds += 1
    assert (sorted(found), rounds) == (sorted(f"i{at}" for at in range(60)), 2)
    twice = {table: {"Keys": [{"pk": s("i1")}, {"pk": s("i1")}]}}
    duplicates = "Provided list of item keys contains duplicates"
    assert message(dynamodb.batch_get_item, RequestItems=twice) == duplicates
    both = {table: [{"PutRequest": {"Item": {"pk": s("i1")}}}, {"DeleteRequest": {"Key": {"pk": s("i1")}}}]}
    assert message(dynamodb.batch_write_item, RequestItems=both) == duplicates
    wrong = {table: [{"PutRequest": {"Item": {"pk": n(1)}}}]}
    assert message(dynamodb.batch_write_item, RequestItems=wrong) == "The provided key element does not match the schema"


def test_items_nest_32_levels(dynamodb, new_table):
    def nested(levels):
        value = s("x")
        for level in range(levels):
            value = {"M": {"m": value}} if level % 2 else {"L": [value]}
        return {"pk": s("a"), "deep": value}

    table = new_table()
    item = nested(31)
    dynamodb.put_item(TableName=table, Item=item)
    assert dynamodb.get_item(TableName=table, Key={"pk": s("a")})["Item"] == item
    put = lambda levels: {"Put": {"TableName": table, "Item": nested(levels)}}
    dynamodb.transact_write_items(TransactItems=[put(31)])
    told = message(dynamodb.put_item, TableName=table, Item=nested(33))
    assert "Nesting Levels have exceeded supported limits" in told


def canceled(call, **arguments):
    answer = refused(call, "TransactionCanceledException", **arguments)
    codes = ", ".join(reason["Code"] for reason in answer["CancellationReasons"])
    assert answer["Error"]["Message"] == (
        f"Transaction cancelled, please refer cancellation reasons for specific reasons [{codes}]"
    )
    return answer["CancellationReasons"]


def test_transactions_do_all_or_nothing(dynamodb, new_table):
    one, two = new_table(), new_table("N")
    dynamodb.put_item(TableName=one, Item={"pk": s("old"), "v": n(1)})
    put = {"Put": {"TableName": two, "Item": {"pk": s("new"), "sk": n(1)}}}
    update = {
        "Update": {
            "TableName": one,
            "Key": {"pk": s("old")},
            "UpdateExpression": "ADD v :v",
            "ExpressionAttributeValues": {":v": n(1)},
        }
    }
    check = {
        "ConditionCheck": {
            "TableName": one,
            "Key": {"pk": s("none")},
            "ConditionExpression": "attribute_exists(pk)",
        }
    }
    reasons = canceled(dynamodb.transact_write_items, TransactItems=[put, check, update])
    assert [reason["Code"] for reason in reasons] == ["None", "ConditionalCheckFailed", "None"]
    assert "Item" not in dynamodb.get_item(TableName=two, Key={"pk": s("new"), "sk": n(1)})
    delete = {
        "Delete": {
            "TableName": one,
            "Key": {"pk": s("old")},
            "ConditionExpression": "v = :v",
            "ExpressionAttributeValues": {":v": n(9)},
            "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
        }
    }
    reasons = canceled(dynamodb.transact_write_items, TransactItems=[delete, put])
    assert reasons[0]["Item"] == {"pk": s("old"), "v": n(1)}
    answer = dynamodb.transact_write_items(TransactItems=[put, update], ReturnConsumedCapacity="TOTAL")
    assert {part["TableName"]: part["WriteCapacityUnits"] for part in answer["ConsumedCapacity"]} == {one: 2, two: 2}
    gets = [
        {"Get": {"TableName": one, "Key": {"pk": s("old")}}},
        {"Get": {"TableName": two, "Key": {"pk": s("new"), "sk": n(1)}, "ProjectionExpression": "sk"}},
        {"Get": {"TableName": one, "Key": {"pk": s("none")}}},
    ]
    answer = dynamodb.transact_get_items(TransactItems=gets)
    assert answer["Responses"] == [{"Item": {"pk": s("old"), "v": n(2)}}, {"Item": {"sk": n(1)}}, {}]


def test_what_transactions_are_refused_for(dynamodb, new_table):
    table = new_table()
    put = lambda key: {"Put": {"TableName": table, "Item": {"pk": key}}}
    write = dynamodb.transact_write_items
    assert message(write, TransactItems=[put(s("a")), put(s("a"))]) == (
        "Transaction request cannot include multiple operations on one item"
    )
    assert "empty string value" in message(write, TransactItems=[put(s(""))])
    reasons = canceled(write, TransactItems=[put(s("a")), put(n(1))])
    assert [reason["Code"] for reason in reasons] == ["None", "ValidationError"]
    missing = {"Put": {"TableName": "no-such-table", "Item": {"pk": s("a")}}}
    assert message(write, "ResourceNotFoundException", TransactItems=[missing]) == "Requested resource not found"
    both = {**put(s("a")), "Delete": {"TableName": table, "Key": {"pk": s("b")}}}
    assert message(write, TransactItems=[both]) == (
        "TransactItems can only contain one of Check, Put, Update or Delete"
    )
    big = [{"Put": {"TableName": table, "Item": {"pk": s(str(at)), "data": s("x" * 399 * KB)}}} for at in range(11)]
    assert "4 MB" in message(write, TransactItems=big)
    assert dynamodb.scan(TableName=table)["Count"] == 0


def test_a_transaction_with_the_same_token_is_done_once(dynamodb, new_table):
    table = new_table()
    add = lambda by: [
        {
            "Update": {
                "TableName": table,
                "Key": {"pk": s("counter")},
                "UpdateExpression": "ADD v :v",
                "ExpressionAttributeValues": {":v": n(by)},
            }
        }
    ]
    token = str(uuid.uuid4())
    first = dynamodb.transact_write_items(
        TransactItems=add(1), ClientRequestToken=token, ReturnConsumedCapacity="TOTAL"
    )
    again = dynamodb.transact_write_items(
        TransactItems=add(1), ClientRequestToken=token, ReturnConsumedCapacity="TOTAL"
    )
    assert first["ConsumedCapacity"][0]["WriteCapacityUnits"] == 2
    assert again["ConsumedCapacity"][0]["ReadCapacityUnits"] == 2
    refused(
        dynamodb.transact_write_items,
        "IdempotentParameterMismatchException",
        TransactItems=add(2),
        ClientRequestToken=token,
    )
    assert dynamodb.get_item(TableName=table, Key={"pk": s("counter")})["Item"]["v"] == n(1)


def test_a_transaction_of_four_megabytes_is_done_whatever_follows_from_it(dynamodb, new_table):
    """With four indexes that hold all, and both images in a stream, its rows are more than 24 MB."""
    table = new_table(
        globals=[index(f"by-{number}", "g") for number in range(4)],
        attributes=[("g", "S")],
        StreamSpecification={"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"},
    )
    for letter in "ab":
        rest = {"g": s(letter), "v": s(letter * 400_000)}
        puts = [{"Put": {"TableName": table, "Item": {"pk": s(str(id)), **rest}}} for id in range(10)]
        dynamodb.transact_write_items(TransactItems=puts)
    found = dynamodb.query(
        TableName=table,
        IndexName="by-3",
        Select="COUNT",
        KeyConditionExpression="g = :b",
        ExpressionAttributeValues={":b": s("b")},
    )
    assert found["Count"] == 3, "a page of them"
    assert dynamodb.get_item(TableName=table, Key={"pk": s("9")})["Item"]["v"] == s("b" * 400_000)
    dynamodb.transact_write_items(
        TransactItems=[{"Delete": {"TableName": table, "Key": {"pk": s(str(id))}}} for id in range(10)]
    )
    assert dynamodb.scan(TableName=table)["Count"] == 0


def test_a_global_index_may_have_keys_of_several_attributes(dynamodb, new_table):
    keys = [("cup", "HASH"), ("league", "HASH"), ("stage", "RANGE"), ("pitch", "RANGE")]
    many = index("many", "cup")
    many["KeySchema"] = [{"AttributeName": name, "KeyType": kind} for name, kind in keys]
    table = new_table(globals=[many], attributes=[("cup", "S"), ("league", "S"), ("stage", "N"), ("pitch", "S")])
    for id, league, stage, pitch in [("a", "north", 2, "x"), ("b", "north", 10, "y"), ("c", "south", 2, "x")]:
        item = {"pk": s(id), "cup": s("1999"), "league": s(league), "stage": n(stage), "pitch": s(pitch)}
        dynamodb.put_item(TableName=table, Item=item)
    dynamodb.put_item(TableName=table, Item={"pk": s("d"), "cup": s("1999"), "league": s("north")})

    def found(condition, **values):
        answer = dynamodb.query(
            TableName=table,
            IndexName="many",
            KeyConditionExpression=condition,
            ExpressionAttributeValues={f":{name}": value for name, value in values.items()},
        )
        return [item["pk"]["S"] for item in answer["Items"]]

    partition = {"c": s("1999"), "l": s("north")}
    assert found("cup = :c AND league = :l", **partition) == ["a", "b"]
    assert found("cup = :c AND league = :l AND stage > :s", s=n(2), **partition) == ["b"]
    assert found("cup = :c AND league = :l AND stage = :s AND pitch = :p", s=n(2), p=s("x"), **partition) == ["a"]
    for wrong in ["cup = :c AND stage = :l", "cup = :c AND league = :l AND pitch = :l"]:
        with pytest.raises(ClientError, match="ValidationException"):
            found(wrong, **partition)
    shown = dynamodb.describe_table(TableName=table)["Table"]["GlobalSecondaryIndexes"][0]
    assert shown["KeySchema"] == many["KeySchema"] and shown["ItemCount"] == 3


def test_transfers_keep_the_sum(dynamodb, new_table):
    """Eight clients move money between four accounts, each move a transaction, and one reads all four at once."""
    table = new_table()
    accounts = [{"pk": s(f"account-{at}")} for at in range(4)]
    for account in accounts:
        dynamodb.put_item(TableName=table, Item={**account, "money": n(100)})

    def part(account, by):
        return {
            "Update": {
                "TableName": table,
                "Key": account,
                "UpdateExpression": "SET money = money + :by",
                "ConditionExpression": "money >= :least",
                "ExpressionAttributeValues": {":by": n(by), ":least": n(max(0, -by))},
            }
        }

    def move(at):
        source, target = accounts[at % 4], accounts[(at * 7 + 1) % 4]
        if source == target:
            return 0
        try:
            dynamodb.transact_write_items(TransactItems=[part(source, -30), part(target, 30)])
            return 1
        except ClientError as error:
            assert error.response["Error"]["Code"] == "TransactionCanceledException", error
            return 0

    def read(_):
        gets = [{"Get": {"TableName": table, "Key": account}} for account in accounts]
        answer = dynamodb.transact_get_items(TransactItems=gets)
        return sum(int(response["Item"]["money"]["N"]) for response in answer["Responses"])

    with ThreadPoolExecutor(9) as pool:
        moves = [pool.submit(move, at) for at in range(120)]
        sums = list(pool.map(read, range(40)))
        assert sum(move.result() for move in moves) > 0
    assert set(sums) == {400}


def test_provisioned_throughput_is_what_a_table_gives(dynamodb, new_table):
    table = new_table(
        BillingMode="PROVISIONED", ProvisionedThroughput={"ReadCapacityUnits": 1, "WriteCapacityUnits": 1}
    )
    item = {"pk": s("big"), "data": s("x" * 399 * KB)}
    # Five minutes' worth of one unit a second is there at once, and an operation may take more than there is.
    dynamodb.put_item(TableName=table, Item=item)
    exceeded = "ProvisionedThroughputExceededException"
    told = message(dynamodb.put_item, exceeded, TableName=table, Item=item)
    assert told.startswith("The level of configured provisioned throughput for the table was exceeded.")
    assert "Item" in dynamodb.get_item(TableName=table, Key={"pk": s("big")}), "reading has its own"
    refused(dynamodb.batch_write_item, exceeded, RequestItems={table: [{"PutRequest": {"Item": item}}]})
    open_table = new_table()
    writes = {table: [{"PutRequest": {"Item": item}}], open_table: [{"PutRequest": {"Item": item}}]}
    answer = dynamodb.batch_write_item(RequestItems=writes)
    assert list(answer["UnprocessedItems"]) == [table]
    reasons = canceled(
        dynamodb.transact_write_items, TransactItems=[{"Put": {"TableName": table, "Item": {"pk": s("a")}}}]
    )
    assert reasons[0]["Code"] == "ProvisionedThroughputExceeded"


def test_old_parameters_do_what_expressions_do(dynamodb, new_table):
    table = new_table("N")
    key = {"pk": s("a"), "sk": n(1)}
    dynamodb.put_item(TableName=table, Item={**key, "v": n(1)}, Expected={"pk": {"Exists": False}})
    answer = dynamodb.update_item(
        TableName=table,
        Key=key,
        AttributeUpdates={"v": {"Action": "ADD", "Value": n(2)}, "w": {"Value": s("x")}},
        ReturnValues="ALL_NEW",
    )
    assert answer["Attributes"] == {**key, "v": n(3), "w": s("x")}
    conditions = {
        "pk": {"ComparisonOperator": "EQ", "AttributeValueList": [s("a")]},
        "sk": {"ComparisonOperator": "GE", "AttributeValueList": [n(1)]},
    }
    answer = dynamodb.query(TableName=table, KeyConditions=conditions, AttributesToGet=["w"])
    assert answer["Items"] == [{"w": s("x")}]
    scan = {"w": {"ComparisonOperator": "NULL"}}
    assert dynamodb.scan(TableName=table, ScanFilter=scan)["Count"] == 0
    told = message(
        dynamodb.put_item,
        TableName=table,
        Item=key,
        Expected={"pk": {"Exists": False}},
        ConditionExpression="attribute_exists(pk)",
    )
    assert told == (
        "Can not use both expression and non-expression parameters in the same request: Non-expression parameters: "
        "{Expected} Expression parameters: {ConditionExpression}"
    )


def test_what_was_acknowledged_is_there_after_a_crash(own_cloud):
    own_cloud.start()
    client = own_cloud.client("dynamodb")
    client.create_table(
        TableName="kept",
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "pk", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )
    for at in range(20):
        client.put_item(TableName="kept", Item={"pk": s(str(at))})
    own_cloud.kill()
    own_cloud.start()
    client = own_cloud.client("dynamodb")
    assert client.scan(TableName="kept", ConsistentRead=True)["Count"] == 20
