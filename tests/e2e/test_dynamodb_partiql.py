"""PartiQL through boto3, with what AWS was seen to answer."""

import json
import re
import uuid

import pytest
from botocore.exceptions import ClientError

FAST = {"Delay": 0.05, "MaxAttempts": 600}
NOT_WELL_FORMED = "Statement wasn't well formed, can't be processed: "
NO_KEY = "Where clause does not contain a mandatory equality on all key attributes"
KEY_MISMATCH = "The provided key element does not match the schema"


@pytest.fixture(scope="module")
def client(cloud):
    return cloud.client("dynamodb")


@pytest.fixture(scope="module")
def table(client, unique_for_module):
    """Items by pk and sk, with an index of each kind that holds little of them."""
    name = unique_for_module("partiql")
    text = [{"AttributeName": each, "AttributeType": "S"} for each in ("pk", "sk", "own", "at")]
    client.create_table(
        TableName=name,
        AttributeDefinitions=text,
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}],
        GlobalSecondaryIndexes=[
            {
                "IndexName": "by-own",
                "KeySchema": [{"AttributeName": "own", "KeyType": "HASH"}],
                "Projection": {"ProjectionType": "INCLUDE", "NonKeyAttributes": ["held"]},
            }
        ],
        LocalSecondaryIndexes=[
            {
                "IndexName": "by-at",
                "KeySchema": [{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "at", "KeyType": "RANGE"}],
                "Projection": {"ProjectionType": "KEYS_ONLY"},
            }
        ],
        BillingMode="PAY_PER_REQUEST",
    )
    client.get_waiter("table_exists").wait(TableName=name, WaiterConfig=FAST)
    yield name
    client.delete_table(TableName=name)


@pytest.fixture(scope="module")
def unique_for_module():
    return lambda prefix: f"{prefix}-{uuid.uuid4().hex[:8]}"


@pytest.fixture
def pk(unique):
    """A partition of a test's own."""
    return unique("pk")


@pytest.fixture
def put(client, table, pk):
    def put(sk="1", **attributes):
        client.put_item(TableName=table, Item={"pk": {"S": pk}, "sk": {"S": sk}, **attributes})

    return put


@pytest.fixture
def get(client, table, pk):
    def get(sk="1"):
        found = client.get_item(TableName=table, Key={"pk": {"S": pk}, "sk": {"S": sk}}, ConsistentRead=True)
        return found.get("Item")

    return get


@pytest.fixture
def run(client, table, pk):
    """Runs a statement, in which T and P stand for the table and the partition; gives its items."""

    def run(statement, *parameters, **settings):
        statement = with_names(statement, table, pk)
        if parameters:
            settings["Parameters"] = list(parameters)
        return client.execute_statement(Statement=statement, **settings)["Items"]

    return run


@pytest.fixture
def refused(run):
    """Runs a statement that is refused; gives code and message."""

    def refused(statement, *parameters):
        with pytest.raises(ClientError) as caught:
            run(statement, *parameters)
        error = caught.value.response["Error"]
        return error["Code"], error["Message"]

    return refused


def with_names(statement, table, pk):
    """The statement with the names that T and P stand for."""
    return re.sub(r"\bT\b", f'"{table}"', re.sub(r"\bP\b", f"'{pk}'", statement))


def sks(items):
    return [item["sk"]["S"] for item in items]


