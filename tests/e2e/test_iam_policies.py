"""Managed policies, what they are attached to, and boundaries: in force with the next request."""

import json

import pytest
from botocore.exceptions import ClientError

from cloud import ACCOUNT, REGION, eventually

READ_ONLY = "arn:aws:iam::aws:policy/AmazonS3ReadOnlyAccess"
BASIC = "arn:aws:iam::aws:policy/service-role/AWSLambdaBasicExecutionRole"


def document(*statements):
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


def allow(*actions, resource="*"):
    return {"Effect": "Allow", "Action": list(actions), "Resource": resource}


def refusal(call):
    with pytest.raises(ClientError) as refused:
        call()
    answer = refused.value.response
    return answer["ResponseMetadata"]["HTTPStatusCode"], answer["Error"]["Code"], answer["Error"]["Message"]


@pytest.fixture
def policy(iam, unique):
    """Makes a managed policy, gives its ARN."""

    def make(*statements, **more):
        request = {"PolicyName": unique("policy"), "PolicyDocument": document(*statements), **more}
        return iam.create_policy(**request)["Policy"]["Arn"]

    return make


@pytest.fixture
def worker(cloud, iam, sts, unique):
    """A role that the account may take, and clients of a session of it."""
    name = unique("worker")
    trust = {"Effect": "Allow", "Principal": {"AWS": ACCOUNT}, "Action": "sts:AssumeRole"}
    role = iam.create_role(RoleName=name, AssumeRolePolicyDocument=document(trust))["Role"]
    credentials = sts.assume_role(RoleArn=role["Arn"], RoleSessionName="test")["Credentials"]

    def client(service):
        key = (credentials["AccessKeyId"], credentials["SecretAccessKey"], credentials["SessionToken"])
        return cloud.client(service, *key)

    return name, client


def can(call):
    try:
        call()
        return True
    except ClientError as error:
        assert error.response["Error"]["Code"] in ("AccessDenied", "AccessDeniedException"), error
        return False


def test_in_force_with_the_next_request(iam, worker, policy, bucket):
    name, client = worker
    s3 = client("s3")
    reads = lambda: can(lambda: s3.list_objects_v2(Bucket=bucket))
    writes = lambda: can(lambda: s3.put_object(Bucket=bucket, Key="k", Body=b"v"))
    assert not reads()
    arn = policy(allow("s3:ListBucket"))
    iam.attach_role_policy(RoleName=name, PolicyArn=arn)
    assert (reads(), writes()) == (True, False)

    iam.create_policy_version(PolicyArn=arn, PolicyDocument=document(allow("s3:PutObject")))
    assert (reads(), writes()) == (True, False)
    iam.set_default_policy_version(PolicyArn=arn, VersionId="v2")
    assert (reads(), writes()) == (False, True)
    iam.create_policy_version(PolicyArn=arn, PolicyDocument=document(allow("s3:*")), SetAsDefault=True)
    assert (reads(), writes()) == (True, True)

    iam.put_role_permissions_boundary(RoleName=name, PermissionsBoundary=READ_ONLY)
    assert (reads(), writes()) == (True, False)
    iam.delete_role_permissions_boundary(RoleName=name)
    assert (reads(), writes()) == (True, True)
    iam.detach_role_policy(RoleName=name, PolicyArn=arn)
    assert (reads(), writes()) == (False, False)


def test_users_and_groups(cloud, iam, policy, bucket, unique):
    user, group = unique("user"), unique("group")
    iam.create_user(UserName=user)
    iam.create_group(GroupName=group)
    key = iam.create_access_key(UserName=user)["AccessKey"]
    s3 = cloud.client("s3", key["AccessKeyId"], key["SecretAccessKey"])
    reads = lambda: can(lambda: s3.list_objects_v2(Bucket=bucket))
    assert not reads()
    iam.attach_group_policy(GroupName=group, PolicyArn=READ_ONLY)
    iam.add_user_to_group(GroupName=group, UserName=user)
    assert reads()
    iam.detach_group_policy(GroupName=group, PolicyArn=READ_ONLY)
    assert not reads()
    iam.attach_user_policy(UserName=user, PolicyArn=READ_ONLY)
    assert reads()
    iam.put_user_permissions_boundary(UserName=user, PermissionsBoundary=policy(allow("sqs:*")))
    assert not reads()


