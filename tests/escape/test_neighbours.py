"""Two functions side by side: neither finds the other's secrets, nor speaks in its name."""

import json
import uuid
from concurrent.futures import ThreadPoolExecutor

import pytest

from cloud import eventually
from conftest import SETTINGS, answer_of, attempts_package
from end_to_end import make_role


@pytest.fixture(scope="module")
def victim(cloud, role):
    """A function whose secret lies wherever a neighbour might look, and which stays warm."""
    client = cloud.client("lambda")
    name, secret = f"victim-{uuid.uuid4().hex[:8]}", uuid.uuid4().hex + uuid.uuid4().hex
    client.create_function(
        FunctionName=name,
        Code={"ZipFile": attempts_package()},
        Runtime="python3.13",
        Handler="neighbours.victim",
        Role=role,
        Timeout=20,
        Environment={"Variables": {"SECRET": secret}},
    )
    client.get_waiter("function_active_v2").wait(FunctionName=name, WaiterConfig={"Delay": 0.02})
    places = answer_of(client.invoke(FunctionName=name))
    yield {"name": name, "secret": secret, "places": places}
    client.delete_function(FunctionName=name)


def test_where_a_secret_can_be_put(victim):
    """What the searches below look through: places of its own take it, places shared with others do not exist."""
    own = ["abstract socket", "builtins", "file in /tmp", "socket file"]
    assert [place for place, told in sorted(victim["places"].items()) if told == "put"] == own
    assert "Function not implemented" in victim["places"]["System V memory"]
    assert "No such file" in victim["places"]["POSIX memory"]


SEARCHES = {
    "neighbours.variables": "no process has it",
    "neighbours.files": "no file has it",
    "neighbours.own_memory": "no memory has it",
    "neighbours.leftovers": "none",
    "neighbours.shared_memory": "ENOSYS",
    "network.sockets_of_others": "none but its own",
}


@pytest.mark.parametrize(("name", "refusal"), SEARCHES.items(), ids=list(SEARCHES))
def test_searching_for_a_secret(attempt, victim, name, refusal):
    secret = victim["secret"]
    event = {"halves": [secret[:32], secret[32:]], "of": "/var/task/neighbours.py"}
    if name != "neighbours.own_memory":
        event = {"secret": secret, "of": "/nowhere"}
    assert attempt(name, event) == {"refused": refusal}


def test_the_searches_find_ones_own(awslambda, deploy):
    """The same searches for a secret that is there."""
    secret = uuid.uuid4().hex + uuid.uuid4().hex
    code = attempts_package()
    settings = {"Environment": {"Variables": {"SECRET": secret}}, **SETTINGS}
    for handler in ("neighbours.variables", "neighbours.own_memory"):
        name = deploy(code, Handler=handler, **settings)
        event = {"secret": secret, "halves": [secret[:32], secret[32:]]}
        answer = answer_of(awslambda.invoke(FunctionName=name, Payload=json.dumps(event)))
        assert "succeeded" in answer, handler


def test_a_socket_of_the_neighbours(attempt, victim):
    """Abstract names belong to a network namespace, files to a mount namespace."""
    assert attempt("network.abstract_socket", {"name": victim["secret"]}) == {"refused": "ECONNREFUSED"}
    assert attempt("network.socket_file", {"path": "/tmp/socket"}) == {"refused": "ENOENT"}


@pytest.mark.parametrize("what", ["response", "error"])
def test_answering_for_a_neighbour(cloud, s3, deploy, attempt, unique, what):
    """The neighbour's invocation is known by its id, and runs; the forged answer must not reach it."""
    bucket = unique("bucket")
    s3.create_bucket(Bucket=bucket)
    name = deploy(attempts_package(), Handler="neighbours.hold", **SETTINGS)
    with ThreadPoolExecutor(1) as worker:
        event = json.dumps({"bucket": bucket, "seconds": 1})
        client = cloud.client("lambda")
        running = worker.submit(lambda: client.invoke(FunctionName=name, Payload=event))
        request = eventually(lambda: read_object(s3, bucket, "request"))
        refusal = attempt("neighbours.answer_for", {"request": request, "what": what})
        assert refusal in ({"refused": "status 400"}, {"refused": "status 403"})
        assert not running.done()
        s3.put_object(Bucket=bucket, Key="enough", Body=b"")
        assert answer_of(running.result()) == "undisturbed"


def read_object(s3, bucket, key):
    try:
        return s3.get_object(Bucket=bucket, Key=key)["Body"].read().decode()
    except s3.exceptions.NoSuchKey:
        return None


