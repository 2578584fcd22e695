//! The service's state. What is done with it beside operations is [`crate::engine`]'s.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::{Arc, Weak};

use lambent_api::{Call, PlatformWork, Proof};
use lambent_blobs::BlobStore;
use lambent_pool::FunctionSpec;
use lambent_runtimes::RuntimeError;
use lambent_store::Db;
use parking_lot::Mutex;

use crate::code::space::Space;
use crate::engine::Engine;
use crate::errors::{self, LambdaError};
use crate::functions::cache::Cache;
use crate::limits::{CHECKS_MAX, COMPILATIONS_MAX, PULLS_MAX, UNPACKINGS_MAX};
use crate::names::{FunctionName, Which};
use crate::parts::LambdaParts;
use crate::policies::known::PolicyCache;
use crate::rows::{self, FunctionRow, Held, Settings};
use crate::urls::UrlCache;

/// AWS Lambda, on the parts it was given.
pub struct Lambda {
    pub(crate) parts: LambdaParts,
    pub(crate) cache: Cache,
    pub(crate) policies: PolicyCache,
    pub(crate) urls: UrlCache,
    /// Held for reading by who begins to use an unpacked package, and for writing by who removes one.
    pub(crate) folder_lock: tokio::sync::RwLock<()>,
    /// How many packages are on their way at once, from their arrival until they are kept.
    pub(crate) check_slots: tokio::sync::Semaphore,
    /// How many container images are fetched at once.
    pub(crate) pull_slots: tokio::sync::Semaphore,
    /// How many packages are unpacked at once.
    pub(crate) unpack_slots: tokio::sync::Semaphore,
    /// How many functions' code is compiled at once.
    pub(crate) compile_slots: tokio::sync::Semaphore,
    /// The functions that the pool keeps provisioned environments of: account, region, name.
    pub(crate) provisioned: tokio::sync::Mutex<BTreeSet<(String, String, String)>>,
    /// Changes when a function or what decides on its role has, and what was known of it is forgotten.
    pub(crate) changes: tokio::sync::watch::Sender<u64>,
    live: Mutex<Vec<LiveCode>>,
}

/// A spec that was handed out: its code must stay as long as anybody has it.
struct LiveCode {
    held: BTreeSet<Held>,
    spec: Weak<FunctionSpec>,
}

impl Lambda {
    /// The service, idle until [`Engine::start`], and what does its work in nobody's name, for those who load, run and mind
    /// functions: operations have no way to it.
    pub fn new(parts: LambdaParts, work: &PlatformWork) -> (Arc<Self>, Engine) {
        let (db, blobs) = (parts.rows.of_platform(work).clone(), parts.blobs.of_platform(work).clone());
        let lambda = Arc::new(Self {
            parts,
            cache: Cache::default(),
            policies: PolicyCache::default(),
            urls: UrlCache::default(),
            folder_lock: tokio::sync::RwLock::default(),
            check_slots: tokio::sync::Semaphore::new(CHECKS_MAX),
            pull_slots: tokio::sync::Semaphore::new(PULLS_MAX),
            unpack_slots: tokio::sync::Semaphore::new(UNPACKINGS_MAX),
            compile_slots: tokio::sync::Semaphore::new(COMPILATIONS_MAX),
            provisioned: tokio::sync::Mutex::default(),
            changes: tokio::sync::watch::Sender::new(0),
            live: Mutex::default(),
        });
        let engine = Engine::new(lambda.clone(), db, blobs);
        (lambda, engine)
    }

    /// What an operation that was decided on loads, runs or has finished.
    pub(crate) fn engine(self: &Arc<Self>, proof: &impl Proof) -> Engine {
        Engine::new(self.clone(), self.db(proof).clone(), self.blobs(proof).clone())
    }

    /// Forgets what is in memory of a function, its versions and its aliases: to be called after a change is committed,
    /// before anybody is told. `arn` has no qualifier.
    pub(crate) fn forget(&self, arn: &str) {
        self.cache.forget(arn);
        self.policies.forget(arn);
    }

    /// The rows, for who may touch them.
    pub(crate) fn db(&self, proof: &impl Proof) -> &Db {
        self.parts.rows.of(proof)
    }

    /// The packages, for who may touch them.
    pub(crate) fn blobs(&self, proof: &impl Proof) -> &BlobStore {
        self.parts.blobs.of(proof)
    }

    /// A function as it is now; an error for the caller when there is none.
    pub(crate) async fn row(&self, db: &Db, name: &FunctionName) -> Result<FunctionRow, LambdaError> {
        let (place, bare) = (&name.place, &name.name);
        let found = db.read(|txn| async move { rows::get_function(&txn, place, bare).await }).await?;
        Ok(found.ok_or_else(|| errors::function_not_found(&name.qualified_arn()))?)
    }

    /// The settings of what a name leads to, as they were given last.
    pub(crate) async fn settings(
        &self,
        call: &Call,
        name: &FunctionName,
        which: Which,
    ) -> Result<Option<Settings>, LambdaError> {
        let (place, bare) = (&name.place, &name.name);
        let read = self.db(call).read(|txn| async move {
            Ok::<_, LambdaError>(match which {
                Which::Latest => rows::get_function(&txn, place, bare).await?.map(|row| row.settings),
                Which::Published(number) => {
                    rows::get_version(&txn, place, bare, number).await?.map(|row| row.settings)
                }
            })
        });
        read.await
    }

    /// A sentence on what a function's runtime runs on here, where that is not what its identifier says.
    pub(crate) fn runtime_note(&self, identifier: &str) -> Option<String> {
        match self.parts.runtimes.resolve(identifier) {
            Ok(runtime) => runtime.note,
            Err(error @ (RuntimeError::NoInterpreter { .. } | RuntimeError::NotRun(_))) => {
                Some(error.to_string())
            }
            Err(RuntimeError::UnknownIdentifier(_)) => None,
        }
    }

    /// Whether a spec that needs this is in use.
    pub(crate) fn is_live(&self, held: &Held) -> bool {
        let mut live = self.live.lock();
        live.retain(|code| code.spec.strong_count() > 0);
        live.iter().any(|code| code.held.contains(held))
    }

    /// Where unpacked packages are.
    pub(crate) fn code_root(&self) -> PathBuf {
        self.parts.data_dir.join("code")
    }

    /// The room that there is for code.
    pub(crate) fn space(&self) -> Space {
        Space { root: self.code_root(), reserve_bytes: self.parts.disk_reserve_bytes }
    }

    pub(crate) fn note_live(&self, settings: &Settings, spec: &Arc<FunctionSpec>) {
        let mut live = self.live.lock();
        live.retain(|code| code.spec.strong_count() > 0);
        live.push(LiveCode { held: settings.held(), spec: Arc::downgrade(spec) });
    }
}
