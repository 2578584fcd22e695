//! The fjall engine against crashes, damage, second processes and full disks.
#![expect(clippy::unwrap_used, reason = "a test's helpers may panic as the test does")]

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use lambent_base::{Clock, Random};
use lambent_store::{Db, FjallEngine, FjallOptions, Key, KeyRange, ScanOptions, StoreError};

/// Set in the child process that is to be killed: the data directory.
const CHILD_DIRECTORY: &str = "LAMBENT_TEST_STORE_DIRECTORY";
const ROUNDS: u64 = 6;

fn try_open(directory: &Path) -> Result<Db, StoreError> {
    let engine = FjallEngine::open(directory, FjallOptions::default(), Clock::system())?;
    Ok(Db::new(Arc::new(engine), Clock::system(), Random::system()))
}

fn open(directory: &Path) -> Db {
    try_open(directory).unwrap()
}

/// A row that tells damage from truth: the number, and a value made from it.
async fn put_number(db: &Db, task: u64, number: u64) {
    let key = &Key::new(b"n/").u64(task).u64(number);
    let mut value = [0; 300];
    Random::seeded(number).fill(&mut value);
    let value = &value;
    db.run(|txn| async move {
        txn.put(key, value);
        txn.add(b"count", 1);
        Ok::<_, StoreError>(())
    })
    .await
    .unwrap();
}

/// How many numbers of a task are there, counted from 0 without a gap, and whole.
async fn numbers(db: &Db, task: u64) -> Result<u64, StoreError> {
    let range = &Key::new(b"n/").u64(task).range();
    let page = db.read(|txn| async move { txn.scan(range, ScanOptions::rows(10_000)).await }).await?;
    for (number, (key, value)) in (0..).zip(&page.rows) {
        let mut expected = [0; 300];
        Random::seeded(number).fill(&mut expected);
        assert_eq!(&key[..], &Key::new(b"n/").u64(task).u64(number)[..]);
        assert!(value[..] == expected[..], "row {number} has another value");
    }
    Ok(page.rows.len() as u64)
}

async fn count(db: &Db) -> i64 {
    let row = db.read(|txn| async move { txn.get(b"count").await }).await.unwrap();
    row.map_or(0, |row| i64::from_le_bytes(row[..].try_into().unwrap()))
}

/// The process that `acknowledged_commits_survive_kill_9` kills. It prints a line for each acknowledged commit.
#[tokio::test]
#[ignore = "started by another test"]
async fn child_that_writes_until_it_is_killed() {
    let directory =
        lambent_base::env::var(CHILD_DIRECTORY).expect("the test that starts this gives a directory");
    let db = open(Path::new(&directory));
    let tasks = (0..4).map(|task| {
        let db = db.clone();
        tokio::spawn(async move {
            for number in numbers(&db, task).await.unwrap().. {
                put_number(&db, task, number).await;
                println!("acknowledged {task} {number}");
            }
        })
    });
    for task in tasks.collect::<Vec<_>>() {
        task.await.unwrap();
    }
}

fn start_child(directory: &Path) -> Child {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--ignored", "--exact", "child_that_writes_until_it_is_killed", "--nocapture"]);
    command.env(CHILD_DIRECTORY, directory).stdout(Stdio::piped()).spawn().unwrap()
}

/// The task and the number of an acknowledgement.
fn acknowledgement(line: &str) -> Option<(usize, u64)> {
    let (task, number) = line.strip_prefix("acknowledged ")?.split_once(' ')?;
    Some((task.parse().ok()?, number.parse().ok()?))
}

