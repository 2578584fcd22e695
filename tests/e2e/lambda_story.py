"""What clients do with Lambda: every operation that there is, told in chapters that each use something of their own.

A chapter is a function of a `Stage`; what it is said to exercise is checked when it is told.
"""

import json
import time

WAIT_S = 60
EVERY_S = 0.05
CHAPTERS = {}


class Stage:
    """A client, and what every chapter needs: a role, a bucket with packages, a table's stream, names that nobody else uses."""

    def __init__(self, client, role, bucket, stream, unique):
        self.client = client
        self.role = role
        self.bucket = bucket
        self.stream = stream
        self.unique = unique
        self.called = set()

    def call(self, operation, **parameters):
        self.called.add(operation)
        return self.client.call(operation, **parameters)

    def can(self, operation):
        return operation not in self.client.unable

    def make(self, **settings):
        """Creates a function and waits until it is active; gives its name."""
        name = self.unique("client")
        defaults = {
            "FunctionName": name,
            "Runtime": "python3.13",
            "Handler": "index.handler",
            "Role": self.role,
            "Code": {"S3Bucket": self.bucket, "S3Key": "code.zip"},
        }
        created = self.call("CreateFunction", **{**defaults, **settings})
        assert created["State"] == "Pending"
        self.settled(name)
        return name

    def settled(self, name):
        """The function's configuration once nothing is under way."""

        def is_settled():
            shown = self.call("GetFunctionConfiguration", FunctionName=name)
            busy = shown["State"] == "Pending" or shown.get("LastUpdateStatus") == "InProgress"
            return None if busy else shown

        shown = self.eventually(is_settled)
        assert (shown["State"], shown["LastUpdateStatus"]) == ("Active", "Successful"), shown
        return shown

    def invoke(self, name, event, **more):
        answer = self.call("Invoke", FunctionName=name, Payload=json.dumps(event), **more)
        assert (answer["StatusCode"], answer.get("FunctionError")) == (200, None), answer
        return json.loads(answer["Payload"])

    def refused(self, operation, **parameters):
        """The code of the error that the call is answered with."""
        try:
            answer = self.call(operation, **parameters)
        except Exception as error:
            assert hasattr(error, "code"), error
            return error.code
        raise AssertionError(f"{operation} was answered with {answer}")

    def eventually(self, probe):
        ends = time.monotonic() + WAIT_S
        while (value := probe()) is None:
            assert time.monotonic() < ends, "it takes too long"
            time.sleep(EVERY_S)
        return value


def chapter(*operations):
    """Says what a chapter exercises."""

    def told(function):
        CHAPTERS[function.__name__] = (function, frozenset(operations))
        return function

    return told


@chapter(
    "CreateFunction", "GetFunction", "GetFunctionConfiguration", "ListFunctions", "UpdateFunctionConfiguration",
    "UpdateFunctionCode", "Invoke", "InvokeAsync", "DeleteFunction",
)  # fmt: skip
def functions(stage):
    name = stage.make(Description="first", Environment={"Variables": {"COLOUR": "red"}}, Tags={"team": "photos"})
    got = stage.call("GetFunction", FunctionName=name)
    assert (got["Configuration"]["Description"], got["Tags"]) == ("first", {"team": "photos"})
    assert got["Code"]["RepositoryType"] == "S3"
    assert stage.invoke(name, {"n": 1})["event"] == {"n": 1}
    listed = stage.call("ListFunctions", MaxItems=50)["Functions"]
    assert name in [one["FunctionName"] for one in listed]

    updated = stage.call(
        "UpdateFunctionConfiguration",
        FunctionName=name,
        Environment={"Variables": {"COLOUR": "blue"}},
        Timeout=30,
        MemorySize=256,
        EphemeralStorage={"Size": 1024},
    )
    assert (updated["Timeout"], updated["MemorySize"], updated["EphemeralStorage"]) == (30, 256, {"Size": 1024})
    stage.settled(name)
    assert stage.invoke(name, {})["environment"] == "blue"
    stage.call("UpdateFunctionCode", FunctionName=name, S3Bucket=stage.bucket, S3Key="second.zip")
    stage.settled(name)
    assert stage.invoke(name, {})["code"] == "second"
    accepted = stage.call("Invoke", FunctionName=name, InvocationType="Event", Payload="{}")
    assert accepted["StatusCode"] == 202
    assert stage.call("InvokeAsync", FunctionName=name, InvokeArgs="{}")["Status"] == 202
    stage.call("DeleteFunction", FunctionName=name)
    assert stage.refused("GetFunction", FunctionName=name) == "ResourceNotFoundException"


