//! What a check says of the outbox.

use lambent_care::{Findings, Mend};
use lambent_store::{ScanOptions, StoreError};

use super::*;
use crate::{check, keys};

async fn findings(fixture: &Fixture) -> Findings {
    let view = fixture.outbox.db.export().await.unwrap();
    let mut findings = Findings::default();
    check(&view, &mut findings).await.unwrap();
    findings
}

/// How many events wait for a target that has enough to do.
async fn parked(fixture: &Fixture) -> usize {
    let all = &keys::all_wait();
    let page = fixture.outbox.db.read(|txn| async move { txn.scan(all, ScanOptions::rows(1_000)).await });
    page.await.unwrap().rows.len()
}

#[tokio::test]
async fn payloads_are_known_wherever_their_events_are() {
    let fixture = fixture();
    let large = || NewEvent { target: numbered(1), ..event(&[7; 100_000]) };
    for _ in 0..70 {
        fixture.put(large()).await;
    }
    fixture.put(NewEvent { not_before_ms: Some(NOW_MS + 60_000), ..large() }).await;
    fixture.put(NewEvent { target: numbered(2), ..large() }).await;
    // One target never answers, so that some of its events wait, and the other refuses.
    let refuse = |event: &Event| (event.target == numbered(2)).then(|| Delivery::Refused("no".to_owned()));
    let (workers, mut events) = fixture.start(refuse).await;
    while events.recv().await.unwrap().target != numbered(2) {}
    while parked(&fixture).await < 6 || fixture.outbox.dead_letters(None, None, 1).await.unwrap().is_empty() {
        tokio::task::yield_now().await;
    }
    drop(workers);
    let found = findings(&fixture).await;
    assert!(found.problems.is_empty() && found.notes.is_empty(), "{found:?}");
}

#[tokio::test]
async fn an_event_that_waits_and_cannot_be_read_is_named_and_keeps_every_payload() {
    let fixture = fixture();
    let (key, stray) = (&keys::wait(3, &numbered(1).to_string()).u64(9), &keys::body([1; 16]));
    let write = fixture.outbox.db.run(|txn| async move {
        txn.put(key, b"no event");
        txn.max(&keys::head_of_wait(3, "counters are no events"), 9);
        txn.put(stray, b"whose, nobody can tell");
        Ok::<_, StoreError>(())
    });
    write.await.unwrap();
    let found = findings(&fixture).await;
    assert_eq!(found.problems.len(), 1, "{found:?}");
    assert!(matches!(&found.problems[0].mends[..], [Mend::SetAside { key: moved, .. }] if moved == &key[..]));
    assert!(!found.is_all_known() && found.notes.len() == 1, "{found:?}");
}
