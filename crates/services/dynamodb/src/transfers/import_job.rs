//! The job that fills a new table from the objects of a bucket.
//!
//! Objects are read one after the other, and their items written in batches; each batch moves the job's cursor (the object,
//! and how many of its records are done) in its own transaction. After a crash the object is read again up to there.

use lambent_base::Place;
use lambent_expressions::{Item, item_bytes};
use lambent_store::{Db, Txn};
use lambent_wire::ApiError;
use serde::{Deserialize, Serialize};

use super::asker::Asker;
use super::import::{self, ImportRow};
use super::intake::{Intake, Record};
use super::{ListedObject, keys};
use crate::change::{Origin, change};
use crate::items::{check_size, checks};
use crate::jobs::{self, Clear, Job, Step, Task};
use crate::table::{Status, Table};
use crate::{Dynamo, DynamoError, rows};

/// How many records one transaction writes, and about how many bytes: each index writes an item again.
const BATCH_RECORDS: usize = 200;
const BATCH_BYTES: usize = 1 << 20;
/// How much of an object is unpacked at once: packed well, it is a thousand times as much.
const PIECE_BYTES: usize = 4 << 10;
/// The records of an object that is done.
const ALL: u64 = u64::MAX;
const SERVER_ERRORS: u16 = 500;

/// An import.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Import {
    pub(crate) account: String,
    pub(crate) region: String,
    pub(crate) id: String,
    pub(crate) asker: Asker,
}

/// How far an import came.
struct Cursor {
    key: String,
    /// Records of the object that are done.
    done: u64,
}

/// Records that are written together.
#[derive(Default)]
struct Batch {
    items: Vec<Item>,
    records: u64,
    errors: i64,
    bytes: usize,
}

impl Import {
    pub(crate) async fn step(&self, dynamo: &Dynamo, db: &Db, job: &Job) -> Result<Step, DynamoError> {
        let place = &self.place();
        let row = db.read(|txn| async move { import::find(&txn, place, &self.id).await }).await?;
        let Some(row) = row else {
            return self.end(dynamo, db, job, None).await;
        };
        match self.next_object(dynamo, db, job, &row).await {
            Ok(true) => Ok(Step::More),
            Ok(false) => {
                let row = db.read(|txn| async move { import::find(&txn, place, &self.id).await }).await?;
                self.end(dynamo, db, job, row.map(|row| row.ended(dynamo, None))).await
            }
            Err(DynamoError::Refused(refusal)) if refusal.status < SERVER_ERRORS => {
                let failure = Some(super::failure(refusal));
                self.end(dynamo, db, job, Some(row.ended(dynamo, failure))).await
            }
            Err(error) => Err(error),
        }
    }

    fn place(&self) -> Place {
        Place { account: self.account.clone(), region: self.region.clone() }
    }

    /// Reads the next object; `false` when there is none.
    async fn next_object(
        &self,
        dynamo: &Dynamo,
        db: &Db,
        job: &Job,
        row: &ImportRow,
    ) -> Result<bool, DynamoError> {
        let cursor = job.cursor()?.map(|cursor| Cursor::read(&cursor)).transpose()?;
        let (object, done) = match cursor {
            Some(Cursor { key, done }) if done != ALL => (ListedObject { key, bytes: 0 }, done),
            cursor => {
                let prefix = row.object(row.prefix.clone().unwrap_or_default());
                let after = cursor.map(|cursor| cursor.key);
                let listed =
                    dynamo.buckets()?.list(&self.asker.again(dynamo), &prefix, after.as_deref()).await?;
                match listed.into_iter().next() {
                    Some(first) => (first, 0),
                    None => return Ok(false),
                }
            }
        };
        self.read_object(dynamo, db, job, row, (object, done)).await?;
        Ok(true)
    }

    async fn read_object(
        &self,
        dynamo: &Dynamo,
        db: &Db,
        job: &Job,
        row: &ImportRow,
        (object, done): (ListedObject, u64),
    ) -> Result<(), DynamoError> {
        let name = row.object(object.key.clone());
        let (job, batch) = (job.clone(), Batch::default());
        let mut writing = Writing { import: self, dynamo, db, row, job, batch, resume: done, seen: 0 };
        if !name.key.ends_with('/') {
            let mut body = dynamo.buckets()?.get(&self.asker.again(dynamo), &name).await?;
            let mut intake = Intake::new(&row.table, row.format.clone(), row.packed);
            let unreadable = |why: String| ApiError::client("InvalidObject", format!("{}: {why}", name.key));
            while let Some(bytes) = body.next().await {
                for piece in bytes?.chunks(PIECE_BYTES) {
                    for record in intake.push(piece).map_err(unreadable)? {
                        writing.take(&name.key, record).await?;
                    }
                }
            }
            for record in intake.finish().map_err(unreadable)? {
                writing.take(&name.key, record).await?;
            }
        }
        writing.finish(&name.key, object.bytes).await
    }

