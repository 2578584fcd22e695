"""Roles for who comes with a token of an identity provider."""

import base64
import json
import subprocess
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import botocore.session
import pytest
import rsa
from botocore import UNSIGNED
from botocore.config import Config
from botocore.exceptions import ClientError

from cloud import ACCOUNT, REGION, Cloud

AUDIENCE = "my-app"


def encoded(data):
    data = data if isinstance(data, bytes) else json.dumps(data).encode()
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def new_keys():
    """A private key of RSA; Python takes long to find one."""
    made = subprocess.run(["openssl", "genrsa", "-traditional", "2048"], capture_output=True)
    return rsa.PrivateKey.load_pkcs1(made.stdout) if made.returncode == 0 else rsa.newkeys(2048)[1]


class Provider:
    """An OpenID Connect provider on this host."""

    def __init__(self):
        self.keys = {}
        self.rotate("one")
        provider = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                body = json.dumps(provider.answer(self.path)).encode()
                self.send_response(200)
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"127.0.0.1:{self.server.server_port}"
        self.issuer = f"https://{self.address}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def rotate(self, name):
        self.private = new_keys()
        self.kid = name
        number = lambda value: encoded(value.to_bytes((value.bit_length() + 7) // 8, "big"))
        self.keys[name] = {
            "kty": "RSA",
            "kid": name,
            "use": "sig",
            "alg": "RS256",
            "n": number(self.private.n),
            "e": number(self.private.e),
        }

    def answer(self, path):
        if path == "/.well-known/openid-configuration":
            return {"issuer": self.issuer, "jwks_uri": f"http://{self.address}/keys"}
        return {"keys": list(self.keys.values())}

    def token(self, header=None, **claims):
        now = int(time.time())
        defaults = {"iss": self.issuer, "sub": "anna", "aud": AUDIENCE, "iat": now, "exp": now + 600, "amr": ["pwd"]}
        header = {"alg": "RS256", "typ": "JWT", "kid": self.kid, **(header or {})}
        signed = f"{encoded(header)}.{encoded({**defaults, **claims})}"
        return f"{signed}.{encoded(rsa.sign(signed.encode(), self.private, 'SHA-256'))}"


@pytest.fixture(scope="module")
def provider():
    provider = Provider()
    yield provider
    provider.server.shutdown()


@pytest.fixture(scope="module")
def cloud(provider, tmp_path_factory):
    """A cloud that may ask the provider, though it is on this host."""
    cloud = Cloud(tmp_path_factory.mktemp("cloud"))
    cloud.start("--identity-provider", f"http://{provider.address}")
    made = cloud.client("iam").create_open_id_connect_provider(
        Url=provider.issuer, ClientIDList=[AUDIENCE], ThumbprintList=["0" * 40]
    )
    cloud.provider_arn = made["OpenIDConnectProviderArn"]
    yield cloud
    cloud.close()


@pytest.fixture(scope="module")
def make_role(cloud):
    count = iter(range(100))

    def make(condition=None, actions="sts:AssumeRoleWithWebIdentity", principal=None):
        statement = {
            "Effect": "Allow",
            "Principal": {"Federated": principal or cloud.provider_arn},
            "Action": actions,
        }
        if condition:
            statement["Condition"] = condition
        document = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
        name = f"web-{next(count)}"
        return cloud.client("iam").create_role(RoleName=name, AssumeRolePolicyDocument=document)["Role"]["Arn"]

    return make


@pytest.fixture
def assume(cloud):
    """Asks without a signature, as SDKs do."""
    client = botocore.session.get_session().create_client(
        "sts",
        region_name=REGION,
        endpoint_url=cloud.endpoint,
        config=Config(signature_version=UNSIGNED, retries={"total_max_attempts": 1}),
    )

    def assume(role, token, **more):
        asked = {"RoleArn": role, "RoleSessionName": "anna", "WebIdentityToken": token, **more}
        return client.assume_role_with_web_identity(**asked)

    return assume


def refused(call):
    with pytest.raises(ClientError) as excinfo:
        call()
    return excinfo.value.response["Error"]["Code"]


def test_a_token_opens_the_role_that_trusts_its_provider(cloud, provider, make_role, assume):
    role = make_role()
    answer = assume(role, provider.token())
    assert answer["SubjectFromWebIdentityToken"] == "anna"
    assert answer["Audience"] == AUDIENCE
    assert answer["Provider"] == cloud.provider_arn
    name = role.split("/")[1]
    arn = f"arn:aws:sts::{ACCOUNT}:assumed-role/{name}/anna"
    assert answer["AssumedRoleUser"]["Arn"] == arn
    given = answer["Credentials"]
    keys = {"key": given["AccessKeyId"], "secret": given["SecretAccessKey"], "token": given["SessionToken"]}
    assert cloud.client("sts", **keys).get_caller_identity()["Arn"] == arn


def test_tokens_that_prove_nothing(provider, make_role, assume):
    role = make_role()
    now = int(time.time())
    stranger = Provider()
    foreign = stranger.token(iss=provider.issuer)
    whole = provider.token()
    head, claims, signature = whole.split(".")
    for token, code in [
        (provider.token(exp=now - 1), "ExpiredTokenException"),
        (provider.token(aud="another-app"), "InvalidIdentityToken"),
        (provider.token(iss="https://id.example"), "InvalidIdentityToken"),
        (provider.token(nbf=now + 3600), "InvalidIdentityToken"),
        (provider.token(header={"alg": "none"}), "InvalidIdentityToken"),
        (provider.token(header={"alg": "HS256"}), "InvalidIdentityToken"),
        (f"{encoded({'alg': 'none'})}.{claims}.", "InvalidIdentityToken"),
        (foreign, "InvalidIdentityToken"),
        (f"{head}.{encoded({'iss': provider.issuer})}.{signature}", "InvalidIdentityToken"),
        ("a.b.c.d", "InvalidIdentityToken"),
    ]:
        assert refused(lambda token=token: assume(role, token)) == code, token[:60]
    stranger.server.shutdown()
    assert assume(role, whole)["Credentials"]


def test_only_roles_that_trust_the_provider_are_opened(cloud, provider, make_role, assume):
    other = make_role(principal=f"arn:aws:iam::{ACCOUNT}:oidc-provider/id.example")
    missing = f"arn:aws:iam::{ACCOUNT}:role/missing"
    elsewhere = "arn:aws:iam::111122223333:role/x"
    for role, code in [(other, "AccessDenied"), (missing, "AccessDenied"), (elsewhere, "InvalidIdentityToken")]:
        assert refused(lambda role=role: assume(role, provider.token())) == code, role


def test_conditions_ask_the_token(provider, make_role, assume):
    key = lambda name: f"{provider.address}:{name}"
    role = make_role({"StringEquals": {key("sub"): "anna", key("aud"): AUDIENCE}})
    assert assume(role, provider.token())["Credentials"]
    assert refused(lambda: assume(role, provider.token(sub="mallory"))) == "AccessDenied"
    methods = make_role({"ForAnyValue:StringEquals": {key("amr"): "mfa"}})
    assert refused(lambda: assume(methods, provider.token())) == "AccessDenied"
    assert assume(methods, provider.token(amr=["pwd", "mfa"]))["Credentials"]


def test_a_token_may_bring_tags_and_a_source_identity(provider, make_role, assume):
    claims = {
        "https://aws.amazon.com/tags": {"principal_tags": {"team": ["blue"]}, "transitive_tag_keys": ["team"]},
        "https://aws.amazon.com/source_identity": "anna",
    }
    plain = make_role()
    assert refused(lambda: assume(plain, provider.token(**claims))) == "AccessDenied"
    actions = ["sts:AssumeRoleWithWebIdentity", "sts:TagSession", "sts:SetSourceIdentity"]
    role = make_role(actions=actions)
    assert assume(role, provider.token(**claims))["SourceIdentity"] == "anna"
    odd = {"https://aws.amazon.com/tags": {"principal_tags": ["team"]}}
    assert refused(lambda: assume(role, provider.token(**odd))) == "IDPRejectedClaim"


def test_a_provider_that_is_not_public_is_not_asked_without_the_operators_word(cloud, make_role, assume):
    inner = Provider()
    arn = cloud.client("iam").create_open_id_connect_provider(
        Url=inner.issuer, ClientIDList=[AUDIENCE], ThumbprintList=["0" * 40]
    )["OpenIDConnectProviderArn"]
    assert refused(lambda: assume(make_role(principal=arn), inner.token())) == "InvalidIdentityToken"
    inner.server.shutdown()


def test_other_operations_still_need_a_signature(cloud, assume):
    client = botocore.session.get_session().create_client(
        "sts",
        region_name=REGION,
        endpoint_url=cloud.endpoint,
        config=Config(signature_version=UNSIGNED, retries={"total_max_attempts": 1}),
    )
    assert refused(client.get_caller_identity) == "MissingAuthenticationToken"
    assert refused(client.get_session_token) == "MissingAuthenticationToken"