#[tokio::test]
async fn acknowledged_commits_survive_kill_9() {
    let directory = tempfile::tempdir().unwrap();
    let random = Random::system();
    let mut acknowledged = [0; 4];
    for round in 0..ROUNDS {
        let mut child = start_child(directory.path());
        let mut lines = BufReader::new(child.stdout.take().unwrap());
        let mut left = 20 + random.u64() % 100;
        let mut note = |line: &str| {
            if let Some((task, number)) = acknowledgement(line) {
                acknowledged[task] = acknowledged[task].max(number + 1);
                left = left.saturating_sub(1);
            }
            left > 0
        };
        let mut line = String::new();
        while lines.read_line(&mut line).unwrap() > 0 && note(line.trim_end()) {
            line.clear();
        }
        child.kill().unwrap();
        assert_eq!(child.wait().unwrap().signal(), Some(9), "round {round}");
        let mut rest = String::new();
        lines.read_to_string(&mut rest).unwrap();
        // The last line may be cut off.
        for line in rest.lines().rev().skip(1) {
            note(line);
        }

        let db = open(directory.path());
        let mut found = 0;
        for task in 0..4 {
            let numbers = numbers(&db, task).await.unwrap();
            let promised = acknowledged[usize::try_from(task).unwrap()];
            assert!(numbers >= promised, "round {round}, task {task}: {numbers} of {promised}");
            found += numbers;
        }
        // Row and counter were written together.
        assert_eq!(count(&db).await, i64::try_from(found).unwrap());
    }
    assert!(acknowledged.iter().sum::<u64>() >= ROUNDS * 20);
}

fn copy_directory(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let target = to.join(path.file_name().unwrap());
        if path.is_dir() {
            copy_directory(&path, &target);
        } else {
            fs::copy(&path, &target).unwrap();
        }
    }
}

fn journal(directory: &Path) -> PathBuf {
    let entries = fs::read_dir(directory.join("fjall")).unwrap().map(|entry| entry.unwrap().path());
    entries.filter(|path| path.extension().is_some_and(|ending| ending == "jnl")).max().unwrap()
}

/// A directory as a killed process leaves it, with this many commits.
async fn killed_after(commits: u64) -> tempfile::TempDir {
    let (live, killed) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let db = open(live.path());
    for number in 0..commits {
        put_number(&db, 0, number).await;
    }
    copy_directory(live.path(), killed.path());
    killed
}

#[tokio::test]
async fn a_flipped_bit_in_the_journal_never_loses_commits_silently() {
    const COMMITS: u64 = 40;
    let killed = killed_after(COMMITS).await;
    let pristine = journal(killed.path());
    let mut whole = fs::read(&pristine).unwrap();
    let used = whole.iter().rposition(|&byte| byte != 0).unwrap() + 1;
    // The rest of a journal is a hole of many MiB; its beginning says as much.
    whole.truncate(used + 4096);
    fs::write(&pristine, &whole).unwrap();

    // Every byte about the head of a record in the middle, and some of all others.
    let heads: Vec<usize> = (0..used).filter(|&at| whole[at..].starts_with(b"count")).collect();
    assert_eq!(heads.len() as u64, COMMITS);
    let head = heads[heads.len() / 2];
    let record = used / heads.len();
    let (mut refused, mut harmless) = (0, 0);
    for at in (head - 40..head + 24).chain((0..used).step_by(record - 7)) {
        let directory = tempfile::tempdir().unwrap();
        copy_directory(killed.path(), directory.path());
        let mut damaged = whole.clone();
        damaged[at] ^= 0x04;
        fs::write(journal(directory.path()), &damaged).unwrap();
        let outcome = match try_open(directory.path()) {
            Ok(db) => numbers(&db, 0).await,
            Err(refusal) => Err(refusal),
        };
        match outcome {
            Ok(found) => {
                assert_eq!(found, COMMITS, "byte {at}: commits are missing and nobody says so");
                harmless += 1;
            }
            Err(StoreError::Corrupt(_)) => refused += 1,
            Err(other) => panic!("byte {at}: {other}"),
        }
    }
    assert!(refused > harmless, "{refused} refused, {harmless} harmless");
}

#[tokio::test]
async fn a_shortened_journal_is_refused() {
    let killed = killed_after(20).await;
    let journal = journal(killed.path());
    let mut bytes = fs::read(&journal).unwrap();
    let used = bytes.iter().rposition(|&byte| byte != 0).unwrap() + 1;
    bytes[used / 2..].fill(0);
    fs::write(&journal, &bytes).unwrap();
    let refusal = try_open(killed.path()).err().unwrap().to_string();
    assert!(refusal.contains("were acknowledged"), "{refusal}");

    fs::remove_dir_all(killed.path().join("fjall")).unwrap();
    assert!(matches!(try_open(killed.path()), Err(StoreError::Corrupt(_))));
}

