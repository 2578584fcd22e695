//! Single flipped bits in the files of a store that was killed: each is reported, or does no harm; none loses rows.
#![expect(clippy::unwrap_used, reason = "a test's helpers may panic as the test does")]

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use lambent_base::{Clock, Random};
use lambent_store::{Db, FjallEngine, FjallOptions, Key, ScanOptions, StoreError};

/// Set in the child process that is to be killed: the data directory.
const CHILD_DIRECTORY: &str = "LAMBENT_TEST_STORE_DIRECTORY";
/// One commit's rows.
const ROWS: u64 = 20;
const VALUE_BYTES: usize = 3000;
/// How many bits are flipped in each kind of file: in every run, and in the long form.
const FLIPS: usize = 2;
const FLIPS_LONG: usize = 150;
/// From so many flips on in a kind of file, some must hit what its checksums cover.
const FLIPS_SURELY_HIT: usize = 50;
/// Kinds of files, by words in their paths, and from how many flips on something must be reported of them. The
/// high-water mark is there twice: of two, one bit spoils one.
const KINDS: [(&[&str], Option<usize>); 6] = [
    (&[".jnl"], Some(FLIPS)),
    (&["keyspaces/1/tables/"], Some(FLIPS)),
    (&["keyspaces/1/", "/v"], Some(FLIPS_SURELY_HIT)),
    (&["current"], Some(FLIPS_SURELY_HIT)),
    (&["high-water"], None),
    (&["keyspaces/0/"], Some(FLIPS_SURELY_HIT)),
];
/// Point reads are made of every so many rows; all are scanned.
const POINT_READ_STEP: u64 = 13;

fn open(directory: &Path) -> Result<Db, StoreError> {
    let engine = FjallEngine::open(directory, FjallOptions::default(), Clock::system())?;
    Ok(Db::new(Arc::new(engine), Clock::system(), Random::system()))
}

fn key(row: u64) -> Key {
    Key::new(b"r/").u64(row)
}

fn value(row: u64) -> Vec<u8> {
    row.to_le_bytes().repeat(VALUE_BYTES / 8)
}

/// The process that is killed. It prints a line for each acknowledged commit.
#[tokio::test]
#[ignore = "started by another test"]
async fn child_that_writes_until_it_is_killed() {
    let directory =
        lambent_base::env::var(CHILD_DIRECTORY).expect("the test that starts this gives a directory");
    let db = open(Path::new(&directory)).unwrap();
    for commit in 0_u64.. {
        db.run(|txn| async move {
            for row in commit * ROWS..(commit + 1) * ROWS {
                txn.put(&key(row), &value(row));
            }
            Ok::<_, StoreError>(())
        })
        .await
        .unwrap();
        println!("acknowledged {}", commit + 1);
    }
}

fn start_child(directory: &Path) -> Child {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--ignored", "--exact", "child_that_writes_until_it_is_killed", "--nocapture"]);
    command.env(CHILD_DIRECTORY, directory).stdout(Stdio::piped()).spawn().unwrap()
}

/// The files below a directory whose path has these words.
fn files(directory: &Path, words: &[&str]) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut open = vec![directory.to_owned()];
    while let Some(folder) = open.pop() {
        for entry in fs::read_dir(folder).into_iter().flatten() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                open.push(path);
            } else if words.iter().all(|word| path.to_str().unwrap().contains(word)) {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

/// A store that was killed while it had tables, a journal that was complete and one that was not; and how many rows were
/// acknowledged.
fn killed_store() -> (tempfile::TempDir, u64) {
    let directory = tempfile::tempdir().unwrap();
    let mut child = start_child(directory.path());
    let mut lines = BufReader::new(child.stdout.take().unwrap());
    let mut acknowledged = 0;
    let mut note = |line: &str| {
        let commits =
            line.trim_end().strip_prefix("acknowledged ").and_then(|number| number.parse::<u64>().ok());
        acknowledged = commits.map_or(acknowledged, |commits| commits * ROWS);
    };
    let mut line = String::new();
    while lines.read_line(&mut line).unwrap() > 0 {
        note(&line);
        line.clear();
        let has_tables = !files(directory.path(), &["keyspaces/1/tables/"]).is_empty();
        if has_tables && files(directory.path(), &[".jnl"]).len() > 1 {
            break;
        }
    }
    child.kill().unwrap();
    child.wait().unwrap();
    let mut rest = String::new();
    lines.read_to_string(&mut rest).unwrap();
    if let Some((whole, _)) = rest.rsplit_once('\n') {
        whole.lines().for_each(note);
    }
    for journal in files(directory.path(), &[".jnl"]) {
        // The rest of a journal is a hole of many MiB; its beginning says as much.
        let mut bytes = fs::read(&journal).unwrap();
        let used = bytes.iter().rposition(|&byte| byte != 0).map_or(0, |last| last + 1);
        bytes.truncate(used + 4096);
        fs::write(&journal, &bytes).unwrap();
    }
    (directory, acknowledged)
}

/// A copy that may be opened; tables, which are never changed, are shared with the original.
fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let target = to.join(path.file_name().unwrap());
        match path {
            path if path.is_dir() => copy(&path, &target),
            path if from.ends_with("tables") => fs::hard_link(&path, &target).unwrap(),
            path => drop(fs::copy(&path, &target).unwrap()),
        }
    }
}

