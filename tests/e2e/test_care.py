"""Export, import, backup, restore and check: what an operator does with the data."""

import hashlib
import json
import threading
from pathlib import Path

import pytest

import packages
from cloud import ACCOUNT, ROOT_KEY, ROOT_SECRET, Cloud, eventually
from conftest import make_role
from postgres import Postgres
from signing import send, signed

ECHO = """
    def handler(event, context):
        print("called with", event)
        if event == "fail":
            raise ValueError(event)
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
    awslambda.publish_version(FunctionName="echo")
    assert invoke(cloud) == {"echo": 1}
    assert awslambda.invoke(FunctionName="echo", Payload='"fail"')["FunctionError"] == "Unhandled"
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


def run(cloud, *words, code=0, timeout_s=120, **settings):
    done = cloud.command(*words, timeout_s=timeout_s, **settings)
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


def blobs_of(folder):
    return {path.name for path in Path(folder).glob("blobs/??/*")}


def restored(cloud, backup, folder, *words, **settings):
    """Another cloud, made of a backup and started."""
    folder.mkdir()
    other = Cloud(folder)
    run(other, "restore", str(backup), *words)
    return other.start(**settings)


def test_a_running_cloud_is_backed_up_and_restored_elsewhere(own_cloud, tmp_path):
    own_cloud.start()
    fill(own_cloud)
    own_cloud.client("s3").create_bucket(Bucket="busy")
    stop, written = threading.Event(), []

    def load(worker):
        client = own_cloud.client("s3")
        for number in range(100_000):
            if stop.is_set():
                return
            key = f"{worker}/{number:05}"
            client.put_object(Bucket="busy", Key=key, Body=key.encode() * 15_000)
            written.append(key)
            if number % 3 == 2:
                client.delete_object(Bucket="busy", Key=f"{worker}/{number - 1:05}")

    writers = [threading.Thread(target=load, args=(worker,)) for worker in range(2)]
    for writer in writers:
        writer.start()
    eventually(lambda: len(written) > 20)
    backup = tmp_path / "backup"
    before = set(written)
    try:
        told = run(own_cloud, "backup", str(backup), "--with-keys").stderr
    finally:
        stop.set()
        for writer in writers:
            writer.join()
    assert "whoever can read it can do everything" in told
    assert (backup / "keys" / "master-key").stat().st_mode & 0o777 == 0o600
    assert not list(backup.glob("**/*.part"))

    other = restored(own_cloud, backup, tmp_path / "other")
    try:
        assert objects(other) == objects(own_cloud)
        assert lines(other) == lines(own_cloud)
        assert invoke(other) == {"echo": 1}
        busy = objects(other, "busy")
        deleted = {key for key in before if int(key.split("/")[1]) % 3 == 1}
        assert before - deleted <= set(busy), "what was acknowledged before is in it"
        for key, (_, _, _, digest) in busy.items():
            assert digest == hashlib.sha256(key.encode() * 15_000).hexdigest()
        assert other.stop() == 0
        assert "fit together" in run(other, "check", "--deep").stdout
    finally:
        other.close()
    # The open upload goes on where it was.
    assert "fit together" in run(own_cloud, "check").stdout


def test_a_second_backup_copies_what_is_new_and_old_ones_are_pruned(own_cloud, tmp_path):
    own_cloud.start()
    s3 = own_cloud.client("s3")
    s3.create_bucket(Bucket="data")
    for number in range(4):
        s3.put_object(Bucket="data", Key=str(number), Body=bytes([number]) * 300_000)
    backup = tmp_path / "backup"
    assert "4 blobs" in run(own_cloud, "backup", str(backup)).stderr
    first = {path: path.stat() for path in backup.glob("blobs/??/*")}
    assert len(first) == 4
    s3.put_object(Bucket="data", Key="4", Body=b"4" * 300_000)
    s3.put_object(Bucket="data", Key="0", Body=b"0" * 300_000)
    told = run(own_cloud, "backup", str(backup)).stderr
    assert "2 blobs" in told and "keep a copy of the file `master-key`" in told
    for path, stat in first.items():
        assert path.stat().st_mtime_ns == stat.st_mtime_ns, "a blob was copied again"
    assert len(blobs_of(backup)) == 6
    manifest = json.loads((backup / "manifest").read_text())
    assert [dump["blobs"] for dump in manifest["dumps"]][0] == 4 and len(manifest["dumps"]) == 2

    # The older one can still be chosen, and then the newest alone is kept.
    older, newer = (dump["name"] for dump in manifest["dumps"])
    own_cloud.stop()
    asked = own_cloud.command("restore", str(backup), "--data", str(tmp_path / "nowhere"))
    assert asked.returncode == 1 and "master-key" in asked.stderr
    other = Cloud(new_folder(tmp_path, "older"))
    (other.data / "master-key").write_bytes((own_cloud.data / "master-key").read_bytes())
    run(other, "restore", str(backup), "--dump", older)
    other.start()
    assert set(objects(other)) == {"0", "1", "2", "3"}
    other.close()
    run(own_cloud, "backup", str(backup), "--keep", "2")
    assert len(list(backup.glob("rows/*.dump"))) == 2 and not (backup / f"rows/{older}.dump").exists()
    run(own_cloud, "backup", str(backup), "--keep", "1")
    assert not (backup / f"rows/{newer}.dump").exists()
    s3 = own_cloud.start().client("s3")
    kept = {"0": b"0", "1": b"\x01", "2": b"\x02", "3": b"\x03", "4": b"4"}
    lost = Cloud(new_folder(tmp_path, "lost"))
    run(lost, "restore", str(backup), "--new-keys")
    lost.start(LAMBENT_ROOT_ACCESS_KEY_ID="AKIAANOTHERKEY000000")
    s3 = lost.client("s3", key="AKIAANOTHERKEY000000")
    for key, byte in kept.items():
        assert s3.get_object(Bucket="data", Key=key)["Body"].read() == byte * 300_000
    lost.close()


def new_folder(tmp_path, name):
    folder = tmp_path / name
    folder.mkdir()
    return folder


def test_restores_are_refused_where_they_would_do_harm(own_cloud, tmp_path):
    own_cloud.start()
    own_cloud.client("s3").create_bucket(Bucket="data")
    own_cloud.client("s3").put_object(Bucket="data", Key="blob", Body=b"b" * 300_000)
    backup = tmp_path / "backup"
    run(own_cloud, "backup", str(backup), "--with-keys")
    assert "stop it first" in run(own_cloud, "restore", str(backup), code=1).stderr
    own_cloud.stop()
    assert "empty" in run(own_cloud, "restore", str(backup), code=1).stderr
    other = Cloud(new_folder(tmp_path, "other"))
    assert "found none" in run(other, "restore", str(tmp_path / "nothing"), code=1).stderr
    # A blob of the backup is damaged: that is said, the cloud does not start half, and a whole backup can follow.
    [blob] = backup.glob("blobs/??/*")
    whole = blob.read_bytes()
    blob.write_bytes(whole[:1000] + b"x" + whole[1001:])
    assert "lacks" in run(other, "restore", str(backup), code=1).stderr
    started = other.command("up", "--listen", "127.0.0.1:0")
    assert started.returncode == 1 and "cut off" in started.stderr
    blob.write_bytes(whole)
    run(other, "restore", str(backup))
    other.start()
    assert other.client("s3").get_object(Bucket="data", Key="blob")["Body"].read() == b"b" * 300_000
    other.close()
    # Another cloud's backups lie elsewhere.
    stranger = Cloud(new_folder(tmp_path, "stranger")).start()
    try:
        assert "a place of its own" in run(stranger, "backup", str(backup), code=1).stderr
    finally:
        stranger.close()


def test_a_bucket_can_hold_backups(own_cloud, tmp_path):
    """Another cloud is the bucket; its own protocol is S3's."""
    shelf = Cloud(new_folder(tmp_path, "shelf")).start()
    keys = {"AWS_ACCESS_KEY_ID": ROOT_KEY, "AWS_SECRET_ACCESS_KEY": ROOT_SECRET}
    try:
        shelf.client("s3").create_bucket(Bucket="backups")
        place = f"s3://backups/of/ours?endpoint={shelf.endpoint}"
        own_cloud.start()
        fill(own_cloud)
        told = run(own_cloud, "backup", place, "--with-keys", **keys).stderr
        assert "9 blobs" in told
        refused = run(own_cloud, "backup", place, "--with-keys", code=1, LAMBENT_MASTER_KEY="0" * 64, **keys).stderr
        assert "this node has another one" in refused, "a key that opens nothing is no key to keep"
        # Only one at a time changes the place.
        turn = json.dumps({"id": "1", "holder": "somebody", "until_ms": 4_000_000_000_000})
        shelf.client("s3").put_object(Bucket="backups", Key="of/ours/lock", Body=turn)
        assert "in use by somebody, until 2096-10-02" in run(own_cloud, "backup", place, code=1, **keys).stderr
        shelf.client("s3").delete_object(Bucket="backups", Key="of/ours/lock")
        assert "0 blobs" in run(own_cloud, "backup", place, "--keep", "1", **keys).stderr
        stored = {item["Key"] for item in shelf.client("s3").list_objects_v2(Bucket="backups")["Contents"]}
        assert {"of/ours/manifest", "of/ours/keys/master-key"} <= stored
        assert len([key for key in stored if key.startswith("of/ours/rows/")]) == 1
        other = Cloud(new_folder(tmp_path, "other"))
        run(other, "restore", place, **keys)
        other.start()
        try:
            assert objects(other) == objects(own_cloud) and invoke(other) == {"echo": 1}
        finally:
            other.close()
        assert "AWS_ACCESS_KEY_ID" in run(own_cloud, "backup", place, code=1).stderr
    finally:
        shelf.close()


