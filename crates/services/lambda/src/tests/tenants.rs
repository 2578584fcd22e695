//! Tenant isolation.

use serde_json::json;

use super::cloud::host;
use super::{Cloud, zips};

#[tokio::test]
async fn a_function_with_tenants_wants_one_and_others_want_none() {
    let cloud = Cloud::new().await;
    let tenancy = json!({"TenantIsolationMode": "PER_TENANT"});
    let more = json!({"Architectures": [host()], "TenancyConfig": tenancy});
    let created = cloud.create("shared", &zips::handler("1"), more).await;
    assert_eq!(created.json["TenancyConfig"], tenancy, "{created:?}");
    cloud.settled("shared").await;
    cloud.create_active("plain", &zips::handler("1")).await;

    cloud.invoke("shared", &[], b"{}").await.expect_error(
        400,
        "InvalidParameterValueException",
        "The invoked function is enabled with tenancy configuration. Add a valid tenant ID in your request and try \
         again.",
    );
    cloud.invoke("plain", &[("x-amz-tenant-id", "blue")], b"{}").await.expect_error(
        400,
        "InvalidParameterValueException",
        "The invoked function is not enabled with tenancy configuration. Remove the tenant ID from your request and \
         try again.",
    );
    let refused = cloud.invoke("shared", &[("x-amz-tenant-id", "b#e")], b"{}").await;
    assert_eq!(refused.json["code"], "ValidationException");
    assert!(cloud.runner.asked.lock().is_empty());

    assert_eq!(cloud.invoke("shared", &[("x-amz-tenant-id", "blue")], b"{}").await.status, 200);
    assert_eq!(cloud.invoke("plain", &[], b"{}").await.status, 200);
    let asked: Vec<_> = cloud.runner.asked.lock().iter().map(|call| call.tenant_id.clone()).collect();
    assert_eq!(asked, [Some("blue".to_owned()), None]);
}

#[tokio::test]
async fn tenants_stay_with_the_function_and_have_no_snapshots() {
    let cloud = Cloud::new().await;
    let more = json!({"TenancyConfig": {"TenantIsolationMode": "PER_TENANT"}});
    cloud.create("shared", &zips::handler("1"), more.clone()).await;
    cloud.settled("shared").await;
    let updated =
        cloud.json("PUT", "/2015-03-31/functions/shared/configuration", json!({"Description": "d"})).await;
    assert_eq!(updated.json["TenancyConfig"], more["TenancyConfig"]);
    let snapshots = json!({"TenancyConfig": {"TenantIsolationMode": "PER_TENANT"}, "Runtime": "python3.12",
        "SnapStart": {"ApplyOn": "PublishedVersions"}});
    cloud.create("other", &zips::handler("1"), snapshots).await.expect_error(
        400,
        "InvalidParameterValueException",
        "SnapStart is not supported for functions with tenant isolation.",
    );
}

#[tokio::test]
async fn an_asynchronous_call_stays_its_tenants() {
    let cloud = Cloud::new().await;
    let more = json!({"Architectures": [host()], "TenancyConfig": {"TenantIsolationMode": "PER_TENANT"}});
    cloud.create("shared", &zips::handler("1"), more).await;
    cloud.settled("shared").await;
    let event = [("x-amz-invocation-type", "Event"), ("x-amz-tenant-id", "blue")];
    assert_eq!(cloud.invoke("shared", &event, b"{}").await.status, 202);
    cloud.invoke("shared", &event[..1], b"{}").await.expect_error(
        400,
        "InvalidParameterValueException",
        "The invoked function is enabled with tenancy configuration. Add a valid tenant ID in your request and try \
         again.",
    );
    cloud.deliver().await;
    let asked = cloud.runner.asked.lock();
    let tenants: Vec<_> = asked.iter().map(|call| call.tenant_id.as_deref()).collect();
    assert_eq!((tenants, asked[0].client_context.as_deref()), (vec![Some("blue")], None));
}

#[tokio::test]
async fn where_no_call_names_a_tenant_there_is_nothing_to_be_had() {
    let cloud = Cloud::new().await;
    let more = json!({"Architectures": [host()], "TenancyConfig": {"TenantIsolationMode": "PER_TENANT"}});
    cloud.create("shared", &zips::handler("1"), more).await;
    cloud.settled("shared").await;
    cloud.json("POST", "/2015-03-31/functions/shared/versions", json!({})).await;
    let url = json!({"AuthType": "AWS_IAM"});
    cloud.json("POST", "/2021-10-31/functions/shared/url", url).await.expect_error(
        400,
        "InvalidParameterValueException",
        "A function URL is not supported for functions with tenant isolation.",
    );
    let one = json!({"ProvisionedConcurrentExecutions": 1});
    let uri = "/2019-09-30/functions/shared/provisioned-concurrency?Qualifier=1";
    cloud.json("PUT", uri, one).await.expect_error(
        400,
        "InvalidParameterValueException",
        "Provisioned Concurrency is not supported for functions with tenant isolation.",
    );
}
