//! The job that fills a new table from the objects of a bucket.
//!
//! It first notes which objects there are, each with its ETag: what is put there later is not imported, and an object that
//! is written over ends the import. Then objects are read one after the other, and their items written in batches; each
//! batch moves the job's cursor (the object, and how many of its records are done) in its own transaction. After a crash
//! the object is read again up to there.

use lambent_base::Place;
use lambent_expressions::{Item, item_bytes};
use lambent_store::{Db, Txn};
use lambent_wire::ApiError;
use serde::{Deserialize, Serialize};

use super::asker::Asker;
use super::export_job::is_final;
use super::import::{self, ImportRow};
use super::intake::{Intake, Record};
use super::{ListedObject, ObjectName, keys};
use crate::change::{Origin, change};
use crate::items::{check_size, checks};
use crate::jobs::{self, Job, Step, fewer};
use crate::table::{Status, Table};
use crate::{Dynamo, DynamoError, rows, tables};

/// How many records one transaction writes, and about how many bytes: each index writes an item again.
const BATCH_RECORDS: usize = 200;
const BATCH_BYTES: usize = 1 << 20;
/// How much of an object is unpacked at once: packed well, it is a thousand times as much.
const PIECE_BYTES: usize = 4 << 10;
/// The most objects of an import. Source: Developer Guide, "Import format quotas and validation".
const OBJECTS_MAX: u64 = 50_000;

/// An import.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Import {
    pub(crate) account: String,
    pub(crate) region: String,
    pub(crate) id: String,
    pub(crate) asker: Asker,
}

/// An object that is to be imported, as the import found it when it began.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct SourceRow {
    pub(crate) key: String,
    pub(crate) bytes: i64,
    pub(crate) etag: String,
}

/// How far an import came.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Cursor {
    /// Looks for objects: so many are noted, and further ones come after this key.
    Listing { noted: u64, after: Option<String> },
    /// Reads objects: the number of one, and how many of its records are done.
    Reading { number: u64, done: u64 },
}

/// Records that are written together: the item, or none where the record is none.
#[derive(Default)]
struct Batch {
    records: Vec<Option<Item>>,
    bytes: usize,
}

impl Import {
    pub(crate) async fn step(&self, dynamo: &Dynamo, db: &Db, job: &Job) -> Result<Step, DynamoError> {
        let place = &self.place();
        let row = db.read(|txn| async move { import::find(&txn, place, &self.id).await }).await?;
        let Some(row) = row.filter(|row| row.ended_ms.is_none()) else {
            return self.clean_up(db, job).await;
        };
        match self.go_on(dynamo, db, job, &row).await {
            Ok(true) => Ok(Step::More),
            Ok(false) => self.end(dynamo, db, job, None).await,
            Err(error) if is_final(&error) => self.end(dynamo, db, job, Some(super::failure(&error))).await,
            Err(error) => Err(error),
        }
    }

    /// Ends an import that came to nothing.
    pub(crate) async fn give_up(
        &self,
        dynamo: &Dynamo,
        db: &Db,
        job: &Job,
        why: &DynamoError,
    ) -> Result<(), DynamoError> {
        let place = &self.place();
        let row = db.read(|txn| async move { import::find(&txn, place, &self.id).await }).await?;
        match row.filter(|row| row.ended_ms.is_none()) {
            Some(_) => self.end(dynamo, db, job, Some(super::failure(why))).await.map(drop),
            None => self.clean_up(db, job).await.map(drop),
        }
    }

    fn place(&self) -> Place {
        Place { account: self.account.clone(), region: self.region.clone() }
    }

    /// Notes some objects, or reads the next one; `false` when there is none.
    async fn go_on(&self, dynamo: &Dynamo, db: &Db, job: &Job, row: &ImportRow) -> Result<bool, DynamoError> {
        let (number, done) = match Cursor::of(job)? {
            Cursor::Listing { noted, after } => {
                return self.note(dynamo, db, job, row, (noted, after)).await.map(|()| true);
            }
            Cursor::Reading { number, done } => (number, done),
        };
        let key = &keys::source(&self.place(), &self.id, number);
        let source = db.read(|txn| async move { Ok::<_, DynamoError>(txn.get(key).await?) }).await?;
        let Some(source) = source else { return Ok(false) };
        let source: SourceRow = rows::decode("an import's object", &source)?;
        let (job, batch) = (job.clone(), Batch::default());
        let writing = Writing { import: self, dynamo, db, row, job, batch, number, resume: done, seen: 0 };
        writing.read(&source).await.map(|()| true)
    }

