"""Users, groups and their keys: what they may do, and what becomes of them."""

import csv
import io
import json

import pytest
from botocore.exceptions import ClientError

from cloud import ACCOUNT, ROOT_KEY, eventually


def error(call):
    with pytest.raises(ClientError) as excinfo:
        call()
    return excinfo.value.response


def told(call):
    answer = error(call)
    status, problem = answer["ResponseMetadata"]["HTTPStatusCode"], answer["Error"]
    return status, problem["Code"], problem["Message"]


def allow(actions, resource="*", effect="Allow"):
    statement = {"Effect": effect, "Action": actions, "Resource": resource}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


@pytest.fixture
def new_user(iam, unique):
    """Makes a user with inline policies; gives its name."""

    def make(*policies, **settings):
        name = settings.pop("UserName", None) or unique("user")
        iam.create_user(UserName=name, **settings)
        for number, policy in enumerate(policies):
            iam.put_user_policy(UserName=name, PolicyName=f"p{number}", PolicyDocument=policy)
        return name

    return make


@pytest.fixture
def sign_in(cloud, iam):
    """Makes a key of a user; gives a function that makes clients with it."""

    def sign_in(name):
        key = iam.create_access_key(UserName=name)["AccessKey"]
        return lambda service: cloud.client(service, key["AccessKeyId"], key["SecretAccessKey"])

    return sign_in


def test_a_user_may_do_what_its_policies_say(new_user, sign_in, new_bucket):
    bucket, other = new_bucket(), new_bucket()
    name = new_user(allow(["s3:GetObject", "s3:PutObject"], f"arn:aws:s3:::{bucket}/*"))
    client = sign_in(name)
    caller = client("sts").get_caller_identity()
    assert caller["Arn"] == f"arn:aws:iam::{ACCOUNT}:user/{name}"
    assert caller["UserId"].startswith("AIDA")
    s3 = client("s3")
    s3.put_object(Bucket=bucket, Key="a", Body=b"x")
    assert s3.get_object(Bucket=bucket, Key="a")["Body"].read() == b"x"
    for call in [
        lambda: s3.put_object(Bucket=other, Key="a", Body=b"x"),
        lambda: s3.delete_object(Bucket=bucket, Key="a"),
        lambda: s3.list_objects_v2(Bucket=bucket),
    ]:
        assert told(call)[:2] == (403, "AccessDenied")
    status, code, message = told(lambda: client("iam").list_users())
    assert (status, code) == (403, "AccessDenied")
    assert f"User: arn:aws:iam::{ACCOUNT}:user/{name} is not authorized to perform: iam:ListUsers" in message
    assert "because no identity-based policy allows the iam:ListUsers action" in message


def test_two_users_are_apart(iam, new_user, sign_in, bucket):
    reader, writer = new_user(allow("s3:GetObject")), new_user(allow("s3:PutObject"))
    reads, writes = sign_in(reader)("s3"), sign_in(writer)("s3")
    writes.put_object(Bucket=bucket, Key="a", Body=b"x")
    reads.get_object(Bucket=bucket, Key="a")
    assert told(lambda: reads.put_object(Bucket=bucket, Key="a", Body=b"y"))[0] == 403
    assert told(lambda: writes.get_object(Bucket=bucket, Key="a"))[0] == 403
    iam.put_user_policy(UserName=reader, PolicyName="no", PolicyDocument=allow("s3:*", effect="Deny"))
    status, _, message = told(lambda: reads.get_object(Bucket=bucket, Key="a"))
    assert (status, "with an explicit deny in an identity-based policy" in message) == (403, True)
    iam.delete_user_policy(UserName=reader, PolicyName="no")
    reads.get_object(Bucket=bucket, Key="a")


