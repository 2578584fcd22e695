//! Operations against the Service Authorization Reference: "Actions, resources, and condition keys for Amazon DynamoDB".

use lambent_api::testing::{Action, Reference};

use crate::testing::Bench;
use crate::{service, streams_service};

const TABLE: &[&str] = &["arn:aws:dynamodb:us-east-1:000000000000:table/*"];
const TABLE_OR_INDEX: &[&str] = &[
    "arn:aws:dynamodb:us-east-1:000000000000:table/*",
    "arn:aws:dynamodb:us-east-1:000000000000:table/*/index/*",
];
const ANY: &[&str] = &[
    "arn:aws:dynamodb:us-east-1:000000000000:table/*",
    "arn:aws:dynamodb:us-east-1:000000000000:table/*/index/*",
    "arn:aws:dynamodb:us-east-1:000000000000:table/*/stream/**",
];
const STREAM: &[&str] = &["arn:aws:dynamodb:us-east-1:000000000000:table/*/stream/**"];
const BACKUP: &[&str] = &["arn:aws:dynamodb:us-east-1:000000000000:table/*/backup/*"];
const BACKUP_OR_TABLE: &[&str] = &[
    "arn:aws:dynamodb:us-east-1:000000000000:table/*/backup/*",
    "arn:aws:dynamodb:us-east-1:000000000000:table/*",
];
const EXPORT: &[&str] = &["arn:aws:dynamodb:us-east-1:000000000000:table/*/export/*"];
const IMPORT: &[&str] = &["arn:aws:dynamodb:us-east-1:000000000000:table/*/import/*"];
const NONE: &[&str] = &["*"];

const ACTIONS: &[Action<'_>] = &[
    ("dynamodb:BatchGetItem", TABLE),
    ("dynamodb:BatchWriteItem", TABLE),
    ("dynamodb:ConditionCheckItem", TABLE),
    ("dynamodb:CreateBackup", TABLE),
    ("dynamodb:CreateTable", TABLE),
    ("dynamodb:DeleteBackup", BACKUP),
    ("dynamodb:DeleteItem", TABLE),
    ("dynamodb:DeleteResourcePolicy", ANY),
    ("dynamodb:DeleteTable", TABLE),
    ("dynamodb:DescribeBackup", BACKUP),
    ("dynamodb:DescribeContinuousBackups", TABLE),
    ("dynamodb:DescribeContributorInsights", TABLE_OR_INDEX),
    ("dynamodb:DescribeEndpoints", NONE),
    ("dynamodb:DescribeExport", EXPORT),
    ("dynamodb:DescribeImport", IMPORT),
    ("dynamodb:DescribeLimits", NONE),
    ("dynamodb:DescribeStream", STREAM),
    ("dynamodb:DescribeTable", TABLE),
    ("dynamodb:DescribeTableReplicaAutoScaling", TABLE),
    ("dynamodb:DescribeTimeToLive", TABLE),
    ("dynamodb:ExportTableToPointInTime", TABLE),
    ("dynamodb:GetItem", TABLE),
    ("dynamodb:GetRecords", STREAM),
    ("dynamodb:GetResourcePolicy", ANY),
    ("dynamodb:GetShardIterator", STREAM),
    ("dynamodb:ImportTable", TABLE),
    ("dynamodb:ListBackups", NONE),
    ("dynamodb:ListContributorInsights", NONE),
    ("dynamodb:ListExports", NONE),
    ("dynamodb:ListImports", NONE),
    ("dynamodb:ListStreams", NONE),
    ("dynamodb:ListTables", NONE),
    ("dynamodb:ListTagsOfResource", TABLE),
    ("dynamodb:PartiQLDelete", TABLE),
    ("dynamodb:PartiQLInsert", TABLE),
    ("dynamodb:PartiQLSelect", TABLE_OR_INDEX),
    ("dynamodb:PartiQLUpdate", TABLE),
    ("dynamodb:PutItem", TABLE),
    ("dynamodb:PutResourcePolicy", ANY),
    ("dynamodb:Query", TABLE_OR_INDEX),
    ("dynamodb:RestoreTableFromBackup", BACKUP_OR_TABLE),
    ("dynamodb:RestoreTableToPointInTime", TABLE),
    ("dynamodb:Scan", TABLE_OR_INDEX),
    ("dynamodb:TagResource", TABLE),
    ("dynamodb:UntagResource", TABLE),
    ("dynamodb:UpdateContinuousBackups", TABLE),
    ("dynamodb:UpdateContributorInsights", TABLE_OR_INDEX),
    ("dynamodb:UpdateItem", TABLE),
    ("dynamodb:UpdateTable", TABLE),
    ("dynamodb:UpdateTableReplicaAutoScaling", TABLE),
    ("dynamodb:UpdateTimeToLive", TABLE),
];