    /// Notes the next objects.
    async fn note(
        &self,
        dynamo: &Dynamo,
        db: &Db,
        job: &Job,
        row: &ImportRow,
        (noted, after): (u64, Option<String>),
    ) -> Result<(), DynamoError> {
        let prefix = row.object(row.prefix.clone().unwrap_or_default());
        let who = self.asker.again(dynamo);
        let listed = dynamo.buckets()?.list(&who, &prefix, after.as_deref()).await;
        let listed = listed.map_err(super::of_bucket)?;
        let last = listed.last().map(|last| last.key.clone());
        // What consoles show as folders are empty objects.
        let objects: Vec<_> = listed.into_iter().filter(|object| !object.key.ends_with('/')).collect();
        let count = noted + u64::try_from(objects.len()).unwrap_or(u64::MAX);
        if count > OBJECTS_MAX {
            let message = format!("There are more than {OBJECTS_MAX} objects to import");
            return Err(ApiError::client("LimitExceededException", message).into());
        }
        let moved = &match last {
            Some(_) => Cursor::Listing { noted: count, after: last },
            None => Cursor::Reading { number: 0, done: 0 },
        };
        let (objects, place) = (&objects, &self.place());
        db.run(|txn| async move {
            if job.is_mine(&txn).await? {
                for (number, object) in (noted..).zip(objects) {
                    let ListedObject { key, bytes, etag } = object.clone();
                    let source = SourceRow { key, bytes, etag };
                    txn.put(&keys::source(place, &self.id, number), &rows::encode(&source));
                }
                job.advance(&txn, &rows::encode(moved));
            }
            Ok(())
        })
        .await
    }

    /// Writes down what the import came to. The table is ready, or goes again where the import came to nothing.
    async fn end(
        &self,
        dynamo: &Dynamo,
        db: &Db,
        job: &Job,
        failure: Option<(String, String)>,
    ) -> Result<Step, DynamoError> {
        let (place, failure) = (&self.place(), &failure);
        let name = db.run(|txn| async move {
            // Another node may be filling the table, or have ended the import.
            if !job.is_mine(&txn).await? {
                return Ok(None);
            }
            let row = import::find(&txn, place, &self.id).await?.filter(|row| row.ended_ms.is_none());
            let Some(row) = row else { return Ok(None) };
            let now_ms = dynamo.clock.unix_ms();
            let mut row = row.ended(failure.clone(), now_ms);
            let table = rows::find_table(&dynamo.known, &txn, place, &row.table.name).await?;
            match table.filter(|table| table.id == row.table.id) {
                Some(table) if row.failed => tables::remove(dynamo, &txn, &table, now_ms).await?,
                Some(table) => {
                    rows::put_table(&txn, &Table { status: Status::Active, ..(*table).clone() });
                }
                None if row.failed => {}
                None => row = row.ended(Some(super::failure(&gone())), now_ms),
            }
            txn.put(&keys::import(place, &self.id), &rows::encode(&row));
            txn.frees_space();
            Ok::<_, DynamoError>(Some(row.table.name))
        });
        if let Some(name) = name.await? {
            dynamo.known.forget(place, &name);
        }
        Ok(Step::More)
    }

    /// What an import that has ended leaves behind goes, and the job with it.
    async fn clean_up(&self, db: &Db, job: &Job) -> Result<Step, DynamoError> {
        let sources = &keys::sources(&self.place(), &self.id);
        db.run(|txn| async move {
            if !job.is_mine(&txn).await? {
                return Ok(Step::Done);
            }
            if jobs::remove(&txn, sources, false).await? {
                return Ok(Step::More);
            }
            job.finish(&txn);
            Ok(Step::Done)
        })
        .await
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
    number: u64,
    /// How many records were done before.
    resume: u64,
    seen: u64,
}

impl Writing<'_> {
    /// Reads the object, and writes its items.
    async fn read(mut self, source: &SourceRow) -> Result<(), DynamoError> {
        let name = self.row.object(source.key.clone());
        let who = self.import.asker.again(self.dynamo);
        let body = self.dynamo.buckets()?.get(&who, &name, Some(&source.etag)).await;
        let mut body = body.map_err(|error| not_as_it_was(error, &name))?;
        let mut intake = Intake::new(&self.row.table, self.row.format.clone(), self.row.packed);
        // The rest of an object that cannot be read is passed over, as on AWS.
        while let Some(bytes) = body.next().await.filter(|_| !intake.is_over()) {
            for piece in bytes?.chunks(PIECE_BYTES) {
                if !self.take(intake.push(piece)).await? {
                    return Ok(());
                }
            }
        }
        if self.take(intake.finish()).await? { self.finish(source).await } else { Ok(()) }
    }

