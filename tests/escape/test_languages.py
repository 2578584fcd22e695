"""The ways out that Node.js, the shell and the loader have of their own."""

import base64
import json
import re
import socket
import subprocess
from pathlib import Path

import pytest

import packages
from cloud import eventually
from conftest import answer_of

HERE = Path(__file__).parent

NODE = {
    "read shadow": "ENOENT",
    "read the secret": "ENOENT",
    "list the data": "ENOENT",
    "write its bootstrap": "EROFS|EACCES",
    "write its code": "EROFS|EACCES",
    "become root": "EPERM|EINVAL",
    "kill process 1": "EPERM",
    "kill the daemon": "ESRCH",
    "debug process 1": "EPERM|.*kill EPERM.*|.*Operation not permitted.*",
    "debug the daemon": "ESRCH|.*kill ESRCH.*|.*No such process.*",
    "raise its priority": "ERR_SYSTEM_ERROR",
    "the host by loopback": "ECONNREFUSED",
    "an abstract socket": "ECONNREFUSED",
    "metadata": "ENETUNREACH",
    "unshare": "Function not implemented",
    "mount": "must be superuser to use mount.*|Function not implemented.*|permission denied.*|.*failed to setup.*",
    "processes": "none but its own",
}


@pytest.fixture
def listening():
    """Two services of the host's, which the host reaches."""
    name = "lambent-escape-node"
    with socket.create_server(("127.0.0.1", 0)) as server, socket.socket(socket.AF_UNIX) as unix:
        unix.bind("\0" + name)
        unix.listen()
        port = server.getsockname()[1]
        socket.create_connection(("127.0.0.1", port)).close()
        yield {"port": port, "name": name}


def test_node(awslambda, deploy, host, listening):
    code = {"index.mjs": (HERE / "attempts" / "node_attempts.mjs").read_bytes()}
    name = deploy(packages.package(code), Runtime="nodejs20.x", MemorySize=1769)
    seen = answer_of(awslambda.invoke(FunctionName=name, Payload=json.dumps({**host, **listening})))
    assert set(seen) == set(NODE)
    wrong = {what: got for what, got in seen.items() if not re.fullmatch(NODE[what], got, re.DOTALL)}
    assert not wrong


# What the shell tries, and the last words of what it is told.
SHELL = {
    "cat /etc/shadow": "No such file or directory",
    "cat {secret}": "No such file or directory",
    "ls {data}": "No such file or directory",
    "ls /root": "No such file or directory",
    "cat /proc/1/environ": "No such file or directory|Permission denied",
    "ls /proc/1/root/": "No such file or directory|Permission denied",
    "kill -9 1": "Operation not permitted",
    "kill -9 {pid}": "No such process",
    "unshare --user true": "Function not implemented",
    "unshare --mount true": "Function not implemented",
    "nsenter --target 1 --all true": "No such file or directory|Permission denied",
    "chroot / true": "Function not implemented|command not found",
    "mknod /tmp/memory c 1 1": "Operation not permitted",
    "chown 0 /tmp": "Operation not permitted|Invalid argument",
    "chmod 777 /dev/null": "Operation not permitted",
    "ln /etc/passwd /tmp/passwd": "Invalid cross-device link|Permission denied|Operation not permitted",
    "touch /etc/ld.so.preload": "Read-only file system|Permission denied",
    "cp /bin/true /usr/bin/false": "Read-only file system|Permission denied",
    "rm /var/task/bootstrap": "Read-only file system|Permission denied",
    "ulimit -n 100000": "Operation not permitted",
    "ulimit -c unlimited": "Operation not permitted",
    "exec 5<>/dev/tcp/127.0.0.1/{port}": "Connection refused",
    "exec 5<>/dev/tcp/169.254.169.254/80": "Network is unreachable",
    "exec 5<>/dev/tcp/1.1.1.1/53": "Network is unreachable",
    "echo 1 > /proc/sys/kernel/sysrq": "Read-only file system|Permission denied|No such file or directory",
    "echo -1000 > /proc/self/oom_score_adj": "Read-only file system|Permission denied",
    "cat /dev/kmsg": "No such file or directory",
    "cat /sys/kernel/notes": "No such file or directory",
    "setpriv --reuid 0 true": "Operation not permitted|Invalid argument|Function not implemented",
    "chrt --fifo 1 true": "Operation not permitted|Function not implemented",
}

