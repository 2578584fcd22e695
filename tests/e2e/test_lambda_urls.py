"""Function URLs: their configuration, who may use them, and what requests and responses become."""

import base64
import json
import urllib.parse

import botocore.auth
import pytest
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.exceptions import ClientError

from cloud import ACCOUNT, REGION, ROOT_KEY, ROOT_SECRET
from conftest import function_arn, make_role
from signing import send
from test_lambda_streaming import open_to_all

FORBIDDEN = (
    "Forbidden. For troubleshooting Function URL authorization issues, see: "
    "https://docs.aws.amazon.com/lambda/latest/dg/urls-auth.html"
)
ECHO = "def handler(event, context):\n    return event\n"
# Returns what the body of the request says.
GIVE = "import json, base64\ndef handler(event, context):\n    return json.loads(event['body'])\n"
JSON = {"content-type": "application/json"}


@pytest.fixture
def public(awslambda, deploy):
    """A function behind a URL for everybody: its name and URL."""

    def make(code, **config):
        function = deploy(code)
        made = awslambda.create_function_url_config(FunctionName=function, AuthType="NONE", **config)
        open_to_all(awslambda, function)
        return function, made["FunctionUrl"]

    return make


def call(cloud, url, method="GET", path="/", headers=None, body=None):
    return send(cloud, method, path, headers=headers, body=body, host=urllib.parse.urlsplit(url).netloc)


def signed_call(cloud, url, method="GET", path="/", body=b"", key=ROOT_KEY, secret=ROOT_SECRET, token=None, service="lambda"):
    request = AWSRequest(method=method, url=url.rstrip("/") + path, data=body)
    botocore.auth.SigV4Auth(Credentials(key, secret, token), service, REGION).add_auth(request)
    return call(cloud, url, method, path, dict(request.headers.items()), body)


def refused(error):
    return error.value.response["Error"]["Code"], error.value.response["Error"]["Message"]


def test_a_configuration_lives(awslambda, deploy):
    function = deploy(ECHO)
    cors = {"AllowOrigins": ["https://a.example"], "AllowMethods": ["GET", "POST"], "MaxAge": 300}
    made = awslambda.create_function_url_config(FunctionName=function, AuthType="AWS_IAM", Cors=cors)
    assert made["ResponseMetadata"]["HTTPStatusCode"] == 201
    assert made["FunctionArn"] == function_arn(function)
    assert made["Cors"] == cors
    assert "InvokeMode" not in made
    url = urllib.parse.urlsplit(made["FunctionUrl"])
    assert (url.path, url.hostname.split(".")[1:]) == ("/", ["lambda-url", REGION, "localhost"])
    assert len(url.hostname.split(".")[0]) == 32

    got = awslambda.get_function_url_config(FunctionName=function)
    assert (got["AuthType"], got["InvokeMode"], got["FunctionUrl"]) == ("AWS_IAM", "BUFFERED", made["FunctionUrl"])
    with pytest.raises(ClientError) as error:
        awslambda.create_function_url_config(FunctionName=function, AuthType="NONE")
    assert refused(error) == (
        "ResourceConflictException",
        f"Failed to create function url config for [functionArn = {function_arn(function)}]. "
        "Error message:  FunctionUrlConfig exists for this Lambda function",
    )
    changed = awslambda.update_function_url_config(
        FunctionName=function, AuthType="NONE", InvokeMode="RESPONSE_STREAM", Cors={}
    )
    assert (changed["AuthType"], changed["InvokeMode"]) == ("NONE", "RESPONSE_STREAM")
    assert "Cors" not in changed
    listed = awslambda.list_function_url_configs(FunctionName=function)["FunctionUrlConfigs"]
    assert [one["FunctionUrl"] for one in listed] == [made["FunctionUrl"]]
    assert awslambda.delete_function_url_config(FunctionName=function)["ResponseMetadata"]["HTTPStatusCode"] == 204
    for operation in (awslambda.get_function_url_config, awslambda.delete_function_url_config):
        with pytest.raises(ClientError) as error:
            operation(FunctionName=function)
        assert refused(error) == ("ResourceNotFoundException", "The resource you requested does not exist.")
    again = awslambda.create_function_url_config(FunctionName=function, AuthType="NONE")
    assert again["FunctionUrl"] != made["FunctionUrl"]


