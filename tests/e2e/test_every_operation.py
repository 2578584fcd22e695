"""Every operation of every service meets everybody who may not call it, and one who may."""

import json
import re
import subprocess
import tomllib
from pathlib import Path

import pytest
from botocore import UNSIGNED, xform_name
from botocore.exceptions import ClientError

import minimal
from cloud import Cloud

SERVICES = ["s3", "lambda", "logs", "iam", "sts", "dynamodb", "dynamodbstreams"]
MODELS = Path(__file__).resolve().parents[2] / "xtask" / "models.toml"

# Everybody with valid credentials may, as on AWS, whatever policies say.
OPEN_TO_ALL = {("sts", "GetCallerIdentity")}
# Needs no permission, but may be denied. Source: IAM User Guide, "Permissions for GetSessionToken".
NEEDS_NO_PERMISSION = {("sts", "GetSessionToken")}
# Asked without a signature: the token speaks for the caller.
UNSIGNED_TOO = {("sts", "AssumeRoleWithWebIdentity")}
# Decided on by the role's trust policy; a role that is not there trusts nobody.
BY_TRUST = {("sts", "AssumeRole"), ("sts", "AssumeRoleWithWebIdentity")}

DENIED = {"AccessDenied", "AccessDeniedException"}
UNKNOWN_KEY = {"InvalidClientTokenId", "UnrecognizedClientException", "InvalidAccessKeyId"}
WRONG_SIGNATURE = {"SignatureDoesNotMatch", "InvalidSignatureException"}
NOT_SIGNED = DENIED | {"MissingAuthenticationToken", "MissingAuthenticationTokenException"}
EXPIRED = {"ExpiredToken", "ExpiredTokenException"}