def test_items_are_inserted_selected_updated_and_deleted(run, refused, get, pk):
    assert run("INSERT INTO T VALUE {'pk': P, 'sk': '1', 'n': 1.50, 'l': [1, 'a', null, true], 's': <<'x', 'y'>>}") == []
    assert get() == {
        "pk": {"S": pk},
        "sk": {"S": "1"},
        "n": {"N": "1.5"},
        "l": {"L": [{"N": "1"}, {"S": "a"}, {"NULL": True}, {"BOOL": True}]},
        "s": {"SS": ["x", "y"]},
    }
    duplicate = ("DuplicateItemException", "Duplicate primary key exists in table")
    assert refused("INSERT INTO T VALUE {'pk': P, 'sk': '1'}") == duplicate
    assert run("SELECT n, l[1] FROM T WHERE pk = P AND sk = '1'") == [{"n": {"N": "1.5"}, "l[1]": {"S": "a"}}]
    assert run("UPDATE T SET n = n + 1 REMOVE l WHERE pk = P AND sk = '1'") == []
    new = run("UPDATE T SET s = set_add(s, <<'z'>>) WHERE pk = P AND sk = '1' RETURNING ALL NEW *")
    assert new == [{"pk": {"S": pk}, "sk": {"S": "1"}, "n": {"N": "2.5"}, "s": {"SS": ["x", "y", "z"]}}]
    modified = run("FROM T WHERE pk = P AND sk = '1' SET n = 7 RETURNING MODIFIED OLD *")
    assert modified == [{"n": {"N": "2.5"}}]
    assert run("DELETE FROM T WHERE pk = P AND sk = '1' RETURNING ALL OLD *")[0]["n"] == {"N": "7"}
    assert run("DELETE FROM T WHERE pk = P AND sk = '1' RETURNING ALL OLD *") == []
    assert get() is None


def test_values_come_as_parameters(run, refused, get, pk):
    run("INSERT INTO T VALUE {'pk': ?, 'sk': ?, 'b': ?}", {"S": pk}, {"S": "1"}, {"B": b"\x00\xff"})
    assert get()["b"] == {"B": b"\x00\xff"}
    assert run("SELECT b FROM T WHERE pk = ? AND sk IN [?, ?]", {"S": pk}, {"S": "1"}, {"S": "2"}) == [{"b": {"B": b"\x00\xff"}}]
    differ = ("ValidationException", "Number of parameters in request and statement don't match.")
    assert refused("SELECT * FROM T WHERE pk = ?", {"S": pk}, {"S": "more"}) == differ
    assert refused("SELECT * FROM T WHERE pk = ?") == differ
    null = "One or more parameter values were invalid: Null attribute value types must have the value of true"
    assert refused("UPDATE T SET WHERE", {"NULL": False}) == ("ValidationException", null)


def test_writes_have_conditions(run, refused, put, get):
    put(flag={"S": "x"})
    failed = ("ConditionalCheckFailedException", "The conditional request failed")
    assert refused("UPDATE T SET a = 1 WHERE pk = P AND sk = '1' AND flag = 'y'") == failed
    assert refused("UPDATE T SET a = 1 WHERE pk = P AND sk = 'none'") == failed
    assert refused("DELETE FROM T WHERE pk = P AND sk = '1' AND attribute_exists(nope)") == failed
    assert run("DELETE FROM T WHERE pk = P AND sk = 'none' AND flag = 'x'") == []
    assert run("UPDATE T SET a = 2 WHERE (pk = P AND sk = '1') AND flag = 'x'") == []
    assert get()["a"] == {"N": "2"}
    assert get("none") is None


def test_a_write_names_one_item(refused, put, get):
    put()
    assert refused("DELETE FROM T WHERE pk = P") == ("ValidationException", NO_KEY)
    assert refused("UPDATE T SET a = 1") == ("ValidationException", NO_KEY)
    several = "Multiple conditions on same key pk. Only single item Update/Insert/Delete are supported"
    assert refused("UPDATE T SET a = 1 WHERE pk = P AND sk = '1' AND pk = 'o'") == ("ValidationException", several)
    part_of_key = "One or more parameter values were invalid: Cannot update attribute sk. This attribute is part of the key"
    assert refused("UPDATE T SET sk = '2' WHERE pk = P AND sk = '1'") == ("ValidationException", part_of_key)
    assert set(get()) == {"pk", "sk"}


