import time

import pytest
from botocore.exceptions import ClientError

from recorded import assert_like, snapshot

HOUR_MS = 3600 * 1000


def error(call):
    with pytest.raises(ClientError) as excinfo:
        call()
    return excinfo.value.response


@pytest.fixture
def now_ms():
    return int(time.time() * 1000)


@pytest.fixture
def group(logs, unique):
    name = unique("group")
    logs.create_log_group(logGroupName=name)
    yield name
    logs.delete_log_group(logGroupName=name)


@pytest.fixture
def stream(logs, group):
    logs.create_log_stream(logGroupName=group, logStreamName="stream")
    return {"logGroupName": group, "logStreamName": "stream"}


def put(logs, stream, *events):
    entries = [{"timestamp": at, "message": message} for at, message in events]
    return logs.put_log_events(**stream, logEvents=entries)


def messages(answer):
    return [event["message"] for event in answer["events"]]


def test_groups(logs, unique):
    recorded = snapshot("logs/test_logs_groups", "TestLogsGroups::test_describe_log_groups_with_prefix")
    prefix = unique("group")
    for suffix in "cab":
        logs.create_log_group(logGroupName=f"{prefix}-{suffix}")
    described = logs.describe_log_groups(logGroupNamePrefix=prefix)
    assert_like(described, recorded["describe-log-groups-prefix"])
    names = [group["logGroupName"] for group in described["logGroups"]]
    assert names == [f"{prefix}-a", f"{prefix}-b", f"{prefix}-c"]
    first = logs.describe_log_groups(logGroupNamePrefix=prefix, limit=2)
    rest = logs.describe_log_groups(logGroupNamePrefix=prefix, limit=2, nextToken=first["nextToken"])
    assert [group["logGroupName"] for group in first["logGroups"] + rest["logGroups"]] == names
    for name in names:
        logs.delete_log_group(logGroupName=name)
    assert logs.describe_log_groups(logGroupNamePrefix=prefix)["logGroups"] == []


def test_group_errors(logs, group):
    file = "logs/test_logs_groups"
    recorded = snapshot(file, "TestLogsGroups::test_create_log_group_duplicate_error")
    assert_like(error(lambda: logs.create_log_group(logGroupName=group)), recorded["error-duplicate-log-group"])
    gone = error(lambda: logs.delete_log_group(logGroupName="missing"))["Error"]
    assert (gone["Code"], gone["Message"]) == (
        "ResourceNotFoundException",
        "The specified log group does not exist.",
    )
    wrong = error(lambda: logs.create_log_group(logGroupName="no spaces"))["Error"]
    assert wrong["Code"] == "InvalidParameterException"


def test_retention(logs, group):
    logs.put_retention_policy(logGroupName=group, retentionInDays=7)
    described = logs.describe_log_groups(logGroupNamePrefix=group)["logGroups"][0]
    assert described["retentionInDays"] == 7
    wrong = error(lambda: logs.put_retention_policy(logGroupName=group, retentionInDays=8))["Error"]
    assert wrong["Code"] == "InvalidParameterException"


def test_streams(logs, group):
    recorded = snapshot("logs/test_logs_streams", "TestLogsStreams::test_describe_log_streams_with_prefix")
    for name in ("s-2", "s-1", "s-3", "other"):
        logs.create_log_stream(logGroupName=group, logStreamName=name)
    described = logs.describe_log_streams(logGroupName=group, logStreamNamePrefix="s-")
    assert_like(described, recorded["describe-streams-with-prefix"])
    assert [stream["logStreamName"] for stream in described["logStreams"]] == ["s-1", "s-2", "s-3"]
    duplicate = snapshot("logs/test_logs_streams", "TestLogsStreams::test_create_log_stream_duplicate_error")
    again = error(lambda: logs.create_log_stream(logGroupName=group, logStreamName="s-1"))
    assert_like(again, duplicate["error-duplicate-log-stream"])


def test_streams_by_last_event(logs, group, now_ms):
    for name, at in [("old", now_ms - HOUR_MS), ("new", now_ms), ("middle", now_ms - 1000)]:
        logs.create_log_stream(logGroupName=group, logStreamName=name)
        put(logs, {"logGroupName": group, "logStreamName": name}, (at, "x"))
    described = logs.describe_log_streams(logGroupName=group, orderBy="LastEventTime", descending=True)
    assert [stream["logStreamName"] for stream in described["logStreams"]] == ["new", "middle", "old"]
    assert described["logStreams"][0]["lastEventTimestamp"] == now_ms


def test_events_come_back_in_order(logs, stream, now_ms):
    put(logs, stream, (now_ms - 20, "first"), (now_ms - 10, "second ü🦀"), (now_ms, "third\nwith two lines"))
    got = logs.get_log_events(**stream, startFromHead=True)
    assert messages(got) == ["first", "second ü🦀", "third\nwith two lines"]
    assert [event["timestamp"] for event in got["events"]] == [now_ms - 20, now_ms - 10, now_ms]
    assert all(abs(event["ingestionTime"] - now_ms) < HOUR_MS for event in got["events"])
    windowed = logs.get_log_events(**stream, startTime=now_ms - 10, endTime=now_ms, startFromHead=True)
    assert messages(windowed) == ["second ü🦀"], "the end is not part of the window"