def test_configurations_that_cannot_be(awslambda, deploy):
    function = deploy(ECHO)
    for name, qualifier in [("nobody-made-this", None), (function, "no-alias")]:
        more = {"Qualifier": qualifier} if qualifier else {}
        with pytest.raises(ClientError) as error:
            awslambda.create_function_url_config(FunctionName=name, AuthType="NONE", **more)
        assert refused(error) == ("ResourceNotFoundException", "Function does not exist")
    for qualifier in ("1", "$LATEST"):
        with pytest.raises(ClientError) as error:
            awslambda.create_function_url_config(FunctionName=function, AuthType="NONE", Qualifier=qualifier)
        assert refused(error) == (
            "ValidationException",
            f"1 validation error detected: Value '{qualifier}' at 'qualifier' failed to satisfy constraint: "
            r"Member must satisfy regular expression pattern: ((?!^\d+$)^[0-9a-zA-Z-_]+$)",
        )
    for cors in ({"MaxAge": 86401}, {"AllowMethods": ["OPTIONS"]}, {"AllowOrigins": ["x" * 254]}):
        with pytest.raises(ClientError) as error:
            awslambda.create_function_url_config(FunctionName=function, AuthType="NONE", Cors=cors)
        assert refused(error)[0] == "ValidationException"
    with pytest.raises(ClientError) as error:
        awslambda.list_function_url_configs(FunctionName="nobody-made-this")
    assert refused(error) == ("ResourceNotFoundException", "Function does not exist")


def test_aliases_have_urls_of_their_own(cloud, awslambda, deploy):
    function = deploy("def handler(event, context):\n    return [context.function_version, context.invoked_function_arn]\n")
    awslambda.publish_version(FunctionName=function)
    awslambda.create_alias(FunctionName=function, Name="live", FunctionVersion="1")
    whole = awslambda.create_function_url_config(FunctionName=function, AuthType="NONE")["FunctionUrl"]
    alias = awslambda.create_function_url_config(FunctionName=function, AuthType="NONE", Qualifier="live")
    assert alias["FunctionArn"] == function_arn(function) + ":live"
    listed = awslambda.list_function_url_configs(FunctionName=function, MaxItems=1)
    more = awslambda.list_function_url_configs(FunctionName=function, Marker=listed["NextMarker"])
    both = listed["FunctionUrlConfigs"] + more["FunctionUrlConfigs"]
    assert [one["FunctionUrl"] for one in both] == [whole, alias["FunctionUrl"]]
    open_to_all(awslambda, function)
    open_to_all(awslambda, function, Qualifier="live")
    assert json.loads(call(cloud, whole).body) == ["$LATEST", function_arn(function)]
    assert json.loads(call(cloud, alias["FunctionUrl"]).body) == ["1", function_arn(function) + ":live"]
    awslambda.delete_alias(FunctionName=function, Name="live")
    assert call(cloud, alias["FunctionUrl"]).status == 403
    assert call(cloud, whole).status == 200


def test_everybody_needs_both_permissions(cloud, awslambda, deploy):
    function = deploy(ECHO)
    url = awslambda.create_function_url_config(FunctionName=function, AuthType="NONE")["FunctionUrl"]

    def status():
        answer = call(cloud, url)
        if answer.status == 403:
            assert json.loads(answer.body) == {"Message": FORBIDDEN}
            assert answer.headers["x-amzn-errortype"] == "AccessDeniedException"
        return answer.status

    def allow(sid, action, **more):
        awslambda.add_permission(FunctionName=function, StatementId=sid, Action=action, Principal="*", **more)

    assert status() == 403
    allow("url", "lambda:InvokeFunctionUrl", FunctionUrlAuthType="NONE")
    assert status() == 403
    allow("via", "lambda:InvokeFunction", InvokedViaFunctionUrl=True)
    assert status() == 200
    awslambda.remove_permission(FunctionName=function, StatementId="url")
    assert status() == 403
    allow("signed", "lambda:InvokeFunctionUrl", FunctionUrlAuthType="AWS_IAM")
    assert status() == 403, "meant for another kind of URL"
    awslambda.update_function_url_config(FunctionName=function, AuthType="AWS_IAM")
    assert status() == 403


