"""The smallest input that an operation takes, made from botocore's model."""

import botocore.session

# Names that mean something to the operation beyond their shape.
NAMED = {
    "Bucket": "table-bucket",
    "Key": "table-key",
    "CopySource": "table-bucket/table-key",
    "FunctionName": "table-function",
    "Role": "arn:aws:iam::000000000000:role/table-nobody",
    "RoleArn": "arn:aws:iam::000000000000:role/table-nobody",
    "PolicyArn": "arn:aws:iam::000000000000:policy/table-nothing",
    "PolicySourceArn": "arn:aws:iam::000000000000:user/table-nobody",
    "Arn": "arn:aws:iam::000000000000:user/table-nobody",
    "PermissionsBoundary": "arn:aws:iam::000000000000:policy/table-nothing",
    "OpenIDConnectProviderArn": "arn:aws:iam::000000000000:oidc-provider/table.example",
    "SAMLProviderArn": "arn:aws:iam::000000000000:saml-provider/table",
    "SAMLMetadataDocument": "x" * 1000,
    "Url": "https://table.example",
    "Resource": "arn:aws:lambda:us-east-1:000000000000:function:table-function",
    "ResourceArn": "arn:aws:lambda:us-east-1:000000000000:function:table-function",
    "CodeSigningConfigArn": "arn:aws:lambda:us-east-1:000000000000:code-signing-config:csc-0123456789abcdef0",
    "LayerName": "table-layer",
    "AccessKeyId": "AKIATABLETABLETABLE0",
    "AWSServiceName": "lex.amazonaws.com",
    "ServiceName": "codecommit.amazonaws.com",
    "ServiceSpecificCredentialId": "ACCATABLETABLETABLE0",
    "DeletionTaskId": "task/aws-service-role/lex.amazonaws.com/table/00000000-0000-0000-0000-000000000000",
    "ServiceNamespaces": ["s3"],
    "Status": "Active",
    "GlobalEndpointTokenVersion": "v1Token",
    "AssumeRolePolicyDocument": '{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"sts:AssumeRole",'
    '"Principal":{"AWS":"000000000000"}}}',
    "PolicyDocument": '{"Version":"2012-10-17","Statement":{"Effect":"Deny","Action":"*","Resource":"*"}}',
    "PolicyInputList": ['{"Version":"2012-10-17","Statement":{"Effect":"Deny","Action":"*","Resource":"*"}}'],
    "Policy": '{"Version":"2012-10-17","Statement":{"Effect":"Deny","Action":"*","Resource":"*","Principal":"*"}}',
    "VersionId": "v1",
    "Action": "lambda:InvokeFunction",
    "Principal": "s3.amazonaws.com",
    "WebIdentityToken": "not.a.token",
    "EncodedMessage": "none",
    "Name": "table",
    "logGroupName": "/table/group",
    "logStreamName": "stream",
    "StatementId": "table",
    "UploadId": "table",
    "retentionInDays": 7,
    "AuthType": "NONE",
    "UpdateRuntimeOn": "Auto",
    "RecursiveLoop": "Allow",
    "LicenseInfo": "MIT",
    "TagKeys": ["table"],
}

TABLE_ARN = "arn:aws:dynamodb:us-east-1:000000000000:table/table-nobody"
STREAM_ARN = f"{TABLE_ARN}/stream/2026-11-22T12:00:00.000"
ITEM = {"id": {"S": "table"}}
# Of whole services.
OF_SERVICE = {
    "dynamodb": {
        "ResourceArn": TABLE_ARN,
        "TableArn": TABLE_ARN,
        "BackupArn": f"{TABLE_ARN}/backup/01489173575360-b308cd7d",
        "ExportArn": f"{TABLE_ARN}/export/01695353076000-06e2188f",
        "ImportArn": f"{TABLE_ARN}/import/01658528578619-c4d4e311",
        "Key": ITEM,
        "Item": ITEM,
        "RequestItems": {"table-nobody": {"Keys": [ITEM]}},
        "TransactItems": [{"Get": {"TableName": "table-nobody", "Key": ITEM}}],
        "Statement": 'SELECT * FROM "table-nobody" WHERE id = \'table\'',
        "Statements": [{"Statement": 'SELECT * FROM "table-nobody" WHERE id = \'table\''}],
        "TransactStatements": [{"Statement": 'SELECT * FROM "table-nobody" WHERE id = \'table\''}],
        "Tags": [{"Key": "table", "Value": "table"}],
    },
    "dynamodbstreams": {"StreamArn": STREAM_ARN, "ShardIterator": f"{STREAM_ARN}|1|00"},
}

