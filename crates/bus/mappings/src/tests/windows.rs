use lambent_bus::ports::InvokeError;
use serde_json::{Value, json};

use super::fakes::{RETENTION, World, numbers, settings, until};
use crate::rows::LaneRow;
use crate::{Mapping, Settings};

/// Adds the numbers up, and keeps the sum as its state.
fn summing(event: &Value, _nth: usize) -> Result<Value, InvokeError> {
    let sum = event["state"]["sum"].as_u64().unwrap_or(0) + numbers(event).iter().sum::<u64>();
    Ok(json!({ "state": { "sum": sum } }))
}

/// The events that end windows.
fn finals(world: &World) -> Vec<Value> {
    world
        .function
        .events
        .lock()
        .iter()
        .filter(|event| event["isFinalInvokeForWindow"] == true)
        .cloned()
        .collect()
}

/// Whether the window that is kept has this sum.
async fn has_sum(world: &World, mapping: &Mapping, sum: u64) -> bool {
    let state = json!({ "sum": sum }).to_string();
    let lanes = world.lanes(mapping).await;
    lanes.iter().any(|lane| lane.window.as_ref().is_some_and(|window| window.state == state))
}

#[tokio::test]
async fn windows_have_a_state_and_an_end() {
    let mut world = World::new();
    world.stream.put("a", 1..6, 1).await;
    // Three in one window that is over, two in the next.
    let window_ms = world.stream.clock.unix_ms().div_euclid(10_000) * 10_000;
    for (index, record) in world.stream.shards.lock()[0].records.iter_mut().enumerate() {
        record.1 = if index < 3 { window_ms - 30_000 } else { window_ms - 15_000 };
    }
    world.function.answers(summing);
    world.map(Settings { tumbling_window_s: 10, ..settings(2) }).await;
    world.start().await;
    until(&world, || async { finals(&world).len() == 2 }).await;
    assert_eq!(world.function.batches(), [vec![1, 2], vec![3], vec![], vec![4, 5], vec![]]);
    let ends = finals(&world);
    assert_eq!((&ends[0]["state"]["sum"], &ends[1]["state"]["sum"]), (&json!(6), &json!(9)));
    assert!(ends.iter().all(|event| event["isWindowTerminatedEarly"] == false && event["shardId"] == "a"));
}

#[tokio::test]
async fn a_window_is_kept_across_a_kill() {
    let mut world = World::new();
    world.stream.put("a", 1..3, 1).await;
    world.function.answers(summing);
    let mapping = world.map(Settings { tumbling_window_s: 900, ..settings(10) }).await;
    world.start().await;
    until(&world, || has_sum(&world, &mapping, 3)).await;
    world.kill().await;
    world.start().await;
    world.stream.put("a", 3..4, 1).await;
    until(&world, || async { world.function.batches().concat().contains(&3) }).await;
    let last = world.function.events.lock().last().cloned().unwrap();
    assert_eq!((numbers(&last), &last["state"]["sum"]), (vec![3], &json!(3)));
}

#[tokio::test]
async fn windows_that_are_turned_off_end_the_one_that_is_open() {
    let mut world = World::new();
    world.stream.put("a", 1..3, 1).await;
    world.function.answers(
        |event, nth| {
            if event.get("window").is_some() { summing(event, nth) } else { Ok(Value::Null) }
        },
    );
    let mut mapping = world.map(Settings { tumbling_window_s: 900, ..settings(10) }).await;
    world.start().await;
    until(&world, || has_sum(&world, &mapping, 3)).await;
    world.change(&mut mapping, |mapping| mapping.settings.tumbling_window_s = 0).await;
    world.stream.put("a", 3..5, 1).await;
    until(&world, || async { world.function.batches().concat().contains(&4) }).await;
    let ends = finals(&world);
    assert_eq!((ends.len(), &ends[0]["state"]["sum"]), (1, &json!(3)));
    assert_eq!(ends[0]["isWindowTerminatedEarly"], true);
    // It is the window that it was.
    assert_eq!(ends[0]["window"], world.function.events.lock()[0]["window"]);
    assert!(world.function.events.lock().last().unwrap().get("window").is_none());
}

#[tokio::test]
async fn another_number_of_lanes_ends_the_windows_that_are_open() {
    let mut world = World::new();
    world.stream.put("a", 1..7, 3).await;
    world.function.answers(summing);
    let settings = Settings { tumbling_window_s: 900, parallelization_factor: 2, ..settings(10) };
    let mut mapping = world.map(settings).await;
    world.start().await;
    world.until_handled(6).await;
    let open = world.function.batches().len();
    world.change(&mut mapping, |mapping| mapping.settings.parallelization_factor = 3).await;
    until(&world, || async { world.lanes(&mapping).await.len() == 3 }).await;
    let ends = finals(&world);
    assert_eq!(ends.iter().map(|event| event["state"]["sum"].as_u64().unwrap()).sum::<u64>(), 21);
    assert!(ends.iter().all(|event| event["isWindowTerminatedEarly"] == true), "{ends:?}");
    world.stream.put("a", 7..8, 3).await;
    until(&world, || async { world.function.batches()[open..].concat().contains(&7) }).await;
}