def test_what_aws_says_of_wrong_statements(refused, client):
    for statement, message in [
        ("SLECT * FROM T", f"{NOT_WELL_FORMED}Expected data manipulation"),
        ("SELECT * FROM T WHERE pk = 'a' foo", f"{NOT_WELL_FORMED}Unexpected token after expression"),
        ("SELECT * FROM T WHERE", f"{NOT_WELL_FORMED}Unexpected term"),
        ("SELECT * FROM T t WHERE pk = 'a'", "Aliasing is not supported"),
        ("SELECT * FROM T WHERE pk IN ['r', 'r']", "Overlapping conditions with range keys are not supported in where clause"),
        ("SELECT * FROM T WHERE pk = 1", "Key attribute's data type should match its data type in table's schema: Key pk"),
        ("SELECT * FROM T ORDER BY sk", "Must have WHERE clause in the statement when using ORDER BY clause."),
    ]:
        assert refused(statement) == ("ValidationException", message), statement
    with pytest.raises(client.exceptions.ResourceNotFoundException):
        client.execute_statement(Statement="SELECT * FROM \"not-there\" WHERE pk = 'x'")


def test_keys_choose_what_is_read(run, put):
    for sk in ("1", "2", "30"):
        put(sk, n={"N": sk})
    for where, found in [
        ("pk = P", ["1", "2", "30"]),
        ("pk = P AND sk > '1'", ["2", "30"]),
        ("pk = P AND sk BETWEEN '1' AND '2'", ["1", "2"]),
        ("pk = P AND begins_with(sk, '3')", ["30"]),
        ("pk = P AND sk IN ['30', '1']", ["30", "1"]),
        ("pk = P AND NOT sk = '1'", ["2", "30"]),
        ("pk = P AND sk <> '1' AND n < 10", ["2"]),
        ("pk = P AND NOT sk = '1' OR pk = P AND sk = '2'", ["2", "30"]),
        ("pk = P AND (n = 1 OR n = 30)", ["1", "30"]),
        ("pk = P AND n IS MISSING", []),
        ("pk = P ORDER BY sk DESC", ["30", "2", "1"]),
        ("pk = P ORDER BY sk ASC", ["1", "2", "30"]),
        ("pk IN [P, 'other'] AND sk = '2'", ["2"]),
    ]:
        assert sks(run(f"SELECT * FROM T WHERE {where}")) == found, where


def test_a_scan_filters(run, put, unique):
    put("1", mark={"S": (mark := unique("mark"))})
    put("2")
    assert sks(run(f"SELECT sk FROM T WHERE mark = '{mark}'")) == ["1"]
    assert sks(run(f"SELECT sk FROM T WHERE pk = P AND sk = '2' OR mark = '{mark}'")) == ["1", "2"]


def test_pages_go_on_with_their_own_statement(client, table, run, put, pk):
    for at in range(7):
        put(f"{at}")
    statement = f"SELECT sk FROM \"{table}\" WHERE pk = ? AND (sk < '3' OR sk >= '3') ORDER BY sk DESC"
    asked = {"Statement": statement, "Parameters": [{"S": pk}], "Limit": 2}
    found, pages = [], 0
    while True:
        page = client.execute_statement(**asked)
        found += sks(page["Items"])
        pages += 1
        if "NextToken" not in page:
            break
        assert page["LastEvaluatedKey"]["pk"] == {"S": pk}
        asked["NextToken"] = token = page["NextToken"]
    assert found == ["6", "5", "4", "3", "2", "1", "0"]
    assert pages >= 4
    with pytest.raises(ClientError, match="NextToken does not match request"):
        client.execute_statement(Statement=statement, Parameters=[{"S": "other"}], NextToken=token)
    with pytest.raises(ClientError, match="Invalid NextToken"):
        client.execute_statement(**{**asked, "NextToken": "AAAA"})