@chapter(
    "PublishVersion", "ListVersionsByFunction", "CreateAlias", "GetAlias", "ListAliases", "UpdateAlias", "DeleteAlias",
)  # fmt: skip
def versions_and_aliases(stage):
    name = stage.make()
    assert stage.call("PublishVersion", FunctionName=name, Description="one")["Version"] == "1"
    stage.call("UpdateFunctionCode", FunctionName=name, S3Bucket=stage.bucket, S3Key="second.zip")
    stage.settled(name)
    assert stage.call("PublishVersion", FunctionName=name)["Version"] == "2"
    versions = stage.call("ListVersionsByFunction", FunctionName=name)["Versions"]
    assert [one["Version"] for one in versions] == ["$LATEST", "1", "2"]

    made = stage.call("CreateAlias", FunctionName=name, Name="live", FunctionVersion="1")
    assert made["AliasArn"].endswith(f":function:{name}:live")
    assert stage.invoke(name, {}, Qualifier="live")["code"] == "first"
    weights = {"AdditionalVersionWeights": {"1": 0.25}}
    stage.call("UpdateAlias", FunctionName=name, Name="live", FunctionVersion="2", RoutingConfig=weights)
    got = stage.call("GetAlias", FunctionName=name, Name="live")
    assert (got["FunctionVersion"], got["RoutingConfig"]) == ("2", weights)
    aliases = stage.call("ListAliases", FunctionName=name)["Aliases"]
    assert [one["Name"] for one in aliases] == ["live"]
    stage.call("DeleteAlias", FunctionName=name, Name="live")
    assert stage.refused("GetAlias", FunctionName=name, Name="live") == "ResourceNotFoundException"
    stage.call("DeleteFunction", FunctionName=name)


@chapter(
    "AddPermission", "GetPolicy", "RemovePermission", "PutResourcePolicy", "GetResourcePolicy", "DeleteResourcePolicy",
)  # fmt: skip
def policies(stage):
    name = stage.make()
    statement = {"Action": "lambda:InvokeFunction", "Principal": "s3.amazonaws.com"}
    stage.call("AddPermission", FunctionName=name, StatementId="s3", SourceArn="arn:aws:s3:::photos", **statement)
    policy = json.loads(stage.call("GetPolicy", FunctionName=name)["Policy"])
    assert [one["Sid"] for one in policy["Statement"]] == ["s3"]
    stage.call("RemovePermission", FunctionName=name, StatementId="s3")
    assert stage.refused("GetPolicy", FunctionName=name) == "ResourceNotFoundException"

    if stage.can("PutResourcePolicy"):
        whole_policies(stage, stage.settled(name)["FunctionArn"])
    stage.call("DeleteFunction", FunctionName=name)


def whole_policies(stage, arn):
    one = {
        "Sid": "one",
        "Effect": "Allow",
        "Principal": {"Service": "events.amazonaws.com"},
        "Action": "lambda:InvokeFunction",
        "Resource": arn,
    }
    document = json.dumps({"Version": "2012-10-17", "Statement": [one]})
    put = stage.call("PutResourcePolicy", ResourceArn=arn, Policy=document)
    got = stage.call("GetResourcePolicy", ResourceArn=arn)
    assert got["RevisionId"] == put["RevisionId"]
    assert [one["Sid"] for one in json.loads(got["Policy"])["Statement"]] == ["one"]
    stage.call("DeleteResourcePolicy", ResourceArn=arn)
    assert stage.refused("GetResourcePolicy", ResourceArn=arn) == "ResourceNotFoundException"


