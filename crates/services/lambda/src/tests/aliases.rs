//! Aliases: where they lead, and what hangs on them.

use bytes::Bytes;
use serde_json::{Value, json};

use super::cloud::{arn, place};
use super::{Answer, Cloud, zips};
use crate::names::{FunctionName, Which};

const INVALID: &str = "InvalidParameterValueException";
const MISSING: &str = "ResourceNotFoundException";
const CONFLICT: &str = "ResourceConflictException";
const ALIASES: &str = "/2015-03-31/functions/f/aliases";

/// A function with versions 1 (128 MB) and 2 (256 MB).
async fn cloud() -> Cloud {
    let cloud = Cloud::new().await;
    cloud.create_active("f", &zips::handler("1")).await;
    publish(&cloud).await;
    cloud.json("PUT", "/2015-03-31/functions/f/configuration", json!({"MemorySize": 256})).await;
    cloud.settled("f").await;
    publish(&cloud).await;
    cloud
}

async fn publish(cloud: &Cloud) {
    let version = cloud.json("POST", "/2015-03-31/functions/f/versions", json!({})).await;
    assert_eq!(version.status, 201, "{version:?}");
}

async fn create(cloud: &Cloud, name: &str, version: &str, more: Value) -> Answer {
    let mut body = json!({"Name": name, "FunctionVersion": version});
    for (member, value) in more.as_object().unwrap() {
        body[member] = value.clone();
    }
    cloud.json("POST", ALIASES, body).await
}

async fn update(cloud: &Cloud, name: &str, input: Value) -> Answer {
    cloud.json("PUT", &format!("{ALIASES}/{name}"), input).await
}

async fn delete(cloud: &Cloud, path: &str) -> Answer {
    cloud.send("DELETE", &format!("/2015-03-31/functions/{path}"), &[], Bytes::new()).await
}

fn weights(version: &str, weight: f64) -> Value {
    json!({"RoutingConfig": {"AdditionalVersionWeights": {version: weight}}})
}

async fn executed(cloud: &Cloud, name: &str) -> String {
    let answer = cloud.invoke(name, &[], b"{}").await;
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.header("x-amz-executed-version").unwrap().to_owned()
}

async fn names(cloud: &Cloud, query: &str) -> Vec<String> {
    let (mut names, mut marker) = (Vec::new(), String::new());
    loop {
        let page = cloud.get(&format!("{ALIASES}?MaxItems=1{query}{marker}")).await;
        let aliases = page.json["Aliases"].as_array().unwrap_or_else(|| panic!("{page:?}"));
        assert!(aliases.len() <= 1);
        names.extend(aliases.iter().map(|alias| alias["Name"].as_str().unwrap().to_owned()));
        match page.json["NextMarker"].as_str() {
            Some(next) => marker = format!("&Marker={next}"),
            None => return names,
        }
    }
}

#[tokio::test]
async fn an_alias_leads_where_it_points_at_once() {
    let cloud = cloud().await;
    let made = create(&cloud, "live", "1", json!({"Description": "for all"})).await;
    assert_eq!(made.status, 201, "{made:?}");
    let revision = made.json["RevisionId"].as_str().unwrap();
    let expected = json!({
        "AliasArn": arn("f:live"), "Description": "for all", "FunctionVersion": "1", "Name": "live",
        "RevisionId": revision,
    });
    assert_eq!(made.json, expected);
    assert_eq!(cloud.get(&format!("{ALIASES}/live")).await.json, expected);
    assert_eq!(executed(&cloud, "f:live").await, "1");
    assert_eq!(executed(&cloud, &arn("f:live")).await, "1");
    let moved = update(&cloud, "live", json!({"FunctionVersion": "2", "RevisionId": revision})).await;
    assert_eq!((moved.status, moved.json["FunctionVersion"].as_str()), (200, Some("2")), "{moved:?}");
    assert_ne!(moved.json["RevisionId"], revision);
    assert_eq!(executed(&cloud, "f:live").await, "2");
    update(&cloud, "live", json!({"FunctionVersion": "$LATEST"})).await;
    assert_eq!(executed(&cloud, "f:live").await, "$LATEST");
    let asked = cloud.runner.asked.lock();
    assert!(asked.iter().all(|request| request.invoked_arn == arn("f:live")));
    assert_eq!((asked[0].function.memory_mib, asked[2].function.memory_mib), (128, 256));
}

