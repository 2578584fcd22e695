//! The engine of one machine, beside the disk itself.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use lambent_base::Random;
use lambent_store::{Db, FjallEngine, FjallOptions};

use crate::load::Run;
use crate::{CLIENTS, VALUE_BYTES};

/// The raw writes go round in a file of this size, whose blocks exist, as those of a journal do.
const RAW_FILE_BYTES: u64 = 16 * 1024 * 1024;

pub(crate) async fn measure(run: &Run) {
    let folder = tempfile::tempdir_in(&run.folder).unwrap();
    let raw = raw(run, folder.path()).await;
    let engine = FjallEngine::open(&folder.path().join("store"), FjallOptions::default(), run.clock.clone());
    let db = Db::new(Arc::new(engine.unwrap()), run.clock.clone(), Random::system());
    let single = run.puts(std::slice::from_ref(&db), 1, false, None).await;
    let figure = format!("{:.2} times the raw write", single.p50_us() / raw);
    single.print("fjall: put 1 KiB, durable", &figure, "p50 at most 1.3 times the raw write");
    let target = "at least 40k/s, at most 30 us of CPU (2 idle cores)";
    run.puts(std::slice::from_ref(&db), CLIENTS, false, None).await.print(
        "fjall: put 1 KiB, durable",
        "",
        target,
    );
    run.puts(std::slice::from_ref(&db), CLIENTS, true, None).await.print(
        "fjall: read, then put 1 KiB, durable",
        "",
        "",
    );
    db.close().await;
}

/// The median time of a write and its fdatasync, in microseconds.
async fn raw(run: &Run, folder: &std::path::Path) -> f64 {
    let file = File::create(folder.join("raw")).unwrap();
    let block = [7; VALUE_BYTES];
    for at in (0..RAW_FILE_BYTES).step_by(VALUE_BYTES) {
        file.write_all_at(&block, at).unwrap();
    }
    file.sync_all().unwrap();
    let file = Arc::new(file);
    let write = move |number: u64| {
        let file = file.clone();
        async move {
            file.write_all_at(&block, number * VALUE_BYTES as u64 % RAW_FILE_BYTES).unwrap();
            file.sync_data().unwrap();
        }
    };
    let found = run.measure(1, None, write).await;
    found.print("raw write and fdatasync, 1 KiB", "", "");
    found.p50_us()
}
