//! The meter on an empty store, with a clock that the tests move.

use std::time::Duration;

use lambent_base::{Clock, ManualClock, Place, Random};
use lambent_care::Findings;
use lambent_store::{Db, Key, KeyRange, ScanOptions, StoreError, Txn};

use crate::keys::{self, Field, Runs};
use crate::meter::TXN_RUNS;
use crate::pending::{Pending, RUNS_MAX};
use crate::{ERROR_TYPE_BYTES, Meter, Month, Prices, RunMark, RunOutcome, RunRecord, RunsWanted};

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
        cold_start: false,
        error_type: None,
        log_stream: None,
    }
}

fn failed(run: RunRecord, kind: &str) -> RunRecord {
    RunRecord { outcome: RunOutcome::FunctionError, error_type: Some(kind.to_owned()), ..run }
}

fn wanted(function: &str, limit: usize) -> RunsWanted {
    RunsWanted { place: place("us-east-1"), function: function.to_owned(), failed: false, limit }
}

fn place(region: &str) -> Place {
    Place { account: "000000000000".to_owned(), region: region.to_owned() }
}

fn month(text: &str) -> Month {
    text.parse().unwrap()
}

async fn runs(db: &Db) -> usize {
    rows(db, b"meter/call/").await
}

async fn rows(db: &Db, prefix: &[u8]) -> usize {
    let all = &KeyRange::prefix(prefix);
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
    meter.record(failed(run("g", NOW_MS, 1), "E"));
    meter.record(failed(run("h", NOW_MS + 2 * MS_PER_DAY, 1), "E"));
    meter.flush().await.unwrap();
    assert_eq!((runs(&db).await, rows(&db, b"meter/failed/").await), (3, 2));
    // Kept when records were by time.
    let before = db.run(|txn| async move {
        for at in [NOW_MS, NOW_MS + 2 * MS_PER_DAY] {
            txn.put(&Key::new(b"meter/run/").i64(at).str("000000000000").str("us-east-1").str("id"), b"{}");
        }
        Ok::<_, StoreError>(())
    });
    before.await.unwrap();
    hand.advance(Duration::from_secs(36 * 86_400));
    meter.record(run("f", NOW_MS + 36 * MS_PER_DAY, 1));
    meter.flush().await.unwrap();
    assert_eq!((runs(&db).await, rows(&db, b"meter/failed/").await), (2, 1));
    assert_eq!(rows(&db, b"meter/run/").await, 1);
    assert_eq!(listed(&meter, &wanted("f", 10)).await, [NOW_MS + 36 * MS_PER_DAY]);
    assert!(listed(&meter, &RunsWanted { failed: true, ..wanted("g", 10) }).await.is_empty());
    assert_eq!(listed(&meter, &RunsWanted { failed: true, ..wanted("h", 10) }).await.len(), 1);
    assert_eq!(meter.bill(&place("us-east-1"), month("2026-11")).await.unwrap().requests, 3);
}

async fn listed(meter: &Meter, wanted: &RunsWanted) -> Vec<i64> {
    let mut starts = Vec::new();
    let mut before: Option<RunMark> = None;
    loop {
        let page = meter.runs(wanted, before.as_ref()).await.unwrap();
        assert!(page.runs.len() <= wanted.limit);
        starts.extend(page.runs.iter().map(|run| run.started_unix_ms));
        match page.next {
            Some(next) => before = Some(next.to_string().parse().unwrap()),
            None => return starts,
        }
    }
}

#[tokio::test]
async fn runs_of_one_function_come_newest_first_page_by_page() {
    let (meter, _db, _hand) = bench();
    for at in 0..7 {
        let one = run("f", NOW_MS + at, 1);
        meter.record(if at % 3 == 0 { failed(one, "Boom") } else { one });
        meter.record(run("f2", NOW_MS + at, 1));
        meter.record(RunRecord { region: "eu-west-1".to_owned(), ..run("f", NOW_MS + at, 1) });
    }
    let at = |numbers: &[i64]| numbers.iter().map(|number| NOW_MS + number).collect::<Vec<_>>();
    assert_eq!(listed(&meter, &wanted("f", 3)).await, at(&[6, 5, 4, 3, 2, 1, 0]));
    let failures = RunsWanted { failed: true, ..wanted("f", 2) };
    assert_eq!(listed(&meter, &failures).await, at(&[6, 3, 0]));
    let first = &meter.runs(&failures, None).await.unwrap().runs[0];
    assert_eq!((first.error_type.as_deref(), first.region.as_str()), (Some("Boom"), "us-east-1"));
    assert!(listed(&meter, &wanted("other", 2)).await.is_empty());
    for text in ["", "x", "x.y"] {
        assert!(text.parse::<RunMark>().is_err(), "{text}");
    }
}