def test_a_function_writes_its_log_by_the_basic_role(iam, awslambda, logs, deploy, unique):
    name = unique("basic")
    trust = {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}
    role = iam.create_role(RoleName=name, AssumeRolePolicyDocument=document(trust))["Role"]["Arn"]
    iam.attach_role_policy(RoleName=name, PolicyArn=BASIC)
    code = """
import boto3

def handler(event, context):
    try:
        boto3.client("s3").list_buckets()
    except Exception as error:
        return str(error)
"""
    function = deploy(code, Role=role)
    answer = json.load(awslambda.invoke(FunctionName=function)["Payload"])
    assert "no identity-based policy allows the s3:ListAllMyBuckets action" in answer
    eventually(lambda: logs.describe_log_groups(logGroupNamePrefix=f"/aws/lambda/{function}")["logGroups"])


def test_versions(iam, policy):
    arn = policy(allow("s3:GetObject"))
    for number in range(2, 6):
        version = iam.create_policy_version(PolicyArn=arn, PolicyDocument=document(allow(f"s3:Get{number}")))
        assert version["PolicyVersion"]["VersionId"] == f"v{number}"
        assert not version["PolicyVersion"]["IsDefaultVersion"]
    sixth = lambda: iam.create_policy_version(PolicyArn=arn, PolicyDocument=document(allow("*")))
    status, code, message = refusal(sixth)
    assert (status, code) == (409, "LimitExceeded")
    assert message.startswith("A managed policy can have up to 5 versions.")
    listed = iam.list_policy_versions(PolicyArn=arn)["Versions"]
    assert [version["VersionId"] for version in listed] == ["v5", "v4", "v3", "v2", "v1"]
    got = iam.get_policy_version(PolicyArn=arn, VersionId="v3")["PolicyVersion"]
    assert got["Document"]["Statement"] == [allow("s3:Get3")]
    default = refusal(lambda: iam.delete_policy_version(PolicyArn=arn, VersionId="v1"))
    assert default == (409, "DeleteConflict", "Cannot delete the default version of a policy.")
    missing = refusal(lambda: iam.get_policy_version(PolicyArn=arn, VersionId="v9"))
    assert missing == (404, "NoSuchEntity", f"Policy {arn} version v9 does not exist or is not attachable.")
    iam.delete_policy_version(PolicyArn=arn, VersionId="v5")
    again = iam.create_policy_version(PolicyArn=arn, PolicyDocument=document(allow("s3:GetObject")))
    assert again["PolicyVersion"]["VersionId"] == "v6"
    assert refusal(lambda: iam.delete_policy(PolicyArn=arn))[1] == "DeleteConflict"
    for version in iam.list_policy_versions(PolicyArn=arn)["Versions"]:
        if not version["IsDefaultVersion"]:
            iam.delete_policy_version(PolicyArn=arn, VersionId=version["VersionId"])
    iam.delete_policy(PolicyArn=arn)
    assert refusal(lambda: iam.get_policy(PolicyArn=arn)) == (404, "NoSuchEntity", f"Policy {arn} was not found.")


