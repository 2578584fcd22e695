"""What was acknowledged is still there after `kill -9`, and so is what follows from it."""

import hashlib
import threading
from pathlib import Path

from botocore.exceptions import BotoCoreError, ClientError

import packages
from cloud import eventually
from conftest import function_arn, make_role

ROUNDS = 20
UPLOADS_A_ROUND = 3
# A function that writes the key of each of its events to another bucket. It signs its requests itself: sixty
# functions that load an SDK at the same moment would measure the machine and not the delivery.
MARK = Path(__file__).with_name("marker.py").read_text()


def deploy_marker(cloud):
    s3, awslambda = cloud.client("s3"), cloud.client("lambda")
    role = make_role(cloud.client("iam"), "marker", [{"Effect": "Allow", "Action": "*", "Resource": "*"}])
    for name in ("uploads", "seen"):
        s3.create_bucket(Bucket=name)
    awslambda.create_function(
        FunctionName="marker", Runtime="python3.13", Handler="index.handler", Role=role, Timeout=30, MemorySize=512,
        Code={"ZipFile": packages.python(MARK)}, Environment={"Variables": {"SEEN": "seen"}},
    )  # fmt: skip
    awslambda.get_waiter("function_active_v2").wait(FunctionName="marker", WaiterConfig={"Delay": 0.1})
    awslambda.add_permission(
        FunctionName="marker", StatementId="s3", Action="lambda:InvokeFunction", Principal="s3.amazonaws.com",
        SourceArn="arn:aws:s3:::uploads",
    )  # fmt: skip
    target = {"LambdaFunctionArn": function_arn("marker"), "Events": ["s3:ObjectCreated:*"]}
    s3.put_bucket_notification_configuration(
        Bucket="uploads", NotificationConfiguration={"LambdaFunctionConfigurations": [target]}
    )


def keys(s3, bucket):
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket)
    return {item["Key"] for page in pages for item in page.get("Contents", [])}


def test_no_notification_is_lost(own_cloud):
    """Killed between the upload and the delivery, at another moment in each round."""
    own_cloud.start()
    deploy_marker(own_cloud)
    uploaded = set()
    for number in range(ROUNDS):
        s3 = own_cloud.client("s3")
        for upload in range(UPLOADS_A_ROUND):
            key = f"round {number}/upload+{upload}"
            s3.put_object(Bucket="uploads", Key=key, Body=key.encode())
            uploaded.add(key)
        # The moment of death wanders from before the delivery to the middle of the function's run.
        threading.Event().wait(0.02 * (number % 10))
        own_cloud.kill()
        own_cloud.start()
    s3 = own_cloud.client("s3")
    assert keys(s3, "uploads") == uploaded
    eventually(lambda: keys(s3, "seen") >= uploaded, timeout_s=80, every_s=0.25)
    assert keys(s3, "seen") == uploaded


