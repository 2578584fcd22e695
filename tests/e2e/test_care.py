"""Export, import, backup, restore and check: what an operator does with the data."""

import hashlib
import json
import threading
from pathlib import Path

import pytest
from botocore.exceptions import BotoCoreError, ClientError

import packages
from cloud import Cloud, eventually
from conftest import make_role
from postgres import Postgres

ECHO = """
    def handler(event, context):
        print("called with", event)
        return {"echo": event}
"""


@pytest.fixture(scope="module")
def postgres():
    with Postgres() as server:
        yield server


def fill(cloud):
    """Something of everything: rows, long values, blobs, parts, a function, logs."""
    s3, awslambda, logs = cloud.client("s3"), cloud.client("lambda"), cloud.client("logs")
    role = make_role(cloud.client("iam"), "filler", [{"Effect": "Allow", "Action": "*", "Resource": "*"}])
    s3.create_bucket(Bucket="data")
    for number in range(30):
        s3.put_object(Bucket="data", Key=f"small/{number}", Body=b"s" * number, Metadata={"n": str(number)})
    for number in range(5):
        s3.put_object(Bucket="data", Key=f"large/{number}", Body=bytes([number]) * 400_000)
    upload = s3.create_multipart_upload(Bucket="data", Key="parts")["UploadId"]
    parts = []
    for number in (1, 2):
        body = bytes([64 + number]) * (5 << 20)
        etag = s3.upload_part(Bucket="data", Key="parts", UploadId=upload, PartNumber=number, Body=body)["ETag"]
        parts.append({"PartNumber": number, "ETag": etag})
    s3.complete_multipart_upload(Bucket="data", Key="parts", UploadId=upload, MultipartUpload={"Parts": parts})
    open_upload = s3.create_multipart_upload(Bucket="data", Key="open")["UploadId"]
    s3.upload_part(Bucket="data", Key="open", UploadId=open_upload, PartNumber=1, Body=b"o" * 300_000)
    awslambda.create_function(
        FunctionName="echo", Runtime="python3.13", Handler="index.handler", Role=role, Timeout=30,
        Code={"ZipFile": packages.python(ECHO)}, Environment={"Variables": {"LONG": "v" * 3000}},
    )  # fmt: skip
    awslambda.get_waiter("function_active_v2").wait(FunctionName="echo", WaiterConfig={"Delay": 0.1})
    assert invoke(cloud) == {"echo": 1}
    logs.create_log_group(logGroupName="own")
    logs.create_log_stream(logGroupName="own", logStreamName="stream")
    now = logs.describe_log_groups()["logGroups"][0]["creationTime"]
    events = [{"timestamp": now + number, "message": f"line {number}" * 20} for number in range(500)]
    logs.put_log_events(logGroupName="own", logStreamName="stream", logEvents=events)


def invoke(cloud):
    return json.load(cloud.client("lambda").invoke(FunctionName="echo", Payload="1")["Payload"])


def objects(cloud, bucket="data"):
    """What every object is."""
    s3, found = cloud.client("s3"), {}
    for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket):
        for item in page.get("Contents", []):
            got = s3.get_object(Bucket=bucket, Key=item["Key"])
            digest = hashlib.sha256(got["Body"].read()).hexdigest()
            found[item["Key"]] = (item["ETag"], item["LastModified"], got["Metadata"], digest)
    return found


def lines(cloud):
    logs = cloud.client("logs")
    pages = logs.get_paginator("filter_log_events").paginate(logGroupName="own")
    return [(event["timestamp"], event["message"]) for page in pages for event in page["events"]]


def run(cloud, *words, code=0, timeout_s=120):
    done = cloud.command(*words, timeout_s=timeout_s)
    assert done.returncode == code, f"{words}: {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done