def test_asking_for_more_than_its_own_event(attempt):
    """Who asks again before it has answered is given the same event again, as on AWS, and no other."""
    assert "its own" in attempt("neighbours.take_another_event", {"event": "its own"})["succeeded"]


def test_asking_for_a_function(attempt):
    """Only a runtime that has none yet is given one: a function cannot ask for the variables of the next."""
    assert attempt("neighbours.take_a_function", {})["refused"] in ("status 403", "status 404")


PATHS = ["/_lambent/export", "/_lambent/pin?id=00", "/_lambent/bill?month=2026-01", "/_lambent/dead-letters"]


@pytest.mark.parametrize("path", [*PATHS, "/2015-03-31/functions/", "/"])
def test_the_clouds_own_paths_without_a_signature(attempt, path):
    assert attempt("neighbours.unsigned", {"path": path}) == {"refused": "status 403"}
    if path == PATHS[0]:
        assert "succeeded" in attempt("neighbours.unsigned", {"path": "/_lambent/health"})


@pytest.fixture(scope="module")
def bare_role(iam):
    """A role that may do nothing but ask who it is."""
    return make_role(iam, f"bare-{uuid.uuid4().hex[:8]}", [])


@pytest.fixture(scope="module")
def acting(awslambda, role, bare_role):
    """Two functions that call APIs as they are told: one may do nothing, the other everything."""
    names = {"bare": f"bare-{uuid.uuid4().hex[:8]}", "mighty": f"mighty-{uuid.uuid4().hex[:8]}"}
    for kind, name in names.items():
        code = {"Code": {"ZipFile": attempts_package()}, "Runtime": "python3.13", "Handler": "neighbours.api"}
        awslambda.create_function(FunctionName=name, Role=role if kind == "mighty" else bare_role, **code, **SETTINGS)
        awslambda.get_waiter("function_active_v2").wait(FunctionName=name, WaiterConfig={"Delay": 0.02})
    yield names
    for name in names.values():
        awslambda.delete_function(FunctionName=name)


class TestCredentials:
    """What a function may do is its role's, whatever it says of itself."""

    @pytest.fixture
    def call(self, awslambda, acting):
        """Calls an API from the function with the bare role, or with the mighty one; gives its name, too."""

        def call(service, action, arguments, mighty=False, **event):
            event |= {"service": service, "action": action, "arguments": arguments}
            name = acting["mighty" if mighty else "bare"]
            return answer_of(awslambda.invoke(FunctionName=name, Payload=json.dumps(event))), name

        return call

    def denied(self, call, *what, **event):
        """Refused to the bare role; the same call with a role that may do everything comes further."""
        assert call(*what, **event)[0] == {"refused": "AccessDeniedException" if what[0] == "lambda" else "AccessDenied"}
        answer, _ = call(*what, mighty=True, **event)
        assert "AccessDenied" not in answer.get("refused", ""), answer

    def test_calling_another_function(self, call, victim):
        self.denied(call, "lambda", "invoke", {"FunctionName": victim["name"]})

    def test_reading_another_functions_variables(self, call, victim):
        self.denied(call, "lambda", "get_function_configuration", {"FunctionName": victim["name"]})

    def test_giving_another_function_variables(self, call, deploy):
        name = deploy("def handler(event, context): pass")
        setting = {"FunctionName": name, "Environment": {"Variables": {"LD_PRELOAD": "/tmp/x"}}}
        self.denied(call, "lambda", "update_function_configuration", setting)

    def test_making_a_function_with_a_mightier_role(self, call, role):
        made = {"FunctionName": "escaped", "Runtime": "python3.13", "Handler": "x.y", "Role": role}
        self.denied(call, "lambda", "create_function", {**made, "Code": {"S3Bucket": "none-there", "S3Key": "k"}})

    def test_reading_a_bucket(self, call, s3, unique):
        bucket = unique("bucket")
        s3.create_bucket(Bucket=bucket)
        self.denied(call, "s3", "list_objects_v2", {"Bucket": bucket})

    def test_reading_anothers_log(self, call, logs, victim):
        group = f"/aws/lambda/{victim['name']}"
        eventually(lambda: logs.describe_log_groups(logGroupNamePrefix=group)["logGroups"])
        answer, _ = call("logs", "filter_log_events", {"logGroupName": group})
        assert answer == {"refused": "AccessDeniedException"}
        assert "refused" not in call("logs", "filter_log_events", {"logGroupName": group}, mighty=True)[0]

    def test_giving_its_role_more_rights(self, call, bare_role):
        policy = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "sts:GetCallerIdentity", "Resource": "*"}]}
        more = {"RoleName": bare_role.rsplit("/", 1)[1], "PolicyName": "more", "PolicyDocument": json.dumps(policy)}
        self.denied(call, "iam", "put_role_policy", more)

    def test_taking_a_mightier_role(self, call, role):
        """The role trusts the platform alone: not even a role that may do everything can take it."""
        what = ("sts", "assume_role", {"RoleArn": role, "RoleSessionName": "escape"})
        assert call(*what)[0] == {"refused": "AccessDenied"}
        assert call(*what, mighty=True)[0] == {"refused": "AccessDenied"}

    def test_giving_itself_another_name(self, call, victim):
        """The name comes with the credentials, not from what the function says of itself."""
        said = {"AWS_LAMBDA_FUNCTION_NAME": victim["name"], "AWS_LAMBDA_FUNCTION_VERSION": "9"}
        answer, name = call("sts", "get_caller_identity", {}, variables=said)
        assert f":assumed-role/bare-" in answer["succeeded"] and f"/{name}'" in answer["succeeded"], answer
        assert victim["name"] not in answer["succeeded"]

    def test_signing_with_half_of_its_credentials(self, call):
        """Temporary keys are worth nothing without their token."""
        answer, _ = call("sts", "get_caller_identity", {}, variables={"AWS_SESSION_TOKEN": ""})
        assert answer["refused"] in ("InvalidClientTokenId", "UnrecognizedClientException"), answer

    def test_the_operators_name(self, call):
        """A known key id with a guessed secret."""
        keys = {"aws_access_key_id": "AKIALAMBENTENDTOEND0", "aws_secret_access_key": "guessed"}
        assert call("iam", "list_users", {}, client=keys)[0] == {"refused": "SignatureDoesNotMatch"}


