"""The `lambent` commands that users type beside a running cloud."""

import re
import subprocess
from pathlib import Path

import pytest

from cloud import REGION, ROOT_KEY, ROOT_SECRET, binary, environment, eventually


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


@pytest.mark.parametrize("words", [["fly"], ["up", "--no-such-option"], ["logs"], ["up", "--listen", "nowhere"]])
def test_wrong_words_are_explained(cloud, words):
    told = cloud.command(*words)
    assert told.returncode not in (0, 101)
    assert told.stderr.strip()
    assert "panicked" not in told.stderr


def test_version_and_help(cloud):
    assert re.match(r"lambent \d+\.\d+\.\d+", cloud.command("--version").stdout)
    told = cloud.command("--help").stdout
    for command in ("up", "env", "demo", "logs", "bill", "dead-letters", "doctor", "runtime"):
        assert re.search(rf"^\s+{command}\b", told, re.MULTILINE), command


def test_commands_without_a_running_cloud(new_cloud):
    for words in (["env"], ["logs", "x"], ["bill"]):
        told = new_cloud.command(*words)
        assert told.returncode not in (0, 101), words
        assert "lambent up" in told.stderr, (words, told.stderr)