@chapter(
    "PublishLayerVersion", "GetLayerVersion", "GetLayerVersionByArn", "ListLayers", "ListLayerVersions",
    "AddLayerVersionPermission", "GetLayerVersionPolicy", "RemoveLayerVersionPermission", "DeleteLayerVersion",
)  # fmt: skip
def layers(stage):
    layer = stage.unique("layer")
    content = {"S3Bucket": stage.bucket, "S3Key": "layer.zip"}
    made = stage.call(
        "PublishLayerVersion", LayerName=layer, Content=content, CompatibleRuntimes=["python3.13"], LicenseInfo="MIT"
    )
    assert made["Version"] == 1
    arn = made["LayerVersionArn"]
    assert stage.call("GetLayerVersion", LayerName=layer, VersionNumber=1)["LayerVersionArn"] == arn
    assert stage.call("GetLayerVersionByArn", Arn=arn)["LicenseInfo"] == "MIT"
    assert layer in [one["LayerName"] for one in stage.call("ListLayers", MaxItems=50)["Layers"]]
    versions = stage.call("ListLayerVersions", LayerName=layer)["LayerVersions"]
    assert [one["Version"] for one in versions] == [1]

    of_it = {"LayerName": layer, "VersionNumber": 1}
    stage.call("AddLayerVersionPermission", StatementId="all", Action="lambda:GetLayerVersion", Principal="*", **of_it)
    policy = json.loads(stage.call("GetLayerVersionPolicy", **of_it)["Policy"])
    assert [one["Sid"] for one in policy["Statement"]] == ["all"]
    stage.call("RemoveLayerVersionPermission", StatementId="all", **of_it)
    assert stage.refused("GetLayerVersionPolicy", **of_it) == "ResourceNotFoundException"

    name = stage.make(Layers=[arn])
    assert [one["Arn"] for one in stage.settled(name)["Layers"]] == [arn]
    assert stage.invoke(name, {})["layer"] == "from the layer"
    stage.call("DeleteLayerVersion", **of_it)
    assert stage.refused("GetLayerVersion", **of_it) == "ResourceNotFoundException"
    # A function keeps what it has.
    assert stage.invoke(name, {})["layer"] == "from the layer"
    stage.call("DeleteFunction", FunctionName=name)


@chapter("TagResource", "ListTags", "UntagResource")
def tags(stage):
    name = stage.make(Tags={"a": "1"})
    arn = stage.settled(name)["FunctionArn"]
    stage.call("TagResource", Resource=arn, Tags={"b": "2"})
    assert stage.call("ListTags", Resource=arn)["Tags"] == {"a": "1", "b": "2"}
    stage.call("UntagResource", Resource=arn, TagKeys=["a"])
    assert stage.call("ListTags", Resource=arn)["Tags"] == {"b": "2"}
    stage.call("DeleteFunction", FunctionName=name)


@chapter(
    "GetAccountSettings", "PutFunctionConcurrency", "GetFunctionConcurrency", "DeleteFunctionConcurrency",
    "PutProvisionedConcurrencyConfig", "GetProvisionedConcurrencyConfig", "ListProvisionedConcurrencyConfigs",
    "DeleteProvisionedConcurrencyConfig",
)  # fmt: skip
def concurrency(stage):
    name = stage.make()
    limit = stage.call("GetAccountSettings")["AccountLimit"]
    assert limit["ConcurrentExecutions"] >= limit["UnreservedConcurrentExecutions"] > 0
    put = stage.call("PutFunctionConcurrency", FunctionName=name, ReservedConcurrentExecutions=1)
    assert put["ReservedConcurrentExecutions"] == 1
    assert stage.call("GetFunctionConcurrency", FunctionName=name)["ReservedConcurrentExecutions"] == 1
    stage.call("DeleteFunctionConcurrency", FunctionName=name)
    assert "ReservedConcurrentExecutions" not in stage.call("GetFunctionConcurrency", FunctionName=name)

    stage.call("PublishVersion", FunctionName=name)
    of_it = {"FunctionName": name, "Qualifier": "1"}
    stage.call("PutProvisionedConcurrencyConfig", ProvisionedConcurrentExecutions=1, **of_it)

    def is_ready():
        got = stage.call("GetProvisionedConcurrencyConfig", **of_it)
        assert got["Status"] != "FAILED", got
        return got if got["Status"] == "READY" else None

    assert stage.eventually(is_ready)["AvailableProvisionedConcurrentExecutions"] == 1
    listed = stage.call("ListProvisionedConcurrencyConfigs", FunctionName=name)["ProvisionedConcurrencyConfigs"]
    assert [one["FunctionArn"].rsplit(":", 1)[1] for one in listed] == ["1"]
    stage.call("DeleteProvisionedConcurrencyConfig", **of_it)
    missing = "ProvisionedConcurrencyConfigNotFoundException"
    assert stage.refused("GetProvisionedConcurrencyConfig", **of_it) == missing
    stage.call("DeleteFunction", FunctionName=name)