def test_unknown_urls(cloud, awslambda, public):
    unknown = f"http://{'a' * 32}.lambda-url.{REGION}.localhost:1/"
    answer = call(cloud, unknown)
    assert (answer.status, answer.body) == (403, b'{"Message":null}')
    assert answer.headers["x-amzn-errortype"] == "AccessDeniedException"
    function, url = public(ECHO)
    assert call(cloud, url).status == 200
    elsewhere = url.replace(REGION, "eu-west-1")
    assert call(cloud, elsewhere).status == 403
    awslambda.delete_function_url_config(FunctionName=function)
    assert call(cloud, url).status == 403


def test_signed_urls(cloud, awslambda, iam, sts, deploy, unique):
    function = deploy(ECHO)
    url = awslambda.create_function_url_config(FunctionName=function, AuthType="AWS_IAM")["FunctionUrl"]
    answer = call(cloud, url)
    assert (answer.status, json.loads(answer.body)) == (403, {"Message": FORBIDDEN})

    answer = signed_call(cloud, url, "POST", "/a/b?x=1", b"text")
    assert answer.status == 200, answer.body
    event = json.loads(answer.body)
    context = event["requestContext"]
    assert (event["rawPath"], base64.b64decode(event["body"]), context["accountId"]) == ("/a/b", b"text", ACCOUNT)
    assert context["authorizer"]["iam"]["accessKey"] == ROOT_KEY
    assert context["authorizer"]["iam"]["userArn"] == f"arn:aws:iam::{ACCOUNT}:root"
    assert "authorization" not in event["headers"]

    assert signed_call(cloud, url, secret="wrong" * 8).status == 403
    assert signed_call(cloud, url, service="execute-api").status == 403
    tampered = AWSRequest(method="POST", url=url, data=b"one")
    botocore.auth.SigV4Auth(Credentials(ROOT_KEY, ROOT_SECRET), "lambda", REGION).add_auth(tampered)
    answer = call(cloud, url, "POST", "/", dict(tampered.headers.items()), b"two")
    assert answer.status == 403

    def as_role(statements):
        name = unique("role")
        trust = {
            "Version": "2012-10-17",
            "Statement": [{"Effect": "Allow", "Principal": {"AWS": ACCOUNT}, "Action": "sts:AssumeRole"}],
        }
        arn = iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(trust))["Role"]["Arn"]
        if statements:
            policy = {"Version": "2012-10-17", "Statement": statements}
            iam.put_role_policy(RoleName=name, PolicyName="inline", PolicyDocument=json.dumps(policy))
        keys = sts.assume_role(RoleArn=arn, RoleSessionName="me")["Credentials"]
        return arn, lambda: signed_call(
            cloud, url, key=keys["AccessKeyId"], secret=keys["SecretAccessKey"], token=keys["SessionToken"]
        )

    both = ["lambda:InvokeFunctionUrl", "lambda:InvokeFunction"]
    allow = {"Effect": "Allow", "Action": both, "Resource": function_arn(function)}
    for statements, status in [
        ([allow], 200),
        ([{**allow, "Action": both[:1]}], 403),
        ([{**allow, "Action": both[1:]}], 403),
        ([], 403),
        ([allow, {**allow, "Effect": "Deny", "Action": both[1:]}], 403),
    ]:
        assert as_role(statements)[1]().status == status, statements
    # A role that its own policies allow nothing may be let in by the function.
    arn, use = as_role([])
    for sid, action in enumerate(both):
        assert use().status == 403
        awslambda.add_permission(FunctionName=function, StatementId=f"role-{sid}", Action=action, Principal=arn)
    assert use().status == 200


