use serde_json::Value;

use super::fakes::{World, settings, until};
use crate::source::{StreamSource, Wanted};
use crate::{Phase, Settings, Start};

#[tokio::test]
async fn records_come_in_their_order_in_batches() {
    let mut world = World::new();
    world.stream.put("a", 0..25, 5).await;
    world.map(settings(10)).await;
    world.start().await;
    let batches = world.until_handled(25).await;
    assert_eq!(batches.concat(), (0..25).collect::<Vec<_>>());
    assert_eq!(batches.iter().map(Vec::len).collect::<Vec<_>>(), [10, 10, 5]);
    world.stream.put("a", 25..26, 5).await;
    assert_eq!(world.until_handled(26).await.last(), Some(&vec![25]));
}

#[tokio::test]
async fn a_killed_engine_goes_on_where_it_was() {
    let mut world = World::new();
    let mapping = world.map(settings(3)).await;
    world.stream.put("a", 0..60, 7).await;
    for count in [10, 25, 40] {
        world.start().await;
        world.until_handled(count).await;
        world.kill().await;
    }
    world.start().await;
    until(|| async { world.function.batches().concat().contains(&59) }).await;
    let mut seen = world.function.batches().concat();
    // Again, perhaps, but never before its turn.
    let mut next = 0;
    for number in &seen {
        assert!(*number <= next, "{number} came before {next}");
        next = next.max(number + 1);
    }
    seen.sort_unstable();
    seen.dedup();
    assert_eq!(seen, (0..60).collect::<Vec<_>>());
    until(|| async { world.state(&mapping).await == Some(("Enabled", "OK".to_owned())) }).await;
}

#[tokio::test]
async fn latest_begins_with_what_comes_after_the_mapping() {
    let mut world = World::new();
    world.stream.put("a", 0..5, 1).await;
    world.map(Settings { start: Start::Latest, ..settings(10) }).await;
    // Before any engine has seen it.
    world.stream.put("a", 5..8, 1).await;
    world.start().await;
    assert_eq!(world.until_handled(3).await.concat(), [5, 6, 7]);
}