def test_policies_of_groups_count(iam, new_user, sign_in, bucket, unique):
    user, group = new_user(), unique("group")
    s3 = sign_in(user)("s3")
    iam.create_group(GroupName=group)
    iam.put_group_policy(GroupName=group, PolicyName="write", PolicyDocument=allow("s3:PutObject"))
    write = lambda: s3.put_object(Bucket=bucket, Key="a", Body=b"x")
    assert told(write)[0] == 403
    iam.add_user_to_group(GroupName=group, UserName=user)
    write()
    renamed = unique("renamed")
    iam.update_group(GroupName=group, NewGroupName=renamed, NewPath="/p/")
    write()
    iam.delete_group_policy(GroupName=renamed, PolicyName="write")
    assert told(write)[0] == 403
    iam.put_group_policy(GroupName=renamed, PolicyName="write", PolicyDocument=allow("s3:PutObject"))
    write()
    iam.remove_user_from_group(GroupName=renamed, UserName=user)
    assert told(write)[0] == 403


def test_one_policy_gives_each_user_a_home(iam, new_user, sign_in, bucket, unique):
    group = unique("group")
    iam.create_group(GroupName=group)
    home = allow("s3:*", f"arn:aws:s3:::{bucket}/home/${{aws:username}}/*")
    team = {"Effect": "Allow", "Action": "s3:GetObject", "Resource": f"arn:aws:s3:::{bucket}/home/*"}
    team["Condition"] = {"StringEquals": {"aws:PrincipalTag/team": "support"}}
    iam.put_group_policy(GroupName=group, PolicyName="home", PolicyDocument=home)
    document = json.dumps({"Version": "2012-10-17", "Statement": [team]})
    iam.put_group_policy(GroupName=group, PolicyName="support", PolicyDocument=document)
    ann, bea = new_user(), new_user()
    for user in [ann, bea]:
        iam.add_user_to_group(GroupName=group, UserName=user)
    of_ann, of_bea = sign_in(ann)("s3"), sign_in(bea)("s3")
    of_ann.put_object(Bucket=bucket, Key=f"home/{ann}/a", Body=b"x")
    read = lambda: of_bea.get_object(Bucket=bucket, Key=f"home/{ann}/a")
    assert told(read)[0] == 403
    iam.tag_user(UserName=bea, Tags=[{"Key": "team", "Value": "support"}])
    read()
    iam.untag_user(UserName=bea, TagKeys=["team"])
    assert told(read)[0] == 403
    renamed = unique("renamed")
    iam.update_user(UserName=ann, NewUserName=renamed)
    assert told(lambda: of_ann.get_object(Bucket=bucket, Key=f"home/{ann}/a"))[0] == 403
    of_ann.put_object(Bucket=bucket, Key=f"home/{renamed}/a", Body=b"x")


def test_keys_are_rotated(cloud, iam, new_user, unique):
    name = new_user(allow("s3:ListAllMyBuckets"))

    def key():
        made = iam.create_access_key(UserName=name)["AccessKey"]
        assert made["AccessKeyId"].startswith("AKIA")
        assert (made["Status"], len(made["SecretAccessKey"])) == ("Active", 40)
        return made["AccessKeyId"], made["SecretAccessKey"]

    old, new = key(), key()
    full = told(lambda: iam.create_access_key(UserName=name))
    assert full == (409, "LimitExceeded", "Cannot exceed quota for AccessKeysPerUser: 2")
    for pair in [old, new]:
        cloud.client("s3", *pair).list_buckets()
    iam.update_access_key(UserName=name, AccessKeyId=old[0], Status="Inactive")
    listed = iam.list_access_keys(UserName=name)["AccessKeyMetadata"]
    assert {one["AccessKeyId"]: one["Status"] for one in listed} == {old[0]: "Inactive", new[0]: "Active"}
    assert told(cloud.client("sts", *old).get_caller_identity)[:2] == (403, "InvalidClientTokenId")
    cloud.client("s3", *new).list_buckets()
    iam.update_access_key(UserName=name, AccessKeyId=old[0], Status="Active")
    cloud.client("s3", *old).list_buckets()
    iam.delete_access_key(UserName=name, AccessKeyId=old[0])
    assert told(cloud.client("sts", *old).get_caller_identity)[:2] == (403, "InvalidClientTokenId")
    wrong = cloud.client("sts", new[0], "x" * 40)
    assert told(wrong.get_caller_identity)[:2] == (403, "SignatureDoesNotMatch")
    gone = told(lambda: iam.delete_access_key(UserName=name, AccessKeyId=old[0]))
    assert gone == (404, "NoSuchEntity", f"The Access Key with id {old[0]} cannot be found.")