#[tokio::test]
async fn what_failed_is_not_lost_when_windows_become_shorter() {
    let mut world = World::new();
    world.stream.put("a", 1..3, 1).await;
    let start_ms = (world.stream.clock.unix_ms().div_euclid(900_000) - 1) * 900_000;
    for (index, record) in (1..).zip(world.stream.shards.lock()[0].records.iter_mut()) {
        record.1 = start_ms + index * 10_000;
    }
    world.function.answers(|_, _| Ok(json!("failed")));
    let mut mapping = world.map(Settings { tumbling_window_s: 900, ..settings(10) }).await;
    world.start().await;
    until(&world, || async { world.lanes(&mapping).await.iter().any(|lane| !lane.segments.is_empty()) })
        .await;
    world.stop().await;
    let failed = world.function.events.lock().len();
    world.change(&mut mapping, |mapping| mapping.settings.tumbling_window_s = 1).await;
    world.function.answers(summing);
    // The next invocation does not end before the kill.
    world.function.gate.forget_permits(1_000);
    world.start().await;
    until(&world, || async { world.function.events.lock().len() > failed }).await;
    world.kill().await;
    world.function.gate.add_permits(1_000);
    world.start().await;
    // They are in the window that was open then.
    until(&world, || async { finals(&world).last().is_some_and(|event| event["state"]["sum"] == 3) }).await;
    assert_eq!(world.function.batches()[failed + 1..].concat(), [1, 2]);
}

#[tokio::test]
async fn a_shard_that_is_over_ends_its_window() {
    let mut world = World::new();
    world.stream.put("a", 1..3, 1).await;
    world.stream.close("a").await;
    world.function.answers(summing);
    world.map(Settings { tumbling_window_s: 900, ..settings(10) }).await;
    world.start().await;
    until(&world, || async { finals(&world).len() == 1 }).await;
    assert!(finals(&world)[0]["isWindowTerminatedEarly"] == true && finals(&world)[0]["state"]["sum"] == 3);
}

#[tokio::test]
async fn a_state_that_is_too_long_ends_its_window() {
    let mut world = World::new();
    world.stream.put("a", 1..2, 1).await;
    world.function.answers(|_, _| Ok(json!({ "state": "x".repeat(1_100_000) })));
    world.map(Settings { tumbling_window_s: 900, ..settings(10) }).await;
    world.start().await;
    until(&world, || async { finals(&world).len() == 1 }).await;
    assert_eq!(finals(&world)[0]["isWindowTerminatedEarly"], true);
}

#[tokio::test]
async fn an_answer_without_state_fails() {
    let mut world = World::new();
    world.stream.put("a", 1..2, 1).await;
    world.function.answers(|event, nth| if nth == 0 { Ok(Value::Null) } else { summing(event, nth) });
    world.map(Settings { tumbling_window_s: 900, ..settings(10) }).await;
    world.start().await;
    assert_eq!(world.until_handled(2).await, [[1], [1]]);
}

/// A window whose records are older than they may be, and whose final invocation always fails.
#[tokio::test]
async fn a_final_invocation_that_fails_does_not_block_for_ever() {
    let mut world = World::new();
    world.stream.put("a", 1..3, 1).await;
    let day_ms = i64::try_from(RETENTION.as_millis()).unwrap();
    let now_ms = world.stream.clock.unix_ms();
    // The first is nearly as old as records become, and its window is closed.
    world.stream.shards.lock()[0].records[0].1 = now_ms - day_ms + 4_000;
    world.function.answers(|event, nth| {
        let is_first = event["isFinalInvokeForWindow"] == true && event["state"]["sum"] == 1;
        if is_first { Ok(json!("boom")) } else { summing(event, nth) }
    });
    let on_failure = Some("arn:aws:s3:::failed".to_owned());
    world.map(Settings { tumbling_window_s: 1, on_failure, ..settings(10) }).await;
    world.start().await;
    until(&world, || async { world.function.batches().concat().contains(&2) }).await;
    let failed = finals(&world).iter().filter(|event| event["state"]["sum"] == 1).count();
    assert!(failed > 1, "it was tried again");
    let told = &super::failures::told(&world).await[0];
    assert_eq!(told["requestContext"]["condition"], "RecordAgeExceeded");
    assert_eq!(told["payload"]["isFinalInvokeForWindow"], true);
}

/// Nor does one that is never run.
#[tokio::test]
async fn a_window_of_a_function_that_is_stopped_becomes_too_old() {
    let (mut world, hand) = World::with_manual_clock();
    world.stream.put("a", 1..3, 1).await;
    world.stream.shards.lock()[0].records[0].1 -= 5_000;
    let function: lambent_base::Arn = "arn:aws:lambda:us-east-1:000000000000:function:f".parse().unwrap();
    world.function.answers(move |event, nth| {
        if event["isFinalInvokeForWindow"] == true && event["state"]["sum"] == 1 {
            hand.advance(RETENTION);
            return Err(InvokeError::NoConcurrency(function.clone()));
        }
        summing(event, nth)
    });
    let on_failure = Some("arn:aws:s3:::failed".to_owned());
    world.map(Settings { tumbling_window_s: 1, on_failure, ..settings(10) }).await;
    world.start().await;
    until(&world, || async { super::failures::told(&world).await.len() == 2 }).await;
    let told = super::failures::told(&world).await;
    assert!(told.iter().all(|one| one["requestContext"]["condition"] == "RecordAgeExceeded"));
    let windows = told.iter().filter(|one| one["payload"]["isFinalInvokeForWindow"] == true);
    assert_eq!(windows.count(), 1, "{told:?}");
}

#[test]
fn a_window_without_a_length_has_the_one_that_is_set() {
    let row = r#"{"position":"","count":1,"window":{"start_ms":60000,"state":"{}"}}"#;
    let mut row: LaneRow = serde_json::from_str(row).unwrap();
    row.fill_in(&Settings { tumbling_window_s: 60, ..settings(1) });
    assert_eq!(row.window.as_ref().unwrap().end_ms(), 120_000);
    // It keeps it when the setting changes.
    row.fill_in(&Settings { tumbling_window_s: 900, ..settings(1) });
    assert_eq!(row.window.unwrap().end_ms(), 120_000);
}
