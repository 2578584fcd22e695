import itertools
import json
import uuid

import pytest

import packages
import replay as replays
from cloud import ACCOUNT, REGION, Cloud

TRUST = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}],
}


# Files whose tests need the same thing, of which there is one on a machine, and would wait for each other.
TOGETHER = {"test_care": "postgres", "test_nodes": "postgres"}
# Files that take a minute or more, most of it waiting: begun first, so that no worker is left with one at the end.
LONG = ("test_s3_notifications", "test_nodes", "test_care", "test_lambda_clients", "test_durability")


def pytest_collection_modifyitems(items):
    items.sort(key=lambda item: item.path.stem not in LONG)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    """Workers (`-n`) take whole files, in order: what a file's tests share is made once, and tests build on others."""
    from xdist.scheduler import LoadScopeScheduling

    class Files(LoadScopeScheduling):
        def _split_scope(self, nodeid):
            name = nodeid.split("::")[0].removesuffix(".py")
            return TOGETHER.get(name, name)

    return Files(config, log)


@pytest.fixture(scope="session")
def cloud(tmp_path_factory):
    """The one cloud that most tests share (of each worker, with `-n`); each test names its own buckets and functions."""
    cloud = Cloud(tmp_path_factory.mktemp("cloud"))
    cloud.start()
    yield cloud
    alive = cloud.process.poll() is None
    cloud.close()
    assert alive, f"lambent ended by itself\n{cloud.tail()}"


@pytest.fixture
def own_cloud(tmp_path):
    """A cloud of the test's own, not yet started."""
    cloud = Cloud(tmp_path)
    yield cloud
    cloud.close()


@pytest.fixture
def new_cloud(tmp_path):
    """Like `own_cloud`, and its data directory does not exist yet."""
    cloud = Cloud(tmp_path, with_runtimes=False)
    yield cloud
    cloud.close()


@pytest.fixture(autouse=True)
def nobody_is_disturbed(request):
    """Whatever a test did, the shared cloud still answers afterwards."""
    yield
    if "cloud" in request.fixturenames:
        cloud = request.getfixturevalue("cloud")
        account = cloud.client("sts").get_caller_identity()["Account"]
        assert account == ACCOUNT


@pytest.fixture(scope="session")
def s3(cloud):
    return cloud.client("s3")


@pytest.fixture(scope="session")
def awslambda(cloud):
    return cloud.client("lambda")


@pytest.fixture(scope="session")
def logs(cloud):
    return cloud.client("logs")


@pytest.fixture(scope="session")
def iam(cloud):
    return cloud.client("iam")


@pytest.fixture(scope="session")
def sts(cloud):
    return cloud.client("sts")


@pytest.fixture
def unique():
    """Makes names that no other test uses."""
    counter = itertools.count()
    stem = uuid.uuid4().hex[:12]
    return lambda word="t": f"{word}-{stem}-{next(counter)}"


@pytest.fixture
def new_bucket(s3, unique):
    def make():
        name = unique("bucket")
        s3.create_bucket(Bucket=name)
        return name

    return make


@pytest.fixture
def bucket(new_bucket):
    return new_bucket()


@pytest.fixture(scope="session")
def role(iam):
    """A role that functions may take and that may do everything."""
    return make_role(iam, "function-role", [{"Effect": "Allow", "Action": "*", "Resource": "*"}])


def make_role(iam, name, statements):
    iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(TRUST))
    if statements:
        policy = {"Version": "2012-10-17", "Statement": statements}
        iam.put_role_policy(RoleName=name, PolicyName="inline", PolicyDocument=json.dumps(policy))
    return f"arn:aws:iam::{ACCOUNT}:role/{name}"


@pytest.fixture
def deploy(awslambda, role, unique):
    """Creates a function, waits until it is active, gives its name; deletes it after the test.

    The code is a package, or the text of a Python module `index`.
    """
    made = []

    def deploy(code, **settings):
        name = settings.pop("name", None) or unique("function")
        package = code if isinstance(code, bytes) else packages.python(code)
        defaults = {"Runtime": "python3.13", "Handler": "index.handler", "Role": role, "Timeout": 10}
        awslambda.create_function(FunctionName=name, Code={"ZipFile": package}, **{**defaults, **settings})
        made.append(name)
        awslambda.get_waiter("function_active_v2").wait(
            FunctionName=name, WaiterConfig={"Delay": 0.02, "MaxAttempts": 1500}
        )
        return name

    yield deploy
    for name in made:
        awslambda.delete_function(FunctionName=name)


@pytest.fixture
def replay(cloud, role, unique):
    """Begins to play a recorded test again; at the end no answer may differ without a known reason."""
    begun = []
    client = cloud.client("lambda", parameter_validation=False)

    def replay(test, file="lambda_/test_lambda_api"):
        begun.append(replays.Replay(client, role, unique, test, file))
        return begun[-1]

    yield replay
    for played in begun:
        played.end()


def pytest_terminal_summary(terminalreporter):
    for line in replays.summary():
        terminalreporter.write_line(line)


@pytest.fixture
def notify(s3, awslambda):
    """Lets a bucket invoke a function and tells the bucket to do so."""

    def notify(bucket, function, events=("s3:ObjectCreated:*",), rules=None, id="to-function"):
        awslambda.add_permission(
            FunctionName=function,
            StatementId=f"s3-{bucket}",
            Action="lambda:InvokeFunction",
            Principal="s3.amazonaws.com",
            SourceArn=f"arn:aws:s3:::{bucket}",
        )
        target = {"Id": id, "LambdaFunctionArn": function_arn(function), "Events": list(events)}
        if rules:
            named = [{"Name": name, "Value": value} for name, value in rules.items()]
            target["Filter"] = {"Key": {"FilterRules": named}}
        s3.put_bucket_notification_configuration(
            Bucket=bucket, NotificationConfiguration={"LambdaFunctionConfigurations": [target]}
        )

    return notify


def function_arn(name):
    return f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:{name}"
