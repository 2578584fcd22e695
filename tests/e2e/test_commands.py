"""The `lambent` commands that users type beside a running cloud."""

import contextlib
import fcntl
import json
import os
import pty
import re
import signal
import struct
import subprocess
import termios
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from cloud import ACCOUNT, REGION, ROOT_KEY, ROOT_SECRET, binary, environment, eventually
from signing import send, signed


def test_env_is_for_eval(cloud):
    shown = cloud.command("env")
    assert shown.returncode == 0, shown.stderr
    script = (
        shown.stdout
        + '\nprintf "%s|" "$AWS_ACCESS_KEY_ID" "$AWS_SECRET_ACCESS_KEY" "$AWS_ENDPOINT_URL" "$AWS_DEFAULT_REGION"'
    )
    values = subprocess.run(["sh", "-eu", "-c", script], capture_output=True, text=True, check=True).stdout
    assert values.split("|")[:4] == [ROOT_KEY, ROOT_SECRET, cloud.endpoint, REGION]


def test_doctor_says_what_the_host_can_isolate(cloud):
    told = cloud.command("doctor")
    assert told.returncode in (0, 3), told.stderr
    for word in ("namespace", "cgroup", "seccomp", "landlock"):
        assert word in told.stdout.lower(), told.stdout


def test_logs(cloud, awslambda, deploy):
    name = deploy("def handler(event, context): print('said', event)")
    request = awslambda.invoke(FunctionName=name, Payload=b'"hello"')["ResponseMetadata"]["RequestId"]
    shown = eventually(
        lambda: (lambda told: told.stdout if "REPORT" in told.stdout else None)(cloud.command("logs", name))
    )
    assert "said hello" in shown
    assert f"START RequestId: {request} Version: $LATEST" in shown
    missing = cloud.command("logs", "no-such-function")
    assert missing.returncode != 0
    assert "no-such-function" in missing.stderr


def test_long_logs_are_printed_page_by_page(cloud, awslambda, deploy):
    """Forty megabytes of them, without holding them all."""
    name = deploy(
        "def handler(event, context):\n    for n in range(40_000): print(f'{n:05}', 'x' * 1000)", Timeout=60, MemorySize=512
    )
    awslambda.invoke(FunctionName=name)
    eventually(lambda: "REPORT" in cloud.command("logs", name).stdout[-2000:])
    lines, peak = [], 0
    with subprocess.Popen(
        [binary(), "logs", name], cwd=cloud.folder, env=environment(), stdout=subprocess.PIPE
    ) as printing:
        for line in printing.stdout:
            if line.endswith(b"x\n"):
                lines.append(line.split()[1])
                if len(lines) == 35_000:
                    status = Path(f"/proc/{printing.pid}/status").read_text()
                    peak = int(re.search(r"VmHWM:\s+(\d+) kB", status).group(1))
    assert printing.returncode == 0
    assert lines == [f"{n:05}".encode() for n in range(40_000)]
    assert 0 < peak < 40 * 1024, f"{peak} KiB"


def test_logs_can_be_followed(cloud, awslambda, deploy):
    name = deploy("def handler(event, context): print('said', event)")
    awslambda.invoke(FunctionName=name, Payload=b"1")
    eventually(lambda: "said 1" in cloud.command("logs", name).stdout)
    follower = subprocess.Popen(
        [binary(), "logs", name, "--follow"], cwd=cloud.folder, env=environment(), stdout=subprocess.PIPE, text=True
    )
    try:
        seen = iter(follower.stdout.readline, "")
        assert any("said 1" in line for line in seen)
        awslambda.invoke(FunctionName=name, Payload=b"2")
        assert any("said 2" in line for line in seen)
    finally:
        follower.kill()
        follower.wait()


def test_bill(cloud, awslambda, deploy):
    name = deploy("def handler(event, context): return event", MemorySize=512)
    for _ in range(7):
        awslambda.invoke(FunctionName=name)

    def line():
        told = cloud.command("bill")
        assert told.returncode == 0, told.stderr
        return next((line for line in told.stdout.splitlines() if name in line and re.search(r"\b7\b", line)), None)

    assert eventually(line)
    assert "GB" in cloud.command("bill").stdout


