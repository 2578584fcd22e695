//! Operations against the Service Authorization Reference: "Actions, resources, and condition keys for AWS Lambda".

use lambent_api::testing::{Action, Reference};
use serde_json::json;

use super::cloud::{Cloud, place};

const ANY: &[&str] = &["*"];
const FUNCTION: &[&str] = &["arn:aws:lambda:us-east-1:000000000000:function:*"];
/// A function, a version or an alias.
const QUALIFIED: &[&str] = &[
    "arn:aws:lambda:us-east-1:000000000000:function:*",
    "arn:aws:lambda:us-east-1:000000000000:function:*:*",
];
const LAYER: &[&str] = &["arn:aws:lambda:us-east-1:000000000000:layer:*"];
const LAYER_VERSION: &[&str] = &["arn:aws:lambda:us-east-1:000000000000:layer:*:*"];
const SIGNING: &[&str] = &["arn:aws:lambda:us-east-1:000000000000:code-signing-config:*"];

const MAPPING: &[&str] = &["arn:aws:lambda:us-east-1:000000000000:event-source-mapping:*"];

const ACTIONS: &[Action<'_>] = &[
    ("lambda:AddLayerVersionPermission", LAYER_VERSION),
    ("lambda:AddPermission", QUALIFIED),
    ("lambda:CreateAlias", FUNCTION),
    ("lambda:CreateCodeSigningConfig", ANY),
    ("lambda:CreateEventSourceMapping", ANY),
    ("lambda:CreateFunction", FUNCTION),
    ("lambda:CreateFunctionUrlConfig", QUALIFIED),
    ("lambda:DeleteAlias", FUNCTION),
    ("lambda:DeleteCodeSigningConfig", SIGNING),
    ("lambda:DeleteEventSourceMapping", MAPPING),
    ("lambda:DeleteFunction", QUALIFIED),
    ("lambda:DeleteFunctionCodeSigningConfig", FUNCTION),
    ("lambda:DeleteFunctionConcurrency", FUNCTION),
    ("lambda:DeleteFunctionEventInvokeConfig", QUALIFIED),
    ("lambda:DeleteFunctionUrlConfig", QUALIFIED),
    ("lambda:DeleteLayerVersion", LAYER_VERSION),
    ("lambda:DeleteProvisionedConcurrencyConfig", QUALIFIED),
    ("lambda:DeleteResourcePolicy", QUALIFIED),
    ("lambda:GetAccountSettings", ANY),
    ("lambda:GetAlias", FUNCTION),
    ("lambda:GetCodeSigningConfig", SIGNING),
    ("lambda:GetEventSourceMapping", MAPPING),
    ("lambda:GetFunction", QUALIFIED),
    ("lambda:GetFunctionCodeSigningConfig", FUNCTION),
    ("lambda:GetFunctionConcurrency", FUNCTION),
    ("lambda:GetFunctionConfiguration", QUALIFIED),
    ("lambda:GetFunctionEventInvokeConfig", QUALIFIED),
    ("lambda:GetFunctionRecursionConfig", FUNCTION),
    ("lambda:GetFunctionUrlConfig", QUALIFIED),
    ("lambda:GetLayerVersion", LAYER_VERSION),
    ("lambda:GetLayerVersionPolicy", LAYER_VERSION),
    ("lambda:GetPolicy", QUALIFIED),
    ("lambda:GetProvisionedConcurrencyConfig", QUALIFIED),
    ("lambda:GetResourcePolicy", QUALIFIED),
    ("lambda:GetRuntimeManagementConfig", QUALIFIED),
    ("lambda:InvokeAsync", FUNCTION),
    ("lambda:InvokeFunction", QUALIFIED),
    ("lambda:ListAliases", FUNCTION),
    ("lambda:ListCodeSigningConfigs", ANY),
    ("lambda:ListEventSourceMappings", ANY),
    ("lambda:ListFunctionEventInvokeConfigs", FUNCTION),
    ("lambda:ListFunctionUrlConfigs", FUNCTION),
    ("lambda:ListFunctions", ANY),
    ("lambda:ListFunctionsByCodeSigningConfig", SIGNING),
    ("lambda:ListLayerVersions", ANY),
    ("lambda:ListLayers", ANY),
    ("lambda:ListProvisionedConcurrencyConfigs", FUNCTION),
    ("lambda:ListTags", FUNCTION),
    ("lambda:ListVersionsByFunction", FUNCTION),
    ("lambda:PublishLayerVersion", LAYER),
    ("lambda:PublishVersion", FUNCTION),
    ("lambda:PutFunctionCodeSigningConfig", FUNCTION),
    ("lambda:PutFunctionConcurrency", FUNCTION),
    ("lambda:PutFunctionEventInvokeConfig", QUALIFIED),
    ("lambda:PutFunctionRecursionConfig", FUNCTION),
    ("lambda:PutProvisionedConcurrencyConfig", QUALIFIED),
    ("lambda:PutResourcePolicy", QUALIFIED),
    ("lambda:PutRuntimeManagementConfig", QUALIFIED),
    ("lambda:RemoveLayerVersionPermission", LAYER_VERSION),
    ("lambda:RemovePermission", QUALIFIED),
    ("lambda:TagResource", FUNCTION),
    ("lambda:UntagResource", FUNCTION),
    ("lambda:UpdateAlias", FUNCTION),
    ("lambda:UpdateCodeSigningConfig", SIGNING),
    ("lambda:UpdateEventSourceMapping", MAPPING),
    ("lambda:UpdateFunctionCode", FUNCTION),
    ("lambda:UpdateFunctionConfiguration", FUNCTION),
    ("lambda:UpdateFunctionEventInvokeConfig", QUALIFIED),
    ("lambda:UpdateFunctionUrlConfig", QUALIFIED),
];

