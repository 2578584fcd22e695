//! The meter on an empty store, with a clock that the tests move.

use std::time::Duration;

use lambent_base::{Clock, ManualClock, Place, Random};
use lambent_store::{Db, KeyRange, ScanOptions, StoreError, Txn};

use crate::keys::{self, Field};
use crate::pending::{Pending, RUNS_MAX};
use crate::{Meter, Month, Prices, RunOutcome, RunRecord};

/// 2026-11-21T17:33:20Z.
const NOW_MS: i64 = 1_795_282_400_000;
const MS_PER_DAY: i64 = 86_400_000;

fn bench() -> (Meter, Db, ManualClock) {
    let (clock, hand) = Clock::manual(NOW_MS);
    let db = Db::memory(clock.clone(), Random::seeded(1));
    (Meter::new(db.clone(), clock, Prices::aws()), db, hand)
}

fn run(function: &str, started_unix_ms: i64, billed_ms: u64) -> RunRecord {
    RunRecord {
        account: "000000000000".to_owned(),
        region: "us-east-1".to_owned(),
        function: function.to_owned(),
        version: "$LATEST".to_owned(),
        request_id: format!("{function}-{started_unix_ms}"),
        started_unix_ms,
        init_us: None,
        duration_us: billed_ms * 1000,
        billed_ms,
        memory_mib: 512,
        max_memory_mib: 60,
        ephemeral_mib: 512,
        outcome: RunOutcome::Success,
    }
}

fn place(region: &str) -> Place {
    Place { account: "000000000000".to_owned(), region: region.to_owned() }
}

fn month(text: &str) -> Month {
    text.parse().unwrap()
}

async fn runs(db: &Db) -> usize {
    let all = &KeyRange::prefix(b"meter/run/");
    db.read(|txn: Txn| async move {
        Ok::<_, StoreError>(txn.scan(all, ScanOptions::rows(10_000).keys_only()).await?.rows.len())
    })
    .await
    .unwrap()
}

#[tokio::test]
async fn a_bill_has_the_runs_of_its_month_and_place() {
    let (meter, _db, _hand) = bench();
    meter.record(run("thumbnail", NOW_MS, 100));
    meter.record(RunRecord { outcome: RunOutcome::TimedOut, ..run("thumbnail", NOW_MS + 1, 3_000) });
    meter.record(RunRecord { ephemeral_mib: 1_536, ..run("other", NOW_MS - 20 * MS_PER_DAY, 1_000) });
    meter.record(run("thumbnail", NOW_MS - 30 * MS_PER_DAY, 7));
    meter.record(RunRecord { region: "eu-west-1".to_owned(), ..run("thumbnail", NOW_MS, 9) });

    let bill = meter.bill(&place("us-east-1"), meter.this_month()).await.unwrap();
    assert_eq!((bill.month.as_str(), bill.requests), ("2026-11", 3));
    let [other, thumbnail] = &bill.functions[..] else { panic!("{bill:?}") };
    assert_eq!((other.function.as_str(), other.requests, other.errors), ("other", 1, 0));
    assert_eq!((other.gb_seconds, other.cost.ephemeral_nano_usd), (0.5, 31));
    assert_eq!((thumbnail.requests, thumbnail.errors, thumbnail.billed_ms), (2, 1, 3_100));
    assert_eq!(thumbnail.gb_seconds, 1.55);
    assert_eq!(thumbnail.cost.requests_nano_usd, 400);
    assert_eq!(thumbnail.cost.duration_nano_usd, 25_833);
    assert_eq!(bill.cost.total_nano_usd, thumbnail.cost.total_nano_usd + other.cost.total_nano_usd);
    assert_eq!(bill.aws.total_nano_usd, bill.cost.total_nano_usd, "our prices are AWS's unless told");

    assert_eq!(meter.bill(&place("us-east-1"), month("2026-10")).await.unwrap().requests, 1);
    assert_eq!(meter.bill(&place("eu-west-1"), month("2026-11")).await.unwrap().requests, 1);
    assert_eq!(meter.bill(&place("eu-west-1"), month("2026-12")).await.unwrap().functions, []);
}