    /// Takes records in, and writes them where they are enough; `false` when another node works on the import.
    async fn take(&mut self, records: Vec<Record>) -> Result<bool, DynamoError> {
        let bytes_max = BATCH_BYTES / (1 + self.row.table.indexes().count());
        for record in records {
            self.seen += 1;
            if self.seen <= self.resume {
                continue;
            }
            self.batch.add(&self.row.table, record);
            let is_full = self.batch.records.len() >= BATCH_RECORDS || self.batch.bytes >= bytes_max;
            if is_full && !self.write().await? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Writes what is left, and that the object is done.
    async fn finish(mut self, source: &SourceRow) -> Result<(), DynamoError> {
        if self.write().await? {
            let next = Cursor::Reading { number: self.number + 1, done: 0 };
            self.write_some(&[], &next, source.bytes).await?;
        }
        Ok(())
    }

    /// Writes the batch, in several transactions where it is more than one holds.
    async fn write(&mut self) -> Result<bool, DynamoError> {
        let records = std::mem::take(&mut self.batch).records;
        let (mut left, mut at_once) = (&records[..], records.len());
        while !left.is_empty() {
            let (some, rest) = left.split_at(at_once.min(left.len()));
            let done = self.seen - u64::try_from(rest.len()).unwrap_or(u64::MAX);
            match self.write_some(some, &Cursor::Reading { number: self.number, done }, 0).await {
                Ok(true) => left = rest,
                Ok(false) => return Ok(false),
                Err(error) => at_once = fewer(some.len(), error)?,
            }
        }
        Ok(true)
    }

    /// Writes records, and that the import came so far; `false` when another node works on it.
    async fn write_some(
        &mut self,
        records: &[Option<Item>],
        cursor: &Cursor,
        object_bytes: i64,
    ) -> Result<bool, DynamoError> {
        let moved = self.job.moved(&rows::encode(cursor));
        let (job, moved_to, import, dynamo) = (&self.job, &moved, self.import, self.dynamo);
        let place = &import.place();
        let write = |txn: Txn| async move {
            let row = import::find(&txn, place, &import.id).await?.filter(|row| row.ended_ms.is_none());
            let (true, Some(mut row)) = (job.is_mine(&txn).await?, row) else { return Ok(false) };
            let table = rows::find_table(&dynamo.known, &txn, place, &row.table.name).await?;
            let table = table.filter(|table| table.id == row.table.id).ok_or_else(gone)?;
            // Each attempt bears its own time: some that read the table's changes count on their being recent.
            let at_ms = dynamo.clock.unix_ms();
            for item in records.iter().flatten() {
                let Ok(key) = table.key_of(item) else { continue };
                let old = rows::item(&txn, &key).await?;
                change(&txn, &table, &key, old.as_ref(), Some(item), Origin::User, at_ms).await?;
            }
            let items = records.iter().flatten().count();
            row.read += signed(records.len());
            row.imported += signed(items);
            row.errors += signed(records.len() - items);
            row.bytes += object_bytes;
            txn.put(&keys::import(place, &import.id), &rows::encode(&row));
            moved_to.keep(&txn);
            Ok::<_, DynamoError>(true)
        };
        let is_written = self.db.run(write).await?;
        if is_written {
            self.job = moved;
        }
        Ok(is_written)
    }
}

impl Batch {
    fn add(&mut self, table: &Table, record: Record) {
        let is_valid = |item: &Item| checks::item(table, item).is_ok() && check_size(item).is_ok();
        let item = record.ok().filter(is_valid);
        self.bytes += item.as_ref().map_or(0, item_bytes);
        self.records.push(item);
    }
}

impl ImportRow {
    fn ended(self, failure: Option<(String, String)>, now_ms: i64) -> Self {
        let failed = failure.is_some();
        let invalid = || {
            let message = "Some of the items failed validation checks and were not imported.";
            ("ItemValidationError".to_owned(), message.to_owned())
        };
        let failure = failure.or_else(|| (self.errors > 0).then(invalid));
        Self { ended_ms: Some(now_ms), failure, failed, ..self }
    }
}

impl Cursor {
    fn of(job: &Job) -> Result<Self, DynamoError> {
        match job.cursor()? {
            Some(cursor) => rows::decode("an import's cursor", &cursor),
            None => Ok(Self::Listing { noted: 0, after: None }),
        }
    }
}

fn signed(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// What is said of an object that the bucket does not give: also when it was written over since the import began.
fn not_as_it_was(error: ApiError, object: &ObjectName) -> DynamoError {
    let message = match &*error.code {
        "PreconditionFailed" => "it was written over while it was imported; import again".to_owned(),
        _ => error.message,
    };
    super::of_bucket(ApiError { message: format!("{}: {message}", object.key), ..error })
}

fn gone() -> DynamoError {
    let message = "The table was removed while it was filled";
    lambent_model_dynamodb::errors::table_not_found_exception(message).into()
}