#[tokio::test]
async fn weights_share_the_calls() {
    let cloud = cloud().await;
    assert_eq!(create(&cloud, "live", "1", weights("2", 0.25)).await.status, 201);
    let mut second = 0;
    for _ in 0..400 {
        second += usize::from(executed(&cloud, "f:live").await == "2");
    }
    // Five standard deviations around a hundred.
    assert!((57..=143).contains(&second), "{second} of 400");
    for (weight, expected) in [(1.0, "2"), (0.0, "1")] {
        assert_eq!(update(&cloud, "live", weights("2", weight)).await.status, 200);
        for _ in 0..20 {
            assert_eq!(executed(&cloud, "f:live").await, expected);
        }
    }
    let none = json!({"RoutingConfig": {"AdditionalVersionWeights": {}}});
    assert_eq!(update(&cloud, "live", none).await.json.get("RoutingConfig"), None);
}

#[tokio::test]
async fn aliases_that_lead_nowhere_are_refused() {
    let cloud = cloud().await;
    let two = json!({"RoutingConfig": {"AdditionalVersionWeights": {"1": 0.5, "2": 0.5}}});
    create(&cloud, "a", "1", two).await.expect_error(
        400,
        INVALID,
        "Number of items in AdditionalVersionWeights cannot be greater than 1",
    );
    create(&cloud, "a", "1", weights("1", 0.5)).await.expect_error(
        400,
        INVALID,
        "Invalid function version 1. Function version 1 is already included in routing configuration.",
    );
    create(&cloud, "a", "$LATEST", weights("1", 0.5)).await.expect_error(
        400,
        INVALID,
        "$LATEST is not supported for an alias pointing to more than 1 version",
    );
    let missing = format!("Function not found: {}", arn("f:9"));
    create(&cloud, "a", "9", json!({})).await.expect_error(404, MISSING, &missing);
    create(&cloud, "a", "1", weights("9", 0.5)).await.expect_error(404, MISSING, &missing);
    create(&cloud, "2024", "1", json!({})).await.expect_error(
        400,
        "ValidationException",
        "1 validation error detected: Value '2024' at 'name' failed to satisfy constraint: Member must satisfy regular \
         expression pattern: (?!^[0-9]+$)([a-zA-Z0-9-_]+)",
    );
    assert_eq!(create(&cloud, "2024-01", "1", json!({})).await.status, 201);
    let exists = format!("Alias already exists: {}", arn("f:2024-01"));
    create(&cloud, "2024-01", "2", json!({})).await.expect_error(409, CONFLICT, &exists);
    let absent = format!("Cannot find alias arn: {}", arn("f:absent"));
    cloud.get(&format!("{ALIASES}/absent")).await.expect_error(404, MISSING, &absent);
    let absent = format!("Alias not found: {}", arn("f:absent"));
    update(&cloud, "absent", json!({})).await.expect_error(404, MISSING, &absent);
    update(&cloud, "2024-01", json!({"RevisionId": "other"})).await.expect_error(
        412,
        "PreconditionFailedException",
        "The Revision Id provided does not match the latest Revision Id. Call the GetFunction/GetAlias API to \
         retrieve the latest Revision Id",
    );
    assert_eq!(delete(&cloud, "f/aliases/absent").await.status, 204);
    let missing = format!("Function not found: {}", arn("f:absent"));
    cloud.invoke("f:absent", &[], b"{}").await.expect_error(404, MISSING, &missing);
    cloud.get("/2015-03-31/functions/f:absent/configuration").await.expect_error(404, MISSING, &missing);
}

#[tokio::test]
async fn lists_go_page_by_page_and_by_version() {
    let cloud = cloud().await;
    create(&cloud, "c", "2", json!({})).await;
    create(&cloud, "a", "1", json!({})).await;
    create(&cloud, "b", "1", weights("2", 0.5)).await;
    create(&cloud, "d", "$LATEST", json!({})).await;
    assert_eq!(names(&cloud, "").await, ["a", "b", "c", "d"]);
    assert_eq!(names(&cloud, "&FunctionVersion=1").await, ["a", "b"]);
    assert_eq!(names(&cloud, "&FunctionVersion=2").await, ["b", "c"]);
    assert_eq!(names(&cloud, "&FunctionVersion=$LATEST").await, ["d"]);
    let absent = cloud.get("/2015-03-31/functions/g/aliases").await;
    absent.expect_error(404, MISSING, &format!("Function not found: {}", arn("g")));
    assert_eq!(cloud.get(&format!("{ALIASES}?Marker=!")).await.status, 400);
}

#[tokio::test]
async fn functions_are_shown_by_their_alias() {
    let cloud = cloud().await;
    create(&cloud, "live", "1", json!({})).await;
    let version = cloud.get("/2015-03-31/functions/f:1/configuration").await.json;
    let mut expected = version.clone();
    expected["FunctionArn"] = json!(arn("f:live"));
    for uri in ["f:live/configuration", "f/configuration?Qualifier=live"] {
        assert_eq!(cloud.get(&format!("/2015-03-31/functions/{uri}")).await.json, expected);
    }
    let whole = cloud.get(&format!("/2015-03-31/functions/{}", arn("f:live"))).await.json;
    assert_eq!(whole["Configuration"], expected);
}