def test_a_cloud_on_postgres_is_backed_up_beside_its_nodes(own_cloud, postgres, tmp_path):
    store = postgres.database("backed_up")
    own_cloud.start("--store", store)
    fill(own_cloud)
    backup = tmp_path / "backup"
    run(own_cloud, "backup", str(backup), "--store", store, "--with-keys")
    assert "fit together" in run(own_cloud, "check", "--store", store).stdout
    refused = run(own_cloud, "check", "--repair", "--store", store, code=1).stderr
    assert "needs the cloud to be stopped" in refused
    # It comes back on the other engine, and on another database.
    other = restored(own_cloud, backup, tmp_path / "fjall")
    try:
        assert objects(other) == objects(own_cloud) and lines(other) == lines(own_cloud)
        assert invoke(other) == {"echo": 1}
    finally:
        other.close()
    elsewhere = postgres.database("restored")
    other = Cloud(new_folder(tmp_path, "postgres"))
    run(other, "restore", str(backup), "--store", elsewhere)
    other.start("--store", elsewhere)
    try:
        assert objects(other) == objects(own_cloud) and invoke(other) == {"echo": 1}
    finally:
        other.close()
    assert own_cloud.stop() == 0
    assert "fit together" in run(own_cloud, "check", "--repair", "--store", store).stdout