# What an operation wants beyond its required members, or otherwise than elsewhere.
SPECIAL = {
    "BatchWriteItem": {"RequestItems": {"table-nobody": [{"PutRequest": {"Item": ITEM}}]}},
    "TransactWriteItems": {"TransactItems": [{"Put": {"TableName": "table-nobody", "Item": ITEM}}]},
    "Query": {"KeyConditionExpression": "id = :id", "ExpressionAttributeValues": {":id": {"S": "table"}}},
    "RestoreTableToPointInTime": {"SourceTableName": "table-nobody", "UseLatestRestorableTime": True},
    "CreateTable": {
        "AttributeDefinitions": [{"AttributeName": "id", "AttributeType": "S"}],
        "KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}],
    },
    "CreateEventSourceMapping": {"EventSourceArn": STREAM_ARN, "StartingPosition": "LATEST"},
    "CreateFunction": {"Code": {"ZipFile": b"PK"}, "Runtime": "python3.11", "Handler": "a.b"},
    "PublishLayerVersion": {"Content": {"ZipFile": b"PK"}},
    "AddLayerVersionPermission": {"Action": "lambda:GetLayerVersion", "Principal": "*"},
    "CreateAlias": {"FunctionVersion": "1"},
    "CreateCodeSigningConfig": {
        "AllowedPublishers": {
            "SigningProfileVersionArns": ["arn:aws:signer:us-east-1:111111111111:/signing-profiles/table/0123456789"]
        }
    },
    "UpdateFunctionCode": {"ZipFile": b"PK"},
    "GetLayerVersionByArn": {"Arn": "arn:aws:lambda:us-east-1:000000000000:layer:table-layer:1"},
    "GetPolicyVersion": {"VersionId": "v1"},
    "UpdateUser": {"UserName": "table-nobody", "NewUserName": "table-nobody-else"},
    # Of one that is not there nobody learns so who may not list.
    "HeadObject": {"Bucket": "table-bucket", "Key": "table-kept"},
    "DeleteObjects": {"Delete": {"Objects": [{"Key": "table-key"}]}},
    "CompleteMultipartUpload": {"MultipartUpload": {"Parts": [{"PartNumber": 1, "ETag": "x"}]}},
    "PutBucketNotificationConfiguration": {"NotificationConfiguration": {}},
    "SimulateCustomPolicy": {"ActionNames": ["s3:GetObject"]},
    "SimulatePrincipalPolicy": {"ActionNames": ["s3:GetObject"]},
    # Of their own are asked for without a name.
    "GetUser": {"UserName": "table-nobody"},
    "CreateAccessKey": {"UserName": "table-nobody"},
    "ListAccessKeys": {"UserName": "table-nobody"},
    "UpdateAccessKey": {"UserName": "table-nobody"},
    "DeleteAccessKey": {"UserName": "table-nobody"},
    "ListMFADevices": {"UserName": "table-nobody"},
    "PutBucketPolicy": {
        "Policy": '{"Version":"2012-10-17","Statement":{"Effect":"Deny","Action":"s3:PutObjectAcl","Principal":"*",'
        '"Resource":"arn:aws:s3:::table-bucket/*"}}'
    },
}


def service_model(service):
    """botocore's model of a service."""
    return botocore.session.get_session().get_service_model(service)


def inputs(service, operation):
    """Arguments for boto3's client, keyed as the API names them."""
    shape = service_model(service).operation_model(operation).input_shape
    made = {}
    if shape is not None:
        for name in shape.required_members:
            made[name] = OF_SERVICE.get(service, {}).get(name) or value(name, shape.members[name])
    return {**made, **SPECIAL.get(operation, {})}


def value(name, shape):
    if name in NAMED:
        return NAMED[name]
    kind = shape.type_name
    if kind == "string":
        if shape.enum:
            return shape.enum[0]
        least = shape.metadata.get("min", 1)
        return "table-nobody" if least <= 12 else "t" * least
    if kind in ("integer", "long"):
        return max(1, shape.metadata.get("min", 1))
    if kind in ("double", "float"):
        return 1.0
    if kind == "boolean":
        return False
    if kind == "blob":
        return b"{}"
    if kind == "list":
        return [value(name, shape.member)]
    if kind == "map":
        return {"table": value("Value", shape.value)}
    if kind == "structure":
        return {member: value(member, shape.members[member]) for member in shape.required_members}
    raise AssertionError(f"no value for {name}, a {kind}")
