//! What a check finds of rows beside functions.

use lambent_care::Findings;
use lambent_store::StoreError;
use serde_json::json;

use super::cloud::place;
use super::{Cloud, zips};
use crate::names::FunctionName;
use crate::{keys, rows};

async fn problems(cloud: &Cloud) -> Vec<(String, usize)> {
    let mut findings = Findings::default();
    crate::check(&cloud.db.export().await.unwrap(), &mut findings).await.unwrap();
    findings.problems.iter().map(|problem| (problem.what.clone(), problem.mends.len())).collect()
}

#[tokio::test]
async fn rows_of_functions_that_are_gone_are_found() {
    let cloud = Cloud::new().await;
    cloud.create_active("f", &zips::handler("1")).await;
    let calm = [
        ("PUT", "/2017-10-31/functions/f/concurrency", json!({"ReservedConcurrentExecutions": 7})),
        ("PUT", "/2019-09-25/functions/f/event-invoke-config", json!({"MaximumRetryAttempts": 1})),
        ("PUT", "/2024-08-31/functions/f/recursion-config", json!({"RecursiveLoop": "Allow"})),
        ("POST", "/2021-10-31/functions/f/url", json!({"AuthType": "AWS_IAM"})),
    ];
    for (method, uri, body) in calm {
        let answer = cloud.json(method, uri, body).await;
        assert!(answer.status < 300, "{uri}: {answer:?}");
    }
    assert_eq!(problems(&cloud).await, []);
    let kinds = [
        (keys::CONCURRENCY, "reserved concurrency"),
        (keys::EVENT_INVOKE, "event invoke configuration"),
        (keys::RECURSION, "recursion configuration"),
        (keys::URL, "function URL"),
    ];
    let copied = cloud.db.run(|txn| async move {
        for (kind, _) in kinds {
            let its = txn.scan(&keys::attached(kind, &place(), "f").range(), Default::default()).await?;
            txn.put(&keys::attached(kind, &place(), "ghost"), &its.rows[0].1);
        }
        let name = FunctionName { place: place(), name: "ghost".to_owned(), qualifier: None };
        rows::put(&txn, &keys::url_id("us-east-1", "nobodys"), &json!({"account": "0", "name": name.name}));
        txn.put(&keys::pending(&place(), "ghost"), b"");
        Ok::<_, StoreError>(())
    });
    copied.await.unwrap();
    let told = problems(&cloud).await;
    let whats = kinds.iter().map(|(_, what)| *what).chain(["mark of a pending function"]);
    for what in whats {
        let found = told.iter().filter(|(told, mends)| {
            told.starts_with(what)
                && told.ends_with("of a function, ghost, which does not exist")
                && *mends == 1
        });
        assert_eq!(found.count(), 1, "{what}: {told:?}");
    }
    assert!(
        told.iter().any(|(what, _)| what.ends_with("is the id of a URL that does not exist")),
        "{told:?}"
    );
    assert_eq!(told.len(), 6, "{told:?}");
}

#[tokio::test]
async fn a_row_of_another_shape_cannot_be_read() {
    let cloud = Cloud::new().await;
    cloud.create_active("f", &zips::handler("1")).await;
    let written = cloud.db.run(|txn| async move {
        txn.put(&keys::concurrency(&place(), "f"), b"{\"reserved\": \"seven\"}");
        txn.put(&keys::provisioned(&place(), "f", "1"), b"3");
        Ok::<_, StoreError>(())
    });
    written.await.unwrap();
    let told = problems(&cloud).await;
    for begin in ["reserved concurrency lambda/concurrency/", "provisioned concurrency lambda/provisioned/"] {
        assert!(
            told.iter().any(|(what, _)| what.starts_with(begin) && what.contains("cannot be read")),
            "{told:?}"
        );
    }
    assert_eq!(told.len(), 2, "{told:?}");
}
