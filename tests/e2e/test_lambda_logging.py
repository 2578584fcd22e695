"""LoggingConfig and TracingConfig: JSON logs, levels, groups, and sampled calls."""

import json

import packages
import pytest
from botocore.exceptions import ClientError

from cloud import eventually

PYTHON = """
import logging, os
logger = logging.getLogger("mine")
def handler(event, context):
    logger.debug("quiet")
    logger.warning("loud %s", "words", extra={"order": 7})
    print("plain")
    if event.get("fail"): raise ValueError("bad")
    return [os.environ.get(name) for name in ("AWS_LAMBDA_LOG_FORMAT", "AWS_LAMBDA_LOG_LEVEL")]
"""
NODE = """
export const handler = async () => {
  console.debug('quiet');
  console.info('a %s', 'b');
  console.error({ order: 7 });
};
"""


@pytest.fixture
def records_of(logs):
    def records_of(group):
        """The JSON records of a group, once a call has ended."""

        def ended():
            try:
                events = logs.filter_log_events(logGroupName=group)["events"]
            except logs.exceptions.ResourceNotFoundException:
                return None
            records = [json.loads(event["message"]) for event in events if event["message"].startswith("{")]
            return records if any(one.get("type") == "platform.report" for one in records) else None

        return eventually(ended)

    return records_of


def test_python_logs_records(awslambda, deploy, records_of, unique):
    group = f"/own/{unique('group')}"
    name = deploy(PYTHON, LoggingConfig={"LogFormat": "JSON", "ApplicationLogLevel": "WARN", "LogGroup": group})
    shown = awslambda.get_function_configuration(FunctionName=name)["LoggingConfig"]
    levels = {"ApplicationLogLevel": "WARN", "SystemLogLevel": "INFO"}
    assert shown == {"LogFormat": "JSON", "LogGroup": group, **levels}
    answer = awslambda.invoke(FunctionName=name, Payload="{}")
    assert json.load(answer["Payload"]) == ["JSON", "WARN"]
    request = answer["ResponseMetadata"]["RequestId"]
    records = records_of(group)
    own = [one for one in records if "level" in one]
    assert [one["message"] for one in own] == ["loud words"]
    assert (own[0]["level"], own[0]["logger"], own[0]["order"]) == ("WARNING", "mine", 7)
    assert own[0]["requestId"] == request
    kinds = [one["type"] for one in records if "type" in one]
    assert kinds == ["platform.initStart", "platform.start", "platform.report"]
    assert records[-1]["record"]["requestId"] == request


def test_node_logs_records(awslambda, deploy, records_of):
    name = deploy(
        packages.node(NODE), Runtime="nodejs22.x", LoggingConfig={"LogFormat": "JSON", "SystemLogLevel": "DEBUG"}
    )
    awslambda.invoke(FunctionName=name, Payload="{}")
    records = records_of(f"/aws/lambda/{name}")
    said = [(one["level"], one["message"]) for one in records if "level" in one]
    assert said == [("INFO", "a b"), ("ERROR", {"order": 7})]
    assert "platform.runtimeDone" in [one.get("type") for one in records]


def test_levels_need_json(awslambda, deploy):
    name = deploy(PYTHON)
    with pytest.raises(ClientError) as problem:
        awslambda.update_function_configuration(FunctionName=name, LoggingConfig={"SystemLogLevel": "WARN"})
    assert problem.value.response["Error"]["Code"] == "InvalidParameterValueException"
    assert "LogLevel is not supported when LogFormat is set to" in problem.value.response["Error"]["Message"]


def test_active_tracing_samples(awslambda, deploy, logs):
    code = "import os\ndef handler(event, context): return os.environ['_X_AMZN_TRACE_ID']"
    name = deploy(code, TracingConfig={"Mode": "Active"})
    assert awslambda.get_function_configuration(FunctionName=name)["TracingConfig"] == {"Mode": "Active"}
    answer = awslambda.invoke(FunctionName=name, LogType="Tail")
    header = json.load(answer["Payload"])
    fields = dict(part.split("=") for part in header.split(";"))
    assert fields["Sampled"] == "1"

    def reported():
        try:
            events = logs.filter_log_events(logGroupName=f"/aws/lambda/{name}")["events"]
        except logs.exceptions.ResourceNotFoundException:
            return None
        return next((event["message"] for event in events if event["message"].startswith("REPORT")), None)

    line = eventually(reported)
    assert f"XRAY TraceId: {fields['Root']}\tSegmentId: {fields['Parent']}\tSampled: true" in line