/// A power cut in the middle of a commit that nobody was told of: its end may be on disk and its middle not.
#[tokio::test]
async fn an_unfinished_last_commit_is_dropped_wherever_it_is_torn() {
    const COMMITS: u64 = 10;
    let (live, before) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let db = open(live.path());
    for number in 0..COMMITS {
        put_number(&db, 0, number).await;
    }
    copy_directory(live.path(), before.path());
    let end = |directory: &Path| {
        let bytes = fs::read(journal(directory)).unwrap();
        bytes.iter().rposition(|&byte| byte != 0).unwrap() + 1
    };
    let mut value = vec![0; 20_000];
    Random::seeded(0).fill(&mut value);
    let value = &value[..];
    let last = db.run(|txn| async move {
        txn.put(b"last", value);
        Ok::<_, StoreError>(())
    });
    last.await.unwrap();
    let (start, end) = (end(before.path()), end(live.path()));
    let whole = fs::read(journal(live.path())).unwrap();
    for at in (start..end).step_by(512) {
        let directory = tempfile::tempdir().unwrap();
        copy_directory(before.path(), directory.path());
        let mut torn = whole.clone();
        torn.truncate(end + 4096);
        let sector = at / 512 * 512;
        torn[sector.max(start)..(sector + 512).min(end)].fill(0);
        fs::write(journal(directory.path()), &torn).unwrap();
        let db = open(directory.path());
        assert_eq!(numbers(&db, 0).await.unwrap(), COMMITS, "torn at {at}");
        put_number(&db, 0, COMMITS).await;
        drop(db);
        assert_eq!(numbers(&open(directory.path()), 0).await.unwrap(), COMMITS + 1, "torn at {at}");
    }
}

/// A power cut in the first commit of a journal, when all before it is in tables: no journal says how far they go.
#[tokio::test]
async fn an_unfinished_first_commit_of_a_journal_is_dropped_only_if_tables_hold_all_before() {
    let killed = killed_after(3).await;
    let journal = journal(killed.path());
    let bytes = fs::read(&journal).unwrap();
    let torn = &bytes[..40];
    fs::write(&journal, torn).unwrap();
    // Three commits were promised, and nothing holds them: refused, and every byte stays.
    let refusal = try_open(killed.path()).err().unwrap().to_string();
    assert!(refusal.contains("after commit 0, but 3 were acknowledged"), "{refusal}");
    assert_eq!(fs::read(&journal).unwrap(), torn);
    assert!(!killed.path().join("probe").exists());

    // The same in a store to which nothing was promised.
    let (fresh, made) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let db = open(fresh.path());
    copy_directory(fresh.path(), made.path());
    drop(db);
    fs::write(self::journal(made.path()), torn).unwrap();
    let db = open(made.path());
    assert_eq!(numbers(&db, 0).await.unwrap(), 0);
    put_number(&db, 0, 0).await;
    drop(db);
    assert_eq!(numbers(&open(made.path()), 0).await.unwrap(), 1);
}

/// fjall would take the database for a new one, and remove the rows that it then does not know.
#[tokio::test]
async fn a_missing_file_of_the_tree_is_named_and_nothing_is_removed() {
    let made = killed_after(5).await;
    for missing in ["version", "keyspaces/0/current", "keyspaces/1/current", "keyspaces/1/tables", "0.jnl"] {
        let directory = tempfile::tempdir().unwrap();
        copy_directory(made.path(), directory.path());
        let (path, aside) = (directory.path().join("fjall").join(missing), directory.path().join("aside"));
        fs::rename(&path, &aside).unwrap();
        let refusal = try_open(directory.path()).err().unwrap();
        assert!(matches!(refusal, StoreError::Corrupt(_)), "{missing}: {refusal}");
        fs::rename(&aside, &path).unwrap();
        assert_eq!(numbers(&open(directory.path()), 0).await.unwrap(), 5, "{missing}");
    }
}

#[tokio::test]
async fn a_crash_while_the_store_is_made_does_no_harm() {
    let made = killed_after(0).await;
    let tree = made.path().join("fjall");
    for missing in ["version", "keyspaces/1/current", "keyspaces/0", "keyspaces", "lock"] {
        let path = tree.join(missing);
        if path.is_dir() {
            fs::remove_dir_all(&path).unwrap();
        } else {
            fs::remove_file(&path).unwrap();
        }
        let half = tempfile::tempdir().unwrap();
        copy_directory(made.path(), half.path());
        fs::write(half.path().join("making"), b"").unwrap();
        put_number(&open(half.path()), 0, 0).await;
        assert_eq!(numbers(&open(half.path()), 0).await.unwrap(), 1, "without {missing}");
    }
}