const RENAMED: &[(&str, &[&str])] = &[
    ("BatchExecuteStatement", &["PartiQLSelect"]),
    ("ExecuteStatement", &["PartiQLSelect"]),
    ("ExecuteTransaction", &["PartiQLInsert"]),
    ("TransactGetItems", &["GetItem"]),
    ("TransactWriteItems", &["PutItem"]),
];

/// What bodies of all operations say together.
const BODY: &str = r#"{
    "TableName": "songs", "IndexName": "by-year", "ResourceArn": "arn:aws:dynamodb:us-east-1:000000000000:table/songs",
    "TableArn": "arn:aws:dynamodb:us-east-1:000000000000:table/songs",
    "BackupArn": "arn:aws:dynamodb:us-east-1:000000000000:table/songs/backup/01489173575360-b308cd7d",
    "ExportArn": "arn:aws:dynamodb:us-east-1:000000000000:table/songs/export/01695353076000-06e2188f",
    "ImportArn": "arn:aws:dynamodb:us-east-1:000000000000:table/songs/import/01658528578619-c4d4e311",
    "StreamArn": "arn:aws:dynamodb:us-east-1:000000000000:table/songs/stream/2026-11-22T12:00:00.000",
    "ShardId": "shardId-00000000000000000000", "ShardIteratorType": "LATEST",
    "ShardIterator": "arn:aws:dynamodb:us-east-1:000000000000:table/songs/stream/2026-11-22T12:00:00.000|1|00",
    "SourceTableName": "songs", "TargetTableName": "more-songs", "BackupName": "backup", "S3Bucket": "bucket",
    "Policy": "{}", "TagKeys": ["a"], "Tags": [{"Key": "a", "Value": "b"}],
    "Key": {"id": {"S": "a"}}, "Item": {"id": {"S": "a"}}, "UpdateExpression": "SET a = b",
    "KeyConditionExpression": "id = :a", "ExpressionAttributeValues": {":a": {"S": "a"}},
    "TransactItems": [{"Get": {"TableName": "songs", "Key": {"id": {"S": "a"}}},
        "Put": {"TableName": "songs", "Item": {"id": {"S": "a"}}}}],
    "Statement": "SELECT * FROM songs WHERE id = 'a'", "Statements": [{"Statement": "SELECT * FROM songs WHERE id = 'a'"}],
    "TransactStatements": [{"Statement": "INSERT INTO songs VALUE {'id': 'a'}"}],
    "AttributeDefinitions": [{"AttributeName": "id", "AttributeType": "S"}],
    "KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}],
    "PointInTimeRecoverySpecification": {"PointInTimeRecoveryEnabled": true},
    "TimeToLiveSpecification": {"AttributeName": "a", "Enabled": true},
    "ContributorInsightsAction": "ENABLE", "InputFormat": "CSV", "S3BucketSource": {"S3Bucket": "bucket"},
    "TableCreationParameters": {"TableName": "songs",
        "AttributeDefinitions": [{"AttributeName": "id", "AttributeType": "S"}],
        "KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}]}
}"#;

#[tokio::test]
async fn operations_want_what_the_reference_says() {
    let bench = Bench::new().await;
    // Their RequestItems have one shape each.
    let apart = ["BatchGetItem", "BatchWriteItem"];
    for (service, body) in [(service(&bench.dynamo), BODY), (streams_service(&bench.dynamo), BODY)] {
        let reference = Reference {
            service: &service,
            identity: bench.identity(),
            place: bench.call().place().clone(),
            samples: &[],
            query: "",
            body,
            apart: &apart,
            renamed: RENAMED,
            actions: ACTIONS,
        };
        assert_eq!(reference.findings().await, Vec::<String>::new());
    }
}