BOOTSTRAP = """#!/bin/bash
api="http://$AWS_LAMBDA_RUNTIME_API/2018-06-01/runtime/invocation"
while true; do
  id=$(curl -sS -o /tmp/event -D - "$api/next" | grep -Fi Lambda-Runtime-Aws-Request-Id | tr -d '[:space:]' | cut -d: -f2)
  : > /tmp/told
  while IFS= read -r line; do
    if told=$(bash -c "$line" 2>&1); then told="succeeded: $told"; fi
    printf '%s\\n' "$(printf '%s' "$told" | tr '\\n' ' ')" >> /tmp/told
  done < /var/task/commands
  base64 -w0 /tmp/told | sed 's/.*/"&"/' | curl -sS -o /dev/null --data-binary @- "$api/$id/response"
done
"""


def test_the_shell(awslambda, deploy, host, listening):
    """A runtime of its own: `provided`, whose first process is already the function's."""
    commands = {command.format(**host, **listening): words for command, words in SHELL.items()}
    files = {"bootstrap": BOOTSTRAP, "commands": "echo fine\n" + "".join(f"{command}\n" for command in commands)}
    code = packages.package(files, {"bootstrap": 0o755})
    name = deploy(code, Runtime="provided.al2023", Handler="any", MemorySize=1769, Timeout=30)
    answer = answer_of(awslambda.invoke(FunctionName=name))
    control, *told = base64.b64decode(answer).decode().splitlines()
    assert control == "succeeded: fine"
    assert len(told) == len(commands)
    wrong = {
        command: got
        for (command, words), got in zip(commands.items(), told, strict=True)
        if not re.search(f"({words})[.]? ?$", got)
    }
    assert not wrong


@pytest.fixture(scope="module")
def early(tmp_path_factory):
    library = tmp_path_factory.mktemp("early") / "early.so"
    subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-o", library, HERE / "early.c"], check=True)
    return library.read_bytes()


EARLY_NODE = """
const fs = require('node:fs');
const wanted = /^(CapPrm|NoNewPrivs|Seccomp):/;
const lines = fs.readFileSync('/proc/self/status', 'utf8').split('\\n').filter((line) => wanted.test(line));
fs.writeSync(1, `early: user ${process.getuid()} ${lines.join(' ')}\\n`);
"""
SAY = "early: user (\\d+) CapPrm:\\s+(\\w+) NoNewPrivs:\\s+(\\d) Seccomp:\\s+(\\d)"
ANSWER_ONE = """#!/bin/bash
api="http://$AWS_LAMBDA_RUNTIME_API/2018-06-01/runtime/invocation"
while true; do
  id=$(curl -sS -o /dev/null -D - "$api/next" | grep -Fi Lambda-Runtime-Aws-Request-Id | tr -d '[:space:]' | cut -d: -f2)
  curl -sS -o /dev/null -d 1 "$api/$id/response"
done
"""
RUNTIMES = {
    "python": ({"index.py": "def handler(event, context): return 1"}, {"Runtime": "python3.13"}),
    "node": ({"index.mjs": "export const handler = async () => 1;"}, {"Runtime": "nodejs20.x"}),
    "shell": ({"bootstrap": ANSWER_ONE}, {"Runtime": "provided.al2023"}),
}


@pytest.mark.parametrize("kind", RUNTIMES)
def test_code_before_the_fences(awslambda, logs, deploy, early, kind):
    """Variables make the loader, Node.js and the shell run code of the function's before all other: also then it must
    stand inside every fence. A runtime that was started ahead may ignore them; a runtime of the function's own cannot."""
    files, settings = RUNTIMES[kind]
    files = {**files, "early.so": early, "early.cjs": EARLY_NODE}
    code = packages.package(files, {"bootstrap": 0o755})
    variables = {"LD_PRELOAD": "/var/task/early.so", "NODE_OPTIONS": "--require=/var/task/early.cjs"}
    name = deploy(code, Environment={"Variables": variables}, MemorySize=1769, **settings)
    answer = awslambda.invoke(FunctionName=name)
    assert answer_of(answer) == 1
    said = re.findall(SAY, log_of(logs, name))
    assert said or kind != "shell"
    for user, capabilities, no_new_privileges, filtered in said:
        assert int(user) != 0
        assert (int(capabilities, 16), no_new_privileges, filtered) == (0, "1", "2")


def log_of(logs, name):
    def whole():
        groups = logs.describe_log_groups(logGroupNamePrefix=f"/aws/lambda/{name}")["logGroups"]
        events = logs.filter_log_events(logGroupName=groups[0]["logGroupName"])["events"] if groups else []
        text = "".join(event["message"] for event in events)
        return text if "REPORT RequestId" in text else None

    return eventually(whole)
