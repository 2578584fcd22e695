//! The example's role, buckets, function and notification, as the README makes them by hand.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::Method;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;
use serde_json::{Value, json};

use super::files::{NOTIFICATION, POLICY, TRUST};
use super::packages::Photo;
use crate::client::{Client, Request};
use crate::{CliError, logs};

pub(super) const FUNCTION: &str = "thumbnail";
const ROLE: &str = "photos";
const PHOTOS_BUCKET: &str = "photos";
const THUMBNAILS_BUCKET: &str = "photo-thumbnails";
const ACTIVE_TIMEOUT: Duration = Duration::from_secs(60);
const THUMBNAIL_TIMEOUT: Duration = Duration::from_secs(60);
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// A thumbnail that came back.
pub(super) struct Thumbnail {
    pub(super) key: String,
    pub(super) bytes: Bytes,
    /// From the end of the photo's upload.
    pub(super) after: Duration,
}

pub(super) async fn deploy(client: &Client, runtime: &str, package: &[u8]) -> Result<(), CliError> {
    let role = [("Action", "CreateRole"), ("RoleName", ROLE), ("AssumeRolePolicyDocument", TRUST)];
    iam(client, &role).await?;
    let policy =
        [("Action", "PutRolePolicy"), ("RoleName", ROLE), ("PolicyName", ROLE), ("PolicyDocument", POLICY)];
    iam(client, &policy).await?;
    for bucket in [PHOTOS_BUCKET, THUMBNAILS_BUCKET] {
        client.expect(&Request::new("CreateBucket", "s3", Method::PUT, &format!("/{bucket}"))).await?;
    }
    let mut function = configuration(&client.cloud().root.account, runtime);
    function["Code"] = json!({ "ZipFile": STANDARD.encode(package) });
    lambda(client, "CreateFunction", Method::POST, "/2015-03-31/functions", &function).await?;
    wait_until_active(client).await?;
    let permission = json!({
        "StatementId": "s3",
        "Action": "lambda:InvokeFunction",
        "Principal": "s3.amazonaws.com",
        "SourceArn": format!("arn:aws:s3:::{PHOTOS_BUCKET}"),
        "SourceAccount": client.cloud().root.account,
    });
    let path = format!("/2015-03-31/functions/{FUNCTION}/policy");
    lambda(client, "AddPermission", Method::POST, &path, &permission).await?;
    let path = format!("/{PHOTOS_BUCKET}?notification");
    let request = Request::new("PutBucketNotificationConfiguration", "s3", Method::PUT, &path);
    client.expect(&request.body(notification_xml(NOTIFICATION))).await?;
    Ok(())
}

/// What CreateFunction is told besides the code; `runtime` is the one that the package's libraries were installed for.
pub(super) fn configuration(account: &str, runtime: &str) -> Value {
    json!({
        "FunctionName": FUNCTION,
        "Runtime": runtime,
        "Handler": "thumbnail.handler",
        "Role": format!("arn:aws:iam::{account}:role/{ROLE}"),
        "Timeout": 30,
        "MemorySize": 512,
        "Environment": { "Variables": { "THUMBNAILS_BUCKET": THUMBNAILS_BUCKET } },
    })
}

/// Uploads every photo, then waits for every thumbnail; when one does not come, the error shows the function's log.
pub(super) async fn upload_and_wait(client: &Client, photos: &[Photo]) -> Result<Vec<Thumbnail>, CliError> {
    let mut uploaded = Vec::new();
    for photo in photos {
        let path = format!("/{PHOTOS_BUCKET}/{}", photo.key);
        let headers = [("content-type", "image/jpeg")];
        let request = Request::new("PutObject", "s3", Method::PUT, &path).headers(&headers);
        client.expect(&request.body(photo.bytes.clone())).await?;
        uploaded.push(client.clock().monotonic());
    }
    let mut thumbnails = Vec::new();
    for (photo, uploaded) in photos.iter().zip(uploaded) {
        let path = format!("/{THUMBNAILS_BUCKET}/thumbnails/{}", photo.key);
        let request = Request::new("GetObject", "s3", Method::GET, &path);
        let bytes = loop {
            let answer = client.send(&request).await?;
            match answer.status {
                200 => break answer.body,
                404 => {}
                _ => return Err(answer.refusal("GetObject")),
            }
            if client.clock().monotonic().saturating_sub(uploaded) > THUMBNAIL_TIMEOUT {
                let what = format!("the thumbnail of {}", photo.key);
                return Err(CliError::DemoLate {
                    what,
                    seconds: THUMBNAIL_TIMEOUT.as_secs(),
                    log: log(client).await,
                });
            }
            tokio::time::sleep(LOOK_EVERY).await;
        };
        let after = client.clock().monotonic().saturating_sub(uploaded);
        thumbnails.push(Thumbnail { key: photo.key.clone(), bytes, after });
    }
    Ok(thumbnails)
}

