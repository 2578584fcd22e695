//! Time to live.

use std::time::Duration;

use lambent_expressions::{Item, Number, Value};
use lambent_model_dynamodb as model;
use lambent_store::Txn;

use super::sweep::Swept;
use crate::DynamoError;
use crate::testing::{Bench, item};

impl Bench {
    async fn turn_ttl(&self, table: &str, attribute: &str, enabled: bool) -> Result<(), String> {
        let input = model::UpdateTimeToLiveInput {
            table_name: table.to_owned(),
            time_to_live_specification: model::TimeToLiveSpecification {
                attribute_name: attribute.to_owned(),
                enabled,
            },
        };
        let output = self.dynamo.update_time_to_live(&self.call(), input).await;
        output.map(drop).map_err(|error| error.to_string())
    }

    async fn ttl_status(&self, table: &str) -> String {
        let input = model::DescribeTimeToLiveInput { table_name: table.to_owned() };
        let output = self.dynamo.describe_time_to_live(&self.call(), input).await.unwrap();
        output.time_to_live_description.unwrap().time_to_live_status.unwrap().as_str().to_owned()
    }

    async fn expire(&self) -> Option<i64> {
        self.dynamo.sweep_expired(&self.work, &mut Swept::new()).await.unwrap()
    }
}

fn expiring(id: &str, at: &str) -> Item {
    let mut item = item(id, "");
    item.insert("at".to_owned(), Value::N(Number::parse(at).unwrap()));
    item
}

fn ids(items: &[Item]) -> Vec<&Value> {
    items.iter().map(|item| &item["id"]).collect()
}

#[tokio::test]
async fn items_go_when_their_time_has_come() {
    let bench = Bench::new().await;
    let stream = model::StreamSpecification {
        stream_enabled: true,
        stream_view_type: Some("NEW_AND_OLD_IMAGES".into()),
    };
    bench.table("tab", Some(stream)).await;
    let now_s = bench.now_ms() / 1000;
    bench.put("tab", expiring("before", &(now_s - 10).to_string())).await;
    assert_eq!(bench.expire().await, None, "it is off");
    bench.turn_ttl("tab", "at", true).await.unwrap();
    assert_eq!(bench.ttl_status("tab").await, "ENABLING");
    bench.put("tab", expiring("past", &(now_s - 100).to_string())).await;
    bench.put("tab", expiring("soon", &format!("{}.5", now_s + 50))).await;
    bench.put("tab", expiring("later", &(now_s + 5000).to_string())).await;
    bench.put("tab", expiring("too old", &(now_s - 6 * 365 * 86_400).to_string())).await;
    bench.put("tab", expiring("moved", &(now_s - 1).to_string())).await;
    bench.put("tab", expiring("moved", &(now_s + 5000).to_string())).await;
    bench.put("tab", item("never", "")).await;
    assert_eq!(bench.expire().await, Some(now_s + 50));
    assert_eq!(bench.ttl_status("tab").await, "ENABLED");
    let text = |text: &str| Value::S(text.to_owned());
    let left = [text("later"), text("moved"), text("never"), text("soon"), text("too old")];
    assert_eq!(ids(&bench.items("tab").await), left.iter().collect::<Vec<_>>());
    bench.hand.advance(Duration::from_secs(50));
    bench.expire().await;
    assert_eq!(bench.items("tab").await.len(), 4);
    assert_eq!(bench.rows(b"dynamodb/ttl/").await, 2, "later and moved");
}

#[tokio::test]
async fn changes_keep_others_off_for_an_hour() {
    let bench = Bench::new().await;
    bench.table("tab", None).await;
    let refused = "ValidationException: TimeToLive is already disabled";
    assert_eq!(bench.turn_ttl("tab", "at", false).await.unwrap_err(), refused);
    bench.turn_ttl("tab", "at", true).await.unwrap();
    let refused = "ValidationException: TimeToLive is already enabled";
    assert_eq!(bench.turn_ttl("tab", "at", true).await.unwrap_err(), refused);
    let refused =
        "ValidationException: Time to live has been modified multiple times within a fixed interval";
    assert_eq!(bench.turn_ttl("tab", "at", false).await.unwrap_err(), refused);
    bench.hand.advance(Duration::from_secs(3_600));
    let other = bench.turn_ttl("tab", "other", true).await.unwrap_err();
    assert!(
        other.ends_with("TimeToLive is active on a different AttributeName: current AttributeName is at")
    );
    bench.put("tab", expiring("a", "1")).await;
    bench.put("tab", expiring("b", "2000000000")).await;
    bench.turn_ttl("tab", "at", false).await.unwrap();
    assert_eq!(bench.ttl_status("tab").await, "DISABLED");
    assert_eq!(bench.expire().await, None);
    assert_eq!(bench.rows(b"dynamodb/ttl/").await, 0);
    assert_eq!(bench.rows(b"dynamodb/expiring/").await, 0);
    assert_eq!(bench.items("tab").await.len(), 2);
}

#[tokio::test]
async fn what_cannot_be_read_keeps_no_other_item() {
    let bench = Bench::new().await;
    bench.table("tab", None).await;
    let due = (bench.now_ms() / 1000 - 10).to_string();
    for id in ["before", "before, too"] {
        bench.put("tab", expiring(id, &due)).await;
    }
    let (bench, call) = (&bench, bench.call());
    let table = &bench.dynamo.schema(call.place(), "tab").await.unwrap().unwrap();
    let damage = |id: &'static str| async move {
        let key = table.key_of(&item(id, "")).unwrap();
        let put = |txn: Txn| {
            let key = key.clone();
            async move {
                txn.put(key.as_bytes(), b"\0\xff");
                Ok::<_, DynamoError>(())
            }
        };
        bench.db.run(put).await.unwrap();
    };
    damage("before").await;
    bench.turn_ttl("tab", "at", true).await.unwrap();
    for id in ["after", "after, too"] {
        bench.put("tab", expiring(id, &due)).await;
    }
    damage("after").await;
    let row_of_no_table = |txn: Txn| async move {
        txn.put(b"dynamodb/expiring/\0", b"{");
        Ok::<_, DynamoError>(())
    };
    bench.db.run(row_of_no_table).await.unwrap();
    bench.expire().await;
    assert_eq!(bench.ttl_status("tab").await, "ENABLED");
    assert_eq!(bench.rows(b"dynamodb/item/").await, 2, "the damaged ones");
    assert_eq!(bench.rows(b"dynamodb/ttl/").await, 0);
}