@chapter(
    "PutFunctionEventInvokeConfig", "UpdateFunctionEventInvokeConfig", "GetFunctionEventInvokeConfig",
    "ListFunctionEventInvokeConfigs", "DeleteFunctionEventInvokeConfig", "PutFunctionRecursionConfig",
    "GetFunctionRecursionConfig",
)  # fmt: skip
def asynchronous_calls(stage):
    name, other = stage.make(), stage.make()
    target = stage.settled(other)["FunctionArn"]
    destinations = {"OnSuccess": {"Destination": target}}
    stage.call("PutFunctionEventInvokeConfig", FunctionName=name, MaximumRetryAttempts=1)
    stage.call("UpdateFunctionEventInvokeConfig", FunctionName=name, DestinationConfig=destinations)
    got = stage.call("GetFunctionEventInvokeConfig", FunctionName=name)
    assert (got["MaximumRetryAttempts"], got["DestinationConfig"]["OnSuccess"]) == (1, {"Destination": target})
    listed = stage.call("ListFunctionEventInvokeConfigs", FunctionName=name)["FunctionEventInvokeConfigs"]
    assert len(listed) == 1
    stage.call("DeleteFunctionEventInvokeConfig", FunctionName=name)
    assert stage.refused("GetFunctionEventInvokeConfig", FunctionName=name) == "ResourceNotFoundException"

    assert stage.call("GetFunctionRecursionConfig", FunctionName=name)["RecursiveLoop"] == "Terminate"
    stage.call("PutFunctionRecursionConfig", FunctionName=name, RecursiveLoop="Allow")
    assert stage.call("GetFunctionRecursionConfig", FunctionName=name)["RecursiveLoop"] == "Allow"
    for made in [name, other]:
        stage.call("DeleteFunction", FunctionName=made)


@chapter(
    "CreateFunctionUrlConfig", "GetFunctionUrlConfig", "UpdateFunctionUrlConfig", "ListFunctionUrlConfigs",
    "DeleteFunctionUrlConfig", "InvokeWithResponseStream",
)  # fmt: skip
def urls_and_streams(stage):
    name = stage.make()
    made = stage.call("CreateFunctionUrlConfig", FunctionName=name, AuthType="AWS_IAM")
    assert stage.call("GetFunctionUrlConfig", FunctionName=name)["FunctionUrl"] == made["FunctionUrl"]
    cors = {"AllowOrigins": ["https://example.com"]}
    updated = stage.call("UpdateFunctionUrlConfig", FunctionName=name, Cors=cors, InvokeMode="RESPONSE_STREAM")
    assert (updated["Cors"], updated["InvokeMode"]) == (cors, "RESPONSE_STREAM")
    listed = stage.call("ListFunctionUrlConfigs", FunctionName=name)["FunctionUrlConfigs"]
    assert [one["FunctionUrl"] for one in listed] == [made["FunctionUrl"]]
    stage.call("DeleteFunctionUrlConfig", FunctionName=name)
    assert stage.refused("GetFunctionUrlConfig", FunctionName=name) == "ResourceNotFoundException"
    if stage.can("InvokeWithResponseStream"):
        answer = stage.call("InvokeWithResponseStream", FunctionName=name, Payload=json.dumps({"n": 2}))
        assert json.loads(answer["Payload"])["event"] == {"n": 2}
    stage.call("DeleteFunction", FunctionName=name)


