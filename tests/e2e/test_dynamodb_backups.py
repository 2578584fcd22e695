"""Backups, point-in-time recovery and restores, while items change and through crashes."""

import datetime
import threading


import pytest
from botocore.exceptions import ClientError

from cloud import eventually
from test_dynamodb_streams import create

FAST = {"Delay": 0.1, "MaxAttempts": 600}


@pytest.fixture(scope="module")
def dynamodb(cloud):
    return cloud.client("dynamodb")


@pytest.fixture
def table(dynamodb, unique):
    """An account's balances: their sum stays the same, as transfers are transactions."""
    name = unique("table")
    create(dynamodb, name, None)
    for number in range(20):
        dynamodb.put_item(TableName=name, Item={"id": {"S": str(number)}, "n": {"N": "100"}, "pad": {"S": "x" * 2000}})
    yield name
    eventually(lambda: delete(dynamodb, name))


def delete(dynamodb, name):
    try:
        dynamodb.delete_table(TableName=name)
    except dynamodb.exceptions.ResourceInUseException:
        return False
    except dynamodb.exceptions.ResourceNotFoundException:
        pass
    return True


def items(dynamodb, name):
    found = []
    for page in dynamodb.get_paginator("scan").paginate(TableName=name, ConsistentRead=True):
        found += page["Items"]
    return {item["id"]["S"]: item for item in found}


def available(dynamodb, arn):
    def probe():
        details = dynamodb.describe_backup(BackupArn=arn)["BackupDescription"]["BackupDetails"]
        return details["BackupStatus"] == "AVAILABLE" and details

    return eventually(probe, timeout_s=60)


def active(dynamodb, name):
    dynamodb.get_waiter("table_exists").wait(TableName=name, WaiterConfig=FAST)


def recover(dynamodb, name, on=True, **more):
    wanted = {"PointInTimeRecoveryEnabled": on, **more}
    answer = dynamodb.update_continuous_backups(TableName=name, PointInTimeRecoverySpecification=wanted)
    return answer["ContinuousBackupsDescription"]["PointInTimeRecoveryDescription"]


class Transfers:
    """Moves amounts between items, in transactions, until it is left."""

    def __init__(self, dynamodb, name):
        self.dynamodb, self.name, self.stop, self.count = dynamodb, name, threading.Event(), 0
        self.thread = threading.Thread(target=self.run)

    def run(self):
        while not self.stop.is_set():
            one, other = str(self.count % 20), str((self.count * 7 + 1) % 20)
            if one != other:
                self.dynamodb.transact_write_items(TransactItems=[self.add(one, "-1"), self.add(other, "1")])
            self.count += 1

    def add(self, item, amount):
        update = {"TableName": self.name, "Key": {"id": {"S": item}}, "UpdateExpression": "ADD n :n"}
        return {"Update": {**update, "ExpressionAttributeValues": {":n": {"N": amount}}}}

    def __enter__(self):
        self.thread.start()
        eventually(lambda: self.count > 10)
        return self

    def __exit__(self, *_):
        self.stop.set()
        self.thread.join()


def total(found):
    return sum(int(item["n"]["N"]) for item in found.values())


