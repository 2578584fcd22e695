"""Sessions of users, federated users and roles: what they may do, and when they end."""

import json

import pytest
from botocore.exceptions import ClientError

from cloud import ACCOUNT


def document(*statements):
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


def allow(action, resource="*", **more):
    return {"Effect": "Allow", "Action": action, "Resource": resource, **more}


def refused(call):
    with pytest.raises(ClientError) as excinfo:
        call()
    return excinfo.value.response


def code(call):
    return refused(call)["Error"]["Code"]


@pytest.fixture
def new_user(iam, cloud, unique):
    """A user with the given permissions; gives its name, its key's id, and what makes clients of it."""

    def make(*statements):
        name = unique("user")
        iam.create_user(UserName=name, Path="/team/")
        if statements:
            iam.put_user_policy(UserName=name, PolicyName="p", PolicyDocument=document(*statements))
        key = iam.create_access_key(UserName=name)["AccessKey"]
        keys = {"key": key["AccessKeyId"], "secret": key["SecretAccessKey"]}
        return name, key["AccessKeyId"], lambda service: cloud.client(service, **keys)

    return make


@pytest.fixture
def new_role(iam, unique):
    def make(principal, *statements, actions=("sts:AssumeRole",), **condition):
        trust = {"Effect": "Allow", "Action": list(actions), "Principal": {"AWS": principal}}
        if condition:
            trust["Condition"] = condition
        name = unique("role")
        role = iam.create_role(RoleName=name, AssumeRolePolicyDocument=document(trust))["Role"]
        if statements:
            iam.put_role_policy(RoleName=name, PolicyName="p", PolicyDocument=document(*statements))
        return role["Arn"]

    return make


@pytest.fixture
def with_session(cloud):
    """What makes clients of temporary credentials."""

    def with_session(answer):
        given = answer["Credentials"]
        keys = {"key": given["AccessKeyId"], "secret": given["SecretAccessKey"], "token": given["SessionToken"]}
        return lambda service: cloud.client(service, **keys)

    return with_session


def test_a_users_session_is_the_user_until_its_key_ends(iam, new_user, with_session):
    name, key, user = new_user(allow("s3:ListAllMyBuckets"))
    session = with_session(user("sts").get_session_token(DurationSeconds=900))
    assert session("sts").get_caller_identity()["Arn"] == f"arn:aws:iam::{ACCOUNT}:user/team/{name}"
    session("s3").list_buckets()
    assert code(lambda: session("s3").create_bucket(Bucket="never-made")) == "AccessDenied"
    assert code(lambda: session("iam").get_user(UserName=name)) == "AccessDenied", "IAM needs the key itself"
    again = refused(session("sts").get_session_token)["Error"]
    assert (again["Code"], again["Message"]) == (
        "AccessDenied",
        "Cannot call GetSessionToken with session credentials",
    )
    iam.update_access_key(UserName=name, AccessKeyId=key, Status="Inactive")
    assert code(session("s3").list_buckets) == "InvalidAccessKeyId"
    iam.update_access_key(UserName=name, AccessKeyId=key, Status="Active")
    session("s3").list_buckets()
    iam.delete_access_key(UserName=name, AccessKeyId=key)
    assert code(session("sts").get_caller_identity) == "InvalidClientTokenId"


def test_a_federated_user_may_do_what_both_policies_allow(iam, new_user, with_session, s3, bucket):
    s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    _, _, user = new_user(allow(["s3:GetObject", "s3:ListAllMyBuckets", "sts:GetFederationToken"]))
    policy = document(allow(["s3:GetObject", "s3:PutObject"]))
    answer = user("sts").get_federation_token(Name="bob", Policy=policy)
    assert answer["FederatedUser"] == {
        "Arn": f"arn:aws:sts::{ACCOUNT}:federated-user/bob",
        "FederatedUserId": f"{ACCOUNT}:bob",
    }
    assert answer["PackedPolicySize"] > 0
    session = with_session(answer)
    assert session("sts").get_caller_identity()["Arn"] == answer["FederatedUser"]["Arn"]
    assert session("s3").get_object(Bucket=bucket, Key="k")["Body"].read() == b"x"
    assert code(lambda: session("s3").put_object(Bucket=bucket, Key="k", Body=b"")) == "AccessDenied"
    assert code(session("s3").list_buckets) == "AccessDenied"
    bare = with_session(user("sts").get_federation_token(Name="bob"))
    assert code(lambda: bare("s3").get_object(Bucket=bucket, Key="k")) == "AccessDenied"
    _, _, other = new_user()
    assert code(lambda: other("sts").get_federation_token(Name="bob")) == "AccessDenied"