def test_a_later_format_is_refused_and_so_is_a_second_process(new_cloud, postgres):
    new_cloud.start()
    assert (new_cloud.data / "format").read_text() == "1"
    second = new_cloud.command("up", "--listen", "127.0.0.1:0")
    assert second.returncode == 1 and "stop it first" in second.stderr
    new_cloud.stop()
    # The first format came without the file.
    (new_cloud.data / "format").unlink()
    new_cloud.start()
    new_cloud.stop()
    (new_cloud.data / "format").write_text("2")
    told = "has format 2, this program knows 1; run the version of Lambent that wrote it"
    for command in ("up", "export x", "backup x", "check", "import x"):
        refused = new_cloud.command(*command.split(), *(["--listen", "127.0.0.1:0"] if command == "up" else []))
        assert refused.returncode == 1 and told in refused.stderr, (command, refused.stderr)
    (new_cloud.data / "format").write_text("1")
    store = postgres.database("later")
    new_cloud.command("export", "x", "--store", store)
    postgres.psql("later", "UPDATE lambent_head SET format = 2")
    assert told in new_cloud.command("check", "--store", store).stderr


def test_only_the_root_key_sees_all_rows(own_cloud):
    """A role that may do everything in its account is not the owner of the cloud."""
    own_cloud.start()
    statements = [{"Effect": "Allow", "Action": "*", "Resource": "*"}]
    trust = {"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Principal": {"AWS": f"arn:aws:iam::{ACCOUNT}:root"}, "Action": "sts:AssumeRole"}
    ]}  # fmt: skip
    iam = own_cloud.client("iam")
    iam.create_role(RoleName="all", AssumeRolePolicyDocument=json.dumps(trust))
    policy = json.dumps({"Version": "2012-10-17", "Statement": statements})
    iam.put_role_policy(RoleName="all", PolicyName="all", PolicyDocument=policy)
    role = f"arn:aws:iam::{ACCOUNT}:role/all"
    lent = own_cloud.client("sts").assume_role(RoleArn=role, RoleSessionName="session")["Credentials"]
    for path in ("/_lambent/export", "/_lambent/pin?id=" + "ab" * 16):
        as_role = signed(
            own_cloud, "lambent", "GET", path,
            key=lent["AccessKeyId"], secret=lent["SecretAccessKey"], token=lent["SessionToken"],
        )  # fmt: skip
        for headers, expected in [({}, 403), (as_role, 403), (signed(own_cloud, "lambent", "GET", path), 200)]:
            answer = send(own_cloud, "GET", path, headers=headers)
            assert answer.status == expected, (path, answer.body[:200])
