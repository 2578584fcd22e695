//! Writes of single items, combined where many want the same one.
//!
//! The first write of an item runs at once. Those that come for it meanwhile wait in its queue, and run one after the
//! other in one next transaction: each sees what the one before did, and all share one commit. So a counter that 64
//! clients raise takes 64 updates with each sync of the disk, and none of them meets a conflict.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use lambent_api::Proof;
use lambent_base::Place;
use lambent_expressions::Item;
use lambent_model_dynamodb::errors::{resource_not_found_exception, throttling_exception};
use lambent_store::{Db, StoreError, Txn};
use parking_lot::Mutex;
use tokio::sync::oneshot;

use crate::change::{Changed, Origin, change};
use crate::keys::ItemKey;
use crate::table::{Stored, Table};
use crate::{Dynamo, DynamoError, rows};

mod hot;
#[cfg(test)]
mod tests;

pub(crate) use hot::Hot;
use hot::{Entered, Waiting};

/// How many bytes of items (before and after) end the transaction of those who wait.
const BATCH_BYTES_MAX: usize = 512 * 1024;
/// The place of no write.
const NOWHERE: usize = usize::MAX;
/// How often a write looks again for a table that was made anew under it.
const LOOKS_MAX: u32 = 4;
/// Source: API reference, "TransactWriteItems", its ThrottlingError.
const TOO_HOT: &str = "Throughput exceeds the current capacity of your table or index. DynamoDB is automatically scaling \
                       your table or index so please try again shortly. If exceptions persist, check if you have a hot \
                       key: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/bp-partition-key-design.html.";

/// What a write wants of the item that it was shown.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Wish {
    /// Leave it as it is.
    Keep,
    Put(Item),
    Delete,
}

/// What a write did.
#[derive(Debug)]
pub(crate) struct Written {
    pub(crate) table: Arc<Table>,
    pub(crate) old: Option<Item>,
    /// The item as it is now; `None` when it was deleted, or there is none.
    pub(crate) new: Option<Item>,
    pub(crate) changed: Changed,
}

impl Dynamo {
    /// Writes one item: `op` is shown the table and the item, and says what it wants; it runs again when somebody else
    /// changed the item meanwhile. `key` finds the item's key in the table, `held_bytes` is what `op` holds while it waits.
    ///
    /// Errors: ResourceNotFoundException, those of `key` and `op`, ThrottlingException when too many wait for the item.
    pub(crate) async fn write<T, K, F>(
        &self,
        proof: &impl Proof,
        (place, name): (&Place, &str),
        key: K,
        (held_bytes, op): (usize, F),
    ) -> Result<(Written, T), DynamoError>
    where
        T: Send + 'static,
        K: Fn(&Table) -> Result<ItemKey, DynamoError>,
        F: FnMut(&Table, Option<&Item>) -> Result<(Wish, T), DynamoError> + Send + 'static,
    {
        let mut op = op;
        for _ in 0..LOOKS_MAX {
            let Some(table) = self.schema(place, name).await? else {
                return Err(resource_not_found_exception("Requested resource not found").into());
            };
            let key = key(&table)?;
            let target = Target { id: table.id, place: table.place.clone(), name: table.name.clone(), key };
            let (given_back, outcome) = self.write_to(self.rows.of(proof), target, (held_bytes, op)).await;
            match (given_back, outcome) {
                (Some(again), Err(DynamoError::Moved)) => op = again,
                (_, outcome) => return outcome,
            }
            self.known.forget(place, name);
        }
        Err(DynamoError::Moved)
    }

    /// Writes to a table that must still be the same; gives `op` back when it is not.
    async fn write_to<T, F>(
        &self,
        db: &Db,
        target: Target,
        (bytes, op): (usize, F),
    ) -> (Option<F>, Result<(Written, T), DynamoError>)
    where
        T: Send + 'static,
        F: FnMut(&Table, Option<&Item>) -> Result<(Wish, T), DynamoError> + Send + 'static,
    {
        let (to, answer) = oneshot::channel();
        let mut queued = Queued { op, bytes, decided: None, outcome: None, to: Some(to) };
        match self.hot.enter(target.key.bytes(), queued) {
            Entered::First(given_back) => queued = given_back,
            Entered::Queued => {
                let answered = answer.await;
                return match answered {
                    Ok((op, outcome)) => (Some(op), outcome),
                    Err(_) => (None, Err(DynamoError::Abandoned)),
                };
            }
            Entered::Full => {
                return (None, Err(throttling_exception(TOO_HOT).into()));
            }
        }
        let lead = Lead { dynamo: self.clone(), db: db.clone(), target };
        let mine = [Mutex::new(queued)];
        let committed = lead.run(&mine).await.map(|_| ());
        drop(lead);
        let [mine] = mine;
        let mut queued = mine.into_inner();
        let outcome = queued.settle(committed);
        (Some(queued.op), outcome)
    }
}