    /// The table is ready, or goes again where the import came to nothing.
    async fn end(
        &self,
        dynamo: &Dynamo,
        db: &Db,
        job: &Job,
        row: Option<ImportRow>,
    ) -> Result<Step, DynamoError> {
        let (place, row) = (&self.place(), &row);
        let step = db.run(|txn| async move {
            // The cursor may have moved since this step began: the job is read anew.
            let Some(job) = jobs::read(&txn, job.id).await? else { return Ok(Step::Done) };
            if let Some(row) = row {
                txn.put(&keys::import(place, &self.id), &rows::encode(row));
                let table = rows::find_table(&dynamo.known, &txn, place, &row.table.name).await?;
                if let Some(table) = table.filter(|table| table.id == row.table.id) {
                    if row.failed {
                        txn.delete(&crate::keys::table(place, &table.name));
                        txn.on_commit(crate::keys::TABLES_TOPIC);
                        let indexes = table.indexes().map(|index| index.id).collect();
                        jobs::put(&txn, &dynamo.random, Task::Clear(Clear::table(table.id, indexes)));
                    } else {
                        rows::put_table(&txn, &Table { status: Status::Active, ..(*table).clone() });
                    }
                }
            }
            job.finish(&txn);
            Ok::<_, DynamoError>(Step::Done)
        });
        let step = step.await?;
        if let Some(row) = row {
            dynamo.known.forget(place, &row.table.name);
        }
        Ok(step)
    }
}

/// An object whose items are being written.
struct Writing<'a> {
    import: &'a Import,
    dynamo: &'a Dynamo,
    db: &'a Db,
    row: &'a ImportRow,
    /// As the store has it now.
    job: Job,
    batch: Batch,
    /// How many records were done before.
    resume: u64,
    seen: u64,
}

impl Writing<'_> {
    async fn take(&mut self, key: &str, record: Record) -> Result<(), DynamoError> {
        self.seen += 1;
        if self.seen <= self.resume {
            return Ok(());
        }
        self.batch.add(&self.row.table, record);
        let bytes_max = BATCH_BYTES / (1 + self.row.table.indexes().count());
        if usize::try_from(self.batch.records).unwrap_or(usize::MAX) >= BATCH_RECORDS
            || self.batch.bytes >= bytes_max
        {
            self.write(key, self.seen, 0).await?;
        }
        Ok(())
    }

    async fn finish(mut self, key: &str, object_bytes: i64) -> Result<(), DynamoError> {
        self.write(key, ALL, object_bytes).await
    }

    /// Writes the batch, and that the object's records up to it are done.
    async fn write(&mut self, key: &str, done: u64, object_bytes: i64) -> Result<(), DynamoError> {
        let batch = std::mem::take(&mut self.batch);
        let moved = self.job.moved(&Cursor { key: key.to_owned(), done }.bytes());
        let (job, moved_to, batch, import) = (&self.job, &moved, &batch, self.import);
        let (place, at_ms, dynamo) = (&import.place(), self.dynamo.clock.unix_ms(), self.dynamo);
        let write = |txn: Txn| async move {
            let row = import::find(&txn, place, &import.id).await?;
            let (true, Some(mut row)) = (job.is_mine(&txn).await?, row) else { return Err(overtaken()) };
            let table = rows::find_table(&dynamo.known, &txn, place, &row.table.name).await?;
            let table = table.filter(|table| table.id == row.table.id).ok_or_else(overtaken)?;
            for item in &batch.items {
                let Ok(key) = table.key_of(item) else { continue };
                let old = rows::item(&txn, &key).await?;
                change(&txn, &table, &key, old.as_ref(), Some(item), Origin::User, at_ms).await?;
            }
            row.read += i64::try_from(batch.records).unwrap_or(i64::MAX);
            row.imported += i64::try_from(batch.items.len()).unwrap_or(i64::MAX);
            row.errors += batch.errors;
            row.bytes += object_bytes;
            txn.put(&keys::import(place, &import.id), &rows::encode(&row));
            moved_to.keep(&txn);
            Ok::<_, DynamoError>(())
        };
        self.db.run(write).await?;
        self.job = moved;
        Ok(())
    }
}

impl Batch {
    fn add(&mut self, table: &Table, record: Record) {
        self.records += 1;
        let is_valid = |item: &Item| checks::item(table, item).is_ok() && check_size(item).is_ok();
        let item = record.ok().filter(is_valid);
        match item {
            Some(item) => {
                self.bytes += item_bytes(&item);
                self.items.push(item);
            }
            None => self.errors += 1,
        }
    }
}

impl ImportRow {
    fn ended(self, dynamo: &Dynamo, failure: Option<(String, String)>) -> Self {
        let failed = failure.is_some();
        let invalid = || {
            let message = "Some of the items failed validation checks and were not imported.";
            ("ItemValidationError".to_owned(), message.to_owned())
        };
        let failure = failure.or_else(|| (self.errors > 0).then(invalid));
        Self { ended_ms: Some(dynamo.clock.unix_ms()), failure, failed, ..self }
    }
}

impl Cursor {
    fn bytes(&self) -> Vec<u8> {
        [&self.done.to_be_bytes()[..], self.key.as_bytes()].concat()
    }

    fn read(bytes: &[u8]) -> Result<Self, DynamoError> {
        let read = || {
            let (done, key) = bytes.split_first_chunk()?;
            Some(Self { done: u64::from_be_bytes(*done), key: String::from_utf8(key.to_vec()).ok()? })
        };
        read().ok_or_else(|| DynamoError::Row { what: "an import", why: "its cursor is damaged".to_owned() })
    }
}

/// Another node works on the job, or somebody removed it: this step ends, and the job is looked at again.
fn overtaken() -> DynamoError {
    DynamoError::Row { what: "an import", why: "another node works on it".to_owned() }
}
