"""What AWS answered to IAM's recorded tests, played again: users, credentials, documents, roles, attachments.

The tests' names and answers tell what was asked. Roles of services and simulations are in `test_iam_recorded_roles.py`.
"""

import json

import pytest

import replay as replays
from cloud import ACCOUNT, REGION

FILE = "iam/test_iam"
STACKS = "iam/resource_providers/test_iam"

# Its resource has percent signs in it: what IAM escapes in answers must not be escaped twice, nor opened once too often.
ENCODED = f"arn%3Aaws%3Aapigateway%3A{REGION}%3A%3A%2Frestapis%2Faaeeieije"
ENCODED_POLICY = {
    "Version": "2012-10-17",
    "Statement": [
        {
            "Effect": "Allow",
            "Action": ["apigatway:PUT"],
            "Resource": [f"arn:aws:apigateway:{REGION}::/tags/{ENCODED}"],
        }
    ],
}


def trust(service, action="sts:AssumeRole", **more):
    statement = {"Effect": "Allow", "Principal": {"Service": service}, "Action": action, **more}
    return {"Version": "2012-10-17", "Statement": [statement]}


@pytest.fixture
def play(cloud, unique):
    """Begins to play a recorded test again; at the end no answer may differ without a known reason."""
    begun = []
    client = cloud.client("iam", parameter_validation=False)

    def play(test, file=FILE):
        begun.append(replays.Replay(client, None, unique, test, file))
        return begun[-1]

    yield play
    for played in begun:
        played.end()


def user_of(r, step="create-user-response"):
    name = r.unique("user")
    r.call(step, "create_user", UserName=name)
    return name


@pytest.mark.parametrize("kind", ["user", "group"])
def test_documents_with_percent_signs(play, kind):
    r = play(f"TestIAMPolicyEncoding::test_put_{kind}_policy_encoding")
    who = {f"{kind.capitalize()}Name": r.unique(kind)}
    r.call(None, f"create_{kind}", **who)
    policy = {**who, "PolicyName": r.unique("policy")}
    r.call(None, f"put_{kind}_policy", PolicyDocument=json.dumps(ENCODED_POLICY), **policy)
    r.call("get-policy-response", f"get_{kind}_policy", **policy)


def test_documents_of_roles_with_percent_signs(play):
    r = play("TestIAMPolicyEncoding::test_put_role_policy_encoding")
    who, path = {"RoleName": r.unique("role")}, f"/{r.unique('path')}/"
    document = trust("lambda.amazonaws.com", Condition={"StringEquals": {"aws:SourceArn": ENCODED}})
    r.call("create-role-response", "create_role", Path=path, AssumeRolePolicyDocument=json.dumps(document), **who)
    policy = {**who, "PolicyName": r.unique("policy")}
    r.call(None, "put_role_policy", PolicyDocument=json.dumps(ENCODED_POLICY), **policy)
    r.call("get-policy-response", "get_role_policy", **policy)
    r.call("get-role-response", "get_role", **who)
    r.call("list-roles-response", "list_roles", PathPrefix=path)


def credential_of(r, name, service="codecommit.amazonaws.com"):
    step = "create-service-specific-credential-response"
    made = r.call(step, "create_service_specific_credential", UserName=name, ServiceName=service)
    return made["ServiceSpecificCredential"]["ServiceSpecificCredentialId"]


@pytest.mark.parametrize("service", ["codecommit.amazonaws.com", "cassandra.amazonaws.com"])
def test_service_credentials(play, service):
    r = play(f"TestIAMServiceSpecificCredentials::test_service_specific_credential_lifecycle[{service}]")
    name = user_of(r)
    one = {"UserName": name, "ServiceSpecificCredentialId": credential_of(r, name, service)}
    which = {"UserName": name, "ServiceName": service}
    before, after = (f"list-service-specific-credentials-response-{when}-update" for when in ["before", "after"])
    r.call(before, "list_service_specific_credentials", **which)
    r.call("update-service-specific-credential-response", "update_service_specific_credential", Status="Inactive", **one)
    r.call(after, "list_service_specific_credentials", **which)
    r.call("reset-service-specific-credential-response", "reset_service_specific_credential", **one)
    r.call("delete-service-specific-credentials-response", "delete_service_specific_credential", **one)


def test_service_credentials_of_nobody(play):
    r = play("TestIAMServiceSpecificCredentials::test_create_service_specific_credential_invalid_user")
    for step, service in [
        ("invalid-user-name-exception", "codecommit.amazonaws.com"),
        ("invalid-user-and-service-exception", "nonexistentservice.amazonaws.com"),
    ]:
        r.call(step, "create_service_specific_credential", UserName="non-existent-user", ServiceName=service)


def test_credentials_of_services_that_have_none(play):
    r = play("TestIAMServiceSpecificCredentials::test_create_service_specific_credential_invalid_service")
    name = user_of(r)
    for step, service in [
        ("invalid-service-exception", "nonexistentservice.amazonaws.com"),
        ("invalid-service-completely-malformed-exception", "o3on3n3onosneo"),
        ("invalid-service-existing-but-unsupported-exception", "lambda.amazonaws.com"),
    ]:
        r.call(step, "create_service_specific_credential", UserName=name, ServiceName=service)


