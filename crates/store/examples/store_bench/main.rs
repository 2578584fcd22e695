//! What the engines do on this machine; `cargo xtask bench --only store` builds it, runs it and makes a table.
//!
//! `store_bench FOLDER SECONDS` measures each row for that long, with data below the folder. Each line printed is one
//! row: a JSON object with `what`, `clients`, `p50_us`, `p99_us`, `per_second`, `cpu_us` (of everything that took part, for
//! each operation), `figure`, `target`; numbers that do not apply are null.
#![expect(clippy::unwrap_used, reason = "a measurement that fails may panic")]

#[path = "../../tests/support/cluster.rs"]
mod cluster;
mod fjall;
mod load;
mod postgres;

use std::path::PathBuf;
use std::time::Duration;

/// Clients at once in the rows that the targets speak of.
const CLIENTS: usize = 256;
const VALUE_BYTES: usize = 1024;

#[tokio::main]
async fn main() {
    let mut arguments = std::env::args().skip(1);
    let (Some(folder), Some(seconds)) = (arguments.next(), arguments.next()) else {
        eprintln!("usage: store_bench FOLDER SECONDS [fjall|postgres]");
        std::process::exit(2);
    };
    let only = arguments.next();
    let wanted = |part| only.as_deref().is_none_or(|only| only == part);
    let run = load::Run {
        folder: PathBuf::from(folder),
        time: Duration::from_secs_f64(seconds.parse().unwrap()),
        clock: lambent_base::Clock::system(),
    };
    if wanted("fjall") {
        fjall::measure(&run).await;
    }
    if wanted("postgres") {
        postgres::measure(&run).await;
    }
}
