//! What every engine must do. A new engine adds itself to `harness.rs` and passes all of it.
#![expect(clippy::unwrap_used, reason = "a test's helpers may panic as the test does")]

#[path = "support/cluster.rs"]
mod cluster;
#[macro_use]
#[path = "conformance/harness.rs"]
mod harness;

#[path = "conformance/conflicts.rs"]
mod conflicts;
#[path = "conformance/counters.rs"]
mod counters;
#[path = "conformance/differential.rs"]
mod differential;
#[path = "conformance/faults.rs"]
mod faults;
#[path = "conformance/history.rs"]
mod history;
#[path = "conformance/large.rs"]
mod large;
#[path = "conformance/limits.rs"]
mod limits;
#[path = "conformance/outcomes.rs"]
mod outcomes;
#[path = "conformance/rows.rs"]
mod rows;
#[path = "conformance/scans.rs"]
mod scans;
#[path = "conformance/stamps.rs"]
mod stamps;
#[path = "conformance/transfers.rs"]
mod transfers;
#[path = "conformance/watches.rs"]
mod watches;

fn all_cases() -> Vec<harness::Case> {
    [
        conflicts::cases(),
        counters::cases(),
        differential::cases(),
        history::cases(),
        large::cases(),
        limits::cases(),
        outcomes::cases(),
        rows::cases(),
        scans::cases(),
        stamps::cases(),
        transfers::cases(),
        watches::cases(),
    ]
    .concat()
}

#[tokio::test(flavor = "multi_thread")]
async fn postgres_in_batches() {
    harness::run_on_postgres(all_cases(), lambent_store_postgres::Commits::Batched).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn postgres_with_one_transaction_each() {
    harness::run_on_postgres(all_cases(), lambent_store_postgres::Commits::OneEach).await;
}

/// Nodes of both kinds, at once on one database, whose transactions may be serializable unless told otherwise.
#[tokio::test(flavor = "multi_thread")]
async fn postgres_of_three_nodes() {
    use lambent_store_postgres::Commits::{Batched, OneEach};
    let cluster = cluster::Cluster::start(None, cluster::Sync::Off);
    let runs = [
        (41, [Batched; 3], "read committed"),
        (42, [Batched, OneEach, Batched], "read committed"),
        (43, [Batched, OneEach, Batched], "serializable"),
    ];
    for (seed, kinds, isolation) in runs {
        let name = format!("nodes_{seed}");
        let url = cluster.database(&name);
        let default = format!("ALTER DATABASE {name} SET default_transaction_isolation = '{isolation}'");
        cluster.psql("postgres", &default);
        let mut nodes = Vec::new();
        for commits in kinds {
            nodes.push(harness::postgres(&url, commits).await.db);
        }
        history::histories_of_nodes(&nodes, seed).await;
    }
}