def test_invocations(cloud, awslambda, deploy):
    """Which call failed, which was slow, and where its lines are."""
    name = deploy(
        """
        import time
        class Refused(Exception): pass
        def handler(event, context):
            if event == "fail": raise Refused("no")
            if event == "slow": time.sleep(0.25)
            return event
        """
    )
    other = deploy("def handler(event, context): return event")
    requests = []
    for event in ("first", "fail", "slow", "last"):
        answer = awslambda.invoke(FunctionName=name, Payload=json.dumps(event))
        requests.append(answer["ResponseMetadata"]["RequestId"])
    awslambda.invoke(FunctionName=other, Payload=b"1")
    first, failed, slow, last = requests

    def listed(*words):
        told = cloud.command("invocations", name, "--json", *words)
        assert told.returncode == 0, told.stderr
        return json.loads(told.stdout)

    records = eventually(lambda: listed() if len(listed()) == 4 else None)
    assert [record["request_id"] for record in records] == [last, slow, failed, first]
    assert [record["cold_start"] for record in records] == [False, False, False, True]
    assert records[3]["init_us"] > 0 and "init_us" not in records[0]
    assert all(record["function"] == name and record["billed_ms"] >= 1 for record in records)
    assert [record["request_id"] for record in listed("--limit", "2")] == [last, slow]
    too_many = cloud.command("invocations", name, "--slow", "--limit", "5000")
    assert (too_many.returncode, too_many.stdout) == (2, "") and "1000" in too_many.stderr
    (failure,) = listed("--failed")
    assert (failure["request_id"], failure["outcome"], failure["error_type"]) == (failed, "function-error", "Refused")
    assert slow in [record["request_id"] for record in listed("--slow", "--limit", "2")]
    assert [record["request_id"] for record in listed("--slow", "--failed")] == [failed]
    logs = cloud.client("logs")
    lines = eventually(
        lambda: logs.get_log_events(logGroupName=f"/aws/lambda/{name}", logStreamName=failure["log_stream"])["events"]
    )
    assert any(failed in line["message"] for line in lines)

    shown = cloud.command("invocations", name, "--failed")
    assert shown.returncode == 0 and "Refused" in shown.stdout and failed in shown.stdout
    assert len(shown.stdout.splitlines()) == 2
    broken = deploy("raise ImportError('no')")
    awslambda.invoke(FunctionName=broken)
    record = eventually(lambda: json.loads(cloud.command("invocations", broken, "--json").stdout))[0]
    assert (record["cold_start"], record["outcome"], "init_us" in record) == (True, "function-error", False)
    nothing = cloud.command("invocations", "no-such-function")
    assert (nothing.returncode, nothing.stdout) == (0, "") and "no-such-function" in nothing.stderr


def top_row(cloud, name):
    told = cloud.command("top", "--json")
    assert told.returncode == 0, told.stderr
    return next((row for row in json.loads(told.stdout)["functions"] if row["function"] == name), None)


# Goes on for as long as its bucket is empty.
STAYS_BUSY = """
    import time, boto3
    s3 = boto3.client("s3")
    def handler(event, context):
        time.sleep(0.001)
        while event and "Contents" not in s3.list_objects_v2(Bucket=event):
            time.sleep(0.05)
"""


def test_top(cloud, awslambda, s3, bucket, deploy):
    name = deploy(STAYS_BUSY, MemorySize=256, Timeout=60)
    for _ in range(3):
        awslambda.invoke(FunctionName=name, Payload=b'""')
    # Costs are some seconds old.
    row = eventually(lambda: (lambda row: row if row and row["requests"] == 3 else None)(top_row(cloud, name)))
    assert (row["warm"], row["busy"], row["cold_starts"], row["throttles"]) == (1, 0, 1, 0)
    assert 1 <= row["p50_ms"] <= row["p99_ms"]
    assert row["memory_bytes"] > 1 << 20 and row["cost_nano_usd"] > 3 * 200
    with ThreadPoolExecutor() as pool:
        call = pool.submit(awslambda.invoke, FunctionName=name, Payload=json.dumps(bucket))
        try:
            assert eventually(lambda: top_row(cloud, name)["busy"] == 1)
        finally:
            s3.put_object(Bucket=bucket, Key="enough")
        assert "FunctionError" not in call.result()
    shown = cloud.command("top")
    line = next(line for line in shown.stdout.splitlines() if line.startswith(name))
    assert re.search(r"\d ms +\d.* MiB +0 +\$0\.0", line), line
    assert "\x1b" not in shown.stdout