def test_the_last_use_of_a_key(cloud, iam, new_user):
    name = new_user(allow("s3:ListAllMyBuckets"))
    key = iam.create_access_key(UserName=name)["AccessKey"]
    last = lambda: iam.get_access_key_last_used(AccessKeyId=key["AccessKeyId"])
    unused = last()
    assert unused["UserName"] == name
    assert unused["AccessKeyLastUsed"] == {"ServiceName": "N/A", "Region": "N/A"}
    cloud.client("s3", key["AccessKeyId"], key["SecretAccessKey"]).list_buckets()
    used = eventually(lambda: last()["AccessKeyLastUsed"].get("LastUsedDate") and last()["AccessKeyLastUsed"])
    assert (used["ServiceName"], used["Region"]) == ("s3", "us-east-1")
    assert used["LastUsedDate"] >= key["CreateDate"]


def test_who_asks_is_meant_where_no_name_is(cloud, iam, new_user, sign_in):
    name = new_user()
    own = f"arn:aws:iam::{ACCOUNT}:user/{name}"
    iam.put_user_policy(UserName=name, PolicyName="own", PolicyDocument=allow("iam:*", own))
    mine = sign_in(name)("iam")
    assert mine.get_user()["User"]["UserName"] == name
    [key] = mine.list_access_keys()["AccessKeyMetadata"]
    assert key["UserName"] == name
    second = mine.create_access_key()["AccessKey"]
    assert second["UserName"] == name
    mine.update_access_key(AccessKeyId=second["AccessKeyId"], Status="Inactive")
    mine.delete_access_key(AccessKeyId=second["AccessKeyId"])
    assert told(lambda: mine.get_user(UserName=new_user()))[0] == 403
    root = iam.get_user()["User"]
    assert (root["Arn"], root["UserId"]) == (f"arn:aws:iam::{ACCOUNT}:root", ACCOUNT)
    assert [key["AccessKeyId"] for key in iam.list_access_keys()["AccessKeyMetadata"]] == [ROOT_KEY]


def test_policies_name_users_with_their_path(iam, new_user, sign_in, unique):
    admin = new_user(allow("iam:GetUser", f"arn:aws:iam::{ACCOUNT}:user/staff/*"))
    inside, outside = new_user(Path="/staff/"), new_user()
    mine = sign_in(admin)("iam")
    assert mine.get_user(UserName=inside)["User"]["Path"] == "/staff/"
    assert told(lambda: mine.get_user(UserName=outside))[0] == 403
    assert told(lambda: mine.get_user(UserName=inside.upper()))[0] == 403


def test_who_moves_a_user_must_be_allowed_at_both_places(iam, new_user, sign_in, unique):
    users = f"arn:aws:iam::{ACCOUNT}:user"
    admin = sign_in(new_user(allow("iam:UpdateUser", f"{users}/staff/*")))("iam")
    name, renamed = new_user(Path="/staff/"), unique("renamed")
    status, code, message = told(lambda: admin.update_user(UserName=name, NewPath="/boss/"))
    assert (status, code) == (403, "AccessDenied")
    assert f"{users}/boss/{name}" in message
    admin.update_user(UserName=name, NewUserName=renamed, NewPath="/staff/new/")
    assert iam.get_user(UserName=renamed)["User"]["Arn"] == f"{users}/staff/new/{renamed}"


