"""`lambent check` finds damage of every kind, and mends what can be mended."""

import json
import shutil
import struct
from pathlib import Path

import pytest

import dumps
from cloud import Cloud
from test_care import fill, invoke, objects, run

COUNTER_ONE = struct.pack("<q", 1)
OLD_ORPHAN = "018000000000" + "ab" * 10


@pytest.fixture(scope="module")
def sound(tmp_path_factory):
    """A stopped cloud with something of everything, and what its rows are."""
    folder = tmp_path_factory.mktemp("sound")
    cloud = Cloud(folder).start()
    fill(cloud)
    told = objects(cloud)
    cloud.client("s3").put_object(Bucket="data", Key="gone", Body=b"g" * 300_000)
    cloud.client("s3").delete_object(Bucket="data", Key="gone")
    assert cloud.stop() == 0
    run(cloud, "export", "rows.dump")
    return cloud, dumps.read(folder / "rows.dump"), told


@pytest.fixture
def damaged(sound, tmp_path):
    """Makes a copy of the cloud with other rows and blobs."""
    source, (version, cloud_id, rows), _ = sound

    def make(change_rows=lambda rows: None, change_blobs=lambda blobs: None, with_runtimes=False):
        cloud = Cloud(tmp_path, with_runtimes)
        shutil.copytree(source.data / "blobs", cloud.data / "blobs")
        shutil.copy(source.data / "master-key", cloud.data / "master-key")
        changed = dict(rows)
        change_rows(changed)
        dumps.write(tmp_path / "changed.dump", version, cloud_id, changed)
        run(cloud, "import", "changed.dump")
        change_blobs(cloud.data / "blobs")
        return cloud

    return make


def check(cloud, *words, code):
    found = json.loads(run(cloud, "check", "--json", *words, code=code).stdout)
    return [f"{problem['service']}: {problem['what']}" for problem in found["problems"]], found


def test_a_sound_cloud_is_clean_also_while_it_runs(damaged, sound):
    cloud = damaged()
    _, found = check(cloud, "--deep", code=0)
    assert found["rows"] == len(sound[1][2]) and found["blobs"] == 10
    assert "fit together" in run(cloud, "check").stdout
    cloud.start()
    try:
        assert check(cloud, code=0)[1]["problems"] == []
        assert "needs the cloud to be stopped" in run(cloud, "check", "--repair", code=1).stderr
        assert objects(cloud) == sound[2]
    finally:
        cloud.close()


def find(rows, prefix, at=0):
    return sorted(key for key in rows if key.startswith(prefix))[at]