/// The function's whole log, as far as it can be read.
pub(super) async fn log(client: &Client) -> String {
    match logs::events(client, &logs::group_of(FUNCTION), 0, "").await {
        Ok(Some(events)) => events.into_iter().map(|event| event.message).collect(),
        Ok(None) => "(it wrote nothing)".to_owned(),
        Err(error) => format!("(it cannot be read: {error})"),
    }
}

async fn wait_until_active(client: &Client) -> Result<(), CliError> {
    #[derive(Deserialize, Default)]
    #[serde(rename_all = "PascalCase", default)]
    struct Configuration {
        state: String,
        state_reason: Option<String>,
    }
    let path = format!("/2015-03-31/functions/{FUNCTION}/configuration");
    let action = "GetFunctionConfiguration";
    let started = client.clock().monotonic();
    loop {
        let body = client.expect(&Request::new(action, "lambda", Method::GET, &path)).await?;
        let found: Configuration = serde_json::from_slice(&body).unwrap_or_default();
        match found.state.as_str() {
            "Active" => return Ok(()),
            "Pending" if client.clock().monotonic().saturating_sub(started) < ACTIVE_TIMEOUT => {}
            state => {
                return Err(CliError::Answer {
                    action: action.to_owned(),
                    expected: "the state Active",
                    found: format!("{state} {}", found.state_reason.unwrap_or_default()),
                });
            }
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

async fn iam(client: &Client, fields: &[(&str, &str)]) -> Result<(), CliError> {
    let encode = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
    let fields_text: Vec<String> =
        fields.iter().map(|(name, value)| format!("{name}={}", encode(value))).collect();
    let body = format!("{}&Version=2010-05-08", fields_text.join("&"));
    let headers = [("content-type", "application/x-www-form-urlencoded; charset=utf-8")];
    let action = fields.first().map_or("", |(_, action)| action);
    client.expect(&Request::new(action, "iam", Method::POST, "/").headers(&headers).body(body)).await?;
    Ok(())
}

async fn lambda(
    client: &Client,
    action: &str,
    method: Method,
    path: &str,
    input: &Value,
) -> Result<(), CliError> {
    let headers = [("content-type", "application/json")];
    client
        .expect(&Request::new(action, "lambda", method, path).headers(&headers).body(input.to_string()))
        .await?;
    Ok(())
}

/// The notification's JSON, which the AWS CLI takes, as the XML that S3 takes.
fn notification_xml(text: &str) -> String {
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Notification {
        lambda_function_configurations: Vec<Target>,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Target {
        id: String,
        lambda_function_arn: String,
        events: Vec<String>,
        filter: Filter,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Filter {
        key: Key,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Key {
        filter_rules: Vec<Rule>,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Rule {
        name: String,
        value: String,
    }
    let notification: Notification =
        serde_json::from_str(text).expect("the example is built in, and a test reads it");
    let targets = notification.lambda_function_configurations.iter().map(|target| {
        let rules = target.filter.key.filter_rules.iter();
        let rules = rules.map(|rule| {
            element("FilterRule", &[text_element("Name", &rule.name), text_element("Value", &rule.value)])
        });
        let filter = element("Filter", &[element("S3Key", &rules.collect::<Vec<_>>())]);
        let mut parts =
            vec![text_element("Id", &target.id), text_element("CloudFunction", &target.lambda_function_arn)];
        parts.extend(target.events.iter().map(|event| text_element("Event", event)));
        parts.push(filter);
        element("CloudFunctionConfiguration", &parts)
    });
    element("NotificationConfiguration", &targets.collect::<Vec<_>>())
}

fn element(name: &str, children: &[String]) -> String {
    format!("<{name}>{}</{name}>", children.concat())
}

fn text_element(name: &str, text: &str) -> String {
    let text = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    format!("<{name}>{text}</{name}>")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_notification_is_written_as_s3_reads_it() {
        assert_eq!(
            notification_xml(NOTIFICATION),
            "<NotificationConfiguration><CloudFunctionConfiguration><Id>thumbnail-of-each-photo</Id>\
             <CloudFunction>arn:aws:lambda:us-east-1:000000000000:function:thumbnail</CloudFunction>\
             <Event>s3:ObjectCreated:*</Event><Filter><S3Key><FilterRule><Name>suffix</Name><Value>.jpg</Value>\
             </FilterRule></S3Key></Filter></CloudFunctionConfiguration></NotificationConfiguration>"
        );
    }
}