def test_a_user_gets_another_name(iam, new_user, sign_in, unique, bucket):
    name, renamed = new_user(allow("s3:PutObject"), Path="/a/"), unique("renamed")
    client = sign_in(name)
    before = iam.get_user(UserName=name)["User"]
    iam.update_user(UserName=name, NewUserName=renamed, NewPath="/b/")
    after = iam.get_user(UserName=renamed)["User"]
    assert (after["UserId"], after["CreateDate"]) == (before["UserId"], before["CreateDate"])
    assert after["Arn"] == f"arn:aws:iam::{ACCOUNT}:user/b/{renamed}"
    assert client("sts").get_caller_identity()["Arn"] == after["Arn"]
    client("s3").put_object(Bucket=bucket, Key="a", Body=b"x")
    assert iam.list_access_keys(UserName=renamed)["AccessKeyMetadata"][0]["UserName"] == renamed
    gone = told(lambda: iam.get_user(UserName=name))
    assert gone == (404, "NoSuchEntity", f"The user with name {name} cannot be found.")
    other = new_user()
    taken = told(lambda: iam.update_user(UserName=other, NewUserName=renamed.upper()))
    assert taken == (409, "EntityAlreadyExists", f"User with name {renamed.upper()} already exists.")
    iam.update_user(UserName=other, NewUserName=other.upper())
    assert iam.get_user(UserName=other.upper())["User"]["UserName"] == other.upper()


def test_what_keeps_a_user(iam, new_user, unique):
    name, group = new_user(), unique("group")
    iam.create_group(GroupName=group)
    again = told(lambda: iam.create_user(UserName=name))
    assert again == (409, "EntityAlreadyExists", f"User with name {name} already exists.")
    key = iam.create_access_key(UserName=name)["AccessKey"]["AccessKeyId"]
    iam.put_user_policy(UserName=name, PolicyName="p", PolicyDocument=allow("s3:*"))
    iam.add_user_to_group(GroupName=group, UserName=name)
    for what, undo in [
        ("delete access keys", lambda: iam.delete_access_key(UserName=name, AccessKeyId=key)),
        ("delete policies", lambda: iam.delete_user_policy(UserName=name, PolicyName="p")),
        ("remove users from group", lambda: iam.remove_user_from_group(GroupName=group, UserName=name)),
    ]:
        kept = told(lambda: iam.delete_user(UserName=name))
        assert kept == (409, "DeleteConflict", f"Cannot delete entity, must {what} first.")
        if what.startswith("remove"):
            assert told(lambda: iam.delete_group(GroupName=group)) == kept
        undo()
    iam.delete_user(UserName=name)
    iam.delete_group(GroupName=group)
    assert told(lambda: iam.delete_user(UserName=name))[1] == "NoSuchEntity"
    missing = told(lambda: iam.get_group(GroupName=group))
    assert missing == (404, "NoSuchEntity", f"The group with name {group} cannot be found.")


def test_a_session_of_a_user_that_is_gone(iam, new_user, sign_in):
    name = new_user()
    client = sign_in(name)("sts")
    client.get_caller_identity()
    for key in iam.list_access_keys(UserName=name)["AccessKeyMetadata"]:
        iam.delete_access_key(UserName=name, AccessKeyId=key["AccessKeyId"])
    iam.delete_user(UserName=name)
    iam.create_user(UserName=name)
    assert told(client.get_caller_identity)[:2] == (403, "InvalidClientTokenId")


