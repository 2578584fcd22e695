"""The Telemetry API: events of the platform, and what functions print, reach a listener inside the environment."""

import json

from test_lambda_extensions import call, extension, log_of, with_extension  # noqa: F401


def taken(log):
    lines = (line.split("extension took ", 1) for line in log.splitlines())
    return [json.loads(parts[1]) for parts in lines if len(parts) == 2]


def test_events_reach_a_listener(awslambda, with_extension, log_of):  # noqa: F811
    name = with_extension(mode="telemetry")
    assert call(awslambda, name, {"a": 1}) == (None, {"a": 1})
    call(awslambda, name)
    awslambda.update_function_configuration(FunctionName=name, Description="another")
    awslambda.get_waiter("function_updated_v2").wait(FunctionName=name, WaiterConfig={"Delay": 0.05})
    call(awslambda, name)
    log = log_of(name, '"eventType": "SHUTDOWN"')
    assert 'extension refused 400 {"errorMessage":"types should not be empty","errorType":"ValidationError"}' in log
    assert "extension subscribed 200 OK\n" in log
    assert "TELEMETRY\tName: watcher\tState: Subscribed\tTypes: [Platform, Function]\n" in log
    events = taken(log)
    kinds = [event["type"] for event in events]
    for kind in ("initStart", "telemetrySubscription", "initRuntimeDone", "initReport", "start", "runtimeDone", "report"):
        assert f"platform.{kind}" in kinds, (kind, kinds)
    assert "platform.end" not in kinds and "extension" not in kinds
    printed = [event["record"] for event in events if event["type"] == "function"]
    assert "loaded" in printed and any(text.startswith("called ") for text in printed)
    by_kind = {event["type"]: event["record"] for event in reversed(events)}
    started = by_kind["platform.initStart"]
    assert (started["initializationType"], started["phase"]) == ("on-demand", "init")
    report = by_kind["platform.report"]
    assert report["requestId"] == by_kind["platform.start"]["requestId"] and report["status"] == "success"
    assert {"durationMs", "billedDurationMs", "memorySizeMB", "maxMemoryUsedMB"} <= set(report["metrics"])
    assert by_kind["platform.runtimeDone"]["metrics"]["producedBytes"] == len('{"a": 1}')
