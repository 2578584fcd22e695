//! Events: refused, rejected, stored, found.

use super::*;

#[tokio::test]
async fn broken_batches_are_refused_in_aws_words() {
    let bench = Bench::with_stream("g", "s").await;
    let hours = |count: i64| NOW_MS + count * 3_600_000;
    let half = "x".repeat(600_000);
    let cases = [
        (
            vec![event(NOW_MS, "b"), event(NOW_MS - 1, "a")],
            "Log events in a single PutLogEvents request must be in chronological order.",
        ),
        (
            vec![event(hours(-24), "a"), event(hours(1), "b")],
            "The batch of log events in a single PutLogEvents request cannot span more than 24 hours.",
        ),
        (
            vec![event(NOW_MS, &"x".repeat(1_048_576))],
            "Log event too large: 1048602 bytes exceeds limit of 1048576",
        ),
        (
            vec![event(NOW_MS, &half), event(NOW_MS, &half)],
            "Upload too large: 1200052 bytes exceeds limit of 1048576",
        ),
    ];
    for (events, expected) in cases {
        let got = refusal(bench.put("g", "s", events).await);
        assert_eq!(got, format!("InvalidParameterException: {expected}"));
    }
    assert!(messages(&bench.get(get_request("g", "s")).await).is_empty());
}

#[tokio::test]
async fn too_old_and_too_new_events_are_rejected_by_index() {
    let bench = Bench::with_stream("g", "s").await;
    let days = |count: i64| NOW_MS - count * 86_400_000;
    let events = vec![event(days(20), "old"), event(NOW_MS, "now"), event(NOW_MS + 7_200_001, "new")];
    let response = bench.put("g", "s", events).await.unwrap();
    let rejected = response.rejected_log_events_info.unwrap();
    assert_eq!(rejected.too_old_log_event_end_index, Some(1));
    assert_eq!(rejected.too_new_log_event_start_index, Some(2));
    assert_eq!(rejected.expired_log_event_end_index, None);
    assert_eq!(response.next_sequence_token.unwrap().len(), 56);
    assert_eq!(messages(&bench.get(get_request("g", "s")).await), ["now"]);

    let policy = PutRetentionPolicyRequest { log_group_name: "g".to_owned(), retention_in_days: 3 };
    bench.logs.put_retention_policy(&bench.call, policy).await.unwrap();
    let response = bench.put("g", "s", vec![event(days(4), "expired")]).await.unwrap();
    assert_eq!(response.rejected_log_events_info.unwrap().expired_log_event_end_index, Some(1));
    assert_eq!(messages(&bench.get(get_request("g", "s")).await), ["now"]);
}

#[tokio::test]
async fn a_whole_batch_of_the_largest_size_comes_back() {
    let bench = Bench::with_stream("g", "s").await;
    let one = "é".repeat((1_048_576 - 26) / 2);
    bench.put("g", "s", vec![event(NOW_MS, &one)]).await.unwrap();
    assert_eq!(messages(&bench.get(get_request("g", "s")).await), [one]);

    bench.stream("g", "many").await.unwrap();
    let many: Vec<_> =
        (0..10_000).map(|at| event(NOW_MS + at * 8_000 - 86_400_000, &at.to_string())).collect();
    bench.put("g", "many", many).await.unwrap();
    let request = GetLogEventsRequest { start_from_head: Some(true), ..get_request("g", "many") };
    let response = bench.get(request).await;
    let expected: Vec<String> = (0..10_000).map(|at| at.to_string()).collect();
    assert_eq!(messages(&response), expected);
}

#[tokio::test]
async fn time_ranges_end_before_or_at_their_end() {
    let bench = Bench::with_stream("g", "s").await;
    let events: Vec<_> = (0..5).map(|at| event(NOW_MS + at, &at.to_string())).collect();
    bench.put("g", "s", events).await.unwrap();
    let (start, end) = (Some(NOW_MS + 1), Some(NOW_MS + 3));
    let request = GetLogEventsRequest { start_time: start, end_time: end, ..get_request("g", "s") };
    assert_eq!(messages(&bench.get(request).await), ["1", "2"]);
    let request = FilterLogEventsRequest { start_time: start, end_time: end, ..filter_request("g") };
    assert_eq!(filtered(&bench.filter(request).await), ["1", "2", "3"]);
}

