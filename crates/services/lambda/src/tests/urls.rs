//! Function URLs: their configurations, and what they do with requests.

use std::sync::Arc;

use bytes::Bytes;
use http::HeaderMap;
use lambent_api::{CallContext, FunctionUrl, FunctionUrls, UrlAnswer, UrlCall};
use lambent_base::Place;
use lambent_pool::{ErrorKind, Outcome};
use serde_json::{Value, json};

use super::cloud::arn;
use super::{Cloud, zips};
use crate::LambdaUrls;

const URL: &str = "/2021-10-31/functions/f/url";
const MISSING: &str = "ResourceNotFoundException";

async fn cloud() -> Cloud {
    let cloud = Cloud::new().await;
    cloud.create_active("f", &zips::handler("1")).await;
    cloud
}

/// The id in a URL.
fn id_of(config: &Value) -> String {
    let url = config["FunctionUrl"].as_str().unwrap().strip_prefix("http://").unwrap();
    url.split('.').next().unwrap().to_owned()
}

async fn find(cloud: &Cloud, id: &str) -> Option<Arc<dyn FunctionUrl>> {
    LambdaUrls(cloud.engine.clone()).find(id, "us-east-1").await.unwrap()
}

async fn permit(cloud: &Cloud, path: &str) {
    for (sid, action) in [("url", "lambda:InvokeFunctionUrl"), ("via", "lambda:InvokeFunction")] {
        let permission = json!({"StatementId": sid, "Action": action, "Principal": "*"});
        let added = cloud.json("POST", &format!("/2015-03-31/functions/{path}"), permission).await;
        assert_eq!(added.status, 201, "{added:?}");
    }
}

fn request(path: &str) -> UrlCall {
    let (parts, ()) = http::Request::builder().uri(path).body(()).unwrap().into_parts();
    let context = CallContext {
        request_id: "the-request".to_owned(),
        place: Place { account: String::new(), region: "us-east-1".to_owned() },
        time_ms: 0,
        source_ip: "127.0.0.1".to_owned(),
        endpoint: "http://localhost:4566".to_owned(),
        trace: None,
        client: lambent_api::Client::default(),
    };
    UrlCall { parts, body: Bytes::new(), caller: None, context }
}

#[tokio::test]
async fn a_url_keeps_its_id_until_it_is_deleted() {
    let cloud = cloud().await;
    let made = cloud.json("POST", URL, json!({"AuthType": "NONE"})).await;
    assert_eq!(made.status, 201, "{made:?}");
    let id = id_of(&made.json);
    let expected = format!("http://{id}.lambda-url.us-east-1.localhost:4566/");
    assert_eq!(made.json["FunctionUrl"], expected);
    assert_eq!(made.json["FunctionArn"], arn("f"));
    assert!(find(&cloud, &id).await.is_some());
    assert!(LambdaUrls(cloud.engine.clone()).find(&id, "eu-west-1").await.unwrap().is_none());
    let cors = json!({"AllowOrigins": ["*"]});
    let changed = cloud.json("PUT", URL, json!({"AuthType": "AWS_IAM", "Cors": cors})).await;
    assert_eq!((changed.status, &changed.json["Cors"]), (200, &cors));
    assert!(find(&cloud, &id).await.unwrap().is_signed(), "what is in memory is not older");
    let cloud = cloud.restarted().await;
    assert!(find(&cloud, &id).await.unwrap().is_signed());
    assert_eq!(cloud.send("DELETE", URL, &[], Bytes::new()).await.status, 204);
    assert!(find(&cloud, &id).await.is_none());
    cloud.get(URL).await.expect_error(404, MISSING, "The resource you requested does not exist.");
    let again = cloud.json("POST", URL, json!({"AuthType": "NONE"})).await;
    assert_ne!(id_of(&again.json), id);
}

