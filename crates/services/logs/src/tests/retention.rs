//! Retention: old events vanish from answers at once and from the store when they are swept.

use super::*;

async fn retain(bench: &Bench, days: i32) -> Result<(), LogsError> {
    let input = PutRetentionPolicyRequest { log_group_name: "g".to_owned(), retention_in_days: days };
    bench.logs.put_retention_policy(&bench.call, input).await.map(|_| ())
}

#[tokio::test]
async fn only_aws_numbers_of_days_are_taken() {
    let bench = Bench::with_stream("g", "s").await;
    assert_eq!(
        refusal(retain(&bench, 2).await),
        "InvalidParameterException: 1 validation error detected: Value '2' at 'retentionInDays' failed to satisfy \
         constraint: Member must satisfy enum value set: [1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, \
         731, 1096, 1827, 2192, 2557, 2922, 3288, 3653]"
    );
    retain(&bench, 7).await.unwrap();
    assert_eq!(bench.groups(DescribeLogGroupsRequest::default()).await[0].retention_in_days, Some(7));
}

#[tokio::test]
async fn expired_events_are_hidden_and_then_deleted() {
    let bench = Bench::with_stream("g", "s").await;
    assert_eq!(bench.logs.sweep(&work()).await.unwrap(), None, "nothing to wait for");
    bench.put("g", "s", vec![event(NOW_MS, &"big".repeat(40_000))]).await.unwrap();
    retain(&bench, 1).await.unwrap();
    let due_ms = bench.logs.sweep(&work()).await.unwrap().unwrap();
    assert_eq!(due_ms, NOW_MS + 86_400_000 + 60_000);

    bench.hand.advance(DAY);
    bench.stream("g", "young").await.unwrap();
    let now_ms = NOW_MS + 86_400_000;
    bench.put("g", "young", vec![event(now_ms, "y")]).await.unwrap();
    bench.hand.advance(Duration::from_secs(1));
    assert!(messages(&bench.get(get_request("g", "s")).await).is_empty(), "hidden before it is swept");
    assert_eq!(filtered(&bench.filter(filter_request("g")).await), ["y"]);
    let before = bench.rows().await;

    bench.hand.advance(Duration::from_secs(61));
    let due_ms = bench.logs.sweep(&work()).await.unwrap().unwrap();
    assert_eq!(due_ms, now_ms + 86_400_000 + 60_000);
    // Two parts, their entry by time, the stream and its entry by last event.
    assert_eq!(bench.rows().await, before - 5);
    let group = bench.groups(DescribeLogGroupsRequest::default()).await.remove(0);
    assert_eq!(group.stored_bytes, Some(27));
    assert_eq!(filtered(&bench.filter(filter_request("g")).await), ["y"]);
}

#[tokio::test]
async fn a_waiting_sweeper_wakes_for_a_deleted_group() {
    let bench = Bench::with_stream("g", "s").await;
    let sweeping = tokio::spawn({
        let logs = bench.logs.clone();
        async move { logs.run_sweeper(&work()).await }
    });
    tokio::task::yield_now().await;
    let delete = DeleteLogGroupRequest { log_group_name: "g".to_owned() };
    bench.logs.delete_log_group(&bench.call, delete).await.unwrap();
    let emptied = async {
        while bench.rows().await > 0 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), emptied).await.expect("the sweeper clears a deleted group");
    sweeping.abort();
}