/// Reads every row, by scan and some by key; gives how many there are, without a gap and whole.
async fn read_all(directory: &Path) -> Result<u64, StoreError> {
    let db = open(directory)?;
    let range = &Key::new(b"r/").range();
    let mut rows = 0;
    let mut next = Some(range.clone());
    while let Some(range) = next.take() {
        let part = &range;
        let page = db.read(|txn| async move { txn.scan(part, ScanOptions::rows(1000)).await }).await?;
        for (found, stored) in &page.rows {
            assert_eq!(found[..], key(rows)[..], "a row is missing or another is there");
            assert!(stored[..] == value(rows)[..], "row {rows} has another value");
            rows += 1;
        }
        next = page.more.map(|start| lambent_store::KeyRange { start, ..range.clone() });
    }
    for row in (0..rows).step_by(usize::try_from(POINT_READ_STEP).unwrap()) {
        let stored = db.read(|txn| async move { txn.get(&key(row)).await }).await?;
        assert!(
            stored.is_some_and(|stored| stored[..] == value(row)[..]),
            "row {row} cannot be found by its key"
        );
    }
    Ok(rows)
}

/// Flips a bit in a copy and reads; says what was reported, if anything was.
async fn flipped(killed: &Path, file: &Path, at: usize, bit: u8, acknowledged: u64) -> Option<StoreError> {
    let directory = tempfile::tempdir_in(killed.parent().unwrap()).unwrap();
    copy(killed, directory.path());
    let target = directory.path().join(file.strip_prefix(killed).unwrap());
    let mut bytes = fs::read(&target).unwrap();
    bytes[at] ^= 1 << bit;
    fs::remove_file(&target).unwrap();
    fs::write(&target, &bytes).unwrap();
    let path = directory.path().to_owned();
    // A panic of the engine's would be neither.
    let outcome = tokio::spawn(async move { read_all(&path).await }).await;
    let place = format!("{}, byte {at} of {}, bit {bit}", file.display(), bytes.len());
    match outcome.unwrap_or_else(|error| panic!("{place}: {error}")) {
        Ok(rows) => {
            assert!(rows >= acknowledged, "{place}: {rows} of {acknowledged} rows, and nobody says so");
            None
        }
        Err(refusal @ StoreError::Corrupt(_)) => Some(refusal),
        Err(other) => panic!("{place}: expected damage to be named, got: {other}"),
    }
}

async fn flip_many(flips: usize) {
    let (killed, acknowledged) = killed_store();
    let pristine = tempfile::tempdir_in(killed.path().parent().unwrap()).unwrap();
    copy(killed.path(), pristine.path());
    let found = read_all(pristine.path()).await.unwrap();
    assert!((acknowledged..=acknowledged + ROWS).contains(&found), "{found} rows of {acknowledged}");
    let seed = Random::system().u64();
    println!("seed {seed}");
    let random = Random::seeded(seed);
    for (words, reported_from) in KINDS {
        let (mut reported, mut harmless) = (0, 0);
        let files = files(killed.path(), words);
        assert!(!files.is_empty(), "no file has {words:?} in its name");
        for flip in 0..flips {
            let file = &files[flip % files.len()];
            let length = fs::metadata(file).unwrap().len();
            if length == 0 {
                continue;
            }
            let at = usize::try_from(random.u64() % length).unwrap();
            let bit = u8::try_from(random.u64() % 8).unwrap();
            match flipped(killed.path(), file, at, bit, acknowledged).await {
                Some(_) => reported += 1,
                None => harmless += 1,
            }
        }
        println!("{words:?}: {reported} reported, {harmless} harmless");
        let must_report = reported_from.is_some_and(|from| flips >= from);
        assert!(!must_report || reported > 0, "{words:?}: none of {flips} flipped bits was reported");
    }
}

#[tokio::test]
async fn no_flipped_bit_loses_rows_silently() {
    flip_many(FLIPS).await;
}

/// `cargo test -p lambent-store --release --test damage -- --ignored --exact no_flipped_bit_loses_rows_silently_long`
#[tokio::test]
#[ignore = "minutes long: the nightly form"]
async fn no_flipped_bit_loses_rows_silently_long() {
    flip_many(FLIPS_LONG).await;
}
