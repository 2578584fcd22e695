"""Other functions: their variables, memory, files and names. The victim is here too."""

import glob
import os
import socket
import subprocess
import sys
import urllib.error
import urllib.request

from raw import Refused, attempt, call

KEY = 0x1A3BE27
kept = []


def victim(event, context):
    """Spreads its secret over every place that processes of one machine can share; tells where it could."""
    secret = os.environ["SECRET"]
    kept.append(secret * 3)
    # A forked interpreter's variables are not those that it was executed with; a child's are.
    kept.append(subprocess.Popen(["/bin/sleep", "600"]))
    places = {
        "file in /tmp": lambda: open("/tmp/secret", "w").write(secret),
        "abstract socket": lambda: listen("\0" + secret),
        "socket file": lambda: listen("/tmp/socket"),
        "System V memory": lambda: call("shmget", KEY, 4096, 0o1666),
        "POSIX memory": lambda: open("/dev/shm/" + secret, "w"),
        "builtins": lambda: setattr(sys.modules["builtins"], "neighbour", secret),
        "process title": lambda: open("/proc/self/comm", "w").write(secret[:15]),
    }
    return {place: told(work) for place, work in places.items()}


def told(work):
    try:
        work()
    except OSError as error:
        return str(error)
    return "put"


def listen(name):
    one = socket.socket(socket.AF_UNIX)
    one.bind(name)
    one.listen()
    kept.append(one)


def hold(event, context):
    """Tells its request id, and runs until it is told that this is enough: meanwhile somebody can meddle."""
    import time

    import boto3

    s3 = boto3.client("s3")
    s3.put_object(Bucket=event["bucket"], Key="request", Body=context.aws_request_id)
    while not s3.list_objects_v2(Bucket=event["bucket"], Prefix="enough")["KeyCount"]:
        time.sleep(0.05)
    return "undisturbed"


@attempt
def variables(event):
    """Every process's variables that can be read, searched for the secret."""
    child = subprocess.Popen(["/bin/sleep", "60"])
    # It is executed before the kernel knows where its variables are.
    while not open(f"/proc/{child.pid}/environ", "rb").read():
        pass
    try:
        return search_variables(event)
    finally:
        child.kill()
        child.wait()


def search_variables(event):
    mine = b"planted=" + os.environ.get("PLANTED", "").encode()
    found, seen_own = [], False
    for path in glob.glob("/proc/[0-9]*/environ"):
        try:
            with open(path, "rb") as file:
                content = file.read()
        except OSError:
            continue
        seen_own |= len(content) > 0
        if event["secret"].encode() in content and mine not in content:
            found.append(path)
    assert seen_own, "one's own variables can be read"
    if not found:
        raise Refused("no process has it")
    return found


@attempt
def files(event):
    folders = ["/tmp", "/dev/shm", "/var/tmp", "/run", "/var/task", "/opt", "/dev/mqueue"]
    found = []
    for folder in folders:
        for where, _, names in os.walk(folder):
            found += [os.path.join(where, name) for name in names if holds(os.path.join(where, name), event["secret"])]
    if not found:
        raise Refused("no file has it")
    return found


def holds(path, secret):
    if secret in path:
        return True
    try:
        with open(path, "rb") as file:
            return secret.encode() in file.read(1 << 20)
    except OSError:
        return False


@attempt
def own_memory(event):
    """What an earlier function left in memory that this process was given: its halves are looked for apart, so
    that the search does not put the secret there itself."""
    halves = [half.encode() for half in event["halves"]]
    planted = bytes(halves[0][::-1] + b"-planted-" + halves[1][::-1])
    assert search(halves[0][::-1], b"-planted-"), "what is there would be found"
    del planted
    found = search(*halves)
    if not found:
        raise Refused("no memory has it")
    return found


def search(first, second):
    """Areas where the one comes right before the other."""
    found = []
    with open("/proc/self/maps") as maps, open("/proc/self/mem", "rb", buffering=0) as memory:
        for line in list(maps):
            span, permissions, *_ = line.split()
            if not permissions.startswith("r") or "[v" in line:
                continue
            start, end = (int(part, 16) for part in span.split("-"))
            if end - start > 1 << 28:
                continue
            try:
                memory.seek(start)
                content = memory.read(end - start) or b""
            except (OSError, OverflowError):
                continue
            at = content.find(first)
            while at >= 0:
                if content[at + len(first) : at + len(first) + len(second)] == second:
                    found.append(span)
                    break
                at = content.find(first, at + 1)
    return found


@attempt
def leftovers(event):
    """Modules and builtins that another function of the same interpreter changed."""
    import builtins

    found = [name for name in ("neighbour",) if hasattr(builtins, name)]
    found += [name for name, module in sys.modules.items() if str(getattr(module, "__file__", "")).startswith(event["of"])]
    if not found:
        raise Refused("none")
    return found


@attempt
def shared_memory(event):
    number = call("shmget", KEY, 0, 0o600)
    return call("shmat", number, None, 0)


@attempt
def answer_for(event):
    """Posts a result for an invocation of somebody else's."""
    url = f"http://{os.environ['AWS_LAMBDA_RUNTIME_API']}/2018-06-01/runtime/invocation/{event['request']}/{event['what']}"
    return post(url, b'"forged"')


@attempt
def take_another_event(event):
    """Asks for a further event while one runs: it could be somebody's."""
    return post(f"http://{os.environ['AWS_LAMBDA_RUNTIME_API']}/2018-06-01/runtime/invocation/next", None)


@attempt
def take_a_function(event):
    """Asks, as a runtime that waits for its function would, for the variables of one."""
    return post(f"http://{os.environ['AWS_LAMBDA_RUNTIME_API']}/2018-06-01/runtime/function", None)


def post(url, body):
    try:
        with urllib.request.urlopen(urllib.request.Request(url, data=body), timeout=3) as answer:
            return f"{answer.status} {answer.read()[:300]}"
    except urllib.error.HTTPError as error:
        raise Refused(f"status {error.code}")


@attempt
def unsigned(event):
    """The cloud's own paths without a signature."""
    with_url = os.environ.get("AWS_ENDPOINT_URL", event.get("endpoint"))
    return post(with_url + event["path"], None)


@attempt
def api(event):
    """Calls an API of the cloud with the function's own credentials."""
    import boto3
    from botocore.config import Config
    from botocore.exceptions import ClientError

    before = dict(os.environ)
    os.environ |= event.get("variables", {})
    # Read when the first client is made, and not again.
    boto3.DEFAULT_SESSION = None
    client = boto3.client(event["service"], config=Config(retries={"total_max_attempts": 1}), **event.get("client", {}))
    try:
        answer = getattr(client, event["action"])(**event["arguments"])
    except ClientError as error:
        raise Refused(error.response["Error"]["Code"])
    finally:
        os.environ |= before
    answer.pop("ResponseMetadata")
    return answer