def cut(prefix):
    """Damages the row so that it cannot be read."""

    def change(rows):
        key = find(rows, prefix)
        rows[key] = rows[key][: len(rows[key]) // 2]

    return change


def drop(prefix, at=0):
    return lambda rows: rows.pop(find(rows, prefix, at))


def put(key, value):
    return lambda rows: rows.update({key: value})


def set_first(prefix, value):
    return lambda rows: rows.update({find(rows, prefix): value})


# What is done to the rows, what the check says of it, and whether a repair leaves a clean cloud.
ROWS = {
    "bucket": (cut(b"s3/bucket/"), "s3: bucket s3/bucket/", True),
    "bucket of no account": (drop(b"s3/owner/"), "is not listed for its account", True),
    "account of no bucket": (put(b"s3/owner/000000000000\0\1ghost\0\1", b""), "not its account's", True),
    "object": (cut(b"s3/object/data\0\1small/7"), "s3: object s3/object/data", True),
    "part of an upload": (cut(b"s3/part/"), "s3: part s3/part/", True),
    "missing span": (drop(b"s3/span/"), "object data/parts is not whole", False),
    "span of nothing": (drop(b"s3/object/data\0\1parts"), "which does not exist, is left over", True),
    "part of nothing": (drop(b"s3/upload/"), "which does not exist, is left over", True),
    "lost count": (drop(b"s3/ref/"), "but none are counted", True),
    "wrong count": (set_first(b"s3/ref/", struct.pack("<q", 7)), "but 7 are counted", True),
    "count that is none": (set_first(b"s3/ref/", b"xyz"), "but 3 bytes are counted", True),
    "count of nothing": (put(b"s3/ref/" + b"0" * 32, COUNTER_ONE), "named by 0 rows, but 1", True),
    "deleted data": (cut(b"s3/dead/"), "s3: what was deleted", True),
    "function": (cut(b"lambda/function/"), "lambda: function lambda/function/", True),
    "version": (cut(b"lambda/version/"), "lambda: version lambda/version/", True),
    "version's package's user": (drop(b"lambda/code-user/", 1), "does not know a function that needs it", True),
    "number of the last version": (drop(b"lambda/last-version/"), "is missing, though version 1 exists", True),
    "package": (drop(b"lambda/code/"), "needed by a function, but is missing", False),
    "package's blob": (drop(b"lambda/code-blob/"), "is not marked as needed", True),
    "package's user": (drop(b"lambda/code-user/"), "does not know a function that needs it", True),
    "log group": (cut(b"logs/group/"), "logs: log group logs/group/", True),
    "log stream": (cut(b"logs/stream/"), "logs: log stream logs/stream/", True),
    "log events": (set_first(b"logs/chunk/", b"?"), "logs: log events logs/chunk/", True),
    "time of log events": (drop(b"logs/time/"), "log events are not listed by time", True),
    "time of a log stream": (drop(b"logs/recent/"), "a log stream is not listed by time", True),
    "time of no log stream": (put(b"logs/recent/" + b"\0" * 8 + b"\x80" + b"\0" * 7 + b"x\0\1", b""), "is not its last", True),
    "size of a log group": (set_first(b"logs/bytes/", struct.pack("<q", -5)), "but -5 are counted", True),
    "bill": (set_first(b"meter/sum/", b"123"), "meter: the sum", True),
    "run": (cut(b"meter/call/"), "meter: the record of a run", True),
    "failed run": (cut(b"meter/failed/"), "meter: the record of a run", True),
    "failed run that is not listed": (drop(b"meter/failed/"), "is not kept twice", True),
    "role": (cut(b"identity/1000000000000\x00\x01role\x00\x01"), "identity: ", True),
    "event": (put(b"bus/ready/" + b"\0" * 20, b"?"), "bus: event bus/ready/", True),
    "payload of no event": (put(b"bus/body/" + b"i" * 16, b"\0body"), "belongs to no event", True),
    "chunk of no value": (put(b"\xfdlambda/none\0\0\0\0", b"c"), "is left over", True),
}


# After a repair of these the cloud is started, too, to see that it does not stumble.
STARTED = ("object", "missing span", "function", "version", "log stream", "log events", "role", "event")


@pytest.mark.parametrize("kind", ROWS)
def test_damaged_rows_are_found(damaged, kind):
    change, expected, mends = ROWS[kind]
    cloud = damaged(change)
    problems, _ = check(cloud, code=1)
    assert any(expected in problem for problem in problems), problems
    # A check changes nothing.
    assert check(cloud, code=1)[0] == problems
    left, found = check(cloud, "--repair", code=0 if mends else 1)
    if mends:
        assert found["mended"] >= 1
        if "cannot be read" in str(problems):
            assert any("was set aside" in note for note in found["notes"])
        assert check(cloud, "--deep", code=0)[0] == []
    else:
        assert left
    if kind in STARTED:
        cloud.start()
        try:
            assert cloud.client("s3").list_objects_v2(Bucket="data")["Contents"]
            assert cloud.client("logs").describe_log_groups()["logGroups"]
            assert cloud.client("lambda").list_functions()["Functions"] or kind == "function"
        finally:
            cloud.close()


def largest(blobs):
    return max(Path(blobs).glob("??/*"), key=lambda path: path.stat().st_size)


def flip(path, at):
    with path.open("r+b") as file:
        file.seek(at)
        byte = file.read(1)
        file.seek(at)
        file.write(bytes([byte[0] ^ 1]))


def test_missing_and_damaged_blobs_are_found(damaged):
    cloud = damaged()
    blobs = sorted((cloud.data / "blobs").glob("??/*"), key=lambda path: path.stat().st_size)[-4:]
    missing, cut_off, flipped, trailer = blobs
    missing.unlink()
    cut_off.write_bytes(cut_off.read_bytes()[:-1])
    flip(flipped, 1000)
    flip(trailer, trailer.stat().st_size - 20)
    problems, _ = check(cloud, code=1)
    assert any(missing.name in problem and "is missing" in problem for problem in problems)
    for blob in (cut_off, trailer):
        assert any(blob.name in problem and "damaged" in problem for problem in problems)
    assert not any(flipped.name in problem for problem in problems), "blocks are read only when that is asked for"
    deep, _ = check(cloud, "--deep", code=1)
    assert any(flipped.name in problem and "checksum of block 0" in problem for problem in deep)
    # Nothing of this can be mended, and nothing is removed.
    left, found = check(cloud, "--repair", "--deep", code=1)
    assert len(left) == 4 and found["mended"] == 0 and not any(problem["canBeMended"] for problem in found["problems"])
    assert all(blob.exists() for blob in (cut_off, flipped, trailer))


def test_orphans_are_removed_once_they_are_old(damaged):
    def plant(blobs):
        source = largest(blobs)
        (blobs / "ab").mkdir(exist_ok=True)
        shutil.copy(source, blobs / "ab" / OLD_ORPHAN)
        young = source.name[:12] + "cd" * 10
        (blobs / "cd").mkdir(exist_ok=True)
        shutil.copy(source, blobs / "cd" / young)

    cloud = damaged(change_blobs=plant)
    problems, found = check(cloud, code=1)
    assert len(problems) == 1 and OLD_ORPHAN in problems[0]
    assert any("1 blobs younger" in note for note in found["notes"])
    assert check(cloud, "--repair", code=0)[1]["blobsRemoved"] == 1
    assert not (cloud.data / "blobs" / "ab" / OLD_ORPHAN).exists()


def test_nothing_is_thrown_away_while_a_row_cannot_be_read(damaged, sound):
    """What a damaged row named is not known, so whatever it may have named stays."""
    cloud = damaged(cut(b"s3/object/data\0\1large/0"), with_runtimes=True)
    before = {path.name for path in (cloud.data / "blobs").glob("??/*")}
    problems, _ = check(cloud, code=1)
    assert any("object s3/object/data" in problem for problem in problems)
    _, found = check(cloud, "--repair", code=0)
    assert any("was set aside" in note for note in found["notes"])
    assert any("stays" in note for note in found["notes"])
    assert {path.name for path in (cloud.data / "blobs").glob("??/*")} == before
    cloud.start()
    try:
        kept = dict(sound[2])
        kept.pop("large/0")
        assert objects(cloud) == kept and invoke(cloud) == {"echo": 1}
    finally:
        cloud.close()


def test_blobs_of_another_cloud_are_neither_checked_nor_removed(damaged, tmp_path):
    cloud = damaged()
    others = tmp_path / "others"
    shutil.copytree(cloud.data / "blobs", others)
    (others / "cloud-id").write_text("somebody else\n")
    for words in (["check"], ["check", "--repair"], ["backup", "backup"]):
        refused = run(cloud, *words, "--blobs", str(others), code=1).stderr
        assert "those there are of the cloud somebody else" in refused and "--blobs" in refused
        assert "are of nobody" in run(cloud, *words, "--blobs", str(tmp_path / "none"), code=1).stderr
    assert len(list(others.glob("??/*"))) == 10
