"""Who may make something may not by that give it tags, which policies ask for: that wants leave of its own."""

import json

import pytest
from botocore.exceptions import ClientError

import packages
from cloud import ACCOUNT

TRUST = {"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"Service": "lambda.amazonaws.com"}}
SAML = '<EntityDescriptor entityID="x">' + "." * 2_000 + "</EntityDescriptor>"
LIST = [{"Key": "team", "Value": "a"}]
MAP = {"team": "a"}


def document(*statements):
    return json.dumps({"Version": "2012-10-17", "Statement": statements})


def allow(*actions):
    return {"Effect": "Allow", "Action": list(actions), "Resource": "*"}


def make_table(client, name, role, **more):
    client("dynamodb").create_table(
        TableName=name,
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
        **more,
    )


def make_function(client, name, role, **more):
    code = {"ZipFile": packages.python("def handler(event, context): return 1")}
    settings = {"Runtime": "python3.13", "Handler": "index.handler", "Role": role, "Code": code}
    client("lambda").create_function(FunctionName=name, **settings, **more)


def make_signing(client, name, role, **more):
    profile = f"arn:aws:signer:us-east-1:{ACCOUNT}:/signing-profiles/one/abcdefghij"
    publishers = {"SigningProfileVersionArns": [profile]}
    client("lambda").create_code_signing_config(AllowedPublishers=publishers, **more)


def make_role(client, name, role, **more):
    client("iam").create_role(RoleName=name, AssumeRolePolicyDocument=document(TRUST), **more)


def make_policy(client, name, role, **more):
    client("iam").create_policy(PolicyName=name, PolicyDocument=document(allow("s3:GetObject")), **more)


def make_user(client, name, role, **more):
    client("iam").create_user(UserName=name, **more)


def make_oidc(client, name, role, **more):
    client("iam").create_open_id_connect_provider(Url=f"https://{name}.example.com", ThumbprintList=["a" * 40], **more)


def make_saml(client, name, role, **more):
    client("iam").create_saml_provider(Name=name, SAMLMetadataDocument=SAML, **more)


@pytest.mark.parametrize(
    "make, creates, tags, given",
    [
        (make_table, ["dynamodb:CreateTable"], "dynamodb:TagResource", LIST),
        (make_function, ["lambda:CreateFunction", "iam:PassRole"], "lambda:TagResource", MAP),
        (make_signing, ["lambda:CreateCodeSigningConfig"], "lambda:TagResource", MAP),
        (make_role, ["iam:CreateRole"], "iam:TagRole", LIST),
        (make_policy, ["iam:CreatePolicy"], "iam:TagPolicy", LIST),
        (make_user, ["iam:CreateUser"], "iam:TagUser", LIST),
        (make_oidc, ["iam:CreateOpenIDConnectProvider"], "iam:TagOpenIDConnectProvider", LIST),
        (make_saml, ["iam:CreateSAMLProvider"], "iam:TagSAMLProvider", LIST),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_tags_want_leave_of_their_own(cloud, iam, unique, role, make, creates, tags, given):
    maker = unique("maker")
    iam.create_user(UserName=maker)
    iam.put_user_policy(UserName=maker, PolicyName="make", PolicyDocument=document(allow(*creates)))
    key = iam.create_access_key(UserName=maker)["AccessKey"]
    client = lambda service: cloud.client(service, key["AccessKeyId"], key["SecretAccessKey"])
    make(client, unique("plain"), role)
    with pytest.raises(ClientError) as excinfo:
        make(client, unique("tagged"), role, Tags=given)
    error = excinfo.value.response["Error"]
    assert error["Code"] in ("AccessDenied", "AccessDeniedException")
    assert f"is not authorized to perform: {tags} on resource: " in error["Message"]
    iam.put_user_policy(UserName=maker, PolicyName="tag", PolicyDocument=document(allow(tags)))
    make(client, unique("tagged"), role, Tags=given)
