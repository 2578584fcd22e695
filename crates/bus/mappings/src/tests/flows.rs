use std::sync::atomic::Ordering;

use lambent_bus::ports::InvokeError;
use lambent_store::MemoryEngine;
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
    until(&world, || async { world.function.batches().concat().contains(&59) }).await;
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
    until(&world, || async { world.state(&mapping).await == Some(("Enabled", "OK".to_owned())) }).await;
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
    until(&world, || async {
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
    until(&world, || async { world.function.batches().len() == 4 }).await;
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
    until(&world, || async {
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
    until(&world, || async { world.state(mapping).await.unwrap().0 == "Enabled" }).await;
    world.stream.put("a", 0..3, 1).await;
    world.until_handled(3).await;
    let disable =
        |mapping: &mut crate::Mapping| (mapping.is_enabled, mapping.phase) = (false, Phase::Disabling);
    world.change(mapping, disable).await;
    until(&world, || async { world.state(mapping).await.unwrap().0 == "Disabled" }).await;
    world.stream.put("a", 3..6, 1).await;
    world.change(mapping, |mapping| (mapping.is_enabled, mapping.phase) = (true, Phase::Enabling)).await;
    assert_eq!(world.until_handled(6).await.concat(), [0, 1, 2, 3, 4, 5]);
    until(&world, || async { world.state(mapping).await.unwrap().0 == "Enabled" }).await;
    world.change(mapping, |mapping| mapping.phase = Phase::Deleting).await;
    until(&world, || async { world.state(mapping).await.is_none() }).await;
    assert_eq!(world.rows().await, 0);
}

#[tokio::test]
async fn nobody_reads_what_the_role_may_not() {
    let mut world = World::new();
    *world.function.refused.lock() = Some("PROBLEM: not allowed".to_owned());
    let mapping = world.map(settings(10)).await;
    world.stream.put("a", 0..3, 1).await;
    world.start().await;
    until(&world, || async { world.state(&mapping).await.unwrap().1 == "PROBLEM: not allowed" }).await;
    assert_eq!(world.function.batches().len(), 0);
    *world.function.refused.lock() = None;
    world.function.change("a role that may");
    assert_eq!(world.until_handled(3).await.concat(), [0, 1, 2]);
}

/// Each question is a decision, and each decision a line of the audit log.
#[tokio::test]
async fn a_role_is_asked_once_for_all_lanes_until_something_changes() {
    let mut world = World::new();
    *world.function.refused.lock() = Some("PROBLEM: not allowed".to_owned());
    world.stream.add("b", &[]);
    let mapping = world.map(Settings { parallelization_factor: 5, ..settings(10) }).await;
    world.stream.put("a", 0..30, 30).await;
    world.start().await;
    until(&world, || async { world.state(&mapping).await.unwrap().1 == "PROBLEM: not allowed" }).await;
    let asked = || world.function.asked.load(Ordering::Relaxed);
    assert_eq!(asked(), 1);
    // Something else has changed.
    *world.function.refused.lock() = Some("PROBLEM: not at all".to_owned());
    world.function.change("");
    world.stream.put("b", 30..60, 30).await;
    tokio::task::yield_now().await;
    assert_eq!(asked(), 1);
    world.function.change("another role");
    until(&world, || async { world.state(&mapping).await.unwrap().1 == "PROBLEM: not at all" }).await;
    assert_eq!(asked(), 2);
    *world.function.refused.lock() = None;
    world.function.change("a role that may");
    world.until_handled(60).await;
    assert_eq!(asked(), 3);
}

/// Lanes that have little room together all come to their end.
#[tokio::test]
async fn lanes_share_the_room_of_their_node() {
    let mut world = World::new();
    world.room = 0;
    for shard in ["b", "c", "d"] {
        world.stream.add(shard, &[]);
    }
    world.stream.text.lock().push_str(&"x".repeat(10_000));
    world.map(Settings { batching_window_s: 300, parallelization_factor: 2, ..settings(1_000) }).await;
    for (shard, first) in [("a", 0), ("b", 200), ("c", 400), ("d", 600)] {
        world.stream.put(shard, first..first + 200, 2).await;
    }
    world.start().await;
    // Nobody sits on what the others wait for until the window of its batch is over.
    let mut seen = world.until_handled(600).await.concat();
    seen.sort_unstable();
    seen.dedup();
    assert!(seen.len() >= 600, "{}", seen.len());
}

#[tokio::test]
async fn a_node_that_cannot_run_a_function_lets_another_have_it() {
    let engine = MemoryEngine::new().shared();
    let (mut one, mut other) = (World::of(&engine, 1), World::of(&engine, 2));
    for world in [&one, &other] {
        world.stream.put("a", 0..3, 1).await;
    }
    one.function.answers(|_, _| {
        let function = "arn:aws:lambda:us-east-1:000000000000:function:f".parse().unwrap();
        Err(InvokeError::CannotRunHere(function, "It is for arm64.".to_owned()))
    });
    let mapping = one.map(settings(10)).await;
    one.start().await;
    let problem = "PROBLEM: No node can run the function. It is for arm64.";
    until(&one, || async { one.state(&mapping).await.unwrap().1 == problem }).await;
    // One that comes gets it.
    other.start().await;
    assert_eq!(other.until_handled(3).await, [[0, 1, 2]]);
    until(&other, || async { other.state(&mapping).await.unwrap().1 == "OK" }).await;
}

/// Also without another node, and without a pause that is over.
#[tokio::test]
async fn a_function_that_no_node_could_run_is_run_when_it_can_be() {
    let mut world = World::new();
    world.stream.put("a", 0..3, 1).await;
    world.function.answers(|_, _| {
        let function = "arn:aws:lambda:us-east-1:000000000000:function:f".parse().unwrap();
        Err(InvokeError::CannotRunHere(function, "It is for arm64.".to_owned()))
    });
    let mapping = world.map(settings(10)).await;
    world.start().await;
    until(&world, || async { world.state(&mapping).await.unwrap().1.starts_with("PROBLEM: No node can") })
        .await;
    // A change of something else does not make it try.
    let looked = || world.function.looked.load(Ordering::Relaxed);
    let before = looked();
    world.function.change("");
    while looked() == before {
        tokio::task::yield_now().await;
    }
    world.function.answers(|_, _| Ok(Value::Null));
    world.function.change("x86_64");
    until(&world, || async { world.state(&mapping).await.unwrap().1 == "OK" }).await;
    assert_eq!(world.function.batches().len(), 2);
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

/// It does not keep the others' room while it waits.
#[tokio::test]
async fn a_lane_that_fails_lets_go_of_what_it_read() {
    let mut world = World::new();
    world.stream.put("a", 0..1_500, 1).await;
    *world.stream.failing.lock() = Some(1);
    world.map(settings(10_000)).await;
    world.start().await;
    let batches = world.until_handled(1_500).await;
    assert_eq!(batches, [(0..1_500).collect::<Vec<_>>()]);
    assert_eq!(world.stream.reads.lock()[..4], [0, 1_000, 0, 1_000]);
}

#[tokio::test]
async fn an_engine_that_is_stopped_does_nothing_twice() {
    let mut world = World::new();
    world.map(settings(2)).await;
    world.stream.put("a", 0..20, 1).await;
    world.function.gate.forget_permits(1_000);
    for turn in 0..3 {
        world.start().await;
        until(&world, || async { world.function.batches().len() > turn }).await;
        let function = world.function.clone();
        // Its batch is under way when it is told to stop.
        tokio::join!(world.stop(), async move { function.gate.add_permits(1) });
        world.function.gate.forget_permits(1_000);
    }
    world.function.gate.add_permits(1_000);
    world.start().await;
    assert_eq!(world.until_handled(20).await.concat(), (0..20).collect::<Vec<_>>());
}