#[tokio::test]
async fn a_version_stays_as_long_as_an_alias_leads_to_it() {
    let cloud = cloud().await;
    create(&cloud, "live", "1", weights("2", 0.5)).await;
    create(&cloud, "old", "1", json!({})).await;
    let refused =
        |aliases| format!("Unable to delete version because the following aliases reference it: [{aliases}]");
    delete(&cloud, "f:1").await.expect_error(409, CONFLICT, &refused("live, old"));
    delete(&cloud, "f?Qualifier=2").await.expect_error(409, CONFLICT, &refused("live"));
    delete(&cloud, "f:live").await.expect_error(
        400,
        INVALID,
        "Deletion of aliases is not currently supported.",
    );
    assert_eq!(delete(&cloud, "f/aliases/live").await.status, 204);
    assert_eq!(delete(&cloud, "f:2").await.status, 204);
    assert_eq!(cloud.invoke("f:live", &[], b"{}").await.status, 404);
    assert_eq!(executed(&cloud, "f:old").await, "1");
    // With the function its aliases go.
    assert_eq!(delete(&cloud, "f").await.status, 204);
    cloud.create_active("f", &zips::handler("1")).await;
    assert_eq!(names(&cloud, "").await, Vec::<String>::new());
}

#[tokio::test]
async fn names_are_resolved_in_two_steps() {
    let cloud = cloud().await;
    create(&cloud, "live", "2", json!({})).await;
    let resolve = async |text: &str| {
        let name = FunctionName::parse(text, None, &place()).unwrap();
        let found = cloud.lambda.resolve(&cloud.engine.db, &name).await.unwrap();
        found.map(|found| (found.which, found.alias.map(|alias| alias.name)))
    };
    assert_eq!(resolve("f").await, Some((Which::Latest, None)));
    assert_eq!(resolve("f:$LATEST").await, Some((Which::Latest, None)));
    assert_eq!(resolve("f:1").await, Some((Which::Published(1), None)));
    assert_eq!(resolve("f:live").await, Some((Which::Published(2), Some("live".to_owned()))));
    for absent in ["g", "g:$LATEST", "f:3", "f:01", "f:absent", "g:live"] {
        assert_eq!(resolve(absent).await, None, "{absent}");
    }
}

#[tokio::test]
async fn each_name_has_a_policy_of_its_own() {
    let cloud = cloud().await;
    let alias = create(&cloud, "live", "1", json!({})).await;
    let add = async |qualifier: &str, revision: Option<&str>| {
        let mut body =
            json!({"StatementId": "s", "Action": "lambda:InvokeFunction", "Principal": "s3.amazonaws.com"});
        if let Some(revision) = revision {
            body["RevisionId"] = json!(revision);
        }
        cloud.json("POST", &format!("/2015-03-31/functions/f:{qualifier}/policy"), body).await
    };
    assert_eq!(add("live", Some("other")).await.status, 412);
    let added = add("live", alias.json["RevisionId"].as_str()).await;
    assert_eq!(added.status, 201, "{added:?}");
    let statement: Value = serde_json::from_str(added.json["Statement"].as_str().unwrap()).unwrap();
    assert_eq!(statement["Resource"], arn("f:live"));
    let get = async |qualifier: &str| cloud.get(&format!("/2015-03-31/functions/f/policy{qualifier}")).await;
    let none = "The resource you requested does not exist.";
    for qualifier in ["", "?Qualifier=1", "?Qualifier=$LATEST", "?Qualifier=absent"] {
        get(qualifier).await.expect_error(404, MISSING, none);
    }
    assert_eq!(add("1", None).await.status, 201);
    let revision = get("?Qualifier=1").await.json["RevisionId"].as_str().unwrap().to_owned();
    let remove = async |query: &str| delete(&cloud, &format!("f/policy/s{query}")).await;
    assert_eq!(remove("?Qualifier=1&RevisionId=other").await.status, 412);
    assert_eq!(remove(&format!("?Qualifier=1&RevisionId={revision}")).await.status, 204);
    get("?Qualifier=1").await.expect_error(404, MISSING, none);
    assert_eq!(get("?Qualifier=live").await.status, 200);
    remove("?Qualifier=absent").await.expect_error(
        404,
        MISSING,
        &format!("Cannot find alias arn: {}", arn("f:absent")),
    );
    // An alias of the same name, made anew, is another.
    delete(&cloud, "f/aliases/live").await;
    create(&cloud, "live", "1", json!({})).await;
    get("?Qualifier=live").await.expect_error(404, MISSING, none);
}