/// Nor may they hide the older ones that can.
#[tokio::test]
async fn records_that_cannot_be_read_do_not_end_the_list() {
    let (meter, db, _hand) = bench();
    for at in 0..9 {
        meter.record(run("f", NOW_MS + at, 1));
    }
    meter.flush().await.unwrap();
    // A whole page, and the last of the page after it.
    let spoilt = &[6, 5, 4, 1]
        .map(|at| keys::run(Runs::All, &place("us-east-1"), "f", NOW_MS + at, &format!("f-{}", NOW_MS + at)));
    let spoil = db.run(|txn| async move {
        spoilt.iter().for_each(|key| txn.put(key, b"?"));
        Ok::<_, StoreError>(())
    });
    spoil.await.unwrap();
    let first = meter.runs(&wanted("f", 2), None).await.unwrap();
    let empty = meter.runs(&wanted("f", 3), first.next.as_ref()).await.unwrap();
    assert_eq!(empty.runs, []);
    let rest = meter.runs(&wanted("f", 3), empty.next.as_ref()).await.unwrap();
    let starts: Vec<i64> = rest.runs.iter().map(|run| run.started_unix_ms - NOW_MS).collect();
    assert_eq!(starts, [3, 2]);
    assert_eq!(listed(&meter, &wanted("f", 3)).await.len(), 5);
    assert_eq!(meter.slowest(&wanted("f", 9)).await.unwrap().len(), 5);
}

#[tokio::test]
async fn the_slowest_are_those_whose_callers_waited_longest() {
    let (meter, _db, _hand) = bench();
    for at in 0..1_500 {
        let one = run("f", NOW_MS + at, 1 + u64::try_from(at * 7 % 1_500).unwrap());
        meter.record(RunRecord { init_us: (at == 700).then_some(9_000_000), ..one });
    }
    let slowest = meter.slowest(&wanted("f", 3)).await.unwrap();
    let waits: Vec<u64> = slowest.iter().map(RunRecord::whole_us).collect();
    assert_eq!(slowest[0].started_unix_ms, NOW_MS + 700);
    assert_eq!(waits[1..], [1_500_000, 1_499_000]);
    assert_eq!(meter.slowest(&RunsWanted { failed: true, ..wanted("f", 3) }).await.unwrap(), []);
}

/// One transaction takes the longest records that there can be, all of them twice.
#[tokio::test]
async fn the_longest_records_fit() {
    let (meter, db, _hand) = bench();
    for at in 0..TXN_RUNS {
        let name = format!("{at:064}");
        meter.record(RunRecord {
            request_id: "r".repeat(36),
            log_stream: Some("s".repeat(80)),
            init_us: Some(u64::MAX),
            duration_us: u64::MAX,
            max_memory_mib: u32::MAX,
            ..failed(run(&name, NOW_MS, u64::from(u32::MAX)), &"\u{1}".repeat(2 * ERROR_TYPE_BYTES))
        });
    }
    meter.flush().await.unwrap();
    assert_eq!((runs(&db).await, rows(&db, b"meter/failed/").await), (TXN_RUNS, TXN_RUNS));
    let kept = meter.runs(&wanted(&format!("{:064}", 0), 1), None).await.unwrap();
    assert_eq!(kept.runs[0].error_type.as_deref().map(str::len), Some(ERROR_TYPE_BYTES));
}

#[tokio::test]
async fn a_check_finds_failures_that_are_not_kept_twice() {
    let (meter, db, _hand) = bench();
    for at in 0..4 {
        meter.record(failed(run("f", NOW_MS + at, 1), "E"));
    }
    meter.record(run("f", NOW_MS + 4, 1));
    meter.flush().await.unwrap();
    let found = async || {
        let mut findings = Findings::default();
        crate::check(&db.export().await.unwrap(), &mut findings).await.unwrap();
        findings.problems
    };
    assert_eq!(found().await, []);
    let key =
        |of, at: i64| keys::run(of, &place("us-east-1"), "f", NOW_MS + at, &format!("f-{}", NOW_MS + at));
    let keys = &[
        key(Runs::All, 0),
        key(Runs::Failed, 1),
        key(Runs::Failed, 2),
        key(Runs::All, 3),
        key(Runs::All, 4),
        key(Runs::Failed, 4),
    ];
    let spoil = db.run(|txn| async move {
        txn.delete(&keys[0]);
        txn.delete(&keys[1]);
        txn.put(&keys[2], b"?");
        txn.put(&keys[3], b"?");
        let stray = txn.get(&keys[4]).await?.unwrap_or_default();
        txn.put(&keys[5], &stray);
        Ok::<_, StoreError>(())
    });
    spoil.await.unwrap();
    let problems = found().await;
    let about = |at: usize| {
        let key = keys[at].escape_ascii().to_string();
        problems.iter().filter(|problem| problem.what.contains(&key)).count()
    };
    // The twin of one that cannot be read is mended after that is set aside.
    assert_eq!((problems.len(), about(2), about(3), about(5)), (5, 1, 1, 1), "{problems:?}");
    assert!(problems.iter().all(|problem| problem.mends.len() == 1));
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
