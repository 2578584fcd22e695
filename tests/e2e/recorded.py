"""Answers recorded from AWS, and the comparison of ours with them.

A snapshot replaces what changes from run to run by a placeholder: `<name:1>`, or a word such as `datetime`.
"""

import json
import re
from functools import cache
from pathlib import Path

import pytest

from cloud import ACCOUNT

FOLDER = Path(__file__).resolve().parents[2].parent / "shared/data"

# Words that stand for any value in the snapshots.
ANYTHING = {
    "amz-id",
    "amz-request-id",
    "bucket",
    "code-sha256",
    "date",
    "datetime",
    "display-name",
    "function-url",
    "host-id",
    "i-d",
    "lambda-url",
    "log-result",
    "owner-id",
    "sequencer",
    "starting-sequence-number",
    "timestamp",
    "too-new-log-event-start-index",
    "too-old-log-event-end-index",
}
# AWS encrypts what it stores with keys of its own; we do not say that we do.
NOT_OURS = {"ServerSideEncryption"}
RECORDED_ACCOUNT = "111111111111"
PLACEHOLDER = re.compile(r"<[^<>]+>")


@cache
def _load(path):
    if not FOLDER.is_dir():
        pytest.skip(f"the recorded answers are not there: {FOLDER}")
    return json.loads((FOLDER / path).read_text())


def snapshot(file, test):
    """What AWS answered to the calls of one recorded test, by the name of the call."""
    for name, content in _load(f"aws-recorded/{file}.snapshot.json").items():
        if name.endswith(f"::{test}"):
            return content["recorded-content"]
    raise KeyError(f"{file} has no test {test}")


def tests(file):
    """The names of all recorded tests of a file, `Class::test`; none where the recorded answers are not there."""
    path = FOLDER / f"aws-recorded/{file}.snapshot.json"
    names = json.loads(path.read_text()) if path.is_file() else []
    return [name.split("::", 1)[1] for name in names]


def event(name):
    """An event as AWS sends it to a function."""
    return _load(f"lambda-events/powertools/{name}.json")


def assert_like(actual, expected, ignore=()):
    """Same members and same values, save the placeholders and the members in `ignore`."""
    differences = list(_differences(actual, expected, NOT_OURS | set(ignore), ""))
    assert not differences, "\n".join(differences)


def _differences(actual, expected, ignore, at):
    if isinstance(expected, dict):
        if not isinstance(actual, dict):
            yield f"{at}: {actual!r} is not like {expected!r}"
            return
        if at.endswith("/ResponseMetadata"):
            ours, theirs = actual.get("HTTPStatusCode"), expected.get("HTTPStatusCode")
            if ours != theirs:
                yield f"{at}: status {ours}, AWS has {theirs}"
            return
        for name in sorted((set(actual) | set(expected)) - ignore):
            if name not in actual:
                yield f"{at}/{name}: missing; AWS has {expected[name]!r}"
            elif name not in expected:
                yield f"{at}/{name}: {actual[name]!r}; AWS has no such member"
            else:
                yield from _differences(actual[name], expected[name], ignore, f"{at}/{name}")
    elif isinstance(expected, list):
        if not isinstance(actual, list) or len(actual) != len(expected):
            yield f"{at}: {actual!r} is not like {expected!r}"
            return
        for index, (ours, theirs) in enumerate(zip(actual, expected, strict=True)):
            yield from _differences(ours, theirs, ignore, f"{at}[{index}]")
    elif not _is_like(actual, expected):
        yield f"{at}: {actual!r}; AWS has {expected!r}"


def _is_like(actual, expected):
    if not isinstance(expected, str):
        return actual == expected
    if expected in ANYTHING or PLACEHOLDER.fullmatch(expected):
        return actual is not None
    if not isinstance(actual, str):
        return False
    text = expected.replace(RECORDED_ACCOUNT, ACCOUNT)
    pattern = "(?:.+)".join(re.escape(piece) for piece in PLACEHOLDER.split(text))
    return re.fullmatch(pattern, actual, re.DOTALL) is not None