def test_a_backup_is_of_one_moment_and_outlives_its_table(dynamodb, table, unique):
    with Transfers(dynamodb, table) as transfers:
        answer = dynamodb.create_backup(TableName=table, BackupName="mine")["BackupDetails"]
        so_far = transfers.count
        eventually(lambda: transfers.count > so_far + 20)
        arn = answer["BackupArn"]
        available(dynamodb, arn)
    assert answer["BackupName"] == "mine" and answer["BackupType"] == "USER"
    listed = dynamodb.list_backups(TableName=table)["BackupSummaries"]
    assert [(one["BackupArn"], one["BackupStatus"]) for one in listed] == [(arn, "AVAILABLE")]
    described = dynamodb.describe_backup(BackupArn=arn)["BackupDescription"]
    assert described["SourceTableDetails"]["TableName"] == table
    assert described["SourceTableDetails"]["ItemCount"] == 20
    dynamodb.delete_table(TableName=table)
    target = unique("target")
    made = dynamodb.restore_table_from_backup(TargetTableName=target, BackupArn=arn)["TableDescription"]
    assert made["TableStatus"] == "CREATING" and made["RestoreSummary"]["RestoreInProgress"]
    active(dynamodb, target)
    restored = items(dynamodb, target)
    assert len(restored) == 20 and total(restored) == 2000
    summary = dynamodb.describe_table(TableName=target)["Table"]["RestoreSummary"]
    assert summary["SourceBackupArn"] == arn and not summary["RestoreInProgress"]
    eventually(lambda: delete(dynamodb, target))
    deleted = dynamodb.delete_backup(BackupArn=arn)["BackupDescription"]["BackupDetails"]
    assert deleted["BackupStatus"] == "DELETED"
    with pytest.raises(dynamodb.exceptions.BackupNotFoundException):
        dynamodb.describe_backup(BackupArn=arn)


def test_a_table_is_restored_to_a_moment(dynamodb, table, unique):
    described = recover(dynamodb, table)
    assert described["PointInTimeRecoveryStatus"] == "ENABLED" and described["RecoveryPeriodInDays"] == 35
    assert recover(dynamodb, table, RecoveryPeriodInDays=7)["RecoveryPeriodInDays"] == 7
    before = items(dynamodb, table)
    moment = datetime.datetime.now(datetime.UTC)
    # Times have milliseconds.
    eventually(lambda: datetime.datetime.now(datetime.UTC) > moment + datetime.timedelta(milliseconds=5))
    with Transfers(dynamodb, table):
        dynamodb.delete_item(TableName=table, Key={"id": {"S": "3"}})
        then, latest = unique("then"), unique("latest")
        dynamodb.restore_table_to_point_in_time(
            SourceTableName=table, TargetTableName=then, RestoreDateTime=moment, BillingModeOverride="PAY_PER_REQUEST"
        )
        dynamodb.restore_table_to_point_in_time(
            SourceTableName=table, TargetTableName=latest, UseLatestRestorableTime=True
        )
        active(dynamodb, then)
        active(dynamodb, latest)
    assert items(dynamodb, then) == before
    restored = items(dynamodb, latest)
    # Somebody's transfers made a new item of the one that was deleted.
    assert "pad" not in restored.get("3", {})
    for name in (then, latest):
        dynamodb.delete_table(TableName=name)


def test_a_deleted_table_comes_back(dynamodb, table, unique):
    recover(dynamodb, table)
    before = items(dynamodb, table)
    dynamodb.delete_table(TableName=table)
    assert not dynamodb.list_backups(TableName=table)["BackupSummaries"]
    listed = dynamodb.list_backups(TableName=table, BackupType="SYSTEM")["BackupSummaries"]
    assert [one["BackupName"] for one in listed] == [f"{table}$DeletedTableBackup"]
    arn = listed[0]["BackupArn"]
    details = dynamodb.describe_backup(BackupArn=arn)["BackupDescription"]["BackupDetails"]
    assert details["BackupType"] == "SYSTEM" and details["BackupStatus"] == "AVAILABLE"
    kept = details["BackupExpiryDateTime"] - details["BackupCreationDateTime"]
    assert kept == datetime.timedelta(days=35)
    dynamodb.restore_table_from_backup(TargetTableName=table, BackupArn=arn)
    active(dynamodb, table)
    assert items(dynamodb, table) == before
    dynamodb.delete_backup(BackupArn=arn)
    assert not dynamodb.list_backups(TableName=table, BackupType="ALL")["BackupSummaries"]