#[tokio::test]
async fn urls_go_with_what_they_lead_to() {
    let cloud = cloud().await;
    cloud.json("POST", "/2015-03-31/functions/f/versions", json!({})).await;
    let alias = json!({"Name": "live", "FunctionVersion": "1"});
    cloud.json("POST", "/2015-03-31/functions/f/aliases", alias).await;
    let own = cloud.json("POST", URL, json!({"AuthType": "NONE"})).await;
    let of_alias = cloud.json("POST", &format!("{URL}?Qualifier=live"), json!({"AuthType": "NONE"})).await;
    assert_eq!(of_alias.json["FunctionArn"], format!("{}:live", arn("f")));
    let (own, of_alias) = (id_of(&own.json), id_of(&of_alias.json));
    cloud.send("DELETE", "/2015-03-31/functions/f/aliases/live", &[], Bytes::new()).await;
    assert!(find(&cloud, &of_alias).await.is_none());
    assert!(find(&cloud, &own).await.is_some());
    cloud.send("DELETE", "/2015-03-31/functions/f", &[], Bytes::new()).await;
    assert!(find(&cloud, &own).await.is_none());
}

#[tokio::test]
async fn who_may_not_call_a_url_has_no_code_fetched() {
    let cloud = cloud().await;
    let id = id_of(&cloud.json("POST", URL, json!({"AuthType": "NONE"})).await.json);
    let cloud = cloud.restarted().await;
    for code in cloud.unpacked() {
        std::fs::remove_dir_all(cloud.code_path(&code)).unwrap();
    }
    let refused = find(&cloud, &id).await.unwrap().call(request("/")).await.unwrap_err();
    assert_eq!(refused.status, 403);
    assert!(cloud.unpacked().is_empty());
    permit(&cloud, "f/policy").await;
    find(&cloud, &id).await.unwrap().call(request("/")).await.unwrap();
    assert_eq!(cloud.unpacked().len(), 1);
}

#[tokio::test]
async fn requests_run_the_function_once_they_may() {
    let cloud = cloud().await;
    let made = cloud.json("POST", URL, json!({"AuthType": "NONE"})).await;
    let id = id_of(&made.json);
    let refused = find(&cloud, &id).await.unwrap().call(request("/")).await.unwrap_err();
    assert_eq!((refused.status, refused.code.as_ref()), (403, "AccessDeniedException"));
    permit(&cloud, "f/policy").await;
    let response = json!({"statusCode": 418, "headers": {"a": "b"}, "body": "short"}).to_string();
    cloud.runner.answers.lock().push(Ok(Outcome::Success(response.into())));
    let UrlAnswer { status, headers, body } =
        find(&cloud, &id).await.unwrap().call(request("/p?q=1")).await.unwrap();
    assert_eq!((status.as_u16(), &headers["a"]), (418, &http::HeaderValue::from_static("b")));
    assert_eq!(body.into_bytes().unwrap(), "short");
    let asked = cloud.runner.asked.lock().pop().unwrap();
    assert_eq!(asked.request_id, "the-request");
    let event: Value = serde_json::from_slice(&asked.payload).unwrap();
    assert_eq!((&event["rawPath"], &event["rawQueryString"]), (&json!("/p"), &json!("q=1")));
    let payload = Bytes::from_static(b"{}");
    let failed = Outcome::FunctionError { kind: ErrorKind::Unhandled, payload };
    cloud.runner.answers.lock().push(Ok(failed));
    let failed = find(&cloud, &id).await.unwrap().call(request("/")).await.unwrap();
    assert_eq!(failed.status, 502);
    // A signed URL lets nobody in without a name, whatever the policy says.
    cloud.json("PUT", URL, json!({"AuthType": "AWS_IAM"})).await;
    assert_eq!(find(&cloud, &id).await.unwrap().call(request("/")).await.unwrap_err().status, 403);
    assert_eq!(find(&cloud, &id).await.unwrap().preflight(&HeaderMap::new()), None);
}

#[tokio::test]
async fn what_does_not_stream_is_told_in_events() {
    let cloud = cloud().await;
    let uri = "/2021-11-15/functions/f/response-streaming-invocations";
    let dry = cloud.send("POST", uri, &[("x-amz-invocation-type", "DryRun")], Bytes::new()).await;
    assert_eq!(dry.status, 204, "{dry:?}");
    let answer = cloud.send("POST", uri, &[], Bytes::from_static(b"{}")).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(answer.header("content-type"), Some("application/vnd.amazon.eventstream"));
    assert_eq!(answer.header("x-amz-executed-version"), Some("$LATEST"));
}