def test_attachments_are_counted_and_listed(iam, policy, worker, unique):
    role, _ = worker
    user, group = unique("user"), unique("group")
    iam.create_user(UserName=user, Path="/staff/")
    iam.create_group(GroupName=group)
    arn = policy(allow("s3:GetObject"), Path="/team/", Description="reads", Tags=[{"Key": "a", "Value": "b"}])
    for _ in range(2):
        iam.attach_role_policy(RoleName=role, PolicyArn=arn)
    iam.attach_user_policy(UserName=user, PolicyArn=arn)
    iam.attach_group_policy(GroupName=group, PolicyArn=arn)
    iam.put_user_permissions_boundary(UserName=user, PermissionsBoundary=arn)
    got = iam.get_policy(PolicyArn=arn)["Policy"]
    assert (got["AttachmentCount"], got["PermissionsBoundaryUsageCount"]) == (3, 1)
    assert (got["Description"], got["Path"], got["Tags"]) == ("reads", "/team/", [{"Key": "a", "Value": "b"}])
    entities = iam.list_entities_for_policy(PolicyArn=arn)
    assert [entity["UserName"] for entity in entities["PolicyUsers"]] == [user]
    assert [entity["GroupName"] for entity in entities["PolicyGroups"]] == [group]
    assert [entity["RoleName"] for entity in entities["PolicyRoles"]] == [role]
    staff = iam.list_entities_for_policy(PolicyArn=arn, PathPrefix="/staff/")
    assert (len(staff["PolicyUsers"]), len(staff["PolicyRoles"])) == (1, 0)
    bounds = iam.list_entities_for_policy(PolicyArn=arn, PolicyUsageFilter="PermissionsBoundary")
    assert (len(bounds["PolicyUsers"]), len(bounds["PolicyRoles"])) == (1, 0)
    listed = iam.list_policies(Scope="Local", PathPrefix="/team/", OnlyAttached=True)["Policies"]
    assert arn in [found["Arn"] for found in listed]
    assert iam.list_attached_role_policies(RoleName=role, PathPrefix="/other/")["AttachedPolicies"] == []

    renamed = unique("user")
    iam.update_user(UserName=user, NewUserName=renamed)
    entities = iam.list_entities_for_policy(PolicyArn=arn, EntityFilter="User")
    assert [entity["UserName"] for entity in entities["PolicyUsers"]] == [renamed]
    conflict = (409, "DeleteConflict", "Cannot delete a policy attached to entities.")
    assert refusal(lambda: iam.delete_policy(PolicyArn=arn)) == conflict
    detach_first = (409, "DeleteConflict", "Cannot delete entity, must detach all policies first.")
    assert refusal(lambda: iam.delete_role(RoleName=role)) == detach_first
    iam.detach_user_policy(UserName=renamed, PolicyArn=arn)
    iam.detach_group_policy(GroupName=group, PolicyArn=arn)
    iam.detach_role_policy(RoleName=role, PolicyArn=arn)
    gone = (404, "NoSuchEntity", f"Policy {arn} was not found.")
    assert refusal(lambda: iam.detach_role_policy(RoleName=role, PolicyArn=arn)) == gone
    assert refusal(lambda: iam.delete_policy(PolicyArn=arn)) == conflict, "it is a boundary"
    iam.delete_user(UserName=renamed)
    iam.delete_policy(PolicyArn=arn)


def test_a_principal_has_ten_policies(iam, worker, policy):
    role, _ = worker
    for _ in range(10):
        iam.attach_role_policy(RoleName=role, PolicyArn=policy(allow("s3:GetObject")))
    one_more = refusal(lambda: iam.attach_role_policy(RoleName=role, PolicyArn=READ_ONLY))
    assert one_more == (409, "LimitExceeded", "Cannot exceed quota for PoliciesPerRole: 10")
    first = iam.list_attached_role_policies(RoleName=role, MaxItems=4)
    assert first["IsTruncated"]
    rest = iam.list_attached_role_policies(RoleName=role, Marker=first["Marker"])
    assert (len(first["AttachedPolicies"]), len(rest["AttachedPolicies"]), rest["IsTruncated"]) == (4, 6, False)


def test_policies_of_aws(iam):
    got = iam.get_policy(PolicyArn=BASIC)["Policy"]
    assert (got["PolicyId"], got["DefaultVersionId"]) == ("ANPAJNCQGXC42545SKXIK", "v1")
    statement = iam.get_policy_version(PolicyArn=BASIC, VersionId="v1")["PolicyVersion"]["Document"]["Statement"]
    actions = ["logs:CreateLogGroup", "logs:CreateLogStream", "logs:PutLogEvents"]
    assert statement == [{"Effect": "Allow", "Action": actions, "Resource": "*"}]
    pages = iam.get_paginator("list_policies").paginate(Scope="AWS", PaginationConfig={"PageSize": 25})
    names = [found["PolicyName"] for page in pages for found in page["Policies"]]
    assert len(names) == len(set(names)) >= 45
    assert {"AdministratorAccess", "AmazonDynamoDBFullAccess", "AWSXRayDaemonWriteAccess"} <= set(names)
    for change in [
        lambda: iam.delete_policy(PolicyArn=BASIC),
        lambda: iam.create_policy_version(PolicyArn=BASIC, PolicyDocument=document(allow("*")), SetAsDefault=True),
        lambda: iam.tag_policy(PolicyArn=BASIC, Tags=[{"Key": "a", "Value": "b"}]),
    ]:
        assert refusal(change)[:2] == (403, "AccessDenied")
    nowhere = "arn:aws:iam::aws:policy/AWSLambdaBasicExecutionRole"
    assert refusal(lambda: iam.get_policy(PolicyArn=nowhere))[1] == "NoSuchEntity"