/// One item of one table.
#[derive(Clone)]
struct Target {
    /// The table's number: a table of the same name that was made later is another.
    id: u64,
    place: Place,
    name: String,
    key: ItemKey,
}

/// What a write did, and what it had to say of it.
type Outcome<T> = Result<(Written, T), DynamoError>;
/// The outcome of a write that waited, which is given back: it may have to begin anew.
type Answer<T, F> = (F, Outcome<T>);

/// A write and what comes of it.
struct Queued<T, F> {
    op: F,
    /// What `op` holds.
    bytes: usize,
    decided: Option<T>,
    outcome: Option<Outcome<T>>,
    to: Option<oneshot::Sender<Answer<T, F>>>,
}

impl<T, F> Queued<T, F> {
    fn settle(&mut self, committed: Result<(), DynamoError>) -> Result<(Written, T), DynamoError> {
        match (committed, self.outcome.take()) {
            (Err(failure), _) => Err(failure),
            (Ok(()), Some(outcome)) => outcome,
            (Ok(()), None) => Err(DynamoError::Abandoned),
        }
    }
}

impl<T, F> Waiting for Queued<T, F>
where
    T: Send,
    F: FnMut(&Table, Option<&Item>) -> Result<(Wish, T), DynamoError> + Send,
{
    fn decide(&mut self, table: &Table, old: Option<&Item>) -> Result<Wish, DynamoError> {
        let (wish, decided) = (self.op)(table, old)?;
        self.decided = Some(decided);
        Ok(wish)
    }

    fn note(&mut self, outcome: Result<Written, DynamoError>) {
        let decided = self.decided.take();
        self.outcome = match (outcome, decided) {
            (Ok(written), Some(decided)) => Some(Ok((written, decided))),
            (Ok(_), None) => None,
            (Err(failure), _) => Some(Err(failure)),
        };
    }

    fn answer(mut self: Box<Self>, committed: Result<(), DynamoError>) {
        let outcome = self.settle(committed);
        if let Some(to) = self.to.take() {
            // Who went away needs no answer.
            let _ = to.send((self.op, outcome));
        }
    }

    fn bytes(&self) -> usize {
        self.bytes
    }

    fn is_given_up(&self) -> bool {
        self.to.as_ref().is_some_and(oneshot::Sender::is_closed)
    }
}

/// Whoever writes an item. When it ends, or is dropped in the middle, the queue goes on by itself.
struct Lead {
    dynamo: Dynamo,
    db: Db,
    target: Target,
}

impl Lead {
    /// Runs writes one after the other in one transaction; says how many of them it had room for. One that is refused
    /// when it has begun to write is told so, and the others run without it.
    async fn run<W: Waiting>(&self, writes: &[Mutex<W>]) -> Result<usize, DynamoError> {
        let mut refused = HashSet::new();
        loop {
            let stopped_at = &AtomicUsize::new(NOWHERE);
            match self.attempt(writes, &refused, stopped_at).await {
                Err(DynamoError::Refused(refusal)) => match writes.get(stopped_at.load(Ordering::Relaxed)) {
                    Some(write) if writes.len() > 1 => {
                        write.lock().note(Err(refusal.into()));
                        refused.insert(stopped_at.load(Ordering::Relaxed));
                    }
                    _ => return Err(refusal.into()),
                },
                ended => return ended,
            }
        }
    }