ALL = {"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "*", "Resource": "*"}}
OTHER = {"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "lambent:*", "Resource": "*"}}
TRUST = {
    "Version": "2012-10-17",
    "Statement": {"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"AWS": "000000000000"}},
}


def operations():
    models = tomllib.loads(MODELS.read_text())
    return [(service, name) for service in SERVICES for name in models[service]["operations"]]


class People:
    """Everybody who calls, each with a client of every service."""

    def __init__(self, cloud):
        self.cloud = cloud
        self.iam = cloud.client("iam")
        self.clients = {}
        # The bucket belongs to the account, so that nobody else's answer can be that there is none.
        cloud.client("s3").create_bucket(Bucket="table-bucket")
        # It stays, as it is not empty.
        cloud.client("s3").put_object(Bucket="table-bucket", Key="table-kept", Body=b"")
        self.boundary = self.iam.create_policy(PolicyName="table-boundary", PolicyDocument=json.dumps(OTHER))
        self.keys = {
            "no policy": self.user("table-none"),
            "deny": self.user("table-deny", ALL),
            "boundary without": self.user("table-bounded", ALL, self.boundary["Policy"]["Arn"]),
            "right policy": self.user("table-right"),
            "session policy without": self.session(Policy=json.dumps(OTHER)),
            "other account": other_account(cloud),
        }
        key, secret, _ = self.user("table-gone", ALL)
        self.iam.delete_access_key(UserName="table-gone", AccessKeyId=key)
        self.keys["deleted key"] = (key, secret, None)
        self.keys["wrong secret"] = (self.keys["deny"][0], "wrong", None)
        self.keys["expired token"] = expired(cloud, self.session())

    def user(self, name, policy=None, boundary=None):
        self.iam.create_user(UserName=name, **({"PermissionsBoundary": boundary} if boundary else {}))
        if policy:
            self.iam.put_user_policy(UserName=name, PolicyName="p", PolicyDocument=json.dumps(policy))
        key = self.iam.create_access_key(UserName=name)["AccessKey"]
        return key["AccessKeyId"], key["SecretAccessKey"], None

    def session(self, **narrower):
        trust = json.dumps(TRUST)
        if not any(role["RoleName"] == "table-role" for role in self.iam.list_roles()["Roles"]):
            self.iam.create_role(RoleName="table-role", AssumeRolePolicyDocument=trust)
            self.iam.put_role_policy(RoleName="table-role", PolicyName="p", PolicyDocument=json.dumps(ALL))
        given = self.cloud.client("sts").assume_role(
            RoleArn="arn:aws:iam::000000000000:role/table-role", RoleSessionName="table", **narrower
        )["Credentials"]
        return given["AccessKeyId"], given["SecretAccessKey"], given["SessionToken"]

    def client(self, who, service):
        if (who, service) not in self.clients:
            if who == "no credentials":
                client = self.cloud.client(service, signature_version=UNSIGNED)
            else:
                client = self.cloud.client(service, *self.keys[who])
            self.clients[who, service] = client
        return self.clients[who, service]

    def error(self, who, service, operation):
        """Code and message that this one's call ends with; two empty texts when it succeeds."""
        call = getattr(self.client(who, service), python_name(operation))
        try:
            answer = call(**minimal.inputs(service, operation))
        except ClientError as error:
            said = error.response["Error"]
            # An answer to HEAD has no body, and so no words.
            code = {"403": "AccessDenied"}.get(said["Code"], said["Code"])
            return code, said.get("Message", "")
        # These say of each object, or statement, how it went.
        said = answer.get("Errors", [{}])[0] if operation == "DeleteObjects" else {}
        if operation == "BatchExecuteStatement":
            said = answer["Responses"][0].get("Error", {})
        return said.get("Code", ""), said.get("Message", "")

    def may(self, user, *statements):
        document = {"Version": "2012-10-17", "Statement": list(statements)}
        self.iam.put_user_policy(UserName=user, PolicyName="p", PolicyDocument=json.dumps(document))


def python_name(operation):
    return xform_name(operation)


def other_account(cloud):
    made = cloud.command("account", "create", "table-other")
    assert made.returncode == 0, made.stderr
    key, secret = re.match(r"export AWS_ACCESS_KEY_ID=(\S+) AWS_SECRET_ACCESS_KEY=(\S+) ", made.stdout).groups()
    return key, secret, None


RESEAL = """
const crypto = require('crypto');
const [key, token, purpose] = process.argv.slice(1);
const sealed = Buffer.from(token, 'base64');
const master = crypto.createHmac('sha256', Buffer.from(key, 'hex')).update('session tokens').digest();
const open = crypto.createDecipheriv('aes-256-gcm', master, sealed.subarray(0, 12));
open.setAAD(Buffer.from(purpose));
open.setAuthTag(sealed.subarray(-16));
const session = JSON.parse(Buffer.concat([open.update(sealed.subarray(12, -16)), open.final()]));
session.expires_unix_s = 1000000000;
const nonce = crypto.randomBytes(12);
const seal = crypto.createCipheriv('aes-256-gcm', master, nonce);
seal.setAAD(Buffer.from(purpose));
const text = Buffer.concat([seal.update(JSON.stringify(session)), seal.final()]);
console.log(Buffer.concat([nonce, text, seal.getAuthTag()]).toString('base64'));
"""


def expired(cloud, credentials):
    """The same session, as it is after its end: sealed anew with the key that only the server has."""
    key, secret, token = credentials
    master = (cloud.data / "master-key").read_text().strip()
    command = ["node", "-e", RESEAL, master, token, "session-token/2"]
    resealed = subprocess.run(command, capture_output=True, text=True, check=True, timeout=30)
    return key, secret, resealed.stdout.strip()


@pytest.fixture(scope="module")
def people(tmp_path_factory):
    cloud = Cloud(tmp_path_factory.mktemp("table"))
    cloud.start()
    yield People(cloud)
    cloud.close()


@pytest.mark.parametrize(("service", "operation"), operations(), ids=lambda part: part)
def test_operation(people, service, operation):
    which = (service, operation)

    def error(who):
        return people.error(who, service, operation)

    code, _ = error("no credentials")
    if which in UNSIGNED_TOO:
        assert code == "InvalidIdentityToken"
    else:
        # Nothing but a signature says which service is meant: without one it is a request to S3, which may not know it.
        assert code in NOT_SIGNED | {"400"}, f"no credentials: {code}"
        assert error("wrong secret")[0] in WRONG_SIGNATURE | DENIED, "wrong secret"
        assert error("deleted key")[0] in UNKNOWN_KEY | DENIED, "deleted key"
        # An answer to HEAD has no body, and so no words.
        ended = EXPIRED | ({"400"} if operation.startswith("Head") else set())
        assert error("expired token")[0] in ended, "expired token"
    if which in OPEN_TO_ALL | BY_TRUST:
        return
    head = operation.startswith("Head")
    denials = {}
    for who in ("no policy", "boundary without", "session policy without"):
        if which in NEEDS_NO_PERMISSION:
            continue
        code, message = error(who)
        assert code in DENIED, f"{who}: {code} {message}"
        denials[who] = message
    if not head and which not in NEEDS_NO_PERMISSION:
        assert "identity-based policy allows" in denials["no policy"], denials
        assert "permissions boundary allows" in denials["boundary without"], denials
        assert "session policy allows" in denials["session policy without"], denials
        assert ":user/table-none is not authorized to perform: " in denials["no policy"], denials
    if which in NEEDS_NO_PERMISSION:
        return

    # The message names the action, and allowing just what it names is enough.
    actions = []
    people.may("table-right", {"Effect": "Allow", "Action": "lambent:None", "Resource": "*"})
    for _step in range(10):
        code, message = error("right policy")
        if code not in DENIED:
            break
        named = re.search(r"is not authorized to perform: (\S+) on resource", message)
        action = named.group(1) if named else {"HeadBucket": "s3:ListBucket"}.get(operation, "s3:GetObject")
        assert action.split(":")[0] in (service, "iam", "lambda", "s3", "dynamodb"), action
        assert action not in actions, f"{action} is allowed, and still: {message}"
        actions.append(action)
        people.may("table-right", {"Effect": "Allow", "Action": actions, "Resource": "*"})
    assert code not in DENIED, f"right policy: {code} {message}"
    assert actions, "an operation that needs no action"

    everything = {"Effect": "Allow", "Action": "*", "Resource": "*"}
    people.may("table-deny", everything, {"Effect": "Deny", "Action": actions[0], "Resource": "*"})
    code, message = error("deny")
    assert code in DENIED, f"deny: {code} {message}"
    assert head or "with an explicit deny in an identity-based policy" in message, message

    check_other_account(people, service, operation)


def check_other_account(people, service, operation):
    """Another account's root sees nothing of this account: what it names by ARN or bucket is refused, the rest is its own."""
    given = minimal.inputs(service, operation)
    names_ours = any(":000000000000:" in str(value) for name, value in given.items() if "Document" not in name)
    code, message = people.error("other account", service, operation)
    if service == "s3" and "Bucket" in given and operation != "CreateBucket":
        assert code in DENIED, f"other account: {code} {message}"
    elif names_ours and service != "iam":
        assert code, "what another account names of ours is refused, or not found"
    elif not code:
        assert "000000000000" not in json.dumps(answer(people, service, operation), default=str)


def answer(people, service, operation):
    call = getattr(people.client("other account", service), python_name(operation))
    try:
        return call(**minimal.inputs(service, operation))
    except ClientError as error:
        return error.response


def test_all_services_are_in_the_table():
    models = tomllib.loads(MODELS.read_text())
    served = {name for name, entry in models.items() if isinstance(entry, dict)}
    assert served == set(SERVICES)
