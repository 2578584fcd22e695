"""Functions act as their role, with temporary credentials, and may do what it may."""

import json

import pytest
from botocore.exceptions import ClientError

from cloud import ACCOUNT
from conftest import make_role

WHO = """
    import os, boto3
    def handler(event, context):
        who = boto3.client("sts").get_caller_identity()
        return {"arn": who["Arn"], "account": who["Account"], "key": os.environ["AWS_ACCESS_KEY_ID"],
                "token": len(os.environ["AWS_SESSION_TOKEN"])}
"""
COPY = """
    import boto3
    s3 = boto3.client("s3")
    def handler(event, context):
        body = s3.get_object(Bucket=event["from"], Key="k")["Body"].read()
        s3.put_object(Bucket=event["to"], Key="k", Body=body.upper())
        return body.decode()
"""


def read(answer):
    return json.loads(answer["Payload"].read())


def test_who_a_function_is(awslambda, deploy):
    name = deploy(WHO)
    who = read(awslambda.invoke(FunctionName=name))
    assert who["arn"] == f"arn:aws:sts::{ACCOUNT}:assumed-role/function-role/{name}"
    assert who["account"] == ACCOUNT
    assert who["key"].startswith("ASIA")
    assert who["token"] > 0


def test_boto3_reaches_the_same_cloud(awslambda, s3, deploy, new_bucket):
    source, target = new_bucket(), new_bucket()
    s3.put_object(Bucket=source, Key="k", Body=b"quiet")
    event = json.dumps({"from": source, "to": target})
    answer = awslambda.invoke(FunctionName=deploy(COPY, Timeout=20), Payload=event)
    assert read(answer) == "quiet"
    assert s3.get_object(Bucket=target, Key="k")["Body"].read() == b"QUIET"


def test_a_role_that_may_only_read(awslambda, s3, iam, deploy, new_bucket, unique):
    source, target = new_bucket(), new_bucket()
    s3.put_object(Bucket=source, Key="k", Body=b"quiet")
    statement = {"Effect": "Allow", "Action": "s3:GetObject", "Resource": f"arn:aws:s3:::{source}/*"}
    reader = make_role(iam, unique("reader"), [statement])
    event = json.dumps({"from": source, "to": target})
    answer = awslambda.invoke(FunctionName=deploy(COPY, Role=reader, Timeout=20), Payload=event)
    assert answer["FunctionError"] == "Unhandled"
    problem = read(answer)
    assert problem["errorType"] in {"ClientError", "AccessDenied"}
    assert "AccessDenied" in problem["errorMessage"] and "PutObject" in problem["errorMessage"]
    with pytest.raises(ClientError):
        s3.head_object(Bucket=target, Key="k")


def test_the_credentials_are_no_root_key(awslambda, cloud, deploy):
    code = """
        import os
        def handler(event, context):
            return [os.environ[name] for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")]
    """
    key, secret, token = read(awslambda.invoke(FunctionName=deploy(code)))
    identity = cloud.client("sts", key=key, secret=secret, token=token).get_caller_identity()
    assert ":assumed-role/function-role/" in identity["Arn"]
    with pytest.raises(ClientError) as excinfo:
        cloud.client("sts", key=key, secret=secret).get_caller_identity()
    assert excinfo.value.response["ResponseMetadata"]["HTTPStatusCode"] == 403
