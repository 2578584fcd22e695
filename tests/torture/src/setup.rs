//! What the load needs: two buckets, a log group, a table, and a function that one of the buckets tells of its objects.

use std::io::{Cursor, Write};
use std::time::Duration;

use anyhow::{Context, bail};
use base64::Engine;
use lambent_test_client::{FORM, REGION, Request, encoded};
use zip::write::SimpleFileOptions;

use crate::client::{Client, logs, logs_operation, s3};
use crate::work::tables;

/// Objects that are written, overwritten, copied and deleted.
pub(crate) const BUCKET: &str = "kept";
/// Objects that the function is told of.
pub(crate) const TOLD_BUCKET: &str = "told";
pub(crate) const LOG_GROUP: &str = "/torture/logs";
/// The function; it prints the key of each record it is given.
pub(crate) const FUNCTION: &str = "witness";
/// Begins the lines that it prints.
pub(crate) const WITNESS_MARK: &str = "WITNESS";
pub(crate) const JSON: (&str, &str) = ("content-type", "application/json");
pub(crate) const FUNCTIONS: &str = "/2015-03-31/functions";

const SOURCE: &str = "\
def handler(event, context):
    for record in event['Records']:
        stored = record['s3']['object']
        print('WITNESS', stored['key'], stored.get('sequencer'))
";
const ROLE: &str = "torture";
const ACCOUNT: &str = "000000000000";
const TRUST: &str = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"lambda.amazonaws.com"},"Action":"sts:AssumeRole"}]}"#;
const ACTIVE_POLL: Duration = Duration::from_millis(20);
const ACTIVE_POLLS_MAX: usize = 1500;

/// Makes everything, in a new cloud; the function only where it is wanted.
pub(crate) fn run(client: &mut Client, with_function: bool) -> anyhow::Result<()> {
    for bucket in [BUCKET, TOLD_BUCKET] {
        client.must(s3("PUT", &format!("/{bucket}")))?;
    }
    let group = serde_json::json!({ "logGroupName": LOG_GROUP }).to_string();
    client.must(logs(logs_operation!("CreateLogGroup"), group.as_bytes()))?;
    create_table(client)?;
    if with_function {
        create_role(client)?;
        create_function(client)?;
        let_the_bucket_tell(client)?;
    }
    Ok(())
}

/// The table that all share, with its accounts.
fn create_table(client: &mut Client) -> anyhow::Result<()> {
    let attribute = |name: &str| serde_json::json!({ "AttributeName": name, "AttributeType": "S" });
    let key = |name: &str, kind: &str| serde_json::json!({ "AttributeName": name, "KeyType": kind });
    let table = serde_json::json!({
        "TableName": tables::TABLE,
        "AttributeDefinitions": [attribute("pk"), attribute("sk")],
        "KeySchema": [key("pk", "HASH"), key("sk", "RANGE")],
        "BillingMode": "PAY_PER_REQUEST",
    });
    client.must(tables::call("CreateTable", table.to_string().as_bytes()))?;
    let named = serde_json::json!({ "TableName": tables::TABLE }).to_string();
    for _ in 0..ACTIVE_POLLS_MAX {
        let described = client.json(tables::call("DescribeTable", named.as_bytes()))?;
        if described["Table"]["TableStatus"] == "ACTIVE" {
            for account in 0..tables::ACCOUNTS {
                client.must(tables::call("PutItem", tables::opening(account).to_string().as_bytes()))?;
            }
            return Ok(());
        }
        std::thread::sleep(ACTIVE_POLL);
    }
    bail!("the table was not active after {:?}", ACTIVE_POLL * ACTIVE_POLLS_MAX as u32)
}

fn create_role(client: &mut Client) -> anyhow::Result<()> {
    let body = format!(
        "Action=CreateRole&Version=2010-05-08&RoleName={ROLE}&AssumeRolePolicyDocument={}",
        encoded(TRUST)
    );
    let headers = &[FORM];
    client.must(Request { service: "iam", method: "POST", target: "/", headers, body: body.as_bytes() })?;
    Ok(())
}

fn create_function(client: &mut Client) -> anyhow::Result<()> {
    let body = serde_json::json!({
        "FunctionName": FUNCTION,
        "Runtime": "python3.13",
        "Role": format!("arn:aws:iam::{ACCOUNT}:role/{ROLE}"),
        "Handler": "index.handler",
        "Timeout": 60,
        "Code": { "ZipFile": package()? },
    });
    client.must(lambda("POST", FUNCTIONS, body.to_string().as_bytes()))?;
    let target = format!("{FUNCTIONS}/{FUNCTION}/configuration");
    for _ in 0..ACTIVE_POLLS_MAX {
        let function = client.json(lambda("GET", &target, b""))?;
        match function["State"].as_str() {
            Some("Active") => return Ok(()),
            Some("Failed") => bail!("the function failed: {function}"),
            _ => std::thread::sleep(ACTIVE_POLL),
        }
    }
    bail!("the function was not active after {:?}", ACTIVE_POLL * ACTIVE_POLLS_MAX as u32)
}

fn let_the_bucket_tell(client: &mut Client) -> anyhow::Result<()> {
    let permission = serde_json::json!({
        "StatementId": "s3",
        "Action": "lambda:InvokeFunction",
        "Principal": "s3.amazonaws.com",
        "SourceArn": format!("arn:aws:s3:::{TOLD_BUCKET}"),
    });
    let target = format!("{FUNCTIONS}/{FUNCTION}/policy");
    client.must(lambda("POST", &target, permission.to_string().as_bytes()))?;
    let arn = format!("arn:aws:lambda:{REGION}:{ACCOUNT}:function:{FUNCTION}");
    let notification = format!(
        "<NotificationConfiguration><CloudFunctionConfiguration><CloudFunction>{arn}</CloudFunction>\
         <Event>s3:ObjectCreated:*</Event></CloudFunctionConfiguration></NotificationConfiguration>"
    );
    let target = format!("/{TOLD_BUCKET}?notification");
    client.must(Request { body: notification.as_bytes(), ..s3("PUT", &target) })?;
    Ok(())
}

/// A call of Lambda.
pub(crate) fn lambda<'a>(method: &'a str, target: &'a str, body: &'a [u8]) -> Request<'a> {
    Request { service: "lambda", method, target, headers: &[JSON], body }
}

/// The zip with the function, in base64.
fn package() -> anyhow::Result<String> {
    let mut zip = zip::ZipWriter::new(Cursor::new(Vec::new()));
    let options = SimpleFileOptions::default().unix_permissions(0o644);
    zip.start_file("index.py", options).context("could not begin a zip")?;
    zip.write_all(SOURCE.as_bytes())?;
    let bytes = zip.finish().context("could not end a zip")?.into_inner();
    Ok(base64::engine::general_purpose::STANDARD.encode(bytes))
}