def test_inline_policies(iam, new_user, unique):
    name = new_user(allow("s3:Get*"), allow("s3:Put*"))
    assert iam.list_user_policies(UserName=name)["PolicyNames"] == ["p0", "p1"]
    got = iam.get_user_policy(UserName=name, PolicyName="p0")
    assert got["PolicyDocument"] == json.loads(allow("s3:Get*"))
    big = allow([f"s3:{number:060}" for number in range(40)])
    refused = told(lambda: iam.put_user_policy(UserName=name, PolicyName="p", PolicyDocument=big))
    assert refused == (409, "LimitExceeded", f"Maximum policy size of 2048 bytes exceeded for user {name}")
    group = unique("group")
    iam.create_group(GroupName=group)
    iam.put_group_policy(GroupName=group, PolicyName="p", PolicyDocument=big)
    assert iam.list_group_policies(GroupName=group)["PolicyNames"] == ["p"]
    refused = told(lambda: iam.put_group_policy(GroupName=group, PolicyName="q", PolicyDocument=big))
    assert refused == (409, "LimitExceeded", f"Maximum policy size of 5120 bytes exceeded for group {group}")
    bad = told(lambda: iam.put_user_policy(UserName=name, PolicyName="p", PolicyDocument="{"))
    assert bad[:2] == (400, "MalformedPolicyDocument")
    missing = told(lambda: iam.get_user_policy(UserName=name, PolicyName="absent"))
    assert missing == (404, "NoSuchEntity", "The user policy with name absent cannot be found.")
    missing = told(lambda: iam.delete_group_policy(GroupName=group, PolicyName="absent"))
    assert missing == (404, "NoSuchEntity", "The group policy with name absent cannot be found.")


def test_tags(iam, new_user):
    name = new_user(Tags=[{"Key": "Team", "Value": "a"}])
    iam.tag_user(UserName=name, Tags=[{"Key": "team", "Value": "b"}, {"Key": "stage", "Value": ""}])
    tags = {tag["Key"]: tag["Value"] for tag in iam.list_user_tags(UserName=name)["Tags"]}
    assert tags == {"team": "b", "stage": ""}
    twice = [{"Key": "x", "Value": "1"}, {"Key": "X", "Value": "2"}]
    message = "Duplicate tag keys found. Please note that Tag keys are case insensitive."
    assert told(lambda: iam.tag_user(UserName=name, Tags=twice)) == (400, "InvalidInput", message)
    many = [{"Key": str(number), "Value": ""} for number in range(49)]
    assert told(lambda: iam.tag_user(UserName=name, Tags=many))[:2] == (409, "LimitExceeded")
    iam.tag_user(UserName=name, Tags=many[:48])
    assert len(iam.list_user_tags(UserName=name)["Tags"]) == 50
    pages = iam.get_paginator("list_user_tags").paginate(UserName=name, PaginationConfig={"PageSize": 20})
    assert [len(page["Tags"]) for page in pages] == [20, 20, 10]
    iam.untag_user(UserName=name, TagKeys=["TEAM", "absent"])
    assert "Team" not in [tag["Key"].capitalize() for tag in iam.get_user(UserName=name)["User"]["Tags"]]


def test_tags_are_given_by_who_may(iam, new_user, sign_in, unique):
    maker = new_user(allow("iam:CreateUser"))
    mine, tags = sign_in(maker)("iam"), [{"Key": "team", "Value": "a"}]
    mine.create_user(UserName=unique("user"))
    status, code, message = told(lambda: mine.create_user(UserName=unique("user"), Tags=tags))
    assert (status, code, "iam:TagUser" in message) == (403, "AccessDenied", True)
    only = {"StringEquals": {"aws:RequestTag/team": "a"}, "ForAllValues:StringEquals": {"aws:TagKeys": ["team"]}}
    statement = {"Effect": "Allow", "Action": "iam:TagUser", "Resource": "*", "Condition": only}
    document = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    iam.put_user_policy(UserName=maker, PolicyName="tag", PolicyDocument=document)
    mine.create_user(UserName=unique("user"), Tags=tags)
    other = [{"Key": "team", "Value": "b"}]
    assert told(lambda: mine.create_user(UserName=unique("user"), Tags=other))[0] == 403


