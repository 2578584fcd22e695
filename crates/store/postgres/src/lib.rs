//! The store's engine for several machines: PostgreSQL.
//!
//! # What lies where
//!
//! | table | holds |
//! |---|---|
//! | `lambent_head` | one row: the newest version, the token of the batch that made it, the format |
//! | `lambent_rows` | key, version, value: a new row for each change; no value means deleted |
//! | `lambent_long_rows` | the same for keys that are too long for an index of PostgreSQL |
//! | `lambent_batches` | one row for each batch of commits: its last version, its token and the token before, the ids of its transactions, the keys it wrote, the topics it wakes, its node |
//! | `lambent_horizon` | one row: up to which version superseded rows, and batches, were swept away |
//!
//! # The protocol, and why it is serializable
//!
//! *Reads.* Everything that a batch writes becomes visible with its new head, in one transaction of the database. So
//! one statement that reads the head and a row sees all batches up to that head and no other; later statements of the
//! same snapshot read `version <= head`, from any connection, with no transaction held open. The sweeper removes what
//! only snapshots before the horizon could see, and moves the horizon in the same transaction; every read checks the
//! horizon, and fails with `SnapshotTooOld` when it has passed. No clock decides what is right, only what is kept.
//!
//! *Commits.* A batch of commits is made against one head, named by its token, which no other head of any history ever
//! has. Each commit of the batch is checked: nothing that it read was written in `(its snapshot, head]`, nor by a
//! commit before it in the batch. Then one statement swaps the head's token for a new one *if it still is the expected
//! one*, and writes rows and batch only if it did. The database orders the changes of that one row, so heads form a
//! chain and each link was checked against everything before it: the order of the chain, and within a batch that of its
//! commits, is the serial order. Its versions are what stamped keys carry.
//!
//! *Who leads.* Nobody has to be chosen: whoever swaps the head led for that batch. Any number of nodes may believe that
//! they lead; of those that expect the same head one succeeds, and the others see no row, read the batches
//! that they missed, check again and try again. The token is the epoch that fences them. A node that was late once waits
//! for its turn with a lock on the head, so that a busy node does not starve it; the lock ends with its connection, and
//! the server ends the session of a node that stands still with it for three seconds.
//!
//! *Unknown outcomes.* When a connection breaks under the swap, the node locks the head on a new one. If the batch's row
//! is there, it was committed. If not, and the expected head is still the newest, the statement may still be on its
//! way: an empty batch makes a new head, at which it can only fail. Then nothing was applied, finally, and the
//! batch is tried again. So no commit is ever applied twice. The ids of batches are kept for a minute; an outcome
//! that was forgotten is an error, never a guess.
//!
//! *Lost history.* Each batch names the head before it. A node that finds another head in the place of one that it
//! knows (a standby took over without the last commits) refuses to go on, rather than to continue another history.
//!
//! [`Commits::OneEach`] is the same with one commit for each transaction, checked by the database itself under
//! `SERIALIZABLE`, with what it read held against the stored versions: slow, and simple enough to be the oracle for
//! [`Commits::Batched`]. Both may work on one database at once. Neither needs advisory locks, extensions, `LISTEN`
//! or a particular default isolation level; `LISTEN` and `NOTIFY` only make wake-ups of other nodes faster, and without
//! them the batches are looked at ten times a second while somebody watches. So CockroachDB and YugabyteDB, which are
//! serializable, are meant to do as well; they were never tried.
//!
//! # What an operator must see to
//!
//! An acknowledged commit is as durable as the server makes its own: `fsync = on`, and for a standby that takes over,
//! synchronous replication. Connections are not encrypted, and go to the server itself: a pooler that gives each transaction
//! another session breaks prepared statements. One node uses at most [`PostgresOptions::read_connections`] and four more.
#![forbid(unsafe_code)]

mod batched;
mod connection;
mod each;
mod engine;
mod error;
mod export;
mod follow;
mod head;
mod plan;
mod pool;
mod reads;
mod schema;
mod settle;
mod snapshot;
mod sweep;

pub use engine::{Commits, PostgresEngine, PostgresOptions};
