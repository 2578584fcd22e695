//! Snapshots (SnapStart): for each published version that wants it one environment that has loaded the function, from
//! which the version's environments are forked.
//!
//! A snapshot is made with the version's first call, and goes when none was started for the keep-alive. It serves no calls,
//! and no other function, ever. Environments are forked ahead, as many as were needed of late: each waits for its variables,
//! with its hooks still to run, for the kernel takes its time to make disks and control groups. Where none can be made, or none be forked, functions start the ordinary way, and the log
//! says why, once.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use lambent_sandbox::{Shell, Snapshot};
use parking_lot::Mutex;
use tokio::sync::OnceCell;

use crate::api::Call;
use crate::demand::Demand;
use crate::environment::{Environment, Event};
use crate::error::InvokeError;
use crate::function::{FunctionKey, FunctionSpec};
use crate::pool::{Inner, Working};
use crate::prepared::Prepared;
use crate::start::{Kind, Opening, SNAP_START, assign, blocking, failed, told};
use crate::texts;

/// How long a function may take to load, hooks included.
/// Source: AWS Lambda Developer Guide, "Improving startup performance with Lambda SnapStart" (130 seconds).
const LOAD_TIMEOUT: Duration = Duration::from_secs(130);
/// Of all functions; the least recently used goes first.
const MAX_SNAPSHOTS: usize = 64;
/// Environments that one snapshot may have ahead of calls.
const MAX_AHEAD: usize = 16;
/// What a bootstrap of ours says when the function cannot be forked.
const NO_SNAPSHOT: &str = "Lambent.NoSnapshot";

/// What came of an attempt to start from a snapshot.
pub(crate) enum Attempt {
    /// Boxed, as it is large.
    Started(Box<Environment>),
    /// The function starts the ordinary way; why, if nobody was told yet.
    Ordinary(Option<String>),
}

/// All snapshots.
#[derive(Default)]
pub(crate) struct Snapshots {
    known: Mutex<HashMap<FunctionKey, Arc<Entry>>>,
}

/// One version's.
pub(crate) struct Entry {
    taken: OnceCell<Taken>,
    shell: Arc<Shell>,
    /// When it was made, on the pool's monotonic clock.
    made: Duration,
    demand: Mutex<Demand>,
    /// Forked, and waiting for a call.
    ahead: Mutex<Vec<Prepared>>,
    filling: AtomicBool,
    /// Whether the log says why there is none.
    said: AtomicBool,
    /// Why it is of no more use.
    broken: Mutex<Option<String>>,
}

enum Taken {
    /// In this order they end. The environment serves what the function does while it loads, and lives with the snapshot.
    Ready {
        snapshot: Arc<Snapshot>,
        _environment: Box<Mutex<Environment>>,
    },
    Impossible(String),
}

/// Why there is no snapshot.
enum NotTaken {
    Impossible(String),
    /// The function could not be loaded: its environment, which says so to whoever waits for it.
    Failed(Box<Environment>),
    Error(InvokeError),
}

impl From<InvokeError> for NotTaken {
    fn from(error: InvokeError) -> Self {
        Self::Error(error)
    }
}

impl Snapshots {
    /// Takes out those of a function, whatever their version.
    pub(crate) fn retire(&self, is_its: impl Fn(&FunctionKey) -> bool) -> Vec<Arc<Entry>> {
        self.known.lock().extract_if(|key, _| is_its(key)).map(|(_, entry)| entry).collect()
    }

    /// Takes out all.
    pub(crate) fn close(&self) -> Vec<Arc<Entry>> {
        self.known.lock().drain().map(|(_, entry)| entry).collect()
    }

    /// A version's entry, and those that must go for it.
    fn entry(
        &self,
        key: &FunctionKey,
        shell: &Arc<Shell>,
        now: Duration,
        oldest: Duration,
    ) -> (Arc<Entry>, Vec<Arc<Entry>>) {
        let mut known = self.known.lock();
        let mut gone: Vec<_> = known.extract_if(|_, entry| entry.made < oldest).map(|(_, one)| one).collect();
        if !known.contains_key(key) && known.len() >= MAX_SNAPSHOTS {
            let least =
                known.iter().min_by_key(|(_, entry)| entry.demand.lock().used()).map(|(key, _)| key.clone());
            gone.extend(least.and_then(|key| known.remove(&key)));
        }
        let new = || Entry {
            taken: OnceCell::new(),
            shell: shell.clone(),
            made: now,
            demand: Mutex::new(Demand::new(now)),
            ahead: Mutex::default(),
            filling: AtomicBool::new(false),
            said: AtomicBool::new(false),
            broken: Mutex::new(None),
        };
        let entry = known.entry(key.clone()).or_insert_with(|| Arc::new(new())).clone();
        entry.demand.lock().note_start(now);
        (entry, gone)
    }