#[tokio::test]
async fn bills_survive_and_grow() {
    let (meter, db, _hand) = bench();
    for round in 1..=3 {
        for at in 0..2_500 {
            meter.record(run("f", NOW_MS + round * 10_000 + at, 1));
        }
        let bill = meter.bill(&place("us-east-1"), month("2026-11")).await.unwrap();
        assert_eq!(i64::try_from(bill.requests).unwrap(), round * 2_500);
    }
    let (clock, _hand) = Clock::manual(NOW_MS);
    let again = Meter::new(db.clone(), clock, Prices::aws());
    assert_eq!(again.bill(&place("us-east-1"), month("2026-11")).await.unwrap().requests, 7_500);
    assert_eq!(runs(&db).await, 7_500);
}

#[tokio::test]
async fn the_writer_makes_runs_durable_without_being_asked() {
    let (meter, db, _hand) = bench();
    let writer = tokio::spawn({
        let meter = meter.clone();
        async move { meter.run().await }
    });
    meter.record(run("f", NOW_MS, 1));
    let written = async {
        while runs(&db).await == 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), written).await.expect("the writer was woken");
    writer.abort();
}

#[tokio::test]
async fn runs_that_cannot_be_written_are_kept() {
    let (meter, db, _hand) = bench();
    meter.record(run("f", NOW_MS, 1));
    db.close().await;
    assert!(meter.flush().await.is_err());
    meter.record(run("f", NOW_MS + 1, 1));
    assert!(meter.flush().await.is_err(), "both are still there to be written");
}

/// Such a sum must not stop the deliveries that wait for the meter, nor the sums beside it.
#[tokio::test]
async fn a_damaged_sum_is_set_aside_and_begins_anew() {
    let (meter, db, _hand) = bench();
    meter.record(run("f", NOW_MS, 100));
    meter.record(run("g", NOW_MS, 100));
    meter.flush().await.unwrap();
    let sum = &keys::sum(&place("us-east-1"), "f", month("2026-11"), 21, Field::BilledMs);
    let spoil = db.run(|txn| async move {
        assert!(txn.get(sum).await?.is_some());
        txn.put(sum, b"no counter");
        Ok::<_, StoreError>(())
    });
    spoil.await.unwrap();
    meter.record(run("g", NOW_MS + 1, 7));
    meter.record(run("f", NOW_MS + 1, 7));
    meter.flush().await.unwrap();
    assert_eq!(runs(&db).await, 4);
    let bill = meter.bill(&place("us-east-1"), month("2026-11")).await.unwrap();
    let billed: Vec<_> =
        bill.functions.iter().map(|one| (one.function.as_str(), one.requests, one.billed_ms)).collect();
    assert_eq!(billed, [("f", 2, 7), ("g", 2, 107)]);
    let kept = &keys::damaged(sum);
    let kept = db.read(|txn: Txn| async move { txn.get(kept).await }).await.unwrap();
    assert_eq!(kept.as_deref(), Some(&b"no counter"[..]));
}

#[tokio::test]
async fn old_records_go_and_their_sums_stay() {
    let (meter, db, hand) = bench();
    meter.record(run("f", NOW_MS, 1));
    meter.flush().await.unwrap();
    hand.advance(Duration::from_secs(36 * 86_400));
    meter.record(run("f", NOW_MS + 36 * MS_PER_DAY, 1));
    meter.flush().await.unwrap();
    assert_eq!(runs(&db).await, 1);
    assert_eq!(meter.bill(&place("us-east-1"), month("2026-11")).await.unwrap().requests, 1);
}

#[test]
fn what_finds_no_room_is_still_billed() {
    let mut pending = Pending::default();
    for at in 0..=RUNS_MAX {
        pending.push(run("f", NOW_MS + i64::try_from(at).unwrap(), 2));
    }
    assert_eq!((pending.runs.len(), pending.records_lost), (RUNS_MAX, 1));
    let mut other = Pending::default();
    other.push(run("f", NOW_MS, 3));
    pending.take_back(other);
    let sums: Vec<_> = pending.sums.into_values().collect();
    assert_eq!(sums, [[2, 0, 5, 5 * 512, 0]]);
}
