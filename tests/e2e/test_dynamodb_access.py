"""Who may do what with tables: users by their keys, attributes and tags, and other accounts by a table's policy."""

import json
import re

import pytest
from botocore.exceptions import ClientError

from cloud import ACCOUNT, REGION

DENIED = "AccessDeniedException"


@pytest.fixture(scope="module")
def root(cloud):
    return cloud.client("dynamodb")


@pytest.fixture
def notes(root, unique):
    """A table of notes by their owner."""
    name = unique("notes")
    root.create_table(
        TableName=name,
        KeySchema=[{"AttributeName": "owner", "KeyType": "HASH"}, {"AttributeName": "id", "KeyType": "RANGE"}],
        AttributeDefinitions=[
            {"AttributeName": "owner", "AttributeType": "S"},
            {"AttributeName": "id", "AttributeType": "N"},
            {"AttributeName": "topic", "AttributeType": "S"},
        ],
        GlobalSecondaryIndexes=[
            {
                "IndexName": "by-topic",
                "KeySchema": [{"AttributeName": "topic", "KeyType": "HASH"}],
                "Projection": {"ProjectionType": "ALL"},
            }
        ],
        BillingMode="PAY_PER_REQUEST",
        Tags=[{"Key": "team", "Value": "red"}],
    )
    root.get_waiter("table_exists").wait(TableName=name, WaiterConfig={"Delay": 0.05, "MaxAttempts": 600})
    yield name
    root.delete_table(TableName=name)


@pytest.fixture
def user(cloud, iam, unique):
    """Makes a user who may this; gives a client and the user's name."""

    def user(*statements):
        name = unique("user")
        iam.create_user(UserName=name)
        document = {"Version": "2012-10-17", "Statement": list(statements)}
        iam.put_user_policy(UserName=name, PolicyName="p", PolicyDocument=json.dumps(document))
        key = iam.create_access_key(UserName=name)["AccessKey"]
        return cloud.client("dynamodb", key["AccessKeyId"], key["SecretAccessKey"]), name

    return user


@pytest.fixture(scope="module")
def other(cloud):
    """Another account: its root's client for DynamoDB, and its id."""
    made = cloud.command("account", "create", "tables-other")
    assert made.returncode == 0, made.stderr
    key, secret = re.match(r"export AWS_ACCESS_KEY_ID=(\S+) AWS_SECRET_ACCESS_KEY=(\S+) ", made.stdout).groups()
    account = cloud.client("sts", key, secret).get_caller_identity()["Account"]
    return cloud.client("dynamodb", key, secret), account


def arn(table):
    return f"arn:aws:dynamodb:{REGION}:{ACCOUNT}:table/{table}"


def key(owner, number=1):
    return {"owner": {"S": owner}, "id": {"N": str(number)}}


def denied(call, **request):
    """The message of a call that must be denied."""
    with pytest.raises(ClientError) as refused:
        call(**request)
    assert refused.value.response["Error"]["Code"] == DENIED, refused.value
    return refused.value.response["Error"]["Message"]


def test_a_user_reaches_the_items_of_its_own_partition_only(notes, user):
    own = {"ForAllValues:StringEquals": {"dynamodb:LeadingKeys": ["${aws:username}"]}, "Null": {"dynamodb:LeadingKeys": "false"}}
    client, me = user({"Effect": "Allow", "Action": "dynamodb:*", "Resource": f"{arn(notes)}*", "Condition": own})
    table = {"TableName": notes}
    client.put_item(**table, Item={**key(me), "text": {"S": "mine"}, "topic": {"S": "t"}})
    assert client.get_item(**table, Key=key(me))["Item"]["text"] == {"S": "mine"}
    client.update_item(
        **table, Key=key(me), UpdateExpression="SET #t = :t", ExpressionAttributeNames={"#t": "text"}, ExpressionAttributeValues={":t": {"S": "x"}}
    )
    query = {"KeyConditionExpression": "#o = :o AND id > :n", "ExpressionAttributeNames": {"#o": "owner"}}
    mine = {":o": {"S": me}, ":n": {"N": "0"}}
    assert client.query(**table, **query, ExpressionAttributeValues=mine)["Count"] == 1
    both = {"Keys": [key(me), key(me, 2)]}
    assert len(client.batch_get_item(RequestItems={notes: both})["Responses"][notes]) == 1
    client.transact_write_items(TransactItems=[{"Put": {**table, "Item": key(me, 3)}}])
    client.execute_statement(Statement=f'SELECT * FROM "{notes}" WHERE "owner" = \'{me}\'')

    message = denied(client.get_item, **table, Key=key("somebody"))
    assert f"is not authorized to perform: dynamodb:GetItem on resource: {arn(notes)}" in message
    denied(client.put_item, **table, Item=key("somebody"))
    denied(client.delete_item, **table, Key=key("somebody"))
    theirs = {":o": {"S": "somebody"}, ":n": {"N": "0"}}
    denied(client.query, **table, **query, ExpressionAttributeValues=theirs)
    denied(client.scan, **table)
    denied(client.batch_get_item, RequestItems={notes: {"Keys": [key(me), key("somebody")]}})
    denied(client.batch_write_item, RequestItems={notes: [{"DeleteRequest": {"Key": key("somebody")}}]})
    puts = [{"Put": {**table, "Item": key(owner, 4)}} for owner in (me, "somebody")]
    denied(client.transact_write_items, TransactItems=puts)
    assert "Item" not in client.get_item(**table, Key=key(me, 4)), "nothing of a refused transaction is done"
    denied(client.execute_statement, Statement=f'SELECT * FROM "{notes}" WHERE "owner" = \'somebody\'')
    # The index is led by another attribute.
    by_topic = {"IndexName": "by-topic", "KeyConditionExpression": "topic = :t"}
    denied(client.query, **table, **by_topic, ExpressionAttributeValues={":t": {"S": "t"}})