def test_pages(iam, unique):
    path = f"/{unique('path')}/"
    users, groups = [unique("user") for _ in range(7)], [unique("group") for _ in range(11)]
    for user in users:
        iam.create_user(UserName=user, Path=path)
    for group in groups:
        iam.create_group(GroupName=group, Path=path)
    full = groups[0]
    for user in users:
        iam.add_user_to_group(GroupName=full, UserName=user)
    for group in groups[1:10]:
        iam.add_user_to_group(GroupName=group, UserName=users[0])
    over = told(lambda: iam.add_user_to_group(GroupName=groups[10], UserName=users[0]))
    assert over == (409, "LimitExceeded", "Cannot exceed quota for GroupsPerUser: 10")

    def names(operation, member, key, **request):
        pages = iam.get_paginator(operation).paginate(PaginationConfig={"PageSize": 3}, **request)
        pages = [[item[key] for item in page[member]] for page in pages]
        assert all(len(page) <= 3 for page in pages)
        return sorted(name for page in pages for name in page)

    assert names("list_users", "Users", "UserName", PathPrefix=path) == sorted(users)
    assert names("list_groups", "Groups", "GroupName", PathPrefix=path) == sorted(groups)
    assert names("get_group", "Users", "UserName", GroupName=full) == sorted(users)
    assert names("list_groups_for_user", "Groups", "GroupName", UserName=users[0]) == sorted(groups[:10])
    iam.update_user(UserName=users[3], NewUserName=f"{users[3]}x")
    assert f"{users[3]}x" in names("get_group", "Users", "UserName", GroupName=full)


def test_the_account(iam, unique):
    missing = told(iam.get_account_password_policy)
    assert missing[:2] == (404, "NoSuchEntity")
    iam.update_account_password_policy(MinimumPasswordLength=12, RequireNumbers=True, MaxPasswordAge=90)
    policy = iam.get_account_password_policy()["PasswordPolicy"]
    assert (policy["MinimumPasswordLength"], policy["RequireNumbers"], policy["RequireSymbols"]) == (12, True, False)
    assert (policy["ExpirePasswords"], policy["MaxPasswordAge"]) == (True, 90)
    iam.delete_account_password_policy()
    alias = unique("alias")
    iam.create_account_alias(AccountAlias=alias)
    assert iam.list_account_aliases()["AccountAliases"] == [alias]
    for wrong in ["Big-letters", "two--dashes", "-edge", "edge-"]:
        assert told(lambda: iam.create_account_alias(AccountAlias=wrong))[:2] == (400, "ValidationError")
    assert told(lambda: iam.delete_account_alias(AccountAlias="another"))[:2] == (404, "NoSuchEntity")
    iam.delete_account_alias(AccountAlias=alias)
    assert iam.list_account_aliases()["AccountAliases"] == []
    before = iam.get_account_summary()["SummaryMap"]
    iam.create_user(UserName=unique("user"))
    iam.create_group(GroupName=unique("group"))
    after = iam.get_account_summary()["SummaryMap"]
    assert (after["Users"] - before["Users"], after["Groups"] - before["Groups"]) == (1, 1)
    assert (after["AccessKeysPerUserQuota"], after["UserPolicySizeQuota"]) == (2, 2048)
    iam.set_security_token_service_preferences(GlobalEndpointTokenVersion="v2Token")
    assert iam.get_account_summary()["SummaryMap"]["GlobalEndpointTokenVersion"] == 2


def test_everything_of_an_account(iam, unique, new_user):
    user, group, role = new_user(allow("s3:Get*"), Path="/x/"), unique("group"), unique("role")
    iam.create_group(GroupName=group)
    iam.put_group_policy(GroupName=group, PolicyName="gp", PolicyDocument=allow("s3:Put*"))
    iam.add_user_to_group(GroupName=group, UserName=user)
    trust = {"Effect": "Allow", "Principal": {"AWS": ACCOUNT}, "Action": "sts:AssumeRole"}
    iam.create_role(RoleName=role, AssumeRolePolicyDocument=json.dumps({"Statement": [trust]}))
    pages = list(iam.get_paginator("get_account_authorization_details").paginate(PaginationConfig={"PageSize": 5}))
    of = lambda member, key: {one[key]: one for page in pages for one in page[member]}
    shown = of("UserDetailList", "UserName")[user]
    assert (shown["GroupList"], shown["Path"]) == ([group], "/x/")
    assert shown["UserPolicyList"] == [{"PolicyName": "p0", "PolicyDocument": json.loads(allow("s3:Get*"))}]
    assert of("GroupDetailList", "GroupName")[group]["GroupPolicyList"][0]["PolicyName"] == "gp"
    assert of("RoleDetailList", "RoleName")[role]["AssumeRolePolicyDocument"] == {"Statement": [trust]}
    only = iam.get_account_authorization_details(Filter=["Group"], MaxItems=1000)
    assert (only["UserDetailList"], only["RoleDetailList"]) == ([], [])
    assert group in [one["GroupName"] for one in only["GroupDetailList"]]


