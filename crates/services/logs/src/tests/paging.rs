//! Pages: whatever the order of writing and the size of pages, each event is met once, in order.

use super::*;
use proptest::prelude::*;

#[tokio::test]
async fn at_either_end_the_given_token_comes_back() {
    let bench = Bench::with_stream("g", "s").await;
    let empty = bench.get(get_request("g", "s")).await;
    let follow =
        GetLogEventsRequest { next_token: empty.next_forward_token.clone(), ..get_request("g", "s") };
    assert_eq!(bench.get(follow.clone()).await.next_forward_token, empty.next_forward_token);

    bench.put("g", "s", (0..4).map(|at| event(NOW_MS + at, &at.to_string())).collect()).await.unwrap();
    assert_eq!(messages(&bench.get(follow).await), ["0", "1", "2", "3"], "a follower sees what came later");

    let newest = bench.get(GetLogEventsRequest { limit: Some(2), ..get_request("g", "s") }).await;
    assert_eq!(messages(&newest), ["2", "3"]);
    let (forward, backward) = (newest.next_forward_token, newest.next_backward_token);
    assert!(forward.as_ref().unwrap().starts_with("f/") && backward.as_ref().unwrap().starts_with("b/"));
    let at_end =
        bench.get(GetLogEventsRequest { next_token: forward.clone(), ..get_request("g", "s") }).await;
    assert_eq!((messages(&at_end), &at_end.next_forward_token), (vec![], &forward));
    let older = GetLogEventsRequest { next_token: backward, limit: Some(2), ..get_request("g", "s") };
    let older = bench.get(older).await;
    assert_eq!(messages(&older), ["0", "1"]);
    let start = older.next_backward_token;
    let before = bench.get(GetLogEventsRequest { next_token: start.clone(), ..get_request("g", "s") }).await;
    assert_eq!((messages(&before), &before.next_backward_token), (vec![], &start));
}

#[tokio::test]
async fn foreign_tokens_are_refused() {
    let bench = Bench::with_stream("g", "s").await;
    bench.group("h").await.unwrap();
    let expected = "InvalidParameterException: The specified nextToken is invalid.";
    let short = format!("f/{}/s", "1".repeat(55));
    let signed = format!("f/+{}/s", "1".repeat(55));
    for token in ["x", "f/1", "", &short, &signed, "c/", "f/é"] {
        let get = GetLogEventsRequest { next_token: Some(token.to_owned()), ..get_request("g", "s") };
        assert_eq!(refusal(bench.logs.get_log_events(&bench.call, get).await), expected);
        let filter = FilterLogEventsRequest { next_token: Some(token.to_owned()), ..filter_request("g") };
        assert_eq!(refusal(bench.logs.filter_log_events(&bench.call, filter).await), expected);
    }
    bench.put("g", "s", vec![event(NOW_MS, "a"), event(NOW_MS, "b")]).await.unwrap();
    let page = bench.filter(FilterLogEventsRequest { limit: Some(1), ..filter_request("g") }).await;
    let other = FilterLogEventsRequest { next_token: page.next_token, ..filter_request("h") };
    assert_eq!(refusal(bench.logs.filter_log_events(&bench.call, other).await), expected);
}

#[tokio::test]
async fn pages_end_at_a_megabyte() {
    let bench = Bench::with_stream("g", "s").await;
    for at in 0..3 {
        bench.put("g", "s", vec![event(NOW_MS + at, &"x".repeat(700_000))]).await.unwrap();
    }
    let page = bench.filter(filter_request("g")).await;
    assert_eq!(page.events.unwrap().len(), 1);
    assert!(page.next_token.is_some());
}

#[tokio::test]
async fn a_search_through_much_gives_empty_pages_and_goes_on() {
    let bench = Bench::with_stream("g", "s").await;
    let megabyte = "x".repeat(1_000_000);
    for at in 0..12 {
        let message = if at == 10 { "needle" } else { &megabyte };
        bench.put("g", "s", vec![event(NOW_MS + at * 90_000, message)]).await.unwrap();
    }
    for forward in [true, false] {
        let mut request = FilterLogEventsRequest {
            filter_pattern: Some("needle".to_owned()),
            start_from_head: Some(forward),
            start_time: Some(NOW_MS),
            ..filter_request("g")
        };
        let mut pages = Vec::new();
        loop {
            let page = bench.filter(request.clone()).await;
            pages.push(page.events.as_ref().unwrap().len());
            request.next_token = page.next_token;
            if request.next_token.is_none() {
                break;
            }
        }
        assert_eq!(pages, if forward { [0, 1] } else { [1, 0] }, "forward: {forward}");
    }
}

/// Batches as (milliseconds after the start, of each event), for one of two streams.
fn batches() -> impl Strategy<Value = Vec<(bool, Vec<i64>)>> {
    prop::collection::vec((any::<bool>(), prop::collection::vec(0..200_000_i64, 1..12)), 1..8)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn paging_meets_every_event_once_and_in_order(batches in batches(), limit in 1..9_i32) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(check(batches, limit));
    }
}

async fn check(batches: Vec<(bool, Vec<i64>)>, limit: i32) {
    let bench = Bench::new().await;
    let mut times = Vec::new();
    for (first, mut batch) in batches {
        batch.sort_unstable();
        let events: Vec<(i64, &str)> = batch.iter().map(|at| (NOW_MS + at, "x")).collect();
        let stream = if first { "a" } else { "b" };
        bench.logs.write(&work(), vec![lines("g", stream, &events)]).await;
        times.extend(batch.iter().map(|at| (NOW_MS + at, stream.to_owned())));
    }
    times.sort();
    for forward in [true, false] {
        let mut seen = Vec::new();
        let mut request = FilterLogEventsRequest {
            limit: Some(limit),
            start_from_head: Some(forward),
            start_time: Some(NOW_MS),
            ..filter_request("g")
        };
        loop {
            let page = bench.filter(request.clone()).await;
            let events = page.events.unwrap();
            assert!(events.len() <= usize::try_from(limit).unwrap());
            seen.extend(events.into_iter().map(|one| (one.timestamp.unwrap(), one.log_stream_name.unwrap())));
            request.next_token = page.next_token;
            if request.next_token.is_none() {
                break;
            }
        }
        if !forward {
            seen.reverse();
        }
        assert_eq!(seen, times, "forward: {forward}");
    }
    let expected: Vec<i64> =
        times.iter().filter(|(_, stream)| stream == "a").map(|(time, _)| *time).collect();
    if expected.is_empty() {
        return;
    }
    for forward in [true, false] {
        let mut seen: Vec<Vec<i64>> = Vec::new();
        let mut request = GetLogEventsRequest {
            limit: Some(limit),
            start_from_head: Some(forward),
            ..get_request("g", "a")
        };
        loop {
            let page = bench.get(request.clone()).await;
            let token = if forward { page.next_forward_token } else { page.next_backward_token };
            seen.push(page.events.unwrap().into_iter().map(|one| one.timestamp.unwrap()).collect());
            if request.next_token == token {
                break;
            }
            request.next_token = token;
        }
        if !forward {
            seen.reverse();
        }
        assert_eq!(seen.concat(), expected, "forward: {forward}");
    }
}