def test_a_request_becomes_an_event(cloud, public):
    _, url = public(ECHO)
    headers = {**JSON, "X-Twice": "a", "Cookie": "a=1; b=2", "User-Agent": "me", "X-Forwarded-For": "6.6.6.6"}
    answer = call(cloud, url, "PUT", "/p%20q/?x=1&x=2&y=%C3%BC", headers, '{"ü": 1}'.encode())
    assert answer.headers["content-type"] == "application/json"
    event = json.loads(answer.body)
    host = urllib.parse.urlsplit(url)
    assert event["version"] == "2.0"
    assert (event["rawPath"], event["rawQueryString"]) == ("/p%20q/", "x=1&x=2&y=%C3%BC")
    assert event["queryStringParameters"] == {"x": "1,2", "y": "ü"}
    assert event["cookies"] == ["a=1", "b=2"]
    assert (event["body"], event["isBase64Encoded"]) == ('{"ü": 1}', False)
    assert event["headers"]["host"] == host.netloc
    assert (event["headers"]["x-forwarded-for"], event["headers"]["x-forwarded-proto"]) == ("127.0.0.1", "http")
    context = event["requestContext"]
    assert (context["accountId"], context["apiId"]) == ("anonymous", host.hostname.split(".")[0])
    assert (context["domainName"], context["domainPrefix"]) == (host.hostname, context["apiId"])
    assert context["http"] == {
        "method": "PUT", "path": "/p%20q/", "protocol": "HTTP/1.1", "sourceIp": "127.0.0.1", "userAgent": "me",
    }
    assert context["requestId"] == answer.headers["x-amzn-requestid"]
    binary = json.loads(call(cloud, url, "POST", body=b"\x00\xff").body)
    assert (binary["body"], binary["isBase64Encoded"]) == ("AP8=", True)


def test_the_events_request_is_the_one_that_is_logged(cloud, awslambda, public, logs):
    function, url = public("def handler(event, context):\n    return {'statusCode': 200, 'body': context.aws_request_id}\n")
    answer = call(cloud, url)
    assert answer.body.decode() == answer.headers["x-amzn-requestid"]


@pytest.mark.parametrize(
    "result, status, body",
    [
        ({"hello": "world"}, 200, b'{"hello":"world"}'),
        (["hello", 3, True], 200, b'["hello",3,true]'),
        ("hello", 200, b"hello"),
        (3.1, 200, b"3.1"),
        ({"statusCode": 404, "body": "gone"}, 404, b"gone"),
        ({"statusCode": "201"}, 201, b""),
        ({"statusCode": 200, "isBase64Encoded": True, "body": "AP8="}, 200, b"\x00\xff"),
        ({"statusCode": 99}, 502, b"Internal Server Error"),
        ({"statusCode": 200, "headers": {"a b": "c"}}, 502, b"Internal Server Error"),
    ],
)
def test_a_result_becomes_a_response(cloud, shared_url, result, status, body):
    answer = call(cloud, shared_url, "POST", headers=JSON, body=json.dumps(result))
    assert (answer.status, answer.body) == (status, body)
    assert answer.headers["content-type"] == "application/json"


@pytest.fixture(scope="module")
def shared_url(cloud, awslambda, role):
    import packages

    awslambda.create_function(
        FunctionName="url-results", Code={"ZipFile": packages.python(GIVE)}, Runtime="python3.13",
        Handler="index.handler", Role=role, Timeout=10,
    )
    awslambda.get_waiter("function_active_v2").wait(FunctionName="url-results", WaiterConfig={"Delay": 0.02})
    url = awslambda.create_function_url_config(FunctionName="url-results", AuthType="NONE")["FunctionUrl"]
    open_to_all(awslambda, "url-results")
    yield url
    awslambda.delete_function(FunctionName="url-results")


def test_responses_have_headers_and_cookies(cloud, shared_url):
    result = {
        "statusCode": 200, "headers": {"Content-Type": "text/x", "X-Own": "1", "Content-Length": "999"},
        "cookies": ["a=1; Path=/"], "body": "<p>",
    }
    answer = call(cloud, shared_url, "POST", headers=JSON, body=json.dumps(result))
    assert answer.headers["content-type"] == "text/x"
    assert (answer.headers["x-own"], answer.headers["set-cookie"]) == ("1", "a=1; Path=/")
    assert (answer.headers["content-length"], answer.body) == ("3", b"<p>")
    head = call(cloud, shared_url, "HEAD", headers=JSON, body=json.dumps(result))
    assert (head.status, head.body) == (200, b"")