#[tokio::test]
async fn filters_let_some_pass() {
    let mut world = World::new();
    let filters = vec![r#"{"n":[{"numeric":["<",2]}]}"#.to_owned(), r#"{"key":[9]}"#.to_owned()];
    world.map(Settings { filters, ..settings(10) }).await;
    world.start().await;
    world.stream.put("a", 0..30, 10).await;
    assert_eq!(world.until_handled(5).await.concat(), [0, 1, 9, 19, 29]);
}

#[tokio::test]
async fn a_filter_that_cannot_be_read_lets_nothing_pass() {
    let mut world = World::new();
    let mapping = &mut world.map(Settings { filters: vec!["{".to_owned()], ..settings(10) }).await;
    world.start().await;
    world.stream.put("a", 0..3, 1).await;
    until(|| async {
        let state = world.state(mapping).await;
        state.is_some_and(|(state, result)| state == "Enabled" && result.starts_with("PROBLEM: The filter"))
    })
    .await;
    assert!(world.function.batches().is_empty());
    world.change(mapping, |mapping| mapping.settings.filters.clear()).await;
    assert_eq!(world.until_handled(3).await, [[0, 1, 2]]);
}

#[tokio::test]
async fn a_lane_that_panics_is_begun_anew() {
    let mut world = World::new();
    world.stream.put("a", 0..3, 1).await;
    world.function.answers(|_, nth| {
        assert!(nth > 0, "the first invocation ends its task");
        Ok(Value::Null)
    });
    world.map(settings(10)).await;
    world.start().await;
    assert_eq!(world.until_handled(6).await, [[0, 1, 2], [0, 1, 2]]);
}

#[tokio::test]
async fn a_batching_window_waits_for_more() {
    let mut world = World::new();
    world.map(Settings { batching_window_s: 1, ..settings(4) }).await;
    world.start().await;
    world.stream.put("a", 0..1, 1).await;
    world.stream.put("a", 1..3, 1).await;
    assert_eq!(world.until_handled(3).await, [vec![0, 1, 2]]);
    world.stream.put("a", 3..7, 1).await;
    assert_eq!(world.until_handled(7).await.last(), Some(&vec![3, 4, 5, 6]));
}

#[tokio::test]
async fn keys_keep_their_order_when_lanes_run_at_once() {
    let mut world = World::new();
    world.stream.put("a", 0..200, 13).await;
    let mapping = &mut world.map(Settings { parallelization_factor: 4, ..settings(5) }).await;
    world.function.gate.forget_permits(1_000);
    world.start().await;
    // Four lanes wait in the function at once.
    until(|| async { world.function.batches().len() == 4 }).await;
    world.function.gate.add_permits(1_000);
    let check = |seen: Vec<u64>| {
        for key in 0..13 {
            let of_key: Vec<u64> = seen.iter().copied().filter(|number| number % 13 == key).collect();
            let mut first = Vec::new();
            of_key.iter().for_each(|number| {
                if !first.contains(number) {
                    first.push(*number);
                }
            });
            assert!(first.is_sorted(), "{first:?}");
        }
    };
    check(world.until_handled(200).await.concat());
    // Another number of lanes loses nothing.
    world.change(mapping, |mapping| mapping.settings.parallelization_factor = 3).await;
    world.stream.put("a", 200..260, 13).await;
    until(|| async {
        let mut seen = world.function.batches().concat();
        seen.sort_unstable();
        seen.dedup();
        seen.len() == 260
    })
    .await;
    check(world.function.batches().concat());
}

#[tokio::test]
async fn children_begin_when_their_parents_are_over() {
    let mut world = World::new();
    world.stream.put("a", 0..5, 1).await;
    world.stream.add("b", &["a"]);
    world.stream.put("b", 5..10, 1).await;
    let mapping = world.map(settings(2)).await;
    world.start().await;
    world.until_handled(5).await;
    assert_eq!(world.function.batches().concat(), (0..5).collect::<Vec<_>>());
    world.stream.put("a", 100..101, 1).await;
    world.stream.close("a").await;
    assert_eq!(world.until_handled(11).await.concat(), [0, 1, 2, 3, 4, 100, 5, 6, 7, 8, 9]);
    // Also after a start.
    world.start().await;
    world.stream.put("b", 10..11, 1).await;
    assert_eq!(world.until_handled(12).await.concat().last(), Some(&10));
    assert_eq!(world.state(&mapping).await, Some(("Enabled", "OK".to_owned())));
}

#[tokio::test]
async fn a_mapping_is_disabled_enabled_and_deleted() {
    let mut world = World::new();
    let mapping = &mut world.map(settings(10)).await;
    assert_eq!(world.state(mapping).await, Some(("Creating", "No records processed".to_owned())));
    world.start().await;
    until(|| async { world.state(mapping).await.unwrap().0 == "Enabled" }).await;
    world.stream.put("a", 0..3, 1).await;
    world.until_handled(3).await;
    let disable =
        |mapping: &mut crate::Mapping| (mapping.is_enabled, mapping.phase) = (false, Phase::Disabling);
    world.change(mapping, disable).await;
    until(|| async { world.state(mapping).await.unwrap().0 == "Disabled" }).await;
    world.stream.put("a", 3..6, 1).await;
    world.change(mapping, |mapping| (mapping.is_enabled, mapping.phase) = (true, Phase::Enabling)).await;
    assert_eq!(world.until_handled(6).await.concat(), [0, 1, 2, 3, 4, 5]);
    until(|| async { world.state(mapping).await.unwrap().0 == "Enabled" }).await;
    world.change(mapping, |mapping| mapping.phase = Phase::Deleting).await;
    until(|| async { world.state(mapping).await.is_none() }).await;
    assert_eq!(world.rows().await, 0);
}

#[tokio::test]
async fn nobody_reads_what_the_role_may_not() {
    let mut world = World::new();
    *world.function.refused.lock() = Some("PROBLEM: not allowed".to_owned());
    let mapping = world.map(settings(10)).await;
    world.stream.put("a", 0..3, 1).await;
    world.start().await;
    until(|| async { world.state(&mapping).await.unwrap().1 == "PROBLEM: not allowed" }).await;
    assert_eq!(world.function.batches().len(), 0);
    *world.function.refused.lock() = None;
    assert_eq!(world.until_handled(3).await.concat(), [0, 1, 2]);
}

#[tokio::test]
async fn a_batch_may_be_longer_than_a_page() {
    let mut world = World::new();
    world.stream.put("a", 0..3_000, 1).await;
    world.map(settings(10_000)).await;
    world.start().await;
    let batches = world.until_handled(3_000).await;
    assert_eq!(batches.concat(), (0..3_000).collect::<Vec<_>>());
    // The fake's pages are shorter than the batch.
    assert_eq!(batches.len(), 1);
    let stream = super::fakes::STREAM.parse().unwrap();
    let wanted = Wanted { stream: &stream, shard: "a", from: "", lane: super::fakes::WHOLE, most: 10 };
    let page = world.stream.read(wanted).await.unwrap();
    assert!(page.records.len() == 10 && !page.is_last);
}

#[tokio::test]
async fn an_engine_that_is_stopped_does_nothing_twice() {
    let mut world = World::new();
    world.map(settings(2)).await;
    world.stream.put("a", 0..20, 1).await;
    world.function.gate.forget_permits(1_000);
    for turn in 0..3 {
        world.start().await;
        until(|| async { world.function.batches().len() > turn }).await;
        let function = world.function.clone();
        // Its batch is under way when it is told to stop.
        tokio::join!(world.stop(), async move { function.gate.add_permits(1) });
        world.function.gate.forget_permits(1_000);
    }
    world.function.gate.add_permits(1_000);
    world.start().await;
    assert_eq!(world.until_handled(20).await.concat(), (0..20).collect::<Vec<_>>());
}