def test_what_cannot_be(iam, worker, policy, unique):
    role, _ = worker
    missing = f"arn:aws:iam::{ACCOUNT}:policy/{unique('missing')}"
    attach = refusal(lambda: iam.attach_role_policy(RoleName=role, PolicyArn=missing))
    assert attach == (404, "NoSuchEntity", f"Policy {missing} does not exist or is not attachable.")
    bound = refusal(lambda: iam.put_role_permissions_boundary(RoleName=role, PermissionsBoundary=missing))
    assert bound == (404, "NoSuchEntity", f"Scope ARN: {missing} does not exist or is not attachable.")
    name = unique("policy")
    iam.create_policy(PolicyName=name, PolicyDocument=document(allow("s3:GetObject")))
    twice = refusal(lambda: iam.create_policy(PolicyName=name, PolicyDocument=document(allow("s3:GetObject"))))
    taken = f"A policy called {name} already exists. Duplicate names are not allowed."
    assert twice == (409, "EntityAlreadyExists", taken)
    long = document(allow(*[f"s3:Get{'x' * 100}{number}" for number in range(60)]))
    large = refusal(lambda: iam.create_policy(PolicyName=unique("p"), PolicyDocument=long))
    assert large == (409, "LimitExceeded", "Cannot exceed quota for PolicySize: 6144")
    broken = refusal(lambda: iam.create_policy(PolicyName=unique("p"), PolicyDocument="{}"))
    assert broken[:2] == (400, "MalformedPolicyDocument")


def test_roles_whole(iam, unique):
    name, path = unique("role"), f"/{unique('path')}/"
    trust = document({"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"})
    tags = [{"Key": "Team", "Value": "a"}]
    iam.create_role(RoleName=name, Path=path, AssumeRolePolicyDocument=trust, Tags=tags, PermissionsBoundary=READ_ONLY)
    got = iam.get_role(RoleName=name)["Role"]
    bound = {"PermissionsBoundaryArn": READ_ONLY, "PermissionsBoundaryType": "Policy"}
    assert (got["PermissionsBoundary"], got["Tags"], got["MaxSessionDuration"]) == (bound, tags, 3600)
    iam.update_role(RoleName=name, Description="new", MaxSessionDuration=7200)
    iam.tag_role(RoleName=name, Tags=[{"Key": "team", "Value": "b"}, {"Key": "x", "Value": ""}])
    iam.untag_role(RoleName=name, TagKeys=["X"])
    assert iam.list_role_tags(RoleName=name)["Tags"] == [{"Key": "team", "Value": "b"}]
    got = iam.get_role(RoleName=name)["Role"]
    assert (got["Description"], got["MaxSessionDuration"]) == ("new", 7200)
    other = document({"Effect": "Allow", "Principal": {"AWS": ACCOUNT}, "Action": "sts:AssumeRole"})
    iam.update_assume_role_policy(RoleName=name, PolicyDocument=other)
    assert iam.get_role(RoleName=name)["Role"]["AssumeRolePolicyDocument"] == json.loads(other)
    assert [role["RoleName"] for role in iam.list_roles(PathPrefix=path)["Roles"]] == [name]
    iam.delete_role(RoleName=name)
    assert refusal(lambda: iam.get_role(RoleName=name))[1] == "NoSuchEntity"


def test_last_use_of_a_role(iam, worker):
    name, client = worker
    assert iam.get_role(RoleName=name)["Role"]["RoleLastUsed"] == {}
    client("sts").get_caller_identity()
    used = eventually(lambda: iam.get_role(RoleName=name)["Role"]["RoleLastUsed"])
    assert used["Region"] == REGION


