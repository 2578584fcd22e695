//! Compiled code of Node.js functions: which have it, and how long.

use std::path::PathBuf;

use bytes::Bytes;
use serde_json::{Value, json};

use super::cloud::{host, place};
use super::{Cloud, zips};

/// More than is compiled for nothing.
const LARGE: usize = 100 << 10;

fn node(bytes: usize) -> Vec<u8> {
    let comment = format!("// {}", "x".repeat(bytes));
    zips::packed(&[("index.js", b"exports.handler = async () => 1;"), ("lib/large.js", comment.as_bytes())])
}

async fn create(cloud: &Cloud, name: &str, zip: &[u8], more: Value) {
    let mut settings = json!({"Runtime": "nodejs22.x", "Architectures": [host()]});
    for (member, value) in more.as_object().unwrap() {
        settings[member] = value.clone();
    }
    let created = cloud.create(name, zip, settings).await;
    assert_eq!(created.status, 201, "{created:?}");
    compiled(cloud, name).await;
}

/// Waits until a function's code is compiled, if it will be.
async fn compiled(cloud: &Cloud, name: &str) {
    assert_eq!(cloud.settled(name).await.json["State"], "Active");
    cloud.engine.compile_code(&place(), name).await.unwrap();
    // The work that began with the change may have been quicker, and has ended when it is nobody's turn.
    drop(cloud.lambda.compile_slots.acquire().await.unwrap());
}

/// What the next environment of a function would be given.
async fn given(cloud: &Cloud, name: &str) -> Option<PathBuf> {
    cloud.invoke(name, &[], b"{}").await;
    cloud.runner.asked.lock().pop().unwrap().function.code_cache.clone()
}

/// Of how many functions code was compiled.
fn compilations(cloud: &Cloud) -> usize {
    cloud.runner.compiled.lock().len()
}

#[tokio::test]
async fn large_code_is_compiled_once_and_goes_with_it() {
    let cloud = Cloud::new().await;
    create(&cloud, "a", &node(LARGE), json!({})).await;
    create(&cloud, "b", &node(LARGE), json!({})).await;
    assert_eq!(compilations(&cloud), 1, "the second has the same code");
    let folder = given(&cloud, "a").await.unwrap();
    assert_eq!(given(&cloud, "b").await.unwrap(), folder);
    assert_eq!(std::fs::read(folder.join("code")).unwrap(), b"compiled");
    let unpacked = cloud.unpacked();
    assert_eq!(unpacked.len(), 2, "{unpacked:?}");
    assert_eq!(unpacked[1], format!("{}.compiled", unpacked[0]));

    let other = json!({"ZipFile": base64(&node(LARGE + 1))});
    let updated = cloud.json("PUT", "/2015-03-31/functions/a/code", other).await;
    assert_eq!(updated.status, 200, "{updated:?}");
    compiled(&cloud, "a").await;
    assert_eq!(compilations(&cloud), 2);
    assert_ne!(given(&cloud, "a").await.unwrap(), folder);

    for name in ["a", "b"] {
        cloud.send("DELETE", &format!("/2015-03-31/functions/{name}"), &[], Bytes::new()).await;
    }
    cloud.sweep().await;
    assert!(cloud.unpacked().is_empty(), "{:?}", cloud.unpacked());
}

#[tokio::test]
async fn code_that_gains_nothing_is_not_compiled() {
    let cloud = Cloud::new().await;
    create(&cloud, "small", &node(10), json!({})).await;
    create(&cloud, "python", &node(LARGE), json!({"Runtime": "python3.11"})).await;
    let own = json!({"Environment": {"Variables": {"NODE_OPTIONS": "--enable-source-maps"}}});
    create(&cloud, "options", &node(LARGE), own).await;
    assert_eq!(compilations(&cloud), 0);
    assert_eq!(given(&cloud, "options").await, None);
}

#[tokio::test]
async fn only_a_few_forms_of_the_same_code_are_kept() {
    let cloud = Cloud::new().await;
    create(&cloud, "a", &node(LARGE), json!({})).await;
    for memory in [256, 384, 512, 640, 768] {
        let settings = json!({"MemorySize": memory});
        let updated = cloud.json("PUT", "/2015-03-31/functions/a/configuration", settings).await;
        assert_eq!(updated.status, 200, "{updated:?}");
        compiled(&cloud, "a").await;
        assert!(given(&cloud, "a").await.is_some());
    }
    assert_eq!(compilations(&cloud), 6);
    let root = given(&cloud, "a").await.unwrap().parent().unwrap().to_owned();
    assert_eq!(std::fs::read_dir(root).unwrap().count(), 4);
}

fn base64(zip: &[u8]) -> String {
    use base64::Engine;
    base64::engine::general_purpose::STANDARD.encode(zip)
}