def test_service_credentials_are_listed_by_service(play):
    r = play("TestIAMServiceSpecificCredentials::test_list_service_specific_credential_different_service")
    name = user_of(r)
    step, service = "list-service-specific-credentials-invalid-service", "nonexistentservice.amazonaws.com"
    r.call(step, "list_service_specific_credentials", UserName=name, ServiceName=service)
    credential_of(r, name)
    step, service = "list-service-specific-credentials-response-wrong-service", "cassandra.amazonaws.com"
    r.call(step, "list_service_specific_credentials", UserName=name, ServiceName=service)


def test_a_user_with_a_service_credential_stays(play):
    r = play("TestIAMServiceSpecificCredentials::test_delete_user_after_service_credential_created")
    name = user_of(r)
    credential_of(r, name)
    r.call("delete-user-existing-credential", "delete_user", UserName=name)


def change_credential(r, what, **one):
    r.call(f"update-{what}", "update_service_specific_credential", Status="Inactive", **one)
    r.call(f"reset-{what}", "reset_service_specific_credential", **one)
    r.call(f"delete-{what}", "delete_service_specific_credential", **one)


@pytest.mark.parametrize("id", ["totally-wrong-credential-id-with-hyphens", "satisfiesregexbutstillinvalid"])
def test_service_credentials_that_are_not_there(play, id):
    r = play(f"TestIAMServiceSpecificCredentials::test_user_match_id_mismatch[{id}]")
    name = user_of(r)
    credential_of(r, name)
    change_credential(r, "wrong-id", UserName=name, ServiceSpecificCredentialId=id)


def test_service_credentials_of_another_user(play):
    r = play("TestIAMServiceSpecificCredentials::test_id_match_user_mismatch")
    id = credential_of(r, user_of(r))
    change_credential(r, "wrong-user-name", UserName="wrong-user-name", ServiceSpecificCredentialId=id)


def test_a_status_that_is_none(play):
    r = play("TestIAMServiceSpecificCredentials::test_invalid_update_parameters")
    name = user_of(r)
    one = {"UserName": name, "ServiceSpecificCredentialId": credential_of(r, name)}
    r.call("update-invalid-status", "update_service_specific_credential", Status="Invalid", **one)


@pytest.mark.parametrize(
    "file, test, step",
    [
        (STACKS, "test_iam_username_defaultname", "get_iam_user"),
        ("iam/resource_providers/aws_iam_user/test_basic_user", "TestBasicCRD::test_black_box", "describe-resource"),
        (
            "iam/resource_providers/aws_iam_user/test_basic_user",
            "TestBasicCRD::test_autogenerated_values",
            "autogenerated-get-user",
        ),
    ],
)
def test_users_that_stacks_made(play, file, test, step):
    r = play(test, file)
    name = r.unique("user")
    r.call(None, "create_user", UserName=name)
    r.call(step, "get_user", UserName=name)


def test_a_user_with_groups_that_a_stack_made(play):
    r = play("TestParity::test_create_with_full_properties", "iam/resource_providers/aws_iam_user/test_parity")
    name = r.unique("user")
    r.call(None, "create_user", UserName=name)
    for group in [r.unique("group"), r.unique("group")]:
        r.call(None, "create_group", GroupName=group)
        r.call(None, "add_user_to_group", GroupName=group, UserName=name)
    r.call("describe-user-resource", "get_user", UserName=name)
    r.call("describe-user-group-association", "list_groups_for_user", UserName=name)


def test_an_access_key_that_a_stack_made(play):
    r = play("test_iam_user_access_key", STACKS)
    name = r.unique("user")
    r.call(None, "create_user", UserName=name)

    def key():
        made = r.client.create_access_key(UserName=name)["AccessKey"]
        return made, made["AccessKeyId"]

    made, first = key()
    r.match("key_outputs", {part: made[part] for part in ["AccessKeyId", "SecretAccessKey"]})
    r.match("access_key", r.client.list_access_keys(UserName=name)["AccessKeyMetadata"][0])
    _, second = key()
    r.call(None, "update_access_key", UserName=name, AccessKeyId=second, Status="Inactive")
    r.call(None, "delete_access_key", UserName=name, AccessKeyId=first)
    r.match("access_key_updated", r.client.list_access_keys(UserName=name)["AccessKeyMetadata"][0])