def test_a_user_sees_the_attributes_that_it_may(notes, user, root):
    root.put_item(TableName=notes, Item={**key("a"), "text": {"S": "open"}, "secret": {"S": "closed"}})
    condition = {
        "ForAllValues:StringEquals": {"dynamodb:Attributes": ["owner", "id", "text"]},
        "StringEqualsIfExists": {"dynamodb:Select": "SPECIFIC_ATTRIBUTES"},
    }
    client, _ = user({"Effect": "Allow", "Action": "dynamodb:GetItem", "Resource": arn(notes), "Condition": condition})
    names = {"#t": "text"}
    found = client.get_item(TableName=notes, Key=key("a"), ProjectionExpression="#t", ExpressionAttributeNames=names)
    assert found["Item"] == {"text": {"S": "open"}}
    denied(client.get_item, TableName=notes, Key=key("a"))
    denied(client.get_item, TableName=notes, Key=key("a"), ProjectionExpression="secret")
    aliased = {"ProjectionExpression": "#t", "ExpressionAttributeNames": {"#t": "secret"}}
    denied(client.get_item, TableName=notes, Key=key("a"), **aliased)


def test_tags_of_tables_and_requests_are_decided_on(notes, user, unique):
    red = {"StringEquals": {"aws:ResourceTag/team": "red"}}
    client, _ = user(
        {"Effect": "Allow", "Action": "dynamodb:DescribeTable", "Resource": "*", "Condition": red},
        {
            "Effect": "Allow",
            "Action": ["dynamodb:CreateTable", "dynamodb:TagResource"],
            "Resource": "*",
            "Condition": {"StringEquals": {"aws:RequestTag/team": "blue"}},
        },
    )
    assert client.describe_table(TableName=notes)["Table"]["TableName"] == notes
    new = {
        "TableName": unique("blue"),
        "KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}],
        "AttributeDefinitions": [{"AttributeName": "id", "AttributeType": "S"}],
        "BillingMode": "PAY_PER_REQUEST",
    }
    denied(client.create_table, **new, Tags=[{"Key": "team", "Value": "red"}])
    client.create_table(**new, Tags=[{"Key": "team", "Value": "blue"}])
    denied(client.describe_table, TableName=new["TableName"])


def policy(principal, actions, resources):
    statement = {"Effect": "Allow", "Principal": {"AWS": principal}, "Action": actions, "Resource": resources}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


def test_another_account_names_a_table_by_its_arn(notes, root, other):
    client, account = other
    root.put_item(TableName=notes, Item={**key("a"), "topic": {"S": "t"}})
    table = arn(notes)
    denied(client.get_item, TableName=table, Key=key("a"))
    actions = ["dynamodb:GetItem", "dynamodb:PutItem", "dynamodb:Query", "dynamodb:BatchGetItem", "dynamodb:DescribeTable"]
    put = root.put_resource_policy(ResourceArn=table, Policy=policy(account, actions, [table, f"{table}/index/*"]))
    found = root.get_resource_policy(ResourceArn=table)
    assert found["RevisionId"] == put["RevisionId"]
    assert json.loads(found["Policy"])["Statement"][0]["Action"] == actions

    assert client.get_item(TableName=table, Key=key("a"))["Item"]["topic"] == {"S": "t"}
    client.put_item(TableName=table, Item=key("b"))
    assert "Item" in root.get_item(TableName=notes, Key=key("b"))
    by_topic = {"IndexName": "by-topic", "KeyConditionExpression": "topic = :t"}
    assert client.query(TableName=table, **by_topic, ExpressionAttributeValues={":t": {"S": "t"}})["Count"] == 1
    answer = client.batch_get_item(RequestItems={table: {"Keys": [key("a")]}})
    assert list(answer["Responses"]) == [table]
    assert client.describe_table(TableName=table)["Table"]["TableArn"] == table
    # By its name it is a table of the caller's own account, which has none.
    with pytest.raises(ClientError) as missing:
        client.get_item(TableName=notes, Key=key("a"))
    assert missing.value.response["Error"]["Code"] == "ResourceNotFoundException"
    denied(client.delete_item, TableName=table, Key=key("a"))
    denied(client.delete_table, TableName=table)

    root.delete_resource_policy(ResourceArn=table, ExpectedRevisionId=put["RevisionId"])
    denied(client.get_item, TableName=table, Key=key("a"))


def test_a_policy_comes_with_a_new_table_and_goes_with_it(root, other, unique):
    client, account = other
    name = unique("shared")
    new = {
        "TableName": name,
        "KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}],
        "AttributeDefinitions": [{"AttributeName": "id", "AttributeType": "S"}],
        "BillingMode": "PAY_PER_REQUEST",
    }
    item = {"id": {"S": "a"}}
    root.create_table(**new, ResourcePolicy=policy(account, "dynamodb:GetItem", arn(name)))
    root.get_waiter("table_exists").wait(TableName=name, WaiterConfig={"Delay": 0.05, "MaxAttempts": 600})
    root.put_item(TableName=name, Item=item)
    assert client.get_item(TableName=arn(name), Key=item)["Item"] == item
    root.delete_table(TableName=name)
    root.get_waiter("table_not_exists").wait(TableName=name, WaiterConfig={"Delay": 0.05, "MaxAttempts": 600})
    root.create_table(**new)
    denied(client.get_item, TableName=arn(name), Key=item)
    root.delete_table(TableName=name)