def test_every_acknowledged_write_survives(own_cloud):
    """Writers run until the process is killed under them; what they were told is stored is stored."""
    own_cloud.start()
    own_cloud.client("s3").create_bucket(Bucket="kept")
    acknowledged, lock = {}, threading.Lock()

    def write(worker):
        client = own_cloud.client("s3")
        for number in range(100_000):
            key, body = f"{worker}/{number}", hashlib.sha256(f"{worker}/{number}".encode()).digest() * 100
            try:
                etag = client.put_object(Bucket="kept", Key=key, Body=body)["ETag"]
            except (BotoCoreError, ClientError):
                return
            with lock:
                acknowledged[key] = etag

    for _ in range(3):
        start = len(acknowledged)
        writers = [threading.Thread(target=write, args=(f"{start}-{worker}",)) for worker in range(4)]
        for writer in writers:
            writer.start()
        eventually(lambda: len(acknowledged) > start + 100, every_s=0.005)
        own_cloud.kill()
        for writer in writers:
            writer.join()
        own_cloud.start()
        s3 = own_cloud.client("s3")
        pages = s3.get_paginator("list_objects_v2").paginate(Bucket="kept")
        listed = {item["Key"]: item["ETag"] for page in pages for item in page.get("Contents", [])}
        assert acknowledged.items() <= listed.items()
        for key in sorted(acknowledged)[:: max(1, len(acknowledged) // 20)]:
            body = s3.get_object(Bucket="kept", Key=key)["Body"].read()
            assert f'"{hashlib.md5(body).hexdigest()}"' == acknowledged[key]


def test_asynchronous_invocations_survive(own_cloud):
    own_cloud.start()
    deploy_marker(own_cloud)
    event = '{"Records": [{"s3": {"object": {"key": "by-event-%d"}}}]}'
    client = own_cloud.client("lambda")
    for number in range(10):
        client.invoke(FunctionName="marker", InvocationType="Event", Payload=event % number)
    own_cloud.kill()
    own_cloud.start()
    s3 = own_cloud.client("s3")
    wanted = {f"by-event-{number}" for number in range(10)}
    eventually(lambda: keys(s3, "seen") == wanted, timeout_s=60, every_s=0.25)


def test_no_delivered_event_goes_unbilled(own_cloud):
    """Killed as soon as an event's work is seen, or a little later: one function for each, as a bill has no single runs."""
    own_cloud.start()
    deploy_marker(own_cloud)
    names = [f"billed-{number}" for number in range(10)]
    awslambda = own_cloud.client("lambda")
    for name in names:
        awslambda.create_function(
            FunctionName=name, Runtime="python3.13", Handler="index.handler", Timeout=30, MemorySize=512,
            Role=awslambda.get_function_configuration(FunctionName="marker")["Role"],
            Code={"ZipFile": packages.python(MARK)}, Environment={"Variables": {"SEEN": "seen"}},
        )  # fmt: skip
        awslambda.get_waiter("function_active_v2").wait(FunctionName=name, WaiterConfig={"Delay": 0.1})
    for number, name in enumerate(names):
        event = f'{{"Records": [{{"s3": {{"object": {{"key": "{name}"}}}}}}]}}'
        own_cloud.client("lambda").invoke(FunctionName=name, InvocationType="Event", Payload=event)
        s3 = own_cloud.client("s3")
        eventually(lambda: name in keys(s3, "seen"), every_s=0.002)
        threading.Event().wait(0.01 * number)
        own_cloud.kill()
        own_cloud.start()
    # What was not settled runs again; what was settled never does, and must have been billed before.
    billed = lambda: {line.split()[0] for line in own_cloud.command("bill").stdout.splitlines() if line.strip()}
    eventually(lambda: billed() >= set(names), timeout_s=30, every_s=0.25)
    logs = own_cloud.client("logs")
    for name in names:
        told = logs.filter_log_events(logGroupName=f"/aws/lambda/{name}", filterPattern="REPORT")
        assert told["events"], name


# Says that it has begun, and waits until it may end.
PATIENT = """
    import time, uuid, boto3
    s3 = boto3.client("s3")
    def handler(event, context):
        s3.put_object(Bucket="begun", Key=f"{context.function_name}/{uuid.uuid4()}")
        while "Contents" not in s3.list_objects_v2(Bucket="may-end"):
            time.sleep(0.1)
"""


def test_what_a_stop_kills_is_on_record_and_events_come_again(own_cloud):
    own_cloud.start()
    s3, awslambda = own_cloud.client("s3"), own_cloud.client("lambda")
    role = make_role(own_cloud.client("iam"), "patient", [{"Effect": "Allow", "Action": "*", "Resource": "*"}])
    for name in ("begun", "may-end"):
        s3.create_bucket(Bucket=name)
    for name in ("called", "sent"):
        awslambda.create_function(
            FunctionName=name, Runtime="python3.13", Handler="index.handler", Role=role, Timeout=900, MemorySize=512,
            Code={"ZipFile": packages.python(PATIENT)},
        )  # fmt: skip
        awslambda.get_waiter("function_active_v2").wait(FunctionName=name, WaiterConfig={"Delay": 0.1})
    begun = lambda: sorted(key.split("/")[0] for key in keys(own_cloud.client("s3"), "begun"))

    def call():
        try:
            own_cloud.client("lambda").invoke(FunctionName="called")
        except (BotoCoreError, ClientError) as error:
            refused.append(error)

    refused = []
    caller = threading.Thread(target=call)
    caller.start()
    awslambda.invoke(FunctionName="sent", InvocationType="Event")
    eventually(lambda: begun() == ["called", "sent"])
    assert own_cloud.stop() == 0, own_cloud.tail()
    caller.join()
    assert len(refused) == 1

    own_cloud.start()
    own_cloud.client("s3").put_object(Bucket="may-end", Key="now")
    eventually(lambda: begun() == ["called", "sent", "sent"])
    logs = own_cloud.client("logs")
    reports = lambda name: [
        event["message"]
        for event in logs.filter_log_events(logGroupName=f"/aws/lambda/{name}", filterPattern="REPORT")["events"]
    ]
    eventually(lambda: len(reports("sent")) == 2)
    first, second = reports("sent")
    [called] = reports("called")
    for killed in (called, first):
        assert "Status: error\tError Type: Runtime.Shutdown" in killed
    assert "Status:" not in second
    bill = {line.split()[0]: line.split() for line in own_cloud.command("bill").stdout.splitlines() if line.strip()}
    assert bill["called"][1] == "1" and bill["sent"][1] == "2", bill
