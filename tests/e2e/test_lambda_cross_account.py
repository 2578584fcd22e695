"""Functions' own policies: whom they let in of other accounts, and what roles of functions may not."""

import json
import re

import pytest
from botocore.exceptions import ClientError

from cloud import ACCOUNT, REGION
from conftest import make_role

ECHO = """
    def handler(event, context):
        return event
"""
READ = """
    import boto3
    s3 = boto3.client("s3")
    def handler(event, context):
        return s3.get_object(Bucket=event["bucket"], Key="k")["Body"].read().decode()
"""


def refused(call, **arguments):
    with pytest.raises(ClientError) as excinfo:
        call(**arguments)
    return excinfo.value.response["Error"]


@pytest.fixture(scope="module")
def other(cloud):
    made = cloud.command("account", "create", "callers", "--id", "777788889999")
    assert made.returncode == 0, made.stderr
    key, secret = re.match(r"export AWS_ACCESS_KEY_ID=(\S+) AWS_SECRET_ACCESS_KEY=(\S+) ", made.stdout).groups()
    return "777788889999", lambda service: cloud.client(service, key=key, secret=secret)


def test_another_account_invokes_by_arn(awslambda, deploy, other):
    account, client = other
    name = deploy(ECHO)
    arn = f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:{name}"
    theirs = client("lambda")
    error = refused(theirs.invoke, FunctionName=arn, Payload=b"1")
    assert error["Code"] == "AccessDeniedException"
    awslambda.add_permission(
        FunctionName=name, StatementId="them", Action="lambda:InvokeFunction", Principal=account
    )
    assert theirs.invoke(FunctionName=arn, Payload=b"7")["Payload"].read() == b"7"
    assert refused(theirs.get_function, FunctionName=arn)["Code"] == "AccessDeniedException"
    # A bare name is one of their own.
    assert refused(theirs.invoke, FunctionName=name, Payload=b"1")["Code"] == "ResourceNotFoundException"
    awslambda.remove_permission(FunctionName=name, StatementId="them")
    assert refused(theirs.invoke, FunctionName=arn, Payload=b"1")["Code"] == "AccessDeniedException"


def test_a_role_that_may_not_read_is_refused_inside(awslambda, s3, iam, deploy, new_bucket, unique):
    bucket = new_bucket()
    s3.put_object(Bucket=bucket, Key="k", Body=b"secret")
    name = deploy(READ, Role=make_role(iam, unique("blind"), []), Timeout=20)
    answer = awslambda.invoke(FunctionName=name, Payload=json.dumps({"bucket": bucket}))
    problem = json.loads(answer["Payload"].read())
    assert answer["FunctionError"] == "Unhandled"
    assert "AccessDenied" in problem["errorMessage"] and "GetObject" in problem["errorMessage"]
    assert "no identity-based policy allows the s3:GetObject action" in problem["errorMessage"]


def test_a_policy_by_itself_lets_in_a_role_of_the_account(awslambda, cloud, iam, sts, deploy, unique):
    name, guest = deploy(ECHO), unique("guest")
    make_role(iam, guest, [])
    trust = {"Effect": "Allow", "Principal": {"AWS": ACCOUNT}, "Action": "sts:AssumeRole"}
    iam.update_assume_role_policy(
        RoleName=guest, PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": trust})
    )
    arn = f"arn:aws:iam::{ACCOUNT}:role/{guest}"
    session = sts.assume_role(RoleArn=arn, RoleSessionName="me")["Credentials"]
    theirs = cloud.client(
        "lambda", key=session["AccessKeyId"], secret=session["SecretAccessKey"], token=session["SessionToken"]
    )
    assert refused(theirs.invoke, FunctionName=name, Payload=b"1")["Code"] == "AccessDeniedException"
    awslambda.add_permission(
        FunctionName=name, StatementId="guest", Action="lambda:InvokeFunction", Principal=arn
    )
    assert theirs.invoke(FunctionName=name, Payload=b"7")["Payload"].read() == b"7"


def test_a_notification_needs_the_functions_word(s3, awslambda, deploy, bucket):
    name = deploy(ECHO)
    arn = f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:{name}"
    wanted = {"LambdaFunctionConfigurations": [{"LambdaFunctionArn": arn, "Events": ["s3:ObjectCreated:*"]}]}
    put = lambda: s3.put_bucket_notification_configuration(Bucket=bucket, NotificationConfiguration=wanted)
    assert refused(put)["Code"] == "InvalidArgument"
    given = {"FunctionName": name, "Action": "lambda:InvokeFunction", "Principal": "s3.amazonaws.com"}
    awslambda.add_permission(StatementId="elsewhere", SourceArn="arn:aws:s3:::another-bucket", **given)
    awslambda.add_permission(
        StatementId="others", SourceArn=f"arn:aws:s3:::{bucket}", SourceAccount="111111111111", **given
    )
    assert refused(put)["Code"] == "InvalidArgument"
    awslambda.add_permission(
        StatementId="here", SourceArn=f"arn:aws:s3:::{bucket}", SourceAccount=ACCOUNT, **given
    )
    put()
