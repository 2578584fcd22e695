"""A disk that others fill: writes get a clear error, reads go on, and room alone brings writes back."""

import os
import subprocess

import pytest
from botocore.exceptions import ClientError

from cloud import Cloud
from test_care import run

DISK_MIB = 448
# What `up` leaves free on the disk of rows and on that of blobs.
ROWS_RESERVE_MIB, BLOBS_RESERVE_MIB = 64, 128
LONG = b"long" * 100_000


@pytest.fixture
def disk(tmp_path):
    """A small file system, and a way to leave so much of it free."""
    if os.geteuid() != 0:
        pytest.skip("mounting a file system takes root")
    mount = tmp_path / "disk"
    mount.mkdir()
    options = f"size={DISK_MIB}m,mode=0700"
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "lambent-test", str(mount)], check=True)
    filler = mount / "filler"

    def leave(mib):
        filler.unlink(missing_ok=True)
        if mib is None:
            return
        room = os.statvfs(mount)
        bytes_ = room.f_bavail * room.f_frsize - (mib << 20)
        with filler.open("wb") as file:
            os.posix_fallocate(file.fileno(), 0, bytes_)

    yield mount, leave
    subprocess.run(["umount", "--lazy", str(mount)], check=True)


def refusal(call, **arguments):
    with pytest.raises(ClientError) as caught:
        call(**arguments)
    return caught.value.response["ResponseMetadata"]["HTTPStatusCode"], str(caught.value)


def test_a_full_disk_stops_writes_alone_and_only_while_it_is_full(disk):
    mount, leave = disk
    cloud = Cloud(mount, with_runtimes=False).start()
    try:
        s3, logs = cloud.client("s3"), cloud.client("logs")
        s3.create_bucket(Bucket="data")
        kept = {}

        def put(key, body):
            s3.put_object(Bucket="data", Key=key, Body=body)
            kept[key] = body

        def reads_go_on():
            listed = s3.list_objects_v2(Bucket="data").get("Contents", [])
            assert {item["Key"] for item in listed} == set(kept)
            for key, body in kept.items():
                assert s3.get_object(Bucket="data", Key=key)["Body"].read() == body

        put("short", b"short")
        put("long", LONG)
        put("to delete", b"d" * 1000)
        reads_go_on()

        # Rows still have room, blobs have none.
        leave((ROWS_RESERVE_MIB + BLOBS_RESERVE_MIB) // 2)
        status, text = refusal(s3.put_object, Bucket="data", Key="refused", Body=LONG)
        assert status == 503, text
        put("short too", b"short too")
        reads_go_on()

        # Nothing has room but what frees some.
        for left in (ROWS_RESERVE_MIB // 2, 0):
            leave(left)
            for body in (b"short", LONG):
                status, text = refusal(s3.put_object, Bucket="data", Key="refused", Body=body)
                assert status == 503, text
            refusal(logs.create_log_group, logGroupName="refused")
            reads_go_on()
            assert "disk" in run(cloud, "backup", str(mount / "backup"), code=1).stderr
        leave(ROWS_RESERVE_MIB // 2)
        s3.delete_object(Bucket="data", Key="to delete")
        kept.pop("to delete")
        reads_go_on()

        # The same process, as if nothing had been.
        leave(None)
        put("refused", LONG)
        put("short at last", b"short")
        logs.create_log_group(logGroupName="accepted")
        reads_go_on()
        # Refusals leave nothing half done behind, also for the process after this one.
        cloud.kill()
        cloud.start()
        s3 = cloud.client("s3")
        reads_go_on()
        assert cloud.stop() == 0
        assert "fit together" in run(cloud, "check", "--deep").stdout
    finally:
        cloud.close()