def test_failures_are_bad_gateways(cloud, public):
    _, url = public("def handler(event, context):\n    return 1 / 0\n")
    answer = call(cloud, url)
    assert (answer.status, answer.body) == (502, b"Internal Server Error")


def test_bodies_beyond_6_megabytes_are_refused(cloud, public):
    _, url = public("def handler(event, context):\n    return len(event.get('body', ''))\n")
    answer = call(cloud, url, "POST", headers={"content-type": "text/plain"}, body=b"x" * 5_000_000)
    assert (answer.status, answer.body) == (200, b"5000000")
    answer = call(cloud, url, "POST", headers={"content-type": "text/plain"}, body=b"x" * 10_000_000)
    assert answer.status == 413
    assert "6291456 bytes for the InvokeFunction operation" in answer.body.decode()
    # In base64 it is larger than what came.
    answer = call(cloud, url, "POST", headers={"content-type": "image/png"}, body=b"\x89" * 5_500_000)
    assert answer.status == 413


def test_throttled_urls(cloud, awslambda, public):
    function, url = public(ECHO)
    awslambda.put_function_concurrency(FunctionName=function, ReservedConcurrentExecutions=0)
    answer = call(cloud, url)
    assert answer.status == 429
    assert json.loads(answer.body)["Reason"] == "ReservedFunctionConcurrentInvocationLimitExceeded"


def test_browsers_are_answered_by_the_url(cloud, awslambda, public):
    code = "def handler(event, context):\n    return {'statusCode': 200, 'headers': {'Access-Control-Allow-Origin': 'x'}, 'body': event['requestContext']['http']['method']}\n"
    cors = {
        "AllowOrigins": ["https://a.example"], "AllowMethods": ["PUT"], "AllowHeaders": ["X-One"],
        "ExposeHeaders": ["X-Two"], "MaxAge": 60, "AllowCredentials": True,
    }
    function, url = public(code, Cors=cors)
    ask = {"Origin": "https://a.example", "Access-Control-Request-Method": "PUT"}
    answer = call(cloud, url, "OPTIONS", headers=ask)
    assert (answer.status, answer.body) == (200, b"")
    assert answer.headers["access-control-allow-origin"] == "https://a.example"
    assert answer.headers["access-control-allow-methods"] == "PUT"
    assert answer.headers["access-control-allow-headers"] == "X-One"
    assert answer.headers["access-control-max-age"] == "60"
    assert answer.headers["access-control-allow-credentials"] == "true"
    stranger = call(cloud, url, "OPTIONS", headers={**ask, "Origin": "https://b.example"})
    assert "access-control-allow-origin" not in stranger.headers
    answer = call(cloud, url, "PUT", headers={"Origin": "https://a.example"})
    assert (answer.body, answer.headers["access-control-allow-origin"]) == (b"PUT", "https://a.example")
    assert answer.headers["access-control-expose-headers"] == "X-Two"
    stranger = call(cloud, url, "PUT", headers={"Origin": "https://b.example"})
    assert stranger.status == 200 and "access-control-allow-origin" not in stranger.headers
    # Without a configuration the function answers for itself.
    awslambda.update_function_url_config(FunctionName=function, Cors={})
    answer = call(cloud, url, "OPTIONS", headers=ask)
    assert (answer.body, answer.headers["access-control-allow-origin"]) == (b"OPTIONS", "x")


def test_another_domain(own_cloud):
    own_cloud.start("--domain", "cloud.example")
    client, iam = own_cloud.client("lambda"), own_cloud.client("iam")
    import packages

    role = make_role(iam, "function-role", [])
    client.create_function(
        FunctionName="f", Code={"ZipFile": packages.python(ECHO)}, Runtime="python3.13", Handler="index.handler", Role=role
    )
    client.get_waiter("function_active_v2").wait(FunctionName="f", WaiterConfig={"Delay": 0.02})
    url = client.create_function_url_config(FunctionName="f", AuthType="NONE")["FunctionUrl"]
    open_to_all(client, "f")
    assert f".lambda-url.{REGION}.cloud.example:" in url
    assert call(own_cloud, url).status == 200
    own_cloud.stop()
    own_cloud.start("--domain", "cloud.example")
    assert call(own_cloud, url).status == 200, "a URL outlives the process"