@chapter(
    "CreateCodeSigningConfig", "GetCodeSigningConfig", "UpdateCodeSigningConfig", "ListCodeSigningConfigs",
    "DeleteCodeSigningConfig", "PutFunctionCodeSigningConfig", "GetFunctionCodeSigningConfig",
    "ListFunctionsByCodeSigningConfig", "DeleteFunctionCodeSigningConfig",
)  # fmt: skip
def code_signing(stage):
    profile = "arn:aws:signer:us-east-1:000000000000:/signing-profiles/test/abcdefghij"
    publishers = {"SigningProfileVersionArns": [profile]}
    made = stage.call("CreateCodeSigningConfig", AllowedPublishers=publishers, Description="first")
    of_it = {"CodeSigningConfigArn": made["CodeSigningConfig"]["CodeSigningConfigArn"]}
    stage.call("UpdateCodeSigningConfig", Description="second", **of_it)
    got = stage.call("GetCodeSigningConfig", **of_it)["CodeSigningConfig"]
    assert (got["Description"], got["AllowedPublishers"]) == ("second", publishers)
    configs = stage.call("ListCodeSigningConfigs", MaxItems=50)["CodeSigningConfigs"]
    assert of_it["CodeSigningConfigArn"] in [one["CodeSigningConfigArn"] for one in configs]

    name = stage.make()
    stage.call("PutFunctionCodeSigningConfig", FunctionName=name, **of_it)
    put = stage.call("GetFunctionCodeSigningConfig", FunctionName=name)
    assert put["CodeSigningConfigArn"] == of_it["CodeSigningConfigArn"]
    functions = stage.call("ListFunctionsByCodeSigningConfig", **of_it)["FunctionArns"]
    assert [arn.rsplit(":", 1)[1] for arn in functions] == [name]
    stage.call("DeleteFunctionCodeSigningConfig", FunctionName=name)
    stage.call("DeleteCodeSigningConfig", **of_it)
    assert stage.refused("GetCodeSigningConfig", **of_it) == "ResourceNotFoundException"
    stage.call("DeleteFunction", FunctionName=name)


@chapter("PutRuntimeManagementConfig", "GetRuntimeManagementConfig")
def runtime_management(stage):
    name = stage.make()
    assert stage.call("GetRuntimeManagementConfig", FunctionName=name)["UpdateRuntimeOn"] == "Auto"
    stage.call("PutRuntimeManagementConfig", FunctionName=name, UpdateRuntimeOn="FunctionUpdate")
    assert stage.call("GetRuntimeManagementConfig", FunctionName=name)["UpdateRuntimeOn"] == "FunctionUpdate"
    stage.call("DeleteFunction", FunctionName=name)


@chapter(
    "CreateEventSourceMapping", "GetEventSourceMapping", "UpdateEventSourceMapping", "ListEventSourceMappings",
    "DeleteEventSourceMapping",
)  # fmt: skip
def event_source_mappings(stage):
    name = stage.make()
    source = {"EventSourceArn": stage.stream, "StartingPosition": "LATEST"}
    made = stage.call("CreateEventSourceMapping", FunctionName=name, BatchSize=7, Enabled=True, **source)
    of_it = {"UUID": made["UUID"]}

    def enabled():
        shown = stage.call("GetEventSourceMapping", **of_it)
        return shown if shown["State"] == "Enabled" else None

    assert stage.eventually(enabled)["BatchSize"] == 7
    updated = stage.call("UpdateEventSourceMapping", MaximumRetryAttempts=2, **of_it)
    assert (updated["BatchSize"], updated["MaximumRetryAttempts"]) == (7, 2)
    listed = stage.call("ListEventSourceMappings", FunctionName=name)["EventSourceMappings"]
    assert [one["UUID"] for one in listed] == [made["UUID"]]
    assert stage.call("DeleteEventSourceMapping", **of_it)["State"] == "Deleting"
    stage.call("DeleteFunction", FunctionName=name)