#[tokio::test]
async fn a_closed_store_opens_again_with_everything() {
    let directory = tempfile::tempdir().unwrap();
    for life in 0..3 {
        let db = open(directory.path());
        assert_eq!(numbers(&db, 0).await.unwrap(), life * 10);
        for number in life * 10..life * 10 + 10 {
            put_number(&db, 0, number).await;
        }
        let second = try_open(directory.path()).err().unwrap();
        assert!(matches!(second, StoreError::Locked { .. }), "{second}");
        db.close().await;
        let closed = db.run(|txn| async move {
            txn.put(b"k", b"v");
            Ok::<_, StoreError>(())
        });
        assert!(matches!(closed.await, Err(StoreError::Unavailable(_))));
        assert!(db.health().is_err());
    }
}

#[tokio::test]
async fn a_nearly_full_disk_refuses_writes_and_goes_on_reading() {
    let directory = tempfile::tempdir().unwrap();
    put_number(&open(directory.path()), 0, 0).await;
    let options = FjallOptions { reserve_bytes: u64::MAX, ..FjallOptions::default() };
    let engine = FjallEngine::open(directory.path(), options, Clock::system()).unwrap();
    let db = Db::new(Arc::new(engine), Clock::system(), Random::system());
    let refused = db.run(|txn| async move {
        txn.put(b"k", b"v");
        Ok::<_, StoreError>(())
    });
    assert!(matches!(refused.await, Err(StoreError::DiskFull { .. })));
    assert_eq!(numbers(&db, 0).await.unwrap(), 1);
    db.health().unwrap();
}

#[tokio::test]
async fn below_the_reserve_what_frees_space_goes_on_to_a_quarter() {
    let free_bytes = |directory: &Path| {
        let status = rustix::fs::statvfs(directory).unwrap();
        status.f_bavail * status.f_frsize
    };
    // What is free changes while the test runs, but not by so much.
    for (reserve_of_free, accepted) in [(2, true), (16, false)] {
        let directory = tempfile::tempdir().unwrap();
        put_number(&open(directory.path()), 0, 0).await;
        let reserve_bytes = free_bytes(directory.path()).saturating_mul(reserve_of_free);
        let options = FjallOptions { reserve_bytes, ..FjallOptions::default() };
        let engine = FjallEngine::open(directory.path(), options, Clock::system()).unwrap();
        let db = Db::new(Arc::new(engine), Clock::system(), Random::system());
        let write = async |frees: bool, key: &[u8]| {
            db.run(|txn| async move {
                if frees {
                    txn.frees_space();
                }
                txn.put(key, b"v");
                Ok::<_, StoreError>(())
            })
            .await
        };
        assert!(matches!(write(false, b"k").await, Err(StoreError::DiskFull { .. })));
        let freeing = write(true, b"dead").await;
        let deleting = db.clear(&KeyRange::prefix(b"n/")).await;
        if accepted {
            freeing.unwrap();
            assert_eq!(deleting.unwrap(), 1);
        } else {
            assert!(matches!(freeing, Err(StoreError::DiskFull { .. })), "{freeing:?}");
            assert!(matches!(deleting, Err(StoreError::DiskFull { .. })), "{deleting:?}");
        }
        assert_eq!(db.read(|txn| async move { txn.get(b"dead").await }).await.unwrap().is_some(), accepted);
    }
}

#[tokio::test]
async fn deleted_rows_stay_deleted_through_flushes_and_restarts() {
    let directory = tempfile::tempdir().unwrap();
    let value = vec![7; 60_000];
    let value = &value[..];
    for life in 0..3_u64 {
        let db = open(directory.path());
        for row in 0..300_u64 {
            let key = &Key::new(b"k").u64(row);
            db.run(|txn| async move {
                assert_eq!(txn.get(key).await?, None);
                txn.put(key, value);
                Ok::<_, StoreError>(())
            })
            .await
            .unwrap();
        }
        assert_eq!(db.clear(&KeyRange::prefix(b"k")).await.unwrap(), 300, "life {life}");
    }
}