    fn has(&self, entry: &Arc<Entry>) -> bool {
        self.known.lock().values().any(|there| Arc::ptr_eq(there, entry))
    }

    fn uses(&self, shell: &Arc<Shell>) -> bool {
        self.known.lock().values().any(|entry| entry.shell == *shell)
    }

    fn remove(&self, key: &FunctionKey, entry: &Arc<Entry>) {
        let mut known = self.known.lock();
        if known.get(key).is_some_and(|there| Arc::ptr_eq(there, entry)) {
            known.remove(key);
        }
    }
}

impl Entry {
    /// A forked environment that lives, and those that do not.
    fn take_ahead(&self) -> (Option<Prepared>, Vec<Prepared>) {
        let (mut ahead, mut dead) = (self.ahead.lock(), Vec::new());
        while let Some(mut one) = ahead.pop() {
            if !one.reports.has_ended() {
                return (Some(one), dead);
            }
            dead.push(one);
        }
        (None, dead)
    }

    /// Whether one more is to be forked ahead.
    fn wants_more(&self, now: Duration, keep_alive: Duration) -> bool {
        let wanted = self.demand.lock().wanted(now, keep_alive).min(MAX_AHEAD);
        self.broken.lock().is_none() && self.ahead.lock().len() < wanted
    }

    /// An ordinary start, with the reason for it if it was not told yet.
    fn ordinary(&self, why: &str) -> Attempt {
        let first = !self.said.swap(true, Ordering::SeqCst);
        Attempt::Ordinary(first.then(|| why.to_owned()))
    }
}

impl Inner {
    /// Lets go of a kind of environments once neither snapshots nor the ready set need it.
    pub(crate) fn retire_unless_used(&self, shell: &Arc<Shell>) {
        if !self.snapshots.uses(shell) && !self.ready.knows(shell) {
            self.sandbox.retire(shell);
        }
    }
}

/// Starts an environment from the function's snapshot, which is made if there is none.
pub(crate) async fn start_restored(
    inner: &Arc<Inner>,
    function: &FunctionSpec,
    kind: &Arc<Kind>,
) -> Result<Attempt, InvokeError> {
    let at = inner.parts.clock.monotonic();
    let oldest = at.saturating_sub(inner.config.max_environment_age);
    let (entry, gone) = inner.snapshots.entry(&function.key, &kind.shell, at, oldest);
    inner.end(gone);
    let taken = entry.taken.get_or_try_init(|| async {
        match take(inner, function, kind).await {
            Ok(ready) => {
                end_when_unused(inner, function.key.clone(), &entry);
                Ok(ready)
            }
            Err(NotTaken::Impossible(why)) => {
                end_when_unused(inner, function.key.clone(), &entry);
                Ok(Taken::Impossible(why))
            }
            Err(other) => Err(other),
        }
    });
    let snapshot = match taken.await {
        Ok(Taken::Ready { snapshot, .. }) => snapshot.clone(),
        Ok(Taken::Impossible(why)) => return Ok(entry.ordinary(why)),
        Err(NotTaken::Failed(environment)) => {
            inner.snapshots.remove(&function.key, &entry);
            return Ok(Attempt::Started(environment));
        }
        Err(NotTaken::Impossible(why)) => return Ok(entry.ordinary(&why)),
        Err(NotTaken::Error(error)) => return Err(error),
    };
    if let Some(why) = entry.broken.lock().clone() {
        return Ok(entry.ordinary(&why));
    }
    let (ahead, dead) = entry.take_ahead();
    inner.end(dead);
    let (shell, memory_mib) = (kind.shell.clone(), function.memory_mib);
    let forked = async {
        match ahead {
            Some(ahead) => Ok(ahead),
            None => fork(inner, snapshot.clone(), shell, memory_mib).await,
        }
    };
    let (forked, opening) = tokio::join!(forked, Opening::of(inner, function, kind, Some(SNAP_START)));
    let mut forked = match forked {
        Ok(forked) => forked,
        Err(InvokeError::Environment(why)) => {
            *entry.broken.lock() = Some(why.clone());
            return Ok(entry.ordinary(&why));
        }
        Err(error) => return Err(error),
    };
    let opening = match opening {
        Ok(opening) => opening,
        Err(error) => {
            inner.end(vec![forked]);
            return Err(error);
        }
    };
    forked.api.give_function(told(&opening.variables));
    let mut environment = opening.environment(inner, forked, true)?;
    (environment.started_at, environment.init_since) = (at, at);
    environment.restored_at = Some(inner.parts.clock.monotonic());
    fork_ahead(inner, &entry, snapshot, kind.shell.clone(), memory_mib);
    Ok(Attempt::Started(Box::new(environment)))
}