    /// Runs all writes but those that were refused. `stopped_at` becomes the one whose error ended the transaction.
    async fn attempt<W: Waiting>(
        &self,
        writes: &[Mutex<W>],
        refused: &HashSet<usize>,
        stopped_at: &AtomicUsize,
    ) -> Result<usize, DynamoError> {
        let (dynamo, target) = (&self.dynamo, &self.target);
        let body = |txn: Txn| async move {
            stopped_at.store(NOWHERE, Ordering::Relaxed);
            let table = dynamo.table(&txn, &target.place, &target.name).await?;
            if table.id != target.id {
                return Err(DynamoError::Moved);
            }
            let mut bytes = 0;
            for (index, write) in writes.iter().enumerate().filter(|(index, _)| !refused.contains(index)) {
                let stepped = dynamo.step(&txn, &table, &target.key, write).await;
                bytes += stepped.inspect_err(|_| stopped_at.store(index, Ordering::Relaxed))?;
                if bytes >= BATCH_BYTES_MAX {
                    return Ok(index + 1);
                }
            }
            Ok(writes.len())
        };
        if writes.len() == 1 { rows::run_whole(&self.db, body).await } else { self.db.run(body).await }
    }

    /// Runs each write in a transaction of its own.
    async fn run_singly(&self, writes: Vec<Mutex<Box<dyn Waiting>>>) {
        for write in writes {
            let committed = self.run(std::slice::from_ref(&write)).await;
            write.into_inner().answer(committed.map(drop));
        }
    }

    /// Serves the queue until it is empty.
    async fn drain(self) {
        let (hot, key) = (self.dynamo.hot.clone(), self.target.key.bytes().clone());
        loop {
            let writes = hot.next_batch(&key);
            if writes.is_empty() {
                return;
            }
            let committed = self.run(&writes).await;
            if writes.len() > 1
                && matches!(committed, Err(DynamoError::Store(StoreError::TransactionTooLarge { .. })))
            {
                self.run_singly(writes).await;
                continue;
            }
            let done = *committed.as_ref().unwrap_or(&writes.len());
            let mut writes = writes.into_iter().map(Mutex::into_inner);
            for write in writes.by_ref().take(done) {
                write.answer(committed.as_ref().map(|_| ()).map_err(Clone::clone));
            }
            hot.put_back(&key, writes);
        }
    }
}

impl Drop for Lead {
    fn drop(&mut self) {
        if self.dynamo.hot.leave(self.target.key.bytes()) {
            return;
        }
        let next = Self { dynamo: self.dynamo.clone(), db: self.db.clone(), target: self.target.clone() };
        match tokio::runtime::Handle::try_current() {
            Ok(runtime) => drop(runtime.spawn(next.drain())),
            // The process ends: those who wait are told by their channels.
            Err(_) => next.dynamo.hot.abandon(next.target.key.bytes()),
        }
    }
}

impl Dynamo {
    /// One write of several in a transaction; gives the bytes of items that it had to do with.
    async fn step<W: Waiting>(
        &self,
        txn: &Txn,
        table: &Arc<Table>,
        key: &ItemKey,
        write: &Mutex<W>,
    ) -> Result<usize, DynamoError> {
        let old = rows::item(txn, key).await?;
        let decided = write.lock().decide(table, old.as_ref().map(|old| &old.item));
        let wish = match decided {
            Ok(wish) => wish,
            Err(failure) => {
                write.lock().note(Err(failure));
                return Ok(0);
            }
        };
        let (new, changed) = match wish {
            Wish::Keep => (old.as_ref().map(|old| old.item.clone()), Changed::default()),
            Wish::Put(item) => {
                let changed = self.change_now(txn, table, key, old.as_ref(), Some(&item)).await?;
                (Some(item), changed)
            }
            Wish::Delete => (None, self.change_now(txn, table, key, old.as_ref(), None).await?),
        };
        let bytes = changed.bytes();
        let table = Arc::clone(table);
        write.lock().note(Ok(Written { table, old: old.map(|old| old.item), new, changed }));
        Ok(bytes)
    }

    /// [`change`] by a user, now.
    pub(crate) async fn change_now(
        &self,
        txn: &Txn,
        table: &Table,
        key: &ItemKey,
        old: Option<&Stored>,
        new: Option<&Item>,
    ) -> Result<Changed, DynamoError> {
        change(txn, table, key, old, new, Origin::User, self.clock.unix_ms()).await
    }
}