def test_indexes_are_read_by_name(client, table, run, put, pk):
    put("1", own={"S": pk}, at={"S": "b"}, held={"S": "h"}, other={"S": "o"})
    put("2", own={"S": pk}, at={"S": "a"}, held={"S": "i"}, other={"S": "o"})

    def select(what, index, where):
        statement = with_names(f'SELECT {what} FROM T."{index}" WHERE {where}', table, pk)
        return client.execute_statement(Statement=statement)["Items"]

    assert sorted(sks(select("*", "by-own", "own = P"))) == ["1", "2"]
    assert set(select("*", "by-own", "own = P AND held = 'h'")[0]) == {"pk", "sk", "own", "held"}
    assert sks(select("*", "by-at", "pk = P AND at >= 'a'")) == ["2", "1"]
    assert select("other", "by-at", "pk = P AND at = 'a'") == [{"other": {"S": "o"}}]
    with pytest.raises(ClientError, match=r"Global secondary index by-own does not project \[other\]"):
        select("other", "by-own", "own = P")
    with pytest.raises(ClientError, match=r"Secondary index by-own does not project one or more filter attributes: \[other\]"):
        select("pk", "by-own", "own = P AND NOT (other = 'o' OR held = 'h')")
    with pytest.raises(ClientError, match="The table does not have the specified index: nope"):
        select("*", "nope", "own = P")


def test_capacity_is_told(client, table, put, pk):
    put()
    read = client.execute_statement(
        Statement=f"SELECT * FROM \"{table}\" WHERE pk = '{pk}'", ConsistentRead=True, ReturnConsumedCapacity="TOTAL"
    )
    assert read["ConsumedCapacity"] == {"TableName": table, "CapacityUnits": 1.0}
    written = client.execute_statement(
        Statement=f"UPDATE \"{table}\" SET a = 1 WHERE pk = '{pk}' AND sk = '1'", ReturnConsumedCapacity="TOTAL"
    )
    assert written["ConsumedCapacity"] == {"TableName": table, "CapacityUnits": 1.0}


def test_a_batch_has_an_end_for_each(client, table, put, get, pk):
    put("1", a={"S": "x"})
    key = f"pk = '{pk}' AND sk ="
    reads = client.batch_execute_statement(
        Statements=[
            {"Statement": f"SELECT a FROM \"{table}\" WHERE {key} '1'"},
            {"Statement": f"SELECT * FROM \"{table}\" WHERE {key} 'none'"},
            {"Statement": f"SELECT * FROM \"{table}\" WHERE {key} '1' AND a = 'x'"},
            {"Statement": "SELECT * FROM \"not-there\" WHERE pk = 'x'"},
            {"Statement": f"SLECT * FROM \"{table}\""},
        ]
    )["Responses"]
    assert reads[0] == {"TableName": table, "Item": {"a": {"S": "x"}}}
    assert reads[1] == {"TableName": table}
    only_key = "Select statements within BatchExecuteStatement must specify the primary key in the where clause."
    assert reads[2]["Error"] == {"Code": "ValidationError", "Message": only_key}
    assert reads[3]["Error"]["Code"] == "ResourceNotFound"
    assert reads[4] == {"Error": {"Code": "ValidationError", "Message": f"{NOT_WELL_FORMED}Expected data manipulation"}}
    writes = client.batch_execute_statement(
        Statements=[
            {"Statement": f"INSERT INTO \"{table}\" VALUE {{'pk': '{pk}', 'sk': '1'}}"},
            {"Statement": f"UPDATE \"{table}\" SET a = 'y' WHERE {key} '1'"},
            {
                "Statement": f"UPDATE \"{table}\" SET a = 'z' WHERE {key} '1' AND a = 'x'",
                "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
            },
            {"Statement": f"INSERT INTO \"{table}\" VALUE {{'pk': '{pk}', 'sk': ?}}", "Parameters": [{"S": "2"}]},
        ]
    )["Responses"]
    assert [each.get("Error", {}).get("Code") for each in writes] == ["DuplicateItem", None, "ConditionalCheckFailed", None]
    assert [each["TableName"] for each in writes] == [table] * 4
    assert writes[2]["Error"]["Item"] == get()
    assert get()["a"] == {"S": "y"}
    assert get("2") is not None