def test_events_page_in_both_directions(logs, stream, now_ms):
    put(logs, stream, *[(now_ms + number, f"m{number}") for number in range(10)])
    forward = logs.get_log_events(**stream, startFromHead=True, limit=4)
    assert messages(forward) == ["m0", "m1", "m2", "m3"]
    onward = logs.get_log_events(**stream, startFromHead=True, limit=4, nextToken=forward["nextForwardToken"])
    assert messages(onward) == ["m4", "m5", "m6", "m7"]
    backward = logs.get_log_events(**stream, limit=4)
    assert messages(backward) == ["m6", "m7", "m8", "m9"]
    earlier = logs.get_log_events(**stream, limit=4, nextToken=backward["nextBackwardToken"])
    assert messages(earlier) == ["m2", "m3", "m4", "m5"]
    end = logs.get_log_events(**stream, nextToken=backward["nextForwardToken"])
    assert end["events"] == []
    assert end["nextForwardToken"] == backward["nextForwardToken"], "the same token says that this was all"


def test_filter(logs, stream, now_ms):
    lines = ["ERROR disk full", "INFO disk fine", "an ERROR and a WARN", "error in lower case", 'say "disk full" now']
    put(logs, stream, *[(now_ms + number, line) for number, line in enumerate(lines)])
    found = lambda pattern: messages(logs.filter_log_events(logGroupName=stream["logGroupName"], filterPattern=pattern))
    assert found("") == lines
    assert found("ERROR") == [lines[0], lines[2]]
    assert found("ERROR WARN") == [lines[2]]
    assert found('"disk full"') == [lines[0], lines[4]]
    assert found("?WARN ?INFO") == [lines[1], lines[2]]
    assert found("disk -ERROR") == [lines[1], lines[4]]
    assert found("nowhere") == []


def test_filter_goes_over_streams_by_time(logs, group, now_ms):
    for name in "ab":
        logs.create_log_stream(logGroupName=group, logStreamName=name)
    for number in range(6):
        put(logs, {"logGroupName": group, "logStreamName": "ab"[number % 2]}, (now_ms + number, f"m{number}"))
    everything = logs.filter_log_events(logGroupName=group)
    assert messages(everything) == [f"m{number}" for number in range(6)]
    assert len({event["eventId"] for event in everything["events"]}) == 6
    only_a = logs.filter_log_events(logGroupName=group, logStreamNames=["a"])
    assert {event["logStreamName"] for event in only_a["events"]} == {"a"}
    pages = logs.get_paginator("filter_log_events").paginate(logGroupName=group, PaginationConfig={"PageSize": 2})
    assert [message for page in pages for message in messages(page)] == messages(everything)
    late = logs.filter_log_events(logGroupName=group, startTime=now_ms + 3, endTime=now_ms + 4)
    assert messages(late) == ["m3", "m4"]


@pytest.mark.parametrize(
    ("file", "test", "name", "call"),
    [
        ("events", "TestLogsEvents::test_put_log_events_to_invalid_stream", "error-invalid-stream",
         lambda logs, stream, now: put(logs, {**stream, "logStreamName": "missing"}, (now, "x"))),
        ("events", "TestLogsEvents::test_put_log_events_wrong_order", "error-wrong-order",
         lambda logs, stream, now: put(logs, stream, (now, "x"), (now - 5, "y"))),
        ("events", "TestLogsEvents::test_get_log_events_invalid_token", "error-invalid-token",
         lambda logs, stream, now: logs.get_log_events(**stream, nextToken="invalid")),
        ("events", "TestLogsEvents::test_get_log_events_limit_validation", "error-limit-exceeded",
         lambda logs, stream, now: logs.get_log_events(**stream, limit=10001)),
        ("events", "TestLogsEventsErrors::test_resource_does_not_exist", "error-log-group-does-not-exist",
         lambda logs, stream, now: logs.get_log_events(logGroupName="missing", logStreamName="x")),
        ("filter_events", "TestFilterLogEvents::test_filter_log_events_limit_validation", "error-limit-exceeded",
         lambda logs, stream, now: logs.filter_log_events(logGroupName=stream["logGroupName"], limit=10001)),
        ("filter_events", "TestFilterLogEvents::test_filter_log_events_unknown_token", "invalid-token",
         lambda logs, stream, now: logs.filter_log_events(logGroupName=stream["logGroupName"], nextToken="x")),
    ],
    ids=lambda value: value if isinstance(value, str) and value.startswith("Test") else "",
)  # fmt: skip
def test_errors_as_recorded(logs, stream, now_ms, file, test, name, call):
    recorded = snapshot(f"logs/test_logs_{file}", test)
    assert_like(error(lambda: call(logs, stream, now_ms)), recorded[name])


def test_events_out_of_the_window_are_counted_as_rejected(logs, stream, now_ms):
    old = put(logs, stream, (now_ms - 15 * 24 * HOUR_MS, "too old"), (now_ms, "kept"))
    assert old["rejectedLogEventsInfo"] == {"tooOldLogEventEndIndex": 1}
    new = put(logs, stream, (now_ms, "kept too"), (now_ms + 3 * HOUR_MS, "too new"))
    assert new["rejectedLogEventsInfo"] == {"tooNewLogEventStartIndex": 1}
    assert messages(logs.get_log_events(**stream, startFromHead=True)) == ["kept", "kept too"]


def test_deleting_a_group_deletes_its_events(logs, unique, now_ms):
    which = {"logGroupName": unique("group"), "logStreamName": "s"}
    for _ in range(2):
        logs.create_log_group(logGroupName=which["logGroupName"])
        logs.create_log_stream(**which)
        assert logs.get_log_events(**which)["events"] == []
        put(logs, which, (now_ms, "x"))
        logs.delete_log_group(logGroupName=which["logGroupName"])