def test_every_environment_has_a_user_of_its_own(cloud, awslambda, deploy):
    """Alive at the same time, two of one function and one of another: three users of the host, none of them root."""
    code = '''
        import os, time
        def handler(event, context):
            time.sleep(1)
            inside = os.getuid()
            for line in open("/proc/self/uid_map"):
                first, outside, count = map(int, line.split())
                if first <= inside < first + count:
                    links = {name: os.readlink(f"/proc/self/ns/{name}") for name in os.listdir("/proc/self/ns")}
                    return {"user": outside + inside - first, "namespaces": links}
    '''
    names = [deploy(code), deploy(code)]
    with ThreadPoolExecutor(3) as pool:
        client = cloud.client("lambda")
        called = [pool.submit(client.invoke, FunctionName=name) for name in (names[0], names[0], names[1])]
        seen = [answer_of(one.result()) for one in called]
    users = [one["user"] for one in seen]
    assert len(set(users)) == 3 and min(users) > 1_000_000, users
    for kind in ("user", "pid", "mnt", "net", "ipc", "uts", "cgroup"):
        assert len({one["namespaces"][kind] for one in seen}) == 3, kind


def test_what_one_function_does_to_its_interpreter(awslambda, deploy):
    """Modules and builtins that a function changes are not the next function's, though both come from one interpreter."""
    spoil = '''
        import builtins, json, os, sys
        json.dumps = lambda *a, **k: '"spoilt"'
        builtins.open = None
        sys.modules["base64"] = None
        os.environ["SPOILT"] = "yes"
        os.getpid = lambda: 1
        def handler(event, context): return 1
    '''
    check = '''
        import base64, builtins, json, os, sys
        def handler(event, context):
            return {"json": json.dumps([1]), "open": callable(open), "environ": "SPOILT" in os.environ, "pid": os.getpid()}
    '''
    for _ in range(2):
        assert awslambda.invoke(FunctionName=deploy(spoil))["Payload"].read() == b'"spoilt"'
        seen = answer_of(awslambda.invoke(FunctionName=deploy(check)))
        assert (seen["json"], seen["open"], seen["environ"]) == ("[1]", True, False)
        assert seen["pid"] > 1


def test_chance_is_not_shared(cloud, deploy):
    """Whoever knows what chance gave to one environment must not know what it gives to another of the same interpreter."""
    code = '''
        import os, random, secrets, tempfile, time, uuid
        loaded = random.random()
        def handler(event, context):
            time.sleep(0.5)
            return [loaded, random.random(), random.SystemRandom().random(), secrets.token_hex(), str(uuid.uuid4()),
                    os.urandom(16).hex(), next(tempfile._get_candidate_names())]
    '''
    names = [deploy(code), deploy(code)]
    client = cloud.client("lambda")
    with ThreadPoolExecutor(4) as pool:
        called = [pool.submit(client.invoke, FunctionName=name) for name in names * 2]
        seen = [answer_of(one.result()) for one in called]
    for values in zip(*seen, strict=True):
        assert len(set(values)) == 4, values