def test_tags_of_a_federated_user_need_a_permission_of_their_own(new_user):
    asked = {"Name": "bob", "Tags": [{"Key": "team", "Value": "a"}]}
    _, _, user = new_user(allow("sts:GetFederationToken"))
    told = refused(lambda: user("sts").get_federation_token(**asked))["Error"]
    assert (told["Code"], "sts:TagSession" in told["Message"]) == ("AccessDenied", True)
    _, _, tagger = new_user(allow(["sts:GetFederationToken", "sts:TagSession"]))
    assert tagger("sts").get_federation_token(**asked)["Credentials"]


def test_a_session_token_needs_no_permission_and_may_be_denied(new_user):
    _, _, user = new_user()
    assert user("sts").get_session_token()["Credentials"]
    _, _, refused_one = new_user({"Effect": "Deny", "Action": "sts:*", "Resource": "*"})
    assert code(refused_one("sts").get_session_token) == "AccessDenied"


def test_who_may_assume_a_role_in_the_same_account(new_user, new_role):
    name, _, user = new_user()
    arn = f"arn:aws:iam::{ACCOUNT}:user/team/{name}"
    named, whole = new_role(arn), new_role(ACCOUNT)
    assume = lambda role: user("sts").assume_role(RoleArn=role, RoleSessionName="me")
    # Whom the trust policy names needs no more; where it names the account, the account's policies decide.
    assert assume(named)["Credentials"]
    assert code(lambda: assume(whole)) == "AccessDenied"
    _, _, permitted = new_user(allow("sts:AssumeRole", whole))
    assert permitted("sts").assume_role(RoleArn=whole, RoleSessionName="me")["Credentials"]
    assert code(lambda: permitted("sts").assume_role(RoleArn=named, RoleSessionName="me")) == "AccessDenied"


def test_a_role_may_ask_for_an_external_id(sts, new_role):
    role = new_role(ACCOUNT, StringEquals={"sts:ExternalId": "the-id"})
    asked = {"RoleArn": role, "RoleSessionName": "me"}
    assert code(lambda: sts.assume_role(**asked)) == "AccessDenied"
    assert code(lambda: sts.assume_role(**asked, ExternalId="another")) == "AccessDenied"
    assert sts.assume_role(**asked, ExternalId="the-id")["Credentials"]


def test_tags_need_the_trust_policys_word_and_are_conditions(sts, new_role, with_session, bucket, s3):
    tags = [{"Key": "team", "Value": bucket}]
    plain = new_role(ACCOUNT)
    asked = {"RoleSessionName": "me", "Tags": tags}
    assert code(lambda: sts.assume_role(RoleArn=plain, **asked)) == "AccessDenied"
    own = allow("s3:PutObject", "arn:aws:s3:::${aws:PrincipalTag/team}/*")
    role = new_role(ACCOUNT, own, actions=["sts:AssumeRole", "sts:TagSession"])
    answer = sts.assume_role(RoleArn=role, **asked)
    assert answer["PackedPolicySize"] > 0
    session = with_session(answer)
    session("s3").put_object(Bucket=bucket, Key="k", Body=b"")
    other = with_session(sts.assume_role(RoleArn=role, RoleSessionName="me"))
    assert code(lambda: other("s3").put_object(Bucket=bucket, Key="k", Body=b"")) == "AccessDenied"


def test_session_policies_of_both_kinds_narrow(iam, sts, new_role, with_session, unique):
    role = new_role(ACCOUNT, allow(["s3:*", "lambda:*"]))
    name = unique("policy")
    arn = iam.create_policy(PolicyName=name, PolicyDocument=document(allow("s3:ListAllMyBuckets")))["Policy"]["Arn"]
    asked = {"RoleArn": role, "RoleSessionName": "me"}
    session = with_session(sts.assume_role(**asked, PolicyArns=[{"arn": arn}]))
    session("s3").list_buckets()
    assert code(session("lambda").list_functions) == "AccessDeniedException"
    both = with_session(
        sts.assume_role(**asked, PolicyArns=[{"arn": arn}], Policy=document(allow("lambda:ListFunctions")))
    )
    both("s3").list_buckets()
    both("lambda").list_functions()
    missing = f"arn:aws:iam::{ACCOUNT}:policy/missing"
    assert code(lambda: sts.assume_role(**asked, PolicyArns=[{"arn": missing}])) == "ValidationError"
    assert code(lambda: sts.assume_role(**asked, Policy="{")) == "MalformedPolicyDocument"
    long = document(*[allow("s3:GetObject", f"arn:aws:s3:::{'b' * 60}/{at}") for at in range(50)])
    assert code(lambda: sts.assume_role(**asked, Policy=long)) == "PackedPolicyTooLarge"