def test_identity_providers(iam, unique):
    url = f"https://{unique('idp')}.example.com/tenant"
    arn = iam.create_open_id_connect_provider(Url=url, ClientIDList=["a"], ThumbprintList=["0" * 40])[
        "OpenIDConnectProviderArn"
    ]
    assert arn == f"arn:aws:iam::{ACCOUNT}:oidc-provider/{url.removeprefix('https://')}"
    iam.add_client_id_to_open_id_connect_provider(OpenIDConnectProviderArn=arn, ClientID="b")
    iam.remove_client_id_from_open_id_connect_provider(OpenIDConnectProviderArn=arn, ClientID="a")
    iam.update_open_id_connect_provider_thumbprint(OpenIDConnectProviderArn=arn, ThumbprintList=["f" * 40])
    iam.tag_open_id_connect_provider(OpenIDConnectProviderArn=arn, Tags=[{"Key": "k", "Value": "v"}])
    got = iam.get_open_id_connect_provider(OpenIDConnectProviderArn=arn)
    assert (got["Url"], got["ClientIDList"]) == (url.removeprefix("https://"), ["b"])
    assert (got["ThumbprintList"], got["Tags"]) == (["f" * 40], [{"Key": "k", "Value": "v"}])
    assert {"Arn": arn} in iam.list_open_id_connect_providers()["OpenIDConnectProviderList"]
    assert refusal(lambda: iam.create_open_id_connect_provider(Url=url))[1] == "EntityAlreadyExists"
    assert refusal(lambda: iam.create_open_id_connect_provider(Url="http://idp.example.com"))[1] == "ValidationError"
    iam.delete_open_id_connect_provider(OpenIDConnectProviderArn=arn)
    gone = refusal(lambda: iam.get_open_id_connect_provider(OpenIDConnectProviderArn=arn))
    assert gone == (404, "NoSuchEntity", f"OpenIDConnect Provider not found for arn {arn}")

    metadata = '<EntityDescriptor entityID="x">' + "." * 100_000 + "</EntityDescriptor>"
    saml = iam.create_saml_provider(Name=unique("saml"), SAMLMetadataDocument=metadata)["SAMLProviderArn"]
    assert iam.get_saml_provider(SAMLProviderArn=saml)["SAMLMetadataDocument"] == metadata
    iam.update_saml_provider(SAMLProviderArn=saml, SAMLMetadataDocument=metadata[:50] + metadata[90_000:])
    assert len(iam.get_saml_provider(SAMLProviderArn=saml)["SAMLMetadataDocument"]) < 20_000
    assert saml in [provider["Arn"] for provider in iam.list_saml_providers()["SAMLProviderList"]]
    iam.delete_saml_provider(SAMLProviderArn=saml)
    assert refusal(lambda: iam.get_saml_provider(SAMLProviderArn=saml))[1] == "NoSuchEntity"


def test_what_is_simulated_happens(cloud, iam, policy, bucket, unique):
    name = unique("user")
    iam.create_user(UserName=name, Tags=[{"Key": "Team", "Value": "blue"}])
    key = iam.create_access_key(UserName=name)["AccessKey"]
    s3 = cloud.client("s3", key["AccessKeyId"], key["SecretAccessKey"])
    objects = f"arn:aws:s3:::{bucket}"
    own = allow("s3:GetObject", "s3:DeleteObject", resource=f"{objects}/${{aws:username}}/*")
    is_blue = {"StringEquals": {"aws:PrincipalTag/Team": "blue"}}
    put = {**allow("s3:PutObject", resource=f"{objects}/*"), "Condition": is_blue}
    iam.attach_user_policy(UserName=name, PolicyArn=policy(own, put))
    deny = {"Effect": "Deny", "Action": "s3:*", "Resource": f"{objects}/{name}/secret*"}
    iam.put_user_policy(UserName=name, PolicyName="inline", PolicyDocument=document(deny))
    iam.put_user_permissions_boundary(UserName=name, PermissionsBoundary=policy(allow("s3:GetObject", "s3:PutObject")))

    def happens(action, key):
        calls = {
            "s3:PutObject": lambda: s3.put_object(Bucket=bucket, Key=key, Body=b"v"),
            "s3:GetObject": lambda: s3.get_object(Bucket=bucket, Key=key),
            "s3:DeleteObject": lambda: s3.delete_object(Bucket=bucket, Key=key),
        }
        try:
            return can(calls[action])
        except AssertionError as error:
            assert "NoSuchKey" in str(error)
            return True

    keys = [f"{name}/a", f"{name}/secret", "other/a"]
    actions = ["s3:PutObject", "s3:GetObject", "s3:DeleteObject"]
    pages = iam.get_paginator("simulate_principal_policy").paginate(
        PolicySourceArn=f"arn:aws:iam::{ACCOUNT}:user/{name}",
        ActionNames=actions,
        ResourceArns=[f"{objects}/{key}" for key in keys],
        PaginationConfig={"PageSize": 4},
    )
    results = [result for page in pages for result in page["EvaluationResults"]]
    assert len(results) == len(actions) * len(keys)
    decisions = set()
    for result in results:
        action, key = result["EvalActionName"], result["EvalResourceName"].removeprefix(f"{objects}/")
        decisions.add(result["EvalDecision"])
        assert (result["EvalDecision"] == "allowed") == happens(action, key), result
        bounded = result["PermissionsBoundaryDecisionDetail"]["AllowedByPermissionsBoundary"]
        assert bounded == (action != "s3:DeleteObject")
    assert decisions == {"allowed", "explicitDeny", "implicitDeny"}
    denied = next(result for result in results if result["EvalDecision"] == "explicitDeny")
    assert denied["MatchedStatements"][0]["SourcePolicyId"] == f"user_{name}_inline"