#[tokio::test]
async fn filters_see_all_streams_in_order_of_time() {
    let bench = Bench::new().await;
    bench
        .logs
        .write(
            &work(),
            vec![
                lines(
                    "g",
                    "a/1",
                    &[(NOW_MS, "START one"), (NOW_MS + 5, "ERROR in one"), (NOW_MS + 70_000, "END one")],
                ),
                lines("g", "a/2", &[(NOW_MS + 2, "START two"), (NOW_MS + 6, "END two")]),
                lines("g", "b/1", &[(NOW_MS + 3, "ERROR in three")]),
            ],
        )
        .await;
    let all = bench.filter(filter_request("g")).await;
    let expected = ["START one", "START two", "ERROR in three", "ERROR in one", "END two", "END one"];
    assert_eq!(filtered(&all), expected);
    assert_eq!((all.next_token, all.searched_log_streams), (None, Some(vec![])));
    let mut ids: Vec<_> = all.events.unwrap().into_iter().map(|event| event.event_id.unwrap()).collect();
    assert!(ids.iter().all(|id| id.len() == 56));
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), 6);

    let newest = FilterLogEventsRequest {
        start_from_head: Some(false),
        start_time: Some(NOW_MS),
        ..filter_request("g")
    };
    assert_eq!(filtered(&bench.filter(newest).await), expected.iter().copied().rev().collect::<Vec<_>>());
    let pattern =
        FilterLogEventsRequest { filter_pattern: Some("ERROR -three".to_owned()), ..filter_request("g") };
    assert_eq!(filtered(&bench.filter(pattern).await), ["ERROR in one"]);
    let prefix =
        FilterLogEventsRequest { log_stream_name_prefix: Some("a/".to_owned()), ..filter_request("g") };
    assert_eq!(bench.filter(prefix).await.events.unwrap().len(), 5);
    for (names, count) in [(vec!["b/1"], 1), (vec!["a/2", "b/1"], 3)] {
        let names = names.into_iter().map(str::to_owned).collect();
        let named = FilterLogEventsRequest { log_stream_names: Some(names), ..filter_request("g") };
        assert_eq!(bench.filter(named).await.events.unwrap().len(), count);
    }
    let missing =
        FilterLogEventsRequest { log_stream_names: Some(vec!["x".to_owned()]), ..filter_request("g") };
    assert!(
        refusal(bench.logs.filter_log_events(&bench.call, missing).await)
            .contains("log stream does not exist")
    );
}

#[tokio::test]
async fn lines_of_functions_are_packed() {
    let bench = Bench::new().await;
    let many: Vec<(i64, String)> =
        (0..30_000).map(|at| (NOW_MS + at / 100, format!("line {at}\n"))).collect();
    let batch = StreamLines { events: many, ..lines("/aws/lambda/f", "s", &[]) };
    bench.logs.write(&work(), vec![batch, lines("/aws/lambda/f", "t", &[(NOW_MS, "one")])]).await;
    let rows = bench.rows().await;
    assert!(rows < 40, "30,001 lines took {rows} rows");
    let mut request =
        GetLogEventsRequest { start_from_head: Some(true), ..get_request("/aws/lambda/f", "s") };
    let mut seen = Vec::new();
    loop {
        let page = bench.get(request.clone()).await;
        if page.events.as_ref().unwrap().is_empty() {
            break;
        }
        seen.extend(messages(&page).into_iter().map(str::to_owned));
        request.next_token = page.next_forward_token;
    }
    let expected: Vec<String> = (0..30_000).map(|at| format!("line {at}\n")).collect();
    assert_eq!(seen, expected);
}

#[tokio::test]
async fn lines_of_functions_are_sorted_by_time() {
    let bench = Bench::new().await;
    bench.logs.write(&work(), vec![lines("g", "s", &[(NOW_MS + 1, "later"), (NOW_MS, "sooner")])]).await;
    assert_eq!(messages(&bench.get(get_request("g", "s")).await), ["sooner", "later"]);
}