@contextlib.contextmanager
def watched_top(cloud):
    """`lambent top` on a terminal: its process, and the terminal's other end."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 50, 200, 0, 0))
    watching = subprocess.Popen(
        [binary(), "top"], cwd=cloud.folder, env=environment(), stdin=theirs, stdout=theirs, start_new_session=True
    )
    os.close(theirs)
    try:
        yield watching, ours
    finally:
        watching.kill()
        watching.wait()
        os.close(ours)


def read_until(terminal, enough):
    """What is drawn from now on, until there is enough of it."""
    seen, ends = "", time.monotonic() + 60
    while not enough(seen):
        assert time.monotonic() < ends, seen[-2000:]
        seen += os.read(terminal, 65536).decode()
    return seen


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_top_is_drawn_again_and_again_on_a_terminal(cloud, awslambda, deploy, number):
    name = deploy("def handler(event, context): return event")
    awslambda.invoke(FunctionName=name)
    with watched_top(cloud) as (watching, terminal):
        seen = read_until(terminal, lambda seen: seen.count("\x1b[H") >= 3)
        assert seen.startswith("\x1b[?1049h") and seen.count(name) >= 2
        watching.send_signal(number)
        # Reading from a terminal whose other end is closed fails.
        with contextlib.suppress(OSError):
            while more := os.read(terminal, 65536).decode():
                seen += more
        assert watching.wait(10) == 130
        assert seen.endswith("\x1b[?25h\x1b[?1049l")


def test_top_waits_for_a_cloud_that_is_started_again(own_cloud):
    own_cloud.start()
    with watched_top(own_cloud) as (watching, terminal):
        read_until(terminal, lambda seen: "FUNCTION" in seen)
        assert own_cloud.stop() == 0
        read_until(terminal, lambda seen: "error: " in seen and "FUNCTION" in seen)
        own_cloud.start()
        read_until(terminal, lambda seen: re.search(r"\x1b\[H\d{12} in [^\x1b]*", seen))
        assert watching.poll() is None


@pytest.mark.parametrize(
    ("path", "action"),
    [
        ("/_lambent/invocations?function=f", "lambent:ListInvocations"),
        ("/_lambent/top", "lambent:GetTop"),
    ],
)
def test_policies_decide_who_sees_what_ran(cloud, iam, sts, unique, path, action):
    role = f"arn:aws:iam::{ACCOUNT}:role/{unique('watcher')}"
    name = role.rpartition("/")[2]
    trust = {"Effect": "Allow", "Principal": {"AWS": f"arn:aws:iam::{ACCOUNT}:root"}, "Action": "sts:AssumeRole"}
    iam.create_role(
        RoleName=name, AssumeRolePolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [trust]})
    )
    lent = sts.assume_role(RoleArn=role, RoleSessionName="session")["Credentials"]
    keys = {"key": lent["AccessKeyId"], "secret": lent["SecretAccessKey"], "token": lent["SessionToken"]}

    def status(headers):
        return send(cloud, "GET", path, headers=headers).status

    assert status({}) == 403
    assert status(signed(cloud, "lambent", "GET", path, **keys)) == 403
    allowed = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": action, "Resource": "*"}]}
    iam.put_role_policy(RoleName=name, PolicyName="watch", PolicyDocument=json.dumps(allowed))
    assert status(signed(cloud, "lambent", "GET", path, **keys)) == 200


@pytest.mark.parametrize("query", ["", "?function=", "?function=f&limit=0", "?function=f&limit=1001", "?function=f&before=x"])
def test_wrong_questions_for_invocations_are_refused(cloud, query):
    path = "/_lambent/invocations" + query
    answer = send(cloud, "GET", path, headers=signed(cloud, "lambent", "GET", path))
    assert answer.status == 400 and b"ValidationException" in answer.body


@pytest.mark.parametrize("words", [["fly"], ["up", "--no-such-option"], ["logs"], ["invocations", "a b"], ["up", "--listen", "nowhere"]])
def test_wrong_words_are_explained(cloud, words):
    told = cloud.command(*words)
    assert told.returncode not in (0, 101)
    assert told.stderr.strip()
    assert "panicked" not in told.stderr


def test_version_and_help(cloud):
    assert re.match(r"lambent \d+\.\d+\.\d+", cloud.command("--version").stdout)
    told = cloud.command("--help").stdout
    for command in ("up", "env", "demo", "logs", "invocations", "top", "bill", "dead-letters", "doctor", "runtime"):
        assert re.search(rf"^\s+{command}\b", told, re.MULTILINE), command


def test_commands_without_a_running_cloud(new_cloud):
    for words in (["env"], ["logs", "x"], ["bill"], ["invocations", "x"], ["top"]):
        told = new_cloud.command(*words)
        assert told.returncode not in (0, 101), words
        assert "lambent up" in told.stderr, (words, told.stderr)