def test_chains_are_short_and_carry_the_source_identity(iam, sts, new_role, with_session):
    actions = ["sts:AssumeRole", "sts:SetSourceIdentity"]
    first = new_role(ACCOUNT, allow(["sts:AssumeRole", "sts:SetSourceIdentity"]), actions=actions)
    second = new_role(ACCOUNT, actions=actions)
    iam.update_role(RoleName=second.split("/")[1], MaxSessionDuration=7200)
    answer = sts.assume_role(RoleArn=first, RoleSessionName="me", SourceIdentity="anna")
    assert answer["SourceIdentity"] == "anna"
    session = with_session(answer)
    asked = {"RoleArn": second, "RoleSessionName": "me"}
    assert session("sts").assume_role(**asked)["SourceIdentity"] == "anna"
    assert code(lambda: session("sts").assume_role(**asked, SourceIdentity="bob")) == "AccessDenied"
    long = refused(lambda: session("sts").assume_role(**asked, DurationSeconds=3601))["Error"]
    assert (long["Code"], "role chaining" in long["Message"]) == ("ValidationError", True)
    assert sts.assume_role(**asked, DurationSeconds=7200)["Credentials"]


def test_a_session_dies_with_its_role(iam, sts, new_role, with_session):
    role = new_role(ACCOUNT)
    session = with_session(sts.assume_role(RoleArn=role, RoleSessionName="me"))
    session("sts").get_caller_identity()
    iam.delete_role(RoleName=role.split("/")[1])
    assert code(session("sts").get_caller_identity) == "InvalidClientTokenId"


def test_roles_of_other_accounts_need_both_sides(cloud, iam, sts, unique):
    made = cloud.command("account", "create", unique("other"))
    words = dict(word.split("=", 1) for word in made.stdout.split()[1:])
    keys = {"key": words["AWS_ACCESS_KEY_ID"], "secret": words["AWS_SECRET_ACCESS_KEY"]}
    theirs = cloud.client("sts", **keys)
    other = theirs.get_caller_identity()["Account"]
    trust = lambda principal: document({"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"AWS": principal}})
    open_role, closed = (
        iam.create_role(RoleName=unique("role"), AssumeRolePolicyDocument=trust(who))["Role"]["Arn"]
        for who in (other, ACCOUNT)
    )
    given = theirs.assume_role(RoleArn=open_role, RoleSessionName="me")
    assert given["AssumedRoleUser"]["Arn"].split(":")[4] == ACCOUNT
    assert code(lambda: theirs.assume_role(RoleArn=closed, RoleSessionName="me")) == "AccessDenied"
    # A user of theirs whom ours trusts, but whose own account does not let it.
    users = cloud.client("iam", **keys)
    users.create_user(UserName="anna")
    key = users.create_access_key(UserName="anna")["AccessKey"]
    anna = cloud.client("sts", key=key["AccessKeyId"], secret=key["SecretAccessKey"])
    direct = iam.create_role(
        RoleName=unique("role"), AssumeRolePolicyDocument=trust(f"arn:aws:iam::{other}:user/anna")
    )["Role"]["Arn"]
    assert code(lambda: anna.assume_role(RoleArn=direct, RoleSessionName="me")) == "AccessDenied"
    users.put_user_policy(UserName="anna", PolicyName="p", PolicyDocument=document(allow("sts:AssumeRole", direct)))
    assert anna.assume_role(RoleArn=direct, RoleSessionName="me")["Credentials"]


def test_whose_a_key_is(sts, new_user):
    _, key, user = new_user()
    assert sts.get_access_key_info(AccessKeyId=key)["Account"] == ACCOUNT
    temporary = user("sts").get_session_token()["Credentials"]["AccessKeyId"]
    assert sts.get_access_key_info(AccessKeyId=temporary)["Account"] == ACCOUNT
    assert code(lambda: sts.get_access_key_info(AccessKeyId="AKIANOBODYSKEYAAAAAA")) == "ValidationError"
    assert code(lambda: user("sts").get_access_key_info(AccessKeyId=key)) == "AccessDenied"


def test_why_a_request_was_denied_is_told_to_who_may_know(sts, new_user):
    name, _, user = new_user()
    denied = refused(user("lambda").list_functions)
    encoded = denied["ResponseMetadata"]["HTTPHeaders"]["x-lambent-authorization-message"]
    told = json.loads(sts.decode_authorization_message(EncodedMessage=encoded)["DecodedMessage"])
    assert (told["allowed"], told["explicitDeny"]) == (False, False)
    assert told["context"]["principal"]["arn"] == f"arn:aws:iam::{ACCOUNT}:user/team/{name}"
    assert told["context"]["action"] == "lambda:ListFunctions"
    assert code(lambda: user("sts").decode_authorization_message(EncodedMessage=encoded)) == "AccessDenied"
    for wrong in (encoded[:-2], "x"):
        invalid = code(lambda wrong=wrong: sts.decode_authorization_message(EncodedMessage=wrong))
        assert invalid == "InvalidAuthorizationMessageException"
