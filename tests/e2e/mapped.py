"""Tables with streams, functions that keep what they get, and mappings between them."""

import json

from botocore.exceptions import ClientError

from cloud import eventually

# Notes its events in its log, in one line each; fails where an item says so.
NOTES = """
    import json, os

    def handler(event, context):
        print("EVENT " + json.dumps(event))
        for record in event["Records"]:
            image = record["dynamodb"].get("NewImage", {})
            if "poison" in image:
                raise Exception("as the item wants it")
"""
# Fails a batch from the first poisoned item on, and says so.
PARTIAL = """
    import json

    def handler(event, context):
        print("EVENT " + json.dumps(event))
        failed = [one["dynamodb"] for one in event["Records"] if "poison" in one["dynamodb"].get("NewImage", {})]
        return {"batchItemFailures": [{"itemIdentifier": one["SequenceNumber"]} for one in failed[:1]]}
"""
# Counts the records of a window.
COUNTS = """
    import json

    def handler(event, context):
        print("EVENT " + json.dumps(event))
        count = event["state"].get("count", 0) + len(event["Records"])
        return {"state": {"count": count}}
"""


class Mapped:
    """A table, a function and the mapping between them."""

    def __init__(self, cloud, table, function, **settings):
        self.cloud, self.table, self.function = cloud, table, function
        self.dynamodb, self.awslambda, self.logs = (cloud.client(name) for name in ("dynamodb", "lambda", "logs"))
        self.stream = make_table(self.dynamodb, table)
        defaults = {"StartingPosition": "TRIM_HORIZON"}
        answer = self.awslambda.create_event_source_mapping(
            EventSourceArn=self.stream, FunctionName=function, **{**defaults, **settings}
        )
        self.uuid = answer["UUID"]
        wait_for(self.awslambda, self.uuid, "Disabled" if settings.get("Enabled") is False else "Enabled")

    def put(self, key, number, **more):
        item = {"id": {"S": key}, "n": {"N": str(number)}, **more}
        self.dynamodb.put_item(TableName=self.table, Item=item)

    def events(self):
        return noted(self.logs, self.function)

    def numbers(self):
        """The numbers of the items, event by event."""
        return [[number_of(record) for record in event["Records"]] for event in self.events()]

    def until(self, *numbers):
        """Waits until items with these numbers came; gives all events."""
        eventually(lambda: set(numbers) <= {number for batch in self.numbers() for number in batch})
        return self.numbers()


def make_table(dynamodb, name, view="NEW_AND_OLD_IMAGES"):
    """Makes a table with a stream; gives the stream's ARN."""
    dynamodb.create_table(
        TableName=name,
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
        StreamSpecification={"StreamEnabled": True, "StreamViewType": view},
    )
    dynamodb.get_waiter("table_exists").wait(TableName=name, WaiterConfig={"Delay": 1, "MaxAttempts": 20})
    return dynamodb.describe_table(TableName=name)["Table"]["LatestStreamArn"]


def wait_for(awslambda, uuid, state):
    eventually(lambda: awslambda.get_event_source_mapping(UUID=uuid)["State"] == state)


def gone(awslambda, uuid):
    try:
        awslambda.get_event_source_mapping(UUID=uuid)
    except ClientError as error:
        return error.response["Error"]["Code"] == "ResourceNotFoundException"
    return False


def noted(logs, function):
    """The events that a function printed, in the order of its log."""
    events, token = [], {}
    while True:
        try:
            page = logs.filter_log_events(logGroupName=f"/aws/lambda/{function}", filterPattern='"EVENT"', **token)
        except logs.exceptions.ResourceNotFoundException:
            return []
        events += [json.loads(one["message"].removeprefix("EVENT ")) for one in page["events"]]
        if "nextToken" not in page:
            return events
        token = {"nextToken": page["nextToken"]}


def number_of(record):
    images = record["dynamodb"]
    return int((images.get("NewImage") or images["OldImage"])["n"]["N"])