def document(actions, resource="*"):
    return {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": actions, "Resource": resource}]}


def test_inline_policies_that_a_stack_changed(play):
    r = play("test_update_inline_policy", STACKS)
    user, role, policy = {"UserName": r.unique("user")}, {"RoleName": r.unique("role")}, r.unique("policy")
    r.call(None, "create_user", **user)
    r.call(None, "create_role", AssumeRolePolicyDocument=json.dumps(trust("lambda.amazonaws.com")), **role)
    for step, kind, who, actions in [
        ("user_inline_policy", "user", user, ["s3:PutObject", "s3:ListBucket"]),
        ("role_inline_policy", "role", role, ["s3:GetObject", "s3:ListBucket"]),
        ("user_updated_inline_policy", "user", user, ["s3:PutObject"]),
        ("role_updated_inline_policy", "role", role, ["s3:ListBucket"]),
    ]:
        one = {"PolicyName": policy, **who}
        r.call(None, f"put_{kind}_policy", PolicyDocument=json.dumps(document(actions)), **one)
        r.call(step, f"get_{kind}_policy", **one)


# Roles and managed policies.


def test_a_role_gets_another_trust_policy(play):
    r = play("TestIAMIntegrations::test_update_assume_role_policy")
    who = {"RoleName": r.unique("role")}
    trusted = trust(["ec2.amazonaws.com"], ["sts:AssumeRole"])
    r.call("created_role", "create_role", AssumeRolePolicyDocument=json.dumps(trusted), **who)
    r.call("updated_policy", "update_assume_role_policy", PolicyDocument=json.dumps(trusted), **who)


def test_a_trust_policy_that_is_no_json(play):
    r = play("TestIAMExtensions::test_create_role_with_malformed_assume_role_policy_document")
    r.call("invalid-json", "create_role", RoleName=r.unique("role"), AssumeRolePolicyDocument='{"Version": [}')


def test_a_role_is_described(play):
    r = play("TestIAMIntegrations::test_create_describe_role")
    who, prefix = {"RoleName": r.unique("role")}, f"/{r.unique('path')}/"
    trusted = json.dumps(trust("ec2.amazonaws.com"))
    r.call("create_role_result", "create_role", AssumeRolePolicyDocument=trusted, Path=prefix, **who)
    r.call("get_role_result", "get_role", **who)
    r.call("list_roles_result", "list_roles", PathPrefix=prefix)


def test_lists_of_roles_leave_boundaries_out(play):
    r = play("TestIAMIntegrations::test_list_roles_with_permission_boundary")
    who, prefix = {"RoleName": r.unique("role")}, f"/{r.unique('path')}/"
    trusted = json.dumps(trust("ec2.amazonaws.com"))
    r.call("created_role", "create_role", AssumeRolePolicyDocument=trusted, Path=prefix, **who)
    policy = r.client.create_policy(PolicyName=r.unique("p"), PolicyDocument=json.dumps(document("s3:*")))["Policy"]
    r.call(None, "put_role_permissions_boundary", PermissionsBoundary=policy["Arn"], **who)
    r.call("list_roles_result", "list_roles", PathPrefix=prefix)


def test_a_role_with_a_path(play):
    r = play("TestIAMExtensions::test_role_with_path_lifecycle")
    who, path = {"RoleName": r.unique("role")}, f"/{r.unique('path')}/"
    trusted = json.dumps(trust("lambda.amazonaws.com"))
    r.call("create-role-response", "create_role", Path=path, AssumeRolePolicyDocument=trusted, **who)
    r.call("get-role-response", "get_role", **who)
    r.call("delete-role-response", "delete_role", **who)


def test_a_role_with_tags(play):
    r = play("TestRoles::test_role_with_tags")
    who, path = {"RoleName": r.unique("role")}, "/role-with-tags/"
    made = {"AssumeRolePolicyDocument": json.dumps(trust("ec2.amazonaws.com")), "Path": path}
    r.call("create-role-response", "create_role", Tags=[{"Key": "test", "Value": "value"}], **made, **who)
    r.call("get-role-response", "get_role", **who)
    r.call("list-role-response", "list_roles", PathPrefix=path)


@pytest.mark.parametrize("kind", ["role", "user"])
def test_managed_policies_are_attached(play, kind):
    r = play(f"TestIAMIntegrations::test_{kind}_attach_policy")
    who, policy = {f"{kind.capitalize()}Name": r.unique(kind)}, r.unique("policy")
    trusted = {"AssumeRolePolicyDocument": json.dumps(trust("lambda.amazonaws.com"))} if kind == "role" else {}
    r.call(None, f"create_{kind}", **trusted, **who)
    made = r.call(
        "create_policy_response", "create_policy", PolicyName=policy, PolicyDocument=json.dumps(document("s3:*"))
    )
    arn = made["Policy"]["Arn"]
    for step, given in [
        ("non_existent_malformed_policy_arn", "longpolicynamebutnoarn"),
        ("existing_policy_name_provided", policy),
        ("valid_arn_not_existent", f"{arn}123"),
        ("valid_policy_arn", arn),
    ]:
        r.call(step, f"attach_{kind}_policy", PolicyArn=given, **who)


def test_a_policy_that_is_not_there(play):
    r = play("TestIAMIntegrations::test_delete_non_existent_policy_returns_no_such_entity")
    arn = f"arn:aws:iam::{ACCOUNT}:policy/non-existent-policy"
    r.call("delete-non-existent-policy-exc", "delete_policy", PolicyArn=arn)
