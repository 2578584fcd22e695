"""SnapStart: a published version is loaded once, and its environments are forked from that."""

import json
from concurrent.futures import ThreadPoolExecutor

import packages
from test_lambda_functions import wait_updated

CODE = """
    import os, random, time, uuid
    from snapshot_restore_py import register_after_restore, register_before_snapshot

    hooks = []
    register_before_snapshot(hooks.append, "before")
    register_after_restore(hooks.append, "after")
    loaded = uuid.uuid4().hex

    def handler(event, context):
        time.sleep(event["sleep"])
        return {
            "loaded": loaded, "own": uuid.uuid4().hex, "number": random.random(), "hooks": hooks,
            "version": context.function_version, "type": os.environ["AWS_LAMBDA_INITIALIZATION_TYPE"],
        }
"""


def call(awslambda, name, qualifier, sleep=0):
    payload = json.dumps({"sleep": sleep})
    answer = awslambda.invoke(FunctionName=name, Qualifier=qualifier, Payload=payload, LogType="Tail")
    assert "FunctionError" not in answer, answer["Payload"].read()
    return json.load(answer["Payload"])


def test_versions_start_from_a_snapshot(awslambda, role, unique):
    name = unique("function")
    awslambda.create_function(
        FunctionName=name, Runtime="python3.12", Handler="index.handler", Role=role, Timeout=10,
        Code={"ZipFile": packages.python(CODE)}, SnapStart={"ApplyOn": "PublishedVersions"},
    )  # fmt: skip
    wait_updated(awslambda, name)
    published = awslambda.publish_version(FunctionName=name)
    assert published["SnapStart"] == {"ApplyOn": "PublishedVersions", "OptimizationStatus": "On"}

    first = call(awslambda, name, "1")
    assert first["version"] == "1" and first["type"] == "snap-start"
    assert first["hooks"] == ["before", "after"]
    with ThreadPoolExecutor(4) as callers:
        answers = list(callers.map(lambda _: call(awslambda, name, "1", sleep=1), range(4)))
    assert {answer["loaded"] for answer in answers} == {first["loaded"]}, "it was loaded once"
    assert len({answer["own"] for answer in answers}) == len({answer["number"] for answer in answers}) == 4
    assert all(answer["hooks"] == ["before", "after"] for answer in answers)

    latest = call(awslambda, name, "$LATEST")
    assert latest["type"] == "on-demand" and latest["hooks"] == [] and latest["loaded"] != first["loaded"]