def test_custom_policies_are_simulated(iam):
    condition = {"StringEquals": {"s3:x-amz-acl": "private"}}
    documents = [document({**allow("s3:PutObject"), "Condition": condition}), document(allow("s3:Get*"))]
    ask = lambda **more: iam.simulate_custom_policy(
        PolicyInputList=documents, ActionNames=["s3:PutObject", "s3:GetObject"], **more
    )["EvaluationResults"]
    put, get = ask()
    assert (put["EvalDecision"], put["MissingContextValues"]) == ("implicitDeny", ["s3:x-amz-acl"])
    assert (get["EvalDecision"], get["EvalResourceName"]) == ("allowed", "*")
    assert get["MatchedStatements"][0]["SourcePolicyId"] == "PolicyInputList.2"
    entry = {"ContextKeyName": "s3:x-amz-acl", "ContextKeyType": "string", "ContextKeyValues": ["private"]}
    put, _ = ask(ContextEntries=[entry])
    assert put["EvalDecision"] == "allowed"
    assert iam.get_context_keys_for_custom_policy(PolicyInputList=documents)["ContextKeyNames"] == ["s3:x-amz-acl"]
    for broken in [{"PolicyInputList": ["{"]}, {"ResourcePolicy": documents[0]}]:
        request = {"PolicyInputList": documents, "ActionNames": ["s3:GetObject"], **broken}
        assert refusal(lambda: iam.simulate_custom_policy(**request))[:2] == (400, "InvalidInput")


def test_who_may_use_a_service(iam, policy, worker):
    role, _ = worker
    arn = policy(allow("s3:GetObject"))
    iam.attach_role_policy(RoleName=role, PolicyArn=arn)
    iam.put_role_policy(RoleName=role, PolicyName="inline", PolicyDocument=document(allow("sqs:*", "s3:*")))
    listed = iam.list_policies_granting_service_access(
        Arn=f"arn:aws:iam::{ACCOUNT}:role/{role}", ServiceNamespaces=["s3", "sqs", "sns"]
    )["PoliciesGrantingServiceAccess"]
    names = {entry["ServiceNamespace"]: [found["PolicyType"] for found in entry["Policies"]] for entry in listed}
    assert names == {"s3": ["INLINE", "MANAGED"], "sqs": ["INLINE"], "sns": []}
    keys = iam.get_context_keys_for_principal_policy(PolicySourceArn=f"arn:aws:iam::{ACCOUNT}:role/{role}")
    assert keys["ContextKeyNames"] == []


def test_roles_only_below_a_boundary(cloud, iam, policy, unique):
    name, boundary = unique("boss"), policy(allow("s3:GetObject"))
    iam.create_user(UserName=name)
    condition = {"StringEquals": {"iam:PermissionsBoundary": boundary}}
    delegated = {**allow("iam:CreateRole", "iam:AttachRolePolicy", "iam:PutRolePolicy"), "Condition": condition}
    iam.put_user_policy(UserName=name, PolicyName="delegated", PolicyDocument=document(delegated))
    key = iam.create_access_key(UserName=name)["AccessKey"]
    boss = cloud.client("iam", key["AccessKeyId"], key["SecretAccessKey"])
    trust = document({"Effect": "Allow", "Principal": {"AWS": ACCOUNT}, "Action": "sts:AssumeRole"})
    free, bound = unique("role"), unique("role")
    assert not can(lambda: boss.create_role(RoleName=free, AssumeRolePolicyDocument=trust))
    assert can(lambda: boss.create_role(RoleName=bound, AssumeRolePolicyDocument=trust, PermissionsBoundary=boundary))
    iam.create_role(RoleName=free, AssumeRolePolicyDocument=trust)
    for role, allowed in [(free, False), (bound, True)]:
        assert can(lambda: boss.attach_role_policy(RoleName=role, PolicyArn=READ_ONLY)) == allowed
    assert not can(lambda: boss.delete_role_permissions_boundary(RoleName=bound))