@pytest.fixture
def transact(client, table, pk):
    def transact(*statements, **settings):
        asked = [{"Statement": with_names(each, table, pk)} for each in statements]
        return client.execute_transaction(TransactStatements=asked, **settings)

    return transact


def reasons(caught):
    return [(each["Code"], each.get("Message")) for each in caught.value.response["CancellationReasons"]]


def test_a_transaction_is_all_or_nothing(client, transact, put, get):
    put("1", flag={"S": "x"})
    done = transact(
        "EXISTS(SELECT * FROM T WHERE pk = P AND sk = '1' AND flag = 'x')",
        "INSERT INTO T VALUE {'pk': P, 'sk': '2'}",
    )
    assert done["Responses"] == []
    assert get("2") is not None
    with pytest.raises(client.exceptions.TransactionCanceledException) as caught:
        transact(
            "INSERT INTO T VALUE {'pk': P, 'sk': '1'}",
            "INSERT INTO T VALUE {'pk': P, 'sk': '3'}",
        )
    assert reasons(caught) == [("DuplicateItem", "Duplicate primary key exists in table"), ("None", None)]
    with pytest.raises(client.exceptions.TransactionCanceledException) as caught:
        transact(
            "EXISTS(SELECT * FROM T WHERE pk = P AND sk = '1' AND flag = 'y')",
            "DELETE FROM T WHERE pk = P AND sk = '2'",
        )
    assert reasons(caught)[0] == ("ConditionalCheckFailed", "The conditional request failed")
    assert get("3") is None and get("2") is not None


def test_a_transaction_reads_at_one_moment(client, transact, put):
    put("1", a={"S": "x"})
    put("2")
    read = transact("SELECT a FROM T WHERE pk = P AND sk = '1'", "SELECT * FROM T WHERE pk = P AND sk = 'none'")
    assert read["Responses"] == [{"Item": {"a": {"S": "x"}}}, {}]
    only_key = "Select statements within ExecuteTransaction must specify the primary key in the where clause."
    for statement in ["SELECT * FROM T WHERE pk = P", "SELECT * FROM T WHERE pk = P AND sk = '1' AND a = 'x'"]:
        with pytest.raises(ClientError) as caught:
            transact(statement)
        assert caught.value.response["Error"]["Message"] == f"Validation failed in TransactStatements[0]: {only_key}"
    same = "SELECT * FROM T WHERE pk = P AND sk = '1'"
    with pytest.raises(ClientError, match="Transaction request cannot include multiple operations on one item"):
        transact(same, same)
    with pytest.raises(client.exceptions.TransactionCanceledException) as caught:
        transact(same, "SELECT * FROM T WHERE pk = P AND sk = 1")
    assert reasons(caught) == [("None", None), ("ValidationError", KEY_MISMATCH)]


def test_what_a_transaction_refuses(client, transact, put, get):
    put("1")
    update = "UPDATE T SET a = 1 WHERE pk = P AND sk = '1'"
    for statements, message in [
        ([f"{update} RETURNING ALL NEW *"], "RETURNING clause is not supported in ExecuteTransaction."),
        (["EXISTS(SELECT * FROM T WHERE pk = P AND sk = '1')"], "EXISTS() must contain a single item read with additional condition"),
        (["SELECT * FROM T WHERE"], f"{NOT_WELL_FORMED}Unexpected term"),
    ]:
        with pytest.raises(ClientError) as caught:
            transact(*statements)
        assert caught.value.response["Error"]["Message"] == f"Validation failed in TransactStatements[0]: {message}"
    with pytest.raises(client.exceptions.TransactionCanceledException) as caught:
        transact(update, "DELETE FROM T WHERE sk = '1'", "INSERT INTO T VALUE {'pk': 'keys-insert'}")
    missing = "One or more parameter values were invalid: Missing the key sk in the item"
    assert reasons(caught) == [("None", None), ("ValidationError", KEY_MISMATCH), ("ValidationError", missing)]
    with pytest.raises(client.exceptions.TransactionCanceledException) as caught:
        client.execute_transaction(TransactStatements=[{"Statement": "DELETE FROM \"not-there\" WHERE pk = 'x'"}])
    assert reasons(caught) == [("ResourceNotFound", "Requested resource not found")]
    assert "a" not in get()


