//! AWS's managed policies that serverless applications attach.
//!
//! Names, ids, versions, times and documents are facts that AWS publishes (AWS Managed Policy Reference). The documents of
//! ReadOnlyAccess, SecurityAudit, ViewOnlyAccess, CloudWatchFullAccessV2 and CloudWatchReadOnlyAccess are cut down to the
//! services that Lambent has or will have; all others are whole.

use super::AwsManaged;

const ROOT: &str = "/";
const SERVICE_ROLE: &str = "/service-role/";
const JOB_FUNCTION: &str = "/job-function/";

/// Name, path, id (empty where AWS's is not known), number of the default version, when that was made (seconds since
/// 1970), what it is for.
macro_rules! policy {
    ($name:literal, $path:expr, $id:literal, $version:literal, $made_s:literal, $description:literal) => {
        AwsManaged {
            name: $name,
            path: $path,
            known_id: $id,
            version: $version,
            made_s: $made_s,
            description: $description,
            document: include_str!(concat!($name, ".json")),
        }
    };
}

/// By name.
#[rustfmt::skip]
pub(super) static CATALOGUE: &[AwsManaged] = &[
    policy!("AWSCloudFormationFullAccess", ROOT, "", 1, 1_564_177_835, "Everything in CloudFormation."),
    policy!("AWSCloudFormationReadOnlyAccess", ROOT, "ANPAJWVBEE4I2POWLODLW", 7, 1_770_919_320, "Read all of CloudFormation."),
    policy!("AWSKeyManagementServicePowerUser", ROOT, "ANPAJNPP7PPPPMJRV2SA4", 2, 1_488_848_111, "Make keys and aliases of KMS."),
    policy!("AWSLambdaBasicExecutionRole", SERVICE_ROLE, "ANPAJNCQGXC42545SKXIK", 1, 1_428_591_823, "Provides write permissions to CloudWatch Logs."),
    policy!("AWSLambdaDynamoDBExecutionRole", SERVICE_ROLE, "ANPAIP7WNAGMIPYNW4WQG", 1, 1_428_592_169, "List and read DynamoDB streams, write to CloudWatch Logs."),
    policy!("AWSLambdaENIManagementAccess", SERVICE_ROLE, "ANPAJXAW2Q3KPTURUT2QC", 2, 1_601_582_846, "Network interfaces of functions in a VPC."),
    policy!("AWSLambdaExecute", ROOT, "ANPAJE5FX7FQZSU5XAKGO", 1, 1_423_248_046, "Read and write objects of S3, everything in CloudWatch Logs."),
    policy!("AWSLambdaInvocation-DynamoDB", ROOT, "ANPAJTHQ3EKCQALQDYG5G", 1, 1_423_248_047, "Read DynamoDB streams and invoke functions."),
    policy!("AWSLambdaKinesisExecutionRole", SERVICE_ROLE, "ANPAJHOLKJPXV4GBRMJUQ", 2, 1_542_658_164, "List and read Kinesis streams, write to CloudWatch Logs."),
    policy!("AWSLambdaMSKExecutionRole", SERVICE_ROLE, "", 2, 1_659_470_882, "Reach MSK clusters in a VPC, write to CloudWatch Logs."),
    policy!("AWSLambdaRole", SERVICE_ROLE, "ANPAJX4DPCRGTC4NFDUXI", 1, 1_423_248_088, "Invoke any function."),
    policy!("AWSLambdaSQSQueueExecutionRole", SERVICE_ROLE, "", 1, 1_529_013_045, "Receive and delete messages, read queue attributes, write to CloudWatch Logs."),
    policy!("AWSLambdaVPCAccessExecutionRole", SERVICE_ROLE, "ANPAJVTME3YLVNL72YR2K", 3, 1_704_494_306, "Minimum permissions for a function in a VPC: network interfaces and CloudWatch Logs."),
    policy!("AWSLambda_FullAccess", ROOT, "ANPAZKAPJZG4OXQPYWZ5D", 7, 1_770_919_251, "Everything in Lambda, and what its console reads of other services."),
    policy!("AWSLambda_ReadOnlyAccess", ROOT, "", 5, 1_770_919_375, "Reading all of Lambda, and what its console reads of other services."),
    policy!("AWSStepFunctionsConsoleFullAccess", ROOT, "ANPAJIYC52YWRX6OSMJWK", 2, 1_484_180_374, "Everything in Step Functions, and what its console uses."),
    policy!("AWSStepFunctionsFullAccess", ROOT, "ANPAJXKA6VP3UFBVHDPPA", 1, 1_484_171_492, "Everything in Step Functions."),
    policy!("AWSStepFunctionsReadOnlyAccess", ROOT, "ANPAJONHB2TJQDJPFW5TM", 4, 1_714_157_634, "Read all of Step Functions."),
    policy!("AWSXRayDaemonWriteAccess", ROOT, "", 2, 1_707_861_510, "Send traces, read sampling rules."),
    policy!("AWSXrayFullAccess", ROOT, "ANPAJQBYG45NSJMVQDB2K", 2, 1_712_855_256, "Everything in X-Ray."),
    policy!("AWSXrayReadOnlyAccess", ROOT, "ANPAIH4OFXWPS6ZX6OPGQ", 8, 1_707_870_902, "Read all of X-Ray."),
    policy!("AWSXrayWriteOnlyAccess", ROOT, "ANPAIAACM4LMYSRGBCTM6", 2, 1_535_497_384, "Send traces, read sampling rules."),
    policy!("AdministratorAccess", ROOT, "ANPAIWMBCKSKIEE64ZLYK", 1, 1_423_247_986, "Everything."),
    policy!("AmazonAPIGatewayAdministrator", ROOT, "ANPAJ4PT6VY5NLKTNUYSI", 1, 1_436_463_285, "Everything in API Gateway."),
    policy!("AmazonAPIGatewayInvokeFullAccess", ROOT, "ANPAIIWAX2NOOQJ4AIEQ6", 2, 1_545_157_510, "Invoke all APIs."),
    policy!("AmazonAPIGatewayPushToCloudWatchLogs", SERVICE_ROLE, "ANPAIK4GFO7HLKYN64ASK", 1, 1_447_285_306, "What API Gateway writes to CloudWatch Logs."),
    policy!("AmazonAthenaFullAccess", ROOT, "ANPAIPJMLMD4C7RYZ6XCK", 15, 1_770_919_389, "Everything in Athena, and what its queries use."),
    policy!("AmazonBedrockFullAccess", ROOT, "", 10, 1_770_919_143, "Everything in Bedrock."),
    policy!("AmazonBedrockReadOnly", ROOT, "", 7, 1_770_919_075, "Read all of Bedrock."),
    policy!("AmazonCognitoPowerUser", ROOT, "ANPAJKW5H2HNCPGCYGR6Y", 9, 1_770_919_209, "Everything in Cognito."),
    policy!("AmazonCognitoReadOnly", ROOT, "ANPAJBFTRZD2GQGJHSVQK", 4, 1_564_687_264, "Read all of Cognito."),
    policy!("AmazonDynamoDBFullAccess", ROOT, "ANPAINUGF2JSOSUY76KYA", 15, 1_611_941_910, "Everything in DynamoDB, and what its console uses."),
    policy!("AmazonDynamoDBFullAccess_v2", ROOT, "", 3, 1_770_919_377, "Everything in DynamoDB, with less of other services."),
    policy!("AmazonDynamoDBReadOnlyAccess", ROOT, "ANPAIY2XFNA232XJ6J7X2", 15, 1_731_951_495, "Read all of DynamoDB, and what its console reads."),
    policy!("AmazonElastiCacheFullAccess", ROOT, "ANPAIA2V44CPHAUAAECKG", 3, 1_701_143_396, "Everything in ElastiCache, and what its console uses."),
    policy!("AmazonElastiCacheReadOnlyAccess", ROOT, "ANPAIPDACSNQHSENWAKM2", 1, 1_423_248_021, "Read all of ElastiCache."),
    policy!("AmazonEventBridgeFullAccess", ROOT, "", 7, 1_770_919_105, "Everything in EventBridge."),
    policy!("AmazonEventBridgeReadOnlyAccess", ROOT, "", 6, 1_669_914_168, "Read all of EventBridge."),
    policy!("AmazonEventBridgeSchedulerFullAccess", ROOT, "", 4, 1_770_919_395, "Everything in EventBridge Scheduler."),
    policy!("AmazonEventBridgeSchedulerReadOnlyAccess", ROOT, "", 4, 1_770_919_096, "Read all schedules."),
    policy!("AmazonKinesisFullAccess", ROOT, "ANPAIVF32HAMOXCUYRAYE", 1, 1_423_248_029, "Everything in Kinesis."),
    policy!("AmazonKinesisReadOnlyAccess", ROOT, "ANPAIOCMTDT5RLKZ2CAJO", 1, 1_423_248_030, "Read all streams."),
    policy!("AmazonS3FullAccess", ROOT, "ANPAIFIR6V6BVTRAHWINE", 2, 1_632_773_797, "Everything in S3."),
    policy!("AmazonS3ObjectLambdaExecutionRolePolicy", SERVICE_ROLE, "", 1, 1_629_281_261, "Answer requests of S3 Object Lambda, write to CloudWatch Logs."),
    policy!("AmazonS3ReadOnlyAccess", ROOT, "ANPAIZTJ4DXE7G6AGAE6M", 3, 1_691_703_099, "Read all buckets."),
    policy!("AmazonSNSFullAccess", ROOT, "ANPAJWEKLCXXUNT2SOLSG", 2, 1_727_217_125, "Everything in SNS."),
    policy!("AmazonSNSReadOnlyAccess", ROOT, "ANPAIZGQCQTFOFPMHSB6W", 2, 1_727_215_992, "Read topics and subscriptions."),
    policy!("AmazonSNSRole", SERVICE_ROLE, "ANPAJK5GQB7CIK7KHY2GA", 1, 1_423_248_090, "What SNS writes to CloudWatch Logs."),
    policy!("AmazonSQSFullAccess", ROOT, "ANPAI65L554VRJ33ECQS6", 1, 1_423_248_067, "Everything in SQS."),
    policy!("AmazonSQSReadOnlyAccess", ROOT, "ANPAIUGSSQY362XGCM6KW", 4, 1_716_574_604, "Read queues and their attributes."),
    policy!("AmazonSSMFullAccess", ROOT, "ANPAJA7V6HI4ISQFMDYAG", 4, 1_574_280_536, "Everything in Systems Manager."),
    policy!("AmazonSSMReadOnlyAccess", ROOT, "ANPAJODSKQGGJTHRYZ5FC", 1, 1_432_921_459, "Read all of Systems Manager."),
    policy!("CloudWatchEventsFullAccess", ROOT, "ANPAJZLOYLNHESMYOJAFU", 5, 1_770_919_232, "Everything in CloudWatch Events."),
    policy!("CloudWatchFullAccess", ROOT, "ANPAIKEABORKUXN6DEAZU", 4, 1_669_555_429, "Everything in CloudWatch, its logs, and SNS."),
    policy!("CloudWatchFullAccessV2", ROOT, "", 15, 1_770_919_206, "Everything in CloudWatch and its logs."),
    policy!("CloudWatchLambdaApplicationSignalsExecutionRolePolicy", ROOT, "", 1, 1_729_105_757, "What Application Signals writes for a function."),
    policy!("CloudWatchLambdaInsightsExecutionRolePolicy", ROOT, "", 1, 1_602_098_826, "What the Lambda Insights extension writes."),
    policy!("CloudWatchLogsFullAccess", ROOT, "ANPAJ3ZGNWK2R5HW5BQFO", 8, 1_770_919_233, "Everything in CloudWatch Logs."),
    policy!("CloudWatchLogsReadOnlyAccess", ROOT, "ANPAJ2YIYDYSNNEHK3VKW", 12, 1_770_919_153, "Read all of CloudWatch Logs."),
    policy!("CloudWatchReadOnlyAccess", ROOT, "ANPAJN23PDQP7SZQAE3QE", 24, 1_770_919_310, "Read all of CloudWatch and its logs."),
    policy!("IAMFullAccess", ROOT, "ANPAI7XKCFMBPM3QQRRVQ", 2, 1_561_146_000, "Everything in IAM."),
    policy!("IAMReadOnlyAccess", ROOT, "ANPAJKSO7NDY4T57MWDSQ", 4, 1_516_907_487, "Read all of IAM."),
    policy!("IAMUserChangePassword", ROOT, "ANPAJ4L4MM2A7QIEB56MS", 5, 1_770_919_137, "A user's own password."),
    policy!("PowerUserAccess", ROOT, "ANPAJYRXTHIB4FOVS3ZXS", 12, 1_770_919_154, "Everything but users, groups and the organization."),
    policy!("ReadOnlyAccess", ROOT, "ANPAILL3HVNFSB6DCOWYQ", 178, 1_770_919_293, "Read everything."),
    policy!("SecretsManagerReadWrite", ROOT, "", 5, 1_708_625_526, "Everything in Secrets Manager, and what rotation uses."),
    policy!("SecurityAudit", ROOT, "ANPAIX2T3QCXHR2OGGCTO", 85, 1_772_471_531, "Read what a security audit needs."),
    policy!("ViewOnlyAccess", JOB_FUNCTION, "ANPAID22R6XPJATWOFDK6", 43, 1_770_919_360, "See which resources there are."),
];
