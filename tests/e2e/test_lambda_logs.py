"""What functions write goes to CloudWatch Logs, between AWS's own lines."""

import re

import pytest
from botocore.exceptions import ClientError

from cloud import eventually

UUID = r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"


@pytest.fixture
def lines_of(logs):
    """The messages of a function once `count` invocations have ended."""

    def lines_of(name, count=1):
        def ended():
            try:
                found = logs.filter_log_events(logGroupName=f"/aws/lambda/{name}")["events"]
            except ClientError as problem:
                assert problem.response["Error"]["Code"] == "ResourceNotFoundException"
                return None
            reports = [event for event in found if event["message"].startswith("REPORT ")]
            return found if len(reports) >= count else None

        return eventually(ended)

    return lines_of


def test_start_end_report(awslambda, deploy, lines_of):
    name = deploy("print('while loading')\ndef handler(event, context):\n    print('hello')\n    print('two\\nlines')")
    answer = awslambda.invoke(FunctionName=name)
    request = answer["ResponseMetadata"]["RequestId"]
    events = lines_of(name)
    messages = [event["message"] for event in events]
    starts = messages.index(f"START RequestId: {request} Version: $LATEST\n")
    assert "while loading\n" in messages[:starts]
    assert messages[starts + 1] == "hello\n"
    assert "".join(messages[starts + 2 : -2]) == "two\nlines\n"
    assert messages[-2] == f"END RequestId: {request}\n"
    number = r"\d+(\.\d+)?"
    assert re.fullmatch(
        rf"REPORT RequestId: {request}\tDuration: {number} ms\tBilled Duration: \d+ ms\tMemory Size: 128 MB\t"
        rf"Max Memory Used: \d+ MB\tInit Duration: {number} ms\t\n",
        messages[-1],
    )
    assert [event["timestamp"] for event in events] == sorted(event["timestamp"] for event in events)
    assert re.fullmatch(r"\d{4}/\d\d/\d\d/\[\$LATEST\][0-9a-f]{32}", events[0]["logStreamName"])


def test_the_logging_module(awslambda, deploy, lines_of):
    name = deploy(
        """
        import logging
        logger = logging.getLogger()
        logger.setLevel(logging.INFO)
        def handler(event, context):
            logger.info("an info")
            logger.debug("not seen")
            logging.warning("a %s", "warning")
        """
    )
    request = awslambda.invoke(FunctionName=name)["ResponseMetadata"]["RequestId"]
    messages = [event["message"] for event in lines_of(name)]
    time = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"
    assert any(re.fullmatch(rf"\[INFO\]\t{time}\t{request}\tan info\n?", message) for message in messages), messages
    assert any(re.fullmatch(rf"\[WARNING\]\t{time}\t{request}\ta warning\n?", message) for message in messages)
    assert not any("not seen" in message for message in messages)


def test_stderr_too(awslambda, deploy, lines_of):
    name = deploy("import sys\ndef handler(event, context): print('to stderr', file=sys.stderr)")
    awslambda.invoke(FunctionName=name)
    assert "to stderr\n" in [event["message"] for event in lines_of(name)]


def test_every_invocation_has_its_lines(awslambda, deploy, lines_of):
    name = deploy("def handler(event, context): print('number', event)")
    requests = [
        awslambda.invoke(FunctionName=name, Payload=str(number))["ResponseMetadata"]["RequestId"] for number in range(5)
    ]
    messages = [event["message"] for event in lines_of(name, count=5)]
    for number, request in enumerate(requests):
        start = messages.index(f"START RequestId: {request} Version: $LATEST\n")
        assert messages[start + 1 : start + 3] == [f"number {number}\n", f"END RequestId: {request}\n"]
    inits = [message for message in messages if "Init Duration" in message]
    assert len(inits) == 1, "only the first call has to load the function"


def test_a_timeout_is_written_down(awslambda, deploy, lines_of):
    name = deploy("import time\ndef handler(event, context):\n    print('begun')\n    time.sleep(60)", Timeout=1)
    request = awslambda.invoke(FunctionName=name)["ResponseMetadata"]["RequestId"]
    messages = [event["message"] for event in lines_of(name)]
    assert "begun\n" in messages
    assert any(f"{request} Task timed out after 1.00 seconds" in message for message in messages), messages
    assert re.search(UUID, messages[-1])


def test_an_error_is_written_down(awslambda, deploy, lines_of):
    name = deploy("def handler(event, context):\n    raise ValueError('some error occurred')")
    awslambda.invoke(FunctionName=name)
    message = next(event["message"] for event in lines_of(name) if "[ERROR]" in event["message"])
    plain = message.replace("\r", "\n").replace("\u00a0", " ")
    assert plain.startswith("[ERROR] ValueError: some error occurred\nTraceback (most recent call last):\n")
    assert 'File "/var/task/index.py", line 2, in handler' in plain