def test_a_transaction_with_a_token_is_done_once(transact, put, get, unique):
    put("1", n={"N": "0"})
    token = unique("token")
    for _ in range(2):
        transact("UPDATE T SET n = n + 1 WHERE pk = P AND sk = '1'", ClientRequestToken=token)
    assert get()["n"] == {"N": "1"}


@pytest.fixture
def allowed(cloud, unique):
    """A client of a user with a policy of these statements."""

    def allowed(*statements):
        iam = cloud.client("iam")
        user = unique("partiql-user")
        iam.create_user(UserName=user)
        key = iam.create_access_key(UserName=user)["AccessKey"]
        policy = json.dumps({"Version": "2012-10-17", "Statement": statements})
        iam.put_user_policy(UserName=user, PolicyName="own", PolicyDocument=policy)
        return cloud.client("dynamodb", key=key["AccessKeyId"], secret=key["SecretAccessKey"])

    return allowed


def test_a_policy_can_deny_scans(client, table, put, pk, allowed):
    put("1")
    arn = client.describe_table(TableName=table)["Table"]["TableArn"]
    select = {"Action": "dynamodb:PartiQLSelect", "Resource": arn}
    scans = {"Bool": {"dynamodb:FullTableScan": ["true"]}}
    theirs = allowed({"Effect": "Allow", **select}, {"Effect": "Deny", **select, "Condition": scans})
    assert theirs.execute_statement(Statement=f"SELECT * FROM \"{table}\" WHERE pk = '{pk}'")["Items"]
    for where in ["", " WHERE sk = '1'", f" WHERE pk = '{pk}' OR sk = '1'", " WHERE pk > 'a'"]:
        with pytest.raises(ClientError) as caught:
            theirs.execute_statement(Statement=f'SELECT * FROM "{table}"{where}')
        assert caught.value.response["Error"]["Code"] == "AccessDeniedException", where


def test_policies_decide_on_each_statement(client, table, put, pk, allowed):
    put("1")
    arn = client.describe_table(TableName=table)["Table"]["TableArn"]
    own = {"ForAllValues:StringEquals": {"dynamodb:LeadingKeys": [pk]}}
    theirs = allowed({"Effect": "Allow", "Action": "dynamodb:PartiQLSelect", "Resource": arn, "Condition": own})
    assert len(theirs.execute_statement(Statement=f"SELECT * FROM \"{table}\" WHERE pk = '{pk}'")["Items"]) == 1
    for statement in [
        f"SELECT * FROM \"{table}\" WHERE pk = 'other'",
        f"SELECT * FROM \"{table}\" WHERE pk IN ['{pk}', 'other']",
        f"SELECT * FROM \"{table}\"",
        f"UPDATE \"{table}\" SET a = 1 WHERE pk = '{pk}' AND sk = '1'",
        f"INSERT INTO \"{table}\" VALUE {{'pk': '{pk}', 'sk': '2'}}",
        f"DELETE FROM \"{table}\" WHERE pk = '{pk}' AND sk = '1'",
    ]:
        with pytest.raises(ClientError) as caught:
            theirs.execute_statement(Statement=statement)
        assert caught.value.response["Error"]["Code"] == "AccessDeniedException", statement
        with pytest.raises(ClientError) as caught:
            theirs.batch_execute_statement(Statements=[{"Statement": statement}])
        assert caught.value.response["Error"]["Code"] == "AccessDeniedException", statement
        with pytest.raises(ClientError) as caught:
            theirs.execute_transaction(TransactStatements=[{"Statement": statement}])
        assert caught.value.response["Error"]["Code"] == "AccessDeniedException", statement