def test_the_credential_report(own_cloud):
    own_cloud.start()
    iam = own_cloud.client("iam")
    assert told(iam.get_credential_report)[:2] == (410, "ReportNotPresent")
    iam.create_user(UserName="ann")
    key = iam.create_access_key(UserName="ann")["AccessKey"]
    own_cloud.client("sts", key["AccessKeyId"], key["SecretAccessKey"]).get_caller_identity()
    eventually(lambda: "LastUsedDate" in iam.get_access_key_last_used(AccessKeyId=key["AccessKeyId"])["AccessKeyLastUsed"])
    assert iam.generate_credential_report()["State"] == "STARTED"
    assert iam.generate_credential_report()["State"] == "COMPLETE"
    report = iam.get_credential_report()
    root, ann = csv.DictReader(io.StringIO(report["Content"].decode()))
    assert (root["user"], root["access_key_1_active"]) == ("<root_account>", "true")
    assert (ann["arn"], ann["access_key_1_active"]) == (f"arn:aws:iam::{ACCOUNT}:user/ann", "true")
    assert (ann["access_key_1_last_used_service"], ann["access_key_2_active"]) == ("sts", "false")
    # What is written is there after a crash, and can be read by the check.
    own_cloud.kill()
    own_cloud.start()
    assert own_cloud.client("sts", key["AccessKeyId"], key["SecretAccessKey"]).get_caller_identity()
    own_cloud.stop()
    checked = own_cloud.command("check")
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_what_nobody_has(iam, new_user):
    name = new_user()
    missing = told(lambda: iam.get_login_profile(UserName=name))
    assert missing == (404, "NoSuchEntity", f"Login Profile for User {name} cannot be found.")
    for operation, member in [
        ("list_mfa_devices", "MFADevices"),
        ("list_ssh_public_keys", "SSHPublicKeys"),
        ("list_signing_certificates", "Certificates"),
    ]:
        answer = getattr(iam, operation)(UserName=name)
        assert (answer[member], answer["IsTruncated"]) == ([], False)
        assert told(lambda: getattr(iam, operation)(UserName="absent"))[1] == "NoSuchEntity"
    assert iam.list_server_certificates()["ServerCertificateMetadataList"] == []
    assert iam.list_instance_profiles()["InstanceProfiles"] == []


def test_the_command_line(cloud, unique):
    name = unique("user")
    assert cloud.aws("iam", "create-user", "--user-name", name, "--path", "/cli/").returncode == 0
    made = cloud.aws("iam", "create-access-key", "--user-name", name)
    key = json.loads(made.stdout)["AccessKey"]
    assert key["UserName"] == name
    policy = ["--policy-name", "p", "--policy-document", allow("s3:ListAllMyBuckets")]
    assert cloud.aws("iam", "put-user-policy", "--user-name", name, *policy).returncode == 0
    shown = json.loads(cloud.aws("iam", "get-user-policy", "--user-name", name, "--policy-name", "p").stdout)
    assert shown["PolicyDocument"] == json.loads(allow("s3:ListAllMyBuckets"))
    cloud.client("s3", key["AccessKeyId"], key["SecretAccessKey"]).list_buckets()
    users = json.loads(cloud.aws("iam", "list-users", "--path-prefix", "/cli/").stdout)["Users"]
    assert name in [user["UserName"] for user in users]
    kept = cloud.aws("iam", "delete-user", "--user-name", name)
    assert kept.returncode != 0
    assert "DeleteConflict" in kept.stderr