/// Has a function load, up to where environments can be forked from it.
async fn take(inner: &Arc<Inner>, function: &FunctionSpec, kind: &Arc<Kind>) -> Result<Taken, NotTaken> {
    let since = inner.parts.clock.monotonic();
    let opening = Opening::of(inner, function, kind, Some(SNAP_START)).await?;
    let (owner, shell) = (inner.clone(), kind.shell.clone());
    let made = blocking(move || owner.sandbox.prepare_snapshot(&shell)).await?;
    let (started, snapshot) = made.map_err(|error| NotTaken::Impossible(error.to_string()))?;
    let snapshot = Arc::new(snapshot);
    let mut prepared = Prepared::adopt(started, kind.shell.clone()).map_err(failed)?;
    prepared.api.serve_restore();
    let assigned = assign(prepared, function, opening.variables.clone()).await?;
    let mut environment = opening.environment(inner, assigned, false)?;
    let mut deadline = environment.alarm.after(LOAD_TIMEOUT);
    let why = loop {
        match environment.next(&inner.logs, &mut deadline).await {
            Event::Call(_, Call::RestoreNext) => {
                environment.drain_output();
                environment.log.end_line();
                let now = inner.parts.clock.monotonic();
                environment.log.say(texts::init_done_line(milliseconds(now.saturating_sub(since))));
                environment.log.hand_over(&inner.logs).await;
                return Ok(Taken::Ready { snapshot, _environment: Box::new(Mutex::new(environment)) });
            }
            Event::Call(_, Call::InitError { kind, body }) if kind.as_deref() == Some(NO_SNAPSHOT) => {
                break texts::message_of(&body).unwrap_or_default();
            }
            Event::Call(connection, call @ Call::InitError { .. }) => {
                environment.api.put_back(connection, call);
                return Err(NotTaken::Failed(Box::new(environment)));
            }
            Event::Call(connection, call) => environment.refuse(connection, &call),
            other => break format!("while it loaded there came {other:?}"),
        }
    };
    inner.end(vec![environment]);
    Err(NotTaken::Impossible(why))
}

/// An environment that waits for its variables.
async fn fork(
    inner: &Arc<Inner>,
    snapshot: Arc<Snapshot>,
    shell: Arc<Shell>,
    memory_mib: u32,
) -> Result<Prepared, InvokeError> {
    let owner = inner.clone();
    let restored = blocking(move || owner.sandbox.restore(&snapshot, memory_mib)).await?;
    let started = restored.map_err(|error| InvokeError::Environment(error.to_string()))?;
    let mut prepared = Prepared::adopt(started, shell).map_err(failed)?;
    prepared.api.serve_restore();
    Ok(prepared)
}

/// Has as many wait as are wanted, in the background, one after the other.
fn fork_ahead(
    inner: &Arc<Inner>,
    entry: &Arc<Entry>,
    snapshot: Arc<Snapshot>,
    shell: Arc<Shell>,
    memory_mib: u32,
) {
    let (owner, watched) = (Arc::downgrade(inner), Arc::downgrade(entry));
    if entry.filling.swap(true, Ordering::SeqCst) {
        return;
    }
    tokio::spawn(async move {
        loop {
            let (Some(inner), Some(entry)) = (owner.upgrade(), watched.upgrade()) else { return };
            let now = inner.parts.clock.monotonic();
            let wanted = inner.snapshots.has(&entry) && entry.wants_more(now, inner.config.idle_timeout);
            if !wanted {
                entry.filling.store(false, Ordering::SeqCst);
                tokio::task::spawn_blocking(move || drop(entry));
                return;
            }
            let work = Working::new(&inner);
            match fork(&inner, snapshot.clone(), shell.clone(), memory_mib).await {
                Ok(forked) => entry.ahead.lock().push(forked),
                Err(error) => *entry.broken.lock() = Some(error.to_string()),
            }
            // Ends what is let go meanwhile where it may block.
            tokio::task::spawn_blocking(move || drop((entry, work)));
        }
    });
}

/// Ends a snapshot when no environment was started from it for the pool's idle timeout.
fn end_when_unused(inner: &Arc<Inner>, key: FunctionKey, entry: &Arc<Entry>) {
    let (owner, watched) = (Arc::downgrade(inner), Arc::downgrade(entry));
    let mut pause = inner.config.idle_timeout;
    tokio::spawn(async move {
        loop {
            tokio::time::sleep(pause).await;
            let (Some(inner), Some(entry)) = (owner.upgrade(), watched.upgrade()) else { return };
            let unused = inner.parts.clock.monotonic().saturating_sub(entry.demand.lock().used());
            pause = inner.config.idle_timeout.saturating_sub(unused).max(Duration::from_millis(1));
            if unused >= inner.config.idle_timeout {
                inner.snapshots.remove(&key, &entry);
                let work = Working::new(&inner);
                tokio::task::spawn_blocking(move || {
                    let shell = entry.shell.clone();
                    drop(entry);
                    inner.retire_unless_used(&shell);
                    drop(work);
                });
                return;
            }
        }
    });
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}