def test_indexes_come_along_or_stay(dynamodb, unique):
    name = unique("table")
    index = {
        "IndexName": "kinds",
        "KeySchema": [{"AttributeName": "kind", "KeyType": "HASH"}],
        "Projection": {"ProjectionType": "ALL"},
    }
    dynamodb.create_table(
        TableName=name,
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": one, "AttributeType": "S"} for one in ("id", "kind")],
        GlobalSecondaryIndexes=[index],
        BillingMode="PAY_PER_REQUEST",
    )
    for number in range(30):
        dynamodb.put_item(TableName=name, Item={"id": {"S": str(number)}, "kind": {"S": str(number % 3)}})
    arn = dynamodb.create_backup(TableName=name, BackupName="mine")["BackupDetails"]["BackupArn"]
    available(dynamodb, arn)
    whole, bare = unique("whole"), unique("bare")
    dynamodb.restore_table_from_backup(TargetTableName=whole, BackupArn=arn)
    dynamodb.restore_table_from_backup(TargetTableName=bare, BackupArn=arn, GlobalSecondaryIndexOverride=[])
    active(dynamodb, whole)
    active(dynamodb, bare)
    found = dynamodb.query(
        TableName=whole,
        IndexName="kinds",
        KeyConditionExpression="kind = :kind",
        ExpressionAttributeValues={":kind": {"S": "1"}},
    )
    assert found["Count"] == 10
    assert "GlobalSecondaryIndexes" not in dynamodb.describe_table(TableName=bare)["Table"]
    assert len(items(dynamodb, bare)) == 30
    for one in (name, whole, bare):
        eventually(lambda one=one: delete(dynamodb, one))
    dynamodb.delete_backup(BackupArn=arn)


def test_what_is_wrong_is_said(dynamodb, table, unique):
    missing = unique("missing")

    def refusal(call, **arguments):
        with pytest.raises(ClientError) as refused:
            call(**arguments)
        return refused.value.response["Error"]["Code"], refused.value.response["Error"]["Message"]

    assert refusal(dynamodb.create_backup, TableName=missing, BackupName="mine") == (
        "TableNotFoundException",
        f"Table not found: {missing}",
    )
    assert refusal(dynamodb.describe_continuous_backups, TableName=missing)[0] == "TableNotFoundException"
    arn = f"arn:aws:dynamodb:us-east-1:000000000000:table/{missing}/backup/01489602797149-73d8d5bc"
    assert refusal(dynamodb.describe_backup, BackupArn=arn) == ("BackupNotFoundException", f"Backup not found: {arn}")
    restore = {"SourceTableName": table, "TargetTableName": missing, "UseLatestRestorableTime": True}
    assert refusal(dynamodb.restore_table_to_point_in_time, **restore)[0] == "PointInTimeRecoveryUnavailableException"
    recover(dynamodb, table)
    assert refusal(dynamodb.restore_table_to_point_in_time, **{**restore, "TargetTableName": table})[0] == (
        "TableAlreadyExistsException"
    )
    late = datetime.datetime.now(datetime.UTC) + datetime.timedelta(hours=1)
    wanted = {"SourceTableName": table, "TargetTableName": missing, "RestoreDateTime": late}
    assert refusal(dynamodb.restore_table_to_point_in_time, **wanted)[0] == "InvalidRestoreTimeException"


def test_restores_go_on_after_crashes(own_cloud, unique):
    own_cloud.start()
    dynamodb = own_cloud.client("dynamodb")
    create(dynamodb, "source", None)
    pad = "x" * 20_000
    for first in range(0, 600, 25):
        puts = [
            {"PutRequest": {"Item": {"id": {"S": str(number)}, "n": {"N": "1"}, "pad": {"S": pad}}}}
            for number in range(first, first + 25)
        ]
        dynamodb.batch_write_item(RequestItems={"source": puts})
    arn = dynamodb.create_backup(TableName="source", BackupName="mine")["BackupDetails"]["BackupArn"]
    for target in ("one", "two"):
        own_cloud.kill()
        own_cloud.start()
        dynamodb = own_cloud.client("dynamodb")
        available(dynamodb, arn)
        dynamodb.restore_table_from_backup(TargetTableName=target, BackupArn=arn)

        own_cloud.kill()
        own_cloud.start()
        dynamodb = own_cloud.client("dynamodb")
        active(dynamodb, target)
        restored = items(dynamodb, target)
        assert len(restored) == 600 and total(restored) == 600
        table = dynamodb.describe_table(TableName=target)["Table"]
        assert table["ItemCount"] == 600