def test_rows_go_from_engine_to_engine_and_back(own_cloud, postgres, tmp_path):
    own_cloud.start()
    fill(own_cloud)
    before, told = objects(own_cloud), lines(own_cloud)
    assert own_cloud.stop() == 0
    run(own_cloud, "export", "first.dump")
    url = postgres.database("moved")
    run(own_cloud, "import", "first.dump", "--store", url)
    run(own_cloud, "export", "second.dump", "--store", url)
    first = (tmp_path / "first.dump").read_bytes()
    assert (tmp_path / "second.dump").read_bytes() == first

    # The same blobs serve, wherever the rows are.
    (own_cloud.data / "store").rename(tmp_path / "old-store")
    own_cloud.start("--store", url)
    assert objects(own_cloud) == before
    assert lines(own_cloud) == told
    assert invoke(own_cloud) == {"echo": 1}
    own_cloud.client("s3").put_object(Bucket="data", Key="later", Body=b"on PostgreSQL")
    # A node may run beside; what it does meanwhile is not in the file.
    run(own_cloud, "export", "third.dump", "--store", url)
    assert own_cloud.stop() == 0

    run(own_cloud, "import", "third.dump")
    run(own_cloud, "export", "fourth.dump")
    assert (tmp_path / "third.dump").read_bytes() == (tmp_path / "fourth.dump").read_bytes()
    own_cloud.start()
    later = own_cloud.client("s3").get_object(Bucket="data", Key="later")["Body"].read()
    assert later == b"on PostgreSQL"
    own_cloud.client("s3").delete_object(Bucket="data", Key="later")
    assert objects(own_cloud) == before


def test_an_export_of_a_running_cloud_is_one_moment(own_cloud, tmp_path):
    own_cloud.start()
    s3 = own_cloud.client("s3")
    s3.create_bucket(Bucket="pairs")
    for number in range(2000):
        s3.put_object(Bucket="pairs", Key=f"{number:05}", Body=b"before")
    stop = threading.Event()

    def churn():
        client = own_cloud.client("s3")
        for number in range(100_000):
            if stop.is_set():
                return
            client.put_object(Bucket="pairs", Key=f"{number % 2000:05}", Body=f"after {number}".encode())

    writer = threading.Thread(target=churn)
    writer.start()
    try:
        run(own_cloud, "export", "moment.dump")
    finally:
        stop.set()
        writer.join()
    (tmp_path / "other").mkdir()
    other = Cloud(tmp_path / "other")
    run(other, "import", str(tmp_path / "moment.dump"))
    (other.data / "master-key").write_bytes((own_cloud.data / "master-key").read_bytes())
    other.start()
    try:
        s3 = other.client("s3")
        bodies = [s3.get_object(Bucket="pairs", Key=f"{n:05}")["Body"].read().decode() for n in range(2000)]
    finally:
        other.close()
    # The writer goes round and round: at any moment the last write tells what every object is.
    last = max(int(body.split()[1]) for body in bodies if body != "before") if set(bodies) != {"before"} else -1
    for number, body in enumerate(bodies):
        rounds = (last - number) // 2000
        assert body == ("before" if rounds < 0 else f"after {number + rounds * 2000}"), (number, last)


def test_what_cannot_be_imported_is_refused_with_a_reason(own_cloud, tmp_path):
    own_cloud.start()
    own_cloud.client("s3").create_bucket(Bucket="data")
    run(own_cloud, "export", "rows.dump")
    assert "exists already" in run(own_cloud, "export", "rows.dump", code=1).stderr
    # A cloud that runs has its directory for itself.
    assert "stop it first" in run(own_cloud, "import", "rows.dump", code=1).stderr
    own_cloud.stop()
    assert "empty store" in run(own_cloud, "import", "rows.dump", code=1).stderr
    whole = (tmp_path / "rows.dump").read_bytes()
    for name, bytes_, reason in [
        ("cut.dump", whole[:-1], "cut off"),
        ("flipped.dump", whole[:100] + bytes([whole[100] ^ 1]) + whole[101:], "damaged"),
        ("foreign.dump", b"PK\x03\x04", "no dump of Lambent"),
    ]:
        (tmp_path / name).write_bytes(bytes_)
        assert reason in run(own_cloud, "import", name, "--data", "new", code=1).stderr
        assert not (tmp_path / "new").exists(), "what is no dump leaves no trace"
    assert "found none" in run(own_cloud, "export", "x.dump", "--data", "nowhere", code=1).stderr