const RENAMED: &[(&str, &[&str])] = &[
    ("GetLayerVersionByArn", &["GetLayerVersion"]),
    ("Invoke", &["InvokeFunction"]),
    ("InvokeWithResponseStream", &["InvokeFunction"]),
];

#[tokio::test]
async fn operations_want_what_the_reference_says() {
    let cloud = Cloud::new().await;
    let function = "arn:aws:lambda:us-east-1:000000000000:function:thumb";
    let signing = "arn:aws:lambda:us-east-1:000000000000:code-signing-config:csc-0123456789abcdef0";
    let body = json!({
        "FunctionName": "thumb", "Role": "arn:aws:iam::000000000000:role/r", "Code": {}, "Name": "live",
        "FunctionVersion": "1", "StatementId": "s", "Action": "lambda:GetLayerVersion", "Principal": "111111111111",
        "AuthType": "NONE", "Tags": { "a": "b" }, "ReservedConcurrentExecutions": 1,
        "ProvisionedConcurrentExecutions": 1, "Content": {}, "RecursiveLoop": "Allow", "UpdateRuntimeOn": "Auto",
        "AllowedPublishers": { "SigningProfileVersionArns": ["arn:aws:signer:us-east-1:000000000000:/signing-profiles/p/0123456789"] },
        "CodeSigningConfigArn": signing, "Policy": "{}",
    });
    let reference = Reference {
        service: &cloud.service,
        identity: cloud.identity.clone(),
        place: place(),
        samples: &[
            ("FunctionName", "thumb"),
            ("Name", "live"),
            ("LayerName", "libs"),
            ("VersionNumber", "1"),
            ("Resource", function),
            ("ResourceArn", function),
            ("CodeSigningConfigArn", signing),
            ("StatementId", "s"),
            ("UUID", "14e0db71-5d35-4eb5-b481-8945cf9d10c2"),
        ],
        query: "Qualifier=1&Arn=arn%3Aaws%3Alambda%3Aus-east-1%3A000000000000%3Alayer%3Alibs%3A1&tagKeys=a",
        body: &body.to_string(),
        apart: &[],
        renamed: RENAMED,
        actions: ACTIONS,
    };
    assert_eq!(reference.findings().await, Vec::<String>::new());
}
